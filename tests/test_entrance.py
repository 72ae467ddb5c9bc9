"""Requests that are there whole are answered as the application answers them by messages, however they come."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from hypothesis import given, settings, strategies as st
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import HTTPConnection
from uvicorn.server import ServerState

from app import front, serving
from app.execution.errors import ApiError, ErrorCode, RefusedError
from app.execution.limits import Limits
from app.execution.requests import GraphQLRequest
from app.front import ENTRANCES, Application, Front
from app.serving import BoundedProtocol
from tests.execution.shop import Shop
from tests.test_serving import Wire

PATIENCE_S = 10.0
ID = (b"x-request-id", b"abc-1")
JSON_TYPE = (b"content-type", b"application/json")


def http(
    content: object,
    *headers: tuple[bytes, bytes],
    head: bytes = b"POST /graphql HTTP/1.1",
    type_: bool = True,
) -> bytes:
    """Return a request."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    own = [
        (b"host", b"shop"),
        ID,
        *([JSON_TYPE] if type_ else []),
        *headers,
        (b"content-length", b"%d" % len(text)),
    ]
    return b"\r\n".join([head, *(b"%b: %b" % header for header in own), b"", text])


HELLO = http({"query": "{ hello }"})


def application(shop: Shop, *more: Middleware) -> Application:
    """Return the shop's application, as the program makes its own."""
    return Application(
        at_once={"/graphql": shop.endpoint.door},
        routes=shop.endpoint.routes("/graphql"),
        middleware=[Middleware(Front), *more],
    )


class Connection:
    """A connection to an application, and what is written to it."""

    def __init__(self, app: Application, *, enters: bool, **options: Any) -> None:
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", **options)
        config.load()
        self.state = ServerState()
        self.state.default_headers = [(b"date", b"Sun, 22 Nov 2026 09:00:00 GMT")]
        self.entered = 0
        entrances = {path: self._counting(enter) for path, enter in app.entrances.items()} if enters else {}
        self.protocol = BoundedProtocol(config, self.state, {ENTRANCES: entrances})
        self.wire = Wire()
        self.protocol.connection_made(self.wire)

    def _counting(self, enter: Any) -> Any:
        def counting(*args: Any) -> bool:
            entered: bool = enter(*args)
            self.entered += entered
            return entered

        return counting

    async def said(self, answers: int) -> bytes:
        """Return what was written once so many answers were, or the connection is closed."""
        async with asyncio.timeout(PATIENCE_S):
            while self.wire.written.count(b"HTTP/1.1 ") < answers and not self.wire.closed:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0)
            while self.state.tasks:  # noqa: ASYNC110 - nor have tasks that end
                await asyncio.sleep(0)
        return self.wire.written


@asynccontextmanager
async def connected(
    shop: Shop, *, app: Application | None = None, enters: bool = True, **options: Any
) -> AsyncIterator[Connection]:
    """Connect to a shop while the block runs."""
    connection = Connection(app or application(shop), enters=enters, **options)
    try:
        yield connection
    finally:
        connection.protocol.connection_lost(None)


def taken_apart(written: bytes) -> list[Any]:
    """Return answers as status, headers in order of their names, and body."""
    found = []
    while written:
        head, _, rest = written.partition(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        headers = sorted(lines)
        length = next(
            (int(line.split(b": ")[1]) for line in lines if line.startswith(b"content-length")), len(rest)
        )
        found.append((status, headers, rest[:length]))
        written = rest[length:]
    return found


async def answered(
    request: bytes, *, enters: bool, answers: int = 1, entered: int | None = None, **limits: Any
) -> tuple[list[Any], bool]:
    """Ask a new shop; return its answers, and whether the connection was closed."""
    async with connected(Shop.open(limits=Limits(**limits)), enters=enters) as connection:
        connection.protocol.data_received(request)
        written = await connection.said(answers)
        if enters and entered is not None:
            assert connection.entered == entered
        return taken_apart(written), connection.wire.closed


@pytest.mark.parametrize(
    "request_",
    [
        HELLO,
        http({"query": "mutation { pay }"}),
        http({"query": "{ nope }"}),
        http({"query": "{ hello }"}, (b"accept", b"application/graphql-response+json")),
        http({"query": "{ nope }"}, (b"accept", b"application/graphql-response+json")),
        http({"query": "{ hello }"}, (b"accept", b"image/png")),
        http({"query": "subscription { closed }"}),
        http(b"{"),
        http(b"[]"),
        http({"query": "{ hello }"}, type_=False),
        http({"query": "{ hello }"}, (b"content-type", b"text/plain"), type_=False),
        http({"query": "#" * 20_000}),
        http({"query": "{ hello }"}, (b"x-graphql-cost", b"1")),
        http({"query": "{ hello }"}, (b"authorization", b"Bearer ada")),
    ],
)
async def test_an_answer_is_the_same_either_way(request_: bytes) -> None:
    limits: dict[str, Any] = {"body_bytes_max": 10_000}
    expected = await answered(request_, enters=False, **limits)
    assert await answered(request_, enters=True, entered=1, **limits) == expected
    assert len(expected[0]) == 1


@pytest.mark.parametrize(
    "request_",
    [
        http({"query": "{ hello }"}, (b"authorization", b"Bearer nobody")),
        http({"query": "{ hello }"}, (b"accept", b"text/event-stream")),
        http({"query": "{ hello }"}, (b"connection", b"close")),
        http({"query": "{ hello }"}, head=b"POST /graphql HTTP/1.0"),
        http({"query": "{ hello }"}, head=b"POST /graphql?a=b HTTP/1.1"),
        http({"query": "{ hello }"}, head=b"POST /elsewhere HTTP/1.1"),
        http({"query": "{ hello }"}, head=b"PUT /graphql HTTP/1.1"),
        http({"query": "#" * 70_000}),
        b"GET /graphql?query={hello} HTTP/1.1\r\nhost: shop\r\nx-request-id: abc-1\r\n\r\n",
    ],
)
async def test_what_is_out_of_the_ordinary_goes_by_messages(request_: bytes) -> None:
    expected = await answered(request_, enters=False)
    assert await answered(request_, enters=True, entered=0) == expected


SITES = [
    [],
    [(b"origin", b"https://shop.example")],
    [(b"origin", b"https://other.example")],
    [(b"origin", b"null")],
    [(b"origin", b"")],
    [(b"origin", b"https://shop.example"), (b"origin", b"https://other.example")],
]


@pytest.mark.parametrize(
    "options",
    [
        {"allow_origins": ["https://shop.example", "https://other.example.org"]},
        {"allow_origins": ["https://shop.example", "null"], "expose_headers": ["retry-after"]},
        {"allow_origins": ["*"], "expose_headers": ["retry-after"]},
        {"allow_origins": ["*"], "allow_credentials": True},
        {"allow_origin_regex": r"https://.*\.example"},
    ],
)
async def test_pages_of_other_sites_are_told_what_cors_tells(options: dict[str, Any]) -> None:
    found: dict[bool, list[Any]] = {}
    for enters in (False, True):
        shop = Shop.open()
        app = application(shop, Middleware(CORSMiddleware, **options))
        async with connected(shop, app=app, enters=enters) as connection:
            # Each of them twice: the second time it is remembered.
            for asked, site in enumerate([*SITES, *SITES], 1):
                document = "{ hello }" if asked % 2 else "{ nope }"
                connection.protocol.data_received(http({"query": document}, *site))
                await connection.said(asked)
            found[enters] = taken_apart(connection.wire.written)
            assert connection.entered == (2 * len(SITES) if enters else 0)
    assert found[True] == found[False]


async def test_what_is_remembered_of_other_sites_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "SHARED_MAX", 2)
    told: list[tuple[front.Header, ...]] = []

    def whole(scope: Any, body: bytes, reply: front.Reply) -> bool:
        reply(200, ((b"vary", b"accept"),), b"")
        return True

    sites = [b"https://%d.example" % n for n in range(6)]
    cors = CORSMiddleware(front.nothing, allow_origins=[site.decode() for site in sites])
    across = front.Across(cors, whole)
    for site in [*sites, *sites]:
        across({"headers": [(b"origin", site)]}, b"", lambda status, headers, body: told.append(headers))
        assert told[-1] == ((b"vary", b"accept, Origin"), (b"access-control-allow-origin", site))
        assert across._completed.cache_info().currsize <= 2


async def test_middleware_that_nobody_knows_is_not_passed_by() -> None:
    shop = Shop.open()
    app = application(shop, Middleware(GZipMiddleware, minimum_size=1))
    async with connected(shop, app=app) as connection:
        connection.protocol.data_received(http({"query": "{ hello }"}, (b"accept-encoding", b"gzip")))
        assert b"content-encoding: gzip" in await connection.said(1)
        assert connection.entered == 0


def test_what_waits_is_not_run_at_once() -> None:
    with pytest.raises(RuntimeError):
        front.run_at_once(asyncio.sleep(0))


@pytest.mark.parametrize(
    ("trusted", "forwarded", "caller"),
    [
        ("127.0.0.1", [b"192.0.2.1"], ("192.0.2.1", "https")),
        ("127.0.0.1", [b"198.51.100.7, 192.0.2.1"], ("192.0.2.1", "https")),
        ("127.0.0.1,192.0.2.1", [b"198.51.100.7", b"192.0.2.1"], ("198.51.100.7", "https")),
        ("*", [b"198.51.100.7, 192.0.2.1"], ("198.51.100.7", "https")),
        ("10.0.0.0/8", [b"192.0.2.1"], ("127.0.0.1", "http")),
    ],
)
async def test_a_trusted_proxy_names_the_caller(
    trusted: str, forwarded: list[bytes], caller: tuple[str, str]
) -> None:
    seen: list[tuple[str, str]] = []

    def request_id(asked: HTTPConnection) -> str:
        assert asked.client is not None
        seen.append((asked.client.host, asked.url.scheme))
        return "abc-1"

    for enters in (False, True):
        shop = Shop.open(get_request_id=request_id)
        headers = [(b"x-forwarded-for", value) for value in forwarded]
        options: dict[str, Any] = {"proxy_headers": True, "forwarded_allow_ips": trusted}
        async with connected(shop, enters=enters, **options) as connection:
            request = http({"query": "{ hello }"}, *headers, (b"x-forwarded-proto", b"https"))
            # The next request on the connection is its own: what was said of the first counts for that alone.
            connection.protocol.data_received(request)
            await connection.said(1)
            connection.protocol.data_received(HELLO)
            await connection.said(2)
            assert connection.entered == 2 * enters
    assert seen == [caller, ("127.0.0.1", "http")] * 2


async def test_a_server_below_a_path_has_no_entrances() -> None:
    async with connected(Shop.open(), root_path="/wallet") as connection:
        connection.protocol.data_received(HELLO)
        assert b"200 OK" in await connection.said(1)
        assert connection.entered == 0


@given(st.lists(st.integers(0, len(HELLO) * 3), max_size=6))
@settings(max_examples=60, deadline=None)
def test_requests_in_any_pieces_are_answered_in_turn(cuts: list[int]) -> None:
    async def ask() -> None:
        stream = HELLO + http({"query": "{ later }"}) + HELLO
        async with connected(Shop.open()) as connection:
            ends = sorted(cut for cut in cuts if cut < len(stream))
            for begin, end in zip([0, *ends], [*ends, len(stream)], strict=True):
                connection.protocol.data_received(stream[begin:end])
                await asyncio.sleep(0)
            answers = taken_apart(await connection.said(3))
        assert [status for status, _, _ in answers] == [b"HTTP/1.1 200 OK"] * 3
        hello = b'{"data":{"hello":"hello world"}}'
        assert [answers[0][2], answers[2][2]] == [hello, hello]

    asyncio.run(ask())


async def test_a_body_that_comes_later_is_waited_for() -> None:
    async with connected(Shop.open()) as connection:
        head, _, body = HELLO.partition(b"\r\n\r\n")
        connection.protocol.data_received(head + b"\r\n\r\n" + body[:5])
        await asyncio.sleep(0.01)
        assert connection.wire.written == b""
        connection.protocol.data_received(body[5:])
        assert (await connection.said(1)).endswith(b'{"data":{"hello":"hello world"}}')
        assert connection.entered == 0


async def test_who_has_gone_is_told_nothing_and_a_payment_is_made() -> None:
    shop = Shop.open()
    async with connected(shop) as connection:
        connection.protocol.data_received(http({"query": "mutation { pay }"}))
        connection.protocol.connection_lost(ConnectionResetError())
        await shop.endpoint.engine.settle(PATIENCE_S)
        await asyncio.sleep(0)
        assert (connection.wire.written, shop.counters.mutations_begun) == (b"", 1)


@pytest.mark.parametrize(
    ("query", "refused", "expected"),
    [
        ("{ hello }", False, {"data": {"hello": "hello world"}}),
        ("{ later }", False, {"data": {"later": "later"}}),
        ("query($n: String!) { hello(name: $n) }", False, "BAD_USER_INPUT"),
        ("{ hello }", True, "UNAUTHENTICATED"),
    ],
)
async def test_a_context_that_is_not_there_at_once_is_waited_for(
    query: str, refused: bool, expected: object
) -> None:
    engine = Shop.open().endpoint.engine
    told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def context() -> object:
        await asyncio.sleep(0)
        if refused:
            raise ApiError(ErrorCode.UNAUTHENTICATED, "The token proves nobody any more.")
        return None

    request = GraphQLRequest(query)
    engine.start(engine.operation(request), request, context, "abc-1", told.set_result)
    async with asyncio.timeout(PATIENCE_S):
        outcome = await told
    assert (outcome.code if isinstance(outcome, RefusedError) else outcome) == expected
    await asyncio.sleep(0)
    assert engine.running == 0


async def test_a_server_that_stops_answers_and_closes() -> None:
    async with connected(Shop.open()) as connection:
        connection.protocol.data_received(http({"query": "mutation { pay }"}))
        connection.protocol.shutdown()
        assert not connection.wire.closed
        written = await connection.said(1)
        assert b"\r\nconnection: close\r\n" in written
        assert connection.wire.closed


async def test_an_idle_connection_is_closed_and_a_busy_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    async with connected(Shop.open()) as connection:
        protocol = connection.protocol
        now_s = 1_000.0
        monkeypatch.setattr(protocol, "loop", _Clock(lambda: now_s))
        protocol.data_received(HELLO)
        now_s += protocol.timeout_keep_alive - 1
        protocol.data_received(HELLO)
        assert connection.wire.written.count(b"HTTP/1.1 200") == 2
        now_s += 1
        protocol.timeout_keep_alive_handler()
        assert not connection.wire.closed
        assert protocol.timeout_keep_alive_task == protocol.timeout_keep_alive - 1
        now_s += protocol.timeout_keep_alive - 1
        protocol.timeout_keep_alive_handler()
        protocol.timeout_keep_alive_task = None
    assert connection.wire.closed


class _Clock:
    """A loop whose timers are the seconds that they were set to."""

    def __init__(self, now_s: Any) -> None:
        self.time = now_s

    def call_later(self, delay_s: float, _callback: Any) -> float:
        return delay_s


@pytest.mark.parametrize("turns", range(6))
async def test_what_ends_just_as_its_time_is_up_is_answered_once(turns: int) -> None:
    """The loop stands still, so the end and the timer come in one turn: a second answer would be the next request's."""
    async with connected(Shop.open(limits=Limits(operation_timeout_s=0.02))) as connection:
        connection.protocol.data_received(http({"query": "{ later }"}))
        for _ in range(turns):
            await asyncio.sleep(0)
        time.sleep(0.03)  # noqa: ASYNC251 - so it does
        await connection.said(1)
        for _ in range(5):
            await asyncio.sleep(0)
        written = connection.wire.written
    assert len(taken_apart(written)) == 1


async def test_a_second_answer_is_not_written(caplog: pytest.LogCaptureFixture) -> None:
    def twice(_scope: object, _body: bytes, reply: Any) -> bool:
        for text in (b"first", b"second"):
            reply(200, (), (b"x-request-id", b"abc"), text)
        return True

    async with connected(Shop.open()) as connection:
        connection.protocol._entrances = {b"/graphql": twice}
        connection.protocol.data_received(HELLO)
        connection.protocol.data_received(HELLO)
        answers = taken_apart(connection.wire.written)
    assert [body for _, _, body in answers] == [b"first", b"first"]
    assert caplog.text.count("a request was answered twice") == 2


async def test_what_breaks_past_all_doors_closes_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: object) -> bool:
        raise RuntimeError("no answer")

    async with connected(Shop.open()) as connection:
        connection.protocol._entrances = {b"/graphql": broken}
        connection.protocol.data_received(HELLO)
        assert connection.wire.closed
    assert "a request was not answered" in caplog.text


def test_shared_headers_are_checked_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "SHARED_MAX", 3)
    for number in range(9):
        assert serving._share(((b"x-number", b"%d" % number),)).text == b"x-number: %d\r\n" % number
        assert len(serving._shared) <= 3
    for header in ((b"x", b"a\r\nb: c"), (b"x y", b"a"), (b"Transfer-Encoding", b"chunked")):
        with pytest.raises(ValueError, match="can't be written"):
            serving._share((header,))
    assert serving._share(((b"connection", b"close"), (b"a", b"b"))) == (b"a: b\r\n", True)
