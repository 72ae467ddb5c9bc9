"""Payments: read, listed, authorized, captured, voided."""

from typing import Annotated, TypeVar

import strawberry

from app.context import AppInfo
from app.domain.page import PageRequest
from app.domain.payment import CaptureMethod, PaymentStatus
from app.resolvers.answering import answering, checked_key
from app.schema.types.connection import After, Before, Connection, First, Last, Offset, connection
from app.schema.types.filters import own_wallet, texts, wallet_ref
from app.schema.types.inputs import (
    INPUT,
    AuthorizePaymentInput,
    CapturePaymentInput,
    PayOrderInput,
    VoidPaymentInput,
)
from app.schema.types.money import amount_of
from app.schema.types.node import decode_id
from app.schema.types.payloads import (
    AuthorizePaymentPayload,
    CapturePaymentPayload,
    PaymentPayload,
    PayOrderPayload,
    VoidPaymentPayload,
)
from app.schema.types.payment import Payment, PaymentSelector
from app.schema.types.wallet import Wallet
from app.services import payment as payments
from app.services.payment import OrderToPay, Paid, PaymentRequest

A = TypeVar("A", bound=PaymentPayload)


async def payment(
    info: AppInfo,
    by: Annotated[PaymentSelector, strawberry.argument(description="Names the payment.")],
) -> Payment | None:
    """Find one payment."""
    principal = info.context.principal
    if by.id is not strawberry.UNSET and by.id is not None:
        payment_id = decode_id(by.id, "Payment", field=("by", "id"))
        row = await payments.find(principal, payment_id=payment_id)
    else:
        row = await payments.find(principal, reference=by.reference)
    return None if row is None else Payment(model=row)


async def list_payments(
    info: AppInfo,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    offset: Offset = None,
    statuses: Annotated[
        list[PaymentStatus] | None, strawberry.argument(description="Only in one of these states.")
    ] = None,
) -> Connection[Payment]:
    """List the store's payments."""
    query = payments.payments(texts(statuses, "statuses"))
    page = await payments.page_of(query, PageRequest(first, after, last, before, offset))
    return connection(page, lambda row: Payment(model=row), query)


@answering(AuthorizePaymentPayload)
async def authorize_payment(
    info: AppInfo,
    input: Annotated[AuthorizePaymentInput, INPUT],  # noqa: A002
) -> AuthorizePaymentPayload:
    """Hold value for an order."""
    request = _request(
        info, input, lifetime_minutes=input.lifetime_minutes, capture=CaptureMethod(input.capture_method)
    )
    done = await payments.authorize(info.context.runtime.writer, info.context.principal, request)
    return _payload(AuthorizePaymentPayload, done)


@answering(PayOrderPayload)
async def pay_order(
    info: AppInfo,
    input: Annotated[PayOrderInput, INPUT],  # noqa: A002
) -> PayOrderPayload:
    """Authorize and capture in one step."""
    request = _request(info, input, lifetime_minutes=None, capture=CaptureMethod.AUTOMATIC)
    done = await payments.pay(info.context.runtime.writer, info.context.principal, request)
    return _payload(PayOrderPayload, done)


@answering(CapturePaymentPayload)
async def capture_payment(
    info: AppInfo,
    input: Annotated[CapturePaymentInput, INPUT],  # noqa: A002
) -> CapturePaymentPayload:
    """Take what is held."""
    done = await payments.capture(
        info.context.runtime.writer,
        info.context.principal,
        decode_id(input.payment_id, "Payment", field=("paymentId",)),
        amount=None if input.amount is None else input.amount.amount,
        currency=None if input.amount is None else input.amount.currency,
        final=input.final,
        idempotency_key=checked_key(input.idempotency_key),
    )
    return _payload(CapturePaymentPayload, done)


@answering(VoidPaymentPayload)
async def void_payment(
    info: AppInfo,
    input: Annotated[VoidPaymentInput, INPUT],  # noqa: A002
) -> VoidPaymentPayload:
    """Give back what is held."""
    done = await payments.void(
        info.context.runtime.writer,
        info.context.principal,
        decode_id(input.payment_id, "Payment", field=("paymentId",)),
        idempotency_key=checked_key(input.idempotency_key),
    )
    return _payload(VoidPaymentPayload, done)


def _request(
    info: AppInfo,
    given: AuthorizePaymentInput | PayOrderInput,
    *,
    lifetime_minutes: int | None,
    capture: CaptureMethod,
) -> PaymentRequest:
    order, amount, total = given.order, given.amount, given.order.total
    return PaymentRequest(
        wallet=wallet_ref(given.wallet) if given.wallet else own_wallet(info.context.principal),
        order=OrderToPay(
            order.source, order.external_id, amount_of(total), None if total is None else total.currency
        ),
        amount=amount_of(amount),
        currency=None if amount is None else amount.currency,
        buckets=None if given.buckets is None else tuple(given.buckets),
        lifetime_minutes=lifetime_minutes,
        capture=capture,
        idempotency_key=checked_key(given.idempotency_key),
    )


def _payload(kind: type[A], done: Paid) -> A:
    return kind(wallet=Wallet(model=done.wallet), payment=Payment(model=done.payment), replayed=done.replayed)
