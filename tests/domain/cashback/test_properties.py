"""What holds for every order, rule and history: caps, sums, parity."""

from datetime import timedelta
from fractions import Fraction
from typing import Any

from hypothesis import given, strategies as st

from app.domain.cashback.condition import Base
from app.domain.cashback.evaluation import Decision, Evaluation
from app.domain.cashback.occasion import Grant, Usage
from app.domain.cashback.period import Period
from app.domain.cashback.reward import PERCENT_MAX_BP, Caps, PeriodCap, RewardPer
from app.domain.cashback.rule import CashbackRule, Stacking, StackingMode, check_rule
from app.domain.cashback.share import Rounding, rounded, shares
from app.domain.order import OrderSnapshot
from tests.domain.cashback.shop import AT, answer, line, order, rule, words

amounts = st.integers(0, 30_000)
maybe = st.none() | st.integers(1, 2_000)


@st.composite
def orders(draw: st.DrawFn) -> OrderSnapshot:
    lines = []
    for number in range(draw(st.integers(0, 6))):
        total = draw(amounts)
        parts = {
            "subtotal_minor": total + draw(st.integers(0, 500)),
            "quantity": draw(st.sampled_from(["1", "2", "3", "0.5", "2.25", "7", "0"])),
            "categories": (draw(st.sampled_from("abc")),),
        }
        lines.append(line(number, total, draw(st.integers(0, 3_000)), **parts))
    if not lines:
        return order(total=draw(amounts))
    return order(*lines, shipping=draw(st.integers(0, 900)))


@st.composite
def rules(draw: st.DrawFn) -> CashbackRule:
    number = draw(st.integers(1, 9))
    per = draw(st.sampled_from(RewardPer))
    parts: dict[str, Any] = {
        "per": per,
        "rounding": draw(st.sampled_from(Rounding)),
        "of": Base(*(draw(st.booleans()) for _ in range(4))),
        "caps": Caps(
            draw(maybe), (PeriodCap(draw(st.sampled_from(Period)), 1500),), draw(maybe), draw(maybe)
        ),
        "priority": draw(st.integers(-2, 2)),
        "stacking": draw(
            st.sampled_from(
                [Stacking(), Stacking(StackingMode.EXCLUSIVE), Stacking(StackingMode.BEST_OF_GROUP, "g")]
            )
        ),
        "categories_in": draw(st.sampled_from([words(), words("a"), words("a", "b")])),
        "minimum_minor": draw(st.none() | st.integers(0, 5_000)),
    }
    if per is not RewardPer.ORDER:
        parts["of"] = Base(shipping=False, tax=draw(st.booleans()))
    if draw(st.booleans()):
        parts["fixed"] = draw(st.integers(1, 900))
    else:
        parts["percent_bp"] = draw(st.integers(1, PERCENT_MAX_BP))
    return check_rule(rule(number, **parts))


several = st.lists(rules(), max_size=6, unique_by=lambda each: each.id)
paid = st.integers(0, 20_000)


def evaluated(
    chosen: list[CashbackRule], bought: OrderSnapshot, wallet: int, grant: int, usage: Usage
) -> Evaluation:
    return answer(
        chosen, bought, usage=usage, wallet_paid_minor=wallet, grants=(Grant("X", grant),) if grant else ()
    )


@given(several, orders(), paid, st.integers(0, 3_000))
def test_an_evaluation_adds_up(
    chosen: list[CashbackRule], bought: OrderSnapshot, wallet: int, grant: int
) -> None:
    found = evaluated(chosen, bought, wallet, grant, Usage())

    for outcome in found.outcomes:
        assert sum(part.amount_minor for part in outcome.lines) == outcome.given_minor
        assert all(part.amount_minor > 0 for part in outcome.lines)
        if basis := outcome.basis:
            assert sum(basis.amounts) == basis.amount_minor == basis.gross_minor - basis.deducted_minor
            assert all(amount >= 0 for amount in basis.amounts)
            if outcome.rule.reward.percent_bp:
                assert outcome.rounded_minor <= basis.amount_minor
                # Rounded once, or once for each line or unit.
                steps = max([1, len(basis.parts), sum(part.units for part in basis.parts)])
                assert abs(outcome.rounded_minor - Fraction(*outcome.raw)) <= steps
        lowered = [outcome.rounded_minor, *(cap.to_minor for cap in outcome.caps)]
        assert outcome.amount_minor == lowered[-1]
        assert lowered == sorted(lowered, reverse=True)
    groups = [outcome for outcome in found.awarded if outcome.rule.stacking.group]
    assert len(groups) <= 1
    alone = [o for o in found.awarded if o.rule.stacking.mode is StackingMode.EXCLUSIVE]
    assert not alone or len(found.awarded) == 1


@given(several, orders(), paid, st.randoms(use_true_random=False))
def test_the_order_in_which_rules_are_kept_plays_no_part(
    chosen: list[CashbackRule], bought: OrderSnapshot, wallet: int, random: Any
) -> None:
    shuffled = list(chosen)
    random.shuffle(shuffled)
    first, again = (evaluated(each, bought, wallet, 0, Usage()) for each in (chosen, shuffled))
    assert first == again
    assert first.as_data() == again.as_data()


@given(several, orders(), paid)
def test_a_preview_is_the_award(chosen: list[CashbackRule], bought: OrderSnapshot, wallet: int) -> None:
    # A preview and an award are the same call; what is stored between them must not change anything.
    stored = [CashbackRule.from_data(each.as_data()) for each in chosen]
    told = OrderSnapshot.from_data(bought.as_data())
    assert stored == chosen
    assert evaluated(chosen, bought, wallet, 0, Usage()) == evaluated(stored, told, wallet, 0, Usage())


@given(rules(), st.lists(st.tuples(orders(), st.integers(0, 500)), min_size=1, max_size=12))
def test_no_cap_and_no_budget_is_ever_passed(
    chosen: CashbackRule, bought: list[tuple[OrderSnapshot, int]]
) -> None:
    usage, caps, given_in = Usage(), chosen.reward.caps, dict[str, int]()
    for placed, days in bought:
        day = AT + timedelta(days=days)
        moved = OrderSnapshot.from_data(placed.as_data() | {"placed_at": day.isoformat()})
        found = answer(chosen, moved, usage=usage)
        amount = found.total_minor
        assert caps.order_minor is None or amount <= caps.order_minor
        for cap in caps.periods:
            key = cap.period.key(day.date())
            given_in[key] = given_in.get(key, 0) + amount
            assert given_in[key] <= cap.amount_minor
        usage = usage.with_award(chosen.id, amount, day.date())
        used = usage.of(chosen.id)
        assert caps.customer_minor is None or used.customer_minor <= caps.customer_minor
        assert caps.budget_minor is None or used.total_minor <= caps.budget_minor
        if not amount:
            assert found.outcomes[0].decision is not Decision.AWARDED


@given(st.integers(0, 10**15), st.lists(st.integers(0, 10**9), min_size=1, max_size=60))
def test_shares_add_up_and_are_fair(amount: int, weights: list[int]) -> None:
    parts = shares(amount, weights)
    assert sum(parts) == amount
    total = sum(weights)
    if total:
        for part, weight in zip(parts, weights, strict=True):
            assert abs(part - Fraction(amount * weight, total)) < 1
            assert weight or not part


@given(st.integers(0, 10**12), st.integers(1, 10**6))
def test_rounding_is_that_of_the_textbook(numerator: int, denominator: int) -> None:
    exact = Fraction(numerator, denominator)
    assert rounded(numerator, denominator, Rounding.HALF_EVEN) == round(exact)
    assert rounded(numerator, denominator, Rounding.DOWN) == exact.__floor__()
    assert rounded(numerator, denominator, Rounding.UP) == exact.__ceil__()
    assert rounded(numerator, denominator, Rounding.HALF_UP) == (exact + Fraction(1, 2)).__floor__()


def test_equal_remainders_go_to_the_earlier_lines() -> None:
    assert shares(5, [1, 1, 1]) == [2, 2, 1]
    assert shares(5, [0, 0]) == [3, 2]
