"""The generic provider: a bridge of the store's own, over HTTP, with messages that both sides sign.

docs/payouts.md describes it for people, docs/payouts.schema.json for programs. Every message, request and answer
alike, carries the three headers of Standard Webhooks; an answer repeats the `webhook-id` of its request, so that an
older answer can't be passed off for it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import orjson
from standardwebhooks.webhooks import Webhook

from app.domain.payout_method import PayoutMethodKind
from app.domain.withdrawal import PayoutOutcome, PayoutOutcomeKind
from app.payouts.provider import Answer, Headers, Knowledge, PayoutOrder, Told
from app.webhooks import standard
from app.webhooks.errors import NotAuthentic, Untranslatable

ANSWER_SIZE_MAX_BYTES = 65_536
"""The largest answer that is read of a bridge."""

TEXT_MAX = 128
NOTE_MAX = 500

_STATUSES = {
    "accepted": PayoutOutcomeKind.ACCEPTED,
    "paid": PayoutOutcomeKind.PAID,
    "failed": PayoutOutcomeKind.FAILED,
    "returned": PayoutOutcomeKind.RETURNED,
}

UNKNOWN = "unknown"
"""The status of a payout that the bridge has never been handed."""


class BridgeProvider:
    """Talks with one bridge. `secrets` sign and prove messages, the newest first; `mint` makes the messages' ids."""

    name = "http"
    kinds = frozenset(PayoutMethodKind)
    sends_again_for = timedelta(days=6)

    def __init__(
        self,
        url: str,
        secrets: Sequence[str],
        *,
        clock: Callable[[], datetime],
        mint: Callable[[], UUID],
        timeout_s: float,
        client: httpx.AsyncClient | None = None,
    ) -> None:
        self._url = url
        self._secrets = tuple(secrets)
        self._clock = clock
        self._mint = mint
        self._timeout_s = timeout_s
        self._client = client or httpx.AsyncClient(
            headers={"accept": "application/json", "accept-encoding": "identity", "user-agent": "Coffer"},
            timeout=timeout_s,
            follow_redirects=False,
            trust_env=urlsplit(url).hostname not in {"127.0.0.1", "localhost", "::1"},
        )

    async def send(self, order: PayoutOrder) -> Answer:
        """Hand an order over; the bridge makes one payout for one id, however often it is handed over."""
        amount = order.currency.format(order.amount_minor)
        return await self._ask(
            order.withdrawal_id,
            {
                "type": "payout.create",
                "id": str(order.withdrawal_id),
                "reference": order.reference,
                "amount": {"amount": amount, "currency": order.currency.code},
                "method": {"kind": str(order.kind), "details": dict(order.details)},
            },
        )

    async def outcome(self, order: PayoutOrder) -> Answer:
        """Ask how a payout stands."""
        return await self._ask(order.withdrawal_id, {"type": "payout.get", "id": str(order.withdrawal_id)})

    def translate(self, headers: Headers, body: bytes, now: datetime) -> Told | None:
        """Translate what the bridge tells of its own accord."""
        standard.verify(headers, body, self._secrets, now)
        message = _parsed(body)
        if message.get("type") != "payout.updated":
            raise Untranslatable("is not payout.updated", path="type")
        withdrawal_id, answer = _read(message)
        if answer.outcome is None:
            raise Untranslatable("is none of accepted, paid, failed and returned", path="status")
        external_id = next(value for name, value in headers if name.lower() == standard.ID_HEADER)
        return Told(external_id, withdrawal_id, answer.outcome.provider_reference, answer.outcome)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _ask(self, withdrawal_id: UUID, message: Mapping[str, Any]) -> Answer:
        try:
            # httpx limits each step; a bridge that answers a byte at a time must not hold everything up either.
            async with asyncio.timeout(self._timeout_s):
                status, headers, body = await self._exchange(withdrawal_id, orjson.dumps(message))
        except (TimeoutError, httpx.HTTPError) as error:
            return Answer.uncertain(f"no answer came: {type(error).__name__}")
        if status != httpx.codes.OK:
            # Whatever it means, it is no word of the bridge about this payout.
            return Answer.uncertain(f"the answer has status {status}")
        try:
            standard.verify(headers, body, self._secrets, self._clock())
            named, answer = _read(_parsed(body))
        except (NotAuthentic, Untranslatable) as error:
            return Answer.uncertain(f"the answer can't be used: {error.message}")
        return answer if named == withdrawal_id else Answer.uncertain("the answer is about another payout")

    async def _exchange(self, withdrawal_id: UUID, body: bytes) -> tuple[int, Headers, bytes]:
        message_id = f"msg_{self._mint().hex}"
        headers = signed(message_id, body, self._secrets[0], self._clock())
        headers["idempotency-key"] = str(withdrawal_id)
        async with self._client.stream("POST", self._url, content=body, headers=headers) as response:
            read = bytearray()
            if response.headers.get("content-encoding", "identity") != "identity":
                raise httpx.DecodingError("the answer is compressed, though that was not asked for")
            async for chunk in response.aiter_bytes():
                read += chunk
                if len(read) > ANSWER_SIZE_MAX_BYTES:
                    raise httpx.DecodingError("the answer is too large")
            if response.headers.get(standard.ID_HEADER) != message_id:
                return (0 if response.is_success else response.status_code), (), b""
            return response.status_code, response.headers.multi_items(), bytes(read)


def signed(message_id: str, body: bytes, secret: str, now: datetime) -> dict[str, str]:
    """Return the headers of a signed message."""
    return {
        "content-type": "application/json",
        standard.ID_HEADER: message_id,
        standard.TIME_HEADER: str(int(now.timestamp())),
        standard.SIGNATURE_HEADER: Webhook(secret).sign(message_id, now, body.decode()),
    }


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Untranslatable("The body is not JSON.") from None
    if not isinstance(message, dict):
        raise Untranslatable("The body is not an object.")
    return message


def _read(message: Mapping[str, Any]) -> tuple[UUID, Answer]:
    """Return which payout a message is about and what it says, or raise `Untranslatable`."""
    try:
        withdrawal_id = UUID(_text(message, "id", TEXT_MAX) or "")
    except ValueError:
        raise Untranslatable("is no id of a withdrawal", path="id") from None
    status = message.get("status")
    if status == UNKNOWN:
        return withdrawal_id, Answer(Knowledge.NO_SUCH_PAYOUT)
    kind = _STATUSES.get(status) if isinstance(status, str) else None
    if kind is None:
        raise Untranslatable("is none of accepted, paid, failed, returned and unknown", path="status")
    outcome = PayoutOutcome(
        kind,
        provider_reference=_text(message, "reference", TEXT_MAX),
        payout_reference=_text(message, "statementReference", TEXT_MAX),
        note=_text(message, "note", NOTE_MAX),
    )
    return withdrawal_id, Answer(Knowledge.TOLD, outcome)


def _text(message: Mapping[str, Any], name: str, length_max: int) -> str | None:
    value = message.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise Untranslatable("is no text", path=name)
    # What a bank writes may be longer than what is kept, and hold what can't be shown.
    kept = "".join(character for character in value if character.isprintable()).strip()
    return kept[:length_max] or None
