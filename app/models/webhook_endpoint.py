"""Who is told of what happens, by signed messages."""

from datetime import datetime
from typing import Any

from tortoise import fields
from tortoise.models import Model


class WebhookEndpoint(Model):
    """An endpoint; its secrets are sealed with the server's key."""

    id = fields.UUIDField(primary_key=True)
    url = fields.CharField(max_length=500)
    description = fields.CharField(max_length=200)
    events: fields.Field[list[str]] = fields.JSONField()
    status = fields.CharField(max_length=16)
    disabled_by = fields.CharField(max_length=16, null=True)
    capabilities: fields.Field[list[str]] = fields.JSONField()
    secrets: fields.Field[list[dict[str, Any]]] = fields.JSONField()
    created_by_kind = fields.CharField(max_length=16)
    created_by_id = fields.CharField(max_length=128)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()
    failing_since: fields.Field[datetime | None] = fields.DatetimeField(null=True)

    class Meta:
        table = "webhook_endpoints"
