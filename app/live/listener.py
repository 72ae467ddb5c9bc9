"""How other processes' commits are heard of: PostgreSQL tells, SQLite must be asked."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import structlog

from app.live.hub import Hub
from app.live.reader import backoff_s

log = structlog.get_logger("coffer.live")

CHANNEL = "coffer"
CONNECT_TIMEOUT_S = 10.0
KEEPALIVE_INTERVAL_S = 15.0
KEEPALIVE_TIMEOUT_S = 5.0

RECENT_S = 10.0
"""How far back the store-wide stream looks when SQLite says that something was written."""


class _Health:
    """Whether a listener hears, and if not, since when."""

    def __init__(self) -> None:
        self._healthy = False
        self._deaf_since = monotonic()

    def set(self, *, healthy: bool) -> None:
        if self._healthy and not healthy:
            self._deaf_since = monotonic()
        self._healthy = healthy

    @property
    def is_healthy(self) -> bool:
        return self._healthy

    @property
    def lag_s(self) -> float:
        return 0.0 if self._healthy else monotonic() - self._deaf_since


class PostgresListener:
    """Listens on a connection of its own, and comes back when it is lost.

    What was committed while nobody listened is then found by comparing with the database, so it is late, never
    lost. `process` is the writer's name for itself, whose notifications are `publish`ed already. `hear_rights` is
    called when another process changed who may do what, or may have done so unheard.
    """

    def __init__(
        self,
        hub: Hub,
        dsn: str,
        *,
        process: str,
        keepalive_interval_s: float = KEEPALIVE_INTERVAL_S,
        hear_rights: Callable[[], None] = lambda: None,
    ) -> None:
        self._hub = hub
        self._dsn = dsn
        self._process = process
        self._keepalive_interval_s = keepalive_interval_s
        self._hear_rights = hear_rights
        self._health = _Health()

    @property
    def is_healthy(self) -> bool:
        """Whether it listens."""
        return self._health.is_healthy

    @property
    def lag_s(self) -> float:
        """For how many seconds it has not been listening; 0 while it is."""
        return self._health.lag_s

    async def run(self) -> None:
        """Listen for ever."""
        attempt = 0
        while True:
            try:
                await self._listen()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                # A connection that had worked begins the count anew.
                attempt = 1 if self.is_healthy else attempt + 1
                log.warning("the listener lost its connection", error=repr(error), attempt=attempt)
            finally:
                self._health.set(healthy=False)
            await asyncio.sleep(backoff_s(attempt))

    async def _listen(self) -> None:
        connection = await asyncpg.connect(
            self._dsn, timeout=CONNECT_TIMEOUT_S, server_settings={"application_name": "coffer listener"}
        )
        try:
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(CHANNEL, self._hear)
            # First listening, then looking: nothing falls between.
            self._hub.recheck()
            self._hear_rights()
            self._health.set(healthy=True)
            while not await _happened(lost, self._keepalive_interval_s):
                await connection.execute("SELECT 1", timeout=KEEPALIVE_TIMEOUT_S)
            raise ConnectionError("the server closed the connection")
        finally:
            # Not closed politely: that waits for an answer, and nothing on this connection is worth waiting for.
            connection.terminate()

    def _hear(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        try:
            told = orjson.loads(payload)
            if told["process"] == self._process:
                return
            for wallet_id, sequence_before, sequence, version in told["wallets"]:
                self._hub.notice(UUID(wallet_id), sequence_before, sequence, version)
            if told.get("rights"):
                self._hear_rights()
        except (ValueError, TypeError, KeyError, AttributeError):
            # Whoever may connect to the database may notify on any channel.
            log.warning("a notification can't be read", payload=payload[:200])
            self._hub.recheck()


class SqliteWatcher:
    """Asks SQLite, while there are subscribers, whether anything was written since it asked last.

    `data_version` reads `PRAGMA data_version`, always on the same connection. This process's own commits change
    it too; comparing then finds nothing new.
    """

    def __init__(self, hub: Hub, data_version: Callable[[], Awaitable[int]], *, interval_s: float) -> None:
        self._hub = hub
        self._data_version = data_version
        self._interval_s = interval_s
        self._health = _Health()
        self._health.set(healthy=True)

    @property
    def is_healthy(self) -> bool:
        """Whether the last look worked."""
        return self._health.is_healthy

    @property
    def lag_s(self) -> float:
        """For how many seconds looking has not worked; 0 while it does."""
        return self._health.lag_s

    async def run(self) -> None:
        """Watch for ever."""
        seen: int | None = None
        try:
            while True:
                if self._hub.is_empty:
                    # What is written while nobody listens is nobody's business: the next look counts as a change.
                    seen = None
                    await self._hub.occupied()
                version = await self._data_version()
                if version != seen:
                    self._hub.recheck(RECENT_S if seen is not None else None)
                    seen = version
                self._health.set(healthy=True)
                await asyncio.sleep(self._interval_s)
        finally:
            self._health.set(healthy=False)


async def _happened(event: asyncio.Event, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
