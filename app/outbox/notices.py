"""The channel of notices: those who run the store are told by e-mail of what waits for a person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from app.domain.global_id import row_id
from app.domain.notice import notice_of, target_of
from app.domain.notice_kind import NoticeKind
from app.domain.outbox import Channel, OutboxMessage, SendOutcome, Verdict
from app.domain.outgoing import OutboxEvent
from app.email.message import AddressUnusable, Envelope, compose, recipient
from app.email.notices import notice_text
from app.email.smtp import Smtp
from app.services import mailing
from app.services.outbox import Recipient


@dataclass(frozen=True, slots=True)
class NoticeSender:
    """Sends notices by SMTP. The outbox knows what stands for an address; the settings know the address."""

    smtp: Smtp
    envelope: Envelope
    store_name: str
    channel: Channel = field(default=Channel.NOTICE, init=False)

    async def recipients(self, events: Sequence[OutboxEvent]) -> Mapping[UUID, Sequence[Recipient]]:
        """Return the store's addresses for each event that waits for a person."""
        found = {event.id: notice for event in events if (notice := notice_of(event)) is not None}
        if not found:
            return {}
        settings = await mailing.settings_in_force()
        return {
            event_id: [
                Recipient(target_of(address), str(notice.kind), notice.body, notice.source)
                for address in settings.notice_emails
            ]
            for event_id, notice in found.items()
            if notice.kind in settings.notice_kinds
        }

    async def deliver(self, taken: OutboxMessage) -> SendOutcome:
        """Send a notice, unless the store wants none any more, or somebody has seen to it meanwhile."""
        kind, settings = NoticeKind(taken.topic), await mailing.settings_in_force()
        addresses = {target_of(address): address for address in settings.notice_emails}
        if kind not in settings.notice_kinds or taken.target not in addresses:
            return SendOutcome(Verdict.UNWANTED, "The store's settings want this notice no more.")
        if kind is NoticeKind.WITHDRAWAL_WAITING and not await mailing.still_waits(
            row_id(taken.body["withdrawal"]["id"])
        ):
            return SendOutcome(Verdict.UNWANTED, "Somebody has decided the withdrawal meanwhile.")
        try:
            to = recipient("", addresses[taken.target])
        except AddressUnusable as error:
            return SendOutcome(Verdict.REFUSED, str(error))
        written = notice_text(kind, taken.body, store_name=self.store_name)
        envelope = replace(self.envelope, preferences_url=None)
        message = compose(written, to, envelope, row_id=taken.id, written_at=taken.created_at)
        sender = envelope.sender
        return await self.smtp.send(
            message, sender=sender.addr_spec, recipient=to.addr_spec, hostname=sender.domain
        )
