"""Named events that the store tells of."""

from typing import TYPE_CHECKING, Annotated

import strawberry

from app.context import AppInfo
from app.models.event import StoreEvent as StoreEventModel
from app.schema.types.node import ID_DESCRIPTION, Node, encode_id
from app.schema.types.ownership import seen_wallet
from app.schema.types.scalars import DateTime
from app.schema.types.transaction import Actor, actor

if TYPE_CHECKING:
    from app.schema.types.wallet import Wallet


@strawberry.type(description="Something that a customer did in the store, such as a review.")
class StoreEvent(Node):
    """An event."""

    model: strawberry.Private[StoreEventModel]

    @strawberry.field(description=ID_DESCRIPTION)
    def id(self) -> strawberry.ID:
        """Return the global id."""
        return encode_id("StoreEvent", self.model.id)

    @strawberry.field(description="What happened, such as review: the name that rules of cashback wait for.")
    def event(self) -> str:
        """Return the name."""
        return self.model.name

    @strawberry.field(description="The store's own id of it.")
    def event_id(self) -> str:
        """Return the store's id."""
        return self.model.external_id

    @strawberry.field(description="When it happened.")
    def occurred_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.occurred_at)

    @strawberry.field(description="Who told of it first.")
    def created_by(self, info: AppInfo) -> Actor:
        """Return who told of it."""
        return actor(info, self.model.created_by_kind, self.model.created_by_id)

    @strawberry.field(description="When it was told of first.")
    def created_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.created_at)

    @strawberry.field(description="The wallet of the customer; null for those who may not see it.")
    async def wallet(
        self, info: AppInfo
    ) -> Annotated["Wallet", strawberry.lazy("app.schema.types.wallet")] | None:
        """Load the wallet."""
        from app.schema.types.wallet import Wallet  # noqa: PLC0415 — as the other types do

        row = await seen_wallet(info, self.model.wallet_id)
        return None if row is None else Wallet(model=row)
