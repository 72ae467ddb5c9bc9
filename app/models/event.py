"""Named events that the store told of."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from app.models.wallet import Wallet


class StoreEvent(Model):
    """One row for each event of a customer, by the store's own id. Append-only."""

    id = fields.UUIDField(primary_key=True)
    wallet_id: UUID
    wallet: fields.ForeignKeyRelation[Wallet] = fields.ForeignKeyField(
        "coffer.Wallet", related_name="store_events", on_delete=fields.RESTRICT
    )
    name = fields.CharField(max_length=100)
    external_id = fields.CharField(max_length=128)
    occurred_at = fields.DatetimeField()
    created_by_kind = fields.CharField(max_length=16)
    created_by_id = fields.CharField(max_length=128)
    created_at = fields.DatetimeField()

    class Meta:
        table = "store_events"
        unique_together = (("wallet", "name", "external_id"),)
