"""What the store's programs and people are told of: which events follow from what one command did.

Events are derived here, in one place, from the rows that a command leaves behind: so no service has to remember to tell.
What a new kind of row tells is a line in `TOLD`; what nobody is told of is named in `SILENT`, with the reason.

An event's `data` is public: ids as the API gives them, money as a decimal string with its currency, the store's own id of
the customer, and nothing else of a person; no notes, no codes, no secrets.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from app.domain import event_data as data_of
from app.domain.access import Capability
from app.domain.api_key import ApiKey
from app.domain.audit import AuditEntry
from app.domain.auto_top_up import AutoTopUp, AutoTopUpCharge, AutoTopUpStatus, ChargeStatus
from app.domain.cashback.award import Award
from app.domain.cashback.earning import CashbackEvaluation, CashbackTotal
from app.domain.cashback.registry import RuleChange, StoredRule
from app.domain.catalog import CatalogItem
from app.domain.celebration import Celebration
from app.domain.customer import Customer
from app.domain.delivery import Delivery, DeliveryBody, DeliveryStatus
from app.domain.event import StoreEvent
from app.domain.event_catalogue import CATALOGUE, EventType
from app.domain.event_data import Data
from app.domain.fraud import Signal
from app.domain.gift_card import GiftCard, GiftCardEntry, GiftCardEvent
from app.domain.global_id import global_id
from app.domain.ledger import Mint, Row, Transaction, Wallet, WalletStatus
from app.domain.order import Order
from app.domain.outbox import Channel, MessageStatus, OutboxAttempt, OutboxMessage
from app.domain.payment import Payment, PaymentEnd, PaymentStatus
from app.domain.payout import PayoutMessage
from app.domain.payout_method import PayoutMethod, PayoutMethodStatus
from app.domain.promotion import CouponCode, CouponRedemption, Promotion, PromotionUse
from app.domain.refund import Refund
from app.domain.reminder import ExpiryReminder
from app.domain.renewal import Renewal, RenewalStatus
from app.domain.role import Role
from app.domain.settings import SettingsChange, StoreSettings
from app.domain.sync import SyncCursor
from app.domain.top_up import TopUp
from app.domain.top_up_intent import TopUpIntent, TopUpIntentStatus
from app.domain.webhook_endpoint import WebhookEndpoint
from app.domain.withdrawal import Withdrawal, WithdrawalStatus, WithdrawalStep


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
    elif data_of.renewal_data(before) != data_of.renewal_data(after):
        yield EventType.RENEWAL_UPDATED


_STEPS = {
    WithdrawalStatus.REQUESTED: EventType.WITHDRAWAL_REQUESTED,
    WithdrawalStatus.IN_REVIEW: EventType.WITHDRAWAL_IN_REVIEW,
    WithdrawalStatus.APPROVED: EventType.WITHDRAWAL_APPROVED,
    WithdrawalStatus.PROCESSING: EventType.WITHDRAWAL_PROCESSING,
    WithdrawalStatus.PAID: EventType.WITHDRAWAL_PAID,
    WithdrawalStatus.FAILED: EventType.WITHDRAWAL_FAILED,
    WithdrawalStatus.RETURNED: EventType.WITHDRAWAL_RETURNED,
    WithdrawalStatus.REJECTED: EventType.WITHDRAWAL_REJECTED,
    WithdrawalStatus.CANCELLED: EventType.WITHDRAWAL_CANCELLED,
}


def _of_step(_before: None, after: WithdrawalStep) -> Iterator[EventType]:
    """Tell of each step once: steps are written as they are taken, several by one command too, and never change."""
    moved = after.from_status is not after.to_status
    yield _STEPS[after.to_status] if moved else EventType.WITHDRAWAL_UPDATED


def _of_payout_message(before: PayoutMessage | None, after: PayoutMessage) -> Iterator[EventType]:
    if before is None and after.withdrawal_id is None:
        yield EventType.PAYOUT_UNKNOWN


def _of_payout_method(before: PayoutMethod | None, after: PayoutMethod) -> Iterator[EventType]:
    if before is None:
        yield EventType.PAYOUT_METHOD_ADDED
    elif after.status is PayoutMethodStatus.REMOVED and before.status is not after.status:
        yield EventType.PAYOUT_METHOD_REMOVED


_INTENTS = {
    TopUpIntentStatus.STARTED: EventType.TOP_UP_STARTED,
    TopUpIntentStatus.COMPLETED: EventType.TOP_UP_COMPLETED,
    TopUpIntentStatus.EXPIRED: EventType.TOP_UP_EXPIRED,
    TopUpIntentStatus.CANCELLED: EventType.TOP_UP_CANCELLED,
}


def _of_top_up_intent(before: TopUpIntent | None, after: TopUpIntent) -> Iterator[EventType]:
    if before is None or before.status is not after.status:
        yield _INTENTS[after.status]


def _of_top_up(before: TopUp | None, after: TopUp) -> Iterator[EventType]:
    credited = before.credited_minor if before else 0
    if after.credited_minor > credited:
        yield EventType.TOP_UP_CREDITED
    elif after.credited_minor < credited or after.shortfall_minor > (before.shortfall_minor if before else 0):
        yield EventType.TOP_UP_TAKEN_BACK


_AUTO_TOP_UPS = {
    AutoTopUpStatus.PAUSED: EventType.AUTO_TOP_UP_PAUSED,
    AutoTopUpStatus.FAILED: EventType.AUTO_TOP_UP_FAILED,
    AutoTopUpStatus.CANCELLED: EventType.AUTO_TOP_UP_CANCELLED,
}


def _of_auto_top_up(before: AutoTopUp | None, after: AutoTopUp) -> Iterator[EventType]:
    if before is None:
        yield EventType.AUTO_TOP_UP_CREATED
    elif before.status is not after.status:
        yield _AUTO_TOP_UPS.get(after.status, EventType.AUTO_TOP_UP_CHANGED)
    elif (data_of.auto_top_up_data(before), before.payment_token) != (
        data_of.auto_top_up_data(after),
        after.payment_token,
    ):
        yield EventType.AUTO_TOP_UP_CHANGED


_CHARGES = {
    ChargeStatus.REQUESTED: EventType.AUTO_TOP_UP_CHARGE_REQUESTED,
    ChargeStatus.PAID: EventType.AUTO_TOP_UP_CHARGE_PAID,
    ChargeStatus.DECLINED: EventType.AUTO_TOP_UP_CHARGE_DECLINED,
    ChargeStatus.WITHDRAWN: EventType.AUTO_TOP_UP_CHARGE_WITHDRAWN,
}


def _of_charge(before: AutoTopUpCharge | None, after: AutoTopUpCharge) -> Iterator[EventType]:
    if before is None or before.status is not after.status:
        yield _CHARGES[after.status]


def _of_promotion(before: Promotion | None, after: Promotion) -> Iterator[EventType]:
    # Its uses are counted in the same row; each of them is told of as a coupon.
    if before is None:
        yield EventType.PROMOTION_CREATED
    elif before.as_data() != after.as_data():
        yield EventType.PROMOTION_CHANGED


def _of_redemption(before: CouponRedemption | None, after: CouponRedemption) -> Iterator[EventType]:
    if after.transaction_id != (before.transaction_id if before else None):
        # Granted anew after it had been taken back, it has been taken back of nothing.
        yield EventType.COUPON_REDEEMED
        before = None
    elif after.problem is not None and (before is None or before.problem is not after.problem):
        yield EventType.COUPON_REFUSED
    taken = after.taken.total_minor - (before.taken.total_minor if before else 0)
    if taken:
        yield EventType.COUPON_TAKEN_BACK if taken > 0 else EventType.COUPON_RESTORED


_GIFT_CARDS = {
    GiftCardEvent.ISSUED: EventType.GIFT_CARD_ISSUED,
    GiftCardEvent.ACTIVATED: EventType.GIFT_CARD_ACTIVATED,
    GiftCardEvent.REDEEMED: EventType.GIFT_CARD_REDEEMED,
    GiftCardEvent.DISABLED: EventType.GIFT_CARD_DISABLED,
    GiftCardEvent.ENABLED: EventType.GIFT_CARD_ENABLED,
    GiftCardEvent.EXPIRED: EventType.GIFT_CARD_EXPIRED,
}


def _of_gift_card(_before: None, after: GiftCardEntry) -> Iterator[EventType]:
    yield _GIFT_CARDS[after.kind]


def _of_delivery(before: Delivery | None, after: Delivery) -> Iterator[EventType]:
    if after.status is DeliveryStatus.DEAD and (before is None or before.status is not after.status):
        yield EventType.DELIVERY_DEAD


def _of_message(before: OutboxMessage | None, after: OutboxMessage) -> Iterator[EventType]:
    """Tell of messages that died; of those that tell of dead ones, or go to staff, not again: it would never end."""
    is_news = after.channel is not Channel.NOTICE and after.topic != EventType.MESSAGE_DEAD
    died = after.status is MessageStatus.DEAD and (before is None or before.status is not after.status)
    if is_news and died:
        yield EventType.MESSAGE_DEAD


def _of_endpoint(before: WebhookEndpoint | None, after: WebhookEndpoint) -> Iterator[EventType]:
    if before is None:
        yield EventType.WEBHOOK_ENDPOINT_CREATED
    elif before.is_enabled and not after.is_enabled:
        yield EventType.WEBHOOK_ENDPOINT_DISABLED
    elif before.updated_at != after.updated_at:
        # Its health changes far more often, and is no change of its own.
        yield EventType.WEBHOOK_ENDPOINT_CHANGED


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
    data: Callable[..., Data]
    root: str
    """What the row is called in an event's data."""
    whole: Callable[[Any], UUID] | None = None
    """The row that it is a part of, which its command leaves behind too: the data are made of both."""


TOLD: Mapping[type[Any], _Kind] = {
    Order: _Kind(_of_order, data_of.order_data, "order"),
    Payment: _Kind(_of_payment, data_of.payment_data, "payment"),
    Refund: _Kind(
        _kept(EventType.REFUND_CREATED, EventType.REFUND_UPDATED, data_of.refund_data),
        data_of.refund_data,
        "refund",
    ),
    Renewal: _Kind(_of_renewal, data_of.renewal_data, "renewal"),
    WithdrawalStep: _Kind(_of_step, data_of.step_data, "withdrawal", lambda step: step.withdrawal_id),
    PayoutMessage: _Kind(_of_payout_message, data_of.payout_message_data, "payout"),
    PayoutMethod: _Kind(_of_payout_method, data_of.payout_method_data, "payoutMethod"),
    TopUp: _Kind(_of_top_up, data_of.top_up_data, "topUp"),
    TopUpIntent: _Kind(_of_top_up_intent, data_of.top_up_intent_data, "topUpIntent"),
    AutoTopUp: _Kind(_of_auto_top_up, data_of.auto_top_up_data, "autoTopUp"),
    AutoTopUpCharge: _Kind(_of_charge, data_of.charge_data, "charge"),
    Award: _Kind(_of_award, data_of.award_data, "award"),
    StoredRule: _Kind(
        _kept(EventType.CASHBACK_RULE_CREATED, EventType.CASHBACK_RULE_CHANGED, data_of.rule_data),
        data_of.rule_data,
        "cashbackRule",
    ),
    Promotion: _Kind(_of_promotion, data_of.promotion_data, "promotion"),
    CouponRedemption: _Kind(_of_redemption, data_of.redemption_data, "redemption"),
    GiftCardEntry: _Kind(_of_gift_card, data_of.gift_card_data, "giftCard", lambda entry: entry.card_id),
    Role: _Kind(
        _kept(EventType.ROLE_CREATED, EventType.ROLE_CHANGED, data_of.role_data), data_of.role_data, "role"
    ),
    ApiKey: _Kind(
        _kept(EventType.API_KEY_CREATED, EventType.API_KEY_CHANGED, data_of.api_key_data),
        data_of.api_key_data,
        "apiKey",
    ),
    Signal: _Kind(_once(EventType.SIGNAL_RAISED), data_of.signal_data, "signal"),
    ExpiryReminder: _Kind(_once(EventType.VALUE_EXPIRING), data_of.expiry_data, "expiry"),
    Delivery: _Kind(_of_delivery, data_of.delivery_data, "delivery"),
    OutboxMessage: _Kind(_of_message, data_of.message_data, "message"),
    WebhookEndpoint: _Kind(_of_endpoint, data_of.endpoint_data, "webhookEndpoint"),
}
"""What rows beside the ledger tell, by their type: a new kind of row is a line here, or in `SILENT`."""

SILENT: Mapping[type[Any], str] = {
    SettingsChange: "settings.changed tells of it, with what was in force before",
    Withdrawal: "each of its steps is told of, with what it came to",
    CashbackEvaluation: "the award that came of it is told of",
    CashbackTotal: "a sum of awards, each of which is told of",
    RuleChange: "the rule that it changed is told of",
    AuditEntry: "what it writes down is told of",
    DeliveryBody: "it belongs to a delivery",
    CatalogItem: "the store's own products and coupons are known there",
    SyncCursor: "how far a reading has come is nobody's concern",
    OutboxEvent: "what is told of is not told of again",
    OutboxAttempt: "a message is told of when it died, not each time it was tried",
    Celebration: "the cashback that came of it is told of",
    StoreEvent: "the store told of it itself",
    GiftCard: "each of its entries is told of, with what it came to",
    CouponCode: "codes are told to nobody",
    PromotionUse: "a count of redemptions, each of which is told of",
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


Heard = Callable[[EventType, Row], bool]
"""Whether somebody is told of such an event of such a row."""


def events_of(
    happened: Happened, mint: Mint, is_wanted: Heard = lambda _type, _row: True
) -> list[OutboxEvent]:
    """Return the events that follow from what a command did, in the order in which they are best read.

    Of those that nobody wants no data are made: most commands are heard by nobody.
    """
    found = (*_of_wallet(happened), *_of_rows(happened))
    return [_event(one, happened, mint) for one in found if is_wanted(one.type, one.subject)]


@dataclass(frozen=True, slots=True)
class _Found:
    """An event, and how its data are made where it is wanted."""

    type: EventType
    subject: Row
    data: Callable[[], Data]
    order_id: UUID | None = None


def _of_wallet(happened: Happened) -> Iterator[_Found]:
    wallet, customer = happened.wallet, happened.customer
    if wallet is None or customer is None:
        return
    before, known = happened.wallet_before, happened.customer_before

    if known is None:
        yield _Found(EventType.CUSTOMER_CREATED, customer, dict)
    elif known is not customer and replace(known, updated_at=customer.updated_at) != customer:
        yield _Found(EventType.CUSTOMER_UPDATED, customer, dict)
    if before is None:
        yield _Found(EventType.WALLET_CREATED, wallet, partial(_wallet_data, wallet))
    elif before.status is not wallet.status:
        frozen = wallet.status is WalletStatus.FROZEN
        yield _Found(
            EventType.WALLET_FROZEN if frozen else EventType.WALLET_UNFROZEN,
            wallet,
            partial(_wallet_data, wallet),
        )
    for posted in happened.transactions:
        yield _Found(
            EventType.TRANSACTION_POSTED,
            posted,
            partial(_posted_data, posted, wallet),
            posted.order_id,
        )


def _of_rows(happened: Happened) -> Iterator[_Found]:
    # A command may add a row several times: what it leaves behind counts.
    settings, rows = happened.settings, {row.id: row for row in happened.rows}
    for row in rows.values():
        if isinstance(row, SettingsChange):
            yield _Found(EventType.SETTINGS_CHANGED, row, partial(_settings_data, settings, row))
            settings = row.settings
            continue
        kind = TOLD.get(type(row))
        if kind is None:
            continue
        order_id = row.id if isinstance(row, Order) else getattr(row, "order_id", None)
        for event_type in kind.events(happened.befores.get(row.id), row):
            yield _Found(event_type, row, partial(_row_data, kind, row, rows), order_id)


def _wallet_data(wallet: Wallet) -> Data:
    return {"wallet": data_of.wallet_data(wallet)}


def _posted_data(posted: Transaction, wallet: Wallet) -> Data:
    return {"transaction": data_of.transaction_data(posted), "wallet": data_of.wallet_data(wallet)}


def _settings_data(before: StoreSettings, change: SettingsChange) -> Data:
    return {"settings": data_of.settings_data(before, change)}


def _row_data(kind: _Kind, row: Row, rows: Mapping[UUID, Row]) -> Data:
    parts = (row,) if kind.whole is None else (row, rows[kind.whole(row)])
    return {kind.root: kind.data(*parts)}


def _event(found: _Found, happened: Happened, mint: Mint) -> OutboxEvent:
    wallet, customer, data = happened.wallet, happened.customer, found.data()
    wallet_id = getattr(found.subject, "wallet_id", None) if wallet is None else wallet.id
    if customer is not None:
        data = {"customer": data_of.customer_data(customer)} | data
    if wallet_id is not None:
        data = {"walletId": global_id("Wallet", wallet_id)} | data
    return OutboxEvent(
        id=mint.id(),
        type=str(found.type),
        version=CATALOGUE[found.type].version,
        wallet_id=wallet_id,
        order_id=found.order_id,
        subject_id=found.subject.id,
        data=data,
        created_at=happened.now,
    )
