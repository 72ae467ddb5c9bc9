"""Stripe's own library against a stand-in for Stripe on loopback."""

import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from stripe import WebhookSignature

from app.domain.money import currency_of
from app.domain.payout_method import PayoutMethodKind
from app.domain.withdrawal import PayoutOutcomeKind
from app.payouts.provider import Knowledge, PayoutOrder
from app.payouts.stripe_payouts import StripeProvider, stripe_amount
from app.services.ledger.writer import Writer
from app.webhooks.errors import NotAuthentic
from tests.ledger import Clock
from tests.payouts.till import Till, balance, stands

# Stripe's library hands its form to httpx in a way that httpx is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

SECRET = "whsec_made_up_for_these_tests"
ID = UUID("0199aaaa-0000-7000-8000-00000000000a")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class StripeServer:
    """Payouts by idempotency key, as Stripe keeps them."""

    url: str = ""
    payouts: dict[str, dict[str, Any]] = field(default_factory=dict)
    by_key: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str], dict[str, list[str]]]] = field(default_factory=list)
    status: int = 200
    silent: bool = False
    error: dict[str, Any] = field(default_factory=dict)

    def answer(
        self, method: str, path: str, headers: dict[str, str], form: dict[str, list[str]]
    ) -> tuple[int, dict[str, Any]]:
        self.requests.append((method, path, headers, form))
        if self.status != 200:
            return self.status, {"error": self.error}
        if method == "POST":
            number = self.by_key.setdefault(headers["idempotency-key"], f"po_{len(self.by_key) + 1}")
            made = {
                "id": number,
                "object": "payout",
                "status": "pending",
                "amount": int(form["amount"][0]),
                "currency": form["currency"][0],
                "metadata": {"coffer_withdrawal": form["metadata[coffer_withdrawal]"][0]},
                "trace_id": {"status": "pending", "value": None},
                "failure_code": None,
            }
            return 200, self.payouts.setdefault(number, made)
        if path == "/v1/payouts":
            return 200, {
                "object": "list",
                "url": path,
                "has_more": False,
                "data": list(self.payouts.values()),
            }
        return 200, self.payouts[path.rpartition("/")[2]]


@pytest.fixture
def server() -> Iterator[StripeServer]:
    stripe = StripeServer()

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            parts = urlsplit(self.path)
            form = parse_qs(self.rfile.read(length).decode() or parts.query)
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, body = stripe.answer(self.command, parts.path, headers, form)
            if stripe.silent:
                time.sleep(1)
                return
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = _do  # noqa: N815 — the names that the library calls

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stripe.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    yield stripe
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.fixture
async def provider(server: StripeServer) -> AsyncIterator[StripeProvider]:
    made = StripeProvider(
        "sk_test_made_up", webhook_secret=SECRET, clock=lambda: NOW, timeout_s=0.5, url=server.url
    )
    yield made
    await made.close()


def order(**more: Any) -> PayoutOrder:
    values: dict[str, Any] = {
        "withdrawal_id": ID,
        "reference": "WD-1",
        "amount_minor": 993,
        "currency": currency_of("USD"),
        "kind": PayoutMethodKind.PROVIDER,
        "details": {"token": "ba_1", "account": "acct_1"},
        "handed_over_at": NOW,
    }
    return PayoutOrder(**(values | more))


async def test_one_id_is_one_payout(server: StripeServer, provider: StripeProvider) -> None:
    for _ in range(2):
        answer = await provider.send(order())
        assert answer.outcome is not None
        assert (answer.knowledge, answer.outcome.kind, answer.outcome.provider_reference) == (
            Knowledge.TOLD,
            PayoutOutcomeKind.ACCEPTED,
            "po_1",
        )
    assert len(server.payouts) == 1
    _, path, headers, form = server.requests[0]
    assert (path, headers["idempotency-key"], headers["stripe-account"]) == ("/v1/payouts", str(ID), "acct_1")
    assert (form["amount"], form["currency"], form["destination"]) == (["993"], ["usd"], ["ba_1"])


async def test_one_whose_answer_was_lost_is_found_again(
    server: StripeServer, provider: StripeProvider
) -> None:
    server.silent = True
    assert (await provider.send(order())).knowledge is Knowledge.UNCERTAIN
    server.silent = False
    found = await provider.outcome(order())
    assert found.outcome is not None
    assert found.outcome.provider_reference == "po_1"
    assert len(server.payouts) == 1


async def test_what_it_never_heard_of_is_no_such_payout(provider: StripeProvider) -> None:
    assert (await provider.outcome(order())).knowledge is Knowledge.NO_SUCH_PAYOUT


@pytest.mark.parametrize("status", [401, 403, 404, 409, 429, 500, 503])
async def test_an_error_says_nothing_of_the_payout(
    server: StripeServer, provider: StripeProvider, status: int
) -> None:
    server.status, server.error = status, {"type": "api_error", "message": "DE89370400440532013000 is wrong"}
    for answer in (await provider.send(order()), await provider.outcome(order())):
        assert (answer.knowledge, answer.outcome) == (Knowledge.UNCERTAIN, None)
        assert "DE89" not in answer.why


async def test_what_it_refuses_has_failed(server: StripeServer, provider: StripeProvider) -> None:
    server.status, server.error = 400, {"type": "invalid_request_error", "code": "balance_insufficient"}
    answer = await provider.send(order())
    assert answer.outcome is not None
    assert (answer.outcome.kind, answer.outcome.note) == (
        PayoutOutcomeKind.FAILED,
        "Stripe refused it (balance_insufficient).",
    )
    # A question that is refused says nothing about the payout.
    assert (await provider.outcome(order())).knowledge is Knowledge.UNCERTAIN


@pytest.mark.parametrize(
    ("code", "minor", "sent"), [("USD", 993, 993), ("JPY", 993, 993), ("ISK", 993, 99_300)]
)
def test_amounts_as_stripe_writes_them(code: str, minor: int, sent: int) -> None:
    assert stripe_amount(order(currency=currency_of(code), amount_minor=minor)) == sent


def event(status: str, **more: Any) -> bytes:
    payout = {
        "id": "po_1",
        "status": status,
        "metadata": {"coffer_withdrawal": str(ID)},
        "trace_id": {"value": "T-1"},
        "failure_code": None,
    }
    message = {"id": "evt_1", "type": "payout.updated", "data": {"object": payout}}
    return json.dumps(message | more).encode()


def proof(body: bytes, secret: str = SECRET, at: datetime = NOW) -> list[tuple[str, str]]:
    header = WebhookSignature.generate_signature_header(body.decode(), secret, int(at.timestamp()))
    return [("stripe-signature", header)]


@pytest.mark.parametrize(
    ("status", "kind"),
    [("in_transit", "ACCEPTED"), ("paid", "PAID"), ("failed", "FAILED"), ("canceled", "FAILED")],
)
def test_its_events_are_translated(provider: StripeProvider, status: str, kind: str) -> None:
    body = event(status)
    told = provider.translate(proof(body), body, NOW)
    assert told is not None
    assert (told.external_id, told.withdrawal_id, told.provider_reference) == ("evt_1", ID, "po_1")
    assert (told.outcome.kind, told.outcome.payout_reference) == (kind, "T-1")


def test_other_events_are_nothing(provider: StripeProvider) -> None:
    body = event("paid", type="charge.succeeded")
    assert provider.translate(proof(body), body, NOW) is None


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("stripe-signature", "nonsense")],
        [("stripe-signature", "t=1,v1=00")],
        proof(event("paid"), "whsec_another"),
        proof(event("failed")),
        proof(event("paid"), at=NOW - timedelta(minutes=6)),
        proof(event("paid")) * 2,
    ],
)
def test_what_stripe_did_not_sign_is_turned_away(
    provider: StripeProvider, headers: list[tuple[str, str]]
) -> None:
    with pytest.raises(NotAuthentic):
        provider.translate(headers, event("paid"), NOW)


async def test_from_approved_to_paid(writer: Writer, clock: Clock, server: StripeServer) -> None:
    till = await Till(writer, clock).open()
    one = await till.approved(kind=PayoutMethodKind.PROVIDER)
    bank = await till.approved("bob")
    provider = StripeProvider("sk_test", webhook_secret=None, clock=clock, timeout_s=0.5, url=server.url)
    work = till.work(provider)
    server.silent = True
    assert await work.send_due() == 1
    assert ((await stands(one)).status, (await stands(bank)).status) == ("PROCESSING", "APPROVED")
    server.silent = False
    server.payouts["po_1"].update(status="paid", trace_id={"value": "T-9"})
    clock.move(minutes=2)
    await work.ask_due()
    found = await stands(one)
    assert (found.status, found.provider_reference, found.payout_reference) == ("PAID", "po_1", "T-9")
    assert (len(server.payouts), await balance("ada")) == (1, (9_000, 0))
    await provider.close()
