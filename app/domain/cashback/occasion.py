"""What happened, to whom, and what was given before: all that an evaluation knows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from app.domain.cashback.period import Period, local
from app.domain.cashback.rule import TriggerKind
from app.domain.order import OrderSnapshot

_NAMESPACE = UUID("6c1de2f7-6d6e-5c3e-8b0f-92a7c1f1d3aa")


class Grant(NamedTuple):
    """Wallet money that a coupon of the order grants, in minor units."""

    code: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Occasion:
    """Something that cashback may be given for; amounts in minor units of `currency`.

    `key` names it for good, within its customer: one rule gives at most one award for one key. `at` is when it
    happened for the customer (an order: when it was placed), which windows, weekdays and the periods of caps go by.
    `amount_minor` is an order's total, or what was kept of a top-up (never its face value, where a coupon lowered what
    was paid). `on_sale` are the ids of lines that were sold at a lowered price; few stores tell.
    """

    trigger: TriggerKind
    key: str
    at: datetime
    currency: str
    amount_minor: int = 0
    order: OrderSnapshot | None = None
    wallet_paid_minor: int = 0
    grants: tuple[Grant, ...] = ()
    on_sale: frozenset[str] = frozenset()
    payment_method: str | None = None
    event: str | None = None

    @classmethod
    def of_order(
        cls,
        order: OrderSnapshot,
        *,
        trigger: TriggerKind = TriggerKind.ORDER_COMPLETED,
        wallet_paid_minor: int = 0,
        grants: tuple[Grant, ...] = (),
        on_sale: frozenset[str] = frozenset(),
    ) -> "Occasion":
        """Return the occasion that an order is: completed (which reaches milestones too), or paid."""
        on_sale |= {line.id for line in order.lines if line.on_sale}
        return cls(
            trigger=trigger,
            key=f"order:{order.id}",
            at=order.placed_at or order.modified_at,
            currency=order.currency,
            amount_minor=order.total_minor,
            order=order,
            wallet_paid_minor=wallet_paid_minor,
            grants=grants,
            on_sale=on_sale,
            payment_method=order.payment_method,
        )

    @classmethod
    def of_top_up(
        cls,
        top_up_id: UUID,
        kept_minor: int,
        currency: str,
        at: datetime,
        *,
        payment_method: str | None = None,
    ) -> "Occasion":
        """Return the occasion that a top-up is; `kept_minor` is what the store kept of the payment."""
        key = f"top-up:{top_up_id}"
        return cls(TriggerKind.TOP_UP, key, at, currency, kept_minor, payment_method=payment_method)

    @classmethod
    def of_sign_up(cls, currency: str, at: datetime) -> "Occasion":
        """Return the occasion that a registration is: once for each customer."""
        return cls(TriggerKind.SIGN_UP, "sign-up", at, currency)

    @classmethod
    def of_birthday(cls, currency: str, at: datetime, zone: ZoneInfo) -> "Occasion":
        """Return the occasion that a birthday is: once a year of the store's calendar, even if the date is changed."""
        return cls(TriggerKind.BIRTHDAY, f"birthday:{local(at, zone).year}", at, currency)

    @classmethod
    def of_event(cls, name: str, event_id: str, currency: str, at: datetime) -> "Occasion":
        """Return the occasion that the store told of, by the store's own id."""
        return cls(TriggerKind.EVENT, f"event:{name}:{event_id}", at, currency, event=name)


def award_id(rule_id: UUID, customer_id: str, key: str) -> UUID:
    """Return the id of an award, which follows from what it is for: whatever is told twice is the same award."""
    return uuid5(_NAMESPACE, f"{rule_id}\n{customer_id}\n{key}")


@dataclass(frozen=True, slots=True)
class CustomerFacts:
    """What is known of a customer before the occasion; `None` is not known.

    `orders_completed` and `lifetime_spend_minor` are of completed orders alone, without this one; spend is the sum of
    their totals less what was refunded.
    """

    id: str
    roles: frozenset[str] = frozenset()
    segments: frozenset[str] = frozenset()
    signed_up_at: datetime | None = None
    birthday: date | None = None
    orders_completed: int | None = None
    lifetime_spend_minor: int | None = None


def usage_key(period: Period, day: date) -> str:
    """Return the name under which a customer's awards of one stretch are summed, such as `MONTH:2026-03`."""
    return f"{period}:{period.key(day)}"


@dataclass(frozen=True, slots=True)
class RuleUsage:
    """What a rule (all its versions) has given, net of what was clawed back, in minor units.

    In all, to this customer, and to this customer by `usage_key` of the awards' own `at`.
    """

    total_minor: int = 0
    customer_minor: int = 0
    periods: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


_NOTHING = RuleUsage()


@dataclass(frozen=True, slots=True)
class Usage:
    """What was given so far, by rule."""

    rules: Mapping[UUID, RuleUsage] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, rule_id: UUID) -> RuleUsage:
        """Return what a rule has given."""
        return self.rules.get(rule_id, _NOTHING)

    def with_award(self, rule_id: UUID, amount_minor: int, day: date) -> "Usage":
        """Return the usage after one more award to this customer, on a day of the store's calendar."""
        used = self.of(rule_id)
        keys = [usage_key(period, day) for period in Period]
        periods = {**used.periods, **{key: used.periods.get(key, 0) + amount_minor for key in keys}}
        after = RuleUsage(used.total_minor + amount_minor, used.customer_minor + amount_minor, periods)
        return Usage({**self.rules, rule_id: after})
