"""Wallets."""

import asyncio
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

import strawberry
from graphql import OperationType

from app.context import AppInfo
from app.domain.access import Capability
from app.domain.errors import FieldInvalid
from app.domain.global_id import global_ids
from app.domain.page import PageRequest
from app.domain.top_up_intent import RECENT
from app.models.lot import Lot
from app.models.wallet import Wallet as WalletModel, known_customer
from app.readings import column, columns_of, reading
from app.schema.types.audit import AuditEntry
from app.schema.types.cashback_award import (
    CashbackAward,
    CashbackAwardFilter,
    CashbackEvaluation,
    CashbackSummary,
)
from app.schema.types.connection import After, Before, Connection, First, Last, connection, connection_of
from app.schema.types.customer import Customer
from app.schema.types.enums import (
    Bucket,
    PaymentStatus,
    RedemptionStatus,
    WalletStatus,
    WithdrawalStatus,
    member_of,
    publish,
)
from app.schema.types.filters import award_filter, order_filter, texts, transaction_filter
from app.schema.types.money import AmountRange, Money, money, money_of
from app.schema.types.node import ID_DESCRIPTION, Node
from app.schema.types.order import Order, OrderFilter
from app.schema.types.ownership import sees
from app.schema.types.payment import Payment
from app.schema.types.payout_method import PayoutMethod
from app.schema.types.promotion import CouponRedemption
from app.schema.types.refusal import telling
from app.schema.types.reminder import ExpiringSoon, ExpiryReminder, expiring_soon
from app.schema.types.renewal import Renewal
from app.schema.types.scalars import BigInt, CurrencyCode, DateTime
from app.schema.types.sort import SortDirection
from app.schema.types.time import TimeRange
from app.schema.types.top_up import TopUp
from app.schema.types.top_up_intent import AutoTopUp, TopUpOptions, options_type
from app.schema.types.transaction import Transaction, TransactionFilter
from app.schema.types.withdrawal import Withdrawal, WithdrawalAllowance, allowance_type
from app.services import top_up_intent as top_up_intents, transaction as transactions
from app.services.audit import AuditFilter
from app.services.withdrawal import WithdrawalFilter
from app.services.withdrawal_allowance import allowance_of, key_of


@strawberry.type(description="What a wallet holds of one kind of value.")
class BucketBalance:
    """One bucket's share of a wallet."""

    bucket: Bucket = strawberry.field(description="The kind of value.")
    balance: Money = strawberry.field(description="All of it, also what is held.")
    held: Money = strawberry.field(
        description="Reserved, for example by a withdrawal that is not decided yet."
    )
    next_expiry_at: DateTime | None = strawberry.field(
        description="When the first of it expires, if any does."
    )


@strawberry.type(
    description="The one wallet of a customer, in one currency. It can't be deleted; at zero it is ready to use."
)
class Wallet(Node):
    """A wallet."""

    model: strawberry.Private[WalletModel]

    id = column("id", strawberry.ID, global_ids("Wallet"), description=ID_DESCRIPTION)

    @strawberry.field(description="Whose wallet it is.")
    async def customer(self, info: AppInfo) -> Customer:
        """Load the customer, unless it came with the wallet."""
        row = known_customer(self.model) or await info.context.loaders.customers.load(self.model.customer_id)
        if row is None:
            raise LookupError(f"wallet {self.model.id} has no customer")
        return Customer(model=row)

    @strawberry.field(
        description="The balance: the sum of all transactions, also what is held. Right at any moment."
    )
    def balance(self, info: AppInfo) -> Money:
        """Return the posted balance."""
        note_balance_read(info, self.model)
        return money(self.model.posted_minor, self.model.currency)

    held = reading(money_of("held_minor"), Money, description="The part of the balance that is reserved.")

    @strawberry.field(
        description="What can be spent: the balance less what is held. While the wallet is frozen, it waits."
    )
    def available(self, info: AppInfo) -> Money:
        """Return what is available."""
        note_balance_read(info, self.model)
        return money(self.model.posted_minor - self.model.held_minor, self.model.currency)

    @strawberry.field(
        description="What can be paid out now: the available part of cash that does not wait any more. Zero while the "
        "wallet is frozen, and while the store pays nothing out. `withdrawal` says what is left out, and why."
    )
    async def withdrawable(self, info: AppInfo) -> Money:
        """Return what can be withdrawn."""
        return (await self._allowance(info)).amount

    @strawberry.field(
        description="What can be withdrawn now, what can't and why, and the limits that apply now."
    )
    async def withdrawal(self, info: AppInfo) -> WithdrawalAllowance:
        """Return the allowance."""
        return await self._allowance(info)

    async def _allowance(self, info: AppInfo) -> WithdrawalAllowance:
        note_balance_read(info, self.model)
        context, now = info.context, info.context.runtime.clock()
        known, lots, awards = await asyncio.gather(
            context.withdrawal_backgrounds.load(key_of(self.model.id, now)),
            context.loaders.open_lots.load(self.model.id),
            context.award_sums.load(self.model.id),
        )
        found = allowance_of(self.model, lots, known, awards.pending_minor, now)
        return allowance_type(found, known.settings.withdrawals, self.model.currency)

    @strawberry.field(
        description="What it holds of each kind of value; kinds of which there is nothing are left out."
    )
    async def buckets(self, info: AppInfo) -> list[BucketBalance]:
        """Sum the open lots by bucket."""
        note_balance_read(info, self.model)
        lots = await info.context.loaders.open_lots.load(self.model.id)
        return [
            _bucket_balance(bucket, [lot for lot in lots if lot.bucket == bucket], self.model.currency)
            for bucket in Bucket
            if any(lot.bucket == bucket for lot in lots)
        ]

    currency = column("currency", CurrencyCode, description="The currency of everything in it.")
    status = column("status", WalletStatus, member_of(WalletStatus), description="Whether it can be used.")
    sequence = column(
        "sequence", BigInt, description="The sequence number of its newest transaction; 0 before the first."
    )
    created_at = column("created_at", DateTime, description="When it was opened.")
    updated_at = column(
        "updated_at",
        DateTime,
        description="When anything in it last changed, a hold or a freeze included.",
    )
    last_activity_at = column(
        "last_activity_at",
        DateTime,
        description="When its newest transaction was posted; when it was opened, if there is none.",
    )

    @strawberry.field(description="Its transactions, newest first.", extensions=[telling()])
    async def transactions(
        self,
        info: AppInfo,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        filter: Annotated[  # noqa: A002 — the argument's name in the API
            TransactionFilter | None, strawberry.argument(description="What the history is narrowed to.")
        ] = None,
    ) -> Connection[Transaction]:
        """Load a page of the history."""
        context = info.context
        wanted = transaction_filter(filter, self.model.currency, context.principal)
        request = PageRequest(first, after, last, before)
        if transactions.is_of_newest(wanted, request):
            page = await transactions.newest_page(self.model.id, request, columns_of(info))
        else:
            page = await context.histories.load((self.model.id, wanted, request))
        return connection_of(Transaction, page, lambda: context.history_counts.load((self.model.id, wanted)))

    @strawberry.field(
        description="What staff did to it beside moving money, such as freezes, newest first. Null without AUDIT_READ.",
        extensions=[telling()],
    )
    async def audit_entries(
        self,
        info: AppInfo,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[AuditEntry] | None:
        """Load a page of the audit trail."""
        context = info.context
        if not context.principal.may(Capability.AUDIT_READ):
            return None
        wanted = AuditFilter()
        page = await context.audit_pages.load(
            (self.model.id, wanted, PageRequest(first, after, last, before))
        )
        return connection(
            page,
            lambda row: AuditEntry(model=row),
            lambda: context.audit_counts.load((self.model.id, wanted)),
        )

    @strawberry.field(description="Its withdrawals, newest first.", extensions=[telling()])
    async def withdrawals(
        self,
        info: AppInfo,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        statuses: Annotated[
            list[WithdrawalStatus] | None, strawberry.argument(description="Only in one of these states.")
        ] = None,
    ) -> Connection[Withdrawal]:
        """Load a page of the withdrawals."""
        context = info.context
        wanted = WithdrawalFilter(statuses=texts(statuses, "statuses"))
        page = await context.withdrawal_pages.load(
            (self.model.id, wanted, PageRequest(first, after, last, before))
        )
        return connection(
            page,
            lambda row: Withdrawal(model=row),
            lambda: context.withdrawal_counts.load((self.model.id, wanted)),
        )

    @strawberry.field(description="Where its withdrawals may be sent, the oldest first; at most 10.")
    async def payout_methods(self, info: AppInfo) -> list[PayoutMethod]:
        """Load the payout methods that are in use."""
        rows = await info.context.loaders.payout_methods_of_wallet.load(self.model.id)
        return [PayoutMethod(model=row) for row in rows]

    @strawberry.field(description="Its cashback in all: earned, pending, expired, taken back.")
    async def cashback(self, info: AppInfo) -> CashbackSummary:
        """Add the awards up."""
        sums, currency = await info.context.award_sums.load(self.model.id), self.model.currency
        return CashbackSummary(
            earned=money(sums.earned_minor, currency),
            pending=money(sums.pending_minor, currency),
            next_vesting_at=DateTime(sums.next_vesting_at) if sums.next_vesting_at else None,
            expired=money(sums.expired_minor, currency),
            clawed_back=money(sums.clawed_minor, currency),
            owed=money(self.model.debt_minor, currency),
        )

    @strawberry.field(
        description="The cashback that it was given, newest first: pending, vested, expired or taken back.",
        extensions=[telling()],
    )
    async def cashback_awards(
        self,
        info: AppInfo,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        filter: Annotated[  # noqa: A002 — the argument's name in the API
            CashbackAwardFilter | None, strawberry.argument(description="What the list is narrowed to.")
        ] = None,
    ) -> Connection[CashbackAward]:
        """Load a page of the awards."""
        context = info.context
        wanted = award_filter(filter)
        page = await context.award_pages.load(
            (self.model.id, wanted, PageRequest(first, after, last, before))
        )
        return connection(
            page,
            lambda row: CashbackAward(model=row),
            lambda: context.award_counts.load((self.model.id, wanted)),
        )

    @strawberry.field(
        description="What the cashback rules were asked for it, newest first: why there was cashback, and why there was none.",
        extensions=[telling()],
    )
    async def cashback_evaluations(
        self,
        info: AppInfo,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[CashbackEvaluation]:
        """Load a page of what was looked at."""
        context = info.context
        request = PageRequest(first, after, last, before)
        page = await context.evaluation_pages.load((self.model.id, None, request))
        return connection(
            page,
            lambda row: CashbackEvaluation(model=row),
            lambda: context.evaluation_counts.load((self.model.id, None)),
        )

    @strawberry.field(
        description="The orders that it paid or would be paid back for, newest first. "
        "Null for those who may see the wallet and not its orders.",
        extensions=[telling()],
    )
    async def orders(
        self,
        info: AppInfo,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        filter: Annotated[  # noqa: A002 — the argument's name in the API
            OrderFilter | None, strawberry.argument(description="What the list is narrowed to.")
        ] = None,
    ) -> Connection[Order] | None:
        """Load a page of the orders."""
        context = info.context
        if not await sees(info, Capability.ORDERS_READ, self.model.id):
            return None
        wanted = order_filter(filter, None)
        page = await context.order_pages.load(
            (self.model.id, wanted, PageRequest(first, after, last, before))
        )
        return connection(
            page,
            lambda row: Order(model=row),
            lambda: context.order_counts.load((self.model.id, wanted)),
        )

    @strawberry.field(
        description="What it gives towards orders, newest first. Null for those who may see the wallet and not its orders.",
        extensions=[telling()],
    )
    async def payments(
        self,
        info: AppInfo,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        statuses: Annotated[
            list[PaymentStatus] | None, strawberry.argument(description="Only in one of these states.")
        ] = None,
    ) -> Connection[Payment] | None:
        """Load a page of the payments."""
        context = info.context
        if not await sees(info, Capability.ORDERS_READ, self.model.id):
            return None
        wanted = texts(statuses, "statuses")
        page = await context.payment_pages.load(
            (self.model.id, wanted, PageRequest(first, after, last, before))
        )
        return connection(
            page,
            lambda row: Payment(model=row),
            lambda: context.payment_counts.load((self.model.id, wanted)),
        )

    @strawberry.field(
        description="The renewals of subscriptions that it will pay, the next one first. "
        "Null for those who may see the wallet and not its orders.",
        extensions=[telling()],
    )
    async def upcoming_renewals(
        self,
        info: AppInfo,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        due_before: Annotated[
            DateTime | None, strawberry.argument(description="Only those that are due before this time.")
        ] = None,
    ) -> Connection[Renewal] | None:
        """Load a page of the renewals."""
        context = info.context
        if not await sees(info, Capability.ORDERS_READ, self.model.id):
            return None
        page = await context.renewal_pages.load(
            (self.model.id, due_before, PageRequest(first, after, last, before))
        )
        return connection(
            page,
            lambda row: Renewal(model=row),
            lambda: context.renewal_counts.load((self.model.id, due_before)),
        )

    @strawberry.field(
        description="What became of its customer's coupons, newest first. Null for those who may see the wallet and not "
        "its promotions.",
        extensions=[telling()],
    )
    async def coupon_redemptions(
        self,
        info: AppInfo,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        statuses: Annotated[
            list[RedemptionStatus] | None, strawberry.argument(description="Only in one of these states.")
        ] = None,
    ) -> Connection[CouponRedemption] | None:
        """Load a page of the redemptions."""
        context = info.context
        if not await sees(info, Capability.PROMOTIONS_READ, self.model.id):
            return None
        key = (self.model.id, texts(statuses, "statuses"))
        page = await context.wallet_redemption_pages.load((*key, PageRequest(first, after, last, before)))
        return connection(
            page,
            lambda row: CouponRedemption(model=row),
            lambda: context.wallet_redemption_counts.load(key),
        )

    @strawberry.field(
        description="What of it expires soon, by the days of the store's calendar.", extensions=[telling()]
    )
    async def expiring_soon(
        self,
        info: AppInfo,
        days: Annotated[
            int, strawberry.argument(description="How many days count as soon, from 1 to 366.")
        ] = 30,
    ) -> ExpiringSoon:
        """Group the lots that expire."""
        if not 1 <= days <= EXPIRING_DAYS_MAX:
            raise FieldInvalid(f"Choose from 1 to {EXPIRING_DAYS_MAX} days.", field=("days",))
        note_balance_read(info, self.model)
        loaders = info.context.loaders
        lots = await loaders.open_lots.load(self.model.id)
        settings = await loaders.settings.load(loaders.settings.IN_FORCE)
        now = info.context.runtime.clock()
        return expiring_soon(lots, now, days, settings.zone, self.model.currency)

    @strawberry.field(
        description="What the customer was reminded of before it expires, newest first.",
        extensions=[telling()],
    )
    async def expiry_reminders(
        self,
        info: AppInfo,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[ExpiryReminder]:
        """Load a page of the reminders."""
        context = info.context
        request = PageRequest(first, after, last, before)
        page = await context.reminder_pages.load((self.model.id, None, request))
        return connection(
            page,
            lambda row: ExpiryReminder(model=row),
            lambda: context.reminder_counts.load((self.model.id, None)),
        )

    @strawberry.field(description="What can be paid in now: limits, what is left of them, and how.")
    async def top_up_options(self, info: AppInfo) -> TopUpOptions:
        """Work out the options."""
        return await top_up_options_of(info, self.model)

    @strawberry.field(
        description="The rules by which the store charges a saved payment method, one of each kind at most."
    )
    async def auto_top_ups(self, info: AppInfo) -> list[AutoTopUp]:
        """Load the rules."""
        return [AutoTopUp(model=row) for row in await info.context.auto_top_up_rules.load(self.model.id)]

    @strawberry.field(
        description="The money that the customer paid in, newest first.", extensions=[telling()]
    )
    async def top_ups(
        self,
        info: AppInfo,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[TopUp]:
        """Load a page of the top-ups."""
        context = info.context
        page = await context.top_up_pages.load((self.model.id, None, PageRequest(first, after, last, before)))
        return connection(
            page,
            lambda row: TopUp(model=row),
            lambda: context.top_up_counts.load((self.model.id, None)),
        )


async def top_up_options_of(info: AppInfo, wallet: WalletModel) -> TopUpOptions:
    """Return what can be paid into a wallet now."""
    context = info.context
    note_balance_read(info, wallet)
    now, settings = context.runtime.clock(), context.loaders.settings
    in_force = await settings.load(settings.IN_FORCE)
    # Whole hours, so that the wallets of one operation are read together.
    since = (now - RECENT).replace(minute=0, second=0, microsecond=0)
    paid = await context.top_up_standings.load((wallet.id, since))
    return options_type(top_up_intents.options(in_force, now, wallet, paid), wallet.currency)


EXPIRING_DAYS_MAX = 366
"""How many days count as soon at most."""


def note_balance_read(info: AppInfo, wallet: WalletModel) -> None:
    """Count a query that reads a balance: once, however many wallets and fields it asks for."""
    context = info.context
    if "balance" in context.noted or info.operation.operation is not OperationType.QUERY:
        return
    context.noted.add("balance")
    context.runtime.balance_reads.note(context.principal, wallet.id)


def _bucket_balance(bucket: Bucket, lots: Iterable[Lot], currency: str) -> BucketBalance:
    lots = list(lots)
    expiries = [lot.ends_at for lot in lots if lot.ends_at is not None]
    held = sum(lot.held_minor for lot in lots)
    return BucketBalance(
        bucket=bucket,
        balance=money(sum(lot.remaining_minor for lot in lots) + held, currency),
        held=money(held, currency),
        next_expiry_at=DateTime(min(expiries)) if expiries else None,
    )


@strawberry.input(one_of=True, description="Names a wallet by exactly one of these.")
class WalletSelector:
    """Wallet id, customer id or the store's own customer id."""

    id: strawberry.ID | None = strawberry.field(default=strawberry.UNSET, description="The wallet's id.")
    customer_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="The id of its customer."
    )
    store_customer_id: str | None = strawberry.field(
        default=strawberry.UNSET, description="The store's own id of its customer."
    )


@strawberry.input(description="What a list of wallets is narrowed to; all that is given must hold.")
class WalletFilter:
    """Conditions on wallets."""

    balance: AmountRange | None = strawberry.field(
        default=None, description="Whose balance is in this range."
    )
    created: TimeRange | None = strawberry.field(default=None, description="Opened in this time.")
    last_activity: TimeRange | None = strawberry.field(
        default=None, description="Whose newest transaction was posted in this time."
    )
    last_activity_before: DateTime | None = strawberry.field(
        default=None, description="Without a transaction since this time."
    )
    statuses: list[WalletStatus] | None = strawberry.field(
        default=None, description="In one of these states."
    )


class WalletSortField(StrEnum):
    """What a list of wallets is sorted by."""

    BALANCE = "BALANCE"
    """The balance."""
    CREATED_AT = "CREATED_AT"
    """When the wallet was opened."""
    CUSTOMER_NAME = "CUSTOMER_NAME"
    """The customer's name."""
    LAST_ACTIVITY_AT = "LAST_ACTIVITY_AT"
    """When the newest transaction was posted."""


publish(WalletSortField, "What a list of wallets is sorted by.")


@strawberry.input(description="The order of a list of wallets.")
class WalletSort:
    """Field and direction."""

    field: WalletSortField = strawberry.field(description="What to sort by.")
    direction: SortDirection = strawberry.field(default=SortDirection.ASC, description="Which way.")
