"""What transactions need on both databases: to survive a cancelled task, and to know what went wrong."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def uninterrupted(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end, also when the waiting task is cancelled meanwhile; the cancellation follows then.

    A lock or a connection that is taken half way, or a COMMIT whose outcome nobody waits for, would outlive
    the task that began it.
    """
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    failure = None if task.cancelled() else task.exception()
    raise cancelled from failure


def driver_error(error: BaseException | None) -> BaseException | None:
    """Return what the driver said: Tortoise wraps it in an error of its own."""
    told = error.args[0] if error is not None and error.args else None
    return told if isinstance(told, Exception) else error
