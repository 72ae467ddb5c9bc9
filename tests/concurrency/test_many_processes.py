"""Many processes, one wallet: a thousand debits race for what pays three hundred, while subscribers come and go."""

import asyncio
import os
import random
import subprocess
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from app.db import open_database
from app.services.verification import verify
from tests.caller import ADJUST, WALLET, Caller, UnansweredError, adjustment, opened
from tests.databases import settings_for
from tests.fork_server import fork_server, lines_of
from tests.server import ROOT, ServerProcess, start_together, token

HOT = "hot"
PRICE_MINOR = 700
AFFORDABLE = 300
DEBITS = 1_000
AT_ONCE = 8
"""Requests under way in each of two processes that share SQLite: with one big batch, one of them would take all."""
ACCEPTED, REFUSED = "accepted", "INSUFFICIENT_FUNDS"

CREDIT = adjustment(HOT, "CREDIT", PRICE_MINOR * AFFORDABLE, key="the-money-that-is-there")


def debit(number: int | str) -> dict[str, Any]:
    return adjustment(HOT, "DEBIT", PRICE_MINOR, key=f"debit-{number}")


async def outcome(caller: Caller, number: int) -> str:
    """Debit once, and say what came of it; a server that has too much to do is asked again with the same key."""
    async with asyncio.timeout(120):
        while True:
            with suppress(UnansweredError):
                told = await caller.ask(ADJUST, debit(number))
                return told["userErrors"][0]["code"] if told["userErrors"] else ACCEPTED
            await asyncio.sleep(0.5)


async def spend(caller: Caller, count: int) -> Counter[str]:
    """Debit many times, a few at once."""
    outcomes: Counter[str] = Counter()
    numbers = list(range(count))

    async def take() -> None:
        while numbers:
            outcomes[await outcome(caller, numbers.pop())] += 1

    await asyncio.gather(*(take() for _ in range(AT_ONCE)))
    return outcomes


@dataclass
class Subscriber:
    """Follows the hot wallet at one server, leaving and coming back as it likes, and keeps what it was told.

    Every time but the first it resumes after the last number that it knows.
    """

    server: ServerProcess
    chance: random.Random
    told: list[int] = field(default_factory=list)
    balances: dict[int, str] = field(default_factory=dict)
    sessions: int = 0
    reached: int | None = None

    async def follow(self, last_sequence: asyncio.Future[int]) -> None:
        """Follow until the last transaction is told."""
        await asyncio.sleep(self.chance.uniform(0, 0.5))
        while not (last_sequence.done() and self.reached == last_sequence.result()):
            self.sessions += 1
            stays = self.chance.randrange(20, 120)
            async with opened(self.server.url, token("watcher", "administrator")) as socket:
                updates = socket.updates(HOT, self.reached)
                session = asyncio.create_task(self._listen(updates, stays))
                # Told of the end, a subscriber who has heard everything has nothing to wait for any more.
                either: set[asyncio.Future[Any]] = {session, last_sequence}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                while not session.done():
                    if self.reached == last_sequence.result():
                        session.cancel()
                    await asyncio.wait({session}, timeout=0.05)
                if not session.cancelled():
                    # A server that has too much to do for a snapshot says so; one comes back then, too.
                    with suppress(UnansweredError):
                        session.result()

    async def _listen(self, updates: Any, stays: int) -> None:
        async for update in updates:
            sequence = int(update["sequence"])
            if update["kind"] == "TRANSACTION":
                self.told.append(sequence)
                self.balances[sequence] = update["balance"]["amount"]
            elif self.reached is not None:
                assert sequence == self.reached, "a snapshot is of where its subscriber is"
            self.reached = sequence
            stays -= 1
            if stays == 0:
                return

    def assert_whole(self, last: int) -> None:
        """Whatever it was told, there is no gap and no repeat in it, over all its sessions."""
        assert self.told[-1] == last
        assert [(a, b) for a, b in pairwise(self.told) if b != a + 1] == []
        for sequence, balance in self.balances.items():
            assert balance == f"{(AFFORDABLE - (sequence - 1)) * PRICE_MINOR / 100:.2f}"


def watching(
    servers: list[ServerProcess], *, each: int
) -> tuple[list[Subscriber], asyncio.Task[None], asyncio.Future[int]]:
    """Start subscribers at each server; the future is to be told the last sequence number."""
    subscribers = [Subscriber(server, random.Random(n)) for n, server in enumerate(servers * each)]
    last: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def all_of_them() -> None:
        async with asyncio.timeout(150), asyncio.TaskGroup() as group:
            for subscriber in subscribers:
                group.create_task(subscriber.follow(last))

    return subscribers, asyncio.create_task(all_of_them()), last


async def all_listen(subscribers: list[Subscriber]) -> None:
    """Wait until everybody has had a first snapshot."""
    async with asyncio.timeout(30):
        while any(subscriber.reached is None for subscriber in subscribers):  # noqa: ASYNC110 — two sides of a wire
            await asyncio.sleep(0.02)


async def assert_ledger(database_url: str, *, transactions: int) -> None:
    async with open_database(settings_for(database_url)):
        report = await verify()
    assert report.faults == []
    assert report.is_clean
    assert report.transactions == transactions


@pytest.mark.parametrize("dialect", [pytest.param("postgres", marks=pytest.mark.postgres)])
async def test_four_processes_spend_what_is_there_and_no_more(
    database_url: str, server_on: Callable[..., ServerProcess]
) -> None:
    servers = [server_on(database_url, start=False) for _ in range(4)]
    await asyncio.to_thread(start_together, servers)
    callers = [Caller(server.url, token("ann", "administrator")) for server in servers]
    await callers[0].ask(ADJUST, CREDIT)
    subscribers, watch, last = watching(servers, each=4)
    await all_listen(subscribers)

    numbers = list(range(DEBITS))
    random.Random(1).shuffle(numbers)
    outcomes = await asyncio.gather(*(outcome(callers[n % 4], n) for n in numbers))
    last.set_result(1 + AFFORDABLE)
    await watch

    assert Counter(outcomes) == {ACCEPTED: AFFORDABLE, REFUSED: DEBITS - AFFORDABLE}
    for subscriber in subscribers:
        subscriber.assert_whole(1 + AFFORDABLE)
    assert sum(subscriber.sessions for subscriber in subscribers) > len(subscribers), "some came back"
    balances = {(await caller.ask(WALLET, {"customer": HOT}))["balance"]["amount"] for caller in callers}
    assert balances == {"0.00"}
    for caller in callers:
        await caller.close()
    await assert_ledger(database_url, transactions=1 + AFFORDABLE)
    assert [line for server in servers for line in server.errors()] == []


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_second_process_writes_beside_the_server(
    database_url: str, server_on: Callable[..., ServerProcess]
) -> None:
    """On SQLite there is one server; the command line, or a job, may write beside it."""
    server = server_on(database_url)
    async with Caller(server.url, token("ann", "administrator")) as caller:
        await caller.ask(ADJUST, CREDIT)
        subscribers, watch, last = watching([server], each=8)
        await all_listen(subscribers)

        beside = fork_server().start(
            "tests.concurrency.beside", database_url, str(DEBITS // 2), cwd=ROOT, environment=os.environ,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=2,
        )  # fmt: skip
        assert beside.stdin is not None
        async with lines_of(beside.stdout) as lines:
            assert (await lines.readline()).strip() == b"ready"
            beside.stdin.close()
            outcomes = await spend(caller, DEBITS // 2)
            said = (await lines.read()).decode().split()
        assert await asyncio.to_thread(beside.wait, 60) == 0
        of_second = {ACCEPTED: int(said[0]), REFUSED: int(said[1])}
        last.set_result(1 + AFFORDABLE)
        await watch

        assert outcomes[ACCEPTED] > 0
        assert of_second[ACCEPTED] > 0
        assert outcomes[ACCEPTED] + of_second[ACCEPTED] == AFFORDABLE
        assert outcomes[REFUSED] + of_second[REFUSED] == DEBITS - AFFORDABLE
        for subscriber in subscribers:
            subscriber.assert_whole(1 + AFFORDABLE)
        assert (await caller.ask(WALLET, {"customer": HOT}))["balance"]["amount"] == "0.00"
    await assert_ledger(database_url, transactions=1 + AFFORDABLE)
    assert server.errors() == []
