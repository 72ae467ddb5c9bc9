"""What an order's figures say: what the wallet did, what is left to pay, what was refunded."""

from typing import Any

import pytest

from app.domain.order import OrderStatus
from app.domain.standing import Standing

NOTHING = Standing(
    status=OrderStatus.PENDING,
    total_minor=100,
    otherwise_minor=0,
    held_minor=0,
    captured_minor=0,
    returned_minor=0,
    refunded_minor=0,
    to_wallet_minor=0,
)


def standing(**figures: Any) -> Standing:
    """An order of 100 with these figures."""
    known = {field: getattr(NOTHING, field) for field in Standing.__dataclass_fields__}
    return Standing(**known | figures)


PAID, CANCELLED = OrderStatus.PAID, OrderStatus.CANCELLED


@pytest.mark.parametrize(
    ("figures", "state", "left"),
    [
        ({}, "UNPAID", 100),
        ({"total_minor": None}, "UNPAID", None),
        ({"total_minor": 0}, "PAID", 0),
        ({"held_minor": 30}, "AUTHORIZED", 70),
        ({"held_minor": 100}, "AUTHORIZED", 0),
        ({"held_minor": 30, "otherwise_minor": 70}, "AUTHORIZED", 0),
        ({"captured_minor": 30}, "PARTIALLY_PAID", 70),
        ({"captured_minor": 30, "held_minor": 70}, "PARTIALLY_PAID", 0),
        ({"captured_minor": 30, "otherwise_minor": 70}, "PAID", 0),
        ({"captured_minor": 100}, "PAID", 0),
        ({"captured_minor": 30, "total_minor": None}, "PAID", None),
        ({"captured_minor": 30, "held_minor": 1, "total_minor": None}, "PARTIALLY_PAID", None),
        ({"status": PAID}, "PAID", 0),
        ({"status": PAID, "captured_minor": 30}, "PAID", 0),
        # What came back by a refund had been paid; what came back because the order ended had not.
        (
            {"status": PAID, "captured_minor": 100, "returned_minor": 100, "to_wallet_minor": 100},
            "PAID",
            0,
        ),
        ({"status": CANCELLED, "captured_minor": 100, "returned_minor": 100}, "RETURNED", 100),
        (
            {"status": CANCELLED, "captured_minor": 100, "returned_minor": 100, "to_wallet_minor": 30},
            "RETURNED",
            100,
        ),
        ({"status": CANCELLED}, "UNPAID", 100),
    ],
)
def test_payment_state(figures: dict[str, Any], state: str, left: int | None) -> None:
    found = standing(**figures)
    assert (found.payment_state, found.left_minor) == (state, left)


@pytest.mark.parametrize(
    ("figures", "state"),
    [
        ({}, "NONE"),
        ({"total_minor": 0}, "NONE"),
        ({"refunded_minor": 1}, "PARTIALLY_REFUNDED"),
        ({"refunded_minor": 100}, "REFUNDED"),
        ({"status": OrderStatus.REFUNDED}, "REFUNDED"),
        ({"total_minor": None, "captured_minor": 30, "refunded_minor": 29}, "PARTIALLY_REFUNDED"),
        ({"total_minor": None, "captured_minor": 30, "refunded_minor": 30}, "REFUNDED"),
    ],
)
def test_refund_state(figures: dict[str, Any], state: str) -> None:
    assert standing(**figures).refund_state == state
