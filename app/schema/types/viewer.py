"""The caller."""

import strawberry

from app.context import AppInfo
from app.domain.access import Principal
from app.schema.types.customer import Customer
from app.schema.types.enums import Capability, PrincipalKind
from app.schema.types.wallet import Wallet
from app.services import customer as customers


@strawberry.type(description="Who asks: what the credential proved.")
class Viewer:
    """The caller of this request."""

    principal: strawberry.Private[Principal]

    @strawberry.field(description="What sort of caller.")
    def kind(self) -> PrincipalKind:
        """Return the kind."""
        return self.principal.kind

    @strawberry.field(description="The store's id of the caller; null when nobody signed in.")
    def subject(self) -> str | None:
        """Return the subject."""
        return self.principal.subject or None

    @strawberry.field(description="The roles that the store gave the caller.")
    def roles(self) -> list[str]:
        """Return the roles."""
        return list(self.principal.roles)

    @strawberry.field(description="What the caller may do beside using their own wallet.")
    def capabilities(self) -> list[Capability]:
        """Return the capabilities."""
        return sorted(self.principal.capabilities)

    @strawberry.field(description="The caller as a customer of the store; null until Coffer knows them.")
    async def customer(self) -> Customer | None:
        """Load the customer."""
        external_id = self.principal.customer_external_id
        if external_id is None:
            return None
        row = await customers.find(external_id=external_id)
        return None if row is None else Customer(model=row)

    @strawberry.field(description="The caller's own wallet; null until there is one.")
    async def wallet(self, info: AppInfo) -> Wallet | None:
        """Load the caller's wallet."""
        customer = await self.customer()
        if customer is None:
            return None
        row = await info.context.loaders.wallet_of_customer.load(customer.model.id)
        return None if row is None else Wallet(model=row)
