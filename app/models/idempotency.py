"""What was already asked for, so that a repeated request gets the first answer."""

from tortoise import fields
from tortoise.models import Model


class IdempotencyKey(Model):
    """Kept as long as the ledger. `scope` is the caller, so two callers may choose the same key.

    `request_hash` covers the command and its whole input; `result` names the rows that the first answer
    held (JSON object of lists of ids by noun).
    """

    id = fields.UUIDField(primary_key=True)
    scope = fields.CharField(max_length=160)
    key = fields.CharField(max_length=255)
    command = fields.CharField(max_length=64)
    request_hash = fields.BinaryField()
    result: fields.Field[dict[str, list[str]]] = fields.JSONField()
    created_at = fields.DatetimeField()

    class Meta:
        table = "idempotency_keys"
        unique_together = (("scope", "key"),)
