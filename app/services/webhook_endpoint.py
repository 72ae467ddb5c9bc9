"""Who is told of what happens, by signed messages: endpoints set up and changed, messages looked at and sent again."""

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from secrets import token_bytes
from typing import Any
from uuid import UUID

from tortoise.connection import get_connection
from tortoise.queryset import QuerySet

from app.addresses import check_url
from app.db import READER
from app.domain import listening as rules
from app.domain.access import Actor, Principal
from app.domain.audit import AuditAction, AuditEntry
from app.domain.errors import FieldInvalid, NotConfigured, NotFound
from app.domain.ledger import Desk
from app.domain.listening import EndpointRequest
from app.domain.note import check_reason, check_text
from app.domain.outbox import Channel, MessageStatus, OutboxMessage
from app.domain.page import Page, PageRequest
from app.domain.webhook_endpoint import DESCRIPTION_MAX, DisabledBy, EndpointStatus, WebhookEndpoint
from app.models.audit import AuditEntry as AuditEntryModel
from app.models.outbox import OutboxMessage as OutboxMessageModel
from app.models.paging import Sort, fetch_page, time_value
from app.models.webhook_endpoint import WebhookEndpoint as WebhookEndpointModel
from app.sealing import Sealer
from app.services.ledger import records
from app.services.ledger.command import DeskCommand, IdempotencyClaim
from app.services.ledger.mint import RandomMint
from app.services.ledger.rows import outbox_message_of, webhook_endpoint_of
from app.services.ledger.writer import Writer
from app.settings import environment_variable

SECRET_SIZE_BYTES = 32
SECRET_PREFIX = "whsec_"  # noqa: S105 — the standard's prefix of every secret

REPLAYED_MAX = 100
"""Messages that one request can have sent again."""

SORT = Sort("CREATED_AT", "created_at", lambda row: row.created_at, time_value, descending=True)
"""Endpoints and messages come newest first."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The endpoint after a change. `secret` is there in the first answer only."""

    endpoint: WebhookEndpointModel
    secret: str | None
    replayed: bool


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A secret that was just made: as it is shown once, and as it is kept."""

    text: str = field(repr=False)
    sealed: str


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for a change, why, and the key of the request."""

    by: Principal
    note: str
    idempotency_key: str


# --- changed ------------------------------------------------------------------------------------------------


async def create(
    writer: Writer, sealer: Sealer | None, wanted: EndpointRequest, asked: Asked, *, private: bool
) -> Kept:
    """Set an endpoint up. Raises `FieldInvalid`, `LimitReached`, `RightsExceeded` or `NotConfigured`."""
    wanted, note = _checked(wanted, private=private), check_reason(asked.note)
    # Made here, not in the decision: that is pure, and may be run again.
    endpoint_id = RandomMint().id()
    new = _new_secret(sealer, endpoint_id)

    def decide(desk: Desk) -> WebhookEndpoint:
        return rules.create(
            desk,
            wanted,
            new.sealed,
            asked.by.capabilities,
            endpoint_id=endpoint_id,
            note=note,
            actor=asked.by.actor,
        )

    content = {**_content(wanted), "note": note}
    return await _submit(writer, asked, "createWebhookEndpoint", decide, content, new)


async def update(
    writer: Writer, endpoint_id: UUID, wanted: EndpointRequest, asked: Asked, *, private: bool
) -> Kept:
    """Change an endpoint. Raises `FieldInvalid`, `NotFound` or `RightsExceeded`."""
    wanted, note = _checked(wanted, private=private), check_reason(asked.note)

    def decide(desk: Desk) -> WebhookEndpoint:
        held, actor = asked.by.capabilities, asked.by.actor
        return rules.update(desk, endpoint_id, wanted, held, note=note, actor=actor)

    content = {"endpoint": str(endpoint_id), **_content(wanted), "note": note}
    return await _submit(writer, asked, "updateWebhookEndpoint", decide, content)


async def rotate(
    writer: Writer, sealer: Sealer | None, endpoint_id: UUID, asked: Asked, *, overlap_h: int
) -> Kept:
    """Replace an endpoint's secret; messages are signed with both for the overlap.

    Raises `FieldInvalid`, `NotFound` or `NotConfigured`.
    """
    note = check_reason(asked.note)
    rules.check_overlap(overlap_h)
    new = _new_secret(sealer, endpoint_id)

    def decide(desk: Desk) -> WebhookEndpoint:
        return rules.rotate(desk, endpoint_id, new.sealed, overlap_h, note=note, actor=asked.by.actor)

    content = {"endpoint": str(endpoint_id), "overlap_h": overlap_h, "note": note}
    return await _submit(writer, asked, "rotateWebhookSecret", decide, content, new)


async def enable(writer: Writer, endpoint_id: UUID, asked: Asked) -> Kept:
    """Switch an endpoint on. Raises `NotFound`, `LimitReached` or `RightsExceeded`."""
    note = check_reason(asked.note)

    def decide(desk: Desk) -> WebhookEndpoint:
        return rules.enable(desk, endpoint_id, asked.by.capabilities, note=note, actor=asked.by.actor)

    content = {"endpoint": str(endpoint_id), "note": note}
    return await _submit(writer, asked, "enableWebhookEndpoint", decide, content)


async def disable(writer: Writer, endpoint_id: UUID, asked: Asked) -> Kept:
    """Switch an endpoint off. Raises `NotFound`."""
    note = check_reason(asked.note)

    def decide(desk: Desk) -> WebhookEndpoint:
        return rules.disable(desk, endpoint_id, DisabledBy.REQUEST, note=note, actor=asked.by.actor)

    content = {"endpoint": str(endpoint_id), "note": note}
    return await _submit(writer, asked, "disableWebhookEndpoint", decide, content)


def _new_secret(sealer: Sealer | None, endpoint_id: UUID) -> NewSecret:
    if sealer is None:
        raise NotConfigured(environment_variable("secrets_key"))
    text = SECRET_PREFIX + b64encode(token_bytes(SECRET_SIZE_BYTES)).decode()
    return NewSecret(text, sealer.seal(text, str(endpoint_id)))


def _checked(wanted: EndpointRequest, *, private: bool) -> EndpointRequest:
    url, description, events = wanted.url, wanted.description, wanted.events
    return EndpointRequest(
        url=None if url is None else check_url(url, private=private),
        description=None
        if description is None
        else check_text(description, field="description", length_max=DESCRIPTION_MAX),
        events=None if events is None else rules.check_events(events),
    )


def _content(wanted: EndpointRequest) -> dict[str, Any]:
    return {"url": wanted.url, "description": wanted.description, "events": wanted.events}


async def _submit(  # noqa: PLR0917 — the public functions name everything
    writer: Writer,
    asked: Asked,
    command: str,
    decide: Callable[[Desk], WebhookEndpoint],
    content: Mapping[str, Any],
    new: NewSecret | None = None,
) -> Kept:
    actor = asked.by.actor
    claim = IdempotencyClaim.of(actor, asked.idempotency_key, command, content)
    outcome = await writer.submit(DeskCommand(command, actor, decide, claim, tables=(WebhookEndpoint,)))
    if isinstance(outcome.answer, WebhookEndpoint):
        return Kept(webhook_endpoint_of(outcome.answer), new.text if new else None, replayed=False)
    row = await WebhookEndpointModel.get(id=outcome.result["WebhookEndpoint"])
    if new is None or all(kept["sealed"] != new.sealed for kept in row.secrets):
        return Kept(row, None, replayed=True)
    # Made just now, whatever the writer says: when a commit's answer is lost, it finds its own key at the second try.
    return Kept(row, new.text, replayed=False)


# --- told ---------------------------------------------------------------------------------------------------


async def listening() -> list[WebhookEndpoint]:
    """Return the endpoints that are told of what happens."""
    return await _read("WHERE status = 'ENABLED' ORDER BY id")


async def find(endpoint_id: UUID) -> WebhookEndpoint | None:
    """Return an endpoint with its sealed secrets."""
    found = await _read(f"WHERE id = '{UUID(str(endpoint_id))}'")
    return found[0] if found else None


async def _read(condition: str) -> list[WebhookEndpoint]:
    sql = f"SELECT * FROM webhook_endpoints {condition}"  # noqa: S608 — conditions of this module
    rows = await get_connection(READER).execute_query_dict(sql)
    return [records.read_webhook_endpoint(row) for row in rows]


async def note_health(
    writer: Writer, actor: Actor, endpoint_id: UUID, *, failing_since: datetime | None
) -> None:
    """Write down since when messages to an endpoint fail, or that they don't any more."""

    def decide(desk: Desk) -> None:
        endpoint = next((one for one in desk.table(WebhookEndpoint) if one.id == endpoint_id), None)
        if endpoint is not None and (endpoint.failing_since is None) != (failing_since is None):
            desk.add(endpoint.failing(failing_since))

    # The whole table, as all other commands lock it: after the messages that a batch names.
    tables = (WebhookEndpoint,)
    await writer.submit(DeskCommand("noteWebhookHealth", actor, decide, tables=tables, repeatable=True))


async def end(writer: Writer, actor: Actor, endpoint_id: UUID) -> None:
    """Switch an endpoint off that wants nothing any more."""

    def decide(desk: Desk) -> None:
        note = "It answered 410: it wants no messages any more."
        rules.disable(desk, endpoint_id, DisabledBy.GONE, note=note, actor=actor)

    tables = (WebhookEndpoint,)
    await writer.submit(DeskCommand("endWebhookEndpoint", actor, decide, tables=tables, repeatable=True))


# --- tried out and sent again -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tried:
    """The message that tries an endpoint out, and whether this is the answer to a repeated request."""

    message: OutboxMessageModel
    replayed: bool


async def try_out(writer: Writer, by: Principal, endpoint_id: UUID, *, idempotency_key: str) -> Tried:
    """Send a message that tries an endpoint out. Raises `NotFound`."""

    def decide(desk: Desk) -> OutboxMessage:
        return rules.try_out(desk, endpoint_id, actor=by.actor)

    claim = IdempotencyClaim.of(by.actor, idempotency_key, "sendTestWebhook", {"endpoint": str(endpoint_id)})
    command = DeskCommand("sendTestWebhook", by.actor, decide, claim, tables=(WebhookEndpoint,))
    outcome = await writer.submit(command)
    if isinstance(outcome.answer, OutboxMessage):
        return Tried(outbox_message_of(outcome.answer), replayed=False)
    row = await OutboxMessageModel.get_or_none(id=outcome.result["OutboxMessage"])
    if row is None:
        # It was deleted since, because its time was over.
        raise NotFound("message", field=("idempotencyKey",))
    return Tried(row, replayed=True)


@dataclass(frozen=True, slots=True)
class Resent:
    """The messages that are sent again, and whether this is the answer to a repeated request."""

    messages: Sequence[OutboxMessageModel]
    replayed: bool


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """What a list of messages is narrowed to; bounds are inclusive."""

    endpoint_ids: tuple[UUID, ...] | None = None
    statuses: tuple[str, ...] | None = None
    topics: tuple[str, ...] | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


def messages(wanted: MessageFilter) -> QuerySet[OutboxMessageModel]:
    """Return the query of a list of messages to endpoints."""
    query = OutboxMessageModel.filter(channel=str(Channel.WEBHOOK))
    bounds = {
        "target__in": None if wanted.endpoint_ids is None else [str(one) for one in wanted.endpoint_ids],
        "status__in": wanted.statuses,
        "topic__in": wanted.topics,
        "created_at__gte": wanted.created_from,
        "created_at__lte": wanted.created_to,
    }
    return query.filter(**{name: bound for name, bound in bounds.items() if bound is not None})


async def page_of_messages(
    query: QuerySet[OutboxMessageModel], request: PageRequest
) -> Page[OutboxMessageModel]:
    """Read one page of a list of messages."""
    return await fetch_page(query, SORT, request)


def endpoints(status: EndpointStatus | None = None) -> QuerySet[WebhookEndpointModel]:
    """Return the query of a list of endpoints."""
    query = WebhookEndpointModel.all()
    return query if status is None else query.filter(status=str(status))


async def page_of(query: QuerySet[WebhookEndpointModel], request: PageRequest) -> Page[WebhookEndpointModel]:
    """Read one page of a list of endpoints."""
    return await fetch_page(query, SORT, request)


async def replay(
    writer: Writer, actor: Actor, message_ids: Sequence[UUID], *, idempotency_key: str
) -> Resent:
    """Have these messages sent again, with the ids that they have. Raises `FieldInvalid` or `NotFound`."""
    if not 0 < len(message_ids) <= REPLAYED_MAX:
        raise FieldInvalid(f"Send from 1 to {REPLAYED_MAX} ids.", field=("outgoingWebhookIds",))
    ids = list(dict.fromkeys(message_ids))

    def missing() -> None:
        raise NotFound("outgoing webhook", field=("outgoingWebhookIds",))

    content = {"messages": [str(one) for one in ids]}
    return await _replay(writer, actor, ids, missing, content, idempotency_key)


async def replay_found(
    writer: Writer, actor: Actor, wanted: MessageFilter, *, idempotency_key: str
) -> Resent:
    """Have the oldest messages, at most 100, that match sent again: dead ones if nothing is said of their status."""
    if wanted.statuses is None:
        wanted = MessageFilter(
            wanted.endpoint_ids,
            (str(MessageStatus.DEAD),),
            wanted.topics,
            wanted.created_from,
            wanted.created_to,
        )
    query = messages(wanted).order_by("created_at", "id").limit(REPLAYED_MAX)
    ids: list[Any] = list(await query.values_list("id", flat=True))
    content = {
        "endpoints": None if wanted.endpoint_ids is None else [str(one) for one in wanted.endpoint_ids],
        "statuses": wanted.statuses,
        "topics": wanted.topics,
        "from": wanted.created_from,
        "to": wanted.created_to,
    }
    return await _replay(writer, actor, ids, lambda: None, content, idempotency_key)


async def _replay(  # noqa: PLR0917 — the public functions name everything
    writer: Writer,
    actor: Actor,
    ids: Sequence[UUID],
    missing: Callable[[], None],
    content: Mapping[str, Any],
    idempotency_key: str,
) -> Resent:
    def decide(desk: Desk) -> AuditEntry | None:
        resent = []
        for message_id in ids:
            found = desk.found(OutboxMessage, message_id)
            if found is None or found.channel is not Channel.WEBHOOK:
                missing()
            else:
                desk.add(found.replayed(desk.now))
                resent.append(str(message_id))
        if not resent:
            return None
        data = {"subject": "outgoing webhooks", "before": {}, "after": {"messages": resent}}
        action = AuditAction.REPLAY_OUTGOING_WEBHOOKS
        entry = AuditEntry(desk.mint.id(), None, action, actor, "", desk.now, data)
        desk.add(entry)
        return entry

    name = "replayOutgoingWebhooks"
    claim = IdempotencyClaim.of(actor, idempotency_key, name, content)
    rows = tuple((OutboxMessage, message_id) for message_id in ids)
    outcome = await writer.submit(DeskCommand(name, actor, decide, claim, rows=rows))
    entry_id = outcome.result.get("AuditEntry")
    if entry_id is None:
        return Resent((), outcome.replayed)
    # The entry knows which they were, also for an answer that is given again.
    entry = await AuditEntryModel.get(id=entry_id)
    answered = [UUID(text) for text in entry.data["after"]["messages"]]
    by_id = {row.id: row for row in await OutboxMessageModel.filter(id__in=answered)}
    return Resent([by_id[one] for one in answered if one in by_id], outcome.replayed)
