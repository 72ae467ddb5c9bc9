"""Subscriptions renewed from the wallet: announced, charged, called off."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from tortoise.queryset import QuerySet

from app.domain import payment as paying, renewal as rules
from app.domain.access import Actor
from app.domain.errors import (
    CurrencyMismatch,
    FieldInvalid,
    NotFound,
    OrderInOtherCurrency,
    OrderNotPayable,
)
from app.domain.ledger import Draft
from app.domain.money import currency_of, parse_amount
from app.domain.note import check_text
from app.domain.order import Order, OrderStatus, check_id, check_source, order_id
from app.domain.page import Page, PageRequest
from app.domain.reconciliation import reconcile
from app.domain.refund import Refund
from app.domain.renewal import Renewal, RenewalStatus, renewal_id
from app.models.order import Order as OrderModel
from app.models.paging import CountLoader, PageLoader, Sort, fetch_page, time_value
from app.models.renewal import Renewal as RenewalModel
from app.models.wallet import Wallet
from app.services.ledger.command import Command, IdempotencyClaim, Outcome, WalletRef
from app.services.ledger.rows import order_of, renewal_of, wallet_of
from app.services.ledger.writer import Writer

DESCRIPTION_MAX = 200

SORT = Sort("DUE_AT", "due_at", lambda row: row.due_at, time_value)
"""Renewals come in the order in which they are due."""


@dataclass(frozen=True, slots=True)
class ChargeRequest:
    """A renewal to charge, as it came in: the order that renews the subscription, and what it costs."""

    wallet: WalletRef
    source: str
    external_id: str
    subscription: str
    amount: str
    currency: str
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class Charged:
    """The wallet and the renewal's order after it was charged; the order says what was taken and what is short."""

    wallet: Wallet
    order: OrderModel
    replayed: bool


@dataclass(frozen=True, slots=True)
class Announcement:
    """The next renewal of a subscription, as it came in."""

    wallet: WalletRef
    source: str
    subscription: str
    amount: str
    currency: str
    due_at: datetime
    description: str
    idempotency_key: str | None


@dataclass(frozen=True, slots=True)
class Announced:
    """The wallet and the announced renewal, and whether this is the answer to a repeated request."""

    wallet: Wallet
    renewal: RenewalModel
    replayed: bool


DueBefore = datetime | None


def upcoming(due_before: DueBefore, wallet_id: UUID | None = None) -> QuerySet[RenewalModel]:
    """Return the query of the renewals that are still to come, of one wallet or of the whole store."""
    query = RenewalModel.filter(status=str(RenewalStatus.UPCOMING))
    if due_before is not None:
        query = query.filter(due_at__lt=due_before)
    return query if wallet_id is None else query.filter(wallet_id=wallet_id)


async def page_of(query: QuerySet[RenewalModel], page: PageRequest) -> Page[RenewalModel]:
    """Read one page of a list of renewals, the next one first."""
    return await fetch_page(query, SORT, page)


Pages = PageLoader[DueBefore, RenewalModel]
Counts = CountLoader[DueBefore]


def pages() -> Pages:
    """Return a loader of pages of wallets' upcoming renewals, the next one first."""
    return PageLoader(upcoming, SORT, partition="wallet_id")


def counts() -> Counts:
    """Return a loader of how many renewals wallets have to pay."""
    return CountLoader(upcoming, partition="wallet_id")


async def charge(writer: Writer, actor: Actor, request: ChargeRequest) -> Charged:
    """Take a renewal's money from the wallet, by the store's policy; repeated for one order, it takes only the rest.

    Raises `NotFound`, `OrderNotPayable`, `OrderOfAnother`, `WalletFrozen`, `InsufficientFunds`,
    `RenewalNotCharged` or a refusal of the input.
    """
    source = check_source(request.source, field="order.source")
    external_id = check_id(request.external_id, field="order.externalId")
    subscription = check_id(request.subscription, field="subscription")
    amount_minor = parse_amount(request.amount, currency_of(request.currency), field=("amount", "amount"))
    row_id, next_id = order_id(source, external_id), renewal_id(source, subscription)

    def decide(draft: Draft) -> Order:
        if draft.wallet.currency != request.currency:
            raise CurrencyMismatch(given=request.currency, wallet=draft.wallet.currency)
        order = draft.found(Order, row_id) or Order.opened(source, external_id, draft.now)
        payments = paying.of_order(draft, row_id)
        _require_chargeable(draft, order)
        done = rules.charge(draft, order, payments, amount_minor, actor=actor)
        announced = draft.found(Renewal, next_id)
        if announced is not None and done.taken_minor and announced.status is RenewalStatus.UPCOMING:
            draft.add(rules.charged(announced, draft.now))
        order = replace(order, wallet_id=draft.wallet.id, updated_at=draft.now)
        payments += [done.payment] if done.payment else []
        refunds = draft.of_order(Refund, row_id)
        return reconcile(draft, order, payments, refunds, actor=actor, short_minor=done.short_minor)

    content = {
        "wallet": repr(request.wallet),
        "order": [source, external_id],
        "subscription": subscription,
        "amount_minor": amount_minor,
        "currency": request.currency,
    }
    claim = IdempotencyClaim.of(actor, request.idempotency_key, "chargeRenewal", content)
    rows = ((Order, row_id), (Renewal, next_id))
    outcome = await writer.submit(
        Command("chargeRenewal", actor, request.wallet, decide, claim, opens=True, rows=rows)
    )
    return await _charged(outcome)


def _require_chargeable(draft: Draft, order: Order) -> None:
    paying.require_own(draft, order)
    told = order.snapshot
    if told is not None and told.currency != draft.wallet.currency:
        raise OrderInOtherCurrency(order=told.currency, wallet=draft.wallet.currency)
    if order.is_deleted or order.status in {OrderStatus.CANCELLED, OrderStatus.REFUNDED}:
        raise OrderNotPayable(order.name, "deleted" if order.is_deleted else order.status)


async def _charged(outcome: Outcome) -> Charged:
    if isinstance(outcome.answer, Order) and outcome.wallet is not None:
        return Charged(wallet_of(outcome.wallet), order_of(outcome.answer), replayed=False)
    order = await OrderModel.get(id=outcome.result["Order"])
    return Charged(await Wallet.get(id=outcome.result["Wallet"]), order, replayed=True)


async def announce(writer: Writer, actor: Actor, request: Announcement) -> Announced:
    """Tell what the next renewal of a subscription will cost; a later announcement takes the place of an earlier one.

    Raises `NotFound` or a refusal of the input.
    """
    source = check_source(request.source)
    subscription = check_id(request.subscription, field="subscription")
    amount_minor = parse_amount(request.amount, currency_of(request.currency), field=("amount", "amount"))
    description = check_text(request.description, field="description", length_max=DESCRIPTION_MAX)
    if request.due_at.tzinfo is None:
        raise FieldInvalid("The time has no zone. Add one, such as Z.", field=("dueAt",))
    next_id = renewal_id(source, subscription)

    def decide(draft: Draft) -> Renewal:
        if draft.wallet.currency != request.currency:
            raise CurrencyMismatch(given=request.currency, wallet=draft.wallet.currency)
        known = draft.found(Renewal, next_id)
        renewal = Renewal(
            id=next_id,
            wallet_id=draft.wallet.id,
            source=source,
            subscription=subscription,
            description=description,
            amount_minor=amount_minor,
            currency=request.currency,
            due_at=request.due_at,
            status=RenewalStatus.UPCOMING,
            created_by=known.created_by if known else actor,
            created_at=known.created_at if known else draft.now,
            updated_at=draft.now,
        )
        draft.add(renewal)
        return renewal

    content = {
        "wallet": repr(request.wallet),
        "subscription": [source, subscription],
        "amount_minor": amount_minor,
        "currency": request.currency,
        "due_at": request.due_at.isoformat(),
        "description": description,
    }
    key = request.idempotency_key
    claim = None if key is None else IdempotencyClaim.of(actor, key, "announceRenewal", content)
    rows = ((Renewal, next_id),)
    outcome = await writer.submit(
        Command("announceRenewal", actor, request.wallet, decide, claim, opens=True, rows=rows)
    )
    return await _announced(outcome)


async def call_off(
    writer: Writer, actor: Actor, source: str, subscription: str, *, idempotency_key: str | None
) -> Announced:
    """Take the announcement of a renewal back; nothing happens where it was charged or called off. Raises `NotFound`."""
    next_id = renewal_id(check_source(source), check_id(subscription, field="subscription"))
    known = await RenewalModel.get_or_none(id=next_id)
    if known is None:
        raise NotFound("renewal", field=("subscription",))

    def decide(draft: Draft) -> Renewal:
        renewal = draft.row(Renewal, next_id)
        if renewal.status is RenewalStatus.UPCOMING:
            renewal = replace(renewal, status=RenewalStatus.CANCELLED, updated_at=draft.now)
            draft.add(renewal)
        return renewal

    content = {"subscription": [source, subscription]}
    key = idempotency_key
    claim = None if key is None else IdempotencyClaim.of(actor, key, "cancelRenewal", content)
    ref, rows = WalletRef(wallet_id=known.wallet_id), ((Renewal, next_id),)
    return await _announced(
        await writer.submit(Command("cancelRenewal", actor, ref, decide, claim, rows=rows))
    )


async def _announced(outcome: Outcome) -> Announced:
    if isinstance(outcome.answer, Renewal) and outcome.wallet is not None:
        return Announced(wallet_of(outcome.wallet), renewal_of(outcome.answer), replayed=False)
    row = await RenewalModel.get(id=outcome.result["Renewal"]).select_related("wallet")
    return Announced(row.wallet, row, replayed=True)
