"""Withdrawals."""

from typing import TYPE_CHECKING, Annotated

import strawberry

from app.context import AppInfo
from app.models.withdrawal import Withdrawal as WithdrawalModel
from app.schema.types.enums import Capability, WithdrawalStatus
from app.schema.types.money import Money, money
from app.schema.types.node import ID_DESCRIPTION, Node, encode_id
from app.schema.types.ownership import sees
from app.schema.types.payout_method import PayoutMethod
from app.schema.types.scalars import DateTime
from app.schema.types.transaction import Actor, Transaction, actor

if TYPE_CHECKING:
    from app.schema.types.wallet import Wallet


@strawberry.type(description="A customer's request to be paid out. Its amount is held at once.")
class Withdrawal(Node):
    """A withdrawal."""

    model: strawberry.Private[WithdrawalModel]

    @strawberry.field(description=ID_DESCRIPTION)
    def id(self) -> strawberry.ID:
        """Return the global id."""
        return encode_id("Withdrawal", self.model.id)

    @strawberry.field(description="The reference number that people can read out, such as WD-7K3M-92QD-XA4P.")
    def reference(self) -> str:
        """Return the reference number."""
        return self.model.reference

    @strawberry.field(description="How it stands.")
    def status(self) -> WithdrawalStatus:
        """Return the status."""
        return WithdrawalStatus(self.model.status)

    @strawberry.field(description="How much.")
    def amount(self) -> Money:
        """Return the amount."""
        return money(self.model.amount_minor, self.model.currency)

    @strawberry.field(description="What was said with the request.")
    def note(self) -> str:
        """Return the note."""
        return self.model.note

    @strawberry.field(
        description="Where its money is sent, if a payout method was chosen; null for those who may not see it."
    )
    async def payout_method(self, info: AppInfo) -> PayoutMethod | None:
        """Load the payout method."""
        if self.model.payout_method_id is None or not await sees(
            info, Capability.WALLETS_READ, self.model.wallet_id
        ):
            return None
        row = await info.context.loaders.payout_methods.load(self.model.payout_method_id)
        return None if row is None else PayoutMethod(model=row)

    @strawberry.field(description="Who asked for it.")
    def requested_by(self, info: AppInfo) -> Actor:
        """Return who asked."""
        return actor(info, self.model.requested_by_kind, self.model.requested_by_id)

    @strawberry.field(description="When it was asked for.")
    def requested_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.created_at)

    @strawberry.field(description="Who ended it.")
    def decided_by(self, info: AppInfo) -> Actor | None:
        """Return who decided."""
        kind, actor_id = self.model.decided_by_kind, self.model.decided_by_id
        return None if kind is None or actor_id is None else actor(info, kind, actor_id)

    @strawberry.field(description="When it ended.")
    def decided_at(self) -> DateTime | None:
        """Return the time."""
        return DateTime(self.model.decided_at) if self.model.decided_at else None

    @strawberry.field(description="What was said with the decision.")
    def decision_note(self) -> str | None:
        """Return the note."""
        return self.model.decision_note

    @strawberry.field(description="The bank's or provider's reference of the payout, once it was paid.")
    def payout_reference(self) -> str | None:
        """Return the reference."""
        return self.model.payout_reference

    @strawberry.field(description="The transaction that took the money out, once it was paid.")
    async def transaction(self, info: AppInfo) -> Transaction | None:
        """Load the transaction."""
        if self.model.transaction_id is None:
            return None
        row = await info.context.loaders.transactions.load(self.model.transaction_id)
        return None if row is None else Transaction(model=row)

    @strawberry.field(description="The wallet that it is paid out from.")
    async def wallet(self, info: AppInfo) -> Annotated["Wallet", strawberry.lazy("app.schema.types.wallet")]:
        """Load the wallet."""
        from app.schema.types.wallet import Wallet  # noqa: PLC0415 — wallets and withdrawals name each other

        row = await info.context.loaders.wallets.load(self.model.wallet_id)
        if row is None:
            raise LookupError(f"withdrawal {self.model.id} has no wallet")
        return Wallet(model=row)
