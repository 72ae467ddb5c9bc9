"""What those share who follow every transaction of the store.

A wallet's transactions are told in the order of their sequence numbers, so it is enough to know, wallet by
wallet, which number was told last. To know it of every wallet would be too much, so the room keeps a *horizon*:

- what was posted before the horizon was told already, or lies before the subscription;
- of what was posted since, `_positions` knows the last number that was told, wallet by wallet.

A wallet that is heard of and has no position is asked for its last number before the horizon. The horizon lags
`CLOCK_SLACK_S` behind the clock: as long as a batch commits within that time of the moment it stamps on its
transactions, the differences between machines' clocks included, nothing falls behind the horizon untold.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import islice
from uuid import UUID

from app.domain.ledger import Transaction, Wallet, WalletChange
from app.live.source import Source, SubscriberTooSlow

CLOCK_SLACK_S = 60.0
"""How late, by this machine's clock, a transaction may be committed after the time that it bears."""

POSITIONS_MAX = 20_000
"""Wallets whose position is kept although it lies before the horizon, to spare a read."""

MISSED_WALLETS_MAX = 10_000
"""Wallets that a slow subscriber may have to read again before it is given up."""

READ_WALLETS_MAX = 100
READ_TRANSACTIONS_MAX = 1_000


class Seat:
    """One subscriber: how far it came in the log, and what left the log before it came that far.

    `missed` holds, wallet by wallet, the sequence numbers after which and up to which it must read.
    """

    __slots__ = ("cursor", "error", "missed")

    def __init__(self, cursor: int) -> None:
        self.cursor = cursor
        self.missed: dict[UUID, list[int]] = {}
        self.error: Exception | None = None

    def miss(self, wallet_id: UUID, sequence: int) -> None:
        """Remember that a transaction must be read from the database."""
        if self.error is None:
            self.missed.setdefault(wallet_id, [sequence - 1, sequence])[1] = sequence
        if len(self.missed) > MISSED_WALLETS_MAX:
            self.missed = {}
            self.error = SubscriberTooSlow(f"More than {MISSED_WALLETS_MAX} wallets changed meanwhile.")


class StoreRoom:
    """A short log of what was committed, in order per wallet, and the subscribers that read it and wait together."""

    __slots__ = (
        "_behind",
        "_check_since",
        "_clock",
        "_first",
        "_floors",
        "_horizon",
        "_log",
        "_positions",
        "_queue_max",
        "_ready",
        "_seats",
        "_sleepers",
    )

    def __init__(self, clock: Callable[[], datetime], queue_max: int) -> None:
        self._clock = clock
        self._queue_max = queue_max
        self._log: deque[tuple[Wallet, Transaction]] = deque()
        self._first = 0
        self._seats: set[Seat] = set()
        self._sleepers: set[asyncio.Future[None]] = set()
        self._positions: dict[UUID, tuple[int, datetime]] = {}
        self._horizon = self._slack_before_now()
        self._behind: dict[UUID, WalletChange | None] = {}
        self._floors: dict[UUID, int] = {}
        self._check_since: datetime | None = None
        self._ready = False

    # --- subscribers ----------------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """How many subscribers there are."""
        return len(self._seats)

    def sit(self) -> Seat:
        """Let a subscriber in: it sees what is told from now on."""
        seat = Seat(self._first + len(self._log))
        self._seats.add(seat)
        return seat

    def leave(self, seat: Seat) -> None:
        """Let a subscriber go."""
        self._seats.discard(seat)

    def next(self, seat: Seat) -> tuple[Wallet, Transaction] | None:
        """Return the next entry of the log and move on, or `None` at its end."""
        place = seat.cursor - self._first
        if place >= len(self._log):
            return None
        seat.cursor += 1
        return self._log[place]

    async def changed(self) -> None:
        """Sleep until the next `wake`. The caller has just found that there is nothing to do, without waiting since."""
        # Each has a future of its own: cancelling a task cancels the future that it waits for.
        sleeper = asyncio.get_running_loop().create_future()
        self._sleepers.add(sleeper)
        if len(self._sleepers) == self.count:
            self._forget_the_log()
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

    def _forget_the_log(self) -> None:
        # Everybody has read it.
        self._first += len(self._log)
        self._log.clear()

    # --- what the process hears of --------------------------------------------------------------------------

    def hear(self, change: WalletChange) -> bool:
        """Take a committed change in; `False` when something must be read first."""
        if not change.transactions:
            return True
        wallet_id, first = change.wallet.id, change.transactions[0].sequence
        if not self._ready:
            return self._note_floor(wallet_id, first - 1)
        if wallet_id in self._behind:
            self._behind[wallet_id] = None
            return False
        if first == 1:
            self._positions.setdefault(wallet_id, (0, self._horizon))
        if wallet_id not in self._positions:
            # What it follows on must be asked for; if it does follow, these records are all that is needed.
            self._behind[wallet_id] = change
            return False
        if not self._tell(change.wallet, change.transactions):
            self._behind[wallet_id] = None
            return False
        return True

    def notice(self, wallet_id: UUID, sequence_before: int, sequence: int) -> bool:
        """Take in that another process committed; `False` when something must be read."""
        if sequence <= sequence_before:
            return True
        if not self._ready:
            return self._note_floor(wallet_id, sequence_before)
        position = self._positions.get(wallet_id)
        if position is not None and position[0] >= sequence:
            return True
        self._behind[wallet_id] = None
        return False

    def _note_floor(self, wallet_id: UUID, sequence: int) -> bool:
        # The first read may or may not see what is heard of before it is done; it is told in either case.
        self._floors[wallet_id] = min(sequence, self._floors.get(wallet_id, sequence))
        self._behind[wallet_id] = None
        return False

    def check(self, recent_s: float | None = None) -> None:
        """Have the database asked for what nobody told of: since the horizon, or in the last seconds only."""
        since = self._horizon
        if recent_s is not None:
            since = max(since, self._clock() - timedelta(seconds=recent_s))
        self._ask_for_gaps(since)

    def _ask_for_gaps(self, since: datetime) -> None:
        self._check_since = since if self._check_since is None else min(since, self._check_since)

    # --- reading --------------------------------------------------------------------------------------------

    @property
    def is_behind(self) -> bool:
        """Whether there is something to read."""
        return bool(not self._ready or self._behind or self._check_since)

    async def catch_up(self, source: Source) -> None:
        """Read all that is known to be missing. When it fails it can simply be tried again."""
        if not self._ready:
            await self._begin(source)
        horizon = self._horizon
        if self._check_since is not None:
            horizon = await self._look_for_gaps(source, self._check_since)
        taken, self._behind = self._behind, {}
        try:
            for wallet_ids in _chunks(list(taken), READ_WALLETS_MAX):
                await self._read({wallet_id: taken[wallet_id] for wallet_id in wallet_ids}, source)
        except BaseException:
            self._behind.update(dict.fromkeys(taken))
            raise
        # Only now is everything told that the look for gaps had found.
        self._horizon = horizon
        self._forget_positions()

    async def _begin(self, source: Source) -> None:
        """Learn where the wallets stand that were active lately: what they posted lies before the subscription."""
        found = await source.sequences_since(self._horizon)
        for wallet_id, sequence in found.items():
            self._positions[wallet_id] = (min(sequence, self._floors.get(wallet_id, sequence)), self._horizon)
        self._floors.clear()
        self._ready = True

    async def _look_for_gaps(self, source: Source, since: datetime) -> datetime:
        """Find the wallets of which more is committed than was told; return where the horizon may then move."""
        self._check_since = None
        horizon = self._slack_before_now() if since <= self._horizon else self._horizon
        try:
            found = await source.sequences_since(since)
        except BaseException:
            self._ask_for_gaps(since)
            raise
        for wallet_id, sequence in found.items():
            self.notice(wallet_id, 0, sequence)
        return max(horizon, self._horizon)

    async def _read(self, changes: dict[UUID, WalletChange | None], source: Source) -> None:
        unknown = [wallet_id for wallet_id in changes if wallet_id not in self._positions]
        if unknown:
            for wallet_id, sequence in (await source.sequences_before(unknown, self._horizon)).items():
                self._positions.setdefault(wallet_id, (sequence, self._horizon))
        gaps = [
            wallet_id
            for wallet_id, change in changes.items()
            if change is None or not self._tell(change.wallet, change.transactions)
        ]
        while gaps:
            positions = {wallet_id: self._positions[wallet_id][0] for wallet_id in gaps}
            found = await source.transactions_of(positions, READ_TRANSACTIONS_MAX)
            # The wallets are read after their transactions, so that none is older than what it is told with.
            wallets = {w.id: w for w in await source.wallets({t.wallet_id for t in found})}
            for transaction in found:
                if not self._tell(wallets[transaction.wallet_id], (transaction,)):
                    raise RuntimeError(
                        f"wallet {transaction.wallet_id} has a gap before {transaction.sequence}"
                    )
            if len(found) < READ_TRANSACTIONS_MAX:
                break

    def _tell(self, wallet: Wallet, transactions: Sequence[Transaction]) -> bool:
        """Put into the log what was not told yet; `False`, and nothing is told, when something lies between."""
        told, _ = self._positions[wallet.id]
        fresh = [t for t in transactions if t.sequence > told]
        if fresh and fresh[0].sequence != told + 1:
            return False
        for transaction in fresh:
            if len(self._log) >= self._queue_max:
                self._drop_oldest()
            self._log.append((wallet, transaction))
        if fresh:
            # Put in anew, so that the first positions are those that were quiet for longest.
            self._positions.pop(wallet.id)
            self._positions[wallet.id] = (fresh[-1].sequence, fresh[-1].created_at)
            self.wake()
        return True

    def _drop_oldest(self) -> None:
        _, transaction = self._log.popleft()
        for seat in self._seats:
            if seat.cursor == self._first:
                seat.cursor += 1
                seat.miss(transaction.wallet_id, transaction.sequence)
        self._first += 1

    def _forget_positions(self) -> None:
        surplus = len(self._positions) - POSITIONS_MAX
        for wallet_id in list(islice(self._positions, max(0, surplus))):
            if self._positions[wallet_id][1] < self._horizon:
                del self._positions[wallet_id]

    def _slack_before_now(self) -> datetime:
        return self._clock() - timedelta(seconds=CLOCK_SLACK_S)


def _chunks(ids: Sequence[UUID], size: int) -> Iterable[Sequence[UUID]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))
