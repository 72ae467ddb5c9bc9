"""Roles: listed, created, changed. Each change has its audit entry in the same database transaction."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.domain import role as rules
from app.domain.access import Capability, Principal
from app.domain.api_key import ApiKey
from app.domain.errors import FieldInvalid
from app.domain.ledger import Desk
from app.domain.note import check_reason, check_text
from app.domain.rights import Rights
from app.domain.role import Role, RoleChange, require_held
from app.models.role import Role as RoleModel
from app.services.ledger.command import DeskCommand, IdempotencyClaim
from app.services.ledger.rows import role_of
from app.services.ledger.writer import Writer

DESCRIPTION_MAX = 500
WORD_MAX = 128
WORDS_GIVEN_MAX = 200


@dataclass(frozen=True, slots=True)
class Kept:
    """The role after a change, and whether this is the answer to a repeated request."""

    role: RoleModel
    replayed: bool


async def roles(*, archived: bool) -> list[RoleModel]:
    """Return all roles by name, with or without those that are archived."""
    query = RoleModel.all() if archived else RoleModel.filter(archived_at=None)
    return await query.order_by("name")


async def create(
    writer: Writer,
    principal: Principal,
    name: str,
    wanted: RoleChange,
    *,
    note: str,
    idempotency_key: str | None,
) -> Kept:
    """Make a role. Raises `NameTaken`, `RightsExceeded`, `LimitReached` or a refusal of the input."""
    name, wanted, note = rules.check_name(name), _checked(wanted), check_reason(note)
    actor = principal.actor

    def decide(desk: Desk) -> Role:
        return rules.create(desk, name, wanted, _held(desk, principal), note, actor)

    content = {"name": name, **_content(wanted), "note": note}
    return await _submit(writer, principal, "createRole", decide, content, idempotency_key)


async def update(
    writer: Writer,
    principal: Principal,
    role_id: UUID,
    wanted: RoleChange,
    *,
    note: str,
    idempotency_key: str | None,
) -> Kept:
    """Change a role. Raises `NotFound`, `RoleProtected`, `RightsExceeded` or a refusal of the input."""
    wanted, note = _checked(wanted), check_reason(note)
    actor = principal.actor

    def decide(desk: Desk) -> Role:
        return rules.update(desk, role_id, wanted, _held(desk, principal), note, actor)

    content = {"role": str(role_id), **_content(wanted), "note": note}
    return await _submit(writer, principal, "updateRole", decide, content, idempotency_key)


def _held(desk: Desk, principal: Principal) -> frozenset[Capability]:
    # By the rows that are locked now: the caller's rights may have been taken since the request came in.
    held = Rights(desk.table(Role), desk.table(ApiKey)).held_by(principal, desk.now)
    require_held({Capability.ROLES_WRITE}, held)
    return held


async def _submit(  # noqa: PLR0917 — the two public functions name everything
    writer: Writer,
    principal: Principal,
    command: str,
    decide: Callable[[Desk], Role],
    content: dict[str, Any],
    idempotency_key: str | None,
) -> Kept:
    actor, claim = principal.actor, None
    if idempotency_key is not None:
        claim = IdempotencyClaim.of(actor, idempotency_key, command, content)
    outcome = await writer.submit(DeskCommand(command, actor, decide, claim, tables=(Role, ApiKey)))
    if isinstance(outcome.answer, Role):
        return Kept(role_of(outcome.answer), replayed=False)
    return Kept(await RoleModel.get(id=outcome.result["Role"]), replayed=True)


def _checked(wanted: RoleChange) -> RoleChange:
    description, words = wanted.description, wanted.maps_from
    if description is not None:
        description = check_text(description, field="description", length_max=DESCRIPTION_MAX)
    if words is not None:
        if len(words) > WORDS_GIVEN_MAX:
            raise FieldInvalid(f"Send at most {WORDS_GIVEN_MAX} words at once.", field=("mapsFrom",))
        words = tuple(check_text(word, field="mapsFrom", length_max=WORD_MAX) for word in words)
        if not all(words):
            raise FieldInvalid("A word to map from can't be empty. Leave it out.", field=("mapsFrom",))
    return RoleChange(description, wanted.capabilities, words, wanted.archived)


def _content(wanted: RoleChange) -> dict[str, Any]:
    return {
        "description": wanted.description,
        "capabilities": None if wanted.capabilities is None else sorted(wanted.capabilities),
        "maps_from": None if wanted.maps_from is None else sorted(wanted.maps_from),
        "archived": wanted.archived,
    }
