"""A rule in plain words."""

from typing import Any

import pytest

from app.domain.cashback.period import Period
from app.domain.cashback.reward import Caps, Expiry, PeriodCap, RewardPer, Vesting, VestingKind
from app.domain.cashback.rule import MilestoneKind, Trigger, TriggerKind
from app.domain.cashback.summary import offer, summary
from tests.domain.cashback.shop import rule, words

SPENT = " It can be spent at once."


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({}, "5 % for a completed order." + SPENT),
        (
            {"percent_bp": 525, "minimum_minor": 5_000},
            "5.25 % for a completed order, from 50.00 EUR." + SPENT,
        ),
        ({"fixed": 200, "per": RewardPer.UNIT}, "2.00 EUR for each unit for a completed order." + SPENT),
        ({"fixed": 200, "trigger": Trigger(TriggerKind.SIGN_UP)}, "2.00 EUR for signing up." + SPENT),
        (
            {"fixed": 200, "trigger": Trigger(TriggerKind.EVENT, event="review")},
            "2.00 EUR for review." + SPENT,
        ),
        (
            {"trigger": Trigger(TriggerKind.MILESTONE, MilestoneKind.EVERY_NTH_ORDER, 5)},
            "5 % for every order whose number is a multiple of 5." + SPENT,
        ),
        ({"weekdays": frozenset({6, 7})}, "5 % for a completed order, on Saturday or Sunday." + SPENT),
        (
            {"minute_from": 600, "minute_to": 750, "payment_methods_out": words("cod")},
            "5 % for a completed order, not paid by cod, from 10:00 to 12:30." + SPENT,
        ),
        (
            {"caps": Caps(order_minor=1_000, periods=(PeriodCap(Period.MONTH, 3_000),))},
            "5 % for a completed order. At most 10.00 EUR each time. At most 30.00 EUR a month for each customer."
            + SPENT,
        ),
        (
            {"vesting": Vesting(VestingKind.AFTER_DAYS, 14), "expiry": Expiry(90, end_of_month=True)},
            "5 % for a completed order. It can be spent after 14 days, for 90 days and to the end of that month.",
        ),
    ],
)
def test_said(parts: dict[str, Any], said: str) -> None:
    assert summary(rule(**parts)) == offer(rule(**parts)) == said


def test_what_is_the_store_s_alone_is_told_to_staff_only() -> None:
    inner = rule(
        categories_in=words("secret-category"),
        roles_in=words("secret-role"),
        segments_out=words("secret-segment"),
        expression='payment_method == "secret-method"',
        caps=Caps(budget_minor=777_700),
    )
    for secret in ("secret-category", "secret-role", "secret-segment", "secret-method", "7777.00"):
        assert secret in summary(inner)
        assert secret not in offer(inner)
