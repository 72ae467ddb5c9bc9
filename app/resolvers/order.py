"""Orders: read, listed, recorded, given to a customer."""

from typing import Annotated

import strawberry

from app.context import AppInfo
from app.domain.page import PageRequest
from app.resolvers.answering import answering, checked_key, optional_key
from app.schema.types.connection import After, Before, Connection, First, Last, Offset, connection
from app.schema.types.filters import order_filter, order_row_id
from app.schema.types.inputs import INPUT, ClaimOrderInput
from app.schema.types.order import Order, OrderFilter, OrderSelector
from app.schema.types.payloads import ClaimOrderPayload, RecordOrderPayload
from app.schema.types.snapshot import RecordOrderInput, naming_fields, snapshot_of
from app.services import order as orders


async def order(
    info: AppInfo, by: Annotated[OrderSelector, strawberry.argument(description="Names the order.")]
) -> Order | None:
    """Find one order."""
    row = await orders.find(info.context.principal, order_row_id(by, field="by"))
    return None if row is None else Order(model=row)


async def list_orders(
    info: AppInfo,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    offset: Offset = None,
    search: Annotated[
        str | None,
        strawberry.argument(
            description="The store's id or number of the order, or the reference number of one of its payments, refunds "
            "or transactions; whole."
        ),
    ] = None,
    filter: Annotated[  # noqa: A002 — the argument's name in the API
        OrderFilter | None, strawberry.argument(description="What the list is narrowed to.")
    ] = None,
) -> Connection[Order]:
    """List the store's orders."""
    query = orders.orders(order_filter(filter, search))
    page = await orders.page_of(query, PageRequest(first, after, last, before, offset))
    return connection(page, lambda row: Order(model=row), query)


@answering(RecordOrderPayload)
async def record_order(
    info: AppInfo,
    input: Annotated[RecordOrderInput, INPUT],  # noqa: A002
) -> RecordOrderPayload:
    """Take in what the store tells of an order."""
    context, key = info.context, optional_key(input.idempotency_key)
    with naming_fields():
        done = await orders.record(
            context.runtime.writer, context.principal.actor, snapshot_of(input), idempotency_key=key
        )
    return RecordOrderPayload(order=Order(model=done.order), replayed=done.replayed)


@answering(ClaimOrderPayload)
async def claim_order(
    info: AppInfo,
    input: Annotated[ClaimOrderInput, INPUT],  # noqa: A002
) -> ClaimOrderPayload:
    """Give a guest's order to a customer."""
    done = await orders.claim(
        info.context.runtime.writer,
        info.context.principal.actor,
        order_row_id(input.order),
        input.store_customer_id,
        idempotency_key=checked_key(input.idempotency_key),
    )
    return ClaimOrderPayload(order=Order(model=done.order), replayed=done.replayed)
