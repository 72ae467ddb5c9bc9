"""Withdrawals: the table of states, and what each step does to the money."""

import pytest

from app.domain.bucket import Bucket
from app.domain.errors import InsufficientFunds, WalletFrozen, WithdrawalNotOpen
from app.domain.hold import HoldStatus
from app.domain.ledger import CounterAccount, TransactionKind
from app.domain.wallet import freeze
from app.domain.withdrawal import Withdrawal, WithdrawalStatus, give_back, pay, request
from tests.domain.book import STAFF, Book

REQUESTED, PAID = WithdrawalStatus.REQUESTED, WithdrawalStatus.PAID
REJECTED, CANCELLED = WithdrawalStatus.REJECTED, WithdrawalStatus.CANCELLED


@pytest.fixture
def book() -> Book:
    book = Book()
    book.credit(50, Bucket.PROMO)
    book.credit(30, Bucket.GIFT_CARD)
    book.credit(100)
    return book


def ask(book: Book, amount: int) -> Withdrawal:
    return book.do(lambda draft: request(draft, amount, note="To my bank", actor=STAFF))


def decide(book: Book, withdrawal: Withdrawal, status: WithdrawalStatus) -> Withdrawal:
    current = book.rows[withdrawal.id]
    assert isinstance(current, Withdrawal)
    if status is PAID:
        return book.do(lambda draft: pay(draft, current, payout_reference="SEPA-1", note=None, actor=STAFF))
    return book.do(lambda draft: give_back(draft, current, status, note="no", actor=STAFF))


def test_a_request_holds_withdrawable_value_only(book: Book) -> None:
    assert book.draft().withdrawable_minor() == 100
    with pytest.raises(InsufficientFunds) as refused:
        ask(book, 101)
    assert refused.value.available_minor == 100
    assert "withdrawn" in refused.value.message
    withdrawal = ask(book, 60)
    assert (withdrawal.status, withdrawal.amount_minor, withdrawal.currency) == (REQUESTED, 60, "USD")
    assert book.lots() == [(Bucket.PROMO, 50, 0), (Bucket.GIFT_CARD, 30, 0), (Bucket.CASH, 40, 60)]
    assert book.draft().withdrawable_minor() == 40


def test_what_is_owed_is_not_withdrawn() -> None:
    book = Book()
    book.credit(100)
    book.do(lambda draft: request(draft, 100, note="", actor=STAFF))
    book.debit(30, limit=30)
    book.credit(20)
    assert book.state.wallet.available_minor() == -10
    assert book.draft().withdrawable_minor() == 0
    with pytest.raises(InsufficientFunds):
        ask(book, 1)


def test_paid_money_leaves_the_wallet(book: Book) -> None:
    withdrawal = decide(book, ask(book, 60), PAID)
    posted = book.history[-1]
    assert (posted.kind, posted.counter_account) == (TransactionKind.WITHDRAWAL, CounterAccount.PAYOUTS)
    assert (posted.amount_minor, posted.hold_id) == (-60, withdrawal.hold_id)
    assert (withdrawal.transaction_id, withdrawal.payout_reference) == (posted.id, "SEPA-1")
    assert (withdrawal.decided_by, withdrawal.decided_at) == (STAFF, book.now)
    assert withdrawal.reference in posted.note
    assert book.state.holds[withdrawal.hold_id].status is HoldStatus.CAPTURED
    assert book.posted == 120


@pytest.mark.parametrize("status", [REJECTED, CANCELLED])
def test_money_that_is_not_paid_comes_back(book: Book, status: WithdrawalStatus) -> None:
    before = book.lots()
    withdrawal = decide(book, ask(book, 60), status)
    assert (withdrawal.status, withdrawal.decision_note, withdrawal.transaction_id) == (status, "no", None)
    assert book.lots() == before
    assert book.state.holds[withdrawal.hold_id].status is HoldStatus.RELEASED
    assert len(book.history) == 3


@pytest.mark.parametrize("first", [PAID, REJECTED, CANCELLED])
@pytest.mark.parametrize("second", [PAID, REJECTED, CANCELLED])
def test_a_withdrawal_is_decided_once(book: Book, first: WithdrawalStatus, second: WithdrawalStatus) -> None:
    withdrawal = decide(book, ask(book, 60), first)
    before = book.snapshot()
    with pytest.raises(WithdrawalNotOpen) as refused:
        decide(book, withdrawal, second)
    assert first.lower() in refused.value.message
    assert book.snapshot() == before


def test_a_frozen_wallet_pays_nothing_out_and_takes_back(book: Book) -> None:
    first, second = ask(book, 10), ask(book, 20)
    book.do(lambda draft: freeze(draft, note="Chargeback 8812", actor=STAFF))
    with pytest.raises(WalletFrozen):
        ask(book, 1)
    with pytest.raises(WalletFrozen):
        decide(book, first, PAID)
    assert decide(book, first, REJECTED).status is REJECTED
    assert decide(book, second, CANCELLED).status is CANCELLED
    assert book.state.wallet.held_minor == 0
