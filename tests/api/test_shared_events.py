"""Callers who share the execution of an event are told what each would have been told alone, and nothing of others."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import pytest

from app.context import Context
from app.domain.access import Principal, PrincipalKind
from app.execution.engine import Engine
from app.onlooker import OF_PERSON, OF_REQUEST, Onlooker, WatchedPrincipal
from tests.api.socket import Socket, opened
from tests.api.store import ADMINISTRATOR, FINANCE, SERVICE, SUPPORT, Caller, Store

ANOTHER_ADMINISTRATOR = Caller("adam", ("administrator",))

UPDATES = """
subscription ($of: WalletSelector!, $all: Boolean! = true) {
  walletUpdated(wallet: $of, afterSequence: 0) { __typename @include(if: $all) %s }
}
"""
PLAIN = "kind sequence balance { amount } transaction { sequence }"
WHO = "sequence transaction { actor { kind id } }"
DEEP = """
  sequence
  wallet {
    balance { amount }
    customer { storeCustomerId roles segments @include(if: $all) wallet { id } }
    transactions(first: 2) @include(if: $all) { nodes { sequence actor { id } } }
    auditEntries(first: 2) { nodes { action actor { id } } }
  }
"""
TWO = [WHO, DEEP]
"""Documents whose answers depend on who asks."""


@contextmanager
def executions(api: Store, *, shared: bool) -> Iterator[Counter[int]]:
    """Count how often which event is executed while the block runs; the events are kept, so no two have one id."""
    engine: Engine = api.app.state.endpoint.engine
    onlook, of_event, count, kept = engine._onlook, engine._of_event, Counter[int](), list[Any]()

    async def counted(operation: Any, executor: Any, payload: Any, *rest: Any) -> Any:
        kept.append(payload)
        count[id(payload)] += 1
        return await of_event(operation, executor, payload, *rest)

    patched: Any = engine
    patched._of_event = counted
    patched._onlook = onlook if shared else None
    try:
        yield count
    finally:
        del patched._of_event
        patched._onlook = onlook


async def told(api: Store, asked: list[tuple[Caller, str, dict[str, Any]]], messages: int) -> list[list[Any]]:
    """Have all subscribe, each by a socket of its own; return what each was told, in order."""
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(opened(api.app, caller.headers)) for caller, _, _ in asked]
        for socket, (_, fields, variables) in zip(sockets, asked, strict=True):
            payload = {"query": UPDATES % fields, "variables": variables}
            await socket.send({"type": "subscribe", "id": "1", "payload": payload})
        return [[await socket.receive() for _ in range(messages)] for socket in sockets]


async def wallet(api: Store) -> dict[str, Any]:
    """Return a customer whose wallet was adjusted by two of the staff."""
    customer = await api.funded("5.00")
    for caller in (SERVICE, ANOTHER_ADMINISTRATOR):
        await api.adjust(customer, "1.00", caller=caller)
    return customer


async def test_each_is_told_what_they_would_be_told_alone(api: Store) -> None:
    customer = await wallet(api)
    own = Caller(customer["storeCustomerId"])
    of = {"of": {"storeCustomerId": customer["storeCustomerId"]}}
    callers = [ADMINISTRATOR, ANOTHER_ADMINISTRATOR, SUPPORT, FINANCE, SERVICE, own, ADMINISTRATOR, own]
    asked = [
        (caller, fields, {**of, **more})
        for fields in (PLAIN, *TWO)
        for more in ({}, {"all": False})
        for caller in callers
    ]

    with executions(api, shared=True) as shared:
        together = await told(api, asked, 4)
    with executions(api, shared=False) as alone:
        apart = await told(api, asked, 4)

    assert together == apart
    assert alone.total() == len(asked) * 4
    assert shared.total() < alone.total()
    ids = {
        (caller.subject, message["payload"]["data"]["walletUpdated"]["transaction"]["actor"]["id"])
        for (caller, fields, _), messages in zip(asked, together, strict=True)
        for message in messages[:3]
        if fields == WHO
    }
    # Staff are told who of the staff it was, the customer is not: the proof would be worth nothing if all saw the same.
    assert {(ADMINISTRATOR.subject, "adam"), (own.subject, None)} <= ids


async def test_an_event_to_many_is_executed_once(api: Store) -> None:
    customer = await api.funded("5.00")
    of = {"of": {"storeCustomerId": customer["storeCustomerId"]}}
    staff = [Caller(f"staff-{n}", ("administrator",)) for n in range(12)]
    async with AsyncExitStack() as stack:
        sockets: list[Socket] = []
        for n, caller in enumerate(staff):
            socket = await stack.enter_async_context(opened(api.app, caller.headers))
            payload = {"query": UPDATES % PLAIN, "variables": of}
            await socket.send({"type": "subscribe", "id": f"of-{n}", "payload": payload})
            sockets.append(socket)
            assert [(await socket.receive())["type"] for _ in range(2)] == ["next", "next"]
        with executions(api, shared=True) as count:
            await api.adjust(customer, "1.00")
            heard = [await socket.receive() for socket in sockets]

    assert count.total() == 1
    assert [message["id"] for message in heard] == [f"of-{n}" for n in range(12)]
    assert len({str(message["payload"]) for message in heard}) == 1


async def test_variables_that_can_not_be_compared_are_not_shared_and_keep_no_seat(api: Store) -> None:
    customer = await api.funded("5.00")
    deep: list[Any] = []
    for _ in range(400):
        deep = [deep]
    of = {"storeCustomerId": customer["storeCustomerId"]}
    seats = api.app.state.endpoint.gate.subscriptions
    async with opened(api.app, ADMINISTRATOR.headers) as socket:
        payload = {"query": UPDATES % PLAIN, "variables": {"of": of, "unused": deep}}
        message = {"type": "subscribe", "id": "1", "payload": payload}
        await socket.say(json.dumps(message))
        told = [await socket.receive() for _ in range(2)]
        assert [message["type"] for message in told] == ["next", "next"]
        assert api.app.state.endpoint.gate.subscriptions == seats + 1
    assert api.app.state.endpoint.gate.subscriptions == seats


@pytest.mark.parametrize("name", sorted(OF_PERSON - {"identity", "revision"}))
def test_what_is_read_of_a_person_is_written_down(name: str) -> None:
    principal, names = _watched()

    getattr(principal, name)

    assert names == {name}


READERS: list[tuple[Callable[[Any], object], set[str]]] = [
    (lambda p: p.may("WALLETS_READ"), set()),
    (lambda p: (p.kind, p.roles), set()),
    (lambda p: p.owns("somebody"), {"customer_external_id"}),
    (lambda p: p.actor, {"subject"}),
    (hash, {"subject", "expires_at", "customer_external_id"}),
    (repr, {"subject", "expires_at", "customer_external_id"}),
]


@pytest.mark.parametrize(("reader", "names"), READERS)
def test_methods_are_readers_too(reader: Callable[[Any], object], names: set[str]) -> None:
    principal, read = _watched()

    reader(principal)

    assert read == names


def _watched() -> tuple[Any, set[str]]:
    principal = Principal(PrincipalKind.STAFF, "ann")
    context, names = Onlooker(Context(principal, "request", None)).watched()  # type: ignore[arg-type]
    assert isinstance(context.principal, WatchedPrincipal)
    assert isinstance(names, set)
    assert not names
    assert {context.request_id, context.address} == {"request", None}
    assert names == OF_REQUEST
    names.clear()
    return context.principal, names
