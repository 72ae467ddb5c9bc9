"""python -m bench: measure the ledger and the server; the figures of the README and of docs/speed.md."""

import argparse

from bench import beside, growth, http, ledger, live, report, runtime, telling, workers


def main() -> None:
    """Run every bench, or only put into the documents what they found last."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--long", action="store_true", help="longer and more rounds: a quarter of an hour or more"
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
        return
    ledger.main(long=options.long)
    http.main(long=options.long)
    telling.main(long=options.long)
    growth.main(long=options.long, scale=options.scale)
    beside.main(long=options.long)
    live.main(long=options.long)
    runtime.main(long=options.long)
    workers.main(long=options.long)


if __name__ == "__main__":
    main()
