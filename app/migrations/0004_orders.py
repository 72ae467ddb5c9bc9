"""Orders of the store, what wallets pay towards them, what is refunded, and which renewals are coming."""

from tortoise import fields
from tortoise.migrations import operations as ops

from app.migrations import _operations
from app.migrations._operations import (
    AddColumn,
    CreateTable,
    GrantCapabilities,
    Refuse,
    one_of,
    one_to_one,
    reference,
)

# --- Closed sets: a later migration widens one by ReplaceCheck ----------------------------------------------

ACTOR_KINDS = ("CUSTOMER", "STAFF", "SERVICE", "SYSTEM")
BUCKETS = ("CASH", "PROMO", "GIFT_CARD")
ORDER_STATUSES = (
    "PENDING",
    "ON_HOLD",
    "FAILED",
    "PAID",
    "COMPLETED",
    "CANCELLED",
    "REFUNDED",
    "UNKNOWN",
)
PAYMENT_STATUSES = ("AUTHORIZED", "PARTIALLY_CAPTURED", "CAPTURED", "VOIDED", "EXPIRED")
PAYMENT_ORIGINS = ("CHECKOUT", "RENEWAL", "ORDER")
CAPTURE_METHODS = ("AUTOMATIC", "MANUAL")
PAYMENT_ENDS = ("REQUEST", "ORDER", "EXPIRY")
DESTINATIONS = ("WALLET", "ORIGINAL_PAYMENT", "SPLIT")
RENEWAL_STATUSES = ("UPCOMING", "CHARGED", "CANCELLED")

# --- Tables -------------------------------------------------------------------------------------------------

TABLES = [
    CreateTable(
        "Order",
        "orders",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("source", fields.CharField(max_length=32)),
            ("external_id", fields.CharField(max_length=128)),
            ("number", fields.CharField(max_length=200, default="")),
            ("wallet", reference("Wallet", "wallet_id", related_name="orders", null=True)),
            ("claimed_by", fields.CharField(max_length=128, null=True)),
            ("status", fields.CharField(max_length=16)),
            ("currency", fields.CharField(max_length=3, null=True)),
            ("total_minor", fields.BigIntField(null=True)),
            ("subscription", fields.CharField(max_length=128, null=True)),
            ("snapshot", fields.JSONField(null=True)),
            ("basis", fields.JSONField(null=True)),
            ("modified_at", fields.DatetimeField(null=True)),
            ("deleted_at", fields.DatetimeField(null=True)),
            ("credited_minor", fields.BigIntField(default=0)),
            ("shortfall_minor", fields.BigIntField(default=0)),
            ("problem", fields.CharField(max_length=32, null=True)),
            ("created_at", fields.DatetimeField()),
            ("updated_at", fields.DatetimeField()),
        ],
        unique_together=(("source", "external_id"),),
        checks={
            "status_known": one_of("status", ORDER_STATUSES),
            "source_not_empty": "source <> ''",
            "external_id_not_empty": "external_id <> ''",
            "total_not_negative": "total_minor >= 0",
            "credited_not_negative": "credited_minor >= 0",
            "shortfall_not_negative": "shortfall_minor >= 0",
        },
    ),
    CreateTable(
        "Payment",
        "payments",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("order", reference("Order", "order_id", related_name="payments")),
            ("wallet", reference("Wallet", "wallet_id", related_name="payments")),
            ("hold", one_to_one("Hold", "hold_id", related_name="payment")),
            ("reference", fields.CharField(max_length=32, unique=True)),
            ("origin", fields.CharField(max_length=16)),
            ("capture", fields.CharField(max_length=16)),
            ("status", fields.CharField(max_length=24)),
            ("amount_minor", fields.BigIntField()),
            ("owed_minor", fields.BigIntField()),
            ("captured_minor", fields.BigIntField(default=0)),
            ("requested_minor", fields.BigIntField(default=0)),
            ("returned_minor", fields.BigIntField(default=0)),
            ("currency", fields.CharField(max_length=3)),
            ("buckets", fields.JSONField()),
            ("ended_by", fields.CharField(max_length=16, null=True)),
            ("expires_at", fields.DatetimeField(null=True)),
            ("created_by_kind", fields.CharField(max_length=16)),
            ("created_by_id", fields.CharField(max_length=128)),
            ("created_at", fields.DatetimeField()),
            ("updated_at", fields.DatetimeField()),
            ("after_failure_at", fields.DatetimeField(null=True)),
        ],
        checks={
            "origin_known": one_of("origin", PAYMENT_ORIGINS),
            "capture_known": one_of("capture", CAPTURE_METHODS),
            "status_known": one_of("status", PAYMENT_STATUSES),
            "ended_by_known": one_of("ended_by", PAYMENT_ENDS),
            "created_by_kind_known": one_of("created_by_kind", ACTOR_KINDS),
            "amount_positive": "amount_minor > 0",
            "within_amount": "captured_minor BETWEEN 0 AND amount_minor",
            "owed_within_amount": "owed_minor BETWEEN 0 AND amount_minor",
            "requested_within_captured": "requested_minor BETWEEN 0 AND captured_minor",
            "returned_within_captured": "returned_minor BETWEEN 0 AND captured_minor",
        },
    ),
    CreateTable(
        "Refund",
        "refunds",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("order", reference("Order", "order_id", related_name="refunds")),
            ("wallet", reference("Wallet", "wallet_id", related_name="refunds")),
            ("reference", fields.CharField(max_length=32, unique=True)),
            ("external_id", fields.CharField(max_length=128, null=True)),
            ("destination", fields.CharField(max_length=24)),
            ("bucket", fields.CharField(max_length=16)),
            ("amount_minor", fields.BigIntField()),
            ("shipping_minor", fields.BigIntField(default=0)),
            ("tax_minor", fields.BigIntField(default=0)),
            ("wallet_minor", fields.BigIntField(default=0)),
            ("credited_minor", fields.BigIntField(default=0)),
            ("elsewhere_minor", fields.BigIntField(default=0)),
            ("currency", fields.CharField(max_length=3)),
            ("note", fields.CharField(max_length=1000, default="")),
            ("lines", fields.JSONField()),
            ("created_by_kind", fields.CharField(max_length=16)),
            ("created_by_id", fields.CharField(max_length=128)),
            ("refunded_at", fields.DatetimeField(null=True)),
            ("created_at", fields.DatetimeField()),
            ("withdrawn_at", fields.DatetimeField(null=True)),
        ],
        checks={
            "destination_known": one_of("destination", DESTINATIONS),
            "bucket_known": one_of("bucket", BUCKETS),
            "created_by_kind_known": one_of("created_by_kind", ACTOR_KINDS),
            "amount_not_negative": "amount_minor >= 0",
            "parts_not_negative": "wallet_minor >= 0 AND credited_minor >= 0 AND elsewhere_minor >= 0",
            "parts_within_amount": "wallet_minor + credited_minor + elsewhere_minor <= amount_minor",
        },
    ),
    CreateTable(
        "Renewal",
        "renewals",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("wallet", reference("Wallet", "wallet_id", related_name="renewals")),
            ("source", fields.CharField(max_length=32)),
            ("subscription", fields.CharField(max_length=128)),
            ("description", fields.CharField(max_length=200, default="")),
            ("amount_minor", fields.BigIntField()),
            ("currency", fields.CharField(max_length=3)),
            ("due_at", fields.DatetimeField()),
            ("status", fields.CharField(max_length=16)),
            ("created_by_kind", fields.CharField(max_length=16)),
            ("created_by_id", fields.CharField(max_length=128)),
            ("created_at", fields.DatetimeField()),
            ("updated_at", fields.DatetimeField()),
        ],
        unique_together=(("source", "subscription"),),
        checks={
            "status_known": one_of("status", RENEWAL_STATUSES),
            "created_by_kind_known": one_of("created_by_kind", ACTOR_KINDS),
            "amount_positive": "amount_minor > 0",
        },
    ),
]

COLUMNS = [
    AddColumn(
        "Transaction",
        "transactions",
        "order",
        reference("Order", "order_id", related_name="transactions", null=True),
        '"order_id" {uuid} REFERENCES "orders" ("id") ON DELETE RESTRICT',
    ),
    AddColumn(
        "Reservation",
        "reservations",
        "returned_minor",
        fields.BigIntField(default=0),
        '"returned_minor" BIGINT NOT NULL DEFAULT 0 '
        'CONSTRAINT "reservations_within_captured" CHECK (returned_minor = 0 OR returned_minor BETWEEN 0 AND captured_minor)',
    ),
    AddColumn("Lot", "lots", "grace_until", fields.DatetimeField(null=True), '"grace_until" {timestamp}'),
]

INDEXES = [
    "CREATE INDEX orders_by_wallet ON orders (wallet_id, created_at)",
    "CREATE INDEX orders_by_created_at ON orders (created_at, id)",
    "CREATE INDEX orders_by_modified_at ON orders (modified_at, id)",
    "CREATE INDEX orders_by_status ON orders (status, created_at)",
    "CREATE INDEX orders_by_external_id ON orders (external_id)",
    "CREATE INDEX orders_by_number ON orders (number)",
    "CREATE INDEX orders_by_subscription ON orders (subscription) WHERE subscription IS NOT NULL",
    "CREATE INDEX orders_with_problems ON orders (problem, created_at) WHERE problem IS NOT NULL",
    "CREATE INDEX payments_by_order ON payments (order_id)",
    "CREATE INDEX payments_by_wallet ON payments (wallet_id, created_at)",
    "CREATE INDEX payments_by_created_at ON payments (created_at, id)",
    "CREATE INDEX payments_by_status ON payments (status, created_at)",
    "CREATE INDEX payments_expiring ON payments (expires_at) WHERE status IN ('AUTHORIZED', 'PARTIALLY_CAPTURED')",
    "CREATE INDEX refunds_by_order ON refunds (order_id)",
    "CREATE INDEX refunds_by_wallet ON refunds (wallet_id, created_at)",
    "CREATE INDEX renewals_by_wallet ON renewals (wallet_id, due_at)",
    "CREATE INDEX transactions_by_order ON transactions (order_id) WHERE order_id IS NOT NULL",
]

# --- Triggers -----------------------------------------------------------------------------------------------

KEPT = {
    "orders": "Orders are never deleted: record that the store deleted the order",
    "payments": "Payments are never deleted: void the payment",
    "refunds": "Refunds are never deleted: record that the store withdrew the refund",
    "renewals": "Renewals are never deleted: cancel the renewal",
}

IDENTITY = [
    ("orders", ("id", "source", "external_id"), "An order keeps the name that the store gave it"),
    (
        "payments",
        ("id", "order_id", "wallet_id", "hold_id", "amount_minor", "currency"),
        "A payment stays what was authorized: void it and authorize another one",
    ),
    ("refunds", ("id", "order_id", "currency"), "A refund stays with its order"),
    ("renewals", ("id", "source", "subscription"), "A renewal stays with its subscription"),
]

GRANTS = {
    "shop_manager": ["ORDERS_READ", "ORDERS_WRITE", "PAYMENTS_WRITE", "REFUNDS_REDIRECT", "REFUNDS_WRITE"],
    "finance": ["ORDERS_READ"],
    "support": ["ORDERS_READ", "REFUNDS_WRITE"],
    "service": ["ORDERS_READ", "ORDERS_WRITE", "PAYMENTS_WRITE", "REFUNDS_REDIRECT", "REFUNDS_WRITE"],
}


class Migration(_operations.Migration):
    """Everything above."""

    dependencies = [("coffer", "0003_signals")]

    operations = [
        *TABLES,
        *COLUMNS,
        ops.RunSQL(INDEXES),
        GrantCapabilities(GRANTS),
        *(
            Refuse(event, table, message)
            for table, message in KEPT.items()
            for event in ("DELETE", "TRUNCATE")
        ),
        *(Refuse("UPDATE", table, message, columns=columns) for table, columns, message in IDENTITY),
    ]
