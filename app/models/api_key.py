"""API keys of services."""

from datetime import datetime
from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from app.models.role import Role


class ApiKey(Model):
    """One row for each secret, of which only the SHA-256 is kept. Either `role` or `capabilities` is set.

    `last_used_at` is written once a minute at most, by `services.access`; everything else by the writer.
    """

    id = fields.UUIDField(primary_key=True)
    role_id: UUID | None
    replaces_id: UUID | None
    prefix = fields.CharField(max_length=16, unique=True)
    hash = fields.BinaryField()
    name = fields.CharField(max_length=64)
    role: fields.ForeignKeyNullableRelation[Role] = fields.ForeignKeyField(
        "coffer.Role", related_name="api_keys", null=True, on_delete=fields.RESTRICT
    )
    capabilities: fields.Field[list[str] | None] = fields.JSONField(null=True)
    expires_at: fields.Field[datetime | None] = fields.DatetimeField(null=True)
    replaces: fields.ForeignKeyNullableRelation["ApiKey"] = fields.ForeignKeyField(
        "coffer.ApiKey", related_name="replaced_by", null=True, on_delete=fields.RESTRICT
    )
    created_by_kind = fields.CharField(max_length=16)
    created_by_id = fields.CharField(max_length=128)
    created_at = fields.DatetimeField()
    last_used_at: fields.Field[datetime | None] = fields.DatetimeField(null=True)
    revoked_at: fields.Field[datetime | None] = fields.DatetimeField(null=True)

    class Meta:
        table = "api_keys"
