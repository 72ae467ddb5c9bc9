"""Programs of the project as processes of their own, without each loading the project anew.

To load Coffer takes two seconds of a processor, and the tests start hundreds of processes. Here one process has loaded
it, does nothing else, and forks for each start: the new process has arguments, environment, folder and files of its own,
is `__main__`, and ends as any other does.

    process = fork_server().start("app", "serve", cwd=folder, environment=environment, stdout=log, stderr=log)
    process.wait(timeout=30)

What a cold start alone would show, such as a module that is imported too late, is for tests that start `python -m app`:
tests/test_cli.py and tests/test_serving.py do.
"""

import asyncio
import gc
import importlib
import io
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple, Self

import uuid_utils

ROOT = Path(__file__).parents[1]
LOADED = (
    "app.main",
    "app.serving",
    "app.seed",
    "app.services.verification",
    "asyncpg",
    "rich.progress",
    "typer.main",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.httptools_impl",
)
"""What is loaded before the first process is asked for; with it comes nearly all that a server needs."""

START_TIMEOUT_S = 60.0
STANDARD_FILES = 3
"""Standard input, output and error."""

THREADS = Path("/proc/self/task")
"""Where Linux lists the threads of a process; other systems don't."""

LINE_BYTES_MAX = 2**24
"""How long a line may be that `lines_of` reads."""

File = int | IO[bytes] | None
Pipes = tuple[IO[bytes] | None, IO[bytes] | None, IO[bytes] | None]


class ForkServerError(Exception):
    """The process that forks has ended; the message ends with what it said."""


class Forked:
    """A process that was forked, much like `subprocess.Popen`; its status comes from the process that forked it."""

    def __init__(self, arguments: tuple[str, ...], channel: socket.socket, pipes: "Pipes") -> None:
        self._arguments = arguments
        self._channel = channel
        self.stdin, self.stdout, self.stderr = pipes
        self._heard = b""
        self.returncode: int | None = None
        self.pid = int(self._line(START_TIMEOUT_S))

    def poll(self) -> int | None:
        """Return how it ended; None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(timeout=0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return how it ended, as `subprocess` tells it; raise `subprocess.TimeoutExpired` if it runs on."""
        if self.returncode is None:
            self.returncode = int(self._line(timeout))
            self._channel.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end (SIGTERM)."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it (kill -9)."""
        self.send_signal(signal.SIGKILL)

    def _line(self, timeout_s: float | None) -> bytes:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while b"\n" not in self._heard:
            left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            self._channel.settimeout(left_s)
            try:
                part = self._channel.recv(64)
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(self._arguments, timeout_s or 0.0) from None
            if not part:
                self._channel.close()
                raise ForkServerError("the process that forks has ended")
            self._heard += part
        line, _, self._heard = self._heard.partition(b"\n")
        return line


class ForkServer:
    """The process that forks, seen from the tests; it ends when this one does."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._control, theirs = socket.socketpair()
        with theirs:
            # Not a terminal, whatever ours is: what is loaded might remember.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fork_server", str(theirs.fileno())],
                cwd=ROOT, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=self._said,
                stderr=self._said, start_new_session=True,
            )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The process id of the process that forks."""
        return self._process.pid

    def close(self) -> None:
        """Have it end; the processes that it forked run on."""
        self._control.close()
        self._process.wait()
        self._said.close()

    def start(
        self,
        module: str,
        *arguments: str,
        cwd: Path,
        environment: Mapping[str, str],
        stdin: File = None,
        stdout: File = None,
        stderr: File = None,
    ) -> Forked:
        """Start `python -m module arguments...` in a session of its own.

        Its files are as `subprocess.Popen` has them: a file, or `subprocess.PIPE`; without either there is nothing to
        read, and what is written is lost.
        """
        asked = Asked(module, arguments, str(cwd), dict(environment))
        ours, theirs = socket.socketpair()
        opened = [_opened(file, for_input=number == 0) for number, file in enumerate((stdin, stdout, stderr))]
        files = [file for file, _, _ in opened]
        try:
            with self._turn:
                _send(self._control, asked, [*files, theirs.fileno()])
        except OSError as error:
            ours.close()
            raise ForkServerError(self._last_words()) from error
        finally:
            theirs.close()
            for file, is_ours, _ in opened:
                if is_ours:
                    os.close(file)
        first, second, third = (pipe for _, _, pipe in opened)
        return Forked((module, *arguments), ours, (first, second, third))

    def run(
        self, module: str, *arguments: str, cwd: Path, environment: Mapping[str, str], timeout_s: float
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end, and return what it said."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = self.start(module, *arguments, cwd=cwd, environment=environment, stdout=out, stderr=err)
            try:
                status = process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise
            said = [_all_of(file) for file in (out, err)]
        return subprocess.CompletedProcess((module, *arguments), status, *said)

    def _last_words(self) -> str:
        self._process.wait()
        return f"the process that forks has ended\n{_all_of(self._said)[-4000:]}"


_servers: list[ForkServer] = []


def fork_server() -> ForkServer:
    """Return the one of this process, which starts with its first use."""
    if not _servers:
        _servers.append(ForkServer())
    return _servers[0]


def close_fork_server() -> None:
    """End the one of this process, if it was used."""
    while _servers:
        _servers.pop().close()


@asynccontextmanager
async def lines_of(pipe: IO[bytes] | None) -> AsyncIterator[asyncio.StreamReader]:
    """Read in an event loop what a process writes to a pipe."""
    assert pipe is not None
    reader = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    try:
        yield reader
    finally:
        transport.close()
        # A transport is closed in the loop's next turn, which the end of a test would not wait for.
        await asyncio.sleep(0)


def _opened(file: File, *, for_input: bool) -> tuple[int, bool, IO[bytes] | None]:
    """Return the process's end, whether it is ours to close, and our end of a pipe."""
    if file is None:
        return os.open(os.devnull, os.O_RDWR), True, None
    if file == subprocess.PIPE:
        read, write = os.pipe()
        if for_input:
            return read, True, os.fdopen(write, "wb", buffering=0)
        return write, True, os.fdopen(read, "rb", buffering=0)
    return (file if isinstance(file, int) else file.fileno()), False, None


def _all_of(file: IO[bytes]) -> str:
    file.seek(0)
    return io.TextIOWrapper(io.BytesIO(file.read()), encoding="utf-8", errors="replace").read()


def _send(control: socket.socket, asked: "Asked", files: list[int]) -> None:
    body = json.dumps(asked._asdict()).encode()
    socket.send_fds(control, [len(body).to_bytes(4, "big")], files)
    control.sendall(body)


# --- in the process that forks ------------------------------------------------------------------------------


class Asked(NamedTuple):
    """What a forked process is to be."""

    module: str
    arguments: tuple[str, ...]
    cwd: str
    environment: dict[str, str]


def serve_forks(control: socket.socket) -> Asked | None:
    """Fork as often as is asked: returns in each forked process what it is to be, and here None when nobody asks any more."""
    channels: dict[int, int] = {}
    heard, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready, _, _ = select.select([control.fileno(), heard], [], [])
        if heard in ready:
            os.read(heard, 4096)
            _tell_ends(channels)
        if control.fileno() in ready:
            received = _receive(control)
            if received is None:
                return None
            asked, files = received
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _become(asked, files, [control.detach(), heard, wakes, *channels.values()])
                return asked
            channels[pid] = files.pop()
            for file in files:
                os.close(file)
            _tell(channels[pid], pid)


def _receive(control: socket.socket) -> tuple[Asked, list[int]] | None:
    head, files, _, _ = socket.recv_fds(control, 4, STANDARD_FILES + 1, socket.MSG_WAITALL)
    if not head:
        return None
    body = control.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
    return Asked(**json.loads(body)), list(files)


def _become(asked: Asked, files: list[int], others: list[int]) -> None:
    """Be a process that has just started, but for what is loaded."""
    os.setsid()
    for number, file in enumerate(files[:STANDARD_FILES]):
        os.dup2(file, number)
    for file in (*files, *others):
        os.close(file)
    os.chdir(asked.cwd)
    os.environ.clear()
    os.environ.update(asked.environment)
    # Python's own chance begins anew in a forked process; this library's has to be told.
    uuid_utils.reseed_rng()
    sys.path[0] = asked.cwd


def _tell_ends(channels: dict[int, int]) -> None:
    while channels:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        channel = channels.pop(pid)
        _tell(channel, os.waitstatus_to_exitcode(status))
        os.close(channel)


def _tell(channel: int, number: int) -> None:
    # Whoever asked may be gone.
    with suppress(OSError):
        os.write(channel, b"%d\n" % number)


def main() -> None:
    """Load, serve, and in each forked process run its module as `python -m` would."""
    control = socket.socket(fileno=int(sys.argv[1]))
    for name in LOADED:
        importlib.import_module(name)
    if len(list(THREADS.glob("*"))) > 1:
        sys.exit("threads run already: no process can be forked from here")
    gc.collect()
    gc.freeze()
    asked = serve_forks(control)
    if asked is not None:
        sys.argv = [asked.module, *asked.arguments]
        runpy.run_module(asked.module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
