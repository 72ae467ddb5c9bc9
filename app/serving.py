"""How uvicorn serves the application: what a connection may do before it is a request, and how serving ends."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import uvicorn
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.supervisors import Multiprocess, multiprocess

from app.sockets import SocketProtocol

HEAD_TIMEOUT_S = 15.0
"""How long a connection may take to send a request's head, the first one or another."""

HEAD_BYTES_MAX = 65_536
"""How large a request's head may be: its line and all its headers."""

WORKER_HEALTHCHECK_TIMEOUT_S = 30
"""How long a worker process may be silent before it is taken for hung, and replaced."""


LINES_MAX, LINE_BYTES_MAX = 500, 500
"""How many headers of answers are remembered, and how long they may be."""

COLLECT_YOUNG, COLLECT_MIDDLE, COLLECT_OLD = 50_000, 50, 1_000
"""After how many new objects the youngest generation is looked through, and how many times that the next two."""


class BoundedProtocol(HttpToolsProtocol):
    """Uvicorn's, with an end to what a connection may keep it waiting for, and with answers that are written quickly."""

    cycle: RequestResponseCycle | None  # type: ignore[assignment]
    _patience: asyncio.TimerHandle | None = None
    _is_head = True
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in what came; it is part of a head until that is complete."""
        if not self._is_head and self.cycle is not None and self.cycle.response_complete:
            self._is_head, self._head_bytes = True, 0
        if self._is_head:
            self._head_bytes += len(data)
        super().data_received(data)
        # Nearly every head comes in one piece: only what is waited for needs a timer.
        if self._is_head and not self.transport.is_closing():
            self._wait()
            if self._head_bytes > HEAD_BYTES_MAX:
                self._wait_no_more()
                self.send_400_response("The head of the request is too large.")

    def on_headers_complete(self) -> None:
        """Begin to serve the request."""
        self._is_head = False
        self._wait_no_more()
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        super()._start_asgi_task(cycle, _Answering(cycle, app))

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over to a socket, and leave nothing of the request behind."""
        protocol_class = self.ws_protocol_class
        if not (isinstance(protocol_class, type) and issubclass(protocol_class, SocketProtocol)):
            super().handle_websocket_upgrade()
            return
        protocol_class.take_over(self)
        # The parser and its protocol hold each other: ten thousand would wait for the garbage collector.
        self.parser = None  # type: ignore[assignment]

    def _wait(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(HEAD_TIMEOUT_S, self._too_late)

    def _wait_no_more(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _too_late(self) -> None:
        self._patience = None
        self.transport.close()


class _Answering:
    """Writes heads that are like most others, and leaves all else to uvicorn.

    Uvicorn checks each header of each answer by two expressions and puts its line together. Nearly all of them are
    the same in every answer, so their lines are kept.
    """

    __slots__ = ("_app", "_cycle")

    def __init__(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._cycle = cycle
        self._app = app

    def __call__(self, scope: Any, receive: Any, _send: Any) -> Awaitable[None]:
        """Serve the request."""
        return self._app(scope, receive, self.send)  # type: ignore[no-any-return]

    async def send(self, message: Any) -> None:
        """Send a message of the answer."""
        cycle = self._cycle
        head = _head(cycle.default_headers, message) if self._is_plain(message) else None
        if head is None:
            await cycle.send(message)
            return
        # As uvicorn notes it.
        cycle.response_started, cycle.waiting_for_100_continue = True, False
        cycle.chunked_encoding, cycle.expected_content_length = False, head.length
        cycle.transport.write(head.text)

    def _is_plain(self, message: Any) -> bool:
        cycle = self._cycle
        return (
            message["type"] == "http.response.start"
            and not cycle.response_started
            and cycle.keep_alive
            and not cycle.disconnected
            and not cycle.access_log
            and not cycle.flow.write_paused
        )


class _Head(NamedTuple):
    """The head of an answer."""

    text: bytes
    length: int
    """Of the body."""


def _head(default: list[tuple[bytes, bytes]], message: Any) -> _Head | None:
    """Return the head of an answer whose length is known; None where uvicorn has to look at it."""
    lines_of_default = _lines_of(default)
    if lines_of_default is None:
        return None
    length, lines = -1, [STATUS_LINE[message["status"]], lines_of_default]
    for name, value in message.get("headers", ()):
        line = _lines.get((name, value))
        if line is None:
            line = _line(name, value)
            if line is None:
                return None
            if name == b"content-length" and length < 0:
                length = int(value)
        lines.append(line)
    lines.append(b"\r\n")
    return None if length < 0 else _Head(b"".join(lines), length)


_lines: dict[tuple[bytes, bytes], bytes] = {}
"""The lines of headers that were written before."""

_VARYING = frozenset({b"content-length", b"date", b"x-request-id"})
"""Headers that are seldom the same twice."""

_TELLING = frozenset({b"connection", b"transfer-encoding"})
"""Headers that decide how the answer is written."""


def _line(name: bytes, value: bytes) -> bytes | None:
    """Return the line of a header; None where uvicorn has to look at it."""
    if name == b"content-length":
        return b"content-length: %b\r\n" % value if value.isdigit() else None
    if name != name.lower() or name in _TELLING or HEADER_RE.search(name) or HEADER_VALUE_RE.search(value):
        return None
    line = b"%b: %b\r\n" % (name, value)
    if name not in _VARYING and len(line) <= LINE_BYTES_MAX:
        if len(_lines) >= LINES_MAX:
            _lines.clear()
        _lines[name, value] = line
    return line


class _Default(NamedTuple):
    """The headers that uvicorn adds to every answer, which it makes anew each second, and their lines."""

    headers: list[tuple[bytes, bytes]]
    lines: bytes | None


_default = _Default([], b"")


def _lines_of(headers: list[tuple[bytes, bytes]]) -> bytes | None:
    global _default  # noqa: PLW0603 - a memory of one
    if headers is not _default.headers:
        lines = [_line(name, value) for name, value in headers if name != b"content-length"]
        known = [line for line in lines if line is not None]
        _default = _Default(headers, b"".join(known) if len(known) == len(headers) else None)
    return _default.lines


def settle_memory() -> None:
    """Have the garbage collector leave alone what stays as long as the process: modules, the schema, documents.

    Looking through all of it again and again costs a pause each time, the longer the more sockets are open. The
    collector is never switched off: a request that fails leaves cycles behind.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_YOUNG, COLLECT_MIDDLE, COLLECT_OLD)


class DrainingServer(uvicorn.Server):
    """Has the application drain before uvicorn waits for open connections: an open stream would hold it up."""

    async def startup(self, sockets: list[Any] | None = None) -> None:
        """Start, and settle with what was loaded for it."""
        await super().startup(sockets)
        if self.started:
            settle_memory()

    async def shutdown(self, sockets: list[Any] | None = None) -> None:
        """Drain, then stop."""
        drain = drain_of(self.config.loaded_app)
        if drain is not None:
            await drain()
        await super().shutdown(sockets)


class WorkerProcess(multiprocess.Process):
    """A process of several, whose server drains too."""

    @property
    def server(self) -> uvicorn.Server:
        """The server of this process."""
        if self._server is None:
            self._server = DrainingServer(self.config)
        return self._server


def serve_in_processes(config: uvicorn.Config, sockets: list[Any]) -> None:
    """Serve in as many processes as the configuration says; one that dies or hangs is replaced."""
    # The supervisor looks its process class up in its module; there is no other way to name one.
    multiprocess.Process = WorkerProcess  # type: ignore[misc]
    Multiprocess(config, sockets=sockets).run()


def drain_of(application: Any) -> Callable[[], Awaitable[None]] | None:
    """Return how the application drains, whatever is wrapped around it."""
    while application is not None:
        drain = getattr(getattr(application, "state", None), "drain", None)
        if drain is not None:
            return drain  # type: ignore[no-any-return]
        application = getattr(application, "app", None)
    return None
