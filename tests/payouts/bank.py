"""A stand-in for a store's bridge to its bank: it keeps its word about ids, and is otherwise as bad as one can be."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from random import Random
from typing import Any
from uuid import UUID

import httpx

from app.payouts.bridge import BridgeProvider, signed
from app.services.ledger.mint import RandomMint
from app.webhooks import standard
from tests.stores import STANDARD_SECRET

URL = "https://bridge.example/payouts"
MINT = RandomMint()
OTHER_SECRET = STANDARD_SECRET[:-4] + "AAA="


class Mood(StrEnum):
    """What happens to one request."""

    WELL = "WELL"
    LOST = "LOST"  # the request never arrives
    SILENT = "SILENT"  # it is done, and the answer never arrives
    SLOW = "SLOW"  # it is done, and the answer comes too late
    BROKEN = "BROKEN"  # status 500, and it is done all the same
    REFUSING = "REFUSING"  # status 503, and nothing is done
    FORGED = "FORGED"  # done, and answered with another's signature
    STALE = "STALE"  # done, and answered as another request was
    CONFUSED = "CONFUSED"  # done, and answered about another payout
    GARBAGE = "GARBAGE"  # done, and answered with a page
    REDIRECT = "REDIRECT"  # sent elsewhere


class Bank:
    """Payouts by id, each with its history; `money` counts how often an id moved money, and how much."""

    def __init__(self, clock: Callable[[], datetime], *, seed: int = 0) -> None:
        self.clock = clock
        self.chance = Random(seed)
        self.moods: Callable[[], Mood] = lambda: Mood.WELL
        self.status: dict[str, str] = {}
        self.sent: dict[str, str] = {}
        self.orders: list[dict[str, Any]] = []
        self.money: Counter[str] = Counter()
        self.messages: list[tuple[list[tuple[str, str]], bytes]] = []
        self.asked: Counter[str] = Counter()
        self.elsewhere = 0

    def provider(self, timeout_s: float = 0.2) -> BridgeProvider:
        client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        return BridgeProvider(
            URL, [STANDARD_SECRET], clock=self.clock, mint=MINT.id, timeout_s=timeout_s, client=client
        )

    def turns(self, payout: str, status: str) -> None:
        """Something becomes of a payout, and the bank tells of it."""
        self.status[payout] = status
        if status == "paid":
            self.money[payout] += 1
        if status == "returned":
            self.money[payout] -= 1
        self.tells({"type": "payout.updated", **self._state(payout)})

    def tells(self, message: dict[str, Any], *, secret: str = STANDARD_SECRET, message_id: str = "") -> None:
        """Put a message where the test fetches it."""
        body = json.dumps(message).encode()
        headers = signed(message_id or f"msg_{len(self.messages)}", body, secret, self.clock())
        self.messages.append((list(headers.items()), body))

    def _state(self, payout: str) -> dict[str, Any]:
        status = self.status.get(payout, "unknown")
        return {"id": payout, "status": status} | (
            {} if status == "unknown" else {"reference": f"P-{payout[-6:]}", "statementReference": "SEPA 1"}
        )

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        mood = self.moods()
        if mood is Mood.LOST:
            raise httpx.ConnectError("no way there", request=request)
        if mood is Mood.REFUSING:
            return httpx.Response(503)
        if str(request.url) != URL:
            self.elsewhere += 1
        if mood is Mood.REDIRECT:
            return httpx.Response(307, headers={"location": "https://elsewhere.example/"})
        standard.verify(request.headers.multi_items(), request.content, [STANDARD_SECRET], self.clock())
        message = json.loads(request.content)
        payout = str(UUID(message["id"]))
        self.asked[message["type"]] += 1
        if message["type"] == "payout.create":
            assert request.headers["idempotency-key"] == payout
            self.orders.append(message)
            self.sent.setdefault(payout, message["amount"]["amount"])
            assert self.sent[payout] == message["amount"]["amount"], "one id, one payout"
            self.status.setdefault(payout, "accepted")
        if mood is Mood.SILENT:
            raise httpx.ReadTimeout("no answer", request=request)
        if mood is Mood.SLOW:
            await asyncio.sleep(5)
        if mood is Mood.BROKEN:
            return httpx.Response(500)
        return self._signed(request, self._state(payout), mood)

    def _signed(self, request: httpx.Request, state: dict[str, Any], mood: Mood) -> httpx.Response:
        if mood is Mood.CONFUSED:
            state = {**state, "id": str(MINT.id()), "status": "failed"}
        body = b"<h1>Welcome</h1>" if mood is Mood.GARBAGE else json.dumps(state).encode()
        if mood in {Mood.FORGED, Mood.STALE}:
            body = json.dumps({**state, "status": "failed"}).encode()
        named = "msg_another" if mood is Mood.STALE else request.headers["webhook-id"]
        secret = OTHER_SECRET if mood is Mood.FORGED else STANDARD_SECRET
        return httpx.Response(200, content=body, headers=signed(named, body, secret, self.clock()))
