"""What is done with fields and values while an operation runs: the functions that `compiling` puts together.

Each is a step of graphql-core's executor (`graphql.execution.executor`) and says which, with all that depends only on the
schema and the document decided beforehand and handed in.

A place in the answer is a tuple (what is before it, key, type) as graphql-core's `Path` is one, and becomes a `Path`
only when somebody looks at it: most are made for an error that doesn't happen.
"""

from collections.abc import Awaitable, Callable, Iterator, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from graphql import Executor, GraphQLLeafType, GraphQLOutputType
from graphql.execution.collect_fields import FieldDetailsList
from graphql.execution.executor import collect_iterator_awaitables
from graphql.pyutils import Path, Undefined, gather_with_cancel, inspect
from strawberry.execution import optimized_is_awaitable as is_awaitable

from app.execution import writing
from app.execution.writing import Sort

Place: TypeAlias = tuple[Any, str | int, str | None]
Run: TypeAlias = Executor[Any]

Fields = Callable[[Run, Any, Place | None], Any]
"""(run, source, place) → what was selected of the source, or an awaitable of it."""
Step = Callable[[Run, Any, Place | None], Any]
"""(run, source or value or error, place of the source) → the completed field, or an awaitable of it."""
Ask = Callable[[Run, Any, Place, Any], Any]
"""(run, source, place, info or None) → what the resolver returns."""
InfoOf = Callable[[Run, Place], Any]
"""(run, place) → graphql-core's `info`."""
Complete = Callable[[Run, Any, Any, Place], Any]
"""(run, value, info, place) → the completed value, or an awaitable of it; raises what it fails with."""
Fail = Callable[[Run, Exception, Place], Any]
"""(run, error, place) → None, with the error noted; raises it, located, where the type is non-null."""


class Ends(NamedTuple):
    """What becomes of a value, and of an error in its place."""

    complete: Complete
    fail: Fail


class Field(NamedTuple):
    """A field of a selection set, in the steps that are taken for it."""

    key: str
    get: Callable[[Any], Any] | None
    """Takes the value from the source; None where that needs more than the source, and `complete` does it all."""
    kept: type | None
    """Values of this type are in the answer as they are."""
    sort: Sort | None
    """What its values mostly are."""
    complete: Step
    """What becomes of the value, or of the source where there is no `get`."""
    fail: Step
    """What becomes of an error of these two."""


SETTLED = frozenset(
    {
        type(None),
        bool,
        int,
        float,
        str,
        bytes,
        list,
        tuple,
        dict,
        date,
        datetime,
        time,
        timedelta,
        Decimal,
        UUID,
    }
)
"""Types whose values nobody can await: they are by far the most, and asking takes time."""


# --- fields -------------------------------------------------------------------------------------------------


def together(fields: tuple[Field, ...], settled: Set[type]) -> Fields:
    """Return the function of a selection set, as `Executor.execute_fields`."""
    runs = 0
    quick: Fields | None = None

    def execute(run: Run, source: Any, place: Place | None) -> Any:
        nonlocal runs, quick
        if quick is not None:
            return quick(run, source, place)
        runs += 1
        if runs == writing.RUNS and len(fields) <= writing.FIELDS_MAX:
            quick = writing.written(fields, settled, is_awaitable, _gathered)
        results: dict[str, Any] = {}
        waiting: list[str] = []
        try:
            for field in fields:
                results[field.key] = value = _run_alone(field, run, source, place)
                if type(value) not in settled and is_awaitable(value):
                    waiting.append(field.key)
        except Exception:
            if waiting:
                run.settle_in_background([results[key] for key in waiting])
            raise
        return _gathered(results, waiting) if waiting else results

    return execute


async def _gathered(results: dict[str, Any], waiting: list[str]) -> dict[str, Any]:
    if len(waiting) == 1:
        results[waiting[0]] = await results[waiting[0]]
    else:
        found = await gather_with_cancel(*(results[key] for key in waiting))
        results.update(zip(waiting, found, strict=True))
    return results


def _run_alone(field: Field, run: Run, source: Any, place: Place | None) -> Any:
    """Return the completed field, or an awaitable of it; as `Executor.execute_field`."""
    _, get, kept, _, complete, fail = field
    if get is None:
        return complete(run, source, place)
    try:
        value = get(source)
        return value if type(value) is kept else complete(run, value, place)
    except Exception as error:  # noqa: BLE001 - whatever a resolver raises is told to the caller
        return fail(run, error, place)


def serially(fields: tuple[Field, ...]) -> Fields:
    """Return the function of a mutation's root fields, as `Executor.execute_fields_serially`."""

    async def rest(
        run: Run,
        source: Any,
        results: dict[str, Any],
        left: Iterator[Field],
        first: tuple[str, Any],
    ) -> dict[str, Any]:
        results[first[0]] = await first[1]
        for field in left:
            value = _run_alone(field, run, source, None)
            results[field.key] = await value if is_awaitable(value) else value
        return results

    def execute(run: Run, source: Any, _place: Place | None) -> Any:
        results: dict[str, Any] = {}
        left = iter(fields)
        for field in left:
            value = _run_alone(field, run, source, None)
            if is_awaitable(value):
                return rest(run, source, results, left, (field.key, value))
            results[field.key] = value
        return results

    return execute


def plain_field(
    get: Callable[[Any], Any],
    mostly: tuple[type | None, Sort | None],
    ends: Ends,
    own: tuple[str, str],
    settled: Set[type],
) -> Field:
    """Return a field that needs nothing but its source; `mostly` are the type that is kept, and the sort of its values."""
    (key, parent), (kept, sort) = own, mostly
    complete_value, fail_there = ends

    def complete(run: Run, value: Any, place: Place | None) -> Any:
        here = (place, key, parent)
        if type(value) not in settled and is_awaitable(value):
            return _awaited(run, value, None, here, ends)
        completed = complete_value(run, value, None, here)
        if type(completed) not in settled and is_awaitable(completed):
            return _guarded(run, completed, here, fail_there)
        return completed

    def fail(run: Run, error: Exception, place: Place | None) -> Any:
        return fail_there(run, error, (place, key, parent))

    return Field(key, get, kept, sort, complete, fail)


def asking_field(
    ask: Ask, info_of: InfoOf | None, ends: Ends, own: tuple[str, str], settled: Set[type]
) -> Field:
    """Return a field whose resolver is told about the run, or, where there is `info_of`, its type is; as
    `Executor.execute_field`.
    """
    key, parent = own
    complete, fail = ends

    def field(run: Run, source: Any, place: Place | None) -> Any:
        here = (place, key, parent)
        info = None if info_of is None else info_of(run, here)
        try:
            value = ask(run, source, here, info)
            if type(value) not in settled and is_awaitable(value):
                return _awaited(run, value, info, here, ends)
            completed = complete(run, value, info, here)
            if type(completed) not in settled and is_awaitable(completed):
                return _guarded(run, completed, here, fail)
            return completed
        except Exception as error:  # noqa: BLE001 - whatever a resolver raises is told to the caller
            return fail(run, error, here)

    return whole(key, field)


def whole(key: str, field: Step) -> Field:
    """Return a field that one function does everything for, its errors too."""

    def fail(_run: Run, error: Exception, _place: Place | None) -> Any:
        raise error

    return Field(key, None, None, None, field, fail)


async def _awaited(run: Run, value: Awaitable[Any], info: Any, place: Place, ends: Ends) -> Any:
    """Complete what a resolver, or an item of a list, promised; as `Executor.complete_awaitable_value`."""
    try:
        completed = ends.complete(run, await value, info, place)
        return await completed if is_awaitable(completed) else completed
    except Exception as error:  # noqa: BLE001 - whatever a resolver raises is told to the caller
        return ends.fail(run, error, place)


async def _guarded(run: Run, completed: Awaitable[Any], place: Place, fail: Fail) -> Any:
    try:
        return await completed
    except Exception as error:  # noqa: BLE001 - whatever a resolver raises is told to the caller
        return fail(run, error, place)


def failure(type_: GraphQLOutputType, details: FieldDetailsList) -> Fail:
    """Return what becomes of an error in place of a value of the type."""
    return lambda run, error, place: run.handle_field_error(error, type_, details, path(place))


def path(place: Place) -> Path:
    """Return a place as graphql-core has it."""
    before, key, type_ = place
    return Path(None if before is None else path(before), key, type_)


# --- values -------------------------------------------------------------------------------------------------


def items(  # noqa: PLR0917 - a value, where it stands, and what becomes of it
    run: Run, iterator: Iterator[Any], info: Any, place: Place, ends: Ends, settled: Set[type]
) -> Any:
    """Complete the items of a list, as `Executor.complete_iterable_value`."""
    complete, fail = ends
    results: list[Any] = []
    waiting: list[int] = []
    try:
        for index, item in enumerate(iterator):
            here = (place, index, None)
            completed: Any
            if type(item) not in settled and is_awaitable(item):
                completed = _awaited(run, item, info, here, ends)
                waiting.append(index)
            else:
                try:
                    completed = complete(run, item, info, here)
                    if type(completed) not in settled and is_awaitable(completed):
                        completed = _guarded(run, completed, here, fail)
                        waiting.append(index)
                except Exception as error:  # noqa: BLE001 - whatever a resolver raises is told to the caller
                    completed = fail(run, error, here)
            results.append(completed)
    except Exception:
        left = [results[index] for index in waiting] + collect_iterator_awaitables(iterator, is_awaitable)
        if left:
            run.settle_in_background(left)
        raise
    return _gathered_items(results, waiting) if waiting else results


async def _gathered_items(results: list[Any], waiting: list[int]) -> list[Any]:
    if len(waiting) == 1:
        results[waiting[0]] = await results[waiting[0]]
    else:
        found = await gather_with_cancel(*(results[index] for index in waiting))
        for index, value in zip(waiting, found, strict=True):
            results[index] = value
    return results


def leaf(type_: GraphQLLeafType, kept: type | None, nothing: Callable[[], Any]) -> Complete:
    """Return the completion of a scalar or an enumeration, as `Executor.complete_leaf_value`; values of `kept` stay as they are."""
    coerce = type_.coerce_output_value

    def complete(_run: Run, value: Any, _info: Any, _place: Place) -> Any:
        if type(value) is kept:
            return value
        if isinstance(value, Exception):
            raise value
        if value is None or value is Undefined:
            return nothing()
        coerced = coerce(value)
        if coerced is None or coerced is Undefined:
            raise TypeError(
                f"Expected `{inspect(type_)}.coerce_output_value({inspect(value)})` to return non-nullable value,"
                f" returned: {inspect(coerced)}"
            )
        return coerced

    return complete


def absence(where: str) -> Callable[[], Any]:
    """Return what becomes of null where it may not be."""

    def nothing() -> None:
        raise TypeError(f"Cannot return null for non-nullable field {where}.")

    return nothing


def null() -> None:
    """Be null where that may be."""
