"""What subscribers are given, why they may be refused, and what the hub asks of the database."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from app.domain.ledger import Transaction, Wallet


class UpdateKind(StrEnum):
    """Why a subscriber is told something."""

    SNAPSHOT = "SNAPSHOT"
    """The present state: nothing before it is missing any more."""
    TRANSACTION = "TRANSACTION"
    """A transaction was posted. Each sequence number comes exactly once, in order."""
    STATE = "STATE"
    """The wallet changed without a transaction: a hold, a release, a freeze. Several may come as one."""


@dataclass(frozen=True, slots=True)
class WalletUpdate:
    """One thing that happened to a wallet.

    `sequence` is where a client resumes from. `wallet` is the newest state that is known, so that what a
    screen shows never goes back: when several transactions wait, it may be newer than `transaction`, whose
    own `balance_after_minor` tells the balance at that point.
    """

    kind: UpdateKind
    wallet: Wallet
    transaction: Transaction | None
    sequence: int
    shown: list[Any] = field(default_factory=list, compare=False, repr=False)
    """Room for what is made of it to show it: made once, because many are given the same update."""


class InvalidResume(ValueError):
    """The sequence number to resume from is not one that the wallet has reached."""


class UnknownWallet(LookupError):
    """There is no wallet with that id."""


class LiveUnavailable(Exception):
    """The database kept failing while a wallet was read; subscribe again, with the last sequence number."""


class SubscriberTooSlow(Exception):
    """The subscriber fell so far behind that even the list of what it missed is too long; subscribe again."""


class Source(Protocol):
    """How the hub reads what is committed. Allocations of transactions may be left empty."""

    async def wallets(self, wallet_ids: Collection[UUID]) -> Sequence[Wallet]:
        """Return the present state of those of the wallets that exist."""

    async def versions(self, wallet_ids: Collection[UUID]) -> Mapping[UUID, tuple[int, datetime]]:
        """Return the versions of those of the wallets that exist, each with the time of the change that made it."""

    async def transactions(self, wallet_id: UUID, after: int, limit: int) -> Sequence[Transaction]:
        """Return a wallet's first transactions after a sequence number, in order."""

    async def transactions_of(self, positions: Mapping[UUID, int], limit: int) -> Sequence[Transaction]:
        """Return transactions of many wallets, each after its own sequence number, in order of wallet and sequence.

        The limit cuts the whole answer.
        """

    async def sequences_before(self, wallet_ids: Collection[UUID], before: datetime) -> Mapping[UUID, int]:
        """Return for each wallet the last sequence number that was posted before a time, or 0."""

    async def sequences_since(self, since: datetime) -> Mapping[UUID, int]:
        """Return the last sequence number of each wallet that posted something since a time."""
