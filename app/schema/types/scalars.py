"""The scalars of the schema: money as decimal strings, numbers that outgrow 32 bits, currencies."""

from datetime import UTC, date, datetime
from decimal import Decimal as Number
from typing import Any, NewType

import orjson
import strawberry
from graphql import GraphQLError, IntValueNode, StringValueNode, ValueNode
from strawberry.schema.config import StrawberryConfig

from app.domain.errors import DomainError
from app.domain.money import currency_of, is_decimal

Decimal = NewType("Decimal", str)
CurrencyCode = NewType("CurrencyCode", str)
BigInt = NewType("BigInt", int)
DateTime = NewType("DateTime", datetime)
Date = NewType("Date", date)

_INTEGER_MAX = 2**53 - 1


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"


def parse_decimal(value: Any) -> str:
    """Take a decimal as a string (or a whole number), refuse anything that a float may have touched."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise GraphQLError(f'{_shown(value)} is no decimal. Send decimals as strings, such as "25.00".')
    if not is_decimal(value):
        raise GraphQLError(
            f"{_shown(value)!r} is no decimal. Write digits with at most one point, such as 25.00: "
            "no exponent, no separators, no plus sign, no leading zeros."
        )
    return value


def parse_currency(value: Any) -> str:
    """Take the code of a currency that wallets can be kept in."""
    if not isinstance(value, str):
        raise GraphQLError(f"{_shown(value)} is no currency code. Send a string such as USD.")
    try:
        return currency_of(value).code
    except DomainError as error:
        raise GraphQLError(error.message) from None


def parse_integer(value: Any) -> int:
    """Take a whole number, also as a string, up to what every JSON reader keeps exactly."""
    if (
        isinstance(value, str)
        and value.lstrip("-").isascii()
        and value.lstrip("-").isdigit()
        and len(value) < 20
    ):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _INTEGER_MAX:
        raise GraphQLError(f"{_shown(value)} is no whole number between -(2^53 - 1) and 2^53 - 1.")
    return value


def parse_time(value: Any) -> datetime:
    """Take an ISO 8601 time with its offset from UTC."""
    if not isinstance(value, str) or len(value) > 40:
        raise GraphQLError(f"{_shown(value)} is no time. Send one such as 2027-01-31T12:00:00Z.")
    try:
        time = datetime.fromisoformat(value)
        if time.tzinfo is None:
            raise ValueError("a time without an offset")
        return time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise GraphQLError(
            f"{_shown(value)!r} is no time with an offset. Send one such as 2027-01-31T12:00:00Z."
        ) from None


def parse_date(value: Any) -> date:
    """Take a day by ISO 8601."""
    if not isinstance(value, str) or len(value) != len("2027-01-31"):
        raise GraphQLError(f"{_shown(value)} is no day. Send one such as 2027-01-31.")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise GraphQLError(f"{_shown(value)!r} is no day. Send one such as 2027-01-31.") from None


def plain_decimal(value: object) -> Decimal:
    """Return a number as GraphQL shows decimals: with no exponent, whoever wrote it."""
    return Decimal(f"{Number(str(value)):f}")


def write_time(value: datetime) -> str:
    """Write a time in UTC, such as 2027-01-31T12:00:00.000000Z."""
    if value.tzinfo is UTC and value.microsecond:
        # Several times as quick as `isoformat`, and the same text, unless there are no microseconds to be written.
        return orjson.dumps(value, option=orjson.OPT_UTC_Z)[1:-1].decode()
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _literal(parse: Any) -> Any:
    def from_literal(node: ValueNode, variables: Any = None) -> Any:
        try:
            if isinstance(node, StringValueNode):
                return parse(node.value)
            if isinstance(node, IntValueNode):
                return parse(int(node.value) if len(node.value) < 64 else node.value)
        except GraphQLError as error:
            # With its node, so that the answer says where in the document it stands.
            raise GraphQLError(error.message, node) from None
        written = getattr(node, "value", None)
        raise GraphQLError(
            f"{_shown(written) if written is not None else 'This'} can't be used here. Write the value in quotes.",
            node,
        )

    return from_literal


SCALARS: dict[object, Any] = {
    Decimal: strawberry.scalar(
        name="Decimal",
        description='An exact decimal number as a string, such as "25.00". Whole numbers are taken too; floats never.',
        serialize=str,
        parse_value=parse_decimal,
        parse_literal=_literal(parse_decimal),
    ),
    CurrencyCode: strawberry.scalar(
        name="CurrencyCode",
        description="An ISO 4217 currency code in capitals, such as USD, EUR or JPY.",
        serialize=str,
        parse_value=parse_currency,
        parse_literal=_literal(parse_currency),
    ),
    BigInt: strawberry.scalar(
        name="BigInt",
        description="A whole number up to 2^53 - 1, which JavaScript keeps exactly.",
        serialize=int,
        parse_value=parse_integer,
        parse_literal=_literal(parse_integer),
    ),
    Date: strawberry.scalar(
        name="Date",
        description="A day of the calendar by ISO 8601, such as 2027-01-31.",
        specified_by_url="https://scalars.graphql.org/andimarek/local-date.html",
        serialize=date.isoformat,
        parse_value=parse_date,
        parse_literal=_literal(parse_date),
    ),
    DateTime: strawberry.scalar(
        name="DateTime",
        description="A time by ISO 8601 with its offset from UTC; answers are in UTC, such as 2027-01-31T12:00:00.000000Z.",
        specified_by_url="https://scalars.graphql.org/andimarek/date-time.html",
        serialize=write_time,
        parse_value=parse_time,
        parse_literal=_literal(parse_time),
    ),
}

CONFIG = StrawberryConfig(scalar_map=SCALARS, relay_max_results=100)
"""How Strawberry is to read the annotations."""
