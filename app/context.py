"""What every resolver finds in `info.context`: who asks, and the parts of the program that answer."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from strawberry.types import Info

from app.auth import AuthenticationError, Failure
from app.auth.gift_card import CodeKeys
from app.domain.access import Principal
from app.domain.fraud import GuessLimits
from app.email.templates import Templates
from app.live import Hub
from app.loaders import Lazy, Loaders, forget_loaded
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


@dataclass(frozen=True)
class Context:
    """One operation, or one event of a subscription: loaders never outlive it."""

    principal: Principal
    request_id: str
    runtime: Runtime
    address: str | None = None
    """What the caller's address is counted by; none for this machine itself."""
    noted: set[str] = field(default_factory=set)
    """What was counted of this operation already."""

    loaders = Lazy(Loaders)
    histories = Lazy(transactions.histories)
    history_counts = Lazy(transactions.history_counts)
    withdrawal_pages = Lazy(withdrawals.pages)
    withdrawal_backgrounds = Lazy(BackgroundLoader)
    withdrawal_counts = Lazy(withdrawals.counts)
    order_pages = Lazy(orders.pages)
    order_counts = Lazy(orders.counts)
    order_histories = Lazy(transactions.of_orders)
    order_history_counts = Lazy(transactions.order_counts)
    payment_pages = Lazy(payments.pages)
    payment_counts = Lazy(payments.counts)
    payment_histories = Lazy(transactions.of_holds)
    payment_history_counts = Lazy(transactions.hold_counts)
    renewal_pages = Lazy(renewals.pages)
    renewal_counts = Lazy(renewals.counts)
    award_pages = Lazy(cashback.pages)
    award_counts = Lazy(cashback.counts)
    award_sums = Lazy(cashback.SumLoader)
    evaluation_pages = Lazy(cashback.evaluation_pages)
    evaluation_counts = Lazy(cashback.evaluation_counts)
    gift_card_histories = Lazy(gift_cards.histories)
    gift_card_history_counts = Lazy(gift_cards.history_counts)
    code_pages = Lazy(promotions.code_pages)
    code_counts = Lazy(promotions.code_counts)
    redemption_pages = Lazy(promotions.redemption_pages)
    redemption_counts = Lazy(promotions.redemption_counts)
    wallet_redemption_pages = Lazy(promotions.wallet_pages)
    wallet_redemption_counts = Lazy(promotions.wallet_counts)
    reminder_pages = Lazy(reminders.pages)
    reminder_counts = Lazy(reminders.counts)
    top_up_pages = Lazy(top_ups.pages)
    top_up_counts = Lazy(top_ups.counts)
    top_up_standings = Lazy(top_up_intents.Standings)
    auto_top_up_rules = Lazy(auto_top_ups.Rules)
    audit_pages = Lazy(audit.pages)
    audit_counts = Lazy(audit.counts)
    cashback_version_pages = Lazy(cashback_rules.pages)
    cashback_version_counts = Lazy(cashback_rules.counts)

    def forget(self) -> None:
        """Have the loaders read anew: something was written, and the operation may hold several mutations."""
        forget_loaded(self)
        forget_loaded(self.loaders)


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
