"""Under which circumstances a rule applies. What is left out asks nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.cashback.data import Reader, maybe, read
from app.domain.cashback.expression import SOURCE_MAX
from app.domain.errors import FieldInvalid
from app.domain.money import AMOUNT_MAX_MINOR
from app.domain.order import ID_MAX, TEXT_MAX

WORDS_MAX = 200
"""Entries that one list of a rule has at most."""

DAY_MINUTES = 1_440


@dataclass(frozen=True, slots=True)
class Base:
    """Which amount of an order counts, in words that each stand for one part of it.

    The part that the wallet paid never counts unless `wallet_paid` says so. What coupons grant as wallet money never
    counts at all: it is a discount that comes later.
    """

    tax: bool = True
    shipping: bool = False
    before_discounts: bool = False
    wallet_paid: bool = False


@dataclass(frozen=True, slots=True)
class LineFilter:
    """Which lines of an order count: those that any of the `in` lists names, or all where there is no such list, less
    those that any of the `out` lists names. Names and ids are compared exactly.
    """

    categories_in: frozenset[str] = frozenset()
    categories_out: frozenset[str] = frozenset()
    products_in: frozenset[str] = frozenset()
    products_out: frozenset[str] = frozenset()
    skus_in: frozenset[str] = frozenset()
    skus_out: frozenset[str] = frozenset()
    sale_out: bool = False
    couponed_out: bool = False

    def check(self) -> None:
        """Refuse lists that are too long, or that name what can't be."""
        for name in (
            "categories_in",
            "categories_out",
            "products_in",
            "products_out",
            "skus_in",
            "skus_out",
        ):
            check_words(getattr(self, name), ("lines", camel(name)))
        for kind in ("categories", "products", "skus"):
            if both := getattr(self, f"{kind}_in") & getattr(self, f"{kind}_out"):
                raise FieldInvalid(
                    f"{min(both)!r} stands in both lists. Take it out of one of them.",
                    field=("lines", f"{kind}Out"),
                )


@dataclass(frozen=True, slots=True)
class Conditions:
    """What must be so; amounts in minor units of the rule's currency, both bounds included.

    `base` is the amount that minimum and maximum are about, of the whole order or, with `of_matching_lines`, of the
    lines that count. `weekdays` are 1 (Monday) to 7; `minute_from` and `minute_to` are minutes after midnight in the
    store's zone, the second not included; from a later to an earlier one is over midnight, and each part belongs to
    the weekday that it falls on. `days_since_sign_up` are whole days of the store's calendar.
    """

    minimum_minor: int | None = None
    maximum_minor: int | None = None
    base: Base = Base()
    of_matching_lines: bool = False
    lines: LineFilter = LineFilter()
    payment_methods_in: frozenset[str] = frozenset()
    payment_methods_out: frozenset[str] = frozenset()
    roles_in: frozenset[str] = frozenset()
    roles_out: frozenset[str] = frozenset()
    segments_in: frozenset[str] = frozenset()
    segments_out: frozenset[str] = frozenset()
    weekdays: frozenset[int] = frozenset()
    minute_from: int | None = None
    minute_to: int | None = None
    days_since_sign_up_min: int | None = None
    days_since_sign_up_max: int | None = None
    expression: str = ""

    def check(self) -> None:
        """Refuse what can't be meant, with a sentence that says what to do next."""
        self.lines.check()
        for name in _LISTS:
            check_words(getattr(self, name), (camel(name),))
        _check_range(self.minimum_minor, self.maximum_minor, ("minimum", "maximum"), AMOUNT_MAX_MINOR)
        _check_range(
            self.days_since_sign_up_min,
            self.days_since_sign_up_max,
            ("daysSinceSignUpMin", "daysSinceSignUpMax"),
            36_500,
        )
        if not self.weekdays <= frozenset(range(1, 8)):
            raise FieldInvalid("Weekdays are 1 (Monday) to 7 (Sunday). Use those.", field=("weekdays",))
        self._check_hours()
        if len(self.expression) > SOURCE_MAX:
            raise FieldInvalid(
                f"The expression is too long: at most {SOURCE_MAX} characters. Say a part of it by the other fields.",
                field=("expression",),
            )

    def _check_hours(self) -> None:
        start, end = self.minute_from, self.minute_to
        if (start is None) != (end is None):
            raise FieldInvalid("Give both ends of the hours, or neither.", field=("minuteFrom",))
        if start is None or end is None:
            return
        if not (0 <= start < DAY_MINUTES and 0 < end <= DAY_MINUTES) or start == end:
            raise FieldInvalid(
                "The hours must begin before midnight and end at another time. Leave both out for the whole day.",
                field=("minuteTo",),
            )

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Conditions":
        """Read stored conditions."""
        return read(cls, data, _READ)


_LISTS = (
    "payment_methods_in",
    "payment_methods_out",
    "roles_in",
    "roles_out",
    "segments_in",
    "segments_out",
)
_LINE_LISTS = ("categories_in", "categories_out", "products_in", "products_out", "skus_in", "skus_out")
_READ: dict[str, Reader] = {
    "base": lambda data: read(Base, data, {}),
    "lines": lambda data: read(LineFilter, data, dict.fromkeys(_LINE_LISTS, frozenset)),
    "weekdays": frozenset,
    "expression": lambda text: text or "",
    "minimum_minor": maybe(int),
    **dict.fromkeys(_LISTS, frozenset),
}


def camel(name: str) -> str:
    """Return a field's name as callers write it."""
    first, *rest = name.removesuffix("_minor").split("_")
    return first + "".join(part.capitalize() for part in rest)


def check_words(words: frozenset[str], path: tuple[str, ...]) -> None:
    """Refuse a list that is too long, or that has an empty or endless entry."""
    if len(words) > WORDS_MAX:
        raise FieldInvalid(f"Name at most {WORDS_MAX}. Use a category instead of its products.", field=path)
    if not all(0 < len(word.strip()) <= max(ID_MAX, TEXT_MAX) for word in words):
        raise FieldInvalid("An entry is empty or too long. Take it out.", field=path)


def _check_range(least: int | None, most: int | None, names: tuple[str, str], largest: int) -> None:
    for value, name in zip((least, most), names, strict=True):
        if value is not None and not 0 <= value <= largest:
            raise FieldInvalid(f"Choose from 0 to {largest}, or leave it out.", field=(name,))
    if least is not None and most is not None and least > most:
        raise FieldInvalid(
            "The maximum is below the minimum. Choose a larger one, or leave one out.", field=(names[1],)
        )
