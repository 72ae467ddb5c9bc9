"""Live balances over real databases: several writers, lost listeners, subscribers that come and go."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import pytest
from tortoise.connection import get_connection
from tortoise.context import TortoiseContext

from app.domain.hold import Hold
from app.domain.ledger import Draft, Transaction, Wallet
from app.domain.wallet import freeze
from app.live import Hub, InvalidResume, PostgresListener, SqliteWatcher, UnknownWallet, UpdateKind
from app.services.ledger.command import Command, WalletRef
from app.services.ledger.mint import RandomMint
from app.services.ledger.writer import Writer
from app.services.live import DatabaseSource, live_hub
from app.settings import Settings
from tests.databases import settings_for
from tests.fork_server import Forked, fork_server
from tests.services.live_writer import ACTOR, credit, hold, storm

T = TypeVar("T")
SNAPSHOT, TRANSACTION, STATE = UpdateKind
CUSTOMERS = [f"c-{n}" for n in range(6)]
PROJECT = Path(__file__).parents[2]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 — a property tells of nothing by itself
            await asyncio.sleep(0.01)


class Shop:
    """A writer, a hub and its listener in one process, over the test's database."""

    def __init__(
        self, settings: Settings, name: str = "here", hear_rights: Callable[[], None] = lambda: None
    ) -> None:
        self.settings = settings
        self.hub, self.listener = live_hub(
            settings,
            process=name,
            clock=lambda: datetime.now(UTC),
            hear_rights=hear_rights,
            hear_version=self._outdate,
        )
        self.writer = Writer(
            currency="USD",
            mint=RandomMint(),
            clock=lambda: datetime.now(UTC),
            publish=self.hub.publish,
            tell=self.listener.tell,
            process=name,
        )

    def _outdate(self, wallet_id: UUID, version: int) -> None:
        self.writer.outdate(wallet_id, version)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Shop"]:
        async with self.hub.running(self.listener):
            self.writer.start()
            await until(lambda: self.listener.is_healthy)
            yield self
            await self.writer.stop()
            assert (self.hub.topic_count, self.hub.subscriber_count, self.hub.is_empty) == (0, 0, True)

    async def credit(self, customer: str = "c-0") -> Wallet:
        outcome = await self.writer.submit(credit(customer))
        assert outcome.wallet is not None
        return outcome.wallet

    async def wallets(self) -> dict[str, UUID]:
        return {customer: (await self.credit(customer)).id for customer in CUSTOMERS}


@pytest.fixture
def settings(database_url: str) -> Settings:
    return settings_for(database_url, live_poll_interval_s=0.02, live_queue_max=16)


@pytest.fixture
async def shop(settings: Settings, database: TortoiseContext) -> AsyncIterator[Shop]:
    async with Shop(settings).open() as shop:
        yield shop


@asynccontextmanager
async def elsewhere(settings: Settings, seed: int, count: int) -> AsyncIterator[Forked]:
    """Another process that writes; leaving waits until it is done."""
    arguments = [settings.database_url, str(seed), str(count), *CUSTOMERS]
    live_url = {} if settings.live_url is None else {"COFFER_LIVE_URL": settings.live_url.get_secret_value()}
    process = fork_server().start(
        "tests.services.live_writer", *arguments, cwd=PROJECT, environment=os.environ | live_url, stderr=2
    )
    yield process
    assert await asyncio.to_thread(process.wait, 60) == 0


async def take(stream: AsyncIterator[T], count: int) -> list[T]:
    async with asyncio.timeout(10):
        return [await anext(stream) for _ in range(count)]


class Crowd:
    """Subscribers of all wallets who come and go, and check that they are told 1..n without gap or repeat."""

    def __init__(self, hub: Hub, wallets: dict[str, UUID], seed: int = 1) -> None:
        self.hub, self.wallets, self.random = hub, wallets, Random(seed)
        self.last: dict[UUID, int] | None = None
        self.store: dict[UUID, list[int]] = {wallet_id: [] for wallet_id in wallets.values()}
        self.store_complete = asyncio.Event()

    @asynccontextmanager
    async def watching(self, source: DatabaseSource) -> AsyncIterator[None]:
        """Watch during the block, and then until everything that is committed was told."""
        stream = self.hub.store_transactions()
        async with aclosing(stream):
            storing = asyncio.create_task(self._follow_store(stream))
            await asyncio.sleep(0.1)
            first = {w.id: w.sequence for w in await source.wallets(list(self.wallets.values()))}
            followers = [
                asyncio.create_task(self._follow(wallet_id, slow=slow))
                for wallet_id in self.wallets.values()
                for slow in (False, False, True)
            ]
            yield
            self.last = {w.id: w.sequence for w in await source.wallets(list(self.wallets.values()))}
            self._check_store()
            try:
                async with asyncio.timeout(20):
                    await asyncio.gather(*followers, self.store_complete.wait())
            finally:
                for task in (storing, *followers):
                    task.cancel()
                await asyncio.gather(storing, *followers, return_exceptions=True)
        assert self.store == {w: list(range(first[w] + 1, n + 1)) for w, n in self.last.items()}
        assert sum(self.last.values()) > sum(first.values())

    async def _follow(self, wallet_id: UUID, *, slow: bool) -> None:
        position = 0
        while self.last is None or position < self.last[wallet_id]:
            stream = self.hub.wallet_updates(wallet_id, position)
            with suppress(TimeoutError):
                async with aclosing(stream), asyncio.timeout(self.random.uniform(0, 0.5)):
                    async for update in stream:
                        assert update.sequence == position + (update.kind is TRANSACTION)
                        position = update.sequence
                        assert update.wallet.sequence >= position
                        if slow and self.random.random() < 0.2:
                            await asyncio.sleep(self.random.random() / 20)
        assert self.last is not None
        assert position == self.last[wallet_id]

    async def _follow_store(self, stream: AsyncIterator[tuple[Wallet, Transaction]]) -> None:
        async for wallet, transaction in stream:
            assert wallet.sequence >= transaction.sequence
            self.store[wallet.id].append(transaction.sequence)
            self._check_store()
            if self.random.random() < 0.02:
                await asyncio.sleep(0.02)

    def _check_store(self) -> None:
        if self.last == {wallet_id: max(told, default=0) for wallet_id, told in self.store.items()}:
            self.store_complete.set()


# --- one process ------------------------------------------------------------------------------------------------


async def test_a_snapshot_then_every_change(shop: Shop) -> None:
    wallet = await shop.credit()
    async with aclosing(shop.hub.wallet_updates(wallet.id)) as stream:
        (snapshot,) = await take(stream, 1)
        assert (snapshot.kind, snapshot.sequence, snapshot.wallet) == (SNAPSHOT, 1, wallet)
        after = await shop.credit()
        (update,) = await take(stream, 1)
        assert (update.kind, update.sequence, update.wallet) == (TRANSACTION, 2, after)
        await shop.writer.submit(hold("c-0"))
        (update,) = await take(stream, 1)
        assert (update.kind, update.transaction, update.wallet.held_minor) == (STATE, None, 1)

        def stop(draft: Draft) -> Hold | None:
            freeze(draft, note="", actor=ACTOR)
            return None

        await shop.writer.submit(Command("freeze", ACTOR, WalletRef(wallet_id=wallet.id), stop))
        (update,) = await take(stream, 1)
        assert (update.kind, update.wallet.status) == (STATE, "FROZEN")


async def test_resume_reads_what_was_missed_as_it_was_posted(shop: Shop) -> None:
    wallet = await shop.credit()
    async with aclosing(shop.hub.wallet_updates(wallet.id)) as stream:
        await take(stream, 1)
        for _ in range(20):
            wallet = await shop.credit()
        live = [update.transaction for update in await take(stream, 20)]
    async with aclosing(shop.hub.wallet_updates(wallet.id, 1)) as stream:
        updates = await take(stream, 21)
    assert [update.kind for update in updates] == [TRANSACTION] * 20 + [SNAPSHOT]
    assert updates[-1].wallet == wallet
    for told, read in zip(live, updates, strict=False):
        assert told is not None
        assert read.transaction is not None
        # All but the allocations, which the hub doesn't read.
        names = set(Transaction.__dataclass_fields__) - {"allocations"}
        assert {n: getattr(told, n) for n in names} == {n: getattr(read.transaction, n) for n in names}


async def test_refusals(shop: Shop) -> None:
    wallet = await shop.credit()
    for after in (-1, 2):
        with pytest.raises(InvalidResume):
            await anext(shop.hub.wallet_updates(wallet.id, after))
    with pytest.raises(UnknownWallet):
        await anext(shop.hub.wallet_updates(UUID(int=404)))


@pytest.mark.slow
async def test_a_storm_in_one_process(shop: Shop) -> None:
    wallets = await shop.wallets()
    async with Crowd(shop.hub, wallets).watching(DatabaseSource(_dialect(shop))):
        await asyncio.gather(*(storm(shop.writer, Random(seed), 300, CUSTOMERS) for seed in range(3)))


async def test_a_slow_subscriber_is_bounded_and_catches_up(shop: Shop) -> None:
    wallet = await shop.credit()
    async with aclosing(shop.hub.wallet_updates(wallet.id)) as stream:
        await take(stream, 1)
        for _ in range(10):
            await asyncio.gather(*(shop.credit() for _ in range(50)))
        assert len(shop.hub._topics[wallet.id].recent) == 16
        assert [update.sequence for update in await take(stream, 500)] == list(range(2, 502))


async def test_cancelled_subscribers_leave_nothing(shop: Shop) -> None:
    wallet = await shop.credit()
    await asyncio.gather(*(shop.credit() for _ in range(60)))

    async def follow(after: int | None) -> None:
        async with aclosing(shop.hub.wallet_updates(wallet.id, after)) as stream:
            async for _ in stream:
                pass

    async def follow_store() -> None:
        async with aclosing(shop.hub.store_transactions()) as stream:
            async for _ in stream:
                pass

    random = Random(5)
    for _ in range(60):
        tasks = [asyncio.create_task(follow(after)) for after in (None, 0, 61)]
        tasks.append(asyncio.create_task(follow_store()))
        await asyncio.sleep(random.random() / 100)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (shop.hub.topic_count, shop.hub.subscriber_count) == (0, 0)
    # The database still answers.
    async with aclosing(shop.hub.wallet_updates(wallet.id)) as stream:
        assert (await take(stream, 1))[0].sequence == 61


# --- several processes ------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_storm_from_here_and_from_two_other_processes(shop: Shop) -> None:
    wallets = await shop.wallets()
    async with (
        Crowd(shop.hub, wallets).watching(DatabaseSource(_dialect(shop))),
        elsewhere(shop.settings, 1, 300),
        elsewhere(shop.settings, 2, 300),
    ):
        await storm(shop.writer, Random(3), 300, CUSTOMERS)
    assert shop.listener.is_healthy
    assert shop.listener.lag_s == 0


@pytest.mark.slow
@pytest.mark.parametrize("dialect", [pytest.param("postgres", marks=pytest.mark.postgres)])
async def test_a_listener_that_is_killed_in_the_storm(shop: Shop) -> None:
    wallets = await shop.wallets()
    killed = storms = 0
    async with Crowd(shop.hub, wallets).watching(DatabaseSource("postgres")):
        admin = await asyncpg.connect(shop.settings.database_url)
        while killed < 3:
            # On a busy machine a storm may be over before the listener has come back twice.
            storms += 1
            async with elsewhere(shop.settings, storms, 800) as other:
                while other.poll() is None:
                    killed += len(
                        await admin.fetch(
                            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                            "WHERE application_name = 'coffer listener' AND datname = current_database()"
                        )
                    )
                    await asyncio.sleep(0.15)
        await admin.close()


@pytest.mark.parametrize("dialect", [pytest.param("postgres", marks=pytest.mark.postgres)])
async def test_nonsense_on_the_channel_does_no_harm(shop: Shop) -> None:
    wallet = await shop.credit()
    async with aclosing(shop.hub.wallet_updates(wallet.id)) as stream:
        await take(stream, 1)
        writer = get_connection("writer")
        for payload in (
            "",
            "[]",
            '{"process":"x"}',
            '{"process":"x","wallets":[[1]]}',
            '{"process":"x","wallets":7}',
        ):
            await writer.execute_query("SELECT pg_notify('coffer', $1)", [payload])
        future = f'{{"process":"x","wallets":[["{wallet.id}",8,9,{2**62}]]}}'
        await writer.execute_query("SELECT pg_notify('coffer', $1)", [future])
        await asyncio.sleep(0.05)
        await shop.credit()
        assert [update.sequence for update in await take(stream, 1)] == [2]
        assert shop.listener.is_healthy


@pytest.mark.parametrize("dialect", [pytest.param("postgres", marks=pytest.mark.postgres)])
async def test_a_listener_that_finds_no_server_says_so_and_keeps_trying(shop: Shop) -> None:
    listener = PostgresListener(shop.hub, "postgresql://nobody@127.0.0.1:1/none", process="x")
    task = asyncio.create_task(listener.run())
    await asyncio.sleep(0.2)
    assert not task.done()
    assert not listener.is_healthy
    assert listener.lag_s > 0.1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_commit_that_nobody_told_of_is_found(
    settings: Settings, database: TortoiseContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As when the answer to a commit is lost with its connection, and the second try has nothing to tell.
    monkeypatch.setattr("app.live.hub.CHECK_INTERVAL_S", 0.1)
    monkeypatch.setattr(SqliteWatcher, "run", _sleep)
    async with Shop(settings).open() as shop:
        wallet = await shop.credit()
        stream, store = shop.hub.wallet_updates(wallet.id), shop.hub.store_transactions()
        async with aclosing(stream), aclosing(store):
            await take(stream, 1)
            entry = asyncio.create_task(take(store, 1))
            await asyncio.sleep(0.05)
            shop.writer._publish = lambda changes: None
            await shop.credit()
            assert [update.sequence for update in await take(stream, 1)] == [2]
            assert [transaction.sequence for _, transaction in await entry] == [2]


async def test_the_watcher_sleeps_while_nobody_listens() -> None:
    polls = 0

    async def data_version() -> int:
        nonlocal polls
        polls += 1
        return 1

    hub = Hub(_Empty())
    watcher = SqliteWatcher(hub, data_version, interval_s=0.001)
    async with hub.running(watcher):
        await asyncio.sleep(0.02)
        assert polls == 0
        waiting = asyncio.create_task(_first(hub.store_transactions()))
        await until(lambda: polls > 3)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await asyncio.sleep(0.01)
        before = polls
        await asyncio.sleep(0.02)
        assert polls == before


async def test_a_watcher_that_fails_is_started_again() -> None:
    async def data_version() -> int:
        raise OSError("the disk is away")

    hub = Hub(_Empty())
    watcher = SqliteWatcher(hub, data_version, interval_s=0.001)
    async with hub.running(watcher):
        waiting = asyncio.create_task(_first(hub.store_transactions()))
        await asyncio.sleep(0.05)
        assert not watcher.is_healthy
        watcher._data_version = _one
        await until(lambda: watcher.is_healthy)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


class _Empty(DatabaseSource):
    """A database in which nothing is ever found."""

    def __init__(self) -> None:
        super().__init__("sqlite")

    async def _select(self, name: str, *values: Any) -> list[Any]:
        return []


async def _sleep(_watcher: SqliteWatcher) -> None:
    await asyncio.Event().wait()


async def _one() -> int:
    return 1


async def _first(stream: AsyncIterator[Any]) -> Any:
    return await anext(stream)


def _dialect(shop: Shop) -> Any:
    return "sqlite" if shop.settings.database_url.startswith("sqlite") else "postgres"
