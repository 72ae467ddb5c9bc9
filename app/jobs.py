"""What the clock does, inside the server: it posts value that reached its expiry.

Several processes may do it at once: each decides under the wallet's lock, so a thing is done once.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from app.context import Runtime
from app.services import expiry
from app.services.ledger.writer import LedgerUnavailable, NotAccepting, Overloaded

log = structlog.get_logger("coffer.jobs")

LOTS_AT_ONCE = 100
"""Expired lots that one step works on: small against a batch, so that requests hardly notice."""


@asynccontextmanager
async def running(runtime: Runtime) -> AsyncIterator[None]:
    """Run the clock's jobs until the end of the block."""
    task = asyncio.create_task(_run(runtime), name="jobs")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _run(runtime: Runtime) -> None:
    while True:
        try:
            more = True
            while more:
                more = await expire_due(runtime) > 0
        except (Overloaded, NotAccepting, LedgerUnavailable) as error:
            log.warning("jobs wait for the ledger", error=type(error).__name__)
        except Exception:
            log.exception("jobs failed; they go on at the next round")
        await asyncio.sleep(runtime.settings.jobs_interval_s)


async def expire_due(runtime: Runtime) -> int:
    """Post what is due of some wallets, and tell how many they were. One that fails stops no other."""
    wallet_ids = await expiry.due(runtime.clock(), LOTS_AT_ONCE)
    done = await asyncio.gather(
        *(expiry.expire(runtime.writer, wallet_id) for wallet_id in wallet_ids), return_exceptions=True
    )
    for result in done:
        if isinstance(result, BaseException):
            raise result
    return len(wallet_ids)
