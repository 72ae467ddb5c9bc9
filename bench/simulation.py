"""How long it takes to try a cashback rule over past orders: python -m bench.simulation [--orders N] [--postgres]

Fills a database of its own with a year of completed orders, some of them refunded, then simulates a rule with conditions,
caps and a budget over all of them. Meanwhile something asks for its turn all the time, as requests do; how long it waits is
printed beside the time and the peak of memory.
"""

import argparse
import asyncio
import resource
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from statistics import quantiles
from uuid import UUID

from tortoise.connection import get_connection

from app.db import WRITER, migrate, open_database
from app.domain.cashback.condition import Conditions, LineFilter
from app.domain.cashback.period import Period
from app.domain.cashback.reward import Caps, PeriodCap, Reward, RewardKind
from app.domain.cashback.rule import CashbackRule, Trigger, TriggerKind
from app.domain.order import OrderLine, OrderSnapshot, OrderStatus, StoreCustomer, StoreRefund
from app.domain.settings import StoreSettings
from app.expressions import Cel
from app.models.customer import Customer
from app.models.order import Order
from app.models.wallet import Wallet
from app.services.cashback.simulation import Placed, Progress, simulate
from app.settings import Settings
from tests.postgres import PostgresServer

CUSTOMERS = 5_000
CHUNK = 1_000
_BEGAN = datetime(2025, 1, 1, tzinfo=UTC)
_RULE = CashbackRule(
    id=UUID(int=1),
    version=1,
    name="Cups of the month",
    trigger=Trigger(TriggerKind.ORDER_COMPLETED),
    reward=Reward(
        RewardKind.PERCENT,
        percent_bp=500,
        caps=Caps(
            order_minor=2_000,
            periods=(PeriodCap(Period.MONTH, 3_000),),
            customer_minor=20_000,
            budget_minor=10**9,
        ),
    ),
    conditions=Conditions(
        minimum_minor=2_000,
        lines=LineFilter(categories_in=frozenset({"cups", "tea"})),
        expression="customer.orders_completed >= 1 && order.lines > 0",
    ),
    currency="USD",
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--postgres", action="store_true")
    options = parser.parse_args()
    with ExitStack() as stack:
        if options.postgres:
            server = stack.enter_context(PostgresServer(fsync=True))
            server.create_database("bench_simulation")
            url = server.url("bench_simulation")
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            url = f"sqlite:///{Path(folder) / 'bench.sqlite3'}"
        asyncio.run(_measure(url, options.orders))


async def _measure(url: str, orders: int) -> None:
    settings = Settings(_env_file=None, database_url=url)
    await migrate(settings)
    async with open_database(settings):
        began = time.perf_counter()
        await _fill(orders)
        print(
            f"filled    {orders:,} orders of {CUSTOMERS:,} customers in {time.perf_counter() - began:.1f} s"
        )
        before, began, used = _peak_mib(), time.perf_counter(), time.process_time()
        waits: list[float] = []
        asking = asyncio.create_task(_ask(waits))
        last = await _simulate()
        took, used = time.perf_counter() - began, time.process_time() - used
        asking.cancel()
        found = last.simulation.all
        assert last.done
        assert found.orders == orders
        print(
            f"simulated {found.orders:,} orders in {took:.1f} s ({used:.1f} s of processor time): "
            f"{found.orders / took:,.0f} a second, "
            f"{found.orders_earning:,} earn; peak of memory {before:.0f} MiB before, {_peak_mib():.0f} MiB after; "
            f"others waited {1_000 * quantiles(waits, n=100)[49]:.1f} ms (p50), "
            f"{1_000 * quantiles(waits, n=100)[98]:.1f} ms (p99), {1_000 * max(waits):.1f} ms at most"
        )


async def _simulate() -> Progress:
    steps = simulate(
        _RULE, Placed(), currency="USD", settings=StoreSettings(time_zone="Europe/Berlin"), expressions=Cel()
    )
    return [progress async for progress in steps][-1]


async def _ask(waits: list[float]) -> None:
    """Ask for a turn all the time."""
    while True:
        began = time.perf_counter()
        await asyncio.sleep(0)
        waits.append(time.perf_counter() - began)
        await asyncio.sleep(0.005)


async def _fill(orders: int) -> None:
    chance, db = Random(1), get_connection(WRITER)
    await Customer.bulk_create([_customer(number) for number in range(CUSTOMERS)], CHUNK, using_db=db)
    await Wallet.bulk_create([_wallet(number) for number in range(CUSTOMERS)], CHUNK, using_db=db)
    for start in range(0, orders, CHUNK):
        numbers = range(start, min(orders, start + CHUNK))
        await Order.bulk_create([_order(chance, number) for number in numbers], CHUNK, using_db=db)
    if db.capabilities.dialect == "postgres":
        await db.execute_script("ANALYZE")


def _customer(number: int) -> Customer:
    return Customer(
        id=UUID(int=number + 1),
        external_id=f"c-{number}",
        name="",
        email="",
        search_text=f"c-{number}",
        created_at=_BEGAN,
        updated_at=_BEGAN,
    )


def _wallet(number: int) -> Wallet:
    return Wallet(
        id=UUID(int=number + 1_000_001),
        customer_id=UUID(int=number + 1),
        currency="USD",
        status="ACTIVE",
        posted_minor=0,
        held_minor=0,
        overdraft_minor=0,
        sequence=0,
        version=0,
        head_hash=b"",
        created_at=_BEGAN,
        updated_at=_BEGAN,
        last_activity_at=_BEGAN,
    )


def _order(chance: Random, number: int) -> Order:
    customer, at = chance.randrange(CUSTOMERS), _BEGAN + timedelta(seconds=300 * number)
    lines = tuple(_line(chance, place) for place in range(chance.randint(1, 6)))
    total = sum(line.total_minor + line.tax_minor for line in lines)
    refunds = (
        (StoreRefund("1", total // 2, created_at=at + timedelta(days=3)),) if chance.random() < 0.05 else ()
    )
    told = OrderSnapshot(
        "shop",
        str(number),
        at + timedelta(days=4),
        OrderStatus.COMPLETED,
        "completed",
        "USD",
        total,
        number=str(number),
        customer=StoreCustomer(f"c-{customer}"),
        lines=lines,
        refunds=refunds,
        payment_method="card",
        placed_at=at,
    )
    return Order(
        id=told.id,
        source="shop",
        external_id=str(number),
        number=str(number),
        wallet_id=UUID(int=customer + 1_000_001),
        status="COMPLETED",
        currency="USD",
        total_minor=total,
        snapshot=told.as_data(),
        modified_at=told.modified_at,
        credited_minor=0,
        shortfall_minor=0,
        created_at=at,
        updated_at=at,
    )


def _line(chance: Random, place: int) -> OrderLine:
    price = chance.randint(200, 6_000)
    return OrderLine(
        str(place),
        name="Cup, blue",
        product_id=f"p{chance.randint(1, 300)}",
        sku=f"s{chance.randint(1, 300)}",
        categories=(chance.choice(("cups", "tea", "books", "shoes")),),
        quantity=Decimal(chance.randint(1, 3)),
        subtotal_minor=price,
        total_minor=price,
        tax_minor=price // 5,
    )


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
