"""Staff adjust a balance."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain.adjustment import Adjustment, AdjustmentReason, Direction, adjust
from app.domain.bucket import Bucket
from app.domain.errors import (
    CorrectionNotPossible,
    ErrorCode,
    ExpiryInPast,
    ExpiryOnDebit,
    InsufficientFunds,
    NotFound,
)
from app.domain.ledger import CounterAccount, Standing, Transaction, TransactionKind
from app.domain.wallet import freeze
from tests.domain.book import STAFF, START, Book, taken, with_limit

CREDIT = Adjustment(Direction.CREDIT, 100, AdjustmentReason.GOODWILL, "Parcel 1042 arrived broken", STAFF)
DEBIT = replace(CREDIT, direction=Direction.DEBIT)
SOON = START + timedelta(hours=1)


def test_a_credit_explains_itself() -> None:
    book = Book()
    posted = book.do(lambda draft: adjust(draft, replace(CREDIT, expires_at=SOON)))
    assert (posted.kind, posted.counter_account) == (TransactionKind.ADJUSTMENT, CounterAccount.ADJUSTMENTS)
    assert (posted.reason, posted.note, posted.actor) == ("GOODWILL", CREDIT.note, STAFF)
    assert (posted.amount_minor, posted.balance_after_minor, posted.currency) == (100, 100, "USD")
    assert book.lot(1).bucket is Bucket.CASH
    assert book.lot(1).expires_at == SOON


@pytest.mark.parametrize("bucket", list(Bucket))
def test_a_credit_goes_where_it_is_sent(bucket: Bucket) -> None:
    book = Book()
    book.do(lambda draft: adjust(draft, replace(CREDIT, bucket=bucket)))
    assert book.lots() == [(bucket, 100, 0)]


@pytest.mark.parametrize("delay", [timedelta(0), timedelta(microseconds=-1), timedelta(days=-400)])
def test_a_credit_expires_in_the_future(delay: timedelta) -> None:
    with pytest.raises(ExpiryInPast):
        Book().do(lambda draft: adjust(draft, replace(CREDIT, expires_at=START + delay)))


def test_a_debit_does_not_expire() -> None:
    book = Book()
    book.credit(100)
    with pytest.raises(ExpiryOnDebit):
        book.do(lambda draft: adjust(draft, replace(DEBIT, expires_at=SOON)))


@pytest.mark.parametrize(
    ("bucket", "limit", "available"),
    [
        (None, 0, 60),
        (None, 25, 85),
        (Bucket.CASH, 0, 30),
        (Bucket.CASH, 25, 55),
        (Bucket.PROMO, 25, 20),
        (Bucket.GIFT_CARD, 25, 10),
    ],
)
def test_a_debit_takes_what_there_is_and_only_cash_below_zero(
    bucket: Bucket | None, limit: int, available: int
) -> None:
    book = Book(limit=limit)
    book.credit(20, Bucket.PROMO)
    book.credit(10, Bucket.GIFT_CARD)
    book.credit(30, Bucket.CASH)
    with pytest.raises(InsufficientFunds) as refused:
        book.do(lambda draft: adjust(draft, replace(DEBIT, bucket=bucket, amount_minor=available + 1)))
    assert refused.value.available_minor == available
    assert refused.value.code is ErrorCode.INSUFFICIENT_FUNDS
    posted = book.do(lambda draft: adjust(draft, replace(DEBIT, bucket=bucket, amount_minor=available)))
    assert posted.balance_after_minor == 60 - available
    overdrawn = sum(-amount for name, amount in taken(posted) if name == "OVERDRAFT")
    assert overdrawn == book.state.wallet.overdraft_minor


def test_a_limit_that_is_switched_off_does_not_count() -> None:
    book = Book()
    book.settings = replace(with_limit(50), negative_balance_enabled=False)
    with pytest.raises(InsufficientFunds):
        book.do(lambda draft: adjust(draft, DEBIT))


def correct(book: Book, wrong: Transaction, change: int) -> Transaction:
    """Correct a transaction by so much, as the writer has it decided."""
    corrections = [t.amount_minor for t in book.history if t.corrects_id == wrong.id]
    book.state.correctable = {wrong.id: Standing(wrong.wallet_id, wrong.amount_minor, sum(corrections))}
    asked = replace(
        CREDIT if change > 0 else DEBIT,
        amount_minor=abs(change),
        reason=AdjustmentReason.CORRECTION,
        corrects_id=wrong.id,
    )
    return book.do(lambda draft: adjust(draft, asked))


def test_a_correction_names_a_transaction_of_the_same_wallet() -> None:
    book = Book()
    wrong = book.credit(100)
    named = book.mint.id()
    right = replace(DEBIT, reason=AdjustmentReason.CORRECTION, corrects_id=named)
    with pytest.raises(NotFound, match="no such transaction"):
        book.do(lambda draft: adjust(draft, right))
    book.state.correctable = {named: Standing(book.mint.id(), 100, 0)}
    with pytest.raises(CorrectionNotPossible, match="another wallet"):
        book.do(lambda draft: adjust(draft, right))
    posted = correct(book, wrong, -100)
    assert posted.corrects_id == wrong.id
    assert book.posted == 0


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("wrong", "corrections", "refused"),
    [
        (100, [-100], -1),
        (100, [-60], -41),
        (100, [-60, -40], -1),
        # What was given back by mistake can be taken back again.
        (100, [-60, 30], -71),
        # Too little was given: there is no end to what may be added, and all of it can be taken back.
        (100, [500], -601),
    ],
)
def test_a_mistake_is_taken_back_once(sign: int, wrong: int, corrections: list[int], refused: int) -> None:
    book = Book()
    book.credit(10_000)
    mistake = book.do(lambda draft: adjust(draft, replace(CREDIT if sign > 0 else DEBIT, amount_minor=wrong)))
    for change in corrections:
        correct(book, mistake, sign * change)
    with pytest.raises(CorrectionNotPossible, match=r"leave `corrects` out|without `corrects`"):
        correct(book, mistake, sign * refused)
    if refused < -1:
        correct(book, mistake, sign * (refused + 1))
    assert book.posted == 10_000 + sign * (wrong + sum(corrections) + (refused + 1))


def test_two_corrections_of_one_batch_know_of_each_other() -> None:
    book = Book()
    wrong = book.credit(100)
    correct(book, wrong, -60)
    asked = replace(DEBIT, amount_minor=60, corrects_id=wrong.id)
    # The state is the batch's, nothing was read anew.
    with pytest.raises(CorrectionNotPossible, match="40"):
        book.do(lambda draft: adjust(draft, asked))


def test_staff_adjust_a_frozen_wallet_too() -> None:
    book = Book()
    book.do(lambda draft: freeze(draft, note="Chargeback 8812", actor=STAFF))
    book.do(lambda draft: adjust(draft, CREDIT))
    book.do(lambda draft: adjust(draft, DEBIT))
    assert book.posted == 0
