"""What comes in from the store: a *delivery* is one authentic message, kept before anything is done with it.

A delivery is worked on under a lease: whoever takes it counts one attempt and moves `next_attempt_at` behind the
time that the work may take. So a process that dies in the middle of it needs no tidying up: the delivery is due again.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from uuid import UUID, uuid5

BACKOFF_S = (10, 60, 300, 1800, 7200, 43_200)
"""Seconds from an attempt that failed to the next one."""

ATTEMPTS_MAX = len(BACKOFF_S) + 1
"""Attempts after which a delivery is dead."""

TOPIC_MAX = 100
EXTERNAL_ID_MAX = 128
SENTENCE_MAX = 500

_NAMESPACE = UUID("c3a7c1de-2f0b-5f5e-8d3a-64b0a4f3d7a2")
_TIMELESS = ("delete", "deleted", "restored")
"""How topics end whose messages tell no time, so that the second one is the same as the first, and yet news."""


class Door(StrEnum):
    """Which way a message came in."""

    WOOCOMMERCE = "woocommerce"
    """A webhook of WooCommerce."""
    SHOPIFY = "shopify"
    """A webhook of Shopify."""
    STANDARD = "standard"
    """A message in Coffer's own form, signed by Standard Webhooks."""


class DeliveryStatus(StrEnum):
    """How a delivery stands."""

    RECEIVED = "RECEIVED"
    """It is kept and will be worked on in a moment."""
    DONE = "DONE"
    """It was understood and everything that follows from it was done."""
    IGNORED = "IGNORED"
    """It was understood, and nothing follows from it."""
    FAILED = "FAILED"
    """It could not be worked on now; it is tried again by itself."""
    DEAD = "DEAD"
    """It is not tried again by itself: somebody has to look at it, and can replay it."""


WAITING = frozenset({DeliveryStatus.RECEIVED, DeliveryStatus.FAILED})
"""Deliveries that are worked on when their time comes; all others have no next attempt."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One authentic message, without its body, which lies beside it (`DeliveryBody`).

    `external_id` is the store's own id of the delivery. `repeats` counts how often the very same message came
    again, `repeated_at` says when it last did. `error` is a sentence for staff, `summary` what came of it; neither
    holds personal data. `order_id` is the order that it told of, if any.
    """

    id: UUID
    door: Door
    topic: str
    external_id: str | None
    content_hash: bytes
    size_bytes: int
    status: DeliveryStatus
    attempts: int
    repeats: int
    next_attempt_at: datetime | None
    error: str | None
    summary: str | None
    order_id: UUID | None
    received_at: datetime
    repeated_at: datetime | None
    done_at: datetime | None

    @property
    def told_at(self) -> datetime:
        """When the store said this last: the time of what happened, where the message tells none."""
        return self.repeated_at or self.received_at

    def repeated(self, now: datetime) -> "Delivery":
        """Return it after the same message came again.

        It is worked on again only where that can make a difference: what was done or is about to be done need not
        be done twice, unless the message says "deleted" or "restored" without saying when.
        """
        again = replace(self, repeats=self.repeats + 1, repeated_at=now)
        settled = self.status in {DeliveryStatus.DONE, DeliveryStatus.IGNORED}
        if self.status is DeliveryStatus.RECEIVED or (settled and not is_timeless(self.topic)):
            return again
        return again.replayed(now)

    def replayed(self, now: datetime) -> "Delivery":
        """Return it as if it had just come in."""
        return replace(
            self,
            status=DeliveryStatus.RECEIVED,
            attempts=0,
            next_attempt_at=now,
            error=None,
            summary=None,
            done_at=None,
        )

    def is_due(self, now: datetime) -> bool:
        """Whether it may be taken: it waits, and nobody has it."""
        return self.next_attempt_at is not None and self.next_attempt_at <= now

    def taken(self, now: datetime, lease: timedelta) -> "Delivery":
        """Return it as somebody takes it for so long; one whose attempts all came to no end is dead."""
        if self.attempts >= ATTEMPTS_MAX:
            return self.dead(
                "Working on it came to no end several times. See the server's log, then replay it.", now
            )
        return replace(self, attempts=self.attempts + 1, next_attempt_at=now + lease)

    def done(
        self, summary: str, now: datetime, *, order_id: UUID | None, ignored: bool = False
    ) -> "Delivery":
        """Return it after everything that follows from it was done; `ignored` when that was nothing."""
        return replace(
            self,
            status=DeliveryStatus.IGNORED if ignored else DeliveryStatus.DONE,
            next_attempt_at=None,
            error=None,
            summary=sentence(summary),
            order_id=order_id,
            done_at=now,
        )

    def failed(self, error: str, now: datetime, *, jitter: float, order_id: UUID | None = None) -> "Delivery":
        """Return it after an attempt that may go better another time; `jitter` is a factor on the wait."""
        if self.attempts >= ATTEMPTS_MAX:
            return self.dead(error, now, order_id=order_id)
        wait_s = BACKOFF_S[max(self.attempts, 1) - 1] * jitter
        return replace(
            self,
            status=DeliveryStatus.FAILED,
            next_attempt_at=now + timedelta(seconds=wait_s),
            error=sentence(error),
            order_id=order_id or self.order_id,
        )

    def dead(self, error: str, now: datetime, *, order_id: UUID | None = None) -> "Delivery":
        """Return it after an attempt that no other one would better."""
        return replace(
            self,
            status=DeliveryStatus.DEAD,
            next_attempt_at=None,
            error=sentence(error),
            order_id=order_id or self.order_id,
            done_at=now,
        )


@dataclass(frozen=True, slots=True)
class DeliveryBody:
    """The body of a delivery, exactly as it came."""

    id: UUID
    delivery_id: UUID
    body: bytes


def received(
    door: Door, topic: str, body: bytes, *, external_id: str | None, now: datetime
) -> tuple[Delivery, DeliveryBody]:
    """Return a message as it is kept when it first comes in."""
    topic = printable(topic, TOPIC_MAX)
    digest = sha256(body).digest()
    delivery = Delivery(
        id=delivery_id(door, topic, digest),
        door=door,
        topic=topic,
        external_id=printable(external_id or "", EXTERNAL_ID_MAX) or None,
        content_hash=digest,
        size_bytes=len(body),
        status=DeliveryStatus.RECEIVED,
        attempts=0,
        repeats=0,
        next_attempt_at=now,
        error=None,
        summary=None,
        order_id=None,
        received_at=now,
        repeated_at=None,
        done_at=None,
    )
    return delivery, DeliveryBody(uuid5(delivery.id, "body"), delivery.id, body)


def delivery_id(door: Door, topic: str, content_hash: bytes) -> UUID:
    """Return the id of a message, which follows from what it says: the same message has the same id."""
    return uuid5(_NAMESPACE, f"{door}\n{topic}\n{content_hash.hex()}")


def is_timeless(topic: str) -> bool:
    """Whether messages of this topic tell no time of their own."""
    return topic.lower().replace("/", ".").rpartition(".")[2] in _TIMELESS


def sentence(text: str) -> str:
    """Return a sentence as it is kept: one line, cut where it is too long."""
    return printable(text, SENTENCE_MAX)


def printable(text: str, length_max: int) -> str:
    """Return a text from outside without what can't be shown or stored, cut where it is too long."""
    kept = "".join(character if character.isprintable() else " " for character in text[: 2 * length_max])
    return kept.strip()[:length_max]


def replayable(statuses: Collection[DeliveryStatus] | None) -> tuple[DeliveryStatus, ...]:
    """Return which deliveries a replay by filter means when it names no status: those that went wrong."""
    return (DeliveryStatus.FAILED, DeliveryStatus.DEAD) if statuses is None else tuple(statuses)
