"""Turns the selection sets of an operation into functions that resolve, complete and build dictionaries directly.

Every function here is a step of graphql-core's executor (`graphql.execution.executor`) with all that depends only on
the schema and the document decided beforehand. It stands in the order of that class and calls it wherever nothing is
gained by being quick: for errors, for what resolvers are told, for values that seldom come. So both can be read side
by side, and what is said of one holds for the other: the same resolvers, in the same order, awaited in the same way.

A place in the answer is a tuple (what is before it, key, type) as graphql-core's `Path` is one, and becomes a `Path`
only when somebody looks at it: most are made for an error that doesn't happen.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from enum import Enum
from inspect import iscoroutinefunction
from operator import attrgetter
from typing import Any, NamedTuple, TypeAlias, cast

import strawberry
from graphql import (
    Executor,
    FieldNode,
    GraphQLAbstractType,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLField,
    GraphQLID,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLString,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    TypeNameMetaFieldDef,
    ValueNode,
    VariableNode,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
)
from graphql.execution.collect_fields import (
    FieldDetailsList,
    FragmentDetails,
    GroupedFieldSet,
    collect_fields,
    collect_subfields,
)
from graphql.execution.executor import collect_iterator_awaitables, invalid_return_type_error
from graphql.execution.values import VariableValues, get_argument_values
from graphql.pyutils import Path, Undefined, gather_with_cancel, inspect, is_iterable
from strawberry.execution import optimized_is_awaitable as is_awaitable
from strawberry.types.field import StrawberryField
from strawberry.types.fields.resolver import StrawberryResolver

from app.execution.inputs import resolver_of

Place: TypeAlias = tuple[Any, str | int, str | None]
Run: TypeAlias = Executor[Any]

Fields = Callable[[Run, Any, Place | None], Any]
"""(run, source, place) → what was selected of the source, or an awaitable of it."""
Field = Callable[[Run, Any, Place | None], Any]
"""(run, source, place of the source) → the completed field, or an awaitable of it."""
Complete = Callable[[Run, Any, Any, Place], Any]
"""(run, value, info, place) → the completed value, or an awaitable of it; raises what it fails with."""
Fail = Callable[[Run, Exception, Place], Any]
"""(run, error, place) → None, with the error noted; raises it, located, where the type is non-null."""


class Ends(NamedTuple):
    """What becomes of a value, and of an error in its place."""

    complete: Complete
    fail: Fail


SETTLED = frozenset({type(None), bool, int, float, str, bytes, list, tuple, dict})
"""Types whose values nobody can await: they are by far the most, and asking takes time."""

IMMUTABLE = (type(None), bool, int, float, str, Enum)
"""Values that operations may share: none of them can be changed by a resolver."""


class Shape(NamedTuple):
    """A schema, and what was found out about it."""

    schema: strawberry.Schema
    core: GraphQLSchema
    hide_suggestions: bool
    note: Callable[[int], None]
    """Told how many fields were compiled."""
    names: dict[GraphQLLeafType, dict[Any, Any]]
    """Of each enumeration: its members and their names."""


class Compiler:
    """Compiles one operation for one answer to each of its `@skip` and `@include`."""

    def __init__(
        self,
        shape: Shape,
        operation: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDetails],
        conditions: Mapping[str, bool],
    ) -> None:
        self._schema, self._core, self._hide_suggestions, self._note, self._names = shape
        self._operation = operation
        self._fragments = dict(fragments)
        # Handlers turn exceptions into results; whether a field has any is seen nowhere but here.
        self._handles_exceptions = bool(
            getattr(self._schema.schema_converter, "_exception_handler_specs", True)
        )
        # Not the caller's own variables: what is compiled is kept long after the request.
        self._variables = VariableValues({}, dict(conditions))

    def root(self) -> Fields:
        """Return the function of the operation's root fields."""
        type_ = self._core.get_root_type(self._operation.operation)
        if type_ is None:
            raise LookupError(f"the schema has no {self._operation.operation.value}")
        collected = collect_fields(
            self._core, self._fragments, self._variables, type_, self._operation, self._hide_suggestions
        )
        fields = self._fields(type_, collected.grouped_field_set)
        return _serially(fields) if type_ is self._core.mutation_type else _together(fields)

    def _selected(self, type_: GraphQLObjectType, details: FieldDetailsList) -> Fields:
        collected = collect_subfields(
            self._core,
            self._fragments,
            self._variables,
            self._operation,
            type_,
            details,
            self._hide_suggestions,
        )
        return _together(self._fields(type_, collected.grouped_field_set))

    def _fields(self, parent: GraphQLObjectType, grouped: GroupedFieldSet) -> tuple[tuple[str, Field], ...]:
        self._note(len(grouped))
        known = ((key, self._core.get_field(parent, d[0].node.name.value), d) for key, d in grouped.items())
        return tuple(
            (key, self._field(parent, key, field, details)) for key, field, details in known if field
        )

    def _field(
        self, parent: GraphQLObjectType, key: str, known: GraphQLField, details: FieldDetailsList
    ) -> Field:
        if known is TypeNameMetaFieldDef:
            name = parent.name
            return lambda _run, _source, _place: name
        where = f"{parent}.{details[0].node.name.value}"
        ends = Ends(self._completion(known.type, details, where), _failure(known.type, details))
        get = self._getter(known)
        if get is not None and not _looks_at_info(known.type):
            return _plain_field(get, _kept_type(known.type), ends, (key, parent.name))
        ask = _asking(get) if get else self._method(known) or self._resolver(known, details[0].node)
        nodes = [found.node for found in details]

        def info_of(run: Run, place: Place) -> Any:
            return run.build_resolve_info(known, nodes, parent, _path(place))

        return _asking_field(ask, info_of, ends, (key, parent.name))

    # --- resolvers ------------------------------------------------------------------------------------------

    def _getter(self, known: GraphQLField) -> Callable[[Any], Any] | None:
        """Return what takes the field from its source, if that needs nothing but the source."""
        field = _own(known)
        if field is None or known.resolve is None or known.args:
            return None
        # Strawberry's resolver of this name calls the default resolver, which is `getattr`, and nothing else.
        if field.is_basic_field and known.resolve.__name__ == "_get_basic_result":
            return attrgetter(field.python_name) if field.default_resolver is getattr else None
        base = self._bare(field)
        if base and base.self_parameter and not _given(base):
            return cast("Callable[[Any], Any]", base.wrapped_func)
        return None

    def _method(self, known: GraphQLField) -> Callable[..., Any] | None:
        """Return a method that asks for `info` and has neither arguments nor extensions."""
        field = _own(known)
        base = self._bare(field) if field and not known.args else None
        if field is None or base is None or not base.self_parameter:
            return None
        parameter, function = base.info_parameter, cast("Callable[..., Any]", base.wrapped_func)
        if parameter is None or _given(base) != {parameter}:
            return None
        name, own = parameter.name, field
        info_class = self._schema.config.info_class

        def ask(_run: Run, source: Any, info: Any) -> Any:
            return function(source, **{name: info_class(_raw_info=info, _field=own)})

        return ask

    def _bare(self, field: StrawberryField) -> StrawberryResolver[Any] | None:
        """Return the field's function where Strawberry would only hand its arguments over."""
        base = field.base_resolver
        if type(base) is not StrawberryResolver or field.extensions or not callable(base.wrapped_func):
            return None
        if self._handles_exceptions:
            return None
        return base if field.is_async == iscoroutinefunction(base.wrapped_func) else None

    def _resolver(self, known: GraphQLField, node: FieldNode) -> Callable[..., Any]:
        resolve, constant = self._converting(known) or known.resolve, self._constant(known, node)

        def ask(run: Run, source: Any, info: Any) -> Any:
            arguments = constant
            if arguments is None:
                arguments = get_argument_values(known, node, run.variable_values, None, run.hide_suggestions)
            return (resolve or run.field_resolver)(source, info, **arguments)

        return ask

    def _converting(self, known: GraphQLField) -> Callable[..., Any] | None:
        """Return Strawberry's resolver with quicker arguments, where it needs nothing else."""
        field = _own(known)
        if field is None or type(field.base_resolver) is not StrawberryResolver or self._handles_exceptions:
            return None
        return resolver_of(field, self._schema) if callable(field.base_resolver.wrapped_func) else None

    def _constant(self, known: GraphQLField, node: FieldNode) -> dict[str, Any] | None:
        """Return the arguments if they are the same in every run; None if they are to be found in each."""
        if any(_has_variable(argument.value) for argument in node.arguments or ()):
            return None
        try:
            found = get_argument_values(known, node, None, None, self._hide_suggestions)
        except Exception:  # noqa: BLE001 - it is the field's error, each time that it runs
            return None
        return found if all(isinstance(value, IMMUTABLE) for value in found.values()) else None

    # --- completion -----------------------------------------------------------------------------------------

    def _completion(self, type_: GraphQLOutputType, details: FieldDetailsList, where: str) -> Complete:
        nothing = _absence(where) if isinstance(type_, GraphQLNonNull) else _null
        if isinstance(type_, GraphQLNonNull):
            type_ = type_.of_type
        if isinstance(type_, GraphQLList):
            return self._list(type_, details, where, nothing)
        if is_leaf_type(type_):
            leaf = _leaf(type_, nothing)
            return _enumeration(type_, self._names, leaf) if isinstance(type_, GraphQLEnumType) else leaf
        if is_abstract_type(type_):
            return self._abstract(type_, details, nothing)
        return self._object(cast("GraphQLObjectType", type_), details, nothing)

    def _list(
        self,
        type_: GraphQLList[Any],
        details: FieldDetailsList,
        where: str,
        nothing: Callable[[], Any],
    ) -> Complete:
        ends = Ends(self._completion(type_.of_type, details, where), _failure(type_.of_type, details))

        def complete(run: Run, value: Any, info: Any, place: Place) -> Any:
            if type(value) is not list:
                if isinstance(value, Exception):
                    raise value
                if value is None or value is Undefined:
                    return nothing()
                if hasattr(value, "__aiter__") or not is_iterable(value):
                    info = info or run.build_resolve_info(*self._told(details, place))
                    return run.complete_list_value(type_, details, info, _path(place), value, None)
            return _items(run, iter(value), info, place, ends)

        return complete

    def _told(
        self, details: FieldDetailsList, place: Place
    ) -> tuple[GraphQLField, list[FieldNode], GraphQLObjectType, Path]:
        """Return what `info` is built of for a field that seldom needs one."""
        while isinstance(place[1], int):
            place = place[0]
        parent = cast("GraphQLObjectType", self._core.get_type(str(place[2])))
        known = cast("GraphQLField", self._core.get_field(parent, details[0].node.name.value))
        return known, [found.node for found in details], parent, _path(place)

    def _abstract(
        self, type_: GraphQLAbstractType, details: FieldDetailsList, nothing: Callable[[], Any]
    ) -> Complete:
        known: dict[str, Complete] = {}

        def of_type(run: Run, name: Any, info: Any, value: Any) -> Complete:
            if type(name) is str and name in known:
                return known[name]
            found = run.ensure_valid_runtime_type(name, type_, details, info, value)
            # Compiled when the first of its kind is met: an interface may have dozens of types.
            return known.setdefault(name, self._object(found, details, nothing))

        async def later(run: Run, name: Awaitable[Any], value: Any, info: Any, place: Place) -> Any:
            completed = of_type(run, await name, info, value)(run, value, info, place)
            return await completed if is_awaitable(completed) else completed

        def complete(run: Run, value: Any, info: Any, place: Place) -> Any:
            if isinstance(value, Exception):
                raise value
            if value is None or value is Undefined:
                return nothing()
            name: Any = (type_.resolve_type or run.type_resolver)(value, info, type_)
            if type(name) not in SETTLED and is_awaitable(name):
                return later(run, name, value, info, place)
            return of_type(run, name, info, value)(run, value, info, place)

        return complete

    def _object(
        self, type_: GraphQLObjectType, details: FieldDetailsList, nothing: Callable[[], Any]
    ) -> Complete:
        selected, is_type_of = self._selected(type_, details), type_.is_type_of

        async def later(run: Run, belongs: Awaitable[bool], value: Any, place: Place) -> Any:
            if not await belongs:
                raise invalid_return_type_error(type_, value, details)
            completed = selected(run, value, place)
            return await completed if is_awaitable(completed) else completed

        def complete(run: Run, value: Any, info: Any, place: Place) -> Any:
            if isinstance(value, Exception):
                raise value
            if value is None or value is Undefined:
                return nothing()
            if is_type_of is not None:
                belongs: Any = is_type_of(value, info)
                if type(belongs) is not bool and is_awaitable(belongs):
                    return later(run, belongs, value, place)
                if not belongs:
                    raise invalid_return_type_error(type_, value, details)
            return selected(run, value, place)

        return complete


# --- fields -------------------------------------------------------------------------------------------------


def _together(fields: tuple[tuple[str, Field], ...]) -> Fields:
    """Return the function of a selection set, as `Executor.execute_fields`."""

    async def gathered(results: dict[str, Any], waiting: list[str]) -> dict[str, Any]:
        if len(waiting) == 1:
            results[waiting[0]] = await results[waiting[0]]
        else:
            found = await gather_with_cancel(*(results[key] for key in waiting))
            results.update(zip(waiting, found, strict=True))
        return results

    def execute(run: Run, source: Any, place: Place | None) -> Any:
        results: dict[str, Any] = {}
        waiting: list[str] = []
        try:
            for key, field in fields:
                results[key] = value = field(run, source, place)
                if type(value) not in SETTLED and is_awaitable(value):
                    waiting.append(key)
        except Exception:
            if waiting:
                run.settle_in_background([results[key] for key in waiting])
            raise
        return gathered(results, waiting) if waiting else results

    return execute


def _serially(fields: tuple[tuple[str, Field], ...]) -> Fields:
    """Return the function of a mutation's root fields, as `Executor.execute_fields_serially`."""

    async def rest(
        run: Run,
        source: Any,
        results: dict[str, Any],
        left: Iterator[tuple[str, Field]],
        first: tuple[str, Any],
    ) -> dict[str, Any]:
        results[first[0]] = await first[1]
        for key, field in left:
            value = field(run, source, None)
            results[key] = await value if is_awaitable(value) else value
        return results

    def execute(run: Run, source: Any, _place: Place | None) -> Any:
        results: dict[str, Any] = {}
        left = iter(fields)
        for key, field in left:
            value = field(run, source, None)
            if is_awaitable(value):
                return rest(run, source, results, left, (key, value))
            results[key] = value
        return results

    return execute


def _plain_field(get: Callable[[Any], Any], kept: type | None, ends: Ends, own: tuple[str, str]) -> Field:
    """Return a field that needs nothing but its source; values of the type `kept` are in the answer as they are."""
    key, parent = own
    complete, fail = ends

    def field(run: Run, source: Any, place: Place | None) -> Any:
        try:
            value = get(source)
            if type(value) is kept:
                return value
            here = (place, key, parent)
            if type(value) not in SETTLED and is_awaitable(value):
                return _awaited(run, value, None, here, ends)
            completed = complete(run, value, None, here)
            if type(completed) not in SETTLED and is_awaitable(completed):
                return _guarded(run, completed, here, fail)
            return completed
        except Exception as error:  # noqa: BLE001 - whatever a resolver raises is told to the caller
            return fail(run, error, (place, key, parent))

    return field


def _asking_field(
    ask: Callable[[Run, Any, Any], Any],
    info_of: Callable[[Run, Place], Any],
    ends: Ends,
    own: tuple[str, str],
) -> Field:
    """Return a field whose resolver, or type, is told about the run; as `Executor.execute_field`."""
    key, parent = own
    complete, fail = ends

    def field(run: Run, source: Any, place: Place | None) -> Any:
        here = (place, key, parent)
        info = info_of(run, here)
        try:
            value = ask(run, source, info)
            if type(value) not in SETTLED and is_awaitable(value):
                return _awaited(run, value, info, here, ends)
            completed = complete(run, value, info, here)
            if type(completed) not in SETTLED and is_awaitable(completed):
                return _guarded(run, completed, here, fail)
            return completed
        except Exception as error:  # noqa: BLE001 - whatever a resolver raises is told to the caller
            return fail(run, error, here)

    return field


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


def _failure(type_: GraphQLOutputType, details: FieldDetailsList) -> Fail:
    return lambda run, error, place: run.handle_field_error(error, type_, details, _path(place))


def _path(place: Place) -> Path:
    before, key, type_ = place
    return Path(None if before is None else _path(before), key, type_)


def _asking(get: Callable[[Any], Any]) -> Callable[[Run, Any, Any], Any]:
    return lambda _run, source, _info: get(source)


def _own(known: GraphQLField) -> StrawberryField | None:
    """Return Strawberry's field, unless it has its own way to get a result."""
    field = known.extensions.get("strawberry-definition")
    if not isinstance(field, StrawberryField) or field.is_subscription:
        return None
    return field if type(field).get_result is StrawberryField.get_result else None


def _given(base: StrawberryResolver[Any]) -> set[Any]:
    """Return the parameters besides `self` that Strawberry fills in."""
    return {base.info_parameter, base.root_parameter, base.parent_parameter} - {None}


# --- values -------------------------------------------------------------------------------------------------


def _items(run: Run, iterator: Iterator[Any], info: Any, place: Place, ends: Ends) -> Any:
    """Complete the items of a list, as `Executor.complete_iterable_value`."""
    complete, fail = ends
    results: list[Any] = []
    waiting: list[int] = []
    try:
        for index, item in enumerate(iterator):
            here = (place, index, None)
            completed: Any
            if type(item) not in SETTLED and is_awaitable(item):
                completed = _awaited(run, item, info, here, ends)
                waiting.append(index)
            else:
                try:
                    completed = complete(run, item, info, here)
                    if type(completed) not in SETTLED and is_awaitable(completed):
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


def _leaf(type_: GraphQLLeafType, nothing: Callable[[], Any]) -> Complete:
    kept, coerce = _kept_type(type_), type_.coerce_output_value

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


def _enumeration(
    type_: GraphQLEnumType, names: dict[GraphQLLeafType, dict[Any, Any]], leaf: Complete
) -> Complete:
    """Return the completion of an enumeration of Strawberry's, which compares a member with every other for its name."""
    members: Any = getattr(type_, "wrapped_cls", None)
    if not (isinstance(members, type) and issubclass(members, Enum)):
        return leaf
    if type_ not in names:
        names[type_] = {member: type_.coerce_output_value(member) for member in members}
    own, member_type = names[type_], cast("type[Any]", members)

    def complete(run: Run, value: Any, info: Any, place: Place) -> Any:
        name = own.get(value) if type(value) is member_type else None
        return leaf(run, value, info, place) if name is None else name

    return complete


def _kept_type(type_: GraphQLOutputType) -> type | None:
    """Return the type whose values stand in the answer as they are."""
    leaf = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
    if not isinstance(leaf, GraphQLScalarType):
        return None
    coerce: Any = leaf.coerce_output_value
    kept: dict[Any, type] = {
        GraphQLString.coerce_output_value: str,
        GraphQLID.coerce_output_value: str,
        GraphQLBoolean.coerce_output_value: bool,
        str: str,
        int: int,
    }
    return kept.get(coerce)


def _looks_at_info(type_: GraphQLOutputType) -> bool:
    """Tell whether a type asks what it is to be by a function that is told about the run."""
    named = get_named_type(type_)
    return is_abstract_type(named) or (isinstance(named, GraphQLObjectType) and named.is_type_of is not None)


def _absence(where: str) -> Callable[[], Any]:
    def nothing() -> None:
        raise TypeError(f"Cannot return null for non-nullable field {where}.")

    return nothing


def _null() -> None:
    return None


def _has_variable(value: ValueNode) -> bool:
    if isinstance(value, ListValueNode):
        return any(_has_variable(item) for item in value.values)
    if isinstance(value, ObjectValueNode):
        return any(_has_variable(field.value) for field in value.fields)
    return isinstance(value, VariableNode)
