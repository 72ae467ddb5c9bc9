"""Serve until a signal comes: what `tests.server` runs, in the place of `python -m app serve`."""

import socket

import uvicorn
from starlette.applications import Starlette

from app.main import create_app
from app.observability import configure_logging
from app.settings import load_settings


class Server(uvicorn.Server):
    """Drains before uvicorn waits for connections to close: streams would keep it (docs/adr/0005-endpoint.md)."""

    def __init__(self, config: uvicorn.Config, app: Starlette) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop."""
        await self._app.state.endpoint.drain()
        await super().shutdown(sockets)


def main() -> None:
    """Read the environment and serve."""
    settings = load_settings()
    configure_logging(json=settings.log_format == "json", level=settings.log_level)
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        lifespan="on",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_grace_s)),
    )
    Server(config, app).run()


if __name__ == "__main__":
    main()
