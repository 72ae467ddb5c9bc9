"""Rules by which the store charges a customer's saved payment method: when the wallet runs low, or once a month.

Coffer asks and never charges itself: a *charge* is a request to the store, whose id is the store's idempotency key. One
is open at a time for each rule. After a decline the rule waits, longer each time, and gives up after the fourth.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from app.domain.access import Actor
from app.domain.cashback.period import days_later, local

_NAMESPACE = UUID("6e0b7f0c-0b5b-5c43-8a0e-9c1d5c1f7a21")

BACKOFF_DAYS = (1, 3, 7)
"""How many days a rule waits after its first, second and third decline in a row; after the next it has failed."""


class AutoTopUpKind(StrEnum):
    """What a rule waits for."""

    THRESHOLD = "THRESHOLD"
    """The wallet has less available than the threshold."""
    MONTHLY = "MONTHLY"
    """A day of the month."""


class AutoTopUpStatus(StrEnum):
    """How a rule stands."""

    ACTIVE = "ACTIVE"
    """The store is asked to charge when its time comes."""
    PAUSED = "PAUSED"
    """Nothing is asked for until it is set again."""
    FAILED = "FAILED"
    """The payment method was declined too often; set it again with another one."""
    CANCELLED = "CANCELLED"
    """It is over."""


class ChargeStatus(StrEnum):
    """How a request to charge stands."""

    REQUESTED = "REQUESTED"
    """The store is asked to charge."""
    PAID = "PAID"
    """The store charged, and the wallet got what it kept."""
    DECLINED = "DECLINED"
    """The payment method was declined."""
    WITHDRAWN = "WITHDRAWN"
    """The rule was paused, changed or cancelled first: charge nothing. Money that came all the same is credited."""


class ChargeOutcome(StrEnum):
    """What came of a charge, as the store says."""

    PAID = "PAID"
    """The money came."""
    DECLINED = "DECLINED"
    """The payment method was declined."""


@dataclass(frozen=True, slots=True)
class AutoTopUp:
    """A rule of a wallet; there is one of each kind. Amounts in minor units of `currency`.

    `payment_token` is the store's own name of the saved payment method. `next_attempt_at` is when it asks next at the
    earliest, `charge_id` what it has asked for and not heard of.
    """

    id: UUID
    wallet_id: UUID
    kind: AutoTopUpKind
    threshold_minor: int | None
    day_of_month: int | None
    amount_minor: int
    currency: str
    payment_method: str
    payment_token: str
    status: AutoTopUpStatus
    declines: int
    next_attempt_at: datetime
    charge_id: UUID | None
    created_by: Actor
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class AutoTopUpCharge:
    """A request to the store to charge; its id is the store's idempotency key. `attempt` counts from 1 since the last
    success. `top_up_id` is the money that came for it, `problem` the store's word for why none did.
    """

    id: UUID
    wallet_id: UUID
    rule_id: UUID
    reference: str
    amount_minor: int
    currency: str
    payment_method: str
    payment_token: str
    attempt: int
    status: ChargeStatus
    top_up_id: UUID | None
    problem: str
    created_at: datetime
    updated_at: datetime


def auto_top_up_id(wallet_id: UUID, kind: AutoTopUpKind) -> UUID:
    """Return the id of a wallet's rule of a kind."""
    return uuid5(_NAMESPACE, f"{wallet_id}\n{kind}")


def charge_id(rule: AutoTopUp) -> UUID:
    """Return the id of what a rule asks for now: it stays the same however often that is worked out."""
    return uuid5(_NAMESPACE, f"{rule.id}\n{rule.next_attempt_at.isoformat()}\n{rule.updated_at.isoformat()}")


def next_month_day(day_of_month: int, after: datetime, zone: ZoneInfo) -> datetime:
    """Return the next beginning of this day of a month after a moment, in UTC: the last day of shorter months."""
    shown = local(after, zone).date()
    found = _in_month(shown.year, shown.month, day_of_month, zone)
    if found <= after:
        later = shown.replace(day=1) + timedelta(days=31)
        found = _in_month(later.year, later.month, day_of_month, zone)
    return found


def _in_month(year: int, month: int, day_of_month: int, zone: ZoneInfo) -> datetime:
    # The 28th is in every month, and four days later is always the next one.
    last = (date(year, month, 28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    day = last.replace(day=min(day_of_month, last.day))
    return days_later(datetime.combine(day, time(), tzinfo=zone), 0, zone)


def declined(rule: AutoTopUp, now: datetime, zone: ZoneInfo) -> AutoTopUp:
    """Return the rule after one more decline."""
    declines = rule.declines + 1
    if declines > len(BACKOFF_DAYS):
        return replace(rule, declines=declines, status=AutoTopUpStatus.FAILED, charge_id=None, updated_at=now)
    next_at = days_later(now, BACKOFF_DAYS[declines - 1], zone)
    return replace(rule, declines=declines, charge_id=None, next_attempt_at=next_at, updated_at=now)


def paid(rule: AutoTopUp, now: datetime, zone: ZoneInfo) -> AutoTopUp:
    """Return the rule after its charge was paid."""
    next_at = now
    if rule.day_of_month is not None:
        next_at = next_month_day(rule.day_of_month, now, zone)
    return replace(rule, declines=0, charge_id=None, next_attempt_at=next_at, updated_at=now)
