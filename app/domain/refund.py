"""What of an order is given back, and where it goes.

How much each refund takes from the wallet's part of the payment, and how much from what was paid otherwise, follows
from all refunds of the order in one fixed order (`share`). So it does not matter in which order they become known.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID, uuid5

from app.domain.access import Actor
from app.domain.bucket import Bucket
from app.domain.order import StoreRefund

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
