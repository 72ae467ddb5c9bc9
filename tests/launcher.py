"""`python -m app serve`, which ends when the test that started it is gone: what `tests.server` runs."""

import os
import sys
import threading

from app.cli import main


def end_with_parent() -> None:
    """End when the other end of our stdin is closed, however that came."""
    # Below `sys.stdin`, whose lock this thread would still hold while the interpreter ends.
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, daemon=True).start()
    sys.argv = ["app", "serve"]
    main()
