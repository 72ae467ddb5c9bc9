"""The moment a credential ends."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any


def at(moment: datetime | None, action: Callable[[], Any]) -> asyncio.TimerHandle | None:
    """Do something at a moment of the calendar; at once if it has passed, never if there is none."""
    if moment is None:
        return None
    delay_s = max((moment - datetime.now(UTC)).total_seconds(), 0.0)
    return asyncio.get_running_loop().call_later(delay_s, action)
