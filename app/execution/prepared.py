"""Prepared operations: what a document alone decides is decided once, and then only run.

## What it is for

A server answers a few hundred different documents millions of times. Everything that follows from the text is found
out when it comes for the first time and kept with it (`documents`): its syntax tree, whether it is valid, within the
limits, what it may cost, and a function that answers it. Only a caller's rights and variables are left for later.

graphql-core's executor finds out again, for every field of every object, which fields were selected, what their types
are, which resolver they have and what it is to be told, and then asks of each value four times whether it can be
awaited. The function that is prepared here has all that behind it: it calls resolvers and fills dictionaries.

## How it does that

`compiling` follows graphql-core's executor step by step; what a step needs of schema and document, it looks up while
it compiles, and `steps` has what is left for each run. The state of a run (`State`) is an executor of graphql-core's, of the very class that Strawberry's schema
names, whose parts are made when somebody asks for them: resolvers get what that executor builds for them, errors are
noted by it, and whatever seldom comes (asynchronous iterators, things that are no lists) is completed by it.
Resolvers are Strawberry's, with their permissions, extensions and conversions. Strawberry is passed by where it would
hand over and do no more:

    an attribute                                    getattr
    variables and arguments                         functions made for their types (`inputs`)
    a method without arguments and extensions       called with `self`, and `info` if it asks
    a member of an enumeration                      its name from a dictionary

A selection set that is run often is written out as a program of its own (`writing`). Fields that say what they read of a
record (`app.readings`) are then read without an object and without their resolver, which is made of the same reading.

## What it must not do

It must not be seen. Data, the order of keys, errors with their paths and locations, which resolvers run, how often,
in which order, and what is awaited beside what, are those of graphql-core. `tests/execution/test_prepared.py` holds
it to that with generated documents over a schema in which everything goes wrong that can.

## What it leaves alone

Whether an operation can be prepared is known before anything of it runs; what can't is run by graphql-core:

- directives other than `@skip` and `@include` (each answer to whose variables is compiled for itself), and fragments
  with variables;
- an execution context of somebody's own making, or a graphql-core whose executor is built in another way.

The setting `prepared_operations` switches it off.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from inspect import signature
from typing import Any, Self, cast

import strawberry
from graphql import (
    DocumentNode,
    ExecutionResult,
    Executor,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLIncludeDirective,
    GraphQLResolveInfoHelpers,
    GraphQLSchema,
    GraphQLSkipDirective,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    default_field_resolver,
    default_type_resolver,
)
from graphql.execution.collect_fields import FragmentDetails
from graphql.execution.executor import CollectedErrors
from graphql.execution.values import VariableValues, get_variable_values
from graphql.pyutils import RefMap, Undefined
from strawberry.execution import optimized_is_awaitable as is_awaitable
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from app.execution.compiling import Compiler, Shape
from app.execution.inputs import Coercion
from app.execution.steps import Fields

FIELDS_MAX = 32_000
"""How many compiled fields are kept, of all operations together: some three KiB each, so a hundred MiB at most. Beyond
them all are forgotten, and compiled again as they come.

A document of a few lines may select two thousand fields, and an interface's are compiled for each type that is met.
"""

COERCION_ERRORS_MAX = 50
"""As graphql-core has it."""

_BUILT_BY = [
    *("schema", "fragment_definitions", "fragments", "root_value", "context_value", "operation"),
    *("variable_values", "field_resolver", "type_resolver", "subscribe_field_resolver"),
    *("enable_early_execution", "middleware_manager", "is_awaitable"),
]
"""How executors are built: another graphql-core might have it otherwise."""


Answers = tuple[tuple[str, Any], ...]
"""The variables of `@skip` and `@include`, and what they are in a run."""


class Preparer:
    """Prepares the operations of one schema, and keeps what is compiled of them."""

    def __init__(self, schema: strawberry.Schema, core: GraphQLSchema, *, hide_suggestions: bool) -> None:
        self.shape = Shape(schema, core, hide_suggestions, self._count, {})
        parameters = list(signature(Executor.__init__).parameters)[1:]
        self._is_able = (
            schema.execution_context_class is StrawberryGraphQLCoreExecutionContext
            and parameters[: len(_BUILT_BY)] == _BUILT_BY
        )
        self._compiled: dict[tuple[Prepared, Answers], Fields | None] = {}
        self._fields_kept = 0

    def prepare(self, document: DocumentNode, operation: OperationDefinitionNode) -> "Prepared | None":
        """Return the operation of a valid document, prepared; None where graphql-core has to run it."""
        fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
        if (
            not self._is_able
            or operation.directives
            or any(f.variable_definitions for f in fragments.values())
        ):
            return None
        try:
            conditions = frozenset(_conditions(operation.selection_set, fragments, set()))
        except _UnsupportedError:
            return None
        return Prepared(self, operation, fragments, conditions)

    def fields(self, prepared: "Prepared", answers: Answers) -> Fields | None:
        """Return an operation compiled for these answers; None where graphql-core has to run it."""
        key = (prepared, answers)
        if key not in self._compiled:
            if self._fields_kept > FIELDS_MAX:
                self._compiled.clear()
                self._fields_kept = 0
            self._count(1)
            self._compiled[key] = self._compile(prepared, answers)
        return self._compiled[key]

    def _compile(self, prepared: "Prepared", answers: Answers) -> Fields | None:
        if not all(isinstance(answer, bool) for _, answer in answers):
            # A variable is missing or null: whose error that is, depends on where it stands.
            return None
        try:
            return Compiler(self.shape, prepared.operation, prepared.details, dict(answers)).root()
        except (RecursionError, GraphQLError, LookupError):
            return None

    def _count(self, fields: int) -> None:
        self._fields_kept += fields


class Prepared:
    """One operation: builds the state of a run, and runs it."""

    def __init__(
        self,
        preparer: Preparer,
        operation: OperationDefinitionNode,
        fragments: dict[str, FragmentDefinitionNode],
        conditions: frozenset[str],
    ) -> None:
        self._preparer = preparer
        self._fragments = fragments
        self._conditions = conditions
        self.operation = operation
        self._coercion = Coercion(preparer.shape.core, operation.variable_definitions or ())
        self.details = {name: FragmentDetails(fragment) for name, fragment in fragments.items()}
        self._known = _known_of(self._built())

    def _built(self) -> StrawberryGraphQLCoreExecutionContext:
        """Return the state of a run as graphql-core makes it."""
        shape = self._preparer.shape
        return StrawberryGraphQLCoreExecutionContext(
            shape.core,
            self._fragments,
            self.details,
            None,
            None,
            self.operation,
            VariableValues({}, {}),
            default_field_resolver,
            default_type_resolver,
            default_field_resolver,
            is_awaitable=is_awaitable,
            hide_suggestions=shape.hide_suggestions,
        )

    def executor(
        self, variables: dict[str, Any] | None, context: object, extensions: Mapping[str, Any] | None
    ) -> Executor[Any] | list[GraphQLError]:
        """Return the state of a run, or what is wrong with the variables; as `Executor.build`."""
        coerced = self._coercion.of(variables or {})
        if coerced is None:
            shape = self._preparer.shape
            found = get_variable_values(
                shape.core,
                self.operation.variable_definitions or (),
                variables or {},
                max_errors=COERCION_ERRORS_MAX,
                hide_suggestions=shape.hide_suggestions,
            )
            if isinstance(found, list):
                return found
            coerced = found
        return State(self._known, context, coerced, extensions)

    def run(self, executor: Executor[Any]) -> ExecutionResult | Awaitable[ExecutionResult]:
        """Return the result, or an awaitable of it; as `Executor.execute_operation`."""
        answers: Answers = ()
        if self._conditions:
            coerced = executor.variable_values.coerced
            answers = tuple((name, coerced.get(name, Undefined)) for name in self._conditions)
        fields = self._preparer.fields(self, answers)
        if fields is None:
            return cast("Awaitable[ExecutionResult]", executor.execute_operation())
        try:
            data = fields(executor, executor.root_value, None)
            if type(data) is not dict and is_awaitable(data):
                return _awaited(executor, data)
        except GraphQLError as error:
            return _without_data(executor, error)
        return _with_data(executor, data)


_NEEDED: dict[str, Callable[[Any], Any]] = {
    "async_helpers": lambda run: GraphQLResolveInfoHelpers(run.gather_async_work, run.track_async_work),
    "collected_errors": lambda _run: CollectedErrors(),
    "pending_incremental_futures": lambda _run: set(),
    "background_futures": lambda _run: set(),
    "_relevant_sub_fields": lambda _run: {},
    "_stream_usages": lambda _run: RefMap(),
    "groups": lambda _run: [],
    "tasks": lambda _run: [],
    "streams": lambda _run: [],
    "_initial_execution_plans": lambda _run: RefMap(),
    "_deferred_execution_plans": lambda _run: RefMap(),
}
"""What a run of its own has, and most runs never ask for: how it is made when one does."""

_GIVEN = frozenset({"context_value", "variable_values", "operation_extensions"})
"""What each run is given."""


def _known_of(executor: Executor[Any]) -> dict[str, Any]:
    """Return what is the same in all runs of an operation."""
    return {name: value for name, value in vars(executor).items() if name not in _NEEDED.keys() | _GIVEN}


class State(StrawberryGraphQLCoreExecutionContext):
    """The executor of a run: graphql-core makes thirty attributes for each, and this what is asked for."""

    def __init__(
        self,
        known: Mapping[str, Any],
        context: object,
        variables: VariableValues,
        extensions: Mapping[str, Any] | None,
    ) -> None:
        # Not the constructor of graphql-core: what that makes is in `known`, or made when it is asked for.
        self.__dict__ = {
            **known,
            "context_value": context,
            "variable_values": variables,
            "operation_extensions": extensions,
        }

    def __getattr__(self, name: str) -> Any:
        """Make what is asked for the first time."""
        if name not in _NEEDED:
            raise AttributeError(name)
        made = self.__dict__[name] = _NEEDED[name](self)
        return made

    def __copy__(self) -> Self:
        """Return a copy that shares what graphql-core's copies share, so it has to be there."""
        for name in _NEEDED:
            getattr(self, name)
        copied = object.__new__(type(self))
        copied.__dict__ = dict(self.__dict__)
        return copied


async def _awaited(executor: Executor[Any], data: Awaitable[dict[str, Any]]) -> ExecutionResult:
    try:
        found = await data
    except GraphQLError as error:
        return _without_data(executor, error)
    return _with_data(executor, found)


def _with_data(executor: Executor[Any], data: dict[str, Any] | None) -> ExecutionResult:
    kept = vars(executor)
    # What it lends to resolvers refers to it, and it to the context with every row that was loaded: all of that would be left
    # to the garbage collector, at a fifth of what a page of rows costs.
    kept.pop("async_helpers", None)
    # Looked for where they are kept: asking the run would make room for them.
    collected = kept.get("collected_errors")
    return ExecutionResult(data, None if collected is None else collected.errors or None)


def _without_data(executor: Executor[Any], error: GraphQLError) -> ExecutionResult:
    executor.collected_errors.add(error, None)
    return _with_data(executor, None)


class _UnsupportedError(Exception):
    """The operation has something that graphql-core has to run."""


_CONDITIONS = frozenset({GraphQLSkipDirective.name, GraphQLIncludeDirective.name})


def _conditions(
    selections: SelectionSetNode | None, fragments: Mapping[str, FragmentDefinitionNode], seen: set[str]
) -> Iterator[str]:
    """Yield the variables that decide what is selected."""
    for node in selections.selections if selections else ():
        for directive in node.directives or ():
            if directive.name.value not in _CONDITIONS:
                raise _UnsupportedError
            yield from (
                a.value.name.value for a in directive.arguments or () if isinstance(a.value, VariableNode)
            )
        if isinstance(node, FieldNode | InlineFragmentNode):
            yield from _conditions(node.selection_set, fragments, seen)
        elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
            seen.add(node.name.value)
            yield from _conditions(fragments[node.name.value].selection_set, fragments, seen)
