"""Tasks that outlive what goes wrong in them."""

import asyncio
from collections.abc import Awaitable, Callable
from random import uniform
from typing import TypeVar

import structlog

from app.live.source import LiveUnavailable

log = structlog.get_logger("coffer.live")

T = TypeVar("T")

READ_TIMEOUT_S = 20.0
"""How long one round of reading may take; what it didn't finish is begun again."""

TRIES_MAX = 8
"""How often a read is tried before a subscriber is told that it doesn't work."""

STABLE_AFTER_S = 60.0
"""A task that ran for so long may be started again without delay."""


class Reader:
    """Reads in rounds for as long as there is something to read, and waits a while when reading fails."""

    def __init__(self, has_work: Callable[[], bool], read: Callable[[], Awaitable[None]]) -> None:
        self.failures = 0
        self._has_work = has_work
        self._read = read
        self._awake = asyncio.Event()

    def wake(self) -> None:
        """Have it look whether there is something to read."""
        self._awake.set()

    async def run(self) -> None:
        """Read for ever."""
        while True:
            await self._awake.wait()
            self._awake.clear()
            while self._has_work():
                await self._try()

    async def _try(self) -> None:
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                await self._read()
        except Exception as error:  # noqa: BLE001 — whatever it is, the subscribers still want their changes
            self.failures += 1
            log.warning("a live read failed and is tried again", error=repr(error), attempt=self.failures)
            await asyncio.sleep(backoff_s(self.failures))
        else:
            self.failures = 0


async def persistently(read: Callable[[], Awaitable[T]]) -> T:
    """Read on a subscriber's behalf; a database that is away for a moment doesn't end the subscription.

    Raises `LiveUnavailable` when it keeps failing.
    """
    for attempt in range(1, TRIES_MAX + 1):
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                return await read()
        except Exception as error:
            log.warning("a subscriber's read failed", error=repr(error), attempt=attempt)
            if attempt == TRIES_MAX:
                raise LiveUnavailable("The database can't be read now. Subscribe again later.") from error
        await asyncio.sleep(backoff_s(attempt))
    raise AssertionError("the last try returns or raises")


async def supervised(work: Callable[[], Awaitable[None]]) -> None:
    """Keep a task alive: what crashes is logged and started again."""
    clock, attempt = asyncio.get_running_loop().time, 0
    while True:
        started = clock()
        try:
            await work()
        except Exception:
            log.exception("a live task crashed and is started again")
        attempt = 1 if clock() - started > STABLE_AFTER_S else attempt + 1
        await asyncio.sleep(backoff_s(attempt))


def heed_cancellation() -> None:
    """Raise `CancelledError` if this task was cancelled, and a library swallowed it: `asyncio.wait_for` of Python 3.11
    does so when what it waits for ends at that moment. To be called outside of all timeouts.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def backoff_s(attempt: int) -> float:
    """Return how long to wait before the next try: doubling, five seconds at most, with jitter."""
    # Without jitter all processes would come back at the same moment.
    return min(5.0, 0.05 * 2.0 ** min(attempt, 10)) * uniform(0.5, 1.5)  # noqa: S311 — jitter, not a secret
