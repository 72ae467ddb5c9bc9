"""What cashback an occasion earns, and why: one pure function for previews, simulations and real awards alike.

For each rule, in this order: every condition is checked; the base is worked out; the reward is taken of it and rounded;
the rule's caps lower it; then the rules that give something are stacked. `Outcome.lines` divides what is given
over the lines.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime
from enum import StrEnum
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from app.domain.cashback.basis import Bases, Basis
from app.domain.cashback.check import Check, Checker, checkers
from app.domain.cashback.data import plain
from app.domain.cashback.expression import Expressions
from app.domain.cashback.fact import variables
from app.domain.cashback.occasion import CustomerFacts, Occasion, RuleUsage, Usage, usage_key
from app.domain.cashback.period import Period, local, zone_of
from app.domain.cashback.reward import Reward, RewardKind, RewardPer
from app.domain.cashback.rule import (
    ORDER_TRIGGERS,
    CashbackRule,
    StackingMode,
    TriggerKind,
)
from app.domain.cashback.share import rounded, shares
from app.domain.errors import FieldInvalid


class Decision(StrEnum):
    """What became of a rule."""

    AWARDED = "AWARDED"
    """It gives its amount."""
    CONDITION_FAILED = "CONDITION_FAILED"
    """A condition is not met; the checks say which."""
    NOTHING_PAID = "NOTHING_PAID"
    """Nothing of what the rule is about was paid by other means than the wallet."""
    ROUNDED_TO_NOTHING = "ROUNDED_TO_NOTHING"
    """The reward is less than what is rounded up to the smallest amount of the currency."""
    CAP_REACHED = "CAP_REACHED"
    """Nothing is left under one of the rule's caps."""
    NOT_BEST_OF_GROUP = "NOT_BEST_OF_GROUP"
    """Another rule of its group gives more."""
    BESIDE_EXCLUSIVE = "BESIDE_EXCLUSIVE"
    """A rule that is given alone stands before it."""
    EXCLUSIVE_NOT_FIRST = "EXCLUSIVE_NOT_FIRST"
    """It is given alone, and another rule that applies stands before it."""


class CapName(StrEnum):
    """Which cap it is."""

    ORDER = "ORDER"
    """What it gives for one order."""
    PERIOD = "PERIOD"
    """What one customer gets in a stretch of the store's calendar."""
    CUSTOMER = "CUSTOMER"
    """What one customer gets."""
    BUDGET = "BUDGET"
    """What it gives in all."""


class CapApplied(NamedTuple):
    """A cap that lowered the reward, in minor units: `used` counted before; `from` became `to`."""

    name: CapName
    limit_minor: int
    used_minor: int
    from_minor: int
    to_minor: int
    period: str | None = None


class LineAward(NamedTuple):
    """The part of an award that one line earned; no `line_id`: shipping, or an order without lines.

    `worth_minor` is what refunds of the line are measured against: its price after discounts, with tax.
    """

    line_id: str | None
    base_minor: int
    amount_minor: int
    worth_minor: int


class Outcome(NamedTuple):
    """What one rule came to, step by step; amounts in minor units.

    `raw` is the reward before rounding, as numerator and denominator. `winner_id` is the rule that stood in the way.
    """

    rule: CashbackRule
    decision: Decision
    checks: tuple[Check, ...]
    basis: Basis | None = None
    raw: tuple[int, int] = (0, 1)
    rounded_minor: int = 0
    caps: tuple[CapApplied, ...] = ()
    amount_minor: int = 0
    winner_id: UUID | None = None

    @property
    def lines(self) -> tuple[LineAward, ...]:
        """What is given, divided over the lines that earned it; the parts add up to it. Worked out when it is asked for."""
        basis, reward = self.basis, self.rule.reward
        if not self.given_minor or basis is None:
            return ()
        weights = basis.amounts if reward.per is RewardPer.ORDER else _by_line(reward, basis)
        amounts = shares(self.amount_minor, weights)
        return tuple(
            LineAward(part.line_id, base, amount, part.worth_minor)
            for part, base, amount in zip(basis.parts, basis.amounts, amounts, strict=True)
            if amount
        )

    @property
    def given_minor(self) -> int:
        """What it gives after all: its amount if it is awarded, otherwise nothing."""
        return self.amount_minor if self.decision is Decision.AWARDED else 0

    @property
    def failed(self) -> tuple[Check, ...]:
        """The conditions that are not met."""
        return tuple(check for check in self.checks if not check.passed)

    def as_data(self) -> dict[str, Any]:
        """Return the explanation as it is stored beside an award: plain JSON data."""
        rule, basis = self.rule, self.basis
        data: dict[str, Any] = plain(
            {
                "rule": {"id": rule.id, "version": rule.version, "name": rule.name},
                "decision": self.decision,
                "checks": self.checks,
                "base": basis
                and {
                    "gross_minor": basis.gross_minor,
                    "deducted_minor": basis.deducted_minor,
                    "amount_minor": basis.amount_minor,
                },
                "reward": {
                    "kind": rule.reward.kind,
                    "percent_bp": rule.reward.percent_bp,
                    "amount_minor": rule.reward.amount_minor,
                    "per": rule.reward.per,
                },
                "raw": self.raw,
                "rounding": rule.reward.rounding,
                "rounded_minor": self.rounded_minor,
                "caps": self.caps,
                "amount_minor": self.amount_minor,
                "winner_id": self.winner_id,
                "lines": self.lines,
            }
        )
        return data


class Evaluation(NamedTuple):
    """What all rules of an occasion's trigger came to, in the order of their priority."""

    occasion: Occasion
    outcomes: tuple[Outcome, ...]

    @property
    def awarded(self) -> tuple[Outcome, ...]:
        """The rules that give something."""
        return tuple(outcome for outcome in self.outcomes if outcome.decision is Decision.AWARDED)

    @property
    def total_minor(self) -> int:
        """What is given in all, in minor units of the occasion's currency."""
        return sum(outcome.given_minor for outcome in self.outcomes)

    def as_data(self) -> dict[str, Any]:
        """Return the explanation of every rule: plain JSON data."""
        return {
            "key": self.occasion.key,
            "currency": self.occasion.currency,
            "total_minor": self.total_minor,
            "outcomes": [outcome.as_data() for outcome in self.outcomes],
        }


class _Ready(NamedTuple):
    rule: CashbackRule
    checkers: tuple[Checker, ...]


class RuleBook:
    """Rules made ready: in the order of their priority, by trigger, with their expressions compiled.

    Whoever keeps rules makes one when they change, not for each occasion. Raises `FieldInvalid` for an unknown time
    zone, and for an expression that can't be compiled, or where no language was handed in.
    """

    def __init__(
        self, rules: Iterable[CashbackRule], *, time_zone: str, expressions: Expressions | None = None
    ) -> None:
        self.zone: ZoneInfo = zone_of(time_zone)
        self.expressions = expressions
        self._by_trigger: dict[TriggerKind, list[_Ready]] = {kind: [] for kind in TriggerKind}
        shared: dict[object, Any] = {}
        for rule in sorted(rules, key=_place):
            self._by_trigger[rule.trigger.kind].append(self._ready(_sharing(rule, shared)))
        # An order that is completed may reach a milestone too; they are stacked together.
        completed, milestones = TriggerKind.ORDER_COMPLETED, TriggerKind.MILESTONE
        both = self._by_trigger[completed] + self._by_trigger[milestones]
        self._by_trigger[completed] = sorted(both, key=lambda ready: _place(ready.rule))

    def _ready(self, rule: CashbackRule) -> _Ready:
        source, expression = rule.conditions.expression, None
        if source:
            if self.expressions is None:
                raise FieldInvalid("Expressions are not available here. Leave it out.", field=("expression",))
            expression = self.expressions.compile(source)
        return _Ready(rule, checkers(rule, expression))

    def waiting_for(self, trigger: TriggerKind) -> list[_Ready]:
        """Return the rules that such an occasion may fire, by priority."""
        return self._by_trigger[trigger]


def _sharing(rule: CashbackRule, shared: dict[object, Any]) -> CashbackRule:
    """Return an equal rule that has the bases and filters of others where they are equal: they are worked out once."""
    conditions, reward = rule.conditions, rule.reward
    base, lines = shared.setdefault(conditions.base, conditions.base), conditions.lines
    conditions = replace(conditions, base=base, lines=shared.setdefault(lines, lines))
    reward = replace(reward, base=shared.setdefault(reward.base, reward.base))
    return replace(rule, conditions=conditions, reward=reward)


def _place(rule: CashbackRule) -> tuple[int, UUID]:
    return (-rule.priority, rule.id)


class _Scene:
    """One occasion with all that is worked out of it once and looked at by many rules."""

    def __init__(self, rules: RuleBook, occasion: Occasion, customer: CustomerFacts | None) -> None:
        self._rules = rules
        self.occasion = occasion
        self.customer = customer
        self.bases = Bases(occasion)
        self.shown: datetime = local(occasion.at, rules.zone)

    @cached_property
    def signed_up_on(self) -> date | None:
        at = self.customer.signed_up_at if self.customer else None
        return None if at is None else local(at, self._rules.zone).date()

    @cached_property
    def usage_keys(self) -> dict[Period, str]:
        """The names of the stretches of the store's calendar that it is in."""
        return {period: usage_key(period, self.shown.date()) for period in Period}

    @cached_property
    def bound(self) -> object:
        assert self._rules.expressions is not None  # noqa: S101 — no rule has an expression otherwise
        return self._rules.expressions.bind(
            variables(self.occasion, self.customer, self.shown, self.signed_up_on)
        )


def evaluate(rules: RuleBook, occasion: Occasion, customer: CustomerFacts | None, usage: Usage) -> Evaluation:
    """Return what every rule of the occasion's trigger comes to. The same input, the same answer, to the unit."""
    scene = _Scene(rules, occasion, customer)
    outcomes = [
        _alone(ready, scene, usage.of(ready.rule.id)) for ready in rules.waiting_for(occasion.trigger)
    ]
    return Evaluation(occasion, tuple(_stacked(outcomes)))


def _alone(ready: _Ready, scene: _Scene, used: RuleUsage) -> Outcome:
    """Return what a rule would give if it were the only one."""
    rule = ready.rule
    checks = tuple([check(scene) for check in ready.checkers])
    if not all([check.passed for check in checks]):  # noqa: C419 — a list is faster, 200 times an order
        return Outcome(rule, Decision.CONDITION_FAILED, checks)
    basis = scene.bases.of(rule.reward.base, rule.conditions.lines)
    # A milestone, like a birthday, is no less reached by an order that the wallet paid.
    if not basis.amount_minor and (
        rule.reward.kind is RewardKind.PERCENT
        or (rule.trigger.kind in ORDER_TRIGGERS and rule.trigger.kind is not TriggerKind.MILESTONE)
    ):
        return Outcome(rule, Decision.NOTHING_PAID, checks, basis)
    raw, amount = _reward(rule.reward, basis)
    if not amount:
        return Outcome(rule, Decision.ROUNDED_TO_NOTHING, checks, basis, raw)
    capped, caps = _capped(rule.reward, amount, used, scene.usage_keys)
    decision = Decision.AWARDED if capped else Decision.CAP_REACHED
    return Outcome(rule, decision, checks, basis, raw, amount, caps, capped)


def _reward(reward: Reward, basis: Basis) -> tuple[tuple[int, int], int]:
    """Return the reward before rounding, as a fraction, and after it."""
    if reward.per is not RewardPer.ORDER:
        amounts = _by_line(reward, basis)
        return _raw_by_line(reward, basis), sum(amounts)
    if reward.kind is RewardKind.FIXED:
        return (reward.amount_minor, 1), reward.amount_minor
    numerator = basis.amount_minor * reward.percent_bp
    return (numerator, 10_000), rounded(numerator, 10_000, reward.rounding)


def _by_line(reward: Reward, basis: Basis) -> list[int]:
    """Return what each part earns by itself, rounded line by line or unit by unit."""
    by_unit, percent_bp, rounding = reward.per is RewardPer.UNIT, reward.percent_bp, reward.rounding
    if reward.kind is RewardKind.FIXED:
        return [reward.amount_minor * (part.units if by_unit else 1) for part in basis.parts]
    if not by_unit:
        return [rounded(base * percent_bp, 10_000, rounding) for base in basis.amounts]
    return [
        # Rounding up unit by unit must not give more than what was paid.
        min(
            base,
            part.units * rounded(base * percent_bp * part.pieces_per_unit, 10_000 * part.pieces, rounding),
        )
        if part.units
        else 0
        for part, base in zip(basis.parts, basis.amounts, strict=True)
    ]


def _raw_by_line(reward: Reward, basis: Basis) -> tuple[int, int]:
    """Return what all parts earn together before rounding, as a fraction."""
    if reward.kind is RewardKind.FIXED:
        return sum(_by_line(reward, basis)), 1
    if reward.per is RewardPer.LINE or all(0 < part.units == part.pieces for part in basis.parts):
        return basis.amount_minor * reward.percent_bp, 10_000
    raw = Fraction(0)
    for part, base in zip(basis.parts, basis.amounts, strict=True):
        if part.units:
            numerator = base * reward.percent_bp * part.units * part.pieces_per_unit
            raw += Fraction(numerator, 10_000 * part.pieces)
    return raw.as_integer_ratio()


def _capped(
    reward: Reward, amount: int, used: RuleUsage, keys: dict[Period, str]
) -> tuple[int, tuple[CapApplied, ...]]:
    """Lower an amount to what is left under each cap, one after the other."""
    caps = reward.caps
    if not caps.any:
        return amount, ()
    bounds: list[tuple[CapName, int | None, int, str | None]] = [(CapName.ORDER, caps.order_minor, 0, None)]
    for cap in caps.periods:
        key = keys[cap.period]
        bounds.append((CapName.PERIOD, cap.amount_minor, used.periods.get(key, 0), key))
    bounds.append((CapName.CUSTOMER, caps.customer_minor, used.customer_minor, None))
    bounds.append((CapName.BUDGET, caps.budget_minor, used.total_minor, None))
    applied = []
    for name, limit, spent, period in bounds:
        if limit is not None and amount > limit - spent:
            left = max(0, limit - spent)
            applied.append(CapApplied(name, limit, spent, amount, left, period))
            amount = left
    return amount, tuple(applied)


def _stacked(outcomes: list[Outcome]) -> list[Outcome]:
    """Decide which of the rules that would give something do: the best of each group, then the exclusive ones."""
    best: dict[str, Outcome] = {}
    for outcome in outcomes:
        group = outcome.rule.stacking.group
        # By priority: of two that give the same, the one that stands before stays.
        if (
            group
            and outcome.given_minor
            and (group not in best or outcome.given_minor > best[group].given_minor)
        ):
            best[group] = outcome
    placed = []
    for outcome in outcomes:
        winner = best.get(outcome.rule.stacking.group or "")
        if outcome.given_minor and winner is not None and winner is not outcome:
            placed.append(outcome._replace(decision=Decision.NOT_BEST_OF_GROUP, winner_id=winner.rule.id))
        else:
            placed.append(outcome)
    return _excluded(placed)


def _excluded(outcomes: list[Outcome]) -> list[Outcome]:
    first = next((outcome for outcome in outcomes if outcome.given_minor), None)
    if first is None:
        return outcomes
    alone = first.rule.stacking.mode is StackingMode.EXCLUSIVE
    decided = []
    for outcome in outcomes:
        reason = None
        if outcome.given_minor and outcome is not first:
            if alone:
                reason = Decision.BESIDE_EXCLUSIVE
            elif outcome.rule.stacking.mode is StackingMode.EXCLUSIVE:
                reason = Decision.EXCLUSIVE_NOT_FIRST
        decided.append(outcome._replace(decision=reason, winner_id=first.rule.id) if reason else outcome)
    return decided
