"""One wallet that everybody wants: several processes, each with its own writer, on PostgreSQL."""

import asyncio
from collections import Counter

import pytest

from app.services.ledger.writer import Writer
from app.settings import Settings
from tests.auditor import audit, read_tables
from tests.ledger import credit, submit_all
from tests.worker import Worker

PROCESSES = 4

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("dialect", [pytest.param("postgres", marks=pytest.mark.postgres)]),
]


async def test_a_thousand_debits_of_a_wallet_that_can_afford_three_hundred(
    writer: Writer, settings: Settings
) -> None:
    await submit_all(writer, [credit("hot", 100) for _ in range(21)])
    workers = [await Worker.start(settings.database_url) for _ in range(PROCESSES)]
    plans = [
        [{"kind": "debit", "who": "hot", "amount": 7, "key": f"{process}-{n}"} for n in range(250)]
        for process in range(PROCESSES)
    ]
    # Not all at once: so that many batches of the four processes take turns at the wallet.
    answers = await asyncio.gather(
        *(worker.play(plan, at_once=25) for worker, plan in zip(workers, plans, strict=True))
    )
    said = Counter(answer for part in answers for answer in part)
    assert said == {"ACCEPTED": 300, "INSUFFICIENT_FUNDS": 700}
    tables = await read_tables()
    audit(tables)
    (wallet,) = tables["wallets"]
    assert wallet["posted_minor"] == 0
    assert wallet["sequence"] == 321


async def test_four_processes_share_twenty_wallets_without_a_deadlock(
    writer: Writer, settings: Settings
) -> None:
    names = [f"c{number}" for number in range(20)]
    workers = [await Worker.start(settings.database_url) for _ in range(PROCESSES)]
    plans = []
    for process in range(PROCESSES):
        # Each in another order, the first of them opening the wallets.
        order = names[process * 5 :] + names[: process * 5]
        plans.append(
            [
                {
                    "kind": "credit",
                    "who": order[(n * (process + 1)) % 20],
                    "amount": 2,
                    "key": f"{process}-{n}",
                }
                for n in range(400)
            ]
        )
    answers = await asyncio.gather(
        *(worker.play(plan, at_once=40) for worker, plan in zip(workers, plans, strict=True))
    )
    assert {answer for part in answers for answer in part} == {"ACCEPTED"}
    tables = await read_tables()
    audit(tables)
    assert sum(row["posted_minor"] for row in tables["wallets"]) == 3200
    assert len(tables["wallets"]) == 20
