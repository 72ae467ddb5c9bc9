"""The server that other tests stand on: it starts, copies databases, and never outlives whoever started it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.postgres import EXTERNAL_URL_VARIABLE, PostgresServer, PostgresUnavailableError, _programs

pytestmark = pytest.mark.postgres

STARTS_AND_WAITS = """
import time
from tests.postgres import PostgresServer
server = PostgresServer()
server.start()
print(server.url(), flush=True)
time.sleep(600)
"""


async def test_it_speaks_sql_and_copies_a_template(postgres_server: PostgresServer) -> None:
    postgres_server.create_database("server_test_first")
    connection = await asyncpg.connect(postgres_server.url("server_test_first"))
    await connection.execute("CREATE TABLE coin (amount_minor bigint)")
    await connection.close()

    postgres_server.create_database("server_test_copy", template="server_test_first")
    connection = await asyncpg.connect(postgres_server.url("server_test_copy"))
    try:
        assert await connection.fetchval("SELECT count(*) FROM coin") == 0
    finally:
        await connection.close()
        postgres_server.drop_database("server_test_copy")
        postgres_server.drop_database("server_test_first")

    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(postgres_server.url("server_test_copy"))


async def test_it_takes_many_connections_and_knows_case_in_all_scripts(
    postgres_server: PostgresServer,
) -> None:
    connection = await asyncpg.connect(postgres_server.url())
    try:
        assert int(await connection.fetchval("SHOW max_connections")) >= 100
        assert await connection.fetchval("SELECT lower('ÄÖÉ')") == "äöé"
    finally:
        await connection.close()


def test_a_database_name_is_never_sql(postgres_server: PostgresServer) -> None:
    with pytest.raises(ValueError, match="not a plain database name"):
        postgres_server.create_database('shop"; DROP DATABASE postgres; --')


@pytest.mark.slow
async def test_a_bench_gets_a_server_that_keeps_its_promises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(EXTERNAL_URL_VARIABLE, raising=False)
    with PostgresServer(fsync=True) as server:
        connection = await asyncpg.connect(server.url())
        kept = [await connection.fetchval(f"SHOW {name}") for name in ("fsync", "synchronous_commit")]
        await connection.close()
    assert kept == ["on", "on"]
    with pytest.raises(PostgresUnavailableError, match="not running"):
        server.url()


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root steps down to another user")
def test_it_copies_programs_that_the_other_user_may_not_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(EXTERNAL_URL_VARIABLE, raising=False)
    package = _programs().parent.parent
    for folder in (package, package.with_name(f"{package.name}.libs")):
        if folder.is_dir():
            shutil.copytree(
                folder, tmp_path / folder.name, ignore=shutil.ignore_patterns("include", "pginstall")
            )
    tmp_path.chmod(0o700)
    monkeypatch.setattr("tests.postgres._programs", lambda: tmp_path / package.name / "pginstall18" / "bin")

    with PostgresServer() as server:
        server.create_database("shop")


@pytest.mark.slow
def test_it_ends_with_the_process_that_started_it_even_if_that_is_killed() -> None:
    environment = {name: value for name, value in os.environ.items() if name != EXTERNAL_URL_VARIABLE}
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTS_AND_WAITS], stdout=subprocess.PIPE, text=True, env=environment,
        cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    with starter:
        assert starter.stdout is not None
        port = urlsplit(starter.stdout.readline().strip()).port
        assert port is not None
        assert _listens(port)
        starter.send_signal(signal.SIGKILL)

    patience_ends = time.monotonic() + 15
    while _listens(port):
        assert time.monotonic() < patience_ends, "the server outlived its starter"
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
