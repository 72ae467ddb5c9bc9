"""What a cart would earn: the cart as callers send it, and the answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal as Number

import strawberry

from app.domain.cashback.reward import VestingKind
from app.domain.errors import DomainError, FieldInvalid
from app.domain.money import Currency, currency_of, rounded_minor
from app.domain.order import Coupon, OrderLine, OrderSnapshot, OrderStatus, check_snapshot
from app.schema.types.cashback_outcome import CashbackRuleOutcome, outcome_type
from app.schema.types.customer import CustomerSelector
from app.schema.types.enums import Bucket
from app.schema.types.money import Money, money
from app.schema.types.scalars import CurrencyCode, DateTime, Decimal
from app.schema.types.snapshot import ROUNDED, OrderCouponInput
from app.services.cashback.preview import Cart, Earning, Preview

SOURCE = "preview"


@strawberry.input(description="One line of a cart.")
class CashbackCartLineInput:
    """A line."""

    line_id: str | None = strawberry.field(
        default=None, description="The store's own id of the line; left out, its place: 1, 2, 3 …"
    )
    sku: str | None = strawberry.field(default=None, description="The store's stock number.")
    product_id: str | None = strawberry.field(default=None, description="The store's own id of the product.")
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
    on_sale: bool = strawberry.field(default=False, description="Whether it is sold at a lowered price.")


@strawberry.input(description="A cart, or an order before it is placed.")
class PreviewCashbackInput:
    """Input of previewCashback."""

    lines: list[CashbackCartLineInput] | None = strawberry.field(
        default=None, description="What would be bought, at most 500 lines."
    )
    total: Decimal | None = strawberry.field(
        default=None,
        description=f"What all of it costs, with tax and shipping; left out, the sum of lines and shipping. {ROUNDED}",
    )
    tax: Decimal | None = strawberry.field(
        default=None, description=f"The tax in the total; left out, that of the lines. {ROUNDED}"
    )
    shipping: Decimal | None = strawberry.field(
        default=None, description=f"The shipping, with its tax. {ROUNDED}"
    )
    discount: Decimal | None = strawberry.field(
        default=None, description=f"What discounts took off. {ROUNDED}"
    )
    coupons: list[OrderCouponInput] | None = strawberry.field(
        default=None, description="The coupons that are used, at most 100."
    )
    payment_method: str | None = strawberry.field(
        default=None, description="The store's own word for the payment method."
    )
    wallet_pays: Decimal | None = strawberry.field(
        default=None, description=f"What the wallet will pay of it. {ROUNDED}"
    )
    currency: CurrencyCode | None = strawberry.field(
        default=None, description="The currency of all its amounts; left out, the store's."
    )
    source: str | None = strawberry.field(
        default=None, description="The store's software or channel that the order would come from."
    )
    customer: CustomerSelector | None = strawberry.field(
        default=None,
        description="For whom. Customers leave it out, and visitors too; others than oneself need CASHBACK_READ.",
    )


def cart_of(given: PreviewCashbackInput, store_currency: str, now: datetime) -> Cart:
    """Return the cart as an order that would be placed now, or raise `FieldInvalid`."""
    currency = currency_of(given.currency or store_currency)

    def minor(amount: str | None, *field: str) -> int:
        return rounded_minor(Number(amount or "0"), currency, field=field)

    lines = tuple(_line(line, place, currency) for place, line in enumerate(given.lines or (), 1))
    shipping, taxes = minor(given.shipping, "shipping"), sum(line.tax_minor for line in lines)
    cost = sum(line.total_minor for line in lines) + taxes + shipping
    order = OrderSnapshot(
        source=given.source or SOURCE,
        external_id=SOURCE,
        modified_at=now,
        placed_at=now,
        status=OrderStatus.COMPLETED,
        store_status="",
        currency=currency.code,
        total_minor=cost if given.total is None else minor(given.total, "total"),
        tax_minor=taxes if given.tax is None else minor(given.tax, "tax"),
        shipping_minor=shipping,
        discount_minor=minor(given.discount, "discount"),
        payment_method=given.payment_method,
        lines=lines,
        coupons=tuple(
            Coupon(coupon.code, minor(coupon.discount, "coupons", "discount"))
            for coupon in given.coupons or ()
        ),
    )
    order = check_snapshot(order)
    pays = minor(given.wallet_pays, "walletPays")
    if not 0 <= pays <= order.total_minor:
        raise FieldInvalid(
            "The wallet pays from nothing to all of the total. Give such an amount.", field=("walletPays",)
        )
    told = zip(order.lines, given.lines or (), strict=True)
    return Cart(order, pays, frozenset(line.id for line, sent in told if sent.on_sale))


def _line(line: CashbackCartLineInput, place: int, currency: Currency) -> OrderLine:
    def minor(amount: str | None, name: str) -> int:
        return rounded_minor(Number(amount or "0"), currency, field=("lines", name))

    total = minor(line.total, "total")
    return OrderLine(
        id=str(place) if line.line_id is None else line.line_id,
        product_id=line.product_id,
        sku=line.sku,
        categories=tuple(line.categories or ()),
        quantity=Number(line.quantity),
        subtotal_minor=total if line.subtotal is None else minor(line.subtotal, "subtotal"),
        total_minor=total,
        tax_minor=minor(line.tax, "tax"),
    )


@contextmanager
def naming_cart_fields() -> Iterator[None]:
    """Have refusals of a cart name the fields of the input."""
    try:
        yield
    except DomainError as error:
        field = ("lines", "lineId") if error.field == ("lines", "id") else error.field
        error.field = ("input", *field)
        raise


# --- the answer ---------------------------------------------------------------------------------------------


@strawberry.type(description="What one rule would give.")
class CashbackEarning:
    """An earning."""

    name: str = strawberry.field(description="The rule's name.")
    amount: Money = strawberry.field(description="How much.")
    bucket: Bucket = strawberry.field(description="The kind of value that it becomes.")
    vests_at: DateTime = strawberry.field(
        description="When it could be spent if the order were completed now."
    )
    expires_at: DateTime | None = strawberry.field(
        description="When it would be gone if it were not spent; null for never."
    )
    sentences: list[str] = strawberry.field(description="The same in words.")


@strawberry.type(
    description="What a cart would earn if it were paid and completed now. Nothing is promised: caps and rules may change."
)
class CashbackPreview:
    """A preview."""

    total: Money = strawberry.field(description="What all rules give together.")
    earnings: list[CashbackEarning] = strawberry.field(description="What each rule gives.")
    sentences: list[str] = strawberry.field(description="The same in words.")
    outcomes: list[CashbackRuleOutcome] | None = strawberry.field(
        description="What became of every rule and why; null without the capability CASHBACK_READ."
    )


def preview_type(found: Preview, *, explained_to_staff: bool) -> CashbackPreview:
    """Return a preview as GraphQL shows it."""
    currency = currency_of(found.currency)
    total = found.total_minor
    outcomes = [outcome for evaluation in found.evaluations for outcome in evaluation.outcomes]
    earnings = [_earning(earning, currency) for earning in found.earnings]
    first = f"You will earn {currency.display(total)}." if total else "You will earn no cashback."
    return CashbackPreview(
        total=money(total, currency.code),
        earnings=earnings,
        sentences=[first, *(" ".join(earning.sentences) for earning in earnings)],
        outcomes=[outcome_type(outcome, currency) for outcome in outcomes] if explained_to_staff else None,
    )


def _earning(earning: Earning, currency: Currency) -> CashbackEarning:
    rule, award = earning.outcome.rule, earning.award
    at_once = rule.reward.vesting.kind is VestingKind.AT_ONCE
    since = "at once" if at_once else f"from {award.vests_at:%Y-%m-%d} on"
    until = f", until {award.expires_at:%Y-%m-%d}" if award.expires_at else ""
    return CashbackEarning(
        name=rule.name,
        amount=money(award.amount_minor, currency.code),
        bucket=award.bucket,
        vests_at=DateTime(award.vests_at),
        expires_at=DateTime(award.expires_at) if award.expires_at else None,
        sentences=[
            f"{rule.name} gives {currency.display(award.amount_minor)}.",
            f"It can be spent {since}{until}.",
        ],
    )
