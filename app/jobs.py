"""What the clock does, inside the server: it posts value that reached its expiry, gives back what payments held too
long, keeps the signals for fraud, and deletes messages of the store, and to others, whose time is over.

Several processes may do it at once: each decides under the wallet's lock, so a thing is done once.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from time import monotonic

import structlog

from app.backends.patience import DatabaseBusy
from app.context import Runtime
from app.services import delivery, expiry, outbox, payment as payments
from app.services.ledger.writer import LedgerUnavailable, NotAccepting, Overloaded

log = structlog.get_logger("coffer.jobs")

AT_ONCE = 100
"""Expired lots or payments that one step works on: small against a batch, so that requests hardly notice."""

FAILED_KEPT = timedelta(days=90)
"""How long messages of the store that came to nothing are kept; longer where all are kept longer."""

PRUNING_INTERVAL_S = 3600.0
"""How often messages of the store whose time is over are deleted."""

SIGNALS_INTERVAL_S = 5.0
"""How often signals that were noted are written."""


class Jobs:
    """The clock's jobs, and how they are: a round that succeeds is what counts."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._tasks: list[asyncio.Task[None]] = []
        self._done_at = monotonic()

    @property
    def is_alive(self) -> bool:
        """Whether all of them run."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    @property
    def lag_s(self) -> float:
        """For how many seconds a round that succeeds has been overdue; 0 while there is none."""
        return max(0.0, monotonic() - self._done_at - self._runtime.settings.jobs_interval_s)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Jobs"]:
        """Run until the end of the block."""
        interval_s = self._runtime.settings.jobs_interval_s
        self._done_at = monotonic()
        self._tasks = [
            asyncio.create_task(_repeat(self._expire, interval_s), name="jobs"),
            asyncio.create_task(_repeat(self._keep_signals, SIGNALS_INTERVAL_S), name="signals"),
            asyncio.create_task(_repeat(self._prune, PRUNING_INTERVAL_S), name="pruning"),
        ]
        try:
            yield self
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            with suppress(Overloaded, NotAccepting, LedgerUnavailable):
                await self._keep_signals()

    async def _expire(self) -> None:
        while await expire_due(self._runtime) > 0:
            # A long row of steps is work, not lag.
            self._done_at = monotonic()
        self._done_at = monotonic()

    async def _prune(self) -> None:
        while await prune_deliveries(self._runtime) > 0:
            pass
        while await prune_outbox(self._runtime) > 0:
            pass

    async def _keep_signals(self) -> None:
        await self._runtime.balance_reads.keep(self._runtime.writer)


async def _repeat(work: Callable[[], Awaitable[None]], interval_s: float) -> None:
    while True:
        try:
            await work()
        except (Overloaded, NotAccepting, LedgerUnavailable, DatabaseBusy) as error:
            log.warning("jobs wait for the ledger", error=type(error).__name__)
        except Exception:
            log.exception("jobs failed; they go on at the next round")
        await asyncio.sleep(interval_s)


async def expire_due(runtime: Runtime) -> int:
    """End what is due of some wallets, and tell how much it was. One thing that fails stops no other."""
    now = runtime.clock()
    wallet_ids = await expiry.due(now, AT_ONCE)
    open_payments = await payments.due(now, AT_ONCE)
    done = await asyncio.gather(
        *(expiry.expire(runtime.writer, wallet_id) for wallet_id in wallet_ids),
        *(payments.expire(runtime.writer, payment) for payment in open_payments),
        return_exceptions=True,
    )
    for result in done:
        if isinstance(result, BaseException):
            raise result
    return len(done)


async def prune_deliveries(runtime: Runtime) -> int:
    """Delete some messages of the store whose time is over, and tell how many they were."""
    kept = timedelta(days=runtime.settings.deliveries_kept_days)
    return await delivery.prune(runtime.clock(), kept=kept, kept_failed=max(kept, FAILED_KEPT))


async def prune_outbox(runtime: Runtime) -> int:
    """Delete some of what left the program and whose time is over, and tell how much it was."""
    kept = timedelta(days=runtime.settings.outbox_kept_days)
    return await outbox.prune(runtime.clock(), kept=kept, kept_dead=max(kept, FAILED_KEPT))
