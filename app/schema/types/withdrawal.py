"""Withdrawals."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import strawberry

from app.context import AppInfo
from app.domain.access import Capability
from app.domain.withdrawal_allowance import Allowance
from app.domain.withdrawal_terms import WithdrawalTerms as Terms
from app.models.withdrawal import Withdrawal as WithdrawalModel
from app.models.withdrawal_step import WithdrawalStep as WithdrawalStepModel
from app.schema.types.enums import (
    FeePayer,
    LeftOutReason,
    WithdrawalPeriod,
    WithdrawalProblem,
    WithdrawalStatus,
    publish,
)
from app.schema.types.money import AmountRange, Money, MoneyInput, money
from app.schema.types.node import ID_DESCRIPTION, Node, encode_id
from app.schema.types.ownership import sees
from app.schema.types.payout_method import PayoutMethod
from app.schema.types.scalars import DateTime, Decimal
from app.schema.types.sort import SortDirection
from app.schema.types.time import TimeRange
from app.schema.types.transaction import Actor, Transaction, actor

if TYPE_CHECKING:
    from app.schema.types.wallet import Wallet


@strawberry.type(description="One step of a withdrawal: who moved it, when and why. Steps are never changed.")
class WithdrawalStep:
    """A step."""

    model: strawberry.Private[WithdrawalStepModel]

    @strawberry.field(description="Its number within the withdrawal: 1, 2, 3 …")
    def number(self) -> int:
        """Return the number."""
        return self.model.number

    @strawberry.field(description="The status before; null for the request itself.")
    def from_status(self) -> WithdrawalStatus | None:
        """Return the status before."""
        return WithdrawalStatus(self.model.from_status) if self.model.from_status else None

    @strawberry.field(
        description="The status after; the same as before where only something was learned about the payout."
    )
    def to_status(self) -> WithdrawalStatus:
        """Return the status after."""
        return WithdrawalStatus(self.model.to_status)

    @strawberry.field(description="Who took it.")
    def actor(self, info: AppInfo) -> Actor:
        """Return the actor as the caller may see it."""
        return actor(info, self.model.actor_kind, self.model.actor_id)

    @strawberry.field(description="Why.")
    def note(self) -> str | None:
        """Return the note."""
        return self.model.note

    @strawberry.field(description="The provider's id of the payout, where this step told it.")
    def provider_reference(self) -> str | None:
        """Return the reference."""
        return self.model.provider_reference

    @strawberry.field(description="When.")
    def at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.created_at)


@strawberry.type(description="A customer's request to be paid out. Its amount is held at once.")
class Withdrawal(Node):
    """A withdrawal."""

    model: strawberry.Private[WithdrawalModel]

    @strawberry.field(description=ID_DESCRIPTION)
    def id(self) -> strawberry.ID:
        """Return the global id."""
        return encode_id("Withdrawal", self.model.id)

    @strawberry.field(description="The reference number that people can read out, such as WD-7K3M-92QD-XA4P.")
    def reference(self) -> str:
        """Return the reference number."""
        return self.model.reference

    @strawberry.field(description="How it stands.")
    def status(self) -> WithdrawalStatus:
        """Return the status."""
        return WithdrawalStatus(self.model.status)

    @strawberry.field(description="How much leaves the wallet.")
    def amount(self) -> Money:
        """Return the amount."""
        return money(self.model.amount_minor, self.model.currency)

    @strawberry.field(description="The fee by the store's terms at the time of the request.")
    def fee(self) -> Money:
        """Return the fee."""
        return money(self.model.fee_minor, self.model.currency)

    @strawberry.field(description="Who bears the fee; where the customer does, it is part of the amount.")
    def fee_payer(self) -> FeePayer:
        """Return who bears the fee."""
        return FeePayer(self.model.fee_payer)

    @strawberry.field(description="What the customer is sent: the amount, less the fee where they bear it.")
    def sent(self) -> Money:
        """Return what is sent."""
        charged = self.model.fee_minor if self.model.fee_payer == FeePayer.CUSTOMER else 0
        return money(self.model.amount_minor - charged, self.model.currency)

    @strawberry.field(description="How it is paid out: one of the methods that the settings allow.")
    def method(self) -> str:
        """Return the method."""
        return self.model.method

    @strawberry.field(description="Who sends the money, once it is being sent by a provider.")
    def provider(self) -> str | None:
        """Return the provider."""
        return self.model.provider

    @strawberry.field(description="The provider's own id of the payout.")
    def provider_reference(self) -> str | None:
        """Return the reference."""
        return self.model.provider_reference

    @strawberry.field(description="The reference of the batch that it was exported with for the bank.")
    def batch_reference(self) -> str | None:
        """Return the reference."""
        return self.model.batch_reference

    @strawberry.field(
        description="What ledger and payer don't agree on; null where all is well, and for customers."
    )
    def problem(self, info: AppInfo) -> WithdrawalProblem | None:
        """Return the problem, to the staff."""
        if self.model.problem is None or not info.context.principal.may(Capability.WALLETS_READ):
            return None
        return WithdrawalProblem(self.model.problem)

    @strawberry.field(description="All that happened to it, the request first.")
    async def steps(self, info: AppInfo) -> list[WithdrawalStep]:
        """Load the steps."""
        rows = await info.context.loaders.steps_of_withdrawal.load(self.model.id)
        return [WithdrawalStep(model=row) for row in rows]

    @strawberry.field(
        description="What it moved in the wallet, oldest first: the payout, the fee, and what came back."
    )
    async def transactions(self, info: AppInfo) -> list[Transaction]:
        """Load the transactions."""
        rows = await info.context.loaders.transactions_of_hold.load(self.model.hold_id)
        return [Transaction(model=row) for row in rows]

    @strawberry.field(description="What was said with the request.")
    def note(self) -> str:
        """Return the note."""
        return self.model.note

    @strawberry.field(
        description="Where its money is sent, if a payout method was chosen; null for those who may not see it."
    )
    async def payout_method(self, info: AppInfo) -> PayoutMethod | None:
        """Load the payout method."""
        if self.model.payout_method_id is None or not await sees(
            info, Capability.WALLETS_READ, self.model.wallet_id
        ):
            return None
        row = await info.context.loaders.payout_methods.load(self.model.payout_method_id)
        return None if row is None else PayoutMethod(model=row)

    @strawberry.field(description="Who asked for it.")
    def requested_by(self, info: AppInfo) -> Actor:
        """Return who asked."""
        return actor(info, self.model.requested_by_kind, self.model.requested_by_id)

    @strawberry.field(description="When it was asked for.")
    def requested_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.created_at)

    @strawberry.field(description="Who ended it.")
    def decided_by(self, info: AppInfo) -> Actor | None:
        """Return who decided."""
        kind, actor_id = self.model.decided_by_kind, self.model.decided_by_id
        return None if kind is None or actor_id is None else actor(info, kind, actor_id)

    @strawberry.field(description="When it ended.")
    def decided_at(self) -> DateTime | None:
        """Return the time."""
        return DateTime(self.model.decided_at) if self.model.decided_at else None

    @strawberry.field(description="What was said with the decision.")
    def decision_note(self) -> str | None:
        """Return the note."""
        return self.model.decision_note

    @strawberry.field(description="The bank's or provider's reference of the payout, once it was paid.")
    def payout_reference(self) -> str | None:
        """Return the reference."""
        return self.model.payout_reference

    @strawberry.field(description="The transaction that took the money out, once it was paid.")
    async def transaction(self, info: AppInfo) -> Transaction | None:
        """Load the transaction."""
        if self.model.transaction_id is None:
            return None
        row = await info.context.loaders.transactions.load(self.model.transaction_id)
        return None if row is None else Transaction(model=row)

    @strawberry.field(description="The wallet that it is paid out from.")
    async def wallet(self, info: AppInfo) -> Annotated["Wallet", strawberry.lazy("app.schema.types.wallet")]:
        """Load the wallet."""
        from app.schema.types.wallet import Wallet  # noqa: PLC0415 — wallets and withdrawals name each other

        row = await info.context.loaders.wallets.load(self.model.wallet_id)
        if row is None:
            raise LookupError(f"withdrawal {self.model.id} has no wallet")
        return Wallet(model=row)


def withdrawal_type(model: WithdrawalModel | None) -> Withdrawal | None:
    """Return a withdrawal as GraphQL shows it, if there is one."""
    return None if model is None else Withdrawal(model=model)


# --- what can be withdrawn ----------------------------------------------------------------------------------


@strawberry.type(
    description="A part of what a wallet holds, or of what is promised to it, that can't be withdrawn now."
)
class WithdrawalLeftOut:
    """Reason and amount."""

    reason: LeftOutReason = strawberry.field(description="Why not.")
    amount: Money = strawberry.field(description="How much.")
    until: DateTime | None = strawberry.field(
        description="When the last of it can be withdrawn, where time alone stands in the way."
    )


@strawberry.type(description="A limit that is in force for withdrawals of this wallet.")
class WithdrawalLimit:
    """Period, maximum and what is left."""

    period: WithdrawalPeriod = strawberry.field(description="What it is counted for.")
    maximum: Money = strawberry.field(description="The most that may be asked for.")
    left: Money = strawberry.field(description="What may still be asked for.")
    resets_at: DateTime | None = strawberry.field(
        description="When it begins anew, by the store's calendar; null for the limit of one request."
    )


@strawberry.type(
    description="What can be withdrawn of a wallet now, and for all the rest the reason why not. Amount and parts add up to "
    "the balance and the cashback that is not vested yet."
)
class WithdrawalAllowance:
    """Amount, parts and limits."""

    enabled: bool = strawberry.field(description="Whether the store pays out at all.")
    amount: Money = strawberry.field(
        description="What can be withdrawn now, before limits; as `withdrawable`."
    )
    left_out: list[WithdrawalLeftOut] = strawberry.field(description="What is left out, and why.")
    limits: list[WithdrawalLimit] = strawberry.field(
        description="The limits in force: of one request, of a day, a week and a month."
    )
    minimum: Money = strawberry.field(description="The least that a request may ask for.")
    maximum: Money = strawberry.field(
        description="The most that a request may ask for now, with all limits; zero when none can be made."
    )
    methods: list[str] = strawberry.field(description="The ways of paying out that may be asked for.")


def allowance_type(found: Allowance, terms: Terms, currency: str) -> WithdrawalAllowance:
    """Return an allowance as GraphQL shows it."""
    return WithdrawalAllowance(
        enabled=terms.enabled,
        amount=money(found.amount_minor, currency),
        left_out=[
            WithdrawalLeftOut(
                reason=part.reason,
                amount=money(part.amount_minor, currency),
                until=DateTime(part.until) if part.until else None,
            )
            for part in found.left_out
        ],
        limits=[
            WithdrawalLimit(
                period=limit.period,
                maximum=money(limit.maximum_minor, currency),
                left=money(limit.left_minor, currency),
                resets_at=DateTime(limit.resets_at) if limit.resets_at else None,
            )
            for limit in found.limits
        ],
        minimum=money(found.smallest_minor, currency),
        maximum=money(found.largest_minor, currency),
        methods=list(terms.methods),
    )


# --- the store's terms --------------------------------------------------------------------------------------


@strawberry.type(description="The store's terms of withdrawals. A limit that is null does not exist.")
class WithdrawalTerms:
    """Limits, fee and what needs no decision."""

    enabled: bool = strawberry.field(
        description="Whether anything can be withdrawn; false until the store says so."
    )
    minimum: Money | None = strawberry.field(description="The least that one request may ask for.")
    maximum: Money | None = strawberry.field(description="The most that one request may ask for.")
    maximum_per_day: Money | None = strawberry.field(
        description="The most of one day of the store's calendar."
    )
    maximum_per_week: Money | None = strawberry.field(
        description="The most of one week, from Monday to Sunday."
    )
    maximum_per_month: Money | None = strawberry.field(description="The most of one month of the calendar.")
    fee_fixed: Money = strawberry.field(description="The fixed part of the fee.")
    fee_percent: Decimal = strawberry.field(description='The part that goes by the amount, such as "1.50".')
    fee_payer: FeePayer = strawberry.field(description="Who bears the fee.")
    waiting_days: int = strawberry.field(
        description="How many days of the store's calendar topped-up money waits until it can be withdrawn."
    )
    methods: list[str] = strawberry.field(
        description="The ways of paying out that may be asked for; the first is meant by a request that names none."
    )
    payer_name: str | None = strawberry.field(
        description="Whose account payouts are debited from, as the bank knows them."
    )
    payer_iban: str | None = strawberry.field(description="That account.")
    payer_bic: str | None = strawberry.field(description="Its bank.")
    auto_approve_below: Money | None = strawberry.field(
        description="Requests of less than this are approved at once, unless something odd was noticed of the wallet "
        "in the last 30 days."
    )


def terms_type(terms: Terms, currency: str) -> WithdrawalTerms:
    """Return the terms as GraphQL shows them."""

    def limit(amount_minor: int) -> Money | None:
        return money(amount_minor, currency) if amount_minor else None

    return WithdrawalTerms(
        enabled=terms.enabled,
        minimum=limit(terms.minimum_minor),
        maximum=limit(terms.maximum_minor),
        maximum_per_day=limit(terms.maximum_per_day_minor),
        maximum_per_week=limit(terms.maximum_per_week_minor),
        maximum_per_month=limit(terms.maximum_per_month_minor),
        fee_fixed=money(terms.fee_fixed_minor, currency),
        fee_percent=Decimal(f"{terms.fee_percent_bp // 100}.{terms.fee_percent_bp % 100:02}"),
        fee_payer=terms.fee_payer,
        waiting_days=terms.waiting_days,
        methods=list(terms.methods),
        payer_name=terms.payer_name or None,
        payer_iban=terms.payer_iban or None,
        payer_bic=terms.payer_bic or None,
        auto_approve_below=limit(terms.auto_approve_below_minor),
    )


@strawberry.input(
    description="Changes of the terms of withdrawals; what is left out stays. An amount of 0 lifts a limit."
)
class WithdrawalTermsInput:
    """What is changed."""

    enabled: bool | None = strawberry.field(default=None, description="Whether anything can be withdrawn.")
    minimum: MoneyInput | None = strawberry.field(
        default=None, description="The least that one request may ask for."
    )
    maximum: MoneyInput | None = strawberry.field(
        default=None, description="The most that one request may ask for."
    )
    maximum_per_day: MoneyInput | None = strawberry.field(default=None, description="The most of one day.")
    maximum_per_week: MoneyInput | None = strawberry.field(default=None, description="The most of one week.")
    maximum_per_month: MoneyInput | None = strawberry.field(
        default=None, description="The most of one month."
    )
    fee_fixed: MoneyInput | None = strawberry.field(default=None, description="The fixed part of the fee.")
    fee_percent: Decimal | None = strawberry.field(
        default=None,
        description='The part that goes by the amount, from "0" to "100", with two decimals at most.',
    )
    fee_payer: FeePayer | None = strawberry.field(default=None, description="Who bears the fee.")
    waiting_days: int | None = strawberry.field(
        default=None, description="How many days topped-up money waits, at most 365."
    )
    methods: list[str] | None = strawberry.field(
        default=None,
        description="The ways of paying out, the usual one first: capital letters, digits and underscores, such as MANUAL or "
        "BANK_TRANSFER; the kind of a payout method, such as BANK_IBAN, goes to one that the request names; at most 20.",
    )
    payer_name: str | None = strawberry.field(
        default=None,
        description="Whose account payouts are debited from, as the bank knows them; at most 70 characters.",
    )
    payer_iban: str | None = strawberry.field(
        default=None, description="That account, for files by ISO 20022; an empty text takes it out."
    )
    payer_bic: str | None = strawberry.field(
        default=None, description="Its bank, where the bank wants it said."
    )
    auto_approve_below: MoneyInput | None = strawberry.field(
        default=None, description="Requests of less than this are approved at once."
    )


# --- lists --------------------------------------------------------------------------------------------------


@strawberry.input(description="What a list of withdrawals is narrowed to; all that is given must hold.")
class WithdrawalFilter:
    """Conditions on withdrawals."""

    statuses: list[WithdrawalStatus] | None = strawberry.field(
        default=None, description="In one of these states."
    )
    methods: list[str] | None = strawberry.field(default=None, description="Paid out in one of these ways.")
    amount: AmountRange | None = strawberry.field(default=None, description="Whose amount is in this range.")
    requested: TimeRange | None = strawberry.field(default=None, description="Asked for in this time.")
    batch_reference: str | None = strawberry.field(default=None, description="Exported with this batch.")
    has_problem: bool | None = strawberry.field(
        default=None, description="Whether ledger and payer disagree about it."
    )


class WithdrawalSortField(StrEnum):
    """What a list of withdrawals is sorted by."""

    REQUESTED_AT = "REQUESTED_AT"
    """When it was asked for."""
    AMOUNT = "AMOUNT"
    """How much it is."""


publish(WithdrawalSortField, "What a list of withdrawals is sorted by.")


@strawberry.input(description="The order of a list of withdrawals.")
class WithdrawalSort:
    """Field and direction."""

    field: WithdrawalSortField = strawberry.field(description="What to sort by.")
    direction: SortDirection = strawberry.field(default=SortDirection.ASC, description="Which way.")
