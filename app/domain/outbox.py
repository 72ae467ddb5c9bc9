"""What leaves the program: a *message* is one thing to be sent to one receiver, kept until it was delivered.

A message is sent under a lease: whoever takes it counts one attempt and moves `next_attempt_at` behind the time that
sending may take. So a process that dies in the middle of it needs no tidying up: the message is due again. It may so be
sent twice; its id stays the same, and receivers tell repeats by it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid5

from app.domain.delivery import printable, sentence

_NAMESPACE = UUID("5f0a9a3e-8d0c-5d1b-9b57-1c2f6f1a6a90")

ANSWER_MAX = 1_000
"""Characters that are kept of what a receiver answered."""

TARGET_MAX = 128
TOPIC_MAX = 100

WAIT_MAX_S = 86_400.0
"""The longest wait that a receiver may ask for."""


class Channel(StrEnum):
    """Which way a message goes out."""

    WEBHOOK = "WEBHOOK"
    """To an endpoint of the store or of another program, signed."""
    EMAIL = "EMAIL"
    """To a person, by e-mail."""
    PAYOUT = "PAYOUT"
    """To a provider who pays customers out."""
    NOTICE = "NOTICE"
    """To those who run the store."""


BACKOFF_S: Mapping[Channel, tuple[int, ...]] = {
    Channel.WEBHOOK: (5, 300, 1_800, 7_200, 18_000, 36_000, 36_000),
    Channel.EMAIL: (30, 300, 1_800, 7_200, 18_000, 36_000),
    # Banks take days: asked ever more rarely, for two weeks.
    Channel.PAYOUT: (60, 120, 300, 900, 1_800, *[3_600] * 24, *[14_400] * 78),
    Channel.NOTICE: (30, 300, 1_800, 7_200, 18_000),
}
"""Seconds from an attempt that failed to the next one; after the last of them a message is dead."""


class MessageStatus(StrEnum):
    """How a message stands."""

    WAITING = "WAITING"
    """It is to be sent: for the first time, or once more."""
    DELIVERED = "DELIVERED"
    """Its receiver took it."""
    DEAD = "DEAD"
    """It is not tried again by itself: somebody has to look at it, and can replay it."""
    CANCELLED = "CANCELLED"
    """It was not sent, because nobody wants it any more."""


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """One thing to be sent to one receiver; it has a next attempt exactly while it waits.

    `target` is the receiver in the channel's own words, such as an endpoint's id. `topic` says what it is about, `body`
    (JSON) is what the channel makes the message of. `event_id` is the event that it tells of, if it tells of one.
    `error` is a sentence for staff, `status_code` what the receiver answered last. No personal data, no secrets.
    """

    id: UUID
    event_id: UUID | None
    channel: Channel
    target: str
    topic: str
    body: dict[str, Any]
    status: MessageStatus
    attempts: int
    next_attempt_at: datetime | None
    error: str | None
    status_code: int | None
    created_at: datetime
    done_at: datetime | None = None

    @property
    def attempts_max(self) -> int:
        """Attempts after which it is dead."""
        return len(BACKOFF_S[self.channel]) + 1

    def is_due(self, now: datetime) -> bool:
        """Whether it may be taken: it waits, and nobody has it."""
        return self.next_attempt_at is not None and self.next_attempt_at <= now

    def taken(self, now: datetime, lease: timedelta) -> "OutboxMessage":
        """Return it as somebody takes it for so long; one whose attempts all came to no end is dead."""
        if self.attempts >= self.attempts_max:
            return self.dead(
                "Sending it came to no end several times. See the server's log, then replay it.", now
            )
        return replace(self, attempts=self.attempts + 1, next_attempt_at=now + lease)

    def delivered(self, now: datetime, *, status_code: int | None = None) -> "OutboxMessage":
        """Return it once its receiver took it."""
        return replace(
            self,
            status=MessageStatus.DELIVERED,
            next_attempt_at=None,
            error=None,
            status_code=status_code,
            done_at=now,
        )

    def failed(
        self,
        error: str,
        now: datetime,
        *,
        jitter: float,
        status_code: int | None = None,
        wait_s: float = 0.0,
    ) -> "OutboxMessage":
        """Return it after an attempt that may go better another time.

        `jitter` is a factor on the wait; `wait_s` is what the receiver asked for, which lengthens it.
        """
        backoff_s = BACKOFF_S[self.channel]
        if self.attempts > len(backoff_s):
            return self.dead(error, now, status_code=status_code)
        after_s = max(backoff_s[max(self.attempts, 1) - 1] * jitter, min(wait_s, WAIT_MAX_S))
        return replace(
            self,
            status=MessageStatus.WAITING,
            next_attempt_at=now + timedelta(seconds=after_s),
            error=sentence(error),
            status_code=status_code,
        )

    def dead(self, error: str, now: datetime, *, status_code: int | None = None) -> "OutboxMessage":
        """Return it after an attempt that no other one would better."""
        return replace(
            self,
            status=MessageStatus.DEAD,
            next_attempt_at=None,
            error=sentence(error),
            status_code=status_code,
            done_at=now,
        )

    def cancelled(self, why: str, now: datetime) -> "OutboxMessage":
        """Return it once nobody wants it any more."""
        return replace(
            self, status=MessageStatus.CANCELLED, next_attempt_at=None, error=sentence(why), done_at=now
        )

    def replayed(self, now: datetime) -> "OutboxMessage":
        """Return it as if it had just been written; its id stays, so its receiver knows it again."""
        return replace(
            self,
            status=MessageStatus.WAITING,
            attempts=0,
            next_attempt_at=now,
            error=None,
            status_code=None,
            done_at=None,
        )


@dataclass(frozen=True, slots=True)
class OutboxAttempt:
    """One attempt to send a message: when, how long it took, and what came back."""

    id: UUID
    message_id: UUID
    number: int
    started_at: datetime
    duration_ms: int
    status_code: int | None
    error: str | None
    answer: str | None


class Verdict(StrEnum):
    """How an attempt to send ended."""

    DELIVERED = "DELIVERED"
    """The receiver took it."""
    PENDING = "PENDING"
    """The receiver took it, and says what became of it only when it is asked again."""
    FAILED = "FAILED"
    """It may go better another time."""
    REFUSED = "REFUSED"
    """No other attempt would go better."""
    UNWANTED = "UNWANTED"
    """Nobody wants it any more."""


@dataclass(frozen=True, slots=True)
class SendOutcome:
    """What came of an attempt. `error` is a sentence for staff; `wait_s` is how long the receiver asks to be left alone."""

    verdict: Verdict
    error: str = ""
    status_code: int | None = None
    answer: str | None = None
    wait_s: float = 0.0

    def applied(self, message: OutboxMessage, now: datetime, *, jitter: float) -> OutboxMessage:
        """Return the message after this attempt."""
        if self.verdict is Verdict.DELIVERED:
            return message.delivered(now, status_code=self.status_code)
        if self.verdict is Verdict.REFUSED:
            return message.dead(self.error, now, status_code=self.status_code)
        if self.verdict is Verdict.UNWANTED:
            return message.cancelled(self.error, now)
        return message.failed(
            self.error, now, jitter=jitter, status_code=self.status_code, wait_s=self.wait_s
        )

    def attempt(self, message: OutboxMessage, started_at: datetime, duration_s: float) -> OutboxAttempt:
        """Return what is kept of this attempt; the same attempt, written down twice, is the same row."""
        return OutboxAttempt(
            id=uuid5(message.id, f"{started_at.isoformat()}\n{message.attempts}"),
            message_id=message.id,
            number=message.attempts,
            started_at=started_at,
            duration_ms=round(duration_s * 1000),
            status_code=self.status_code,
            error=sentence(self.error) or None,
            answer=None if self.answer is None else printable(self.answer, ANSWER_MAX),
        )


def message_id(source: UUID | str, channel: Channel, target: str) -> UUID:
    """Return the id of a message, which follows from what it tells of and to whom: so it is written once."""
    return uuid5(_NAMESPACE, f"{source}\n{channel}\n{target}")


def message(
    source: UUID | str,
    channel: Channel,
    target: str,
    topic: str,
    body: dict[str, Any],
    *,
    now: datetime,
    event_id: UUID | None = None,
) -> OutboxMessage:
    """Return a new message, due at once.

    `source` is what it tells of, such as an event's id, or a word that says what it does, once: the same source, channel
    and target are the same message. A command may add one to its own rows, and then it leaves with what the command did.
    """
    if len(target) > TARGET_MAX or len(topic) > TOPIC_MAX:
        raise AssertionError(f"a target has {TARGET_MAX} characters at most, a topic {TOPIC_MAX}")
    return OutboxMessage(
        id=message_id(source, channel, target),
        event_id=event_id,
        channel=channel,
        target=target,
        topic=topic,
        body=body,
        status=MessageStatus.WAITING,
        attempts=0,
        next_attempt_at=now,
        error=None,
        status_code=None,
        created_at=now,
    )
