"""One credit with its bucket, remaining amount, expiry and source; debits draw on lots."""

from datetime import datetime
from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from app.models.wallet import Wallet


class Lot(Model):
    """`remaining_minor` is free to be drawn, `held_minor` is reserved by holds; both in minor units.

    `sequence` is that of the transaction that opened the lot, so the oldest lot has the lowest.
    A lot with nothing remaining and nothing held is closed, and is never loaded again by the writer unless a
    command gives value back to it. What comes back after `expires_at` can be spent until `grace_until`.
    """

    id = fields.UUIDField(primary_key=True)
    wallet_id: UUID
    wallet: fields.ForeignKeyRelation[Wallet] = fields.ForeignKeyField(
        "coffer.Wallet", related_name="lots", on_delete=fields.RESTRICT
    )
    bucket = fields.CharField(max_length=16)
    sequence = fields.BigIntField()
    original_minor = fields.BigIntField()
    remaining_minor = fields.BigIntField()
    held_minor = fields.BigIntField(default=0)
    expires_at = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField()
    grace_until = fields.DatetimeField(null=True)

    class Meta:
        table = "lots"
        unique_together = (("wallet", "sequence"),)

    @property
    def ends_at(self) -> datetime | None:
        """Until when its value can be spent."""
        return self.expires_at if self.grace_until is None else self.grace_until
