"""Orders and their payments through the services, on both databases: to the cent, to the lot, to the byte."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from app.domain.bucket import Bucket
from app.domain.errors import (
    BalanceTooLarge,
    DomainError,
    IdempotencyKeyReused,
    InsufficientFunds,
    OrderNotPayable,
    OrderNotRefundable,
    OrderOfAnother,
    OrderUnknown,
    PaymentExceeded,
    PaymentNotOpen,
    RefundExceeded,
    WalletFrozen,
)
from app.domain.money import AMOUNT_MAX_MINOR, BALANCE_MAX_MINOR
from app.domain.order import OrderLine, OrderProblem, OrderStatus, StoreCustomer, StoreRefund, Subscription
from app.domain.payment import CaptureMethod
from app.domain.refund import RefundDestination
from app.domain.settings import CaptureOn, RenewalPolicy, StoreSettings
from app.models.payment import Payment
from app.services import order as orders, payment as payments, renewal as renewals
from app.services.ledger.batch import Batch
from app.services.ledger.writer import Writer
from app.services.refund import LineRequest
from app.services.renewal import ChargeRequest
from app.services.verification import verify
from tests.auditor import audit, digest, read_tables
from tests.ledger import Clock, OneBatch, change_settings, credit, debit, freeze, named, running_writer
from tests.orders import (
    SOURCE,
    STORE,
    asked,
    at,
    authorize,
    balance_of,
    capture,
    fill,
    id_of,
    lots_of,
    order_row,
    pay,
    refund,
    shopper,
    snapshot,
    tell,
    void,
)

PENDING, PAID, COMPLETED = OrderStatus.PENDING, OrderStatus.PAID, OrderStatus.COMPLETED
CANCELLED, FAILED, UNKNOWN = OrderStatus.CANCELLED, OrderStatus.FAILED, OrderStatus.UNKNOWN

FULL = [("PROMO", 1_000, 0), ("GIFT_CARD", 2_500, 0), ("CASH", 9_000, 0)]


@pytest.fixture(autouse=True)
async def verified(writer: Writer) -> AsyncIterator[None]:
    """What every test leaves behind is verified too, beside the audit that the writer's fixture makes."""
    yield
    report = await verify()
    assert report.faults == []
    assert report.is_clean


async def fingerprint() -> str:
    """Every byte of every table, once the ledger in it was audited."""
    tables = await read_tables()
    audit(tables)
    return digest(tables)


# --- record -------------------------------------------------------------------------------------------------


async def test_a_new_customer_gets_a_wallet(writer: Writer) -> None:
    told = snapshot(0, PENDING, 5_000, customer=None)
    told = replace(told, customer=StoreCustomer("ada", "Ada Lovelace", "ada@shop.example"))
    recorded = await tell(writer, told)
    tables = await read_tables()
    (customer,), (wallet,) = tables["customers"], tables["wallets"]
    assert (customer["external_id"], customer["name"], customer["email"]) == (
        "ada",
        "Ada Lovelace",
        "ada@shop.example",
    )
    assert (str(recorded.order.wallet_id), wallet["sequence"]) == (wallet["id"], 0)


async def test_a_known_customer_keeps_their_name(writer: Writer) -> None:
    told = (StoreCustomer("ada", "Ada"), StoreCustomer("ada", "Somebody", "ada@shop.example"))
    for minute, shown in enumerate(told):
        await tell(writer, replace(snapshot(minute, PENDING, 1), customer=shown))
    (customer,) = (await read_tables())["customers"]
    assert (customer["name"], customer["email"]) == ("Ada", "ada@shop.example")


async def test_a_guests_order_is_kept_and_nobody_gets_a_wallet(writer: Writer) -> None:
    recorded = await tell(writer, snapshot(0, PAID, 5_000, customer=None, guest_email="g@shop.example"))
    assert recorded.order.wallet_id is None
    tables = await read_tables()
    assert (tables["customers"], tables["wallets"]) == ([], [])
    with pytest.raises(OrderNotRefundable):
        await refund(writer, 100)


async def test_a_guests_order_is_claimed_by_a_later_snapshot(writer: Writer) -> None:
    await tell(writer, snapshot(0, PAID, 5_000, 2_000, customer=None))
    recorded = await tell(writer, snapshot(1, PAID, 5_000, 2_000))
    assert recorded.order.wallet_id is not None
    (row,) = (await read_tables())["refunds"]
    assert (row["wallet_minor"], row["elsewhere_minor"]) == (0, 2_000)


async def test_a_guests_order_is_claimed(writer: Writer) -> None:
    await writer.submit(change_settings(StoreSettings(refund_destination=RefundDestination.WALLET)))
    await tell(writer, snapshot(0, PAID, 5_000, 2_000, customer=None))
    recorded = await orders.claim(writer, STORE.actor, id_of("1042"), "ada", idempotency_key="k")
    assert (recorded.order.claimed_by, recorded.replayed) == ("ada", False)
    assert await lots_of("ada") == [("CASH", 2_000, 0)]
    before = await fingerprint()
    again = await orders.claim(writer, STORE.actor, id_of("1042"), "ada", idempotency_key="k")
    assert again.replayed
    with pytest.raises(OrderOfAnother):
        await orders.claim(writer, STORE.actor, id_of("1042"), "bob", idempotency_key="k2")
    assert await fingerprint() == before
    # What the store still calls a guest's stays with who claimed it.
    await tell(writer, snapshot(1, COMPLETED, 5_000, 2_000, customer=None))
    assert (await order_row())["claimed_by"] == "ada"


async def test_the_customer_may_change_until_somebody_has_paid(writer: Writer) -> None:
    await fill(writer, "ada")
    await fill(writer, "bob")
    await tell(writer, snapshot(0, PENDING, 5_000, customer="ada"))
    moved = await tell(writer, snapshot(1, PENDING, 5_000, customer="bob"))
    payment = await pay(writer, "bob", 5_000, by=shopper("bob"))
    assert payment.wallet_id == moved.order.wallet_id
    with pytest.raises(OrderOfAnother):
        await authorize(writer, "ada", 5_000)
    kept = await tell(writer, snapshot(2, PAID, 5_000, customer="ada"))
    assert (kept.order.wallet_id, kept.order.problem) == (payment.wallet_id, OrderProblem.OTHER_CUSTOMER)
    assert await balance_of("bob") == (7_500, 0)
    assert await lots_of("ada") == FULL


async def test_whoever_guesses_an_order_does_not_get_it(writer: Writer) -> None:
    await fill(writer, "ada")
    await fill(writer, "eve")
    with pytest.raises(OrderUnknown):
        await pay(writer, "eve", 1, by=shopper("eve"))
    held = await authorize(writer, "eve", 1, by=shopper("eve"))
    # Nobody knows yet whose it is, so its customer is not kept from paying it.
    await authorize(writer, "ada", 5_000, by=shopper("ada"))
    await authorize(writer, "eve", 2, by=shopper("eve"))
    told = await tell(writer, snapshot(1, PAID, 5_000, customer="ada"))
    assert (told.order.problem, told.order.shortfall_minor) == (None, 0)
    assert await balance_of("ada") == (7_500, 0)
    with pytest.raises(OrderOfAnother):
        await authorize(writer, "eve", 1, by=shopper("eve"))
    open_id = (await Payment.get(wallet_id=held.wallet_id, status="AUTHORIZED")).id
    with pytest.raises(OrderOfAnother):
        await payments.capture(
            writer, STORE, open_id, amount=None, currency=None, final=True, idempotency_key="guess"
        )
    await payments.void(writer, shopper("eve"), open_id, idempotency_key="gives up")
    assert await balance_of("eve") == (12_500, 0)


async def test_an_order_whose_customer_was_taken_off_is_nobodys(writer: Writer) -> None:
    await tell(writer, snapshot(0, PENDING, 5_000, customer="ada"))
    await tell(writer, snapshot(1, PENDING, 5_000, customer=None))
    assert (await order_row())["wallet_id"] is None
    await tell(writer, snapshot(0, PENDING, 5_000, customer="ada"))
    assert (await order_row())["wallet_id"] is None


async def test_a_deleted_order_gives_back_what_is_held_and_a_restored_one_holds_it_again(
    writer: Writer,
) -> None:
    await fill(writer, "ada")
    await tell(writer, snapshot(0, PENDING, 3_000))
    await authorize(writer, "ada", 3_000)
    await orders.mark_deleted(writer, STORE.actor, SOURCE, "1042", at(1))
    assert await lots_of("ada") == FULL
    with pytest.raises(OrderNotPayable):
        await authorize(writer, "ada", 3_000)
    before = await fingerprint()
    await orders.mark_deleted(writer, STORE.actor, SOURCE, "1042", at(0.5))
    await tell(writer, snapshot(0.7, PENDING, 3_000))
    assert (await order_row())["modified_at"] == at(0.7).isoformat(timespec="microseconds")
    assert await lots_of("ada") == FULL
    assert await fingerprint() != before
    await tell(writer, snapshot(2, PENDING, 3_000))
    assert await lots_of("ada") == [("PROMO", 0, 1_000), ("GIFT_CARD", 500, 2_000), ("CASH", 9_000, 0)]
    await tell(writer, snapshot(3, PAID, 3_000))
    assert await lots_of("ada") == [("GIFT_CARD", 500, 0), ("CASH", 9_000, 0)]


async def test_a_restored_order_of_unknown_status_holds_again(writer: Writer) -> None:
    await fill(writer, "ada")
    await authorize(writer, "ada", 3_000)
    await orders.mark_deleted(writer, STORE.actor, SOURCE, "1042", at(1))
    assert await balance_of("ada") == (12_500, 0)
    await tell(writer, snapshot(2, UNKNOWN, 3_000))
    assert await balance_of("ada") == (12_500, 3_000)


async def test_an_order_may_be_deleted_before_it_is_known(writer: Writer) -> None:
    await orders.mark_deleted(writer, STORE.actor, SOURCE, "1042", at(1))
    recorded = await tell(writer, snapshot(0, PENDING, 3_000))
    assert recorded.order.deleted_at is not None
    with pytest.raises(OrderNotPayable):
        await authorize(writer, "ada", 3_000)


async def test_an_unknown_status_is_kept_and_does_nothing(writer: Writer) -> None:
    await fill(writer, "ada")
    await tell(writer, snapshot(0, PAID, 3_000))
    await authorize(writer, "ada", 3_000)
    before = await lots_of("ada")
    recorded = await tell(writer, snapshot(1, UNKNOWN, 9_900, 2_000, store_status="packing"))
    assert recorded.order.status == "UNKNOWN"
    assert recorded.order.snapshot is not None
    assert recorded.order.snapshot["store_status"] == "packing"
    assert await lots_of("ada") == before
    # Older than the newest, newer than what counts: it counts.
    await tell(writer, snapshot(0.5, CANCELLED, 3_000))
    assert await lots_of("ada") == FULL
    row = await order_row()
    assert (row["status"], row["basis"]["status"]) == ("UNKNOWN", "CANCELLED")


async def test_an_order_in_another_currency_moves_nothing(writer: Writer) -> None:
    await fill(writer, "ada")
    recorded = await tell(writer, snapshot(0, PAID, 3_000, 1_000, currency="EUR"))
    assert recorded.order.problem == OrderProblem.CURRENCY
    assert await lots_of("ada") == FULL
    tables = await read_tables()
    assert (tables["payments"], tables["refunds"]) == ([], [])


@pytest.mark.parametrize("who", ["ada", None])
async def test_what_is_known_already_changes_not_a_byte(
    writer: Writer, clock: Clock, who: str | None
) -> None:
    if who is not None:
        await fill(writer, who)
        await authorize(writer, who, 3_000)
    stories = [
        snapshot(0, PENDING, 3_000, customer=who),
        snapshot(1, PAID, 3_000, customer=who),
        snapshot(2, PAID, 3_000, 700, customer=who),
        snapshot(2, PAID, 3_000, 700, 200, customer=who),
        snapshot(3, UNKNOWN, 3_000, 700, 200, 100, customer=who),
    ]
    for told in stories:
        await tell(writer, told)
    before = await fingerprint()
    clock.move(minutes=7)
    for told in stories:
        await tell(writer, told)
    await asyncio.gather(*(tell(writer, told) for told in stories * 3))
    assert await fingerprint() == before


async def test_a_key_gives_the_first_answer(writer: Writer) -> None:
    told = snapshot(0, PAID, 3_000)
    first = await tell(writer, told, key="k")
    await tell(writer, snapshot(1, COMPLETED, 3_000))
    before = await fingerprint()
    again = await tell(writer, told, key="k")
    assert (first.replayed, again.replayed) == (False, True)
    with pytest.raises(IdempotencyKeyReused):
        await tell(writer, replace(told, total_minor=1), key="k")
    assert await fingerprint() == before


async def test_a_refund_that_comes_alone_counts_once(writer: Writer) -> None:
    await fill(writer, "ada")
    await tell(writer, snapshot(0, PENDING, 3_000))
    await pay(writer, "ada", 3_000)
    await tell(writer, snapshot(1, PAID, 3_000))
    alone = StoreRefund("1", 500, created_at=at(1.5))
    for _ in range(2):
        assert await orders.record_refund(writer, STORE.actor, SOURCE, "1042", alone) is not None
        assert await lots_of("ada") == [("GIFT_CARD", 1_000, 0), ("CASH", 9_000, 0)]
    await tell(writer, snapshot(2, PAID, 3_000, 500))
    assert await balance_of("ada") == (10_000, 0)
    assert await orders.record_refund(writer, STORE.actor, SOURCE, "nobody's", alone) is None


# --- authorize, capture, void -------------------------------------------------------------------------------


async def test_a_hold_takes_lots_and_a_void_gives_exactly_those_back(writer: Writer) -> None:
    await fill(writer, "ada")
    payment = await authorize(writer, "ada", 4_000)
    assert await lots_of("ada") == [("PROMO", 0, 1_000), ("GIFT_CARD", 0, 2_500), ("CASH", 8_500, 500)]
    assert (await void(writer, payment.id)).status == "VOIDED"
    assert await lots_of("ada") == FULL
    for refused in (void(writer, payment.id), capture(writer, payment.id)):
        with pytest.raises(PaymentNotOpen):
            await refused


async def test_parts_are_captured_in_order_and_the_rest_goes_back(writer: Writer) -> None:
    await fill(writer, "ada")
    payment = await authorize(writer, "ada", 4_000)
    part = await capture(writer, payment.id, 1_200, final=False)
    assert (part.status, part.captured_minor) == ("PARTIALLY_CAPTURED", 1_200)
    assert await lots_of("ada") == [("GIFT_CARD", 0, 2_300), ("CASH", 8_500, 500)]
    with pytest.raises(PaymentExceeded):
        await capture(writer, payment.id, 2_801)
    done = await capture(writer, payment.id, 800)
    assert (done.status, done.captured_minor, done.owed_minor) == ("CAPTURED", 2_000, 2_000)
    assert await lots_of("ada") == [("GIFT_CARD", 1_500, 0), ("CASH", 9_000, 0)]


async def test_as_much_as_there_is_and_only_of_what_may_be_used(writer: Writer) -> None:
    await fill(writer, "ada")
    some = await authorize(writer, "ada", None, total=3_000, buckets=[Bucket.PROMO, Bucket.GIFT_CARD])
    assert some.amount_minor == 3_000
    much = await authorize(writer, "ada", None, total=99_900, order="1043")
    assert much.amount_minor == 9_500
    with pytest.raises(InsufficientFunds):
        await authorize(writer, "ada", None, total=100, order="1044")


async def test_back_button_and_double_click_hold_once(writer: Writer) -> None:
    await fill(writer, "ada")
    first = await authorize(writer, "ada", 4_000, key="click")
    again = await authorize(writer, "ada", 4_000, key="click")
    back = await authorize(writer, "ada", 2_000, key="another cart")
    assert (first.id == again.id, first.id == back.id) == (True, False)
    assert await balance_of("ada") == (12_500, 2_000)
    assert (await Payment.get(id=first.id)).status == "VOIDED"


async def test_an_order_is_authorized_and_captured_in_one_batch(writer: Writer) -> None:
    await fill(writer, "ada")
    async with OneBatch(writer) as batch:
        await batch.begin(tell(writer, snapshot(0, PENDING, 3_000)))
        await batch.begin(authorize(writer, "ada", 3_000))
        await batch.begin(tell(writer, snapshot(1, PAID, 3_000)))
        await batch.begin(tell(writer, snapshot(2, COMPLETED, 3_000, 1_000)))
        await batch.begin(orders.mark_deleted(writer, STORE.actor, SOURCE, "1042", at(0.5)))
        await batch.begin(tell(writer, snapshot(2.5, COMPLETED, 3_000, 1_000, 200)))
        await batch.begin(tell(writer, snapshot(3, CANCELLED, 3_000)))
    assert await lots_of("ada") == FULL
    assert (await Payment.get()).returned_minor == 3_000


async def test_value_given_back_in_a_batch_is_spent_again_in_it(writer: Writer) -> None:
    """The lot was closed when the batch began, and opened again in the middle of it."""
    await writer.submit(credit("ada", 3_000))
    await pay(writer, "ada", 3_000)
    for order in range(3):
        name = f"next-{order}"
        told = snapshot(order, CANCELLED, 3_000, order="1042" if order == 0 else f"next-{order - 1}")
        async with OneBatch(writer) as batch:
            await batch.begin(tell(writer, told))
            await batch.begin(pay(writer, "ada", 3_000, order=name))
        assert await balance_of("ada") == (0, 0)
    assert len((await read_tables())["lots"]) == 1


async def test_several_orders_of_one_wallet_go_through_one_lot(writer: Writer) -> None:
    await writer.submit(credit("ada", 3_000))
    async with OneBatch(writer) as batch:
        for n in range(3):
            await batch.begin(pay(writer, "ada", 1_000, order=f"o-{n}"))
    assert await balance_of("ada") == (0, 0)
    async with OneBatch(writer) as batch:
        for n in range(3):
            await batch.begin(tell(writer, snapshot(1, CANCELLED, 1_000, order=f"o-{n}")))
    assert await lots_of("ada") == [("CASH", 3_000, 0)]


async def test_a_wallet_that_another_process_wrote_is_read_anew(writer: Writer, clock: Clock) -> None:
    await fill(writer, "ada")
    async with running_writer(clock) as other:
        payment = await authorize(writer, "ada", 4_000)
        await capture(other, payment.id, 3_500)
        await tell(writer, snapshot(1, PAID, 4_000, 1_000))
        await tell(other, snapshot(2, CANCELLED, 4_000))
        assert await lots_of("ada") == FULL
        await pay(writer, "ada", 12_500, order="1043")
        await tell(other, snapshot(3, CANCELLED, 12_500, order="1043"))
        await pay(writer, "ada", 12_500, order="1044")
        assert await balance_of("ada") == (0, 0)


async def test_a_batch_that_is_taken_to_pieces_leaves_each_command_whole(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(writer, "ada")
    await pay(writer, "ada", 3_000)
    save, sizes = Batch.save, []

    async def save_two_at_most(self: Batch, process: str) -> None:
        sizes.append(len(self._commands))
        if len(self._commands) > 2:
            raise ValueError("too much at once")
        await save(self, process)

    monkeypatch.setattr(Batch, "save", save_two_at_most)
    async with OneBatch(writer) as batch:
        await batch.begin(tell(writer, snapshot(1, PAID, 3_000)))
        await batch.begin(authorize(writer, "ada", 2_000, order="1043"))
        await batch.begin(tell(writer, snapshot(2, PAID, 3_000, 400)))
        await batch.begin(tell(writer, snapshot(1, PAID, 2_000, order="1043")))
        await batch.begin(tell(writer, snapshot(3, CANCELLED, 3_000)))
        await batch.begin(tell(writer, snapshot(2, CANCELLED, 2_000, order="1043")))
    assert max(sizes) == 6
    assert await lots_of("ada") == FULL


async def test_a_batch_that_fails_after_it_was_decided_is_forgotten(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of a failed try may stay in the state that is kept of a wallet: not a reopened lot either."""
    await fill(writer, "ada")
    await pay(writer, "ada", 3_000)
    save = Batch.save
    failed: list[bool] = []

    async def save_after_one_failure(self: Batch, process: str) -> None:
        if not failed:
            failed.append(True)
            raise ConnectionError("the cable was pulled")
        await save(self, process)

    monkeypatch.setattr(Batch, "save", save_after_one_failure)
    async with OneBatch(writer) as batch:
        await batch.begin(tell(writer, snapshot(1, CANCELLED, 3_000)))
        await batch.begin(authorize(writer, "ada", 12_500, order="1043"))
    assert failed
    assert await balance_of("ada") == (12_500, 12_500)


async def test_a_cancelled_order_gives_back_and_a_reopened_one_takes_again(writer: Writer) -> None:
    await fill(writer, "ada")
    await authorize(writer, "ada", 3_000)
    await tell(writer, snapshot(0, PAID, 3_000))
    taken = await lots_of("ada")
    await tell(writer, snapshot(1, CANCELLED, 3_000))
    assert await lots_of("ada") == FULL
    await tell(writer, snapshot(2, PAID, 3_000))
    assert await lots_of("ada") == taken
    await tell(writer, snapshot(3, FAILED, 3_000))
    assert await lots_of("ada") == FULL


async def test_what_was_spent_meanwhile_is_reported_as_missing(writer: Writer) -> None:
    await fill(writer, "ada")
    await authorize(writer, "ada", 3_000)
    await tell(writer, snapshot(1, CANCELLED, 3_000))
    await writer.submit(debit("ada", 11_500))
    recorded = await tell(writer, snapshot(2, PAID, 3_000))
    assert (recorded.order.problem, recorded.order.shortfall_minor) == (OrderProblem.SHORTFALL, 2_000)
    assert await balance_of("ada") == (0, 0)
    await writer.submit(credit("ada", 5_000))
    recorded = await tell(writer, snapshot(3, COMPLETED, 3_000))
    assert (recorded.order.problem, recorded.order.shortfall_minor) == (None, 0)
    assert await balance_of("ada") == (3_000, 0)


async def test_the_whole_order_costs_less_or_more_after_it_was_captured(writer: Writer) -> None:
    await fill(writer, "ada")
    await authorize(writer, "ada", 4_000)
    await tell(writer, snapshot(0, PAID, 4_000))
    await tell(writer, snapshot(1, PAID, 3_800))
    assert await lots_of("ada") == [("CASH", 8_700, 0)]
    await tell(writer, snapshot(2, PAID, 4_500))
    # No more than was authorized, whatever the order costs now.
    assert await lots_of("ada") == [("CASH", 8_500, 0)]


async def test_a_store_that_captures_on_completion(writer: Writer) -> None:
    await writer.submit(change_settings(StoreSettings(capture_on=CaptureOn.COMPLETED)))
    await fill(writer, "ada")
    await authorize(writer, "ada", 3_000)
    await tell(writer, snapshot(0, PAID, 3_000))
    assert await balance_of("ada") == (12_500, 3_000)
    await tell(writer, snapshot(1, COMPLETED, 3_000))
    assert await balance_of("ada") == (9_500, 0)


async def test_what_waits_for_a_request_is_not_captured_by_a_status(writer: Writer) -> None:
    await fill(writer, "ada")
    payment = await authorize(writer, "ada", 3_000, capture=CaptureMethod.MANUAL)
    await tell(writer, snapshot(0, PAID, 3_000))
    assert await balance_of("ada") == (12_500, 3_000)
    await capture(writer, payment.id)
    assert await balance_of("ada") == (9_500, 0)


# --- time ---------------------------------------------------------------------------------------------------


async def test_time_ends_a_hold(writer: Writer, clock: Clock) -> None:
    await fill(writer, "ada")
    payment = await authorize(writer, "ada", 3_000, minutes=30)
    await payments.expire(writer, payment)
    assert await balance_of("ada") == (12_500, 3_000)
    clock.move(minutes=30)
    with pytest.raises(PaymentNotOpen):
        await capture(writer, payment.id)
    (due,) = await payments.due(clock(), 10)
    before = await fingerprint()
    await payments.expire(writer, due)
    assert await fingerprint() != before
    assert await lots_of("ada") == FULL
    before = await fingerprint()
    await payments.expire(writer, due)
    assert await fingerprint() == before
    assert await payments.due(clock(), 10) == []
    # It turns out that the order is paid; a card may have paid it, unless the store says that nothing did.
    await tell(writer, snapshot(0, PAID, 3_000))
    assert await balance_of("ada") == (12_500, 0)
    await tell(writer, snapshot(1, PAID, 3_000, paid_otherwise_minor=1_000))
    assert await balance_of("ada") == (10_500, 0)


@pytest.mark.parametrize("spent", [True, False])
async def test_value_that_expired_meanwhile_comes_back_for_a_grace_period(
    writer: Writer, clock: Clock, *, spent: bool
) -> None:
    await fill(writer, "ada", expires_in=timedelta(hours=1))
    await authorize(writer, "ada", 1_500, minutes=600)
    if spent:
        await tell(writer, snapshot(0, PAID, 1_500))
    clock.move(hours=2)
    await tell(writer, snapshot(1, CANCELLED, 1_500))
    assert await lots_of("ada") == FULL
    tables = await read_tables()
    (promo,) = (lot for lot in tables["lots"] if lot["bucket"] == "PROMO")
    assert promo["grace_until"] == (clock() + timedelta(days=7)).isoformat(timespec="microseconds")
    clock.move(days=6)
    await authorize(writer, "ada", 400, order="1043", minutes=5)
    assert (await lots_of("ada"))[0] == ("PROMO", 600, 400)
    clock.move(days=2)
    (due,) = await payments.due(clock(), 10)
    await payments.expire(writer, due)
    # What was free is gone; what was held has a grace period of its own.
    assert await lots_of("ada") == [("PROMO", 400, 0), *FULL[1:]]


async def test_a_hundred_lots_expired_and_held(writer: Writer, clock: Clock) -> None:
    for hour in range(1, 101):
        await writer.submit(
            credit("ada", 10, bucket=Bucket.PROMO, expires_at=clock() + timedelta(hours=hour))
        )
    await authorize(writer, "ada", 995, minutes=10_000)
    await tell(writer, snapshot(0, PENDING, 995))
    await tell(writer, snapshot(1, PAID, 700))
    # The last thirty lots came back, and one of them was only half taken.
    assert await balance_of("ada") == (300, 0)
    clock.move(hours=50)
    await tell(writer, snapshot(2, PAID, 700, 250))
    lots = await lots_of("ada")
    assert await balance_of("ada") == (550, 0)
    assert lots == [("PROMO", 10, 0)] * 55
    await tell(writer, snapshot(3, CANCELLED, 700))
    assert await lots_of("ada") == [("PROMO", 10, 0)] * 100
    payment = await pay(writer, "ada", 1_000, order="1043")
    assert payment.captured_minor == 1_000


# --- refunds ------------------------------------------------------------------------------------------------


async def test_refunds_go_back_in_reverse_and_never_exceed_what_was_paid(writer: Writer) -> None:
    await fill(writer, "ada")
    await pay(writer, "ada", 4_000)
    await tell(writer, snapshot(0, PAID, 4_000))
    await refund(writer, 700)
    assert await lots_of("ada") == [("GIFT_CARD", 200, 0), ("CASH", 9_000, 0)]
    with pytest.raises(RefundExceeded):
        await refund(writer, 3_301)
    await refund(writer, None)
    assert await lots_of("ada") == FULL
    with pytest.raises(RefundExceeded):
        await refund(writer, 1)


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        (RefundDestination.SPLIT, (400, 0, 600)),
        (RefundDestination.ORIGINAL_PAYMENT, (0, 0, 1_000)),
        (RefundDestination.WALLET, (1_000, 0, 0)),
    ],
)
async def test_where_a_refund_goes(
    writer: Writer, destination: RefundDestination, expected: tuple[int, int, int]
) -> None:
    await fill(writer, "ada")
    await pay(writer, "ada", 4_000)
    await tell(writer, snapshot(0, PAID, 10_000))
    row = await refund(writer, 1_000, destination=destination)
    assert (row.wallet_minor, row.credited_minor, row.elsewhere_minor) == expected
    assert await balance_of("ada") == (8_500 + expected[0], 0)
    row = await refund(writer, None, destination=RefundDestination.WALLET, bucket=Bucket.PROMO)
    assert row.wallet_minor + row.credited_minor == 9_000
    audit(await read_tables())


async def test_lines_and_shipping_are_refunded_to_the_cent(writer: Writer) -> None:
    await fill(writer, "ada")
    lines = (OrderLine("1", "Vase", quantity=Decimal(3), total_minor=1_000, tax_minor=190),)
    await tell(writer, snapshot(0, PENDING, 1_690, lines=lines, shipping_minor=500))
    await pay(writer, "ada", 1_690)
    await tell(writer, snapshot(1, PAID, 1_690, lines=lines, shipping_minor=500))
    one = LineRequest("1", Decimal(1), None)
    amounts = [(await refund(writer, None, lines=[one])).amount_minor for _ in range(3)]
    assert (sum(amounts), max(amounts) - min(amounts)) == (1_190, 1)
    with pytest.raises(RefundExceeded):
        await refund(writer, None, lines=[one])
    assert (await refund(writer, None, with_shipping=True)).amount_minor == 500
    assert await lots_of("ada") == FULL


async def test_a_refund_of_the_store_that_began_here_counts_once(writer: Writer) -> None:
    await fill(writer, "ada")
    await pay(writer, "ada", 4_000)
    await tell(writer, snapshot(0, PAID, 4_000))
    row = await refund(writer, 1_000, store_refund_id="1")
    await tell(writer, snapshot(1, PAID, 4_000, 1_000))
    assert await balance_of("ada") == (9_500, 0)
    other = await refund(writer, 300)
    told = snapshot(2, PAID, 4_000, 1_000)
    same = StoreRefund("77", 300, reference=other.reference, created_at=at(2))
    await tell(writer, replace(told, refunds=(*told.refunds, same)))
    assert await balance_of("ada") == (9_800, 0)
    assert {found["reference"] for found in (await read_tables())["refunds"]} == {
        row.reference,
        other.reference,
    }


async def test_a_refund_that_the_store_withdrew_is_taken_again(writer: Writer) -> None:
    await writer.submit(change_settings(StoreSettings(refund_destination=RefundDestination.WALLET)))
    await fill(writer, "ada")
    await pay(writer, "ada", 4_000)
    await tell(writer, snapshot(0, PAID, 6_000))
    await tell(writer, snapshot(1, PAID, 6_000, 5_000))
    assert await balance_of("ada") == (13_500, 0)
    await tell(writer, snapshot(2, PAID, 6_000, 0))
    assert await lots_of("ada") == [("CASH", 8_500, 0)]
    (row,) = (await read_tables())["refunds"]
    assert row["withdrawn_at"] is not None


async def test_a_repeated_refund_gives_the_first_answer(writer: Writer) -> None:
    await fill(writer, "ada")
    await pay(writer, "ada", 4_000)
    await tell(writer, snapshot(0, PAID, 4_000))
    first, second = await asyncio.gather(refund(writer, 1_000, key="k"), refund(writer, 1_000, key="k"))
    assert first.id == second.id
    with pytest.raises(IdempotencyKeyReused):
        await refund(writer, 1_001, key="k")
    assert await balance_of("ada") == (9_500, 0)


async def test_two_refunds_at_once_never_give_more_than_was_paid(writer: Writer) -> None:
    await fill(writer, "ada")
    await pay(writer, "ada", 4_000)
    await tell(writer, snapshot(0, PAID, 4_000))
    said = await asyncio.gather(*(refund(writer, 1_500) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(one, RefundExceeded) for one in said) == 3
    assert await balance_of("ada") == (11_500, 0)


# --- renewals -----------------------------------------------------------------------------------------------


def renewal(order: str, amount: str, *, key: str, who: str = "ada") -> ChargeRequest:
    return ChargeRequest(named(who), SOURCE, order, "sub-7", amount, "USD", key)


async def test_a_renewal_is_charged_once(writer: Writer) -> None:
    await fill(writer, "ada")
    for key in ("k", "k", "k2"):
        charged = await renewals.charge(writer, STORE.actor, renewal("2001", "30.00", key=key))
        assert charged.wallet.posted_minor == 9_500
    part = Subscription("sub-7", renewal=True)
    told = snapshot(0, PAID, 3_000, order="2001", subscription=part, payment_method="wallet")
    await tell(writer, told)
    assert await lots_of("ada") == [("GIFT_CARD", 500, 0), ("CASH", 9_000, 0)]


@pytest.mark.parametrize(
    ("policy", "left", "short"),
    [
        (RenewalPolicy.IN_FULL, 12_500, 20_000),
        (RenewalPolicy.AS_FAR_AS_IT_GOES, 0, 7_500),
        (RenewalPolicy.NOT_AT_ALL, 12_500, 0),
    ],
)
async def test_a_snapshot_charges_a_renewal_as_the_store_decided(
    writer: Writer, policy: RenewalPolicy, left: int, short: int
) -> None:
    await writer.submit(change_settings(StoreSettings(renewal_policy=policy)))
    await fill(writer, "ada")
    part = Subscription("sub-7", renewal=True)
    for minute, status in enumerate((PENDING, PAID, COMPLETED)):
        told = snapshot(minute, status, 20_000, order="2001", subscription=part, payment_method="wallet")
        recorded = await tell(writer, told)
        assert recorded.order.shortfall_minor == short
    assert await balance_of("ada") == (left, 0)


async def test_what_a_renewal_lacked_is_not_taken_by_a_later_snapshot(writer: Writer) -> None:
    await writer.submit(change_settings(StoreSettings(renewal_policy=RenewalPolicy.AS_FAR_AS_IT_GOES)))
    await fill(writer, "ada")
    part = Subscription("sub-7", renewal=True)
    for minute, status in enumerate((PENDING, PAID)):
        told = snapshot(minute, status, 20_000, order="2001", subscription=part, payment_method="wallet")
        assert (await tell(writer, told)).order.shortfall_minor == 7_500
        # A card may have paid the rest by now.
        await writer.submit(credit("ada", 10_000))
    assert await balance_of("ada") == (20_000, 0)


async def test_a_renewal_that_was_refunded_is_not_charged_again(writer: Writer) -> None:
    await fill(writer, "ada")
    part = Subscription("sub-7", renewal=True)
    for minute, status in enumerate((PENDING, PAID)):
        told = snapshot(minute, status, 3_000, order="2001", subscription=part, payment_method="wallet")
        await tell(writer, told)
    told = replace(snapshot(2, PAID, 3_000, 1_000, order="2001"), subscription=part, payment_method="wallet")
    await tell(writer, told)
    assert await balance_of("ada") == (10_500, 0)
    before = await fingerprint()
    await tell(writer, told)
    assert await fingerprint() == before
    await renewals.charge(writer, STORE.actor, renewal("2001", "30.00", key="k"))
    assert await balance_of("ada") == (10_500, 0)
    assert len((await read_tables())["transactions"]) == 5


async def test_a_renewal_that_costs_more_lacks_only_the_difference(writer: Writer) -> None:
    await writer.submit(credit("ada", 3_500))
    part = Subscription("sub-7", renewal=True)
    lacked = []
    for minute, total in enumerate((3_000, 4_000)):
        told = snapshot(minute, PAID, total, order="2001", subscription=part, payment_method="wallet")
        lacked.append((await tell(writer, told)).order.shortfall_minor)
    assert lacked == [0, 1_000]
    assert await balance_of("ada") == (500, 0)


async def test_a_renewal_that_was_short_takes_only_the_rest_later(writer: Writer) -> None:
    await writer.submit(change_settings(StoreSettings(renewal_policy=RenewalPolicy.AS_FAR_AS_IT_GOES)))
    await writer.submit(credit("ada", 1_000))
    first = await renewals.charge(writer, STORE.actor, renewal("2001", "30.00", key="k"))
    assert first.order.shortfall_minor == 2_000
    await writer.submit(credit("ada", 5_000))
    second = await renewals.charge(writer, STORE.actor, renewal("2001", "30.00", key="k2"))
    assert (second.order.shortfall_minor, second.wallet.posted_minor) == (0, 3_000)


# --- the edges of a wallet ----------------------------------------------------------------------------------


async def test_value_comes_back_to_a_wallet_below_zero(writer: Writer) -> None:
    limits = StoreSettings(negative_balance_enabled=True, negative_balance_limit_minor=5_000)
    await writer.submit(change_settings(limits))
    await fill(writer, "ada")
    await pay(writer, "ada", 12_500)
    await writer.submit(debit("ada", 4_000))
    assert await balance_of("ada") == (-4_000, 0)
    await tell(writer, snapshot(0, PAID, 12_500))
    await refund(writer, 3_000)
    # It lies in its lot again, and yet nothing can be spent before the debt is paid.
    assert (await lots_of("ada"), await balance_of("ada")) == ([("CASH", 3_000, 0)], (-1_000, 0))
    with pytest.raises(InsufficientFunds):
        await pay(writer, "ada", 1, order="1043")
    await refund(writer, 2_000)
    assert (await pay(writer, "ada", None, order="1043", total=9_900)).amount_minor == 1_000
    with pytest.raises(InsufficientFunds):
        await pay(writer, "ada", 1, order="1044")


async def test_more_than_a_wallet_can_hold_does_not_come_back(writer: Writer) -> None:
    await writer.submit(credit("ada", 10_000))
    await pay(writer, "ada", 10_000)
    await tell(writer, snapshot(0, PAID, 10_000))
    while missing := BALANCE_MAX_MINOR - 5_000 - (await balance_of("ada"))[0]:
        await writer.submit(credit("ada", min(missing, AMOUNT_MAX_MINOR)))
    before = await fingerprint()
    for refused in (refund(writer, 6_000), tell(writer, snapshot(1, CANCELLED, 10_000))):
        with pytest.raises(BalanceTooLarge):
            await refused
        assert await fingerprint() == before
    await refund(writer, 5_000)


async def test_a_frozen_wallet_gives_nothing_new_and_takes_back(writer: Writer) -> None:
    await fill(writer, "ada")
    held = await authorize(writer, "ada", 1_000)
    await pay(writer, "ada", 2_000, order="1043")
    await tell(writer, snapshot(0, PAID, 2_000, order="1043"))
    await writer.submit(freeze("ada"))
    with pytest.raises(WalletFrozen):
        await authorize(writer, "ada", 100, order="1044")
    await refund(writer, 500, order="1043")
    assert await balance_of("ada") == (11_000, 1_000)
    await tell(writer, snapshot(1, CANCELLED, 2_000, order="1043"))
    assert await balance_of("ada") == (12_500, 1_000)
    recorded = await tell(writer, snapshot(2, PAID, 2_000, order="1043"))
    assert recorded.order.shortfall_minor == 1_500
    # What was promised to the store before is kept.
    await capture(writer, held.id)
    assert await balance_of("ada") == (11_500, 0)


async def test_refused_requests_leave_no_trace(writer: Writer) -> None:
    await fill(writer, "ada")
    await fill(writer, "bob")
    payment = await authorize(writer, "ada", 1_000)
    await tell(writer, snapshot(0, PAID, 1_000, order="1050", customer="bob"))
    before = await fingerprint()
    bob = shopper("bob")
    for refused in (
        authorize(writer, "ada", 99_900, order="1043"),
        authorize(writer, "ada", 10, order="1043", by=bob),
        authorize(writer, "ada", 10, order="1050"),
        authorize(writer, "bob", 10, order="1050", by=bob),
        void(writer, payment.id, by=bob),
        capture(writer, payment.id, 1_001),
        refund(writer, 10_000),
        payments.authorize(writer, STORE, asked("nobody", 100, key="nobody")),
    ):
        with pytest.raises(DomainError):
            await refused
        assert await fingerprint() == before
