"""What an operation may cost, known before anything of it runs.

    a scalar or an enumeration     0
    an object                      1, and what is asked of it
    a page (`first` or `last`)     1, and as many objects as the page may hold
    a list without a size          as if it held `list_size`
    a mutation                     10, and what is asked of its payload

Single fields may weigh more (`Costs.weights`). The number is an upper bound: `@skip` and `@include` are taken for what
lets more in, and a field that is written twice counts twice. Each operation is measured once; what depends on the
sizes in its variables is worked out again for every request.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    is_composite_type,
    value_from_ast_untyped,
)

PAGE_ARGUMENTS = ("first", "last")
INTROSPECTION = frozenset({"__schema", "__type"})

Variables = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """The prices."""

    weights: Mapping[str, int] = field(default_factory=dict)
    """By `Type.field`, or `*.field` for a field of any type: what it costs itself, in place of the rule."""
    page_size: int = 20
    """Objects in a page when neither `first` nor `last` says."""
    page_size_max: int = 100
    """Larger pages are refused by whoever answers, so they need not be paid for."""
    list_size: int = 5
    mutation: int = 10
    introspection: int = 10


@dataclass(frozen=True, slots=True)
class _Size:
    """How many objects a list may hold: the first of the values that is a number or a list, or else the default."""

    values: tuple[Any, ...]
    default: int
    most: int

    @property
    def is_constant(self) -> bool:
        return not any(isinstance(value, VariableNode) for value in self.values)

    def of(self, variables: Variables) -> int:
        for value in self.values:
            known = variables.get(value.name.value) if isinstance(value, VariableNode) else value
            if isinstance(known, list):
                return min(len(known), self.most)
            # A whole number may be written as 100.0 in JSON, and GraphQL takes it for one.
            if isinstance(known, int | float) and not isinstance(known, bool):
                return int(min(max(known, 0), self.most))
        return self.default


@dataclass(frozen=True, slots=True)
class Price:
    """A number, and parts that are multiplied by sizes in variables."""

    fixed: int = 0
    parts: tuple[tuple[_Size, "Price"], ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def of(self, variables: Variables | None) -> int:
        """Return the cost with these variables; what nobody asked to pay for costs 1 all the same."""
        return max(1, self.unfloored({**self.defaults, **(variables or {})} if self.parts else {}))

    def unfloored(self, variables: Variables) -> int:
        """Return the cost of a part, which may be nothing."""
        return self.fixed + sum(size.of(variables) * price.unfloored(variables) for size, price in self.parts)

    def plus(self, other: "Price") -> "Price":
        """Return both together."""
        return Price(self.fixed + other.fixed, self.parts + other.parts)

    def times(self, size: _Size) -> "Price":
        """Return the price of as many."""
        if not size.is_constant:
            return Price(0, ((size, self),))
        number = size.of({})
        return Price(
            self.fixed * number,
            tuple((_Size((number,), number, number), Price(0, (part,))) for part in self.parts),
        )


def price_of(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, costs: Costs
) -> Price:
    """Return the price of an operation of a document that is valid and not too large."""
    root = schema.get_root_type(operation.operation)
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    own = costs.mutation if root is schema.mutation_type else 1
    found = _Measure(schema, fragments, costs, root, own).selections(root, operation.selection_set, None)
    defaults = {
        variable.variable.name.value: value_from_ast_untyped(variable.default_value)
        for variable in operation.variable_definitions or ()
        if variable.default_value is not None
    }
    return Price(found.fixed, found.parts, defaults)


class _Measure:
    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        costs: Costs,
        root: GraphQLNamedType | None,
        root_weight: int,
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._costs = costs
        self._root = root
        self._root_weight = root_weight

    def selections(
        self, parent: GraphQLNamedType | None, selections: SelectionSetNode | None, page: _Size | None
    ) -> Price:
        """Add up what is selected of a type; `page` is the size of the page that the type stands for, if it does."""
        total = Price()
        for type_, node in self._fields(parent, selections):
            total = total.plus(self._field(type_, node, page))
        return total

    def _fields(
        self, parent: GraphQLNamedType | None, selections: SelectionSetNode | None
    ) -> Iterator[tuple[GraphQLNamedType | None, FieldNode]]:
        for node in selections.selections if selections else ():
            if isinstance(node, FieldNode):
                yield parent, node
                continue
            named = self._fragments.get(node.name.value) if isinstance(node, FragmentSpreadNode) else node
            if isinstance(named, FragmentDefinitionNode | InlineFragmentNode):
                condition = named.type_condition
                type_ = self._schema.get_type(condition.name.value) if condition else parent
                yield from self._fields(type_, named.selection_set)

    def _field(self, parent: GraphQLNamedType | None, node: FieldNode, page: _Size | None) -> Price:
        name = node.name.value
        if name in INTROSPECTION:
            return Price(self._costs.introspection)
        known = (
            parent.fields.get(name) if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType) else None
        )
        if parent is None or known is None:
            return Price()
        own = Price(self._weight(parent, name, known))
        type_ = get_named_type(known.type)
        if not is_composite_type(type_):
            return own
        asked = self._asked(node, known)
        if not _is_list(known):
            return own.plus(self.selections(type_, node.selection_set, asked))
        return own.plus(self.selections(type_, node.selection_set, None)).times(
            asked or page or self._listed(node)
        )

    def _weight(self, parent: GraphQLNamedType, name: str, known: GraphQLField) -> int:
        weights = self._costs.weights
        exact = weights.get(f"{parent.name}.{name}", weights.get(f"*.{name}"))
        if exact is not None:
            return exact
        if not is_composite_type(get_named_type(known.type)):
            return 0
        return self._root_weight if parent is self._root else 1

    def _asked(self, node: FieldNode, known: GraphQLField) -> _Size | None:
        if not any(name in known.args for name in PAGE_ARGUMENTS):
            return None
        values = tuple(value for name in PAGE_ARGUMENTS for value in _given(node, name))
        return _Size(values, self._costs.page_size, self._costs.page_size_max)

    def _listed(self, node: FieldNode) -> _Size:
        # A list that is asked for by a list (`nodes(ids:)`) holds as many.
        values = tuple(v for a in node.arguments or () for v in _given(node, a.name.value))
        lists = tuple(value for value in values if isinstance(value, list | VariableNode))
        return _Size(lists, self._costs.list_size, self._costs.page_size_max)


def _given(node: FieldNode, name: str) -> Iterator[Any]:
    for argument in node.arguments or ():
        if argument.name.value == name:
            value = argument.value
            yield value if isinstance(value, VariableNode) else value_from_ast_untyped(value)


def _is_list(known: GraphQLField) -> bool:
    type_: Any = known.type
    if isinstance(type_, GraphQLNonNull):
        type_ = type_.of_type
    return isinstance(type_, GraphQLList)
