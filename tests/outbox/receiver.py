"""A receiver of webhooks on this machine: it keeps what came, and answers as the test wants."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Came:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Answers with `status` and `text`; with `gate`, only once that is open."""

    status: int = 204
    text: str = ""
    more: dict[str, str] = field(default_factory=dict)
    gate: asyncio.Event | None = None
    came: list[Came] = field(default_factory=list)
    port: int = 0
    serving: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/hooks"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.split("\r\n")
            headers = {
                name.lower(): value for name, _, value in (line.partition(": ") for line in lines) if name
            }
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.came.append(Came(first.split(" ")[1], headers, body))
            if self.gate is not None:
                await self.gate.wait()
            content = self.text.encode()
            told = {"content-length": str(len(content)), "connection": "close", **self.more}
            lines = [f"HTTP/1.1 {self.status} Told", *(f"{name}: {value}" for name, value in told.items())]
            writer.write("\r\n".join([*lines, "", ""]).encode() + content)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            self.serving.discard(task)


@asynccontextmanager
async def receiving(**options: object) -> AsyncIterator[Receiver]:
    """Listen while the block runs."""
    receiver = Receiver(**options)  # type: ignore[arg-type]
    server = await asyncio.start_server(receiver._serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        if receiver.gate is not None:
            receiver.gate.set()
        server.close()
        # A connection that is left to itself is warned of in whichever test comes next.
        if receiver.serving:
            await asyncio.wait(receiver.serving, timeout=5)
