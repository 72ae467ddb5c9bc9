"""What can be asked: a line a field, with its resolver, who may ask, and what it is."""

import strawberry

from app.domain.access import Capability
from app.resolvers import (
    api_key as api_key_resolvers,
    audit as audit_resolvers,
    cashback as cashback_resolvers,
    customer as customer_resolvers,
    delivery as delivery_resolvers,
    fraud as fraud_resolvers,
    node as node_resolvers,
    order as order_resolvers,
    payment as payment_resolvers,
    payout as payout_resolvers,
    renewal as renewal_resolvers,
    role as role_resolvers,
    settings as settings_resolvers,
    transaction as transaction_resolvers,
    verification as verification_resolvers,
    viewer as viewer_resolvers,
    wallet as wallet_resolvers,
    withdrawal as withdrawal_resolvers,
)
from app.schema.permissions import Anyone, Needs, SignedIn, root
from app.schema.types.api_key import ApiKey
from app.schema.types.audit import AuditEntry
from app.schema.types.cashback_award import CashbackAward
from app.schema.types.connection import Connection
from app.schema.types.customer import Customer
from app.schema.types.delivery import WebhookDelivery
from app.schema.types.fraud import FraudSignal
from app.schema.types.node import Node
from app.schema.types.order import Order
from app.schema.types.payment import Payment
from app.schema.types.payout import PayoutDiscrepancy
from app.schema.types.renewal import Renewal
from app.schema.types.role import Role
from app.schema.types.settings import Settings
from app.schema.types.transaction import Transaction
from app.schema.types.verification import LedgerVerification
from app.schema.types.viewer import Viewer
from app.schema.types.wallet import Wallet
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
        cashback_resolvers.list_cashback_awards,
        Needs(Capability.CASHBACK_READ),
        "The cashback that all customers were given, newest first: filtered, in pages.",
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
    settings: Settings = root(
        settings_resolvers.settings, Needs(Capability.SETTINGS_READ), "The store's settings."
    )
