"""API keys: the credentials of services that have no sign-in of the store's, and the rules by which they change.

A key is a row for each secret. Its name is the service's: it stays the same when the secret is rotated, and with
it the name in the history and the scope of idempotency keys.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from app.domain.access import Actor, Capability
from app.domain.audit import AuditAction, AuditEntry, changes
from app.domain.errors import ApiKeyNotActive, FieldInvalid, LimitReached, NameTaken, NotFound
from app.domain.ledger import Desk
from app.domain.role import Role, require_held

ACTIVE_MAX = 1000
"""Keys that may be good at the same time: all of them are kept in every process's memory."""

OVERLAP_DEFAULT_H = 24
"""How long a rotated key stays good, unless somebody says otherwise."""

OVERLAP_MAX_H = 24 * 30
"""How long it stays good at most."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}[A-Za-z0-9]")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept. Only the hash of the secret is: whoever reads the table can sign in as nobody.

    Exactly one of `role_id` and `capabilities` is set.
    """

    id: UUID
    prefix: str
    """The part that may be shown and logged: it finds the key, and proves nothing."""
    hash: bytes
    name: str
    role_id: UUID | None
    capabilities: frozenset[Capability] | None
    expires_at: datetime | None
    replaces_id: UUID | None
    """The key that this one was rotated from."""
    created_by: Actor
    created_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_active(self, now: datetime) -> bool:
        """Tell whether the key is good."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def granted(self, roles: Mapping[UUID, Role]) -> frozenset[Capability]:
        """Return what the key's bearer may do, by the roles as they are now."""
        if self.role_id is None:
            return self.capabilities or frozenset()
        role = roles.get(self.role_id)
        return frozenset() if role is None else role.granted


@dataclass(frozen=True, slots=True)
class Secret:
    """What is kept of a new secret."""

    prefix: str
    hash: bytes


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """What somebody wants a new key to be."""

    name: str
    role_id: UUID | None
    capabilities: frozenset[Capability] | None
    expires_at: datetime | None


def check_name(text: str) -> str:
    """Return a key's name, or raise `FieldInvalid`."""
    if not _NAME.fullmatch(text):
        raise FieldInvalid(
            "A key's name is that of the service. Use 2 to 64 letters, digits, spaces, dots, hyphens and underscores.",
            field=("name",),
        )
    return text


def create(  # noqa: PLR0917 — who may and why belong to every change
    desk: Desk, wanted: KeyRequest, secret: Secret, held: frozenset[Capability], note: str, actor: Actor
) -> ApiKey:
    """Make a key. Raises `NameTaken`, `NotFound`, `RightsExceeded`, `LimitReached` or `FieldInvalid`."""
    active = [key for key in desk.table(ApiKey) if key.is_active(desk.now)]
    # Two services of one name would share what they did and their idempotency keys.
    if any(key.name.casefold() == wanted.name.casefold() for key in active):
        raise NameTaken("a key that is still good", wanted.name)
    _require_room(active)
    if (wanted.role_id is None) == (not wanted.capabilities):
        raise FieldInvalid("Give either a role or capabilities.", field=("roleId",))
    role = None
    if wanted.role_id is not None:
        role = next((role for role in desk.table(Role) if role.id == wanted.role_id), None)
        if role is None or role.archived_at is not None:
            raise NotFound("role", field=("roleId",))
    _require_future(desk.now, wanted.expires_at)
    key = ApiKey(
        id=desk.mint.id(),
        prefix=secret.prefix,
        hash=secret.hash,
        name=wanted.name,
        role_id=wanted.role_id,
        capabilities=wanted.capabilities if role is None else None,
        expires_at=wanted.expires_at,
        replaces_id=None,
        created_by=actor,
        created_at=desk.now,
    )
    field = "capabilities" if role is None else "roleId"
    require_held(key.granted(_by_id(desk)), held, field=(field,))
    _keep(desk, AuditAction.CREATE_API_KEY, key, {}, _shown(desk, key), note, actor)
    return key


def rotate(  # noqa: PLR0917 — the same
    desk: Desk,
    key_id: UUID,
    secret: Secret,
    overlap_h: int,
    expires_at: datetime | None,
    held: frozenset[Capability],
    note: str,
    actor: Actor,
) -> ApiKey:
    """Replace a key by a new one; the old one stays good for the overlap. Returns the new one.

    Unless said otherwise, the new one is good for as long as the old one was at first. Raises `NotFound`,
    `ApiKeyNotActive`, `RightsExceeded`, `LimitReached` or `FieldInvalid`.
    """
    if not 0 <= overlap_h <= OVERLAP_MAX_H:
        raise FieldInvalid(f"Choose an overlap from 0 to {OVERLAP_MAX_H} hours.", field=("overlapHours",))
    old = _active(desk, key_id)
    keys = desk.table(ApiKey)
    if any(key.replaces_id == key_id and key.revoked_at is None for key in keys):
        raise ApiKeyNotActive
    _require_room([key for key in keys if key.is_active(desk.now)])
    # Whoever rotates a key holds the new secret, and with it all that the key may do.
    require_held(old.granted(_by_id(desk)), held, field=("apiKeyId",))
    _require_future(desk.now, expires_at)
    if expires_at is None and old.expires_at is not None:
        expires_at = desk.now + (old.expires_at - old.created_at)
    end = desk.now + timedelta(hours=overlap_h)
    ending = replace(old, expires_at=end if old.expires_at is None else min(end, old.expires_at))
    new = replace(
        old,
        id=desk.mint.id(),
        prefix=secret.prefix,
        hash=secret.hash,
        expires_at=expires_at,
        replaces_id=old.id,
        created_by=actor,
        created_at=desk.now,
        last_used_at=None,
    )
    desk.add(ending)
    _keep(desk, AuditAction.ROTATE_API_KEY, new, _shown(desk, ending), _shown(desk, new), note, actor)
    return new


def revoke(desk: Desk, key_id: UUID, note: str, actor: Actor) -> ApiKey:
    """End a key now. Whoever sees a leak may stop it, also of a key that can do more than they can.

    Raises `NotFound` or `ApiKeyNotActive`.
    """
    key = _active(desk, key_id)
    revoked = replace(key, revoked_at=desk.now)
    before, after = _shown(desk, key) | {"revoked": False}, _shown(desk, key) | {"revoked": True}
    _keep(desk, AuditAction.REVOKE_API_KEY, revoked, before, after, note, actor)
    return revoked


def _active(desk: Desk, key_id: UUID) -> ApiKey:
    key = next((key for key in desk.table(ApiKey) if key.id == key_id), None)
    if key is None:
        raise NotFound("API key", field=("apiKeyId",))
    if not key.is_active(desk.now):
        raise ApiKeyNotActive
    return key


def _require_room(active: Iterable[ApiKey]) -> None:
    if len(list(active)) >= ACTIVE_MAX:
        raise LimitReached(
            f"There are {ACTIVE_MAX} keys already. Choose some that nobody uses, and revoke them."
        )


def _require_future(now: datetime, expires_at: datetime | None) -> None:
    if expires_at is not None and expires_at <= now:
        raise FieldInvalid("The key would be over at once. Choose a later time.", field=("expiresAt",))


def _by_id(desk: Desk) -> dict[UUID, Role]:
    return {role.id: role for role in desk.table(Role)}


def _shown(desk: Desk, key: ApiKey) -> dict[str, Any]:
    role = None if key.role_id is None else _by_id(desk)[key.role_id].name
    return {
        "prefix": key.prefix,
        "role": role,
        "capabilities": None if key.capabilities is None else sorted(key.capabilities),
        "expiresAt": None if key.expires_at is None else key.expires_at.isoformat(),
    }


def _keep(  # noqa: PLR0917
    desk: Desk,
    action: AuditAction,
    key: ApiKey,
    before: dict[str, Any],
    after: dict[str, Any],
    note: str,
    actor: Actor,
) -> None:
    desk.add(key)
    data = changes(key.name, before, after) | {"prefix": key.prefix}
    desk.add(AuditEntry(desk.mint.id(), None, action, actor, note, desk.now, data))
