"""Who is told of what happens, by signed messages: endpoints, what each wants to hear, and its secrets."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from app.domain.access import Actor, Capability

ENDPOINTS_MAX = 50
"""Endpoints that a store has at most: each of them is asked at every event."""

PATTERNS_MAX = 50
URL_MAX = 500
DESCRIPTION_MAX = 200
EVERYTHING = "*"

OVERLAP_DEFAULT_H = 24
"""How long messages are signed with a rotated secret too, unless somebody says otherwise."""

OVERLAP_MAX_H = 24 * 7
"""How long at most."""


class EndpointStatus(StrEnum):
    """Whether an endpoint is told anything."""

    ENABLED = "ENABLED"
    """It is told of what it listens to."""
    DISABLED = "DISABLED"
    """It is told of nothing; what happens meanwhile is not told later."""


class DisabledBy(StrEnum):
    """What switched an endpoint off."""

    REQUEST = "REQUEST"
    """Somebody did."""
    GONE = "GONE"
    """It answered 410: it wants nothing any more."""


@dataclass(frozen=True, slots=True)
class EndpointSecret:
    """A secret as it is kept: sealed with the server's key. `expires_at` is when a rotated one ends."""

    sealed: str
    created_at: datetime
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """Where messages go, and which.

    `events` are names of events, or their beginnings with a star (`payment.*`), or the star alone. `capabilities` are
    those of whoever set it up: it hears of nothing that they may not see. `failing_since` is when messages began to fail,
    none of which has succeeded since.
    """

    id: UUID
    url: str
    description: str
    events: tuple[str, ...]
    status: EndpointStatus
    disabled_by: DisabledBy | None
    capabilities: frozenset[Capability]
    secrets: tuple[EndpointSecret, ...] = field(repr=False)
    created_by: Actor
    created_at: datetime
    updated_at: datetime
    failing_since: datetime | None = None

    @property
    def is_enabled(self) -> bool:
        """Whether it is told anything."""
        return self.status is EndpointStatus.ENABLED

    def hears(self, event_type: str, needs: Capability | None) -> bool:
        """Tell whether it is told of an event that needs this capability."""
        allowed = needs is None or needs in self.capabilities
        return self.is_enabled and allowed and listens(self.events, event_type)

    def signing(self, now: datetime) -> tuple[EndpointSecret, ...]:
        """Return the secrets that messages are signed with now, the newest first."""
        return tuple(
            secret for secret in self.secrets if secret.expires_at is None or now < secret.expires_at
        )

    def rotated(self, sealed: str, now: datetime, overlap: timedelta) -> "WebhookEndpoint":
        """Return it with a new secret, beside which the old one counts for so long."""
        ends_at = now + overlap
        old = tuple(
            replace(secret, expires_at=min(secret.expires_at or ends_at, ends_at))
            for secret in self.signing(now)
        )
        kept = tuple(secret for secret in old if secret.expires_at is None or secret.expires_at > now)
        return replace(self, secrets=(EndpointSecret(sealed, now), *kept), updated_at=now)

    def failing(self, since: datetime | None) -> "WebhookEndpoint":
        """Return it once it is known since when messages fail; `None` when one has arrived."""
        return replace(self, failing_since=since)

    def enabled(self, now: datetime) -> "WebhookEndpoint":
        """Return it switched on."""
        return replace(
            self, status=EndpointStatus.ENABLED, disabled_by=None, failing_since=None, updated_at=now
        )

    def disabled(self, by: DisabledBy, now: datetime) -> "WebhookEndpoint":
        """Return it switched off."""
        return replace(self, status=EndpointStatus.DISABLED, disabled_by=by, updated_at=now)


def listens(patterns: Iterable[str], event_type: str) -> bool:
    """Tell whether one of the patterns means this event."""
    return any(
        pattern in {event_type, EVERYTHING}
        or (pattern.endswith(".*") and event_type.startswith(pattern[:-1]))
        for pattern in patterns
    )
