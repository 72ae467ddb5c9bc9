"""Prepared operations answer as graphql-core does: data, errors, and what was asked of whom, in the same order."""

import asyncio
import gc
import inspect
import weakref
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any, cast
from unittest.mock import patch

import pytest
import strawberry
from graphql import (
    ExecutionResult,
    Executor,
    OperationDefinitionNode,
    get_introspection_query,
    parse,
    validate,
)
from hypothesis import HealthCheck, assume, given, settings, strategies as st
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from app.execution import compiling, inputs, prepared as prepared_module, writing
from app.execution.documents import Documents, core_schema
from app.execution.engine import Engine
from app.execution.errors import RefusedError
from app.execution.limits import Limits
from app.execution.prepared import Prepared, Preparer
from app.execution.requests import GraphQLRequest
from app.schema.schema import schema as coffer
from tests.execution.generated import Written, documents
from tests.execution.shop import SCHEMA as SHOP
from tests.execution.subscribing import responses
from tests.execution.trouble import SCHEMA, TROUBLE, Book, Home, Notes

# Both leave coroutines of their own unawaited where a sibling's error cancels what has not begun.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*was never awaited:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in.*:pytest.PytestUnraisableExceptionWarning"),
]

CORE = core_schema(SCHEMA)
PREPARER = Preparer(SCHEMA, CORE, hide_suggestions=False)
MANY = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


@pytest.fixture(scope="module", autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Collect what this module leaves while its warnings are still expected, not in the midst of another's test."""
    yield
    gc.collect()


def prepared_of(text: str, preparer: Preparer = PREPARER) -> Prepared:
    """Prepare the one operation of a document."""
    ast = parse(text)
    (operation,) = (d for d in ast.definitions if isinstance(d, OperationDefinitionNode))
    found = preparer.prepare(ast, operation)
    assert found is not None
    return found


async def told(outcome: Any, notes: Notes) -> Any:
    """Wait for a result, and write down all that can be seen of it."""
    at_once = not inspect.isawaitable(outcome)
    result = outcome if at_once else await outcome
    # What fails leaves others to finish in the background.
    for _ in range(10):
        await asyncio.sleep(0)
    assert isinstance(result, ExecutionResult)
    errors = [
        (e.formatted, type(e.original_error), str(e.original_error), [id(n) for n in e.nodes or ()] != [])
        for e in result.errors or ()
    ]
    return at_once, repr(result.data), errors, notes.asked


async def by_core(written: Written) -> Any:
    """Run it with graphql-core alone."""
    notes = Notes()
    executor = StrawberryGraphQLCoreExecutionContext.build(
        CORE,
        parse(written.text),
        context_value=notes,
        raw_variable_values=written.variables,
        is_awaitable=cast("Any", optimized_is_awaitable),
    )
    if isinstance(executor, list):
        return [error.formatted for error in executor]
    return await told(executor.execute_operation(), notes)


async def as_prepared(prepared: Prepared, written: Written) -> Any:
    """Run it as prepared."""
    notes = Notes()
    executor = prepared.executor(written.variables, notes, None)
    if isinstance(executor, list):
        return [error.formatted for error in executor]
    return await told(prepared.run(executor), notes)


def both(written: Written, trouble: float) -> tuple[Any, Any, Any]:
    """Run it in every way; as prepared twice, since what is kept must not wear off."""
    TROUBLE.set(trouble)
    expected = asyncio.run(by_core(written))
    prepared = prepared_of(written.text)
    return (
        expected,
        asyncio.run(as_prepared(prepared, written)),
        asyncio.run(as_prepared(prepared, written)),
    )


def require_valid(written: Written) -> None:
    """Leave out the few documents that don't pass."""
    assume(not validate(CORE, parse(written.text)))


@pytest.mark.slow
@pytest.mark.parametrize("runs", [1, writing.RUNS])
@pytest.mark.parametrize("kind", ["query", "mutation"])
@given(data=st.data(), trouble=st.sampled_from([0.0, 0.02, 0.1, 0.3]))
@MANY
def test_any_document_is_answered_as_by_graphql_core(
    kind: str, runs: int, data: st.DataObject, trouble: float
) -> None:
    written = data.draw(documents(CORE, kind))
    require_valid(written)

    with patch.object(writing, "RUNS", runs):
        expected, first, second = both(written, trouble)

    assert first == expected
    assert second == expected


BOOKS = [
    "{ books(seed: %d) { title subtitle mood place { street number } __typename } }",
    "{ books(seed: %d) { temper bought a: place { street } b: place { __typename street } } }",
    "{ found(seed: %d) { title loud even } }",
    "{ found(seed: %d) { mood loud ruin { street } } }",
    "{ books(seed: %d) { title place { door since } reader { name } } anyBook(seed: %d) { loud mood place { number } } }",
    "{ anyBook(seed: %d) { title subtitle temper bought place { street number } } }",
]


@pytest.mark.parametrize("text", BOOKS)
def test_what_is_read_of_records_is_answered_as_by_graphql_core(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "RUNS", 1)
    for trouble in (0.0, 0.1, 0.4):
        for seed in range(1, 16):
            expected, first, second = both(Written(text.replace("%d", str(seed)), {}), trouble)
            assert first == second == expected


def test_objects_are_not_made_of_which_only_records_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "RUNS", 1)

    def refuse(*_args: Any, **_values: Any) -> None:
        raise AssertionError("nobody needs this object")

    text = "{ books { title mood place { street } bought } }"
    TROUBLE.set(0.0)
    expected = asyncio.run(by_core(Written(text, {})))
    for type_ in (Book, Home):
        monkeypatch.setattr(type_, "__init__", refuse)

    assert asyncio.run(as_prepared(prepared_of(text), Written(text, {}))) == expected


@pytest.mark.parametrize(
    ("selected", "columns"),
    [
        ("nodes { reference amount { amount } }", {"reference", "amount_minor", "currency"}),
        ("edges { cursor node { ... on Node { id } } } pageInfo { endCursor }", {"id"}),
        ("totalCount", set()),
        ("nodes { note } edges { node { kind } }", {"note", "kind"}),
        ("nodes { note wallet { id } }", None),
        ("nodes { note actor { id } }", None),
    ],
)
def test_a_resolver_is_told_the_columns_that_are_read_below_it(
    selected: str, columns: set[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    told_: list[Any] = []

    def informing(field: Any, schema: Any, columns: Any) -> Any:
        if field.python_name == "transactions":
            told_.append(columns)
        return inputs.informing(field, schema, columns)

    monkeypatch.setattr(compiling, "informing", informing)
    preparer = Preparer(coffer, core_schema(coffer), hide_suggestions=False)
    prepared = prepared_of(f'{{ wallet(by: {{ id: "1" }}) {{ transactions {{ {selected} }} }} }}', preparer)
    assert preparer.fields(prepared, ()) is not None
    assert told_ == [columns]


def test_conditions_are_answered_anew_by_each_request() -> None:
    text = """
    query ($a: Boolean = true, $b: Boolean = false) {
      sheet @include(if: $a) { name @skip(if: $b) ... on Person @include(if: $a) { age } even @skip(if: $a) }
      somebody { ... on Person @include(if: $b) { age } name }
      one @skip(if: $b) @include(if: $a) { id }
    }
    """
    prepared = prepared_of(text)
    given_: list[dict[str, Any]] = [
        {"a": True, "b": True},
        {"a": False},
        {"b": True},
        {"b": None},
        {"a": None},
        {},
    ]
    for variables in [*given_, *given_]:
        written = Written(text, variables)
        assert asyncio.run(as_prepared(prepared, written)) == asyncio.run(by_core(written))


def test_variables_that_are_wrong_are_refused_in_the_same_words() -> None:
    text = "query ($e: Even!, $w: Wish, $c: Choice) { sheet { granted(even: $e, wish: $w, choice: $c) } }"
    for variables in ({}, {"e": 3}, {"e": 2, "w": {"numbre": 1}}, {"e": 2, "c": {"number": 1, "word": "a"}}):
        expected, first, second = both(Written(text, variables), 0.0)
        assert isinstance(expected, list)
        assert first == second == expected


def test_it_is_not_graphql_core_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: Any) -> None:
        raise AssertionError("this is run by graphql-core")

    for step in ("execute_operation", "execute_field", "execute_fields", "complete_value"):
        monkeypatch.setattr(Executor, step, refuse)
    text = "{ herd(seed: 3) { ...F ... on Cat { lives } owner { pets { ... on Dog { tricks } } } } } fragment F on Dog { mood }"

    written = Written(text, {})

    _, data, errors, _ = asyncio.run(as_prepared(prepared_of(text), written))
    assert "'herd': [{" in data
    assert errors == []


class Own(StrawberryGraphQLCoreExecutionContext):
    """An execution context of somebody's own."""


def operation_in(schema: strawberry.Schema, text: str) -> Prepared | None:
    """Return the operation of a document, as the engine gets it."""
    return Documents(schema, limits=Limits(), introspection=True).operation(text, None).prepared


def test_what_is_unknown_is_left_to_graphql_core() -> None:
    @strawberry.type
    class Query:
        number: int = 1

    own = strawberry.Schema(Query, execution_context_class=Own)
    stock = strawberry.Schema(Query)
    deferred = parse("{ ... @defer { number } }")

    assert operation_in(stock, "{ number }") is not None
    assert operation_in(own, "{ number }") is None
    (operation,) = deferred.definitions
    assert isinstance(operation, OperationDefinitionNode)
    preparer = Preparer(stock, core_schema(stock), hide_suggestions=False)
    assert preparer.prepare(deferred, operation) is None


def test_it_can_be_switched_off() -> None:
    documents_ = Documents(SHOP, limits=Limits(), introspection=True, prepared=False)
    assert documents_.operation("{ hello }", None).prepared is None


def test_what_is_compiled_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared_module, "FIELDS_MAX", 40)
    preparer = Preparer(SCHEMA, CORE, hide_suggestions=False)
    kept = []
    for number in range(30):
        prepared = prepared_of(f"{{ sheet {{ a{number}: name age }} herd {{ id name }} }}", preparer)
        kept.append(weakref.ref(prepared))
        asyncio.run(as_prepared(prepared, Written("", {})))
    gc.collect()

    alive = sum(found() is not None for found in kept)
    assert 1 <= alive <= 10


def test_what_is_run_often_is_written_out_without_a_word_of_the_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[str] = []
    monkeypatch.setattr(writing, "RUNS", 2)

    def compiled(text: str, *_: str) -> CodeType:
        written.append(text)
        return compile(text, "<selection set>", "exec")

    monkeypatch.setattr(writing, "compile", compiled, raising=False)
    writing._program.cache_clear()
    text = "{ sheet { here: houses { mine: street number since door } } }"
    other = text.replace("mine", "theirs").replace("here", "there")
    for each in (text, other):
        prepared = prepared_of(each)
        for _ in range(5):
            assert asyncio.run(as_prepared(prepared, Written(each, {}))) == asyncio.run(
                by_core(Written(each, {}))
            )

    assert written
    assert not [each for each in written if "mine" in each or "street" in each or "Home" in each]
    assert writing._program.cache_info().hits >= 1


def test_a_run_that_is_over_needs_no_garbage_collector() -> None:
    prepared, notes = prepared_of("{ sheet { name } somebody { shout } }"), Notes()
    executor = prepared.executor(None, notes, None)
    assert not isinstance(executor, list)
    gc.disable()
    try:
        asyncio.run(told(prepared.run(executor), notes))
        seen = weakref.ref(notes)
        del executor, notes
        assert seen() is None
    finally:
        gc.enable()


def test_nothing_of_a_request_is_kept() -> None:
    text = "query ($seed: Int!, $b: Boolean!) { herd(seed: $seed) { id name @skip(if: $b) friend { id } } }"
    prepared, notes = prepared_of(text), Notes()
    variables = {"seed": 3, "b": False}
    executor = prepared.executor(variables, notes, None)
    assert not isinstance(executor, list)

    asyncio.run(told(prepared.run(executor), notes))
    seen = weakref.ref(notes)
    del executor, notes
    gc.collect()

    assert seen() is None


@pytest.mark.slow
@given(written=documents(CORE, "subscription"), trouble=st.sampled_from([0.0, 0.1, 0.3]))
@settings(MANY, max_examples=30)
def test_events_are_answered_as_by_graphql_core(written: Written, trouble: float) -> None:
    require_valid(written)
    TROUBLE.set(trouble)

    answers = [asyncio.run(_events(written, prepared=prepared)) for prepared in (False, True)]

    assert answers[1] == answers[0]


async def _events(written: Written, *, prepared: bool) -> tuple[list[Any], list[str]]:
    engine = Engine(SCHEMA, limits=Limits(aliases_max=1000), introspection=True, prepared=prepared)
    request = GraphQLRequest(written.text, written.variables)
    notes = Notes()

    async def context() -> Notes:
        return notes

    try:
        return [repr(event) async for event in responses(engine, request, context)], notes.asked
    except RefusedError as refused:
        return [repr(refused.errors)], notes.asked


@pytest.mark.parametrize("schema", [SCHEMA, SHOP])
async def test_introspection_is_answered_as_by_graphql_core(schema: strawberry.Schema) -> None:
    text = get_introspection_query(input_value_deprecation=True, specified_by_url=True)
    core = core_schema(schema)
    executor = StrawberryGraphQLCoreExecutionContext.build(core, parse(text))
    assert not isinstance(executor, list)
    prepared = operation_in(schema, text)
    assert prepared is not None
    own = prepared.executor(None, None, None)
    assert not isinstance(own, list)

    assert repr(prepared.run(own)) == repr(executor.execute_operation())


KNOWN = {
    *(
        "schema",
        "fragment_definitions",
        "fragments",
        "root_value",
        "operation",
        "field_resolver",
        "type_resolver",
    ),
    *("subscribe_field_resolver", "enable_early_execution", "hide_suggestions", "abort_signal", "hooks"),
    *("middleware_manager", "error_propagation", "is_awaitable", "is_async_iterable", "defer_usage_set"),
    "async_work_finished_hook_task",
}
"""What executors of an operation have in common, and nothing writes to, but for a copy's own."""


def test_a_run_has_all_that_graphql_core_gives_an_executor() -> None:
    text = "query ($a: Boolean) { __typename ...F } fragment F on Query { __typename }"
    executor = StrawberryGraphQLCoreExecutionContext.build(
        CORE, parse(text), context_value=1, is_awaitable=cast("Any", optimized_is_awaitable)
    )
    assert not isinstance(executor, list)
    run, other = (prepared_of(text).executor(None, 1, None) for _ in range(2))
    assert not isinstance(run, list)
    assert not isinstance(other, list)
    # Another attribute than these may be one that each run needs for itself.
    own = {name: type(value) for name, value in vars(executor).items() if name not in KNOWN}
    assert {name: type(getattr(run, name)) for name in own} == own
    for name in own.keys() - {"context_value", "operation_extensions"}:
        assert getattr(run, name) is not getattr(other, name), name
    shared = KNOWN - {"schema", "fragment_definitions", "fragments", "operation"}
    assert {name: getattr(run, name) for name in shared} == {name: getattr(executor, name) for name in shared}
    assert run.schema is CORE
    with pytest.raises(AttributeError):
        _ = run.nothing_like_it  # type: ignore[attr-defined]


def test_copies_of_a_run_share_what_graphql_cores_do() -> None:
    text = "{ __typename }"
    executor = StrawberryGraphQLCoreExecutionContext.build(CORE, parse(text))
    run = prepared_of(text).executor(None, None, None)
    assert not isinstance(executor, list)
    assert not isinstance(run, list)
    copies: tuple[Callable[[Any], Any], ...] = (
        lambda one: one.build_per_event_executor(5),
        lambda one: one.create_sub_executor(),
    )
    for copied in copies:
        theirs, ours = copied(executor), copied(run)
        names = vars(executor).keys()
        shared = {name for name in names if getattr(theirs, name) is getattr(executor, name)}
        assert {name for name in names if getattr(ours, name) is getattr(run, name)} == shared
