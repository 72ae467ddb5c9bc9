"""The example checkout: its page in a real browser, its back end in Node.js, and a real server behind them.

`COFFER_TEST_SCREENSHOTS` names a folder to keep pictures in.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
from playwright.async_api import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.main import create_app
from tests.browser import Visit, open_chromium, require_browser, serve
from tests.e2e.store import Store, store_settings, token, tokens_for
from tests.server import free_port
from tests.stores import STANDARD_SECRET

pytestmark = [pytest.mark.browser, pytest.mark.node, pytest.mark.slow]

STORE = Path(__file__).parent.parent.parent / "examples" / "checkout" / "store.mjs"
CUSTOMER = "zoe"

GIVE = """mutation ($input: AdjustBalanceInput!) {
  adjustBalance(input: $input) { userErrors { code } }
}"""
WALLET = """query ($by: WalletSelector!) {
  wallet(by: $by) { balance { amount } held { amount } buckets { bucket balance { amount } } }
}"""
ORDER = """query ($by: OrderSelector!) {
  order(by: $by) {
    status problem paymentState refundState leftToPay { amount } paidOtherwise { amount }
    payments { status authorized { amount } captured { amount } returned { amount } }
    refunds { storeRefundId amount { amount } toWallet { amount } toOthers { amount } }
  }
}"""
VERIFY = "{ verifyLedger { isClean faultCount } }"


@dataclass(slots=True)
class Losing:
    """Coffer behind a line that loses answers: what was asked is done, and the caller hears nothing of it."""

    app: ASGIApp
    to_lose: str = ""
    """Requests whose body has this word lose their answer."""
    times: int = 0
    asked: list[bytes] = field(default_factory=list)
    """The bodies that had the word."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, but for the answers to lose."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        request = await receive()
        body: bytes = request.get("body", b"")
        while request.get("more_body"):
            request = await receive()
            body += request.get("body", b"")
        told = False

        async def receive_again() -> Message:
            nonlocal told
            if told:
                return await receive()
            told = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def lose(message: Message) -> None:
            """Begin an answer that never ends: the connection breaks."""
            if message["type"] == "http.response.start":
                await send({"type": "http.response.start", "status": 200, "headers": []})

        lost = bool(self.to_lose) and self.to_lose.encode() in body
        if lost:
            self.asked.append(body)
            lost = self.times > 0
            self.times -= 1
        await self.app(scope, receive_again, lose if lost else send)


@dataclass(slots=True)
class Checkout:
    """A customer's visit to the checkout, the store that they pay, and Coffer."""

    visit: Visit
    coffer: Store
    line: Losing
    shop: str

    async def open(self) -> None:
        """Begin a checkout."""
        where = f"#endpoint={quote(self.coffer.url)}&token={quote(self.coffer.tokens['customer'])}"
        await self.visit.page.goto(f"{self.shop}/checkout/{where}")
        await self.says("#status", "Live")

    async def says(self, selector: str, words: str) -> None:
        """Wait until an element of the page shows a text."""
        await self.visit.page.locator(selector, has_text=words).first.wait_for(timeout=15_000)

    async def choose(self, amount: str | None, card: str = "4242") -> None:
        """Choose how much store credit (`None`: as much as there is) and which card, and go on to the review."""
        page = self.visit.page
        if amount is not None:
            await page.get_by_label("How much of it?").fill(amount)
        if await page.locator("#cards").is_visible():
            await page.locator("#cards label", has_text=card).click()
        await page.get_by_role("button", name="Continue to review").click()

    async def place(self) -> None:
        """Place the order."""
        await self.visit.page.get_by_role("button", name="Place order").click()

    async def give(self, amount: str, bucket: str = "CASH", *, direction: str = "CREDIT") -> None:
        """Let staff adjust the customer's balance."""
        given = {
            "wallet": {"storeCustomerId": CUSTOMER},
            "direction": direction,
            "amount": {"amount": amount, "currency": "USD"},
            "bucket": bucket,
            "reason": "GOODWILL",
            "note": "Parcel of order 48213 came nine days late",
            "idempotencyKey": f"{direction} {amount} {bucket}",
        }
        answer = await self.coffer.ask(GIVE, {"input": given}, caller="staff")
        assert answer["adjustBalance"]["userErrors"] == []

    async def wallet(self) -> tuple[str, str]:
        """What the customer has, and what of it is held."""
        found = await self.coffer.ask(WALLET, {"by": {"storeCustomerId": CUSTOMER}}, caller="staff")
        return found["wallet"]["balance"]["amount"], found["wallet"]["held"]["amount"]

    async def buckets(self) -> dict[str, str]:
        """What the customer has of each kind."""
        found = await self.coffer.ask(WALLET, {"by": {"storeCustomerId": CUSTOMER}}, caller="staff")
        return {row["bucket"]: row["balance"]["amount"] for row in found["wallet"]["buckets"]}

    @property
    def order_id(self) -> str:
        """The order that the page shows."""
        return self.visit.page.url.partition("order=")[2].partition("&")[0]

    async def order(self) -> Any:
        """What Coffer knows of the order."""
        by = {"storeOrder": {"source": "example", "externalId": self.order_id}}
        return (await self.coffer.ask(ORDER, {"by": by}, caller="staff"))["order"]

    async def until(self, **wanted: str) -> Any:
        """Wait until Coffer has followed the store's message, and return the order."""
        found = None
        for _ in range(300):
            found = await self.order()
            if found is not None and {name: found[name] for name in wanted} == wanted:
                return found
            await asyncio.sleep(0.05)
        raise AssertionError(found)

    async def ask_shop(self, path: str, body: Any, *, caller: str = "staff") -> httpx.Response:
        """Ask the store's back end about the order, as the customer or as staff."""
        headers = {"authorization": f"Bearer {self.coffer.tokens[caller]}"}
        async with httpx.AsyncClient(headers=headers, timeout=30) as client:
            return await client.post(f"{self.shop}/api/orders/{self.order_id}/{path}", json=body)

    async def refund(self, name: str, amount: str, *, caller: str = "staff") -> httpx.Response:
        """Ask the store to refund a part."""
        given = {"id": name, "amount": amount, "note": f"One cup arrived broken, photo in ticket {name}"}
        return await self.ask_shop("refunds", given, caller=caller)

    async def picture(self, name: str) -> None:
        """Keep pictures of the page, wide and narrow, if somebody wants to see them."""
        if folder := os.environ.get("COFFER_TEST_SCREENSHOTS"):
            page = self.visit.page
            wide = page.viewport_size
            await page.screenshot(path=Path(folder) / f"checkout-{name}.png", full_page=True)
            await page.set_viewport_size({"width": 390, "height": 844})
            await page.screenshot(path=Path(folder) / f"checkout-{name}-phone.png", full_page=True)
            if wide:
                await page.set_viewport_size(wide)

    def assert_quiet(self, *, refusals: int = 0) -> None:
        """Nothing was complained about (but for the store's refusals, which a browser notes), and nobody else was asked."""
        noted = [problem for problem in self.visit.problems if "Failed to load resource" in problem]
        assert [problem for problem in self.visit.problems if problem not in noted] == []
        assert len(noted) == refusals, noted
        hosts = {urlsplit(url).netloc for url in self.visit.requests if not url.startswith("data:")}
        assert hosts == {urlsplit(self.shop).netloc, urlsplit(self.coffer.origin).netloc}


@asynccontextmanager
async def open_checkout(
    node: str, database_url: str, *, credit: str = "40.00", color_scheme: str = "light", phone: bool = False
) -> AsyncIterator[Checkout]:
    """Start Coffer, the store's back end and a browser; at the end, the ledger must be clean."""
    require_browser()
    port = free_port()
    shop = f"http://127.0.0.1:{port}"
    tokens = tokens_for(CUSTOMER) | {"service": token("example-store", "service")}
    settings = store_settings(database_url, cors_origins=(shop,), standard_webhook_secrets=STANDARD_SECRET)
    line = Losing(create_app(settings))
    async with (
        serve(line) as origin,
        _running(node, origin, tokens["service"], port),
        open_chromium(color_scheme=color_scheme) as visit,
    ):
        if phone:
            await visit.page.set_viewport_size({"width": 390, "height": 844})
        checkout = Checkout(visit, Store(origin, tokens), line, shop)
        await checkout.give(credit)
        yield checkout
        verified = await checkout.coffer.ask(VERIFY, caller="administrator")
        assert verified["verifyLedger"] == {"isClean": True, "faultCount": 0}


@asynccontextmanager
async def _running(node: str, coffer: str, service_token: str, port: int) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        node,
        str(STORE),
        env={
            "COFFER_URL": coffer,
            "COFFER_SERVICE_TOKEN": service_token,
            "COFFER_WEBHOOK_SECRET": STANDARD_SECRET,
            "PORT": str(port),
        },
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert b"/checkout/" in await asyncio.wait_for(process.stdout.readline(), 20)
        yield
    finally:
        process.terminate()
        await process.wait()


async def test_store_credit_pays_all_of_it(node: str, database_url: str) -> None:
    async with open_checkout(node, database_url, credit="100.00") as checkout:
        await checkout.open()
        await checkout.says("#available", "$100.00")
        await checkout.says("#covered", "No card is needed")
        await checkout.picture("covered")
        await checkout.choose(None)
        await checkout.says("#split", "$67.80")
        assert await checkout.wallet() == ("100.00", "67.80")
        await checkout.place()
        await checkout.says("#done-title", "is placed")
        await checkout.says("#state", "Paid")
        await checkout.says("#history", "\N{MINUS SIGN}$67.80")
        order = await checkout.until(status="PAID", paymentState="PAID")
        assert await checkout.wallet() == ("32.20", "0.00")
        assert order["paidOtherwise"]["amount"] == "0.00"
        await checkout.picture("covered-done")
        checkout.assert_quiet()


async def test_store_credit_and_a_card_after_going_back(node: str, database_url: str) -> None:
    async with open_checkout(node, database_url) as checkout:
        page = checkout.visit.page
        await checkout.open()
        await checkout.says("#available", "$40.00")
        await checkout.give("5.50", "PROMO")
        await checkout.says("#available", "$45.50")  # told live
        await checkout.says("#amount-help", "Your card pays the rest: $22.30")
        await checkout.picture("pay")

        await checkout.choose("60.00")
        await checkout.says("#amount-refusal", "Only 45.50 USD is available")
        await checkout.picture("refusal")
        await checkout.choose("30.00")
        await checkout.says("#split", "$37.80")
        assert await checkout.wallet() == ("45.50", "30.00")
        await checkout.picture("review")

        await page.go_back()  # the browser's own button; what is held is counted as usable here
        await checkout.says("#available", "$45.50")
        await checkout.choose("12.00")
        await checkout.says("#split", "$55.80")
        assert await checkout.wallet() == ("45.50", "12.00")  # not 42.00
        await page.reload()
        await checkout.says("#split", "$55.80")  # found again

        button = page.get_by_role("button", name="Place order")
        await button.dblclick()
        await checkout.says("#done-title", "is placed")
        order = await checkout.until(status="PAID", paymentState="PAID")
        assert [row["status"] for row in order["payments"]] == ["VOIDED", "CAPTURED"]
        assert order["paidOtherwise"]["amount"] == "55.80"
        # The bonus, which would be drawn first, and the rest in cash.
        assert await checkout.buckets() == {"CASH": "33.50"}
        await checkout.says("#paid", "$55.80")
        await checkout.says("#state", "Paid")
        await checkout.picture("done")
        checkout.assert_quiet()


async def test_a_declined_card_gives_the_credit_back(node: str, database_url: str) -> None:
    async with open_checkout(node, database_url, phone=True) as checkout:
        await checkout.open()
        await checkout.choose(None, card="0002")
        await checkout.says("#split", "$40.00")
        await checkout.place()
        await checkout.says("#problem", "Your card was declined. Your store credit is yours again")
        assert await checkout.wallet() == ("40.00", "0.00")
        await checkout.says("#available", "$40.00")
        await checkout.picture("declined")

        # Stopped by the bank after the wallet was captured: the order failed, and all of it comes back.
        await checkout.choose(None, card="0341")
        await checkout.place()
        await checkout.says("#problem", "Your bank stopped the payment. Your store credit is yours again")
        await checkout.until(status="FAILED", paymentState="RETURNED")
        await checkout.says("#available", "$40.00")
        assert await checkout.wallet() == ("40.00", "0.00")

        await checkout.choose(None, card="4242")
        await checkout.says("#split", "$40.00")
        assert await checkout.wallet() == ("40.00", "40.00")
        await checkout.place()
        await checkout.says("#done-title", "is placed")
        await checkout.until(status="PAID", paymentState="PAID")
        assert await checkout.wallet() == ("0.00", "0.00")
        checkout.assert_quiet(refusals=2)


async def test_what_happened_elsewhere_is_refused_in_words(node: str, database_url: str) -> None:
    async with open_checkout(node, database_url) as checkout:
        await checkout.open()
        await checkout.choose("25.00")
        await checkout.says("#split", "$25.00")
        mine = (await checkout.order())["payments"]
        assert [row["status"] for row in mine] == ["AUTHORIZED"]

        # The same checkout in a second tab holds another amount: what the first one shows is held no more.
        other = await checkout.visit.page.context.new_page()
        await other.add_init_script(
            f"sessionStorage.setItem('coffer-token', {checkout.coffer.tokens['customer']!r})"
        )
        await other.goto(
            f"{checkout.shop}/checkout/?order={checkout.order_id}&step=pay#endpoint={quote(checkout.coffer.url)}"
        )
        await other.get_by_label("How much of it?").fill("10.00")
        await other.get_by_role("button", name="Continue to review").click()
        await other.locator("#split", has_text="$10.00").wait_for()
        await checkout.says("#split", "$10.00")  # the first one follows it live
        stale = {"paymentId": await _voided_payment(checkout), "card": "good"}
        answer = await checkout.ask_shop("place", stale, caller="customer")
        assert (answer.status_code, answer.json()["code"]) == (409, "PAYMENT_NOT_OPEN")
        assert "nothing is held for it any more" in answer.json()["message"]
        assert await checkout.wallet() == ("40.00", "10.00")
        checkout.assert_quiet()


async def _voided_payment(checkout: Checkout) -> str:
    found = await checkout.coffer.ask(
        "{ payments(first: 1, statuses: [VOIDED]) { nodes { id } } }", caller="staff"
    )
    return str(found["payments"]["nodes"][0]["id"])


@pytest.mark.parametrize("times", [1, 4])
async def test_a_lost_answer_is_asked_for_again(node: str, database_url: str, times: int) -> None:
    """Lost once, the store asks again by itself; lost until it gives up, the customer does, with the same key."""
    async with open_checkout(node, database_url) as checkout:
        await checkout.open()
        await checkout.choose(None)
        await checkout.says("#split", "$40.00")
        checkout.line.to_lose, checkout.line.times = "capturePayment(", times
        await checkout.place()
        if times > 1:
            await checkout.says("#problem", "did not answer in time")
            assert await checkout.wallet() == ("0.00", "0.00")  # captured, and nobody heard of it
            await checkout.visit.page.reload()
            await checkout.says("#split", "$40.00")
            await checkout.says("#held-until", "it counts once")
            await checkout.picture("unanswered")
            await checkout.place()
        await checkout.says("#done-title", "is placed")
        await checkout.until(status="PAID", paymentState="PAID")
        assert len(checkout.line.asked) == times + 1
        assert len(set(checkout.line.asked)) == 1  # to the letter, with its key
        assert await checkout.wallet() == ("0.00", "0.00")
        checkout.assert_quiet(refusals=int(times > 1))


async def test_a_cancelled_order_gives_all_back(node: str, database_url: str) -> None:
    async with open_checkout(node, database_url, color_scheme="dark") as checkout:
        await checkout.open()
        await checkout.give("5.50", "GIFT_CARD")
        await checkout.says("#available", "$45.50")
        await checkout.choose(None)
        await checkout.place()
        await checkout.says("#state", "Paid")
        await checkout.until(status="PAID", paymentState="PAID")
        assert await checkout.wallet() == ("0.00", "0.00")
        await checkout.visit.page.get_by_role("button", name="Cancel order").dblclick()
        await checkout.says("#done-title", "is cancelled")
        await checkout.says("#state", "Paid back")
        await checkout.says("#history", "+$45.50")
        await checkout.says("#paid", "Given back to your store credit")
        order = await checkout.order()
        assert (order["status"], order["problem"]) == ("CANCELLED", None)
        assert await checkout.buckets() == {"CASH": "40.00", "GIFT_CARD": "5.50"}
        await checkout.picture("cancelled-dark")
        checkout.assert_quiet()


async def test_an_answer_that_was_overtaken_is_let_go(node: str, database_url: str) -> None:
    held, let_go, arrived = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        """Keep back what Coffer says of the order at that moment."""
        if "paymentState" not in (route.request.post_data or "") or held.is_set():
            await route.continue_()
            return
        answer = await route.fetch()
        held.set()
        await let_go.wait()
        await route.fulfill(response=answer)
        arrived.set()

    async with open_checkout(node, database_url) as checkout:
        await checkout.open()
        await checkout.choose("33.90")
        await checkout.says("#title", "Review your order")
        page = checkout.visit.page
        await page.route("**/graphql", hold)
        await checkout.give("1.00")  # a live update, for which the page looks at its order
        await asyncio.wait_for(held.wait(), 15)
        await checkout.place()
        await checkout.says("#state", "Paid")
        await checkout.until(status="PAID", paymentState="PAID")
        await page.wait_for_timeout(1_000)  # until no other look is on its way that would mend it
        let_go.set()
        await asyncio.wait_for(arrived.wait(), 15)
        await page.wait_for_timeout(300)
        assert await page.locator("#done").is_visible()
        assert await page.locator("#review").is_hidden()
        checkout.assert_quiet()


async def test_a_refund_in_two_parts(node: str, database_url: str) -> None:
    async with open_checkout(node, database_url) as checkout:
        await checkout.open()
        await checkout.choose("33.90")  # half of it
        await checkout.place()
        await checkout.says("#state", "Paid")
        await checkout.until(status="PAID", paymentState="PAID")
        assert (await checkout.refund("r-1", "14.00", caller="customer")).status_code == 403

        first = await checkout.refund("r-1", "14.00")
        again = await checkout.refund("r-1", "14.00")
        assert (first.status_code, first.json()) == (200, again.json())
        await checkout.says("#history", "ticket r-1")  # on the page, live
        order = await checkout.until(refundState="PARTIALLY_REFUNDED")
        too_much = await checkout.refund("r-2", "53.81")
        assert (too_much.status_code, too_much.json()["code"]) == (409, "REFUND_EXCEEDED")
        rest = await checkout.refund("r-3", "53.80")
        assert rest.status_code == 200, rest.text
        await checkout.says("#state", "Refunded")
        order = await checkout.until(status="REFUNDED", refundState="REFUNDED")
        refunds = {row["storeRefundId"]: row for row in order["refunds"]}
        assert set(refunds) == {"r-1", "r-3"}
        to_wallet = sum(float(row["toWallet"]["amount"]) for row in refunds.values())
        to_card = sum(float(row["toOthers"]["amount"]) for row in refunds.values())
        assert (to_wallet, to_card) == (33.9, 33.9)
        assert rest.json()["card"]["amount"] == "0.00"
        assert await checkout.wallet() == ("40.00", "0.00")
        await checkout.picture("refunded")
        checkout.assert_quiet()
