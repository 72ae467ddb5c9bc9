"""What a rule would have cost: past orders read page by page, and given back to the event loop between them."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from tortoise.connection import get_connection

from app.db import READER
from app.domain.cashback.expression import Expressions
from app.domain.cashback.rule import CashbackRule
from app.domain.cashback.simulation import PastOrder, Simulation
from app.domain.order import OrderSnapshot, OrderStatus
from app.domain.refund import Refund
from app.domain.settings import StoreSettings
from app.services.ledger.records import read_json, read_refund, read_time, read_uuid

PAGE = 500
"""Orders that are read by one statement."""

SLICE = 10
"""Orders that are tried before other requests get their turn: a few milliseconds."""

# As the index on past orders has it, to the letter: another spelling would walk the whole table.
_PLACED = {
    "sqlite": "coalesce(json_extract(snapshot, '$.placed_at'), json_extract(snapshot, '$.modified_at'))",
    "postgres": "(coalesce(snapshot ->> 'placed_at', snapshot ->> 'modified_at')) COLLATE \"C\"",
}
_PAST = f"status IN ('{OrderStatus.COMPLETED}', '{OrderStatus.REFUNDED}') AND wallet_id IS NOT NULL"
_BOUNDED = f"{_PAST} AND currency = {{currency}} AND {{placed}} >= {{since}} AND {{placed}} <= {{until}}"


@dataclass(frozen=True, slots=True)
class Placed:
    """The time in which orders were placed; both ends are included."""

    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a simulation has come."""

    orders_done: int
    orders_total: int
    simulation: Simulation
    done: bool = False


async def simulate(
    rule: CashbackRule,
    placed: Placed,
    *,
    currency: str,
    settings: StoreSettings,
    expressions: Expressions,
) -> AsyncGenerator[Progress, None]:
    """Try a rule over past orders, and tell after each page how far it is; the last one is done. It writes nothing.

    Raises `FieldInvalid` for a rule that does not wait for orders.
    """
    simulation = Simulation(rule, currency=currency, settings=settings, expressions=expressions)
    reader = _Reader(placed, currency)
    total = await reader.count()
    yield Progress(0, total, simulation)
    while rows := await reader.page():
        orders = await reader.past_orders(rows)
        for start in range(0, len(orders), SLICE):
            for past in orders[start : start + SLICE]:
                simulation.take(past)
            await asyncio.sleep(0)
        done = simulation.all.orders
        # Orders may be completed while it runs: it is never further than all of them.
        yield Progress(done, max(done, total), simulation)
    done = simulation.all.orders
    yield Progress(done, done, simulation, done=True)


class _Reader:
    """Pages of past orders, by when they were placed."""

    def __init__(self, placed: Placed, currency: str) -> None:
        self._connection = get_connection(READER)
        self._sqlite = self._connection.capabilities.dialect == "sqlite"
        self._column = _PLACED["sqlite" if self._sqlite else "postgres"]
        # SQLite would rather take the index on the status, and sort all orders for each page.
        self._orders = "orders INDEXED BY orders_by_placed_at" if self._sqlite else "orders"
        since = "" if placed.since is None else placed.since.astimezone(UTC).isoformat()
        until = "~" if placed.until is None else placed.until.astimezone(UTC).isoformat()
        self._bounds: list[Any] = [currency, since, until]
        self._last: tuple[str, UUID] | None = None

    async def count(self) -> int:
        """Return how many orders there are."""
        rows = await self._select(
            f"SELECT count(*) AS number FROM {self._orders} WHERE {self._where()}",  # noqa: S608 — our own words
            self._bounds,
        )
        return int(rows[0]["number"])

    async def page(self) -> Sequence[Any]:
        """Return the next orders, none at the end."""
        condition, values = self._where(), list(self._bounds)
        if self._last is not None:
            condition += f" AND ({self._column}, id) > ($4, $5)"
            placed, row_id = self._last
            # Not before the last one: it says nothing new, but lets the database start in the index at the right place.
            values[1] = placed
            values += [placed, str(row_id) if self._sqlite else row_id]
        page = (
            f"SELECT id, wallet_id, snapshot, {self._column} AS placed FROM {self._orders} "  # noqa: S608 — our own words
            f"WHERE {condition} ORDER BY {self._column}, id LIMIT {PAGE}"
        )
        # The page first, and only then whose its orders are: so the index stays what the page is read by.
        rows = await self._select(
            f"SELECT p.*, c.external_id, c.created_at FROM ({page}) AS p "  # noqa: S608 — our own words
            "JOIN wallets w ON w.id = p.wallet_id JOIN customers c ON c.id = w.customer_id ORDER BY p.placed, p.id",
            values,
        )
        if rows:
            self._last = rows[-1]["placed"], read_uuid(rows[-1]["id"])
        return rows

    def _where(self) -> str:
        return _BOUNDED.format(placed=self._column, currency="$1", since="$2", until="$3")

    async def _select(self, sql: str, values: list[Any]) -> Sequence[Any]:
        if self._sqlite:
            for number in range(len(values), 0, -1):
                sql = sql.replace(f"${number}", f"?{number}")
        rows: Sequence[Any]
        _, rows = await self._connection.execute_query(sql, values)
        return rows

    async def past_orders(self, rows: Sequence[Any]) -> list[PastOrder]:
        """Return orders with what belongs to them: a fixed number of statements for a page."""
        ids = [read_uuid(row["id"]) for row in rows]
        paid, refunds = await self._paid(ids), await self._refunds(ids)
        found = []
        for row_id, row in zip(ids, rows, strict=True):
            order = OrderSnapshot.from_data(read_json(row["snapshot"]))
            # Where the ledger has no refund of it, what the store told is all that is known.
            refunded = tuple(refunds.get(row_id, ())) or order.refunds
            signed_up_at = read_time(row["created_at"])
            found.append(
                PastOrder(row_id, order, row["external_id"], signed_up_at, paid.get(row_id, 0), refunded)
            )
        return found

    async def _paid(self, order_ids: list[UUID]) -> dict[UUID, int]:
        sql = "SELECT order_id, sum(captured_minor) AS paid FROM payments WHERE order_id IN {ids} GROUP BY order_id"
        return {read_uuid(row["order_id"]): int(row["paid"]) for row in await self._of(sql, order_ids)}

    async def _refunds(self, order_ids: list[UUID]) -> dict[UUID, list[Refund]]:
        refunds: dict[UUID, list[Refund]] = defaultdict(list)
        for row in await self._of("SELECT * FROM refunds WHERE order_id IN {ids}", order_ids):
            refund = read_refund(row)
            if refund.withdrawn_at is None:
                refunds[refund.order_id].append(refund)
        return refunds

    async def _of(self, sql: str, order_ids: list[UUID]) -> Sequence[Any]:
        if self._sqlite:
            listed = orjson.dumps([str(row_id) for row_id in order_ids]).decode()
            return await self._select(sql.replace("{ids}", "(SELECT value FROM json_each($1))"), [listed])
        return await self._select(sql.replace("IN {ids}", "= ANY($1::uuid[])"), [order_ids])
