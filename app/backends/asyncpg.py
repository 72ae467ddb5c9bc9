"""PostgreSQL as Tortoise speaks it, made safe for cancelled tasks.

Tortoise's own transaction context takes a connection from the pool and loses it when the task is cancelled
while BEGIN is on its way: a few closed sockets and the pool is empty. And it waits for a connection for ever.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any
from weakref import WeakSet

import asyncpg
from pypika_tortoise.terms import Criterion, Function, Term
from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.backends.asyncpg.executor import AsyncpgExecutor
from tortoise.backends.base.client import (
    PoolConnectionWrapper,
    TransactionalDBClient,
    TransactionContext,
    TransactionContextPooled,
)
from tortoise.backends.base_postgres.client import translate_exceptions
from tortoise.connection import get_connections
from tortoise.filters import contains

from app.backends.patience import DatabaseBusy, DatabaseSlow, acquire_timeout_s, time_is_up
from app.backends.sessions import NOT_OURS, OPEN_TIMEOUT_S, STRANGE, make_ready
from app.backends.transaction import driver_error, uninterrupted

# How long a connection may take to come to rest before it is thrown away instead.
_RELEASE_TIMEOUT_S = 10.0

# A machine that lost its power says nothing any more, nor does a firewall that forgot a connection. TCP itself would ask
# for a quarter of an hour, and the writer with it: these give a connection up after half a minute of silence. A server that is
# merely busy, or that waits for a lock, isn't silent: its system answers.
_SILENCE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}

_AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TargetServerAttributeNotMatched,
    *STRANGE,
)


async def _notice_silence(connection: asyncpg.Connection) -> None:
    sock = connection._transport.get_extra_info("socket")
    if sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _SILENCE.items():
        # Not every system knows each of them.
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


# Connections whose last statement may not have come to its end.
_interrupted: "WeakSet[asyncpg.Connection]" = WeakSet()


async def come_to_rest(connection: asyncpg.Connection) -> None:
    """Put a connection back as it was; a pool calls this at each release.

    asyncpg's own way is a round trip every time, and nothing here outlives a transaction. But a statement that was
    cancelled after it was prepared and before it was run has begun one: the session would keep its locks and its
    snapshot, seen as `active`, until it is asked something again.
    """
    if connection in _interrupted:
        _interrupted.discard(connection)
        await connection.execute("SELECT 1")


def _holds(field: Term, value: str) -> Criterion:
    """Return the condition that a text holds another.

    As LIKE it would say the same, but the planner guesses from the statistics that next to nothing matches such a pattern,
    and reads the whole table rather than an index along which the page would soon be full.
    """
    return Function("strpos", field, field.wrap_constant(value)) > 0


class _Executor(AsyncpgExecutor):
    FILTER_FUNC_OVERRIDE = {**AsyncpgExecutor.FILTER_FUNC_OVERRIDE, contains: _holds}  # noqa: RUF012 - never changed


class SafeAsyncpgClient(AsyncpgDBClient):
    """A pool that is opened by a DSN, so that everything libpq's URLs know (sslmode, a socket's host) works.

    With `acquire_timeout_s` it is a reader's: who waits longer for a connection gets `DatabaseBusy`, and a
    statement that takes too long ends in `DatabaseSlow`. `session_settings` are put in force in each new session, and not
    asked for as it is opened, which poolers refuse.
    """

    executor_class = _Executor

    def __init__(
        self,
        dsn: str,
        *,
        acquire_timeout_s: float | None = None,
        session_settings: Mapping[str, str] | None = None,
        may_be_standby: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._dsn = dsn
        self._session_settings = session_settings or {}
        self._may_be_standby = may_be_standby
        self._keeps_sessions = False
        self.acquire_timeout_s = acquire_timeout_s

    async def create_pool(self, **options: Any) -> "asyncpg.Pool[asyncpg.Record]":
        """Open the pool; address and password come from the DSN alone."""
        for name in ("host", "port", "user", "password", "database"):
            options.pop(name)
        pool = await asyncpg.create_pool(self._dsn, init=self._make_ready, **options)
        self._turns = asyncio.Semaphore(pool.get_max_size())
        return pool

    async def take(self) -> Any:
        """Take a connection; who asked first has one first.

        The pool alone lets those pass who ask in the moment when somebody who waited is being woken, and has that one wait
        anew behind all others: with many callers a few waited for seconds, while most didn't wait at all.
        """
        pool: Any = self._pool
        try:
            async with asyncio.timeout(acquire_timeout_s(self.acquire_timeout_s)):
                await self._turns.acquire()
                try:
                    return await pool.acquire()
                except BaseException:
                    self._turns.release()
                    raise
        except TimeoutError as error:
            raise DatabaseBusy("no connection was free") from error

    async def give_back(self, connection: Any) -> None:
        """Give back what `take` returned."""
        try:
            if self._pool is not None:
                await self._pool.release(connection, timeout=_RELEASE_TIMEOUT_S)
        finally:
            self._turns.release()

    async def _make_ready(self, connection: asyncpg.Connection) -> None:
        await _notice_silence(connection)
        is_pooled = await make_ready(
            connection,
            self._session_settings,
            beside=None if self._keeps_sessions else self._one_beside,
            may_be_standby=self._may_be_standby,
        )
        # Once is enough: a pooler that changes its mind is found out by what no longer works.
        self._keeps_sessions = self._keeps_sessions or is_pooled

    async def _one_beside(self) -> asyncpg.Connection:
        return await asyncpg.connect(self._dsn, timeout=OPEN_TIMEOUT_S)

    async def let_go(self, error: BaseException | None) -> None:
        """Open new connections from here on, if what was said on one shows that they are none of ours."""
        if isinstance(error, NOT_OURS) and self._pool is not None:
            self._keeps_sessions = False
            await self._pool.expire_connections()

    def acquire_connection(self) -> PoolConnectionWrapper[asyncpg.Connection]:
        """Take a connection for one statement."""
        if self.acquire_timeout_s is None:
            return _Lent(self, self._pool_init_lock)
        return _Patient(self, self._pool_init_lock)

    def _in_transaction(self) -> TransactionContext:
        return _SafeTransactionContext(TransactionWrapper(self), self._pool_init_lock)

    @property
    def in_use(self) -> tuple[int, int]:
        """How many connections are taken, and how many there may be."""
        pool = self._pool
        return (0, 0) if pool is None else (pool.get_size() - pool.get_idle_size(), pool.get_max_size())


@translate_exceptions
async def records(client: Any, sql: str, values: list[Any], class_: type[asyncpg.Record]) -> list[Any]:
    """Return what a statement finds as records of a class, as the driver makes them."""
    async with client.acquire_connection() as connection:
        client.log.debug("%s: %s", sql, values)
        found: list[Any] = await connection.fetch(sql, *values, record_class=class_)
        return found


class _Lent(PoolConnectionWrapper[asyncpg.Connection]):
    """The writer's connection for one statement."""

    __slots__ = ()

    async def __aexit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        client: Any = self.client
        await client.let_go(exc_val)
        await super().__aexit__(exc_type, exc_val, exc_tb)


class _Patient(PoolConnectionWrapper[asyncpg.Connection]):
    """A reader's connection for one statement; patient, but not for ever."""

    __slots__ = ("_holding",)

    async def __aenter__(self) -> asyncpg.Connection:
        await self.ensure_connection()
        self._holding = _holding(self.client)
        return await self._holding.__aenter__()

    async def __aexit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        await self._holding.__aexit__(exc_type, exc_val, exc_tb)


@asynccontextmanager
async def _holding(client: Any) -> AsyncIterator[asyncpg.Connection]:
    try:
        async with time_is_up():
            connection = await client.take()
            try:
                yield connection
            except BaseException:
                # One that was lost belongs to the pool no more, and rests for ever.
                if connection._con is not None:
                    _interrupted.add(connection._con)
                raise
            finally:
                await client.give_back(connection)
    except (TimeoutError, asyncpg.QueryCanceledError) as error:
        raise DatabaseSlow(repr(error)) from error
    except _AWAY as error:
        await client.let_go(error)
        raise DatabaseBusy(repr(error)) from error


class _SafeTransactionContext(TransactionContextPooled):
    """Gives its connection back to the pool, whatever happens to the task."""

    __slots__ = ()

    async def __aenter__(self) -> TransactionalDBClient:
        await self.ensure_connection()
        client: Any = self.client._parent
        self.client._connection = await client.take()
        try:
            await self.client.begin()
        except BaseException:
            await uninterrupted(self._release())
            raise
        self.token = get_connections().set(self.connection_name, self.client)
        return self.client

    async def __aexit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        get_connections().reset(self.token)
        client: Any = self.client._parent
        await client.let_go(driver_error(exc_val))
        await uninterrupted(self._end(commit=exc_type is None))

    async def _end(self, *, commit: bool) -> None:
        try:
            if self.client._finalized:
                return
            if commit:
                await self.client.commit()
            else:
                # What ended the transaction is what the caller must hear of. A rollback that fails (the
                # connection is gone) has nothing to add: the server rolls back, and so does the release.
                with suppress(Exception):
                    await self.client.rollback()
        finally:
            await self._release()

    async def _release(self) -> None:
        client: Any = self.client._parent
        await client.give_back(self.client._connection)


client_class = SafeAsyncpgClient
