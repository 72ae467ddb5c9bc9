"""Promotions, their coupon codes, and what was redeemed."""

from typing import Any
from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from app.models.order import Order
from app.models.transaction import Transaction
from app.models.wallet import Wallet


class Promotion(Model):
    """A campaign; amounts in minor units of `currency`. `terms` are those of the domain, as JSON."""

    id = fields.UUIDField(primary_key=True)
    name = fields.CharField(max_length=100)
    description = fields.CharField(max_length=500, default="")
    status = fields.CharField(max_length=16)
    currency = fields.CharField(max_length=3)
    terms: fields.Field[dict[str, Any]] = fields.JSONField()
    starts_at = fields.DatetimeField(null=True)
    ends_at = fields.DatetimeField(null=True)
    uses_max = fields.BigIntField(null=True)
    budget_minor = fields.BigIntField(null=True)
    uses = fields.BigIntField(default=0)
    granted_minor = fields.BigIntField(default=0)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "promotions"


class CouponCode(Model):
    """A code in normal form, of one promotion at a time. The id follows from the code."""

    id = fields.UUIDField(primary_key=True)
    promotion_id: UUID
    promotion: fields.ForeignKeyRelation[Promotion] = fields.ForeignKeyField(
        "coffer.Promotion", related_name="codes", on_delete=fields.RESTRICT
    )
    batch_id = fields.UUIDField()
    code = fields.CharField(max_length=48, unique=True)
    uses_max = fields.BigIntField(null=True)
    uses = fields.BigIntField(default=0)
    created_at = fields.DatetimeField()

    class Meta:
        table = "coupon_codes"


class PromotionUse(Model):
    """How often one customer, by the store's id, used a promotion. The id follows from both."""

    id = fields.UUIDField(primary_key=True)
    promotion_id: UUID
    promotion: fields.ForeignKeyRelation[Promotion] = fields.ForeignKeyField(
        "coffer.Promotion", related_name="customers", on_delete=fields.RESTRICT
    )
    customer = fields.CharField(max_length=128)
    uses = fields.BigIntField()
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "promotion_uses"


class CouponRedemption(Model):
    """What became of a code, for an order or by itself; amounts in minor units of `currency`. `counts` is 0 or 1.

    `lines` are lists of the order's line id, what counted of it, what it earned, and what it is worth in refunds.
    """

    id = fields.UUIDField(primary_key=True)
    promotion_id: UUID
    coupon_id: UUID
    wallet_id: UUID
    order_id: UUID | None
    transaction_id: UUID | None
    promotion: fields.ForeignKeyRelation[Promotion] = fields.ForeignKeyField(
        "coffer.Promotion", related_name="redemptions", on_delete=fields.RESTRICT
    )
    coupon: fields.ForeignKeyRelation[CouponCode] = fields.ForeignKeyField(
        "coffer.CouponCode", related_name="redemptions", on_delete=fields.RESTRICT
    )
    code = fields.CharField(max_length=48)
    wallet: fields.ForeignKeyRelation[Wallet] = fields.ForeignKeyField(
        "coffer.Wallet", related_name="coupon_redemptions", on_delete=fields.RESTRICT
    )
    order: fields.ForeignKeyNullableRelation[Order] = fields.ForeignKeyField(
        "coffer.Order", related_name="coupon_redemptions", null=True, on_delete=fields.RESTRICT
    )
    transaction: fields.ForeignKeyNullableRelation[Transaction] = fields.ForeignKeyField(
        "coffer.Transaction", related_name="coupon_redemptions", null=True, on_delete=fields.RESTRICT
    )
    status = fields.CharField(max_length=16)
    problem = fields.CharField(max_length=24, null=True)
    amount_minor = fields.BigIntField()
    order_total_minor = fields.BigIntField()
    currency = fields.CharField(max_length=3)
    lines: fields.Field[list[list[Any]]] = fields.JSONField()
    lots: fields.Field[list[str]] = fields.JSONField()
    taken: fields.Field[dict[str, int]] = fields.JSONField()
    counts = fields.IntField()
    expires_at = fields.DatetimeField(null=True)
    created_by_kind = fields.CharField(max_length=16)
    created_by_id = fields.CharField(max_length=128)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "coupon_redemptions"
