"""What a poll promises: all that changed is handed over, whatever the store's server does meanwhile."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.domain.order import OrderSnapshot
from app.webhooks.events import CustomerSeen, Event, OrderDeleted, OrderSeen, ProductSeen
from app.webhooks.rest import Patience, RestClient, SyncError, require_safe
from app.webhooks.sync import OVERLAP, Progress, sync_woocommerce
from tests.store_server import KEY, SECRET, Fault, StoreServer, gmt, store_server
from tests.stores import (
    NOW,
    Json,
    woocommerce_customer,
    woocommerce_order,
    woocommerce_product,
    woocommerce_refund,
    woocommerce_refund_in_order,
)

# Breadth, not depth: the fast loop leaves it to `make test`.
pytestmark = pytest.mark.slow

CURSOR = NOW - timedelta(days=2)
QUICK = Patience(timeout_s=5, attempts_max=4, wait_s=0.001, wait_max_s=5)


class Poll:
    """One poller with its cursor, and everything that it handed over."""

    def __init__(self, store: StoreServer, cursor: datetime | None) -> None:
        self.store = store
        self.cursor = cursor
        self.saved: list[datetime] = []
        self.events: list[Event] = []
        self.told: list[Progress] = []
        self.slept: list[float] = []
        self.on_event: Callable[[Event], None] | None = None

    async def __call__(
        self, *, since: datetime | None = None, patience: Patience = QUICK, secret: str = SECRET
    ) -> Progress:
        client = RestClient(self.store.url, key=KEY, secret=secret, patience=patience, sleep=self._sleep)
        async with client as rest:
            return await sync_woocommerce(
                rest,
                handle=self._handle,
                load=self._load,
                save=self._save,
                now=lambda: NOW,
                since=since,
                progress=self.told.append,
            )

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def _handle(self, event: Event) -> None:
        if self.on_event is not None:
            self.on_event(event)
        self.events.append(event)

    async def _load(self) -> datetime | None:
        return self.cursor

    async def _save(self, cursor: datetime) -> None:
        self.cursor = cursor
        self.saved.append(cursor)

    @property
    def orders(self) -> list[OrderSnapshot]:
        return [event.snapshot for event in self.events if isinstance(event, OrderSeen)]

    @property
    def ids(self) -> list[str]:
        return [order.external_id for order in self.orders]


@pytest.fixture
def store() -> Iterator[StoreServer]:
    with store_server() as server:
        yield server


@pytest.fixture
def poll(store: StoreServer) -> Poll:
    return Poll(store, CURSOR)


def orders_of(count: int, *, step_s: float = 7, begin: datetime = CURSOR, **more: Any) -> list[Json]:
    return [
        woocommerce_order(
            id=place + 1, modified=gmt(begin + timedelta(seconds=1 + int(place * step_s))), **more
        )
        for place in range(count)
    ]


# --- what is handed over ------------------------------------------------------------------------------------


async def test_orders_come_in_the_order_of_their_modification(store: StoreServer, poll: Poll) -> None:
    store.orders = list(reversed(orders_of(3)))
    done = await poll()
    assert poll.ids == ["1", "2", "3"]
    assert done.orders == 3
    assert done.modified_at == CURSOR + timedelta(seconds=15)
    assert poll.cursor == NOW


async def test_a_run_begins_a_little_before_the_cursor(store: StoreServer, poll: Poll) -> None:
    store.orders = [
        woocommerce_order(id=1, modified=gmt(CURSOR - OVERLAP)),
        woocommerce_order(id=2, modified=gmt(CURSOR - OVERLAP - timedelta(minutes=1))),
    ]
    await poll()
    assert poll.ids == ["1"]


async def test_refunds_carry_their_lines(store: StoreServer, poll: Poll) -> None:
    store.orders = [
        woocommerce_order(
            id=5,
            modified=gmt(CURSOR),
            refunds=[woocommerce_refund_in_order(), woocommerce_refund_in_order(9)],
        )
    ]
    store.refunds["5"] = [woocommerce_refund()]
    await poll()
    (order,) = poll.orders
    detailed, summary = order.refunds
    assert (detailed.id, detailed.amount_minor, detailed.shipping_minor) == ("1050", 1000, 120)
    assert [(line.line_id, line.amount_minor) for line in detailed.lines] == [("501", 800)]
    assert (summary.id, summary.lines) == ("9", ())


async def test_an_order_that_was_deleted_in_between_keeps_the_sums_of_its_refunds(
    store: StoreServer, poll: Poll
) -> None:
    store.orders = [woocommerce_order(modified=gmt(CURSOR), refunds=[woocommerce_refund_in_order()])]
    await poll()
    assert [refund.amount_minor for refund in poll.orders[0].refunds] == [1000]


async def test_products_and_customers_come_before_the_orders(store: StoreServer, poll: Poll) -> None:
    store.orders = [woocommerce_order(modified=gmt(NOW))]
    store.products = [woocommerce_product(modified=gmt(NOW))]
    store.customers = [
        woocommerce_customer(),
        woocommerce_customer(8, date_created_gmt=gmt(NOW)),
        woocommerce_customer(9, date_created_gmt="2020-01-01T00:00:00"),
    ]
    done = await poll()
    assert [type(event) for event in poll.events] == [ProductSeen, CustomerSeen, CustomerSeen, OrderSeen]
    seen = [event.customer.external_id for event in poll.events if isinstance(event, CustomerSeen)]
    assert seen == ["8", "7"], "who is new, and whose order changed"
    assert (done.products, done.customers, done.orders) == (1, 2, 1)


async def test_deleted_orders_are_told(store: StoreServer, poll: Poll) -> None:
    store.orders = [woocommerce_order(id=4, status="trash", modified=gmt(CURSOR))]
    await poll()
    assert poll.events == [OrderDeleted("woocommerce", "4", CURSOR)]


async def test_the_first_run_reads_catalogue_and_customers_but_no_old_orders(store: StoreServer) -> None:
    poll = Poll(store, None)
    store.orders = orders_of(2)
    store.products = [woocommerce_product(modified="2019-01-01T00:00:00")]
    store.customers = [woocommerce_customer(date_created_gmt="2019-01-01T00:00:00")]
    done = await poll()
    assert (done.orders, done.customers, done.products) == (0, 1, 1)
    assert poll.cursor == NOW


async def test_old_orders_are_read_if_asked_for(store: StoreServer) -> None:
    poll = Poll(store, None)
    store.orders = orders_of(2)
    await poll(since=CURSOR)
    assert poll.ids == ["1", "2"]


async def test_one_bad_order_does_not_hold_up_the_others(store: StoreServer, poll: Poll) -> None:
    store.orders = orders_of(3)
    store.orders[1]["total"] = "priceless"
    store.orders[2]["date_modified_gmt"] = "whenever"
    store.orders.append(woocommerce_order(id=9, modified=gmt(NOW)))
    done = await poll()
    assert poll.ids == ["1", "9"]
    assert done.refused == 2
    assert poll.cursor == NOW


# --- pages --------------------------------------------------------------------------------------------------


async def test_all_pages_are_read_and_each_order_once(store: StoreServer, poll: Poll) -> None:
    store.orders = orders_of(350)
    await poll()
    assert poll.ids == [str(number) for number in range(1, 351)]
    assert poll.saved == sorted(poll.saved)
    assert len(poll.saved) > 3, "the cursor is saved on the way"


async def test_more_than_a_page_of_one_second(store: StoreServer, poll: Poll) -> None:
    store.orders = [*orders_of(250, step_s=0), woocommerce_order(id=999, modified=gmt(NOW))]
    await poll()
    assert sorted(map(int, poll.ids)) == [*range(1, 251), 999]


async def test_a_tie_across_the_end_of_a_page(store: StoreServer, poll: Poll) -> None:
    store.orders = orders_of(300, step_s=0.3)
    await poll()
    assert sorted(map(int, poll.ids)) == list(range(1, 301))


async def test_pages_that_shift_while_they_are_read_lose_nothing(store: StoreServer, poll: Poll) -> None:
    """Orders of the first page are modified after it was read, so that all behind them move up."""
    store.orders = orders_of(260)
    changed: list[str] = []

    def shift(path: str, asked: dict[str, str]) -> None:
        if asked.get("status") == "any" and len(store.asked("/orders")) in (3, 4):
            for order in store.orders[len(changed) : len(changed) + 30]:
                order["date_modified_gmt"] = gmt(NOW + timedelta(seconds=len(changed)))
                changed.append(str(order["id"]))

    store.before_answer = shift
    await poll()
    assert len(changed) == 60
    assert set(poll.ids) == {str(number) for number in range(1, 261)}
    assert {order.external_id for order in poll.orders if order.modified_at >= NOW} == set(changed)


async def test_a_bulk_edit_that_shifts_while_it_is_read_loses_nothing(store: StoreServer, poll: Poll) -> None:
    store.orders = orders_of(320, step_s=0)
    state = {"asked": 0}

    def shift(path: str, asked: dict[str, str]) -> None:
        if asked.get("status") == "any":
            state["asked"] += 1
            if state["asked"] in (2, 3):
                store.orders[state["asked"]]["date_modified_gmt"] = gmt(NOW)

    store.before_answer = shift
    await poll()
    assert set(poll.ids) == {str(number) for number in range(1, 321)}


async def test_a_store_that_repeats_a_page_for_ever_is_refused(store: StoreServer, poll: Poll) -> None:
    store.orders = orders_of(150, step_s=0)
    store.ignores = {"page"}
    with pytest.raises(SyncError, match="again and again"):
        await poll()
    assert poll.cursor == CURSOR + timedelta(seconds=1), "that second will be read again"


async def test_a_store_that_ignores_the_time_is_refused(store: StoreServer, poll: Poll) -> None:
    store.orders = orders_of(10, begin=CURSOR - timedelta(days=90))
    store.ignores = {"modified_after"}
    with pytest.raises(SyncError, match=r"5\.8"):
        await poll()
    assert poll.cursor == CURSOR


# --- moods of servers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(status=502, body=b"<html>Bad gateway</html>"),
        Fault(status=503, headers={"retry-after": "2"}),
        Fault(status=429, headers={"retry-after": "2"}),
        Fault(status=429, headers={"retry-after": "soon"}),
        Fault(cut=True),
        Fault(body=b"<html>Briefly unavailable for scheduled maintenance</html>"),
        Fault(body=b""),
    ],
    ids=["500", "502", "503", "429", "429-odd", "cut", "maintenance", "empty"],
)
async def test_a_fault_is_waited_out(store: StoreServer, poll: Poll, fault: Fault) -> None:
    store.orders = orders_of(120)
    for place in range(6):
        store.faults.append(fault if place % 2 else Fault())
    await poll()
    assert poll.ids == [str(number) for number in range(1, 121)]
    assert len(poll.slept) == 3
    if fault.headers.get("retry-after") == "2":
        assert poll.slept == [2.0] * 3
    assert poll.cursor == NOW


async def test_a_slow_answer_is_asked_for_again(store: StoreServer, poll: Poll) -> None:
    store.orders = orders_of(1)
    store.faults.extend([Fault(), Fault(delay_s=0.6)])
    await poll(patience=Patience(timeout_s=0.3, attempts_max=3, wait_s=0.001))
    assert poll.ids == ["1"]
    assert len(poll.slept) == 1


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault(status=301, headers={"location": "https://elsewhere.example/"}), "redirects"),
        (Fault(status=403), "refuses the key"),
        (Fault(status=404), "knows nothing"),
        (Fault(status=400), "400"),
        (Fault(status=429, headers={"retry-after": "86400"}), "left alone"),
        (Fault(headers={"content-encoding": "gzip"}), "compresses"),
        (Fault(body=b'{"code": "rest_no_route"}'), "no list"),
        (Fault(body=b"[1, 2]"), "no list"),
        (Fault(body=b"[" + b" " * 2_000_000 + b"]"), "longer"),
    ],
)
async def test_what_waiting_does_not_help_ends_the_run(
    store: StoreServer, poll: Poll, fault: Fault, says: str
) -> None:
    store.orders = orders_of(1)
    store.faults.extend([Fault(), fault])
    with pytest.raises(SyncError, match=says):
        await poll(patience=Patience(attempts_max=2, wait_s=0.001, body_max_bytes=1_000_000))
    assert poll.cursor == CURSOR
    assert poll.slept == []


async def test_a_wrong_secret_is_said(store: StoreServer, poll: Poll) -> None:
    with pytest.raises(SyncError, match=r"refuses the key \(401\)"):
        await poll(secret="cs_wrong")


async def test_a_store_that_stays_away_ends_the_run_with_what_was_read_kept(
    store: StoreServer, poll: Poll
) -> None:
    store.orders = orders_of(250)

    def go_away(path: str, asked: dict[str, str]) -> None:
        if len(poll.ids) >= 150:
            store.faults.extend([Fault(cut=True)] * 10)

    store.before_answer = go_away
    with pytest.raises(SyncError, match="next run goes on"):
        await poll()
    first = len(poll.ids)
    assert 0 < first < 250
    assert poll.cursor is not None
    assert CURSOR < poll.cursor < NOW

    store.before_answer = None
    store.faults.clear()
    await poll()
    assert set(poll.ids) == {str(number) for number in range(1, 251)}
    assert poll.cursor == NOW
    assert len(poll.ids) < first + 250, "it did not begin from the start"


async def test_an_interruption_anywhere_loses_nothing(store: StoreServer, poll: Poll) -> None:
    """The handler fails at one event after the other; together the runs hand over everything."""
    store.orders = orders_of(230, step_s=30)
    store.products = [woocommerce_product(modified=gmt(NOW))]
    store.customers = [woocommerce_customer()]
    handed_over: set[str] = set()

    class Interrupted(Exception):
        pass

    def fail_at(count: int) -> Callable[[Event], None]:
        left = [count]

        def on_event(event: Event) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Interrupted
            if isinstance(event, OrderSeen):
                handed_over.add(event.snapshot.external_id)

        return on_event

    for count in (1, 2, 50, 103, 104, 130, 200):
        poll.on_event = fail_at(count)
        try:
            await poll()
        except Interrupted:
            assert poll.cursor is not None
            assert poll.cursor < NOW
    poll.on_event = fail_at(10_000)
    await poll()
    assert handed_over == {str(number) for number in range(1, 231)}


async def test_the_cursor_never_passes_the_beginning_of_the_run(store: StoreServer, poll: Poll) -> None:
    """Products that changed while the orders were read are for the next run."""
    store.orders = orders_of(150, begin=NOW + timedelta(minutes=1))
    await poll()
    assert max(poll.saved) == NOW


async def test_the_cursor_is_the_stores_time(store: StoreServer, poll: Poll) -> None:
    store.clock = NOW - timedelta(hours=3)
    await poll()
    assert poll.cursor == NOW - timedelta(hours=3)


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example",
        "ftp://shop.example",
        "shop.example",
        "https://",
        "https://user:password@shop.example",
        "https://shop.example/?a=b",
        "https://[::1",
        "",
    ],
)
def test_addresses_that_a_key_must_not_be_sent_to(url: str) -> None:
    with pytest.raises(SyncError):
        require_safe(url)


@pytest.mark.parametrize("url", ["https://shop.example/shop", "http://localhost:8080", "http://127.0.0.1"])
def test_addresses_that_are_fine(url: str) -> None:
    require_safe(url)
