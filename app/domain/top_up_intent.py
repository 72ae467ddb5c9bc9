"""A customer is about to pay in: how much they may, and the reference that the store's checkout carries.

Limits bind what is started, never what was paid: money that came is credited whatever they say. They are decided under
the wallet's lock, and what is started and not yet paid counts as if it were.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from app.domain.access import Actor
from app.domain.auto_top_up import AutoTopUpCharge, ChargeStatus
from app.domain.cashback.period import day_ends, local
from app.domain.errors import TopUpLimitReached, TopUpNotOpen, TopUpsOff, WalletFrozen
from app.domain.ledger import Draft, WalletStatus
from app.domain.money import AMOUNT_MAX_MINOR, currency_of
from app.domain.settings import StoreSettings
from app.domain.top_up import TopUp, check_method

RECENT = timedelta(hours=50)
"""How far back top-ups may lie that are of today by the store's calendar: a day has 25 hours at most, and clocks differ."""


class TopUpIntentStatus(StrEnum):
    """How a top-up stands that was started here."""

    STARTED = "STARTED"
    """The customer is at the store's checkout."""
    COMPLETED = "COMPLETED"
    """The money came."""
    EXPIRED = "EXPIRED"
    """Nothing came in time; money that comes all the same is credited."""
    CANCELLED = "CANCELLED"
    """The customer left it; money that comes all the same is credited."""


class TopUpObstacle(StrEnum):
    """Why nothing can be paid in now."""

    OFF = "OFF"
    """The store takes no top-ups."""
    FROZEN = "FROZEN"
    """The wallet is frozen."""
    NO_METHOD = "NO_METHOD"
    """The store names no payment method for top-ups."""
    DAY_LIMIT = "DAY_LIMIT"
    """What the day's limit leaves is less than the smallest top-up; tomorrow it is possible again."""
    BALANCE_LIMIT = "BALANCE_LIMIT"
    """The wallet holds as much as it may, or nearly so; spend something first."""


@dataclass(frozen=True, slots=True)
class TopUpIntent:
    """A top-up that was started; `amount_minor` is in minor units of `currency`.

    `top_up_id` is the money that came for it.
    """

    id: UUID
    wallet_id: UUID
    reference: str
    amount_minor: int
    currency: str
    payment_method: str | None
    status: TopUpIntentStatus
    top_up_id: UUID | None
    expires_at: datetime
    created_by: Actor
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """What limits are worked out from, in minor units: what the wallet holds, what was paid in on this day of the
    store's calendar, and what was started and is not yet paid.
    """

    posted_minor: int
    paid_today_minor: int = 0
    started_minor: int = 0
    is_frozen: bool = False


@dataclass(frozen=True, slots=True)
class TopUpOptions:
    """What can be paid in now, in minor units. Without `largest_minor` there is no limit but what a balance can hold.

    `suggested_minor` are the store's amounts that are possible now. `obstacles` say why nothing is.
    """

    smallest_minor: int
    largest_minor: int
    day_left_minor: int | None
    balance_left_minor: int | None
    suggested_minor: tuple[int, ...]
    methods: tuple[str, ...]
    obstacles: tuple[TopUpObstacle, ...]


def options(settings: StoreSettings, standing: Standing) -> TopUpOptions:
    """Work out what can be paid in."""
    smallest = max(1, settings.top_up_minimum_minor)
    day_left = _left(settings.top_up_day_maximum_minor, standing.paid_today_minor + standing.started_minor)
    balance_left = _left(
        settings.wallet_balance_maximum_minor, standing.posted_minor + standing.started_minor
    )
    most = settings.top_up_maximum_minor or AMOUNT_MAX_MINOR
    largest = min(limit for limit in (most, day_left, balance_left) if limit is not None)
    found = {
        TopUpObstacle.OFF: not settings.top_ups_enabled,
        TopUpObstacle.FROZEN: standing.is_frozen,
        TopUpObstacle.NO_METHOD: not settings.top_up_methods,
        TopUpObstacle.DAY_LIMIT: day_left is not None and day_left < smallest,
        TopUpObstacle.BALANCE_LIMIT: balance_left is not None and balance_left < smallest,
    }
    obstacles = tuple(obstacle for obstacle, stands in found.items() if stands)
    suggested = (amount for amount in settings.top_up_suggested_minor if smallest <= amount <= largest)
    return TopUpOptions(
        smallest_minor=smallest,
        largest_minor=0 if obstacles else largest,
        day_left_minor=day_left,
        balance_left_minor=balance_left,
        suggested_minor=() if obstacles else tuple(suggested),
        methods=settings.top_up_methods,
        obstacles=obstacles,
    )


def _left(limit_minor: int, used_minor: int) -> int | None:
    return max(0, limit_minor - used_minor) if limit_minor else None


def standing_of(
    posted_minor: int,
    *,
    is_frozen: bool,
    top_ups: Iterable[TopUp],
    intents: Iterable[TopUpIntent],
    charges: Iterable[AutoTopUpCharge],
    settings: StoreSettings,
    now: datetime,
) -> Standing:
    """Add up what was paid in today and what is under way. What is paid back does not count as paid in."""
    today = local(now, settings.zone).date()
    paid = sum(
        top_up.kept_minor for top_up in top_ups if local(top_up.paid_at, settings.zone).date() == today
    )
    started = sum(intent.amount_minor for intent in intents if is_under_way(intent, now))
    asked = sum(charge.amount_minor for charge in charges if charge.status is ChargeStatus.REQUESTED)
    return Standing(posted_minor, paid, started + asked, is_frozen)


def is_under_way(intent: TopUpIntent, now: datetime) -> bool:
    """Whether the customer may still pay it in time."""
    return intent.status is TopUpIntentStatus.STARTED and intent.expires_at > now


def standing_here(draft: Draft) -> Standing:
    """Return how the wallet stands; the command said that it tops up."""
    wallet_id = draft.wallet.id
    return standing_of(
        draft.wallet.posted_minor,
        is_frozen=draft.wallet.status is WalletStatus.FROZEN,
        top_ups=[row for row in draft.known(TopUp) if row.wallet_id == wallet_id],
        intents=[row for row in draft.known(TopUpIntent) if row.wallet_id == wallet_id],
        charges=[row for row in draft.known(AutoTopUpCharge) if row.wallet_id == wallet_id],
        settings=draft.settings,
        now=draft.now,
    )


def start(draft: Draft, amount_minor: int, method: str | None, actor: Actor) -> TopUpIntent:
    """Start a top-up of an amount by one of the store's methods (nothing: the checkout asks).

    Raises `TopUpsOff`, `WalletFrozen`, `TopUpLimitReached` or `FieldInvalid`.
    """
    settings = draft.settings
    if not settings.top_ups_enabled or not settings.top_up_methods:
        raise TopUpsOff
    if draft.wallet.status is WalletStatus.FROZEN:
        raise WalletFrozen
    if method is not None:
        method = check_method(method, settings)
    require_within(draft, amount_minor)
    intent = TopUpIntent(
        id=draft.mint.id(),
        wallet_id=draft.wallet.id,
        reference=draft.mint.reference("TI"),
        amount_minor=amount_minor,
        currency=draft.wallet.currency,
        payment_method=method,
        status=TopUpIntentStatus.STARTED,
        top_up_id=None,
        expires_at=draft.now + timedelta(hours=settings.top_up_hours),
        created_by=actor,
        created_at=draft.now,
        updated_at=draft.now,
    )
    draft.add(intent)
    return intent


def require_within(draft: Draft, amount_minor: int) -> None:
    """Raise `TopUpLimitReached` for an amount that the limits do not allow now."""
    show = currency_of(draft.wallet.currency).display
    found, settings = options(draft.settings, standing_here(draft)), draft.settings
    if amount_minor < found.smallest_minor:
        raise TopUpLimitReached(
            f"The smallest top-up is {show(found.smallest_minor)}. Choose a larger amount."
        )
    if settings.top_up_maximum_minor and amount_minor > settings.top_up_maximum_minor:
        raise TopUpLimitReached(
            f"The largest top-up is {show(settings.top_up_maximum_minor)}. Choose a smaller amount."
        )
    if found.day_left_minor is not None and amount_minor > found.day_left_minor:
        raise TopUpLimitReached(
            f"Today's limit leaves {show(found.day_left_minor)}. Choose a smaller amount, or try again tomorrow."
        )
    if found.balance_left_minor is not None and amount_minor > found.balance_left_minor:
        raise TopUpLimitReached(
            f"The wallet may get {show(found.balance_left_minor)} more. Choose a smaller amount, or spend first."
        )


def cancel(draft: Draft, intent: TopUpIntent) -> TopUpIntent:
    """Leave a top-up that was started; left twice it stays so. Raises `TopUpNotOpen` once it is paid or has expired."""
    if intent.status is TopUpIntentStatus.CANCELLED:
        return intent
    if intent.status is not TopUpIntentStatus.STARTED:
        raise TopUpNotOpen(intent.status)
    return _ended(draft, intent, TopUpIntentStatus.CANCELLED)


def expire(draft: Draft, intent: TopUpIntent) -> TopUpIntent | None:
    """End a top-up whose time is over; nothing happens where it ended meanwhile."""
    if intent.status is not TopUpIntentStatus.STARTED or intent.expires_at > draft.now:
        return None
    return _ended(draft, intent, TopUpIntentStatus.EXPIRED)


def complete(draft: Draft, intent: TopUpIntent, top_up: TopUp) -> None:
    """Write down that the money came, also where nobody waited for it any more; the first money stays named."""
    if intent.top_up_id is None and top_up.transaction_id is not None:
        _ended(draft, replace(intent, top_up_id=top_up.id), TopUpIntentStatus.COMPLETED)


def _ended(draft: Draft, intent: TopUpIntent, status: TopUpIntentStatus) -> TopUpIntent:
    ended = replace(intent, status=status, updated_at=draft.now)
    draft.add(ended)
    return ended


def day_after(now: datetime, settings: StoreSettings) -> datetime:
    """Return when the next day of the store's calendar begins, and with it what it leaves to pay in."""
    return day_ends(local(now, settings.zone).date(), settings.zone)
