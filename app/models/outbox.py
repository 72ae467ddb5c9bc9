"""What leaves the program: events, the messages that tell of them, and the attempts to send those."""

from datetime import datetime
from uuid import UUID

from tortoise import fields
from tortoise.models import Model


class OutboxEvent(Model):
    """Something that happened, until everybody who listens was written a message.

    The ids of rows are no foreign keys: events are deleted after a while, and what they tell of may be of any table.
    """

    id = fields.UUIDField(primary_key=True)
    type = fields.CharField(max_length=64)
    version = fields.IntField()
    wallet_id: fields.Field[UUID | None] = fields.UUIDField(null=True)
    order_id: fields.Field[UUID | None] = fields.UUIDField(null=True)
    subject_id = fields.UUIDField()
    data: fields.Field[dict[str, object]] = fields.JSONField()
    created_at = fields.DatetimeField()
    relayed_at: fields.Field[datetime | None] = fields.DatetimeField(null=True)

    class Meta:
        table = "outbox_events"


class OutboxMessage(Model):
    """One thing to be sent to one receiver. `event_id` is no foreign key: the event may be deleted first."""

    id = fields.UUIDField(primary_key=True)
    event_id: fields.Field[UUID | None] = fields.UUIDField(null=True)
    channel = fields.CharField(max_length=16)
    target = fields.CharField(max_length=128)
    topic = fields.CharField(max_length=100)
    body: fields.Field[dict[str, object]] = fields.JSONField()
    status = fields.CharField(max_length=16)
    attempts = fields.IntField()
    next_attempt_at: fields.Field[datetime | None] = fields.DatetimeField(null=True)
    error = fields.CharField(max_length=500, null=True)
    status_code: fields.Field[int | None] = fields.IntField(null=True)
    created_at = fields.DatetimeField()
    done_at: fields.Field[datetime | None] = fields.DatetimeField(null=True)

    class Meta:
        table = "outbox_messages"


class OutboxAttempt(Model):
    """One attempt to send a message."""

    id = fields.UUIDField(primary_key=True)
    message_id: UUID
    message: fields.ForeignKeyRelation[OutboxMessage] = fields.ForeignKeyField(
        "coffer.OutboxMessage", related_name="tries", on_delete=fields.RESTRICT
    )
    number = fields.IntField()
    started_at = fields.DatetimeField()
    duration_ms = fields.IntField()
    status_code: fields.Field[int | None] = fields.IntField(null=True)
    error = fields.CharField(max_length=500, null=True)
    answer = fields.CharField(max_length=1000, null=True)

    class Meta:
        table = "outbox_attempts"
