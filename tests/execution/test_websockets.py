"""graphql-transport-ws, message by message, spoken by hand."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from app.execution.limits import Limits
from tests.execution.conftest import serving, until
from tests.execution.shop import Shop

INIT = {"type": "connection_init"}


class Socket:
    """Sends and receives messages, and waits a second at most."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, *messages: Any) -> None:
        """Send each as JSON; text goes as it is."""
        for message in messages:
            text = message if isinstance(message, str | bytes) else json.dumps(message)
            await self.connection.send(text)

    async def receive(self) -> Any:
        """Return the next message."""
        return json.loads(await asyncio.wait_for(self.connection.recv(), 2))

    async def closed(self) -> tuple[int, str]:
        """Read until the server closes; return its code and reason."""
        try:
            while True:
                await asyncio.wait_for(self.connection.recv(), 2)
        except ConnectionClosed:
            return self.connection.close_code or 0, self.connection.close_reason or ""

    async def acknowledged(self, payload: Any = None) -> "Socket":
        """Say hello."""
        await self.send(INIT if payload is None else {**INIT, "payload": payload})
        assert await self.receive() == {"type": "connection_ack"}
        return self

    async def subscribe(self, query: str, id_: str = "1", **payload: Any) -> None:
        """Ask for an operation."""
        await self.send({"type": "subscribe", "id": id_, "payload": {"query": query, **payload}})


@asynccontextmanager
async def socket_to(address: str, **options: Any) -> AsyncIterator[Socket]:
    """Open a socket."""
    options.setdefault("subprotocols", [Subprotocol("graphql-transport-ws")])
    async with connect(f"ws://{address}", **options) as connection:
        yield Socket(connection)


def next_(data: Any, id_: str = "1") -> dict[str, Any]:
    """What a response looks like."""
    return {"type": "next", "id": id_, "payload": {"data": data}}


def complete(id_: str = "1") -> dict[str, Any]:
    """The last word, of either side."""
    return {"type": "complete", "id": id_}


# --- what goes well ---------------------------------------------------------------------------------------


async def test_a_subscription_counts_and_completes(address: str) -> None:
    async with socket_to(address) as socket:
        await socket.acknowledged()
        await socket.subscribe("subscription { count(to: 2) }")
        told = [await socket.receive() for _ in range(3)]
    assert told == [next_({"count": 1}), next_({"count": 2}), complete()]


@pytest.mark.parametrize(
    ("query", "data"), [("{ hello }", {"hello": "hello world"}), ("mutation { pay }", {"pay": 1})]
)
async def test_queries_and_mutations_answer_once(address: str, query: str, data: Any) -> None:
    async with socket_to(address) as socket:
        await socket.acknowledged()
        await socket.subscribe(query)
        assert [await socket.receive(), await socket.receive()] == [next_(data), complete()]
        await socket.subscribe("{ hello }")
        assert await socket.receive() == next_({"hello": "hello world"})


async def test_ping_is_answered_with_its_payload_even_before_the_acknowledgement(address: str) -> None:
    async with socket_to(address) as socket:
        await socket.send({"type": "ping"}, {"type": "ping", "payload": {"a": 1}}, {"type": "pong"})
        assert await socket.receive() == {"type": "pong"}
        assert await socket.receive() == {"type": "pong", "payload": {"a": 1}}


async def test_extensions_of_subscribe_reach_the_resolvers(address: str) -> None:
    async with socket_to(address) as socket:
        await socket.acknowledged()
        await socket.subscribe("{ extension }", extensions={"trace": "abc"})
        assert await socket.receive() == next_({"extension": "abc"})


async def test_every_event_has_a_context_of_its_own(address: str) -> None:
    async with socket_to(address) as socket:
        await socket.acknowledged()
        await socket.subscribe("subscription { contexts { contextNumber again: contextNumber } }")
        first, second = [(await socket.receive())["payload"]["data"]["contexts"] for _ in range(2)]
    assert first["contextNumber"] == first["again"]
    assert first["contextNumber"] != second["contextNumber"]


@pytest.mark.parametrize("credential", [{"Authorization": "Bearer ada"}])
async def test_connection_init_says_who_asks(address: str, credential: dict[str, str]) -> None:
    async with socket_to(address) as socket:
        await socket.acknowledged(credential)
        await socket.subscribe("{ caller }")
        assert await socket.receive() == next_({"caller": "ada"})


# --- operations that go wrong keep the socket -------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"query": "{"}, "GRAPHQL_PARSE_FAILED"),
        ({"query": "{ nope }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "query A { hello }", "operationName": "B"}, "OPERATION_RESOLUTION_FAILURE"),
        ({"query": "query A { hello } query B { hello }"}, "OPERATION_RESOLUTION_FAILURE"),
        ({"query": "query ($n: Int!) { item { name } find(by: {number: $n}) }"}, "BAD_USER_INPUT"),
        ({"query": "subscription ($n: Int!) { count(to: $n) }", "variables": {"n": "x"}}, "BAD_USER_INPUT"),
        ({"query": "subscription { closed }"}, "FORBIDDEN"),
        ({"query": "subscription { count(failAt: 1) }"}, "INTERNAL_SERVER_ERROR"),
    ],
)
async def test_an_operation_that_fails_answers_error(address: str, payload: Any, code: str) -> None:
    async with socket_to(address) as socket:
        await socket.acknowledged()
        await socket.send({"type": "subscribe", "id": "1", "payload": payload})
        message = await socket.receive()
        assert (message["type"], message["id"]) == ("error", "1")
        assert message["payload"][0]["extensions"]["code"] == code
        assert "hunter2" not in json.dumps(message)
        await socket.subscribe("{ hello }")
        assert await socket.receive() == next_({"hello": "hello world"})


async def test_too_many_operations_are_refused_one_by_one() -> None:
    shop = Shop.open(limits=Limits(operations_per_socket_max=2))
    async with serving(shop) as address, socket_to(address) as socket:
        await socket.acknowledged()
        for id_ in "123":
            await socket.subscribe("subscription { count(to: 2, pauseS: 5) }", id_)
        told = {(message["id"], message["type"]) for message in [await socket.receive() for _ in range(3)]}
    assert told == {("1", "next"), ("2", "next"), ("3", "error")}


# --- closing codes ----------------------------------------------------------------------------------------

SUBSCRIBE = {"type": "subscribe", "id": "1", "payload": {"query": "subscription { count(pauseS: 5) }"}}


@pytest.mark.parametrize(
    "message",
    [
        "[]",
        "null",
        "1",
        '"text"',
        "{",
        "",
        b"{}",
        '{"type": "ping", "payload": "\\ud800"}',
        {},
        {"type": None},
        {"type": "nonsense"},
        {"type": "start"},
        {"type": "ping", "payload": []},
        '{"type": "ping", "payload": {"a": ' + "[" * 500 + "]" * 500 + "}}",
        {"type": "connection_init", "payload": "text"},
        {"type": "subscribe"},
        {"type": "subscribe", "id": "1"},
        {"type": "subscribe", "id": "", "payload": {"query": "{ hello }"}},
        {"type": "subscribe", "id": 1, "payload": {"query": "{ hello }"}},
        {"type": "subscribe", "id": "1", "payload": {}},
        {"type": "subscribe", "id": "1", "payload": {"query": None}},
        {"type": "subscribe", "id": "1", "payload": {"query": "{ hello }", "variables": []}},
        {"type": "subscribe", "id": "1", "payload": {"query": "{ hello }", "operationName": 1}},
        {"type": "subscribe", "id": "1", "payload": {"query": "{ hello }", "extensions": "x"}},
        {"type": "complete"},
        {"type": "complete", "id": None},
    ],
)
async def test_what_is_no_message_closes_with_4400(address: str, message: Any) -> None:
    async with socket_to(address) as socket:
        # connection_init comes second only where the message would be no init itself.
        if not (isinstance(message, dict) and message.get("type") == "connection_init"):
            await socket.acknowledged()
        await socket.send(message)
        assert await socket.closed() == (4400, "Invalid message received")


@pytest.mark.parametrize(
    ("messages", "close"),
    [
        ([SUBSCRIBE], (4401, "Unauthorized")),
        ([INIT, INIT], (4429, "Too many initialisation requests")),
        ([INIT, SUBSCRIBE, SUBSCRIBE], (4409, "Subscriber for 1 already exists")),
        ([{**INIT, "payload": {"Authorization": "Bearer nobody"}}], (4403, "Forbidden")),
        ([{**INIT, "payload": {"Authorization": "Bearer broken"}}], (4403, "Forbidden")),
        ([{**INIT, "payload": {"Authorization": "Bearer brief"}}, SUBSCRIBE], (4403, "Forbidden")),
        ([{"type": "ping", "payload": {"a": "x" * 300_000}}], (1009, "Message too big")),
    ],
)
async def test_what_breaks_the_protocol_closes(
    address: str, messages: list[Any], close: tuple[int, str]
) -> None:
    async with socket_to(address) as socket:
        await socket.send(*messages)
        assert await socket.closed() == close


async def test_no_init_closes_in_time() -> None:
    shop = Shop.open(limits=Limits(connection_init_timeout_s=0.05))
    async with serving(shop) as address, socket_to(address) as socket:
        assert await socket.closed() == (4408, "Connection initialisation timeout")


@pytest.mark.parametrize("protocols", [None, [Subprotocol("graphql-ws")]])
async def test_other_protocols_are_not_spoken(address: str, protocols: list[Subprotocol] | None) -> None:
    async with socket_to(address, subprotocols=protocols) as socket:
        assert await socket.closed() == (4406, "Subprotocol not acceptable")


async def test_drain_closes_with_1012_and_ends_the_sources(shop: Shop, address: str) -> None:
    async with socket_to(address) as socket:
        await socket.acknowledged()
        await socket.send(SUBSCRIBE)
        await socket.receive()
        await shop.endpoint.drain()
        assert await socket.closed() == (1012, "Service restart")
    await until(lambda: shop.counters.sources_open == 0)


async def test_a_principal_has_only_so_many_sockets() -> None:
    shop = Shop.open(limits=Limits(sockets_per_principal_max=1), principal_key=lambda caller: caller.name)
    async with serving(shop) as address:
        for _ in range(2):
            async with socket_to(address) as one, socket_to(address) as other:
                await one.acknowledged({"Authorization": "Bearer ada"})
                await other.send({**INIT, "payload": {"Authorization": "Bearer ada"}})
                assert await other.closed() == (1013, "Too many connections")
            await until(lambda: not shop.endpoint.sockets.by_principal)


@pytest.mark.parametrize(
    ("origin", "welcome"),
    [
        (None, True),
        ("https://shop.example", True),
        ("HTTPS://SHOP.example", True),
        ("https://evil.example", False),
        ("https://shop.example.evil.example", False),
        ("null", False),
        ("https://[", False),
        ("https://[::1", False),
    ],
)
async def test_only_known_origins_may_connect(origin: str | None, *, welcome: bool) -> None:
    shop = Shop.open(allowed_origins=["https://shop.example"])
    async with serving(shop) as address:
        handshake = socket_to(address, origin=Origin(origin) if origin else None)
        if welcome:
            async with handshake as socket:
                await socket.acknowledged()
        else:
            with pytest.raises(InvalidStatus, match="403"):
                async with handshake:
                    pass


# --- leaving ----------------------------------------------------------------------------------------------


async def test_complete_ends_the_source(shop: Shop, address: str) -> None:
    async with socket_to(address) as socket:
        await socket.acknowledged()
        await socket.send(SUBSCRIBE)
        await socket.receive()
        assert shop.counters.sources_open == 1
        await socket.send(complete())
        await until(lambda: shop.counters.sources_open == 0)
        await socket.subscribe("{ hello }")
        assert await socket.receive() == next_({"hello": "hello world"})


async def test_a_lost_socket_ends_its_sources(shop: Shop, address: str) -> None:
    async with socket_to(address) as socket:
        await socket.acknowledged()
        await socket.send(SUBSCRIBE)
        await socket.receive()
        socket.connection.transport.abort()
    await until(lambda: shop.counters.sources_open == 0)
    assert len(shop.endpoint.sockets) == 0


@pytest.mark.parametrize("midway", [True, False], ids=["midway", "at once"])
@pytest.mark.parametrize("way", ["complete", "close", "abort"])
async def test_a_mutation_ends_whatever_its_caller_does(
    shop: Shop, address: str, way: str, *, midway: bool
) -> None:
    rounds = 100
    for number in range(1, rounds + 1):
        async with socket_to(address) as socket:
            await socket.acknowledged()
            await socket.subscribe("mutation { pay(pauseS: 0.005) }")
            if midway:
                await until(partial(shop.has_begun, number), step_s=0.001)
            if way == "complete":
                await socket.send(complete(), {"type": "ping"})
                while (await socket.receive())["type"] != "pong":
                    pass
            elif way == "abort":
                socket.connection.transport.abort()
    await until(lambda: shop.endpoint.engine.running == 0)
    counters = shop.counters
    assert counters.mutations_ended == counters.mutations_begun
    # What was never read from an aborted connection was never begun; everything else was.
    assert counters.mutations_ended == rounds or (way == "abort" and not midway)
    async with socket_to(address) as socket:
        await socket.acknowledged()
        await socket.subscribe("{ later }")
        assert await socket.receive() == next_({"later": "later"})
