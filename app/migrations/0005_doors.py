"""What comes in from the store: deliveries, the catalogue, and how far readings of the store's records have come."""

from tortoise import fields
from tortoise.migrations import operations as ops

from app.migrations import _operations
from app.migrations._operations import CreateTable, GrantCapabilities, Refuse, one_of, one_to_one

DOORS = ("woocommerce", "shopify", "standard")
STATUSES = ("RECEIVED", "DONE", "IGNORED", "FAILED", "DEAD")
CATALOG_KINDS = ("PRODUCT", "COUPON")

TABLES = [
    CreateTable(
        "Delivery",
        "deliveries",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("door", fields.CharField(max_length=16)),
            ("topic", fields.CharField(max_length=100)),
            ("external_id", fields.CharField(max_length=128, null=True)),
            ("content_hash", fields.BinaryField()),
            ("size_bytes", fields.IntField()),
            ("status", fields.CharField(max_length=16)),
            ("attempts", fields.IntField()),
            ("repeats", fields.IntField()),
            ("next_attempt_at", fields.DatetimeField(null=True)),
            ("error", fields.CharField(max_length=500, null=True)),
            ("summary", fields.CharField(max_length=500, null=True)),
            ("order_id", fields.UUIDField(null=True)),
            ("received_at", fields.DatetimeField()),
            ("repeated_at", fields.DatetimeField(null=True)),
            ("done_at", fields.DatetimeField(null=True)),
        ],
        checks={
            "door_known": one_of("door", DOORS),
            "status_known": one_of("status", STATUSES),
            "size_not_negative": "size_bytes >= 0",
            "attempts_not_negative": "attempts >= 0",
            "repeats_not_negative": "repeats >= 0",
            "next_attempt_while_waiting": "(next_attempt_at IS NOT NULL) = (status IN ('RECEIVED', 'FAILED'))",
        },
    ),
    CreateTable(
        "DeliveryBody",
        "delivery_bodies",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("delivery", one_to_one("Delivery", "delivery_id", related_name="content")),
            ("body", fields.BinaryField()),
        ],
        checks={},
    ),
    CreateTable(
        "CatalogItem",
        "catalog_items",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("source", fields.CharField(max_length=32)),
            ("kind", fields.CharField(max_length=16)),
            ("external_id", fields.CharField(max_length=128)),
            ("name", fields.CharField(max_length=200)),
            ("code", fields.CharField(max_length=200, null=True)),
            ("categories", fields.JSONField()),
            ("modified_at", fields.DatetimeField()),
            ("deleted_at", fields.DatetimeField(null=True)),
        ],
        checks={
            "kind_known": one_of("kind", CATALOG_KINDS),
            "external_id_not_empty": "external_id <> ''",
        },
    ),
    CreateTable(
        "SyncCursor",
        "sync_cursors",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("name", fields.CharField(max_length=64)),
            ("position", fields.JSONField()),
            ("leased_until", fields.DatetimeField(null=True)),
            ("holder", fields.CharField(max_length=64, null=True)),
            ("updated_at", fields.DatetimeField()),
        ],
        checks={"name_not_empty": "name <> ''"},
    ),
]

INDEXES = [
    "CREATE INDEX deliveries_due ON deliveries (next_attempt_at) WHERE next_attempt_at IS NOT NULL",
    "CREATE INDEX deliveries_by_received_at ON deliveries (received_at, id)",
    "CREATE INDEX deliveries_by_status ON deliveries (status, received_at, id)",
    "CREATE INDEX deliveries_by_order ON deliveries (order_id, received_at) WHERE order_id IS NOT NULL",
]

IDENTITY = [
    (
        "deliveries",
        ("id", "door", "topic", "external_id", "content_hash", "size_bytes", "received_at"),
        "What came in stays as it came: another message is another delivery",
    ),
    (
        "delivery_bodies",
        ("id", "delivery_id", "body"),
        "What came in stays as it came: another message is another delivery",
    ),
]

PRUNED = {"deliveries", "delivery_bodies"}
"""Tables whose rows are deleted after a while, because they hold personal data."""

KEPT = {
    "catalog_items": "Products and coupons are never deleted: they are marked as deleted",
    "sync_cursors": "A reading's place is never deleted: set it back instead",
}


class Migration(_operations.Migration):
    """Everything above, and who may look at it."""

    dependencies = [("coffer", "0004_orders")]

    operations = [
        *TABLES,
        ops.RunSQL(INDEXES),
        GrantCapabilities({"shop_manager": ["WEBHOOKS_READ", "WEBHOOKS_REPLAY"]}),
        *(
            Refuse(event, table, message)
            for table, message in KEPT.items()
            for event in ("DELETE", "TRUNCATE")
        ),
        *(Refuse("UPDATE", table, message, columns=columns) for table, columns, message in IDENTITY),
    ]
