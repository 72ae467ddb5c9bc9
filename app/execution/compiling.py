"""Turns the selection sets of an operation into functions that resolve, complete and build dictionaries directly.

What depends only on the schema and the document is decided here, once; what is left for each run is in `steps`. Both
follow graphql-core's executor (`graphql.execution.executor`), in the order of that class, and call it wherever nothing
is gained by being quick: for errors, for what resolvers are told, for values that seldom come. So they can be read
side by side, and what is said of one holds for the other: the same resolvers, in the same order, awaited in the same way.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from enum import Enum
from inspect import iscoroutinefunction
from operator import attrgetter
from typing import Any, NamedTuple, cast

import strawberry
from graphql import (
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
    OperationDefinitionNode,
    TypeNameMetaFieldDef,
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
from graphql.execution.executor import invalid_return_type_error
from graphql.execution.values import VariableValues, get_argument_values
from graphql.pyutils import Path, Undefined, is_iterable
from strawberry.execution import optimized_is_awaitable as is_awaitable
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.cast import TYPE_CAST_ATTRIBUTE
from strawberry.types.field import StrawberryField
from strawberry.types.fields.resolver import StrawberryResolver

from app.execution import steps, writing
from app.execution.inputs import Inform, informing, literal_arguments, resolver_of
from app.execution.steps import SETTLED, Ask, Complete, Ends, Field, Fields, InfoOf, Place, Run
from app.execution.writing import Sort
from app.readings import HANDED_ON, READING, Reading, Shown


class Shape(NamedTuple):
    """A schema, and what was found out about it."""

    schema: strawberry.Schema
    core: GraphQLSchema
    hide_suggestions: bool
    note: Callable[[int], None]
    """Told how many fields were compiled."""
    names: dict[GraphQLLeafType, dict[str, Any]]
    """Of each enumeration: its members' names in Python, and those in GraphQL."""


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
        # Grows by the classes of the schema's objects as these are compiled.
        self._settled = set(SETTLED)
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
        return (
            steps.serially(fields)
            if type_ is self._core.mutation_type
            else steps.together(fields, self._settled)
        )

    def _selected(self, type_: GraphQLObjectType, details: FieldDetailsList) -> Fields:
        return steps.together(self._fields(type_, self._collected(type_, details)), self._settled)

    def _collected(self, type_: GraphQLObjectType, details: FieldDetailsList) -> GroupedFieldSet:
        return collect_subfields(
            self._core,
            self._fragments,
            self._variables,
            self._operation,
            type_,
            details,
            self._hide_suggestions,
        ).grouped_field_set

    def _fields(self, parent: GraphQLObjectType, grouped: GroupedFieldSet) -> tuple[Field, ...]:
        self._note(len(grouped))
        known = ((key, self._core.get_field(parent, d[0].node.name.value), d) for key, d in grouped.items())
        return tuple(self._field(parent, key, field, details) for key, field, details in known if field)

    def _field(
        self, parent: GraphQLObjectType, key: str, known: GraphQLField, details: FieldDetailsList
    ) -> Field:
        if known is TypeNameMetaFieldDef:
            name = parent.name
            return steps.whole(key, lambda _run, _source, _place: name)
        where = f"{parent}.{details[0].node.name.value}"
        ends = Ends(self._completion(known.type, details, where), steps.failure(known.type, details))
        own, get, is_told = (key, parent.name), self._getter(known), _looks_at_info(known.type)
        if get is not None and not is_told:
            sort = self._reading(known, details) or self._sort(known, details)
            return steps.plain_field(get, (_kept_type(known.type), sort), ends, own, self._settled)
        nodes = [found.node for found in details]

        def info_of(run: Run, place: Place) -> Any:
            return run.build_resolve_info(known, nodes, parent, steps.path(place))

        ask = (
            _asking(get)
            if get
            else self._method(known, details, info_of) or self._resolver(known, details, info_of)
        )
        return steps.asking_field(ask, info_of if is_told else None, ends, own, self._settled)

    def _sort(self, known: GraphQLField, details: FieldDetailsList) -> Sort | None:
        """Return what the values of a field mostly are, if more is to be made of those than of all others."""
        kept, leaf = _kept_type(known.type), _nullable(known.type)
        if kept is not None:
            return writing.kept(kept)
        if isinstance(leaf, GraphQLEnumType) and leaf in self._names:
            return writing.member(cast("Any", leaf).wrapped_cls, self._names[leaf])
        if isinstance(leaf, GraphQLScalarType):
            return _of_text(leaf.coerce_output_value)
        if not isinstance(leaf, GraphQLObjectType) or leaf.is_type_of is not None:
            return None
        class_ = self._class(leaf)
        selected = self._attributes(leaf, details) if class_ else None
        return writing.attributes(class_, selected) if class_ and selected else None

    def _reading(self, known: GraphQLField, details: FieldDetailsList) -> Sort | None:
        """Return the sort of a field that says what it reads of its object's record."""
        field, leaf = _own(known), _nullable(known.type)
        reading = None if field is None else field.metadata.get(READING)
        if not isinstance(reading, Reading) or self._getter(known) is None:
            return None
        is_required = leaf is not known.type
        if reading.parts is not None and isinstance(leaf, GraphQLObjectType):
            selected = self._attributes(leaf, details) if is_required and self._class(leaf) else ()
            if any(name not in reading.parts for _, name, _ in selected):
                return None
            parts = [(key, reading.parts[name], kept) for key, name, kept in selected]
            return writing.read_parts(reading, parts) if parts else None
        sort = self._sort(known, details)
        if sort is None:
            return None
        return writing.read(reading, sort if is_required else writing.nullable(sort))

    def _attributes(
        self, type_: GraphQLObjectType, details: FieldDetailsList
    ) -> tuple[tuple[str, str, type], ...]:
        """Return key, name and kept type of each selected field; nothing where one is more than an attribute."""
        found = tuple(self._each_attribute(type_, details))
        return () if None in found else cast("Any", found)

    def _each_attribute(
        self, type_: GraphQLObjectType, details: FieldDetailsList
    ) -> Iterator[tuple[str, str, type] | None]:
        for key, found in self._collected(type_, details).items():
            known = self._core.get_field(type_, found[0].node.name.value)
            field = None if known is None else _own(known)
            kept = None if known is None else _kept_type(known.type)
            plain = field is not None and known is not None and type(self._getter(known)) is attrgetter
            yield (key, field.python_name, kept) if field and kept and plain else None

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

    def _method(self, known: GraphQLField, details: FieldDetailsList, info_of: InfoOf) -> Ask | None:
        """Return a method that asks for `info` and has neither arguments nor extensions."""
        field = _own(known)
        base = self._bare(field) if field and not known.args else None
        if field is None or base is None or not base.self_parameter:
            return None
        parameter, function = base.info_parameter, cast("Callable[..., Any]", base.wrapped_func)
        if parameter is None or _given(base) != {parameter}:
            return None
        name, inform = parameter.name, self._informing(field, known, details)

        def ask(run: Run, source: Any, place: Place, info: Any) -> Any:
            return function(source, **{name: inform(run, place, info_of, info)})

        return ask

    def _bare(self, field: StrawberryField) -> StrawberryResolver[Any] | None:
        """Return the field's function where Strawberry would only hand its arguments over."""
        base = field.base_resolver
        if type(base) is not StrawberryResolver or field.extensions or not callable(base.wrapped_func):
            return None
        if self._handles_exceptions:
            return None
        return base if field.is_async == iscoroutinefunction(base.wrapped_func) else None

    def _resolver(self, known: GraphQLField, details: FieldDetailsList, info_of: InfoOf) -> Ask:
        arguments_of, converting = (
            self._arguments(known, details[0].node),
            self._converting(known, details),
        )
        if converting is not None:
            resolve, inform = converting

            def ask_directly(run: Run, source: Any, place: Place, info: Any) -> Any:
                return resolve(source, inform(run, place, info_of, info), arguments_of(run))

            return ask_directly

        def ask(run: Run, source: Any, place: Place, info: Any) -> Any:
            info = info or info_of(run, place)
            return (known.resolve or run.field_resolver)(source, info, **arguments_of(run))

        return ask

    def _converting(
        self, known: GraphQLField, details: FieldDetailsList
    ) -> tuple[Callable[[Any, Any, Mapping[str, Any]], Any], Inform] | None:
        """Return Strawberry's resolver with quicker arguments, and what makes its `info`, where it needs nothing else."""
        field = _own(known)
        if field is None or type(field.base_resolver) is not StrawberryResolver or self._handles_exceptions:
            return None
        if not callable(field.base_resolver.wrapped_func):
            return None
        resolve = resolver_of(field, self._schema)
        return None if resolve is None else (resolve, self._informing(field, known, details))

    def _informing(self, field: StrawberryField, known: GraphQLField, details: FieldDetailsList) -> Inform:
        return informing(field, self._schema, self._columns(known.type, details))

    def _columns(self, type_: GraphQLOutputType, details: FieldDetailsList) -> frozenset[str] | None:
        """Return what is read of the records that objects of a type show or hand on, beside what tells their order; None where
        fields are among the selected that don't say.
        """
        named, columns = get_named_type(type_), set[str]()
        if not isinstance(named, GraphQLObjectType):
            return None
        for found in self._collected(named, details).values():
            known = self._core.get_field(named, found[0].node.name.value)
            if known is TypeNameMetaFieldDef or known is None:
                continue
            read = self._columns_of(known, found)
            if read is None:
                return None
            columns |= read
        return frozenset(columns)

    def _columns_of(self, known: GraphQLField, details: FieldDetailsList) -> frozenset[str] | None:
        field = _own(known)
        said = {} if field is None else field.metadata
        if isinstance(reading := said.get(READING), Reading):
            return frozenset(reading.columns)
        if HANDED_ON not in said:
            return None
        return self._columns(known.type, details) if said[HANDED_ON] else frozenset()

    def _arguments(self, known: GraphQLField, node: FieldNode) -> Callable[[Run], dict[str, Any]]:
        """Return what finds a field's arguments in a run."""
        literal = literal_arguments(known, node)

        def arguments_of(run: Run) -> dict[str, Any]:
            found = None if literal is None else literal(run.variable_values.coerced)
            if found is None:
                # Something is wrong with them, which graphql-core puts into words; or they are of another shape.
                return get_argument_values(known, node, run.variable_values, None, run.hide_suggestions)
            return found

        return arguments_of

    # --- completion -----------------------------------------------------------------------------------------

    def _completion(self, type_: GraphQLOutputType, details: FieldDetailsList, where: str) -> Complete:
        nothing = steps.absence(where) if isinstance(type_, GraphQLNonNull) else steps.null
        if isinstance(type_, GraphQLNonNull):
            type_ = type_.of_type
        if isinstance(type_, GraphQLList):
            return self._list(type_, details, where, nothing)
        if is_leaf_type(type_):
            leaf = steps.leaf(type_, _kept_type(type_), nothing)
            return self._enumeration(type_, leaf) if isinstance(type_, GraphQLEnumType) else leaf
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
        ends = Ends(self._completion(type_.of_type, details, where), steps.failure(type_.of_type, details))
        settled, records = self._settled, self._records(type_.of_type, details)

        def complete(run: Run, value: Any, info: Any, place: Place) -> Any:
            if type(value) is not list:
                if type(value) is Shown and (found := records(value)) is not None:
                    return found
                if isinstance(value, Exception):
                    raise value
                if value is None or value is Undefined:
                    return nothing()
                if hasattr(value, "__aiter__") or not is_iterable(value):
                    info = info or run.build_resolve_info(*self._told(details, place))
                    return run.complete_list_value(type_, details, info, steps.path(place), value, None)
            return steps.items(run, iter(value), info, place, ends, settled)

        return complete

    def _records(
        self, type_: GraphQLOutputType, details: FieldDetailsList
    ) -> Callable[[Shown], list[Any] | None]:
        """Return what completes a list of objects that show records, if only what is read of these was selected, and once such
        lists came often. Its answer is None where that can't be.
        """
        leaf = _nullable(type_)
        class_ = self._class(leaf) if isinstance(leaf, GraphQLObjectType) else None
        fields = tuple(self._each_read(leaf, details)) if class_ else ()
        if not fields or None in fields or len(fields) > writing.FIELDS_MAX:
            return _left
        runs = 0
        quick: Callable[[Iterable[Any]], list[Any] | None] | None = None

        def records(shown: Shown) -> list[Any] | None:
            nonlocal runs, quick
            if quick is None:
                runs += 1
                if runs < writing.RUNS:
                    return None
                quick = writing.written_for_records(cast("Any", fields))
            return quick(shown.records) if shown.type is class_ else None

        return records

    def _each_read(
        self, type_: GraphQLObjectType, details: FieldDetailsList
    ) -> Iterator[tuple[str, Sort] | None]:
        """Yield key and sort of each selected field; None for one that is not read of a record."""
        for key, found in self._collected(type_, details).items():
            known = self._core.get_field(type_, found[0].node.name.value)
            if known is TypeNameMetaFieldDef:
                yield key, writing.constant(type_.name)
            else:
                sort = None if known is None else self._reading(known, found)
                yield None if sort is None else (key, sort)

    def _told(
        self, details: FieldDetailsList, place: Place
    ) -> tuple[GraphQLField, list[FieldNode], GraphQLObjectType, Path]:
        """Return what `info` is built of for a field that seldom needs one."""
        while isinstance(place[1], int):
            place = place[0]
        parent = cast("GraphQLObjectType", self._core.get_type(str(place[2])))
        known = cast("GraphQLField", self._core.get_field(parent, details[0].node.name.value))
        return known, [found.node for found in details], parent, steps.path(place)

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
        selected, is_type_of, class_ = self._selected(type_, details), type_.is_type_of, self._class(type_)

        async def later(run: Run, belongs: Awaitable[bool], value: Any, place: Place) -> Any:
            if not await belongs:
                raise invalid_return_type_error(type_, value, details)
            completed = selected(run, value, place)
            return await completed if is_awaitable(completed) else completed

        def complete(run: Run, value: Any, info: Any, place: Place) -> Any:
            if type(value) is class_ and TYPE_CAST_ATTRIBUTE not in value.__dict__:
                return selected(run, value, place)
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

    def _class(self, type_: GraphQLObjectType) -> type | None:
        """Return the class whose very objects are of the type, and no errors, if nobody has a say in that."""
        class_: Any = getattr(type_.extensions.get("strawberry-definition"), "origin", None)
        if not isinstance(class_, type) or not (type_.is_type_of is None or _is_by_class(type_)):
            return None
        # Its objects have a dictionary, and tell nothing that isn't in there or in the class.
        odd = any(hasattr(class_, name) for name in ("__await__", "__getattr__", TYPE_CAST_ATTRIBUTE))
        if odd or issubclass(class_, Exception) or not class_.__dictoffset__:
            return None
        self._settled.add(class_)
        return class_

    def _enumeration(self, type_: GraphQLEnumType, leaf: Complete) -> Complete:
        """Return the completion of an enumeration of Strawberry's, which compares a member with every other for its name."""
        members: Any = getattr(type_, "wrapped_cls", None)
        if not (isinstance(members, type) and issubclass(members, Enum)):
            return leaf
        if type_ not in self._names:
            self._names[type_] = {member.name: type_.coerce_output_value(member) for member in members}
        if not hasattr(members, "__await__"):
            self._settled.add(members)
        own, member_type = self._names[type_], cast("type[Any]", members)

        def complete(run: Run, value: Any, info: Any, place: Place) -> Any:
            # By its name, because a member's hash is worked out by Python anew each time.
            name = own.get(value._name_) if type(value) is member_type else None
            return leaf(run, value, info, place) if name is None else name

        return complete


# --- what is known of fields and types ----------------------------------------------------------------------


def _asking(get: Callable[[Any], Any]) -> Ask:
    return lambda _run, source, _place, _info: get(source)


def _own(known: GraphQLField) -> StrawberryField | None:
    """Return Strawberry's field, unless it has its own way to get a result."""
    field = known.extensions.get("strawberry-definition")
    if not isinstance(field, StrawberryField) or field.is_subscription:
        return None
    return field if type(field).get_result is StrawberryField.get_result else None


def _given(base: StrawberryResolver[Any]) -> set[Any]:
    """Return the parameters besides `self` that Strawberry fills in."""
    return {base.info_parameter, base.root_parameter, base.parent_parameter} - {None}


def _kept_type(type_: GraphQLOutputType) -> type | None:
    """Return the type whose values stand in the answer as they are."""
    leaf = _nullable(type_)
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


def _of_text(coerce: Callable[[Any], Any]) -> Sort | None:
    """Return what the values of a scalar mostly are whose function says that it makes a text of one class."""
    hints = getattr(coerce, "__annotations__", {})
    classes = [hint for name, hint in hints.items() if name != "return"]
    if hints.get("return") is not str or len(classes) != 1 or classes[0] not in SETTLED:
        return None
    return writing.coerced(classes[0], coerce)


def _nullable(type_: GraphQLOutputType) -> Any:
    return type_.of_type if isinstance(type_, GraphQLNonNull) else type_


def _looks_at_info(type_: GraphQLOutputType) -> bool:
    """Tell whether a type asks what it is to be by a function that is told about the run."""
    named = get_named_type(type_)
    if not isinstance(named, GraphQLObjectType):
        return is_abstract_type(named)
    return named.is_type_of is not None and not _is_by_class(named)


def _is_by_class(type_: GraphQLObjectType) -> bool:
    """Tell whether Strawberry's own function says which values are of a type: it goes by their classes."""
    return getattr(type_.is_type_of, "__module__", None) == GraphQLCoreConverter.__module__


def _left(_shown: Shown) -> None:
    """Leave a list to be completed object by object."""
