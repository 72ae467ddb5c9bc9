"""What comes in from the store: kept first, then worked on under a lease, looked at and replayed by staff."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from tortoise.connection import get_connection
from tortoise.queryset import QuerySet
from tortoise.transactions import in_transaction

from app.db import READER, WRITER
from app.domain import delivery as rules
from app.domain.access import Actor, ActorKind
from app.domain.audit import AuditAction, AuditEntry
from app.domain.delivery import WAITING, Delivery, DeliveryStatus, Door
from app.domain.due import Due
from app.domain.errors import FieldInvalid, NotFound
from app.domain.ledger import Desk
from app.domain.page import Page, PageRequest
from app.models.audit import AuditEntry as AuditEntryModel
from app.models.delivery import Delivery as DeliveryModel, DeliveryBody as DeliveryBodyModel
from app.models.paging import Sort, fetch_page, time_value
from app.services.ledger.command import DeskCommand, IdempotencyClaim
from app.services.ledger.writer import Writer

REPLAYED_MAX = 100
"""Deliveries that one request can have worked on again."""

PRUNED_AT_ONCE = 500
"""Deliveries that are deleted in one database transaction."""

QUEUED_MAX = 10_000
"""Deliveries that wait in the process's memory; those beyond are found in the database when it is time."""

SORT = Sort("RECEIVED_AT", "received_at", lambda row: row.received_at, time_value, descending=True)
"""Deliveries come newest first."""


def door_actor(door: Door) -> Actor:
    """Return who is written down as having done what a message of this door led to."""
    return Actor(ActorKind.SERVICE, f"webhook:{door}")


class Inbox:
    """The deliveries that came in, or were replayed, a moment ago in this process: whoever works on them is woken.

    Nothing is lost with it: the database knows what is due.
    """

    def __init__(self, size_max: int = QUEUED_MAX) -> None:
        self._size_max = size_max
        self._waiting: dict[UUID, None] = {}
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, delivery_ids: Iterable[UUID]) -> None:
        """Add deliveries; one that waits already is not added again."""
        for delivery_id in delivery_ids:
            if len(self._waiting) >= self._size_max:
                return
            self._waiting[delivery_id] = None
            self._filled.set()

    async def get(self) -> UUID:
        """Return the delivery that waits longest, as soon as there is one."""
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        delivery_id = next(iter(self._waiting))
        del self._waiting[delivery_id]
        return delivery_id


# --- kept, taken, settled -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kept:
    """A message that is in the database now, and whether it had come before."""

    delivery: Delivery
    repeated: bool


async def keep(
    writer: Writer,
    door: Door,
    topic: str,
    body: bytes,
    *,
    external_id: str | None,
    now: datetime,
    ignored: str | None = None,
) -> Kept:
    """Keep an authentic message; `ignored` says why nothing shall follow from it.

    Raises `Overloaded`, `NotAccepting` or `LedgerUnavailable`.
    """
    new, content = rules.received(door, topic, body, external_id=external_id, now=now)
    if ignored is not None:
        new = new.done(ignored, now, order_id=None, ignored=True)

    def decide(desk: Desk) -> Delivery:
        known = desk.found(Delivery, new.id)
        if known is not None:
            again = known.repeated(desk.now)
            desk.add(again)
            return again
        desk.add(new)
        desk.add(content)
        return new

    outcome = await writer.submit(_command("keepDelivery", door_actor(door), decide, new.id))
    kept = outcome.answer if isinstance(outcome.answer, Delivery) else new
    return Kept(kept, repeated=kept.repeats > 0)


async def take(writer: Writer, actor: Actor, delivery_id: UUID, lease: timedelta) -> Delivery | None:
    """Take a delivery for so long; nothing when it is not due, or somebody else has it."""

    def decide(desk: Desk) -> Delivery | None:
        found = desk.found(Delivery, delivery_id)
        if found is None or not found.is_due(desk.now):
            return None
        taken = found.taken(desk.now, lease)
        desk.add(taken)
        return taken if taken.status in WAITING else None

    outcome = await writer.submit(_command("takeDelivery", actor, decide, delivery_id))
    return outcome.answer if isinstance(outcome.answer, Delivery) else None


async def settle(
    writer: Writer, actor: Actor, taken: Delivery, end: Callable[[Delivery, datetime], Delivery]
) -> Delivery | None:
    """Write down how the work on a taken delivery ended; nothing when it is no longer ours to say."""

    def decide(desk: Desk) -> Delivery | None:
        found = desk.found(Delivery, taken.id)
        # Whoever took it meanwhile, because the lease ran out, or replayed it, has counted another attempt.
        if found is None or found.attempts != taken.attempts or found.status not in WAITING:
            return None
        ended = end(found, desk.now)
        desk.add(ended)
        return ended

    outcome = await writer.submit(_command("settleDelivery", actor, decide, taken.id))
    return outcome.answer if isinstance(outcome.answer, Delivery) else None


def _command(
    name: str, actor: Actor, decide: Callable[[Desk], Delivery | None], delivery_id: UUID
) -> DeskCommand:
    return DeskCommand(name, actor, decide, rows=((Delivery, delivery_id),), repeatable=True)


async def due(now: datetime, limit: int) -> list[UUID]:
    """Return deliveries whose time has come, those that are due for longest first."""
    # Every delivery that waits has a next attempt, and no other one has: the index holds nothing else.
    query = DeliveryModel.filter(next_attempt_at__lte=now).order_by("next_attempt_at").limit(limit)
    ids: list[Any] = list(await query.values_list("id", flat=True))
    return ids


async def body_of(delivery_id: UUID) -> bytes | None:
    """Return the body of a delivery, as it came."""
    row = await DeliveryBodyModel.get_or_none(delivery_id=delivery_id)
    return None if row is None else bytes(row.body)


# --- how it stands ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many deliveries wait (`RECEIVED`, `FAILED`) or are dead, and when the oldest that waits came in."""

    received: int = 0
    failed: int = 0
    dead: int = 0
    oldest_at: datetime | None = None

    def age_s(self, now: datetime) -> float:
        """Return for how many seconds the oldest delivery has waited; 0 while there is none."""
        return 0.0 if self.oldest_at is None else max(0.0, (now - self.oldest_at).total_seconds())


_BACKLOG = (
    "SELECT status, count(*) AS number, min(received_at) AS oldest_at FROM deliveries "
    "WHERE status IN ('RECEIVED', 'FAILED', 'DEAD') GROUP BY status"
)


async def backlog() -> Backlog:
    """Count what waits and what is dead."""
    rows = await get_connection(READER).execute_query_dict(_BACKLOG)
    numbers = {row["status"]: row["number"] for row in rows}
    times = [time_value(_text(row["oldest_at"])) for row in rows if row["status"] in WAITING]
    return Backlog(
        received=numbers.get(DeliveryStatus.RECEIVED, 0),
        failed=numbers.get(DeliveryStatus.FAILED, 0),
        dead=numbers.get(DeliveryStatus.DEAD, 0),
        oldest_at=min(times, default=None),
    )


def _text(time: datetime | str) -> str:
    return time if isinstance(time, str) else time.isoformat()


# --- deleted ------------------------------------------------------------------------------------------------


async def prune(now: datetime, *, kept: timedelta, kept_failed: timedelta) -> int:
    """Delete some deliveries whose time is over, and tell how many they were: messages hold personal data.

    `kept` is for those that are done or ignored, `kept_failed` for dead ones, both from when they came in.
    """
    settled = await _old((DeliveryStatus.DONE, DeliveryStatus.IGNORED), now - kept)
    dead = await _old((DeliveryStatus.DEAD,), now - kept_failed)
    ids = [*settled, *dead][:PRUNED_AT_ONCE]
    if ids:
        # Shielded, because a transaction that is cancelled on its way in would leak its connection.
        await asyncio.shield(_delete(ids))
    return len(ids)


async def prunable(now: datetime, *, kept: timedelta, kept_failed: timedelta) -> Due[None] | None:
    """Return the delivery whose time has been over for longest, if there is one."""
    found = []
    for statuses, time in (
        ((DeliveryStatus.DONE, DeliveryStatus.IGNORED), kept),
        ((DeliveryStatus.DEAD,), kept_failed),
    ):
        query = DeliveryModel.filter(
            status__in=[str(status) for status in statuses], received_at__lt=now - time
        )
        oldest = await query.order_by("received_at").first()
        if oldest is not None:
            found.append(Due(oldest.id, oldest.received_at + time, None))
    return min(found, key=lambda due: due.due_at, default=None)


async def _old(statuses: tuple[DeliveryStatus, ...], before: datetime) -> list[Any]:
    query = DeliveryModel.filter(status__in=[str(status) for status in statuses], received_at__lt=before)
    return list(await query.order_by("received_at").limit(PRUNED_AT_ONCE).values_list("id", flat=True))


async def _delete(ids: Sequence[UUID]) -> None:
    async with in_transaction(WRITER) as db:
        # Read again under the lock: somebody may have replayed one of them meanwhile.
        ended = [str(DeliveryStatus.DONE), str(DeliveryStatus.IGNORED), str(DeliveryStatus.DEAD)]
        found = DeliveryModel.filter(id__in=list(ids), status__in=ended).using_db(db).select_for_update()
        gone = [row.id for row in await found.order_by("id")]
        await DeliveryBodyModel.filter(delivery_id__in=gone).using_db(db).delete()
        await DeliveryModel.filter(id__in=gone).using_db(db).delete()


# --- looked at ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """What a list of deliveries is narrowed to; bounds are inclusive."""

    statuses: tuple[str, ...] | None = None
    doors: tuple[str, ...] | None = None
    topics: tuple[str, ...] | None = None
    order_id: UUID | None = None
    received_from: datetime | None = None
    received_to: datetime | None = None


_CONDITIONS = {
    "statuses": "status__in",
    "doors": "door__in",
    "topics": "topic__in",
    "order_id": "order_id",
    "received_from": "received_at__gte",
    "received_to": "received_at__lte",
}


def deliveries(wanted: DeliveryFilter) -> QuerySet[DeliveryModel]:
    """Return the query of a list of deliveries."""
    query = DeliveryModel.all()
    for name, condition in _CONDITIONS.items():
        bound = getattr(wanted, name)
        if bound is not None:
            query = query.filter(**{condition: bound})
    return query


async def page_of(query: QuerySet[DeliveryModel], request: PageRequest) -> Page[DeliveryModel]:
    """Read one page of a list of deliveries."""
    return await fetch_page(query, SORT, request)


# --- replayed -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Replayed:
    """The deliveries that are worked on again, and whether this is the answer to a repeated request."""

    deliveries: Sequence[DeliveryModel]
    replayed: bool


async def replay(
    writer: Writer, actor: Actor, delivery_ids: Sequence[UUID], *, idempotency_key: str
) -> Replayed:
    """Have these deliveries worked on again. Raises `FieldInvalid` or `NotFound`."""
    if not 0 < len(delivery_ids) <= REPLAYED_MAX:
        raise FieldInvalid(f"Send from 1 to {REPLAYED_MAX} ids.", field=("deliveryIds",))
    ids = list(dict.fromkeys(delivery_ids))

    def missing(_id: UUID) -> None:
        raise NotFound("delivery", field=("deliveryIds",))

    content = {"deliveries": [str(delivery_id) for delivery_id in ids]}
    return await _replay(writer, actor, ids, missing, content, idempotency_key)


async def replay_found(
    writer: Writer,
    actor: Actor,
    *,
    statuses: tuple[str, ...] | None,
    doors: tuple[str, ...] | None,
    idempotency_key: str,
) -> Replayed:
    """Have the oldest deliveries, at most 100, that match worked on again: failed and dead ones if nothing is said."""
    chosen = rules.replayable(None if statuses is None else [DeliveryStatus(word) for word in statuses])
    wanted = DeliveryFilter(statuses=tuple(str(status) for status in chosen), doors=doors)
    query = deliveries(wanted).order_by("received_at", "id").limit(REPLAYED_MAX)
    ids: list[Any] = list(await query.values_list("id", flat=True))
    content = {"statuses": wanted.statuses, "doors": doors}
    return await _replay(writer, actor, ids, lambda _id: None, content, idempotency_key)


async def _replay(  # noqa: PLR0917 — the public functions name everything
    writer: Writer,
    actor: Actor,
    ids: Sequence[UUID],
    missing: Callable[[UUID], None],
    content: dict[str, Any],
    idempotency_key: str,
) -> Replayed:
    def decide(desk: Desk) -> AuditEntry | None:
        replayed = []
        for delivery_id in ids:
            found = desk.found(Delivery, delivery_id)
            if found is None:
                missing(delivery_id)
            else:
                desk.add(found.replayed(desk.now))
                replayed.append(str(delivery_id))
        if not replayed:
            return None
        data = {"subject": "webhook deliveries", "before": {}, "after": {"deliveries": replayed}}
        entry = AuditEntry(desk.mint.id(), None, AuditAction.REPLAY_WEBHOOKS, actor, "", desk.now, data)
        desk.add(entry)
        return entry

    claim = IdempotencyClaim.of(actor, idempotency_key, "replayWebhookDeliveries", content)
    rows = tuple((Delivery, delivery_id) for delivery_id in ids)
    outcome = await writer.submit(DeskCommand("replayWebhookDeliveries", actor, decide, claim, rows=rows))
    entry_id = outcome.result.get("AuditEntry")
    if entry_id is None:
        return Replayed((), outcome.replayed)
    # The entry knows which they were, also for an answer that is given again.
    entry = await AuditEntryModel.get(id=entry_id)
    answered = [UUID(text) for text in entry.data["after"]["deliveries"]]
    by_id = {row.id: row for row in await DeliveryModel.filter(id__in=answered)}
    return Replayed([by_id[one] for one in answered if one in by_id], outcome.replayed)
