"""How long a reader waits: for a connection, and for an answer.

Both refusals carry the code that the API shows for them, so that whoever reads need not know of them.
"""

import asyncio
from contextvars import ContextVar
from typing import Any

PATIENCE_S = 30.0
"""How long those wait for a connection whom nobody waits for."""

_deadline_s: ContextVar[float | None] = ContextVar("deadline_s", default=None)
_patient: ContextVar[bool] = ContextVar("patient", default=False)


class DatabaseBusy(Exception):
    """No connection was free in time, or the database can't be reached: the same may work in a moment."""

    message = "The database can't answer now. Try again in a moment."

    def __init__(self, *details: object) -> None:
        super().__init__(self.message, *details)
        self.extensions: dict[str, Any] = {"code": "SERVICE_UNAVAILABLE", "retryAfter": 1}


class DatabaseSlow(Exception):
    """The statement took longer than it may, and was stopped."""

    message = "The database took too long to answer: ask for less."

    def __init__(self, *details: object) -> None:
        super().__init__(self.message, *details)
        self.extensions: dict[str, Any] = {"code": "TIMEOUT"}


def hurry(timeout_s: float) -> None:
    """End the reading statements of this task, and of those that it starts, when the time is up."""
    _deadline_s.set(asyncio.get_running_loop().time() + timeout_s)


def be_patient() -> None:
    """Say that nobody waits for this task, nor for those that it starts: it stands in line for a connection.

    The server's own tasks look at the same moment as it starts, and a store with one reading connection has one for all.
    """
    _patient.set(True)


def acquire_timeout_s(usual_s: float | None) -> float | None:
    """Return how long this task waits for a connection, given how long a request does."""
    return usual_s if usual_s is None or not _patient.get() else max(usual_s, PATIENCE_S)


def time_is_up() -> asyncio.Timeout:
    """Return the block within which a statement of this task has to end."""
    return asyncio.timeout_at(_deadline_s.get())


def no_hurry() -> None:
    """Give the reading statements of this task the time that the database gives them, whoever started it."""
    _deadline_s.set(None)
