"""What a ledger's tables need beyond Tortoise's own operations: checks, triggers, and changing a check.

Tortoise's `CreateModel` drops CHECK constraints without a word, and its way to alter a table on SQLite makes it
anew without its unique keys, checks and triggers. So migrations use:

- `CreateTable` instead of `CreateModel`;
- `Refuse` for triggers that keep rows as they are;
- `ReplaceCheck` to widen a closed set;
- `InsertNow` for rows that a table begins with, `GrantCapabilities` for rights that a version brings;
- `AddColumn` for a new column, and `RunSQL` for indexes (`RunByDialect` where the two databases differ);
- `Migration` of this module, which applies what changes no model in one go;
- nothing that makes SQLite rebuild a table: no `AlterField`, `RemoveField` or `AddConstraint`.

Applied migrations import this module: what an operation does must never change.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tortoise import fields, migrations
from tortoise.fields import BigIntField, IntField
from tortoise.migrations.operations import AddField, CreateModel, TortoiseOperation
from tortoise.migrations.schema_editor.base import BaseSchemaEditor
from tortoise.migrations.schema_generator.state import State
from tortoise.models import Model


def one_of(column: str, values: Sequence[str]) -> str:
    """A check for a closed set."""
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


def reference(model: str, column: str, *, related_name: str, null: bool = False) -> Any:
    """A foreign key, written as Tortoise sees the models' own, so that it finds no difference to them."""
    return fields.ForeignKeyField(f"coffer.{model}", **_reference(column, related_name, null))


def one_to_one(model: str, column: str, *, related_name: str, null: bool = False) -> Any:
    """A foreign key that no two rows share."""
    return fields.OneToOneField(f"coffer.{model}", **_reference(column, related_name, null))


def _reference(column: str, related_name: str, null: bool) -> dict[str, Any]:
    return {
        "source_field": column,
        "to_field": "id",
        "related_name": related_name,
        "null": null,
        "on_delete": fields.RESTRICT,
    }


class CreateTable(CreateModel):
    """A table with its checks. On SQLite every integer column is also checked to hold an integer.

    SQLite stores a number that is too large for 64 bits as a float, and a text that is no number as it is.
    """

    reversible = False

    def __init__(
        self,
        name: str,
        table: str,
        fields: list[tuple[str, Any]],
        *,
        primary_key: str = "id",
        unique_together: tuple[tuple[str, ...], ...] = (),
        checks: Mapping[str, str],
    ) -> None:
        options: dict[str, Any] = {"table": table, "app": "coffer", "pk_attr": primary_key}
        if unique_together:
            options["unique_together"] = unique_together
        super().__init__(name, fields, options, ["Model"])
        self.table = table
        self.checks = checks

    async def database_forward(
        self, app_label: str, old_state: State, new_state: State, state_editor: BaseSchemaEditor | None = None
    ) -> None:
        """Create the table."""
        if state_editor is None:
            return
        model = new_state.apps.get_model(f"{app_label}.{self.name}")
        checks = _integer_checks(model) if state_editor.DIALECT == "sqlite" else {}
        checks |= self.checks
        head, end, rest = state_editor._get_model_sql_data(model).table_sql.rpartition("\n)")
        lines = [f'CONSTRAINT "{self.table}_{name}" CHECK ({check})' for name, check in checks.items()]
        await _run(state_editor, [",\n    ".join([head, *lines]) + end + rest])


class AddColumn(AddField):
    """A new column, which both databases add in place; `definition` is its SQL, checks included.

    It writes `{uuid}`, `{timestamp}` and `{json}` for the types that the two name differently. Without a default it must
    allow NULL: the rows that are there have nothing to put into it.
    """

    reversible = False

    def __init__(self, model: str, table: str, name: str, field: Any, definition: str) -> None:
        super().__init__(model, name, field)
        self.table = table
        self.definition = definition
        self.is_integer = isinstance(field, (BigIntField, IntField))

    async def database_forward(
        self, app_label: str, old_state: State, new_state: State, state_editor: BaseSchemaEditor | None = None
    ) -> None:
        """Add the column."""
        if state_editor is None:
            return
        on_sqlite = state_editor.DIALECT == "sqlite"
        types = _SQLITE_TYPES if on_sqlite else _POSTGRES_TYPES
        definition = self.definition.format(**types)
        if on_sqlite and self.is_integer:
            check = one_of(f'typeof("{self.name}")', ("integer",))
            definition += f' CONSTRAINT "{self.table}_{self.name}_integer" CHECK ({check})'
        await _run(state_editor, [f'ALTER TABLE "{self.table}" ADD COLUMN {definition}'])


_SQLITE_TYPES = {"uuid": "CHAR(36)", "timestamp": "TIMESTAMP", "json": "JSON"}
_POSTGRES_TYPES = {"uuid": "UUID", "timestamp": "TIMESTAMPTZ", "json": "JSONB"}


class Refuse(TortoiseOperation):
    """A trigger that refuses an event on a table, and says what to do instead.

    With `columns`, an update is refused only when it changes one of them. `TRUNCATE` exists on PostgreSQL alone.
    """

    reversible = False

    def __init__(
        self,
        event: Literal["UPDATE", "DELETE", "TRUNCATE"],
        table: str,
        message: str,
        *,
        columns: Sequence[str] = (),
    ) -> None:
        self.event = event
        self.table = table
        self.message = message.replace("'", "''")
        self.columns = columns

    async def database_forward(
        self, app_label: str, old_state: State, new_state: State, state_editor: BaseSchemaEditor | None = None
    ) -> None:
        """Create the trigger."""
        if state_editor is None:
            return
        if state_editor.DIALECT == "sqlite":
            await _run(state_editor, self._sqlite())
        else:
            await _run(state_editor, self._postgres())

    def _sqlite(self) -> list[str]:
        if self.event == "TRUNCATE":
            return []
        changed = " OR ".join(f'OLD."{column}" IS NOT NEW."{column}"' for column in self.columns)
        when = f" WHEN {changed}" if changed else ""
        trigger = f'CREATE TRIGGER "{self._name()}" BEFORE {self.event} ON "{self.table}" FOR EACH ROW{when}'
        return [f"{trigger} BEGIN SELECT RAISE(ABORT, '{self.message}'); END;"]

    def _postgres(self) -> list[str]:
        changed = " OR ".join(f'OLD."{column}" IS DISTINCT FROM NEW."{column}"' for column in self.columns)
        when = f" WHEN ({changed})" if changed else ""
        each = "STATEMENT" if self.event == "TRUNCATE" else "ROW"
        trigger = (
            f'CREATE TRIGGER "{self._name()}" BEFORE {self.event} ON "{self.table}" FOR EACH {each}{when}'
        )
        return [_POSTGRES_REFUSE, f"{trigger} EXECUTE FUNCTION coffer_refuse('{self.message}')"]

    def _name(self) -> str:
        return f"{self.table}_refuse_{self.event.lower()}"


# A refused row is an integrity error to the client, as it is on SQLite, and not an internal one.
_POSTGRES_REFUSE = """
CREATE OR REPLACE FUNCTION coffer_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'restrict_violation';
END
$$"""


class Migration(migrations.Migration):
    """A migration that is quick to apply.

    Tortoise (1.1.9) copies its picture of all models before each operation, and makes the models anew after each. None of
    the operations above looks at what was before it: so the picture is changed by all of them first, its models are made
    once, and then the database follows.
    """

    async def apply(
        self,
        state: State,
        *,
        dry_run: bool = False,
        schema_editor: BaseSchemaEditor | None = None,
        collect_sql: bool = False,
    ) -> State:
        """Bring the picture and, where there is an editor and it isn't dry, the database to where this migration ends."""
        if collect_sql:
            return await super().apply(
                state, dry_run=dry_run, schema_editor=schema_editor, collect_sql=collect_sql
            )
        changed: set[tuple[str, str]] = set()
        # An attribute of the instance stands before the method, for as long as it is there.
        state.reload_models = changed.update  # type: ignore[method-assign, assignment]
        try:
            for operation in self.operations:
                operation.state_forward(self.app_label, state)
        finally:
            del state.reload_models
        state.reload_models(changed)
        if not dry_run and schema_editor is not None:
            for operation in self.operations:
                await operation.database_forward(self.app_label, state, state, schema_editor)
        return state


class ReplaceCheck(TortoiseOperation):
    """Another condition for a check that exists, under its name (without the table's).

    SQLite can't alter a check: the table is made anew from its own definition, with its rows, indexes and
    triggers, as SQLite's manual describes it. `app.db.migrate` has switched foreign keys off for that, and
    checks them before it commits.
    """

    reversible = False

    def __init__(self, table: str, name: str, check: str) -> None:
        self.table = table
        self.name = f"{table}_{name}"
        self.check = check

    async def database_forward(
        self, app_label: str, old_state: State, new_state: State, state_editor: BaseSchemaEditor | None = None
    ) -> None:
        """Replace the check."""
        if state_editor is None:
            return
        if state_editor.DIALECT == "sqlite":
            await self._rebuild(state_editor)
        else:
            await _run(
                state_editor,
                [
                    f'ALTER TABLE "{self.table}" DROP CONSTRAINT "{self.name}"',
                    f'ALTER TABLE "{self.table}" ADD CONSTRAINT "{self.name}" CHECK ({self.check})',
                ],
            )

    async def _rebuild(self, state_editor: BaseSchemaEditor) -> None:
        rows = await state_editor.client.execute_query_dict(
            "SELECT type, sql FROM sqlite_schema WHERE tbl_name = ? AND sql IS NOT NULL ORDER BY rowid",
            [self.table],
        )
        definition = next(row["sql"] for row in rows if row["type"] == "table")
        others = [row["sql"] for row in rows if row["type"] != "table"]
        temporary = f"new__{self.table}"
        created = replace_check(definition, self.name, self.check).replace(
            f'"{self.table}"', f'"{temporary}"', 1
        )
        await _run(
            state_editor,
            [
                created,
                f'INSERT INTO "{temporary}" SELECT * FROM "{self.table}"',  # noqa: S608 - our own name
                f'DROP TABLE "{self.table}"',
                f'ALTER TABLE "{temporary}" RENAME TO "{self.table}"',
                *others,
            ],
        )


class InsertNow(TortoiseOperation):
    """A row that a table begins with; `times` are the columns that hold the moment of the migration."""

    reversible = False

    def __init__(self, table: str, row: Mapping[str, Any], times: Sequence[str]) -> None:
        self.table = table
        self.row = row
        self.times = times

    async def database_forward(
        self, app_label: str, old_state: State, new_state: State, state_editor: BaseSchemaEditor | None = None
    ) -> None:
        """Insert the row."""
        if state_editor is None:
            return
        now = "now()"
        if state_editor.DIALECT == "sqlite":
            now = "strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')"
        columns = ", ".join([*self.row, *self.times])
        values = ", ".join([*map(_literal, self.row.values()), *(now for _ in self.times)])
        await _run(state_editor, [f'INSERT INTO "{self.table}" ({columns}) VALUES ({values})'])  # noqa: S608


class RunByDialect(TortoiseOperation):
    """A statement that the two databases write differently."""

    reversible = False

    def __init__(self, *, sqlite: str, postgres: str) -> None:
        self.sqlite = sqlite
        self.postgres = postgres

    async def database_forward(
        self, app_label: str, old_state: State, new_state: State, state_editor: BaseSchemaEditor | None = None
    ) -> None:
        """Run the statement."""
        if state_editor is not None:
            await _run(state_editor, [self.sqlite if state_editor.DIALECT == "sqlite" else self.postgres])


class GrantCapabilities(TortoiseOperation):
    """Gives roles the capabilities that a version brings, beside those that the store has left them.

    A role that is not there is left out; the administrator needs nothing, because it holds every capability.
    """

    reversible = False

    def __init__(self, granted: Mapping[str, Sequence[str]]) -> None:
        self.granted = granted

    async def database_forward(
        self, app_label: str, old_state: State, new_state: State, state_editor: BaseSchemaEditor | None = None
    ) -> None:
        """Add what is missing."""
        if state_editor is None:
            return
        rows = await state_editor.client.execute_query_dict("SELECT name, capabilities FROM roles")
        for row in rows:
            held = row["capabilities"]
            held = json.loads(held) if isinstance(held, str) else held
            wanted = sorted({*held, *self.granted.get(row["name"], ())})
            if wanted != held:
                statement = (
                    f"UPDATE roles SET capabilities = {_literal(wanted)} WHERE name = {_literal(row['name'])}"  # noqa: S608
                )
                await _run(state_editor, [statement])


def _literal(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return "'{}'".format(text.replace("'", "''"))


def replace_check(definition: str, name: str, check: str) -> str:
    """The table's definition with another condition in the check of this name."""
    start = definition.index(f'CONSTRAINT "{name}" CHECK (')
    opening = definition.index("(", start)
    depth, quoted = 0, False
    for position in range(opening, len(definition)):
        character = definition[position]
        if character == "'":
            quoted = not quoted
        elif not quoted:
            depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            return f"{definition[:opening]}({check}){definition[position + 1 :]}"
    raise ValueError(f"The check {name} has no end.")


def _integer_checks(model: type[Model]) -> dict[str, str]:
    checks = {}
    for field_name, column in model._meta.fields_db_projection.items():
        field = model._meta.fields_map[field_name]
        if isinstance(field, (BigIntField, IntField)):
            allowed = ("integer", "null") if field.null else ("integer",)
            checks[f"{column}_integer"] = one_of(f'typeof("{column}")', allowed)
    return checks


async def _run(state_editor: BaseSchemaEditor, statements: Sequence[str]) -> None:
    """One statement at a time: Tortoise's own runner cuts scripts at every semicolon, also inside a trigger."""
    for statement in statements:
        if state_editor.collect_sql:
            state_editor.collected_sql.append(statement)
        else:
            await state_editor.client.execute_query(statement)
