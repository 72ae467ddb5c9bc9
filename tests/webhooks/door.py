"""A server whose doors are open, called from an address."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.applications import Starlette

from app.main import create_app
from app.models.delivery import Delivery, DeliveryBody
from app.settings import Settings
from tests.databases import settings_for
from tests.stores import SHOPIFY_SECRET, STANDARD_SECRET, WOOCOMMERCE_SECRET

JWT_SECRET = "0123456789abcdef0123456789abcdef"
OPEN: dict[str, Any] = {
    "jwt_secret": JWT_SECRET,
    "woocommerce_webhook_secret": WOOCOMMERCE_SECRET,
    "shopify_webhook_secret": SHOPIFY_SECRET,
    "standard_webhook_secrets": STANDARD_SECRET,
    # What comes in stays as it came in, so that it can be looked at.
    "deliveries_at_once": 0,
}

Headers = Sequence[tuple[str, str]]


@asynccontextmanager
async def opened(
    database_url: str, *, client: str = "127.0.0.1", **more: Any
) -> AsyncIterator[tuple[Starlette, httpx.AsyncClient]]:
    """Run an application's lifespan, and a client that calls it from an address."""
    settings: Settings = settings_for(database_url, **{**OPEN, **more})
    app = create_app(settings)
    transport = httpx.ASGITransport(app, client=(client, 5000), raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://wallet") as caller,
    ):
        yield app, caller


async def send(caller: httpx.AsyncClient, door: str, body: bytes, headers: Headers) -> httpx.Response:
    """Send a message to a door."""
    return await caller.post(f"/webhooks/{door}", content=body, headers=list(headers))


async def kept() -> list[Delivery]:
    """All deliveries, oldest first."""
    return list(await Delivery.all().order_by("received_at", "id"))


async def body_kept(delivery: Delivery) -> bytes:
    """The body of a delivery."""
    return bytes((await DeliveryBody.get(delivery_id=delivery.id)).body)
