"""Money is an integer of the currency's minor unit inside, a decimal string with its currency outside.

Exponents are those of ISO 4217, read from the `iso4217` package, which carries the standard's own table.
"""

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

import iso4217

from app.domain.errors import AmountNotPositive, AmountTooLarge, AmountTooPrecise, FieldInvalid

AMOUNT_MAX_MINOR = 10**15
"""The most that one movement carries, in minor units."""

BALANCE_MAX_MINOR = 2**53 - 1
"""The most that a wallet holds, in minor units: the largest integer that every JSON reader keeps exactly."""

_DECIMAL = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?", re.ASCII)
_DIGITS_MAX = 40
_STORE_AMOUNT_MAX = Decimal(10**12)
_DECIMALS = {
    0: [""],
    2: [f".{minor:02}" for minor in range(100)],
    3: [f".{minor:03}" for minor in range(1000)],
}
"""By a currency's exponent: what stands behind the whole units, for each number of minor units."""


@dataclass(frozen=True, slots=True)
class Currency:
    """An ISO 4217 currency: `code` in capitals, `exponent` the number of its decimals (0, 2 or 3)."""

    code: str
    exponent: int

    def format(self, amount_minor: int) -> str:
        """Write an amount as a decimal string with all the currency's decimals: `-5` in USD is `-0.05`."""
        return _written(amount_minor, _DECIMALS[self.exponent])

    def display(self, amount_minor: int) -> str:
        """Write an amount for a sentence: `12.30 USD`."""
        return f"{self.format(amount_minor)} {self.code}"


@lru_cache(maxsize=512)
def currency_of(code: str) -> Currency:
    """Return the currency of an ISO 4217 code, or raise `FieldInvalid` for one that wallets can't be in."""
    try:
        found = iso4217.Currency(code)
    except ValueError:
        raise FieldInvalid(
            f"{code[:8]!r} is no ISO 4217 currency code. Use one in capitals, such as USD.",
            field=("amount", "currency"),
        ) from None
    if found.exponent not in (0, 2, 3):
        raise FieldInvalid(f"Wallets can't be kept in {code}.", field=("amount", "currency"))
    return Currency(found.code, found.exponent)


def written(amount_minor: int, code: str) -> str:
    """Write an amount as a decimal string with all decimals of the currency of that code, as `Currency.format` does."""
    return _written(amount_minor, _decimals_of(code))


def _written(amount_minor: int, decimals: list[str]) -> str:
    if amount_minor < 0:
        return f"-{_written(-amount_minor, decimals)}"
    whole, rest = divmod(amount_minor, len(decimals))
    return f"{whole}{decimals[rest]}"


@lru_cache(maxsize=512)
def _decimals_of(code: str) -> list[str]:
    return _DECIMALS[currency_of(code).exponent]


def is_decimal(text: str) -> bool:
    """Tell whether the text is a plain decimal: no exponent, no separators, no plus sign, no leading zeros."""
    return len(text) <= _DIGITS_MAX + 2 and _DECIMAL.fullmatch(text) is not None


def parse_signed(text: str, currency: Currency, *, field: tuple[str, ...] = ("amount",)) -> int:
    """Turn a decimal string of either sign into minor units, for bounds of filters.

    Bounds beyond what any balance can be are brought to that edge: they filter just the same.
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise FieldInvalid(f"{text[:48]!r} is no amount. Write it as digits, such as 25.00.", field=field)
    sign, whole, fraction = match.group(1), match.group(2), (match.group(3) or "").rstrip("0")
    if len(fraction) > currency.exponent:
        raise AmountTooPrecise(currency=currency.code, exponent=currency.exponent, field=field)
    amount_minor = int(whole[:_DIGITS_MAX] + fraction.ljust(currency.exponent, "0"))
    amount_minor = min(amount_minor, BALANCE_MAX_MINOR)
    return -amount_minor if sign else amount_minor


def parse_amount(text: str, currency: Currency, *, field: tuple[str, ...] = ("amount",)) -> int:
    """Turn a decimal string into minor units, exactly or not at all.

    Trailing zeros beyond the currency's decimals are harmless (`1.500` in USD is 150). Raises
    `AmountNotPositive`, `AmountTooPrecise` or `AmountTooLarge`; nothing is ever rounded or clamped.
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise FieldInvalid(f"{text[:48]!r} is no amount. Write it as digits, such as 25.00.", field=field)
    sign, whole, fraction = match.group(1), match.group(2), (match.group(3) or "").rstrip("0")
    if len(fraction) > currency.exponent:
        raise AmountTooPrecise(currency=currency.code, exponent=currency.exponent, field=field)
    if len(whole) > _DIGITS_MAX:
        raise AmountTooLarge(largest=currency.display(AMOUNT_MAX_MINOR), field=field)
    amount_minor = int(whole + fraction.ljust(currency.exponent, "0"))
    if sign or amount_minor == 0:
        raise AmountNotPositive(field=field)
    if amount_minor > AMOUNT_MAX_MINOR:
        raise AmountTooLarge(largest=currency.display(AMOUNT_MAX_MINOR), field=field)
    return amount_minor


def rounded_minor(amount: Decimal, currency: Currency, *, field: tuple[str, ...] = ("amount",)) -> int:
    """Turn what a store says into minor units, rounding half away from zero.

    Stores calculate with more decimals than their currency has (a tax of 0.1875). An amount that a person or a
    program asks us to move is never rounded: see `parse_amount`. Raises `FieldInvalid` for what is no number.
    """
    if not amount.is_finite() or abs(amount) > _STORE_AMOUNT_MAX:
        raise FieldInvalid(
            f"This is no amount that a store can have: {str(amount)[:48]}. Check the order.", field=field
        )
    return int(amount.scaleb(currency.exponent).quantize(Decimal(1), ROUND_HALF_UP))
