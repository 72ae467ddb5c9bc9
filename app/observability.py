"""What the server says about itself: structured logs, and the id of the request that they are about.

No credential and no personal data is ever logged. That is a rule for whoever writes a log line, and a net below
them: `redacted` masks what looks like a token or an e-mail address, in libraries' messages and in stacks too.
"""

import logging
import re
import sys
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, TextIO

import orjson
import structlog
import uuid_utils
from starlette.requests import HTTPConnection
from structlog.typing import EventDict, Processor, WrappedLogger

_SENSITIVE = re.compile(
    r"authori[sz]ation|token|secret|password|passwd|cookie|api_?key|credential|e_?mail|phone|iban",
    re.IGNORECASE,
)
_CREDENTIAL = re.compile(
    r"(?<![\w-])eyJ[\w-]{5,}(?:\.[\w-]*){1,2}"  # a JSON Web Token, wherever it stands, and the beginning of one
    r"|(?<=bearer )\S+"
    r"|cof_[0-9a-z]{4,}_[0-9a-f]+"  # an API key of ours
    r"|(?<=://)[^\s/@]+(?=@)",  # name and password in an address, as in a database URL
    re.IGNORECASE,
)
_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+")
_MASK = "[redacted]"
_DEPTH_MAX = 5
_HARMLESS = frozenset({type(None), bool, int, float})

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that is being served: it is in all lines that are written meanwhile."""

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
    outcome, code, status, stack = (
        line.get("outcome"),
        line.get("code"),
        line.get("status"),
        line.get("exc_info"),
    )
    is_bad = isinstance(status, int) and status >= 400
    if not (is_warning or is_bad or code or stack or (outcome is not None and outcome != "OK")):
        return None
    return outcome, code, status, type(stack[1]) if isinstance(stack, tuple) else bool(stack)


def configure_logging(*, json: bool, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send everything that the process logs, its own and its libraries', through one form to one stream.

    `json` is for machines, one object a line; otherwise the lines are for a person at a terminal.
    """
    out = sys.stderr if stream is None else stream
    level_number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        _with_request_id,
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
        foreign_pre_chain=[
            *shared,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            _without_colored_copy,
        ],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )
    _route_standard_logging(formatter, level_number, out, sampling)


def _without_colored_copy(_logger: object, _method: str, line: EventDict) -> EventDict:
    """Leave out what uvicorn says once more, with codes for the colors of a terminal."""
    line.pop("color_message", None)
    return line


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


def _with_request_id(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Tell, as structlog's processor, which request a line is about."""
    if (request_id := REQUEST_ID.get()) is not None:
        event.setdefault("request_id", request_id)
    return event


class OftenUsedLogger:
    """Structlog's logger for lines of every request.

    Structlog makes a new logger for each line unless it is told to keep the first for ever. This keeps it for as long
    as logging is configured as it was.
    """

    def __init__(self) -> None:
        self._made: Any = None
        self._processors: object = None
        self._form: object = None
        self._stream: object = None

    @property
    def now(self) -> Any:
        """The logger: ask it `is_enabled_for` before working out what it is to write."""
        config = structlog.get_config()
        if (
            config["processors"] is not self._processors
            or config["wrapper_class"] is not self._form
            or config["logger_factory"] is not self._stream
        ):
            self._processors, self._form = config["processors"], config["wrapper_class"]
            self._stream = config["logger_factory"]
            self._made = structlog.get_logger().bind()
        return self._made


def redacted(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask, as structlog's processor, what must not be in a log."""
    return {key: _clean(key, value, 0) for key, value in event.items()}


def _clean(key: str, value: object, depth: int) -> object:
    if type(value) in _HARMLESS:
        return value
    if _is_sensitive(key) or depth >= _DEPTH_MAX:
        return _MASK
    # Before all others, because nearly everything is text, and asking what is a mapping takes long.
    if type(value) is str:
        return masked(value)
    if isinstance(value, Mapping):
        return {name: _clean(str(name), item, depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", item, depth + 1) for item in value]
    return masked(str(value))


def masked(text: str) -> str:
    """Return the text without what looks like a credential or an e-mail address."""
    lowered = text.lower()
    # Looking for what each of them must hold is ten times quicker than the expressions, and most texts hold nothing.
    if "@" not in lowered and "eyj" not in lowered and "bearer " not in lowered and "cof_" not in lowered:
        return text
    return _EMAIL.sub(_MASK, _CREDENTIAL.sub(_MASK, text))


@lru_cache(maxsize=1024)
def _is_sensitive(key: str) -> bool:
    return _SENSITIVE.search(key) is not None


def current_request_id() -> str | None:
    """Return the id of the request that is being served, for messages that a caller can quote."""
    return REQUEST_ID.get()


def request_id_of(connection: HTTPConnection) -> str:
    """Return the id that the middleware gave a connection."""
    found = connection.scope.get("state", {}).get("request_id")
    return found if isinstance(found, str) else current_request_id() or new_request_id()


def new_request_id() -> str:
    """Make an id that sorts by time."""
    return uuid_utils.uuid7().hex
