"""Many wallets at once, with whole histories that were decided beforehand: for made-up stores, not for a live one.

Nothing is decided against what is stored, so nothing is read and nothing locked: the rows of a `Load` are new, all of them.
What a wallet's drafts did is what the writer would have written, by the same tables; only the way into the database is
another one: COPY on PostgreSQL, one statement for many rows on SQLite.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

import orjson
from tortoise.backends.base.client import TransactionalDBClient
from tortoise.connection import get_connection
from tortoise.transactions import in_transaction

from app.backends.sqlite import SafeSqliteTransaction
from app.db import READER, WRITER, keep_statistics
from app.domain.customer import Customer
from app.domain.hold import Hold, Reservation
from app.domain.ledger import Draft, Lot, Mint, Row, Transaction, Wallet, WalletState
from app.domain.order import Order
from app.services.ledger import tables
from app.services.ledger.command import IdempotencyClaim
from app.services.ledger.store import Row as Values, SqliteSession, TableWrite
from app.services.ledger.tables import Table


class Load:
    """New rows of many wallets, as they are after the last draft of each."""

    def __init__(self) -> None:
        self._customers: list[Customer] = []
        self._wallets: list[Wallet] = []
        self._lots: dict[UUID, Lot] = {}
        self._transactions: list[Transaction] = []
        self._holds: dict[UUID, Hold] = {}
        self._reservations: dict[UUID, tuple[int, Reservation]] = {}
        self._beside: dict[type[Any], dict[UUID, Row]] = {}

    def take(self, draft: Draft) -> None:
        """Take over what a draft did."""
        self._transactions += draft.transactions
        self._lots.update(draft.lots)
        for hold_id, hold in draft.holds.items():
            self._holds[hold_id] = hold
            for placed in enumerate(draft.reservations[hold_id]):
                self._reservations[placed[1].id] = placed
        for row in draft.rows:
            self.add(row)

    def close(self, state: WalletState) -> None:
        """Take over a wallet and its customer, once its last draft was taken over."""
        self._customers.append(state.customer)
        self._wallets.append(state.wallet)

    def add(self, row: Row) -> None:
        """Take over a row beside the ledger; the last one of an id counts."""
        self._beside.setdefault(type(row), {})[row.id] = row

    async def write(
        self, claim: IdempotencyClaim, result: dict[str, Any], *, now: datetime, mint: Mint
    ) -> None:
        """Write everything in one database transaction, with the key that says that it was written."""
        claimed = (
            mint.id(),
            claim.scope,
            claim.key,
            "seed",
            claim.request_hash,
            orjson.dumps(result).decode(),
            now,
        )
        writes = [TableWrite("insert", tables.IDEMPOTENCY_KEYS, [claimed]), *self._writes(mint)]
        async with in_transaction(WRITER) as db:
            if isinstance(db, SafeSqliteTransaction):
                await SqliteSession(db).write([write for write in writes if write.rows], [])
                return
            # Nobody waits for these locks, so this process may be slow.
            await db.execute_query("SELECT set_config('idle_in_transaction_session_timeout', '0', true)")
            for write in writes:
                if write.rows:
                    await _copy(db, write.table, write.rows)

    def _writes(self, mint: Mint) -> Iterable[TableWrite]:
        # What names others stands after them: their references are looked up row by row.
        orders = self._beside.pop(Order, {})
        # As they come one after the other in a store that lives, where the newest lie together.
        transactions = sorted(self._transactions, key=attrgetter("created_at"))
        for table, records in (
            (tables.CUSTOMERS, self._customers),
            (tables.WALLETS, self._wallets),
            (tables.BESIDE[Order], orders.values()),
            (tables.HOLDS, self._holds.values()),
            (tables.LOTS, self._lots.values()),
            (tables.RESERVATIONS, self._reservations.values()),
            (tables.TRANSACTIONS, transactions),
        ):
            yield _all_of(table, records)
        yield TableWrite("insert", tables.ALLOCATIONS, list(allocation_rows(transactions, mint)))
        for kind, table in tables.BESIDE.items():
            yield _all_of(table, self._beside.get(kind, {}).values())


def allocation_rows(transactions: Iterable[Transaction], mint: Mint) -> Iterable[Values]:
    """Lay the allocations of transactions out as their table says."""
    for transaction in transactions:
        for position, a in enumerate(transaction.allocations):
            yield (mint.id(), transaction.id, a.lot_id, position, str(a.bucket), a.amount_minor, a.expires_at)


def _all_of(table: Table, records: Iterable[Any]) -> TableWrite:
    return TableWrite("insert", table, [table.row(record) for record in records])


async def _copy(db: TransactionalDBClient, table: Table, rows: Iterable[Values]) -> None:
    async with db.acquire_connection() as connection:
        await connection.copy_records_to_table(table.name, records=rows, columns=table.columns)


async def written(claim_scope: str, key_prefix: str) -> dict[str, dict[str, Any]]:
    """Return the results of the loads that were written under keys that begin like this, by their keys."""
    end = key_prefix + "\U0010ffff"
    sql = "SELECT key, result FROM idempotency_keys WHERE scope = $1 AND key >= $2 AND key < $3"
    db = get_connection(READER)
    if db.capabilities.dialect == "sqlite":
        sql = sql.replace("$1", "?").replace("$2", "?").replace("$3", "?")
    rows = await db.execute_query_dict(sql, [claim_scope, key_prefix, end])
    return {
        row["key"]: orjson.loads(row["result"]) if isinstance(row["result"], str) else row["result"]
        for row in rows
    }


@asynccontextmanager
async def room() -> AsyncIterator[None]:
    """Give SQLite half a gigabyte for pages meanwhile: a big store's indexes would be read from the file over and over."""
    db = get_connection(WRITER)
    if db.capabilities.dialect != "sqlite":
        yield
        return
    (before,) = await db.execute_query_dict("PRAGMA cache_size")
    await db.execute_query("PRAGMA cache_size = -524288")
    try:
        yield
    finally:
        await db.execute_query(f"PRAGMA cache_size = {before['cache_size']}")


async def settle() -> None:
    """Have the database look at what was loaded, so that its plans are made for it."""
    if get_connection(WRITER).capabilities.dialect == "sqlite":
        await keep_statistics(everything=True)
    else:
        await get_connection(WRITER).execute_query("VACUUM ANALYZE")
