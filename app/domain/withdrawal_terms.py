"""The store's terms of withdrawals: whether there are any, their limits, their fee, and what needs no decision."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

from app.domain.errors import FieldInvalid
from app.domain.iban import read_bic, read_iban
from app.domain.money import AMOUNT_MAX_MINOR

METHODS_MAX = 20
NAME_MAX = 70
WAITING_MAX_DAYS = 365
PERCENT_MAX_BP = 10_000
"""The whole amount, in basis points: hundredths of a percent."""

MANUAL = "MANUAL"
"""The method that needs nothing: staff pay as they agreed with the customer, and write it down."""

_METHOD = re.compile(r"[A-Z][A-Z0-9_]{0,31}")


class FeePayer(StrEnum):
    """Who bears the fee of a withdrawal."""

    CUSTOMER = "CUSTOMER"
    """The fee is taken from the amount: the customer is sent so much less."""
    STORE = "STORE"
    """The customer is sent the whole amount; the fee is written down and taken from nobody's wallet."""


class WithdrawalPeriod(StrEnum):
    """What an amount is limited for."""

    REQUEST = "REQUEST"
    """One request."""
    DAY = "DAY"
    """A day of the store's calendar, from midnight to midnight."""
    WEEK = "WEEK"
    """A week of the store's calendar, from Monday to Sunday."""
    MONTH = "MONTH"
    """A month of the store's calendar."""


@dataclass(frozen=True, slots=True)
class WithdrawalTerms:
    """What the store decided about withdrawals; amounts in minor units, where 0 means that there is no such limit."""

    enabled: bool = False
    """Whether anything can be withdrawn at all."""
    minimum_minor: int = 0
    """The least that one request may ask for."""
    maximum_minor: int = 0
    """The most that one request may ask for."""
    maximum_per_day_minor: int = 0
    """The most that a wallet's requests of one day may come to."""
    maximum_per_week_minor: int = 0
    """The most that a wallet's requests of one week may come to."""
    maximum_per_month_minor: int = 0
    """The most that a wallet's requests of one month may come to."""
    fee_fixed_minor: int = 0
    """The fixed part of the fee."""
    fee_percent_bp: int = 0
    """The part of the fee that goes by the amount, in basis points: hundredths of a percent."""
    fee_payer: FeePayer = FeePayer.CUSTOMER
    """Who bears the fee."""
    waiting_days: int = 0
    """How long money that was topped up waits until it can be withdrawn, in days of the store's calendar."""
    methods: tuple[str, ...] = (MANUAL,)
    """The ways of paying out that may be asked for; the first is meant by a request that names none."""
    auto_approve_below_minor: int = 0
    """Requests of less than this are approved at once; 0 leaves every request to the staff."""

    payer_name: str = ""
    """Whose account payouts are debited from, as the bank knows them."""
    payer_iban: str = ""
    """That account."""
    payer_bic: str = ""
    """Its bank, where the bank wants it said."""

    def __post_init__(self) -> None:
        for name, word in _AMOUNTS.items():
            if not 0 <= getattr(self, name) <= AMOUNT_MAX_MINOR:
                raise _invalid("This amount is negative or too large. Choose a smaller amount, or 0.", word)
        if self.maximum_minor and self.minimum_minor > self.maximum_minor:
            raise _invalid(
                "The minimum is more than the maximum of a request. Choose a smaller minimum.", "minimum"
            )
        if not 0 <= self.fee_percent_bp <= PERCENT_MAX_BP:
            raise _invalid("Choose from 0 to 100 percent.", "feePercent")
        if not 0 <= self.waiting_days <= WAITING_MAX_DAYS:
            raise _invalid(f"Choose from 0 to {WAITING_MAX_DAYS} days.", "waitingDays")
        self._check_methods()
        self._check_payer()

    def _check_payer(self) -> None:
        if len(self.payer_name) > NAME_MAX or not self.payer_name.isprintable():
            raise _invalid(
                f"Choose a name of at most {NAME_MAX} characters, without line breaks.", "payerName"
            )
        if self.payer_iban and read_iban(self.payer_iban) != self.payer_iban:
            raise _invalid(
                "This is no IBAN: its check digits don't fit. Check it against the bank's.", "payerIban"
            )
        if self.payer_bic and read_bic(self.payer_bic) != self.payer_bic:
            raise _invalid(
                "This is no BIC, which has 8 or 11 characters. Check it against the bank's.", "payerBic"
            )

    def _check_methods(self) -> None:
        if not 1 <= len(self.methods) <= METHODS_MAX:
            raise _invalid(
                f"Name from 1 to {METHODS_MAX} methods; switch withdrawals off to allow none.", "methods"
            )
        if len(set(self.methods)) < len(self.methods):
            raise _invalid("A method stands here twice. Name each one once.", "methods")
        for method in self.methods:
            if not _METHOD.fullmatch(method):
                raise _invalid(
                    "Choose names of capital letters, digits and underscores, such as BANK_TRANSFER.",
                    "methods",
                )

    def fee_minor(self, amount_minor: int) -> int:
        """Return the fee of an amount: the fixed part and the percentage, halves of a minor unit rounded up."""
        return self.fee_fixed_minor + (amount_minor * self.fee_percent_bp + 5_000) // 10_000

    def limit_minor(self, period: WithdrawalPeriod) -> int:
        """Return the most that may be asked for in a period; 0 when there is no such limit."""
        return {
            WithdrawalPeriod.REQUEST: self.maximum_minor,
            WithdrawalPeriod.DAY: self.maximum_per_day_minor,
            WithdrawalPeriod.WEEK: self.maximum_per_week_minor,
            WithdrawalPeriod.MONTH: self.maximum_per_month_minor,
        }[period]

    def as_data(self) -> dict[str, Any]:
        """Return the terms as they are stored."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "WithdrawalTerms":
        """Read stored terms; fields that a newer program added get their defaults."""
        known = {field.name for field in fields(cls)}
        kept = {name: value for name, value in data.items() if name in known}
        if "fee_payer" in kept:
            kept["fee_payer"] = FeePayer(kept["fee_payer"])
        if "methods" in kept:
            kept["methods"] = tuple(kept["methods"])
        return cls(**kept)


_AMOUNTS = {
    "minimum_minor": "minimum",
    "maximum_minor": "maximum",
    "maximum_per_day_minor": "maximumPerDay",
    "maximum_per_week_minor": "maximumPerWeek",
    "maximum_per_month_minor": "maximumPerMonth",
    "fee_fixed_minor": "feeFixed",
    "auto_approve_below_minor": "autoApproveBelow",
}
"""The amounts among the terms, and what callers know them by."""


def _invalid(message: str, word: str) -> FieldInvalid:
    return FieldInvalid(message, field=("withdrawals", word))
