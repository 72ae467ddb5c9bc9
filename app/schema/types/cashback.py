"""Cashback rules as they are, each version of them, and what the public sees."""

from datetime import datetime
from enum import StrEnum

import strawberry

from app.context import AppInfo
from app.domain.cashback.condition import Base
from app.domain.cashback.rule import CashbackRule as Terms
from app.domain.cashback.summary import offer, percent_text, summary
from app.domain.page import PageRequest
from app.models.cashback_rule import CashbackRule as CashbackRuleModel, CashbackRuleVersion as VersionModel
from app.schema.types.cashback_enums import (
    MilestoneKind,
    Period,
    RewardKind,
    RewardPer,
    Rounding,
    RuleStatus,
    StackingMode,
    TriggerKind,
    VestingKind,
)
from app.schema.types.connection import After, Before, Connection, First, Last, connection
from app.schema.types.enums import Bucket, publish
from app.schema.types.money import Money, money
from app.schema.types.node import ID_DESCRIPTION, Node, encode_id
from app.schema.types.refusal import telling
from app.schema.types.scalars import BigInt, CurrencyCode, DateTime, Decimal
from app.schema.types.sort import SortDirection
from app.schema.types.transaction import Actor, actor

WINDOW_FROM = "From when on the rule is in force; null for ever since."
WINDOW_TO = "Until before when it is in force; null for no end."


@strawberry.type(description="What a cashback rule waits for.")
class CashbackTrigger:
    """A trigger."""

    kind: TriggerKind = strawberry.field(description="What it is.")
    milestone: MilestoneKind | None = strawberry.field(description="Which milestone, for MILESTONE.")
    n: int | None = strawberry.field(description="Which order, for NTH_ORDER and EVERY_NTH_ORDER.")
    spend: Money | None = strawberry.field(description="How much, for LIFETIME_SPEND.")
    event: str | None = strawberry.field(description="The event's name, for EVENT.")


@strawberry.type(
    description="Which amount of an order counts. What the wallet paid and what coupons grant never count unless it says so."
)
class CashbackBase:
    """A base."""

    tax: bool = strawberry.field(description="With tax.")
    shipping: bool = strawberry.field(description="With shipping.")
    before_discounts: bool = strawberry.field(description="Before discounts.")
    wallet_paid: bool = strawberry.field(description="With the part that the wallet paid.")


@strawberry.type(description="Which lines of an order count; names and ids are compared exactly.")
class CashbackLineFilter:
    """A filter of lines."""

    categories_in: list[str] = strawberry.field(description="Lines of these categories.")
    categories_out: list[str] = strawberry.field(description="Not those of these categories.")
    products_in: list[str] = strawberry.field(description="Lines of these products, by the store's id.")
    products_out: list[str] = strawberry.field(description="Not those of these products.")
    skus_in: list[str] = strawberry.field(description="Lines of these SKUs.")
    skus_out: list[str] = strawberry.field(description="Not those of these SKUs.")
    sale_out: bool = strawberry.field(description="Not what was on sale.")
    couponed_out: bool = strawberry.field(description="Not what a coupon made cheaper.")


@strawberry.type(
    description="Under which circumstances a rule applies: all of them must hold; empty asks nothing."
)
class CashbackConditions:
    """Conditions."""

    minimum: Money | None = strawberry.field(description="The order or top-up is at least this much.")
    maximum: Money | None = strawberry.field(description="It is at most this much.")
    base: CashbackBase = strawberry.field(description="Which amount minimum and maximum are about.")
    of_matching_lines: bool = strawberry.field(
        description="Whether minimum and maximum are about the lines that count alone, and not the whole order."
    )
    lines: CashbackLineFilter = strawberry.field(description="Which lines count.")
    payment_methods_in: list[str] = strawberry.field(description="Paid by one of these methods.")
    payment_methods_out: list[str] = strawberry.field(description="Paid by none of these.")
    roles_in: list[str] = strawberry.field(description="The customer bears one of these roles.")
    roles_out: list[str] = strawberry.field(description="The customer bears none of these.")
    segments_in: list[str] = strawberry.field(description="The customer is in one of these segments.")
    segments_out: list[str] = strawberry.field(description="The customer is in none of these.")
    weekdays: list[int] = strawberry.field(
        description="On these days in the store's time zone: 1 (Monday) to 7 (Sunday)."
    )
    minute_from: int | None = strawberry.field(
        description="From this minute of the day on, in the store's time zone: 600 is 10:00."
    )
    minute_to: int | None = strawberry.field(description="Until before this minute of the day.")
    days_since_sign_up_min: int | None = strawberry.field(description="So many days after sign-up, or later.")
    days_since_sign_up_max: int | None = strawberry.field(
        description="So many days after sign-up, or earlier."
    )
    expression: str = strawberry.field(
        description="An expression of the Common Expression Language that must hold; empty for none."
    )


@strawberry.type(description="How much a rule gives.")
class CashbackReward:
    """A reward."""

    kind: RewardKind = strawberry.field(description="A percentage or an amount.")
    percent: Decimal | None = strawberry.field(description="The percentage, such as 5.5.")
    amount: Money | None = strawberry.field(description="The amount.")
    per: RewardPer = strawberry.field(description="How often, and where it is rounded.")
    base: CashbackBase = strawberry.field(description="What the percentage is taken of.")
    rounding: Rounding = strawberry.field(description="How it is rounded.")
    bucket: Bucket = strawberry.field(description="The kind of value that it becomes.")


@strawberry.type(description="The most that one customer gets in one stretch of the store's calendar.")
class CashbackPeriodCap:
    """A cap of a period."""

    period: Period = strawberry.field(description="The stretch.")
    amount: Money = strawberry.field(description="The most.")


@strawberry.type(description="The most that a rule gives; null has no bound.")
class CashbackCaps:
    """Caps."""

    order: Money | None = strawberry.field(description="For one order, or whatever the rule waits for.")
    periods: list[CashbackPeriodCap] = strawberry.field(
        description="To one customer in a day, week, month or year."
    )
    customer: Money | None = strawberry.field(description="To one customer in all.")
    budget: Money | None = strawberry.field(description="To all customers in all.")


@strawberry.type(description="When cashback becomes money that can be spent.")
class CashbackVesting:
    """Vesting."""

    kind: VestingKind = strawberry.field(description="When.")
    days: int = strawberry.field(description="After so many days, for AFTER_DAYS.")


@strawberry.type(description="Until when cashback can be spent; neither of the two: for ever.")
class CashbackExpiry:
    """Expiry."""

    days: int | None = strawberry.field(description="For so many days from vesting on, the last one whole.")
    end_of_month: bool = strawberry.field(description="To the end of the month that the last day is in.")


@strawberry.type(description="How a rule gets along with others that apply at once.")
class CashbackStacking:
    """Stacking."""

    mode: StackingMode = strawberry.field(description="Beside others, the best of a group, or alone.")
    group: str | None = strawberry.field(description="The group's name, for BEST_OF_GROUP.")


@strawberry.interface(description="What a cashback rule says: now, or in one of its versions.")
class CashbackTerms:
    """The parts of a rule."""

    terms: strawberry.Private[Terms]

    @strawberry.field(description="Counts the versions of the rule: 1, 2, 3 …")
    def version(self) -> BigInt:
        """Return the version."""
        return BigInt(self.terms.version)

    @strawberry.field(description="What customers may read as its name.")
    def name(self) -> str:
        """Return the name."""
        return self.terms.name

    @strawberry.field(description="More about it, which customers may read too.")
    def description(self) -> str:
        """Return the description."""
        return self.terms.description

    @strawberry.field(description="Whether it gives anything.")
    def status(self) -> RuleStatus:
        """Return the status."""
        return self.terms.status

    @strawberry.field(
        description="The currency of its amounts, and of what it applies to; null for every currency."
    )
    def currency(self) -> CurrencyCode | None:
        """Return the currency."""
        return None if self.terms.currency is None else CurrencyCode(self.terms.currency)

    @strawberry.field(description="Of two rules, the one with the higher priority comes first.")
    def priority(self) -> int:
        """Return the priority."""
        return self.terms.priority

    @strawberry.field(description="What it waits for.")
    def trigger(self) -> CashbackTrigger:
        """Return the trigger."""
        trigger = self.terms.trigger
        spend = _money(self.terms, trigger.spend_minor)
        return CashbackTrigger(
            kind=trigger.kind, milestone=trigger.milestone, n=trigger.n, spend=spend, event=trigger.event
        )

    @strawberry.field(description="Under which circumstances it applies.")
    def conditions(self) -> CashbackConditions:
        """Return the conditions."""
        return _conditions(self.terms)

    @strawberry.field(description="How much it gives.")
    def reward(self) -> CashbackReward:
        """Return the reward."""
        reward = self.terms.reward
        fixed = reward.kind is RewardKind.FIXED
        return CashbackReward(
            kind=reward.kind,
            percent=None if fixed else Decimal(percent_text(reward.percent_bp)),
            amount=_money(self.terms, reward.amount_minor) if fixed else None,
            per=reward.per,
            base=_base(reward.base),
            rounding=reward.rounding,
            bucket=reward.bucket,
        )

    @strawberry.field(description="The most that it gives.")
    def caps(self) -> CashbackCaps:
        """Return the caps."""
        terms, caps = self.terms, self.terms.reward.caps
        return CashbackCaps(
            order=_money(terms, caps.order_minor),
            periods=[
                CashbackPeriodCap(period=cap.period, amount=money(cap.amount_minor, terms.currency or ""))
                for cap in caps.periods
            ],
            customer=_money(terms, caps.customer_minor),
            budget=_money(terms, caps.budget_minor),
        )

    @strawberry.field(description="When what it gives can be spent.")
    def vesting(self) -> CashbackVesting:
        """Return when it vests."""
        vesting = self.terms.reward.vesting
        return CashbackVesting(kind=vesting.kind, days=vesting.days)

    @strawberry.field(description="Until when what it gives can be spent.")
    def expiry(self) -> CashbackExpiry:
        """Return when it expires."""
        expiry = self.terms.reward.expiry
        return CashbackExpiry(days=expiry.days, end_of_month=expiry.end_of_month)

    @strawberry.field(description="How it gets along with other rules.")
    def stacking(self) -> CashbackStacking:
        """Return how it is stacked."""
        return CashbackStacking(mode=self.terms.stacking.mode, group=self.terms.stacking.group)

    @strawberry.field(description=WINDOW_FROM)
    def starts_at(self) -> DateTime | None:
        """Return the time."""
        return _time(self.terms.starts_at)

    @strawberry.field(description=WINDOW_TO)
    def ends_at(self) -> DateTime | None:
        """Return the time."""
        return _time(self.terms.ends_at)

    @strawberry.field(description="All of it in plain words.")
    def sentence(self) -> str:
        """Return the sentences."""
        return summary(self.terms)


@strawberry.type(
    description="One version of a cashback rule: who made it, when and why. It is never changed."
)
class CashbackRuleVersion(CashbackTerms):
    """A version."""

    model: strawberry.Private[VersionModel]

    @strawberry.field(description="Who made it.")
    def actor(self, info: AppInfo) -> Actor:
        """Return who made it."""
        return actor(info, self.model.actor_kind, self.model.actor_id)

    @strawberry.field(description="Why, in words.")
    def note(self) -> str:
        """Return the note."""
        return self.model.note

    @strawberry.field(description="When it was made.")
    def created_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.created_at)


@strawberry.type(
    description="A rule by which customers get cashback. It is never edited: each change is a new version, and what was "
    "given keeps the version that gave it."
)
class CashbackRule(CashbackTerms, Node):
    """A rule."""

    model: strawberry.Private[CashbackRuleModel]

    @strawberry.field(description=ID_DESCRIPTION)
    def id(self) -> strawberry.ID:
        """Return the global id."""
        return encode_id("CashbackRule", self.model.id)

    @strawberry.field(description="All versions of it, the newest first.", extensions=[telling()])
    async def versions(
        self,
        info: AppInfo,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[CashbackRuleVersion]:
        """Load a page of the versions."""
        context, row_id = info.context, self.model.id
        request = PageRequest(first, after, last, before, None)
        page = await context.cashback_version_pages.load((row_id, None, request))
        return connection(page, version_of, lambda: context.cashback_version_counts.load((row_id, None)))

    @strawberry.field(description="When it was made.")
    def created_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.created_at)

    @strawberry.field(description="When its newest version was made.")
    def updated_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.updated_at)


@strawberry.type(description="A cashback rule as customers may know it.")
class CashbackOffer:
    """An offer."""

    terms: strawberry.Private[Terms]

    @strawberry.field(description="Its name.")
    def name(self) -> str:
        """Return the name."""
        return self.terms.name

    @strawberry.field(description="More about it.")
    def description(self) -> str:
        """Return the description."""
        return self.terms.description

    @strawberry.field(description="What it gives, in plain words.")
    def sentence(self) -> str:
        """Return the sentences."""
        return offer(self.terms)

    @strawberry.field(description=WINDOW_FROM)
    def starts_at(self) -> DateTime | None:
        """Return the time."""
        return _time(self.terms.starts_at)

    @strawberry.field(description=WINDOW_TO)
    def ends_at(self) -> DateTime | None:
        """Return the time."""
        return _time(self.terms.ends_at)


def rule_of(row: CashbackRuleModel) -> CashbackRule:
    """Return a rule as GraphQL shows it."""
    return CashbackRule(terms=Terms.from_data(row.data), model=row)


def version_of(row: VersionModel) -> CashbackRuleVersion:
    """Return a version of a rule as GraphQL shows it."""
    return CashbackRuleVersion(terms=Terms.from_data(row.data), model=row)


def offer_of(row: CashbackRuleModel) -> CashbackOffer:
    """Return what the public sees of a rule."""
    return CashbackOffer(terms=Terms.from_data(row.data))


def _time(time: datetime | None) -> DateTime | None:
    return None if time is None else DateTime(time)


def _money(terms: Terms, amount_minor: int | None) -> Money | None:
    return None if amount_minor is None else money(amount_minor, terms.currency or "")


def _base(base: Base) -> CashbackBase:
    return CashbackBase(
        tax=base.tax,
        shipping=base.shipping,
        before_discounts=base.before_discounts,
        wallet_paid=base.wallet_paid,
    )


def _conditions(terms: Terms) -> CashbackConditions:
    conditions, lines = terms.conditions, terms.conditions.lines
    return CashbackConditions(
        minimum=_money(terms, conditions.minimum_minor),
        maximum=_money(terms, conditions.maximum_minor),
        base=_base(conditions.base),
        of_matching_lines=conditions.of_matching_lines,
        lines=CashbackLineFilter(
            categories_in=sorted(lines.categories_in),
            categories_out=sorted(lines.categories_out),
            products_in=sorted(lines.products_in),
            products_out=sorted(lines.products_out),
            skus_in=sorted(lines.skus_in),
            skus_out=sorted(lines.skus_out),
            sale_out=lines.sale_out,
            couponed_out=lines.couponed_out,
        ),
        payment_methods_in=sorted(conditions.payment_methods_in),
        payment_methods_out=sorted(conditions.payment_methods_out),
        roles_in=sorted(conditions.roles_in),
        roles_out=sorted(conditions.roles_out),
        segments_in=sorted(conditions.segments_in),
        segments_out=sorted(conditions.segments_out),
        weekdays=sorted(conditions.weekdays),
        minute_from=conditions.minute_from,
        minute_to=conditions.minute_to,
        days_since_sign_up_min=conditions.days_since_sign_up_min,
        days_since_sign_up_max=conditions.days_since_sign_up_max,
        expression=conditions.expression,
    )


class CashbackRuleSortField(StrEnum):
    """What a list of rules is sorted by."""

    PRIORITY = "PRIORITY"
    """The priority."""
    NAME = "NAME"
    """The name."""
    UPDATED_AT = "UPDATED_AT"
    """When the newest version was made."""


publish(CashbackRuleSortField, "What a list of cashback rules is sorted by.")


@strawberry.input(description="The order of a list of cashback rules.")
class CashbackRuleSort:
    """Field and direction."""

    field: CashbackRuleSortField = strawberry.field(description="What to sort by.")
    direction: SortDirection = strawberry.field(default=SortDirection.ASC, description="Which way.")


@strawberry.input(description="What a list of cashback rules is narrowed to; all that is given must hold.")
class CashbackRuleFilter:
    """Conditions on rules."""

    statuses: list[RuleStatus] | None = strawberry.field(default=None, description="In one of these states.")
    triggers: list[TriggerKind] | None = strawberry.field(
        default=None, description="Waiting for one of these."
    )
