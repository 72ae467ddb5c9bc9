"""Refunds of orders."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated

from app.context import AppInfo
from app.resolvers.answering import answering, checked_key
from app.schema.types.filters import order_row_id
from app.schema.types.inputs import INPUT, RefundLineInput, RefundOrderInput
from app.schema.types.money import amount_of
from app.schema.types.ownership import seen_wallet
from app.schema.types.payloads import RefundOrderPayload
from app.schema.types.refund import Refund
from app.schema.types.wallet import Wallet
from app.services import refund as refunds
from app.services.refund import LineRequest, RefundRequest


@answering(RefundOrderPayload)
async def refund_order(
    info: AppInfo,
    input: Annotated[RefundOrderInput, INPUT],  # noqa: A002
) -> RefundOrderPayload:
    """Refund an order."""
    done = await refunds.refund(info.context.runtime.writer, info.context.principal, _request(input))
    # The right to refund is not the right to see balances.
    seen = await seen_wallet(info, done.wallet.id)
    return RefundOrderPayload(
        wallet=Wallet(model=done.wallet) if seen else None,
        refund=Refund(model=done.refund),
        replayed=done.replayed,
    )


def _request(given: RefundOrderInput) -> RefundRequest:
    return RefundRequest(
        order_id=order_row_id(given.order),
        amount=amount_of(given.amount),
        currencies=tuple(_currencies(given)),
        lines=tuple(_line(line) for line in given.lines or ()),
        shipping=amount_of(given.shipping),
        with_shipping=given.with_shipping,
        destination=given.destination,
        bucket=given.bucket,
        note=given.note,
        store_refund_id=given.store_refund_id,
        idempotency_key=checked_key(given.idempotency_key),
    )


def _currencies(given: RefundOrderInput) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the currencies that were sent, each with the path of the field that it was sent in."""
    for name, sent in (("amount", given.amount), ("shipping", given.shipping)):
        if sent is not None:
            yield (name, "currency"), sent.currency
    for place, line in enumerate(given.lines or ()):
        if line.amount is not None:
            yield ("lines", str(place), "amount", "currency"), line.amount.currency


def _line(line: RefundLineInput) -> LineRequest:
    quantity = None if line.quantity is None else Decimal(line.quantity)
    return LineRequest(line.line_id, quantity, amount_of(line.amount))
