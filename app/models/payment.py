"""What a wallet gives towards an order."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from app.models.hold import Hold
from app.models.order import Order
from app.models.wallet import Wallet


class Payment(Model):
    """What a wallet gives towards an order; it stands on one hold. Amounts in minor units of `currency`."""

    id = fields.UUIDField(primary_key=True)
    order_id: UUID
    wallet_id: UUID
    hold_id: UUID
    order: fields.ForeignKeyRelation[Order] = fields.ForeignKeyField(
        "coffer.Order", related_name="payments", on_delete=fields.RESTRICT
    )
    wallet: fields.ForeignKeyRelation[Wallet] = fields.ForeignKeyField(
        "coffer.Wallet", related_name="payments", on_delete=fields.RESTRICT
    )
    hold: fields.OneToOneRelation[Hold] = fields.OneToOneField(
        "coffer.Hold", related_name="payment", on_delete=fields.RESTRICT
    )
    reference = fields.CharField(max_length=32, unique=True)
    origin = fields.CharField(max_length=16)
    capture = fields.CharField(max_length=16)
    status = fields.CharField(max_length=24)
    amount_minor = fields.BigIntField()
    owed_minor = fields.BigIntField()
    captured_minor = fields.BigIntField(default=0)
    requested_minor = fields.BigIntField(default=0)
    returned_minor = fields.BigIntField(default=0)
    currency = fields.CharField(max_length=3)
    buckets: fields.Field[list[str]] = fields.JSONField()
    ended_by = fields.CharField(max_length=16, null=True)
    expires_at = fields.DatetimeField(null=True)
    created_by_kind = fields.CharField(max_length=16)
    created_by_id = fields.CharField(max_length=128)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()
    after_failure_at = fields.DatetimeField(null=True)

    class Meta:
        table = "payments"
