"""The poll as the server and the command line run it: into the ledger, one process at a time."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from app.domain.order import order_id
from app.models.customer import Customer
from app.models.order import Order
from app.services import order as orders, sync
from app.services.ledger.writer import Writer
from app.webhooks.handlers import Handlers
from app.webhooks.polling import LEASE_S, NAME, Poller
from app.webhooks.rest import Patience, RestClient, SyncError
from tests.ledger import Clock
from tests.store_server import KEY, SECRET, Fault, StoreServer, store_server
from tests.stores import NOW, woocommerce_customer, woocommerce_order

QUICK = Patience(timeout_s=5, attempts_max=2, wait_s=0.001, wait_max_s=0.01)
LONG_AGO = NOW - timedelta(days=30)


@pytest.fixture(autouse=True)
def one_time(clock: Clock) -> None:
    """The ledger goes by the same time as whoever asks the store: an order of the future would be refused."""
    clock.now = NOW


@pytest.fixture
def store() -> Iterator[StoreServer]:
    with store_server() as server:
        yield server


def poller(store: StoreServer, writer: Writer, holder: str = "one", interval_s: float = 0.0) -> Poller:
    return Poller(
        writer=writer,
        store=lambda: RestClient(store.url, key=KEY, secret=SECRET, patience=QUICK),
        handlers=Handlers(writer, orders).by_event(),
        clock=lambda: NOW,
        interval_s=interval_s,
        holder=holder,
    )


async def kept() -> datetime | None:
    position = await sync.position_of(NAME) or {}
    return datetime.fromisoformat(position["until"]) if "until" in position else None


async def test_what_the_store_has_is_in_the_ledger(store: StoreServer, writer: Writer) -> None:
    store.customers = [woocommerce_customer(id=7)]
    store.orders = [woocommerce_order(id=1042, customer_id=7, status="processing", total="30.00")]
    done = await poller(store, writer).run(since=LONG_AGO)
    assert done is not None
    assert (done.orders, done.refused) == (1, 0)
    found = await Order.get(id=order_id("woocommerce", "1042"))
    assert (found.status, found.total_minor) == ("PAID", 3000)
    assert (await Customer.get(external_id="7")).email
    assert await kept() == NOW


async def test_a_second_run_finds_nothing_new(store: StoreServer, writer: Writer) -> None:
    store.orders = [woocommerce_order(id=1042)]
    poll = poller(store, writer)
    await poll.run(since=LONG_AGO)
    before = await Order.all().values()
    await poll.run(since=LONG_AGO)
    assert await Order.all().values() == before


async def test_one_process_reads_at_a_time(store: StoreServer, writer: Writer, clock: Clock) -> None:
    await sync.lease(writer, NAME, holder="another", lease_s=LEASE_S)
    assert await poller(store, writer).run() is None
    clock.move(seconds=LEASE_S)
    assert await poller(store, writer).run() is not None


async def test_a_run_lets_go_of_the_reading_whatever_happens(store: StoreServer, writer: Writer) -> None:
    store.faults.extend([Fault(status=500)] * 2)
    with pytest.raises(SyncError):
        await poller(store, writer).run()
    assert await poller(store, writer, "two").run() is not None


async def test_a_reading_that_was_taken_over_ends(store: StoreServer, writer: Writer, clock: Clock) -> None:
    store.orders = [woocommerce_order(id=number) for number in range(1, 4)]
    poll = poller(store, writer)

    async def lose(_actor: object, _event: object) -> str:
        clock.move(seconds=LEASE_S)
        await sync.lease(writer, NAME, holder="another", lease_s=LEASE_S)
        return ""

    poll._handlers = dict.fromkeys(poll._handlers, lose)
    with pytest.raises(SyncError, match="Another process"):
        await poll.run(since=LONG_AGO)


async def test_a_refused_order_holds_up_no_other(store: StoreServer, writer: Writer) -> None:
    store.orders = [
        woocommerce_order(id=1, currency="XTS"),
        woocommerce_order(id=2, total="12.00"),
    ]
    done = await poller(store, writer).run(since=LONG_AGO)
    assert done is not None
    assert done.refused == 1
    assert await Order.get_or_none(id=order_id("woocommerce", "1")) is None
    assert (await Order.get(id=order_id("woocommerce", "2"))).total_minor == 1200


async def test_the_clock_asks_again_after_a_fault(store: StoreServer, writer: Writer) -> None:
    store.faults.extend([Fault(status=500)] * 2)
    async with poller(store, writer, interval_s=0.01).running():
        for _ in range(500):
            if await kept() is not None:
                break
            await asyncio.sleep(0.01)
    assert await kept() == NOW
