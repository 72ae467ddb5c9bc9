"""What the writer asks of the database, and how PostgreSQL and SQLite each are asked.

A *session* is one open database transaction of the writer. Its methods cost one statement each (writes on
SQLite one `executemany`), whatever the batch holds.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

import orjson
from tortoise.backends.base.client import TransactionalDBClient

from app.services.ledger.tables import Table

WRITER = "writer"
"""The name of the connection that only the writer uses."""

Found = Sequence[Mapping[str, Any]]


class Session(Protocol):
    """One open transaction of the writer, on either database."""

    async def select(self, sql: str, ids: Collection[Any], kind: str = "uuid") -> Found:
        """Select with one set of ids (or texts), written `{ids}` where the statement compares with them."""

    async def lock_wallets(self, ids: Collection[UUID]) -> Found:
        """Lock the wallets in id order and return them."""

    async def insert(self, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert the rows."""

    async def update(self, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write the changing columns of the rows, which exist."""

    async def upsert(self, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert the rows, or write the changing columns of those that exist."""

    async def notify(self, payloads: Sequence[str]) -> None:
        """Tell the other processes at commit, where the database can."""


# Nothing is joined here: after a wait PostgreSQL reads the locked rows anew, and those that they are joined with
# as they were before it.
_LOCK = "SELECT * FROM wallets WHERE id IN {ids} ORDER BY id"


class PostgresSession:
    """The writer's transaction on PostgreSQL: arrays go in, one statement a table."""

    def __init__(self, db: TransactionalDBClient) -> None:
        self._db = db

    async def select(self, sql: str, ids: Collection[Any], kind: str = "uuid") -> Found:
        """See `Session`."""
        _, rows = await self._db.execute_query(sql.replace("IN {ids}", f"= ANY($1::{kind}[])"), [list(ids)])
        return rows

    async def lock_wallets(self, ids: Collection[UUID]) -> Found:
        """See `Session`."""
        # The wallet's row is the lock. Every process takes its locks in id order, so two batches that share
        # wallets wait for each other instead of ending in a deadlock.
        return await self.select(_LOCK + " FOR UPDATE", ids)

    async def insert(self, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        """See `Session`."""
        await self._db.execute_query(
            f"INSERT INTO {table.name} ({', '.join(table.columns)}) SELECT * FROM {_unnest(table.types)}",
            _columns(rows),
        )

    async def update(self, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        """See `Session`."""
        places = [0, *(table.columns.index(name) for name in table.changing)]
        types = [table.types[place] for place in places]
        names = ", ".join(f"u{place}" for place in places)
        changes = ", ".join(f"{table.columns[place]} = u.u{place}" for place in places[1:])
        await self._db.execute_query(
            f"UPDATE {table.name} t SET {changes} FROM {_unnest(types)} AS u({names}) WHERE t.id = u.u0",
            _columns([tuple(row[place] for place in places) for row in rows]),
        )

    async def upsert(self, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        """See `Session`."""
        await self._db.execute_query(
            f"INSERT INTO {table.name} ({', '.join(table.columns)}) SELECT * FROM {_unnest(table.types)} "
            + _on_conflict(table),
            _columns(rows),
        )

    async def notify(self, payloads: Sequence[str]) -> None:
        """See `Session`."""
        await self._db.execute_query(
            "SELECT pg_notify('coffer', p) FROM unnest($1::text[]) AS p", [list(payloads)]
        )


class SqliteSession:
    """The writer's transaction on SQLite: it began IMMEDIATE, so the whole database is the lock."""

    def __init__(self, db: TransactionalDBClient) -> None:
        self._db = db

    async def select(self, sql: str, ids: Collection[Any], kind: str = "uuid") -> Found:
        """See `Session`."""
        listed = orjson.dumps([str(value) for value in ids]).decode()
        _, rows = await self._db.execute_query(
            sql.replace("{ids}", "(SELECT value FROM json_each(?))"), [listed]
        )
        return rows

    async def lock_wallets(self, ids: Collection[UUID]) -> Found:
        """See `Session`."""
        return await self.select(_LOCK, ids)

    async def insert(self, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        """See `Session`."""
        await self._write(_insert_values(table), rows)

    async def update(self, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        """See `Session`."""
        places = [*(table.columns.index(name) for name in table.changing), 0]
        changes = ", ".join(f"{name} = ?" for name in table.changing)
        await self._write(
            f"UPDATE {table.name} SET {changes} WHERE id = ?",
            [tuple(row[place] for place in places) for row in rows],
        )

    async def upsert(self, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        """See `Session`."""
        await self._write(f"{_insert_values(table)} {_on_conflict(table)}", rows)

    async def notify(self, payloads: Sequence[str]) -> None:
        """SQLite tells nobody: a second process sees by its data version that something was written."""

    async def _write(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        await self._db.execute_many(sql, [[_plain(value) for value in row] for row in rows])


def session_over(db: TransactionalDBClient) -> Session:
    """Return the session that speaks the connection's dialect."""
    return SqliteSession(db) if db.capabilities.dialect == "sqlite" else PostgresSession(db)


def _plain(value: Any) -> Any:
    # SQLite keeps ids and times as text, in the very form in which Tortoise writes and reads them.
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        # In UTC, whatever zone a caller wrote it in: SQLite compares times as the texts that they are.
        return value.astimezone(UTC).isoformat(" ")
    return value


def _insert_values(table: Table) -> str:
    places = ", ".join("?" * len(table.columns))
    return f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({places})"


def _on_conflict(table: Table) -> str:
    changes = ", ".join(f"{name} = excluded.{name}" for name in table.changing)
    return f"ON CONFLICT (id) DO UPDATE SET {changes}" if changes else "ON CONFLICT (id) DO NOTHING"


def _unnest(types: Iterable[str]) -> str:
    return "unnest(" + ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(types, 1)) + ")"


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
