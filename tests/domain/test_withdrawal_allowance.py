"""What can be withdrawn, and why not the rest: limits of amounts and periods, waiting times, fees."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from app.domain.bucket import Bucket
from app.domain.cashback.period import zone_of
from app.domain.errors import FieldInvalid, InsufficientFunds, WithdrawalOutOfLimits, WithdrawalsDisabled
from app.domain.hold import HoldPurpose
from app.domain.ledger import Explanation, TransactionKind
from app.domain.wallet import freeze
from app.domain.withdrawal import Withdrawal, WithdrawalStatus, asked_before, give_back, request
from app.domain.withdrawal_allowance import (
    Allowance,
    Holdings,
    LeftOutReason,
    allowance,
    counted_since,
    limits_of,
    smallest_of,
)
from app.domain.withdrawal_terms import FeePayer, WithdrawalPeriod, WithdrawalTerms
from tests.domain.book import STAFF, START, Book

TOP_UP = Explanation(TransactionKind.TOP_UP, STAFF, "By card")
R = LeftOutReason


def opened(zone: str = "UTC", **terms: Any) -> Book:
    book = Book()
    book.settings = replace(
        book.settings, time_zone=zone, withdrawals=WithdrawalTerms(**{"enabled": True, **terms})
    )
    return book


def ask(book: Book, amount: int, **more: Any) -> Withdrawal:
    return book.do(lambda draft: request(draft, amount, note="", actor=STAFF, **more))


def shown(book: Book, *, reviewed: int = 0, unvested: int = 0) -> Allowance:
    """What the customer is told: of the same things that a request is decided by."""
    wallet = book.state.wallet
    holdings = Holdings(
        available_minor=wallet.available_minor(),
        lots=book.state.lots,
        topped_up=book.state.topped_up,
        frozen=wallet.status == "FROZEN",
        reviewed_minor=reviewed,
        unvested_minor=unvested,
        debt_minor=wallet.debt_minor,
    )
    zone = zone_of(book.settings.time_zone)
    return allowance(holdings, book.settings.withdrawals, asked_before(book.draft()), zone, book.now)


def parts(found: Allowance) -> dict[LeftOutReason, int]:
    return {part.reason: part.amount_minor for part in found.left_out}


def test_every_reason_with_its_amount() -> None:
    book = opened(waiting_days=3)
    book.credit(1_000)
    book.credit(50, Bucket.PROMO)
    book.credit(30, Bucket.GIFT_CARD)
    book.do(lambda draft: draft.credit(200, TOP_UP))
    book.do(lambda draft: draft.reserve(100, HoldPurpose.PAYMENT, buckets={Bucket.CASH}))
    one = ask(book, 250)
    found = shown(book, reviewed=one.amount_minor, unvested=70)
    assert found.amount_minor == 650
    assert parts(found) == {
        R.PROMOTIONAL: 50,
        R.GIFT_CARD: 30,
        R.UNVESTED: 70,
        R.ON_HOLD: 100,
        R.UNDER_REVIEW: 250,
        R.WAITING_AFTER_TOP_UP: 200,
    }
    assert found.amount_minor + sum(parts(found).values()) == book.posted + 70
    (waiting,) = (part for part in found.left_out if part.reason is R.WAITING_AFTER_TOP_UP)
    assert waiting.until == START + timedelta(days=3)
    with pytest.raises(InsufficientFunds) as refused:
        ask(book, 651)
    assert refused.value.available_minor == 650
    assert ask(book, 650).amount_minor == 650


@pytest.mark.parametrize(("debt", "left"), [(1, 99), (40, 60), (100, 0), (250, 0)])
def test_what_cashback_still_owes_does_not_leave(debt: int, left: int) -> None:
    book = opened()
    book.credit(100)
    book.credit(30, Bucket.PROMO)
    book.do(lambda draft: draft.set_debt(debt))
    found = shown(book)
    assert (found.amount_minor, parts(found)) == (left, {R.PROMOTIONAL: 30, R.OWED: 100 - left})
    assert book.draft().withdrawable_minor() == left
    with pytest.raises(InsufficientFunds) as refused:
        ask(book, left + 1)
    assert refused.value.available_minor == left
    if left:
        assert ask(book, left).amount_minor == left


def test_frozen_switched_off_and_owed() -> None:
    book = opened()
    book.credit(100)
    book.do(lambda draft: freeze(draft, note="Chargeback 8812", actor=STAFF))
    assert (shown(book).amount_minor, parts(shown(book))) == (0, {R.WALLET_FROZEN: 100})
    off = opened(enabled=False)
    off.credit(100)
    assert (shown(off).amount_minor, parts(shown(off))) == (0, {R.NOT_ENABLED: 100})
    with pytest.raises(WithdrawalsDisabled):
        ask(off, 10)
    owing = opened()
    owing.credit(100)
    ask(owing, 100)
    owing.debit(30, limit=30)
    owing.credit(20)
    assert shown(owing, reviewed=100).amount_minor == 0


@pytest.mark.parametrize("off", [True, False])
def test_stores_pay_nothing_out_until_they_say_so(off: bool) -> None:
    assert WithdrawalTerms().enabled is False
    assert WithdrawalTerms.from_data({} if off else {"enabled": True}).enabled is not off


def test_topped_up_money_waits_by_the_calendar() -> None:
    """Three days later at the same time of the store's day, also when its clocks are changed in between."""
    book = opened("Europe/Berlin", waiting_days=3)
    book.now = datetime(2026, 3, 27, 12, tzinfo=UTC)
    book.do(lambda draft: draft.credit(200, TOP_UP))
    for hours, amount in ((0, 0), (70.9, 0), (0.1, 200)):
        book.after(hours=hours)
        assert shown(book).amount_minor == amount
    assert ask(book, 200).amount_minor == 200


def test_what_came_back_waits_no_longer_than_before() -> None:
    book = opened(waiting_days=3)
    book.do(lambda draft: draft.credit(200, TOP_UP))
    book.after(days=3)
    one = ask(book, 200)
    book.do(lambda draft: give_back(draft, one, WithdrawalStatus.CANCELLED, note=None, actor=STAFF))
    assert shown(book).amount_minor == 200


@pytest.mark.parametrize(
    ("terms", "amount", "says"),
    [
        ({"minimum_minor": 100}, 99, "At least"),
        ({"minimum_minor": 100}, 100, None),
        ({"maximum_minor": 500}, 501, "at once"),
        ({"maximum_minor": 500}, 500, None),
        ({"maximum_per_day_minor": 400}, 401, "one day"),
        ({"maximum_per_week_minor": 400}, 401, "one week"),
        ({"maximum_per_month_minor": 400}, 401, "one month"),
        ({"fee_fixed_minor": 50}, 50, "At least"),
        ({"fee_fixed_minor": 50}, 51, None),
        ({"fee_fixed_minor": 50, "fee_payer": FeePayer.STORE}, 1, None),
        ({"fee_percent_bp": 10_000}, 500, "whole amount"),
    ],
)
def test_limits_of_one_request(terms: dict[str, Any], amount: int, says: str | None) -> None:
    book = opened(**terms)
    book.credit(1_000)
    if says is None:
        assert ask(book, amount).amount_minor == amount
        return
    before = book.snapshot()
    with pytest.raises(WithdrawalOutOfLimits, match=says):
        ask(book, amount)
    assert book.snapshot() == before


@pytest.mark.parametrize(
    ("period", "later", "same"),
    [
        ("maximum_per_day_minor", datetime(2026, 3, 4, 22, 59, tzinfo=UTC), True),
        ("maximum_per_day_minor", datetime(2026, 3, 4, 23, tzinfo=UTC), False),
        ("maximum_per_week_minor", datetime(2026, 3, 8, 22, 59, tzinfo=UTC), True),
        ("maximum_per_week_minor", datetime(2026, 3, 8, 23, tzinfo=UTC), False),
        ("maximum_per_month_minor", datetime(2026, 3, 31, 21, 59, tzinfo=UTC), True),
        ("maximum_per_month_minor", datetime(2026, 3, 31, 22, tzinfo=UTC), False),
    ],
)
def test_periods_go_by_the_stores_calendar(period: str, later: datetime, same: bool) -> None:
    book = opened("Europe/Berlin", **{period: 500})
    book.credit(2_000)
    book.now = datetime(2026, 3, 4, 9, tzinfo=UTC)
    ask(book, 300)
    (limit,) = shown(book).limits
    assert (limit.left_minor, shown(book).largest_minor) == (200, 200)
    book.now = later
    (limit,) = shown(book).limits
    assert limit.left_minor == (200 if same else 500)
    assert limit.resets_at is not None
    assert limit.resets_at > book.now
    if same:
        with pytest.raises(WithdrawalOutOfLimits):
            ask(book, 201)
        ask(book, 200)
    else:
        ask(book, 500)


FIRST_DAY = datetime.fromisoformat("2024-01-01")
PERIODS = ("maximum_per_day_minor", "maximum_per_week_minor", "maximum_per_month_minor")


@given(
    periods=st.sets(st.sampled_from(PERIODS), min_size=1),
    zone=st.sampled_from(
        ["UTC", "Europe/Berlin", "Pacific/Kiritimati", "Pacific/Pago_Pago", "America/St_Johns"]
    ),
    now=st.datetimes(FIRST_DAY, FIRST_DAY + timedelta(days=5 * 365), timezones=st.just(UTC)),
    ago=st.timedeltas(timedelta(0), timedelta(days=40)),
)
def test_what_is_not_asked_for_counts_for_no_limit(
    periods: set[str], zone: str, now: datetime, ago: timedelta
) -> None:
    limits: dict[str, Any] = dict.fromkeys(periods, 500)
    terms = WithdrawalTerms(enabled=True, **limits)
    since = counted_since(terms, now)
    assert since is not None
    counts = any(limit.used_minor for limit in limits_of(terms, [(now - ago, 1)], zone_of(zone), now))
    assert not counts or now - ago > since


def test_nothing_is_asked_for_while_no_period_has_a_limit() -> None:
    assert counted_since(WithdrawalTerms(enabled=True, maximum_minor=500), START) is None


def test_what_was_given_back_counts_for_no_limit() -> None:
    book = opened(maximum_per_day_minor=500)
    book.credit(1_000)
    one = ask(book, 500)
    assert shown(book).largest_minor == 0
    book.do(lambda draft: give_back(draft, one, WithdrawalStatus.CANCELLED, note=None, actor=STAFF))
    assert ask(book, 500).amount_minor == 500


def test_methods() -> None:
    book = opened(methods=("BANK_TRANSFER", "CHEQUE"))
    book.credit(100)
    assert ask(book, 10).method == "BANK_TRANSFER"
    assert ask(book, 10, method="CHEQUE").method == "CHEQUE"
    with pytest.raises(FieldInvalid, match="BANK_TRANSFER, CHEQUE"):
        ask(book, 10, method="MANUAL")


@given(
    fixed=st.integers(0, 5_000),
    percent=st.integers(0, 9_999),
    minimum=st.integers(0, 3_000),
)
def test_the_smallest_request_leaves_something(fixed: int, percent: int, minimum: int) -> None:
    terms = WithdrawalTerms(fee_fixed_minor=fixed, fee_percent_bp=percent, minimum_minor=minimum)
    smallest = smallest_of(terms)
    assert smallest >= max(1, minimum)
    assert terms.fee_minor(smallest) < smallest
    if smallest > max(1, minimum):
        assert terms.fee_minor(smallest - 1) >= smallest - 1


@pytest.mark.parametrize(
    ("terms", "word"),
    [
        ({"minimum_minor": -1}, "minimum"),
        ({"maximum_minor": 10**18}, "maximum"),
        ({"minimum_minor": 11, "maximum_minor": 10}, "minimum"),
        ({"fee_percent_bp": 10_001}, "feePercent"),
        ({"waiting_days": 366}, "waitingDays"),
        ({"methods": ()}, "methods"),
        ({"methods": ("MANUAL", "MANUAL")}, "methods"),
        ({"methods": ("by pigeon",)}, "methods"),
        ({"methods": tuple(f"M{n}" for n in range(21))}, "methods"),
        ({"payer_iban": "DE00370400440532013000"}, "payerIban"),
        ({"payer_bic": "COBA"}, "payerBic"),
        ({"payer_name": "n" * 71}, "payerName"),
    ],
)
def test_terms_that_cannot_be_meant(terms: dict[str, Any], word: str) -> None:
    with pytest.raises(FieldInvalid) as refused:
        WithdrawalTerms(**terms)
    assert refused.value.field == ("withdrawals", word)


def test_terms_are_read_as_they_were_stored() -> None:
    terms = WithdrawalTerms(
        enabled=True,
        fee_percent_bp=150,
        fee_payer=FeePayer.STORE,
        methods=("A", "B"),
        payer_iban="DE89370400440532013000",
    )
    assert WithdrawalTerms.from_data({**terms.as_data(), "of_a_newer_version": 1}) == terms


def test_limits_have_their_own_periods() -> None:
    book = opened(
        maximum_minor=5, maximum_per_day_minor=6, maximum_per_week_minor=7, maximum_per_month_minor=8
    )
    assert [limit.period for limit in shown(book).limits] == list(WithdrawalPeriod)
