"""What several processes of one server counted, told by whichever of them is asked.

Each writes its metrics into a folder that all share, every few seconds and when it ends; whoever is asked adds up what it
finds there. Only Prometheus' own text is exchanged, written and read by Prometheus' library.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

INTERVAL_S = 5.0
"""How old what the others counted may be."""

WORKER = "worker"
"""The label that tells gauges of several processes apart: the number of the process."""

_ADDED = frozenset({"counter", "histogram", "summary"})
_CREATED = "_created"

log = structlog.get_logger("coffer.operations")


class Gathering:
    """The shared folder, as one process sees it."""

    def __init__(self, folder: Path, *, interval_s: float = INTERVAL_S, process: int | None = None) -> None:
        self._folder = folder
        self._interval_s = interval_s
        self._process = os.getpid() if process is None else process

    @asynccontextmanager
    async def running(self, render: Callable[[], bytes]) -> AsyncIterator[None]:
        """Write down what this process counts while the block runs, and once more in the end."""
        task = asyncio.create_task(self._keep_for_ever(render), name="metrics")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            self.keep(render())

    async def _keep_for_ever(self, render: Callable[[], bytes]) -> None:
        while True:
            self.keep(render())
            await asyncio.sleep(self._interval_s)

    def keep(self, text: bytes) -> None:
        """Write down what this process counted, for the others."""
        unfinished = self._folder / f"{self._process}.unfinished"
        try:
            unfinished.write_bytes(text)
            unfinished.replace(self._folder / f"{self._process}.prom")
        except OSError as error:
            log.warning("metrics could not be shared", error=str(error))

    def together(self, own: bytes) -> bytes:
        """Return the metrics of all processes, of which this one's are given."""
        texts = {self._process: own, **dict(self._others())}
        registry = CollectorRegistry()
        registry.register(_Sum(texts))
        return generate_latest(registry)

    def _others(self) -> Iterator[tuple[int, bytes]]:
        for path in sorted(self._folder.glob("*.prom")):
            if path.stem.isdigit() and int(path.stem) != self._process:
                with suppress(OSError):
                    yield int(path.stem), path.read_bytes()


class _Sum(Collector):
    """Counts are added up; a gauge is each process's own, and ends with it."""

    def __init__(self, texts: dict[int, bytes]) -> None:
        self._texts = texts

    def collect(self) -> Iterable[Metric]:
        found: dict[str, Metric] = {}
        sums: dict[str, dict[tuple[str, frozenset[tuple[str, str]]], Sample]] = {}
        for process, text in self._texts.items():
            lives = _lives(process)
            for family in text_string_to_metric_families(text.decode()):
                known = found.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                added = sums.setdefault(family.name, {})
                for sample in family.samples:
                    if family.type in _ADDED or family.name.endswith(_CREATED):
                        key = (sample.name, frozenset(sample.labels.items()))
                        added[key] = _joined(added.get(key), sample)
                    elif lives:
                        known.add_sample(sample.name, {**sample.labels, WORKER: str(process)}, sample.value)
        for name, metric in found.items():
            metric.samples += sums[name].values()
            yield metric


def _joined(one: Sample | None, other: Sample) -> Sample:
    if one is None:
        return other
    # What says since when something is counted: since the first of them counts.
    value = min(one.value, other.value) if one.name.endswith(_CREATED) else one.value + other.value
    return one._replace(value=value)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # It is somebody else's.
        pass
    return True
