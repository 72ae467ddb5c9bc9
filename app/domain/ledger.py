"""The ledger: wallets, lots, transactions, and the only operations that change them.

A `WalletState` is what was loaded of one wallet. A `Draft` works out, on top of a state, what one command
would do to it: it refuses by raising a `DomainError`, and then it is simply dropped, so a refused command
leaves no trace. An accepted draft is folded into its state, which the next command of the batch sees.

Which lot is spent first: soonest expiry, then bucket (`PROMO`, `GIFT_CARD`, `CASH`), then oldest.

What a debit takes beyond the lots (only when the store enabled negative balances) is the *overdraft*. It is
written as an allocation to no lot; the next credit settles it before it opens a lot.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from heapq import merge
from types import MappingProxyType
from typing import Protocol, TypeVar
from uuid import UUID

from app.domain.access import Actor, ActorKind
from app.domain.bucket import Bucket
from app.domain.cashback.earning import Earning
from app.domain.customer import Customer
from app.domain.errors import BalanceTooLarge, InsufficientFunds, NotFound
from app.domain.hold import Hold, HoldPurpose, HoldStatus, Reservation
from app.domain.money import BALANCE_MAX_MINOR, Currency, currency_of
from app.domain.settings import StoreSettings

GENESIS_HASH = bytes(32)
"""The hash that a wallet's first transaction covers as that of the one before."""

_FOREVER = datetime.max.replace(tzinfo=UTC)


OVERDRAFT = "OVERDRAFT"
"""What stands in an allocation's bucket when it belongs to no lot."""

WITHDRAWABLE: frozenset[Bucket] = frozenset({Bucket.CASH})
"""The buckets that a customer may be paid out from."""

_BUCKET_RANK = {Bucket.PROMO: 0, Bucket.GIFT_CARD: 1, Bucket.CASH: 2}


class WalletStatus(StrEnum):
    """Whether a wallet can be used."""

    ACTIVE = "ACTIVE"
    """The wallet works as usual."""
    FROZEN = "FROZEN"
    """Staff have stopped the wallet: nothing is spent or withdrawn. Credits and staff adjustments still post."""


class CounterAccount(StrEnum):
    """The ledger account on the other side of a transaction."""

    SALES = "SALES"
    """Orders paid with the wallet, and their refunds."""
    FUNDING = "FUNDING"
    """Money that the customer paid in."""
    PAYOUTS = "PAYOUTS"
    """Money that was sent to the customer."""
    MARKETING = "MARKETING"
    """Cashback and promotions: what the store gives."""
    ADJUSTMENTS = "ADJUSTMENTS"
    """Adjustments by staff."""
    GIFT_CARDS = "GIFT_CARDS"
    """Anonymous gift cards."""
    BREAKAGE = "BREAKAGE"
    """Value that expired."""
    FEES = "FEES"
    """Fees that the store keeps."""


class TransactionKind(StrEnum):
    """Why money moved."""

    ADJUSTMENT = "ADJUSTMENT"
    """Staff changed the balance, with a note that says why."""
    PURCHASE = "PURCHASE"
    """The customer paid an order with the wallet."""
    REFUND = "REFUND"
    """The store gave money of an order back."""
    TOP_UP = "TOP_UP"
    """The customer paid money in."""
    CASHBACK = "CASHBACK"
    """The store gave cashback for an order or a milestone."""
    PROMOTION = "PROMOTION"
    """The store gave bonus money by a coupon or a campaign."""
    GIFT_CARD = "GIFT_CARD"
    """A gift card was redeemed into the wallet."""
    WITHDRAWAL = "WITHDRAWAL"
    """Money was paid out to the customer."""
    EXPIRY = "EXPIRY"
    """Value reached its expiry and was taken out."""
    CLAWBACK = "CLAWBACK"
    """Cashback, or what a coupon gave, was taken back because its order was refunded or called off."""
    FEE = "FEE"
    """The store took a fee."""
    OPENING = "OPENING"
    """The balance that was brought along from another system."""


COUNTER_ACCOUNTS: dict[TransactionKind, CounterAccount] = {
    TransactionKind.ADJUSTMENT: CounterAccount.ADJUSTMENTS,
    TransactionKind.PURCHASE: CounterAccount.SALES,
    TransactionKind.REFUND: CounterAccount.SALES,
    TransactionKind.TOP_UP: CounterAccount.FUNDING,
    TransactionKind.CASHBACK: CounterAccount.MARKETING,
    TransactionKind.PROMOTION: CounterAccount.MARKETING,
    TransactionKind.GIFT_CARD: CounterAccount.GIFT_CARDS,
    TransactionKind.WITHDRAWAL: CounterAccount.PAYOUTS,
    TransactionKind.EXPIRY: CounterAccount.BREAKAGE,
    TransactionKind.CLAWBACK: CounterAccount.MARKETING,
    TransactionKind.FEE: CounterAccount.FEES,
    TransactionKind.OPENING: CounterAccount.FUNDING,
}
"""The other side of each kind of transaction: double entry holds by construction."""


@dataclass(frozen=True, slots=True)
class Wallet:
    """The totals of a wallet, in minor units; see `models.wallet` for what each means."""

    id: UUID
    customer_id: UUID
    currency: str
    status: WalletStatus
    posted_minor: int
    held_minor: int
    overdraft_minor: int
    sequence: int
    version: int
    head_hash: bytes
    created_at: datetime
    updated_at: datetime
    last_activity_at: datetime
    debt_minor: int = 0
    """What is still to be taken back of cashback that was spent: it is settled from the next credits."""

    def available_minor(self, credit_limit_minor: int = 0) -> int:
        """Return what can be drawn now: posted minus held, plus the credit limit where the caller may use it."""
        return self.posted_minor - self.held_minor + credit_limit_minor

    def after(self, transaction: "Transaction", *, held_delta: int, overdraft_delta: int) -> "Wallet":
        """Return the wallet after its next transaction."""
        # Field by field, because this is done for every movement: `replace` takes twice as long.
        return Wallet(
            self.id,
            self.customer_id,
            self.currency,
            self.status,
            transaction.balance_after_minor,
            self.held_minor + held_delta,
            self.overdraft_minor + overdraft_delta,
            transaction.sequence,
            self.version + 1,
            transaction.hash,
            self.created_at,
            transaction.created_at,
            transaction.created_at,
            self.debt_minor,
        )


@dataclass(frozen=True, slots=True)
class Lot:
    """One credit that debits draw on, in minor units; `remaining` is free, `held` is reserved by holds.

    Value that comes back to a lot after its expiry can still be spent until `grace_until`.
    """

    id: UUID
    wallet_id: UUID
    bucket: Bucket
    sequence: int
    original_minor: int
    remaining_minor: int
    held_minor: int
    expires_at: datetime | None
    created_at: datetime
    grace_until: datetime | None = None

    @property
    def ends_at(self) -> datetime | None:
        """Until when its value can be spent."""
        return self.expires_at if self.grace_until is None else self.grace_until

    def expired(self, now: datetime) -> bool:
        """Whether its time has run out."""
        return self.ends_at is not None and self.ends_at <= now

    def given_back(self, amount_minor: int, now: datetime, grace: timedelta) -> "Lot":
        """Return the lot after value came back to it; where its time ran out meanwhile, a grace period begins."""
        late = self.expires_at is not None and self.expires_at <= now
        grace_until = max(now + grace, self.grace_until or now) if late else self.grace_until
        return replace(self, remaining_minor=self.remaining_minor + amount_minor, grace_until=grace_until)

    @property
    def is_open(self) -> bool:
        """Whether any value is left in it."""
        return self.remaining_minor > 0 or self.held_minor > 0


def drawing_order(lot: Lot) -> tuple[datetime, int, int]:
    """Sort key: soonest expiry, then bucket (promo, gift card, cash), then oldest."""
    return (lot.expires_at or _FOREVER, _BUCKET_RANK[lot.bucket], lot.sequence)


@dataclass(frozen=True, slots=True)
class Allocation:
    """What a transaction put into (positive) or took out of (negative) a lot; no lot is the overdraft.

    `expires_at` is the lot's: written down here, where it is under the hash, it can't be moved unnoticed.
    """

    lot_id: UUID | None
    bucket: str
    amount_minor: int
    expires_at: datetime | None = None

    @classmethod
    def of(cls, lot: Lot, amount_minor: int) -> "Allocation":
        """Return the part of a transaction that falls on a lot."""
        return cls(lot.id, lot.bucket, amount_minor, lot.expires_at)


@dataclass(frozen=True, slots=True)
class Transaction:
    """One posted movement; `amount_minor` is signed, `hash` chains it to the one before."""

    id: UUID
    wallet_id: UUID
    sequence: int
    reference: str
    kind: TransactionKind
    counter_account: CounterAccount
    amount_minor: int
    balance_after_minor: int
    currency: str
    reason: str | None
    note: str
    actor: Actor
    corrects_id: UUID | None
    hold_id: UUID | None
    created_at: datetime
    allocations: tuple[Allocation, ...]
    hash: bytes = b""
    order_id: UUID | None = None

    def seal(self, previous_hash: bytes) -> None:
        """Chain it to the one before. Only who made it calls this, once, before anybody else sees it."""
        # A changed copy would be made of all fields, a second time, for this one.
        object.__setattr__(self, "hash", transaction_hash(previous_hash, self))


@dataclass(frozen=True, slots=True)
class WalletChange:
    """What one batch did to one wallet, for those who listen: told after the commit, in order."""

    wallet: Wallet
    transactions: tuple[Transaction, ...] = ()
    follows: bytes | None = None
    """The hash of the transaction that it follows on, if known."""


# All movements of a batch have one time.
@lru_cache(maxsize=64)
def _instant(time: datetime | None) -> str:
    return "" if time is None else time.astimezone(UTC).isoformat(timespec="microseconds")


def transaction_hash(previous_hash: bytes, transaction: Transaction) -> bytes:
    """Return the SHA-256 over the hash before, the transaction's content and its allocations.

    Every field is written as a netstring (its length, a colon, its UTF-8 bytes, a comma), so that no two
    contents share one encoding.
    """
    t = transaction
    parts = [
        str(t.wallet_id),
        str(t.sequence),
        str(t.id),
        t.reference,
        t.kind,
        t.counter_account,
        str(t.amount_minor),
        str(t.balance_after_minor),
        t.currency,
        t.reason or "",
        t.note,
        t.actor.kind,
        t.actor.id,
        str(t.corrects_id or ""),
        str(t.hold_id or ""),
        _instant(t.created_at),
    ]
    for a in t.allocations:
        parts += (str(a.lot_id or ""), a.bucket, str(a.amount_minor), _instant(a.expires_at))
    if t.order_id is not None:
        # Allocations have four parts each, so a last one that stands alone is taken for nothing else; and what was
        # posted before there were orders keeps its hash.
        parts.append(str(t.order_id))
    return sha256(previous_hash + _netstrings(parts)).digest()


def _netstrings(parts: Sequence[str]) -> bytes:
    text = "".join([f"{len(part)}:{part}," for part in parts])
    if text.isascii():
        # Then a part has as many bytes as characters, and all are encoded at once.
        return text.encode()
    contents = [part.encode() for part in parts]
    return b"".join([b"%d:%b," % (len(content), content) for content in contents])


def _only(buckets: Collection[Bucket]) -> str | None:
    """Return the kind of value that is meant where it is one alone, so that a refusal can name it."""
    return next(iter(buckets)).value if len(buckets) == 1 else None


def _require_positive(amount_minor: int) -> None:
    # The doors refuse such an amount with words; were one to slip through, a negative debit would make money.
    if amount_minor <= 0:
        raise AssertionError(f"an amount is positive, not {amount_minor}")


class Row(Protocol):
    """A record that is kept beside the ledger and known by its id."""

    @property
    def id(self) -> UUID:
        """Its id."""


R = TypeVar("R", bound=Row)


def _id(row: Row) -> UUID:
    return row.id


class Mint(Protocol):
    """Where new ids and reference numbers come from: the domain has no randomness of its own."""

    def id(self) -> UUID:
        """Return a new id; later ids sort after earlier ones."""

    def reference(self, prefix: str) -> str:
        """Return a new reference number that people can read out, such as `TX-7K3M-92QD-XA4P`."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is written down beside a movement so that it explains itself."""

    kind: TransactionKind
    actor: Actor
    note: str = ""
    reason: str | None = None
    corrects_id: UUID | None = None
    order_id: UUID | None = None


SYSTEM = Actor(ActorKind.SYSTEM, "clock")
"""Who posts what time alone brings about."""


_NO_LOTS: frozenset[UUID] = frozenset()
"""One for all wallets: each that is made takes 216 bytes, and thousands of wallets are kept."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A transaction that is to be corrected: whose it is, and in minor units its amount, below zero for a debit, and what its
    corrections come to.
    """

    wallet_id: UUID
    amount_minor: int
    corrected_minor: int

    @property
    def left_minor(self) -> int:
        """How much of it was not taken back yet; never negative."""
        left_minor = self.amount_minor + self.corrected_minor
        return max(0, left_minor if self.amount_minor > 0 else -left_minor)


_NONE_CORRECTED: Mapping[UUID, Standing] = MappingProxyType({})


class WalletState:
    """What was loaded of one wallet: its totals, its open lots in drawing order, and the holds that were named.

    `closed` are the lots with nothing left that a named hold may give value back to. `expired` is what of lots was
    posted as breakage, in minor units, of lots that were asked for; `correctable` how the transactions stand that are to
    be corrected, also those of other wallets. `earning` is what cashback is worked out from, for a
    command that may earn some. For a command that withdraws, `topped_up` are the lots that were topped up, and
    `signalled_at` is when something odd was last noticed.
    """

    __slots__ = (
        "closed",
        "correctable",
        "customer",
        "earning",
        "expired",
        "holds",
        "is_new",
        "lots",
        "reservations",
        "signalled_at",
        "topped_up",
        "wallet",
    )

    def __init__(
        self,
        wallet: Wallet,
        customer: Customer,
        *,
        lots: Iterable[Lot] = (),
        is_new: bool = False,
    ) -> None:
        self.wallet = wallet
        self.customer = customer
        self.lots = sorted(lots, key=drawing_order)
        self.is_new = is_new
        self.holds: dict[UUID, Hold] = {}
        self.reservations: dict[UUID, tuple[Reservation, ...]] = {}
        self.closed: dict[UUID, Lot] = {}
        self.expired: dict[UUID, int] = {}
        self.correctable = _NONE_CORRECTED
        self.earning: Earning | None = None
        self.topped_up = _NO_LOTS
        self.signalled_at: datetime | None = None

    @classmethod
    def opened(cls, wallet_id: UUID, customer: Customer, currency: str, now: datetime) -> "WalletState":
        """Return a wallet at zero that is not stored yet."""
        wallet = Wallet(
            wallet_id, customer.id, currency, WalletStatus.ACTIVE, 0, 0, 0, 0, 0, GENESIS_HASH, now, now, now
        )
        return cls(wallet, customer, is_new=True)

    def copy(self) -> "WalletState":
        """Return the same wallet with the same open lots, to be changed by itself; what only one batch needed is left out."""
        state = WalletState(self.wallet, self.customer)
        state.lots = self.lots.copy()
        return state

    def fault(self) -> str | None:
        """Tell what is wrong between the totals and the open lots, or `None`. A faulty wallet posts nothing."""
        wallet = self.wallet
        in_lots = sum(lot.remaining_minor + lot.held_minor for lot in self.lots)
        held = sum(lot.held_minor for lot in self.lots)
        if in_lots - wallet.overdraft_minor != wallet.posted_minor:
            return f"lots hold {in_lots}, overdraft {wallet.overdraft_minor}, but {wallet.posted_minor} is posted"
        if held != wallet.held_minor:
            return f"lots hold back {held}, but the wallet {wallet.held_minor}"
        return None

    def settle(self) -> None:
        """Forget what only one batch needed; called once the state is committed."""
        self.is_new = False
        self.holds.clear()
        self.reservations.clear()
        self.closed.clear()
        self.expired.clear()
        self.correctable = _NONE_CORRECTED
        self.earning = None
        self.topped_up = _NO_LOTS
        self.signalled_at = None

    def fold(self, draft: "Draft") -> None:
        """Make an accepted draft part of the state."""
        self.wallet = draft.wallet
        self.customer = draft.customer
        self.holds.update(draft.holds)
        self.reservations.update(draft.reservations)
        self.expired = draft.expired
        self.correctable = draft.correctable
        for transaction in draft.transactions:
            if transaction.kind is TransactionKind.TOP_UP:
                self.topped_up |= {part.lot_id for part in transaction.allocations if part.lot_id}
        for lot in draft.lots.values():
            # A lot's place in the drawing order never changes, so it is found without a walk.
            place = bisect_left(self.lots, drawing_order(lot), key=drawing_order)
            known = place < len(self.lots) and self.lots[place].id == lot.id
            if lot.is_open:
                self.lots[place : place + known] = [lot]
                self.closed.pop(lot.id, None)
            else:
                # A later command of the batch may give value back to it.
                self.closed[lot.id] = lot
                if known:
                    del self.lots[place]


class LoadedRows(dict[UUID, Row]):
    """The rows beside the ledger that a batch knows, by id; and what belongs to an order, by the order's."""

    def __init__(self) -> None:
        super().__init__()
        self._of_order: dict[UUID, dict[UUID, Row]] = {}

    def put(self, row: Row) -> None:
        """Keep a row as it is now."""
        self[row.id] = row
        order_id = getattr(row, "order_id", None)
        if order_id is not None:
            self._of_order.setdefault(order_id, {})[row.id] = row

    def of_order(self, order_id: UUID) -> Iterable[Row]:
        """Return what belongs to an order."""
        return self._of_order.get(order_id, {}).values()


class Desk:
    """Where a command without a wallet is decided: the time, new ids, the settings, and rows to write.

    `tables` are the small tables that the command asked for, whole, and `loaded` the rows beside the ledger that
    were named: both as the commands before it left them.
    """

    __slots__ = ("_loaded", "_tables", "mint", "now", "rows", "settings")

    def __init__(
        self,
        *,
        now: datetime,
        mint: Mint,
        settings: StoreSettings,
        tables: "Mapping[type[Row], Mapping[UUID, Row]] | None" = None,
        loaded: LoadedRows | None = None,
    ) -> None:
        self.now = now
        self.mint = mint
        self.settings = settings
        self.rows: list[Row] = []
        self._tables = tables or {}
        self._loaded = LoadedRows() if loaded is None else loaded

    def table(self, kind: "type[R]") -> "list[R]":
        """Return all rows of a small table that the command asked for."""
        return [row for row in self._tables[kind].values() if isinstance(row, kind)]

    def found(self, kind: "type[R]", row_id: UUID) -> "R | None":
        """Return a row beside the ledger that the command named, as it was loaded, if there is one."""
        row = self._loaded.get(row_id)
        if row is not None and not isinstance(row, kind):
            raise TypeError(f"{row_id} is a {type(row).__name__}, not a {kind.__name__}")
        return row

    def current(self, kind: "type[R]", row_id: UUID) -> "R | None":
        """Return a row as it is after what was added so far, or as it was loaded, if there is one."""
        for row in reversed(self.rows):
            if row.id == row_id and isinstance(row, kind):
                return row
        return self.found(kind, row_id)

    def known(self, kind: "type[R]") -> "list[R]":
        """Return the rows of a kind that the batch knows, as the commands before left them, in no order."""
        return [row for row in self._loaded.values() if isinstance(row, kind)]

    def row(self, kind: "type[R]", row_id: UUID) -> "R":
        """Return a row beside the ledger that the command named, as it was loaded, or raise `NotFound`."""
        row = self.found(kind, row_id)
        if row is None:
            name = kind.__name__.lower()
            raise NotFound(name, field=(name,))
        return row

    def of_order(self, kind: "type[R]", order_id: UUID) -> "list[R]":
        """Return the rows of an order that the command named (payments, refunds), oldest first."""
        return sorted((row for row in self._loaded.of_order(order_id) if isinstance(row, kind)), key=_id)

    def now_of_order(self, kind: "type[R]", order_id: UUID) -> "list[R]":
        """Return the rows of an order, oldest first, as they are after what was added so far."""
        rows = {row.id: row for row in self.of_order(kind, order_id)}
        added = (
            row for row in self.rows if isinstance(row, kind) and getattr(row, "order_id", None) == order_id
        )
        return sorted((rows | {row.id: row for row in added}).values(), key=_id)

    def add(self, row: "Row") -> None:
        """Write a row beside the ledger (a withdrawal, an audit entry) in the same database transaction."""
        self.rows.append(row)


class Draft(Desk):
    """What one command would do to one wallet, worked out without touching anything.

    `wallet` and `customer` are the values after the draft so far; `transactions`, `lots`, `holds`,
    `reservations` and `rows` are what is new or changed. Every amount is in minor units and positive.
    """

    __slots__ = (
        "_opened",
        "_state",
        "correctable",
        "customer",
        "expired",
        "holds",
        "lots",
        "reservations",
        "transactions",
        "wallet",
    )

    def __init__(
        self,
        state: WalletState,
        *,
        now: datetime,
        mint: Mint,
        settings: StoreSettings,
        loaded: LoadedRows | None = None,
    ) -> None:
        super().__init__(now=now, mint=mint, settings=settings, loaded=loaded)
        self._state = state
        self._opened: dict[UUID, Lot] = {}
        self.wallet = state.wallet
        self.customer = state.customer
        self.transactions: list[Transaction] = []
        self.lots: dict[UUID, Lot] = {}
        self.holds: dict[UUID, Hold] = {}
        self.reservations: dict[UUID, tuple[Reservation, ...]] = {}
        self.expired: dict[UUID, int] = dict(state.expired)
        self.correctable = state.correctable
        """How the transactions stand that are to be corrected, by id; some may be of other wallets."""

    @property
    def earning(self) -> "Earning | None":
        """What cashback is worked out from, or `None`: the command earns none."""
        return self._state.earning

    def corrected(self, transaction_id: UUID, change_minor: int) -> None:
        """Note that a transaction which may be corrected is, by so much."""
        before = self.correctable[transaction_id]
        after = replace(before, corrected_minor=before.corrected_minor + change_minor)
        self.correctable = {**self.correctable, transaction_id: after}

    @property
    def topped_up(self) -> Collection[UUID]:
        """Which lots were topped up, for a command that withdraws."""
        return self._state.topped_up

    @property
    def signalled_at(self) -> datetime | None:
        """When something odd was last noticed of the wallet, for a command that withdraws."""
        return self._state.signalled_at

    @property
    def currency(self) -> Currency:
        """The wallet's currency."""
        return currency_of(self.wallet.currency)

    def drawable(self, buckets: Collection[Bucket]) -> Iterator[Lot]:
        """Yield the lots of the buckets that have free value, not expired, in the order in which they are drawn."""
        lots: Iterable[Lot] = self._state.lots
        if self._opened:
            lots = merge(lots, sorted(self._opened.values(), key=drawing_order), key=drawing_order)
        for lot in lots:
            current = self.lots.get(lot.id, lot)
            if current.remaining_minor and current.bucket in buckets and not current.expired(self.now):
                yield current

    def hold(self, hold_id: UUID) -> Hold:
        """Return a hold that the command named, as the draft leaves it, or raise `NotFound`: it is not this wallet's."""
        found = self.holds.get(hold_id) or self._state.holds.get(hold_id)
        if found is None:
            raise NotFound("hold", field=("hold",))
        return found

    def row(self, kind: "type[R]", row_id: UUID) -> "R":
        """Return a row of this wallet beside the ledger that the command named, or raise `NotFound`."""
        row = super().row(kind, row_id)
        if getattr(row, "wallet_id", None) != self.wallet.id:
            name = kind.__name__.lower()
            raise NotFound(name, field=(name,))
        return row

    def spendable_minor(self, buckets: Collection[Bucket] = frozenset(Bucket)) -> int:
        """Return what of the buckets can be spent now: their free value, never more than is available."""
        return max(0, min(self._free_minor(buckets), self.wallet.available_minor()))

    def unspent_minor(self, lot_ids: Collection[UUID]) -> int:
        """Return what of these lots can be drawn now, never more than is available."""
        free = sum(lot.remaining_minor for lot in self.drawable(frozenset(Bucket)) if lot.id in lot_ids)
        return max(0, min(free, self.wallet.available_minor()))

    def open_lots(self, lot_ids: Collection[UUID]) -> bool:
        """Whether anything is left of one of these lots, free or held."""
        return any(self.lots.get(lot.id, lot).is_open for lot in self._state.lots if lot.id in lot_ids)

    def withdrawable_minor(self) -> int:
        """Return what can be withdrawn now: free value of withdrawable lots that is available, less what is owed."""
        return max(0, self.spendable_minor(WITHDRAWABLE) - self.wallet.debt_minor)

    def _free_minor(self, buckets: Collection[Bucket]) -> int:
        return sum(lot.remaining_minor for lot in self.drawable(buckets))

    def credit(
        self,
        amount_minor: int,
        explanation: Explanation,
        *,
        bucket: Bucket = Bucket.CASH,
        expires_at: datetime | None = None,
    ) -> Transaction:
        """Post a credit: it settles the overdraft first, the rest opens a lot."""
        _require_positive(amount_minor)
        if self.wallet.posted_minor + amount_minor > BALANCE_MAX_MINOR:
            raise BalanceTooLarge(largest=self.currency.display(BALANCE_MAX_MINOR))
        settled = min(self.wallet.overdraft_minor, amount_minor)
        allocations = [Allocation(None, OVERDRAFT, settled)] if settled else []
        if amount_minor > settled:
            lot = Lot(
                id=self.mint.id(),
                wallet_id=self.wallet.id,
                bucket=bucket,
                sequence=self.wallet.sequence + 1,
                original_minor=amount_minor - settled,
                remaining_minor=amount_minor - settled,
                held_minor=0,
                expires_at=expires_at,
                created_at=self.now,
            )
            self.lots[lot.id] = lot
            self._opened[lot.id] = lot
            allocations.append(Allocation.of(lot, lot.original_minor))
        return self._post(amount_minor, explanation, allocations, overdraft_delta=-settled)

    def debit(
        self,
        amount_minor: int,
        explanation: Explanation,
        *,
        buckets: Collection[Bucket] = frozenset(Bucket),
        credit_limit_minor: int = 0,
        newest_of: Bucket | None = None,
        lots: Collection[UUID] | None = None,
    ) -> Transaction:
        """Post a debit from the lots in drawing order, then, within the credit limit, from the overdraft.

        With `newest_of`, the youngest lots of that kind come first: what takes a credit back takes that credit. With
        `lots`, only these are drawn on. Raises `InsufficientFunds` when less than that is available; nothing is ever
        clamped.
        """
        drawn, left = self._draw(amount_minor, buckets, newest_of, lots)
        overdraft_room = max(0, credit_limit_minor - self.wallet.overdraft_minor)
        if left > overdraft_room or amount_minor > self.wallet.available_minor(credit_limit_minor):
            free = self._free_minor(buckets) + overdraft_room
            available = max(0, min(free, self.wallet.available_minor(credit_limit_minor)))
            raise InsufficientFunds(
                available_minor=available, available=self.currency.display(available), of=_only(buckets)
            )
        allocations = []
        for lot, taken in drawn:
            self.lots[lot.id] = replace(lot, remaining_minor=lot.remaining_minor - taken)
            allocations.append(Allocation.of(lot, -taken))
        if left:
            allocations.append(Allocation(None, OVERDRAFT, -left))
        return self._post(-amount_minor, explanation, allocations, overdraft_delta=left)

    def _draw(
        self,
        amount_minor: int,
        buckets: Collection[Bucket],
        newest_of: Bucket | None = None,
        only: Collection[UUID] | None = None,
    ) -> tuple[list[tuple[Lot, int]], int]:
        """Return which lots give how much, in drawing order, and what is left uncovered."""
        _require_positive(amount_minor)
        drawn, left = [], amount_minor
        lots: Iterable[Lot] = self.drawable(buckets)
        if only is not None:
            lots = [lot for lot in lots if lot.id in only]
        if newest_of is not None:
            lots = sorted(lots, key=lambda lot: -lot.sequence if lot.bucket is newest_of else 0)
        for lot in lots:
            taken = min(lot.remaining_minor, left)
            drawn.append((lot, taken))
            left -= taken
            if not left:
                break
        return drawn, left

    def reserve(
        self,
        amount_minor: int,
        purpose: HoldPurpose,
        *,
        buckets: Collection[Bucket] = frozenset(Bucket),
        expires_at: datetime | None = None,
        lots: Collection[UUID] | None = None,
    ) -> Hold:
        """Hold an amount lot by lot, in drawing order; it counts against available at once.

        With `lots`, only these are drawn on. A hold never draws on the credit limit: a customer spends only what is there.
        """
        drawn, left = self._draw(amount_minor, buckets, only=lots)
        if left or amount_minor > self.wallet.available_minor():
            available = self.spendable_minor(buckets) if lots is None else self.unspent_minor(lots)
            raise InsufficientFunds(
                available_minor=available,
                available=self.currency.display(available),
                withdrawable=purpose is HoldPurpose.WITHDRAWAL,
                of=None if purpose is HoldPurpose.WITHDRAWAL else _only(buckets),
            )
        hold = Hold.opened(
            self.mint.id(), self.wallet.id, purpose, amount_minor, expires_at=expires_at, now=self.now
        )
        reservations = []
        for lot, taken in drawn:
            self.lots[lot.id] = replace(
                lot, remaining_minor=lot.remaining_minor - taken, held_minor=lot.held_minor + taken
            )
            reservations.append(Reservation(self.mint.id(), hold.id, lot.id, taken, 0, 0))
        self.holds[hold.id] = hold
        self.reservations[hold.id] = tuple(reservations)
        self._touch(held_delta=amount_minor)
        return hold

    def capture(self, hold_id: UUID, amount_minor: int, explanation: Explanation) -> Transaction:
        """Spend held value, from the hold's lots in the order in which they were reserved.

        The caller checks that the hold is open and has that much; what is left stays held.
        """
        _require_positive(amount_minor)
        hold, allocations, left = self.hold(hold_id), [], amount_minor
        reservations = []
        for reservation in self._reservations(hold_id):
            taken = min(reservation.held_minor, left)
            left -= taken
            if taken:
                lot = self._lot(reservation.lot_id)
                self.lots[lot.id] = replace(lot, held_minor=lot.held_minor - taken)
                allocations.append(Allocation.of(lot, -taken))
            reservations.append(replace(reservation, captured_minor=reservation.captured_minor + taken))
        if left:
            raise AssertionError(f"hold {hold_id} holds {amount_minor - left} of {amount_minor}")
        self.holds[hold_id] = hold.captured(amount_minor, self.now)
        self.reservations[hold_id] = tuple(reservations)
        return self._post(-amount_minor, explanation, allocations, hold_id=hold_id, held_delta=-amount_minor)

    def release(self, hold_id: UUID, status: HoldStatus = HoldStatus.RELEASED) -> Hold:
        """Give what a hold still holds back to the very lots that it came from."""
        hold, reservations, given = self.hold(hold_id), [], 0
        for reservation in self._reservations(hold_id):
            back = reservation.held_minor
            if back:
                lot = self._lot(reservation.lot_id).given_back(back, self.now, self.settings.grace)
                self.lots[lot.id] = replace(lot, held_minor=lot.held_minor - back)
            given += back
            reservations.append(replace(reservation, released_minor=reservation.released_minor + back))
        self.holds[hold_id] = hold.released(given, status, self.now)
        self.reservations[hold_id] = tuple(reservations)
        self._touch(held_delta=-given)
        return self.holds[hold_id]

    def give_back(self, hold_id: UUID, amount_minor: int, explanation: Explanation) -> Transaction:
        """Un-spend: give captured value back to the very lots that it came from, the last one first.

        The caller checks that so much was captured and not given back yet. Where a lot's time has run out
        meanwhile, its value can be spent for the store's grace period.
        """
        _require_positive(amount_minor)
        if self.wallet.posted_minor + amount_minor > BALANCE_MAX_MINOR:
            raise BalanceTooLarge(largest=self.currency.display(BALANCE_MAX_MINOR))
        hold, allocations, left = self.hold(hold_id), [], amount_minor
        reservations = list(self._reservations(hold_id))
        for place, reservation in reversed(list(enumerate(reservations))):
            back = min(reservation.spent_minor, left)
            if back:
                left -= back
                before = self._lot(reservation.lot_id)
                lot = before.given_back(back, self.now, self.settings.grace)
                if lot.id in self._state.closed:
                    self._opened[lot.id] = lot
                self.lots[lot.id] = lot
                allocations.append(Allocation.of(lot, back))
                reservations[place] = replace(reservation, returned_minor=reservation.returned_minor + back)
        if left:
            raise AssertionError(f"hold {hold_id} gave {amount_minor - left}, not {amount_minor}")
        self.holds[hold_id] = replace(hold, updated_at=self.now)
        self.reservations[hold_id] = tuple(reservations)
        return self._post(amount_minor, explanation, allocations, hold_id=hold_id)

    def expire_due(self) -> list[Transaction]:
        """Post what reached its expiry: one transaction a lot, against breakage. Held value waits for its hold."""
        posted = []
        for lot in self._state.lots:
            if lot.expires_at is None or lot.expires_at > self.now:
                # Soonest expiry stands first, so nothing behind this lot is due.
                break
            if not lot.remaining_minor or lot.id in self.lots or not lot.expired(self.now):
                continue
            amount = lot.remaining_minor
            self.lots[lot.id] = replace(lot, remaining_minor=0)
            self.expired[lot.id] = self.expired.get(lot.id, 0) + amount
            note = f"{lot.bucket.replace('_', ' ').capitalize()} credit of transaction {lot.sequence} expired"
            explanation = Explanation(TransactionKind.EXPIRY, SYSTEM, note)
            posted.append(self._post(-amount, explanation, [Allocation.of(lot, -amount)]))
        return posted

    def set_status(self, status: WalletStatus) -> None:
        """Freeze or unfreeze the wallet."""
        self.wallet = replace(self.wallet, status=status)
        self._touch()

    def set_debt(self, debt_minor: int) -> None:
        """Write down what is still to be taken back from the next credits, in minor units."""
        if debt_minor < 0:
            raise AssertionError(f"a debt is not negative: {debt_minor}")
        self.wallet = replace(self.wallet, debt_minor=debt_minor)
        self._touch()

    def set_customer(self, customer: Customer) -> None:
        """Change what is known of the customer."""
        self.customer = customer
        self._touch()

    def _lot(self, lot_id: UUID) -> Lot:
        found = self.lots.get(lot_id) or self._state.closed.get(lot_id)
        return found or next(lot for lot in self._state.lots if lot.id == lot_id)

    def _reservations(self, hold_id: UUID) -> tuple[Reservation, ...]:
        return self.reservations.get(hold_id) or self._state.reservations[hold_id]

    def _touch(self, *, held_delta: int = 0) -> None:
        wallet = self.wallet
        self.wallet = replace(
            wallet, held_minor=wallet.held_minor + held_delta, version=wallet.version + 1, updated_at=self.now
        )

    def _post(
        self,
        signed_minor: int,
        explanation: Explanation,
        allocations: list[Allocation],
        *,
        hold_id: UUID | None = None,
        held_delta: int = 0,
        overdraft_delta: int = 0,
    ) -> Transaction:
        if sum(allocation.amount_minor for allocation in allocations) != signed_minor:
            raise AssertionError(f"allocations {allocations} do not add up to {signed_minor}")
        wallet = self.wallet
        transaction = Transaction(
            id=self.mint.id(),
            wallet_id=wallet.id,
            sequence=wallet.sequence + 1,
            reference=self.mint.reference("TX"),
            kind=explanation.kind,
            counter_account=COUNTER_ACCOUNTS[explanation.kind],
            amount_minor=signed_minor,
            balance_after_minor=wallet.posted_minor + signed_minor,
            currency=wallet.currency,
            reason=explanation.reason,
            note=explanation.note,
            actor=explanation.actor,
            corrects_id=explanation.corrects_id,
            hold_id=hold_id,
            created_at=self.now,
            allocations=tuple(allocations),
            order_id=explanation.order_id,
        )
        transaction.seal(wallet.head_hash)
        self.transactions.append(transaction)
        self.wallet = wallet.after(transaction, held_delta=held_delta, overdraft_delta=overdraft_delta)
        return transaction
