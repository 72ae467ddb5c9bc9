"""A store of any size, made up quickly: to see what a big one feels like, and for benches.

Each wallet's history is decided by the ledger's own rules, one event after the other, without a database; then it is loaded
in bulk, some thousand wallets in one database transaction, together with a key that says that they are there. So what was
interrupted is taken up again, and the same seed, size and day make the same store, row by row.

Customers come one after the other over a year, and use their wallets for some weeks each, as in a store that lives.
"""

import asyncio
import gc
import os
import signal
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from multiprocessing import get_context
from random import Random
from typing import Any
from uuid import UUID

from asyncpg.pgproto import pgproto

from app.db import dialect, open_database
from app.domain import delivery as deliveries, wallet as wallets, withdrawal as withdrawals
from app.domain.access import Actor, ActorKind
from app.domain.adjustment import AdjustmentReason
from app.domain.bucket import Bucket
from app.domain.customer import Customer
from app.domain.delivery import Delivery, DeliveryBody, Door
from app.domain.errors import DomainError
from app.domain.fraud import Signal, SignalKind
from app.domain.ledger import Draft, Explanation, LoadedRows, TransactionKind, WalletState
from app.domain.order import Order
from app.domain.settings import StoreSettings
from app.domain.withdrawal_terms import WithdrawalTerms
from app.seed.people import SEED, names_of
from app.services.ledger.bulk import Load, room, settle, written
from app.services.ledger.command import IdempotencyClaim
from app.settings import Settings

TRANSACTIONS_EACH = 10
"""Transactions of a wallet, on average."""

CHUNK = 2_000
"""Wallets that are loaded in one database transaction."""

YEAR = timedelta(days=365)
LIFE = timedelta(days=30)
"""How long a customer uses the wallet."""

_STAFF = tuple(Actor(ActorKind.STAFF, name) for name in ("amira", "jonas", "lucia", "wei"))
_STOREFRONT = Actor(ActorKind.SERVICE, "storefront")
_SOWER = Actor(ActorKind.SYSTEM, "seed")
_PREFIX = "seed:scale:"
_TERMS = StoreSettings(withdrawals=WithdrawalTerms(enabled=True, methods=("BANK_TRANSFER", "MANUAL")))
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_NOTES = (
    "Parcel of order {order} came late, part of the price given back",
    "Order {order} was damaged on its way, the customer keeps it",
    "Goodwill for the wait on the phone about order {order}",
    "Corrected the delivery costs of order {order}",
)
_REASONS = (AdjustmentReason.RETURN, AdjustmentReason.DAMAGED_OR_MISSING, AdjustmentReason.GOODWILL)


class NotTheSameStore(Exception):
    """The database holds other customers, or those of another size or seed; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Scale:
    """What is made: so many wallets, by which seed, and at which moment their history ends."""

    wallets: int
    until: datetime
    seed: int = SEED
    currency: str = "USD"

    def as_data(self) -> dict[str, Any]:
        """Return what is written down with each load."""
        return {
            "wallets": self.wallets,
            "until": self.until.isoformat(),
            "seed": self.seed,
            "currency": self.currency,
        }


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some wallets one after the other, which are loaded together: the `number`-th of such, beginning at the place `start`."""

    scale: Scale
    number: int
    start: int
    size: int

    @property
    def key(self) -> str:
        """The idempotency key of its load."""
        return f"{_PREFIX}{self.number:06}"

    async def load(self) -> None:
        """Decide its wallets' histories and write them."""
        load, mint = Load(), SeededMint(Random(f"{self.scale.seed}:{self.number}"))
        with _uncollected():
            for place in range(self.start, self.start + self.size):
                _Life(self.scale, place, mint).live(load)
            claim = IdempotencyClaim.of(_SOWER, self.key, "seed", self.scale.as_data())
            await load.write(claim, self.scale.as_data(), now=mint.now, mint=mint)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the garbage collector from walking over and over through rows that are all still needed."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@dataclass(frozen=True, slots=True)
class Grown:
    """What was made now, in wallets, and what had been made before."""

    done: int
    known: int


async def grow(
    wanted: Scale,
    *,
    customers: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    settings: Settings | None = None,
) -> Grown:
    """Make the store in the open database, or what is missing of it; `customers` is how many it has.

    With the `settings` that the database was opened by, PostgreSQL is loaded by a process for each core; SQLite has one
    writer, whatever is asked for. Raises `NotTheSameStore`.
    """
    before = await written(f"{_SOWER.kind}:{_SOWER.id}", _PREFIX)
    scale = _same(wanted, list(before.values()), customers)
    starts = range(0, scale.wallets, CHUNK)
    chunks = [Chunk(scale, n, start, min(CHUNK, scale.wallets - start)) for n, start in enumerate(starts)]
    missing = [chunk for chunk in chunks if chunk.key not in before]
    known = scale.wallets - sum(chunk.size for chunk in missing)
    done = 0
    if known:
        on_progress(known, scale.wallets)
    async with room(), aclosing(_loaded(missing, settings)) as sizes:
        async for size in sizes:
            done += size
            on_progress(known + done, scale.wallets)
    if done:
        await settle()
    return Grown(done, known)


async def _loaded(chunks: Sequence[Chunk], settings: Settings | None) -> AsyncGenerator[int]:
    """Load the chunks, and yield the size of each once it is there."""
    processes = min(len(chunks), os.cpu_count() or 1)
    if settings is None or processes < 2 or dialect(settings.database_url) == "sqlite":
        for chunk in chunks:
            await chunk.load()
            yield chunk.size
        return
    # Nothing is inherited: not the open connections, which are this process's. Ctrl-C is for this process alone too; what
    # is under way then is loaded to its end.
    pool = ProcessPoolExecutor(
        processes,
        mp_context=get_context("spawn"),
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),
    )
    try:
        loop = asyncio.get_running_loop()
        waiting = [loop.run_in_executor(pool, _load_apart, settings, chunk) for chunk in chunks]
        for loaded in asyncio.as_completed(waiting):
            yield await loaded
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _load_apart(settings: Settings, chunk: Chunk) -> int:
    """Load a chunk in a process of its own."""

    async def load() -> None:
        async with open_database(settings):
            await chunk.load()

    asyncio.run(load())
    return chunk.size


def _same(wanted: Scale, before: list[dict[str, Any]], customers: int) -> Scale:
    """Return the scale that was begun, if one was: it ends when it ended then."""
    if not before:
        if customers:
            raise NotTheSameStore(
                f"The database has {customers} customers already. Use an empty one for a made-up store."
            )
        return wanted
    begun = replace(wanted, until=datetime.fromisoformat(before[0]["until"]))
    if any(begun.as_data() != data for data in before):
        raise NotTheSameStore(
            f"The database holds a made-up store of {before[0]['wallets']} wallets by the seed {before[0]['seed']}. "
            "Give the same size and seed to go on with it, or use an empty database."
        )
    return begun


class SeededMint:
    """Ids and references that follow from a seed; ids sort by the time that the mint is set to."""

    def __init__(self, chance: Random) -> None:
        self._bits = chance.getrandbits
        self.now = datetime.fromtimestamp(0, UTC)
        self._head = 0

    def set(self, now: datetime) -> None:
        """Go on at another moment."""
        self.now = now
        self._head = int(now.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62

    def id(self) -> UUID:
        """Return a new id: a UUID of version 7."""
        bits = self._bits(74)
        whole = self._head | bits >> 62 << 64 | bits & (1 << 62) - 1
        # The driver's own kind of UUID is written down ten times as quickly.
        made: UUID = pgproto.UUID(whole.to_bytes(16, "big"))
        return made

    def reference(self, prefix: str) -> str:
        """Return a reference such as `TX-7K3M-92QD-XA4P`."""
        bits = self._bits(60)
        a, b, c, d, e, f = [_PAIRS[bits >> shift & 1023] for shift in (50, 40, 30, 20, 10, 0)]
        return f"{prefix}-{a}{b}-{c}{d}-{e}{f}"


class _Life:
    """One customer: opens a wallet, uses it for a while."""

    def __init__(self, scale: Scale, place: int, mint: SeededMint) -> None:
        self._scale = scale
        self._place = place
        self._mint = mint
        self._chance = Random(f"{scale.seed}:wallet {place}")
        share = (place + self._chance.random()) / max(1, scale.wallets)
        self._began = scale.until - YEAR + (YEAR - LIFE) * min(1.0, share)
        # Two neighbours have twenty transactions together: on average it is ten, exactly.
        extra = Random(f"{scale.seed}:pair {place // 2}").randrange(TRANSACTIONS_EACH)
        self._wanted = TRANSACTIONS_EACH + (extra if place % 2 else -extra)
        if place % 2 == 0 and place == scale.wallets - 1:
            self._wanted = TRANSACTIONS_EACH
        mint.set(self._began)
        customer = _customer(mint.id(), place, self._chance, self._began)
        self._state = WalletState.opened(mint.id(), customer, scale.currency, self._began)

    def live(self, load: Load) -> None:
        """Have everything happen, and hand over what came of it."""
        chance, loaded = self._chance, LoadedRows()
        step = LIFE / (self._wanted + 3)
        for number, act in enumerate(self._acts(), 1):
            self._mint.set(self._began + step * min(number, self._wanted + 2))
            draft = Draft(self._state, now=self._mint.now, mint=self._mint, settings=_TERMS, loaded=loaded)
            try:
                act(draft)
            except DomainError:
                # There was not enough: the customer pays in instead.
                draft = Draft(
                    self._state, now=self._mint.now, mint=self._mint, settings=_TERMS, loaded=loaded
                )
                self._tops_up(draft)
            self._state.fold(draft)
            load.take(draft)
            for row in draft.rows:
                loaded.put(row)
        load.close(self._state)
        if chance.random() < 0.3:
            for row in _delivered(self._place, self._mint.now):
                load.add(row)

    def _acts(self) -> Iterator[Callable[[Draft], None]]:
        """Yield what happens; every one of the first moves money, and so brings the wallet nearer to its number."""
        acts = (self._tops_up, self._buys, self._is_adjusted, self._is_given_promotion, self._is_refunded)
        wallet = self._state.wallet
        pays_out = self._wanted > 5 and self._place % 20 == 0
        while (left := self._wanted - wallet.sequence) > 0:
            if pays_out and left == 1:
                break
            if wallet.sequence:
                yield self._chance.choices(acts, weights=(25, 45, 12, 8, 10))[0]
            else:
                yield self._tops_up
            wallet = self._state.wallet
        if pays_out:
            yield from (self._asks_to_be_paid, self._is_paid)
        if self._place % 5 < 2:
            yield self._orders
        if self._place % 100 == 7:
            yield self._is_frozen

    def _minor(self, low: int, high: int) -> int:
        return self._chance.randint(low, high)

    def _order(self) -> int:
        return 100_000 + self._place * 10 + self._state.wallet.sequence

    def _tops_up(self, draft: Draft) -> None:
        actor = Actor(ActorKind.CUSTOMER, draft.customer.external_id)
        note = f"Top-up by card ending {self._chance.randint(1000, 9999)}"
        draft.credit(self._minor(1_000, 12_000), Explanation(TransactionKind.TOP_UP, actor, note))

    def _buys(self, draft: Draft) -> None:
        explanation = Explanation(TransactionKind.PURCHASE, _STOREFRONT, f"Order {self._order()}")
        draft.debit(self._minor(300, 5_000), explanation)

    def _is_refunded(self, draft: Draft) -> None:
        explanation = Explanation(TransactionKind.REFUND, _STOREFRONT, f"Order {self._order()} came back")
        draft.credit(self._minor(300, 3_000), explanation)

    def _is_adjusted(self, draft: Draft) -> None:
        note, reason = self._chance.choice(_NOTES), self._chance.choice(_REASONS)
        staff = self._chance.choice(_STAFF)
        explanation = Explanation(
            TransactionKind.ADJUSTMENT, staff, note.format(order=self._order()), reason=str(reason)
        )
        draft.credit(self._minor(100, 2_000), explanation)

    def _is_given_promotion(self, draft: Draft) -> None:
        # Years ahead: what expires meanwhile would be posted by the first server that sees it.
        staff, reason = self._chance.choice(_STAFF), str(AdjustmentReason.PROMOTION)
        note = "Welcome, from the whole team"
        explanation = Explanation(TransactionKind.ADJUSTMENT, staff, note, reason=reason)
        expires_at = self._scale.until + timedelta(days=1_000 + self._place % 500)
        draft.credit(self._minor(200, 1_500), explanation, bucket=Bucket.PROMO, expires_at=expires_at)

    def _asks_to_be_paid(self, draft: Draft) -> None:
        actor = Actor(ActorKind.CUSTOMER, draft.customer.external_id)
        if (amount_minor := min(draft.withdrawable_minor(), self._minor(500, 5_000))) > 0:
            withdrawals.request(draft, amount_minor, note="To my bank account, please", actor=actor)

    def _is_paid(self, draft: Draft) -> None:
        found = draft.known(withdrawals.Withdrawal)
        # One in three waits still; then something else is the wallet's last transaction.
        if not found or self._place % 3 == 0:
            self._is_refunded(draft)
            return
        staff, reference = self._chance.choice(_STAFF), f"SEPA-{self._place:08}"
        approved = withdrawals.approve(draft, found[-1], note=None, actor=staff)
        withdrawals.pay(draft, approved, payout_reference=reference, note=None, actor=staff)

    def _orders(self, draft: Draft) -> None:
        draft.add(Order.opened("shop", str(self._order()), draft.now, wallet_id=draft.wallet.id))

    def _is_frozen(self, draft: Draft) -> None:
        note = f"Four cards within an hour, the bank is asked, case {self._place}"
        wallets.freeze(draft, note=note, actor=_STAFF[1])
        actor = Actor(ActorKind.CUSTOMER, draft.customer.external_id)
        kind = SignalKind.RAPID_BALANCE_CHECKS
        draft.add(Signal(draft.mint.id(), kind, actor, draft.wallet.id, 90, 60, draft.now))


def _customer(row_id: UUID, place: int, chance: Random, now: datetime) -> Customer:
    first, last = chance.choice(_names()[0]), chance.choice(_names()[1])
    name = f"{first[0]} {last[0]}"
    email = f"{first[1]}.{last[1]}.{place}@example.com".replace("..", ".").strip(".")
    return Customer(row_id, f"s{place:08}", name, email, now, now)


@cache
def _names() -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    return names_of(first=400, last=2_000)


def _delivered(place: int, now: datetime) -> tuple[Delivery, DeliveryBody]:
    body = f'{{"id": {place}, "status": "pending"}}'.encode()
    delivery, content = deliveries.received(
        Door.WOOCOMMERCE, "order.updated", body, external_id=str(place), now=now
    )
    return delivery.done("The order is kept", now, order_id=None), content
