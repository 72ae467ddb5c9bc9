"""Refunds: what of orders was given back, and where it went."""

from typing import TYPE_CHECKING, Annotated

import strawberry

from app.context import AppInfo
from app.models.refund import Refund as RefundModel
from app.schema.types.enums import Bucket, RefundDestination
from app.schema.types.money import Money, money
from app.schema.types.node import ID_DESCRIPTION, Node, encode_id
from app.schema.types.ownership import seen_wallet
from app.schema.types.scalars import DateTime, Decimal, plain_decimal
from app.schema.types.transaction import Actor, actor

if TYPE_CHECKING:
    from app.schema.types.order import Order
    from app.schema.types.wallet import Wallet


@strawberry.type(description="The part of a refund that falls on one line of the order.")
class RefundLine:
    """A line of a refund."""

    line_id: str = strawberry.field(description="The store's own id of the line.")
    quantity: Decimal = strawberry.field(description="How many of it; 0 when only an amount was refunded.")
    amount: Money = strawberry.field(description="How much, without tax.")
    tax: Money = strawberry.field(description="The tax of it.")


@strawberry.type(
    description="A refund of an order, made here or by the store. Where its money goes is settled when it becomes known."
)
class Refund(Node):
    """A refund."""

    model: strawberry.Private[RefundModel]

    @strawberry.field(description=ID_DESCRIPTION)
    def id(self) -> strawberry.ID:
        """Return the global id."""
        return encode_id("Refund", self.model.id)

    @strawberry.field(description="The reference number that people can read out, such as RF-7K3M-92QD-XA4P.")
    def reference(self) -> str:
        """Return the reference number."""
        return self.model.reference

    @strawberry.field(
        description="The store's own id of it; null for a refund that the store has not told of."
    )
    def store_refund_id(self) -> str | None:
        """Return the store's id."""
        return self.model.external_id

    @strawberry.field(description="Where it goes.")
    def destination(self) -> RefundDestination:
        """Return the destination."""
        return RefundDestination(self.model.destination)

    @strawberry.field(
        description="The kind of value that it becomes where it goes to the wallet beyond what the wallet paid."
    )
    def bucket(self) -> Bucket:
        """Return the bucket."""
        return Bucket(self.model.bucket)

    @strawberry.field(description="All of it, shipping and tax included.")
    def amount(self) -> Money:
        """Return the amount."""
        return money(self.model.amount_minor, self.model.currency)

    @strawberry.field(description="How much of it is for shipping.")
    def shipping(self) -> Money:
        """Return the amount."""
        return money(self.model.shipping_minor, self.model.currency)

    @strawberry.field(description="How much of it is tax.")
    def tax(self) -> Money:
        """Return the amount."""
        return money(self.model.tax_minor, self.model.currency)

    @strawberry.field(
        description="How much went back to the wallet, to the very value that had paid, with its own expiry."
    )
    def to_wallet(self) -> Money:
        """Return the amount."""
        return money(self.model.wallet_minor, self.model.currency)

    @strawberry.field(
        description="How much became new credit in the wallet, beyond what the wallet had paid."
    )
    def credited(self) -> Money:
        """Return the amount."""
        return money(self.model.credited_minor, self.model.currency)

    @strawberry.field(description="How much the store sends to the other payment methods.")
    def to_others(self) -> Money:
        """Return the amount."""
        return money(self.model.elsewhere_minor, self.model.currency)

    @strawberry.field(description="Why, in words. The customer can see it.")
    def note(self) -> str:
        """Return the note."""
        return self.model.note

    @strawberry.field(description="What of it falls on which line; empty when only an amount was refunded.")
    def lines(self) -> list[RefundLine]:
        """Return the lines."""
        currency = self.model.currency
        return [
            RefundLine(
                line_id=line_id,
                quantity=plain_decimal(quantity),
                amount=money(amount_minor, currency),
                tax=money(tax_minor, currency),
            )
            for line_id, quantity, amount_minor, tax_minor in self.model.lines
        ]

    @strawberry.field(description="When it was made, as its maker says; null when the store does not say.")
    def processed_at(self) -> DateTime | None:
        """Return the time."""
        return DateTime(self.model.refunded_at) if self.model.refunded_at else None

    @strawberry.field(description="Who made it, or told of it.")
    def created_by(self, info: AppInfo) -> Actor:
        """Return who made it."""
        return actor(info, self.model.created_by_kind, self.model.created_by_id)

    @strawberry.field(description="When it became known here.")
    def created_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.created_at)

    @strawberry.field(description="When the store took it back; null for one that stands.")
    def withdrawn_at(self) -> DateTime | None:
        """Return the time."""
        return DateTime(self.model.withdrawn_at) if self.model.withdrawn_at else None

    @strawberry.field(description="The order that was refunded.")
    async def order(self, info: AppInfo) -> Annotated["Order", strawberry.lazy("app.schema.types.order")]:
        """Load the order."""
        from app.schema.types.order import Order  # noqa: PLC0415 — orders and refunds name each other

        row = await info.context.loaders.orders.load(self.model.order_id)
        if row is None:
            raise LookupError(f"refund {self.model.id} has no order")
        return Order(model=row)

    @strawberry.field(description="The wallet that it concerns; null for those who may not see it.")
    async def wallet(
        self, info: AppInfo
    ) -> Annotated["Wallet", strawberry.lazy("app.schema.types.wallet")] | None:
        """Load the wallet."""
        from app.schema.types.wallet import Wallet  # noqa: PLC0415 — wallets lead here by their orders

        row = await seen_wallet(info, self.model.wallet_id)
        return None if row is None else Wallet(model=row)
