"""Clients that never read, processes that are paused, a server that is told to stop while it is busy."""

import asyncio
import random
import socket
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

import asyncpg
import pytest
from websockets.exceptions import ConnectionClosed

from tests.caller import (
    ADJUST,
    UPDATES,
    WALLET,
    Caller,
    Socket,
    adjustment,
    open_socket,
    opened,
    subscribe,
)
from tests.server import ServerProcess, start_together, token
from tests.workload import Workload

ADMIN = "administrator"
SLOW_READERS = 30
UPDATES_EACH = 1_500
MEMORY_GROWTH_MAX_MB = 24
"""From one third of the updates to the end. Kept whole, two thirds of 30 times 1,500 updates would take far more."""


async def never_reading(url: str, number: int) -> tuple[Socket, socket.socket]:
    """Subscribe, and take nothing from the network from then on."""
    sock = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    slow = await open_socket(url, token(f"slow-{number}", ADMIN), sock=sock)
    slow.connection.transport.pause_reading()
    await slow.send(subscribe("s", UPDATES, {"customer": "hot", "after": 0}))
    return slow, sock


@pytest.mark.alone
async def test_readers_that_never_read_cost_little_and_keep_nobody_waiting(
    database_url: str, server_on: Callable[..., ServerProcess]
) -> None:
    server = server_on(database_url)
    async with Caller(server.url, token("ann", ADMIN)) as caller, AsyncExitStack() as stack:
        await caller.ask(ADJUST, adjustment("hot", "CREDIT", 100, key="first"))
        slow = [await never_reading(server.url, n) for n in range(SLOW_READERS)]
        quick = await stack.enter_async_context(opened(server.url, token("quick", ADMIN)))
        seen: list[int] = []

        async def follow() -> None:
            async for update in quick.updates("hot"):
                if update["kind"] == "TRANSACTION":
                    seen.append(int(update["sequence"]))
                if int(update["sequence"]) == UPDATES_EACH:
                    return

        following = asyncio.create_task(follow())
        waits: list[float] = []
        numbers = list(range(1, UPDATES_EACH))

        async def post() -> None:
            while numbers:
                number = numbers.pop()
                began = time.monotonic()
                await caller.ask(ADJUST, adjustment("hot", "CREDIT", 100, key=f"hot-{number}"))
                waits.append(time.monotonic() - began)

        # By then every slow reader is as far as its network takes it, and from there on nothing may pile up.
        laggards, numbers[:] = numbers[: -UPDATES_EACH // 3], numbers[-UPDATES_EACH // 3 :]
        await asyncio.gather(*(post() for _ in range(16)))
        before_mb = server.memory_mb()
        numbers[:] = laggards
        await asyncio.gather(*(post() for _ in range(16)))
        async with asyncio.timeout(60):
            await following

        assert seen[-1] == UPDATES_EACH
        assert seen == list(range(seen[0], UPDATES_EACH + 1))
        assert server.memory_mb() - before_mb < MEMORY_GROWTH_MAX_MB
        assert sorted(waits)[len(waits) // 2] < 1

        # They may still be there, and leave nothing behind when they go.
        for one, _ in slow:
            one.abort()
        await asyncio.sleep(0.2)
        assert (await caller.ask(WALLET, {"customer": "hot"}))["balance"]["amount"] == f"{UPDATES_EACH}.00"
    assert server.errors() == []


@pytest.mark.alone
async def test_a_server_that_is_told_to_stop_answers_what_it_took_on(
    database_url: str, server_on: Callable[..., ServerProcess]
) -> None:
    server = server_on(database_url)
    load = Workload("stop")
    caller = Caller(server.url, token("ann", ADMIN))
    await caller.ask(ADJUST, adjustment("watched", "CREDIT", 100, key="first"))
    sockets = [await open_socket(server.url, token(f"watcher-{n}", ADMIN)) for n in range(5)]
    for one in sockets:
        await one.send(subscribe("s", UPDATES, {"customer": "watched", "after": None}))
    closed = [asyncio.create_task(closing_code(one)) for one in sockets]
    stream = asyncio.create_task(end_of_stream(server))
    running = asyncio.create_task(load.run([caller], tasks=16, seconds=20))
    await asyncio.sleep(1)

    began = time.monotonic()
    server.terminate()
    status = await asyncio.to_thread(server.wait_stopped)
    took_s = time.monotonic() - began
    await running

    assert status in (0, -15), "uvicorn hands the signal on when it has stopped"
    assert took_s < 4, "nobody had to be waited for until the grace was over"
    assert await asyncio.gather(*closed) == [1012] * len(sockets)
    assert b"event: next" in await stream
    assert load.accepted
    # A caller may find its connection closed; but then its request was not taken on.
    done = await load.done_keys(database_url)
    assert [request.key for request in load.unanswered if request.key in done] == []

    await asyncio.to_thread(server.start)
    await load.retry([caller])
    await load.find_faults(database_url)
    assert load.faults == []
    await caller.close()
    assert server.errors() == []


async def pause_within_a_batch(server: ServerProcess, database_url: str) -> None:
    """Pause the server while it holds its wallets: between two statements of its writer."""
    connection = await asyncpg.connect(database_url)
    try:
        async with asyncio.timeout(30):
            while True:
                await asyncio.sleep(random.uniform(0.1, 0.2))
                server.pause()
                # What PostgreSQL was asked before is answered by then.
                await asyncio.sleep(0.1)
                if await connection.fetchval(
                    "SELECT count(*) FROM pg_stat_activity JOIN pg_locks USING (pid)"
                    " WHERE datname = current_database() AND application_name = 'coffer writer'"
                    " AND state = 'idle in transaction' AND mode = 'RowShareLock' AND relation = 'wallets'::regclass"
                ):
                    return
                server.resume()
    finally:
        await connection.close()


async def closing_code(one: Socket) -> int | None:
    """Read until the server closes, and return its code."""
    try:
        while True:
            await one.receive()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


async def end_of_stream(server: ServerProcess) -> bytes:
    """Follow a wallet by server-sent events until the stream ends."""
    caller = Caller(server.url, token("streamer", ADMIN))
    request = caller.request(UPDATES, {"customer": "watched", "after": None})
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request.replace(b"accept: application/json", b"accept: text/event-stream"))
    try:
        return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize("dialect", [pytest.param("postgres", marks=pytest.mark.postgres)])
async def test_a_process_that_stands_still_holds_the_others_up_for_a_while_only(
    database_url: str, server_on: Callable[..., ServerProcess]
) -> None:
    """A paused machine keeps its row locks; the database takes them away, and nothing is lost or done twice."""
    servers = [server_on(database_url, start=False) for _ in range(2)]
    await asyncio.to_thread(start_together, servers)
    load = Workload("frozen", customers=1)
    stuck, free = (Caller(server.url, token("ann", ADMIN)) for server in servers)
    running = asyncio.create_task(load.run([stuck], tasks=16, seconds=60))
    await pause_within_a_batch(servers[0], database_url)

    began = time.monotonic()
    async with asyncio.timeout(40):
        await free.ask(ADJUST, adjustment("customer-0", "CREDIT", 100, key="other", note="Went on meanwhile"))
    assert time.monotonic() - began < 35

    load.stop()
    servers[0].resume()
    await running
    await load.retry([stuck, free])
    await load.find_faults(database_url)
    assert load.faults == []
    await stuck.close()
    await free.close()
