"""What the store says of an order, and what Coffer keeps of it.

A *snapshot* is the whole order as the store saw it at one moment (`modified_at`). Snapshots come late, twice and in
any order; the newest counts. Amounts are positive, in minor units of the order's currency.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid5

from app.domain.errors import FieldInvalid
from app.domain.money import AMOUNT_MAX_MINOR, currency_of
from app.domain.note import check_text

ID_MAX = 128
TEXT_MAX = 200
LINES_MAX = 500
REFUNDS_MAX = 200
COUPONS_MAX = 100
CATEGORIES_MAX = 50
AHEAD_MAX = timedelta(days=1)
"""How far the store's clock may be ahead of ours."""

_NAMESPACE = UUID("0f6c2a58-5a0e-5d0c-9f43-9a1c6a6f5b11")
_SOURCE = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


class OrderStatus(StrEnum):
    """How an order stands, in words that every store's own statuses are translated to."""

    PENDING = "PENDING"
    """It is not paid yet."""
    ON_HOLD = "ON_HOLD"
    """It waits for a payment that takes its time, such as a bank transfer."""
    FAILED = "FAILED"
    """Its payment failed: what the wallet gave for it goes back."""
    PAID = "PAID"
    """It is paid, and the store works on it."""
    COMPLETED = "COMPLETED"
    """It is paid and delivered."""
    CANCELLED = "CANCELLED"
    """It was called off: what the wallet gave for it goes back."""
    REFUNDED = "REFUNDED"
    """All of it was refunded."""
    UNKNOWN = "UNKNOWN"
    """A status that nobody has explained to Coffer: it is kept, and does nothing."""


_RANK = {status: rank for rank, status in enumerate(OrderStatus)}
"""Where two snapshots say the same time (WooCommerce counts in seconds), the later status counts."""


class OrderProblem(StrEnum):
    """What keeps the ledger from following an order; staff look into it."""

    CURRENCY = "CURRENCY"
    """The order is in another currency than the wallet, so the wallet can't pay or be refunded for it."""
    OTHER_CUSTOMER = "OTHER_CUSTOMER"
    """One customer's wallet paid, and the store now names another customer; the money stays with the one who paid."""
    REFUNDS_EXCEED_TOTAL = "REFUNDS_EXCEED_TOTAL"
    """The store refunded more than the order's total; what is beyond it was not posted."""
    SHORTFALL = "SHORTFALL"
    """The wallet had less than the order should have taken from it."""


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One line: `subtotal_minor` before discounts and `total_minor` after them, both without tax.

    `on_sale`: it was sold at a lowered price, as far as the store tells.
    """

    id: str
    name: str = ""
    product_id: str | None = None
    variation_id: str | None = None
    sku: str | None = None
    categories: tuple[str, ...] = ()
    quantity: Decimal = Decimal(1)
    subtotal_minor: int = 0
    total_minor: int = 0
    tax_minor: int = 0
    on_sale: bool = False


@dataclass(frozen=True, slots=True)
class RefundedLine:
    """The part of a refund that falls on one line of the order; `amount_minor` is without tax."""

    line_id: str
    quantity: Decimal = Decimal(0)
    amount_minor: int = 0
    tax_minor: int = 0


@dataclass(frozen=True, slots=True)
class StoreRefund:
    """A refund that the store knows of; `amount_minor` is all of it, tax and shipping included.

    `reference` is Coffer's own number of a refund that began here and that the store repeats.
    """

    id: str
    amount_minor: int
    tax_minor: int = 0
    shipping_minor: int = 0
    lines: tuple[RefundedLine, ...] = ()
    reason: str = ""
    reference: str | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Coupon:
    """A coupon that was used on the order, and what it took off."""

    code: str
    discount_minor: int = 0


@dataclass(frozen=True, slots=True)
class Subscription:
    """The subscription that an order belongs to; `renewal` when the order renews it, and did not begin it."""

    reference: str
    renewal: bool = False


@dataclass(frozen=True, slots=True)
class StoreCustomer:
    """Whose order it is, by the store's own id; what isn't said (`None`) stays as it is known."""

    external_id: str
    name: str | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True)
class OrderSnapshot:
    """The whole order at one moment. No `customer` means a guest.

    `total_minor` is what the order costs, tax and shipping included, refunds not taken off.
    `paid_otherwise_minor` is what other payment methods gave, where the store says so. `top_up` is the reference of a
    top-up that was started here, where the order pays it.
    """

    source: str
    external_id: str
    modified_at: datetime
    status: OrderStatus
    store_status: str
    currency: str
    total_minor: int
    number: str = ""
    tax_minor: int = 0
    shipping_minor: int = 0
    discount_minor: int = 0
    paid_otherwise_minor: int | None = None
    payment_method: str | None = None
    customer: StoreCustomer | None = None
    guest_email: str | None = None
    lines: tuple[OrderLine, ...] = ()
    coupons: tuple[Coupon, ...] = ()
    refunds: tuple[StoreRefund, ...] = ()
    subscription: Subscription | None = None
    placed_at: datetime | None = None
    top_up: str | None = None

    @property
    def id(self) -> UUID:
        """The id of the order that this is a snapshot of."""
        return order_id(self.source, self.external_id)

    @property
    def line_ids(self) -> frozenset[str]:
        """The ids of its lines."""
        return frozenset(line.id for line in self.lines)

    @property
    def refunded_minor(self) -> int:
        """What the store refunded by now, all refunds together."""
        return sum(refund.amount_minor for refund in self.refunds)

    def is_newer_than(self, other: "OrderSnapshot | None") -> bool:
        """Tell which of two counts. It is a total order, so that who comes first plays no part."""
        return other is None or _age(self) > _age(other)

    def as_data(self) -> dict[str, Any]:
        """Return the snapshot as it is stored: plain JSON data."""
        data: dict[str, Any] = _plain(asdict(self))
        return data

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "OrderSnapshot":
        """Read a stored snapshot."""
        kept = dict(data)
        subscription, customer = kept.pop("subscription"), kept.pop("customer")
        return cls(
            modified_at=datetime.fromisoformat(kept.pop("modified_at")),
            placed_at=_time(kept.pop("placed_at")),
            status=OrderStatus(kept.pop("status")),
            customer=None if customer is None else StoreCustomer(**customer),
            subscription=None if subscription is None else Subscription(**subscription),
            lines=tuple(_line(line) for line in kept.pop("lines")),
            coupons=tuple(Coupon(**coupon) for coupon in kept.pop("coupons")),
            refunds=tuple(_refund(refund) for refund in kept.pop("refunds")),
            **kept,
        )


def _age(snapshot: OrderSnapshot) -> tuple[datetime, int, int, int, bytes]:
    # What two snapshots of one second differ in decides between them: how far it is, and how much it tells of its
    # refunds (a webhook leaves their lines out). The digest only so that something does.
    told = sum(len(refund.lines) for refund in snapshot.refunds)
    digest = sha256(repr(snapshot.as_data()).encode()).digest()
    return (snapshot.modified_at, _RANK[snapshot.status], snapshot.refunded_minor, told, digest)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return str(value) if isinstance(value, Decimal | StrEnum) else value


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _line(data: dict[str, Any]) -> OrderLine:
    parts = {"categories": tuple(data["categories"]), "quantity": Decimal(data["quantity"])}
    return OrderLine(**data | parts)


def _refund(data: dict[str, Any]) -> StoreRefund:
    lines = tuple(RefundedLine(**line | {"quantity": Decimal(line["quantity"])}) for line in data["lines"])
    return StoreRefund(**data | {"lines": lines, "created_at": _time(data["created_at"])})


def order_id(source: str, external_id: str) -> UUID:
    """Return the id of an order, which follows from the store's: so nobody has to look before recording one."""
    return uuid5(_NAMESPACE, f"{source}\n{external_id}")


def check_source(text: str, *, field: str = "source") -> str:
    """Return the name of a store's software or channel, or raise `FieldInvalid`."""
    if not _SOURCE.fullmatch(text):
        raise FieldInvalid(
            f"{text[:32]!r} is no source. Use small letters, digits, - and _, such as woocommerce.",
            field=tuple(field.split(".")),
        )
    return text


def check_id(text: str, *, field: str) -> str:
    """Return an id that the store chose, as it is kept, or raise `FieldInvalid`."""
    kept = check_text(text, field=field, length_max=ID_MAX)
    if not kept:
        raise FieldInvalid(
            "The id is empty. Give the id that the store knows.", field=tuple(field.split("."))
        )
    return kept


def check_snapshot(snapshot: OrderSnapshot) -> OrderSnapshot:
    """Return the snapshot as it is kept (texts in normal form), or raise `FieldInvalid` for what can't be meant."""
    currency = currency_of(snapshot.currency)
    _check_counts(snapshot)
    for name, amount_minor in _amounts(snapshot):
        if not 0 <= amount_minor <= AMOUNT_MAX_MINOR:
            raise FieldInvalid(
                f"This amount is negative or too large: {currency.display(amount_minor)}. Give a positive one.",
                field=tuple(name.split(".")),
            )
    for name, quantity in _quantities(snapshot):
        if not quantity.is_finite() or quantity < 0 or (quantity and not -6 <= quantity.adjusted() <= 12):
            raise FieldInvalid(
                f"An order can't have a quantity of {str(quantity)[:32]}. Give how many there are, perhaps a fraction.",
                field=tuple(name.split(".")),
            )
    if snapshot.modified_at.tzinfo is None:
        raise FieldInvalid("The time has no zone. Add one, such as Z.", field=("modifiedAt",))
    customer = snapshot.customer
    return replace(
        snapshot,
        source=check_source(snapshot.source),
        external_id=check_id(snapshot.external_id, field="externalId"),
        store_status=_text(snapshot.store_status, "storeStatus"),
        number=_text(snapshot.number, "number"),
        payment_method=_maybe(snapshot.payment_method, "paymentMethod"),
        guest_email=_maybe(snapshot.guest_email, "guestEmail"),
        top_up=_maybe(snapshot.top_up, "topUp"),
        customer=customer and _checked_customer(customer),
        subscription=snapshot.subscription
        and replace(
            snapshot.subscription,
            reference=check_id(snapshot.subscription.reference, field="subscription.reference"),
        ),
        lines=tuple(_checked_line(line) for line in snapshot.lines),
        coupons=tuple(
            replace(coupon, code=_text(coupon.code, "coupons.code")) for coupon in snapshot.coupons
        ),
        refunds=tuple(
            replace(
                refund,
                id=check_id(refund.id, field="refunds.id"),
                reason=_text(refund.reason, "refunds.reason"),
            )
            for refund in snapshot.refunds
        ),
    )


def _checked_customer(customer: StoreCustomer) -> StoreCustomer:
    # What the customer can't be written to at is left out; it is no reason to refuse their order.
    email = _maybe(customer.email, "customer.email")
    usable = email is not None and "@" in email and not any(character.isspace() for character in email)
    return StoreCustomer(
        check_id(customer.external_id, field="customer.id"),
        _maybe(customer.name, "customer.name"),
        email if usable else None,
    )


def _checked_line(line: OrderLine) -> OrderLine:
    return replace(
        line,
        id=check_id(line.id, field="lines.id"),
        name=_text(line.name, "lines.name"),
        sku=_maybe(line.sku, "lines.sku"),
        product_id=_maybe(line.product_id, "lines.productId"),
        variation_id=_maybe(line.variation_id, "lines.variationId"),
        categories=tuple(_text(name, "lines.categories") for name in line.categories),
    )


def _text(text: str, field: str) -> str:
    # What a store shows to people is cut rather than refused: an order must not fail for a long product name.
    return check_text(text.replace("\n", " ").replace("\t", " ")[:TEXT_MAX], field=field, length_max=TEXT_MAX)


def _maybe(text: str | None, field: str) -> str | None:
    return None if text is None else _text(text, field) or None


def _check_counts(snapshot: OrderSnapshot) -> None:
    counted = [
        ("lines", len(snapshot.lines), LINES_MAX),
        ("refunds", len(snapshot.refunds), REFUNDS_MAX),
        ("coupons", len(snapshot.coupons), COUPONS_MAX),
        *(("lines.categories", len(line.categories), CATEGORIES_MAX) for line in snapshot.lines),
    ]
    for name, count, most in counted:
        if count > most:
            raise FieldInvalid(
                f"An order has at most {most} of these, not {count}. Leave the rest out.",
                field=tuple(name.split(".")),
            )
    ids = [refund.id for refund in snapshot.refunds]
    if len(set(ids)) < len(ids):
        raise FieldInvalid("Two refunds have the same id. Give each its own.", field=("refunds", "id"))


def _quantities(snapshot: OrderSnapshot) -> Iterable[tuple[str, Decimal]]:
    for line in snapshot.lines:
        yield "lines.quantity", line.quantity
    for refund in snapshot.refunds:
        for part in refund.lines:
            yield "refunds.lines.quantity", part.quantity


def _amounts(snapshot: OrderSnapshot) -> Iterable[tuple[str, int]]:
    yield "total", snapshot.total_minor
    yield "tax", snapshot.tax_minor
    yield "shipping", snapshot.shipping_minor
    yield "discount", snapshot.discount_minor
    yield "paidOtherwise", snapshot.paid_otherwise_minor or 0
    for coupon in snapshot.coupons:
        yield "coupons.discount", coupon.discount_minor
    for line in snapshot.lines:
        yield "lines.total", line.total_minor
        yield "lines.subtotal", line.subtotal_minor
        yield "lines.tax", line.tax_minor
    for refund in snapshot.refunds:
        yield "refunds.amount", refund.amount_minor
        yield "refunds.tax", refund.tax_minor
        yield "refunds.shipping", refund.shipping_minor
        for part in refund.lines:
            yield "refunds.lines.amount", part.amount_minor
            yield "refunds.lines.tax", part.tax_minor


@dataclass(frozen=True, slots=True)
class Order:
    """What is kept of an order: the newest snapshot, and the newest whose status is known (`basis`).

    `wallet_id` is the wallet that paid or would be paid back; nobody's while it is a guest's. `claimed_by` is
    the customer who claimed a guest's order. `credited_minor` was refunded to the wallet beyond what the wallet
    paid; `shortfall_minor` is what the wallet should have given and had not.
    """

    id: UUID
    source: str
    external_id: str
    wallet_id: UUID | None
    claimed_by: str | None
    snapshot: OrderSnapshot | None
    basis: OrderSnapshot | None
    deleted_at: datetime | None
    credited_minor: int
    shortfall_minor: int
    problem: OrderProblem | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def opened(
        cls, source: str, external_id: str, now: datetime, *, wallet_id: UUID | None = None
    ) -> "Order":
        """Return an order that nothing is known of but its name."""
        return cls(
            id=order_id(source, external_id),
            source=source,
            external_id=external_id,
            wallet_id=wallet_id,
            claimed_by=None,
            snapshot=None,
            basis=None,
            deleted_at=None,
            credited_minor=0,
            shortfall_minor=0,
            problem=None,
            created_at=now,
            updated_at=now,
        )

    @property
    def status(self) -> OrderStatus:
        """How it stands; an order that the store has not told of yet is pending."""
        return OrderStatus.PENDING if self.snapshot is None else self.snapshot.status

    @property
    def customer(self) -> str | None:
        """The store's id of its customer; nobody for a guest's order that nobody has claimed."""
        if self.snapshot is not None and self.snapshot.customer is not None:
            return self.snapshot.customer.external_id
        return self.claimed_by

    @property
    def name(self) -> str:
        """What people call it."""
        return (self.snapshot and self.snapshot.number) or self.external_id

    @property
    def is_deleted(self) -> bool:
        """Whether the store put it into the bin, and has not told of it since."""
        return self.deleted_at is not None and (
            self.snapshot is None or self.snapshot.modified_at <= self.deleted_at
        )

    def seen(self, snapshot: OrderSnapshot, now: datetime) -> "Order":
        """Return the order after one more snapshot; an older one than those that are known changes nothing.

        Raises `FieldInvalid` for one of the future: nothing that comes after it would count as newer.
        """
        if snapshot.modified_at - now > AHEAD_MAX:
            raise FieldInvalid("This lies in the future. Check the store's clock.", field=("modifiedAt",))
        newest = snapshot if snapshot.is_newer_than(self.snapshot) else self.snapshot
        known = snapshot.status is not OrderStatus.UNKNOWN and snapshot.is_newer_than(self.basis)
        basis = snapshot if known else self.basis
        if newest is self.snapshot and basis is self.basis:
            return self
        return replace(self, snapshot=newest, basis=basis, updated_at=now)

    def deleted(self, at: datetime, now: datetime) -> "Order":
        """Return the order after the store put it into the bin."""
        if self.deleted_at is not None and at <= self.deleted_at:
            return self
        return replace(self, deleted_at=at, updated_at=now)
