"""What is written down beside money: freezes, decisions, settings."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from app.domain.access import Actor


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what, when and why; `data` is what a reader needs to understand it later (JSON)."""

    id: UUID
    wallet_id: UUID | None
    action: str
    actor: Actor
    note: str
    created_at: datetime
    data: dict[str, Any] = field(default_factory=dict)
