"""Callers of a running server: GraphQL over HTTP and over websockets, as lean as can be.

Load comes from the same two cores that serve it, so a request here is one write and two reads on a connection that is
kept; and tests need what no polite client offers: to vanish at the worst moment.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol

TIMEOUT_S = 60.0
"""Generous: on a busy machine slowness is no fault, and what hangs hangs for longer."""

ADJUST = """
mutation Adjust($input: AdjustBalanceInput!) {
  adjustBalance(input: $input) {
    replayed wallet { id } transaction { id reference sequence } userErrors { code message }
  }
}
"""
REQUEST_WITHDRAWAL = """
mutation Request($input: RequestWithdrawalInput!) {
  requestWithdrawal(input: $input) { replayed withdrawal { id reference } userErrors { code message } }
}
"""
CANCEL_WITHDRAWAL = """
mutation Cancel($input: CancelWithdrawalInput!) {
  cancelWithdrawal(input: $input) { replayed withdrawal { id reference status } userErrors { code message } }
}
"""
SETTINGS = """mutation S($input: UpdateSettingsInput!) {
  updateSettings(input: $input) { settings { version } userErrors { code message } }
}"""
REGISTER = """
mutation Register($input: RegisterCustomerInput!) {
  registerCustomer(input: $input) { customer { id } wallet { id } userErrors { code message } }
}
"""
WALLET = """
query Wallet($customer: String!) {
  wallet(by: {storeCustomerId: $customer}) { id balance { amount } available { amount } }
}
"""
UPDATES = """
subscription Updates($customer: String!, $after: BigInt) {
  walletUpdated(wallet: {storeCustomerId: $customer}, afterSequence: $after) {
    kind sequence balance { amount } transaction { sequence reference balanceAfter { amount } }
  }
}
"""


class UnansweredError(Exception):
    """The connection ended, or the server could not take the request: whether it was done is not known."""


def money(minor: int) -> dict[str, str]:
    """Return an amount in dollars as the API reads it."""
    return {"amount": f"{minor // 100}.{minor % 100:02}", "currency": "USD"}


def adjustment(customer: str, direction: str, minor: int, *, key: str, note: str = "") -> dict[str, Any]:
    """Return the variables of `ADJUST`."""
    return {
        "input": {
            "wallet": {"storeCustomerId": customer},
            "direction": direction,
            "amount": money(minor),
            "reason": "GOODWILL",
            "note": note or f"Proof {key} of the ledger",
            "idempotencyKey": key,
        }
    }


class Caller:
    """One signed-in caller of one server, over HTTP; close it in the end."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.token = token
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 80)
        self._head = (
            f"POST /graphql HTTP/1.1\r\nhost: {parts.netloc}\r\nauthorization: Bearer {token}\r\n"
            "content-type: application/json\r\naccept: application/json\r\ncontent-length: "
        ).encode()
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def __aenter__(self) -> "Caller":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections that are kept."""
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()
        # A transport is closed in the loop's next turn, which the end of a test would not wait for.
        await asyncio.sleep(0)

    async def post(self, document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Send one operation and return the whole response; raise `UnansweredError` when none came."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                reader, writer = await self._connection()
                try:
                    return await self._exchange(reader, writer, self.request(document, variables))
                except BaseException:
                    writer.transport.abort()
                    raise
        except (OSError, asyncio.IncompleteReadError) as error:
            raise UnansweredError(f"{type(error).__name__}: {error}") from error

    async def ask(self, document: str, variables: Mapping[str, Any]) -> Any:
        """Send one operation and return its only field; a server that has too much to do leaves it unanswered."""
        response = await self.post(document, variables)
        if errors := response.get("errors"):
            codes = {error.get("extensions", {}).get("code") for error in errors}
            if codes <= {"OVERLOADED", "SERVICE_UNAVAILABLE", "TIMEOUT"}:
                raise UnansweredError(", ".join(sorted(codes)))
            raise AssertionError(f"the server answered with errors: {errors}")
        return next(iter(response["data"].values()))

    async def vanish(self, document: str, variables: Mapping[str, Any], *, after_s: float) -> None:
        """Send one operation and reset the connection, whatever the server is doing by then."""
        _, writer = await asyncio.open_connection(*self._address)
        writer.write(self.request(document, variables))
        with suppress(ConnectionError):
            await writer.drain()
        await asyncio.sleep(after_s)
        reset(writer.transport)

    def request(self, document: str, variables: Mapping[str, Any]) -> bytes:
        """Return the bytes of a request."""
        body = orjson.dumps({"query": document, "variables": variables})
        return b"%b%d\r\n\r\n%b" % (self._head, len(body), body)

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not (reader.at_eof() or reader.exception() or writer.is_closing()):
                return reader, writer
            writer.close()
        return await asyncio.open_connection(*self._address)

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
    ) -> dict[str, Any]:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        size = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(size)
        if b"connection: close" in head:
            writer.close()
        else:
            self._idle.append((reader, writer))
        response = orjson.loads(body)
        assert isinstance(response, dict), f"not a GraphQL response: {body[:200]!r}"
        return response


def reset(transport: asyncio.BaseTransport) -> None:
    """End a TCP connection by a reset, as a machine that was cut off comes back."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()  # type: ignore[attr-defined]  # every TCP transport has it


class Socket:
    """One websocket that speaks graphql-transport-ws and is signed in; make it with `opened`."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, *messages: Mapping[str, Any]) -> None:
        """Send messages one after the other."""
        for message in messages:
            await self.connection.send(orjson.dumps(message).decode())

    def send_at_once(self, *messages: Mapping[str, Any]) -> None:
        """Send messages in one TCP segment: the server reads the second with the first."""
        frames = [Frame(Opcode.TEXT, orjson.dumps(message)).serialize(mask=True) for message in messages]
        self.connection.transport.write(b"".join(frames))

    async def receive(self) -> dict[str, Any]:
        """Receive one message."""
        message: dict[str, Any] = orjson.loads(await self.connection.recv())
        return message

    async def updates(self, customer: str, after: int | None = None) -> AsyncIterator[dict[str, Any]]:
        """Yield the updates of one wallet; this socket does nothing else. Raises `UnansweredError` where the server has
        too much to do.
        """
        await self.send(subscribe("updates", UPDATES, {"customer": customer, "after": after}))
        while True:
            message = await self.receive()
            if message["type"] == "ping":
                await self.send({"type": "pong"})
                continue
            if message["type"] == "error" and "SERVICE_UNAVAILABLE" in str(message["payload"]):
                raise UnansweredError("SERVICE_UNAVAILABLE")
            assert message["type"] == "next", message
            assert "errors" not in message["payload"], message
            yield message["payload"]["data"]["walletUpdated"]

    def abort(self) -> None:
        """Reset the connection."""
        reset(self.connection.transport)


def subscribe(id_: str, document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the message that begins any operation."""
    return {"id": id_, "type": "subscribe", "payload": {"query": document, "variables": variables}}


def complete(id_: str) -> dict[str, Any]:
    """Return the message by which a client loses interest."""
    return {"id": id_, "type": "complete"}


async def open_socket(url: str, token: str, **options: Any) -> Socket:
    """Open a websocket and sign in. Only the first message's answer is awaited."""
    connection = await connect(
        f"{url.replace('http', 'ws', 1)}/graphql",
        subprotocols=[Subprotocol("graphql-transport-ws")],
        compression=None,
        ping_interval=None,
        # With a bound, a client that leaves unread messages would not see the answer to its close frame either.
        max_queue=None,
        open_timeout=TIMEOUT_S,
        close_timeout=5,
        **options,
    )
    found = Socket(connection)
    try:
        await found.send({"type": "connection_init", "payload": {"token": token}})
        acknowledged = await found.receive()
        assert acknowledged["type"] == "connection_ack", acknowledged
    except BaseException:
        await connection.close()
        raise
    return found


@asynccontextmanager
async def opened(url: str, token: str, **options: Any) -> AsyncIterator[Socket]:
    """Open a websocket and close it in the end."""
    found = await open_socket(url, token, **options)
    try:
        yield found
    finally:
        await found.connection.close()
