"""The ledger's first tables: customers, wallets, lots, transactions, holds, withdrawals and their keepers."""

from tortoise import fields
from tortoise.migrations import operations as ops

from app.migrations import _operations
from app.migrations._operations import CreateTable, Refuse, one_of, one_to_one, reference

# --- Closed sets: a later migration widens one by ReplaceCheck ----------------------------------------------

BUCKETS = ("CASH", "PROMO", "GIFT_CARD")
WALLET_STATUSES = ("ACTIVE", "FROZEN")
HOLD_PURPOSES = ("WITHDRAWAL", "PAYMENT")
HOLD_STATUSES = ("OPEN", "CAPTURED", "RELEASED", "EXPIRED")
WITHDRAWAL_STATUSES = ("REQUESTED", "PAID", "REJECTED", "CANCELLED")
ACTOR_KINDS = ("CUSTOMER", "STAFF", "SERVICE", "SYSTEM")
TRANSACTION_KINDS = (
    "ADJUSTMENT",
    "PURCHASE",
    "REFUND",
    "TOP_UP",
    "CASHBACK",
    "PROMOTION",
    "GIFT_CARD",
    "WITHDRAWAL",
    "EXPIRY",
    "CLAWBACK",
    "FEE",
    "OPENING",
)
COUNTER_ACCOUNTS = (
    "SALES",
    "FUNDING",
    "PAYOUTS",
    "MARKETING",
    "ADJUSTMENTS",
    "GIFT_CARDS",
    "BREAKAGE",
    "FEES",
)

# --- Tables -------------------------------------------------------------------------------------------------

# Of an amount that was set aside, no more is used or given back than was there.
SET_ASIDE = {
    "amount_positive": "amount_minor > 0",
    "captured_not_negative": "captured_minor >= 0",
    "released_not_negative": "released_minor >= 0",
    "within_amount": "captured_minor + released_minor <= amount_minor",
}

TABLES = [
    CreateTable(
        "Customer",
        "customers",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("external_id", fields.CharField(max_length=128, unique=True)),
            ("name", fields.CharField(max_length=200, default="")),
            ("email", fields.CharField(max_length=254, default="")),
            ("search_text", fields.CharField(max_length=600, default="")),
            ("created_at", fields.DatetimeField()),
            ("updated_at", fields.DatetimeField()),
        ],
        checks={"external_id_not_empty": "external_id <> ''"},
    ),
    CreateTable(
        "IdempotencyKey",
        "idempotency_keys",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("scope", fields.CharField(max_length=160)),
            ("key", fields.CharField(max_length=255)),
            ("command", fields.CharField(max_length=64)),
            ("request_hash", fields.BinaryField()),
            ("result", fields.JSONField()),
            ("created_at", fields.DatetimeField()),
        ],
        unique_together=(("scope", "key"),),
        checks={"key_not_empty": "key <> ''"},
    ),
    CreateTable(
        "SettingsVersion",
        "settings_versions",
        [
            ("version", fields.BigIntField(primary_key=True, generated=False)),
            ("data", fields.JSONField()),
            ("actor_kind", fields.CharField(max_length=16)),
            ("actor_id", fields.CharField(max_length=128)),
            ("note", fields.CharField(max_length=1000, default="")),
            ("created_at", fields.DatetimeField()),
        ],
        primary_key="version",
        checks={
            "version_positive": "version > 0",
            "actor_kind_known": one_of("actor_kind", ACTOR_KINDS),
        },
    ),
    CreateTable(
        "Wallet",
        "wallets",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("customer", one_to_one("Customer", "customer_id", related_name="wallet")),
            ("currency", fields.CharField(max_length=3)),
            ("status", fields.CharField(max_length=16)),
            ("posted_minor", fields.BigIntField(default=0)),
            ("held_minor", fields.BigIntField(default=0)),
            ("overdraft_minor", fields.BigIntField(default=0)),
            ("sequence", fields.BigIntField(default=0)),
            ("version", fields.BigIntField(default=0)),
            ("head_hash", fields.BinaryField()),
            ("created_at", fields.DatetimeField()),
            ("updated_at", fields.DatetimeField()),
            ("last_activity_at", fields.DatetimeField()),
        ],
        checks={
            "status_known": one_of("status", WALLET_STATUSES),
            "held_not_negative": "held_minor >= 0",
            "overdraft_not_negative": "overdraft_minor >= 0",
            "sequence_not_negative": "sequence >= 0",
            "version_not_negative": "version >= 0",
        },
    ),
    CreateTable(
        "AuditEntry",
        "audit_entries",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("wallet", reference("Wallet", "wallet_id", related_name="audit_entries", null=True)),
            ("action", fields.CharField(max_length=48)),
            ("actor_kind", fields.CharField(max_length=16)),
            ("actor_id", fields.CharField(max_length=128)),
            ("note", fields.CharField(max_length=1000, default="")),
            ("data", fields.JSONField()),
            ("created_at", fields.DatetimeField()),
        ],
        checks={"actor_kind_known": one_of("actor_kind", ACTOR_KINDS)},
    ),
    CreateTable(
        "Hold",
        "holds",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("wallet", reference("Wallet", "wallet_id", related_name="holds")),
            ("purpose", fields.CharField(max_length=16)),
            ("status", fields.CharField(max_length=16)),
            ("amount_minor", fields.BigIntField()),
            ("captured_minor", fields.BigIntField(default=0)),
            ("released_minor", fields.BigIntField(default=0)),
            ("expires_at", fields.DatetimeField(null=True)),
            ("created_at", fields.DatetimeField()),
            ("updated_at", fields.DatetimeField()),
        ],
        checks={
            "purpose_known": one_of("purpose", HOLD_PURPOSES),
            "status_known": one_of("status", HOLD_STATUSES),
            **SET_ASIDE,
        },
    ),
    CreateTable(
        "Lot",
        "lots",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("wallet", reference("Wallet", "wallet_id", related_name="lots")),
            ("bucket", fields.CharField(max_length=16)),
            ("sequence", fields.BigIntField()),
            ("original_minor", fields.BigIntField()),
            ("remaining_minor", fields.BigIntField()),
            ("held_minor", fields.BigIntField(default=0)),
            ("expires_at", fields.DatetimeField(null=True)),
            ("created_at", fields.DatetimeField()),
        ],
        unique_together=(("wallet", "sequence"),),
        checks={
            "bucket_known": one_of("bucket", BUCKETS),
            "sequence_positive": "sequence > 0",
            "original_positive": "original_minor > 0",
            "remaining_not_negative": "remaining_minor >= 0",
            "held_not_negative": "held_minor >= 0",
            "within_original": "remaining_minor + held_minor <= original_minor",
        },
    ),
    CreateTable(
        "Reservation",
        "reservations",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("hold", reference("Hold", "hold_id", related_name="reservations")),
            ("lot", reference("Lot", "lot_id", related_name="reservations")),
            ("position", fields.IntField()),
            ("amount_minor", fields.BigIntField()),
            ("captured_minor", fields.BigIntField(default=0)),
            ("released_minor", fields.BigIntField(default=0)),
        ],
        unique_together=(("hold", "lot"),),
        checks=SET_ASIDE,
    ),
    CreateTable(
        "Transaction",
        "transactions",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("wallet", reference("Wallet", "wallet_id", related_name="transactions")),
            ("sequence", fields.BigIntField()),
            ("reference", fields.CharField(max_length=32, unique=True)),
            ("kind", fields.CharField(max_length=24)),
            ("counter_account", fields.CharField(max_length=16)),
            ("amount_minor", fields.BigIntField()),
            ("balance_after_minor", fields.BigIntField()),
            ("currency", fields.CharField(max_length=3)),
            ("reason", fields.CharField(max_length=32, null=True)),
            ("note", fields.CharField(max_length=1000, default="")),
            ("actor_kind", fields.CharField(max_length=16)),
            ("actor_id", fields.CharField(max_length=128)),
            ("corrects", reference("Transaction", "corrects_id", related_name="corrected_by", null=True)),
            ("hold", reference("Hold", "hold_id", related_name="transactions", null=True)),
            ("hash", fields.BinaryField()),
            ("created_at", fields.DatetimeField()),
        ],
        unique_together=(("wallet", "sequence"),),
        checks={
            "sequence_positive": "sequence > 0",
            "kind_known": one_of("kind", TRANSACTION_KINDS),
            "counter_account_known": one_of("counter_account", COUNTER_ACCOUNTS),
            "amount_not_zero": "amount_minor <> 0",
            "actor_kind_known": one_of("actor_kind", ACTOR_KINDS),
            "corrects_another": "corrects_id <> id",
        },
    ),
    CreateTable(
        "Allocation",
        "allocations",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("transaction", reference("Transaction", "transaction_id", related_name="allocations")),
            ("lot", reference("Lot", "lot_id", related_name="allocations", null=True)),
            ("position", fields.IntField()),
            ("bucket", fields.CharField(max_length=16)),
            ("amount_minor", fields.BigIntField()),
            ("expires_at", fields.DatetimeField(null=True)),
        ],
        unique_together=(("transaction", "position"),),
        checks={
            "bucket_known": one_of("bucket", (*BUCKETS, "OVERDRAFT")),
            "overdraft_has_no_lot": "(bucket = 'OVERDRAFT') = (lot_id IS NULL)",
            "amount_not_zero": "amount_minor <> 0",
        },
    ),
    CreateTable(
        "Withdrawal",
        "withdrawals",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("wallet", reference("Wallet", "wallet_id", related_name="withdrawals")),
            ("hold", one_to_one("Hold", "hold_id", related_name="withdrawal")),
            (
                "transaction",
                one_to_one("Transaction", "transaction_id", related_name="withdrawal", null=True),
            ),
            ("reference", fields.CharField(max_length=32, unique=True)),
            ("status", fields.CharField(max_length=16)),
            ("amount_minor", fields.BigIntField()),
            ("currency", fields.CharField(max_length=3)),
            ("note", fields.CharField(max_length=1000, default="")),
            ("payout_reference", fields.CharField(max_length=128, null=True)),
            ("requested_by_kind", fields.CharField(max_length=16)),
            ("requested_by_id", fields.CharField(max_length=128)),
            ("decided_by_kind", fields.CharField(max_length=16, null=True)),
            ("decided_by_id", fields.CharField(max_length=128, null=True)),
            ("decision_note", fields.CharField(max_length=1000, null=True)),
            ("created_at", fields.DatetimeField()),
            ("decided_at", fields.DatetimeField(null=True)),
        ],
        checks={
            "status_known": one_of("status", WITHDRAWAL_STATUSES),
            "amount_positive": "amount_minor > 0",
            "requested_by_kind_known": one_of("requested_by_kind", ACTOR_KINDS),
            "decided_by_kind_known": one_of("decided_by_kind", ACTOR_KINDS),
        },
    ),
]

# --- Indexes: primary and unique keys have theirs -----------------------------------------------------------

INDEXES = [
    "CREATE INDEX customers_by_name ON customers (name, id)",
    "CREATE INDEX customers_by_search_text ON customers (search_text)",
    "CREATE INDEX wallets_by_posted ON wallets (posted_minor, id)",
    "CREATE INDEX wallets_by_created_at ON wallets (created_at, id)",
    "CREATE INDEX wallets_by_last_activity_at ON wallets (last_activity_at, id)",
    # What the writer loads: nearly all lots of an old wallet are closed, and never looked at again.
    "CREATE INDEX lots_open ON lots (wallet_id) WHERE remaining_minor > 0 OR held_minor > 0",
    "CREATE INDEX lots_expiring ON lots (expires_at) WHERE remaining_minor > 0",
    "CREATE INDEX transactions_by_created_at ON transactions (created_at, id)",
    "CREATE INDEX transactions_by_actor ON transactions (actor_id, created_at)",
    "CREATE INDEX transactions_by_kind ON transactions (kind, created_at, id)",
    "CREATE INDEX transactions_by_corrects ON transactions (corrects_id) WHERE corrects_id IS NOT NULL",
    "CREATE INDEX transactions_by_hold ON transactions (hold_id) WHERE hold_id IS NOT NULL",
    "CREATE INDEX allocations_by_lot ON allocations (lot_id)",
    "CREATE INDEX holds_open ON holds (wallet_id) WHERE status = 'OPEN'",
    "CREATE INDEX reservations_by_lot ON reservations (lot_id)",
    "CREATE INDEX withdrawals_by_wallet ON withdrawals (wallet_id, created_at)",
    "CREATE INDEX withdrawals_by_status ON withdrawals (status, created_at)",
    "CREATE INDEX audit_entries_by_wallet ON audit_entries (wallet_id, created_at)",
]

# --- Triggers -----------------------------------------------------------------------------------------------

# Neither changed nor deleted, by anyone, in any way.
APPEND_ONLY = {
    "transactions": "Transactions are never changed: post a correction",
    "allocations": "Allocations are never changed: post a correction",
    "settings_versions": "Settings are never changed in place: add a new version",
    "audit_entries": "Audit entries are never changed: add another one",
    "idempotency_keys": "Idempotency keys are kept as long as the ledger: use a new key",
}

# Changed as the ledger goes on, never deleted.
KEPT = {
    "customers": "Customers are never deleted: blank out the name and the e-mail",
    "wallets": "Wallets are never deleted: freeze the wallet",
    "lots": "Lots are never deleted: post a debit",
    "holds": "Holds are never deleted: release the hold",
    "reservations": "Reservations are never deleted: release the hold",
    "withdrawals": "Withdrawals are never deleted: reject or cancel the withdrawal",
}

# What a row is about stays what it is.
IDENTITY = [
    (
        "wallets",
        ("id", "customer_id", "currency"),
        "A wallet keeps its customer and its currency: adjust both wallets instead",
    ),
    (
        "lots",
        ("id", "wallet_id", "bucket", "original_minor", "sequence", "expires_at"),
        "A lot stays what it was when it was credited: post a correction",
    ),
    (
        "holds",
        ("id", "wallet_id", "amount_minor"),
        "A hold keeps its wallet and its amount: release it and place another one",
    ),
]


class Migration(_operations.Migration):
    """Everything above."""

    initial = True

    operations = [
        *TABLES,
        ops.RunSQL(INDEXES),
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
