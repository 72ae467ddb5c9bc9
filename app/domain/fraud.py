"""What looks odd: signals that the rules against fraud, and people, look at. A signal refuses nothing."""

import math
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from app.domain.access import Actor, ActorKind


class SignalKind(StrEnum):
    """What was noticed."""

    RAPID_BALANCE_CHECKS = "RAPID_BALANCE_CHECKS"
    """A caller asked for balances far more often than a person looks."""
    GIFT_CARD_GUESSING = "GIFT_CARD_GUESSING"
    """Somebody sent more codes of gift cards that there are not than a person mistypes."""
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

    __slots__ = ("_count", "_most", "_slot", "_slots", "_span", "_told_at")

    def __init__(self, span: timedelta, most: int) -> None:
        self._span = span
        self._slot = span / _SLOTS
        self._most = most
        self._slots: deque[tuple[datetime, int]] = deque()
        self._count = 0
        """The sum of the slots."""
        self._told_at: datetime | None = None

    def note(self, now: datetime) -> int | None:
        """Count one more. The answer is the number within the span when it is too high, once in each span."""
        slots = self._slots
        gone = now - self._span
        while slots and slots[0][0] <= gone:
            self._count -= slots.popleft()[1]
        if slots and now < slots[-1][0] + self._slot:
            began_at, number = slots.pop()
            slots.append((began_at, number + 1))
        else:
            slots.append((now, 1))
        self._count += 1
        if self._count <= self._most or (self._told_at is not None and now < self._told_at + self._span):
            return None
        self._told_at = now
        return self._count


# --- guessing -----------------------------------------------------------------------------------------------

GUESS_WINDOW = timedelta(hours=1)
"""The time in which a limit of guesses is regained, and within which guesses are counted."""

TYPO_COST = 0.2
"""What a code costs whose check character is wrong: people mistype, and it tells a guesser nothing."""

ADDRESS_FACTOR, PROGRAM_FACTOR, STORE_FACTOR = 5, 50, 100
"""How many times a caller's limit an address, a program of the store, and all callers together have."""

_PLACES_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Guesser:
    """Who sends a secret that may be a guess: `actor` is none for who is not signed in.

    A `trusted` caller (the store's own) is not held up by what strangers do to the store's limit.
    """

    actor: Actor | None
    address: str | None
    trusted: bool = False


class _Place:
    """What is left of one limit, and what was noticed there."""

    __slots__ = ("left", "seen_at", "window")

    def __init__(self, most: int, now: datetime) -> None:
        self.left = float(most)
        self.seen_at = now
        self.window = SlidingWindow(GUESS_WINDOW, most - 1)


@dataclass(frozen=True, slots=True)
class Noticed:
    """Somebody who guesses: how often within the window."""

    actor: Actor
    count: int


class GuessLimits:
    """How many wrong secrets may come from one caller, one address, and altogether.

    A guess is paid for before it is looked up, so that a thousand at the same moment are not let through, and what was
    right is paid back. Memory is bounded: the place that was used longest ago is forgotten.
    """

    def __init__(self, most: int, *, places_max: int = _PLACES_MAX) -> None:
        self._most = most
        self._places_max = places_max
        self._places: OrderedDict[Actor, _Place] = OrderedDict()
        self.noticed: dict[Actor, Noticed] = {}

    def pay(self, who: Guesser, now: datetime) -> int:
        """Pay for one guess; where that can't be done, return for how many seconds to wait."""
        found = [(actor, most, self._place(actor, most, now)) for actor, most in self._limits(who)]
        waits_s = [
            math.ceil((1 - place.left) * GUESS_WINDOW.total_seconds() / most)
            for _, most, place in found
            if place.left < 1
        ]
        if waits_s:
            self._notice(who, now)
            return max(1, *waits_s)
        for _, _, place in found:
            place.left -= 1
        return 0

    def settle(self, who: Guesser, cost: float, now: datetime) -> None:
        """Pay back what a guess did not cost, and count it if it was wrong."""
        for actor, most in self._limits(who):
            place = self._place(actor, most, now)
            place.left = min(float(most), place.left + 1 - cost)
        if cost >= 1:
            self._notice(who, now)

    def _notice(self, who: Guesser, now: datetime) -> None:
        for actor, most in self._limits(who):
            count = self._place(actor, most, now).window.note(now)
            if count is not None:
                self.noticed[actor] = Noticed(actor, count)

    def _limits(self, who: Guesser) -> Iterator[tuple[Actor, int]]:
        if who.actor is not None:
            is_program = who.trusted and who.actor.kind is ActorKind.SERVICE
            yield who.actor, self._most * (PROGRAM_FACTOR if is_program else 1)
        if who.address is not None and not who.trusted:
            yield Actor(ActorKind.SYSTEM, f"address {who.address}"), self._most * ADDRESS_FACTOR
        if not who.trusted:
            yield Actor(ActorKind.SYSTEM, "all callers"), self._most * STORE_FACTOR

    def _place(self, actor: Actor, most: int, now: datetime) -> _Place:
        place = self._places.pop(actor, None) or _Place(most, now)
        regained = max(0.0, (now - place.seen_at) / GUESS_WINDOW) * most
        place.left, place.seen_at = min(float(most), place.left + regained), now
        self._places[actor] = place
        if len(self._places) > self._places_max:
            self._places.popitem(last=False)
        return place
