"""What /metrics shows: a registry of the application's own, so that two applications in one process don't mix."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.domain.withdrawal import UNDER_WAY
from app.execution.observing import Observation
from app.operations.counts import DURATIONS_S, OperationCounts
from app.operations.gathering import Gathering
from app.services.liability import Liability, liabilities
from app.services.payout import Waiting, waiting

log = structlog.get_logger("coffer.operations")

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
OTHER = "other"
"""What counts as one: names that callers chose freely would make a series each."""
ANONYMOUS = "anonymous"

Gauges = Callable[[], Iterator[tuple[str, str, dict[str, str], float]]]
"""Yields (name, help, labels, value) of what is as it is at this moment."""


class Metrics:
    """Counts operations and batches, and reads gauges when it is asked."""

    def __init__(
        self, *, names: tuple[str, ...], liabilities_interval_s: float, folder: Path | None = None
    ) -> None:
        self._gathering = None if folder is None else Gathering(folder)
        self.registry = CollectorRegistry()
        self._names = frozenset(names)
        self._operations = OperationCounts()
        self.registry.register(self._operations)
        self._batch_sizes = Histogram(
            "coffer_batch_commands",
            "Commands in one database transaction of the writer.",
            buckets=BATCH_SIZES,
            registry=self.registry,
        )
        self._batch_durations = Histogram(
            "coffer_batch_duration_seconds",
            "How long the writer's batches took, tries included.",
            buckets=DURATIONS_S,
            registry=self.registry,
        )
        self._webhooks = Counter(
            "coffer_webhooks",
            "Messages that reached a door, by door and outcome.",
            ("door", "outcome"),
            registry=self.registry,
        )
        self._liabilities = _Liabilities(liabilities_interval_s)
        self.registry.register(self._liabilities)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def watch(self, gauges: Gauges) -> None:
        """Show these gauges too."""
        self.registry.register(_Gauges(gauges))

    def observe(self, seen: Observation) -> None:
        """Count an operation."""
        self._operations.add(seen, self._shown(seen.name))

    def observe_batch(self, size: int, duration_s: float) -> None:
        """Count a batch of the writer."""
        self._batch_sizes.observe(size)
        self._batch_durations.observe(duration_s)

    def observe_webhook(self, door: str, outcome: str) -> None:
        """Count a message that reached a door."""
        self._webhooks.labels(door, outcome).inc()

    async def render(self) -> bytes:
        """Return everything in Prometheus' text format, of all processes of this server that share what they count."""
        await self._liabilities.refresh()
        own = generate_latest(self.registry)
        if self._gathering is None:
            return own
        return await asyncio.to_thread(self._gathering.together, own)

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Share what is counted with the other processes of this server while the block runs, where it has some."""
        if self._gathering is None:
            yield
            return
        async with self._gathering.running(lambda: generate_latest(self.registry)):
            yield

    def _shown(self, name: str | None) -> str:
        if name is None:
            return ANONYMOUS
        return name if name in self._names else OTHER


class _Gauges(Collector):
    def __init__(self, gauges: Gauges) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for name, help_, labels, value in self._gauges():
            if name not in families:
                # What only grows is named so, and is a counter.
                family = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
                families[name] = family(name, help_, labels=tuple(labels))
            families[name].add_metric(tuple(labels.values()), value)
        yield from families.values()

    def describe(self) -> list[Metric]:
        return []


class _Liabilities(Collector):
    """What the store owes, and what is to be paid out, summed up now and then: it reads every open lot."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._summing = asyncio.Lock()
        self._tried_at = -interval_s
        self._summed_at: float | None = None
        self._found: list[Liability] = []
        self._waiting: list[Waiting] = []

    async def refresh(self) -> None:
        """Sum up again if it is time; what fails is tried again when it is time again."""
        async with self._summing:
            if monotonic() - self._tried_at < self._interval_s:
                return
            self._tried_at = monotonic()
            try:
                self._found, self._waiting = await liabilities(), await waiting()
            except Exception as error:  # noqa: BLE001 - all other metrics are wanted most when the database is ill
                log.warning("liabilities could not be summed up", error=type(error).__name__)
            else:
                self._summed_at = monotonic()

    def collect(self) -> Iterator[Metric]:
        if self._summed_at is None:
            return
        owed = GaugeMetricFamily(
            "coffer_liabilities_minor",
            "Value in all wallets by bucket, and on anonymous gift cards, in minor units of the currency.",
            labels=("currency", "bucket"),
        )
        for liability in self._found:
            owed.add_metric((liability.currency, liability.bucket), liability.amount_minor)
        yield owed
        yield from self._withdrawals()
        yield GaugeMetricFamily(
            "coffer_liabilities_age_seconds",
            "How long ago the liabilities were summed up.",
            value=monotonic() - self._summed_at,
        )

    def _withdrawals(self) -> Iterator[Metric]:
        number = GaugeMetricFamily(
            "coffer_withdrawals", "Withdrawals that have not ended, by status.", labels=("status",)
        )
        amount = GaugeMetricFamily(
            "coffer_withdrawals_minor",
            "What these withdrawals hold, in minor units of the currency.",
            labels=("status",),
        )
        oldest = GaugeMetricFamily(
            "coffer_withdrawals_oldest_timestamp_seconds",
            "When the oldest of these withdrawals was asked for, in seconds since 1970.",
            labels=("status",),
        )
        known = {one.status: one for one in self._waiting}
        for status in sorted(UNDER_WAY):
            found = known.get(status)
            number.add_metric((status,), found.number if found else 0)
            amount.add_metric((status,), found.amount_minor if found else 0)
            if found:
                oldest.add_metric((status,), found.oldest_at.timestamp())
        yield from (number, amount, oldest)

    def describe(self) -> list[Metric]:
        return []
