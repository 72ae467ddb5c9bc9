"""A peer as a process of its own: started, waited for, killed."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from tests.server import JWT_SECRET, ROOT, START_TIMEOUT_S, ServerFailedError, free_port

MERCURIUS = Path(__file__).parent / "mercurius"


class PeerUnavailableError(Exception):
    """The peer can't run here; the message says what to do."""


class Peer:
    """One peer on its own port, ended with the block and with this process."""

    def __init__(self, command: list[str], database_url: str, *, folder: Path, name: str) -> None:
        self._command = command
        self._database_url = database_url
        self._log_path = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    @property
    def url(self) -> str:
        """The address, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id."""
        if self._process is None:
            raise ServerFailedError("the peer is not running")
        return self._process.pid

    def __enter__(self) -> Self:
        environment = os.environ | {
            "DATABASE_URL": self._database_url,
            "PORT": str(self.port),
            "JWT_SECRET": JWT_SECRET,
            "NODE_ENV": "production",
            "PYTHONPATH": str(ROOT),
        }
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=environment, cwd=ROOT, stdin=subprocess.PIPE, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self._wait_ready(self._process)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and process.poll() is None:
            try:
                with urlopen(f"{self.url}/livez", timeout=5):  # noqa: S310 — our own address
                    return
            except HTTPError:
                # It has no such page, but it answers.
                return
            except (URLError, OSError):
                time.sleep(0.02)
        self.__exit__(None, None, None)
        raise ServerFailedError(f"the peer gave no answer\n{self._log_path.read_text()[-4000:]}")


def mercurius(database_url: str, folder: Path) -> Peer:
    """Return the Node peer; raise `PeerUnavailableError` where Node or its packages are missing."""
    node = shutil.which("node")
    if node is None or not (MERCURIUS / "node_modules").is_dir():
        raise PeerUnavailableError(
            f"Mercurius is left out: it needs Node, and its packages (make {MERCURIUS.relative_to(ROOT)}/"
            "node_modules/.installed)"
        )
    return Peer([node, str(MERCURIUS / "server.mjs")], database_url, folder=folder, name="mercurius")


def book(database_url: str, folder: Path) -> Peer:
    """Return the Python peer."""
    return Peer([sys.executable, "-m", "bench.peers.book"], database_url, folder=folder, name="book")
