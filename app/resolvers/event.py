"""Named events that the store tells of."""

from typing import Annotated

from app.context import AppInfo
from app.domain.event import EventTold
from app.resolvers.answering import answering, optional_key
from app.schema.types.event import StoreEvent
from app.schema.types.inputs import INPUT, RecordEventInput
from app.schema.types.payloads import RecordEventPayload
from app.schema.types.wallet import Wallet
from app.services import event as events
from app.services.customer import check_external_id


@answering(RecordEventPayload)
async def record_event(
    info: AppInfo,
    input: Annotated[RecordEventInput, INPUT],  # noqa: A002
) -> RecordEventPayload:
    """Tell of an event."""
    principal = info.context.principal
    done = await events.record(
        info.context.runtime.writer,
        principal.actor,
        check_external_id(input.store_customer_id),
        EventTold(input.event, input.event_id, input.occurred_at),
        own=principal.customer_external_id,
        idempotency_key=optional_key(input.idempotency_key),
    )
    return RecordEventPayload(
        wallet=Wallet(model=done.wallet), event=StoreEvent(model=done.event), replayed=done.replayed
    )
