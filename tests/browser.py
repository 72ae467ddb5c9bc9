"""A real Chromium for tests, and a real server for it to visit.

``unavailable()`` says why there is no browser on this machine. A test that needs one calls
``require_browser()``. It skips with that reason on a developer's machine and fails where ``CI`` is set, so
that nobody mistakes a missing browser for a pass.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import pytest
import uvicorn

# Playwright is imported only where a browser is really started: this module must load on machines without it.
if TYPE_CHECKING:
    from playwright.async_api import Page
    from starlette.types import ASGIApp

_FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A request that leaves the machine must fail at once, as it would on a machine without a network.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)


@dataclass(slots=True)
class Visit:
    """A page in Chromium, and everything that it asked for and complained about."""

    page: Page
    requests: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """Console errors and warnings, uncaught exceptions and refusals by the Content-Security-Policy."""

    def hear(self, kind: str, text: str) -> None:
        """Keep a line of the console if it is a complaint."""
        if kind in {"error", "warning"}:
            self.problems.append(f"{kind}: {text}")

    def requests_beyond(self, origin: str) -> list[str]:
        """What was asked of anybody but ``origin``; ``data:`` and ``blob:`` ask nobody."""
        host = urlsplit(origin).netloc
        asked = (urlsplit(url) for url in self.requests)
        return [url.geturl() for url in asked if url.scheme not in {"data", "blob"} and url.netloc != host]


def chromium_path() -> str | None:
    """Where Chromium is installed, if it is."""
    found = shutil.which("chromium")
    return found or next((path for path in ("/usr/bin/chromium",) if Path(path).exists()), None)


def unavailable() -> str | None:
    """Why no browser can be started here; nothing, if one can."""
    if importlib.util.find_spec("playwright") is None:
        return "the Python package playwright is not installed"
    if chromium_path() is None:
        return "chromium is not installed"
    return None


def require_browser() -> None:
    """Skip the calling test loudly where there is no browser; fail it where ``CI`` is set."""
    reason = unavailable()
    if reason is None:
        return
    if os.environ.get("CI"):
        pytest.fail(f"browser tests must run in CI, but {reason}")
    pytest.skip(f"NO BROWSER, so this was NOT TESTED: {reason}")


@asynccontextmanager
async def open_chromium(*, color_scheme: str = "light") -> AsyncIterator[Visit]:
    """A fresh Chromium with one empty page, which records from the first request on."""
    from playwright.async_api import async_playwright  # noqa: PLC0415 - only who opens a browser needs it

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_path(), args=list(_FLAGS))
        try:
            context = await browser.new_context(
                color_scheme="dark" if color_scheme == "dark" else "light",
                viewport={"width": 1440, "height": 900},
                locale="en-US",
            )
            visit = Visit(page=await context.new_page())
            _record(visit)
            yield visit
        finally:
            await browser.close()


def _record(visit: Visit) -> None:
    page = visit.page
    page.context.on("request", lambda request: visit.requests.append(request.url))
    page.on("websocket", lambda websocket: visit.requests.append(websocket.url))
    page.on("pageerror", lambda error: visit.problems.append(f"uncaught: {error}"))
    page.on("console", lambda message: visit.hear(message.type, message.text))


@asynccontextmanager
async def serve(app: ASGIApp) -> AsyncIterator[str]:
    """Serve ``app`` with uvicorn on a free port of this machine; gives the origin, for example ``http://127.0.0.1:54321``."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    # As in `serve` of the command line; its own configuration of logs would stay behind for later tests.
    config = uvicorn.Config(app, log_config=None, ws="websockets-sansio", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:
            if serving.done():
                await serving
                raise RuntimeError("uvicorn ended before it had started")
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        with suppress(asyncio.CancelledError):
            await serving
        listener.close()
