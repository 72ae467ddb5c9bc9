"""Who is told of what happens, by signed messages, and what was sent."""

from uuid import UUID

import orjson
import strawberry

from app.context import AppInfo
from app.domain.event_catalogue import CATALOGUE, EventType
from app.models.outbox import OutboxAttempt as OutboxAttemptModel, OutboxMessage as OutboxMessageModel
from app.models.webhook_endpoint import WebhookEndpoint as WebhookEndpointModel
from app.schema.types.enums import (
    Capability,
    OutgoingWebhookStatus,
    WebhookEndpointDisabledBy,
    WebhookEndpointStatus,
)
from app.schema.types.filters import texts
from app.schema.types.node import ID_DESCRIPTION, Node, decode_id, encode_id
from app.schema.types.scalars import BigInt, DateTime
from app.schema.types.time import TimeRange
from app.schema.types.transaction import Actor, actor
from app.services.webhook_endpoint import MessageFilter

ADVICE = {
    OutgoingWebhookStatus.WAITING: "It is tried again by itself.",
    OutgoingWebhookStatus.DEAD: "Put right what is wrong, then replay it.",
}
"""What is to be done about a message that went wrong."""


@strawberry.type(description="A kind of event that endpoints can be told of.")
class WebhookEventDefinition:
    """A kind of event."""

    name: str = strawberry.field(description="Its name, such as payment.captured.")
    description: str = strawberry.field(description="What happened when it is sent.")
    version: BigInt = strawberry.field(description="The version of its data; it rises when they change.")
    capability: Capability | None = strawberry.field(
        description="The capability that whoever set an endpoint up needs, so that the endpoint is told; null when none is."
    )


def event_types() -> list[WebhookEventDefinition]:
    """Return all kinds of events, in the order of the catalogue."""
    return [
        WebhookEventDefinition(
            name=str(name), description=kind.description, version=BigInt(kind.version), capability=kind.needs
        )
        for name, kind in CATALOGUE.items()
    ]


@strawberry.type(
    description="Where messages go that tell of what happens, and which. Its secrets are never shown again."
)
class WebhookEndpoint(Node):
    """An endpoint."""

    model: strawberry.Private[WebhookEndpointModel]

    @strawberry.field(description=ID_DESCRIPTION)
    def id(self) -> strawberry.ID:
        """Return the global id."""
        return encode_id("WebhookEndpoint", self.model.id)

    @strawberry.field(description="The address that messages are posted to.")
    def url(self) -> str:
        """Return the address."""
        return self.model.url

    @strawberry.field(description="What it is for, in the store's words.")
    def description(self) -> str:
        """Return the description."""
        return self.model.description

    @strawberry.field(
        description="What it is told of: names of events, their beginnings with a star (payment.*), or * for all."
    )
    def events(self) -> list[str]:
        """Return the patterns."""
        return list(self.model.events)

    @strawberry.field(description="Whether it is told anything.")
    def status(self) -> WebhookEndpointStatus:
        """Return the status."""
        return WebhookEndpointStatus(self.model.status)

    @strawberry.field(description="What switched it off; null while it is on.")
    def disabled_by(self) -> WebhookEndpointDisabledBy | None:
        """Return what did."""
        word = self.model.disabled_by
        return None if word is None else WebhookEndpointDisabledBy(word)

    @strawberry.field(
        description="What whoever set it up could see: it is told of nothing that needs another capability."
    )
    def capabilities(self) -> list[Capability]:
        """Return the capabilities."""
        return [Capability(word) for word in self.model.capabilities if word in Capability.__members__]

    @strawberry.field(
        description="Since when messages to it fail, none of which has arrived since; null when all is well."
    )
    def failing_since(self) -> DateTime | None:
        """Return the time."""
        return DateTime(self.model.failing_since) if self.model.failing_since else None

    @strawberry.field(description="Who set it up.")
    def created_by(self, info: AppInfo) -> Actor:
        """Return who did."""
        return actor(info, self.model.created_by_kind, self.model.created_by_id)

    @strawberry.field(description="When it was set up.")
    def created_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.created_at)

    @strawberry.field(description="When it was last changed.")
    def updated_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.updated_at)


@strawberry.type(description="One attempt to send a message, and what came back.")
class OutgoingWebhookAttempt:
    """An attempt."""

    model: strawberry.Private[OutboxAttemptModel]

    @strawberry.field(description="The number of the attempt since the message was written or replayed.")
    def number(self) -> int:
        """Return the number."""
        return self.model.number

    @strawberry.field(description="When it began.")
    def started_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.started_at)

    @strawberry.field(description="How long it took, in milliseconds.")
    def duration_ms(self) -> int:
        """Return the duration."""
        return self.model.duration_ms

    @strawberry.field(description="The status of HTTP that came back; null when none did.")
    def status_code(self) -> int | None:
        """Return the status."""
        return self.model.status_code

    @strawberry.field(description="What went wrong, in a sentence; null when the endpoint took the message.")
    def error(self) -> str | None:
        """Return the sentence."""
        return self.model.error

    @strawberry.field(description="The beginning of the answer's body; null when none came.")
    def answer(self) -> str | None:
        """Return the text."""
        return self.model.answer


@strawberry.type(description="A message to an endpoint that tells of one event.")
class OutgoingWebhook(Node):
    """A message."""

    model: strawberry.Private[OutboxMessageModel]

    @strawberry.field(description=ID_DESCRIPTION)
    def id(self) -> strawberry.ID:
        """Return the global id."""
        return encode_id("OutgoingWebhook", self.model.id)

    @strawberry.field(
        description="What the receiver finds in the header webhook-id: the same at every attempt and replay."
    )
    def webhook_id(self) -> str:
        """Return the header."""
        return f"msg_{self.model.id.hex}"

    @strawberry.field(description="The event that it tells of, such as payment.captured.")
    def event(self) -> str:
        """Return the name."""
        return self.model.topic

    @strawberry.field(description="Where it goes.")
    async def endpoint(self, info: AppInfo) -> WebhookEndpoint | None:
        """Load the endpoint."""
        row = await info.context.loaders.webhook_endpoints.load(UUID(self.model.target))
        return None if row is None else WebhookEndpoint(model=row)

    @strawberry.field(description="How it stands.")
    def status(self) -> OutgoingWebhookStatus:
        """Return the status."""
        return OutgoingWebhookStatus(self.model.status)

    @strawberry.field(description="How often it was sent since it was written or replayed.")
    def attempt_count(self) -> int:
        """Return the number."""
        return self.model.attempts

    @strawberry.field(description="The attempts to send it, oldest first, those before a replay too.")
    async def attempts(self, info: AppInfo) -> list[OutgoingWebhookAttempt]:
        """Load the attempts."""
        rows = await info.context.loaders.outbox_attempts.load(self.model.id)
        return [OutgoingWebhookAttempt(model=row) for row in rows]

    @strawberry.field(description="When it is sent at the earliest; null when it is not sent by itself.")
    def next_attempt_at(self) -> DateTime | None:
        """Return the time."""
        time = self.model.next_attempt_at
        return None if time is None else DateTime(time)

    @strawberry.field(description="What went wrong last, and what to do next; null when nothing did.")
    def error(self) -> str | None:
        """Return the sentences."""
        if self.model.error is None:
            return None
        return f"{self.model.error} {ADVICE.get(self.status_word, '')}".strip()

    @strawberry.field(description="The status of HTTP that came back last; null when none did.")
    def status_code(self) -> int | None:
        """Return the status."""
        return self.model.status_code

    @strawberry.field(description="When it was written.")
    def created_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.created_at)

    @strawberry.field(description="When it was delivered, given up or cancelled; null while it waits.")
    def done_at(self) -> DateTime | None:
        """Return the time."""
        time = self.model.done_at
        return None if time is None else DateTime(time)

    @strawberry.field(
        description="Its body as it is sent: JSON. It needs the capability that sees the event, beside the one for messages; "
        "null without it."
    )
    def payload(self, info: AppInfo) -> str | None:
        """Return the body."""
        name = self.model.topic
        needs = CATALOGUE[EventType(name)].needs if name in set(EventType) else Capability.AUDIT_READ
        if needs is not None and not info.context.principal.may(needs):
            return None
        return orjson.dumps(self.model.body, option=orjson.OPT_SORT_KEYS).decode()

    @property
    def status_word(self) -> OutgoingWebhookStatus:
        """The status as the domain has it."""
        return OutgoingWebhookStatus(self.model.status)


@strawberry.input(
    description="What a list of messages to endpoints is narrowed to; all that is given must hold."
)
class OutgoingWebhookFilter:
    """Conditions on messages."""

    endpoint_id: strawberry.ID | None = strawberry.field(default=None, description="To this endpoint.")
    statuses: list[OutgoingWebhookStatus] | None = strawberry.field(
        default=None, description="In one of these states."
    )
    events: list[str] | None = strawberry.field(default=None, description="Telling of one of these events.")
    created: TimeRange | None = strawberry.field(default=None, description="Written then.")


def message_filter(wanted: OutgoingWebhookFilter | None) -> MessageFilter:
    """Return a filter as the services take it, or raise `FieldInvalid`."""
    if wanted is None:
        return MessageFilter()
    created, endpoint_id = wanted.created, wanted.endpoint_id
    endpoint_ids = None
    if endpoint_id is not None:
        endpoint_ids = (decode_id(endpoint_id, "WebhookEndpoint", field=("filter", "endpointId")),)
    return MessageFilter(
        endpoint_ids=endpoint_ids,
        statuses=texts(wanted.statuses, "filter.statuses"),
        topics=texts(wanted.events, "filter.events"),
        created_from=created.from_ if created else None,
        created_to=created.to if created else None,
    )
