"""What the clock and the store tell beside orders: customers' facts, occasions, events, reminders and top-ups."""

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

ACTOR_KINDS = ("CUSTOMER", "STAFF", "SERVICE", "SYSTEM")

TABLES = [
    CreateTable(
        "Celebration",
        "celebrations",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("wallet", reference("Wallet", "wallet_id", related_name="celebrations")),
            ("trigger", fields.CharField(max_length=32)),
            ("key", fields.CharField(max_length=64)),
            ("occurred_at", fields.DatetimeField()),
            ("created_at", fields.DatetimeField()),
        ],
        unique_together=(("wallet", "key"),),
        checks={"trigger_not_empty": "trigger <> ''", "key_not_empty": "key <> ''"},
    ),
    CreateTable(
        "ExpiryReminder",
        "expiry_reminders",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("wallet", reference("Wallet", "wallet_id", related_name="expiry_reminders")),
            ("expires_on", fields.DateField()),
            ("expires_at", fields.DatetimeField()),
            ("amount_minor", fields.BigIntField()),
            ("currency", fields.CharField(max_length=3)),
            ("created_at", fields.DatetimeField()),
        ],
        unique_together=(("wallet", "expires_on"),),
        checks={"amount_positive": "amount_minor > 0"},
    ),
    CreateTable(
        "StoreEvent",
        "store_events",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("wallet", reference("Wallet", "wallet_id", related_name="store_events")),
            ("name", fields.CharField(max_length=100)),
            ("external_id", fields.CharField(max_length=128)),
            ("occurred_at", fields.DatetimeField()),
            ("created_by_kind", fields.CharField(max_length=16)),
            ("created_by_id", fields.CharField(max_length=128)),
            ("created_at", fields.DatetimeField()),
        ],
        unique_together=(("wallet", "name", "external_id"),),
        checks={
            "name_not_empty": "name <> ''",
            "external_id_not_empty": "external_id <> ''",
            "created_by_kind_known": one_of("created_by_kind", ACTOR_KINDS),
        },
    ),
    CreateTable(
        "TopUp",
        "top_ups",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("wallet", reference("Wallet", "wallet_id", related_name="top_ups")),
            ("source", fields.CharField(max_length=32)),
            ("external_id", fields.CharField(max_length=128)),
            ("reference", fields.CharField(max_length=32, unique=True)),
            ("paid_minor", fields.BigIntField()),
            ("face_value_minor", fields.BigIntField(null=True)),
            ("credited_minor", fields.BigIntField()),
            ("shortfall_minor", fields.BigIntField()),
            ("currency", fields.CharField(max_length=3)),
            ("payment_method", fields.CharField(max_length=64, null=True)),
            ("transaction", one_to_one("Transaction", "transaction_id", related_name="top_up", null=True)),
            ("paid_at", fields.DatetimeField()),
            ("modified_at", fields.DatetimeField()),
            ("created_by_kind", fields.CharField(max_length=16)),
            ("created_by_id", fields.CharField(max_length=128)),
            ("created_at", fields.DatetimeField()),
            ("updated_at", fields.DatetimeField()),
        ],
        unique_together=(("source", "external_id"),),
        checks={
            "source_not_empty": "source <> ''",
            "external_id_not_empty": "external_id <> ''",
            "paid_not_negative": "paid_minor >= 0",
            "face_value_not_negative": "face_value_minor >= 0",
            "credited_not_negative": "credited_minor >= 0",
            "shortfall_not_negative": "shortfall_minor >= 0",
            # What is in the wallet beyond what was kept is what could not be taken back: no coupon makes money.
            "credited_what_was_kept": "credited_minor - shortfall_minor <= paid_minor "
            "AND credited_minor - shortfall_minor <= coalesce(face_value_minor, paid_minor)",
            "created_by_kind_known": one_of("created_by_kind", ACTOR_KINDS),
        },
    ),
]

COLUMNS = [
    AddColumn("Customer", "customers", "birthday", fields.DateField(null=True), '"birthday" DATE'),
    AddColumn(
        "Customer",
        "customers",
        "birthday_on",
        fields.IntField(default=0),
        '"birthday_on" INT NOT NULL DEFAULT 0 CONSTRAINT "customers_birthday_on_a_day" CHECK '
        "((birthday IS NULL) = (birthday_on = 0) AND birthday_on BETWEEN 0 AND 1231)",
    ),
    AddColumn(
        "Customer",
        "customers",
        "roles",
        fields.JSONField(default=list),
        "\"roles\" {json} NOT NULL DEFAULT '[]'",
    ),
    AddColumn(
        "Customer",
        "customers",
        "segments",
        fields.JSONField(default=list),
        "\"segments\" {json} NOT NULL DEFAULT '[]'",
    ),
    AddColumn(
        "Customer", "customers", "signed_up_at", fields.DatetimeField(null=True), '"signed_up_at" {timestamp}'
    ),
]

# Who is known already signs up no more.
KNOWN = "UPDATE customers SET signed_up_at = created_at"

INDEXES = [
    "CREATE INDEX customers_by_birthday ON customers (birthday_on, id) WHERE birthday_on > 0",
    "CREATE INDEX expiry_reminders_by_day ON expiry_reminders (expires_on, wallet_id)",
    "CREATE INDEX expiry_reminders_by_wallet ON expiry_reminders (wallet_id, created_at)",
    "CREATE INDEX top_ups_by_wallet ON top_ups (wallet_id, paid_at)",
]

APPEND_ONLY = {
    "celebrations": "What came is never changed: it came once",
    "expiry_reminders": "Reminders are never changed: a customer was told",
    "store_events": "Events are never changed: tell of another one",
}

KEPT = {"top_ups": "Top-ups are never deleted: tell that nothing was kept"}

IDENTITY = [
    (
        "top_ups",
        ("id", "wallet_id", "source", "external_id", "reference", "currency", "created_at"),
        "A top-up's name and wallet stay as they are: tell of another one",
    ),
]


class Migration(_operations.Migration):
    """Everything above, and who may tell of it."""

    dependencies = [("coffer", "0009_gift_cards")]

    operations = [
        *TABLES,
        *COLUMNS,
        ops.RunSQL([KNOWN, *INDEXES]),
        GrantCapabilities(
            {
                "shop_manager": ["EVENTS_WRITE", "TOP_UPS_WRITE"],
                "service": ["EVENTS_WRITE", "TOP_UPS_WRITE"],
            }
        ),
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
