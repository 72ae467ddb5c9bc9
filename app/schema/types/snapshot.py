"""An order as the store tells of it: the input of recordOrder, and what it becomes."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal as Number

import strawberry

from app.domain.errors import DomainError, FieldInvalid
from app.domain.money import Currency, currency_of, rounded_minor
from app.domain.order import (
    Coupon,
    OrderLine,
    OrderSnapshot,
    RefundedLine,
    StoreCustomer,
    StoreRefund,
    Subscription,
    check_snapshot,
)
from app.schema.types.enums import OrderStatus
from app.schema.types.inputs import OPTIONAL_KEY
from app.schema.types.scalars import CurrencyCode, DateTime, Decimal

ROUNDED = "In the order's currency; decimals beyond it are rounded half up."


@strawberry.input(description="Whose order it is; one who is not known gets a wallet.")
class StoreCustomerInput:
    """A customer as the store knows them."""

    store_customer_id: str = strawberry.field(description="The store's own id of the customer.")
    name: str | None = strawberry.field(default=None, description="The name; taken over where none is known.")
    email: str | None = strawberry.field(
        default=None, description="The e-mail address; taken over where none is known."
    )


@strawberry.input(description="One line of an order.")
class OrderLineInput:
    """A line."""

    line_id: str = strawberry.field(description="The store's own id of the line.")
    name: str | None = strawberry.field(default=None, description="What was bought.")
    sku: str | None = strawberry.field(default=None, description="The store's stock number.")
    product_id: str | None = strawberry.field(default=None, description="The store's own id of the product.")
    variation_id: str | None = strawberry.field(
        default=None, description="The store's own id of the variation."
    )
    categories: list[str] | None = strawberry.field(default=None, description="The product's categories.")
    quantity: Decimal = strawberry.field(
        default=Decimal("1"), description="How many; also fractions, such as 1.5 metres."
    )
    subtotal: Decimal | None = strawberry.field(
        default=None,
        description=f"What it costs before discounts, without tax; the total when left out. {ROUNDED}",
    )
    total: Decimal = strawberry.field(description=f"What it costs after discounts, without tax. {ROUNDED}")
    tax: Decimal | None = strawberry.field(default=None, description=f"The tax of it. {ROUNDED}")
    on_sale: bool = strawberry.field(
        default=False,
        description="Whether it was sold at a lowered price, for cashback rules that leave that out.",
    )


@strawberry.input(description="A coupon that was used on an order.")
class OrderCouponInput:
    """A coupon."""

    code: str = strawberry.field(description="What the customer typed.")
    discount: Decimal | None = strawberry.field(default=None, description=f"What it took off. {ROUNDED}")


@strawberry.input(description="The part of a refund that falls on one line of the order.")
class StoreRefundLineInput:
    """A line of a refund."""

    line_id: str = strawberry.field(description="The store's own id of the line.")
    quantity: Decimal | None = strawberry.field(default=None, description="How many of it.")
    amount: Decimal | None = strawberry.field(default=None, description=f"How much, without tax. {ROUNDED}")
    tax: Decimal | None = strawberry.field(default=None, description=f"The tax of it. {ROUNDED}")


@strawberry.input(description="A refund that the store knows of.")
class StoreRefundInput:
    """A refund."""

    store_refund_id: str = strawberry.field(description="The store's own id of it, unique within the order.")
    amount: Decimal = strawberry.field(
        description=f"All of it, positive, tax and shipping included. {ROUNDED}"
    )
    tax: Decimal | None = strawberry.field(default=None, description=f"The tax in it. {ROUNDED}")
    shipping: Decimal | None = strawberry.field(default=None, description=f"The shipping in it. {ROUNDED}")
    lines: list[StoreRefundLineInput] | None = strawberry.field(
        default=None, description="What of it falls on which line."
    )
    reason: str | None = strawberry.field(default=None, description="Why, in words. The customer can see it.")
    reference: str | None = strawberry.field(
        default=None,
        description="The reference number of the refund that it is, if it began here by refundOrder.",
    )
    created_at: DateTime | None = strawberry.field(default=None, description="When it was made.")


@strawberry.input(description="The subscription that an order belongs to.")
class OrderSubscriptionInput:
    """A subscription."""

    reference: str = strawberry.field(description="The store's own id of the subscription.")
    is_renewal: bool = strawberry.field(
        default=False, description="Whether the order renews it; false when it began it."
    )


@strawberry.input(
    description="The whole order as the store sees it now. It may be told as often as one likes and in any order: the "
    "newest by modifiedAt counts, and what is missing in the ledger is posted."
)
class RecordOrderInput:
    """Input of recordOrder."""

    source: str = strawberry.field(
        description="The store's software or channel: small letters, digits, - and _, such as woocommerce."
    )
    external_id: str = strawberry.field(
        description="The store's own id of the order, unique within its source."
    )
    modified_at: DateTime = strawberry.field(description="When the store changed it last.")
    status: OrderStatus = strawberry.field(description="How it stands.")
    store_status: str | None = strawberry.field(
        default=None, description="The store's own word for how it stands."
    )
    number: str | None = strawberry.field(default=None, description="What people call the order.")
    currency: CurrencyCode = strawberry.field(description="The currency of all its amounts.")
    total: Decimal = strawberry.field(
        description=f"What it costs, tax and shipping included, refunds not taken off. {ROUNDED}"
    )
    tax: Decimal | None = strawberry.field(default=None, description=f"The tax in the total. {ROUNDED}")
    shipping: Decimal | None = strawberry.field(
        default=None, description=f"The shipping in the total, with its tax. {ROUNDED}"
    )
    discount: Decimal | None = strawberry.field(
        default=None, description=f"What discounts took off. {ROUNDED}"
    )
    paid_otherwise: Decimal | None = strawberry.field(
        default=None,
        description=f"What other payment methods gave; left out, all that the wallet did not give. {ROUNDED}",
    )
    payment_method: str | None = strawberry.field(
        default=None, description="The store's own word for the payment method."
    )
    customer: StoreCustomerInput | None = strawberry.field(
        default=None, description="Whose order it is; left out for a guest's."
    )
    guest_email: str | None = strawberry.field(default=None, description="The e-mail address of a guest.")
    lines: list[OrderLineInput] | None = strawberry.field(
        default=None, description="What was bought, at most 500 lines."
    )
    coupons: list[OrderCouponInput] | None = strawberry.field(
        default=None, description="The coupons that were used, at most 100."
    )
    refunds: list[StoreRefundInput] | None = strawberry.field(
        default=None,
        description="All refunds that the store knows of, at most 200; one that is missing was taken back.",
    )
    subscription: OrderSubscriptionInput | None = strawberry.field(
        default=None, description="The subscription that it began or renews."
    )
    placed_at: DateTime | None = strawberry.field(default=None, description="When it was placed.")
    top_up: str | None = strawberry.field(
        default=None,
        description="The reference of the top-up that startTopUp began, where the order pays it. Without lines of a top-up "
        "product, all of its lines are the top-up.",
    )
    idempotency_key: str | None = strawberry.field(default=None, description=OPTIONAL_KEY)


@strawberry.input(description="An order that is not placed yet, such as a cart, for looking at a coupon.")
class CouponOrderInput:
    """A cart."""

    currency: CurrencyCode = strawberry.field(description="The currency of all its amounts.")
    total: Decimal = strawberry.field(description=f"What it costs, tax and shipping included. {ROUNDED}")
    tax: Decimal | None = strawberry.field(default=None, description=f"The tax in the total. {ROUNDED}")
    shipping: Decimal | None = strawberry.field(
        default=None, description=f"The shipping in the total, with its tax. {ROUNDED}"
    )
    lines: list[OrderLineInput] | None = strawberry.field(
        default=None, description="What is bought, at most 500 lines; coupons for certain products need them."
    )


def cart_of(given: CouponOrderInput, now: datetime) -> OrderSnapshot:
    """Return a cart as the order that it would be, or raise `FieldInvalid` below the argument `order`."""
    read = _Reader(currency_of(given.currency))
    try:
        return check_snapshot(
            OrderSnapshot(
                source="cart",
                external_id="cart",
                modified_at=now,
                status=OrderStatus.PENDING,
                store_status="",
                currency=given.currency,
                total_minor=read.minor(given.total, "total"),
                tax_minor=read.minor(given.tax, "tax"),
                shipping_minor=read.minor(given.shipping, "shipping"),
                lines=tuple(read.line(line) for line in given.lines or ()),
            )
        )
    except DomainError as error:
        error.field = ("order", *_FIELDS.get(error.field, error.field))
        raise


def snapshot_of(given: RecordOrderInput) -> OrderSnapshot:
    """Return what the store told, with amounts in minor units, or raise `FieldInvalid`. It is not checked yet."""
    read = _Reader(currency_of(given.currency))
    customer, subscription = given.customer, given.subscription
    return OrderSnapshot(
        source=given.source,
        external_id=given.external_id,
        modified_at=given.modified_at,
        status=given.status,
        store_status=given.store_status or "",
        currency=given.currency,
        total_minor=read.minor(given.total, "total"),
        number=given.number or "",
        tax_minor=read.minor(given.tax, "tax"),
        shipping_minor=read.minor(given.shipping, "shipping"),
        discount_minor=read.minor(given.discount, "discount"),
        paid_otherwise_minor=None
        if given.paid_otherwise is None
        else read.minor(given.paid_otherwise, "paidOtherwise"),
        payment_method=given.payment_method,
        customer=None
        if customer is None
        else StoreCustomer(customer.store_customer_id, customer.name, customer.email),
        guest_email=given.guest_email,
        lines=_unlike(tuple(read.line(line) for line in given.lines or ())),
        coupons=tuple(
            Coupon(coupon.code, read.minor(coupon.discount, "coupons.discount"))
            for coupon in given.coupons or ()
        ),
        refunds=tuple(read.refund(refund) for refund in given.refunds or ()),
        subscription=None
        if subscription is None
        else Subscription(subscription.reference, subscription.is_renewal),
        placed_at=given.placed_at,
        top_up=given.top_up,
    )


def _unlike(lines: tuple[OrderLine, ...]) -> tuple[OrderLine, ...]:
    """Return the lines; a refund of two that have one id would be taken for a refund of each."""
    if len({line.id for line in lines}) < len(lines):
        raise FieldInvalid("Two lines have the same id. Give each its own.", field=("lines", "lineId"))
    return lines


_FIELDS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("customer", "id"): ("customer", "storeCustomerId"),
    ("lines", "id"): ("lines", "lineId"),
    ("refunds", "id"): ("refunds", "storeRefundId"),
}


@contextmanager
def naming_fields() -> Iterator[None]:
    """Have refusals of a snapshot name the fields of the input: every door has its own names for ids."""
    try:
        yield
    except DomainError as error:
        error.field = _FIELDS.get(error.field, error.field)
        raise


class _Reader:
    """Reads the parts of an order, all in one currency."""

    def __init__(self, currency: Currency) -> None:
        self._currency = currency

    def minor(self, amount: Decimal | None, field: str) -> int:
        """Return an amount in minor units; what is not told is nothing."""
        return rounded_minor(Number(amount or "0"), self._currency, field=tuple(field.split(".")))

    def line(self, line: OrderLineInput) -> OrderLine:
        """Return a line."""
        total_minor = self.minor(line.total, "lines.total")
        return OrderLine(
            id=line.line_id,
            name=line.name or "",
            product_id=line.product_id,
            variation_id=line.variation_id,
            sku=line.sku,
            categories=tuple(line.categories or ()),
            quantity=Number(line.quantity),
            subtotal_minor=total_minor
            if line.subtotal is None
            else self.minor(line.subtotal, "lines.subtotal"),
            total_minor=total_minor,
            tax_minor=self.minor(line.tax, "lines.tax"),
            on_sale=line.on_sale,
        )

    def refund(self, refund: StoreRefundInput) -> StoreRefund:
        """Return a refund."""
        return StoreRefund(
            id=refund.store_refund_id,
            amount_minor=self.minor(refund.amount, "refunds.amount"),
            tax_minor=self.minor(refund.tax, "refunds.tax"),
            shipping_minor=self.minor(refund.shipping, "refunds.shipping"),
            lines=tuple(
                RefundedLine(
                    line.line_id,
                    Number(line.quantity or "0"),
                    self.minor(line.amount, "refunds.lines.amount"),
                    self.minor(line.tax, "refunds.lines.tax"),
                )
                for line in refund.lines or ()
            ),
            reason=refund.reason or "",
            reference=refund.reference,
            created_at=refund.created_at,
        )
