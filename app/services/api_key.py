"""API keys of services: listed, created, rotated, revoked. A secret is returned once and kept nowhere."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from tortoise.expressions import Q
from tortoise.queryset import QuerySet

from app.auth.api_key import NewKey, new_api_key
from app.domain import api_key as rules
from app.domain.access import Actor, Capability, Principal
from app.domain.api_key import ApiKey, KeyRequest
from app.domain.ledger import Desk
from app.domain.note import check_reason
from app.domain.page import Page, PageRequest
from app.domain.rights import Rights
from app.domain.role import Role, require_held
from app.models.api_key import ApiKey as ApiKeyModel
from app.models.paging import Sort, fetch_page, time_value
from app.models.role import Role as RoleModel
from app.services.ledger.command import DeskCommand, IdempotencyClaim
from app.services.ledger.rows import api_key_of
from app.services.ledger.writer import Writer

SORT = Sort("CREATED_AT", "created_at", lambda row: row.created_at, time_value, descending=True)
"""Keys come newest first."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The key after a change. `text` is the whole key with its secret, there in the first answer only."""

    key: ApiKeyModel
    text: str | None
    replayed: bool


def keys(now: datetime, *, ended: bool) -> QuerySet[ApiKeyModel]:
    """Return the query of the list of keys, with or without those that are not good any more."""
    query = ApiKeyModel.all()
    return query if ended else query.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None)


async def found(text: str, now: datetime) -> list[ApiKeyModel]:
    """Return the keys of a name that are still good, newest first; or the one of a prefix."""
    prefix = text.removeprefix("cof_").partition("_")[0]
    return await keys(now, ended=False).filter(Q(name=text) | Q(prefix=prefix)).order_by("-created_at")


async def role_id_of(name: str) -> UUID | None:
    """Return the id of a role."""
    role = await RoleModel.get_or_none(name=name)
    return None if role is None else role.id


async def page_of(query: QuerySet[ApiKeyModel], request: PageRequest) -> Page[ApiKeyModel]:
    """Read one page of the list of keys."""
    return await fetch_page(query, SORT, request)


async def create(
    writer: Writer, by: Principal | Actor, wanted: KeyRequest, *, note: str, idempotency_key: str | None
) -> Kept:
    """Make a key. Raises `NameTaken`, `NotFound`, `RightsExceeded`, `LimitReached` or a refusal of the input."""
    rules.check_name(wanted.name)
    note = check_reason(note)
    # Made here, not in the decision: that is pure, and may be run again.
    new = new_api_key()

    def decide(desk: Desk) -> ApiKey:
        return rules.create(desk, wanted, new.secret, _held(desk, by), note, _actor(by))

    content = {
        "name": wanted.name,
        "role": str(wanted.role_id),
        "capabilities": None if wanted.capabilities is None else sorted(wanted.capabilities),
        "expires_at": None if wanted.expires_at is None else wanted.expires_at.isoformat(),
        "note": note,
    }
    return await _submit(writer, by, "createApiKey", decide, content, idempotency_key, new)


async def rotate(
    writer: Writer,
    by: Principal | Actor,
    key_id: UUID,
    *,
    overlap_h: int,
    expires_at: datetime | None,
    note: str,
    idempotency_key: str | None,
) -> Kept:
    """Replace a key; the old one stays good for the overlap. Returns the new one.

    Raises `NotFound`, `ApiKeyNotActive`, `RightsExceeded`, `LimitReached` or a refusal of the input.
    """
    note, new = check_reason(note), new_api_key()

    def decide(desk: Desk) -> ApiKey:
        held = _held(desk, by)
        return rules.rotate(desk, key_id, new.secret, overlap_h, expires_at, held, note, _actor(by))

    content = {
        "key": str(key_id),
        "overlap_h": overlap_h,
        "expires_at": None if expires_at is None else expires_at.isoformat(),
        "note": note,
    }
    return await _submit(writer, by, "rotateApiKey", decide, content, idempotency_key, new)


async def revoke(
    writer: Writer, by: Principal | Actor, key_id: UUID, *, note: str, idempotency_key: str | None
) -> Kept:
    """End a key now. Raises `NotFound`, `ApiKeyNotActive` or a refusal of the note."""
    note = check_reason(note)

    def decide(desk: Desk) -> ApiKey:
        _held(desk, by)
        return rules.revoke(desk, key_id, note, _actor(by))

    content = {"key": str(key_id), "note": note}
    return await _submit(writer, by, "revokeApiKey", decide, content, idempotency_key, None)


def _held(desk: Desk, by: Principal | Actor) -> frozenset[Capability]:
    # By the rows that are locked now: the caller's rights may have been taken since the request came in.
    if isinstance(by, Actor):
        # The command line: whoever has the database's address may do everything anyway.
        return frozenset(Capability)
    held = Rights(desk.table(Role), desk.table(ApiKey)).held_by(by, desk.now)
    require_held({Capability.API_KEYS_WRITE}, held)
    return held


def _actor(by: Principal | Actor) -> Actor:
    return by if isinstance(by, Actor) else by.actor


async def _submit(  # noqa: PLR0917 — the public functions name everything
    writer: Writer,
    by: Principal | Actor,
    command: str,
    decide: Callable[[Desk], ApiKey],
    content: dict[str, Any],
    idempotency_key: str | None,
    new: NewKey | None,
) -> Kept:
    actor, claim = _actor(by), None
    if idempotency_key is not None:
        claim = IdempotencyClaim.of(actor, idempotency_key, command, content)
    outcome = await writer.submit(DeskCommand(command, actor, decide, claim, tables=(Role, ApiKey)))
    if isinstance(outcome.answer, ApiKey):
        return Kept(api_key_of(outcome.answer), new.text if new else None, replayed=False)
    key = await ApiKeyModel.get(id=outcome.result["ApiKey"])
    if new is None or key.hash != new.secret.hash:
        return Kept(key, None, replayed=True)
    # Made just now, whatever the writer says: when a commit's answer is lost, it finds its own key at the second try.
    return Kept(key, new.text, replayed=False)
