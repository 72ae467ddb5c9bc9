"""Serve a mixed load for minutes, with subscribers and rude clients, and watch the server's memory.

    python -m bench.soak --minutes 60 --rate 100 --database postgres

A server that keeps something of every request shows it here: the figures at the end should be those of the middle. The ceiling is
the highest figure that was met, and the drift is how fast memory grows in the second half, by the straight line that fits best.
What it keeps of customers is filled before, because it would take hours to fill by the way.
In the end everything that was answered is looked for, and the ledger verified. Exit status: 0 all well, 1 a fault.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import cycle
from pathlib import Path
from statistics import linear_regression

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from websockets.exceptions import ConnectionClosed

from app.db import migrate
from bench import report
from bench.crash import DATABASES, database
from bench.load import unlimited
from tests.caller import UPDATES, WALLET, Caller, UnansweredError, open_socket, subscribe
from tests.databases import settings_for
from tests.server import ServerProcess, token
from tests.workload import Workload

ADMIN = "administrator"
SAMPLES = 40
"""How often the server is looked at."""

CUSTOMERS = 20_000
"""More than a server keeps anything of, so that no cache grows any more."""

TASKS = 16
"""Requests that change something at a time, at most."""

LISTS = (
    '{ wallets(first: 50, search: "customer", sort: {field: BALANCE, direction: DESC}) { totalCount nodes { id balance { amount } } } }',
    "{ transactions(first: 50) { nodes { id note amount { amount } createdAt } pageInfo { endCursor } } }",
    "{ withdrawals(filter: {statuses: [REQUESTED]}) { nodes { id reference } } }",
    '{ wallet(by: {storeCustomerId: "customer-0"}) { id transactions(first: 50) { totalCount nodes { id sequence note } } } }',
    "{ auditEntries(first: 20) { nodes { id } } }",
)
"""What staff look at meanwhile."""


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

    @property
    def ceiling_mb(self) -> float:
        """The most memory that the server was seen with."""
        return max(sample.memory_mb for sample in self.samples)

    @property
    def drift_mb_per_hour(self) -> float:
        """How fast memory grows in the second half of the time."""
        late = self.samples[len(self.samples) // 2 :]
        if len(late) < 2:
            return 0.0
        line = linear_regression([sample.after_s for sample in late], [sample.memory_mb for sample in late])
        return line.slope * 3600


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
        with suppress(UnansweredError):
            await caller.ask(WALLET, variables)
        await asyncio.sleep(0.01)


async def look_around(caller: Caller, pause_s: float) -> None:
    """Ask for lists, one after the other."""
    for document in cycle(LISTS):
        with suppress(UnansweredError):
            await caller.ask(document, {})
        await asyncio.sleep(pause_s)


async def soak(
    found: Soak, *, seconds: float, rate: float | None, customers: int, progress: Progress
) -> None:
    """Load one server for some time, with so many changes a second at most, once it knows so many customers."""
    pause_s = TASKS / rate if rate else 0.0
    folder = Path(tempfile.mkdtemp(prefix="coffer-soak-"))
    bar = progress.add_task(found.database, total=seconds)
    with database(found.database, folder) as url:
        await migrate(settings_for(url))
        with unlimited(url, folder, "soak") as server:
            async with Caller(server.url, token("ann", ADMIN)) as caller:
                workload = Workload("soak")
                # The first second makes the wallets that are watched.
                await workload.run([caller], tasks=8, seconds=1)
                await workload.register([caller], customers)
                load = asyncio.create_task(
                    workload.run([caller], tasks=TASKS, seconds=seconds, pause_s=pause_s)
                )
                beside = [asyncio.create_task(come_and_go(found, server, n)) for n in range(10)]
                beside.append(asyncio.create_task(read(caller)))
                beside.append(asyncio.create_task(look_around(caller, max(0.1, pause_s))))
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


def publish(soaks: Sequence[Soak], customers: int) -> None:
    """Print the figures and write them down, with the curve of memory."""
    soaks = [one for one in soaks if one.samples]
    rows = [
        [
            one.database,
            f"{one.samples[-1].after_s / 60:.0f}",
            f"{one.samples[-1].requests:,}",
            f"{one.updates:,}",
            f"{one.samples[0].memory_mb:.0f}",
            f"{one.samples[len(one.samples) // 2].memory_mb:.0f}",
            f"{one.samples[-1].memory_mb:.0f}",
            f"{one.ceiling_mb:.0f}",
            f"{one.drift_mb_per_hour:+.1f}",
            str(max(sample.open_files for sample in one.samples)),
            str(len(one.faults)),
        ]
        for one in soaks
    ]
    head = (
        "database",
        "minutes",
        "changes",
        "live updates",
        "MiB at first",
        "half-way",
        "at last",
        "ceiling",
        "drift, MiB an hour",
        "open files, most",
        "faults",
    )
    said = (
        f"Measured by `python -m bench.soak` on {report.machine()}: one server under changes, reads, lists, subscribers that come "
        f"and go and callers that vanish, after {customers:,} customers had been registered, so that what it keeps of them was full. Drift is "
        "that of the second half. Afterwards all was asked again with its key, and verified."
    )
    data = [asdict(one) for one in soaks]
    report.publish("soak", said, [report.Grid("A mixed load, and the server's memory", head, rows)], data)
    curves = {one.database: [(s.after_s / 60, s.memory_mb) for s in one.samples] for one in soaks}
    report.publish_curves("soak", "Memory of the server, MiB, by minute", curves)


class FaultyError(Exception):
    """Something that was answered is not there, or the server complained."""


def main(
    databases: Iterable[str], *, minutes: float, rate: float | None = None, customers: int = CUSTOMERS
) -> None:
    """Soak, print the figures and write them down; raise `FaultyError` if there was a fault.

    Who interrupts it gets the figures until then.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    soaks: list[Soak] = []
    interrupted = False
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        try:
            for name in databases:
                soaks.append(Soak(name))
                load = soak(
                    soaks[-1], seconds=minutes * 60, rate=rate, customers=customers, progress=progress
                )
                asyncio.run(load)
        except KeyboardInterrupt:
            interrupted = True
    publish(soaks, customers)
    for one in soaks:
        console.print(f"{one.database}: {one.updates:,} live updates, {len(one.faults)} faults")
        for fault in one.faults[:20]:
            console.print(fault, style="red", markup=False)
    if interrupted:
        raise KeyboardInterrupt
    if count := sum(len(one.faults) for one in soaks):
        raise FaultyError(f"{count} faults")


def _run() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0, help="how long, on each database (1)")
    parser.add_argument("--rate", type=float, help="changes a second at most (as many as it can)")
    parser.add_argument("--database", choices=(*DATABASES, "both"), default="both")
    parser.add_argument(
        "--customers", type=int, default=CUSTOMERS, help=f"who is registered before it begins ({CUSTOMERS:,})"
    )
    options = parser.parse_args()
    databases = DATABASES if options.database == "both" else (options.database,)
    try:
        main(databases, minutes=options.minutes, rate=options.rate, customers=options.customers)
    except FaultyError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(_run())
