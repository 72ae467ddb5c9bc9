"""Fields that follow from columns of the record that an object shows, and from nothing else.

A type says of such a field which columns it reads and what it makes of them; the resolver is made from that, so there is one account
of it. Whoever executes operations knows then that the field looks at nobody, changes nothing and waits for nothing: it may read many
records by one program, leave out objects that would only be taken apart again, and try again in another way what went wrong.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple, TypeVar

import strawberry

T = TypeVar("T")

READING = "reading"
"""The key in a field's metadata below which its reading stands."""

HANDED_ON = "handed on"
"""The key in a field's metadata that tells which records it is about: true where its objects show the same as its own object
does, or some of them; false where it reads what tells their order at most."""

OF_THESE: dict[object, Any] = {HANDED_ON: True}
OF_ORDER: dict[object, Any] = {HANDED_ON: False}

RECORD = "model"
"""The attribute of an object that holds the record."""


class Reading(NamedTuple):
    """What a field is made of."""

    columns: tuple[str, ...]
    make: Callable[..., Any] | None = None
    """Makes the value of the columns; none where the one column is the value."""
    parts: Mapping[str, Callable[..., Any]] | None = None
    """Of a value that is an object: each of its attributes, as a function of the columns."""

    def resolver(self) -> Callable[[Any], Any]:
        """Return a function of the object."""
        take: Callable[[Any], Any] = attrgetter(*(f"{RECORD}.{column}" for column in self.columns))
        make = self.make
        if make is None:

            def value(self: Any) -> Any:
                return take(self)

            return value
        if len(self.columns) == 1:
            return lambda self: make(take(self))
        return lambda self: make(*take(self))


def column(name: str, type_: Any, make: Callable[[Any], Any] | None = None, *, description: str) -> Any:
    """Return a field of a type that shows a column, or what is made of it."""
    return reading(Reading((name,), make), type_, description=description)


def reading(found: Reading, type_: Any, *, description: str) -> Any:
    """Return a field of a type that shows what is read of the record."""
    resolver = found.resolver()
    # By this, and not by an annotation of the class, so that fields stand in the schema as they do in the class.
    resolver.__annotations__["return"] = type_
    return strawberry.field(resolver=resolver, description=description, metadata={READING: found})


class Shown(Iterable[Any]):
    """Objects of a type, one for each record; they are made as somebody asks for them."""

    __slots__ = ("records", "type")

    def __init__(self, type_: type, records: Sequence[Any]) -> None:
        self.type = type_
        self.records = records

    def __iter__(self) -> Iterator[Any]:
        """Make the objects, one after the other."""
        return map(showing(self.type), self.records)


def taking(type_: type, columns: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Return what reads columns of a record of a class, in one go.

    A class may say, by `places`, at which places of its records columns stand as they are read by their names.
    """
    places: Mapping[str, int] = getattr(type_, "places", {})
    if len(columns) < 2:
        return lambda record: tuple(getattr(record, column) for column in columns)
    if all(column in places for column in columns):
        return itemgetter(*(places[column] for column in columns))
    return attrgetter(*columns)


def showing(type_: Callable[..., T]) -> Callable[[Any], T]:
    """Return what makes an object of a type that shows a record."""
    return lambda record: type_(**{RECORD: record})


def columns_of(info: Any) -> frozenset[str] | None:
    """Return the columns that are read below a field of the records that it returns, beside those that tell their order; None
    where more may be.
    """
    columns: frozenset[str] | None = getattr(info, "columns", None)
    return columns
