"""Which renewals of subscriptions are coming."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from app.models.wallet import Wallet


class Renewal(Model):
    """The next renewal of a subscription, as the store announced it; the amount in minor units of `currency`."""

    id = fields.UUIDField(primary_key=True)
    wallet_id: UUID
    wallet: fields.ForeignKeyRelation[Wallet] = fields.ForeignKeyField(
        "coffer.Wallet", related_name="renewals", on_delete=fields.RESTRICT
    )
    source = fields.CharField(max_length=32)
    subscription = fields.CharField(max_length=128)
    description = fields.CharField(max_length=200, default="")
    amount_minor = fields.BigIntField()
    currency = fields.CharField(max_length=3)
    due_at = fields.DatetimeField()
    status = fields.CharField(max_length=16)
    created_by_kind = fields.CharField(max_length=16)
    created_by_id = fields.CharField(max_length=128)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "renewals"
        unique_together = (("source", "subscription"),)
