"""The store's products and coupons, as far as the ledger needs them."""

from datetime import datetime
from typing import Any

from tortoise import fields
from tortoise.models import Model


class CatalogItem(Model):
    """A product or a coupon, as the store told of it last."""

    id = fields.UUIDField(primary_key=True)
    source = fields.CharField(max_length=32)
    kind = fields.CharField(max_length=16)
    external_id = fields.CharField(max_length=128)
    name = fields.CharField(max_length=200)
    code = fields.CharField(max_length=200, null=True)
    categories: fields.Field[Any] = fields.JSONField()
    modified_at = fields.DatetimeField()
    deleted_at: fields.Field[datetime | None] = fields.DatetimeField(null=True)

    class Meta:
        table = "catalog_items"
