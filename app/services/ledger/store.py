"""What the writer asks of the database, and how PostgreSQL and SQLite each are asked.

A *session* is one open database transaction of the writer. Each of its methods costs one round trip (on SQLite
one turn of the connection's thread), whatever the batch holds.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, Literal, Protocol
from uuid import UUID

import orjson
from tortoise.backends.base.client import BaseDBAsyncClient, TransactionalDBClient
from tortoise.connection import get_connection

from app.backends.asyncpg import SafeAsyncpgClient
from app.backends.sqlite import SafeSqliteTransaction
from app.db import WRITER
from app.domain.ledger import Wallet
from app.services.ledger.command import WalletRef
from app.services.ledger.tables import Table

STATEMENTS_MAX = 256
"""How many of the statements are kept that write whole batches; each is some ten thousand characters."""

Found = Sequence[Mapping[str, Any]]
How = Literal["insert", "update", "upsert"]
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class TableWrite:
    """Rows of one table, laid out as the table says.

    `insert` takes new rows, `update` writes the changing columns of rows that exist, `upsert` takes both.
    """

    how: How
    table: Table
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Assumed:
    """What a batch was decided on without a lock, and what must still be so when it is written."""

    wallets: Collection[Wallet]
    """The wallets: each must have the same version, of the same time."""
    keys: Collection[tuple[str, str]]
    """Keys (scope and key) of which none is stored."""
    settings_version: int
    settings_at: datetime | None
    """When that version was written: a database that lost it gives its number to the next."""
    listened: str | None
    """What enabled endpoints listen to, as one JSON text."""


class Session(Protocol):
    """One open transaction of the writer, on either database."""

    async def select(self, sql: str, ids: Collection[Any], kind: str = "uuid") -> Found:
        """Select with one set of ids (or texts), written `{ids}` where the statement compares with them."""

    async def lock_wallets(self, ids: Collection[UUID]) -> Found:
        """Lock the wallets in id order and return them."""

    async def outdate(self, ids: Collection[UUID]) -> None:
        """Give locked wallets other versions, so that nothing is written that was decided on those that they had."""

    async def lock_rows(self, table: Table, ids: Collection[UUID]) -> Found:
        """Lock the named rows of a table in id order and return them."""

    async def lock_table(self, table: Table) -> Found:
        """Lock all rows of a small table in id order and return them."""

    async def claims(self, keys: Collection[tuple[str, str]], process: str) -> Found:
        """Return what is stored of these keys (scope and key), and with every row the settings' version and the rules',
        and what enabled endpoints listen to (`heard`), as one JSON text.

        There is always a row: when no key is stored, one without a key. From here to its end the transaction is known as
        one of the process, whose `outlive` waits for it.
        """

    async def outlive(self, process: str) -> None:
        """Wait until no other transaction of a process has written anything that is still to be committed."""

    async def write(self, writes: Sequence[TableWrite], notes: Sequence[str]) -> None:
        """Write all rows, and at commit tell the notes to the other processes, where the database can."""


# Nothing is joined here: after a wait PostgreSQL reads the locked rows anew, and those that they are joined with
# as they were before it.
_LOCK = "SELECT * FROM wallets WHERE id IN {ids} ORDER BY id"

_OUTDATE = "UPDATE wallets SET version = version + 1 WHERE id IN {ids}"

# By scope and key together, because that is the index: by the key alone, every stored key would be looked at.
_CLAIMS = """
SELECT s.version AS version, s.set_at AS set_at, s.revision AS revision, s.revised_at AS revised_at, s.heard AS heard, k.scope AS scope, k.key AS key, k.request_hash AS request_hash,
  k.result AS result{also}
FROM (
  SELECT MAX(version) AS version,
    (SELECT created_at FROM settings_versions WHERE version = (SELECT MAX(version) FROM settings_versions)) AS set_at,
    (SELECT MAX(revision) FROM cashback_rule_versions) AS revision,
    (SELECT created_at FROM cashback_rule_versions WHERE revision = (SELECT MAX(revision) FROM cashback_rule_versions)) AS revised_at,
    (SELECT {listened} FROM webhook_endpoints WHERE status = 'ENABLED') AS heard
  FROM settings_versions
) s
LEFT JOIN (
  {wanted} JOIN idempotency_keys k ON k.scope = {scope} AND k.key = {key}
) ON TRUE
"""

_LOCK_OF_PROCESS = "hashtextextended('coffer writer ' || {}::text, 0)"


class PostgresSession:
    """The writer's transaction on PostgreSQL: arrays go in, and all writes are one statement."""

    def __init__(self, db: BaseDBAsyncClient) -> None:
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

    async def outdate(self, ids: Collection[UUID]) -> None:
        """See `Session`."""
        await self.select(_OUTDATE, ids)

    async def lock_rows(self, table: Table, ids: Collection[UUID]) -> Found:
        """See `Session`."""
        # In id order, as the wallets are. A row that has no wallet (a guest's order) has no other lock than this.
        return await self.select(
            f"SELECT * FROM {table.name} WHERE id IN {{ids}} ORDER BY id FOR UPDATE", ids
        )

    async def lock_table(self, table: Table) -> Found:
        """See `Session`."""
        # In id order, as everywhere. A row that is inserted meanwhile is not waited for: where that counts, the
        # command also asks for a table that is never empty (roles), whose first row is then the lock.
        _, rows = await self._db.execute_query(f"SELECT * FROM {table.name} ORDER BY id FOR UPDATE", [])
        return rows

    async def claims(self, keys: Collection[tuple[str, str]], process: str) -> Found:
        """See `Session`."""
        wanted = "unnest($1::text[], $2::text[]) AS wanted (scope, key)"
        lock = f", pg_advisory_xact_lock_shared({_LOCK_OF_PROCESS.format('$3')})"
        sql = _CLAIMS.format(
            wanted=wanted,
            scope="wanted.scope",
            key="wanted.key",
            listened=_LISTENED,
            also=lock,
        )
        scopes, names = [scope for scope, _ in keys], [key for _, key in keys]
        rows: Found
        _, rows = await self._db.execute_query(sql, [scopes, names, process])
        return rows

    async def outlive(self, process: str) -> None:
        """See `Session`."""
        await self._db.execute_query(
            f"SELECT pg_advisory_xact_lock({_LOCK_OF_PROCESS.format('$1')})", [process]
        )

    async def write(self, writes: Sequence[TableWrite], notes: Sequence[str]) -> None:
        """See `Session`."""
        sql = _write_all(tuple((write.how, write.table) for write in writes))
        await self._db.execute_query(sql, [*_columns(writes), notes])

    async def states(self, refs: Collection[WalletRef]) -> Found:
        """Read wallets as they are, each (`wallet`) with its customer (`customer`) and its open lots (`lots`), without a lock."""
        external_ids = [ref.external_id for ref in refs if ref.external_id is not None]
        customer_ids = [ref.customer_id for ref in refs if ref.customer_id is not None]
        wallet_ids = [ref.wallet_id for ref in refs if ref.wallet_id is not None]
        rows: Found
        _, rows = await self._db.execute_query(_STATES, [external_ids, customer_ids, wallet_ids])
        return rows

    async def write_if(
        self, assumed: Assumed, writes: Sequence[TableWrite], notes: Sequence[str]
    ) -> Collection[UUID] | None:
        """Write all rows, and tell the notes, by one statement that is a transaction of its own: if what was assumed is so.

        Nothing is written otherwise, and what is returned are the wallets of which it was not so, or that others work on.
        That may be none, where it was the rest that was not so.
        """
        scopes, keys = [scope for scope, _ in assumed.keys], [key for _, key in assumed.keys]
        ids = [wallet.id for wallet in assumed.wallets]
        versions = [wallet.version for wallet in assumed.wallets]
        times = [wallet.updated_at for wallet in assumed.wallets]
        given = [
            ids,
            versions,
            times,
            scopes,
            keys,
            assumed.settings_version,
            assumed.listened,
            assumed.settings_at,
        ]
        sql = _write_all_if(tuple((write.how, write.table) for write in writes))
        _, rows = await self._db.execute_query(sql, [*given, *_columns(writes), notes])
        unchanged: Collection[UUID] | None = rows[0]["unchanged"]
        return None if unchanged is None else set(ids).difference(unchanged)


class SqliteSession:
    """The writer's transaction on SQLite: it began IMMEDIATE, so the whole database is the lock."""

    def __init__(self, db: SafeSqliteTransaction) -> None:
        self._db = db

    async def select(self, sql: str, ids: Collection[Any], kind: str = "uuid") -> Found:
        """See `Session`."""
        listed = orjson.dumps([str(value) for value in ids]).decode()
        rows: Found
        _, rows = await self._db.execute_query(
            sql.replace("{ids}", "(SELECT value FROM json_each(?))"), [listed]
        )
        return rows

    async def lock_wallets(self, ids: Collection[UUID]) -> Found:
        """See `Session`."""
        return await self.select(_LOCK, ids)

    async def outdate(self, ids: Collection[UUID]) -> None:
        """See `Session`."""
        await self.select(_OUTDATE, ids)

    async def lock_rows(self, table: Table, ids: Collection[UUID]) -> Found:
        """See `Session`."""
        return await self.select(f"SELECT * FROM {table.name} WHERE id IN {{ids}} ORDER BY id", ids)

    async def lock_table(self, table: Table) -> Found:
        """See `Session`."""
        rows: Found
        _, rows = await self._db.execute_query(f"SELECT * FROM {table.name} ORDER BY id", [])
        return rows

    async def claims(self, keys: Collection[tuple[str, str]], process: str) -> Found:
        """See `Session`."""
        scope, key = ("json_extract(wanted.value, '$[0]')", "json_extract(wanted.value, '$[1]')")
        listened = "json_group_array(json(events))"
        sql = _CLAIMS.format(
            wanted="json_each(?) AS wanted", scope=scope, key=key, listened=listened, also=""
        )
        rows: Found
        _, rows = await self._db.execute_query(sql, [orjson.dumps(list(keys)).decode()])
        return rows

    async def outlive(self, process: str) -> None:
        """See `Session`. Nothing lies between this process and SQLite: what it says of a COMMIT is so."""

    async def write(self, writes: Sequence[TableWrite], notes: Sequence[str]) -> None:
        """See `Session`. SQLite tells nobody: a second process sees by its data version that something was written."""
        await self._db.execute_batches(
            [(_write_one(write.how, write.table), _plain_rows(write)) for write in writes]
        )


def session_over(db: TransactionalDBClient) -> Session:
    """Return the session that speaks the connection's dialect."""
    return SqliteSession(db) if isinstance(db, SafeSqliteTransaction) else PostgresSession(db)


def statements() -> PostgresSession | None:
    """Return what PostgreSQL is asked by statements that are a transaction each, or `None` on SQLite."""
    db = get_connection(WRITER)
    return PostgresSession(db) if isinstance(db, SafeAsyncpgClient) else None


# --- Statements ---------------------------------------------------------------------------------------------


_LISTENED = "json_agg(events ORDER BY id)::text"

_STATES = """
SELECT w AS wallet, c AS customer,
  ARRAY(SELECT l FROM lots l WHERE l.wallet_id = w.id AND (l.remaining_minor > 0 OR l.held_minor > 0)) AS lots
FROM (
  SELECT w.id FROM customers c JOIN wallets w ON w.customer_id = c.id WHERE c.external_id = ANY($1::text[])
  UNION SELECT w.id FROM wallets w WHERE w.customer_id = ANY($2::uuid[])
  UNION SELECT wanted.id FROM unnest($3::uuid[]) AS wanted (id)
) wanted
JOIN wallets w ON w.id = wanted.id
JOIN customers c ON c.id = w.customer_id
"""

# Who waited here for a lock would have decided on what is no longer so: wallets that others work on are left out. What is
# locked is read anew, so its version is the one that counts, whatever the statement's snapshot says. And the version alone
# is not enough: a database that lost a change gives the same number to the next one.
_ASSUMED = f"""locked AS MATERIALIZED (
  SELECT w.id FROM unnest($1::uuid[], $2::bigint[], $3::timestamptz[]) AS known (id, version, updated_at)
  JOIN wallets w ON w.id = known.id AND w.version = known.version AND w.updated_at = known.updated_at
  ORDER BY w.id FOR NO KEY UPDATE OF w SKIP LOCKED
), assumed AS MATERIALIZED (
  SELECT (SELECT COUNT(*) FROM locked) = cardinality($1::uuid[])
    AND NOT EXISTS (
      SELECT 1 FROM unnest($4::text[], $5::text[]) AS wanted (scope, key)
      JOIN idempotency_keys k ON k.scope = wanted.scope AND k.key = wanted.key
    )
    AND COALESCE((
      SELECT version = $6::bigint AND created_at = $8::timestamptz FROM settings_versions ORDER BY version DESC LIMIT 1
    ), $6::bigint = 0)
    AND (SELECT {_LISTENED} FROM webhook_endpoints WHERE status = 'ENABLED') IS NOT DISTINCT FROM $7::text AS holds
)"""


@lru_cache(STATEMENTS_MAX)
def _write_all(parts: tuple[tuple[How, Table], ...]) -> str:
    """One statement of PostgreSQL for all writes: arrays of columns go in, foreign keys are checked at its end.

    Those that come often are few, as there are few kinds of batches, and are soon prepared and planned; but what may come
    together in a batch comes together in ever new ways.
    """
    steps, taken = _steps(parts)
    return f"WITH {', '.join(steps)} SELECT pg_notify('coffer', n) FROM unnest(${taken + 1}::text[]) AS n"


@lru_cache(STATEMENTS_MAX)
def _write_all_if(parts: tuple[tuple[How, Table], ...]) -> str:
    """The same statement, which first looks whether what was assumed is so, and otherwise writes nothing."""
    steps, taken = _steps(parts, taken=8, condition="(SELECT holds FROM assumed)")
    return (
        f"WITH {', '.join([_ASSUMED, *steps])} "
        "SELECT holds, CASE WHEN holds THEN NULL ELSE ARRAY(SELECT id FROM locked) END AS unchanged, "
        "CASE WHEN holds AND n IS NOT NULL THEN pg_notify('coffer', n) END AS told "
        f"FROM assumed LEFT JOIN unnest(${taken + 1}::text[]) AS n ON TRUE"
    )


def _steps(
    parts: tuple[tuple[How, Table], ...], *, taken: int = 0, condition: str = "TRUE"
) -> tuple[list[str], int]:
    """One step for each write, whose arrays follow on those that are `taken`; and how many are taken then."""
    steps = []
    for number, (how, table) in enumerate(parts):
        names = [table.columns[place] for place in _places(how, table)]
        arrays = [
            f"${taken + n}::{table.types[table.columns.index(name)]}[]" for n, name in enumerate(names, 1)
        ]
        taken += len(names)
        given = dict(zip(names, arrays, strict=True))
        rows = f"unnest({', '.join(arrays)}) AS u ({', '.join(names)})"
        if how == "update":
            changes = ", ".join(f"{name} = {_one_or_own(name, given[name])}" for name in table.changing)
            step = f"UPDATE {table.name} t SET {changes} FROM {rows} WHERE t.id = u.id AND {condition}"
        else:
            values = ", ".join(_one_or_own(name, given[name]) for name in names)
            step = (
                f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {values} FROM {rows} WHERE {condition}"
            )
            step += _on_conflict(table) if how == "upsert" else ""
        steps.append(f"w{number} AS ({step})")
    return steps, taken


def _columns(writes: Sequence[TableWrite]) -> Iterable[Sequence[Any]]:
    """The arrays that a statement for these writes takes."""
    for write in writes:
        columns = list(zip(*write.rows, strict=True))
        for place in _places(write.how, write.table):
            yield _once_if_same(columns[place])


def _once_if_same(column: Sequence[Any]) -> Sequence[Any]:
    """Return one value for a column that has the same in all rows, as about half of them have: arrays are slow to send.

    The column of the key is never one of these, so the statement still knows how many rows there are.
    """
    first = column[0]
    return column[:1] if column[-1] == first and column.count(first) == len(column) else column


def _one_or_own(name: str, array: str) -> str:
    """The value of a row's column: the only one that was given, or the row's own."""
    return f"CASE WHEN cardinality({array}) = 1 THEN ({array})[1] ELSE u.{name} END"


@cache
def _write_one(how: How, table: Table) -> str:
    """The statement of SQLite that is run for each row."""
    if how == "update":
        changes = ", ".join(f"{name} = ?" for name in table.changing)
        return f"UPDATE {table.name} SET {changes} WHERE id = ?"
    places = ", ".join("?" * len(table.columns))
    sql = f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({places})"
    return sql + _on_conflict(table) if how == "upsert" else sql


@cache
def _places(how: How, table: Table) -> tuple[int, ...]:
    """Which columns a write needs, by their place in the table; an update's id stands last."""
    names = (*table.changing, "id") if how == "update" else table.columns
    return tuple(table.columns.index(name) for name in names)


def _on_conflict(table: Table) -> str:
    changes = ", ".join(f"{name} = excluded.{name}" for name in table.changing)
    return f" ON CONFLICT (id) DO UPDATE SET {changes}" if changes else " ON CONFLICT (id) DO NOTHING"


def _plain_rows(write: TableWrite) -> list[Row]:
    columns, types = list(zip(*write.rows, strict=True)), write.table.types
    plain = (_plain(columns[place], types[place]) for place in _places(write.how, write.table))
    return list(zip(*plain, strict=True))


def _plain(column: Sequence[Any], kind: str) -> Iterable[Any]:
    # SQLite keeps ids, times and days as text, in the very form in which Tortoise writes and reads them.
    if kind == "uuid":
        return [None if value is None else str(value) for value in column]
    if kind == "timestamptz":
        texts = {value: _text(value) for value in set(column)}
        return [texts[value] for value in column]
    if kind == "date":
        return [None if value is None else value.isoformat() for value in column]
    return column


def _text(time: datetime | None) -> str | None:
    # In UTC, whatever zone a caller wrote it in: SQLite compares times as the texts that they are.
    return None if time is None else time.astimezone(UTC).isoformat(" ")
