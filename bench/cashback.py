"""How long it takes to evaluate cashback rules: python -m bench.cashback

Each case is evaluated again and again against one order, with the garbage collector running as it does in the server.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from statistics import median, quantiles
from uuid import UUID

from app.domain.cashback.condition import Base, Conditions, LineFilter
from app.domain.cashback.evaluation import RuleBook, evaluate
from app.domain.cashback.occasion import CustomerFacts, Occasion, RuleUsage, Usage
from app.domain.cashback.period import Period
from app.domain.cashback.reward import Caps, PeriodCap, Reward, RewardKind, RewardPer
from app.domain.cashback.rule import (
    CashbackRule,
    MilestoneKind,
    RuleStatus,
    Stacking,
    StackingMode,
    Trigger,
    TriggerKind,
)
from app.domain.order import OrderLine, OrderSnapshot, OrderStatus
from app.expressions import Cel
from bench.report import Grid, machine, publish

RULES = 200
LINES = 50
ROUNDS = 300
_AT = datetime(2026, 3, 14, 15, 9, tzinfo=UTC)
_COMPLETED = Trigger(TriggerKind.ORDER_COMPLETED)


def main() -> None:
    """Measure, print and write down."""
    cases: dict[str, tuple[Callable[[int], CashbackRule], int]] = {
        "a store's mix: groups, categories, caps, milestones": (_mixed, RULES),
        "every rule with an expression": (_with_expression, RULES),
        "every rule fails a condition": (_failing, RULES),
        "every rule gives": (_stackable, RULES),
        "every rule gives unit by unit": (_by_unit, RULES),
        "ten rules of the mix": (_mixed, 10),
    }
    rows, data = [], []
    for name, (make, count) in cases.items():
        took_ms, used_ms, given = _measured(map(make, range(count)))
        p50, p99, cpu = median(took_ms), quantiles(took_ms, n=100)[98], median(used_ms)
        rows.append(
            [
                name,
                str(count),
                str(given),
                f"{p50:.2f}",
                f"{p99:.2f}",
                f"{cpu:.2f}",
                f"{cpu * 1000 / count:.0f}",
            ]
        )
        data.append(
            {"case": name, "rules": count, "given": given, "p50_ms": p50, "p99_ms": p99, "cpu_ms": cpu}
        )
    said = (
        f"Measured by `python -m bench.cashback` on {machine()}: {ROUNDS} evaluations of one order of {LINES} lines, with "
        "everything that explains them; rules are made ready once. CPU: the median of the processor time."
    )
    head = ("case", "rules", "give", "p50 ms", "p99 ms", "CPU ms", "µs of CPU a rule")
    publish("cashback", said, [Grid("Cashback rules against an order of 50 lines", head, rows)], data)


def _measured(rules: Iterable[CashbackRule]) -> tuple[list[float], list[float], int]:
    book = RuleBook(rules, time_zone="Europe/Berlin", expressions=Cel())
    occasion = Occasion.of_order(_order(), wallet_paid_minor=1_234)
    customer = CustomerFacts("17", frozenset({"vip"}), frozenset({"north"}), _AT, None, 4, 99_000)
    usage = Usage({UUID(int=n): RuleUsage(1_000, 100, {"MONTH:2026-03": 50}) for n in range(RULES)})
    took_ms, used_ms, given = [], [], 0
    for _ in range(ROUNDS):
        began, used = time.perf_counter(), time.thread_time()
        evaluation = evaluate(book, occasion, customer, usage)
        took_ms.append((time.perf_counter() - began) * 1000)
        used_ms.append((time.thread_time() - used) * 1000)
        given = len(evaluation.awarded)
        assert all(
            sum(line.amount_minor for line in each.lines) == each.amount_minor for each in evaluation.awarded
        )
    return took_ms, used_ms, given


def _order() -> OrderSnapshot:
    lines = tuple(
        OrderLine(
            str(n),
            f"Product {n}",
            product_id=f"p{n}",
            sku=f"sku-{n}",
            categories=(f"c{n % 12}", f"d{n % 5}"),
            quantity=Decimal(1 + n % 3),
            subtotal_minor=1_000 + 37 * n,
            total_minor=900 + 37 * n,
            tax_minor=171 + 7 * n,
        )
        for n in range(LINES)
    )
    total = sum(line.total_minor + line.tax_minor for line in lines) + 490
    return OrderSnapshot(
        "bench",
        "1042",
        _AT,
        OrderStatus.COMPLETED,
        "completed",
        "EUR",
        total,
        shipping_minor=490,
        payment_method="card",
        lines=lines,
    )


def _rule(n: int, reward: Reward, conditions: Conditions, **parts: object) -> CashbackRule:
    rule = CashbackRule(
        UUID(int=n), 1, f"Rule {n}", _COMPLETED, reward, conditions, status=RuleStatus.ACTIVE, currency="EUR"
    )
    return replace(rule, **parts)  # type: ignore[arg-type] # each caller names fields of a rule


def _percent(n: int, **parts: object) -> Reward:
    return replace(Reward(RewardKind.PERCENT, percent_bp=100 + n), **parts)  # type: ignore[arg-type] # as above


def _mixed(n: int) -> CashbackRule:
    caps = Caps(order_minor=2_000, periods=(PeriodCap(Period.MONTH, 5_000),), budget_minor=10**7)
    conditions = Conditions(
        minimum_minor=1_000 * (n % 40),
        base=Base(tax=n % 2 == 0),
        lines=LineFilter(categories_in=frozenset({f"c{n % 15}"}), sale_out=n % 3 == 0),
        roles_in=frozenset({"vip"}) if n % 4 == 0 else frozenset(),
        weekdays=frozenset({6, 7}) if n % 5 == 0 else frozenset(),
        expression="'c1' in order.category_totals_minor && customer.orders_completed > 2"
        if n % 10 == 0
        else "",
    )
    stacking = Stacking(StackingMode.BEST_OF_GROUP, f"g{n % 20}") if n % 2 else Stacking()
    trigger = (
        Trigger(TriggerKind.MILESTONE, MilestoneKind.EVERY_NTH_ORDER, 2 + n % 5) if n % 8 == 0 else _COMPLETED
    )
    return _rule(n, _percent(n, caps=caps), conditions, stacking=stacking, trigger=trigger)


def _with_expression(n: int) -> CashbackRule:
    source = f"amount_minor > {n} && order.coupons.all(code, code != 'X{n}') && 'vip' in customer.roles"
    return _rule(n, _percent(n), Conditions(expression=source))


def _failing(n: int) -> CashbackRule:
    return _rule(n, _percent(n), Conditions(minimum_minor=10**9, roles_in=frozenset({"nobody"})))


def _stackable(n: int) -> CashbackRule:
    return _rule(n, _percent(n), Conditions())


def _by_unit(n: int) -> CashbackRule:
    return _rule(n, _percent(n, per=RewardPer.UNIT), Conditions())


if __name__ == "__main__":
    main()
