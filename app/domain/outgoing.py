"""What the store's programs and people are told of: which events follow from what one command did.

Events are derived here, in one place, from the rows that a command leaves behind: so no service has to remember to tell.
What a new kind of row tells is a line in `TOLD`; what nobody is told of is named in `SILENT`, with the reason.

An event's `data` is public: ids as the API gives them, money as a decimal string with its currency, the store's own id of
the customer, and nothing else of a person; no notes, no codes, no secrets.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from app.domain.access import Capability
from app.domain.api_key import ApiKey
from app.domain.audit import AuditEntry
from app.domain.cashback.award import Award
from app.domain.cashback.earning import CashbackEvaluation, CashbackTotal
from app.domain.cashback.registry import RuleChange, StoredRule
from app.domain.catalog import CatalogItem
from app.domain.celebration import Celebration
from app.domain.customer import Customer
from app.domain.delivery import Delivery, DeliveryBody
from app.domain.event import StoreEvent
from app.domain.fraud import Signal
from app.domain.gift_card import GiftCard, GiftCardEntry
from app.domain.global_id import global_id
from app.domain.ledger import Mint, Row, Transaction, Wallet, WalletStatus
from app.domain.money import currency_of
from app.domain.order import Order
from app.domain.outbox import OutboxAttempt, OutboxMessage
from app.domain.payment import Payment, PaymentEnd, PaymentStatus
from app.domain.promotion import CouponCode, CouponRedemption, Promotion, PromotionUse
from app.domain.refund import Refund
from app.domain.reminder import ExpiryReminder
from app.domain.renewal import Renewal, RenewalStatus
from app.domain.role import Role
from app.domain.settings import SettingsChange, StoreSettings
from app.domain.sync import SyncCursor
from app.domain.top_up import TopUp
from app.domain.webhook_endpoint import WebhookEndpoint
from app.domain.withdrawal import Withdrawal, WithdrawalStatus

Data = dict[str, Any]


class EventType(StrEnum):
    """What can be told of, by the name that it has in messages."""

    CUSTOMER_CREATED = "customer.created"
    CUSTOMER_UPDATED = "customer.updated"
    WALLET_CREATED = "wallet.created"
    WALLET_FROZEN = "wallet.frozen"
    WALLET_UNFROZEN = "wallet.unfrozen"
    TRANSACTION_POSTED = "transaction.posted"
    ORDER_CREATED = "order.created"
    ORDER_UPDATED = "order.updated"
    PAYMENT_AUTHORIZED = "payment.authorized"
    PAYMENT_CAPTURED = "payment.captured"
    PAYMENT_VOIDED = "payment.voided"
    PAYMENT_EXPIRED = "payment.expired"
    PAYMENT_REFUNDED = "payment.refunded"
    REFUND_CREATED = "refund.created"
    REFUND_UPDATED = "refund.updated"
    RENEWAL_ANNOUNCED = "renewal.announced"
    RENEWAL_UPDATED = "renewal.updated"
    RENEWAL_CHARGED = "renewal.charged"
    RENEWAL_CANCELLED = "renewal.cancelled"
    WITHDRAWAL_REQUESTED = "withdrawal.requested"
    WITHDRAWAL_PAID = "withdrawal.paid"
    WITHDRAWAL_REJECTED = "withdrawal.rejected"
    WITHDRAWAL_CANCELLED = "withdrawal.cancelled"
    WITHDRAWAL_UPDATED = "withdrawal.updated"
    CASHBACK_AWARDED = "cashback.awarded"
    CASHBACK_VESTED = "cashback.vested"
    CASHBACK_CLAWED_BACK = "cashback.clawed_back"
    CASHBACK_RESTORED = "cashback.restored"
    CASHBACK_EXPIRED = "cashback.expired"
    CASHBACK_RULE_CREATED = "cashback_rule.created"
    CASHBACK_RULE_CHANGED = "cashback_rule.changed"
    SETTINGS_CHANGED = "settings.changed"
    ROLE_CREATED = "role.created"
    ROLE_CHANGED = "role.changed"
    API_KEY_CREATED = "api_key.created"
    API_KEY_CHANGED = "api_key.changed"
    SIGNAL_RAISED = "signal.raised"
    VALUE_EXPIRING = "value.expiring"
    WEBHOOK_TEST = "webhook.test"


@dataclass(frozen=True, slots=True)
class EventKind:
    """What an event means, whoever may be told of it (`needs`), and the version of its data."""

    description: str
    needs: Capability | None
    version: int = 1


CATALOGUE: Mapping[EventType, EventKind] = {
    EventType.CUSTOMER_CREATED: EventKind(
        "A customer of the store became known; fetch the name by the id.", Capability.CUSTOMERS_READ
    ),
    EventType.CUSTOMER_UPDATED: EventKind(
        "What is known of a customer changed; fetch it by the id.", Capability.CUSTOMERS_READ
    ),
    EventType.WALLET_CREATED: EventKind("A wallet was opened for a customer.", Capability.WALLETS_READ),
    EventType.WALLET_FROZEN: EventKind("Staff stopped a wallet.", Capability.WALLETS_READ),
    EventType.WALLET_UNFROZEN: EventKind("Staff let a wallet go again.", Capability.WALLETS_READ),
    EventType.TRANSACTION_POSTED: EventKind(
        "Money moved into or out of a wallet; sequence numbers of a wallet have no gap.",
        Capability.WALLETS_READ,
    ),
    EventType.ORDER_CREATED: EventKind("An order became known.", Capability.ORDERS_READ),
    EventType.ORDER_UPDATED: EventKind(
        "What is known of an order changed: its status, its wallet, or what the wallet gave for it.",
        Capability.ORDERS_READ,
    ),
    EventType.PAYMENT_AUTHORIZED: EventKind("Value was held for an order.", Capability.ORDERS_READ),
    EventType.PAYMENT_CAPTURED: EventKind(
        "What was held was taken, or a part of it.", Capability.ORDERS_READ
    ),
    EventType.PAYMENT_VOIDED: EventKind(
        "What was still held went back into the wallet.", Capability.ORDERS_READ
    ),
    EventType.PAYMENT_EXPIRED: EventKind(
        "A payment ran out, and what was still held went back into the wallet.", Capability.ORDERS_READ
    ),
    EventType.PAYMENT_REFUNDED: EventKind(
        "What a payment had taken went back into the wallet, or a part of it.", Capability.ORDERS_READ
    ),
    EventType.REFUND_CREATED: EventKind("An order was refunded, or a part of it.", Capability.ORDERS_READ),
    EventType.REFUND_UPDATED: EventKind(
        "A refund changed: its parts were divided anew, or the store took it back.", Capability.ORDERS_READ
    ),
    EventType.RENEWAL_ANNOUNCED: EventKind("A subscription's renewal is to come.", Capability.ORDERS_READ),
    EventType.RENEWAL_UPDATED: EventKind("An announced renewal changed.", Capability.ORDERS_READ),
    EventType.RENEWAL_CHARGED: EventKind("A renewal was charged.", Capability.ORDERS_READ),
    EventType.RENEWAL_CANCELLED: EventKind("An announced renewal was taken back.", Capability.ORDERS_READ),
    EventType.WITHDRAWAL_REQUESTED: EventKind(
        "A customer asked to be paid out; the amount is held.", Capability.WALLETS_READ
    ),
    EventType.WITHDRAWAL_PAID: EventKind("A withdrawal was paid out.", Capability.WALLETS_READ),
    EventType.WITHDRAWAL_REJECTED: EventKind(
        "Staff refused a withdrawal; its amount is back in the wallet.", Capability.WALLETS_READ
    ),
    EventType.WITHDRAWAL_CANCELLED: EventKind(
        "A withdrawal was taken back; its amount is back in the wallet.", Capability.WALLETS_READ
    ),
    EventType.WITHDRAWAL_UPDATED: EventKind(
        "A withdrawal came to another status that has no event of its own.", Capability.WALLETS_READ
    ),
    EventType.CASHBACK_AWARDED: EventKind(
        "Cashback was given; it is no money yet.", Capability.CASHBACK_READ
    ),
    EventType.CASHBACK_VESTED: EventKind("Cashback was credited to the wallet.", Capability.CASHBACK_READ),
    EventType.CASHBACK_CLAWED_BACK: EventKind(
        "Cashback was taken back, or a part of it, because its order was refunded.", Capability.CASHBACK_READ
    ),
    EventType.CASHBACK_RESTORED: EventKind(
        "Cashback that had been taken back was given again, because a refund was.", Capability.CASHBACK_READ
    ),
    EventType.CASHBACK_EXPIRED: EventKind("What was left of cashback ran out.", Capability.CASHBACK_READ),
    EventType.CASHBACK_RULE_CREATED: EventKind("A cashback rule was made.", Capability.CASHBACK_READ),
    EventType.CASHBACK_RULE_CHANGED: EventKind(
        "A cashback rule was changed, started, paused or archived.", Capability.CASHBACK_READ
    ),
    EventType.SETTINGS_CHANGED: EventKind("The store's settings were changed.", Capability.SETTINGS_READ),
    EventType.ROLE_CREATED: EventKind("A role was made.", Capability.ROLES_READ),
    EventType.ROLE_CHANGED: EventKind("A role was changed, archived or taken back.", Capability.ROLES_READ),
    EventType.API_KEY_CREATED: EventKind("A service was given a key.", Capability.API_KEYS_READ),
    EventType.API_KEY_CHANGED: EventKind("A service's key was replaced or ended.", Capability.API_KEYS_READ),
    EventType.SIGNAL_RAISED: EventKind("Something looked odd.", Capability.FRAUD_READ),
    EventType.VALUE_EXPIRING: EventKind(
        "Value of a wallet expires soon, by the store's setting; once for each wallet and day.",
        Capability.WALLETS_READ,
    ),
    EventType.WEBHOOK_TEST: EventKind("Somebody tries an endpoint out; nothing happened.", None),
}
"""Every event: what it means, which capability sees it, and the version of its data."""


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """Something that happened, kept until everybody who listens was written a message (`relayed_at`)."""

    id: UUID
    type: str
    version: int
    wallet_id: UUID | None
    order_id: UUID | None
    subject_id: UUID
    data: Data
    created_at: datetime
    relayed_at: datetime | None = None

    def relayed(self, now: datetime) -> "OutboxEvent":
        """Return it once everybody who listens was written a message."""
        return replace(self, relayed_at=now)

    @property
    def needs(self) -> Capability | None:
        """Which capability sees it; a newer version's event is seen by nobody here."""
        return CATALOGUE[EventType(self.type)].needs


# --- public data --------------------------------------------------------------------------------------------


def money(amount_minor: int, currency: str) -> Data:
    """Return an amount as the API writes it."""
    return {"amount": currency_of(currency).format(amount_minor), "currency": currency}


def public_time(time: datetime | None) -> str | None:
    """Return a time as the API writes it."""
    return (
        None
        if time is None
        else time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    )


def _id(type_name: str, row_id: UUID | None) -> str | None:
    return None if row_id is None else global_id(type_name, row_id)


def _wallet(wallet: Wallet) -> Data:
    return {
        "id": _id("Wallet", wallet.id),
        "status": str(wallet.status),
        "balance": money(wallet.posted_minor, wallet.currency),
        "held": money(wallet.held_minor, wallet.currency),
        "available": money(wallet.available_minor(), wallet.currency),
    }


def _customer(customer: Customer) -> Data:
    return {"id": _id("Customer", customer.id), "externalId": customer.external_id}


def _transaction(t: Transaction) -> Data:
    return {
        "id": _id("Transaction", t.id),
        "reference": t.reference,
        "sequence": t.sequence,
        "kind": str(t.kind),
        "direction": "CREDIT" if t.amount_minor > 0 else "DEBIT",
        "amount": money(abs(t.amount_minor), t.currency),
        "balanceAfter": money(t.balance_after_minor, t.currency),
        "reason": None if t.reason is None else str(t.reason),
        "orderId": _id("Order", t.order_id),
        "correctsId": _id("Transaction", t.corrects_id),
        "postedAt": public_time(t.created_at),
    }


def _order(o: Order) -> Data:
    told = o.snapshot
    return {
        "id": _id("Order", o.id),
        "source": o.source,
        "externalId": o.external_id,
        "number": told.number if told else "",
        "status": str(o.status),
        "total": money(told.total_minor, told.currency) if told else None,
        "walletId": _id("Wallet", o.wallet_id),
        "deleted": o.is_deleted,
        "problem": None if o.problem is None else str(o.problem),
        "updatedAt": public_time(o.updated_at),
    }


def _payment(p: Payment) -> Data:
    return {
        "id": _id("Payment", p.id),
        "reference": p.reference,
        "status": str(p.status),
        "origin": str(p.origin),
        "orderId": _id("Order", p.order_id),
        "amount": money(p.amount_minor, p.currency),
        "captured": money(p.captured_minor, p.currency),
        "refunded": money(p.returned_minor, p.currency),
        "held": money(p.held_minor, p.currency),
        "expiresAt": public_time(p.expires_at),
    }


def _refund(r: Refund) -> Data:
    return {
        "id": _id("Refund", r.id),
        "reference": r.reference,
        "externalId": r.external_id,
        "orderId": _id("Order", r.order_id),
        "destination": str(r.destination),
        "amount": money(r.amount_minor, r.currency),
        "toWallet": money(r.wallet_minor + r.credited_minor, r.currency),
        "elsewhere": money(r.elsewhere_minor, r.currency),
        "withdrawnAt": public_time(r.withdrawn_at),
    }


def _renewal(r: Renewal) -> Data:
    return {
        "id": _id("Renewal", r.id),
        "source": r.source,
        "subscription": r.subscription,
        "status": str(r.status),
        "amount": money(r.amount_minor, r.currency),
        "dueAt": public_time(r.due_at),
    }


def _withdrawal(w: Withdrawal) -> Data:
    return {
        "id": _id("Withdrawal", w.id),
        "reference": w.reference,
        "status": str(w.status),
        "amount": money(w.amount_minor, w.currency),
        "requestedAt": public_time(w.created_at),
        "decidedAt": public_time(w.decided_at),
    }


def _award(a: Award) -> Data:
    return {
        "id": _id("CashbackAward", a.id),
        "status": str(a.status),
        "source": str(a.source),
        "ruleId": _id("CashbackRule", a.rule_id),
        "ruleVersion": a.rule_version,
        "orderId": _id("Order", a.order_id),
        "amount": money(a.amount_minor, a.currency),
        "takenBack": money(a.taken.total_minor, a.currency),
        "expired": money(a.expired_minor, a.currency),
        "bucket": str(a.bucket),
        "vestsAt": public_time(a.vests_at),
        "expiresAt": public_time(a.expires_at),
    }


def _rule(s: StoredRule) -> Data:
    return {
        "id": _id("CashbackRule", s.id),
        "name": s.rule.name,
        "version": s.rule.version,
        "status": str(s.rule.status),
    }


def _settings(before: StoreSettings, change: SettingsChange) -> Data:
    old, new = asdict(before), asdict(change.settings)
    changed = sorted(camel_case(field.name) for field in fields(before) if old[field.name] != new[field.name])
    return {"changed": changed}


def _role(r: Role) -> Data:
    return {
        "id": _id("Role", r.id),
        "name": r.name,
        "capabilities": sorted(r.capabilities),
        "archivedAt": public_time(r.archived_at),
    }


def _api_key(k: ApiKey) -> Data:
    return {
        "id": _id("ApiKey", k.id),
        "name": k.name,
        "prefix": k.prefix,
        "expiresAt": public_time(k.expires_at),
        "revokedAt": public_time(k.revoked_at),
    }


def _signal(s: Signal) -> Data:
    return {
        "id": _id("FraudSignal", s.id),
        "kind": str(s.kind),
        "actorKind": str(s.actor.kind),
        "count": s.count,
        "windowSeconds": s.window_s,
    }


def _expiry(r: ExpiryReminder) -> Data:
    return {
        "id": _id("ExpiryReminder", r.id),
        "amount": money(r.amount_minor, r.currency),
        "expiresOn": r.expires_on.isoformat(),
        "expiresAt": public_time(r.expires_at),
    }


def camel_case(name: str) -> str:
    """Return the name of a setting as the API has it, without its unit of minor amounts."""
    first, *rest = name.removesuffix("_minor").split("_")
    return first + "".join(word.capitalize() for word in rest)


# --- which events follow from a row -------------------------------------------------------------------------

_Told = Callable[[Any, Any], Iterable[EventType]]


def _once(created: EventType) -> _Told:
    """Tell of a row when it is new; rows of this kind never change."""
    return lambda before, _after: () if before is not None else (created,)


def _kept(created: EventType, changed: EventType, public: Callable[[Any], Data]) -> _Told:
    """Tell of a row when it is new, and whenever its public data differ."""

    def told(before: Any, after: Any) -> Iterator[EventType]:
        if before is None:
            yield created
        elif public(before) != public(after):
            yield changed

    return told


def _of_order(before: Order | None, after: Order) -> Iterator[EventType]:
    if before is None:
        yield EventType.ORDER_CREATED
    elif replace(before, updated_at=after.updated_at) != after:
        yield EventType.ORDER_UPDATED


def _of_payment(before: Payment | None, after: Payment) -> Iterator[EventType]:
    if before is None:
        yield EventType.PAYMENT_AUTHORIZED
    if after.captured_minor > (before.captured_minor if before else 0):
        yield EventType.PAYMENT_CAPTURED
    held = after.amount_minor if before is None else before.held_minor
    taken = after.captured_minor - (before.captured_minor if before else 0)
    if held > taken and not after.is_open:
        ran_out = after.status is PaymentStatus.EXPIRED or after.ended_by is PaymentEnd.EXPIRY
        yield EventType.PAYMENT_EXPIRED if ran_out else EventType.PAYMENT_VOIDED
    if after.returned_minor > (before.returned_minor if before else 0):
        yield EventType.PAYMENT_REFUNDED


_RENEWALS = {
    RenewalStatus.CHARGED: EventType.RENEWAL_CHARGED,
    RenewalStatus.CANCELLED: EventType.RENEWAL_CANCELLED,
}


def _of_renewal(before: Renewal | None, after: Renewal) -> Iterator[EventType]:
    if before is None or (before.status is not RenewalStatus.UPCOMING and before.status is not after.status):
        yield _RENEWALS.get(after.status, EventType.RENEWAL_ANNOUNCED)
    elif before.status is not after.status:
        yield _RENEWALS.get(after.status, EventType.RENEWAL_UPDATED)
    elif _renewal(before) != _renewal(after):
        yield EventType.RENEWAL_UPDATED


_WITHDRAWALS = {
    WithdrawalStatus.REQUESTED: EventType.WITHDRAWAL_REQUESTED,
    WithdrawalStatus.PAID: EventType.WITHDRAWAL_PAID,
    WithdrawalStatus.REJECTED: EventType.WITHDRAWAL_REJECTED,
    WithdrawalStatus.CANCELLED: EventType.WITHDRAWAL_CANCELLED,
}
"""Statuses that have an event of their own; all others are `withdrawal.updated`."""


def _of_withdrawal(before: Withdrawal | None, after: Withdrawal) -> Iterator[EventType]:
    if before is None:
        yield EventType.WITHDRAWAL_REQUESTED
        if after.status is not WithdrawalStatus.REQUESTED:
            yield _WITHDRAWALS.get(after.status, EventType.WITHDRAWAL_UPDATED)
    elif before.status is not after.status:
        yield _WITHDRAWALS.get(after.status, EventType.WITHDRAWAL_UPDATED)


def _of_award(before: Award | None, after: Award) -> Iterator[EventType]:
    if before is None:
        yield EventType.CASHBACK_AWARDED
    if after.vested_at is not None and (before is None or before.vested_at is None):
        yield EventType.CASHBACK_VESTED
    taken = after.taken.total_minor - (before.taken.total_minor if before else 0)
    if taken:
        yield EventType.CASHBACK_CLAWED_BACK if taken > 0 else EventType.CASHBACK_RESTORED
    if after.expired_at is not None and (before is None or before.expired_at is None):
        yield EventType.CASHBACK_EXPIRED


@dataclass(frozen=True, slots=True)
class _Kind:
    events: _Told
    data: Callable[[Any], Data]
    root: str
    """What the row is called in an event's data."""


TOLD: Mapping[type[Any], _Kind] = {
    Order: _Kind(_of_order, _order, "order"),
    Payment: _Kind(_of_payment, _payment, "payment"),
    Refund: _Kind(_kept(EventType.REFUND_CREATED, EventType.REFUND_UPDATED, _refund), _refund, "refund"),
    Renewal: _Kind(_of_renewal, _renewal, "renewal"),
    Withdrawal: _Kind(_of_withdrawal, _withdrawal, "withdrawal"),
    Award: _Kind(_of_award, _award, "award"),
    StoredRule: _Kind(
        _kept(EventType.CASHBACK_RULE_CREATED, EventType.CASHBACK_RULE_CHANGED, _rule), _rule, "cashbackRule"
    ),
    Role: _Kind(_kept(EventType.ROLE_CREATED, EventType.ROLE_CHANGED, _role), _role, "role"),
    ApiKey: _Kind(_kept(EventType.API_KEY_CREATED, EventType.API_KEY_CHANGED, _api_key), _api_key, "apiKey"),
    Signal: _Kind(_once(EventType.SIGNAL_RAISED), _signal, "signal"),
    ExpiryReminder: _Kind(_once(EventType.VALUE_EXPIRING), _expiry, "expiry"),
}
"""What rows beside the ledger tell, by their type: a new kind of row is a line here, or in `SILENT`."""

SILENT: Mapping[type[Any], str] = {
    SettingsChange: "settings.changed tells of it, with what was in force before",
    CashbackEvaluation: "the award that came of it is told of",
    CashbackTotal: "a sum of awards, each of which is told of",
    RuleChange: "the rule that it changed is told of",
    AuditEntry: "what it writes down is told of",
    Delivery: "what came in from the store is known there; what follows from it is told of",
    DeliveryBody: "it belongs to a delivery",
    CatalogItem: "the store's own products and coupons are known there",
    SyncCursor: "how far a reading has come is nobody's concern",
    OutboxEvent: "what is told of is not told of again",
    OutboxMessage: "what is told of is not told of again",
    OutboxAttempt: "what is told of is not told of again",
    Celebration: "the cashback that came of it is told of",
    StoreEvent: "the store told of it itself",
    TopUp: "the transaction that credited it is told of",
    GiftCard: "the transaction that credited it is told of",
    GiftCardEntry: "the transaction that credited it is told of",
    Promotion: "what its coupons grant is told of by the transactions",
    CouponCode: "codes are told to nobody",
    PromotionUse: "a count of redemptions",
    CouponRedemption: "the transaction that it granted is told of",
    WebhookEndpoint: "who listens is written in the audit entries, and is no news to those who listen",
}
"""Rows that nobody is told of, and why."""


# --- all that follows from one command ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Happened:
    """What one accepted command did. `befores` are the rows as they were, where they were there at all."""

    now: datetime
    rows: Iterable[Row]
    befores: Mapping[UUID, Row]
    settings: StoreSettings
    """The settings that were in force before."""
    wallet: Wallet | None = None
    wallet_before: Wallet | None = None
    customer: Customer | None = None
    customer_before: Customer | None = None
    transactions: tuple[Transaction, ...] = ()


def events_of(happened: Happened, mint: Mint) -> list[OutboxEvent]:
    """Return the events that follow from what a command did, in the order in which they are best read."""
    return [*_of_wallet(happened, mint), *_of_rows(happened, mint)]


def _of_wallet(happened: Happened, mint: Mint) -> Iterator[OutboxEvent]:
    wallet, customer = happened.wallet, happened.customer
    if wallet is None or customer is None:
        return
    before, known = happened.wallet_before, happened.customer_before
    if known is None:
        yield _event(EventType.CUSTOMER_CREATED, customer, {"customer": _customer(customer)}, happened, mint)
    elif replace(known, updated_at=customer.updated_at) != customer:
        yield _event(EventType.CUSTOMER_UPDATED, customer, {"customer": _customer(customer)}, happened, mint)
    if before is None:
        yield _event(EventType.WALLET_CREATED, wallet, {"wallet": _wallet(wallet)}, happened, mint)
    elif before.status is not wallet.status:
        frozen = wallet.status is WalletStatus.FROZEN
        kind = EventType.WALLET_FROZEN if frozen else EventType.WALLET_UNFROZEN
        yield _event(kind, wallet, {"wallet": _wallet(wallet)}, happened, mint)
    for posted in happened.transactions:
        data = {"transaction": _transaction(posted), "wallet": _wallet(wallet)}
        yield _event(EventType.TRANSACTION_POSTED, posted, data, happened, mint, order_id=posted.order_id)


def _of_rows(happened: Happened, mint: Mint) -> Iterator[OutboxEvent]:
    # A command may add a row several times: what it leaves behind counts.
    settings = happened.settings
    for row in {row.id: row for row in happened.rows}.values():
        if isinstance(row, SettingsChange):
            data = {"settings": _settings(settings, row)}
            settings = row.settings
            yield _event(EventType.SETTINGS_CHANGED, row, data, happened, mint)
            continue
        kind = TOLD.get(type(row))
        if kind is None:
            continue
        order_id = row.id if isinstance(row, Order) else getattr(row, "order_id", None)
        for event_type in kind.events(happened.befores.get(row.id), row):
            yield _event(event_type, row, {kind.root: kind.data(row)}, happened, mint, order_id=order_id)


def _event(
    event_type: EventType,
    subject: Row,
    data: Data,
    happened: Happened,
    mint: Mint,
    *,
    order_id: UUID | None = None,
) -> OutboxEvent:
    wallet, customer = happened.wallet, happened.customer
    wallet_id = getattr(subject, "wallet_id", None) if wallet is None else wallet.id
    if customer is not None:
        data = {"customer": _customer(customer)} | data
    if wallet_id is not None:
        data = {"walletId": _id("Wallet", wallet_id)} | data
    kind = CATALOGUE[event_type]
    return OutboxEvent(
        id=mint.id(),
        type=str(event_type),
        version=kind.version,
        wallet_id=wallet_id,
        order_id=order_id,
        subject_id=subject.id,
        data=data,
        created_at=happened.now,
    )
