"""Loads many rows by one statement, however many fields ask for one each; made anew for every operation.

A loader trusts its caller: what may be seen is decided where a wallet or a customer first enters an answer,
and what hangs below a wallet belongs to it.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from aiodataloader import DataLoader
from tortoise.expressions import Q
from tortoise.models import Model

from app.domain.bucket import Bucket
from app.domain.settings import StoreSettings
from app.models.api_key import ApiKey
from app.models.audit import AuditEntry
from app.models.auto_top_up import AutoTopUp, AutoTopUpCharge
from app.models.cashback_award import CashbackAward, CashbackEvaluation
from app.models.cashback_rule import CashbackRule
from app.models.customer import Customer
from app.models.delivery import Delivery, DeliveryBody
from app.models.event import StoreEvent
from app.models.gift_card import GiftCard
from app.models.hold import Hold, Reservation
from app.models.lot import Lot
from app.models.order import Order
from app.models.outbox import OutboxAttempt, OutboxMessage
from app.models.payment import Payment
from app.models.payout_method import PayoutMethod
from app.models.promotion import CouponCode, CouponRedemption, Promotion
from app.models.refund import Refund
from app.models.reminder import ExpiryReminder
from app.models.renewal import Renewal
from app.models.role import Role
from app.models.settings import SettingsVersion
from app.models.signal import Signal
from app.models.top_up import TopUp
from app.models.top_up_intent import TopUpIntent
from app.models.transaction import Allocation, Transaction
from app.models.wallet import Wallet
from app.models.webhook_endpoint import WebhookEndpoint
from app.models.withdrawal import Withdrawal
from app.models.withdrawal_step import WithdrawalStep

L = TypeVar("L")
M = TypeVar("M", bound=Model)

# Both halves of the condition are those of the partial index that keeps open lots.
_OPEN = Q(remaining_minor__gt=0) | Q(held_minor__gt=0)


class Lazy(Generic[L]):
    """An attribute that is made when somebody first asks for it.

    There are dozens of loaders, and an operation needs one or two: making all of them was a third of what a small
    query cost.
    """

    def __init__(self, make: Callable[[], L]) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type | None = None) -> L:
        # Python looks into an instance's own dictionary before it asks a descriptor that can't set: so this is
        # called once.
        made = instance.__dict__[self._name] = self._make()
        return made


def forget_loaded(holder: object) -> None:
    """Have all loaders that `holder` was asked for read anew."""
    for loader in vars(holder).values():
        if isinstance(loader, DataLoader):
            loader.clear_all()


class ById(DataLoader[UUID, M | None]):
    """Rows of one model by id; `None` for an id that is not there."""

    def __init__(self, model: type[M]) -> None:
        super().__init__()
        self._model = model

    async def batch_load_fn(self, keys: list[UUID]) -> list[M | None]:
        """Load the rows of the ids."""
        rows = {row.pk: row for row in await self._model.filter(pk__in=keys)}
        return [rows.get(key) for key in keys]


class WalletOfCustomer(DataLoader[UUID, Wallet | None]):
    """A customer's one wallet, by the customer's id."""

    async def batch_load_fn(self, keys: list[UUID]) -> list[Wallet | None]:
        """Load the wallets of the customers."""
        rows = {row.customer_id: row for row in await Wallet.filter(customer_id__in=keys)}
        return [rows.get(key) for key in keys]


class OpenLots(DataLoader[UUID, list[Lot]]):
    """The lots of a wallet that still hold value."""

    async def batch_load_fn(self, keys: list[UUID]) -> list[list[Lot]]:
        """Load the open lots of the wallets."""
        return _grouped(await Lot.filter(wallet_id__in=keys).filter(_OPEN), keys, "wallet_id")


class Allocations(DataLoader[UUID, list[Allocation]]):
    """What a transaction put into or took out of lots, in order."""

    async def batch_load_fn(self, keys: list[UUID]) -> list[list[Allocation]]:
        """Load the allocations of the transactions."""
        rows = Allocation.filter(transaction_id__in=keys).order_by("position")
        return _grouped(await rows, keys, "transaction_id")


class Corrections(DataLoader[UUID, list[Transaction]]):
    """The transactions that put another one right, oldest first."""

    async def batch_load_fn(self, keys: list[UUID]) -> list[list[Transaction]]:
        """Load the corrections of the transactions."""
        return _grouped(
            await Transaction.filter(corrects_id__in=keys).order_by("sequence"), keys, "corrects_id"
        )


class DeliveryBodies(DataLoader[UUID, DeliveryBody | None]):
    """The body of a delivery, by the delivery's id."""

    async def batch_load_fn(self, keys: list[UUID]) -> list[DeliveryBody | None]:
        """Load the bodies of the deliveries."""
        rows = {row.delivery_id: row for row in await DeliveryBody.filter(delivery_id__in=keys)}
        return [rows.get(key) for key in keys]


class OutboxAttempts(DataLoader[UUID, list[OutboxAttempt]]):
    """The attempts to send a message, oldest first."""

    async def batch_load_fn(self, keys: list[UUID]) -> list[list[OutboxAttempt]]:
        """Load the attempts of the messages."""
        rows = OutboxAttempt.filter(message_id__in=keys).order_by("started_at", "id")
        return _grouped(await rows, keys, "message_id")


class CustomerByStoreId(DataLoader[str, Customer | None]):
    """Customers by the store's own id."""

    async def batch_load_fn(self, keys: list[str]) -> list[Customer | None]:
        """Load the customers."""
        rows = {row.external_id: row for row in await Customer.filter(external_id__in=keys)}
        return [rows.get(key) for key in keys]


class Division(NamedTuple):
    """What a hold gives, in minor units: of promotional money, and of all else."""

    discount_minor: int = 0
    tender_minor: int = 0


class Divisions(DataLoader[UUID, Division]):
    """What holds give by now (held, or captured and not given back), divided by the kind of their lots."""

    async def batch_load_fn(self, keys: list[UUID]) -> list[Division]:
        """Add up the reservations of the holds."""
        sums: dict[UUID, list[int]] = {key: [0, 0] for key in keys}
        found = Reservation.filter(hold_id__in=keys).values(
            "hold_id", "lot__bucket", "amount_minor", "released_minor", "returned_minor"
        )
        for row in await found:
            given = row["amount_minor"] - row["released_minor"] - row["returned_minor"]
            sums[row["hold_id"]][row["lot__bucket"] != Bucket.PROMO] += given
        return [Division(*sums[key]) for key in keys]


class OfOrder(DataLoader[UUID, list[M]]):
    """What belongs to an order, oldest first; how many there may be is limited where they are made."""

    def __init__(self, model: type[M], *, by: str) -> None:
        super().__init__()
        self._model = model
        self._by = by

    async def batch_load_fn(self, keys: list[UUID]) -> list[list[M]]:
        """Load the rows of the orders."""
        return _grouped(
            await self._model.filter(order_id__in=keys).order_by(self._by, "id"), keys, "order_id"
        )


class SettingsInForce(DataLoader[int, StoreSettings]):
    """The store's settings, read once for an operation however many fields go by them; there is one key, `IN_FORCE`."""

    IN_FORCE = 0

    async def batch_load_fn(self, keys: list[int]) -> list[StoreSettings]:
        """Load the settings in force."""
        version = await SettingsVersion.all().order_by("-version").first()
        return [StoreSettings() if version is None else StoreSettings.from_data(version.data) for _ in keys]


class PayoutMethodsOfWallet(DataLoader[UUID, list[PayoutMethod]]):
    """The payout methods of wallets that are in use, the oldest first."""

    async def batch_load_fn(self, keys: list[UUID]) -> list[list[PayoutMethod]]:
        """Load those of many wallets by one query."""
        query = PayoutMethod.filter(wallet_id__in=keys, status="ACTIVE")
        return _grouped(await query.order_by("created_at", "id"), keys, "wallet_id")


class StepsOfWithdrawal(DataLoader[UUID, list[WithdrawalStep]]):
    """The steps of a withdrawal, the first one first."""

    async def batch_load_fn(self, keys: list[UUID]) -> list[list[WithdrawalStep]]:
        """Load the steps of the withdrawals."""
        rows = WithdrawalStep.filter(withdrawal_id__in=keys).order_by("number")
        return _grouped(await rows, keys, "withdrawal_id")


class OfHold(DataLoader[UUID, list[Transaction]]):
    """The transactions of a hold, oldest first: few, because a withdrawal is paid and given back once."""

    async def batch_load_fn(self, keys: list[UUID]) -> list[list[Transaction]]:
        """Load the transactions of the holds."""
        return _grouped(await Transaction.filter(hold_id__in=keys).order_by("sequence"), keys, "hold_id")


def _by_id(model: type[M]) -> Lazy[ById[M]]:
    return Lazy(lambda: ById(model))


def _of_order(model: type[M], *, by: str = "created_at") -> Lazy[OfOrder[M]]:
    return Lazy(lambda: OfOrder(model, by=by))


class Loaders:
    """The loaders of one operation; most operations ask for one or two of them."""

    customers = _by_id(Customer)
    wallets = _by_id(Wallet)
    transactions = _by_id(Transaction)
    holds = _by_id(Hold)
    withdrawals = _by_id(Withdrawal)
    orders = _by_id(Order)
    payments = _by_id(Payment)
    refunds = _by_id(Refund)
    payout_methods = _by_id(PayoutMethod)
    payout_methods_of_wallet = Lazy(PayoutMethodsOfWallet)
    renewals = _by_id(Renewal)
    gift_cards = _by_id(GiftCard)
    top_ups = _by_id(TopUp)
    top_up_intents = _by_id(TopUpIntent)
    auto_top_ups = _by_id(AutoTopUp)
    auto_top_up_charges = _by_id(AutoTopUpCharge)
    store_events = _by_id(StoreEvent)
    expiry_reminders = _by_id(ExpiryReminder)
    settings = Lazy(SettingsInForce)
    roles = _by_id(Role)
    cashback_rules = _by_id(CashbackRule)
    api_keys = _by_id(ApiKey)
    audit_entries = _by_id(AuditEntry)
    fraud_signals = _by_id(Signal)
    deliveries = _by_id(Delivery)
    delivery_bodies = Lazy(DeliveryBodies)
    webhook_endpoints = _by_id(WebhookEndpoint)
    outbox_messages = _by_id(OutboxMessage)
    outbox_attempts = Lazy(OutboxAttempts)
    payments_of_order = _of_order(Payment)
    refunds_of_order = _of_order(Refund)
    awards = _by_id(CashbackAward)
    awards_of_order = _of_order(CashbackAward, by="awarded_at")
    evaluations_of_order = _of_order(CashbackEvaluation)
    coupons_of_order = _of_order(CouponRedemption)
    promotions = _by_id(Promotion)
    coupon_codes = _by_id(CouponCode)
    coupon_redemptions = _by_id(CouponRedemption)
    divisions = Lazy(Divisions)
    customers_by_store_id = Lazy(CustomerByStoreId)
    wallet_of_customer = Lazy(WalletOfCustomer)
    open_lots = Lazy(OpenLots)
    allocations = Lazy(Allocations)
    corrections = Lazy(Corrections)
    steps_of_withdrawal = Lazy(StepsOfWithdrawal)
    transactions_of_hold = Lazy(OfHold)


def _grouped(rows: Iterable[M], keys: Sequence[Any], column: str) -> list[list[M]]:
    groups: dict[Any, list[M]] = {key: [] for key in keys}
    for row in rows:
        groups[getattr(row, column)].append(row)
    return [groups[key] for key in keys]
