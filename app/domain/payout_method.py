"""Where a customer is paid out to: a bank account, a PayPal account, a card or wallet at a provider, the store's own.

What identifies it is sealed before it comes here; the domain sees the masked text and the fingerprint. A new method
waits before it can be used, so that whoever takes over a customer's account can't empty the wallet the same hour;
and it is never changed: who wants another one removes it and adds another, which waits again.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from app.domain.access import Actor
from app.domain.audit import AuditAction, AuditEntry
from app.domain.card_number import check_token
from app.domain.errors import FieldInvalid, LimitReached, PayoutMethodNotUsable
from app.domain.fraud import Signal, SignalKind
from app.domain.ledger import Desk, Draft

METHODS_MAX = 10
"""Active methods that one wallet may have."""

VALUE_MAX = 500
"""Characters of one detail at most."""

LABEL_MAX = 100

EMAIL_MAX = 254


class PayoutMethodKind(StrEnum):
    """What sort of place money is sent to."""

    BANK_IBAN = "BANK_IBAN"
    """A bank account with an IBAN: `holder`, `iban`, and where the bank wants it `bic`."""
    BANK_ACCOUNT = "BANK_ACCOUNT"
    """A bank account in the United States: `holder`, `routingNumber`, `accountNumber`."""
    PAYPAL = "PAYPAL"
    """A PayPal account: `email`."""
    PROVIDER = "PROVIDER"
    """A card or wallet that a provider keeps: `token`, the provider's own id of it, and where it has one `account`."""
    OTHER = "OTHER"
    """What the store agreed with the customer: `instructions`."""


class PayoutMethodStatus(StrEnum):
    """Whether a payout method can be used."""

    ACTIVE = "ACTIVE"
    """It can be used, once its waiting time is over."""
    REMOVED = "REMOVED"
    """It was removed and is kept for the withdrawals that name it."""


_K = PayoutMethodKind

REQUIRED: Mapping[PayoutMethodKind, tuple[str, ...]] = {
    _K.BANK_IBAN: ("holder", "iban"),
    _K.BANK_ACCOUNT: ("holder", "routingNumber", "accountNumber"),
    _K.PAYPAL: ("email",),
    _K.PROVIDER: ("token",),
    _K.OTHER: ("instructions",),
}
"""The details that each kind requires, by the names that callers use."""

OPTIONAL: Mapping[PayoutMethodKind, tuple[str, ...]] = {_K.BANK_IBAN: ("bic",), _K.PROVIDER: ("account",)}
"""The details that a kind may have."""

IDENTIFYING: Mapping[PayoutMethodKind, tuple[str, ...]] = {
    _K.BANK_IBAN: ("iban",),
    _K.BANK_ACCOUNT: ("routingNumber", "accountNumber"),
    _K.PAYPAL: ("email",),
    _K.PROVIDER: ("account", "token"),
    _K.OTHER: ("instructions",),
}
"""The details that say where the money ends up: who has the same, is paid to the same place."""

_COMPACT = frozenset({"iban", "bic", "routingNumber", "accountNumber"})
_SPACES = re.compile(r"[\s\-]+")
_ACCOUNT_NUMBER = re.compile(r"[0-9A-Z]{4,17}")
_BIC = re.compile(r"[A-Z]{4}[A-Z]{2}[0-9A-Z]{2}(?:[0-9A-Z]{3})?")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")

Details = Mapping[str, str]
"""The details of a method, by the names that callers use."""


@dataclass(frozen=True, slots=True)
class PayoutMethod:
    """A place that a wallet's withdrawals may be sent to. Its details are sealed: nothing here tells them."""

    id: UUID
    wallet_id: UUID
    kind: PayoutMethodKind
    label: str
    """What the customer calls it."""
    masked: str
    """What people recognise it by, such as `DE•• •••• 3000`."""
    sealed: bytes
    """The details, encrypted."""
    fingerprint: bytes
    """A keyed hash of what identifies it: equal for equal places, and of no use without the key."""
    status: PayoutMethodStatus
    usable_from: datetime
    """When its waiting time is over."""
    created_by: Actor
    created_at: datetime
    removed_at: datetime | None = None


# --- what identifies it, before it is sealed ------------------------------------------------------------------


def check_details(kind: PayoutMethodKind, given: Details) -> dict[str, str]:
    """Return the details in their normal form, or raise `FieldInvalid` naming the one that is wrong.

    Whether an IBAN or a routing number can exist is checked by `app.bank_accounts`, which knows the registries.
    """
    required, allowed = REQUIRED[kind], {*REQUIRED[kind], *OPTIONAL.get(kind, ())}
    for name in given:
        if name not in allowed:
            raise _invalid(name, f"A method of the kind {kind} has no such detail. Leave it out.")
    kept: dict[str, str] = {}
    for name, value in given.items():
        normal = _normal(name, value)
        if normal:
            kept[name] = normal
    for name in required:
        if name not in kept:
            raise _invalid(name, f"A method of the kind {kind} needs this detail. Give it, too.")
    if kind is _K.BANK_ACCOUNT and not _ACCOUNT_NUMBER.fullmatch(kept["accountNumber"]):
        raise _invalid("accountNumber", "This is no account number. Write its 4 to 17 digits.")
    if "bic" in kept and not _BIC.fullmatch(kept["bic"]):
        raise _invalid("bic", "This is no BIC. Write its 8 or 11 characters, or leave it out.")
    if kind is _K.PAYPAL and not (len(kept["email"]) <= EMAIL_MAX and _EMAIL.fullmatch(kept["email"])):
        raise _invalid("email", "This is no e-mail address. Write the one of the PayPal account.")
    return kept


def _normal(name: str, value: str) -> str:
    if len(value) > VALUE_MAX:
        raise _invalid(name, f"This is too long. Write at most {VALUE_MAX} characters.")
    if name != "instructions" and any(not character.isprintable() for character in value):
        raise _invalid(name, "This has characters that can't be printed. Write it by hand.")
    if name in _COMPACT:
        return _SPACES.sub("", value).upper()
    if name == "email":
        return value.strip().lower()
    if name == "token":
        check_token(value, field=("details", name))
    return value.strip() if name == "instructions" else " ".join(value.split())


def identity(kind: PayoutMethodKind, details: Details) -> str:
    """Return the text that is equal for two methods which end up at the same place. It is hashed, never kept."""
    parts = (details.get(name, "") for name in IDENTIFYING[kind])
    return "\n".join((kind, *(" ".join(part.casefold().split()) for part in parts)))


def mask(kind: PayoutMethodKind, details: Details) -> str:
    """Return what people recognise a method by; at most the last four characters of a number are in it."""
    if kind is _K.BANK_IBAN:
        iban = details["iban"]
        return f"{iban[:2]}•• •••• {iban[-4:]}"
    if kind is _K.BANK_ACCOUNT:
        return f"•••• {_tail(details['accountNumber'])}"
    if kind is _K.PAYPAL:
        name, _, domain = details["email"].partition("@")
        return f"{name[0]}•••@{domain}"
    if kind is _K.PROVIDER:
        return f"•••• {_tail(details['token'])}"
    return "••••"


def _tail(number: str) -> str:
    """Return the end of a number: four characters, and never more than a third of it."""
    shown = min(4, len(number) // 3)
    return number[len(number) - shown :]


def _invalid(name: str, message: str) -> FieldInvalid:
    return FieldInvalid(message, field=("details", name))


# --- added, removed, used -------------------------------------------------------------------------------------


def add(draft: Draft, method: PayoutMethod, *, active: int, others: frozenset[UUID]) -> PayoutMethod:
    """Write a new method down; `active` is how many the wallet has, `others` are other wallets with the same one.

    The waiting time begins now, by the store's settings. Raises `LimitReached`.
    """
    if active >= METHODS_MAX:
        raise LimitReached(
            f"This wallet has {METHODS_MAX} payout methods. Remove one first.", field=("wallet",)
        )
    waiting = timedelta(hours=draft.settings.payout_method_waiting_hours)
    written = replace(
        method, wallet_id=draft.wallet.id, usable_from=draft.now + waiting, created_at=draft.now
    )
    draft.add(written)
    draft.add(_audited(draft, written, AuditAction.ADD_PAYOUT_METHOD, written.created_by))
    if others:
        draft.add(shared(draft.mint.id(), written, len(others), draft.now))
    return written


def shared(signal_id: UUID, method: PayoutMethod, others: int, now: datetime) -> Signal:
    """Return the signal that other wallets are paid out to the same place; `count` is how many wallets there are."""
    return Signal(
        id=signal_id,
        kind=SignalKind.SHARED_PAYOUT_METHOD,
        actor=method.created_by,
        wallet_id=method.wallet_id,
        count=others + 1,
        window_s=_EVER_S,
        created_at=now,
    )


_EVER_S = 2_147_483_647
"""A signal that looks at all times: the longest window that can be written."""


def remove(draft: Draft, method: PayoutMethod, *, actor: Actor) -> PayoutMethod:
    """Take a method out of use; one that is removed already stays so."""
    if method.status is PayoutMethodStatus.REMOVED:
        return method
    removed = replace(method, status=PayoutMethodStatus.REMOVED, removed_at=draft.now)
    draft.add(removed)
    draft.add(_audited(draft, removed, AuditAction.REMOVE_PAYOUT_METHOD, actor))
    return removed


def require_usable(method: PayoutMethod, now: datetime) -> None:
    """Raise `PayoutMethodNotUsable` for a method that was removed or still waits."""
    if method.status is PayoutMethodStatus.REMOVED:
        raise PayoutMethodNotUsable("This payout method was removed. Choose or add another one.")
    if now < method.usable_from:
        at = method.usable_from.strftime("%Y-%m-%d %H:%M UTC")
        raise PayoutMethodNotUsable(
            f"This payout method is new and can be used from {at}. Choose another one, or try again then."
        )


def require_there(method: PayoutMethod) -> None:
    """Raise `PayoutMethodNotUsable` for a method that was removed after a withdrawal had named it."""
    if method.status is PayoutMethodStatus.REMOVED:
        raise PayoutMethodNotUsable(
            "This payout method was removed since, and may have been a thief's. Ask the customer, then reject the withdrawal."
        )


class Seen(Protocol):
    """What of a method stands in an audit entry: never its details."""

    @property
    def id(self) -> UUID:
        """Its id."""

    @property
    def wallet_id(self) -> UUID:
        """Whose it is."""

    @property
    def kind(self) -> str:
        """What sort of place it is."""

    @property
    def masked(self) -> str:
        """What people recognise it by."""


def read_together(desk: Desk, methods: Iterable[Seen], *, note: str, actor: Actor) -> None:
    """Write down that somebody reads the details of several methods at once, and why: an entry for each."""
    for method in methods:
        desk.add(_audited(desk, method, AuditAction.READ_PAYOUT_DETAILS, actor, note))


def read_by(draft: Draft, method: PayoutMethod, *, note: str, actor: Actor) -> PayoutMethod:
    """Write down that somebody reads the details of a method, and why."""
    draft.add(_audited(draft, method, AuditAction.READ_PAYOUT_DETAILS, actor, note))
    return method


def _audited(
    draft: Draft | Desk, method: Seen, action: AuditAction, actor: Actor, note: str = ""
) -> AuditEntry:
    # Never the details: what is masked is enough to know which method it was.
    data = {"subject": str(method.id), "after": {"kind": str(method.kind), "masked": method.masked}}
    return AuditEntry(draft.mint.id(), method.wallet_id, action, actor, note, draft.now, data)
