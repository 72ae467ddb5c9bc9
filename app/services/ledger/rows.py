"""The models of records that were just committed, so that an answer needs no read."""

from typing import Any, TypeVar

from tortoise.models import Model

from app.domain.api_key import ApiKey as ApiKeyRecord
from app.domain.auto_top_up import AutoTopUp as AutoTopUpRecord, AutoTopUpCharge as AutoTopUpChargeRecord
from app.domain.cashback.data import plain
from app.domain.cashback.registry import StoredRule
from app.domain.customer import Customer as CustomerRecord
from app.domain.event import StoreEvent as StoreEventRecord
from app.domain.gift_card import GiftCard as GiftCardRecord
from app.domain.ledger import Transaction as TransactionRecord, Wallet as WalletRecord
from app.domain.order import Order as OrderRecord
from app.domain.outbox import OutboxMessage as OutboxMessageRecord
from app.domain.payment import Payment as PaymentRecord
from app.domain.payout_method import PayoutMethod as PayoutMethodRecord
from app.domain.promotion import CouponRedemption as CouponRedemptionRecord, Promotion as PromotionRecord
from app.domain.refund import Refund as RefundRecord
from app.domain.renewal import Renewal as RenewalRecord
from app.domain.role import Role as RoleRecord
from app.domain.top_up import TopUp as TopUpRecord
from app.domain.top_up_intent import TopUpIntent as TopUpIntentRecord
from app.domain.webhook_endpoint import WebhookEndpoint as WebhookEndpointRecord
from app.domain.withdrawal import Withdrawal as WithdrawalRecord
from app.models.api_key import ApiKey
from app.models.auto_top_up import AutoTopUp, AutoTopUpCharge
from app.models.cashback_rule import CashbackRule
from app.models.customer import Customer
from app.models.event import StoreEvent
from app.models.gift_card import GiftCard
from app.models.order import Order
from app.models.outbox import OutboxMessage
from app.models.payment import Payment
from app.models.payout_method import PayoutMethod
from app.models.promotion import CouponRedemption, Promotion
from app.models.reading import model_from
from app.models.refund import Refund
from app.models.renewal import Renewal
from app.models.role import Role
from app.models.top_up import TopUp
from app.models.top_up_intent import TopUpIntent
from app.models.transaction import Transaction
from app.models.wallet import Wallet
from app.models.webhook_endpoint import WebhookEndpoint
from app.models.withdrawal import Withdrawal
from app.services.ledger import tables

M = TypeVar("M", bound=Model)


def wallet_of(record: WalletRecord) -> Wallet:
    """Return the model of a wallet."""
    return model_from(Wallet, tables.WALLETS.columns, tables.WALLETS.row(record))


def customer_of(record: CustomerRecord) -> Customer:
    """Return the model of a customer."""
    columns = {
        "roles": list(record.roles),
        "segments": list(record.segments),
        "emails_off": [str(kind) for kind in record.emails_off],
    }
    return _model(Customer, tables.CUSTOMERS, record, columns)


def transaction_of(record: TransactionRecord) -> Transaction:
    """Return the model of a transaction."""
    return model_from(Transaction, tables.TRANSACTIONS.columns, tables.TRANSACTIONS.row(record))


def withdrawal_of(record: WithdrawalRecord) -> Withdrawal:
    """Return the model of a withdrawal."""
    return _model(Withdrawal, tables.BESIDE[WithdrawalRecord], record)


def payout_method_of(record: PayoutMethodRecord) -> PayoutMethod:
    """Return the model of a payout method."""
    return _model(PayoutMethod, tables.BESIDE[PayoutMethodRecord], record)


def order_of(record: OrderRecord) -> Order:
    """Return the model of an order."""
    told, basis = record.snapshot, record.basis
    columns = {
        "snapshot": told.as_data() if told else None,
        "basis": basis.as_data() if basis and basis != told else None,
    }
    return _model(Order, tables.BESIDE[OrderRecord], record, columns)


def payment_of(record: PaymentRecord) -> Payment:
    """Return the model of a payment."""
    columns = {"buckets": [str(bucket) for bucket in record.buckets]}
    return _model(Payment, tables.BESIDE[PaymentRecord], record, columns)


def refund_of(record: RefundRecord) -> Refund:
    """Return the model of a refund."""
    return _model(
        Refund, tables.BESIDE[RefundRecord], record, {"lines": [list(line) for line in record.lines]}
    )


def renewal_of(record: RenewalRecord) -> Renewal:
    """Return the model of an announced renewal."""
    return _model(Renewal, tables.BESIDE[RenewalRecord], record)


def gift_card_of(record: GiftCardRecord) -> GiftCard:
    """Return the model of a gift card."""
    return _model(GiftCard, tables.BESIDE[GiftCardRecord], record)


def promotion_of(record: PromotionRecord) -> Promotion:
    """Return the model of a promotion."""
    return _model(Promotion, tables.BESIDE[PromotionRecord], record, {"terms": record.terms.as_data()})


def coupon_redemption_of(record: CouponRedemptionRecord) -> CouponRedemption:
    """Return the model of what became of a coupon."""
    columns = {
        "lines": [list(line) for line in record.lines],
        "lots": [str(lot_id) for lot_id in record.lots],
        "taken": plain(record.taken),
    }
    return _model(CouponRedemption, tables.BESIDE[CouponRedemptionRecord], record, columns)


def role_of(record: RoleRecord) -> Role:
    """Return the model of a role."""
    columns = {"capabilities": sorted(record.capabilities), "maps_from": list(record.maps_from)}
    return _model(Role, tables.BESIDE[RoleRecord], record, columns)


def api_key_of(record: ApiKeyRecord) -> ApiKey:
    """Return the model of an API key."""
    capabilities = None if record.capabilities is None else sorted(record.capabilities)
    return _model(ApiKey, tables.BESIDE[ApiKeyRecord], record, {"capabilities": capabilities})


def cashback_rule_of(record: StoredRule) -> CashbackRule:
    """Return the model of a cashback rule."""
    return _model(CashbackRule, tables.BESIDE[StoredRule], record, {"data": record.rule.as_data()})


def store_event_of(record: StoreEventRecord) -> StoreEvent:
    """Return the model of an event."""
    return _model(StoreEvent, tables.BESIDE[StoreEventRecord], record)


def top_up_of(record: TopUpRecord) -> TopUp:
    """Return the model of a top-up."""
    return _model(TopUp, tables.BESIDE[TopUpRecord], record)


def outbox_message_of(record: OutboxMessageRecord) -> OutboxMessage:
    """Return the model of a message that leaves the program."""
    return _model(OutboxMessage, tables.BESIDE[OutboxMessageRecord], record, {"body": record.body})


def webhook_endpoint_of(record: WebhookEndpointRecord) -> WebhookEndpoint:
    """Return the model of an endpoint, without its secrets."""
    columns = {
        "events": list(record.events),
        "capabilities": sorted(record.capabilities),
        "secrets": [{"expires_at": secret.expires_at} for secret in record.secrets],
    }
    return _model(WebhookEndpoint, tables.BESIDE[WebhookEndpointRecord], record, columns)


def top_up_intent_of(record: TopUpIntentRecord) -> TopUpIntent:
    """Return the model of a top-up that was started."""
    return _model(TopUpIntent, tables.BESIDE[TopUpIntentRecord], record)


def auto_top_up_of(record: AutoTopUpRecord) -> AutoTopUp:
    """Return the model of a rule of automatic top-ups."""
    return _model(AutoTopUp, tables.BESIDE[AutoTopUpRecord], record)


def auto_top_up_charge_of(record: AutoTopUpChargeRecord) -> AutoTopUpCharge:
    """Return the model of a request to the store to charge."""
    return _model(AutoTopUpCharge, tables.BESIDE[AutoTopUpChargeRecord], record)


def _model(model: type[M], table: tables.Table, record: Any, as_read: dict[str, Any] | None = None) -> M:
    """`as_read` are the columns that a model holds in another form than the table."""
    row = model(**dict(zip(table.columns, table.row(record), strict=True)) | (as_read or {}))
    row._saved_in_db = True
    return row
