"""What providers told of payouts."""

from tortoise import fields
from tortoise.models import Model


class PayoutMessage(Model):
    """Append-only: one message of a provider about one payout, as it was understood."""

    id = fields.UUIDField(primary_key=True)
    provider = fields.CharField(max_length=32)
    external_id = fields.CharField(max_length=256)
    withdrawal_id = fields.UUIDField(null=True)
    provider_reference = fields.CharField(max_length=128, null=True)
    kind = fields.CharField(max_length=16)
    received_at = fields.DatetimeField()

    class Meta:
        table = "payout_messages"
