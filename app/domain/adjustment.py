"""Staff change a balance: a direction, an amount, a reason and a note."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from app.domain.access import Actor
from app.domain.bucket import Bucket
from app.domain.errors import CorrectionNotPossible, ExpiryInPast, ExpiryOnDebit, NotFound
from app.domain.ledger import Draft, Explanation, Transaction, TransactionKind
from app.domain.money import Currency


class Direction(StrEnum):
    """Which way money goes, seen from the wallet."""

    CREDIT = "CREDIT"
    """Money goes into the wallet."""
    DEBIT = "DEBIT"
    """Money goes out of the wallet."""


class AdjustmentReason(StrEnum):
    """What an adjustment is grouped by in reviews and reports."""

    GOODWILL = "GOODWILL"
    """A gesture after something went wrong."""
    RETURN = "RETURN"
    """Goods came back and their value is given as store credit."""
    DAMAGED_OR_MISSING = "DAMAGED_OR_MISSING"
    """Goods arrived broken, late, wrong or not at all."""
    PRICE_MATCH = "PRICE_MATCH"
    """The customer paid more than a price that the store honours."""
    PROMOTION = "PROMOTION"
    """A campaign that is not run by rules or coupons."""
    CORRECTION = "CORRECTION"
    """An earlier transaction was wrong."""
    CHARGEBACK = "CHARGEBACK"
    """A payment behind the balance was reversed by the bank."""
    ABUSE = "ABUSE"
    """Value that was obtained against the store's terms."""
    MIGRATION = "MIGRATION"
    """A balance that comes from another system."""
    OTHER = "OTHER"
    """None of the others; the note says what."""


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What staff asked for; the amount is positive, in minor units of the wallet's currency.

    `bucket` says where a credit goes (`CASH` when it isn't said) or which value a debit is limited to.
    """

    direction: Direction
    amount_minor: int
    reason: AdjustmentReason
    note: str
    actor: Actor
    bucket: Bucket | None = None
    expires_at: datetime | None = None
    corrects_id: UUID | None = None

    @property
    def change_minor(self) -> int:
        """What it does to the balance."""
        return self.amount_minor if self.direction is Direction.CREDIT else -self.amount_minor


def adjust(draft: Draft, adjustment: Adjustment) -> Transaction:
    """Post an adjustment.

    A debit obeys the store's negative-balance setting; one that is limited to a bucket other than cash never
    goes below zero. Raises `ExpiryInPast`, `ExpiryOnDebit`, `NotFound`, `CorrectionNotPossible`,
    `InsufficientFunds` or `BalanceTooLarge`.
    """
    if adjustment.corrects_id is not None:
        _correct(draft, adjustment, adjustment.corrects_id)
    explanation = Explanation(
        TransactionKind.ADJUSTMENT,
        adjustment.actor,
        adjustment.note,
        adjustment.reason,
        adjustment.corrects_id,
    )
    if adjustment.direction is Direction.CREDIT:
        if adjustment.expires_at is not None and adjustment.expires_at <= draft.now:
            raise ExpiryInPast
        return draft.credit(
            adjustment.amount_minor,
            explanation,
            bucket=adjustment.bucket or Bucket.CASH,
            expires_at=adjustment.expires_at,
        )
    if adjustment.expires_at is not None:
        raise ExpiryOnDebit
    buckets = frozenset(Bucket) if adjustment.bucket is None else frozenset({adjustment.bucket})
    return draft.debit(
        adjustment.amount_minor,
        explanation,
        buckets=buckets,
        credit_limit_minor=draft.settings.credit_limit_minor if Bucket.CASH in buckets else 0,
    )


def _correct(draft: Draft, adjustment: Adjustment, corrects_id: UUID) -> None:
    """Note that a transaction is corrected, or raise `NotFound` or `CorrectionNotPossible`.

    What takes it back takes no more than what earlier corrections left of it: two people who put the same mistake right
    would make another one.
    """
    standing = draft.correctable.get(corrects_id)
    if standing is None:
        raise NotFound("transaction", field=("corrects",))
    if standing.wallet_id != draft.wallet.id:
        raise CorrectionNotPossible(
            "The transaction to correct belongs to another wallet. Adjust the wallet that it belongs to."
        )
    change_minor = adjustment.change_minor
    takes_back = (change_minor < 0) == (standing.amount_minor > 0)
    if takes_back and adjustment.amount_minor > standing.left_minor:
        raise CorrectionNotPossible(_taken_back(standing.left_minor, draft.currency))
    draft.corrected(corrects_id, change_minor)


def _taken_back(left_minor: int, currency: Currency) -> str:
    if not left_minor:
        return (
            "This transaction was taken back already, nothing of it is left. Check its corrections; "
            "if money is to move all the same, leave `corrects` out."
        )
    return (
        f"Only {currency.display(left_minor)} of this transaction is left to take back. Choose an amount up to that, and post what goes "
        "beyond it as an adjustment of its own, without `corrects`."
    )
