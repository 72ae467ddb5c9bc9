"""What those who run the store are told of by e-mail: things that wait for a person."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from app.domain.event_catalogue import EventType
from app.domain.notice_kind import NoticeKind
from app.domain.outgoing import OutboxEvent

_NAMESPACE = UUID("0d4f4a5e-4c57-5a50-9c46-5a6c7f0f6b21")

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice that follows from an event. Events with the same `source` are one notice: the first one."""

    kind: NoticeKind
    source: str
    body: Body


_BY_EVENT: Mapping[str, NoticeKind] = {
    EventType.WITHDRAWAL_REQUESTED: NoticeKind.WITHDRAWAL_WAITING,
    EventType.PAYOUT_UNKNOWN: NoticeKind.PAYOUT_DISAGREEMENT,
    EventType.MESSAGE_DEAD: NoticeKind.MESSAGE_DEAD,
    EventType.DELIVERY_DEAD: NoticeKind.DELIVERY_DEAD,
    EventType.SIGNAL_RAISED: NoticeKind.FRAUD_SIGNAL,
}
_DISAGREE = frozenset({EventType.WITHDRAWAL_PAID, EventType.WITHDRAWAL_UPDATED})
_GONE = "GONE"

NOTICED: frozenset[str] = frozenset({*_BY_EVENT, *_DISAGREE, EventType.WEBHOOK_ENDPOINT_DISABLED})
"""The events that a notice may follow from."""


def kind_of(event: OutboxEvent) -> NoticeKind | None:
    """Return what notice follows from an event, if one does."""
    if event.type in _DISAGREE:
        return NoticeKind.PAYOUT_DISAGREEMENT if event.data["withdrawal"]["problem"] else None
    if event.type == EventType.WEBHOOK_ENDPOINT_DISABLED:
        gone = event.data["webhookEndpoint"]["disabledBy"] == _GONE
        return NoticeKind.ENDPOINT_GONE if gone else None
    return _BY_EVENT.get(event.type)


def notice_of(event: OutboxEvent) -> Notice | None:
    """Return the notice that follows from an event, if one does. Nothing of it says who the customer is."""
    kind = kind_of(event)
    if kind is None:
        return None
    body = {name: part for name, part in event.data.items() if name not in {"customer", "walletId"}}
    return Notice(kind, _source(kind, event), body)


def _source(kind: NoticeKind, event: OutboxEvent) -> str:
    """Where much can go wrong at once, a notice stands for all of it: a store with a broken endpoint gets one a day."""
    if kind is NoticeKind.MESSAGE_DEAD:
        told = event.data["message"]
        return f"{kind}\n{told['webhookEndpointId'] or told['channel']}\n{event.created_at:%Y-%m-%d}"
    if kind is NoticeKind.DELIVERY_DEAD:
        return f"{kind}\n{event.data['delivery']['door']}\n{event.created_at:%Y-%m-%d}"
    if kind is NoticeKind.FRAUD_SIGNAL:
        return f"{kind}\n{event.data['signal']['kind']}\n{event.created_at:%Y-%m-%dT%H}"
    return str(event.id)


def target_of(address: str) -> str:
    """Return what stands for an address in the outbox, which holds no addresses."""
    return str(uuid5(_NAMESPACE, address.casefold()))
