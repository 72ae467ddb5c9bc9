"""What callers may do: the roles and keys of one moment, and principals worked out from them."""

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from app.domain.access import CUSTOMER, ROLES, SERVICE, Capability, Identity, Principal, PrincipalKind
from app.domain.api_key import ApiKey
from app.domain.role import Role

KNOWN_WORDS_MAX = 1_000
"""Combinations of words that are remembered with what they come to."""


class End(StrEnum):
    """Why what a credential proved is worth nothing any more."""

    REVOKED = "REVOKED"
    """The key was revoked."""
    EXPIRED = "EXPIRED"
    """The key has expired, perhaps because it was rotated."""
    NOT_ACCEPTED = "NOT_ACCEPTED"
    """The issuer vouches for staff only, and none of the words is a role."""


class Ended(Exception):
    """A genuine credential that gives no rights now."""

    def __init__(self, reason: End) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Rights:
    """All roles and keys as they were at one moment; it never changes."""

    def __init__(self, roles: Iterable[Role], keys: Iterable[ApiKey] = (), *, revision: int = 0) -> None:
        self.revision = revision
        self.roles = {role.id: role for role in roles}
        self.keys = {key.id: key for key in keys}
        self.keys_by_prefix = {key.prefix: key for key in self.keys.values()}
        self._known_words: dict[
            tuple[str, ...], tuple[PrincipalKind, tuple[str, ...], frozenset[Capability]]
        ] = {}
        self._by_word: dict[str, list[Role]] = {}
        for role in self.roles.values():
            if role.archived_at is None:
                for word in (role.name, *role.maps_from):
                    self._by_word.setdefault(word, []).append(role)

    @property
    def names(self) -> frozenset[str]:
        """The names of the roles that are in use."""
        return frozenset(role.name for role in self.roles.values() if role.archived_at is None)

    def principal(self, identity: Identity, now: datetime) -> Principal:
        """Work out who may do what by a credential; raise `Ended` when it gives no rights any more."""
        if identity.api_key_id is not None:
            return self._of_key(identity, identity.api_key_id, now)
        kind, roles, capabilities = self._of_words(identity.words)
        if kind is PrincipalKind.CUSTOMER and not identity.vouched_as_customer:
            raise Ended(End.NOT_ACCEPTED)
        return Principal(
            kind=kind,
            subject=identity.subject,
            roles=roles,
            capabilities=capabilities,
            expires_at=identity.expires_at,
            customer_external_id=identity.customer_external_id,
            identity=identity,
            revision=self.revision,
        )

    def _of_words(
        self, words: tuple[str, ...]
    ) -> tuple[PrincipalKind, tuple[str, ...], frozenset[Capability]]:
        """Return what roles' names, and words that map to roles, come to; few callers have words of their own."""
        known = self._known_words.get(words)
        if known is None:
            found = {role.name: role for word in words for role in self._by_word.get(word, ())}
            granted = frozenset[Capability]().union(*(role.granted for role in found.values()))
            known = (_kind(frozenset(found)), tuple(found), granted)
            if len(self._known_words) < KNOWN_WORDS_MAX:
                self._known_words[words] = known
        return known

    def _of_key(self, identity: Identity, key_id: UUID, now: datetime) -> Principal:
        key = self.keys.get(key_id)
        if key is None or key.revoked_at is not None:
            raise Ended(End.REVOKED)
        if not key.is_active(now):
            raise Ended(End.EXPIRED)
        role = None if key.role_id is None else self.roles.get(key.role_id)
        return Principal(
            kind=PrincipalKind.SERVICE,
            subject=key.name,
            roles=() if role is None or role.archived_at else (role.name,),
            capabilities=key.granted(self.roles),
            expires_at=key.expires_at,
            identity=identity,
            revision=self.revision,
        )

    def held_by(self, principal: Principal, now: datetime) -> frozenset[Capability]:
        """Return what a caller may do now, whatever they could when their request came in."""
        if principal.identity is None:
            return principal.capabilities
        try:
            return self.principal(principal.identity, now).capabilities
        except Ended:
            return frozenset()


def _kind(roles: frozenset[str]) -> PrincipalKind:
    staff = roles - {CUSTOMER}
    if not staff:
        return PrincipalKind.CUSTOMER
    return PrincipalKind.SERVICE if staff == {SERVICE} else PrincipalKind.STAFF


def _preset_roles() -> Iterable[Role]:
    begin = datetime.min.replace(tzinfo=UTC)
    for number, (name, capabilities) in enumerate(ROLES.items(), 1):
        yield Role(UUID(int=number), name, "", capabilities, (), None, begin, begin)


PRESET_RIGHTS = Rights(_preset_roles())
"""The rights of a store that changed nothing; for tests and tools that have no database."""
