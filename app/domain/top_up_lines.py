"""The lines of an order that mean a top-up: what was kept of them, and what is left of the order without them.

A top-up line is one of the store's top-up products; in an order that names a top-up started here and has no such line,
all of them are. Amounts are in minor units, without tax: tax is the state's, so sell top-ups untaxed.
"""

from collections.abc import Iterable
from dataclasses import replace

from app.domain.order import Order, OrderLine, OrderSnapshot, OrderStatus
from app.domain.refund import Refund
from app.domain.settings import StoreSettings

_KEPT = frozenset({OrderStatus.PAID, OrderStatus.COMPLETED, OrderStatus.REFUNDED})
"""Where the store has had the money."""


def lines_of(told: OrderSnapshot | None, settings: StoreSettings) -> tuple[OrderLine, ...]:
    """Return the lines that mean a top-up."""
    if told is None:
        return ()
    products = frozenset(settings.top_up_products)
    named = tuple(
        line for line in told.lines if products & {line.sku, line.product_id, line.variation_id} - {None}
    )
    return named or (told.lines if told.top_up else ())


def payable_minor(told: OrderSnapshot, settings: StoreSettings) -> int:
    """Return what a wallet may pay of an order at most: all but its top-ups, tax included."""
    return max(0, told.total_minor - _gross(lines_of(told, settings)))


def without(order: Order, settings: StoreSettings) -> Order | None:
    """Return the order without its top-ups, as it earns cashback; `None` where nothing else is in it."""
    told = order.basis
    found = lines_of(told, settings)
    if told is None or not found:
        return order
    rest = tuple(line for line in told.lines if line not in found)
    if not rest:
        return None
    discount = sum(line.subtotal_minor - line.total_minor for line in found)
    return replace(
        order,
        basis=replace(
            told,
            lines=rest,
            total_minor=payable_minor(told, settings),
            tax_minor=max(0, told.tax_minor - sum(line.tax_minor for line in found)),
            discount_minor=max(0, told.discount_minor - max(0, discount)),
        ),
    )


def face_value_minor(told: OrderSnapshot, settings: StoreSettings) -> int:
    """Return what was bought, before discounts."""
    return sum(max(line.subtotal_minor, 0) for line in lines_of(told, settings))


def kept_minor(
    order: Order, refunds: Iterable[Refund], settings: StoreSettings, *, wallet_part_minor: int
) -> int:
    """Return what the store kept of an order's top-ups: what was paid for them, less what was refunded of them.

    `wallet_part_minor` is what wallets were to pay of the order; what of it would fall on the top-ups is no money.
    A refund that names no lines of the order is divided by what the lines cost. An order that was called off has kept nothing.
    """
    told = order.basis
    if told is None or told.status not in _KEPT or order.is_deleted:
        return 0
    found = lines_of(told, settings)
    paid = sum(line.total_minor for line in found)
    by_wallet = max(0, wallet_part_minor - payable_minor(told, settings))
    ids, known = {line.id for line in found}, told.line_ids
    named, other = 0, 0
    for refund in refunds:
        if refund.withdrawn_at is not None:
            continue
        # Of a refund's lines each is (line, quantity, amount, tax).
        named += sum(part[2] for part in refund.lines if part[0] in ids)
        of_lines = sum(part[2] + part[3] for part in refund.lines if part[0] in known)
        other += max(0, refund.amount_minor - of_lines)
    # Rounded up: the store may have given back that much.
    spread = -(-min(other, told.total_minor) * paid // told.total_minor) if told.total_minor else 0
    return max(0, paid - by_wallet - named - spread)


def _gross(lines: Iterable[OrderLine]) -> int:
    return sum(line.total_minor + line.tax_minor for line in lines)
