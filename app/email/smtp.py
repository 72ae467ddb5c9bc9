"""Hands one e-mail to an SMTP server, and says what came of it without repeating an address."""

import re
from dataclasses import dataclass
from email.message import EmailMessage

import aiosmtplib
from aiosmtplib import (
    SMTPAuthenticationError,
    SMTPDataError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientRefused,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)

from app.domain.outbox import SendOutcome, Verdict
from app.settings import SmtpServer

_ENHANCED = re.compile(r"\b[245]\.\d{1,3}\.\d{1,3}\b", re.ASCII)
"""A status code of RFC 3463, such as 5.1.1: all that is kept of what a server says, since it may repeat the address."""


@dataclass(frozen=True, slots=True)
class Smtp:
    """A server that e-mails are handed to, over a connection for each."""

    server: SmtpServer
    timeout_s: float

    async def send(self, message: EmailMessage, *, sender: str, recipient: str, hostname: str) -> SendOutcome:
        """Send an e-mail. `hostname` is what we greet the server as."""
        server = self.server
        try:
            _, said = await aiosmtplib.send(
                message,
                sender=sender,
                recipients=[recipient],
                hostname=server.host,
                port=server.port,
                username=server.username,
                password=server.password,
                use_tls=server.tls,
                start_tls=server.starttls,
                local_hostname=hostname,
                timeout=self.timeout_s,
            )
        except (SMTPException, OSError) as error:
            return outcome_of(error)
        return SendOutcome(Verdict.DELIVERED, status_code=250, answer=_kept(250, said))


def outcome_of(error: SMTPException | OSError) -> SendOutcome:
    """Return what a failure means: what the server says of the recipient or the e-mail itself is final when it is 5xx.

    All else is about the server, the connection or the settings, and may go better another time.
    """
    if isinstance(error, SMTPRecipientsRefused):
        error = error.recipients[0]
    if isinstance(error, SMTPNotSupported):
        # The address needs SMTPUTF8, or the settings ask for what the server does not know.
        return SendOutcome(Verdict.FAILED, "The e-mail server lacks something that this e-mail needs.")
    if not isinstance(error, SMTPResponseException):
        return SendOutcome(
            Verdict.FAILED, f"The e-mail server can't be reached or hung up ({type(error).__name__})."
        )
    code, answer = error.code, _kept(error.code, error.message)
    if isinstance(error, SMTPRecipientRefused | SMTPDataError) and 500 <= code < 600:
        what = "address" if isinstance(error, SMTPRecipientRefused) else "e-mail"
        sentence = f"The e-mail server refused the {what} for good ({answer})."
        return SendOutcome(Verdict.REFUSED, sentence, status_code=code, answer=answer)
    if isinstance(error, SMTPAuthenticationError):
        sentence = f"The e-mail server refused to let us in ({answer}). Check COFFER_SMTP_URL."
    elif isinstance(error, SMTPSenderRefused):
        sentence = f"The e-mail server refused the sender ({answer}). Check COFFER_EMAIL_FROM."
    else:
        sentence = f"The e-mail server did not take it now ({answer})."
    return SendOutcome(Verdict.FAILED, sentence, status_code=code if code > 0 else None, answer=answer)


def _kept(code: int, said: str) -> str:
    enhanced = _ENHANCED.search(said)
    return f"{code} {enhanced.group()}" if enhanced else str(code)
