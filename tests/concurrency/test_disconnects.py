"""Clients that leave at the worst moment: nothing of the server may leave with them.

Cancelling a task inside a database transaction leaks its connection or its lock, so whoever closes a socket at the
right moment could turn the server off (design, section 7, trap 0). Here thousands of them try.

`COFFER_TEST_DISCONNECTS` says how many mutations are left on sockets of each database; 2,000 where CI is set.
"""

import asyncio
import os
import random
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from websockets.exceptions import ConnectionClosed

from app.db import dialect as dialect_of
from tests.caller import (
    ADJUST,
    TIMEOUT_S,
    UPDATES,
    WALLET,
    Caller,
    Socket,
    adjustment,
    complete,
    open_socket,
    subscribe,
)
from tests.server import ServerProcess, token
from tests.workload import Kind, Request, Workload

COUNT = int(os.environ.get("COFFER_TEST_DISCONNECTS") or (2_000 if os.environ.get("CI") else 300))
AT_ONCE = 16
CUSTOMERS = 10
ADMIN = "administrator"
WHO = "rude"
"""All are one caller: keys belong to callers, and sockets that were not counted out would soon be too many."""

pytestmark = pytest.mark.alone


class Manner(StrEnum):
    """How a client leaves a mutation that is under way."""

    COMPLETE = "sends complete in the same segment"
    COMPLETE_AND_CLOSE = "sends complete and closes"
    CLOSE = "sends a close frame"
    RESET = "resets the connection"
    COMPLETE_AND_RESET = "sends complete and resets"


class Rude:
    """Sends mutations and leaves; remembers all, so that it can be told later what came of them."""

    def __init__(self, server: ServerProcess, name: str) -> None:
        self.server = server
        self.workload = Workload(name)
        self.chance = random.Random(name)

    def next(self) -> Request:
        """Return a new credit of one of few wallets, so that they meet at the same rows."""
        number = len(self.workload.requests)
        key, customer = f"{self.workload.name}-{number}", f"customer-{number % CUSTOMERS}"
        request = Request(Kind.CREDIT, key, customer, 100, adjustment(customer, "CREDIT", 100, key=key))
        self.workload.requests.append(request)
        return request

    async def leave_mutations(self, count: int) -> None:
        """Leave mutations on sockets, each in its own manner; a socket is used again while it is open."""
        socket: Socket | None = None
        for _ in range(count):
            if socket is None:
                socket = await self._open()
            request = self.next()
            manner = self.chance.choice(list(Manner))
            await self._leave(socket, subscribe(request.key, ADJUST, request.variables), manner)
            if manner is not Manner.COMPLETE:
                socket = None
        if socket is not None:
            await socket.connection.close()

    async def _open(self) -> Socket:
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                try:
                    return await open_socket(self.server.url, token(WHO, ADMIN))
                except ConnectionClosed as closed:
                    # A few dozen that were left a moment ago may not be counted out yet.
                    if closed.rcvd is None or closed.rcvd.code != 1013:
                        raise
                    await asyncio.sleep(0.05)

    async def _leave(self, socket: Socket, begin: dict[str, Any], manner: Manner) -> None:
        messages = [begin] if manner in (Manner.CLOSE, Manner.RESET) else [begin, complete(begin["id"])]
        socket.send_at_once(*messages)
        # Sometimes at once, sometimes when the writer is at work.
        await asyncio.sleep(self.chance.choice((0, 0, 0.001, 0.003, 0.01)))
        if manner in (Manner.CLOSE, Manner.COMPLETE_AND_CLOSE):
            await socket.connection.close()
        elif manner in (Manner.RESET, Manner.COMPLETE_AND_RESET):
            socket.abort()

    async def leave_requests(self, count: int) -> None:
        """Reset HTTP connections while the server works on their requests, mutations and reads."""
        caller = Caller(self.server.url, token(WHO, ADMIN))
        for _ in range(count):
            after_s = self.chance.choice((0, 0.001, 0.003, 0.01))
            if self.chance.random() < 0.5:
                request = self.next()
                await caller.vanish(ADJUST, request.variables, after_s=after_s)
            else:
                await caller.vanish(WALLET, {"customer": "customer-1"}, after_s=after_s)

    async def leave_subscriptions(self, count: int) -> None:
        """Drop subscriptions before, during and after their first event."""
        for _ in range(count):
            socket = await self._open()
            for one in range(3):
                variables = {"customer": f"customer-{one}", "after": self.chance.choice((None, 0))}
                await socket.send(subscribe(f"s{one}", UPDATES, variables))
            if self.chance.random() < 0.5:
                await socket.receive()
            if self.chance.random() < 0.5:
                await socket.send(complete("s1"))
                await socket.connection.close()
            else:
                socket.abort()


async def all_at_once(rude: Callable[[int], Awaitable[None]], count: int) -> None:
    """Have many leave side by side."""
    await asyncio.gather(*(rude(count // AT_ONCE) for _ in range(AT_ONCE)))


async def settled(condition: Callable[[], Awaitable[object]], *, within_s: float = TIMEOUT_S) -> object:
    """Wait until a condition answers nothing, and return its last answer."""
    until = time.monotonic() + within_s
    while (answer := await condition()) and time.monotonic() < until:  # noqa: ASYNC110 — another process
        await asyncio.sleep(0.1)
    return answer


async def stuck_in_database(database_url: str) -> Sequence[str]:
    """Say what of the server still holds the database."""
    if dialect_of(database_url) == "sqlite":
        return await asyncio.to_thread(_stuck_in_sqlite, urlsplit(database_url).path.removeprefix("/"))
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch(
            "SELECT application_name, state, wait_event, now() - query_start AS age, query FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'"
        )
        locks = await connection.fetchval(
            "SELECT count(*) FROM pg_locks WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND pid <> pg_backend_pid()"
        )
    finally:
        await connection.close()
    return [str(dict(row)) for row in rows] + ([f"{locks} locks"] if locks else [])


def _stuck_in_sqlite(path: str) -> Sequence[str]:
    connection = sqlite3.connect(f"/{path.lstrip('/')}", isolation_level=None, timeout=0.5)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
        busy, pages, done = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError as error:
        return [str(error)]
    finally:
        connection.close()
    # A read transaction that was never ended keeps the log from being emptied.
    return [f"the log can't be emptied: {pages} pages, {done} done"] if busy else []


async def assert_well(server: ServerProcess, database_url: str, rude: Rude, *, files_before: int) -> None:
    """The server answers, holds nothing, and what it took on is there once."""
    assert await settled(lambda: stuck_in_database(database_url)) == []

    async def files_left_open() -> int:
        # A few more are connections of the reading pool, which grows as it is needed.
        return max(0, server.open_files() - files_before - 12)

    assert await settled(files_left_open) == 0

    async with Caller(server.url, token(WHO, ADMIN)) as caller:
        # Three times as many readers as the pool has connections.
        async with asyncio.timeout(TIMEOUT_S):
            told = await asyncio.gather(*(caller.ask(WALLET, {"customer": "customer-1"}) for _ in range(30)))
        assert all(told)
        done = await rude.workload.done_keys(database_url)
        await rude.workload.retry([caller])
    report = await rude.workload.find_faults(database_url)
    assert rude.workload.faults == []
    assert report.transactions == len(rude.workload.requests)
    assert sum(done.values()) > len(rude.workload.requests) // 4, "the server worked on what was left"
    assert server.errors() == []


@pytest.fixture
async def rude(database_url: str, server_on: Callable[..., ServerProcess]) -> Rude:
    """A rude client and its server, where every wallet is there already."""
    client = Rude(server_on(database_url), "rude")
    async with Caller(client.server.url, token(WHO, ADMIN)) as caller:
        for _ in range(CUSTOMERS):
            await client.workload.send(caller, client.next())
    return client


async def test_mutations_on_sockets_that_are_dropped(database_url: str, rude: Rude) -> None:
    files = rude.server.open_files()
    await all_at_once(rude.leave_mutations, COUNT)
    await assert_well(rude.server, database_url, rude, files_before=files)


async def test_requests_and_subscriptions_that_are_dropped(database_url: str, rude: Rude) -> None:
    files = rude.server.open_files()
    await asyncio.gather(
        all_at_once(rude.leave_requests, min(COUNT, 400)),
        all_at_once(rude.leave_subscriptions, min(COUNT, 400) // 4),
    )
    await assert_well(rude.server, database_url, rude, files_before=files)
