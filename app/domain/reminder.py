"""What expires soon: grouped by the days of the store's calendar, and written down once so that customers are told."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol, TypeVar
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from app.domain.bucket import Bucket
from app.domain.cashback.period import local
from app.domain.ledger import Draft

_NAMESPACE = UUID("5d0f6b0a-7f43-5a1c-9c0e-0a4c8f1e6b77")


class Expiring(Protocol):
    """A lot, as the ledger or a model has it."""

    @property
    def expires_at(self) -> datetime | None:
        """When it expires."""


L = TypeVar("L", bound=Expiring)


@dataclass(frozen=True, slots=True)
class ExpiryReminder:
    """A wallet's value that expires on one day, written down before: what there was then, in minor units.

    `expires_on` is the day in the store's calendar, `expires_at` when the first of it expires.
    """

    id: UUID
    wallet_id: UUID
    expires_on: date
    expires_at: datetime
    amount_minor: int
    currency: str
    created_at: datetime


def reminder_id(wallet_id: UUID, day: date) -> UUID:
    """Return the id of the reminder of a wallet and a day: there is one."""
    return uuid5(_NAMESPACE, f"{wallet_id}\n{day.isoformat()}")


def remind(draft: Draft, day: date, zone: ZoneInfo) -> ExpiryReminder | None:
    """Write down what expires on a day of the store's calendar; nothing where that was done, or nothing is left.

    The command names the row: `(ExpiryReminder, reminder_id(wallet, day))`.
    """
    row_id = reminder_id(draft.wallet.id, day)
    lots = by_day(draft.drawable(frozenset(Bucket)), zone).get(day, [])
    if draft.found(ExpiryReminder, row_id) is not None or not lots:
        return None
    reminder = ExpiryReminder(
        id=row_id,
        wallet_id=draft.wallet.id,
        expires_on=day,
        expires_at=min(lot.expires_at for lot in lots if lot.expires_at is not None),
        amount_minor=sum(lot.remaining_minor for lot in lots),
        currency=draft.wallet.currency,
        created_at=draft.now,
    )
    draft.add(reminder)
    return reminder


def by_day(lots: Iterable[L], zone: ZoneInfo) -> Mapping[date, list[L]]:
    """Group lots that expire by the day of the store's calendar, the soonest first."""
    expiring = sorted(
        (at, place, lot) for place, lot in enumerate(lots) if (at := lot.expires_at) is not None
    )
    days: dict[date, list[L]] = {}
    for at, _, lot in expiring:
        days.setdefault(local(at, zone).date(), []).append(lot)
    return days
