"""Top-ups that were started and wait for their money."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from app.models.top_up import TopUp
from app.models.wallet import Wallet


class TopUpIntent(Model):
    """One row for each top-up that was started; `amount_minor` is in minor units of `currency`."""

    id = fields.UUIDField(primary_key=True)
    wallet_id: UUID
    top_up_id: UUID | None
    wallet: fields.ForeignKeyRelation[Wallet] = fields.ForeignKeyField(
        "coffer.Wallet", related_name="top_up_intents", on_delete=fields.RESTRICT
    )
    reference = fields.CharField(max_length=32, unique=True)
    amount_minor = fields.BigIntField()
    currency = fields.CharField(max_length=3)
    payment_method = fields.CharField(max_length=128, null=True)
    status = fields.CharField(max_length=16)
    top_up: fields.ForeignKeyNullableRelation[TopUp] = fields.ForeignKeyField(
        "coffer.TopUp", related_name="intents", null=True, on_delete=fields.RESTRICT
    )
    expires_at = fields.DatetimeField()
    created_by_kind = fields.CharField(max_length=16)
    created_by_id = fields.CharField(max_length=128)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "top_up_intents"
