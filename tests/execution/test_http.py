"""GraphQL over HTTP, case by case: status, media type, code."""

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import httpx
import pytest

from app.execution.limits import Limits
from app.execution.persisted import ManifestError, PersistedDocuments
from tests.execution.conftest import client_of, serving, until
from tests.execution.shop import Shop

GRAPHQL = "application/graphql-response+json"
JSON = "application/json"


def code_of(response: httpx.Response) -> str:
    """Return the code of the first error."""
    code = response.json()["errors"][0]["extensions"]["code"]
    assert isinstance(code, str)
    return code


# --- answers ----------------------------------------------------------------------------------------------


async def test_post_and_get_answer_the_same(client: httpx.AsyncClient) -> None:
    request = {"query": "query A($n: String!) { hello(name: $n) } query B { hello }", "operationName": "A"}
    posted = await client.post("/graphql", json={**request, "variables": {"n": "ada"}})
    got = await client.get("/graphql", params={**request, "variables": '{"n": "ada"}'})
    assert posted.json() == got.json() == {"data": {"hello": "hello ada"}}
    assert posted.headers["content-type"] == got.headers["content-type"] == "application/json; charset=utf-8"
    assert posted.headers["cache-control"] == "no-store"
    assert posted.headers["vary"] == "Accept, Authorization, X-API-Key"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"query": "{"}, "GRAPHQL_PARSE_FAILED"),
        ({"query": ""}, "GRAPHQL_PARSE_FAILED"),
        ({"query": "{ nope }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "{ hello }", "operationName": "B"}, "OPERATION_RESOLUTION_FAILURE"),
        ({"query": "fragment F on Query { hello }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "query($n: String!) { hello(name: $n) }"}, "BAD_USER_INPUT"),
        ({"query": "query($n: String!) { hello(name: $n) }", "variables": {"n": 1}}, "BAD_USER_INPUT"),
        ({"query": "{ find(by: {number: $n}) }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": '{ find(by: {number: 1, name: "x"}) }'}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "query($by: Selector!) { find(by: $by) }", "variables": {"by": {}}}, "BAD_USER_INPUT"),
    ],
)
async def test_what_is_wrong_with_a_document(client: httpx.AsyncClient, body: Any, code: str) -> None:
    legacy = await client.post("/graphql", json=body, headers={"accept": JSON})
    modern = await client.post("/graphql", json=body, headers={"accept": GRAPHQL})
    assert (legacy.status_code, modern.status_code) == (200, 400)
    assert code_of(legacy) == code_of(modern) == code
    assert "data" not in modern.json()


@pytest.mark.parametrize("accept", [JSON, GRAPHQL, "text/event-stream"])
@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, "BAD_USER_INPUT"),
        (b"{", 400, "BAD_USER_INPUT"),
        (b"null", 400, "BAD_USER_INPUT"),
        (b"1", 400, "BAD_USER_INPUT"),
        (b'[{"query": "{ hello }"}]', 400, "BAD_USER_INPUT"),
        (b"{}", 400, "BAD_USER_INPUT"),
        (b'{"query": null}', 400, "BAD_USER_INPUT"),
        (b'{"query": 1}', 400, "BAD_USER_INPUT"),
        (b'{"query": "{ hello }", "variables": []}', 400, "BAD_USER_INPUT"),
        (b'{"query": "{ hello }", "variables": "{}"}', 400, "BAD_USER_INPUT"),
        (b'{"query": "{ hello }", "operationName": 1}', 400, "BAD_USER_INPUT"),
        (b'{"query": "{ hello }", "extensions": []}', 400, "BAD_USER_INPUT"),
        (b'{"query": "{ hello }", "extensions": {"persistedQuery": 1}}', 400, "BAD_USER_INPUT"),
        (b'{"query": "{ hello(name: \\"\xff\\") }"}', 400, "BAD_USER_INPUT"),
        (b'{"query": "{ hello }", "variables": {"n": "\\ud800"}}', 400, "BAD_USER_INPUT"),
        (b'{"query": "' + b"#" * 300_000 + b'"}', 413, "BODY_TOO_LARGE"),
    ],
)
async def test_what_is_wrong_with_a_request(
    client: httpx.AsyncClient, content: bytes, status: int, code: str, accept: str
) -> None:
    headers = {"content-type": JSON, "accept": accept}
    response = await client.post("/graphql", content=content, headers=headers)
    assert (response.status_code, code_of(response)) == (status, code)
    assert response.headers["content-type"].startswith(GRAPHQL if accept == GRAPHQL else JSON)


async def test_a_body_without_a_length_is_counted_as_it_comes(client: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 100_000

    response = await client.post("/graphql", content=endless(), headers={"content-type": JSON})
    assert (response.status_code, code_of(response)) == (413, "BODY_TOO_LARGE")
    assert sent <= 4


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/json; charset=utf-16",
    ],
)
async def test_only_json_is_read(shop: Shop, client: httpx.AsyncClient, content_type: str | None) -> None:
    headers = {"content-type": content_type} if content_type else {}
    response = await client.post("/graphql", content=b'{"query": "mutation { pay }"}', headers=headers)
    assert (response.status_code, code_of(response)) == (415, "BAD_USER_INPUT")
    assert shop.counters.mutations_begun == 0


@pytest.mark.parametrize("accept", [JSON, GRAPHQL, "text/event-stream"])
async def test_get_changes_nothing(shop: Shop, client: httpx.AsyncClient, accept: str) -> None:
    response = await client.get("/graphql", params={"query": "mutation { pay }"}, headers={"accept": accept})
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert shop.counters.mutations_begun == 0


@pytest.mark.parametrize(
    ("accept", "query", "media"),
    [
        ("*/*", "{ hello }", JSON),
        (f"{GRAPHQL}, {JSON};q=0.9", "{ hello }", GRAPHQL),
        (f"{JSON};q=0.1, {GRAPHQL};q=0.9", "{ hello }", GRAPHQL),
        (f"{JSON}, {GRAPHQL};q=0", "{ hello }", JSON),
        ("text/html, */*;q=0.1", "{ hello }", JSON),
        # urql's query, then its subscription; Apollo's; a list whose best type cannot tell a stream.
        (f"{GRAPHQL}, {JSON}, text/event-stream, multipart/mixed", "{ hello }", GRAPHQL),
        ("text/event-stream, multipart/mixed", "subscription { count }", "text/event-stream"),
        (f"multipart/mixed;boundary=graphql;subscriptionSpec=1.0,{JSON}", "{ hello }", JSON),
        (
            f"multipart/mixed;boundary=graphql;subscriptionSpec=1.0,{JSON}",
            "subscription { count }",
            "multipart/mixed",
        ),
        (f"{JSON}, text/event-stream;q=0.1", "subscription { count }", "text/event-stream"),
        ("text/event-stream", "{ hello }", "text/event-stream"),
    ],
)
async def test_accept_is_ranked(client: httpx.AsyncClient, accept: str, query: str, media: str) -> None:
    response = await client.post("/graphql", json={"query": query}, headers={"accept": accept})
    assert response.status_code == 200
    assert response.headers["content-type"].partition(";")[0] == media


@pytest.mark.parametrize(
    ("accept", "query"),
    [("image/png", "{ hello }"), ("text/html", "{ hello }"), (JSON, "subscription { count }")],
)
async def test_what_cannot_be_told_is_406(client: httpx.AsyncClient, accept: str, query: str) -> None:
    response = await client.post("/graphql", json={"query": query}, headers={"accept": accept})
    assert (response.status_code, code_of(response)) == (406, "BAD_USER_INPUT")


# --- errors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("credential", "status", "code"),
    [("Bearer nobody", 401, "UNAUTHENTICATED"), ("Bearer broken", 500, "INTERNAL_SERVER_ERROR")],
)
async def test_who_proves_nothing_learns_nothing(
    client: httpx.AsyncClient, credential: str, status: int, code: str
) -> None:
    response = await client.post(
        "/graphql", json={"query": "{ hello }"}, headers={"authorization": credential}
    )
    assert (response.status_code, code_of(response)) == (status, code)
    assert (response.headers.get("www-authenticate") == "Bearer") is (status == 401)
    assert "hunter2" not in response.text


@pytest.mark.parametrize("field", ["defect", "wrongType"])
async def test_a_defect_is_masked_and_written_down_once(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, field: str
) -> None:
    caplog.set_level(logging.INFO)
    response = await client.post("/graphql", json={"query": f"{{ {field} }}"}, headers={"accept": GRAPHQL})
    (error,) = response.json()["errors"]
    assert response.status_code == 200
    assert error["path"] == [field]
    assert error["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert error["extensions"]["requestId"] in error["message"]
    assert "hunter2" not in response.text
    assert "secret" not in response.text
    (record,) = [record for record in caplog.records if record.name.startswith("app.")]
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert getattr(record, "request_id", None) == error["extensions"]["requestId"]


@pytest.mark.parametrize(
    "body", [{"query": "{ refused }"}, {"query": "{ nope }"}, {"query": "{"}, {"query": 1}]
)
async def test_a_refusal_is_one_line_without_a_stack(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, body: Any
) -> None:
    caplog.set_level(logging.INFO)
    await client.post("/graphql", json=body)
    (record,) = [record for record in caplog.records if record.name.startswith("app.")]
    assert (record.levelno, record.exc_info) == (logging.INFO, None)


async def test_a_refusal_keeps_its_code_and_extra(client: httpx.AsyncClient) -> None:
    (error,) = (await client.post("/graphql", json={"query": "{ refused }"})).json()["errors"]
    assert (error["message"], error["path"]) == ("Not for you.", ["refused"])
    assert error["extensions"] == {"need": "WALLETS_READ", "code": "FORBIDDEN"}


# --- limits -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("{" + " hello" * 3_000 + "}", "tokens"),
        ("{ " + "item { " * 16 + "name" + " }" * 17, "depth"),
        ("{ item {" + " ".join(f"a{n}: name" for n in range(51)) + "} }", "aliases"),
        ("{ hello " + "@include(if: true) " * 51 + "}", "directives"),
        ("{ " + " ".join(f"a{n}: hello" for n in range(21)) + " }", "root fields"),
        (
            "{ item { ...F11 } } fragment F0 on Item { name } "
            + " ".join(f"fragment F{n} on Item {{ ...F{n - 1} ...F{n - 1} }}" for n in range(1, 12)),
            "number of fields",
        ),
        ("{ item { " + "item { name } " * 21 + "} }", "repeats"),
        ("{ item { " + ("item { " + "item { name } " * 5 + "} ") * 5 + "} }", "repeats"),
        ("{ item { ...A } } fragment A on Item { a: item { ...A } b: item { ...A } }", "repeats"),
        ("{ __schema { types { " + "ofType { " * 20 + "name" + " }" * 23, "introspection depth"),
    ],
)
async def test_what_is_too_large_is_refused_before_it_is_validated(
    client: httpx.AsyncClient, query: str, complaint: str
) -> None:
    response = await client.post("/graphql", json={"query": query})
    assert code_of(response) in {"GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED"}
    assert complaint in response.text
    assert "a1:" not in response.text


async def test_fragments_in_a_circle_end(client: httpx.AsyncClient) -> None:
    query = "{ item { ...A } } fragment A on Item { item { ...B } } fragment B on Item { item { ...A } }"
    assert code_of(await client.post("/graphql", json={"query": query})) == "GRAPHQL_VALIDATION_FAILED"


async def test_introspection_may_be_off_and_suggestions_with_it() -> None:
    async with client_of(Shop.open(introspection=False)) as client:
        for query in ("{ __schema { types { name } } }", '{ __type(name: "Item") { name } }'):
            assert (
                code_of(await client.post("/graphql", json={"query": query})) == "GRAPHQL_VALIDATION_FAILED"
            )
        for query in ("{ helo }", "{ hello(nam: 1) }", "{ find(by: {nmber: 1}) }"):
            assert "mean" not in (await client.post("/graphql", json={"query": query})).text
        variables = {"by": {"nmber": 1}}
        body = {"query": "query($by: Selector!) { find(by: $by) }", "variables": variables}
        assert "mean" not in (await client.post("/graphql", json=body)).text
        assert (await client.post("/graphql", json={"query": "{ __typename }"})).json()["data"]
    async with client_of(Shop.open()) as client:
        assert "Did you mean 'hello'" in (await client.post("/graphql", json={"query": "{ helo }"})).text


async def test_an_overloaded_server_says_so() -> None:
    shop = Shop.open(limits=Limits(operations_in_flight_max=1))
    async with client_of(shop) as client:
        slow = asyncio.create_task(client.post("/graphql", json={"query": "mutation { pay(pauseS: 0.2) }"}))
        await until(lambda: shop.counters.mutations_begun == 1)
        response = await client.post("/graphql", json={"query": "{ hello }"})
        assert (response.status_code, code_of(response)) == (503, "OVERLOADED")
        assert (await slow).status_code == 200


# --- streams ----------------------------------------------------------------------------------------------


async def test_events_are_framed_with_line_feeds(client: httpx.AsyncClient) -> None:
    body = {"query": "subscription { count(to: 1) }"}
    response = await client.post("/graphql", json=body, headers={"accept": "text/event-stream"})
    assert response.text == ':\n\nevent: next\ndata: {"data":{"count":1}}\n\nevent: complete\ndata:\n\n'
    got = await client.get("/graphql", params=body, headers={"accept": "text/event-stream"})
    assert got.text == response.text


async def test_a_silent_stream_is_kept_alive_and_ends_when_its_reader_leaves() -> None:
    shop = Shop.open(limits=Limits(keep_alive_s=0.05))
    query = "subscription { count(pauseS: 30) }"
    async with serving(shop) as address, httpx.AsyncClient(timeout=60) as client:
        request = client.stream(
            "GET", f"http://{address}", params={"query": query}, headers={"accept": "text/event-stream"}
        )
        async with request as response:
            text = ""
            async for part in response.aiter_text():
                text += part
                if text.count(":\n\n") >= 3:
                    break
            assert (shop.counters.sources_open, len(shop.endpoint.streams)) == (1, 1)
        await until(lambda: shop.counters.sources_open == 0 and len(shop.endpoint.streams) == 0)


@pytest.mark.parametrize("cause", ["expiry", "drain"])
async def test_a_stream_ends_without_complete_when_it_must(shop: Shop, address: str, cause: str) -> None:
    headers = {"accept": "text/event-stream"}
    if cause == "expiry":
        headers["authorization"] = "Bearer brief"
    body = {"query": "subscription { count(pauseS: 30) }"}
    async with (
        httpx.AsyncClient(timeout=60) as client,
        client.stream("POST", f"http://{address}", json=body, headers=headers) as response,
    ):
        text = ""
        async for part in response.aiter_text():
            text += part
            if "next" in text and cause == "drain":
                await shop.endpoint.drain()
    assert text.endswith('data: {"data":{"count":1}}\n\n')
    assert shop.counters.sources_open == 0


async def test_a_mutation_told_by_events_ends_though_its_reader_left(shop: Shop, address: str) -> None:
    body = {"query": "mutation { pay(pauseS: 0.01) }"}
    async with httpx.AsyncClient(timeout=60) as client:
        for number in range(1, 31):
            async with client.stream(
                "POST", f"http://{address}", json=body, headers={"accept": "text/event-stream"}
            ):
                await until(partial(shop.has_begun, number), step_s=0.001)
    await until(lambda: shop.endpoint.engine.running == 0 and len(shop.endpoint.streams) == 0)
    assert (shop.counters.mutations_begun, shop.counters.mutations_ended) == (30, 30)


async def test_there_are_only_so_many_streams() -> None:
    shop = Shop.open(limits=Limits(streams_max=0))
    async with client_of(shop) as client:
        response = await client.post(
            "/graphql", json={"query": "subscription { count }"}, headers={"accept": "text/event-stream"}
        )
    assert (response.status_code, code_of(response)) == (503, "OVERLOADED")


# --- persisted documents ----------------------------------------------------------------------------------


def persisted(text: str) -> dict[str, Any]:
    """Return the extensions that name a text."""
    return {"persistedQuery": {"version": 1, "sha256Hash": hashlib.sha256(text.encode()).hexdigest()}}


async def test_automatic_persisted_queries_by_post_and_get(client: httpx.AsyncClient) -> None:
    extensions = persisted("{ hello }")
    unknown = await client.post("/graphql", json={"extensions": extensions})
    assert (unknown.status_code, code_of(unknown)) == (200, "PERSISTED_QUERY_NOT_FOUND")
    assert unknown.json()["errors"][0]["message"] == "PersistedQueryNotFound"
    lie = await client.post("/graphql", json={"query": "{ later }", "extensions": extensions})
    assert (lie.status_code, code_of(lie)) == (400, "BAD_USER_INPUT")
    told = await client.post("/graphql", json={"query": "{ hello }", "extensions": extensions})
    known = await client.get("/graphql", params={"extensions": json.dumps(extensions)})
    assert told.json() == known.json() == {"data": {"hello": "hello world"}}


async def test_only_trusted_documents_get_in_if_the_store_says_so() -> None:
    text = "{ hello }"
    key = persisted(text)["persistedQuery"]["sha256Hash"]
    documents = PersistedDocuments(trusted={key: text}, only_trusted=True)
    async with client_of(Shop.open(persisted=documents)) as client:
        for body in ({"extensions": persisted(text)}, {"query": text}):
            assert (await client.post("/graphql", json=body)).json() == {"data": {"hello": "hello world"}}
        for extensions in (None, persisted("{ later }")):
            stranger = {"query": "{ later }", "extensions": extensions}
            response = await client.post("/graphql", json=stranger)
            assert (response.status_code, code_of(response)) == (403, "FORBIDDEN")


def test_a_manifest_that_lies_is_refused_at_start() -> None:
    with pytest.raises(ManifestError, match="not the SHA-256"):
        PersistedDocuments(trusted={"0" * 64: "{ hello }"})
