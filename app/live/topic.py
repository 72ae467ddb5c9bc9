"""What the subscribers of one wallet share."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from app.domain.ledger import Transaction, Wallet, WalletChange


class Room:
    """Where subscribers wait together for something to happen."""

    __slots__ = ("_sleepers", "count", "error")

    def __init__(self) -> None:
        self.count = 0
        self.error: Exception | None = None
        self._sleepers: set[asyncio.Future[None]] = set()

    async def changed(self) -> None:
        """Sleep until the next `wake`. The caller has just found that there is nothing to do, without waiting since."""
        # Each has a future of its own: cancelling a task cancels the future that it waits for.
        sleeper = asyncio.get_running_loop().create_future()
        self._sleepers.add(sleeper)
        if len(self._sleepers) == self.count:
            self.all_caught_up()
        try:
            await sleeper
        finally:
            self._sleepers.discard(sleeper)

    def wake(self) -> None:
        """Have every subscriber look again."""
        sleepers, self._sleepers = self._sleepers, set()
        for sleeper in sleepers:
            if not sleeper.done():
                sleeper.set_result(None)

    def all_caught_up(self) -> None:
        """Forget what was kept for those who were behind."""
        raise NotImplementedError

    def fail(self, error: Exception) -> None:
        """End all subscriptions with an error."""
        self.error = error
        self.wake()


class Topic(Room):
    """One wallet: its newest known state, and the transactions that led there, as far as somebody may need them.

    `recent` ends at the wallet's sequence number and has no gap; it holds `queue_max` transactions at most, and
    none once everybody has them.
    """

    __slots__ = ("_queue_max", "failures", "recent", "wallet", "wallet_id")

    def __init__(self, wallet_id: UUID, queue_max: int) -> None:
        super().__init__()
        self.wallet_id = wallet_id
        self.wallet: Wallet | None = None
        self.recent: list[Transaction] = []
        self.failures = 0
        self._queue_max = queue_max

    def hear(self, change: WalletChange) -> bool:
        """Take a committed change in; `False` when it doesn't follow on what is known, and must be read."""
        if self.wallet is None:
            # A read is on its way and may have begun before this change was committed.
            return False
        if change.wallet.version <= self.wallet.version:
            return True
        return self._advance(change.wallet, change.transactions)

    def refresh(self, wallet: Wallet, transactions: Sequence[Transaction]) -> None:
        """Take in what was read. Where transactions are missing, subscribers read for themselves."""
        if self.wallet is None:
            self.wallet = wallet
        elif wallet.version <= self.wallet.version:
            return
        elif not self._advance(wallet, transactions):
            self.recent.clear()
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

    def after(self, sequence: int) -> list[Transaction] | None:
        """Return the transactions after a sequence number, or `None` when not all of them are here any more."""
        assert self.wallet is not None  # noqa: S101 — subscribers begin once it is known
        missing = self.wallet.sequence - sequence
        return self.recent[-missing:] if 0 < missing <= len(self.recent) else None

    def all_caught_up(self) -> None:
        """Forget the transactions, which everybody has."""
        self.recent.clear()
