"""Tests that are played beside each other, and tests that want the machine for themselves.

`make test` spreads the tests over several processes. A test that measures how long something takes, or plays a flood,
is marked `alone`: it waits until the tests that have begun are over, and meanwhile no other begins.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

WORKERS_MAX = 8


def workers() -> int:
    """How many processes keep all cores busy, though now and then one waits."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores + 1, WORKERS_MAX)


class Turns:
    """Who may begin, agreed upon by all processes that name the same folder."""

    def __init__(self, folder: Path) -> None:
        self._door = (folder / "door").open("a")
        self._room = (folder / "room").open("a")

    @staticmethod
    def new_folder() -> Path:
        """A folder for one run, to be removed when it is over."""
        return Path(mkdtemp(prefix="coffer-turns-"))

    @contextmanager
    def turn(self, *, alone: bool) -> Iterator[None]:
        """Wait until it may begin. Whoever waits for an empty room keeps the door, so that nobody slips in."""
        fcntl.flock(self._door, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        finally:
            fcntl.flock(self._door, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(self._room, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let the files go."""
        self._door.close()
        self._room.close()
