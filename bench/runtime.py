"""What the event loop, the parser of HTTP and the garbage collector's settings are worth: python -m bench.runtime [--long]

The server as it is served, and with one part of it replaced at a time, on SQLite; the variants take turns.
"""

import json
import os
import sys
import tempfile
import threading
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from urllib.request import Request, urlopen

import uvicorn
import uvloop
from rich.progress import Progress

from app.main import create_app
from app.observability import configure_logging
from app.serving import DrainingServer
from bench import report, wrk
from bench.http import WALLET, body_of, wait_until_idle
from bench.ledger import database_of, fill, settings_of
from bench.load import Processes
from bench.peers.process import Peer
from tests.server import token

WALLETS, CONNECTIONS = 200, 32
SERVED = "as served: uvloop, httptools, collector settled"
VARIANTS = {
    SERVED: ("uvloop", "httptools", "settled"),
    "asyncio's own loop": ("asyncio", "httptools", "settled"),
    "h11": ("uvloop", "h11", "settled"),
    "collector as Python has it": ("uvloop", "httptools", "default"),
}
_ID = "query Id($customer: String!) { wallet(by: { storeCustomerId: $customer }) { id } }"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One variant in one round."""

    variant: str
    per_second: float
    p99_ms: float
    max_ms: float
    server_us: float


def serve(loop: str, http: str, collector: str) -> None:
    """Serve a variant; address and secret come by the environment, as a peer's do."""
    port = int(os.environ["PORT"])
    settings = settings_of(
        os.environ["DATABASE_URL"],
        jwt_secret=os.environ["JWT_SECRET"],
        log_level="warning",
        log_format="json",
    )
    configure_logging(json=True, level="warning")
    config = uvicorn.Config(
        create_app(settings),
        port=port,
        loop=loop,
        http="app.serving:BoundedProtocol" if http == "httptools" else http,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
    )
    (DrainingServer if collector == "settled" else uvicorn.Server)(config).run()


def run(rounds: int, duration_s: int) -> list[Measurement]:
    """Measure all variants, round by round."""
    found = []
    with ExitStack() as stack:
        progress = stack.enter_context(Progress(transient=True))
        url = stack.enter_context(database_of("SQLite"))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        customers = [f"customer-{n}" for n in range(WALLETS)]
        uvloop.run(fill(settings_of(url), customers))
        servers = {
            name: stack.enter_context(
                Peer(
                    [sys.executable, "-m", "bench.runtime", "serve", *parts],
                    url,
                    folder=folder,
                    name=parts[0],
                )
            )
            for name, parts in VARIANTS.items()
        }
        bearer = token("bench", "administrator")
        ids = [_wallet_id(servers[SERVED].url, bearer, customer) for customer in customers]
        bodies = [body_of(WALLET, id=wallet_id) for wallet_id in ids]
        task = progress.add_task("runtime", total=(rounds + 1) * len(servers))
        for turn in range(rounds + 1):
            for name, server in servers.items():
                measured = _measure(
                    name, server, bodies=bodies, bearer=bearer, duration_s=duration_s, folder=folder
                )
                # The first round only warms up.
                found += [measured] if turn else []
                progress.advance(task)
    return found


def _measure(
    name: str, server: Peer, *, bodies: list[str], bearer: str, duration_s: int, folder: Path
) -> Measurement:
    process = Processes(server.pid)
    before_s = process.cpu_s()
    told = wrk.send(
        f"{server.url}/graphql",
        bodies,
        token=bearer,
        prefix="",
        connections=CONNECTIONS,
        duration_s=duration_s,
        folder=folder,
    )
    wait_until_idle(process)
    spent_us = (process.cpu_s() - before_s) / (told.requests + CONNECTIONS) * 1e6
    return Measurement(name, told.per_second, told.p99_ms, told.max_ms, spent_us)


def _wallet_id(url: str, bearer: str, customer: str) -> str:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {bearer}"}
    request = Request(f"{url}/graphql", body_of(_ID, customer=customer).encode(), headers)  # noqa: S310 — our own server
    with urlopen(request, timeout=30) as response:  # noqa: S310 — as above
        return str(json.load(response)["data"]["wallet"]["id"])


def main(*, long: bool) -> None:
    """Measure, print the table and write it down."""
    if not wrk.is_here():
        print(f"bench.runtime is left out: {wrk.MISSING}")
        return
    rounds = 7 if long else 3
    found = run(rounds, 5 if long else 2)
    of = partial(_of, found)
    rows = []
    for variant in VARIANTS:
        times = [a.per_second / b.per_second for a, b in zip(of(variant), of(SERVED), strict=True)]
        rows.append(
            [
                variant,
                report.rate_of([each.per_second for each in of(variant)]),
                f"{report.ms(e.p99_ms for e in of(variant))} / {report.ms(e.max_ms for e in of(variant))}",
                f"{median(each.server_us for each in of(variant)):,.0f}",
                f"{median(times):.2f}",
            ]
        )
    head = ("variant", "per second", "p99 / longest ms", "µs of CPU", "of the rate as served")
    said = (
        f"Measured by `python -m bench.runtime{' --long' if long else ''}` on {report.machine()}: medians of {rounds} "
        f"interleaved rounds; wallets by id on SQLite, {CONNECTIONS} connections, one process of each variant."
    )
    grid = report.Grid("The runtime, one part replaced at a time", head, rows)
    report.publish("runtime", said, [grid], [asdict(each) for each in found])


def _of(found: list[Measurement], variant: str) -> list[Measurement]:
    return [each for each in found if each.variant == variant]


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        threading.Thread(target=_end_with_parent, daemon=True).start()
        serve(*sys.argv[2:])
    else:
        main(long=report.asked_for_long())
