"""Cashback rules: the newest version of each, and every version that there was."""

from datetime import datetime
from typing import Any
from uuid import UUID

from tortoise import fields
from tortoise.models import Model


class CashbackRule(Model):
    """A rule as it is now. Never deleted: what it gave stays explained.

    `data` is the newest version as the domain writes it; the columns beside it are there to be searched by.
    `revision` is that version's: the highest of all rules tells whether what a process knows of them is still so.
    """

    id = fields.UUIDField(primary_key=True)
    version = fields.IntField()
    revision = fields.BigIntField(unique=True)
    status = fields.CharField(max_length=16)
    trigger_kind = fields.CharField(max_length=16)
    name = fields.CharField(max_length=100)
    currency = fields.CharField(max_length=3, null=True)
    priority = fields.IntField()
    starts_at: fields.Field[datetime | None] = fields.DatetimeField(null=True)
    ends_at: fields.Field[datetime | None] = fields.DatetimeField(null=True)
    data: fields.Field[dict[str, Any]] = fields.JSONField()
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "cashback_rules"


class CashbackRuleVersion(Model):
    """One version of a rule, with who made it, when and why. Append-only.

    `revision` counts the versions of all rules together: 1, 2, 3 … in the order in which they were made.
    """

    id = fields.UUIDField(primary_key=True)
    rule_id: UUID
    rule: fields.ForeignKeyRelation[CashbackRule] = fields.ForeignKeyField(
        "coffer.CashbackRule", related_name="versions", on_delete=fields.RESTRICT
    )
    version = fields.IntField()
    revision = fields.BigIntField(unique=True)
    data: fields.Field[dict[str, Any]] = fields.JSONField()
    actor_kind = fields.CharField(max_length=16)
    actor_id = fields.CharField(max_length=128)
    note = fields.CharField(max_length=1000)
    created_at = fields.DatetimeField()

    class Meta:
        table = "cashback_rule_versions"
        unique_together = (("rule", "version"),)
