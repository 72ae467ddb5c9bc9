"""Several processes, each with a writer of its own, at the same orders at the same time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from app.domain.order import OrderSnapshot, OrderStatus
from app.services.ledger.writer import Writer
from app.services.verification import verify
from app.settings import Settings
from tests.auditor import Tables, audit, read_tables
from tests.ledger import Clock, credit
from tests.orders import authorize, balance_of, pay, snapshot, tell
from tests.worker import Worker

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("dialect", [pytest.param("postgres", marks=pytest.mark.postgres)]),
]

PENDING, PAID, CANCELLED = OrderStatus.PENDING, OrderStatus.PAID, OrderStatus.CANCELLED
ORDERS = [f"o-{number}" for number in range(40)]
CUSTOMERS = ("ada", "bob", "eve", "joe")

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


async def race(settings: Settings, *plans: Plan, at_once: int = 8) -> list[list[str]]:
    """Play the plans at the same time, each in a process; a few steps at once, so that many batches take turns."""
    workers = [await Worker.start(settings.database_url) for _ in plans]
    return await asyncio.gather(
        *(worker.play(plan, at_once=at_once) for worker, plan in zip(workers, plans, strict=True))
    )


def in_some_order(plan: Plan, seed: int) -> Plan:
    """The same steps, shuffled."""
    shuffled = list(plan)
    Random(seed).shuffle(shuffled)
    return shuffled


def owner(number: int) -> str:
    return CUSTOMERS[number % len(CUSTOMERS)]


async def money_for_all(writer: Writer, each: int) -> None:
    for who in CUSTOMERS:
        await writer.submit(credit(who, each))


async def total() -> tuple[int, int]:
    """What all wallets have together: posted, held."""
    wallets = (await read_tables())["wallets"]
    return sum(row["posted_minor"] for row in wallets), sum(row["held_minor"] for row in wallets)


def telling(told: Sequence[OrderSnapshot]) -> Plan:
    return [{"kind": "tell", "told": one.as_data()} for one in told]


def rows_of(tables: Tables, table: str, order_id: str) -> list[dict[str, Any]]:
    return [row for row in tables[table] if row["order_id"] == order_id]


async def test_capture_against_void(writer: Writer, settings: Settings) -> None:
    await money_for_all(writer, 10_000)
    held = [
        await authorize(writer, owner(n), 1_000, order=name, minutes=43_000) for n, name in enumerate(ORDERS)
    ]
    captures = [{"kind": "capture", "payment": str(payment.id)} for payment in held]
    voids = [{"kind": "void", "payment": str(payment.id)} for payment in held]
    captured, voided = await race(settings, captures, in_some_order(voids, 1))
    by_payment = dict(zip((step["payment"] for step in in_some_order(voids, 1)), voided, strict=True))
    for payment, said in zip(held, captured, strict=True):
        assert sorted([said, by_payment[str(payment.id)]]) == ["ACCEPTED", "PAYMENT_NOT_OPEN"]
    wins = captured.count("ACCEPTED")
    assert await total() == (40_000 - wins * 1_000, 0)


async def test_refund_against_refund(writer: Writer, settings: Settings) -> None:
    await money_for_all(writer, 10_000)
    for number, name in enumerate(ORDERS):
        await pay(writer, owner(number), 1_000, order=name)
        await tell(writer, snapshot(0, PAID, 1_000, order=name, customer=owner(number)))
    plans = [
        in_some_order(
            [
                {"kind": "refund", "amount": 400, "order": name, "key": f"{process} {name} {again}"}
                for name in ORDERS
                for again in range(2)
            ],
            process,
        )
        for process in range(3)
    ]
    said = Counter(answer for answers in await race(settings, *plans) for answer in answers)
    assert said == {"ACCEPTED": 2 * len(ORDERS), "REFUND_EXCEEDED": 4 * len(ORDERS)}
    assert await total() == (800 * len(ORDERS), 0)


async def test_two_carts_on_one_balance(writer: Writer, settings: Settings) -> None:
    await writer.submit(credit("ada", 7_500))
    plans = [
        [
            {"kind": "authorize", "who": "ada", "amount": 1_000, "order": f"cart-{process}-{n}", "key": f"{process}-{n}"}
            for n in range(30)
        ]
        for process in range(3)
    ]  # fmt: skip
    said = Counter(answer for answers in await race(settings, *plans) for answer in answers)
    assert said == {"ACCEPTED": 7, "INSUFFICIENT_FUNDS": 83}
    assert await balance_of("ada") == (7_500, 7_000)


async def test_the_same_cart_in_two_tabs(writer: Writer, settings: Settings) -> None:
    await money_for_all(writer, 10_000)
    plans = [
        in_some_order(
            [
                {"kind": "authorize", "who": owner(n), "amount": 600 + process, "order": name, "key": f"{process}-{n}"}
                for n, name in enumerate(ORDERS)
            ],
            process,
        )
        for process in range(2)
    ]  # fmt: skip
    assert {answer for answers in await race(settings, *plans) for answer in answers} == {"ACCEPTED"}
    tables = await read_tables()
    still = [row for row in tables["payments"] if row["status"] == "AUTHORIZED"]
    assert len({row["order_id"] for row in still}) == len(still) == len(ORDERS)
    assert (await total())[1] == sum(row["amount_minor"] for row in still)


async def test_webhook_against_poll(writer: Writer, settings: Settings) -> None:
    await money_for_all(writer, 12_000)
    told = []
    for number, name in enumerate(ORDERS):
        who = owner(number)
        await authorize(writer, who, 1_000, order=name, minutes=43_000)
        told += [
            snapshot(0, PENDING, 1_000, order=name, customer=who),
            snapshot(1, PAID, 1_000, order=name, customer=who),
            snapshot(2, PAID, 1_000, 300, order=name, customer=who),
            snapshot(3, CANCELLED if number % 2 else PAID, 1_000, 300, 200, order=name, customer=who),
        ]
    plans = [in_some_order(telling(told), seed) for seed in range(3)]
    assert {answer for answers in await race(settings, *plans) for answer in answers} == {"ACCEPTED"}
    paid = len(ORDERS) // 2
    assert await total() == (48_000 - paid * 500, 0)
    tables = await read_tables()
    assert len(tables["orders"]) == len(tables["payments"]) == len(ORDERS)
    for order in tables["orders"]:
        assert order["snapshot"]["modified_at"] == told[3].as_data()["modified_at"]
        assert (
            len([row for row in rows_of(tables, "refunds", order["id"]) if row["withdrawn_at"] is None]) == 2
        )
        # Taken once at most and given back in three parts at most, however often it was told.
        moved = [row["amount_minor"] for row in rows_of(tables, "transactions", order["id"])]
        assert sum(amount for amount in moved if amount < 0) in {0, -1_000, -700, -500}


async def test_a_hold_that_runs_out_while_its_order_is_authorized_again(
    writer: Writer, settings: Settings, clock: Clock
) -> None:
    clock.move(hours=-1)
    await money_for_all(writer, 20_000)
    held = [await authorize(writer, owner(n), 1_000, order=name, minutes=1) for n, name in enumerate(ORDERS)]
    expire = [{"kind": "expire", "payment": str(payment.id)} for payment in held]
    again = [
        {"kind": "authorize", "who": owner(n), "amount": 900, "order": name, "key": name, "minutes": 43_000}
        for n, name in enumerate(ORDERS)
    ]
    late = [{"kind": "capture", "payment": str(payment.id)} for payment in held]
    said = await race(
        settings, expire, in_some_order(again, 1), in_some_order(late, 2), in_some_order(expire, 3)
    )
    assert [set(answers) for answers in said] == [
        {"ACCEPTED"},
        {"ACCEPTED"},
        {"PAYMENT_NOT_OPEN"},
        {"ACCEPTED"},
    ]
    assert await total() == (80_000, 900 * len(ORDERS))
    ends = Counter(row["status"] for row in (await read_tables())["payments"])
    assert ends["AUTHORIZED"] == ends["EXPIRED"] + ends["VOIDED"] == len(ORDERS)


async def test_a_guests_order_claimed_by_two(writer: Writer, settings: Settings) -> None:
    for name in ORDERS:
        await tell(writer, snapshot(0, PAID, 1_000, 300, order=name, customer=None))
    plans = [
        in_some_order([{"kind": "claim", "order": name, "who": who} for name in ORDERS], seed)
        for seed, who in enumerate(("ada", "bob", "ada"))
    ]
    by_process = await race(settings, *plans)
    tables = await read_tables()
    names = {row["id"]: row["external_id"] for row in tables["customers"]}
    owners = {row["id"]: names[row["customer_id"]] for row in tables["wallets"]}
    claimed = Counter(row["claimed_by"] for row in tables["orders"])
    assert claimed["ada"] + claimed["bob"] == len(ORDERS)
    assert all(owners[row["wallet_id"]] == row["claimed_by"] for row in tables["orders"])
    said = [Counter(answers) for answers in by_process]
    assert said[1] == Counter(ACCEPTED=claimed["bob"], ORDER_OF_ANOTHER=claimed["ada"])
    assert said[0] == said[2] == Counter(ACCEPTED=claimed["ada"], ORDER_OF_ANOTHER=claimed["bob"])


@pytest.mark.parametrize("customer", [None, "ada", "each their own"])
async def test_new_orders_told_by_several_at_once(
    writer: Writer, settings: Settings, customer: str | None
) -> None:
    """No wallet is there to be the lock: the row is, or whoever inserts it first."""
    told = [
        snapshot(
            minute, status, 1_000, order=name, customer=name if customer == "each their own" else customer
        )
        for name in ORDERS
        for minute, status in enumerate((PENDING, PAID, CANCELLED))
    ]
    plans = [in_some_order(telling(told), seed) for seed in range(3)]
    said = await race(settings, *plans, at_once=30)
    assert {answer for answers in said for answer in answers} == {"ACCEPTED"}
    tables = await read_tables()
    assert len(tables["orders"]) == len(ORDERS)
    assert {row["status"] for row in tables["orders"]} == {"CANCELLED"}
    assert len(tables["wallets"]) == {None: 0, "ada": 1}.get(customer, len(ORDERS))


async def test_a_guests_order_found_its_customer_in_another_process(
    writer: Writer, settings: Settings
) -> None:
    """One process tells of a guest, the other of a customer and then of a refund."""
    guests = [snapshot(0, PAID, 1_000, order=name, customer=None) for name in ORDERS]
    known = [
        snapshot(minute, PAID, 1_000, *refunds, order=name)
        for name in ORDERS
        for minute, refunds in ((1, ()), (2, (300,)))
    ]
    said = await race(
        settings,
        in_some_order(telling(guests), 1),
        in_some_order(telling(known), 2),
        in_some_order(telling([*guests, *known]), 3),
    )
    assert {answer for answers in said for answer in answers} == {"ACCEPTED"}
    tables = await read_tables()
    assert len(tables["orders"]) == len(tables["refunds"]) == len(ORDERS)
    assert None not in {row["wallet_id"] for row in tables["orders"]}
