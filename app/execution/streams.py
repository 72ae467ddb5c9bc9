"""Responses that arrive over time: server-sent events, and Apollo's multipart."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.execution.errors import ErrorCode, refusal
from app.execution.negotiation import Media
from app.execution.sharing import encoded
from app.execution.timing import at

logger = logging.getLogger(__name__)


class Events:
    """GraphQL over SSE. Lines end with a bare line feed: urql's parser reads nothing else."""

    opening = b":\n\n"
    """A first comment, so that proxies and browsers see the stream begin."""
    keep_alive = b":\n\n"
    # No space after the colon: urql would try to read the space as JSON.
    closing = b"event: complete\ndata:\n\n"

    @staticmethod
    def frame(response: Any) -> bytes:
        """Return one response as an event."""
        return b"event: next\ndata: " + encoded(response) + b"\n\n"


class Multipart:
    """Apollo's subscriptions over HTTP. Each boundary is written with the part before it, or the client waits."""

    opening = b"\r\n--graphql"
    keep_alive = b"\r\ncontent-type: application/json\r\n\r\n{}\r\n--graphql"
    closing = b"--\r\n"

    @staticmethod
    def frame(response: Any) -> bytes:
        """Return one response as a part."""
        head = b'\r\ncontent-type: application/json\r\n\r\n{"payload":'
        return head + encoded(response) + b"}\r\n--graphql"


class Streams:
    """The streams that are open: bounded in number, and ended when the server stops."""

    def __init__(self, *, open_max: int, keep_alive_s: float) -> None:
        self._open_max = open_max
        self._pumps: set[asyncio.Task[None]] = set()
        self.keep_alive_s = keep_alive_s

    def __len__(self) -> int:
        return len(self._pumps)

    def claim(self) -> None:
        """Refuse one more stream if the server carries all that it can."""
        if len(self._pumps) >= self._open_max:
            raise refusal(ErrorCode.OVERLOADED, "The server carries all the streams it can.")

    @contextmanager
    def opened(self, pump: asyncio.Task[None]) -> Iterator[None]:
        """Count the stream while it is open."""
        self._pumps.add(pump)
        try:
            yield
        finally:
            self._pumps.discard(pump)

    def end_all(self) -> None:
        """End every stream without `complete`, which tells its client to come again."""
        for pump in self._pumps:
            pump.cancel()


class StreamResponse(Response):
    """Sends responses as they come, until they end, the client leaves, the credential expires or the server stops.

    Starlette's own streaming response leaves a generator that is cancelled while it waits for the network to the
    garbage collector; here it is closed before the response ends.
    """

    def __init__(
        self,
        responses: AsyncGenerator[Any, None],
        media: Media,
        *,
        streams: Streams,
        expires_at: datetime | None,
        headers: Mapping[str, str],
    ) -> None:
        streams.claim()
        self._responses = responses
        self._framing = Multipart if media is Media.MULTIPART else Events
        self._streams = streams
        self._expires_at = expires_at
        self.status_code = 200
        self.background = None
        self.media_type = media.value
        # Proxies of the nginx family hold small responses back unless told not to.
        self.init_headers({**headers, "x-accel-buffering": "no"})
        del self.headers["content-length"]

    def render(self, content: Any) -> bytes:
        """Return the body that is known beforehand: none."""
        return b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        pump = asyncio.create_task(self._pump(send))
        gone = asyncio.create_task(_disconnected(receive))
        expiry = at(self._expires_at, pump.cancel)
        try:
            with self._streams.opened(pump):
                await asyncio.wait({pump, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if expiry is not None:
                expiry.cancel()
            left = gone.done()
            await _ended(pump, gone)
            _note_defect(pump)
        if not left:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pump(self, send: Send) -> None:
        framing = self._framing
        upcoming: asyncio.Task[Any] | None = None
        try:
            await _write(send, framing.opening)
            while True:
                upcoming = upcoming or asyncio.ensure_future(anext(self._responses, None))
                done, _ = await asyncio.wait({upcoming}, timeout=self._streams.keep_alive_s)
                if not done:
                    await _write(send, framing.keep_alive)
                    continue
                response, upcoming = upcoming.result(), None
                if response is None:
                    break
                await _write(send, framing.frame(response))
            await _write(send, framing.closing)
        finally:
            if upcoming is not None:
                await _ended(upcoming)
            await self._responses.aclose()


def _note_defect(pump: asyncio.Task[None]) -> None:
    # The status is sent, so all that is left to say is said in the log; the client sees a stream without its end.
    error = None if pump.cancelled() else pump.exception()
    if error is not None and not isinstance(error, OSError):
        logger.error("defect in a stream", exc_info=error)


async def _write(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _ended(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
