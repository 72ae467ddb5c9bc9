"""A pooler before PostgreSQL, as pgbouncer is one: it hands sessions out, and refuses what it can't keep apart.

    async with Pooler(url, mode="transaction") as pooler:
        settings_for(pooler.url)

In the mode `session` a client keeps its session; in `transaction` each transaction has the one that was given back last.
"""

import asyncio
import struct
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit, urlunsplit

KNOWN_PARAMETERS = {"user", "database", "client_encoding", "application_name"}
SSL_REQUEST = 80877103
PROCESS_ID = 7
"""What every client is told as the id of its server process, which is none."""

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Pooler:
    """One pooler on a free port of this machine."""

    def __init__(self, database_url: str, *, mode: Literal["session", "transaction"]) -> None:
        self._parts = urlsplit(database_url)
        self.mode = mode
        self._idle: list[Stream] = []
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.sleep(0)

    @property
    def url(self) -> str:
        """The address of the database behind it."""
        account = self._parts.netloc.rpartition("@")[0]
        port = self._server.sockets[0].getsockname()[1]
        return urlunsplit(self._parts._replace(netloc=f"{account}@127.0.0.1:{port}"))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = (reader, writer)
        self._open.add(writer)
        try:
            session = await self._sign_in(client)
            if session is not None:
                await (self._keep(client, session) if self.mode == "session" else self._lend(client, session))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self._open.discard(writer)

    async def _sign_in(self, client: Stream) -> Stream | None:
        reader, writer = client
        while True:
            (size,) = struct.unpack("!I", await reader.readexactly(4))
            body = await reader.readexactly(size - 4)
            if struct.unpack("!I", body[:4])[0] != SSL_REQUEST:
                break
            writer.write(b"N")
        names = body[4:].split(b"\0")[::2]
        if unknown := [name for name in names if name and name.decode() not in KNOWN_PARAMETERS]:
            text = b"SFATAL\0C08P01\0Munsupported startup parameter: %b\0\0" % unknown[0]
            writer.write(b"E" + struct.pack("!I", len(text) + 4) + text)
            return None
        session = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        self._open.add(session[1])
        session[1].write(struct.pack("!I", size) + body)
        while True:
            kind, message = await _read(session[0])
            if kind == b"K":
                message = message[:5] + struct.pack("!I", PROCESS_ID) + message[9:]
            writer.write(message)
            if kind == b"Z":
                return session
            if kind == b"R" and struct.unpack("!I", message[5:9])[0] in (10, 11):
                # The password is between the two.
                session[1].write((await _read(reader))[1])

    async def _keep(self, client: Stream, session: Stream) -> None:
        await asyncio.gather(_pass_on(client[0], session[1]), _pass_on(session[0], client[1]))

    async def _lend(self, client: Stream, session: Stream) -> None:
        self._idle.append(session)
        held: Stream | None = None
        while True:
            kind, message = await _read(client[0])
            if kind == b"X":
                return
            held = held or self._idle.pop()
            held[1].write(message)
            # Of what a client sends, a plain statement and the end of an extended one are answered to their end.
            while kind in {b"Q", b"S"}:
                told, answer = await _read(held[0])
                client[1].write(answer)
                if told == b"Z":
                    if answer[5:] == b"I":
                        self._idle.append(held)
                        held = None
                    break


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Read one message; return its kind and all of it."""
    head = await reader.readexactly(5)
    return head[:1], head + await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
