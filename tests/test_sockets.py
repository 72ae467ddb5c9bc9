"""Websockets, byte by byte: what RFC 6455 asks of a server, and what keeps ten thousand of them small."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from websockets.frames import Close

from app.execution.wire import EXTENSION
from app.sockets import UNREAD_BYTES_MAX, Keeper, keeper_of

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HEAD = {
    "host": "shop",
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec-websocket-key": KEY,
    "sec-websocket-version": "13",
}
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Echo:
    """An application that repeats what it is told, in the way that it is told to."""

    def __init__(self) -> None:
        self.scope: Any = None
        self.ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope = scope
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept", "headers": [(b"x-request-id", b"7")]})
        while (message := await receive())["type"] == "websocket.receive":
            text = message.get("text")
            if text == "close":
                await send({"type": "websocket.close", "code": 4000, "reason": "as you like"})
            elif text == "flood":
                wire = scope["extensions"][EXTENSION]
                while not wire.is_congested:
                    wire.write(b"x" * 1000)
                    await asyncio.sleep(0)
            else:
                await send(
                    {"type": "websocket.send", **{k: message[k] for k in ("text", "bytes") if k in message}}
                )
        self.ended.set_result(message)


class Client:
    """Sends and reads bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def shake_hands(self, **headers: str | None) -> bytes:
        """Send the handshake, with these headers instead of the usual; return the answer's head."""
        lines = {**HEAD, **{name.replace("_", "-"): value for name, value in headers.items()}}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
        self.writer.write(f"GET /a%20b?q=1 HTTP/1.1\r\n{head}\r\n".encode())
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)

    def send(self, first: int, content: bytes = b"", *, masked: bool = True) -> None:
        """Send a frame, as it is told to be."""
        self.writer.write(frame(first, content, masked=masked))

    async def read(self) -> tuple[int, bytes]:
        """Return a frame's opcode and content."""
        async with asyncio.timeout(5):
            first, size = await self.reader.readexactly(2)
            assert first & 0x80
            if size > 125:
                size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8))
            return first & 0x0F, await self.reader.readexactly(size)

    async def closed(self) -> Close:
        """Read a closing frame, and the end."""
        opcode, content = await self.read()
        assert opcode == CLOSE
        assert await asyncio.wait_for(self.reader.read(), 5) == b""
        return Close.parse(content)


def frame(first: int, content: bytes = b"", *, masked: bool = True) -> bytes:
    size = len(content)
    bit = 0x80 if masked else 0
    if size < 126:
        head = bytes([first, bit | size])
    elif size < 65_536:
        head = bytes([first, bit | 126]) + size.to_bytes(2)
    else:
        head = bytes([first, bit | 127]) + size.to_bytes(8)
    mask = os.urandom(4)
    return head + (mask + bytes(b ^ mask[i % 4] for i, b in enumerate(content)) if masked else content)


@asynccontextmanager
async def serving(app: Any, **options: Any) -> AsyncIterator[tuple[Client, uvicorn.Server]]:
    config = uvicorn.Config(
        app, log_config=None, lifespan="off", http="app.serving:BoundedProtocol", ws="app.sockets:SocketProtocol",
        port=0, **options,
    )  # fmt: skip
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    reader, writer = await asyncio.open_connection(*server.servers[0].sockets[0].getsockname())
    try:
        yield Client(reader, writer), server
    finally:
        writer.transport.abort()
        await server.shutdown()


@pytest.fixture
async def app() -> Echo:
    return Echo()


@pytest.fixture
async def client(app: Echo) -> AsyncIterator[Client]:
    async with serving(app) as (client, _):
        yield client


@pytest.fixture
async def open_client(client: Client) -> Client:
    assert (await client.shake_hands()).startswith(b"HTTP/1.1 101 ")
    return client


# --- the handshake ----------------------------------------------------------------------------------------------


async def test_a_handshake_is_accepted(app: Echo, client: Client) -> None:
    head = await client.shake_hands(sec_websocket_protocol="a, b")
    # The example of RFC 6455.
    assert b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head
    assert b"x-request-id: 7\r\n" in head
    assert app.scope["path"] == "/a b"
    assert app.scope["query_string"] == b"q=1"
    assert app.scope["subprotocols"] == ["a", "b"]
    assert app.scope["scheme"] == "ws"
    assert "method" not in app.scope


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec_websocket_version": "8"}, b"426"),
        ({"sec_websocket_version": None}, b"426"),
        ({"sec_websocket_key": None}, b"400"),
        ({"sec_websocket_key": "c2hvcnQ="}, b"400"),
        ({"sec_websocket_key": "not base64"}, b"400"),
    ],
)
async def test_a_handshake_that_is_none_is_refused(client: Client, headers: Any, status: bytes) -> None:
    head = await client.shake_hands(**headers)
    assert head.startswith(b"HTTP/1.1 " + status)
    assert (b"sec-websocket-version: 13" in head) == (status == b"426")


async def test_an_application_that_fails_is_a_500() -> None:
    async def broken(_scope: Any, _receive: Any, _send: Any) -> None:
        raise RuntimeError

    async with serving(broken) as (client, _):
        assert (await client.shake_hands()).startswith(b"HTTP/1.1 500 ")


# --- messages ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_000])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_messages_of_any_size(open_client: Client, opcode: int, size: int) -> None:
    open_client.send(0x80 | opcode, b"x" * size)
    assert await open_client.read() == (opcode, b"x" * size)


async def test_bytes_come_as_they_like(open_client: Client) -> None:
    told = b"".join(frame(0x81, b"n%d" % n * 40) for n in range(20))
    for start in range(0, len(told), 7):
        open_client.writer.write(told[start : start + 7])
        await asyncio.sleep(0)
    assert [(await open_client.read())[1] for _ in range(20)] == [b"n%d" % n * 40 for n in range(20)]


async def test_messages_in_parts_with_a_ping_between(open_client: Client) -> None:
    open_client.send(TEXT, b"a")
    open_client.send(0, b"b")
    open_client.send(0x80 | PING, b"now")
    open_client.send(0x80, b"c")
    assert [await open_client.read(), await open_client.read()] == [(PONG, b"now"), (TEXT, b"abc")]


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([(0x81, b"a", False)], 1002),
        ([(0xC1, b"a", True)], 1002),
        ([(0x83, b"a", True)], 1002),
        ([(0x80, b"a", True)], 1002),
        ([(TEXT, b"a", True), (0x81, b"b", True)], 1002),
        ([(PING, b"", True)], 1002),
        ([(0x89, b"x" * 126, True)], 1002),
        ([(0x88, b"x", True)], 1002),
        ([(0x88, (999).to_bytes(2), True)], 1002),
        ([(0x88, (1000).to_bytes(2) + b"\xff", True)], 1007),
        ([(0x81, b"\xff", True)], 1007),
        ([(0x81, b"x" * 2001, True)], 1009),
        ([(TEXT, b"x" * 1500, True), (0x80, b"x" * 600, True)], 1009),
    ],
)
async def test_what_breaks_the_protocol_closes(frames: list[tuple[int, bytes, bool]], code: int) -> None:
    app = Echo()
    async with serving(app, ws_max_size=2000) as (client, _):
        await client.shake_hands()
        for first, content, masked in frames:
            client.send(first, content, masked=masked)
        assert (await client.closed()).code == code
        assert (await app.ended)["code"] == code


# --- closing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("content", "code"), [(b"", 1005), ((4321).to_bytes(2) + b"bye", 4321)])
async def test_a_client_closes(app: Echo, open_client: Client, content: bytes, code: int) -> None:
    open_client.send(0x80 | CLOSE, content)
    assert (await open_client.closed()).code == code
    assert (await app.ended)["code"] == code


async def test_the_application_closes(app: Echo, open_client: Client) -> None:
    open_client.send(0x81, b"close")
    opcode, content = await open_client.read()
    assert (opcode, Close.parse(content)) == (CLOSE, Close(4000, "as you like"))
    open_client.send(0x81, b"too late")
    open_client.send(0x80 | CLOSE, content)
    assert await open_client.reader.read() == b""
    assert (await app.ended)["type"] == "websocket.disconnect"


async def test_a_lost_connection_is_told(app: Echo, open_client: Client) -> None:
    open_client.writer.transport.abort()
    assert (await app.ended)["code"] == 1005


async def test_a_server_that_stops_says_so() -> None:
    app = Echo()
    async with serving(app) as (client, server):
        await client.shake_hands()
        stopping = asyncio.create_task(server.shutdown())
        assert (await client.closed()).code == 1012
        await stopping


# --- being slow, and being gone ---------------------------------------------------------------------------------


async def test_a_reader_who_does_not_read_holds_little_and_may_go_on(app: Echo, open_client: Client) -> None:
    open_client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    open_client.send(0x81, b"flood")
    wire = None
    async with asyncio.timeout(10):
        while wire is None or not wire.is_congested:
            await asyncio.sleep(0.01)
            wire = app.scope["extensions"][EXTENSION]
    assert wire._transport.get_write_buffer_size() < UNREAD_BYTES_MAX + 100_000
    relieved = asyncio.create_task(wire.relieved())
    open_client.writer.transport.resume_reading()  # type: ignore[attr-defined]
    open_client.send(0x81, b"still here")
    while (await open_client.read())[1] != b"still here":
        pass
    await relieved


async def test_who_does_not_answer_a_ping_is_gone() -> None:
    app = Echo()
    async with serving(app, ws_ping_interval=0.2) as (client, server):
        await client.shake_hands()
        assert (await client.read())[0] == PING
        client.send(0x80 | PONG)
        assert (await client.read())[0] == PING
        assert (await client.closed()).code == 1011
        assert (await app.ended)["code"] == 1011
        assert not keeper_of(server.server_state, server.config)._slot_of


async def test_one_timer_pings_each_socket_once_in_an_interval() -> None:
    class Pinged:
        def __init__(self) -> None:
            self.times = 0

        def keep_alive(self) -> None:
            self.times += 1

    keeper, sockets = Keeper(2.0), [Pinged() for _ in range(5)]
    for socket in sockets:
        keeper.join(socket)  # type: ignore[arg-type]
        keeper._tick()
    keeper.leave(sockets[0])  # type: ignore[arg-type]
    for _ in range(40):
        keeper._tick()
    assert [socket.times for socket in sockets] == [0, 2, 2, 2, 2]
    for socket in sockets:
        keeper.leave(socket)  # type: ignore[arg-type]
    assert keeper._timer is not None
    keeper._tick()
    assert keeper._timer is None
