"""Staff, or the store's back end, refund an order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.domain import payment as paying, refund as rules
from app.domain.access import Capability, Principal
from app.domain.bucket import Bucket
from app.domain.errors import (
    CurrencyMismatch,
    FieldInvalid,
    LimitReached,
    NotFound,
    OrderInOtherCurrency,
    OrderNotRefundable,
    OwnWallet,
    RefundExceeded,
    RightsExceeded,
)
from app.domain.ledger import Draft
from app.domain.money import Currency, parse_amount
from app.domain.note import check_note
from app.domain.order import REFUNDS_MAX, Order, OrderStatus, check_id
from app.domain.payment import Payment
from app.domain.reconciliation import reconcile
from app.domain.refund import LineToRefund, Refund, RefundDestination, RefundPlan
from app.models.order import Order as OrderModel
from app.models.refund import Refund as RefundModel
from app.models.wallet import Wallet
from app.services.ledger.command import Command, IdempotencyClaim, Outcome, WalletRef
from app.services.ledger.rows import refund_of, wallet_of
from app.services.ledger.writer import Writer

LINES_MAX = 100
_PAID = frozenset({OrderStatus.PAID, OrderStatus.COMPLETED, OrderStatus.UNKNOWN})


@dataclass(frozen=True, slots=True)
class LineRequest:
    """A line to refund, as it came in."""

    line_id: str
    quantity: Decimal | None
    amount: str | None


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """What is to be refunded, as it came in.

    An amount, or lines and shipping, or (with neither) all that is left. `destination` and `bucket` are the
    store's settings where they aren't said. `currencies` are those of all amounts, each with its field's path.
    `store_refund_id` is the store's own id of the same refund, so that it is not counted again when the store tells
    of it.
    """

    order_id: UUID
    amount: str | None
    currencies: tuple[tuple[tuple[str, ...], str], ...]
    lines: tuple[LineRequest, ...]
    shipping: str | None
    with_shipping: bool
    destination: RefundDestination | None
    bucket: Bucket | None
    note: str
    store_refund_id: str | None
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class Refunded:
    """The wallet and the refund, and whether this is the answer to a repeated request."""

    wallet: Wallet
    refund: RefundModel
    replayed: bool


async def refund(writer: Writer, principal: Principal, request: RefundRequest) -> Refunded:
    """Refund an order, in whole or in part: the wallet's part is in the wallet at once.

    Raises `NotFound`, `OwnWallet`, `RightsExceeded`, `OrderNotRefundable`, `RefundExceeded` or a refusal of the input.
    """
    found = await OrderModel.get_or_none(id=request.order_id)
    if found is None:
        raise NotFound("order", field=("order",))
    if found.wallet_id is None:
        raise OrderNotRefundable(
            "This is a guest's order, so there is no wallet to refund it to. Give it to a customer first."
        )
    asked = _checked(principal, request)

    def decide(draft: Draft) -> Refund:
        order = draft.found(Order, request.order_id)
        if order is None or order.wallet_id != draft.wallet.id:
            raise NotFound("order", field=("order",))
        if principal.owns(draft.customer.external_id):
            raise OwnWallet(field=("order",))
        return _refund(draft, order, asked, principal)

    claim = IdempotencyClaim.of(principal.actor, request.idempotency_key, "refundOrder", _content(asked))
    ref = WalletRef(wallet_id=found.wallet_id)
    command = Command("refundOrder", principal.actor, ref, decide, claim, rows=((Order, request.order_id),))
    return await _refunded(await writer.submit(command))


def _checked(principal: Principal, request: RefundRequest) -> RefundRequest:
    redirected = request.destination is not None or request.bucket is not None
    if redirected and not principal.may(Capability.REFUNDS_REDIRECT):
        name = "bucket" if request.destination is None else "destination"
        raise RightsExceeded([Capability.REFUNDS_REDIRECT], field=(name,))
    if len(request.lines) > LINES_MAX:
        raise FieldInvalid(f"Name at most {LINES_MAX} lines at once.", field=("lines",))
    if len({line.line_id for line in request.lines}) < len(request.lines):
        raise FieldInvalid("A line stands here twice. Name each line once.", field=("lines",))
    if request.amount is not None and (request.lines or request.with_shipping or request.shipping):
        raise FieldInvalid(
            "Give an amount, or lines and shipping, but not both: the lines' amounts add up by themselves.",
            field=("amount",),
        )
    store_refund_id = request.store_refund_id
    if store_refund_id is not None:
        store_refund_id = check_id(store_refund_id, field="storeRefundId")
    return replace(request, note=check_note(request.note), store_refund_id=store_refund_id)


def _refund(draft: Draft, order: Order, asked: RefundRequest, principal: Principal) -> Refund:
    payments, known = paying.of_order(draft, order.id), draft.of_order(Refund, order.id)
    if asked.store_refund_id is not None:
        for refund in known:
            if refund.external_id == asked.store_refund_id:
                # The store's own word of it came first.
                return refund
    if len(known) >= REFUNDS_MAX:
        raise LimitReached(
            f"An order has at most {REFUNDS_MAX} refunds. Adjust the wallet's balance instead.",
            field=("order",),
        )
    plan = _plan(draft, order, payments, known, asked)
    settings = draft.settings
    refund = Refund(
        id=draft.mint.id(),
        order_id=order.id,
        wallet_id=draft.wallet.id,
        reference=draft.mint.reference("RF"),
        external_id=asked.store_refund_id,
        destination=asked.destination or settings.refund_destination,
        bucket=asked.bucket or settings.refund_bucket,
        amount_minor=plan.amount_minor,
        shipping_minor=plan.shipping_minor,
        tax_minor=plan.tax_minor,
        wallet_minor=0,
        credited_minor=0,
        elsewhere_minor=0,
        currency=draft.wallet.currency,
        note=asked.note,
        lines=plan.lines,
        created_by=principal.actor,
        refunded_at=draft.now,
        created_at=draft.now,
    )
    draft.add(refund)
    reconcile(draft, order, payments, [*known, refund], actor=principal.actor)
    return next(row for row in reversed(draft.rows) if isinstance(row, Refund) and row.id == refund.id)


def _plan(
    draft: Draft,
    order: Order,
    payments: Sequence[Payment],
    known: Sequence[Refund],
    asked: RefundRequest,
) -> RefundPlan:
    """Work out how much is refunded, and refuse what is more than was paid."""
    currency = draft.currency
    for path, code in asked.currencies:
        if code != currency.code:
            raise CurrencyMismatch(given=code, wallet=currency.code, field=path)
    left_minor = rules.left_minor(_paid_minor(draft, order, payments), known)
    if asked.lines or asked.with_shipping or asked.shipping:
        plan = _plan_lines(order, known, asked, currency)
    else:
        amount_minor = left_minor
        if asked.amount is not None:
            amount_minor = parse_amount(asked.amount, currency, field=("amount", "amount"))
        plan = RefundPlan(amount_minor)
    if plan.amount_minor == 0 or plan.amount_minor > left_minor:
        raise RefundExceeded(currency.display(left_minor) if left_minor else None)
    return plan


def _plan_lines(
    order: Order, known: Sequence[Refund], asked: RefundRequest, currency: Currency
) -> RefundPlan:
    if order.snapshot is None:
        raise FieldInvalid("The order's lines are not known. Give an amount instead.", field=("lines",))
    lines = [
        LineToRefund(
            line.line_id,
            line.quantity,
            None
            if line.amount is None
            else parse_amount(line.amount, currency, field=("lines", str(place), "amount", "amount")),
        )
        for place, line in enumerate(asked.lines)
    ]
    shipping = asked.shipping and parse_amount(asked.shipping, currency, field=("shipping", "amount"))
    return rules.plan_lines(
        order.snapshot,
        known,
        lines,
        shipping_minor=shipping or None,
        with_shipping=asked.with_shipping,
        currency=currency,
    )


def _paid_minor(draft: Draft, order: Order, payments: Sequence[Payment]) -> int:
    """Return what was paid for an order, by the wallet or otherwise, or refuse one that was not paid."""
    told = order.snapshot
    captured_minor = sum(payment.captured_minor for payment in payments)
    if told is None:
        if captured_minor:
            return captured_minor
    elif told.currency != draft.wallet.currency:
        raise OrderInOtherCurrency(order=told.currency, wallet=draft.wallet.currency)
    elif told.status in _PAID:
        return told.total_minor
    status = order.status.lower().replace("_", " ")
    raise OrderNotRefundable(
        f"Order {order.name} is {status}, so there is nothing to refund. Check it: cancel it instead, or wait until it is paid."
    )


def _content(asked: RefundRequest) -> dict[str, Any]:
    return {
        "order": str(asked.order_id),
        "amount": asked.amount,
        "currencies": [code for _, code in asked.currencies],
        "lines": [[line.line_id, str(line.quantity), line.amount] for line in asked.lines],
        "shipping": [asked.shipping, asked.with_shipping],
        "destination": asked.destination,
        "bucket": asked.bucket,
        "note": asked.note,
        "store_refund_id": asked.store_refund_id,
    }


async def _refunded(outcome: Outcome) -> Refunded:
    if isinstance(outcome.answer, Refund) and outcome.wallet is not None:
        return Refunded(wallet_of(outcome.wallet), refund_of(outcome.answer), replayed=False)
    row = await RefundModel.get(id=outcome.result["Refund"]).select_related("wallet")
    return Refunded(row.wallet, row, replayed=True)
