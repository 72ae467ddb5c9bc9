"""What operators see, and what the server does when it is told to stop."""

import asyncio
import io
import json
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import structlog
from hypothesis import given, strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from tortoise.connection import get_connection

from app.auth import issue_token
from app.db import WRITER, connections_in_use
from app.domain.access import Principal, PrincipalKind
from app.execution.observing import Observation
from app.front import HEADERS
from app.jobs import JOBS
from app.main import _address, create_app, now
from app.observability import SAMPLE_INTERVAL_S, SAMPLE_SIZE, Sampling, configure_logging
from app.operations.counts import DURATIONS_S
from app.operations.metrics import Metrics
from app.services.ledger.writer import LedgerSlow
from app.settings import Settings, SettingsError
from tests.databases import settings_for

SECRET = "0123456789abcdef0123456789abcdef"


def token(role: str = "administrator", customer: str | None = None) -> dict[str, str]:
    """Return the headers of a caller."""
    issued = issue_token(
        SECRET,
        subject=customer or "admin",
        roles=["customer"] if customer else [role],
        ttl_s=3600,
        now=now(),
        customer_id=customer,
    )
    return {"authorization": f"Bearer {issued}"}


@asynccontextmanager
async def serving(
    settings: Settings, client: str = "127.0.0.1"
) -> AsyncIterator[tuple[Starlette, httpx.AsyncClient]]:
    """Run an application's lifespan, and a client that calls it from an address."""
    app = create_app(settings)
    transport = httpx.ASGITransport(app, client=(client, 5000), raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://shop") as caller,
    ):
        yield app, caller


@pytest.fixture
def settings(database_url: str) -> Settings:
    return settings_for(
        database_url,
        jwt_secret=SECRET,
        metrics_operation_names="Known",
        database_pool_size_max=2,
        database_acquire_timeout_s=0.2,
    )


@pytest.fixture
async def served(settings: Settings) -> AsyncIterator[tuple[Starlette, httpx.AsyncClient]]:
    async with serving(settings) as both:
        yield both


@pytest.fixture
def caller(served: tuple[Starlette, httpx.AsyncClient]) -> httpx.AsyncClient:
    return served[1]


async def ask(caller: httpx.AsyncClient, query: str, headers: dict[str, str] | None = None) -> httpx.Response:
    """Send an operation, as an administrator unless another caller is named."""
    return await caller.post(
        "/graphql", json={"query": query}, headers=token() if headers is None else headers
    )


ADJUST = """mutation Pay { adjustBalance(input: {
  wallet: {storeCustomerId: "c-1"}, direction: CREDIT, amount: {amount: "12.50", currency: "USD"},
  note: "Parcel of order 1042 arrived broken", reason: GOODWILL, idempotencyKey: "KEY"
}) { wallet { balance { amount } } userErrors { code message } } }"""


# --- ready? -------------------------------------------------------------------------------------------------


async def test_a_server_that_is_well(caller: httpx.AsyncClient) -> None:
    for path in ("/livez", "/readyz"):
        assert (await caller.get(path)).status_code == 200
    ready = await caller.get("/readyz")
    jobs = {name: {"lagS": 0.0} for name in (job.name for job in JOBS)}
    assert ready.json() == {"status": "ready", "problems": {}, "jobs": jobs}
    assert ready.headers["cache-control"] == "no-store"


async def test_what_is_not_ready_is_named(served: tuple[Starlette, httpx.AsyncClient]) -> None:
    app, caller = served
    await app.state.runtime.writer.stop()
    await get_connection(WRITER).execute_query("DELETE FROM tortoise_migrations WHERE name = '0003_signals'")
    answer = await caller.get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert set(answer.json()["problems"]) == {"writer", "migrations"}
    assert "0003_signals" in answer.json()["problems"]["migrations"]
    assert (await caller.get("/livez")).status_code == 200


async def test_a_database_that_is_away(
    served: tuple[Starlette, httpx.AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, caller = served

    async def away() -> None:
        raise OSError("host db.internal is down")

    monkeypatch.setattr("app.operations.readiness.ping", away)
    answer = await caller.get("/readyz")
    assert answer.status_code == 503
    assert set(answer.json()["problems"]) == {"database"}
    assert "db.internal" not in answer.text


async def test_a_database_that_is_too_slow_is_there(
    served: tuple[Starlette, httpx.AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, caller = served

    async def slow(*_: object) -> None:
        raise LedgerSlow

    monkeypatch.setattr(app.state.runtime.writer, "submit", slow)
    answer = await ask(caller, ADJUST)
    (error,) = answer.json()["errors"]
    assert error["extensions"]["code"] == "TIMEOUT"
    assert "same idempotency key" in error["message"]
    assert (await caller.get("/readyz")).status_code == 200


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_full_disk_is_told_until_something_is_written_again(
    served: tuple[Starlette, httpx.AsyncClient],
) -> None:
    _, caller = served
    writer = get_connection(WRITER)

    async def room(pages: int) -> None:
        await writer.execute_query(f"PRAGMA max_page_count={pages}")

    async def pay(key: str) -> httpx.Response:
        return await ask(caller, ADJUST.replace("KEY", key))

    assert (await pay("first")).json()["data"]["adjustBalance"]["userErrors"] == []
    _, rows = await writer.execute_query("PRAGMA page_count")
    await room(rows[0]["page_count"])
    number = 0
    while "errors" not in (answer := (await pay(f"more-{number}")).json()) and number < 200:
        number += 1
    assert answer["errors"][0]["extensions"]["code"] == "SERVICE_UNAVAILABLE"
    ready = await caller.get("/readyz")
    # What reads is answered.
    assert ready.status_code == 200
    assert "nothing could be written" in ready.json()["degraded"]["writer"]
    assert "errors" not in (await ask(caller, "{ wallets { totalCount } }")).json()

    await room(1_000_000)
    assert (await pay(f"more-{number}")).json()["data"]["adjustBalance"]["userErrors"] == []
    assert "degraded" not in (await caller.get("/readyz")).json()


async def test_draining(served: tuple[Starlette, httpx.AsyncClient]) -> None:
    app, caller = served
    await app.state.drain()
    assert (await caller.get("/readyz")).json()["problems"] == {"draining": "the server is stopping"}
    refused = await ask(caller, "{ viewer { kind } }")
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["errors"][0]["extensions"] == {"code": "SERVICE_UNAVAILABLE", "retryAfter": 1}


# --- metrics ------------------------------------------------------------------------------------------------


async def test_metrics(caller: httpx.AsyncClient) -> None:
    assert (await ask(caller, ADJUST)).json()["data"]["adjustBalance"]["userErrors"] == []
    await ask(caller, "query Known { viewer { kind } }")
    await ask(caller, "query Anything { viewer { kind } }")
    await ask(caller, "{ nope }")
    answer = await caller.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    lines = dict(line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
    operations = {name: value for name, value in lines.items() if name.startswith("coffer_operations_total")}
    assert operations == {
        'coffer_operations_total{name="other",outcome="OK",type="mutation"}': "1.0",
        'coffer_operations_total{name="Known",outcome="OK",type="query"}': "1.0",
        'coffer_operations_total{name="other",outcome="OK",type="query"}': "1.0",
        'coffer_operations_total{name="anonymous",outcome="GRAPHQL_VALIDATION_FAILED",type="unknown"}': "1.0",
    }
    assert lines['coffer_operation_duration_seconds_count{name="Known",type="query"}'] == "1.0"
    assert float(lines["coffer_batch_commands_count"]) >= 1
    assert lines['coffer_liabilities_minor{bucket="CASH",currency="USD"}'] == "1250.0"
    assert lines["coffer_writer_queue_commands"] == "0.0"
    assert {name.partition("{")[0] for name in lines} >= {
        "coffer_websockets_open",
        "coffer_streams_open",
        "coffer_subscriptions_open",
        "coffer_live_subscribers",
        "coffer_jobs_lag_seconds",
        "coffer_job_lag_seconds",
        "coffer_job_last_success_timestamp_seconds",
        "coffer_job_rounds_total",
        "coffer_job_done_total",
        "coffer_job_failed_total",
        "coffer_job_left_out",
        "coffer_listener_lag_seconds",
        "coffer_database_connections_in_use",
        "coffer_liabilities_age_seconds",
        "coffer_withdrawals",
        "coffer_withdrawals_minor",
        "process_cpu_seconds_total",
    }


async def test_metrics_are_not_for_everybody(settings: Settings) -> None:
    async with serving(settings, client="203.0.113.9") as (_, caller):
        assert (await caller.get("/metrics")).status_code == 403
    async with serving(settings) as (_, caller):
        assert (await caller.get("/metrics", headers={"x-forwarded-for": "203.0.113.9"})).status_code == 403
    closed = settings.model_copy(update={"metrics_token": settings.jwt_secret})
    async with serving(closed) as (_, caller):
        assert (await caller.get("/metrics")).status_code == 401
        opened = await caller.get("/metrics", headers={"authorization": f"Bearer {SECRET}"})
        assert opened.status_code == 200


async def test_liabilities_are_summed_up_now_and_then(
    served: tuple[Starlette, httpx.AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, caller = served
    sums = 0

    async def count() -> list[Any]:
        nonlocal sums
        sums += 1
        raise OSError

    monkeypatch.setattr("app.operations.metrics.liabilities", count)
    for _ in range(3):
        answer = await caller.get("/metrics")
        assert answer.status_code == 200, "a database that is ill doesn't take the other metrics along"
    assert sums == 1


# --- limits, as they reach a caller -------------------------------------------------------------------------


async def test_a_pool_that_is_exhausted_answers_at_once(served: tuple[Starlette, httpx.AsyncClient]) -> None:
    """Holders of all connections don't make a pile of those who wait; liveness and mutations go on."""
    _, caller = served
    from tortoise.transactions import in_transaction  # noqa: PLC0415

    from app.db import READER  # noqa: PLC0415

    enough = asyncio.Event()

    size = connections_in_use()[READER][1]
    held = asyncio.Semaphore(0)

    async def hold() -> None:
        async with in_transaction(READER):
            held.release()
            await enough.wait()

    holders = [asyncio.create_task(hold()) for _ in range(size)]
    for _ in holders:
        await held.acquire()
    query = '{ wallet(by: {storeCustomerId: "c-1"}) { id } }'
    answers = await asyncio.gather(*(ask(caller, query) for _ in range(30)))
    for answer in answers:
        (error,) = answer.json()["errors"]
        assert error["extensions"] == {"code": "SERVICE_UNAVAILABLE", "retryAfter": 1}
        assert answer.headers["retry-after"] == "1"
    assert (await caller.get("/livez")).status_code == 200
    assert (await caller.get("/readyz")).json()["problems"].keys() == {"database"}
    assert (await ask(caller, ADJUST)).json()["data"]["adjustBalance"]["userErrors"] == []
    enough.set()
    await asyncio.gather(*holders)
    assert (await ask(caller, query)).json()["data"]["wallet"]["id"]
    assert (await caller.get("/readyz")).status_code == 200


async def test_the_cost_is_shown_to_who_asks(caller: httpx.AsyncClient) -> None:
    query = "{ wallets(first: 10) { nodes { id customer { id } } totalCount } }"
    assert "extensions" not in (await ask(caller, query)).json()
    shown = (await ask(caller, query, {**token(), "x-graphql-cost": "1"})).json()["extensions"]["cost"]
    assert shown["requested"] == 1 + 10 * (1 + 1) + 10
    assert shown["maximum"] == 20_000
    assert shown["capacity"] == 100_000
    assert 99_000 < shown["available"] < 100_000
    assert shown["restoreRate"] == 4_000


async def test_a_budget_that_is_spent(settings: Settings) -> None:
    poor = settings.model_copy(update={"cost_budget": 30, "cost_restored_per_s": 1})
    async with serving(poor) as (_, caller):
        query = "{ wallets(first: 20) { nodes { id } } }"
        assert (await ask(caller, query)).status_code == 200
        refused = await ask(caller, query)
        assert refused.status_code == 429
        assert 10 <= int(refused.headers["retry-after"]) <= 21
        extensions = refused.json()["errors"][0]["extensions"]
        assert extensions["code"] == "RATE_LIMITED"
        assert extensions["retryAfter"] == int(refused.headers["retry-after"])
        assert extensions["cost"]["requested"] == 21
        assert (await ask(caller, query, token(customer="c-9"))).status_code == 200, "others have their own"


@pytest.mark.parametrize(
    ("host", "counted_by"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("127.0.0.1", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        ("no address", "no address"),
        ("no:address", "no:address"),
    ],
)
def test_what_an_address_is_counted_by(host: str, counted_by: str | None) -> None:
    assert _address(HTTPConnection({"type": "http", "headers": [], "client": (host, 1)})) == counted_by


async def test_an_address_that_asks_too_often(settings: Settings) -> None:
    strict = settings.model_copy(update={"requests_per_address_burst": 3, "requests_per_address_per_s": 1})
    async with serving(strict, client="203.0.113.9") as (_, caller):
        statuses = [(await ask(caller, "{ viewer { kind } }")).status_code for _ in range(5)]
        assert statuses[:3] == [200, 200, 200]
        assert statuses[-1] == 429
    async with serving(strict) as (_, caller):
        assert {(await ask(caller, "{ viewer { kind } }")).status_code for _ in range(5)} == {200}


# --- headers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/metrics", "/graphql", "/nowhere", "/graphql?query={viewer{kind}}"]
)
async def test_every_answer_has_the_headers(caller: httpx.AsyncClient, path: str) -> None:
    answer = await caller.get(path)
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    assert "server" not in answer.headers
    assert "strict-transport-security" not in answer.headers


async def test_a_defect_has_the_headers_too(
    served: tuple[Starlette, httpx.AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_self: object) -> None:
        raise RuntimeError("hunter2")

    monkeypatch.setattr("app.operations.readiness.Readiness.problems", broken)
    answer = await served[1].get("/readyz")
    assert answer.status_code == 500
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "hunter2" not in answer.text


async def test_https_only_by_setting(settings: Settings) -> None:
    async with serving(settings.model_copy(update={"hsts_max_age_s": 600})) as (_, caller):
        assert (await caller.get("/livez")).headers["strict-transport-security"].startswith("max-age=600")


async def test_origins(settings: Settings) -> None:
    asked = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    async with serving(settings.model_copy(update={"cors_origins": ("https://shop.example",)})) as (
        _,
        caller,
    ):
        allowed = await caller.options("/graphql", headers=asked)
        assert allowed.headers["access-control-allow-origin"] == "https://shop.example"
        assert allowed.headers["x-content-type-options"] == "nosniff"
        refused = await caller.options("/graphql", headers={**asked, "origin": "https://evil.example"})
        assert "access-control-allow-origin" not in refused.headers
        form = await caller.post("/graphql", data={"query": "mutation { x }"}, headers=token())
        assert form.status_code == 415


# --- signals ------------------------------------------------------------------------------------------------


SIGNALS = """{ fraudSignals(first: 5) { totalCount nodes {
  id kind actorKind actorId count windowSeconds wallet { customer { storeCustomerId } }
} pageInfo { hasNextPage endCursor } } }"""


async def test_rapid_balance_checks_are_kept(settings: Settings) -> None:
    few = settings.model_copy(update={"balance_reads_per_minute_max": 3})
    async with serving(few) as (app, caller):
        await ask(caller, ADJUST)
        balance = '{ wallet(by: {storeCustomerId: "c-1"}) { balance { amount } available { amount } } }'
        for _ in range(8):
            assert "errors" not in (await ask(caller, balance, token(customer="c-1"))).json()
        # The clock's own round may have come first.
        await app.state.runtime.balance_reads.keep(app.state.runtime.writer)
        assert await app.state.runtime.balance_reads.keep(app.state.runtime.writer) == 0
        answer = (await ask(caller, SIGNALS)).json()
        assert answer["data"]["fraudSignals"]["totalCount"] == 1
        (signal,) = answer["data"]["fraudSignals"]["nodes"]
        assert (signal["kind"], signal["actorKind"], signal["actorId"]) == (
            "RAPID_BALANCE_CHECKS",
            "CUSTOMER",
            "c-1",
        )
        assert (signal["count"], signal["windowSeconds"]) == (4, 60)
        again = f'{{ node(id: "{signal["id"]}") {{ __typename id }} }}'
        assert (await ask(caller, again)).json()["data"]["node"] == {
            "__typename": "FraudSignal",
            "id": signal["id"],
        }
        assert signal["wallet"] == {"customer": {"storeCustomerId": "c-1"}}
        watchman = """mutation { createRole(input: {
            name: "watchman", capabilities: [FRAUD_READ], note: "Looks at signals, not at balances"
        }) { userErrors { code } } }"""
        assert (await ask(caller, watchman)).json()["data"]["createRole"]["userErrors"] == []
        seen = (await ask(caller, SIGNALS, token("watchman"))).json()["data"]["fraudSignals"]["nodes"]
        assert [(one["actorId"], one["wallet"]) for one in seen] == [("c-1", None)]
        for other in (token(customer="c-1"), token("support")):
            refused = (await ask(caller, SIGNALS, other)).json()
            assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN"
            assert (await ask(caller, again, other)).json() == {"data": {"node": None}}


# --- logs ---------------------------------------------------------------------------------------------------


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging(json=True, stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


async def test_an_operation_is_one_line(
    served: tuple[Starlette, httpx.AsyncClient], out: io.StringIO
) -> None:
    await ask(served[1], 'query Mine { wallet(by: {storeCustomerId: "secret-customer"}) { id } }')
    (line,) = [json.loads(line) for line in out.getvalue().splitlines()]
    assert (line["event"], line["type"], line["name"], line["outcome"]) == (
        "operation",
        "query",
        "Mine",
        "OK",
    )
    assert line["principal"] == "STAFF"
    assert line["request_id"]
    assert "secret-customer" not in out.getvalue()


@pytest.mark.slow
async def test_a_flood_of_errors_is_a_few_lines(
    served: tuple[Starlette, httpx.AsyncClient], out: io.StringIO
) -> None:
    began_s = time.monotonic()
    for number in range(600):
        await ask(served[1], f"{{ nope{number} }}")
        # Nothing here waits for a network, so without this the server's own tasks would never get a turn: each of
        # their statements takes several.
        for _ in range(10):
            await asyncio.sleep(0)
    lines = out.getvalue().splitlines()
    # On a busy machine it takes a minute, and each interval has its lines.
    intervals = (time.monotonic() - began_s) // SAMPLE_INTERVAL_S + 1
    assert 1 <= len(lines) <= intervals * SAMPLE_SIZE
    others = [line for line in lines if json.loads(line).get("outcome") != "GRAPHQL_VALIDATION_FAILED"]
    assert others == []
    await ask(served[1], "{ viewer { kind } }")
    assert json.loads(out.getvalue().splitlines()[-1])["outcome"] == "OK", "what goes well is never left out"


def test_what_was_left_out_is_told() -> None:
    times = iter([0.0] * 6 + [11.0])
    sampling = Sampling(size=2, interval_s=10, timer=lambda: next(times))
    assert [sampling.left_out(("a",)) for _ in range(5)] == [0, 0, None, None, None]
    assert sampling.left_out(("b",)) == 0
    assert sampling.left_out(("a",)) == 3


async def test_a_defects_line_has_its_fields(
    served: tuple[Starlette, httpx.AsyncClient], out: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("Bearer hunter2")

    monkeypatch.setattr("app.services.wallet.find", broken)
    answer = await ask(served[1], '{ wallet(by: {storeCustomerId: "c-1"}) { id } }')
    defect, operation = [json.loads(line) for line in out.getvalue().splitlines()]
    assert defect["level"] == "error"
    assert defect["path"] == ["wallet"]
    assert defect["logger"] == "app.execution.errors"
    request_id = answer.json()["errors"][0]["extensions"]["requestId"]
    assert defect["request_id"] == operation["request_id"] == request_id
    assert operation["outcome"] == "INTERNAL_SERVER_ERROR"
    assert "hunter2" not in out.getvalue()


# --- traces -------------------------------------------------------------------------------------------------


SEEN = Observation(
    "query",
    "Mine",
    "OK",
    0.25,
    Principal(PrincipalKind.STAFF, "s-1"),
    "r-1",
    {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
)


def test_spans_follow_the_conventions() -> None:
    sdk = pytest.importorskip("opentelemetry.sdk.trace")
    export = pytest.importorskip("opentelemetry.sdk.trace.export")
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    from app.operations.tracing import Tracing  # noqa: PLC0415

    exporter = memory.InMemorySpanExporter()
    provider = sdk.TracerProvider()
    provider.add_span_processor(export.SimpleSpanProcessor(exporter))
    tracing = Tracing(provider)
    tracing.observe(SEEN)
    tracing.observe(Observation("mutation", None, "INTERNAL_SERVER_ERROR", 0.1, None, "r-2", {}))
    tracing.observe(Observation("unknown", None, "GRAPHQL_PARSE_FAILED", 0.1, None, "r-3", {}))
    good, defect, refused = exporter.get_finished_spans()
    assert (good.name, good.kind.name) == ("query", "SERVER")
    assert dict(good.attributes) == {"graphql.operation.type": "query", "graphql.operation.name": "Mine"}
    assert f"{good.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert good.end_time - good.start_time == 250_000_000
    assert (defect.name, defect.status.status_code.name) == ("mutation", "ERROR")
    assert defect.attributes["error.type"] == "INTERNAL_SERVER_ERROR"
    assert (refused.name, refused.status.status_code.name) == ("GraphQL Operation", "UNSET")
    tracing.close()


def test_tracing_without_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys  # noqa: PLC0415

    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SettingsError, match=r"coffer\[otel\]"):
        create_app(settings_for("sqlite:///x.sqlite3", jwt_secret=SECRET, tracing=True))


def test_two_applications_count_for_themselves() -> None:
    one, other = (Metrics(names=(), liabilities_interval_s=60) for _ in range(2))
    one.observe(SEEN)
    counted = "coffer_operations_total"
    value = {"type": "query", "name": "other", "outcome": "OK"}
    assert one.registry.get_sample_value(counted, value) == 1
    assert other.registry.get_sample_value(counted, value) is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["query", "mutation", "subscription", "unknown"]),
            st.sampled_from(["Known", "Other", None]),
            st.sampled_from(["OK", "FORBIDDEN"]),
            st.sampled_from(DURATIONS_S) | st.floats(0, 60),
        )
    )
)
def test_operations_are_counted_as_by_prometheus_own_library(seen: list[tuple[str, Any, str, float]]) -> None:
    metrics, registry = Metrics(names=("Known",), liabilities_interval_s=60), CollectorRegistry()
    counter = Counter("coffer_operations", "Operations.", ("type", "name", "outcome"), registry=registry)
    histogram = Histogram(
        "coffer_operation_duration_seconds",
        "Seconds.",
        ("type", "name"),
        buckets=DURATIONS_S,
        registry=registry,
    )
    for type_, name, outcome, duration_s in seen:
        metrics.observe(Observation(type_, name, outcome, duration_s, None, "r", {}))
        shown = {None: "anonymous", "Known": "Known"}.get(name, "other")
        counter.labels(type_, shown, outcome).inc()
        if type_ in {"query", "mutation"}:
            histogram.labels(type_, shown).observe(duration_s)
    assert samples(metrics.registry) == samples(registry)


def samples(registry: CollectorRegistry) -> dict[Any, float]:
    """Return what is counted of operations, but for when that began."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in registry.collect()
        if family.name.startswith("coffer_operation") and family.type in {"counter", "histogram"}
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


# --- the short way ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("POST", "/graphql", {"json": {"query": "{ viewer { kind } }"}}),
        ("POST", "/graphql", {"json": {"query": "{ nothing }"}}),
        ("POST", "/graphql", {"content": b"query"}),
        ("GET", "/graphql?query={viewer{kind}}", {}),
        ("GET", "/graphql", {"headers": {"accept": "text/html"}}),
        ("POST", "/graphql", {"json": {}, "headers": {"origin": "https://shop.example"}}),
        ("OPTIONS", "/graphql", {"headers": {"origin": "https://shop.example"}}),
        ("PUT", "/graphql", {}),
        ("POST", "/graphql/", {}),
    ],
)
async def test_the_short_way_answers_as_the_long_one(
    settings: Settings, method: str, path: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    origins = settings.model_copy(
        update={"cors_origins": ("https://shop.example",), "cost_restored_per_s": 0}
    )
    async with serving(origins) as (_, caller):
        caller.headers = httpx.Headers({**token(), "x-request-id": "one"})
        short = await caller.request(method, path, **options)
        monkeypatch.setattr("app.front.Application.__call__", Starlette.__call__)
        long = await caller.request(method, path, **options)
    assert (short.status_code, short.content) == (long.status_code, long.content)
    assert sorted(short.headers.multi_items()) == sorted(long.headers.multi_items())
