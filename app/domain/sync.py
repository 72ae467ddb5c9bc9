"""How far a reading of the store's own records has come, and who is at it."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

_NAMESPACE = UUID("8b8f7f0e-1c55-5a3d-b1c9-2f2a3c9a7d61")


@dataclass(frozen=True, slots=True)
class SyncCursor:
    """The `position` (JSON, the reader's own) of a reading, leased by one process (`holder`) at a time."""

    id: UUID
    name: str
    position: dict[str, Any]
    leased_until: datetime | None
    holder: str | None
    updated_at: datetime

    @classmethod
    def begun(cls, name: str, now: datetime) -> "SyncCursor":
        """Return the cursor of a reading that has not begun."""
        return cls(cursor_id(name), name, {}, None, None, now)

    def leased(self, holder: str, now: datetime, lease: timedelta) -> "SyncCursor | None":
        """Return it in the hands of this process for so long, or nothing while another one has it."""
        free = self.leased_until is None or self.leased_until <= now or self.holder == holder
        return replace(self, holder=holder, leased_until=now + lease, updated_at=now) if free else None

    def moved(
        self, holder: str, position: dict[str, Any], now: datetime, lease: timedelta | None
    ) -> "SyncCursor | None":
        """Return it further on, kept for so long (`None` lets it go); nothing if another process has taken it."""
        if self.holder != holder:
            return None
        return replace(
            self,
            position=position,
            leased_until=None if lease is None else now + lease,
            holder=None if lease is None else holder,
            updated_at=now,
        )


def cursor_id(name: str) -> UUID:
    """Return the id of a cursor, which follows from its name."""
    return uuid5(_NAMESPACE, name)
