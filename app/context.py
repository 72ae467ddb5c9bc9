"""What every resolver finds in `info.context`: who asks, and the parts of the program that answer."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from strawberry.types import Info

from app.auth import AuthenticationError, Failure
from app.domain.access import Principal
from app.live import Hub
from app.loaders import Loaders
from app.services.access import Directory
from app.services.audit import AuditCounts, AuditPages
from app.services.ledger.writer import Writer
from app.services.transaction import HistoryCounts, HistoryPages
from app.services.withdrawal import WithdrawalCounts, WithdrawalPages
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Runtime:
    """The parts of the program that live as long as the server."""

    settings: Settings
    writer: Writer
    hub: Hub
    clock: Callable[[], datetime]
    access: Directory
    verifying: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while the ledger is verified: it reads everything, so one at a time."""


@dataclass(frozen=True, slots=True)
class Context:
    """One operation, or one event of a subscription: loaders never outlive it."""

    principal: Principal
    request_id: str
    runtime: Runtime
    loaders: Loaders = field(default_factory=Loaders)
    histories: HistoryPages = field(default_factory=HistoryPages)
    history_counts: HistoryCounts = field(default_factory=HistoryCounts)
    withdrawals: WithdrawalPages = field(default_factory=WithdrawalPages)
    withdrawal_counts: WithdrawalCounts = field(default_factory=WithdrawalCounts)
    audit: AuditPages = field(default_factory=AuditPages)
    audit_counts: AuditCounts = field(default_factory=AuditCounts)


AppInfo = Info[Context, Any]


def unauthenticated(error: AuthenticationError) -> "RequestError":
    """Return a credential's refusal as a top-level error; one that may pass says to try again."""
    away = error.reason in {Failure.KEYS_UNAVAILABLE, Failure.RIGHTS_UNAVAILABLE}
    code = "SERVICE_UNAVAILABLE" if away else "UNAUTHENTICATED"
    return RequestError(code, error.message, reason=error.reason.value)


class RequestError(Exception):
    """A request that gets no answer: `code` is one of the endpoint's closed set of error codes."""

    def __init__(self, code: str, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.message = message
        self.extensions = {**extra, "code": code}
