"""How other processes' commits are heard of: PostgreSQL tells, SQLite must be asked."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg

from app.live.hearing import (
    CONNECT_TIMEOUT_S,
    KEEPALIVE_INTERVAL_S,
    KEEPALIVE_TIMEOUT_S,
    RECENT_S,
    Health,
    Hearing,
    listen_for_ever,
)
from app.live.hub import Hub

CHANNEL = "coffer"


class PostgresListener:
    """Listens on a connection of its own, and comes back when it is lost.

    What was committed while nobody listened is then found by comparing with the database, so it is late, never
    lost. `process` is the writer's name for itself, whose notifications are `publish`ed already. `hear_rights` is
    called when another process changed who may do what, or may have done so unheard; `hear_version` with the id and
    the new version of each wallet that another process changed, as far as it is heard of.
    """

    is_vital = True
    """The database, which nothing works without, is most likely away too."""

    tell = None
    """The writer's transaction notifies: PostgreSQL brings it with the commit, or not at all."""

    def __init__(
        self,
        hub: Hub,
        dsn: str,
        *,
        process: str,
        keepalive_interval_s: float = KEEPALIVE_INTERVAL_S,
        hear_rights: Callable[[], None] = lambda: None,
        hear_version: Callable[[UUID, int], None] = lambda wallet_id, version: None,
    ) -> None:
        self._dsn = dsn
        self._keepalive_interval_s = keepalive_interval_s
        self._hearing = Hearing(hub, process=process, hear_rights=hear_rights, hear_version=hear_version)
        self._health = Health()

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
        errors = (
            OSError,
            TimeoutError,
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
        )
        await listen_for_ever(self._listen, self._health, errors)

    async def _listen(self) -> None:
        connection = await asyncpg.connect(
            self._dsn, timeout=CONNECT_TIMEOUT_S, server_settings={"application_name": "coffer listener"}
        )
        try:
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(CHANNEL, self._hear)
            # First listening, then looking: nothing falls between.
            self._hearing.look()
            self._health.set(healthy=True)
            while not await _happened(lost, self._keepalive_interval_s):
                await connection.execute("SELECT 1", timeout=KEEPALIVE_TIMEOUT_S)
            raise ConnectionError("the server closed the connection")
        finally:
            # Not closed politely: that waits for an answer, and nothing on this connection is worth waiting for.
            connection.terminate()

    def _hear(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        self._hearing.hear(payload)


class SqliteWatcher:
    """Asks SQLite, while there are subscribers, whether anything was written since it asked last.

    `data_version` reads `PRAGMA data_version`, always on the same connection. This process's own commits change
    it too; comparing then finds nothing new.
    """

    is_vital = True
    tell = None
    """Nobody is told: a second process sees that something was written."""

    def __init__(self, hub: Hub, data_version: Callable[[], Awaitable[int]], *, interval_s: float) -> None:
        self._hub = hub
        self._data_version = data_version
        self._interval_s = interval_s
        self._health = Health(healthy=True)

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
