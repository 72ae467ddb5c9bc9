"""Payout methods, what providers tell of payouts, and who may see them."""

from tortoise import fields
from tortoise.migrations import operations as ops

from app.migrations import _operations
from app.migrations._operations import (
    CreateTable,
    GrantCapabilities,
    Refuse,
    ReplaceCheck,
    one_of,
    reference,
)

ACTOR_KINDS = ("CUSTOMER", "STAFF", "SERVICE", "SYSTEM")
KINDS = ("BANK_IBAN", "BANK_ACCOUNT", "PAYPAL", "PROVIDER", "OTHER")
STATUSES = ("ACTIVE", "REMOVED")
OUTCOMES = ("ACCEPTED", "PAID", "FAILED", "RETURNED")
SIGNAL_KINDS = ("RAPID_BALANCE_CHECKS", "GIFT_CARD_GUESSING", "SHARED_PAYOUT_METHOD")

TABLES = [
    CreateTable(
        "PayoutMethod",
        "payout_methods",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("wallet", reference("Wallet", "wallet_id", related_name="payout_methods")),
            ("kind", fields.CharField(max_length=16)),
            ("label", fields.CharField(max_length=100, default="")),
            ("masked", fields.CharField(max_length=320)),
            ("sealed", fields.BinaryField()),
            ("fingerprint", fields.BinaryField()),
            ("status", fields.CharField(max_length=16)),
            ("usable_from", fields.DatetimeField()),
            ("created_by_kind", fields.CharField(max_length=16)),
            ("created_by_id", fields.CharField(max_length=128)),
            ("created_at", fields.DatetimeField()),
            ("removed_at", fields.DatetimeField(null=True)),
        ],
        checks={
            "kind_known": one_of("kind", KINDS),
            "status_known": one_of("status", STATUSES),
            "actor_kind_known": one_of("created_by_kind", ACTOR_KINDS),
            "removed_has_time": "(status = 'REMOVED') = (removed_at IS NOT NULL)",
            "waits_forwards": "usable_from >= created_at",
        },
    ),
    CreateTable(
        "PayoutMessage",
        "payout_messages",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("provider", fields.CharField(max_length=32)),
            ("external_id", fields.CharField(max_length=256)),
            (
                "withdrawal",
                reference("Withdrawal", "withdrawal_id", related_name="payout_messages", null=True),
            ),
            ("provider_reference", fields.CharField(max_length=128, null=True)),
            ("kind", fields.CharField(max_length=16)),
            ("received_at", fields.DatetimeField()),
        ],
        checks={"kind_known": one_of("kind", OUTCOMES)},
    ),
]

INDEXES = [
    "CREATE INDEX payout_methods_by_wallet ON payout_methods (wallet_id, created_at, id)",
    "CREATE INDEX payout_methods_by_fingerprint ON payout_methods (fingerprint)",
    "CREATE INDEX payout_messages_unknown ON payout_messages (received_at, id) WHERE withdrawal_id IS NULL",
    "CREATE INDEX withdrawals_to_send ON withdrawals (created_at, id) WHERE status = 'APPROVED'",
]

APPEND_ONLY = {"payout_messages": "What a provider told is never changed"}

KEPT = {"payout_methods": "Payout methods are kept: remove one by its status"}

ADDED = (
    "id",
    "wallet_id",
    "kind",
    "masked",
    "fingerprint",
    "usable_from",
    "created_by_kind",
    "created_by_id",
    "created_at",
)

IDENTITY = [
    ("payout_methods", ADDED, "A payout method is never changed: remove it and add another"),
]


class Migration(_operations.Migration):
    """Two tables; what was added stays what it was, until it is removed."""

    dependencies = [("coffer", "0012_withdrawals")]

    operations = [
        *TABLES,
        ops.RunSQL(INDEXES),
        ReplaceCheck("signals", "kind_known", one_of("kind", SIGNAL_KINDS)),
        GrantCapabilities(
            {
                "shop_manager": ["PAYOUT_METHODS_WRITE", "PAYOUT_DETAILS_READ", "PAYOUTS_RECONCILE"],
                "finance": ["PAYOUT_DETAILS_READ", "PAYOUTS_RECONCILE"],
                "service": ["PAYOUT_METHODS_WRITE"],
            }
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
