"""How many operations there were, and how long they took: numbers of its own, that Prometheus' library only writes out.

The library locks, and looks for its bucket from the lowest up, at every observation; these are made in one thread, the
loop's, once for each request.
"""

import time
from bisect import bisect_left
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from app.execution.observing import Observation

DURATIONS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""The upper bounds of the histogram's buckets."""


class _Durations:
    """How often an operation took how long."""

    __slots__ = ("began_at", "numbers", "sum_s")

    def __init__(self) -> None:
        self.began_at = time.time()
        self.numbers = [0] * (len(DURATIONS_S) + 1)
        self.sum_s = 0.0

    def add(self, duration_s: float) -> None:
        """Count one."""
        self.numbers[bisect_left(DURATIONS_S, duration_s)] += 1
        self.sum_s += duration_s

    def buckets(self) -> list[tuple[str, float]]:
        """Return for each bound how many took that long at most."""
        found: list[tuple[str, float]] = []
        sum_ = 0
        for bound, number in zip((*map(str, DURATIONS_S), "+Inf"), self.numbers, strict=True):
            sum_ += number
            found.append((bound, sum_))
        return found


class _Count:
    """How many operations of one type and name ended in one way."""

    __slots__ = ("began_at", "durations", "number")

    def __init__(self, durations: _Durations | None) -> None:
        self.began_at = time.time()
        self.durations = durations
        self.number = 0


class OperationCounts(Collector):
    """Counts operations by type, name and outcome: of a closed set each, so there are few."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, str], _Count] = {}
        self._durations: dict[tuple[str, str], _Durations] = {}

    def add(self, seen: Observation, name: str) -> None:
        """Count an operation under a name."""
        key = (seen.operation_type, name, seen.outcome)
        count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = _Count(self._durations_of(seen.operation_type, name))
        count.number += 1
        if count.durations is not None:
            count.durations.add(seen.duration_s)

    def _durations_of(self, operation_type: str, name: str) -> _Durations | None:
        # A subscription takes as long as its caller likes.
        if operation_type not in {"query", "mutation"}:
            return None
        return self._durations.setdefault((operation_type, name), _Durations())

    def collect(self) -> Iterator[Metric]:
        """Write them out."""
        counter = CounterMetricFamily(
            "coffer_operations",
            "GraphQL operations that are over, by type, name (of the allow-list) and outcome.",
            labels=("type", "name", "outcome"),
        )
        for key, count in self._counts.items():
            counter.add_metric(key, count.number, created=count.began_at)
        yield counter
        histogram = HistogramMetricFamily(
            "coffer_operation_duration_seconds",
            "How long queries and mutations took, from the request's head to the answer.",
            labels=("type", "name"),
        )
        for (type_, name), durations in self._durations.items():
            histogram.add_metric((type_, name), buckets=durations.buckets(), sum_value=durations.sum_s)
            histogram.add_sample(
                f"{histogram.name}_created", {"type": type_, "name": name}, durations.began_at
            )
        yield histogram

    def describe(self) -> list[Metric]:
        """Name nothing beforehand."""
        return []
