"""How uvicorn serves the application: what a connection may do before it is a request, and how serving ends."""

import asyncio
import gc
import logging
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from functools import lru_cache, partial
from multiprocessing import parent_process
from typing import Any, NamedTuple, cast

import uvicorn
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.supervisors import Multiprocess, multiprocess

from app.front import ENTRANCES, Entrance, Header, nothing, run_at_once
from app.sockets import SocketProtocol

logger = logging.getLogger("uvicorn.error")

HEAD_TIMEOUT_S = 15.0
"""How long a connection may take to send a request's head, the first one or another."""

HEAD_BYTES_MAX = 65_536
"""How large a request's head may be: its line and all its headers."""

WORKER_HEALTHCHECK_TIMEOUT_S = 30
"""How long a worker process may be silent before it is taken for hung, and replaced."""


SHARED_MAX = 500
"""How many sets of headers are remembered, as they are written."""

COLLECT_YOUNG, COLLECT_MIDDLE, COLLECT_OLD = 50_000, 50, 1_000
"""After how many new objects the youngest generation is looked through, and how many times that the next two."""


UNREAD_TIMEOUT_S = 60.0
"""How long a caller may take nothing at all of what was written."""

LINGER_S = 5.0
LINGER_BYTES_MAX = 16 * 1_048_576
"""For how long, and how much, of a body that nobody wants is still taken in once it was refused."""

PIPELINED_MAX = 100
"""How many requests of a connection may wait for their turn."""

WHOLE_BYTES_MAX = 65_536
"""How large a body may be that is answered whole."""

_TELLING_MORE = frozenset({b"expect", b"upgrade"})
"""Headers that uvicorn listens to."""

_FORWARDED = frozenset({b"x-forwarded-for", b"x-forwarded-proto"})
"""Headers by which a proxy tells whose request it passes on."""


class BoundedProtocol(HttpToolsProtocol):
    """Uvicorn's, with an end to what a connection may keep it waiting for, and with a short way for most requests.

    Nearly all arrive in one piece, and the application has an entrance for those (`app.front`): no task is made for
    them and no messages, and head and body leave together. For all others it is uvicorn that calls the application.
    """

    cycle: "RequestResponseCycle | _Pending | None"  # type: ignore[assignment]
    _patience: asyncio.TimerHandle | None = None
    _is_head = True
    _unread_bytes = 0
    """How much came since a message began, or its last chunk: all of it is part of a head or of trailers."""
    _running: "RequestResponseCycle | _Pending | None" = None
    """What is being answered; `cycle` is what came last."""
    _idle_since_s: float | None = None
    _reading: asyncio.TimerHandle | None = None
    """Until when some of what waits to be read must have been."""
    _body: bytes | None = None
    """What there is of a body that may be answered whole."""
    _farewell: asyncio.TimerHandle | None = None
    """Until when a connection stays whose last answer was given before all of the request had come."""

    def __init__(
        self, config: uvicorn.Config, server_state: Any, app_state: dict[str, Any], **options: Any
    ) -> None:
        super().__init__(config, server_state, app_state, **options)
        self._entrances: Mapping[bytes, Entrance] = (
            {}
            if config.root_path
            else {path.encode(): entrance for path, entrance in app_state.get(ENTRANCES, {}).items()}
        )

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._wait_no_more()
        self._expect_nothing()
        if self._farewell is not None:
            self._farewell.cancel()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in what came; what is no body is part of a head, until that is complete."""
        if self._farewell is not None:
            self._unread_bytes += len(data)
            if self._unread_bytes > LINGER_BYTES_MAX:
                self.transport.close()
            return
        if self.cycle is not None and self.cycle.response_complete:
            self._is_head = True
        self._unread_bytes += len(data)
        super().data_received(data)
        if self._body is not None:
            self._go_on(self._body)
        # Nearly every request comes in one piece: only what is waited for needs a look.
        if self._is_head or self._unread_bytes:
            self._look_at_a_piece()

    def _look_at_a_piece(self) -> None:
        if self.transport.is_closing():
            self._expect_reading()
            return
        if self._is_head:
            self._wait()
        if self._unread_bytes > HEAD_BYTES_MAX:
            self._wait_no_more()
            self.send_400_response("The head of the request is too large.")

    def on_headers_complete(self) -> None:
        """Begin to serve the request."""
        if len(self.pipeline) >= PIPELINED_MAX:
            # The parser takes it for the caller's mistake, as it is, and goes no further.
            raise ValueError("too many requests wait for their turn")
        self._is_head = False
        self._wait_no_more()
        if self._may_be_whole():
            self._body = b""
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take in a piece of a body."""
        if self._body is None:
            self._unread_bytes -= len(body)
            super().on_body(body)
            return
        self._body += body
        if len(self._body) > WHOLE_BYTES_MAX:
            self._go_on(self._body)

    def on_message_complete(self) -> None:
        """Have the request answered, if that could not begin before."""
        self._unread_bytes = 0
        if self._body is None:
            super().on_message_complete()
            return
        body, self._body = self._body, None
        if not self._answers_whole(body):
            super().on_headers_complete()
            super().on_body(body)
            super().on_message_complete()

    def on_chunk_header(self) -> None:
        """Have nobody take trailers for headers: they were seen by no proxy, and the application may be looking already."""
        if self.headers is self.scope["headers"]:
            self.headers = [*self.headers]

    def on_chunk_complete(self) -> None:
        """Count anew: what stands around a chunk is as little as the chunk."""
        self._unread_bytes = 0

    def send_400_response(self, msg: str) -> None:
        """Refuse what came, and hang up; whoever waits for another answer would take this one for it."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            is_next = True
        else:
            is_next = cycle is self._running and cycle.more_body and not cycle.response_started
        if is_next:
            super().send_400_response(msg)
        else:
            self.transport.close()

    def _may_be_whole(self) -> bool:
        parser, cycle = self.parser, self.cycle
        return (
            self.url in self._entrances
            and parser.get_method() == b"POST"
            and parser.should_keep_alive()
            and parser.get_http_version() == "1.1"
            and (cycle is None or cycle.response_complete)
            and not self.flow.write_paused
            and not self._has_one_of(_TELLING_MORE)
        )

    def _has_one_of(self, names: frozenset[bytes]) -> bool:
        return not names.isdisjoint([name for name, _ in self.headers])

    def _go_on(self, body: bytes) -> None:
        """Call the application before all of the body is there."""
        self._body = None
        self._unread_bytes -= len(body)
        if self.transport.is_closing():
            return
        super().on_headers_complete()
        super().on_body(body)

    def _answers_whole(self, body: bytes) -> bool:
        scope = cast("dict[str, Any]", self.scope)
        scope.update(method="POST", path=self.url.decode(), raw_path=self.url, query_string=b"")
        before, pending = self.cycle, _Pending()
        self.cycle = self._running = pending
        try:
            if self.config.proxy_headers and self._has_one_of(_FORWARDED):
                # A copy: if it can't be answered here, uvicorn looks at all of it anew.
                scope = scope.copy()
                run_at_once(_passed_on(self.config)(scope, *_UNASKED))
            if self._entrances[self.url](scope, body, partial(self._answer, pending)):
                return True
        except Exception:
            # The parser would take it for the caller's mistake.
            logger.exception("a request was not answered")
            self.transport.close()
            return True
        self.cycle = before
        return False

    def _answer(
        self, pending: "_Pending", status: int, shared: tuple[Header, ...], own: Header, body: bytes
    ) -> None:
        if pending.disconnected:
            return
        if pending.response_complete:
            # Whoever sends the next request on this connection would take it for theirs.
            logger.error("a request was answered twice")
            return
        lines = _shared.get(shared) or _share(shared)
        default = _lines_of(self.server_state.default_headers)
        closes = not pending.keep_alive or lines.closes
        last = b"connection: close\r\n\r\n" if closes else b"\r\n"
        length = b"content-length: %d\r\n" % len(body)
        head = (STATUS_LINE[status], default, lines.text, b"%b: %b\r\n" % own, length, last)
        self.transport.write(b"".join((*head, body)))
        pending.response_complete = True
        if closes:
            self.transport.close()
        self.on_response_complete()

    def on_response_complete(self) -> None:
        """Begin what was waiting for the answer's end, or wait for what comes next."""
        self.server_state.total_requests += 1
        if self.transport.is_closing() or self._farewell is not None:
            self._expect_reading()
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            self.flow.resume_reading()
            return
        self.flow.resume_reading()
        self._idle_since_s = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._let_idle(self.timeout_keep_alive)

    def _unset_keepalive_if_required(self) -> None:
        # Requests come more often than connections are idle for long, so the timer is left to find out.
        self._idle_since_s = None

    def _let_idle(self, for_s: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(for_s, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that was idle for as long as it may be."""
        self.timeout_keep_alive_task = None
        if self._idle_since_s is None:
            return
        left_s = self._idle_since_s + self.timeout_keep_alive - self.loop.time()
        if left_s > 0:
            self._let_idle(left_s)
        else:
            super().timeout_keep_alive_handler()
            self._expect_reading()

    def pause_writing(self) -> None:
        """Note that the other side doesn't read."""
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        """Note that the other side has read."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._expect_nothing()

    def _expect_reading(self) -> None:
        # A connection is closed once all was read, so who never reads would keep it, and what waits, for ever.
        self._expect_nothing()
        if (left := self.transport.get_write_buffer_size()) > 0:
            self._reading = self.loop.call_later(UNREAD_TIMEOUT_S, self._look_what_was_read, left)

    def _expect_nothing(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _look_what_was_read(self, before: int) -> None:
        if self.transport.get_write_buffer_size() >= before:
            self.transport.abort()
        else:
            self._expect_reading()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        if cycle.more_body:
            cycle.transport = cast("Any", _UntilRead(self.transport, self, cycle))
        super()._start_asgi_task(cycle, app)

    def say_farewell(self) -> None:
        """Close the connection in the direction of the caller, and take in for a while what still comes.

        Were it closed at once, the system would answer what comes with a reset, at which callers and proxies throw the answer
        away that they were just given.
        """
        self._wait_no_more()
        self._unread_bytes = 0
        self._farewell = self.loop.call_later(LINGER_S, self.transport.close)
        self.transport.write_eof()
        self.flow.resume_reading()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over to a socket, and leave nothing of the request behind."""
        if self.cycle is not None and not self.cycle.response_complete:
            # The answer would be written in between the socket's messages.
            self.transport.close()
            return
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


class _Flow(FlowControl):
    """Uvicorn's, which reads on at each answer, and whenever somebody waits for a body.

    Each request that waits for its turn takes a hundred times what it was sent in, so nothing more is read as long as there is one.
    Its body is there, or nothing would have followed it.
    """

    def __init__(self, transport: asyncio.Transport, pipeline: Collection[object]) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        """Read on, unless requests wait for their turn."""
        if not self._pipeline:
            super().resume_reading()


class _UntilRead:
    """A connection as uvicorn closes it after an answer: not before what was sent with the request has come."""

    __slots__ = ("_cycle", "_protocol", "_transport", "is_closing", "write")

    def __init__(
        self, transport: asyncio.Transport, protocol: BoundedProtocol, cycle: RequestResponseCycle
    ) -> None:
        self._transport = transport
        self._protocol = protocol
        self._cycle = cycle
        self.write = transport.write
        self.is_closing = transport.is_closing

    def close(self) -> None:
        """Close it, or begin to."""
        cycle, transport = self._cycle, self._transport
        if (
            cycle.response_complete
            and cycle.more_body
            and not cycle.disconnected
            and transport.can_write_eof()
        ):
            self._protocol.say_farewell()
        else:
            transport.close()


_UNASKED = (nothing, nothing)
"""What an application would receive by and send by, for who only looks at a scope."""


@lru_cache(maxsize=1)
def _passed_on(config: uvicorn.Config) -> Any:
    """Return what puts the caller into a scope whom a trusted proxy names."""
    return ProxyHeadersMiddleware(cast("Any", nothing), config.forwarded_allow_ips)


class _Pending:
    """A request that is answered whole, as uvicorn looks at it meanwhile."""

    __slots__ = ("disconnected", "keep_alive", "response_complete")

    message_event = asyncio.Event()
    """Nobody waits for messages."""

    def __init__(self) -> None:
        self.disconnected = False
        self.response_complete = False
        self.keep_alive = True

    more_body = response_started = False
    """It has come, and is answered all at once."""


class _Shared(NamedTuple):
    """Headers that many answers have, written out."""

    text: bytes
    closes: bool
    """Whether the connection ends with such an answer."""


_shared: dict[tuple[Header, ...], _Shared] = {}


def _share(headers: tuple[Header, ...]) -> _Shared:
    if len(_shared) >= SHARED_MAX:
        _shared.clear()
    lines = _written(header for header in headers if header[0] != b"connection")
    _shared[headers] = _Shared(lines, (b"connection", b"close") in headers)
    return _shared[headers]


_TELLING = frozenset({b"connection", b"content-length", b"transfer-encoding"})
"""Headers that decide how an answer is written: they are written where that is decided."""


def _written(headers: Iterable[Header]) -> bytes:
    """Return headers as they are written; raise ValueError for one that would break the answer."""
    lines = []
    for name, value in headers:
        if name.lower() in _TELLING or HEADER_RE.search(name) or HEADER_VALUE_RE.search(value):
            raise ValueError(f"The header {name!r} of the answer can't be written out.")
        lines.append(b"%b: %b\r\n" % (name, value))
    return b"".join(lines)


class _Default(NamedTuple):
    """The headers that uvicorn adds to every answer, which it makes anew each second, and their lines."""

    headers: list[Header]
    lines: bytes


_default = _Default([], b"")


def _lines_of(headers: list[Header]) -> bytes:
    global _default  # noqa: PLW0603 - a memory of one
    if headers is not _default.headers:
        _default = _Default(headers, _written(headers))
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

    def target(self, sockets: list[Any] | None = None) -> None:
        """Serve, until told to stop or until the supervisor is gone: nobody would replace this process, nor free its port."""
        threading.Thread(target=_stop_with_supervisor, daemon=True).start()
        super().target(sockets)


def _stop_with_supervisor() -> None:
    supervisor = parent_process()
    if supervisor is not None:
        supervisor.join()
        os.kill(os.getpid(), signal.SIGTERM)


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
