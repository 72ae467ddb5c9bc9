"""How a language writes amounts and times, by the rules of the Unicode CLDR; and which languages stand in for others."""

import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.numbers import NumberPattern, parse_pattern

from app.domain.money import currency_of

_LETTERS_BESIDE_DIGITS = re.compile(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])", re.ASCII)
_SPACE = "\N{NO-BREAK SPACE}"
"""What CLDR has between a number and a currency that is written in letters."""

ENGLISH = "en"
"""The language that is always there."""


def chain(tag: str) -> Iterator[str]:
    """Return a tag and what stands in for it: `de-AT`, then `de`."""
    while tag:
        yield tag
        tag = tag.rpartition("-")[0]


def locale_of(tag: str) -> Locale:
    """Return the rules of a language, or of what stands in for it; those of English where nobody knows it."""
    for candidate in chain(tag):
        try:
            return Locale.parse(candidate, sep="-")
        except (UnknownLocaleError, ValueError):
            continue
    return Locale.parse(ENGLISH)


class Formatter:
    """Writes amounts and times for one customer."""

    def __init__(self, tag: str, zone: ZoneInfo) -> None:
        self._locale = locale_of(tag)
        self._zone = zone

    @property
    def direction(self) -> str:
        """Which way the language is written: `ltr` or `rtl`."""
        return self._locale.text_direction

    def money(self, given: dict[str, str], *, sign: str = "") -> str:
        """Return an amount such as `{"amount": "12.50", "currency": "EUR"}` as people write it.

        It has as many digits as the currency has by ISO 4217: CLDR leaves some of them out.
        """
        code = given["currency"]
        standard = self._locale.currency_formats["standard"]
        pattern: NumberPattern = parse_pattern(standard.pattern)
        pattern.frac_prec = (currency_of(code).exponent,) * 2
        shown = pattern.apply(Decimal(given["amount"]), self._locale, currency=code, currency_digits=False)
        return sign + _LETTERS_BESIDE_DIGITS.sub(_SPACE, shown)

    def day(self, text: str) -> str:
        """Return a day, written as `2027-03-31`, as people write it."""
        return format_date(date.fromisoformat(text), format="long", locale=self._locale)

    def day_of(self, text: str) -> str:
        """Return the day that a moment is on by the store's clock."""
        return self.day(datetime.fromisoformat(text).astimezone(self._zone).date().isoformat())
