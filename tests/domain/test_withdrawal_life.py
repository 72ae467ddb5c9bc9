"""The life of a withdrawal: which step follows which, what each does to the money, and outcomes in any order."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.domain.access import Actor, ActorKind
from app.domain.bucket import Bucket
from app.domain.errors import DomainError, WalletFrozen, WithdrawalNotOpen
from app.domain.hold import HoldStatus
from app.domain.ledger import CounterAccount, Draft, TransactionKind
from app.domain.wallet import freeze
from app.domain.withdrawal import (
    AUTOMATIC,
    MOVES,
    UNDER_WAY,
    PayoutOutcome,
    PayoutOutcomeKind,
    Withdrawal,
    WithdrawalProblem,
    WithdrawalStatus,
    WithdrawalStep,
    approve,
    fail,
    give_back,
    pay,
    request,
    resolve_problem,
    settle_outcome,
    start_processing,
    take_back,
    take_into_review,
)
from app.domain.withdrawal_terms import FeePayer, WithdrawalTerms
from tests.domain.book import STAFF, Book

S, K = WithdrawalStatus, PayoutOutcomeKind
BANK = Actor(ActorKind.SERVICE, "bank")
ENDED = {S.REJECTED, S.CANCELLED, S.FAILED, S.RETURNED}

STEPS: dict[WithdrawalStatus, Callable[[Draft, Withdrawal], Withdrawal]] = {
    S.IN_REVIEW: lambda draft, one: take_into_review(draft, one, note=None, actor=STAFF),
    S.APPROVED: lambda draft, one: approve(draft, one, note=None, actor=STAFF),
    S.PROCESSING: lambda draft, one: start_processing(draft, one, actor=STAFF),
    S.PAID: lambda draft, one: pay(draft, one, payout_reference="B-1", note=None, actor=STAFF),
    S.FAILED: lambda draft, one: fail(draft, one, note="No such account", actor=STAFF),
    S.RETURNED: lambda draft, one: take_back(draft, one, note="Account closed", actor=STAFF),
    S.REJECTED: lambda draft, one: give_back(draft, one, S.REJECTED, note="No", actor=STAFF),
    S.CANCELLED: lambda draft, one: give_back(draft, one, S.CANCELLED, note=None, actor=STAFF),
}

WAYS: dict[WithdrawalStatus, tuple[WithdrawalStatus, ...]] = {
    S.REQUESTED: (),
    S.IN_REVIEW: (S.IN_REVIEW,),
    S.APPROVED: (S.APPROVED,),
    S.PROCESSING: (S.APPROVED, S.PROCESSING),
    S.PAID: (S.APPROVED, S.PROCESSING, S.PAID),
    S.FAILED: (S.APPROVED, S.PROCESSING, S.FAILED),
    S.RETURNED: (S.APPROVED, S.PROCESSING, S.PAID, S.RETURNED),
    S.REJECTED: (S.REJECTED,),
    S.CANCELLED: (S.CANCELLED,),
}


def opened(**terms: Any) -> Book:
    """A wallet with 1,000 in three lots of cash and some of other kinds, in a store that pays out."""
    book = Book()
    book.settings = replace(book.settings, withdrawals=WithdrawalTerms(**{"enabled": True, **terms}))
    book.credit(50, Bucket.PROMO)
    for amount in (300, 500, 200):
        book.credit(amount)
    return book


def ask(book: Book, amount: int = 600) -> Withdrawal:
    return book.do(lambda draft: request(draft, amount, note="", actor=STAFF))


def current(book: Book, one: Withdrawal) -> Withdrawal:
    row = book.rows[one.id]
    assert isinstance(row, Withdrawal)
    return row


def walk(book: Book, one: Withdrawal, *statuses: WithdrawalStatus) -> Withdrawal:
    for status in statuses:
        book.do(lambda draft, status=status: STEPS[status](draft, current(book, one)))  # type: ignore[misc]
    return current(book, one)


def tell(book: Book, one: Withdrawal, *kinds: PayoutOutcomeKind) -> Withdrawal:
    for kind in kinds:
        outcome = PayoutOutcome(kind, provider_reference="po_1")
        book.do(lambda draft, told=outcome: settle_outcome(draft, current(book, one), told, actor=BANK))  # type: ignore[misc]
    return current(book, one)


def steps_of(book: Book, one: Withdrawal) -> list[WithdrawalStep]:
    found = [
        row for row in book.rows.values() if isinstance(row, WithdrawalStep) and row.withdrawal_id == one.id
    ]
    return sorted(found, key=lambda step: step.number)


# --- the table ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", S)
@pytest.mark.parametrize("after", [status for status in S if status is not S.REQUESTED])
def test_every_step_from_every_status(before: WithdrawalStatus, after: WithdrawalStatus) -> None:
    """What may follow follows; all else is refused, says how it stands, and leaves no trace."""
    book = opened()
    one = walk(book, ask(book), *WAYS[before])
    assert one.status is before
    if after in MOVES[before]:
        assert walk(book, one, after).status is after
        return
    snapshot = book.snapshot()
    with pytest.raises(WithdrawalNotOpen) as refused:
        walk(book, one, after)
    assert before.lower().replace("_", " ") in refused.value.message
    assert book.snapshot() == snapshot


@pytest.mark.parametrize("status", S)
def test_where_the_money_is(status: WithdrawalStatus) -> None:
    book = opened()
    lots = book.lots()
    one = walk(book, ask(book), *WAYS[status])
    hold = book.state.holds[one.hold_id]
    if status in UNDER_WAY:
        assert (book.posted, book.state.wallet.held_minor, hold.status) == (1_050, 600, HoldStatus.OPEN)
    elif status is S.PAID:
        assert (book.posted, book.state.wallet.held_minor) == (450, 0)
        assert one.transaction_id == book.history[-1].id
    else:
        assert (book.posted, book.state.wallet.held_minor) == (1_050, 0)
        assert book.lots() == lots, "it is back in the very lots that it came from"
    assert (one.decided_at is None) == (status in UNDER_WAY)


def test_steps_tell_who_when_and_why() -> None:
    book = opened()
    one = ask(book)
    book.after(hours=1)
    walk(book, one, S.IN_REVIEW, S.APPROVED, S.PROCESSING)
    book.after(days=1)
    tell(book, one, K.FAILED)
    steps = steps_of(book, one)
    assert [step.number for step in steps] == [1, 2, 3, 4, 5]
    assert [step.to_status for step in steps] == [
        S.REQUESTED,
        S.IN_REVIEW,
        S.APPROVED,
        S.PROCESSING,
        S.FAILED,
    ]
    assert [step.from_status for step in steps] == [None, *(step.to_status for step in steps[:-1])]
    assert (steps[-1].actor, steps[-1].provider_reference, steps[-1].created_at) == (BANK, "po_1", book.now)


@pytest.mark.parametrize("status", [S.APPROVED, S.PROCESSING, S.PAID])
def test_freezing_stops_what_is_not_being_sent(status: WithdrawalStatus) -> None:
    book = opened()
    one = ask(book)
    walk(book, one, *({S.PROCESSING: (S.APPROVED,), S.PAID: (S.APPROVED,)}.get(status, ())))
    book.do(lambda draft: freeze(draft, note="Chargeback 8812", actor=STAFF))
    with pytest.raises(WalletFrozen):
        walk(book, one, status)


def test_what_is_being_sent_ends_also_while_frozen() -> None:
    for end in (S.PAID, S.FAILED, S.RETURNED):
        book = opened()
        one = walk(book, ask(book), S.APPROVED, S.PROCESSING)
        book.do(lambda draft: freeze(draft, note="Chargeback 8812", actor=STAFF))
        assert walk(book, one, end).status is end


# --- fees ---------------------------------------------------------------------------------------------------


def test_the_customer_bears_the_fee() -> None:
    book = opened(fee_fixed_minor=20, fee_percent_bp=150)
    one = ask(book)
    assert (one.fee_minor, one.sent_minor, one.charged_minor) == (29, 571, 29)
    walk(book, one, S.PAID)
    sent, fee = book.history[-2:]
    assert (sent.kind, sent.counter_account, sent.amount_minor) == (
        TransactionKind.WITHDRAWAL,
        CounterAccount.PAYOUTS,
        -571,
    )
    assert (fee.kind, fee.counter_account, fee.amount_minor) == (
        TransactionKind.FEE,
        CounterAccount.FEES,
        -29,
    )
    assert current(book, one).transaction_id == sent.id
    lots = opened().lots()
    walk(book, one, S.RETURNED)
    assert book.lots() == lots
    assert (
        sum(entry.amount_minor for entry in book.history if entry.counter_account is CounterAccount.FEES) == 0
    )


def test_the_store_bears_the_fee() -> None:
    book = opened(fee_fixed_minor=20, fee_payer=FeePayer.STORE)
    one = walk(book, ask(book), S.PAID)
    assert (one.fee_minor, one.sent_minor, one.charged_minor) == (20, 600, 0)
    assert book.history[-1].amount_minor == -600


# --- automatic approval -------------------------------------------------------------------------------------


def test_small_requests_need_nobody() -> None:
    book = opened(auto_approve_below_minor=100)
    one = ask(book, 99)
    assert one.status is S.APPROVED
    assert [step.actor for step in steps_of(book, one)] == [STAFF, AUTOMATIC]
    assert ask(book, 100).status is S.REQUESTED


def test_not_where_something_odd_was_noticed() -> None:
    book = opened(auto_approve_below_minor=100)
    book.state.signalled_at = book.now
    assert ask(book, 10).status is S.REQUESTED
    book.after(days=31)
    assert ask(book, 10).status is S.APPROVED


# --- outcomes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "status", "problem"),
    [
        ((K.ACCEPTED,), S.PROCESSING, None),
        ((K.PAID,), S.PAID, None),
        ((K.FAILED,), S.FAILED, None),
        ((K.RETURNED,), S.RETURNED, None),
        ((K.PAID, K.PAID), S.PAID, None),
        ((K.PAID, K.RETURNED), S.RETURNED, None),
        ((K.RETURNED, K.PAID), S.RETURNED, None),
        ((K.PAID, K.FAILED), S.RETURNED, None),
        ((K.FAILED, K.PAID), S.FAILED, WithdrawalProblem.PAID_AFTER_END),
        ((K.FAILED, K.PAID, K.PAID), S.FAILED, WithdrawalProblem.PAID_AFTER_END),
        ((K.FAILED, K.PAID, K.RETURNED), S.FAILED, None),
        ((K.PAID, K.ACCEPTED), S.PAID, None),
    ],
)
def test_outcomes(
    told: tuple[PayoutOutcomeKind, ...], status: WithdrawalStatus, problem: WithdrawalProblem | None
) -> None:
    book = opened()
    one = walk(book, ask(book), S.APPROVED, S.PROCESSING)
    one = tell(book, one, *told)
    assert (one.status, one.problem) == (status, problem)


@pytest.mark.parametrize("status", [S.REQUESTED, S.IN_REVIEW])
def test_paid_before_anybody_approved_it(status: WithdrawalStatus) -> None:
    book = opened()
    one = tell(book, walk(book, ask(book), *WAYS[status]), K.PAID)
    assert (one.status, one.problem) == (S.PAID, WithdrawalProblem.PAID_BEFORE_APPROVAL)


@pytest.mark.parametrize("status", [S.REJECTED, S.CANCELLED])
def test_paid_though_it_was_called_off(status: WithdrawalStatus) -> None:
    book = opened()
    one = tell(book, walk(book, ask(book), *WAYS[status]), K.PAID)
    assert (one.status, one.problem, book.posted) == (status, WithdrawalProblem.PAID_AFTER_END, 1_050)
    book.do(lambda draft: resolve_problem(draft, current(book, one), note="Paid back in cash", actor=STAFF))
    assert current(book, one).problem is None
    with pytest.raises(WithdrawalNotOpen, match="left to resolve"):
        book.do(lambda draft: resolve_problem(draft, current(book, one), note="Again", actor=STAFF))


@pytest.mark.parametrize("told", list(itertools.product([K.FAILED, K.RETURNED], repeat=2)))
def test_nothing_is_given_back_that_was_never_sent(told: tuple[PayoutOutcomeKind, ...]) -> None:
    book = opened()
    one = tell(book, ask(book), *told)
    assert (one.status, book.state.wallet.held_minor) == (S.REQUESTED, 600)


@settings(max_examples=150)
@given(told=st.lists(st.sampled_from(K), max_size=7), repeats=st.integers(0, 3))
def test_what_is_told_twice_in_a_row_changes_nothing(told: list[PayoutOutcomeKind], repeats: int) -> None:
    """And the money follows from what was told, never paid twice and never given back twice."""
    book, other = opened(fee_fixed_minor=7), opened(fee_fixed_minor=7)
    one = walk(book, ask(book), S.APPROVED, S.PROCESSING)
    two = walk(other, ask(other), S.APPROVED, S.PROCESSING)
    one = tell(book, one, *told)
    two = tell(other, two, *(kind for kind in told for _ in range(repeats + 1)))
    assert (one.status, one.problem, one.step_count) == (two.status, two.problem, two.step_count)
    assert book.lots() == other.lots()
    assert book.posted == (450 if one.status is S.PAID else 1_050)
    told_of = set(told)
    if K.RETURNED in told_of and not {K.FAILED} & told_of:
        assert one.status is S.RETURNED, "a return wins over a payment, whichever was told first"


# --- every path ---------------------------------------------------------------------------------------------


class Life(RuleBasedStateMachine):
    """Several withdrawals of one wallet take steps, allowed or not, in any order; a simple model keeps count."""

    def __init__(self) -> None:
        super().__init__()
        self.book = opened(fee_fixed_minor=3, fee_percent_bp=100)
        self.all: list[Withdrawal] = []
        self.paid: dict[Any, int] = {}
        self.ends: dict[Any, list[WithdrawalStatus]] = {}

    @rule(amount=st.integers(10, 400))
    def asks(self, amount: int) -> None:
        free = self.book.draft().withdrawable_minor()
        try:
            one = ask(self.book, amount)
        except DomainError:
            assert amount > free
            return
        assert amount <= free
        self.all.append(one)
        self.ends[one.id] = []

    @precondition(lambda self: self.all)
    @rule(data=st.data(), status=st.sampled_from([one for one in S if one is not S.REQUESTED]))
    def steps(self, data: st.DataObject, status: WithdrawalStatus) -> None:
        one = current(self.book, data.draw(st.sampled_from(self.all)))
        try:
            walk(self.book, one, status)
        except WithdrawalNotOpen:
            assert status not in MOVES[one.status]
            return
        assert status in MOVES[one.status]
        self._ended(one, status)

    @precondition(lambda self: self.all)
    @rule(data=st.data(), kind=st.sampled_from(K))
    def is_told(self, data: st.DataObject, kind: PayoutOutcomeKind) -> None:
        one = current(self.book, data.draw(st.sampled_from(self.all)))
        self._ended(one, tell(self.book, one, kind).status)

    def _ended(self, one: Withdrawal, status: WithdrawalStatus) -> None:
        if status is not one.status and status in ENDED | {S.PAID}:
            self.ends[one.id].append(status)

    @invariant()
    def no_money_is_lost_or_made(self) -> None:
        now = [current(self.book, one) for one in self.all]
        out = sum(one.amount_minor for one in now if one.status is S.PAID)
        held = sum(one.amount_minor for one in now if one.status in UNDER_WAY)
        assert self.book.posted == 1_050 - out
        assert self.book.state.wallet.held_minor == held
        fees = sum(one.charged_minor for one in now if one.status is S.PAID)
        posted = [entry for entry in self.book.history if entry.counter_account is CounterAccount.FEES]
        assert -sum(entry.amount_minor for entry in posted) == fees
        assert self.book.lots()[0] == (Bucket.PROMO, 50, 0)

    @invariant()
    def none_ends_twice(self) -> None:
        for ends in self.ends.values():
            assert ends in ([], *([end] for end in (*ENDED, S.PAID)), [S.PAID, S.RETURNED])

    @invariant()
    def steps_are_a_path(self) -> None:
        for one in self.all:
            steps = steps_of(self.book, one)
            assert [step.number for step in steps] == list(range(1, current(self.book, one).step_count + 1))
            for before, after in itertools.pairwise(steps):
                assert after.from_status is before.to_status
                assert after.to_status is before.to_status or after.to_status in MOVES[before.to_status]


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
