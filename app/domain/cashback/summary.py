"""A rule in a few sentences: the whole of it for staff, and what customers may know of it."""

from collections.abc import Iterator

from app.domain.cashback.period import Period
from app.domain.cashback.reward import Reward, RewardKind, RewardPer, VestingKind
from app.domain.cashback.rule import CashbackRule, MilestoneKind, TriggerKind
from app.domain.money import currency_of

_DAYS = ("", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_PER = {RewardPer.ORDER: "", RewardPer.LINE: " for each line", RewardPer.UNIT: " for each unit"}
_PERIODS = {Period.DAY: "a day", Period.WEEK: "a week", Period.MONTH: "a month", Period.YEAR: "a year"}
_TRIGGERS = {
    TriggerKind.ORDER_COMPLETED: "for a completed order",
    TriggerKind.ORDER_PAID: "for a paid order",
    TriggerKind.TOP_UP: "for a top-up",
    TriggerKind.SIGN_UP: "for signing up",
    TriggerKind.BIRTHDAY: "on the birthday",
}


def summary(rule: CashbackRule) -> str:
    """Say what a rule gives, when and to whom; nothing is left out."""
    return _said(rule, public=False)


def offer(rule: CashbackRule) -> str:
    """Say what a rule gives in words that anybody may read: no budget, no customer's role or segment, no expression."""
    return _said(rule, public=True)


def percent_text(percent_bp: int) -> str:
    """Write basis points as a percentage: `550` is `5.5`."""
    return f"{percent_bp // 100}.{percent_bp % 100:02}".rstrip("0").rstrip(".")


def _said(rule: CashbackRule, *, public: bool) -> str:
    parts = [f"{_given(rule)} {_trigger(rule)}", *_conditions(rule, public=public)]
    sentences = [", ".join(parts), *_caps(rule, public=public), _spendable(rule.reward)]
    return " ".join(f"{sentence[0].upper()}{sentence[1:]}." for sentence in sentences)


def _money(rule: CashbackRule, amount_minor: int | None) -> str:
    # A rule that states an amount has a currency: `check_rule` sees to that.
    return currency_of(rule.currency or "").display(amount_minor or 0)


def _given(rule: CashbackRule) -> str:
    reward = rule.reward
    if reward.kind is RewardKind.FIXED:
        return _money(rule, reward.amount_minor) + _PER[reward.per]
    return f"{percent_text(reward.percent_bp)} %{_PER[reward.per]}"


def _trigger(rule: CashbackRule) -> str:
    trigger = rule.trigger
    if trigger.kind is TriggerKind.EVENT:
        return f"for {trigger.event}"
    if trigger.kind is not TriggerKind.MILESTONE:
        return _TRIGGERS[trigger.kind]
    if trigger.milestone is MilestoneKind.FIRST_ORDER:
        return "for the first completed order"
    if trigger.milestone is MilestoneKind.LIFETIME_SPEND:
        return f"for the order that takes all purchases to {_money(rule, trigger.spend_minor)}"
    each = (
        "every order whose number is a multiple of"
        if trigger.milestone is MilestoneKind.EVERY_NTH_ORDER
        else ""
    )
    return f"for {each or 'order number'} {trigger.n}"


def _conditions(rule: CashbackRule, *, public: bool) -> Iterator[str]:
    conditions = rule.conditions
    if conditions.minimum_minor is not None:
        yield f"from {_money(rule, conditions.minimum_minor)}"
    if conditions.maximum_minor is not None:
        yield f"up to {_money(rule, conditions.maximum_minor)}"
    if conditions.lines != type(conditions.lines)():
        yield "for the products that count" if public else _lines(rule)
    if conditions.payment_methods_in or conditions.payment_methods_out:
        yield _membership("paid by", conditions.payment_methods_in, conditions.payment_methods_out)
    yield from _customers(rule, public=public)
    if conditions.weekdays:
        yield f"on {_listed(_DAYS[day] for day in sorted(conditions.weekdays))}"
    if conditions.minute_from is not None and conditions.minute_to is not None:
        yield f"from {_clock(conditions.minute_from)} to {_clock(conditions.minute_to)}"
    if conditions.expression:
        yield "under a further condition" if public else f"where {conditions.expression}"


def _customers(rule: CashbackRule, *, public: bool) -> Iterator[str]:
    conditions = rule.conditions
    roles = (conditions.roles_in, conditions.roles_out)
    segments = (conditions.segments_in, conditions.segments_out)
    if public and any((*roles, *segments)):
        yield "for some customers"
    elif not public:
        if any(roles):
            yield _membership("for roles", *roles)
        if any(segments):
            yield _membership("for segments", *segments)
    least, most = conditions.days_since_sign_up_min, conditions.days_since_sign_up_max
    if least is not None or most is not None:
        until = "or later" if most is None else f"to {most}"
        yield f"on day {least or 0} {until} after signing up"


def _lines(rule: CashbackRule) -> str:
    lines = rule.conditions.lines
    kinds = (
        ("categories", lines.categories_in, lines.categories_out),
        ("products", lines.products_in, lines.products_out),
        ("SKUs", lines.skus_in, lines.skus_out),
    )
    said = [
        _membership(f"for {kind}", wanted, unwanted) for kind, wanted, unwanted in kinds if wanted or unwanted
    ]
    said += ["not for what is on sale"] if lines.sale_out else []
    said += ["not for what a coupon made cheaper"] if lines.couponed_out else []
    return ", ".join(said)


def _membership(what: str, wanted: frozenset[str], unwanted: frozenset[str]) -> str:
    said = [f"{what} {_listed(sorted(wanted))}"] if wanted else []
    if unwanted:
        said.append(f"not {what} {_listed(sorted(unwanted))}")
    return ", ".join(said)


def _listed(words: Iterator[str] | list[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _caps(rule: CashbackRule, *, public: bool) -> Iterator[str]:
    caps = rule.reward.caps
    if caps.order_minor is not None:
        yield f"at most {_money(rule, caps.order_minor)} each time"
    for cap in caps.periods:
        yield f"at most {_money(rule, cap.amount_minor)} {_PERIODS[cap.period]} for each customer"
    if caps.customer_minor is not None:
        yield f"at most {_money(rule, caps.customer_minor)} for each customer"
    if caps.budget_minor is not None and not public:
        yield f"at most {_money(rule, caps.budget_minor)} in all"


def _spendable(reward: Reward) -> str:
    vesting, expiry = reward.vesting, reward.expiry
    since = {
        VestingKind.AT_ONCE: "at once",
        VestingKind.AFTER_DAYS: f"after {vesting.days} days",
        VestingKind.RETURN_PERIOD: "after the return period",
    }[vesting.kind]
    until = f" for {expiry.days} days" if expiry.days is not None else ""
    if expiry.end_of_month:
        until += " and to the end of that month" if until else " to the end of the month"
    return f"it can be spent {since}{',' if until else ''}{until}"
