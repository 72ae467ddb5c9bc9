"""Paying orders with the wallet: authorize, capture, void; and what the clock ends."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from tortoise.queryset import QuerySet

from app.domain import payment as rules
from app.domain.access import Capability, Principal
from app.domain.bucket import Bucket
from app.domain.errors import (
    CurrencyMismatch,
    FieldInvalid,
    NotFound,
    OrderInOtherCurrency,
    OrderNotPayable,
    OrderUnknown,
    PaymentNotOpen,
)
from app.domain.ledger import SYSTEM, Draft
from app.domain.money import currency_of, parse_amount
from app.domain.order import Order, OrderStatus, check_id, check_source, order_id
from app.domain.page import Page, PageRequest
from app.domain.payment import Authorization, CaptureMethod, Payment, PaymentEnd, PaymentStatus
from app.domain.reconciliation import reconcile
from app.domain.reference import read_reference
from app.domain.refund import Refund
from app.domain.settings import HOLD_LIFETIME_MAX_MINUTES
from app.models.paging import CountLoader, PageLoader, Sort, fetch_page, time_value
from app.models.payment import Payment as PaymentModel
from app.models.wallet import Wallet
from app.services.ledger.command import Command, IdempotencyClaim, Outcome, WalletRef
from app.services.ledger.rows import payment_of, wallet_of
from app.services.ledger.writer import Writer

OPEN = (str(PaymentStatus.AUTHORIZED), str(PaymentStatus.PARTIALLY_CAPTURED))


@dataclass(frozen=True, slots=True)
class OrderToPay:
    """Names the store's order, which Coffer need not know yet; `total` is what it costs, as a decimal string in
    `currency`, where that is said.
    """

    source: str
    external_id: str
    total: str | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    """What is to be paid, as it came in. No `amount` (in `currency`) means as much as there is, up to what the order
    costs.
    """

    wallet: WalletRef
    order: OrderToPay
    amount: str | None
    currency: str | None
    buckets: tuple[Bucket, ...] | None
    lifetime_minutes: int | None
    capture: CaptureMethod
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class Paid:
    """The wallet and the payment after a step, and whether this is the answer to a repeated request."""

    wallet: Wallet
    payment: PaymentModel
    replayed: bool


# --- read ---------------------------------------------------------------------------------------------------

SORT = Sort("CREATED_AT", "created_at", lambda row: row.created_at, time_value, descending=True)
"""Payments come newest first."""

Statuses = tuple[str, ...] | None


def payments(statuses: Statuses, wallet_id: UUID | None = None) -> QuerySet[PaymentModel]:
    """Return the query of a list of payments, of one wallet or of the whole store."""
    query = PaymentModel.all() if wallet_id is None else PaymentModel.filter(wallet_id=wallet_id)
    return query if statuses is None else query.filter(status__in=statuses)


async def find(
    principal: Principal, *, payment_id: UUID | None = None, reference: str | None = None
) -> PaymentModel | None:
    """Return a payment, or `None` when there is none of that name or it is not the caller's."""
    query = PaymentModel.all().select_related("wallet__customer")
    if payment_id is not None:
        payment = await query.get_or_none(id=payment_id)
    else:
        spoken = read_reference(reference)
        payment = None if spoken is None else await query.get_or_none(reference=spoken)
    if payment is None or principal.may(Capability.ORDERS_READ):
        return payment
    return payment if principal.owns(payment.wallet.customer.external_id) else None


async def page_of(query: QuerySet[PaymentModel], page: PageRequest) -> Page[PaymentModel]:
    """Read one page of a list of payments."""
    return await fetch_page(query, SORT, page)


Pages = PageLoader[Statuses, PaymentModel]
Counts = CountLoader[Statuses]


def pages() -> Pages:
    """Return a loader of pages of wallets' payments, newest first."""
    return PageLoader(payments, SORT, partition="wallet_id")


def counts() -> Counts:
    """Return a loader of how many payments wallets have."""
    return CountLoader(payments, partition="wallet_id")


# --- authorize and pay --------------------------------------------------------------------------------------


async def authorize(writer: Writer, principal: Principal, request: PaymentRequest) -> Paid:
    """Hold an amount for an order; what an earlier authorization of it still holds is given back in the same step.

    Raises `NotFound` (also for a wallet that is not the caller's), `WalletFrozen`, `OrderNotPayable`,
    `OrderOfAnother`, `PaymentExceeded`, `InsufficientFunds` or a refusal of the input.
    """
    return await _begin(writer, principal, request, "authorizePayment", captures=False)


async def pay(writer: Writer, principal: Principal, request: PaymentRequest) -> Paid:
    """Authorize and capture in one step. Raises what `authorize` raises."""
    return await _begin(writer, principal, request, "payOrder", captures=True)


async def _begin(
    writer: Writer, principal: Principal, request: PaymentRequest, name: str, *, captures: bool
) -> Paid:
    source = check_source(request.order.source, field="order.source")
    external_id = check_id(request.order.external_id, field="order.externalId")
    row_id = order_id(source, external_id)
    asked = _asked(principal, request)

    def decide(draft: Draft) -> Payment:
        _require_mine(principal, draft, NotFound("wallet", field=("wallet",)))
        _require_currency(request, draft.wallet.currency)
        order = draft.found(Order, row_id) or Order.opened(source, external_id, draft.now)
        _require_payable(principal, draft, order)
        default = timedelta(minutes=draft.settings.payment_hold_minutes)
        if captures:
            _require_told(principal, order)
        known = rules.of_order(draft, row_id)
        payment = rules.authorize(draft, order, known, replace(asked, lifetime=_lifetime(asked, default)))
        if captures:
            explanation = rules.purchase(order, principal.actor)
            payment, _ = rules.capture(draft, payment, payment.amount_minor, explanation, requested=True)
        order = replace(order, wallet_id=draft.wallet.id, updated_at=draft.now)
        return _settled(draft, order, payment, principal)

    claim = IdempotencyClaim.of(principal.actor, request.idempotency_key, name, _content(request, asked))
    command = Command(
        name, principal.actor, request.wallet, decide, claim, opens=True, rows=((Order, row_id),)
    )
    return await _paid(await writer.submit(command))


def _asked(principal: Principal, request: PaymentRequest) -> Authorization:
    amount_minor = order_total_minor = None
    if request.amount is not None and request.currency is not None:
        path = ("amount", "amount")
        amount_minor = parse_amount(request.amount, currency_of(request.currency), field=path)
    if request.order.total is not None and request.order.currency is not None:
        where = ("order", "total", "amount")
        order_total_minor = parse_amount(
            request.order.total, currency_of(request.order.currency), field=where
        )
    minutes = request.lifetime_minutes
    if minutes is not None and not 1 <= minutes <= HOLD_LIFETIME_MAX_MINUTES:
        raise FieldInvalid(
            f"Choose from 1 to {HOLD_LIFETIME_MAX_MINUTES} minutes (30 days).", field=("lifetimeMinutes",)
        )
    if request.buckets is not None and not request.buckets:
        raise FieldInvalid("Name a kind of value to pay with, or leave this out.", field=("buckets",))
    may_capture = principal.may(Capability.PAYMENTS_WRITE)
    return Authorization(
        amount_minor=amount_minor,
        order_total_minor=order_total_minor,
        buckets=tuple(sorted(request.buckets)) if request.buckets else tuple(Bucket),
        lifetime=None if minutes is None else timedelta(minutes=minutes),
        # That a payment waits for a request to capture it is for those to say who may send that request.
        capture=request.capture if may_capture else CaptureMethod.AUTOMATIC,
        actor=principal.actor,
    )


def _require_currency(request: PaymentRequest, wallet: str) -> None:
    if request.currency not in {None, wallet}:
        raise CurrencyMismatch(given=str(request.currency), wallet=wallet)
    if request.order.currency not in {None, wallet}:
        raise CurrencyMismatch(
            given=str(request.order.currency), wallet=wallet, field=("order", "total", "currency")
        )


def _lifetime(asked: Authorization, default: timedelta) -> timedelta:
    return default if asked.lifetime is None else asked.lifetime


def _require_payable(principal: Principal, draft: Draft, order: Order) -> None:
    rules.require_own(draft, order)
    told = order.snapshot
    if told is not None and told.currency != draft.wallet.currency:
        raise OrderInOtherCurrency(order=told.currency, wallet=draft.wallet.currency)
    _require_early(principal, order, field="order")


def _require_told(principal: Principal, order: Order) -> None:
    """A customer pays only what the store says is theirs: else they could pay a cent of somebody's next order, which
    would bind it to their wallet.
    """
    if order.customer is None and not principal.may(Capability.PAYMENTS_WRITE):
        raise OrderUnknown


def _require_early(principal: Principal, order: Order, *, field: str) -> None:
    """Once the store works on an order, its customer changes nothing about how it was paid."""
    early = {OrderStatus.PENDING, OrderStatus.ON_HOLD, OrderStatus.FAILED, OrderStatus.UNKNOWN}
    if order.status not in early and not principal.may(Capability.PAYMENTS_WRITE):
        raise OrderNotPayable(order.name, order.status, field=(field,))


def _require_mine(principal: Principal, draft: Draft, refusal: NotFound) -> None:
    if not (principal.owns(draft.customer.external_id) or principal.may(Capability.PAYMENTS_WRITE)):
        raise refusal


def _settled(draft: Draft, order: Order, payment: Payment, principal: Principal) -> Payment:
    """Bring the ledger to where the order is, now that it has this payment, and return the payment as it is then."""
    changed = {row.id: row for row in draft.rows if isinstance(row, Payment)}
    known = {row.id: row for row in rules.of_order(draft, order.id)} | changed
    refunds = draft.of_order(Refund, order.id)
    in_order = sorted(known.values(), key=lambda row: row.id)
    reconcile(draft, order, in_order, refunds, actor=principal.actor)
    return next(row for row in reversed(draft.rows) if isinstance(row, Payment) and row.id == payment.id)


def _content(request: PaymentRequest, asked: Authorization) -> dict[str, Any]:
    return {
        "wallet": repr(request.wallet),
        "order": [
            request.order.source,
            request.order.external_id,
            asked.order_total_minor,
            request.order.currency,
        ],
        "amount_minor": asked.amount_minor,
        "currency": request.currency,
        "buckets": asked.buckets,
        "lifetime_minutes": request.lifetime_minutes,
        "capture": asked.capture,
    }


# --- capture and void ---------------------------------------------------------------------------------------


async def capture(
    writer: Writer,
    principal: Principal,
    payment_id: UUID,
    *,
    amount: str | None,
    currency: str | None,
    final: bool,
    idempotency_key: str,
) -> Paid:
    """Take what is held, or a part of it; a final capture gives the rest back.

    Raises `NotFound`, `PaymentNotOpen` (also once its time has run out), `PaymentExceeded` or a refusal of the input.
    """
    found = await _known(payment_id)
    amount_minor = None
    if amount is not None and currency is not None:
        amount_minor = parse_amount(amount, currency_of(currency), field=("amount", "amount"))

    def decide(draft: Draft) -> Payment:
        payment = draft.row(Payment, payment_id)
        if currency not in {None, payment.currency}:
            raise CurrencyMismatch(given=str(currency), wallet=payment.currency)
        payment.require_open()
        if payment.expires_at is not None and payment.expires_at <= draft.now:
            # The clock is about to say so too.
            raise PaymentNotOpen(PaymentStatus.EXPIRED)
        order = _order(draft, payment)
        rules.require_own(draft, order)
        taken_minor = payment.held_minor if amount_minor is None else amount_minor
        explanation = rules.purchase(order, principal.actor)
        payment, _ = rules.capture(draft, payment, taken_minor, explanation, requested=True)
        if final and payment.is_open:
            payment = rules.release(draft, payment, PaymentEnd.REQUEST)
        return _settled(draft, order, payment, principal)

    content = {"amount_minor": amount_minor, "currency": currency, "final": final}
    return await _decide(writer, principal, found, "capturePayment", decide, content, idempotency_key)


async def void(writer: Writer, principal: Principal, payment_id: UUID, *, idempotency_key: str) -> Paid:
    """Give back what is still held. A customer may do so until the store works on the order or anything was captured.

    Raises `NotFound` (also for a payment that is not the caller's), `PaymentNotOpen` or `OrderNotPayable`.
    """
    found = await _known(payment_id)

    def decide(draft: Draft) -> Payment:
        _require_mine(principal, draft, _no_payment())
        payment = draft.row(Payment, payment_id)
        payment.require_open()
        order = _order(draft, payment)
        if order.wallet_id == draft.wallet.id:
            # What was held for somebody else's order by mistake can always be taken back.
            _require_early(principal, order, field="paymentId")
        if payment.captured_minor and not principal.may(Capability.PAYMENTS_WRITE):
            raise PaymentNotOpen(payment.status)
        return rules.release(draft, payment, PaymentEnd.REQUEST)

    return await _decide(writer, principal, found, "voidPayment", decide, {}, idempotency_key)


def _no_payment() -> NotFound:
    return NotFound("payment", field=("paymentId",))


async def _known(payment_id: UUID) -> PaymentModel:
    # Wallet and order of a payment never change, so they may be read before the wallet is locked.
    found = await PaymentModel.get_or_none(id=payment_id)
    if found is None:
        raise _no_payment()
    return found


def _order(draft: Draft, payment: Payment) -> Order:
    order = draft.found(Order, payment.order_id)
    if order is None:
        raise LookupError(f"payment {payment.id} has no order")
    return order


async def _decide(  # noqa: PLR0917 — the public functions name everything
    writer: Writer,
    principal: Principal,
    found: PaymentModel,
    name: str,
    decide: Callable[[Draft], Payment],
    content: Mapping[str, Any],
    idempotency_key: str,
) -> Paid:
    actor = principal.actor
    claim = IdempotencyClaim.of(actor, idempotency_key, name, {"payment": str(found.id), **content})
    ref, rows = WalletRef(wallet_id=found.wallet_id), ((Order, found.order_id),)
    return await _paid(await writer.submit(Command(name, actor, ref, decide, claim, rows=rows)))


async def _paid(outcome: Outcome) -> Paid:
    if isinstance(outcome.answer, Payment) and outcome.wallet is not None:
        return Paid(wallet_of(outcome.wallet), payment_of(outcome.answer), replayed=False)
    payment = await PaymentModel.get(id=outcome.result["Payment"]).select_related("wallet")
    return Paid(payment.wallet, payment, replayed=True)


# --- what the clock ends ------------------------------------------------------------------------------------


async def due(now: datetime, limit: int, without: Collection[UUID] = ()) -> list[PaymentModel]:
    """Return the open payments, at most so many, whose time has run out; those `without` are left out."""
    query = PaymentModel.filter(status__in=OPEN, expires_at__lte=now)
    if without:
        query = query.exclude(id__in=list(without))
    return await query.order_by("expires_at").limit(limit)


async def expire(writer: Writer, found: PaymentModel) -> None:
    """Give back what a payment holds whose time has run out; nothing happens when it was ended meanwhile."""

    def decide(draft: Draft) -> Payment | None:
        payment = draft.row(Payment, found.id)
        if not payment.is_open or payment.expires_at is None or payment.expires_at > draft.now:
            return None
        return rules.release(draft, payment, PaymentEnd.EXPIRY)

    ref, rows = WalletRef(wallet_id=found.wallet_id), ((Order, found.order_id),)
    await writer.submit(Command("expirePayment", SYSTEM, ref, decide, rows=rows))
