"""What all ways have in common by which processes tell each other of their commits."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Protocol, TypeAlias
from uuid import UUID

import orjson
import structlog

from app.live.hub import Hub, Listener
from app.live.reader import backoff_s, heed_cancellation

log = structlog.get_logger("coffer.live")

CONNECT_TIMEOUT_S = 10.0
KEEPALIVE_INTERVAL_S = 15.0
KEEPALIVE_TIMEOUT_S = 5.0

RECENT_S = 10.0
"""How far back the store-wide stream looks when something was written lately, and nobody said what."""

Tell: TypeAlias = Callable[[Sequence[str]], None]
"""Hands over notes that the writer has for other processes; at once, and it never raises."""


class Exchange(Listener, Protocol):
    """How this process hears of other processes' commits, and they of its own. Chosen by `app.services.live`."""

    @property
    def is_healthy(self) -> bool:
        """Whether notes pass."""

    @property
    def lag_s(self) -> float:
        """For how many seconds they have not passed; 0 while they do."""

    @property
    def is_vital(self) -> bool:
        """Whether a process that is deaf for long should be sent no requests."""

    @property
    def tell(self) -> Tell | None:
        """Where the writer's notes go after each commit; `None` where the database brings them with the commit."""


class Health:
    """Whether something works, and if not, since when."""

    def __init__(self, *, healthy: bool = False) -> None:
        self._healthy = healthy
        self._ill_since = monotonic()

    def set(self, *, healthy: bool) -> None:
        """Remember how it is now."""
        if self._healthy and not healthy:
            self._ill_since = monotonic()
        self._healthy = healthy

    @property
    def is_healthy(self) -> bool:
        """Whether it works."""
        return self._healthy

    @property
    def lag_s(self) -> float:
        """For how many seconds it has not worked; 0 while it does."""
        return 0.0 if self._healthy else monotonic() - self._ill_since


class Hearing:
    """Reads the notes of other writers, and hands on what they say.

    `process` is the name of this process's own writer, whose commits the hub knows already. `hear_rights` is called
    when another process changed who may do what, or may have done so unheard; `hear_version` for each wallet that
    one changed, with its id and its new version.
    """

    def __init__(
        self,
        hub: Hub,
        *,
        process: str,
        hear_rights: Callable[[], None],
        hear_version: Callable[[UUID, int], None],
    ) -> None:
        self._hub = hub
        self._process = process
        self._hear_rights = hear_rights
        self._hear_version = hear_version

    def hear(self, note: str | bytes) -> None:
        """Take in a note. It may be anything: whoever may connect may say something."""
        try:
            told = orjson.loads(note)
            if told["process"] == self._process:
                return
            if told.get("missed"):
                self.look()
            for text, sequence_before, sequence, version in told["wallets"]:
                wallet_id = UUID(text)
                self._hub.notice(wallet_id, sequence_before, sequence, version)
                self._hear_version(wallet_id, version)
            if told.get("rights"):
                self._hear_rights()
        except (ValueError, TypeError, KeyError, AttributeError):
            log.warning("a notification can't be read", payload=note[:200])
            self._hub.recheck()

    def look(self) -> None:
        """Have everything compared with the database: something may have been said unheard."""
        self._hub.recheck()
        self._hear_rights()


async def listen_for_ever(
    listen: Callable[[], Awaitable[None]],
    health: Health,
    errors: tuple[type[Exception], ...],
    *,
    deaf: Callable[[], None] = lambda: None,
) -> None:
    """Listen again whenever the connection is lost, which `errors` tell; before each new try, `deaf` is called."""
    attempt = 0
    while True:
        try:
            await listen()
        except errors as error:
            # A connection that had worked begins the count anew.
            attempt = 1 if health.is_healthy else attempt + 1
            log.warning(
                "the listener lost its connection", error=f"{type(error).__name__}({error})", attempt=attempt
            )
        finally:
            health.set(healthy=False)
        heed_cancellation()
        deaf()
        await asyncio.sleep(backoff_s(attempt))
