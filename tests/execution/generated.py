"""Generated documents: valid ones over any schema, with all that makes executing them difficult."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_abstract_type,
    is_composite_type,
    is_required_input_field,
)
from hypothesis import strategies as st

WORDS = ["", "a", "weißer Hirsch"]


@dataclass
class Written:
    """A document and the variables that it is sent with."""

    text: str
    variables: dict[str, Any]


@dataclass
class _Writer:
    schema: GraphQLSchema
    draw: Callable[[st.SearchStrategy[Any]], Any]
    conditions: int
    fragments: list[str] = field(default_factory=list)
    declared: list[str] = field(default_factory=list)
    variables: dict[str, Any] = field(default_factory=dict)
    number: int = 0

    def chance(self, percent: int) -> bool:
        return bool(self.draw(st.integers(0, 99)) < percent)

    def pick(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def selections(self, type_: Any, depth: int) -> str:
        """Write what is selected of a composite type."""
        parts = [self.selection(type_, depth) for _ in range(self.draw(st.integers(1, 4)))]
        return "{ " + " ".join(part for part in [*parts, "__typename"] if part) + " }"

    def selection(self, type_: Any, depth: int) -> str:
        if depth <= 0:
            return self.leaf(type_)
        if is_abstract_type(type_) and self.chance(70):
            possible = [*self.schema.get_possible_types(type_), type_]
            return self.fragment(self.pick(*possible), depth)
        if self.chance(15):
            return self.fragment(type_, depth)
        if isinstance(type_, GraphQLObjectType) and type_.interfaces and self.chance(10):
            return self.fragment(self.pick(*type_.interfaces), depth)
        if not isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            return "__typename"
        return self.field_of(self.pick(*type_.fields.items()), depth)

    def leaf(self, type_: Any) -> str:
        fields = getattr(type_, "fields", {}).items()
        known = [(name, f) for name, f in fields if not is_composite_type(get_named_type(f.type))]
        return self.field_of(self.pick(*known), 0) if known else "__typename"

    def fragment(self, type_: Any, depth: int) -> str:
        inner = self.selections(type_, depth - 1)
        if self.chance(50):
            return f"... on {type_}{self.directives()} {inner}"
        if self.chance(20):
            return f"... on {type_}{self.directives()} {{ ...{self.named(type_, inner)} }}"
        name = self.named(type_, inner)
        return f"...{name}{self.directives()}" + (f" ...{name}" if self.chance(20) else "")

    def named(self, type_: Any, inner: str) -> str:
        name = f"F{len(self.fragments)}"
        self.fragments.append(f"fragment {name} on {type_} {inner}")
        return name

    def field_of(self, found: tuple[str, GraphQLField], depth: int) -> str:
        name, known = found
        arguments = ", ".join(
            f"{key}: {self.value(argument.type)}" for key, argument in known.args.items() if self.chance(60)
        )
        # The same key stands for the same field with the same arguments, so that all can be merged.
        self.number += 1
        alias = f"a{self.number}: " if arguments or self.chance(20) else ""
        if arguments:
            arguments = f"({arguments})"
        named = get_named_type(known.type)
        inner = f" {self.selections(named, depth - 1)}" if is_composite_type(named) else ""
        return f"{alias}{name}{arguments}{self.directives()}{inner}"

    def directives(self) -> str:
        if not self.chance(self.conditions):
            return ""
        return "".join(
            f" @{name}(if: {self.condition()})"
            for name in self.pick(["skip"], ["include"], ["include", "skip"])
        )

    def condition(self) -> str:
        if self.chance(50):
            return str(self.pick("true", "false"))
        return self.variable("Boolean!", self.pick(True, False))

    def variable(self, type_: str, value: Any) -> str:
        """Declare a variable; sometimes with a default, sometimes without its value."""
        name = f"v{len(self.variables)}x{len(self.declared)}"
        default = ""
        if type_ == "Boolean!" and self.chance(20):
            type_, default = "Boolean", " = true"
            value = self.pick(value, None)
        self.declared.append(f"${name}: {type_}{default}")
        if default or type_.endswith("!") or self.chance(80):
            self.variables[name] = value
            if default and self.chance(50):
                del self.variables[name]
        return f"${name}"

    def value(self, type_: Any) -> str:
        """Write a value of an input type: a literal, or a variable."""
        if self.chance(40):
            return self.variable(str(type_), self.plain(type_))
        return self.literal(type_, self.plain(type_))

    def plain(self, type_: Any, *, null: bool = True) -> Any:
        """Draw a value as JSON has it."""
        if isinstance(type_, GraphQLNonNull):
            return self.plain(type_.of_type, null=False)
        if null and self.chance(10):
            return None
        if isinstance(type_, GraphQLList):
            return [self.plain(type_.of_type) for _ in range(self.draw(st.integers(0, 2)))]
        if isinstance(type_, GraphQLEnumType):
            return self.pick(*type_.values)
        if isinstance(type_, GraphQLInputObjectType):
            names = list(type_.fields)
            if type_.is_one_of:
                name = self.pick(*names)
                return {name: self.plain(type_.fields[name].type, null=False)}
            return {
                name: self.plain(type_.fields[name].type)
                for name in names
                if is_required_input_field(type_.fields[name]) or self.chance(60)
            }
        return {
            "Int": self.draw(st.integers(0, 5)),
            "Even": self.draw(st.integers(0, 5)) * 2,
            "Boolean": self.pick(True, False),
        }.get(type_.name, self.pick(*WORDS))

    def literal(self, type_: Any, value: Any) -> str:
        """Write a value in a document; parts of it may be variables."""
        if isinstance(type_, GraphQLNonNull):
            return self.literal(type_.of_type, value)
        if value is None:
            return "null"
        if isinstance(type_, GraphQLList):
            return "[" + ", ".join(self.part(type_.of_type, item) for item in value) + "]"
        if isinstance(type_, GraphQLInputObjectType):
            part = self.literal if type_.is_one_of else self.part
            return "{" + ", ".join(f"{k}: {part(type_.fields[k].type, v)}" for k, v in value.items()) + "}"
        if isinstance(type_, GraphQLEnumType):
            return str(value)
        return {True: "true", False: "false"}[value] if isinstance(value, bool) else self._scalar(value)

    def part(self, type_: Any, value: Any) -> str:
        return self.variable(str(type_), value) if self.chance(20) else self.literal(type_, value)

    @staticmethod
    def _scalar(value: Any) -> str:
        return f'"{value}"' if isinstance(value, str) else str(value)


@st.composite
def documents(
    draw: Any, schema: GraphQLSchema, kind: str = "query", *, depth: int = 3, conditions: int = 15
) -> Written:
    """Draw an operation of that kind; nearly all are valid."""
    writer = _Writer(schema, draw, conditions)
    root = {
        "query": schema.query_type,
        "mutation": schema.mutation_type,
        "subscription": schema.subscription_type,
    }[kind]
    if kind == "subscription":
        body = "{ " + writer.field_of(next(iter(root.fields.items())), depth) + " }"  # type: ignore[union-attr]
    else:
        body = writer.selections(root, depth)
    declared = f"({', '.join(writer.declared)})" if writer.declared else ""
    return Written("\n".join([f"{kind} Q{declared} {body}", *writer.fragments]), writer.variables)
