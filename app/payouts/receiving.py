"""The door by which providers tell what became of payouts: proved, settled, kept, and only then answered with 2xx."""

import asyncio
from collections.abc import Callable, Hashable
from datetime import datetime
from typing import Protocol

import structlog
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.payouts.processing import Payouts
from app.payouts.provider import Told
from app.services import payout as payouts
from app.services.ledger.writer import LedgerUnavailable, NotAccepting, Overloaded, Writer
from app.webhooks.errors import NotAuthentic, Untranslatable

log = structlog.get_logger("coffer.payouts")

BODY_SIZE_MAX_BYTES = 262_144
RETRY_AFTER_S = 5


class Allowance(Protocol):
    """How many messages that are not authentic an address may send."""

    def wait_s(self, key: Hashable) -> int:
        """Return for how many whole seconds nothing more is read from there; 0 while there is something left."""

    def spend(self, key: Hashable) -> None:
        """Count one."""


class PayoutDoor:
    """The route `/payouts/{provider}` of the one provider that is set up."""

    def __init__(
        self,
        work: Payouts,
        *,
        writer: Writer,
        clock: Callable[[], datetime],
        allowance: Allowance,
        address_of: Callable[[HTTPConnection], str | None],
        body_timeout_s: float,
    ) -> None:
        self._work = work
        self._writer = writer
        self._clock = clock
        self._allowance = allowance
        self._address_of = address_of
        self._body_timeout_s = body_timeout_s

    def routes(self) -> list[Route]:
        """Return the route; staff need none."""
        provider = self._work.provider
        return [Route(f"/payouts/{provider.name}", self._answer, methods=["POST"])] if provider.kinds else []

    async def _answer(self, request: Request) -> Response:
        address = self._address_of(request)
        if address is not None and (wait_s := self._allowance.wait_s(address)) > 0:
            return _later(429, "Too many messages from here were not authentic.", wait_s)
        try:
            body = await self._body(request)
        except ClientDisconnect:
            return Response(status_code=499)
        if body is None:
            return _told(413, "The body is too large, or did not arrive in time.")
        try:
            told = self._work.provider.translate(request.headers.items(), body, self._clock())
        except NotAuthentic as error:
            log.info("payout message is not authentic", why=error.message)
            if address is not None:
                self._allowance.spend(address)
            return _told(401, "The signature does not match.")
        except Untranslatable as error:
            log.warning("payout message can't be understood", why=error.message)
            return _told(422, f"The message can't be understood: {error.message}")
        return await self._follow(told)

    async def _follow(self, told: Told | None) -> Response:
        if told is None:
            return _told(200, None)
        provider = self._work.provider.name
        try:
            withdrawal_id = await payouts.named(provider, told.withdrawal_id, told.provider_reference)
            if withdrawal_id is not None:
                await self._work.settle(withdrawal_id, told.outcome)
            # Kept after it was settled: whoever dies in between is told again, and then nothing changes.
            await payouts.keep_message(
                self._writer,
                self._work.actor,
                provider=provider,
                external_id=told.external_id,
                withdrawal_id=withdrawal_id,
                provider_reference=told.provider_reference,
                kind=told.outcome.kind,
            )
        except (Overloaded, NotAccepting, LedgerUnavailable) as error:
            log.warning("payout message could not be settled", error=type(error).__name__)
            return _later(503, "Not now: send it again in a moment.", RETRY_AFTER_S)
        return _told(200, None)

    async def _body(self, request: Request) -> bytes | None:
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_timeout_s):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > BODY_SIZE_MAX_BYTES:
                        return None
        except TimeoutError:
            return None
        return bytes(body)


def _told(status: int, message: str | None) -> Response:
    body = {"received": True} if message is None else {"error": message}
    headers = {"cache-control": "no-store"}
    if status == 413:
        headers["connection"] = "close"
    return JSONResponse(body, status, headers=headers)


def _later(status: int, message: str, wait_s: int) -> Response:
    response = _told(status, message)
    response.headers["retry-after"] = str(wait_s)
    return response
