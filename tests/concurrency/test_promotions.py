"""Several processes, each with a writer of its own, at the same coupons at the same time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.domain.order import Coupon, OrderStatus
from app.services.ledger.writer import Writer
from app.services.verification import verify
from app.settings import Settings
from tests.auditor import audit, read_tables
from tests.ledger import Clock
from tests.orders import snapshot
from tests.promotions import coupon, promotion, redemptions, totals
from tests.worker import Worker

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("dialect", [pytest.param("postgres", marks=pytest.mark.postgres)]),
]

Plan = list[dict[str, Any]]
PROCESSES = 4


@pytest.fixture(autouse=True)
async def books(writer: Writer, clock: Clock) -> AsyncIterator[None]:
    """Whatever raced, the books are right in the end, and so are the counts of all uses."""
    clock.now = datetime.now(UTC)
    yield
    audit(await read_tables())
    report = await verify()
    assert report.faults == []


async def race(settings: Settings, *plans: Plan, at_once: int = 8) -> Counter[str]:
    """Play the plans at the same time, each in a process; how often each answer was given."""
    workers = [await Worker.start(settings.database_url) for _ in plans]
    answers = await asyncio.gather(
        *(worker.play(plan, at_once=at_once) for worker, plan in zip(workers, plans, strict=True))
    )
    return Counter(answer for found in answers for answer in found)


def redeeming(code: str, *, customers: int) -> list[Plan]:
    """Each process redeems the code for customers of its own."""
    return [
        [{"kind": "redeem coupon", "who": f"c-{process}-{n}", "code": code} for n in range(customers)]
        for process in range(PROCESSES)
    ]


async def test_uses_are_never_exceeded(writer: Writer, settings: Settings) -> None:
    found = await promotion(writer, uses_max=10)
    said = await race(settings, *redeeming(await coupon(writer, found), customers=30))
    assert said == {"ACCEPTED": 10, "COUPON_NOT_USABLE": 110}
    assert await totals(found) == (10, 5_000)


async def test_uses_of_a_code_are_never_exceeded(writer: Writer, settings: Settings) -> None:
    found = await promotion(writer)
    said = await race(settings, *redeeming(await coupon(writer, found, uses_max=7), customers=20))
    assert said == {"ACCEPTED": 7, "COUPON_NOT_USABLE": 73}
    assert await totals(found) == (7, 3_500)


async def test_a_budget_is_never_exceeded(writer: Writer, settings: Settings) -> None:
    found = await promotion(writer, budget_minor=4_999)
    said = await race(settings, *redeeming(await coupon(writer, found), customers=20))
    assert said == {"ACCEPTED": 9, "COUPON_NOT_USABLE": 71}
    assert await totals(found) == (9, 4_500)


async def test_one_customer_in_many_tabs(writer: Writer, settings: Settings) -> None:
    found = await promotion(writer)
    codes = [await coupon(writer, found) for _ in range(20)]
    plans = [
        [{"kind": "redeem coupon", "who": "ada", "code": code} for code in codes] for _ in range(PROCESSES)
    ]
    said = await race(settings, *plans)
    # All four ask for each code with the same key: the one that was granted answers all of them.
    assert said == {"ACCEPTED": PROCESSES, "COUPON_NOT_USABLE": 20 * PROCESSES - PROCESSES}
    assert await totals(found) == (1, 500)


async def test_orders_and_customers_at_one_coupon(writer: Writer, settings: Settings) -> None:
    """Every process tells of the same orders, in every state, while customers redeem the code themselves."""
    found = await promotion(writer, uses_max=10)
    code = await coupon(writer, found)
    telling: Plan = [
        {"kind": "tell", "told": told.as_data()}
        for n in range(15)
        for told in (
            snapshot(0, OrderStatus.PENDING, 1_000, order=f"o-{n}", customer=f"buyer-{n}"),
            snapshot(1, OrderStatus.PAID, 1_000, order=f"o-{n}", customer=f"buyer-{n}", coupons=(Coupon(code),)),
            snapshot(2, OrderStatus.COMPLETED, 1_000, order=f"o-{n}", customer=f"buyer-{n}", coupons=(Coupon(code),)),
        )
    ]  # fmt: skip
    said = await race(settings, telling, telling, *redeeming(code, customers=15)[:2])
    assert await totals(found) == (10, 5_000)
    granted = [row for row in await redemptions() if row["counts"]]
    assert len({(row["wallet_id"], row["order_id"]) for row in granted}) == 10
    assert said["ACCEPTED"] == 2 * len(telling) + sum(row["order_id"] is None for row in granted)


async def test_called_off_and_paid_at_once(writer: Writer, settings: Settings) -> None:
    """The newest word counts: of orders that are all called off in the end, no use is left."""
    found = await promotion(writer, uses_max=12)
    code = await coupon(writer, found)
    now = datetime.now(UTC) - timedelta(hours=1)

    def telling(status: OrderStatus, minute: int) -> Plan:
        told = (
            snapshot(0, status, 1_000, order=f"o-{n}", customer=f"buyer-{n}", coupons=(Coupon(code),),
                     modified_at=now + timedelta(minutes=minute))
            for n in range(24)
        )  # fmt: skip
        return [{"kind": "tell", "told": one.as_data()} for one in told]

    paid, cancelled = telling(OrderStatus.PAID, 1), telling(OrderStatus.CANCELLED, 2)
    await race(settings, paid, cancelled[::-1], paid[::-1], cancelled)
    assert await totals(found) == (0, 0)
    assert sum(row["posted_minor"] for row in (await read_tables())["wallets"]) == 0
