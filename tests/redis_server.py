"""A real Redis server of our own, for tests: on a free port of this machine, with a password, and nothing on disk.

    with RedisServerProcess() as server:
        settings_for(database_url, live_url=server.url())

The programs `redis-server` and `valkey-server` are equally good. A watcher ends the server when the pipe is closed that
only this process holds, so nothing is left behind by a test that died.
"""

import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import time
from types import TracebackType
from typing import Self

from tests.authority import Authority
from tests.server import free_port

PROGRAMS = ("redis-server", "valkey-server")
START_TIMEOUT_S = 30.0
START_ATTEMPTS_MAX = 3

# read returns when the last holder of the pipe's other end is gone.
WATCHER = 'trap "" HUP INT TERM; read -r _; kill -KILL "$1"'


class RedisUnavailableError(Exception):
    """No Redis server can run here; the message says why."""


class RedisServerProcess:
    """One server. After `kill` it may be started again, on the same port and as empty as before."""

    def __init__(self, tls: Authority | None = None) -> None:
        self._tls = tls
        self.password = secrets.token_urlsafe(16)
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        for attempt in range(1, START_ATTEMPTS_MAX + 1):
            self.port = free_port()
            try:
                self.start()
                break
            except RedisUnavailableError:
                # Another process may take the port first.
                if attempt == START_ATTEMPTS_MAX:
                    raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def url(self, number: int = 0, *, password: str | None = None) -> str:
        """The address, as the setting `live_url` takes it."""
        scheme = "redis" if self._tls is None else "rediss"
        return f"{scheme}://:{password or self.password}@127.0.0.1:{self.port}/{number}"

    def start(self) -> None:
        """Start, and return when it answers."""
        program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
        if program is None:
            raise RedisUnavailableError(f"none of {', '.join(PROGRAMS)} on PATH")
        arguments = [program, *self._doors(), "--bind", "127.0.0.1", "--requirepass", self.password]
        arguments += ["--save", "", "--appendonly", "no", "--dir", "/tmp"]  # noqa: S108 - it writes nothing
        self._process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )
        self._watcher = subprocess.Popen(
            ["/bin/sh", "-c", WATCHER, "sh", str(self._process.pid)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._answers():
                return
            time.sleep(0.01)
        self.kill()
        raise RedisUnavailableError(f"{program} did not answer within {START_TIMEOUT_S} s")

    def _doors(self) -> list[str]:
        if self._tls is None:
            return ["--port", str(self.port)]
        files = [
            f"--tls-cert-file {self._tls.certificate}",
            f"--tls-key-file {self._tls.key}",
            "--tls-auth-clients no",
        ]
        return ["--port", "0", "--tls-port", str(self.port), *" ".join(files).split()]

    def kill(self) -> None:
        """End it as a power cut would; it may have ended already."""
        if self._process is not None and self._watcher is not None:
            self._watcher.communicate()
            self._process.wait()
            self._process = self._watcher = None

    def pause(self) -> None:
        """Stop the process in its tracks (SIGSTOP): connections stay, and nothing answers."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        self._running().send_signal(signal.SIGCONT)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RedisUnavailableError("the server is not running")
        return self._process

    def _answers(self) -> bool:
        """Whether it is this server that answers: another one would not know the password."""
        try:
            with self._connected() as connection:
                connection.sendall(f"AUTH {self.password}\r\n".encode())
                return connection.recv(16).startswith(b"+OK")
        except OSError:
            return False

    def _connected(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=1)
        if self._tls is None:
            return connection
        context = ssl.create_default_context(cafile=self._tls.ca)
        return context.wrap_socket(connection, server_hostname="127.0.0.1")
