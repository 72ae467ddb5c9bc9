"""Sources whose events are taken, not waited for: a subscriber of one needs no task while nothing happens."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable
from typing import Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)


class Feed(ABC, Generic[T_co]):
    """The events of one subscriber, in order.

    After `open`, `take` is called until it returns None, and again each time `wake` was called. It raises
    `StopAsyncIteration` at the end, and whatever went wrong; in either case there is nothing to take any more.
    Whoever opened it closes it.
    """

    __slots__ = ()

    @abstractmethod
    def open(self, wake: Callable[[], None]) -> None:
        """Begin. `wake` is called from the loop, never from within `open`, `take` or `close`, and sometimes for nothing."""

    @abstractmethod
    def take(self) -> T_co | None:
        """Return the next event, or None if there is none now."""

    @abstractmethod
    def close(self) -> None:
        """Leave; nothing is told any more."""

    async def __aiter__(self) -> AsyncGenerator[T_co, None]:
        """Wait for the events, in a task."""
        bell = asyncio.Event()
        self.open(bell.set)
        try:
            while True:
                # First silenced, then asked: what comes in between rings again.
                bell.clear()
                event = self.take()
                if event is None:
                    await bell.wait()
                    continue
                yield event
                # Whoever waits holds nothing of what they were told.
                del event
        except StopAsyncIteration:
            return
        finally:
            self.close()
