"""Subscriptions that hold no task: their events are taken from a feed, and told as fast as the reader reads.

A source that is a feed (`Feed`) says when there may be something to take. Most events that many are told have an answer
by then (`sharing`), which is written to one reader after another without a task's being woken for each. Whoever is the
first to ask has a task for the time of the execution; so has everybody whose answer can't be shared.
"""

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any, Protocol, TypeGuard

from app.execution.engine import Engine, Response, broken
from app.execution.gate import Call
from app.execution.sharing import Answer, Key, answers_of, claim, find


class Feed(Protocol):
    """The events of one subscriber, in order."""

    def open(self, wake: Callable[[], None]) -> None:
        """Begin; `wake` is called from the loop whenever there may be something to take."""

    def take(self) -> Any:
        """Return the next event, or None if there is none now; raise StopAsyncIteration at the end."""

    def close(self) -> None:
        """Leave."""


def is_feed(source: object) -> TypeGuard[Feed]:
    """Tell whether events can be taken from a source, not only waited for."""
    return hasattr(source, "take") and hasattr(source, "open")


class Reader(Protocol):
    """Who is told the responses."""

    @property
    def is_ready(self) -> bool:
        """Whether there is room for another response; `wake` is called when there is again."""

    def tell(self, response: Response) -> None:
        """Tell one response."""

    def end(self) -> None:
        """Tell that there are no more."""


class Follower:
    """One subscription that is fed."""

    __slots__ = (
        "_awaited",
        "_call",
        "_context",
        "_engine",
        "_event",
        "_feed",
        "_key",
        "_present",
        "_principal",
        "_question",
        "_reader",
        "_task",
    )

    def __init__(
        self,
        engine: Engine,
        call: Call,
        feed: Feed,
        reader: Reader,
        *,
        principal: Any,
        present: Callable[[Any], Any],
    ) -> None:
        self._engine = engine
        self._call = call
        self._feed: Feed | None = feed
        self._reader = reader
        self._principal = principal
        self._present = present
        self._key = engine.key(engine.question(call.operation, call.request), principal)
        self._event: Any = None
        self._awaited: Answer | None = None
        self._task: asyncio.Task[None] | None = None
        # What is executed belongs to this subscription, whoever wakes it.
        self._context: Context = copy_context()

    def begin(self) -> None:
        """Tell what there is to tell, and then whatever comes."""
        assert self._feed is not None  # noqa: S101 - it was not closed before it has begun
        self._feed.open(self.wake)
        self.wake()

    def close(self) -> None:
        """Tell nothing any more."""
        if self._feed is not None:
            feed, self._feed = self._feed, None
            feed.close()
        if self._task is not None:
            self._task.cancel()

    def wake(self) -> None:
        """Tell all that there is to tell, until the reader or an answer has to be waited for."""
        try:
            while self._task is None and self._feed is not None and self._reader.is_ready:
                event = self._feed.take() if self._event is None else self._event
                if event is None:
                    return
                response = self._answer(event)
                if response is None:
                    self._event = event
                    return
                self._event = self._awaited = None
                self._reader.tell(response)
        except StopAsyncIteration:
            self.close()
            self._reader.end()
        except Exception as error:  # noqa: BLE001 - whatever breaks the source is told, masked
            self._break(error)

    def _break(self, error: Exception) -> None:
        self.close()
        self._reader.tell(broken(error, self._call.request_id))

    def _answer(self, event: Any) -> Response | None:
        """Return the answer to an event if somebody has it; else None, and `wake` is called when it is there."""
        # With the rights of this moment, as the context of an execution would have them.
        now = self._present(self._principal)
        if now is not self._principal:
            self._principal = now
            self._key = self._key and self._engine.key(self._key.question, now)
        answers, key = answers_of(event), self._key
        if answers is None or key is None:
            self._ask(event)
            return None
        found = find(answers, key)
        if found is None:
            self._ask(event, (key, claim(answers, key)))
        elif found.for_all is not None:
            return found.for_all
        elif found.is_over:
            self._ask(event)
        elif found is not self._awaited:
            self._awaited = found
            found.then(self.wake)
        return None

    def _ask(self, event: Any, claimed: tuple[Key, Answer] | None = None) -> None:
        work = self._asked(event, claimed)
        self._awaited = None
        self._task = asyncio.get_running_loop().create_task(work, context=self._context)
        if claimed is not None:
            # Also if the task is cancelled before it has begun: others wait for it.
            self._task.add_done_callback(lambda _: claimed[1].end())

    async def _asked(self, event: Any, claimed: tuple[Key, Answer] | None) -> None:
        call = self._call
        try:
            response = await self._engine.answer(
                call.operation, call.request, event, call.fresh_context, call.request_id, claimed=claimed
            )
        except Exception as error:  # noqa: BLE001 - as in `wake`
            self._task = None
            self._break(error)
            return
        self._task = self._event = None
        self._reader.tell(response)
        self.wake()
