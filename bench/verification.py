"""How fast the whole ledger is verified: python -m bench.verification [--transactions N] [--wallets N] [--postgres]

Fills a database of its own through the ledger's writer, then verifies it and prints rows a second and the peak of memory.
One wallet holds half of all transactions, since a verification must not need memory for a wallet's whole history.
"""

import argparse
import asyncio
import resource
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from app.db import migrate, open_database
from app.domain.access import Actor, ActorKind
from app.domain.ledger import Draft, Explanation, Row, TransactionKind
from app.services.ledger.command import Command, WalletRef
from app.services.ledger.mint import RandomMint
from app.services.ledger.writer import Writer
from app.services.verification import verify
from app.settings import Settings
from tests.postgres import PostgresServer

_STAFF = Actor(ActorKind.STAFF, "bench")
_EXPLANATION = Explanation(TransactionKind.ADJUSTMENT, _STAFF, "Order 17 came late, half of it given back")
_SUBMITTED_TOGETHER = 2_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--transactions", type=int, default=200_000)
    parser.add_argument("--wallets", type=int, default=2_000)
    parser.add_argument("--postgres", action="store_true")
    options = parser.parse_args()
    with ExitStack() as stack:
        if options.postgres:
            server = stack.enter_context(PostgresServer(fsync=True))
            server.create_database("bench_verification")
            url = server.url("bench_verification")
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            url = f"sqlite:///{Path(folder) / 'bench.sqlite3'}"
        asyncio.run(_measure(url, options.transactions, options.wallets))


async def _measure(url: str, transactions: int, wallets: int) -> None:
    settings = Settings(_env_file=None, database_url=url)
    await migrate(settings)
    async with open_database(settings):
        began = time.perf_counter()
        await _fill(transactions, wallets)
        print(f"filled   {transactions:,} transactions in {time.perf_counter() - began:.1f} s")
        before = _peak_mib()
        report = await verify()
        assert report.is_clean, report.faults
        print(
            f"verified {report.transactions:,} transactions of {report.wallets:,} wallets in {report.duration_s:.1f} s: "
            f"{report.transactions / report.duration_s:,.0f} a second; peak of memory {before:.0f} MiB before, "
            f"{_peak_mib():.0f} MiB after"
        )


async def _fill(transactions: int, wallets: int) -> None:
    writer = Writer(
        currency="USD", mint=RandomMint(), clock=lambda: datetime.now(UTC), batch_size_max=_SUBMITTED_TOGETHER
    )
    writer.start()
    chance = Random(1)
    for start in range(0, transactions, _SUBMITTED_TOGETHER):
        count = min(_SUBMITTED_TOGETHER, transactions - start)
        await asyncio.gather(*(writer.submit(_command(chance, wallets)) for _ in range(count)))
    await writer.stop()


def _command(chance: Random, wallets: int) -> Command:
    # The hot wallet has half of all.
    number = 0 if chance.random() < 0.5 else chance.randrange(1, wallets)
    decide = _credit_or_debit(chance.randint(1, 5_000), is_debit=chance.random() < 0.6)
    return Command("adjustBalance", _STAFF, WalletRef(external_id=f"bench-{number}"), decide, opens=True)


def _credit_or_debit(amount_minor: int, *, is_debit: bool) -> Callable[[Draft], Row | None]:
    def decide(draft: Draft) -> Row | None:
        if is_debit and draft.wallet.available_minor() >= amount_minor:
            return draft.debit(amount_minor, _EXPLANATION)
        return draft.credit(amount_minor, _EXPLANATION)

    return decide


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
