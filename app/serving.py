"""How uvicorn serves the application: what a connection may do before it is a request, and how serving ends."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.supervisors import Multiprocess, multiprocess

from app.sockets import SocketProtocol

HEAD_TIMEOUT_S = 15.0
"""How long a connection may take to send a request's head, the first one or another."""

HEAD_BYTES_MAX = 65_536
"""How large a request's head may be: its line and all its headers."""

WORKER_HEALTHCHECK_TIMEOUT_S = 30
"""How long a worker process may be silent before it is taken for hung, and replaced."""


COLLECT_YOUNG, COLLECT_MIDDLE, COLLECT_OLD = 50_000, 50, 1_000
"""After how many new objects the youngest generation is looked through, and how many times that the next two."""


class BoundedProtocol(HttpToolsProtocol):
    """Uvicorn waits for ever for a head that never comes, and takes one of any size."""

    _patience: asyncio.TimerHandle | None = None
    cycle: RequestResponseCycle | None  # type: ignore[assignment]
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._head_is_here()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in what came; it is part of a head until that is complete."""
        if self._patience is None and self.cycle is not None and self.cycle.response_complete:
            self._wait_for_head()
        if self._patience is not None:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._patience is not None and self._head_bytes > HEAD_BYTES_MAX:
            self._head_is_here()
            if not self.transport.is_closing():
                self.send_400_response("The head of the request is too large.")

    def on_headers_complete(self) -> None:
        """Begin to serve the request."""
        self._head_is_here()
        super().on_headers_complete()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over to a socket, and leave nothing of the request behind."""
        protocol_class = self.ws_protocol_class
        if not (isinstance(protocol_class, type) and issubclass(protocol_class, SocketProtocol)):
            super().handle_websocket_upgrade()
            return
        protocol_class.take_over(self)
        # The parser and its protocol hold each other: ten thousand would wait for the garbage collector.
        self.parser = None  # type: ignore[assignment]

    def _wait_for_head(self) -> None:
        self._head_bytes = 0
        self._patience = self.loop.call_later(HEAD_TIMEOUT_S, self._too_late)

    def _head_is_here(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _too_late(self) -> None:
        self._patience = None
        self.transport.close()


def settle_memory() -> None:
    """Have the garbage collector leave alone what stays as long as the process: modules, the schema, documents.

    Looking through all of it again and again costs a pause each time, the longer the more sockets are open. The
    collector is never switched off: a request that fails leaves cycles behind.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_YOUNG, COLLECT_MIDDLE, COLLECT_OLD)


class DrainingServer(uvicorn.Server):
    """Has the application drain before uvicorn waits for open connections: an open stream would hold it up."""

    async def startup(self, sockets: list[Any] | None = None) -> None:
        """Start, and settle with what was loaded for it."""
        await super().startup(sockets)
        if self.started:
            settle_memory()

    async def shutdown(self, sockets: list[Any] | None = None) -> None:
        """Drain, then stop."""
        drain = drain_of(self.config.loaded_app)
        if drain is not None:
            await drain()
        await super().shutdown(sockets)


class WorkerProcess(multiprocess.Process):
    """A process of several, whose server drains too."""

    @property
    def server(self) -> uvicorn.Server:
        """The server of this process."""
        if self._server is None:
            self._server = DrainingServer(self.config)
        return self._server


def serve_in_processes(config: uvicorn.Config, sockets: list[Any]) -> None:
    """Serve in as many processes as the configuration says; one that dies or hangs is replaced."""
    # The supervisor looks its process class up in its module; there is no other way to name one.
    multiprocess.Process = WorkerProcess  # type: ignore[misc]
    Multiprocess(config, sockets=sockets).run()


def drain_of(application: Any) -> Callable[[], Awaitable[None]] | None:
    """Return how the application drains, whatever is wrapped around it."""
    while application is not None:
        drain = getattr(getattr(application, "state", None), "drain", None)
        if drain is not None:
            return drain  # type: ignore[no-any-return]
        application = getattr(application, "app", None)
    return None
