"""Readers that wait: for a connection that is not free, and for a statement that takes too long."""

import asyncio
import itertools
import time

import pytest
from tortoise.connection import get_connection
from tortoise.context import TortoiseContext
from tortoise.transactions import in_transaction

from app.backends.asyncpg import SafeAsyncpgClient
from app.backends.patience import DatabaseBusy, DatabaseSlow, be_patient, hurry
from app.db import READER, connections_in_use, ping
from app.settings import Settings
from tests.databases import settings_for

ENDLESS = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000000) "
    "SELECT count(*) FROM n"
)


@pytest.fixture
def settings(database_url: str) -> Settings:
    return settings_for(database_url, database_pool_size_max=2, database_acquire_timeout_s=0.2)


async def test_no_connection_is_free(database: TortoiseContext) -> None:
    """Those who wait are told so after a bounded time; those who hold connections are not disturbed."""
    enough = asyncio.Event()

    size = connections_in_use()[READER][1]
    held = asyncio.Semaphore(0)

    async def hold() -> int:
        async with in_transaction(READER) as db:
            held.release()
            await enough.wait()
            return (await db.execute_query("SELECT 1 AS one"))[0]

    holders = [asyncio.create_task(hold()) for _ in range(size)]
    for _ in holders:
        await held.acquire()
    assert connections_in_use()[READER][0] == size
    started_s = time.monotonic()
    answers = await asyncio.gather(*(ping() for _ in range(50)), return_exceptions=True)
    taken_s = time.monotonic() - started_s
    assert {type(answer) for answer in answers} == {DatabaseBusy}
    assert taken_s < 5, "all wait at the same time, not one after the other"
    with pytest.raises(DatabaseBusy):
        async with in_transaction(READER):
            pass
    enough.set()
    assert await asyncio.gather(*holders) == [1] * size
    await ping()
    assert connections_in_use()[READER][0] == 0


async def test_who_asked_first_has_a_connection_first(database: TortoiseContext) -> None:
    """Nobody is passed by those who come while a connection changes hands."""
    be_patient()
    tickets = itertools.count()
    served: list[int] = []

    async def caller() -> None:
        for _ in range(10):
            ticket = next(tickets)
            async with get_connection(READER).acquire_connection():
                served.append(ticket)
                # Not all take equally long, or nobody would come in the moment when somebody else is being woken.
                for _ in range(ticket % 4):
                    await asyncio.sleep(0)

    await asyncio.gather(*(caller() for _ in range(20)))
    assert served == sorted(served)


async def test_whom_nobody_waits_for_stands_in_line(database: TortoiseContext) -> None:
    """The server's own tasks wait for a connection far longer than a request does, and so do tasks that they start."""
    enough, held, done = asyncio.Event(), asyncio.Semaphore(0), asyncio.Event()
    size = connections_in_use()[READER][1]

    async def hold() -> None:
        async with in_transaction(READER):
            held.release()
            await enough.wait()

    async def own_task() -> None:
        be_patient()
        await asyncio.gather(ping(), asyncio.create_task(ping()))
        done.set()

    holders = [asyncio.create_task(hold()) for _ in range(size)]
    for _ in holders:
        await held.acquire()
    waiting = asyncio.create_task(own_task())
    # A request that begins after it has given up before it.
    with pytest.raises(DatabaseBusy):
        await ping()
    assert not done.is_set()
    assert not waiting.done()
    enough.set()
    await asyncio.gather(*holders, waiting)
    assert connections_in_use()[READER][0] == 0


async def test_a_statement_ends_with_its_task(database: TortoiseContext) -> None:
    """Whoever is cancelled, or out of time, takes the statement along: the connection is free again."""

    async def out_of_time() -> None:
        hurry(0.2)
        # As a loader does it: in a task that the one with the deadline started.
        await asyncio.create_task(get_connection(READER).execute_query(ENDLESS))

    with pytest.raises(DatabaseSlow) as slow:
        await asyncio.create_task(out_of_time())
    assert slow.value.extensions == {"code": "TIMEOUT"}
    gone = asyncio.create_task(get_connection(READER).execute_query(ENDLESS))
    await asyncio.sleep(0.1)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    await ping()
    assert connections_in_use()[READER][0] == 0


@pytest.mark.parametrize("dialect", [pytest.param("postgres", marks=pytest.mark.postgres)])
async def test_the_databases_own_limit(database_url: str) -> None:
    from app.db import open_database  # noqa: PLC0415 - only here

    brief = settings_for(database_url, database_statement_timeout_s=0.1)
    async with open_database(brief):
        with pytest.raises(DatabaseSlow):
            await get_connection(READER).execute_query(ENDLESS)


@pytest.mark.parametrize("dialect", [pytest.param("postgres", marks=pytest.mark.postgres)])
async def test_a_connection_that_is_lost_is_no_defect(database: TortoiseContext) -> None:
    """Whoever read over it may ask again in a moment, and the next one gets another connection."""
    client = get_connection(READER)
    assert isinstance(client, SafeAsyncpgClient)
    reading = asyncio.create_task(client.execute_query("SELECT pg_sleep(60)"))
    while not connections_in_use()[READER][0]:  # noqa: ASYNC110 — nobody tells
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert client._pool is not None
    for holder in client._pool._holders:
        if not holder.is_idle():
            holder._con._transport.abort()
    with pytest.raises(DatabaseBusy):
        await reading
    await ping()
    assert connections_in_use()[READER][0] == 0
