"""One application for each module and database; what a test needs of its own, it makes under a fresh name."""

import os
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from inspect import iscoroutinefunction
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import pytest_asyncio

from tests.api.store import Store, opened
from tests.postgres import PostgresServer

HERE = Path(__file__).parent
IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a fresh folder is made below it


BEFORE_THE_DATABASE = {
    "test_who_may",
    "test_who_may_not_learns_nothing_from_what_they_send",
    "test_nobody_and_the_expired_get_nothing",
    "test_the_crawl_finds_what_is_there",
    "test_texts_that_can_t_be_kept",
    "test_inputs_of_the_wrong_shape",
    "test_ten_megabytes",
    "test_no_decimals",
    "test_no_times",
    "test_unknown_currencies",
}
"""What is decided before any database is asked: it is played on one of them, so that the whole keeps its time."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Pools belong to the loop that opened them, so a module's tests share one."""
    met: set[object] = set()
    items[:] = [item for item in items if not _is_played_already(item, met)]
    for item in items:
        if (
            isinstance(item, pytest.Function)
            and item.path.parent == HERE
            and iscoroutinefunction(item.function)
        ):
            item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)


def _is_played_already(item: pytest.Item, met: set[object]) -> bool:
    """Tell whether PostgreSQL has nothing to add: `met` are the refusals that it was asked for so far.

    Refusals are decided by the same pure functions on both; what each leaves behind is up to the database, and so each
    kind of refusal is played on both.
    """
    called = getattr(item, "callspec", None)
    if not isinstance(item, pytest.Function) or item.path.parent != HERE or called is None:
        return False
    if called.params.get("dialect") != "postgres":
        return False
    if item.originalname == "test_refused":
        code = called.params["refusal"].code
        played = code in met
        met.add(code)
        return played
    return item.originalname in BEFORE_THE_DATABASE


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def dialect(request: pytest.FixtureRequest) -> str:
    """Every module runs on both databases."""
    return str(request.param)


@pytest.fixture(scope="module")
def module_database_url(
    dialect: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A database with all tables and no rows, for one module."""
    if dialect == "sqlite":
        # In memory where there is such a place: every commit here waits for the disk, and these tests are about
        # answers, not about power cuts.
        folder = IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else tmp_path_factory.getbasetemp()
        with TemporaryDirectory(dir=folder, prefix="coffer-api-") as name:
            path = Path(name) / "coffer.sqlite3"
            shutil.copyfile(request.getfixturevalue("migrated_sqlite"), path)
            yield f"sqlite:///{path}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = f"coffer_api_{secrets.token_hex(6)}"
    server.create_database(name, request.getfixturevalue("migrated_postgres"))
    yield server.url(name)
    server.drop_database(name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(module_database_url: str, dialect: str) -> AsyncIterator[Store]:
    """The store, open for one module."""
    async with opened(module_database_url, dialect) as store:
        yield store
