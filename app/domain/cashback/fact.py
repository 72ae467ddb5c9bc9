"""The variables that an expression may name, filled from an occasion. What is not known is 0, -1 or empty."""

from collections.abc import Iterable
from datetime import date, datetime

from app.domain.cashback.occasion import CustomerFacts, Occasion
from app.domain.order import OrderLine


def variables(
    occasion: Occasion, customer: CustomerFacts | None, shown: datetime, signed_up_on: date | None
) -> dict[str, object]:
    """Return a value for each name of `expression.VARIABLES`."""
    return {
        "trigger": str(occasion.trigger),
        "at": occasion.at,
        "local.year": shown.year,
        "local.month": shown.month,
        "local.day": shown.day,
        "local.weekday": shown.isoweekday(),
        "local.hour": shown.hour,
        "customer.known": customer is not None,
        "customer.roles": sorted(customer.roles) if customer else [],
        "customer.segments": sorted(customer.segments) if customer else [],
        "customer.orders_completed": (customer and customer.orders_completed) or 0,
        "customer.lifetime_spend_minor": (customer and customer.lifetime_spend_minor) or 0,
        "customer.days_since_sign_up": -1 if signed_up_on is None else (shown.date() - signed_up_on).days,
        "amount_minor": occasion.amount_minor,
        "currency": occasion.currency,
        "payment_method": occasion.payment_method or "",
        "wallet_paid_minor": occasion.wallet_paid_minor,
        "event": occasion.event or "",
        **_of_order(occasion),
    }


def _of_order(occasion: Occasion) -> dict[str, object]:
    order = occasion.order
    lines = order.lines if order else ()
    return {
        "order.source": order.source if order else "",
        "order.tax_minor": order.tax_minor if order else 0,
        "order.shipping_minor": order.shipping_minor if order else 0,
        "order.discount_minor": order.discount_minor if order else 0,
        "order.lines": len(lines),
        "order.coupons": [coupon.code for coupon in order.coupons] if order else [],
        "order.category_totals_minor": _sums(
            (category, _total(line)) for line in lines for category in line.categories
        ),
        "order.product_totals_minor": _sums(
            (line.product_id, _total(line)) for line in lines if line.product_id is not None
        ),
        "order.sku_units": _sums((line.sku, int(line.quantity)) for line in lines if line.sku is not None),
    }


def _total(line: OrderLine) -> int:
    return line.total_minor + line.tax_minor


def _sums(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for name, amount in pairs:
        sums[name] = sums.get(name, 0) + amount
    return sums
