"""Turns variables and arguments into what resolvers take, by functions that are made once for each type.

Two steps of every request depend on nothing but the schema and the values. graphql-core coerces variables: it asks of
each value anew what kind of type it has. Strawberry makes input objects of the coerced ones: it finds out for each field of
each of them how it is called and of what type it is. Here both are functions of one value each.

`Coercion` is quick for variables that are as they should be, and has no opinion on any other: those are graphql-core's,
from the start, so that there is one account of what is wrong with a value. `plain_arguments` knows the common
shapes of inputs; a field that takes another one is left to Strawberry.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING
from enum import Enum
from functools import cached_property, partial
from typing import Any, NamedTuple, cast

import strawberry
from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLSchema,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    is_input_object_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_required_argument,
    is_required_input_field,
)
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource
from graphql.pyutils import Undefined
from graphql.utilities.coerce_input_value import coerce_default_value, coerce_input_literal
from strawberry.execution import optimized_is_awaitable as is_awaitable
from strawberry.extensions.field_extension import FieldExtension, build_field_extension_resolvers
from strawberry.relay.types import GlobalID
from strawberry.scalars import is_scalar
from strawberry.types import Info
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.base import StrawberryList, StrawberryMaybe, StrawberryOptional, has_object_definition
from strawberry.types.enum import StrawberryEnumDefinition, has_enum_definition
from strawberry.types.field import StrawberryField
from strawberry.types.lazy_type import LazyType
from strawberry.types.unset import UNSET

Convert = Callable[[Any], Any]

IMMUTABLE = (type(None), bool, int, float, str, Enum)
"""Values that operations may share: none of them can be changed by a resolver."""


class _DoubtError(Exception):
    """A value that only graphql-core can judge."""


class _UnsupportedError(Exception):
    """A type of some other shape."""


# --- variables: what graphql-core does -------------------------------------------------------------------------


class Coercion:
    """Coerces the variables of one operation, where nothing is wrong with them."""

    def __init__(self, schema: GraphQLSchema, definitions: Iterable[VariableDefinitionNode]) -> None:
        self._variables: list[tuple[GraphQLVariableSignature, Convert]] | None = []
        # Types that hold themselves are left to graphql-core, which counts how deep a value goes.
        coercions: dict[int, Convert | None] = {}
        try:
            for definition in definitions:
                signature = get_variable_signature(schema, definition)
                if not isinstance(signature, GraphQLVariableSignature):
                    raise _UnsupportedError
                self._variables.append((signature, _coercion(signature.type, coercions)))
        except (_UnsupportedError, RecursionError):
            self._variables = None

    def of(self, values: Mapping[str, Any]) -> VariableValues | None:
        """Return the coerced variables; None where graphql-core has to look at them."""
        if self._variables is None:
            return None
        sources: dict[str, VariableValueSource] = {}
        coerced: dict[str, Any] = {}
        try:
            for signature, coerce in self._variables:
                name = signature.name
                value = values.get(name, Undefined)
                if value is not Undefined:
                    sources[name] = VariableValueSource(signature, value)
                    coerced[name] = coerce(value)
                elif signature.default is not None or is_non_null_type(signature.type):
                    return None
                else:
                    sources[name] = VariableValueSource(signature)
        except Exception:  # noqa: BLE001 - graphql-core tells what is wrong, and where
            return None
        return VariableValues(sources, coerced)


def _coercion(type_: GraphQLInputType, known: dict[int, Convert | None]) -> Convert:
    """Return what coerces a value of the type, as graphql-core's `coerce_input_value`."""
    required = is_non_null_type(type_)
    inner = cast("Any", type_).of_type if required else type_
    key = id(inner)
    if key not in known:
        known[key] = None
        known[key] = _value_coercion(inner, known)
    coerce = known[key]
    if coerce is None:
        raise _UnsupportedError

    def coerce_required(value: Any) -> Any:
        if value is None:
            raise _DoubtError
        return coerce(value)

    return coerce_required if required else lambda value: None if value is None else coerce(value)


def _value_coercion(type_: Any, known: dict[int, Convert | None]) -> Convert:
    if is_leaf_type(type_):
        return _leaf_coercion(type_.coerce_input_value)
    if is_list_type(type_):
        return _list_coercion(_coercion(type_.of_type, known))
    if is_input_object_type(type_):
        return _object_coercion(type_, known)
    raise _UnsupportedError


def _leaf_coercion(coerce: Convert) -> Convert:
    def coerce_leaf(value: Any) -> Any:
        coerced = coerce(value)
        if coerced is Undefined:
            raise _DoubtError
        return coerced

    return coerce_leaf


def _list_coercion(coerce: Convert) -> Convert:
    def coerce_list(value: Any) -> Any:
        if type(value) is not list:
            raise _DoubtError
        return [coerce(item) for item in value]

    return coerce_list


def _object_coercion(type_: Any, known: dict[int, Convert | None]) -> Convert:
    fields: list[tuple[str, str, Convert, GraphQLInputField | None, bool]] = [
        (
            name,
            field.out_name or name,
            _coercion(field.type, known),
            field if coerce_default_value(field) is not Undefined else None,
            is_required_input_field(field),
        )
        for name, field in type_.fields.items()
    ]
    is_one_of, out_type = type_.is_one_of, type_.out_type

    def coerce_object(value: Any) -> Any:
        if type(value) is not dict:
            raise _DoubtError
        coerced: dict[str, Any] = {}
        given = 0
        for name, out_name, coerce, default_of, is_required in fields:
            if name in value:
                coerced[out_name] = coerce(value[name])
                given += 1
            elif is_required:
                raise _DoubtError
            elif default_of is not None:
                coerced[out_name] = coerce_default_value(default_of)
        # What is left over has no such field.
        if given != len(value) or (
            is_one_of and (given != 1 or len(coerced) != 1 or None in coerced.values())
        ):
            raise _DoubtError
        return out_type(coerced)

    return coerce_object


# --- arguments: what graphql-core does -------------------------------------------------------------------------


def literal_arguments(
    known: GraphQLField, node: FieldNode
) -> Callable[[Mapping[str, Any]], dict[str, Any] | None] | None:
    """Return what makes a field's coerced arguments of the coerced variables, as graphql-core's `get_argument_values`.

    Its answer is None where graphql-core has to look at them; so is this one, where it always has to.
    """
    given = {argument.name.value: argument.value for argument in node.arguments or ()}
    try:
        entries = _entries(known.args, given, is_required_argument)
    except Exception:  # noqa: BLE001 - it is the field's error, each time that it runs
        return None

    def arguments_of(variables: Mapping[str, Any]) -> dict[str, Any] | None:
        try:
            return _found(entries, variables)
        except _DoubtError:
            return None

    return arguments_of


class _Entry(NamedTuple):
    """An argument, or a field of an input object that is written in the document."""

    name: str
    find: Convert | None
    """Finds the value among the variables; None where nothing is written."""
    otherwise: Any
    """The value where there is none; `Undefined` leaves it out."""
    is_required: bool


def _entries(
    definitions: Mapping[str, Any], given: Mapping[str, ValueNode], is_required: Callable[[Any], bool]
) -> list[_Entry]:
    entries = []
    for name, definition in definitions.items():
        node, default = given.get(name), coerce_default_value(definition)
        if not (default is Undefined or isinstance(default, IMMUTABLE)):
            raise _UnsupportedError
        find = None if node is None else _literal(node, definition.type)
        entries.append(_Entry(definition.out_name or name, find, default, is_required(definition)))
    return entries


def _found(entries: Iterable[_Entry], variables: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, find, otherwise, is_required in entries:
        value = Undefined if find is None else find(variables)
        if value is Undefined:
            if is_required:
                raise _DoubtError
            value = otherwise
        if value is not Undefined:
            found[name] = value
    return found


def _literal(node: ValueNode, type_: Any) -> Convert:
    """Return what finds a value that is written in the document: it is a variable, has some within, or has none."""
    is_required = is_non_null_type(type_)
    if isinstance(node, VariableNode):
        variable = node.name.value
        return partial(_variable, variable, is_required)
    inner = type_.of_type if is_required else type_
    if isinstance(node, ObjectValueNode) and is_input_object_type(inner):
        return _object_literal(node, inner)
    if isinstance(node, ListValueNode) and is_list_type(inner):
        return partial(_list_literal, [_literal(item, inner.of_type) for item in node.values])
    value = coerce_input_literal(node, type_)
    # What others could change is made anew each time, and what is wrong is told each time.
    if value is Undefined or not isinstance(value, IMMUTABLE):
        raise _UnsupportedError
    return lambda _variables: value


def _variable(name: str, is_required: bool, variables: Mapping[str, Any]) -> Any:
    value = variables.get(name, Undefined)
    if value is None and is_required:
        raise _DoubtError
    return value


def _list_literal(items: Iterable[Convert], variables: Mapping[str, Any]) -> list[Any]:
    found = [item(variables) for item in items]
    if any(value is Undefined for value in found):
        raise _DoubtError
    return found


def _object_literal(node: ObjectValueNode, type_: GraphQLInputObjectType) -> Convert:
    given = {field.name.value: field.value for field in node.fields or ()}
    is_one_of, out_type = type_.is_one_of, type_.out_type
    if not given.keys() <= type_.fields.keys() or (is_one_of and len(given) != 1):
        raise _UnsupportedError
    entries = _entries(type_.fields, given, is_required_input_field)

    def find(variables: Mapping[str, Any]) -> Any:
        found = _found(entries, variables)
        if is_one_of and (len(found) != 1 or None in found.values()):
            raise _DoubtError
        return out_type(found)

    return find


# --- arguments: what Strawberry does ---------------------------------------------------------------------------

InfoOf = Callable[[Any, Any], Any]
"""(run, place) → graphql-core's `info`."""
Inform = Callable[[Any, Any, InfoOf, Any], Info]
"""(run, place, what makes graphql-core's `info`, that one if it was made already) → Strawberry's `info`."""


class LateInfo(Info):
    """Strawberry's `info`, which has graphql-core's made when somebody looks for more than the context."""

    def __init__(
        self, run: Any, place: Any, info_of: InfoOf, field: StrawberryField, columns: frozenset[str] | None
    ) -> None:
        self._run = run
        self._place = place
        self._info_of = info_of
        self._field = field
        self.columns = columns
        """See `readings.columns_of`."""

    @cached_property
    def _raw_info(self) -> Any:  # type: ignore[override]
        return self._info_of(self._run, self._place)

    @property
    def context(self) -> Any:
        """The context passed to the execution."""
        return self._run.context_value

    @property
    def operation(self) -> OperationDefinitionNode:
        """The operation being executed."""
        operation: OperationDefinitionNode = self._run.operation
        return operation


def informing(field: StrawberryField, schema: strawberry.Schema, columns: frozenset[str] | None) -> Inform:
    """Return what makes the `info` of a field's resolver, below which these columns are read."""
    info_class = schema.config.info_class

    def inform(run: Any, place: Any, info_of: InfoOf, info: Any) -> Info:
        if info is None and info_class is Info:
            return LateInfo(run, place, info_of, field, columns)
        return info_class(_raw_info=info or info_of(run, place), _field=field)

    return inform


def resolver_of(
    field: StrawberryField, schema: strawberry.Schema
) -> Callable[[Any, Any, Mapping[str, Any]], Any] | None:
    """Return what Strawberry's resolver of the field does, as a function of source, `info` and coerced arguments, which
    are converted by functions that are made now; None where the field needs Strawberry's own. Whoever calls it has made sure
    that no handler of exceptions is about.
    """
    base = field.base_resolver
    if base is None or not field.arguments or base.root_parameter or base.parent_parameter:
        return None
    extensions, info_parameter = field.extensions, base.info_parameter
    if any(type(each).map_arguments is not FieldExtension.map_arguments for each in extensions):
        return None
    if info_parameter is not None and info_parameter.name != "info":
        return None
    convert = plain_arguments(field.arguments, schema)
    if convert is None:
        return None
    function, takes_self = cast("Callable[..., Any]", base.wrapped_func), base.self_parameter is not None
    takes_info = info_parameter is not None

    # An extension may hand another source on, which Strawberry ignores: the field's own is the first.
    def call(own: Any, _source: Any, info: Any, /, **arguments: Any) -> Any:
        if takes_info:
            arguments["info"] = info
        return function(own, **arguments) if takes_self else function(**arguments)

    steps = build_field_extension_resolvers(field) if extensions else []

    def resolve(source: Any, info: Any, arguments: Mapping[str, Any]) -> Any:
        chain: Callable[..., Any] = partial(call, source)
        for step in steps:
            chain = partial(step, chain)
        return chain(source, info, **convert(arguments))

    async def resolve_later(source: Any, info: Any, arguments: Mapping[str, Any]) -> Any:
        found = resolve(source, info, arguments)
        return await found if is_awaitable(found) else found

    return resolve_later if field.is_async else resolve


def plain_arguments(
    arguments: Iterable[StrawberryArgument], schema: strawberry.Schema
) -> Callable[[Mapping[str, Any]], dict[str, Any]] | None:
    """Return what converts a field's coerced arguments, as Strawberry's `convert_arguments`; None for shapes that only
    Strawberry knows.
    """
    converters = _Converters(schema)
    try:
        named = [
            (schema.config.name_converter.from_argument(each), each.python_name, converters.of(each.type))
            for each in arguments
        ]
    except _UnsupportedError:
        return None

    def convert(values: Mapping[str, Any]) -> dict[str, Any]:
        return {
            python_name: values[name] if inner is None else inner(values[name])
            for name, python_name, inner in named
            if name in values
        }

    return convert


class _Converters:
    """Makes a converter for each type, as Strawberry's `convert_argument`; None is that of values that stay as they are."""

    def __init__(self, schema: strawberry.Schema) -> None:
        self._config = schema.config
        self._scalars = schema.schema_converter.scalar_registry
        self._known: dict[type, Convert] = {}

    def of(self, type_: Any) -> Convert | None:
        if isinstance(type_, StrawberryMaybe):
            raise _UnsupportedError
        if isinstance(type_, StrawberryOptional):
            return self.of(type_.of_type)
        if isinstance(type_, StrawberryList):
            return _list_of(self.of(type_.of_type))
        if type_ is GlobalID:
            raise _UnsupportedError
        if is_scalar(type_, self._scalars) or isinstance(type_, StrawberryEnumDefinition):
            return None
        if isinstance(type_, LazyType):
            return self.of(type_.resolve_type())
        if has_enum_definition(type_):
            return None
        if has_object_definition(type_):
            return self._object(type_)
        raise _UnsupportedError

    def _object(self, type_: Any) -> Convert:
        if type_ in self._known:
            return self._known[type_]
        definition = type_.__strawberry_definition__
        if definition.from_input is not None or not definition.is_input:
            raise _UnsupportedError
        fields: list[tuple[str, str, Convert | None]] = []
        absent = {
            field.python_name: None
            for field in definition.fields
            if field.default_value is MISSING and field.default_factory is MISSING
        }

        def convert(value: Any) -> Any:
            if value is None or value is UNSET:
                return value
            given = dict(absent)
            for name, python_name, inner in fields:
                if name in value:
                    found = value[name]
                    given[python_name] = found if inner is None else inner(found)
            return type_(**given)

        # Known before its fields are: an input may hold others of its own kind.
        self._known[type_] = convert
        name_of = self._config.name_converter.from_field
        for field in definition.fields:
            inner = self.of(field.resolve_type(type_definition=definition))
            fields.append((name_of(field), field.python_name, inner))
        return convert


def _list_of(inner: Convert | None) -> Convert:
    def convert(value: Any) -> Any:
        if value is None or value is UNSET:
            return value
        # Copied in any case: a default's list is the same in every request.
        return list(value) if inner is None else [inner(item) for item in value]

    return convert
