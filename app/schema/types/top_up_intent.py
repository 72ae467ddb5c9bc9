"""Top-ups that are begun here, and rules of automatic ones."""

from typing import TYPE_CHECKING, Annotated

import strawberry

from app.context import AppInfo
from app.domain.top_up_intent import TopUpOptions as Options
from app.models.auto_top_up import AutoTopUp as AutoTopUpModel, AutoTopUpCharge as ChargeModel
from app.models.top_up_intent import TopUpIntent as TopUpIntentModel
from app.schema.types.enums import (
    AutoTopUpKind,
    AutoTopUpStatus,
    ChargeStatus,
    TopUpIntentStatus,
    TopUpObstacle,
)
from app.schema.types.money import Money, money
from app.schema.types.node import ID_DESCRIPTION, Node, encode_id
from app.schema.types.ownership import seen_wallet
from app.schema.types.scalars import DateTime
from app.schema.types.top_up import TopUp
from app.schema.types.transaction import Actor, actor

if TYPE_CHECKING:
    from app.schema.types.wallet import Wallet


@strawberry.type(description="What can be paid into a wallet now, by the store's settings.")
class TopUpOptions:
    """The limits that apply, what is left of them, and how it may be paid."""

    is_possible: bool = strawberry.field(description="Whether anything can be paid in now.")
    obstacles: list[TopUpObstacle] = strawberry.field(description="Why nothing can; empty when it can.")
    minimum: Money = strawberry.field(description="The smallest top-up.")
    maximum: Money = strawberry.field(
        description="The largest top-up that is possible now, by all limits together; zero when none is."
    )
    left_today: Money | None = strawberry.field(
        description="What the day's limit leaves; null where there is none. Top-ups under way count as paid."
    )
    room: Money | None = strawberry.field(
        description="What the wallet may get until it holds as much as it may; null where there is no limit."
    )
    suggested: list[Money] = strawberry.field(description="The store's suggestions that are possible now.")
    payment_methods: list[str] = strawberry.field(
        description="The store's payment methods that pay top-ups; the wallet itself never does."
    )


def options_type(found: Options, currency: str) -> TopUpOptions:
    """Return the options as GraphQL shows them."""

    def maybe(amount_minor: int | None) -> Money | None:
        return None if amount_minor is None else money(amount_minor, currency)

    return TopUpOptions(
        is_possible=not found.obstacles,
        obstacles=list(found.obstacles),
        minimum=money(found.smallest_minor, currency),
        maximum=money(found.largest_minor, currency),
        left_today=maybe(found.day_left_minor),
        room=maybe(found.balance_left_minor),
        suggested=[money(amount_minor, currency) for amount_minor in found.suggested_minor],
        payment_methods=list(found.methods),
    )


@strawberry.type(
    description="A top-up that was started: the store's checkout carries its reference, and the wallet is credited when the "
    "money came."
)
class TopUpIntent(Node):
    """A top-up that was started."""

    model: strawberry.Private[TopUpIntentModel]

    @strawberry.field(description=ID_DESCRIPTION)
    def id(self) -> strawberry.ID:
        """Return the global id."""
        return encode_id("TopUpIntent", self.model.id)

    @strawberry.field(
        description="What the store's order or payment names, such as TI-7K3M-92QD-XA4P: `topUp` of recordOrder, `intent` "
        "of recordTopUp, or the order's meta `_coffer_top_up` in WooCommerce."
    )
    def reference(self) -> str:
        """Return the reference."""
        return self.model.reference

    @strawberry.field(description="What the customer wants to pay in.")
    def amount(self) -> Money:
        """Return the amount."""
        return money(self.model.amount_minor, self.model.currency)

    @strawberry.field(description="The store's payment method; null when the checkout asks.")
    def payment_method(self) -> str | None:
        """Return the method."""
        return self.model.payment_method

    @strawberry.field(description="How it stands.")
    def status(self) -> TopUpIntentStatus:
        """Return the status."""
        return TopUpIntentStatus(self.model.status)

    @strawberry.field(
        description="Until when it waits for its money; money that comes later is credited too."
    )
    def expires_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.expires_at)

    @strawberry.field(description="Who started it.")
    def created_by(self, info: AppInfo) -> Actor:
        """Return who started it."""
        return actor(info, self.model.created_by_kind, self.model.created_by_id)

    @strawberry.field(description="When it was started.")
    def created_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.created_at)

    @strawberry.field(description="When it last changed.")
    def updated_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.updated_at)

    @strawberry.field(description="The money that came for it; null until it came.")
    async def top_up(self, info: AppInfo) -> TopUp | None:
        """Load the top-up."""
        if self.model.top_up_id is None:
            return None
        row = await info.context.loaders.top_ups.load(self.model.top_up_id)
        return None if row is None else TopUp(model=row)

    @strawberry.field(description="The wallet; null for those who may not see it.")
    async def wallet(
        self, info: AppInfo
    ) -> Annotated["Wallet", strawberry.lazy("app.schema.types.wallet")] | None:
        """Load the wallet."""
        from app.schema.types.wallet import Wallet  # noqa: PLC0415 — wallets and top-ups name each other

        row = await seen_wallet(info, self.model.wallet_id)
        return None if row is None else Wallet(model=row)


@strawberry.type(
    description="A rule by which the store charges a saved payment method. Coffer asks, the store charges."
)
class AutoTopUp(Node):
    """A rule of automatic top-ups."""

    model: strawberry.Private[AutoTopUpModel]

    @strawberry.field(description=ID_DESCRIPTION)
    def id(self) -> strawberry.ID:
        """Return the global id."""
        return encode_id("AutoTopUp", self.model.id)

    @strawberry.field(description="What it waits for.")
    def kind(self) -> AutoTopUpKind:
        """Return the kind."""
        return AutoTopUpKind(self.model.kind)

    @strawberry.field(description="Below which available balance it pays in; null for a monthly one.")
    def threshold(self) -> Money | None:
        """Return the amount."""
        value = self.model.threshold_minor
        return None if value is None else money(value, self.model.currency)

    @strawberry.field(
        description="On which day of the store's month it pays in, the last one where a month has no such day; "
        "null for a rule with a threshold."
    )
    def day_of_month(self) -> int | None:
        """Return the day."""
        return self.model.day_of_month

    @strawberry.field(description="How much it pays in.")
    def amount(self) -> Money:
        """Return the amount."""
        return money(self.model.amount_minor, self.model.currency)

    @strawberry.field(description="The store's payment method.")
    def payment_method(self) -> str:
        """Return the method."""
        return self.model.payment_method

    @strawberry.field(description="How it stands.")
    def status(self) -> AutoTopUpStatus:
        """Return the status."""
        return AutoTopUpStatus(self.model.status)

    @strawberry.field(description="How often in a row the payment method was declined.")
    def declines(self) -> int:
        """Return the count."""
        return self.model.declines

    @strawberry.field(
        description="When it asks the store next, at the earliest; null while it does not ask, or waits for an answer."
    )
    def next_attempt_at(self) -> DateTime | None:
        """Return the time."""
        asks = self.model.status == AutoTopUpStatus.ACTIVE and self.model.charge_id is None
        return DateTime(self.model.next_attempt_at) if asks else None

    @strawberry.field(description="Who set it.")
    def created_by(self, info: AppInfo) -> Actor:
        """Return who set it."""
        return actor(info, self.model.created_by_kind, self.model.created_by_id)

    @strawberry.field(description="When it was set first.")
    def created_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.created_at)

    @strawberry.field(description="When it last changed.")
    def updated_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.updated_at)


@strawberry.type(
    description="A request to the store to charge a saved payment method. Its id is the store's idempotency key: charge each "
    "once, and tell what came of it by reportAutoTopUpCharge."
)
class AutoTopUpCharge(Node):
    """A request to charge."""

    model: strawberry.Private[ChargeModel]

    @strawberry.field(description=ID_DESCRIPTION)
    def id(self) -> strawberry.ID:
        """Return the global id."""
        return encode_id("AutoTopUpCharge", self.model.id)

    @strawberry.field(description="The reference number that people can read out, such as TC-7K3M-92QD-XA4P.")
    def reference(self) -> str:
        """Return the reference."""
        return self.model.reference

    @strawberry.field(description="What to charge.")
    def amount(self) -> Money:
        """Return the amount."""
        return money(self.model.amount_minor, self.model.currency)

    @strawberry.field(description="The store's payment method.")
    def payment_method(self) -> str:
        """Return the method."""
        return self.model.payment_method

    @strawberry.field(description="The store's own name of the saved payment method.")
    def payment_token(self) -> str:
        """Return the token's name."""
        return self.model.payment_token

    @strawberry.field(description="The how manieth attempt it is since the last success, from 1.")
    def attempt(self) -> int:
        """Return the number."""
        return self.model.attempt

    @strawberry.field(description="How it stands.")
    def status(self) -> ChargeStatus:
        """Return the status."""
        return ChargeStatus(self.model.status)

    @strawberry.field(description="The store's word for why it was declined; empty otherwise.")
    def problem(self) -> str:
        """Return the problem."""
        return self.model.problem

    @strawberry.field(description="When the store was asked.")
    def created_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.created_at)

    @strawberry.field(description="When it last changed.")
    def updated_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.updated_at)

    @strawberry.field(description="The money that came for it; null until it came.")
    async def top_up(self, info: AppInfo) -> TopUp | None:
        """Load the top-up."""
        if self.model.top_up_id is None:
            return None
        row = await info.context.loaders.top_ups.load(self.model.top_up_id)
        return None if row is None else TopUp(model=row)

    @strawberry.field(description="The wallet to pay into; null for those who may not see it.")
    async def wallet(
        self, info: AppInfo
    ) -> Annotated["Wallet", strawberry.lazy("app.schema.types.wallet")] | None:
        """Load the wallet."""
        from app.schema.types.wallet import Wallet  # noqa: PLC0415 — wallets and top-ups name each other

        row = await seen_wallet(info, self.model.wallet_id)
        return None if row is None else Wallet(model=row)
