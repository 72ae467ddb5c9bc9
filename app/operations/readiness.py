"""Whether this process should be sent requests, and if not, why."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from app.backends.patience import DatabaseSlow
from app.backends.sessions import UnfitSession
from app.context import Runtime
from app.db import DatabaseError, pending_migrations, ping
from app.jobs import Jobs
from app.outbox.worker import OutboxWorker
from app.webhooks.processing import Processor

CHECK_TIMEOUT_S = 3.0
"""How long the database may take to answer a check."""

FRESH_S = 1.0
"""How long an answer of the database stands, so that whoever asks often doesn't keep it busy."""

MIGRATIONS_FRESH_S = 30.0

LISTENER_GRACE_S = 15.0
"""How long the listener may be away: it finds what it missed when it is back."""

JOBS_LAG_MAX_S = 120.0
"""How long a round of the jobs may be overdue."""


class Listener(Protocol):
    """What hears of other processes' commits."""

    @property
    def is_healthy(self) -> bool:
        """Whether it hears."""

    @property
    def lag_s(self) -> float:
        """For how many seconds it has not heard."""

    @property
    def is_vital(self) -> bool:
        """Whether this process should be sent no requests while it does not hear."""


@dataclass(frozen=True, slots=True)
class _Known:
    """An answer, and when it was given."""

    problem: str | None
    at: float


class Readiness:
    """Asks each part how it is."""

    def __init__(
        self,
        runtime: Runtime,
        listener: Listener,
        jobs: Jobs,
        processor: Processor,
        outbox: OutboxWorker,
    ) -> None:
        self._runtime = runtime
        self._listener = listener
        self._jobs = jobs
        self._processor = processor
        self._outbox = outbox
        self._known: dict[str, _Known] = {}
        self._asking = asyncio.Lock()
        self.draining = False

    async def problems(self) -> dict[str, str]:
        """Name what is not ready, and say what is wrong with it; nothing when all is well."""
        found = {
            "draining": "the server is stopping" if self.draining else None,
            "writer": None if self._runtime.writer.is_running else "the ledger's writer does not run",
            "jobs": self._jobs_problem(),
            "webhooks": self._webhooks_problem(),
            "outbox": self._outbox_problem(),
            "listener": self._listener_problem(),
        }
        # One asks, the others wait for the answer: a thousand probes are one statement.
        async with self._asking:
            found["database"] = await self._asked("database", _database_problem, FRESH_S)
            if found["database"] is None:
                found["migrations"] = await self._asked("migrations", _migrations_problem, MIGRATIONS_FRESH_S)
        return {name: problem for name, problem in found.items() if problem is not None}

    def degraded(self) -> dict[str, str]:
        """Name what does not work although requests are answered as they should, and say what that means."""
        found = {}
        if not (self._listener.is_vital or self._listener.is_healthy):
            lag_s = self._listener.lag_s
            found["listener"] = (
                f"processes could not tell each other for {lag_s:.0f} s; live events are seconds late"
            )
        if failing_s := self._runtime.writer.failing_s:
            # A full disk is full for all processes, and what reads is answered: no reason to answer nobody.
            found["writer"] = (
                f"nothing could be written for {failing_s:.0f} s; changes are refused until it can"
            )
        return found

    def lags_s(self) -> Mapping[str, float]:
        """Tell for how many seconds the oldest thing of each of the clock's jobs has waited."""
        return self._jobs.lags_s()

    def _jobs_problem(self) -> str | None:
        if not self._jobs.is_alive:
            return "the jobs do not run"
        # What waits, because it fails or is much, is no reason to send requests elsewhere; that no round goes well is.
        late = {name: state.overdue_s for name, state in self._jobs.states.items()}
        name, lag_s = max(late.items(), key=lambda one: one[1])
        return f"no round of {name} went well for {lag_s:.0f} s" if lag_s > JOBS_LAG_MAX_S else None

    def _webhooks_problem(self) -> str | None:
        # Many that wait are no reason to send requests elsewhere; that nobody looks at them is.
        if not self._processor.is_alive:
            return "nobody works on webhooks"
        lag_s = self._processor.lag_s
        return f"due webhooks were not looked for for {lag_s:.0f} s" if lag_s > JOBS_LAG_MAX_S else None

    def _outbox_problem(self) -> str | None:
        if not self._outbox.is_alive:
            return "nobody sends what leaves the program"
        lag_s = self._outbox.lag_s
        return f"due messages were not looked for for {lag_s:.0f} s" if lag_s > JOBS_LAG_MAX_S else None

    def _listener_problem(self) -> str | None:
        lag_s = self._listener.lag_s if self._listener.is_vital else 0
        return f"other processes were not heard for {lag_s:.0f} s" if lag_s > LISTENER_GRACE_S else None

    async def _asked(self, name: str, ask: Callable[[], Awaitable[str | None]], fresh_s: float) -> str | None:
        known = self._known.get(name)
        if known is None or known.problem is not None or monotonic() - known.at > fresh_s:
            known = self._known[name] = _Known(await ask(), monotonic())
        return known.problem


async def _database_problem() -> str | None:
    return await _in_time(ping)


async def _migrations_problem() -> str | None:
    async def look() -> None:
        pending = await pending_migrations()
        if pending:
            raise DatabaseError(f"migrations are missing: {', '.join(pending)}")

    return await _in_time(look)


async def _in_time(work: Callable[[], Awaitable[None]]) -> str | None:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await work()
    except (TimeoutError, DatabaseSlow):
        return "the database does not answer"
    except DatabaseError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, this process can't serve
        if isinstance(error.__cause__, UnfitSession):
            return f"the database can't be used: {error.__cause__}"
        # The kind only: the message may name hosts, and this is shown to whoever asks.
        return f"the database can't be reached ({type(error).__name__})"
    return None
