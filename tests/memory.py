"""A place for files that need not survive: in memory, where the machine has enough of it.

Every commit waits for the disk, and a copied database is a thousand small files. The tests are about answers, and about
processes that are killed, not about power cuts.
"""

import os
import shutil
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - fresh folders are made below it
NEEDED_BYTES = 2 * 1024**3
"""A PostgreSQL server for each process of pytest, with the databases of the tests that run. Containers often have less."""


def quick_folder() -> Path | None:
    """Where to make temporary folders, or None for the usual place."""
    if os.access(SHARED_MEMORY, os.W_OK) and shutil.disk_usage(SHARED_MEMORY).free >= NEEDED_BYTES:
        return SHARED_MEMORY
    return None
