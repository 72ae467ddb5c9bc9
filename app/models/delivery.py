"""What came in from the store."""

from datetime import datetime
from uuid import UUID

from tortoise import fields
from tortoise.models import Model


class Delivery(Model):
    """One authentic message of the store. It may hold personal data, so it is deleted after a while.

    `order_id` is no foreign key: what a message tells of an order may come to nothing.
    """

    id = fields.UUIDField(primary_key=True)
    door = fields.CharField(max_length=16)
    topic = fields.CharField(max_length=100)
    external_id = fields.CharField(max_length=128, null=True)
    content_hash = fields.BinaryField()
    size_bytes = fields.IntField()
    status = fields.CharField(max_length=16)
    attempts = fields.IntField()
    repeats = fields.IntField()
    next_attempt_at: fields.Field[datetime | None] = fields.DatetimeField(null=True)
    error = fields.CharField(max_length=500, null=True)
    summary = fields.CharField(max_length=500, null=True)
    order_id: fields.Field[UUID | None] = fields.UUIDField(null=True)
    received_at = fields.DatetimeField()
    repeated_at: fields.Field[datetime | None] = fields.DatetimeField(null=True)
    done_at: fields.Field[datetime | None] = fields.DatetimeField(null=True)

    class Meta:
        table = "deliveries"


class DeliveryBody(Model):
    """The body of a delivery, exactly as it came: apart, so that neither lists nor the writer's locks read it."""

    id = fields.UUIDField(primary_key=True)
    delivery_id: UUID
    delivery: fields.OneToOneRelation[Delivery] = fields.OneToOneField(
        "coffer.Delivery", related_name="content", on_delete=fields.RESTRICT
    )
    body = fields.BinaryField()

    class Meta:
        table = "delivery_bodies"
