"""What can be watched: a line a field, with its resolver, who may ask, and what it is."""

from collections.abc import AsyncGenerator, AsyncIterable

import strawberry

from app.domain.access import Capability
from app.resolvers import (
    cashback as cashback_resolvers,
    live as live_resolvers,
)
from app.schema.permissions import Needs, SignedIn, stream
from app.schema.types.cashback_simulation import CashbackSimulationProgress
from app.schema.types.live import WalletUpdate
from app.schema.types.transaction import Transaction


@strawberry.type(
    description="Everything that can be watched, over websockets (graphql-transport-ws) and over SSE."
)
class Subscription:
    """The root of subscriptions."""

    wallet_updated: AsyncIterable[WalletUpdate] = stream(
        live_resolvers.wallet_updated,
        SignedIn(relies_on=Capability.WALLETS_READ),
        "A wallet's live balance: a snapshot first, then every change in order with no gap; "
        "with `afterSequence`, what was missed comes first.",
    )
    transaction_posted: AsyncGenerator[Transaction, None] = stream(
        live_resolvers.transaction_posted,
        Needs(Capability.WALLETS_READ),
        "Every transaction of the store as it is posted.",
    )
    simulate_cashback_rule: AsyncGenerator[CashbackSimulationProgress, None] = stream(
        cashback_resolvers.simulate_cashback_rule,
        Needs(Capability.CASHBACK_READ),
        "What a cashback rule would have cost over past orders: how far it is, and at the end the result. Nothing is "
        "written. One at a time for each caller; completing it, or closing the connection, ends it.",
    )
