"""Cashback that was given: awards, what was looked at, and what each rule has given in all."""

from tortoise import fields
from tortoise.migrations import operations as ops

from app.migrations import _operations
from app.migrations._operations import AddColumn, CreateTable, Refuse, one_of, reference

SOURCES = ("CASHBACK", "PROMOTION")
STATUSES = ("PENDING", "VESTED", "CLAWED_BACK", "EXPIRED")
BUCKETS = ("CASH", "PROMO", "GIFT_CARD")

TABLES = [
    CreateTable(
        "CashbackAward",
        "cashback_awards",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("given_by", fields.UUIDField()),
            ("rule_version", fields.IntField()),
            ("source", fields.CharField(max_length=16)),
            ("trigger", fields.CharField(max_length=16)),
            ("wallet", reference("Wallet", "wallet_id", related_name="awards")),
            ("order", reference("Order", "order_id", related_name="awards", null=True)),
            ("store_customer", fields.CharField(max_length=128)),
            ("occasion_key", fields.CharField(max_length=400)),
            ("status", fields.CharField(max_length=16)),
            ("currency", fields.CharField(max_length=3)),
            ("amount_minor", fields.BigIntField()),
            ("order_total_minor", fields.BigIntField()),
            ("clawed_minor", fields.BigIntField()),
            ("debt_minor", fields.BigIntField()),
            ("taken", fields.JSONField()),
            ("lines", fields.JSONField()),
            ("lot_ids", fields.JSONField()),
            ("bucket", fields.CharField(max_length=16)),
            ("occurred_on", fields.CharField(max_length=10)),
            ("occurred_at", fields.DatetimeField()),
            ("awarded_at", fields.DatetimeField()),
            ("vests_at", fields.DatetimeField()),
            ("expires_at", fields.DatetimeField(null=True)),
            ("vested_at", fields.DatetimeField(null=True)),
            ("expired_at", fields.DatetimeField(null=True)),
            ("expired_minor", fields.BigIntField()),
            ("explanation", fields.JSONField()),
        ],
        checks={
            "source_known": one_of("source", SOURCES),
            "status_known": one_of("status", STATUSES),
            "bucket_known": one_of("bucket", BUCKETS),
            "amount_positive": "amount_minor > 0",
            "clawed_within_amount": "clawed_minor BETWEEN 0 AND amount_minor",
            "debt_within_clawed": "debt_minor BETWEEN 0 AND clawed_minor",
            "expired_within_amount": "expired_minor BETWEEN 0 AND amount_minor",
            "order_total_not_negative": "order_total_minor >= 0",
        },
    ),
    CreateTable(
        "CashbackEvaluation",
        "cashback_evaluations",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("wallet", reference("Wallet", "wallet_id", related_name="evaluations")),
            ("order", reference("Order", "order_id", related_name="evaluations", null=True)),
            ("trigger", fields.CharField(max_length=16)),
            ("occasion_key", fields.CharField(max_length=400)),
            ("currency", fields.CharField(max_length=3)),
            ("total_minor", fields.BigIntField()),
            ("outcomes", fields.JSONField()),
            ("occurred_at", fields.DatetimeField()),
            ("created_at", fields.DatetimeField()),
        ],
        checks={"total_not_negative": "total_minor >= 0", "key_not_empty": "occasion_key <> ''"},
    ),
    CreateTable(
        "CashbackTotal",
        "cashback_totals",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("given_by", fields.UUIDField(unique=True)),
            ("given_minor", fields.BigIntField()),
            ("awards", fields.BigIntField()),
            ("updated_at", fields.DatetimeField()),
        ],
        checks={"given_not_negative": "given_minor >= 0", "awards_not_negative": "awards >= 0"},
    ),
]

INDEXES = [
    "CREATE INDEX cashback_awards_by_wallet ON cashback_awards (wallet_id, awarded_at, id)",
    "CREATE INDEX cashback_awards_by_order ON cashback_awards (order_id) WHERE order_id IS NOT NULL",
    "CREATE INDEX cashback_awards_by_rule ON cashback_awards (given_by, awarded_at, id)",
    "CREATE INDEX cashback_awards_by_occasion ON cashback_awards (occasion_key) WHERE order_id IS NULL",
    "CREATE INDEX cashback_awards_by_awarded_at ON cashback_awards (awarded_at, id)",
    "CREATE INDEX cashback_awards_to_vest ON cashback_awards (vests_at) WHERE status = 'PENDING'",
    "CREATE INDEX cashback_awards_to_expire ON cashback_awards (expires_at) WHERE status = 'VESTED'",
    "CREATE INDEX cashback_awards_owed ON cashback_awards (wallet_id) WHERE debt_minor > 0",
    "CREATE INDEX cashback_evaluations_by_order ON cashback_evaluations (order_id) WHERE order_id IS NOT NULL",
    "CREATE INDEX cashback_evaluations_by_wallet ON cashback_evaluations (wallet_id, created_at, id)",
]

GIVEN = (
    "id",
    "given_by",
    "rule_version",
    "source",
    "trigger",
    "wallet_id",
    "order_id",
    "store_customer",
    "occasion_key",
    "currency",
    "amount_minor",
    "order_total_minor",
    "lines",
    "bucket",
    "occurred_on",
    "occurred_at",
    "awarded_at",
    "vests_at",
    "expires_at",
    "explanation",
)
"""What of an award stays as it was given."""

IDENTITY = [("cashback_awards", GIVEN, "What was given stays as it was: take it back")]

KEPT = {
    "cashback_awards": "Awards are never deleted: take them back",
    "cashback_totals": "What a rule has given is never deleted: archive the rule",
}

APPEND_ONLY = {
    "cashback_evaluations": "What was looked at stays as it was: it explains what was given",
}


class Migration(_operations.Migration):
    """Everything above, and what a wallet still owes."""

    dependencies = [("coffer", "0006_cashback_rules")]

    operations = [
        *TABLES,
        ops.RunSQL(INDEXES),
        AddColumn(
            "Wallet",
            "wallets",
            "debt_minor",
            fields.BigIntField(default=0),
            '"debt_minor" BIGINT NOT NULL DEFAULT 0 '
            'CONSTRAINT "wallets_debt_not_negative" CHECK (debt_minor >= 0)',
        ),
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
