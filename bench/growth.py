"""What growth costs: every list, search, filter and report at 10,000 wallets and at many more, side by side.

    python -m bench.growth [--scale N] [--long] [--database sqlite|postgres] [--stores SMALL BIG]

Two stores of one seed are loaded (`seed --scale`), each with a server of its own; every question is asked of the one and
of the other in turns, so whatever else the machine does, it does to both. The bar: a p99 within 1.5 times of what it is
at 10,000 wallets. Afterwards the big ledger is verified, and what that needs of memory is compared with the small one's.

The stores are removed in the end, unless `--stores` names two databases: these stay, and a load that was interrupted goes on.
PostgreSQL has the memory that a store of that size would be given (`POSTGRES`).
"""

import argparse
import asyncio
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from rich.progress import Progress

from app.db import dialect, migrate, open_database
from app.seed.scale import CHUNK, Scale, grow
from app.services.liability import liabilities
from app.services.verification import verify
from bench import report
from bench.ledger import settings_of
from bench.load import unlimited
from tests.caller import Caller
from tests.postgres import PostgresServer
from tests.server import token

SMALL = 10_000
BIG = 100_000
BAR = 1.5
DATABASES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
POSTGRES = {
    "shared_buffers": "1GB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "random_page_cost": "1.1",
}
"""A fraction of a small server's memory, seldom checkpoints while it is loaded, and a disk without arms."""

WARM_UP = 5
"""How often each question is asked before it counts."""

UNTIL = datetime(2026, 6, 1, tzinfo=UTC)
"""When the made-up history ends."""

_WALLETS = (
    "{ nodes { id balance { amount } status customer { name email } } pageInfo { hasNextPage endCursor } }"
)
_TRANSACTIONS = "{ nodes { id amount { amount } kind note createdAt } pageInfo { hasNextPage } }"
_IDS = "{ nodes { id } pageInfo { hasNextPage } }"


def _sorted(field: str, columns: Iterable[str], rows: str) -> dict[str, str]:
    return {
        f"{field} by {column} {way}": f"{{ {field}(sort: {{field: {column}, direction: {way}}}) {rows} }}"
        for column in columns
        for way in ("ASC", "DESC")
    }


QUESTIONS: dict[str, str] = {
    **_sorted("wallets", ("BALANCE", "CREATED_AT", "CUSTOMER_NAME", "LAST_ACTIVITY_AT"), _WALLETS),
    **_sorted("customers", ("NAME", "CREATED_AT"), "{ nodes { id name } }"),
    "wallets, page 50 by offset": f"{{ wallets(offset: 1000) {_WALLETS} }}",
    "wallets counted": "{ wallets { totalCount totalCountIsExact } }",
    "wallets of a balance": f'{{ wallets(filter: {{balance: {{min: "100.00", max: "101.00"}}}}) {_WALLETS} }}',
    "wallets of a balance, by name": (
        f'{{ wallets(filter: {{balance: {{min: "50.00"}}}}, sort: {{field: CUSTOMER_NAME}}) {_WALLETS} }}'
    ),
    "wallets frozen": f"{{ wallets(filter: {{statuses: [FROZEN]}}) {_WALLETS} }}",
    "wallets frozen or active": f"{{ wallets(filter: {{statuses: [FROZEN, ACTIVE]}}) {_WALLETS} }}",
    "wallets opened in a week": (
        '{ wallets(filter: {created: {from: "2026-02-01T00:00:00Z", to: "2026-02-08T00:00:00Z"}}) '
        + _WALLETS
        + " }"
    ),
    "wallets long unused": (
        f'{{ wallets(filter: {{lastActivityBefore: "2025-07-15T00:00:00Z"}}, sort: {{field: LAST_ACTIVITY_AT}}) {_WALLETS} }}'
    ),
    "wallets searched by a name": f'{{ wallets(search: "karlsson") {_WALLETS} }}',
    "wallets searched by part of an address": f'{{ wallets(search: ".4711@exam") {_WALLETS} }}',
    "wallets searched by a store id": f'{{ wallets(search: "s00004711") {_WALLETS} }}',
    "wallets searched by what all have": f'{{ wallets(search: "example.com") {_WALLETS} }}',
    "wallets searched by what nobody has": f'{{ wallets(search: "zzqqzz") {_WALLETS} }}',
    "wallets searched and counted": '{ wallets(search: "example") { totalCount } }',
    "wallets searched, by balance": (
        f'{{ wallets(search: "anna", sort: {{field: BALANCE, direction: DESC}}) {_WALLETS} }}'
    ),
    "customers searched by two words": '{ customers(search: "anna son") { nodes { id name } } }',
    "customers searched by what many have": '{ customers(search: "anna") { nodes { id name } } }',
    "customers searched by what many have, counted": '{ customers(search: "anna") { totalCount } }',
    "transactions newest": f"{{ transactions {_TRANSACTIONS} }}",
    "transactions oldest": f"{{ transactions(direction: ASC) {_TRANSACTIONS} }}",
    "transactions counted": "{ transactions { totalCount } }",
    "transactions of a kind": f"{{ transactions(filter: {{kinds: [WITHDRAWAL]}}) {_TRANSACTIONS} }}",
    "transactions of two kinds": f"{{ transactions(filter: {{kinds: [WITHDRAWAL, REFUND]}}) {_TRANSACTIONS} }}",
    "transactions of a person": f'{{ transactions(filter: {{actorId: "amira"}}) {_TRANSACTIONS} }}',
    "transactions of a month": (
        '{ transactions(filter: {created: {from: "2026-02-01T00:00:00Z", to: "2026-03-01T00:00:00Z"}}) '
        + _TRANSACTIONS
        + " }"
    ),
    "transactions of an amount": f'{{ transactions(filter: {{amount: {{min: "119.90"}}}}) {_TRANSACTIONS} }}',
    "transactions of a bucket": f"{{ transactions(filter: {{buckets: [PROMO]}}) {_TRANSACTIONS} }}",
    "transactions for a reason": f"{{ transactions(filter: {{reasons: [RETURN]}}) {_TRANSACTIONS} }}",
    "transactions whose note says": f'{{ transactions(filter: {{search: "damaged"}}) {_TRANSACTIONS} }}',
    "transactions whose note never says": f'{{ transactions(filter: {{search: "zzqqzz"}}) {_TRANSACTIONS} }}',
    "withdrawals newest": f"{{ withdrawals {_IDS} }}",
    "withdrawals that wait": f"{{ withdrawals(filter: {{statuses: [REQUESTED]}}) {_IDS} }}",
    "withdrawals by amount": f"{{ withdrawals(sort: {{field: AMOUNT, direction: DESC}}) {_IDS} }}",
    "withdrawals searched by a name": f'{{ withdrawals(search: "karlsson") {_IDS} }}',
    "withdrawals searched by a payer's reference": f'{{ withdrawals(search: "SEPA-00000020") {_IDS} }}',
    "orders newest": f"{{ orders {_IDS} }}",
    "orders of a state": f"{{ orders(filter: {{statuses: [PENDING]}}) {_IDS} }}",
    "orders with problems": f"{{ orders(filter: {{hasProblem: true}}) {_IDS} }}",
    "orders searched": f'{{ orders(search: "100010") {_IDS} }}',
    "payments newest": f"{{ payments {_IDS} }}",
    "renewals to come": f"{{ renewals {_IDS} }}",
    "cashback awards that wait": f"{{ cashbackAwards(filter: {{statuses: [PENDING]}}) {_IDS} }}",
    "gift cards active": f"{{ giftCards(filter: {{statuses: [ACTIVE]}}) {_IDS} }}",
    "fraud signals newest": f"{{ fraudSignals {_IDS} }}",
    "fraud signals of a kind": f"{{ fraudSignals(filter: {{kinds: [RAPID_BALANCE_CHECKS]}}) {_IDS} }}",
    "audit entries newest": f"{{ auditEntries {_IDS} }}",
    "audit entries of an action": f"{{ auditEntries(filter: {{actions: [FREEZE_WALLET]}}) {_IDS} }}",
    "deliveries newest": f"{{ webhookDeliveries {_IDS} }}",
    "deliveries done": f"{{ webhookDeliveries(filter: {{statuses: [DONE]}}) {_IDS} }}",
    "deliveries dead": f"{{ webhookDeliveries(filter: {{statuses: [DEAD]}}) {_IDS} }}",
    "messages newest": f"{{ outgoingWebhooks {_IDS} }}",
    "payouts that are not agreed on": "{ payoutReconciliation { kind } }",
    "one wallet with its history": (
        '{ wallet(by: {storeCustomerId: "s00000042"}) { id balance { amount } buckets { bucket } '
        "transactions(first: 20) { totalCount nodes { id note } } withdrawals(first: 5) { nodes { id } } } }"
    ),
}
"""What is asked, by what it is called: every list of the API, with its sorts, filters and searches."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How often each question is asked of each store."""

    rounds: int
    each: int


SHORT = Plan(rounds=5, each=20)
LONG = Plan(rounds=20, each=50)


@dataclass(slots=True)
class Growth:
    """What one question takes, in ms, in the small store and in the big one."""

    database: str
    question: str
    small_p50_ms: float
    small_p99_ms: float
    big_p50_ms: float
    big_p99_ms: float

    @property
    def ratio(self) -> float:
        """How many times as long the p99 is."""
        return self.big_p99_ms / self.small_p99_ms

    @property
    def p50_ratio(self) -> float:
        """How many times as long the median is."""
        return self.big_p50_ms / self.small_p50_ms


@dataclass(frozen=True, slots=True)
class Verified:
    """A whole ledger verified: how fast, and the process's memory at its peak and before, in MiB."""

    database: str
    wallets: int
    transactions: int
    duration_s: float
    peak_mib: float
    before_mib: float


async def fill(url: str, wallets: int) -> float:
    """Load a store of so many wallets and tell how many seconds it took; one that is there already is kept."""
    settings = settings_of(url)
    await migrate(settings)
    began = time.perf_counter()
    async with open_database(settings):
        with Progress(transient=True) as progress:
            bar = progress.add_task(f"{wallets:,} wallets", total=wallets)

            def tell(done: int, total: int) -> None:
                progress.update(bar, completed=done, total=total)
                if not progress.console.is_terminal and done % (total // 10 or 1) < CHUNK:
                    print(
                        f"{done:,} of {total:,} wallets after {time.perf_counter() - began:.0f} s", flush=True
                    )

            await grow(Scale(wallets, UNTIL), customers=0, on_progress=tell, settings=settings)
    return time.perf_counter() - began


async def compare(database: str, urls: tuple[str, str], plan: Plan, folder: Path) -> list[Growth]:
    """Ask every question of both stores in turns."""
    taken: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    async with AsyncExitStack() as stack:
        callers = []
        for number, url in enumerate(urls):
            server = stack.enter_context(unlimited(url, folder, f"growth-{number}"))
            callers.append(await stack.enter_async_context(Caller(server.url, token("ann", "administrator"))))
        turns = [WARM_UP, *[plan.each] * plan.rounds]
        # This process's own pauses are nobody's p99.
        gc.freeze()
        with Progress(transient=True) as progress:
            bar = progress.add_task(database, total=len(turns) * len(QUESTIONS))
            for turn, each in enumerate(turns):
                if not progress.console.is_terminal:
                    print(f"{database}: round {turn} of {plan.rounds}", flush=True)
                for question, document in QUESTIONS.items():
                    for number in range(each):
                        # Who begins changes, so that neither is always the one after the other.
                        for which in (0, 1) if number % 2 else (1, 0):
                            took_ms = await _ask(callers[which], document)
                            if turn:
                                taken[question][which].append(took_ms)
                    progress.advance(bar)
    return [_growth(database, question, *times) for question, times in taken.items()]


async def _ask(caller: Caller, document: str) -> float:
    began = time.perf_counter()
    response = await caller.post(document, {})
    took_ms = (time.perf_counter() - began) * 1e3
    codes = {error["extensions"]["code"] for error in response.get("errors", ())}
    if codes:
        # What the database gave up on took that long; anything else is a fault.
        print(f"{codes} after {took_ms:.0f} ms: {document}", flush=True)
        assert codes == {"TIMEOUT"}, response
    return took_ms


def _growth(database: str, question: str, small: list[float], big: list[float]) -> Growth:
    return Growth(database, question, median(small), _p99(small), median(big), _p99(big))


def _p99(times: list[float]) -> float:
    return sorted(times)[int((len(times) - 1) * 0.99)]


async def check(database: str, url: str) -> Verified:
    """Verify the ledger in this process, and sum up what is owed; it must be clean."""
    async with open_database(settings_of(url)):
        before_mib = _peak_mib()
        found = await verify()
        await liabilities()
    assert found.is_clean, found.faults[:3]
    return Verified(database, found.wallets, found.transactions, found.duration_s, _peak_mib(), before_mib)


def _peak_mib() -> float:
    # Of this program alone: what `getrusage` tells is also that of the process that started it.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def run(
    database: str, scale: int, plan: Plan, stores: tuple[str, str] | None
) -> tuple[list[Growth], list[Verified]]:
    """Measure on one database."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls = stores or stack.enter_context(_stores(database, folder))
        for url, wallets in zip(urls, (SMALL, scale), strict=True):
            took_s = asyncio.run(fill(url, wallets))
            print(f"{database}: {wallets:,} wallets loaded in {took_s:.0f} s", flush=True)
        found = asyncio.run(compare(database, urls, plan, folder))
        return found, [_checked(database, url) for url in urls]


@contextmanager
def _stores(database: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Make two empty databases, durable as in production, and remove them in the end."""
    if database == DATABASES["sqlite"]:
        yield f"sqlite:///{folder / 'small.sqlite3'}", f"sqlite:///{folder / 'big.sqlite3'}"
        return
    # One server for both: what else it does, it does to both.
    with PostgresServer(fsync=True, **POSTGRES) as server:
        for name in ("small", "big"):
            server.create_database(name)
        yield server.url("small"), server.url("big")


def _checked(database: str, url: str) -> Verified:
    # In a process of its own: a peak of memory never goes down again.
    script = (
        "import asyncio, json, sys; from dataclasses import asdict; from bench.growth import check; "
        "print(json.dumps(asdict(asyncio.run(check(sys.argv[1], sys.argv[2])))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, database, url], capture_output=True, text=True, check=True
    )
    return Verified(**json.loads(done.stdout))


def main(
    *,
    long: bool,
    scale: int = BIG,
    databases: Iterable[str] = tuple(DATABASES),
    stores: tuple[str, str] | None = None,
) -> None:
    """Measure, print the tables and write them down; of a database that isn't measured now, the last figures stay."""
    plan = LONG if long else SHORT
    found, verified = [], []
    names = [DATABASES[dialect(stores[0])]] if stores else [DATABASES[each] for each in databases]
    for name in DATABASES.values():
        known = report.known("growth").get(name, {})
        if name in names:
            growths, checked = run(name, scale, plan, stores)
        elif known.get("scale") == scale:
            growths = [Growth(**each) for each in known["questions"]]
            checked = [Verified(**each) for each in known["verified"]]
        else:
            continue
        found += growths
        verified += checked
        # Written down after each: whoever stops the second keeps the first.
        report.publish_growth(found, verified, scale, BAR, long=long, options=POSTGRES)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--scale", type=int, default=BIG, help=f"wallets of the big store ({BIG:,})")
    parser.add_argument("--long", action="store_true", help="more rounds")
    parser.add_argument(
        "--database", choices=tuple(DATABASES), help="only this one (both, one after the other)"
    )
    parser.add_argument(
        "--stores",
        nargs=2,
        metavar=("SMALL", "BIG"),
        help="addresses of two databases that stay; what they lack is loaded",
    )
    options = parser.parse_args()
    main(
        long=options.long,
        scale=options.scale,
        databases=[options.database] if options.database else tuple(DATABASES),
        stores=tuple(options.stores) if options.stores else None,
    )
