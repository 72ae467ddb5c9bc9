"""Objects by their global id."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

import strawberry

from app.context import AppInfo
from app.domain.access import Capability, Principal
from app.domain.errors import FieldInvalid
from app.domain.page import PAGE_MAX
from app.schema.types.api_key import ApiKey
from app.schema.types.audit import AuditEntry
from app.schema.types.customer import Customer
from app.schema.types.delivery import WebhookDelivery
from app.schema.types.fraud import FraudSignal
from app.schema.types.node import Node, decode_any_id
from app.schema.types.role import Role
from app.schema.types.transaction import Transaction
from app.schema.types.wallet import Wallet
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


async def _owner(info: AppInfo, wallet_id: UUID) -> str | None:
    wallet = await info.context.loaders.wallets.load(wallet_id)
    customer = None if wallet is None else await info.context.loaders.customers.load(wallet.customer_id)
    return None if customer is None else customer.external_id


def _sees(principal: Principal, capability: Capability, owner: str | None) -> bool:
    return owner is not None and (principal.may(capability) or principal.owns(owner))


async def _wallet(info: AppInfo, row_id: UUID) -> Wallet | None:
    owner = await _owner(info, row_id)
    if not _sees(info.context.principal, Capability.WALLETS_READ, owner):
        return None
    row = await info.context.loaders.wallets.load(row_id)
    return None if row is None else Wallet(model=row)


async def _customer(info: AppInfo, row_id: UUID) -> Customer | None:
    row = await info.context.loaders.customers.load(row_id)
    if row is None or not _sees(info.context.principal, Capability.CUSTOMERS_READ, row.external_id):
        return None
    return Customer(model=row)


async def _transaction(info: AppInfo, row_id: UUID) -> Transaction | None:
    row = await info.context.loaders.transactions.load(row_id)
    if row is None or not _sees(
        info.context.principal, Capability.WALLETS_READ, await _owner(info, row.wallet_id)
    ):
        return None
    return Transaction(model=row)


async def _withdrawal(info: AppInfo, row_id: UUID) -> Withdrawal | None:
    row = await info.context.loaders.withdrawals.load(row_id)
    if row is None or not _sees(
        info.context.principal, Capability.WALLETS_READ, await _owner(info, row.wallet_id)
    ):
        return None
    return Withdrawal(model=row)


async def _role(info: AppInfo, row_id: UUID) -> Role | None:
    if not info.context.principal.may(Capability.ROLES_READ):
        return None
    row = await info.context.loaders.roles.load(row_id)
    return None if row is None else Role(model=row)


async def _api_key(info: AppInfo, row_id: UUID) -> ApiKey | None:
    if not info.context.principal.may(Capability.API_KEYS_READ):
        return None
    row = await info.context.loaders.api_keys.load(row_id)
    return None if row is None else ApiKey(model=row)


async def _audit_entry(info: AppInfo, row_id: UUID) -> AuditEntry | None:
    if not info.context.principal.may(Capability.AUDIT_READ):
        return None
    row = await info.context.loaders.audit_entries.load(row_id)
    return None if row is None else AuditEntry(model=row)


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


_LOADERS: dict[str, Callable[[AppInfo, UUID], Awaitable[Node | None]]] = {
    "ApiKey": _api_key,
    "AuditEntry": _audit_entry,
    "Customer": _customer,
    "FraudSignal": _fraud_signal,
    "Role": _role,
    "Transaction": _transaction,
    "Wallet": _wallet,
    "WebhookDelivery": _webhook_delivery,
    "Withdrawal": _withdrawal,
}
