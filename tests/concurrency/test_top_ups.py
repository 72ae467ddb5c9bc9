"""Several processes, each with a writer of its own, at the limits of the same wallets at the same time."""

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from app.domain.auto_top_up import AutoTopUpKind
from app.domain.auto_top_up_charge import AutoTopUpTerms
from app.domain.settings import StoreSettings
from app.models.auto_top_up import AutoTopUpCharge
from app.models.top_up_intent import TopUpIntent
from app.services import auto_top_up as auto_top_ups, top_up_intent as top_up_intents
from app.services.ledger.command import WalletRef
from app.services.ledger.writer import Writer
from app.settings import Settings
from tests.gift_cards import customer
from tests.ledger import Clock, change_settings
from tests.worker import Worker

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("dialect", [pytest.param("postgres", marks=pytest.mark.postgres)]),
]

PROCESSES = 4


@pytest.fixture(autouse=True)
def now(clock: Clock) -> None:
    """The other processes go by the real clock, so this one does too."""
    clock.now = datetime.now(UTC)


async def takes_top_ups(writer: Writer) -> None:
    settings = StoreSettings(top_ups_enabled=True, top_up_methods=("card",), top_up_day_maximum_minor=10_000)
    await writer.submit(change_settings(settings))


async def race(settings: Settings, *plans: list[dict[str, Any]]) -> Counter[str]:
    """Play the plans at the same time, each in a process, and count what they were told."""
    workers = [await Worker.start(settings.database_url) for _ in plans]
    said = await asyncio.gather(
        *(worker.play(plan, at_once=8) for worker, plan in zip(workers, plans, strict=True))
    )
    return Counter(answer for answers in said for answer in answers)


async def test_the_days_limit_is_kept_between_processes(writer: Writer, settings: Settings) -> None:
    await takes_top_ups(writer)
    plans = [
        [
            {"kind": "start top-up", "who": "ada", "amount": "7.00", "key": f"{process} {number}"}
            for number in range(10)
        ]
        for process in range(PROCESSES)
    ]
    # Of 100 a day there is room for 14 times 7.
    assert await race(settings, *plans) == {"ACCEPTED": 14, "TOP_UP_LIMIT_REACHED": 26}
    assert await TopUpIntent.all().count() == 14


async def test_a_rule_asks_once_however_many_are_at_it(writer: Writer, settings: Settings) -> None:
    await takes_top_ups(writer)
    begun = await top_up_intents.start(
        writer,
        customer("ada"),
        WalletRef(external_id="ada"),
        amount="1.00",
        currency="USD",
        payment_method=None,
        idempotency_key="k",
    )
    terms = AutoTopUpTerms(AutoTopUpKind.THRESHOLD, 2_500, "card", "tok-81", threshold_minor=2_000)
    ruled = await auto_top_ups.set_rule(
        writer, customer("ada"), WalletRef(wallet_id=begun.wallet.id), terms, "USD", "k2"
    )
    plan = [{"kind": "ask to charge", "rule": str(ruled.rule.id)}] * 10
    assert await race(settings, *([plan] * PROCESSES)) == {"ACCEPTED": 10 * PROCESSES}
    assert await AutoTopUpCharge.all().count() == 1
