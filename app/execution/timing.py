"""The moment a credential ends, and the time that something may take."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from datetime import UTC, datetime
from functools import partial
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")


def at(moment: datetime | None, action: Callable[[], Any]) -> asyncio.TimerHandle | None:
    """Do something at a moment of the calendar; at once if it has passed, never if there is none."""
    if moment is None:
        return None
    delay_s = max((moment - datetime.now(UTC)).total_seconds(), 0.0)
    return asyncio.get_running_loop().call_later(delay_s, action)


async def within(timeout_s: float, awaited: Coroutine[Any, Any, T]) -> T:
    """Await something for so many seconds, and raise TimeoutError then; what is there already costs no timer."""
    try:
        waits_for = awaited.send(None)
    except StopIteration as done:
        return cast("T", done.value)
    async with asyncio.timeout(timeout_s):
        return await _Begun(awaited, waits_for)


class _Begun(Generic[T]):
    """A coroutine that was begun, and what it waits for: to be awaited as if it had not been."""

    def __init__(self, begun: Coroutine[Any, Any, T], waits_for: Any) -> None:
        self._begun = begun
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, T]:
        """Hand on what the coroutine waits for, and tell it what came of it; as `yield from` does."""
        waits_for = self._waits_for
        while True:
            try:
                answer = yield waits_for
            except BaseException as error:  # noqa: BLE001 - a cancellation is for the coroutine too
                step = partial(self._begun.throw, error)
            else:
                step = partial(self._begun.send, answer)
            try:
                waits_for = step()
            except StopIteration as done:
                return cast("T", done.value)
