"""Websockets as uvicorn serves them, for servers that keep ten thousand of them open.

A socket is one small object: RFC 6455 without extensions (docs/adr/0033-fed-sockets.md says why), without a timer and
without a queue of its own. It offers the application a wire (`app.execution.wire`), by which messages are written to the
transport at once, and which says whether they are read. All sockets of a server are kept alive by one timer.
"""

import asyncio
import base64
import binascii
import hashlib
import logging
import urllib.parse
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Any
from weakref import WeakKeyDictionary

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.server import ServerState
from websockets.exceptions import ProtocolError
from websockets.frames import Close
from websockets.utils import apply_mask

from app.execution.wire import EXTENSION

logger = logging.getLogger("uvicorn.error")

Message = Any
"""A message of ASGI."""

CLOSE_TIMEOUT_S = 10.0
"""How long the other side may take to answer that it closes too."""

UNREAD_BYTES_MAX = 32_768
"""How much may wait to be read by the other side before it counts as slow."""

TICKS_PER_S = 10
"""How often some of the sockets are pinged, so that never many are at once."""

_ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MASKED, _FINAL, _RESERVED, _CONTROL = 0x80, 0x80, 0x70, 0x08
_TEXT = 0x81
_PING = b"\x89\x00"


class Opcode(IntEnum):
    """What a frame is."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class State(IntEnum):
    """How far a socket is."""

    ASKED = 0
    """The handshake has come, and the application has not accepted it."""
    OPEN = 1
    CLOSING = 2
    """Our closing frame is sent, and the other side's has not come."""
    CLOSED = 3


_OPEN = State.OPEN
"""For the way that each event takes to each socket: a member of an enumeration is searched for."""


class _BrokenError(Exception):
    """The other side doesn't keep to the protocol: the code and the reason that it gets."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class SocketProtocol(asyncio.Protocol):
    """One socket: what came as ASGI's messages, and what goes out as frames."""

    __slots__ = (
        "_buffer",
        "_close_timer",
        "_config",
        "_inbox",
        "_is_disconnected",
        "_is_paused",
        "_is_pinged",
        "_is_text",
        "_key",
        "_needed",
        "_parts",
        "_pong",
        "_receiver",
        "_server_state",
        "_state",
        "_transport",
        "_writers",
        "is_congested",
        "on_relief",
    )

    def __init__(
        self, config: Config, server_state: ServerState, transport: asyncio.Transport, key: bytes
    ) -> None:
        self._config = config
        self._server_state = server_state
        self._transport = transport
        self._key = key
        self._state = State.ASKED
        self._inbox: list[Message] = [{"type": "websocket.connect"}]
        self._receiver: asyncio.Future[None] | None = None
        self._is_paused = False
        self._is_disconnected = False
        self._buffer: bytearray | None = None
        self._needed = 0
        self._parts: bytearray | None = None
        self._is_text = True
        self._pong: bytes | None = None
        self._writers: asyncio.Future[None] | None = None
        self._close_timer: asyncio.TimerHandle | None = None
        self._is_pinged = False
        self.is_congested = False
        self.on_relief: Callable[[], object] = _nothing

    # --- beginning ------------------------------------------------------------------------------------------

    @classmethod
    def take_over(cls, http: HttpToolsProtocol) -> None:
        """Go on where a request asked for a websocket; refuse one that asks for it wrongly."""
        headers = list(http.scope["headers"])
        refused = _refusal(http.scope, headers)
        if refused is not None:
            http.transport.write(refused)
            http.transport.close()
            return
        transport, state = http.transport, http.server_state
        self = cls(http.config, state, transport, _value(headers, b"sec-websocket-key"))
        state.connections.discard(http)
        state.connections.add(self)  # type: ignore[arg-type]
        transport.set_write_buffer_limits(high=UNREAD_BYTES_MAX)
        transport.set_protocol(self)
        task = http.loop.create_task(self._run(_scope(http, headers, self)))
        state.tasks.add(task)
        task.add_done_callback(state.tasks.discard)

    async def _run(self, scope: Message) -> None:
        try:
            await self._config.loaded_app(scope, self._receive, self._send)
        except ClientDisconnected:
            pass
        except BaseException:
            logger.exception("Exception in ASGI application")
        if self._state is State.ASKED:
            self._reject("500 Internal Server Error")
        elif self._state is State.OPEN:
            self._transport.close()

    def shutdown(self) -> None:
        """Close, because the server stops."""
        if self._state is State.OPEN:
            self._write_close(1012)
            self._disconnected(1012)
        elif self._state is State.ASKED:
            self._reject("503 Service Unavailable")
        self._transport.close()

    # --- the transport --------------------------------------------------------------------------------------

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application, and forget."""
        self._disconnected(1006 if self._state is State.ASKED else 1005)
        self._state = State.CLOSED
        self._server_state.connections.discard(self)
        keeper_of(self._server_state, self._config).leave(self)
        if self._close_timer is not None:
            self._close_timer.cancel()
            self._close_timer = None
        self._relieve()
        self.on_relief = _nothing

    def pause_writing(self) -> None:
        """Note that the other side doesn't read."""
        self.is_congested = True

    def resume_writing(self) -> None:
        """Note that the other side has read."""
        if self._pong is not None:
            pong, self._pong = self._pong, None
            self._write_frame(Opcode.PONG, pong)
        self._relieve()
        self.on_relief()

    def _relieve(self) -> None:
        self.is_congested = False
        writers, self._writers = self._writers, None
        if writers is not None and not writers.done():
            writers.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Take frames apart."""
        if self._buffer is not None:
            self._buffer += data
            if len(self._buffer) < self._needed:
                return
            data, self._buffer = bytes(self._buffer), None
        try:
            used = self._parse(data)
        except _BrokenError as broken:
            self._fail(broken.code, broken.reason)
            return
        if used < len(data) and self._state in {State.OPEN, State.CLOSING}:
            self._buffer = bytearray(data[used:])

    def _parse(self, data: bytes) -> int:
        """Take all whole frames, and return where the first one begins that isn't whole."""
        at, end = 0, len(data)
        while end - at >= 2 and self._state in {State.OPEN, State.CLOSING}:
            first, size, start = data[at], data[at + 1] & 0x7F, at + 6
            _require_sound_head(first, data[at + 1])
            if size > 125:
                wide = 2 if size == 126 else 8
                start += wide
                if end < start:
                    self._needed = start - at
                    break
                size = int.from_bytes(data[at + 2 : at + 2 + wide])
            kept = 0 if self._parts is None or first & _CONTROL else len(self._parts)
            if size + kept > self._config.ws_max_size:
                raise _BrokenError(1009, "Message too big")
            if end < start + size:
                self._needed = start + size - at
                break
            content = data[start : start + size]
            if size:
                content = apply_mask(content, data[start - 4 : start])
            at = start + size
            self._take(first, content)
        else:
            self._needed = 2
        return at

    def _take(self, first: int, content: bytes) -> None:
        opcode = first & 0x0F
        if opcode == Opcode.CLOSE:
            self._take_close(content)
        elif opcode == Opcode.PING:
            self._answer_ping(content)
        elif opcode == Opcode.PONG:
            self._is_pinged = False
        else:
            self._take_part(opcode, content, is_last=bool(first & _FINAL))

    def _take_part(self, opcode: int, content: bytes, *, is_last: bool) -> None:
        if (opcode == Opcode.CONTINUATION) != (self._parts is not None):
            raise _BrokenError(1002, "A message must be whole before another one begins")
        if opcode != Opcode.CONTINUATION:
            self._is_text = opcode == Opcode.TEXT
        if self._parts is not None:
            # One piece: a list of parts would grow, and be counted again and again, also by parts that hold nothing.
            self._parts += content
        elif not is_last:
            self._parts = bytearray(content)
        if is_last:
            whole, self._parts = content if self._parts is None else bytes(self._parts), None
            self._hear(whole)

    def _hear(self, content: bytes) -> None:
        if self._state is not State.OPEN:
            # The application has said its last word.
            return
        if self._is_text:
            try:
                self._deliver({"type": "websocket.receive", "text": content.decode()})
            except UnicodeDecodeError:
                raise _BrokenError(1007, "Text must be UTF-8") from None
        else:
            self._deliver({"type": "websocket.receive", "bytes": content})

    def _answer_ping(self, content: bytes) -> None:
        # Who doesn't read gets no more than the answer to the last one, once they do.
        self._pong = content
        if self._state is State.OPEN and not self.is_congested:
            self._write_frame(Opcode.PONG, content)
            self._pong = None

    # --- closing --------------------------------------------------------------------------------------------

    def _take_close(self, content: bytes) -> None:
        if self._state is State.CLOSING:
            self._transport.close()
            return
        try:
            close = Close.parse(content)
        except ProtocolError as error:
            raise _BrokenError(1002, str(error)) from None
        except UnicodeDecodeError:
            raise _BrokenError(1007, "Text must be UTF-8") from None
        self._write_frame(Opcode.CLOSE, content[:2])
        self._end(close.code, close.reason)

    def _fail(self, code: int, reason: str) -> None:
        self._write_close(code, reason)
        self._end(code, reason)

    def _end(self, code: int, reason: str = "") -> None:
        self._state = State.CLOSED
        self._disconnected(code, reason)
        if self.is_congested:
            # What waits is not read: closing in good order would wait for it for ever.
            self._transport.abort()
        else:
            self._transport.close()

    def _begin_closing(self, code: int, reason: str) -> None:
        self._write_close(code, reason)
        self._state = State.CLOSING
        self._disconnected(code, reason)
        loop = asyncio.get_running_loop()
        self._close_timer = loop.call_later(CLOSE_TIMEOUT_S, self._transport.abort)

    def _write_close(self, code: int, reason: str = "") -> None:
        self._write_frame(Opcode.CLOSE, Close(code, reason).serialize())

    def keep_alive(self) -> None:
        """Ping; whoever hasn't answered the last one is gone."""
        if self._state is not State.OPEN:
            return
        if self._is_pinged:
            self._fail(1011, "keepalive ping timeout")
            return
        self._is_pinged = True
        self._transport.write(_PING)

    # --- the application's side -----------------------------------------------------------------------------

    async def _receive(self) -> Message:
        while not self._inbox:
            self._receiver = asyncio.get_running_loop().create_future()
            await self._receiver
        message = self._inbox.pop(0)
        if self._is_paused and not self._inbox and self._state is not State.CLOSED:
            self._is_paused = False
            self._transport.resume_reading()
        return message

    def _deliver(self, message: Message) -> None:
        self._inbox.append(message)
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            if not receiver.done():
                receiver.set_result(None)
        elif not self._is_paused and self._state is State.OPEN:
            # The application is busy with another message: the next ones wait where they are.
            self._is_paused = True
            self._transport.pause_reading()

    def _disconnected(self, code: int, reason: str = "") -> None:
        if not self._is_disconnected:
            self._is_disconnected = True
            self._inbox.append({"type": "websocket.disconnect", "code": code, "reason": reason})
            if self._receiver is not None and not self._receiver.done():
                self._receiver.set_result(None)

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.send":
            # A closing frame isn't held up by a reader who doesn't read.
            await self.relieved()
        if self._state is State.CLOSED or self._transport.is_closing():
            raise ClientDisconnected
        if kind == "websocket.accept" and self._state is State.ASKED:
            self._accept(message.get("subprotocol"), message.get("headers", ()))
        elif kind == "websocket.close" and self._state is State.ASKED:
            self._reject("403 Forbidden")
        elif kind == "websocket.send" and self._state is State.OPEN:
            self._write_message(message)
        elif kind == "websocket.close" and self._state is State.OPEN:
            self._begin_closing(message.get("code", 1000), message.get("reason") or "")
        else:
            raise RuntimeError(f"A socket that is {self._state.name} can't take a message {kind!r}.")

    def _accept(self, subprotocol: str | None, headers: Iterable[tuple[bytes, bytes]]) -> None:
        digest = hashlib.sha1(self._key + _ACCEPT_GUID, usedforsecurity=False).digest()
        lines = [
            b"HTTP/1.1 101 Switching Protocols",
            b"upgrade: websocket",
            b"connection: Upgrade",
            b"sec-websocket-accept: " + base64.b64encode(digest),
        ]
        if subprotocol is not None:
            lines.append(b"sec-websocket-protocol: " + subprotocol.encode())
        lines += [name + b": " + value for name, value in (*self._server_state.default_headers, *headers)]
        self._transport.write(b"\r\n".join(lines) + b"\r\n\r\n")
        self._state, self._key = State.OPEN, b""
        keeper_of(self._server_state, self._config).join(self)

    def _reject(self, status: str) -> None:
        self._transport.write(f"HTTP/1.1 {status}\r\n{_LAST}".encode())
        self._end(1006)

    def _write_message(self, message: Message) -> None:
        content = message.get("bytes")
        if content is None:
            self.write(message["text"].encode())
        else:
            self._write_frame(Opcode.BINARY, content)

    # --- the wire -------------------------------------------------------------------------------------------

    def write(self, *parts: bytes) -> None:
        """Send a message of text, in parts; nowhere if the socket is closed."""
        if self._state is _OPEN:
            size = sum(map(len, parts))
            self._transport.write(b"".join((_head(_TEXT, size), *parts)))

    async def relieved(self) -> None:
        """Wait until the other side has read."""
        while self.is_congested:
            if self._writers is None:
                self._writers = asyncio.get_running_loop().create_future()
            # Shielded: one who is cancelled must not take the others along.
            await asyncio.shield(self._writers)

    def _write_frame(self, opcode: Opcode, content: bytes) -> None:
        if self._state is State.OPEN:
            self._transport.write(_head(_FINAL | opcode, len(content)) + content)


class Keeper:
    """Pings the sockets of a server, each once in an interval, with one timer for all of them."""

    def __init__(self, interval_s: float) -> None:
        self._slots: list[set[SocketProtocol]] = [
            set() for _ in range(max(1, round(interval_s * TICKS_PER_S)))
        ]
        self._slot_of: dict[SocketProtocol, int] = {}
        self._now = 0
        self._timer: asyncio.TimerHandle | None = None

    def join(self, socket: SocketProtocol) -> None:
        """Ping a socket from here on, for the first time after a whole interval."""
        self._slots[self._now - 1].add(socket)
        self._slot_of[socket] = (self._now - 1) % len(self._slots)
        self._tick_later()

    def leave(self, socket: SocketProtocol) -> None:
        """Leave a socket alone."""
        slot = self._slot_of.pop(socket, None)
        if slot is not None:
            self._slots[slot].discard(socket)

    def _tick_later(self) -> None:
        if self._timer is None and self._slot_of:
            self._timer = asyncio.get_running_loop().call_later(1 / TICKS_PER_S, self._tick)

    def _tick(self) -> None:
        self._timer = None
        for socket in tuple(self._slots[self._now]):
            socket.keep_alive()
        self._now = (self._now + 1) % len(self._slots)
        self._tick_later()


_KEEPERS: WeakKeyDictionary[ServerState, Keeper] = WeakKeyDictionary()


def keeper_of(server_state: ServerState, config: Config) -> Keeper:
    """Return who keeps the sockets of a server alive."""
    keeper = _KEEPERS.get(server_state)
    if keeper is None:
        keeper = _KEEPERS[server_state] = Keeper(config.ws_ping_interval or 20.0)
    return keeper


_LAST = "content-length: 0\r\nconnection: close\r\n\r\n"


def _nothing() -> None:
    """Wait for nothing."""


def _head(first: int, size: int) -> bytes:
    """Return a frame's first bytes; the frames of a server have no mask."""
    if size < 126:
        return bytes((first, size))
    if size < 65_536:
        return bytes((first, 126)) + size.to_bytes(2)
    return bytes((first, 127)) + size.to_bytes(8)


def _require_sound_head(first: int, second: int) -> None:
    opcode = first & 0x0F
    if first & _RESERVED:
        raise _BrokenError(1002, "No extension was agreed on")
    if not second & _MASKED:
        raise _BrokenError(1002, "Frames of clients are masked")
    if opcode not in _OPCODES:
        raise _BrokenError(1002, "There is no such frame")
    if opcode >= Opcode.CLOSE and (second & 0x7F > 125 or not first & _FINAL):
        raise _BrokenError(1002, "Frames of control are short and whole")


_OPCODES = frozenset(Opcode)


def _value(headers: list[tuple[bytes, bytes]], wanted: bytes) -> bytes:
    """Return the value of a header that must stand there once; nothing if it doesn't."""
    found = [value for name, value in headers if name == wanted]
    return found[0].strip() if len(found) == 1 else b""


def _refusal(scope: Message, headers: list[tuple[bytes, bytes]]) -> bytes | None:
    """Return what is answered to a handshake that is none."""
    if _value(headers, b"sec-websocket-version") != b"13":
        return f"HTTP/1.1 426 Upgrade Required\r\nsec-websocket-version: 13\r\n{_LAST}".encode()
    if (
        scope["method"] != "GET"
        or scope["http_version"] != "1.1"
        or not _is_key(_value(headers, b"sec-websocket-key"))
    ):
        return f"HTTP/1.1 400 Bad Request\r\n{_LAST}".encode()
    return None


def _is_key(key: bytes) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


def _scope(http: HttpToolsProtocol, headers: list[tuple[bytes, bytes]], wire: SocketProtocol) -> Message:
    raw_path, _, query = http.url.partition(b"?")
    scope = http.scope
    return {
        "type": "websocket",
        "asgi": {"version": http.asgi_version, "spec_version": "2.4"},
        "http_version": "1.1",
        "server": scope["server"],
        "client": scope["client"],
        "root_path": http.root_path,
        "headers": headers,
        "state": scope["state"],
        "scheme": "wss" if scope["scheme"] == "https" else "ws",
        "path": http.root_path + urllib.parse.unquote(raw_path.decode("ascii")),
        "raw_path": http.root_path.encode("ascii") + raw_path,
        "query_string": query,
        "subprotocols": [
            token.strip()
            for name, value in headers
            if name == b"sec-websocket-protocol"
            for token in value.decode("latin-1").split(",")
        ],
        "extensions": {EXTENSION: wire},
    }
