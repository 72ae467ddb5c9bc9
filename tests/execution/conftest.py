"""A shop, served by uvicorn on a free port of this very loop."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn

from app.front import Front
from tests.entrance import EntranceTransport
from tests.execution.shop import Shop

OWN, UVICORNS = "app.sockets:SocketProtocol", "websockets-sansio"
"""The websockets of this program, and those of uvicorn, which know no wire."""


@asynccontextmanager
async def serving(shop: Shop, *, sockets: str = OWN) -> AsyncIterator[str]:
    """Serve the shop while the block runs; the value is its address without the scheme."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        shop.app, log_config=None, lifespan="off", http="app.serving:BoundedProtocol", ws=sockets
    )
    server = uvicorn.Server(config)
    # The parts of `serve` without its signals and without its ticking, which would cost each test a tenth of a second.
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}/graphql"
    finally:
        await shop.endpoint.drain()
        await server.shutdown(sockets=[listener])


@pytest.fixture
def shop() -> Shop:
    """A shop with the endpoint's own defaults."""
    return Shop.open()


@pytest.fixture(params=[OWN, UVICORNS])
async def address(shop: Shop, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """Where the shop listens."""
    async with serving(shop, sockets=request.param) as address:
        yield address


@asynccontextmanager
async def client_of(shop: Shop, *, enters: bool = True) -> AsyncIterator[httpx.AsyncClient]:
    """A client that calls the application without a network; who enters hands in whole what is there whole."""
    entrances = {"/graphql": Front(shop.app).entrance(shop.endpoint.door.whole)} if enters else {}
    transport = EntranceTransport(shop.app, entrances)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        yield client


@pytest.fixture(params=[True, False], ids=["whole", "messages"])
async def client(shop: Shop, request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the shop, by either way."""
    async with client_of(shop, enters=request.param) as client:
        yield client


async def until(condition: Callable[[], bool], within_s: float = 3.0, step_s: float = 0.005) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event to give
            await asyncio.sleep(step_s)
