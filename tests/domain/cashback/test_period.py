"""The store's calendar: its weeks, month ends, changes of clocks, and birthdays."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from app.domain.cashback.period import Period, birthday_in, day_ends, days_later, is_birthday, month_ends

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = st.sampled_from(
    [
        ZoneInfo(name)
        for name in ("Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Africa/Cairo", "UTC")
    ]
)
days = st.dates(date(2000, 1, 1), date(2099, 12, 31))


@pytest.mark.parametrize(
    ("day", "keys"),
    [
        (date(2026, 3, 14), ["2026-03-14", "2026-W11", "2026-03", "2026"]),
        (date(2027, 1, 1), ["2027-01-01", "2026-W53", "2027-01", "2027"]),
        (date(2024, 12, 30), ["2024-12-30", "2025-W01", "2024-12", "2024"]),
    ],
)
def test_names_of_stretches(day: date, keys: list[str]) -> None:
    assert [period.key(day) for period in Period] == keys


@pytest.mark.parametrize(
    ("day", "ends"),
    [
        (date(2026, 3, 29), "2026-03-29T22:00:00+00:00"),
        (date(2026, 3, 28), "2026-03-28T23:00:00+00:00"),
        (date(2026, 10, 25), "2026-10-25T23:00:00+00:00"),
        (date(2028, 2, 28), "2028-02-28T23:00:00+00:00"),
    ],
)
def test_days_of_23_and_25_hours(day: date, ends: str) -> None:
    assert day_ends(day, BERLIN) == datetime.fromisoformat(ends)


def test_a_midnight_that_clocks_skip() -> None:
    # In Cairo, clocks went from 00:00 to 01:00 on 26 April 2024: the day before ended as the hour was skipped.
    assert day_ends(date(2024, 4, 25), ZoneInfo("Africa/Cairo")) == datetime(2024, 4, 25, 22, tzinfo=UTC)


@given(days, ZONES)
def test_a_month_ends_where_the_next_begins(day: date, zone: ZoneInfo) -> None:
    ends = month_ends(day, zone)
    before, after = ((ends + timedelta(hours=hours)).astimezone(zone).date() for hours in (-2, 2))
    assert (before.year, before.month) == (day.year, day.month)
    assert (after.day, after != before) == (1, True)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1)), st.integers(0, 1000), ZONES)  # noqa: DTZ001 — given a zone below
def test_so_many_days_later_is_that_day_there(at: datetime, count: int, zone: ZoneInfo) -> None:
    at = at.replace(tzinfo=UTC)
    later = days_later(at, count, zone)
    assert (later.astimezone(zone).date() - at.astimezone(zone).date()).days == count
    assert abs(later - at - timedelta(days=count)) <= timedelta(hours=2)


@given(days, st.integers(2001, 2098))
def test_everybody_has_one_birthday_a_year(born: date, year: int) -> None:
    year = max(year, born.year + 1)
    kept = [date(year, 1, 1) + timedelta(days=count) for count in range(366)]
    found = [day for day in kept if day.year == year and is_birthday(born, day)]
    assert found == [birthday_in(year, born)]
    assert not is_birthday(born, born)
