"""Gift cards and their histories."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from app.models.transaction import Transaction


class GiftCard(Model):
    """A card whose value nobody owns yet. Its code is kept as a keyed hash; amounts in minor units of `currency`."""

    id = fields.UUIDField(primary_key=True)
    reference = fields.CharField(max_length=32, unique=True)
    code_hash = fields.CharField(max_length=64, unique=True)
    last_characters = fields.CharField(max_length=4)
    currency = fields.CharField(max_length=3)
    initial_minor = fields.BigIntField()
    balance_minor = fields.BigIntField()
    status = fields.CharField(max_length=16)
    funded_by = fields.CharField(max_length=16)
    batch = fields.UUIDField()
    label = fields.CharField(max_length=100, default="")
    note = fields.CharField(max_length=1000, default="")
    expires_at = fields.DatetimeField(null=True)
    sequence = fields.BigIntField()
    head_hash = fields.BinaryField()
    created_by_kind = fields.CharField(max_length=16)
    created_by_id = fields.CharField(max_length=128)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()
    activated_at = fields.DatetimeField(null=True)
    activated_by_kind = fields.CharField(max_length=16, null=True)
    activated_by_id = fields.CharField(max_length=128, null=True)

    class Meta:
        table = "gift_cards"


class GiftCardEntry(Model):
    """Append-only: what happened to a card, numbered and chained by hashes."""

    id = fields.UUIDField(primary_key=True)
    card_id: UUID
    transaction_id: UUID | None
    card: fields.ForeignKeyRelation[GiftCard] = fields.ForeignKeyField(
        "coffer.GiftCard", related_name="entries", on_delete=fields.RESTRICT
    )
    sequence = fields.BigIntField()
    kind = fields.CharField(max_length=16)
    amount_minor = fields.BigIntField()
    balance_after_minor = fields.BigIntField()
    currency = fields.CharField(max_length=3)
    account = fields.CharField(max_length=16, null=True)
    transaction: fields.OneToOneNullableRelation[Transaction] = fields.OneToOneField(
        "coffer.Transaction", related_name="gift_card_entry", null=True, on_delete=fields.RESTRICT
    )
    actor_kind = fields.CharField(max_length=16)
    actor_id = fields.CharField(max_length=128)
    note = fields.CharField(max_length=1000, default="")
    hash = fields.BinaryField()
    created_at = fields.DatetimeField()

    class Meta:
        table = "gift_card_entries"
        unique_together = (("card", "sequence"),)
