"""The writer's statements go along indexes: a table read from end to end for each batch would get slower by the day."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from tortoise.backends.asyncpg.client import TransactionWrapper
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.connection import get_connection
from tortoise.context import TortoiseContext

from app.backends.asyncpg import SafeAsyncpgClient
from app.backends.sqlite import SafeSqliteTransaction
from app.db import WRITER
from app.services.ledger import store, tables
from tests.ledger import authorize, capture, credit, debit, running_writer, submit_all

TABLES = frozenset(
    {"allocations", "customers", "holds", "idempotency_keys", "lots", "reservations", "settings_versions"}
    | {"transactions", "wallets"}
)
ALIASES = frozenset("chkrtw")
"""What the statements call them."""


@pytest.mark.parametrize("written", [store._write_all, store._write_all_if])
def test_what_comes_together_in_ever_new_ways_is_not_kept_for_ever(written: Any) -> None:
    kinds = list(tables.BESIDE.values())[:9]
    for number in range(1, 2 ** len(kinds)):
        written(tuple(("insert", kind) for place, kind in enumerate(kinds) if number >> place & 1))
    assert written.cache_info().currsize <= store.STATEMENTS_MAX < 2 ** len(kinds)


async def test_no_statement_of_the_writer_reads_a_table_from_end_to_end(
    database: TortoiseContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: dict[str, Any] = {}
    for kind in (SafeSqliteTransaction, TransactionWrapper, SafeAsyncpgClient):
        monkeypatch.setattr(kind, "execute_query", _noting(kind.execute_query, sent))
    async with running_writer(lambda: datetime.now(UTC)) as writer:
        await submit_all(writer, [credit(f"c{n}", 100) for n in range(20)])
        sent.clear()
        # Known wallets first, then the same as after a restart.
        for turn in range(2):
            hold = (await writer.submit(authorize("c1", 5))).answer
            assert hold is not None
            await submit_all(writer, [debit(f"c{n}", 1, key=f"{turn}-{n}") for n in range(20)])
            writer._known.forget(list(writer._known._states))
            await writer.submit(capture("c1", hold.id, 5))
    assert len(sent) > 5
    db = get_connection(WRITER)
    # Asking for the plans is asking, too.
    for query, values in list(sent.items()):
        found = set(re.findall(r"(?:Seq Scan on|SCAN) (\w+)\b(?! VIRTUAL)", await _plan(db, query, values)))
        assert not found & (TABLES | ALIASES), query


def _noting(execute: Any, sent: dict[str, Any]) -> Any:
    async def execute_query(self: Any, query: str, values: Any = None) -> Any:
        sent[query] = values
        return await execute(self, query, values)

    return execute_query


async def _plan(db: BaseDBAsyncClient, query: str, values: Any) -> str:
    postgres = db.capabilities.dialect == "postgres"
    _, rows = await db.execute_query(("EXPLAIN " if postgres else "EXPLAIN QUERY PLAN ") + query, values)
    return "\n".join(str(row["QUERY PLAN" if postgres else "detail"]) for row in rows)
