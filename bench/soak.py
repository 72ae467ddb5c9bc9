"""Serve a mixed load for minutes, with subscribers and rude clients, and watch the server's memory.

    python -m bench.soak --minutes 10 --database postgres

A server that keeps something of every request shows it here: the figures at the end should be those of the middle.
In the end everything that was answered is looked for, and the ledger verified. Exit status: 0 all well, 1 a fault.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from websockets.exceptions import ConnectionClosed

from app.db import migrate
from bench.crash import DATABASES, database
from tests.caller import UPDATES, WALLET, Caller, open_socket, subscribe
from tests.databases import settings_for
from tests.server import ServerProcess, token
from tests.workload import Workload

ADMIN = "administrator"
SAMPLES = 20


@dataclass(frozen=True, slots=True)
class Sample:
    """The server at one moment."""

    after_s: float
    memory_mb: float
    open_files: int
    requests: int


@dataclass(slots=True)
class Soak:
    """What was seen on one database."""

    database: str
    samples: list[Sample] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    updates: int = 0


async def come_and_go(soak: Soak, server: ServerProcess, number: int) -> None:
    """Subscribe, listen for a while, leave without a word, come again."""
    chance = random.Random(number)
    while True:
        with suppress(ConnectionClosed):
            socket = await open_socket(server.url, token(f"watcher-{number}", ADMIN))
            await socket.send(subscribe("s", UPDATES, {"customer": f"customer-{number % 5}", "after": None}))
            try:
                async with asyncio.timeout(chance.uniform(0.5, 5)):
                    while True:
                        await socket.receive()
                        soak.updates += 1
            except TimeoutError:
                socket.abort()


async def read(caller: Caller) -> None:
    """Read wallets, and now and then give up on one."""
    number = 0
    while True:
        number += 1
        variables = {"customer": f"customer-{number % 40}"}
        if number % 20 == 0:
            await caller.vanish(WALLET, variables, after_s=0.001)
        await caller.ask(WALLET, variables)
        await asyncio.sleep(0.01)


async def soak(found: Soak, *, seconds: float, progress: Progress) -> None:
    """Load one server for some time."""
    folder = Path(tempfile.mkdtemp(prefix="coffer-soak-"))
    bar = progress.add_task(found.database, total=seconds)
    with database(found.database, folder) as url:
        await migrate(settings_for(url))
        with ServerProcess(url, folder=folder) as server:
            async with Caller(server.url, token("ann", ADMIN)) as caller:
                workload = Workload("soak")
                # The first second makes the wallets that are watched.
                await workload.run([caller], tasks=8, seconds=1)
                load = asyncio.create_task(workload.run([caller], tasks=16, seconds=seconds))
                beside = [asyncio.create_task(come_and_go(found, server, n)) for n in range(10)]
                beside.append(asyncio.create_task(read(caller)))
                began = time.monotonic()
                while not load.done():
                    await asyncio.wait({load}, timeout=seconds / SAMPLES)
                    at_s = time.monotonic() - began
                    sample = Sample(at_s, server.memory_mb(), server.open_files(), len(workload.requests))
                    found.samples.append(sample)
                    progress.update(bar, completed=at_s)
                for task in beside:
                    ended_early = task.done()
                    task.cancel()
                    if ended_early and (error := task.exception()):
                        found.faults.append(f"a client ended early: {error!r}")
                await asyncio.gather(*beside, return_exceptions=True)
                await workload.retry([caller])
            await workload.find_faults(url)
            found.faults += workload.faults
            found.faults += [f"log: {line}" for line in server.errors()[:10]]


def table_of(soaks: Sequence[Soak]) -> Table:
    """Return the figures as a table."""
    table = Table(title="A mixed load, and what the server occupies meanwhile")
    for column in ("database", "after, s", "memory, MB", "open files", "requests"):
        table.add_column(column, justify="left" if column == "database" else "right")
    for one in soaks:
        for sample in one.samples:
            figures = (f"{sample.after_s:.0f}", f"{sample.memory_mb:.0f}", str(sample.open_files))
            table.add_row(one.database, *figures, f"{sample.requests:,}")
        table.add_section()
    return table


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0, help="how long, on each database (1)")
    parser.add_argument("--database", choices=(*DATABASES, "both"), default="both")
    options = parser.parse_args()
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    soaks: list[Soak] = []
    interrupted = False
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        try:
            for name in DATABASES if options.database == "both" else (options.database,):
                soaks.append(Soak(name))
                asyncio.run(soak(soaks[-1], seconds=options.minutes * 60, progress=progress))
        except KeyboardInterrupt:
            interrupted = True
    Console().print(table_of(soaks))
    for one in soaks:
        console.print(f"{one.database}: {one.updates:,} live updates, {len(one.faults)} faults")
        for fault in one.faults[:20]:
            console.print(fault, style="red", markup=False)
    if interrupted:
        return 130
    return 1 if any(one.faults for one in soaks) else 0


if __name__ == "__main__":
    sys.exit(main())
