"""Awards: vesting, expiry, and what refunds take back, in whatever order they come."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from app.domain.access import Actor, ActorKind
from app.domain.bucket import Bucket
from app.domain.cashback.award import (
    Award,
    AwardStatus,
    Funds,
    Posting,
    ShortfallPolicy,
    Taken,
    award_of,
    clawback_target,
    expire,
    pay_debt,
    settle,
    vest,
)
from app.domain.cashback.condition import Base
from app.domain.cashback.evaluation import Outcome
from app.domain.cashback.occasion import Occasion
from app.domain.cashback.reward import Expiry, Vesting, VestingKind
from app.domain.cashback.rule import CashbackRule
from app.domain.order import OrderLine, OrderSnapshot, RefundedLine, StoreRefund
from app.domain.refund import RefundDestination, from_store
from app.services.ledger.records import read_award
from app.services.ledger.tables import BESIDE
from tests.domain.cashback.shop import ADA, AT, answer, line, order, plain_order, rule

BERLIN = ZoneInfo("Europe/Berlin")
ORDER = order(line(1, 6000, 1140), line(2, 3000, 570), line(3, 1000, 190), shipping=490)
WALLET = UUID(int=7)
POLICIES = tuple(ShortfallPolicy)


def given_for(bought: OrderSnapshot = ORDER, chosen: CashbackRule | None = None, now: datetime = AT) -> Award:
    found = answer(chosen or rule(), bought)
    (outcome,) = found.awarded
    return award_of(outcome, found.occasion, ADA.id, WALLET, now=now, zone=BERLIN, return_period_days=14)


def of_lines(number: str, *parts: tuple[str, int, int], shipping: int = 0, extra: int = 0) -> StoreRefund:
    """A refund of lines (id, amount, tax), shipping, and an amount that belongs to nothing."""
    lines = tuple(RefundedLine(line_id, amount_minor=amount, tax_minor=tax) for line_id, amount, tax in parts)
    amount = sum(part.amount_minor + part.tax_minor for part in lines) + shipping + extra
    return StoreRefund(number, amount, sum(part.tax_minor for part in lines), shipping, lines)


# --- from outcome to award ------------------------------------------------------------------------------------


def test_an_award_keeps_what_made_it() -> None:
    award = given_for()
    assert (award.amount_minor, [part.amount_minor for part in award.lines]) == (595, [357, 179, 59])
    assert award.status is AwardStatus.PENDING
    assert award.explanation["rule"] == {"id": str(rule().id), "version": 1, "name": "Rule 1"}
    assert award.explanation["base"]["amount_minor"] == 11_900
    assert award.explanation["sentences"] == [
        "Rule 1 (version 1): 5 % of 119.00 EUR, rounded halves up, is 5.95 EUR.",
        "It gives 5.95 EUR.",
    ]
    table = BESIDE[Award]
    assert read_award(dict(zip(table.columns, table.row(award), strict=True))) == award


def test_what_is_told_twice_is_the_same_award_in_every_version() -> None:
    first, again = given_for(), given_for(chosen=rule(version=2, percent_bp=700))
    assert first.id == again.id
    assert first.id != given_for(order(line(1, 6000), number="1043")).id


def test_an_outcome_that_gives_nothing_is_no_award() -> None:
    found = answer(rule(minimum_minor=10**6), ORDER)
    (outcome,) = found.outcomes
    with pytest.raises(AssertionError, match="gives nothing"):
        award_of(outcome, found.occasion, "ada", WALLET, now=AT, zone=BERLIN, return_period_days=14)
    assert isinstance(outcome, Outcome)
    assert Occasion.of_order(ORDER).key.startswith("order:")


@pytest.mark.parametrize(
    ("vesting", "awarded", "vests"),
    [
        (Vesting(), "2026-03-20T12:00:00+00:00", "2026-03-20T12:00:00+00:00"),
        # Noon stays noon by the store's clocks, which are set on 29 March.
        (Vesting(VestingKind.AFTER_DAYS, 14), "2026-03-20T11:00:00+00:00", "2026-04-03T10:00:00+00:00"),
        (Vesting(VestingKind.RETURN_PERIOD), "2026-03-20T11:00:00+00:00", "2026-04-03T10:00:00+00:00"),
        # And on 25 October.
        (Vesting(VestingKind.AFTER_DAYS, 1), "2026-10-24T10:00:00+00:00", "2026-10-25T11:00:00+00:00"),
        # 02:30 does not exist on 29 March: an hour later by the new clocks.
        (Vesting(VestingKind.AFTER_DAYS, 1), "2026-03-28T01:30:00+00:00", "2026-03-29T01:30:00+00:00"),
        (Vesting(VestingKind.AFTER_DAYS, 1), "2028-02-28T12:00:00+00:00", "2028-02-29T12:00:00+00:00"),
        (Vesting(VestingKind.AFTER_DAYS, 365), "2028-02-29T12:00:00+00:00", "2029-02-28T12:00:00+00:00"),
    ],
)
def test_vesting_is_counted_on_the_stores_calendar(vesting: Vesting, awarded: str, vests: str) -> None:
    award = given_for(chosen=rule(vesting=vesting), now=datetime.fromisoformat(awarded))
    assert award.vests_at == datetime.fromisoformat(vests)


@pytest.mark.parametrize(
    ("expiry", "awarded", "expires"),
    [
        (Expiry(), "2026-01-10T12:00:00+00:00", None),
        # The thirtieth day is whole: midnight in Berlin is 23:00 UTC in winter, 22:00 in summer.
        (Expiry(30), "2026-01-10T12:00:00+00:00", "2026-02-09T23:00:00+00:00"),
        (Expiry(30), "2026-03-10T12:00:00+00:00", "2026-04-09T22:00:00+00:00"),
        (Expiry(end_of_month=True), "2026-01-31T22:59:00+00:00", "2026-01-31T23:00:00+00:00"),
        (Expiry(end_of_month=True), "2026-01-31T23:00:00+00:00", "2026-02-28T23:00:00+00:00"),
        (Expiry(end_of_month=True), "2028-02-10T12:00:00+00:00", "2028-02-29T23:00:00+00:00"),
        (Expiry(30, end_of_month=True), "2026-01-30T12:00:00+00:00", "2026-03-31T22:00:00+00:00"),
        (Expiry(end_of_month=True), "2026-12-15T12:00:00+00:00", "2026-12-31T23:00:00+00:00"),
    ],
)
def test_expiry_is_the_end_of_a_day_there(expiry: Expiry, awarded: str, expires: str | None) -> None:
    award = given_for(chosen=rule(expiry=expiry), now=datetime.fromisoformat(awarded))
    assert award.expires_at == (None if expires is None else datetime.fromisoformat(expires))


# --- how much is taken back -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refunds", "target"),
    [
        ([], 0),
        # Half of line 1: 3.57 x 1/2 = 1.785, half up.
        ([of_lines("a", ("1", 3000, 570))], 179),
        ([of_lines("a", ("1", 6000, 1140))], 357),
        ([of_lines("a", ("2", 3000, 570)), of_lines("b", ("3", 1000, 190))], 238),
        # Shipping earned nothing, so its refund takes nothing.
        ([of_lines("a", shipping=490)], 0),
        # Goodwill of 12.39 is a tenth of 123.90: 35.7 + 17.9 + 5.9 = 36 + 18 + 6.
        ([of_lines("a", extra=1239)], 60),
        # More than the line cost: all of the line, and no more.
        ([of_lines("a", ("3", 5000, 0))], 59),
        ([of_lines("a", ("9", 1000, 0))], 0),
        ([StoreRefund("all", 12_390)], 595),
        ([StoreRefund("too much", 99_999)], 595),
    ],
)
def test_refunds_take_back_their_part(refunds: list[StoreRefund], target: int) -> None:
    assert clawback_target(given_for(), refunds) == target


def test_a_refund_of_a_line_that_the_order_hasnt_got_counts_on_all_lines_alike() -> None:
    award, wrong, right = given_for(), of_lines("a", ("9", 1239, 0)), of_lines("b", ("1", 3000, 570))
    assert clawback_target(award, [wrong], told=ORDER) == 60
    assert clawback_target(award, [right], told=ORDER) == 179
    # The order has it, though it earned nothing.
    gift = replace(ORDER, lines=(*ORDER.lines, OrderLine("9")))
    assert clawback_target(award, [wrong], told=gift) == 0
    # Nor has an edit of the order taken anything from what was given for its lines.
    edited = replace(ORDER, lines=ORDER.lines[1:])
    assert clawback_target(award, [right], told=edited) == 179
    assert clawback_target(given_for(order(total=9999)), [wrong], told=order(total=9999)) == 62


def test_a_full_refund_line_by_line_is_the_whole_award() -> None:
    award = given_for(chosen=rule(percent_bp=333, of=Base(shipping=True)))
    parts = [of_lines(each.id, (each.id, each.total_minor, each.tax_minor)) for each in ORDER.lines]
    assert clawback_target(award, parts) == award.amount_minor - award.lines[-1].amount_minor
    assert clawback_target(award, [*parts, of_lines("s", shipping=490)]) == award.amount_minor
    assert clawback_target(award, [of_lines("s", shipping=490)]) == award.lines[-1].amount_minor


def test_an_order_without_lines_is_taken_back_as_one_piece() -> None:
    award = given_for(order(total=9999))
    assert clawback_target(award, [StoreRefund("a", 3333)]) == 167
    assert clawback_target(award, [StoreRefund("a", 3333), StoreRefund("b", 6666)]) == 500
    assert clawback_target(award, [of_lines("a", ("1", 3333, 0))]) == 167


def test_a_cancelled_order_takes_all_back() -> None:
    assert clawback_target(given_for(), [], order_ended=True) == 595


def test_a_refund_as_it_is_kept_counts_like_that_of_the_store() -> None:
    award, told = given_for(), of_lines("a", ("1", 3000, 570))
    kept = from_store(
        told,
        order_id=ORDER.id,
        wallet_id=ORDER.id,
        reference="RF-1",
        destination=RefundDestination.SPLIT,
        bucket=Bucket.CASH,
        currency="EUR",
        actor=Actor(ActorKind.SERVICE, "store"),
        now=AT,
    )
    assert clawback_target(award, [kept]) == clawback_target(award, [told]) == 179
    assert clawback_target(award, [replace(kept, withdrawn_at=AT)]) == 0


@st.composite
def refunded(draw: st.DrawFn) -> tuple[Award, list[StoreRefund]]:
    lines = [
        line(n, draw(st.integers(0, 9000)), draw(st.integers(0, 900))) for n in range(draw(st.integers(1, 5)))
    ]
    bought = order(*lines, line(9, 5000), shipping=draw(st.integers(0, 500)))
    chosen = rule(percent_bp=draw(st.integers(100, 9999)), of=Base(shipping=draw(st.booleans())))
    refunds = []
    for number in range(draw(st.integers(0, 6))):
        each = draw(st.sampled_from(lines))
        part = draw(st.integers(0, 100))
        refunds.append(
            of_lines(
                str(number),
                (each.id, each.total_minor * part // 100, each.tax_minor * part // 100),
                shipping=draw(st.sampled_from([0, 0, 100])),
                extra=draw(st.sampled_from([0, 0, 250])),
            )
        )
    return given_for(bought, chosen), refunds


@given(refunded(), st.randoms(use_true_random=False))
def test_only_the_refunds_count_and_more_of_them_never_take_less(
    case: tuple[Award, list[StoreRefund]], random: object
) -> None:
    award, refunds = case
    targets = [clawback_target(award, refunds[:count]) for count in range(len(refunds) + 1)]
    assert targets[0] == 0
    assert targets == sorted(targets)
    assert targets[-1] <= award.amount_minor
    assert clawback_target(award, refunds[::-1]) == targets[-1]
    full = [*refunds, StoreRefund("rest", award.order_total_minor)]
    assert clawback_target(award, full) == award.amount_minor


# --- where it is taken from -----------------------------------------------------------------------------------


class Customer:
    """A far simpler model: what lies in the award's lots, what else is there, and what was lost."""

    def __init__(self, award: Award, others: int = 0) -> None:
        self.award = award
        self.lots = self.spent = self.expired = 0
        self.others = others

    def post(self, step: tuple[Award, Posting]) -> None:
        self.award, posting = step
        self.lots += posting.credit_minor - posting.from_lots_minor
        self.others -= posting.from_others_minor
        assert min(self.lots, self.others) >= 0

    def vest(self) -> None:
        self.post(vest(self.award, self.award.vests_at))

    def claw(self, target: int, policy: ShortfallPolicy) -> None:
        self.post(settle(self.award, target, Funds(self.lots, self.expired, self.others), policy))
        assert self.award.taken.total_minor == target

    def spend(self, amount: int) -> None:
        amount = min(amount, self.lots)
        self.lots -= amount
        self.spent += amount


def test_taken_in_order_and_given_back_in_the_opposite_one() -> None:
    customer = Customer(given_for(plain_order(10_000)), others=50)
    customer.claw(100, ShortfallPolicy.LEAVE)
    customer.vest()
    assert (customer.lots, customer.award.taken) == (400, Taken(unvested_minor=100))
    customer.spend(350)
    customer.claw(400, ShortfallPolicy.DEBIT_OTHERS)
    taken = Taken(unvested_minor=100, lots_minor=50, others_minor=50, left_minor=200)
    assert (customer.lots, customer.others, customer.award.taken) == (0, 0, taken)
    customer.claw(500, ShortfallPolicy.DEBT)
    assert customer.award.status is AwardStatus.CLAWED_BACK
    customer.others += 30
    customer.post(pay_debt(customer.award, customer.others))
    assert (customer.award.taken.debt_minor, customer.award.taken.others_minor) == (70, 80)


def test_what_expired_is_not_taken_twice() -> None:
    customer = Customer(given_for(plain_order(10_000)), others=1000)
    customer.vest()
    customer.spend(300)
    customer.expired, customer.lots = customer.lots, 0
    customer.award = expire(customer.award, AT)
    assert customer.award.status is AwardStatus.EXPIRED
    # 2.00 were spent beyond what expired: of 5.00 taken back, 2.00 are lost to the customer already.
    customer.claw(500, ShortfallPolicy.DEBIT_OTHERS)
    assert customer.award.taken == Taken(expired_minor=200, others_minor=300)
    assert customer.others == 700
    customer.claw(0, ShortfallPolicy.LEAVE)
    assert (customer.lots, customer.award.status) == (300, AwardStatus.EXPIRED)


def test_a_reversed_refund_brings_a_pending_award_back() -> None:
    customer, statuses = Customer(given_for()), []
    for step in ("claw", "vest", "give back", "vest"):
        if step == "vest":
            customer.vest()
        else:
            customer.claw(595 if step == "claw" else 0, ShortfallPolicy.LEAVE)
        statuses.append((customer.award.status, customer.lots))
    assert statuses == [
        (AwardStatus.CLAWED_BACK, 0),
        (AwardStatus.CLAWED_BACK, 0),
        (AwardStatus.PENDING, 0),
        (AwardStatus.VESTED, 595),
    ]


def test_nothing_vests_too_early_or_twice() -> None:
    award = given_for(chosen=rule(vesting=Vesting(VestingKind.AFTER_DAYS, 1)))
    assert vest(award, award.vests_at - timedelta(microseconds=1)) == (award, Posting())
    vested, posting = vest(award, award.vests_at)
    assert posting == Posting(credit_minor=595)
    assert vest(vested, datetime(2030, 1, 1, tzinfo=UTC)) == (vested, Posting())


@given(st.lists(st.integers(0, 595), max_size=5), st.integers(0, 5))
def test_vesting_and_clawing_back_in_any_order_come_to_the_same(targets: list[int], when: int) -> None:
    # Whatever was refunded and reversed before and after the day of vesting, the customer ends with what is left.
    customer = Customer(given_for())
    for place, target in enumerate([*targets, 200]):
        if place == min(when, len(targets)):
            customer.vest()
        customer.claw(target, ShortfallPolicy.LEAVE)
    customer.vest()
    assert customer.lots == 595 - 200


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("claw"), st.integers(0, 595), st.sampled_from(POLICIES)),
            st.tuples(st.just("spend"), st.integers(0, 300), st.just(ShortfallPolicy.LEAVE)),
            st.tuples(st.just("vest"), st.just(0), st.just(ShortfallPolicy.LEAVE)),
            st.tuples(st.just("debt"), st.integers(0, 300), st.just(ShortfallPolicy.LEAVE)),
        ),
        max_size=14,
    )
)
def test_the_books_balance_whatever_happens(steps: list[tuple[str, int, ShortfallPolicy]]) -> None:
    customer = Customer(given_for(), others=200)
    for name, amount, policy in steps:
        if name == "claw":
            customer.claw(amount, policy)
        elif name == "spend":
            customer.spend(amount)
        elif name == "vest":
            customer.vest()
        else:
            customer.post(pay_debt(customer.award, min(amount, customer.others)))
        taken = customer.award.taken
        assert (
            min(
                taken.unvested_minor, taken.lots_minor, taken.others_minor, taken.debt_minor, taken.left_minor
            )
            >= 0
        )
        # What was credited is what lies there, was spent, or was taken back in money.
        credited = 0 if customer.award.vested_at is None else 595 - taken.unvested_minor
        collected = taken.lots_minor + taken.others_minor
        assert customer.lots + customer.others - 200 + customer.spent == credited - collected


def test_every_order_of_refunds_takes_the_same() -> None:
    refunds = [of_lines("a", ("1", 1999, 380)), of_lines("b", ("2", 1, 0)), of_lines("c", extra=777)]
    award = given_for()
    for story in permutations(refunds):
        customer = Customer(award)
        customer.vest()
        for count in (1, 2, 2, 3, 3):
            customer.claw(clawback_target(award, story[:count]), ShortfallPolicy.LEAVE)
        assert customer.award.taken.lots_minor == clawback_target(award, refunds)
