"""What the store itself decides, as opposed to what the machine is told by its environment."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from app.domain.access import Actor
from app.domain.bucket import Bucket
from app.domain.cashback.award import ShortfallPolicy
from app.domain.cashback.period import zone_of
from app.domain.email_kind import DEFAULT_KINDS, EmailKind, check_language, read_kinds
from app.domain.errors import FieldInvalid
from app.domain.money import AMOUNT_MAX_MINOR
from app.domain.notice_kind import DEFAULT_NOTICES, NoticeKind, check_addresses, read_notices
from app.domain.order import OrderStatus
from app.domain.refund import RefundDestination
from app.domain.withdrawal_terms import WithdrawalTerms

HOLD_LIFETIME_MAX_MINUTES = 43_200
"""The longest time that a payment may be held: 30 days."""

GIFT_CARD_LIFETIME_MAX_MONTHS = 1_200
EXPIRY_REMINDER_DAYS_MAX = 90
"""How long before its expiry customers can be reminded of value at most."""

ORDER_STATUSES_MAX = 50
PAYMENT_METHODS_MAX = 20
TOP_UP_PRODUCTS_MAX = 100
TOP_UP_SUGGESTED_MAX = 10
TOP_UP_MAX_HOURS = 720
"""How long a top-up that was started may wait for its money: 30 days."""

RETURN_PERIOD_MAX_DAYS = 365


class CaptureOn(StrEnum):
    """Which status of an order captures what the wallet holds for it."""

    PAID = "PAID"
    """As soon as the order is paid."""
    COMPLETED = "COMPLETED"
    """Only once the order is completed, for stores that charge when they deliver."""


class RenewalPolicy(StrEnum):
    """What a renewal takes from a wallet that has less than it costs."""

    IN_FULL = "IN_FULL"
    """All that it costs, or nothing."""
    AS_FAR_AS_IT_GOES = "AS_FAR_AS_IT_GOES"
    """What there is; the rest is reported, for another payment method."""
    NOT_AT_ALL = "NOT_AT_ALL"
    """Nothing ever: renewals are not paid from wallets."""


WAITING_MAX_HOURS = 720
"""The longest that a new payout method may have to wait."""


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """The store's settings of one version; amounts in minor units of the store's currency."""

    negative_balance_enabled: bool = False
    """Whether a staff debit may take a wallet below zero."""
    negative_balance_limit_minor: int = 0
    """How far below zero, when it may."""
    inactive_after_months: int = 6
    """Months without a transaction after which a wallet counts as inactive."""
    high_balance_minor: int = 50_000
    """Balances from here on are listed for regular review."""
    payment_hold_minutes: int = 1_440
    """How long a payment is held when its request does not say."""
    capture_on: CaptureOn = CaptureOn.PAID
    """Which status of an order captures what is held for it."""
    refund_destination: RefundDestination = RefundDestination.SPLIT
    """Where a refund goes that does not say."""
    refund_destination_since: datetime | None = None
    """When that was decided: what the store had refunded before, to a card say, is not refunded to a wallet again."""
    refund_bucket: Bucket = Bucket.CASH
    """Which kind of value a refund becomes that goes to the wallet beyond what the wallet paid."""
    refund_grace_days: int = 7
    """How long value can still be spent that comes back after its expiry."""
    renewal_policy: RenewalPolicy = RenewalPolicy.IN_FULL
    """What a renewal takes from a wallet that has too little."""
    wallet_payment_methods: tuple[str, ...] = ("coffer", "wallet")
    """What the store calls paying with the wallet: orders of these methods whose subscription is renewed are charged."""
    order_statuses: tuple[tuple[str, OrderStatus], ...] = ()
    """What the store's own statuses mean, where Coffer does not know them."""
    time_zone: str = "UTC"
    """The store's own clock, as the IANA database names it: days, hours and months of cashback go by it."""
    return_period_days: int = 14
    """How long customers may return what they bought: cashback that waits for it vests after that."""
    shortfall_policy: ShortfallPolicy = ShortfallPolicy.LEAVE
    """What becomes of cashback that is to be taken back after it was spent."""
    payout_method_waiting_hours: int = 24
    """How long a new payout method waits until money can be sent there."""
    withdrawals: WithdrawalTerms = field(default_factory=WithdrawalTerms)
    """Whether and how customers are paid out."""

    gift_cards_redeemable: bool = False
    """Whether gift cards are redeemed into wallets."""
    gift_card_partial_redemption: bool = False
    """Whether a part of a card may be redeemed; without it, wholly and once."""
    gift_card_lifetime_months: int = 60
    """How long a card whose expiry nobody said is good after its activation; 0 is for ever."""
    gift_card_check_by_anyone: bool = False
    """Whether whoever has a code may ask what is on the card without signing in."""
    expiry_reminder_days: int = 7
    """How many days before its expiry customers are reminded of value; 0 reminds nobody."""
    email_kinds: tuple[EmailKind, ...] = DEFAULT_KINDS
    """Which e-mails customers get."""
    email_language: str = "en"
    """The language of e-mails to customers whose own is not known."""

    notice_emails: tuple[str, ...] = ()
    """Where those who run the store are told of what waits for a person."""
    notice_kinds: tuple[NoticeKind, ...] = DEFAULT_NOTICES
    """Which notices they get."""

    top_ups_enabled: bool = False
    """Whether customers can pay in."""
    top_up_minimum_minor: int = 0
    """The smallest top-up; 0 is any."""
    top_up_maximum_minor: int = 0
    """The largest top-up; 0 is any."""
    top_up_day_maximum_minor: int = 0
    """What a customer pays in at most on a day of the store's calendar; 0 is any."""
    wallet_balance_maximum_minor: int = 0
    """What a wallet may hold after a top-up; 0 is any. Refunds and cashback may take it higher."""
    top_up_suggested_minor: tuple[int, ...] = ()
    """Amounts that the store suggests, in its order."""
    top_up_methods: tuple[str, ...] = ()
    """The store's payment methods that pay top-ups; never the wallet itself."""
    top_up_products: tuple[str, ...] = ()
    """SKUs and product ids that mean a top-up in the store's orders."""
    top_up_hours: int = 24
    """How long a top-up that was started waits for its money."""

    def __post_init__(self) -> None:
        if not 0 <= self.negative_balance_limit_minor <= AMOUNT_MAX_MINOR:
            raise FieldInvalid(
                "The limit of negative balances is negative or too large. Choose a smaller amount, or 0.",
                field=("negativeBalanceLimit",),
            )
        if not 1 <= self.inactive_after_months <= 120:
            raise FieldInvalid("Choose from 1 to 120 months.", field=("inactiveAfterMonths",))
        if not 0 < self.high_balance_minor <= AMOUNT_MAX_MINOR:
            raise FieldInvalid(
                "The high balance must be more than zero. Choose a larger amount.", field=("highBalance",)
            )
        if self.negative_balance_enabled and self.negative_balance_limit_minor == 0:
            raise FieldInvalid(
                "Say how far below zero a wallet may go when you enable negative balances.",
                field=("negativeBalanceLimit",),
            )
        if not 1 <= self.payment_hold_minutes <= HOLD_LIFETIME_MAX_MINUTES:
            raise FieldInvalid(
                f"Choose from 1 to {HOLD_LIFETIME_MAX_MINUTES} minutes (30 days).",
                field=("paymentHoldMinutes",),
            )
        if not 0 <= self.refund_grace_days <= 365:
            raise FieldInvalid("Choose from 0 to 365 days.", field=("refundGraceDays",))
        _check_reminder_days(self.expiry_reminder_days)
        _check_emails(self.email_kinds, self.email_language)
        _check_notices(self.notice_emails, self.notice_kinds)
        if len(self.wallet_payment_methods) > PAYMENT_METHODS_MAX:
            raise FieldInvalid(f"Name at most {PAYMENT_METHODS_MAX}.", field=("walletPaymentMethods",))
        if len(self.order_statuses) > ORDER_STATUSES_MAX:
            raise FieldInvalid(f"Give at most {ORDER_STATUSES_MAX} statuses.", field=("orderStatuses",))
        if len({word for word, _ in self.order_statuses}) < len(self.order_statuses):
            raise FieldInvalid(
                "A status stands here twice. Give each one meaning.", field=("orderStatuses", "storeStatus")
            )
        self._check_cashback()
        self._check_payouts()

    def _check_payouts(self) -> None:
        if not 0 <= self.payout_method_waiting_hours <= WAITING_MAX_HOURS:
            raise FieldInvalid(
                f"Choose from 0 to {WAITING_MAX_HOURS} hours (30 days).", field=("payoutMethodWaitingHours",)
            )

    def _check_cashback(self) -> None:
        zone_of(self.time_zone)
        if not 0 <= self.return_period_days <= RETURN_PERIOD_MAX_DAYS:
            raise FieldInvalid(
                f"Choose from 0 to {RETURN_PERIOD_MAX_DAYS} days.", field=("returnPeriodDays",)
            )

        self._check_gift_cards()
        self._check_top_ups()

    def _check_gift_cards(self) -> None:
        if not 0 <= self.gift_card_lifetime_months <= GIFT_CARD_LIFETIME_MAX_MONTHS:
            raise FieldInvalid(
                f"Choose from 1 to {GIFT_CARD_LIFETIME_MAX_MONTHS} months, or 0 for cards that never expire.",
                field=("giftCardLifetimeMonths",),
            )

    def _check_top_ups(self) -> None:
        amounts = (
            ("topUpMinimum", self.top_up_minimum_minor),
            ("topUpMaximum", self.top_up_maximum_minor),
            ("topUpDayMaximum", self.top_up_day_maximum_minor),
            ("walletBalanceMaximum", self.wallet_balance_maximum_minor),
        )
        for name, amount_minor in amounts:
            if not 0 <= amount_minor <= AMOUNT_MAX_MINOR:
                raise FieldInvalid(
                    "This amount is negative or too large. Choose a smaller one, or 0.", field=(name,)
                )
            if 0 < amount_minor < self.top_up_minimum_minor:
                raise FieldInvalid(
                    "This is less than the smallest top-up, so none would be possible. Choose more, or 0.",
                    field=(name,),
                )
        if any(not 0 < amount <= AMOUNT_MAX_MINOR for amount in self.top_up_suggested_minor):
            raise FieldInvalid("Choose amounts of more than zero.", field=("topUpSuggested", "amount"))
        if not 1 <= self.top_up_hours <= TOP_UP_MAX_HOURS:
            raise FieldInvalid(f"Choose from 1 to {TOP_UP_MAX_HOURS} hours (30 days).", field=("topUpHours",))
        counted = (
            ("topUpSuggested", len(self.top_up_suggested_minor), TOP_UP_SUGGESTED_MAX),
            ("topUpMethods", len(self.top_up_methods), PAYMENT_METHODS_MAX),
            ("topUpProducts", len(self.top_up_products), TOP_UP_PRODUCTS_MAX),
        )
        for name, count, most in counted:
            if count > most:
                raise FieldInvalid(f"Name at most {most}.", field=(name,))
        if set(self.top_up_methods) & set(self.wallet_payment_methods):
            raise FieldInvalid(
                "A wallet can't pay into itself. Leave the wallet's own payment methods out.",
                field=("topUpMethods",),
            )

    @property
    def zone(self) -> ZoneInfo:
        """The time zone that the store's days are counted in."""
        return zone_of(self.time_zone)

    @property
    def grace(self) -> timedelta:
        """How long value can still be spent that comes back after its expiry."""
        return timedelta(days=self.refund_grace_days)

    @property
    def credit_limit_minor(self) -> int:
        """How far a staff debit may take a wallet below zero; 0 when negative balances are off."""
        return self.negative_balance_limit_minor if self.negative_balance_enabled else 0

    def as_data(self) -> dict[str, Any]:
        """Return the settings as they are stored."""
        data = asdict(self)
        since = self.refund_destination_since
        return data | {"refund_destination_since": None if since is None else since.isoformat()}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> "StoreSettings":
        """Read stored settings; fields that a newer program added get their defaults."""
        known = {one.name for one in fields(cls)}
        kept = {name: _READ.get(name, _as_it_is)(value) for name, value in data.items() if name in known}
        return cls(**kept)


def _check_reminder_days(days: int) -> None:
    if not 0 <= days <= EXPIRY_REMINDER_DAYS_MAX:
        raise FieldInvalid(
            f"Choose from 0 (nobody is reminded) to {EXPIRY_REMINDER_DAYS_MAX} days.",
            field=("expiryReminderDays",),
        )


def _check_emails(kinds: tuple[EmailKind, ...], language: str) -> None:
    if len(set(kinds)) < len(kinds):
        raise FieldInvalid("A kind stands here twice. Name each once.", field=("emailKinds",))
    if not check_language(language, field="emailLanguage"):
        raise FieldInvalid("Name a language, such as en.", field=("emailLanguage",))


def _check_notices(addresses: tuple[str, ...], kinds: tuple[NoticeKind, ...]) -> None:
    check_addresses(addresses)
    if len(set(kinds)) < len(kinds):
        raise FieldInvalid("A kind stands here twice. Name each once.", field=("noticeKinds",))


def _as_it_is(value: Any) -> Any:
    return value


_READ: dict[str, Callable[[Any], Any]] = {
    "capture_on": CaptureOn,
    "refund_destination": RefundDestination,
    "refund_destination_since": lambda text: None if text is None else datetime.fromisoformat(text),
    "refund_bucket": Bucket,
    "renewal_policy": RenewalPolicy,
    "wallet_payment_methods": tuple,
    "top_up_suggested_minor": tuple,
    "top_up_methods": tuple,
    "top_up_products": tuple,
    "order_statuses": lambda pairs: tuple((name, OrderStatus(status)) for name, status in pairs),
    "shortfall_policy": ShortfallPolicy,
    "email_kinds": read_kinds,
    "notice_emails": tuple,
    "notice_kinds": read_notices,
    "withdrawals": WithdrawalTerms.from_data,
}
"""How the fields are read whose values JSON does not hold as they are."""


@dataclass(frozen=True, slots=True)
class SettingsChange:
    """A new version of the settings: who made it, when and why."""

    id: UUID
    settings: StoreSettings
    actor: Actor
    note: str
    created_at: datetime
