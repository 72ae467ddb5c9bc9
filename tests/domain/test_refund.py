"""Refunds divided between the wallet and others, and worked out from lines."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations
from uuid import UUID

import pytest

from app.domain.access import Actor, ActorKind
from app.domain.bucket import Bucket
from app.domain.errors import FieldInvalid, RefundExceeded
from app.domain.money import currency_of
from app.domain.order import OrderLine, OrderSnapshot, OrderStatus
from app.domain.refund import (
    LineToRefund,
    Refund,
    RefundDestination,
    RefundPlan,
    left_minor,
    plan_lines,
    share,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
USD = currency_of("USD")
SPLIT, WALLET, ORIGINAL = (
    RefundDestination.SPLIT,
    RefundDestination.WALLET,
    RefundDestination.ORIGINAL_PAYMENT,
)


def refund(number: int, amount_minor: int, destination: RefundDestination = SPLIT) -> Refund:
    """A refund; the number says when it was made."""
    return Refund(
        id=UUID(int=number),
        order_id=UUID(int=0),
        wallet_id=UUID(int=0),
        reference=f"RF-{number}",
        external_id=None,
        destination=destination,
        bucket=Bucket.CASH,
        amount_minor=amount_minor,
        shipping_minor=0,
        tax_minor=0,
        wallet_minor=0,
        credited_minor=0,
        elsewhere_minor=0,
        currency="USD",
        note="",
        lines=(),
        created_by=Actor(ActorKind.SERVICE, "store"),
        refunded_at=NOW + timedelta(minutes=number),
        created_at=NOW,
    )


def parts(found: Refund) -> tuple[int, int, int]:
    """What went back to the wallet, was credited to it, and went to others."""
    return found.wallet_minor, found.credited_minor, found.elsewhere_minor


@pytest.mark.parametrize(
    ("destination", "amounts", "expected"),
    [
        (SPLIT, (100,), [(50, 0, 50)]),
        (SPLIT, (1,), [(1, 0, 0)]),
        (SPLIT, (1, 1), [(1, 0, 0), (0, 0, 1)]),
        (SPLIT, (33, 33, 34), [(17, 0, 16), (16, 0, 17), (17, 0, 17)]),
        (WALLET, (30, 70), [(30, 0, 0), (20, 50, 0)]),
        (ORIGINAL, (30, 70), [(0, 0, 30), (50, 0, 20)]),
        (SPLIT, (120,), [(50, 0, 50)]),
        (SPLIT, (60, 60), [(30, 0, 30), (20, 0, 20)]),
    ],
)
def test_divided_between_two_halves(
    destination: RefundDestination, amounts: tuple[int, ...], expected: list[tuple[int, int, int]]
) -> None:
    refunds = [refund(number, amount, destination) for number, amount in enumerate(amounts)]
    shares = share(refunds, wallet_minor=50, elsewhere_minor=50)
    assert [parts(one) for one in shares.refunds] == expected
    assert shares.is_capped is (sum(amounts) > 100)
    assert shares.refunded_minor == min(100, sum(amounts))


@pytest.mark.parametrize("wallet", [0, 1, 33, 50, 67, 99, 100])
def test_a_full_refund_in_parts_loses_no_cent(wallet: int) -> None:
    refunds = [refund(number, amount) for number, amount in enumerate((7, 13, 31, 49))]
    shares = share(refunds, wallet_minor=wallet, elsewhere_minor=100 - wallet)
    assert shares.wallet_minor == wallet
    assert sum(one.elsewhere_minor for one in shares.refunds) == 100 - wallet
    assert all(sum(parts(one)) == one.amount_minor for one in shares.refunds)


def test_it_does_not_matter_in_which_order_they_become_known() -> None:
    refunds = [refund(1, 30, WALLET), refund(2, 30, ORIGINAL), refund(3, 41, SPLIT)]
    found = {share(order, wallet_minor=50, elsewhere_minor=51).refunds for order in permutations(refunds)}
    assert len(found) == 1


def test_what_was_withdrawn_counts_for_nothing() -> None:
    gone = replace(refund(1, 60), withdrawn_at=NOW)
    shares = share([gone, refund(2, 100)], wallet_minor=50, elsewhere_minor=50)
    assert [parts(one) for one in shares.refunds] == [(0, 0, 0), (50, 0, 50)]
    assert not shares.is_capped
    assert left_minor(100, [gone, refund(2, 30)]) == 70


# --- lines --------------------------------------------------------------------------------------------------

LINES = (
    OrderLine("1", "Desk lamp", quantity=Decimal(3), total_minor=1_000, tax_minor=190),
    OrderLine("2", "Linen", quantity=Decimal("1.5"), total_minor=1_000),
    OrderLine("3", "Gift wrap", quantity=Decimal(0), total_minor=100),
)
BASIS = OrderSnapshot(
    source="shop",
    external_id="1",
    modified_at=NOW,
    status=OrderStatus.PAID,
    store_status="",
    currency="USD",
    total_minor=2_790,
    shipping_minor=500,
    lines=LINES,
)


def planned(
    lines: tuple[LineToRefund, ...],
    before: tuple[Refund, ...] = (),
    *,
    shipping_minor: int | None = None,
    with_shipping: bool = False,
) -> RefundPlan:
    """What a request comes to after what was refunded before."""
    return plan_lines(
        BASIS, before, lines, shipping_minor=shipping_minor, with_shipping=with_shipping, currency=USD
    )


def in_turn(*asked: LineToRefund) -> list[tuple[int, int]]:
    """What lines come to that are refunded one after the other: the amount, and the tax in it."""
    before: tuple[Refund, ...] = ()
    found = []
    for number, line in enumerate(asked):
        plan = planned((line,), before)
        before += (replace(refund(number, plan.amount_minor), lines=plan.lines),)
        found.append((plan.amount_minor, plan.tax_minor))
    return found


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        # 11.90 for three: the last one takes what rounding left.
        ((1, 1, 1), [(397, 63), (396, 63), (397, 63)]),
        ((2, 1), [(793, 127), (397, 63)]),
        ((3,), [(1_190, 190)]),
        ((1, None), [(397, 63), (793, 127)]),
        ((None,), [(1_190, 190)]),
    ],
)
def test_pieces_of_a_line(asked: tuple[int | None, ...], expected: list[tuple[int, int]]) -> None:
    lines = [LineToRefund("1", None if number is None else Decimal(number)) for number in asked]
    assert in_turn(*lines) == expected
    assert sum(amount for amount, _ in in_turn(*lines)) == 1_190


def test_fractions_and_lines_without_pieces() -> None:
    assert in_turn(LineToRefund("2", Decimal("0.5")), LineToRefund("2", Decimal(1))) == [(333, 0), (667, 0)]
    assert in_turn(LineToRefund("3", Decimal(1))) == [(100, 0)]
    assert in_turn(LineToRefund("1", amount_minor=119), LineToRefund("1")) == [(119, 19), (1_071, 171)]


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (LineToRefund("1", Decimal("3.01")), ("lines", "0", "quantity")),
        (LineToRefund("1", Decimal(0)), ("lines", "0", "quantity")),
        (LineToRefund("1", Decimal(-1)), ("lines", "0", "quantity")),
        (LineToRefund("1", Decimal("9" * 40)), ("lines", "0", "quantity")),
        (LineToRefund("1", amount_minor=1_191), ("lines", "0")),
    ],
)
def test_more_than_the_line(line: LineToRefund, path: tuple[str, ...]) -> None:
    with pytest.raises(RefundExceeded) as refused:
        planned((line,))
    assert refused.value.field == path


def test_no_such_line() -> None:
    with pytest.raises(FieldInvalid) as refused:
        planned((LineToRefund("1"), LineToRefund("9")))
    assert refused.value.field == ("lines", "1", "lineId")


def test_shipping() -> None:
    assert planned((), with_shipping=True).shipping_minor == 500
    assert planned((), shipping_minor=200) == RefundPlan(200, 200, 0, ())
    before = (replace(refund(1, 200), shipping_minor=200),)
    assert planned((), before, with_shipping=True).amount_minor == 300
    with pytest.raises(RefundExceeded) as refused:
        planned((), before, shipping_minor=301)
    assert refused.value.field == ("shipping", "amount")
