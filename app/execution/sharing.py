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
from dataclasses import dataclass
from typing import Any, Protocol

from app.execution.requests import encode

SHARED_S = 1.0
"""How long after its execution began an answer is given to others."""


class Response(dict[str, Any]):
    """A response that several callers get: nobody changes it, and it becomes text once."""

    __slots__ = ("_text",)
    _text: str

    @property
    def text(self) -> str:
        """The response as JSON."""
        try:
            return self._text
        except AttributeError:
            self._text = encode(self).decode()
            return self._text


def encoded(response: dict[str, Any]) -> bytes:
    """Return a response as JSON."""
    return response.text.encode() if isinstance(response, Response) else encode(response)


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


Onlook = Callable[[Any], Onlooker]
"""Makes an onlooker of the context of an event."""

Answers = dict[Any, "_Answer"]
"""What was answered of one event."""


def answers_of(event: object) -> Answers | None:
    """Return the table of an event that is told to many; None for any other."""
    found = getattr(event, "answers", None)
    return found if isinstance(found, dict) else None


@dataclass(slots=True)
class _Answer:
    """An execution that others may wait for."""

    begun_s: float
    over: asyncio.Event
    names: Collection[str] | None = None
    """What was read of the caller; None while it runs, and when it can't be shared."""
    response: Response | None = None

    def lead_to(self, response: dict[str, Any], names: Collection[str]) -> None:
        if not response.get("errors"):
            self.names, self.response = frozenset(names), Response(response)


async def answer(
    answers: Answers,
    question: Hashable,
    onlooker: Onlooker,
    run: Callable[[object], Awaitable[dict[str, Any]]],
) -> dict[str, Any]:
    """Return the answer to a question about an event; `run` executes it with a context."""
    key: tuple[Hashable, ...] = (question, onlooker.rights)
    first = await _over(answers, key)
    if first is None:
        return await _lead(answers, key, onlooker, run)
    if first.names is None:
        return await run(onlooker.context)
    if not first.names:
        return _shared(first)
    key = (*key, onlooker.values(first.names))
    found = await _over(answers, key)
    if found is None:
        return await _lead(answers, key, onlooker, run, first.names)
    return await run(onlooker.context) if found.names is None else _shared(found)


async def _over(answers: Answers, key: Hashable) -> _Answer | None:
    """Return an answer once it is there; None where the caller is to execute."""
    found = answers.get(key)
    if found is None or asyncio.get_running_loop().time() - found.begun_s > SHARED_S:
        return None
    if not found.over.is_set():
        await found.over.wait()
    return found


def _shared(found: _Answer) -> Response:
    assert found.response is not None  # noqa: S101 - names and response are set together
    return found.response


async def _lead(
    answers: Answers,
    key: tuple[Hashable, ...],
    onlooker: Onlooker,
    run: Callable[[object], Awaitable[dict[str, Any]]],
    among: Collection[str] | None = None,
) -> dict[str, Any]:
    """Execute for all who ask the same; with `among`, only if nothing else is read of the caller."""
    mine = answers[key] = _Answer(asyncio.get_running_loop().time(), asyncio.Event())
    context, names = onlooker.watched()
    try:
        response = await run(context)
        if among is None or set(names) <= set(among):
            mine.lead_to(response, names)
    finally:
        # Also when this caller has left: those who wait execute for themselves then.
        mine.over.set()
    if mine.response is None:
        return response
    if among is None and mine.names:
        answers[*key, onlooker.values(mine.names)] = mine
    return mine.response
