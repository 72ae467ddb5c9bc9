"""SQLite as Tortoise speaks it, made safe for a ledger.

Tortoise's own client begins transactions deferred, so that two processes fail with "database is locked"
however long they may wait, and it leaks its lock when a task is cancelled at the wrong `await`, so that every
later query hangs. Both are put right here; everything else is Tortoise's.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import uniform
from time import monotonic, sleep
from typing import Any

import aiosqlite
from tortoise.backends.base.client import (
    ConnectionWrapper,
    NestedTransactionContext,
    TransactionalDBClient,
    TransactionContext,
)
from tortoise.backends.sqlite.client import (
    SqliteClient,
    SqliteTransactionContext,
    SqliteTransactionWrapper,
    translate_exceptions,
)
from tortoise.connection import get_connections
from tortoise.exceptions import IntegrityError, OperationalError

from app.backends.patience import DatabaseBusy, DatabaseSlow, acquire_timeout_s, time_is_up
from app.backends.transaction import uninterrupted

# Keyword arguments that Tortoise gives every client; the rest of them are pragmas.
_NOT_PRAGMAS = frozenset({"connection_name", "fetch_inserted"})

# How long to wait before the write lock is tried again.
_TURN_MIN_S, _TURN_MAX_S = 0.000_3, 0.001_5


class SafeSqliteClient(SqliteClient):
    """One connection to the file; `begin` is the statement that opens its transactions.

    `BEGIN IMMEDIATE` takes the write lock at once, so a second process waits (busy_timeout) instead of failing
    in the middle. A read-only connection begins plainly: its transactions never want that lock.

    With `acquire_timeout_s` it is a reader's: who waits longer for the connection gets `DatabaseBusy`, and a
    statement that takes too long, or that nobody waits for any more, is stopped.
    """

    def __init__(
        self,
        file_path: str,
        *,
        begin: str = "BEGIN IMMEDIATE",
        acquire_timeout_s: float | None = None,
        **pragmas: Any,
    ) -> None:
        super().__init__(file_path, **pragmas)
        self.acquire_timeout_s = acquire_timeout_s
        self.begin_statement = begin
        # The order counts: busy_timeout must be in force before journal_mode asks for a lock, and nothing can
        # be set up any more once query_only is on. Tortoise's own additions (journal_size_limit is one: 16 kB,
        # which would cut the log at nearly every checkpoint) come from its constructor and are dropped.
        self.pragmas = {name: value for name, value in pragmas.items() if name not in _NOT_PRAGMAS}

    async def create_connection(self, with_db: bool) -> None:
        """Connect and set the pragmas, or leave nothing behind."""
        if self._connection:
            return
        connection = await aiosqlite.connect(self.filename, isolation_level=None)
        try:
            connection.row_factory = sqlite3.Row
            for name, value in self.pragmas.items():
                await connection.execute_fetchall(f"PRAGMA {name}={value}")
            # SQLite's own knows ASCII only, and searches without regard to case compare by it.
            await connection.create_function("upper", 1, _upper, deterministic=True)
        except BaseException:
            await connection.close()
            raise
        self._connection = connection
        await self._post_connect()

    def acquire_connection(self) -> ConnectionWrapper[aiosqlite.Connection]:
        """Hold the connection for one statement."""
        return _Held(self._lock, self)

    def _in_transaction(self) -> TransactionContext:
        return _SafeTransactionContext(SafeSqliteTransaction(self), self._lock)

    @property
    def in_use(self) -> tuple[int, int]:
        """How many connections are taken, and how many there may be."""
        return int(self._lock.locked()), 1

    async def execute_many(self, query: str, values: list[list[Any]]) -> None:
        """Run the statement for each row in one transaction; a cancelled one is rolled back."""
        async with self._in_transaction() as transaction:
            await transaction.execute_many(query, values)


class _Held(ConnectionWrapper[aiosqlite.Connection]):
    """The connection for one statement. Gives the lock back when connecting fails or is cancelled."""

    __slots__ = ("_holding",)

    async def __aenter__(self) -> aiosqlite.Connection:
        self._holding = _holding(self.client, self._lock)
        return await self._holding.__aenter__()

    async def __aexit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        await self._holding.__aexit__(exc_type, exc_val, exc_tb)


@asynccontextmanager
async def _holding(client: Any, lock: asyncio.Lock) -> AsyncIterator[aiosqlite.Connection]:
    if client.acquire_timeout_s is None:
        async with lock:
            await uninterrupted(client.create_connection(with_db=True))
            yield client._connection
        return
    try:
        async with time_is_up():
            await _lock(lock, client.acquire_timeout_s)
            try:
                await uninterrupted(client.create_connection(with_db=True))
                yield client._connection
            except asyncio.CancelledError:
                await uninterrupted(_stopped(client._connection))
                raise
            finally:
                lock.release()
    except TimeoutError as error:
        raise DatabaseSlow(repr(error)) from error


async def _lock(lock: asyncio.Lock, timeout_s: float | None) -> None:
    # Locked at once when it is free: a timer for nothing costs more than the lock.
    if not lock.locked() or timeout_s is None:
        await lock.acquire()
        return
    try:
        async with asyncio.timeout(acquire_timeout_s(timeout_s)):
            await lock.acquire()
    except TimeoutError as error:
        raise DatabaseBusy("the connection was not free") from error


async def _stopped(connection: aiosqlite.Connection | None) -> None:
    """Stop the statement that runs on the connection: its thread would go on, and keep all others waiting."""
    if connection is None:
        return
    idle = asyncio.ensure_future(connection._execute(_nothing))  # type: ignore[no-untyped-call]
    while not idle.done():
        # Again and again, because a statement that has not begun yet can't be interrupted.
        await connection.interrupt()
        await asyncio.wait({idle}, timeout=0.005)


def _nothing() -> None:
    """Be done when everything before is."""


class SafeSqliteTransaction(SqliteTransactionWrapper):
    """The connection inside a transaction."""

    _parent: SafeSqliteClient

    def _in_transaction(self) -> TransactionContext:
        return NestedTransactionContext(SafeSqliteTransaction(self))

    async def begin(self) -> None:
        """Open the transaction; what an earlier one may have left open is undone, never committed."""
        try:
            if self._connection.in_transaction:
                await self._connection.rollback()
            await self._connection._execute(  # type: ignore[no-untyped-call]
                _begin_in_turn, self._connection._conn, self._parent.begin_statement
            )
        except sqlite3.OperationalError as error:
            raise OperationalError(error) from error

    async def commit(self) -> None:
        """Commit; a commit that fails leaves no transaction open."""
        try:
            await super().commit()
        except sqlite3.Error as error:
            await self._connection.rollback()
            kind = IntegrityError if isinstance(error, sqlite3.IntegrityError) else OperationalError
            raise kind(error) from error

    @translate_exceptions
    async def execute_batches(self, batches: Sequence[tuple[str, Sequence[Sequence[Any]]]]) -> None:
        """Run each statement for each of its rows, all in one turn of the connection's thread.

        A turn costs more than a row: the loop and the thread have to wake each other.
        """
        async with self.acquire_connection() as connection:
            await connection._execute(_run_batches, connection._conn, batches)

    @translate_exceptions
    async def execute_script(self, query: str) -> None:
        """Run the statements one by one, because sqlite3's executescript commits before it begins."""
        async with self.acquire_connection() as connection:
            for statement in split_statements(query):
                await connection.execute_fetchall(statement)


def _begin_in_turn(connection: sqlite3.Connection, statement: str) -> None:
    """Begin a transaction; runs in the connection's thread.

    SQLite's own waiting sleeps up to 100 ms between tries. A process that writes batch after batch lets go for less
    than a millisecond in between, so another one would be kept out for seconds.
    """
    (patience_ms,) = connection.execute("PRAGMA busy_timeout").fetchone()
    deadline = monotonic() + patience_ms / 1000
    connection.execute("PRAGMA busy_timeout=0")
    try:
        while True:
            try:
                connection.execute(statement)
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or monotonic() >= deadline:
                    raise
            sleep(uniform(_TURN_MIN_S, _TURN_MAX_S))  # noqa: S311 — jitter
    finally:
        connection.execute(f"PRAGMA busy_timeout={patience_ms}")


class _SafeTransactionContext(SqliteTransactionContext):
    """Holds the client's lock from BEGIN to the end, whatever happens to the task in between."""

    __slots__ = ()

    connection: SafeSqliteTransaction

    async def __aenter__(self) -> TransactionalDBClient:
        await _lock(self._trxlock, self.connection._parent.acquire_timeout_s)
        try:
            await uninterrupted(self._begin())
        except BaseException:
            await self._end(self._abandon())
            raise
        self.token = get_connections().set(self.connection_name, self.connection)
        return self.connection

    async def __aexit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        get_connections().reset(self.token)
        if self.connection._finalized:
            self._trxlock.release()
        elif exc_type is None:
            await self._end(self.connection.commit())
        else:
            await self._end(self.connection.rollback())

    async def _begin(self) -> None:
        await self.connection._parent.create_connection(with_db=True)
        connection = self.connection._parent._connection
        assert connection is not None  # noqa: S101 - create_connection has just made it
        self.connection._connection = connection
        await self.connection.begin()

    async def _abandon(self) -> None:
        if self.connection._parent._connection is not None:
            await self.connection._parent._connection.rollback()

    async def _end(self, work: Any) -> None:
        try:
            await uninterrupted(work)
        finally:
            self._trxlock.release()


def _run_batches(
    connection: sqlite3.Connection, batches: Sequence[tuple[str, Sequence[Sequence[Any]]]]
) -> None:
    for statement, rows in batches:
        connection.executemany(statement, rows)


def _upper(text: object) -> object:
    return text.upper() if isinstance(text, str) else text


def split_statements(script: str) -> list[str]:
    """The statements of a script, as SQLite itself tells where one ends (a trigger holds semicolons)."""
    statements, current = [], ""
    for part in script.split(";"):
        current += part + ";"
        if sqlite3.complete_statement(current):
            statements.append(current.strip())
            current = ""
    return [statement for statement in statements if statement != ";"]


client_class = SafeSqliteClient
