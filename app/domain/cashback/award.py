"""Awards: what was given, when it becomes money, and how it is taken back when its order is refunded.

How much of an award is to be taken back follows from the award and all refunds of its order (`clawback_target`), so
refunds may come twice and in any order. Where it is taken from is settled step by step (`settle`), and each step is
written down in the award, so that whatever is given back goes the same way back.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from fractions import Fraction
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from app.domain.bucket import Bucket
from app.domain.cashback.evaluation import Decision, LineAward, Outcome
from app.domain.cashback.occasion import Occasion, award_id
from app.domain.cashback.period import local
from app.domain.cashback.rule import TriggerKind
from app.domain.cashback.sentence import explained
from app.domain.cashback.share import Rounding, rounded
from app.domain.money import currency_of
from app.domain.order import OrderSnapshot, RefundedLine, StoreRefund
from app.domain.refund import Refund

NOBODYS = UUID(int=0)
"""The wallet of an award that is only imagined, by a preview or a simulation."""


class AwardStatus(StrEnum):
    """How an award stands."""

    PENDING = "PENDING"
    """It was given, and is no money yet."""
    VESTED = "VESTED"
    """It was credited to the wallet."""
    CLAWED_BACK = "CLAWED_BACK"
    """All of it was taken back, or is owed."""
    EXPIRED = "EXPIRED"
    """What was left of it reached its expiry."""


class AwardSource(StrEnum):
    """What gave it."""

    CASHBACK = "CASHBACK"
    """A cashback rule."""
    PROMOTION = "PROMOTION"
    """A coupon that grants wallet money."""


class ShortfallPolicy(StrEnum):
    """What becomes of a clawback for which the award itself has nothing left."""

    LEAVE = "LEAVE"
    """The customer keeps it."""
    DEBIT_OTHERS = "DEBIT_OTHERS"
    """It is taken from what else is in the wallet, as far as that goes; the rest the customer keeps."""
    DEBT = "DEBT"
    """It is taken from the next credits."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Where a clawback came from, in minor units.

    `unvested` was no money yet; `expired` was lost to the customer already; `lots` was unspent money of the award;
    `others` was other money of the wallet; `debt` is still owed; `left` the customer keeps.
    """

    unvested_minor: int = 0
    expired_minor: int = 0
    lots_minor: int = 0
    others_minor: int = 0
    debt_minor: int = 0
    left_minor: int = 0

    @property
    def total_minor(self) -> int:
        """All of it."""
        return (
            self.unvested_minor
            + self.expired_minor
            + self.lots_minor
            + self.others_minor
            + self.debt_minor
            + self.left_minor
        )


@dataclass(frozen=True, slots=True)
class Award:
    """What one rule gave a customer for one occasion; amounts in minor units of `currency`.

    The lines add up to the amount. `order_total_minor` is what the order cost, which full refunds are known by.
    `explanation` is `Outcome.as_data` of the evaluation that gave it, with its sentences. `occurred_on` is the day of the occasion by the
    store's calendar, which the periods of caps go by. `expired_minor` ran out before it was spent. `lot_ids` are the lots that its money went into.
    """

    id: UUID
    rule_id: UUID
    rule_version: int
    wallet_id: UUID
    customer_id: str
    occasion_key: str
    order_id: UUID | None
    currency: str
    amount_minor: int
    order_total_minor: int
    lines: tuple[LineAward, ...]
    bucket: Bucket
    occurred_at: datetime
    occurred_on: date
    awarded_at: datetime
    vests_at: datetime
    expires_at: datetime | None
    source: AwardSource = AwardSource.CASHBACK
    trigger: TriggerKind = TriggerKind.ORDER_COMPLETED
    vested_at: datetime | None = None
    expired_at: datetime | None = None
    expired_minor: int = 0
    taken: Taken = field(default_factory=Taken)
    lot_ids: tuple[UUID, ...] = ()
    explanation: Mapping[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> AwardStatus:
        """How it stands. It follows from the rest, so a refund that is reversed brings the former status back."""
        if self.taken.total_minor >= self.amount_minor:
            return AwardStatus.CLAWED_BACK
        if self.expired_at is not None:
            return AwardStatus.EXPIRED
        return AwardStatus.PENDING if self.vested_at is None else AwardStatus.VESTED

    @property
    def net_minor(self) -> int:
        """What was given after all that was taken back, which caps count."""
        return self.amount_minor - self.taken.total_minor

    @property
    def rule_name(self) -> str:
        """The name of the rule that gave it, as it was then."""
        return str(self.explanation.get("rule", {}).get("name", ""))

    @property
    def pending_minor(self) -> int:
        """What will become money when it vests."""
        return self.amount_minor - self.taken.unvested_minor if self.vested_at is None else 0


def award_of(
    outcome: Outcome,
    occasion: Occasion,
    customer_id: str,
    wallet_id: UUID,
    *,
    now: datetime,
    zone: ZoneInfo,
    return_period_days: int,
) -> Award:
    """Return the award that an outcome gives, pending; `vest` makes it money, at once where it is due at once."""
    if outcome.decision is not Decision.AWARDED:
        raise AssertionError(f"rule {outcome.rule.id} gives nothing: {outcome.decision}")
    rule, order = outcome.rule, occasion.order
    vests_at = rule.reward.vesting.at(now, zone, return_period_days=return_period_days)
    return Award(
        id=award_id(rule.id, customer_id, occasion.key),
        rule_id=rule.id,
        rule_version=rule.version,
        wallet_id=wallet_id,
        customer_id=customer_id,
        occasion_key=occasion.key,
        order_id=order.id if order else None,
        currency=occasion.currency,
        amount_minor=outcome.amount_minor,
        order_total_minor=order.total_minor if order else 0,
        lines=outcome.lines,
        bucket=rule.reward.bucket,
        occurred_at=occasion.at,
        occurred_on=local(occasion.at, zone).date(),
        awarded_at=now,
        vests_at=vests_at,
        expires_at=rule.reward.expiry.at(vests_at, zone),
        trigger=occasion.trigger,
        explanation=outcome.as_data() | {"sentences": explained(outcome, currency_of(occasion.currency))},
    )


# --- how much is to be taken back ---------------------------------------------------------------------------


class _Returned(NamedTuple):
    """All refunds of an order together, in minor units, tax included; `rest` belongs to no line and not to shipping."""

    total_minor: int
    lines: Mapping[str, int]
    shipping_minor: int
    rest_minor: int


def clawback_target(
    award: Award,
    refunds: Iterable[Refund | StoreRefund],
    *,
    told: OrderSnapshot | None = None,
    order_ended: bool = False,
) -> int:
    """Return how much of an award all refunds of its order take back, in minor units: from 0 to all of it.

    Line by line, the part of the line's price that was refunded; a refund that names no line counts on all lines
    alike, and so does one that names a line which the order, as it was `told`, hasn't got. Only the refunds play a part, not their order and not what was taken before. An order that was called off
    (`order_ended`) takes all of it back, and so do refunds of all that the order cost.
    """
    if order_ended:
        return award.amount_minor
    lines = told.line_ids | {line.line_id for line in award.lines} if told and told.lines else None
    returned = _returned(refunds, lines)
    if not returned.total_minor or award.order_id is None:
        return 0
    if returned.total_minor >= award.order_total_minor:
        return award.amount_minor
    named = returned.total_minor - returned.rest_minor
    # What is left of the order bears what was refunded of it as a whole.
    everywhere = _part(returned.rest_minor, award.order_total_minor - named)
    target = 0
    for line in award.lines:
        own = _part(_of_line(line, award, returned), line.worth_minor)
        part = own + (1 - own) * everywhere
        target += rounded(line.amount_minor * part.numerator, part.denominator, Rounding.HALF_UP)
    return target


def _of_line(line: LineAward, award: Award, returned: _Returned) -> int:
    if line.line_id is not None:
        return returned.lines.get(line.line_id, 0)
    if line.worth_minor == award.order_total_minor:
        # The order came without its lines, so the award knows it as one piece.
        return returned.total_minor - returned.rest_minor
    return returned.shipping_minor


def _part(amount: int, whole: int) -> Fraction:
    if amount <= 0:
        return Fraction(0)
    return Fraction(1) if amount >= whole else Fraction(amount, whole)


def _returned(refunds: Iterable[Refund | StoreRefund], known: Collection[str | None] | None) -> _Returned:
    lines: dict[str, int] = {}
    total = shipping = rest = 0
    for refund in refunds:
        if isinstance(refund, Refund) and refund.withdrawn_at is not None:
            continue
        by_line, tax = 0, refund.tax_minor
        for line_id, without_tax, line_tax in _lines_of(refund):
            if known is not None and line_id not in known:
                continue
            lines[line_id] = lines.get(line_id, 0) + without_tax + line_tax
            by_line += without_tax + line_tax
            tax -= line_tax
        # Tax of a refund with shipping that is on no line is that of shipping.
        shipped = refund.shipping_minor + (max(0, tax) if refund.shipping_minor else 0)
        shipped = min(shipped, max(0, refund.amount_minor - by_line))
        total += refund.amount_minor
        shipping += shipped
        rest += max(0, refund.amount_minor - by_line - shipped)
    return _Returned(total, lines, shipping, rest)


def _lines_of(refund: Refund | StoreRefund) -> Iterable[tuple[str, int, int]]:
    for line in refund.lines:
        if isinstance(line, RefundedLine):
            yield line.line_id, line.amount_minor, line.tax_minor
        else:
            yield line[0], line[2], line[3]


# --- where it is taken from ---------------------------------------------------------------------------------


class Funds(NamedTuple):
    """What a vested award's money has become, in minor units: unspent in its lots, expired there, and what else the
    wallet has that may be taken.
    """

    lots_minor: int = 0
    expired_minor: int = 0
    others_minor: int = 0


class Posting(NamedTuple):
    """What is to be posted, in minor units: debits of the award's own lots and of other ones, and a credit."""

    from_lots_minor: int = 0
    from_others_minor: int = 0
    credit_minor: int = 0


def vest(award: Award, now: datetime) -> tuple[Award, Posting]:
    """Return the award after its time has come, and the credit that makes it money. Too early, nothing happens."""
    if award.status is not AwardStatus.PENDING or now < award.vests_at:
        return award, Posting()
    credit = award.pending_minor
    return replace(award, vested_at=now), Posting(credit_minor=credit)


def expire(award: Award, now: datetime, expired_minor: int = 0) -> Award:
    """Return the award after what was left of its lots, in minor units, was posted as breakage."""
    if award.vested_at is None or award.expired_at:
        return award
    return replace(award, expired_at=now, expired_minor=expired_minor)


def settle(award: Award, target_minor: int, funds: Funds, policy: ShortfallPolicy) -> tuple[Award, Posting]:
    """Bring what was taken back to the target, and return the award with what is to be posted for it.

    Taken: first what is not vested, then what expired anyway, then the unspent rest of its lots, then by the policy.
    Given back in the opposite order. What was taken before stays where it was taken, whatever the policy is now.
    """
    if not 0 <= target_minor <= award.amount_minor:
        raise AssertionError(f"a clawback of {target_minor} of {award.amount_minor}")
    missing = target_minor - award.taken.total_minor
    if missing > 0:
        taken, posting = _take(award, missing, funds, policy)
    elif missing < 0:
        taken, posting = _give_back(award, -missing)
    else:
        return award, Posting()
    return replace(award, taken=taken), posting


def _take(award: Award, missing: int, funds: Funds, policy: ShortfallPolicy) -> tuple[Taken, Posting]:
    before = award.taken
    unvested = min(missing, award.pending_minor)
    missing -= unvested
    expired = min(missing, max(0, funds.expired_minor - before.expired_minor))
    missing -= expired
    lots = min(missing, funds.lots_minor)
    missing -= lots
    others = min(missing, funds.others_minor) if policy is ShortfallPolicy.DEBIT_OTHERS else 0
    missing -= others
    debt = missing if policy is ShortfallPolicy.DEBT else 0
    taken = Taken(
        before.unvested_minor + unvested,
        before.expired_minor + expired,
        before.lots_minor + lots,
        before.others_minor + others,
        before.debt_minor + debt,
        before.left_minor + missing - debt,
    )
    return taken, Posting(lots, others)


def _give_back(award: Award, surplus: int) -> tuple[Taken, Posting]:
    before = award.taken
    left = min(surplus, before.left_minor)
    surplus -= left
    debt = min(surplus, before.debt_minor)
    surplus -= debt
    others = min(surplus, before.others_minor)
    surplus -= others
    lots = min(surplus, before.lots_minor)
    surplus -= lots
    expired = min(surplus, before.expired_minor)
    unvested = surplus - expired
    taken = Taken(
        before.unvested_minor - unvested,
        before.expired_minor - expired,
        before.lots_minor - lots,
        before.others_minor - others,
        before.debt_minor - debt,
        before.left_minor - left,
    )
    # What was taken before it vested is money by now, if the award has vested since.
    credited = others + lots + (0 if award.vested_at is None else unvested)
    return taken, Posting(credit_minor=credited)


def pay_debt(award: Award, available_minor: int) -> tuple[Award, Posting]:
    """Return the award after a new credit paid of its debt what it can, and what is to be debited for it."""
    paid = min(award.taken.debt_minor, max(0, available_minor))
    if not paid:
        return award, Posting()
    before = award.taken
    taken = replace(before, debt_minor=before.debt_minor - paid, others_minor=before.others_minor + paid)
    return replace(award, taken=taken), Posting(from_others_minor=paid)
