"""Signals of fraud."""

import strawberry

from app.context import AppInfo
from app.models.signal import Signal as SignalModel
from app.schema.types.enums import ActorKind, Capability, SignalKind
from app.schema.types.filters import texts
from app.schema.types.node import ID_DESCRIPTION, Node, decode_id, encode_id
from app.schema.types.scalars import DateTime
from app.schema.types.time import TimeRange
from app.schema.types.wallet import Wallet
from app.services.fraud import SignalFilter


@strawberry.type(description="Something odd that was noticed of a caller. It refuses nothing by itself.")
class FraudSignal(Node):
    """A signal."""

    model: strawberry.Private[SignalModel]

    @strawberry.field(description=ID_DESCRIPTION)
    def id(self) -> strawberry.ID:
        """Return the global id."""
        return encode_id("FraudSignal", self.model.id)

    @strawberry.field(description="What was noticed.")
    def kind(self) -> SignalKind:
        """Return the kind."""
        return SignalKind(self.model.kind)

    @strawberry.field(description="What sort of caller it was.")
    def actor_kind(self) -> ActorKind:
        """Return the sort."""
        return ActorKind(self.model.actor_kind)

    @strawberry.field(description="The store's own id of the caller.")
    def actor_id(self) -> str:
        """Return the id."""
        return self.model.actor_id

    @strawberry.field(
        description="The wallet that was concerned last; null when it was none, or may not be seen."
    )
    async def wallet(self, info: AppInfo) -> Wallet | None:
        """Load the wallet."""
        # Signals may be read by somebody who may not see balances.
        if self.model.wallet_id is None or not info.context.principal.may(Capability.WALLETS_READ):
            return None
        row = await info.context.loaders.wallets.load(self.model.wallet_id)
        return None if row is None else Wallet(model=row)

    @strawberry.field(description="How often it happened within the time.")
    def count(self) -> int:
        """Return the number."""
        return self.model.count

    @strawberry.field(description="The time within which it was counted, in seconds.")
    def window_seconds(self) -> int:
        """Return the seconds."""
        return self.model.window_s

    @strawberry.field(description="When it was noticed.")
    def created_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.created_at)


@strawberry.input(description="What a list of signals is narrowed to; all that is given must hold.")
class FraudSignalFilter:
    """Conditions on signals."""

    kinds: list[SignalKind] | None = strawberry.field(default=None, description="Of one of these kinds.")
    actor_id: str | None = strawberry.field(default=None, description="Of the caller with this store id.")
    wallet_id: strawberry.ID | None = strawberry.field(default=None, description="Concerning this wallet.")
    created: TimeRange | None = strawberry.field(default=None, description="Noticed in this time.")


def signal_filter(wanted: FraudSignalFilter | None) -> SignalFilter:
    """Return a filter as the services take it, or raise `FieldInvalid`."""
    if wanted is None:
        return SignalFilter()
    created = wanted.created
    return SignalFilter(
        kinds=texts(wanted.kinds, "kinds"),
        actor_id=wanted.actor_id,
        wallet_id=None
        if wanted.wallet_id is None
        else decode_id(wanted.wallet_id, "Wallet", field=("filter", "walletId")),
        created_from=created.from_ if created else None,
        created_to=created.to if created else None,
    )
