"""What came in from the store."""

import strawberry

from app.context import AppInfo
from app.models.delivery import Delivery as DeliveryModel
from app.schema.types.enums import Capability, DeliveryStatus, Door
from app.schema.types.filters import texts
from app.schema.types.node import ID_DESCRIPTION, Node, decode_id, encode_id
from app.schema.types.scalars import DateTime
from app.schema.types.time import TimeRange
from app.services.delivery import DeliveryFilter

BODY_MAX = 10_000
"""Characters of a body that are shown at most."""

ADVICE = {
    DeliveryStatus.FAILED: "It is tried again by itself.",
    DeliveryStatus.DEAD: "Put right what is wrong, then replay it.",
}
"""What is to be done about a delivery that went wrong."""


@strawberry.type(description="An authentic message of the store, and what became of it.")
class WebhookDelivery(Node):
    """A delivery."""

    model: strawberry.Private[DeliveryModel]

    @strawberry.field(description=ID_DESCRIPTION)
    def id(self) -> strawberry.ID:
        """Return the global id."""
        return encode_id("WebhookDelivery", self.model.id)

    @strawberry.field(description="Which way it came in.")
    def door(self) -> Door:
        """Return the door."""
        return Door(self.model.door)

    @strawberry.field(
        description="What it is about, in the words of the store's software, such as order.updated."
    )
    def topic(self) -> str:
        """Return the topic."""
        return self.model.topic

    @strawberry.field(description="The number that the store's software gave it; null when it gave none.")
    def store_delivery_id(self) -> str | None:
        """Return the number."""
        return self.model.external_id

    @strawberry.field(description="How it stands.")
    def status(self) -> DeliveryStatus:
        """Return the status."""
        return DeliveryStatus(self.model.status)

    @strawberry.field(description="How often it was worked on since it came in or was replayed.")
    def attempts(self) -> int:
        """Return the number."""
        return self.model.attempts

    @strawberry.field(description="How often the very same message came again; it is kept once.")
    def repeats(self) -> int:
        """Return the number."""
        return self.model.repeats

    @strawberry.field(
        description="When it is worked on at the earliest; null when it is not tried again by itself."
    )
    def next_attempt_at(self) -> DateTime | None:
        """Return the time."""
        time = self.model.next_attempt_at
        return None if time is None else DateTime(time)

    @strawberry.field(description="What went wrong last, and what to do next; null when nothing did.")
    def error(self) -> str | None:
        """Return the sentences."""
        if self.model.error is None:
            return None
        advice = ADVICE.get(DeliveryStatus(self.model.status), "")
        return f"{self.model.error} {advice}".strip()

    @strawberry.field(description="What came of it, in a sentence; null until something did.")
    def summary(self) -> str | None:
        """Return the sentence."""
        return self.model.summary

    @strawberry.field(description="When it came in for the first time.")
    def received_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.received_at)

    @strawberry.field(description="When the same message came in last; null when it came once.")
    def repeated_at(self) -> DateTime | None:
        """Return the time."""
        time = self.model.repeated_at
        return None if time is None else DateTime(time)

    @strawberry.field(description="When it was worked off or given up; null while it waits.")
    def done_at(self) -> DateTime | None:
        """Return the time."""
        time = self.model.done_at
        return None if time is None else DateTime(time)

    @strawberry.field(description="The size of its body in bytes.")
    def size_bytes(self) -> int:
        """Return the size."""
        return self.model.size_bytes

    @strawberry.field(
        description=f"The first {BODY_MAX} characters of its body. It holds personal data, so it needs the capability "
        "CUSTOMERS_READ beside the one for deliveries; null without it."
    )
    async def body_preview(self, info: AppInfo) -> str | None:
        """Load the body."""
        if not info.context.principal.may(Capability.CUSTOMERS_READ):
            return None
        row = await info.context.loaders.delivery_bodies.load(self.model.id)
        # Four bytes a character at most, so no more need be decoded.
        return None if row is None else bytes(row.body)[: 4 * BODY_MAX].decode("utf-8", "replace")[:BODY_MAX]


@strawberry.input(description="What a list of deliveries is narrowed to; all that is given must hold.")
class WebhookDeliveryFilter:
    """Conditions on deliveries."""

    statuses: list[DeliveryStatus] | None = strawberry.field(
        default=None, description="In one of these states."
    )
    doors: list[Door] | None = strawberry.field(default=None, description="Came in one of these ways.")
    topics: list[str] | None = strawberry.field(default=None, description="About one of these topics.")
    received: TimeRange | None = strawberry.field(
        default=None, description="Came in for the first time then."
    )
    order_id: strawberry.ID | None = strawberry.field(default=None, description="Told of this order.")


def delivery_filter(wanted: WebhookDeliveryFilter | None) -> DeliveryFilter:
    """Return a filter as the services take it, or raise `FieldInvalid`."""
    if wanted is None:
        return DeliveryFilter()
    received, order_id = wanted.received, wanted.order_id
    return DeliveryFilter(
        statuses=texts(wanted.statuses, "filter.statuses"),
        doors=texts(wanted.doors, "filter.doors"),
        topics=texts(wanted.topics, "filter.topics"),
        order_id=None if order_id is None else decode_id(order_id, "Order", field=("filter", "orderId")),
        received_from=received.from_ if received else None,
        received_to=received.to if received else None,
    )
