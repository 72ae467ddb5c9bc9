"""Cashback that was given to customers, and what was looked at."""

from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from app.context import AppInfo
from app.domain.cashback.award import AwardStatus
from app.domain.money import currency_of
from app.models.cashback_award import CashbackAward as AwardModel, CashbackEvaluation as EvaluationModel
from app.schema.types.cashback_enums import CheckName, TriggerKind
from app.schema.types.cashback_outcome import CashbackRuleOutcome, stored_outcome
from app.schema.types.enums import Bucket, Capability, publish
from app.schema.types.money import Money, money
from app.schema.types.node import ID_DESCRIPTION, Node, encode_id
from app.schema.types.ownership import seen_wallet, sees
from app.schema.types.scalars import BigInt, DateTime
from app.schema.types.time import TimeRange

if TYPE_CHECKING:
    from app.schema.types.order import Order
    from app.schema.types.wallet import Wallet

publish(AwardStatus, "How a cashback award stands.", name="CashbackAwardStatus")


@strawberry.type(description="What one line of an order earned.")
class CashbackAwardLine:
    """A line of an award."""

    line_id: str | None = strawberry.field(
        description="The store's id of the line; null for shipping, or for an order that came without its lines."
    )
    base: Money = strawberry.field(description="What of it counted.")
    amount: Money = strawberry.field(description="Its part of the award; the parts add up to it.")


@strawberry.type(description="Where cashback that was taken back came from.")
class CashbackTaken:
    """The parts of a clawback; they add up to what was taken back."""

    pending: Money = strawberry.field(description="It was not money yet.")
    unspent: Money = strawberry.field(description="It was still in the wallet.")
    expired: Money = strawberry.field(description="It had expired, so the customer had lost it already.")
    other: Money = strawberry.field(description="It was spent, and taken from what else was in the wallet.")
    owed: Money = strawberry.field(description="It was spent, and is taken from the next credits.")
    left: Money = strawberry.field(description="It was spent, and the customer keeps it.")


@strawberry.type(
    description="What a rule gave a customer for one occasion. It is pending until it vests, and is taken back as its "
    "order is refunded."
)
class CashbackAward(Node):
    """An award."""

    model: strawberry.Private[AwardModel]

    @strawberry.field(description=ID_DESCRIPTION)
    def id(self) -> strawberry.ID:
        """Return the global id."""
        return encode_id("CashbackAward", self.model.id)

    @strawberry.field(description="How it stands.")
    def status(self) -> AwardStatus:
        """Return the status."""
        return AwardStatus(self.model.status)

    @strawberry.field(description="What was given.")
    def amount(self) -> Money:
        """Return the amount."""
        return self._money(self.model.amount_minor)

    @strawberry.field(description="What of it was taken back, because its order was refunded or called off.")
    def clawed_back(self) -> Money:
        """Return the amount."""
        return self._money(self.model.clawed_minor)

    @strawberry.field(description="What is left of it after what was taken back.")
    def net(self) -> Money:
        """Return the amount."""
        return self._money(self.model.amount_minor - self.model.clawed_minor)

    @strawberry.field(description="Where what was taken back came from.")
    def taken(self) -> CashbackTaken:
        """Return the parts."""
        taken = self.model.taken
        return CashbackTaken(
            pending=self._money(taken["unvested_minor"]),
            unspent=self._money(taken["lots_minor"]),
            expired=self._money(taken["expired_minor"]),
            other=self._money(taken["others_minor"]),
            owed=self._money(taken["debt_minor"]),
            left=self._money(taken["left_minor"]),
        )

    @strawberry.field(description="The kind of value that it becomes.")
    def bucket(self) -> Bucket:
        """Return the bucket."""
        return Bucket(self.model.bucket)

    @strawberry.field(description="The name of the rule that gave it, as it was then.")
    def rule_name(self) -> str:
        """Return the name."""
        return str(self._explanation["rule"]["name"])

    @strawberry.field(description="Which version of the rule gave it.")
    def rule_version(self) -> BigInt:
        """Return the version."""
        return BigInt(self.model.rule_version)

    @strawberry.field(description="Why it is so much: how it was worked out, in sentences.")
    def explanation(self) -> list[str]:
        """Return the sentences."""
        return list(self._explanation["sentences"])

    @strawberry.field(
        description="How it was worked out, step by step: conditions, base, rounding, caps. "
        "Null without the capability CASHBACK_READ."
    )
    def outcome(self, info: AppInfo) -> CashbackRuleOutcome | None:
        """Return what was written down."""
        if not info.context.principal.may(Capability.CASHBACK_READ):
            return None
        return stored_outcome(self._explanation, currency_of(self.model.currency))

    @strawberry.field(description="What each line of the order earned.")
    def lines(self) -> list[CashbackAwardLine]:
        """Return the lines."""
        lines: Any = self.model.lines
        return [
            CashbackAwardLine(line_id=line_id, base=self._money(base), amount=self._money(amount))
            for line_id, base, amount, _worth in lines
        ]

    @strawberry.field(description="When the occasion was: of an order, when it was placed.")
    def occurred_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.occurred_at)

    @strawberry.field(description="When it was given.")
    def awarded_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.awarded_at)

    @strawberry.field(description="When it becomes money that can be spent, or did.")
    def vests_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.vests_at)

    @strawberry.field(description="When it became money; null while it is pending.")
    def vested_at(self) -> DateTime | None:
        """Return the time."""
        return DateTime(self.model.vested_at) if self.model.vested_at else None

    @strawberry.field(description="Until when it can be spent; null for ever.")
    def expires_at(self) -> DateTime | None:
        """Return the time."""
        return DateTime(self.model.expires_at) if self.model.expires_at else None

    @strawberry.field(
        description="The order that earned it; null for what no order earned, and for those who may not see it."
    )
    async def order(
        self, info: AppInfo
    ) -> Annotated["Order", strawberry.lazy("app.schema.types.order")] | None:
        """Load the order."""
        from app.schema.types.order import Order  # noqa: PLC0415 — orders lead here

        if self.model.order_id is None or not await sees(info, Capability.ORDERS_READ, self.model.wallet_id):
            return None
        row = await info.context.loaders.orders.load(self.model.order_id)
        return None if row is None else Order(model=row)

    @strawberry.field(description="The wallet that it is for; null for those who may not see it.")
    async def wallet(
        self, info: AppInfo
    ) -> Annotated["Wallet", strawberry.lazy("app.schema.types.wallet")] | None:
        """Load the wallet."""
        from app.schema.types.wallet import Wallet  # noqa: PLC0415 — wallets lead here

        row = await seen_wallet(info, self.model.wallet_id)
        return None if row is None else Wallet(model=row)

    @property
    def _explanation(self) -> dict[str, Any]:
        return self.model.explanation

    def _money(self, amount_minor: int) -> Money:
        return money(amount_minor, self.model.currency)


@strawberry.type(
    description="That an occasion was looked at, and what each rule came to: why there was cashback, and why there was none."
)
class CashbackEvaluation:
    """An evaluation."""

    model: strawberry.Private[EvaluationModel]

    @strawberry.field(description="What the rules were asked for.")
    def trigger(self) -> TriggerKind:
        """Return the trigger."""
        return TriggerKind(self.model.trigger)

    @strawberry.field(description="What was given in all.")
    def total(self) -> Money:
        """Return the amount."""
        return money(self.model.total_minor, self.model.currency)

    @strawberry.field(
        description="Why there was so much, or nothing: what each rule came to, in words. "
        "Customers do not read of roles, segments and expressions."
    )
    def explanation(self, info: AppInfo) -> list[str]:
        """Return the sentences."""
        first = "No cashback."
        if self.model.total_minor:
            shown = currency_of(self.model.currency).display(self.model.total_minor)
            first = f"Cashback: {shown}."
        told = [outcome for outcome in self._outcomes if self._staff(info) or not _is_internal(outcome)]
        return [first, *(" ".join(outcome["sentences"]) for outcome in told)]

    @strawberry.field(
        description="What became of every rule, step by step; of those that did not apply, what was missing. "
        "Null without the capability CASHBACK_READ."
    )
    def outcomes(self, info: AppInfo) -> list[CashbackRuleOutcome] | None:
        """Return what was written down."""
        currency = currency_of(self.model.currency)
        return (
            [stored_outcome(outcome, currency) for outcome in self._outcomes] if self._staff(info) else None
        )

    @property
    def _outcomes(self) -> list[dict[str, Any]]:
        return self.model.outcomes

    @staticmethod
    def _staff(info: AppInfo) -> bool:
        return info.context.principal.may(Capability.CASHBACK_READ)

    @strawberry.field(description="When the occasion was.")
    def occurred_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.occurred_at)

    @strawberry.field(description="When it was looked at.")
    def evaluated_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.created_at)


_INTERNAL = frozenset({CheckName.ROLES, CheckName.SEGMENTS, CheckName.EXPRESSION})


def _is_internal(outcome: dict[str, Any]) -> bool:
    """Tell whether what stood in the way of a rule is the store's business alone."""
    return any(check["name"] in _INTERNAL and not check["passed"] for check in outcome["checks"])


@strawberry.type(description="A customer's cashback in all.")
class CashbackSummary:
    """The sums of a wallet's awards."""

    earned: Money = strawberry.field(
        description="All that became money so far, less what was taken back; spent or not."
    )
    pending: Money = strawberry.field(description="What was given and can't be spent yet.")
    next_vesting_at: DateTime | None = strawberry.field(
        description="When the next of it can be spent; null when nothing is pending."
    )
    expired: Money = strawberry.field(description="What ran out before it was spent.")
    clawed_back: Money = strawberry.field(
        description="What was taken back because orders were refunded or called off."
    )
    owed: Money = strawberry.field(
        description="What is still to be taken back: cashback of refunded orders that was spent, settled from the next credits."
    )


@strawberry.input(description="What a list of awards is narrowed to; all that is given must hold.")
class CashbackAwardFilter:
    """Conditions on awards."""

    statuses: list[AwardStatus] | None = strawberry.field(default=None, description="In one of these states.")
    rule_id: strawberry.ID | None = strawberry.field(default=None, description="Given by this rule.")
    awarded: TimeRange | None = strawberry.field(default=None, description="Given in this time.")
