"""Credits, debits, overdraft, expiry and the hash chain, on one wallet without a database."""

import itertools
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, strategies as st

from app.domain.access import Actor, ActorKind
from app.domain.bucket import Bucket
from app.domain.errors import BalanceTooLarge, InsufficientFunds
from app.domain.hold import HoldPurpose
from app.domain.ledger import (
    COUNTER_ACCOUNTS,
    GENESIS_HASH,
    Allocation,
    CounterAccount,
    Draft,
    Lot,
    Transaction,
    TransactionKind,
    drawing_order,
    transaction_hash,
)
from app.domain.money import AMOUNT_MAX_MINOR, BALANCE_MAX_MINOR
from tests.domain.book import GIFT, PURCHASE, START, Book, taken

CASH, PROMO, GIFT_CARD = Bucket.CASH, Bucket.PROMO, Bucket.GIFT_CARD


# --- drawing order ------------------------------------------------------------------------------------------


def test_soonest_expiry_then_bucket_then_oldest() -> None:
    soon, late = START + timedelta(hours=1), START + timedelta(hours=2)
    expected = [
        (soon, PROMO, 7), (soon, GIFT_CARD, 6), (soon, CASH, 5), (late, PROMO, 9), (late, CASH, 1),
        (None, PROMO, 4), (None, PROMO, 8), (None, GIFT_CARD, 2), (None, CASH, 3), (None, CASH, 10),
    ]  # fmt: skip
    lots = [
        Lot(UUID(int=number), UUID(int=0), bucket, number, 1, 1, 0, expires_at, START)
        for expires_at, bucket, number in expected
    ]
    for shuffled in (lots[::-1], lots[5:] + lots[:5], lots[::2] + lots[1::2]):
        ordered = sorted(shuffled, key=drawing_order)
        assert [(lot.expires_at, lot.bucket, lot.sequence) for lot in ordered] == expected


def test_a_debit_draws_in_order() -> None:
    book = Book()
    book.credit(10, CASH)
    book.credit(10, PROMO)
    book.credit(10, GIFT_CARD)
    book.credit(10, CASH, hours=5)
    book.credit(10, PROMO, hours=9)
    assert taken(book.debit(45)) == [
        ("CASH", -10),
        ("PROMO", -10),
        ("PROMO", -10),
        ("GIFT_CARD", -10),
        ("CASH", -5),
    ]
    assert book.lots() == [(CASH, 5, 0)]


def test_a_debit_limited_to_buckets_leaves_the_others() -> None:
    book = Book()
    book.credit(10, PROMO)
    book.credit(10, CASH)
    assert taken(book.debit(8, CASH)) == [("CASH", -8)]
    with pytest.raises(InsufficientFunds) as refused:
        book.debit(5, CASH)
    assert refused.value.available_minor == 2
    assert book.lots() == [(PROMO, 10, 0), (CASH, 2, 0)]


def test_one_draft_may_credit_and_debit() -> None:
    book = Book()
    book.credit(5, CASH)

    def both(draft: Draft) -> Transaction:
        draft.credit(10, GIFT, bucket=PROMO)
        return draft.debit(12, PURCHASE)

    assert taken(book.do(both)) == [("PROMO", -10), ("CASH", -2)]
    assert book.lots() == [(CASH, 3, 0)]


@given(
    st.lists(
        st.tuples(st.integers(1, 50), st.sampled_from(Bucket), st.none() | st.integers(1, 9)),
        min_size=1,
        max_size=8,
    ),
    st.integers(1, 400),
)
def test_a_debit_takes_all_of_a_lot_before_the_next(
    brought: list[tuple[int, Bucket, int | None]], amount: int
) -> None:
    book = Book()
    for credited, bucket, hours in brought:
        book.credit(credited, bucket, hours=hours)
    before = list(book.state.lots)
    total = sum(credited for credited, *_ in brought)
    if amount > total:
        with pytest.raises(InsufficientFunds) as refused:
            book.debit(amount)
        assert refused.value.available_minor == total
        return
    debit = book.debit(amount)
    assert [part.lot_id for part in debit.allocations] == [lot.id for lot in before[: len(debit.allocations)]]
    for part, lot in list(zip(debit.allocations, before, strict=False))[:-1]:
        assert -part.amount_minor == lot.remaining_minor


# --- amounts that nobody may pass ---------------------------------------------------------------------------


@pytest.mark.parametrize("amount", [0, -1, -100])
def test_amounts_are_positive_whoever_calls(amount: int) -> None:
    """The doors check it too; a negative debit would be money out of nothing."""
    book = Book(limit=1000)
    book.credit(100)
    hold = book.do(lambda draft: draft.reserve(10, HoldPurpose.PAYMENT))
    with pytest.raises(AssertionError):
        book.credit(amount)
    with pytest.raises(AssertionError):
        book.debit(amount, limit=1000)
    with pytest.raises(AssertionError):
        book.do(lambda draft: draft.reserve(amount, HoldPurpose.PAYMENT))
    with pytest.raises(AssertionError):
        book.do(lambda draft: draft.capture(hold.id, amount, PURCHASE))
    assert book.posted == 100


def test_a_balance_has_a_largest() -> None:
    book = Book()
    for _ in range(9):
        book.credit(AMOUNT_MAX_MINOR)
    room = BALANCE_MAX_MINOR - book.posted
    with pytest.raises(BalanceTooLarge):
        book.credit(room + 1)
    book.credit(room)
    assert book.posted == BALANCE_MAX_MINOR
    with pytest.raises(BalanceTooLarge):
        book.credit(1)


# --- overdraft ----------------------------------------------------------------------------------------------


def test_a_debit_beyond_the_lots_is_overdraft_up_to_the_limit() -> None:
    book = Book()
    book.credit(30)
    with pytest.raises(InsufficientFunds) as refused:
        book.debit(81, limit=50)
    assert refused.value.available_minor == 80
    assert taken(book.debit(60, limit=50)) == [("CASH", -30), ("OVERDRAFT", -30)]
    assert (book.posted, book.state.wallet.overdraft_minor) == (-30, 30)
    with pytest.raises(InsufficientFunds) as refused:
        book.debit(21, limit=50)
    assert refused.value.available_minor == 20
    assert taken(book.debit(20, limit=50)) == [("OVERDRAFT", -20)]
    with pytest.raises(InsufficientFunds):
        book.debit(1, limit=50)


def test_the_next_credits_settle_the_overdraft_first() -> None:
    book = Book()
    book.debit(50, limit=50)
    assert taken(book.credit(20, PROMO)) == [("OVERDRAFT", 20)]
    assert book.lots() == []
    assert taken(book.credit(50, PROMO)) == [("OVERDRAFT", 30), ("PROMO", 20)]
    assert book.lots() == [(PROMO, 20, 0)]
    assert book.lot(3).original_minor == 20


def test_an_overdraft_counts_against_every_lot() -> None:
    book = Book()
    book.credit(40, PROMO)
    book.debit(30, CASH, limit=30)
    assert book.posted == 10
    with pytest.raises(InsufficientFunds) as refused:
        book.debit(11)
    assert refused.value.available_minor == 10
    book.credit(60, CASH)
    assert book.draft().withdrawable_minor() == 30


def test_a_limit_that_was_lowered_takes_nothing_back_and_gives_nothing_more() -> None:
    book = Book()
    book.debit(50, limit=50)
    for limit in (10, 0):
        with pytest.raises(InsufficientFunds) as refused:
            book.debit(1, limit=limit)
        assert refused.value.available_minor == 0


def test_an_expiry_may_leave_the_overdraft_alone() -> None:
    book = Book()
    book.credit(40, PROMO, hours=1)
    book.debit(30, CASH, limit=30)
    book.after(hours=1).do(lambda draft: None)
    assert book.posted == -30


def test_holds_never_draw_on_the_limit() -> None:
    book = Book(limit=100)
    book.credit(10)
    with pytest.raises(InsufficientFunds):
        book.do(lambda draft: draft.reserve(11, HoldPurpose.PAYMENT))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("credit", "debit")),
            st.integers(1, 60),
            st.sampled_from((None, *Bucket)),
            st.sampled_from((0, 20, 50)),
        ),
        max_size=25,
    )
)
def test_what_a_refusal_says_is_available_is_exactly_that(
    steps: list[tuple[str, int, Bucket | None, int]],
) -> None:
    book = Book()
    for kind, amount, bucket, limit in steps:
        chosen = (bucket,) if bucket else tuple(Bucket)
        if kind == "credit":
            book.credit(amount, bucket or CASH)
            continue
        try:
            book.debit(amount, *chosen, limit=limit)
        except InsufficientFunds as refused:
            available = refused.available_minor
            assert 0 <= available < amount
            for wanted in (available + 1, amount):
                with pytest.raises(InsufficientFunds):
                    book.debit(wanted, *chosen, limit=limit)
            if available:
                book.debit(available, *chosen, limit=limit)
        wallet = book.state.wallet
        assert wallet.available_minor() >= -wallet.overdraft_minor
        assert wallet.overdraft_minor <= 50


# --- expiry -------------------------------------------------------------------------------------------------


def test_what_is_due_expires_lot_by_lot() -> None:
    book = Book()
    book.credit(10, PROMO, hours=1)
    book.credit(20, GIFT_CARD, hours=2)
    book.credit(30, CASH, hours=3)
    book.credit(40, CASH)
    book.debit(4)
    posted = book.after(hours=2).do(Draft.expire_due, expire=False)
    assert [(t.kind, t.amount_minor, t.counter_account) for t in posted] == [
        (TransactionKind.EXPIRY, -6, CounterAccount.BREAKAGE),
        (TransactionKind.EXPIRY, -20, CounterAccount.BREAKAGE),
    ]
    assert [t.note for t in posted] == [
        "Promo credit of transaction 1 expired",
        "Gift card credit of transaction 2 expired",
    ]
    assert posted[0].actor.kind is ActorKind.SYSTEM
    assert book.posted == 70
    assert book.do(Draft.expire_due, expire=False) == []


def test_expiry_is_at_its_very_instant() -> None:
    book = Book()
    book.credit(10, PROMO, hours=1)
    book.now = START + timedelta(hours=1, microseconds=-1)
    assert book.do(Draft.expire_due, expire=False) == []
    assert book.draft().withdrawable_minor() == 0
    book.now = START + timedelta(hours=1)
    assert len(book.do(Draft.expire_due, expire=False)) == 1


def test_what_has_expired_is_not_spent_even_before_it_is_posted() -> None:
    book = Book()
    book.credit(10, PROMO, hours=1)
    book.credit(10, CASH)
    book.after(hours=1)
    with pytest.raises(InsufficientFunds) as refused:
        book.do(lambda draft: draft.debit(11, PURCHASE), expire=False)
    assert refused.value.available_minor == 10


def test_held_value_waits_for_its_hold_to_expire() -> None:
    book = Book()
    book.credit(10, PROMO, hours=1)
    hold = book.do(lambda draft: draft.reserve(6, HoldPurpose.PAYMENT))
    posted = book.after(hours=1).do(Draft.expire_due, expire=False)
    assert [t.amount_minor for t in posted] == [-4]
    book.do(lambda draft: draft.release(hold.id))
    assert book.lots() == [(PROMO, 6, 0)]
    book.after(days=7)
    assert [t.amount_minor for t in book.do(Draft.expire_due, expire=False)] == [-6]
    assert book.posted == 0


# --- hash chain ---------------------------------------------------------------------------------------------

T = Transaction(
    id=UUID(int=1), wallet_id=UUID(int=2), sequence=3, reference="TX-1", kind=TransactionKind.PURCHASE,
    counter_account=CounterAccount.SALES, amount_minor=-5, balance_after_minor=10, currency="USD", reason="OTHER",
    note="Order 1042", actor=Actor(ActorKind.STAFF, "s-1"), corrects_id=UUID(int=4), hold_id=UUID(int=5),
    created_at=START, allocations=(Allocation(UUID(int=6), "CASH", -3), Allocation(None, "OVERDRAFT", -2)),
)  # fmt: skip

CHANGES: dict[str, list[Any]] = {
    "id": [UUID(int=9)],
    "wallet_id": [UUID(int=9)],
    "sequence": [4, 30],
    "reference": ["TX-2", ""],
    "kind": [TransactionKind.FEE],
    "counter_account": [CounterAccount.FEES],
    "amount_minor": [5, -50, 0],
    "balance_after_minor": [-10, 1],
    "currency": ["EUR"],
    "reason": [None, "GOODWILL"],
    "note": ["", "Order 1043", "Order 1042 "],
    "actor": [Actor(ActorKind.SERVICE, "s-1"), Actor(ActorKind.STAFF, "s-2")],
    "corrects_id": [None, UUID(int=9)],
    "hold_id": [None, UUID(int=9)],
    "order_id": [UUID(int=9), UUID(int=5)],
    "created_at": [START + timedelta(microseconds=1), START - timedelta(days=1)],
    "allocations": [
        (),
        T.allocations[:1],
        T.allocations[::-1],
        (Allocation(UUID(int=6), "PROMO", -3), T.allocations[1]),
        (Allocation(UUID(int=7), "CASH", -3), T.allocations[1]),
        (Allocation(UUID(int=6), "CASH", -4), T.allocations[1]),
        (Allocation(UUID(int=6), "CASH", -3, START), T.allocations[1]),
        (Allocation(UUID(int=6), "CASH", -3, START + timedelta(microseconds=1)), T.allocations[1]),
    ],
}


def test_every_field_is_covered_by_the_hash() -> None:
    assert set(CHANGES) | {"hash"} == {field.name for field in fields(Transaction)}
    hashes = {transaction_hash(GENESIS_HASH, T), transaction_hash(b"\x01" + bytes(31), T)}
    count = 2
    for name, values in CHANGES.items():
        for value in values:
            hashes.add(transaction_hash(GENESIS_HASH, replace(T, **{name: value})))
            count += 1
    assert len(hashes) == count
    # Ids that change places don't go unnoticed either.
    assert (
        transaction_hash(GENESIS_HASH, replace(T, corrects_id=T.hold_id, hold_id=T.corrects_id)) not in hashes
    )


def test_the_hash_is_of_the_instant_not_of_its_zone() -> None:
    from_tokyo = T.created_at.astimezone(datetime.fromisoformat("2026-01-01T00:00:00+09:00").tzinfo)
    assert from_tokyo.tzinfo is not UTC
    assert transaction_hash(GENESIS_HASH, replace(T, created_at=from_tokyo)) == transaction_hash(
        GENESIS_HASH, T
    )


texts = st.text(alphabet=st.sampled_from("01:,a\u00e9"), max_size=6)


@given(st.tuples(texts, texts, texts, texts), st.tuples(texts, texts, texts, texts))
def test_no_two_contents_share_a_hash(
    one: tuple[str, str, str, str], other: tuple[str, str, str, str]
) -> None:
    """Text that looks like the encoding's own marks can't move a boundary between two fields."""

    def of(parts: tuple[str, str, str, str]) -> bytes:
        reference, reason, note, actor = parts
        # `None` and "" are one content: a reason is a code or it isn't there.
        return transaction_hash(
            GENESIS_HASH,
            replace(T, reference=reference, reason=reason, note=note, actor=Actor(ActorKind.STAFF, actor)),
        )

    assert (of(one) == of(other)) == (one == other)


def test_a_known_hash_stays_what_it_is() -> None:
    """Written down once: a change of the encoding would break the chain of every wallet there is."""
    assert transaction_hash(GENESIS_HASH, T).hex() == KNOWN_HASH


KNOWN_HASH = "38dfe0018ecfebb43f587e9801f84fa8ec08d7bf24d21216d3498511dc01d9cd"


# --- double entry -------------------------------------------------------------------------------------------


def test_every_kind_has_its_other_side() -> None:
    assert set(COUNTER_ACCOUNTS) == set(TransactionKind)
    assert set(COUNTER_ACCOUNTS.values()) == set(CounterAccount)


def test_allocations_that_do_not_add_up_are_never_posted() -> None:
    draft = Book().draft()
    with pytest.raises(AssertionError):
        draft._post(5, GIFT, [Allocation(None, "OVERDRAFT", 4)])


def test_every_order_of_the_same_credits_spends_the_same() -> None:
    def left(order: tuple[tuple[int, Bucket, float | None], ...]) -> list[tuple[Bucket, int, int]]:
        book = Book()
        for amount, bucket, hours in order:
            book.credit(amount, bucket, hours=hours)
        book.debit(25)
        return book.lots()

    brought: list[tuple[int, Bucket, float | None]] = [
        (10, CASH, None),
        (11, PROMO, 3),
        (12, GIFT_CARD, None),
    ]
    results = [left(order) for order in itertools.permutations(brought)]
    assert all(result == results[0] for result in results)
