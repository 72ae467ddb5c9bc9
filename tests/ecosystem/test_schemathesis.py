"""Schemathesis makes up operations for the whole schema, and plays them as an administrator: nothing may break.

200 examples; `pytest --examples=2000` plays more.
"""

import json
from collections.abc import Callable
from typing import Any
from urllib.request import Request, urlopen

import hypothesis
import pytest
import schemathesis
from graphql import (
    GraphQLInputObjectType,
    NameNode,
    NullValueNode,
    ObjectFieldNode,
    ObjectValueNode,
    StringValueNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    get_named_type,
    parse,
    print_ast,
    visit,
)
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.graphql import nodes

from app.execution.documents import core_schema
from app.schema.schema import schema as api
from tests.ecosystem.conftest import SCHEMA
from tests.server import ServerProcess, token

pytestmark = pytest.mark.slow
CORE = core_schema(api)

# What the scalars of the schema look like, mostly well-formed; hypothesis-graphql knows the built-in ones.
decimals = st.one_of(
    st.decimals(min_value=-10, max_value=10_000, places=2).map(str),
    st.sampled_from(
        ["0", "-0.00", "1e3", "NaN", "Infinity", "99999999999999999999", "0.001", "", "١٢", "1_000", "+5"]
    ),
)
times = st.one_of(
    st.datetimes().map(lambda at: f"{at.isoformat()}Z"),
    st.sampled_from(
        ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999+00:00", "9999-12-31T23:59:59-14:00", "now", ""]
    ),
)
currencies = st.sampled_from(["USD", "EUR", "JPY", "usd", "XXX", "", "U\u0000D"])
counts = st.one_of(
    st.integers(min_value=-(2**53), max_value=2**53),
    st.sampled_from([0, 1, -1, 2**53 - 1, 2**53, 2**63, -(2**70)]),
)


@pytest.fixture
def examples(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--examples"))


@pytest.fixture
def server(demo_database_url: str, server_on: Callable[..., ServerProcess]) -> ServerProcess:
    return server_on(demo_database_url, batch_size_max=64, cost_restored_per_s=0)


class Administrator:
    """Asks the server, with everything that may be asked."""

    def __init__(self, server: ServerProcess) -> None:
        self.url = f"{server.url}/graphql"
        self._headers = {
            "authorization": f"Bearer {token('admin', 'administrator')}",
            "content-type": "application/json",
        }

    def ask(self, query: str) -> tuple[int, Any]:
        request = Request(self.url, json.dumps({"query": query}).encode(), self._headers)  # noqa: S310 - our own
        try:
            with urlopen(request, timeout=60) as answer:  # noqa: S310
                return answer.status, json.load(answer)
        except OSError as error:
            if not hasattr(error, "code"):
                raise
            return error.code, json.load(error)  # type: ignore[arg-type]


@pytest.fixture
def ids(server: ServerProcess) -> list[str]:
    """Ids of every kind of object that the demo's store has."""
    _, body = Administrator(server).ask(
        "{ wallets(first: 5) { nodes { id customer { id } transactions(first: 2) { nodes { id } } } }"
        "  withdrawals(first: 20) { nodes { id } } }"
    )
    wallets = body["data"]["wallets"]["nodes"]
    return [
        *(wallet["id"] for wallet in wallets),
        *(wallet["customer"]["id"] for wallet in wallets),
        *(row["id"] for wallet in wallets for row in wallet["transactions"]["nodes"]),
        *(row["id"] for row in body["data"]["withdrawals"]["nodes"]),
    ]


class Choose(Visitor):
    """Makes inputs that take exactly one field take one: the generator knows no `@oneOf`."""

    def __init__(self, types: TypeInfo, ids: list[str]) -> None:
        super().__init__()
        self._types = types
        self._ids = ids

    def enter_object_value(self, node: ObjectValueNode, *_: object) -> ObjectValueNode | None:
        type_ = get_named_type(self._types.get_input_type())
        if not isinstance(type_, GraphQLInputObjectType) or not type_.is_one_of:
            return None
        named = next((field for field in node.fields if not isinstance(field.value, NullValueNode)), None)
        if named is None:
            value = StringValueNode(value=self._ids[len(node.fields) % len(self._ids)])
            named = ObjectFieldNode(name=NameNode(value="id"), value=value)
        return ObjectValueNode(fields=(named,))


def chosen(query: str, ids: list[str]) -> str:
    """Return the operation with its `@oneOf` inputs put right."""
    types = TypeInfo(CORE)
    return print_ast(visit(parse(query), TypeInfoVisitor(types, Choose(types, ids))))


def test_no_server_error(server: ServerProcess, ids: list[str], examples: int) -> None:
    schemathesis.graphql.scalar("Decimal", decimals.map(nodes.String))
    schemathesis.graphql.scalar("DateTime", times.map(nodes.String))
    schemathesis.graphql.scalar("Date", st.dates().map(str).map(nodes.String))
    schemathesis.graphql.scalar("CurrencyCode", currencies.map(nodes.String))
    schemathesis.graphql.scalar("BigInt", counts.map(nodes.Int))
    schemathesis.graphql.scalar("ID", st.one_of(st.sampled_from(ids), st.text(max_size=40)).map(nodes.String))
    administrator = Administrator(server)
    schema = schemathesis.graphql.from_path(SCHEMA)
    schema.config.update(base_url=server.url)
    played: dict[str, int] = {}

    @hypothesis.given(case=schema.as_strategy())
    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
    )
    def play(case: Case[Any]) -> None:
        query = chosen(str(case.body), ids)
        status, body = administrator.ask(query)
        codes = [error["extensions"]["code"] for error in body.get("errors", ())]
        for code in codes or ["ok"]:
            played[code] = played.get(code, 0) + 1
        assert status < 500, (query, body)
        assert "INTERNAL_SERVER_ERROR" not in codes, (query, body)

    play()
    assert server.errors() == []
    _, body = administrator.ask("{ verifyLedger { isClean faults { message } } }")
    assert body["data"]["verifyLedger"] == {"isClean": True, "faults": []}
    assert played["ok"] > examples // 20, played
