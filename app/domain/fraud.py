"""What looks odd: signals that the rules against fraud, and people, look at. A signal refuses nothing."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from app.domain.access import Actor


class SignalKind(StrEnum):
    """What was noticed."""

    RAPID_BALANCE_CHECKS = "RAPID_BALANCE_CHECKS"
    """A caller asked for balances far more often than a person looks."""
    SHARED_PAYOUT_METHOD = "SHARED_PAYOUT_METHOD"
    """Several customers are paid out to the same place; counted are their wallets."""


@dataclass(frozen=True, slots=True)
class Signal:
    """Something that was noticed of a caller: how often, within which time, and which wallet last."""

    id: UUID
    kind: SignalKind
    actor: Actor
    wallet_id: UUID | None
    count: int
    window_s: int
    created_at: datetime


_SLOTS = 12
"""Parts of a window: what leaves it leaves a part at a time, so that its memory doesn't grow with what it counts."""


class SlidingWindow:
    """Counts what happened lately, to within a twelfth of its span."""

    __slots__ = ("_most", "_slots", "_span", "_told_at")

    def __init__(self, span: timedelta, most: int) -> None:
        self._span = span
        self._most = most
        self._slots: deque[tuple[datetime, int]] = deque()
        self._told_at: datetime | None = None

    def note(self, now: datetime) -> int | None:
        """Count one more. The answer is the number within the span when it is too high, once in each span."""
        slots = self._slots
        while slots and slots[0][0] <= now - self._span:
            slots.popleft()
        if slots and now < slots[-1][0] + self._span / _SLOTS:
            began_at, number = slots.pop()
            slots.append((began_at, number + 1))
        else:
            slots.append((now, 1))
        count = sum(number for _, number in slots)
        if count <= self._most or (self._told_at is not None and now < self._told_at + self._span):
            return None
        self._told_at = now
        return count
