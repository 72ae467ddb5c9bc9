"""The clock's jobs, on both databases: what is due is done once, whoever is at it, over years, and late ones are shown."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from structlog.testing import capture_logs

from app.context import Runtime
from app.domain.bucket import Bucket
from app.domain.customer import CustomerDetails
from app.domain.due import Due
from app.domain.fraud import GuessLimits
from app.domain.settings import StoreSettings
from app.domain.sync import cursor_id
from app.jobs import AT_ONCE, JOBS, LEASE_S, Job, Jobs, Worker, work_off
from app.models.celebration import Celebration
from app.models.reminder import ExpiryReminder
from app.models.sync import SyncCursor
from app.models.transaction import Transaction
from app.models.wallet import Wallet
from app.services import customer as customers, expiry, sync
from app.services.fraud import BalanceReads
from app.services.ledger.batch import Batch
from app.services.ledger.writer import LedgerUnavailable, Writer
from app.settings import Settings
from tests.ledger import STAFF, Clock, change_settings, credit, debit, running_writer

BERLIN = ZoneInfo("Europe/Berlin")


def runtime_of(settings: Settings, writer: Writer, clock: Clock) -> Runtime:
    """What the jobs need of a server."""
    nothing = cast("Any", None)
    reads = BalanceReads(clock, most=10)
    return Runtime(
        settings=settings,
        writer=writer,
        hub=nothing,
        clock=clock,
        balance_reads=reads,
        access=nothing,
        rule_books=nothing,
        gift_card_keys=nothing,
        emails=nothing,
        sealer=None,
        guesses=GuessLimits(10),
    )


@pytest.fixture
def runtime(settings: Settings, writer: Writer, clock: Clock) -> Runtime:
    return runtime_of(settings, writer, clock)


@asynccontextmanager
async def another(runtime: Runtime, clock: Clock) -> AsyncIterator[Runtime]:
    """A second server on the same database."""
    async with running_writer(clock) as writer:
        yield runtime_of(runtime.settings, writer, clock)


def job(name: str) -> Job:
    return next(job for job in JOBS if job.name == name)


def named(name: str) -> UUID:
    return cursor_id(f"job.{name}")


async def register(writer: Writer, who: str, birthday: date | None = None) -> UUID:
    done = await customers.register(
        writer, STAFF, external_id=who, details=CustomerDetails(birthday=birthday)
    )
    return done.wallet.id


async def celebrated(who: str | None = None) -> list[str]:
    """The keys of the birthdays that were celebrated, of everybody or of one customer, in the order of their time."""
    rows = Celebration.filter(trigger="BIRTHDAY")
    if who is not None:
        rows = rows.filter(wallet__customer__external_id=who)
    return [row.key for row in await rows.order_by("occurred_at", "id")]


# --- lots ---------------------------------------------------------------------------------------------------


async def test_value_expires_and_the_lag_is_shown_until_it_does(runtime: Runtime, clock: Clock) -> None:
    await runtime.writer.submit(credit("ada", 500, expires_at=clock.now + timedelta(days=1)))
    worker = Worker(job("expire-lots"), runtime)
    assert await worker.round() == 0
    assert worker.state.lag_s(clock()) == 0
    clock.move(days=1, seconds=90)
    await worker._look(clock())
    assert worker.state.lag_s(clock()) == 90
    assert await worker.round() == 1
    assert worker.state.lag_s(clock()) == 0
    assert (worker.state.done, worker.state.failed, worker.state.succeeded_at) == (1, 0, clock())
    assert [t.amount_minor for t in await Transaction.filter(kind="EXPIRY")] == [-500]


async def test_years_pass_at_once(runtime: Runtime, clock: Clock) -> None:
    for years in range(1, 6):
        expires_at = clock.now + timedelta(days=365 * years)
        await runtime.writer.submit(credit("ada", 100, expires_at=expires_at))
    clock.move(days=365 * 10)
    assert await work_off(runtime, "expire-lots") == 1
    assert (await Wallet.get()).posted_minor == 0
    assert await Transaction.filter(kind="EXPIRY").count() == 5
    assert await work_off(runtime) == 0


async def test_more_than_a_step_holds(runtime: Runtime, clock: Clock) -> None:
    many, soon = AT_ONCE + 20, clock.now + timedelta(hours=1)
    await asyncio.gather(
        *(runtime.writer.submit(credit(f"c-{n}", 100, expires_at=soon)) for n in range(many))
    )
    clock.move(hours=1)
    assert await work_off(runtime, "expire-lots") == many
    assert await Transaction.filter(kind="EXPIRY").count() == many


async def test_a_faulty_wallet_stops_no_other(
    runtime: Runtime, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = clock.now + timedelta(hours=1)
    for who in ("bad", "good-1", "good-2"):
        await runtime.writer.submit(credit(who, 100, expires_at=soon))
    bad = (await Wallet.get(customer__external_id="bad")).id
    answer, broken = Batch._answer, True

    def refuse(batch: Batch, command: Any) -> Any:
        if broken and command.name == "expire" and command.wallet.wallet_id == bad:
            raise ValueError("what is stored contradicts itself")
        return answer(batch, command)

    monkeypatch.setattr(Batch, "_answer", refuse)
    clock.move(hours=1)
    worker = Worker(job("expire-lots"), runtime)
    with capture_logs() as logs:
        assert await worker.round() == 2
    assert [(line["event"], line["id"]) for line in logs] == [("a job left something behind", str(bad))]
    assert (worker.state.failed, set(worker.state.skipped)) == (1, {bad})
    # It is left out for a while, and its lag stays in sight.
    clock.move(seconds=30)
    assert await worker.round() == 0
    assert worker.state.failed == 1
    assert worker.state.lag_s(clock()) == 30
    clock.move(seconds=40)
    assert await worker.round() == 0
    assert worker.state.failed == 2
    clock.move(seconds=90)
    assert (await worker.round(), worker.state.failed) == (0, 2), "it waits longer each time"
    broken = False
    clock.move(hours=1)
    assert await worker.round() == 1
    assert (worker.state.skipped, worker.state.lag_s(clock())) == ({}, 0)


async def test_what_never_ends_is_left_out(runtime: Runtime, clock: Clock) -> None:
    """A thing that waits again right after it was done would keep the job at it for ever."""
    thing = Due(UUID(int=7), clock.now, None)
    done: list[None] = []

    async def due(
        _runtime: Runtime, _now: datetime, _limit: int, without: Collection[UUID]
    ) -> Sequence[Due[None]]:
        return [] if thing.id in without else [thing]

    async def do(_runtime: Runtime, what: None) -> None:
        done.append(what)

    worker = Worker(Job("endless", due, do), runtime)
    with capture_logs() as logs:
        assert await worker.round() == 1
    assert len(done) == 2
    assert [line["event"] for line in logs] == ["a job did something that waits all the same"]


async def test_more_of_a_wallet_falls_due_while_it_is_worked_on(runtime: Runtime, clock: Clock) -> None:
    for seconds in (60, 61, 62):
        expires_at = clock.now + timedelta(seconds=seconds)
        await runtime.writer.submit(credit("ada", 100, expires_at=expires_at))

    async def do(runtime: Runtime, wallet_id: UUID) -> None:
        await expiry.expire(runtime.writer, wallet_id)
        clock.move(seconds=1)

    worker = Worker(replace(job("expire-lots"), do=do), runtime)
    clock.move(seconds=60)
    with capture_logs() as logs:
        assert await worker.round() == 3
    assert (logs, worker.state.failed, worker.state.skipped) == ([], 0, {})
    assert await Transaction.filter(kind="EXPIRY").count() == 3


async def test_a_ledger_that_is_away_is_waited_for(runtime: Runtime, clock: Clock) -> None:
    async def due(*_: Any) -> Sequence[Due[None]]:
        return [Due(UUID(int=7), clock.now, None)]

    async def do(*_: Any) -> None:
        raise LedgerUnavailable

    worker = Worker(Job("away", due, do), runtime)
    with pytest.raises(LedgerUnavailable):
        await worker.round()
    assert (worker.state.skipped, worker.state.succeeded_at) == ({}, None)
    cursor = await SyncCursor.get(id=named("away"))
    assert cursor.holder is None, "another process may try at once"


# --- several processes --------------------------------------------------------------------------------------


async def test_two_servers_do_each_thing_once(runtime: Runtime, clock: Clock) -> None:
    soon = clock.now + timedelta(hours=1)
    for number in range(60):
        await runtime.writer.submit(credit(f"c-{number}", 100, expires_at=soon))
        await register(runtime.writer, f"c-{number}", date(1990, 3, 1))
    clock.move(hours=1)
    async with another(runtime, clock) as other:
        await asyncio.gather(*(work_off(server) for server in (runtime, other) for _ in range(3)))
    assert await Transaction.filter(kind="EXPIRY").count() == 60
    assert len(await celebrated()) == 60


async def test_one_works_at_a_time_and_a_dead_one_is_taken_over(runtime: Runtime, clock: Clock) -> None:
    await runtime.writer.submit(credit("ada", 100, expires_at=clock.now + timedelta(hours=1)))
    clock.move(hours=1)
    leased = await sync.lease(runtime.writer, "job.expire-lots", holder="a dead process", lease_s=LEASE_S)
    assert leased is not None
    worker = Worker(job("expire-lots"), runtime)
    assert await worker.round() == 0
    assert worker.state.overdue_s == 0, "that another is at it is no trouble"
    clock.move(seconds=LEASE_S - 1)
    assert await worker.round() == 0
    assert worker.state.lag_s(clock()) == LEASE_S - 1
    clock.move(seconds=2)
    assert await worker.round() == 1
    cursor = await SyncCursor.get(id=named("expire-lots"))
    assert (cursor.holder, cursor.leased_until) == (None, None)


async def test_who_waits_for_another_looks_again_soon(runtime: Runtime, clock: Clock) -> None:
    """What another process does need not look late here until the next hour, and if it dies it is taken over."""
    worker = Worker(job("remind-of-expiry"), runtime)
    assert worker._rest_s(0) == worker.state.interval_s > LEASE_S
    worker.state.oldest_due_at = clock.now
    assert worker._rest_s(0) == LEASE_S
    # A ledger that is away is asked less and less often, but at least each minute.
    assert [Worker(job("expire-lots"), runtime)._rest_s(tries) for tries in (0, 1, 9)] == [20, 40, 60]


async def test_a_lease_is_kept_while_the_work_goes_on(
    runtime: Runtime, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.jobs.LEASE_S", 0.001)
    left = [Due(UUID(int=n), clock.now, n) for n in range(3)]
    leases: list[tuple[str | None, datetime]] = []

    async def due(*_: Any) -> Sequence[Due[int]]:
        return left[:1]

    async def do(running: Runtime, _what: int) -> None:
        left.pop(0)
        cursor = await SyncCursor.get(id=named("long"))
        assert cursor.leased_until is not None
        leases.append((cursor.holder, cursor.leased_until))
        clock.move(seconds=10)

    assert await Worker(Job("long", due, do), runtime).round() == 3
    assert [holder for holder, _ in leases] == [runtime.writer.process] * 3
    assert leases[0][1] < leases[1][1] < leases[2][1]


async def test_even_without_a_lease_nothing_happens_twice(
    runtime: Runtime, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def granted(_worker: Worker) -> bool:
        return True

    monkeypatch.setattr(Worker, "_lease", granted)
    await test_two_servers_do_each_thing_once(runtime, clock)


async def test_the_jobs_run_by_themselves(runtime: Runtime, clock: Clock) -> None:
    await runtime.writer.submit(credit("ada", 100, expires_at=clock.now + timedelta(hours=1)))
    clock.move(hours=1)
    async with Jobs(runtime).running() as jobs, asyncio.timeout(20):
        while not await Transaction.filter(kind="EXPIRY").exists():  # noqa: ASYNC110 — told by nobody
            await asyncio.sleep(0.01)
        assert jobs.is_alive
        assert jobs.lag_s == 0
        assert set(jobs.lags_s()) == {job.name for job in JOBS}


# --- birthdays ----------------------------------------------------------------------------------------------


async def test_birthdays_come_once_a_year(runtime: Runtime, clock: Clock) -> None:
    await register(runtime.writer, "ada", date(1990, 3, 2))
    await register(runtime.writer, "bob", date(1985, 3, 3))
    await register(runtime.writer, "eve")
    assert await work_off(runtime, "celebrate-birthdays") == 0
    clock.move(days=1)
    assert await work_off(runtime, "celebrate-birthdays") == 1
    assert await work_off(runtime, "celebrate-birthdays") == 0
    clock.move(days=1)
    assert await work_off(runtime, "celebrate-birthdays") == 1
    assert (await celebrated("ada"), await celebrated("bob")) == (["birthday:2026"], ["birthday:2026"])
    clock.now = datetime(2027, 3, 3, 12, tzinfo=UTC)
    assert await work_off(runtime, "celebrate-birthdays") == 2
    assert await celebrated("ada") == ["birthday:2026", "birthday:2027"]


async def test_a_changed_birthday_is_not_celebrated_twice_in_a_year(runtime: Runtime, clock: Clock) -> None:
    await register(runtime.writer, "ada", date(1990, 3, 1))
    assert await work_off(runtime, "celebrate-birthdays") == 1
    await register(runtime.writer, "ada", date(1990, 3, 2))
    clock.move(days=1)
    assert await work_off(runtime, "celebrate-birthdays") == 0
    assert await celebrated() == ["birthday:2026"]


async def test_a_birthday_that_was_changed_while_it_waited(runtime: Runtime, clock: Clock) -> None:
    await register(runtime.writer, "ada", date(1990, 3, 1))
    (due,) = await job("celebrate-birthdays").due(runtime, clock(), 10, ())
    await register(runtime.writer, "ada", date(1990, 5, 1))
    await job("celebrate-birthdays").do(runtime, due.what)
    assert await celebrated() == []


async def test_a_birthday_told_on_the_day_itself_still_counts(runtime: Runtime, clock: Clock) -> None:
    assert await work_off(runtime, "celebrate-birthdays") == 0
    await register(runtime.writer, "ada", date(1990, 3, 1))
    assert await work_off(runtime, "celebrate-birthdays") == 1


async def test_leap_days_are_kept_on_the_28th_in_other_years(runtime: Runtime, clock: Clock) -> None:
    await register(runtime.writer, "leap", date(1996, 2, 29))
    await register(runtime.writer, "28th", date(1996, 2, 28))
    days = {}
    for year in (2027, 2028):
        for day in (27, 28, 29):
            if (year, day) != (2027, 29):
                clock.now = datetime(year, 2, day, 12, tzinfo=UTC)
                days[year, day] = await work_off(runtime, "celebrate-birthdays")
    assert days == {(2027, 27): 0, (2027, 28): 2, (2028, 27): 0, (2028, 28): 1, (2028, 29): 1}
    assert await celebrated("leap") == ["birthday:2027", "birthday:2028"]


async def test_missed_days_are_caught_up_with_but_no_more_than_31(runtime: Runtime, clock: Clock) -> None:
    await work_off(runtime, "celebrate-birthdays")
    for who, born in (
        ("long ago", date(1990, 3, 25)),
        ("missed", date(1990, 4, 20)),
        ("today", date(1990, 5, 10)),
    ):
        await register(runtime.writer, who, born)
    clock.now = datetime(2026, 5, 10, 8, tzinfo=UTC)
    worker = Worker(job("celebrate-birthdays"), runtime)
    await worker._look(clock())
    assert worker.state.lag_s(clock()) == timedelta(days=20, hours=8).total_seconds()
    assert await worker.round() == 2
    assert [await celebrated(who) for who in ("long ago", "missed", "today")] == [
        [],
        ["birthday:2026"],
        ["birthday:2026"],
    ]
    # The occasion is of its own day, also when it is caught up with.
    (missed,) = await Celebration.filter(wallet__customer__external_id="missed", trigger="BIRTHDAY")
    assert missed.occurred_at == datetime(2026, 4, 20, tzinfo=UTC)


async def test_over_new_year_a_missed_birthday_is_of_the_old_year(runtime: Runtime, clock: Clock) -> None:
    clock.now = datetime(2026, 12, 29, 12, tzinfo=UTC)
    await register(runtime.writer, "ada", date(1990, 12, 31))
    await work_off(runtime, "celebrate-birthdays")
    clock.now = datetime(2027, 1, 2, 12, tzinfo=UTC)
    assert await work_off(runtime, "celebrate-birthdays") == 1
    assert await celebrated() == ["birthday:2026"]
    clock.now = datetime(2027, 12, 31, 12, tzinfo=UTC)
    assert await work_off(runtime, "celebrate-birthdays") == 1
    assert await celebrated() == ["birthday:2026", "birthday:2027"]


async def test_a_first_start_pays_for_no_day_before_it(runtime: Runtime, clock: Clock) -> None:
    await register(runtime.writer, "ada", date(1990, 2, 27))
    assert await work_off(runtime, "celebrate-birthdays") == 0


async def test_interrupted_in_the_middle_of_a_day(
    runtime: Runtime, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(7):
        await register(runtime.writer, f"c-{number}", date(1990, 3, 1))
    monkeypatch.setattr("app.jobs.AT_ONCE", 2)
    celebrate, steps = job("celebrate-birthdays").do, 0

    async def dying(running: Runtime, what: Any) -> None:
        nonlocal steps
        steps += 1
        if steps > 4:
            raise asyncio.CancelledError
        await celebrate(running, what)

    with pytest.raises(asyncio.CancelledError):
        await Worker(replace(job("celebrate-birthdays"), do=dying), runtime).round()
    assert len(await celebrated()) == 4
    async with another(runtime, clock) as other:
        assert await work_off(other, "celebrate-birthdays") == 3
    assert len(await celebrated()) == 7


@pytest.mark.parametrize("month_day", [(3, 29), (10, 25)])
async def test_days_on_which_clocks_change(
    runtime: Runtime, clock: Clock, monkeypatch: pytest.MonkeyPatch, month_day: tuple[int, int]
) -> None:
    monkeypatch.setattr(StoreSettings, "zone", property(lambda _settings: BERLIN))
    month, day = month_day
    await register(runtime.writer, "ada", date(1990, month, day))
    midnight = datetime(2026, month, day, tzinfo=BERLIN).astimezone(UTC)
    clock.now = midnight - timedelta(seconds=1)
    assert await work_off(runtime, "celebrate-birthdays") == 0
    clock.now = midnight
    assert await work_off(runtime, "celebrate-birthdays") == 1
    clock.now = datetime(2026, month, day + 1, tzinfo=BERLIN).astimezone(UTC)
    assert await work_off(runtime, "celebrate-birthdays") == 0


# --- signing up ---------------------------------------------------------------------------------------------


async def test_who_registers_signs_up_once(runtime: Runtime, clock: Clock) -> None:
    async def tell(who: str, signed_up_at: datetime | None = None) -> datetime | None:
        details = CustomerDetails(signed_up_at=signed_up_at)
        done = await customers.register(runtime.writer, STAFF, external_id=who, details=details)
        return done.customer.signed_up_at

    assert await tell("ada") == clock.now
    yesterday, years_ago = clock.now - timedelta(days=1), clock.now - timedelta(days=700)
    await tell("ada")
    assert await tell("bob", yesterday) == yesterday
    assert await tell("old", years_ago) == years_ago
    await runtime.writer.submit(credit("buyer", 100))
    await tell("buyer")
    await tell("buyer")
    rows = await Celebration.all().prefetch_related("wallet__customer").order_by("id")
    came = {(row.wallet.customer.external_id, row.key, row.occurred_at) for row in rows}
    assert came == {
        ("ada", "sign-up", clock.now),
        ("bob", "sign-up", yesterday),
        ("buyer", "sign-up", clock.now),
    }


# --- reminders ----------------------------------------------------------------------------------------------


async def reminders() -> list[tuple[date, int]]:
    return [(row.expires_on, row.amount_minor) for row in await ExpiryReminder.all().order_by("expires_at")]


async def test_customers_are_reminded_once_of_each_day(runtime: Runtime, clock: Clock) -> None:
    writer = runtime.writer
    in_three = clock.now + timedelta(days=3)
    await writer.submit(credit("ada", 100, bucket=Bucket.PROMO, expires_at=in_three))
    await writer.submit(credit("ada", 50, expires_at=in_three + timedelta(hours=2)))
    await writer.submit(credit("ada", 7, expires_at=clock.now + timedelta(days=20)))
    await writer.submit(credit("ada", 1000))
    assert await work_off(runtime, "remind-of-expiry") == 1
    assert await reminders() == [(date(2026, 3, 4), 150)]
    await writer.submit(credit("ada", 30, expires_at=in_three))
    assert await work_off(runtime, "remind-of-expiry") == 0
    clock.move(days=13)
    assert await work_off(runtime) >= 1
    assert await reminders() == [(date(2026, 3, 4), 150), (date(2026, 3, 21), 7)]
    assert await work_off(runtime, "remind-of-expiry") == 0


async def test_the_lag_of_a_reminder_counts_from_its_day(runtime: Runtime, clock: Clock) -> None:
    await runtime.writer.submit(credit("ada", 7, expires_at=clock.now + timedelta(days=10)))
    worker = Worker(job("remind-of-expiry"), runtime)
    clock.move(days=3, seconds=-1)
    assert await worker._look(clock()) is False
    clock.move(seconds=61)
    assert await worker._look(clock()) is True
    assert worker.state.lag_s(clock()) == 60


async def test_nobody_is_reminded_of_what_is_spent(runtime: Runtime, clock: Clock) -> None:
    await runtime.writer.submit(credit("ada", 100, expires_at=clock.now + timedelta(days=3)))
    (due,) = await job("remind-of-expiry").due(runtime, clock(), 10, ())
    await runtime.writer.submit(debit("ada", 100))
    await job("remind-of-expiry").do(runtime, due.what)
    assert await work_off(runtime, "remind-of-expiry") == 0
    assert await reminders() == []


async def test_how_long_before_is_a_setting(runtime: Runtime, clock: Clock) -> None:
    await runtime.writer.submit(credit("ada", 100, expires_at=clock.now + timedelta(days=3)))
    await runtime.writer.submit(change_settings(StoreSettings(expiry_reminder_days=0)))
    assert await work_off(runtime, "remind-of-expiry") == 0
    await runtime.writer.submit(change_settings(StoreSettings(expiry_reminder_days=2)))
    assert await work_off(runtime, "remind-of-expiry") == 0
    await runtime.writer.submit(change_settings(StoreSettings(expiry_reminder_days=90)))
    assert await work_off(runtime, "remind-of-expiry") == 1


async def test_the_days_of_reminders_are_the_stores(
    runtime: Runtime, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StoreSettings, "zone", property(lambda _settings: BERLIN))
    # Around the night in which clocks go forward: an hour before midnight there is another day than in UTC.
    clock.now = datetime(2026, 3, 27, 12, tzinfo=UTC)
    before = datetime(2026, 3, 28, 23, 30, tzinfo=BERLIN)
    after = datetime(2026, 3, 29, 23, 30, tzinfo=BERLIN)
    for at, amount in ((before, 10), (before + timedelta(hours=1), 20), (after, 40)):
        await runtime.writer.submit(credit("ada", amount, expires_at=at.astimezone(UTC)))
    assert await work_off(runtime, "remind-of-expiry") == 2
    assert await reminders() == [(date(2026, 3, 28), 10), (date(2026, 3, 29), 60)]
