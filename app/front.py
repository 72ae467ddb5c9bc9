"""What stands in front of all that is served: each request and each socket gets its id, its line in the log, and in
every answer the headers that browsers are to obey.

It is one object and not three around each other, because all of it is done at the same two moments: before anything
else, and when an answer begins.
"""

import logging
import re
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, MutableMapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.domain.access import ANONYMOUS, Principal
from app.observability import REQUEST_ID, OftenUsedLogger, new_request_id

HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
"""An answer that has one of them (the page of GraphiQL) keeps its own."""

SHARED_MAX = 100
"""How many sets of headers are remembered, as they are when they are complete."""

CLIENT_CLOSED = 499
"""How a request is logged whose caller hung up before an answer began (nginx' number for it)."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_REQUEST_ID_HEADER = b"x-request-id"
_PATH_LENGTH_MAX = 200

Header = tuple[bytes, bytes]

Reply = Callable[[int, tuple[Header, ...], bytes], None]
"""Takes an answer: its status, its headers but for its length, its body."""

Whole = Callable[[Scope, bytes, Reply], bool]
"""Answers a request that is there whole, at once or later; False where it did nothing, and has to be called as ASGI says."""

FullReply = Callable[[int, tuple[Header, ...], Header, bytes], None]
"""Takes an answer that has all its headers but for its length: many answers have the same, and one of its own."""

Entrance = Callable[[Scope, bytes, FullReply], bool]
"""`Whole`, for who writes the answer out."""

ENTRANCES = "coffer.entrances"
"""Where a server finds, in the state that the lifespan gave it, what answers requests that are there whole, by path."""

log = OftenUsedLogger()


class _Own(NamedTuple):
    """What answers are given."""

    headers: tuple[Header, ...]
    names: frozenset[bytes]
    """Theirs, and that of the request's id."""

    def beside(self, given: Iterable[Header], *id_header: Header) -> list[Header]:
        """Return an answer's headers with the request's id and ours; what it says itself stands, but for the id."""
        headers = [*given]
        names = {name.lower() for name, _ in headers}
        if names.isdisjoint(self.names):
            return [*headers, *id_header, *self.headers]
        headers = [header for header in headers if header[0].lower() != _REQUEST_ID_HEADER]
        return [*headers, *id_header, *(header for header in self.headers if header[0] not in names)]


class Front:
    """Gives every request an id, writes one line about it when it is over, and completes the headers of its answer.

    The id is in the log's lines, in `scope["state"]["request_id"]`, and in the answer's header. One that came with
    the request is kept, so that a store's proxy, its shop and Coffer can be read together; but only if it is short
    and plain, because it goes into logs and headers as it is.

    The line tells method, path, status, duration, kind of caller: no query string, no address, no subject. Whoever
    authenticates puts the principal into `scope["state"]["principal"]`. A socket is one line too, when it closes,
    with its close code as the status.

    It also answers for what broke further in, so that no answer goes without the headers.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        quiet_paths: frozenset[str] = frozenset(),
        hsts_max_age_s: int = 0,
        new_id: Callable[[], str] = new_request_id,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._app = app
        self._quiet_paths = quiet_paths
        self._new_id = new_id
        self._timer = timer
        headers = dict(HEADERS)
        if hsts_max_age_s:
            headers["strict-transport-security"] = f"max-age={hsts_max_age_s}; includeSubDomains"
        # Encoded once, not for every answer.
        encoded = tuple((name.encode(), value.encode()) for name, value in headers.items())
        self._shared: dict[tuple[Header, ...], tuple[Header, ...]] = {}
        self._own = _Own(encoded, frozenset(name for name, _ in encoded) | {_REQUEST_ID_HEADER})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http":
            exchange = _Exchange(send, self._own)
            await self._serve(scope, receive, exchange.send, exchange)
        elif scope["type"] == "websocket":
            socket = _Socket(receive, send)
            await self._serve(scope, socket.receive, socket.send, socket)
        else:
            await self._app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, seen: "_Seen") -> None:
        request_id = self._id_of(scope)
        seen.id_header = (_REQUEST_ID_HEADER, request_id.encode())
        # The dictionary is fetched now: routers hand copies of the scope on, and copies share this one.
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        token = REQUEST_ID.set(request_id)
        started_s = self._timer()
        try:
            await self._app(scope, receive, send)
        except Exception:
            await seen.failed(scope, receive)
            raise
        finally:
            self._write(scope, state, seen.status, self._timer() - started_s)
            REQUEST_ID.reset(token)

    def entrance(self, whole: Whole) -> Entrance:
        """Return a way past the messages of ASGI to what answers requests that are there whole."""

        def enter(scope: Scope, body: bytes, reply: FullReply) -> bool:
            request_id = self._id_of(scope)
            state = scope["state"]
            state["request_id"] = request_id
            started_s = self._timer()

            def finish(status: int, headers: tuple[Header, ...], answer: bytes) -> None:
                self._write(scope, state, status, self._timer() - started_s)
                shared = self._shared.get(headers) or self._share(headers)
                reply(status, shared, (_REQUEST_ID_HEADER, request_id.encode()), answer)

            token = REQUEST_ID.set(request_id)
            try:
                return whole(scope, body, finish)
            finally:
                REQUEST_ID.reset(token)

        return enter

    def _share(self, headers: tuple[Header, ...]) -> tuple[Header, ...]:
        if len(self._shared) >= SHARED_MAX:
            self._shared.clear()
        # Without the request's id, which is the answer's own.
        found = self._shared[headers] = tuple(self._own.beside(headers))
        return found

    def _id_of(self, scope: Scope) -> str:
        # Names are in lower case already, as ASGI has them.
        given = [value for name, value in scope["headers"] if name == _REQUEST_ID_HEADER]
        if len(given) != 1:
            return self._new_id()
        text: str = given[0].decode("latin-1")
        return text if _REQUEST_ID.fullmatch(text) else self._new_id()

    def _write(self, scope: Scope, state: MutableMapping[str, Any], status: int, taken_s: float) -> None:
        # What was an operation has a line of its own already.
        is_quiet = state.get("observed") is True or scope["path"] in self._quiet_paths
        logger = log.now
        if not logger.is_enabled_for(logging.DEBUG if is_quiet else logging.INFO):
            return
        principal = state.get("principal")
        kind = principal.kind if isinstance(principal, Principal) else ANONYMOUS.kind
        write = logger.debug if is_quiet else logger.info
        write(
            "request",
            method=_plain(scope.get("method", "WEBSOCKET")),
            path=_plain(scope["path"]),
            status=status,
            duration_ms=round(taken_s * 1000, 2),
            principal=kind.value,
        )


class _Seen:
    """What is seen of a connection as its messages pass."""

    __slots__ = ("answered", "id_header", "status")

    def __init__(self, status: int) -> None:
        # Nobody has answered yet, and if nobody ever does, it is because the caller has gone.
        self.status = status
        self.answered = False
        self.id_header = (_REQUEST_ID_HEADER, b"")

    def answer(self, status: int) -> None:
        """Note how it was answered."""
        self.status = status
        self.answered = True

    async def failed(self, scope: Scope, receive: Receive) -> None:
        """The application raised: what was not answered yet is answered as a defect."""
        raise NotImplementedError


class _Exchange(_Seen):
    """A request and its answer."""

    __slots__ = ("_own", "_send")

    def __init__(self, send: Send, own: _Own) -> None:
        super().__init__(CLIENT_CLOSED)
        self._send = send
        self._own = own

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message on; the answer's first is given the headers."""
        if message["type"] == "http.response.start":
            self.answer(message["status"])
            message["headers"] = self._own.beside(message.get("headers", ()), self.id_header)
        return self._send(message)

    async def failed(self, scope: Scope, receive: Receive) -> None:
        """Answer, if nobody has."""
        if not self.answered:
            await PlainTextResponse("Internal Server Error", 500)(scope, receive, self.send)


class _Socket(_Seen):
    """A websocket."""

    __slots__ = ("_receive", "_send")

    def __init__(self, receive: Receive, send: Send) -> None:
        super().__init__(1006)
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        """Pass on what the caller says."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect" and not self.answered:
            self.answer(message.get("code", 1005))
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """Pass on what is said to the caller."""
        kind = message["type"]
        if kind in {"websocket.accept", "websocket.http.response.start"}:
            others = (each for each in message.get("headers", ()) if each[0] != _REQUEST_ID_HEADER)
            message["headers"] = [*others, self.id_header]
        if kind == "websocket.http.response.start":
            self.answer(message["status"])
        elif kind == "websocket.close" and not self.answered:
            self.answer(message.get("code", 1000))
        return self._send(message)

    async def failed(self, scope: Scope, receive: Receive) -> None:
        """Note it; the server closes the socket."""
        if not self.answered:
            self.status = 1011


def _plain(text: str) -> str:
    """Return the text on one line and of bounded length: paths are the caller's words, line breaks included."""
    shown = text[:_PATH_LENGTH_MAX]
    return shown if shown.isprintable() else shown.encode("unicode_escape").decode("ascii")


def run_at_once(work: Coroutine[Any, Any, object]) -> None:
    """Run a coroutine that waits for nothing: a middleware, around something that has its result already."""
    try:
        work.send(None)
    except StopIteration:
        return
    work.close()
    raise RuntimeError("It waits for something.")


class Across:
    """Answers requests of other sites' pages with what CORS adds: Starlette works it out, once for each kind of answer."""

    def __init__(self, cors: CORSMiddleware, whole: Whole) -> None:
        self._cors = cors
        self._whole = whole
        self._completed = lru_cache(maxsize=SHARED_MAX)(self._completed_by_cors)

    def __call__(self, scope: Scope, body: bytes, reply: Reply) -> bool:
        """See `Whole`."""
        origin = next((value for name, value in scope["headers"] if name == b"origin"), None)

        def tell(status: int, headers: tuple[Header, ...], answer: bytes) -> None:
            reply(status, self._with(headers, origin), answer)

        return self._whole(scope, body, tell)

    def _with(self, headers: tuple[Header, ...], origin: bytes | None) -> tuple[Header, ...]:
        if origin is not None and not self._is_told_to_each(origin):
            # All who are let in without a look are told the same, and so are all who aren't let in.
            origin = b""
        return self._completed(headers, origin)

    def _is_told_to_each(self, origin: bytes) -> bool:
        cors = self._cors
        by_name = cors.allow_credentials or not cors.allow_all_origins
        return by_name and cors.is_allowed_origin(origin.decode("latin-1"))

    def _completed_by_cors(self, headers: tuple[Header, ...], origin: bytes | None) -> tuple[Header, ...]:
        message: Message = {"type": "http.response.start", "headers": [*headers]}
        asked = Headers(raw=[] if origin is None else [(b"origin", origin)])
        run_at_once(self._cors.send(message, nothing, asked))
        return tuple(message["headers"])


async def nothing(*_: object) -> None:
    """Stand where an application would."""


def _behind(middleware: Sequence[Middleware], whole: Whole) -> Whole | None:
    """Return what answers as it is answered behind the middleware; None where nobody knows that of one."""
    each: Any
    for each in reversed(middleware):
        if each.cls is not CORSMiddleware:
            return None
        whole = Across(CORSMiddleware(nothing, *each.args, **each.kwargs), whole)
    return whole


class AtOnce(Protocol):
    """What is for most requests: an application, and a way past the messages of ASGI."""

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve as an application."""

    def whole(self, scope: Scope, body: bytes, reply: Reply) -> bool:
        """Answer a request that is there whole (`Whole`)."""


class Application(Starlette):
    """Starlette, and a short way to what most requests are for: past the routes, and what surrounds them.

    What is reached `at_once` answers for its own errors, and takes GET and POST. It stands among the routes too, for
    all that is not quite what it takes.
    """

    def __init__(
        self, *, at_once: Mapping[str, AtOnce], middleware: Sequence[Middleware], **options: Any
    ) -> None:
        super().__init__(middleware=middleware, **options)
        self._at_once = {path: self._surrounded(app, middleware) for path, app in at_once.items()}
        self.entrances = {
            path: front.entrance(whole)
            for path, front in self._at_once.items()
            if isinstance(front, Front) and (whole := _behind(middleware[1:], at_once[path].whole))
        }
        """What answers requests that are there whole, by path."""

    @staticmethod
    def _surrounded(app: ASGIApp, middleware: Sequence[Middleware]) -> ASGIApp:
        for cls, arguments, options in reversed(middleware):
            app = cls(app, *arguments, **options)
        return app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http" and scope["method"] in {"GET", "POST"} and not scope.get("root_path"):
            app = self._at_once.get(scope["path"])
            if app is not None:
                scope["app"] = self
                await app(scope, receive, send)
                return
        await super().__call__(scope, receive, send)
