"""The hub against a source in memory, which lets a test stand still in the middle of a read."""

import asyncio
import gc
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, TypeVar
from uuid import UUID

import pytest

from app.domain.access import Actor, ActorKind
from app.domain.ledger import (
    CounterAccount,
    Transaction,
    TransactionKind,
    Wallet,
    WalletChange,
    WalletStatus,
)
from app.live import (
    Hub,
    InvalidResume,
    LiveUnavailable,
    SubscriberTooSlow,
    UnknownWallet,
    UpdateKind,
    WalletUpdate,
    reader as reader_module,
    store as store_module,
)

T = TypeVar("T")
SNAPSHOT, TRANSACTION, STATE = UpdateKind
WALLET = UUID(int=1)
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Ledger:
    """A database in memory. `gate` stops every read after it has looked, before it answers."""

    def __init__(self) -> None:
        self.now = NOW
        self.stored: dict[UUID, Wallet] = {}
        self.posted: dict[UUID, list[Transaction]] = {}
        self.reads: Counter[str] = Counter()
        self.gate = asyncio.Event()
        self.gate.set()
        self.stopped = asyncio.Event()
        self.broken = 0
        self.timeline = 1

    def open(self, wallet_id: UUID = WALLET) -> Wallet:
        wallet = Wallet(
            wallet_id, wallet_id, "USD", WalletStatus.ACTIVE, 0, 0, 0, 0, 0, b"", self.now, self.now, self.now
        )
        self.stored[wallet_id] = wallet
        self.posted[wallet_id] = []
        return wallet

    def post(self, wallet_id: UUID = WALLET, count: int = 1) -> WalletChange:
        wallet, fresh = self.stored[wallet_id], []
        follows = wallet.head_hash
        for _ in range(count):
            wallet = replace(
                wallet,
                posted_minor=wallet.posted_minor + 1,
                sequence=wallet.sequence + 1,
                version=wallet.version + 1,
                updated_at=self.now,
                head_hash=b"%d-%d" % (self.timeline, wallet.sequence + 1),
            )
            fresh.append(_transaction(wallet, self.now))
        self.stored[wallet_id] = wallet
        self.posted[wallet_id] += fresh
        return WalletChange(wallet, tuple(fresh), follows)

    def lose(self, wallet: Wallet) -> None:
        """Go back to what a wallet was once: a replica took over that knows no more."""
        self.stored[wallet.id] = wallet
        del self.posted[wallet.id][wallet.sequence :]
        self.timeline += 1
        self.now += timedelta(seconds=1)

    def hold(self, amount_minor: int, wallet_id: UUID = WALLET) -> WalletChange:
        wallet = self.stored[wallet_id]
        self.stored[wallet_id] = replace(
            wallet, held_minor=wallet.held_minor + amount_minor, version=wallet.version + 1
        )
        return WalletChange(self.stored[wallet_id])

    async def _answer(self, name: str, answer: T) -> T:
        self.reads[name] += 1
        if self.broken:
            self.broken -= 1
            raise ConnectionError("the database is away")
        if not self.gate.is_set():
            self.stopped.set()
            await self.gate.wait()
        else:
            await asyncio.sleep(0)
        return answer

    async def wallets(self, wallet_ids: Collection[UUID]) -> Sequence[Wallet]:
        return await self._answer("wallets", [self.stored[w] for w in wallet_ids if w in self.stored])

    async def versions(self, wallet_ids: Collection[UUID]) -> Mapping[UUID, tuple[int, datetime]]:
        found = {
            w: (self.stored[w].version, self.stored[w].updated_at) for w in wallet_ids if w in self.stored
        }
        return await self._answer("versions", found)

    async def transactions(self, wallet_id: UUID, after: int, limit: int) -> Sequence[Transaction]:
        return await self._answer("transactions", self.posted[wallet_id][after : after + limit])

    async def transactions_of(self, positions: Mapping[UUID, int], limit: int) -> Sequence[Transaction]:
        found = [t for wallet_id, after in sorted(positions.items()) for t in self.posted[wallet_id][after:]]
        return await self._answer("transactions_of", found[:limit])

    async def sequences_before(self, wallet_ids: Collection[UUID], before: datetime) -> Mapping[UUID, int]:
        found = {w: sum(t.created_at < before for t in self.posted[w]) for w in wallet_ids}
        return await self._answer("sequences_before", found)

    async def sequences_since(self, since: datetime) -> Mapping[UUID, int]:
        found = {w: p[-1].sequence for w, p in self.posted.items() if p and p[-1].created_at >= since}
        return await self._answer("sequences_since", found)


def _transaction(wallet: Wallet, now: datetime) -> Transaction:
    return Transaction(
        id=UUID(int=wallet.id.int << 32 | wallet.sequence),
        wallet_id=wallet.id,
        sequence=wallet.sequence,
        reference=f"TX-{wallet.id.int}-{wallet.sequence}",
        kind=TransactionKind.ADJUSTMENT,
        counter_account=CounterAccount.ADJUSTMENTS,
        amount_minor=1,
        balance_after_minor=wallet.posted_minor,
        currency="USD",
        reason=None,
        note="",
        actor=Actor(ActorKind.STAFF, "ann"),
        corrects_id=None,
        hold_id=None,
        created_at=now,
        allocations=(),
        hash=wallet.head_hash,
    )


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger()
    ledger.open()
    return ledger


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "backoff_s", lambda attempt: 0.001)


@pytest.fixture
async def hub(ledger: Ledger) -> AsyncIterator[Hub]:
    hub = Hub(ledger, queue_max=8, clock=lambda: ledger.now)
    async with hub.running():
        yield hub
    assert (hub.topic_count, hub.subscriber_count, hub.is_empty) == (0, 0, True)


@asynccontextmanager
async def following(
    hub: Hub, after: int | None = None, wallet_id: UUID = WALLET
) -> AsyncIterator[AsyncIterator[WalletUpdate]]:
    stream: Any = hub.wallet_updates(wallet_id, after)
    async with aclosing(stream):
        yield stream


async def take(stream: AsyncIterator[T], count: int) -> list[T]:
    async with asyncio.timeout(5):
        return [await anext(stream) for _ in range(count)]


async def silent(stream: AsyncIterator[T]) -> "asyncio.Task[T]":
    """Begin to wait for the next item, and see that it doesn't come."""
    waiting = asyncio.ensure_future(anext(stream))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not waiting.done()
    return waiting


async def dismiss(*waiting: "asyncio.Task[Any]") -> None:
    """Cancel, and wait until it is over."""
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


def told(updates: list[WalletUpdate]) -> list[tuple[UpdateKind, int]]:
    return [(update.kind, update.sequence) for update in updates]


# --- one wallet -------------------------------------------------------------------------------------------------


async def test_first_the_present_state_then_each_change_without_a_read(hub: Hub, ledger: Ledger) -> None:
    ledger.post(count=3)
    async with following(hub) as stream:
        assert told(await take(stream, 1)) == [(SNAPSHOT, 3)]
        ledger.reads.clear()
        hub.publish([ledger.post(count=2)])
        hub.publish([ledger.hold(5)])
        updates = await take(stream, 2)
        assert told(updates) == [(TRANSACTION, 4), (TRANSACTION, 5)]
        assert updates[0].transaction is not None
        assert updates[0].transaction.balance_after_minor == 4
        waiting = await silent(stream)
        hub.publish([ledger.hold(1), ledger.hold(1)])
        state = await waiting
        assert (state.kind, state.sequence, state.wallet.held_minor) == (STATE, 5, 7)
        assert not ledger.reads


async def test_one_read_serves_all_subscribers(hub: Hub, ledger: Ledger) -> None:
    streams: list[Any] = [hub.wallet_updates(WALLET) for _ in range(50)]
    assert {told(await task)[0] for task in [asyncio.ensure_future(take(s, 1)) for s in streams]} == {
        (SNAPSHOT, 0)
    }
    waiting = [await silent(stream) for stream in streams]
    change = ledger.post()
    hub.notice(WALLET, 0, 1, change.wallet.version)
    assert {(u.kind, u.sequence) for u in await asyncio.gather(*waiting)} == {(TRANSACTION, 1)}
    assert ledger.reads == {"wallets": 2, "transactions_of": 1}
    for stream in streams:
        await stream.aclose()


async def test_who_is_at_the_same_place_takes_the_same_step(hub: Hub, ledger: Ledger) -> None:
    ahead, beside, late = feeds = [hub.follow(WALLET) for _ in range(3)]
    known = asyncio.Event()
    for feed in feeds:
        feed.open(known.set)
    topic = ahead._topic
    assert topic is not None
    await asyncio.wait_for(known.wait(), 5)
    snapshot = ahead.take()
    assert snapshot is not None
    assert beside.take() is snapshot
    hub.publish([ledger.post(count=2)])
    first = ahead.take()
    assert first is not None
    assert (beside.take() is first, ahead.take()) == (True, beside.take())
    begun = late.take()
    assert begun is not None
    assert [(u.kind, u.sequence) for u in (first, begun)] == [
        (UpdateKind.TRANSACTION, 1),
        (UpdateKind.SNAPSHOT, 2),
    ]
    assert [feed.take() for feed in feeds] == [None] * 3
    assert (topic.step, topic.recent) == (None, [])
    for feed in feeds:
        feed.close()


async def test_resume_gives_what_was_missed_then_a_snapshot(hub: Hub, ledger: Ledger) -> None:
    ledger.post(count=500)
    async with following(hub, after=0) as stream:
        updates = await take(stream, 501)
        assert told(updates) == [*((TRANSACTION, n) for n in range(1, 501)), (SNAPSHOT, 500)]
        hub.publish([ledger.post()])
        assert told(await take(stream, 1)) == [(TRANSACTION, 501)]


async def test_resume_at_the_end_gives_the_snapshot_at_once(hub: Hub, ledger: Ledger) -> None:
    ledger.post(count=2)
    async with following(hub, after=2) as stream:
        assert told(await take(stream, 1)) == [(SNAPSHOT, 2)]


@pytest.mark.parametrize(("after", "says"), [(-1, "0 or more"), (3, "its last one is 2")])
async def test_a_number_that_was_never_reached_is_refused(
    hub: Hub, ledger: Ledger, after: int, says: str
) -> None:
    ledger.post(count=2)
    async with following(hub, after=after) as stream:
        with pytest.raises(InvalidResume, match=says):
            await anext(stream)


async def test_a_number_that_only_another_process_knows_of_is_accepted(hub: Hub, ledger: Ledger) -> None:
    async with following(hub) as first, following(hub, after=2) as second:
        await take(first, 1)
        # Committed elsewhere, and not a word of it yet.
        ledger.post(count=2)
        assert told(await take(second, 1)) == [(SNAPSHOT, 2)]
        assert told(await take(first, 2)) == [(TRANSACTION, 1), (TRANSACTION, 2)]


async def test_an_unknown_wallet_is_told_as_such(hub: Hub) -> None:
    async with following(hub, wallet_id=UUID(int=404)) as stream:
        with pytest.raises(UnknownWallet):
            await anext(stream)


async def test_a_change_between_the_look_and_the_answer_of_the_first_read(hub: Hub, ledger: Ledger) -> None:
    ledger.gate.clear()
    async with following(hub) as stream:
        waiting = asyncio.ensure_future(take(stream, 2))
        await ledger.stopped.wait()
        hub.publish([ledger.post()])
        ledger.gate.set()
        assert told(await waiting) == [(SNAPSHOT, 0), (TRANSACTION, 1)]


async def test_a_change_that_the_read_saw_is_not_told_again(hub: Hub, ledger: Ledger) -> None:
    async with following(hub) as stream:
        change = ledger.post()
        assert told(await take(stream, 1)) == [(SNAPSHOT, 1)]
        hub.publish([change])
        hub.notice(WALLET, 0, 1, 1)
        await dismiss(await silent(stream))


async def test_publications_out_of_order_with_other_processes(hub: Hub, ledger: Ledger) -> None:
    async with following(hub) as stream:
        await take(stream, 1)
        ours, theirs, ours_again = ledger.post(), ledger.post(), ledger.post()
        hub.notice(WALLET, 1, 2, theirs.wallet.version)
        hub.publish([ours])
        hub.publish([ours_again])
        assert told(await take(stream, 3)) == [(TRANSACTION, n) for n in (1, 2, 3)]
        await dismiss(await silent(stream))


def _only_lost(hub: Hub, ledger: Ledger) -> None:
    """Nothing happened since: it is found by comparing."""
    hub.recheck()


def _as_many_again(hub: Hub, ledger: Ledger) -> None:
    """What came since has the very numbers of what was lost."""
    ledger.post(count=2)
    hub.recheck()


def _more_by_another_process(hub: Hub, ledger: Ledger) -> None:
    wallet = ledger.post(count=3).wallet
    hub.notice(WALLET, 1, wallet.sequence, wallet.version)


def _as_many_by_this_process(hub: Hub, ledger: Ledger) -> None:
    hub.publish([ledger.post(count=2)])


def _by_both_processes(hub: Hub, ledger: Ledger) -> None:
    """This one posts what seems to follow on what it knew, which was lost."""
    ledger.post(count=2)
    hub.publish([ledger.post()])


def _held_by_this_process(hub: Hub, ledger: Ledger) -> None:
    ledger.post(count=2)
    hub.publish([replace(ledger.hold(1), follows=ledger.stored[WALLET].head_hash)])


@pytest.mark.parametrize(
    "happens",
    [
        _only_lost,
        _as_many_again,
        _more_by_another_process,
        _as_many_by_this_process,
        _by_both_processes,
        _held_by_this_process,
    ],
)
async def test_who_was_told_what_the_database_lost_is_told_so(
    hub: Hub, ledger: Ledger, happens: Callable[[Hub, Ledger], None]
) -> None:
    ledger.post()
    before = ledger.stored[WALLET]
    async with following(hub) as stream:
        assert (await take(stream, 1))[0].sequence == 1
        hub.publish([ledger.post(count=2)])
        assert [update.sequence for update in await take(stream, 2)] == [2, 3]
        ledger.lose(before)
        happens(hub, ledger)
        with pytest.raises(InvalidResume, match="without a sequence number"):
            await take(stream, 1)
    async with following(hub) as stream:
        (update,) = await take(stream, 1)
        assert (update.kind, update.wallet) == (SNAPSHOT, ledger.stored[WALLET])


async def test_a_slow_subscriber_costs_nothing_and_reads_on_from_its_own_place(
    hub: Hub, ledger: Ledger
) -> None:
    async with following(hub) as slow, following(hub) as quick:
        await take(slow, 1)
        await take(quick, 1)
        for n in range(1, 101):
            hub.publish([ledger.post()])
            assert told(await take(quick, 1)) == [(TRANSACTION, n)]
        assert len(hub._topics[WALLET].recent) == 8
        assert told(await take(slow, 100)) == [(TRANSACTION, n) for n in range(1, 101)]
        waiting = [await silent(slow), await silent(quick)]
        assert hub._topics[WALLET].recent == []
        await dismiss(*waiting)


async def test_an_outage_is_waited_out(hub: Hub, ledger: Ledger) -> None:
    ledger.broken = 5
    async with following(hub) as stream:
        assert told(await take(stream, 1)) == [(SNAPSHOT, 0)]
        ledger.broken = 3
        ledger.post()
        hub.recheck()
        assert told(await take(stream, 1)) == [(TRANSACTION, 1)]
    assert hub.is_healthy


async def test_a_wallet_that_can_not_be_read_ends_its_subscription_only(
    hub: Hub, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = UUID(int=2)
    ledger.open(other)
    honest = ledger.wallets

    async def wallets(wallet_ids: Collection[UUID]) -> Sequence[Wallet]:
        if WALLET in wallet_ids:
            raise ValueError("a row that can't be decoded")
        return await honest(wallet_ids)

    monkeypatch.setattr(ledger, "wallets", wallets)
    async with following(hub) as bad, following(hub, wallet_id=other) as good:
        results = await asyncio.gather(take(bad, 1), take(good, 1), return_exceptions=True)
        assert isinstance(results[0], LiveUnavailable)
        assert isinstance(results[1], list)


async def test_publishing_never_raises(hub: Hub, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    async with following(hub) as stream:
        await take(stream, 1)
        monkeypatch.setattr(hub._topics[WALLET].__class__, "hear", lambda *_: 1 / 0)
        hub.publish([ledger.post()])
        assert told(await take(stream, 1)) == [(TRANSACTION, 1)]


async def test_subscribers_may_be_cancelled_anywhere(hub: Hub, ledger: Ledger) -> None:
    async def follow(after: int | None) -> None:
        async with following(hub, after) as stream:
            async for _ in stream:
                await asyncio.sleep(0)

    ledger.post(count=30)
    for turns in range(40):
        tasks = [asyncio.ensure_future(follow(after)) for after in (None, 0, 25, 30)]
        for _ in range(turns):
            await asyncio.sleep(0)
        hub.publish([ledger.post()])
        tasks.append(asyncio.ensure_future(_drain(hub)))
        await asyncio.sleep(0)
        await dismiss(*tasks)
        assert (hub.topic_count, hub.subscriber_count, hub.is_empty) == (0, 0, True)
        assert not hub._dirty
        assert hub._store is None


async def _drain(hub: Hub) -> None:
    async for _ in hub.store_transactions():
        pass


async def test_stopping_ends_the_subscriptions(ledger: Ledger) -> None:
    hub = Hub(ledger)
    async with hub.running():
        stream, store = hub.wallet_updates(WALLET), hub.store_transactions()
        await take(stream, 1)
        ends = [await silent(stream), await silent(store)]
    results = await asyncio.gather(*ends, return_exceptions=True)
    assert [type(result) for result in results] == [StopAsyncIteration] * 2
    assert hub.subscriber_count == 0


async def test_an_idle_subscriber_is_small(hub: Hub, ledger: Ledger) -> None:

    count = 500
    for n in range(count):
        ledger.open(UUID(int=n + 10))
    gc.collect()
    tracemalloc.start()
    streams: list[Any] = [hub.wallet_updates(UUID(int=n + 10)) for n in range(count)]
    waiting = []
    for stream in streams:
        await take(stream, 1)
        waiting.append(asyncio.ensure_future(anext(stream)))
    await asyncio.sleep(0)
    gc.collect()
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # With its topic and the test's own task.
    assert used / count < 6_000
    await dismiss(*waiting)


# --- the whole store --------------------------------------------------------------------------------------------


def entries(items: Sequence[tuple[Wallet, Transaction]]) -> list[tuple[int, int]]:
    return [(wallet.id.int, transaction.sequence) for wallet, transaction in items]


@pytest.fixture
def many(ledger: Ledger) -> list[UUID]:
    ids = [UUID(int=n) for n in range(1, 6)]
    for wallet_id in ids:
        ledger.open(wallet_id)
        ledger.now = NOW - timedelta(days=1)
        ledger.post(wallet_id, 3)
        ledger.now = NOW
    return ids


async def test_the_store_begins_with_what_comes(hub: Hub, ledger: Ledger, many: list[UUID]) -> None:
    ledger.post(many[0])
    async with aclosing(hub.store_transactions()) as stream:
        waiting = await silent(stream)
        hub.publish([ledger.post(many[0]), ledger.post(many[1], 2), ledger.hold(1, many[2])])
        assert entries([await waiting, *await take(stream, 2)]) == [(1, 5), (2, 4), (2, 5)]
        ledger.reads.clear()
        hub.publish([ledger.post(many[1])])
        assert entries(await take(stream, 1)) == [(2, 6)]
        assert not ledger.reads


async def test_the_store_tells_what_is_heard_of_during_its_first_read(
    hub: Hub, ledger: Ledger, many: list[UUID]
) -> None:
    ledger.gate.clear()
    async with aclosing(hub.store_transactions()) as stream:
        waiting = asyncio.ensure_future(take(stream, 3))
        await ledger.stopped.wait()
        hub.publish([ledger.post(many[0])])
        theirs = ledger.post(many[1], 2)
        hub.notice(many[1], 3, 5, theirs.wallet.version)
        ledger.gate.set()
        assert sorted(entries(await waiting)) == [(1, 4), (2, 4), (2, 5)]


async def test_the_store_tells_also_what_its_first_read_has_seen(
    hub: Hub, ledger: Ledger, many: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, begun, go = ledger.sequences_since, asyncio.Event(), asyncio.Event()

    async def look_late(since: datetime) -> Mapping[UUID, int]:
        begun.set()
        await go.wait()
        return await honest(since)

    monkeypatch.setattr(ledger, "sequences_since", look_late)
    ledger.post(many[0])
    async with aclosing(hub.store_transactions()) as stream:
        waiting = asyncio.ensure_future(take(stream, 3))
        await begun.wait()
        hub.publish([ledger.post(many[0])])
        theirs = ledger.post(many[1], 2)
        hub.notice(many[1], 3, 5, theirs.wallet.version)
        go.set()
        assert sorted(entries(await waiting)) == [(1, 5), (2, 4), (2, 5)]


async def test_the_store_reads_page_by_page(
    hub: Hub, ledger: Ledger, many: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "READ_TRANSACTIONS_MAX", 7)
    monkeypatch.setattr(store_module, "READ_WALLETS_MAX", 2)
    async with aclosing(hub.store_transactions()) as stream:
        waiting = await silent(stream)
        for wallet_id in many:
            ledger.post(wallet_id, 20)
        ledger.broken = 1
        hub.recheck()
        found = entries([await waiting, *await take(stream, 99)])
        assert sorted(found) == [(n, sequence) for n in range(1, 6) for sequence in range(4, 24)]
        await dismiss(await silent(stream))


async def test_the_store_keeps_the_order_when_notices_come_late(
    hub: Hub, ledger: Ledger, many: list[UUID]
) -> None:
    async with aclosing(hub.store_transactions()) as stream:
        waiting = await silent(stream)
        theirs, ours = ledger.post(many[0]), ledger.post(many[0])
        hub.publish([ours])
        hub.notice(many[0], 3, 4, theirs.wallet.version)
        assert entries([await waiting, *await take(stream, 1)]) == [(1, 4), (1, 5)]
        await dismiss(await silent(stream))


async def test_the_store_finds_what_nobody_told_of(
    hub: Hub, ledger: Ledger, many: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "POSITIONS_MAX", 0)
    async with aclosing(hub.store_transactions()) as stream:
        waiting = await silent(stream)
        for day in range(3):
            ledger.now = NOW + timedelta(days=day)
            for wallet_id in many:
                ledger.post(wallet_id, 2)
            hub.recheck()
            found = entries([await waiting, *await take(stream, 9)])
            assert sorted(found) == [(n, 4 + 2 * day + i) for n in range(1, 6) for i in range(2)]
            ledger.now += timedelta(minutes=5)
            hub.recheck()
            waiting = await silent(stream)
            assert not hub._store or not hub._store._positions
        await dismiss(waiting)


async def test_a_slow_follower_of_the_store_misses_nothing(
    hub: Hub, ledger: Ledger, many: list[UUID]
) -> None:
    stream: Any = hub.store_transactions()
    quick: Any = hub.store_transactions()
    random = Random(4)
    async with aclosing(stream), aclosing(quick):
        waiting, ahead = await silent(stream), asyncio.ensure_future(take(quick, 300))
        seen: list[tuple[int, int]] = []
        for n in range(300):
            hub.publish([ledger.post(random.choice(many))])
            await asyncio.sleep(0)
            if n % 10 == 0 and n < 200:
                seen += entries([await waiting] if not seen else await take(stream, 1))
        assert hub._store is not None
        assert len(hub._store._log) <= 8
        seen += entries(await take(stream, 300 - len(seen)))
        for listed in (seen, entries(await ahead)):
            for wallet_id in many:
                mine = [sequence for number, sequence in listed if number == wallet_id.int]
                assert mine == list(range(4, len(ledger.posted[wallet_id]) + 1))


async def test_a_hopeless_follower_is_given_up(
    hub: Hub, ledger: Ledger, many: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MISSED_WALLETS_MAX", 2)
    async with aclosing(hub.store_transactions()) as stream:
        waiting = await silent(stream)
        for _ in range(20):
            for wallet_id in many:
                hub.publish([ledger.post(wallet_id)])
            for _ in range(3):
                await asyncio.sleep(0)
        await waiting
        with pytest.raises(SubscriberTooSlow, match="More than 2 wallets"):
            await take(stream, 101)


# --- at random --------------------------------------------------------------------------------------------------


class Storm:
    """Commits that are published, noticed late and in any order, or found by comparing only."""

    def __init__(self, hub: Hub, ledger: Ledger, wallet_ids: list[UUID], seed: int) -> None:
        self.hub, self.ledger, self.wallet_ids, self.random = hub, ledger, wallet_ids, Random(seed)
        self.done = False
        self.store: dict[UUID, list[int]] = {wallet_id: [] for wallet_id in wallet_ids}
        self.complete = asyncio.Event()

    async def write(self) -> None:
        random = self.random
        for _ in range(400):
            change = self.ledger.post(random.choice(self.wallet_ids), random.randint(1, 3))
            self.tell(change, random.random())
            self.ledger.broken = int(random.random() < 0.02)
            if random.random() < 0.3:
                await asyncio.sleep(random.random() / 1000)
            if random.random() < 0.05:
                self.hub.recheck(random.choice([None, 10.0]))

    def tell(self, change: WalletChange, how: float) -> None:
        wallet, count = change.wallet, len(change.transactions)
        notice = (wallet.id, wallet.sequence - count, wallet.sequence, wallet.version)
        if how < 0.5:
            self.hub.publish([change])
        elif how < 0.9:
            asyncio.get_running_loop().call_later(how / 200, self.hub.notice, *notice)

    async def follow(self, wallet_id: UUID) -> None:
        """Come and go, resuming each time, until everything was seen."""
        position: int | None = None
        while not self.done or position != self.ledger.stored[wallet_id].sequence:
            with suppress(TimeoutError):
                async with (
                    following(self.hub, position, wallet_id) as stream,
                    asyncio.timeout(self.random.random() / 20),
                ):
                    async for update in stream:
                        expected = (position or 0) + 1 if update.kind is TRANSACTION else position
                        assert update.sequence == expected or position is None
                        assert update.wallet.sequence >= update.sequence
                        position = update.sequence
                        await self.linger()

    async def follow_store(self, stream: AsyncIterator[tuple[Wallet, Transaction]]) -> None:
        async for wallet, transaction in stream:
            self.store[wallet.id].append(transaction.sequence)
            if self.done and self.seen() == self.posted():
                self.complete.set()
            await self.linger()

    async def linger(self) -> None:
        if self.random.random() < 0.05:
            await asyncio.sleep(self.random.random() / 200)

    def seen(self) -> dict[UUID, int]:
        return {wallet_id: max(sequences, default=3) for wallet_id, sequences in self.store.items()}

    def posted(self) -> dict[UUID, int]:
        return {wallet_id: self.ledger.stored[wallet_id].sequence for wallet_id in self.wallet_ids}


@pytest.mark.parametrize("seed", range(10))
async def test_a_storm_heard_of_in_every_way(hub: Hub, ledger: Ledger, many: list[UUID], seed: int) -> None:
    storm = Storm(hub, ledger, many, seed)
    stream: Any = hub.store_transactions()
    async with aclosing(stream), asyncio.timeout(20):
        storing = asyncio.ensure_future(storm.follow_store(stream))
        await asyncio.sleep(0.005)
        followers = [asyncio.ensure_future(storm.follow(many[n % 5])) for n in range(12)]
        await storm.write()
        await asyncio.sleep(0.01)
        ledger.broken, storm.done = 0, True
        hub.publish([ledger.post(wallet_id) for wallet_id in many])
        hub.recheck()
        await asyncio.gather(*followers, storm.complete.wait())
        await dismiss(storing)
    assert storm.store == {wallet_id: list(range(4, last + 1)) for wallet_id, last in storm.posted().items()}
