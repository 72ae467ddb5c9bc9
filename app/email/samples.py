"""Made-up e-mails of each kind: for previews, and to try templates out before anybody gets one."""

from collections.abc import Callable, Mapping
from typing import Any

from app.domain.email_kind import EmailKind
from app.domain.money import currency_of

Make = Callable[[str], dict[str, Any]]

CUSTOMER_NAME = "Zoë & Sons <Ltd>"
"""A name with everything that must be escaped."""
NOTE = "Parcel of order 1042 arrived broken;\nthe customer keeps it & gets half <back>"


def sample(kind: EmailKind, currency: str) -> dict[str, Any]:
    """Return a made-up body of a kind."""
    return _SAMPLES[kind](currency)


def sample_note(kind: EmailKind) -> str:
    """Return a made-up note, for kinds that have one."""
    return NOTE if kind in {EmailKind.ADJUSTMENT, EmailKind.WITHDRAWAL_REJECTED} else ""


def _money(units: int, currency: str) -> dict[str, str]:
    known = currency_of(currency)
    return {"amount": known.format(units * 10**known.exponent), "currency": currency}


def _transaction(kind: str, *, reason: str | None = None) -> Make:
    return lambda currency: {
        "transaction": {
            "reference": "TX-7K3M-9QPA-2F6D",
            "kind": kind,
            "direction": "CREDIT",
            "amount": _money(25, currency),
            "balanceAfter": _money(1240, currency),
            "reason": reason,
        }
    }


def _award(status: str) -> Make:
    return lambda currency: {
        "award": {
            "status": status,
            "amount": _money(12, currency),
            "vestsAt": "2027-03-17T09:00:00Z",
            "expiresAt": "2028-03-31T09:00:00Z",
        }
    }


def _expiry(currency: str) -> dict[str, Any]:
    return {"expiry": {"amount": _money(8, currency), "expiresOn": "2027-03-31"}}


def _withdrawal(currency: str) -> dict[str, Any]:
    return {"withdrawal": {"reference": "WD-4H8R-N2XC-VB3T", "amount": _money(150, currency)}}


def _wallet(_currency: str) -> dict[str, Any]:
    return {"wallet": {}}


_SAMPLES: Mapping[EmailKind, Make] = {
    EmailKind.ADJUSTMENT: _transaction("ADJUSTMENT", reason="DAMAGED_OR_MISSING"),
    EmailKind.REFUND: _transaction("REFUND"),
    EmailKind.TOP_UP: _transaction("TOP_UP"),
    EmailKind.GIFT_CARD_REDEEMED: _transaction("GIFT_CARD"),
    EmailKind.PROMOTION: _transaction("PROMOTION"),
    EmailKind.CASHBACK_PENDING: _award("PENDING"),
    EmailKind.CASHBACK_EARNED: _award("VESTED"),
    EmailKind.EXPIRY_REMINDER: _expiry,
    EmailKind.WITHDRAWAL_REQUESTED: _withdrawal,
    EmailKind.WITHDRAWAL_APPROVED: _withdrawal,
    EmailKind.WITHDRAWAL_PAID: _withdrawal,
    EmailKind.WITHDRAWAL_REJECTED: _withdrawal,
    EmailKind.WITHDRAWAL_CANCELLED: _withdrawal,
    EmailKind.WITHDRAWAL_FAILED: _withdrawal,
    EmailKind.WALLET_FROZEN: _wallet,
    EmailKind.WALLET_UNFROZEN: _wallet,
}
