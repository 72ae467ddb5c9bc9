"""What of an order is given back, and where it goes.

How much each refund takes from the wallet's part of the payment, and how much from what was paid otherwise, follows
from all refunds of the order in one fixed order (`share`). So it does not matter in which order they become known.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from uuid import UUID, uuid5

from app.domain.access import Actor
from app.domain.bucket import Bucket
from app.domain.errors import FieldInvalid, RefundExceeded
from app.domain.money import Currency
from app.domain.order import OrderSnapshot, StoreRefund

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class RefundDestination(StrEnum):
    """Where a refund goes."""

    WALLET = "WALLET"
    """All of it becomes store credit: first the wallet's part goes back to where it came from, the rest is new credit."""
    ORIGINAL_PAYMENT = "ORIGINAL_PAYMENT"
    """To how it was paid: first what other payment methods gave (the store sends that), then the wallet's part."""
    SPLIT = "SPLIT"
    """To how it was paid, in proportion: the wallet's part goes back to the wallet, the store sends the rest."""


@dataclass(frozen=True, slots=True)
class Refund:
    """One refund of an order, known from the store (`external_id`) or made here; amounts in minor units.

    `wallet_minor` goes back to the lots that paid, `credited_minor` becomes new credit in `bucket`, and
    `elsewhere_minor` is what the store sends to the other payment methods. `withdrawn_at`: the store took it back.
    """

    id: UUID
    order_id: UUID
    wallet_id: UUID
    reference: str
    external_id: str | None
    destination: RefundDestination
    bucket: Bucket
    amount_minor: int
    shipping_minor: int
    tax_minor: int
    wallet_minor: int
    credited_minor: int
    elsewhere_minor: int
    currency: str
    note: str
    lines: tuple[tuple[str, str, int, int], ...]
    created_by: Actor
    refunded_at: datetime | None
    created_at: datetime
    withdrawn_at: datetime | None = None

    @property
    def is_stores(self) -> bool:
        """Whether the store made it, and not a request here."""
        return self.external_id is not None and self.id == refund_id(self.order_id, self.external_id)


@dataclass(frozen=True, slots=True)
class Shares:
    """What all refunds of an order come to, in minor units, and each refund with its own part of it."""

    refunds: tuple[Refund, ...]
    wallet_minor: int
    credited_minor: int
    refunded_minor: int
    is_capped: bool


def refund_id(order_id: UUID, external_id: str) -> UUID:
    """Return the id of a refund that the store made: it follows from the store's own."""
    return uuid5(order_id, external_id)


def place(refund: Refund) -> tuple[datetime, str]:
    """Sort key: when it was made, as its maker says; those of a store that does not say come first."""
    return (refund.refunded_at or _LONG_AGO, refund.external_id or refund.reference)


def share(refunds: Iterable[Refund], *, wallet_minor: int, elsewhere_minor: int) -> Shares:
    """Divide refunds between the wallet, which paid `wallet_minor`, and the other methods, which paid the rest.

    Together they never exceed what was paid; the last of a full refund takes what is left, so that no cent is lost
    to rounding.
    """
    divided, capped = [], False
    in_wallet, outside, credited = wallet_minor, elsewhere_minor, 0
    for refund in sorted(refunds, key=place):
        if refund.withdrawn_at is not None:
            divided.append(replace(refund, wallet_minor=0, credited_minor=0, elsewhere_minor=0))
            continue
        amount = min(refund.amount_minor, in_wallet + outside)
        capped = capped or amount < refund.amount_minor
        back = _wallet_part(refund.destination, amount, in_wallet, outside)
        rest = amount - back
        as_credit = rest if refund.destination is RefundDestination.WALLET else 0
        divided.append(
            replace(refund, wallet_minor=back, credited_minor=as_credit, elsewhere_minor=rest - as_credit)
        )
        in_wallet, outside, credited = in_wallet - back, outside - rest, credited + as_credit
    paid = wallet_minor + elsewhere_minor
    return Shares(tuple(divided), wallet_minor - in_wallet, credited, paid - in_wallet - outside, capped)


def _wallet_part(destination: RefundDestination, amount: int, in_wallet: int, outside: int) -> int:
    if destination is RefundDestination.WALLET:
        return min(amount, in_wallet)
    if destination is RefundDestination.ORIGINAL_PAYMENT:
        return max(0, amount - outside)
    # In proportion to what is left, half a unit in the customer's favour: the wallet is theirs.
    left = in_wallet + outside
    return (2 * amount * in_wallet + left) // (2 * left) if left else 0


@dataclass(frozen=True, slots=True)
class LineToRefund:
    """A line of the order to refund: a quantity of it, or an amount with tax; neither means what is left of it."""

    line_id: str
    quantity: Decimal | None = None
    amount_minor: int | None = None


@dataclass(frozen=True, slots=True)
class RefundPlan:
    """What a request to refund comes to, in minor units, tax included."""

    amount_minor: int
    shipping_minor: int = 0
    tax_minor: int = 0
    lines: tuple[tuple[str, str, int, int], ...] = ()


def left_minor(paid_minor: int, refunds: Iterable[Refund]) -> int:
    """Return what of an order can still be refunded."""
    given = sum(refund.amount_minor for refund in refunds if refund.withdrawn_at is None)
    return max(0, paid_minor - given)


def plan_lines(
    basis: OrderSnapshot,
    refunds: Collection[Refund],
    lines: Iterable[LineToRefund],
    *,
    shipping_minor: int | None,
    with_shipping: bool,
    currency: Currency,
) -> RefundPlan:
    """Work out a refund of lines and shipping, each no more than what is left of it.

    Raises `FieldInvalid` for a line that the order does not have, or `RefundExceeded`.
    """
    alive = [refund for refund in refunds if refund.withdrawn_at is None]
    planned, tax = [], 0
    for place, asked in enumerate(lines):
        planned.append(_plan_line(basis, alive, asked, currency, field=("lines", str(place))))
        tax += planned[-1][3]
    shipping = 0
    if with_shipping or shipping_minor is not None:
        left = max(0, basis.shipping_minor - sum(refund.shipping_minor for refund in alive))
        shipping = left if shipping_minor is None else shipping_minor
        if shipping > left:
            raise RefundExceeded(
                currency.display(left) if left else None, what="the shipping", field=("shipping", "amount")
            )
    amount = shipping + sum(without + taxed for _, _, without, taxed in planned)
    return RefundPlan(amount, shipping, tax, tuple(planned))


def _plan_line(
    basis: OrderSnapshot,
    alive: Collection[Refund],
    asked: LineToRefund,
    currency: Currency,
    *,
    field: tuple[str, ...],
) -> tuple[str, str, int, int]:
    line = next((line for line in basis.lines if line.id == asked.line_id), None)
    if line is None:
        raise FieldInvalid(
            "The order has no such line. Reload it and choose one of its lines.", field=(*field, "lineId")
        )
    before = [part for refund in alive for part in refund.lines if part[0] == line.id]
    units = sum((Decimal(part[1]) for part in before), Decimal(0))
    whole, done = line.total_minor + line.tax_minor, sum(part[2] + part[3] for part in before)
    quantity = Decimal(0)
    if asked.amount_minor is not None:
        amount = asked.amount_minor
    elif asked.quantity is not None and line.quantity > 0:
        quantity = asked.quantity
        if not 0 < quantity <= line.quantity - units:
            raise RefundExceeded(
                f"{line.quantity - units:f}" if line.quantity > units else None,
                what=f"the line {line.name or line.id}",
                field=(*field, "quantity"),
            )
        # Of all units by now, less what was given: so the last unit takes what rounding left.
        amount = int((whole * (units + quantity) / line.quantity).quantize(Decimal(1), ROUND_HALF_UP)) - done
    else:
        amount, quantity = whole - done, line.quantity - units
    if not 0 <= amount <= whole - done:
        left = currency.display(whole - done) if whole > done else None
        raise RefundExceeded(left, what=f"the line {line.name or line.id}", field=field)
    tax = (2 * amount * line.tax_minor + whole) // (2 * whole) if whole else 0
    return (line.id, str(quantity), amount - tax, tax)


def from_store(
    found: StoreRefund,
    *,
    order_id: UUID,
    wallet_id: UUID,
    reference: str,
    destination: RefundDestination,
    bucket: Bucket,
    currency: str,
    actor: Actor,
    now: datetime,
) -> Refund:
    """Return a refund that the store told of; where it goes is settled now and stays so."""
    return Refund(
        id=refund_id(order_id, found.id),
        order_id=order_id,
        wallet_id=wallet_id,
        reference=reference,
        external_id=found.id,
        destination=destination,
        bucket=bucket,
        amount_minor=found.amount_minor,
        shipping_minor=found.shipping_minor,
        tax_minor=found.tax_minor,
        wallet_minor=0,
        credited_minor=0,
        elsewhere_minor=0,
        currency=currency,
        note=found.reason,
        lines=tuple(
            (line.line_id, str(line.quantity), line.amount_minor, line.tax_minor) for line in found.lines
        ),
        created_by=actor,
        refunded_at=found.created_at,
        created_at=now,
    )
