"""Live balances over websockets: many sockets, one event to all of them, and many events to one each.

    python -m bench.live [--long] [--sockets 10000]

The sockets come as after an outage, all at once, and each watches two wallets: one that all watch, and one of its own.
Client, server and database share the machine, and the client is one process of Python too: its share of the delays is in
the figures. Where the system allows fewer open files, fewer sockets are opened, and the table says so. Each event must
reach each socket that waits for it, once and in order; afterwards `verify` must be clean.
"""

import argparse
import asyncio
import base64
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import cast

import orjson
import uvloop

from app.db import open_database
from app.services.verification import verify
from bench import report
from bench.ledger import database_of, fill, settings_of
from tests.caller import ADJUST as ADJUST_DOCUMENT, UPDATES, Caller, adjustment
from tests.server import ServerProcess, token

SOCKETS = 10_000
FILES_BESIDE = 300
"""Open files that are needed for other things than sockets."""
COMING_AT_ONCE = 500
"""Handshakes that are under way at the same time."""
STORM_TIMEOUT_S, DELIVERY_TIMEOUT_S = 300.0, 60.0
SOCKETS_OF_ONE = 10
"""With two subscriptions each, as many as one caller may have."""
EVERYBODY = "everybody"
EVENTS_PER_S = 1_000

BAR_ALL_MS, BAR_EACH_MS, BAR_MEMORY_KIB, BAR_STORM_S = 200.0, 10.0, 26.0, 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How many events are told."""

    to_all: int
    to_each_s: float


SHORT = Plan(to_all=5, to_each_s=4.0)
LONG = Plan(to_all=30, to_each_s=30.0)


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured; times to all and to each are those of the 99th of a hundred events, in milliseconds."""

    sockets: int
    storm_s: float
    memory_kib: float
    """Of the server, for each socket with two subscriptions."""
    storm_us: float
    """Processor time of the server for each socket that came: the handshake, two subscriptions, two snapshots."""
    all_us: float
    """Processor time of the server for each socket that was told of an event to all."""
    all_p50_ms: float
    all_p99_ms: float
    """The median of the events, each of them the 99th of a hundred sockets, from when the adjustment was asked for."""
    each_per_s: float
    each_p50_ms: float
    each_p99_ms: float
    """From when the adjustment was answered: 0 for an event that came before its answer."""
    each_asked_p99_ms: float
    """From when the adjustment was asked for: the queue, the commit and the answer are part of it."""


def frame(content: bytes, opcode: int = 1) -> bytes:
    """Return a client's frame; a mask of zeros leaves the content as it is."""
    size = len(content)
    head = (
        bytes([0x80 | opcode, 0x80 | size]) if size < 126 else bytes([0x80 | opcode, 0xFE]) + size.to_bytes(2)
    )
    return head + b"\0\0\0\0" + content


class Watcher(asyncio.Protocol):
    """One socket: as little of a client as can be, because thousands share a process."""

    __slots__ = (
        "_buffer",
        "_host",
        "_open",
        "_token",
        "gone",
        "heard",
        "of_all",
        "of_own",
        "on_event",
        "own",
        "transport",
    )

    def __init__(
        self, host: str, bearer: str, own: str, on_event: Callable[["Watcher", bool, float], None]
    ) -> None:
        self._host, self._token, self.own, self.on_event = host, bearer, own, on_event
        self._buffer, self._open = b"", False
        self.heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.of_all: list[int] = []
        self.of_own: list[int] = []
        self.gone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Shake hands."""
        self.transport = cast("asyncio.Transport", transport)
        key = base64.b64encode(os.urandom(16)).decode()
        self.transport.write(
            f"GET /graphql HTTP/1.1\r\nhost: {self._host}\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
            f"sec-websocket-key: {key}\r\nsec-websocket-version: 13\r\n"
            "sec-websocket-protocol: graphql-transport-ws\r\n\r\n".encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the server hung up."""
        self.gone = True
        if not self.heard.done():
            self.heard.set_exception(ConnectionError(f"the socket was closed: {self._buffer[:200]!r} {exc}"))

    def data_received(self, data: bytes) -> None:
        """Read what came."""
        at = time.perf_counter()
        buffer = self._buffer + data
        if not self._open:
            head, end, rest = buffer.partition(b"\r\n\r\n")
            if not end:
                self._buffer = buffer
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self._buffer = head
                self.transport.close()
                return
            self._open, buffer = True, rest
            self._send({"type": "connection_init", "payload": {"token": self._token}})
        while len(buffer) >= 2:
            size, start = buffer[1] & 0x7F, 2
            if size == 126:
                size, start = int.from_bytes(buffer[2:4]), 4
            if len(buffer) < start + size:
                break
            self._take(buffer[0] & 0x0F, buffer[start : start + size], at)
            buffer = buffer[start + size :]
        self._buffer = buffer

    def _take(self, opcode: int, content: bytes, at: float) -> None:
        if opcode == 9:
            self.transport.write(frame(content, opcode=10))
            return
        if opcode != 1:
            self._buffer = content
            self.transport.close()
            return
        message = orjson.loads(content)
        kind = message["type"]
        if kind == "connection_ack":
            self._subscribe("a", EVERYBODY)
            self._subscribe("o", self.own)
        elif kind == "next":
            is_of_all = message["id"] == "a"
            seen = self.of_all if is_of_all else self.of_own
            seen.append(message["payload"]["data"]["walletUpdated"]["sequence"])
            if self.heard.done():
                self.on_event(self, is_of_all, at)
            elif self.of_all and self.of_own:
                self.heard.set_result(None)
        elif kind == "ping":
            self._send({"type": "pong"})
        else:
            raise AssertionError(f"the server said {message}")

    def _subscribe(self, operation_id: str, customer: str) -> None:
        payload = {"query": UPDATES, "variables": {"customer": customer, "after": None}}
        self._send({"type": "subscribe", "id": operation_id, "payload": payload})

    def _send(self, message: dict[str, object]) -> None:
        self.transport.write(frame(orjson.dumps(message)))


class _Bench:
    """The sockets of one run, and what reached them."""

    def __init__(self, server: ServerProcess, customers: Sequence[str]) -> None:
        self._server = server
        self._customers = customers
        self._watchers: list[Watcher] = []
        self._arrived: list[tuple[str, float]] = []
        """Of the own wallet's events: whose, and when."""
        self._expected = 0
        self._all_at: list[float] = []
        self._waiting: asyncio.Event = asyncio.Event()

    async def storm(self) -> float:
        """Open all sockets, and wait until each has heard of its two wallets."""
        host, port = "127.0.0.1", self._server.port
        loop, gate = asyncio.get_running_loop(), asyncio.Semaphore(COMING_AT_ONCE)
        bearers = [
            token(f"watcher-{n}", "administrator") for n in range(len(self._customers) // SOCKETS_OF_ONE + 1)
        ]

        async def come(number: int, own: str) -> None:
            async with gate:
                _, watcher = await loop.create_connection(
                    lambda: Watcher(f"{host}:{port}", bearers[number // SOCKETS_OF_ONE], own, self._note),
                    host,
                    port,
                )
                self._watchers.append(watcher)
                await watcher.heard

        began = time.perf_counter()
        async with asyncio.timeout(STORM_TIMEOUT_S):
            await asyncio.gather(*(come(number, own) for number, own in enumerate(self._customers)))
        return time.perf_counter() - began

    def _note(self, watcher: Watcher, is_of_all: bool, at: float) -> None:
        if is_of_all:
            self._all_at.append(at)
            if len(self._all_at) == len(self._watchers):
                self._waiting.set()
        else:
            self._arrived.append((watcher.own, at))
            if len(self._arrived) == self._expected:
                self._waiting.set()

    async def to_all(self, caller: Caller, events: int) -> tuple[float, float]:
        """Adjust the wallet that all watch, again and again; return the medians of p50 and p99 in milliseconds."""
        p50s, p99s = [], []
        for n in range(events):
            self._all_at.clear()
            self._waiting.clear()
            asked = time.perf_counter()
            await caller.ask(ADJUST_DOCUMENT, adjustment(EVERYBODY, "CREDIT", 1, key=f"all-{n}"))
            async with asyncio.timeout(DELIVERY_TIMEOUT_S):
                await self._waiting.wait()
            took = sorted(at - asked for at in self._all_at)
            p50s.append(took[len(took) // 2] * 1e3)
            p99s.append(took[int(len(took) * 0.99)] * 1e3)
            await asyncio.sleep(0.2)
        return median(p50s), median(p99s)

    async def to_each(self, caller: Caller, seconds: float) -> tuple[float, list[float], list[float]]:
        """Adjust one wallet after another at a steady rate; return the rate, and the delays since answer and question."""
        asked: dict[str, float] = {}
        answered: dict[str, float] = {}
        self._arrived.clear()
        self._waiting.clear()
        # No wallet twice: so an event is told by whose it is.
        chosen = self._customers[: min(len(self._customers), round(EVENTS_PER_S * seconds))]

        self._expected = len(chosen)

        async def adjust(customer: str) -> None:
            asked[customer] = time.perf_counter()
            await caller.ask(ADJUST_DOCUMENT, adjustment(customer, "CREDIT", 1, key=f"each-{customer}"))
            answered[customer] = time.perf_counter()

        began = time.perf_counter()
        tasks = []
        for number, customer in enumerate(chosen):
            # Who is behind hurries: the rate is that of the store's customers, not of this program.
            await asyncio.sleep(max(0.0, began + number / EVENTS_PER_S - time.perf_counter()))
            tasks.append(asyncio.create_task(adjust(customer)))
        await asyncio.gather(*tasks)
        rate = len(chosen) / (time.perf_counter() - began)
        async with asyncio.timeout(DELIVERY_TIMEOUT_S):
            await self._waiting.wait()
        since_answer = [max(0.0, at - answered[own]) * 1e3 for own, at in self._arrived]
        return rate, since_answer, [(at - asked[own]) * 1e3 for own, at in self._arrived]

    def require_order(self, events: int) -> None:
        """Each socket must have heard everything, once and in order."""
        for watcher in self._watchers:
            for heard in (watcher.of_all, watcher.of_own):
                if watcher.gone or heard != list(range(heard[0], heard[0] + len(heard))):
                    raise AssertionError(f"a socket (gone: {watcher.gone}) heard {heard}")
            if len(watcher.of_all) != events + 1:
                raise AssertionError(f"a socket heard {len(watcher.of_all)} times of {events} events")

    def close(self) -> None:
        """Hang up."""
        for watcher in self._watchers:
            watcher.transport.abort()


def sockets_allowed(wanted: int) -> int:
    """Return how many sockets may be opened; the limit is raised as far as the system lets us."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - FILES_BESIDE))


async def run(url: str, folder: Path, plan: Plan, sockets: int) -> Found:
    """Measure."""
    settings = settings_of(url)
    customers = [f"customer-{n}" for n in range(sockets)]
    await fill(settings, [*customers, EVERYBODY])
    with ServerProcess(url, folder=folder, name="live") as server:
        async with Caller(server.url, token("bench", "administrator")) as caller:
            # One of everything first: what is loaded once is not counted to the sockets.
            warm_up = _Bench(server, customers[:1])
            await warm_up.storm()
            warm_up.close()
            before_mb, bench = server.memory_mb(), _Bench(server, customers)
            spent_s = server.processor_s()
            storm_s = await bench.storm()
            storm_us = (server.processor_s() - spent_s) / sockets * 1e6
            memory_kib = (server.memory_mb() - before_mb) * 1024 / sockets
            spent_s = server.processor_s()
            all_p50_ms, all_p99_ms = await bench.to_all(caller, plan.to_all)
            all_us = (server.processor_s() - spent_s) / plan.to_all / sockets * 1e6
            rate, since_answer, since_asked = await bench.to_each(caller, plan.to_each_s)
            bench.require_order(plan.to_all)
            bench.close()
    async with open_database(settings):
        verified = await verify()
    if not verified.is_clean:
        raise AssertionError(f"the ledger is not clean: {verified.faults[:3]} {verified.totals}")
    since_answer.sort()
    return Found(
        sockets,
        storm_s,
        memory_kib,
        storm_us,
        all_us,
        all_p50_ms,
        all_p99_ms,
        rate,
        since_answer[len(since_answer) // 2],
        since_answer[int(len(since_answer) * 0.99)],
        sorted(since_asked)[int(len(since_asked) * 0.99)],
    )


def grid(found: Found) -> report.Grid:
    """Return the table with its bars."""

    def row(what: str, value: float, unit: str, bar: float) -> list[str]:
        return [what, f"{value:,.1f} {unit}", f"≤ {bar:g} {unit}", "yes" if value <= bar else "NO"]

    rows = [
        row(f"{found.sockets:,} sockets come at once", found.storm_s, "s", BAR_STORM_S),
        ["the same, processor time of the server a socket", f"{found.storm_us:,.0f} µs", "", ""],
        row("memory of a socket with two subscriptions", found.memory_kib, "KiB", BAR_MEMORY_KIB),
        row("one event to all, p99 since it was asked for", found.all_p99_ms, "ms", BAR_ALL_MS),
        ["the same, processor time of the server a socket", f"{found.all_us:,.1f} µs", "", ""],
        _of_each(found),
        ["the same, p99 since it was asked for", f"{found.each_asked_p99_ms:,.1f} ms", "", ""],
    ]
    return report.Grid("Live balances over websockets", ("what", "measured", "bar", "reached"), rows)


def _of_each(found: Found) -> list[str]:
    """Return the row of many events to one each; one that was not told often enough has not reached its bar."""
    is_reached = found.each_p99_ms <= BAR_EACH_MS and found.each_per_s >= EVENTS_PER_S * 0.9
    return [
        f"{found.each_per_s:,.0f} events/s to one each, p99 since the answer",
        f"{found.each_p99_ms:,.1f} ms",
        f"≤ {BAR_EACH_MS:g} ms at {EVENTS_PER_S:,}/s",
        "yes" if is_reached else "NO",
    ]


def main(*, long: bool, sockets: int = SOCKETS) -> None:
    """Measure, print the table and write it down."""
    allowed = sockets_allowed(sockets)
    if allowed < sockets:
        print(f"The system allows {allowed:,} sockets of the {sockets:,} wanted (ulimit -n).")
    with database_of("PostgreSQL") as url, tempfile.TemporaryDirectory() as folder:
        found = uvloop.run(run(url, Path(folder), LONG if long else SHORT, allowed))
    said = (
        f"Measured by `python -m bench.live{' --long' if long else ''}` on {report.machine()}: one server process on "
        "PostgreSQL; all sockets are those of one client process on the same cores."
    )
    report.publish("live", said, [grid(found)], json.loads(json.dumps(asdict(found))))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.live", description=__doc__)
    parser.add_argument("--long", action="store_true", help="more events")
    parser.add_argument("--sockets", type=int, default=SOCKETS, help=f"how many sockets ({SOCKETS:,})")
    options = parser.parse_args()
    main(long=options.long, sockets=options.sockets)
