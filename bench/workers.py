"""What a second process brings: python -m bench.workers [--long]

The same PostgreSQL is served by one server of one process and by one of two (`serve --workers 2`), and wrk asks them in turns: adjustments
over many wallets, and a wallet by its id. Each request's processor time is told for all processes of the server together, for
the busiest of them, and for the database: where load generator, server and database share two cores, a second process can only use
what the first one leaves. Afterwards every answered adjustment is there once, sums are exact and `verify` is clean.
"""

import asyncio
import random
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from statistics import median

import psutil
import uvloop
from rich.progress import Progress

from app.schema.types.node import encode_id
from app.settings import Settings
from bench import report, wrk
from bench.http import ADJUST, SPREAD, WALLET, adjustment_of, body_of, require_adjustments, wait_until_idle
from bench.ledger import database_of, fill, server_of, settings_of
from bench.load import Processes, unlimited
from tests.server import ServerProcess, start_together, token

WORKERS = (1, 2)
WALLETS = 10_000
CONNECTIONS = 64
READ = "wallet, 6 fields"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One kind of request, asked of one server in one round."""

    case: str
    workers: int
    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    server_us: float
    """Processor time of all processes of the server for each request."""
    busiest: float
    """The share of that which the busiest process had."""
    database_us: float
    """Processor time of the database's own processes for each request."""


class Workers:
    """The processes of one server, and the processor time that each has spent."""

    def __init__(self, supervisor_pid: int) -> None:
        root = psutil.Process(supervisor_pid)
        self._processes = root.children(recursive=True) or [root]

    def each_s(self) -> list[float]:
        """Return the processor time of each, in seconds."""
        return [times.user + times.system for times in (process.cpu_times() for process in self._processes)]


class _Bench:
    """The servers that are compared, and what was answered."""

    def __init__(
        self, settings: Settings, servers: dict[int, ServerProcess], plan: wrk.Plan, folder: Path
    ) -> None:
        self._settings = settings
        self._servers = servers
        self._plan = plan
        self._folder = folder
        self._token = token("bench", "administrator")
        self._answered = self._turns = 0

    async def run(self, cases: dict[str, tuple[str, ...]], progress: Progress) -> list[Measurement]:
        """Let wrk ask, first of the one server, then of the other."""
        found = []
        turns = list(product(range(self._plan.rounds + 1), cases, self._servers))
        async with server_of(self._settings) as database:
            for turn, case, workers in progress.track(turns, description="workers"):
                measured = self._measure(case, cases[case], workers, database)
                # The first round only warms up.
                found += [measured] if turn else []
        return found

    def _measure(self, case: str, bodies: Sequence[str], workers: int, database: Processes) -> Measurement:
        server = self._servers[workers]
        processes = Workers(server.pid)
        each_s, database_s = processes.each_s(), database.cpu_s()
        told = wrk.send(
            f"{server.url}/graphql",
            bodies,
            token=self._token,
            prefix=secrets.token_hex(6),
            connections=CONNECTIONS,
            duration_s=self._plan.duration_s,
            folder=self._folder,
        )
        wait_until_idle(Processes(server.pid))
        spent_s = [after - before for after, before in zip(processes.each_s(), each_s, strict=True)]
        database_s = database.cpu_s() - database_s
        if case == SPREAD:
            self._answered += told.requests
            self._turns += 1
        # What was under way when wrk hung up is finished all the same, and was paid for.
        paid = told.requests + CONNECTIONS
        return Measurement(
            case=case,
            workers=workers,
            requests=told.requests,
            per_second=told.per_second,
            p50_ms=told.p50_ms,
            p99_ms=told.p99_ms,
            server_us=sum(spent_s) / paid * 1e6,
            busiest=max(spent_s) / sum(spent_s),
            database_us=database_s / paid * 1e6,
        )

    async def require_all(self) -> None:
        """Require what was answered, of both servers."""
        await require_adjustments(self._settings, self._answered, self._turns * CONNECTIONS)


def run(plan: wrk.Plan) -> list[Measurement]:
    """Measure; a terminal shows how far it is."""
    with ExitStack() as stack:
        progress = stack.enter_context(Progress(transient=True))
        url = stack.enter_context(database_of("PostgreSQL"))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = settings_of(url)
        customers = [f"customer-{n}" for n in range(WALLETS)]
        targets = uvloop.run(fill(settings, customers))
        servers = {
            workers: unlimited(url, folder, f"workers-{workers}", workers=workers) for workers in WORKERS
        }
        for server in servers.values():
            stack.callback(server.kill)
        start_together(list(servers.values()))
        random.shuffle(targets)
        cases = {
            SPREAD: tuple(body_of(ADJUST, input=adjustment_of(target.external_id)) for target in targets),
            READ: tuple(
                body_of(WALLET, id=encode_id("Wallet", target.wallet_id)) for target in targets[:100]
            ),
        }
        bench = _Bench(settings, servers, plan, folder)
        found = asyncio.run(bench.run(cases, progress))
        for server in servers.values():
            server.stop()
        asyncio.run(bench.require_all())
    return found


def _grids(found: Sequence[Measurement]) -> Iterator[report.Grid]:
    head = (
        "workers",
        "per second",
        "p50 / p99 ms",
        "times",
        "µs of CPU",
        "of it the busiest process",
        "database, µs",
    )
    for case in dict.fromkeys(each.case for each in found):
        of = {workers: [e for e in found if (e.case, e.workers) == (case, workers)] for workers in WORKERS}
        rows = []
        for workers, runs in of.items():
            pairs = zip(runs, of[WORKERS[0]], strict=True)
            rows.append(
                [
                    str(workers),
                    report.rate_of([run.per_second for run in runs]),
                    f"{report.ms(run.p50_ms for run in runs)} / {report.ms(run.p99_ms for run in runs)}",
                    f"{median(run.per_second / one.per_second for run, one in pairs):.2f}",
                    f"{median(run.server_us for run in runs):,.0f}",
                    f"{median(run.busiest for run in runs):.0%}",
                    f"{median(run.database_us for run in runs):,.0f}",
                ]
            )
        yield report.Grid(f"`serve --workers N` on PostgreSQL: {case}", head, rows)


def main(*, long: bool) -> None:
    """Measure, print the tables and write them down."""
    if not wrk.is_here():
        print(f"bench.workers is left out: {wrk.MISSING}")
        return
    plan = wrk.LONG if long else wrk.SHORT
    found = run(plan)
    said = (
        f"Measured by `python -m bench.workers{' --long' if long else ''}` on {report.machine()}: medians of {plan.rounds} "
        f"interleaved rounds, {CONNECTIONS} connections of wrk, which shares the cores with the servers and with PostgreSQL (fsync). "
        "*times*: the rate beside that of one process, round by round."
    )
    report.publish("workers", said, list(_grids(found)), [asdict(each) for each in found])


if __name__ == "__main__":
    main(long=report.asked_for_long())
