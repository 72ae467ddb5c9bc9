"""The store's own settings."""

import strawberry

from app.schema.types.money import Money, money
from app.schema.types.scalars import BigInt, CurrencyCode, DateTime
from app.services.settings import SettingsInForce


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
        version=BigInt(version.version if version else 0),
        updated_at=DateTime(version.created_at) if version else None,
        updated_by=version.actor_id if version else None,
        note=version.note if version else None,
    )
