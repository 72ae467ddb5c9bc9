"""The server as a process of its own: how it ends, how it replaces a worker, and what a flood does to it."""

import asyncio
import gc
import json
import os
import re
import secrets
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from subprocess import PIPE, Popen
from types import SimpleNamespace
from typing import Any

import httpx
import psutil
import pytest
import uvicorn
import websockets
from tortoise.connection import get_connection
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from app.db import READER, open_database
from app.serving import COLLECT_YOUNG, BoundedProtocol, drain_of, settle_memory
from tests.databases import settings_for
from tests.fork_server import Forked, fork_server, lines_of
from tests.test_operations import SECRET, token

ROOT = Path(__file__).parent.parent
PATIENCE_S = 60


class Server:
    """A running `serve`."""

    def __init__(self, process: Forked | Popen[bytes], address: str) -> None:
        self.process = process
        self.address = address
        self.log: list[str] = []
        self._is_told = False

    def terminate(self) -> None:
        """Tell it to stop, once: a process that has done all it had to no longer listens, and a second word would end it."""
        if not self._is_told:
            self._is_told = True
            self.process.send_signal(signal.SIGTERM)

    async def stop(self) -> int:
        """Tell it to stop, and return its exit code."""
        self.terminate()
        return await asyncio.to_thread(self.process.wait, PATIENCE_S)


@asynccontextmanager
async def served(database_url: str, tmp_path: Path, **settings: object) -> AsyncIterator[Server]:
    """Serve a database while the block runs."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("COFFER_")},
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "COFFER_DATABASE_URL": database_url,
        "COFFER_JWT_SECRET": SECRET,
        "COFFER_LOG_FORMAT": "json",
        **{f"COFFER_{name.upper()}": str(value) for name, value in settings.items()},
    }
    process: Forked | Popen[bytes]
    if "workers" in settings:
        # Its workers are started from nothing, and load what their parent's interpreter was started with.
        command = [sys.executable, "-m", "app", "serve", "--port", "0"]
        process = Popen(command, cwd=tmp_path, env=environment, stderr=PIPE, start_new_session=True)  # noqa: ASYNC220
    else:
        process = fork_server().start(
            "app", "serve", "--port", "0", cwd=tmp_path, environment=environment, stderr=PIPE
        )
    async with lines_of(process.stderr) as lines:
        async with asyncio.timeout(PATIENCE_S):
            line = (await lines.readline()).decode()
        match = re.search(r"http://localhost:(\d+)", line)
        assert match, line
        server = Server(process, f"http://127.0.0.1:{match[1]}")
        reading = asyncio.create_task(_read(lines, server.log))
        try:
            await eventually(lambda: ready(server))
            yield server
        finally:
            await server.stop()
            await reading


async def _read(lines: asyncio.StreamReader, log: list[str]) -> None:
    while line := await lines.readline():
        log.append(line.decode())


async def ready(server: Server) -> bool:
    """Tell whether the server is ready."""
    async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
        try:
            return (await client.get(f"{server.address}/readyz")).status_code == 200
        except httpx.TransportError:
            return False


async def eventually(is_so: Callable[[], Any]) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not await is_so():  # noqa: ASYNC110 - another process has no event to give
            await asyncio.sleep(0.1)


def adjustment() -> dict[str, Any]:
    """Return a mutation that nobody sent before."""
    query = """mutation Pay($key: String!) { adjustBalance(input: {
      wallet: {storeCustomerId: "c-1"}, direction: CREDIT, amount: {amount: "1.00", currency: "USD"},
      note: "Parcel of order 1042 arrived broken", reason: GOODWILL, idempotencyKey: $key
    }) { userErrors { code } } }"""
    return {"query": query, "variables": {"key": secrets.token_hex(8)}}


@pytest.mark.slow
async def test_a_stop_loses_nothing(database_url: str, tmp_path: Path) -> None:
    """While it stops: 503 where readiness is asked for, sockets with 1012, and what was answered is kept."""
    answered = 0
    others: list[object] = []
    async with served(database_url, tmp_path, drain_delay_s=1.0) as server:
        url = f"{server.address}/graphql"
        stopped = asyncio.Event()

        async def pay() -> None:
            nonlocal answered
            async with httpx.AsyncClient(headers=token(), timeout=PATIENCE_S) as client:
                while not stopped.is_set():
                    try:
                        answer = await client.post(url, json=adjustment())
                    except httpx.TransportError as error:
                        others.append(error)
                        return
                    if answer.status_code == 200 and "errors" not in answer.json():
                        answered += 1
                    else:
                        others.append(answer.json()["errors"][0]["extensions"]["code"])
                        return

        async with httpx.AsyncClient(headers=token(), timeout=PATIENCE_S) as client:
            assert (await client.post(url, json=adjustment())).status_code == 200
        answered += 1
        payers = [asyncio.create_task(pay()) for _ in range(8)]
        async with websockets.connect(
            url.replace("http", "ws"), subprotocols=[websockets.Subprotocol("graphql-transport-ws")]
        ) as socket:
            await socket.send(json.dumps({"type": "connection_init", "payload": token()}))
            await socket.send(
                json.dumps(
                    {
                        "id": "1",
                        "type": "subscribe",
                        "payload": {
                            "query": 'subscription { walletUpdated(wallet: {storeCustomerId: "c-1"}) { sequence } }'
                        },
                    }
                )
            )
            told: dict[str, Any] = {}
            for _ in range(4):
                told = json.loads(await asyncio.wait_for(socket.recv(), PATIENCE_S))
            assert told["type"] == "next"
            server.terminate()
            async with httpx.AsyncClient(timeout=PATIENCE_S) as client:

                async def is_draining() -> bool:
                    return (await client.get(f"{server.address}/readyz")).status_code == 503

                await eventually(is_draining)
            with suppress(websockets.ConnectionClosed):
                while True:
                    await asyncio.wait_for(socket.recv(), PATIENCE_S)
            assert socket.close_code == 1012
        await asyncio.gather(*payers)
        assert await server.stop() == 0
    assert {other for other in others if isinstance(other, str)} <= {"SERVICE_UNAVAILABLE"}
    async with open_database(settings_for(database_url)):
        rows = await get_connection(READER).execute_query_dict("SELECT count(*) AS n FROM transactions")
    unanswered = sum(not isinstance(other, str) for other in others)
    assert answered <= rows[0]["n"] <= answered + unanswered
    assert answered > 8
    assert not [line for line in server.log if '"level":"error"' in line]


def is_worker(process: psutil.Process) -> bool:
    """Tell whether a child is a worker, and alive: multiprocessing has a helper of its own."""
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except (psutil.ZombieProcess, psutil.NoSuchProcess):
        return False


async def counted(server: Server) -> float:
    """Return how many operations a new connection is told of."""
    async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
        shown = (await client.get(f"{server.address}/metrics")).text
    lines = [line for line in shown.splitlines() if line.startswith("coffer_operations_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


@pytest.mark.parametrize("dialect", [pytest.param("postgres", marks=pytest.mark.postgres)])
async def test_several_workers(database_url: str, tmp_path: Path) -> None:
    """One that is killed is replaced, and all of them drain."""

    async with served(database_url, tmp_path, workers=2) as server:
        parent = psutil.Process(server.process.pid)

        def workers() -> list[psutil.Process]:
            return [child for child in parent.children() if is_worker(child)]

        def begun() -> int:
            # One that is still being loaded has nothing to finish in good order yet.
            return sum("Application startup complete" in line for line in server.log)

        async def are_two() -> bool:
            return len(workers()) == 2 and begun() == 2

        await eventually(are_two)
        victim = workers()[0]
        victim.kill()

        async def is_replaced() -> bool:
            pids = [child.pid for child in workers()]
            return len(pids) == 2 and victim.pid not in pids and begun() == 3

        await eventually(is_replaced)
        async with httpx.AsyncClient(headers=token(), timeout=PATIENCE_S) as client:
            for _ in range(20):
                answer = await client.post(f"{server.address}/graphql", json=adjustment())
                assert answer.json()["data"]["adjustBalance"]["userErrors"] == []

        async def are_all_counted() -> bool:
            return await counted(server) == 20

        # Whichever of them answers.
        for _ in range(8):
            await eventually(are_all_counted)
        assert await server.stop() == 0
        assert sum("Finished server process" in line for line in server.log) == 2


@pytest.mark.slow
@pytest.mark.parametrize("dialect", [pytest.param("postgres", marks=pytest.mark.postgres)])
async def test_workers_end_in_good_order_when_their_supervisor_is_killed(
    database_url: str, tmp_path: Path
) -> None:
    """Nobody would replace them, and the next server would find its port taken."""
    async with served(database_url, tmp_path, workers=2) as server:

        async def are_two() -> bool:
            return sum("Application startup complete" in line for line in server.log) == 2

        await eventually(are_two)
        workers = [c for c in psutil.Process(server.process.pid).children() if is_worker(c)]
        server.process.kill()
        _, alive = await asyncio.to_thread(psutil.wait_procs, workers, PATIENCE_S)
        for worker in alive:
            worker.kill()
        assert alive == []
    assert sum("Finished server process" in line for line in server.log) == 2


IDLE, RUDE = (int(number) for number in os.environ.get("COFFER_TEST_FLOOD", "300,50").split(","))
HONEST = 25


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_flood(
    database_url: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Hundreds who say nothing and dozens who misbehave: honest requests go on being answered."""
    async with served(database_url, tmp_path, body_timeout_s=2, body_size_max_bytes=4096) as server:
        host, port = "127.0.0.1", int(server.address.rpartition(":")[2])
        idle = [await asyncio.open_connection(host, port) for _ in range(IDLE)]
        enough = asyncio.Event()
        rude = [asyncio.create_task(misbehave(host, port, number, enough)) for number in range(RUDE)]
        durations_s = []
        async with httpx.AsyncClient(headers=token(), timeout=PATIENCE_S) as client:
            for _ in range(HONEST):
                started_s = time.monotonic()
                answer = await client.post(f"{server.address}/graphql", json=adjustment())
                durations_s.append(time.monotonic() - started_s)
                assert answer.json()["data"]["adjustBalance"]["userErrors"] == []
        enough.set()
        await asyncio.gather(*rude)
        for _, writer in idle:
            writer.close()
        durations_s.sort()
        record_property("median_s", round(durations_s[HONEST // 2], 3))
        assert durations_s[HONEST // 2] < 2
        assert await ready(server)
    assert not [line for line in server.log if '"level":"error"' in line]
    assert len(server.log) < 600 * max(1, RUDE // 50)


HEAD = "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
MANNERS = (
    # A body that never ends, a body that hardly moves, a head that never ends, one that is too large, no HTTP.
    (f"{HEAD}Transfer-Encoding: chunked\r\n\r\n", "1000\r\n" + "x" * 4096 + "\r\n"),
    (f"{HEAD}Content-Length: 1000\r\n\r\n", "x"),
    (HEAD, "X-Y: z\r\n"),
    (HEAD, "X-Y: " + "z" * 8000 + "\r\n"),
    ("\x00\x01", "\x02\x03"),
)


async def misbehave(host: str, port: int, number: int, enough: asyncio.Event) -> None:
    """Send what is none of the server's business again and again, also after it has hung up."""
    beginning, more = MANNERS[number % len(MANNERS)]
    while not enough.is_set():
        with suppress(OSError):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(beginning.encode("latin-1"))
                while not enough.is_set() and not reader.at_eof():
                    writer.write(more.encode("latin-1"))
                    await writer.drain()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(reader.read(65_536), 0.05)
            finally:
                writer.close()


# --- a connection before it is a request ----------------------------------------------------------------


async def test_a_head_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    from starlette.applications import Starlette  # noqa: PLC0415

    monkeypatch.setattr("app.serving.HEAD_TIMEOUT_S", 0.3)
    config = uvicorn.Config(Starlette(), http=BoundedProtocol, log_config=None, lifespan="off", port=0)
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        for beginning in (b"", b"GET / HTTP/1.1\r\nX: "):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(beginning)
            assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
            writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            # Answered in time, and waited for again.
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"404" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\nNot Found"), PATIENCE_S)
        writer.write(b"GET / HTTP/1.1\r\nX: " + b"y" * 66_000)
        assert b"400 Bad Request" in await asyncio.wait_for(reader.read(), PATIENCE_S)
        writer.close()
    finally:
        await server.shutdown()


@asynccontextmanager
async def refusing() -> AsyncIterator[int]:
    """Serve what refuses each request before it has read the body, and hangs up; yields the port."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"9"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": b"too large"})

    config = uvicorn.Config(application, http=BoundedProtocol, log_config=None, lifespan="off", port=0)
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield int(server.servers[0].sockets[0].getsockname()[1])
    finally:
        await server.shutdown()


async def test_who_is_refused_while_they_send_hears_why() -> None:
    """A proxy passes on all of a body before it reads an answer: a connection that is closed meanwhile is a 502."""

    def send_all_then_read(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n")
            for _ in range(30):
                connection.sendall(b"x" * 100_000)
            answer = b""
            while more := connection.recv(65_536):
                answer += more
            return answer

    async with refusing() as port:
        answer = await asyncio.to_thread(send_all_then_read, port)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.endswith(b"too large")


@pytest.mark.parametrize("bound", ["LINGER_S", "LINGER_BYTES_MAX"])
async def test_who_goes_on_sending_what_was_refused_is_cut_off(
    bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.serving.LINGER_S", 0.1 if bound == "LINGER_S" else PATIENCE_S)
    monkeypatch.setattr("app.serving.LINGER_BYTES_MAX", 1_000_000 if bound != "LINGER_S" else 10**9)
    async with refusing() as port, asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
        assert (await reader.read()).endswith(b"too large")

        async def go_on() -> None:
            while True:
                writer.write(b"x" * 10_000)
                await writer.drain()

        with pytest.raises(ConnectionError):
            await go_on()
        writer.transport.abort()


def test_an_application_is_found_below_what_is_wrapped_around_it() -> None:
    class Wrapper:
        def __init__(self, app: object) -> None:
            self.app = app

    async def drain() -> None:
        """Do nothing."""

    application = SimpleNamespace(state=SimpleNamespace(drain=drain))
    assert drain_of(Wrapper(Wrapper(application))) is drain
    assert drain_of(Wrapper(object())) is None


def test_what_was_loaded_at_the_start_is_left_alone_by_a_collector_that_still_works() -> None:
    before = gc.get_threshold()
    try:
        settle_memory()
        assert gc.isenabled()
        assert gc.get_threshold()[0] == COLLECT_YOUNG
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


# --- answers are uvicorn's, byte for byte -----------------------------------------------------------------


class Wire(asyncio.Transport):
    """A connection that keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 50_000), "sockname": ("127.0.0.1", 80)})
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        """Go on."""

    def resume_reading(self) -> None:
        """Go on."""


def start(*headers: tuple[bytes, bytes], status: int = 200) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(text: bytes = b"{}", *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": text, "more_body": more}


async def said(protocol_class: type[HttpToolsProtocol], request: bytes, messages: list[Any]) -> list[Any]:
    """Ask twice over one connection; return what was written each time, and whether it was closed."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        for message in messages:
            await send(dict(message))

    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")
    config.load()
    state = ServerState()
    state.default_headers = [(b"date", b"Sun, 22 Nov 2026 09:00:00 GMT")]
    protocol, wire, found = protocol_class(config, state, {}), Wire(), list[Any]()
    protocol.connection_made(wire)
    try:
        for _ in range(2):
            if not wire.closed:
                protocol.data_received(request)
            while state.tasks:  # noqa: ASYNC110 - tasks that end have no event to give
                await asyncio.sleep(0)
            found.append((wire.written, wire.closed))
            wire.written = b""
    finally:
        protocol.connection_lost(None)
    return found


LENGTH, TYPE = (b"content-length", b"2"), (b"content-type", b"application/json")


@pytest.mark.parametrize("head", [b"GET / HTTP/1.1", b"HEAD / HTTP/1.1", b"GET / HTTP/1.0"])
@pytest.mark.parametrize(
    "messages",
    [
        [start(LENGTH, TYPE), body()],
        [start(LENGTH, TYPE, (b"x-request-id", b"abc")), body(b"{", more=True), body(b"}")],
        [start(TYPE), body()],
        [start(TYPE), body(more=True), body(b"")],
        [start(LENGTH, (b"connection", b"close")), body()],
        [start(LENGTH, (b"connection", b"keep-alive")), body()],
        [start((b"transfer-encoding", b"chunked")), body()],
        [start(LENGTH, (b"x-a", b"b\r\nx-c: d")), body()],
        [start(LENGTH), body(b"{ }")],
        [start(LENGTH), body(b"{")],
        [start(LENGTH)],
        [start(status=204), body(b"")],
        [start((b"content-length", b"0"), status=304), body(b"")],
        [start(LENGTH, status=503), body()],
        [{"type": "http.response.start", "status": 200}, body()],
        [body()],
        [start(LENGTH), start(LENGTH)],
        [start(LENGTH), body(), body()],
        [],
    ],
)
async def test_answers_are_written_as_uvicorn_writes_them(head: bytes, messages: list[Any]) -> None:
    request = head + b"\r\nhost: x\r\n\r\n"
    expected = await said(HttpToolsProtocol, request, messages)
    assert await said(BoundedProtocol, request, messages) == expected
