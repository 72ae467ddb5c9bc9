"""Servers are killed while messages are on their way, and several send at once: nothing is lost, and repeats have one id."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from tortoise.connection import get_connection

from app.db import WRITER, open_database
from app.domain.access import Capability, Principal, PrincipalKind
from app.domain.listening import EndpointRequest
from app.models.outbox import OutboxAttempt, OutboxEvent, OutboxMessage
from app.sealing import sealer_of
from app.services import webhook_endpoint as endpoints
from app.services.ledger.writer import Writer
from app.services.webhook_endpoint import Asked
from tests.databases import settings_for
from tests.ledger import credit, running_writer
from tests.outbox.receiver import Receiver, receiving
from tests.server import ServerProcess, start_together

ADA = Principal(PrincipalKind.STAFF, "ada", capabilities=frozenset(Capability))
OPTIONS = {"webhook_private_addresses": True, "outbox_interval_s": 0.05, "outbox_at_once_each": 4}


async def listen(writer: Writer, url: str) -> None:
    """Have this address told of transactions."""
    wanted = EndpointRequest(url, "", ("transaction.*",))
    asked = Asked(ADA, "Agreed with the owner in May", "key-1")
    sealer = sealer_of(settings_for("sqlite://"))
    await endpoints.create(writer, sealer, wanted, asked, private=True)


async def move(writer: Writer, count: int) -> None:
    """Commit so many transactions."""
    await asyncio.gather(*(writer.submit(credit(f"c{number}", 500)) for number in range(count)))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 — another process does it
            await asyncio.sleep(0.02)


async def worked_off(count: int) -> None:
    """Wait until so many messages were delivered."""
    async with asyncio.timeout(60):
        while await OutboxMessage.filter(status="DELIVERED").count() < count:  # noqa: ASYNC110 — the same
            await asyncio.sleep(0.05)


def told(receiver: Receiver) -> Counter[str]:
    """How often each message came, by its id; the transactions that they tell of are different ones."""
    ids = {came.headers["webhook-id"] for came in receiver.came}
    posted = {json.loads(came.body)["data"]["transaction"]["id"] for came in receiver.came}
    assert len(ids) == len(posted)
    return Counter(came.headers["webhook-id"] for came in receiver.came)


async def test_kill_9_loses_nothing_and_repeats_have_one_id(
    database_url: str, server_on: Callable[..., ServerProcess]
) -> None:
    server = server_on(database_url, start=False, **OPTIONS)
    async with receiving(status=200, gate=asyncio.Event()) as receiver:
        assert receiver.gate is not None
        async with (
            open_database(settings_for(database_url)),
            running_writer(lambda: datetime.now(UTC)) as writer,
        ):
            await listen(writer, receiver.url)
            await asyncio.to_thread(server.start)
            await move(writer, 20)
            # Killed between the receiver's reading and the server's writing down that it answered.
            await until(lambda: len(receiver.came) == 4)
            server.kill()
            receiver.gate.set()
            # Nobody relays these: they lie in the database with what they tell of.
            await move(writer, 5)
            assert await OutboxEvent.filter(relayed_at=None).count() == 5
            # The leases of the one that was killed run out.
            await get_connection(WRITER).execute_query(
                "UPDATE outbox_messages SET next_attempt_at = created_at WHERE next_attempt_at IS NOT NULL"
            )
            await asyncio.to_thread(server.start)
            await worked_off(25)
            came = told(receiver)
            assert len(came) == 25
            # What was on its way came again; nothing else did.
            assert Counter(came.values()) == {1: 21, 2: 4}
            assert await OutboxAttempt.all().count() == 25


async def test_several_servers_send_each_message_once(
    dialect: str, database_url: str, server_on: Callable[..., ServerProcess]
) -> None:
    servers = [
        server_on(database_url, start=False, **OPTIONS) for _ in range(1 if dialect == "sqlite" else 3)
    ]
    await asyncio.to_thread(start_together, servers)
    async with (
        receiving(status=200) as receiver,
        open_database(settings_for(database_url)),
        running_writer(lambda: datetime.now(UTC)) as writer,
    ):
        await listen(writer, receiver.url)
        for _ in range(5):
            await move(writer, 30)
        await worked_off(150)
        assert Counter(told(receiver).values()) == {1: 150}
        assert await OutboxAttempt.all().count() == 150
    assert [line for server in servers for line in server.errors()] == []
