"""Holds: reserved value goes out by capture or back to the very lots that it came from."""

import pytest
from hypothesis import given, strategies as st

from app.domain.bucket import Bucket
from app.domain.errors import HoldNotOpen, InsufficientFunds, NotFound
from app.domain.hold import Hold, HoldPurpose, HoldStatus
from app.domain.ledger import Transaction
from tests.domain.book import PURCHASE, Book, taken

CASH, PROMO, GIFT_CARD = Bucket.CASH, Bucket.PROMO, Bucket.GIFT_CARD


def reserve(book: Book, amount: int, *buckets: Bucket) -> Hold:
    chosen = frozenset(buckets or Bucket)
    return book.do(lambda draft: draft.reserve(amount, HoldPurpose.PAYMENT, buckets=chosen))


def capture(book: Book, hold: Hold, amount: int) -> Transaction:
    return book.do(lambda draft: draft.capture(hold.id, amount, PURCHASE))


def release(book: Book, hold: Hold, status: HoldStatus = HoldStatus.RELEASED) -> Hold:
    return book.do(lambda draft: draft.release(hold.id, status))


@pytest.fixture
def book() -> Book:
    book = Book()
    book.credit(10, PROMO, hours=1)
    book.credit(20, GIFT_CARD)
    book.credit(30, CASH)
    return book


def test_a_hold_takes_its_lots_in_drawing_order(book: Book) -> None:
    hold = reserve(book, 35)
    assert book.lots() == [(PROMO, 0, 10), (GIFT_CARD, 0, 20), (CASH, 25, 5)]
    wallet = book.state.wallet
    assert (wallet.posted_minor, wallet.held_minor, wallet.available_minor()) == (60, 35, 25)
    assert hold.held_minor == 35
    assert book.history[-1].sequence == 3, "a hold posts nothing"
    assert wallet.version == 4


def test_held_value_is_not_spent_twice(book: Book) -> None:
    reserve(book, 35)
    for attempt in (lambda: book.debit(26), lambda: reserve(book, 26)):
        with pytest.raises(InsufficientFunds) as refused:
            attempt()
        assert refused.value.available_minor == 25
    book.debit(25)
    assert book.lots() == [(PROMO, 0, 10), (GIFT_CARD, 0, 20), (CASH, 0, 5)]


def test_a_capture_of_all_spends_what_was_reserved(book: Book) -> None:
    hold = reserve(book, 35)
    assert taken(capture(book, hold, 35)) == [("PROMO", -10), ("GIFT_CARD", -20), ("CASH", -5)]
    assert book.state.holds[hold.id].status is HoldStatus.CAPTURED
    assert book.state.wallet.held_minor == 0
    assert book.posted == 25


def test_a_capture_in_several_parts(book: Book) -> None:
    hold = reserve(book, 35)
    assert taken(capture(book, hold, 4)) == [("PROMO", -4)]
    assert taken(capture(book, hold, 10)) == [("PROMO", -6), ("GIFT_CARD", -4)]
    now = book.state.holds[hold.id]
    assert (now.status, now.captured_minor, now.held_minor) == (HoldStatus.OPEN, 14, 21)
    assert taken(capture(book, hold, 21)) == [("GIFT_CARD", -16), ("CASH", -5)]
    assert book.state.holds[hold.id].status is HoldStatus.CAPTURED


def test_a_partial_capture_and_the_release_of_the_rest(book: Book) -> None:
    hold = reserve(book, 35)
    capture(book, hold, 12)
    released = release(book, hold)
    assert (released.status, released.captured_minor, released.released_minor) == (
        HoldStatus.CAPTURED,
        12,
        23,
    )
    # Promotional value stays promotional on its way back.
    assert book.lots() == [(GIFT_CARD, 18, 0), (CASH, 30, 0)]


@pytest.mark.parametrize("status", [HoldStatus.RELEASED, HoldStatus.EXPIRED])
def test_a_release_gives_back_to_the_same_lots(book: Book, status: HoldStatus) -> None:
    before = book.lots()
    hold = reserve(book, 35)
    assert release(book, hold, status).status is status
    assert book.lots() == before
    assert book.state.wallet.held_minor == 0


def test_more_than_is_held_is_never_captured(book: Book) -> None:
    hold = reserve(book, 10)
    capture(book, hold, 6)
    with pytest.raises(AssertionError):
        capture(book, hold, 5)
    release(book, hold)
    with pytest.raises(AssertionError):
        capture(book, hold, 1)


def test_a_hold_is_captured_after_its_lot_expired(book: Book) -> None:
    hold = reserve(book, 10, PROMO)
    book.after(hours=2)
    assert taken(capture(book, hold, 10)) == [("PROMO", -10)]
    assert [t.kind for t in book.history[3:]] == ["PURCHASE"]


def test_what_comes_back_to_an_expired_lot_has_a_grace_period(book: Book) -> None:
    hold = reserve(book, 12)
    book.after(hours=2)
    release(book, hold)
    book.after(days=6)
    book.do(lambda draft: draft.debit(4, PURCHASE))
    assert book.lots()[0] == (PROMO, 6, 0)
    book.after(days=1)
    with pytest.raises(InsufficientFunds):
        book.do(lambda draft: draft.debit(51, PURCHASE), expire=False)
    book.do(lambda draft: None)
    assert book.history[-1].amount_minor == -6
    assert book.lots() == [(GIFT_CARD, 20, 0), (CASH, 30, 0)]


def test_a_hold_can_be_limited_to_buckets(book: Book) -> None:
    with pytest.raises(InsufficientFunds) as refused:
        reserve(book, 31, CASH)
    assert refused.value.available_minor == 30
    reserve(book, 30, CASH)
    assert book.lots() == [(PROMO, 10, 0), (GIFT_CARD, 20, 0), (CASH, 0, 30)]


def test_several_holds_on_one_lot_keep_apart() -> None:
    book = Book()
    book.credit(30)
    first, second = reserve(book, 10), reserve(book, 15)
    capture(book, first, 3)
    release(book, second)
    assert book.lots() == [(CASH, 20, 7)]
    release(book, first)
    assert book.lots() == [(CASH, 27, 0)]


def test_a_hold_that_was_not_loaded_is_not_found(book: Book) -> None:
    with pytest.raises(NotFound):
        book.do(lambda draft: draft.hold(draft.mint.id()))


def test_only_an_open_hold_is_open(book: Book) -> None:
    hold = reserve(book, 10)
    book.state.holds[hold.id].require_open()
    release(book, hold)
    with pytest.raises(HoldNotOpen):
        book.state.holds[hold.id].require_open()


@given(st.lists(st.tuples(st.sampled_from("rcv"), st.integers(1, 40), st.integers(0, 5)), max_size=20))
def test_nothing_is_lost_or_made_between_holds(steps: list[tuple[str, int, int]]) -> None:
    book = Book()
    for bucket in Bucket:
        book.credit(40, bucket)
    holds: list[Hold] = []
    captured = 0
    for kind, amount, pick in steps:
        open_holds = [h for h in holds if book.state.holds[h.id].status is HoldStatus.OPEN]
        if kind == "r" or not open_holds:
            if amount <= book.state.wallet.available_minor():
                holds.append(reserve(book, amount))
            continue
        hold = open_holds[pick % len(open_holds)]
        held = book.state.holds[hold.id].held_minor
        if kind == "c":
            capture(book, hold, min(amount, held))
            captured += min(amount, held)
        else:
            release(book, hold)
    wallet = book.state.wallet
    assert wallet.posted_minor == 120 - captured
    assert wallet.held_minor == sum(hold.held_minor for hold in book.state.holds.values())
    for hold in holds:
        parts = book.state.reservations[hold.id]
        assert sum(part.held_minor for part in parts) == book.state.holds[hold.id].held_minor
