"""Money that a customer paid in by the store's checkout: credited as the store kept it, and taken back as far as it goes.

A top-up is told of as often as the store likes; each telling says what the store kept by then. The newest counts, and the
wallet is brought to it. What was bought with a coupon is credited as what was paid, never at its face value: a coupon
must not make money.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid5

from app.domain import top_up_lines as lines
from app.domain.access import Actor
from app.domain.bucket import Bucket
from app.domain.cashback import posting as cashback
from app.domain.cashback.occasion import Occasion
from app.domain.errors import CurrencyMismatch, FieldInvalid, TopUpOfAnother
from app.domain.ledger import Draft, Explanation, Transaction, TransactionKind
from app.domain.money import AMOUNT_MAX_MINOR, currency_of
from app.domain.note import check_text
from app.domain.order import Order, OrderSnapshot, check_id, check_source
from app.domain.refund import Refund
from app.domain.settings import StoreSettings

_NAMESPACE = UUID("b7d3b1de-2c7e-5e2f-9a34-41c6a7f0d5b8")

METHOD_MAX = 64
AHEAD_MAX = timedelta(days=1)
"""How far the store's clock may be ahead of ours."""

_CASH = frozenset({Bucket.CASH})


@dataclass(frozen=True, slots=True)
class TopUp:
    """Money paid in; amounts in minor units of `currency`.

    `paid_minor` is what the store kept of the payment by its newest telling, `face_value_minor` what the customer bought
    where that was said. `credited_minor` is what came into the wallet for it, less what was taken back; `shortfall_minor`
    what could not be taken back, because it had been spent. `transaction_id` is the first credit, `order_id` the store's order that
    it was bought with, where there is one.
    """

    id: UUID
    wallet_id: UUID
    source: str
    external_id: str
    reference: str
    paid_minor: int
    face_value_minor: int | None
    credited_minor: int
    shortfall_minor: int
    currency: str
    payment_method: str | None
    transaction_id: UUID | None
    order_id: UUID | None
    paid_at: datetime
    modified_at: datetime
    created_by: Actor
    created_at: datetime
    updated_at: datetime

    @property
    def kept_minor(self) -> int:
        """What the wallet gets: what was paid, and never more than was bought."""
        return kept_of(self.paid_minor, self.face_value_minor)

    def occasion(self) -> Occasion:
        """Return the occasion that it is: of what the store kept."""
        return Occasion.of_top_up(
            self.id, self.kept_minor, self.currency, self.paid_at, payment_method=self.payment_method
        )


@dataclass(frozen=True, slots=True)
class TopUpTold:
    """A top-up as the store tells of it; amounts in minor units.

    `modified_at` is when it last changed in the store: what was told of later counts (nothing: just now).
    """

    source: str
    external_id: str
    paid_minor: int
    currency: str
    face_value_minor: int | None = None
    payment_method: str | None = None
    paid_at: datetime | None = None
    modified_at: datetime | None = None

    @property
    def id(self) -> UUID:
        """The id of the top-up, which follows from the store's own."""
        return top_up_id(self.source, self.external_id)

    def checked(self) -> "TopUpTold":
        """Return it as it is kept, or raise `FieldInvalid`."""
        for name, amount_minor in (("paid", self.paid_minor), ("faceValue", self.face_value_minor)):
            if amount_minor is not None and not 0 <= amount_minor <= AMOUNT_MAX_MINOR:
                largest = currency_of(self.currency).display(AMOUNT_MAX_MINOR)
                raise FieldInvalid(
                    f"This amount is negative or too large. Choose from 0 to {largest}.",
                    field=(name, "amount"),
                )
        method = self.payment_method
        return replace(
            self,
            source=check_source(self.source),
            external_id=check_id(self.external_id, field="externalId"),
            payment_method=None
            if method is None
            else check_text(method, field="paymentMethod", length_max=METHOD_MAX) or None,
        )


def check_method(text: str, settings: StoreSettings) -> str:
    """Return one of the store's payment methods for top-ups, or raise `FieldInvalid`; the wallet is none."""
    if text not in settings.top_up_methods or text in settings.wallet_payment_methods:
        raise FieldInvalid(
            "The store takes no top-ups by this payment method. Choose one of `topUpOptions.paymentMethods`.",
            field=("paymentMethod",),
        )
    return text


def kept_of(paid_minor: int, face_value_minor: int | None) -> int:
    """Return what a wallet gets for a payment: what was kept of it, and never more than was bought."""
    return paid_minor if face_value_minor is None else min(paid_minor, face_value_minor)


def top_up_id(source: str, external_id: str) -> UUID:
    """Return the id of a top-up, which follows from the store's own."""
    return uuid5(_NAMESPACE, f"{source}\n{external_id}")


def record(draft: Draft, told: TopUpTold, actor: Actor) -> TopUp:
    """Bring the wallet to what the store kept of a top-up; what was told of before, or is older, changes nothing.

    The command names the row: `(TopUp, told.id)`. Raises `CurrencyMismatch`, `TopUpOfAnother`, `BalanceTooLarge`, or
    `FieldInvalid` for a time in the future.
    """
    if draft.wallet.currency != told.currency:
        raise CurrencyMismatch(given=told.currency, wallet=draft.wallet.currency, field=("paid", "currency"))
    for name, at in (("modifiedAt", told.modified_at), ("paidAt", told.paid_at)):
        if at is not None and at - draft.now > AHEAD_MAX:
            raise FieldInvalid("This lies in the future. Check the store's clock.", field=(name,))
    known = draft.found(TopUp, told.id)
    if known is not None and known.wallet_id != draft.wallet.id:
        raise TopUpOfAnother
    modified_at = told.modified_at or draft.now
    if known is None:
        top_up = _opened(draft, told, modified_at, actor)
    elif modified_at <= known.modified_at:
        return known
    else:
        # What is left out stays: a refund need not repeat the face value.
        face = known.face_value_minor if told.face_value_minor is None else told.face_value_minor
        top_up = replace(known, paid_minor=told.paid_minor, face_value_minor=face)
        if top_up == known and told.modified_at is None:
            return known
        unchanged = top_up == known
        top_up = replace(top_up, modified_at=modified_at, updated_at=draft.now)
        if unchanged:
            # It says no more than before, but what is older than this telling counts no longer.
            draft.add(top_up)
            return top_up
    return _brought(draft, top_up, actor, is_new=known is None)


def follow_order(
    draft: Draft, order: Order, refunds: Iterable[Refund], *, wallet_part_minor: int, actor: Actor
) -> None:
    """Bring the wallet to what the store kept of an order's top-ups; nothing happens where it has none, or that is done.

    The order's own reconciliation says what is newest. A top-up that another wallet got stays there, and what was told of
    it by itself later counts.
    """
    told = order.basis
    known = draft.current(TopUp, top_up_id(order.source, order.external_id))
    if told is None or told.currency != draft.wallet.currency:
        return
    paid = lines.kept_minor(order, refunds, draft.settings, wallet_part_minor=wallet_part_minor)
    if known is None and paid:
        _brought(draft, _bought(draft, order, told, paid, actor), actor, is_new=True)
    elif known is not None and known.wallet_id == draft.wallet.id:
        linked = replace(known, order_id=order.id)
        if known.modified_at <= told.modified_at:
            # What it was bought as stays: an order whose line was taken out has kept nothing of it.
            face = lines.face_value_minor(told, draft.settings) or known.face_value_minor
            linked = replace(linked, paid_minor=paid, face_value_minor=face)
        if linked != known:
            newest = max(known.modified_at, told.modified_at)
            linked = replace(linked, modified_at=newest, updated_at=draft.now)
            _brought(draft, linked, actor, is_new=False)


def _bought(draft: Draft, order: Order, told: OrderSnapshot, paid_minor: int, actor: Actor) -> TopUp:
    opened = TopUpTold(
        order.source,
        order.external_id,
        paid_minor,
        told.currency,
        face_value_minor=lines.face_value_minor(told, draft.settings),
        payment_method=told.payment_method and told.payment_method[:METHOD_MAX],
        paid_at=told.placed_at,
    )
    return replace(_opened(draft, opened, told.modified_at, actor), order_id=order.id)


def _brought(draft: Draft, top_up: TopUp, actor: Actor, *, is_new: bool) -> TopUp:
    top_up = _settle(draft, top_up, actor)
    draft.add(top_up)
    occasion = top_up.occasion()
    if is_new and top_up.kept_minor:
        cashback.earn(draft, occasion, actor=actor)
    else:
        cashback.settle_amount(draft, occasion, actor=actor)
    return top_up


def _opened(draft: Draft, told: TopUpTold, modified_at: datetime, actor: Actor) -> TopUp:
    return TopUp(
        id=told.id,
        wallet_id=draft.wallet.id,
        source=told.source,
        external_id=told.external_id,
        reference=draft.mint.reference("TU"),
        paid_minor=told.paid_minor,
        face_value_minor=told.face_value_minor,
        credited_minor=0,
        shortfall_minor=0,
        currency=told.currency,
        payment_method=told.payment_method,
        transaction_id=None,
        order_id=None,
        paid_at=min(told.paid_at or modified_at, draft.now),
        modified_at=modified_at,
        created_by=actor,
        created_at=draft.now,
        updated_at=draft.now,
    )


def _settle(draft: Draft, top_up: TopUp, actor: Actor) -> TopUp:
    """Post what is missing, or take back what is too much as far as there is cash; the rest is the shortfall."""
    missing = top_up.kept_minor - top_up.credited_minor
    if missing > 0:
        credit = _post(draft, top_up, missing, actor)
        first = top_up.transaction_id or credit.id
        return replace(top_up, credited_minor=top_up.kept_minor, shortfall_minor=0, transaction_id=first)
    taken = min(-missing, draft.spendable_minor(_CASH))
    if taken:
        _post(draft, top_up, -taken, actor)
    return replace(top_up, credited_minor=top_up.credited_minor - taken, shortfall_minor=-missing - taken)


def _post(draft: Draft, top_up: TopUp, signed_minor: int, actor: Actor) -> Transaction:
    note = f"Top-up {top_up.reference}" + ("" if signed_minor > 0 else " was paid back")
    explanation = Explanation(TransactionKind.TOP_UP, actor, note, corrects_id=top_up.transaction_id)
    if signed_minor > 0:
        return draft.credit(signed_minor, explanation, bucket=Bucket.CASH)
    # The youngest cash first: what is taken back is most likely still that of this payment.
    return draft.debit(-signed_minor, explanation, buckets=_CASH, newest_of=Bucket.CASH)
