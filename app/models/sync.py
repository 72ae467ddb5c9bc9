"""How far readings of the store's own records have come."""

from datetime import datetime
from typing import Any

from tortoise import fields
from tortoise.models import Model


class SyncCursor(Model):
    """One row a reading; `position` is the reader's own."""

    id = fields.UUIDField(primary_key=True)
    name = fields.CharField(max_length=64)
    position: fields.Field[Any] = fields.JSONField()
    leased_until: fields.Field[datetime | None] = fields.DatetimeField(null=True)
    holder = fields.CharField(max_length=64, null=True)
    updated_at = fields.DatetimeField()

    class Meta:
        table = "sync_cursors"
