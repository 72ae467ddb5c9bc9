"""Top-ups: credited as the store kept them, brought to the newest telling, and never more than was paid."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from app.domain.access import Actor, ActorKind
from app.domain.bucket import Bucket
from app.domain.cashback.rule import TriggerKind
from app.domain.errors import CurrencyMismatch, FieldInvalid, TopUpOfAnother
from app.domain.ledger import COUNTER_ACCOUNTS, CounterAccount, Draft, TransactionKind
from app.domain.top_up import TopUp, TopUpTold, record
from tests.domain.book import PURCHASE, START, Book

STORE = Actor(ActorKind.SERVICE, "store")
TOLD = TopUpTold("woocommerce", "1050", 10_000, "USD", payment_method="card")


def tell(book: Book, **changes: Any) -> TopUp:
    """Tell of the top-up as it is by then."""
    told = replace(TOLD, **changes).checked()
    top_up: TopUp = book.do(lambda draft: record(draft, told, STORE))
    book.rows.put(top_up)
    return top_up


def at(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


def test_what_was_paid_is_cash_from_the_customer() -> None:
    book = Book()
    top_up = tell(book)
    (posted,) = book.history
    assert (posted.kind, posted.amount_minor) == (TransactionKind.TOP_UP, 10_000)
    assert COUNTER_ACCOUNTS[posted.kind] is CounterAccount.FUNDING
    assert [a.bucket for a in posted.allocations] == [Bucket.CASH]
    assert (top_up.credited_minor, top_up.shortfall_minor) == (10_000, 0)
    assert top_up.transaction_id == posted.id


@pytest.mark.parametrize(
    ("paid", "face", "credited"),
    [
        (8_000, 10_000, 8_000),
        (10_000, 10_000, 10_000),
        (10_300, 10_000, 10_000),
        (0, 10_000, 0),
        (500, None, 500),
    ],
)
def test_a_coupon_makes_no_money(paid: int, face: int | None, credited: int) -> None:
    book = Book()
    top_up = tell(book, paid_minor=paid, face_value_minor=face)
    assert (top_up.credited_minor, book.state.wallet.posted_minor) == (credited, credited)
    assert (top_up.transaction_id is None) is (credited == 0)


def test_told_again_it_is_credited_once() -> None:
    book = Book()
    first = tell(book)
    assert tell(book) == first
    tell(book, modified_at=at(1))
    assert book.state.wallet.posted_minor == 10_000
    assert len(book.history) == 1


def test_what_is_paid_back_is_taken_back() -> None:
    book = Book()
    tell(book, modified_at=at(0))
    top_up = tell(book, paid_minor=4_000, modified_at=at(1))
    credit, back = book.history
    assert (back.amount_minor, back.corrects_id, back.kind) == (-6_000, credit.id, TransactionKind.TOP_UP)
    assert (top_up.credited_minor, top_up.shortfall_minor) == (4_000, 0)


def test_what_was_spent_is_written_down_as_short() -> None:
    book = Book()
    tell(book, modified_at=at(0))
    book.do(lambda draft: draft.debit(7_000, PURCHASE))
    top_up = tell(book, paid_minor=0, modified_at=at(1))
    assert (top_up.credited_minor, top_up.shortfall_minor) == (7_000, 7_000)
    assert book.state.wallet.posted_minor == 0
    # Money that comes later is not taken for it by the same message; a newer one may say otherwise.
    book.do(lambda draft: draft.credit(9_000, PURCHASE))
    assert tell(book, paid_minor=0, modified_at=at(1)).shortfall_minor == 7_000
    again = tell(book, modified_at=at(2))
    assert (again.credited_minor, again.shortfall_minor) == (10_000, 0)
    assert book.state.wallet.posted_minor == 12_000


def test_other_value_is_not_taken_for_it() -> None:
    book = Book()
    tell(book, modified_at=at(0))
    book.do(lambda draft: draft.debit(10_000, PURCHASE))
    book.do(lambda draft: draft.credit(5_000, PURCHASE, bucket=Bucket.PROMO))
    assert tell(book, paid_minor=0, modified_at=at(1)).shortfall_minor == 10_000
    assert book.state.wallet.posted_minor == 5_000


def test_the_newest_telling_counts_in_whichever_order_they_come() -> None:
    book = Book()
    tell(book, paid_minor=4_000, modified_at=at(2))
    assert tell(book, paid_minor=10_000, modified_at=at(1)).credited_minor == 4_000
    # One that says nothing new still makes older ones old.
    tell(book, paid_minor=4_000, modified_at=at(4))
    assert tell(book, paid_minor=1_000, modified_at=at(3)).credited_minor == 4_000


def test_a_face_value_that_is_left_out_stays() -> None:
    book = Book()
    tell(book, paid_minor=8_000, face_value_minor=9_000, modified_at=at(0))
    assert tell(book, paid_minor=20_000, modified_at=at(1)).credited_minor == 9_000


def test_the_occasion_is_of_what_was_kept() -> None:
    occasion = tell(Book(), paid_minor=8_000, face_value_minor=10_000).occasion()
    assert (occasion.trigger, occasion.amount_minor) == (TriggerKind.TOP_UP, 8_000)
    assert (occasion.payment_method, occasion.at) == ("card", START)


def test_refusals() -> None:
    book = Book()
    with pytest.raises(CurrencyMismatch):
        tell(book, currency="EUR")
    for name in ("modified_at", "paid_at"):
        with pytest.raises(FieldInvalid, match="future"):
            tell(book, **{name: START + timedelta(days=2)})
    top_up = tell(book)
    other = Book()
    other.rows.put(replace(top_up, wallet_id=top_up.id))
    with pytest.raises(TopUpOfAnother):
        tell(other)
    assert (len(book.history), other.history) == (1, [])


@given(
    st.lists(
        st.tuples(
            st.integers(0, 20), st.integers(0, 500), st.none() | st.integers(0, 500), st.integers(0, 300)
        ),
        max_size=12,
    )
)
def test_the_wallet_never_gets_more_than_was_kept(steps: list[tuple[int, int, int | None, int]]) -> None:
    """Whatever is told in whichever order, and whatever is spent between."""
    book, spent = Book(), 0
    for minute, paid, face, spending in steps:
        top_up = tell(book, paid_minor=paid, face_value_minor=face, modified_at=at(minute))
        assert top_up.credited_minor - top_up.shortfall_minor == top_up.kept_minor <= top_up.paid_minor
        assert book.state.wallet.posted_minor == top_up.credited_minor - spent
        part = min(spending, book.state.wallet.posted_minor)
        if part:

            def spend(draft: Draft, amount: int = part) -> object:
                return draft.debit(amount, PURCHASE)

            book.do(spend)
            spent += part
