"""Cashback that was given, what was looked at, and what each rule has given in all."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from app.models.order import Order
from app.models.wallet import Wallet


class CashbackAward(Model):
    """What one rule, or a coupon, gave a customer for one occasion; it is taken back as its order is refunded.

    `given_by` is the id of the rule, or of the promotion. `taken` says where what was taken back came from; `clawed_minor` is the sum of it and `debt_minor` what of it is
    still owed. All amounts are integers of the currency's minor unit.
    """

    id = fields.UUIDField(primary_key=True)
    given_by = fields.UUIDField()
    rule_version = fields.IntField()
    source = fields.CharField(max_length=16)
    trigger = fields.CharField(max_length=16)
    wallet_id: UUID
    order_id: UUID | None
    wallet: fields.ForeignKeyRelation[Wallet] = fields.ForeignKeyField(
        "coffer.Wallet", related_name="awards", on_delete=fields.RESTRICT
    )
    order: fields.ForeignKeyNullableRelation[Order] = fields.ForeignKeyField(
        "coffer.Order", related_name="awards", null=True, on_delete=fields.RESTRICT
    )
    store_customer = fields.CharField(max_length=128)
    occasion_key = fields.CharField(max_length=400)
    status = fields.CharField(max_length=16)
    currency = fields.CharField(max_length=3)
    amount_minor = fields.BigIntField()
    order_total_minor = fields.BigIntField()
    clawed_minor = fields.BigIntField()
    debt_minor = fields.BigIntField()
    taken = fields.JSONField[dict[str, int]]()
    lines = fields.JSONField[list[list[object]]]()
    lot_ids = fields.JSONField[list[str]]()
    bucket = fields.CharField(max_length=16)
    occurred_on = fields.CharField(max_length=10)
    occurred_at = fields.DatetimeField()
    awarded_at = fields.DatetimeField()
    vests_at = fields.DatetimeField()
    expires_at = fields.DatetimeField(null=True)
    vested_at = fields.DatetimeField(null=True)
    expired_at = fields.DatetimeField(null=True)
    expired_minor = fields.BigIntField()
    explanation = fields.JSONField[dict[str, object]]()

    class Meta:
        table = "cashback_awards"


class CashbackEvaluation(Model):
    """That an occasion was looked at, and what each rule came to."""

    id = fields.UUIDField(primary_key=True)
    wallet_id: UUID
    order_id: UUID | None
    wallet: fields.ForeignKeyRelation[Wallet] = fields.ForeignKeyField(
        "coffer.Wallet", related_name="evaluations", on_delete=fields.RESTRICT
    )
    order: fields.ForeignKeyNullableRelation[Order] = fields.ForeignKeyField(
        "coffer.Order", related_name="evaluations", null=True, on_delete=fields.RESTRICT
    )
    trigger = fields.CharField(max_length=16)
    occasion_key = fields.CharField(max_length=400)
    currency = fields.CharField(max_length=3)
    total_minor = fields.BigIntField()
    outcomes = fields.JSONField[list[dict[str, object]]]()
    occurred_at = fields.DatetimeField()
    created_at = fields.DatetimeField()

    class Meta:
        table = "cashback_evaluations"


class CashbackTotal(Model):
    """What a rule, or a promotion, has given in all its versions, net of what was taken back."""

    id = fields.UUIDField(primary_key=True)
    given_by = fields.UUIDField(unique=True)
    given_minor = fields.BigIntField()
    awards = fields.BigIntField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "cashback_totals"
