"""Metrics of several processes, told by one of them."""

import asyncio
import os
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from app.operations.gathering import Gathering

GONE = 2**22 + 1
"""No process has such a number."""


def text(requests: int, durations: list[float], connections: int) -> bytes:
    """Return what a process counted."""
    registry = CollectorRegistry()
    counter = Counter("requests", "Requests.", ("name",), registry=registry)
    counter.labels("pay").inc(requests)
    histogram = Histogram("durations", "Durations.", buckets=(1.0, 2.0), registry=registry)
    for duration in durations:
        histogram.observe(duration)
    Gauge("connections", "Connections.", registry=registry).set(connections)
    return generate_latest(registry)


def values(shown: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return the samples by name and labels, but for when they were begun."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(shown.decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def created(shown: bytes) -> float:
    """Return since when requests were counted."""
    [line] = [line for line in shown.decode().splitlines() if line.startswith("requests_created")]
    return float(line.split()[-1])


def test_counts_are_added_up_and_gauges_told_apart(tmp_path: Path) -> None:
    here, there, gone = (
        Gathering(tmp_path),
        Gathering(tmp_path, process=os.getppid()),
        Gathering(tmp_path, process=GONE),
    )
    earliest = text(1, [0.5], 7)
    gone.keep(earliest)
    there.keep(text(2, [1.5, 5.0], 8))
    here.keep(text(100, [], 100))
    own = text(4, [], 9)
    shown = here.together(own)
    assert values(shown) == {
        ("requests_total", (("name", "pay"),)): 7,
        ("durations_bucket", (("le", "1.0"),)): 1,
        ("durations_bucket", (("le", "2.0"),)): 2,
        ("durations_bucket", (("le", "+Inf"),)): 3,
        ("durations_count", ()): 3,
        ("durations_sum", ()): 7,
        ("connections", (("worker", str(os.getpid())),)): 9,
        ("connections", (("worker", str(os.getppid())),)): 8,
    }
    assert created(shown) == created(earliest) < created(own)
    # What is shown is read by the library as what a process shows by itself is.
    assert b"# TYPE requests_total counter" in shown
    assert b"# TYPE durations histogram" in shown


def test_alone_all_is_told_that_is_counted(tmp_path: Path) -> None:
    own = text(4, [0.1], 9)
    ours = {**values(own), ("connections", (("worker", str(os.getpid())),)): 9.0}
    del ours["connections", ()]
    assert values(Gathering(tmp_path).together(own)) == ours


def test_strangers_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.prom").write_text("nothing of ours")
    (tmp_path / "17.unfinished").write_text("requests_to")
    assert values(Gathering(tmp_path).together(text(1, [], 0)))["requests_total", (("name", "pay"),)] == 1


async def test_it_is_kept_now_and_then_and_in_the_end(tmp_path: Path) -> None:
    rendered = 0

    def render() -> bytes:
        nonlocal rendered
        rendered += 1
        return text(rendered, [], 0)

    def kept() -> float:
        return values((tmp_path / f"{os.getpid()}.prom").read_bytes())["requests_total", (("name", "pay"),)]

    async with Gathering(tmp_path, interval_s=0.001).running(render):
        async with asyncio.timeout(10):
            while rendered < 3:  # noqa: ASYNC110 - what is waited for has no event to give
                await asyncio.sleep(0.001)
        assert kept() >= 2
    assert kept() == rendered


def test_a_folder_that_is_gone_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Gathering(tmp_path / "gone").keep(b"")
    assert "metrics could not be shared" in "".join(capsys.readouterr())
