"""A made-up store of any size: honest to the ledger, the same every time, taken up again where it was interrupted."""

from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tortoise.connection import get_connection
from tortoise.context import TortoiseContext

from app.db import READER, migrate, open_database
from app.domain.customer import Customer
from app.seed import scale
from app.seed.scale import Grown, NotTheSameStore, Scale, grow
from app.services.verification import verify
from app.services.wallet import WalletFilter, wallets
from app.settings import Settings
from tests.auditor import audit, digest, read_tables
from tests.databases import settings_for

# It takes seconds; the fast loop leaves it to `make test`.
pytestmark = pytest.mark.slow

UNTIL = datetime(2026, 6, 1, tzinfo=UTC)
LATER = datetime(2026, 7, 1, tzinfo=UTC)
WALLETS = 130


@pytest.fixture(autouse=True)
def chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some loads, the last one not full."""
    monkeypatch.setattr(scale, "CHUNK", 50)


async def number(sql: str) -> int:
    """The one number that the open database answers."""
    (row,) = await get_connection(READER).execute_query_dict(sql)
    return int(next(iter(row.values())))


async def test_it_is_honest_to_the_ledger(database: TortoiseContext) -> None:
    told: list[tuple[int, int]] = []
    grown = await grow(
        Scale(WALLETS, UNTIL), customers=0, on_progress=lambda done, total: told.append((done, total))
    )
    assert grown == Grown(done=WALLETS, known=0)
    assert told == [(50, WALLETS), (100, WALLETS), (WALLETS, WALLETS)]
    report = await verify()
    assert report.faults == []
    assert report.is_clean
    assert (report.wallets, report.transactions) == (WALLETS, 10 * WALLETS)
    audit(await read_tables())
    for table in ("orders", "deliveries", "withdrawals", "audit_entries", "signals", "holds", "reservations"):
        assert await number(f"SELECT COUNT(*) FROM {table}") > 0, table
    assert await number("SELECT COUNT(*) FROM transactions WHERE created_at >= '2026-06-01'") == 0
    assert await number("SELECT COUNT(DISTINCT name) FROM customers") > WALLETS / 2
    assert await (await wallets(WalletFilter(search="s00000129"))).query.count() == 1


async def test_again_it_changes_nothing(database: TortoiseContext) -> None:
    await grow(Scale(WALLETS, UNTIL), customers=0)
    before = digest(await read_tables())
    assert await grow(Scale(WALLETS, LATER), customers=WALLETS) == Grown(done=0, known=WALLETS)
    assert digest(await read_tables()) == before


class Interrupted(Exception):
    """Somebody pressed Ctrl-C, or pulled the plug."""


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_interrupted_it_goes_on_as_if_nothing_had_been(
    database: TortoiseContext, tmp_path: Path
) -> None:
    def interrupt(done: int, total: int) -> None:
        if done > total / 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        await grow(Scale(WALLETS, UNTIL), customers=0, on_progress=interrupt)
    # Another day by now: the history still ends when it was to end.
    assert await grow(Scale(WALLETS, LATER), customers=100) == Grown(done=30, known=100)
    in_pieces = await contents()

    other = settings_for(f"sqlite:///{tmp_path / 'other.sqlite3'}")
    await migrate(other)
    async with open_database(other):
        await grow(Scale(WALLETS, UNTIL), customers=0)
        assert await contents() == in_pieces


async def contents() -> dict[str, list[Any]]:
    """What lies in the ledger's tables."""
    return {
        table: await get_connection(READER).execute_query_dict(f"SELECT * FROM {table} ORDER BY 1")
        for table in ("customers", "wallets", "lots", "transactions", "allocations", "withdrawals", "orders")
    }


@pytest.mark.parametrize("dialect", ["postgres"])
async def test_processes_make_the_same_store(
    database: TortoiseContext, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    told: list[tuple[int, int]] = []
    await grow(
        Scale(WALLETS, UNTIL),
        customers=0,
        on_progress=lambda done, total: told.append((done, total)),
        settings=settings,
    )
    assert len(told) == 3
    assert told[-1] == (WALLETS, WALLETS)
    assert (await verify()).is_clean
    made = await references()

    other = settings_for(f"sqlite:///{tmp_path / 'other.sqlite3'}")
    await migrate(other)
    async with open_database(other):
        await grow(Scale(WALLETS, UNTIL), customers=0, settings=other)
        assert await references() == made


async def references() -> list[tuple[str, str]]:
    """Each transaction by what people know it by, with its id."""
    sql = "SELECT reference, id FROM transactions ORDER BY reference"
    rows = await get_connection(READER).execute_query_dict(sql)
    return [(row["reference"], str(row["id"])) for row in rows]


async def test_another_store_is_not_mixed_with_it(database: TortoiseContext) -> None:
    with pytest.raises(NotTheSameStore, match="empty one"):
        await grow(Scale(WALLETS, UNTIL), customers=3)
    await grow(Scale(50, UNTIL), customers=0)
    for other in (Scale(60, UNTIL), Scale(50, UNTIL, seed=7), Scale(50, UNTIL, currency="EUR")):
        with pytest.raises(NotTheSameStore, match="the same size and seed"):
            await grow(other, customers=50)


def test_another_seed_is_another_store() -> None:
    def customers(seed: int) -> list[Customer]:
        mint = scale.SeededMint(Random(f"{seed}"))
        return [scale._Life(Scale(20, UNTIL, seed), place, mint)._state.customer for place in range(20)]

    assert customers(1) == customers(1)
    assert {one.name for one in customers(1)} != {one.name for one in customers(2)}
    assert {one.external_id for one in customers(1)} == {one.external_id for one in customers(2)}
