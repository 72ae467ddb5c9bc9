"""The hub: topics, their subscribers, and the tasks that read for all of them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Protocol
from uuid import UUID

import structlog

from app.domain.ledger import Transaction, Wallet, WalletChange
from app.live.follower import WalletFeed
from app.live.reader import TRIES_MAX, Reader, persistently, supervised
from app.live.source import (
    InvalidResume,
    LiveUnavailable,
    Source,
    UnknownWallet,
    UpdateKind,
    WalletUpdate,
)
from app.live.store import Seat, StoreRoom
from app.live.topic import Topic, is_rewritten
from app.live.turns import Turns

log = structlog.get_logger("coffer.live")

PAGE_SIZE = 200
"""Transactions that a subscriber who is behind reads at once."""

READ_WALLETS_MAX = 100
"""Topics that are read together."""

READ_TRANSACTIONS_MAX = 1_000
"""Transactions read for them; a topic that is further behind leaves it to its subscribers."""

CHECK_WALLETS_MAX = 500
"""Topics whose versions are compared at once."""

CHECK_INTERVAL_S = 30.0
"""How often everything is compared with the database, in case that nobody told of a change.

That happens when a commit's answer is lost with its connection: the writer finds on its second try that all is
done, and has nothing to tell.
"""

REWRITTEN = (
    "The database lost changes of the wallet that were told already, as it does when a replica takes over that never had "
    "them. Subscribe again without a sequence number."
)

UPDATES_MAX = 256
"""Updates that are remembered to be given to several: who comes late is given one of their own."""


class Listener(Protocol):
    """A task that tells the hub of other processes' commits."""

    async def run(self) -> None:
        """Listen for ever."""


class Hub:
    """One per process. Use `async with hub.running(listener)` around the writer's life, in the server's lifespan."""

    def __init__(
        self,
        source: Source,
        *,
        queue_max: int = 256,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._source = source
        self._queue_max = queue_max
        self._clock = clock
        self._topics: dict[UUID, Topic] = {}
        # Used as ordered sets: what failed goes to the end.
        self._dirty: dict[Topic, None] = {}
        self._unchecked: dict[UUID, None] = {}
        self._updates: dict[tuple[Topic, UpdateKind, int, int], WalletUpdate] = {}
        self._turns = Turns()
        self._store: StoreRoom | None = None
        self._read_wallets_max = READ_WALLETS_MAX
        self._wallet_reader = Reader(self._topics_need_reading, self._read_wallets)
        # A reader of its own: catching up with a whole store must not keep the wallets waiting.
        self._store_reader = Reader(self._store_needs_reading, self._read_store)
        self._occupied = asyncio.Event()
        self.is_closed = False
        """Whether it has stopped, and all subscriptions end."""

    # --- what the process knows of itself -------------------------------------------------------------------

    @property
    def is_healthy(self) -> bool:
        """Whether the last read from the database worked."""
        return not (self._wallet_reader.failures or self._store_reader.failures)

    @property
    def topic_count(self) -> int:
        """How many wallets somebody listens to."""
        return len(self._topics)

    @property
    def subscriber_count(self) -> int:
        """How many subscriptions are open."""
        return sum(topic.count for topic in self._topics.values()) + (self._store.count if self._store else 0)

    @property
    def is_empty(self) -> bool:
        """Whether nobody listens."""
        return not self._occupied.is_set()

    async def occupied(self) -> None:
        """Wait until there is a subscriber."""
        await self._occupied.wait()

    # --- what happened --------------------------------------------------------------------------------------

    def publish(self, changes: Sequence[WalletChange]) -> None:
        """Take in what this process has just committed. Cheap, and never raises: the writer has work to do."""
        try:
            for change in changes:
                topic = self._topics.get(change.wallet.id)
                if topic is not None and not topic.hear(change):
                    self._mark(topic)
                if self._store is not None and not self._store.hear(change):
                    self._store_reader.wake()
        except Exception:
            log.exception("publishing failed; everything is read again")
            self.recheck()

    def notice(self, wallet_id: UUID, sequence_before: int, sequence: int, version: int) -> None:
        """Take in that another process committed a change of a wallet."""
        topic = self._topics.get(wallet_id)
        if topic is not None and (topic.wallet is None or topic.wallet.version < version):
            self._mark(topic)
        if self._store is not None and not self._store.notice(wallet_id, sequence_before, sequence):
            self._store_reader.wake()

    def recheck(self, recent_s: float | None = None) -> None:
        """Have every topic compared with the database: notices may have been missed.

        With `recent_s`, the store-wide stream looks at what was posted in the last seconds only.
        """
        for topic in self._topics.values():
            if topic.wallet is None:
                # Its first read may have been made before the change that was missed.
                self._mark(topic)
            else:
                self._unchecked[topic.wallet_id] = None
        if self._store is not None:
            self._store.check(recent_s)
        self._wallet_reader.wake()
        self._store_reader.wake()

    # --- subscribers ----------------------------------------------------------------------------------------

    def follow(self, wallet_id: UUID, after_sequence: int | None = None) -> WalletFeed:
        """Return the updates of one wallet; they end when the hub stops.

        Without `after_sequence`: the present state, then every change. With it: every transaction after that
        number, then the present state, then every change.
        """
        return WalletFeed(self, wallet_id, after_sequence)

    async def wallet_updates(
        self, wallet_id: UUID, after_sequence: int | None = None
    ) -> AsyncGenerator[WalletUpdate, None]:
        """Follow one wallet in a task. Whoever leaves early closes it (`contextlib.aclosing`)."""
        async with aclosing(aiter(self.follow(wallet_id, after_sequence))) as updates:
            async for update in updates:
                yield update
                del update

    def enter(self, follower: WalletFeed) -> Topic:
        """Let a follower in."""
        topic = self._topics.get(follower.wallet_id)
        if topic is None:
            topic = self._topics[follower.wallet_id] = Topic(follower.wallet_id, self._queue_max, self._turns)
            self._mark(topic)
        topic.join(follower)
        self._occupied.set()
        return topic

    def leave(self, topic: Topic, follower: WalletFeed, epoch: int) -> None:
        """Let a follower go."""
        topic.leave(follower, epoch)
        if not topic.count:
            self._drop(topic)

    def told(
        self, topic: Topic, kind: UpdateKind, wallet: Wallet, transaction: Transaction | None = None
    ) -> WalletUpdate:
        """Return an update; the same one to all who are told the same, unless there is only one subscriber."""
        sequence = transaction.sequence if transaction else wallet.sequence
        if topic.count == 1:
            return WalletUpdate(kind, wallet, transaction, sequence)
        key = (topic, kind, wallet.version, sequence)
        update = self._updates.get(key)
        if update is None:
            update = self._updates[key] = WalletUpdate(kind, wallet, transaction, sequence)
            if len(self._updates) > UPDATES_MAX:
                del self._updates[next(iter(self._updates))]
        return update

    async def missing(self, topic: Topic, after: int) -> Sequence[Transaction]:
        """Read some of the transactions after a number, but none that is newer than the state that is known."""
        known = topic.wallet.sequence if topic.wallet else after
        page = await self._page(topic.wallet_id, after, min(PAGE_SIZE, known - after))
        return [transaction for transaction in page if transaction.sequence <= known]

    async def require_reached(self, topic: Topic, sequence: int) -> None:
        """Raise InvalidResume unless the wallet has reached the number, and have the topic read."""
        # The number may come from another process, whose commit this one has not heard of yet.
        wallets = await persistently(lambda: self._source.wallets([topic.wallet_id]))
        reached = wallets[0].sequence if wallets else 0
        if sequence > reached:
            raise InvalidResume(
                f"The wallet has not reached sequence number {sequence}, its last one is {reached}. "
                "Resume from the last number that you received, or without one."
            )
        self._mark(topic)

    async def store_transactions(self) -> AsyncGenerator[tuple[Wallet, Transaction], None]:
        """Follow every transaction of the store, to be left like `wallet_updates`.

        Each comes once, a wallet's in order and without a gap, beginning with what the process hears of once
        the first item is asked for (docs/adr/0006-live-balances.md has it precisely). The wallet is the newest
        state known. Raises `SubscriberTooSlow`.
        """
        if self._store is None:
            self._store = StoreRoom(self._clock, self._queue_max)
            self._store_reader.wake()
        room = self._store
        seat = room.sit()
        self._occupied.set()
        try:
            while not self.is_closed:
                if seat.error is not None:
                    raise seat.error
                if seat.missed:
                    for entry in await self._missed(seat):
                        yield entry
                elif (found := room.next(seat)) is not None:
                    yield found
                else:
                    await room.changed()
        finally:
            room.leave(seat)
            if not room.count and self._store is room:
                self._store = None
            self._notice_emptiness()

    async def _missed(self, seat: Seat) -> Sequence[tuple[Wallet, Transaction]]:
        """Read some of what the log dropped before the subscriber came that far."""
        wallet_id, span = next(iter(seat.missed.items()))
        after, last = span
        found = await self._page(wallet_id, after, min(PAGE_SIZE, last - after))
        wallets = await persistently(lambda: self._source.wallets([wallet_id]))
        if not found or not wallets or found[-1].sequence != after + len(found):
            raise RuntimeError(f"wallet {wallet_id} has a gap after transaction {after}")
        span[0] = found[-1].sequence
        # More may have been dropped during the read.
        if span[0] >= span[1]:
            del seat.missed[wallet_id]
        return [(wallets[0], transaction) for transaction in found]

    async def _page(self, wallet_id: UUID, after: int, limit: int) -> Sequence[Transaction]:
        return await persistently(lambda: self._source.transactions(wallet_id, after, limit))

    # --- topics ---------------------------------------------------------------------------------------------

    def _drop(self, topic: Topic) -> None:
        self._dirty.pop(topic, None)
        # After a failure there may be a new topic for the same wallet.
        if self._topics.get(topic.wallet_id) is topic:
            del self._topics[topic.wallet_id]
            self._unchecked.pop(topic.wallet_id, None)
        self._notice_emptiness()

    def _notice_emptiness(self) -> None:
        if not self._topics and self._store is None:
            self._occupied.clear()

    def _mark(self, topic: Topic) -> None:
        self._dirty[topic] = None
        self._wallet_reader.wake()

    # --- reading --------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self, *listeners: Listener) -> AsyncIterator["Hub"]:
        """Read for the subscribers, with the listeners running beside; in the end all subscriptions end."""
        # All tasks begin here, not where a change is told: a task inherits the context that it is started in.
        self.is_closed = False
        self._turns.begin()
        works = [self._wallet_reader.run, self._store_reader.run, self._check]
        works += [listener.run for listener in listeners]
        tasks = [asyncio.create_task(supervised(work)) for work in works]
        try:
            yield self
        finally:
            self.is_closed = True
            for topic in self._topics.values():
                topic.wake()
            if self._store is not None:
                self._store.wake()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _check(self) -> None:
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            self.recheck()

    def _topics_need_reading(self) -> bool:
        return bool(self._dirty or self._unchecked)

    def _store_needs_reading(self) -> bool:
        return self._store is not None and self._store.is_behind

    async def _read_wallets(self) -> None:
        await self._read_topics()
        await self._compare_versions()

    async def _read_store(self) -> None:
        if self._store is not None:
            await self._store.catch_up(self._source)

    async def _read_topics(self) -> None:
        """Read a number of topics together; what fails is tried again in ever smaller company, then given up."""
        taken = list(islice(self._dirty, self._read_wallets_max))
        if not taken:
            return
        for topic in taken:
            # Before the read: whatever happens during it marks the topic again.
            del self._dirty[topic]
        try:
            await self._refresh(taken)
        except BaseException as error:
            self._dirty.update((topic, None) for topic in taken if topic.count)
            self._read_wallets_max = max(1, len(taken) // 4)
            if len(taken) == 1 and isinstance(error, Exception):
                self._count_failure(taken[0], error)
            raise
        self._read_wallets_max = READ_WALLETS_MAX

    async def _refresh(self, topics: Iterable[Topic]) -> None:
        by_id = {topic.wallet_id: topic for topic in topics}
        # As they were before the read: what is heard of during it may be newer than what is read.
        known = {wallet_id: topic.wallet for wallet_id, topic in by_id.items() if topic.wallet is not None}
        wallets = await self._source.wallets(by_id)
        # With the last one that is known, to see that it is still the same.
        behind = {
            wallet.id: max(0, before.sequence - 1)
            for wallet in wallets
            if (before := known.get(wallet.id)) is not None and before.sequence < wallet.sequence
        }
        missing: dict[UUID, list[Transaction]] = {}
        if behind:
            for transaction in await self._source.transactions_of(behind, READ_TRANSACTIONS_MAX):
                missing.setdefault(transaction.wallet_id, []).append(transaction)
        for wallet in wallets:
            topic, found = by_id.pop(wallet.id), missing.get(wallet.id, [])
            topic.failures = 0
            before = known.get(wallet.id)
            if before is not None and is_rewritten(before, wallet, _of_sequence(found, before.sequence)):
                self._give_up(topic, InvalidResume(REWRITTEN))
            else:
                topic.refresh(wallet, found)
        for topic in by_id.values():
            self._give_up(topic, UnknownWallet(f"There is no wallet {topic.wallet_id}."))

    def _count_failure(self, topic: Topic, error: Exception) -> None:
        topic.failures += 1
        if topic.failures >= TRIES_MAX:
            log.error("a wallet can't be read", wallet=str(topic.wallet_id), exc_info=error)
            self._give_up(topic, LiveUnavailable("The wallet can't be read now. Subscribe again later."))

    def _give_up(self, topic: Topic, error: Exception) -> None:
        self._drop(topic)
        topic.fail(error)

    async def _compare_versions(self) -> None:
        wallet_ids = list(islice(self._unchecked, CHECK_WALLETS_MAX))
        if not wallet_ids:
            return
        known = {
            wallet_id: (topic.wallet.version, topic.wallet.updated_at)
            for wallet_id in wallet_ids
            if (topic := self._topics.get(wallet_id)) is not None and topic.wallet is not None
        }
        stored = await self._source.versions(wallet_ids)
        for wallet_id in wallet_ids:
            self._unchecked.pop(wallet_id, None)
            topic = self._topics.get(wallet_id)
            # Also where less is stored than is known: that is for the read to tell.
            if topic is not None and wallet_id in known and known[wallet_id] != stored.get(wallet_id):
                self._mark(topic)


def _of_sequence(transactions: Iterable[Transaction], sequence: int) -> Transaction | None:
    return next((each for each in transactions if each.sequence == sequence), None)
