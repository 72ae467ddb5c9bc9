"""wrk, which sends requests as fast as they are answered, and what it tells of them."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("wrk.lua")
PAIRS = Path(__file__).with_name("wrk_pairs.lua")
"""Sends two requests for each order."""
MISSING = "there is no wrk on PATH. On Debian: apt-get install wrk"


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how often each measurement is taken; the first round only warms up."""

    rounds: int
    duration_s: int


SHORT = Plan(rounds=3, duration_s=2)
LONG = Plan(rounds=7, duration_s=5)


@dataclass(frozen=True, slots=True)
class Told:
    """What wrk told of one run."""

    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    max_ms: float


def is_here() -> bool:
    """Whether wrk can be run."""
    return shutil.which("wrk") is not None


def send(
    url: str,
    bodies: Sequence[str],
    *,
    token: str,
    prefix: str,
    connections: int,
    duration_s: int,
    folder: Path,
    script: Path = SCRIPT,
) -> Told:
    """Send the bodies in turn over so many connections; `prefix` begins the keys of this run.

    An answer of another status than 2xx, or none, is an `AssertionError`.
    """
    file = folder / "bodies"
    file.write_text("\n".join(bodies) + "\n", encoding="utf-8")
    command = ["wrk", "-t1", f"-c{connections}", f"-d{duration_s}s", "--latency", "--timeout", "10s"]
    command += ["-s", str(script), url, "--", token, str(file), prefix]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = done.stdout + done.stderr
    if "Non-2xx" in told or "Socket errors" in told:
        raise AssertionError(told)
    return Told(
        requests=int(_found(r"(\d+) requests in", told)[0]),
        per_second=float(_found(r"Requests/sec:\s+([\d.]+)", told)[0]),
        p50_ms=_latency_ms(50, told),
        p99_ms=_latency_ms(99, told),
        max_ms=_in_ms(*_found(r"Latency\s+\S+\s+\S+\s+([\d.]+)(us|ms|s|m)\s", told)),
    )


def _found(pattern: str, text: str) -> tuple[str, ...]:
    match = re.search(pattern, text)
    if match is None:
        raise AssertionError(f"wrk said something else than expected:\n{text}")
    return match.groups()


def _latency_ms(percentile: int, told: str) -> float:
    value, unit = _found(rf"\s{percentile}%\s+([\d.]+)(us|ms|s)", told)
    return _in_ms(value, unit)


def _in_ms(value: str, unit: str) -> float:
    return float(value) * {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}[unit]
