"""Who is told of what happens: endpoints set up, changed and tried out; messages listed and sent again."""

from typing import Annotated
from uuid import UUID

import strawberry

from app.context import AppInfo
from app.domain.errors import FieldInvalid
from app.domain.listening import EndpointRequest
from app.domain.page import PageRequest
from app.resolvers.answering import answering, checked_key
from app.schema.types.connection import After, Before, Connection, First, Last, Offset, connection
from app.schema.types.enums import WebhookEndpointStatus
from app.schema.types.inputs import (
    INPUT,
    CreateWebhookEndpointInput,
    DisableWebhookEndpointInput,
    EnableWebhookEndpointInput,
    ReplayOutgoingWebhooksInput,
    RotateWebhookSecretInput,
    SendTestWebhookInput,
    UpdateWebhookEndpointInput,
)
from app.schema.types.node import decode_id
from app.schema.types.payloads import (
    CreateWebhookEndpointPayload,
    DisableWebhookEndpointPayload,
    EnableWebhookEndpointPayload,
    ReplayOutgoingWebhooksPayload,
    RotateWebhookSecretPayload,
    SendTestWebhookPayload,
    UpdateWebhookEndpointPayload,
)
from app.schema.types.webhook_endpoint import (
    OutgoingWebhook,
    OutgoingWebhookFilter,
    WebhookEndpoint,
    WebhookEventDefinition,
    event_types,
    message_filter,
)
from app.services import webhook_endpoint as endpoints
from app.services.webhook_endpoint import Asked, Resent


async def list_webhook_event_types() -> list[WebhookEventDefinition]:
    """List the kinds of events."""
    return event_types()


async def list_webhook_endpoints(
    info: AppInfo,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    offset: Offset = None,
    status: Annotated[
        WebhookEndpointStatus | None, strawberry.argument(description="Only those in this state.")
    ] = None,
) -> Connection[WebhookEndpoint]:
    """List the endpoints."""
    query = endpoints.endpoints(status)
    page = await endpoints.page_of(query, PageRequest(first, after, last, before, offset))
    return connection(page, lambda row: WebhookEndpoint(model=row), query)


async def list_outgoing_webhooks(
    info: AppInfo,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    offset: Offset = None,
    filter: Annotated[  # noqa: A002 — the argument's name in the API
        OutgoingWebhookFilter | None, strawberry.argument(description="What the list is narrowed to.")
    ] = None,
) -> Connection[OutgoingWebhook]:
    """List the messages to endpoints."""
    query = endpoints.messages(message_filter(filter))
    page = await endpoints.page_of_messages(query, PageRequest(first, after, last, before, offset))
    return connection(page, lambda row: OutgoingWebhook(model=row), query)


@answering(CreateWebhookEndpointPayload)
async def create_webhook_endpoint(
    info: AppInfo,
    input: Annotated[CreateWebhookEndpointInput, INPUT],  # noqa: A002
) -> CreateWebhookEndpointPayload:
    """Set an endpoint up."""
    runtime = info.context.runtime
    done = await endpoints.create(
        runtime.writer,
        runtime.sealer,
        EndpointRequest(input.url, input.description, tuple(input.events)),
        _asked(info, input.note, input.idempotency_key),
        private=runtime.settings.webhook_private_addresses,
    )
    return CreateWebhookEndpointPayload(
        webhook_endpoint=WebhookEndpoint(model=done.endpoint), secret=done.secret, replayed=done.replayed
    )


@answering(UpdateWebhookEndpointPayload)
async def update_webhook_endpoint(
    info: AppInfo,
    input: Annotated[UpdateWebhookEndpointInput, INPUT],  # noqa: A002
) -> UpdateWebhookEndpointPayload:
    """Change an endpoint."""
    runtime = info.context.runtime
    events = None if input.events is None else tuple(input.events)
    done = await endpoints.update(
        runtime.writer,
        _endpoint_id(input.webhook_endpoint_id),
        EndpointRequest(input.url, input.description, events),
        _asked(info, input.note, input.idempotency_key),
        private=runtime.settings.webhook_private_addresses,
    )
    return UpdateWebhookEndpointPayload(
        webhook_endpoint=WebhookEndpoint(model=done.endpoint), replayed=done.replayed
    )


@answering(RotateWebhookSecretPayload)
async def rotate_webhook_secret(
    info: AppInfo,
    input: Annotated[RotateWebhookSecretInput, INPUT],  # noqa: A002
) -> RotateWebhookSecretPayload:
    """Replace an endpoint's secret."""
    done = await endpoints.rotate(
        info.context.runtime.writer,
        info.context.runtime.sealer,
        _endpoint_id(input.webhook_endpoint_id),
        _asked(info, input.note, input.idempotency_key),
        overlap_h=input.overlap_hours,
    )
    return RotateWebhookSecretPayload(
        webhook_endpoint=WebhookEndpoint(model=done.endpoint), secret=done.secret, replayed=done.replayed
    )


@answering(EnableWebhookEndpointPayload)
async def enable_webhook_endpoint(
    info: AppInfo,
    input: Annotated[EnableWebhookEndpointInput, INPUT],  # noqa: A002
) -> EnableWebhookEndpointPayload:
    """Switch an endpoint on."""
    asked = _asked(info, input.note, input.idempotency_key)
    done = await endpoints.enable(info.context.runtime.writer, _endpoint_id(input.webhook_endpoint_id), asked)
    return EnableWebhookEndpointPayload(
        webhook_endpoint=WebhookEndpoint(model=done.endpoint), replayed=done.replayed
    )


@answering(DisableWebhookEndpointPayload)
async def disable_webhook_endpoint(
    info: AppInfo,
    input: Annotated[DisableWebhookEndpointInput, INPUT],  # noqa: A002
) -> DisableWebhookEndpointPayload:
    """Switch an endpoint off."""
    asked = _asked(info, input.note, input.idempotency_key)
    done = await endpoints.disable(
        info.context.runtime.writer, _endpoint_id(input.webhook_endpoint_id), asked
    )
    return DisableWebhookEndpointPayload(
        webhook_endpoint=WebhookEndpoint(model=done.endpoint), replayed=done.replayed
    )


@answering(SendTestWebhookPayload)
async def send_test_webhook(
    info: AppInfo,
    input: Annotated[SendTestWebhookInput, INPUT],  # noqa: A002
) -> SendTestWebhookPayload:
    """Try an endpoint out."""
    done = await endpoints.try_out(
        info.context.runtime.writer,
        info.context.principal,
        _endpoint_id(input.webhook_endpoint_id),
        idempotency_key=checked_key(input.idempotency_key),
    )
    return SendTestWebhookPayload(
        outgoing_webhook=OutgoingWebhook(model=done.message), replayed=done.replayed
    )


@answering(ReplayOutgoingWebhooksPayload)
async def replay_outgoing_webhooks(
    info: AppInfo,
    input: Annotated[ReplayOutgoingWebhooksInput, INPUT],  # noqa: A002
) -> ReplayOutgoingWebhooksPayload:
    """Send messages again."""
    done = await _replay(info, input)
    return ReplayOutgoingWebhooksPayload(
        outgoing_webhooks=[OutgoingWebhook(model=row) for row in done.messages], replayed=done.replayed
    )


async def _replay(info: AppInfo, given: ReplayOutgoingWebhooksInput) -> Resent:
    key = checked_key(given.idempotency_key)
    writer, actor = info.context.runtime.writer, info.context.principal.actor
    if (given.outgoing_webhook_ids is None) == (given.filter is None):
        raise FieldInvalid(
            "Give `outgoingWebhookIds` or a `filter`, and not both.", field=("outgoingWebhookIds",)
        )
    if given.outgoing_webhook_ids is not None:
        ids = [
            decode_id(one, "OutgoingWebhook", field=("outgoingWebhookIds", str(place)))
            for place, one in enumerate(given.outgoing_webhook_ids[: endpoints.REPLAYED_MAX + 1])
        ]
        return await endpoints.replay(writer, actor, ids, idempotency_key=key)
    return await endpoints.replay_found(writer, actor, message_filter(given.filter), idempotency_key=key)


def _asked(info: AppInfo, note: str, key: str) -> Asked:
    return Asked(info.context.principal, note, checked_key(key))


def _endpoint_id(text: str) -> UUID:
    return decode_id(text, "WebhookEndpoint", field=("webhookEndpointId",))
