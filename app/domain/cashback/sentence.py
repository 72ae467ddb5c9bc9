"""An evaluation in sentences, for people: why it is 4.37, and why it is nothing. English, as all messages are."""

from collections.abc import Callable
from typing import Any

from app.domain.cashback.check import Check, CheckName
from app.domain.cashback.evaluation import CapName, Decision, Evaluation, Outcome
from app.domain.cashback.reward import RewardKind, RewardPer
from app.domain.cashback.share import Rounding
from app.domain.money import Currency, currency_of

_DAYS = ("", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_ROUNDING = {
    Rounding.HALF_UP: "halves up",
    Rounding.HALF_EVEN: "halves to even",
    Rounding.DOWN: "down",
    Rounding.UP: "up",
}
_CAPS = {
    CapName.ORDER: "for one order",
    CapName.PERIOD: "for one customer in {period}",
    CapName.CUSTOMER: "for one customer",
    CapName.BUDGET: "in all",
}


def sentences(evaluation: Evaluation) -> list[str]:
    """Say what is given in all, then what each rule came to."""
    currency = currency_of(evaluation.occasion.currency)
    total = evaluation.total_minor
    first = f"Cashback: {currency.display(total)}." if total else "No cashback."
    return [first, *(" ".join(explained(outcome, currency)) for outcome in evaluation.outcomes)]


def explained(outcome: Outcome, currency: Currency) -> list[str]:
    """Say what one rule came to, step by step."""
    rule = outcome.rule
    name = f"{rule.name} (version {rule.version})"
    if outcome.decision is Decision.CONDITION_FAILED:
        return [f"{name} does not apply:", *(check_sentence(check, currency) for check in outcome.failed)]
    if outcome.decision is Decision.NOTHING_PAID:
        return [f"{name} gives nothing: no part of what it is about was paid by other means than the wallet."]
    said = [f"{name}: {_reward(outcome, currency)}"]
    said += [_cap(outcome, place, currency) for place in range(len(outcome.caps))]
    return [*said, _decided(outcome, currency)]


def _reward(outcome: Outcome, currency: Currency) -> str:
    reward, basis = outcome.rule.reward, outcome.basis
    if reward.kind is RewardKind.FIXED:
        each = {RewardPer.ORDER: "", RewardPer.LINE: " for each line", RewardPer.UNIT: " for each unit"}
        said = currency.display(reward.amount_minor) + each[reward.per]
        return (
            f"{said}."
            if reward.per is RewardPer.ORDER
            else f"{said} is {currency.display(outcome.rounded_minor)}."
        )
    assert basis is not None  # noqa: S101 — a percentage was taken of it
    percent = f"{reward.percent_bp // 100}.{reward.percent_bp % 100:02}".rstrip("0").rstrip(".")
    of = currency.display(basis.amount_minor)
    if basis.deducted_minor:
        of += (
            f" ({currency.display(basis.gross_minor)} less {currency.display(basis.deducted_minor)} "
            "that the wallet paid or coupons grant)"
        )
    step = {RewardPer.ORDER: "", RewardPer.LINE: " line by line", RewardPer.UNIT: " unit by unit"}[reward.per]
    rounded = f", rounded {_ROUNDING[reward.rounding]}{step}"
    return f"{percent} % of {of}{rounded}, is {currency.display(outcome.rounded_minor)}."


def _cap(outcome: Outcome, place: int, currency: Currency) -> str:
    cap = outcome.caps[place]
    scope = _CAPS[cap.name].format(period=(cap.period or "").partition(":")[2])
    used = f", of which {currency.display(cap.used_minor)} was given before" if cap.used_minor else ""
    return f"At most {currency.display(cap.limit_minor)} {scope}{used}: {currency.display(cap.to_minor)}."


def _decided(outcome: Outcome, currency: Currency) -> str:
    return {
        Decision.AWARDED: f"It gives {currency.display(outcome.amount_minor)}.",
        Decision.ROUNDED_TO_NOTHING: "That is too little to give anything.",
        Decision.CAP_REACHED: "Nothing is left to give.",
        Decision.NOT_BEST_OF_GROUP: "Another rule of its group gives more, so this one gives nothing.",
        Decision.BESIDE_EXCLUSIVE: "A rule that stands alone comes before it, so this one gives nothing.",
        Decision.EXCLUSIVE_NOT_FIRST: "It only gives something alone, and another rule comes before it.",
    }[outcome.decision]


def check_sentence(check: Check, currency: Currency) -> str:
    """Say what a failed condition wanted and what it found."""
    return _FAILED[check.name](check.wanted, check.found, currency)


def _span(wanted: Any, found: Any, currency: Currency) -> str:
    start, end = wanted
    return f"it runs from {start or 'ever'} until {end or 'further notice'}, and this was at {found}."


def _minutes(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _membership(what: str) -> Callable[[Any, Any, Currency], str]:
    def say(wanted: Any, found: Any, currency: Currency) -> str:
        parts = []
        if wanted["in"]:
            parts.append(f"one of {', '.join(wanted['in'])}")
        if wanted["out"]:
            parts.append(f"none of {', '.join(wanted['out'])}")
        has = ", ".join(found) if isinstance(found, list) else found
        return f"{what} must be {' and '.join(parts)}, and is {has or 'not known'}."

    return say


def _milestone(wanted: Any, found: Any, currency: Currency) -> str:
    if found is None:
        return "the customer's orders are not known."
    if isinstance(found, list):
        before, after = (currency.display(amount) for amount in found)
        return f"{currency.display(wanted)} must be reached, and the customer goes from {before} to {after}."
    return f"order number {wanted} counts, and this is number {found}."


def _since_sign_up(wanted: Any, found: Any, currency: Currency) -> str:
    least, most = wanted["min"] or 0, wanted["max"]
    until = "or later" if most is None else f"to {most}"
    when = "at a time that is not known" if found is None else f"{found} days ago"
    return f"it is for day {least} {until} after sign-up, and the customer signed up {when}."


def _birthday(wanted: Any, found: Any, currency: Currency) -> str:
    return f"the birthday is {found or 'not known'}, and the day is {wanted}."


_FAILED: dict[CheckName, Callable[[Any, Any, Currency], str]] = {
    CheckName.STATUS: lambda wanted, found, currency: f"it is {str(found).lower()}.",
    CheckName.WINDOW: _span,
    CheckName.CURRENCY: lambda wanted, found, currency: f"it is for {wanted}, and this is in {found}.",
    CheckName.EVENT: lambda wanted, found, currency: f"it waits for {wanted}, and this is {found}.",
    CheckName.BIRTHDAY: _birthday,
    CheckName.MILESTONE: _milestone,
    CheckName.LINES: lambda wanted, found, currency: "no line of the order counts.",
    CheckName.MINIMUM: lambda wanted, found, currency: (
        f"it needs at least {currency.display(wanted)}, and {currency.display(found)} counts."
    ),
    CheckName.MAXIMUM: lambda wanted, found, currency: (
        f"it is for at most {currency.display(wanted)}, and {currency.display(found)} counts."
    ),
    CheckName.PAYMENT_METHOD: _membership("the payment method"),
    CheckName.ROLES: _membership("a role of the customer"),
    CheckName.SEGMENTS: _membership("a segment of the customer"),
    CheckName.WEEKDAY: lambda wanted, found, currency: (
        f"it is for {', '.join(_DAYS[day] for day in wanted)}, and this was a {_DAYS[found]}."
    ),
    CheckName.HOURS: lambda wanted, found, currency: (
        f"it is for {_minutes(wanted[0])} to {_minutes(wanted[1])}, and this was at {_minutes(found)}."
    ),
    CheckName.SINCE_SIGN_UP: _since_sign_up,
    CheckName.EXPRESSION: lambda wanted, found, currency: (
        f"its expression says no: {wanted}" if found is False else f"its expression has no answer: {found}"
    ),
}
