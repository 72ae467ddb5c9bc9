"""What somebody outside is told of each operation: one observation, when it is over.

The endpoint itself counts, traces and writes nothing of it. Neither variables nor the document are part of it.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from starlette.requests import HTTPConnection

from app.execution.documents import Operation
from app.execution.errors import ErrorCode

logger = logging.getLogger(__name__)

OK = "OK"
"""The outcome of an operation without a top-level error."""

GONE = "CLIENT_GONE"
"""The outcome of a request whose caller hung up while it was read."""

UNKNOWN = "unknown"
"""The type of what was refused before anybody knew what it is."""


class Observation(NamedTuple):
    """An operation that is over; a subscription is when its stream ended."""

    operation_type: str
    """query, mutation, subscription or unknown."""
    name: str | None
    """As the caller named it: any name at all."""
    outcome: str
    """OK, or the code of its first error."""
    duration_s: float
    principal: Any
    """None when nobody was proven."""
    request_id: str
    headers: Mapping[str, str]
    """Those of the request or of the socket's handshake."""


Observe = Callable[[Observation], None]


def write_down(seen: Observation) -> None:
    """Write a line for what was refused; a defect has written its own."""
    if seen.outcome not in {OK, ErrorCode.INTERNAL_SERVER_ERROR.value}:
        logger.info(
            "operation refused: %s",
            seen.outcome,
            extra={"request_id": seen.request_id, "code": seen.outcome, "type": seen.operation_type},
        )


class Watch:
    """Follows one operation, and tells the observer once."""

    __slots__ = ("_connection", "_observe", "_over", "_started_s", "operation", "principal", "request_id")

    def __init__(self, observe: Observe, connection: HTTPConnection, request_id: str) -> None:
        self._observe = observe
        self._connection = connection
        self.request_id = request_id
        self._started_s = time.perf_counter()
        self._over = False
        self.principal: Any = None
        self.operation: Operation | None = None

    def over(self, outcome: str) -> None:
        """Tell how it ended, unless that was told."""
        if self._over:
            return
        self._over = True
        operation = self.operation
        seen = Observation(
            UNKNOWN if operation is None else operation.kind,
            _name(operation),
            outcome,
            time.perf_counter() - self._started_s,
            self.principal,
            self.request_id,
            self._connection.headers,
        )
        try:
            self._observe(seen)
        except Exception:
            logger.exception("the observer of operations failed")


def outcome_of(response: Mapping[str, Any]) -> str:
    """Return the code of the first error of a response, or OK."""
    errors = response.get("errors")
    return str(errors[0]["extensions"]["code"]) if errors else OK


def _name(operation: Operation | None) -> str | None:
    if operation is None:
        return None
    if operation.name is None and operation.definition.name is not None:
        return operation.definition.name.value
    return operation.name
