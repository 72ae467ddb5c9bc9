"""What graphql-cop looks for, on the server as production runs it: what a scanner finds is by design, or is nothing.

graphql-cop itself is not on PyPI (a placeholder of its name is), so its checks are written down here, one by one.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.e2e.store import open_store

pytestmark = pytest.mark.slow

CIRCULAR = """
    query { __schema { types { fields { type { fields { type { fields { type { fields { type { fields {
      type { fields { type { name } } } } } } } } } } } } } } }
"""
INTROSPECTION = "query { __schema { types { name fields { name } } } }"
TYPENAME = "query cop { __typename }"
MUTATION = (
    'mutation { freezeWallet(input: {wallet: {storeCustomerId: "a"}, note: "b"}) { userErrors { code } } }'
)


@pytest.fixture
def dialect() -> str:
    return "sqlite"


@pytest.fixture
async def scanner(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Nobody in particular, at a server in production."""
    async with (
        open_store(database_url, environment="production") as store,
        httpx.AsyncClient(base_url=store.origin, headers={"accept": "*/*"}, timeout=60) as client,
    ):
        yield client


async def post(scanner: httpx.AsyncClient, query: Any, **more: Any) -> dict[str, Any]:
    answer = await scanner.post("/graphql", json={"query": query, **more})
    body: dict[str, Any] = answer.json()
    return body


def codes(body: dict[str, Any]) -> list[str]:
    return [error["extensions"]["code"] for error in body.get("errors", ())]


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("alias overloading", "query { " + " ".join(f"a{n}: __typename" for n in range(101)) + " }"),
        ("directive overloading", "query { __typename " + "@aa" * 10 + " }"),
        ("directive overloading by one that exists", "query { __typename " + "@skip(if: false)" * 60 + " }"),
        ("field duplication", "query { " + "__typename " * 500 + "}"),
        ("circular introspection", CIRCULAR),
        ("introspection", INTROSPECTION),
        ("token flood", "query { " + "__typename " * 10_000 + "}"),
    ],
)
async def test_what_is_overloaded_is_refused(scanner: httpx.AsyncClient, name: str, query: str) -> None:
    body = await post(scanner, query)
    assert "data" not in body, name
    assert set(codes(body)) <= {"GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED"}, body


async def test_arrays_are_not_batches(scanner: httpx.AsyncClient) -> None:
    answer = await scanner.post("/graphql", json=[{"query": TYPENAME}] * 10)
    assert answer.status_code == 400
    assert codes(answer.json()) == ["BAD_USER_INPUT"]


async def test_names_are_not_suggested(scanner: httpx.AsyncClient) -> None:
    for query in (
        "query { viwer { kind } }",
        "query { viewer { knd } }",
        "query { wallet(bye: 1) { id } }",
        "{ wallets(sort: {field: BALANC}) { totalCount } }",
        "query { viewer { ... on Viewr { kind } } }",
    ):
        body = await post(scanner, query)
        assert "errors" in body
        assert "did you mean" not in json.dumps(body).lower(), body


async def test_there_is_no_page_for_people(scanner: httpx.AsyncClient) -> None:
    for path in ("/graphql", "/", "/graphiql", "/playground", "/console"):
        answer = await scanner.get(path, headers={"accept": "text/html"})
        assert answer.status_code in {400, 404, 406}, path
        assert "graphiql" not in answer.text.lower()
        assert "playground" not in answer.text.lower()


async def test_nothing_is_traced(scanner: httpx.AsyncClient) -> None:
    for headers in ({}, {"x-apollo-tracing": "1"}, {"apollo-federation-include-trace": "ftv1"}):
        answer = await scanner.post("/graphql", json={"query": TYPENAME}, headers=headers)
        assert {"tracing", "ftv1"}.isdisjoint(answer.json().get("extensions", {}))
    broken = await scanner.post("/graphql", content=b"{", headers={"content-type": "application/json"})
    assert {"stacktrace", "exception", "trace"}.isdisjoint(broken.json()["errors"][0]["extensions"])


async def test_a_link_or_a_form_changes_nothing(scanner: httpx.AsyncClient) -> None:
    """A page of another origin can send these without asking the browser first."""
    assert (await scanner.get("/graphql", params={"query": MUTATION})).status_code == 405
    for content_type in (
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
    ):
        for query in (TYPENAME, MUTATION):
            answer = await scanner.post(
                "/graphql", content=f"query={query}", headers={"content-type": content_type}
            )
            assert answer.status_code == 415, content_type
    answer = await scanner.post("/graphql", content=json.dumps({"query": MUTATION}))
    assert answer.status_code == 415


async def test_queries_by_link_are_by_design(scanner: httpx.AsyncClient) -> None:
    """graphql-cop calls it a finding. They read only, need the header with the token, and are never cached."""
    answer = await scanner.get("/graphql", params={"query": TYPENAME})
    assert answer.json() == {"data": {"__typename": "Query"}}
    assert answer.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in answer.headers


async def test_unhandled_words_break_nothing(scanner: httpx.AsyncClient) -> None:
    for query in ("qwerty cop { abc }", "query cop { __typename ", "", None, 5, [TYPENAME], {"a": 1}):
        answer = await scanner.post("/graphql", json={"query": query})
        assert answer.status_code in {200, 400}, query
        assert "data" not in answer.json()
        assert "INTERNAL_SERVER_ERROR" not in codes(answer.json())
