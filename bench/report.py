"""Tables of what was measured: for the terminal, as Markdown and JSON under bench/results, and in the documents."""

import json
import os
import platform
import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from bench.plot import bars, curves

if TYPE_CHECKING:
    from bench.growth import Growth, Verified
    from bench.http import Answered
    from bench.ledger import Measurement

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
PLOTS = ROOT / "docs"
DOCUMENTS = (ROOT / "README.md", PLOTS / "speed.md")
BASELINE = "Coffer"


@dataclass(frozen=True, slots=True)
class Grid:
    """A table before it has a form."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def as_markdown(self) -> str:
        """Return the table in Markdown; the first column is text, the others are figures."""
        rule = ["---"] + ["---:"] * (len(self.head) - 1)
        lines = ["| " + " | ".join(cells) + " |" for cells in (self.head, rule, *self.rows)]
        return f"**{self.title}**\n\n" + "\n".join(lines) + "\n"

    def as_table(self) -> Table:
        """Return the table as the terminal shows it."""
        table = Table(title=self.title, title_justify="left")
        for place, name in enumerate(self.head):
            table.add_column(name, justify="left" if place == 0 else "right", no_wrap=True)
        for row in self.rows:
            table.add_row(*row)
        return table


def asked_for_long() -> bool:
    """Whether the command line says `--long`; nothing else is understood there."""
    unknown = set(sys.argv[1:]) - {"--long"}
    if unknown:
        raise SystemExit(f"unknown option {', '.join(sorted(unknown))}; there is --long")
    return "--long" in sys.argv[1:]


def machine() -> str:
    """Say on what kind of machine this is."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores, {platform.system()}, Python {platform.python_version()}"


# --- the ledger ---------------------------------------------------------------------------------------------


def publish_ledger(found: "Sequence[Measurement]", rounds: int, *, long: bool, data: Any) -> None:
    """Print what `bench.ledger` measured and write it down."""
    said = (
        f"Measured by `python -m bench.ledger{' --long' if long else ''}` on {machine()}: "
        f"medians of {rounds} interleaved rounds, lowest and highest "
        "in brackets. One adjustment is an idempotency key, a locked wallet, a transaction chained by its hash, "
        "a lot, an allocation and the wallet's new totals, committed to disk (fsync). Callers, Coffer and the "
        "database share the cores. *times*: how much faster Coffer is, round by round."
    )
    publish("ledger", said, _ledger_grids(found), data)


def _ledger_grids(found: "Iterable[Measurement]") -> list[Grid]:
    cells: dict[tuple[str, str], dict[int, dict[str, list[Any]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for each in found:
        cells[each.database, each.load][each.sample.callers][each.way].append(each.sample)
    grids = []
    for (database, load), levels in cells.items():
        place = "over 10,000 wallets" if load == "spread" else "on one wallet"
        head = ["callers"]
        for way in next(iter(levels.values())):
            head += [
                f"{way}, per second",
                "p50 / p99 ms",
                "µs of CPU",
                *(["times"] if way != BASELINE else []),
            ]
        rows = [_ledger_row(callers, ways) for callers, ways in levels.items()]
        grids.append(Grid(f"{database}, adjustments {place}", head, rows))
    return grids


def _ledger_row(callers: int, ways: dict[str, list[Any]]) -> list[str]:
    row = [str(callers)]
    baseline = [sample.per_second for sample in ways[BASELINE]]
    for way, samples in ways.items():
        rates = [sample.per_second for sample in samples]
        python, database = (
            median(getattr(s, name) for s in samples) for name in ("python_us", "database_us")
        )
        row += [
            rate_of(rates),
            f"{ms(s.p50_ms for s in samples)} / {ms(s.p99_ms for s in samples)}",
            f"{python:,.0f} + {database:,.0f}" if database else f"{python:,.0f}",
        ]
        if way != BASELINE:
            # Round by round: both were measured within the same second or two.
            row.append(f"{median(b / r for b, r in zip(baseline, rates, strict=True)):.1f}")
    return row


def rate_of(rates: Sequence[float]) -> str:
    """Return the median with the lowest and the highest."""
    return f"{median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})"


def ms(values: Iterable[float]) -> str:
    """Return the median of milliseconds, with a decimal where it is small."""
    found = median(values)
    return f"{found:.1f}" if found < 10 else f"{found:.0f}"


# --- HTTP ---------------------------------------------------------------------------------------------------


def publish_http(found: "Sequence[Answered]", rounds: int, *, long: bool, data: Any) -> None:
    """Print what `bench.http` measured and write it down."""
    said = (
        f"Measured by `python -m bench.http{' --long' if long else ''}` on {machine()}: "
        f"medians of {rounds} rounds, lowest and highest in brackets. One server process, a signed token, wrk on "
        "the same cores as the server and the database; adjustments are committed to disk (fsync)."
    )
    publish("http", said, _http_grids(found), data)


def _http_grids(found: "Iterable[Answered]") -> list[Grid]:
    cells: dict[str, dict[tuple[str, int], list[Any]]] = defaultdict(lambda: defaultdict(list))
    for each in found:
        cells[each.database][each.case, each.connections].append(each)
    head = ("request", "connections", "per second", "p50 / p99 ms", "µs of CPU")
    return [
        Grid(
            f"{database}, GraphQL over HTTP",
            head,
            [[name, str(connections), *_http_row(runs)] for (name, connections), runs in cases.items()],
        )
        for database, cases in cells.items()
    ]


def _http_row(runs: list[Any]) -> list[str]:
    rates = [run.per_second for run in runs]
    server, database = (median(getattr(run, name) for run in runs) for name in ("server_us", "database_us"))
    return [
        rate_of(rates),
        f"{ms(run.p50_ms for run in runs)} / {ms(run.p99_ms for run in runs)}",
        f"{server:,.0f} + {database:,.0f}" if database else f"{server:,.0f}",
    ]


# --- growth -------------------------------------------------------------------------------------------------


def publish_growth(
    found: "Sequence[Growth]",
    verified: "Sequence[Verified]",
    scale: int,
    bar: float,
    *,
    long: bool,
    options: Mapping[str, str],
) -> None:
    """Print what `bench.growth` measured and write it down."""
    said = (
        f"Measured by `python -m bench.growth --scale {scale}{' --long' if long else ''}` on {machine()}: p50 / p99 in ms over HTTP, "
        f"one caller, the two stores asked in turns. The bar is a p99 of at most {bar} times that at 10,000 wallets. PostgreSQL "
        f"was given {', '.join(f'{name} = {value}' for name, value in options.items())}, unless its databases were named."
    )
    databases = list(dict.fromkeys(each.database for each in found))
    grids = [_within([each for each in found if each.database == name], bar) for name in databases]
    grids.append(_verified(verified))
    grids += [_questions([each for each in found if each.database == name], scale, bar) for name in databases]
    data = {
        name: {
            "scale": scale,
            "questions": [asdict(each) for each in found if each.database == name],
            "verified": [asdict(each) for each in verified if each.database == name],
        }
        for name in databases
    }
    publish("growth", said, grids, data)


def _within(found: "Sequence[Growth]", bar: float) -> Grid:
    """Return how many questions keep to the bar, and which are the worst."""
    worst = sorted(found, key=lambda each: each.ratio, reverse=True)[:5]
    rows = [
        (f"p99 within {bar} times", f"{sum(each.ratio <= bar for each in found)} of {len(found)}"),
        (f"p50 within {bar} times", f"{sum(each.p50_ratio <= bar for each in found)} of {len(found)}"),
        *((f"worst: {each.question}", f"p99 {each.ratio:.2f}, p50 {each.p50_ratio:.2f}") for each in worst),
    ]
    return Grid(f"{found[0].database}: questions that take as long in the big store", ("", "times"), rows)


def _questions(found: "Sequence[Growth]", scale: int, bar: float) -> Grid:
    rows = [
        [
            each.question,
            f"{each.small_p50_ms:.1f} / {each.small_p99_ms:.1f}",
            f"{each.big_p50_ms:.1f} / {each.big_p99_ms:.1f}",
            f"{each.p50_ratio:.2f}",
            f"{each.ratio:.2f}{' (!)' if each.ratio > bar else ''}",
        ]
        for each in found
    ]
    head = ("question", "10,000", f"{scale:,}", "p50, times", "p99, times")
    return Grid(f"{found[0].database}, {scale:,} wallets beside 10,000", head, rows)


def _verified(verified: "Sequence[Verified]") -> Grid:
    rows = [
        [
            f"{each.database}, {each.wallets:,} wallets",
            f"{each.transactions:,}",
            f"{each.transactions / each.duration_s:,.0f}",
            f"{each.peak_mib:.0f} ({each.before_mib:.0f} before)",
        ]
        for each in verified
    ]
    return Grid("`verify`", ("ledger", "transactions", "per second", "MiB at its peak"), rows)


# --- writing down -------------------------------------------------------------------------------------------


def publish(name: str, said: str, grids: Sequence[Grid], data: Any) -> None:
    """Print the tables, and write them as Markdown and JSON."""
    console = Console(width=None if sys.stdout.isatty() else 200)
    for grid in grids:
        console.print(grid.as_table())
    console.print(said, soft_wrap=True, markup=False)
    RESULTS.mkdir(exist_ok=True)
    text = said + "\n\n" + "\n".join(grid.as_markdown() for grid in grids)
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    (RESULTS / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def known(name: str) -> dict[str, Any]:
    """Return what was measured last; nothing if nothing was."""
    path = RESULTS / f"{name}.json"
    data = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return data if isinstance(data, dict) else {}


def publish_plot(name: str, title: str, groups: Mapping[str, Mapping[str, float]]) -> None:
    """Draw bars, a group for each kind of request, as SVG beside the tables."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.svg").write_text(bars(title, groups), encoding="utf-8")


def publish_curves(name: str, title: str, lines: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """Draw how something went over time, a line for each name, as SVG beside the tables."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.svg").write_text(curves(title, lines), encoding="utf-8")


def fill_documents() -> list[str]:
    """Put the last results between the marks of the documents, and the plots beside them; name those that were put."""
    done = []
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"<!-- bench:(\w+) -->", text):
            result = RESULTS / f"{name}.md"
            if result.exists():
                text = _filled(text, name, result.read_text(encoding="utf-8"))
                done.append(name)
        path.write_text(text, encoding="utf-8")
    for plot in sorted(RESULTS.glob("*.svg")):
        shutil.copy(plot, PLOTS / f"speed-{plot.name}")
    return done


def _filled(text: str, name: str, content: str) -> str:
    marked = re.compile(rf"(<!-- bench:{name} -->\n).*?(<!-- /bench -->)", re.DOTALL)
    return marked.sub(lambda match: match[1] + content + match[2], text)
