"""What all tests share: which parts of the machine they may count on.

A test that needs PostgreSQL, Node.js, a browser or Redis either carries the marker or asks for the fixture of that part; asking
is enough, the marker follows. A parameter of a fixture carries it itself: `pytest.param("postgres", marks=pytest.mark.postgres)`.

Without the part a test is skipped and says so, on somebody's own machine. Where `CI` is set it fails: a check that
quietly stopped checking is worse than none.
"""

import asyncio
import fcntl
import gc
import os
import secrets
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import hypothesis
import pytest
import structlog
from tortoise.context import TortoiseContext

from app.db import migrate, open_database
from app.sealing import sealer_of
from app.seed import plant
from app.services.ledger.writer import Writer
from app.settings import Settings
from tests.auditor import audit, read_tables
from tests.authority import Authority, authority
from tests.databases import settings_for
from tests.fork_server import close_fork_server, fork_server
from tests.ledger import Clock, running_writer
from tests.memory import quick_folder
from tests.postgres import PostgresServer, PostgresUnavailableError
from tests.quick_orm import remember_filters
from tests.redis_server import RedisServerProcess, RedisUnavailableError
from tests.server import ServerProcess
from tests.turns import Turns, workers

PARTS = ("postgres", "node", "browser", "redis")
MARKER_OF_FIXTURE = {
    "postgres_server": "postgres",
    "node": "node",
    "chromium": "browser",
    "redis_server": "redis",
}
CLIENTS = Path(__file__).parent / "clients"
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


# --- parts of the machine ---------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("coffer")
    for part in PARTS:
        group.addoption(f"--no-{part}", action="store_true", help=f"leave out the tests marked {part}")
    group.addoption(
        "--examples", type=int, default=200, help="how many operations Schemathesis makes up (200)"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if marker := MARKER_OF_FIXTURE.get(fixture):
                item.add_marker(marker)
    left_out = {part for part in PARTS if config.getoption(f"--no-{part}")}
    # Last, so that the others wait for them once and not again and again.
    items.sort(key=lambda item: item.get_closest_marker("alone") is not None)
    dropped = [item for item in items if any(mark.name in left_out for mark in item.iter_markers())]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in set(dropped)]


def require(part: str, reason: str) -> NoReturn:
    """The part is missing: skip here, fail where CI is set."""
    message = f"{part} is missing: {reason}"
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


# --- several processes (pytest -n) ------------------------------------------------------------------------

TURNS = pytest.StashKey[Turns]()
TURNS_FOLDER = pytest.StashKey[Path]()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """What `-n auto` means here."""
    return workers()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker where all of them agree upon who may begin."""
    stash = node.config.stash
    if TURNS_FOLDER not in stash:
        stash[TURNS_FOLDER] = Turns.new_folder()
    node.workerinput["turns"] = str(stash[TURNS_FOLDER])


def pytest_configure(config: pytest.Config) -> None:
    # Tests, schema and libraries are a million objects that stay. To look through all of them as often as Python does by
    # itself took a third of the time.
    gc.set_threshold(50_000, 20, 20)
    if folder := quick_folder():
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(folder))  # pytest's name for where tmp_path is
    if worker := getattr(config, "workerinput", None):
        config.stash[TURNS] = Turns(Path(worker["turns"]))


def pytest_unconfigure(config: pytest.Config) -> None:
    close_fork_server()
    if turns := config.stash.get(TURNS, None):
        turns.close()
    if folder := config.stash.get(TURNS_FOLDER, None):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    turns = item.config.stash.get(TURNS, None)
    if turns is None:
        return (yield)
    with turns.turn(alone=item.get_closest_marker("alone") is not None):
        return (yield)


# --- servers and programs ---------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL server for all tests of this process; each makes its own databases and drops them."""
    server = PostgresServer()
    try:
        server.start()
    except PostgresUnavailableError as error:
        require("postgres", str(error))
    yield server
    server.stop()


@contextmanager
def _redis(tls: Authority | None = None) -> Iterator[RedisServerProcess]:
    try:
        server = RedisServerProcess(tls).__enter__()
    except RedisUnavailableError as error:
        require("redis", str(error))
    yield server
    server.kill()


@pytest.fixture
def redis_server() -> Iterator[RedisServerProcess]:
    """A Redis server of the test's own, which it may kill."""
    with _redis() as server:
        yield server


@pytest.fixture
def certificates(tmp_path: Path) -> Authority:
    """A certificate authority of the test's own."""
    return authority(tmp_path)


@pytest.fixture
def tls_redis_server(certificates: Authority) -> Iterator[RedisServerProcess]:
    """The same, for who asks by TLS only."""
    with _redis(certificates) as server:
        yield server


@pytest.fixture(scope="session")
def node() -> str:
    """The path of Node.js, with the packages of tests/clients installed (`make clients`)."""
    path = shutil.which("node")
    if path is None:
        require("node", "no `node` on PATH")
    if not (CLIENTS / "node_modules").is_dir():
        require("node", "tests/clients/node_modules is not installed: run `make clients`")
    return path


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium, for playwright's `executable_path`. As root it also needs the argument --no-sandbox."""
    for name in CHROMIUM_NAMES:
        if path := shutil.which(name):
            return path
    require("browser", f"none of {', '.join(CHROMIUM_NAMES)} on PATH")


# --- the app: databases, callers, statement counter, servers ------------------------------------------------
# (Fixtures that know Coffer go below this line.)

# How long Hypothesis searches: pytest --hypothesis-profile=long; `make check` takes the quick one. A database's pace is
# no reason to fail.
hypothesis.settings.register_profile("quick", max_examples=10, deadline=None, print_blob=True)
hypothesis.settings.register_profile("fast", max_examples=30, deadline=None, print_blob=True)
hypothesis.settings.register_profile("long", max_examples=1000, deadline=None, print_blob=True)
hypothesis.settings.load_profile("fast")

remember_filters()

# Structlog's own default draws tracebacks with all local variables, which takes seconds.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)


def made_once(name: str, make: Callable[[Path], None], factory: pytest.TempPathFactory) -> Path:
    """A SQLite file that one of the test processes makes for all of them, to be copied."""
    own = factory.getbasetemp()
    folder = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    path = folder / name
    with (folder / f"{name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            draft = folder / f"{name}.draft"
            make(draft)
            with closing(sqlite3.connect(draft)) as database:
                # Whoever closed last may have been a reader, who leaves what was written in the log beside the file.
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            draft.rename(path)
    return path


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all tables and no rows, to be copied."""

    def make(path: Path) -> None:
        asyncio.run(migrate(settings_for(f"sqlite:///{path}")))

    return made_once("migrated.sqlite3", make, tmp_path_factory)


@pytest.fixture(scope="session")
def seeded_sqlite(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the demo's customers, to be copied. It takes seconds: mark what asks for it as slow."""

    async def fill(path: Path) -> None:
        async with open_database(settings_for(f"sqlite:///{path}")):
            sealer = sealer_of(settings_for(f"sqlite:///{path}"))
            await plant(currency="USD", now=datetime.now(UTC), batch_size_max=512, sealer=sealer)

    def make(path: Path) -> None:
        shutil.copyfile(migrated_sqlite, path)
        asyncio.run(fill(path))

    return made_once("seeded.sqlite3", make, tmp_path_factory)


@pytest.fixture
def demo_database_url(seeded_sqlite: Path, tmp_path: Path) -> str:
    """A database with the demo's customers."""
    path = tmp_path / "demo.sqlite3"
    shutil.copyfile(seeded_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: PostgresServer) -> str:
    """The name of a PostgreSQL database with all tables and no rows, to be used as a template."""
    name = f"coffer_migrated_{secrets.token_hex(4)}"
    postgres_server.create_database(name)
    asyncio.run(migrate(settings_for(postgres_server.url(name))))
    return name


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def dialect(request: pytest.FixtureRequest) -> str:
    """Each test that uses a database runs on both, unless it overrides this."""
    return str(request.param)


@pytest.fixture
def empty_database_url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without any table."""
    if dialect == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.sqlite3'}"
    else:
        yield from _postgres_database(request.getfixturevalue("postgres_server"), None)


@pytest.fixture
def database_url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with all tables and no rows."""
    if dialect == "sqlite":
        path = tmp_path / "coffer.sqlite3"
        shutil.copyfile(request.getfixturevalue("migrated_sqlite"), path)
        yield f"sqlite:///{path}"
    else:
        template = request.getfixturevalue("migrated_postgres")
        yield from _postgres_database(request.getfixturevalue("postgres_server"), template)


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Settings as they come, with a database of the test's own."""
    return settings_for(database_url)


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[TortoiseContext]:
    """The database, open: models read from it, and `in_transaction("writer")` works."""
    async with open_database(settings) as context:
        yield context


def _postgres_database(server: PostgresServer, template: str | None) -> Iterator[str]:
    name = f"coffer_{secrets.token_hex(8)}"
    server.create_database(name, template)
    yield server.url(name)
    server.drop_database(name)


@pytest.fixture
def clock() -> Clock:
    """A clock that the test moves; all writers of the test go by it."""
    return Clock()


@pytest.fixture
async def writer(database: TortoiseContext, clock: Clock) -> AsyncIterator[Writer]:
    """A writer on the test's own database, started; when the test is over, the books are audited."""
    async with running_writer(clock) as running:
        yield running
    audit(await read_tables())


@pytest.fixture
def server_on(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Start real servers: `server_on(database_url, **settings)`; several may share one PostgreSQL.

    With `start=False` the process is only made, for tests that start several together. All are killed in the end.
    """
    servers: list[ServerProcess] = []

    def make(database_url: str, *, start: bool = True, **settings: object) -> ServerProcess:
        name = f"server-{len(servers)}"
        server = ServerProcess(database_url, folder=tmp_path, name=name, forks=fork_server(), **settings)
        servers.append(server)
        return server.start() if start else server

    yield make
    for server in servers:
        server.kill()
