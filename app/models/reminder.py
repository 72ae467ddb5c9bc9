"""What customers were reminded of before it expires."""

from datetime import date
from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from app.models.wallet import Wallet


class ExpiryReminder(Model):
    """One row for each wallet and day on which value of it expires. Append-only."""

    id = fields.UUIDField(primary_key=True)
    wallet_id: UUID
    wallet: fields.ForeignKeyRelation[Wallet] = fields.ForeignKeyField(
        "coffer.Wallet", related_name="expiry_reminders", on_delete=fields.RESTRICT
    )
    expires_on: fields.Field[date] = fields.DateField()
    expires_at = fields.DatetimeField()
    amount_minor = fields.BigIntField()
    currency = fields.CharField(max_length=3)
    created_at = fields.DatetimeField()

    class Meta:
        table = "expiry_reminders"
        unique_together = (("wallet", "expires_on"),)
