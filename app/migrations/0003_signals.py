"""Signals for the rules against fraud."""

from tortoise import fields
from tortoise.migrations import operations as ops

from app.migrations import _operations
from app.migrations._operations import CreateTable, GrantCapabilities, Refuse, one_of, reference

SIGNAL_KINDS = ("RAPID_BALANCE_CHECKS",)
ACTOR_KINDS = ("CUSTOMER", "STAFF", "SERVICE", "SYSTEM")

TABLES = [
    CreateTable(
        "Signal",
        "signals",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("kind", fields.CharField(max_length=32)),
            ("actor_kind", fields.CharField(max_length=16)),
            ("actor_id", fields.CharField(max_length=128)),
            ("wallet", reference("Wallet", "wallet_id", related_name="signals", null=True)),
            ("count", fields.IntField()),
            ("window_s", fields.IntField()),
            ("created_at", fields.DatetimeField()),
        ],
        checks={
            "kind_known": one_of("kind", SIGNAL_KINDS),
            "actor_kind_known": one_of("actor_kind", ACTOR_KINDS),
            "count_positive": "count > 0",
            "window_positive": "window_s > 0",
        },
    )
]

INDEXES = [
    "CREATE INDEX signals_by_created_at ON signals (created_at, id)",
    "CREATE INDEX signals_by_actor ON signals (actor_id, created_at)",
    "CREATE INDEX signals_by_wallet ON signals (wallet_id, created_at)",
]

APPEND_ONLY = {"signals": "Signals are never changed: they tell what was noticed at the time"}


class Migration(_operations.Migration):
    """One table, and who may read it."""

    dependencies = [("coffer", "0002_rights")]

    operations = [
        *TABLES,
        ops.RunSQL(INDEXES),
        GrantCapabilities({"shop_manager": ["FRAUD_READ"], "finance": ["FRAUD_READ"]}),
        *(
            Refuse(event, table, message)
            for table, message in APPEND_ONLY.items()
            for event in ("UPDATE", "DELETE", "TRUNCATE")
        ),
    ]
