"""What the clock does, inside the server: it makes cashback money whose time has come, posts value that reached its expiry
(in wallets and on gift cards), gives back what payments held too long, celebrates birthdays, reminds of value that
expires soon, ends top-ups for which no money came, asks the store to charge for automatic ones, and deletes messages of
the store, and to others, whose time is over.

Each is a `Job`: what waits for it, and how one of these is done. Of several processes one works on a job at a time, under
a lease; and each thing is decided under its wallet's lock, so it is done once even where two are at it. All that a job
knows is in the database, so whoever takes it up goes on where another stopped (docs/adr/0017-clock.md).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from time import monotonic
from typing import Any
from uuid import UUID

import structlog

from app.backends.patience import DatabaseBusy, be_patient
from app.context import Runtime
from app.db import keep_statistics
from app.domain.cashback.period import local
from app.domain.due import Due
from app.domain.settings import StoreSettings
from app.services import (
    auto_top_up as auto_top_ups,
    birthday,
    delivery,
    expiry,
    fraud,
    gift_card as gift_cards,
    outbox,
    payment as payments,
    reminder,
    settings as store_settings,
    sync,
    top_up_intent as top_up_intents,
)
from app.services.cashback import award as awards
from app.services.ledger.writer import LedgerUnavailable, NotAccepting, Overloaded, Writer

log = structlog.get_logger("coffer.jobs")

AT_ONCE = 100
"""Things that one step works on: small against a batch, so that requests hardly notice."""

LEASE_S = 30.0
"""How long a job belongs to the process that works on it, unless it goes on: a process that dies delays it by no more."""

PAUSE_MAX_S = 1.0
"""How long a job rests at most between two steps; it rests as long as the step took."""

BACKOFF_MAX_S = 60.0
"""How long a job waits at most for a ledger that is away."""

SKIPPED_MAX = 1_000
"""Things that failed which a job leaves out at a time, so that they stop no other."""

SKIPPED_FOR_S = (60.0, 3600.0)
"""How long something that failed is left out at first, and at most: each time it is twice as long."""

FAILED_KEPT = timedelta(days=90)
"""How long messages of the store that came to nothing are kept; longer where all are kept longer."""

PRUNING_INTERVAL_S = 3600.0
"""How often messages of the store whose time is over are deleted."""

SIGNALS_INTERVAL_S = 5.0
"""How often signals that were noted are written."""

BIRTHDAYS_INTERVAL_S = 60.0
"""How often birthdays are looked for."""

REMINDERS_INTERVAL_S = 300.0
"""How often value is looked for that expires soon."""

_PASSING = (Overloaded, NotAccepting, LedgerUnavailable, DatabaseBusy)
"""Nobody's fault, and over in a while."""


FindDue = Callable[[Runtime, datetime, int, Collection[UUID]], Awaitable[Sequence[Due[Any]]]]
DoOne = Callable[[Runtime, Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Job:
    """Something that time brings about, again and again.

    `due` returns what waits at a time, the oldest first and at most so many, without those of these ids; `do` does one of
    them, and does nothing where it was done meanwhile. `settle` is called when nothing waits. It looks every `interval_s`,
    or as the settings say.
    """

    name: str
    due: FindDue
    do: DoOne
    interval_s: float | None = None
    settle: Callable[[Runtime, datetime], Awaitable[None]] | None = None

    def every_s(self, runtime: Runtime) -> float:
        """Return how often it looks for what is due."""
        return runtime.settings.jobs_interval_s if self.interval_s is None else self.interval_s


# --- what there is to do ------------------------------------------------------------------------------------


def _due(find: Callable[[datetime, int, Collection[UUID]], Awaitable[Sequence[Due[Any]]]]) -> FindDue:
    """Return what is due where a service finds it by the time alone."""

    async def found(
        _runtime: Runtime, now: datetime, limit: int, without: Collection[UUID]
    ) -> Sequence[Due[Any]]:
        return await find(now, limit, without)

    return found


def _do(work: Callable[[Writer, Any], Awaitable[None]]) -> DoOne:
    """Return what does one thing where a service needs nothing but the writer."""

    async def done(runtime: Runtime, what: Any) -> None:
        await work(runtime.writer, what)

    return done


async def _payments_due(
    _runtime: Runtime, now: datetime, limit: int, without: Collection[UUID]
) -> Sequence[Due[Any]]:
    found = await payments.due(now, limit, without)
    return [Due(payment.id, payment.expires_at or now, payment) for payment in found]


async def _birthdays_due(
    _runtime: Runtime, now: datetime, limit: int, without: Collection[UUID]
) -> Sequence[Due[birthday.Birthday]]:
    zone, done_until = (await _settings()).zone, await _birthdays_done_until()
    return await birthday.due(now, limit, without, zone=zone, done_until=done_until)


BIRTHDAYS = "clock.birthdays"
"""The cursor that tells until which day all birthdays were celebrated."""


async def _birthdays_done_until() -> date | None:
    position = await sync.position_of(BIRTHDAYS)
    return None if not position else date.fromisoformat(position["done_until"])


async def _settle_birthdays(runtime: Runtime, now: datetime) -> None:
    """Write down that yesterday and all before it are over with; of today there may be more to come."""
    yesterday = local(now, (await _settings()).zone).date() - timedelta(days=1)
    done_until = await _birthdays_done_until()
    if done_until is None or done_until < yesterday:
        writer = runtime.writer
        if await sync.lease(writer, BIRTHDAYS, holder=writer.process, lease_s=LEASE_S) is not None:
            position = {"done_until": yesterday.isoformat()}
            await sync.move(writer, BIRTHDAYS, position, holder=writer.process, lease_s=None)


async def _reminders_due(
    _runtime: Runtime, now: datetime, limit: int, without: Collection[UUID]
) -> Sequence[Due[reminder.Expiry]]:
    settings = await _settings()
    return await reminder.due(now, limit, without, zone=settings.zone, days=settings.expiry_reminder_days)


async def _deliveries_due(
    runtime: Runtime, now: datetime, _limit: int, _without: Collection[UUID]
) -> Sequence[Due[None]]:
    kept, kept_failed = _kept(runtime)
    oldest = await delivery.prunable(now, kept=kept, kept_failed=kept_failed)
    return [] if oldest is None else [oldest]


async def _prune_deliveries(runtime: Runtime, _oldest: None) -> None:
    kept, kept_failed = _kept(runtime)
    await delivery.prune(runtime.clock(), kept=kept, kept_failed=kept_failed)


async def _outgoing_due(
    runtime: Runtime, now: datetime, _limit: int, _without: Collection[UUID]
) -> Sequence[Due[None]]:
    kept, kept_dead = _outgoing_kept(runtime)
    oldest = await outbox.prunable(now, kept=kept, kept_dead=kept_dead)
    return [] if oldest is None else [oldest]


async def _prune_outgoing(runtime: Runtime, _oldest: None) -> None:
    kept, kept_dead = _outgoing_kept(runtime)
    await outbox.prune(runtime.clock(), kept=kept, kept_dead=kept_dead)


def _outgoing_kept(runtime: Runtime) -> tuple[timedelta, timedelta]:
    kept = timedelta(days=runtime.settings.outbox_kept_days)
    return kept, max(kept, FAILED_KEPT)


async def _keep_statistics(_runtime: Runtime, _now: datetime) -> None:
    """Have the database know what its tables hold; when the server starts, and once an hour."""
    await keep_statistics()


def _kept(runtime: Runtime) -> tuple[timedelta, timedelta]:
    kept = timedelta(days=runtime.settings.deliveries_kept_days)
    return kept, max(kept, FAILED_KEPT)


async def _settings() -> StoreSettings:
    return (await store_settings.in_force()).settings


JOBS: tuple[Job, ...] = (
    Job("expire-lots", _due(expiry.due), _do(expiry.expire)),
    Job("expire-payments", _payments_due, _do(payments.expire)),
    Job("vest-awards", _due(awards.due_to_vest), _do(awards.vest)),
    Job("expire-awards", _due(awards.due_to_expire), _do(awards.expire)),
    Job("expire-gift-cards", _due(gift_cards.due), _do(gift_cards.expire)),
    Job(
        "celebrate-birthdays",
        _birthdays_due,
        _do(birthday.celebrate),
        BIRTHDAYS_INTERVAL_S,
        _settle_birthdays,
    ),
    Job("remind-of-expiry", _reminders_due, _do(reminder.write_down), REMINDERS_INTERVAL_S),
    Job("expire-top-ups", _due(top_up_intents.due), _do(top_up_intents.expire)),
    Job("auto-top-ups", _due(auto_top_ups.due), _do(auto_top_ups.ask)),
    Job("prune-deliveries", _deliveries_due, _prune_deliveries, PRUNING_INTERVAL_S),
    Job("prune-outbox", _outgoing_due, _prune_outgoing, PRUNING_INTERVAL_S, _keep_statistics),
)
"""All that the clock does. A new job is a line here: what waits for it, and how one of these is done."""


# --- how it is done -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class JobState:
    """How a job stands, as this process knows it."""

    interval_s: float
    oldest_due_at: datetime | None = None
    """Since when the oldest thing waits, as of the last look."""
    good_at: float = field(default_factory=monotonic)
    """When a round last went well, by the machine's own clock."""
    succeeded_at: datetime | None = None
    """When a round last went well, by the server's clock."""
    rounds: int = 0
    done: int = 0
    failed: int = 0
    skipped: dict[UUID, tuple[datetime, int]] = field(default_factory=dict)
    """Until when things that failed are left out, and how often each has failed."""

    def lag_s(self, now: datetime) -> float:
        """Return for how many seconds the oldest thing has waited; 0 while there is none."""
        return 0.0 if self.oldest_due_at is None else max(0.0, (now - self.oldest_due_at).total_seconds())

    @property
    def overdue_s(self) -> float:
        """For how many seconds a round that goes well has been overdue; 0 while it is not."""
        return max(0.0, monotonic() - self.good_at - self.interval_s)

    def went_well(self, now: datetime) -> None:
        """Note that the work goes on as it should."""
        self.good_at = monotonic()
        self.succeeded_at = now

    def left_out(self, now: datetime) -> frozenset[UUID]:
        """Return what is left out now, because it failed a while ago."""
        return frozenset(id_ for id_, (until, _) in self.skipped.items() if until > now)

    def skip(self, id_: UUID, now: datetime) -> None:
        """Leave something out for a while, longer each time that it fails."""
        _, failures = self.skipped.pop(id_, (now, 0))
        first, longest = SKIPPED_FOR_S
        self.skipped[id_] = (now + timedelta(seconds=min(longest, first * 2**failures)), failures + 1)
        while len(self.skipped) > SKIPPED_MAX:
            del self.skipped[next(iter(self.skipped))]


class Worker:
    """Works on one job in one process.

    `turns` is shared by the workers of a process: one step at a time, so that the clock takes no more than one place of
    the requests' connections.
    """

    def __init__(self, job: Job, runtime: Runtime, turns: asyncio.Lock | None = None) -> None:
        self.job = job
        self._turns = asyncio.Lock() if turns is None else turns
        self.state = JobState(job.every_s(runtime))
        self._runtime = runtime
        self._holder = runtime.writer.process

    async def run(self) -> None:
        """Work for ever: a round, and a rest. What goes wrong is told, and does not end it."""
        be_patient()
        tries = 0
        while True:
            try:
                await self.round()
                tries = 0
            except _PASSING as error:
                tries += 1
                log.warning("a job waits for the ledger", job=self.job.name, error=type(error).__name__)
            except Exception:
                tries += 1
                log.exception("a job failed; it goes on at its next round", job=self.job.name)
            await asyncio.sleep(self._rest_s(tries))

    def _rest_s(self, tries: int) -> float:
        """Return how long to wait for the next round; `tries` is how often in a row the ledger was away."""
        interval_s = self.state.interval_s
        if self.state.oldest_due_at is not None:
            # Another process is at it, or it failed: look again when a lease would have run out.
            interval_s = min(interval_s, LEASE_S)
        return min(max(interval_s, BACKOFF_MAX_S), interval_s * 2.0 ** min(tries, 10))

    async def round(self) -> int:
        """Do all that is due now, if no other process is at it, and tell how much it was."""
        state, now = self.state, self._runtime.clock()
        state.rounds += 1
        done = 0
        if await self._look(now) and await self._lease():
            try:
                done = await self._work()
            finally:
                with suppress(*_PASSING):
                    await self._let_go()
            await self._look(self._runtime.clock())
        if state.oldest_due_at is None and self.job.settle is not None:
            async with self._turns:
                await self.job.settle(self._runtime, now)
        state.went_well(self._runtime.clock())
        return done

    async def _look(self, now: datetime) -> bool:
        """Look for the oldest thing that waits, whoever works on it; tell whether there is one."""
        async with self._turns:
            found = await self.job.due(self._runtime, now, 1, frozenset())
        self.state.oldest_due_at = found[0].due_at if found else None
        return bool(found)

    async def _work(self) -> int:
        """Work step by step, as long as there is anything to do and the lease is ours."""
        count, before, leased_at = 0, dict[UUID, datetime](), monotonic()
        while True:
            began, now = monotonic(), self._runtime.clock()
            async with self._turns:
                waiting = await self.job.due(self._runtime, now, AT_ONCE, self.state.left_out(now))
                if not waiting:
                    return count
                done = await self._step(waiting, before)
            count += len(done)
            before = done
            # A long row of steps is work, not lag.
            self.state.went_well(now)
            took = monotonic() - began
            await asyncio.sleep(min(took, PAUSE_MAX_S))
            if monotonic() - leased_at > LEASE_S / 3:
                if not await self._lease():
                    return count
                leased_at = monotonic()

    async def _step(
        self, waiting: Sequence[Due[Any]], before: Mapping[UUID, datetime]
    ) -> dict[UUID, datetime]:
        """Do some things at once, and return which were done, and since when each had waited. One that fails stops no other.

        What was done a moment ago and waits all the same would come for ever: it is taken as failed, unless it waits since
        later, as a wallet does of which more has fallen due meanwhile. Where the ledger takes nothing at all, that is raised.
        """
        results = await asyncio.gather(
            *(self.job.do(self._runtime, due.what) for due in waiting), return_exceptions=True
        )
        now, done = self._runtime.clock(), dict[UUID, datetime]()
        if all(isinstance(result, _PASSING) for result in results):
            raise next(result for result in results if isinstance(result, _PASSING))
        for due, result in zip(waiting, results, strict=True):
            if result is None and (due.id not in before or due.due_at > before[due.id]):
                done[due.id] = due.due_at
                self.state.skipped.pop(due.id, None)
                continue
            if isinstance(result, BaseException) and not isinstance(result, Exception):
                raise result
            self.state.skip(due.id, now)
            self.state.failed += 1
            self._tell(due, result)
        self.state.done += len(done)
        return done

    def _tell(self, due: Due[Any], error: BaseException | None) -> None:
        told = {"job": self.job.name, "id": str(due.id)}
        if error is None:
            log.error("a job did something that waits all the same", **told)
        elif isinstance(error, _PASSING):
            log.warning("a job left something for later", **told, error=type(error).__name__)
        else:
            log.error(
                "a job left something behind", **told, exc_info=(type(error), error, error.__traceback__)
            )

    async def _lease(self) -> bool:
        name = f"job.{self.job.name}"
        leased = await sync.lease(self._runtime.writer, name, holder=self._holder, lease_s=LEASE_S)
        return leased is not None

    async def _let_go(self) -> None:
        name = f"job.{self.job.name}"
        await sync.move(self._runtime.writer, name, {}, holder=self._holder, lease_s=None)


class Jobs:
    """The clock's jobs, and how they are: a round that succeeds is what counts."""

    def __init__(self, runtime: Runtime, jobs: Sequence[Job] = JOBS) -> None:
        self._runtime = runtime
        turns = asyncio.Lock()
        self._workers = [Worker(job, runtime, turns) for job in jobs]
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_alive(self) -> bool:
        """Whether all of them run."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    @property
    def lag_s(self) -> float:
        """For how many seconds a round that succeeds has been overdue, of the job that is worst; 0 while there is none."""
        return max((state.overdue_s for state in self.states.values()), default=0.0)

    @property
    def states(self) -> Mapping[str, JobState]:
        """How each job stands, by its name."""
        return {worker.job.name: worker.state for worker in self._workers}

    def lags_s(self) -> Mapping[str, float]:
        """Return for how many seconds the oldest thing of each job has waited."""
        now = self._runtime.clock()
        return {name: state.lag_s(now) for name, state in self.states.items()}

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Jobs"]:
        """Run until the end of the block."""
        for state in self.states.values():
            state.good_at = monotonic()
        self._tasks = [
            *(asyncio.create_task(worker.run(), name=worker.job.name) for worker in self._workers),
            asyncio.create_task(self._signals(), name="signals"),
        ]
        try:
            yield self
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            with suppress(Overloaded, NotAccepting, LedgerUnavailable):
                await self._keep_signals()

    async def _signals(self) -> None:
        while True:
            try:
                await self._keep_signals()
            except _PASSING as error:
                log.warning("signals wait for the ledger", error=type(error).__name__)
            except Exception:
                log.exception("signals could not be written; they are at the next round")
            await asyncio.sleep(SIGNALS_INTERVAL_S)

    async def _keep_signals(self) -> None:
        await self._runtime.balance_reads.keep(self._runtime.writer)
        await fraud.keep_guesses(self._runtime.writer, self._runtime.guesses)


async def work_off(runtime: Runtime, *names: str) -> int:
    """Do one round of all jobs, or of these, at once, and tell how much was done."""
    chosen = [job for job in JOBS if not names or job.name in names]
    return sum([await Worker(job, runtime).round() for job in chosen])
