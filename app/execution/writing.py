"""Writes the function of a selection set as Python, once it is clear that it is run often.

The loop that `compiling` runs over the fields of a set unpacks each of them, asks of which sort it is, and fills the answer
key by key. Written out, a field is the call of its getter, a comparison of types, and a place in one dictionary. It is
what that loop does, step by step, and whatever isn't as it mostly is goes on in the same functions.

What is written depends on the sorts of the fields alone. Keys, getters and types are handed over as values, so nothing that a
caller sent is ever part of a program, and sets of the same sorts share what was written for the first.
"""

from collections.abc import Callable, Set
from functools import lru_cache
from typing import Any, NamedTuple

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
                v# = get#(source)
                if {test}:
                    r# = {result}
                else:
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
    """Return the function of a selection set of `compiling.Field`s."""
    parts: list[str] = []
    given: dict[str, Any] = {"gathered": gathered, "is_awaitable": is_awaitable, "settled": settled}
    for number, field in enumerate(fields):
        own: dict[str, Any] = {"key#": field.key, "complete#": field.complete}
        text = _WHOLE
        if field.get is not None:
            sort = field.sort or Sort("False", "None", {})
            text = _PLAIN.format(test=sort.test, result=sort.result)
            own |= {"get#": field.get, "fail#": field.fail, **sort.given}
        parts.append(text.replace("#", str(number)))
        given |= {name.replace("#", str(number)): value for name, value in own.items()}
    execute: Callable[[Any, Any, Any], Any] = _program(tuple(parts), tuple(given))(**given)
    return execute


@lru_cache(maxsize=WRITTEN_MAX)
def _program(parts: tuple[str, ...], names: tuple[str, ...]) -> Callable[..., Any]:
    text = _PROGRAM.format(
        parameters=", ".join(names[3:]),
        fields="".join(parts),
        items=", ".join(f"key{number}: r{number}" for number in range(len(parts))),
    )
    namespace: dict[str, Any] = {}
    exec(compile(text, "<selection set>", "exec"), namespace)  # noqa: S102 - made of the templates above and of numbers
    made: Callable[..., Any] = namespace["write"]
    return made
