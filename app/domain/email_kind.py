"""E-mails to customers: the kinds there are, who wants which, and in which language.

What a kind says, and how it looks, is not here: `app.email` makes e-mails of templates.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from app.domain.errors import FieldInvalid

LANGUAGE_MAX = 35
"""Characters of a language's tag."""

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}", re.ASCII)


class EmailKind(StrEnum):
    """What an e-mail to a customer tells."""

    ADJUSTMENT = "ADJUSTMENT"
    """Staff changed the balance and chose to tell the customer: what changed, why, and the new balance."""
    REFUND = "REFUND"
    """Money of an order came back into the wallet."""
    TOP_UP = "TOP_UP"
    """Money that the customer paid in is in the wallet."""
    GIFT_CARD_REDEEMED = "GIFT_CARD_REDEEMED"
    """A gift card's value is in the wallet."""
    PROMOTION = "PROMOTION"
    """A coupon's bonus money is in the wallet."""
    CASHBACK_PENDING = "CASHBACK_PENDING"
    """Cashback was given that can be spent only later."""
    CASHBACK_EARNED = "CASHBACK_EARNED"
    """Cashback is in the wallet and can be spent."""
    EXPIRY_REMINDER = "EXPIRY_REMINDER"
    """Value of the wallet expires soon."""
    WITHDRAWAL_REQUESTED = "WITHDRAWAL_REQUESTED"
    """The customer asked to be paid out."""
    WITHDRAWAL_APPROVED = "WITHDRAWAL_APPROVED"
    """The store agreed to pay out."""
    WITHDRAWAL_PAID = "WITHDRAWAL_PAID"
    """The money was sent."""
    WITHDRAWAL_REJECTED = "WITHDRAWAL_REJECTED"
    """The store refused to pay out; the money is back in the wallet."""
    WITHDRAWAL_CANCELLED = "WITHDRAWAL_CANCELLED"
    """The request to be paid out was taken back; the money is back in the wallet."""
    WITHDRAWAL_FAILED = "WITHDRAWAL_FAILED"
    """The money could not be sent, or came back; it is back in the wallet."""
    WALLET_FROZEN = "WALLET_FROZEN"
    """The store stopped the wallet."""
    WALLET_UNFROZEN = "WALLET_UNFROZEN"
    """The store let the wallet go again."""


_BY_NAME: Mapping[str, EmailKind] = {kind.value: kind for kind in EmailKind}

TRANSACTIONAL: frozenset[EmailKind] = frozenset(
    {
        EmailKind.WITHDRAWAL_REQUESTED,
        EmailKind.WITHDRAWAL_APPROVED,
        EmailKind.WITHDRAWAL_PAID,
        EmailKind.WITHDRAWAL_REJECTED,
        EmailKind.WITHDRAWAL_CANCELLED,
        EmailKind.WITHDRAWAL_FAILED,
        EmailKind.WALLET_FROZEN,
        EmailKind.WALLET_UNFROZEN,
    }
)
"""Kinds that customers can't switch off: they tell of money that leaves, so somebody else's request is noticed."""

DEFAULT_KINDS: tuple[EmailKind, ...] = tuple(
    kind
    for kind in EmailKind
    if kind not in {EmailKind.CASHBACK_PENDING, EmailKind.WALLET_FROZEN, EmailKind.WALLET_UNFROZEN}
)
"""Kinds that a store sends unless it decides otherwise."""


class Absence(StrEnum):
    """Why an e-mail is not sent."""

    OFF = "OFF"
    """This server sends no e-mails."""
    STORE = "STORE"
    """The store switched this kind off."""
    CUSTOMER = "CUSTOMER"
    """The customer switched this kind off."""
    NO_ADDRESS = "NO_ADDRESS"
    """No e-mail address of the customer is known."""


def absence(
    kind: EmailKind, *, kinds: Iterable[EmailKind], switched_off: Iterable[EmailKind], address: str
) -> Absence | None:
    """Return why a customer gets no e-mail of a kind; nothing when they get it.

    `kinds` are those that the store sends, `switched_off` those that the customer doesn't want.
    """
    if kind not in set(kinds):
        return Absence.STORE
    if kind in set(switched_off) - TRANSACTIONAL:
        return Absence.CUSTOMER
    return None if address else Absence.NO_ADDRESS


@dataclass(frozen=True, slots=True)
class Preference:
    """What one customer decides of one kind."""

    kind: EmailKind
    enabled: bool


def switched_off(before: Iterable[EmailKind], changes: Iterable[Preference]) -> tuple[EmailKind, ...]:
    """Return the kinds that a customer doesn't want after these changes, or raise `FieldInvalid`."""
    off = set(before)
    seen: set[EmailKind] = set()
    for change in changes:
        if change.kind in seen:
            raise FieldInvalid(
                f"{change.kind} stands here twice. Name each kind once.", field=("preferences", "kind")
            )
        seen.add(change.kind)
        if change.kind in TRANSACTIONAL and not change.enabled:
            raise FieldInvalid(
                f"{change.kind} can't be switched off: it warns of what others might do. Leave it on.",
                field=("preferences", "kind"),
            )
        (off.discard if change.enabled else off.add)(change.kind)
    return in_order(off)


def in_order(kinds: Iterable[EmailKind]) -> tuple[EmailKind, ...]:
    """Return kinds each once, in the order in which they are listed."""
    found = set(kinds)
    # Most customers want them all.
    return tuple(kind for kind in EmailKind if kind in found) if found else ()


def read_kinds(names: Iterable[str]) -> tuple[EmailKind, ...]:
    """Return stored kinds; those of a newer program are left out."""
    return in_order(_BY_NAME[name] for name in names if name in _BY_NAME)


def check_language(tag: str, *, field: str = "language") -> str:
    """Return a language's tag as it is kept, such as `de` or `pt-BR`; empty stays empty. Or raise `FieldInvalid`."""
    text = tag.strip().replace("_", "-")
    if not text:
        return ""
    if len(text) > LANGUAGE_MAX or not _LANGUAGE.fullmatch(text):
        raise FieldInvalid(
            f"{tag[:32]!r} is no language. Write its tag, such as de or pt-BR.", field=tuple(field.split("."))
        )
    language, *parts = text.split("-")
    return "-".join([language.lower(), *(_part(part) for part in parts)])


def _part(part: str) -> str:
    # How they are written: scripts as in zh-Hant, regions as in pt-BR, all else small.
    if len(part) == 4 and part.isalpha():
        return part.title()
    return part.upper() if len(part) == 2 else part.lower()
