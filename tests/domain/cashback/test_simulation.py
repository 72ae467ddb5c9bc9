"""A rule tried over past orders: the evaluation itself, with caps, facts and clawbacks running along."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, strategies as st

from app.domain.cashback.check import CheckName
from app.domain.cashback.evaluation import Decision
from app.domain.cashback.occasion import CustomerFacts
from app.domain.cashback.period import Period
from app.domain.cashback.reward import Caps, PeriodCap
from app.domain.cashback.rule import CashbackRule, MilestoneKind, RuleStatus, Trigger, TriggerKind
from app.domain.cashback.simulation import OUTLIERS_MAX, PastOrder, Simulation
from app.domain.errors import FieldInvalid
from app.domain.order import OrderSnapshot, OrderStatus, StoreRefund
from app.domain.settings import StoreSettings
from tests.domain.cashback.shop import AT, CEL, ZONE, answer, plain_order, rule
from tests.domain.cashback.test_properties import orders, rules

SETTINGS = StoreSettings(time_zone=ZONE)


def simulation(tried: CashbackRule) -> Simulation:
    """A rule on its way through the past."""
    return Simulation(tried, currency="EUR", settings=SETTINGS, expressions=CEL)


def past(order: OrderSnapshot, customer: str = "ada", **parts: Any) -> PastOrder:
    """An order of the past; its refunds are those that the store told of."""
    return PastOrder(order.id, order, customer, AT, refunds=order.refunds, **parts)


def bought(number: int, total: int, *, day: int = 0, **parts: Any) -> OrderSnapshot:
    """An order of so many days after the first."""
    return plain_order(total, number=f"{number}", placed_at=AT + timedelta(days=day), **parts)


def milestone(kind: MilestoneKind, **parts: Any) -> Trigger:
    """A milestone to wait for."""
    return Trigger(TriggerKind.MILESTONE, kind, **parts)


@given(st.lists(orders(), min_size=1, max_size=4), rules())
def test_it_is_the_evaluation_itself(bought: list[OrderSnapshot], tried: CashbackRule) -> None:
    """Each order of a customer of its own: what the simulation says is what the evaluation says, refusals included."""
    budgetless = replace(
        tried, reward=replace(tried.reward, caps=replace(tried.reward.caps, budget_minor=None))
    )
    run = simulation(budgetless)
    for number, order in enumerate(bought):
        told = replace(order, external_id=str(number))
        facts = CustomerFacts(str(number), signed_up_at=AT, orders_completed=0, lifetime_spend_minor=0)
        assert run.take(past(told, str(number))) == answer(run.rule, told, customer=facts).outcomes[0]
    assert sum(run.decisions.values()) == run.all.orders == len(bought)


def test_a_draft_is_tried_as_if_in_force() -> None:
    later = AT + timedelta(days=400)
    run = simulation(rule(status=RuleStatus.DRAFT, starts_at=later, ends_at=later + timedelta(days=1)))
    run.take(past(bought(1, 10_000)))
    assert (run.all.gross_minor, run.all.revenue_minor, run.share_of_revenue_bp) == (500, 10_000, 500)


def test_the_budget_is_spent_by_the_orders_before() -> None:
    run = simulation(rule(caps=Caps(budget_minor=700)))
    given = [run.take(past(bought(n, 10_000, day=n), f"c{n}")).given_minor for n in range(3)]
    assert given == [500, 200, 0]
    assert run.budget_spent_at == AT + timedelta(days=1)
    assert run.decisions == {Decision.AWARDED: 2, Decision.CAP_REACHED: 1}


def test_caps_of_a_customer_and_of_a_month() -> None:
    run = simulation(rule(caps=Caps(periods=(PeriodCap(Period.MONTH, 600),), customer_minor=1_000)))
    given = [
        run.take(past(bought(n, 10_000, day=day))).given_minor for n, day in enumerate((0, 1, 2, 30, 60))
    ]
    # March: 500 and 100, then nothing. April: 400 are left for the customer. May: nothing.
    assert given == [500, 100, 0, 400, 0]
    other = run.take(past(bought(9, 10_000, day=61), "bob"))
    assert other.given_minor == 500
    assert run.customers_earning == 2


def test_orders_are_counted_along() -> None:
    run = simulation(rule(fixed=100, trigger=milestone(MilestoneKind.NTH_ORDER, n=2)))
    names = ("ada", "bob", "ada", "ada", "bob")
    given = [run.take(past(bought(n, 1_000, day=n), name)).given_minor for n, name in enumerate(names)]
    assert given == [0, 0, 100, 0, 100]
    assert run.failed == {CheckName.MILESTONE: 3}


def test_what_was_refunded_by_then_was_not_spent() -> None:
    spend = milestone(MilestoneKind.LIFETIME_SPEND, spend_minor=2_000)
    refund = StoreRefund("1", 600, created_at=AT + timedelta(days=1))
    first = bought(1, 1_500, refunds=(refund,))
    for day, expected in ((0, 100), (2, 0)):
        run = simulation(rule(fixed=100, trigger=spend))
        run.take(past(first))
        assert run.take(past(bought(2, 600, day=day))).given_minor == expected


def test_refunds_take_their_part_back() -> None:
    run = simulation(rule())
    run.take(past(bought(1, 10_000, refunds=(StoreRefund("1", 5_000),))))
    run.take(past(replace(bought(2, 10_000), status=OrderStatus.REFUNDED)))
    run.take(past(bought(3, 10_000)))
    assert (run.all.gross_minor, run.all.clawed_back_minor, run.all.net_minor) == (1_500, 750, 750)
    assert run.average_minor == 500


def test_an_order_that_was_refunded_whole_is_not_counted_for_the_next() -> None:
    run = simulation(rule(fixed=100, trigger=milestone(MilestoneKind.FIRST_ORDER)))
    returned = replace(bought(1, 1_000), status=OrderStatus.REFUNDED)
    assert [run.take(past(order)).given_minor for order in (returned, bought(2, 1_000, day=9))] == [100, 100]
    assert run.all.net_minor == 100


def test_months_are_those_of_the_store() -> None:
    # An hour before midnight of the last of March in London is April in Berlin.
    run = simulation(rule())
    late = datetime(2026, 3, 31, 22, 30, tzinfo=AT.tzinfo)
    run.take(past(bought(1, 10_000)))
    run.take(past(plain_order(10_000, number="2", placed_at=late)))
    assert {month: sums.orders for month, sums in run.months.items()} == {"2026-03": 1, "2026-04": 1}


def test_the_largest_are_named_and_no_more() -> None:
    run = simulation(rule())
    # Of the two that cost 9.00, the one that came first stands first; those of 1.00 are too many.
    totals = [100, 900, 200, 300, 100, 400, 900, 500, 600, 700, 800, 1_000, 100]
    for number, total in enumerate(totals):
        run.take(past(bought(number, 100 * total, day=number), f"c{number}"))
    largest = [11, 1, 6, 10, 9, 8, 7, 5, 3, 2]
    assert len(largest) == OUTLIERS_MAX
    assert [one.order_id for one in run.outliers] == [bought(number, 0).id for number in largest]
    assert run.outliers[0].amount_minor == 5_000
    assert run.outliers[0].sentences[-1] == "It gives 50.00 EUR."


def test_what_the_wallet_paid_earns_nothing() -> None:
    run = simulation(rule())
    assert run.take(past(bought(1, 10_000), wallet_paid_minor=4_000)).given_minor == 300


@pytest.mark.parametrize("kind", [TriggerKind.SIGN_UP, TriggerKind.BIRTHDAY, TriggerKind.TOP_UP])
def test_only_rules_of_orders(kind: TriggerKind) -> None:
    with pytest.raises(FieldInvalid, match="Choose another trigger"):
        simulation(rule(fixed=100, trigger=Trigger(kind)))


def test_nothing_bought_is_nothing_shared() -> None:
    run = simulation(rule())
    assert (run.average_minor, run.share_of_revenue_bp, run.outliers, run.months) == (0, 0, [], {})
    assert run.rule.id == UUID(int=1)
