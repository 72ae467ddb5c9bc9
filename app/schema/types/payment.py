"""Payments: what wallets give towards orders."""

from typing import TYPE_CHECKING, Annotated

import strawberry

from app.context import AppInfo
from app.domain.page import PageRequest
from app.domain.payment import PaymentStatus as Status
from app.models.payment import Payment as PaymentModel
from app.schema.types.connection import After, Before, Connection, First, Last, connection
from app.schema.types.enums import (
    Bucket,
    Capability,
    CaptureMethod,
    PaymentEnd,
    PaymentOrigin,
    PaymentStatus,
)
from app.schema.types.money import Money, money
from app.schema.types.node import ID_DESCRIPTION, Node, encode_id
from app.schema.types.ownership import seen_wallet, sees
from app.schema.types.refusal import telling
from app.schema.types.scalars import DateTime
from app.schema.types.transaction import Actor, Transaction, actor

if TYPE_CHECKING:
    from app.schema.types.order import Order
    from app.schema.types.wallet import Wallet

_OPEN = {Status.AUTHORIZED, Status.PARTIALLY_CAPTURED}


def held_minor(model: PaymentModel) -> int:
    """Return what a payment still holds."""
    return model.amount_minor - model.captured_minor if model.status in _OPEN else 0


@strawberry.type(
    description="What a wallet gives towards an order: it is held first, then captured, or given back."
)
class Payment(Node):
    """A payment."""

    model: strawberry.Private[PaymentModel]

    @strawberry.field(description=ID_DESCRIPTION)
    def id(self) -> strawberry.ID:
        """Return the global id."""
        return encode_id("Payment", self.model.id)

    @strawberry.field(description="The reference number that people can read out, such as PY-7K3M-92QD-XA4P.")
    def reference(self) -> str:
        """Return the reference number."""
        return self.model.reference

    @strawberry.field(description="What began it.")
    def origin(self) -> PaymentOrigin:
        """Return the origin."""
        return PaymentOrigin(self.model.origin)

    @strawberry.field(description="What captures it.")
    def capture_method(self) -> CaptureMethod:
        """Return the method."""
        return CaptureMethod(self.model.capture)

    @strawberry.field(description="How it stands.")
    def status(self) -> PaymentStatus:
        """Return the status."""
        return PaymentStatus(self.model.status)

    @strawberry.field(description="How much was authorized.")
    def authorized(self) -> Money:
        """Return the amount."""
        return money(self.model.amount_minor, self.model.currency)

    @strawberry.field(description="How much of it was taken from the wallet.")
    def captured(self) -> Money:
        """Return the amount."""
        return money(self.model.captured_minor, self.model.currency)

    @strawberry.field(
        description="How much of what was captured was given back to the very value that it came from."
    )
    def returned(self) -> Money:
        """Return the amount."""
        return money(self.model.returned_minor, self.model.currency)

    @strawberry.field(description="How much is still held, and can be captured.")
    def held(self) -> Money:
        """Return the amount."""
        return money(held_minor(self.model), self.model.currency)

    @strawberry.field(
        description="What of this payment promotional money pays: the store books it as a discount, for tax and for its "
        "discount rules. Of what is held, and of what was captured and not given back."
    )
    async def discount(self, info: AppInfo) -> Money:
        """Add up what promotional lots give."""
        division = await info.context.loaders.divisions.load(self.model.hold_id)
        return money(division.discount_minor, self.model.currency)

    @strawberry.field(
        description="What of this payment all other money pays: a means of payment, as a card is. With the discount, it "
        "is all that is held, or was captured and not given back."
    )
    async def tender(self, info: AppInfo) -> Money:
        """Add up what all other lots give."""
        division = await info.context.loaders.divisions.load(self.model.hold_id)
        return money(division.tender_minor, self.model.currency)

    @strawberry.field(description="The kinds of value that it may draw on.")
    def buckets(self) -> list[Bucket]:
        """Return the buckets."""
        return [Bucket(bucket) for bucket in self.model.buckets]

    @strawberry.field(
        description="When what is held is given back by itself; null when that never happens, as for a renewal."
    )
    def expires_at(self) -> DateTime | None:
        """Return the time."""
        return DateTime(self.model.expires_at) if self.model.expires_at else None

    @strawberry.field(
        description="What ended the hold; null while something is held, or when all of it was captured."
    )
    def ended_by(self) -> PaymentEnd | None:
        """Return what ended it."""
        return PaymentEnd(self.model.ended_by) if self.model.ended_by else None

    @strawberry.field(description="Who began it.")
    def created_by(self, info: AppInfo) -> Actor:
        """Return who began it."""
        return actor(info, self.model.created_by_kind, self.model.created_by_id)

    @strawberry.field(description="When it was begun.")
    def created_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.created_at)

    @strawberry.field(description="When it last changed.")
    def updated_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.updated_at)

    @strawberry.field(
        description="The order that it pays; null once the store has said that it is another customer's."
    )
    async def order(
        self, info: AppInfo
    ) -> Annotated["Order", strawberry.lazy("app.schema.types.order")] | None:
        """Load the order."""
        from app.schema.types.order import Order  # noqa: PLC0415 — orders and payments name each other

        row = await info.context.loaders.orders.load(self.model.order_id)
        # Whoever holds value for an order that the store has not told of may turn out to be a stranger to it.
        if row is None or not await sees(info, Capability.ORDERS_READ, row.wallet_id):
            return None
        return Order(model=row)

    @strawberry.field(description="The wallet that pays; null for those who may not see it.")
    async def wallet(
        self, info: AppInfo
    ) -> Annotated["Wallet", strawberry.lazy("app.schema.types.wallet")] | None:
        """Load the wallet."""
        from app.schema.types.wallet import Wallet  # noqa: PLC0415 — wallets and payments name each other

        row = await seen_wallet(info, self.model.wallet_id)
        return None if row is None else Wallet(model=row)

    @strawberry.field(
        description="What was captured and given back, oldest first. Null for those who may not see the wallet.",
        extensions=[telling()],
    )
    async def transactions(
        self,
        info: AppInfo,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Transaction] | None:
        """Load a page of what moved."""
        context, hold_id = info.context, self.model.hold_id
        if not await sees(info, Capability.WALLETS_READ, self.model.wallet_id):
            return None
        page = await context.payment_histories.load((hold_id, None, PageRequest(first, after, last, before)))
        return connection(
            page,
            lambda row: Transaction(model=row),
            lambda: context.payment_history_counts.load((hold_id, None)),
        )


@strawberry.input(one_of=True, description="Names a payment by exactly one of these.")
class PaymentSelector:
    """Id or reference."""

    id: strawberry.ID | None = strawberry.field(default=strawberry.UNSET, description="Its id.")
    reference: str | None = strawberry.field(
        default=strawberry.UNSET, description="Its reference number, such as PY-7K3M-92QD-XA4P."
    )
