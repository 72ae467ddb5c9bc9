"""Birthdays of customers, on the days of the store's calendar: each once a year, also those of days that were missed."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from tortoise.connection import get_connection

from app.db import READER
from app.domain.cashback.period import local
from app.domain.cashback.rule import TriggerKind
from app.domain.celebration import (
    Celebration,
    birthday_occasion,
    birthdays_on,
    celebration_id,
    day_begins,
    days_to_celebrate,
    have_birthday,
)
from app.domain.due import Due
from app.domain.ledger import SYSTEM, Draft
from app.services.ledger.command import Command, WalletRef
from app.services.ledger.records import read_uuid
from app.services.ledger.writer import Writer

_ANY_CURRENCY = "XXX"
"""For an occasion of which only the key is wanted."""


EARNING = (TriggerKind.BIRTHDAY,)
"""The occasion that a birthday is."""

_NOBODYS = UUID(int=0)
"""The id of no wallet."""


@dataclass(frozen=True, slots=True)
class Birthday:
    """A customer's birthday on a day of the store's calendar, which is not celebrated yet."""

    wallet_id: UUID
    external_id: str
    day: date
    zone: ZoneInfo

    @property
    def key(self) -> str:
        """The key of the occasion that it is."""
        return birthday_key(self.day, self.zone)


def birthday_key(day: date, zone: ZoneInfo) -> str:
    """Return the key of the birthdays of a day: it names the year."""
    return birthday_occasion(_ANY_CURRENCY, day, zone).key


async def due(
    now: datetime, limit: int, without: Collection[UUID] = (), *, zone: ZoneInfo, done_until: date | None
) -> list[Due[Birthday]]:
    """Return birthdays, at most so many, that are not celebrated yet, the oldest day first.

    `done_until` is the last day that is over with; nothing where none has ever been. Of the wallets `without`, none.
    """
    found: list[Due[Birthday]] = []
    for day in days_to_celebrate(local(now, zone).date(), done_until):
        rows = await get_connection(READER).execute_query_dict(
            _statement(day, zone, limit - len(found), without)
        )
        for row in rows:
            wallet_id = read_uuid(row["wallet_id"])
            what = Birthday(wallet_id, row["external_id"], day, zone)
            found.append(Due(wallet_id, day_begins(day, zone), what))
        if len(found) >= limit:
            break
    return found


_DUE = """
SELECT w.id AS wallet_id, c.external_id AS external_id FROM customers c JOIN wallets w ON w.customer_id = c.id
WHERE c.birthday_on > 0 AND c.birthday_on IN ({on}) AND c.birthday < '{day}' AND NOT w.id IN ({without})
AND NOT EXISTS (SELECT 1 FROM celebrations b WHERE b.wallet_id = w.id AND b.key = '{key}')
ORDER BY c.birthday_on, c.id LIMIT {limit}
"""


def _statement(day: date, zone: ZoneInfo, limit: int, without: Collection[UUID]) -> str:
    """All that is put in is ours: numbers, a day, a key made of a year, and ids."""
    return _DUE.format(
        on=", ".join(str(number) for number in birthdays_on(day)),
        day=day.isoformat(),
        without=", ".join(f"'{wallet_id}'" for wallet_id in [_NOBODYS, *without]),
        key=birthday_key(day, zone),
        limit=limit,
    )


async def celebrate(writer: Writer, found: Birthday) -> None:
    """Celebrate a birthday; nothing happens where somebody else has done it meanwhile, or the date was changed."""

    def decide(draft: Draft) -> Celebration | None:
        return have_birthday(draft, found.day, found.zone)

    rows = ((Celebration, celebration_id(found.external_id, found.key)),)
    ref = WalletRef(wallet_id=found.wallet_id)
    await writer.submit(Command("celebrateBirthday", SYSTEM, ref, decide, rows=rows, earns=EARNING))
