"""Renewals of subscriptions that are to come."""

from typing import TYPE_CHECKING, Annotated

import strawberry

from app.context import AppInfo
from app.models.lot import Lot
from app.models.renewal import Renewal as RenewalModel
from app.models.wallet import Wallet as WalletModel
from app.schema.types.enums import RenewalStatus, WalletStatus
from app.schema.types.money import Money, money
from app.schema.types.node import ID_DESCRIPTION, Node, encode_id
from app.schema.types.ownership import seen_wallet
from app.schema.types.scalars import DateTime
from app.schema.types.transaction import Actor, actor

if TYPE_CHECKING:
    from app.schema.types.wallet import Wallet


@strawberry.type(description="The next renewal of a subscription, as the store announced it.")
class Renewal(Node):
    """A renewal."""

    model: strawberry.Private[RenewalModel]

    @strawberry.field(description=ID_DESCRIPTION)
    def id(self) -> strawberry.ID:
        """Return the global id."""
        return encode_id("Renewal", self.model.id)

    @strawberry.field(description="The store's software or channel, such as woocommerce.")
    def source(self) -> str:
        """Return the source."""
        return self.model.source

    @strawberry.field(description="The store's own id of the subscription.")
    def subscription(self) -> str:
        """Return the subscription."""
        return self.model.subscription

    @strawberry.field(description="What is renewed, in the store's words.")
    def description(self) -> str:
        """Return the description."""
        return self.model.description

    @strawberry.field(description="What it will cost.")
    def amount(self) -> Money:
        """Return the amount."""
        return money(self.model.amount_minor, self.model.currency)

    @strawberry.field(description="When it will be charged.")
    def due_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.due_at)

    @strawberry.field(description="How it stands.")
    def status(self) -> RenewalStatus:
        """Return the status."""
        return RenewalStatus(self.model.status)

    @strawberry.field(
        description="What the wallet lacks for it now, were it charged before all others; zero when there is enough. "
        "Null once it was charged or called off, and for those who may not see the wallet."
    )
    async def short(self, info: AppInfo) -> Money | None:
        """Work out what is lacking."""
        wallet = await seen_wallet(info, self.model.wallet_id)
        if wallet is None or self.model.status != RenewalStatus.UPCOMING:
            return None
        lots = await info.context.loaders.open_lots.load(wallet.id)
        spendable_minor = _spendable_minor(info, wallet, lots)
        return money(max(0, self.model.amount_minor - spendable_minor), self.model.currency)

    @strawberry.field(description="Who announced it.")
    def created_by(self, info: AppInfo) -> Actor:
        """Return who announced it."""
        return actor(info, self.model.created_by_kind, self.model.created_by_id)

    @strawberry.field(description="When it was first announced.")
    def created_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.created_at)

    @strawberry.field(description="When it last changed.")
    def updated_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.updated_at)

    @strawberry.field(description="The wallet that will pay; null for those who may not see it.")
    async def wallet(
        self, info: AppInfo
    ) -> Annotated["Wallet", strawberry.lazy("app.schema.types.wallet")] | None:
        """Load the wallet."""
        from app.schema.types.wallet import Wallet  # noqa: PLC0415 — wallets and renewals name each other

        row = await seen_wallet(info, self.model.wallet_id)
        return None if row is None else Wallet(model=row)


def _spendable_minor(info: AppInfo, wallet: WalletModel, lots: list[Lot]) -> int:
    if wallet.status == WalletStatus.FROZEN:
        return 0
    now = info.context.runtime.clock()
    free_minor: int = sum(lot.remaining_minor for lot in lots if lot.ends_at is None or lot.ends_at > now)
    available_minor: int = wallet.posted_minor - wallet.held_minor
    return max(0, min(free_minor, available_minor))
