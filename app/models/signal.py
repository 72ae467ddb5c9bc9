"""What was noticed of callers."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from app.models.wallet import Wallet


class Signal(Model):
    """Append-only. One row a caller and minute at most for each process: enough for rules, and bounded."""

    id = fields.UUIDField(primary_key=True)
    kind = fields.CharField(max_length=32)
    actor_kind = fields.CharField(max_length=16)
    actor_id = fields.CharField(max_length=128)
    wallet_id: UUID | None
    wallet: fields.ForeignKeyNullableRelation[Wallet] = fields.ForeignKeyField(
        "coffer.Wallet", related_name="signals", null=True, on_delete=fields.RESTRICT
    )
    count = fields.IntField()
    window_s = fields.IntField()
    created_at = fields.DatetimeField()

    class Meta:
        table = "signals"
