"""A stand-in for a WooCommerce store: its REST API on loopback, with the moods of real servers."""

import base64
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from tests.stores import NOW, Json

KEY, SECRET = "ck_made_up", "cs_made_up"


@dataclass
class Fault:
    """What happens to one request instead of an answer, or to its answer."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    delay_s: float = 0.0
    cut: bool = False
    """Close the connection in the middle of the answer."""


class StoreServer:
    """The store: what it has, what it was asked, and what goes wrong next."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.orders: list[Json] = []
        self.products: list[Json] = []
        self.customers: list[Json] = []
        self.refunds: dict[str, list[Json]] = {}
        self.faults: deque[Fault] = deque()
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.clock = NOW
        self.before_answer: Callable[[str, dict[str, str]], None] | None = None
        self.ignores: set[str] = set()
        """Parameters that this store doesn't know."""

    def asked(self, path: str) -> list[dict[str, str]]:
        """Return the parameters of all requests for a path, but for the one that asks the time."""
        return [asked for found, asked in self.requests if found.endswith(path) and "_fields" not in asked]

    def answer(self, path: str, asked: dict[str, str]) -> list[Json] | None:
        known = {name: value for name, value in asked.items() if name not in self.ignores}
        if path.endswith("/refunds"):
            rows = self.refunds.get(path.split("/")[-2])
        elif path == "/wp-json/wc/v3/orders":
            rows = _modified(_with_status(self.orders, known["status"]), known) if "status" in known else []
        elif path == "/wp-json/wc/v3/products":
            rows = _modified(self.products, known)
        elif path == "/wp-json/wc/v3/customers":
            rows = _customers(self.customers, known)
        else:
            rows = None
        if rows is None:
            return None
        size, page = int(known["per_page"]), int(known.get("page", "1"))
        return rows[(page - 1) * size : page * size]


def _with_status(orders: list[Json], status: str) -> list[Json]:
    return [order for order in orders if (order["status"] == "trash") == (status == "trash")]


def _modified(rows: list[Json], asked: dict[str, str]) -> list[Json]:
    after = asked.get("modified_after", "")
    assert not after or asked.get("dates_are_gmt") == "true"
    found = [row for row in rows if row["date_modified_gmt"] > after]
    assert (asked.get("orderby"), asked.get("order")) == ("modified", "asc")
    return sorted(found, key=lambda row: (row["date_modified_gmt"], row["id"]))


def _customers(rows: list[Json], asked: dict[str, str]) -> list[Json]:
    if "include" in asked:
        wanted = asked["include"].split(",")
        return [row for row in rows if str(row["id"]) in wanted]
    found = [row for row in rows if row["role"] == asked["role"]]
    return sorted(found, key=lambda row: row["date_created_gmt"], reverse=True)


@contextmanager
def store_server() -> Iterator[StoreServer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            state.requests.append((parts.path, asked))
            fault = state.faults.popleft() if state.faults else Fault()
            time.sleep(fault.delay_s)
            allowed = "Basic " + base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()
            if self.headers.get("authorization") != allowed:
                fault = Fault(status=401)
            if state.before_answer is not None:
                state.before_answer(parts.path, asked)
            rows = state.answer(parts.path, asked)
            status = 404 if rows is None and fault.status == 200 else fault.status
            body = fault.body if fault.body is not None else json.dumps(rows).encode()
            self._send(status, body, fault)

        def _send(self, status: int, body: bytes, fault: Fault) -> None:
            self.send_response_only(status)
            self.send_header("date", format_datetime(state.clock, usegmt=True))
            self.send_header("content-length", str(len(body)))
            for name, value in fault.headers.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(body[: len(body) // 2] if fault.cut else body)
            except OSError:
                fault.cut = True
            self.close_connection = self.close_connection or fault.cut

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the overridden one
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Clients that hang up are part of the story."""

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state = StoreServer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def gmt(at: datetime) -> str:
    """Write a time as WooCommerce does: in UTC, and without saying so."""
    return at.replace(tzinfo=None).isoformat(timespec="seconds")
