"""Whose birthday is on which day, which days are due, and what expires on which."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from app.domain.access import Actor, ActorKind
from app.domain.cashback.period import is_birthday
from app.domain.cashback.rule import TriggerKind
from app.domain.celebration import (
    CATCH_UP_DAYS_MAX,
    birthday_occasion,
    birthdays_on,
    celebrate,
    day_begins,
    days_to_celebrate,
)
from app.domain.customer import CustomerDetails, day_of_year
from app.domain.errors import FieldInvalid
from app.domain.event import EventTold, StoreEvent, event_id, record
from app.domain.reminder import by_day
from tests.domain.book import START, Book

DAYS = st.dates(date(1900, 1, 1), date(2100, 12, 31))
STORE = Actor(ActorKind.SERVICE, "store")
ZONES = ("UTC", "Europe/Berlin", "America/Havana", "Pacific/Apia", "Pacific/Kiritimati")


@given(DAYS, DAYS)
def test_the_index_finds_whose_birthday_it_is(born: date, day: date) -> None:
    assert (day_of_year(born) in birthdays_on(day) and day > born) == is_birthday(born, day)


@given(DAYS, st.integers(0, 400))
def test_missed_days_are_due_each_once_and_not_too_many(today: date, away: int) -> None:
    done_until = today - timedelta(days=away)
    days = list(days_to_celebrate(today, done_until))
    assert len(days) == min(away, CATCH_UP_DAYS_MAX + 1)
    assert all(later - earlier == timedelta(days=1) for earlier, later in pairwise(days))
    assert not days or days[-1] == today


def test_a_first_day_is_today() -> None:
    assert list(days_to_celebrate(date(2026, 3, 1), None)) == [date(2026, 3, 1)]


@given(DAYS.filter(lambda day: day.year > 1970), st.sampled_from(ZONES))
def test_days_begin_where_the_one_before_ends(day: date, name: str) -> None:
    zone = ZoneInfo(name)
    begins, next_begins = day_begins(day, zone), day_begins(day + timedelta(days=1), zone)
    # A day that a zone skipped (Apia, 2011-12-30) has no length; clocks change by an hour at most.
    assert timedelta() <= next_begins - begins <= timedelta(hours=25)


def test_an_occasion_comes_once() -> None:
    book = Book()
    occasion = birthday_occasion("USD", date(2026, 3, 1), ZoneInfo("Europe/Berlin"))
    assert (occasion.key, occasion.at) == ("birthday:2026", datetime(2026, 2, 28, 23, tzinfo=UTC))
    first = book.do(lambda draft: celebrate(draft, occasion))
    assert first is not None
    book.rows.put(first)
    assert book.do(lambda draft: celebrate(draft, occasion)) is None


def test_an_event_told_twice_is_one() -> None:
    book = Book()
    told = EventTold("review", " 81 ", START - timedelta(hours=1)).checked()
    event = book.do(lambda draft: record(draft, told, STORE))
    assert event.id == event_id("ada", "review", "81")
    book.rows.put(event)
    later = EventTold("review", "81", START)
    assert book.do(lambda draft: record(draft, later, STORE)) == event
    occasion = event.occasion("USD")
    assert (occasion.trigger, occasion.key, occasion.event) == (
        TriggerKind.EVENT,
        "event:review:81",
        "review",
    )
    assert isinstance(event, StoreEvent)


@pytest.mark.parametrize(
    ("ahead", "refused"),
    [(timedelta(hours=-5), False), (timedelta(hours=23), False), (timedelta(hours=25), True)],
)
def test_an_event_has_happened(ahead: timedelta, refused: bool) -> None:
    told = EventTold("review", "81", START + ahead)
    if refused:
        with pytest.raises(FieldInvalid, match="future"):
            Book().do(lambda draft: record(draft, told, STORE))
        return
    event = Book().do(lambda draft: record(draft, told, STORE))
    assert event.occurred_at == min(START + ahead, START), "a clock that is ahead makes no future"


@pytest.mark.parametrize("name", ["", "Review", "my review", "-x", "x-", "é", "a" * 101])
def test_names_of_events(name: str) -> None:
    with pytest.raises(FieldInvalid):
        EventTold(name, "1").checked()


@dataclass
class Expiring:
    """A lot, as far as its expiry goes."""

    expires_at: datetime | None


def test_lots_are_grouped_by_the_stores_days() -> None:
    zone = ZoneInfo("America/New_York")
    # Clocks go back on the night to the 1st of November 2026: that day has 25 hours.
    times = [datetime(2026, 11, 1, hour, tzinfo=UTC) for hour in (3, 4, 23)] + [
        datetime(2026, 11, 2, 4, 59, tzinfo=UTC),
        datetime(2026, 11, 2, 5, tzinfo=UTC),
    ]
    grouped = by_day([Expiring(None), *(Expiring(at) for at in reversed(times))], zone)
    assert {day: len(lots) for day, lots in grouped.items()} == {
        date(2026, 10, 31): 1,
        date(2026, 11, 1): 3,
        date(2026, 11, 2): 1,
    }
    assert list(grouped) == sorted(grouped)


def test_what_is_not_told_of_a_customer_stays() -> None:
    ada = Book().state.customer
    told = ada.told(CustomerDetails(birthday=date(1990, 2, 29 - 1), roles=("vip",)), START)
    assert (told.birthday_on, told.roles) == (228, ("vip",))
    assert told.told(CustomerDetails(), START) is told
    assert told.told(CustomerDetails(segments=("news",)), START).birthday == date(1990, 2, 28)
    bare = told.told(CustomerDetails(without_birthday=True, roles=()), START)
    assert (bare.birthday, bare.birthday_on, bare.roles) == (None, 0, ())
    with pytest.raises(FieldInvalid):
        ada.told(CustomerDetails(birthday=START.date() + timedelta(days=2)), START)
