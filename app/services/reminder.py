"""Customers are reminded of value before it expires: written down once for each wallet and day."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from tortoise.expressions import Subquery
from tortoise.functions import Min
from tortoise.queryset import QuerySet

from app.domain.cashback.period import day_ends, local
from app.domain.celebration import day_begins
from app.domain.due import Due
from app.domain.ledger import SYSTEM, Draft
from app.domain.reminder import ExpiryReminder, remind, reminder_id
from app.models.lot import Lot
from app.models.paging import CountLoader, PageLoader, Sort, time_value
from app.models.reminder import ExpiryReminder as ExpiryReminderModel
from app.services.ledger.command import Command, WalletRef
from app.services.ledger.records import read_time, read_uuid
from app.services.ledger.writer import Writer

_MOMENT = timedelta(microseconds=1)

SORT = Sort("CREATED_AT", "created_at", lambda row: row.created_at, time_value, descending=True)
"""Reminders come newest first."""


def reminders(_all: None, wallet_id: UUID | None = None) -> QuerySet[ExpiryReminderModel]:
    """Return the query of reminders, of one wallet or of the whole store."""
    query = ExpiryReminderModel.all()
    return query if wallet_id is None else query.filter(wallet_id=wallet_id)


Pages = PageLoader[None, ExpiryReminderModel]
Counts = CountLoader[None]


def pages() -> Pages:
    """Return a loader of pages of wallets' reminders, newest first."""
    return PageLoader(reminders, SORT, partition="wallet_id")


def counts() -> Counts:
    """Return a loader of how many reminders wallets have."""
    return CountLoader(reminders, partition="wallet_id")


@dataclass(frozen=True, slots=True)
class Expiry:
    """A day of the store's calendar on which value of a wallet expires."""

    wallet_id: UUID
    day: date
    zone: ZoneInfo

    @property
    def id(self) -> UUID:
        """The id of the reminder of it."""
        return reminder_id(self.wallet_id, self.day)


async def due(
    now: datetime, limit: int, without: Collection[UUID] = (), *, zone: ZoneInfo, days: int
) -> list[Due[Expiry]]:
    """Return days and wallets, at most so many, that were not reminded of yet, the soonest expiry first.

    `days` is how long before customers are reminded: 0 reminds nobody. Reminders named in `without` are left out.
    """
    today, lead = local(now, zone).date(), timedelta(days=days)
    found: list[Due[Expiry]] = []
    for ahead in range(days + 1 if days else 0):
        day = today + timedelta(days=ahead)
        ends = min(day_ends(day, zone), now + lead + _MOMENT)
        lots = Lot.filter(
            remaining_minor__gt=0,
            expires_at__gt=now,
            expires_at__gte=day_begins(day, zone),
            expires_at__lt=ends,
        )
        # A statement, not a list: on most looks nearly all were reminded.
        done = ExpiryReminderModel.filter(expires_on=day).values("wallet_id")
        lots = lots.exclude(wallet_id__in=Subquery(done))
        grouped = lots.annotate(first=Min("expires_at")).group_by("wallet_id").order_by("first")
        # What is left out is known by the reminder's id, which the database doesn't: so many more are read.
        rows = await grouped.limit(limit - len(found) + len(without)).values("wallet_id", "first")
        for row in rows:
            what = Expiry(read_uuid(row["wallet_id"]), day, zone)
            if what.id not in without:
                found.append(Due(what.id, read_time(row["first"]) - lead, what))
        if len(found) >= limit:
            break
    return found[:limit]


async def write_down(writer: Writer, found: Expiry) -> None:
    """Write a reminder down; nothing happens where that was done meanwhile, or where the value is gone."""

    def decide(draft: Draft) -> ExpiryReminder | None:
        return remind(draft, found.day, found.zone)

    rows = ((ExpiryReminder, found.id),)
    ref = WalletRef(wallet_id=found.wallet_id)
    await writer.submit(Command("remindOfExpiry", SYSTEM, ref, decide, rows=rows))
