"""One wallet without a database: drafts are made and folded as the writer does it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from app.domain.access import Actor, ActorKind
from app.domain.bucket import Bucket
from app.domain.customer import Customer
from app.domain.ledger import (
    GENESIS_HASH,
    Draft,
    Explanation,
    LoadedRows,
    Lot,
    Transaction,
    TransactionKind,
    WalletState,
    transaction_hash,
)
from app.domain.settings import StoreSettings
from app.domain.withdrawal_terms import WithdrawalTerms

T = TypeVar("T")

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
STAFF = Actor(ActorKind.STAFF, "s-1")
PURCHASE = Explanation(TransactionKind.PURCHASE, STAFF, "Order 1042")
GIFT = Explanation(TransactionKind.PROMOTION, STAFF, "Spring campaign")


class CountingMint:
    """Ids and references that count up."""

    def __init__(self) -> None:
        self.count = 0

    def id(self) -> UUID:
        self.count += 1
        return UUID(int=self.count)

    def reference(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}-{self.count:04}"


class Book:
    """A wallet, the clock and the settings."""

    def __init__(self, *, limit: int = 0, currency: str = "USD") -> None:
        self.mint = CountingMint()
        self.now = START
        self.settings = with_limit(limit)
        customer = Customer(self.mint.id(), "ada", "", "", START, START)
        self.state = WalletState.opened(self.mint.id(), customer, currency, START)
        self.history: list[Transaction] = []
        self.rows = LoadedRows()

    def draft(self) -> Draft:
        return Draft(self.state, now=self.now, mint=self.mint, settings=self.settings, loaded=self.rows)

    def do(self, decide: Callable[[Draft], T], *, expire: bool = True) -> T:
        """Decide and fold; check the state and the hash chain; a refusal must leave everything as it was."""
        before = self.snapshot()
        draft = self.draft()
        if expire:
            draft.expire_due()
        try:
            answer = decide(draft)
        except BaseException:
            assert self.snapshot() == before
            raise
        self.state.fold(draft)
        self.history += draft.transactions
        for row in draft.rows:
            self.rows.put(row)
        self.check()
        return answer

    def snapshot(self) -> object:
        state = self.state
        return (
            state.wallet,
            tuple(state.lots),
            dict(state.holds),
            dict(state.reservations),
            dict(self.rows),
        )

    def check(self) -> None:
        state = self.state
        assert state.fault() is None
        assert state.wallet.posted_minor == sum(t.amount_minor for t in self.history)
        assert [t.sequence for t in self.history] == list(range(1, len(self.history) + 1))
        previous = GENESIS_HASH
        for t in self.history:
            assert t.hash == transaction_hash(previous, t)
            previous = t.hash
        assert state.wallet.head_hash == previous
        assert all(lot.is_open for lot in state.lots)

    def after(self, **time: float) -> "Book":
        self.now += timedelta(**time)
        return self

    def credit(self, amount: int, bucket: Bucket = Bucket.CASH, *, hours: float | None = None) -> Transaction:
        expires_at = None if hours is None else self.now + timedelta(hours=hours)
        return self.do(lambda draft: draft.credit(amount, GIFT, bucket=bucket, expires_at=expires_at))

    def debit(self, amount: int, *buckets: Bucket, limit: int = 0) -> Transaction:
        chosen = frozenset(buckets or Bucket)
        return self.do(lambda draft: draft.debit(amount, PURCHASE, buckets=chosen, credit_limit_minor=limit))

    def lots(self) -> list[tuple[Bucket, int, int]]:
        """Open lots in drawing order: bucket, remaining, held."""
        return [(lot.bucket, lot.remaining_minor, lot.held_minor) for lot in self.state.lots]

    def lot(self, sequence: int) -> Lot:
        return next(lot for lot in self.state.lots if lot.sequence == sequence)

    @property
    def posted(self) -> int:
        return self.state.wallet.posted_minor


def with_limit(limit: int) -> StoreSettings:
    """Settings that allow withdrawals, and overdrafts up to a limit; 0 allows none."""
    return StoreSettings(
        negative_balance_enabled=limit > 0,
        negative_balance_limit_minor=limit,
        withdrawals=WithdrawalTerms(enabled=True),
    )


def taken(transaction: Transaction) -> list[tuple[str, int]]:
    """A transaction's allocations: bucket and amount."""
    return [(str(part.bucket), part.amount_minor) for part in transaction.allocations]
