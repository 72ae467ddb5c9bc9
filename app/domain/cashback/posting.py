"""What cashback does to the ledger: awards are given, become money, and are taken back as their order's refunds say.

All of it happens under the lock of the wallet, and of the totals of the rules that give.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from uuid import UUID

from app.domain.access import Actor
from app.domain.cashback.award import (
    Award,
    AwardSource,
    AwardStatus,
    Funds,
    award_of,
    clawback_target,
    expire,
    pay_debt,
    settle,
    vest,
)
from app.domain.cashback.earning import (
    CashbackEvaluation,
    CashbackTotal,
    Earning,
    evaluation_id,
    total_id,
    usage,
)
from app.domain.cashback.evaluation import evaluate
from app.domain.cashback.occasion import CustomerFacts, Grant, Occasion
from app.domain.cashback.rule import TriggerKind
from app.domain.cashback.share import Rounding, rounded
from app.domain.errors import BalanceTooLarge
from app.domain.ledger import SYSTEM, Draft, Explanation, TransactionKind, WalletStatus
from app.domain.order import Order, OrderStatus
from app.domain.refund import Refund

_REACHED = {
    OrderStatus.PAID: (TriggerKind.ORDER_PAID,),
    OrderStatus.COMPLETED: (TriggerKind.ORDER_PAID, TriggerKind.ORDER_COMPLETED),
}
"""Which occasions an order is at a status: what is completed was paid."""

_STANDS = {
    TriggerKind.ORDER_PAID: frozenset({OrderStatus.PAID, OrderStatus.COMPLETED, OrderStatus.REFUNDED}),
    TriggerKind.ORDER_COMPLETED: frozenset({OrderStatus.COMPLETED, OrderStatus.REFUNDED}),
}
"""At which statuses of its order an award stands; what was refunded is taken back by its refunds."""

_KINDS = {
    AwardSource.CASHBACK: TransactionKind.CASHBACK,
    AwardSource.PROMOTION: TransactionKind.PROMOTION,
}


# --- give ---------------------------------------------------------------------------------------------------


def earn(draft: Draft, occasion: Occasion, *, actor: Actor = SYSTEM) -> list[Award]:
    """Give what an occasion earns, once: what was looked at before, or can't earn here, gives nothing.

    The command named the occasion's evaluation, or its order, and said that it earns.
    """
    earning = draft.earning
    customer = draft.customer.external_id
    looked_at = evaluation_id(customer, occasion.trigger, occasion.key)
    if (
        earning is None
        or occasion.currency != draft.wallet.currency
        or draft.current(CashbackEvaluation, looked_at) is not None
    ):
        return []
    totals = {
        ready.rule.id: _total(draft, ready.rule.id).given_minor
        for ready in earning.book.waiting_for(occasion.trigger)
    }
    if not totals:
        return []
    evaluation = evaluate(earning.book, occasion, _facts(draft, earning, occasion), usage(earning, totals))
    draft.add(CashbackEvaluation.of(evaluation, customer, draft.wallet.id, draft.now))
    days = draft.settings.return_period_days
    given = []
    for outcome in evaluation.awarded:
        award = award_of(
            outcome,
            occasion,
            customer,
            draft.wallet.id,
            now=draft.now,
            zone=earning.book.zone,
            return_period_days=days,
        )
        # Paid and completed are two occasions of one order: a rule whose trigger was changed gives once all the same.
        if draft.current(Award, award.id) is None:
            given.append(give(draft, award, actor))
    return given


def give(draft: Draft, award: Award, actor: Actor) -> Award:
    """Keep a new award and count it; where it vests at once, it is money at once.

    A wallet that is too full for it leaves it pending: what earned it is recorded all the same, and the clock tries again.
    """
    _count(draft, None, award)
    try:
        return _vested(draft, award, actor)
    except BalanceTooLarge:
        draft.add(award)
        return award


def vest_due(draft: Draft, award: Award) -> Award:
    """Make an award money whose time has come. Too early, or once more, nothing happens."""
    if award.status is not AwardStatus.PENDING or draft.now < award.vests_at:
        return award
    return _vested(draft, award, SYSTEM)


def expire_due(draft: Draft, award: Award) -> Award:
    """Write down that an award ran out, once nothing of it is left in the wallet or on hold."""
    due = award.expires_at is not None and award.expires_at <= draft.now
    if not due or award.vested_at is None or draft.open_lots(award.lot_ids):
        return award
    after = expire(award, draft.now, _expired(draft, award))
    if after != award:
        draft.add(after)
    return after


def _vested(draft: Draft, award: Award, actor: Actor) -> Award:
    after, posting = vest(award, draft.now)
    if posting.credit_minor:
        after = _credited(draft, after, posting.credit_minor, actor, after.rule_name)
    draft.add(after)
    return after


def _credited(draft: Draft, award: Award, amount_minor: int, actor: Actor, note: str) -> Award:
    expires_at = award.expires_at
    if expires_at is not None and expires_at <= draft.now:
        # What comes back after its time can still be spent for the store's grace period.
        expires_at = draft.now + draft.settings.grace
    explanation = Explanation(_KINDS[award.source], actor, note, order_id=award.order_id)
    posted = draft.credit(amount_minor, explanation, bucket=award.bucket, expires_at=expires_at)
    lots = tuple(part.lot_id for part in posted.allocations if part.lot_id is not None)
    return replace(award, lot_ids=award.lot_ids + lots)


def _facts(draft: Draft, earning: Earning, occasion: Occasion) -> CustomerFacts:
    customer, history = draft.customer, earning.history
    this = occasion.order.id if occasion.order else None
    # A walk over all orders of the batch, for rules that look at earlier ones.
    for order in draft.known(Order) if earning.book.asks_history else ():
        if order.wallet_id == draft.wallet.id and order.id != this:
            history = history.plus(*counted(order, draft.of_order(Refund, order.id)))
    return CustomerFacts(
        id=customer.external_id,
        roles=frozenset(customer.roles),
        segments=frozenset(customer.segments),
        signed_up_at=customer.signed_up_at or customer.created_at,
        birthday=customer.birthday,
        orders_completed=history.orders_completed,
        lifetime_spend_minor=history.lifetime_spend_minor,
    )


def counted(order: Order, refunds: Iterable[Refund]) -> tuple[int, int]:
    """Return what an order adds to its customer's history: how many, and the spend in minor units."""
    told = order.snapshot
    if told is None or told.status is not OrderStatus.COMPLETED or order.is_deleted:
        return 0, 0
    refunded = sum(refund.amount_minor for refund in refunds if refund.withdrawn_at is None)
    return 1, told.total_minor - refunded


def _total(draft: Draft, rule_id: UUID) -> CashbackTotal:
    return draft.current(CashbackTotal, total_id(rule_id)) or CashbackTotal.none(rule_id, draft.now)


def _count(draft: Draft, before: Award | None, after: Award) -> None:
    """Bring the rule's total to what it has given after a change of an award."""
    delta = after.net_minor - (before.net_minor if before else 0)
    if delta or before is None:
        total = _total(draft, after.rule_id)
        draft.add(
            replace(
                total,
                given_minor=total.given_minor + delta,
                awards=total.awards + (before is None),
                updated_at=draft.now,
            )
        )


# --- take back ----------------------------------------------------------------------------------------------


def earn_order(
    draft: Draft, order: Order, *, wallet_paid_minor: int, grants: tuple[Grant, ...] = (), actor: Actor
) -> None:
    """Give what an order earns by now; what its refunds take of it is taken at once. `grants` are its coupons' money."""
    told = order.basis
    if told is None or not _is_theirs(draft, order):
        return
    for trigger in _REACHED.get(told.status, ()):
        occasion = Occasion.of_order(
            told, trigger=trigger, wallet_paid_minor=wallet_paid_minor, grants=grants
        )
        # The order may be handed over without its top-ups, which its refunds may name.
        whole = draft.found(Order, order.id) or order
        for award in earn(draft, occasion, actor=actor):
            target = clawback_target(award, draft.now_of_order(Refund, order.id), told=whole.basis)
            settle_award(draft, award, target, actor)


def settle_order(draft: Draft, order: Order, refunds: Sequence[Refund], *, actor: Actor) -> None:
    """Take back of an order's awards what its refunds take back, or its end; and give back what a refund that was
    withdrawn had taken.
    """
    told = order.basis
    if told is None:
        return
    stands = _is_theirs(draft, order)
    for award in draft.now_of_order(Award, order.id):
        if award.wallet_id == draft.wallet.id:
            over = not stands or told.status not in _STANDS[award.trigger]
            settle_award(draft, award, clawback_target(award, refunds, told=told, order_ended=over), actor)


def settle_amount(draft: Draft, occasion: Occasion, *, actor: Actor) -> None:
    """Take back of what an occasion without an order earned the part that its amount fell by, such as that of a top-up
    that was paid back; and give it back where the amount rises again, never more than was given.
    """
    for award in draft.known(Award):
        if award.wallet_id == draft.wallet.id and award.occasion_key == occasion.key:
            worth = sum(line.worth_minor for line in award.lines)
            gone = max(0, worth - occasion.amount_minor)
            target = rounded(award.amount_minor * gone, worth, Rounding.HALF_UP) if worth else 0
            settle_award(draft, award, target, actor)


def _is_theirs(draft: Draft, order: Order) -> bool:
    """Whether an order still earns its customer something: one of somebody else earns them something instead."""
    return not order.is_deleted and order.customer == draft.customer.external_id


def settle_award(draft: Draft, award: Award, target_minor: int, actor: Actor) -> Award:
    """Post what is missing between what was taken back of an award and what is to be, in minor units."""
    own = draft.unspent_minor(award.lot_ids)
    # A frozen wallet keeps what else is in it; what was given for the order goes back to the store.
    others = 0 if draft.wallet.status is WalletStatus.FROZEN else draft.spendable_minor() - own
    expired = _expired(draft, award)
    policy = draft.settings.shortfall_policy
    after, posting = settle(award, target_minor, Funds(own, expired, others), policy)
    if after == award:
        return award
    if posting.from_lots_minor:
        draft.debit(posting.from_lots_minor, _taken_back(award, actor), lots=award.lot_ids)
    if posting.from_others_minor:
        draft.debit(posting.from_others_minor, _taken_back(award, actor))
    if posting.credit_minor:
        try:
            after = _credited(draft, after, posting.credit_minor, actor, f"Given again: {award.rule_name}")
        except BalanceTooLarge:
            # It is given again once there is room, when the order is told of again.
            return award
    _owe(draft, award, after)
    _count(draft, award, after)
    draft.add(after)
    return after


def pay_debts(draft: Draft) -> None:
    """Settle what is still to be taken back from what the command credited, the oldest award first."""
    room = sum(posted.amount_minor for posted in draft.transactions if posted.amount_minor > 0)
    room = min(room, draft.spendable_minor())
    owed = [award for award in map(_now_in(draft), draft.known(Award)) if award.taken.debt_minor]
    for award in sorted(owed, key=lambda award: (award.awarded_at, award.id)):
        if award.wallet_id != draft.wallet.id or room <= 0:
            continue
        after, posting = pay_debt(award, room)
        draft.debit(posting.from_others_minor, _taken_back(award, SYSTEM))
        room -= posting.from_others_minor
        _owe(draft, award, after)
        draft.add(after)


def _expired(draft: Draft, award: Award) -> int:
    return sum(draft.expired.get(lot_id, 0) for lot_id in award.lot_ids)


def _now_in(draft: Draft) -> Callable[[Award], Award]:
    return lambda award: draft.current(Award, award.id) or award


def _owe(draft: Draft, before: Award, after: Award) -> None:
    delta = after.taken.debt_minor - before.taken.debt_minor
    if delta:
        draft.set_debt(draft.wallet.debt_minor + delta)


def _taken_back(award: Award, actor: Actor) -> Explanation:
    note = f"Taken back: {award.rule_name}"
    return Explanation(TransactionKind.CLAWBACK, actor, note, order_id=award.order_id)
