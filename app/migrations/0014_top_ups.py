"""Top-ups that are started here, and rules by which the store charges saved payment methods."""

from tortoise import fields
from tortoise.migrations import operations as ops

from app.migrations import _operations
from app.migrations._operations import (
    AddColumn,
    CreateTable,
    Refuse,
    one_of,
    reference,
)

ACTOR_KINDS = ("CUSTOMER", "STAFF", "SERVICE", "SYSTEM")
INTENT_STATUSES = ("STARTED", "COMPLETED", "EXPIRED", "CANCELLED")
RULE_KINDS = ("THRESHOLD", "MONTHLY")
RULE_STATUSES = ("ACTIVE", "PAUSED", "FAILED", "CANCELLED")
CHARGE_STATUSES = ("REQUESTED", "PAID", "DECLINED", "WITHDRAWN")

TABLES = [
    CreateTable(
        "TopUpIntent",
        "top_up_intents",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("wallet", reference("Wallet", "wallet_id", related_name="top_up_intents")),
            ("reference", fields.CharField(max_length=32, unique=True)),
            ("amount_minor", fields.BigIntField()),
            ("currency", fields.CharField(max_length=3)),
            ("payment_method", fields.CharField(max_length=128, null=True)),
            ("status", fields.CharField(max_length=16)),
            ("top_up", reference("TopUp", "top_up_id", related_name="intents", null=True)),
            ("expires_at", fields.DatetimeField()),
            ("created_by_kind", fields.CharField(max_length=16)),
            ("created_by_id", fields.CharField(max_length=128)),
            ("created_at", fields.DatetimeField()),
            ("updated_at", fields.DatetimeField()),
        ],
        checks={
            "amount_positive": "amount_minor > 0",
            "status_known": one_of("status", INTENT_STATUSES),
            "completed_by_money": "(status = 'COMPLETED') = (top_up_id IS NOT NULL)",
            "created_by_kind_known": one_of("created_by_kind", ACTOR_KINDS),
        },
    ),
    CreateTable(
        "AutoTopUp",
        "auto_top_ups",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("wallet", reference("Wallet", "wallet_id", related_name="auto_top_ups")),
            ("kind", fields.CharField(max_length=16)),
            ("threshold_minor", fields.BigIntField(null=True)),
            ("day_of_month", fields.IntField(null=True)),
            ("amount_minor", fields.BigIntField()),
            ("currency", fields.CharField(max_length=3)),
            ("payment_method", fields.CharField(max_length=128)),
            ("payment_token", fields.CharField(max_length=128)),
            ("status", fields.CharField(max_length=16)),
            ("declines", fields.IntField()),
            ("next_attempt_at", fields.DatetimeField()),
            ("charge_id", fields.UUIDField(null=True)),
            ("created_by_kind", fields.CharField(max_length=16)),
            ("created_by_id", fields.CharField(max_length=128)),
            ("created_at", fields.DatetimeField()),
            ("updated_at", fields.DatetimeField()),
        ],
        unique_together=(("wallet", "kind"),),
        checks={
            "amount_positive": "amount_minor > 0",
            "kind_known": one_of("kind", RULE_KINDS),
            "threshold_with_its_kind": "(kind = 'THRESHOLD') = (threshold_minor IS NOT NULL)",
            "threshold_positive": "threshold_minor > 0",
            "day_with_its_kind": "(kind = 'MONTHLY') = (day_of_month IS NOT NULL)",
            "day_of_a_month": "day_of_month BETWEEN 1 AND 31",
            "status_known": one_of("status", RULE_STATUSES),
            "declines_not_negative": "declines >= 0",
            "waits_only_while_active": "charge_id IS NULL OR status = 'ACTIVE'",
            "created_by_kind_known": one_of("created_by_kind", ACTOR_KINDS),
        },
    ),
    CreateTable(
        "AutoTopUpCharge",
        "auto_top_up_charges",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("wallet", reference("Wallet", "wallet_id", related_name="auto_top_up_charges")),
            ("rule", reference("AutoTopUp", "rule_id", related_name="charges")),
            ("reference", fields.CharField(max_length=32, unique=True)),
            ("amount_minor", fields.BigIntField()),
            ("currency", fields.CharField(max_length=3)),
            ("payment_method", fields.CharField(max_length=128)),
            ("payment_token", fields.CharField(max_length=128)),
            ("attempt", fields.IntField()),
            ("status", fields.CharField(max_length=16)),
            ("top_up", reference("TopUp", "top_up_id", related_name="charges", null=True)),
            ("problem", fields.CharField(max_length=200)),
            ("created_at", fields.DatetimeField()),
            ("updated_at", fields.DatetimeField()),
        ],
        checks={
            "amount_positive": "amount_minor > 0",
            "attempt_positive": "attempt > 0",
            "status_known": one_of("status", CHARGE_STATUSES),
            "paid_by_money": "(status = 'PAID') = (top_up_id IS NOT NULL)",
        },
    ),
]

COLUMNS = [
    AddColumn(
        "TopUp",
        "top_ups",
        "order",
        reference("Order", "order_id", related_name="top_ups", null=True),
        '"order_id" {uuid} REFERENCES "orders" ("id") ON DELETE RESTRICT',
    ),
]

INDEXES = [
    "CREATE INDEX top_ups_by_order ON top_ups (order_id) WHERE order_id IS NOT NULL",
    "CREATE INDEX top_up_intents_by_wallet ON top_up_intents (wallet_id, created_at)",
    "CREATE INDEX top_up_intents_expiring ON top_up_intents (expires_at) WHERE status = 'STARTED'",
    "CREATE INDEX auto_top_ups_waiting ON auto_top_ups (next_attempt_at) WHERE status = 'ACTIVE' AND charge_id IS NULL",
    "CREATE INDEX auto_top_up_charges_by_wallet ON auto_top_up_charges (wallet_id, created_at)",
    "CREATE INDEX auto_top_up_charges_by_rule ON auto_top_up_charges (rule_id)",
    "CREATE INDEX auto_top_up_charges_by_created_at ON auto_top_up_charges (created_at, id)",
]

ONE_OPEN = (
    "CREATE UNIQUE INDEX auto_top_up_charges_open ON auto_top_up_charges (rule_id) WHERE status = 'REQUESTED'"
)

KEPT = {
    "top_up_intents": "What was started is never deleted: cancel it",
    "auto_top_ups": "Rules are never deleted: cancel the rule",
    "auto_top_up_charges": "Charges are never deleted: tell what came of the charge",
}

IDENTITY = [
    (
        "top_up_intents",
        ("id", "wallet_id", "reference", "amount_minor", "currency", "created_at"),
        "What was started stays as it is: cancel it and start another one",
    ),
    ("auto_top_ups", ("id", "wallet_id", "kind", "currency", "created_at"), "A rule stays with its wallet"),
    (
        "auto_top_up_charges",
        ("id", "wallet_id", "rule_id", "reference", "amount_minor", "currency", "created_at"),
        "A charge stays what was asked for",
    ),
]


class Migration(_operations.Migration):
    """Everything above."""

    dependencies = [("coffer", "0013_payouts")]

    operations = [
        *TABLES,
        *COLUMNS,
        ops.RunSQL([*INDEXES, ONE_OPEN]),
        *(
            Refuse(event, table, message)
            for table, message in KEPT.items()
            for event in ("DELETE", "TRUNCATE")
        ),
        *(Refuse("UPDATE", table, message, columns=columns) for table, columns, message in IDENTITY),
    ]
