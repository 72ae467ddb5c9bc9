"""What the doors hand to the writer, and what they get back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from uuid import UUID

import orjson

from app.domain.access import Actor
from app.domain.cashback.rule import TriggerKind
from app.domain.customer import Customer
from app.domain.ledger import Desk, Draft, Row, Transaction, Wallet

OWN_KEY_PREFIX = "auto:"
"""How keys begin that the writer chose itself; callers can't choose such a key."""


@dataclass(frozen=True, slots=True)
class WalletRef:
    """Names a wallet by exactly one of its id, its customer's id, or the store's own id of the customer."""

    wallet_id: UUID | None = None
    customer_id: UUID | None = None
    external_id: str | None = None


@dataclass(frozen=True, slots=True)
class IdempotencyClaim:
    """A key chosen by the caller, within the caller's scope, for one request.

    `request_hash` covers the command's name and its whole input.
    """

    scope: str
    key: str
    request_hash: bytes

    @classmethod
    def own(cls, actor: Actor, unique: str) -> "IdempotencyClaim":
        """Return a claim for a command whose caller chose no key."""
        return cls(f"{actor.kind}:{actor.id}", f"{OWN_KEY_PREFIX}{unique}", b"")

    @property
    def is_own(self) -> bool:
        """Whether the writer chose the key."""
        return self.key.startswith(OWN_KEY_PREFIX)

    @classmethod
    def of(cls, actor: Actor, key: str, command: str, request: Mapping[str, Any]) -> "IdempotencyClaim":
        """Return the claim of one request; `request` is its whole input as plain data."""
        content = orjson.dumps([command, request], option=orjson.OPT_SORT_KEYS, default=str)
        return cls(f"{actor.kind}:{actor.id}", key, sha256(content).digest())


@dataclass(frozen=True, slots=True)
class Command:
    """Something that moves money, or stands beside it, decided against the wallet that it names.

    `decide` is pure: it works on the draft it is given and returns the row that answers the caller, or
    raises a `DomainError`. With `opens`, a customer and a wallet that are missing are created. `holds` and
    `rows` name what must be loaded beside the wallet, by id and (for rows) type; with an order come its payments,
    their holds, its refunds and its awards. `earns` are the occasions that it may bring about: the rules that wait for
    them come along. With `tops_up` comes what the limits of top-ups are worked out from, and the wallet's rules. One that
    `withdraws` gets the wallet's past requests, which of its lots were topped up, and when something odd was last noticed.
    One that `corrects` a transaction gets how that stands.
    """

    name: str
    actor: Actor
    wallet: WalletRef
    decide: Callable[[Draft], Row | None]
    claim: IdempotencyClaim | None = None
    opens: bool = False
    holds: tuple[UUID, ...] = ()
    rows: tuple[tuple[type[Row], UUID], ...] = ()
    earns: tuple[TriggerKind, ...] = ()
    tops_up: bool = False
    withdraws: bool = False
    corrects: UUID | None = None

    @property
    def needs_only_its_wallet(self) -> bool:
        """Whether it is decided on the wallet alone, its customer and its open lots: nothing else is loaded for it."""
        return not (self.holds or self.rows or self.earns or self.tops_up or self.withdraws or self.corrects)


@dataclass(frozen=True, slots=True)
class DeskCommand:
    """A command that concerns no wallet, such as a change of the settings.

    `tables` are the small tables beside the ledger that it is decided against, whole: locked in this order.
    `rows` name rows as a `Command` does. A `repeatable` one may be decided twice without harm, so no key is kept for it.
    """

    name: str
    actor: Actor
    decide: Callable[[Desk], Row | None]
    claim: IdempotencyClaim | None = None
    tables: tuple[type[Row], ...] = ()
    rows: tuple[tuple[type[Row], UUID], ...] = ()
    repeatable: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to a command that was accepted, now or earlier (`replayed`).

    `result` names what the first answer held: the kind of row and the ids. The records are there when it was
    accepted now; after a replay they are read from the database by those ids.
    """

    result: dict[str, str]
    replayed: bool = False
    wallet: Wallet | None = None
    customer: Customer | None = None
    answer: Row | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """A claim that is already in the database."""

    request_hash: bytes
    result: dict[str, str]


@dataclass(slots=True)
class Writes:
    """All that a batch writes, gathered over its accepted commands; the last value of a row wins."""

    customers: dict[UUID, Customer] = field(default_factory=dict)
    new_customers: dict[UUID, Customer] = field(default_factory=dict)
    wallets: dict[UUID, Wallet] = field(default_factory=dict)
    new_wallets: dict[UUID, Wallet] = field(default_factory=dict)
    transactions: list[Transaction] = field(default_factory=list)
    lots: dict[UUID, Any] = field(default_factory=dict)
    holds: dict[UUID, Any] = field(default_factory=dict)
    reservations: dict[UUID, Any] = field(default_factory=dict)
    rows: dict[UUID, Row] = field(default_factory=dict)
    claims: list[tuple[IdempotencyClaim, str, dict[str, str]]] = field(default_factory=list)
