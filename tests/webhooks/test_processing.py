"""What came in is worked on: once where it can be, again where it must be, and never lost."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from hypothesis import given, strategies as st
from structlog.testing import capture_logs

from app.db import open_database
from app.domain.access import Actor, ActorKind
from app.domain.catalog import CatalogKind, catalog_item
from app.domain.delivery import ATTEMPTS_MAX, BACKOFF_S, DeliveryStatus, Door, is_timeless, received
from app.domain.errors import FieldInvalid, NotFound
from app.domain.order import OrderSnapshot, StoreRefund, order_id
from app.models.catalog import CatalogItem
from app.models.customer import Customer
from app.models.delivery import Delivery, DeliveryBody
from app.models.event import StoreEvent
from app.models.idempotency import IdempotencyKey
from app.models.order import Order
from app.models.top_up import TopUp
from app.models.transaction import Transaction
from app.models.wallet import Wallet
from app.services import catalog, delivery as deliveries, order as real_orders, sync
from app.services.delivery import Inbox, backlog, due, keep, prune, take
from app.services.ledger.writer import LedgerUnavailable, Writer
from app.webhooks.doors import TRANSLATORS
from app.webhooks.handlers import Handlers
from app.webhooks.processing import LEASE_S, PROCESSOR, Processor
from tests.databases import settings_for
from tests.ledger import Clock
from tests.server import ServerProcess
from tests.stores import (
    NOW as TOLD_AT,
    WOOCOMMERCE_SECRET,
    body_of,
    shopify_refund,
    standard_message,
    woocommerce_coupon,
    woocommerce_customer,
    woocommerce_headers,
    woocommerce_line,
    woocommerce_order,
    woocommerce_product,
)

LEASE = timedelta(seconds=LEASE_S)


@dataclass
class Orders:
    """A stand-in for the use cases of orders, which may fail."""

    snapshots: list[OrderSnapshot] = field(default_factory=list)
    refunds: list[tuple[str, StoreRefund]] = field(default_factory=list)
    deleted: list[tuple[str, datetime]] = field(default_factory=list)
    actors: list[Actor] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    pause_s: float = 0.0
    at_once: int = 0
    at_once_max: int = 0

    async def record(self, writer: Writer, actor: Actor, snapshot: OrderSnapshot) -> None:
        """Take an order."""
        self.at_once += 1
        self.at_once_max = max(self.at_once, self.at_once_max)
        await asyncio.sleep(self.pause_s)
        self.at_once -= 1
        if self.failures:
            raise self.failures.pop(0)
        self.snapshots.append(snapshot)
        self.actors.append(actor)

    async def record_refund(
        self, writer: Writer, actor: Actor, source: str, order_external_id: str, refund: StoreRefund
    ) -> None:
        """Take a refund."""
        self.refunds.append((order_external_id, refund))

    async def mark_deleted(
        self, writer: Writer, actor: Actor, source: str, external_id: str, at: datetime
    ) -> None:
        """Take a deletion."""
        self.deleted.append((external_id, at))


@pytest.fixture
def clock() -> Clock:
    """A clock that stands when the stores' messages were written."""
    return Clock(TOLD_AT)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 — what is watched tells nobody
            await asyncio.sleep(0.01)


@pytest.fixture
def orders() -> Orders:
    return Orders()


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


def processor_of(writer: Writer, inbox: Inbox, clock: Clock, orders: Orders, **more: Any) -> Processor:
    options: dict[str, Any] = {"interval_s": 0.05, "jitter": lambda: 1.0, **more}
    return Processor(
        writer=writer,
        inbox=inbox,
        clock=clock,
        translators=TRANSLATORS,
        handlers=Handlers(writer, orders).by_event(),
        **options,
    )


@pytest.fixture
def processor(writer: Writer, inbox: Inbox, clock: Clock, orders: Orders) -> Processor:
    return processor_of(writer, inbox, clock, orders)


Keep = Callable[..., Any]


@pytest.fixture
def come(writer: Writer, clock: Clock) -> Keep:
    """Keep a message as a door does."""

    async def keep_it(message: object, topic: str = "order.updated", door: Door = Door.WOOCOMMERCE) -> UUID:
        body = message if isinstance(message, bytes) else body_of(message)
        kept = await keep(writer, door, topic, body, external_id="b7c1", now=clock())
        return kept.delivery.id

    return keep_it


async def row(delivery_id: UUID) -> Delivery:
    """The delivery as it is now."""
    return await Delivery.get(id=delivery_id)


# --- what follows -------------------------------------------------------------------------------------------


async def test_an_order_is_followed(processor: Processor, come: Keep, orders: Orders, clock: Clock) -> None:
    delivery_id = await come(woocommerce_order(id=1042))
    assert await processor.work_off() == 1
    (snapshot,) = orders.snapshots
    assert (snapshot.source, snapshot.external_id) == ("woocommerce", "1042")
    assert orders.actors == [Actor(ActorKind.SERVICE, "webhook:woocommerce")]
    done = await row(delivery_id)
    assert (done.status, done.attempts, done.error, done.next_attempt_at) == ("DONE", 1, None, None)
    assert done.order_id == order_id("woocommerce", "1042")
    assert done.summary is not None
    assert "1042" in done.summary
    assert done.done_at == clock.now
    assert await processor.work_off() == 0


async def test_lines_get_the_categories_of_their_products(
    processor: Processor, come: Keep, orders: Orders
) -> None:
    await come(woocommerce_product(71, categories=("coffee", "beans")), "product.updated")
    await processor.work_off()
    lines = [woocommerce_line(1, product_id=71), woocommerce_line(2, product_id=99)]
    await come(woocommerce_order(lines=lines))
    await processor.work_off()
    assert [line.categories for line in orders.snapshots[0].lines] == [("coffee", "beans"), ()]


async def test_a_new_customer_gets_a_wallet(processor: Processor, come: Keep) -> None:
    delivery_id = await come(woocommerce_customer(7), "customer.created")
    await processor.work_off()
    customer = await Customer.get(external_id="7")
    assert (customer.name, customer.email) == ("Nora Lindqvist", "nora.lindqvist@example.com")
    assert await Wallet.filter(customer_id=customer.id).count() == 1
    done = await row(delivery_id)
    assert done.status == "DONE"
    assert "Nora" not in str(done.summary)
    # What is odd about a person's data is no reason to go without a wallet, and nothing said takes nothing away.
    await come(woocommerce_customer(7, email="", first_name="", last_name=""), "customer.updated")
    await come(woocommerce_customer(8, email="nowhere", first_name="N" * 300), "customer.created")
    await processor.work_off()
    assert (await Customer.get(external_id="7")).email == "nora.lindqvist@example.com"
    assert (await Customer.get(external_id="8")).email == ""
    assert {delivery.status for delivery in await Delivery.all()} == {"DONE"}


async def test_products_and_coupons_are_remembered(processor: Processor, come: Keep, clock: Clock) -> None:
    await come(woocommerce_product(71, modified="2026-11-20T09:00:00", name="New"), "product.updated")
    await processor.work_off()
    await come(woocommerce_product(71, modified="2026-11-19T09:00:00", name="Old"), "product.updated")
    await come(woocommerce_coupon(81), "coupon.created")
    await processor.work_off()
    product = await CatalogItem.get(external_id="71")
    assert (product.name, product.code, product.deleted_at) == ("New", "GUJI-1000", None)
    assert (await CatalogItem.get(external_id="81")).code == "black20"
    clock.move(hours=1)
    await come({"id": 71}, "product.deleted")
    await processor.work_off()
    product = await CatalogItem.get(external_id="71")
    assert (product.name, product.deleted_at) == ("New", clock.now)
    assert await catalog.categories_of("woocommerce", ["71", "72"]) == {"71": ("coffee", "single-origin")}


async def test_a_refund_and_a_deletion_are_followed(processor: Processor, come: Keep, orders: Orders) -> None:
    await come(shopify_refund(), "refunds/create", Door.SHOPIFY)
    deleted_id = await come({"id": 1042}, "order.deleted")
    await processor.work_off()
    assert len(orders.refunds) == 1
    assert [external_id for external_id, _ in orders.deleted] == ["1042"]
    assert (await row(deleted_id)).order_id == order_id("woocommerce", "1042")


async def test_what_leads_to_nothing_is_ignored(processor: Processor, come: Keep) -> None:
    delivery_id = await come({"id": 5}, "action.wc_something")
    await processor.work_off()
    ignored = await row(delivery_id)
    assert (ignored.status, ignored.error) == ("IGNORED", None)
    assert ignored.summary


async def test_real_orders_are_recorded(writer: Writer, inbox: Inbox, clock: Clock, come: Keep) -> None:
    """By the use cases themselves: told late, twice and deleted, each message ends as it should."""
    handlers = Handlers(writer, real_orders).by_event()
    processor = Processor(writer=writer, inbox=inbox, clock=clock, translators=TRANSLATORS, handlers=handlers)
    await come(woocommerce_order(id=1042, modified="2026-11-21T10:30:00"))
    await come(woocommerce_order(id=1042, modified="2026-11-21T09:00:00", status="pending"))
    await come(woocommerce_order(id=1043, customer_id=0))
    await come(shopify_refund(), "refunds/create", Door.SHOPIFY)
    await processor.work_off()
    assert {one.status for one in await Delivery.all()} == {"DONE"}
    known, guest = [await Order.get(id=order_id("woocommerce", number)) for number in ("1042", "1043")]
    assert (known.status, guest.wallet_id) == ("PAID", None)
    assert known.wallet_id == (await Wallet.get(customer__external_id="7")).id
    deleted_id = await come({"id": 1042}, "order.deleted")
    await processor.work_off()
    assert (await Order.get(id=known.id)).deleted_at == clock.now
    assert (await row(deleted_id)).status == "DONE"


# --- what goes wrong ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b"null", b"\xff", b"{}", b"[" * 5000])
async def test_what_nobody_understands_is_dead_at_once(processor: Processor, come: Keep, body: bytes) -> None:
    delivery_id = await come(body)
    await processor.work_off()
    dead = await row(delivery_id)
    assert (dead.status, dead.attempts, dead.next_attempt_at) == ("DEAD", 1, None)
    assert str(dead.error).startswith("The message can't be understood: ")


async def test_input_that_is_refused_is_dead_at_once(
    processor: Processor, come: Keep, orders: Orders
) -> None:
    orders.failures = [FieldInvalid("The total is negative. Give a positive amount.", field=("total",))]
    delivery_id = await come(woocommerce_order())
    await processor.work_off()
    dead = await row(delivery_id)
    assert (dead.status, dead.error) == ("DEAD", "The total is negative. Give a positive amount.")
    assert dead.order_id is not None


@pytest.mark.parametrize(
    "failure", [NotFound("order"), LedgerUnavailable(), TimeoutError(), OSError("db.internal is down")]
)
async def test_what_may_pass_is_tried_again(
    processor: Processor, come: Keep, orders: Orders, clock: Clock, failure: Exception
) -> None:
    orders.failures = [failure]
    delivery_id = await come(woocommerce_order())
    await processor.work_off()
    failed = await row(delivery_id)
    assert (failed.status, failed.attempts) == ("FAILED", 1)
    assert failed.next_attempt_at == clock.now + timedelta(seconds=BACKOFF_S[0])
    assert failed.error
    assert "db.internal" not in failed.error
    clock.move(seconds=BACKOFF_S[0] - 1)
    assert await processor.work_off() == 0
    clock.move(seconds=1)
    assert await processor.work_off() == 1
    done = await row(delivery_id)
    assert (done.status, done.attempts, done.error) == ("DONE", 2, None)


async def test_it_is_given_up_in_the_end(
    processor: Processor, come: Keep, orders: Orders, clock: Clock
) -> None:
    orders.failures = [NotFound("order") for _ in range(ATTEMPTS_MAX)]
    delivery_id = await come(woocommerce_order())
    for wait_s in BACKOFF_S:
        await processor.work_off()
        assert (await row(delivery_id)).next_attempt_at == clock.now + timedelta(seconds=wait_s)
        clock.move(seconds=wait_s)
    await processor.work_off()
    dead = await row(delivery_id)
    assert (dead.status, dead.attempts, dead.next_attempt_at) == ("DEAD", ATTEMPTS_MAX, None)
    assert (await backlog()).dead == 1


async def test_a_defect_is_told_without_its_words(
    processor: Processor, come: Keep, orders: Orders, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="coffer")
    orders.failures = [KeyError("nora.lindqvist@example.com")]
    delivery_id = await come(woocommerce_order())
    with capture_logs() as lines:
        await processor.work_off()
    failed = await row(delivery_id)
    assert failed.status == "FAILED"
    assert "KeyError" in str(failed.error)
    assert [(line["error"], line["log_level"]) for line in lines] == [("KeyError", "error")]
    assert lines[0]["where"].startswith("test_processing.py:")
    assert "nora" not in str(lines) + str(failed.error)


async def test_a_process_that_dies_delays_it_by_its_lease(
    writer: Writer, processor: Processor, come: Keep, clock: Clock, orders: Orders
) -> None:
    delivery_id = await come(woocommerce_order())
    assert await take(writer, PROCESSOR, delivery_id, LEASE) is not None
    assert await processor.work_off() == 0
    clock.move(seconds=LEASE_S)
    assert await processor.work_off() == 1
    done = await row(delivery_id)
    assert (done.status, done.attempts, len(orders.snapshots)) == ("DONE", 2, 1)


async def test_what_kills_every_process_is_given_up(
    writer: Writer, processor: Processor, come: Keep, clock: Clock
) -> None:
    delivery_id = await come(woocommerce_order())
    for _ in range(ATTEMPTS_MAX):
        assert await take(writer, PROCESSOR, delivery_id, LEASE) is not None
        clock.move(seconds=LEASE_S)
    await processor.work_off()
    assert (await row(delivery_id)).status == "DEAD"


async def test_whoever_lost_the_lease_has_no_say(writer: Writer, come: Keep, clock: Clock) -> None:
    delivery_id = await come(woocommerce_order())
    slow = await take(writer, PROCESSOR, delivery_id, LEASE)
    assert slow is not None
    clock.move(seconds=LEASE_S)
    quick = await take(writer, PROCESSOR, delivery_id, LEASE)
    assert quick is not None
    late = await deliveries.settle(writer, PROCESSOR, slow, lambda found, now: found.dead("Too late.", now))
    assert late is None
    done = await deliveries.settle(
        writer, PROCESSOR, quick, lambda found, now: found.done("Done.", now, order_id=None)
    )
    assert done is not None
    assert (await row(delivery_id)).status == "DONE"


# --- the same again -----------------------------------------------------------------------------------------


async def test_what_was_done_is_not_done_again(processor: Processor, come: Keep, orders: Orders) -> None:
    for _ in range(3):
        await come(woocommerce_order())
        await processor.work_off()
    assert len(orders.snapshots) == 1
    assert (await Delivery.get()).repeats == 2


async def test_a_second_deletion_is_news(
    processor: Processor, come: Keep, orders: Orders, clock: Clock
) -> None:
    """Deleted, restored, deleted: both deletions say the same, and the second must not go unheard."""
    times = []
    for _ in range(2):
        times.append(clock.now)
        await come({"id": 1042}, "order.deleted")
        await processor.work_off()
        clock.move(hours=1)
    assert orders.deleted == [("1042", time) for time in times]


async def test_what_was_given_up_is_worked_on_when_it_comes_again(
    processor: Processor, come: Keep, orders: Orders
) -> None:
    orders.failures = [FieldInvalid("Not yet.")]
    for _ in range(2):
        await come(woocommerce_order())
        await processor.work_off()
    assert ((await Delivery.get()).status, len(orders.snapshots)) == ("DONE", 1)


async def test_no_key_is_kept_for_what_may_be_repeated(processor: Processor, come: Keep) -> None:
    await come(woocommerce_order())
    await come(woocommerce_product(), "product.updated")
    await processor.work_off()
    assert await IdempotencyKey.all().count() == 0


# --- several at once ----------------------------------------------------------------------------------------


async def test_two_processors_do_each_thing_once(
    writer: Writer, clock: Clock, orders: Orders, come: Keep
) -> None:
    orders.pause_s = 0.001
    ids = [await come(woocommerce_order(id=number)) for number in range(30)]
    both = [processor_of(writer, Inbox(), clock, orders) for _ in range(2)]
    counts = await asyncio.gather(*(one.work_off() for one in both))
    assert sum(counts) == len(ids)
    assert sorted(int(snapshot.external_id) for snapshot in orders.snapshots) == list(range(30))
    assert {delivery.attempts for delivery in await Delivery.all()} == {1}


async def test_it_is_woken_at_once_and_bounded(
    writer: Writer, inbox: Inbox, clock: Clock, orders: Orders, come: Keep
) -> None:
    orders.pause_s = 0.02
    slow_to_look = processor_of(writer, inbox, clock, orders, at_once=3, interval_s=3600)
    async with slow_to_look.running():
        assert slow_to_look.is_alive
        await asyncio.sleep(0.05)
        inbox.put([await come(woocommerce_order(id=number)) for number in range(12)])
        await until(lambda: len(orders.snapshots) == 12)
    assert orders.at_once_max == 3
    assert not slow_to_look.is_alive


async def test_what_nobody_was_told_of_is_found(
    processor: Processor, come: Keep, orders: Orders, clock: Clock
) -> None:
    await come(woocommerce_order())
    async with processor.running():
        await until(lambda: bool(orders.snapshots))
        clock.move(seconds=30)
        await until(lambda: processor.backlog == deliveries.Backlog())
    assert processor.age_s == 0


async def test_stopping_finishes_what_is_under_way(
    writer: Writer, inbox: Inbox, clock: Clock, orders: Orders, come: Keep
) -> None:
    orders.pause_s = 0.2
    processor = processor_of(writer, inbox, clock, orders, at_once=2)
    async with processor.running():
        inbox.put([await come(woocommerce_order(id=number)) for number in range(6)])
        await until(lambda: orders.at_once == 2)
    statuses = [delivery.status for delivery in await Delivery.all()]
    assert statuses.count("DONE") == len(orders.snapshots) == 2
    assert statuses.count("RECEIVED") == 4


async def test_it_waits_for_a_ledger_that_is_away(
    writer: Writer,
    processor: Processor,
    come: Keep,
    orders: Orders,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await come(woocommerce_order())

    async def refuse(_self: Any, _command: Any) -> Any:
        raise LedgerUnavailable

    async with processor.running():
        with monkeypatch.context() as patched:
            patched.setattr(Writer, "submit", refuse)
            await asyncio.sleep(0.2)
        assert (await Delivery.get()).attempts == 0
        await until(lambda: bool(orders.snapshots))


def test_the_inbox_is_bounded() -> None:
    inbox = Inbox(size_max=2)
    ids = [order_id("test", str(number)) for number in range(3)]
    inbox.put([ids[0], ids[0], ids[1], ids[2]])
    assert len(inbox) == 2


# --- how it stands, and for how long ------------------------------------------------------------------------


async def test_the_backlog(processor: Processor, come: Keep, orders: Orders, clock: Clock) -> None:
    assert await backlog() == deliveries.Backlog()
    orders.failures = [NotFound("order")]
    await come(woocommerce_order())
    await processor.work_off()
    first_at = clock.now
    clock.move(seconds=5)
    await come(b"nonsense")
    await processor.work_off()
    await come(woocommerce_order(id=7))
    found = await backlog()
    assert (found.received, found.failed, found.dead, found.oldest_at) == (1, 1, 1, first_at)
    assert found.age_s(clock.now) == 5


async def test_what_is_old_is_deleted(processor: Processor, come: Keep, orders: Orders, clock: Clock) -> None:
    orders.failures = [FieldInvalid("Never.")]
    dead_id = await come(woocommerce_order(id=1))
    await processor.work_off()
    done_id = await come(woocommerce_order(id=2))
    await processor.work_off()
    kept, kept_failed = timedelta(days=30), timedelta(days=90)
    clock.move(days=30)
    assert await prune(clock.now, kept=kept, kept_failed=kept_failed) == 0
    clock.move(seconds=1)
    waiting_id = await come(woocommerce_order(id=3))
    assert await prune(clock.now, kept=kept, kept_failed=kept_failed) == 1
    assert await Delivery.filter(id=done_id).count() == 0
    assert {body.delivery_id for body in await DeliveryBody.all()} == {dead_id, waiting_id}
    clock.move(days=60)
    assert await prune(clock.now, kept=kept, kept_failed=kept_failed) == 1
    clock.move(days=999)
    assert await prune(clock.now, kept=kept, kept_failed=kept_failed) == 0
    assert [delivery.id for delivery in await Delivery.all()] == [waiting_id]
    # Once it is gone, the same message is a new one.
    assert await come(woocommerce_order(id=2)) == done_id


async def test_one_reader_at_a_time(writer: Writer, clock: Clock) -> None:
    assert await sync.position_of("woocommerce.orders") is None
    mine = await sync.lease(writer, "woocommerce.orders", holder="a", lease_s=60)
    assert mine is not None
    assert await sync.lease(writer, "woocommerce.orders", holder="b", lease_s=60) is None
    assert await sync.lease(writer, "woocommerce.orders", holder="a", lease_s=60) is not None
    assert await sync.move(writer, "woocommerce.orders", {"since": 5}, holder="b", lease_s=60) is None
    assert await sync.move(writer, "woocommerce.orders", {"since": 5}, holder="a", lease_s=60) is not None
    clock.move(seconds=60)
    assert await sync.lease(writer, "woocommerce.orders", holder="b", lease_s=60) is not None
    assert await sync.move(writer, "woocommerce.orders", {"since": 9}, holder="a", lease_s=60) is None
    assert await sync.move(writer, "woocommerce.orders", {"since": 7}, holder="b", lease_s=None) is not None
    assert await sync.position_of("woocommerce.orders") == {"since": 7}
    assert await sync.lease(writer, "woocommerce.orders", holder="a", lease_s=60) is not None


# --- pure ---------------------------------------------------------------------------------------------------

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@given(st.text(max_size=400), st.binary(max_size=50), st.text(max_size=300))
def test_whatever_comes_can_be_kept(topic: str, body: bytes, external_id: str) -> None:
    delivery, content = received(Door.STANDARD, topic, body, external_id=external_id, now=NOW)
    assert delivery.topic.isprintable() or delivery.topic == ""
    assert len(delivery.topic) <= 100
    assert delivery.external_id is None or 0 < len(delivery.external_id) <= 128
    assert (content.body, content.delivery_id) == (body, delivery.id)
    delivery.topic.encode()


@given(st.permutations(range(4)))
def test_a_catalogue_ends_the_same_in_any_order(order: list[int]) -> None:
    told = [
        catalog_item("s", CatalogKind.PRODUCT, "7", modified_at=NOW + timedelta(hours=n), name=f"Name {n}")
        for n in range(3)
    ]
    told.append(
        catalog_item("s", CatalogKind.PRODUCT, "7", modified_at=NOW + timedelta(hours=5), deleted=True)
    )
    kept = told[order[0]]
    for number in order[1:]:
        kept = kept.seen(told[number])
    assert kept.deleted_at == NOW + timedelta(hours=5)


@pytest.mark.parametrize(
    ("topic", "timeless"),
    [("order.deleted", True), ("orders/delete", True), ("product.restored", True), ("order.updated", False)],
)
def test_which_messages_tell_no_time(topic: str, timeless: bool) -> None:
    assert is_timeless(topic) is timeless


def test_a_delivery_is_due_while_it_waits() -> None:
    delivery, _ = received(Door.SHOPIFY, "orders/paid", b"{}", external_id=None, now=NOW)
    taken = delivery.taken(NOW, LEASE)
    for ended in (
        taken.done("Done.", NOW, order_id=None),
        taken.done("Nothing.", NOW, order_id=None, ignored=True),
        taken.dead("Never.", NOW),
        replace(taken, attempts=ATTEMPTS_MAX).failed("No.", NOW, jitter=1),
    ):
        assert ended.next_attempt_at is None
        assert ended.status in {DeliveryStatus.DONE, DeliveryStatus.IGNORED, DeliveryStatus.DEAD}
        again = ended.replayed(NOW)
        assert (again.is_due(NOW), again.attempts, again.error, again.done_at) == (True, 0, None, None)


# --- a server that is killed --------------------------------------------------------------------------------


@pytest.mark.slow
async def test_nothing_is_lost_when_the_server_is_killed(
    database_url: str, server_on: Callable[..., ServerProcess]
) -> None:
    def send_customers(server: ServerProcess, numbers: range) -> None:
        with httpx.Client(base_url=server.url) as client:
            for number in numbers:
                body = body_of(woocommerce_customer(number))
                headers = woocommerce_headers(body, topic="customer.created")
                answer = client.post("/webhooks/woocommerce", content=body, headers=headers)
                assert answer.status_code == 200

    options = {"woocommerce_webhook_secret": WOOCOMMERCE_SECRET, "deliveries_interval_s": 0.1}
    keeping = server_on(database_url, deliveries_at_once=0, **options)
    await asyncio.to_thread(send_customers, keeping, range(20))
    keeping.kill()
    working = server_on(database_url, **options)
    await asyncio.to_thread(send_customers, working, range(20, 30))
    async with open_database(settings_for(database_url)), asyncio.timeout(30):
        while await Delivery.filter(status="DONE").count() < 30:  # noqa: ASYNC110 — another process does it
            await asyncio.sleep(0.1)
        assert await Wallet.all().count() == 30
        assert await due(datetime.now(UTC), 10) == []
    assert working.errors() == []


# --- what stores tell beside orders -------------------------------------------------------------------------


async def test_top_ups_and_events_are_recorded_once(processor: Processor, come: Keep) -> None:
    top_up = {
        "externalId": "1050",
        "customerId": "cus_01",
        "currency": "USD",
        "paid": "80.00",
        "faceValue": "100",
    }
    event = {"customerId": "cus_01", "event": "review", "eventId": "81"}
    told = [("top_up.recorded", top_up, "10:00"), ("event.recorded", event, "10:00")]
    # Each comes again later, the top-up with a refund, and the first message of it once more after that.
    told += [("event.recorded", event, "10:05"), ("top_up.recorded", {**top_up, "paid": "30.00"}, "10:10")]
    told += [("top_up.recorded", {**top_up, "paymentMethod": "card"}, "10:01")]
    for kind, data, time in told:
        message = standard_message(kind, data, timestamp=f"2026-11-21T{time}:00Z")
        await come(message, "", Door.STANDARD)
        await processor.work_off()
    assert {delivery.status for delivery in await Delivery.all()} == {"DONE"}
    assert (await Wallet.get()).posted_minor == 3000
    assert [transaction.amount_minor for transaction in await Transaction.all().order_by("sequence")] == [
        8000,
        -5000,
    ]
    assert await TopUp.all().count() == await StoreEvent.all().count() == 1


async def test_what_is_told_of_a_customer_is_kept_and_logged_nowhere(
    processor: Processor, come: Keep
) -> None:
    data = {
        "id": "cus_01",
        "birthday": "1988-02-29",
        "roles": ["r" * 300, "vip"],
        "segments": ["späte Zahler"],
    }
    with capture_logs() as logs:
        delivery_id = await come(standard_message("customer.recorded", data), "", Door.STANDARD)
        await processor.work_off()
        bad = {"id": "cus_02", "birthday": "2999-12-24"}
        refused_id = await come(standard_message("customer.recorded", bad), "", Door.STANDARD)
        await processor.work_off()
    customer = await Customer.get(external_id="cus_01")
    assert (str(customer.birthday), customer.birthday_on) == ("1988-02-29", 229)
    assert ([len(role) for role in customer.roles], customer.segments) == ([100, 3], ["späte Zahler"])
    refused = await row(refused_id)
    assert (refused.status, await Customer.exists(external_id="cus_02")) == ("DEAD", False)
    said = f"{(await row(delivery_id)).summary} {refused.error} {logs}"
    assert not any(word in said for word in ("1988", "2999", "12-24", "vip", "Zahler"))
