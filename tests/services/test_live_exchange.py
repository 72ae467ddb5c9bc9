"""What every way must keep by which processes tell each other of commits: PostgreSQL's, and Redis'.

Two writers with a hub each over one database stand for two processes; nothing but the exchange joins them.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime
from importlib import import_module
from random import Random
from typing import Any, Protocol
from uuid import UUID

import asyncpg
import pytest
import structlog
from redis.asyncio import Redis
from tortoise.connection import get_connection
from tortoise.context import TortoiseContext

from app.domain.access import Capability
from app.domain.api_key import KeyRequest
from app.domain.errors import DomainError
from app.domain.ledger import Transaction, Wallet
from app.live import Exchange, UpdateKind
from app.services import api_key
from app.services.ledger.command import Command, WalletRef
from app.services.ledger.store import PostgresSession
from app.services.live import DatabaseSource, live_hub, telling
from app.settings import Settings, SettingsError
from tests.authority import Authority
from tests.databases import settings_for
from tests.redis_server import RedisServerProcess
from tests.services.live_writer import ACTOR, storm
from tests.services.test_live import Crowd, Shop, elsewhere, take, until

TRANSACTION = UpdateKind.TRANSACTION


class Way(Protocol):
    """How a test meddles with what is between the processes."""

    def settings(self, database_url: str, **overrides: Any) -> Settings:
        """Settings of a process that uses it."""

    async def shout(self, note: str) -> None:
        """Say something on the channel."""

    async def cut(self) -> int:
        """End all listeners' connections, and return how many there were."""

    @asynccontextmanager
    def overheard(self) -> AsyncIterator[list[str]]:
        """Collect what is said on the channel."""


class ByPostgres:
    """By LISTEN and NOTIFY."""

    def __init__(self, database_url: str) -> None:
        self.url = database_url

    def settings(self, database_url: str, **overrides: Any) -> Settings:
        return settings_for(database_url, live_queue_max=16, **overrides)

    async def shout(self, note: str) -> None:
        await get_connection("writer").execute_query("SELECT pg_notify('coffer', $1)", [note])

    async def cut(self) -> int:
        found = await get_connection("writer").execute_query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'coffer listener' AND datname = current_database()"
        )
        return found[0]

    @asynccontextmanager
    async def overheard(self) -> AsyncIterator[list[str]]:
        notes: list[str] = []
        connection = await asyncpg.connect(self.url)
        await connection.add_listener("coffer", lambda *told: notes.append(told[-1]))
        yield notes
        await connection.close()


class ByRedis:
    """By a Redis server."""

    def __init__(self, server: RedisServerProcess) -> None:
        self.server = server

    def settings(self, database_url: str, **overrides: Any) -> Settings:
        return settings_for(database_url, live_queue_max=16, **{"live_url": self.server.url(), **overrides})

    async def shout(self, note: str) -> None:
        async with self.client() as client:
            await client.publish("coffer:0", note)

    async def cut(self) -> int:
        async with self.client() as client:
            return int(await client.client_kill_filter(_type="pubsub"))

    @asynccontextmanager
    async def overheard(self) -> AsyncIterator[list[str]]:
        notes: list[str] = []
        async with self.client() as client, client.pubsub() as channel:
            await channel.subscribe("coffer:0")
            assert (await channel.get_message(timeout=10))["type"] == "subscribe"

            async def listen() -> None:
                while True:
                    message = await channel.get_message(timeout=None)
                    notes.append(message["data"].decode())

            listening = asyncio.create_task(listen())
            yield notes
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    def client(self) -> Redis:
        return Redis(port=self.server.port, password=self.server.password, protocol=2)


@pytest.fixture
def dialect() -> str:
    return "postgres"


@pytest.fixture(params=["postgres", pytest.param("redis", marks=pytest.mark.redis)])
def way(request: pytest.FixtureRequest, database_url: str) -> Way:
    """What follows holds for each of them."""
    if request.param == "postgres":
        return ByPostgres(database_url)
    return ByRedis(request.getfixturevalue("redis_server"))


@pytest.fixture
def settings(database_url: str) -> Settings:
    return settings_for(database_url)


pytestmark = pytest.mark.postgres


@asynccontextmanager
async def two_shops(way: Way, settings: Settings) -> AsyncIterator[tuple[Shop, Shop, list[str]]]:
    """Two processes over one database, and where it is counted how often the first heard of changed rights."""
    heard: list[str] = []
    ours = way.settings(settings.database_url)
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(Shop(ours, "here", lambda: heard.append("rights")).open())
        there = await stack.enter_async_context(Shop(ours, "there").open())
        yield here, there, heard


async def told_until(store: AsyncIterator[tuple[Wallet, Transaction]], last: int) -> bool:
    """Whether a store-wide stream tells one wallet's transactions in order, until this one. It may begin with the one
    that was committed just before the stream was opened.
    """
    told: list[int] = []
    async with asyncio.timeout(10):
        while last not in told:
            told.append((await anext(store))[1].sequence)
    return told == list(range(told[0], last + 1)) and told[0] <= 2


async def test_all_that_is_posted_there_is_heard_here_in_order(
    way: Way, settings: Settings, database: TortoiseContext
) -> None:
    async with two_shops(way, settings) as (here, there, _):
        wallet = await there.credit()
        stream, store = here.hub.wallet_updates(wallet.id), here.hub.store_transactions()
        async with aclosing(stream), aclosing(store):
            await take(stream, 1)
            entries = asyncio.create_task(told_until(store, 201))
            await asyncio.sleep(0.1)
            for _ in range(20):
                await asyncio.gather(*(there.credit() for _ in range(10)))
            updates = await take(stream, 200)
            assert [(u.kind, u.sequence) for u in updates] == [(TRANSACTION, n) for n in range(2, 202)]
            assert await entries


async def test_both_ways_at_once(way: Way, settings: Settings, database: TortoiseContext) -> None:
    async with two_shops(way, settings) as (here, there, _):
        wallet = await there.credit()
        async with (
            aclosing(here.hub.wallet_updates(wallet.id)) as a,
            aclosing(there.hub.wallet_updates(wallet.id)) as b,
        ):
            await take(a, 1)
            await take(b, 1)
            await asyncio.gather(*(shop.credit() for _ in range(25) for shop in (here, there)))
            for stream in (a, b):
                assert [update.sequence for update in await take(stream, 50)] == list(range(2, 52))


async def test_what_is_told_is_committed(
    way: Way, settings: Settings, database: TortoiseContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_shops(way, settings) as (here, there, _):
        source, looks = DatabaseSource("postgres"), list[asyncio.Task[bool]]()

        async def is_there(wallet_id: UUID, version: int) -> bool:
            stored = (await source.versions([wallet_id])).get(wallet_id)
            return stored is not None and stored[0] >= version

        def notice(wallet_id: UUID, _before: int, _sequence: int, version: int) -> None:
            looks.append(asyncio.create_task(is_there(wallet_id, version)))

        monkeypatch.setattr(here.hub, "notice", notice)
        for number in range(30):
            await there.credit(f"c-{number % 3}")
        await until(lambda: len(looks) == 30)
        assert all(await asyncio.gather(*looks))


async def test_what_is_not_committed_is_not_told(
    way: Way, settings: Settings, database: TortoiseContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_shops(way, settings) as (_, there, _), way.overheard() as notes:
        write = PostgresSession.write

        async def break_off(*arguments: Any) -> None:
            await write(*arguments)
            raise ValueError("the statement is done, the transaction is not")

        with monkeypatch.context() as patch:
            patch.setattr(PostgresSession, "write", break_off)
            with pytest.raises(ValueError, match="is not"):
                await there.credit()
        with pytest.raises(DomainError):
            await there.writer.submit(
                Command("credit", ACTOR, WalletRef(external_id="nobody"), lambda _: None)
            )
        # The first note that comes is of what was done after that.
        wallet = await there.credit("c-1")
        await until(lambda: bool(notes))
        assert [note for note in notes if str(wallet.id) not in note] == []


async def test_changed_rights_are_heard_of(way: Way, settings: Settings, database: TortoiseContext) -> None:
    async with two_shops(way, settings) as (_, there, heard):
        before = len(heard)
        wanted = KeyRequest("till", None, frozenset({Capability.WALLETS_READ}), None)
        await api_key.create(there.writer, ACTOR, wanted, note="a new till", idempotency_key=None)
        await until(lambda: len(heard) > before)


async def test_the_writer_forgets_what_another_process_changed(
    way: Way, settings: Settings, database: TortoiseContext
) -> None:
    async with two_shops(way, settings) as (here, there, _):
        ada, bob = await here.credit("ada"), await here.credit("bob")

        def knows(wallet: Wallet) -> bool:
            return here.writer._known.assumed(WalletRef(wallet_id=wallet.id)) is not None

        await there.credit("ada")
        await until(lambda: not knows(ada))
        assert knows(bob)
        # Its own commits change nothing, however they come back.
        assert (await here.credit("ada")).sequence == 3
        await there.credit("bob")
        await until(lambda: not knows(bob))
        assert knows(ada)


async def test_nonsense_on_the_channel_does_no_harm(
    way: Way, settings: Settings, database: TortoiseContext
) -> None:
    async with two_shops(way, settings) as (here, there, _):
        wallet = await there.credit()
        async with aclosing(here.hub.wallet_updates(wallet.id)) as stream:
            await take(stream, 1)
            for note in (
                "",
                "[]",
                '{"process":"x"}',
                '{"process":"x","wallets":[[1]]}',
                '{"process":"x","wallets":7}',
            ):
                await way.shout(note)
            await way.shout(f'{{"process":"x","wallets":[["{wallet.id}",8,9,{2**62}]]}}')
            await there.credit()
            assert [update.sequence for update in await take(stream, 1)] == [2]
            assert here.listener.is_healthy


async def test_who_is_told_that_notes_are_missing_looks_for_itself(
    way: Way, settings: Settings, database: TortoiseContext
) -> None:
    async with two_shops(way, settings) as (here, there, heard):
        wallet = await there.credit()
        stream, store = here.hub.wallet_updates(wallet.id), here.hub.store_transactions()
        async with aclosing(stream), aclosing(store):
            await take(stream, 1)
            entry = asyncio.create_task(told_until(store, 2))
            await asyncio.sleep(0.1)
            silent = Shop(settings, "silent")
            silent.writer._tell_others = lambda notes: None
            silent.writer.start()
            await silent.credit()
            await silent.writer.stop()
            before = len(heard)
            await way.shout('{"process": "silent", "wallets": [], "missed": true}')
            assert [update.sequence for update in await take(stream, 1)] == [2]
            assert await entry
            assert len(heard) == before + 1


async def test_what_was_missed_while_the_connection_was_away_is_made_up_for(
    way: Way, settings: Settings, database: TortoiseContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_shops(way, settings) as (here, there, heard):
        wallet = await there.credit()
        async with aclosing(here.hub.wallet_updates(wallet.id)) as stream:
            await take(stream, 1)
            with monkeypatch.context() as patch:
                patch.setattr(here.hub, "notice", lambda *_: None)  # nobody hears
                await there.credit()
                before = len(heard)
            assert await way.cut() == 2
            assert [update.sequence for update in await take(stream, 1)] == [2]
            await until(lambda: len(heard) > before and here.listener.is_healthy)
            await there.credit()
            assert [update.sequence for update in await take(stream, 1)] == [3]


@pytest.mark.slow
async def test_a_connection_that_is_cut_again_and_again_in_a_storm(
    way: Way, settings: Settings, database: TortoiseContext
) -> None:
    cut = 0
    async with Shop(way.settings(settings.database_url)).open() as shop:
        wallets = await shop.wallets()
        async with (
            Crowd(shop.hub, wallets).watching(DatabaseSource("postgres")),
            elsewhere(shop.settings, 1, 2_400) as other,
        ):
            # Beside each other: whichever storm is over first, there were cuts in both.
            own = asyncio.create_task(storm(shop.writer, Random(3), 200, list(wallets)))
            while other.poll() is None or not own.done():
                cut += await way.cut()
                await asyncio.sleep(0.15)
            await own
    assert cut >= 3


@pytest.fixture
def nowhere(way: Way) -> Settings:
    """Settings that name a server which is not there."""
    away = "postgresql://nobody@127.0.0.1:1/none"
    return way.settings(away, **({"live_url": "redis://127.0.0.1:1"} if isinstance(way, ByRedis) else {}))


async def test_who_finds_no_server_says_so_and_keeps_trying(nowhere: Settings) -> None:
    hub, listener = live_hub(nowhere, process="x", clock=lambda: datetime.now(UTC))
    async with hub.running(listener):
        await asyncio.sleep(0.2)
        assert not listener.is_healthy
        assert listener.lag_s > 0.1


# --- Redis alone ------------------------------------------------------------------------------------------------


def redis_of(exchange: Exchange) -> Any:
    """The publisher inside."""
    return exchange._publisher  # type: ignore[attr-defined]


async def test_the_database_does_not_tell_what_redis_tells(
    redis_server: RedisServerProcess, settings: Settings, database: TortoiseContext
) -> None:
    by_redis = ByRedis(redis_server)
    async with (
        two_shops(by_redis, settings) as (_, there, _),
        ByPostgres(settings.database_url).overheard() as by_postgres,
        by_redis.overheard() as told,
    ):
        await there.credit()
        await until(lambda: bool(told))
        await ByPostgres(settings.database_url).shout("the end")
        await until(lambda: bool(by_postgres))
        assert by_postgres == ["the end"]
        assert len(told) == 1


async def test_commits_go_on_without_redis_and_all_is_told_when_it_is_back(
    redis_server: RedisServerProcess, settings: Settings, database: TortoiseContext
) -> None:
    async with two_shops(ByRedis(redis_server), settings) as (here, there, heard):
        wallet = await there.credit()
        async with aclosing(here.hub.wallet_updates(wallet.id)) as stream:
            await take(stream, 1)
            redis_server.kill()
            for _ in range(20):
                await there.credit()
            # Each try to reach Redis looks in the database too, so nobody waits for the one in thirty seconds.
            assert [update.sequence for update in await take(stream, 20)] == list(range(2, 22))
            assert not here.listener.is_healthy
            assert not there.listener.is_healthy
            assert there.listener.lag_s > 0
            before = len(heard)
            redis_server.start()
            await until(lambda: here.listener.is_healthy and there.listener.is_healthy)
            assert there.listener.lag_s == 0
            assert len(heard) > before
            await there.credit()
            assert [update.sequence for update in await take(stream, 1)] == [22]


async def test_notes_that_wait_are_bounded_and_the_rest_is_said_in_one_word(
    redis_server: RedisServerProcess,
    settings: Settings,
    database: TortoiseContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.live.redis.QUEUE_MAX", 5)
    by_redis = ByRedis(redis_server)
    async with two_shops(by_redis, settings) as (_, there, _):
        redis_server.kill()
        publisher = redis_of(there.listener)
        for number in range(5):
            publisher.tell([f'{{"process": "there", "wallets": [], "number": {number}}}'])
        assert len(publisher._queue) == 5
        publisher.tell(["{}"])
        assert list(publisher._queue) == ['{"process":"there","wallets":[],"missed":true}']
        redis_server.start()
        await until(lambda: there.listener.is_healthy and not publisher._queue)


async def test_notes_are_published_in_order(
    redis_server: RedisServerProcess, settings: Settings, database: TortoiseContext
) -> None:
    by_redis = ByRedis(redis_server)
    async with two_shops(by_redis, settings) as (_, there, _), by_redis.overheard() as notes:
        told = [f'{{"process": "there", "wallets": [], "number": {number}}}' for number in range(500)]
        for start in range(0, 500, 7):
            there.listener.tell(told[start : start + 7])  # type: ignore[misc]
            if start % 3 == 0:
                await asyncio.sleep(0)
        await until(lambda: len(notes) >= 500)
        assert notes == told


async def test_the_last_notes_of_a_process_that_ends_are_published(
    redis_server: RedisServerProcess, settings: Settings
) -> None:
    by_redis = ByRedis(redis_server)
    async with by_redis.overheard() as notes:
        async with telling(by_redis.settings(settings.database_url), process="command line") as tell:
            assert tell is not None
            tell(["the last word"])
        await until(lambda: notes == ["the last word"])


async def test_a_process_ends_although_the_client_swallows_its_cancellation(
    redis_server: RedisServerProcess, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis = import_module("app.live.redis")
    begun = asyncio.Event()

    async def swallow(*_: object) -> None:
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)

    monkeypatch.setattr(redis.RedisPublisher, "_publish", swallow)
    async with (
        asyncio.timeout(10),
        telling(ByRedis(redis_server).settings(settings.database_url), process="x") as tell,
    ):
        assert tell is not None
        tell(["{}"])
        await begun.wait()


async def test_stores_with_numbers_of_their_own_do_not_hear_each_other(
    redis_server: RedisServerProcess, settings: Settings
) -> None:
    by_redis = ByRedis(redis_server)
    other = by_redis.settings(settings.database_url, live_url=redis_server.url(7))
    async with by_redis.overheard() as notes:
        async with telling(other, process="other") as tell:
            assert tell is not None
            tell(["not for you"])
        await by_redis.shout("for you")
        await until(lambda: bool(notes))
        assert notes == ["for you"]


async def test_a_wrong_password_is_told_and_not_shown(
    redis_server: RedisServerProcess, settings: Settings
) -> None:
    ours = ByRedis(redis_server).settings(
        settings.database_url,
        live_url=redis_server.url(password="hush-hush"),
    )
    hub, listener = live_hub(ours, process="x", clock=lambda: datetime.now(UTC))
    with structlog.testing.capture_logs() as logs:
        async with hub.running(listener):
            assert listener.tell is not None
            listener.tell(["{}"])
            await until(
                lambda: (
                    {line["event"] for line in logs}
                    >= {"the listener lost its connection", "other processes can't be told"}
                )
            )
    assert "AuthenticationError" in str(logs)
    assert "hush-hush" not in str(logs) + repr(ours) + repr(vars(listener))
    assert not listener.is_healthy


@pytest.mark.redis
async def test_by_tls_they_tell_each_other_where_the_authority_is_known(
    tls_redis_server: RedisServerProcess,
    certificates: Authority,
    settings: Settings,
    database: TortoiseContext,
) -> None:
    url = f"{tls_redis_server.url()}?ssl_ca_certs={certificates.ca}"
    ours = settings_for(settings.database_url, live_url=url)
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(Shop(ours, "here").open())
        there = await stack.enter_async_context(Shop(ours, "there").open())
        wallet = await there.credit()
        async with aclosing(here.hub.wallet_updates(wallet.id)) as stream:
            await take(stream, 1)
            await there.credit()
            assert [update.sequence for update in await take(stream, 1)] == [2]


@pytest.mark.redis
@pytest.mark.parametrize("way_in", ["an authority that nobody knows", "no TLS"])
async def test_a_server_that_nobody_vouches_for_is_told_nothing(
    tls_redis_server: RedisServerProcess, settings: Settings, database: TortoiseContext, way_in: str
) -> None:
    url = tls_redis_server.url()
    ours = settings_for(
        settings.database_url, live_url=url.replace("rediss", "redis") if way_in == "no TLS" else url
    )
    hub, listener = live_hub(ours, process="x", clock=lambda: datetime.now(UTC))
    with structlog.testing.capture_logs() as logs:
        async with hub.running(listener):
            await until(lambda: any(line["event"] == "the listener lost its connection" for line in logs))
    assert not listener.is_healthy
    assert tls_redis_server.password not in str(logs)
    assert ("certificate verify failed" in str(logs)) is (way_in != "no TLS")


async def test_a_server_that_says_nothing_is_left(
    redis_server: RedisServerProcess,
    settings: Settings,
    database: TortoiseContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    redis = import_module("app.live.redis")
    monkeypatch.setattr(redis, "KEEPALIVE_TIMEOUT_S", 0.2)
    ours = ByRedis(redis_server).settings(settings.database_url)
    hub, listener = live_hub(ours, process="x", clock=lambda: datetime.now(UTC))
    listener._keepalive_interval_s = 0.05  # type: ignore[attr-defined]
    async with hub.running(listener):
        await until(lambda: listener.is_healthy)
        # Some pings later it still listens.
        await asyncio.sleep(0.4)
        assert listener.is_healthy
        redis_server.pause()
        await until(lambda: not listener.is_healthy)
        redis_server.resume()
        await until(lambda: listener.is_healthy)


def test_a_missing_package_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "app.live.redis", raising=False)
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    ours = settings_for(settings.database_url, live_url="redis://127.0.0.1")
    with pytest.raises(
        SettingsError, match=r"COFFER_LIVE_URL: redis.asyncio is not installed.*coffer\[redis\]"
    ):
        live_hub(ours, process="x", clock=lambda: datetime.now(UTC))
