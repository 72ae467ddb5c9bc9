"""A second process that writes: `python -m tests.services.live_writer URL SEED COUNT CUSTOMER...`.

Posts COUNT credits to customers by chance, some with holds between them, and ends.
"""

import asyncio
import os
import sys
from datetime import UTC, datetime
from random import Random

from app.db import open_database
from app.domain.access import Actor, ActorKind
from app.domain.hold import HoldPurpose
from app.domain.ledger import Draft, Explanation, Transaction, TransactionKind
from app.services.ledger.command import Command, WalletRef
from app.services.ledger.mint import RandomMint
from app.services.ledger.writer import Writer
from app.services.live import telling
from tests.databases import settings_for

ACTOR = Actor(ActorKind.STAFF, "ann")


def credit(customer: str) -> Command:
    """Credit a customer, who may be new, by one cent."""
    return Command("credit", ACTOR, WalletRef(external_id=customer), _credit, opens=True)


def hold(customer: str) -> Command:
    """Hold one cent of a customer."""
    return Command(
        "hold", ACTOR, WalletRef(external_id=customer), lambda d: d.reserve(1, HoldPurpose.PAYMENT)
    )


def _credit(draft: Draft) -> Transaction:
    return draft.credit(1, Explanation(TransactionKind.ADJUSTMENT, ACTOR, "storm"))


async def storm(writer: Writer, random: Random, count: int, customers: list[str]) -> None:
    """Credit customers by chance, a few at a time, and hold something now and then."""
    while count:
        size = min(count, random.randint(1, 8))
        count -= size
        commands = [credit(random.choice(customers)) for _ in range(size)]
        await asyncio.gather(*(writer.submit(command) for command in commands))
        if random.random() < 0.2:
            await asyncio.gather(writer.submit(hold(random.choice(customers))), return_exceptions=True)
        await asyncio.sleep(random.random() / 500)


async def _main(url: str, seed: str, count: str, *customers: str) -> None:
    settings = settings_for(url, live_url=os.environ.get("COFFER_LIVE_URL"))
    async with open_database(settings), telling(settings, process="elsewhere") as tell:
        writer = Writer(currency="USD", mint=RandomMint(), clock=lambda: datetime.now(UTC), tell=tell)
        writer.start()
        await storm(writer, Random(seed), int(count), list(customers))
        await writer.stop()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
