"""Worked examples: each with its arithmetic, whose result is what is expected."""

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from app.domain.cashback.check import CheckName
from app.domain.cashback.condition import Base
from app.domain.cashback.evaluation import Decision
from app.domain.cashback.occasion import CustomerFacts, Grant, Occasion, RuleUsage, Usage
from app.domain.cashback.period import Period
from app.domain.cashback.reward import Caps, PeriodCap, RewardPer
from app.domain.cashback.rule import CashbackRule, MilestoneKind, RuleStatus, Trigger, TriggerKind
from app.domain.cashback.sentence import sentences
from app.domain.cashback.share import Rounding
from app.domain.order import Coupon, OrderSnapshot
from tests.domain.cashback.shop import ADA, ALONE, AT, answer, group, line, order, plain_order, rule, words

NET = Base(tax=False)
BERLIN = ZoneInfo("Europe/Berlin")
THREE = order(line(1, 1000), line(2, 1000), line(3, 1000))
MIXED = order(
    line(1, 4000, 760, categories=("Shoes",)),
    line(2, 2500, 475, categories=("Shirts", "Sale")),
    line(3, 1500, 285, categories=("Gift cards",), quantity=3),
    shipping=490,
)
COUPONED = order(
    line(1, 8000, subtotal_minor=10_000),
    line(2, 5000),
    coupons=(Coupon("SPRING", 2000),),
    discount_minor=2000,
)
TOP_UP = Occasion.of_top_up(UUID(int=7), 9000, "EUR", AT)
BIRTHDAY = Occasion.of_birthday("EUR", AT, BERLIN)


def milestone(kind: MilestoneKind, n: int | None = None, spend: int | None = None) -> Trigger:
    return Trigger(TriggerKind.MILESTONE, kind, n, spend)


def caps(**bounds: Any) -> Caps:
    return Caps(**bounds)


def used(total: int = 0, customer: int = 0, **periods: int) -> Usage:
    keyed = {name.replace("_", ":", 1).replace("_", "-"): amount for name, amount in periods.items()}
    return Usage({UUID(int=1): RuleUsage(total, customer, keyed)})


@dataclass(frozen=True)
class Example:
    """What happens and, as a sum, what comes of it: what stands after the last `=`. Otherwise, what was decided."""

    story: str
    rules: CashbackRule | list[CashbackRule]
    what: OrderSnapshot | Occasion
    arithmetic: str
    decision: Decision | CheckName = Decision.AWARDED
    rest: dict[str, Any] = field(default_factory=dict)

    @property
    def expected(self) -> int:
        return int(re.sub(r"[ .]", "", self.arithmetic.rpartition("=")[2]))


E = Example
EXAMPLES = [
    # --- a percentage, and how it is rounded
    E("five percent", rule(), plain_order(10_000), "100.00 x 5 % = 5.00"),
    E("four point three seven", rule(), plain_order(8740), "87.40 x 5 % = 4.37"),
    E("half up", rule(), plain_order(1010), "10.10 x 5 % = 0.505, half up = 0.51"),
    E("half to even, down", rule(rounding=Rounding.HALF_EVEN), plain_order(1010), "10.10 x 5 % = 0.505 = 0.50"),
    E("half to even, up", rule(rounding=Rounding.HALF_EVEN), plain_order(1030), "10.30 x 5 % = 0.515 = 0.52"),
    E("more than half", rule(rounding=Rounding.HALF_EVEN), plain_order(1011), "10.11 x 5 % = 0.5055 = 0.51"),
    E("down", rule(rounding=Rounding.DOWN), plain_order(1039), "10.39 x 5 % = 0.5195 = 0.51"),
    E("up", rule(rounding=Rounding.UP), plain_order(1001), "10.01 x 5 % = 0.5005 = 0.51"),
    E("up of a whole amount", rule(rounding=Rounding.UP), plain_order(1000), "10.00 x 5 % = 0.50"),
    E("quarter percent", rule(percent_bp=25), plain_order(10_000), "100.00 x 0.25 % = 0.25"),
    E("one basis point", rule(percent_bp=1), plain_order(10_000), "100.00 x 0.01 % = 0.01"),
    E("all of it", rule(percent_bp=10_000), plain_order(1234), "12.34 x 100 % = 12.34"),
    E("too little", rule(), plain_order(9), "0.09 x 5 % = 0.0045 = 0.00", Decision.ROUNDED_TO_NOTHING),
    E("just enough", rule(), plain_order(10), "0.10 x 5 % = 0.005 = 0.01"),
    E("yen", rule(currency="JPY"), plain_order(1999, currency="JPY"), "1999 x 5 % = 99.95 = 100"),
    E("dinar", rule(currency="BHD"), plain_order(12_345, currency="BHD"), "12.345 x 5 % = 0.61725 = 0.617"),
    # --- which amount
    E("with tax", rule(of=Base()), order(line(1, 10_000, 1900)), "(100.00 + 19.00) x 5 % = 5.95"),
    E("without tax", rule(of=NET), order(line(1, 10_000, 1900)), "100.00 x 5 % = 5.00"),
    E("shipping left out", rule(), MIXED, "(47.60 + 29.75 + 17.85) x 5 % = 95.20 x 5 % = 4.76"),
    E("with shipping", rule(of=Base(shipping=True)), MIXED, "(95.20 + 4.90) x 5 % = 5.005 = 5.01"),
    E("after discounts", rule(), COUPONED, "(80.00 + 50.00) x 5 % = 6.50"),
    E("before discounts", rule(of=Base(before_discounts=True)), COUPONED, "(100.00 + 50.00) x 5 % = 7.50"),
    E("the wallet paid a part", rule(), plain_order(10_000), "(100.00 - 30.00) x 5 % = 3.50", rest={"wallet_paid_minor": 3000}),
    E("the rule counts that part", rule(of=Base(wallet_paid=True)), plain_order(10_000), "100.00 x 5 % = 5.00", rest={"wallet_paid_minor": 3000}),
    E("the wallet paid all", rule(), plain_order(10_000), "(100.00 - 100.00) x 5 % = 0.00", Decision.NOTHING_PAID, {"wallet_paid_minor": 10_000}),
    E("a fixed amount for what the wallet paid", rule(fixed=500), plain_order(10_000), "nothing paid = 0.00", Decision.NOTHING_PAID, {"wallet_paid_minor": 10_000}),
    E("the wallet pays for shipping too", rule(), MIXED, "95.20 x 50.05 / 100.10 = 47.60 off; 47.60 x 5 % = 2.38", rest={"wallet_paid_minor": 5005}),
    E("a wallet's part that does not divide", rule(percent_bp=10_000), THREE, "30.00 x 10.00 / 30.00 off = 20.00", rest={"wallet_paid_minor": 1000}),
    E("a coupon grants wallet money", rule(), plain_order(10_000), "(100.00 - 20.00) x 5 % = 4.00", rest={"grants": (Grant("BACK20", 2000),)}),
    E("granted, also where the wallet's part counts", rule(of=Base(wallet_paid=True)), plain_order(10_000), "(100.00 - 20.00) x 5 % = 4.00", rest={"grants": (Grant("BACK20", 2000),), "wallet_paid_minor": 3000}),
    E("both", rule(), plain_order(10_000), "(100.00 - 30.00 - 20.00) x 5 % = 2.50", rest={"grants": (Grant("BACK20", 2000),), "wallet_paid_minor": 3000}),
    E("an order without its lines", rule(), order(total=5000), "50.00 x 5 % = 2.50"),
    E("without its lines, net", rule(of=NET), order(total=5950, tax_minor=950), "(59.50 - 9.50) x 5 % = 2.50"),
    E("without its lines, in no category", [rule(1), rule(2, categories_in=words("Shoes"))], order(total=5000), "2.50 + 0.00 = 2.50", CheckName.LINES),
    E("without its lines, first a category", [rule(1), rule(2, categories_in=words("Shoes"), minimum_minor=1, of_matching_lines=True, priority=1)], order(total=5000), "2.50 = 2.50", CheckName.MINIMUM),
    # --- which lines
    E("one category", rule(categories_in=words("Shoes")), MIXED, "47.60 x 5 % = 2.38"),
    E("two categories", rule(categories_in=words("Shoes", "Shirts")), MIXED, "(47.60 + 29.75) x 5 % = 3.8675 = 3.87"),
    E("a category out", rule(categories_out=words("Gift cards")), MIXED, "(95.20 - 17.85) x 5 % = 3.8675 = 3.87"),
    E("in, and out again", rule(categories_in=words("Shirts"), categories_out=words("Sale")), MIXED, "no line = 0.00", CheckName.LINES),
    E("a product", rule(products_in=words("p2")), MIXED, "29.75 x 5 % = 1.4875 = 1.49"),
    E("a SKU out", rule(skus_out=words("s1")), MIXED, "(29.75 + 17.85) x 5 % = 2.38"),
    E("a category or a SKU", rule(categories_in=words("Shoes"), skus_in=words("s3")), MIXED, "(47.60 + 17.85) x 5 % = 3.2725 = 3.27"),
    E("a category that nobody bought", rule(categories_in=words("Hats")), MIXED, "no line = 0.00", CheckName.LINES),
    E("couponed lines out", rule(couponed_out=True), COUPONED, "50.00 x 5 % = 2.50"),
    E("sale lines out", rule(sale_out=True), THREE, "(10.00 + 10.00) x 5 % = 1.00", rest={"on_sale": words("2")}),
    # --- per order, line, unit
    E("rounded once", rule(), order(*(line(n, 1010) for n in range(3))), "30.30 x 5 % = 1.515 = 1.52"),
    E("rounded line by line", rule(per=RewardPer.LINE), order(*(line(n, 1010) for n in range(3))), "3 x (10.10 x 5 % = 0.505 = 0.51) = 1.53"),
    E("rounded unit by unit", rule(per=RewardPer.UNIT), order(line(1, 1010, quantity=4)), "4 x (2.525 x 5 % = 0.12625 = 0.13) = 0.52"),
    E("whole units of two and a half", rule(per=RewardPer.UNIT), order(line(1, 1000, quantity="2.5")), "2 x (4.00 x 5 % = 0.20) = 0.40"),
    E("a line of no unit", rule(per=RewardPer.UNIT), order(line(1, 1000, quantity=0), line(2, 2000)), "0 + 1 x (20.00 x 5 % = 1.00) = 1.00"),
    E("never more than was paid", rule(per=RewardPer.UNIT, rounding=Rounding.UP), order(line(1, 10, quantity=1000)), "1000 x 0.01, at most 0.10 = 0.10"),
    E("a fixed amount", rule(fixed=250), MIXED, "once 2.50 = 2.50"),
    E("fixed for each line", rule(fixed=100, per=RewardPer.LINE), MIXED, "3 x 1.00 = 3.00"),
    E("fixed for each line of a category", rule(fixed=100, per=RewardPer.LINE, categories_in=words("Shoes")), MIXED, "1 x 1.00 = 1.00"),
    E("fixed for each unit", rule(fixed=100, per=RewardPer.UNIT), MIXED, "(1 + 1 + 3) x 1.00 = 5.00"),
    # --- bounds
    E("at the minimum", rule(minimum_minor=10_000), plain_order(10_000), "100.00 x 5 % = 5.00"),
    E("below the minimum", rule(minimum_minor=10_000), plain_order(9_999), "99.99 < 100.00 = 0.00", CheckName.MINIMUM),
    E("below it without the wallet", rule(minimum_minor=10_000), plain_order(10_000), "99.99 < 100.00 = 0.00", CheckName.MINIMUM, {"wallet_paid_minor": 1}),
    E("the minimum counts the wallet", rule(minimum_minor=10_000, base=Base(wallet_paid=True)), plain_order(10_000), "(100.00 - 20.00) x 5 % = 4.00", rest={"wallet_paid_minor": 2000}),
    E("the minimum is net", rule(minimum_minor=10_000, base=NET), order(line(1, 9000, 1710)), "90.00 < 100.00 = 0.00", CheckName.MINIMUM),
    E("the minimum of what matches", rule(minimum_minor=5000, of_matching_lines=True, categories_in=words("Shoes")), MIXED, "47.60 < 50.00 = 0.00", CheckName.MINIMUM),
    E("the minimum of the order", rule(minimum_minor=5000, categories_in=words("Shoes")), MIXED, "95.20 >= 50.00; 47.60 x 5 % = 2.38"),
    E("at the maximum", rule(maximum_minor=10_000), plain_order(10_000), "100.00 x 5 % = 5.00"),
    E("above the maximum", rule(maximum_minor=10_000), plain_order(10_001), "100.01 > 100.00 = 0.00", CheckName.MAXIMUM),
    # --- caps
    E("cap of an order", rule(caps=caps(order_minor=300)), plain_order(10_000), "min(5.00, 3.00) = 3.00"),
    E("cap that is not reached", rule(caps=caps(order_minor=500)), plain_order(10_000), "min(5.00, 5.00) = 5.00"),
    E("cap of a month", rule(caps=caps(periods=(PeriodCap(Period.MONTH, 1000),))), plain_order(10_000), "min(5.00, 10.00 - 8.00) = 2.00", rest={"usage": used(800, 800, MONTH_2026_03=800)}),
    E("last month is over", rule(caps=caps(periods=(PeriodCap(Period.MONTH, 1000),))), plain_order(10_000), "min(5.00, 10.00 - 0.00) = 5.00", rest={"usage": used(800, 800, MONTH_2026_02=800)}),
    E("cap of a customer", rule(caps=caps(customer_minor=1000)), plain_order(10_000), "min(5.00, 10.00 - 9.99) = 0.01", rest={"usage": used(5000, 999)}),
    E("budget", rule(caps=caps(budget_minor=10_000)), plain_order(10_000), "min(5.00, 100.00 - 97.00) = 3.00", rest={"usage": used(9700)}),
    E("budget spent", rule(caps=caps(budget_minor=10_000)), plain_order(10_000), "min(5.00, 100.00 - 100.00) = 0.00", Decision.CAP_REACHED, {"usage": used(10_000)}),
    E("budget lowered below what was given", rule(caps=caps(budget_minor=5000)), plain_order(10_000), "max(0, 50.00 - 60.00) = 0.00", Decision.CAP_REACHED, {"usage": used(6000)}),
    E("the least of all caps", rule(caps=caps(order_minor=400, customer_minor=1000, budget_minor=10_000)), plain_order(10_000), "min(5.00, 4.00, 10.00 - 7.50, 100.00) = 2.50", rest={"usage": used(750, 750)}),
    # --- several rules
    E("both", [rule(1), rule(2, percent_bp=200)], plain_order(10_000), "5.00 + 2.00 = 7.00"),
    E("the best of a group", [rule(1, stacking=group("a")), rule(2, percent_bp=700, stacking=group("a"))], plain_order(10_000), "max(5.00, 7.00) = 7.00", Decision.NOT_BEST_OF_GROUP),
    E("best after caps", [rule(1, stacking=group("a")), rule(2, percent_bp=700, stacking=group("a"), caps=caps(order_minor=400))], plain_order(10_000), "max(5.00, min(7.00, 4.00)) = 5.00"),
    E("two groups", [rule(1, stacking=group("a")), rule(2, percent_bp=700, stacking=group("b"))], plain_order(10_000), "5.00 + 7.00 = 12.00"),
    E("alone and first", [rule(1, stacking=ALONE, priority=9), rule(2, percent_bp=700)], plain_order(10_000), "5.00 alone = 5.00"),
    E("alone and not first", [rule(1, stacking=ALONE), rule(2, percent_bp=700, priority=9)], plain_order(10_000), "7.00, so not 5.00 = 7.00", Decision.EXCLUSIVE_NOT_FIRST),
    E("alone, but it does not apply", [rule(1, stacking=ALONE, priority=9, minimum_minor=99_999), rule(2, percent_bp=700)], plain_order(10_000), "7.00 = 7.00", CheckName.MINIMUM),
    E("alone, but its budget is spent", [rule(1, stacking=ALONE, priority=9, caps=caps(budget_minor=100)), rule(2, percent_bp=700)], plain_order(10_000), "7.00 = 7.00", Decision.CAP_REACHED, {"usage": used(100)}),
    # --- who and how
    E("a role", rule(roles_in=words("vip", "staff")), plain_order(10_000), "5.00 = 5.00"),
    E("a role out", rule(roles_out=words("vip")), plain_order(10_000), "= 0.00", CheckName.ROLES),
    E("a visitor has no role", rule(roles_out=words("vip")), plain_order(10_000), "= 0.00", CheckName.ROLES, {"customer": None}),
    E("a visitor", rule(), plain_order(10_000), "100.00 x 5 % = 5.00", rest={"customer": None}),
    E("a segment", rule(segments_in=words("south")), plain_order(10_000), "= 0.00", CheckName.SEGMENTS),
    E("a payment method", rule(payment_methods_in=words("card")), plain_order(10_000), "5.00 = 5.00"),
    E("a payment method out", rule(payment_methods_out=words("card")), plain_order(10_000), "= 0.00", CheckName.PAYMENT_METHOD),
    E("another currency", rule(), plain_order(10_000, currency="USD"), "= 0.00", CheckName.CURRENCY),
    E("every currency", rule(currency=None), plain_order(10_000, currency="USD"), "100.00 x 5 % = 5.00"),
    E("paused", rule(status=RuleStatus.PAUSED), plain_order(10_000), "= 0.00", CheckName.STATUS),
    E("first week after sign-up", rule(days_since_sign_up_max=7), plain_order(10_000), "= 0.00", CheckName.SINCE_SIGN_UP, {"customer": replace(ADA, signed_up_at=AT - timedelta(days=8))}),
    E("on the seventh day", rule(days_since_sign_up_max=7), plain_order(10_000), "5.00 = 5.00", rest={"customer": replace(ADA, signed_up_at=AT - timedelta(days=7))}),
    E("an expression", rule(expression="order.sku_units['s3'] >= 3"), MIXED, "95.20 x 5 % = 4.76"),
    E("an expression that says no", rule(expression="amount_minor > 20000"), plain_order(10_000), "= 0.00", CheckName.EXPRESSION),
    E("an expression without an answer", rule(expression="order.sku_units['s9'] >= 3"), MIXED, "= 0.00", CheckName.EXPRESSION),
    # --- other occasions
    E("a top-up", rule(trigger=Trigger(TriggerKind.TOP_UP)), TOP_UP, "90.00 x 5 % = 4.50"),
    E("the first order", rule(fixed=500, trigger=milestone(MilestoneKind.FIRST_ORDER)), plain_order(100), "5.00 = 5.00", rest={"customer": replace(ADA, orders_completed=0)}),
    E("not the first", rule(fixed=500, trigger=milestone(MilestoneKind.FIRST_ORDER)), plain_order(100), "number 5 = 0.00", CheckName.MILESTONE),
    E("the fifth", rule(fixed=500, trigger=milestone(MilestoneKind.NTH_ORDER, 5)), plain_order(100), "number 4 + 1; 5.00 = 5.00"),
    E("every fifth", rule(fixed=500, trigger=milestone(MilestoneKind.EVERY_NTH_ORDER, 5)), plain_order(100), "number 10; 5.00 = 5.00", rest={"customer": replace(ADA, orders_completed=9)}),
    E("a milestone that the wallet paid", rule(fixed=500, trigger=milestone(MilestoneKind.NTH_ORDER, 5)), plain_order(100), "5.00 = 5.00", rest={"wallet_paid_minor": 100}),
    E("lifetime spend reached", rule(fixed=500, trigger=milestone(MilestoneKind.LIFETIME_SPEND, spend=100_000)), plain_order(1000), "990.00 + 10.00 >= 1000.00; 5.00 = 5.00"),
    E("not reached", rule(fixed=500, trigger=milestone(MilestoneKind.LIFETIME_SPEND, spend=100_000)), plain_order(999), "990.00 + 9.99 = 0.00", CheckName.MILESTONE),
    E("reached before", rule(fixed=500, trigger=milestone(MilestoneKind.LIFETIME_SPEND, spend=99_000)), plain_order(999), "990.00 before = 0.00", CheckName.MILESTONE),
    E("a milestone beside", [rule(1), rule(2, fixed=500, trigger=milestone(MilestoneKind.NTH_ORDER, 5))], plain_order(10_000), "5.00 + 5.00 = 10.00"),
    E("a birthday", rule(fixed=1000, trigger=Trigger(TriggerKind.BIRTHDAY)), BIRTHDAY, "10.00 = 10.00", rest={"customer": replace(ADA, birthday=date(1990, 3, 14))}),
    E("the day after", rule(fixed=1000, trigger=Trigger(TriggerKind.BIRTHDAY)), BIRTHDAY, "= 0.00", CheckName.BIRTHDAY, {"customer": replace(ADA, birthday=date(1990, 3, 13))}),
    E("sign-up", rule(fixed=300, trigger=Trigger(TriggerKind.SIGN_UP)), Occasion.of_sign_up("EUR", AT), "3.00 = 3.00"),
    E("a review", rule(fixed=50, trigger=Trigger(TriggerKind.EVENT, event="review")), Occasion.of_event("review", "r1", "EUR", AT), "0.50 = 0.50"),
    E("another event", rule(fixed=50, trigger=Trigger(TriggerKind.EVENT, event="review")), Occasion.of_event("share", "r1", "EUR", AT), "= 0.00", CheckName.EVENT),
]  # fmt: skip


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.story)
def test_the_sum_is_right_and_explains_itself(example: Example) -> None:
    found = answer(example.rules, example.what, **example.rest)

    assert found.total_minor == example.expected
    if isinstance(example.decision, CheckName):
        assert example.decision in [check.name for outcome in found.outcomes for check in outcome.failed]
    else:
        assert example.decision in [outcome.decision for outcome in found.outcomes]
    for outcome in found.outcomes:
        assert sum(part.amount_minor for part in outcome.lines) == outcome.given_minor
        assert all(check.passed for check in outcome.checks) == (
            outcome.decision is not Decision.CONDITION_FAILED
        )
    said = sentences(found)
    assert len(said) == 1 + len(found.outcomes)
    assert all(text.endswith((".", "3")) or "expression" in text for text in said), said


def test_what_is_explained_before_rounding_is_what_was_rounded() -> None:
    bought = order(line(1, 1000, quantity=0), line(2, 2000), line(3, 1000, quantity="2.5"))
    (outcome,) = answer(rule(per=RewardPer.UNIT), bought).outcomes
    # A line of no unit earns nothing; of two and a half units, two do: 1.00 + 2 x 0.20.
    assert Fraction(*outcome.raw) == outcome.rounded_minor == 140


def test_there_are_enough_examples() -> None:
    assert len(EXAMPLES) >= 60
    assert len({(example.story, str(example.arithmetic)) for example in EXAMPLES}) == len(EXAMPLES)


@pytest.mark.parametrize(
    ("lines", "basis_points", "parts"),
    [
        # 1.00 over three equal lines: 33.3 each, the first gets the odd cent.
        ((1000, 1000, 1000), 333, [34, 33, 33]),
        # 0.02 over three: 0.67 each; the two earliest.
        ((10, 10, 10), 667, [1, 1]),
        # 10.00 x 1/6, 2/6, 3/6 = 1.6667, 3.3333, 5: the largest remainder gets the unit.
        ((1000, 2000, 3000), 1667, [167, 333, 500]),
        # A free line earns nothing.
        ((0, 999), 500, [50]),
    ],
)
def test_lines_that_do_not_divide(lines: tuple[int, ...], basis_points: int, parts: list[int]) -> None:
    bought = order(*(line(number, total) for number, total in enumerate(lines)))
    (outcome,) = answer(rule(percent_bp=basis_points), bought).outcomes
    assert [part.amount_minor for part in outcome.lines] == parts
    assert sum(parts) == outcome.amount_minor


# --- time -----------------------------------------------------------------------------------------------------


def at(text: str) -> OrderSnapshot:
    return plain_order(10_000, placed_at=datetime.fromisoformat(text))


@pytest.mark.parametrize(
    ("asked", "placed", "zone", "given"),
    [
        # 23:30 UTC on Friday is Saturday in Berlin.
        ({"weekdays": words()}, "2026-03-13T23:30:00+00:00", "Europe/Berlin", True),
        ({"weekdays": frozenset({6})}, "2026-03-13T23:30:00+00:00", "Europe/Berlin", True),
        ({"weekdays": frozenset({6})}, "2026-03-13T23:30:00+00:00", "America/New_York", False),
        # Happy hour from 18:00 to 20:00: the summer's clocks, and the winter's.
        ({"minute_from": 1080, "minute_to": 1200}, "2026-07-01T16:00:00+00:00", "Europe/Berlin", True),
        ({"minute_from": 1080, "minute_to": 1200}, "2026-01-01T16:00:00+00:00", "Europe/Berlin", False),
        ({"minute_from": 1080, "minute_to": 1200}, "2026-01-01T19:00:00+00:00", "Europe/Berlin", False),
        # Over midnight.
        ({"minute_from": 1320, "minute_to": 120}, "2026-01-01T00:59:00+00:00", "Europe/Berlin", True),
        ({"minute_from": 1320, "minute_to": 120}, "2026-01-01T01:00:00+00:00", "Europe/Berlin", False),
        ({"minute_from": 1320, "minute_to": 120}, "2026-01-01T21:00:00+00:00", "Europe/Berlin", True),
        # The hour from 02:00 to 03:00 comes twice on 2026-10-25, and not at all on 2026-03-29.
        ({"minute_from": 120, "minute_to": 180}, "2026-10-25T00:30:00+00:00", "Europe/Berlin", True),
        ({"minute_from": 120, "minute_to": 180}, "2026-10-25T01:30:00+00:00", "Europe/Berlin", True),
        ({"minute_from": 120, "minute_to": 180}, "2026-03-29T01:00:00+00:00", "Europe/Berlin", False),
        # The window's end is not in it.
        ({"starts_at": AT, "ends_at": AT + timedelta(hours=1)}, AT.isoformat(), "Europe/Berlin", True),
        ({"ends_at": AT}, AT.isoformat(), "Europe/Berlin", False),
        ({"starts_at": AT + timedelta(seconds=1)}, AT.isoformat(), "Europe/Berlin", False),
    ],
)
def test_time_is_the_stores(asked: dict[str, Any], placed: str, zone: str, given: bool) -> None:
    assert (answer(rule(**asked), at(placed), zone=zone).total_minor > 0) is given


def test_a_cap_begins_anew_with_the_stores_month() -> None:
    # 22:30 UTC on 31 March is already April in Berlin, where summer time began on the 29th.
    capped = rule(caps=Caps(periods=(PeriodCap(Period.MONTH, 600),)))
    usage = Usage().with_award(capped.id, 500, date(2026, 3, 31))
    assert answer(capped, at("2026-03-31T21:59:59+00:00"), usage=usage).total_minor == 100
    assert answer(capped, at("2026-03-31T22:00:00+00:00"), usage=usage).total_minor == 500


def test_a_leap_day_birthday_is_kept_every_year() -> None:
    born = CustomerFacts("leap", birthday=date(2004, 2, 29))
    greeting = rule(fixed=500, trigger=Trigger(TriggerKind.BIRTHDAY))
    days = ["2026-02-27", "2026-02-28", "2026-03-01", "2028-02-28", "2028-02-29", "2028-03-01"]
    given = []
    for day in days:
        noon = datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=UTC)
        given.append(answer(greeting, Occasion.of_birthday("EUR", noon, BERLIN), customer=born).total_minor)
    assert given == [0, 500, 0, 0, 500, 0]


def test_sentences_answer_both_questions() -> None:
    why = sentences(answer(rule(caps=Caps(order_minor=400)), plain_order(10_000), wallet_paid_minor=1260))
    assert why == [
        "Cashback: 4.00 EUR.",
        (
            "Rule 1 (version 1): 5 % of 87.40 EUR (100.00 EUR less 12.60 EUR that the wallet paid or coupons grant), "
            "rounded halves up, is 4.37 EUR. At most 4.00 EUR for one order: 4.00 EUR. It gives 4.00 EUR."
        ),
    ]
    why_not = sentences(answer(rule(minimum_minor=5000, roles_in=words("staff")), plain_order(4000)))
    assert why_not == [
        "No cashback.",
        (
            "Rule 1 (version 1) does not apply: it needs at least 50.00 EUR, and 40.00 EUR counts. "
            "a role of the customer must be one of staff, and is vip."
        ),
    ]
