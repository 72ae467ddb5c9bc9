"""What the server says about itself: structured logs, request ids, one access line per request.

No credential and no personal data is ever logged. That is a rule for whoever writes a log line, and a net below
them: `redacted` masks what looks like a token or an e-mail address, in libraries' messages and in stacks too.
"""

import logging
import re
import sys
import time
from collections.abc import Callable, Mapping, MutableMapping
from functools import lru_cache
from typing import TextIO

import orjson
import structlog
import uuid_utils
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import EventDict, Processor, WrappedLogger

from app.domain.access import ANONYMOUS, Principal

_SENSITIVE = re.compile(
    r"authori[sz]ation|token|secret|password|passwd|cookie|api_?key|credential|e_?mail|phone|iban",
    re.IGNORECASE,
)
_CREDENTIAL = re.compile(
    r"(?<![\w-])eyJ[\w-]{5,}\.[\w-]*\.[\w-]*"  # a JSON Web Token, wherever it stands
    r"|(?<=bearer )\S+"
    r"|cof_[0-9a-z]{4,}_[0-9a-f]+"  # an API key of ours
    r"|(?<=://)[^\s/@]+(?=@)",  # name and password in an address, as in a database URL
    re.IGNORECASE,
)
_SIGNS = ("eyj", "bearer ", "cof_")
"""One of them, or an `@`, is in whatever the expression finds."""
_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+")
_MASK = "[redacted]"
_DEPTH_MAX = 5

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_REQUEST_ID_HEADER = b"x-request-id"
_PATH_LENGTH_MAX = 200
CLIENT_CLOSED = 499
"""How a request is logged whose caller hung up before an answer began (nginx' number for it)."""


SAMPLE_SIZE = 50
"""Lines about one kind of trouble that are written in each `SAMPLE_INTERVAL_S`; the others are counted."""
SAMPLE_INTERVAL_S = 10.0
_KINDS_MAX = 1_000


class Sampling:
    """Keeps a flood of requests that go wrong from becoming a flood of lines that say the same.

    Only lines about trouble are counted: warnings, errors' codes, statuses from 400, stacks. The first line of a kind after the
    interval tells how many were left out. Kinds are few, for what makes one is never a caller's own words.
    """

    def __init__(
        self,
        *,
        size: int = SAMPLE_SIZE,
        interval_s: float = SAMPLE_INTERVAL_S,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._size = size
        self._interval_s = interval_s
        self._timer = timer
        self._kinds: dict[tuple[object, ...], list[float]] = {}

    def left_out(self, kind: tuple[object, ...]) -> int | None:
        """Tell how many lines of the kind were left out before this one; None to leave this one out too."""
        now = self._timer()
        if len(self._kinds) > _KINDS_MAX:
            self._kinds.clear()
        known = self._kinds.setdefault(kind, [now, 0.0])
        if now - known[0] >= self._interval_s:
            left_out = max(0, int(known[1]) - self._size)
            known[:] = [now, 1.0]
            return left_out
        known[1] += 1
        return 0 if known[1] <= self._size else None

    def processor(self, _logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Leave lines out, as structlog's processor."""
        kind = _trouble(event, is_warning=method not in {"debug", "info"})
        if kind is None:
            return event
        left_out = self.left_out((event.get("event"), *kind))
        if left_out is None:
            raise structlog.DropEvent
        if left_out:
            event["left_out"] = left_out
        return event

    def filter(self, record: logging.LogRecord) -> bool:
        """Leave lines out, as the standard library's filter."""
        kind = _trouble(vars(record), is_warning=record.levelno >= logging.WARNING)
        if kind is None:
            return True
        left_out = self.left_out((record.name, record.msg, *kind))
        if left_out:
            record.left_out = left_out
        return left_out is not None


def _trouble(line: Mapping[str, object], *, is_warning: bool) -> tuple[object, ...] | None:
    """Return what sort of trouble a line is about; None if it is about none."""
    outcome, code, status, stack = (line.get(name) for name in ("outcome", "code", "status", "exc_info"))
    is_bad = isinstance(status, int) and status >= 400
    if not (is_warning or is_bad or code or stack or outcome not in {None, "OK"}):
        return None
    return outcome, code, status, type(stack[1]) if isinstance(stack, tuple) else bool(stack)


def configure_logging(*, json: bool, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send everything that the process logs, its own and its libraries', through one form to one stream.

    `json` is for machines, one object a line; otherwise the lines are for a person at a terminal.
    """
    out = sys.stderr if stream is None else stream
    level_number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    sampling = Sampling()
    last = _last_processors(json=json, colors=not json and out.isatty())
    structlog.configure(
        processors=[sampling.processor, *shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level_number),
        # Straight to the stream: going through the standard library doubles what an access line costs.
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder()],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )
    _route_standard_logging(formatter, level_number, out, sampling)


def _last_processors(*, json: bool, colors: bool) -> list[Processor]:
    if json:
        # The stack becomes text before it is masked, since messages of errors quote what they choked on.
        return [structlog.processors.format_exc_info, redacted, structlog.processors.JSONRenderer(_dumps)]
    # Stacks are text already, and plain: the pretty ones print local variables, and those hold tokens.
    renderer = structlog.dev.ConsoleRenderer(
        colors=colors, exception_formatter=structlog.dev.plain_traceback, sort_keys=False
    )
    return [structlog.processors.format_exc_info, redacted, renderer]


def _dumps(value: object, **_: object) -> str:
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _route_standard_logging(
    formatter: logging.Formatter, level: int, out: TextIO, sampling: Sampling
) -> None:
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    handler.addFilter(sampling)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "tortoise", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # uvicorn's own access lines hold query strings, and Coffer writes its own; httpx writes whole addresses.
    logging.getLogger("uvicorn.access").handlers.clear()
    logging.getLogger("uvicorn.access").propagate = False
    logging.getLogger("httpx").setLevel(max(level, logging.WARNING))
    # Statements with their parameters are personal data.
    logging.getLogger("tortoise.db_client").setLevel(max(level, logging.INFO))


def redacted(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask, as structlog's processor, what must not be in a log."""
    return {key: _clean(key, value, 0) for key, value in event.items()}


def _clean(key: str, value: object, depth: int) -> object:
    if isinstance(value, bool | int | float) or value is None:
        return value
    if _is_sensitive(key) or depth >= _DEPTH_MAX:
        return _MASK
    if isinstance(value, Mapping):
        return {name: _clean(str(name), item, depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", item, depth + 1) for item in value]
    return masked(str(value))


def masked(text: str) -> str:
    """Return the text without what looks like a credential or an e-mail address."""
    lowered = text.lower()
    # Looking for what each of them must hold is ten times quicker than the expressions, and most texts hold nothing.
    if "@" not in lowered and not any(sign in lowered for sign in _SIGNS):
        return text
    return _EMAIL.sub(_MASK, _CREDENTIAL.sub(_MASK, text))


@lru_cache(maxsize=1024)
def _is_sensitive(key: str) -> bool:
    return _SENSITIVE.search(key) is not None


def current_request_id() -> str | None:
    """Return the id of the request that is being served, for messages that a caller can quote."""
    value = structlog.contextvars.get_contextvars().get("request_id")
    return value if isinstance(value, str) else None


def request_id_of(connection: HTTPConnection) -> str:
    """Return the id that the middleware gave a connection."""
    found = connection.scope.get("state", {}).get("request_id")
    return found if isinstance(found, str) else current_request_id() or new_request_id()


def new_request_id() -> str:
    """Make an id that sorts by time."""
    return uuid_utils.uuid7().hex


class RequestIdMiddleware:
    """Gives every request an id: in its log lines, in `scope["state"]["request_id"]`, in the answer's header.

    An id that came with the request is kept, so that a store's proxy, its shop and Coffer can be read together;
    but only if it is short and plain, because it goes into logs and headers as it is.
    """

    def __init__(self, app: ASGIApp, *, new_id: Callable[[], str] = new_request_id) -> None:
        self._app = app
        self._new_id = new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        # Names are in lower case already, as ASGI has them.
        given = [value.decode("latin-1") for name, value in scope["headers"] if name == _REQUEST_ID_HEADER]
        sane = len(given) == 1 and _REQUEST_ID.fullmatch(given[0]) is not None
        request_id = given[0] if sane else self._new_id()
        header = (_REQUEST_ID_HEADER, request_id.encode())
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] in {
                "http.response.start",
                "websocket.accept",
                "websocket.http.response.start",
            }:
                others = (each for each in message.get("headers", ()) if each[0] != _REQUEST_ID_HEADER)
                message["headers"] = [*others, header]
            await send(message)

        # Without the context manager around both, which asks what else is bound.
        tokens = structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            structlog.contextvars.reset_contextvars(**tokens)


class AccessLogMiddleware:
    """Writes one line per request when it is over: method, path, status, duration, kind of caller.

    No query string, no address, no subject. Whoever authenticates puts the principal into
    `scope["state"]["principal"]`. A socket is one line too, when it closes, with its close code as the status.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        quiet_paths: frozenset[str] = frozenset(),
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._app = app
        self._quiet_paths = quiet_paths
        self._timer = timer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        # The dictionary is fetched now: routers hand copies of the scope on, and copies share this one.
        state = scope.setdefault("state", {})
        seen = _Outcome(scope["type"])
        started_s = self._timer()
        try:
            await self._app(scope, seen.receiving(receive), seen.sending(send))
        except Exception:
            seen.failed()
            raise
        finally:
            self._write(scope, state, seen.status, self._timer() - started_s)

    def _write(self, scope: Scope, state: MutableMapping[str, object], status: int, taken_s: float) -> None:
        log = structlog.get_logger("app.access")
        principal = state.get("principal")
        kind = principal.kind if isinstance(principal, Principal) else ANONYMOUS.kind
        # What was an operation has a line of its own already.
        is_quiet = scope["path"] in self._quiet_paths or state.get("observed") is True
        write = log.debug if is_quiet else log.info
        write(
            "request",
            method=_plain(scope.get("method", "WEBSOCKET")),
            path=_plain(scope["path"]),
            status=status,
            duration_ms=round(taken_s * 1000, 2),
            principal=kind.value,
        )


class _Outcome:
    """Watches a connection's messages to learn how it ended."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        # Nobody has answered yet, and if nobody ever does, it is because the caller has gone.
        self.status = CLIENT_CLOSED if kind == "http" else 1006
        self._answered = False

    def receiving(self, receive: Receive) -> Receive:
        async def received() -> Message:
            message = await receive()
            if message["type"] == "websocket.disconnect" and not self._answered:
                self._answer(message.get("code", 1005))
            return message

        return received

    def sending(self, send: Send) -> Send:
        async def sent(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.http.response.start"}:
                self._answer(message["status"])
            elif message["type"] == "websocket.close" and not self._answered:
                self._answer(message.get("code", 1000))
            await send(message)

        return sent

    def _answer(self, status: int) -> None:
        self.status = status
        self._answered = True

    def failed(self) -> None:
        """Note that the application raised: what was not answered yet will be answered as a defect."""
        if not self._answered:
            self.status = 500 if self._kind == "http" else 1011


def _plain(text: str) -> str:
    """Return the text on one line and of bounded length: paths are the caller's words, line breaks included."""
    shown = text[:_PATH_LENGTH_MAX]
    return shown if shown.isprintable() else shown.encode("unicode_escape").decode("ascii")
