"""What leaves the program: events, messages, attempts to send them, and the endpoints that are told."""

from tortoise import fields
from tortoise.migrations import operations as ops

from app.migrations import _operations
from app.migrations._operations import CreateTable, GrantCapabilities, Refuse, one_of, reference

CHANNELS = ("WEBHOOK", "EMAIL", "PAYOUT", "NOTICE")
STATUSES = ("WAITING", "DELIVERED", "DEAD", "CANCELLED")
ENDPOINT_STATUSES = ("ENABLED", "DISABLED")
DISABLED_BY = ("REQUEST", "GONE")
ACTOR_KINDS = ("CUSTOMER", "STAFF", "SERVICE", "SYSTEM")

TABLES = [
    CreateTable(
        "WebhookEndpoint",
        "webhook_endpoints",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("url", fields.CharField(max_length=500)),
            ("description", fields.CharField(max_length=200)),
            ("events", fields.JSONField()),
            ("status", fields.CharField(max_length=16)),
            ("disabled_by", fields.CharField(max_length=16, null=True)),
            ("capabilities", fields.JSONField()),
            ("secrets", fields.JSONField()),
            ("created_by_kind", fields.CharField(max_length=16)),
            ("created_by_id", fields.CharField(max_length=128)),
            ("created_at", fields.DatetimeField()),
            ("updated_at", fields.DatetimeField()),
            ("failing_since", fields.DatetimeField(null=True)),
        ],
        checks={
            "url_not_empty": "url <> ''",
            "status_known": one_of("status", ENDPOINT_STATUSES),
            "disabled_by_known": one_of("disabled_by", DISABLED_BY),
            "disabled_by_somebody": "(disabled_by IS NOT NULL) = (status = 'DISABLED')",
            "created_by_kind_known": one_of("created_by_kind", ACTOR_KINDS),
        },
    ),
    CreateTable(
        "OutboxEvent",
        "outbox_events",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("type", fields.CharField(max_length=64)),
            ("version", fields.IntField()),
            ("wallet_id", fields.UUIDField(null=True)),
            ("order_id", fields.UUIDField(null=True)),
            ("subject_id", fields.UUIDField()),
            ("data", fields.JSONField()),
            ("created_at", fields.DatetimeField()),
            ("relayed_at", fields.DatetimeField(null=True)),
        ],
        checks={"type_not_empty": "type <> ''", "version_positive": "version > 0"},
    ),
    CreateTable(
        "OutboxMessage",
        "outbox_messages",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("event_id", fields.UUIDField(null=True)),
            ("channel", fields.CharField(max_length=16)),
            ("target", fields.CharField(max_length=128)),
            ("topic", fields.CharField(max_length=100)),
            ("body", fields.JSONField()),
            ("status", fields.CharField(max_length=16)),
            ("attempts", fields.IntField()),
            ("next_attempt_at", fields.DatetimeField(null=True)),
            ("error", fields.CharField(max_length=500, null=True)),
            ("status_code", fields.IntField(null=True)),
            ("created_at", fields.DatetimeField()),
            ("done_at", fields.DatetimeField(null=True)),
        ],
        checks={
            "channel_known": one_of("channel", CHANNELS),
            "target_not_empty": "target <> ''",
            "status_known": one_of("status", STATUSES),
            "attempts_not_negative": "attempts >= 0",
            "next_attempt_while_waiting": "(next_attempt_at IS NOT NULL) = (status = 'WAITING')",
        },
    ),
    CreateTable(
        "OutboxAttempt",
        "outbox_attempts",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("message", reference("OutboxMessage", "message_id", related_name="tries")),
            ("number", fields.IntField()),
            ("started_at", fields.DatetimeField()),
            ("duration_ms", fields.IntField()),
            ("status_code", fields.IntField(null=True)),
            ("error", fields.CharField(max_length=500, null=True)),
            ("answer", fields.CharField(max_length=1000, null=True)),
        ],
        checks={"number_positive": "number > 0", "duration_not_negative": "duration_ms >= 0"},
    ),
]

INDEXES = [
    "CREATE INDEX webhook_endpoints_enabled ON webhook_endpoints (status) WHERE status = 'ENABLED'",
    "CREATE INDEX webhook_endpoints_by_created_at ON webhook_endpoints (created_at, id)",
    "CREATE INDEX outbox_events_to_relay ON outbox_events (id) WHERE relayed_at IS NULL",
    "CREATE INDEX outbox_events_by_created_at ON outbox_events (created_at)",
    "CREATE INDEX outbox_messages_due ON outbox_messages (channel, target, next_attempt_at) WHERE next_attempt_at IS NOT NULL",
    "CREATE INDEX outbox_messages_by_created_at ON outbox_messages (channel, created_at, id)",
    "CREATE INDEX outbox_messages_by_target ON outbox_messages (channel, target, created_at, id)",
    "CREATE INDEX outbox_messages_by_status ON outbox_messages (status, created_at, id)",
    "CREATE INDEX outbox_messages_by_event ON outbox_messages (event_id) WHERE event_id IS NOT NULL",
    "CREATE INDEX outbox_attempts_by_message ON outbox_attempts (message_id, started_at, id)",
]

IDENTITY = [
    (
        "outbox_events",
        ("id", "type", "version", "wallet_id", "order_id", "subject_id", "data", "created_at"),
        "What happened stays as it was told",
    ),
    (
        "outbox_messages",
        ("id", "event_id", "channel", "target", "topic", "body", "created_at"),
        "A message stays what it was when it was written: its receiver knows it by its id",
    ),
    (
        "outbox_attempts",
        ("id", "message_id", "number", "started_at", "duration_ms", "status_code", "error", "answer"),
        "An attempt stays as it went",
    ),
    ("webhook_endpoints", ("id", "created_at"), "An endpoint stays who it is: create another one"),
]

PRUNED = {"outbox_events", "outbox_messages", "outbox_attempts"}
"""Tables whose rows are deleted after a while."""

KEPT = {"webhook_endpoints": "Endpoints are never deleted: disable the endpoint"}


class Migration(_operations.Migration):
    """Everything above, and who may look at it."""

    dependencies = [("coffer", "0010_clock")]

    operations = [
        *TABLES,
        ops.RunSQL(INDEXES),
        GrantCapabilities({"shop_manager": ["WEBHOOK_ENDPOINTS_READ"]}),
        *(
            Refuse(event, table, message)
            for table, message in KEPT.items()
            for event in ("DELETE", "TRUNCATE")
        ),
        *(Refuse("UPDATE", table, message, columns=columns) for table, columns, message in IDENTITY),
    ]
