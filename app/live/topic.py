"""What those share who follow one wallet."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol
from uuid import UUID

from app.domain.ledger import Transaction, Wallet, WalletChange
from app.live.source import WalletUpdate
from app.live.turns import Turns


class Follower(Protocol):
    """Who follows a topic."""

    @property
    def wake(self) -> Callable[[], None]:
        """Has it look again."""


class Place(NamedTuple):
    """How much of a wallet a follower was told: the last sequence number, and the version of the state."""

    sequence: int
    version: int


class Step(NamedTuple):
    """What whoever is at a place is told next, and where that leads."""

    start: Place
    update: WalletUpdate
    end: Place
    is_last: bool
    """Whether there is nothing after it, as far as is known."""


def is_rewritten(known: Wallet, wallet: Wallet, last: Transaction | None) -> bool:
    """Tell whether a wallet as it is stored can't have come of what was known before it was read.

    A database that lost what it had committed (a replica took over that never had it) gives the same numbers to what comes
    next. `last` is what is stored under the last sequence number that was known, if that was read.
    """
    if wallet.version <= known.version:
        return (wallet.version, wallet.updated_at) != (known.version, known.updated_at)
    if wallet.sequence <= known.sequence:
        return (wallet.sequence, wallet.head_hash) != (known.sequence, known.head_hash)
    return last is not None and last.hash != known.head_hash


class Topic:
    """One wallet: its newest known state, and the transactions that led there, as far as somebody may need them.

    `recent` ends at the wallet's sequence number and has no gap; it holds `queue_max` transactions at most, and
    none once everybody has them.
    """

    __slots__ = (
        "_are_called",
        "_caught_up",
        "_followers",
        "_queue_max",
        "_turns",
        "epoch",
        "error",
        "failures",
        "recent",
        "step",
        "wallet",
        "wallet_id",
    )

    def __init__(self, wallet_id: UUID, queue_max: int, turns: Turns) -> None:
        self.wallet_id = wallet_id
        self.wallet: Wallet | None = None
        self.recent: list[Transaction] = []
        self.failures = 0
        self.error: Exception | None = None
        self.epoch = 0
        """Counts what happened: who was caught up before it is behind now."""
        self.step: Step | None = None
        """The last one that was taken since then; nearly all followers are at the same place, and take it too."""
        self._queue_max = queue_max
        self._turns = turns
        # Used as an ordered set: who came together lies together in memory, and ten thousand are walked through for an event.
        self._followers: dict[Follower, None] = {}
        self._are_called = False
        self._caught_up = 0

    @property
    def count(self) -> int:
        """How many follow."""
        return len(self._followers)

    def join(self, follower: Follower) -> None:
        """Let a follower in; it is behind."""
        self._followers[follower] = None

    def leave(self, follower: Follower, epoch: int) -> None:
        """Let a follower go, who was caught up at this epoch."""
        self._followers.pop(follower, None)
        self._caught_up -= epoch == self.epoch
        self._forget_what_all_have()

    def caught_up(self) -> int:
        """Count one more follower who has everything; return the epoch, in which it is counted once."""
        self._caught_up += 1
        self._forget_what_all_have()
        return self.epoch

    def _forget_what_all_have(self) -> None:
        if self._caught_up == len(self._followers):
            self.step = None
            if self.recent:
                self.recent = []

    def wake(self) -> None:
        """Have every follower look again."""
        self.epoch += 1
        self.step = None
        self._caught_up = 0
        if not self._are_called and self._followers:
            self._are_called = True
            self._turns.add(self._members)

    def _members(self) -> list[Callable[[], None]]:
        # From here on whatever happens is another reason to call them all.
        self._are_called = False
        return [follower.wake for follower in self._followers]

    def fail(self, error: Exception) -> None:
        """End all subscriptions with an error."""
        self.error = error
        self.wake()

    def hear(self, change: WalletChange) -> bool:
        """Take a committed change in; `False` when it doesn't follow on what is known, and must be read."""
        if self.wallet is None:
            # A read is on its way and may have begun before this change was committed.
            return False
        if change.wallet.version < self.wallet.version:
            return True
        if change.wallet.version == self.wallet.version:
            return change.wallet.updated_at == self.wallet.updated_at
        if change.follows is not None and change.follows != self.wallet.head_hash:
            # Something lies between, or what is known was lost by the database.
            return False
        return self._advance(change.wallet, change.transactions)

    def refresh(self, wallet: Wallet, transactions: Sequence[Transaction]) -> None:
        """Take in what was read. Where transactions are missing, subscribers read for themselves."""
        if self.wallet is None:
            self.wallet = wallet
        elif wallet.version <= self.wallet.version:
            return
        elif not self._advance(wallet, transactions):
            self.recent = []
            self.wallet = wallet
        self.wake()

    def _advance(self, wallet: Wallet, transactions: Sequence[Transaction]) -> bool:
        assert self.wallet is not None  # noqa: S101 — both callers have looked
        known = self.wallet.sequence
        fresh = [t for t in transactions if known < t.sequence <= wallet.sequence]
        if len(fresh) != wallet.sequence - known:
            return False
        self.recent += fresh
        del self.recent[: -self._queue_max]
        self.wallet = wallet
        self.wake()
        return True

    def after(self, sequence: int) -> Transaction | None:
        """Return the transaction after a sequence number, or None when it is not here any more."""
        assert self.wallet is not None  # noqa: S101 — followers begin once it is known
        missing = self.wallet.sequence - sequence
        return self.recent[-missing] if 0 < missing <= len(self.recent) else None
