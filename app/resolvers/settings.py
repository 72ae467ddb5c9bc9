"""The store's own settings."""

from collections.abc import Sequence
from typing import Annotated, Any

from app.context import AppInfo
from app.domain.errors import CurrencyMismatch, FieldInvalid
from app.domain.money import AMOUNT_MAX_MINOR, currency_of, parse_signed
from app.domain.note import check_reason
from app.domain.order import OrderStatus, check_id
from app.domain.settings import ORDER_STATUSES_MAX, PAYMENT_METHODS_MAX
from app.resolvers.answering import answering, optional_key
from app.schema.types.inputs import INPUT, OrderStatusMeaningInput, UpdateSettingsInput
from app.schema.types.money import MoneyInput
from app.schema.types.payloads import UpdateSettingsPayload
from app.schema.types.settings import Settings, settings_type
from app.services import settings as store_settings
from app.services.settings import SettingsInForce


async def settings(info: AppInfo) -> Settings:
    """Return the settings in force."""
    return _shown(info, await store_settings.in_force())


@answering(UpdateSettingsPayload)
async def update_settings(
    info: AppInfo,
    input: Annotated[UpdateSettingsInput, INPUT],  # noqa: A002
) -> UpdateSettingsPayload:
    """Write a new version of the settings."""
    currency = info.context.runtime.settings.currency
    note = check_reason(input.note)
    found = await store_settings.update(
        info.context.runtime.writer,
        info.context.principal.actor,
        _changes(input, currency),
        note=note,
        idempotency_key=optional_key(input.idempotency_key),
    )
    return UpdateSettingsPayload(settings=_shown(info, found))


def _changes(given: UpdateSettingsInput, currency: str) -> dict[str, Any]:
    changes: dict[str, Any] = {
        "negative_balance_enabled": given.negative_balance_enabled,
        "inactive_after_months": given.inactive_after_months,
        "negative_balance_limit_minor": _minor(
            given.negative_balance_limit, currency, "negativeBalanceLimit"
        ),
        "high_balance_minor": _minor(given.high_balance, currency, "highBalance"),
        "payment_hold_minutes": given.payment_hold_minutes,
        "capture_on": given.capture_on,
        "refund_destination": given.refund_destination,
        "refund_bucket": given.refund_bucket,
        "refund_grace_days": given.refund_grace_days,
        "renewal_policy": given.renewal_policy,
        "wallet_payment_methods": _words(given.wallet_payment_methods),
        "time_zone": given.time_zone,
        "return_period_days": given.return_period_days,
        "shortfall_policy": given.shortfall_policy,
        "payout_method_waiting_hours": given.payout_method_waiting_hours,
        "order_statuses": _meanings(given.order_statuses),
    }
    return {name: value for name, value in changes.items() if value is not None}


def _words(given: Sequence[str] | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    # Too many are refused where they are counted; texts beyond that are not looked at.
    field = "walletPaymentMethods"
    return tuple(check_id(word, field=field) for word in given[: PAYMENT_METHODS_MAX + 1])


def _meanings(
    given: Sequence[OrderStatusMeaningInput] | None,
) -> tuple[tuple[str, OrderStatus], ...] | None:
    if given is None:
        return None
    read = given[: ORDER_STATUSES_MAX + 1]
    return tuple((check_id(one.store_status, field="orderStatuses.storeStatus"), one.means) for one in read)


def _minor(given: MoneyInput | None, currency: str, field: str) -> int | None:
    if given is None:
        return None
    if given.currency != currency:
        raise CurrencyMismatch(given=given.currency, wallet=currency, field=(field, "currency"))
    known = currency_of(currency)
    amount_minor = parse_signed(given.amount, known, field=(field, "amount"))
    if not 0 <= amount_minor <= AMOUNT_MAX_MINOR:
        raise FieldInvalid(
            f"This amount is negative or too large. Choose from 0 to {known.display(AMOUNT_MAX_MINOR)}.",
            field=(field, "amount"),
        )
    return amount_minor


def _shown(info: AppInfo, found: SettingsInForce) -> Settings:
    environment = info.context.runtime.settings
    return settings_type(found, currency=environment.currency, store_name=environment.store_name)
