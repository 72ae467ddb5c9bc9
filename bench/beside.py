"""Coffer beside its peers: the same requests over HTTP, the same tables, the same JSON, one PostgreSQL server.

    python -m bench.beside [--long]

Each program has a database of its own, all copies of one, and one process. They take turns in short rounds of one run, so
whatever else the machine does, it does to all of them. Before, their answers are compared; afterwards each database must
hold every adjustment that was answered, once, and `verify` must be clean in all of them.
"""

import json
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any, Protocol
from urllib.request import Request, urlopen

import uvloop
from rich.progress import Progress

from bench import report, wrk
from bench.http import (
    ADJUST,
    HISTORY,
    WALLET,
    adjustment_of,
    body_of,
    give_history,
    require_adjustments,
    wait_until_idle,
)
from bench.ledger import fill, server_of, settings_of
from bench.load import Processes, unlimited
from bench.peers.process import PeerUnavailableError, book, mercurius
from tests.postgres import PostgresServer
from tests.server import token

COFFER, MERCURIUS, BOOK = "Coffer", "Mercurius", "Strawberry and Tortoise by the book"
PEERS = {MERCURIUS: mercurius, BOOK: book}
WALLETS, WITH_HISTORY = 10_000, 100
WRITING, READING = 64, 32

SPREAD = "adjustBalance, spread over 10,000 wallets"
HOT = "adjustBalance, one wallet"
ONE = "wallet by id, 6 fields"
PAGE = "wallet with 50 transactions of 8 fields"
BARS = {SPREAD: 2.5, HOT: 8.0, ONE: 1.0, PAGE: 1.0}
"""How many times Mercurius' rate Coffer is to reach."""
P99_BAR_MS = {SPREAD: 25.0}
P99_OF_MERCURIUS = {SPREAD: 25 / 51}
"""The same bar beside Mercurius, whose p99 was 51 ms on the machine that it was set on: on a slower one both take longer."""

_ID = "query Id($customer: String!) { wallet(by: { storeCustomerId: $customer }) { id } }"


class Server(Protocol):
    """A program that was started."""

    @property
    def url(self) -> str:
        """The address, without a slash at its end."""

    @property
    def pid(self) -> int:
        """The process id."""


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of request, sent over so many connections at once."""

    name: str
    connections: int
    bodies: tuple[str, ...]
    writes: bool = False


@dataclass(frozen=True, slots=True)
class Measurement:
    """One program, one case, one round."""

    program: str
    case: str
    connections: int
    round: int
    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    server_us: float
    """Processor time of the program for each request."""
    database_us: float
    """Processor time of PostgreSQL for each request."""


def run(plan: wrk.Plan) -> list[Measurement]:
    """Measure everything; a terminal shows how far it is."""
    with ExitStack() as stack:
        progress = stack.enter_context(Progress(transient=True))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        postgres = stack.enter_context(PostgresServer(fsync=True))
        postgres.create_database("coffer")
        customers = [f"customer-{n}" for n in range(WALLETS)]
        hot = [f"hot-{n}" for n in range(plan.rounds + 1)]
        uvloop.run(_fill(postgres.url("coffer"), [*customers, *hot]))
        servers = dict(_servers(postgres, stack, folder))
        bench = _Bench(postgres, servers, plan, folder)
        return uvloop.run(bench.run(customers, hot, partial(progress.update, progress.add_task("HTTP"))))


async def _fill(url: str, customers: list[str]) -> None:
    settings = settings_of(url)
    targets = await fill(settings, customers)
    await give_history(settings, targets[:WITH_HISTORY])


def _servers(postgres: PostgresServer, stack: ExitStack, folder: Path) -> Iterator[tuple[str, Server]]:
    """Start all programs. Copies are made before anybody is connected to what they are copied from."""
    peers = []
    for name, make in PEERS.items():
        copy = make.__name__
        try:
            peers.append((name, make(postgres.url(copy), folder)))
        except PeerUnavailableError as error:
            print(error)
        else:
            postgres.create_database(copy, template="coffer")
    yield COFFER, stack.enter_context(unlimited(postgres.url("coffer"), folder, "coffer"))
    for name, peer in peers:
        yield name, stack.enter_context(peer)


class _Bench:
    """The measurements."""

    def __init__(
        self, postgres: PostgresServer, servers: dict[str, Server], plan: wrk.Plan, folder: Path
    ) -> None:
        self._postgres = postgres
        self._servers = servers
        self._plan = plan
        self._folder = folder
        self._token = token("bench", "administrator")
        self._answered = dict.fromkeys(servers, 0)
        self._in_flight = 0

    async def run(
        self, customers: list[str], hot: list[str], on_measured: Callable[..., object]
    ) -> list[Measurement]:
        ids = [self._ask(COFFER, body_of(_ID, customer=c))["wallet"]["id"] for c in customers[:WITH_HISTORY]]
        self._require_same_answers(ids[:3])
        turns = [(turn, case) for turn in range(len(hot)) for case in _cases(customers, hot[turn], ids)]
        found: list[Measurement] = []
        names = list(self._servers)
        async with server_of(settings_of(self._postgres.url("coffer"))) as database:
            for number, (turn, case) in enumerate(turns):
                # Another one begins in each round: nobody always comes after the same neighbour.
                order = names[turn % len(names) :] + names[: turn % len(names)]
                found += [self._measure(name, case, turn, database) for name in order]
                on_measured(completed=number + 1, total=len(turns))
                self._in_flight += case.connections if case.writes else 0
        for name in names:
            await self._require_all(name)
        return [each for each in found if each.round]

    def _measure(self, name: str, case: Case, turn: int, database: Processes) -> Measurement:
        server = Processes(self._servers[name].pid)
        server_s, database_s = server.cpu_s(), database.cpu_s()
        told = wrk.send(
            f"{self._servers[name].url}/graphql",
            case.bodies,
            token=self._token,
            prefix=secrets.token_hex(6),
            connections=case.connections,
            duration_s=self._plan.duration_s,
            folder=self._folder,
        )
        wait_until_idle(server)
        server_s, database_s = server.cpu_s() - server_s, database.cpu_s() - database_s
        self._answered[name] += told.requests if case.writes else 0
        # What was under way when wrk hung up is finished all the same, and was paid for.
        paid = told.requests + case.connections
        return Measurement(
            name,
            case.name,
            case.connections,
            turn,
            told.requests,
            told.per_second,
            told.p50_ms,
            told.p99_ms,
            server_s / paid * 1e6,
            database_s / paid * 1e6,
        )

    # --- what must be so, or no figure counts ---------------------------------------------------------------

    def _require_same_answers(self, wallet_ids: Sequence[str]) -> None:
        """Ask all programs the same, and have them do the same; only what they drew by lot may differ."""
        for query, wallet_id in product((WALLET, HISTORY), wallet_ids):
            self._require_same(body_of(query, id=wallet_id))
        for customer, key in (("customer-7", "check-a-key"), ("customer-8", "check-b-key")):
            body = body_of(ADJUST, input=adjustment_of(customer)).replace("KEY", key)
            first = self._require_same(body, drawn=True)
            again = self._require_same(body, drawn=True)
            if first != again:
                raise AssertionError(f"a repeated request had another answer: {first} {again}")
            self._require_same(body.replace('"1.00"', '"2.00"'))

    def _require_same(self, body: str, *, drawn: bool = False) -> dict[str, Any]:
        answers = {name: self._ask(name, body, subject="checker") for name in self._servers}
        shown = {name: _without_drawn(answer) if drawn else answer for name, answer in answers.items()}
        expected = shown[COFFER]
        for name, answer in shown.items():
            if answer != expected:
                raise AssertionError(f"{name} answered {answer}, Coffer {expected}")
        return answers

    def _ask(self, name: str, body: str, *, subject: str = "bench") -> dict[str, Any]:
        bearer = token(subject, "administrator")
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {bearer}"}
        url = f"{self._servers[name].url}/graphql"
        with urlopen(Request(url, body.encode(), headers), timeout=30) as response:  # noqa: S310 — our own server
            answer: dict[str, Any] = json.load(response)
        if "errors" in answer or None in answer["data"].values():
            raise AssertionError(f"{name} refused: {answer}")
        data: dict[str, Any] = answer["data"]
        return data

    async def _require_all(self, name: str) -> None:
        database = "coffer" if name == COFFER else PEERS[name].__name__
        try:
            await require_adjustments(
                settings_of(self._postgres.url(database)), self._answered[name], self._in_flight
            )
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from None


def _cases(customers: list[str], hot: str, ids: list[str]) -> Iterator[Case]:
    # In an order that has nothing to do with how the wallets lie in their table.
    shuffled = sorted(customers, key=lambda name: name[::-1])
    yield Case(
        SPREAD, WRITING, tuple(body_of(ADJUST, input=adjustment_of(name)) for name in shuffled), writes=True
    )
    yield Case(HOT, WRITING, (body_of(ADJUST, input=adjustment_of(hot)),), writes=True)
    yield Case(ONE, READING, tuple(body_of(WALLET, id=wallet_id) for wallet_id in ids))
    yield Case(PAGE, READING, tuple(body_of(HISTORY, id=wallet_id) for wallet_id in ids))


def _without_drawn(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the answer without what each program draws by lot: the transaction's id and reference."""
    content = json.loads(json.dumps(answer))
    drawn = content["adjustBalance"]["transaction"]
    drawn["id"], drawn["reference"] = len(drawn["id"]), [len(part) for part in drawn["reference"].split("-")]
    return dict(content)


# --- what is told of it ---------------------------------------------------------------------------------------


def _rate(measured: Measurement) -> float:
    return measured.per_second


def ratios(
    found: Sequence[Measurement],
    program: str,
    peer: str,
    case: str,
    *,
    of: Callable[[Measurement], float] = _rate,
) -> list[float]:
    """Return how many times the peer's rate (or what else is asked for) the program's is, round by round."""
    rates = {(each.program, each.case, each.round): of(each) for each in found}
    rounds = sorted({each.round for each in found})
    return [rates[program, case, n] / rates[peer, case, n] for n in rounds if (peer, case, n) in rates]


def grids(found: Sequence[Measurement]) -> list[report.Grid]:
    """Return the table of figures and that of the bars."""
    programs = list(dict.fromkeys(each.program for each in found))
    cases = list(dict.fromkeys((each.case, each.connections) for each in found))
    rows = []
    for case, connections in cases:
        for program in programs:
            runs = [each for each in found if (each.program, each.case) == (program, case)]
            times = ratios(found, COFFER, program, case)
            rows.append(
                [
                    case,
                    str(connections),
                    program,
                    report.rate_of([each.per_second for each in runs]),
                    f"{report.ms(e.p50_ms for e in runs)} / {report.ms(e.p99_ms for e in runs)}",
                    f"{median(e.server_us for e in runs):,.0f} + {median(e.database_us for e in runs):,.0f}",
                    "" if program == COFFER else f"{median(times):.2f}",
                ]
            )
    head = ("request", "callers", "program", "per second", "p50 / p99 ms", "µs of CPU", "Coffer is … times")
    figures = report.Grid("PostgreSQL, GraphQL over HTTP, beside peers", head, rows)
    return [figures, _bars(found)] if MERCURIUS in programs else [figures]


def _bars(found: Sequence[Measurement]) -> report.Grid:
    rows = []
    for case in BARS:
        rows.append(_rate_row(found, case))
        if case in P99_BAR_MS:
            rows += _p99_rows(found, case)
    head = ("request", "bar", "median (lowest to highest)", "by CPU of the process", "reached")
    return report.Grid("Bars", head, rows)


def _rate_row(found: Sequence[Measurement], case: str) -> list[str]:
    times, bar = ratios(found, COFFER, MERCURIUS, case), BARS[case]
    cpu = {
        program: median(e.server_us for e in found if (e.program, e.case) == (program, case))
        for program in (COFFER, MERCURIUS)
    }
    by_cpu = f"{cpu[MERCURIUS] / cpu[COFFER]:.2f}"
    return [case, f"≥ {bar:g} times Mercurius", _spread(times), by_cpu, _reached(median(times) >= bar)]


def _p99_rows(found: Sequence[Measurement], case: str) -> list[list[str]]:
    """Return the rows of the p99 itself, and of what it is beside the peer's."""
    p99_ms = median(e.p99_ms for e in found if (e.program, e.case) == (COFFER, case))
    shares = ratios(found, COFFER, MERCURIUS, case, of=lambda each: each.p99_ms)
    bar_ms, bar = P99_BAR_MS[case], P99_OF_MERCURIUS[case]
    return [
        [case, f"p99 < {bar_ms:g} ms", f"{p99_ms:.1f}", "", _reached(p99_ms < bar_ms)],
        [case, f"p99 ≤ {bar:.2f} of Mercurius'", _spread(shares), "", _reached(median(shares) <= bar)],
    ]


def _spread(times: Sequence[float]) -> str:
    """Return the median of the rounds, with the lowest and the highest."""
    return f"{median(times):.2f} ({min(times):.2f} to {max(times):.2f})"


def _reached(is_reached: bool) -> str:
    return "yes" if is_reached else "NO"


def main(*, long: bool) -> None:
    """Measure, print the tables and write them down."""
    if not wrk.is_here():
        print(f"bench.beside is left out: {wrk.MISSING}")
        return
    plan = wrk.LONG if long else wrk.SHORT
    found = run(plan)
    said = (
        f"Measured by `python -m bench.beside{' --long' if long else ''}` on {report.machine()}: medians of "
        f"{plan.rounds} interleaved rounds, lowest and highest in brackets. One process of each program, a signed token, "
        "wrk on the same cores as the programs and the database; adjustments are committed to disk (fsync). "
        "*Times*: round by round. What the peers are: `bench/peers/__init__.py`."
    )
    programs = list(dict.fromkeys(each.program for each in found))
    bars = {
        case: {
            program: median(e.per_second for e in found if (e.program, e.case) == (program, case))
            for program in programs
        }
        for case in BARS
    }
    report.publish("beside", said, grids(found), [asdict(each) for each in found])
    report.publish_plot("beside", "Requests per second, one process of each program", bars)


if __name__ == "__main__":
    main(long=report.asked_for_long())
