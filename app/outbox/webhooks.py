"""Outgoing webhooks: messages to endpoints, signed by Standard Webhooks (https://www.standardwebhooks.com)."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import orjson
import structlog
from standardwebhooks.webhooks import Webhook

from app.domain.access import Actor, ActorKind
from app.domain.event_catalogue import EventType
from app.domain.listening import payload_of
from app.domain.outbox import Channel, OutboxMessage, SendOutcome, Verdict
from app.domain.outgoing import OutboxEvent
from app.domain.webhook_endpoint import WebhookEndpoint
from app.outbox.client import Answer, Poster, Undelivered
from app.sealing import Sealer, Unreadable
from app.services import webhook_endpoint as endpoints
from app.services.ledger.writer import Writer
from app.services.outbox import Recipient

log = structlog.get_logger("coffer.outbox")

GONE = 410
ACTOR = Actor(ActorKind.SYSTEM, "outbox")
"""Who writes down how endpoints are."""


class WebhookSender:
    """The channel of outgoing webhooks."""

    channel = Channel.WEBHOOK

    def __init__(
        self, *, writer: Writer, sealer: Sealer | None, poster: Poster, clock: Callable[[], datetime]
    ) -> None:
        self._writer = writer
        self._sealer = sealer
        self._poster = poster
        self._clock = clock

    async def recipients(self, events: Sequence[OutboxEvent]) -> Mapping[UUID, Sequence[Recipient]]:
        """Return the endpoints that hear of each event."""
        listening = await endpoints.listening()
        return {
            event.id: [
                Recipient(str(endpoint.id), event.type, payload_of(event))
                for endpoint in listening
                if _hears(endpoint, event)
            ]
            for event in events
        }

    async def deliver(self, taken: OutboxMessage) -> SendOutcome:
        """Send a message to its endpoint."""
        endpoint = await endpoints.find(UUID(taken.target))
        if endpoint is None or not (endpoint.is_enabled or taken.topic == EventType.WEBHOOK_TEST):
            return SendOutcome(Verdict.UNWANTED, "The endpoint is switched off.")
        try:
            headers, body = self._signed(endpoint, taken)
        except Unreadable:
            error = (
                "The endpoint's secret can't be opened with COFFER_SECRETS_KEY. Set the key it was made with."
            )
            return SendOutcome(Verdict.FAILED, error)
        try:
            answer = await self._poster.post(endpoint.url, body, headers)
        except Undelivered as error:
            outcome = SendOutcome(Verdict.FAILED, str(error))
        else:
            outcome = outcome_of(answer)
            if answer.status_code == GONE and endpoint.is_enabled:
                # Before the message is settled: were the process to die here, the endpoint would be asked again.
                await endpoints.end(self._writer, ACTOR, endpoint.id)
                log.warning("an endpoint is gone and was switched off", endpoint=str(endpoint.id))
        await self._note_health(endpoint, outcome)
        return outcome

    def _signed(self, endpoint: WebhookEndpoint, taken: OutboxMessage) -> tuple[dict[str, str], bytes]:
        """Return headers and body; with a rotated secret that still counts, there is a signature by each."""
        if self._sealer is None:
            raise Unreadable
        # The same bytes at every attempt; the time is the attempt's, as the standard says.
        body = orjson.dumps(taken.body, option=orjson.OPT_SORT_KEYS)
        message_id, now = f"msg_{taken.id.hex}", self._clock()
        secrets = [self._sealer.open(kept.sealed, str(endpoint.id)) for kept in endpoint.signing(now)]
        signatures = [Webhook(secret).sign(message_id, now, body.decode()) for secret in secrets]
        headers = {
            "content-type": "application/json",
            "user-agent": "Coffer",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signatures),
        }
        return headers, body

    async def _note_health(self, endpoint: WebhookEndpoint, outcome: SendOutcome) -> None:
        delivered = outcome.verdict is Verdict.DELIVERED
        if delivered == (endpoint.failing_since is None):
            return
        since = None if delivered else self._clock()
        await endpoints.note_health(self._writer, ACTOR, endpoint.id, failing_since=since)


def outcome_of(answer: Answer) -> SendOutcome:
    """Return what an answer means: 2xx took it, 410 wants nothing more, all else is tried again."""
    status = answer.status_code
    if 200 <= status < 300:
        return SendOutcome(Verdict.DELIVERED, status_code=status, answer=answer.text)
    if status == GONE:
        error = "It answered 410: it wants no messages any more, and was switched off."
        return SendOutcome(Verdict.REFUSED, error, status_code=status, answer=answer.text)
    if 300 <= status < 400:
        error = f"It answered {status}, a redirect, which is not followed. Set the address that it leads to."
        return SendOutcome(Verdict.FAILED, error, status_code=status, answer=answer.text)
    error = f"It answered {status}."
    return SendOutcome(Verdict.FAILED, error, status_code=status, answer=answer.text, wait_s=answer.wait_s)


def _hears(endpoint: WebhookEndpoint, event: OutboxEvent) -> bool:
    # A newer version of the program may have written an event that this one does not know: then nobody here hears of it.
    return event.type in set(EventType) and endpoint.hears(event.type, event.needs)
