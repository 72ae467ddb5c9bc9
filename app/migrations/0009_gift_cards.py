"""Gift cards, their histories, and who may see, make and redeem them."""

from tortoise import fields
from tortoise.migrations import operations as ops

from app.migrations import _operations
from app.migrations._operations import (
    CreateTable,
    GrantCapabilities,
    Refuse,
    ReplaceCheck,
    one_of,
    one_to_one,
    reference,
)

ACTOR_KINDS = ("CUSTOMER", "STAFF", "SERVICE", "SYSTEM")
STATUSES = ("INACTIVE", "ACTIVE", "REDEEMED", "DISABLED", "EXPIRED")
EVENTS = ("ISSUED", "ACTIVATED", "REDEEMED", "DISABLED", "ENABLED", "EXPIRED")
ACCOUNTS = ("FUNDING", "MARKETING", "WALLETS", "BREAKAGE")
SIGNAL_KINDS = ("RAPID_BALANCE_CHECKS", "GIFT_CARD_GUESSING")

TABLES = [
    CreateTable(
        "GiftCard",
        "gift_cards",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("reference", fields.CharField(max_length=32, unique=True)),
            ("code_hash", fields.CharField(max_length=64, unique=True)),
            ("last_characters", fields.CharField(max_length=4)),
            ("currency", fields.CharField(max_length=3)),
            ("initial_minor", fields.BigIntField()),
            ("balance_minor", fields.BigIntField()),
            ("status", fields.CharField(max_length=16)),
            ("funded_by", fields.CharField(max_length=16)),
            ("batch", fields.UUIDField()),
            ("label", fields.CharField(max_length=100, default="")),
            ("note", fields.CharField(max_length=1000, default="")),
            ("expires_at", fields.DatetimeField(null=True)),
            ("sequence", fields.BigIntField()),
            ("head_hash", fields.BinaryField()),
            ("created_by_kind", fields.CharField(max_length=16)),
            ("created_by_id", fields.CharField(max_length=128)),
            ("created_at", fields.DatetimeField()),
            ("updated_at", fields.DatetimeField()),
            ("activated_at", fields.DatetimeField(null=True)),
            ("activated_by_kind", fields.CharField(max_length=16, null=True)),
            ("activated_by_id", fields.CharField(max_length=128, null=True)),
        ],
        checks={
            "status_known": one_of("status", STATUSES),
            "funded_by_known": one_of("funded_by", ACCOUNTS[:2]),
            "created_by_kind_known": one_of("created_by_kind", ACTOR_KINDS),
            "activated_by_kind_known": one_of("activated_by_kind", ACTOR_KINDS),
            "initial_positive": "initial_minor > 0",
            "within_initial": "balance_minor BETWEEN 0 AND initial_minor",
            "sequence_positive": "sequence > 0",
            "owed_while_usable": "status IN ('ACTIVE', 'DISABLED') OR balance_minor = 0",
            "active_has_value": "status <> 'ACTIVE' OR balance_minor > 0",
        },
    ),
    CreateTable(
        "GiftCardEntry",
        "gift_card_entries",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("card", reference("GiftCard", "card_id", related_name="entries")),
            ("sequence", fields.BigIntField()),
            ("kind", fields.CharField(max_length=16)),
            ("amount_minor", fields.BigIntField()),
            ("balance_after_minor", fields.BigIntField()),
            ("currency", fields.CharField(max_length=3)),
            ("account", fields.CharField(max_length=16, null=True)),
            (
                "transaction",
                one_to_one("Transaction", "transaction_id", related_name="gift_card_entry", null=True),
            ),
            ("actor_kind", fields.CharField(max_length=16)),
            ("actor_id", fields.CharField(max_length=128)),
            ("note", fields.CharField(max_length=1000, default="")),
            ("hash", fields.BinaryField()),
            ("created_at", fields.DatetimeField()),
        ],
        unique_together=(("card", "sequence"),),
        checks={
            "kind_known": one_of("kind", EVENTS),
            "account_known": one_of("account", ACCOUNTS),
            "actor_kind_known": one_of("actor_kind", ACTOR_KINDS),
            "sequence_positive": "sequence > 0",
            "balance_not_negative": "balance_after_minor >= 0",
            "account_where_value_moves": "(account IS NULL) = (amount_minor = 0)",
            "transaction_of_wallets": "(transaction_id IS NULL) = (kind <> 'REDEEMED')",
        },
    ),
]

INDEXES = [
    "CREATE INDEX gift_cards_by_created_at ON gift_cards (created_at, id)",
    "CREATE INDEX gift_cards_by_status ON gift_cards (status, created_at, id)",
    "CREATE INDEX gift_cards_by_batch ON gift_cards (batch, created_at, id)",
    "CREATE INDEX gift_cards_by_last_characters ON gift_cards (last_characters, created_at)",
    "CREATE INDEX gift_cards_expiring ON gift_cards (expires_at) WHERE status IN ('INACTIVE', 'ACTIVE', 'DISABLED')",
    "CREATE INDEX gift_cards_owed ON gift_cards (currency, balance_minor) WHERE balance_minor > 0",
]

APPEND_ONLY = {
    "gift_card_entries": "A gift card's history is never changed: what was wrong is put right by a new entry"
}

KEPT = {"gift_cards": "Gift cards are never deleted: disable the card"}

IDENTITY = [
    (
        "gift_cards",
        (
            "id",
            "reference",
            "code_hash",
            "last_characters",
            "currency",
            "initial_minor",
            "funded_by",
            "batch",
            "created_by_kind",
            "created_by_id",
            "created_at",
        ),
        "A gift card stays what was issued: disable it and issue another one",
    ),
]

GRANTS = {
    "shop_manager": ["GIFT_CARDS_READ", "GIFT_CARDS_REDEEM", "GIFT_CARDS_WRITE"],
    "finance": ["GIFT_CARDS_READ"],
    "support": ["GIFT_CARDS_READ"],
    "service": ["GIFT_CARDS_READ", "GIFT_CARDS_REDEEM", "GIFT_CARDS_WRITE"],
}


class Migration(_operations.Migration):
    """Everything above; and guessing codes becomes a kind of signal."""

    dependencies = [("coffer", "0008_promotions")]

    operations = [
        *TABLES,
        ops.RunSQL(INDEXES),
        ReplaceCheck("signals", "kind_known", one_of("kind", SIGNAL_KINDS)),
        GrantCapabilities(GRANTS),
        *(
            Refuse(event, table, message)
            for table, message in APPEND_ONLY.items()
            for event in ("UPDATE", "DELETE", "TRUNCATE")
        ),
        *(
            Refuse(event, table, message)
            for table, message in KEPT.items()
            for event in ("DELETE", "TRUNCATE")
        ),
        *(Refuse("UPDATE", table, message, columns=columns) for table, columns, message in IDENTITY),
    ]
