"""What leaves the program is written with what it tells of, and sent: once where it can be, again where it must be."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from tortoise.connection import get_connection
from tortoise.context import TortoiseContext

from app.db import WRITER
from app.domain.errors import DomainError
from app.domain.ledger import Desk
from app.domain.outbox import BACKOFF_S, Channel, MessageStatus, OutboxMessage, SendOutcome, Verdict, message
from app.models.outbox import OutboxAttempt, OutboxEvent, OutboxMessage as OutboxMessageModel
from app.outbox.worker import OutboxWorker
from app.services import outbox
from app.services.ledger.command import DeskCommand
from app.services.ledger.writer import Writer
from app.services.outbox import Bell
from tests.auditor import audit, read_tables
from tests.ledger import STAFF, Clock, credit, debit, freeze, running_writer
from tests.outbox.mailbox import BUSY, TAKEN, Mailbox

WAITS_S = BACKOFF_S[Channel.NOTICE]


@pytest.fixture
def bell() -> Bell:
    return Bell()


@pytest.fixture
async def writer(database: TortoiseContext, clock: Clock, bell: Bell) -> AsyncIterator[Writer]:
    """A writer whose events somebody hears."""
    async with running_writer(
        clock, also_heard=lambda _type, _row: True, publish_outgoing=bell.ring
    ) as running:
        yield running
    audit(await read_tables())


Make = Callable[..., OutboxWorker]


@pytest.fixture
def worker_of(writer: Writer, bell: Bell, clock: Clock) -> Make:
    def make(*senders: Mailbox, **more: Any) -> OutboxWorker:
        options: dict[str, Any] = {"interval_s": 0.05, "jitter": lambda: 1.0, **more}
        return OutboxWorker(writer=writer, bell=bell, clock=clock, senders=senders, **options)

    return make


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 — what is watched tells nobody
            await asyncio.sleep(0.01)


async def types() -> list[str]:
    """The events in the database, in their order."""
    return [str(name) for name in await OutboxEvent.all().order_by("id").values_list("type", flat=True)]


# --- written with what they tell of -------------------------------------------------------------------------


async def test_events_are_written_with_what_they_tell_of(writer: Writer) -> None:
    await writer.submit(credit("c1", 500))
    await writer.submit(freeze("c1"))
    assert await types() == ["customer.created", "wallet.created", "transaction.posted", "wallet.frozen"]
    events = await OutboxEvent.all().order_by("id")
    assert len({event.wallet_id for event in events}) == 1
    assert events[2].data["customer"]["externalId"] == "c1"  # type: ignore[index]
    assert events[2].data["transaction"]["amount"] == {"amount": "5.00", "currency": "USD"}  # type: ignore[index]


async def test_a_refused_command_tells_nothing(writer: Writer) -> None:
    await writer.submit(credit("c1", 500))
    before = await types()
    with pytest.raises(DomainError):
        await writer.submit(debit("c1", 501))
    assert await types() == before


async def test_a_repeated_command_tells_nothing_twice(writer: Writer) -> None:
    for _ in range(3):
        await writer.submit(credit("c1", 500, key="same"))
    assert (await types()).count("transaction.posted") == 1


async def test_nobody_listens_nothing_is_written(database: TortoiseContext, clock: Clock) -> None:
    async with running_writer(clock) as deaf:
        await deaf.submit(credit("c1", 500))
        assert await types() == []
        # Somebody listens: from the next command on, also without a new writer.
        now = clock().isoformat(" ")
        await get_connection(WRITER).execute_query(
            "INSERT INTO webhook_endpoints (id, url, description, events, status, capabilities, secrets, created_by_kind, "
            "created_by_id, created_at, updated_at) VALUES ('00000000-0000-7000-8000-000000000060', 'https://a', '', '[\"transaction.*\"]', "
            f"'ENABLED', '[]', '[]', 'STAFF', 's-1', '{now}', '{now}')"
        )
        await deaf.submit(credit("c1", 500))
        await deaf.submit(freeze("c1"))
        assert await types() == ["transaction.posted"], "nobody listens to wallets that are stopped"


async def test_a_command_adds_a_message_of_its_own(writer: Writer, worker_of: Make) -> None:
    mailbox = Mailbox(targets=())

    def decide(desk: Desk) -> None:
        desk.add(message("payout:7", Channel.NOTICE, "a", "payout", {"amount": 7}, now=desk.now))

    await writer.submit(DeskCommand("pay", STAFF, decide))
    assert await worker_of(mailbox).work_off() == 1
    assert [(one.topic, one.body, one.event_id) for one in mailbox.came] == [("payout", {"amount": 7}, None)]


# --- sent ---------------------------------------------------------------------------------------------------


async def test_each_listener_gets_each_event_once(writer: Writer, worker_of: Make) -> None:
    mailbox = Mailbox(targets=("a", "b"))
    worker = worker_of(mailbox)
    await writer.submit(credit("c1", 500))
    assert await worker.work_off() == 6
    assert await worker.work_off() == 0
    assert mailbox.came_to("a") == mailbox.came_to("b") == 3
    assert len({one.id for one in mailbox.came}) == 6
    assert {row.status for row in await OutboxMessageModel.all()} == {"DELIVERED"}
    assert await OutboxEvent.filter(relayed_at=None).count() == 0
    attempt = await OutboxAttempt.all().first()
    assert attempt is not None
    assert (attempt.number, attempt.status_code, attempt.error) == (1, 200, None)


async def test_two_that_relay_at_once_write_each_message_once(writer: Writer, worker_of: Make) -> None:
    for number in range(5):
        await writer.submit(credit(f"c{number}", 500))
    mailbox = Mailbox(targets=("a", "b"))
    await asyncio.gather(*(outbox.relay(writer, [mailbox]) for _ in range(4)))
    assert await OutboxMessageModel.all().count() == 2 * await OutboxEvent.all().count() == 30


async def test_a_failure_is_tried_again_on_schedule_with_the_same_id(
    writer: Writer, worker_of: Make, clock: Clock
) -> None:
    mailbox = Mailbox(answers=lambda _message: BUSY)
    worker = worker_of(mailbox)
    await writer.submit(credit("c1", 500))
    await OutboxEvent.exclude(type="transaction.posted").using_db(get_connection(WRITER)).delete()
    for number, wait_s in enumerate(WAITS_S, 1):
        assert await worker.work_off() == 1
        row = await OutboxMessageModel.get()
        assert (row.status, row.attempts, row.error, row.status_code) == (
            "WAITING",
            number,
            "It is busy.",
            503,
        )
        assert row.next_attempt_at == clock() + timedelta(seconds=wait_s)
        clock.move(seconds=wait_s - 1)
        assert await worker.work_off() == 0
        clock.move(seconds=1)
    assert await worker.work_off() == 1
    row = await OutboxMessageModel.get()
    assert (row.status, row.attempts, row.next_attempt_at) == ("DEAD", len(WAITS_S) + 1, None)
    assert len({one.id for one in mailbox.came}) == 1
    assert len(mailbox.came) == await OutboxAttempt.all().count() == len(WAITS_S) + 1
    assert (await outbox.backlog()).dead == {Channel.NOTICE: 1}


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (SendOutcome(Verdict.REFUSED, "It is no address."), "DEAD"),
        (SendOutcome(Verdict.UNWANTED, "The endpoint is off."), "CANCELLED"),
    ],
)
async def test_what_no_other_attempt_would_better(
    writer: Writer, worker_of: Make, outcome: SendOutcome, status: str
) -> None:
    worker = worker_of(Mailbox(answers=lambda _message: outcome))
    await writer.submit(credit("c1", 500))
    assert await worker.work_off() == 3
    rows = await OutboxMessageModel.all()
    assert {(row.status, row.error) for row in rows} == {(status, outcome.error)}


async def test_a_sender_that_raises_harms_no_other_message(writer: Writer, worker_of: Make) -> None:
    def answer(sent: OutboxMessage) -> SendOutcome:
        if sent.target == "a":
            raise RuntimeError("personal data")
        return TAKEN

    worker = worker_of(Mailbox(targets=("a", "b"), answers=answer))
    await writer.submit(credit("c1", 500))
    assert await worker.work_off() == 6
    a = await OutboxMessageModel.filter(target="a").first()
    assert a is not None
    assert a.error is not None
    assert "RuntimeError" in a.error
    assert "personal" not in a.error
    assert await OutboxMessageModel.filter(target="b", status="DELIVERED").count() == 3


# --- leases -------------------------------------------------------------------------------------------------


async def test_whoever_dies_with_a_message_delays_it_by_the_lease(
    writer: Writer, worker_of: Make, clock: Clock
) -> None:
    mailbox = Mailbox()
    await writer.submit(credit("c1", 500))
    await outbox.relay(writer, [mailbox])
    found = await outbox.due(clock(), [Channel.NOTICE], each=9, limit=9)
    lease = timedelta(seconds=90)
    for one in found:
        assert await outbox.take(writer, one.id, lease) is not None
        assert await outbox.take(writer, one.id, lease) is None
    assert await worker_of(mailbox).work_off() == 0
    clock.move(seconds=90)
    assert await worker_of(mailbox).work_off() == 3
    assert {one.id for one in mailbox.came} == {one.id for one in found}
    assert {one.attempts for one in mailbox.came} == {2}


async def test_who_comes_too_late_says_nothing(writer: Writer, worker_of: Make, clock: Clock) -> None:
    await writer.submit(credit("c1", 500))
    await outbox.relay(writer, [Mailbox()])
    lease = timedelta(seconds=90)
    found = (await outbox.due(clock(), [Channel.NOTICE], each=1, limit=1))[0]
    slow = await outbox.take(writer, found.id, lease)
    clock.move(seconds=91)
    quick = await outbox.take(writer, found.id, lease)
    assert slow is not None
    assert quick is not None
    told = {"started_at": clock(), "duration_s": 0.1, "jitter": 1.0}
    assert await outbox.settle(writer, slow, BUSY, **told) is None  # type: ignore[arg-type]
    ended = await outbox.settle(writer, quick, TAKEN, **told)  # type: ignore[arg-type]
    assert ended is not None
    assert ended.status is MessageStatus.DELIVERED


# --- the worker ---------------------------------------------------------------------------------------------


async def test_it_is_woken_by_a_commit(writer: Writer, worker_of: Make) -> None:
    mailbox = Mailbox()
    async with worker_of(mailbox, interval_s=3600).running() as worker:
        await writer.submit(credit("c1", 500))
        await until(lambda: len(mailbox.came) == 3)
        running = worker.is_alive
        assert worker.lag_s == 0
    assert (running, worker.is_alive) == (True, False)
    assert worker.sent == {(Channel.NOTICE, Verdict.DELIVERED): 3}


async def test_a_slow_receiver_delays_no_other(writer: Writer, worker_of: Make) -> None:
    gate = asyncio.Event()
    mailbox = Mailbox(targets=("slow", "quick"), gates={"slow": gate})
    async with worker_of(mailbox, at_once=4, at_once_each=2).running():
        for number in range(20):
            await writer.submit(credit(f"c{number}", 500))
        await until(lambda: mailbox.came_to("quick") == 60)
        assert mailbox.came_to("slow") == 0
        assert mailbox.at_once["slow"] == 2
        gate.set()
        await until(lambda: mailbox.came_to("slow") == 60)
    assert mailbox.at_once_max["slow"] <= 2
    assert mailbox.at_once_max["quick"] <= 2
    assert len({one.id for one in mailbox.came}) == len(mailbox.came) == 120


async def test_what_is_on_its_way_arrives_when_the_server_stops(writer: Writer, worker_of: Make) -> None:
    gate = asyncio.Event()
    mailbox = Mailbox(gates={"a": gate})
    worker = worker_of(mailbox, at_once_each=1)
    async with worker.running():
        await writer.submit(credit("c1", 500))
        await until(lambda: mailbox.at_once["a"] == 1)
        asyncio.get_running_loop().call_later(0.1, gate.set)
    assert len(mailbox.came) == 1
    assert await OutboxMessageModel.filter(status="DELIVERED").count() == 1
    assert await worker.work_off() == 2


async def test_nothing_is_sent_by_a_process_that_shall_not(writer: Writer, worker_of: Make) -> None:
    async with worker_of(Mailbox(), at_once=0).running() as worker:
        await writer.submit(credit("c1", 500))
        await asyncio.sleep(0.2)
        assert worker.is_alive
    assert await OutboxEvent.filter(relayed_at=None).count() == 3


# --- deleted ------------------------------------------------------------------------------------------------


async def test_what_is_over_is_deleted_and_what_waits_is_not(
    writer: Writer, worker_of: Make, clock: Clock
) -> None:
    kept, kept_dead = timedelta(days=30), timedelta(days=90)
    answers = {
        "customer.created": TAKEN,
        "wallet.created": SendOutcome(Verdict.REFUSED, "It is no address."),
        "transaction.posted": BUSY,
    }
    worker = worker_of(Mailbox(answers=lambda sent: answers[sent.topic]))
    await writer.submit(credit("c1", 500))
    await worker.work_off()
    assert await outbox.prunable(clock(), kept=kept, kept_dead=kept_dead) is None
    clock.move(days=30, seconds=1)
    await writer.submit(credit("c1", 500))
    assert await outbox.prunable(clock(), kept=kept, kept_dead=kept_dead) is not None
    # The events and what was delivered; the message that waits and the dead one stay, and the new event.
    assert await outbox.prune(clock(), kept=kept, kept_dead=kept_dead) == 4
    left = await OutboxMessageModel.all().order_by("topic")
    assert [(row.topic, row.status) for row in left] == [
        ("transaction.posted", "WAITING"),
        ("wallet.created", "DEAD"),
    ]
    assert await OutboxEvent.all().count() == 1
    clock.move(days=60)
    assert await outbox.prune(clock(), kept=kept, kept_dead=kept_dead) == 1
    assert await OutboxMessageModel.filter(status="DEAD").count() == 0
    assert await outbox.prune(clock(), kept=kept, kept_dead=kept_dead) == 0
