"""A real SMTP server for tests, in the test's own loop: it keeps what came, and refuses what it is told to refuse."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass
class Postbox:
    """What came, in its order; answers that are not empty are given instead of taking an e-mail."""

    port: int = 0
    at_sender: str = ""
    at_recipient: str = ""
    at_data: str = ""
    came: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str | None, list[str]]] = field(default_factory=list)
    refused: int = 0
    hangs_up_after: bool = False
    """Whether it takes an e-mail, and hangs up before it says so."""

    async def handle_MAIL(  # noqa: N802 — the library's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take a sender."""
        envelope.mail_from = address
        return self.at_sender or "250 OK"

    async def handle_RCPT(  # noqa: N802 — the same
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take a recipient."""
        if self.at_recipient:
            self.refused += 1
            return self.at_recipient
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take an e-mail."""
        if self.at_data:
            self.refused += 1
            return self.at_data
        content: Any = envelope.content
        found: Any = message_from_bytes(content, policy=policy.SMTPUTF8)
        self.came.append(found)
        self.envelopes.append((envelope.mail_from, list(envelope.rcpt_tos)))
        if self.hangs_up_after:
            assert server.transport is not None
            server.transport.close()
        return "250 2.0.0 OK, queued"


@asynccontextmanager
async def opened(
    postbox: Postbox, *, port: int = 0, tls: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[Postbox]:
    """Serve while the block runs."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(postbox, hostname="mail.example", loop=loop, enable_SMTPUTF8=True, **options),
        "127.0.0.1",
        port,
        ssl=tls,
    )
    postbox.port = server.sockets[0].getsockname()[1]
    try:
        yield postbox
    finally:
        server.close()
        await server.wait_closed()


def parts(message: EmailMessage) -> tuple[str, str]:
    """The text and the HTML of an e-mail."""
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    return str(text.get_content()), str(html.get_content())
