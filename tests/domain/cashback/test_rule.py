"""Rules: what is refused, with words that help; storage; versions."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.domain.bucket import Bucket
from app.domain.cashback.condition import WORDS_MAX, Base
from app.domain.cashback.evaluation import RuleBook
from app.domain.cashback.period import Period
from app.domain.cashback.reward import (
    Caps,
    Expiry,
    PeriodCap,
    Reward,
    RewardKind,
    RewardPer,
    Vesting,
    VestingKind,
)
from app.domain.cashback.rule import (
    CashbackRule,
    MilestoneKind,
    RuleStatus,
    Stacking,
    StackingMode,
    Trigger,
    TriggerKind,
    check_rule,
    revised,
)
from app.domain.cashback.share import Rounding
from app.domain.errors import FieldInvalid
from tests.domain.cashback.shop import AT, CEL, group, rule, words

SIGN_UP = Trigger(TriggerKind.SIGN_UP)
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"name": "  "}, "name", "Give one"),
    ({"name": "x" * 101}, "name", "at most 100"),
    ({"percent_bp": 0}, "reward.percent", "more than 0"),
    ({"percent_bp": 10_001}, "reward.percent", "at most 100 percent"),
    ({"fixed": 0}, "reward.amount", "more than zero"),
    ({"fixed": 5, "percent_bp": 5}, "reward.kind", "Leave one"),
    ({"bucket": Bucket.GIFT_CARD}, "reward.bucket", "promotional"),
    ({"of": Base(shipping=True), "per": RewardPer.LINE}, "reward.base.shipping", "per order"),
    ({"caps": Caps(order_minor=0)}, "caps.order", "pause the rule"),
    ({"caps": Caps(periods=(PeriodCap(Period.DAY, 1),) * 2)}, "caps.periods.period", "one cap"),
    ({"vesting": Vesting(VestingKind.AFTER_DAYS)}, "vesting.days", "at once"),
    ({"vesting": Vesting(VestingKind.RETURN_PERIOD, 3)}, "vesting.days", "Leave them out"),
    ({"expiry": Expiry(0)}, "expiry.days", "lasts"),
    ({"currency": None, "fixed": 5}, "currency", "in which currency"),
    ({"currency": None, "minimum_minor": 5}, "currency", "in which currency"),
    ({"currency": None, "caps": Caps(budget_minor=5)}, "currency", "in which currency"),
    ({"currency": "XXQ"}, "amount.currency", "ISO 4217"),
    ({"minimum_minor": -1}, "minimum", "from 0"),
    ({"minimum_minor": 9, "maximum_minor": 8}, "maximum", "below the minimum"),
    ({"days_since_sign_up_min": 9, "days_since_sign_up_max": 8}, "daysSinceSignUpMax", "below the minimum"),
    ({"weekdays": frozenset({0})}, "weekdays", "1 (Monday)"),
    ({"minute_from": 60}, "minuteFrom", "both ends"),
    ({"minute_from": 60, "minute_to": 60}, "minuteTo", "whole day"),
    ({"minute_from": 1440, "minute_to": 60}, "minuteTo", "before midnight"),
    ({"roles_in": frozenset(map(str, range(WORDS_MAX + 1)))}, "rolesIn", "at most 200"),
    ({"skus_out": words("")}, "lines.skusOut", "empty"),
    ({"skus_in": words("a"), "skus_out": words("a", "b")}, "lines.skusOut", "both lists"),
    ({"expression": "x" * 501}, "expression", "at most 500"),
    ({"stacking": Stacking(StackingMode.BEST_OF_GROUP)}, "stacking.group", "group's name"),
    ({"stacking": Stacking(group="a")}, "stacking.group", "neither"),
    ({"trigger": Trigger(TriggerKind.MILESTONE)}, "trigger.milestone", "Choose both"),
    ({"trigger": Trigger(TriggerKind.MILESTONE, MilestoneKind.NTH_ORDER)}, "trigger.n", "FIRST_ORDER"),
    ({"trigger": Trigger(TriggerKind.MILESTONE, MilestoneKind.NTH_ORDER, 1)}, "trigger.n", "2 to 10000"),
    ({"trigger": Trigger(TriggerKind.MILESTONE, MilestoneKind.LIFETIME_SPEND)}, "trigger.spend", "amount"),
    ({"trigger": Trigger(TriggerKind.EVENT)}, "trigger.event", "needs its name"),
    ({"trigger": SIGN_UP}, "reward.kind", "fixed reward"),
    ({"trigger": SIGN_UP, "fixed": 5, "minimum_minor": 5}, "minimum", "Leave it out"),
    ({"trigger": SIGN_UP, "fixed": 5, "per": RewardPer.LINE}, "reward.per", "per order"),
    ({"trigger": SIGN_UP, "fixed": 5, "sale_out": True}, "lines", "Leave their conditions"),
    ({"starts_at": AT.replace(tzinfo=None)}, "startsAt", "no zone"),
    ({"starts_at": AT, "ends_at": AT}, "endsAt", "later end"),
    ({"priority": 10**7}, "priority", "Choose from"),
]


@pytest.mark.parametrize(
    ("parts", "path", "hint"), REFUSED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_what_cannot_be_meant_is_refused_with_a_hint(parts: dict[str, Any], path: str, hint: str) -> None:
    wanted = rule(**{name: value for name, value in parts.items() if name != "percent_bp"})
    if "percent_bp" in parts:
        wanted = replace(wanted, reward=replace(wanted.reward, percent_bp=parts["percent_bp"]))
    with pytest.raises(FieldInvalid, match=r"\w") as refusal:
        check_rule(wanted)
    assert ".".join(refusal.value.field) == path
    assert hint in refusal.value.message


def full() -> CashbackRule:
    """A rule that says something in every field."""
    return rule(
        7,
        version=3,
        name="  Spring ",
        description="Two lines\nof text",
        trigger=Trigger(TriggerKind.MILESTONE, MilestoneKind.EVERY_NTH_ORDER, 5),
        percent_bp=750,
        per=RewardPer.UNIT,
        of=Base(tax=False, before_discounts=True, wallet_paid=True),
        rounding=Rounding.HALF_EVEN,
        bucket=Bucket.CASH,
        caps=Caps(100, (PeriodCap(Period.WEEK, 200), PeriodCap(Period.YEAR, 900)), 1000, 10_000),
        vesting=Vesting(VestingKind.AFTER_DAYS, 14),
        expiry=Expiry(90, end_of_month=True),
        minimum_minor=1,
        maximum_minor=10**6,
        base=Base(shipping=True),
        of_matching_lines=True,
        categories_in=words("a", "b"),
        products_out=words("c"),
        sale_out=True,
        couponed_out=True,
        payment_methods_in=words("card"),
        roles_out=words("staff"),
        segments_in=words("north"),
        weekdays=frozenset({6, 7}),
        minute_from=1320,
        minute_to=120,
        days_since_sign_up_min=1,
        days_since_sign_up_max=30,
        expression="amount_minor > 5",
        starts_at=AT,
        ends_at=AT + timedelta(days=1),
        priority=5,
        stacking=group("spring"),
    )


def test_a_rule_survives_storage() -> None:
    kept = check_rule(full())
    stored = json.loads(json.dumps(kept.as_data()))
    assert CashbackRule.from_data(stored) == kept
    assert (kept.name, kept.description) == ("Spring", "Two lines\nof text")
    assert stored["conditions"]["lines"]["categories_in"] == ["a", "b"]


def test_storage_bears_other_versions_of_the_program() -> None:
    stored = full().as_data() | {"invented_later": 1}
    del stored["priority"], stored["conditions"]["weekdays"]
    read = CashbackRule.from_data(stored)
    assert (read.priority, read.conditions.weekdays) == (0, frozenset())


def test_each_change_is_a_new_version() -> None:
    first = rule(status=RuleStatus.DRAFT)
    second = revised(first, status=RuleStatus.ACTIVE)
    third = revised(second, reward=Reward(RewardKind.PERCENT, 700))
    assert [each.version for each in (first, second, third)] == [1, 2, 3]
    assert (third.id, third.status, first.reward.percent_bp) == (first.id, RuleStatus.ACTIVE, 500)
    with pytest.raises(FieldInvalid, match="Choose PAUSED or ARCHIVED"):
        revised(third, status=RuleStatus.DRAFT)
    with pytest.raises(FieldInvalid, match="Use a new one"):
        revised(revised(third, status=RuleStatus.ARCHIVED), name="Again")
    with pytest.raises(FieldInvalid, match="more than 0"):
        revised(third, reward=Reward(RewardKind.PERCENT))


def test_a_rule_book_refuses_what_it_cannot_work_with() -> None:
    with pytest.raises(FieldInvalid, match="Europe/Berlin"):
        RuleBook([], time_zone="Mars/Olympus")
    with pytest.raises(FieldInvalid, match="not available"):
        RuleBook([rule(expression="true")], time_zone="UTC")
    with pytest.raises(FieldInvalid, match="column"):
        RuleBook([rule(expression="amount_minor >")], time_zone="UTC", expressions=CEL)
