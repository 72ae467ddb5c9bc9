"""Callers that keep asking, and what it cost: time, and processor time of this process and of the database."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.server import ServerProcess


def unlimited(database_url: str, folder: Path, name: str, **settings: Any) -> ServerProcess:
    """Return a server that is measured: a load generator is one caller, who asks for far more than one caller may."""
    return ServerProcess(database_url, folder=folder, name=name, cost_restored_per_s=0, **settings)


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement: `done` operations by `callers` at once, each with its latency."""

    callers: int
    done: int
    duration_s: float
    p50_ms: float
    p99_ms: float
    python_us: float
    """Processor time of this process for each operation."""
    database_us: float
    """Processor time of the database's own processes for each operation; SQLite has none."""

    @property
    def per_second(self) -> float:
        """Operations per second."""
        return self.done / self.duration_s


async def keep_asking(
    ask: Callable[[], Awaitable[object]], *, callers: int, duration_s: float, server: "Processes"
) -> Sample:
    """Let each caller ask, once at least, and again as soon as it was answered, until the time is over."""
    latencies_s: list[float] = []
    # A machine with much to do takes a while to say what its processes took: the time begins after that.
    database_s, python_s, began = server.cpu_s(), time.process_time(), time.perf_counter()
    end = began + duration_s

    async def caller() -> None:
        start = time.perf_counter()
        while True:
            await ask()
            answered = time.perf_counter()
            latencies_s.append(answered - start)
            if answered >= end:
                return
            start = answered

    await asyncio.gather(*(caller() for _ in range(callers)))
    took_s = time.perf_counter() - began
    python_s, database_s = time.process_time() - python_s, server.cpu_s() - database_s
    done = len(latencies_s)
    latencies_s.sort()
    return Sample(
        callers=callers,
        done=done,
        duration_s=took_s,
        p50_ms=latencies_s[done // 2] * 1e3,
        p99_ms=latencies_s[int(done * 0.99)] * 1e3,
        python_us=python_s / done * 1e6,
        database_us=database_s / done * 1e6,
    )


class Processes:
    """The processor time of a program and its children; of none, if it doesn't run on this machine."""

    def __init__(self, pid: int | None) -> None:
        self._root = psutil.Process(pid) if pid is not None and psutil.pid_exists(pid) else None

    @classmethod
    def above(cls, child_pid: int) -> "Processes":
        """Return the program that started this process."""
        return cls(psutil.Process(child_pid).ppid() if psutil.pid_exists(child_pid) else None)

    def cpu_s(self) -> float:
        """Return the seconds of processor time so far, of children that ended too."""
        if self._root is None:
            return 0.0
        own = self._root.cpu_times()
        total = own.user + own.system + own.children_user + own.children_system
        for child in self._root.children(recursive=True):
            try:
                spent = child.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += spent.user + spent.system
        return float(total)
