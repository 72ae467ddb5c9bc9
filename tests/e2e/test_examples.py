"""The pages under examples/ in a real browser, served from another origin than the API, as in a real shop.

`COFFER_TEST_SCREENSHOTS` names a folder to keep pictures in.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from tests.browser import Visit, open_chromium, require_browser, serve
from tests.e2e.store import Store, open_store
from tests.stores import STANDARD_SECRET, standard_headers, standard_order

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EXAMPLES = Path(__file__).parent.parent.parent / "examples"

ADJUST = """mutation Adjust($input: AdjustBalanceInput!) {
  adjustBalance(input: $input) { transaction { reference } userErrors { code } }
}"""
AUTHORIZE = """mutation Authorize($input: AuthorizePaymentInput!) {
  authorizePayment(input: $input) { payment { id } userErrors { code } }
}"""
ANNOUNCE = """mutation Announce($input: AnnounceRenewalInput!) {
  announceRenewal(input: $input) { userErrors { code } }
}"""
RECORD = """mutation Record($input: RecordOrderInput!) {
  recordOrder(input: $input) { userErrors { code } }
}"""
FAILED = "{ webhookDeliveries(filter: {statuses: [DEAD]}) { totalCount } }"
REPLAYS = "{ auditEntries(filter: {actions: [REPLAY_WEBHOOKS]}) { totalCount } }"
AVAILABLE = '{ wallet(by: {storeCustomerId: "demo-customer"}) { available { amount } held { amount } withdrawable { amount } } }'


@dataclass(slots=True)
class Shop:
    """A browser's visit to one example, and the store behind it."""

    visit: Visit
    store: Store
    pages: str

    async def open(self, example: str, caller: str) -> None:
        """Open an example as one of the callers."""
        token = self.store.tokens[caller]
        await self.visit.page.goto(
            f"{self.pages}/{example}/#endpoint={quote(self.store.url)}&token={quote(token)}"
        )

    async def adjust(self, direction: str, amount: str, note: str, key: str) -> None:
        """Let staff adjust the demo customer's balance elsewhere."""
        given = {
            "wallet": {"storeCustomerId": "demo-customer"},
            "direction": direction,
            "amount": {"amount": amount, "currency": "USD"},
            "reason": "GOODWILL",
            "note": note,
            "idempotencyKey": key,
        }
        answer = await self.store.ask(ADJUST, {"input": given}, caller="staff")
        assert answer["adjustBalance"]["userErrors"] == []

    async def authorize(self, number: str, amount: str) -> str:
        """Let the customer authorize a payment of an order elsewhere."""
        given = {
            "order": {
                "source": "shop",
                "externalId": number,
                "total": {"amount": "80.00", "currency": "USD"},
            },
            "amount": {"amount": amount, "currency": "USD"},
            "idempotencyKey": f"authorize-{number}",
        }
        answer = await self.store.ask(AUTHORIZE, {"input": given}, caller="customer")
        assert answer["authorizePayment"]["userErrors"] == []
        return str(answer["authorizePayment"]["payment"]["id"])

    async def until_failed(self) -> None:
        """Wait until a message of the store was given up."""
        for _ in range(300):
            found = await self.store.ask(FAILED, caller="staff")
            if found["webhookDeliveries"]["totalCount"]:
                return
            await asyncio.sleep(0.05)
        raise AssertionError("no message failed")

    async def replays(self) -> int:
        """How often messages were worked on again by staff."""
        found = await self.store.ask(REPLAYS, caller="staff")
        return int(found["auditEntries"]["totalCount"])

    async def wallet(self) -> Any:
        """What the demo's customer has, by the API."""
        return (await self.store.ask(AVAILABLE, caller="staff"))["wallet"]

    async def says(self, selector: str, text: str) -> None:
        """Wait until an element of the page shows a text."""
        await self.visit.page.locator(selector, has_text=text).first.wait_for(timeout=10_000)

    async def picture(self, name: str) -> None:
        """Keep a picture, if somebody wants to see it."""
        if folder := os.environ.get("COFFER_TEST_SCREENSHOTS"):
            await self.visit.page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)

    def assert_quiet(self) -> None:
        """Nothing was complained about, and nobody else was asked for anything."""
        assert self.visit.problems == []
        hosts = {urlsplit(url).netloc for url in self.visit.requests if not url.startswith("data:")}
        assert hosts == {urlsplit(self.pages).netloc, urlsplit(self.store.origin).netloc}


@asynccontextmanager
async def open_shop(database_url: str, *, color_scheme: str = "light") -> AsyncIterator[Shop]:
    """Serve the examples from one origin and a store, which allows that origin, from another."""
    require_browser()
    static = Starlette(routes=[Mount("/", StaticFiles(directory=EXAMPLES, html=True))])
    async with (
        serve(static) as pages,
        open_store(database_url, cors_origins=(pages,), standard_webhook_secrets=STANDARD_SECRET) as store,
        open_chromium(color_scheme=color_scheme) as visit,
    ):
        yield Shop(visit, store, pages)


def dollars(amount: str) -> str:
    """An amount as the pages show it."""
    return f"${float(amount):,.2f}"


async def test_storefront(demo_database_url: str) -> None:
    async with open_shop(demo_database_url) as shop:
        page = shop.visit.page
        before = await shop.wallet()
        await shop.open("storefront", "customer")
        await shop.says("#status", "Live")
        await shop.says("#available", dollars(before["available"]["amount"]))
        await shop.says("#greeting", "Nora Lindqvist")
        assert "token" not in page.url
        await shop.picture("storefront")

        await shop.adjust("CREDIT", "12.50", "One cup of order 48213 arrived broken", "page-1")
        await shop.says("#history li:first-child", "One cup of order 48213 arrived broken")
        await shop.says("#available", dollars(str(float(before["available"]["amount"]) + 12.5)))

        rows = await page.locator("#history li").count()
        await page.get_by_role("button", name="Show more").click()
        await page.locator(f"#history li:nth-child({rows + 1})").wait_for()

        await page.get_by_role("button", name="Withdraw", exact=True).click()
        await page.get_by_label("Amount").fill("99999.00")
        await page.get_by_role("button", name="Request").click()
        await shop.says("#amount-refusal", "can be withdrawn")
        await shop.picture("storefront-refusal")
        await page.get_by_label("Amount").fill("40.00")
        await page.get_by_role("button", name="Request").click()
        await shop.says("#pending", "$40.00")
        held = float(before["held"]["amount"])
        await shop.says("#held", f"{dollars(str(held + 40))} more is held")
        assert float((await shop.wallet())["withdrawable"]["amount"]) == (
            float(before["withdrawable"]["amount"]) + 12.5 - 40
        )

        await page.locator("#pending li", has_text="$40.00").get_by_role("button", name="Take back").click()
        await shop.says("#held", f"{dollars(str(held))} more is held")
        shop.assert_quiet()


async def test_storefront_shows_what_orders_hold_and_what_renews(demo_database_url: str) -> None:
    async with open_shop(demo_database_url) as shop:
        before = await shop.wallet()
        await shop.open("storefront", "customer")
        await shop.says("#status", "Live")
        announced = {
            "wallet": {"storeCustomerId": "demo-customer"},
            "source": "shop",
            "subscription": "S-7",
            "amount": {"amount": "9000.00", "currency": "USD"},
            "dueAt": "2099-12-24T00:00:00Z",
            "description": "Coffee of the month",
        }
        await shop.store.ask(ANNOUNCE, {"input": announced}, caller="staff")
        await shop.authorize("1042", "60.00")
        await shop.says("#orders", "Held for order 1042")
        await shop.says("#orders", "$60.00")
        await shop.says("#renewals", "Coffee of the month")
        await shop.says("#renewals", "is missing")
        await shop.says("#held", f"{dollars(str(float(before['held']['amount']) + 60))} more is held")
        await shop.picture("storefront-orders")
        await shop.visit.page.set_viewport_size({"width": 390, "height": 844})
        await shop.picture("storefront-orders-phone")
        shop.assert_quiet()


async def test_storefront_catches_up_after_a_lost_connection(demo_database_url: str) -> None:
    async with open_shop(demo_database_url, color_scheme="dark") as shop:
        page = shop.visit.page
        # The page's sockets are kept in reach, so that the test can cut them.
        await page.add_init_script(
            "const Real = WebSocket; window.sockets = [];"
            "window.WebSocket = class extends Real { constructor(...a) { super(...a); sockets.push(this); } };"
        )
        await shop.open("storefront", "customer")
        await shop.says("#status", "Live")

        await page.evaluate("sockets.at(-1).close(4000)")
        await shop.says("#status", "Reconnecting")
        await shop.adjust("CREDIT", "1.00", "First thing that the page missed", "missed-1")
        await shop.adjust("CREDIT", "2.00", "Second thing that the page missed", "missed-2")
        await shop.says("#history li:nth-child(1)", "Second thing that the page missed")
        await shop.says("#history li:nth-child(2)", "First thing that the page missed")
        await shop.says("#status", "Live")
        assert await page.locator("#history li", has_text="thing that the page missed").count() == 2
        await shop.picture("storefront-dark")
        shop.assert_quiet()


async def test_a_wallet_that_went_back_is_followed_from_where_it_is(demo_database_url: str) -> None:
    async with open_shop(demo_database_url) as shop:
        await shop.open("storefront", "customer")
        await shop.says("#status", "Live")
        update = await shop.visit.page.evaluate(
            """async ([endpoint, token, afterSequence]) => {
              const { connect } = await import("/coffer.js");
              return new Promise((next, error) =>
                connect({ endpoint, token }).watchWallet({ storeCustomerId: "demo-customer" }, { afterSequence, next, error }));
            }""",
            [shop.store.url, shop.store.tokens["customer"], "999999"],
        )
        assert update["kind"] == "SNAPSHOT"
        assert update["wallet"]["available"]["amount"] == (await shop.wallet())["available"]["amount"]
        assert int(update["sequence"]) < 999999


async def test_admin(demo_database_url: str) -> None:
    async with open_shop(demo_database_url) as shop:
        page = shop.visit.page
        await shop.open("admin", "staff")
        await shop.says("#count", "200 wallets")
        await page.get_by_label("Find a customer").fill("LINDQ nora")
        await shop.says("#count", "1 wallet")
        await page.get_by_role("button", name="Nora Lindqvist").click()
        await shop.says("#status", "Live")
        await shop.says("#contact", "nora.lindqvist@example.com")
        before = await shop.wallet()
        await shop.says("#tiles", dollars(before["available"]["amount"]))
        await shop.picture("admin")

        form = page.locator("#adjust")
        await form.get_by_label("Amount").fill("12.50")
        await form.get_by_label("Note").fill("refund for the customer")
        await form.get_by_role("button", name="Adjust").click()
        await shop.says("#note-refusal", "does not say why")
        await form.get_by_text("Debit").click()
        await form.get_by_label("Amount").fill("99999.00")
        await form.get_by_label("Note").fill("Bank reversed the card payment behind the top-up, case 8812")
        await form.get_by_role("button", name="Adjust").click()
        await shop.says("#amount-refusal", "is available")
        await shop.picture("admin-refusal")
        await form.get_by_label("Amount").fill("12.50")
        await form.get_by_role("button", name="Adjust").click()
        await shop.says("#done", "Done: \N{MINUS SIGN}$12.50, reference TX-")
        await shop.says("#history li:first-child", "Bank reversed the card payment")
        await shop.says("#tiles", dollars(str(float(before["available"]["amount"]) - 12.5)))

        await page.locator("#history li").first.get_by_role("button", name="Correct").click()
        await form.get_by_label("Amount").fill("2.50")
        await form.get_by_label("Note").fill("Bank kept 2.50 of it, so that much goes back to the customer")
        await shop.picture("admin-correction")
        await form.get_by_role("button", name="Adjust").click()
        await shop.says("#done", "Done: +$2.50")
        await shop.picture("admin-done")
        shop.assert_quiet()


async def test_admin_refunds_orders(demo_database_url: str) -> None:
    async with open_shop(demo_database_url) as shop:
        page = shop.visit.page
        await shop.authorize("1042", "60.00")
        paid = {
            "source": "shop",
            "externalId": "1042",
            "modifiedAt": datetime.now(UTC).isoformat(),
            "status": "PAID",
            "currency": "USD",
            "total": "80.00",
            "paidOtherwise": "20.00",
            "customer": {"storeCustomerId": "demo-customer"},
        }
        recorded = await shop.store.ask(RECORD, {"input": paid}, caller="staff")
        assert recorded["recordOrder"]["userErrors"] == []
        await shop.authorize("1043", "25.00")
        await shop.open("admin", "staff")
        await page.get_by_label("Find a customer").fill("LINDQ nora")
        await page.get_by_role("button", name="Nora Lindqvist").click()
        await shop.says("#orders", "Order 1042")
        await shop.says("#orders", "Held")

        await page.get_by_role("button", name="Refund order 1042").click()
        dialog = page.locator("#refund")
        await dialog.get_by_label("Amount to refund").fill("80.01")
        await dialog.get_by_label("Why it is refunded").fill("refund")
        await dialog.get_by_role("button", name="Refund", exact=True).click()
        await dialog.locator("[aria-invalid=true]").first.wait_for()
        await shop.picture("admin-refund")
        await dialog.get_by_label("Amount to refund").fill("20.00")
        await dialog.get_by_label("Why it is refunded").fill(
            "One of the four cups arrived broken, photo in the ticket"
        )
        await dialog.get_by_role("button", name="Refund", exact=True).click()
        await shop.says("#refunded", "Refunded $20.00, reference RF-")
        await shop.says("#refunded", "Send $5.00 of it to the other payment method.")
        await shop.says("#orders", "$15.00 to the wallet, $5.00 to other methods")
        await shop.says("#history li:first-child", "+$15.00")
        await shop.picture("admin-orders")
        await page.set_viewport_size({"width": 390, "height": 844})
        await shop.picture("admin-orders-phone")
        shop.assert_quiet()


async def test_admin_replays_what_failed(demo_database_url: str) -> None:
    async with open_shop(demo_database_url) as shop:
        page = shop.visit.page
        body = json.dumps(standard_order(total="fifty-nine")).encode()
        async with httpx.AsyncClient(timeout=60) as client:
            headers = dict(standard_headers(body, at=datetime.now(UTC)))
            answer = await client.post(
                f"{shop.store.origin}/webhooks/standard", content=body, headers=headers
            )
        assert answer.is_success
        await shop.until_failed()
        await shop.open("admin", "staff")
        await page.get_by_role("button", name="1 message of the store failed").click()
        await shop.says("#deliveries", "order.recorded")
        await shop.says("#deliveries .refusal", "total")
        await shop.picture("admin-deliveries")
        replayed = page.get_by_role("button", name="Replay order.recorded")
        await replayed.click()
        await page.locator("#deliveries button[disabled]").wait_for()
        await page.locator(
            "#deliveries-list button:not([disabled])"
        ).wait_for()  # looked at again, and it is as bad as before
        assert await shop.replays() == 1
        shop.assert_quiet()


async def test_balance_widget(demo_database_url: str) -> None:
    async with open_shop(demo_database_url) as shop:
        page = shop.visit.page
        await shop.open("balance-widget", "customer")
        before = await shop.wallet()
        shown = page.locator("coffer-balance.pill")
        await shop.says("coffer-balance.pill", dollars(before["available"]["amount"]))
        await shop.says("coffer-balance[show=withdrawable]", dollars(before["withdrawable"]["amount"]))
        await page.evaluate("addEventListener('coffer-update', ({ detail }) => (window.told = detail))")

        await shop.adjust("CREDIT", "7.25", "Parcel of order 48213 came nine days late", "widget-1")
        await shop.says("coffer-balance.pill", dollars(str(float(before["available"]["amount"]) + 7.25)))
        await shop.says("coffer-balance.pill", "+$7.25")
        assert await page.evaluate("told.transaction.note") == "Parcel of order 48213 came nine days late"
        await page.wait_for_timeout(400)
        await shop.picture("widget")

        await shown.evaluate("(widget) => widget.setAttribute('show', 'balance')")
        await shop.says(
            "coffer-balance.pill",
            dollars(str(sum(float(before[name]["amount"]) for name in ("available", "held")) + 7.25)),
        )
        shop.assert_quiet()


async def test_pages_ask_for_a_token_when_there_is_none(demo_database_url: str) -> None:
    async with open_shop(demo_database_url) as shop:
        page = shop.visit.page
        await page.goto(f"{shop.pages}/storefront/")
        await shop.says("h1", "Sign in")
        await shop.picture("sign-in")
        await page.get_by_label("Server").fill(shop.store.url)
        await page.get_by_label("Token").fill(shop.store.tokens["customer"])
        await page.get_by_role("button", name="Continue").click()
        await shop.says("#status", "Live")
        shop.assert_quiet()
