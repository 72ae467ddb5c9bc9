"""The channel of e-mails: who is told of an event, and how an e-mail gets to them.

A message names the customer and says what it is about. The address, the language and what the customer wants are looked
up when it is sent, so that nothing personal lies in the outbox, and what was switched off meanwhile is not sent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from app.domain.email_kind import Absence, EmailKind
from app.domain.mailing import customer_of, email_of
from app.domain.outbox import Channel, OutboxMessage, SendOutcome, Verdict
from app.domain.outgoing import OutboxEvent
from app.domain.settings import StoreSettings
from app.email.facts import Reader
from app.email.message import AddressUnusable, Envelope, compose, recipient
from app.email.smtp import Smtp
from app.email.templates import Occasion, Rendered, Templates
from app.services import mailing
from app.services.mailing import Addressee
from app.services.outbox import Recipient

log = structlog.get_logger("coffer.email")

UNWANTED: Mapping[Absence, str] = {
    Absence.STORE: "The store switched this kind of e-mail off.",
    Absence.CUSTOMER: "The customer switched this kind of e-mail off.",
    Absence.NO_ADDRESS: "No e-mail address of the customer is known any more.",
}


@dataclass(frozen=True, slots=True)
class EmailSender:
    """Sends e-mails by SMTP."""

    smtp: Smtp
    envelope: Envelope
    templates: Templates
    store_name: str
    channel: Channel = field(default=Channel.EMAIL, init=False)

    async def recipients(self, events: Sequence[OutboxEvent]) -> Mapping[UUID, Sequence[Recipient]]:
        """Return the customer of each event that an e-mail tells of, if they want it and have an address."""
        found = {event.id: (event, *told) for event in events if (told := email_of(event)) is not None}
        if not found:
            return {}
        settings = await mailing.settings_in_force()
        wallet_ids = {event.wallet_id for event, _, _ in found.values() if event.wallet_id is not None}
        customers = await mailing.addressees(wallet_ids)
        return {
            event.id: [Recipient(str(reader.id), str(kind), body)]
            for event, kind, body in found.values()
            if event.wallet_id is not None
            and (reader := customers.get(event.wallet_id)) is not None
            and reader.misses(kind, settings) is None
        }

    async def deliver(self, taken: OutboxMessage) -> SendOutcome:
        """Send an e-mail; repeats have the same Message-ID."""
        kind, reader = EmailKind(taken.topic), await mailing.addressee(customer_of(taken.target))
        settings = await mailing.settings_in_force()
        if reader is None:
            return SendOutcome(Verdict.UNWANTED, UNWANTED[Absence.NO_ADDRESS])
        why = reader.misses(kind, settings)
        if why is not None:
            return SendOutcome(Verdict.UNWANTED, UNWANTED[why])
        try:
            to = recipient(reader.name, reader.address)
        except AddressUnusable as error:
            return SendOutcome(Verdict.REFUSED, str(error))
        rendered = await self._rendered(kind, taken, reader, settings)
        message = compose(rendered, to, self.envelope, row_id=taken.id, written_at=taken.created_at)
        sender = self.envelope.sender
        return await self.smtp.send(
            message, sender=sender.addr_spec, recipient=to.addr_spec, hostname=sender.domain
        )

    async def _rendered(
        self, kind: EmailKind, taken: OutboxMessage, reader: Addressee, settings: StoreSettings
    ) -> Rendered:
        note = await mailing.note_of(kind, taken.body)
        rendered = self.templates.render(
            Occasion(
                kind,
                taken.body,
                Reader(self.store_name, reader.name, note, self.envelope.preferences_url or ""),
                language=reader.language,
                fallback=settings.email_language,
                zone=settings.zone,
            )
        )
        for problem in rendered.problems:
            log.error(
                "a template of the store's failed; the e-mail was made with Coffer's own",
                kind=str(kind),
                problem=problem,
            )
        return rendered
