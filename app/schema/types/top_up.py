"""Money that customers paid in."""

from typing import TYPE_CHECKING, Annotated

import strawberry

from app.context import AppInfo
from app.models.top_up import TopUp as TopUpModel
from app.schema.types.money import Money, money
from app.schema.types.node import ID_DESCRIPTION, Node, encode_id
from app.schema.types.ownership import seen_wallet
from app.schema.types.scalars import DateTime
from app.schema.types.transaction import Actor, Transaction, actor

if TYPE_CHECKING:
    from app.schema.types.wallet import Wallet


@strawberry.type(
    description="Money that a customer paid in by the store's checkout. The wallet gets what the store kept of the payment."
)
class TopUp(Node):
    """A top-up."""

    model: strawberry.Private[TopUpModel]

    @strawberry.field(description=ID_DESCRIPTION)
    def id(self) -> strawberry.ID:
        """Return the global id."""
        return encode_id("TopUp", self.model.id)

    @strawberry.field(description="The reference number that people can read out, such as TU-7K3M-92QD-XA4P.")
    def reference(self) -> str:
        """Return the reference number."""
        return self.model.reference

    @strawberry.field(description="The store's software or channel, such as woocommerce.")
    def source(self) -> str:
        """Return the source."""
        return self.model.source

    @strawberry.field(description="The store's own id of it.")
    def external_id(self) -> str:
        """Return the store's id."""
        return self.model.external_id

    @strawberry.field(description="What the store kept of the payment, as it said last.")
    def paid(self) -> Money:
        """Return the amount."""
        return money(self.model.paid_minor, self.model.currency)

    @strawberry.field(
        description="What was bought, where the store says it: with a coupon it is more than what was paid."
    )
    def face_value(self) -> Money | None:
        """Return the amount."""
        value = self.model.face_value_minor
        return None if value is None else money(value, self.model.currency)

    @strawberry.field(description="What the wallet got for it, less what was taken back.")
    def credited(self) -> Money:
        """Return the amount."""
        return money(self.model.credited_minor, self.model.currency)

    @strawberry.field(
        description="What was paid back to the customer and could not be taken from the wallet: it had been spent."
    )
    def shortfall(self) -> Money:
        """Return the amount."""
        return money(self.model.shortfall_minor, self.model.currency)

    @strawberry.field(description="The store's word for how it was paid.")
    def payment_method(self) -> str | None:
        """Return the method."""
        return self.model.payment_method

    @strawberry.field(description="When it was paid, as the store says.")
    def paid_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.paid_at)

    @strawberry.field(description="Who told of it first.")
    def created_by(self, info: AppInfo) -> Actor:
        """Return who told of it."""
        return actor(info, self.model.created_by_kind, self.model.created_by_id)

    @strawberry.field(description="When it was told of first.")
    def created_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.created_at)

    @strawberry.field(description="When it last changed here.")
    def updated_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.updated_at)

    @strawberry.field(
        description="The transaction that credited it; what was taken back stands in its `correctedBy`."
    )
    async def transaction(self, info: AppInfo) -> Transaction | None:
        """Load the transaction."""
        if self.model.transaction_id is None:
            return None
        row = await info.context.loaders.transactions.load(self.model.transaction_id)
        return None if row is None else Transaction(model=row)

    @strawberry.field(description="The wallet that got it; null for those who may not see it.")
    async def wallet(
        self, info: AppInfo
    ) -> Annotated["Wallet", strawberry.lazy("app.schema.types.wallet")] | None:
        """Load the wallet."""
        from app.schema.types.wallet import Wallet  # noqa: PLC0415 — wallets and top-ups name each other

        row = await seen_wallet(info, self.model.wallet_id)
        return None if row is None else Wallet(model=row)
