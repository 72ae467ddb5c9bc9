"""What of an order was refunded, and where it went."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from app.models.order import Order
from app.models.wallet import Wallet


class Refund(Model):
    """One refund of an order, and where its money went; amounts in minor units of `currency`.

    `lines` are lists of the order's line id, the quantity, and the amounts without and of tax.
    """

    id = fields.UUIDField(primary_key=True)
    order_id: UUID
    wallet_id: UUID
    order: fields.ForeignKeyRelation[Order] = fields.ForeignKeyField(
        "coffer.Order", related_name="refunds", on_delete=fields.RESTRICT
    )
    wallet: fields.ForeignKeyRelation[Wallet] = fields.ForeignKeyField(
        "coffer.Wallet", related_name="refunds", on_delete=fields.RESTRICT
    )
    reference = fields.CharField(max_length=32, unique=True)
    external_id = fields.CharField(max_length=128, null=True)
    destination = fields.CharField(max_length=24)
    bucket = fields.CharField(max_length=16)
    amount_minor = fields.BigIntField()
    shipping_minor = fields.BigIntField(default=0)
    tax_minor = fields.BigIntField(default=0)
    wallet_minor = fields.BigIntField(default=0)
    credited_minor = fields.BigIntField(default=0)
    elsewhere_minor = fields.BigIntField(default=0)
    currency = fields.CharField(max_length=3)
    note = fields.CharField(max_length=1000, default="")
    lines: fields.Field[list[tuple[str, str, int, int]]] = fields.JSONField()
    created_by_kind = fields.CharField(max_length=16)
    created_by_id = fields.CharField(max_length=128)
    refunded_at = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField()
    withdrawn_at = fields.DatetimeField(null=True)

    class Meta:
        table = "refunds"
