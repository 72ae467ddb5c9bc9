"""What providers told of payouts."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from app.models.withdrawal import Withdrawal


class PayoutMessage(Model):
    """Append-only: one message of a provider about one payout, as it was understood."""

    id = fields.UUIDField(primary_key=True)
    provider = fields.CharField(max_length=32)
    external_id = fields.CharField(max_length=256)
    withdrawal_id: UUID | None
    withdrawal: fields.ForeignKeyNullableRelation[Withdrawal] = fields.ForeignKeyField(
        "coffer.Withdrawal", related_name="payout_messages", null=True, on_delete=fields.RESTRICT
    )
    provider_reference = fields.CharField(max_length=128, null=True)
    kind = fields.CharField(max_length=16)
    received_at = fields.DatetimeField()

    class Meta:
        table = "payout_messages"
