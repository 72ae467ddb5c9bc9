"""What expires soon, and what customers were reminded of."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import strawberry

from app.context import AppInfo
from app.domain.reminder import by_day
from app.models.lot import Lot
from app.models.reminder import ExpiryReminder as ExpiryReminderModel
from app.schema.types.enums import Bucket
from app.schema.types.money import Money, money
from app.schema.types.node import ID_DESCRIPTION, Node, encode_id
from app.schema.types.ownership import seen_wallet
from app.schema.types.scalars import Date, DateTime

if TYPE_CHECKING:
    from app.schema.types.wallet import Wallet


@strawberry.type(
    description="Value that will expire: written down once for each wallet and day, some days before, so that the customer "
    "can be told."
)
class ExpiryReminder(Node):
    """A reminder."""

    model: strawberry.Private[ExpiryReminderModel]

    @strawberry.field(description=ID_DESCRIPTION)
    def id(self) -> strawberry.ID:
        """Return the global id."""
        return encode_id("ExpiryReminder", self.model.id)

    @strawberry.field(
        description="How much there was to expire when it was written down; some may be spent since."
    )
    def amount(self) -> Money:
        """Return the amount."""
        return money(self.model.amount_minor, self.model.currency)

    @strawberry.field(description="The day of the store's calendar on which it expires.")
    def expires_on(self) -> Date:
        """Return the day."""
        return Date(self.model.expires_on)

    @strawberry.field(description="When the first of it expires.")
    def expires_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.expires_at)

    @strawberry.field(description="When it was written down.")
    def created_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.created_at)

    @strawberry.field(description="Whose value it is; null for those who may not see the wallet.")
    async def wallet(
        self, info: AppInfo
    ) -> Annotated["Wallet", strawberry.lazy("app.schema.types.wallet")] | None:
        """Load the wallet."""
        from app.schema.types.wallet import Wallet  # noqa: PLC0415 — wallets and reminders name each other

        row = await seen_wallet(info, self.model.wallet_id)
        return None if row is None else Wallet(model=row)


@strawberry.type(description="Value of one kind that expires at one time.")
class ExpiringValue:
    """A part of what expires on a day."""

    bucket: Bucket = strawberry.field(description="The kind of value.")
    amount: Money = strawberry.field(description="How much of it expires; what is held does not.")
    expires_at: DateTime = strawberry.field(description="When.")


@strawberry.type(description="What expires on one day of the store's calendar.")
class ExpiringDay:
    """A day, and what expires on it."""

    day: Date = strawberry.field(description="The day.")
    amount: Money = strawberry.field(description="How much expires on it, of all kinds.")
    values: list[ExpiringValue] = strawberry.field(description="What it is, the soonest first.")


@strawberry.type(description="What of a wallet expires soon.")
class ExpiringSoon:
    """All of it, and day by day."""

    amount: Money = strawberry.field(description="How much expires in all.")
    days: list[ExpiringDay] = strawberry.field(description="The days on which it does, the soonest first.")


def expiring_soon(
    lots: Iterable[Lot], now: datetime, days: int, zone: ZoneInfo, currency: str
) -> ExpiringSoon:
    """Group what expires within so many days by the days of the store's calendar."""
    until = now + timedelta(days=days)
    soon = [
        lot
        for lot in lots
        if lot.remaining_minor and lot.expires_at is not None and now < lot.expires_at <= until
    ]
    grouped = by_day(soon, zone)
    return ExpiringSoon(
        amount=money(sum(lot.remaining_minor for lot in soon), currency),
        days=[
            ExpiringDay(
                day=Date(day),
                amount=money(sum(lot.remaining_minor for lot in those), currency),
                values=_values(those, currency),
            )
            for day, those in grouped.items()
        ],
    )


def _values(lots: Iterable[Lot], currency: str) -> list[ExpiringValue]:
    sums: dict[tuple[datetime, Bucket], int] = {}
    for lot in lots:
        if lot.expires_at is not None:
            key = (lot.expires_at, Bucket(lot.bucket))
            sums[key] = sums.get(key, 0) + lot.remaining_minor
    return [
        ExpiringValue(bucket=bucket, amount=money(amount_minor, currency), expires_at=DateTime(at))
        for (at, bucket), amount_minor in sums.items()
    ]
