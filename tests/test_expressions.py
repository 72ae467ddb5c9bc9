"""Expressions of cashback rules: typed, limited, with the place of what is wrong."""

from datetime import UTC, datetime
from time import perf_counter

import pytest

from app.domain.cashback.expression import SOURCE_MAX, VARIABLES, ExpressionFailed
from app.domain.cashback.fact import variables
from app.domain.cashback.occasion import CustomerFacts, Occasion
from app.domain.errors import FieldInvalid
from app.expressions import Cel, _largest
from tests.domain.cashback.shop import ADA, AT, line, order

CEL = Cel()
ORDER = Occasion.of_order(
    order(line(1, 500, categories=("Shoes",), quantity=2), line(2, 700)), wallet_paid_minor=100
)


def holds(source: str, occasion: Occasion = ORDER, customer: CustomerFacts | None = ADA) -> bool:
    return CEL.check(source).holds(CEL.bind(variables(occasion, customer, AT, None)))


def test_every_variable_has_a_value() -> None:
    assert set(variables(ORDER, None, AT, None)) == set(VARIABLES) == set(_largest())


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("amount_minor == 1200 && currency == 'EUR'", True),
        ("order.category_totals_minor['Shoes'] * 100 / amount_minor >= 40", True),
        ("'Hats' in order.category_totals_minor && order.category_totals_minor['Hats'] > 0", False),
        ("order.sku_units.exists(sku, sku.startsWith('s') && order.sku_units[sku] > 1)", True),
        ("'vip' in customer.roles && customer.orders_completed > 3", True),
        ("local.month == 3 && local.weekday == 6", True),
        ("at > timestamp('2026-03-01T00:00:00Z')", True),
        ("wallet_paid_minor * 10 > amount_minor", False),
        ("customer.days_since_sign_up == -1", True),
        ("order.coupons.size() == 0 || order.coupons.all(code, code.endsWith('X'))", True),
        ("currency == '1.5'", False),
    ],
)
def test_what_the_fields_cannot_say(source: str, expected: bool) -> None:
    assert holds(source) is expected


def test_a_visitor_has_values_too() -> None:
    assert holds("!customer.known && customer.roles.size() == 0", customer=None)
    assert holds("order.lines == 0 && amount_minor == 0", Occasion.of_sign_up("EUR", AT))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("amount_minor >", "Line 1, column 15: Syntax error"),
        ("amount_minor > 5 &&\n  ordr.lines > 3", "Line 2, column 7: undeclared reference to 'ordr.lines'"),
        ("amount_minor > 'a'", "Line 1, column 14: found no matching overload"),
        ("amount_minor + 5", "no yes or no"),
        ("amount_minor > 10.5", "Line 1, column 16. Use whole numbers"),
        ("amount_minor * 1.1 > 5", "whole numbers"),
        ("1e3 > 2", "whole numbers"),
        ("double(amount_minor) > 5", "undeclared reference to 'double'"),
        ("currency.matches('(a+)+')", "undeclared reference to 'matches'"),
        ("dyn(1) == 1", "undeclared reference to 'dyn'"),
        ("order.coupons + order.coupons == []", "no matching overload"),
        ("now() > at", "undeclared reference to 'now'"),
        ("(" * 60 + "true" + ")" * 60, "nested too deeply"),
        ("1" + " + 1" * 60 + " > 1", "nested too deeply"),
        ("amount_minor > 99999999999999999999", "column 16: invalid int literal"),
        ("[1].all(a, [2].all(b, a < b))", "Line 1, column 15: at most 4 macros, none within another"),
        (" && ".join(["[1].all(a, a > 0)"] * 5), "at most 4 macros"),
        ("true" + " " * SOURCE_MAX, "too long"),
        ("", "Syntax error"),
    ],
)
def test_refusals_say_where(source: str, said: str) -> None:
    with pytest.raises(FieldInvalid, match=r"\w") as refusal:
        CEL.check(source)
    assert said in refusal.value.message
    assert refusal.value.field == ("expression",)


def test_what_has_no_answer_says_so() -> None:
    bound = CEL.bind(variables(ORDER, ADA, AT, None))
    for source in (
        "order.sku_units['none'] > 1",
        "amount_minor / order.shipping_minor > 1",
        "amount_minor * 9223372036854775807 > 0",
    ):
        with pytest.raises(ExpressionFailed):
            CEL.compile(source).holds(bound)


def test_the_same_variables_give_the_same_answer() -> None:
    expression = CEL.compile("order.sku_units.all(sku, order.sku_units[sku] > 0)")
    assert expression is CEL.compile("order.sku_units.all(sku, order.sku_units[sku] > 0)")
    bound = CEL.bind(variables(ORDER, ADA, datetime(2026, 1, 1, tzinfo=UTC), None))
    assert {expression.holds(bound) for _ in range(50)} == {True}


def test_what_would_keep_a_server_busy_is_refused_when_it_is_written() -> None:
    # Its form is fine, and the library compares maps slowly: 500 times 11 comparisons of 500 entries.
    source = "order.coupons.exists(a, " + " || ".join(["order.sku_units != order.sku_units"] * 11) + ")"
    CEL.compile(source)
    began = perf_counter()
    with pytest.raises(FieldInvalid, match="takes too long for a large order"):
        CEL.check(source)
    assert perf_counter() - began < 10
