"""What `live` asks of the database, over the reading connection, and who tells it of other processes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from importlib import import_module
from typing import Any
from uuid import UUID

import orjson
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.connection import get_connection

from app.db import READER, Dialect, dialect, postgres_dsn
from app.domain.ledger import Transaction, Wallet
from app.live import Exchange, Hub, PostgresListener, SqliteWatcher, Tell
from app.services.ledger import records
from app.settings import Settings, SettingsError, environment_variable, redis_server


def _reader() -> BaseDBAsyncClient:
    return get_connection(READER)


class DatabaseSource:
    """Implements `app.live.Source`: a statement each, on either database.

    It can be made before the database is open: the connection is looked up when it is needed.
    """

    def __init__(self, database: Dialect, connection: Callable[[], BaseDBAsyncClient] = _reader) -> None:
        self._connection = connection
        self._is_sqlite = database == "sqlite"
        self._sql = _SQLITE if self._is_sqlite else _POSTGRES
        self._encode = _json if self._is_sqlite else _array

    async def wallets(self, wallet_ids: Collection[UUID]) -> Sequence[Wallet]:
        """See `Source`."""
        return [records.read_wallet(row) for row in await self._select("wallets", self._encode(wallet_ids))]

    async def versions(self, wallet_ids: Collection[UUID]) -> Mapping[UUID, tuple[int, datetime]]:
        """See `Source`."""
        rows = await self._select("versions", self._encode(wallet_ids))
        return {
            records.read_uuid(row["id"]): (row["version"], records.read_time(row["updated_at"]))
            for row in rows
        }

    async def transactions(self, wallet_id: UUID, after: int, limit: int) -> Sequence[Transaction]:
        """See `Source`."""
        return await self.transactions_of({wallet_id: after}, limit)

    async def transactions_of(self, positions: Mapping[UUID, int], limit: int) -> Sequence[Transaction]:
        """See `Source`."""
        wallet_ids, sequences = self._encode(positions), self._encode(positions.values())
        rows = await self._select("transactions_of", wallet_ids, sequences, limit)
        return [records.read_transaction(row) for row in rows]

    async def sequences_before(self, wallet_ids: Collection[UUID], before: datetime) -> Mapping[UUID, int]:
        """See `Source`."""
        rows = await self._select("sequences_before", self._encode(wallet_ids), self._time(before))
        return {records.read_uuid(row["id"]): row["sequence"] for row in rows}

    async def sequences_since(self, since: datetime) -> Mapping[UUID, int]:
        """See `Source`."""
        rows = await self._select("sequences_since", self._time(since))
        return {records.read_uuid(row["wallet_id"]): row["sequence"] for row in rows}

    async def data_version(self) -> int:
        """Return SQLite's number that changes with every commit of another connection."""
        _, rows = await self._connection().execute_query("PRAGMA data_version")
        version: int = rows[0]["data_version"]
        return version

    async def _select(self, name: str, *values: Any) -> Sequence[Mapping[str, Any]]:
        _, rows = await self._connection().execute_query(self._sql[name], list(values))
        return rows

    def _time(self, value: datetime) -> Any:
        # SQLite compares times as text, in the form in which Tortoise writes them.
        return value.isoformat(" ") if self._is_sqlite else value


def live_hub(
    settings: Settings,
    *,
    process: str,
    clock: Callable[[], datetime],
    hear_rights: Callable[[], None] = lambda: None,
    hear_version: Callable[[UUID, int], None] = lambda wallet_id, version: None,
) -> tuple[Hub, Exchange]:
    """Return the hub of this process, and what it is to run with: `hub.running(exchange)`.

    The writer's notes go to `exchange.tell`. Raises `SettingsError` where a package is missing.
    """
    database = dialect(settings.database_url)
    source = DatabaseSource(database)
    hub = Hub(source, queue_max=settings.live_queue_max, clock=clock)
    if database == "sqlite":
        return hub, SqliteWatcher(hub, source.data_version, interval_s=settings.live_poll_interval_s)
    if settings.live_url is None:
        dsn = postgres_dsn(settings.database_url)
        return hub, PostgresListener(
            hub, dsn, process=process, hear_rights=hear_rights, hear_version=hear_version
        )
    redis, server = _redis(), redis_server(settings.live_url.get_secret_value())
    listener = redis.RedisListener(
        hub, server, process=process, hear_rights=hear_rights, hear_version=hear_version
    )
    return hub, listener


@asynccontextmanager
async def telling(settings: Settings, *, process: str) -> AsyncIterator[Tell | None]:
    """Tell other processes of this one's commits, for a process that hears of none: the command line.

    Yields where the writer's notes go, or `None` where the database brings them. Leaving waits a moment until they are gone.
    """
    if settings.live_url is None:
        yield None
        return
    publisher = _redis().RedisPublisher(redis_server(settings.live_url.get_secret_value()), process=process)
    task = asyncio.create_task(publisher.run())
    # A task that was cancelled before it began would leave without a word.
    await asyncio.sleep(0)
    try:
        yield publisher.tell
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _redis() -> Any:
    try:
        return import_module("app.live.redis")
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"{environment_variable('live_url')}: {error.name} is not installed. "
            "Install Coffer with its extra: pip install 'coffer[redis]'."
        ) from None


def _json(values: Collection[Any]) -> str:
    return orjson.dumps([value if isinstance(value, int) else str(value) for value in values]).decode()


def _array(values: Collection[Any]) -> list[Any]:
    return list(values)


# The inner limit keeps PostgreSQL on the index of wallet and sequence: without it, a short limit tempts the planner
# to walk the whole index in order and throw nearly all of it away.
_POSTGRES = {
    "wallets": "SELECT * FROM wallets WHERE id = ANY($1::uuid[])",
    "versions": "SELECT id, version, updated_at FROM wallets WHERE id = ANY($1::uuid[])",
    "transactions_of": """
        SELECT t.* FROM unnest($1::uuid[], $2::bigint[]) AS p(wallet_id, after)
        CROSS JOIN LATERAL (
            SELECT * FROM transactions WHERE wallet_id = p.wallet_id AND sequence > p.after
            ORDER BY sequence LIMIT $3::bigint
        ) t ORDER BY t.wallet_id, t.sequence LIMIT $3::bigint
    """,
    "sequences_before": """
        SELECT w.id, coalesce((
            SELECT t.sequence FROM transactions t WHERE t.wallet_id = w.id AND t.created_at < $2
            ORDER BY t.sequence DESC LIMIT 1
        ), 0) AS sequence FROM unnest($1::uuid[]) AS w(id)
    """,
    "sequences_since": """
        SELECT wallet_id, max(sequence) AS sequence FROM transactions WHERE created_at >= $1 GROUP BY wallet_id
    """,
}

_SQLITE = {
    "wallets": "SELECT * FROM wallets WHERE id IN (SELECT value FROM json_each(?))",
    "versions": "SELECT id, version, updated_at FROM wallets WHERE id IN (SELECT value FROM json_each(?))",
    # CROSS JOIN is SQLite's way to say: in this order.
    "transactions_of": """
        SELECT t.* FROM json_each(?) w JOIN json_each(?) s ON s.key = w.key
        CROSS JOIN transactions t ON t.wallet_id = w.value AND t.sequence > s.value
        ORDER BY t.wallet_id, t.sequence LIMIT ?
    """,
    "sequences_before": """
        SELECT w.value AS id, coalesce((
            SELECT t.sequence FROM transactions t WHERE t.wallet_id = w.value AND t.created_at < ?2
            ORDER BY t.sequence DESC LIMIT 1
        ), 0) AS sequence FROM json_each(?1) w
    """,
    "sequences_since": """
        SELECT wallet_id, max(sequence) AS sequence FROM transactions WHERE created_at >= ? GROUP BY wallet_id
    """,
}
