"""What a provider told of payouts, kept as it was told: so that what only one side knows can be found."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid5

from app.domain.withdrawal import PayoutOutcomeKind

_NAMESPACE = UUID("5b0f6f0e-9a5e-5d43-9d0e-7c2a4b1f6e10")


@dataclass(frozen=True, slots=True)
class PayoutMessage:
    """One message of a provider about one payout: never changed, and kept once however often it is told."""

    id: UUID
    provider: str
    external_id: str
    """The provider's own id of the message."""
    withdrawal_id: UUID | None
    """The withdrawal that it is about; none when this side knows nothing of it."""
    provider_reference: str | None
    kind: PayoutOutcomeKind
    received_at: datetime


def message_id(provider: str, external_id: str) -> UUID:
    """Return the id of a message, which follows from the provider's own."""
    return uuid5(_NAMESPACE, f"{provider}\n{external_id}")


class DiscrepancyKind(StrEnum):
    """What ledger and provider don't agree on."""

    OUTCOME_DIFFERS = "OUTCOME_DIFFERS"
    """The provider says that money was sent which the ledger gave back to the wallet, or which nobody had approved."""
    NOT_CONFIRMED = "NOT_CONFIRMED"
    """It was handed to the provider, who has confirmed nothing so far: they may not know of it."""
    NO_OUTCOME = "NO_OUTCOME"
    """The provider took it on long ago and has not said what became of it."""
    UNKNOWN_PAYOUT = "UNKNOWN_PAYOUT"
    """The provider tells of a payout that belongs to no withdrawal."""
