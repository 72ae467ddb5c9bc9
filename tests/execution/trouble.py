"""A schema in which everything goes wrong that can, the same way each time it is asked.

What a field does is drawn from the name of its source and the field's own: right values for the most part, and among
them null, values of the wrong type, errors that are raised, returned or awaited, and lists of all these.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import Enum
from random import Random
from typing import Annotated, Any, NewType, cast

import strawberry
from graphql import GraphQLError
from strawberry.extensions.field_extension import FieldExtension
from strawberry.permission import BasePermission
from strawberry.schema.config import StrawberryConfig
from strawberry.types import Info

from app.execution.errors import ApiError, ErrorCode
from app.readings import Reading, Shown, column, reading

Even = NewType("Even", int)
Day = NewType("Day", date)


class Mood(Enum):
    """How an animal feels."""

    GLAD = "glad"
    GRIM = 7


class Later:
    """Something to wait for that is no coroutine, and may be waited for again."""

    def __init__(self, value: Any, turns: int) -> None:
        self._value = value
        self._turns = turns

    def __await__(self) -> Generator[Any, Any, Any]:
        for _ in range(self._turns):
            yield from asyncio.sleep(0).__await__()
        if isinstance(self._value, Exception):
            raise self._value
        return self._value


@dataclass
class Notes:
    """The context: what was asked, in order."""

    asked: list[str] = field(default_factory=list)


TROUBLE: ContextVar[float] = ContextVar("TROUBLE", default=0.0)
"""How likely it is that something goes wrong."""

ShopInfo = Info[Notes, Any]


def errors(chance: Random) -> list[Exception]:
    """One of each sort."""
    return [
        ValueError(f"bad luck {chance.randint(0, 9)}"),
        ApiError(ErrorCode.FORBIDDEN, "Not for you.", extra={"need": "LUCK"}),
        GraphQLError("out of place", extensions={"code": "BAD_USER_INPUT"}),
        GraphQLError("somewhere else", path=["else", 3]),
    ]


def value_of(name: str, right: Callable[[Random], Any]) -> Any:
    """Draw what a field of that name gives: it may be an error, which whoever asks may raise or return."""
    chance, trouble = Random(name), TROUBLE.get()
    if chance.random() >= trouble:
        return right(chance)
    wrong = [None, None, "text", 3, 2.5, math.inf, [1, None, "x"], {"a": 1}, object, b"bytes", 2**40, True]
    return chance.choice([*wrong, *errors(chance)])


def given(name: str, right: Callable[[Random], Any]) -> Any:
    """Draw what an attribute holds: a value, or something to wait for."""
    value, chance = value_of(name, right), Random(f"{name}?")
    return Later(value, chance.randint(0, 2)) if chance.random() < 0.15 else value


def some(name: str, one: Callable[[str], Any]) -> Any:
    """Draw a list, in one of the many forms that lists have."""
    chance = Random(f"{name}#")
    items = [_item(f"{name}.{n}", one) for n in range(chance.randint(0, 4))]
    forms: list[Callable[[], Any]] = [lambda: items, lambda: items, lambda: tuple(items), lambda: iter(items)]
    if chance.random() < TROUBLE.get():
        forms += [lambda: _breaking(items), lambda: _streamed(items, breaks=True), lambda: "no list"]
    forms += [lambda: _streamed(items, breaks=False)]
    return chance.choice(forms)()


def _item(name: str, one: Callable[[str], Any]) -> Any:
    return given(name, lambda _: one(name))


def _breaking(items: list[Any]) -> Iterator[Any]:
    yield from items
    raise ValueError("the list breaks off")


async def _streamed(items: list[Any], *, breaks: bool) -> AsyncGenerator[Any, None]:
    for item in items:
        await asyncio.sleep(0)
        yield await item if isinstance(item, Later) else item
    if breaks:
        raise ValueError("the stream breaks off")


def text(chance: Random) -> str:
    """A right text."""
    return chance.choice(["", "a", "žluťoučký", '"quoted"'])


def parse_even(value: Any) -> int:
    """Take even numbers."""
    if not isinstance(value, int) or value % 2:
        raise GraphQLError(f"{value!r} is not even.")
    return value


def write_even(value: Any) -> Any:
    """Show even numbers; nothing for nought, which may not be."""
    return None if value == 0 else parse_even(value)


def write_day(value: date) -> str:
    """Show a day, unless it is an unlucky one."""
    if value.day == 13:
        raise ValueError("an unlucky day")
    return value.isoformat()


class Sometimes(BasePermission):
    """Refuses whoever asks for what has an unlucky name."""

    message = "Not today."
    error_extensions = {"code": "FORBIDDEN"}  # noqa: RUF012 - as Strawberry's own class has it

    def has_permission(self, source: Any, info: Info, **kwargs: Any) -> bool:
        """Tell whether it is a lucky day."""
        return Random(source.origin).random() >= TROUBLE.get()


class Shouting(FieldExtension):
    """Changes what the resolver says."""

    async def resolve_async(self, next_: Any, source: Any, info: Info, **kwargs: Any) -> Any:
        """Shout it."""
        found = await next_(source, info, **kwargs)
        return found.upper() if isinstance(found, str) else found


@strawberry.input
class Inner:
    """An input within an input."""

    even: Even = Even(2)
    names: list[str | None] | None = None


@strawberry.input
class Wish:
    """An input with defaults."""

    mood: Mood = Mood.GLAD
    number: int | None = 5
    inner: Inner = field(default_factory=Inner)
    inners: list[Inner] | None = None


@strawberry.input(one_of=True)
class Choice:
    """One of two."""

    number: strawberry.Maybe[int]
    word: strawberry.Maybe[str]


@strawberry.interface
class Animal:
    """What all animals have."""

    origin: strawberry.Private[str]
    name: str | None
    weight: float

    @strawberry.field
    def id(self, info: ShopInfo) -> strawberry.ID:
        """Tell the id, and note that it was asked."""
        return strawberry.ID(_asked(self, info, "id", lambda _: self.origin))

    @strawberry.field
    def friend(self) -> "Animal | None":
        """Another animal."""
        return raised(given(f"{self.origin}/friend", lambda _: animal(f"{self.origin}/friend")))  # type: ignore[no-any-return]

    @strawberry.field
    async def rivals(self, info: ShopInfo, first: int = 3) -> "list[Animal]":
        """Animals, none of which may be null."""
        found = some(f"{self.origin}/rivals", animal)
        _asked(self, info, f"rivals:{first}", lambda _: None)
        return found[:first] if isinstance(found, list) else found

    @strawberry.field
    async def owner(self) -> "Person":
        """Whose it is."""
        await asyncio.sleep(0)
        return raised(value_of(f"{self.origin}/owner", lambda _: person(f"{self.origin}/owner")))  # type: ignore[no-any-return]


@strawberry.type
class Dog(Animal):
    """An animal of Strawberry's own recognizing."""

    barks: bool
    mood: Mood | None
    tricks: list[str]


@strawberry.type
class Cat(Animal):
    """An animal that says itself whether it is one."""

    mood: Mood | None
    lives: int
    evens: list[Even | None]

    @classmethod
    def is_type_of(cls, value: Any, _info: Any) -> Any:
        """Tell it at once, later, or not at all."""
        if not isinstance(value, Cat):
            return False
        chance = Random(f"{value.origin}!")
        if chance.random() < TROUBLE.get():
            return chance.choice([False, Later(False, 1), Later(ValueError("who knows"), 1)])
        return chance.choice([True, Later(True, 1)])


@strawberry.type
class Home:
    """Of attributes only, if nothing else is asked for."""

    origin: strawberry.Private[str]
    street: str
    number: int | None
    since: Day

    @strawberry.field
    def door(self) -> str:
        """What is worked out."""
        return raised(value_of(f"{self.origin}/door", text))  # type: ignore[no-any-return]


@strawberry.type
class Person:
    """Somebody of no interface."""

    origin: strawberry.Private[str]
    name: str | None
    age: int
    grid: list[list[int]] | None
    holes: list[list[int | None] | None]
    even: Even
    since: Day | None
    home: Home | None

    @strawberry.field
    def houses(self) -> list[Home]:
        """Homes, none of which may be null."""
        return some(f"{self.origin}/houses", home)  # type: ignore[no-any-return]

    @strawberry.field
    def shed(self) -> Home:
        """A home, for certain."""
        return raised(value_of(f"{self.origin}/shed", lambda _: home(f"{self.origin}/shed")))  # type: ignore[no-any-return]

    @strawberry.field
    def pets(self) -> list[Annotated["Dog | Person | None", strawberry.union("Pet")]]:
        """A union, with nobody among them."""
        return some(f"{self.origin}/pets", pet)  # type: ignore[no-any-return]

    @strawberry.field
    def favourite(self) -> Annotated["Dog | Person", strawberry.union("Pet")] | None:
        """A union, at once."""
        return raised(given(f"{self.origin}/favourite", lambda _: pet(f"{self.origin}/favourite")))  # type: ignore[no-any-return]

    @strawberry.field(permission_classes=[Sometimes])  # type: ignore[untyped-decorator]
    def secret(self) -> str | None:
        """Tell it to whoever may know."""
        return "secret"

    @strawberry.field(extensions=[Shouting()])  # type: ignore[untyped-decorator]
    async def shout(self, word: str = "hey", *, info: ShopInfo) -> str:
        """Say it aloud."""
        return _asked(self, info, f"shout:{word}", lambda _: word)  # type: ignore[no-any-return]

    @strawberry.field
    def granted(
        self, info: ShopInfo, wish: Wish | None = None, choice: Choice | None = None, even: Even | None = None
    ) -> str | None:
        """Tell what was wished for."""
        told = f"{info.path.as_list()}{len(info.selected_fields)}{wish}{choice}{even}"
        return _asked(self, info, told, lambda _: told)  # type: ignore[no-any-return]


def _asked(source: Any, info: ShopInfo, what: str, right: Callable[[Random], Any]) -> Any:
    info.context.asked.append(f"{source.origin}.{what}")
    return raised(value_of(f"{source.origin}/{what}", right))


def raised(value: Any) -> Any:
    """Raise most of the errors; the others are returned, which is the same to GraphQL."""
    if isinstance(value, Exception) and Random(str(value)).random() < 0.8:
        raise value
    return value


def animal(origin: str) -> Animal:
    """Make a dog or a cat."""
    chance = Random(origin)
    name = given(f"{origin}/name", text)
    weight = given(f"{origin}/weight", lambda c: c.choice([0.5, 3, True]))
    mood = given(f"{origin}/mood", lambda c: c.choice([*Mood]))
    if chance.random() < 0.5:
        barks = given(f"{origin}/barks", lambda c: c.random() < 0.5)
        tricks = some(f"{origin}/tricks", lambda name: text(Random(name)))
        return Dog(origin=origin, name=name, weight=weight, mood=mood, barks=barks, tricks=tricks)
    lives = given(f"{origin}/lives", lambda c: c.randint(0, 9))
    evens = some(f"{origin}/evens", lambda name: Random(name).choice([0, 2, 3, 4]))
    return Cat(origin=origin, name=name, weight=weight, mood=mood, lives=lives, evens=evens)


def person(origin: str) -> Person:
    """Make somebody."""
    return Person(
        origin=origin,
        name=given(f"{origin}/name", text),
        age=given(f"{origin}/age", lambda c: c.randint(0, 99)),
        grid=some(f"{origin}/grid", lambda row: some(row, lambda cell: Random(cell).randint(0, 9))),
        holes=some(f"{origin}/holes", lambda row: some(row, lambda cell: Random(cell).choice([None, 1]))),
        even=given(f"{origin}/even", lambda c: c.choice([2, 4, 0, 5])),
        since=given(f"{origin}/since", day),
        home=given(f"{origin}/home", lambda _: home(f"{origin}/home")),
    )


def day(chance: Random) -> date:
    """A day, or a time: whoever writes the one writes the other, in another way."""
    return chance.choice([date(2026, 2, 28), date(2026, 2, 13), datetime(2026, 2, 28, 12, tzinfo=UTC)])


def home(origin: str) -> Home:
    """Make a home; from some of them an attribute was taken."""
    made = Home(
        origin=origin,
        street=given(f"{origin}/street", text),
        number=given(f"{origin}/number", lambda c: c.randint(0, 99)),
        since=given(f"{origin}/since", day),
    )
    if Random(f"{origin}-").random() < TROUBLE.get():
        del made.number
    return made


def person_named(origin: str) -> Callable[[Random], Person]:
    """Return what makes them."""
    return lambda _: person(origin)


def pet(origin: str) -> Any:
    """Make something of a union; a cat is none of it."""
    if Random(f"{origin}:").random() < TROUBLE.get():
        return animal(origin)
    return Random(origin).choice([person(origin), person(origin), *_dogs(origin)])


def _dogs(origin: str) -> list[Animal]:
    found = animal(origin)
    return [found] if isinstance(found, Dog) else []


def _root(info: ShopInfo, what: str) -> str:
    info.context.asked.append(what)
    return what


@dataclass
class BookRecord:
    """What a book is read of."""

    title: Any
    mood: Any
    street: Any
    number: Any
    bought: Any


@strawberry.type
class Book:
    """Shows a record; nothing else is looked at unless somebody asks who reads it."""

    model: strawberry.Private[BookRecord]

    title = column("title", str, description="Kept as it is.")
    subtitle = column("title", str | None, description="Kept as it is, or null.")
    loud = column(
        "title", str | None, lambda title: title.upper(), description="Made of a text, and of nothing else."
    )
    mood = column("mood", Mood, {mood.value: mood for mood in Mood}.__getitem__, description="A member.")
    temper = column("mood", Mood | None, Mood, description="A member, or null.")
    bought = column("bought", Day | None, description="Written by a scalar.")
    even = column("number", Even, description="Written by a scalar of which nothing is known.")
    place = reading(
        Reading(
            ("street", "number", "bought"),
            lambda street, number, bought: Home(origin="place", street=street, number=number, since=bought),
            {"street": lambda street, *_: street, "number": lambda _, number, __: number},
        ),
        Home,
        description="An object that need not be made, unless more than its parts is asked for.",
    )
    ruin = reading(
        Reading(("street",), lambda _street: None, {"street": lambda street: street}),
        Home | None,
        description="An object that may be null, whatever its parts say.",
    )

    @strawberry.field
    def reader(self) -> Person:
        """What is read of no column."""
        return person(f"reader of {self.model.title}")


def book(origin: str) -> BookRecord:
    """Make what a book is read of."""
    record = BookRecord(
        title=value_of(f"{origin}/title", text),
        mood=value_of(f"{origin}/mood", lambda c: c.choice(["glad", 7])),
        street=value_of(f"{origin}/street", text),
        number=value_of(f"{origin}/number", lambda c: c.choice([2, 4])),
        bought=value_of(f"{origin}/bought", lambda c: c.choice([date(2026, 2, 28), None])),
    )
    if Random(f"{origin}-").random() < TROUBLE.get():
        del record.street
    return record


@strawberry.type
class Query:
    """Reads."""

    @strawberry.field
    def books(self, seed: int = 1) -> list[Book]:
        """Books, made as they are asked for."""
        return cast("list[Book]", Shown(Book, [book(f"books{seed}.{n}") for n in range(4)]))

    @strawberry.field
    def found(self, seed: int = 1) -> list[Book | None] | None:
        """Books, of which none is missing; or, for some seeds, of another type than they should be."""
        type_ = Book if seed % 5 else BookRecord
        return cast("list[Book | None]", Shown(type_, [book(f"found{seed}.{n}") for n in range(3)]))

    @strawberry.field
    def any_book(self, seed: int = 1) -> Book | None:
        """A book alone."""
        return Book(model=book(f"book{seed}"))

    @strawberry.field
    def one(self, info: ShopInfo, seed: int = 1) -> Animal | None:
        """An animal."""
        return raised(value_of(f"one{seed}", animal_named(_root(info, f"one{seed}"))))  # type: ignore[no-any-return]

    @strawberry.field
    async def somebody(self, info: ShopInfo, seed: int = 1) -> Person:
        """Somebody, for certain."""
        await asyncio.sleep(0)
        return raised(value_of(f"somebody{seed}", lambda _: person(_root(info, f"somebody{seed}"))))  # type: ignore[no-any-return]

    @strawberry.field
    def herd(self, info: ShopInfo, seed: int = 1) -> list[Animal | None] | None:
        """Animals."""
        return some(_root(info, f"herd{seed}"), animal)  # type: ignore[no-any-return]

    @strawberry.field
    def sheet(self, seed: int = 1) -> Person | None:
        """Somebody, at once."""
        return person(f"sheet{seed}")


def animal_named(origin: str) -> Callable[[Random], Animal]:
    """Return what makes it."""
    return lambda _: animal(origin)


@strawberry.type
class Mutation:
    """Writes, one after the other."""

    @strawberry.mutation
    async def feed(self, info: ShopInfo, seed: int = 1) -> Person | None:
        """Feed somebody, in a while."""
        _root(info, f"feed{seed} begins")
        await asyncio.sleep(0)
        return raised(value_of(f"feed{seed}", lambda _: person(_root(info, f"feed{seed}"))))  # type: ignore[no-any-return]

    @strawberry.mutation
    def pat(self, info: ShopInfo, seed: int = 1) -> Animal:
        """Pat an animal, at once."""
        return raised(value_of(f"pat{seed}", animal_named(_root(info, f"pat{seed}"))))  # type: ignore[no-any-return]


@strawberry.type
class Subscription:
    """Streams."""

    @strawberry.subscription
    async def passing(self, info: ShopInfo, seed: int = 1) -> AsyncIterator[Person | None]:
        """Yield who comes by."""
        for number in range(3):
            origin = f"passing{seed}.{number}"
            yield value_of(origin, person_named(origin))


SCALARS: dict[object, Any] = {
    Even: strawberry.scalar(name="Even", serialize=write_even, parse_value=parse_even),
    Day: strawberry.scalar(name="Day", serialize=write_day, parse_value=date.fromisoformat),
}
SCHEMA = strawberry.Schema(
    Query, Mutation, Subscription, types=[Dog, Cat], config=StrawberryConfig(scalar_map=SCALARS)
)
