"""Two servers work on the same messages at once: each is worked on once, whoever kept it."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

import httpx
import pytest

from app.db import open_database
from app.models.customer import Customer
from app.models.delivery import Delivery
from app.models.wallet import Wallet
from tests.databases import settings_for
from tests.server import ServerProcess, start_together
from tests.stores import (
    WOOCOMMERCE_SECRET,
    body_of,
    woocommerce_customer,
    woocommerce_headers,
    woocommerce_product,
)

MESSAGES = 150


@pytest.fixture(params=[pytest.param("postgres", marks=pytest.mark.postgres)])
def dialect(request: pytest.FixtureRequest) -> str:
    """SQLite serves one process."""
    return str(request.param)


async def send(urls: Sequence[str], topic: str, messages: Sequence[object]) -> list[int]:
    """Send messages, in turn to each server, and return the answers' statuses."""
    async with httpx.AsyncClient(timeout=30) as client:

        async def one(number: int, message: object) -> int:
            body = body_of(message)
            headers = woocommerce_headers(body, topic=topic)
            url = f"{urls[number % len(urls)]}/webhooks/woocommerce"
            return (await client.post(url, content=body, headers=headers)).status_code

        return list(await asyncio.gather(*(one(number, message) for number, message in enumerate(messages))))


async def worked_off() -> list[Delivery]:
    """All deliveries, once nothing waits any more."""
    async with asyncio.timeout(60):
        while await Delivery.filter(next_attempt_at__isnull=False).exists():  # noqa: ASYNC110 — another process does it
            await asyncio.sleep(0.05)
    return list(await Delivery.all())


async def test_each_is_worked_on_once(database_url: str, server_on: Callable[..., ServerProcess]) -> None:
    options = {
        "woocommerce_webhook_secret": WOOCOMMERCE_SECRET,
        # All of them look for the same all the time.
        "deliveries_interval_s": 0.05,
        "deliveries_at_once": 8,
    }
    servers = [server_on(database_url, start=False, **options) for _ in range(2)]
    await asyncio.to_thread(start_together, servers)
    customers = [woocommerce_customer(number) for number in range(MESSAGES)]
    statuses = await send([server.url for server in servers], "customer.created", customers)
    assert statuses == [200] * MESSAGES
    async with open_database(settings_for(database_url)):
        deliveries = await worked_off()
        assert Counter((one.status, one.attempts) for one in deliveries) == {("DONE", 1): MESSAGES}
        assert await Customer.all().count() == await Wallet.all().count() == MESSAGES
    assert [line for server in servers for line in server.errors()] == []


async def test_the_same_message_to_both_is_kept_once(
    database_url: str, server_on: Callable[..., ServerProcess]
) -> None:
    servers = [
        server_on(database_url, start=False, woocommerce_webhook_secret=WOOCOMMERCE_SECRET) for _ in range(2)
    ]
    await asyncio.to_thread(start_together, servers)
    products = [woocommerce_product(number // 4) for number in range(80)]
    # Neighbours go to different servers: the same message reaches both at the same time, twice each.
    statuses = await send([server.url for server in servers], "product.updated", products)
    assert statuses == [200] * len(products)
    async with open_database(settings_for(database_url)):
        deliveries = await worked_off()
        assert {(one.status, one.attempts, one.repeats) for one in deliveries} == {("DONE", 1, 3)}
        assert len(deliveries) == 20
    assert [line for server in servers for line in server.errors()] == []
