"""What a verification finds: faults, totals and figures."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID


class Invariant(StrEnum):
    """What must hold, and was found broken."""

    SEQUENCE = "SEQUENCE"
    """A wallet's transactions are numbered 1, 2, 3 … with no gap, up to the number that the wallet names."""
    BALANCE = "BALANCE"
    """Each balance is the one before plus the amount; the wallet's is the last."""
    CURRENCY = "CURRENCY"
    """Every transaction is in its wallet's currency."""
    ALLOCATION = "ALLOCATION"
    """The allocations of a transaction add up to its amount, on lots of its own wallet."""
    DOUBLE_ENTRY = "DOUBLE_ENTRY"
    """Each transaction names the counter account of its kind; all wallets and counter accounts add up to zero."""
    HASH = "HASH"
    """Each hash covers its transaction and the hash before; the wallet's head is the last."""
    LOT = "LOT"
    """A lot was opened by the transaction that it names, and holds what its allocations add up to."""
    HOLD = "HOLD"
    """What wallets, lots and holds say is held agrees with the reservations and the captures."""
    PAYMENT = "PAYMENT"
    """What a payment says was held, captured and given back agrees with its hold."""
    ORDER = "ORDER"
    """What an order moved is what its payments gave and its refunds credited, in its own wallet."""
    WITHDRAWAL = "WITHDRAWAL"
    """What a withdrawal says agrees with its hold, with what it moved, and with the steps that it took."""
    TOP_UP = "TOP_UP"
    """What a top-up says it kept is what it credited; what was started or asked for is paid by money of its own wallet."""
    AWARD = "AWARD"
    """What awards and coupons say agrees with what was posted of them, with what is owed, and with their rules' and
    promotions' totals."""
    GIFT_CARD = "GIFT_CARD"
    """A gift card's history adds up to its balance, unbroken; what left it for wallets arrived there, once."""
    OVERDRAFT = "OVERDRAFT"
    """The overdraft is what debits took beyond the lots, less what credits settled."""
    REFERENCE = "REFERENCE"
    """What a row names exists."""
    IDEMPOTENCY = "IDEMPOTENCY"
    """What an idempotency key answers with exists."""
    CONTENT = "CONTENT"
    """Every row can be read as what it is."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The first fault of a wallet; `sequence` names the transaction (or the one that opened the lot), if one is at fault.

    `wallet_id` is the one that the faulty row names, whether it exists or not; a row that leads to none has none.
    """

    wallet_id: UUID | None
    sequence: int | None
    invariant: Invariant
    message: str


@dataclass(frozen=True, slots=True)
class Total:
    """One currency: all wallets on one side, the counter accounts on the other, in minor units."""

    currency: str
    wallets_minor: int
    counter_accounts_minor: Mapping[str, int]

    @property
    def difference_minor(self) -> int:
        """What is left when both sides are added; anything but zero is a fault."""
        return self.wallets_minor + sum(self.counter_accounts_minor.values())


class Phase(StrEnum):
    """What a verification is at."""

    WALLETS = "WALLETS"
    """Balances, lots and hashes, wallet by wallet; counted in transactions."""
    HOLDS = "HOLDS"
    """Holds against reservations and captures."""
    PAYMENTS = "PAYMENTS"
    """Payments against their holds."""
    ORDERS = "ORDERS"
    """Orders against their transactions, payments and refunds."""
    WITHDRAWALS = "WITHDRAWALS"
    """Withdrawals against their holds, what they moved, and their steps."""
    PAYOUTS = "PAYOUTS"
    """What providers told of payouts against what became of the withdrawals."""
    TOP_UPS = "TOP_UPS"
    """Top-ups against what they credited; started and automatic ones against the money that came."""
    AWARDS = "AWARDS"
    """Awards against what was posted, what is owed, and the totals of their rules."""
    GIFT_CARDS = "GIFT_CARDS"
    """Gift cards against their histories, and against the wallets that they were redeemed into."""
    REFERENCES = "REFERENCES"
    """Rows against those that they name."""
    KEYS = "KEYS"
    """Idempotency keys against what they answer with."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one phase is, in rows; the total was counted at its start."""

    phase: Phase
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Report:
    """What was verified and what was found: at most one fault a wallet."""

    wallets: int
    transactions: int
    faults: Sequence[Fault]
    totals: Sequence[Total]
    duration_s: float

    @property
    def is_clean(self) -> bool:
        """Whether the whole ledger is as it must be."""
        return not self.faults and not any(total.difference_minor for total in self.totals)

    def as_data(self) -> dict[str, Any]:
        """Return the report as plain data, for JSON."""
        # PostgreSQL's driver gives ids of a class of its own, which JSON encoders refuse.
        faults = [
            asdict(fault) | {"wallet_id": fault.wallet_id and str(fault.wallet_id)} for fault in self.faults
        ]
        totals = [asdict(total) | {"difference_minor": total.difference_minor} for total in self.totals]
        return asdict(self) | {"faults": faults, "totals": totals, "is_clean": self.is_clean}


@dataclass(slots=True)
class Findings:
    """What has been found so far. Only the first fault of each wallet is kept, so memory grows with faults alone."""

    wallets: int = 0
    transactions: int = 0
    faults: dict[UUID, Fault] = field(default_factory=dict)
    nameless: list[Fault] = field(default_factory=list)
    in_wallets: Counter[str] = field(default_factory=Counter)
    in_counter_accounts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, fault: Fault) -> None:
        """Keep a fault unless its wallet has one already."""
        if fault.wallet_id is None:
            self.nameless.append(fault)
        else:
            self.faults.setdefault(fault.wallet_id, fault)

    def report(self, duration_s: float) -> Report:
        """Return the report of all this."""
        currencies = sorted({*self.in_wallets, *(currency for currency, _ in self.in_counter_accounts)})
        totals = [
            Total(
                currency,
                self.in_wallets[currency],
                {
                    account: amount_minor
                    for (of, account), amount_minor in sorted(self.in_counter_accounts.items())
                    if of == currency
                },
            )
            for currency in currencies
        ]
        faults = [*sorted(self.faults.values(), key=lambda fault: str(fault.wallet_id)), *self.nameless]
        return Report(self.wallets, self.transactions, faults, totals, duration_s)
