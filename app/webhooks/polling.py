"""Who asks the store, and when: one process at a time, by the clock or by hand, going on where the last one ended."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from time import monotonic
from typing import Any

import structlog

from app.backends.patience import be_patient
from app.domain.access import Actor, ActorKind
from app.domain.errors import DomainError
from app.services import sync
from app.services.ledger.writer import LedgerUnavailable, NotAccepting, Overloaded, Writer
from app.settings import Settings
from app.webhooks.events import Event, OrderSeen
from app.webhooks.processing import Handler
from app.webhooks.rest import RestClient, SyncError
from app.webhooks.sync import Progress, sync_woocommerce

log = structlog.get_logger("coffer.sync")

NAME = "woocommerce"
ACTOR = Actor(ActorKind.SERVICE, "sync:woocommerce")

LEASE_S = 120.0
"""How long the reading stays with a process that is not heard of: after a kill, the next one waits that long."""


class Poller:
    """Reads what changed in the store and hands it over. `holder` tells this process from others."""

    def __init__(
        self,
        *,
        writer: Writer,
        store: Callable[[], RestClient],
        handlers: Mapping[type[Any], Handler],
        clock: Callable[[], datetime],
        interval_s: float,
        holder: str,
    ) -> None:
        self._writer = writer
        self._store = store
        self._handlers = handlers
        self._clock = clock
        self._interval_s = interval_s
        self._holder = holder

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Read again and again until the end of the block; with an interval of 0, never."""
        task = asyncio.create_task(self._repeat(), name="sync") if self._interval_s else None
        try:
            yield
        finally:
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _repeat(self) -> None:
        be_patient()
        while True:
            try:
                await self.run()
            except SyncError as error:
                log.warning("the store can't be read; asked again at the next round", reason=str(error))
            except (Overloaded, NotAccepting, LedgerUnavailable) as error:
                log.warning("the reading of the store waits for the ledger", error=type(error).__name__)
            except Exception:
                log.exception("the reading of the store failed; it goes on at the next round")
            await asyncio.sleep(self._interval_s)

    async def run(
        self, *, since: datetime | None = None, progress: Callable[[Progress], None] = lambda _: None
    ) -> Progress | None:
        """Read what changed since the last run and return how much that was; nothing while another process is at it.

        `since` reads orders from a time of the caller's choice. Raises `SyncError` when the store can't be read.
        """
        if await self._lease() is None:
            return None
        turn = _Turn(self, since)
        try:
            async with self._store() as store:
                done = await sync_woocommerce(
                    store,
                    handle=turn.handle,
                    load=turn.load,
                    save=turn.save,
                    now=self._clock,
                    since=since,
                    progress=lambda at: progress(replace(at, refused=at.refused + turn.refused)),
                )
        finally:
            await asyncio.shield(self._let_go())
        return replace(done, refused=done.refused + turn.refused)

    async def hand_over(self, event: Event) -> None:
        """Give an event to its use case."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            await handler(ACTOR, event)

    async def keep(self, position: datetime | None = None) -> None:
        """Keep the reading for a while longer, and write down how far it came. Raises `SyncError` if it was lost."""
        if position is None:
            kept = await self._lease()
        else:
            data = {"until": position.isoformat()}
            kept = await sync.move(self._writer, NAME, data, holder=self._holder, lease_s=LEASE_S)
        if kept is None:
            raise SyncError("Another process has taken the reading over, and goes on with it.")

    async def _lease(self) -> object | None:
        return await sync.lease(self._writer, NAME, holder=self._holder, lease_s=LEASE_S)

    async def _let_go(self) -> None:
        position = await sync.position_of(NAME) or {}
        await sync.move(self._writer, NAME, position, holder=self._holder, lease_s=None)


class _Turn:
    """One run: it keeps the lease while it works, and goes on after an event that the ledger refused."""

    def __init__(self, poller: Poller, since: datetime | None) -> None:
        self._poller = poller
        self._since = since
        self._kept_at = monotonic()
        self.refused = 0

    async def load(self) -> datetime | None:
        if self._since is not None:
            return None
        position = await sync.position_of(NAME) or {}
        return datetime.fromisoformat(position["until"]) if "until" in position else None

    async def save(self, position: datetime) -> None:
        await self._poller.keep(position)
        self._kept_at = monotonic()

    async def handle(self, event: Event) -> None:
        if monotonic() - self._kept_at > LEASE_S / 4:
            await self._poller.keep()
            self._kept_at = monotonic()
        try:
            await self._poller.hand_over(event)
        except DomainError as error:
            # One order that can't be followed holds up no other; staff find it in the log by its id.
            self.refused += 1
            order = event.snapshot.external_id if isinstance(event, OrderSeen) else None
            log.warning("refused", event_kind=type(event).__name__, order=order, code=error.code)


def poller_of(
    settings: Settings,
    writer: Writer,
    handlers: Mapping[type[Any], Handler],
    clock: Callable[[], datetime],
) -> Poller | None:
    """Return the poller of the store that the settings name, if they name one."""
    url, key, secret = settings.woocommerce_url, settings.woocommerce_key, settings.woocommerce_secret
    if url is None or key is None or secret is None:
        return None
    return Poller(
        writer=writer,
        store=lambda: RestClient(url, key=key.get_secret_value(), secret=secret.get_secret_value()),
        handlers=handlers,
        clock=clock,
        interval_s=settings.woocommerce_sync_interval_s,
        holder=writer.process,
    )
