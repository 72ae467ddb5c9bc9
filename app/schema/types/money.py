"""Money as GraphQL sees it: an exact decimal with its currency."""

from collections.abc import Callable
from typing import Any

import strawberry

from app.domain.money import written
from app.readings import Reading
from app.schema.types.scalars import CurrencyCode, Decimal


@strawberry.type(description="An exact amount of money in a currency.")
class Money:
    """A decimal string with all the currency's decimals, and the currency."""

    amount: Decimal = strawberry.field(
        description='The amount with all decimals of its currency, such as "25.00".'
    )
    currency: CurrencyCode = strawberry.field(description="The currency.")


def money(amount_minor: int, currency: str) -> Money:
    """Return an amount in minor units as GraphQL shows it."""
    amount: Any = written(amount_minor, currency)
    code: Any = currency
    return Money(amount=amount, currency=code)


def money_of(column: str, sign: Callable[[int], int] | None = None) -> Reading:
    """Return how an amount is read of a column in minor units, or of what `sign` makes of it, and the record's currency."""
    if sign is None:
        return Reading((column, "currency"), money, {"amount": written, "currency": _code})
    return Reading(
        (column, "currency"),
        lambda amount_minor, code: money(sign(amount_minor), code),
        {"amount": lambda amount_minor, code: written(sign(amount_minor), code), "currency": _code},
    )


def _code(_amount_minor: int, code: str) -> str:
    return code


@strawberry.input(
    description="An amount of money, positive; a direction or the mutation says which way it goes."
)
class MoneyInput:
    """What a caller sends as an amount."""

    amount: Decimal = strawberry.field(description='The amount as a string, such as "25.00".')
    currency: CurrencyCode = strawberry.field(description="The currency, which must be that of the wallet.")


def amount_of(given: MoneyInput | None) -> str | None:
    """Return the amount that was sent, if one was."""
    return None if given is None else given.amount


@strawberry.input(description="Bounds of an amount in the store's currency, both inclusive.")
class AmountRange:
    """From and to; either may be left out."""

    min: Decimal | None = strawberry.field(default=None, description="At least this much.")
    max: Decimal | None = strawberry.field(default=None, description="At most this much.")
