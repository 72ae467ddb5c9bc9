"""Consistent reads beside a live server: what one snapshot shows was all true at one moment.

PostgreSQL: a repeatable-read transaction of the reading pool. SQLite: a read transaction on a connection of its
own, because a long one on the shared connection would make every other reader of the process wait.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol, cast
from uuid import UUID

import aiosqlite
import orjson
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.backends.sqlite.client import SqliteClient
from tortoise.connection import get_connection
from tortoise.transactions import in_transaction

from app.db import READER

Rows = Sequence[Mapping[str, Any]]


class Snapshot(Protocol):
    """One consistent view of the database."""

    async def select(self, sql: str, *values: Any) -> Rows:
        """Return the rows of a statement whose values are written `$1`, `$2` …"""

    async def select_named(self, sql: str, ids: Collection[UUID]) -> Rows:
        """Return the rows of a statement with one set of ids, written `IN {ids}`."""


class Snapshots(Protocol):
    """Where snapshots come from."""

    def take(self) -> AbstractAsyncContextManager[Snapshot]:
        """Open a snapshot of the present moment."""


@asynccontextmanager
async def open_snapshots() -> AsyncIterator[Snapshots]:
    """Get ready to take snapshots of the open database, one after the other."""
    client = get_connection(READER)
    if not isinstance(client, SqliteClient):
        yield _PostgresSnapshots()
        return
    connection = await aiosqlite.connect(client.filename, isolation_level=None)
    try:
        connection.row_factory = aiosqlite.Row
        for pragma in ("busy_timeout=10000", "query_only=ON", "cache_size=-16384"):
            await connection.execute_fetchall(f"PRAGMA {pragma}")
        yield _SqliteSnapshots(connection)
    finally:
        await connection.close()


class _PostgresSnapshots:
    @asynccontextmanager
    async def take(self) -> AsyncIterator[Snapshot]:
        async with in_transaction(READER) as db:
            await db.execute_query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            # A page of a big ledger may take longer than a request's query should, and without statistics (right
            # after a bulk load) the planner would rather sort a whole table than walk an index for each page.
            await db.execute_query(
                "SELECT set_config('statement_timeout', '0', true), set_config('enable_hashjoin', 'off', true), "
                "set_config('enable_mergejoin', 'off', true), set_config('enable_seqscan', 'off', true), "
                "set_config('enable_bitmapscan', 'off', true)"
            )
            yield _PostgresSnapshot(db)


class _PostgresSnapshot:
    def __init__(self, db: BaseDBAsyncClient) -> None:
        self._db = db

    async def select(self, sql: str, *values: Any) -> Rows:
        _, rows = await self._db.execute_query(sql, list(values))
        return rows

    async def select_named(self, sql: str, ids: Collection[UUID]) -> Rows:
        return await self.select(sql.replace("IN {ids}", "= ANY($1::uuid[])"), list(ids))


class _SqliteSnapshots:
    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    @asynccontextmanager
    async def take(self) -> AsyncIterator[Snapshot]:
        await self._connection.execute_fetchall("BEGIN")
        try:
            yield _SqliteSnapshot(self._connection)
        finally:
            await self._connection.rollback()


class _SqliteSnapshot:
    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def select(self, sql: str, *values: Any) -> Rows:
        plain = [str(value) if isinstance(value, UUID) else value for value in values]
        # A row of sqlite3 has keys and is read by them, but is not registered as a mapping.
        rows: Any = await self._connection.execute_fetchall(sql.replace("$", "?"), plain)
        return cast("Rows", rows)

    async def select_named(self, sql: str, ids: Collection[UUID]) -> Rows:
        listed = orjson.dumps([str(row_id) for row_id in ids]).decode()
        return await self.select(sql.replace("{ids}", "(SELECT value FROM json_each($1))"), listed)
