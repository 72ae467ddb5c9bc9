"""The database: its two connections, how they are opened, and how its tables are brought up to date.

`default` is for reading and belongs to all models; `writer` is for the group-commit writer and for migrations
(docs/adr/0003-two-connections.md).
"""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

import asyncpg
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.connection import get_connection
from tortoise.context import TortoiseContext
from tortoise.exceptions import BaseORMException, OperationalError
from tortoise.migrations.executor import MigrationExecutor, MigrationTarget
from tortoise.transactions import in_transaction

from app.backends.asyncpg import SafeAsyncpgClient, come_to_rest
from app.backends.sqlite import SafeSqliteClient
from app.settings import Settings, SettingsError, environment_variable

Dialect = Literal["sqlite", "postgres"]

READER: Final = "default"
WRITER: Final = "writer"
APP_LABEL: Final = "coffer"
MIGRATIONS_MODULE: Final = "app.migrations"

# Listed here because `app.models` re-exports nothing: a package that does blinds the import contracts.
MODEL_MODULES: Final = (
    "app.models.api_key",
    "app.models.audit",
    "app.models.cashback_award",
    "app.models.cashback_rule",
    "app.models.catalog",
    "app.models.celebration",
    "app.models.customer",
    "app.models.delivery",
    "app.models.gift_card",
    "app.models.event",
    "app.models.hold",
    "app.models.idempotency",
    "app.models.lot",
    "app.models.order",
    "app.models.outbox",
    "app.models.payment",
    "app.models.promotion",
    "app.models.payout_message",
    "app.models.payout_method",
    "app.models.refund",
    "app.models.reminder",
    "app.models.renewal",
    "app.models.role",
    "app.models.settings",
    "app.models.signal",
    "app.models.sync",
    "app.models.top_up",
    "app.models.top_up_intent",
    "app.models.auto_top_up",
    "app.models.transaction",
    "app.models.wallet",
    "app.models.webhook_endpoint",
    "app.models.withdrawal",
    "app.models.withdrawal_step",
)

# A process that stands still in the middle of a batch (a paused machine, a network that is gone) keeps its wallets
# locked. A batch needs milliseconds between two statements; after this long, PostgreSQL ends it for the others.
_LET_GO: Final = {"idle_in_transaction_session_timeout": "10000"}

# What the planner must not choose for the writer; a migration may.
_WRITER_AVOIDS: Final = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin")

# Entries of an index that are looked at for SQLite's statistics: a few milliseconds, and precise enough.
_ANALYSED_ROWS_MAX: Final = 1_000

# Rows of an index that SQLite's planner is told to take for short.
_SHORT_MAX: Final = 100

# "coffer" in ASCII: the advisory lock that a migrating process holds on PostgreSQL.
_MIGRATION_LOCK_ID: Final = 0x636F66666572


class DatabaseError(Exception):
    """The database can't be used as it is. The message says what to do."""


class DatabaseUnreachableError(DatabaseError):
    """Nothing answers at the address, or it refuses us."""


class DatabaseReadOnlyError(DatabaseError):
    """It answers, and takes no writes."""


class DatabaseBehindError(DatabaseError):
    """The database has not seen all migrations of this program."""


class DatabaseAheadError(DatabaseError):
    """The database has seen migrations that this program does not know: the program is the older one."""


# --- Configuration -----------------------------------------------------------------------------------------


def tortoise_config(
    database_url: str,
    *,
    pool_size_min: int = 2,
    pool_size_max: int = 10,
    statement_timeout_s: float = 5.0,
    acquire_timeout_s: float = 2.0,
    may_be_standby: bool = False,
) -> dict[str, Any]:
    """What Tortoise needs to know: both connections and the one app with its models and migrations.

    Raises `SettingsError` for an address that is neither SQLite's nor PostgreSQL's.
    """
    if dialect(database_url) == "sqlite":
        connections = _sqlite_connections(_sqlite_path(database_url), acquire_timeout_s=acquire_timeout_s)
    else:
        connections = _postgres_connections(
            postgres_dsn(database_url, may_be_standby=may_be_standby),
            pool_size_min=pool_size_min,
            pool_size_max=pool_size_max,
            statement_timeout_s=statement_timeout_s,
            acquire_timeout_s=acquire_timeout_s,
            may_be_standby=may_be_standby,
        )
    return {
        "connections": connections,
        "apps": {
            APP_LABEL: {
                "models": list(MODEL_MODULES),
                "default_connection": READER,
                "migrations": MIGRATIONS_MODULE,
            }
        },
        "use_tz": True,
        "timezone": "UTC",
    }


def dialect(database_url: str) -> Dialect:
    """Which of the two databases this address means."""
    scheme = database_url.partition(":")[0].lower()
    if scheme == "sqlite":
        return "sqlite"
    if scheme in {"postgres", "postgresql"}:
        return "postgres"
    raise _bad_url(f"{scheme or 'an empty address'} is not supported; write sqlite:///… or postgresql://…")


def _sqlite_connections(path: str, *, acquire_timeout_s: float) -> dict[str, Any]:
    """Pragmas in the order in which they are set: busy_timeout first, query_only last."""
    pragmas = {
        "busy_timeout": 10_000,  # milliseconds to wait for another process that writes
        "journal_mode": "WAL",  # readers and the writer don't wait for each other
        "synchronous": "FULL",  # what was committed survives a power cut; batching makes that cheap
        "foreign_keys": "ON",
        "recursive_triggers": "ON",  # without it, INSERT OR REPLACE deletes rows past the DELETE triggers
        "cache_size": -32_768,  # 32 MiB
        "temp_store": "MEMORY",
    }
    engine = "app.backends.sqlite"
    return {
        READER: {
            "engine": engine,
            "credentials": {
                "file_path": path,
                "begin": "BEGIN",
                "acquire_timeout_s": acquire_timeout_s,
                **pragmas,
                "query_only": "ON",
            },
        },
        WRITER: {"engine": engine, "credentials": {"file_path": path, **pragmas}},
    }


def _postgres_connections(
    dsn: str,
    *,
    pool_size_min: int,
    pool_size_max: int,
    statement_timeout_s: float,
    acquire_timeout_s: float,
    may_be_standby: bool,
) -> dict[str, Any]:
    engine = "app.backends.asyncpg"
    # Plans of statements this small cost less than compiling them; JIT only adds pauses.
    common = {"jit": "off"}
    # The writer's statements are few and go by primary and unique keys. Planned once, always along the indexes,
    # they stay fast while the tables grow from nothing, whatever the statistics believe just now.
    writer_settings = common | {
        "plan_cache_mode": "force_generic_plan",
        **dict.fromkeys(_WRITER_AVOIDS, "off"),
        **_LET_GO,
    }
    reader_settings = common | {
        "default_transaction_read_only": "on",
        "statement_timeout": f"{max(1, round(statement_timeout_s * 1000))}",
    }
    return {
        READER: {
            "engine": engine,
            "credentials": {
                "dsn": dsn,
                "minsize": pool_size_min,
                "maxsize": pool_size_max,
                "acquire_timeout_s": acquire_timeout_s,
                "application_name": "coffer reader",
                "session_settings": reader_settings,
                "may_be_standby": may_be_standby,
                "reset": come_to_rest,
            },
        },
        # One for the writer's batch, one for whatever else may write meanwhile: a migration, a job's lease.
        WRITER: {
            "engine": engine,
            "credentials": {
                "dsn": dsn,
                "minsize": 1,
                "maxsize": 2,
                # A batch with orders has a statement that is longer than asyncpg would keep prepared.
                "max_cacheable_statement_size": 0,
                "application_name": "coffer writer",
                "session_settings": writer_settings,
                "may_be_standby": may_be_standby,
                "reset": come_to_rest,
            },
        },
    }


def _sqlite_path(database_url: str) -> str:
    """`sqlite:///a.sqlite3` is relative and `sqlite:////a.sqlite3` absolute, as SQLAlchemy taught everybody."""
    rest = database_url.partition(":")[2]
    if not rest.startswith("//"):
        raise _bad_url("a file is named like sqlite:///coffer.sqlite3, or sqlite:////var/lib/coffer.sqlite3")
    # sqlite://coffer.sqlite3, with two slashes, is Tortoise's and Django's way; it can mean only one thing.
    path = rest[3:] if rest.startswith("///") else rest[2:]
    path, _, query = path.partition("?")
    if query:
        raise _bad_url(f"SQLite takes no options; leave out ?{query}")
    if path in {"", ":memory:"}:
        raise _bad_url(
            "the ledger needs a file, because its two connections share it; write sqlite:///coffer.sqlite3"
        )
    return unquote(path)


def postgres_dsn(database_url: str, *, may_be_standby: bool = False) -> str:
    """Return PostgreSQL's address as the driver is given it; of several hosts it takes the one that takes writes."""
    try:
        parts = urlsplit(database_url)
        # Several hosts, each with its port, stand where a URL has one.
        hosts = parts.netloc.rpartition("@")[2].split(",")
        ports_are_fine = all(urlsplit(f"//{host}").port != 0 for host in hosts)
    except ValueError as error:
        raise _bad_url(
            f"it can't be read ({error}); percent-encode special characters in the password"
        ) from None
    if not ports_are_fine or not parts.path.strip("/"):
        raise _bad_url("PostgreSQL needs the database's name too: postgresql://user@host:5432/name")
    if len(hosts) == 1 or may_be_standby or "target_session_attrs" in parse_qs(parts.query):
        return database_url
    # The driver would take the first that answers.
    query = f"{parts.query}&" if parts.query else ""
    return urlunsplit(parts._replace(query=f"{query}target_session_attrs=primary"))


def _bad_url(problem: str) -> SettingsError:
    # The address itself is not repeated: it may hold a password.
    return SettingsError(f"{environment_variable('database_url')}: {problem}.")


# --- Opening and closing -----------------------------------------------------------------------------------


@asynccontextmanager
async def open_database(
    settings: Settings, *, for_all_tasks: bool = False, may_be_standby: bool = False
) -> AsyncIterator[TortoiseContext]:
    """Connect both connections, and close them in the end.

    Tortoise keeps its state in a context variable: by default only the calling task and those that it starts
    see the database. A server's lifespan runs beside the requests and says `for_all_tasks=True`, which only
    one open database of a process may. With `may_be_standby` a PostgreSQL that only follows another is good enough.
    """
    config = tortoise_config(
        settings.database_url,
        pool_size_min=settings.database_pool_size_min,
        pool_size_max=settings.database_pool_size_max,
        statement_timeout_s=settings.database_statement_timeout_s,
        acquire_timeout_s=settings.database_acquire_timeout_s,
        may_be_standby=may_be_standby,
    )
    if dialect(settings.database_url) == "sqlite":
        _require_directory(_sqlite_path(settings.database_url))
    async with TortoiseContext() as context:
        await context.init(config=config, _enable_global_fallback=for_all_tasks)
        # Now rather than at the first query: a wrong address is told at once, and no request opens a pool.
        for name in (WRITER, READER):
            await _connect(context.connections.get(name))
        yield context


def connections_in_use() -> dict[str, tuple[int, int]]:
    """Return, for the reading and the writing connections, how many are taken and how many there may be."""
    found = {}
    for name in (READER, WRITER):
        client = get_connection(name)
        if isinstance(client, SafeAsyncpgClient | SafeSqliteClient):
            found[name] = client.in_use
    return found


async def ping() -> None:
    """Ask the database over a reading connection whether it takes writes. Raises `DatabaseReadOnlyError`."""
    connection = get_connection(READER)
    if connection.capabilities.dialect == "sqlite":
        await connection.execute_query("SELECT 1")
        return
    # What is in force for this connection is our own.
    told = await connection.execute_query_dict(
        "SELECT reset_val FROM pg_settings WHERE name = 'default_transaction_read_only'"
    )
    if told[0]["reset_val"] == "on":
        raise DatabaseReadOnlyError(
            "The database takes no writes: default_transaction_read_only is on for the server, the database or the user."
        )


async def require_writable() -> None:
    """Refuse to go on with an open database that takes no writes. Raises `DatabaseReadOnlyError`."""
    await ping()
    if get_connection(WRITER).capabilities.dialect != "sqlite":
        return
    try:
        async with in_transaction(WRITER) as connection:
            # SQLite begins a transaction on a file that it may only read, and says so at the first statement that writes.
            await connection.execute_query("DELETE FROM tortoise_migrations WHERE FALSE")
    except OperationalError as error:
        if "readonly" not in str(error):
            raise
        raise DatabaseReadOnlyError(
            f"The database's file can't be written to: {error}. Check who may write to it and its folder."
        ) from error


async def _connect(connection: BaseDBAsyncClient) -> None:
    try:
        await connection.create_connection(with_db=True)
    except (
        OSError,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        BaseORMException,
        sqlite3.Error,
    ) as error:
        # Of a database that is not there Tortoise says less than PostgreSQL did.
        said = error.__cause__ if isinstance(error.__cause__, asyncpg.PostgresError) else error
        raise DatabaseUnreachableError(
            f"The database can't be opened: {str(said) or 'nothing answered in time'}. Check {environment_variable('database_url')}."
        ) from error


def _require_directory(path: str) -> None:
    directory = Path(path).parent
    if not directory.is_dir():
        raise DatabaseUnreachableError(
            f"There is no directory {directory}. Create it, or choose another file."
        )
    if Path(path).is_dir():
        raise DatabaseUnreachableError(f"{path} is a directory. Name the database's file in it.")


async def keep_statistics(*, everything: bool = False) -> None:
    """Have SQLite look at its tables, quickly, so that its plans are made for what they hold; PostgreSQL does it by itself.

    Without statistics it takes a state that nearly all rows have for one that few have, and sorts them all.
    """
    connection = get_connection(WRITER)
    if connection.capabilities.dialect != "sqlite":
        return
    await connection.execute_query(f"PRAGMA analysis_limit={_ANALYSED_ROWS_MAX}")
    try:
        # The mask of the manual for a connection that was just opened: every table, whatever it has seen.
        await connection.execute_query("ANALYZE" if everything else "PRAGMA optimize=0x10002")
        await _tell_of_short_indexes(connection)
    except OperationalError as error:
        # Another process writes: what makes plans better is no reason to wait for it, and there is a next time.
        if everything or "locked" not in str(error):
            raise


async def _tell_of_short_indexes(connection: BaseDBAsyncClient) -> None:
    """Write down that indexes of what few rows have are short.

    `ANALYZE` says nothing of an index without a row, and the planner then takes it for half as long as its table: it
    reads a whole list to find what this index knows that there is none of.
    """
    if not await connection.execute_query_dict("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'"):
        return
    indexes = await connection.execute_query_dict(
        "SELECT i.tbl_name AS of_table, i.name, i.sql, s.stat, "
        "(SELECT '1' || replace(hex(zeroblob(COUNT(*))), '00', ' 1') FROM pragma_index_info(i.name)) AS short "
        "FROM sqlite_schema i LEFT JOIN sqlite_stat1 s ON s.tbl = i.tbl_name AND s.idx = i.name "
        "WHERE i.type = 'index' AND i.sql LIKE '% WHERE %' AND (s.stat IS NULL OR s.stat = short) "
        "AND i.tbl_name IN (SELECT tbl FROM sqlite_stat1)"
    )
    for index in indexes:
        name, condition = index["name"], index["sql"].partition(" WHERE ")[2]
        more = await connection.execute_query_dict(
            f"SELECT 1 FROM {index['of_table']} INDEXED BY {name} WHERE {condition} "  # noqa: S608 - our own
            f"LIMIT 1 OFFSET {_SHORT_MAX}"
        )
        if more:
            await connection.execute_query(f"ANALYZE {name}")
        elif index["stat"] is None:
            values = [index["of_table"], name, index["short"]]
            await connection.execute_query(
                "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)", values
            )
    # What is written there is read by this connection now, and by others when they open.
    await connection.execute_query("ANALYZE sqlite_schema")


# --- Migrations --------------------------------------------------------------------------------------------


MIGRATION_PATIENCE_MS: Final = 120_000
"""How long a process waits for another one's migrations, on SQLite."""


async def migrate(settings: Settings, on_step: Callable[[str], None] | None = None) -> list[str]:
    """Apply the migrations that the database has not seen, and name them. Safe to run twice at once.

    Each migration is one database transaction together with its own record, and looks again, under the lock,
    at what another process may have done meanwhile.
    """
    done = []
    async with open_database(settings):
        await ping()
        if dialect(settings.database_url) == "sqlite":
            # A migration may have to make a table anew; nothing may then follow its references. It takes
            # effect outside transactions only, and holds for this connection only.
            await get_connection(WRITER).execute_query("PRAGMA foreign_keys=OFF")
            # Another process may be at it: each of its migrations takes its time, and SQLite's lock knows no queue.
            await get_connection(WRITER).execute_query(f"PRAGMA busy_timeout={MIGRATION_PATIENCE_MS}")
        while (name := await _apply_next()) is not None:
            done.append(name)
            if on_step is not None:
                on_step(name)
    return done


async def pending_migrations() -> list[str]:
    """The migrations that the open database has not seen, in order.

    Raises `DatabaseAheadError` when it has seen others than this program knows.
    """
    return await _pending(get_connection(READER))


async def require_migrated() -> None:
    """Refuse to go on with an open database whose tables are not those that this program expects."""
    pending = await pending_migrations()
    if pending:
        raise DatabaseBehindError(
            f"The database is {len(pending)} migration(s) behind ({', '.join(pending)}). "
            "Run: python -m app migrate"
        )


async def _apply_next() -> str | None:
    """Apply the next migration; None when there is nothing left to do."""
    async with in_transaction(WRITER) as connection:
        # On SQLite the transaction holds the write lock since BEGIN IMMEDIATE.
        if connection.capabilities.dialect == "postgres":
            await connection.execute_query("SELECT pg_advisory_xact_lock($1)", [_MIGRATION_LOCK_ID])
            for name in _WRITER_AVOIDS:
                await connection.execute_query("SELECT set_config($1, 'on', true)", [name])
            # A migration holds no wallet that others wait for, and may think for long between two statements.
            for name in _LET_GO:
                await connection.execute_query("SELECT set_config($1, '0', true)", [name])
        pending = await _pending(connection)
        if not pending:
            return None
        executor = _executor(connection)
        # Tortoise reads its table before it makes it, and a failed read ends a PostgreSQL transaction.
        await executor.recorder.ensure_schema(executor._schema_editor())  # noqa: SLF001 - no public way
        await executor.migrate([MigrationTarget(APP_LABEL, pending[0])])
        if connection.capabilities.dialect == "sqlite":
            await _require_references(connection, pending[0])
        return pending[0]


async def _require_references(connection: BaseDBAsyncClient, migration: str) -> None:
    broken = await connection.execute_query_dict("PRAGMA foreign_key_check")
    if broken:
        raise DatabaseError(
            f"Migration {migration} was undone: it would leave {len(broken)} broken references."
        )


async def _pending(connection: BaseDBAsyncClient) -> list[str]:
    executor = _executor(connection)
    loader = executor.loader
    loader.load_disk()
    known = sorted(key.name for key in loader.disk_migrations)
    applied = await _applied(connection)
    unknown = sorted(applied - set(known))
    if unknown:
        raise DatabaseAheadError(
            f"The database has migrations that this program does not know ({', '.join(unknown)}): "
            "it was used by a newer version. Install that version."
        )
    return [name for name in known if name not in applied]


async def _applied(connection: BaseDBAsyncClient) -> set[str]:
    """What Tortoise recorded. Its own reader answers "nothing" to every error, also to a lost connection."""
    if connection.capabilities.dialect == "postgres":
        table = "SELECT 1 WHERE to_regclass('tortoise_migrations') IS NOT NULL"
    else:
        table = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'tortoise_migrations'"
    if not await connection.execute_query_dict(table):
        return set()
    rows = await connection.execute_query_dict(
        f"SELECT name FROM tortoise_migrations WHERE app = '{APP_LABEL}'"  # noqa: S608 - our own constant
    )
    return {row["name"] for row in rows}


def _executor(connection: BaseDBAsyncClient) -> MigrationExecutor:
    apps = {APP_LABEL: {"migrations": MIGRATIONS_MODULE, "default_connection": WRITER}}
    return MigrationExecutor(connection, apps)
