"""What ledger and payout providers don't agree on."""

from typing import Annotated

import strawberry

from app.context import AppInfo
from app.domain.errors import FieldInvalid
from app.domain.page import PAGE_MAX
from app.schema.types.payout import PayoutDiscrepancy
from app.schema.types.scalars import DateTime
from app.schema.types.withdrawal import Withdrawal
from app.services import payout as payouts


async def payout_reconciliation(
    info: AppInfo,
    first: Annotated[
        int, strawberry.argument(description="At most so many of each kind, the oldest first; from 1 to 100.")
    ] = 50,
) -> list[PayoutDiscrepancy]:
    """List what the two sides don't agree on."""
    if not 1 <= first <= PAGE_MAX:
        raise FieldInvalid(f"Choose from 1 to {PAGE_MAX}.", field=("first",))
    found = await payouts.reconciliation(info.context.runtime.clock(), first)
    return [
        PayoutDiscrepancy(
            kind=one.kind,
            withdrawal=None if one.withdrawal is None else Withdrawal(model=one.withdrawal),
            provider=one.provider,
            provider_reference=one.provider_reference,
            since=DateTime(one.since),
        )
        for one in found
    ]
