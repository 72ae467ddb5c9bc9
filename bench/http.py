"""GraphQL over HTTP: adjustments and reads per second of one server process, measured with wrk.

    python -m bench.http [--long]

The server is a process of its own, as in production; wrk signs in with a real token and gives each adjustment a
key of its own. Afterwards there must be as many keys as wrk counted answers, and `verify` must be clean.
"""

import asyncio
import json
import random
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import Request, urlopen

import uvloop
from rich.progress import Progress
from tortoise.connection import get_connection

from app.db import READER, open_database
from app.domain.access import Actor, ActorKind
from app.services.verification import verify
from app.settings import Settings
from bench import report, wrk
from bench.ledger import DATABASES, database_of, fill, server_of, settings_of
from bench.load import Processes, unlimited
from bench.ways import NOTE, Coffer, Target
from tests.server import token

WALLETS = 10_000
WITH_HISTORY = 100
TRANSACTIONS = 60
"""Transactions of each wallet that is read."""

ADJUST = """
mutation Adjust($input: AdjustBalanceInput!) {
  adjustBalance(input: $input) {
    wallet { id balance { amount currency } }
    transaction { id reference sequence }
    userErrors { code message field }
  }
}
"""
WALLET = """
query Wallet($id: ID!) {
  wallet(by: { id: $id }) { id status sequence updatedAt balance { amount currency } available { amount } }
}
"""
HISTORY = """
query History($id: ID!) {
  wallet(by: { id: $id }) {
    id
    transactions(first: 50) {
      nodes { id reference kind amount { amount currency } balanceAfter { amount } note createdAt }
    }
  }
}
"""
LIST = """
query List {
  wallets(first: 50) {
    nodes { id status balance { amount currency } lastActivityAt customer { id storeCustomerId name email } }
    pageInfo { hasNextPage endCursor }
  }
}
"""
AUTHORIZE = """
mutation Authorize($input: AuthorizePaymentInput!) {
  authorizePayment(input: $input) {
    payment { id reference status }
    wallet { id balance { amount currency } }
    userErrors { code message field }
  }
}
"""
CAPTURE = """
mutation Capture($input: CapturePaymentInput!) {
  capturePayment(input: $input) {
    payment { id reference status }
    wallet { id balance { amount currency } }
    userErrors { code message field }
  }
}
"""
PAY = "mutation Pay($input: PayOrderInput!) { payOrder(input: $input) { payment { id } userErrors { message } } }"
RECORD = "mutation Record($input: RecordOrderInput!) { recordOrder(input: $input) { order { id } userErrors { message } } }"
ORDERS = """
query Orders {
  orders(first: 50) {
    nodes {
      id externalId status total { amount currency } customer { storeCustomerId name }
      payments { id reference status captured { amount } } refunds { id reference amount { amount } }
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""
IDS = "query Ids($id: String!) { wallet(by: { storeCustomerId: $id }) { id } }"


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how often each measurement is taken."""

    rounds: int
    duration_s: int
    connections: tuple[int, ...]
    """How many connections adjust at once; reads have one number of them."""


SHORT = Plan(rounds=3, duration_s=2, connections=(64,))
LONG = Plan(rounds=5, duration_s=5, connections=(16, 64, 256))
READING = 64
READING_ORDERS = 8
"""A page of orders is by far the heaviest: more at once, and a slow machine says that it has enough to do."""
SPREAD = "adjustBalance, 10,000 wallets"
PAIR = "authorizePayment + capturePayment, 10,000 wallets"
"""Two requests for each order: its rate is told in orders, not in requests."""
SHARE_MIN = 1 / 3
"""Paying an order is two requests, each of which does more than an adjustment: this much of its rate is promised."""
IDLE_CPU_S, IDLE_TIMEOUT_S = 0.02, 20.0


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of request, sent by so many connections at once."""

    name: str
    connections: int
    bodies: tuple[str, ...]
    writes: bool = False
    pays: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """What wrk told of one run, and what it cost."""

    database: str
    case: str
    connections: int
    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    server_us: float
    """Processor time of the server for each request."""
    database_us: float
    """Processor time of the database's own processes for each request."""


def run(plan: Plan) -> list[Answered]:
    """Measure everything; a terminal shows how far it is."""
    found: list[Answered] = []
    with Progress(transient=True) as progress, tempfile.TemporaryDirectory() as folder:
        for database in DATABASES:
            task = progress.add_task(database, total=None)
            with database_of(database) as url:
                bench = _Bench(database, settings_of(url), plan, Path(folder))
                found += uvloop.run(bench.run(partial(progress.update, task)))
    return found


class _Bench:
    """The measurements on one database."""

    def __init__(self, database: str, settings: Settings, plan: Plan, folder: Path) -> None:
        self._database = database
        self._settings = settings
        self._plan = plan
        self._folder = folder
        self._token = token("bench", "administrator")
        self._url = ""

    async def run(self, on_measured: Callable[..., object]) -> list[Answered]:
        """Fill the database, start the server, let wrk ask."""
        customers = [f"customer-{n}" for n in range(WALLETS)]
        targets = await fill(self._settings, customers)
        await give_history(self._settings, targets[:WITH_HISTORY])
        found, answered, paired = [], 0, 0
        name = f"server-{self._database}"
        with unlimited(self._settings.database_url, self._folder, name) as server:
            self._url = f"{server.url}/graphql"
            self._sell(customers[:WITH_HISTORY])
            turns = list(product(range(self._plan.rounds + 1), self._cases(customers)))
            async with server_of(self._settings) as database:
                for number, (turn, case) in enumerate(turns, 1):
                    sample = self._measure(case, Processes(server.pid), database)
                    answered += sample.requests if case.writes else 0
                    paired += sample.requests if case.pays else 0
                    # The first round only warms up.
                    found += [sample] if turn else []
                    on_measured(completed=number, total=len(turns))
            server.stop()
        in_flight = sum(case.connections for _, case in turns if case.writes)
        await require_adjustments(self._settings, answered, in_flight)
        await self._require_pairs(paired, sum(case.connections for _, case in turns if case.pays))
        return found

    def _sell(self, customers: list[str]) -> None:
        """Orders that were paid with the wallet and refunded in part, for the list of them."""
        seller = token("seller", "administrator")
        for customer in customers:
            order = {"source": "bench", "externalId": f"sold-{customer}"}
            paid = {
                "wallet": {"storeCustomerId": customer},
                "order": order,
                "amount": {"amount": "0.50", "currency": "USD"},
                "idempotencyKey": f"sold-{customer}",
            }
            told = order | {
                "modifiedAt": "2026-01-01T00:00:00Z",
                "status": "COMPLETED",
                "currency": "USD",
                "total": "0.50",
                "customer": {"storeCustomerId": customer},
                "refunds": [{"storeRefundId": str(n), "amount": "0.10"} for n in range(2)],
            }
            self._post(body_of(PAY, input=paid), seller)
            self._post(body_of(RECORD, input=told), seller)

    def _cases(self, customers: list[str]) -> Iterator[Case]:
        ids = [self._ask(IDS, id=customer)["data"]["wallet"]["id"] for customer in customers[:WITH_HISTORY]]
        shuffled = random.sample(customers, len(customers))
        spread = tuple(body_of(ADJUST, input=adjustment_of(customer)) for customer in shuffled)
        hot = (body_of(ADJUST, input=adjustment_of("customer-0")),)
        for connections in self._plan.connections:
            yield Case(SPREAD, connections, spread, writes=True)
            yield Case("adjustBalance, one wallet", connections, hot, writes=True)
            pair = (
                body_of(AUTHORIZE, input=_authorization()),
                body_of(CAPTURE, input={"paymentId": "PAYMENT", "idempotencyKey": "KEY"}),
            )
            yield Case(PAIR, connections, (*pair, *shuffled), pays=True)
        yield Case("orders, 50 with payments and refunds", READING_ORDERS, (body_of(ORDERS),))
        yield Case("wallet, 6 fields", READING, tuple(body_of(WALLET, id=wallet_id) for wallet_id in ids))
        yield Case(
            "wallet, 50 transactions", READING, tuple(body_of(HISTORY, id=wallet_id) for wallet_id in ids)
        )
        yield Case("wallets, 50 with customers", READING, (body_of(LIST),))

    def _ask(self, query: str, **variables: Any) -> dict[str, Any]:
        return self._post(body_of(query, **variables))

    def _post(self, body: str, caller: str | None = None) -> dict[str, Any]:
        bearer = f"Bearer {caller or self._token}"
        headers = {"Content-Type": "application/json", "Authorization": bearer}
        with urlopen(Request(self._url, body.encode(), headers), timeout=30) as response:  # noqa: S310 — our own server
            answer: dict[str, Any] = json.load(response)
        refused = any(
            isinstance(part, dict) and part.get("userErrors") for part in answer.get("data", {}).values()
        )
        if "errors" in answer or refused or "KEY" in body or not all(answer["data"].values()):
            raise AssertionError(f"the server refused: {answer}")
        return answer

    def _measure(self, case: Case, server: Processes, database: Processes) -> Answered:
        prefix = secrets.token_hex(6)
        if not case.writes and not case.pays:
            self._post(case.bodies[0])
        server_s, database_s = server.cpu_s(), database.cpu_s()
        told = wrk.send(
            self._url,
            case.bodies,
            token=self._token,
            prefix=prefix,
            connections=case.connections,
            duration_s=self._plan.duration_s,
            folder=self._folder,
            script=wrk.PAIRS if case.pays else wrk.SCRIPT,
        )
        wait_until_idle(server)
        server_s, database_s = server.cpu_s() - server_s, database.cpu_s() - database_s
        # What was under way when wrk hung up is finished all the same, and was paid for.
        paid = told.requests + case.connections
        each = 2 if case.pays else 1
        return Answered(
            database=self._database,
            case=case.name,
            connections=case.connections,
            requests=told.requests,
            per_second=told.per_second / each,
            p50_ms=told.p50_ms,
            p99_ms=told.p99_ms,
            server_us=server_s / paid * 1e6 * each,
            database_us=database_s / paid * 1e6 * each,
        )

    async def _require_pairs(self, answered: int, in_flight: int) -> None:
        """Each answered request authorized or captured, and whatever was captured is in the ledger, once."""
        async with open_database(self._settings):
            rows = await get_connection(READER).execute_query_dict(
                "SELECT (SELECT COUNT(*) FROM payments WHERE created_by_id = 'bench') AS authorized, "
                "(SELECT COUNT(*) FROM payments WHERE created_by_id = 'bench' AND status = 'CAPTURED') AS captured, "
                "(SELECT COUNT(*) FROM transactions WHERE actor_id = 'bench' AND kind = 'PURCHASE') AS posted, "
                "(SELECT -COALESCE(SUM(amount_minor), 0) FROM transactions "
                "WHERE actor_id = 'bench' AND kind = 'PURCHASE') AS moved"
            )
        row = {name: int(value) for name, value in rows[0].items()}
        done = row["authorized"] + row["captured"]
        if (
            not row["captured"] == row["posted"] == row["moved"]
            or not answered <= done <= answered + in_flight
        ):
            raise AssertionError(f"{answered} requests were answered, and there are {row}")


async def give_history(settings: Settings, targets: Sequence[Target]) -> None:
    """Post as many transactions to each wallet as a page of its history needs."""
    actor = Actor(ActorKind.SYSTEM, "bench")
    async with Coffer(settings, len(targets)) as coffer:
        for n in range(TRANSACTIONS):
            await asyncio.gather(*(coffer.adjust(t, actor, f"{t.external_id}-{n}") for t in targets))


def wait_until_idle(server: Processes) -> None:
    """Let the server finish what wrk no longer waits for: the next measurement must not pay for it."""
    deadline, spent_s = time.monotonic() + IDLE_TIMEOUT_S, -1.0
    while time.monotonic() < deadline and server.cpu_s() - spent_s > IDLE_CPU_S:
        spent_s = server.cpu_s()
        time.sleep(0.2)


async def require_adjustments(settings: Settings, answered: int, in_flight: int) -> None:
    """Each answered adjustment of the one who asks is in the ledger once; more than that only what was under way when wrk
    hung up. And the ledger is sound.
    """
    async with open_database(settings):
        (row,) = await get_connection(READER).execute_query_dict(
            "SELECT (SELECT COUNT(*) FROM idempotency_keys WHERE scope = 'STAFF:bench' AND command = 'adjustBalance') AS keys, "
            "(SELECT COUNT(*) FROM transactions WHERE actor_kind = 'STAFF' AND actor_id = 'bench' AND kind = 'ADJUSTMENT') AS posted, "
            "(SELECT COALESCE(SUM(amount_minor), 0) FROM transactions) AS moved, "
            "(SELECT COALESCE(SUM(posted_minor), 0) FROM wallets) AS in_wallets"
        )
        verified = await verify()
    once = row["keys"] == row["posted"] and answered <= row["posted"] <= answered + in_flight
    if not once or row["moved"] != row["in_wallets"]:
        raise AssertionError(f"{answered} adjustments were answered, and there are {row}")
    if not verified.is_clean:
        raise AssertionError(f"the ledger is not clean: {verified.faults[:3]} {verified.totals}")


def body_of(query: str, **variables: Any) -> str:
    """Return the body of a request, in one line."""
    return json.dumps({"query": " ".join(query.split()), "variables": variables})


def adjustment_of(customer: str) -> dict[str, Any]:
    """Return the input of an adjustment; KEY stands for its key."""
    return {
        "wallet": {"storeCustomerId": customer},
        "direction": "CREDIT",
        "amount": {"amount": "1.00", "currency": "USD"},
        "reason": "GOODWILL",
        "note": NOTE,
        "idempotencyKey": "KEY",
    }


def _authorization() -> dict[str, Any]:
    return {
        "wallet": {"storeCustomerId": "CUSTOMER"},
        "order": {"source": "bench", "externalId": "KEY", "total": {"amount": "0.01", "currency": "USD"}},
        "amount": {"amount": "0.01", "currency": "USD"},
        "idempotencyKey": "KEY",
    }


def share_of_adjustments(found: Sequence[Answered]) -> dict[str, float]:
    """Return, for each database, how many orders were paid for each adjustment: the median of interleaved rounds."""
    rates: dict[str, dict[str, list[float]]] = {}
    for each in found:
        rates.setdefault(each.database, {}).setdefault(f"{each.case} {each.connections}", []).append(
            each.per_second
        )
    return {
        database: median(
            pair / adjusted
            for name, pairs in cases.items()
            if name.startswith(PAIR)
            for pair, adjusted in zip(pairs, cases[name.replace(PAIR, SPREAD)], strict=True)
        )
        for database, cases in rates.items()
    }


def main(*, long: bool) -> None:
    """Measure, print the tables and write them down."""
    if not wrk.is_here():
        print(f"bench.http is left out: {wrk.MISSING}")
        return
    plan = LONG if long else SHORT
    found = run(plan)
    for database, share in share_of_adjustments(found).items():
        print(
            f"{database}: authorize + capture at {share:.2f} of the adjustments' rate; promised is {SHARE_MIN:.2f}"
        )
    report.publish_http(found, plan.rounds, long=long, data=[asdict(each) for each in found])


if __name__ == "__main__":
    main(long=report.asked_for_long())
