"""Who may do what at this moment, in this process: the roles and keys of the database, kept and kept fresh.

They are read again when this process changed them, when another one tells that it did, and in any case every few
seconds. Where that fails for a minute, nobody is let in: a right that was taken away must not outlive it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from time import monotonic
from typing import Any, Protocol, TypeVar
from uuid import UUID

import structlog
from tortoise.connection import get_connection
from tortoise.transactions import in_transaction

from app.auth import AuthenticationError, Failure, principal_now
from app.auth.api_key import prefix_of, proves
from app.db import READER, WRITER, Dialect
from app.domain.access import Identity, Principal
from app.domain.rights import Rights
from app.services.ledger.records import read_api_key, read_role

log = structlog.get_logger("coffer.access")

T = TypeVar("T")

INTERVAL_S: dict[Dialect, float] = {"postgres": 10.0, "sqlite": 2.0}
"""How often they are read though nobody told of a change. SQLite tells nobody, and a read costs microseconds."""

AGE_MAX_S = 45.0
"""How old they may be when they can't be read; with the rest of the way, a change takes effect within a minute."""

UNKNOWN_KEY_INTERVAL_S = 1.0
"""An unknown key may be brand new, so it is worth one look; a flood of them is worth one a second."""

FAILED_INTERVAL_S = 1.0
"""How long a read that failed is not tried again on behalf of a request."""

USED_INTERVAL_S = 60.0
"""How often it is written down when keys were last used."""

Verdict = Callable[[], Exception | None]


class Watcher(Protocol):
    """Something that goes on for as long as a caller has a right."""

    def look(self) -> None:
        """Look whether the right is still there: it may not be any more."""


class _Watch:
    """Something that is awaited for as long as the verdict finds no error."""

    __slots__ = ("_verdict", "error", "scope")

    def __init__(self, verdict: Verdict) -> None:
        self._verdict = verdict
        self.error: Exception | None = None
        # Of asyncio's own making, so that it tells its cancellation from everybody else's.
        self.scope = asyncio.timeout(None)

    def look(self) -> None:
        if self.error is None and (error := self._verdict()) is not None:
            self.error = error
            self.scope.reschedule(asyncio.get_running_loop().time())


class Directory:
    """One per process. Use `async with directory.running()` in the server's lifespan, once the database is open."""

    def __init__(self, database: Dialect, *, clock: Callable[[], datetime]) -> None:
        self._interval_s = INTERVAL_S[database]
        self._clock = clock
        self._rights = Rights(())
        self._signature: object = None
        self._loaded_at = float("-inf")
        # Counted, not flagged: what changes during a read asks for another one.
        self._changes = 1
        self._changes_loaded = 0
        self._failed_at = float("-inf")
        self._looked_at = float("-inf")
        self._loading = asyncio.Lock()
        self._wake = asyncio.Event()
        self._stopping = False
        self._watches: set[Watcher] = set()
        self._used: dict[UUID, datetime] = {}

    @property
    def rights(self) -> Rights:
        """The roles and keys as they were last read."""
        return self._rights

    def invalidate(self) -> None:
        """Have them read again: something changed, or may have."""
        self._changes += 1
        self._wake.set()

    def is_fresh(self) -> bool:
        """Tell whether `fresh` has nothing to do."""
        return self._changes_loaded == self._changes and self._age_s() <= self._interval_s * 2

    async def fresh(self) -> Rights:
        """Return roles and keys that hold every change this process knows of, or raise `AuthenticationError`."""
        if not self.is_fresh():
            await self._try_to_load()
        if self._age_s() > AGE_MAX_S:
            raise _unavailable()
        return self._rights

    def current(self, principal: Principal) -> Principal:
        """Return the caller with the rights of this moment; raise `AuthenticationError` if it is nobody any more.

        Called for each operation and each event, so it costs nothing while nothing changed.
        """
        if principal.identity is None:
            return principal
        # For thousands of readers of one event: without a call within a call.
        if monotonic() - self._loaded_at > AGE_MAX_S:
            raise _unavailable()
        if principal.revision == self._rights.revision:
            return principal
        return principal_now(principal.identity, self._rights, self._clock())

    # --- API keys -------------------------------------------------------------------------------------------

    def known_key(self, text: str) -> Identity | None:
        """Return whose an API key is; None where only `prove_key` can tell, or say why it is nobody's."""
        prefix = prefix_of(text)
        key = None if prefix is None else self._rights.keys_by_prefix.get(prefix)
        if key is None or not proves(text, key.hash):
            return None
        self._used[key.id] = self._clock()
        return Identity(subject=key.name, api_key_id=key.id)

    async def prove_key(self, text: str) -> Identity:
        """Return whose an API key is, or raise `AuthenticationError`."""
        prefix = prefix_of(text)
        if prefix is not None and prefix not in self._rights.keys_by_prefix:
            if monotonic() - self._looked_at > UNKNOWN_KEY_INTERVAL_S:
                self._looked_at = monotonic()
                self.invalidate()
            await self.fresh()
        found = self.known_key(text)
        if found is None:
            if prefix not in self._rights.keys_by_prefix:
                # Whoever guesses prefixes learns nothing by the time that it takes.
                proves(text, None)
            raise AuthenticationError(
                Failure.INVALID_API_KEY,
                "There is no such API key: compare it with the one that was shown when it was created.",
            )
        return found

    async def write_down_use(self) -> None:
        """Write when keys were last used: beside the requests, not in them, and past the ledger's writer."""
        used, self._used = self._used, {}
        if not used:
            return
        async with in_transaction(WRITER) as db:
            sql = _USED_SQLITE if db.capabilities.dialect == "sqlite" else _USED_POSTGRES
            for key_id, moment in sorted(used.items()):
                values: list[Any] = [moment, key_id]
                if db.capabilities.dialect == "sqlite":
                    values = [moment.isoformat(" "), str(key_id)]
                await db.execute_query(sql, values)

    # --- what is open ---------------------------------------------------------------------------------------

    async def while_allowed(self, awaited: Callable[[], Awaitable[T]], verdict: Verdict) -> T:
        """Await something for as long as the verdict finds no error; then end it and raise that error."""
        watch = _Watch(verdict)
        try:
            async with watch.scope:
                self._watches.add(watch)
                try:
                    return await awaited()
                finally:
                    self._watches.discard(watch)
        except TimeoutError:
            if watch.error is None:
                raise
            raise watch.error from None

    def watch(self, watcher: Watcher) -> None:
        """Have it look whenever rights changed, or can't be believed any more."""
        self._watches.add(watcher)

    def unwatch(self, watcher: Watcher) -> None:
        """Leave it alone."""
        self._watches.discard(watcher)

    def _look_at_watches(self) -> None:
        for watch in self._watches:
            try:
                watch.look()
            except Exception:
                # One of thousands; the others' rights are looked at all the same.
                log.exception("looking at the right of a stream failed")

    # --- reading --------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Directory"]:
        """Keep the rights fresh until the end of the block."""
        await self._load_once(self._changes)
        self._stopping = False
        task = asyncio.create_task(self._run(), name="access")
        try:
            yield self
        finally:
            # Told and not cancelled: it may be in a transaction.
            self._stopping = True
            self._wake.set()
            await task
            await self._write_down_use_at_last()

    async def _run(self) -> None:
        written_at = monotonic()
        while not self._stopping:
            await self._awake()
            try:
                await self._load_once(self._changes, also_if_fresh=True)
                if monotonic() - written_at >= USED_INTERVAL_S:
                    written_at = monotonic()
                    await self.write_down_use()
            except Exception as error:  # noqa: BLE001 — whatever it is, the next round may work
                log.warning("rights can't be read", error=repr(error))
            if self._age_s() > AGE_MAX_S:
                # What is open ends. As long as they are believed, a change is looked at where it is read.
                self._look_at_watches()

    async def _write_down_use_at_last(self) -> None:
        try:
            await self.write_down_use()
        except Exception as error:  # noqa: BLE001 — the server stops, and this is worth little
            log.warning("the last use of keys can't be written down", error=repr(error))

    async def _awake(self) -> None:
        try:
            async with asyncio.timeout(self._interval_s):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _try_to_load(self) -> None:
        # While the database is away, one caller a second finds that out, and the others go by what is known.
        if monotonic() - self._failed_at < FAILED_INTERVAL_S:
            return
        try:
            await self._load_once(self._changes)
        except Exception as error:  # noqa: BLE001 — `fresh` decides by their age whether the last ones still count
            self._failed_at = monotonic()
            log.warning("rights can't be read", error=repr(error), age_s=round(min(self._age_s(), 1e6)))

    async def _load_once(self, changes: int, *, also_if_fresh: bool = False) -> None:
        """Read, unless somebody else has meanwhile read all changes that this caller knows of."""
        async with self._loading:
            if not also_if_fresh and self._changes_loaded >= changes and self._age_s() <= self._interval_s:
                return
            seen, started = self._changes, monotonic()
            db = get_connection(READER)
            _, roles = await db.execute_query("SELECT * FROM roles ORDER BY id", [])
            _, keys = await db.execute_query("SELECT * FROM api_keys ORDER BY id", [])
            self._take(Rights(map(read_role, roles), map(read_api_key, keys)))
            self._changes_loaded, self._loaded_at = seen, started

    def _take(self, rights: Rights) -> None:
        # A key that ran out is a change too, though no row of it changed.
        now = self._clock()
        signature = (
            tuple(rights.roles.values()),
            tuple((key.id, key.expires_at, key.is_active(now)) for key in rights.keys.values()),
        )
        if signature != self._signature:
            self._signature = signature
            rights.revision = self._rights.revision + 1
            self._rights = rights
            self._look_at_watches()

    def _age_s(self) -> float:
        return monotonic() - self._loaded_at


def _unavailable() -> AuthenticationError:
    return AuthenticationError(
        Failure.RIGHTS_UNAVAILABLE,
        "What callers may do can't be read at the moment, so nobody is let in: try again soon.",
    )


_USED_POSTGRES = (
    "UPDATE api_keys SET last_used_at = $1 WHERE id = $2 AND (last_used_at IS NULL OR last_used_at < $1)"
)
_USED_SQLITE = (
    "UPDATE api_keys SET last_used_at = ?1 WHERE id = ?2 AND (last_used_at IS NULL OR last_used_at < ?1)"
)
