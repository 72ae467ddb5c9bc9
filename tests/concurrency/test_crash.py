"""The server is killed in the middle of a write load: what was acknowledged is there, once. `bench.crash` has fifty rounds."""

import asyncio
import secrets
from collections.abc import Callable

import pytest

from bench.crash import Tally, crash_round, flow_round, prepared
from tests.flow import Flow
from tests.outbox.receiver import receiving
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


@pytest.mark.slow
async def test_what_was_committed_is_told_whatever_dies(
    dialect: str, database_url: str, server_on: Callable[..., ServerProcess]
) -> None:
    """Withdrawals to their end, each step told to a receiver: every event comes, repeats with the same id."""
    count = 1 if dialect == "sqlite" else 2
    servers = [server_on(database_url, start=False, webhook_private_addresses=True) for _ in range(count)]
    await asyncio.to_thread(start_together, servers)
    tally = Tally(dialect)
    async with receiving() as receiver:
        flow = Flow(f"{dialect}-{secrets.token_hex(3)}", receiver)
        await prepared(flow, servers)
        for _ in range(ROUNDS):
            await flow_round(tally, flow, servers, database_url, load_s=1.5, tasks=4)

    assert tally.faults == []
    assert all(walk.is_done for walk in flow.walks)
    assert flow.walks
    assert [line for server in servers for line in server.errors()] == []
