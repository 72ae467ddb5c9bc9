"""python -m bench: measure the ledger and the server; the figures of the README and of docs/speed.md."""

import argparse
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial

from bench import beside, cashback, growth, http, ledger, live, report, runtime, soak, telling, workers
from bench.crash import DATABASES

SOAK_MINUTES, LONG_SOAK_MINUTES = 1.0, 60.0


def main() -> int:
    """Run every bench, or only put into the documents what they found last. Exit status: 1 if one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--long",
        action="store_true",
        help="longer and more rounds, and an hour's soak on each database: hours",
    )
    parser.add_argument(
        "--readme",
        action="store_true",
        help="put the last results into README.md and docs/speed.md; measure nothing",
    )
    parser.add_argument(
        "--scale", type=int, default=growth.BIG, help=f"wallets of the big store ({growth.BIG:,})"
    )
    options = parser.parse_args()
    if options.readme:
        print("The documents hold the last results of:", ", ".join(report.fill_documents()) or "nothing yet")
        return 0
    failed = [name for name, run in _benches(options.scale, long=options.long).items() if not _ran(name, run)]
    if failed:
        print("Failed, as is told above:", ", ".join(failed), file=sys.stderr)
    return 1 if failed else 0


def _benches(scale: int, *, long: bool) -> dict[str, Callable[[], object]]:
    minutes = LONG_SOAK_MINUTES if long else SOAK_MINUTES
    return {
        "ledger": partial(ledger.main, long=long),
        "http": partial(http.main, long=long),
        "beside": partial(beside.main, long=long),
        "live": partial(live.main, long=long),
        "workers": partial(workers.main, long=long),
        "telling": partial(telling.main, long=long),
        "cashback": cashback.main,
        "runtime": partial(runtime.main, long=long),
        "growth": partial(growth.main, long=long, scale=scale),
        "soak": partial(soak.main, DATABASES, minutes=minutes),
    }


def _ran(name: str, run: Callable[[], object]) -> bool:
    """Run one; when it fails, the others are measured all the same."""
    began_s = time.monotonic()
    try:
        run()
    except Exception:  # noqa: BLE001 — whatever it was, it is shown
        traceback.print_exc()
        return False
    print(f"{name}: {time.monotonic() - began_s:.0f} s", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
