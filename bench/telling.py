"""What it costs an adjustment that others may be told of it: with nobody listening, with endpoints, with e-mail on.

    python -m bench.telling [--long]

The ways take turns in short rounds of one run, and each is compared with the same round's writer from which telling was
taken out, so whatever else the machine does, it does to both. What an endpoint is told is relayed, taken and settled in
the same process, as in the server; only the network is left out, and what is not sent when a round ends is dropped. In the end `verify` must be clean.
"""

import random
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from statistics import median
from unittest.mock import patch
from uuid import UUID

import uvloop
from tortoise.connection import get_connection

from app.db import WRITER, open_database
from app.domain.access import Actor, ActorKind
from app.domain.mailing import is_mailed
from app.domain.outbox import Channel, OutboxMessage, SendOutcome, Verdict
from app.domain.outgoing import OutboxEvent
from app.outbox.worker import OutboxWorker
from app.services.ledger import store
from app.services.ledger.command import IdempotencyClaim, WalletRef
from app.services.ledger.writer import Writer
from app.services.outbox import Bell, Recipient
from app.services.verification import verify
from app.settings import Settings
from bench import report
from bench.ledger import DATABASES, Plan, database_of, fill, server_of, settings_of
from bench.load import Processes, Sample, keep_asking
from bench.ways import AMOUNT_MINOR, Coffer, Target, mint, now

CALLERS = 64
WALLETS = 2_000
SHORT = Plan(rounds=7, duration_s=0.8, warm_up_s=0.2)
LONG = Plan(rounds=21, duration_s=2.0, warm_up_s=0.5)

_HEARD = "(SELECT {listened} FROM webhook_endpoints WHERE status = 'ENABLED')"


class Taker:
    """A receiver that takes everything at once."""

    channel = Channel.WEBHOOK

    async def recipients(self, events: Sequence[OutboxEvent]) -> Mapping[UUID, Sequence[Recipient]]:
        """Everything goes to one receiver."""
        return {event.id: [Recipient("receiver", event.type, event.data)] for event in events}

    async def deliver(self, _taken: OutboxMessage) -> SendOutcome:
        """Take it."""
        return SendOutcome(Verdict.DELIVERED, status_code=200)


@dataclass(frozen=True, slots=True)
class Way:
    """How much is told: what an endpoint listens to, where there is one; and whether e-mails are sent."""

    name: str
    listens: str | None = None
    mails: bool = False
    tells: bool = True


WITHOUT = Way("without telling", tells=False)
WAYS = (
    WITHOUT,
    Way("nobody listens"),
    Way("an endpoint for withdrawals", listens="withdrawal.*"),
    Way("e-mail on", mails=True),
    Way("an endpoint for everything", listens="*"),
)


class Telling(Coffer):
    """The writer as the server has it, with its outbox."""

    def __init__(self, settings: Settings, way: Way) -> None:
        super().__init__(settings, CALLERS)
        self._way = way
        self._bell = Bell()
        self.writer = Writer(
            currency="USD",
            mint=mint,
            clock=now,
            batch_size_max=settings.batch_size_max,
            queue_max=settings.batch_queue_max,
            publish_outgoing=self._bell.ring,
            also_heard=is_mailed if way.mails else None,
        )
        self._outbox = OutboxWorker(writer=self.writer, bell=self._bell, clock=now, senders=[Taker()])
        self._around = AsyncExitStack()

    async def __aenter__(self) -> "Telling":
        await super().__aenter__()
        await listen(self._way.listens)
        if self._way.tells:
            await self._around.enter_async_context(self._outbox.running())
        else:
            taken_out = store._CLAIMS.replace(_HEARD, "NULL")  # noqa: SLF001 — a part of it is what is measured
            self._around.enter_context(patch.object(store, "_CLAIMS", taken_out))
        return self

    async def __aexit__(self, *failed: object) -> None:
        await self._around.aclose()
        # What is left is not the next way's to send, and a long table is not its to look through.
        for table in ("outbox_attempts", "outbox_messages", "outbox_events"):
            await get_connection(WRITER).execute_query(f"DELETE FROM {table}")
        await super().__aexit__(*failed)

    async def adjust(self, target: Target, actor: Actor, key: str) -> None:
        """Credit the wallet; return once that is committed."""
        request = {"wallet": target.external_id, "amount_minor": AMOUNT_MINOR}
        claim = IdempotencyClaim.of(actor, key, "adjustBalance", request)
        await self._credit(WalletRef(wallet_id=target.wallet_id), actor, claim)


async def listen(events: str | None) -> None:
    """Have one endpoint listen to this, or none to anything."""
    execute = get_connection(WRITER).execute_query
    await execute("UPDATE webhook_endpoints SET status = 'DISABLED', disabled_by = 'REQUEST'")
    if events is not None:
        at = now().isoformat(" ")
        await execute(
            "INSERT INTO webhook_endpoints (id, url, description, events, status, capabilities, secrets, created_by_kind, "
            f"created_by_id, created_at, updated_at) VALUES ('{mint.id()}', 'https://a.example', '', '[\"{events}\"]', "
            f"'ENABLED', '[]', '[]', 'STAFF', 'bench', '{at}', '{at}')"
        )


@dataclass(frozen=True, slots=True)
class Measurement:
    """One sample, and what was measured."""

    database: str
    round: int
    way: str
    sample: Sample


async def measure(database: str, settings: Settings, plan: Plan) -> list[Measurement]:
    """Measure all ways on one database, each round in another order."""
    targets = await fill(settings, [f"customer-{n}" for n in range(WALLETS)])
    found, numbers = [], count(1)
    async with server_of(settings) as server:
        for turn in range(plan.rounds):
            for way in random.sample(WAYS, len(WAYS)):
                sample = await _measured(settings, way, targets, plan, server, next(numbers))
                found.append(Measurement(database, turn, way.name, sample))
    async with open_database(settings):
        verified = await verify()
    if not verified.is_clean:
        raise AssertionError(f"the ledger is not clean: {verified.faults[:3]} {verified.totals}")
    return found


async def _measured(  # noqa: PLR0917 — they are what a measurement needs
    settings: Settings, way: Way, targets: Sequence[Target], plan: Plan, server: Processes, number: int
) -> Sample:
    actor, keys = Actor(ActorKind.STAFF, f"bench-{number}"), count(1)
    async with Telling(settings, way) as telling:

        async def ask() -> None:
            await telling.adjust(random.choice(targets), actor, f"key-{next(keys)}")

        await keep_asking(ask, callers=CALLERS, duration_s=plan.warm_up_s, server=server)
        return await keep_asking(ask, callers=CALLERS, duration_s=plan.duration_s, server=server)


def grid_of(database: str, found: Sequence[Measurement]) -> report.Grid:
    """Return the figures of one database: how each way compares with the round's writer that tells nobody."""
    base = {one.round: one.sample for one in found if one.way == WITHOUT.name}
    rows = []
    for way in WAYS:
        mine = [one for one in found if one.way == way.name]
        slower = [base[one.round].per_second / one.sample.per_second - 1 for one in mine]
        dearer = [one.sample.python_us / base[one.round].python_us - 1 for one in mine]
        rows.append(
            (
                way.name,
                f"{median(one.sample.per_second for one in mine):,.0f}",
                f"{median(slower):+.1%}",
                f"{median(one.sample.python_us for one in mine):.0f}",
                f"{median(dearer):+.1%}",
            )
        )
    head = ("who is told", "adjustments/s", "time, against without", "Python, µs each", "against without")
    return report.Grid(f"{database}: {CALLERS} callers", head, rows)


def main(*, long: bool) -> None:
    """Measure, print the tables and write them down."""
    plan = LONG if long else SHORT
    grids, data = [], []
    for database in DATABASES:
        with database_of(database) as url:
            found = uvloop.run(measure(database, settings_of(url), plan))
        grids.append(grid_of(database, found))
        data += [
            {
                "database": one.database,
                "round": one.round,
                "way": one.way,
                "per_second": one.sample.per_second,
            }
            for one in found
        ]
    said = (
        f"Measured by `python -m bench.telling{' --long' if long else ''}` on {report.machine()}: medians of "
        f"{plan.rounds} interleaved rounds, each compared with the same round's writer without telling."
    )
    report.publish("telling", said, grids, data)


if __name__ == "__main__":
    main(long=report.asked_for_long())
