"""The store's own settings."""

import strawberry

from app.schema.types.enums import (
    Bucket,
    CaptureOn,
    EmailKind,
    NoticeKind,
    OrderStatus,
    RefundDestination,
    RenewalPolicy,
    ShortfallPolicy,
)
from app.schema.types.money import Money, money
from app.schema.types.scalars import BigInt, CurrencyCode, DateTime
from app.schema.types.withdrawal import WithdrawalTerms, terms_type
from app.services.settings import SettingsInForce


@strawberry.type(description="One of the store's own order statuses, and what it means.")
class OrderStatusMeaning:
    """The store's word and ours."""

    store_status: str = strawberry.field(description="The store's own word, as it stands in its orders.")
    means: OrderStatus = strawberry.field(description="What it means.")


@strawberry.type(description="What the store itself decides. Each change is a new version.")
class Settings:
    """The settings in force."""

    currency: CurrencyCode = strawberry.field(description="The store's currency; every wallet is in it.")
    store_name: str = strawberry.field(description="The store's name as customers know it.")
    negative_balance_enabled: bool = strawberry.field(
        description="Whether a debit by staff may take a wallet below zero."
    )
    negative_balance_limit: Money = strawberry.field(description="How far below zero, when it may.")
    inactive_after_months: int = strawberry.field(
        description="Months without a transaction after which a wallet counts as inactive."
    )
    high_balance: Money = strawberry.field(description="Balances from here on are listed for regular review.")
    payment_hold_minutes: int = strawberry.field(
        description="How long a payment is held whose request does not say."
    )
    capture_on: CaptureOn = strawberry.field(
        description="Which status of an order captures what the wallet holds for it."
    )
    refund_destination: RefundDestination = strawberry.field(
        description="Where a refund goes that does not say."
    )
    refund_bucket: Bucket = strawberry.field(
        description="The kind of value that a refund becomes that goes to the wallet beyond what the wallet paid."
    )
    refund_grace_days: int = strawberry.field(
        description="How long value can still be spent that comes back after its expiry."
    )
    renewal_policy: RenewalPolicy = strawberry.field(
        description="What a renewal takes from a wallet that has too little."
    )
    wallet_payment_methods: list[str] = strawberry.field(
        description="The store's words for paying with the wallet: renewals that say one of them are charged."
    )
    order_statuses: list[OrderStatusMeaning] = strawberry.field(
        description="The store's own statuses that Coffer would not know, and what each means."
    )
    time_zone: str = strawberry.field(
        description="The store's own clock, as the IANA database names it: days, hours and months of cashback go by it."
    )
    return_period_days: int = strawberry.field(
        description="How long customers may return what they bought; cashback that waits for it vests after that."
    )
    shortfall_policy: ShortfallPolicy = strawberry.field(
        description="What becomes of cashback that is to be taken back after it was spent."
    )
    gift_cards_redeemable: bool = strawberry.field(
        description="Whether gift cards are redeemed into wallets."
    )
    gift_card_partial_redemption: bool = strawberry.field(
        description="Whether a part of a gift card may be redeemed; without it, wholly and once."
    )
    gift_card_lifetime_months: int = strawberry.field(
        description="Months that a gift card is good after its activation, unless it was issued with another expiry; 0 is for ever."
    )
    gift_card_check_by_anyone: bool = strawberry.field(
        description="Whether whoever has a gift card's code may ask what is on it without signing in."
    )
    expiry_reminder_days: int = strawberry.field(
        description="How many days before its expiry customers are reminded of value; 0 reminds nobody."
    )
    email_kinds: list[EmailKind] = strawberry.field(description="The kinds of e-mails that customers get.")
    email_language: str = strawberry.field(
        description="The language of e-mails to customers whose own is not known."
    )
    notice_emails: list[str] = strawberry.field(
        description="The addresses of those who run the store: they are told of what waits for a person."
    )
    notice_kinds: list[NoticeKind] = strawberry.field(description="The notices that they get.")
    top_ups_enabled: bool = strawberry.field(description="Whether customers can pay in.")
    top_up_minimum: Money = strawberry.field(description="The smallest top-up; zero is any.")
    top_up_maximum: Money = strawberry.field(description="The largest top-up; zero is any.")
    top_up_day_maximum: Money = strawberry.field(
        description="What a customer pays in at most on a day of the store's calendar; zero is any."
    )
    wallet_balance_maximum: Money = strawberry.field(
        description="What a wallet may hold after a top-up; zero is any."
    )
    top_up_suggested: list[Money] = strawberry.field(description="Amounts that the store suggests.")
    top_up_methods: list[str] = strawberry.field(
        description="The store's payment methods that pay top-ups; never the wallet's own."
    )
    top_up_products: list[str] = strawberry.field(
        description="SKUs and product ids that mean a top-up in the store's orders."
    )
    top_up_hours: int = strawberry.field(
        description="How many hours a top-up that was started waits for its money."
    )
    payout_method_waiting_hours: int = strawberry.field(
        description="How long a new payout method waits until money can be sent there."
    )
    withdrawals: WithdrawalTerms = strawberry.field(description="Whether and how customers are paid out.")
    version: BigInt = strawberry.field(description="The version in force; 0 until somebody changes them.")
    updated_at: DateTime | None = strawberry.field(description="When this version was made.")
    updated_by: str | None = strawberry.field(description="Who made this version.")
    note: str | None = strawberry.field(description="Why this version was made.")


def settings_type(found: SettingsInForce, *, currency: str, store_name: str) -> Settings:
    """Return the settings as GraphQL shows them."""
    settings, version = found.settings, found.version
    return Settings(
        currency=CurrencyCode(currency),
        store_name=store_name,
        negative_balance_enabled=settings.negative_balance_enabled,
        negative_balance_limit=money(settings.negative_balance_limit_minor, currency),
        inactive_after_months=settings.inactive_after_months,
        high_balance=money(settings.high_balance_minor, currency),
        payment_hold_minutes=settings.payment_hold_minutes,
        capture_on=settings.capture_on,
        refund_destination=settings.refund_destination,
        refund_bucket=settings.refund_bucket,
        refund_grace_days=settings.refund_grace_days,
        renewal_policy=settings.renewal_policy,
        wallet_payment_methods=list(settings.wallet_payment_methods),
        order_statuses=[
            OrderStatusMeaning(store_status=word, means=means) for word, means in settings.order_statuses
        ],
        time_zone=settings.time_zone,
        return_period_days=settings.return_period_days,
        shortfall_policy=settings.shortfall_policy,
        gift_cards_redeemable=settings.gift_cards_redeemable,
        gift_card_partial_redemption=settings.gift_card_partial_redemption,
        gift_card_lifetime_months=settings.gift_card_lifetime_months,
        gift_card_check_by_anyone=settings.gift_card_check_by_anyone,
        expiry_reminder_days=settings.expiry_reminder_days,
        email_kinds=list(settings.email_kinds),
        email_language=settings.email_language,
        notice_emails=list(settings.notice_emails),
        notice_kinds=list(settings.notice_kinds),
        top_ups_enabled=settings.top_ups_enabled,
        top_up_minimum=money(settings.top_up_minimum_minor, currency),
        top_up_maximum=money(settings.top_up_maximum_minor, currency),
        top_up_day_maximum=money(settings.top_up_day_maximum_minor, currency),
        wallet_balance_maximum=money(settings.wallet_balance_maximum_minor, currency),
        top_up_suggested=[money(amount, currency) for amount in settings.top_up_suggested_minor],
        top_up_methods=list(settings.top_up_methods),
        top_up_products=list(settings.top_up_products),
        top_up_hours=settings.top_up_hours,
        payout_method_waiting_hours=settings.payout_method_waiting_hours,
        withdrawals=terms_type(settings.withdrawals, currency),
        version=BigInt(version.version if version else 0),
        updated_at=DateTime(version.created_at) if version else None,
        updated_by=version.actor_id if version else None,
        note=version.note if version else None,
    )
