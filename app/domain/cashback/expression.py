"""What a rule may ask beyond its fields: an expression of the Common Expression Language, over these variables.

The language itself is outside, behind two protocols, so that the domain stays free of it: docs/adr/0014.
"""

from enum import StrEnum
from typing import Protocol

SOURCE_MAX = 500
"""Characters that an expression has at most."""


class VariableType(StrEnum):
    """What a variable holds; money is an integer of minor units."""

    BOOL = "bool"
    INT = "int"
    STRING = "string"
    TIMESTAMP = "timestamp"
    STRINGS = "list<string>"
    NUMBERS = "map<string, int>"


VARIABLES: dict[str, VariableType] = {
    "trigger": VariableType.STRING,
    "at": VariableType.TIMESTAMP,
    "local.year": VariableType.INT,
    "local.month": VariableType.INT,
    "local.day": VariableType.INT,
    "local.weekday": VariableType.INT,
    "local.hour": VariableType.INT,
    "customer.known": VariableType.BOOL,
    "customer.roles": VariableType.STRINGS,
    "customer.segments": VariableType.STRINGS,
    "customer.orders_completed": VariableType.INT,
    "customer.lifetime_spend_minor": VariableType.INT,
    "customer.days_since_sign_up": VariableType.INT,
    "amount_minor": VariableType.INT,
    "currency": VariableType.STRING,
    "payment_method": VariableType.STRING,
    "wallet_paid_minor": VariableType.INT,
    "event": VariableType.STRING,
    "order.source": VariableType.STRING,
    "order.tax_minor": VariableType.INT,
    "order.shipping_minor": VariableType.INT,
    "order.discount_minor": VariableType.INT,
    "order.lines": VariableType.INT,
    "order.coupons": VariableType.STRINGS,
    "order.category_totals_minor": VariableType.NUMBERS,
    "order.product_totals_minor": VariableType.NUMBERS,
    "order.sku_units": VariableType.NUMBERS,
}
"""What an expression may name. `local` is the store's own clock, with Monday as weekday 1; what is not known is 0 or
empty, days since sign-up -1; `amount_minor` is the order's total or what was topped up; units are whole ones."""


class ExpressionFailed(Exception):
    """An expression has no answer here, such as for a key that a map does not have. The rule then does not apply."""


class Expression(Protocol):
    """An expression that was compiled, of type bool."""

    def holds(self, bound: object) -> bool:
        """Return what it says of bound variables, or raise `ExpressionFailed`. The same variables, the same answer."""


class Expressions(Protocol):
    """The language: where expressions are compiled, and variables brought into its own form."""

    def compile(self, source: str) -> Expression:
        """Return the compiled expression, or raise `FieldInvalid` with the place of the fault."""

    def check(self, source: str) -> Expression:
        """Compile what somebody wrote just now, and refuse also what would take too long on a large order.

        It may depend on the machine, so it is for those who write rules, and never for a rule that is kept.
        """

    def bind(self, variables: dict[str, object]) -> object:
        """Return the variables in the language's own form, for many expressions."""
