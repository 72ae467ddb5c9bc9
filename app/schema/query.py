"""What can be asked: a line a field, with its resolver, who may ask, and what it is."""

import strawberry

from app.domain.access import Capability
from app.resolvers import (
    api_key as api_key_resolvers,
    audit as audit_resolvers,
    cashback as cashback_resolvers,
    cashback_award as award_resolvers,
    customer as customer_resolvers,
    delivery as delivery_resolvers,
    fraud as fraud_resolvers,
    gift_card as gift_card_resolvers,
    mailing as mailing_resolvers,
    node as node_resolvers,
    order as order_resolvers,
    payment as payment_resolvers,
    payout as payout_resolvers,
    promotion as promotion_resolvers,
    renewal as renewal_resolvers,
    role as role_resolvers,
    settings as settings_resolvers,
    top_up_intent as top_up_intent_resolvers,
    transaction as transaction_resolvers,
    verification as verification_resolvers,
    viewer as viewer_resolvers,
    wallet as wallet_resolvers,
    webhook_endpoint as webhook_endpoint_resolvers,
    withdrawal as withdrawal_resolvers,
)
from app.schema.permissions import Anyone, AnyoneIfSet, Needs, SignedIn, root
from app.schema.types.api_key import ApiKey
from app.schema.types.audit import AuditEntry
from app.schema.types.cashback import CashbackOffer, CashbackRule
from app.schema.types.cashback_award import CashbackAward
from app.schema.types.cashback_preview import CashbackPreview
from app.schema.types.cashback_simulation import CashbackSimulation
from app.schema.types.connection import Connection
from app.schema.types.customer import Customer
from app.schema.types.delivery import WebhookDelivery
from app.schema.types.fraud import FraudSignal
from app.schema.types.gift_card import GiftCard, GiftCardBalance
from app.schema.types.mailing import EmailPreview
from app.schema.types.node import Node
from app.schema.types.order import Order
from app.schema.types.payment import Payment
from app.schema.types.payout import PayoutDiscrepancy
from app.schema.types.promotion import CouponCheck, Promotion
from app.schema.types.renewal import Renewal
from app.schema.types.role import Role
from app.schema.types.settings import Settings
from app.schema.types.top_up_intent import AutoTopUpCharge, TopUpOptions
from app.schema.types.transaction import Transaction
from app.schema.types.verification import LedgerVerification
from app.schema.types.viewer import Viewer
from app.schema.types.wallet import Wallet
from app.schema.types.webhook_endpoint import OutgoingWebhook, WebhookEndpoint, WebhookEventDefinition
from app.schema.types.withdrawal import Withdrawal


@strawberry.type(description="Everything that can be read.")
class Query:
    """The root of queries."""

    viewer: Viewer = root(viewer_resolvers.viewer, Anyone(), "Who asks.")
    node: Node | None = root(node_resolvers.node, SignedIn(), "An object by its id.")
    nodes: list[Node | None] = root(node_resolvers.nodes, SignedIn(), "Objects by their ids.")

    wallet: Wallet | None = root(wallet_resolvers.wallet, SignedIn(), "One wallet.")
    wallets: Connection[Wallet] = root(
        wallet_resolvers.list_wallets,
        Needs(Capability.WALLETS_READ),
        "All wallets: searched, filtered, sorted, in pages.",
    )
    customer: Customer | None = root(customer_resolvers.customer, SignedIn(), "One customer.")
    customers: Connection[Customer] = root(
        customer_resolvers.list_customers,
        Needs(Capability.CUSTOMERS_READ),
        "All customers: searched, sorted, in pages.",
    )
    top_up_options: TopUpOptions = root(
        top_up_intent_resolvers.top_up_options,
        Anyone(),
        "What can be paid in now: into one's own wallet, and for others what the store allows in general.",
    )
    auto_top_up_charges: Connection[AutoTopUpCharge] = root(
        top_up_intent_resolvers.list_charges,
        Needs(Capability.TOP_UPS_WRITE),
        "What the store is asked to charge, the oldest first.",
    )
    transaction: Transaction | None = root(
        transaction_resolvers.transaction, SignedIn(), "One transaction, by its id or reference."
    )
    transactions: Connection[Transaction] = root(
        transaction_resolvers.list_transactions,
        Needs(Capability.WALLETS_READ),
        "The transactions of the whole store: filtered, in pages.",
    )
    withdrawals: Connection[Withdrawal] = root(
        withdrawal_resolvers.list_withdrawals,
        Needs(Capability.WALLETS_READ),
        "The withdrawals of the whole store, newest first.",
    )
    payout_reconciliation: list[PayoutDiscrepancy] = root(
        payout_resolvers.payout_reconciliation,
        Needs(Capability.PAYOUTS_RECONCILE),
        "What the ledger and payout providers don't agree on: payouts without an outcome, outcomes that differ, and payouts "
        "that only one side knows.",
    )
    order: Order | None = root(order_resolvers.order, SignedIn(), "One order.")
    orders: Connection[Order] = root(
        order_resolvers.list_orders,
        Needs(Capability.ORDERS_READ),
        "The orders of the whole store, newest first: searched, filtered, in pages.",
    )
    payment: Payment | None = root(
        payment_resolvers.payment, SignedIn(), "One payment, by its id or reference."
    )
    payments: Connection[Payment] = root(
        payment_resolvers.list_payments,
        Needs(Capability.ORDERS_READ),
        "What all wallets give towards orders, newest first.",
    )
    renewals: Connection[Renewal] = root(
        renewal_resolvers.list_renewals,
        Needs(Capability.ORDERS_READ),
        "The renewals of subscriptions that are to come, the next one first.",
    )
    cashback_awards: Connection[CashbackAward] = root(
        award_resolvers.list_cashback_awards,
        Needs(Capability.CASHBACK_READ),
        "The cashback that all customers were given, newest first: filtered, in pages.",
    )
    gift_card: GiftCard | None = root(
        gift_card_resolvers.gift_card,
        Needs(Capability.GIFT_CARDS_READ),
        "One gift card, by its id or reference.",
    )
    gift_cards: Connection[GiftCard] = root(
        gift_card_resolvers.list_gift_cards,
        Needs(Capability.GIFT_CARDS_READ),
        "All gift cards, newest first: searched, filtered, in pages; never their codes.",
    )
    check_gift_card: GiftCardBalance | None = root(
        gift_card_resolvers.check_gift_card,
        AnyoneIfSet(),
        "What is on the gift card with this code; null when there is none. Send it by POST, so that no log keeps the code. "
        "Too many wrong codes get RATE_LIMITED.",
    )
    promotion: Promotion | None = root(
        promotion_resolvers.promotion, Needs(Capability.PROMOTIONS_READ), "One promotion."
    )
    promotions: Connection[Promotion] = root(
        promotion_resolvers.list_promotions,
        Needs(Capability.PROMOTIONS_READ),
        "The store's promotions, newest first: searched by name or by coupon code, filtered, in pages.",
    )
    check_coupon: CouponCheck | None = root(
        promotion_resolvers.check_coupon,
        Anyone(),
        "What a coupon code would give now, for storefronts; null for one that is unknown, or is not running. "
        "To signed-in customers it also says whether they can use it still.",
    )
    fraud_signals: Connection[FraudSignal] = root(
        fraud_resolvers.list_fraud_signals,
        Needs(Capability.FRAUD_READ),
        "What looked odd, newest first: filtered, in pages.",
    )
    verify_ledger: LedgerVerification = root(
        verification_resolvers.verify_ledger,
        Needs(Capability.LEDGER_VERIFY),
        "Derive every balance, sequence, allocation, entry and hash again and name what is wrong. "
        "It reads the whole ledger, so one runs at a time; name a wallet for a quick check.",
    )
    roles: list[Role] = root(
        role_resolvers.list_roles, Needs(Capability.ROLES_READ), "The store's roles, by name."
    )
    api_keys: Connection[ApiKey] = root(
        api_key_resolvers.list_api_keys,
        Needs(Capability.API_KEYS_READ),
        "The API keys of services, newest first; never their secrets.",
    )
    audit_entries: Connection[AuditEntry] = root(
        audit_resolvers.list_audit_entries,
        Needs(Capability.AUDIT_READ),
        "Who did what beside moving money, when and why, newest first.",
    )
    webhook_deliveries: Connection[WebhookDelivery] = root(
        delivery_resolvers.list_webhook_deliveries,
        Needs(Capability.WEBHOOKS_READ),
        "What came in from the store and what became of it, newest first: filtered, in pages.",
    )
    cashback_offers: Connection[CashbackOffer] = root(
        cashback_resolvers.list_cashback_offers,
        Anyone(),
        "What customers get cashback for now, the highest priority first.",
    )
    preview_cashback: CashbackPreview = root(
        cashback_resolvers.preview_cashback,
        Anyone(),
        "What a cart would earn, decided by the same function as what orders earn. Customers learn it for themselves, "
        "visitors as somebody who is not known; for others than oneself it needs CASHBACK_READ.",
    )
    cashback_rule: CashbackRule | None = root(
        cashback_resolvers.cashback_rule, Needs(Capability.CASHBACK_READ), "One cashback rule."
    )
    cashback_rules: Connection[CashbackRule] = root(
        cashback_resolvers.list_cashback_rules,
        Needs(Capability.CASHBACK_READ),
        "All cashback rules: searched, filtered, sorted, in pages.",
    )
    cashback_simulation: CashbackSimulation = root(
        cashback_resolvers.cashback_simulation,
        Needs(Capability.CASHBACK_READ),
        "What a cashback rule would have cost over past orders, for those without a socket; nothing is written. It reads "
        "all of them: name a time, or follow it by the subscription `simulateCashbackRule`.",
    )
    preview_email: EmailPreview = root(
        mailing_resolvers.preview_email,
        Needs(Capability.SETTINGS_READ),
        "An e-mail as a customer would get it, made-up or about a transaction; nothing is sent.",
    )
    webhook_event_types: list[WebhookEventDefinition] = root(
        webhook_endpoint_resolvers.list_webhook_event_types,
        Needs(Capability.WEBHOOK_ENDPOINTS_READ),
        "The kinds of events that endpoints can be told of.",
    )
    webhook_endpoints: Connection[WebhookEndpoint] = root(
        webhook_endpoint_resolvers.list_webhook_endpoints,
        Needs(Capability.WEBHOOK_ENDPOINTS_READ),
        "Who is told of what happens, newest first; never their secrets.",
    )
    outgoing_webhooks: Connection[OutgoingWebhook] = root(
        webhook_endpoint_resolvers.list_outgoing_webhooks,
        Needs(Capability.WEBHOOK_ENDPOINTS_READ),
        "The messages to endpoints and what became of them, newest first: filtered, in pages.",
    )
    settings: Settings = root(
        settings_resolvers.settings, Needs(Capability.SETTINGS_READ), "The store's settings."
    )
