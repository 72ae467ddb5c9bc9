"""Time as the store's customers see it: days, months and birthdays in the store's own zone.

A length in days is counted on the calendar there, so a day on which clocks change is a day like any other.
"""

from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from app.domain.errors import FieldInvalid


class Period(StrEnum):
    """A stretch of the store's calendar that caps begin anew with."""

    DAY = "DAY"
    """From midnight to midnight."""
    WEEK = "WEEK"
    """From Monday to Sunday."""
    MONTH = "MONTH"
    """A month of the calendar."""
    YEAR = "YEAR"
    """A year of the calendar."""

    def key(self, day: date) -> str:
        """Return the name of the stretch that a day of the store's calendar is in, such as `2026-03`."""
        if self is Period.DAY:
            return day.isoformat()
        if self is Period.WEEK:
            # The ISO year, which is not always the calendar's: 2027-01-01 is in the last week of 2026.
            year, week, _ = day.isocalendar()
            return f"{year:04}-W{week:02}"
        return f"{day.year:04}-{day.month:02}" if self is Period.MONTH else f"{day.year:04}"


@lru_cache(maxsize=64)
def zone_of(name: str, *, field: tuple[str, ...] = ("timeZone",)) -> ZoneInfo:
    """Return a time zone by its IANA name, or raise `FieldInvalid`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise FieldInvalid(
            f"{name[:48]!r} is no time zone. Use a name of the IANA database, such as Europe/Berlin.",
            field=field,
        ) from None


def local(at: datetime, zone: ZoneInfo) -> datetime:
    """Return a moment as the store's clocks show it."""
    return at.astimezone(zone)


def days_later(at: datetime, days: int, zone: ZoneInfo) -> datetime:
    """Return the same time of day so many calendar days later, in UTC.

    A time that clocks skip there is taken as they stood before the change, so it comes an hour later by the new ones.
    """
    shown = at.astimezone(zone)
    return (shown.replace(tzinfo=None) + timedelta(days=days)).replace(tzinfo=zone).astimezone(UTC)


def day_ends(day: date, zone: ZoneInfo) -> datetime:
    """Return the first moment after a day of the store's calendar, in UTC."""
    return datetime.combine(day + timedelta(days=1), time(), tzinfo=zone).astimezone(UTC)


def month_ends(day: date, zone: ZoneInfo) -> datetime:
    """Return the first moment after the month that a day is in, in UTC."""
    # The 28th is in every month, and four days later is always the next one.
    next_month = (day.replace(day=28) + timedelta(days=4)).replace(day=1)
    return day_ends(next_month - timedelta(days=1), zone)


def birthday_in(year: int, born: date) -> date:
    """Return when a birthday is kept: that of the 29th of February on the 28th where there is no 29th."""
    try:
        return born.replace(year=year)
    except ValueError:
        return date(year, 2, 28)


def is_birthday(born: date, day: date) -> bool:
    """Tell whether a birthday is kept on this day; nobody has one before they are born."""
    return day > born and birthday_in(day.year, born) == day
