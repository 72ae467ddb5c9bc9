"""A person of the store, known by the store's own id."""

from datetime import date, datetime
from typing import Any

from tortoise import fields
from tortoise.models import Model


class Customer(Model):
    """One row a customer.

    `external_id` is the store's own id of the customer (a string, whatever the store's software calls it).
    `search_text` holds the case-folded name, e-mail and external id, so that a search needs no function call
    a row and finds parts of all three. `birthday_on` is the birthday without its year (month * 100 + day, 0 if it is not
    known), by which an index finds whose day it is. `signed_up_at` is when they registered in the store.
    `language` is the one of their e-mails, `emails_off` the kinds that they don't want.
    """

    id = fields.UUIDField(primary_key=True)
    external_id = fields.CharField(max_length=128, unique=True)
    name = fields.CharField(max_length=200, default="")
    email = fields.CharField(max_length=254, default="")
    search_text = fields.CharField(max_length=600, default="")
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()
    birthday: fields.Field[date | None] = fields.DateField(null=True)
    birthday_on = fields.IntField(default=0)
    roles: fields.Field[Any] = fields.JSONField(default=list)
    segments: fields.Field[Any] = fields.JSONField(default=list)
    signed_up_at: fields.Field[datetime | None] = fields.DatetimeField(null=True)
    language = fields.CharField(max_length=35, default="")
    emails_off: fields.Field[Any] = fields.JSONField(default=list)

    class Meta:
        table = "customers"
