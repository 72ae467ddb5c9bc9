"""Rules by which the store charges saved payment methods, and what they asked for."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from app.models.top_up import TopUp
from app.models.wallet import Wallet


class AutoTopUp(Model):
    """One row for each wallet and kind of rule; amounts in minor units of `currency`."""

    id = fields.UUIDField(primary_key=True)
    wallet_id: UUID
    wallet: fields.ForeignKeyRelation[Wallet] = fields.ForeignKeyField(
        "coffer.Wallet", related_name="auto_top_ups", on_delete=fields.RESTRICT
    )
    kind = fields.CharField(max_length=16)
    threshold_minor = fields.BigIntField(null=True)
    day_of_month = fields.IntField(null=True)
    amount_minor = fields.BigIntField()
    currency = fields.CharField(max_length=3)
    payment_method = fields.CharField(max_length=128)
    payment_token = fields.CharField(max_length=128)
    status = fields.CharField(max_length=16)
    declines = fields.IntField()
    next_attempt_at = fields.DatetimeField()
    charge_id = fields.UUIDField(null=True)
    created_by_kind = fields.CharField(max_length=16)
    created_by_id = fields.CharField(max_length=128)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "auto_top_ups"
        unique_together = (("wallet", "kind"),)


class AutoTopUpCharge(Model):
    """One row for each request to the store to charge; `amount_minor` is in minor units of `currency`."""

    id = fields.UUIDField(primary_key=True)
    wallet_id: UUID
    rule_id: UUID
    top_up_id: UUID | None
    wallet: fields.ForeignKeyRelation[Wallet] = fields.ForeignKeyField(
        "coffer.Wallet", related_name="auto_top_up_charges", on_delete=fields.RESTRICT
    )
    rule: fields.ForeignKeyRelation[AutoTopUp] = fields.ForeignKeyField(
        "coffer.AutoTopUp", related_name="charges", on_delete=fields.RESTRICT
    )
    reference = fields.CharField(max_length=32, unique=True)
    amount_minor = fields.BigIntField()
    currency = fields.CharField(max_length=3)
    payment_method = fields.CharField(max_length=128)
    payment_token = fields.CharField(max_length=128)
    attempt = fields.IntField()
    status = fields.CharField(max_length=16)
    top_up: fields.ForeignKeyNullableRelation[TopUp] = fields.ForeignKeyField(
        "coffer.TopUp", related_name="charges", null=True, on_delete=fields.RESTRICT
    )
    problem = fields.CharField(max_length=200)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "auto_top_up_charges"
