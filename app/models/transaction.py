"""One posted movement of one wallet, and what it put into, or took out of, each lot."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from app.models.hold import Hold
from app.models.lot import Lot
from app.models.order import Order
from app.models.wallet import Wallet


class Transaction(Model):
    """Append-only: triggers refuse UPDATE and DELETE.

    `amount_minor` is signed: positive for a credit. `hash` covers the content, the allocations and the hash
    of the wallet's transaction before this one.
    """

    id = fields.UUIDField(primary_key=True)
    wallet_id: UUID
    corrects_id: UUID | None
    hold_id: UUID | None
    order_id: UUID | None
    wallet: fields.ForeignKeyRelation[Wallet] = fields.ForeignKeyField(
        "coffer.Wallet", related_name="transactions", on_delete=fields.RESTRICT
    )
    sequence = fields.BigIntField()
    reference = fields.CharField(max_length=32, unique=True)
    kind = fields.CharField(max_length=24)
    counter_account = fields.CharField(max_length=16)
    amount_minor = fields.BigIntField()
    balance_after_minor = fields.BigIntField()
    currency = fields.CharField(max_length=3)
    reason = fields.CharField(max_length=32, null=True)
    note = fields.CharField(max_length=1000, default="")
    actor_kind = fields.CharField(max_length=16)
    actor_id = fields.CharField(max_length=128)
    corrects: fields.ForeignKeyNullableRelation["Transaction"] = fields.ForeignKeyField(
        "coffer.Transaction", related_name="corrected_by", null=True, on_delete=fields.RESTRICT
    )
    hold: fields.ForeignKeyNullableRelation[Hold] = fields.ForeignKeyField(
        "coffer.Hold", related_name="transactions", null=True, on_delete=fields.RESTRICT
    )
    order: fields.ForeignKeyNullableRelation[Order] = fields.ForeignKeyField(
        "coffer.Order", related_name="transactions", null=True, on_delete=fields.RESTRICT
    )
    hash = fields.BinaryField()
    created_at = fields.DatetimeField()

    class Meta:
        table = "transactions"
        unique_together = (("wallet", "sequence"),)


class Allocation(Model):
    """How much a transaction put into (positive) or took out of (negative) one lot.

    No lot means the overdraft: a debit beyond the lots takes from it, the next credit settles it first.
    Append-only, like the transactions. `expires_at` is the lot's.
    """

    id = fields.UUIDField(primary_key=True)
    transaction_id: UUID
    lot_id: UUID | None
    transaction: fields.ForeignKeyRelation[Transaction] = fields.ForeignKeyField(
        "coffer.Transaction", related_name="allocations", on_delete=fields.RESTRICT
    )
    lot: fields.ForeignKeyNullableRelation[Lot] = fields.ForeignKeyField(
        "coffer.Lot", related_name="allocations", null=True, on_delete=fields.RESTRICT
    )
    position = fields.IntField()
    bucket = fields.CharField(max_length=16)
    amount_minor = fields.BigIntField()
    expires_at = fields.DatetimeField(null=True)

    class Meta:
        table = "allocations"
        unique_together = (("transaction", "position"),)
