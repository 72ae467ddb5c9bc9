"""A websocket to the application in this process: graphql-transport-ws, spoken message by message."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson

Message = dict[str, Any]


class Socket:
    """One open socket. `closed` holds the code once it is closed."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()

    @asynccontextmanager
    async def open(
        self, headers: Mapping[str, str], payload: Mapping[str, Any] | None
    ) -> AsyncIterator["Socket"]:
        """Shake hands and initialise."""
        scope = {
            "type": "websocket",
            "path": "/graphql",
            "raw_path": b"/graphql",
            "query_string": b"",
            "scheme": "ws",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "subprotocols": ["graphql-transport-ws"],
            "client": ("127.0.0.1", 1),
            "server": ("store", 80),
            "extensions": {},
        }
        task = asyncio.create_task(self._app(scope, self._to_app.get, self._from_app.put))
        await self._to_app.put({"type": "websocket.connect"})
        assert (await self._from_app.get())["type"] == "websocket.accept"
        await self.send({"type": "connection_init", **({"payload": payload} if payload else {})})
        try:
            yield self
        finally:
            await self._to_app.put({"type": "websocket.disconnect", "code": 1000})
            await task

    async def send(self, message: Message) -> None:
        """Send a message."""
        await self.say(orjson.dumps(message).decode())

    async def say(self, text: str) -> None:
        """Send a text as it is."""
        await self._to_app.put({"type": "websocket.receive", "text": text})

    async def subscribe(self, id_: str, query: str) -> None:
        """Begin an operation."""
        await self.send({"type": "subscribe", "id": id_, "payload": {"query": query}})

    async def receive(self, timeout_s: float = 10) -> Message:
        """Return the next message; the code, when the socket is closed instead."""
        async with asyncio.timeout(timeout_s):
            found = await self._from_app.get()
        if found["type"] == "websocket.close":
            return {"closed": found["code"]}
        message: Message = orjson.loads(found["text"])
        return message


@asynccontextmanager
async def opened(
    app: Any, headers: Mapping[str, str] | None = None, payload: Mapping[str, Any] | None = None
) -> AsyncIterator[Socket]:
    """Open a socket that is acknowledged."""
    async with Socket(app).open(headers or {}, payload) as socket:
        assert (await socket.receive())["type"] == "connection_ack"
        yield socket
