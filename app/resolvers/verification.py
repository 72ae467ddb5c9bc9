"""The ledger verified."""

from typing import Annotated

import strawberry

from app.context import AppInfo, RequestError
from app.domain.errors import NotFound
from app.schema.types.filters import wallet_ref
from app.schema.types.verification import LedgerVerification, verification
from app.schema.types.wallet import WalletSelector
from app.services import wallet as wallets
from app.services.verification import verify


async def verify_ledger(
    info: AppInfo,
    wallet: Annotated[
        WalletSelector | None,
        strawberry.argument(description="Only this wallet; left out, the whole ledger."),
    ] = None,
) -> LedgerVerification:
    """Verify one wallet, or the whole ledger."""
    context = info.context
    if wallet is not None:
        row = await wallets.find(wallet_ref(wallet), context.principal)
        if row is None:
            raise NotFound("wallet", field=("wallet",))
        return verification(await verify(wallet_id=row.id))
    if context.runtime.verifying.locked():
        raise RequestError("OVERLOADED", "The ledger is being verified already. Try again when that is done.")
    async with context.runtime.verifying:
        return verification(await verify())
