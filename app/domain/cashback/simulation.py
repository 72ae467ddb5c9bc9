"""A rule tried over past orders: the same evaluation as for real awards, with its own caps and facts running along.

Orders come one after the other, as they were placed. What is kept of them is sums, so that a hundred thousand orders
take no more memory than their customers do.
"""

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from app.domain.cashback.award import NOBODYS, award_of, clawback_target
from app.domain.cashback.check import CheckName
from app.domain.cashback.evaluation import Decision, Outcome, RuleBook, evaluate
from app.domain.cashback.expression import Expressions
from app.domain.cashback.occasion import CustomerFacts, Occasion, RuleUsage, Usage, usage_key
from app.domain.cashback.period import Period, local
from app.domain.cashback.rule import ORDER_TRIGGERS, CashbackRule, RuleStatus, TriggerKind
from app.domain.cashback.sentence import explained
from app.domain.errors import FieldInvalid
from app.domain.money import currency_of
from app.domain.order import OrderSnapshot, OrderStatus, StoreRefund
from app.domain.refund import Refund
from app.domain.settings import StoreSettings

OUTLIERS_MAX = 10
"""Orders that are named because they earn the most."""


class PastOrder(NamedTuple):
    """An order of the past, with whose it was, what the wallet paid of it, and all its refunds."""

    id: UUID
    order: OrderSnapshot
    customer_id: str
    signed_up_at: datetime
    wallet_paid_minor: int = 0
    refunds: tuple[Refund | StoreRefund, ...] = ()


class Outlier(NamedTuple):
    """One of the orders that earn the most, and why."""

    order_id: UUID
    number: str
    placed_at: datetime
    amount_minor: int
    total_minor: int
    sentences: tuple[str, ...]


@dataclass(slots=True)
class Sums:
    """What orders came to, in minor units; `clawed_back_minor` is what their refunds take back."""

    orders: int = 0
    orders_earning: int = 0
    gross_minor: int = 0
    clawed_back_minor: int = 0
    revenue_minor: int = 0

    @property
    def net_minor(self) -> int:
        """What it costs after all."""
        return self.gross_minor - self.clawed_back_minor


@dataclass(slots=True)
class _Customer:
    orders: int = 0
    spend_minor: int = 0
    given_minor: int = 0
    periods: dict[Period, tuple[str, int]] = field(default_factory=dict)
    refunds: list[tuple[datetime, int]] = field(default_factory=list)


class Simulation:
    """A rule on its way through past orders. Whatever its status and its window are, it is tried as if in force.

    An order counts for the customer's next ones as it ended: one that was refunded whole is not one of theirs.
    """

    def __init__(
        self, rule: CashbackRule, *, currency: str, settings: StoreSettings, expressions: Expressions
    ) -> None:
        """Raises `FieldInvalid` for a rule that waits for something else than orders."""
        if rule.trigger.kind not in ORDER_TRIGGERS:
            raise FieldInvalid(
                "Only rules about orders can be tried over past orders. Choose another trigger.",
                field=("trigger", "kind"),
            )
        self.rule = replace(rule, status=RuleStatus.ACTIVE, starts_at=None, ends_at=None)
        self.currency = currency
        self.all = Sums()
        self.months: dict[str, Sums] = {}
        self.decisions: Counter[Decision] = Counter()
        self.failed: Counter[CheckName] = Counter()
        self.budget_spent_at: datetime | None = None
        self._settings = settings
        self._book = RuleBook([self.rule], time_zone=settings.time_zone, expressions=expressions)
        paid = rule.trigger.kind is TriggerKind.ORDER_PAID
        self._trigger = TriggerKind.ORDER_PAID if paid else TriggerKind.ORDER_COMPLETED
        self._customers: dict[str, _Customer] = {}
        self._largest: list[tuple[int, int, PastOrder, Outcome]] = []

    @property
    def customers_earning(self) -> int:
        """How many customers earn something."""
        return sum(customer.given_minor > 0 for customer in self._customers.values())

    @property
    def average_minor(self) -> int:
        """What an order that earns something earns on average, rounded half up."""
        orders = self.all.orders_earning
        return (2 * self.all.gross_minor + orders) // (2 * orders) if orders else 0

    @property
    def share_of_revenue_bp(self) -> int:
        """What it costs after all, in basis points of what the orders cost, rounded half up."""
        revenue = self.all.revenue_minor
        return (20_000 * self.all.net_minor + revenue) // (2 * revenue) if revenue else 0

    @property
    def outliers(self) -> list[Outlier]:
        """The orders that earn the most, the largest first."""
        currency = currency_of(self.currency)
        return [
            Outlier(
                past.id,
                past.order.number,
                past.order.placed_at or past.order.modified_at,
                amount,
                past.order.total_minor,
                tuple(explained(outcome, currency)),
            )
            for amount, _, past, outcome in sorted(self._largest, key=lambda found: (-found[0], -found[1]))
        ]

    def take(self, past: PastOrder) -> Outcome:
        """Try the rule on the next order."""
        # Refunds came later: when it was completed, there were none.
        order = replace(past.order, refunds=()) if past.order.refunds else past.order
        occasion = Occasion.of_order(order, trigger=self._trigger, wallet_paid_minor=past.wallet_paid_minor)
        customer = self._customers.setdefault(past.customer_id, _Customer())
        _forget_refunded(customer, occasion.at)
        facts = CustomerFacts(
            past.customer_id,
            signed_up_at=past.signed_up_at,
            orders_completed=customer.orders,
            lifetime_spend_minor=max(0, customer.spend_minor),
        )
        (outcome,) = evaluate(self._book, occasion, facts, self._usage(customer)).outcomes
        self._count(past, occasion, outcome, customer)
        if past.order.status is not OrderStatus.REFUNDED:
            customer.orders += 1
            customer.spend_minor += order.total_minor
            customer.refunds += _returned(past.refunds)
        return outcome

    def _usage(self, customer: _Customer) -> Usage:
        periods = dict(customer.periods.values())
        used = RuleUsage(self.all.gross_minor, customer.given_minor, periods)
        return Usage({self.rule.id: used})

    def _count(self, past: PastOrder, occasion: Occasion, outcome: Outcome, customer: _Customer) -> None:
        given = outcome.given_minor
        clawed_back = self._clawed_back(past, occasion, outcome) if given else 0
        day = local(occasion.at, self._book.zone).date()
        month = self.months.setdefault(Period.MONTH.key(day), Sums())
        for sums in (self.all, month):
            sums.orders += 1
            sums.orders_earning += given > 0
            sums.gross_minor += given
            sums.clawed_back_minor += clawed_back
            sums.revenue_minor += past.order.total_minor
        self.decisions[outcome.decision] += 1
        self.failed.update(check.name for check in outcome.failed)
        if given:
            self._give(past, occasion, outcome, customer)

    def _give(self, past: PastOrder, occasion: Occasion, outcome: Outcome, customer: _Customer) -> None:
        given, caps = outcome.given_minor, self.rule.reward.caps
        customer.given_minor += given
        day = local(occasion.at, self._book.zone).date()
        for cap in caps.periods:
            key = usage_key(cap.period, day)
            before, amount = customer.periods.get(cap.period, (key, 0))
            customer.periods[cap.period] = (key, given + (amount if before == key else 0))
        if caps.budget_minor is not None and self.all.gross_minor >= caps.budget_minor:
            self.budget_spent_at = self.budget_spent_at or occasion.at
        # Of orders that earn the same, those that came first are named.
        found = (given, -self.all.orders, past, outcome)
        if len(self._largest) < OUTLIERS_MAX:
            heapq.heappush(self._largest, found)
        else:
            heapq.heappushpop(self._largest, found)

    def _clawed_back(self, past: PastOrder, occasion: Occasion, outcome: Outcome) -> int:
        ended = past.order.status is OrderStatus.REFUNDED
        if not ended and not past.refunds:
            return 0
        award = award_of(
            outcome,
            occasion,
            past.customer_id,
            NOBODYS,
            now=occasion.at,
            zone=self._book.zone,
            return_period_days=self._settings.return_period_days,
        )
        return clawback_target(award, past.refunds, told=past.order, order_ended=ended)


def _returned(refunds: Iterable[Refund | StoreRefund]) -> list[tuple[datetime, int]]:
    """Return when and how much was refunded; what has no time was refunded at once."""
    found = []
    for refund in refunds:
        if isinstance(refund, Refund):
            if refund.withdrawn_at is None:
                found.append((refund.refunded_at or refund.created_at, refund.amount_minor))
        elif refund.created_at is not None:
            found.append((refund.created_at, refund.amount_minor))
    return found


def _forget_refunded(customer: _Customer, at: datetime) -> None:
    """Take off what the customer spent what was refunded to them by then."""
    if customer.refunds:
        customer.spend_minor -= sum(amount for time, amount in customer.refunds if time <= at)
        customer.refunds = [found for found in customer.refunds if found[0] > at]
