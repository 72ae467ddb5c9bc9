"""Notices to those who run the store: the kinds there are, and the addresses that they go to."""

from collections.abc import Iterable
from enum import StrEnum

from app.domain.errors import FieldInvalid

ADDRESSES_MAX = 10
"""Addresses that notices go to at most."""

ADDRESS_MAX = 254


class NoticeKind(StrEnum):
    """What a notice to those who run the store tells."""

    WITHDRAWAL_WAITING = "WITHDRAWAL_WAITING"
    """A customer asked to be paid out, and somebody has to decide."""
    PAYOUT_DISAGREEMENT = "PAYOUT_DISAGREEMENT"
    """The ledger and whoever pays out don't agree on a payout."""
    MESSAGE_DEAD = "MESSAGE_DEAD"
    """A message to an endpoint, or an e-mail, could not be delivered; once a day for each endpoint."""
    DELIVERY_DEAD = "DELIVERY_DEAD"
    """A message of the store's could not be worked on; once a day for each door."""
    ENDPOINT_GONE = "ENDPOINT_GONE"
    """An endpoint answered that it wants nothing any more, and was switched off."""
    FRAUD_SIGNAL = "FRAUD_SIGNAL"
    """Something looked odd; once an hour for each kind of signal."""


DEFAULT_NOTICES: tuple[NoticeKind, ...] = tuple(NoticeKind)
"""The notices that are sent unless the store decides otherwise; without an address, none is."""


def check_addresses(given: Iterable[str]) -> tuple[str, ...]:
    """Return addresses as they are kept, each once, or raise `FieldInvalid`."""
    kept = tuple({address.casefold(): address for address in (text.strip() for text in given)}.values())
    if len(kept) > ADDRESSES_MAX:
        raise FieldInvalid(f"Name at most {ADDRESSES_MAX} addresses.", field=("noticeEmails",))
    for address in kept:
        local, at, domain = address.rpartition("@")
        plain = all(sign.isprintable() and not sign.isspace() for sign in address)
        if not (local and at and domain and plain) or len(address) > ADDRESS_MAX:
            raise FieldInvalid(
                "This is no e-mail address. Write one such as wallet@shop.example.", field=("noticeEmails",)
            )
    return kept


def read_notices(names: Iterable[str]) -> tuple[NoticeKind, ...]:
    """Return stored kinds, in their order; those of a newer program are left out."""
    known = set(names)
    return tuple(kind for kind in NoticeKind if kind.value in known)
