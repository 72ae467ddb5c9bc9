"""Transactions, and what they did to lots."""

from typing import TYPE_CHECKING, Annotated

import strawberry

from app.context import AppInfo
from app.domain.global_id import global_ids
from app.models.transaction import Allocation as AllocationModel, Transaction as TransactionModel
from app.readings import column, reading
from app.schema.types.enums import (
    ActorKind,
    AdjustmentReason,
    Bucket,
    Capability,
    CounterAccount,
    Direction,
    PrincipalKind,
    TransactionKind,
    member_of,
)
from app.schema.types.money import AmountRange, Money, money, money_of
from app.schema.types.node import ID_DESCRIPTION, Node
from app.schema.types.ownership import sees
from app.schema.types.scalars import BigInt, DateTime
from app.schema.types.time import TimeRange

if TYPE_CHECKING:
    from app.schema.types.order import Order
    from app.schema.types.wallet import Wallet


@strawberry.type(description="Who did something.")
class Actor:
    """The kind of actor and, for those who may know, the id."""

    kind: ActorKind = strawberry.field(description="What sort of actor.")
    id: str | None = strawberry.field(
        description="The store's id of the person or the program's name. Customers see only their own."
    )


def actor(info: AppInfo, kind: str, actor_id: str) -> Actor:
    """Return an actor as the caller may see it: a customer does not learn who of the staff it was."""
    principal = info.context.principal
    hidden = principal.kind is PrincipalKind.CUSTOMER and not (
        kind == ActorKind.CUSTOMER and actor_id == principal.subject
    )
    return Actor(kind=ActorKind(kind), id=None if hidden else actor_id)


@strawberry.type(description="What a transaction put into, or took out of, one lot of value.")
class Allocation:
    """One line of a transaction's allocation."""

    model: strawberry.Private[AllocationModel]
    currency: strawberry.Private[str]

    @strawberry.field(description="The kind of value; null for what went below zero (or settled it).")
    def bucket(self) -> Bucket | None:
        """Return the bucket."""
        return Bucket(self.model.bucket) if self.model.lot_id else None

    @strawberry.field(description="How much; the transaction's direction says which way.")
    def amount(self) -> Money:
        """Return the amount."""
        return money(abs(self.model.amount_minor), self.currency)

    @strawberry.field(description="When that value expires, if it does.")
    def expires_at(self) -> DateTime | None:
        """Return the value's expiry."""
        return DateTime(self.model.expires_at) if self.model.expires_at else None


def _direction(amount_minor: int) -> Direction:
    return Direction.CREDIT if amount_minor > 0 else Direction.DEBIT


def _hexadecimal(digest: bytes) -> str:
    return bytes(digest).hex()


def _reason(text: str | None) -> AdjustmentReason | None:
    return AdjustmentReason(text) if text else None


@strawberry.type(
    description="One posted movement of one wallet. It is never changed; a mistake is put right by another."
)
class Transaction(Node):
    """A transaction."""

    model: strawberry.Private[TransactionModel]

    id = column("id", strawberry.ID, global_ids("Transaction"), description=ID_DESCRIPTION)
    reference = column(
        "reference",
        str,
        description="The reference number that people can read out, such as TX-7K3M-92QD-XA4P.",
    )
    sequence = column(
        "sequence", BigInt, description="The place in the wallet's history: 1, 2, 3 … with no gap."
    )
    kind = column("kind", TransactionKind, member_of(TransactionKind), description="Why money moved.")
    direction = column(
        "amount_minor", Direction, _direction, description="Which way money went, seen from the wallet."
    )
    amount = reading(money_of("amount_minor", abs), Money, description="How much; always positive.")
    balance_after = reading(
        money_of("balance_after_minor"),
        Money,
        description="The wallet's balance right after this transaction.",
    )
    counter_account = column(
        "counter_account",
        CounterAccount,
        member_of(CounterAccount),
        description="The ledger account on the other side.",
    )
    reason = column(
        "reason",
        AdjustmentReason | None,
        _reason,
        description="What an adjustment is grouped by; null for other kinds.",
    )
    note = column("note", str, description="What happened, in words. The customer sees it too.")

    @strawberry.field(description="Who did it.")
    def actor(self, info: AppInfo) -> Actor:
        """Return the actor as the caller may see it."""
        return actor(info, self.model.actor_kind, self.model.actor_id)

    created_at = column("created_at", DateTime, description="When it was posted.")
    hash = column(
        "hash",
        str,
        _hexadecimal,
        description="The link of the hash chain (SHA-256, hexadecimal): it covers this and all before.",
    )

    @strawberry.field(description="What it put into, or took out of, each lot of value.")
    async def allocations(self, info: AppInfo) -> list[Allocation]:
        """Load the allocations."""
        rows = await info.context.loaders.allocations.load(self.model.id)
        return [Allocation(model=row, currency=self.model.currency) for row in rows]

    @strawberry.field(description="The wallet that it belongs to.")
    async def wallet(self, info: AppInfo) -> Annotated["Wallet", strawberry.lazy("app.schema.types.wallet")]:
        """Load the wallet."""
        from app.schema.types.wallet import Wallet  # noqa: PLC0415 — wallets and transactions name each other

        row = await info.context.loaders.wallets.load(self.model.wallet_id)
        if row is None:
            raise LookupError(f"transaction {self.model.id} has no wallet")
        return Wallet(model=row)

    @strawberry.field(description="The transaction that this one puts right.")
    async def corrects(self, info: AppInfo) -> "Transaction | None":
        """Load the corrected transaction."""
        if self.model.corrects_id is None:
            return None
        row = await info.context.loaders.transactions.load(self.model.corrects_id)
        return None if row is None else Transaction(model=row)

    @strawberry.field(description="The transactions that put this one right, oldest first.")
    async def corrected_by(self, info: AppInfo) -> "list[Transaction]":
        """Load the corrections."""
        return [Transaction(model=row) for row in await info.context.loaders.corrections.load(self.model.id)]

    @strawberry.field(
        description="The order that it belongs to; null when there is none, and for those who may not see orders."
    )
    async def order(
        self, info: AppInfo
    ) -> Annotated["Order", strawberry.lazy("app.schema.types.order")] | None:
        """Load the order."""
        from app.schema.types.order import Order  # noqa: PLC0415 — orders and transactions name each other

        if self.model.order_id is None or not await sees(info, Capability.ORDERS_READ, self.model.wallet_id):
            return None
        row = await info.context.loaders.orders.load(self.model.order_id)
        return None if row is None else Order(model=row)


@strawberry.input(description="What a list of transactions is narrowed to; all that is given must hold.")
class TransactionFilter:
    """Conditions on transactions."""

    kinds: list[TransactionKind] | None = strawberry.field(default=None, description="One of these kinds.")
    direction: Direction | None = strawberry.field(default=None, description="Only this direction.")
    buckets: list[Bucket] | None = strawberry.field(
        default=None, description="Touching value of one of these buckets."
    )
    created: TimeRange | None = strawberry.field(default=None, description="Posted in this time.")
    actor_id: str | None = strawberry.field(
        default=None, description="Done by this person or program; for staff and services."
    )
    reasons: list[AdjustmentReason] | None = strawberry.field(
        default=None, description="Adjustments for one of these reasons."
    )
    amount: AmountRange | None = strawberry.field(default=None, description="Of an amount in this range.")
    search: str | None = strawberry.field(
        default=None, description="Whose note holds this text, or whose reference begins with it."
    )


@strawberry.input(one_of=True, description="Names a transaction by exactly one of these.")
class TransactionSelector:
    """Id or reference."""

    id: strawberry.ID | None = strawberry.field(default=strawberry.UNSET, description="Its id.")
    reference: str | None = strawberry.field(
        default=strawberry.UNSET, description="Its reference number, such as TX-7K3M-92QD-XA4P."
    )
