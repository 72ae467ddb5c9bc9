"""Where customers are paid out to."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from app.models.wallet import Wallet


class PayoutMethod(Model):
    """A place that a wallet's withdrawals may be sent to; its details are encrypted."""

    id = fields.UUIDField(primary_key=True)
    wallet_id: UUID
    wallet: fields.ForeignKeyRelation[Wallet] = fields.ForeignKeyField(
        "coffer.Wallet", related_name="payout_methods", on_delete=fields.RESTRICT
    )
    kind = fields.CharField(max_length=16)
    label = fields.CharField(max_length=100, default="")
    masked = fields.CharField(max_length=320)
    sealed = fields.BinaryField()
    fingerprint = fields.BinaryField()
    status = fields.CharField(max_length=16)
    usable_from = fields.DatetimeField()
    created_by_kind = fields.CharField(max_length=16)
    created_by_id = fields.CharField(max_length=128)
    created_at = fields.DatetimeField()
    removed_at = fields.DatetimeField(null=True)

    class Meta:
        table = "payout_methods"
