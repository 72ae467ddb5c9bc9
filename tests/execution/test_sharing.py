"""Who is given an answer that was executed for somebody else: only those who can't be told apart."""

import asyncio
from collections.abc import Collection, Hashable
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.execution import sharing
from app.execution.requests import encode
from app.execution.sharing import Answers, Response, answer, encoded


@dataclass
class Person:
    """Reads what it is told to read, and is answered by its own name and what was read."""

    name: str
    rights: str = "all"
    town: str = "Oslo"
    reads: tuple[str, ...] = ()
    fails: bool = False
    executed: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    @property
    def context(self) -> object:
        return self

    def watched(self) -> tuple[object, Collection[str]]:
        return self, self.names

    def values(self, names: Collection[str]) -> Hashable:
        return tuple(getattr(self, name) for name in sorted(names))


class Table:
    """The answers of one event, and who executed."""

    def __init__(self) -> None:
        self.answers: Answers = {}
        self.executed: list[str] = []
        self.go_on = asyncio.Event()

    async def run(self, context: Any) -> dict[str, Any]:
        """Execute, as soon as the test lets it."""
        self.executed.append(context.name)
        await self.go_on.wait()
        context.names.update(context.reads)
        if context.fails:
            return {"errors": [context.name], "data": None}
        return {"data": {"by": context.name}}

    def ask(self, person: Person, question: str = "?") -> asyncio.Task[dict[str, Any]]:
        """Ask in a task."""
        return asyncio.create_task(answer(self.answers, question, person, self.run))

    async def ask_all(self, *people: Person) -> list[str]:
        """Have all ask at once; return by whom each is answered."""
        tasks = [self.ask(person) for person in people]
        self.go_on.set()
        return [_by(await task) for task in tasks]


def _by(response: dict[str, Any]) -> str:
    return str(response.get("errors") or response["data"]["by"])


@pytest.fixture
async def table() -> Table:
    return Table()


async def test_all_who_are_alike_share_one_execution(table: Table) -> None:
    assert await table.ask_all(Person("a"), Person("b"), Person("c", town="Rome")) == ["a"] * 3
    assert await table.ask_all(Person("late")) == ["a"]
    assert table.executed == ["a"]


@pytest.mark.parametrize("other", ["rights", "question"])
async def test_other_rights_or_another_question_are_executed_apart(table: Table, other: str) -> None:
    first = table.ask(Person("a"))
    second = table.ask(
        Person("b", rights="few" if other == "rights" else "all"), "!" if other == "question" else "?"
    )
    table.go_on.set()
    assert [_by(await first), _by(await second)] == ["a", "b"]


async def test_who_was_looked_at_is_compared(table: Table) -> None:
    looking = {"reads": ("town",)}
    people = [Person(f"{town}-{n}", town=town, **looking) for n in (1, 2) for town in ("Oslo", "Rome")]  # type: ignore[arg-type]

    assert await table.ask_all(*people) == ["Oslo-1", "Rome-1", "Oslo-1", "Rome-1"]
    assert table.executed == ["Oslo-1", "Rome-1"]


async def test_who_is_looked_at_closer_than_the_first_is_answered_alone(table: Table) -> None:
    people = [
        Person("a", reads=("town",)),
        Person("b", town="Rome", reads=("town", "name")),
        Person("c", town="Rome", reads=("town", "name")),
    ]

    assert await table.ask_all(*people) == ["a", "b", "c"]


async def test_errors_are_nobody_elses(table: Table) -> None:
    assert await table.ask_all(*(Person(name, fails=True) for name in "abc")) == ["['a']", "['b']", "['c']"]


async def test_the_first_may_leave(table: Table) -> None:
    first, second, third = (table.ask(Person(name)) for name in "abc")
    await asyncio.sleep(0)
    first.cancel()
    second.cancel()
    table.go_on.set()

    assert _by(await third) == "c"
    assert first.cancelled()
    assert second.cancelled()


async def test_a_defect_is_nobody_elses(table: Table) -> None:
    async def broken(_context: object) -> dict[str, Any]:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await answer(table.answers, "?", Person("a"), broken)

    assert await table.ask_all(Person("b")) == ["b"]


async def test_an_answer_is_shared_for_a_moment_only(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "SHARED_S", -1.0)

    assert await table.ask_all(Person("a")) == ["a"]
    assert await table.ask_all(Person("b")) == ["b"]


def test_it_is_written_down_once_and_as_any_other() -> None:
    plain: dict[str, Any] = {"data": {"a": [1, None, "é"]}}
    response = Response(plain)

    assert encoded(response) == encode(response) == encode(plain) == encoded(plain)
    assert response.content is response.content
