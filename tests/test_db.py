"""The two connections: what they promise each other, other processes, and tasks that are cancelled."""

import asyncio
import contextvars
import os
import random
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tortoise.connection import get_connection
from tortoise.context import TortoiseContext
from tortoise.exceptions import IntegrityError, OperationalError, TransactionManagementError
from tortoise.transactions import in_transaction

from app.backends.sqlite import SafeSqliteClient, split_statements
from app.backends.transaction import uninterrupted
from app.db import (
    READER,
    WRITER,
    DatabaseReadOnlyError,
    DatabaseUnreachableError,
    dialect,
    keep_statistics,
    open_database,
    postgres_dsn,
    require_writable,
    tortoise_config,
)
from app.models.customer import Customer
from app.settings import Settings, SettingsError
from tests.databases import ROWS, insert, row_id, settings_for
from tests.fork_server import fork_server
from tests.postgres import PostgresServer

ROOT = Path(__file__).parents[1]
ROUNDS = 150
PATIENCE_S = 15


@pytest.fixture
async def counters(database: TortoiseContext) -> Callable[[], Awaitable[tuple[int, int]]]:
    """Two numbers that every transaction of these tests changes alike; answers what is committed."""
    script = "CREATE TABLE counters (name TEXT PRIMARY KEY, n BIGINT NOT NULL)"
    await get_connection(WRITER).execute_script(script)
    await get_connection(WRITER).execute_script("INSERT INTO counters VALUES ('a', 0), ('b', 0)")

    async def committed() -> tuple[int, int]:
        rows = await get_connection(READER).execute_query_dict("SELECT n FROM counters ORDER BY name")
        return rows[0]["n"], rows[1]["n"]

    return committed


async def add_one(pause: Callable[[], Awaitable[object]] | None = None) -> None:
    """Read, think, write: both counters go up by one, or neither."""
    async with in_transaction(WRITER) as connection:
        lock = " FOR UPDATE" if connection.capabilities.dialect == "postgres" else ""
        rows = await connection.execute_query_dict(f"SELECT n FROM counters ORDER BY name{lock}")
        await connection.execute_query(f"UPDATE counters SET n = {rows[0]['n'] + 1} WHERE name = 'a'")
        if pause is not None:
            await pause()
        await connection.execute_query(f"UPDATE counters SET n = {rows[1]['n'] + 1} WHERE name = 'b'")


# --- Addresses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///coffer.sqlite3", "coffer.sqlite3"),
        ("sqlite:///data/coffer.sqlite3", "data/coffer.sqlite3"),
        ("sqlite:////var/lib/coffer.sqlite3", "/var/lib/coffer.sqlite3"),
        ("sqlite://coffer.sqlite3", "coffer.sqlite3"),
        ("SQLite:///my%20shop.sqlite3", "my shop.sqlite3"),
    ],
)
def test_sqlite_addresses(url: str, path: str) -> None:
    connections = tortoise_config(url)["connections"]
    assert {name: c["credentials"]["file_path"] for name, c in connections.items()} == {
        "default": path,
        "writer": path,
    }
    assert dialect(url) == "sqlite"


@pytest.mark.parametrize("url", ["postgres://u@h/shop", "postgresql://u:p%40@h:5432/shop?sslmode=require"])
def test_postgres_addresses(url: str) -> None:
    config = tortoise_config(url, pool_size_max=7)
    assert {c["credentials"]["dsn"] for c in config["connections"].values()} == {url}
    assert config["connections"]["default"]["credentials"]["maxsize"] == 7
    assert dialect(url) == "postgres"


@pytest.mark.parametrize(
    ("url", "given"),
    [
        ("postgres://u@h/shop", "postgres://u@h/shop"),
        ("postgres://u@[::1]:5432/shop", "postgres://u@[::1]:5432/shop"),
        ("postgres://u@a:1,b:2/shop", "postgres://u@a:1,b:2/shop?target_session_attrs=primary"),
        (
            "postgres://u@a,b/shop?sslmode=require",
            "postgres://u@a,b/shop?sslmode=require&target_session_attrs=primary",
        ),
        ("postgres://u@a,b/shop?target_session_attrs=any", "postgres://u@a,b/shop?target_session_attrs=any"),
    ],
)
def test_of_several_hosts_the_primary_is_taken(url: str, given: str) -> None:
    assert postgres_dsn(url) == given


@pytest.mark.parametrize(
    ("url", "cure"),
    [
        ("", "write sqlite:///"),
        ("coffer.sqlite3", "write sqlite:///"),
        ("mysql://h/shop", "mysql is not supported"),
        ("sqlite:", "sqlite:////var/lib"),
        ("sqlite://", "needs a file"),
        ("sqlite:///", "needs a file"),
        ("sqlite://:memory:", "needs a file"),
        ("sqlite:///x?mode=ro", "takes no options"),
        ("postgresql://u@h", "needs the database's name"),
        ("postgresql://u:p@h:many/shop", "can't be read"),
    ],
)
def test_addresses_that_will_not_do(url: str, cure: str) -> None:
    with pytest.raises(SettingsError, match=cure) as refused:
        tortoise_config(url)
    assert str(refused.value).startswith("COFFER_DATABASE_URL: ")
    assert "u:p" not in str(refused.value)


# --- Opening ------------------------------------------------------------------------------------------------


async def test_models_read_from_the_reader(database: TortoiseContext) -> None:
    await insert(get_connection(WRITER), "customers", ROWS["customers"])
    assert [customer.name for customer in await Customer.all()] == ["Ada"]


async def test_the_reader_does_not_write(database: TortoiseContext) -> None:
    with pytest.raises((OperationalError, TransactionManagementError), match=r"read-?only"):
        await insert(get_connection(READER), "customers", ROWS["customers"])
    async with in_transaction(READER) as connection:
        assert await connection.execute_query_dict("SELECT 1 AS one") == [{"one": 1}]


async def test_other_tasks_see_the_database_when_told_to(settings: Settings) -> None:
    async with open_database(settings, for_all_tasks=True):
        elsewhere = asyncio.create_task(count_customers(), context=contextvars.Context())
        assert await elsewhere == 0
    async with open_database(settings):
        elsewhere = asyncio.create_task(count_customers(), context=contextvars.Context())
        with pytest.raises(RuntimeError, match="No TortoiseContext"):
            await elsewhere


async def count_customers() -> int:
    return await Customer.all().count()


async def test_a_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnreachableError, match="There is no directory"):
        async with open_database(settings_for(f"sqlite:///{tmp_path}/nowhere/coffer.sqlite3")):
            pass


async def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnreachableError, match="is a directory"):
        async with open_database(settings_for(f"sqlite:///{tmp_path}")):
            pass


@pytest.mark.postgres
async def test_a_database_that_is_not_there(postgres_server: PostgresServer) -> None:
    with pytest.raises(DatabaseUnreachableError, match='database "nowhere" does not exist'):
        async with open_database(settings_for(postgres_server.url("nowhere"))):
            pass


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Buy milk. " * 500)
    with pytest.raises(DatabaseUnreachableError, match="COFFER_DATABASE_URL"):
        async with open_database(settings_for(f"sqlite:///{path}")):
            pass


async def test_nobody_answers() -> None:
    with pytest.raises(DatabaseUnreachableError, match="COFFER_DATABASE_URL"):
        async with open_database(settings_for("postgresql://u:secret@127.0.0.1:1/shop")):
            pass


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_pragmas_are_in_force(database: TortoiseContext) -> None:
    async def pragmas(name: str) -> dict[str, Any]:
        connection = get_connection(name)
        wanted = ["journal_mode", "synchronous", "busy_timeout", "foreign_keys", "recursive_triggers"]
        wanted += ["temp_store", "query_only", "journal_size_limit"]
        rows = [(await connection.execute_query_dict(f"PRAGMA {pragma}"))[0] for pragma in wanted]
        return dict(zip(wanted, (next(iter(row.values())) for row in rows), strict=True))

    expected = {
        "journal_mode": "wal",
        "synchronous": 2,
        "busy_timeout": 10_000,
        "foreign_keys": 1,
        "recursive_triggers": 1,
        "temp_store": 2,
        "query_only": 0,
        "journal_size_limit": -1,
    }
    assert await pragmas(WRITER) == expected
    assert await pragmas(READER) == expected | {"query_only": 1}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems know fewer of the options")
@pytest.mark.parametrize("dialect", [pytest.param("postgres", marks=pytest.mark.postgres)])
@pytest.mark.parametrize("name", [READER, WRITER])
async def test_a_connection_to_a_machine_that_vanished_is_given_up_soon(
    database: TortoiseContext, name: str
) -> None:
    async with get_connection(name).acquire_connection() as connection:
        sock = connection._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
        asked_s = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
        asked_s += sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) * sock.getsockopt(
            socket.IPPROTO_TCP, socket.TCP_KEEPCNT
        )
        assert asked_s == 30


@pytest.mark.parametrize("dialect", [pytest.param("postgres", marks=pytest.mark.postgres)])
async def test_a_statement_of_the_reader_ends_in_time(database_url: str) -> None:
    settings = settings_for(database_url, database_statement_timeout_s=0.1)
    async with open_database(settings):
        with pytest.raises(Exception, match="statement timeout"):
            await get_connection(READER).execute_query("SELECT pg_sleep(5)")
        names = await get_connection(WRITER).execute_query_dict(
            "SELECT DISTINCT application_name AS name FROM pg_stat_activity WHERE application_name LIKE 'coffer%'"
            " AND datname = current_database() ORDER BY 1"
        )
        assert [row["name"] for row in names] == ["coffer reader", "coffer writer"]
        await get_connection(WRITER).execute_query("SELECT pg_sleep(0.2)")


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_file_that_may_only_be_read_is_refused(database: TortoiseContext) -> None:
    await require_writable()
    await get_connection(WRITER).execute_query("PRAGMA query_only=ON")
    with pytest.raises(DatabaseReadOnlyError, match="can't be written to"):
        await require_writable()


# --- Processes side by side ---------------------------------------------------------------------------------


@pytest.mark.slow
async def test_processes_lose_nothing(
    settings: Settings, counters: Callable[[], Awaitable[tuple[int, int]]]
) -> None:
    """With deferred transactions, most of these would end as "database is locked"."""
    processes = [
        fork_server().start(
            "tests.test_db", settings.database_url, cwd=ROOT, environment=os.environ, stderr=2
        )
        for _ in range(2)
    ]
    for _ in range(ROUNDS):
        await add_one()
    assert [await asyncio.to_thread(process.wait, 60) for process in processes] == [0, 0]
    assert await counters() == (3 * ROUNDS, 3 * ROUNDS)


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_who_writes_without_pause_keeps_nobody_out(
    settings: Settings, counters: Callable[[], Awaitable[tuple[int, int]]]
) -> None:
    """SQLite's own waiting looks every 100 ms, and met the lock in use nearly every time."""
    stop = threading.Event()

    def write_without_pause() -> None:
        other = sqlite3.connect(settings.database_url.removeprefix("sqlite:///"), isolation_level=None)
        other.execute("PRAGMA busy_timeout=10000")
        while not stop.is_set():
            other.execute("BEGIN IMMEDIATE")
            time.sleep(0.02)
            other.execute("COMMIT")
            time.sleep(0.000_3)
        other.close()

    hog = asyncio.create_task(asyncio.to_thread(write_without_pause))
    await asyncio.sleep(0.1)
    try:
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(60):
                await add_one()
    finally:
        stop.set()
        await hog
    assert await counters() == (60, 60)


async def test_readers_do_not_wait_for_the_writer(
    counters: Callable[[], Awaitable[tuple[int, int]]],
) -> None:
    written, go_on = asyncio.Event(), asyncio.Event()

    async def pause() -> None:
        written.set()
        await go_on.wait()

    writing = asyncio.create_task(add_one(pause))
    await written.wait()
    async with asyncio.timeout(PATIENCE_S):
        assert await counters() == (0, 0)
        async with in_transaction(READER):
            assert await counters() == (0, 0)
    go_on.set()
    await writing
    assert await counters() == (1, 1)


# --- Cancellation -------------------------------------------------------------------------------------------


async def test_cancellation_at_any_moment(counters: Callable[[], Awaitable[tuple[int, int]]]) -> None:
    """Whenever a task is cancelled, its transaction happened wholly or not at all, and the next one works."""
    moments = random.Random(20260102)
    async with asyncio.timeout(60):
        for _ in range(ROUNDS):
            tasks = [asyncio.create_task(add_one()) for _ in range(3)]
            for _ in range(moments.randrange(30)):
                await asyncio.sleep(0)
            if moments.random() < 0.7:
                await asyncio.sleep(moments.random() * 0.004)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            a, b = await counters()
            assert a == b
        before = (await counters())[0]
        await asyncio.gather(*(add_one() for _ in range(5)))
        assert await counters() == (before + 5, before + 5)


@pytest.mark.parametrize("dialect", [pytest.param("postgres", marks=pytest.mark.postgres)])
async def test_a_statement_that_is_prepared_and_never_run_holds_nothing(database: TortoiseContext) -> None:
    """That is where a cancelled read may end. Its session kept locks and snapshot until it was used again."""
    with pytest.raises(RuntimeError, match="left"):  # noqa: PT012 — the block is what is left
        async with get_connection(READER).acquire_connection() as connection:
            await connection.prepare("SELECT * FROM wallets")
            raise RuntimeError("left")
    held = await get_connection(WRITER).execute_query_dict(
        "SELECT state, relation::regclass::text AS locked FROM pg_stat_activity JOIN pg_locks USING (pid)"
        " WHERE datname = current_database() AND application_name = 'coffer reader'"
    )
    assert held == []


async def test_cancelled_twice(counters: Callable[[], Awaitable[tuple[int, int]]]) -> None:
    """A second cancellation does not interrupt what the first one is waiting for."""
    for steps in range(25):
        task = asyncio.create_task(add_one())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    async with asyncio.timeout(PATIENCE_S):
        await add_one()
    a, b = await counters()
    assert a == b >= 1


async def test_cancellation_of_the_first_connection(settings: Settings) -> None:
    """The lock is free again when connecting itself was cancelled."""
    for steps in range(12):
        async with open_database(settings) as context:
            writer = context.connections.get(WRITER)
            await writer.close()
            task = asyncio.create_task(writer.execute_query("SELECT 1"))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            async with asyncio.timeout(PATIENCE_S):
                await writer.execute_query("SELECT 1")


async def test_a_failed_transaction_leaves_nothing_behind(
    counters: Callable[[], Awaitable[tuple[int, int]]],
) -> None:
    async def fail() -> None:
        raise LookupError

    for _ in range(5):
        with pytest.raises(LookupError):
            await add_one(fail)
    assert await counters() == (0, 0)
    await add_one()
    assert await counters() == (1, 1)


async def test_a_nested_transaction_is_undone_alone(
    counters: Callable[[], Awaitable[tuple[int, int]]],
) -> None:
    async with in_transaction(WRITER) as connection:
        await connection.execute_query("UPDATE counters SET n = 1")
        with pytest.raises(LookupError):  # noqa: PT012 - what went before the failure is undone
            async with in_transaction(WRITER) as nested:
                await nested.execute_query("UPDATE counters SET n = 99")
                raise LookupError
    assert await counters() == (1, 1)


async def test_uninterrupted_tells_of_failures() -> None:
    async def fail() -> None:
        await asyncio.sleep(0.01)
        raise LookupError

    with pytest.raises(LookupError):
        await uninterrupted(fail())
    task = asyncio.create_task(uninterrupted(fail()))
    await asyncio.sleep(0)
    task.cancel("enough")
    with pytest.raises(asyncio.CancelledError) as cancelled:
        await task
    assert isinstance(cancelled.value.__cause__, LookupError)


# --- SQLite's own ways to fail ------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_begin_that_fails_releases_the_lock(
    settings: Settings, counters: Callable[[], Awaitable[tuple[int, int]]]
) -> None:
    await get_connection(WRITER).execute_query("PRAGMA busy_timeout=10")
    other = sqlite3.connect(settings.database_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for _ in range(3):
        with pytest.raises(OperationalError, match="locked"):
            await add_one()
    other.execute("ROLLBACK")
    other.close()
    async with asyncio.timeout(PATIENCE_S):
        await add_one()
    assert await counters() == (1, 1)


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_statistics_wait_for_nobody_who_writes(database: TortoiseContext, settings: Settings) -> None:
    known = "SELECT COUNT(*) FROM sqlite_master WHERE name = 'sqlite_stat1'"
    await get_connection(WRITER).execute_query("PRAGMA busy_timeout=10")
    other = sqlite3.connect(settings.database_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("CREATE TABLE heap (n INTEGER)")
    other.execute("CREATE INDEX heap_n ON heap (n)")
    other.executemany("INSERT INTO heap VALUES (?)", [(n,) for n in range(100)])
    # Older libraries look only at tables for whose plans statistics were missed.
    await get_connection(WRITER).execute_query("SELECT * FROM heap WHERE n = 5")

    other.execute("BEGIN IMMEDIATE")
    await keep_statistics()
    other.execute("ROLLBACK")
    assert other.execute(known).fetchone() == (0,)

    await keep_statistics()
    assert other.execute(known).fetchone() == (1,)
    other.close()


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_an_index_of_what_few_have_is_known_to_be_short(database: TortoiseContext) -> None:
    connection = get_connection(WRITER)
    await connection.execute_script(
        "CREATE TABLE heap (id INTEGER PRIMARY KEY, made INTEGER, problem TEXT);"
        "CREATE INDEX heap_by_made ON heap (made);"
        "CREATE INDEX heap_with_problem ON heap (problem, made) WHERE problem IS NOT NULL;"
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 5000) "
        "INSERT INTO heap SELECT n, n, NULL FROM n"
    )

    async def known() -> str:
        (row,) = await connection.execute_query_dict(
            "SELECT stat FROM sqlite_stat1 WHERE idx = 'heap_with_problem'"
        )
        return str(row["stat"])

    async def plan() -> str:
        rows = await connection.execute_query_dict(
            "EXPLAIN QUERY PLAN SELECT id FROM heap WHERE problem >= ? ORDER BY made LIMIT 21", [""]
        )
        return str(rows[0]["detail"])

    await keep_statistics(everything=True)
    assert await known() == "1 1 1"
    assert "heap_with_problem" in await plan()
    await connection.execute_query("UPDATE heap SET problem = 'odd' WHERE id <= 50")
    await keep_statistics()
    assert await known() == "1 1 1"
    # What has become long is looked at, and walked past where that is quicker.
    await connection.execute_query("UPDATE heap SET problem = 'odd' WHERE id <= 4500")
    await keep_statistics()
    assert int((await known()).split()[0]) > 100
    assert "heap_by_made" in await plan()


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_commit_that_fails_leaves_no_transaction(
    counters: Callable[[], Awaitable[tuple[int, int]]],
) -> None:
    with pytest.raises(IntegrityError, match="FOREIGN KEY"):  # noqa: PT012 - the end of the block commits
        async with in_transaction(WRITER) as connection:
            await connection.execute_query("PRAGMA defer_foreign_keys=ON")
            await connection.execute_query("UPDATE counters SET n = 5")
            await insert(connection, "wallets", ROWS["wallets"] | {"customer_id": row_id(999)})
    await add_one()
    assert await counters() == (1, 1)


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_script_stays_in_its_transaction(
    counters: Callable[[], Awaitable[tuple[int, int]]],
) -> None:
    """sqlite3's own executescript would commit what came before it."""
    with pytest.raises(LookupError):  # noqa: PT012 - what went before the failure is undone
        async with in_transaction(WRITER) as connection:
            await connection.execute_query("UPDATE counters SET n = 1")
            await connection.execute_script("UPDATE counters SET n = 2; UPDATE counters SET n = 3;")
            raise LookupError
    assert await counters() == (0, 0)


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_many_rows_are_all_or_nothing(database: TortoiseContext) -> None:
    client = get_connection(WRITER)
    assert isinstance(client, SafeSqliteClient)
    await client.execute_script("CREATE TABLE numbers (n INTEGER PRIMARY KEY)")
    await client.execute_many("INSERT INTO numbers VALUES (?)", [[1], [2]])
    with pytest.raises(IntegrityError):
        await client.execute_many("INSERT INTO numbers VALUES (?)", [[3], [1]])
    assert len(await client.execute_query_dict("SELECT n FROM numbers")) == 2


def test_statements_are_split_where_sqlite_ends_them() -> None:
    trigger = "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; SELECT ';'; END;"
    assert split_statements(f"SELECT 1; {trigger} SELECT 2") == ["SELECT 1;", trigger, "SELECT 2;"]


async def _add_beside(database_url: str) -> None:
    """What a process beside the test's does."""
    async with open_database(settings_for(database_url)):
        for _ in range(ROUNDS):
            await add_one()


if __name__ == "__main__":
    asyncio.run(_add_beside(sys.argv[1]))
