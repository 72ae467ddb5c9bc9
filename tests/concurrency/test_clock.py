"""Two servers share the clock's work: each thing is done once, also when the one that is at it dies."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from app.db import open_database
from app.main import now
from app.models.sync import SyncCursor
from app.models.transaction import Transaction
from app.models.wallet import Wallet
from tests.auditor import audit, read_tables
from tests.databases import settings_for
from tests.ledger import credit, running_writer
from tests.server import ServerProcess, start_together

WALLETS = 1500
SOON = timedelta(seconds=10)


@pytest.fixture(params=[pytest.param("postgres", marks=pytest.mark.postgres)])
def dialect(request: pytest.FixtureRequest) -> str:
    """SQLite serves one process."""
    return str(request.param)


async def expired() -> int:
    """How many lots have expired by a transaction."""
    return await Transaction.filter(kind="EXPIRY").count()


async def test_a_server_that_dies_at_it_is_taken_over(
    database_url: str, server_on: Callable[..., ServerProcess]
) -> None:
    async with open_database(settings_for(database_url)):
        expires_at = datetime.now(UTC) + SOON
        async with running_writer(now) as writer:
            given = [credit(f"c-{number}", 100, expires_at=expires_at) for number in range(WALLETS)]
            await asyncio.gather(*(writer.submit(one) for one in given))
        servers = [server_on(database_url, start=False, jobs_interval_s=0.05) for _ in range(2)]
        await asyncio.to_thread(start_together, servers)
        async with asyncio.timeout(60):
            while not await expired():  # noqa: ASYNC110 — another process does it
                await asyncio.sleep(0.001)
        await asyncio.to_thread(servers[0].kill)
        assert await SyncCursor.filter(name="job.expire-lots").count() == 1
        # Where it was the other's, nothing stopped; where it was its own, the lease runs out.
        async with asyncio.timeout(90):
            while await expired() < WALLETS:  # noqa: ASYNC110 — another process does it
                await asyncio.sleep(0.05)
        await asyncio.to_thread(servers[1].stop)
        assert await expired() == WALLETS
        assert {wallet.posted_minor for wallet in await Wallet.all()} == {0}
        audit(await read_tables())
    assert servers[1].errors() == []
