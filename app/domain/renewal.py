"""Subscriptions: what a renewal takes from the wallet, and which renewals are coming."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid5

from app.domain import payment as paying
from app.domain.access import Actor
from app.domain.errors import InsufficientFunds, RenewalNotCharged, WalletFrozen
from app.domain.ledger import Draft, WalletStatus
from app.domain.order import Order, OrderStatus
from app.domain.payment import Payment
from app.domain.settings import RenewalPolicy, StoreSettings

_NAMESPACE = UUID("4a8b1c5e-6a3e-5b1a-8f7e-2f0d3a9c7e44")


class RenewalStatus(StrEnum):
    """How an announced renewal stands."""

    UPCOMING = "UPCOMING"
    """It was announced and will be charged."""
    CHARGED = "CHARGED"
    """It was charged, in whole or in part."""
    CANCELLED = "CANCELLED"
    """The store took the announcement back."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """The next renewal of a subscription, as the store announced it; there is one for each subscription.

    `amount_minor` is what it will cost, in minor units.
    """

    id: UUID
    wallet_id: UUID
    source: str
    subscription: str
    description: str
    amount_minor: int
    currency: str
    due_at: datetime
    status: RenewalStatus
    created_by: Actor
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Charged:
    """What a renewal took, in minor units, and what the wallet did not have."""

    payment: Payment | None
    taken_minor: int
    short_minor: int


def renewal_id(source: str, subscription: str) -> UUID:
    """Return the id of a subscription's announced renewal, which follows from the store's own."""
    return uuid5(_NAMESPACE, f"{source}\n{subscription}")


def charge(
    draft: Draft, order: Order, payments: list[Payment], amount_minor: int, *, actor: Actor
) -> Charged:
    """Take a renewal's money at once; what was taken for this order before counts, so a retry takes only the rest.

    Raises `WalletFrozen`, or by the store's policy `InsufficientFunds` or `RenewalNotCharged`.
    """
    policy = draft.settings.renewal_policy
    if policy is RenewalPolicy.NOT_AT_ALL:
        raise RenewalNotCharged(
            "Renewals are not paid from wallets: the store's settings say so. Use another payment method."
        )
    if draft.wallet.status is WalletStatus.FROZEN:
        raise WalletFrozen
    taken_minor = taken(payments)
    missing = max(0, amount_minor - taken_minor)
    part = min(missing, draft.spendable_minor())
    if part < missing and policy is RenewalPolicy.IN_FULL:
        raise InsufficientFunds(available_minor=part, available=draft.currency.display(part))
    if not part:
        return Charged(None, taken_minor, missing)
    payment = paying.begin_renewal(draft, order, part, actor=actor)
    explanation = paying.purchase(order, actor, f"Renewal by order {order.name}")
    payment, _ = paying.capture(draft, payment, part, explanation, requested=True)
    return Charged(payment, taken_minor + part, missing - part)


def taken(payments: Iterable[Payment]) -> int:
    """Return what was taken or is held for an order, in minor units; what was refunded since was taken all the same."""
    return sum(min(payment.owed_minor, payment.captured_minor + payment.held_minor) for payment in payments)


def is_due(order: Order, settings: StoreSettings) -> bool:
    """Tell whether a snapshot alone charges a renewal: the store says that the wallet pays it."""
    basis = order.basis
    return (
        basis is not None
        and basis.subscription is not None
        and basis.subscription.renewal
        and basis.payment_method in settings.wallet_payment_methods
        and basis.status
        in {OrderStatus.PENDING, OrderStatus.ON_HOLD, OrderStatus.PAID, OrderStatus.COMPLETED}
        and settings.renewal_policy is not RenewalPolicy.NOT_AT_ALL
        and not order.is_deleted
    )


def charged(renewal: Renewal, now: datetime) -> Renewal:
    """Return the announcement once its renewal was charged."""
    return replace(renewal, status=RenewalStatus.CHARGED, updated_at=now)
