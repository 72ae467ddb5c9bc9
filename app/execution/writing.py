"""Writes the function of a selection set as Python, once it is clear that it is run often.

The loop that `steps` runs over the fields of a set unpacks each of them, asks of which sort it is, and fills the answer
key by key. Written out, a field is the call of its getter, a comparison of types, and a place in one dictionary. It is
what that loop does, step by step, and whatever isn't as it mostly is goes on in the same functions.

What is written depends on the sorts of the fields alone, and on the names of the columns that types say they read
(`app.readings`). Keys, getters and types are handed over as values, so nothing that a caller sent is ever part of a
program, and sets of the same sorts share what was written for the first. Where nothing but columns was selected of a
list's objects, one program goes over all of their records, and no object is made.
"""

import re
from collections.abc import Callable, Iterable, Set
from functools import lru_cache
from typing import Any, NamedTuple

from app.readings import RECORD, Reading, taking

FIELDS_MAX = 32
"""A set of more fields is left to the loop."""

RUNS = 100
"""A set is written out when it was run so often: most documents that are sent once never pay for that."""

WRITTEN_MAX = 256
"""Programs that are kept."""


class Sort(NamedTuple):
    """Values that a field mostly has: how they are known, and what stands in the answer for them."""

    test: str
    """An expression of `v`, the value; `t`, `c` and others with the field's number are what `given` holds."""
    result: str
    given: dict[str, Any]
    take: str = "v# = get#(source)"
    """How the value comes from `source`, the object, or from `record`, which that shows."""
    otherwise: str = "pass"
    """How it comes after all, where `take` and the test did without it."""


def kept(type_: type) -> Sort:
    """Values of a type that are in the answer as they are."""
    return Sort("type(v#) is t#", "v#", {"t#": type_})


def coerced(type_: type, coerce: Callable[[Any], str]) -> Sort:
    """Values of a type of which a function makes a text."""
    return Sort("type(v#) is t# and type(w# := c#(v#)) is str", "w#", {"t#": type_, "c#": coerce})


def member(type_: type, names: dict[str, Any]) -> Sort:
    """Members of an enumeration, by the names that they have in Python."""
    test = "type(v#) is t# and (w# := c#(v#._name_)) is not None"
    return Sort(test, "w#", {"t#": type_, "c#": names.get})


def attributes(type_: type, known: tuple[tuple[str, str, type], ...]) -> Sort:
    """Objects of a class of which only attributes were selected: their keys, names and types as they are kept."""
    tests, items = ["type(v#) is t# and (d# := v#.__dict__) is not None"], []
    given: dict[str, Any] = {"t#": type_}
    for n, (key, name, kept_type) in enumerate(known):
        tests.append(f"type(a#_{n} := d#.get(n#_{n})) is t#_{n}")
        items.append(f"k#_{n}: a#_{n}")
        given |= {f"k#_{n}": key, f"n#_{n}": name, f"t#_{n}": kept_type}
    return Sort(" and ".join(tests), f"{{{', '.join(items)}}}", given)


def nullable(sort: Sort) -> Sort:
    """Return the sort of values that are as this one, or null."""
    test, result = f"(v# is None or {sort.test})", f"(None if v# is None else {sort.result})"
    return sort._replace(test=test, result=result)


def read(reading: Reading, sort: Sort) -> Sort:
    """Return the sort of values that are read of columns."""
    columns = ", ".join(f"record.{_name(column)}" for column in reading.columns)
    if reading.make is None:
        return sort._replace(take=f"v# = {columns}")
    return sort._replace(take=f"v# = m#({columns})", given=sort.given | {"m#": reading.make})


def read_parts(reading: Reading, selected: Iterable[tuple[str, Callable[..., Any], type]]) -> Sort:
    """Return the sort of objects that are never made: of their attributes, the keys, what reads them, and their types."""
    tests, items, given = [], [], dict[str, Any]()
    names = ", ".join(f"x#_{n}" for n in range(len(reading.columns)))
    for n, (key, part, kept_type) in enumerate(selected):
        tests.append(f"type(a#_{n} := p#_{n}({names})) is t#_{n}")
        items.append(f"k#_{n}: a#_{n}")
        given |= {f"k#_{n}": key, f"p#_{n}": part, f"t#_{n}": kept_type}
    columns = ", ".join(f"record.{_name(column)}" for column in reading.columns)
    result = f"{{{', '.join(items)}}}"
    return Sort(" and ".join(tests), result, given, f"{names} = {columns}", "v# = get#(source)")


def constant(text: str) -> Sort:
    """Return the sort of a value that is always the same."""
    return Sort("True", "c#", {"c#": text}, "pass")


def _name(column: str) -> str:
    # Of our own types, but what becomes part of a program is looked at.
    if not column.isidentifier():
        raise ValueError(f"{column!r} is no name of a column")
    return column


_PROGRAM = """
def write(gathered, is_awaitable, settled, {parameters}):
    def execute(run, source, place):
        waiting = ()
        try:
{fields}
        except Exception:
            if waiting:
                run.settle_in_background([value for _, value in waiting])
            raise
        results = {{{items}}}
        return gathered(results, [key for key, _ in waiting]) if waiting else results
    return execute
"""

_PLAIN = """
            try:
                {take}
                if {test}:
                    r# = {result}
                else:
                    {otherwise}
                    r# = complete#(run, v#, place)
                    if type(r#) not in settled and is_awaitable(r#):
                        waiting = (*waiting, (key#, r#))
            except Exception as error:
                r# = fail#(run, error, place)
"""

_WHOLE = """
            r# = complete#(run, source, place)
            if type(r#) not in settled and is_awaitable(r#):
                waiting = (*waiting, (key#, r#))
"""


def written(
    fields: tuple[Any, ...],
    settled: Set[type],
    is_awaitable: Callable[[Any], bool],
    gathered: Callable[..., Any],
) -> Callable[[Any, Any, Any], Any]:
    """Return the function of a selection set of `steps.Field`s."""
    parts: list[str] = []
    given: dict[str, Any] = {"gathered": gathered, "is_awaitable": is_awaitable, "settled": settled}
    for number, field in enumerate(fields):
        own: dict[str, Any] = {"key#": field.key, "complete#": field.complete}
        text = _WHOLE
        if field.get is not None:
            sort = field.sort or Sort("False", "None", {})
            take = sort.take.replace("record.", f"source.{RECORD}.")
            text = _PLAIN.format(take=take, test=sort.test, result=sort.result, otherwise=sort.otherwise)
            own |= {"get#": field.get, "fail#": field.fail, **sort.given}
        parts.append(text.replace("#", str(number)))
        given |= {name.replace("#", str(number)): value for name, value in own.items()}
    text = _PROGRAM.format(
        parameters=", ".join(list(given)[3:]),
        fields="".join(parts),
        items=", ".join(f"key{number}: r{number}" for number in range(len(parts))),
    )
    execute: Callable[[Any, Any, Any], Any] = _program(text)(**given)
    return execute


_COLUMN = re.compile(r"\brecord\.(\w+)")

_RECORDS = """
def write(taking, {parameters}):
    type_ = take = None
    def read(records):
        nonlocal type_, take
        found = []
        try:
            for record in records:
                if type(record) is not type_:
                    type_, take = type(record), taking(type(record))
                [{columns}] = take(record)
                {takes}
                if not ({tests}):
                    return None
                found.append({{{items}}})
        except Exception:
            return None
        return found
    return read
"""


def written_for_records(
    fields: Iterable[tuple[str, Sort]],
) -> Callable[[Iterable[Any]], list[dict[str, Any]] | None]:
    """Return the function of many records, of which only what is read of each was selected.

    Its answer is None where one of them isn't as they mostly are: since reading changes nothing, whoever knows what to do
    then may begin again.
    """
    given: dict[str, Any] = {}
    takes, tests, items = [], [], []
    for number, (key, sort) in enumerate(fields):
        takes.append(sort.take.replace("#", str(number)))
        tests.append(sort.test.replace("#", str(number)))
        items.append(f"key{number}: {sort.result.replace('#', str(number))}")
        own = {"key#": key, **sort.given}
        given |= {name.replace("#", str(number)): value for name, value in own.items()}
    columns = tuple(dict.fromkeys(found for take in takes for found in _COLUMN.findall(take)))
    text = _RECORDS.format(
        parameters=", ".join(given),
        columns=", ".join(f"read_{column}" for column in columns),
        takes=f"\n{' ' * 16}".join(_COLUMN.sub(r"read_\1", take) for take in takes),
        tests=" and ".join(tests),
        items=", ".join(items),
    )
    read_all: Callable[[Iterable[Any]], list[dict[str, Any]] | None] = _program(text)(
        lambda type_: taking(type_, columns), **given
    )
    return read_all


@lru_cache(maxsize=WRITTEN_MAX)
def _program(text: str) -> Callable[..., Any]:
    namespace: dict[str, Any] = {}
    exec(compile(text, "<selection set>", "exec"), namespace)  # noqa: S102 - made of the templates above, of numbers and of columns
    made: Callable[..., Any] = namespace["write"]
    return made
