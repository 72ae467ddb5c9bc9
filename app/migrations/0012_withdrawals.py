"""The life of a withdrawal: more states, fee, method and provider, and every step as a row of its own."""

from tortoise import fields
from tortoise.migrations import operations as ops
from tortoise.migrations.operations import TortoiseOperation
from tortoise.migrations.schema_editor.base import BaseSchemaEditor
from tortoise.migrations.schema_generator.state import State

from app.migrations import _operations
from app.migrations._operations import AddColumn, CreateTable, Refuse, ReplaceCheck, one_of, reference

STATUSES = (
    "REQUESTED",
    "IN_REVIEW",
    "APPROVED",
    "PROCESSING",
    "PAID",
    "FAILED",
    "RETURNED",
    "REJECTED",
    "CANCELLED",
)
ACTOR_KINDS = ("CUSTOMER", "STAFF", "SERVICE", "SYSTEM")
FEE_PAYERS = ("CUSTOMER", "STORE")
PROBLEMS = ("PAID_AFTER_END", "PAID_BEFORE_APPROVAL")

TABLES = [
    CreateTable(
        "WithdrawalStep",
        "withdrawal_steps",
        [
            ("id", fields.UUIDField(primary_key=True)),
            ("withdrawal", reference("Withdrawal", "withdrawal_id", related_name="steps")),
            ("wallet", reference("Wallet", "wallet_id", related_name="withdrawal_steps")),
            ("number", fields.IntField()),
            ("from_status", fields.CharField(max_length=16, null=True)),
            ("to_status", fields.CharField(max_length=16)),
            ("actor_kind", fields.CharField(max_length=16)),
            ("actor_id", fields.CharField(max_length=128)),
            ("note", fields.CharField(max_length=1000, null=True)),
            ("provider_reference", fields.CharField(max_length=128, null=True)),
            ("problem", fields.CharField(max_length=32, null=True)),
            ("created_at", fields.DatetimeField()),
        ],
        unique_together=(("withdrawal", "number"),),
        checks={
            "number_positive": "number > 0",
            "first_has_none_before": "(number = 1) = (from_status IS NULL)",
            "from_status_known": one_of("from_status", STATUSES),
            "to_status_known": one_of("to_status", STATUSES),
            "actor_kind_known": one_of("actor_kind", ACTOR_KINDS),
            "problem_known": one_of("problem", PROBLEMS),
        },
    ),
]

COLUMNS = [
    AddColumn(
        "Withdrawal",
        "withdrawals",
        "method",
        fields.CharField(max_length=32, default="MANUAL"),
        "\"method\" VARCHAR(32) NOT NULL DEFAULT 'MANUAL' "
        "CONSTRAINT \"withdrawals_method_not_empty\" CHECK (method <> '')",
    ),
    AddColumn(
        "Withdrawal",
        "withdrawals",
        "fee_minor",
        fields.BigIntField(default=0),
        '"fee_minor" BIGINT NOT NULL DEFAULT 0 CONSTRAINT "withdrawals_fee_not_negative" CHECK (fee_minor >= 0)',
    ),
    AddColumn(
        "Withdrawal",
        "withdrawals",
        "fee_payer",
        fields.CharField(max_length=16, default="STORE"),
        "\"fee_payer\" VARCHAR(16) NOT NULL DEFAULT 'STORE' "
        f'CONSTRAINT "withdrawals_fee_payer_known" CHECK ({one_of("fee_payer", FEE_PAYERS)})',
    ),
    AddColumn(
        "Withdrawal",
        "withdrawals",
        "payout_method_id",
        fields.UUIDField(null=True),
        '"payout_method_id" {uuid}',
    ),
    AddColumn(
        "Withdrawal",
        "withdrawals",
        "provider",
        fields.CharField(max_length=32, null=True),
        '"provider" VARCHAR(32)',
    ),
    AddColumn(
        "Withdrawal",
        "withdrawals",
        "provider_reference",
        fields.CharField(max_length=128, null=True),
        '"provider_reference" VARCHAR(128)',
    ),
    AddColumn(
        "Withdrawal",
        "withdrawals",
        "batch_reference",
        fields.CharField(max_length=32, null=True),
        '"batch_reference" VARCHAR(32)',
    ),
    AddColumn(
        "Withdrawal",
        "withdrawals",
        "problem",
        fields.CharField(max_length=32, null=True),
        f'"problem" VARCHAR(32) CONSTRAINT "withdrawals_problem_known" CHECK ({one_of("problem", PROBLEMS)})',
    ),
    AddColumn(
        "Withdrawal",
        "withdrawals",
        "step_count",
        fields.IntField(default=1),
        '"step_count" INT NOT NULL DEFAULT 1 '
        'CONSTRAINT "withdrawals_step_count_positive" CHECK (step_count > 0)',
    ),
]

INDEXES = [
    "CREATE INDEX withdrawals_by_created_at ON withdrawals (created_at, id)",
    "CREATE INDEX withdrawals_by_amount ON withdrawals (amount_minor, id)",
    "CREATE INDEX withdrawals_by_batch ON withdrawals (batch_reference) WHERE batch_reference IS NOT NULL",
    "CREATE INDEX withdrawals_by_provider ON withdrawals (provider, provider_reference) WHERE provider IS NOT NULL",
    "CREATE INDEX withdrawals_with_problem ON withdrawals (created_at, id) WHERE problem IS NOT NULL",
    "CREATE INDEX withdrawal_steps_by_wallet ON withdrawal_steps (wallet_id, created_at, id)",
]

_NEW_ID = {
    "sqlite": (
        "lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-8' || "
        "substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))"
    ),
    "postgres": "gen_random_uuid()",
}

_REQUESTED = """
INSERT INTO withdrawal_steps (id, withdrawal_id, wallet_id, number, from_status, to_status, actor_kind, actor_id, note,
  created_at)
SELECT {id}, id, wallet_id, 1, NULL, 'REQUESTED', requested_by_kind, requested_by_id, NULLIF(note, ''), created_at
FROM withdrawals
"""

_ENDED = """
INSERT INTO withdrawal_steps (id, withdrawal_id, wallet_id, number, from_status, to_status, actor_kind, actor_id, note,
  created_at)
SELECT {id}, id, wallet_id, 2, 'REQUESTED', status, decided_by_kind, decided_by_id, decision_note, decided_at
FROM withdrawals WHERE status <> 'REQUESTED'
"""


class WriteStepsDown(TortoiseOperation):
    """The steps of the withdrawals that were there before steps were: each was asked for, and ended at most once."""

    reversible = False

    async def database_forward(
        self, app_label: str, old_state: State, new_state: State, state_editor: BaseSchemaEditor | None = None
    ) -> None:
        """Insert the steps, then count them."""
        if state_editor is None:
            return
        new_id = _NEW_ID["sqlite" if state_editor.DIALECT == "sqlite" else "postgres"]
        for statement in (
            _REQUESTED.format(id=new_id),
            _ENDED.format(id=new_id),
            "UPDATE withdrawals SET step_count = 2 WHERE status <> 'REQUESTED'",
        ):
            if state_editor.collect_sql:
                state_editor.collected_sql.append(statement)
            else:
                await state_editor.client.execute_query(statement)


ASKED = (
    "id",
    "wallet_id",
    "hold_id",
    "reference",
    "amount_minor",
    "currency",
    "note",
    "requested_by_kind",
    "requested_by_id",
    "created_at",
    "method",
    "fee_minor",
    "fee_payer",
)

IDENTITY = [
    (
        "withdrawals",
        ASKED,
        "What was asked for stays as it was: reject the withdrawal and request another one",
    )
]

APPEND_ONLY = {"withdrawal_steps": "Steps are never changed: take another one"}


class Migration(_operations.Migration):
    """Everything above, and the steps of what is there."""

    dependencies = [("coffer", "0011_outbox")]

    operations = [
        ReplaceCheck("withdrawals", "status_known", one_of("status", STATUSES)),
        *COLUMNS,
        *TABLES,
        WriteStepsDown(),
        ops.RunSQL(INDEXES),
        *(
            Refuse(event, table, message)
            for table, message in APPEND_ONLY.items()
            for event in ("UPDATE", "DELETE", "TRUNCATE")
        ),
        *(Refuse("UPDATE", table, message, columns=columns) for table, columns, message in IDENTITY),
    ]
