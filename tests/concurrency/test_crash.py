"""The server is killed in the middle of a write load: what was acknowledged is there, once. `bench.crash` has fifty rounds."""

import asyncio
from collections.abc import Callable

from bench.crash import Tally, crash_round
from tests.server import ServerProcess, start_together

ROUNDS = 2


async def test_nothing_acknowledged_is_lost_and_nothing_happens_twice(
    dialect: str, database_url: str, server_on: Callable[..., ServerProcess]
) -> None:
    servers = [server_on(database_url, start=False) for _ in range(1 if dialect == "sqlite" else 2)]
    await asyncio.to_thread(start_together, servers)
    tally = Tally(dialect)

    for _ in range(ROUNDS):
        await crash_round(tally, servers, database_url, load_s=1.0)

    assert tally.faults == []
    assert tally.acknowledged > 0
    assert [line for server in servers for line in server.errors()] == []
