"""Two real servers on one PostgreSQL that tell each other by a real Redis, which is killed meanwhile."""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Any

import httpx
import pytest

from tests.caller import ADJUST, Caller, adjustment, opened
from tests.redis_server import RedisServerProcess
from tests.server import ServerProcess, start_together, token

STAFF = ("ann", "administrator")


@pytest.fixture
def dialect() -> str:
    return "postgres"


async def readiness(server: ServerProcess) -> tuple[int, dict[str, Any]]:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{server.url}/readyz")
        return answer.status_code, answer.json().get("degraded", {})


async def until_degraded(server: ServerProcess, *, degraded: bool) -> None:
    async with asyncio.timeout(60):
        while True:
            status, found = await readiness(server)
            assert status == 200
            if bool(found) == degraded:
                return
            await asyncio.sleep(0.1)


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.redis
async def test_two_servers_and_a_redis_that_is_killed(
    database_url: str, redis_server: RedisServerProcess, server_on: Callable[..., ServerProcess]
) -> None:
    servers = [server_on(database_url, start=False, live_url=redis_server.url()) for _ in range(2)]
    start_together(servers)
    here, there = servers
    numbers = count(1)

    async with Caller(there.url, token(*STAFF)) as caller, asyncio.timeout(120):

        async def credit() -> None:
            told = await caller.ask(ADJUST, adjustment("hot", "CREDIT", 100, key=f"credit-{next(numbers)}"))
            assert told["userErrors"] == []

        await credit()
        for server in servers:
            await until_degraded(server, degraded=False)
        async with opened(here.url, token(*STAFF)) as socket:
            stream = socket.updates("hot")
            assert (await anext(stream))["sequence"] == 1
            await credit()
            assert (await anext(stream))["sequence"] == 2

            redis_server.kill()
            await credit()
            await credit()
            assert [(await anext(stream))["sequence"] for _ in range(2)] == [3, 4]
            for server in servers:
                await until_degraded(server, degraded=True)

            redis_server.start()
            for server in servers:
                await until_degraded(server, degraded=False)
            await credit()
            assert (await anext(stream))["sequence"] == 5
            assert redis_server.password not in here.log() + there.log()
    assert [server.errors() for server in servers] == [[], []]
