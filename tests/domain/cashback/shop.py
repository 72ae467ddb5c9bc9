"""A shop in Berlin: rules, orders and customers in a few words. Amounts are minor units."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.domain.cashback.condition import Conditions, LineFilter
from app.domain.cashback.evaluation import Evaluation, RuleBook, evaluate
from app.domain.cashback.occasion import CustomerFacts, Occasion, Usage
from app.domain.cashback.reward import Reward, RewardKind
from app.domain.cashback.rule import CashbackRule, RuleStatus, Stacking, StackingMode, Trigger, TriggerKind
from app.domain.order import OrderLine, OrderSnapshot, OrderStatus
from app.expressions import Cel

ZONE = "Europe/Berlin"
AT = datetime(2026, 3, 14, 15, 9, tzinfo=UTC)
"""A Saturday, 16:09 in Berlin."""
ADA = CustomerFacts("ada", frozenset({"vip"}), frozenset({"north"}), AT, None, 4, 99_000)
CEL = Cel()
COMPLETED = Trigger(TriggerKind.ORDER_COMPLETED)


def words(*names: str) -> frozenset[str]:
    """A list of a rule."""
    return frozenset(names)


def rule(number: int = 1, **parts: Any) -> CashbackRule:
    """A rule: 5 percent, unless told otherwise. Parts of its reward, conditions and lines go where they belong."""
    reward: dict[str, Any] = {"kind": RewardKind.PERCENT, "percent_bp": 500}
    conditions: dict[str, Any] = {}
    lines: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for name, value in parts.items():
        if name == "fixed":
            reward |= {"kind": RewardKind.FIXED, "percent_bp": 0, "amount_minor": value}
        elif name == "of":
            reward["base"] = value
        elif name in Reward.__dataclass_fields__ and name != "base":
            reward[name] = value
        elif name in LineFilter.__dataclass_fields__:
            lines[name] = value
        elif name in Conditions.__dataclass_fields__:
            conditions[name] = value
        else:
            own[name] = value
    return CashbackRule(
        **{
            "id": UUID(int=number),
            "version": 1,
            "name": f"Rule {number}",
            "trigger": COMPLETED,
            "reward": Reward(**reward),
            "conditions": Conditions(**conditions, lines=LineFilter(**lines)),
            "status": RuleStatus.ACTIVE,
            "currency": "EUR",
            **own,
        }
    )


def line(number: int, total: int, tax: int = 0, **parts: Any) -> OrderLine:
    """A line that costs so much, without tax; nothing was taken off unless `subtotal_minor` says so."""
    quantity = Decimal(parts.pop("quantity", 1))
    told: dict[str, Any] = {"subtotal_minor": total, "sku": f"s{number}", "product_id": f"p{number}"} | parts
    return OrderLine(str(number), quantity=quantity, total_minor=total, tax_minor=tax, **told)


def order(*lines: OrderLine, shipping: int = 0, total: int | None = None, **parts: Any) -> OrderSnapshot:
    """A completed order of these lines; its total is their sum with tax and shipping."""
    tax = sum(each.tax_minor for each in lines)
    cost = sum(each.total_minor for each in lines) + tax + shipping
    told: dict[str, Any] = {
        "tax_minor": tax,
        "shipping_minor": shipping,
        "payment_method": "card",
        "placed_at": AT,
    } | parts
    status = OrderStatus.COMPLETED
    number, currency = told.pop("number", "1042"), told.pop("currency", "EUR")
    cost = cost if total is None else total
    return OrderSnapshot("shop", number, AT, status, "completed", currency, cost, lines=lines, **told)


def plain_order(total: int, **parts: Any) -> OrderSnapshot:
    """An order of one line."""
    return order(line(1, total), **parts)


def answer(
    rules: CashbackRule | list[CashbackRule],
    what: OrderSnapshot | Occasion,
    *,
    customer: CustomerFacts | None = ADA,
    usage: Usage | None = None,
    zone: str = ZONE,
    **parts: Any,
) -> Evaluation:
    """What the rules say of an order or occasion."""
    book = RuleBook([rules] if isinstance(rules, CashbackRule) else rules, time_zone=zone, expressions=CEL)
    occasion = Occasion.of_order(what, **parts) if isinstance(what, OrderSnapshot) else what
    return evaluate(book, occasion, customer, Usage() if usage is None else usage)


def group(name: str) -> Stacking:
    """The best of a group."""
    return Stacking(StackingMode.BEST_OF_GROUP, name)


ALONE = Stacking(StackingMode.EXCLUSIVE)
