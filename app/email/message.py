"""One e-mail as it goes over the wire: headers, text and HTML."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Protocol
from uuid import UUID


class AddressUnusable(Exception):
    """An address that no e-mail can go to. The message does not repeat it."""


class Written(Protocol):
    """What stands in an e-mail."""

    @property
    def subject(self) -> str:
        """Its subject."""

    @property
    def text(self) -> str:
        """What it says, as plain text."""

    @property
    def html(self) -> str:
        """The same as HTML."""

    @property
    def language(self) -> str:
        """The language that it is written in."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sends, and who is answered; `preferences_url` is where readers choose their e-mails."""

    sender: Address
    reply_to: Address | None = None
    preferences_url: str | None = None


def recipient(name: str, address: str) -> Address:
    """Return a customer as a recipient, or raise `AddressUnusable`. Domains in other scripts get their ASCII form."""
    local, _, domain = address.rpartition("@")
    try:
        ascii_domain = domain.encode("idna").decode()
        if not local or not domain or not all(sign.isprintable() and not sign.isspace() for sign in address):
            raise ValueError
        return Address(display_name=" ".join(name.split()), username=local, domain=ascii_domain)
    except (ValueError, UnicodeError):
        raise AddressUnusable("The e-mail address is none. Correct it.") from None


def message_id(row_id: UUID, sender: Address) -> str:
    """Return the Message-ID of an outbox message: however often it is sent, it is the same e-mail."""
    return f"<{row_id.hex}@{sender.domain}>"


def compose(
    rendered: Written, to: Address, envelope: Envelope, *, row_id: UUID, written_at: datetime
) -> EmailMessage:
    """Return the e-mail. Line breaks in a header raise `ValueError`: nobody adds headers by a name."""
    plain = to.username.isascii()
    found = EmailMessage(policy=policy.SMTP if plain else policy.SMTPUTF8)
    for name, value in _headers(rendered, to, envelope, row_id, written_at).items():
        found[name] = value
    found.set_content(rendered.text, cte="quoted-printable")
    found.add_alternative(rendered.html, subtype="html", cte="quoted-printable")
    # Last: headers of this family wander into the first part when there come to be two.
    found["Content-Language"] = rendered.language
    return found


def _headers(
    rendered: Written, to: Address, envelope: Envelope, row_id: UUID, written_at: datetime
) -> Mapping[str, str | Address]:
    headers: dict[str, str | Address] = {
        "From": envelope.sender,
        "To": to,
        "Subject": rendered.subject,
        "Date": format_datetime(written_at),
        "Message-ID": message_id(row_id, envelope.sender),
        "Auto-Submitted": "auto-generated",
    }
    if envelope.reply_to is not None:
        headers["Reply-To"] = envelope.reply_to
    if envelope.preferences_url is not None:
        headers["List-Unsubscribe"] = f"<{envelope.preferences_url}>"
    return headers
