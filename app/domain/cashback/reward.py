"""What a rule gives: how much, of which kind, from when and until when, and where it ends."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from app.domain.bucket import Bucket
from app.domain.cashback.condition import Base
from app.domain.cashback.data import Reader, read
from app.domain.cashback.period import Period, day_ends, days_later, local, month_ends
from app.domain.cashback.share import Rounding
from app.domain.errors import FieldInvalid
from app.domain.money import AMOUNT_MAX_MINOR

PERCENT_MAX_BP = 10_000
"""The most that a rule gives, in basis points: all that was paid."""

DAYS_MAX = 3_650


class RewardKind(StrEnum):
    """How a reward is worked out."""

    PERCENT = "PERCENT"
    """A part of the base."""
    FIXED = "FIXED"
    """Always the same amount."""


class RewardPer(StrEnum):
    """How often a reward is given, and at which step it is rounded."""

    ORDER = "ORDER"
    """Once: a percentage is taken of the sum of the lines that count, and rounded once."""
    LINE = "LINE"
    """For each line that counts, rounded line by line."""
    UNIT = "UNIT"
    """For each whole unit of the lines that count, rounded unit by unit."""


class VestingKind(StrEnum):
    """When an award becomes money that can be spent."""

    AT_ONCE = "AT_ONCE"
    """As soon as it is given."""
    AFTER_DAYS = "AFTER_DAYS"
    """So many days of the store's calendar after it was given, at the same time of day."""
    RETURN_PERIOD = "RETURN_PERIOD"
    """When the store's return period ends."""


@dataclass(frozen=True, slots=True)
class Vesting:
    """When an award vests; `days` for `AFTER_DAYS` alone."""

    kind: VestingKind = VestingKind.AT_ONCE
    days: int = 0

    def at(self, awarded_at: datetime, zone: ZoneInfo, *, return_period_days: int) -> datetime:
        """Return when an award vests that was given then."""
        if self.kind is VestingKind.AT_ONCE:
            return awarded_at
        days = self.days if self.kind is VestingKind.AFTER_DAYS else return_period_days
        return days_later(awarded_at, days, zone)

    def check(self) -> None:
        """Refuse days that can't be meant."""
        if self.kind is VestingKind.AFTER_DAYS and not 1 <= self.days <= DAYS_MAX:
            raise FieldInvalid(
                f"Choose from 1 to {DAYS_MAX} days, or have it vest at once.", field=("vesting", "days")
            )
        if self.kind is not VestingKind.AFTER_DAYS and self.days:
            raise FieldInvalid(
                "Days are for vesting after days. Leave them out, or choose that.", field=("vesting", "days")
            )


@dataclass(frozen=True, slots=True)
class Expiry:
    """Until when vested money can be spent: for `days` of the store's calendar, the last one whole.

    With `end_of_month`, to the end of the month that this last day (without `days`: the day of vesting) is in.
    Neither: for ever.
    """

    days: int | None = None
    end_of_month: bool = False

    def at(self, vests_at: datetime, zone: ZoneInfo) -> datetime | None:
        """Return the first moment at which the money is gone."""
        if self.days is None and not self.end_of_month:
            return None
        last = local(vests_at, zone).date() + timedelta(days=self.days or 0)
        return month_ends(last, zone) if self.end_of_month else day_ends(last, zone)

    def check(self) -> None:
        """Refuse days that can't be meant."""
        if self.days is not None and not 1 <= self.days <= DAYS_MAX:
            raise FieldInvalid(
                f"Choose from 1 to {DAYS_MAX} days, or leave it out for money that lasts.",
                field=("expiry", "days"),
            )


@dataclass(frozen=True, slots=True)
class PeriodCap:
    """The most that one customer gets from the rule in one stretch of the store's calendar."""

    period: Period
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Caps:
    """The most that the rule gives, in minor units: for one order, to one customer, and in all (`budget_minor`)."""

    order_minor: int | None = None
    periods: tuple[PeriodCap, ...] = ()
    customer_minor: int | None = None
    budget_minor: int | None = None

    @property
    def any(self) -> bool:
        """Whether there is any cap."""
        bounds = (self.order_minor, self.customer_minor, self.budget_minor)
        return bool(self.periods) or any(bound is not None for bound in bounds)

    def check(self) -> None:
        """Refuse caps that nothing fits under, and two of one period."""
        named = [
            ("order", self.order_minor),
            ("customer", self.customer_minor),
            ("budget", self.budget_minor),
        ]
        for name, amount in [*named, *(("periods", cap.amount_minor) for cap in self.periods)]:
            if amount is not None and not 0 < amount <= AMOUNT_MAX_MINOR:
                raise FieldInvalid(
                    "A cap must be more than zero. Choose more, or pause the rule to give nothing.",
                    field=("caps", name),
                )
        if len({cap.period for cap in self.periods}) < len(self.periods):
            raise FieldInvalid(
                "A period stands here twice. Give each one cap.", field=("caps", "periods", "period")
            )


@dataclass(frozen=True, slots=True)
class Reward:
    """How much: `percent_bp` basis points of `base`, or `amount_minor`; `base` counts the lines that match."""

    kind: RewardKind
    percent_bp: int = 0
    amount_minor: int = 0
    per: RewardPer = RewardPer.ORDER
    base: Base = field(default_factory=Base)
    rounding: Rounding = Rounding.HALF_UP
    bucket: Bucket = Bucket.PROMO
    caps: Caps = Caps()
    vesting: Vesting = Vesting()
    expiry: Expiry = Expiry()

    def check(self) -> None:
        """Refuse what can't be meant, with a sentence that says what to do next."""
        if self.kind is RewardKind.PERCENT and not 0 < self.percent_bp <= PERCENT_MAX_BP:
            raise FieldInvalid(
                "Choose more than 0 and at most 100 percent (10000 basis points).",
                field=("reward", "percent"),
            )
        if self.kind is RewardKind.FIXED and not 0 < self.amount_minor <= AMOUNT_MAX_MINOR:
            raise FieldInvalid(
                "A fixed reward must be more than zero. Give an amount.", field=("reward", "amount")
            )
        if self.percent_bp and self.amount_minor:
            raise FieldInvalid(
                "A reward is a percentage or an amount. Leave one of them out.", field=("reward", "kind")
            )
        if self.bucket is Bucket.GIFT_CARD:
            raise FieldInvalid(
                "Cashback is cash or promotional money. Choose one of these.", field=("reward", "bucket")
            )
        if self.base.shipping and self.per is not RewardPer.ORDER:
            raise FieldInvalid(
                "Shipping is part of no line. Leave it out, or give the reward per order.",
                field=("reward", "base", "shipping"),
            )
        self.caps.check()
        self.vesting.check()
        self.expiry.check()

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Reward":
        """Read a stored reward."""
        return read(cls, data, _READ)


def _caps(data: Mapping[str, Any]) -> Caps:
    def period(data: Mapping[str, Any]) -> PeriodCap:
        return PeriodCap(Period(data["period"]), data["amount_minor"])

    return read(Caps, data, {"periods": lambda caps: tuple(period(cap) for cap in caps)})


_READ: dict[str, Reader] = {
    "kind": RewardKind,
    "per": RewardPer,
    "base": lambda data: read(Base, data, {}),
    "rounding": Rounding,
    "bucket": Bucket,
    "caps": _caps,
    "vesting": lambda data: read(Vesting, data, {"kind": VestingKind}),
    "expiry": lambda data: read(Expiry, data, {}),
}
