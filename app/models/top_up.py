"""Money that customers paid in by the store's checkout."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from app.models.order import Order
from app.models.transaction import Transaction
from app.models.wallet import Wallet


class TopUp(Model):
    """One row for each top-up, by the store's own id; amounts in minor units of `currency`."""

    id = fields.UUIDField(primary_key=True)
    wallet_id: UUID
    transaction_id: UUID | None
    order_id: UUID | None
    wallet: fields.ForeignKeyRelation[Wallet] = fields.ForeignKeyField(
        "coffer.Wallet", related_name="top_ups", on_delete=fields.RESTRICT
    )
    source = fields.CharField(max_length=32)
    external_id = fields.CharField(max_length=128)
    reference = fields.CharField(max_length=32, unique=True)
    paid_minor = fields.BigIntField()
    face_value_minor = fields.BigIntField(null=True)
    credited_minor = fields.BigIntField()
    shortfall_minor = fields.BigIntField()
    currency = fields.CharField(max_length=3)
    payment_method = fields.CharField(max_length=64, null=True)
    transaction: fields.OneToOneNullableRelation[Transaction] = fields.OneToOneField(
        "coffer.Transaction", related_name="top_up", null=True, on_delete=fields.RESTRICT
    )
    order: fields.ForeignKeyNullableRelation[Order] = fields.ForeignKeyField(
        "coffer.Order", related_name="top_ups", null=True, on_delete=fields.RESTRICT
    )
    paid_at = fields.DatetimeField()
    modified_at = fields.DatetimeField()
    created_by_kind = fields.CharField(max_length=16)
    created_by_id = fields.CharField(max_length=128)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "top_ups"
        unique_together = (("source", "external_id"),)
