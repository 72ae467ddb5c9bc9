"""What of a wallet can be withdrawn now, and for all the rest the reason why not.

One set of functions answers the customer who looks and the request that is decided, so both say the same.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID
from zoneinfo import ZoneInfo

from app.domain.bucket import Bucket
from app.domain.cashback.period import Period, day_ends, days_later, local, month_ends
from app.domain.errors import WithdrawalOutOfLimits
from app.domain.ledger import WITHDRAWABLE, Lot
from app.domain.money import Currency
from app.domain.withdrawal_terms import FeePayer, WithdrawalPeriod, WithdrawalTerms

_LONGEST = {
    WithdrawalPeriod.DAY: timedelta(days=2),
    WithdrawalPeriod.WEEK: timedelta(days=9),
    WithdrawalPeriod.MONTH: timedelta(days=33),
}
"""The periods that requests are added up over; none is longer, wherever the store is and whatever its clocks do."""

LOOK_BACK = max(_LONGEST.values())
"""Requests from before it count for nothing."""

Asked = tuple[datetime, int]
"""One request that counts for the limits: when, and how much in minor units."""


class LeftOutReason(StrEnum):
    """Why a part of what a wallet holds can't be withdrawn now."""

    PROMOTIONAL = "PROMOTIONAL"
    """Bonus money: it can be spent and never withdrawn."""
    GIFT_CARD = "GIFT_CARD"
    """Value from gift cards: it can be spent and never withdrawn."""
    UNVESTED = "UNVESTED"
    """Cashback that is earned and not in the balance yet."""
    ON_HOLD = "ON_HOLD"
    """Held for an order that is being paid."""
    UNDER_REVIEW = "UNDER_REVIEW"
    """Held by withdrawals that are on their way."""
    WAITING_AFTER_TOP_UP = "WAITING_AFTER_TOP_UP"
    """Topped up so lately that it still waits."""
    OWED = "OWED"
    """It covers what the wallet owes: a debit below zero, or cashback that was taken back after it was spent."""
    WALLET_FROZEN = "WALLET_FROZEN"
    """Staff have frozen the wallet."""
    NOT_ENABLED = "NOT_ENABLED"
    """The store has switched withdrawals off."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A part that can't be withdrawn, in minor units; `until` says when that ends, where that is known."""

    reason: LeftOutReason
    amount_minor: int
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit that is in force: what may be asked for in a period, what was, and when it begins anew."""

    period: WithdrawalPeriod
    maximum_minor: int
    used_minor: int
    resets_at: datetime | None

    @property
    def left_minor(self) -> int:
        """What may still be asked for."""
        return max(0, self.maximum_minor - self.used_minor)


@dataclass(frozen=True, slots=True)
class Holdings:
    """What is known of a wallet, in minor units: all that the answer depends on."""

    available_minor: int
    lots: Iterable[Lot]
    """Its open lots."""
    topped_up: Collection[UUID]
    """Those of its lots that were topped up."""
    frozen: bool
    reviewed_minor: int = 0
    """Held by its withdrawals."""
    unvested_minor: int = 0
    """Cashback that is not in the balance yet."""
    debt_minor: int = 0
    """Cashback that is still to be taken back."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What can be withdrawn now, what can't and why, and the limits of the next request; in minor units."""

    amount_minor: int
    left_out: tuple[LeftOut, ...]
    limits: tuple[Limit, ...]
    smallest_minor: int
    """The least that a request may ask for."""
    largest_minor: int
    """The most that a request may ask for now; 0 when none can be made."""


def waits_until(
    lot: Lot, topped_up: Collection[UUID], terms: WithdrawalTerms, zone: ZoneInfo, now: datetime
) -> datetime | None:
    """Return until when a lot waits because it was topped up lately, or `None`."""
    if not terms.waiting_days or lot.id not in topped_up:
        return None
    until = days_later(lot.created_at, terms.waiting_days, zone)
    return until if until > now else None


def limits_of(
    terms: WithdrawalTerms, asked: Iterable[Asked], zone: ZoneInfo, now: datetime
) -> tuple[Limit, ...]:
    """Return the limits in force, that of one request first."""
    limits = []
    if terms.maximum_minor:
        limits.append(Limit(WithdrawalPeriod.REQUEST, terms.maximum_minor, 0, None))
    asked, today = tuple(asked), local(now, zone).date()
    for period in _LONGEST:
        if not (maximum := terms.limit_minor(period)):
            continue
        stretch = Period(period.value)
        used = sum(
            amount for at, amount in asked if stretch.key(local(at, zone).date()) == stretch.key(today)
        )
        limits.append(Limit(period, maximum, used, _resets_at(period, now, zone)))
    return tuple(limits)


def counted_since(terms: WithdrawalTerms, now: datetime) -> datetime | None:
    """Return a time before which no request counts for a limit that is in force; `None` where none does at all."""
    spans = [span for period, span in _LONGEST.items() if terms.limit_minor(period)]
    return now - max(spans) if spans else None


def _resets_at(period: WithdrawalPeriod, now: datetime, zone: ZoneInfo) -> datetime:
    today = local(now, zone).date()
    if period is WithdrawalPeriod.MONTH:
        return month_ends(today, zone)
    days = 6 - today.weekday() if period is WithdrawalPeriod.WEEK else 0
    return day_ends(today + timedelta(days=days), zone)


def allowance(
    holdings: Holdings, terms: WithdrawalTerms, asked: Iterable[Asked], zone: ZoneInfo, now: datetime
) -> Allowance:
    """Return what can be withdrawn of what a wallet holds.

    Amount and parts add up to the balance and what is not vested yet, as far as nothing has run out or is owed.
    """
    lots = [lot for lot in holdings.lots if not lot.expired(now)]
    free = {bucket: sum(lot.remaining_minor for lot in lots if lot.bucket is bucket) for bucket in Bucket}
    waiting = [
        (until, lot.remaining_minor)
        for lot in lots
        if lot.bucket in WITHDRAWABLE
        and lot.remaining_minor
        and (until := waits_until(lot, holdings.topped_up, terms, zone, now))
    ]
    waiting_minor = sum(amount for _, amount in waiting)
    candidate = sum(free[bucket] for bucket in WITHDRAWABLE) - waiting_minor
    amount = max(0, min(candidate, holdings.available_minor) - holdings.debt_minor)
    parts = [
        LeftOut(LeftOutReason.PROMOTIONAL, free[Bucket.PROMO]),
        LeftOut(LeftOutReason.GIFT_CARD, free[Bucket.GIFT_CARD]),
        LeftOut(LeftOutReason.UNVESTED, holdings.unvested_minor),
        LeftOut(LeftOutReason.ON_HOLD, sum(lot.held_minor for lot in lots) - holdings.reviewed_minor),
        LeftOut(LeftOutReason.UNDER_REVIEW, holdings.reviewed_minor),
        LeftOut(
            LeftOutReason.WAITING_AFTER_TOP_UP,
            waiting_minor,
            max((until for until, _ in waiting), default=None),
        ),
        LeftOut(LeftOutReason.OWED, candidate - amount),
    ]
    if holdings.frozen or not terms.enabled:
        reason = LeftOutReason.WALLET_FROZEN if holdings.frozen else LeftOutReason.NOT_ENABLED
        parts.append(LeftOut(reason, amount))
        amount = 0
    limits = limits_of(terms, asked, zone, now)
    largest = min([amount, *(limit.left_minor for limit in limits)])
    smallest = smallest_of(terms)
    return Allowance(
        amount_minor=amount,
        left_out=tuple(part for part in parts if part.amount_minor > 0),
        limits=limits,
        smallest_minor=smallest,
        largest_minor=largest if largest >= smallest else 0,
    )


def smallest_of(terms: WithdrawalTerms) -> int:
    """Return the least that a request may ask for: at least so much that something is left after the fee."""
    smallest = max(1, terms.minimum_minor)
    if terms.fee_payer is not FeePayer.CUSTOMER or terms.fee_minor(smallest) < smallest:
        return smallest
    # What is left grows with the amount (a fee is at most all of it), so the first that leaves something is found
    # by halving.
    low, high = smallest, max(smallest * 2, terms.fee_fixed_minor * 2, 1)
    while terms.fee_minor(high) >= high:
        if high > _NEVER:
            return high
        low, high = high, high * 2
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (middle, high) if terms.fee_minor(middle) >= middle else (low, middle)
    return high


_NEVER = 10**18
"""No balance holds as much: a fee of 100 % leaves nothing, whatever the amount."""


def check_limits(
    amount_minor: int, terms: WithdrawalTerms, limits: Iterable[Limit], currency: Currency
) -> None:
    """Raise `WithdrawalOutOfLimits` for a request that the terms don't allow."""
    if amount_minor < (smallest := smallest_of(terms)):
        if smallest > _NEVER:
            raise WithdrawalOutOfLimits(
                "The fee would take all of it. Ask the store, whose fee is the whole amount."
            )
        raise WithdrawalOutOfLimits(
            f"At least {currency.display(smallest)} must be withdrawn at once. Choose a larger amount."
        )
    for limit in limits:
        if amount_minor > limit.left_minor:
            raise WithdrawalOutOfLimits(_beyond(limit, currency))


def _beyond(limit: Limit, currency: Currency) -> str:
    most, left = currency.display(limit.maximum_minor), currency.display(limit.left_minor)
    if limit.period is WithdrawalPeriod.REQUEST:
        return f"At most {most} can be withdrawn at once. Choose an amount up to that."
    return (
        f"At most {most} can be withdrawn in one {limit.period.lower()}, and {left} of it is left. "
        "Choose an amount up to that, or try again later."
    )
