"""The store's own settings."""

import re
from collections.abc import Sequence
from typing import Annotated, Any

from app.context import AppInfo
from app.domain.email_kind import EmailKind, check_language
from app.domain.errors import FieldInvalid, NotStoresCurrency
from app.domain.money import AMOUNT_MAX_MINOR, currency_of, parse_signed
from app.domain.note import check_reason
from app.domain.notice_kind import ADDRESSES_MAX, NoticeKind, check_addresses
from app.domain.order import OrderStatus, check_id
from app.domain.settings import (
    ORDER_STATUSES_MAX,
    PAYMENT_METHODS_MAX,
    TOP_UP_PRODUCTS_MAX,
    TOP_UP_SUGGESTED_MAX,
)
from app.domain.withdrawal_terms import METHODS_MAX
from app.resolvers.answering import answering, optional_key
from app.schema.types.inputs import INPUT, OrderStatusMeaningInput, UpdateSettingsInput
from app.schema.types.money import MoneyInput
from app.schema.types.payloads import UpdateSettingsPayload
from app.schema.types.settings import Settings, settings_type
from app.schema.types.withdrawal import WithdrawalTermsInput
from app.services import settings as store_settings
from app.services.settings import SettingsInForce

EMAIL_KINDS_MAX = len(EmailKind)
NOTICES_MAX = len(NoticeKind)
_PERCENT = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,2}))?")


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
        "wallet_payment_methods": _words(given.wallet_payment_methods, "walletPaymentMethods"),
        "time_zone": given.time_zone,
        "return_period_days": given.return_period_days,
        "shortfall_policy": given.shortfall_policy,
        "expiry_reminder_days": given.expiry_reminder_days,
        "order_statuses": _meanings(given.order_statuses),
        "gift_cards_redeemable": given.gift_cards_redeemable,
        "gift_card_partial_redemption": given.gift_card_partial_redemption,
        "gift_card_lifetime_months": given.gift_card_lifetime_months,
        "gift_card_check_by_anyone": given.gift_card_check_by_anyone,
        "email_kinds": None if given.email_kinds is None else tuple(given.email_kinds[: EMAIL_KINDS_MAX + 1]),
        "email_language": None
        if given.email_language is None
        else check_language(given.email_language, field="emailLanguage"),
        "notice_emails": None
        if given.notice_emails is None
        else check_addresses(given.notice_emails[: ADDRESSES_MAX + 1]),
        "notice_kinds": None if given.notice_kinds is None else tuple(given.notice_kinds[: NOTICES_MAX + 1]),
        "top_ups_enabled": given.top_ups_enabled,
        "top_up_minimum_minor": _minor(given.top_up_minimum, currency, "topUpMinimum"),
        "top_up_maximum_minor": _minor(given.top_up_maximum, currency, "topUpMaximum"),
        "top_up_day_maximum_minor": _minor(given.top_up_day_maximum, currency, "topUpDayMaximum"),
        "wallet_balance_maximum_minor": _minor(
            given.wallet_balance_maximum, currency, "walletBalanceMaximum"
        ),
        "top_up_suggested_minor": _suggested(given.top_up_suggested, currency),
        "top_up_methods": _words(given.top_up_methods, "topUpMethods"),
        "top_up_products": _words(given.top_up_products, "topUpProducts", TOP_UP_PRODUCTS_MAX),
        "top_up_hours": given.top_up_hours,
        "payout_method_waiting_hours": given.payout_method_waiting_hours,
        "withdrawals": None if given.withdrawals is None else _terms(given.withdrawals, currency),
    }
    return {name: value for name, value in changes.items() if value is not None}


def _terms(given: WithdrawalTermsInput, currency: str) -> dict[str, Any]:
    amounts = {
        name: _minor(getattr(given, name), currency, "withdrawals", camel)
        for name, camel in (
            ("minimum", "minimum"),
            ("maximum", "maximum"),
            ("maximum_per_day", "maximumPerDay"),
            ("maximum_per_week", "maximumPerWeek"),
            ("maximum_per_month", "maximumPerMonth"),
            ("fee_fixed", "feeFixed"),
            ("auto_approve_below", "autoApproveBelow"),
        )
    }
    changes: dict[str, Any] = {f"{name}_minor": amount for name, amount in amounts.items()}
    changes |= {
        "enabled": given.enabled,
        "fee_percent_bp": None if given.fee_percent is None else _basis_points(given.fee_percent),
        "fee_payer": given.fee_payer,
        "waiting_days": given.waiting_days,
        "payer_name": None if given.payer_name is None else given.payer_name.strip(),
        "payer_iban": _account(given.payer_iban),
        "payer_bic": _account(given.payer_bic),
        "methods": None if given.methods is None else tuple(given.methods[: METHODS_MAX + 1]),
    }
    return {name: value for name, value in changes.items() if value is not None}


def _account(text: str | None) -> str | None:
    return None if text is None else "".join(text.split()).upper()


def _basis_points(text: str) -> int:
    matched = _PERCENT.fullmatch(text)
    if matched is None:
        raise FieldInvalid(
            'Write a percentage with two decimals at most, such as "1.50".',
            field=("withdrawals", "feePercent"),
        )
    return int(matched[1]) * 100 + int((matched[2] or "").ljust(2, "0"))


def _words(
    given: Sequence[str] | None, field: str, most: int = PAYMENT_METHODS_MAX
) -> tuple[str, ...] | None:
    if given is None:
        return None
    # Too many are refused where they are counted; texts beyond that are not looked at.
    return tuple(check_id(word, field=field) for word in given[: most + 1])


def _suggested(given: Sequence[MoneyInput] | None, currency: str) -> tuple[int, ...] | None:
    if given is None:
        return None
    found = (_minor(amount, currency, "topUpSuggested") for amount in given[: TOP_UP_SUGGESTED_MAX + 1])
    return tuple(amount_minor for amount_minor in found if amount_minor is not None)


def _meanings(
    given: Sequence[OrderStatusMeaningInput] | None,
) -> tuple[tuple[str, OrderStatus], ...] | None:
    if given is None:
        return None
    read = given[: ORDER_STATUSES_MAX + 1]
    return tuple((check_id(one.store_status, field="orderStatuses.storeStatus"), one.means) for one in read)


def _minor(given: MoneyInput | None, currency: str, *path: str) -> int | None:
    if given is None:
        return None
    if given.currency != currency:
        raise NotStoresCurrency(given=given.currency, store=currency, field=(*path, "currency"))
    known = currency_of(currency)
    amount_minor = parse_signed(given.amount, known, field=(*path, "amount"))
    if not 0 <= amount_minor <= AMOUNT_MAX_MINOR:
        raise FieldInvalid(
            f"This amount is negative or too large. Choose from 0 to {known.display(AMOUNT_MAX_MINOR)}.",
            field=(*path, "amount"),
        )
    return amount_minor


def _shown(info: AppInfo, found: SettingsInForce) -> Settings:
    environment = info.context.runtime.settings
    return settings_type(found, currency=environment.currency, store_name=environment.store_name)
