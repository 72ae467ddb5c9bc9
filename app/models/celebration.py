"""Occasions that came by themselves: sign-ups and birthdays."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from app.models.wallet import Wallet


class Celebration(Model):
    """One row for each occasion of a customer. Append-only."""

    id = fields.UUIDField(primary_key=True)
    wallet_id: UUID
    wallet: fields.ForeignKeyRelation[Wallet] = fields.ForeignKeyField(
        "coffer.Wallet", related_name="celebrations", on_delete=fields.RESTRICT
    )
    trigger = fields.CharField(max_length=32)
    key = fields.CharField(max_length=64)
    occurred_at = fields.DatetimeField()
    created_at = fields.DatetimeField()

    class Meta:
        table = "celebrations"
        unique_together = (("wallet", "key"),)
