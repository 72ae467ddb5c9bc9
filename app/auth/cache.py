"""Tokens that were verified a moment ago, so that not every request pays for a signature."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.access import Identity, Principal
from app.domain.rights import Rights


@dataclass(slots=True)
class _Entry:
    identity: Identity
    stored_at: datetime
    until: datetime
    rights: Rights | None = None
    """Those that `principal` was worked out from."""
    principal: Principal | None = None


class VerifiedTokens:
    """A bounded memory of verified tokens, the least recently used forgotten first.

    It keeps what the token proved and not what its bearer may do, which can change meanwhile. It keeps digests, so that a dump of the memory holds no credential, and only of genuine tokens, so that a
    flood of forged ones cannot push anything out.
    """

    def __init__(self, *, entries_max: int, ttl_s: int) -> None:
        self._entries_max = entries_max
        self._ttl = timedelta(seconds=ttl_s)
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, token: str, now: datetime) -> Identity | None:
        """Return whom the token proved, if that is still known and still true."""
        entry = self._entry(token, now)
        return None if entry is None else entry.identity

    def principal(self, token: str, rights: Rights, now: datetime) -> Principal | None:
        """Return who that is with these rights, worked out once; may raise what `Rights.principal` raises."""
        entry = self._entry(token, now)
        if entry is None:
            return None
        if entry.rights is not rights:
            entry.principal, entry.rights = rights.principal(entry.identity, now), rights
        return entry.principal

    def _entry(self, token: str, now: datetime) -> _Entry | None:
        digest = _digest(token)
        entry = self._entries.get(digest)
        if entry is None:
            return None
        # A clock that was set back puts the entry into the future: then nothing is known about it.
        if not entry.stored_at <= now < entry.until:
            del self._entries[digest]
            return None
        self._entries.move_to_end(digest)
        return entry

    def put(self, token: str, identity: Identity, *, now: datetime, expires_at: datetime) -> None:
        """Remember the token until it expires or the time to live is over, whichever is first."""
        until = min(expires_at, now + self._ttl)
        if until <= now or self._entries_max == 0:
            return
        self._forget_expired(now)
        digest = _digest(token)
        self._entries[digest] = _Entry(identity, now, until)
        self._entries.move_to_end(digest)
        while len(self._entries) > self._entries_max:
            self._entries.popitem(last=False)

    def _forget_expired(self, now: datetime) -> None:
        """Forget those at the head of the line whose time is up: nobody may come again to find them expired."""
        while self._entries and next(iter(self._entries.values())).until <= now:
            self._entries.popitem(last=False)


def _digest(token: str) -> bytes:
    # A token from a JSON payload may hold half of a surrogate pair; it is refused later, and must not raise here.
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
