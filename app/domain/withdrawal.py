"""The customer's request to be paid out, from the request to what the bank says in the end.

A request holds its amount at once, in withdrawable lots. Staff decide it; then the money is sent; then whoever
sent it says what became of it, late, twice or in any order. What is paid is captured; what is not goes back to the
very lots that it came from. Every step is a row of its own: who, when, why.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from app.domain.access import Actor, ActorKind
from app.domain.cashback.period import zone_of
from app.domain.errors import (
    FieldInvalid,
    InsufficientFunds,
    WalletFrozen,
    WithdrawalNotOpen,
    WithdrawalsDisabled,
)
from app.domain.hold import HoldPurpose
from app.domain.ledger import WITHDRAWABLE, Draft, Explanation, TransactionKind, WalletStatus
from app.domain.payout_method import PayoutMethodKind
from app.domain.withdrawal_allowance import Asked, check_limits, limits_of, waits_until
from app.domain.withdrawal_terms import MANUAL, FeePayer, WithdrawalTerms

SIGNAL_LIFETIME = timedelta(days=30)
"""How long a signal of fraud keeps a wallet's requests from being approved by themselves."""

AUTOMATIC = Actor(ActorKind.SYSTEM, "automatic-approval")
"""Who approves what the store's settings leave to no person."""


class WithdrawalStatus(StrEnum):
    """How a withdrawal stands."""

    REQUESTED = "REQUESTED"
    """Its amount is held; the store has not decided yet."""
    IN_REVIEW = "IN_REVIEW"
    """Somebody of the staff looks at it; its amount is held."""
    APPROVED = "APPROVED"
    """It is to be paid out; its amount is held."""
    PROCESSING = "PROCESSING"
    """The money is on its way, as far as is known; its amount is held and it can't be cancelled any more."""
    PAID = "PAID"
    """The money was sent."""
    FAILED = "FAILED"
    """The money could not be sent; it is back in the wallet."""
    RETURNED = "RETURNED"
    """The money was sent and came back; it is back in the wallet."""
    REJECTED = "REJECTED"
    """Staff refused it; the money is back in the wallet."""
    CANCELLED = "CANCELLED"
    """The customer took it back; the money is back in the wallet."""


_S = WithdrawalStatus

MOVES: dict[WithdrawalStatus, frozenset[WithdrawalStatus]] = {
    _S.REQUESTED: frozenset({_S.IN_REVIEW, _S.APPROVED, _S.PAID, _S.REJECTED, _S.CANCELLED}),
    _S.IN_REVIEW: frozenset({_S.APPROVED, _S.PAID, _S.REJECTED, _S.CANCELLED}),
    _S.APPROVED: frozenset({_S.IN_REVIEW, _S.PROCESSING, _S.PAID, _S.REJECTED, _S.CANCELLED}),
    _S.PROCESSING: frozenset({_S.PAID, _S.FAILED, _S.RETURNED}),
    _S.PAID: frozenset({_S.RETURNED}),
    _S.FAILED: frozenset(),
    _S.RETURNED: frozenset(),
    _S.REJECTED: frozenset(),
    _S.CANCELLED: frozenset(),
}
"""Which step may follow which. Where none follows, the withdrawal has ended; after paid, the money may come back."""

UNDER_WAY: frozenset[WithdrawalStatus] = frozenset({_S.REQUESTED, _S.IN_REVIEW, _S.APPROVED, _S.PROCESSING})
"""Its amount is held."""

GIVEN_BACK: frozenset[WithdrawalStatus] = frozenset({_S.REJECTED, _S.CANCELLED, _S.FAILED, _S.RETURNED})
"""Its amount is back in the wallet, so it counts for no limit any more."""


class WithdrawalProblem(StrEnum):
    """What staff must look at, because ledger and payer don't agree."""

    PAID_AFTER_END = "PAID_AFTER_END"
    """It was reported as paid after its money went back to the wallet: the customer may have it twice."""
    PAID_BEFORE_APPROVAL = "PAID_BEFORE_APPROVAL"
    """It was reported as paid though nobody had approved it."""


class PayoutOutcomeKind(StrEnum):
    """What whoever sends the money says of it."""

    ACCEPTED = "ACCEPTED"
    """They have taken it on, and work on it."""
    PAID = "PAID"
    """The money was sent."""
    FAILED = "FAILED"
    """The money can't be sent."""
    RETURNED = "RETURNED"
    """The money was sent and came back."""


@dataclass(frozen=True, slots=True)
class PayoutOutcome:
    """What a provider or a bank says of one withdrawal: as often and in whatever order as they like."""

    kind: PayoutOutcomeKind
    provider_reference: str | None = None
    """Their id of the payout."""
    payout_reference: str | None = None
    """What stands on the customer's statement, once it was paid."""
    note: str | None = None
    """What they say about it: why it failed."""


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A request to be paid out; the amounts are in minor units."""

    id: UUID
    wallet_id: UUID
    hold_id: UUID
    transaction_id: UUID | None
    """The transaction that took the money out."""
    reference: str
    status: WithdrawalStatus
    amount_minor: int
    """What leaves the wallet."""
    currency: str
    note: str
    payout_reference: str | None
    requested_by: Actor
    decided_by: Actor | None
    """Who ended it."""
    decision_note: str | None
    created_at: datetime
    decided_at: datetime | None
    method: str = MANUAL
    fee_minor: int = 0
    fee_payer: FeePayer = FeePayer.STORE
    payout_method_id: UUID | None = None
    provider: str | None = None
    """Who sends the money, once it is being sent."""
    provider_reference: str | None = None
    """Their id of the payout."""
    batch_reference: str | None = None
    """The export that it was sent with."""
    problem: WithdrawalProblem | None = None
    step_count: int = 1
    """How many steps it has taken: that of its newest one."""

    @property
    def charged_minor(self) -> int:
        """The fee that leaves the wallet beside what is sent."""
        return self.fee_minor if self.fee_payer is FeePayer.CUSTOMER else 0

    @property
    def sent_minor(self) -> int:
        """What the customer is sent."""
        return self.amount_minor - self.charged_minor


@dataclass(frozen=True, slots=True)
class WithdrawalStep:
    """One step of a withdrawal: never changed. The first has no status before it."""

    id: UUID
    withdrawal_id: UUID
    wallet_id: UUID
    number: int
    """1, 2, 3 … within its withdrawal."""
    from_status: WithdrawalStatus | None
    to_status: WithdrawalStatus
    actor: Actor
    note: str | None
    provider_reference: str | None
    problem: WithdrawalProblem | None
    """What is to be looked at from this step on."""
    created_at: datetime


# --- Asking -------------------------------------------------------------------------------------------------


def request(
    draft: Draft,
    amount_minor: int,
    *,
    note: str,
    actor: Actor,
    method: str | None = None,
    payout_method_id: UUID | None = None,
) -> Withdrawal:
    """Hold the amount in withdrawable lots and write the request down; approve it where no person needs to.

    The command asks for the wallet's past requests (`Command.withdraws`). Raises `WithdrawalsDisabled`,
    `WalletFrozen`, `FieldInvalid` for a method that is not allowed, `WithdrawalOutOfLimits`, or `InsufficientFunds`
    when less than that can be withdrawn.
    """
    terms, zone = draft.settings.withdrawals, zone_of(draft.settings.time_zone)
    if not terms.enabled:
        raise WithdrawalsDisabled
    if draft.wallet.status is WalletStatus.FROZEN:
        raise WalletFrozen
    method = _method_of(terms, method, payout_method_id)
    check_limits(amount_minor, terms, limits_of(terms, asked_before(draft), zone, draft.now), draft.currency)
    lots = {
        lot.id
        for lot in draft.drawable(WITHDRAWABLE)
        if not waits_until(lot, draft.topped_up, terms, zone, draft.now)
    }
    _require_beyond_debt(draft, amount_minor, lots)
    hold = draft.reserve(amount_minor, HoldPurpose.WITHDRAWAL, buckets=WITHDRAWABLE, lots=lots)
    withdrawal = Withdrawal(
        id=draft.mint.id(),
        wallet_id=draft.wallet.id,
        hold_id=hold.id,
        transaction_id=None,
        reference=draft.mint.reference("WD"),
        status=_S.REQUESTED,
        amount_minor=amount_minor,
        currency=draft.wallet.currency,
        note=note,
        payout_reference=None,
        requested_by=actor,
        decided_by=None,
        decision_note=None,
        created_at=draft.now,
        decided_at=None,
        method=method,
        fee_minor=terms.fee_minor(amount_minor),
        fee_payer=terms.fee_payer,
        payout_method_id=payout_method_id,
    )
    draft.add(withdrawal)
    draft.add(_step_of(draft, withdrawal, None, actor=actor, note=note or None))
    if _needs_nobody(draft, amount_minor):
        return _move(draft, withdrawal, _S.APPROVED, actor=AUTOMATIC, note=None)
    return withdrawal


def _method_of(terms: WithdrawalTerms, method: str | None, payout_method_id: UUID | None) -> str:
    """Return the way of paying out that is meant, or raise `FieldInvalid`."""
    method = method or terms.methods[0]
    if method not in terms.methods:
        raise FieldInvalid(
            f"The store pays out by {', '.join(terms.methods)}. Choose one of these.", field=("method",)
        )
    if payout_method_id is None and method in set(PayoutMethodKind):
        raise FieldInvalid(
            f"Money by {method} goes to a payout method. Choose one of the wallet's, or add one first.",
            field=("payoutMethodId",),
        )
    return method


def _require_beyond_debt(draft: Draft, amount_minor: int, lots: set[UUID]) -> None:
    """Raise `InsufficientFunds` for what cashback is to be taken back from as soon as it can be: it must not leave."""
    left = draft.unspent_minor(lots) - draft.wallet.debt_minor
    if amount_minor > left:
        left = max(0, left)
        raise InsufficientFunds(
            available_minor=left, available=draft.currency.display(left), withdrawable=True
        )


def asked_before(draft: Draft) -> list[Asked]:
    """Return the wallet's requests that count for its limits, as the command's batch knows them."""
    return [
        (earlier.created_at, earlier.amount_minor)
        for earlier in draft.known(Withdrawal)
        if earlier.wallet_id == draft.wallet.id and earlier.status not in GIVEN_BACK
    ]


def _needs_nobody(draft: Draft, amount_minor: int) -> bool:
    if amount_minor >= draft.settings.withdrawals.auto_approve_below_minor:
        return False
    return draft.signalled_at is None or draft.signalled_at <= draft.now - SIGNAL_LIFETIME


# --- Deciding -----------------------------------------------------------------------------------------------


def take_into_review(draft: Draft, withdrawal: Withdrawal, *, note: str | None, actor: Actor) -> Withdrawal:
    """Say that somebody looks at it. Raises `WithdrawalNotOpen`."""
    require_move(withdrawal, _S.IN_REVIEW)
    return _move(draft, withdrawal, _S.IN_REVIEW, actor=actor, note=note)


def approve(draft: Draft, withdrawal: Withdrawal, *, note: str | None, actor: Actor) -> Withdrawal:
    """Decide that it is to be paid out. Raises `WithdrawalNotOpen` or `WalletFrozen`."""
    require_move(withdrawal, _S.APPROVED)
    _require_not_frozen(draft)
    return _move(draft, withdrawal, _S.APPROVED, actor=actor, note=note)


def give_back(
    draft: Draft, withdrawal: Withdrawal, status: WithdrawalStatus, *, note: str | None, actor: Actor
) -> Withdrawal:
    """End it before anything was sent, as cancelled or rejected: its hold goes back to its lots.

    Raises `WithdrawalNotOpen` once it is processing.
    """
    if status not in {_S.CANCELLED, _S.REJECTED}:
        raise AssertionError(f"nothing is given back by the status {status}")
    require_move(withdrawal, status)
    draft.release(withdrawal.hold_id)
    return _move(draft, withdrawal, status, actor=actor, note=note)


def start_processing(
    draft: Draft,
    withdrawal: Withdrawal,
    *,
    actor: Actor,
    note: str | None = None,
    provider: str | None = None,
    provider_reference: str | None = None,
    batch_reference: str | None = None,
) -> Withdrawal:
    """Say that the money is being sent: from here on only an outcome ends it.

    Whoever calls a provider does this first, so that a call that times out is not made for another one. Raises
    `WithdrawalNotOpen` or `WalletFrozen`.
    """
    require_move(withdrawal, _S.PROCESSING)
    _require_not_frozen(draft)
    sent = replace(
        withdrawal, provider=provider, provider_reference=provider_reference, batch_reference=batch_reference
    )
    return _move(draft, sent, _S.PROCESSING, actor=actor, note=note, provider_reference=provider_reference)


# --- What became of the money -------------------------------------------------------------------------------


def pay(
    draft: Draft,
    withdrawal: Withdrawal,
    *,
    payout_reference: str | None,
    note: str | None,
    actor: Actor,
    provider_reference: str | None = None,
) -> Withdrawal:
    """Write down that the money was sent: what it held is captured and leaves the wallet, the fee too.

    Raises `WithdrawalNotOpen`; and `WalletFrozen`, unless the money was being sent before.
    """
    require_move(withdrawal, _S.PAID)
    if withdrawal.status is not _S.PROCESSING:
        _require_not_frozen(draft)
    return _captured(
        draft, withdrawal, PayoutOutcome(_K.PAID, provider_reference, payout_reference, note), actor
    )


def fail(
    draft: Draft,
    withdrawal: Withdrawal,
    *,
    note: str | None,
    actor: Actor,
    provider_reference: str | None = None,
) -> Withdrawal:
    """Write down that the money could not be sent: its hold goes back to its lots. Raises `WithdrawalNotOpen`."""
    require_move(withdrawal, _S.FAILED)
    draft.release(withdrawal.hold_id)
    return _move(draft, withdrawal, _S.FAILED, actor=actor, note=note, provider_reference=provider_reference)


def take_back(
    draft: Draft,
    withdrawal: Withdrawal,
    *,
    note: str | None,
    actor: Actor,
    provider_reference: str | None = None,
) -> Withdrawal:
    """Write down that the money was sent and came back: all of it, the fee too, goes to the lots that it came from.

    Raises `WithdrawalNotOpen`.
    """
    require_move(withdrawal, _S.RETURNED)
    if withdrawal.status is _S.PAID:
        if withdrawal.charged_minor:
            fee = Explanation(
                TransactionKind.FEE, actor, f"Fee of withdrawal {withdrawal.reference} given back"
            )
            draft.give_back(withdrawal.hold_id, withdrawal.charged_minor, fee)
        came_back = note or f"Withdrawal {withdrawal.reference} came back"
        explanation = Explanation(TransactionKind.WITHDRAWAL, actor, came_back)
        draft.give_back(withdrawal.hold_id, withdrawal.sent_minor, explanation)
    else:
        draft.release(withdrawal.hold_id)
    return _move(
        draft, withdrawal, _S.RETURNED, actor=actor, note=note, provider_reference=provider_reference
    )


def settle_outcome(
    draft: Draft, withdrawal: Withdrawal, outcome: PayoutOutcome, *, actor: Actor
) -> Withdrawal:
    """Bring a withdrawal to where its outcomes say that it is; what is told twice changes nothing.

    Refuses nothing, because what is told has happened. What was paid and then failed has come back. What is said to be
    paid after its money went back to the wallet is never captured again: it is marked for the staff, until it is said
    to have come back.
    """
    if outcome.kind is _K.PAID:
        return _told_paid(draft, withdrawal, outcome, actor)
    if outcome.kind is _K.ACCEPTED:
        return _told_accepted(draft, withdrawal, outcome, actor)
    return _told_unpaid(draft, withdrawal, outcome, actor)


def _told_accepted(draft: Draft, withdrawal: Withdrawal, outcome: PayoutOutcome, actor: Actor) -> Withdrawal:
    theirs = outcome.provider_reference
    if withdrawal.status is not _S.PROCESSING or theirs in {None, withdrawal.provider_reference}:
        return withdrawal
    known = replace(withdrawal, provider_reference=theirs)
    return _move(draft, known, _S.PROCESSING, actor=actor, note=outcome.note, provider_reference=theirs)


def _told_unpaid(draft: Draft, withdrawal: Withdrawal, outcome: PayoutOutcome, actor: Actor) -> Withdrawal:
    status, note, theirs = withdrawal.status, outcome.note, outcome.provider_reference
    if status is _S.PAID or (status is _S.PROCESSING and outcome.kind is _K.RETURNED):
        return take_back(draft, withdrawal, actor=actor, note=note, provider_reference=theirs)
    if status is _S.PROCESSING:
        return fail(draft, withdrawal, actor=actor, note=note, provider_reference=theirs)
    if withdrawal.problem is WithdrawalProblem.PAID_AFTER_END:
        # What should not have been sent has come back, so both sides agree again.
        agreed = replace(withdrawal, problem=None)
        return _move(draft, agreed, status, actor=actor, note=note, provider_reference=theirs)
    # It has ended with its money in the wallet, or nothing was sent as far as is known: there is nothing to give back.
    return withdrawal


def _told_paid(draft: Draft, withdrawal: Withdrawal, outcome: PayoutOutcome, actor: Actor) -> Withdrawal:
    if withdrawal.status is _S.PAID:
        return withdrawal
    if withdrawal.status in UNDER_WAY:
        if withdrawal.status in {_S.REQUESTED, _S.IN_REVIEW}:
            withdrawal = replace(withdrawal, problem=WithdrawalProblem.PAID_BEFORE_APPROVAL)
        return _captured(draft, withdrawal, outcome, actor)
    if withdrawal.status is _S.RETURNED or withdrawal.problem is WithdrawalProblem.PAID_AFTER_END:
        # What came back was paid before: this only comes late.
        return withdrawal
    troubled = replace(withdrawal, problem=WithdrawalProblem.PAID_AFTER_END)
    return _move(
        draft,
        troubled,
        withdrawal.status,
        actor=actor,
        note=outcome.note,
        provider_reference=outcome.provider_reference,
    )


def resolve_problem(draft: Draft, withdrawal: Withdrawal, *, note: str, actor: Actor) -> Withdrawal:
    """Write down that staff have looked at what ledger and payer did not agree on. Raises `WithdrawalNotOpen`."""
    if withdrawal.problem is None:
        raise WithdrawalNotOpen(withdrawal.status, nothing_to_resolve=True)
    return _move(draft, replace(withdrawal, problem=None), withdrawal.status, actor=actor, note=note)


_K = PayoutOutcomeKind


def _captured(draft: Draft, withdrawal: Withdrawal, outcome: PayoutOutcome, actor: Actor) -> Withdrawal:
    note = outcome.note or f"Withdrawal {withdrawal.reference} paid out"
    explanation = Explanation(TransactionKind.WITHDRAWAL, actor, note)
    transaction = draft.capture(withdrawal.hold_id, withdrawal.sent_minor, explanation)
    if withdrawal.charged_minor:
        fee = Explanation(TransactionKind.FEE, actor, f"Fee of withdrawal {withdrawal.reference}")
        draft.capture(withdrawal.hold_id, withdrawal.charged_minor, fee)
    paid = replace(
        withdrawal,
        transaction_id=transaction.id,
        payout_reference=outcome.payout_reference or withdrawal.payout_reference,
        provider_reference=outcome.provider_reference or withdrawal.provider_reference,
    )
    return _move(
        draft, paid, _S.PAID, actor=actor, note=outcome.note, provider_reference=outcome.provider_reference
    )


# --- Steps --------------------------------------------------------------------------------------------------


def require_move(withdrawal: Withdrawal, status: WithdrawalStatus) -> None:
    """Raise `WithdrawalNotOpen` unless this step may follow: whoever lost a race learns what the other one did."""
    if status not in MOVES[withdrawal.status]:
        raise WithdrawalNotOpen(withdrawal.status)


def _require_not_frozen(draft: Draft) -> None:
    if draft.wallet.status is WalletStatus.FROZEN:
        raise WalletFrozen(field=("withdrawalId",))


def _move(
    draft: Draft,
    withdrawal: Withdrawal,
    status: WithdrawalStatus,
    *,
    actor: Actor,
    note: str | None,
    provider_reference: str | None = None,
) -> Withdrawal:
    before = withdrawal.status
    moved = replace(withdrawal, status=status, step_count=withdrawal.step_count + 1)
    if status is not before and status not in UNDER_WAY:
        moved = replace(moved, decided_by=actor, decided_at=draft.now, decision_note=note)
    draft.add(moved)
    draft.add(_step_of(draft, moved, before, actor=actor, note=note, provider_reference=provider_reference))
    return moved


def _step_of(
    draft: Draft,
    withdrawal: Withdrawal,
    before: WithdrawalStatus | None,
    *,
    actor: Actor,
    note: str | None,
    provider_reference: str | None = None,
) -> WithdrawalStep:
    return WithdrawalStep(
        id=draft.mint.id(),
        withdrawal_id=withdrawal.id,
        wallet_id=withdrawal.wallet_id,
        number=withdrawal.step_count,
        from_status=before,
        to_status=withdrawal.status,
        actor=actor,
        note=note,
        provider_reference=provider_reference,
        problem=withdrawal.problem,
        created_at=draft.now,
    )
