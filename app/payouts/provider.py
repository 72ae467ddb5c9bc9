"""The small interface that every payout provider has, whoever sends the money in the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from app.domain.money import Currency
from app.domain.payout_method import PayoutMethodKind
from app.domain.withdrawal import PayoutOutcome

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class PayoutOrder:
    """What a provider is to send. The withdrawal's id is the provider's idempotency key: one id, one payout."""

    withdrawal_id: UUID
    reference: str
    amount_minor: int
    currency: Currency
    kind: PayoutMethodKind
    details: Mapping[str, str]
    handed_over_at: datetime
    """When it became processing: before that, the provider can't know of it."""
    provider_reference: str | None = None
    """The provider's own id of it, once it is known."""

    def __repr__(self) -> str:
        # Details stay out of logs and of the messages of exceptions.
        return f"PayoutOrder({self.withdrawal_id})"


class Knowledge(StrEnum):
    """What an answer tells, beyond an outcome."""

    TOLD = "TOLD"
    """The provider has said how the payout stands."""
    UNCERTAIN = "UNCERTAIN"
    """Nobody knows: no answer came, or one that says nothing. The payout may have been made."""
    NO_SUCH_PAYOUT = "NO_SUCH_PAYOUT"
    """The provider says for certain that it knows of no payout with this id."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider answered about one payout; `why` is for the log, and names no details."""

    knowledge: Knowledge
    outcome: PayoutOutcome | None = None
    why: str = ""

    @classmethod
    def uncertain(cls, why: str) -> "Answer":
        """Return that nobody knows, and why."""
        return cls(Knowledge.UNCERTAIN, why=why)


@dataclass(frozen=True, slots=True)
class Told:
    """A message of a provider: its own id, which payout it is about, and what became of it."""

    external_id: str
    withdrawal_id: UUID | None
    provider_reference: str | None
    outcome: PayoutOutcome


class Provider(Protocol):
    """Who sends money. What is asked here raises nothing for a provider that is slow, down or wrong."""

    name: str
    """What withdrawals and the address of its webhook call it."""
    kinds: frozenset[PayoutMethodKind]
    """The kinds of payout methods that it pays out to by itself; none for one who is a person."""
    sends_again_for: timedelta
    """For how long the provider surely remembers an id: within it, an order whose payout it doesn't know of may be
    handed over again under the same id. Later, staff look at it."""

    async def send(self, order: PayoutOrder) -> Answer:
        """Have the money sent. Called again with the same order, a provider makes no second payout."""

    async def outcome(self, order: PayoutOrder) -> Answer:
        """Ask how a payout stands that was handed over before."""

    def translate(self, headers: Headers, body: bytes, now: datetime) -> Told | None:
        """Translate a webhook; none where nothing follows from it.

        Raises `NotAuthentic` for one that the provider did not sign, `Untranslatable` for one that can't be understood.
        """

    async def close(self) -> None:
        """Close what is open."""
