"""Orders for tests below the API: who asks, what the store tells, and what a wallet holds afterwards."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.domain.access import Capability, Principal, PrincipalKind
from app.domain.bucket import Bucket
from app.domain.order import OrderSnapshot, OrderStatus, StoreCustomer, StoreRefund, order_id
from app.domain.payment import CaptureMethod
from app.domain.refund import RefundDestination
from app.models.payment import Payment
from app.models.refund import Refund
from app.services import order as orders, payment as payments, refund as refunds
from app.services.ledger.writer import Writer
from app.services.order import Recorded
from app.services.payment import OrderToPay, PaymentRequest
from app.services.refund import LineRequest, RefundRequest
from tests.auditor import read_tables
from tests.ledger import START, credit, named

STORE = Principal(PrincipalKind.SERVICE, "shop-backend", capabilities=frozenset(Capability))
MANAGER = Principal(PrincipalKind.STAFF, "max", capabilities=frozenset(Capability))
SOURCE = "shop"
TOLD_FROM = START - timedelta(hours=1)

Lots = list[tuple[str, int, int]]


def shopper(name: str) -> Principal:
    """A customer, who pays with their own wallet."""
    return Principal(PrincipalKind.CUSTOMER, name, customer_external_id=name)


def at(minute: float) -> datetime:
    """A moment by the store's clock."""
    return TOLD_FROM + timedelta(minutes=minute)


def snapshot(
    minute: float,
    status: OrderStatus,
    total_minor: int,
    *refunded_minor: int,
    order: str = "1042",
    customer: str | None = "ada",
    **parts: Any,
) -> OrderSnapshot:
    """What the store says of an order; its refunds are numbered from 1, and one of 0 was deleted again."""
    found = tuple(
        StoreRefund(str(number), amount, created_at=at(number / 60))
        for number, amount in enumerate(refunded_minor, 1)
        if amount
    )
    told = OrderSnapshot(
        SOURCE,
        order,
        at(minute),
        status,
        status.lower(),
        "USD",
        total_minor,
        customer=None if customer is None else StoreCustomer(customer),
        refunds=found,
    )
    return replace(told, **parts)


def id_of(order: str) -> UUID:
    """The id that an order has, whether it is known or not."""
    return order_id(SOURCE, order)


def money(minor: int) -> str:
    """The amount as it comes in through a door."""
    return str(Decimal(minor) / 100)


async def tell(writer: Writer, told: OrderSnapshot, *, key: str | None = None) -> Recorded:
    """Have the store tell of an order."""
    return await orders.record(writer, STORE.actor, told, idempotency_key=key)


def asked(
    who: str,
    amount: int | None,
    *,
    key: str,
    order: str = "1042",
    total: int | None = None,
    buckets: Sequence[Bucket] | None = None,
    minutes: int | None = None,
    capture: CaptureMethod = CaptureMethod.AUTOMATIC,
) -> PaymentRequest:
    """What a checkout asks for."""
    return PaymentRequest(
        wallet=named(who),
        order=OrderToPay(SOURCE, order, None if total is None else money(total), "USD"),
        amount=None if amount is None else money(amount),
        currency="USD",
        buckets=None if buckets is None else tuple(buckets),
        lifetime_minutes=minutes,
        capture=capture,
        idempotency_key=key,
    )


async def authorize(
    writer: Writer, who: str, amount: int | None, *, by: Principal = STORE, key: str = "", **more: Any
) -> Payment:
    """Hold an amount for an order."""
    request = asked(who, amount, key=key or _fresh(), **more)
    return (await payments.authorize(writer, by, request)).payment


async def pay(
    writer: Writer, who: str, amount: int | None, *, by: Principal = STORE, key: str = "", **more: Any
) -> Payment:
    """Pay an order in one step."""
    return (await payments.pay(writer, by, asked(who, amount, key=key or _fresh(), **more))).payment


async def capture(
    writer: Writer, payment: UUID, amount: int | None = None, *, final: bool = True, key: str = ""
) -> Payment:
    """Take what is held, or a part."""
    said = None if amount is None else money(amount)
    done = await payments.capture(
        writer,
        STORE,
        payment,
        amount=said,
        currency=said and "USD",
        final=final,
        idempotency_key=key or _fresh(),
    )
    return done.payment


async def void(writer: Writer, payment: UUID, *, by: Principal = STORE, key: str = "") -> Payment:
    """Give back what is still held."""
    return (await payments.void(writer, by, payment, idempotency_key=key or _fresh())).payment


def refund_request(
    amount: int | None,
    *,
    key: str,
    order: str = "1042",
    lines: Sequence[LineRequest] = (),
    with_shipping: bool = False,
    destination: RefundDestination | None = None,
    bucket: Bucket | None = None,
    store_refund_id: str | None = None,
) -> RefundRequest:
    """What staff ask for."""
    return RefundRequest(
        order_id=id_of(order),
        amount=None if amount is None else money(amount),
        currencies=() if amount is None else ((("amount", "currency"), "USD"),),
        lines=tuple(lines),
        shipping=None,
        with_shipping=with_shipping,
        destination=destination,
        bucket=bucket,
        note="The vase was broken",
        store_refund_id=store_refund_id,
        idempotency_key=key,
    )


async def refund(writer: Writer, amount: int | None, *, key: str = "", **more: Any) -> Refund:
    """Refund an amount of an order, or all that is left."""
    return (await refunds.refund(writer, MANAGER, refund_request(amount, key=key or _fresh(), **more))).refund


async def fill(writer: Writer, who: str, *, expires_in: timedelta = timedelta(hours=48)) -> None:
    """Give a customer 10.00 of bonus that expires, 25.00 on a gift card and 90.00 in cash."""
    await writer.submit(credit(who, 1_000, bucket=Bucket.PROMO, expires_at=START + expires_in))
    await writer.submit(credit(who, 2_500, bucket=Bucket.GIFT_CARD))
    await writer.submit(credit(who, 9_000, bucket=Bucket.CASH))


async def lots_of(who: str) -> Lots:
    """The open lots of a customer in the order in which they were opened: bucket, free, held."""
    tables = await read_tables()
    (wallet,) = await _wallets(who)
    found = [
        lot
        for lot in tables["lots"]
        if lot["wallet_id"] == wallet["id"] and lot["remaining_minor"] + lot["held_minor"]
    ]
    found.sort(key=lambda lot: int(lot["sequence"]))
    return [(lot["bucket"], lot["remaining_minor"], lot["held_minor"]) for lot in found]


async def balance_of(who: str) -> tuple[int, int]:
    """What a customer has: posted, held."""
    (wallet,) = await _wallets(who)
    return wallet["posted_minor"], wallet["held_minor"]


async def _wallets(who: str) -> list[dict[str, Any]]:
    tables = await read_tables()
    ids = {row["id"] for row in tables["customers"] if row["external_id"] == who}
    return [row for row in tables["wallets"] if row["customer_id"] in ids]


async def order_row(order: str = "1042") -> dict[str, Any]:
    """The order as the tables have it."""
    tables = await read_tables()
    (found,) = (row for row in tables["orders"] if row["id"] == str(id_of(order)))
    return found


_keys = iter(range(10**9))


def _fresh() -> str:
    return f"key-{next(_keys)}"
