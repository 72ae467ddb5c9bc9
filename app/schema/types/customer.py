"""Customers."""

from typing import TYPE_CHECKING, Annotated

import strawberry

from app.context import AppInfo
from app.models.customer import Customer as CustomerModel
from app.schema.types.node import ID_DESCRIPTION, Node, encode_id
from app.schema.types.scalars import DateTime

if TYPE_CHECKING:
    from app.schema.types.wallet import Wallet


@strawberry.type(description="A person of the store, known by the store's own id.")
class Customer(Node):
    """A customer."""

    model: strawberry.Private[CustomerModel]

    @strawberry.field(description=ID_DESCRIPTION)
    def id(self) -> strawberry.ID:
        """Return the global id."""
        return encode_id("Customer", self.model.id)

    @strawberry.field(description="The store's own id of the customer.")
    def store_customer_id(self) -> str:
        """Return the store's id."""
        return self.model.external_id

    @strawberry.field(description="The name; empty until the store tells it.")
    def name(self) -> str:
        """Return the name."""
        return self.model.name

    @strawberry.field(description="The e-mail address; empty until the store tells it.")
    def email(self) -> str:
        """Return the e-mail address."""
        return self.model.email

    @strawberry.field(description="When Coffer learnt of the customer.")
    def created_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.created_at)

    @strawberry.field(description="When the name or e-mail last changed.")
    def updated_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.updated_at)

    @strawberry.field(description="The customer's one wallet.")
    async def wallet(
        self, info: AppInfo
    ) -> Annotated["Wallet", strawberry.lazy("app.schema.types.wallet")] | None:
        """Load the wallet."""
        from app.schema.types.wallet import Wallet  # noqa: PLC0415 — customers and wallets name each other

        row = await info.context.loaders.wallet_of_customer.load(self.model.id)
        return None if row is None else Wallet(model=row)
