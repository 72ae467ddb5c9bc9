"""What refusals say where nothing is left: a limit of nothing is no advice."""

import pytest

from app.domain.errors import (
    CouponUnknown,
    DomainError,
    InsufficientFunds,
    NotFound,
    PaymentExceeded,
    RefundExceeded,
)


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        (
            InsufficientFunds(available_minor=500, available="5.00 USD"),
            "Only 5.00 USD is available. Choose an amount up to that.",
        ),
        (
            InsufficientFunds(available_minor=500, available="5.00 USD", of="PROMO"),
            "Only 5.00 USD of PROMO is available. Choose an amount up to that.",
        ),
        (
            InsufficientFunds(available_minor=500, available="5.00 USD", withdrawable=True),
            "Only 5.00 USD can be withdrawn. Choose an amount up to that.",
        ),
        (
            InsufficientFunds(available_minor=0, available="0.00 USD"),
            "Nothing is available now. Check the wallet's balance and what is held of it.",
        ),
        (
            InsufficientFunds(available_minor=0, available="0.00 USD", of="PROMO"),
            "Nothing of PROMO is available now. Check the wallet's balance and what is held of it.",
        ),
        (
            InsufficientFunds(available_minor=0, available="0.00 USD", withdrawable=True),
            "Nothing can be withdrawn now. Check the wallet's balance and what is held of it.",
        ),
        (PaymentExceeded("5.00 USD"), "Only 5.00 USD is left for this. Choose an amount up to that."),
        (PaymentExceeded(None), "Nothing of this order is left to pay. Reload it to see what paid it."),
        (
            RefundExceeded("5.00 USD"),
            "Only 5.00 USD of this order can still be refunded. Choose an amount up to that.",
        ),
        (
            RefundExceeded(None, what="the shipping"),
            "Nothing of the shipping is left to refund. Reload the order to see its refunds.",
        ),
    ],
)
def test_what_is_left_is_told_and_nothing_is_called_nothing(refusal: DomainError, message: str) -> None:
    assert refusal.message == message


def test_an_unknown_coupon_is_not_found_and_speaks_of_its_code() -> None:
    refusal = CouponUnknown()
    assert isinstance(refusal, NotFound)
    assert refusal.message == "There is no coupon with this code. Check every character and try again."
    assert refusal.field == ("code",)
