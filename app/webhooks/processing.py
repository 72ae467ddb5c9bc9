"""Works on what came in: takes a delivery under a lease, translates it, hands its events on, writes down what came of it.

Everything here may happen twice (a lease ran out, a process died before it could say that it was done), and so whatever
events are handed to must bear repetition: orders are reconciled, products and customers are remembered.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from random import uniform
from time import monotonic
from traceback import extract_tb
from typing import Any
from uuid import UUID

import structlog

from app.backends.patience import DatabaseBusy, DatabaseSlow, be_patient
from app.domain.access import Actor, ActorKind
from app.domain.delivery import Delivery, Door
from app.domain.errors import DomainError, InvalidInput
from app.domain.order import order_id
from app.services.delivery import Backlog, Inbox, backlog, body_of, door_actor, due, settle, take
from app.services.ledger.failure import Failure, failure_of
from app.services.ledger.writer import LedgerSlow, LedgerUnavailable, NotAccepting, Overloaded, Writer
from app.webhooks.errors import Untranslatable
from app.webhooks.events import Event, Ignored, OrderDeleted, OrderSeen, RefundSeen

log = structlog.get_logger("coffer.webhooks")

LEASE_S = 60.0
"""How long a delivery belongs to whoever took it; a process that died with it delays it by no more."""

WORK_TIMEOUT_S = 45.0
"""How long the work on one delivery may take: well below the lease, so that nobody else has begun with it."""

FETCHED_AT_ONCE = 200
"""Due deliveries that one look finds."""

STOP_TIMEOUT_S = 10.0
"""How long the work that runs may go on when the server stops; what does not end is taken up again later."""

JITTER = 0.2
"""How far a wait may be off: what failed together need not come back together."""

Translate = Callable[[str, bytes, datetime], Sequence[Event]]
"""Translates a message (topic, body, when it came); raises `Untranslatable`."""

Handler = Callable[[Actor, Any], Awaitable[str]]
"""Does what follows from one event and says what that was, without personal data."""


End = Callable[[Delivery, datetime], Delivery]
"""How the work on a delivery ended, to be applied to the delivery as it is by then."""

PROCESSOR = Actor(ActorKind.SYSTEM, "webhooks")
"""Who takes deliveries; what they lead to is done by their doors."""


class _Unhandled(Exception):
    """An event that this server has no handler for, such as one of an older version beside a newer one."""


class Processor:
    """Runs in every server. Several processes may do it at once: a delivery belongs to one at a time.

    `at_once` is how many deliveries are worked on at a time, `interval_s` how often to look for what is due.
    """

    def __init__(
        self,
        *,
        writer: Writer,
        inbox: Inbox,
        clock: Callable[[], datetime],
        translators: Mapping[Door, Translate],
        handlers: Mapping[type[Any], Handler],
        at_once: int = 4,
        interval_s: float = 5.0,
        lease_s: float = LEASE_S,
        jitter: Callable[[], float] = lambda: uniform(1 - JITTER, 1 + JITTER),  # noqa: S311 — no secret
    ) -> None:
        self._writer = writer
        self._inbox = inbox
        self._clock = clock
        self._translators = translators
        self._handlers = handlers
        self._at_once = at_once
        self._interval_s = interval_s
        self._lease = timedelta(seconds=lease_s)
        self._jitter = jitter
        self._tasks: list[asyncio.Task[None]] = []
        self._busy: set[asyncio.Task[None] | None] = set()
        self._looked_at = monotonic()
        self.backlog = Backlog()
        """How much waited when it was last counted."""

    @property
    def is_alive(self) -> bool:
        """Whether all of its tasks run."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    @property
    def lag_s(self) -> float:
        """For how many seconds a look at what is due has been overdue; 0 while there is none."""
        return max(0.0, monotonic() - self._looked_at - self._interval_s)

    @property
    def age_s(self) -> float:
        """For how many seconds the oldest delivery had waited when it was last counted."""
        return self.backlog.age_s(self._clock())

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Processor"]:
        """Work until the end of the block, then finish what is under way."""
        self._looked_at = monotonic()
        workers = [
            asyncio.create_task(self._work_on(), name=f"deliveries-{number}")
            for number in range(self._at_once)
        ]
        self._tasks = [asyncio.create_task(self._watch(), name="deliveries"), *workers]
        try:
            yield self
        finally:
            tasks, self._tasks = self._tasks, []
            busy = [task for task in tasks if task in self._busy]
            for task in tasks:
                if task not in self._busy:
                    task.cancel()
            if busy:
                # They end by themselves after the delivery that they are at: `_tasks` is empty.
                await asyncio.wait(busy, timeout=STOP_TIMEOUT_S)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def work_off(self) -> int:
        """Work on all that is due now, one after the other, and tell how many there were."""
        count = 0
        while ids := await due(self._clock(), FETCHED_AT_ONCE):
            for delivery_id in ids:
                count += await self.work(delivery_id)
        return count

    async def work(self, delivery_id: UUID) -> bool:
        """Work on one delivery; tell whether it was ours to work on. Raises what the ledger raises when it is away."""
        taken = await take(self._writer, PROCESSOR, delivery_id, self._lease)
        if taken is None:
            return False
        end = await self._ended(taken)
        await settle(self._writer, PROCESSOR, taken, end)
        return True

    # --- the tasks ------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Look for what is due: what failed, what another process left behind, what no queue had room for."""
        be_patient()
        while True:
            try:
                if self._at_once:
                    self._inbox.put(await due(self._clock(), FETCHED_AT_ONCE))
                self.backlog = await backlog()
                self._looked_at = monotonic()
            except Exception as error:  # noqa: BLE001 — it looks again, whatever kept it from it
                log.warning("due webhooks could not be looked for", error=type(error).__name__)
            await asyncio.sleep(self._interval_s * self._jitter())

    async def _work_on(self) -> None:
        me = asyncio.current_task()
        be_patient()
        while True:
            delivery_id = await self._inbox.get()
            self._busy.add(me)
            try:
                await self.work(delivery_id)
            except (Overloaded, NotAccepting, LedgerUnavailable) as error:
                # It stays due, so the next look finds it.
                log.warning("webhooks wait for the ledger", error=type(error).__name__)
                await asyncio.sleep(self._jitter())
            except Exception as error:  # noqa: BLE001 — one delivery must not end the work on all others
                log.error("a webhook was left behind", **_where(error))  # noqa: TRY400 — see `_where`
            finally:
                self._busy.discard(me)
            if not self._tasks:
                return

    # --- one delivery ---------------------------------------------------------------------------------------

    async def _ended(self, taken: Delivery) -> End:
        events: Sequence[Event] = ()
        try:
            async with asyncio.timeout(WORK_TIMEOUT_S):
                events = await self._translated(taken)
                return await self._handled(taken, events)
        except Exception as error:  # noqa: BLE001 — whatever it is, it is written down
            sentence, order, jitter = _explained(taken, error), _order_of(events), self._jitter()
            if isinstance(error, Untranslatable | InvalidInput):
                # The same message will be refused for the same reason for ever.
                return lambda found, now: found.dead(sentence, now, order_id=order)
            return lambda found, now: found.failed(sentence, now, jitter=jitter, order_id=order)

    async def _translated(self, taken: Delivery) -> Sequence[Event]:
        body = await body_of(taken.id)
        if body is None:
            raise Untranslatable("Its body is gone.")
        return self._translators[taken.door](taken.topic, body, taken.told_at)

    async def _handled(self, taken: Delivery, events: Sequence[Event]) -> End:
        said, ignored = [], True
        for event in events:
            if isinstance(event, Ignored):
                said.append(event.why)
                continue
            ignored = False
            handler = self._handlers.get(type(event))
            if handler is None:
                raise _Unhandled(type(event).__name__)
            said.append(await handler(door_actor(taken.door), event))
        summary, order = " ".join(said) or "Nothing follows from it.", _order_of(events)
        return lambda found, now: found.done(summary, now, order_id=order, ignored=ignored)


_TOO_SLOW = "The database took too long."

_PASSING: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((LedgerSlow, DatabaseSlow), _TOO_SLOW),
    ((Overloaded, NotAccepting, LedgerUnavailable), "The ledger could not be reached."),
    ((TimeoutError,), f"It took longer than {WORK_TIMEOUT_S:g} s."),
    ((DatabaseBusy,), "The database could not be reached."),
    ((_Unhandled,), "This server knows nobody who takes what it tells of."),
)
"""What is nobody's fault and may pass, and how staff are told."""


def _explained(taken: Delivery, error: Exception) -> str:
    """Return what went wrong as a sentence for staff; a defect is also told to the operators."""
    if isinstance(error, Untranslatable):
        return f"The message can't be understood: {error.message}"
    if isinstance(error, DomainError):
        # What is refused now may be granted later: a wallet that is frozen, an order that comes after its refund.
        return error.message
    for kinds, sentence in _PASSING:
        if isinstance(error, kinds):
            return sentence
    failure = failure_of(error)
    if failure in {Failure.UNREACHABLE, Failure.SLOW}:
        return _TOO_SLOW if failure is Failure.SLOW else "The database could not be reached."
    log.error("a webhook could not be worked on", door=taken.door, topic=taken.topic, **_where(error))
    return f"A defect of Coffer's ({type(error).__name__}) got in the way. The server's log says where."


def _order_of(events: Sequence[Event]) -> UUID | None:
    """Return the order that a message tells of, if it tells of one."""
    for event in events:
        if isinstance(event, OrderSeen):
            return event.snapshot.id
        if isinstance(event, OrderDeleted):
            return order_id(event.source, event.external_id)
        if isinstance(event, RefundSeen):
            return order_id(event.source, event.order_external_id)
    return None


def _where(error: Exception) -> dict[str, str]:
    """Tell of a defect without its words: an exception's message may repeat what stood in a body."""
    frames = extract_tb(error.__traceback__)
    place = f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else "nowhere"
    return {"error": type(error).__name__, "where": place}
