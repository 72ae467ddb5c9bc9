"""Objects by their global id."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from uuid import UUID

import strawberry

from app.context import AppInfo
from app.domain.access import Capability
from app.domain.cashback.award import AwardSource
from app.domain.errors import FieldInvalid
from app.domain.outbox import Channel
from app.domain.page import PAGE_MAX
from app.loaders import ById, Loaders
from app.schema.types.api_key import ApiKey
from app.schema.types.audit import AuditEntry
from app.schema.types.cashback import CashbackRule, rule_of
from app.schema.types.cashback_award import CashbackAward
from app.schema.types.customer import Customer
from app.schema.types.delivery import WebhookDelivery
from app.schema.types.event import StoreEvent
from app.schema.types.fraud import FraudSignal
from app.schema.types.gift_card import GiftCard
from app.schema.types.node import Node, decode_any_id
from app.schema.types.order import Order
from app.schema.types.ownership import seen_wallet, sees
from app.schema.types.payment import Payment
from app.schema.types.payout_method import PayoutMethod
from app.schema.types.promotion import CouponCode, CouponRedemption, Promotion
from app.schema.types.refund import Refund
from app.schema.types.reminder import ExpiryReminder
from app.schema.types.renewal import Renewal
from app.schema.types.role import Role
from app.schema.types.top_up import TopUp
from app.schema.types.top_up_intent import AutoTopUp, AutoTopUpCharge, TopUpIntent
from app.schema.types.transaction import Transaction
from app.schema.types.wallet import Wallet
from app.schema.types.webhook_endpoint import OutgoingWebhook, WebhookEndpoint
from app.schema.types.withdrawal import Withdrawal

Id = Annotated[strawberry.ID, strawberry.argument(description="The object's id.")]
Ids = Annotated[list[strawberry.ID], strawberry.argument(description="The objects' ids, at most 100.")]


async def node(info: AppInfo, id: Id) -> Node | None:  # noqa: A002
    """Fetch an object again."""
    type_name, row_id = decode_any_id(id)
    load = _LOADERS.get(type_name)
    if load is None:
        raise FieldInvalid("This is no id. Use an `id` just as the API gave it.", field=("id",))
    return await load(info, row_id)


async def nodes(info: AppInfo, ids: Ids) -> list[Node | None]:
    """Fetch several objects again, in the order of their ids; what isn't there is null."""
    if len(ids) > PAGE_MAX:
        raise FieldInvalid(f"Send at most {PAGE_MAX} ids at once.", field=("ids",))
    # One after the other would be a statement each: the loaders gather what is asked for together.
    return list(await asyncio.gather(*(node(info, one) for one in ids)))


async def _wallet(info: AppInfo, row_id: UUID) -> Wallet | None:
    row = await seen_wallet(info, row_id)
    return None if row is None else Wallet(model=row)


async def _customer(info: AppInfo, row_id: UUID) -> Customer | None:
    row, principal = await info.context.loaders.customers.load(row_id), info.context.principal
    if row is None or not (principal.may(Capability.CUSTOMERS_READ) or principal.owns(row.external_id)):
        return None
    return Customer(model=row)


def _of_wallet(
    loader: Callable[[Loaders], ById[Any]], capability: Capability, wrap: Callable[[Any], Node]
) -> Callable[[AppInfo, UUID], Awaitable[Node | None]]:
    """Return what finds objects that belong to a wallet: with the capability all, without it one's own."""

    async def find(info: AppInfo, row_id: UUID) -> Node | None:
        row = await loader(info.context.loaders).load(row_id)
        return wrap(row) if row is not None and await sees(info, capability, row.wallet_id) else None

    return find


async def _cashback_award(info: AppInfo, row_id: UUID) -> CashbackAward | None:
    row = await info.context.loaders.awards.load(row_id)
    if row is None or row.source != AwardSource.CASHBACK:
        return None
    return CashbackAward(model=row) if await sees(info, Capability.CASHBACK_READ, row.wallet_id) else None


async def _promotion(info: AppInfo, row_id: UUID) -> Promotion | None:
    if not info.context.principal.may(Capability.PROMOTIONS_READ):
        return None
    row = await info.context.loaders.promotions.load(row_id)
    return None if row is None else Promotion(model=row)


async def _coupon_code(info: AppInfo, row_id: UUID) -> CouponCode | None:
    if not info.context.principal.may(Capability.PROMOTIONS_READ):
        return None
    row = await info.context.loaders.coupon_codes.load(row_id)
    return None if row is None else CouponCode(model=row)


async def _role(info: AppInfo, row_id: UUID) -> Role | None:
    if not info.context.principal.may(Capability.ROLES_READ):
        return None
    row = await info.context.loaders.roles.load(row_id)
    return None if row is None else Role(model=row)


async def _cashback_rule(info: AppInfo, row_id: UUID) -> CashbackRule | None:
    if not info.context.principal.may(Capability.CASHBACK_READ):
        return None
    row = await info.context.loaders.cashback_rules.load(row_id)
    return None if row is None else rule_of(row)


async def _api_key(info: AppInfo, row_id: UUID) -> ApiKey | None:
    if not info.context.principal.may(Capability.API_KEYS_READ):
        return None
    row = await info.context.loaders.api_keys.load(row_id)
    return None if row is None else ApiKey(model=row)


async def _auto_top_up_charge(info: AppInfo, row_id: UUID) -> AutoTopUpCharge | None:
    # Its token is between the store's programs: customers see their rules.
    if not info.context.principal.may(Capability.TOP_UPS_WRITE):
        return None
    row = await info.context.loaders.auto_top_up_charges.load(row_id)
    return None if row is None else AutoTopUpCharge(model=row)


async def _audit_entry(info: AppInfo, row_id: UUID) -> AuditEntry | None:
    if not info.context.principal.may(Capability.AUDIT_READ):
        return None
    row = await info.context.loaders.audit_entries.load(row_id)
    return None if row is None else AuditEntry(model=row)


async def _gift_card(info: AppInfo, row_id: UUID) -> GiftCard | None:
    if not info.context.principal.may(Capability.GIFT_CARDS_READ):
        return None
    row = await info.context.loaders.gift_cards.load(row_id)
    return None if row is None else GiftCard(model=row)


async def _fraud_signal(info: AppInfo, row_id: UUID) -> FraudSignal | None:
    if not info.context.principal.may(Capability.FRAUD_READ):
        return None
    row = await info.context.loaders.fraud_signals.load(row_id)
    return None if row is None else FraudSignal(model=row)


async def _webhook_delivery(info: AppInfo, row_id: UUID) -> WebhookDelivery | None:
    if not info.context.principal.may(Capability.WEBHOOKS_READ):
        return None
    row = await info.context.loaders.deliveries.load(row_id)
    return None if row is None else WebhookDelivery(model=row)


async def _webhook_endpoint(info: AppInfo, row_id: UUID) -> WebhookEndpoint | None:
    if not info.context.principal.may(Capability.WEBHOOK_ENDPOINTS_READ):
        return None
    row = await info.context.loaders.webhook_endpoints.load(row_id)
    return None if row is None else WebhookEndpoint(model=row)


async def _outgoing_webhook(info: AppInfo, row_id: UUID) -> OutgoingWebhook | None:
    if not info.context.principal.may(Capability.WEBHOOK_ENDPOINTS_READ):
        return None
    row = await info.context.loaders.outbox_messages.load(row_id)
    # Messages of other channels are no webhooks.
    return None if row is None or row.channel != Channel.WEBHOOK else OutgoingWebhook(model=row)


_LOADERS: dict[str, Callable[[AppInfo, UUID], Awaitable[Node | None]]] = {
    "ApiKey": _api_key,
    "AuditEntry": _audit_entry,
    "AutoTopUp": _of_wallet(
        lambda loaders: loaders.auto_top_ups, Capability.WALLETS_READ, lambda row: AutoTopUp(model=row)
    ),
    "AutoTopUpCharge": _auto_top_up_charge,
    "CashbackAward": _cashback_award,
    "CashbackRule": _cashback_rule,
    "CouponCode": _coupon_code,
    "CouponRedemption": _of_wallet(
        lambda loaders: loaders.coupon_redemptions,
        Capability.PROMOTIONS_READ,
        lambda row: CouponRedemption(model=row),
    ),
    "Customer": _customer,
    "ExpiryReminder": _of_wallet(
        lambda loaders: loaders.expiry_reminders,
        Capability.WALLETS_READ,
        lambda row: ExpiryReminder(model=row),
    ),
    "FraudSignal": _fraud_signal,
    "GiftCard": _gift_card,
    "Order": _of_wallet(lambda loaders: loaders.orders, Capability.ORDERS_READ, lambda row: Order(model=row)),
    "OutgoingWebhook": _outgoing_webhook,
    "Payment": _of_wallet(
        lambda loaders: loaders.payments, Capability.ORDERS_READ, lambda row: Payment(model=row)
    ),
    "Promotion": _promotion,
    "PayoutMethod": _of_wallet(
        lambda loaders: loaders.payout_methods, Capability.WALLETS_READ, lambda row: PayoutMethod(model=row)
    ),
    "Refund": _of_wallet(
        lambda loaders: loaders.refunds, Capability.ORDERS_READ, lambda row: Refund(model=row)
    ),
    "Renewal": _of_wallet(
        lambda loaders: loaders.renewals, Capability.ORDERS_READ, lambda row: Renewal(model=row)
    ),
    "Role": _role,
    "StoreEvent": _of_wallet(
        lambda loaders: loaders.store_events, Capability.WALLETS_READ, lambda row: StoreEvent(model=row)
    ),
    "TopUp": _of_wallet(
        lambda loaders: loaders.top_ups, Capability.WALLETS_READ, lambda row: TopUp(model=row)
    ),
    "TopUpIntent": _of_wallet(
        lambda loaders: loaders.top_up_intents, Capability.WALLETS_READ, lambda row: TopUpIntent(model=row)
    ),
    "Transaction": _of_wallet(
        lambda loaders: loaders.transactions, Capability.WALLETS_READ, lambda row: Transaction(model=row)
    ),
    "Wallet": _wallet,
    "WebhookDelivery": _webhook_delivery,
    "WebhookEndpoint": _webhook_endpoint,
    "Withdrawal": _of_wallet(
        lambda loaders: loaders.withdrawals, Capability.WALLETS_READ, lambda row: Withdrawal(model=row)
    ),
}
