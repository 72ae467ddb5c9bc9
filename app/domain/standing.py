"""How an order stands, seen from the wallet: what it gave, what is left to pay, what was refunded."""

from dataclasses import dataclass
from enum import StrEnum

from app.domain.order import OrderStatus

_ENDED = frozenset({OrderStatus.CANCELLED, OrderStatus.FAILED})
_PAID = frozenset({OrderStatus.PAID, OrderStatus.COMPLETED, OrderStatus.REFUNDED})


class OrderPaymentState(StrEnum):
    """What the wallet did for an order, and whether anything is left to pay."""

    UNPAID = "UNPAID"
    """The wallet gave nothing, and the order is not paid."""
    AUTHORIZED = "AUTHORIZED"
    """The wallet holds value for it, and has given nothing yet."""
    PARTIALLY_PAID = "PARTIALLY_PAID"
    """The wallet gave a part, and the rest is not paid yet."""
    PAID = "PAID"
    """Nothing is left to pay: the wallet gave all of it, or the store says that the rest was paid otherwise."""
    RETURNED = "RETURNED"
    """The wallet got back all that it had given, because the order was called off."""


class OrderRefundState(StrEnum):
    """How much of an order was refunded, to the wallet and otherwise."""

    NONE = "NONE"
    """Nothing was refunded."""
    PARTIALLY_REFUNDED = "PARTIALLY_REFUNDED"
    """A part was refunded."""
    REFUNDED = "REFUNDED"
    """All of it was refunded."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of an order, in minor units.

    `status` is the newest that is known. Of the wallet's payments, `held_minor` is held, `captured_minor` was taken and
    `returned_minor` of that given back. `refunded_minor` is what all refunds come to, `to_wallet_minor` their part that
    went back to where the wallet had paid from. No total: the store has not told of the order.
    """

    status: OrderStatus
    total_minor: int | None
    otherwise_minor: int
    held_minor: int
    captured_minor: int
    returned_minor: int
    refunded_minor: int
    to_wallet_minor: int

    @property
    def given_minor(self) -> int:
        """What the wallet gave, refunds not taken off."""
        net_minor = self.captured_minor - self.returned_minor
        # What came back by a refund had been paid; what came back because the order ended had not.
        refunded_minor = 0 if self.status in _ENDED else min(self.to_wallet_minor, self.returned_minor)
        return net_minor + refunded_minor

    @property
    def left_minor(self) -> int | None:
        """What is left to pay beside what the wallet gave or holds; unknown while the store has told of no total."""
        if self.status in _PAID:
            return 0
        if self.total_minor is None:
            return None
        return max(0, self.total_minor - self.otherwise_minor - self.given_minor - self.held_minor)

    @property
    def payment_state(self) -> OrderPaymentState:
        """What the wallet did, and whether anything is left to pay."""
        settled = self.left_minor == 0 and not self.held_minor
        if not self.given_minor:
            if self.captured_minor:
                return OrderPaymentState.RETURNED
            if self.held_minor:
                return OrderPaymentState.AUTHORIZED
            return OrderPaymentState.PAID if settled else OrderPaymentState.UNPAID
        if settled or (self.left_minor is None and not self.held_minor):
            return OrderPaymentState.PAID
        return OrderPaymentState.PARTIALLY_PAID

    @property
    def refund_state(self) -> OrderRefundState:
        """How much was refunded."""
        paid_minor = self.captured_minor if self.total_minor is None else self.total_minor
        if self.status is OrderStatus.REFUNDED or 0 < paid_minor <= self.refunded_minor:
            return OrderRefundState.REFUNDED
        return OrderRefundState.PARTIALLY_REFUNDED if self.refunded_minor else OrderRefundState.NONE
