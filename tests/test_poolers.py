"""PostgreSQL behind a pooler, on a server that takes no writes, and after the primary changed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Literal

import asyncpg
import httpx
import pytest
from tortoise.connection import get_connection

from app.db import (
    READER,
    WRITER,
    DatabaseReadOnlyError,
    DatabaseUnreachableError,
    migrate,
    open_database,
    ping,
)
from tests.caller import ADJUST, Caller, UnansweredError, adjustment
from tests.databases import settings_for
from tests.pooler import Pooler
from tests.postgres import PostgresServer
from tests.server import ServerProcess, token

STAFF = ("ann", "administrator")


@pytest.fixture
def dialect() -> str:
    return "postgres"


@pytest.fixture
async def pooler(database_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Pooler]:
    mode: Literal["session", "transaction"] = request.param
    async with Pooler(database_url, mode=mode) as pooler:
        yield pooler


# --- poolers ------------------------------------------------------------------------------------------------


@pytest.mark.postgres
@pytest.mark.parametrize("pooler", ["session"], indirect=True)
async def test_behind_a_pooler_that_keeps_sessions_our_settings_are_in_force(pooler: Pooler) -> None:
    async with open_database(settings_for(pooler.url, database_statement_timeout_s=7)):
        for name, wanted in (
            (READER, {"default_transaction_read_only": "on", "statement_timeout": "7s", "jit": "off"}),
            (WRITER, {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "jit": "off"}),
        ):
            for setting, value in wanted.items():
                found = await get_connection(name).execute_query_dict(f"SHOW {setting}")
                assert found == [{setting: value}]


@pytest.mark.postgres
@pytest.mark.parametrize("pooler", ["transaction"], indirect=True)
async def test_a_pooler_of_transactions_is_refused(pooler: Pooler) -> None:
    with pytest.raises(DatabaseUnreachableError, match="pool_mode = session"):
        async with open_database(settings_for(pooler.url)):
            pass
    with pytest.raises(DatabaseUnreachableError, match="pool_mode = session"):
        await migrate(settings_for(pooler.url))


@pytest.mark.postgres
@pytest.mark.parametrize("pooler", ["session"], indirect=True)
async def test_a_session_that_lost_what_was_prepared_is_replaced(pooler: Pooler) -> None:
    """As when a pooler changes its mode, or somebody has it reset sessions that are in use."""
    async with open_database(settings_for(pooler.url, database_pool_size_min=1, database_pool_size_max=1)):
        for name in (READER, WRITER):
            connection = get_connection(name)
            statement = "SELECT 1 AS n WHERE $1::int = 1"
            await connection.execute_query(statement, [1])
            await connection.execute_query("DEALLOCATE ALL")
            with pytest.raises(Exception, match="does not exist"):
                await connection.execute_query(statement, [1])
            _, rows = await connection.execute_query(statement, [1])
            assert [row["n"] for row in rows] == [1]


# --- servers that take no writes ----------------------------------------------------------------------------


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server that a test may stop: the others share theirs."""
    with PostgresServer() as server:
        if not server.is_own:
            pytest.skip("the server that was named is not ours to stop")
        yield server


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def _problem(server: ServerProcess) -> str:
    async with httpx.AsyncClient() as client:
        told = (await client.get(f"{server.url}/readyz")).json()
        return str(told["problems"].get("database", ""))


async def _until(server: ServerProcess, problem: str) -> None:
    async with asyncio.timeout(60):
        while True:
            found = await _problem(server)
            if problem in found and bool(problem) == bool(found):
                return
            await asyncio.sleep(0.1)


@pytest.mark.slow
@pytest.mark.postgres
async def test_a_primary_that_becomes_a_standby_and_a_primary_again(
    own_server: PostgresServer, server_on: Callable[..., ServerProcess]
) -> None:
    own_server.create_database("shop")
    url = own_server.url("shop")
    await migrate(settings_for(url))
    server = server_on(url)
    async with Caller(server.url, token(*STAFF)) as caller:

        async def credit(key: str) -> Any:
            return await caller.ask(ADJUST, adjustment("ada", "CREDIT", 100, key=key))

        assert (await credit("before"))["userErrors"] == []

        await asyncio.to_thread(own_server.restart, standby=True)
        await _until(server, "standby")
        with pytest.raises(UnansweredError, match="SERVICE_UNAVAILABLE"):
            await credit("meanwhile")
        with pytest.raises(DatabaseUnreachableError, match="standby"):
            await migrate(settings_for(url))
        # What only reads may look at one.
        async with open_database(settings_for(url), may_be_standby=True):
            await ping()

        await asyncio.to_thread(own_server.promote)
        await _until(server, "")
        assert (await credit("meanwhile"))["transaction"]["sequence"] == 2

        # Somebody closes the books for a while: nothing is connected anew.
        await _execute(url, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
        await _until(server, "default_transaction_read_only")
        with pytest.raises(UnansweredError, match="SERVICE_UNAVAILABLE"):
            await credit("closed")
        with pytest.raises(DatabaseReadOnlyError, match="default_transaction_read_only"):
            await migrate(settings_for(url))
        await _execute(
            url, "SET default_transaction_read_only = off", "ALTER SYSTEM RESET default_transaction_read_only",
            "SELECT pg_reload_conf()",
        )  # fmt: skip
        await _until(server, "")
        assert (await credit("closed"))["transaction"]["sequence"] == 3
