"""A client's way into an application past the messages of ASGI, as `app.serving` takes it, without a network."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx

from app.front import Entrance, Header


class EntranceTransport(httpx.AsyncBaseTransport):
    """Hands in a POST whole where there is an entrance for its path; all else goes as ASGI has it."""

    def __init__(self, app: Any, entrances: Mapping[str, Entrance]) -> None:
        self._otherwise = httpx.ASGITransport(app)
        self._entrances = entrances
        self.entered = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        enter = self._entrances.get(request.url.path)
        # What says no length comes piece by piece.
        if enter is None or request.method != "POST" or "content-length" not in request.headers:
            return await self._otherwise.handle_async_request(request)
        answered: asyncio.Future[httpx.Response] = asyncio.get_running_loop().create_future()

        def reply(status: int, shared: tuple[Header, ...], own: Header, body: bytes) -> None:
            headers = [*shared, own, (b"content-length", b"%d" % len(body))]
            if not answered.done():
                answered.set_result(httpx.Response(status, headers=headers, content=body))

        if not enter(_scope(request), await request.aread(), reply):
            return await self._otherwise.handle_async_request(request)
        self.entered += 1
        return await answered


def _scope(request: httpx.Request) -> dict[str, Any]:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": request.url.raw_path,
        "query_string": request.url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("127.0.0.1", 123),
        "server": (request.url.host, request.url.port),
        "state": {},
    }
