"""What every resolver finds in `info.context`: who asks, and the parts of the program that answer."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from aiodataloader import DataLoader
from strawberry.types import Info

from app.auth import AuthenticationError, Failure
from app.domain.access import Principal
from app.live import Hub
from app.loaders import Loaders
from app.services import (
    audit,
    cashback,
    order as orders,
    payment as payments,
    renewal as renewals,
    transaction as transactions,
    withdrawal as withdrawals,
)
from app.services.access import Directory
from app.services.delivery import Inbox
from app.services.fraud import BalanceReads
from app.services.ledger.writer import Writer
from app.services.withdrawal_allowance import BackgroundLoader
from app.settings import Settings
from app.vault import Vault


@dataclass(frozen=True, slots=True)
class Runtime:
    """The parts of the program that live as long as the server."""

    settings: Settings
    writer: Writer
    hub: Hub
    clock: Callable[[], datetime]
    balance_reads: BalanceReads
    access: Directory
    inbox: Inbox = field(default_factory=Inbox)
    """What came in from the store a moment ago."""
    vault: Vault | None = None
    """What seals the details of payout methods; none where no key is set."""
    verifying: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while the ledger is verified: it reads everything, so one at a time."""


@dataclass(frozen=True, slots=True)
class Context:
    """One operation, or one event of a subscription: loaders never outlive it."""

    principal: Principal
    request_id: str
    runtime: Runtime
    noted: set[str] = field(default_factory=set)
    """What was counted of this operation already."""
    loaders: Loaders = field(default_factory=Loaders)
    histories: transactions.Histories = field(default_factory=transactions.histories)
    history_counts: transactions.HistoryCounts = field(default_factory=transactions.history_counts)
    withdrawal_pages: withdrawals.Pages = field(default_factory=withdrawals.pages)
    withdrawal_backgrounds: BackgroundLoader = field(default_factory=BackgroundLoader)
    withdrawal_counts: withdrawals.Counts = field(default_factory=withdrawals.counts)
    order_pages: orders.Pages = field(default_factory=orders.pages)
    order_counts: orders.Counts = field(default_factory=orders.counts)
    order_histories: transactions.Parts = field(default_factory=transactions.of_orders)
    order_history_counts: transactions.PartCounts = field(default_factory=transactions.order_counts)
    payment_pages: payments.Pages = field(default_factory=payments.pages)
    payment_counts: payments.Counts = field(default_factory=payments.counts)
    payment_histories: transactions.Parts = field(default_factory=transactions.of_holds)
    payment_history_counts: transactions.PartCounts = field(default_factory=transactions.hold_counts)
    renewal_pages: renewals.Pages = field(default_factory=renewals.pages)
    renewal_counts: renewals.Counts = field(default_factory=renewals.counts)
    award_pages: cashback.Pages = field(default_factory=cashback.pages)
    award_counts: cashback.Counts = field(default_factory=cashback.counts)
    award_sums: cashback.SumLoader = field(default_factory=cashback.SumLoader)
    evaluation_pages: cashback.EvaluationPages = field(default_factory=cashback.evaluation_pages)
    audit_pages: audit.Pages = field(default_factory=audit.pages)
    audit_counts: audit.Counts = field(default_factory=audit.counts)

    def forget(self) -> None:
        """Have the loaders read anew: something was written, and the operation may hold several mutations."""
        held = [getattr(self, part.name) for part in fields(self)]
        for loader in (*held, *vars(self.loaders).values()):
            if isinstance(loader, DataLoader):
                loader.clear_all()


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
