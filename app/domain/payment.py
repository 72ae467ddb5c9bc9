"""What a wallet pays towards an order: authorized, then captured, in whole or in parts, or given back.

Every payment stands on one hold, which knows the lots: so whatever is given back goes to the lots it came from.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from app.domain.access import Actor
from app.domain.bucket import Bucket
from app.domain.errors import (
    FieldInvalid,
    InsufficientFunds,
    LimitReached,
    OrderNotPayable,
    OrderOfAnother,
    PaymentExceeded,
    PaymentNotOpen,
    WalletFrozen,
)
from app.domain.hold import HoldPurpose, HoldStatus
from app.domain.ledger import Draft, Explanation, Transaction, TransactionKind, WalletStatus
from app.domain.order import Order, OrderStatus
from app.domain.top_up_lines import payable_minor

PAYMENTS_MAX = 100
"""How often one order can be authorized: all of its payments are read whenever one of them changes."""


class PaymentStatus(StrEnum):
    """How a payment stands."""

    AUTHORIZED = "AUTHORIZED"
    """Its amount is held; nothing was captured yet."""
    PARTIALLY_CAPTURED = "PARTIALLY_CAPTURED"
    """A part was captured, the rest is still held."""
    CAPTURED = "CAPTURED"
    """It was captured, in whole or in part; nothing is held any more."""
    VOIDED = "VOIDED"
    """What was held was given back before anything was captured."""
    EXPIRED = "EXPIRED"
    """It ran out before anything was captured; what was held was given back."""


class PaymentOrigin(StrEnum):
    """What began a payment."""

    CHECKOUT = "CHECKOUT"
    """Somebody paid an order."""
    RENEWAL = "RENEWAL"
    """A subscription was renewed."""
    ORDER = "ORDER"
    """The order took again what had been given back: it was reopened, or its total was raised again."""


class CaptureMethod(StrEnum):
    """What captures a payment."""

    AUTOMATIC = "AUTOMATIC"
    """The order's status, as the store's settings say, or `capturePayment`, whichever comes first."""
    MANUAL = "MANUAL"
    """Nothing but `capturePayment`."""


class PaymentEnd(StrEnum):
    """What ended a hold, where it matters later."""

    REQUEST = "REQUEST"
    """Somebody captured it finally or voided it: nothing more is ever taken for it."""
    ORDER = "ORDER"
    """The order's status: when the order is reopened, the wallet owes it again."""
    EXPIRY = "EXPIRY"
    """Its time ran out: nothing is taken for it any more, unless the store says what else paid the order, and how much."""


@dataclass(frozen=True, slots=True)
class Payment:
    """What a wallet gives towards an order; amounts in minor units.

    `amount_minor` was authorized; of it `captured_minor` was captured (by request: `requested_minor`), and of that
    `returned_minor` was given back. `owed_minor` is what the order may still claim of the wallet for it, captured
    or not: the amount, or less once somebody has ended it. `buckets` limit where it is drawn from.
    `after_failure_at` is the store's time of the failed attempt that it was begun after, if there was one.
    """

    id: UUID
    order_id: UUID
    wallet_id: UUID
    hold_id: UUID
    reference: str
    origin: PaymentOrigin
    capture: CaptureMethod
    status: PaymentStatus
    amount_minor: int
    owed_minor: int
    captured_minor: int
    requested_minor: int
    returned_minor: int
    currency: str
    buckets: tuple[Bucket, ...]
    ended_by: PaymentEnd | None
    expires_at: datetime | None
    created_by: Actor
    created_at: datetime
    updated_at: datetime
    after_failure_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether anything is still held."""
        return self.status in {PaymentStatus.AUTHORIZED, PaymentStatus.PARTIALLY_CAPTURED}

    @property
    def held_minor(self) -> int:
        """What is still held."""
        return self.amount_minor - self.captured_minor if self.is_open else 0

    @property
    def net_minor(self) -> int:
        """What the wallet has given and not got back."""
        return self.captured_minor - self.returned_minor

    @property
    def uncovered_minor(self) -> int:
        """What it owes the order and neither gave nor holds."""
        return max(0, self.owed_minor - self.net_minor - self.held_minor)

    def require_open(self) -> None:
        """Raise `PaymentNotOpen` unless something is still held."""
        if not self.is_open:
            raise PaymentNotOpen(self.status)


@dataclass(frozen=True, slots=True)
class Authorization:
    """What is asked for: an amount in minor units, or (with `None`) as much as there is, up to `order_total_minor`."""

    amount_minor: int | None
    order_total_minor: int | None
    buckets: tuple[Bucket, ...]
    lifetime: timedelta | None
    capture: CaptureMethod
    actor: Actor


def authorize(draft: Draft, order: Order, payments: Collection[Payment], asked: Authorization) -> Payment:
    """Hold an amount for an order. What an earlier authorization of this order still holds is given back first,
    so that going back in a checkout, or clicking twice, never holds twice.

    Raises `WalletFrozen`, `OrderNotPayable`, `PaymentExceeded` or `InsufficientFunds`.
    """
    if draft.wallet.status is WalletStatus.FROZEN:
        raise WalletFrozen
    if order.is_deleted or order.status in {OrderStatus.CANCELLED, OrderStatus.REFUNDED}:
        raise OrderNotPayable(order.name, "deleted" if order.is_deleted else order.status)
    if len(payments) >= PAYMENTS_MAX:
        raise LimitReached(
            f"This order was authorized {PAYMENTS_MAX} times already. Ask the store, or place a new order.",
            field=("order",),
        )
    kept = [_superseded(draft, payment, order.status) for payment in payments]
    total_minor = payable_minor(order.snapshot, draft.settings) if order.snapshot else asked.order_total_minor
    paid_minor = sum(payment.net_minor for payment in kept)
    left_minor = None if total_minor is None else max(0, total_minor - paid_minor)
    amount_minor = _amount(draft, asked, left_minor)
    now = draft.now
    expires_at = None if asked.lifetime is None else now + asked.lifetime
    return _begin(
        draft,
        order.id,
        amount_minor,
        origin=PaymentOrigin.CHECKOUT,
        capture=asked.capture,
        buckets=asked.buckets,
        expires_at=expires_at,
        actor=asked.actor,
        after_failure_at=_failed_at(order),
    )


def _amount(draft: Draft, asked: Authorization, left_minor: int | None) -> int:
    if asked.amount_minor is not None:
        if left_minor is not None and asked.amount_minor > left_minor:
            raise PaymentExceeded(draft.currency.display(left_minor) if left_minor else None)
        return asked.amount_minor
    if left_minor is None:
        raise FieldInvalid(
            "Say what the order costs, so that the wallet pays no more than that.", field=("order", "total")
        )
    amount_minor = min(left_minor, draft.spendable_minor(asked.buckets))
    if left_minor == 0:
        raise PaymentExceeded(None)
    if amount_minor == 0:
        raise InsufficientFunds(available_minor=0, available=draft.currency.display(0))
    return amount_minor


def _superseded(draft: Draft, payment: Payment, status: OrderStatus) -> Payment:
    """End an authorization that another one takes the place of: the order claims nothing for it any more."""
    if payment.is_open:
        return release(draft, payment, PaymentEnd.REQUEST)
    # Of a failed order all was given back, and is now paid anew; otherwise what came back was refunded, and stays owed.
    owed_minor = payment.net_minor if status is OrderStatus.FAILED else payment.captured_minor
    if payment.owed_minor > owed_minor:
        payment = replace(payment, owed_minor=owed_minor, updated_at=draft.now)
        draft.add(payment)
    return payment


def begin_again(
    draft: Draft, like: Payment, amount_minor: int, *, actor: Actor, expires_at: datetime | None = None
) -> Payment:
    """Hold an amount that an earlier payment of the order owes and no longer holds."""
    return _begin(
        draft,
        like.order_id,
        amount_minor,
        origin=PaymentOrigin.ORDER,
        capture=like.capture,
        buckets=like.buckets,
        expires_at=expires_at,
        actor=actor,
        after_failure_at=like.after_failure_at,
    )


def begin_renewal(draft: Draft, order: Order, amount_minor: int, *, actor: Actor) -> Payment:
    """Hold what a renewal takes, from whatever the wallet has."""
    return _begin(
        draft,
        order.id,
        amount_minor,
        origin=PaymentOrigin.RENEWAL,
        capture=CaptureMethod.AUTOMATIC,
        buckets=tuple(Bucket),
        expires_at=None,
        actor=actor,
        after_failure_at=_failed_at(order),
    )


def _begin(
    draft: Draft,
    order_id: UUID,
    amount_minor: int,
    *,
    origin: PaymentOrigin,
    capture: CaptureMethod,
    buckets: tuple[Bucket, ...],
    expires_at: datetime | None,
    actor: Actor,
    after_failure_at: datetime | None,
) -> Payment:
    hold = draft.reserve(amount_minor, HoldPurpose.PAYMENT, buckets=frozenset(buckets), expires_at=expires_at)
    payment = Payment(
        id=draft.mint.id(),
        order_id=order_id,
        wallet_id=draft.wallet.id,
        hold_id=hold.id,
        reference=draft.mint.reference("PY"),
        origin=origin,
        capture=capture,
        status=PaymentStatus.AUTHORIZED,
        amount_minor=amount_minor,
        owed_minor=amount_minor,
        captured_minor=0,
        requested_minor=0,
        returned_minor=0,
        currency=draft.wallet.currency,
        buckets=buckets,
        ended_by=None,
        expires_at=expires_at,
        created_by=actor,
        created_at=draft.now,
        updated_at=draft.now,
        after_failure_at=after_failure_at,
    )
    draft.add(payment)
    return payment


def _failed_at(order: Order) -> datetime | None:
    """Return the store's time of the last attempt to pay, if that failed."""
    basis = order.basis
    return basis.modified_at if basis is not None and basis.status is OrderStatus.FAILED else None


def capture(
    draft: Draft, payment: Payment, amount_minor: int, explanation: Explanation, *, requested: bool
) -> tuple[Payment, Transaction]:
    """Take a part, or all, of what a payment holds. Raises `PaymentNotOpen` or `PaymentExceeded`."""
    payment.require_open()
    if amount_minor > payment.held_minor:
        raise PaymentExceeded(draft.currency.display(payment.held_minor))
    transaction = draft.capture(payment.hold_id, amount_minor, explanation)
    captured_minor = payment.captured_minor + amount_minor
    whole = captured_minor == payment.amount_minor
    payment = replace(
        payment,
        captured_minor=captured_minor,
        requested_minor=payment.requested_minor + (amount_minor if requested else 0),
        status=PaymentStatus.CAPTURED if whole else PaymentStatus.PARTIALLY_CAPTURED,
        updated_at=draft.now,
    )
    draft.add(payment)
    return payment, transaction


def release(draft: Draft, payment: Payment, by: PaymentEnd) -> Payment:
    """Give what a payment still holds back to its lots, and say what ended it."""
    expired = by is PaymentEnd.EXPIRY
    draft.release(payment.hold_id, HoldStatus.EXPIRED if expired else HoldStatus.RELEASED)
    status = PaymentStatus.EXPIRED if expired else PaymentStatus.VOIDED
    payment = replace(
        payment,
        status=PaymentStatus.CAPTURED if payment.captured_minor else status,
        owed_minor=payment.captured_minor if by is PaymentEnd.REQUEST else payment.owed_minor,
        ended_by=by,
        updated_at=draft.now,
    )
    draft.add(payment)
    return payment


def give_back(
    draft: Draft, payment: Payment, amount_minor: int, explanation: Explanation
) -> tuple[Payment, Transaction]:
    """Give a part, or all, of what was captured back to the very lots that it came from."""
    transaction = draft.give_back(payment.hold_id, amount_minor, explanation)
    payment = replace(payment, returned_minor=payment.returned_minor + amount_minor, updated_at=draft.now)
    draft.add(payment)
    return payment, transaction


def of_order(draft: Draft, order_id: UUID) -> list[Payment]:
    """Return what this wallet gives towards an order, oldest first.

    Another wallet may hold something for it too, as long as the store has not said whose it is.
    """
    return [payment for payment in draft.of_order(Payment, order_id) if payment.wallet_id == draft.wallet.id]


def payer(payments: Iterable[Payment]) -> UUID | None:
    """Return the wallet that an order took something from; there is no second one."""
    return next((payment.wallet_id for payment in payments if payment.captured_minor), None)


def require_own(draft: Draft, order: Order) -> None:
    """Raise `OrderOfAnother` where another wallet paid, or the store names another customer."""
    paid_by = payer(draft.of_order(Payment, order.id))
    if paid_by not in {None, draft.wallet.id}:
        raise OrderOfAnother
    if paid_by is None and order.customer not in {None, draft.customer.external_id}:
        raise OrderOfAnother


def purchase(order: Order, actor: Actor, note: str | None = None) -> Explanation:
    """Return how a payment of an order is written down."""
    return Explanation(TransactionKind.PURCHASE, actor, note or f"Order {order.name}", order_id=order.id)
