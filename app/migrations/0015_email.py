"""E-mails to customers: the language that they read them in, and which of them they don't want."""

from tortoise import fields

from app.migrations import _operations
from app.migrations._operations import AddColumn


class Migration(_operations.Migration):
    """Two columns more."""

    dependencies = [("coffer", "0014_top_ups")]

    operations = [
        AddColumn(
            "Customer",
            "customers",
            "language",
            fields.CharField(max_length=35, default=""),
            "\"language\" VARCHAR(35) NOT NULL DEFAULT ''",
        ),
        AddColumn(
            "Customer",
            "customers",
            "emails_off",
            fields.JSONField(default=list),
            "\"emails_off\" {json} NOT NULL DEFAULT '[]'",
        ),
    ]
