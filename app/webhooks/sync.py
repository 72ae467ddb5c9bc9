"""Asking a WooCommerce store what changed: it sends each webhook once, and what is lost stays lost.

What was modified since the last time is read in the order of its modification and handed over. How far that came is
saved after each step whose orders were all handed over, so that an interruption loses nothing: the next run begins
a little before where this one ended. Whoever takes the events is used to seeing them twice.

The order is: products (their categories are looked up later), new customers, deleted orders, then all other orders
with their refunds and customers. Only the last step moves the cursor.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog

from app.domain.order import OrderStatus
from app.webhooks.document import Node
from app.webhooks.errors import Untranslatable
from app.webhooks.events import CustomerSeen, Event, OrderSeen
from app.webhooks.rest import NotThereError, RestClient, SyncError
from app.webhooks.woocommerce import (
    NO_STATUSES,
    SOURCE,
    customer_seen,
    order_seen,
    product_seen,
    with_refunds,
)

_log = structlog.get_logger(__name__)

API = "/wp-json/wc/v3"
OVERLAP = timedelta(minutes=10)
"""How far before the cursor a run begins: clocks differ, and a store commits some changes late."""

_PAGE_SIZE = 100
_PAGES_MAX = 10_000
_TIE = timedelta(seconds=1)
"""The store's times are whole seconds: what shares one may stand on both sides of a page's end."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How much was handed over, how far the orders came, and how much could not be understood."""

    orders: int = 0
    customers: int = 0
    products: int = 0
    refused: int = 0
    modified_at: datetime | None = None


def _nothing(progress: Progress) -> None:
    """Where nobody watches."""


async def sync_woocommerce(
    store: RestClient,
    *,
    handle: Callable[[Event], Awaitable[None]],
    load: Callable[[], Awaitable[datetime | None]],
    save: Callable[[datetime], Awaitable[None]],
    now: Callable[[], datetime],
    since: datetime | None = None,
    progress: Callable[[Progress], None] = _nothing,
    source: str = SOURCE,
    statuses: Mapping[str, OrderStatus] = NO_STATUSES,
) -> Progress:
    """Hand over what changed in the store since the last run, and return how much that was.

    `load` and `save` keep the cursor: the store's time until which all was handed over.
    The first run has no cursor: it reads all products and customers, and orders modified from `since` on, by
    default those of the last minutes: old orders, whose refunds were paid long ago, are read only if asked for.
    Raises `SyncError` when the store can't be read, and whatever `handle` raises.
    """
    run = _Run(store, handle, now, progress, source, statuses)
    await run.all(await load(), save, since)
    return run.done


@dataclass(slots=True)
class _Run:
    """One run: what it needs at every step, and what it remembers."""

    store: RestClient
    handle: Callable[[Event], Awaitable[None]]
    now: Callable[[], datetime]
    progress: Callable[[Progress], None]
    source: str
    statuses: Mapping[str, OrderStatus]
    done: Progress = Progress()
    customers_seen: set[str] = field(default_factory=set)

    async def all(
        self,
        loaded: datetime | None,
        save: Callable[[datetime], Awaitable[None]],
        since: datetime | None,
    ) -> None:
        begun_at = await self._store_clock()
        # A cursor ahead of the store's clock was written by a clock that has been put right since.
        after = min(loaded or since or begun_at, begun_at) - OVERLAP
        async for step in self._modified("/products", None if loaded is None else after):
            await self._products(step.rows)
        await self._customers(None if loaded is None else after)
        async for step in self._modified("/orders", after, status="trash"):
            await self._orders(step.rows)
        async for step in self._modified("/orders", after, status="any"):
            await self._orders(step.rows)
            # Never past the beginning: products and customers were read then. Never back into the overlap.
            reached = min(step.complete_until or after, begun_at)
            if reached > (loaded or after):
                await save(reached)
        await save(begun_at)

    async def _store_clock(self) -> datetime:
        """Ask the store for next to nothing, because its clock and not ours says when things were modified."""
        answer = await self.store.get(f"{API}/orders", {"per_page": "1", "page": "1", "_fields": "id"})
        return answer.at or self.now()

    async def _products(self, rows: Sequence[Node]) -> None:
        for row in rows:
            await self._hand_over(partial(product_seen, row, received_at=self.now(), source=self.source))
        self._tell(replace(self.done, products=self.done.products + len(rows)))

    async def _customers(self, after: datetime | None) -> None:
        """Hand over those who registered since; the API can't ask for who was modified."""
        for number in range(1, _PAGES_MAX):
            rows = await self._page(
                "/customers", number, orderby="registered_date", order="desc", role="customer"
            )
            recent = [row for row in rows if _registered_since(row, after)]
            for row in recent:
                await self._customer(row)
            if len(recent) < _PAGE_SIZE:
                return

    async def _customer(self, row: Node) -> None:
        seen = await self._hand_over(partial(customer_seen, row, source=self.source))
        if isinstance(seen, CustomerSeen):
            self.customers_seen.add(seen.customer.external_id)
            self._tell(replace(self.done, customers=self.done.customers + 1))

    async def _orders(self, rows: Sequence[Node]) -> None:
        await self._customers_of(rows)
        for row in rows:
            await self._hand_over(partial(self._order, row, await self._refunds(row)))
        times = [time for row in rows if (time := _modified_at(row)) is not None]
        latest = max(times, default=self.done.modified_at)
        self._tell(replace(self.done, orders=self.done.orders + len(rows), modified_at=latest))

    def _order(self, row: Node, refunds: Sequence[Node]) -> Event:
        seen = order_seen(row, received_at=self.now(), source=self.source, statuses=self.statuses)
        if isinstance(seen, OrderSeen) and refunds:
            return OrderSeen(with_refunds(seen.snapshot, refunds, row))
        return seen

    async def _customers_of(self, rows: Sequence[Node]) -> None:
        """Hand over the accounts behind these orders, which tell more than the bills that customers typed."""
        named = {str(row["customer_id"].value) for row in rows}
        wanted = sorted(
            id_ for id_ in named - self.customers_seen if id_.isascii() and id_.strip("0").isdigit()
        )
        for place in range(0, len(wanted), _PAGE_SIZE):
            several = ",".join(wanted[place : place + _PAGE_SIZE])
            for row in await self._page("/customers", 1, include=several, role="all"):
                await self._customer(row)

    async def _refunds(self, order: Node) -> list[Node]:
        """Return the refunds of an order with their lines, where it has any."""
        if not order["refunds"].value:
            return []
        found: list[Node] = []
        try:
            for number in range(1, _PAGES_MAX):
                rows = await self._page(f"/orders/{_path_id(order)}/refunds", number)
                found.extend(rows)
                if len(rows) < _PAGE_SIZE:
                    break
        except NotThereError:
            # Deleted since the page was read: what the order itself says of its refunds is enough.
            return []
        return found

    async def _hand_over(self, translated: Callable[[], Event]) -> Event | None:
        """Hand over what a row means. One that can't be understood is counted and must not hold up the others."""
        try:
            event = translated()
        except Untranslatable as error:
            _log.warning("store_row_refused", source=self.source, problem=error.message)
            self._tell(replace(self.done, refused=self.done.refused + 1))
            return None
        await self.handle(event)
        return event

    def _tell(self, done: Progress) -> None:
        self.done = done
        self.progress(done)

    async def _page(self, path: str, number: int, **parameters: str) -> list[Node]:
        asked = {"per_page": str(_PAGE_SIZE), "page": str(number), **parameters}
        answer = await self.store.get(f"{API}{path}", asked)
        rows = answer.document.value
        if not (isinstance(rows, list) and all(isinstance(row, dict) for row in rows)):
            raise SyncError(f"The store's answer to {path} is no list of objects.")
        return list(answer.document.items())

    async def _modified(self, path: str, after: datetime | None, **parameters: str) -> AsyncIterator["_Step"]:
        """Go through what was modified since, oldest first, each state of it once.

        Pages shift while somebody reads them: what is modified moves to the end, and everything behind it moves
        up. So the first page is asked for again and again, each time from where the last one ended. Only what shares
        its second with more than a page of others needs further pages; those are read until they bring nothing new.
        """
        seen = _Seen()
        while True:
            pages = _Pages(after)
            async for rows in self._window(path, pages, seen, parameters):
                yield _Step(rows, None)
            if pages.next_after is None:
                return
            yield _Step([], pages.next_after)
            after = pages.next_after
            seen.forget_before(after)

    async def _window(
        self, path: str, pages: "_Pages", seen: "_Seen", parameters: Mapping[str, str]
    ) -> AsyncIterator[list[Node]]:
        """Read pages from one point on until they end, or reach far enough to begin anew from there."""
        number, fresh_in_pass, before = 1, 0, None
        while number < _PAGES_MAX:
            rows = await self._page(path, number, **pages.parameters(), **parameters)
            pages.check(rows, before)
            fresh = [row for row in rows if seen.is_new(row)]
            fresh_in_pass += len(fresh)
            if fresh:
                yield fresh
            done = len(rows) < _PAGE_SIZE or pages.reach(rows)
            if done and (number == 1 or not fresh_in_pass):
                return
            if done:
                # Further pages may have shifted under our eyes: once more, until a pass brings nothing new.
                number, fresh_in_pass, before, pages.next_after = 1, 0, None, None
            else:
                number, before = number + 1, rows
        raise SyncError(f"The store has more than {_PAGES_MAX} pages of {path} for one moment.")


@dataclass(frozen=True, slots=True)
class _Step:
    """Rows to hand over, or the time until which all were handed over."""

    rows: Sequence[Node]
    complete_until: datetime | None


@dataclass(slots=True)
class _Pages:
    """Pages that begin after one point in time; `next_after` is where the next ones begin, if there are any."""

    after: datetime | None
    next_after: datetime | None = None

    def parameters(self) -> dict[str, str]:
        parameters = {"orderby": "modified", "order": "asc", "dates_are_gmt": "true"}
        if self.after is not None:
            # The store leaves out that second itself, so one second less is said.
            text = (self.after - _TIE).astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
            parameters["modified_after"] = text
        return parameters

    def check(self, rows: Sequence[Node], before: Sequence[Node] | None) -> None:
        """Refuse to go round in circles with a store that doesn't do what it is asked for."""
        times = [time for row in rows if (time := _modified_at(row)) is not None]
        if self.after is not None and any(time < self.after - 2 * _TIE for time in times):
            raise SyncError(
                "The store ignores modified_after, so what changed can't be asked for. "
                "WooCommerce 5.8 or newer is needed."
            )
        if rows and before is not None and [_key(row) for row in rows] == [_key(row) for row in before]:
            raise SyncError("The store gives the same page again and again, whichever it is asked for.")

    def reach(self, rows: Sequence[Node]) -> bool:
        """Tell whether a full page reaches beyond the second it began with, and note where to go on."""
        latest = _modified_at(rows[-1])
        if latest is None or (self.after is not None and latest <= self.after):
            return False
        self.next_after = latest
        return True


class _Seen:
    """Which states of which rows were handed over; only those that may come again are remembered."""

    def __init__(self) -> None:
        self._times: dict[tuple[str, str], datetime | None] = {}

    def is_new(self, row: Node) -> bool:
        """Tell whether this state of the row comes for the first time, and remember it."""
        key = _key(row)
        new = key not in self._times
        self._times[key] = _modified_at(row)
        return new

    def forget_before(self, time: datetime) -> None:
        """Forget what pages that begin at this time don't show any more."""
        self._times = {key: at for key, at in self._times.items() if at is None or at >= time - 2 * _TIE}


def _key(row: Node) -> tuple[str, str]:
    return str(row["id"].value), str(row["date_modified_gmt"].value)


def _modified_at(row: Node) -> datetime | None:
    return _time_of(row, "date_modified_gmt")


def _registered_since(row: Node, after: datetime | None) -> bool:
    registered_at = _time_of(row, "date_created_gmt")
    return after is None or registered_at is None or registered_at >= after


def _time_of(row: Node, name: str) -> datetime | None:
    """Return a time by which rows are put in order; one that can't be read is the translator's to refuse."""
    try:
        return row[name].maybe_time()
    except Untranslatable:
        return None


def _path_id(order: Node) -> str:
    """Return an order's id for a path, which only digits may be."""
    id_ = str(order["id"].value)
    if not (id_.isascii() and id_.isdigit()):
        raise SyncError(f"The store's order {id_[:32]!r} has an id that is no number.")
    return id_
