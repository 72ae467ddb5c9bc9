"""Several processes, each with a writer of its own, at the same gift cards at the same time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from app.services.ledger.writer import Writer
from app.services.verification import verify
from app.settings import Settings
from tests.auditor import audit, read_tables
from tests.gift_cards import issue, open_redemption
from tests.ledger import Clock
from tests.worker import Worker

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("dialect", [pytest.param("postgres", marks=pytest.mark.postgres)]),
]

CARDS, PROCESSES = 40, 3

Plan = list[dict[str, Any]]


@pytest.fixture(autouse=True)
async def books(writer: Writer, clock: Clock) -> AsyncIterator[None]:
    """Whatever raced, the books are right in the end. The other processes go by the real clock, so this one does too."""
    clock.now = datetime.now(UTC)
    yield
    audit(await read_tables())
    report = await verify()
    assert report.faults == []
    assert report.is_clean


async def race(settings: Settings, *plans: Plan) -> list[list[str]]:
    """Play the plans at the same time, each in a process."""
    workers = [await Worker.start(settings.database_url) for _ in plans]
    return await asyncio.gather(
        *(worker.play(plan, at_once=8) for worker, plan in zip(workers, plans, strict=True))
    )


def shuffled(plan: Plan, seed: int) -> Plan:
    found = list(plan)
    Random(seed).shuffle(found)
    return found


async def in_wallets() -> int:
    return sum(row["posted_minor"] for row in (await read_tables())["wallets"])


async def test_one_card_is_redeemed_by_one(writer: Writer, settings: Settings) -> None:
    await open_redemption(writer)
    codes = (await issue(writer, count=CARDS)).codes or ()
    plans = [
        shuffled([{"kind": "redeem", "who": f"p{process}", "code": code} for code in codes], process)
        for process in range(PROCESSES)
    ]
    said = Counter(answer for answers in await race(settings, *plans) for answer in answers)
    assert said == {"ACCEPTED": CARDS, "GIFT_CARD_NOT_USABLE": CARDS * (PROCESSES - 1)}
    assert await in_wallets() == CARDS * 2_500


async def test_the_same_request_told_to_several_processes(writer: Writer, settings: Settings) -> None:
    await open_redemption(writer)
    codes = (await issue(writer, count=CARDS)).codes or ()
    plan = [{"kind": "redeem", "who": "ada", "code": code, "key": f"k{n}"} for n, code in enumerate(codes)]
    said = await race(settings, *(shuffled(plan, seed) for seed in range(PROCESSES)))
    assert {answer for answers in said for answer in answers} == {"ACCEPTED"}
    assert await in_wallets() == CARDS * 2_500


async def test_parts_of_one_card_are_never_more_than_it_had(writer: Writer, settings: Settings) -> None:
    await open_redemption(writer, gift_card_partial_redemption=True)
    (code,) = (await issue(writer)).codes or ()
    plans = [
        [
            {"kind": "redeem", "who": f"p{process}", "code": code, "amount": "1.00", "key": f"{process} {n}"}
            for n in range(20)
        ]
        for process in range(PROCESSES)
    ]
    said = Counter(answer for answers in await race(settings, *plans) for answer in answers)
    assert said == {"ACCEPTED": 25, "GIFT_CARD_NOT_USABLE": 35}
    assert await in_wallets() == 2_500


async def test_the_clock_against_redemptions(writer: Writer, settings: Settings, clock: Clock) -> None:
    """What is over is over for everybody: all of it is breakage, once."""
    await open_redemption(writer)
    clock.move(hours=-1)
    issued = await issue(writer, count=CARDS, expires_at=clock.now + timedelta(minutes=1))
    expire = [{"kind": "expire card", "card": str(card.id)} for card in issued.cards]
    late = [{"kind": "redeem", "who": "ada", "code": code} for code in issued.codes or ()]
    said = await race(settings, expire, shuffled(expire, 1), shuffled(late, 2))
    assert [set(answers) for answers in said] == [{"ACCEPTED"}, {"ACCEPTED"}, {"GIFT_CARD_NOT_USABLE"}]
    entries = (await read_tables())["gift_card_entries"]
    assert sum(row["amount_minor"] for row in entries if row["account"] == "BREAKAGE") == -CARDS * 2_500
    assert await in_wallets() == 0
