"""Which provider the settings choose."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from app.payouts.bridge import BridgeProvider
from app.payouts.manual import ManualProvider
from app.payouts.provider import Provider
from app.settings import Settings


def provider_of(settings: Settings, *, clock: Callable[[], datetime], mint: Callable[[], UUID]) -> Provider:
    """Return the provider that the settings name; they are whole by then."""
    if settings.payout_provider == "http" and settings.payout_http_url:
        return BridgeProvider(
            settings.payout_http_url,
            settings.bridge_secrets,
            clock=clock,
            mint=mint,
            timeout_s=settings.payout_timeout_s,
        )
    if settings.payout_provider == "stripe" and settings.payout_stripe_key:
        # An eighth of the time that a server takes to start.
        from app.payouts.stripe_payouts import StripeProvider  # noqa: PLC0415 — for those who pay by it

        secret = settings.payout_stripe_webhook_secret
        return StripeProvider(
            settings.payout_stripe_key.get_secret_value(),
            webhook_secret=secret.get_secret_value() if secret else None,
            clock=clock,
            timeout_s=settings.payout_timeout_s,
            url=settings.payout_stripe_url,
        )
    return ManualProvider()
