"""Relay connections over keyset pages."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any, Generic, TypeVar, cast

import strawberry
from tortoise.queryset import QuerySet

from app.domain.page import COUNT_MAX, Page
from app.models.paging import count_of
from app.readings import OF_ORDER, OF_THESE, Shown, showing

T = TypeVar("T")

First = Annotated[
    int | None,
    strawberry.argument(description="At most this many from the start, or after `after` (20, at most 100)."),
]
After = Annotated[str | None, strawberry.argument(description="Continue after this cursor.")]
Last = Annotated[
    int | None,
    strawberry.argument(description="At most this many from the end, or before `before` (at most 100)."),
]
Before = Annotated[str | None, strawberry.argument(description="Go back from this cursor.")]
Offset = Annotated[
    int | None,
    strawberry.argument(
        description="Skip this many, at most 10,000; for table components that count pages. Cursors are faster."
    ),
]


@strawberry.type(description="Where a page lies among all rows.")
class PageInfo:
    """As the Relay specification has it."""

    has_next_page: bool = strawberry.field(description="Whether there are rows after this page.")
    has_previous_page: bool = strawberry.field(description="Whether there are rows before this page.")
    start_cursor: str | None = strawberry.field(description="The cursor of the first row.")
    end_cursor: str | None = strawberry.field(description="The cursor of the last row.")


@strawberry.type(description="A row of a page and its cursor.")
class Edge(Generic[T]):
    """As the Relay specification has it."""

    row: strawberry.Private[Any]
    page: strawberry.Private[Page[Any]]
    wrap: strawberry.Private[Callable[[Any], Any]]

    @strawberry.field(description="Names this row's place; opaque.", metadata=OF_ORDER)
    def cursor(self) -> str:
        """Return the cursor."""
        return self.page.cursor_of(self.row)

    @strawberry.field(description="The row.", metadata=OF_THESE)
    def node(self) -> T:
        """Return the row."""
        found: T = self.wrap(self.row)
        return found


class Counter:
    """Counts the rows of a list once, when somebody asks."""

    def __init__(self, ask: Callable[[], Awaitable[int]]) -> None:
        self._ask = ask
        self._asked: asyncio.Future[int] | None = None

    async def count(self) -> int:
        """Return how many rows there are, a few more than `COUNT_MAX` at most."""
        if self._asked is None:
            self._asked = asyncio.ensure_future(self._ask())
        # Shielded: of two fields that wait for it, one may be cancelled.
        return await asyncio.shield(self._asked)


@strawberry.type(description="A page of rows.")
class Connection(Generic[T]):
    """As the Relay specification has it, with `nodes` for those who need no cursors.

    Of a page's rows, only what is asked for is made into objects.
    """

    page: strawberry.Private[Page[Any]]
    wrap: strawberry.Private[Callable[[Any], Any]]
    counter: strawberry.Private[Counter]
    shows: strawberry.Private[type | None] = None
    """The rows' type, where an object of it is made of its row alone."""

    @strawberry.field(description="The rows, each with its cursor.", metadata=OF_THESE)
    def edges(self) -> list[Edge[T]]:
        """Return the rows with what tells their cursors."""
        return [Edge(row=row, page=self.page, wrap=self.wrap) for row in self.page.rows]

    @strawberry.field(description="The rows alone.", metadata=OF_THESE)
    def nodes(self) -> list[T]:
        """Return the rows."""
        if self.shows is not None:
            return cast("list[T]", Shown(self.shows, self.page.rows))
        return [self.wrap(row) for row in self.page.rows]

    @strawberry.field(description="Where the page lies.", metadata=OF_ORDER)
    def page_info(self) -> PageInfo:
        """Tell where the page lies."""
        page = self.page
        return PageInfo(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=page.cursor_of(page.rows[0]) if page.rows else None,
            end_cursor=page.cursor_of(page.rows[-1]) if page.rows else None,
        )

    @strawberry.field(
        description="How many rows there are in all pages; counted only when asked for, and up to 10,000: where there are more, "
        "this is 10,000, and `totalCountIsExact` is false.",
        metadata=OF_ORDER,
    )
    async def total_count(self) -> int:
        """Count the rows."""
        return min(await self.counter.count(), COUNT_MAX)

    @strawberry.field(
        description="Whether `totalCount` counts all rows; false where there are more than 10,000. Both are counted once.",
        metadata=OF_ORDER,
    )
    async def total_count_is_exact(self) -> bool:
        """Tell whether all rows were counted."""
        return await self.counter.count() <= COUNT_MAX


def connection(
    page: Page[Any],
    wrap: Callable[[Any], T],
    rows: QuerySet[Any] | Callable[[], Awaitable[int]],
    *,
    shows: type | None = None,
) -> Connection[T]:
    """Return a page of models as a connection of GraphQL objects; `rows` is what finds all of them, or counts them."""
    counter = Counter(partial(count_of, rows) if isinstance(rows, QuerySet) else rows)
    return Connection(page=page, wrap=wrap, counter=counter, shows=shows)


def connection_of(
    type_: type[T], page: Page[Any], rows: QuerySet[Any] | Callable[[], Awaitable[int]]
) -> Connection[T]:
    """Return a page of models as a connection of objects of a type that shows them; see `connection`."""
    return connection(page, showing(type_), rows, shows=type_)
