"""Cashback rules: when they fire, under which conditions, what they give, and how they get along with each other.

A rule is never edited: each change is a new version, and what was awarded keeps the version that made it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from app.domain.cashback.condition import Conditions
from app.domain.cashback.data import Reader, maybe, plain, read
from app.domain.cashback.reward import Reward, RewardKind, RewardPer
from app.domain.errors import FieldInvalid
from app.domain.money import AMOUNT_MAX_MINOR, currency_of
from app.domain.note import check_text

NAME_MAX = 100
DESCRIPTION_MAX = 2_000
GROUP_MAX = 48
PRIORITY_MAX = 1_000_000


class RuleStatus(StrEnum):
    """Whether a rule gives anything."""

    DRAFT = "DRAFT"
    """It is being written, and can be simulated."""
    ACTIVE = "ACTIVE"
    """It gives cashback within its window."""
    PAUSED = "PAUSED"
    """It was stopped, and can be made active again."""
    ARCHIVED = "ARCHIVED"
    """It is over for good; what it gave stays explained."""


_NEXT = {
    RuleStatus.DRAFT: (RuleStatus.ACTIVE, RuleStatus.ARCHIVED),
    RuleStatus.ACTIVE: (RuleStatus.PAUSED, RuleStatus.ARCHIVED),
    RuleStatus.PAUSED: (RuleStatus.ACTIVE, RuleStatus.ARCHIVED),
    RuleStatus.ARCHIVED: (),
}


class TriggerKind(StrEnum):
    """What a rule waits for."""

    ORDER_COMPLETED = "ORDER_COMPLETED"
    """An order is paid and delivered."""
    ORDER_PAID = "ORDER_PAID"
    """An order is paid."""
    TOP_UP = "TOP_UP"
    """A customer pays money into the wallet."""
    SIGN_UP = "SIGN_UP"
    """A customer registers."""
    BIRTHDAY = "BIRTHDAY"
    """A customer's birthday, once a year."""
    MILESTONE = "MILESTONE"
    """A completed order that takes the customer to a milestone."""
    EVENT = "EVENT"
    """A named event that the store tells of, such as a review."""


class MilestoneKind(StrEnum):
    """What is reached by a completed order."""

    FIRST_ORDER = "FIRST_ORDER"
    """It is the customer's first."""
    NTH_ORDER = "NTH_ORDER"
    """It is the customer's n-th."""
    EVERY_NTH_ORDER = "EVERY_NTH_ORDER"
    """Its number is a multiple of n."""
    LIFETIME_SPEND = "LIFETIME_SPEND"
    """With it, all that the customer spent reaches an amount for the first time."""


class StackingMode(StrEnum):
    """What becomes of several rules that apply to the same occasion."""

    STACKABLE = "STACKABLE"
    """It is given beside others."""
    BEST_OF_GROUP = "BEST_OF_GROUP"
    """Of the rules of its group, the one that gives the most."""
    EXCLUSIVE = "EXCLUSIVE"
    """It is given alone, if no rule that applies stands before it by priority; otherwise not at all."""


ORDER_TRIGGERS = frozenset({TriggerKind.ORDER_COMPLETED, TriggerKind.ORDER_PAID, TriggerKind.MILESTONE})


@dataclass(frozen=True, slots=True)
class Trigger:
    """What a rule waits for; `milestone` with its `n` or `spend_minor`, or `event`, where the kind has one."""

    kind: TriggerKind
    milestone: MilestoneKind | None = None
    n: int | None = None
    spend_minor: int | None = None
    event: str | None = None

    def check(self) -> None:
        """Refuse what does not belong together."""
        if (self.kind is TriggerKind.MILESTONE) != (self.milestone is not None):
            raise FieldInvalid(
                "A milestone needs its kind, and only a milestone has one. Choose both, or neither.",
                field=("trigger", "milestone"),
            )
        if (self.kind is TriggerKind.EVENT) != bool(self.event):
            raise FieldInvalid(
                "An event needs its name, and only an event has one. Give both, or neither.",
                field=("trigger", "event"),
            )
        if self.event is not None:
            check_text(self.event, field="trigger.event", length_max=NAME_MAX)
        counted = self.milestone in (MilestoneKind.NTH_ORDER, MilestoneKind.EVERY_NTH_ORDER)
        if counted != (self.n is not None) or (self.n is not None and not 2 <= self.n <= 10_000):
            raise FieldInvalid(
                "The n-th and every n-th order need n, from 2 to 10000. Choose FIRST_ORDER for the first.",
                field=("trigger", "n"),
            )
        spend = self.spend_minor
        if (self.milestone is MilestoneKind.LIFETIME_SPEND) != (spend is not None) or (
            spend is not None and not 0 < spend <= AMOUNT_MAX_MINOR
        ):
            raise FieldInvalid(
                "A lifetime spend needs an amount of more than zero, and nothing else has one. Give it there alone.",
                field=("trigger", "spend"),
            )


@dataclass(frozen=True, slots=True)
class Stacking:
    """How a rule gets along with others; `group` for `BEST_OF_GROUP` alone."""

    mode: StackingMode = StackingMode.STACKABLE
    group: str | None = None

    def check(self) -> None:
        """Refuse a group without a name, and a name without a group."""
        if (self.mode is StackingMode.BEST_OF_GROUP) != bool(self.group):
            raise FieldInvalid(
                "The best of a group needs the group's name, and nothing else has one. Give both, or neither.",
                field=("stacking", "group"),
            )
        if self.group is not None:
            check_text(self.group, field="stacking.group", length_max=GROUP_MAX)


@dataclass(frozen=True, slots=True)
class CashbackRule:
    """One version of a rule. It is in force from `starts_at` until before `ends_at`.

    Of two rules, the one with the higher `priority` comes first, then the one with the smaller id. `currency` is
    demanded as soon as the rule states an amount; without one the rule is for every currency.
    """

    id: UUID
    version: int
    name: str
    trigger: Trigger
    reward: Reward
    conditions: Conditions = field(default_factory=Conditions)
    description: str = ""
    status: RuleStatus = RuleStatus.DRAFT
    currency: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    priority: int = 0
    stacking: Stacking = Stacking()

    def in_window(self, at: datetime) -> bool:
        """Tell whether the rule is in force then."""
        return (self.starts_at is None or self.starts_at <= at) and (
            self.ends_at is None or at < self.ends_at
        )

    def as_data(self) -> dict[str, Any]:
        """Return the rule as it is stored: plain JSON data."""
        data: dict[str, Any] = plain(self)
        return data

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "CashbackRule":
        """Read a stored rule; fields that a newer program added get their defaults."""
        return read(cls, data, _READ)


_READ: dict[str, Reader] = {
    "id": UUID,
    "trigger": lambda data: read(
        Trigger, data, {"kind": TriggerKind, "milestone": maybe(MilestoneKind), "n": maybe(int)}
    ),
    "reward": Reward.from_data,
    "conditions": Conditions.from_data,
    "status": RuleStatus,
    "starts_at": maybe(datetime.fromisoformat),
    "ends_at": maybe(datetime.fromisoformat),
    "stacking": lambda data: read(Stacking, data, {"mode": StackingMode}),
}


def check_rule(rule: CashbackRule) -> CashbackRule:
    """Return the rule as it is kept (texts in normal form), or raise `FieldInvalid`.

    An expression is checked where the language is: `Expressions.check`.
    """
    name = check_text(rule.name, field="name", length_max=NAME_MAX)
    if not name:
        raise FieldInvalid("The rule has no name. Give one that customers may read.", field=("name",))
    if abs(rule.priority) > PRIORITY_MAX:
        raise FieldInvalid(f"Choose from -{PRIORITY_MAX} to {PRIORITY_MAX}.", field=("priority",))
    rule.trigger.check()
    rule.stacking.check()
    rule.conditions.check()
    rule.reward.check()
    _check_window(rule)
    _check_currency(rule)
    _check_base(rule)
    description = check_text(rule.description, field="description", length_max=DESCRIPTION_MAX, lines=True)
    return replace(rule, name=name, description=description)


def revised(rule: CashbackRule, **changes: Any) -> CashbackRule:
    """Return the next version of a rule. Raises `FieldInvalid`; an archived rule is not changed any more."""
    if rule.status is RuleStatus.ARCHIVED:
        raise FieldInvalid("An archived rule stays as it is. Use a new one.", field=("status",))
    wanted = changes.get("status", rule.status)
    if wanted is not rule.status and wanted not in _NEXT[rule.status]:
        possible = " or ".join(_NEXT[rule.status])
        raise FieldInvalid(
            f"A rule that is {rule.status} can't become {wanted}. Choose {possible}.", field=("status",)
        )
    next_rule = check_rule(replace(rule, **changes | {"id": rule.id, "version": rule.version + 1}))
    if rule.currency and next_rule.currency != rule.currency and _states_amount(rule):
        raise FieldInvalid(
            f"The rule's amounts are in {rule.currency}, and so is what it gave. Make another rule for another currency.",
            field=("currency",),
        )
    return next_rule


def _check_window(rule: CashbackRule) -> None:
    for name, time in (("startsAt", rule.starts_at), ("endsAt", rule.ends_at)):
        if time is not None and time.tzinfo is None:
            raise FieldInvalid("The time has no zone. Add one, such as Z.", field=(name,))
    if rule.starts_at and rule.ends_at and rule.ends_at <= rule.starts_at:
        raise FieldInvalid("The window ends before it begins. Choose a later end.", field=("endsAt",))


def _check_currency(rule: CashbackRule) -> None:
    if rule.currency is not None:
        currency_of(rule.currency)
        return
    if _states_amount(rule):
        raise FieldInvalid("The rule states an amount. Say in which currency.", field=("currency",))


def _states_amount(rule: CashbackRule) -> bool:
    conditions, reward = rule.conditions, rule.reward
    amounts = (conditions.minimum_minor, conditions.maximum_minor, rule.trigger.spend_minor)
    fixed = reward.kind is RewardKind.FIXED
    return fixed or reward.caps.any or any(amount is not None for amount in amounts)


def _check_base(rule: CashbackRule) -> None:
    kind, reward, conditions = rule.trigger.kind, rule.reward, rule.conditions
    if kind in ORDER_TRIGGERS:
        return
    if reward.per is not RewardPer.ORDER:
        raise FieldInvalid(
            "Only orders have lines and units. Give the reward per order.", field=("reward", "per")
        )
    if conditions.lines != type(conditions.lines)():
        raise FieldInvalid("Only orders have lines. Leave their conditions out.", field=("lines",))
    if kind is TriggerKind.TOP_UP:
        return
    if reward.kind is RewardKind.PERCENT:
        raise FieldInvalid(
            "There is no amount to take a percentage of. Give a fixed reward.", field=("reward", "kind")
        )
    if conditions.minimum_minor is not None or conditions.maximum_minor is not None:
        raise FieldInvalid("Only orders and top-ups have an amount. Leave it out.", field=("minimum",))
