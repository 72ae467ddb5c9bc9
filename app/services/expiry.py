"""Value that reached its expiry leaves its wallet by a posted transaction."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from tortoise.expressions import Q

from app.domain.due import Due
from app.domain.ledger import SYSTEM, Draft
from app.models.lot import Lot
from app.services.ledger.command import Command, WalletRef
from app.services.ledger.writer import Writer


async def due(now: datetime, limit: int, without: Collection[UUID] = ()) -> list[Due[UUID]]:
    """Return the wallets of the lots, at most so many, whose time has run out and that hold free value, oldest first.

    The wallets named in `without` are left out.
    """
    over = Q(grace_until=None) | Q(grace_until__lte=now)
    lots = Lot.filter(over, expires_at__lte=now, remaining_minor__gt=0)
    if without:
        lots = lots.exclude(wallet_id__in=list(without))
    found: dict[UUID, Due[UUID]] = {}
    for lot in await lots.order_by("expires_at").limit(limit):
        found.setdefault(lot.wallet_id, Due(lot.wallet_id, lot.ends_at or now, lot.wallet_id))
    return list(found.values())


async def expire(writer: Writer, wallet_id: UUID) -> None:
    """Post what is due of one wallet; nothing happens when somebody else has done it meanwhile."""
    await writer.submit(Command("expire", SYSTEM, WalletRef(wallet_id=wallet_id), _nothing_more))


def _nothing_more(_draft: Draft) -> None:
    """Decide nothing: whatever a command is, what is due was posted before it was asked."""
