"""The real server as processes of their own: started, waited for, stopped in good order, or killed.

    with ServerProcess(database_url, folder=tmp_path) as server:
        Caller(server.url, token("ann", "administrator"))

`tests/conftest.py` has it as the fixture `server_on`, which may start several on one PostgreSQL, and which has them forked
(tests/fork_server.py) instead of started anew. Every process keeps its log in its folder; `server.log()` reads it.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.error import URLError
from urllib.request import urlopen

import psutil

from app.auth import issue_token
from app.settings import environment_variable
from tests.fork_server import Forked, ForkServer

ROOT = Path(__file__).parents[1]
JWT_SECRET = "a secret that only these tests know, long enough"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
START_ATTEMPTS_MAX = 3


class ServerFailedError(Exception):
    """The server did not start or did not stop; the message ends with its log."""


def token(subject: str, *roles: str) -> str:
    """Return a bearer token that the servers of this module believe."""
    return issue_token(JWT_SECRET, subject=subject, roles=roles, ttl_s=24 * 3600, now=datetime.now(UTC))


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class ServerProcess:
    """One server on its own port. After `kill` or `stop` it may be started again, on the same port.

    `settings` are fields of `app.settings.Settings`, handed over by the environment. With `forks` it is forked from a
    process that has loaded the program; what it occupies and how it starts is measured without.
    """

    def __init__(
        self,
        database_url: str,
        *,
        folder: Path,
        name: str = "server",
        forks: ForkServer | None = None,
        **settings: object,
    ) -> None:
        self._folder = folder
        self._forks = forks
        self._log_path = folder / f"{name}.log"
        self._settings = {
            "log_format": "json",
            "log_level": "warning",
            "shutdown_grace_s": 5,
            **settings,
            "database_url": database_url,
            "jwt_secret": JWT_SECRET,
        }
        self._process: subprocess.Popen[bytes] | Forked | None = None
        self.port = free_port()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def url(self) -> str:
        """The address, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id."""
        return self._running().pid

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start, and return when requests are answered."""
        for attempt in range(1, START_ATTEMPTS_MAX + 1):
            self.launch()
            try:
                return self.wait_ready()
            except ServerFailedError as failed:
                # Somebody may have taken the port since it was found free.
                if attempt == START_ATTEMPTS_MAX or "address already in use" not in str(failed).lower():
                    raise
                self.port = free_port()
        raise AssertionError("unreachable")

    def launch(self) -> None:
        """Start without waiting, so that several start at the same time; `wait_ready` follows."""
        if self.is_alive:
            raise ServerFailedError("the server runs already")
        # Nothing of the caller's own environment configures the server, nor does a `.env` file.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COFFER_")}
        environment |= {environment_variable(name): str(value) for name, value in self._settings.items()}
        environment |= {environment_variable("port"): str(self.port), "PYTHONPATH": str(ROOT)}
        with self._log_path.open("ab") as log:
            # A session of its own: Ctrl-C is for the test, which then stops the server itself. The pipe is how it
            # learns that the test is gone.
            if self._forks is None:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "tests.launcher"],
                    cwd=self._folder, env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log,
                    start_new_session=True,
                )  # fmt: skip
            else:
                self._process = self._forks.start(
                    "tests.launcher", cwd=self._folder, environment=environment, stdin=subprocess.PIPE,
                    stdout=log, stderr=log,
                )  # fmt: skip

    def wait_ready(self) -> Self:
        """Return when requests are answered."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if not self.is_alive:
                raise ServerFailedError(f"the server ended while it started\n{self.log()[-4000:]}")
            try:
                with urlopen(f"{self.url}/livez", timeout=5):  # noqa: S310 — our own address
                    return self
            except (URLError, OSError):
                time.sleep(0.02)
        self.kill()
        raise ServerFailedError(f"no answer within {START_TIMEOUT_S} s\n{self.log()[-4000:]}")

    def kill(self) -> None:
        """End it as a power cut would (kill -9); it may have ended already."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._forget()

    def terminate(self) -> None:
        """Ask it to end (SIGTERM), without waiting."""
        self._running().send_signal(signal.SIGTERM)

    def wait_stopped(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Wait until it has ended; the exit status is that of `subprocess`."""
        try:
            status = self._running().wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerFailedError(
                f"the server did not end within {timeout_s} s\n{self.log()[-4000:]}"
            ) from None
        self._forget()
        return status

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """End it in good order (SIGTERM) and return the exit status."""
        self.terminate()
        return self.wait_stopped(timeout_s)

    def pause(self) -> None:
        """Stop the process in its tracks (SIGSTOP), as a virtual machine that is moved."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        self._running().send_signal(signal.SIGCONT)

    def log(self) -> str:
        """What it wrote, over all its lives."""
        return self._log_path.read_text(encoding="utf-8", errors="replace") if self._log_path.exists() else ""

    def errors(self) -> list[str]:
        """The lines of the log that tell of an error or of a stack."""
        signs = ('"level":"error"', '"level":"critical"', "Traceback", "never retrieved", "Error:")
        return [line for line in self.log().splitlines() if any(sign in line for sign in signs)]

    def memory_mb(self) -> float:
        """How much memory of the machine it occupies (RSS), in MiB."""
        told = subprocess.run(["ps", "-o", "rss=", "-p", str(self.pid)], capture_output=True, check=True)
        return int(told.stdout) / 1024

    def processor_s(self) -> float:
        """How much processor time it has taken, in seconds."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def open_files(self) -> int:
        """How many files and sockets it has open; -1 where the system does not tell (no /proc)."""
        folder = Path(f"/proc/{self.pid}/fd")
        return len(list(folder.iterdir())) if folder.is_dir() else -1

    def _forget(self) -> None:
        """Close what a process leaves behind that has ended."""
        pipe = self._running().stdin
        assert pipe is not None
        pipe.close()
        self._process = None

    def _running(self) -> subprocess.Popen[bytes] | Forked:
        if self._process is None:
            raise ServerFailedError("the server is not running")
        return self._process


def start_together(servers: Sequence[ServerProcess]) -> None:
    """Start several servers in the time of one."""
    for server in servers:
        server.launch()
    for server in servers:
        server.wait_ready()
