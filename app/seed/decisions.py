"""What can happen to a wallet in the story: pure decisions, as the ledger's writer takes them.

A story must not depend on what was refused: a decision that the ledger would refuse does nothing instead, so that
its idempotency key is taken and it does not happen when the story is told again.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from app.domain import gift_card, wallet
from app.domain.access import Actor
from app.domain.adjustment import Adjustment, adjust
from app.domain.bucket import Bucket
from app.domain.errors import DomainError
from app.domain.gift_card import CardCode, CardOrder, GiftCardAccount
from app.domain.ledger import Draft, Explanation, Row, TransactionKind
from app.domain.withdrawal import (
    Withdrawal,
    WithdrawalStatus,
    approve,
    fail,
    give_back,
    pay,
    request,
    start_processing,
    take_back,
    take_into_review,
)
from app.seed.people import Person

Decision = Callable[[Draft, UUID | None], Row | None]
"""Takes the draft and the id of what an earlier event answered with, if the event refers to one."""


def register(person: Person) -> Decision:
    """The customer signs up."""

    def decide(draft: Draft, _: UUID | None) -> Row | None:
        draft.set_customer(
            replace(draft.customer, name=person.name, email=person.email, updated_at=draft.now)
        )
        return None

    return decide


def credit(
    amount_minor: int,
    explanation: Explanation,
    *,
    bucket: Bucket = Bucket.CASH,
    expires_after_days: int | None = None,
) -> Decision:
    """Value comes in."""

    def decide(draft: Draft, _: UUID | None) -> Row | None:
        expires_at = None if expires_after_days is None else draft.now + timedelta(days=expires_after_days)
        return draft.credit(amount_minor, explanation, bucket=bucket, expires_at=expires_at)

    return decide


def redeem_gift_card(amount_minor: int, code: CardCode, seller: Actor, customer: Actor) -> Decision:
    """The customer redeems a gift card that was just sold to somebody."""

    def decide(draft: Draft, _: UUID | None) -> Row | None:
        wanted = [(CardOrder(amount_minor, note="Sold in the shop"), code)]
        (card,) = gift_card.issue(
            draft, wanted, draft.wallet.currency, GiftCardAccount.FUNDING, seller, active=True
        )
        return gift_card.redeem(draft, card, None, customer)

    return _or_nothing(decide)


def purchase(amount_minor: int, explanation: Explanation) -> Decision:
    """The customer pays an order with the wallet, if there is enough in it."""
    return _or_nothing(lambda draft, _: draft.debit(amount_minor, explanation))


def spend_all(explanation: Explanation) -> Decision:
    """The customer pays a part of an order with all there is."""
    return _or_nothing(lambda draft, _: draft.debit(draft.wallet.available_minor(), explanation))


def adjusted(adjustment: Adjustment) -> Decision:
    """Staff change the balance; with an earlier event, to put its transaction right."""

    def decide(draft: Draft, earlier: UUID | None) -> Row | None:
        if earlier is None:
            return adjust(draft, adjustment)
        return adjust(draft, replace(adjustment, corrects_id=earlier))

    return _or_nothing(decide)


def bonus(adjustment: Adjustment, lasts_days: int) -> Decision:
    """Staff give money that can be spent for a while."""

    def decide(draft: Draft, _: UUID | None) -> Row | None:
        return adjust(draft, replace(adjustment, expires_at=draft.now + timedelta(days=lasts_days)))

    return _or_nothing(decide)


def time_passes(draft: Draft, _: UUID | None) -> Row | None:
    """Nothing but time: the writer posts what reached its expiry."""


def freeze(note: str, actor: Actor) -> Decision:
    """Staff stop the wallet."""

    def decide(draft: Draft, _: UUID | None) -> Row | None:
        wallet.freeze(draft, note=note, actor=actor)
        return None

    return _or_nothing(decide)


def unfreeze(note: str, actor: Actor) -> Decision:
    """Staff let the wallet go again."""

    def decide(draft: Draft, _: UUID | None) -> Row | None:
        wallet.unfreeze(draft, note=note, actor=actor)
        return None

    return _or_nothing(decide)


def request_withdrawal(amount_minor: int, note: str, actor: Actor) -> Decision:
    """The customer asks to be paid out: the amount, or what can be withdrawn when that is less."""

    def decide(draft: Draft, _: UUID | None) -> Row | None:
        amount = min(amount_minor, draft.withdrawable_minor())
        return request(draft, amount, note=note, actor=actor) if amount > 0 else None

    return _or_nothing(decide)


def step_withdrawal(
    status: WithdrawalStatus, note: str | None, actor: Actor, *, payout_reference: str | None = None
) -> Decision:
    """An earlier request takes a step."""

    def decide(draft: Draft, earlier: UUID | None) -> Row | None:
        if earlier is None:
            return None
        withdrawal = draft.row(Withdrawal, earlier)
        if status is WithdrawalStatus.PAID:
            return pay(draft, withdrawal, payout_reference=payout_reference, note=note, actor=actor)
        rule = _STEPS.get(status)
        if rule is not None:
            return rule(draft, withdrawal, note=note, actor=actor)
        return give_back(draft, withdrawal, status, note=note, actor=actor)

    return _or_nothing(decide)


_STEPS: dict[WithdrawalStatus, Callable[..., Withdrawal]] = {
    WithdrawalStatus.IN_REVIEW: take_into_review,
    WithdrawalStatus.APPROVED: approve,
    WithdrawalStatus.PROCESSING: start_processing,
    WithdrawalStatus.FAILED: fail,
    WithdrawalStatus.RETURNED: take_back,
}


def explained(kind: TransactionKind, actor: Actor, note: str) -> Explanation:
    """What is written down beside a movement."""
    return Explanation(kind, actor, note)


def _or_nothing(decision: Decision) -> Decision:
    def decide(draft: Draft, earlier: UUID | None) -> Row | None:
        try:
            return decision(draft, earlier)
        except DomainError:
            # Refusals come before the first change of a draft.
            return None

    return decide
