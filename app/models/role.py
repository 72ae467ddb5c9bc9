"""Roles: named sets of capabilities."""

from datetime import datetime

from tortoise import fields
from tortoise.models import Model


class Role(Model):
    """Never deleted: a role that is not wanted any more is archived, and grants nothing.

    `capabilities` and `maps_from` are JSON lists of texts. Every change has an audit entry.
    """

    id = fields.UUIDField(primary_key=True)
    name = fields.CharField(max_length=48, unique=True)
    description = fields.CharField(max_length=500, default="")
    capabilities: fields.Field[list[str]] = fields.JSONField()
    maps_from: fields.Field[list[str]] = fields.JSONField()
    archived_at: fields.Field[datetime | None] = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "roles"
