"""A second process with a writer of its own: debits the hot wallet beside the server, and prints what came of it."""

import asyncio
import sys
from datetime import UTC, datetime

from app.db import open_database
from app.domain.access import Actor, ActorKind
from app.domain.errors import InsufficientFunds
from app.domain.ledger import Draft, Explanation, Row, TransactionKind
from app.services.ledger.command import Command, IdempotencyClaim, WalletRef
from app.services.ledger.mint import RandomMint
from app.services.ledger.writer import Writer
from tests.concurrency.test_many_processes import AT_ONCE, HOT, PRICE_MINOR
from tests.databases import settings_for

CLOCKWORK = Actor(ActorKind.SYSTEM, "beside")


def decide(draft: Draft) -> Row:
    """Debit the price of one thing."""
    why = Explanation(TransactionKind.ADJUSTMENT, CLOCKWORK, "Debited beside the server")
    return draft.debit(PRICE_MINOR, why)


async def debit(writer: Writer, number: int) -> bool:
    """Debit once; tell whether there was enough."""
    claim = IdempotencyClaim.of(CLOCKWORK, f"beside-{number}", "test", {"number": number})
    try:
        await writer.submit(Command("test", CLOCKWORK, WalletRef(external_id=HOT), decide, claim))
    except InsufficientFunds:
        return False
    return True


async def main(database_url: str, count: int) -> None:
    """Say `ready`, wait for the other side, then debit."""
    async with open_database(settings_for(database_url)):
        writer = Writer(currency="USD", mint=RandomMint(), clock=lambda: datetime.now(UTC))
        writer.start()
        print("ready", flush=True)  # noqa: T201 — it talks to the test
        await asyncio.to_thread(sys.stdin.read)
        numbers = list(range(count))
        outcomes: list[bool] = []

        async def take() -> None:
            while numbers:
                outcomes.append(await debit(writer, numbers.pop()))

        await asyncio.gather(*(take() for _ in range(AT_ONCE)))
        await writer.stop()
        print(outcomes.count(True), outcomes.count(False))  # noqa: T201 — the same


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
