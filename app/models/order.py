"""What the store said of an order, and what came of it."""

from typing import Any
from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from app.models.wallet import Wallet


class Order(Model):
    """The newest snapshot of a store's order. The id follows from `source` and `external_id`.

    `basis` is the newest snapshot whose status is known, where that is not the newest of all. Amounts are in minor
    units of `currency`; without a snapshot there are none.
    """

    id = fields.UUIDField(primary_key=True)
    wallet_id: UUID | None
    source = fields.CharField(max_length=32)
    external_id = fields.CharField(max_length=128)
    number = fields.CharField(max_length=200, default="")
    wallet: fields.ForeignKeyNullableRelation[Wallet] = fields.ForeignKeyField(
        "coffer.Wallet", related_name="orders", null=True, on_delete=fields.RESTRICT
    )
    claimed_by = fields.CharField(max_length=128, null=True)
    status = fields.CharField(max_length=16)
    currency = fields.CharField(max_length=3, null=True)
    total_minor = fields.BigIntField(null=True)
    subscription = fields.CharField(max_length=128, null=True)
    snapshot: fields.Field[dict[str, Any] | None] = fields.JSONField(null=True)
    basis: fields.Field[dict[str, Any] | None] = fields.JSONField(null=True)
    modified_at = fields.DatetimeField(null=True)
    deleted_at = fields.DatetimeField(null=True)
    credited_minor = fields.BigIntField(default=0)
    shortfall_minor = fields.BigIntField(default=0)
    problem = fields.CharField(max_length=32, null=True)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "orders"
        unique_together = (("source", "external_id"),)
