"""Who did what beside moving money, when and why."""

from typing import Any
from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from app.models.wallet import Wallet


class AuditEntry(Model):
    """Append-only. Money explains itself by its transaction; this is for freezes, decisions and settings."""

    id = fields.UUIDField(primary_key=True)
    wallet_id: UUID | None
    wallet: fields.ForeignKeyNullableRelation[Wallet] = fields.ForeignKeyField(
        "coffer.Wallet", related_name="audit_entries", null=True, on_delete=fields.RESTRICT
    )
    action = fields.CharField(max_length=48)
    actor_kind = fields.CharField(max_length=16)
    actor_id = fields.CharField(max_length=128)
    note = fields.CharField(max_length=1000, default="")
    data: fields.Field[dict[str, Any]] = fields.JSONField()
    created_at = fields.DatetimeField()

    class Meta:
        table = "audit_entries"
