"""Named events that the store tells of, such as a review: told twice, they are the same event."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid5

from app.domain.access import Actor
from app.domain.cashback.occasion import Occasion
from app.domain.cashback.posting import earn
from app.domain.errors import FieldInvalid
from app.domain.ledger import Draft
from app.domain.order import check_id

_NAMESPACE = UUID("0d9c1b7e-4b2a-5c66-8f3d-7a5e2c9b1f40")

NAME_MAX = 100
"""Characters of an event's name: as many as a rule's trigger can have."""

AHEAD_MAX = timedelta(days=1)
"""How far the store's clock may be ahead of ours."""

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class StoreEvent:
    """Something that a customer did in the store; `external_id` is the store's own id of it."""

    id: UUID
    wallet_id: UUID
    name: str
    external_id: str
    occurred_at: datetime
    created_by: Actor
    created_at: datetime

    def occasion(self, currency: str) -> Occasion:
        """Return the occasion that it is."""
        return Occasion.of_event(self.name, self.external_id, currency, self.occurred_at)


def event_id(customer: str, name: str, external_id: str) -> UUID:
    """Return the id of an event, which follows from the store's ids of the customer and of the event."""
    return uuid5(_NAMESPACE, f"{customer}\n{name}\n{external_id}")


@dataclass(frozen=True, slots=True)
class EventTold:
    """An event as the store tells of it."""

    name: str
    external_id: str
    occurred_at: datetime | None = None

    def checked(self) -> "EventTold":
        """Return it as it is kept, or raise `FieldInvalid`."""
        if len(self.name) > NAME_MAX or not _NAME.fullmatch(self.name):
            raise FieldInvalid(
                f"{self.name[:32]!r} is no name of an event. Use small letters, digits, dots, - and _, such as review.",
                field=("event",),
            )
        return EventTold(self.name, check_id(self.external_id, field="eventId"), self.occurred_at)


def record(draft: Draft, told: EventTold, actor: Actor) -> StoreEvent:
    """Write an event down and give what it earns, or return it as it was written down before.

    The command names the row: `(StoreEvent, event_id(customer, name, external_id))`. Raises `FieldInvalid` for an event
    that has not happened yet.
    """
    row_id = event_id(draft.customer.external_id, told.name, told.external_id)
    known = draft.found(StoreEvent, row_id)
    if known is not None:
        return known
    if told.occurred_at is not None and told.occurred_at - draft.now > AHEAD_MAX:
        raise FieldInvalid(
            "This lies in the future. Check the store's clock, and tell of the event once it has happened.",
            field=("occurredAt",),
        )
    occurred_at = draft.now if told.occurred_at is None else min(told.occurred_at, draft.now)
    event = StoreEvent(row_id, draft.wallet.id, told.name, told.external_id, occurred_at, actor, draft.now)
    draft.add(event)
    earn(draft, event.occasion(draft.wallet.currency), actor=actor)
    return event
