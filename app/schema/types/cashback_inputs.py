"""Cashback rules, carts and simulations as callers send them, and what they become."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from decimal import Decimal as Number
from typing import Any
from uuid import UUID

import strawberry
from strawberry import UNSET

from app.domain.cashback.condition import WORDS_MAX, Base, Conditions, LineFilter
from app.domain.cashback.reward import Caps, Expiry, PeriodCap, Reward, Vesting
from app.domain.cashback.rule import CashbackRule, Stacking, Trigger
from app.domain.errors import DomainError, FieldInvalid
from app.domain.money import currency_of, parse_signed
from app.domain.note import check_text
from app.domain.order import TEXT_MAX
from app.schema.types.cashback_enums import (
    MilestoneKind,
    Period,
    RewardKind,
    RewardPer,
    Rounding,
    StackingMode,
    TriggerKind,
    VestingKind,
)
from app.schema.types.enums import Bucket
from app.schema.types.inputs import KEY, NOTE, OPTIONAL_KEY
from app.schema.types.scalars import CurrencyCode, DateTime, Decimal
from app.schema.types.time import TimeRange

IN_CURRENCY = "In the rule's currency."
LIST = f"At most {WORDS_MAX}."
RULE_ID = "Which rule."
EMPTIES = "Null empties it."


@strawberry.input(description="What a cashback rule waits for.")
class CashbackTriggerInput:
    """A trigger."""

    kind: TriggerKind = strawberry.field(description="What it is.")
    milestone: MilestoneKind | None = strawberry.field(
        default=None, description="Which milestone, for MILESTONE."
    )
    n: int | None = strawberry.field(
        default=None, description="Which order, for NTH_ORDER and EVERY_NTH_ORDER; from 2 to 10000."
    )
    spend: Decimal | None = strawberry.field(
        default=None, description=f"How much, for LIFETIME_SPEND. {IN_CURRENCY}"
    )
    event: str | None = strawberry.field(default=None, description="The event's name, for EVENT.")


@strawberry.input(
    description="Which amount of an order counts. What the wallet pays and what coupons grant never count unless it says so."
)
class CashbackBaseInput:
    """A base."""

    tax: bool = strawberry.field(default=True, description="With tax.")
    shipping: bool = strawberry.field(default=False, description="With shipping.")
    before_discounts: bool = strawberry.field(default=False, description="Before discounts.")
    wallet_paid: bool = strawberry.field(default=False, description="With the part that the wallet paid.")


@strawberry.input(
    description="Which lines of an order count: those that any of the `In` lists names, or all where there is none, less those "
    "that any of the `Out` lists names. Names and ids are compared exactly."
)
class CashbackLineFilterInput:
    """A filter of lines."""

    categories_in: list[str] | None = strawberry.field(
        default=None, description=f"Lines of these categories. {LIST}"
    )
    categories_out: list[str] | None = strawberry.field(
        default=None, description=f"Not those of these. {LIST}"
    )
    products_in: list[str] | None = strawberry.field(
        default=None, description=f"Lines of these products, by the store's id. {LIST}"
    )
    products_out: list[str] | None = strawberry.field(default=None, description=f"Not those of these. {LIST}")
    skus_in: list[str] | None = strawberry.field(default=None, description=f"Lines of these SKUs. {LIST}")
    skus_out: list[str] | None = strawberry.field(default=None, description=f"Not those of these. {LIST}")
    sale_out: bool = strawberry.field(default=False, description="Not what was on sale.")
    couponed_out: bool = strawberry.field(default=False, description="Not what a coupon made cheaper.")


@strawberry.input(
    description="Under which circumstances a rule applies: all that is given must hold, and what is left out asks nothing."
)
class CashbackConditionsInput:
    """Conditions."""

    minimum: Decimal | None = strawberry.field(
        default=None, description=f"The order or top-up is at least this much. {IN_CURRENCY}"
    )
    maximum: Decimal | None = strawberry.field(
        default=None, description=f"It is at most this much. {IN_CURRENCY}"
    )
    base: CashbackBaseInput | None = strawberry.field(
        default=None, description="Which amount minimum and maximum are about."
    )
    of_matching_lines: bool = strawberry.field(
        default=False,
        description="Whether minimum and maximum are about the lines that count alone, and not the whole order.",
    )
    lines: CashbackLineFilterInput | None = strawberry.field(default=None, description="Which lines count.")
    payment_methods_in: list[str] | None = strawberry.field(
        default=None, description=f"Paid by one of these methods, in the store's own words. {LIST}"
    )
    payment_methods_out: list[str] | None = strawberry.field(
        default=None, description=f"Paid by none of these. {LIST}"
    )
    roles_in: list[str] | None = strawberry.field(
        default=None, description=f"The customer bears one of these roles. {LIST}"
    )
    roles_out: list[str] | None = strawberry.field(
        default=None, description=f"The customer bears none of these. {LIST}"
    )
    segments_in: list[str] | None = strawberry.field(
        default=None, description=f"The customer is in one of these segments. {LIST}"
    )
    segments_out: list[str] | None = strawberry.field(
        default=None, description=f"The customer is in none of these. {LIST}"
    )
    weekdays: list[int] | None = strawberry.field(
        default=None, description="On these days in the store's time zone: 1 (Monday) to 7 (Sunday)."
    )
    minute_from: int | None = strawberry.field(
        default=None,
        description="From this minute of the day on, in the store's time zone: 600 is 10:00. With `minuteTo`; from a later "
        "to an earlier one is over midnight.",
    )
    minute_to: int | None = strawberry.field(default=None, description="Until before this minute of the day.")
    days_since_sign_up_min: int | None = strawberry.field(
        default=None, description="So many days after sign-up, or later."
    )
    days_since_sign_up_max: int | None = strawberry.field(
        default=None, description="So many days after sign-up, or earlier."
    )
    expression: str | None = strawberry.field(
        default=None,
        description="An expression of the Common Expression Language that must hold, for what no field says: at most 500 "
        "characters; money in it is in minor units.",
    )


@strawberry.input(description="How much a rule gives: `percent`, or `amount`.")
class CashbackRewardInput:
    """A reward."""

    kind: RewardKind = strawberry.field(description="A percentage or an amount.")
    percent: Decimal | None = strawberry.field(
        default=None, description="The percentage, with at most two decimals: 5.5; at most 100."
    )
    amount: Decimal | None = strawberry.field(default=None, description=f"The amount. {IN_CURRENCY}")
    per: RewardPer = strawberry.field(
        default=RewardPer.ORDER, description="How often, and where it is rounded."
    )
    base: CashbackBaseInput | None = strawberry.field(
        default=None, description="What the percentage is taken of."
    )
    rounding: Rounding = strawberry.field(default=Rounding.HALF_UP, description="How it is rounded.")
    bucket: Bucket = strawberry.field(
        default=Bucket.PROMO,
        description="The kind of value that it becomes: PROMO, or CASH that can be withdrawn.",
    )


@strawberry.input(description="The most that one customer gets in one stretch of the store's calendar.")
class CashbackPeriodCapInput:
    """A cap of a period."""

    period: Period = strawberry.field(description="The stretch.")
    amount: Decimal = strawberry.field(description=f"The most. {IN_CURRENCY}")


@strawberry.input(description="The most that a rule gives; what is left out has no bound.")
class CashbackCapsInput:
    """Caps."""

    order: Decimal | None = strawberry.field(
        default=None, description=f"For one order, or whatever the rule waits for. {IN_CURRENCY}"
    )
    periods: list[CashbackPeriodCapInput] | None = strawberry.field(
        default=None, description="To one customer in a day, week, month or year; each at most once."
    )
    customer: Decimal | None = strawberry.field(
        default=None, description=f"To one customer in all. {IN_CURRENCY}"
    )
    budget: Decimal | None = strawberry.field(
        default=None, description=f"To all customers in all. {IN_CURRENCY}"
    )


@strawberry.input(description="When cashback becomes money that can be spent.")
class CashbackVestingInput:
    """Vesting."""

    kind: VestingKind = strawberry.field(description="When.")
    days: int | None = strawberry.field(default=None, description="After so many days, for AFTER_DAYS.")


@strawberry.input(description="Until when cashback can be spent; neither of the two: for ever.")
class CashbackExpiryInput:
    """Expiry."""

    days: int | None = strawberry.field(
        default=None, description="For so many days from vesting on, the last one whole."
    )
    end_of_month: bool = strawberry.field(
        default=False, description="To the end of the month that the last day is in."
    )


@strawberry.input(description="How a rule gets along with others that apply at once.")
class CashbackStackingInput:
    """Stacking."""

    mode: StackingMode = strawberry.field(description="Beside others, the best of a group, or alone.")
    group: str | None = strawberry.field(default=None, description="The group's name, for BEST_OF_GROUP.")


NAME = "What customers may read as its name; at most 100 characters."
DESCRIPTION = "More about it, which customers may read too; at most 2000 characters."
CURRENCY = "The currency of its amounts, and of what it applies to; needed as soon as it states an amount."
PRIORITY = "Of two rules, the one with the higher priority comes first."
STARTS = "From when on it is in force."
ENDS = "Until before when it is in force."


@strawberry.input(description="A whole cashback rule.")
class CashbackRuleInput:
    """A rule."""

    name: str = strawberry.field(description=NAME)
    description: str | None = strawberry.field(default=None, description=DESCRIPTION)
    trigger: CashbackTriggerInput = strawberry.field(description="What it waits for.")
    reward: CashbackRewardInput = strawberry.field(description="How much it gives.")
    conditions: CashbackConditionsInput | None = strawberry.field(
        default=None, description="Under which circumstances it applies."
    )
    caps: CashbackCapsInput | None = strawberry.field(default=None, description="The most that it gives.")
    vesting: CashbackVestingInput | None = strawberry.field(
        default=None, description="When what it gives can be spent; at once when left out."
    )
    expiry: CashbackExpiryInput | None = strawberry.field(
        default=None, description="Until when what it gives can be spent; for ever when left out."
    )
    stacking: CashbackStackingInput | None = strawberry.field(
        default=None, description="How it gets along with other rules; beside them when left out."
    )
    currency: CurrencyCode | None = strawberry.field(default=None, description=CURRENCY)
    starts_at: DateTime | None = strawberry.field(default=None, description=STARTS)
    ends_at: DateTime | None = strawberry.field(default=None, description=ENDS)
    priority: int = strawberry.field(default=0, description=PRIORITY)


@strawberry.input(
    description="Changes of a cashback rule. What is left out stays; a part that is given replaces the whole part."
)
class CashbackRuleChangesInput:
    """Changes of a rule."""

    name: str | None = strawberry.field(default=UNSET, description=NAME)
    description: str | None = strawberry.field(default=UNSET, description=f"{DESCRIPTION} {EMPTIES}")
    trigger: CashbackTriggerInput | None = strawberry.field(default=UNSET, description="What it waits for.")
    reward: CashbackRewardInput | None = strawberry.field(default=UNSET, description="How much it gives.")
    conditions: CashbackConditionsInput | None = strawberry.field(
        default=UNSET, description=f"All of its conditions. {EMPTIES}"
    )
    caps: CashbackCapsInput | None = strawberry.field(
        default=UNSET, description=f"All of its caps. {EMPTIES}"
    )
    vesting: CashbackVestingInput | None = strawberry.field(
        default=UNSET, description="When what it gives can be spent; null for at once."
    )
    expiry: CashbackExpiryInput | None = strawberry.field(
        default=UNSET, description="Until when what it gives can be spent; null for ever."
    )
    stacking: CashbackStackingInput | None = strawberry.field(
        default=UNSET, description="How it gets along with other rules; null for beside them."
    )
    currency: CurrencyCode | None = strawberry.field(default=UNSET, description=f"{CURRENCY} {EMPTIES}")
    starts_at: DateTime | None = strawberry.field(default=UNSET, description=f"{STARTS} {EMPTIES}")
    ends_at: DateTime | None = strawberry.field(default=UNSET, description=f"{ENDS} {EMPTIES}")
    priority: int | None = strawberry.field(default=UNSET, description=PRIORITY)


@strawberry.input(description="A new cashback rule. It begins as a draft, which gives nothing.")
class CreateCashbackRuleInput:
    """Input of createCashbackRule."""

    rule: CashbackRuleInput = strawberry.field(description="The rule.")
    note: str = strawberry.field(description=NOTE)
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A change of a cashback rule: its next version.")
class UpdateCashbackRuleInput:
    """Input of updateCashbackRule."""

    rule_id: strawberry.ID = strawberry.field(description=RULE_ID)
    changes: CashbackRuleChangesInput = strawberry.field(description="What becomes different.")
    note: str = strawberry.field(description=NOTE)
    idempotency_key: str | None = strawberry.field(default=None, description=OPTIONAL_KEY)


@strawberry.input(description="A cashback rule that shall give cashback from now on, within its window.")
class ActivateCashbackRuleInput:
    """Input of activateCashbackRule."""

    rule_id: strawberry.ID = strawberry.field(description=RULE_ID)
    note: str = strawberry.field(description=NOTE)
    idempotency_key: str | None = strawberry.field(default=None, description=OPTIONAL_KEY)


@strawberry.input(description="A cashback rule that shall give nothing until it is made active again.")
class PauseCashbackRuleInput:
    """Input of pauseCashbackRule."""

    rule_id: strawberry.ID = strawberry.field(description=RULE_ID)
    note: str = strawberry.field(description=NOTE)
    idempotency_key: str | None = strawberry.field(default=None, description=OPTIONAL_KEY)


@strawberry.input(description="A cashback rule that is over for good.")
class ArchiveCashbackRuleInput:
    """Input of archiveCashbackRule."""

    rule_id: strawberry.ID = strawberry.field(description=RULE_ID)
    note: str = strawberry.field(description=NOTE)
    idempotency_key: str | None = strawberry.field(default=None, description=OPTIONAL_KEY)


@strawberry.input(
    description="A rule that is tried over past orders: a whole one, or one that exists, as it is or with changes."
)
class SimulateCashbackRuleInput:
    """Input of simulateCashbackRule and cashbackSimulation."""

    rule: CashbackRuleInput | None = strawberry.field(
        default=None, description="A rule that does not exist yet."
    )
    rule_id: strawberry.ID | None = strawberry.field(default=None, description="A rule that exists.")
    changes: CashbackRuleChangesInput | None = strawberry.field(
        default=None, description="What would be different about the rule that exists."
    )
    placed: TimeRange | None = strawberry.field(
        default=None, description="Orders that were placed in this time; all when left out."
    )


# --- what they become ---------------------------------------------------------------------------------------

_OF_CONDITIONS = frozenset(
    {
        "minimum",
        "maximum",
        "base",
        "lines",
        "paymentMethodsIn",
        "paymentMethodsOut",
        "rolesIn",
        "rolesOut",
        "segmentsIn",
        "segmentsOut",
        "weekdays",
        "minuteFrom",
        "minuteTo",
        "daysSinceSignUpMin",
        "daysSinceSignUpMax",
        "expression",
    }
)
_OF_RULE = frozenset(
    {
        "name",
        "description",
        "trigger",
        "reward",
        "conditions",
        "caps",
        "vesting",
        "expiry",
        "stacking",
        "currency",
        "startsAt",
        "endsAt",
        "priority",
    }
)


@contextmanager
def naming_rule_fields(prefix: str) -> Iterator[None]:
    """Have refusals of a rule name the fields of the input, which lie below `prefix`."""
    try:
        yield
    except DomainError as error:
        first = error.field[0] if error.field else ""
        if first == "status":
            error.field = ("ruleId",)
        elif first in _OF_CONDITIONS:
            error.field = (prefix, "conditions", *error.field)
        elif first in _OF_RULE:
            error.field = (prefix, *error.field)
        raise


def content_of(given: Any) -> Any:
    """Return an input as plain data, without what was left out."""
    if is_dataclass(given) and not isinstance(given, type):
        values = {field.name: getattr(given, field.name) for field in fields(given)}
        return {name: content_of(value) for name, value in values.items() if value is not UNSET}
    return [content_of(value) for value in given] if isinstance(given, list) else given


def expression_of(given: CashbackRuleInput | CashbackRuleChangesInput | None) -> str | None:
    """Return the expression that somebody wrote, if there is one."""
    conditions = given.conditions if given else None
    return conditions.expression or None if conditions else None


def new_rule(given: CashbackRuleInput) -> Callable[[UUID], CashbackRule]:
    """Return what makes the rule for an id. Raises `FieldInvalid` for what can't be read; it is not checked yet."""
    amounts = _Amounts(given.currency)
    made = CashbackRule(
        id=UUID(int=0),
        version=1,
        name=given.name,
        description=given.description or "",
        trigger=_trigger(given.trigger, amounts),
        reward=replace(
            _reward(given.reward, amounts),
            caps=_caps(given.caps, amounts),
            vesting=_vesting(given.vesting),
            expiry=_expiry(given.expiry),
        ),
        conditions=_conditions(given.conditions, amounts),
        stacking=_stacking(given.stacking),
        currency=given.currency,
        starts_at=given.starts_at,
        ends_at=given.ends_at,
        priority=given.priority,
    )
    return lambda rule_id: replace(made, id=rule_id)


def changes_of(given: CashbackRuleChangesInput) -> Callable[[CashbackRule], dict[str, Any]]:
    """Return what tells the changed parts of a rule: amounts are in the currency that it then has."""

    def changes(rule: CashbackRule) -> dict[str, Any]:
        currency = rule.currency if given.currency is UNSET else given.currency
        amounts = _Amounts(currency)
        told: dict[str, Any] = {
            name: value
            for name in ("name", "priority")
            if (value := getattr(given, name)) is not UNSET and value is not None
        }
        for name in ("currency", "starts_at", "ends_at"):
            if getattr(given, name) is not UNSET:
                told[name] = getattr(given, name)
        if given.description is not UNSET:
            told["description"] = given.description or ""
        if given.trigger:
            told["trigger"] = _trigger(given.trigger, amounts)
        if given.conditions is not UNSET:
            told["conditions"] = _conditions(given.conditions, amounts)
        if given.stacking is not UNSET:
            told["stacking"] = _stacking(given.stacking)
        told["reward"] = _changed_reward(given, rule.reward, amounts)
        return told

    return changes


def _changed_reward(given: CashbackRuleChangesInput, reward: Reward, amounts: "_Amounts") -> Reward:
    kept = {"caps": reward.caps, "vesting": reward.vesting, "expiry": reward.expiry}
    if given.caps is not UNSET:
        kept["caps"] = _caps(given.caps, amounts)
    if given.vesting is not UNSET:
        kept["vesting"] = _vesting(given.vesting)
    if given.expiry is not UNSET:
        kept["expiry"] = _expiry(given.expiry)
    return replace(_reward(given.reward, amounts) if given.reward else reward, **kept)  # type: ignore[arg-type]


class _Amounts:
    """Reads amounts, all in one currency."""

    def __init__(self, currency: str | None) -> None:
        self._currency = currency

    def minor(self, text: str, *field: str) -> int:
        """Return an amount in minor units."""
        if self._currency is None:
            raise FieldInvalid("The rule states an amount. Say in which currency.", field=("currency",))
        return parse_signed(text, currency_of(self._currency), field=field)

    def maybe(self, text: str | None, *field: str) -> int | None:
        """Return an amount in minor units, if there is one."""
        return None if text is None else self.minor(text, *field)


def _trigger(given: CashbackTriggerInput, amounts: _Amounts) -> Trigger:
    spend = amounts.maybe(given.spend, "trigger", "spend")
    return Trigger(given.kind, given.milestone, given.n, spend, given.event)


def _base(given: CashbackBaseInput | None) -> Base:
    if given is None:
        return Base()
    return Base(given.tax, given.shipping, given.before_discounts, given.wallet_paid)


def _words(values: Sequence[str] | None, *field: str) -> frozenset[str]:
    # Too many are refused where they are counted; texts beyond that are not looked at.
    path = ".".join(field)
    read = (values or ())[: WORDS_MAX + 1]
    return frozenset(check_text(word, field=path, length_max=TEXT_MAX) for word in read)


def _conditions(given: CashbackConditionsInput | None, amounts: _Amounts) -> Conditions:
    if given is None:
        return Conditions()
    return Conditions(
        minimum_minor=amounts.maybe(given.minimum, "minimum"),
        maximum_minor=amounts.maybe(given.maximum, "maximum"),
        base=_base(given.base),
        of_matching_lines=given.of_matching_lines,
        lines=_lines(given.lines),
        payment_methods_in=_words(given.payment_methods_in, "paymentMethodsIn"),
        payment_methods_out=_words(given.payment_methods_out, "paymentMethodsOut"),
        roles_in=_words(given.roles_in, "rolesIn"),
        roles_out=_words(given.roles_out, "rolesOut"),
        segments_in=_words(given.segments_in, "segmentsIn"),
        segments_out=_words(given.segments_out, "segmentsOut"),
        weekdays=frozenset(given.weekdays or ()),
        minute_from=given.minute_from,
        minute_to=given.minute_to,
        days_since_sign_up_min=given.days_since_sign_up_min,
        days_since_sign_up_max=given.days_since_sign_up_max,
        expression=check_expression(given.expression or ""),
    )


def check_expression(text: str) -> str:
    """Return an expression without outer white space, or refuse what can't be kept."""
    # Its length is the domain's to refuse; this bound only keeps the text small that is looked at.
    return check_text(text, field="expression", length_max=10_000, lines=True)


def _lines(given: CashbackLineFilterInput | None) -> LineFilter:
    if given is None:
        return LineFilter()
    return LineFilter(
        categories_in=_words(given.categories_in, "lines", "categoriesIn"),
        categories_out=_words(given.categories_out, "lines", "categoriesOut"),
        products_in=_words(given.products_in, "lines", "productsIn"),
        products_out=_words(given.products_out, "lines", "productsOut"),
        skus_in=_words(given.skus_in, "lines", "skusIn"),
        skus_out=_words(given.skus_out, "lines", "skusOut"),
        sale_out=given.sale_out,
        couponed_out=given.couponed_out,
    )


def _reward(given: CashbackRewardInput, amounts: _Amounts) -> Reward:
    return Reward(
        kind=given.kind,
        percent_bp=_basis_points(given.percent),
        amount_minor=amounts.maybe(given.amount, "reward", "amount") or 0,
        per=given.per,
        base=_base(given.base),
        rounding=given.rounding,
        bucket=given.bucket,
    )


def _basis_points(percent: str | None) -> int:
    points = Number(percent or "0") * 100
    if points != int(points) or abs(points) > 1_000_000:
        raise FieldInvalid(
            "A percentage has at most two decimals and is at most 100. Write it such as 5.5.",
            field=("reward", "percent"),
        )
    return int(points)


def _caps(given: CashbackCapsInput | None, amounts: _Amounts) -> Caps:
    if given is None:
        return Caps()
    periods = tuple(
        PeriodCap(cap.period, amounts.minor(cap.amount, "caps", "periods", "amount"))
        for cap in (given.periods or ())[: len(Period) + 1]
    )
    return Caps(
        order_minor=amounts.maybe(given.order, "caps", "order"),
        periods=periods,
        customer_minor=amounts.maybe(given.customer, "caps", "customer"),
        budget_minor=amounts.maybe(given.budget, "caps", "budget"),
    )


def _vesting(given: CashbackVestingInput | None) -> Vesting:
    return Vesting() if given is None else Vesting(given.kind, given.days or 0)


def _expiry(given: CashbackExpiryInput | None) -> Expiry:
    return Expiry() if given is None else Expiry(given.days, given.end_of_month)


def _stacking(given: CashbackStackingInput | None) -> Stacking:
    return Stacking() if given is None else Stacking(given.mode, given.group)
