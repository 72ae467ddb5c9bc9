"""What is logged, and above all what is not."""

import io
import json
import logging
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket
from structlog.testing import capture_logs

from app.domain.access import Principal, PrincipalKind
from app.front import HEADERS, Front
from app.observability import (
    OftenUsedLogger,
    configure_logging,
    current_request_id,
    masked,
    new_request_id,
)
from tests.issuers import sign


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    named = {name: logging.getLogger(name) for name in ("uvicorn.access", "httpx", "tortoise.db_client")}
    before = {name: (logger.propagate, logger.level) for name, logger in named.items()}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, logger in named.items():
        logger.propagate = before[name][0]
        logger.setLevel(before[name][1])
    structlog.reset_defaults()


@pytest.fixture
def out() -> io.StringIO:
    stream = io.StringIO()
    configure_logging(json=True, stream=stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


# --- The form -----------------------------------------------------------------------------------------------


def test_own_and_foreign_lines_have_one_form(out: io.StringIO) -> None:
    structlog.get_logger("app").info("wallet_frozen", wallets=1)
    logging.getLogger("uvicorn.error").warning("Shutting %s", "down")
    logging.getLogger("tortoise").info("ready", extra={"models": 3, "color_message": "\x1b[1mready"})
    own, foreign, extra = lines(out)
    assert (own["event"], own["wallets"], own["level"]) == ("wallet_frozen", 1, "info")
    assert (foreign["event"], foreign["level"], foreign["logger"]) == (
        "Shutting down",
        "warning",
        "uvicorn.error",
    )
    assert extra["models"] == 3
    assert "color_message" not in extra, "uvicorn says it once more for terminals"
    assert {"timestamp", "event", "level"} <= set(own) & set(foreign)


def test_the_level_holds_for_all(out: io.StringIO) -> None:
    configure_logging(json=True, level="warning", stream=out)
    structlog.get_logger("app").info("quiet")
    logging.getLogger("uvicorn").info("quiet")
    structlog.get_logger("app").warning("loud")
    assert [line["event"] for line in lines(out)] == ["loud"]


def test_a_logger_that_is_kept_follows_the_configuration(out: io.StringIO) -> None:
    logger, other = OftenUsedLogger(), io.StringIO()
    logger.now.info("first")
    assert logger.now is logger.now
    configure_logging(json=True, stream=other)
    logger.now.info("second")
    configure_logging(json=True, level="warning", stream=other)
    logger.now.info("third")
    with capture_logs() as captured:
        logger.now.warning("fourth")
    assert [line["event"] for line in lines(out)] == ["first"]
    assert [line["event"] for line in lines(other)] == ["second"]
    assert [line["event"] for line in captured] == ["fourth"]


def test_uvicorns_own_access_lines_are_off(out: io.StringIO) -> None:
    logging.getLogger("uvicorn.access").info('127.0.0.1 - "GET /graphql?token=x HTTP/1.1" 200')
    assert lines(out) == []


def test_configuring_twice_writes_once(out: io.StringIO) -> None:
    configure_logging(json=True, stream=out)
    logging.getLogger("tortoise").info("once")
    assert len(lines(out)) == 1


@pytest.mark.parametrize("as_json", [True, False])
def test_a_stack_is_logged_without_its_variables(as_json: bool) -> None:
    stream = io.StringIO()
    configure_logging(json=as_json, stream=stream)
    token = sign({"sub": "c1"})
    try:
        int(f"{token} of anna@store.example")
    except ValueError:
        structlog.get_logger("app").exception("defect")
        logging.getLogger("app").exception("defect")
    text = stream.getvalue()
    assert text.count("ValueError") >= 2
    assert token not in text
    assert "anna@" not in text


@pytest.mark.parametrize(
    "fields",
    [
        {"authorization": "Basic abcdefgh"},
        {"headers": {"Authorization": "Bearer abcdefgh"}},
        {"message": "Authorization: Bearer abcdefgh"},
        {"password": "abcdefgh"},
        {"client_secret": "abcdefgh"},
        {"items": [{"access_token": "abcdefgh"}]},
        {"apiKey": "abcdefgh"},
        {"url": "postgres://coffer:abcdefgh@localhost/coffer"},
        {"a": {"b": {"c": {"d": {"e": {"f": "abcdefgh"}}}}}},
        {"email": "abcdefgh"},
        {"note": "by abcdefgh@store.example"},
        {"error": ValueError("of abcdefgh@store.example")},
    ],
)
def test_masks_what_must_not_be_in_a_log(out: io.StringIO, fields: dict[str, object]) -> None:
    structlog.get_logger("app").info("event", **fields)
    logging.getLogger("library").warning("event", extra={"given": fields})
    own, foreign = lines(out)
    assert "abcdefgh" not in str(own)
    assert "abcdefgh" not in str(foreign["given"])


def test_masks_tokens_in_the_messages_of_libraries(out: io.StringIO) -> None:
    token = sign({"sub": "c1"})
    logging.getLogger("library").warning("cannot read %s for anna@store.example", token)
    logging.getLogger("library").warning("header %r", {"authorization": f"Bearer {token}"})
    assert token not in out.getvalue()
    assert "anna" not in out.getvalue()


def test_masks_tokens_that_were_cut() -> None:
    token = sign({"sub": "c1"})
    _, payload, signature = token.split(".")
    for text in (token, token[: -len(signature) - 1], token[: -len(signature) - 5]):
        assert payload[:-5] not in masked(f"/reset/{text}")


def test_leaves_plain_words_alone() -> None:
    for text in ("issuer_keys_fetched", "https://id.store.example/keys", "3 bearers", "a@b", "2030-01-01"):
        assert masked(text) == text


def test_masking_takes_no_long_time() -> None:
    # Each of these makes a careless expression look at every pair of places.
    for text in (
        "a" * 20_000,
        "a." * 10_000,
        "eyJ" * 7_000,
        "@" * 20_000,
        "://" * 7_000,
        "://" + "a:" * 10_000,
    ):
        started_s = time.process_time()
        masked(text)
        assert time.process_time() - started_s < 0.25


# --- Request ids --------------------------------------------------------------------------------------------


async def echo(request: Request) -> PlainTextResponse:
    structlog.get_logger("app").info("inside")
    assert request.state.request_id == current_request_id()
    request.state.principal = Principal(PrincipalKind.CUSTOMER, "customer-one")
    return PlainTextResponse(current_request_id() or "")


async def fail(_request: Request) -> PlainTextResponse:
    raise RuntimeError("a defect")


async def own(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("", headers={"X-Request-ID": "its own", "X-Frame-Options": "SAMEORIGIN"})


async def stream(_request: Request) -> StreamingResponse:
    return StreamingResponse(iter(["a", "b"]))


async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    websocket.state.principal = Principal(PrincipalKind.STAFF, "s1")
    if await websocket.receive_text() == "close":
        await websocket.close(4403)
    else:
        await websocket.receive()


async def refuse(websocket: WebSocket) -> None:
    await websocket.close(4401)


APP = Starlette(
    routes=[
        Route("/echo", echo, methods=["GET", "POST"]),
        Route("/fail", fail),
        Route("/own", own),
        Route("/stream", stream),
        Route("/{rest:path}", echo),
        WebSocketRoute("/socket", socket),
        WebSocketRoute("/refuse", refuse),
    ],
    middleware=[
        Middleware(Front, quiet_paths=frozenset({"/health"})),
    ],
)


@pytest.fixture
async def client(out: io.StringIO) -> AsyncIterator[httpx.AsyncClient]:
    del out
    transport = httpx.ASGITransport(app=APP, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://coffer.example") as opened:
        yield opened


async def connect(
    path: str, *messages: Message, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> list[Message]:
    """Play a websocket's messages to the application, by hand; return what it sent."""
    sent: list[Message] = []
    waiting = iter(({"type": "websocket.connect"}, *messages))

    async def receive() -> Message:
        return next(waiting)

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "websocket",
        "path": path,
        "headers": list(headers),
        "query_string": b"token=hidden",
    }
    await APP(scope, receive, send)
    return sent


def access(stream: io.StringIO) -> list[dict[str, Any]]:
    return [line for line in lines(stream) if line["event"] == "request"]


@pytest.mark.parametrize("given", ["abc", "A-1_b.2", "x" * 64])
async def test_keeps_a_sane_request_id(client: httpx.AsyncClient, out: io.StringIO, given: str) -> None:
    response = await client.get("/echo", headers={"X-Request-ID": given})
    assert response.headers["x-request-id"] == response.text == given
    assert {line["request_id"] for line in lines(out)} == {given}


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", 'a"b', "a\x1b[31m", "ä", "a;b", "<a>", "a\t"])
async def test_replaces_any_other_request_id(client: httpx.AsyncClient, given: str) -> None:
    response = await client.get("/echo", headers={b"x-request-id": given.encode("latin-1")})
    assert response.headers["x-request-id"] == response.text
    assert len(response.text) == 32
    assert response.text.isalnum()


async def test_replaces_two_request_ids(client: httpx.AsyncClient) -> None:
    response = await client.get("/echo", headers=[("x-request-id", "a"), ("x-request-id", "b")])
    assert len(response.text) == 32


async def test_each_request_has_its_own_id(client: httpx.AsyncClient) -> None:
    assert (await client.get("/echo")).text != (await client.get("/echo")).text
    assert current_request_id() is None
    assert new_request_id() < new_request_id()


async def test_an_answer_keeps_its_headers_but_for_the_id(client: httpx.AsyncClient) -> None:
    answer = await client.get("/own", headers={"x-request-id": "abc"})
    assert answer.headers.get_list("x-request-id") == ["abc"]
    assert answer.headers.get_list("x-frame-options") == ["SAMEORIGIN"]
    assert {name: answer.headers.get_list(name) for name in HEADERS} == {
        name: [value] for name, value in HEADERS.items()
    } | {"x-frame-options": ["SAMEORIGIN"]}


TEXT_CLOSE: Message = {"type": "websocket.receive", "text": "close"}
TEXT_WAIT: Message = {"type": "websocket.receive", "text": "wait"}
GONE: Message = {"type": "websocket.disconnect", "code": 1001}


async def test_a_socket_has_a_request_id(out: io.StringIO) -> None:
    sent = await connect("/socket", TEXT_CLOSE, headers=((b"x-request-id", b"abc"),))
    assert (b"x-request-id", b"abc") in sent[0]["headers"]
    assert access(out)[0]["request_id"] == "abc"


# --- Access lines -------------------------------------------------------------------------------------------


async def test_one_access_line_per_request(client: httpx.AsyncClient, out: io.StringIO) -> None:
    await client.post("/echo?token=hidden", content=b"hidden", headers={"Authorization": "Bearer hidden"})
    (line,) = access(out)
    assert {key: line[key] for key in ("level", "method", "path", "status", "principal")} == {
        "level": "info",
        "method": "POST",
        "path": "/echo",
        "status": 200,
        "principal": "CUSTOMER",
    }
    assert line["duration_ms"] >= 0
    assert set(line) == {
        "event", "level", "timestamp", "request_id", "method", "path", "status", "duration_ms", "principal",
    }  # fmt: skip
    assert "hidden" not in out.getvalue()
    assert "customer-one" not in out.getvalue()


async def test_access_lines_of_defects_and_streams(client: httpx.AsyncClient, out: io.StringIO) -> None:
    assert (await client.get("/fail")).status_code == 500
    assert (await client.get("/stream")).text == "ab"
    assert [(line["path"], line["status"], line["principal"]) for line in access(out)] == [
        ("/fail", 500, "ANONYMOUS"),
        ("/stream", 200, "ANONYMOUS"),
    ]


async def test_quiet_paths_are_for_debugging_only(client: httpx.AsyncClient, out: io.StringIO) -> None:
    await client.get("/health")
    assert access(out) == []
    configure_logging(json=True, level="debug", stream=out)
    await client.get("/health")
    assert [line["level"] for line in access(out)] == ["debug"]


async def test_a_path_cannot_write_lines_of_its_own(client: httpx.AsyncClient) -> None:
    stream = io.StringIO()
    configure_logging(json=False, stream=stream)
    await client.get("/a%0A2030-01-01 [error] forged%1B[31m")
    forged = [line for line in stream.getvalue().splitlines() if "forged" in line]
    assert len(forged) == 1
    assert "\x1b" not in stream.getvalue()


async def test_odd_characters_of_a_path_are_written_out(client: httpx.AsyncClient, out: io.StringIO) -> None:
    await client.get("/a%0Ab%1B%C3%A4")
    assert access(out)[0]["path"] == "/a\\nb\\x1b\\xe4"


async def test_a_long_path_is_cut(client: httpx.AsyncClient, out: io.StringIO) -> None:
    await client.get("/" + "a" * 5000)
    assert len(access(out)[0]["path"]) == 200


@pytest.mark.parametrize(
    ("path", "messages", "code", "principal"),
    [
        ("/socket", [TEXT_CLOSE], 4403, "STAFF"),
        ("/socket", [TEXT_WAIT, GONE], 1001, "STAFF"),
        ("/refuse", [], 4401, "ANONYMOUS"),
    ],
)
async def test_a_socket_is_one_line_when_it_closes(
    out: io.StringIO, path: str, messages: list[Message], code: int, principal: str
) -> None:
    await connect(path, *messages)
    (line,) = access(out)
    assert (line["method"], line["path"], line["status"]) == ("WEBSOCKET", path, code)
    assert line["principal"] == principal
    assert "hidden" not in out.getvalue()


async def test_a_caller_who_hangs_up_is_logged(out: io.StringIO) -> None:
    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    await Front(silent)(scope, receive, send)
    assert access(out)[0]["status"] == 499


async def test_other_scopes_pass() -> None:
    seen: list[str] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    async def receive() -> Message:
        return {}

    async def send(message: Message) -> None:
        del message

    await Front(inner)({"type": "lifespan"}, receive, send)
    assert seen == ["lifespan"]
