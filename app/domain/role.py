"""Roles: named sets of capabilities, kept in the database, and the rules by which they change."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from app.domain.access import ADMINISTRATOR, CUSTOMER, Actor, Capability
from app.domain.audit import AuditAction, AuditEntry, changes
from app.domain.errors import FieldInvalid, LimitReached, NameTaken, NotFound, RightsExceeded, RoleProtected
from app.domain.ledger import Desk

ROLES_MAX = 100
"""Roles that a store may have, archived ones too: all of them are kept in every process's memory."""

WORDS_MAX = 50
"""Words that one role may map from."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")


@dataclass(frozen=True, slots=True)
class Role:
    """A role as it is kept; `maps_from` are words of the store's tokens that mean it, beside its own name."""

    id: UUID
    name: str
    description: str
    capabilities: frozenset[Capability]
    maps_from: tuple[str, ...]
    archived_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def granted(self) -> frozenset[Capability]:
        """What the role's bearers may do now."""
        if self.name == ADMINISTRATOR:
            # Not what is stored: a later version may bring capabilities that no migration has granted.
            return frozenset(Capability)
        return frozenset() if self.archived_at else self.capabilities

    def as_data(self) -> dict[str, Any]:
        """Return what can change of the role, as an audit entry tells it."""
        return {
            "description": self.description,
            "capabilities": sorted(self.capabilities),
            "mapsFrom": list(self.maps_from),
            "archived": self.archived_at is not None,
        }


@dataclass(frozen=True, slots=True)
class RoleChange:
    """What somebody wants a role to be; `None` leaves a part as it is."""

    description: str | None = None
    capabilities: frozenset[Capability] | None = None
    maps_from: tuple[str, ...] | None = None
    archived: bool | None = None


def is_name(text: str) -> bool:
    """Tell whether a text can be the name of a role."""
    return _NAME.fullmatch(text) is not None


def check_name(text: str) -> str:
    """Return the name of a new role, or raise `FieldInvalid`."""
    if not is_name(text):
        raise FieldInvalid(
            "A role's name begins with a small letter and has small letters, digits and underscores, at most 48. "
            "Choose one such as shop_manager.",
            field=("name",),
        )
    return text


def create(  # noqa: PLR0917 — as `update` below
    desk: Desk, name: str, wanted: RoleChange, held: frozenset[Capability], note: str, actor: Actor
) -> Role:
    """Make a role. Raises `NameTaken`, `LimitReached`, `RightsExceeded` or `FieldInvalid`."""
    roles = desk.table(Role)
    if any(role.name == name for role in roles):
        raise NameTaken("a role", name)
    if any(name in role.maps_from for role in roles):
        raise FieldInvalid(
            "Another role maps from this word. Choose another name, or take it out there first.",
            field=("name",),
        )
    if len(roles) >= ROLES_MAX:
        raise LimitReached(f"There are {ROLES_MAX} roles already. Take an archived one back instead.")
    role = Role(
        id=desk.mint.id(),
        name=name,
        description=wanted.description or "",
        capabilities=wanted.capabilities or frozenset(),
        maps_from=_words(roles, name, wanted.maps_from or ()),
        archived_at=None,
        created_at=desk.now,
        updated_at=desk.now,
    )
    require_held(role.granted, held, field=("capabilities",))
    _keep(desk, AuditAction.CREATE_ROLE, {}, role, note, actor)
    return role


def update(  # noqa: PLR0917 — who may and why belong to every change
    desk: Desk, role_id: UUID, wanted: RoleChange, held: frozenset[Capability], note: str, actor: Actor
) -> Role:
    """Change a role. Raises `NotFound`, `RoleProtected`, `RightsExceeded` or `FieldInvalid`."""
    roles = desk.table(Role)
    role = next((role for role in roles if role.id == role_id), None)
    if role is None:
        raise NotFound("role", field=("roleId",))
    changed = _changed(desk, roles, role, wanted)
    # Both: whoever could change a stronger role could map their own word to it, or take its bearers' rights away.
    require_held(role.capabilities | role.granted, held, field=("roleId",))
    require_held(changed.capabilities | changed.granted, held, field=("capabilities",))
    if changed.as_data() == role.as_data():
        return role
    _keep(desk, AuditAction.UPDATE_ROLE, role.as_data(), changed, note, actor)
    return changed


def require_held(
    capabilities: Collection[Capability], held: Collection[Capability], *, field: tuple[str, ...] = ()
) -> None:
    """Refuse to hand out capabilities that the one who does so lacks."""
    missing = frozenset(capabilities) - frozenset(held)
    if missing:
        raise RightsExceeded(missing, field=field)


def _changed(desk: Desk, roles: Iterable[Role], role: Role, wanted: RoleChange) -> Role:
    _require_unprotected(role, wanted)
    archived_at = role.archived_at
    if wanted.archived is not None:
        archived_at = (archived_at or desk.now) if wanted.archived else None
    return replace(
        role,
        description=role.description if wanted.description is None else wanted.description,
        capabilities=role.capabilities if wanted.capabilities is None else wanted.capabilities,
        maps_from=role.maps_from if wanted.maps_from is None else _words(roles, role.name, wanted.maps_from),
        archived_at=archived_at,
        updated_at=desk.now,
    )


def _require_unprotected(role: Role, wanted: RoleChange) -> None:
    if role.name not in (ADMINISTRATOR, CUSTOMER):
        return
    if wanted.archived:
        raise RoleProtected(
            f"The store can't do without the role {role.name}. Leave it in use.", field=("archived",)
        )
    if wanted.capabilities is None or wanted.capabilities == role.granted:
        return
    if role.name == ADMINISTRATOR:
        raise RoleProtected(
            "The administrator holds every capability, so that nobody is locked out. Choose another role for less.",
            field=("capabilities",),
        )
    raise RoleProtected(
        "Every customer of the store bears this role, so it gets no capabilities. Choose another role.",
        field=("capabilities",),
    )


def _words(roles: Iterable[Role], name: str, words: Iterable[str]) -> tuple[str, ...]:
    kept = tuple(sorted(set(words) - {name}))
    if len(kept) > WORDS_MAX:
        raise FieldInvalid(f"Give a role at most {WORDS_MAX} words to map from.", field=("mapsFrom",))
    # A word that names a role would silently give that role's bearers another one too: every customer, at worst.
    if taken := sorted({role.name for role in roles} & set(kept)):
        raise FieldInvalid(
            f"The word {taken[0]} is the name of another role, so it means that one. Leave it out.",
            field=("mapsFrom",),
        )
    return kept


def _keep(  # noqa: PLR0917
    desk: Desk, action: AuditAction, before: dict[str, Any], role: Role, note: str, actor: Actor
) -> None:
    desk.add(role)
    data = changes(role.name, before, role.as_data())
    desk.add(AuditEntry(desk.mint.id(), None, action, actor, note, desk.now, data))
