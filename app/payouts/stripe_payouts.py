"""Payouts by Stripe, through its official library: to a bank account, card or wallet that Stripe keeps.

The payout method's `token` is Stripe's id of the external account (`ba_…`, `card_…`), and `account` the connected
account (`acct_…`) that it belongs to, if it is one's. The withdrawal's id is Stripe's idempotency key, and stands in the payout's
metadata, by which it is found again when no answer came.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import stripe
from stripe import HTTPXClient, StripeClient, WebhookSignature

from app.domain.payout_method import PayoutMethodKind
from app.domain.withdrawal import PayoutOutcome, PayoutOutcomeKind
from app.payouts.provider import Answer, Headers, Knowledge, PayoutOrder, Told
from app.webhooks.document import parse
from app.webhooks.errors import NotAuthentic, Untranslatable

SIGNATURE_HEADER = "stripe-signature"
TOLERANCE_S = 300
METADATA_KEY = "coffer_withdrawal"

SEARCHED_MAX = 1_000
"""Payouts among which one is looked for whose id never came."""

_CLOCK_SKEW = timedelta(minutes=10)

_STATUSES = {
    "pending": PayoutOutcomeKind.ACCEPTED,
    "in_transit": PayoutOutcomeKind.ACCEPTED,
    "paid": PayoutOutcomeKind.PAID,
    "failed": PayoutOutcomeKind.FAILED,
    "canceled": PayoutOutcomeKind.FAILED,
}

_HUNDREDTHS = frozenset({"ISK", "UGX"})
"""Currencies without decimals whose amounts Stripe still writes in hundredths."""


class StripeProvider:
    """Talks with Stripe's API at `url`."""

    name = "stripe"
    kinds = frozenset({PayoutMethodKind.PROVIDER})
    sends_again_for = timedelta(hours=20)  # Stripe keeps idempotency keys for 24 hours at least

    def __init__(
        self,
        key: str,
        *,
        webhook_secret: str | None,
        clock: Callable[[], datetime],
        timeout_s: float,
        url: str = "https://api.stripe.com",
    ) -> None:
        self._webhook_secret = webhook_secret
        self._clock = clock
        self._timeout_s = timeout_s
        self._http = HTTPXClient(timeout=timeout_s)
        # Asking again is the worker's: here nothing is tried twice behind its back.
        self._payouts = StripeClient(
            key, base_addresses={"api": url}, http_client=self._http, max_network_retries=0
        ).v1.payouts

    async def send(self, order: PayoutOrder) -> Answer:
        """Make the payout."""
        params: dict[str, Any] = {
            "amount": stripe_amount(order),
            "currency": order.currency.code.lower(),
            "destination": order.details["token"],
            "description": order.reference,
            "metadata": {METADATA_KEY: str(order.withdrawal_id), "reference": order.reference},
        }
        options = {**_options(order), "idempotency_key": str(order.withdrawal_id)}
        return await self._asked(lambda: self._payouts.create_async(params, options), may_refuse=True)  # type: ignore[arg-type]

    async def outcome(self, order: PayoutOrder) -> Answer:
        """Ask how a payout stands; one whose id never came is looked for by what stands in its metadata."""
        reference = order.provider_reference
        if reference is not None:
            return await self._asked(
                lambda: self._payouts.retrieve_async(reference, {}, _options(order))  # type: ignore[arg-type]
            )
        return await self._asked(lambda: self._find(order))

    def translate(self, headers: Headers, body: bytes, now: datetime) -> Told | None:
        """Translate an event of a payout."""
        self._verify(headers, body, now)
        event = parse(body)
        if not event["type"].text().startswith("payout."):
            return None
        payout = event["data"]["object"]
        status = payout["status"].text()
        kind = _STATUSES.get(status)
        if kind is None:
            raise Untranslatable("is no status of a payout", path="data.object.status")
        reference = payout["id"].text()
        return Told(
            event["id"].text(),
            _withdrawal_id(payout["metadata"].value),
            reference,
            _outcome(kind, reference, payout["trace_id"].value, payout["failure_code"].value),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close_async()  # type: ignore[no-untyped-call]

    def _verify(self, headers: Headers, body: bytes, now: datetime) -> None:
        given = [value for name, value in headers if name.lower() == SIGNATURE_HEADER]
        if not self._webhook_secret or len(given) != 1:
            raise NotAuthentic("No secret is set, or the signature is not there once.")
        try:
            WebhookSignature.verify_header(body, given[0], self._webhook_secret)
            signed_at = int(dict(part.split("=", 1) for part in given[0].split(",") if "=" in part)["t"])
        except (stripe.SignatureVerificationError, UnicodeDecodeError, ValueError, KeyError):
            raise NotAuthentic(f"The signature in {SIGNATURE_HEADER} does not belong to this body.") from None
        if abs(now.timestamp() - signed_at) > TOLERANCE_S:
            raise NotAuthentic("The message was signed too long before or after now.")

    async def _find(self, order: PayoutOrder) -> Any | None:
        since = int((order.handed_over_at - _CLOCK_SKEW).timestamp())
        params: dict[str, Any] = {"created": {"gte": since}, "limit": 100}
        looked_at = 0
        page = await self._payouts.list_async(params, _options(order))  # type: ignore[arg-type]
        async for payout in page.auto_paging_iter():
            if _withdrawal_id(payout.to_dict().get("metadata")) == order.withdrawal_id:
                return payout
            looked_at += 1
            if looked_at >= SEARCHED_MAX:
                raise TimeoutError
        return None

    async def _asked(self, ask: Callable[[], Any], *, may_refuse: bool = False) -> Answer:
        try:
            async with asyncio.timeout(self._timeout_s):
                payout = await ask()
        except stripe.InvalidRequestError as error:
            if may_refuse and error.http_status == 400:
                note = f"Stripe refused it ({error.code or 'invalid request'})."
                return Answer(Knowledge.TOLD, PayoutOutcome(PayoutOutcomeKind.FAILED, note=note))
            return Answer.uncertain(f"Stripe answered {error.http_status}")
        except (stripe.StripeError, TimeoutError) as error:
            return Answer.uncertain(f"no answer came: {type(error).__name__}")
        return Answer(Knowledge.NO_SUCH_PAYOUT) if payout is None else _answer(payout.to_dict())


def _answer(payout: dict[str, Any]) -> Answer:
    kind = _STATUSES.get(payout.get("status", ""))
    if kind is None or not isinstance(payout.get("id"), str):
        return Answer.uncertain("Stripe's answer is no payout")
    told = _outcome(kind, payout["id"], payout.get("trace_id"), payout.get("failure_code"))
    return Answer(Knowledge.TOLD, told)


def stripe_amount(order: PayoutOrder) -> int:
    """Return the amount as Stripe writes it: in minor units, but for two currencies."""
    return order.amount_minor * 100 if order.currency.code in _HUNDREDTHS else order.amount_minor


def _options(order: PayoutOrder) -> dict[str, Any]:
    account = order.details.get("account")
    return {"stripe_account": account} if account else {}


def _outcome(kind: PayoutOutcomeKind, reference: str, trace: Any, failure: Any) -> PayoutOutcome:
    # Stripe's trace is an object with a value once the bank has one.
    found = trace.get("value") if isinstance(trace, dict) else None
    return PayoutOutcome(
        kind,
        provider_reference=reference,
        payout_reference=found if isinstance(found, str) else None,
        note=f"Stripe: {failure}" if isinstance(failure, str) else None,
    )


def _withdrawal_id(metadata: Any) -> UUID | None:
    text = metadata.get(METADATA_KEY) if isinstance(metadata, dict) else None
    try:
        return UUID(text) if isinstance(text, str) else None
    except ValueError:
        return None
