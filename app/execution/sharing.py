"""One execution for all who are told of the same event and would be answered alike.

An event of a subscription that is told to many carries a table of its answers (`answers_of`). Whoever comes first
executes the operation, and what is read of the caller meanwhile is written down: a caller who asks the same question,
has the same rights, and is the same in all that was looked at, would have been led the same way at every step, and is
given the same answer. Everybody else executes for themselves.

Nothing is shared that has errors in it, because errors carry the id of one caller's request, nor for longer than
`SHARED_S`, because what hangs below an event is read when it is asked for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable
from time import monotonic
from typing import Any, Protocol

from app.execution.requests import encode

SHARED_S = 1.0
"""How long after its execution began an answer is given to others."""


class Response(dict[str, Any]):
    """A response that several callers get: nobody changes it, and it is written down once."""

    __slots__ = ("content",)

    def __init__(self, response: dict[str, Any]) -> None:
        super().__init__(response)
        self.content = encode(response)
        """The response as JSON."""


def encoded(response: dict[str, Any]) -> bytes:
    """Return a response as JSON."""
    return response.content if isinstance(response, Response) else encode(response)


class Onlooker(Protocol):
    """One caller, as seen by an execution that may be shared."""

    @property
    def rights(self) -> Hashable:
        """What must be equal in any case."""

    @property
    def context(self) -> object:
        """The context for an execution that is not shared."""

    def watched(self) -> tuple[object, Collection[str]]:
        """Return a context that writes down what is read of the caller, and where: names, more of them as it runs."""

    def values(self, names: Collection[str]) -> Hashable:
        """Return what the caller is in all of these."""


class Onlook(Protocol):
    """Knows what callers are to executions that may be shared."""

    def __call__(self, context: Any) -> Onlooker:
        """Make an onlooker of the context of an event."""

    def rights_of(self, principal: Any) -> Hashable:
        """Return what the onlooker of a context with this principal has as its rights."""


class Key:
    """A question, and the rights of those who ask it; and what they are besides, where somebody looked.

    Looked up for each reader of each event, so its hash is worked out once.
    """

    __slots__ = ("_hash", "question", "rights", "values")

    def __init__(self, question: Hashable, rights: Hashable, values: Hashable = None) -> None:
        self.question = question
        self.rights = rights
        self.values = values
        self._hash = hash((question, rights, values))

    def __hash__(self) -> int:
        """Return the hash."""
        return self._hash

    def __eq__(self, other: object) -> bool:
        """Tell whether both are answered alike."""
        if not isinstance(other, Key):
            return NotImplemented
        return (self.question, self.rights, self.values) == (other.question, other.rights, other.values)

    def of(self, values: Hashable) -> "Key":
        """Return the key of those who are also alike in these values."""
        return Key(self.question, self.rights, values)


Answers = dict[Key, "Answer"]
"""What was answered of one event."""


def answers_of(event: object) -> Answers | None:
    """Return the table of an event that is told to many; None for any other."""
    found = getattr(event, "answers", None)
    return found if isinstance(found, dict) else None


WOKEN_AT_ONCE = 200
"""How many who waited for an answer are woken before the loop may do something else."""


class Answer:
    """An execution that others may wait for."""

    __slots__ = ("_waiting", "begun_s", "for_all", "is_over", "names", "response")

    def __init__(self) -> None:
        self.begun_s = monotonic()
        self.is_over = False
        self.names: Collection[str] | None = None
        """What was read of the caller; None while it runs, and when it can't be shared."""
        self.response: Response | None = None
        self.for_all: Response | None = None
        """The response, if nothing was read of its caller."""
        self._waiting: list[Callable[[], object]] = []

    def then(self, wake: Callable[[], object]) -> None:
        """Call when it is over."""
        self._waiting.append(wake)

    def lead_to(self, response: dict[str, Any], names: Collection[str]) -> None:
        """Take the response in, if others may have it."""
        if not response.get("errors"):
            self.names, self.response = frozenset(names), Response(response)
            self.for_all = None if names else self.response

    def end(self) -> None:
        """Have those go on who wait; whether or not there is anything to share."""
        if not self.is_over:
            self.is_over = True
            waiting, self._waiting = self._waiting, []
            _wake_in_turns(waiting, 0)


def _wake_in_turns(waiting: list[Callable[[], object]], start: int) -> None:
    for wake in waiting[start : start + WOKEN_AT_ONCE]:
        wake()
    if start + WOKEN_AT_ONCE < len(waiting):
        asyncio.get_running_loop().call_soon(_wake_in_turns, waiting, start + WOKEN_AT_ONCE)


def find(answers: Answers, key: Key) -> Answer | None:
    """Return an answer, over or not; None where the caller is to execute."""
    found = answers.get(key)
    if found is None or monotonic() - found.begun_s > SHARED_S:
        return None
    return found


def claim(answers: Answers, key: Key) -> Answer:
    """Say that the caller executes for all who ask the same: `lead` must follow, or the answer's `end`."""
    mine = answers[key] = Answer()
    return mine


async def answer(
    answers: Answers,
    question: Hashable,
    onlooker: Onlooker,
    run: Callable[[object], Awaitable[dict[str, Any]]],
) -> dict[str, Any]:
    """Return the answer to a question about an event; `run` executes it with a context."""
    key = Key(question, onlooker.rights)
    first = await _over(answers, key)
    if first is None:
        return await lead(answers, key, claim(answers, key), onlooker, run)
    if first.for_all is not None:
        return first.for_all
    if first.names is None:
        return await run(onlooker.context)
    key = key.of(onlooker.values(first.names))
    found = await _over(answers, key)
    if found is None:
        return await lead(answers, key, claim(answers, key), onlooker, run, among=first.names)
    return await run(onlooker.context) if found.response is None else found.response


async def _over(answers: Answers, key: Key) -> Answer | None:
    found = find(answers, key)
    if found is not None and not found.is_over:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not waiter.done():
                waiter.set_result(None)

        found.then(wake)
        await waiter
    return found


async def lead(
    answers: Answers,
    key: Key,
    mine: Answer,
    onlooker: Onlooker,
    run: Callable[[object], Awaitable[dict[str, Any]]],
    *,
    among: Collection[str] | None = None,
) -> dict[str, Any]:
    """Execute for all who ask the same; with `among`, only if nothing else is read of the caller."""
    try:
        if onlooker.rights != key.rights:
            # They were changed since the answer was claimed: it would be nobody's who waits for it.
            return await run(onlooker.context)
        context, names = onlooker.watched()
        response = await run(context)
        if among is None or set(names) <= set(among):
            mine.lead_to(response, names)
    finally:
        # Also when this caller has left: those who wait execute for themselves then.
        mine.end()
    if mine.response is None:
        return response
    if among is None and mine.names:
        answers[key.of(onlooker.values(mine.names))] = mine
    return mine.response
