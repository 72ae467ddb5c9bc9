"""Occasions that come by themselves: a customer signs up, and has a birthday each year. Each comes once."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from app.domain.cashback.occasion import Occasion
from app.domain.cashback.period import is_birthday
from app.domain.cashback.posting import earn
from app.domain.customer import SIGN_UP_AGE_MAX, day_of_year
from app.domain.ledger import Draft

_NAMESPACE = UUID("e2a1c2b4-93c1-5f0e-8a57-1f6b4f0f5d2c")

SIGN_UP_KEY = "sign-up"
"""The key of the occasion that a registration is."""

CATCH_UP_DAYS_MAX = 31
"""How many days that were missed are caught up with."""


@dataclass(frozen=True, slots=True)
class Celebration:
    """An occasion of a customer that came: `key` is the occasion's, once for each customer."""

    id: UUID
    wallet_id: UUID
    trigger: str
    key: str
    occurred_at: datetime
    created_at: datetime


def celebration_id(external_id: str, key: str) -> UUID:
    """Return the id of a celebration, which follows from the store's id of the customer and the occasion's key."""
    return uuid5(_NAMESPACE, f"{external_id}\n{key}")


def celebrate(draft: Draft, occasion: Occasion) -> Celebration | None:
    """Write down that an occasion came and give what it earns, or return nothing because it had come before.

    The command names the row: `(Celebration, celebration_id(customer, occasion.key))`.
    """
    row_id = celebration_id(draft.customer.external_id, occasion.key)
    if draft.found(Celebration, row_id) is not None:
        return None
    celebration = Celebration(
        row_id, draft.wallet.id, str(occasion.trigger), occasion.key, occasion.at, draft.now
    )
    draft.add(celebration)
    earn(draft, occasion)
    return celebration


# --- signing up ---------------------------------------------------------------------------------------------


def sign_up(draft: Draft) -> Celebration | None:
    """Celebrate that a customer signed up, a moment ago or at least not long ago."""
    signed_up_at = draft.customer.signed_up_at
    if signed_up_at is None or draft.now - signed_up_at > SIGN_UP_AGE_MAX:
        return None
    return celebrate(draft, Occasion.of_sign_up(draft.wallet.currency, min(signed_up_at, draft.now)))


# --- birthdays ----------------------------------------------------------------------------------------------


def birthday_occasion(currency: str, day: date, zone: ZoneInfo) -> Occasion:
    """Return the occasion that a birthday on this day of the store's calendar is; it begins with the day."""
    return Occasion.of_birthday(currency, day_begins(day, zone), zone)


def have_birthday(draft: Draft, day: date, zone: ZoneInfo) -> Celebration | None:
    """Celebrate the customer's birthday if it is on this day of the store's calendar, once a year."""
    born = draft.customer.birthday
    if born is None or not is_birthday(born, day):
        return None
    return celebrate(draft, birthday_occasion(draft.wallet.currency, day, zone))


def day_begins(day: date, zone: ZoneInfo) -> datetime:
    """Return the first moment of a day of the store's calendar, in UTC."""
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


def birthdays_on(day: date) -> tuple[int, ...]:
    """Return which birthdays are kept on a day, by `day_of_year`: on the 28th of February also those of the 29th."""
    leaps = (day + timedelta(days=1)).month == 2
    return (228, 229) if (day.month, day.day) == (2, 28) and not leaps else (day_of_year(day),)


def days_to_celebrate(today: date, done_until: date | None) -> Iterator[date]:
    """Yield the days whose birthdays are due, the oldest first: today, and those that were missed before."""
    first = today if done_until is None else done_until + timedelta(days=1)
    day = max(first, today - timedelta(days=CATCH_UP_DAYS_MAX))
    while day <= today:
        yield day
        day += timedelta(days=1)
