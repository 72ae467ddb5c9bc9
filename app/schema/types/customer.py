"""Customers."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import strawberry

from app.context import AppInfo
from app.domain.email_kind import read_kinds
from app.models.customer import Customer as CustomerModel
from app.schema.types.enums import Capability, EmailKind, publish
from app.schema.types.mailing import NotificationPreference
from app.schema.types.node import ID_DESCRIPTION, Node, encode_id
from app.schema.types.scalars import Date, DateTime
from app.schema.types.sort import SortDirection

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

    @strawberry.field(
        description="The day of birth, if the store told it; null for those who may not read customers. "
        "A birthday on February 29 is kept on the 28th in other years."
    )
    def birthday(self, info: AppInfo) -> Date | None:
        """Return the birthday to the customer, and to those who may read customers."""
        return Date(self.model.birthday) if self._is_seen(info) and self.model.birthday is not None else None

    @strawberry.field(
        description="The store's own words for what the customer is to it, such as wholesale. Null for those who may not "
        "read customers, also for the customer."
    )
    def roles(self, info: AppInfo) -> list[str] | None:
        """Return the roles."""
        return list(self.model.roles) if info.context.principal.may(Capability.CUSTOMERS_READ) else None

    @strawberry.field(
        description="The groups that the store counts the customer among, such as newsletter. Null for those who may not "
        "read customers, also for the customer."
    )
    def segments(self, info: AppInfo) -> list[str] | None:
        """Return the segments."""
        return list(self.model.segments) if info.context.principal.may(Capability.CUSTOMERS_READ) else None

    @strawberry.field(
        description="When the customer signed up in the store; when Coffer learnt of them, where the store doesn't say."
    )
    def signed_up_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.signed_up_at or self.model.created_at)

    @strawberry.field(
        description="The language that the customer reads e-mails in; empty for the store's. Null for those who may not read "
        "customers, but for the customer."
    )
    def language(self, info: AppInfo) -> str | None:
        """Return the language to the customer, and to those who may read customers."""
        return self.model.language if self._is_seen(info) else None

    @strawberry.field(
        description="Which e-mails the customer wants, all kinds in one order. Null for those who may not read customers, but "
        "for the customer."
    )
    def notification_preferences(self, info: AppInfo) -> list[NotificationPreference] | None:
        """Return the preferences to the customer, and to those who may read customers."""
        if not self._is_seen(info):
            return None
        off = read_kinds(self.model.emails_off)
        return [NotificationPreference(kind=kind, enabled=kind not in off) for kind in EmailKind]

    def _is_seen(self, info: AppInfo) -> bool:
        principal = info.context.principal
        return principal.may(Capability.CUSTOMERS_READ) or principal.owns(self.model.external_id)

    @strawberry.field(description="When Coffer learnt of the customer.")
    def created_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.created_at)

    @strawberry.field(description="When what is known of the customer last changed.")
    def updated_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.updated_at)

    @strawberry.field(description="The customer's one wallet; null for those who may not see it.")
    async def wallet(
        self, info: AppInfo
    ) -> Annotated["Wallet", strawberry.lazy("app.schema.types.wallet")] | None:
        """Load the wallet."""
        from app.schema.types.wallet import Wallet  # noqa: PLC0415 — customers and wallets name each other

        principal = info.context.principal
        if not (principal.may(Capability.WALLETS_READ) or principal.owns(self.model.external_id)):
            return None
        row = await info.context.loaders.wallet_of_customer.load(self.model.id)
        return None if row is None else Wallet(model=row)


@strawberry.input(one_of=True, description="Names a customer by exactly one of these.")
class CustomerSelector:
    """Id or the store's own id."""

    id: strawberry.ID | None = strawberry.field(default=strawberry.UNSET, description="The customer's id.")
    store_customer_id: str | None = strawberry.field(
        default=strawberry.UNSET, description="The store's own id of the customer."
    )


class CustomerSortField(StrEnum):
    """What a list of customers is sorted by."""

    NAME = "NAME"
    """The name."""
    CREATED_AT = "CREATED_AT"
    """When Coffer learnt of the customer."""


publish(CustomerSortField, "What a list of customers is sorted by.")


@strawberry.input(description="The order of a list of customers.")
class CustomerSort:
    """Field and direction."""

    field: CustomerSortField = strawberry.field(description="What to sort by.")
    direction: SortDirection = strawberry.field(default=SortDirection.ASC, description="Which way.")
