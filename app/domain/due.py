"""Something whose time has come, as the clock's jobs see it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Due(Generic[T]):
    """`what` has waited since `due_at`; `id` names it in logs, and to leave it out for a while when it fails."""

    id: UUID
    due_at: datetime
    what: T
