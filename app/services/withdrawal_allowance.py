"""What a wallet's customer could withdraw now: what the answer depends on, read for many wallets at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from uuid import UUID

from aiodataloader import DataLoader
from tortoise.expressions import Q

from app.domain.bucket import Bucket
from app.domain.cashback.period import zone_of
from app.domain.ledger import Lot, TransactionKind, WalletStatus
from app.domain.settings import StoreSettings
from app.domain.withdrawal import GIVEN_BACK, UNDER_WAY
from app.domain.withdrawal_allowance import LOOK_BACK, Allowance, Asked, Holdings, allowance
from app.models.lot import Lot as LotModel
from app.models.settings import SettingsVersion
from app.models.transaction import Allocation
from app.models.wallet import Wallet
from app.models.withdrawal import Withdrawal


@dataclass(slots=True)
class Background:
    """What is known beside a wallet and its lots."""

    settings: StoreSettings
    asked: list[Asked] = field(default_factory=list)
    reviewed_minor: int = 0
    topped_up: set[UUID] = field(default_factory=set)


class BackgroundLoader(DataLoader[tuple[UUID, date], Background]):
    """What withdrawals of wallets depend on, by the wallet's id and a day: older requests count for no limit."""

    async def batch_load_fn(self, keys: list[tuple[UUID, date]]) -> list[Background]:
        """Read it: a fixed number of statements for all wallets."""
        version = await SettingsVersion.all().order_by("-version").first()
        settings = StoreSettings() if version is None else StoreSettings.from_data(version.data)
        found = {wallet_id: Background(settings) for wallet_id, _ in keys}
        since = datetime.combine(min(day for _, day in keys), time(), UTC)
        counted = Q(created_at__gt=since, status__not_in=[str(status) for status in GIVEN_BACK])
        under_way = Q(status__in=[str(status) for status in UNDER_WAY])
        requests = Withdrawal.filter(counted | under_way, wallet_id__in=list(found))
        for wallet_id, status, amount_minor, created_at in await requests.values_list(
            "wallet_id", "status", "amount_minor", "created_at"
        ):
            known = found[wallet_id]
            if status in UNDER_WAY:
                known.reviewed_minor += amount_minor
            known.asked.append((created_at, amount_minor))
        if settings.withdrawals.waiting_days:
            rows = Allocation.filter(
                lot__wallet_id__in=list(found),
                lot__remaining_minor__gt=0,
                transaction__kind=str(TransactionKind.TOP_UP),
                amount_minor__gt=0,
            )
            for wallet_id, lot_id in await rows.values_list("lot__wallet_id", "lot_id"):
                found[wallet_id].topped_up.add(lot_id)
        return [found[wallet_id] for wallet_id, _ in keys]


def key_of(wallet_id: UUID, now: datetime) -> tuple[UUID, date]:
    """Return what a wallet's background is loaded by."""
    return wallet_id, (now - LOOK_BACK).date()


def allowance_of(
    wallet: Wallet, lots: Sequence[LotModel], known: Background, unvested_minor: int, now: datetime
) -> Allowance:
    """Return what can be withdrawn of a wallet now, and why not the rest."""
    settings = known.settings
    holdings = Holdings(
        available_minor=wallet.posted_minor - wallet.held_minor,
        lots=[_lot(row) for row in lots],
        topped_up=known.topped_up,
        frozen=wallet.status == WalletStatus.FROZEN,
        reviewed_minor=known.reviewed_minor,
        unvested_minor=unvested_minor,
        debt_minor=wallet.debt_minor,
    )
    return allowance(holdings, settings.withdrawals, known.asked, zone_of(settings.time_zone), now)


def _lot(row: LotModel) -> Lot:
    return Lot(
        id=row.id,
        wallet_id=row.wallet_id,
        bucket=Bucket(row.bucket),
        sequence=row.sequence,
        original_minor=row.original_minor,
        remaining_minor=row.remaining_minor,
        held_minor=row.held_minor,
        expires_at=row.expires_at,
        created_at=row.created_at,
        grace_until=row.grace_until,
    )
