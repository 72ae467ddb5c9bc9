"""How messages go out to a socket: without a task for each, and with a look at whether they are read.

A server that can write to its transports at once offers a `Wire` in the scope's extensions; from any other one messages go
through ASGI's `send`, which may have to be waited for.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, cast

from starlette.websockets import WebSocket, WebSocketDisconnect

EXTENSION = "coffer.wire"
"""The name in the scope's extensions below which a server offers a wire."""

WAITING_MAX = 16
"""How many messages wait for ASGI's `send` before the reader counts as slow."""


class Wire(Protocol):
    """One socket's way out."""

    is_congested: bool
    """Whether the reader is behind: what can wait should."""

    on_relief: Callable[[], object]
    """Called when the reader has caught up."""

    def write(self, *parts: bytes) -> None:
        """Send a message of text, in parts; nowhere if the socket is closed."""

    async def relieved(self) -> None:
        """Wait until the reader has caught up."""


def wire_of(websocket: WebSocket) -> Wire:
    """Return the way out to a socket that was accepted."""
    offered = (websocket.scope.get("extensions") or {}).get(EXTENSION)
    return cast("Wire", offered) if offered is not None else SentWire(websocket)


class SentWire:
    """Messages wait in a line, and a task sends them for as long as there are any."""

    __slots__ = ("_is_relieved", "_line", "_task", "_websocket", "is_congested", "on_relief")

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._line: deque[bytes] = deque()
        self._task: asyncio.Task[None] | None = None
        self._is_relieved = asyncio.Event()
        self._is_relieved.set()
        self.is_congested = False
        self.on_relief: Callable[[], object] = lambda: None

    def write(self, *parts: bytes) -> None:
        """Put a message into the line."""
        self._line.append(b"".join(parts))
        if len(self._line) >= WAITING_MAX:
            self.is_congested = True
            self._is_relieved.clear()
        if self._task is None:
            self._task = asyncio.create_task(self._send())

    async def relieved(self) -> None:
        """Wait until the reader has caught up."""
        await self._is_relieved.wait()

    async def sent(self) -> None:
        """Wait until everything was sent."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def _send(self) -> None:
        try:
            with suppress(RuntimeError, WebSocketDisconnect):
                while self._line:
                    await self._websocket.send_text(self._line.popleft().decode())
        finally:
            self._line.clear()
            self._task = None
            was_congested, self.is_congested = self.is_congested, False
            self._is_relieved.set()
        if was_congested:
            self.on_relief()
