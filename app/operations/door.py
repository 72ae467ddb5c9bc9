"""The operators' routes: /livez, /readyz, /metrics; and the end of a server."""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from functools import lru_cache
from ipaddress import ip_address

from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from app.context import Runtime
from app.db import connections_in_use
from app.execution.endpoint import GraphQLEndpoint
from app.jobs import Jobs
from app.operations.metrics import Metrics
from app.operations.readiness import Listener, Readiness
from app.outbox.worker import OutboxWorker
from app.webhooks.processing import Processor

QUIET_PATHS = frozenset({"/livez", "/readyz", "/metrics"})
"""Asked every few seconds by machines: their lines are for debugging only."""

_FORWARDED = ("x-forwarded-for", "forwarded", "x-real-ip")


class Operations:
    """The doors for operators of one application."""

    def __init__(
        self,
        endpoint: GraphQLEndpoint,
        readiness: Readiness,
        metrics: Metrics,
        *,
        metrics_token: SecretStr | None,
        drain_delay_s: float,
    ) -> None:
        self._endpoint = endpoint
        self._readiness = readiness
        self._metrics = metrics
        self._token = metrics_token.get_secret_value() if metrics_token else ""
        self._drain_delay_s = drain_delay_s
        self._drained: asyncio.Task[None] | None = None

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/livez", _alive),
            Route("/readyz", self._ready),
            Route("/metrics", self._show_metrics),
        ]

    async def drain(self) -> None:
        """Begin nothing more, and wait until what runs is done. The second call waits for the first."""
        if self._drained is None:
            self._drained = asyncio.create_task(self._drain(), name="drain")
        await asyncio.shield(self._drained)

    async def _drain(self) -> None:
        self._readiness.draining = True
        await asyncio.sleep(self._drain_delay_s)
        await self._endpoint.drain()

    async def _ready(self, _request: Request) -> Response:
        problems = await self._readiness.problems()
        jobs = {name: {"lagS": round(lag_s, 1)} for name, lag_s in self._readiness.lags_s().items()}
        body = {"status": "not ready" if problems else "ready", "problems": problems, "jobs": jobs}
        if degraded := self._readiness.degraded():
            body["degraded"] = degraded
        headers = {"cache-control": "no-store"} | ({"retry-after": "5"} if problems else {})
        return JSONResponse(body, status_code=503 if problems else 200, headers=headers)

    async def _show_metrics(self, request: Request) -> Response:
        if self._token:
            given = request.headers.get("authorization", "")
            if not secrets.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
                return PlainTextResponse("A token is needed.\n", 401, headers={"www-authenticate": "Bearer"})
        elif not _is_local(request):
            return PlainTextResponse("Metrics are for this machine only, or for a token.\n", 403)
        return Response(
            await self._metrics.render(),
            headers={"content-type": CONTENT_TYPE_LATEST, "cache-control": "no-store"},
        )


async def _alive(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


def _is_local(request: Request) -> bool:
    # A proxy on this machine speaks for others, whether or not it is one whose word is taken.
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    return is_loopback(request.client.host)


@lru_cache(1024)
def is_loopback(host: str) -> bool:
    """Tell whether an address is this machine's own."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def gauges_of(
    runtime: Runtime,
    endpoint: GraphQLEndpoint,
    listener: Listener,
    jobs: Jobs,
    *,
    processor: Processor,
    outbox: OutboxWorker,
) -> Callable[[], Iterator[tuple[str, str, dict[str, str], float]]]:
    """Return what reads the state of this moment."""

    def gauges() -> Iterator[tuple[str, str, dict[str, str], float]]:
        yield (
            "coffer_writer_queue_commands",
            "Commands that wait for the writer.",
            {},
            runtime.writer.queue_depth,
        )
        yield "coffer_operations_running", "Queries and mutations that run.", {}, endpoint.engine.running
        yield "coffer_websockets_open", "Websockets that are open.", {}, len(endpoint.sockets)
        yield "coffer_streams_open", "Streams over HTTP that are open.", {}, len(endpoint.streams)
        yield (
            "coffer_subscriptions_open",
            "GraphQL subscriptions that are open.",
            {},
            endpoint.gate.subscriptions,
        )
        yield "coffer_live_subscribers", "Subscribers of live balances.", {}, runtime.hub.subscriber_count
        yield "coffer_live_topics", "Wallets that somebody listens to.", {}, runtime.hub.topic_count
        yield "coffer_listener_lag_seconds", "How long other processes were not heard.", {}, listener.lag_s
        yield "coffer_jobs_lag_seconds", "How long a round of jobs is overdue.", {}, jobs.lag_s
        yield from _of_jobs(jobs)
        yield from _of_webhooks(processor)
        yield from _of_outbox(outbox)
        for name, (taken, most) in connections_in_use().items():
            label = {"connection": "reader" if name == "default" else name}
            yield "coffer_database_connections_in_use", "Connections that are taken.", label, taken
            yield "coffer_database_connections_max", "Connections that there may be.", label, most

    return gauges


def _of_jobs(jobs: Jobs) -> Iterator[tuple[str, str, dict[str, str], float]]:
    for name, lag_s in jobs.lags_s().items():
        yield (
            "coffer_job_lag_seconds",
            "For how long the oldest thing waits that is due.",
            {"job": name},
            lag_s,
        )
    for name, state in jobs.states.items():
        job = {"job": name}
        if state.succeeded_at is not None:
            help_ = "When a round last went well, in seconds since 1970."
            yield "coffer_job_last_success_timestamp_seconds", help_, job, state.succeeded_at.timestamp()
        yield "coffer_job_rounds_total", "Rounds of this process.", job, state.rounds
        yield "coffer_job_done_total", "Things that this process did.", job, state.done
        yield "coffer_job_failed_total", "Things that failed, and are left for later.", job, state.failed
        left_out = len(state.skipped)
        yield "coffer_job_left_out", "Things that failed and were not done since.", job, left_out


def _of_webhooks(processor: Processor) -> Iterator[tuple[str, str, dict[str, str], float]]:
    backlog = processor.backlog
    for status, number in (
        ("received", backlog.received),
        ("failed", backlog.failed),
        ("dead", backlog.dead),
    ):
        name, help_ = "coffer_webhook_deliveries", "Messages of the store that wait, failed or are dead."
        yield name, help_, {"status": status}, number
    help_ = "For how long the oldest message that waits has waited."
    yield "coffer_webhook_deliveries_age_seconds", help_, {}, processor.age_s


def _of_outbox(outbox: OutboxWorker) -> Iterator[tuple[str, str, dict[str, str], float]]:
    backlog = outbox.backlog
    yield "coffer_outbox_events", "Events that no message tells of yet.", {}, backlog.events
    for status, numbers in (("waiting", backlog.waiting), ("dead", backlog.dead)):
        for channel in outbox.channels:
            labels = {"channel": channel.lower(), "status": status}
            number = (numbers or {}).get(channel, 0)
            yield "coffer_outbox_messages", "Messages to others that wait or are dead.", labels, number
    yield (
        "coffer_outbox_age_seconds",
        "For how long the oldest message that waits has waited.",
        {},
        outbox.age_s,
    )
    for (channel, verdict), number in outbox.sent.items():
        labels = {"channel": channel.lower(), "outcome": verdict.lower()}
        yield "coffer_outbox_attempts", "Attempts to send a message since the start.", labels, number
