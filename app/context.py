"""What every resolver finds in `info.context`: who asks, and the parts of the program that answer."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from aiodataloader import DataLoader
from strawberry.types import Info

from app.auth import AuthenticationError, Failure
from app.auth.gift_card import CodeKeys
from app.domain.access import Principal
from app.domain.fraud import GuessLimits
from app.email.templates import Templates
from app.live import Hub
from app.loaders import Loaders
from app.sealing import Sealer
from app.services import (
    audit,
    auto_top_up as auto_top_ups,
    gift_card as gift_cards,
    order as orders,
    payment as payments,
    promotion as promotions,
    reminder as reminders,
    renewal as renewals,
    top_up as top_ups,
    top_up_intent as top_up_intents,
    transaction as transactions,
    withdrawal as withdrawals,
)
from app.services.access import Directory
from app.services.cashback import award as cashback, rule as cashback_rules
from app.services.cashback.book import RuleBooks
from app.services.delivery import Inbox
from app.services.fraud import BalanceReads
from app.services.ledger.writer import Writer
from app.services.outbox import Bell
from app.services.withdrawal_allowance import BackgroundLoader
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Runtime:
    """The parts of the program that live as long as the server."""

    settings: Settings
    writer: Writer
    hub: Hub
    clock: Callable[[], datetime]
    balance_reads: BalanceReads
    access: Directory
    rule_books: RuleBooks
    """The cashback rules in force, and the language of their expressions."""
    gift_card_keys: CodeKeys
    emails: Templates
    """What e-mails to customers are made of."""
    guesses: GuessLimits
    sealer: Sealer | None
    """Seals secrets and details of payout methods before they are kept; nothing where production has no key."""
    inbox: Inbox = field(default_factory=Inbox)
    """What came in from the store a moment ago."""
    outbox: Bell = field(default_factory=Bell)
    """Rung when something is to leave the program."""
    verifying: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while the ledger is verified: it reads everything, so one at a time."""
    simulating: set[tuple[str, str]] = field(default_factory=set)
    """Who has a cashback rule simulated now: one at a time for each of them."""


@dataclass(frozen=True, slots=True)
class Context:
    """One operation, or one event of a subscription: loaders never outlive it."""

    principal: Principal
    request_id: str
    runtime: Runtime
    address: str | None = None
    """What the caller's address is counted by; none for this machine itself."""
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
    evaluation_counts: cashback.EvaluationCounts = field(default_factory=cashback.evaluation_counts)
    gift_card_histories: gift_cards.Histories = field(default_factory=gift_cards.histories)
    gift_card_history_counts: gift_cards.HistoryCounts = field(default_factory=gift_cards.history_counts)
    code_pages: promotions.CodePages = field(default_factory=promotions.code_pages)
    code_counts: promotions.CodeCounts = field(default_factory=promotions.code_counts)
    redemption_pages: promotions.RedemptionPages = field(default_factory=promotions.redemption_pages)
    redemption_counts: promotions.RedemptionCounts = field(default_factory=promotions.redemption_counts)
    wallet_redemption_pages: promotions.RedemptionPages = field(default_factory=promotions.wallet_pages)
    wallet_redemption_counts: promotions.RedemptionCounts = field(default_factory=promotions.wallet_counts)
    reminder_pages: reminders.Pages = field(default_factory=reminders.pages)
    reminder_counts: reminders.Counts = field(default_factory=reminders.counts)
    top_up_pages: top_ups.Pages = field(default_factory=top_ups.pages)
    top_up_counts: top_ups.Counts = field(default_factory=top_ups.counts)
    top_up_standings: top_up_intents.Standings = field(default_factory=top_up_intents.Standings)
    auto_top_up_rules: auto_top_ups.Rules = field(default_factory=auto_top_ups.Rules)
    audit_pages: audit.Pages = field(default_factory=audit.pages)
    audit_counts: audit.Counts = field(default_factory=audit.counts)

    cashback_version_pages: cashback_rules.Pages = field(default_factory=cashback_rules.pages)
    cashback_version_counts: cashback_rules.Counts = field(default_factory=cashback_rules.counts)

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
