"""How much one caller may ask for at once. Every number has its unit, and every one of them is finite."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from app.execution.throttle import Budget

INTROSPECTION_DEPTH_MAX = 20
"""The introspection query of GraphiQL is 13 to 15 deep; its fields don't count towards a query's own depth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one document, one body, one socket and the whole process may hold."""

    body_bytes_max: int = 256 * 1024
    tokens_max: int = 2_000
    depth_max: int = 15
    aliases_max: int = 50
    directives_max: int = 50
    root_fields_max: int = 20
    fields_max: int = 2_000
    """Fields after fragments are expanded: what stops a short document that doubles itself ten times."""

    repeats_max: int = 20
    """The same field in the same place, which clients do by fragments: comparing them takes quadratic time."""

    documents_max: int = 1_000
    documents_chars_max: int = 2_000_000
    """All cached texts together: a parsed document takes some fifty times its text."""

    operations_in_flight_max: int = 2_000
    """Queries and mutations that run at the same moment in this process, whoever waits for them."""

    operation_timeout_s: float = 30.0
    """How long a query, a mutation, or one event of a subscription may take before its caller is answered."""
    long_root_fields: frozenset[str] = frozenset()
    """Root fields that may take `long_operation_timeout_s`."""
    long_operation_timeout_s: float = 600.0
    body_timeout_s: float = 30.0
    """How long a caller may take to send a body."""

    cost_max: int = 10_000
    """See `app.execution.cost`."""
    cost_shown: bool = False
    """Show every answer's cost, not only to those who ask for it."""
    requests_per_address: Budget | None = None
    callers_max: int = 10_000
    """Callers, and addresses, whose spending is remembered."""
    subscriptions_per_principal_max: int = 100

    message_bytes_max: int = 256 * 1024
    sockets_max: int = 10_000
    sockets_per_principal_max: int = 50
    """Counted for callers who are signed in; who is not has no name to count by."""
    operations_per_socket_max: int = 100
    streams_max: int = 10_000
    """Streams over HTTP (SSE and multipart) that are open at the same moment."""
    connection_init_timeout_s: float = 10.0
    keep_alive_s: float = 12.0
    drain_timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Size:
    """How large a selection is once its fragments are expanded."""

    depth: int = 0
    introspection_depth: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0
    root_fields: int = 0


def oversize(document: DocumentNode, limits: Limits) -> list[GraphQLError]:
    """Return one error for each limit that the document exceeds.

    It runs before validation, because some rules of the specification take quadratic time on what this stops.
    """
    fragments = {
        definition.name.value: definition
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }
    scale = _Scale(fragments)
    errors = []
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            size = scale.weigh(definition.selection_set)
            on_operation = len(definition.directives or ()) + sum(
                len(variable.directives or ()) for variable in definition.variable_definitions or ()
            )
            errors += _exceeded(size, on_operation, limits, definition)
            # Expanding is safe only now that the number of fields is known to be small.
            if not errors and scale.repeats(definition.selection_set, limits) > limits.repeats_max:
                errors.append(_excess("number of repeats of one field", limits.repeats_max, definition))
    return errors


def _exceeded(
    size: Size, directives: int, limits: Limits, operation: OperationDefinitionNode
) -> list[GraphQLError]:
    measured = (
        ("depth", size.depth, limits.depth_max),
        ("introspection depth", size.introspection_depth, INTROSPECTION_DEPTH_MAX),
        ("number of fields", size.fields, limits.fields_max),
        ("number of aliases", size.aliases, limits.aliases_max),
        ("number of directives", size.directives + directives, limits.directives_max),
        ("number of root fields", size.root_fields, limits.root_fields_max),
    )
    return [_excess(what, limit, operation) for what, value, limit in measured if value > limit]


def _excess(what: str, limit: int, operation: OperationDefinitionNode) -> GraphQLError:
    return GraphQLError(f"The operation's {what} exceeds the limit of {limit}.", operation)


class _Scale:
    """Weighs selections; each fragment once, so that the time is linear in the document and not in its expansion."""

    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._weighed: dict[str, Size] = {}

    def weigh(self, selections: SelectionSetNode | None) -> Size:
        """Return the size of a selection set, fragments expanded."""
        depth = introspection_depth = fields = aliases = directives = root_fields = 0
        for node in selections.selections if selections else ():
            size = self._of_field(node) if isinstance(node, FieldNode) else self._of_fragment(node)
            depth = max(depth, size.depth)
            introspection_depth = max(introspection_depth, size.introspection_depth)
            fields += size.fields
            aliases += size.aliases
            directives += size.directives + len(node.directives or ())
            root_fields += size.root_fields
        return Size(depth, introspection_depth, fields, aliases, directives, root_fields)

    def _of_field(self, node: FieldNode) -> Size:
        inner = self.weigh(node.selection_set)
        meta = node.name.value in {"__schema", "__type"}
        return Size(
            depth=1 if meta else inner.depth + 1,
            introspection_depth=max(inner.introspection_depth, inner.depth + 1 if meta else 0),
            fields=inner.fields + 1,
            aliases=inner.aliases + (node.alias is not None),
            directives=inner.directives,
            root_fields=1,
        )

    def _of_fragment(self, node: object) -> Size:
        if not isinstance(node, FragmentSpreadNode):
            return self.weigh(getattr(node, "selection_set", None))
        name = node.name.value
        if name not in self._weighed:
            # A fragment that is being weighed counts as nothing inside itself: validation refuses the cycle.
            self._weighed[name] = Size()
            fragment = self._fragments.get(name)
            if fragment is not None:
                self._weighed[name] = self.weigh(fragment.selection_set)
        return self._weighed[name]

    def repeats(self, selections: SelectionSetNode, limits: Limits) -> int:
        """Return how often the most repeated field stands in one place, merging selections as execution will.

        Fragments in a circle never end, so neither would this: it gives up after as many fields as are allowed,
        and then answers more than is allowed.
        """
        most, left, places = 0, limits.fields_max, [[selections]]
        while places:
            here: dict[str, list[SelectionSetNode | None]] = {}
            for node in self._flat(places.pop(), set()):
                here.setdefault((node.alias or node.name).value, []).append(node.selection_set)
                left -= 1
            if left < 0:
                return limits.repeats_max + 1
            for inner in here.values():
                most = max(most, len(inner))
                if below := [selection for selection in inner if selection is not None]:
                    places.append(below)
        return most

    def _flat(self, selections: Iterable[SelectionSetNode], spread: set[str]) -> Iterator[FieldNode]:
        """Yield the fields of one place, each fragment once."""
        for node in chain.from_iterable(selection.selections for selection in selections):
            if isinstance(node, FieldNode):
                yield node
            elif isinstance(node, InlineFragmentNode):
                yield from self._flat([node.selection_set], spread)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in spread:
                spread.add(node.name.value)
                if node.name.value in self._fragments:
                    yield from self._flat([self._fragments[node.name.value].selection_set], spread)
