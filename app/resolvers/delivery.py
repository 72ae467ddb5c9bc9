"""What came in from the store: listed and replayed."""

from typing import Annotated

import strawberry

from app.context import AppInfo
from app.domain.errors import FieldInvalid
from app.domain.page import PageRequest
from app.resolvers.answering import answering, checked_key
from app.schema.types.connection import After, Before, Connection, First, Last, Offset, connection
from app.schema.types.delivery import WebhookDelivery, WebhookDeliveryFilter, delivery_filter
from app.schema.types.filters import texts
from app.schema.types.inputs import INPUT, ReplayWebhookDeliveriesInput
from app.schema.types.node import decode_id
from app.schema.types.payloads import ReplayWebhookDeliveriesPayload
from app.services import delivery as deliveries
from app.services.delivery import Replayed


async def list_webhook_deliveries(
    info: AppInfo,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    offset: Offset = None,
    filter: Annotated[  # noqa: A002 — the argument's name in the API
        WebhookDeliveryFilter | None, strawberry.argument(description="What the list is narrowed to.")
    ] = None,
) -> Connection[WebhookDelivery]:
    """List deliveries."""
    query = deliveries.deliveries(delivery_filter(filter))
    page = await deliveries.page_of(query, PageRequest(first, after, last, before, offset))
    return connection(page, lambda row: WebhookDelivery(model=row), query)


@answering(ReplayWebhookDeliveriesPayload)
async def replay_webhook_deliveries(
    info: AppInfo,
    input: Annotated[ReplayWebhookDeliveriesInput, INPUT],  # noqa: A002
) -> ReplayWebhookDeliveriesPayload:
    """Have deliveries worked on again."""
    done = await _replay(info, input)
    info.context.runtime.inbox.put(row.id for row in done.deliveries)
    return ReplayWebhookDeliveriesPayload(
        deliveries=[WebhookDelivery(model=row) for row in done.deliveries], replayed=done.replayed
    )


async def _replay(info: AppInfo, given: ReplayWebhookDeliveriesInput) -> Replayed:
    key = checked_key(given.idempotency_key)
    writer, actor = info.context.runtime.writer, info.context.principal.actor
    if (given.delivery_ids is None) == (given.filter is None):
        raise FieldInvalid("Give `deliveryIds` or a `filter`, and not both.", field=("deliveryIds",))
    if given.delivery_ids is not None:
        ids = [
            decode_id(one, "WebhookDelivery", field=("deliveryIds", str(place)))
            for place, one in enumerate(given.delivery_ids[: deliveries.REPLAYED_MAX + 1])
        ]
        return await deliveries.replay(writer, actor, ids, idempotency_key=key)
    statuses = None if given.filter is None else texts(given.filter.statuses, "filter.statuses")
    doors = None if given.filter is None else texts(given.filter.doors, "filter.doors")
    return await deliveries.replay_found(writer, actor, statuses=statuses, doors=doors, idempotency_key=key)
