"""Tell the story to the ledger's writer, slot by slot, with a clock that is moved along."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from functools import partial
from itertools import groupby
from random import Random
from uuid import UUID

from tortoise.connection import get_connection

from app.auth.gift_card import DEVELOPMENT_KEY, CodeKeys
from app.db import READER
from app.domain.access import Actor, ActorKind
from app.domain.ledger import Draft, Row
from app.domain.money import Currency, currency_of
from app.domain.withdrawal import Withdrawal
from app.sealing import Sealer
from app.seed.cashback import tell_cashback
from app.seed.gift_cards import tell_gift_cards
from app.seed.orders import Step, tell_orders
from app.seed.payouts import tell_payouts
from app.seed.people import DEMO_CUSTOMER, SEED
from app.seed.promotions import tell_promotions
from app.seed.story import DAYS, SLOTS, Event, tell
from app.services import settings as store_settings
from app.services.ledger.command import Command, IdempotencyClaim, Outcome, WalletRef
from app.services.ledger.mint import RandomMint
from app.services.ledger.records import read_uuid
from app.services.ledger.writer import Writer

_SOWER = Actor(ActorKind.SYSTEM, "seed")
_OPENING_KEY = "seed:opening"
_LAST_KEY = "seed:told"


@dataclass(frozen=True, slots=True)
class Planted:
    """What telling the story did: `done` events happened now, `known` ones had happened before."""

    customers: int
    done: int
    known: int


class _Clock:
    """A clock that shows what it is set to."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


async def is_planted() -> bool:
    """Tell whether the open database holds the whole story."""
    return await _is_stored(_LAST_KEY)


async def _is_stored(key: str) -> bool:
    sql = f"SELECT 1 FROM idempotency_keys WHERE key = '{key}'"  # noqa: S608 - our own constants
    return bool(await get_connection(READER).execute_query_dict(sql))


async def may_plant() -> bool:
    """Tell whether the open database has no customers but the story's own, so that nobody's shop is mixed with it."""
    sql = "SELECT COUNT(*) AS n, COALESCE(MAX(CASE WHEN external_id = $1 THEN 1 ELSE 0 END), 0) AS begun FROM customers"
    if get_connection(READER).capabilities.dialect == "sqlite":
        sql = sql.replace("$1", "?")
    (row,) = await get_connection(READER).execute_query_dict(sql, [DEMO_CUSTOMER])
    return not row["n"] or bool(row["begun"])


async def plant(
    *,
    currency: str,
    now: datetime,
    batch_size_max: int = 512,
    keys: CodeKeys | None = None,
    sealer: Sealer | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Planted:
    """Tell the story to the open database, so that it ends now.

    `keys` hash the codes of its gift cards, `sealer` seals its payout methods: without one there are none.

    Safe to interrupt and to repeat: what already happened is not done again.
    """
    clock = _Clock(now)
    writer = Writer(currency=currency, mint=RandomMint(), clock=clock, batch_size_max=batch_size_max)
    writer.start()
    try:
        keys = keys or CodeKeys([DEVELOPMENT_KEY])
        return await _Sower(writer, clock, now, currency_of(currency), keys, sealer).sow(on_progress)
    finally:
        await writer.stop()


class _Sower:
    """One telling: remembers what the events answered, for those that refer to them."""

    def __init__(  # noqa: PLR0917 — one caller, who has them all at hand
        self,
        writer: Writer,
        clock: _Clock,
        now: datetime,
        currency: Currency,
        keys: CodeKeys,
        sealer: Sealer | None,
    ) -> None:
        self._sealer = sealer
        self._currency = currency
        self._keys = keys
        self._writer = writer
        self._clock = clock
        self._now = now
        self._answers: dict[tuple[str, int], UUID] = {}
        self._done = 0
        self._known = 0

    async def sow(self, on_progress: Callable[[int, int], None]) -> Planted:
        """Have the events happen; those of one slot together, so that they share a batch."""
        events = tell(self._currency.exponent)
        steps = [
            *tell_cashback(DAYS + 1),
            *tell_orders(self._currency),
            *tell_gift_cards(self._currency, self._keys),
            *tell_promotions(self._currency),
            *tell_payouts(self._currency, self._sealer),
        ]
        told, steps = 0, sorted(steps, key=lambda step: -step.day)
        await self._open(events[0].day)
        for (day, slot), found in groupby(events, key=lambda event: (event.day, event.slot)):
            together = list(found)
            # Orders are asked for between the days, one step after the other: each looks at what is there.
            while steps and steps[0].day > day:
                await self._ask(steps.pop(0))
            self._clock.now = self._time(day, slot)
            await asyncio.gather(*(self._happen(event) for event in together))
            told += len(together)
            on_progress(told, len(events))
        for step in steps:
            await self._ask(step)
        await self._writer.submit(self._command("seed", _LAST_KEY, DEMO_CUSTOMER, lambda draft: None))
        customers = len({event.person for event in events})
        return Planted(customers, self._done, self._known)

    async def _open(self, day: int) -> None:
        """Have the store say that it pays out, before anything happens."""
        self._clock.now = self._time(day, 0) - timedelta(days=1)
        changes = {"withdrawals": {"enabled": True, "methods": ("BANK_TRANSFER", "MANUAL")}}
        note = "We pay out to bank accounts from the first day"
        known = await _is_stored(_OPENING_KEY)
        await store_settings.update(self._writer, _SOWER, changes, note=note, idempotency_key=_OPENING_KEY)
        self._known += known
        self._done += not known

    async def _ask(self, step: Step) -> None:
        """Ask for one step of an order, unless that was done before: then it would be asked for at another time."""
        known = await _is_stored(step.key)
        if not known:
            evening = datetime.combine(self._now.date(), time(23, 30), self._now.tzinfo) - timedelta(
                days=step.day
            )
            self._clock.now = min(evening, self._now)
            await step.act(self._writer, step.key, self._clock.now)
        self._known += known
        self._done += not known

    def _time(self, day: int, slot: int) -> datetime:
        """When a slot is: in the shop's waking hours, at another minute every time, and never in the future."""
        chance = Random(f"{SEED}:{day}:{slot}")
        seconds = (7 + slot * 15 / SLOTS) * 3600 + chance.randrange(4 * 3600)
        midnight = datetime.combine(self._now.date(), time(), self._now.tzinfo) - timedelta(days=day)
        return min(midnight + timedelta(seconds=seconds), self._now)

    async def _happen(self, event: Event) -> None:
        earlier = None if event.after is None else self._answers.get((event.person.external_id, event.after))
        if event.after is not None and earlier is None:
            # What it refers to did nothing, now and at every repetition.
            return
        decide: Callable[[Draft], Row | None] = partial(_decided, event, earlier)
        command = self._command(event.command, event.key, event.person.external_id, decide, actor=event.actor)
        command = replace(command, rows=event.rows)
        if earlier is not None and "Withdrawal" in event.command:
            command = await _on_withdrawal(command, earlier)
        elif earlier is not None and event.command == "adjustBalance":
            command = replace(command, corrects=earlier)
        self._remember(event, await self._writer.submit(command))

    def _remember(self, event: Event, outcome: Outcome) -> None:
        self._known += outcome.replayed
        self._done += not outcome.replayed
        for noun in ("Transaction", "Withdrawal"):
            if noun in outcome.result:
                self._answers[event.person.external_id, event.number] = UUID(outcome.result[noun])

    def _command(
        self,
        name: str,
        key: str,
        external_id: str,
        decide: Callable[[Draft], Row | None],
        *,
        actor: Actor = _SOWER,
    ) -> Command:
        claim = IdempotencyClaim.of(_SOWER, key, name, {"key": key})
        return Command(name, actor, WalletRef(external_id=external_id), decide, claim=claim, opens=True)


def _decided(event: Event, earlier: UUID | None, draft: Draft) -> Row | None:
    return event.decision(draft, earlier)


async def _on_withdrawal(command: Command, withdrawal_id: UUID) -> Command:
    """Name the withdrawal, and the hold that only the database knows when the story is taken up again."""
    rows = await get_connection(READER).execute_query_dict(
        f"SELECT hold_id FROM withdrawals WHERE id = '{withdrawal_id}'"  # noqa: S608 - a UUID
    )
    hold_id = read_uuid(rows[0]["hold_id"])
    return replace(command, holds=(hold_id,), rows=((Withdrawal, withdrawal_id),))
