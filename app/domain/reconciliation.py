"""Bringing the ledger to where an order says it should be.

What the ledger should hold follows from the newest snapshot, the payments and the refunds alone (`target`), and the
difference to what it does hold is posted (`reconcile`). So snapshots may come late, twice, in any order: once the
newest is there, the ledger is where it would be had all of them come in time.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from app.domain import payment as paying, promotion as promoting, refund as refunding, top_up as top_ups
from app.domain.access import Actor
from app.domain.bucket import Bucket
from app.domain.cashback import posting as cashback
from app.domain.ledger import Draft, Explanation, TransactionKind, WalletStatus
from app.domain.order import Order, OrderProblem, OrderSnapshot, OrderStatus, StoreRefund
from app.domain.payment import CaptureMethod, Payment, PaymentEnd
from app.domain.refund import Refund, RefundDestination, Shares
from app.domain.settings import CaptureOn, StoreSettings
from app.domain.top_up_lines import payable_minor

_UNPAID = frozenset({OrderStatus.PENDING, OrderStatus.ON_HOLD})


STATUS_REFUND = "order-status"
"""The id of the refund that an order's status alone tells of."""


_METHODS = frozenset(CaptureMethod)


class Phase(Enum):
    """What an order's status asks of the ledger."""

    UNTOLD = auto()
    """The store has not told of it, or nothing that is understood: only what is requested happens."""
    WAITING = auto()
    """It is not paid: what is held stays held, what the status had captured is held again."""
    SETTLED = auto()
    """It is paid: the wallet's part is captured, the rest is given back."""
    ENDED = auto()
    """It was called off: all goes back."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the ledger should be for one order: `net_minor` is what the wallet has given and not got back.

    `shares` divide its refunds; what they credit goes to the wallet beside that.
    """

    phase: Phase
    net_minor: int
    shares: Shares


def phase_of(order: Order, settings: StoreSettings) -> Phase:
    """Tell what the order's status asks for."""
    basis = order.basis
    if basis is None:
        return Phase.UNTOLD
    if basis.status in {OrderStatus.CANCELLED, OrderStatus.FAILED}:
        return Phase.ENDED
    early = basis.status is OrderStatus.PAID and settings.capture_on is CaptureOn.COMPLETED
    return Phase.WAITING if early or basis.status in _UNPAID else Phase.SETTLED


def is_anew(basis: OrderSnapshot | None, payment: Payment) -> bool:
    """Whether a payment was begun after the order had failed: the customer pays it once more, and the store has not
    told yet what came of that. So what is held stays held, though the order is a failed one still.
    """
    if basis is None or basis.status is not OrderStatus.FAILED or payment.after_failure_at is None:
        return False
    return basis.modified_at <= payment.after_failure_at


def claimed(basis: OrderSnapshot | None, payment: Payment) -> int:
    """Return what the order may claim for a payment, in minor units.

    Once its time ran out, that is only what was captured: the customer may have paid by other means since. Where the
    store says what others paid, the rest is the wallet's all the same.
    """
    if payment.ended_by is not PaymentEnd.EXPIRY or (basis and basis.paid_otherwise_minor is not None):
        return payment.owed_minor
    return min(payment.owed_minor, payment.captured_minor)


def wallet_part(basis: OrderSnapshot | None, payments: Collection[Payment]) -> int:
    """Return what the wallet owes an order before refunds, in minor units: never more than others leave to pay."""
    owed = sum(claimed(basis, payment) for payment in payments)
    if basis is None:
        return owed
    return max(0, min(owed, basis.total_minor - (basis.paid_otherwise_minor or 0)))


def target(
    order: Order, payments: Collection[Payment], refunds: Collection[Refund], settings: StoreSettings
) -> Target:
    """Work out where the ledger should be."""
    phase, basis = phase_of(order, settings), order.basis
    part = wallet_part(basis, payments)
    if basis is not None:
        # A wallet pays no top-up: what it was to give for one is given back, and not credited either.
        part = min(part, payable_minor(basis, settings))
    requested = sum(min(payment.requested_minor, payment.owed_minor) for payment in payments)
    automatic = sum(
        claimed(basis, payment) - min(payment.requested_minor, payment.owed_minor)
        for payment in payments
        if payment.capture is CaptureMethod.AUTOMATIC
    )
    due = min(part, requested + (automatic if phase is Phase.SETTLED else 0))
    if basis is None:
        # Where the store tells nothing of the order, what was captured is all that was paid.
        shares = refunding.share(refunds, wallet_minor=due, elsewhere_minor=0)
    elif basis.status in _UNPAID:
        shares = replace(refunding.share(refunds, wallet_minor=0, elsewhere_minor=0), is_capped=False)
    else:
        # Divided by what the wallet should give, even where it gives it later, or has it back by now.
        shares = refunding.share(refunds, wallet_minor=part, elsewhere_minor=max(0, basis.total_minor - part))
    if phase is Phase.ENDED:
        net_minor = sum(
            min(payment.requested_minor, payment.owed_minor)
            for payment in payments
            if is_anew(basis, payment)
        )
        return Target(phase, min(part, net_minor), shares)
    net_minor = max(0, due - shares.wallet_minor)
    return Target(phase, net_minor, shares)


def reconcile(
    draft: Draft,
    order: Order,
    payments: Sequence[Payment],
    refunds: Sequence[Refund],
    *,
    actor: Actor,
    short_minor: int = 0,
) -> Order:
    """Post what is missing between the ledger and the order, and write down what it came to.

    `payments` and `refunds` are all of the order's, as they are now; what changes is added to the draft. What a
    renewal lacked (`short_minor`) is written down beside what is found lacking here.
    """
    basis = order.basis
    if basis is not None and basis.currency != draft.wallet.currency:
        return _noted(draft, order, problem=OrderProblem.CURRENCY)
    stored = {refund.id: refund for refund in refunds}
    refunds = _refunds(draft, order, refunds, actor)
    goal = target(order, payments, refunds, draft.settings)
    work = _Work(draft, order, list(payments), actor)
    # What is taken back is out of the way before anything is held, and what is credited comes when nothing is.
    work.take_credit_back(refunds, goal.shares)
    work.move_to(goal, refunds)
    work.credit(refunds, goal.shares)
    promoting.take_back(draft, order, refunds, is_settled=goal.phase is Phase.SETTLED, actor=actor)
    divided = {refund.id: refund for refund in (*refunds, *goal.shares.refunds)}
    for refund in divided.values():
        if refund != stored.get(refund.id):
            draft.add(refund)
    cashback.settle_order(draft, order, list(divided.values()), actor=actor)
    part = wallet_part(basis, payments)
    top_ups.follow_order(draft, order, divided.values(), wallet_part_minor=part, actor=actor)
    short = short_minor + work.short_minor + max(0, work.credited_minor - goal.shares.credited_minor)
    problem = None
    if basis is not None and basis.customer and basis.customer.external_id != draft.customer.external_id:
        problem = OrderProblem.OTHER_CUSTOMER
    elif goal.shares.is_capped:
        problem = OrderProblem.REFUNDS_EXCEED_TOTAL
    elif short:
        problem = OrderProblem.SHORTFALL
    return _noted(draft, order, problem=problem, short=short, credited=work.credited_minor)


def _noted(
    draft: Draft, order: Order, *, problem: OrderProblem | None, short: int = 0, credited: int | None = None
) -> Order:
    credited = order.credited_minor if credited is None else credited
    noted = replace(order, problem=problem, shortfall_minor=short, credited_minor=credited)
    if noted != order:
        noted = replace(noted, updated_at=draft.now)
    # A snapshot that is known already is told again and again: then nothing is written.
    if noted != draft.found(Order, order.id):
        draft.add(noted)
    return noted


def _refunds(draft: Draft, order: Order, known: Sequence[Refund], actor: Actor) -> list[Refund]:
    """Return all refunds of the order: those that are known, as the newest snapshot has them, and new ones."""
    basis = order.basis
    if basis is None:
        return list(known)
    by_external = {refund.external_id: refund for refund in known if refund.external_id is not None}
    by_reference = {refund.reference: refund for refund in known}
    rows = {refund.id: refund for refund in known}
    told = set()
    for found in (*basis.refunds, *_implied(basis, known)):
        refund = by_external.get(found.id) or by_reference.get(found.reference or "")
        if refund is None:
            refund = refund_of(draft, order, found, actor)
        told.add(refund.id)
        rows[refund.id] = replace(
            refund, external_id=found.id, amount_minor=found.amount_minor, wallet_id=draft.wallet.id
        )
    for refund in known:
        if refund.is_stores:
            # A refund that came by itself and is younger than the snapshot is not missing from it.
            later = refund.refunded_at is not None and refund.refunded_at > basis.modified_at
            gone = refund.id not in told and not later
            withdrawn_at = (refund.withdrawn_at or draft.now) if gone else None
            rows[refund.id] = replace(rows[refund.id], withdrawn_at=withdrawn_at)
    return list(rows.values())


def refund_of(draft: Draft, order: Order, found: StoreRefund, actor: Actor) -> Refund:
    """Return a refund that the store made; where it goes is settled by the policy of now, and stays so."""
    settings, told = draft.settings, order.basis
    destination = settings.refund_destination
    # A refund without a time counts from when its order was placed.
    made_at, since = found.created_at or (told and told.placed_at), settings.refund_destination_since
    if destination is RefundDestination.WALLET and since and made_at and made_at < since:
        # The store had already sent it to where the money came from.
        destination = RefundDestination.ORIGINAL_PAYMENT
    return refunding.from_store(
        found,
        order_id=order.id,
        wallet_id=draft.wallet.id,
        reference=draft.mint.reference("RF"),
        destination=destination,
        bucket=settings.refund_bucket,
        currency=told.currency if told else draft.wallet.currency,
        actor=actor,
        now=draft.now,
    )


def _implied(basis: OrderSnapshot, known: Sequence[Refund]) -> tuple[StoreRefund, ...]:
    """Return the refund that the status `REFUNDED` tells of, as far as no other one does."""
    if basis.status is not OrderStatus.REFUNDED:
        return ()
    named = {refund.reference for refund in basis.refunds}
    here = sum(
        refund.amount_minor for refund in known if not refund.is_stores and refund.reference not in named
    )
    rest = basis.total_minor - basis.refunded_minor - here
    return (StoreRefund(STATUS_REFUND, rest, created_at=basis.modified_at),) if rest > 0 else ()


def _changed(before: Sequence[Refund], after: Sequence[Refund]) -> list[tuple[Refund, Refund]]:
    by_id = {refund.id: refund for refund in before}
    return [(by_id[refund.id], refund) for refund in after]


class _Work:
    """The postings of one reconciliation, one after the other, on the order's payments."""

    def __init__(self, draft: Draft, order: Order, payments: list[Payment], actor: Actor) -> None:
        self.draft = draft
        self.order = order
        self.payments = payments
        self.actor = actor
        self.short_minor = 0
        self.credited_minor = order.credited_minor

    def move_to(self, goal: Target, refunds: Sequence[Refund]) -> None:
        """Take or give back what is missing to the goal, then hold or release."""
        missing = goal.net_minor - sum(payment.net_minor for payment in self.payments)
        if missing > 0:
            self._take(missing, goal.phase)
        elif missing < 0:
            self._give_back(-missing, goal, refunds)
        if goal.phase is Phase.ENDED or self.order.is_deleted:
            self._release(_METHODS)
        elif goal.phase is Phase.SETTLED:
            self._release([CaptureMethod.AUTOMATIC])
            self._hold_again([CaptureMethod.MANUAL])
        else:
            self._hold_again(_METHODS)

    def _take(self, missing: int, phase: Phase) -> None:
        if phase is Phase.SETTLED:
            missing = self._take_again(self._take_held(missing))
        else:
            # Only what was requested is taken before an order is paid: what is held for the rest stays held.
            missing = self._take_held(self._take_again(missing))
        self.short_minor += missing

    def _take_held(self, missing: int) -> int:
        """Capture what automatic payments hold, and return what is still missing."""
        explanation = paying.purchase(self.order, self.actor)
        for place, payment in enumerate(self.payments):
            part = min(payment.held_minor, missing)
            if part and payment.capture is CaptureMethod.AUTOMATIC:
                captured, _ = paying.capture(self.draft, payment, part, explanation, requested=False)
                self.payments[place] = captured
                missing -= part
        return missing

    def _take_again(self, missing: int) -> int:
        """Take what is held no more (it ran out, or the order was called off and reopened) as far as the wallet has
        it, and return what is still missing.
        """
        explanation = paying.purchase(self.order, self.actor)
        for place, payment in enumerate(list(self.payments)):
            uncovered = claimed(self.order.basis, payment) - payment.net_minor - payment.held_minor
            part = self._again(min(missing, uncovered), payment)
            if part > 0:
                requested = min(part, payment.requested_minor)
                again = self._begin_again(place, part, requested_minor=requested)
                again, _ = paying.capture(self.draft, again, part, explanation, requested=False)
                again = replace(again, requested_minor=requested)
                self.draft.add(again)
                self.payments.append(again)
                missing -= part
        return missing

    def _again(self, amount_minor: int, payment: Payment) -> int:
        """Return how much of what is claimed once more the wallet has, and may give."""
        if self.draft.wallet.status is WalletStatus.FROZEN:
            return 0
        return min(amount_minor, self.draft.spendable_minor(payment.buckets))

    def _begin_again(
        self, place: int, amount_minor: int, *, requested_minor: int = 0, expires: bool = False
    ) -> Payment:
        """Hold again what a payment owes and no longer holds: the new payment owes it from now on."""
        donor = self.payments[place]
        again = paying.begin_again(
            self.draft,
            donor,
            amount_minor,
            actor=self.actor,
            expires_at=donor.expires_at if expires else None,
        )
        self.payments[place] = replace(
            donor,
            owed_minor=donor.owed_minor - amount_minor,
            requested_minor=donor.requested_minor - requested_minor,
            updated_at=self.draft.now,
        )
        self.draft.add(self.payments[place])
        return again

    def _hold_again(self, methods: Collection[CaptureMethod]) -> None:
        """Hold what the order's own status had captured or given back, as long as its time has not run out."""
        for place, payment in enumerate(list(self.payments)):
            in_time = payment.expires_at is None or payment.expires_at > self.draft.now
            if payment.capture in methods and in_time and payment.ended_by is not PaymentEnd.EXPIRY:
                unrequested = payment.owed_minor - min(payment.requested_minor, payment.owed_minor)
                not_held = unrequested - payment.held_minor
                part = self._again(min(payment.uncovered_minor, not_held), payment)
                if part > 0:
                    self.payments.append(self._begin_again(place, part, expires=True))

    def _release(self, methods: Collection[CaptureMethod]) -> None:
        for place, payment in enumerate(self.payments):
            if is_anew(self.order.basis, payment) and not self.order.is_deleted:
                continue
            if payment.is_open and payment.capture in methods:
                self.payments[place] = paying.release(self.draft, payment, PaymentEnd.ORDER)

    def _give_back(self, surplus: int, goal: Target, refunds: Sequence[Refund]) -> None:
        """Give back what is too much: for each refund its part, and the rest because the order is what it is now."""
        if goal.phase is not Phase.ENDED:
            for before, after in _changed(refunds, goal.shares.refunds):
                part = min(surplus, after.wallet_minor - before.wallet_minor)
                if part > 0:
                    self._un_spend(part, _refund_note(self.order, after))
                    surplus -= part
        if surplus:
            self._un_spend(surplus, f"Order {self.order.name} {_why(self.order, goal.phase)}")

    def _un_spend(self, amount_minor: int, note: str) -> None:
        explanation = self._explained(note)
        # The last payment first, as within a payment the last lot: what is left is what a smaller order had taken.
        for place in reversed(range(len(self.payments))):
            part = min(self.payments[place].net_minor, amount_minor)
            if part:
                self.payments[place], _ = paying.give_back(
                    self.draft, self.payments[place], part, explanation
                )
                amount_minor -= part

    def credit(self, refunds: Sequence[Refund], shares: Shares) -> None:
        """Credit what refunds give beyond what the wallet paid."""
        for before, after in _changed(refunds, shares.refunds):
            missing = shares.credited_minor - self.credited_minor
            part = min(missing, after.credited_minor - before.credited_minor)
            if part > 0:
                explanation = self._explained(_refund_note(self.order, after))
                self.draft.credit(part, explanation, bucket=after.bucket)
                self.credited_minor += part

    def take_credit_back(self, refunds: Sequence[Refund], shares: Shares) -> None:
        """Take back, as far as the wallet has it, what was credited for a refund that the store withdrew."""
        for before, after in _changed(refunds, shares.refunds):
            surplus = self.credited_minor - shares.credited_minor
            part = min(surplus, before.credited_minor - after.credited_minor)
            if part > 0:
                self.credited_minor -= self._take_back(part, after.bucket)

    def _take_back(self, amount_minor: int, bucket: Bucket) -> int:
        """Take a credit back as far as the wallet has it, and return how far that was."""
        taken = min(amount_minor, self.draft.spendable_minor())
        if not taken or self.draft.wallet.status is WalletStatus.FROZEN:
            return 0
        explanation = self._explained(f"A refund of order {self.order.name} was withdrawn")
        self.draft.debit(taken, explanation, newest_of=bucket)
        return taken

    def _explained(self, note: str) -> Explanation:
        return Explanation(TransactionKind.REFUND, self.actor, note, order_id=self.order.id)


def _refund_note(order: Order, refund: Refund) -> str:
    reason = f": {refund.note}" if refund.note else ""
    return f"Refund of order {order.name}{reason}"


def _why(order: Order, phase: Phase) -> str:
    if order.basis is None or phase is not Phase.ENDED:
        return "was changed"
    return "failed" if order.basis.status is OrderStatus.FAILED else "was cancelled"
