"""What of a wallet's a caller may see: all with the capability, one's own without."""

from uuid import UUID

from app.context import AppInfo
from app.models.wallet import Wallet as WalletModel
from app.schema.types.enums import Capability


async def owner_of(info: AppInfo, wallet_id: UUID) -> str | None:
    """Return the store's id of the customer whose wallet it is."""
    wallet = await info.context.loaders.wallets.load(wallet_id)
    customer = None if wallet is None else await info.context.loaders.customers.load(wallet.customer_id)
    return None if customer is None else customer.external_id


async def sees(info: AppInfo, capability: Capability, wallet_id: UUID | None) -> bool:
    """Tell whether the caller may see what belongs to a wallet, or to none."""
    principal = info.context.principal
    if principal.may(capability):
        return True
    if wallet_id is None or principal.customer_external_id is None:
        return False
    owner = await owner_of(info, wallet_id)
    return owner is not None and principal.owns(owner)


async def seen_wallet(info: AppInfo, wallet_id: UUID | None) -> WalletModel | None:
    """Load a wallet for a caller who may see it."""
    if wallet_id is None or not await sees(info, Capability.WALLETS_READ, wallet_id):
        return None
    return await info.context.loaders.wallets.load(wallet_id)
