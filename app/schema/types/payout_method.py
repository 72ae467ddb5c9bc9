"""Payout methods."""

import strawberry

from app.context import AppInfo
from app.models.payout_method import PayoutMethod as PayoutMethodModel
from app.schema.types.enums import PayoutMethodKind, PayoutMethodStatus
from app.schema.types.node import ID_DESCRIPTION, Node, encode_id
from app.schema.types.scalars import DateTime
from app.schema.types.transaction import Actor, actor


@strawberry.type(description="One detail of a payout method, in full.")
class PayoutDetail:
    """Name and value."""

    name: str = strawberry.field(description="What it is, such as iban.")
    value: str = strawberry.field(description="The detail itself.")


@strawberry.type(
    description="A place that a wallet's withdrawals may be sent to. Its details are kept encrypted and shown masked; it "
    "is never changed: remove it and add another one."
)
class PayoutMethod(Node):
    """A payout method."""

    model: strawberry.Private[PayoutMethodModel]

    @strawberry.field(description=ID_DESCRIPTION)
    def id(self) -> strawberry.ID:
        """Return the global id."""
        return encode_id("PayoutMethod", self.model.id)

    @strawberry.field(description="What sort of place it is.")
    def kind(self) -> PayoutMethodKind:
        """Return the kind."""
        return PayoutMethodKind(self.model.kind)

    @strawberry.field(description="What the customer calls it; may be empty.")
    def label(self) -> str:
        """Return the label."""
        return self.model.label

    @strawberry.field(description="What people recognise it by, such as DE•• •••• 3000.")
    def masked(self) -> str:
        """Return the masked details."""
        return self.model.masked

    @strawberry.field(description="Whether it can be used.")
    def status(self) -> PayoutMethodStatus:
        """Return the status."""
        return PayoutMethodStatus(self.model.status)

    @strawberry.field(
        description="From when withdrawals may be sent there: a new one waits, so that nobody who broke in can empty the "
        "wallet at once."
    )
    def usable_from(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.usable_from)

    @strawberry.field(description="Who added it.")
    def added_by(self, info: AppInfo) -> Actor:
        """Return who added it."""
        return actor(info, self.model.created_by_kind, self.model.created_by_id)

    @strawberry.field(description="When it was added.")
    def created_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.created_at)
