"""A person of the store, known by the store's own id."""

from tortoise import fields
from tortoise.models import Model


class Customer(Model):
    """One row a customer.

    `external_id` is the store's own id of the customer (a string, whatever the store's software calls it).
    `search_text` holds the case-folded name, e-mail and external id, so that a search needs no function call
    a row and finds parts of all three.
    """

    id = fields.UUIDField(primary_key=True)
    external_id = fields.CharField(max_length=128, unique=True)
    name = fields.CharField(max_length=200, default="")
    email = fields.CharField(max_length=254, default="")
    search_text = fields.CharField(max_length=600, default="")
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "customers"
