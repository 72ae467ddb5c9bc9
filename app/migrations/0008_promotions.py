"""Promotions, their coupon codes, and what customers redeemed."""

from tortoise import fields
from tortoise.migrations import operations as ops

from app.migrations import _operations
from app.migrations._operations import CreateTable, GrantCapabilities, Refuse, one_of, reference

ACTOR_KINDS = ("CUSTOMER", "STAFF", "SERVICE", "SYSTEM")
PROMOTION_STATUSES = ("DRAFT", "ACTIVE", "PAUSED", "ARCHIVED")
REDEMPTION_STATUSES = ("GRANTED", "TAKEN_BACK", "REFUSED")

TABLES = [
    CreateTable(
        "Promotion",
        "promotions",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("name", fields.CharField(max_length=100)),
            ("description", fields.CharField(max_length=500, default="")),
            ("status", fields.CharField(max_length=16)),
            ("currency", fields.CharField(max_length=3)),
            ("terms", fields.JSONField()),
            ("starts_at", fields.DatetimeField(null=True)),
            ("ends_at", fields.DatetimeField(null=True)),
            ("uses_max", fields.BigIntField(null=True)),
            ("budget_minor", fields.BigIntField(null=True)),
            ("uses", fields.BigIntField(default=0)),
            ("granted_minor", fields.BigIntField(default=0)),
            ("created_at", fields.DatetimeField()),
            ("updated_at", fields.DatetimeField()),
        ],
        checks={
            "status_known": one_of("status", PROMOTION_STATUSES),
            "name_not_empty": "name <> ''",
            "uses_within_limit": "uses >= 0 AND (uses_max IS NULL OR uses <= uses_max)",
            "granted_within_budget": "granted_minor >= 0 AND (budget_minor IS NULL OR granted_minor <= budget_minor)",
            "ends_after_start": "starts_at IS NULL OR ends_at IS NULL OR starts_at < ends_at",
        },
    ),
    CreateTable(
        "CouponCode",
        "coupon_codes",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("promotion", reference("Promotion", "promotion_id", related_name="codes")),
            ("batch_id", fields.UUIDField()),
            ("code", fields.CharField(max_length=48, unique=True)),
            ("uses_max", fields.BigIntField(null=True)),
            ("uses", fields.BigIntField(default=0)),
            ("created_at", fields.DatetimeField()),
        ],
        checks={
            "code_not_empty": "code <> ''",
            "uses_within_limit": "uses >= 0 AND (uses_max IS NULL OR uses <= uses_max)",
        },
    ),
    CreateTable(
        "PromotionUse",
        "promotion_uses",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("promotion", reference("Promotion", "promotion_id", related_name="customers")),
            ("customer", fields.CharField(max_length=128)),
            ("uses", fields.BigIntField()),
            ("created_at", fields.DatetimeField()),
            ("updated_at", fields.DatetimeField()),
        ],
        checks={"customer_not_empty": "customer <> ''", "uses_not_negative": "uses >= 0"},
    ),
    CreateTable(
        "CouponRedemption",
        "coupon_redemptions",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("promotion", reference("Promotion", "promotion_id", related_name="redemptions")),
            ("coupon", reference("CouponCode", "coupon_id", related_name="redemptions")),
            ("code", fields.CharField(max_length=48)),
            ("wallet", reference("Wallet", "wallet_id", related_name="coupon_redemptions")),
            ("order", reference("Order", "order_id", related_name="coupon_redemptions", null=True)),
            (
                "transaction",
                reference("Transaction", "transaction_id", related_name="coupon_redemptions", null=True),
            ),
            ("status", fields.CharField(max_length=16)),
            ("problem", fields.CharField(max_length=24, null=True)),
            ("amount_minor", fields.BigIntField()),
            ("order_total_minor", fields.BigIntField()),
            ("currency", fields.CharField(max_length=3)),
            ("lines", fields.JSONField()),
            ("lots", fields.JSONField()),
            ("taken", fields.JSONField()),
            ("counts", fields.IntField()),
            ("expires_at", fields.DatetimeField(null=True)),
            ("created_by_kind", fields.CharField(max_length=16)),
            ("created_by_id", fields.CharField(max_length=128)),
            ("created_at", fields.DatetimeField()),
            ("updated_at", fields.DatetimeField()),
        ],
        checks={
            "status_known": one_of("status", REDEMPTION_STATUSES),
            "created_by_kind_known": one_of("created_by_kind", ACTOR_KINDS),
            "amount_not_negative": "amount_minor >= 0 AND order_total_minor >= 0",
            "counts_yes_or_no": "counts IN (0, 1)",
            "granted_or_why_not": "(status = 'REFUSED') = (amount_minor = 0) AND (status <> 'REFUSED' OR problem IS NOT NULL)",
        },
    ),
]

INDEXES = [
    "CREATE INDEX promotions_by_created_at ON promotions (created_at, id)",
    "CREATE INDEX promotions_by_status ON promotions (status, created_at, id)",
    "CREATE INDEX coupon_codes_by_promotion ON coupon_codes (promotion_id, created_at, id)",
    "CREATE INDEX coupon_codes_by_batch ON coupon_codes (batch_id)",
    "CREATE INDEX promotion_uses_by_promotion ON promotion_uses (promotion_id)",
    "CREATE INDEX coupon_redemptions_by_promotion ON coupon_redemptions (promotion_id, created_at, id)",
    "CREATE INDEX coupon_redemptions_by_wallet ON coupon_redemptions (wallet_id, created_at, id)",
    "CREATE INDEX coupon_redemptions_by_order ON coupon_redemptions (order_id) WHERE order_id IS NOT NULL",
]

KEPT = {
    "promotions": "Promotions are never deleted: archive the promotion",
    "coupon_codes": "Coupon codes are never deleted: archive their promotion",
    "promotion_uses": "Uses of promotions are never deleted: what a limit was decided by stays",
    "coupon_redemptions": "Redemptions are never deleted: what a coupon gave is taken back",
}

IDENTITY = [
    ("promotions", ("id", "currency"), "A promotion stays in its currency: make another one"),
    ("coupon_codes", ("id", "code"), "A code stays what people were told: make another one"),
    ("promotion_uses", ("id", "promotion_id", "customer"), "A use stays its customer's"),
    (
        "coupon_redemptions",
        ("id", "coupon_id", "code", "wallet_id", "order_id", "created_at"),
        "A redemption stays with its code, its wallet and its order",
    ),
]

GRANTS = {
    "shop_manager": ["PROMOTIONS_READ", "PROMOTIONS_WRITE", "COUPONS_REDEEM"],
    "service": ["COUPONS_REDEEM"],
}


class Migration(_operations.Migration):
    """Everything above."""

    dependencies = [("coffer", "0007_awards")]

    operations = [
        *TABLES,
        ops.RunSQL(INDEXES),
        GrantCapabilities(GRANTS),
        *(
            Refuse(event, table, message)
            for table, message in KEPT.items()
            for event in ("DELETE", "TRUNCATE")
        ),
        *(Refuse("UPDATE", table, message, columns=columns) for table, columns, message in IDENTITY),
    ]
