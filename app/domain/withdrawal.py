"""The customer's request to be paid out: it holds its amount at once, and ends paid, rejected or cancelled."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from app.domain.access import Actor
from app.domain.errors import WalletFrozen, WithdrawalNotOpen
from app.domain.hold import HoldPurpose
from app.domain.ledger import WITHDRAWABLE, Draft, Explanation, TransactionKind, WalletStatus


class WithdrawalStatus(StrEnum):
    """How a withdrawal stands."""

    REQUESTED = "REQUESTED"
    """Its amount is held; the store has not decided yet."""
    PAID = "PAID"
    """The money was sent."""
    REJECTED = "REJECTED"
    """Staff refused it; the money is back in the wallet."""
    CANCELLED = "CANCELLED"
    """The customer took it back; the money is back in the wallet."""


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A request to be paid out; the amount is in minor units."""

    id: UUID
    wallet_id: UUID
    hold_id: UUID
    transaction_id: UUID | None
    reference: str
    status: WithdrawalStatus
    amount_minor: int
    currency: str
    note: str
    payout_reference: str | None
    requested_by: Actor
    decided_by: Actor | None
    decision_note: str | None
    created_at: datetime
    decided_at: datetime | None


def request(draft: Draft, amount_minor: int, *, note: str, actor: Actor) -> Withdrawal:
    """Hold the amount in withdrawable lots and write the request down.

    Raises `WalletFrozen`, or `InsufficientFunds` when less than that can be withdrawn.
    """
    if draft.wallet.status is WalletStatus.FROZEN:
        raise WalletFrozen
    hold = draft.reserve(amount_minor, HoldPurpose.WITHDRAWAL, buckets=WITHDRAWABLE)
    withdrawal = Withdrawal(
        id=draft.mint.id(),
        wallet_id=draft.wallet.id,
        hold_id=hold.id,
        transaction_id=None,
        reference=draft.mint.reference("WD"),
        status=WithdrawalStatus.REQUESTED,
        amount_minor=amount_minor,
        currency=draft.wallet.currency,
        note=note,
        payout_reference=None,
        requested_by=actor,
        decided_by=None,
        decision_note=None,
        created_at=draft.now,
        decided_at=None,
    )
    draft.add(withdrawal)
    return withdrawal


def give_back(
    draft: Draft, withdrawal: Withdrawal, status: WithdrawalStatus, *, note: str | None, actor: Actor
) -> Withdrawal:
    """End a request as cancelled or rejected: its hold goes back to its lots."""
    _require_open(withdrawal)
    draft.release(withdrawal.hold_id)
    return _decided(draft, withdrawal, status, note=note, actor=actor)


def pay(
    draft: Draft, withdrawal: Withdrawal, *, payout_reference: str | None, note: str | None, actor: Actor
) -> Withdrawal:
    """End a request as paid: what it held is captured and leaves the wallet. Raises `WalletFrozen`."""
    _require_open(withdrawal)
    if draft.wallet.status is WalletStatus.FROZEN:
        raise WalletFrozen(field=("withdrawalId",))
    explanation = Explanation(
        TransactionKind.WITHDRAWAL, actor, note or f"Withdrawal {withdrawal.reference} paid out"
    )
    transaction = draft.capture(withdrawal.hold_id, withdrawal.amount_minor, explanation)
    paid = replace(withdrawal, transaction_id=transaction.id, payout_reference=payout_reference)
    return _decided(draft, paid, WithdrawalStatus.PAID, note=note, actor=actor)


def _require_open(withdrawal: Withdrawal) -> None:
    if withdrawal.status is not WithdrawalStatus.REQUESTED:
        raise WithdrawalNotOpen(withdrawal.status)


def _decided(
    draft: Draft, withdrawal: Withdrawal, status: WithdrawalStatus, *, note: str | None, actor: Actor
) -> Withdrawal:
    decided = replace(withdrawal, status=status, decided_by=actor, decided_at=draft.now, decision_note=note)
    draft.add(decided)
    return decided
