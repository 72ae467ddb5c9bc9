"""The customer's request to be paid out."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from app.models.hold import Hold
from app.models.transaction import Transaction
from app.models.wallet import Wallet


class Withdrawal(Model):
    """A request holds its amount at once; what becomes of it, step by step, stands in `withdrawal_steps`."""

    id = fields.UUIDField(primary_key=True)
    wallet_id: UUID
    hold_id: UUID
    transaction_id: UUID | None
    wallet: fields.ForeignKeyRelation[Wallet] = fields.ForeignKeyField(
        "coffer.Wallet", related_name="withdrawals", on_delete=fields.RESTRICT
    )
    hold: fields.OneToOneRelation[Hold] = fields.OneToOneField(
        "coffer.Hold", related_name="withdrawal", on_delete=fields.RESTRICT
    )
    transaction: fields.OneToOneNullableRelation[Transaction] = fields.OneToOneField(
        "coffer.Transaction", related_name="withdrawal", null=True, on_delete=fields.RESTRICT
    )
    reference = fields.CharField(max_length=32, unique=True)
    status = fields.CharField(max_length=16)
    amount_minor = fields.BigIntField()
    currency = fields.CharField(max_length=3)
    note = fields.CharField(max_length=1000, default="")
    payout_reference = fields.CharField(max_length=128, null=True)
    requested_by_kind = fields.CharField(max_length=16)
    requested_by_id = fields.CharField(max_length=128)
    decided_by_kind = fields.CharField(max_length=16, null=True)
    decided_by_id = fields.CharField(max_length=128, null=True)
    decision_note = fields.CharField(max_length=1000, null=True)
    created_at = fields.DatetimeField()
    decided_at = fields.DatetimeField(null=True)
    method = fields.CharField(max_length=32, default="MANUAL")
    fee_minor = fields.BigIntField(default=0)
    fee_payer = fields.CharField(max_length=16, default="STORE")
    payout_method_id = fields.UUIDField(null=True)
    provider = fields.CharField(max_length=32, null=True)
    provider_reference = fields.CharField(max_length=128, null=True)
    batch_reference = fields.CharField(max_length=32, null=True)
    problem = fields.CharField(max_length=32, null=True)
    step_count = fields.IntField(default=1)

    class Meta:
        table = "withdrawals"
