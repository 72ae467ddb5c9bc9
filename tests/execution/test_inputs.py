"""Variables and arguments that are converted quickly become what graphql-core and Strawberry make of them."""

from enum import Enum
from typing import Annotated, Any, Optional

import pytest
import strawberry
from graphql import GraphQLObjectType, get_named_type, parse
from graphql.execution.values import get_variable_values
from hypothesis import given, settings, strategies as st
from strawberry.extensions import FieldExtension
from strawberry.types.arguments import convert_arguments

from app.execution.documents import core_schema
from app.execution.inputs import Coercion, plain_arguments, resolver_of


@strawberry.enum
class Colour(Enum):
    """An enumeration whose values are not its names."""

    RED = "r"
    GREEN = "g"


@strawberry.input
class Size:
    """An input below another one."""

    width_cm: int
    note: str | None = None
    colours: list[Colour] = strawberry.field(default_factory=lambda: [Colour.RED])


@strawberry.input(one_of=True)
class Selector:
    """Exactly one of them."""

    id: strawberry.ID | None = strawberry.UNSET
    number: int | None = strawberry.UNSET


@strawberry.input
class Order:
    """An input with everything that is plain."""

    name: str
    colour: Colour
    selector: Selector
    sizes: list[Size]
    later: Annotated["Size", strawberry.lazy("tests.execution.test_inputs")] | None = None
    words: list[str | None] | None = None
    unset: str | None = strawberry.UNSET
    is_gift: bool = False


@strawberry.input
class Nested:
    """An input that may hold its own kind."""

    value: int
    inner: Optional["Nested"] = None


@strawberry.input
class Changed:
    """An input that tells what is null from what is missing, in Strawberry's own way."""

    note: strawberry.Maybe[str | None]


class Renaming(FieldExtension):
    """An extension that takes part in the conversion."""

    def map_arguments(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Leave them as they are."""
        return kwargs


@strawberry.type
class Query:
    """Fields that take these inputs, and show what they got."""

    @strawberry.field
    def order(self, order: Order, count: int = 3) -> str:
        """Take everything."""
        return repr((order, count))

    @strawberry.field
    def nested(self, nested: Nested) -> str:
        """Take what holds its own kind."""
        return repr(nested)

    @strawberry.field
    def changed(self, changed: Changed) -> str:
        """Take what only Strawberry knows."""
        return repr(changed)

    @strawberry.field(extensions=[Renaming()])  # type: ignore[untyped-decorator]
    def renamed(self, order: Order) -> str:
        """Take arguments by way of an extension."""
        return repr(order)


SCHEMA = strawberry.Schema(Query)
CORE = core_schema(SCHEMA)
DOCUMENTS = {
    "order": "query ($order: Order!, $count: Int) { order(order: $order, count: $count) }",
    "nested": "query ($nested: Nested!) { nested(nested: $nested) }",
}
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.sampled_from(["RED", "GREEN", "r", "a", "7"])
)
SIZES = st.fixed_dictionaries(
    {"widthCm": st.integers(0, 9)},
    optional={"note": st.none() | st.just("n"), "colours": st.lists(st.sampled_from(["RED", "GREEN"]))},
)
SELECTORS = st.sampled_from(
    [{"id": "a"}, {"number": 1}, {"id": 4}, {}, {"id": None}, {"id": "a", "number": 1}]
)
ORDERS = st.fixed_dictionaries(
    {
        "name": st.just("n"),
        "colour": st.sampled_from(["RED", "GREEN"]),
        "selector": SELECTORS,
        "sizes": st.lists(SIZES, max_size=2) | SIZES,
    },
    optional={
        "later": SIZES | st.none(),
        "words": st.lists(st.just("w") | st.none(), max_size=2) | st.none() | st.just("w"),
        "unset": st.none() | st.just("u"),
        "isGift": st.booleans(),
    },
)
WRONG = st.dictionaries(
    st.sampled_from(["name", "colour", "selector", "sizes", "later", "words", "nope"]),
    LEAVES | st.lists(LEAVES, max_size=2),
)


def field_of(name: str) -> Any:
    """Return Strawberry's field."""
    query = CORE.query_type
    assert isinstance(query, GraphQLObjectType)
    return query.fields[name].extensions["strawberry-definition"]


@settings(deadline=None, max_examples=150)
@given(
    values=st.fixed_dictionaries(
        {}, optional={"order": ORDERS | WRONG | LEAVES, "count": LEAVES, "other": LEAVES}
    )
)
def test_variables_are_coerced_as_graphql_core_does_or_left_to_it(values: dict[str, Any]) -> None:
    """Where the quick way has an opinion, it is graphql-core's; where graphql-core finds an error, it has none."""
    definitions = parse(DOCUMENTS["order"]).definitions[0].variable_definitions  # type: ignore[attr-defined]
    expected = get_variable_values(CORE, definitions, values)
    found = Coercion(CORE, definitions).of(values)
    if found is None:
        # Lists of one, and values that are wrong, are for graphql-core.
        return
    assert not isinstance(expected, list)
    assert found.coerced == expected.coerced
    assert list(found.coerced) == list(expected.coerced)
    assert {name: source.value for name, source in found.sources.items()} == {
        name: source.value for name, source in expected.sources.items()
    }


@settings(deadline=None, max_examples=100)
@given(order=ORDERS)
def test_what_is_as_it_should_be_is_coerced_quickly(order: dict[str, Any]) -> None:
    """Nothing that is right is left to graphql-core but lists that are written as one item."""
    definitions = parse(DOCUMENTS["order"]).definitions[0].variable_definitions  # type: ignore[attr-defined]
    expected = get_variable_values(CORE, definitions, {"order": order})
    is_one = not isinstance(order["sizes"], list) or isinstance(order.get("words"), str)
    found = Coercion(CORE, definitions).of({"order": order})
    assert (found is None) == (isinstance(expected, list) or is_one)


@settings(deadline=None, max_examples=100)
@given(order=ORDERS)
def test_arguments_are_converted_as_strawberry_does(order: dict[str, Any]) -> None:
    """Input objects, lists, enumerations, lazy types, what is unset and what has a default."""
    definitions = parse(DOCUMENTS["order"]).definitions[0].variable_definitions  # type: ignore[attr-defined]
    coerced = get_variable_values(CORE, definitions, {"order": order})
    if isinstance(coerced, list):
        return
    arguments = field_of("order").arguments
    registry = SCHEMA.schema_converter.scalar_registry
    convert = plain_arguments(arguments, SCHEMA)
    assert convert is not None
    for values in (coerced.coerced, {**coerced.coerced, "count": 4}, {"order": None}, {}):
        assert convert(values) == convert_arguments(values, arguments, registry, SCHEMA.config)


def test_an_input_may_hold_its_own_kind() -> None:
    """Its variables are graphql-core's, which counts how deep they go; its objects are made here."""
    definitions = parse(DOCUMENTS["nested"]).definitions[0].variable_definitions  # type: ignore[attr-defined]
    assert Coercion(CORE, definitions).of({"nested": {"value": 1}}) is None
    convert = plain_arguments(field_of("nested").arguments, SCHEMA)
    assert convert is not None
    nested = {"value": 1, "inner": {"value": 2, "inner": None}}
    assert convert({"nested": nested}) == {"nested": Nested(value=1, inner=Nested(value=2))}


def test_a_list_is_never_the_defaults_own() -> None:
    """What a resolver does to its list must not be seen by the next request."""
    convert = plain_arguments(field_of("order").arguments, SCHEMA)
    assert convert is not None
    words = ["w"]
    order = {"name": "n", "colour": Colour.RED, "selector": {"id": "a"}, "sizes": [], "words": words}
    made = convert({"order": order})["order"]
    made.words.append("x")
    assert words == ["w"]


@pytest.mark.parametrize("name", ["changed", "renamed"])
def test_what_is_not_plain_is_left_to_strawberry(name: str) -> None:
    """A shape or an extension that only Strawberry knows."""
    assert resolver_of(field_of(name), SCHEMA) is None
    assert resolver_of(field_of("order"), SCHEMA) is not None


def test_an_undefined_variable_type_is_left_to_graphql_core() -> None:
    """There is nothing to be quick about."""
    definitions = parse("query ($x: Nope!) { a }").definitions[0].variable_definitions  # type: ignore[attr-defined]
    assert Coercion(CORE, definitions).of({"x": 1}) is None


def test_every_input_is_reachable() -> None:
    """The schema of this test takes the inputs that it speaks of."""
    query = CORE.query_type
    assert isinstance(query, GraphQLObjectType)
    taken = {get_named_type(a.type).name for f in query.fields.values() for a in f.args.values()}
    assert taken == {"Order", "Int", "Nested", "Changed"}
