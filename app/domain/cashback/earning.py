"""What cashback is worked out from, as it stands when a command is decided under its wallet's lock."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from app.domain.cashback.award import Award
from app.domain.cashback.evaluation import Decision, Evaluation, Outcome, RuleBook
from app.domain.cashback.occasion import RuleUsage, Usage, usage_key
from app.domain.cashback.period import Period
from app.domain.cashback.rule import TriggerKind
from app.domain.cashback.sentence import explained
from app.domain.money import Currency, currency_of

_TOTALS = UUID("3c6fd1f2-3f2e-5b53-9a5c-0f5cf1f0b6f1")
_EVALUATIONS = UUID("5a0c2d5e-7a33-5ff4-8d7c-7f7f1f6a2f44")


class CustomerHistory(NamedTuple):
    """What a customer's completed orders come to, in minor units; spend is less what was refunded."""

    orders_completed: int = 0
    lifetime_spend_minor: int = 0

    def plus(self, orders: int, spend_minor: int) -> "CustomerHistory":
        """Return the history with some more orders, or less."""
        return CustomerHistory(self.orders_completed + orders, self.lifetime_spend_minor + spend_minor)


@dataclass(frozen=True, slots=True)
class CashbackTotal:
    """What a rule, or a promotion, has given in all its versions, net of what was taken back, in minor units.

    Whoever gives or takes back reads and writes it under a lock of its row, so that a budget is never exceeded.
    """

    id: UUID
    rule_id: UUID
    given_minor: int
    awards: int
    updated_at: datetime

    @classmethod
    def none(cls, rule_id: UUID, now: datetime) -> "CashbackTotal":
        """Return the total of a rule that has given nothing yet."""
        return cls(total_id(rule_id), rule_id, 0, 0, now)


def total_id(rule_id: UUID) -> UUID:
    """Return the id of a rule's total, which follows from the rule's."""
    return uuid5(_TOTALS, str(rule_id))


@dataclass(frozen=True, slots=True)
class CashbackEvaluation:
    """That an occasion was looked at, once, and what each rule came to: why there was cashback, and why none.

    `outcomes` are plain data, by priority: of a rule that does not apply, only what stood in the way.
    """

    id: UUID
    wallet_id: UUID
    order_id: UUID | None
    trigger: TriggerKind
    occasion_key: str
    currency: str
    total_minor: int
    outcomes: tuple[Mapping[str, Any], ...]
    occurred_at: datetime
    created_at: datetime

    @classmethod
    def of(
        cls, evaluation: Evaluation, customer_id: str, wallet_id: UUID, now: datetime
    ) -> "CashbackEvaluation":
        """Write an evaluation down."""
        occasion = evaluation.occasion
        return cls(
            id=evaluation_id(customer_id, occasion.trigger, occasion.key),
            wallet_id=wallet_id,
            order_id=occasion.order.id if occasion.order else None,
            trigger=occasion.trigger,
            occasion_key=occasion.key,
            currency=occasion.currency,
            total_minor=evaluation.total_minor,
            outcomes=tuple(
                summary(outcome, currency_of(occasion.currency)) for outcome in evaluation.outcomes
            ),
            occurred_at=occasion.at,
            created_at=now,
        )


def evaluation_id(customer_id: str, trigger: TriggerKind, key: str) -> UUID:
    """Return the id of an evaluation, which follows from what it is of: an occasion is looked at once."""
    return uuid5(_EVALUATIONS, f"{customer_id}\n{trigger}\n{key}")


def summary(outcome: Outcome, currency: Currency) -> dict[str, Any]:
    """Return what a rule came to as plain data: of one that does not apply, which conditions are not met."""
    data = outcome.as_data()
    if outcome.decision is Decision.CONDITION_FAILED:
        failed = [check for check in data["checks"] if not check["passed"]]
        data = {"rule": data["rule"], "decision": data["decision"], "checks": failed}
    data.pop("lines", None)
    return data | {"sentences": explained(outcome, currency)}


class Earning:
    """The rules in force, and what was given to one customer before: awards of the same batch included.

    `given` is what each rule has given the customer, by the day of the occasion on the store's calendar, in minor
    units. `history` leaves the orders out that the batch itself names.
    """

    def __init__(
        self,
        book: RuleBook,
        *,
        history: CustomerHistory,
        given: Mapping[UUID, Mapping[date, int]],
    ) -> None:
        self.book = book
        self.history = history
        self._given = {rule_id: dict(days) for rule_id, days in given.items()}

    def count(self, before: Award | None, after: Award) -> None:
        """Take an award into account that the batch gave or changed."""
        delta = after.net_minor - (before.net_minor if before else 0)
        days = self._given.setdefault(after.rule_id, {})
        days[after.occurred_on] = days.get(after.occurred_on, 0) + delta

    def used(self, rule_id: UUID, total_minor: int) -> RuleUsage:
        """Return what a rule has given: in all, as its total says, and to this customer."""
        return usage_by_days(self._given.get(rule_id, {}), total_minor)


def usage_by_days(given: Mapping[date, int], total_minor: int) -> RuleUsage:
    """Return a rule's usage from what it gave a customer by day, and in all."""
    periods: dict[str, int] = {}
    for day, amount in given.items():
        for period in Period:
            key = usage_key(period, day)
            periods[key] = periods.get(key, 0) + amount
    return RuleUsage(total_minor, sum(given.values()), periods)


def usage(earning: Earning, totals: Mapping[UUID, int]) -> Usage:
    """Return the usage of the rules whose totals are given."""
    return Usage({rule_id: earning.used(rule_id, total) for rule_id, total in totals.items()})
