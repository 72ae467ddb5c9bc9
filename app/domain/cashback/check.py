"""Each condition of a rule as a check: what was wanted, what was found, and whether it passed."""

from collections.abc import Callable, Iterator
from datetime import date, datetime
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple, Protocol

from app.domain.cashback.basis import Bases
from app.domain.cashback.expression import Expression, ExpressionFailed
from app.domain.cashback.occasion import CustomerFacts, Occasion
from app.domain.cashback.period import is_birthday
from app.domain.cashback.rule import CashbackRule, MilestoneKind, RuleStatus, TriggerKind


class CheckName(StrEnum):
    """What a check is about."""

    STATUS = "STATUS"
    """The rule is active."""
    WINDOW = "WINDOW"
    """The rule is in force at that time."""
    CURRENCY = "CURRENCY"
    """The occasion is in the rule's currency."""
    EVENT = "EVENT"
    """It is the event that the rule waits for."""
    BIRTHDAY = "BIRTHDAY"
    """It is the customer's birthday."""
    MILESTONE = "MILESTONE"
    """The order takes the customer to the milestone."""
    LINES = "LINES"
    """The order has lines that count."""
    MINIMUM = "MINIMUM"
    """The amount is at least that."""
    MAXIMUM = "MAXIMUM"
    """The amount is at most that."""
    PAYMENT_METHOD = "PAYMENT_METHOD"
    """It was paid by one of these methods, or by none of those."""
    ROLES = "ROLES"
    """The customer bears one of these roles, and none of those."""
    SEGMENTS = "SEGMENTS"
    """The customer is in one of these segments, and in none of those."""
    WEEKDAY = "WEEKDAY"
    """It is one of these days of the week in the store's zone."""
    HOURS = "HOURS"
    """It is within these hours in the store's zone."""
    SINCE_SIGN_UP = "SINCE_SIGN_UP"
    """The customer registered so many days before."""
    EXPRESSION = "EXPRESSION"
    """The rule's expression holds."""


class Check(NamedTuple):
    """The outcome of one condition. `wanted` and `found` are plain JSON data; amounts in them are minor units."""

    name: CheckName
    wanted: Any
    found: Any
    passed: bool


class Scene(Protocol):
    """What checks look at."""

    @property
    def occasion(self) -> Occasion:
        """What happened."""

    @property
    def customer(self) -> CustomerFacts | None:
        """To whom; nobody where the visitor is not known."""

    @property
    def shown(self) -> datetime:
        """When, as the store's clocks show it."""

    @property
    def signed_up_on(self) -> date | None:
        """On which day of the store's calendar the customer registered."""

    @property
    def bases(self) -> Bases:
        """The amounts and lines of the occasion."""

    @property
    def bound(self) -> object:
        """The variables of expressions, in the language's own form."""


Checker = Callable[[Scene], Check]


def checkers(rule: CashbackRule, expression: Expression | None) -> tuple[Checker, ...]:
    """Return what to check for a rule: only what it asks, made ready for many occasions."""
    return (
        partial(_status, rule),
        *([partial(_window, rule, _span(rule))] if rule.starts_at or rule.ends_at else []),
        *([partial(_currency, rule.currency)] if rule.currency else []),
        *_of_trigger(rule),
        *_of_amount(rule),
        *_of_customer(rule),
        *_of_time(rule),
        *([partial(_expression, rule.conditions.expression, expression)] if expression else []),
    )


def _of_trigger(rule: CashbackRule) -> Iterator[Checker]:
    trigger = rule.trigger
    if trigger.kind is TriggerKind.EVENT:
        yield partial(_event, trigger.event)
    if trigger.kind is TriggerKind.BIRTHDAY:
        yield _birthday
    if trigger.kind is TriggerKind.MILESTONE:
        yield partial(_milestone, rule)


def _of_amount(rule: CashbackRule) -> Iterator[Checker]:
    conditions = rule.conditions
    if conditions.lines != type(conditions.lines)():
        yield partial(_lines, rule)
    if conditions.minimum_minor is not None:
        yield partial(_minimum, rule, conditions.minimum_minor)
    if conditions.maximum_minor is not None:
        yield partial(_maximum, rule, conditions.maximum_minor)
    if conditions.payment_methods_in or conditions.payment_methods_out:
        wanted = _lists(conditions.payment_methods_in, conditions.payment_methods_out)
        yield partial(_payment_method, rule, wanted)


def _of_customer(rule: CashbackRule) -> Iterator[Checker]:
    conditions = rule.conditions
    if conditions.roles_in or conditions.roles_out:
        yield partial(_roles, rule, _lists(conditions.roles_in, conditions.roles_out))
    if conditions.segments_in or conditions.segments_out:
        yield partial(_segments, rule, _lists(conditions.segments_in, conditions.segments_out))
    if conditions.days_since_sign_up_min is not None or conditions.days_since_sign_up_max is not None:
        wanted = {"min": conditions.days_since_sign_up_min, "max": conditions.days_since_sign_up_max}
        yield partial(_since_sign_up, wanted)


def _of_time(rule: CashbackRule) -> Iterator[Checker]:
    conditions = rule.conditions
    if conditions.weekdays:
        yield partial(_weekday, sorted(conditions.weekdays))
    if conditions.minute_from is not None and conditions.minute_to is not None:
        yield partial(_hours, conditions.minute_from, conditions.minute_to)


def _lists(wanted: frozenset[str], unwanted: frozenset[str]) -> dict[str, list[str]]:
    return {"in": sorted(wanted), "out": sorted(unwanted)}


def _span(rule: CashbackRule) -> list[str | None]:
    return [None if time is None else time.isoformat() for time in (rule.starts_at, rule.ends_at)]


def _status(rule: CashbackRule, scene: Scene) -> Check:
    return Check(CheckName.STATUS, RuleStatus.ACTIVE, rule.status, rule.status is RuleStatus.ACTIVE)


def _window(rule: CashbackRule, wanted: list[str | None], scene: Scene) -> Check:
    at = scene.occasion.at
    return Check(CheckName.WINDOW, wanted, at.isoformat(), rule.in_window(at))


def _currency(wanted: str, scene: Scene) -> Check:
    found = scene.occasion.currency
    return Check(CheckName.CURRENCY, wanted, found, found == wanted)


def _event(wanted: str | None, scene: Scene) -> Check:
    found = scene.occasion.event
    return Check(CheckName.EVENT, wanted, found, found == wanted)


def _birthday(scene: Scene) -> Check:
    customer, today = scene.customer, scene.shown.date()
    born = customer.birthday if customer else None
    # The year of birth is nobody's business, and plays no part.
    found = None if born is None else born.strftime("%m-%d")
    passed = born is not None and is_birthday(born, today)
    return Check(CheckName.BIRTHDAY, today.isoformat(), found, passed)


def _milestone(rule: CashbackRule, scene: Scene) -> Check:
    trigger, customer, order = rule.trigger, scene.customer, scene.occasion.order
    if trigger.milestone is MilestoneKind.LIFETIME_SPEND:
        wanted = trigger.spend_minor or 0
        before = customer.lifetime_spend_minor if customer else None
        if before is None or order is None:
            return Check(CheckName.MILESTONE, wanted, None, passed=False)
        after = before + max(0, order.total_minor - order.refunded_minor)
        return Check(CheckName.MILESTONE, wanted, [before, after], before < wanted <= after)
    done = customer.orders_completed if customer else None
    n = trigger.n or 1
    if done is None or order is None:
        return Check(CheckName.MILESTONE, n, None, passed=False)
    number = done + 1
    repeated = trigger.milestone is MilestoneKind.EVERY_NTH_ORDER
    return Check(CheckName.MILESTONE, n, number, number % n == 0 if repeated else number == n)


def _lines(rule: CashbackRule, scene: Scene) -> Check:
    found = len(scene.bases.places(rule.conditions.lines))
    return Check(CheckName.LINES, 1, found, found > 0)


def _amount(rule: CashbackRule, scene: Scene) -> int:
    conditions, bases = rule.conditions, scene.bases
    if conditions.of_matching_lines:
        return bases.of(conditions.base, conditions.lines).amount_minor
    return bases.of(conditions.base).amount_minor


def _minimum(rule: CashbackRule, wanted: int, scene: Scene) -> Check:
    found = _amount(rule, scene)
    return Check(CheckName.MINIMUM, wanted, found, found >= wanted)


def _maximum(rule: CashbackRule, wanted: int, scene: Scene) -> Check:
    found = _amount(rule, scene)
    return Check(CheckName.MAXIMUM, wanted, found, found <= wanted)


def _payment_method(rule: CashbackRule, wanted: dict[str, list[str]], scene: Scene) -> Check:
    conditions, found = rule.conditions, scene.occasion.payment_method
    passed = found not in conditions.payment_methods_out
    if conditions.payment_methods_in:
        passed = passed and found in conditions.payment_methods_in
    return Check(CheckName.PAYMENT_METHOD, wanted, found, passed)


def _membership(wanted: frozenset[str], unwanted: frozenset[str], found: frozenset[str] | None) -> bool:
    # Of a visitor nobody can say that they are not in a segment that is left out: they may be, once they sign in.
    if found is None:
        return False
    return not (unwanted & found) and (not wanted or bool(wanted & found))


def _roles(rule: CashbackRule, wanted: dict[str, list[str]], scene: Scene) -> Check:
    found = scene.customer.roles if scene.customer else None
    passed = _membership(rule.conditions.roles_in, rule.conditions.roles_out, found)
    return Check(CheckName.ROLES, wanted, None if found is None else sorted(found), passed)


def _segments(rule: CashbackRule, wanted: dict[str, list[str]], scene: Scene) -> Check:
    found = scene.customer.segments if scene.customer else None
    passed = _membership(rule.conditions.segments_in, rule.conditions.segments_out, found)
    return Check(CheckName.SEGMENTS, wanted, None if found is None else sorted(found), passed)


def _since_sign_up(wanted: dict[str, int | None], scene: Scene) -> Check:
    day = scene.signed_up_on
    if day is None:
        return Check(CheckName.SINCE_SIGN_UP, wanted, None, passed=False)
    days = (scene.shown.date() - day).days
    least, most = wanted["min"], wanted["max"]
    passed = (least is None or days >= least) and (most is None or days <= most)
    return Check(CheckName.SINCE_SIGN_UP, wanted, days, passed)


def _weekday(wanted: list[int], scene: Scene) -> Check:
    found = scene.shown.isoweekday()
    return Check(CheckName.WEEKDAY, wanted, found, found in wanted)


def _hours(start: int, end: int, scene: Scene) -> Check:
    found = scene.shown.hour * 60 + scene.shown.minute
    passed = start <= found < end if start < end else found >= start or found < end
    return Check(CheckName.HOURS, [start, end], found, passed)


def _expression(source: str, expression: Expression, scene: Scene) -> Check:
    try:
        holds = expression.holds(scene.bound)
    except ExpressionFailed as error:
        # A rule that can't be decided gives nothing, and says why; it must not stop an order.
        return Check(CheckName.EXPRESSION, source, str(error), passed=False)
    return Check(CheckName.EXPRESSION, source, holds, holds)
