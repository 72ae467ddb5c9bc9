"""What templates can use: the facts of an e-mail, formatted for its reader."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.email_kind import TRANSACTIONAL, EmailKind
from app.email.locales import Formatter

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table in an e-mail."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads it, and what is known beside the body: the store's name and page, and the note that goes with it."""

    store_name: str
    customer_name: str = ""
    note: str = ""
    preferences_url: str = ""


def facts_of(kind: EmailKind, body: Body, *, reader: Reader, write: Formatter) -> dict[str, Any]:
    """Return the variables of the templates of a kind; those that it has no value for are empty texts."""
    transaction, award = body.get("transaction") or {}, body.get("award") or {}
    expiry, withdrawal = body.get("expiry") or {}, body.get("withdrawal") or {}
    credit = transaction.get("direction", "CREDIT") == "CREDIT"
    subject = transaction or award or expiry or withdrawal
    amount = subject.get("amount")
    sign = "" if kind is not EmailKind.ADJUSTMENT else "+" if credit else "\N{MINUS SIGN}"
    balance = transaction.get("balanceAfter")
    expires = write.day(expiry["expiresOn"]) if expiry else _day(award.get("expiresAt"), write)
    return {
        "kind": kind.value,
        "store": {"name": reader.store_name},
        "customer": {"name": reader.customer_name},
        "credit": credit,
        "amount": "" if amount is None else write.money(amount),
        "change": "" if amount is None else write.money(amount, sign=sign),
        "balance": "" if balance is None else write.money(balance),
        "reference": subject.get("reference") or "",
        "reason": transaction.get("reason") or "",
        "note": reader.note,
        "available_on": _day(award.get("vestsAt"), write) if kind is EmailKind.CASHBACK_PENDING else "",
        "expires_on": expires,
        "can_switch_off": kind not in TRANSACTIONAL,
        "preferences_url": reader.preferences_url,
    }


def _day(moment: str | None, write: Formatter) -> str:
    return "" if moment is None else write.day_of(moment)


_ROWS = (
    ("change", "amount"),
    ("reason", "reason"),
    ("note", "note"),
    ("balance", "balance"),
    ("available_on", "available_on"),
    ("expires_on", "expires_on"),
    ("reference", "reference"),
)
"""The facts that stand in the table of an e-mail, and their labels, in this order."""


def rows_of(facts: Mapping[str, Any], labels: Mapping[str, str], reasons: Mapping[str, str]) -> Iterator[Row]:
    """Return the lines of the table: the facts that there are."""
    for name, label in _ROWS:
        value = facts[name]
        if name == "reason":
            # A reason that this language has no word for is left out: the note says it too.
            value = reasons.get(value, "")
        if value:
            yield Row(labels[label], value)
