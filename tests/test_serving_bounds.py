"""What one connection may make the server keep: heads, trailers and requests that wait for their turn, and nothing of others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from app.serving import HEAD_BYTES_MAX, PIPELINED_MAX, BoundedProtocol
from tests.execution.shop import Shop
from tests.test_entrance import application, http, taken_apart
from tests.test_serving import Wire

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


class SlowWire(Wire):
    """A connection that can be told to read no further."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = True
        self.unread = [0]
        """How much is unread, each time that somebody looks."""
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self.unread.pop(0) if len(self.unread) > 1 else self.unread[0]

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True


class Patient:
    """An application that reads the whole request, and answers when it is let."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []
        self.disconnects = 0
        self.free = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        while (message := await receive()).get("more_body"):
            pass
        await self.free.wait()
        if message["type"] == "http.disconnect" or (await self._is_gone(receive)):
            self.disconnects += 1
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    async def _is_gone(self, receive: Any) -> bool:
        try:
            async with asyncio.timeout(0):
                return bool((await receive())["type"] == "http.disconnect")
        except TimeoutError:
            return False


@asynccontextmanager
async def connected(app: Patient) -> AsyncIterator[tuple[BoundedProtocol, SlowWire]]:
    """Connect to an application while the block runs."""
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")
    config.load()
    protocol, wire = BoundedProtocol(config, ServerState(), {}), SlowWire()
    protocol.connection_made(wire)
    try:
        yield protocol, wire
    finally:
        if protocol.parser is not None:
            protocol.connection_lost(None)
        app.free.set()
        await turns()


async def turns(count: int = 20) -> None:
    """Let tasks go on."""
    for _ in range(count):
        await asyncio.sleep(0)


def fed(protocol: BoundedProtocol, wire: Wire, pieces: list[bytes]) -> int:
    """Feed pieces until the connection is closed; return how many it took."""
    for count, piece in enumerate(pieces):
        if wire.closed:
            return count
        protocol.data_received(piece)
    return len(pieces)


@pytest.mark.parametrize("behind", [b"", GET])
@pytest.mark.parametrize(
    ("head", "more"),
    [
        (b"GET / HTTP/1.1\r\n", b"y: z\r\n"),
        (b"GET / HTTP/1.1\r\nlong: ", b"y"),
        (b"GET /", b"y"),
        (CHUNKED + b"0\r\n", b"y: z\r\n"),
    ],
)
async def test_a_head_and_trailers_end(head: bytes, more: bytes, behind: bytes) -> None:
    piece = more * (HEAD_BYTES_MAX // 4 // len(more))
    async with connected(Patient()) as (protocol, wire):
        protocol.data_received(behind + head)
        await turns()
        assert fed(protocol, wire, [piece] * 10) <= 5
        # Whoever waits for another answer would take the refusal for it.
        assert wire.written.startswith(b"HTTP/1.1 400 ") is not bool(behind)


async def test_a_body_is_no_head() -> None:
    app = Patient()
    app.free.set()
    async with connected(app) as (protocol, wire):
        for _ in range(2):
            protocol.data_received(CHUNKED)
            for _ in range(HEAD_BYTES_MAX // 1_000 + 5):
                protocol.data_received(b"1\r\nx\r\n" * 1_000)
                await turns(2)
            protocol.data_received(b"0\r\n\r\n")
            await turns()
            protocol.data_received(b"POST / HTTP/1.1\r\ncontent-length: 200000\r\n\r\n" + b"x" * 100_000)
            protocol.data_received(b"x" * 100_000)
            await turns()
        assert wire.written.count(b"HTTP/1.1 200 ") == 4
        assert not wire.closed


@pytest.mark.parametrize("cut", [False, True])
async def test_trailers_are_no_headers(cut: bool) -> None:
    app = Patient()
    app.free.set()
    async with connected(app) as (protocol, _):
        protocol.data_received(CHUNKED + b"1\r\nx\r\n")
        await turns()
        last = b"0\r\nx-forwarded-for: 192.0.2.1\r\nauthorization: Bearer x\r\n\r\n"
        for piece in [last[:-2], last[-2:]] if cut else [last]:
            protocol.data_received(piece)
            await turns()
        protocol.data_received(CHUNKED + b"1\r\nx\r\n" + last)
        await turns()
    assert [[name for name, _ in scope["headers"]] for scope in app.scopes] == [
        [b"host", b"transfer-encoding"]
    ] * 2


async def test_trailers_name_no_caller_at_the_entrance() -> None:
    seen: list[str] = []

    def request_id(asked: Any) -> str:
        seen.append(asked.client.host)
        return asked.headers.get("x-own") or "none"

    shop = Shop.open(get_request_id=request_id)
    app = application(shop)
    config = uvicorn.Config(app, log_config=None, lifespan="off", proxy_headers=True)
    config.load()
    protocol, wire = BoundedProtocol(config, ServerState(), {"coffer.entrances": app.entrances}), Wire()
    protocol.connection_made(wire)
    head, _, body = http({"query": "{ hello }"}).partition(b"\r\n\r\n")
    head = (
        head.rpartition(b"\r\n")[0]
        + b"\r\ntransfer-encoding: chunked\r\nx-forwarded-for: 198.51.100.7\r\n\r\n"
    )
    last = b"0\r\nx-forwarded-for: 192.0.2.1\r\nx-own: other\r\n\r\n"
    protocol.data_received(head + b"%x\r\n%b\r\n" % (len(body), body) + last)
    await turns()
    protocol.connection_lost(None)
    assert wire.written.startswith(b"HTTP/1.1 200 ")
    assert set(seen) == {"198.51.100.7"}


async def test_who_sends_quicker_than_is_answered_is_read_no_further() -> None:
    app = Patient()
    async with connected(app) as (protocol, wire):
        protocol.data_received(GET * 10)
        await turns()
        seen = {(bool(protocol.pipeline), wire.reads)}
        app.free.set()
        for _ in range(200):
            await asyncio.sleep(0)
            seen.add((bool(protocol.pipeline), wire.reads))
        assert seen == {(True, False), (False, True)}
        assert (len(app.scopes), wire.written.count(b"HTTP/1.1 200 ")) == (10, 10)


async def test_requests_that_wait_for_their_turn_are_bounded() -> None:
    app = Patient()
    async with connected(app) as (protocol, wire):
        assert fed(protocol, wire, [GET * (PIPELINED_MAX + 1), GET * 5_000, GET]) == 2
        assert (len(protocol.pipeline), wire.written) == (PIPELINED_MAX, b"")


async def test_nonsense_behind_a_request_is_not_answered_in_its_place() -> None:
    app = Patient()
    async with connected(app) as (protocol, wire):
        protocol.data_received(GET + b"\x00\x01\x02 nonsense\r\n\r\n")
        assert (wire.closed, wire.written) == (True, b"")
    async with connected(app) as (protocol, wire):
        protocol.data_received(CHUNKED + b"nonsense")
        assert taken_apart(wire.written)[0][0] == b"HTTP/1.1 400 Bad Request"


async def test_who_has_gone_is_noticed_behind_other_requests() -> None:
    app = Patient()
    async with connected(app) as (protocol, wire):
        protocol.data_received(GET * 3)
        await turns()
        protocol.connection_lost(None)
        app.free.set()
        await turns()
        assert (wire.written, app.disconnects, len(app.scopes)) == (b"", 1, 1)


async def test_a_socket_does_not_begin_before_an_answer_has_ended() -> None:
    app = Patient()
    handshake = (
        b"GET /graphql HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    async with connected(app) as (protocol, wire):
        protocol.data_received(GET + handshake)
        app.free.set()
        await turns()
        assert wire.closed
        assert b"101" not in wire.written
        assert [scope["type"] for scope in app.scopes] == ["http"]


@pytest.mark.parametrize("reason", ["much", "refused", "idle", "closing"])
async def test_who_never_reads_is_hung_up_on(reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.serving.UNREAD_TIMEOUT_S", 0.0)
    app = Patient()
    app.free.set()
    async with connected(app) as (protocol, wire):
        # Slowly is well enough; nothing at all is not.
        wire.unread = [100, 99, 99, 50, 50, 50]
        if reason == "much":
            protocol.pause_writing()
        elif reason == "refused":
            protocol.data_received(b"nonsense\r\n\r\n")
        elif reason == "idle":
            protocol._idle_since_s = protocol.loop.time() - protocol.timeout_keep_alive
            protocol.timeout_keep_alive_handler()
        else:
            protocol.data_received(GET.replace(b"host", b"connection: close\r\nhost"))
        async with asyncio.timeout(10):
            while not wire.aborted:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0)
        assert wire.unread == [50]


async def test_who_reads_is_not_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.serving.UNREAD_TIMEOUT_S", 0.0)
    async with connected(Patient()) as (protocol, wire):
        wire.unread = [100_000]
        protocol.pause_writing()
        protocol.resume_writing()
        await asyncio.sleep(0.01)
        assert not wire.aborted
