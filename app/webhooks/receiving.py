"""The doors themselves: a message is proved, kept, and only then answered with 2xx; all else happens afterwards.

WooCommerce switches a webhook off after five answers that are not 2xx, and sends nothing again. So everything that is
authentic is kept, also what nobody understands: that becomes a failed delivery that staff can see.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import structlog
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.domain.delivery import Door
from app.services.delivery import Inbox, keep
from app.services.ledger.writer import LedgerUnavailable, NotAccepting, Overloaded, Writer
from app.settings import Settings, environment_variable
from app.webhooks.errors import NotAuthentic

log = structlog.get_logger("coffer.webhooks")

RETRY_AFTER_S = 5
"""What a store is told to wait when the ledger can't be reached."""

PROVEN_MAX = 1_000
"""Addresses that are remembered for an authentic message."""

TEST = "The store's software sent it to try the webhook out; what it tells of does not exist."

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

SETTINGS = {
    Door.WOOCOMMERCE: "woocommerce_webhook_secret",
    Door.SHOPIFY: "shopify_webhook_secret",
    Door.STANDARD: "standard_webhook_secrets",
}
"""Which setting opens a door."""

Headers = Sequence[tuple[str, str]]


class Outcome(StrEnum):
    """How a request to a door ended, as it is counted."""

    KEPT = "kept"
    REPEATED = "repeated"
    PING = "ping"
    CLOSED = "closed"
    NOT_AUTHENTIC = "not_authentic"
    RATE_LIMITED = "rate_limited"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one door's messages are proved and named. `verify` raises `NotAuthentic`.

    `is_test` tells of an authentic message that is made up. `topic` and `external_id` say what an authentic message is about, and which number its sender gave it.
    """

    verify: Callable[[Headers, bytes, Sequence[str], datetime], None]
    is_ping: Callable[[Headers, bytes], bool]
    is_test: Callable[[Headers], bool]
    topic: Callable[[Mapping[str, str], bytes], str]
    external_id: Callable[[Mapping[str, str]], str | None]


class Allowance(Protocol):
    """How many messages that are not authentic an address may send."""

    def wait_s(self, key: Hashable) -> int:
        """Return for how many whole seconds nothing more is read from there; 0 while there is something left."""

    def spend(self, key: Hashable) -> None:
        """Count one."""


class _Refused(Exception):
    """A request that is turned away before anybody looked into it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Receiving:
    """The doors of one application."""

    def __init__(
        self,
        settings: Settings,
        *,
        writer: Writer,
        inbox: Inbox,
        clock: Callable[[], datetime],
        dialects: Mapping[Door, Dialect],
        allowance: Allowance,
        address_of: Callable[[HTTPConnection], str | None],
        count: Callable[[str, str], None],
    ) -> None:
        self._settings = settings
        self._writer = writer
        self._inbox = inbox
        self._clock = clock
        self._dialects = dialects
        self._secrets = {door: settings.webhook_secrets(door) for door in dialects}
        self._allowance = allowance
        self._address_of = address_of
        self._count = count
        self._proven: OrderedDict[str, None] = OrderedDict()

    def routes(self) -> list[Route]:
        """Return a route for each open door; developers are told of those that are closed."""
        there = [door for door in self._dialects if self._secrets[door] or self._settings.in_development]
        return [Route(f"/webhooks/{door}", self._route(door), methods=["POST"]) for door in there]

    def _route(self, door: Door) -> Callable[[Request], object]:
        async def answer(request: Request) -> Response:
            try:
                outcome, response = await self._answer(door, request)
            except _Refused as refused:
                outcome, response = Outcome.REFUSED, _told(refused.status, refused.message)
                if refused.status in {408, 413}:
                    # The rest of the body may never end: nobody here goes on reading it.
                    response.headers["connection"] = "close"
            except ClientDisconnect:
                outcome, response = Outcome.REFUSED, Response(status_code=499)
            self._count(door, outcome)
            return response

        return answer

    async def _answer(self, door: Door, request: Request) -> tuple[Outcome, Response]:
        if not self._secrets[door]:
            message = f"This door is closed: set {environment_variable(SETTINGS[door])}."
            return Outcome.CLOSED, _told(404, message)
        address = self._address_of(request)
        if (wait_s := self._must_wait_s(address)) > 0:
            return Outcome.RATE_LIMITED, _later(
                429, "Too many messages from here were not authentic.", wait_s
            )
        _require_content_type(request)
        body = await _body(request, self._settings)
        dialect, headers = self._dialects[door], request.headers.items()
        if dialect.is_ping(headers, body):
            return Outcome.PING, _told(200, None)
        try:
            dialect.verify(headers, body, self._secrets[door], self._clock())
        except NotAuthentic as error:
            # Why is for the operator who set the door up; whoever knocks learns nothing from it.
            log.info("webhook is not authentic", door=door, why=error.message)
            if address is not None:
                self._allowance.spend(address)
            return Outcome.NOT_AUTHENTIC, _told(401, "The signature does not match.")
        self._prove(address)
        return await self._keep(door, dialect, request, body)

    async def _keep(
        self, door: Door, dialect: Dialect, request: Request, body: bytes
    ) -> tuple[Outcome, Response]:
        try:
            kept = await keep(
                self._writer,
                door,
                dialect.topic(request.headers, body),
                body,
                external_id=dialect.external_id(request.headers),
                ignored=TEST if dialect.is_test(request.headers.items()) else None,
                now=self._clock(),
            )
        except (Overloaded, NotAccepting, LedgerUnavailable) as error:
            log.warning("webhook could not be kept", door=door, error=type(error).__name__)
            return Outcome.UNAVAILABLE, _later(503, "Not now: send it again in a moment.", RETRY_AFTER_S)
        if kept.delivery.next_attempt_at is not None:
            self._inbox.put([kept.delivery.id])
        return (Outcome.REPEATED if kept.repeated else Outcome.KEPT), _told(200, None)

    def _must_wait_s(self, address: str | None) -> int:
        # Somebody on the same host as the store (its provider's other customers) could otherwise have the store's
        # own messages turned away, and so its webhooks switched off.
        if address is None or address in self._proven:
            return 0
        return self._allowance.wait_s(address)

    def _prove(self, address: str | None) -> None:
        if address is not None:
            self._proven[address] = None
            self._proven.move_to_end(address)
            if len(self._proven) > PROVEN_MAX:
                self._proven.popitem(last=False)


def _require_content_type(request: Request) -> None:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    # A form is how WooCommerce greets.
    if media not in {JSON, FORM} and not media.endswith("+json"):
        raise _Refused(415, "Send the message as 'content-type: application/json'.")


async def _body(request: Request, settings: Settings) -> bytes:
    limit = settings.webhook_body_size_max_bytes
    too_large = _Refused(413, f"The body is larger than {limit} bytes.")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(settings.body_timeout_s):
            async for chunk in request.stream():
                body += chunk
                # The header may be missing or a lie, so what arrives is counted too.
                if len(body) > limit:
                    raise too_large
    except TimeoutError:
        raise _Refused(408, f"The body did not arrive within {settings.body_timeout_s:g} s.") from None
    return bytes(body)


def _told(status: int, message: str | None) -> Response:
    body = {"received": True} if message is None else {"error": message}
    return JSONResponse(body, status, headers={"cache-control": "no-store"})


def _later(status: int, message: str, wait_s: int) -> Response:
    response = _told(status, message)
    response.headers["retry-after"] = str(wait_s)
    return response
