"""Signals of fraud: noticed in the process, kept in the database, shown to staff."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from tortoise.queryset import QuerySet

from app.domain.access import Actor, ActorKind, Principal, PrincipalKind
from app.domain.fraud import GUESS_WINDOW, GuessLimits, Signal, SignalKind, SlidingWindow
from app.domain.ledger import Desk
from app.domain.page import Page, PageRequest
from app.models.paging import Sort, fetch_page, time_value
from app.models.signal import Signal as SignalModel
from app.services.ledger.command import DeskCommand
from app.services.ledger.writer import Writer

WINDOW = timedelta(minutes=1)
"""The time within which reads of balances are counted, and that lies between two signals of one caller."""

CALLERS_MAX = 10_000
"""Callers whose reads are remembered; whoever read longest ago is forgotten first."""

NOTICER = Actor(ActorKind.SYSTEM, "fraud")
"""Who writes signals."""

BY_TIME = Sort("CREATED_AT", "created_at", lambda row: row.created_at, time_value, descending=True)


@dataclass(frozen=True, slots=True)
class _Noticed:
    actor: Actor
    wallet_id: UUID
    count: int


class BalanceReads:
    """Counts how often each caller asks for balances. What other processes answer is counted there."""

    def __init__(self, clock: Callable[[], datetime], *, most: int, callers_max: int = CALLERS_MAX) -> None:
        self._clock = clock
        self._most = most
        self._callers_max = callers_max
        self._windows: OrderedDict[tuple[str, str], SlidingWindow] = OrderedDict()
        self._noticed: dict[Actor, _Noticed] = {}

    def note(self, principal: Principal, wallet_id: UUID) -> None:
        """Count one operation that reads balances; the wallet is one of those that it reads."""
        if principal.kind is PrincipalKind.ANONYMOUS:
            return
        # What an actor is made of, without making one for each read.
        caller = (principal.kind.value, principal.subject)
        window = self._windows.get(caller)
        if window is None:
            window = self._windows[caller] = SlidingWindow(WINDOW, self._most)
            if len(self._windows) > self._callers_max:
                self._windows.popitem(last=False)
        else:
            self._windows.move_to_end(caller)
        count = window.note(self._clock())
        if count is not None:
            actor = principal.actor
            self._noticed[actor] = _Noticed(actor, wallet_id, count)

    async def keep(self, writer: Writer) -> int:
        """Write the signals that were noticed since the last time, by one command; tell how many they were."""
        if not self._noticed:
            return 0
        noticed, self._noticed = self._noticed, {}

        def decide(desk: Desk) -> None:
            for one in noticed.values():
                desk.add(_signal(one, desk))

        try:
            await writer.submit(DeskCommand("keepSignals", NOTICER, decide))
        except BaseException:
            # Kept for the next time; what was noticed meanwhile is newer.
            self._noticed = {**noticed, **self._noticed}
            raise
        return len(noticed)


def _signal(noticed: _Noticed, desk: Desk) -> Signal:
    return Signal(
        id=desk.mint.id(),
        kind=SignalKind.RAPID_BALANCE_CHECKS,
        actor=noticed.actor,
        wallet_id=noticed.wallet_id,
        count=noticed.count,
        window_s=int(WINDOW.total_seconds()),
        created_at=desk.now,
    )


async def keep_guesses(writer: Writer, guesses: GuessLimits) -> int:
    """Write who was noticed guessing since the last time, by one command; tell how many they were."""
    if not guesses.noticed:
        return 0
    noticed, guesses.noticed = guesses.noticed, {}

    def decide(desk: Desk) -> None:
        for one in noticed.values():
            window_s = int(GUESS_WINDOW.total_seconds())
            kind = SignalKind.GIFT_CARD_GUESSING
            desk.add(Signal(desk.mint.id(), kind, one.actor, None, one.count, window_s, desk.now))

    try:
        await writer.submit(DeskCommand("keepSignals", NOTICER, decide))
    except BaseException:
        guesses.noticed = {**noticed, **guesses.noticed}
        raise
    return len(noticed)


@dataclass(frozen=True, slots=True)
class SignalFilter:
    """What a list of signals is narrowed to; bounds are inclusive."""

    kinds: tuple[str, ...] | None = None
    actor_id: str | None = None
    wallet_id: UUID | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


_CONDITIONS = {
    "kinds": "kind__in",
    "actor_id": "actor_id",
    "wallet_id": "wallet_id",
    "created_from": "created_at__gte",
    "created_to": "created_at__lte",
}


def signals(wanted: SignalFilter) -> QuerySet[SignalModel]:
    """Return the query of a list of signals."""
    query = SignalModel.all()
    for name, condition in _CONDITIONS.items():
        bound = getattr(wanted, name)
        if bound is not None:
            query = query.filter(**{condition: bound})
    return query


async def page_of(
    query: QuerySet[SignalModel], request: PageRequest, *, descending: bool = True
) -> Page[SignalModel]:
    """Read one page of a list of signals, newest first."""
    return await fetch_page(query, replace(BY_TIME, descending=descending), request)
