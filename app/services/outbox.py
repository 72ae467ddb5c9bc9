"""What leaves the program: events become messages, messages are taken, sent, settled, looked at and replayed.

An event lies in the database with what it tells of, in one transaction; so does a message that a command adds itself. All
that follows is done here, and every step may be done twice: a message's id follows from what it tells of and to whom.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from tortoise.connection import get_connection
from tortoise.queryset import QuerySet
from tortoise.transactions import in_transaction

from app.db import READER, WRITER
from app.domain.access import Actor, ActorKind
from app.domain.due import Due
from app.domain.ledger import Desk
from app.domain.outbox import Channel, MessageStatus, OutboxMessage, SendOutcome, message, message_id
from app.domain.outgoing import OutboxEvent
from app.models.outbox import (
    OutboxAttempt as OutboxAttemptModel,
    OutboxEvent as OutboxEventModel,
    OutboxMessage as OutboxMessageModel,
)
from app.models.paging import time_value
from app.services.ledger import records
from app.services.ledger.command import DeskCommand
from app.services.ledger.writer import Writer

RELAYED_AT_ONCE = 200
"""Events that are turned into messages in one database transaction."""

PRUNED_AT_ONCE = 500
"""Rows of each kind that are deleted in one database transaction."""

COURIER = Actor(ActorKind.SYSTEM, "outbox")
"""Who relays events and takes messages."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """One receiver of one event: `target` names them in the channel's own words, `body` is what the message is made of."""

    target: str
    topic: str
    body: dict[str, Any]
    source: str | None = None
    """What the message tells of, where several events come to one message; otherwise it is the event."""


class Sender(Protocol):
    """One channel: it knows who is told of an event, and how a message gets to them."""

    @property
    def channel(self) -> Channel:
        """Which way its messages go out."""

    async def recipients(self, events: Sequence[OutboxEvent]) -> Mapping[UUID, Sequence[Recipient]]:
        """Return who is told of each of these events, by the event's id; the same answer whenever it is asked."""

    async def deliver(self, taken: OutboxMessage) -> SendOutcome:
        """Send a message, which may have been sent before; its id tells the receiver. What it raises is a failure."""


class Bell:
    """Rung when something is to leave the program, so that nobody need look for it. Nothing is lost with it."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake whoever waits."""
        self._rung.set()

    async def wait(self, timeout_s: float) -> None:
        """Wait until it is rung, or so long."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._rung.wait()
        except TimeoutError:
            pass
        self._rung.clear()


# --- events become messages ---------------------------------------------------------------------------------


async def relay(writer: Writer, senders: Sequence[Sender]) -> int:
    """Write the messages that tell of the oldest events, and tell how many events there were.

    Two processes may do it at once: the second finds the events relayed, under their locks.
    """
    rows = await OutboxEventModel.filter(relayed_at=None).order_by("id").limit(RELAYED_AT_ONCE)
    events = [_event(row) for row in rows]
    if not events:
        return 0
    found: dict[UUID, list[tuple[Channel, Recipient]]] = {}
    for sender in senders:
        for event_id, recipients in (await sender.recipients(events)).items():
            found.setdefault(event_id, []).extend((sender.channel, recipient) for recipient in recipients)

    shared = {
        message_id(to.source, channel, to.target)
        for told in found.values()
        for channel, to in told
        if to.source is not None
    }

    def decide(desk: Desk) -> None:
        for event in events:
            current = desk.found(OutboxEvent, event.id)
            if current is None or current.relayed_at is not None:
                continue
            for channel, to in found.get(event.id, ()):
                source = to.source or event.id
                written = message(
                    source, channel, to.target, to.topic, to.body, now=desk.now, event_id=event.id
                )
                if to.source is None or desk.current(OutboxMessage, written.id) is None:
                    desk.add(written)
            desk.add(current.relayed(desk.now))

    # What another event may have written before is named too: it is not written again.
    named = (
        *((OutboxEvent, event.id) for event in events),
        *((OutboxMessage, row_id) for row_id in sorted(shared)),
    )
    await writer.submit(DeskCommand("relayEvents", COURIER, decide, rows=named, repeatable=True))
    return len(events)


def _event(row: OutboxEventModel) -> OutboxEvent:
    return OutboxEvent(
        id=row.id,
        type=row.type,
        version=row.version,
        wallet_id=row.wallet_id,
        order_id=row.order_id,
        subject_id=row.subject_id,
        data=dict(row.data),
        created_at=row.created_at,
        relayed_at=row.relayed_at,
    )


# --- taken and settled --------------------------------------------------------------------------------------


async def take(writer: Writer, message_id: UUID, lease: timedelta) -> OutboxMessage | None:
    """Take a message for so long; nothing when it is not due, or somebody else has it."""

    def decide(desk: Desk) -> OutboxMessage | None:
        found = desk.found(OutboxMessage, message_id)
        if found is None or not found.is_due(desk.now):
            return None
        taken = found.taken(desk.now, lease)
        desk.add(taken)
        return taken if taken.status is MessageStatus.WAITING else None

    answer = (await writer.submit(_command("takeMessage", decide, message_id))).answer
    return answer if isinstance(answer, OutboxMessage) else None


async def settle(
    writer: Writer,
    taken: OutboxMessage,
    outcome: SendOutcome,
    *,
    started_at: datetime,
    duration_s: float,
    jitter: float,
) -> OutboxMessage | None:
    """Write down how an attempt ended; nothing when it is no longer ours to say, though it was made all the same."""

    def decide(desk: Desk) -> OutboxMessage | None:
        found = desk.found(OutboxMessage, taken.id)
        if found is None:
            return None
        attempt = outcome.attempt(taken, started_at, duration_s)
        # Whoever took it meanwhile, because the lease ran out, or replayed it, has counted another attempt.
        if found.attempts != taken.attempts or found.status is not MessageStatus.WAITING:
            return None
        ended = outcome.applied(found, desk.now, jitter=jitter)
        desk.add(ended)
        desk.add(attempt)
        return ended

    answer = (await writer.submit(_command("settleMessage", decide, taken.id))).answer
    return answer if isinstance(answer, OutboxMessage) else None


def _command(name: str, decide: Callable[[Desk], OutboxMessage | None], message_id: UUID) -> DeskCommand:
    return DeskCommand(name, COURIER, decide, rows=((OutboxMessage, message_id),), repeatable=True)


_LOOK = """
SELECT EXISTS (SELECT 1 FROM outbox_events WHERE relayed_at IS NULL) AS events,
  EXISTS (SELECT 1 FROM outbox_messages WHERE next_attempt_at <= {now}) AS messages
"""


async def look(now: datetime) -> tuple[bool, bool]:
    """Tell whether events are to be relayed, and whether messages are due: all that is asked while nothing happens."""
    connection, sql = get_connection(READER), _LOOK
    is_sqlite = connection.capabilities.dialect == "sqlite"
    sql = sql.format(now="?" if is_sqlite else "$1")
    # SQLite compares times as text, in the form in which the writer writes them.
    (row,) = await connection.execute_query_dict(sql, [now.isoformat(" ") if is_sqlite else now])
    return bool(row["events"]), bool(row["messages"])


@dataclass(frozen=True, slots=True)
class DueMessage:
    """A message whose time has come, and the lane that it waits in: a channel's receiver."""

    id: UUID
    channel: Channel
    target: str

    @property
    def lane(self) -> tuple[Channel, str]:
        """What it waits in line for."""
        return (self.channel, self.target)


# However long one receiver's line is, the others' messages are found: a few of each line, the first ones first.
_DUE = """
SELECT id, channel, target FROM (
  SELECT id, channel, target, next_attempt_at,
    row_number() OVER (PARTITION BY channel, target ORDER BY next_attempt_at, id) AS place
  FROM outbox_messages WHERE next_attempt_at <= {now} AND channel IN ({channels})
) due WHERE place <= {each} ORDER BY place, next_attempt_at LIMIT {limit}
"""


async def due(now: datetime, channels: Collection[Channel], *, each: int, limit: int) -> list[DueMessage]:
    """Return messages whose time has come, `each` of one receiver at most, those that are due for longest first."""
    if not channels:
        return []
    connection = get_connection(READER)
    is_sqlite = connection.capabilities.dialect == "sqlite"
    names = ", ".join(f"'{channel.value}'" for channel in sorted(channels))
    sql = _DUE.format(now="?" if is_sqlite else "$1", channels=names, each=int(each), limit=int(limit))
    # SQLite compares times as text, in the form in which the writer writes them.
    rows = await connection.execute_query_dict(sql, [now.isoformat(" ") if is_sqlite else now])
    return [DueMessage(records.read_uuid(row["id"]), Channel(row["channel"]), row["target"]) for row in rows]


# --- how it stands ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OutboxBacklog:
    """How many events are still to be relayed, how many messages wait or are dead by channel, and since when."""

    events: int = 0
    waiting: Mapping[Channel, int] | None = None
    dead: Mapping[Channel, int] | None = None
    oldest_at: datetime | None = None

    def age_s(self, now: datetime) -> float:
        """Return for how many seconds the oldest thing has waited; 0 while there is none."""
        return 0.0 if self.oldest_at is None else max(0.0, (now - self.oldest_at).total_seconds())


_COUNTS = """
SELECT channel, status, count(*) AS number, min(created_at) AS oldest_at FROM outbox_messages
WHERE status IN ('WAITING', 'DEAD') GROUP BY channel, status
UNION ALL
SELECT 'EVENTS', 'WAITING', count(*), min(created_at) FROM outbox_events WHERE relayed_at IS NULL
"""


async def backlog() -> OutboxBacklog:
    """Count what waits and what is dead."""
    waiting: dict[Channel, int] = {}
    dead: dict[Channel, int] = {}
    events, times = 0, []
    for row in await get_connection(READER).execute_query_dict(_COUNTS):
        # Banks take days, so payouts wait for long when all is well; what became of each is for `payoutReconciliation`.
        is_late = row["status"] == MessageStatus.WAITING and row["channel"] != Channel.PAYOUT
        if is_late and row["oldest_at"] is not None:
            times.append(time_value(_text(row["oldest_at"])))
        if row["channel"] == "EVENTS":
            events = row["number"]
        else:
            counted = waiting if row["status"] == MessageStatus.WAITING else dead
            counted[Channel(row["channel"])] = row["number"]
    return OutboxBacklog(events, waiting, dead, min(times, default=None))


def _text(time: datetime | str) -> str:
    return time if isinstance(time, str) else time.isoformat()


def messages(channel: Channel) -> QuerySet[OutboxMessageModel]:
    """Return the query of a channel's messages."""
    return OutboxMessageModel.filter(channel=str(channel))


# --- deleted ------------------------------------------------------------------------------------------------


async def prunable(now: datetime, *, kept: timedelta, kept_dead: timedelta) -> Due[None] | None:
    """Return what might have been deleted for longest, if there is anything."""
    found = []
    for query, span in _old(now, kept, kept_dead):
        row = await query.order_by("created_at").first()
        if row is not None:
            found.append(Due(row.id, row.created_at + span, None))
    return min(found, key=lambda due: due.due_at, default=None)


async def prune(now: datetime, *, kept: timedelta, kept_dead: timedelta) -> int:
    """Delete some rows whose time is over, and tell how many messages and events they were.

    `kept` is for what was delivered or cancelled and for events, `kept_dead` for dead messages, all from when they were
    written. What waits is never deleted.
    """
    found: list[list[Any]] = []
    for query, _ in _old(now, kept, kept_dead):
        rows = await query.order_by("created_at").limit(PRUNED_AT_ONCE).values_list("id", flat=True)
        found.append(list(rows))
    sent, dead, events = found
    if sent or dead or events:
        # Shielded, because a transaction that is cancelled on its way in would leak its connection.
        await asyncio.shield(_delete([*sent, *dead], events))
    return len(sent) + len(dead) + len(events)


def _old(now: datetime, kept: timedelta, kept_dead: timedelta) -> Sequence[tuple[QuerySet[Any], timedelta]]:
    ended = [str(MessageStatus.DELIVERED), str(MessageStatus.CANCELLED)]
    return (
        (OutboxMessageModel.filter(status__in=ended, created_at__lt=now - kept), kept),
        (
            OutboxMessageModel.filter(status=str(MessageStatus.DEAD), created_at__lt=now - kept_dead),
            kept_dead,
        ),
        (OutboxEventModel.filter(relayed_at__isnull=False, created_at__lt=now - kept), kept),
    )


async def _delete(message_ids: Sequence[Any], event_ids: Sequence[Any]) -> None:
    async with in_transaction(WRITER) as db:
        # Read again under the lock: somebody may have replayed one of them meanwhile.
        found = OutboxMessageModel.filter(id__in=list(message_ids), next_attempt_at=None).using_db(db)
        gone = [row.id for row in await found.select_for_update().order_by("id")]
        await OutboxAttemptModel.filter(message_id__in=gone).using_db(db).delete()
        await OutboxMessageModel.filter(id__in=gone).using_db(db).delete()
        await OutboxEventModel.filter(id__in=list(event_ids)).using_db(db).delete()
