"""Sends what is to leave the program: relays events, takes due messages under a lease, sends them, writes down what came back.

Each receiver has a lane of its own, with one or two messages on their way at a time: one that is slow delays nobody else.
Everything here may happen twice (a lease ran out, a process died before it could say that it was done); a message's id
stays the same, and receivers tell repeats by it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from random import uniform
from time import monotonic
from traceback import extract_tb
from uuid import UUID

import structlog

from app.backends.patience import DatabaseBusy, be_patient
from app.domain.outbox import Channel, OutboxMessage, SendOutcome, Verdict
from app.services.ledger.writer import LedgerUnavailable, NotAccepting, Overloaded, Writer
from app.services.outbox import (
    Bell,
    DueMessage,
    OutboxBacklog,
    Sender,
    backlog,
    due,
    look,
    relay,
    settle,
    take,
)

log = structlog.get_logger("coffer.outbox")

LEASE_S = 90.0
"""How long a message belongs to whoever took it; a process that died with it delays it by no more."""

SEND_TIMEOUT_S = 60.0
"""How long one attempt may take: well below the lease, so that nobody else has begun with it."""

FETCHED_AT_ONCE = 200
"""Due messages that one look finds."""

COUNT_INTERVAL_S = 10.0
"""How often to count what waits, at most."""

STOP_TIMEOUT_S = 20.0
"""How long what is on its way may take when the server stops; what does not end is sent again later."""

JITTER = 0.2
"""How far a wait may be off: what failed together need not come back together."""

_PASSING = (Overloaded, NotAccepting, LedgerUnavailable)


class OutboxWorker:
    """Runs in every server. Several processes may do it at once: a message belongs to one at a time.

    `at_once` is how many messages are on their way at a time, `at_once_each` how many of them to one receiver; with
    `at_once` 0 it sends nothing, and leaves it to another process. `interval_s` is how often to look for what is due.
    """

    def __init__(
        self,
        *,
        writer: Writer,
        bell: Bell,
        clock: Callable[[], datetime],
        senders: Sequence[Sender],
        at_once: int = 16,
        at_once_each: int = 2,
        interval_s: float = 5.0,
        lease_s: float = LEASE_S,
        send_timeout_s: float = SEND_TIMEOUT_S,
        jitter: Callable[[], float] = lambda: uniform(1 - JITTER, 1 + JITTER),  # noqa: S311 — no secret
    ) -> None:
        self._writer = writer
        self._bell = bell
        self._clock = clock
        self._senders = {sender.channel: sender for sender in senders}
        self._at_once = at_once
        self._at_once_each = at_once_each
        self._interval_s = interval_s
        self._lease = timedelta(seconds=lease_s)
        self._send_timeout_s = send_timeout_s
        self._jitter = jitter
        self._task: asyncio.Task[None] | None = None
        self._on_their_way: dict[UUID, DueMessage] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._looked_at = monotonic()
        self._counted_at = monotonic()
        self.backlog = OutboxBacklog()
        """How much waited when it was last counted."""
        self.sent: dict[tuple[Channel, Verdict], int] = {}
        """How many attempts ended how, since this process began."""

    @property
    def channels(self) -> Sequence[Channel]:
        """The channels that this process sends by."""
        return tuple(self._senders)

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._task is not None and not self._task.done()

    @property
    def lag_s(self) -> float:
        """For how many seconds a look at what is due has been overdue; 0 while there is none."""
        return max(0.0, monotonic() - self._looked_at - self._interval_s)

    @property
    def age_s(self) -> float:
        """For how many seconds the oldest thing had waited when it was last counted."""
        return self.backlog.age_s(self._clock())

    @asynccontextmanager
    async def running(self) -> AsyncIterator["OutboxWorker"]:
        """Work until the end of the block, then let what is on its way arrive."""
        self._looked_at = monotonic()
        self._task = asyncio.create_task(self._work(), name="outbox")
        try:
            yield self
        finally:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            if self._sending:
                await asyncio.wait(self._sending, timeout=STOP_TIMEOUT_S)
            for task in self._sending:
                task.cancel()
            await asyncio.gather(*self._sending, return_exceptions=True)

    async def work_off(self) -> int:
        """Relay and send all that is due now, one after the other, and tell how many messages there were."""
        count = 0
        while await relay(self._writer, tuple(self._senders.values())):
            pass
        while found := await self._due():
            for message in found:
                count += await self.work(message)
        return count

    async def work(self, message: DueMessage) -> bool:
        """Send one message; tell whether it was ours to send. Raises what the ledger raises when it is away."""
        taken = await take(self._writer, message.id, self._lease)
        if taken is None:
            return False
        started_at, began_s = self._clock(), monotonic()
        outcome = await self._sent(taken)
        counted = (taken.channel, outcome.verdict)
        self.sent[counted] = self.sent.get(counted, 0) + 1
        await settle(
            self._writer,
            taken,
            outcome,
            started_at=started_at,
            duration_s=monotonic() - began_s,
            jitter=self._jitter(),
        )
        return True

    # --- the tasks ------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        be_patient()
        while True:
            try:
                more = bool(self._at_once) and await self._round()
                self._looked_at = monotonic()
                if not more:
                    await self._count()
            except _PASSING as error:
                more = False
                log.warning("the outbox waits for the ledger", error=type(error).__name__)
            except DatabaseBusy:
                # Requests wait for a connection too, and say so; `lag_s` tells when it goes on for long.
                more = False
                log.debug("the outbox waits for a connection")
            except Exception as error:  # noqa: BLE001 — it looks again, whatever kept it from it
                more = False
                log.warning("due messages could not be looked for", **_where(error))
            if not more:
                # Rung by every commit that has something to send, and by every message that has arrived.
                await self._bell.wait(self._interval_s * self._jitter())

    async def _round(self) -> bool:
        """Relay some events and send some messages; tell whether there are more events."""
        events, messages = await look(self._clock())
        relayed = await relay(self._writer, tuple(self._senders.values())) if events else 0
        if (relayed or messages) and self._room():
            for message in await self._due():
                self._send(message)
        return relayed > 0

    async def _due(self) -> list[DueMessage]:
        # Those that are on their way are leased, and so not due.
        return await due(self._clock(), self._senders.keys(), each=self._at_once_each, limit=FETCHED_AT_ONCE)

    def _room(self) -> int:
        return self._at_once - len(self._on_their_way)

    def _send(self, message: DueMessage) -> None:
        """Send a message where there is room for it; if not, it is found again when there is."""
        lane = sum(other.lane == message.lane for other in self._on_their_way.values())
        if message.id in self._on_their_way or not self._room() or lane >= self._at_once_each:
            return
        self._on_their_way[message.id] = message
        task = asyncio.create_task(self._one(message), name=f"outbox-{message.id}")
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _one(self, message: DueMessage) -> None:
        try:
            await self.work(message)
        except _PASSING as error:
            # It stays due, so a later look finds it.
            log.warning("a message waits for the ledger", error=type(error).__name__)
            await asyncio.sleep(self._jitter())
        except Exception as error:  # noqa: BLE001 — one message must not end the work on all others
            log.error("a message was left behind", **_where(error))  # noqa: TRY400 — see `_where`
            await asyncio.sleep(self._jitter())
        finally:
            del self._on_their_way[message.id]
            self._bell.ring()

    async def _count(self) -> None:
        if monotonic() - self._counted_at >= COUNT_INTERVAL_S:
            self.backlog = await backlog()
            self._counted_at = monotonic()

    # --- one message ----------------------------------------------------------------------------------------

    async def _sent(self, taken: OutboxMessage) -> SendOutcome:
        sender = self._senders.get(taken.channel)
        if sender is None:
            return SendOutcome(Verdict.FAILED, f"This server sends nothing by {taken.channel.lower()}.")
        try:
            async with asyncio.timeout(self._send_timeout_s):
                return await sender.deliver(taken)
        except TimeoutError:
            return SendOutcome(Verdict.FAILED, f"It took longer than {self._send_timeout_s:g} s.")
        except Exception as error:  # noqa: BLE001 — whatever it is, it is written down
            log.error("a message could not be sent", topic=taken.topic, **_where(error))  # noqa: TRY400
            sentence = (
                f"A defect of Coffer's ({type(error).__name__}) got in the way. The server's log says where."
            )
            return SendOutcome(Verdict.FAILED, sentence)


def _where(error: Exception) -> dict[str, str]:
    """Tell of a defect without its words: an exception's message may repeat what stood in a body."""
    frames = extract_tb(error.__traceback__)
    place = f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else "nowhere"
    return {"error": type(error).__name__, "where": place}
