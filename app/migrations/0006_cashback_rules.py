"""Cashback rules: the newest version of each, and all versions."""

from tortoise import fields
from tortoise.migrations import operations as ops

from app.migrations import _operations
from app.migrations._operations import CreateTable, GrantCapabilities, Refuse, RunByDialect, one_of, reference

ACTOR_KINDS = ("CUSTOMER", "STAFF", "SERVICE", "SYSTEM")
STATUSES = ("DRAFT", "ACTIVE", "PAUSED", "ARCHIVED")
TRIGGERS = ("ORDER_COMPLETED", "ORDER_PAID", "TOP_UP", "SIGN_UP", "BIRTHDAY", "MILESTONE", "EVENT")

TABLES = [
    CreateTable(
        "CashbackRule",
        "cashback_rules",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("version", fields.IntField()),
            ("revision", fields.BigIntField(unique=True)),
            ("status", fields.CharField(max_length=16)),
            ("trigger_kind", fields.CharField(max_length=16)),
            ("name", fields.CharField(max_length=100)),
            ("currency", fields.CharField(max_length=3, null=True)),
            ("priority", fields.IntField()),
            ("starts_at", fields.DatetimeField(null=True)),
            ("ends_at", fields.DatetimeField(null=True)),
            ("data", fields.JSONField()),
            ("created_at", fields.DatetimeField()),
            ("updated_at", fields.DatetimeField()),
        ],
        checks={
            "version_positive": "version > 0",
            "revision_positive": "revision > 0",
            "status_known": one_of("status", STATUSES),
            "trigger_known": one_of("trigger_kind", TRIGGERS),
            "name_not_empty": "name <> ''",
        },
    ),
    CreateTable(
        "CashbackRuleVersion",
        "cashback_rule_versions",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("rule", reference("CashbackRule", "rule_id", related_name="versions")),
            ("version", fields.IntField()),
            ("revision", fields.BigIntField(unique=True)),
            ("data", fields.JSONField()),
            ("actor_kind", fields.CharField(max_length=16)),
            ("actor_id", fields.CharField(max_length=128)),
            ("note", fields.CharField(max_length=1000)),
            ("created_at", fields.DatetimeField()),
        ],
        unique_together=(("rule", "version"),),
        checks={
            "version_positive": "version > 0",
            "revision_positive": "revision > 0",
            "actor_kind_known": one_of("actor_kind", ACTOR_KINDS),
        },
    ),
]

INDEXES = [
    "CREATE INDEX cashback_rules_by_status ON cashback_rules (status, priority, id)",
]

# Past orders by when they were placed, for simulations. Snapshots hold their times in UTC and in one form, so that
# they sort as text does, where the database compares byte by byte.
_PAST = "CREATE INDEX orders_by_placed_at ON orders ({placed}, id) WHERE status IN ('COMPLETED', 'REFUNDED') AND wallet_id IS NOT NULL"
PAST_ORDERS = RunByDialect(
    sqlite=_PAST.format(
        placed="coalesce(json_extract(snapshot, '$.placed_at'), json_extract(snapshot, '$.modified_at'))"
    ),
    postgres=_PAST.format(
        placed="(coalesce(snapshot ->> 'placed_at', snapshot ->> 'modified_at')) COLLATE \"C\""
    ),
)

KEPT = {"cashback_rules": "Cashback rules are never deleted: archive the rule"}

APPEND_ONLY = {
    "cashback_rule_versions": "A version of a cashback rule stays as it was: make another version",
}

IDENTITY = [
    ("cashback_rules", ("id", "created_at"), "A cashback rule stays the same rule: make another one"),
]

GRANTS = {
    "shop_manager": ["CASHBACK_READ", "CASHBACK_WRITE"],
    "finance": ["CASHBACK_READ"],
    "support": ["CASHBACK_READ"],
    "service": ["CASHBACK_READ"],
}


class Migration(_operations.Migration):
    """Everything above."""

    dependencies = [("coffer", "0005_doors")]

    operations = [
        *TABLES,
        ops.RunSQL(INDEXES),
        PAST_ORDERS,
        GrantCapabilities(GRANTS),
        *(
            Refuse(event, table, message)
            for table, message in KEPT.items()
            for event in ("DELETE", "TRUNCATE")
        ),
        *(
            Refuse(event, table, message)
            for table, message in APPEND_ONLY.items()
            for event in ("UPDATE", "DELETE", "TRUNCATE")
        ),
        *(Refuse("UPDATE", table, message, columns=columns) for table, columns, message in IDENTITY),
    ]
