"""Keyset pages over a Tortoise query: a page costs the same wherever it lies.

A cursor holds the sort key of a row (its value and its id), so that the next page is found by an index and not
by counting. Offsets are there for table components only; inside, nothing pages by offset.
"""

import base64
import binascii
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from math import isqrt
from operator import attrgetter
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

import orjson
from aiodataloader import DataLoader
from tortoise.connection import get_connection
from tortoise.expressions import Q
from tortoise.functions import Count
from tortoise.models import Model
from tortoise.queryset import QuerySet

from app.domain.errors import FieldInvalid
from app.domain.page import COUNT_MAX, SEARCHED_MAX, Page, PageRequest

M = TypeVar("M", bound=Model)
F = TypeVar("F", bound=Hashable)


_INTEGER_END = 2**63
_TEXT_MAX = 200


@dataclass(frozen=True, slots=True)
class Sort:
    """An order of rows: by one column, then by id, both in the same direction.

    `column` is the Tortoise path to filter and order by, `value` reads it from a row, `parse` reads it back
    from a cursor. Where `column` is another table's, `tie` is the path to that table's id, as its index has both, and
    `tie_value` reads it from a row.
    """

    name: str
    column: str
    value: Callable[[Any], Any]
    parse: Callable[[Any], Any]
    descending: bool = False
    tie: str = "id"
    tie_value: Callable[[Any], UUID] = attrgetter("id")


def time_value(value: Any) -> datetime:
    """Read a time from a cursor."""
    time = datetime.fromisoformat(value)
    if time.tzinfo is None:
        raise ValueError("a time without a zone")
    return time.astimezone(UTC)


def integer_value(value: Any) -> int:
    """Read a number from a cursor; one that no column can hold is none."""
    if not isinstance(value, int) or isinstance(value, bool) or not -_INTEGER_END <= value < _INTEGER_END:
        raise ValueError("no number of 64 bits")
    return value


def text_value(value: Any) -> str:
    """Read a text from a cursor; one that no column can hold is none."""
    if not isinstance(value, str) or len(value) > _TEXT_MAX or "\0" in value:
        raise ValueError("no text of a column")
    return value


def make_cursor(sort: Sort, row: Any) -> str:
    """Return the opaque cursor of a row."""
    value = sort.value(row)
    plain = value.isoformat() if isinstance(value, datetime) else value
    content = orjson.dumps([sort.name, plain, sort.tie_value(row).hex])
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def read_cursor(sort: Sort, cursor: str, *, field: str) -> tuple[Any, UUID]:
    """Return the sort value and the id that a cursor holds, or raise `FieldInvalid`."""
    try:
        if len(cursor) > 2000:
            raise ValueError("too long")
        content = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        name, value, row_id = orjson.loads(content)
        if name != sort.name:
            raise FieldInvalid(
                "This cursor belongs to another sort order. Start from the first page.", field=(field,)
            )
        return sort.parse(value), UUID(hex=row_id)
    except (ValueError, TypeError, AttributeError, OverflowError, binascii.Error):
        raise FieldInvalid(
            "This is no cursor. Use `endCursor` or `startCursor` of a page just as it came.", field=(field,)
        ) from None


def _beyond(sort: Sort, at: tuple[Any, UUID], *, forwards: bool) -> Q:
    value, row_id = at
    way = "gt" if forwards != sort.descending else "lt"
    # The first condition says nothing new, but it lets the database start in the index at the right place.
    return Q(**{f"{sort.column}__{way}e": value}) & (
        Q(**{f"{sort.column}__{way}": value}) | Q(**{f"{sort.tie}__{way}": cast("Any", row_id)})
    )


def _bounded(query: QuerySet[M], sort: Sort, request: PageRequest) -> QuerySet[M]:
    if request.after:
        query = query.filter(_beyond(sort, read_cursor(sort, request.after, field="after"), forwards=True))
    if request.before:
        query = query.filter(_beyond(sort, read_cursor(sort, request.before, field="before"), forwards=False))
    return query


def _ordered(query: QuerySet[M], sort: Sort, request: PageRequest) -> QuerySet[M]:
    sign = "-" if sort.descending != request.backwards else ""
    return _bounded(query, sort, request).order_by(f"{sign}{sort.column}", f"{sign}{sort.tie}")


def page_of_rows(rows: list[M], sort: Sort, request: PageRequest) -> Page[M]:
    """Make a page of rows that were read in the direction of the request, one more than wanted if there is one."""
    more = len(rows) > request.size
    rows = rows[: request.size]
    if request.backwards:
        rows.reverse()
    before_these = bool(request.after) or bool(request.offset)
    return Page(
        rows,
        partial(make_cursor, sort),
        has_next=bool(request.before) if request.backwards else more,
        has_previous=more if request.backwards else before_these,
    )


WALKED_MAX = 20_000
"""Steps of a walk at most: in their time some thousand rows are looked up and sorted."""


FEW_MAX = 5_000
"""So many rows are looked up and sorted at most, in the largest store, where a walk may do."""

_FEW_MIN = 500
"""So many always are."""


def few_of(rows: int) -> int:
    """Return how many of so many rows are few.

    A list that is walked to the page's end takes rows x 20 / found steps, each as long as to look one of the found up:
    where both are as many, both ways take as long.
    """
    return min(FEW_MAX, max(_FEW_MIN, isqrt(20 * rows)))


@dataclass(frozen=True, slots=True)
class Walk(Generic[M]):
    """A list in its own order, of which the rows are wanted that satisfy one more condition: about one in `every`.

    `query` finds the rows without it; `columns` are what the condition names, with their Tortoise paths, and `condition` is SQL.
    """

    query: QuerySet[M]
    columns: Mapping[str, str]
    condition: str
    every: int
    values: Sequence[Any] = ()

    def steps(self, request: PageRequest) -> int:
        """Return how many steps it may take: twice as many as are likely."""
        return 2 * self.every * ((request.offset or 0) + request.size + 1)

    def page(self, sort: Sort, request: PageRequest) -> tuple[str, list[Any]]:
        """Return what finds the ids of a page in so many steps, and its values."""
        rows: Any = _ordered(self.query, sort, request).limit(self.steps(request))
        sql, values = _statement(rows.values(id="id", **self.columns))
        # The planner goes by the outer limit: it takes the way that has the first rows soon.
        limit = f"LIMIT {request.size + 1} OFFSET {request.offset or 0}"
        return f"SELECT id FROM ({sql}) walked WHERE {self.condition} {limit}", [*values, *self.values]


@dataclass(frozen=True, slots=True)
class Found(Generic[M]):
    """What a list finds: the query of all of it; and, where one is likely to be quicker, the walk to be tried before."""

    query: QuerySet[M]
    walk: Walk[M] | None = None

    def filtered(self, **conditions: Any) -> "Found[M]":
        """Return the same with one more condition."""
        walk = self.walk and replace(self.walk, query=self.walk.query.filter(**conditions))
        return Found(self.query.filter(**conditions), walk)


Read = Callable[[str, list[Any]], Awaitable[list[M]]]
"""Reads the rows whose ids a statement finds, in its order."""


def placed(ids: str) -> str:
    """Return a table of the ids that a statement finds, with the place of each, called `chosen`."""
    return f"(SELECT found.id, row_number() OVER () AS place FROM ({ids}) found) chosen"


async def fetch_page(
    query: QuerySet[M], sort: Sort, request: PageRequest, read: Read[M] | None = None
) -> Page[M]:
    """Read one page: one statement, whatever the page.

    With `read`, the page is chosen by its ids, and whole rows are read for them alone: of what is sorted or passed over,
    only the columns that say so.
    """
    query = _ordered(query, sort, request).limit(request.size + 1)
    if request.offset:
        query = query.offset(request.offset)
    rows = list(await query) if read is None else await read(*_statement(query.values("id")))
    return page_of_rows(rows, sort, request)


async def fetch_found(found: Found[M], sort: Sort, request: PageRequest, read: Read[M]) -> Page[M]:
    """Read one page of what was found: by the walk if that fills the page, or else by the query.

    What is wanted may stand together far down the list, and a walk to there would pass by the whole store.
    """
    walk = found.walk
    if walk is not None and walk.steps(request) <= WALKED_MAX:
        rows = await read(*walk.page(sort, request))
        if len(rows) > request.size:
            return page_of_rows(rows, sort, request)
    return await fetch_page(found.query, sort, request, read)


def _statement(query: Any) -> tuple[str, list[Any]]:
    """Return a query's SQL and its values."""
    query._make_query()
    sql, values = query.query.get_parameterized_sql()
    return sql, values


async def ranged(query: QuerySet[M], bounds: Mapping[str, Any], sort: Sort) -> Found[M]:
    """Narrow a list, which comes in some order, to what lies within bounds of columns that have indexes.

    PostgreSQL knows about how many rows lie between two bounds. SQLite takes them for few, and sorts them all: so they are
    counted, and where they are more than a few, the list is walked. What lies in a range of the order itself is together.
    """
    found = Found(query.filter(**bounds))
    client = get_connection("default")
    columns = {bound.partition("__")[0] for bound in bounds}
    is_sorted = client.capabilities.dialect == "sqlite" and (len(bounds), len(columns)) == (2, 1)
    if not is_sorted or sort.column in columns:
        return found
    sql, values = _statement(query.model.filter(**bounds).values("id"))
    condition, table = sql.partition(" WHERE ")[2], query.model._meta.db_table
    within = f"SELECT 1 FROM {table} WHERE {condition} LIMIT {FEW_MAX}"
    counted = (
        f"SELECT (SELECT COUNT(*) FROM ({within}) AS counted) AS found, MAX(rowid) AS known FROM {table}"
    )
    (row,) = await client.execute_query_dict(counted, values)
    # A step takes a quarter of the time of a row that is looked up: rows come as they lie in the table, or nearly.
    most = few_of(row["known"] or 0) // 2
    if row["found"] <= most:
        return found
    every = row["known"] // row["found"]
    return replace(found, walk=Walk(query, {name: name for name in columns}, condition, every, values))


async def count_of(query: QuerySet[Any]) -> int:
    """Return how many rows a query finds, one more than `COUNT_MAX` at most: more are not worth their time."""
    sql, values = _statement(query.limit(COUNT_MAX + 1).values_list("id", flat=True))
    _, found = await get_connection("default").execute_query(
        f"SELECT COUNT(*) AS number FROM ({sql}) AS counted", values
    )
    return int(found[0]["number"])


async def start_of_newest(query: QuerySet[Any], column: str) -> datetime | None:
    """Return since when a query's newest `SEARCHED_MAX` rows are, by a column of times that an index holds; `None` for
    fewer. What no index finds is looked for in these only, so that it takes no longer as the history grows.
    """
    found: list[Any] = list(
        await query.order_by(f"-{column}").offset(SEARCHED_MAX).limit(1).values_list(column, flat=True)
    )
    return found[0] if found else None


async def fetch_pages(
    query: QuerySet[M], sort: Sort, request: PageRequest, *, partition: str, keys: Sequence[UUID]
) -> list[Page[M]]:
    """Read the same page of many parents (such as the last five transactions of fifty wallets) by one statement.

    `partition` is the column that names the parent; the pages come in the order of `keys`.
    """
    model = query.model
    query = _bounded(query.filter(**{f"{partition}__in": list(keys)}), sort, request)
    sql, values = _statement(query)
    way = "DESC" if sort.descending != request.backwards else "ASC"
    order = f'"{sort.column}" {way}, "id" {way}'
    _, rows = await get_connection("default").execute_query(
        f'SELECT * FROM (SELECT q.*, row_number() OVER (PARTITION BY "{partition}" ORDER BY {order}) AS place '
        f"FROM ({sql}) AS q) AS ranked WHERE place <= {request.size + 1} ORDER BY place",
        values,
    )
    groups: dict[UUID, list[M]] = {key: [] for key in keys}
    for row in rows:
        columns = dict(row)
        del columns["place"]
        instance = model._init_from_db(**columns)
        groups[getattr(instance, partition)].append(instance)
    return [page_of_rows(groups[key], sort, request) for key in keys]


class PageLoader(DataLoader[tuple[UUID, F, PageRequest], Page[M]]):
    """Pages of many parents, by (parent's id, filter, page): one statement for all that are asked the same."""

    def __init__(self, query: Callable[[F, UUID | None], QuerySet[M]], sort: Sort, *, partition: str) -> None:
        super().__init__()
        self._query = query
        self._sort = sort
        self._partition = partition

    async def batch_load_fn(self, keys: list[tuple[UUID, F, PageRequest]]) -> list[Page[M]]:
        """Load the pages."""
        asked: dict[tuple[F, PageRequest], list[UUID]] = defaultdict(list)
        for parent_id, wanted, request in keys:
            asked[wanted, request].append(parent_id)
        found: dict[tuple[UUID, F, PageRequest], Page[M]] = {}
        for (wanted, request), parent_ids in asked.items():
            if len(parent_ids) == 1:
                pages = [await fetch_page(self._query(wanted, parent_ids[0]), self._sort, request)]
            else:
                query = self._query(wanted, None)
                pages = await fetch_pages(
                    query, self._sort, request, partition=self._partition, keys=parent_ids
                )
            for parent_id, page in zip(parent_ids, pages, strict=True):
                found[parent_id, wanted, request] = page
        return [found[key] for key in keys]


class CountLoader(DataLoader[tuple[UUID, F], int]):
    """How many rows a filter finds below each parent, by (parent's id, filter)."""

    def __init__(self, query: Callable[[F, UUID | None], QuerySet[Any]], *, partition: str) -> None:
        super().__init__()
        self._query = query
        self._partition = partition

    async def batch_load_fn(self, keys: list[tuple[UUID, F]]) -> list[int]:
        """Count."""
        asked: dict[F, list[UUID]] = defaultdict(list)
        for parent_id, wanted in keys:
            asked[wanted].append(parent_id)
        found: dict[tuple[UUID, F], int] = {}
        for wanted, parent_ids in asked.items():
            query = self._query(wanted, None).filter(**{f"{self._partition}__in": parent_ids})
            counted = query.annotate(number=Count("id")).group_by(self._partition)
            for row in await counted.values(self._partition, "number"):
                found[row[self._partition], wanted] = row["number"]
        return [found.get(key, 0) for key in keys]
