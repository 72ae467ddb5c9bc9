"""Adjustments per second, spread over many wallets and on one, on both databases, beside the ORM and hand-written SQL.

    python -m bench.ledger [--long]

The ways take turns in short rounds of one run, so whatever else the machine does, it does to all of them.
After each measurement every acknowledged adjustment must be there once; after the last, `verify` must be clean.
"""

import asyncio
import random
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count, product
from pathlib import Path
from typing import Any

import asyncpg
import uvloop
from rich.progress import Progress
from tortoise.connection import get_connection

from app.db import READER, WRITER, dialect, migrate, open_database
from app.domain.access import Actor, ActorKind
from app.services.ledger.records import read_uuid
from app.services.verification import verify
from app.settings import Settings
from bench import report
from bench.load import Processes, Sample, keep_asking
from bench.ways import WAYS, Coffer, Target, Way
from tests.postgres import PostgresServer

CALLERS = (1, 16, 64, 256)
WALLETS = 10_000
DATABASES = ("SQLite", "PostgreSQL")
LOADS = ("spread", "one wallet")


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how often each measurement is taken."""

    rounds: int
    duration_s: float
    warm_up_s: float


SHORT = Plan(rounds=3, duration_s=0.7, warm_up_s=0.2)
LONG = Plan(rounds=7, duration_s=3.0, warm_up_s=0.5)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One sample, and what was measured."""

    database: str
    load: str
    way: str
    sample: Sample


def run(plan: Plan) -> list[Measurement]:
    """Measure everything; a terminal shows how far it is."""
    found: list[Measurement] = []
    with Progress(transient=True) as progress:
        turns = plan.rounds * len(LOADS) * len(CALLERS) * len(WAYS)
        for database in DATABASES:
            task = progress.add_task(database, total=turns)
            with database_of(database) as url:
                bench = _Bench(database, settings_of(url), plan, partial(progress.advance, task))
                found += uvloop.run(bench.run())
    return found


@contextmanager
def database_of(name: str) -> Iterator[str]:
    """Make a database of its own, durable as in production, and remove it in the end."""
    if name == "SQLite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{Path(folder) / 'bench.sqlite3'}"
    else:
        with PostgresServer(fsync=True) as server:
            server.create_database("bench")
            yield server.url("bench")


def settings_of(url: str, **others: Any) -> Settings:
    """Return Coffer's settings as they come, for this database; nobody's `.env` plays a part."""
    return Settings(_env_file=None, database_url=url, **others)


async def fill(settings: Settings, names: list[str]) -> list[Target]:
    """Migrate, and open a wallet for each of the store's customers, with a first credit."""
    await migrate(settings)
    actor = Actor(ActorKind.SYSTEM, "bench")
    async with Coffer(settings, len(names)) as coffer:
        for start in range(0, len(names), 1000):
            await asyncio.gather(*(coffer.open(name, actor) for name in names[start : start + 1000]))
    async with open_database(settings):
        if dialect(settings.database_url) == "postgres":
            # Autovacuum would do it within a minute or two: nobody's plans shall be those of empty tables.
            await get_connection(WRITER).execute_query("ANALYZE")
        rows = await get_connection(READER).execute_query_dict(
            "SELECT w.id, c.external_id FROM wallets w JOIN customers c ON c.id = w.customer_id"
        )
    found = {row["external_id"]: Target(read_uuid(row["id"]), row["external_id"]) for row in rows}
    return [found[name] for name in names]


class _Bench:
    """The measurements of one database."""

    def __init__(
        self, database: str, settings: Settings, plan: Plan, on_measured: Callable[[], object]
    ) -> None:
        self._database = database
        self._settings = settings
        self._plan = plan
        self._on_measured = on_measured
        self._numbers = count(1)

    async def run(self) -> list[Measurement]:
        turns = list(product(range(self._plan.rounds), LOADS, CALLERS, WAYS))
        names = [f"customer-{n}" for n in range(WALLETS)] + [f"hot-{n}" for n in range(len(turns))]
        targets = await fill(self._settings, names)
        spread, hot = targets[:WALLETS], iter(targets[WALLETS:])
        found = []
        async with server_of(self._settings) as server:
            for _, load, callers, way in turns:
                # Each measurement has a hot wallet of its own: one that others had filled would be slower to load.
                chosen = spread if load == "spread" else [next(hot)]
                found.append(await self._measure(load, chosen, callers, way, server))
                self._on_measured()
        async with open_database(self._settings):
            verified = await verify()
        if not verified.is_clean:
            raise AssertionError(f"the ledger is not clean: {verified.faults[:3]} {verified.totals}")
        return found

    async def _measure(
        self,
        load: str,
        targets: list[Target],
        callers: int,
        kind: Callable[[Settings, int], Way],
        server: Processes,
    ) -> Measurement:
        actor, keys = Actor(ActorKind.STAFF, f"bench-{next(self._numbers)}"), count(1)
        acknowledged = 0

        async with kind(self._settings, callers) as way:

            async def ask() -> None:
                nonlocal acknowledged
                await way.adjust(random.choice(targets), actor, f"key-{next(keys)}")
                acknowledged += 1

            await keep_asking(ask, callers=callers, duration_s=self._plan.warm_up_s, server=server)
            sample = await keep_asking(ask, callers=callers, duration_s=self._plan.duration_s, server=server)
        await self._require_once(actor, acknowledged)
        return Measurement(self._database, load, way.name, sample)

    async def _require_once(self, actor: Actor, acknowledged: int) -> None:
        """Every acknowledged adjustment is there once: so many keys (unique by constraint), so many transactions."""
        async with open_database(self._settings):
            rows = await get_connection(READER).execute_query_dict(
                f"SELECT (SELECT COUNT(*) FROM idempotency_keys WHERE scope = 'STAFF:{actor.id}') AS keys, "
                f"(SELECT COUNT(*) FROM transactions WHERE actor_id = '{actor.id}') AS posted"
            )
        if rows[0]["keys"] != acknowledged or rows[0]["posted"] != acknowledged:
            raise AssertionError(f"{acknowledged} adjustments were acknowledged, and there are {rows[0]}")


@asynccontextmanager
async def server_of(settings: Settings) -> AsyncIterator[Processes]:
    """Find the database's own processes: PostgreSQL's, if it runs here. SQLite has none."""
    if dialect(settings.database_url) == "sqlite":
        yield Processes(None)
        return
    connection = await asyncpg.connect(settings.database_url)
    try:
        pid = await connection.fetchval("SELECT pg_backend_pid()")
        yield Processes.above(pid)
    finally:
        await connection.close()


def main(*, long: bool) -> None:
    """Measure, print the tables and write them down."""
    plan = LONG if long else SHORT
    found = run(plan)
    report.publish_ledger(found, plan.rounds, long=long, data=[asdict(each) for each in found])


if __name__ == "__main__":
    main(long=report.asked_for_long())
