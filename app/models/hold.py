"""Value reserved until it is captured or released."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from app.models.lot import Lot
from app.models.wallet import Wallet


class Hold(Model):
    """`amount_minor` was reserved; of it `captured_minor` was spent and `released_minor` given back."""

    id = fields.UUIDField(primary_key=True)
    wallet_id: UUID
    wallet: fields.ForeignKeyRelation[Wallet] = fields.ForeignKeyField(
        "coffer.Wallet", related_name="holds", on_delete=fields.RESTRICT
    )
    purpose = fields.CharField(max_length=16)
    status = fields.CharField(max_length=16)
    amount_minor = fields.BigIntField()
    captured_minor = fields.BigIntField(default=0)
    released_minor = fields.BigIntField(default=0)
    expires_at = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "holds"


class Reservation(Model):
    """The part of a hold that stands on one lot, so that a release gives back to that very lot.

    Of what was captured, `returned_minor` was given back.
    """

    id = fields.UUIDField(primary_key=True)
    hold_id: UUID
    lot_id: UUID
    hold: fields.ForeignKeyRelation[Hold] = fields.ForeignKeyField(
        "coffer.Hold", related_name="reservations", on_delete=fields.RESTRICT
    )
    lot: fields.ForeignKeyRelation[Lot] = fields.ForeignKeyField(
        "coffer.Lot", related_name="reservations", on_delete=fields.RESTRICT
    )
    position = fields.IntField()
    amount_minor = fields.BigIntField()
    captured_minor = fields.BigIntField(default=0)
    released_minor = fields.BigIntField(default=0)
    returned_minor = fields.BigIntField(default=0)

    class Meta:
        table = "reservations"
        unique_together = (("hold", "lot"),)
