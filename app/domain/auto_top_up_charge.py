"""What a wallet's rules of automatic top-ups do: they are set, ask the store to charge, and hear what came of it."""

from dataclasses import dataclass, replace

from app.domain.access import Actor
from app.domain.auto_top_up import (
    AutoTopUp,
    AutoTopUpCharge,
    AutoTopUpKind,
    AutoTopUpStatus,
    ChargeStatus,
    auto_top_up_id,
    charge_id,
    declined,
    next_month_day,
    paid,
)
from app.domain.card_number import check_token
from app.domain.errors import FieldInvalid, NotFound, TopUpChargeNotOpen, TopUpLimitReached, TopUpsOff
from app.domain.ledger import Draft, WalletStatus
from app.domain.money import currency_of
from app.domain.note import check_text
from app.domain.order import check_id
from app.domain.top_up import TopUp, check_method
from app.domain.top_up_intent import day_after, require_within

PROBLEM_MAX = 200


@dataclass(frozen=True, slots=True)
class AutoTopUpTerms:
    """What a rule says; amounts in minor units. A threshold rule has a threshold, a monthly one a day from 1 to 31."""

    kind: AutoTopUpKind
    amount_minor: int
    payment_method: str
    payment_token: str
    threshold_minor: int | None = None
    day_of_month: int | None = None

    def checked(self) -> "AutoTopUpTerms":
        """Return the terms as they are kept, or raise `FieldInvalid`."""
        if (self.kind is AutoTopUpKind.THRESHOLD) != (self.threshold_minor is not None):
            raise FieldInvalid(
                "Give a threshold to a rule that waits for one, and to no other.", field=("threshold",)
            )
        if (self.kind is AutoTopUpKind.MONTHLY) != (self.day_of_month is not None):
            raise FieldInvalid(
                "Give a day of the month to a monthly rule, and to no other.", field=("dayOfMonth",)
            )
        if self.day_of_month is not None and not 1 <= self.day_of_month <= 31:
            raise FieldInvalid(
                "Choose a day from 1 to 31; shorter months use their last one.", field=("dayOfMonth",)
            )
        token = check_id(self.payment_token, field="paymentToken")
        return replace(self, payment_token=check_token(token, field=("paymentToken",)))


def set_rule(draft: Draft, terms: AutoTopUpTerms, actor: Actor) -> AutoTopUp:
    """Make a rule of a kind, or put these terms in its place: it is active, and has not been declined.

    What it had asked for and not heard of is withdrawn. Raises `TopUpsOff`, `TopUpLimitReached` or `FieldInvalid`.
    """
    settings, now = draft.settings, draft.now
    if not settings.top_ups_enabled:
        raise TopUpsOff
    method = check_method(terms.payment_method, settings)
    _require_possible(draft, terms)
    row_id = auto_top_up_id(draft.wallet.id, terms.kind)
    known = draft.found(AutoTopUp, row_id)
    if known is not None:
        _withdraw(draft, known)
    next_at = now
    if terms.day_of_month is not None:
        next_at = next_month_day(terms.day_of_month, now, settings.zone)
    rule = AutoTopUp(
        id=row_id,
        wallet_id=draft.wallet.id,
        kind=terms.kind,
        threshold_minor=terms.threshold_minor,
        day_of_month=terms.day_of_month,
        amount_minor=terms.amount_minor,
        currency=draft.wallet.currency,
        payment_method=method,
        payment_token=terms.payment_token,
        status=AutoTopUpStatus.ACTIVE,
        declines=0,
        next_attempt_at=next_at,
        charge_id=None,
        created_by=actor,
        created_at=known.created_at if known else now,
        updated_at=now,
    )
    draft.add(rule)
    return rule


def _require_possible(draft: Draft, terms: AutoTopUpTerms) -> None:
    """Refuse what no day's limit could ever allow; what today leaves is asked when it charges."""
    settings, show = draft.settings, currency_of(draft.wallet.currency).display
    smallest = max(1, settings.top_up_minimum_minor)
    if terms.amount_minor < smallest:
        raise TopUpLimitReached(f"The smallest top-up is {show(smallest)}. Choose a larger amount.")
    limits = (
        settings.top_up_maximum_minor,
        settings.top_up_day_maximum_minor,
        settings.wallet_balance_maximum_minor,
    )
    most = min((limit for limit in limits if limit), default=None)
    if most is not None and terms.amount_minor > most:
        raise TopUpLimitReached(f"A top-up is {show(most)} at most. Choose a smaller amount.")


def stop(draft: Draft, rule: AutoTopUp, status: AutoTopUpStatus) -> AutoTopUp:
    """Pause or cancel a rule; what it had asked for is withdrawn. What is cancelled can't be paused: it is over."""
    if rule.status in {status, AutoTopUpStatus.CANCELLED}:
        return rule
    _withdraw(draft, rule)
    stopped = replace(rule, status=status, charge_id=None, updated_at=draft.now)
    draft.add(stopped)
    return stopped


def _withdraw(draft: Draft, rule: AutoTopUp) -> None:
    if rule.charge_id is not None and (charge := draft.found(AutoTopUpCharge, rule.charge_id)) is not None:
        draft.add(replace(charge, status=ChargeStatus.WITHDRAWN, updated_at=draft.now))


def is_low(draft: Draft, rule: AutoTopUp) -> bool:
    """Whether a threshold rule's wallet has less available than its threshold."""
    wallet = draft.wallet
    return rule.threshold_minor is not None and wallet.posted_minor - wallet.held_minor < rule.threshold_minor


def ask(draft: Draft, rule: AutoTopUp) -> AutoTopUpCharge | None:
    """Ask the store to charge, where the rule's time has come and nothing is asked for yet.

    Where limits, a frozen wallet or the store's settings forbid it today, it waits for the next day.
    """
    is_due = rule.status is AutoTopUpStatus.ACTIVE and rule.next_attempt_at <= draft.now
    if not is_due or rule.charge_id is not None:
        return None
    if rule.kind is AutoTopUpKind.THRESHOLD and not is_low(draft, rule):
        return None
    if not _is_possible(draft, rule):
        later = day_after(draft.now, draft.settings)
        draft.add(replace(rule, next_attempt_at=later, updated_at=draft.now))
        return None
    charge = AutoTopUpCharge(
        id=charge_id(rule),
        wallet_id=rule.wallet_id,
        rule_id=rule.id,
        reference=draft.mint.reference("TC"),
        amount_minor=rule.amount_minor,
        currency=rule.currency,
        payment_method=rule.payment_method,
        payment_token=rule.payment_token,
        attempt=rule.declines + 1,
        status=ChargeStatus.REQUESTED,
        top_up_id=None,
        problem="",
        created_at=draft.now,
        updated_at=draft.now,
    )
    # The rule first: charges name it.
    draft.add(replace(rule, charge_id=charge.id, updated_at=draft.now))
    draft.add(charge)
    return charge


def _is_possible(draft: Draft, rule: AutoTopUp) -> bool:
    settings = draft.settings
    if not settings.top_ups_enabled or draft.wallet.status is WalletStatus.FROZEN:
        return False
    if rule.payment_method not in settings.top_up_methods:
        return False
    try:
        require_within(draft, rule.amount_minor)
    except TopUpLimitReached:
        return False
    return True


def hear_paid(draft: Draft, charge: AutoTopUpCharge, top_up: TopUp) -> AutoTopUpCharge:
    """Write down that a charge was paid, also where it was declined or withdrawn before: the money came."""
    if charge.status is ChargeStatus.PAID or top_up.transaction_id is None:
        return charge
    _hear(draft, charge, is_paid=True)
    heard = replace(charge, status=ChargeStatus.PAID, top_up_id=top_up.id, updated_at=draft.now)
    draft.add(heard)
    return heard


def hear_declined(draft: Draft, charge: AutoTopUpCharge, problem: str) -> AutoTopUpCharge:
    """Write down that a charge was declined: told twice it counts once. Raises `TopUpChargeNotOpen` once it was paid."""
    if charge.status is ChargeStatus.PAID:
        raise TopUpChargeNotOpen(charge.status)
    if charge.status is not ChargeStatus.REQUESTED:
        return charge
    _hear(draft, charge, is_paid=False)
    problem = check_text(problem, field="problem", length_max=PROBLEM_MAX)
    heard = replace(charge, status=ChargeStatus.DECLINED, problem=problem, updated_at=draft.now)
    draft.add(heard)
    return heard


def _hear(draft: Draft, charge: AutoTopUpCharge, *, is_paid: bool) -> None:
    rule = draft.found(AutoTopUp, charge.rule_id)
    if rule is None:
        raise NotFound("autotopup", field=("chargeId",))
    # A rule that was stopped, or set anew, goes its own way.
    if rule.charge_id == charge.id:
        after = paid if is_paid else declined
        draft.add(after(rule, draft.now, draft.settings.zone))
