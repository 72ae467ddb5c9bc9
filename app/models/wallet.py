"""The one wallet of a customer, in one currency."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from app.models.customer import Customer
from app.models.reading import Row


class Wallet(Model):
    """The stored totals of a wallet; only `services.ledger` writes them.

    All amounts are integers of the currency's minor unit. `posted_minor` is the sum of the wallet's
    transactions; `held_minor` the sum of its open holds; `overdraft_minor` what debits took beyond the lots
    (never negative); `debt_minor` what cashback that was spent still owes. `sequence` and `head_hash` belong to the newest transaction. `version` grows with every
    change, also with those that post no transaction (a hold, a freeze).
    """

    id = fields.UUIDField(primary_key=True)
    customer_id: UUID
    customer: fields.OneToOneRelation[Customer] = fields.OneToOneField(
        "coffer.Customer", related_name="wallet", on_delete=fields.RESTRICT
    )
    currency = fields.CharField(max_length=3)
    status = fields.CharField(max_length=16)
    posted_minor = fields.BigIntField(default=0)
    held_minor = fields.BigIntField(default=0)
    overdraft_minor = fields.BigIntField(default=0)
    sequence = fields.BigIntField(default=0)
    version = fields.BigIntField(default=0)
    head_hash = fields.BinaryField()
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()
    last_activity_at = fields.DatetimeField()
    debt_minor = fields.BigIntField(default=0)

    class Meta:
        table = "wallets"


def known_customer(wallet: Wallet) -> Customer | None:
    """Return the customer, if a wallet came with it."""
    if isinstance(wallet, Row):
        return wallet.customer
    known: Customer | None = wallet.__dict__.get("_customer")
    return known
