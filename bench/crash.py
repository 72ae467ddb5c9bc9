"""Kill the server (kill -9) in the middle of a write load, again and again, and look for what got lost.

    python -m bench.crash --rounds 50 --database both
    python -m bench.crash --flow --rounds 20

Each round: a mixed load over HTTP, a kill, a new start, every request sent again with its key. Every second kill is at a random
moment, the others are right after a commit (`bench.aim`), when what was done has not been answered yet.
Then each acknowledged request must be in the tables exactly once, with the very answer that it had; nothing may be
there twice; and `verify` must be silent. With `--flow` the load is withdrawals from the request to their end, each step told
to a receiver on this machine: every event that was committed must come, repeats with the same id, and nothing else. Exit status: 0 all well, 1 a fault, 130 interrupted.
"""

import argparse
import asyncio
import random
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from app.db import migrate
from bench.aim import Aim
from tests.caller import Caller, UnansweredError
from tests.databases import settings_for
from tests.flow import Flow, let_leases_run_out
from tests.outbox.receiver import receiving
from tests.postgres import PostgresServer
from tests.server import ServerFailedError, ServerProcess, start_together, token
from tests.workload import Workload

DATABASES = ("sqlite", "postgres")
EARLIEST_KILL_S = 0.15


@dataclass(slots=True)
class Tally:
    """What the rounds on one database came to."""

    database: str
    rounds: int = 0
    requests: int = 0
    acknowledged: int = 0
    unanswered: int = 0
    done_unanswered: int = 0
    """Requests that were done although their caller never heard of it: what keys are for."""
    transactions: int = 0
    start_s: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


async def crash_round(
    tally: Tally, servers: Sequence[ServerProcess], database_url: str, *, load_s: float, tasks: int = 24
) -> None:
    """Load, kill, start, send everything again, compare."""
    workload = Workload(f"{tally.database}-{tally.rounds}-{secrets.token_hex(3)}")
    chance = random.Random(workload.name)
    callers = [Caller(server.url, token("ann", "administrator")) for server in servers]
    try:
        # With several processes, half of the time one dies and the others go on.
        killed = [chance.choice(servers)] if chance.random() < 0.5 else list(servers)
        pids = [server.pid for server in killed]
        async with Aim.taken(database_url, pids) if tally.rounds % 2 else nullcontext() as aim:
            load = asyncio.create_task(workload.run(callers, tasks=tasks, seconds=load_s))
            await asyncio.sleep(chance.uniform(EARLIEST_KILL_S, max(EARLIEST_KILL_S, load_s * 0.9)))
            if aim is not None:
                # Should nothing more be committed, it is a kill like the others.
                with suppress(TimeoutError):
                    await asyncio.wait_for(aim.fire(), load_s)
            for server in killed:
                server.kill()
            await load
        unanswered = workload.unanswered
        tally.unanswered += len(unanswered)
        tally.acknowledged += len(workload.accepted)
        began = time.monotonic()
        await asyncio.to_thread(start_together, killed)
        tally.start_s.append(time.monotonic() - began)
        done = await workload.done_keys(database_url)
        tally.done_unanswered += sum(1 for request in unanswered if request.key in done)
        await workload.retry(callers)
        report = await workload.find_faults(database_url)
    finally:
        for caller in callers:
            await caller.close()
    tally.rounds += 1
    tally.requests += len(workload.requests)
    tally.transactions = report.transactions
    tally.faults += [f"round {tally.rounds}: {fault}" for fault in workload.faults]


async def flow_round(
    tally: Tally,
    flow: Flow,
    servers: Sequence[ServerProcess],
    database_url: str,
    *,
    load_s: float,
    tasks: int = 8,
) -> None:
    """Walk withdrawals, kill, start, walk them to their end, hear all that was committed, compare."""
    chance = random.Random(f"{flow.name}-{tally.rounds}")
    callers = [Caller(server.url, token("ann", "administrator")) for server in servers]
    known = len(flow.walks)
    try:
        load = asyncio.create_task(flow.run(callers, tasks=tasks, seconds=load_s))
        await asyncio.sleep(chance.uniform(EARLIEST_KILL_S, max(EARLIEST_KILL_S, load_s * 0.9)))
        for server in servers:
            server.kill()
        await load
        unfinished = sum(not walk.is_done for walk in flow.walks[known:])
        await let_leases_run_out(database_url)
        began = time.monotonic()
        await asyncio.to_thread(start_together, servers)
        tally.start_s.append(time.monotonic() - began)
        await flow.finish(callers)
        await flow.hear_all(database_url)
        tally.transactions = await flow.find_faults(database_url)
    finally:
        for caller in callers:
            await caller.close()
    tally.rounds += 1
    tally.requests = sum(len(walk.way) + 2 for walk in flow.walks)
    tally.acknowledged = sum(walk.is_done for walk in flow.walks)
    tally.unanswered += unfinished
    tally.done_unanswered = flow.repeats
    tally.faults += [f"round {tally.rounds}: {fault}" for fault in flow.faults]


@contextmanager
def database(name: str, folder: Path) -> Iterator[str]:
    """A new database with all tables. PostgreSQL keeps its promises of durability here (fsync)."""
    if name == "sqlite":
        yield f"sqlite:///{folder / 'crash.sqlite3'}"
        return
    with PostgresServer(fsync=True) as server:
        made = f"crash_{secrets.token_hex(4)}"
        server.create_database(made)
        yield server.url(made)


async def crash(
    tally: Tally, *, rounds: int, load_s: float, progress: Progress, of_flow: bool = False
) -> None:
    """Play all rounds on one database; an interruption or a fault ends them early."""
    name = tally.database
    bar = progress.add_task(name, total=rounds)
    folder = Path(tempfile.mkdtemp(prefix="coffer-crash-"))
    with database(name, folder) as url:
        await migrate(settings_for(url))
        count = 1 if name == "sqlite" else 2
        private: dict[str, Any] = {"webhook_private_addresses": True}
        servers = [ServerProcess(url, folder=folder, name=f"server-{n}", **private) for n in range(count)]
        try:
            await asyncio.to_thread(start_together, servers)
            async with receiving() as receiver:
                flow = Flow(f"{name}-{secrets.token_hex(3)}", receiver)
                if of_flow:
                    await prepared(flow, servers)
                while tally.rounds < rounds and not tally.faults:
                    if of_flow:
                        await flow_round(tally, flow, servers, url, load_s=load_s)
                    else:
                        await crash_round(tally, servers, url, load_s=load_s)
                    progress.advance(bar)
        except (UnansweredError, ServerFailedError) as error:
            tally.faults.append(f"round {tally.rounds + 1}: {type(error).__name__}: {error}")
        finally:
            for server in servers:
                server.kill()
            for server in servers:
                tally.faults += [f"log: {line}" for line in server.errors()[:10]]
            if tally.faults:
                progress.console.print(f"The logs and the database are kept in {folder}", style="yellow")
            else:
                shutil.rmtree(folder, ignore_errors=True)


async def prepared(flow: Flow, servers: Sequence[ServerProcess]) -> None:
    """Have the store ready for the flow."""
    caller = Caller(servers[0].url, token("ann", "administrator"))
    try:
        await flow.prepare(caller)
    finally:
        await caller.close()


def table_of(tallies: Sequence[Tally], *, of_flow: bool = False) -> Table:
    """Return the figures as a table."""
    table = Table(title="kill -9 in the middle of a write load")
    counted = ("requests", "acknowledged", "unanswered", "of these done")
    if of_flow:
        counted = ("requests", "withdrawals", "cut short", "messages repeated")
    for column in ("database", "rounds", *counted):
        table.add_column(column, justify="left" if column == "database" else "right")
    for column in ("transactions", "start, s (worst)", "faults"):
        table.add_column(column, justify="right")
    for t in tallies:
        start = f"{sum(t.start_s) / len(t.start_s):.1f} ({max(t.start_s):.1f})" if t.start_s else "-"
        figures = (t.rounds, t.requests, t.acknowledged, t.unanswered, t.done_unanswered, t.transactions)
        table.add_row(t.database, *(f"{figure:,}" for figure in figures), start, str(len(t.faults)))
    return table


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.crash", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50, help="rounds on each database (50)")
    parser.add_argument("--database", choices=(*DATABASES, "both"), default="both")
    parser.add_argument("--seconds", type=float, default=1.5, help="how long the load of a round lasts (1.5)")
    parser.add_argument("--flow", action="store_true", help="withdrawals to their end, told to a receiver")
    options = parser.parse_args()
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tallies: list[Tally] = []
    interrupted = False
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        try:
            for name in DATABASES if options.database == "both" else (options.database,):
                tallies.append(Tally(name))
                rounds = crash(
                    tallies[-1],
                    rounds=options.rounds,
                    load_s=options.seconds,
                    progress=progress,
                    of_flow=options.flow,
                )
                asyncio.run(rounds)
        except KeyboardInterrupt:
            interrupted = True
            console.print("Interrupted; the rounds that were finished:")
    Console(width=max(console.width, 120)).print(table_of(tallies, of_flow=options.flow))
    for fault in (fault for tally in tallies for fault in tally.faults[:20]):
        console.print(fault, style="red", markup=False)
    if interrupted:
        return 130
    return 1 if any(tally.faults for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
