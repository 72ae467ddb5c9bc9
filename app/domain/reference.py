"""Reference numbers that people read out, such as `TX-7K3M-92QD-XA4P`."""

import re

_REFERENCE = re.compile(r"[A-Z0-9-]{1,32}")


def read_reference(text: str | None) -> str | None:
    """Return a reference number as it is stored, or `None` for a text that can't be one: no database is asked for it."""
    spoken = (text or "").strip().upper()
    return spoken if _REFERENCE.fullmatch(spoken) else None
