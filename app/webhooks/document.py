"""Reading JSON that somebody else wrote: every value knows its path, and nothing in it can surprise.

Numbers keep all their digits, times become UTC, ids become text, and what people wrote is brought to a form that
can be kept. Whatever doesn't fit is `Untranslatable` with its path.
"""

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation, localcontext
from typing import Any, NoReturn

from app.domain.errors import DomainError
from app.domain.money import Currency, currency_of, rounded_minor
from app.domain.order import TEXT_MAX, check_id
from app.webhooks.errors import Untranslatable

BODY_MAX_BYTES = 16 * 1024 * 1024
"""The largest message that is read at all; servers set lower limits for what comes from outside."""
ITEMS_MAX = 10_000
"""The most items that one list may have."""

_NUMBER_CHARACTERS_MAX = 64
_TIME_CHARACTERS_MAX = 64
_TEXT_READ_MAX = 4 * TEXT_MAX
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_HIDING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a JSON document, and where it stands. What is absent reads like `null`."""

    value: Any
    path: str = ""

    def __getitem__(self, name: str) -> "Node":
        """Return a field of an object, which may be absent."""
        if not isinstance(self.value, dict):
            self.refuse("is missing." if self.value is None else "should be an object.")
        return Node(self.value.get(name), f"{self.path}.{name}" if self.path else name)

    @property
    def is_absent(self) -> bool:
        """Whether there is nothing: no such field, `null` or an empty text."""
        return self.value is None or self.value == ""

    def refuse(self, problem: str) -> NoReturn:
        """Raise `Untranslatable` for this value."""
        raise Untranslatable(problem, path=self.path)

    def required(self) -> "Node":
        """Return the value itself, which must be there."""
        if self.is_absent:
            self.refuse("is missing.")
        return self

    def fields(self) -> frozenset[str]:
        """Return the names of an object's fields."""
        if not isinstance(self.value, dict):
            self.refuse("is missing." if self.value is None else "should be an object.")
        return frozenset(self.value)

    def items(self) -> Iterator["Node"]:
        """Go through a list. PHP writes an empty object as an empty list and the other way round: both are empty."""
        if self.is_absent or self.value == {}:
            return
        if not isinstance(self.value, list):
            self.refuse("should be a list.")
        if len(self.value) > ITEMS_MAX:
            self.refuse(f"has {len(self.value)} items; at most {ITEMS_MAX} are read.")
        for index, item in enumerate(self.value):
            yield Node(item, f"{self.path}[{index}]")

    def text(self) -> str:
        """Return what people wrote as it can be kept: one line, at most `TEXT_MAX` characters; absent is empty."""
        if self.value is None:
            return ""
        if isinstance(self.value, bool) or not isinstance(self.value, str | int | Decimal):
            self.refuse("should be a text.")
        read = str(self.value)[:_TEXT_READ_MAX]
        shown = "".join(" " if _is_hidden(character) else character for character in read)
        return unicodedata.normalize("NFC", shown).strip()[:TEXT_MAX].strip()

    def maybe_text(self) -> str | None:
        """Return the text, or nothing where it is empty."""
        return self.text() or None

    def id(self) -> str:
        """Return an id as text; ids that are numbers keep all their digits."""
        if isinstance(self.required().value, bool) or not isinstance(self.value, str | int):
            self.refuse("should be an id: a text or a whole number.")
        try:
            return check_id(str(self.value), field=self.path)
        except DomainError as error:
            raise Untranslatable(error.message, path=self.path) from None

    def maybe_id(self) -> str | None:
        """Return an id, or nothing where it is absent or 0, as PHP writes nothing."""
        return None if self.is_absent or self.value in (0, "0", False) else self.id()

    def number(self) -> Decimal:
        """Return a number, written as one or as text, with all its digits."""
        if isinstance(self.required().value, bool) or not isinstance(self.value, str | int | Decimal):
            self.refuse("should be a number.")
        if isinstance(self.value, str):
            return self._number_in_text(self.value.strip())
        # The digits of a whole number are not written out before their count is known to be small.
        if isinstance(self.value, int) and self.value.bit_length() > _NUMBER_CHARACTERS_MAX * 3:
            self.refuse("is too large a number.")
        number = Decimal(self.value)
        if len(number.as_tuple().digits) > _NUMBER_CHARACTERS_MAX or abs(number.adjusted()) > 999:
            self.refuse("has too many digits.")
        return number

    def _number_in_text(self, text: str) -> Decimal:
        if len(text) > _NUMBER_CHARACTERS_MAX or not _NUMBER.fullmatch(text):
            self.refuse(f"{text[:32]!r} is no number. Write it as digits, such as 12.50.")
        return Decimal(text)

    def quantity(self) -> Decimal:
        """Return how many, perhaps a fraction (0.75 kg); a refund's negative count becomes positive."""
        number = abs(self.number())
        if number and not -6 <= number.adjusted() <= 12:
            self.refuse("is no quantity that an order can have.")
        return number

    def minor(self, currency: Currency) -> int:
        """Return an amount in minor units, half of one rounded away from zero; it may be negative."""
        number = self.number()
        try:
            # The default precision would round a first time, to 28 digits, before the rule does.
            with localcontext(prec=2 * _NUMBER_CHARACTERS_MAX):
                return rounded_minor(number, currency)
        except (DomainError, InvalidOperation):
            self.refuse(f"{str(number)[:48]} is no amount that an order can have.")

    def amount_minor(self, currency: Currency) -> int:
        """Return an amount that can't be negative; absent is 0."""
        if self.is_absent:
            return 0
        amount_minor = self.minor(currency)
        if amount_minor < 0:
            self.refuse(f"{currency.display(amount_minor)} is negative.")
        return amount_minor

    def currency(self) -> Currency:
        """Return a currency by its ISO 4217 code."""
        if self.is_absent:
            self.refuse("is missing. Name the currency by its ISO 4217 code, such as USD.")
        try:
            return currency_of(self.text().upper())
        except DomainError as error:
            raise Untranslatable(error.message, path=self.path) from None

    def time(self) -> datetime:
        """Return a time in UTC; one that names no zone is in UTC already."""
        if not isinstance(self.required().value, str) or len(self.value) > _NUMBER_CHARACTERS_MAX:
            self.refuse("should be a time, such as 2026-11-21T17:04:05Z.")
        try:
            read = datetime.fromisoformat(self.value.strip())
            return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
        except (ValueError, OverflowError):
            self.refuse(f"{self.value[:32]!r} is no time. Write one such as 2026-11-21T17:04:05Z.")

    def maybe_time(self) -> datetime | None:
        """Return a time, or nothing where it is absent."""
        return None if self.is_absent else self.time()

    def maybe_date(self) -> date | None:
        """Return a day, or nothing where it is absent; what is wrong with it is told without the day itself."""
        if self.is_absent:
            return None
        try:
            return date.fromisoformat(self.value[:_TIME_CHARACTERS_MAX])
        except (ValueError, TypeError):
            self.refuse("should be a day, such as 1987-05-17.")

    def flag(self) -> bool:
        """Return true or false; absent is false."""
        if self.value is None:
            return False
        if not isinstance(self.value, bool):
            self.refuse("should be true or false.")
        return self.value


def parse(body: bytes) -> Node:
    """Read a JSON document, or raise `Untranslatable`."""
    if len(body) > BODY_MAX_BYTES:
        raise Untranslatable(f"The message has {len(body)} bytes; at most {BODY_MAX_BYTES} are read.")
    try:
        return Node(json.loads(body, parse_float=Decimal, parse_constant=_no_number))
    except Untranslatable:
        raise
    except RecursionError:
        raise Untranslatable("The message nests too deep.") from None
    except (ValueError, ArithmeticError) as error:
        # Decimals with an exponent beyond all measure end here, too. Only the place is told, not the text.
        where = (
            f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        )
        raise Untranslatable(f"The message is not JSON{where}.") from None


def _no_number(name: str) -> NoReturn:
    raise Untranslatable(f"The message has {name} in it, which is no number of JSON.")


def _is_hidden(character: str) -> bool:
    return character in _HIDING or unicodedata.category(character) in ("Cc", "Cs")
