"""How somebody comes to be told of what happens: endpoints are set up, changed, switched off and on, tried out."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from app.domain.access import Actor, Capability
from app.domain.audit import AuditAction, AuditEntry, changes
from app.domain.errors import FieldInvalid, LimitReached, NotFound
from app.domain.event_catalogue import CATALOGUE, EventType
from app.domain.event_data import public_time
from app.domain.ledger import Desk
from app.domain.outbox import Channel, OutboxMessage, message
from app.domain.outgoing import OutboxEvent
from app.domain.role import require_held
from app.domain.webhook_endpoint import (
    ENDPOINTS_MAX,
    EVERYTHING,
    OVERLAP_MAX_H,
    PATTERNS_MAX,
    DisabledBy,
    EndpointSecret,
    EndpointStatus,
    WebhookEndpoint,
)

_ORIGIN = re.compile(r"https?://[^/?#]*")

NEEDED: frozenset[Capability] = frozenset(kind.needs for kind in CATALOGUE.values() if kind.needs is not None)
"""The capabilities that see any event at all."""


def check_events(patterns: Iterable[str], *, field: str = "events") -> tuple[str, ...]:
    """Return what an endpoint listens to, each once, or raise `FieldInvalid` for what no event is named."""
    kept = tuple(dict.fromkeys(pattern.strip() for pattern in patterns))
    if not 0 < len(kept) <= PATTERNS_MAX:
        raise FieldInvalid(f"Name from 1 to {PATTERNS_MAX} events, or use * for all.", field=(field,))
    for pattern in kept:
        if not _means_something(pattern):
            raise FieldInvalid(
                f"There is no event {pattern[:64]!r}. Use names such as payment.captured, payment.* or *.",
                field=(field,),
            )
    return kept


def _means_something(pattern: str) -> bool:
    if pattern == EVERYTHING or pattern in set(EventType):
        return True
    return pattern.endswith(".*") and any(name.startswith(pattern[:-1]) for name in EventType)


@dataclass(frozen=True, slots=True)
class EndpointRequest:
    """What somebody wants an endpoint to be; of one that exists, `None` leaves a part as it is."""

    url: str | None = None
    description: str | None = None
    events: tuple[str, ...] | None = None


def create(
    desk: Desk,
    wanted: EndpointRequest,
    sealed: str,
    held: Collection[Capability],
    *,
    endpoint_id: UUID,
    note: str,
    actor: Actor,
) -> WebhookEndpoint:
    """Set an endpoint up; it hears of what `held` sees. Raises `LimitReached` or `RightsExceeded`."""
    endpoints = desk.table(WebhookEndpoint)
    _require_room(endpoints)
    events = wanted.events or (EVERYTHING,)
    _require_seen(events, held)
    endpoint = WebhookEndpoint(
        id=endpoint_id,
        url=wanted.url or "",
        description=wanted.description or "",
        events=events,
        status=EndpointStatus.ENABLED,
        disabled_by=None,
        capabilities=NEEDED & frozenset(held),
        secrets=(EndpointSecret(sealed, desk.now),),
        created_by=actor,
        created_at=desk.now,
        updated_at=desk.now,
    )
    _keep(desk, AuditAction.CREATE_WEBHOOK_ENDPOINT, None, endpoint, note, actor)
    return endpoint


def update(
    desk: Desk,
    endpoint_id: UUID,
    wanted: EndpointRequest,
    held: Collection[Capability],
    *,
    note: str,
    actor: Actor,
) -> WebhookEndpoint:
    """Change where messages go, or which. It then hears of what `held` sees, no more.

    Raises `NotFound`, or `RightsExceeded` where it hears of what whoever changes it may not see.
    """
    endpoint = _of(desk, endpoint_id)
    # Whoever could change where a stronger endpoint's messages go could read them.
    require_held(endpoint.capabilities, held, field=("webhookEndpointId",))
    if wanted.events is not None:
        _require_seen(wanted.events, held)
    changed = replace(
        endpoint,
        url=endpoint.url if wanted.url is None else wanted.url,
        description=endpoint.description if wanted.description is None else wanted.description,
        events=endpoint.events if wanted.events is None else wanted.events,
        capabilities=NEEDED & frozenset(held),
    )
    if changed == endpoint:
        return endpoint
    changed = replace(changed, updated_at=desk.now)
    _keep(desk, AuditAction.UPDATE_WEBHOOK_ENDPOINT, endpoint, changed, note, actor)
    return changed


def rotate(
    desk: Desk, endpoint_id: UUID, sealed: str, overlap_h: int, *, note: str, actor: Actor
) -> WebhookEndpoint:
    """Give an endpoint a new secret, beside which the old one counts for some hours. Raises `NotFound`."""
    check_overlap(overlap_h)
    endpoint = _of(desk, endpoint_id)
    rotated = endpoint.rotated(sealed, desk.now, timedelta(hours=overlap_h))
    _keep(desk, AuditAction.ROTATE_WEBHOOK_SECRET, endpoint, rotated, note, actor)
    return rotated


def check_overlap(overlap_h: int) -> None:
    """Raise `FieldInvalid` for an overlap that there can't be."""
    if not 0 <= overlap_h <= OVERLAP_MAX_H:
        raise FieldInvalid(f"Choose from 0 to {OVERLAP_MAX_H} hours.", field=("overlapHours",))


def enable(
    desk: Desk, endpoint_id: UUID, held: Collection[Capability], *, note: str, actor: Actor
) -> WebhookEndpoint:
    """Switch an endpoint on; one that is on stays as it is. Raises `NotFound`, `LimitReached` or `RightsExceeded`."""
    endpoint = _of(desk, endpoint_id)
    require_held(endpoint.capabilities, held, field=("webhookEndpointId",))
    if endpoint.is_enabled:
        return endpoint
    _require_room(desk.table(WebhookEndpoint))
    enabled = endpoint.enabled(desk.now)
    _keep(desk, AuditAction.UPDATE_WEBHOOK_ENDPOINT, endpoint, enabled, note, actor)
    return enabled


def disable(desk: Desk, endpoint_id: UUID, by: DisabledBy, *, note: str, actor: Actor) -> WebhookEndpoint:
    """Switch an endpoint off; one that is off stays as it is. Raises `NotFound`."""
    endpoint = _of(desk, endpoint_id)
    if not endpoint.is_enabled:
        return endpoint
    disabled = endpoint.disabled(by, desk.now)
    _keep(desk, AuditAction.UPDATE_WEBHOOK_ENDPOINT, endpoint, disabled, note, actor)
    return disabled


def try_out(desk: Desk, endpoint_id: UUID, *, actor: Actor) -> OutboxMessage:
    """Write a message that tries an endpoint out, also one that is off. Raises `NotFound`."""
    endpoint = _of(desk, endpoint_id)
    kind, test_id = EventType.WEBHOOK_TEST, desk.mint.id()
    body = _payload(kind, CATALOGUE[kind].version, desk.now, {"description": endpoint.description})
    sent = message(test_id, Channel.WEBHOOK, str(endpoint.id), str(kind), body, now=desk.now)
    desk.add(sent)
    data = {"subject": _subject(endpoint), "before": {}, "after": {"message": str(sent.id)}}
    action = AuditAction.TEST_WEBHOOK_ENDPOINT
    desk.add(AuditEntry(desk.mint.id(), None, action, actor, "", desk.now, data))
    return sent


def payload_of(event: OutboxEvent) -> dict[str, Any]:
    """Return the body of the messages that tell of an event: the same for every endpoint and at every attempt."""
    return _payload(event.type, event.version, event.created_at, event.data)


def _payload(event_type: str, version: int, at: datetime, data: dict[str, Any]) -> dict[str, Any]:
    return {"type": str(event_type), "version": version, "timestamp": public_time(at), "data": data}


def _of(desk: Desk, endpoint_id: UUID) -> WebhookEndpoint:
    for endpoint in desk.table(WebhookEndpoint):
        if endpoint.id == endpoint_id:
            return endpoint
    raise NotFound("webhook endpoint", field=("webhookEndpointId",))


def _require_room(endpoints: Iterable[WebhookEndpoint]) -> None:
    if sum(endpoint.is_enabled for endpoint in endpoints) >= ENDPOINTS_MAX:
        raise LimitReached(f"There are {ENDPOINTS_MAX} endpoints already. Disable some that nobody uses.")


def _require_seen(events: Iterable[str], held: Collection[Capability]) -> None:
    """Refuse events that are named in full and that whoever names them may not see; a star means what they may see."""
    named = {EventType(name) for name in events if name in set(EventType)}
    needed = {CATALOGUE[name].needs for name in named} - {None}
    require_held({capability for capability in needed if capability is not None}, held, field=("events",))


def _subject(endpoint: WebhookEndpoint) -> str:
    return endpoint.description or _origin(endpoint.url)


def _origin(url: str) -> str:
    # What follows the host may be a secret of the receiver's.
    found = _ORIGIN.match(url)
    return found.group() if found else ""


def _shown(endpoint: WebhookEndpoint | None) -> dict[str, Any]:
    if endpoint is None:
        return {}
    return {
        "url": _origin(endpoint.url),
        "description": endpoint.description,
        "events": list(endpoint.events),
        "status": str(endpoint.status),
        "capabilities": sorted(endpoint.capabilities),
        "secretSince": endpoint.secrets[0].created_at.isoformat(),
    }


def _keep(  # noqa: PLR0917 — the public functions name everything
    desk: Desk,
    action: AuditAction,
    before: WebhookEndpoint | None,
    after: WebhookEndpoint,
    note: str,
    actor: Actor,
) -> None:
    desk.add(after)
    data = changes(_subject(after), _shown(before), _shown(after)) | {"endpoint": str(after.id)}
    desk.add(AuditEntry(desk.mint.id(), None, action, actor, note, desk.now, data))
