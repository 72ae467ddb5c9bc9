"""The store's orders: recorded as often as anybody tells of them, and the ledger brought to where they say."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from tortoise.expressions import Q
from tortoise.queryset import QuerySet

from app.domain import (
    payment as paying,
    promotion as promotions,
    renewal as renewals,
    top_up_intent as intents,
    top_up_lines,
)
from app.domain.access import Actor, Capability, Principal
from app.domain.cashback import posting as cashback
from app.domain.cashback.award import Award
from app.domain.cashback.rule import TriggerKind
from app.domain.errors import InsufficientFunds, NotFound, OrderOfAnother, RenewalNotCharged, WalletFrozen
from app.domain.ledger import Desk, Draft, Row
from app.domain.note import check_text
from app.domain.order import (
    Order,
    OrderSnapshot,
    OrderStatus,
    StoreCustomer,
    StoreRefund,
    check_id,
    check_snapshot,
    check_source,
    order_id,
)
from app.domain.page import Page, PageRequest
from app.domain.payment import Payment, PaymentOrigin
from app.domain.promotion import CouponCode, Promotion, PromotionUse
from app.domain.reconciliation import Phase, phase_of, reconcile, refund_of, wallet_part
from app.domain.reference import read_reference
from app.domain.refund import Refund
from app.domain.top_up import TopUp, top_up_id
from app.domain.top_up_intent import TopUpIntent
from app.models.order import Order as OrderModel
from app.models.paging import CountLoader, PageLoader, Sort, fetch_page, time_value
from app.models.presence import has_text
from app.models.promotion import CouponCode as CouponCodeModel
from app.models.top_up_intent import TopUpIntent as TopUpIntentModel
from app.models.wallet import Wallet
from app.services.ledger.command import Command, DeskCommand, IdempotencyClaim, Outcome, WalletRef
from app.services.ledger.rows import order_of
from app.services.ledger.writer import LedgerUnavailable, Writer

MOVES_MAX = 5
"""How often an order is followed to another wallet while it is being recorded."""

SEARCH_MAX = 128

EARNING = (TriggerKind.ORDER_PAID, TriggerKind.ORDER_COMPLETED, TriggerKind.TOP_UP)
"""The occasions that an order may be, top-ups that are bought with it included."""

_EARN_NOTHING = frozenset(
    {
        OrderStatus.PENDING,
        OrderStatus.ON_HOLD,
        OrderStatus.FAILED,
        OrderStatus.CANCELLED,
        OrderStatus.REFUNDED,
    }
)


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """What a list of orders is narrowed to; `None` does not narrow."""

    statuses: tuple[str, ...] | None = None
    problems: tuple[str, ...] | None = None
    source: str | None = None
    subscription: str | None = None
    has_problem: bool | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    search: str | None = None
    """The store's id or number of the order, or the reference of one of its payments, refunds or transactions."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The order after it was recorded, and whether this is the answer to a repeated request."""

    order: OrderModel
    replayed: bool


class _Elsewhere(Exception):
    """The order's money lies in another wallet than the one that was asked; `ref` names it, `None` is a guest's."""

    def __init__(self, ref: WalletRef | None) -> None:
        super().__init__(str(ref))
        self.ref = ref


SORT = Sort("CREATED_AT", "created_at", lambda row: row.created_at, time_value, descending=True)
"""Orders come newest first."""


# --- read ---------------------------------------------------------------------------------------------------


def orders(narrowed: OrderFilter, wallet_id: UUID | None = None) -> QuerySet[OrderModel]:
    """Return the query of a list of orders, of one wallet or of the whole store."""
    query = OrderModel.all() if wallet_id is None else OrderModel.filter(wallet_id=wallet_id)
    source, subscription = narrowed.source, narrowed.subscription
    for name, value in (
        ("status__in", narrowed.statuses),
        ("problem__in", narrowed.problems),
        ("source", source and check_source(source, field="filter.source")),
        ("subscription", subscription and check_id(subscription, field="filter.subscription")),
        ("created_at__gte", narrowed.created_from),
        ("created_at__lte", narrowed.created_to),
    ):
        if value is not None:
            query = query.filter(**{name: value})
    if narrowed.has_problem is not None:
        query = query.filter(has_text("problem", there=narrowed.has_problem))
    return query.filter(_search(narrowed.search)) if narrowed.search else query


_REFERENCES = {"PY": "payments", "RF": "refunds", "TX": "transactions"}


def _search(text: str) -> Q:
    text = check_text(text, field="search", length_max=SEARCH_MAX)
    relation = _REFERENCES.get(text.partition("-")[0].upper())
    if relation is not None:
        return Q(**{f"{relation}__reference": text.upper()})
    return Q(external_id=text) | Q(number=text)


async def find(principal: Principal, row_id: UUID) -> OrderModel | None:
    """Return an order, or `None` when there is none of that id or its wallet is not the caller's."""
    order = await OrderModel.get_or_none(id=row_id).select_related("wallet__customer")
    if order is None or principal.may(Capability.ORDERS_READ):
        return order
    return order if order.wallet is not None and principal.owns(order.wallet.customer.external_id) else None


async def page_of(query: QuerySet[OrderModel], page: PageRequest) -> Page[OrderModel]:
    """Read one page of a list of orders, newest first."""
    return await fetch_page(query, SORT, page)


Pages = PageLoader[OrderFilter, OrderModel]
Counts = CountLoader[OrderFilter]


def pages() -> Pages:
    """Return a loader of pages of wallets' orders, newest first."""
    return PageLoader(orders, SORT, partition="wallet_id")


def counts() -> Counts:
    """Return a loader of how many orders wallets have."""
    return CountLoader(orders, partition="wallet_id")


# --- record -------------------------------------------------------------------------------------------------


async def record(
    writer: Writer, actor: Actor, snapshot: OrderSnapshot, *, idempotency_key: str | None = None
) -> Recorded:
    """Take a snapshot in and bring the ledger to where the order is. An older one than those known changes nothing.

    Raises `FieldInvalid` for what can't be meant.
    """
    snapshot = check_snapshot(snapshot)
    claim = None
    if idempotency_key is not None:
        claim = IdempotencyClaim.of(actor, idempotency_key, "recordOrder", snapshot.as_data())
    return await _follow(
        writer,
        "recordOrder",
        actor,
        snapshot.id,
        lambda desk: _found(desk, snapshot.source, snapshot.external_id).seen(
            _explained(snapshot, desk), desk.now
        ),
        claim=claim,
        customer=snapshot.customer,
        earns=() if snapshot.status in _EARN_NOTHING else EARNING,
        told=snapshot,
    )


async def mark_deleted(writer: Writer, actor: Actor, source: str, external_id: str, at: datetime) -> Recorded:
    """Write down that the store put an order into the bin: what is held for it is given back."""
    external_id = check_id(external_id, field="externalId")
    return await _follow(
        writer,
        "deleteOrder",
        actor,
        order_id(source, external_id),
        lambda desk: _found(desk, source, external_id).deleted(at, desk.now),
    )


async def claim(
    writer: Writer, actor: Actor, row_id: UUID, customer: str, *, idempotency_key: str
) -> Recorded:
    """Give a guest's order to a customer, whose wallet then follows it. Raises `NotFound` or `OrderOfAnother`."""
    customer = check_id(customer, field="storeCustomerId")

    def change(desk: Desk) -> Order:
        order = _row(desk, row_id)
        if order.customer not in {None, customer}:
            raise OrderOfAnother
        return replace(order, claimed_by=customer, updated_at=desk.now)

    content = {"order": str(row_id), "customer": customer}
    key = IdempotencyClaim.of(actor, idempotency_key, "claimOrder", content)
    return await _follow(
        writer,
        "claimOrder",
        actor,
        row_id,
        change,
        claim=key,
        customer=StoreCustomer(customer),
        earns=EARNING,
    )


async def record_refund(
    writer: Writer, actor: Actor, source: str, external_id: str, refund: StoreRefund
) -> Recorded | None:
    """Take a refund in that comes without its order. Of an order that is not known, or a guest's, nothing is kept:
    the order's own snapshot will tell of it.
    """
    row_id = order_id(source, check_id(external_id, field="externalId"))
    known = await OrderModel.get_or_none(id=row_id)
    if known is None or known.wallet_id is None:
        return None

    def decide(draft: Draft) -> Order:
        order = _row(draft, row_id)
        if order.wallet_id != draft.wallet.id:
            raise _Elsewhere(WalletRef(wallet_id=order.wallet_id))
        refunds = draft.of_order(Refund, row_id)
        if not any(
            found.external_id == refund.id or found.reference == refund.reference for found in refunds
        ):
            refunds.append(refund_of(draft, order, refund, actor))
            draft.add(refunds[-1])
        return reconcile(draft, order, paying.of_order(draft, row_id), refunds, actor=actor)

    ref = WalletRef(wallet_id=known.wallet_id)
    outcome = await writer.submit(Command("recordRefund", actor, ref, decide, rows=((Order, row_id),)))
    return await _recorded(outcome)


async def _follow(
    writer: Writer,
    name: str,
    actor: Actor,
    row_id: UUID,
    change: Callable[[Desk], Order],
    *,
    claim: IdempotencyClaim | None = None,
    customer: StoreCustomer | None = None,
    earns: tuple[TriggerKind, ...] = (),
    told: OrderSnapshot | None = None,
) -> Recorded:
    """Change an order under the lock of the wallet that it concerns, wherever that turns out to be."""
    known = await OrderModel.get_or_none(id=row_id)
    ref = None if customer is None else WalletRef(external_id=customer.external_id)
    if known is not None and known.wallet_id is not None:
        ref = WalletRef(wallet_id=known.wallet_id)
    rows: _Rows = ((Order, row_id),)
    if told is not None:
        rows += ((TopUp, top_up_id(told.source, told.external_id)),)
    intent_id = await _intent_id(told, known)
    if intent_id is not None:
        rows += ((TopUpIntent, intent_id),)
    for _ in range(MOVES_MAX):
        command: Command | DeskCommand
        if ref is None:
            command = DeskCommand(name, actor, _as_a_guest(row_id, change), claim, rows=rows)
        else:
            coupons = await _coupons(ref, row_id, told, known)
            decide = _in_a_wallet(row_id, change, actor, customer, coupons)
            command = Command(
                name, actor, ref, decide, claim, opens=True, rows=rows + coupons.rows, earns=earns
            )
        try:
            return await _recorded(await writer.submit(command))
        except _Elsewhere as moved:
            ref = moved.ref
    raise LedgerUnavailable


def _as_a_guest(row_id: UUID, change: Callable[[Desk], Order]) -> Callable[[Desk], Order]:
    def decide(desk: Desk) -> Order:
        order = change(desk)
        if (ref := _place(order, desk)) is not None:
            raise _Elsewhere(ref)
        # Its customer may have been taken off it since: it is as if it had been a guest's from the beginning.
        order = replace(order, wallet_id=None, problem=None, shortfall_minor=0)
        if order != desk.found(Order, row_id):
            desk.add(order)
        return order

    return decide


def _in_a_wallet(
    row_id: UUID,
    change: Callable[[Desk], Order],
    actor: Actor,
    customer: StoreCustomer | None,
    coupons: "_Coupons",
) -> Callable[[Draft], Order]:
    def decide(draft: Draft) -> Order:
        order = change(draft)
        ref = _place(order, draft)
        if ref is None or not (
            ref.wallet_id == draft.wallet.id or ref.external_id == draft.customer.external_id
        ):
            raise _Elsewhere(ref)
        order = replace(order, wallet_id=draft.wallet.id)
        _greet(draft, customer)
        payments = paying.of_order(draft, row_id)
        short = _renew(draft, order, payments, actor)
        refunds = draft.of_order(Refund, row_id)
        order = reconcile(draft, order, payments, refunds, actor=actor, short_minor=short)
        if coupons.rows:
            is_settled = phase_of(order, draft.settings) is Phase.SETTLED and not order.is_deleted
            first_time = coupons.first_time
            promotions.follow(draft, order, is_settled=is_settled, first_time=first_time, actor=actor)
        _complete(draft, order)
        # Last of all: what coupons grant and what the wallet pays earn nothing.
        paid_minor = wallet_part(order.basis, draft.now_of_order(Payment, row_id))
        grants = promotions.grants_of(draft, row_id)
        bought = top_up_lines.without(order, draft.settings)
        if bought is not None:
            cashback.earn_order(draft, bought, wallet_paid_minor=paid_minor, grants=grants, actor=actor)
        return order

    return decide


def _complete(draft: Draft, order: Order) -> None:
    """Write down that the money of a top-up that was started came with an order."""
    top_up = draft.current(TopUp, top_up_id(order.source, order.external_id))
    if top_up is None or order.basis is None or order.basis.top_up is None:
        return
    for started in draft.known(TopUpIntent):
        # A reference of somebody else's top-up ends nothing: the money is the customer's whose order it is.
        if started.reference == read_reference(order.basis.top_up) and started.wallet_id == draft.wallet.id:
            intents.complete(draft, started, top_up)


async def _intent_id(told: OrderSnapshot | None, known: OrderModel | None) -> UUID | None:
    """Look up the top-up that an order says it pays; a reference never changes."""
    reference = None if told is None else told.top_up
    if reference is None and known is not None:
        reference = (known.basis or known.snapshot or {}).get("top_up")
    spoken = None if reference is None else read_reference(reference)
    found = None if spoken is None else await TopUpIntentModel.get_or_none(reference=spoken)
    return None if found is None else found.id


_Rows = tuple[tuple[type[Row], UUID], ...]


@dataclass(frozen=True, slots=True)
class _Coupons:
    """The rows of the promotions that an order's coupons belong to, and whether its customer bought nothing before."""

    rows: _Rows = ()
    first_time: bool = True


async def _coupons(
    ref: WalletRef, row_id: UUID, told: OrderSnapshot | None, known: OrderModel | None
) -> _Coupons:
    """Look up which of an order's coupons are Coffer's: those of what is told now, and of what was told before."""
    earlier = (known.snapshot, known.basis) if known is not None else ()
    snapshots = [OrderSnapshot.from_data(data) for data in earlier if data and data["coupons"]]
    codes = [promotions.code_id(code) for code in promotions.codes_of(told, *snapshots)]
    found = await CouponCodeModel.filter(id__in=codes).select_related("promotion") if codes else []
    if not found:
        return _Coupons()
    customer = ref.external_id
    if customer is None:
        customer = (await Wallet.get(id=ref.wallet_id).select_related("customer")).customer.external_id
    ids = {code.promotion_id for code in found}
    first_time = True
    if any(code.promotion.terms.get("first_time_only") for code in found):
        bought = OrderModel.filter(wallet__customer__external_id=customer, status__in=promotions.BOUGHT)
        first_time = not await bought.exclude(id=row_id).exists()
    return _Coupons(
        (
            *((Promotion, promotion_id) for promotion_id in ids),
            *((CouponCode, code.id) for code in found),
            *((PromotionUse, promotions.use_id(promotion_id, customer)) for promotion_id in ids),
        ),
        first_time,
    )


def _place(order: Order, desk: Desk) -> WalletRef | None:
    """Return the wallet that an order concerns: the one that paid, or that of its customer, or the one that holds.

    Anybody may authorize an order that the store has not told of, so what is merely held binds nobody. Cashback that
    was given for it stays where it is until it is taken back.
    """
    payments = desk.of_order(Payment, order.id)
    paid_by = paying.payer(payments) or (order.wallet_id if order.credited_minor else None)
    if paid_by is None:
        paid_by = next((award.wallet_id for award in desk.of_order(Award, order.id) if award.net_minor), None)
    if paid_by is None:
        # What was bought with it and is in a wallet: its refund is taken from there.
        found = desk.of_order(TopUp, order.id)
        paid_by = next((top_up.wallet_id for top_up in found if top_up.credited_minor), None)
    if paid_by is None and order.customer is not None:
        return WalletRef(external_id=order.customer)
    held_by = next((payment.wallet_id for payment in reversed(payments) if payment.is_open), None)
    wallet_id = paid_by or held_by
    return None if wallet_id is None else WalletRef(wallet_id=wallet_id)


def _renew(draft: Draft, order: Order, payments: list[Payment], actor: Actor) -> int:
    """Charge a renewal that the store says the wallet pays, and return what the wallet lacked."""
    basis = order.basis
    if basis is None or basis.currency != draft.wallet.currency or not renewals.is_due(order, draft.settings):
        return 0
    amount_minor = basis.total_minor - (basis.paid_otherwise_minor or 0)
    if any(payment.origin is PaymentOrigin.RENEWAL for payment in payments):
        # What it lacked was reported, and may have been paid otherwise since: only a request takes more.
        return max(0, amount_minor - renewals.taken(payments))
    try:
        done = renewals.charge(draft, order, payments, amount_minor, actor=actor)
    except (InsufficientFunds, WalletFrozen, RenewalNotCharged):
        return max(0, amount_minor - renewals.taken(payments))
    if done.payment is not None:
        payments.append(done.payment)
    return done.short_minor


def _greet(draft: Draft, customer: StoreCustomer | None) -> None:
    """Take over what a customer's order tells of them, if it is this wallet's customer."""
    known = draft.customer
    if customer is None or customer.external_id != known.external_id:
        return
    name, email = known.name or customer.name or "", known.email or customer.email or ""
    if (name, email) != (known.name, known.email):
        draft.set_customer(replace(known, name=name, email=email, updated_at=draft.now))


def _found(desk: Desk, source: str, external_id: str) -> Order:
    return desk.found(Order, order_id(source, external_id)) or Order.opened(source, external_id, desk.now)


def _explained(snapshot: OrderSnapshot, desk: Desk) -> OrderSnapshot:
    """Return the snapshot with the status that the store's settings explain its own word by."""
    meant = dict(desk.settings.order_statuses).get(snapshot.store_status)
    if meant is None or snapshot.status is not OrderStatus.UNKNOWN:
        return snapshot
    return replace(snapshot, status=meant)


def _row(desk: Desk, row_id: UUID) -> Order:
    # Not the draft's own `row`, which finds what is in its wallet only: an order may be a guest's.
    order = desk.found(Order, row_id)
    if order is None:
        raise NotFound("order", field=("order",))
    return order


async def _recorded(outcome: Outcome) -> Recorded:
    if isinstance(outcome.answer, Order):
        return Recorded(order_of(outcome.answer), replayed=False)
    return Recorded(await OrderModel.get(id=outcome.result["Order"]), replayed=True)
