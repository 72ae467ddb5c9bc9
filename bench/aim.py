"""Kills processes (kill -9) right after a commit, before those who are in it were answered, if it is quick enough.

    python -m bench.aim DATABASE_URL PID...

It says `ready` when it watches, waits for a line, and kills at the next commit that it sees: PostgreSQL notifies with it, and
SQLite's number of what was written changes. It is a process of its own because whoever loads a server has no time for so short a moment.
"""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from typing import Self

import asyncpg

from app.db import dialect
from app.live.listener import CHANNEL
from bench.report import ROOT


class Aim:
    """A process that is to kill others, and waits for its moment."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    @asynccontextmanager
    async def taken(cls, database_url: str, pids: Sequence[int]) -> AsyncIterator[Self]:
        """Begin to watch; whoever leaves without having fired kills nobody."""
        command = (sys.executable, "-m", "bench.aim", database_url, *map(str, pids))
        pipe = subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe)
        try:
            assert process.stdout is not None
            if not await process.stdout.readline():
                raise RuntimeError("The process that is to kill at a commit has ended before it could aim.")
            yield cls(process)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def fire(self) -> None:
        """Kill at the next commit, and return after that."""
        await self._process.communicate(b"now\n")


def _kill(pids: Sequence[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _ready() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


async def _at_next_notification(url: str, pids: Sequence[int]) -> None:
    connection = await asyncpg.connect(url)
    fired = asyncio.Event()
    aimed = False

    def hear(*_: object) -> None:
        if aimed and not fired.is_set():
            _kill(pids)
            fired.set()

    await connection.add_listener(CHANNEL, hear)
    await asyncio.to_thread(_ready)
    aimed = True
    await fired.wait()
    await connection.close()


def _at_next_version(path: str, pids: Sequence[int]) -> None:
    with closing(sqlite3.connect(path)) as connection:

        def version() -> int:
            return int(connection.execute("PRAGMA data_version").fetchone()[0])

        version()
        _ready()
        before = version()
        # Nothing else may come between: it looks again and again, a few thousand times a second.
        while version() == before:
            pass
        _kill(pids)


def main() -> None:
    """Run from the command line."""
    url, pids = sys.argv[1], [int(pid) for pid in sys.argv[2:]]
    if dialect(url) == "sqlite":
        _at_next_version(url.removeprefix("sqlite:///"), pids)
    else:
        asyncio.run(_at_next_notification(url, pids))


if __name__ == "__main__":
    main()
