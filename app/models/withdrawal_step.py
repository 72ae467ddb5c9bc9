"""One step of a withdrawal."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from app.models.wallet import Wallet
from app.models.withdrawal import Withdrawal


class WithdrawalStep(Model):
    """Append-only: who moved a withdrawal from which status to which, when and why."""

    id = fields.UUIDField(primary_key=True)
    withdrawal_id: UUID
    wallet_id: UUID
    withdrawal: fields.ForeignKeyRelation[Withdrawal] = fields.ForeignKeyField(
        "coffer.Withdrawal", related_name="steps", on_delete=fields.RESTRICT
    )
    wallet: fields.ForeignKeyRelation[Wallet] = fields.ForeignKeyField(
        "coffer.Wallet", related_name="withdrawal_steps", on_delete=fields.RESTRICT
    )
    number = fields.IntField()
    from_status = fields.CharField(max_length=16, null=True)
    to_status = fields.CharField(max_length=16)
    actor_kind = fields.CharField(max_length=16)
    actor_id = fields.CharField(max_length=128)
    note = fields.CharField(max_length=1000, null=True)
    provider_reference = fields.CharField(max_length=128, null=True)
    problem = fields.CharField(max_length=32, null=True)
    created_at = fields.DatetimeField()

    class Meta:
        table = "withdrawal_steps"
        unique_together = (("withdrawal", "number"),)
