"""The store's own settings, each change a new version."""

from typing import Any

from tortoise import fields
from tortoise.models import Model


class SettingsVersion(Model):
    """Append-only. The row with the highest `version` is in force."""

    version = fields.BigIntField(primary_key=True, generated=False)
    data: fields.Field[dict[str, Any]] = fields.JSONField()
    actor_kind = fields.CharField(max_length=16)
    actor_id = fields.CharField(max_length=128)
    note = fields.CharField(max_length=1000, default="")
    created_at = fields.DatetimeField()

    class Meta:
        table = "settings_versions"
