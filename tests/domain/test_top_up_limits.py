"""What may be paid in, what orders keep of top-ups, and when automatic ones ask: tables and properties."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from app.domain.access import Actor, ActorKind
from app.domain.auto_top_up import (
    AutoTopUp,
    AutoTopUpKind,
    AutoTopUpStatus,
    auto_top_up_id,
    declined,
    next_month_day,
    paid,
)
from app.domain.order import Order, OrderLine, OrderSnapshot, OrderStatus
from app.domain.settings import StoreSettings
from app.domain.top_up_intent import Standing, TopUpObstacle, day_after, options
from app.domain.top_up_lines import kept_minor, payable_minor, without
from tests.domain.test_refund import refund as told_refund

BERLIN = ZoneInfo("Europe/Berlin")
SETTINGS = StoreSettings(
    top_ups_enabled=True,
    top_up_methods=("card",),
    top_up_minimum_minor=500,
    top_up_maximum_minor=10_000,
    top_up_day_maximum_minor=15_000,
    wallet_balance_maximum_minor=30_000,
    top_up_suggested_minor=(1_000, 5_000, 10_000),
    top_up_products=("TOP-UP",),
    time_zone="Europe/Berlin",
)


# --- limits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("standing", "largest", "obstacles"),
    [
        (Standing(0), 10_000, ()),
        (Standing(0, paid_today_minor=9_000), 6_000, ()),
        (Standing(0, paid_today_minor=9_000, started_minor=5_500), 500, ()),
        (Standing(0, paid_today_minor=9_000, started_minor=5_501), 0, (TopUpObstacle.DAY_LIMIT,)),
        (Standing(29_500), 500, ()),
        (Standing(29_501), 0, (TopUpObstacle.BALANCE_LIMIT,)),
        (Standing(29_000, started_minor=600), 0, (TopUpObstacle.BALANCE_LIMIT,)),
        (Standing(-5_000), 10_000, ()),
        (Standing(0, is_frozen=True), 0, (TopUpObstacle.FROZEN,)),
    ],
)
def test_what_limits_leave(standing: Standing, largest: int, obstacles: tuple[TopUpObstacle, ...]) -> None:
    found = options(SETTINGS, standing)
    assert (found.largest_minor, found.obstacles) == (largest, obstacles)
    assert all(found.smallest_minor <= amount <= largest for amount in found.suggested_minor)


AMOUNTS = st.integers(0, 100_000)


@given(AMOUNTS, AMOUNTS, AMOUNTS)
def test_whatever_is_possible_keeps_all_limits(posted: int, paid_today: int, started: int) -> None:
    found = options(SETTINGS, Standing(posted, paid_today, started))
    if not found.obstacles:
        most = found.largest_minor
        assert 500 <= most <= 10_000
        assert paid_today + started + most <= 15_000
        assert posted + started + most <= 30_000
    else:
        assert found.largest_minor == 0


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        # Clocks go forward on 2026-03-29 and back on 2026-10-25: those days have 23 and 25 hours.
        (datetime(2026, 3, 28, 23, 30, tzinfo=UTC), datetime(2026, 3, 29, 22, tzinfo=UTC)),
        (datetime(2026, 10, 24, 22, 30, tzinfo=UTC), datetime(2026, 10, 25, 23, tzinfo=UTC)),
    ],
)
def test_a_day_is_one_of_the_stores_calendar(now: datetime, expected: datetime) -> None:
    assert day_after(now, SETTINGS) == expected


# --- orders -------------------------------------------------------------------------------------------------

AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
LINE = OrderLine("1", sku="TOP-UP", subtotal_minor=10_000, total_minor=8_000)
BOOK = OrderLine("2", sku="BOOK", subtotal_minor=3_000, total_minor=3_000, tax_minor=210)


def order(status: OrderStatus = OrderStatus.PAID, *lines: OrderLine, total: int = 11_210) -> Order:
    told = OrderSnapshot("shop", "1042", AT, status, "", "USD", total, lines=lines or (LINE, BOOK))
    return Order.opened("shop", "1042", AT).seen(told, AT)


@pytest.mark.parametrize(
    ("status", "kept"),
    [
        (OrderStatus.PENDING, 0),
        (OrderStatus.ON_HOLD, 0),
        (OrderStatus.FAILED, 0),
        (OrderStatus.PAID, 8_000),
        (OrderStatus.COMPLETED, 8_000),
        (OrderStatus.CANCELLED, 0),
    ],
)
def test_what_an_order_keeps_by_its_status(status: OrderStatus, kept: int) -> None:
    assert kept_minor(order(status), (), SETTINGS, wallet_part_minor=0) == kept


TOLD = OrderSnapshot("shop", "1042", AT, OrderStatus.PAID, "", "USD", 11_210, lines=(LINE, BOOK))


@given(st.integers(0, 11_210))
def test_what_the_wallet_was_to_pay_of_a_top_up_is_not_kept(part: int) -> None:
    found = kept_minor(order(), (), SETTINGS, wallet_part_minor=part)
    assert found == 8_000 - max(0, part - 3_210)
    assert payable_minor(TOLD, SETTINGS) == 3_210


@pytest.mark.parametrize(
    ("amount", "lines", "kept"),
    [
        (3_000, (("1", "0", 3_000, 0),), 5_000),
        (3_210, (("2", "1", 3_000, 210),), 8_000),
        (11_210, (("1", "1", 8_000, 0), ("2", "1", 3_000, 210)), 0),
        # What names no line is divided by what the lines cost, to the store's side: 8000/11210 of it.
        (11_210, (), 0),
        (1, (), 7_999),
        (1_121, (), 7_200),
        # A line that the order hasn't got is as good as none.
        (1_121, (("9", "1", 1_121, 0),), 7_200),
        # A refund of a line and something more.
        (4_121, (("1", "0", 3_000, 0),), 4_200),
        (20_000, (), 0),
    ],
)
def test_what_refunds_take_of_it(
    amount: int, lines: tuple[tuple[str, str, int, int], ...], kept: int
) -> None:
    found = replace(told_refund(1, amount), lines=lines)
    assert kept_minor(order(), (found,), SETTINGS, wallet_part_minor=0) == kept
    withdrawn = replace(found, withdrawn_at=AT)
    assert kept_minor(order(), (withdrawn,), SETTINGS, wallet_part_minor=0) == 8_000


def test_an_order_that_names_a_top_up_is_one() -> None:
    named = order(OrderStatus.PAID, BOOK, total=3_210)
    assert named.basis is not None
    assert kept_minor(named, (), SETTINGS, wallet_part_minor=0) == 0
    named = replace(named, basis=replace(named.basis, top_up="TI-1"))
    assert kept_minor(named, (), SETTINGS, wallet_part_minor=0) == 3_000


def test_top_ups_earn_nothing_as_what_was_bought() -> None:
    rest = without(order(), SETTINGS)
    assert rest is not None
    assert rest.basis is not None
    assert (rest.basis.lines, rest.basis.total_minor) == ((BOOK,), 3_210)
    assert without(order(OrderStatus.PAID, LINE, total=8_000), SETTINGS) is None
    plain = order(OrderStatus.PAID, BOOK, total=3_210)
    assert without(plain, SETTINGS) is plain


# --- automatic ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "after", "expected"),
    [
        (31, datetime(2026, 1, 15, 12, tzinfo=UTC), datetime(2026, 1, 30, 23, tzinfo=UTC)),
        # The 31st of February is the 28th, and in a leap year the 29th.
        (31, datetime(2026, 1, 31, 12, tzinfo=UTC), datetime(2026, 2, 27, 23, tzinfo=UTC)),
        (31, datetime(2028, 1, 31, 12, tzinfo=UTC), datetime(2028, 2, 28, 23, tzinfo=UTC)),
        (1, datetime(2026, 12, 1, 12, tzinfo=UTC), datetime(2026, 12, 31, 23, tzinfo=UTC)),
        # After clocks went forward a day begins at 22:00 UTC, and after they went back at 23:00 again.
        (30, datetime(2026, 3, 29, 12, tzinfo=UTC), datetime(2026, 3, 29, 22, tzinfo=UTC)),
        (26, datetime(2026, 10, 25, 12, tzinfo=UTC), datetime(2026, 10, 25, 23, tzinfo=UTC)),
    ],
)
def test_the_next_day_of_a_month(day: int, after: datetime, expected: datetime) -> None:
    assert next_month_day(day, after, BERLIN) == expected


@given(
    st.integers(1, 31),
    st.integers(0, 20 * 366 * 86_400).map(
        lambda seconds: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    ),
)
def test_there_is_one_in_every_month(day: int, after: datetime) -> None:
    first = next_month_day(day, after, BERLIN)
    second = next_month_day(day, first, BERLIN)
    assert after < first < second
    months = [at.astimezone(BERLIN).year * 12 + at.astimezone(BERLIN).month for at in (first, second)]
    assert months[1] == months[0] + 1
    shown = first.astimezone(BERLIN)
    assert (shown.hour, shown.minute) == (0, 0)
    assert shown.day == day or (shown + timedelta(days=1)).astimezone(BERLIN).day == 1


def rule(**more: Any) -> AutoTopUp:
    wallet_id = auto_top_up_id(LINE_ID, AutoTopUpKind.THRESHOLD)
    found = AutoTopUp(
        id=LINE_ID,
        wallet_id=wallet_id,
        kind=AutoTopUpKind.THRESHOLD,
        threshold_minor=2_000,
        day_of_month=None,
        amount_minor=5_000,
        currency="USD",
        payment_method="card",
        payment_token="tok-81",
        status=AutoTopUpStatus.ACTIVE,
        declines=0,
        next_attempt_at=AT,
        charge_id=LINE_ID,
        created_by=Actor(ActorKind.CUSTOMER, "ada"),
        created_at=AT,
        updated_at=AT,
    )
    return replace(found, **more)


LINE_ID = order().id


def test_declines_wait_longer_each_time_and_then_it_has_failed() -> None:
    # Clocks go forward within the three days: it is the same time of day all the same.
    now = datetime(2026, 3, 26, 9, tzinfo=UTC)
    found, waits = rule(), []
    for _ in range(3):
        found = declined(found, now, BERLIN)
        assert (found.status, found.charge_id) == (AutoTopUpStatus.ACTIVE, None)
        waits.append(found.next_attempt_at)
        now = found.next_attempt_at
    assert waits == [
        datetime(2026, 3, 27, 9, tzinfo=UTC),
        datetime(2026, 3, 30, 8, tzinfo=UTC),
        datetime(2026, 4, 6, 8, tzinfo=UTC),
    ]
    found = declined(found, now, BERLIN)
    assert (found.status, found.declines) == (AutoTopUpStatus.FAILED, 4)


def test_a_success_forgets_the_declines() -> None:
    found = paid(rule(declines=3), AT, BERLIN)
    assert (found.declines, found.next_attempt_at, found.charge_id) == (0, AT, None)
    monthly = rule(kind=AutoTopUpKind.MONTHLY, threshold_minor=None, day_of_month=5)
    assert paid(monthly, AT, BERLIN).next_attempt_at == datetime(2026, 2, 4, 23, tzinfo=UTC)
