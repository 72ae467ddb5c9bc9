"""Subscriptions without a task: who is told what, in which order, and how often somebody executes."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from app.execution.following import Follower
from app.execution.sharing import Answers, Key, answers_of
from app.live.turns import AT_ONCE, Turns


@dataclass
class Event:
    """An event that many are told."""

    number: int
    answers: Answers = field(default_factory=dict)


class Feed:
    """Events in a list."""

    def __init__(self, *events: Any) -> None:
        self.events = list(events)
        self.is_open = False

    def open(self, wake: Callable[[], None]) -> None:
        self.wake, self.is_open = wake, True

    def take(self) -> Any:
        event = self.events.pop(0) if self.events else None
        if isinstance(event, BaseException):
            raise event
        return event

    def close(self) -> None:
        self.is_open = False


class Reader:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.is_ready = True

    def tell(self, response: Any) -> None:
        self.told.append(
            response["data"] if "data" in response else response["errors"][0]["extensions"]["code"]
        )

    def end(self) -> None:
        self.told.append("end")


class Engine:
    """Executes when the test lets it, and counts; what a caller may do is their name's first letter."""

    def __init__(self) -> None:
        self.executed: list[int] = []
        self.go_on = asyncio.Event()
        self.is_shared = True

    def question(self, _operation: Any, _request: Any) -> str:
        return "?"

    def key(self, question: Any, principal: str) -> Key:
        return Key(question, principal[0])

    async def answer(self, _operation: Any, _request: Any, event: Event, *_: Any, claimed: Any = None) -> Any:
        self.executed.append(event.number)
        await self.go_on.wait()
        if event.number < 0:
            raise RuntimeError
        if claimed is not None and self.is_shared:
            claimed[1].lead_to({"data": event.number}, ())
            return claimed[1].response
        return {"data": event.number}


@pytest.fixture
async def engine() -> Engine:
    return Engine()


def follow(
    engine: Engine, feed: Feed, name: str = "ann", present: Callable[[Any], Any] = lambda principal: principal
) -> tuple[Follower, Reader]:
    """Begin to follow."""
    call: Any = SimpleNamespace(operation=None, request=None, fresh_context=None, request_id="request")
    reader, stand_in = Reader(), engine
    follower = Follower(stand_in, call, feed, reader, principal=name, present=present)  # type: ignore[arg-type]
    follower.begin()
    return follower, reader


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_all_who_are_alike_share_one_execution_and_others_have_their_own(engine: Engine) -> None:
    events = [Event(1), Event(2)]
    followed = [follow(engine, Feed(*events), name) for name in ("ann", "abe", "bob", "ada")]
    await settle()
    assert engine.executed == [1, 1]
    engine.go_on.set()
    await settle()
    assert [reader.told for _, reader in followed] == [[1, 2]] * 4
    assert engine.executed == [1, 1, 2, 2]
    _, late = follow(engine, Feed(events[1]))
    assert late.told == [2]


async def test_what_cannot_be_shared_is_executed_by_each(engine: Engine) -> None:
    engine.is_shared = False
    event = Event(1)
    followed = [follow(engine, Feed(event)) for _ in range(3)]
    engine.go_on.set()
    await settle()
    assert [reader.told for _, reader in followed] == [[1]] * 3
    assert engine.executed == [1] * 3


async def test_a_reader_who_is_behind_has_nothing_taken(engine: Engine) -> None:
    engine.go_on.set()
    feed = Feed(Event(1))
    follower, reader = follow(engine, feed)
    await settle()
    reader.is_ready = False
    feed.events += [Event(2), Event(3)]
    feed.wake()
    await settle()
    assert (reader.told, len(feed.events)) == ([1], 2)
    reader.is_ready = True
    follower.wake()
    await settle()
    assert reader.told == [1, 2, 3]


@pytest.mark.parametrize(
    ("last", "told"), [(StopAsyncIteration(), "end"), (RuntimeError(), "INTERNAL_SERVER_ERROR"), (Event(-1), "INTERNAL_SERVER_ERROR")]
)  # fmt: skip
async def test_the_end_and_what_breaks_are_told_and_close_the_feed(
    engine: Engine, last: Any, told: str
) -> None:
    engine.go_on.set()
    feed = Feed(Event(1), last, Event(2))
    _, reader = follow(engine, feed)
    await settle()
    assert reader.told == [1, told]
    assert not feed.is_open


async def test_who_executes_for_others_may_leave(engine: Engine) -> None:
    event = Event(1)
    (first, gone), (_, other) = follow(engine, Feed(event)), follow(engine, Feed(event))
    first.close()
    await settle()
    engine.go_on.set()
    await settle()
    assert (gone.told, other.told) == ([], [1])


async def test_rights_are_those_of_the_moment(engine: Engine) -> None:
    engine.go_on.set()
    now = {"ann": "ann"}
    event, feed = Event(2), Feed(Event(1))
    _, reader = follow(engine, feed, present=lambda _: now["ann"])
    await settle()
    now["ann"] = "bare"
    feed.events.append(event)
    feed.wake()
    await settle()
    assert reader.told == [1, 2]
    assert [key.rights for key in answers_of(event) or {}] == ["b"]


async def test_many_are_woken_in_turns_and_others_come_between() -> None:
    turns, woken = Turns(), list[str]()
    turns.begin()
    turns.add(lambda: [lambda: woken.append("many")] * (AT_ONCE * 2))
    turns.add(lambda: [lambda: 1 / 0, lambda: woken.append("one")])  # type: ignore[list-item]
    await asyncio.sleep(0)
    assert woken == ["many"] * AT_ONCE
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert woken.index("one") == AT_ONCE
    await settle()
    assert len(woken) == AT_ONCE * 2 + 1
