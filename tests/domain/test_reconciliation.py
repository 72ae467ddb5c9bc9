"""An order's ledger follows from its newest snapshot, whatever came before it, how often and in which order.

The fast loop plays a few dozen sequences; `ORDER_SEQUENCES=20000 pytest tests/domain/test_reconciliation.py` as many.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from app.domain import payment as paying
from app.domain.access import Actor, ActorKind
from app.domain.bucket import Bucket
from app.domain.ledger import Draft, Row
from app.domain.order import Order, OrderSnapshot, OrderStatus, StoreRefund
from app.domain.payment import Authorization, CaptureMethod, Payment
from app.domain.reconciliation import reconcile
from app.domain.refund import Refund, RefundDestination
from app.domain.settings import CaptureOn, StoreSettings
from tests.domain.book import START, Book

R = TypeVar("R", bound=Row)

SEQUENCES = settings(max_examples=int(os.environ.get("ORDER_SEQUENCES", settings().max_examples)))
"""How many sequences are played."""

STORE = Actor(ActorKind.SERVICE, "store")
LIFETIME = timedelta(days=1)
LOTS = ((Bucket.PROMO, 10), (Bucket.GIFT_CARD, 25), (Bucket.CASH, 90), (Bucket.PROMO, 7), (Bucket.CASH, 40))


def snapshot(minute: int, status: OrderStatus, total: int, *refunds: int, **parts: Any) -> OrderSnapshot:
    """A snapshot of order 1042, whose refunds are numbered from 1; a refund of 0 is one that the store deleted."""
    found = tuple(
        StoreRefund(str(number), amount, created_at=START - timedelta(hours=1) + timedelta(seconds=number))
        for number, amount in enumerate(refunds, 1)
        if amount
    )
    modified_at = START + timedelta(minutes=minute)
    told = OrderSnapshot("shop", "1042", modified_at, status, status.lower(), "USD", total, refunds=found)
    return replace(told, **parts)


class OrderBook(Book):
    """A wallet and one order, told of as the services do it."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        self.settings = StoreSettings(**changes)
        self.order_id = snapshot(0, OrderStatus.PENDING, 1).id

    def rows_of(self, kind: type[R]) -> list[R]:
        found = [row for row in self.rows.values() if isinstance(row, kind)]
        return sorted(found, key=lambda row: row.id)

    @property
    def order(self) -> Order:
        return next(iter(self.rows_of(Order)), Order.opened("shop", "1042", self.now))

    @property
    def payments(self) -> list[Payment]:
        return self.rows_of(Payment)

    @property
    def refunds(self) -> list[Refund]:
        return self.rows_of(Refund)

    def authorize(self, amount: int | None, capture: CaptureMethod = CaptureMethod.AUTOMATIC) -> Payment:
        asked = Authorization(amount, 10**6, tuple(Bucket), LIFETIME, capture, STORE)

        def decide(draft: Draft) -> Payment:
            order = self.order
            payment = paying.authorize(draft, order, self.payments, asked)
            draft.add(replace(order, wallet_id=draft.wallet.id))
            return payment

        return self.do(decide)

    def capture(self, payment: Payment, amount: int, *, final: bool = True) -> Payment:
        def decide(draft: Draft) -> Payment:
            explanation = paying.purchase(self.order, STORE)
            taken, _ = paying.capture(draft, payment, amount, explanation, requested=True)
            if final and taken.is_open:
                taken = paying.release(draft, taken, paying.PaymentEnd.REQUEST)
            return taken

        return self.do(decide)

    def tell(self, told: OrderSnapshot) -> Order:
        return self.do(
            lambda draft: reconcile(
                draft,
                replace(self.order.seen(told, draft.now), wallet_id=draft.wallet.id),
                self.payments,
                self.refunds,
                actor=STORE,
            )
        )

    def ledger(self, *, with_lots: bool = True) -> object:
        """What counts of a wallet: its totals, and what lies in lots of one kind and expiry."""
        if not with_lots:
            return self.state.wallet.posted_minor, self.state.wallet.held_minor, self.order.credited_minor
        inside: dict[object, tuple[int, int]] = {}
        for lot in self.state.lots:
            free, held = inside.get((lot.bucket, lot.expires_at), (0, 0))
            inside[lot.bucket, lot.expires_at] = (free + lot.remaining_minor, held + lot.held_minor)
        wallet = self.state.wallet
        return wallet.posted_minor, wallet.held_minor, self.order.credited_minor, inside


def filled(**changes: Any) -> OrderBook:
    book = OrderBook(**changes)
    for place, (bucket, amount) in enumerate(LOTS):
        book.credit(amount, bucket, hours=None if bucket is Bucket.CASH else 48 + place)
    return book


@dataclass(frozen=True)
class Story:
    """What a customer did, and what the store then saw, in the order of its own clock."""

    amount: int
    capture: CaptureMethod
    captured: int
    told: tuple[OrderSnapshot, ...]
    changes: dict[str, Any]

    def book(self) -> OrderBook:
        book = filled(**self.changes)
        payment = book.authorize(self.amount, self.capture)
        if self.captured:
            book.capture(payment, self.captured)
        return book

    def played(self, told: Iterable[OrderSnapshot]) -> OrderBook:
        book = self.book()
        for one in told:
            book.tell(one)
        return book


KNOWN = [status for status in OrderStatus if status is not OrderStatus.UNKNOWN]


@st.composite
def stories(draw: st.DrawFn) -> Story:
    amount = draw(st.integers(1, 172))
    told: list[OrderSnapshot] = []
    refunds: list[int] = []
    minute = 0
    for _ in range(draw(st.integers(1, 5))):
        minute += draw(st.integers(0, 2))
        total = draw(st.sampled_from([amount, amount + 30, max(1, amount - 9), 300]))
        if draw(st.booleans()):
            refunds = [*refunds, draw(st.integers(1, 60))]
        if refunds and draw(st.integers(0, 3)) == 0:
            refunds = [*refunds[:-1], draw(st.sampled_from([0, 5, 40]))]
        otherwise = draw(st.sampled_from([None, None, max(0, total - amount), total]))
        status = draw(st.sampled_from([*KNOWN, OrderStatus.UNKNOWN]))
        told.append(snapshot(minute, status, total, *refunds, paid_otherwise_minor=otherwise))
    return Story(
        amount=amount,
        capture=draw(st.sampled_from(CaptureMethod)),
        captured=draw(st.sampled_from([0, 0, 1, amount // 2, amount])),
        told=tuple(told),
        changes={
            "refund_destination": draw(st.sampled_from(RefundDestination)),
            "capture_on": draw(st.sampled_from(CaptureOn)),
            "refund_bucket": draw(st.sampled_from([Bucket.CASH, Bucket.PROMO])),
        },
    )


def in_some_order(told: Sequence[OrderSnapshot], random: Random) -> list[OrderSnapshot]:
    """Each at least once, some again, in any order."""
    again = [one for one in told if random.random() < 0.4]
    shuffled = [*told, *again]
    random.shuffle(shuffled)
    return shuffled


@given(stories(), st.randoms(use_true_random=False))
@settings(SEQUENCES, suppress_health_check=[HealthCheck.too_slow])
def test_snapshots_in_any_order_end_in_one_ledger(story: Story, random: Random) -> None:
    in_time = story.played(story.told)
    mixed = story.played(in_some_order(story.told, random))
    newest = in_time.order
    alone = story.played([newest.basis] if newest.basis else [])
    # A credit that is spent before what the wallet had stands in front of it from when it was made, so then only sums
    # can be told beforehand.
    exact = story.changes["refund_bucket"] is Bucket.CASH
    assert mixed.ledger(with_lots=exact) == in_time.ledger(with_lots=exact)
    assert alone.ledger(with_lots=exact) == in_time.ledger(with_lots=exact)
    check(mixed)


def check(book: OrderBook) -> None:
    """What must hold of every order: nothing is taken twice, and no more is given back than was taken."""
    basis = book.order.basis
    for payment in book.payments:
        assert 0 <= payment.returned_minor <= payment.captured_minor <= payment.amount_minor
        spent = sum(part.spent_minor for part in book.state.reservations[payment.hold_id])
        assert spent == payment.net_minor
    net = sum(payment.net_minor for payment in book.payments)
    assert -net + book.order.credited_minor == sum(
        t.amount_minor for t in book.history if t.order_id == book.order_id
    )
    if basis is not None:
        assert net <= max(basis.total_minor, 0)
        given = sum(r.wallet_minor + r.credited_minor + r.elsewhere_minor for r in book.refunds)
        assert given <= basis.total_minor


@pytest.mark.parametrize("status", [OrderStatus.PAID, OrderStatus.COMPLETED])
def test_a_paid_order_takes_what_was_held(status: OrderStatus) -> None:
    book = filled()
    book.authorize(50)
    book.tell(snapshot(1, status, 50))
    assert (book.posted, book.state.wallet.held_minor) == (122, 0)


@given(stories(), st.integers(1, 172), st.randoms(use_true_random=False))
@settings(SEQUENCES, suppress_health_check=[HealthCheck.too_slow])
def test_a_part_captured_before_never_makes_more_owed_than_was_authorized(
    story: Story, part: int, random: Random
) -> None:
    """What is still held after a capture that was not the last may depend on what came between; sums may not."""
    book = filled(**story.changes)
    payment = book.authorize(story.amount, story.capture)
    book.capture(payment, min(part, story.amount), final=False)
    for told in in_some_order(story.told, random):
        book.tell(told)
        given_or_held = sum(payment.net_minor + payment.held_minor for payment in book.payments)
        assert given_or_held <= story.amount
        assert sum(payment.owed_minor for payment in book.payments) <= story.amount
        assert book.state.wallet.held_minor == sum(payment.held_minor for payment in book.payments)
        check(book)


@pytest.mark.parametrize(
    ("end", "posted"), [(OrderStatus.PAID, 132), (OrderStatus.FAILED, 172), (OrderStatus.CANCELLED, 172)]
)
@pytest.mark.parametrize("captured", [True, False])
def test_a_failed_order_can_be_paid_anew(end: OrderStatus, posted: int, captured: bool) -> None:
    book = filled()
    book.capture(book.authorize(50), 50)
    failed = snapshot(1, OrderStatus.FAILED, 60)
    book.tell(failed)
    assert (book.posted, book.state.wallet.held_minor) == (172, 0)

    book.now += timedelta(minutes=2)
    payment = book.authorize(40)
    book.tell(failed)  # told once more, it is about the first attempt still
    assert book.state.wallet.held_minor == 40
    if captured:
        book.capture(payment, 40)
        book.tell(failed)
        assert (book.posted, book.state.wallet.held_minor) == (132, 0)
    book.tell(snapshot(3, end, 60, paid_otherwise_minor=20))
    assert (book.posted, book.state.wallet.held_minor) == (posted, 0)
