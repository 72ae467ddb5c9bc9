"""What a rule would have cost: past orders read page by page, and given back to the event loop between them."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tortoise.connection import get_connection

from app.db import READER
from app.domain.cashback.expression import Expressions
from app.domain.cashback.rule import CashbackRule
from app.domain.cashback.simulation import PastOrder, Simulation
from app.domain.order import OrderSnapshot, OrderStatus
from app.domain.refund import Refund
from app.domain.settings import StoreSettings
from app.models.payment import Payment
from app.models.refund import Refund as RefundModel
from app.models.wallet import Wallet
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
        orders = await _past_orders(rows)
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
        since = "" if placed.since is None else placed.since.astimezone(UTC).isoformat()
        until = "~" if placed.until is None else placed.until.astimezone(UTC).isoformat()
        self._bounds: list[Any] = [currency, since, until]
        self._last: tuple[str, UUID] | None = None

    async def count(self) -> int:
        """Return how many orders there are."""
        rows = await self._select(
            f"SELECT count(*) AS number FROM orders WHERE {self._where()}",  # noqa: S608 — our own words
            self._bounds,
        )
        return int(rows[0]["number"])

    async def page(self) -> Sequence[Any]:
        """Return the next orders, none at the end."""
        condition, values = self._where(), list(self._bounds)
        if self._last is not None:
            condition += f" AND ({self._column}, id) > ($4, $5)"
            placed, row_id = self._last
            values += [placed, str(row_id) if self._sqlite else row_id]
        rows = await self._select(
            f"SELECT id, wallet_id, snapshot, {self._column} AS placed FROM orders "  # noqa: S608 — our own words
            f"WHERE {condition} ORDER BY {self._column}, id LIMIT {PAGE}",
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


async def _past_orders(rows: Sequence[Any]) -> list[PastOrder]:
    """Return orders with what belongs to them: a fixed number of statements for a page."""
    ids = [read_uuid(row["id"]) for row in rows]
    customers = await _customers({read_uuid(row["wallet_id"]) for row in rows})
    paid, refunds = await _paid(ids), await _refunds(ids)
    found = []
    for row_id, row in zip(ids, rows, strict=True):
        order = OrderSnapshot.from_data(read_json(row["snapshot"]))
        external_id, signed_up_at = customers[read_uuid(row["wallet_id"])]
        # Where the ledger has no refund of it, what the store told is all that is known.
        told = tuple(refunds.get(row_id, ())) or order.refunds
        found.append(PastOrder(row_id, order, external_id, signed_up_at, paid.get(row_id, 0), told))
    return found


async def _customers(wallet_ids: set[UUID]) -> dict[UUID, tuple[str, datetime]]:
    rows = await Wallet.filter(id__in=list(wallet_ids)).values_list(
        "id", "customer__external_id", "customer__created_at"
    )
    return {read_uuid(row[0]): (str(row[1]), read_time(row[2])) for row in rows}


async def _paid(order_ids: list[UUID]) -> dict[UUID, int]:
    """Return what the wallet paid of orders."""
    paid: dict[UUID, int] = defaultdict(int)
    rows = await Payment.filter(order_id__in=order_ids, captured_minor__gt=0).values_list(
        "order_id", "captured_minor"
    )
    for order_id, captured in rows:
        paid[read_uuid(order_id)] += int(str(captured))
    return paid


async def _refunds(order_ids: list[UUID]) -> dict[UUID, list[Refund]]:
    refunds: dict[UUID, list[Refund]] = defaultdict(list)
    for row in await RefundModel.filter(order_id__in=order_ids, withdrawn_at=None).values():
        refunds[read_uuid(row["order_id"])].append(read_refund(row))
    return refunds
