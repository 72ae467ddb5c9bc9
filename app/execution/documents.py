"""Documents: each text is parsed, measured and validated once.

Parsing and validating take most of the time of a small query, so the outcome is kept, good or bad. All limits are
static: they depend on the document alone, never on the caller, so that the outcome is the same for everybody.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import strawberry
from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLSchema,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    OperationType,
    parse,
    specified_rules,
    validate,
)
from graphql.validation import ASTValidationRule, MaxIntrospectionDepthRule
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule

from app.execution.cache import RecentlyUsed
from app.execution.cost import Costs, Price, price_of
from app.execution.errors import ErrorCode, RefusedError, with_code
from app.execution.limits import Limits, oversize
from app.execution.prepared import Prepared, Preparer
from app.execution.requests import encode

MESSAGE_CHARS_MAX = 500
"""How much is told of what is wrong in one place of a document."""

ERRORS_MAX = 20
"""How many faults of a document are told, and then that there are more. Some of them quote the whole input that they are in,
which takes milliseconds each: a hundred, as graphql-core has it, were most of a second.
"""


@dataclass(frozen=True, slots=True)
class Document:
    """A text that was parsed and found valid, or the errors that say why not."""

    ast: DocumentNode | None = None
    operations: Mapping[str | None, "Operation"] = field(default_factory=dict)
    """By name; the only operation also under None."""
    errors: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """The one operation of a document that a request asks for."""

    ast: DocumentNode
    definition: OperationDefinitionNode
    name: str | None
    price: Price
    prepared: Prepared | None
    """What runs it; None for graphql-core's executor."""
    root_fields: frozenset[str]
    kind: str = field(init=False)
    """query, mutation or subscription."""
    is_subscription: bool = field(init=False)
    """Whether it answers with a stream."""
    is_mutation: bool = field(init=False)
    """Whether it changes anything, and so must not be reached by a link."""

    def __post_init__(self) -> None:
        # Worked out once for a document, and asked for several times in each request.
        kind = self.definition.operation
        object.__setattr__(self, "kind", kind.value)
        object.__setattr__(self, "is_subscription", kind is OperationType.SUBSCRIPTION)
        object.__setattr__(self, "is_mutation", kind is OperationType.MUTATION)

    def asks_for(self, root_fields: Collection[str]) -> bool:
        """Tell whether one of the root fields stands in it."""
        return not self.root_fields.isdisjoint(root_fields)


class Documents:
    """Turns text into valid documents and remembers them."""

    def __init__(
        self,
        schema: strawberry.Schema,
        *,
        limits: Limits,
        introspection: bool,
        costs: Costs | None = None,
        prepared: bool = True,
    ) -> None:
        self._schema = core_schema(schema)
        self._preparer = (
            Preparer(schema, self._schema, hide_suggestions=not introspection) if prepared else None
        )
        self._limits = limits
        self._costs = costs or Costs()
        self._introspection = introspection
        self._rules = _rules(introspection=introspection)
        self._known: RecentlyUsed[Document] = RecentlyUsed(
            entries_max=limits.documents_max, chars_max=limits.documents_chars_max
        )

    def operation(self, text: str, name: str | None) -> Operation:
        """Return the operation of that name; raise RefusedError where there is none or the document is not valid."""
        document = self.document(text)
        if document.ast is None:
            raise RefusedError(list(document.errors), of_document=True)
        operation = document.operations.get(name)
        if operation is None:
            raise _unresolved(name, document)
        return operation

    def document(self, text: str) -> Document:
        """Return what is known of the text, finding out if it is new."""
        document = self._known.get(text)
        if document is None:
            document = self._examine(text)
            # What is wrong with a text may take far more than the text.
            self._known.put(text, document, chars=len(text) + len(encode(document.errors)))
        return document

    def _examine(self, text: str) -> Document:
        try:
            ast = parse(
                text, max_lexical_tokens=self._limits.tokens_max, max_comments=self._limits.tokens_max
            )
        except GraphQLError as error:
            return Document(errors=_formatted([error], ErrorCode.GRAPHQL_PARSE_FAILED))
        errors = oversize(ast, self._limits) or validate(
            self._schema,
            ast,
            self._rules,
            max_errors=ERRORS_MAX,
            hide_suggestions=not self._introspection,
        )
        if errors:
            return Document(errors=_formatted(errors, ErrorCode.GRAPHQL_VALIDATION_FAILED))
        found = [d for d in ast.definitions if isinstance(d, OperationDefinitionNode)]
        operations = {d.name.value if d.name else None: self._operation(ast, d) for d in found}
        if len(found) == 1:
            operations[None] = replace(next(iter(operations.values())), name=None)
        return Document(ast, operations)

    def _operation(self, ast: DocumentNode, definition: OperationDefinitionNode) -> Operation:
        nodes = definition.selection_set.selections
        return Operation(
            ast,
            definition,
            definition.name.value if definition.name else None,
            price_of(self._schema, ast, definition, self._costs),
            self._preparer.prepare(ast, definition) if self._preparer else None,
            frozenset(node.name.value for node in nodes if isinstance(node, FieldNode)),
        )


def core_schema(schema: strawberry.Schema) -> GraphQLSchema:
    """Return graphql-core's schema below Strawberry's, its `@oneOf` inputs marked as such.

    Strawberry marks them for its own validation rule only, and that rule falls over a fragment that stands
    before its operation, or an undefined variable. With the mark, graphql-core's own rules check them.
    """
    core: GraphQLSchema = schema._schema  # noqa: SLF001 - Strawberry's public API takes text, not documents
    for type_ in core.type_map.values():
        if isinstance(type_, GraphQLInputObjectType):
            definition = type_.extensions.get("strawberry-definition")
            if getattr(definition, "is_one_of", False):
                type_.is_one_of = True
    return core


def _rules(*, introspection: bool) -> tuple[type[ASTValidationRule], ...]:
    rules = (*specified_rules, MaybeNullValidationRule, MaxIntrospectionDepthRule)
    return rules if introspection else (*rules, NoSchemaIntrospectionCustomRule)


def _formatted(errors: list[GraphQLError], code: ErrorCode) -> tuple[dict[str, Any], ...]:
    # Formatted at once: a GraphQLError would keep its tokens and its stack alive as long as the cache does.
    return tuple(_cut(with_code(error, code)) for error in errors)


def _cut(error: dict[str, Any]) -> dict[str, Any]:
    # A hundred messages that each quote a whole input are a hundred times what was sent.
    message = error["message"]
    return (
        error
        if len(message) <= MESSAGE_CHARS_MAX
        else {**error, "message": f"{message[:MESSAGE_CHARS_MAX]}…"}
    )


def _unresolved(name: str | None, document: Document) -> RefusedError:
    if name is not None:
        message = f"Unknown operation named '{name}'."
    elif document.operations:
        message = "Must provide operation name if query contains multiple operations."
    else:
        message = "Must provide an operation."
    code = ErrorCode.OPERATION_RESOLUTION_FAILURE
    return RefusedError([{"message": message, "extensions": {"code": code.value}}], of_document=True)
