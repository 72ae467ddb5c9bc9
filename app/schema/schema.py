"""The schema: its roots, its scalars, and every type that only an interface leads to."""

import strawberry

from app.schema.mutation import Mutation
from app.schema.query import Query
from app.schema.subscription import Subscription
from app.schema.types.api_key import ApiKey
from app.schema.types.audit import AuditEntry
from app.schema.types.customer import Customer
from app.schema.types.delivery import WebhookDelivery
from app.schema.types.fraud import FraudSignal
from app.schema.types.order import Order
from app.schema.types.payment import Payment
from app.schema.types.refund import Refund
from app.schema.types.renewal import Renewal
from app.schema.types.role import Role
from app.schema.types.scalars import CONFIG
from app.schema.types.transaction import Transaction
from app.schema.types.wallet import Wallet
from app.schema.types.withdrawal import Withdrawal

schema = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=[
        ApiKey,
        AuditEntry,
        Customer,
        FraudSignal,
        Order,
        Payment,
        Refund,
        Renewal,
        Role,
        Transaction,
        Wallet,
        WebhookDelivery,
        Withdrawal,
    ],
    config=CONFIG,
)
"""What the endpoint serves, and what `schema.graphql` shows."""
