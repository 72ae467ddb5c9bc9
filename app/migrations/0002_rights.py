"""Who may do what: roles, API keys of services, and indexes to read the audit trail by."""

from tortoise import fields
from tortoise.migrations import operations as ops

from app.migrations import _operations
from app.migrations._operations import CreateTable, InsertNow, Refuse, one_of, reference

ACTOR_KINDS = ("CUSTOMER", "STAFF", "SERVICE", "SYSTEM")

TABLES = [
    CreateTable(
        "Role",
        "roles",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("name", fields.CharField(max_length=48, unique=True)),
            ("description", fields.CharField(max_length=500, default="")),
            ("capabilities", fields.JSONField()),
            ("maps_from", fields.JSONField()),
            ("archived_at", fields.DatetimeField(null=True)),
            ("created_at", fields.DatetimeField()),
            ("updated_at", fields.DatetimeField()),
        ],
        checks={
            "name_not_empty": "name <> ''",
            "always_used": "name NOT IN ('administrator', 'customer') OR archived_at IS NULL",
        },
    ),
    CreateTable(
        "ApiKey",
        "api_keys",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("prefix", fields.CharField(max_length=16, unique=True)),
            ("hash", fields.BinaryField()),
            ("name", fields.CharField(max_length=64)),
            ("role", reference("Role", "role_id", related_name="api_keys", null=True)),
            ("capabilities", fields.JSONField(null=True)),
            ("expires_at", fields.DatetimeField(null=True)),
            ("replaces", reference("ApiKey", "replaces_id", related_name="replaced_by", null=True)),
            ("created_by_kind", fields.CharField(max_length=16)),
            ("created_by_id", fields.CharField(max_length=128)),
            ("created_at", fields.DatetimeField()),
            ("last_used_at", fields.DatetimeField(null=True)),
            ("revoked_at", fields.DatetimeField(null=True)),
        ],
        checks={
            "name_not_empty": "name <> ''",
            "role_or_capabilities": "(role_id IS NULL) <> (capabilities IS NULL)",
            "replaces_another": "replaces_id <> id",
            "created_by_kind_known": one_of("created_by_kind", ACTOR_KINDS),
        },
    ),
]

# What a store begins with. Each has an id that is the same everywhere; the administrator's is the lowest, and
# so the first that is locked.
PRESETS = {
    "administrator": (
        "Everything, also what later versions bring.",
        [
            "API_KEYS_READ",
            "API_KEYS_WRITE",
            "AUDIT_READ",
            "CUSTOMERS_READ",
            "CUSTOMERS_WRITE",
            "LEDGER_VERIFY",
            "ROLES_READ",
            "ROLES_WRITE",
            "SETTINGS_READ",
            "SETTINGS_WRITE",
            "WALLETS_ADJUST",
            "WALLETS_FREEZE",
            "WALLETS_READ",
            "WITHDRAWALS_REQUEST",
            "WITHDRAWALS_REVIEW",
        ],
    ),
    "shop_manager": (
        "Runs the shop: wallets, customers and withdrawals; no settings, roles or keys.",
        [
            "AUDIT_READ",
            "CUSTOMERS_READ",
            "CUSTOMERS_WRITE",
            "LEDGER_VERIFY",
            "ROLES_READ",
            "SETTINGS_READ",
            "WALLETS_ADJUST",
            "WALLETS_FREEZE",
            "WALLETS_READ",
            "WITHDRAWALS_REQUEST",
            "WITHDRAWALS_REVIEW",
        ],
    ),
    "support": (
        "Helps customers: reads everything of theirs, requests withdrawals for them.",
        ["CUSTOMERS_READ", "WALLETS_READ", "WITHDRAWALS_REQUEST"],
    ),
    "finance": (
        "Decides withdrawals, verifies the ledger, reads the audit trail.",
        [
            "AUDIT_READ",
            "CUSTOMERS_READ",
            "LEDGER_VERIFY",
            "SETTINGS_READ",
            "WALLETS_READ",
            "WITHDRAWALS_REVIEW",
        ],
    ),
    "service": (
        "The store's own back end: makes customers known, moves money.",
        ["CUSTOMERS_READ", "CUSTOMERS_WRITE", "WALLETS_ADJUST", "WALLETS_READ", "WITHDRAWALS_REQUEST"],
    ),
    "customer": ("A customer of the store, who reaches their own wallet only.", []),
}

SEEDS = [
    InsertNow(
        "roles",
        {
            "id": f"00000000-0000-7000-8000-0000000c0f{number:02x}",
            "name": name,
            "description": description,
            "capabilities": capabilities,
            "maps_from": [],
        },
        ("created_at", "updated_at"),
    )
    for number, (name, (description, capabilities)) in enumerate(PRESETS.items(), 1)
]

INDEXES = [
    "CREATE INDEX audit_entries_by_created_at ON audit_entries (created_at, id)",
    "CREATE INDEX audit_entries_by_actor ON audit_entries (actor_id, created_at)",
    "CREATE INDEX audit_entries_by_action ON audit_entries (action, created_at)",
    "CREATE INDEX api_keys_by_created_at ON api_keys (created_at, id)",
]

KEPT = {
    "roles": "Roles are never deleted: archive the role",
    "api_keys": "API keys are never deleted: revoke the key",
}

IDENTITY = [
    ("roles", ("id", "name"), "A role keeps its name, which tokens and settings use: create another one"),
    (
        "api_keys",
        ("id", "prefix", "hash", "name", "role_id", "capabilities", "replaces_id"),
        "A key stays what it was when it was made: rotate it, or create another one",
    ),
]


class Migration(_operations.Migration):
    """Everything above."""

    dependencies = [("coffer", "0001_initial")]

    operations = [
        *TABLES,
        *SEEDS,
        ops.RunSQL(INDEXES),
        *(
            Refuse(event, table, message)
            for table, message in KEPT.items()
            for event in ("DELETE", "TRUNCATE")
        ),
        *(Refuse("UPDATE", table, message, columns=columns) for table, columns, message in IDENTITY),
    ]
