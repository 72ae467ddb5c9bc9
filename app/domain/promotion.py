"""Promotions: campaigns whose coupon codes grant bonus money to wallets.

A code is redeemed by its customer, or by the coupon lines of an order once that is settled. Every limit is decided on
rows that are locked: the promotion, the code, and how often this customer used the promotion. What was granted is kept
(`CouponRedemption`), so that it can be taken back when its order is called off or refunded.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from app.domain.access import Actor
from app.domain.bucket import Bucket
from app.domain.cashback.award import (
    Award,
    AwardSource,
    Funds,
    ShortfallPolicy,
    Taken,
    clawback_target,
    settle,
)
from app.domain.cashback.basis import Bases, Basis
from app.domain.cashback.condition import Base, LineFilter
from app.domain.cashback.data import Reader, plain, read
from app.domain.cashback.evaluation import LineAward
from app.domain.cashback.occasion import Grant, Occasion
from app.domain.cashback.period import zone_of
from app.domain.cashback.reward import PERCENT_MAX_BP, Expiry
from app.domain.cashback.share import Rounding, rounded, shares
from app.domain.errors import BalanceTooLarge, CouponNotUsable, CouponUnknown, FieldInvalid, PromotionArchived
from app.domain.ledger import Draft, Explanation, Transaction, TransactionKind
from app.domain.note import check_text
from app.domain.order import Order, OrderSnapshot, OrderStatus, StoreRefund
from app.domain.refund import Refund

CODE_MAX = 48
CODES_MAX = 10_000
"""Codes that one request makes at most."""
PREFIX_MAX = 20
NAME_MAX = 100
DESCRIPTION_MAX = 500
USES_MAX = 1_000_000_000

BOUGHT = tuple(str(status) for status in (OrderStatus.PAID, OrderStatus.COMPLETED, OrderStatus.REFUNDED))
"""An order in one of these states makes its customer one who has bought before."""

_NAMESPACE = UUID("3f3c5c1e-0a4b-5f0f-8a52-5d1f6b2c9e77")
_CODE = re.compile(r"[A-Z0-9][A-Z0-9_-]{2,47}")
_PREFIX = re.compile(r"[A-Z0-9][A-Z0-9_-]{0,19}")
_BASE = Base(wallet_paid=True)
"""A coupon is about what the order costs, whoever pays: so the checkout can say what it gives before that is known."""


class PromotionStatus(StrEnum):
    """How a promotion stands."""

    DRAFT = "DRAFT"
    """It is being prepared: its codes give nothing yet."""
    ACTIVE = "ACTIVE"
    """Its codes give what it says, in its time and within its limits."""
    PAUSED = "PAUSED"
    """Its codes give nothing until it is active again."""
    ARCHIVED = "ARCHIVED"
    """It is over for good: nothing of it changes any more, and its codes may be used by other promotions."""


class CouponProblem(StrEnum):
    """Why a coupon gives nothing."""

    NOT_RUNNING = "NOT_RUNNING"
    """Its promotion was not active, had not begun or was over."""
    USED_UP = "USED_UP"
    """It was used as often as it may be used in all."""
    USED_BY_CUSTOMER = "USED_BY_CUSTOMER"
    """This customer used it as often as one customer may."""
    BUDGET_SPENT = "BUDGET_SPENT"
    """What is left of the promotion's budget is less than this."""
    NOT_FIRST_ORDER = "NOT_FIRST_ORDER"
    """It is for customers who have not bought anything before."""
    BELOW_MINIMUM = "BELOW_MINIMUM"
    """The products that count cost less than the promotion asks for."""
    NOTHING_MATCHES = "NOTHING_MATCHES"
    """None of the order's products count."""
    ONLY_AT_CHECKOUT = "ONLY_AT_CHECKOUT"
    """What it gives depends on an order, so it is used at the checkout."""
    OTHER_CURRENCY = "OTHER_CURRENCY"
    """The order or the wallet is in another currency."""
    NOTHING_LEFT = "NOTHING_LEFT"
    """What it would give is less than the smallest amount of the currency."""
    WALLET_FULL = "WALLET_FULL"
    """The wallet would hold more than a balance can hold."""


class RedemptionStatus(StrEnum):
    """What became of a coupon."""

    GRANTED = "GRANTED"
    """Its money was credited to the wallet."""
    TAKEN_BACK = "TAKEN_BACK"
    """Its money was credited, and nothing of it is due to the customer any more: its order was called off or refunded."""
    REFUSED = "REFUSED"
    """It gave nothing; the reason says why."""


# --- promotions ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Terms:
    """What a promotion gives and asks for, amounts in minor units: `amount_minor`, or `percent_bp` basis points of
    the order's lines that count, tax included, and at most `cap_minor`.

    `uses_per_customer` of `None` is no limit; a promotion for first-time customers gives each of them one use.
    """

    amount_minor: int = 0
    percent_bp: int = 0
    cap_minor: int | None = None
    minimum_minor: int = 0
    lines: LineFilter = field(default_factory=LineFilter)
    first_time_only: bool = False
    uses_per_customer: int | None = 1
    expiry: Expiry = field(default_factory=Expiry)

    def check(self) -> None:
        """Refuse what can't be meant, with a sentence that says what to do next."""
        if bool(self.amount_minor) == bool(self.percent_bp):
            raise FieldInvalid(
                "A coupon gives an amount or a percentage. Give one of them.", field=("amount",)
            )
        if not 0 <= self.percent_bp <= PERCENT_MAX_BP:
            raise FieldInvalid("Choose more than 0 and at most 100 percent.", field=("percent",))
        if self.cap_minor is not None and not self.percent_bp:
            raise FieldInvalid("Only a percentage has a cap. Leave it out.", field=("cap",))
        check_limit(self.uses_per_customer, "usesPerCustomer")
        self.lines.check()
        self.expiry.check()

    @property
    def needs_order(self) -> bool:
        """Whether what it gives depends on an order."""
        return bool(self.percent_bp or self.minimum_minor) or self.lines != LineFilter()

    @property
    def each_may_use(self) -> int | None:
        """How often one customer may use it."""
        return 1 if self.first_time_only else self.uses_per_customer

    def as_data(self) -> dict[str, Any]:
        """Return the terms as plain JSON data."""
        data: dict[str, Any] = plain(self)
        return data

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Terms":
        """Read stored terms."""
        return read(cls, data, _READ_TERMS)


_LINE_LISTS = ("categories_in", "categories_out", "products_in", "products_out", "skus_in", "skus_out")
_READ_TERMS: dict[str, Reader] = {
    "lines": lambda data: read(LineFilter, data, dict.fromkeys(_LINE_LISTS, frozenset)),
    "expiry": lambda data: read(Expiry, data, {}),
}


@dataclass(frozen=True, slots=True)
class Promotion:
    """A campaign. `uses` are the redemptions that count, and `granted_minor` is what those granted, refunds not taken
    off; both stay within `uses_max` and `budget_minor`.
    """

    id: UUID
    name: str
    description: str
    status: PromotionStatus
    currency: str
    terms: Terms
    starts_at: datetime | None
    ends_at: datetime | None
    uses_max: int | None
    budget_minor: int | None
    uses: int
    granted_minor: int
    created_at: datetime
    updated_at: datetime

    def is_running(self, at: datetime) -> bool:
        """Whether its codes gave something at a time, by its status of now."""
        begun = self.starts_at is None or self.starts_at <= at
        return self.status is PromotionStatus.ACTIVE and begun and (self.ends_at is None or at < self.ends_at)

    def check(self) -> "Promotion":
        """Return the promotion with its texts in normal form, or refuse what can't be meant."""
        self.terms.check()
        if self.starts_at and self.ends_at and self.ends_at <= self.starts_at:
            raise FieldInvalid("It would end before it begins. Choose a later end.", field=("endsAt",))
        check_limit(self.uses_max, "usesMax")
        if self.uses_max is not None and self.uses_max < self.uses:
            raise FieldInvalid(
                f"It was used {self.uses} times already. Choose at least that, or pause the promotion.",
                field=("usesMax",),
            )
        if self.budget_minor is not None and self.budget_minor < self.granted_minor:
            raise FieldInvalid(
                "More than that was granted already. Choose a larger budget, or pause the promotion. Check what was granted.",
                field=("budget",),
            )
        name = check_text(self.name, field="name", length_max=NAME_MAX)
        if not name:
            raise FieldInvalid("The name is empty. Give the promotion a name.", field=("name",))
        description = check_text(self.description, field="description", length_max=DESCRIPTION_MAX)
        return replace(self, name=name, description=description)

    def require_open(self) -> None:
        """Raise `PromotionArchived` when nothing of it changes any more."""
        if self.status is PromotionStatus.ARCHIVED:
            raise PromotionArchived

    def as_data(self) -> dict[str, Any]:
        """Return what can change of it, as an audit entry tells it."""
        return {
            "name": self.name,
            "description": self.description,
            "status": str(self.status),
            "terms": self.terms.as_data(),
            "startsAt": plain(self.starts_at),
            "endsAt": plain(self.ends_at),
            "usesMax": self.uses_max,
            "budgetMinor": self.budget_minor,
        }


def check_limit(value: int | None, name: str) -> None:
    """Refuse a limit of uses that nothing fits under."""
    if value is not None and not 1 <= value <= USES_MAX:
        raise FieldInvalid(f"Choose from 1 to {USES_MAX}, or leave it out for no limit.", field=(name,))


def parse_percent(text: str) -> int:
    """Return a percentage in basis points, or raise `FieldInvalid`."""
    points = Decimal(text) * 100
    if points != int(points) or not 0 < points <= PERCENT_MAX_BP:
        raise FieldInvalid(
            "Choose more than 0 and at most 100 percent, with at most two decimals.", field=("percent",)
        )
    return int(points)


# --- codes --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CouponCode:
    """A code of a promotion, in normal form. `uses_max` of `None` leaves its limit to the promotion.

    Its id follows from the code: so it names its row, and no two promotions have it at once.
    """

    id: UUID
    promotion_id: UUID
    batch_id: UUID
    code: str
    uses_max: int | None
    uses: int
    created_at: datetime


def normal_code(text: str) -> str | None:
    """Return a code as it is kept: capitals, no blanks around it; `None` for what can be no code."""
    code = unicodedata.normalize("NFKC", text[: 4 * CODE_MAX]).strip().upper()
    return code if _CODE.fullmatch(code) else None


def check_code(text: str, *, field: str = "code") -> str:
    """Return a code in normal form, or raise `FieldInvalid`."""
    code = normal_code(text)
    if code is None:
        raise FieldInvalid(
            f"A code has 3 to {CODE_MAX} letters from A to Z, digits, - and _, and begins with a letter or a digit. "
            "Choose one such as WELCOME-10.",
            field=(field,),
        )
    return code


def check_prefix(text: str) -> str:
    """Return what generated codes begin with, or raise `FieldInvalid`."""
    prefix = text.strip().upper()
    if not _PREFIX.fullmatch(prefix):
        raise FieldInvalid(
            f"A prefix has 1 to {PREFIX_MAX} letters from A to Z, digits, - and _. Choose one such as SPRING.",
            field=("generate", "prefix"),
        )
    return prefix


def code_id(code: str) -> UUID:
    """Return the id of a code in normal form."""
    return uuid5(_NAMESPACE, f"code\n{code}")


# --- uses ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PromotionUse:
    """How often one customer, by the store's id, used a promotion; its wallet's lock is its own."""

    id: UUID
    promotion_id: UUID
    customer: str
    uses: int
    created_at: datetime
    updated_at: datetime


def use_id(promotion_id: UUID, customer: str) -> UUID:
    """Return the id of a customer's use of a promotion."""
    return uuid5(_NAMESPACE, f"use\n{promotion_id}\n{customer}")


@dataclass(frozen=True, slots=True)
class CouponRedemption:
    """What became of a code: for an order, or redeemed by itself; amounts in minor units.

    While it `counts`, it is one of its promotion's uses. `lots` are those that hold its money. `taken` says where a
    clawback of it came from.
    """

    id: UUID
    promotion_id: UUID
    code_id: UUID
    code: str
    wallet_id: UUID
    order_id: UUID | None
    transaction_id: UUID | None
    status: RedemptionStatus
    problem: CouponProblem | None
    amount_minor: int
    order_total_minor: int
    currency: str
    lines: tuple[LineAward, ...]
    lots: tuple[UUID, ...]
    taken: Taken
    counts: bool
    expires_at: datetime | None
    created_by: Actor
    created_at: datetime
    updated_at: datetime

    @property
    def award(self) -> Award:
        """It, as clawbacks see it."""
        key = f"coupon:{self.code}"
        return Award(
            id=self.id,
            rule_id=self.promotion_id,
            rule_version=1,
            wallet_id=self.wallet_id,
            customer_id="",
            occasion_key=key if self.order_id is None else f"{key}:order:{self.order_id}",
            order_id=self.order_id,
            currency=self.currency,
            amount_minor=self.amount_minor,
            order_total_minor=self.order_total_minor,
            lines=self.lines,
            bucket=Bucket.PROMO,
            occurred_at=self.created_at,
            occurred_on=self.created_at.date(),
            awarded_at=self.created_at,
            vests_at=self.created_at,
            expires_at=self.expires_at,
            source=AwardSource.PROMOTION,
            vested_at=self.created_at,
            taken=self.taken,
        )

    @property
    def kept_minor(self) -> int:
        """What was granted and not taken out of the wallet again."""
        return self.amount_minor - self.taken.lots_minor - self.taken.others_minor


def read_lines(data: Iterable[Iterable[Any]]) -> tuple[LineAward, ...]:
    """Read the stored lines of a redemption."""
    return tuple(LineAward(*line) for line in data)


def read_taken(data: Mapping[str, Any]) -> Taken:
    """Read where a clawback came from."""
    return read(Taken, data, {})


def redemption_id(code: str, customer: str, order_id: UUID) -> UUID:
    """Return the id of what a code becomes for an order: told twice, it is the same."""
    return uuid5(_NAMESPACE, f"redemption\n{code}\n{customer}\n{order_id}")


def grants_of(draft: Draft, order_id: UUID) -> tuple[Grant, ...]:
    """Return the wallet money that coupons grant for an order, on which it earns no cashback."""
    found = draft.now_of_order(CouponRedemption, order_id)
    return tuple(Grant(one.code, one.amount_minor) for one in found if one.counts)


# --- what a coupon is worth ---------------------------------------------------------------------------------


class Worth(NamedTuple):
    """What a coupon would give, in minor units, over which lines; or why nothing, and what is missing to the minimum."""

    amount_minor: int = 0
    lines: tuple[LineAward, ...] = ()
    problem: CouponProblem | None = None
    missing_minor: int = 0


def worth_of(promotion: Promotion, order: OrderSnapshot | None) -> Worth:
    """Work out what a promotion gives for an order, or without one, whatever its limits."""
    terms = promotion.terms
    if order is None:
        if terms.needs_order:
            return Worth(problem=CouponProblem.ONLY_AT_CHECKOUT)
        return Worth(terms.amount_minor)
    if order.currency != promotion.currency:
        return Worth(problem=CouponProblem.OTHER_CURRENCY)
    basis = Bases(Occasion.of_order(order)).of(_BASE, terms.lines)
    missing = max(0, terms.minimum_minor - basis.amount_minor)
    if terms.lines != LineFilter() and not basis.amount_minor:
        return Worth(problem=CouponProblem.NOTHING_MATCHES, missing_minor=missing)
    if missing:
        return Worth(problem=CouponProblem.BELOW_MINIMUM, missing_minor=missing)
    return _percent_of(basis, terms) if terms.percent_bp else Worth(terms.amount_minor)


def _percent_of(basis: Basis, terms: Terms) -> Worth:
    amount = rounded(basis.amount_minor * terms.percent_bp, PERCENT_MAX_BP, Rounding.HALF_UP)
    amount = amount if terms.cap_minor is None else min(amount, terms.cap_minor)
    if not amount:
        return Worth(problem=CouponProblem.NOTHING_LEFT)
    parts = zip(basis.parts, basis.amounts, shares(amount, basis.amounts), strict=True)
    return Worth(
        amount, tuple(LineAward(part.line_id, base, share, part.worth_minor) for part, base, share in parts)
    )


def limit_of(
    promotion: Promotion, code: CouponCode, used: int, amount_minor: int, *, first_time: bool
) -> CouponProblem | None:
    """Return the limit that keeps one more use from being granted; `used` is how often this customer used it."""
    each = promotion.terms.each_may_use
    if promotion.terms.first_time_only and not first_time:
        return CouponProblem.NOT_FIRST_ORDER
    if each is not None and used >= each:
        return CouponProblem.USED_BY_CUSTOMER
    for uses, most in ((promotion.uses, promotion.uses_max), (code.uses, code.uses_max)):
        if most is not None and uses >= most:
            return CouponProblem.USED_UP
    if promotion.budget_minor is not None and promotion.granted_minor + amount_minor > promotion.budget_minor:
        return CouponProblem.BUDGET_SPENT
    return None


# --- granted ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Locked:
    """A promotion, a code and a customer's use of it, as the command so far leaves them."""

    draft: Draft
    changed: dict[UUID, Promotion | CouponCode | PromotionUse] = field(default_factory=dict)

    def promotion(self, row_id: UUID) -> Promotion | None:
        found = self.changed.get(row_id) or self.draft.found(Promotion, row_id)
        return found if isinstance(found, Promotion) else None

    def code(self, row_id: UUID) -> CouponCode | None:
        found = self.changed.get(row_id) or self.draft.found(CouponCode, row_id)
        return found if isinstance(found, CouponCode) else None

    def use(self, promotion_id: UUID) -> PromotionUse:
        draft = self.draft
        row_id = use_id(promotion_id, draft.customer.external_id)
        found = self.changed.get(row_id) or draft.found(PromotionUse, row_id)
        if isinstance(found, PromotionUse):
            return found
        return PromotionUse(row_id, promotion_id, draft.customer.external_id, 0, draft.now, draft.now)

    def count(self, redemption: CouponRedemption, by: int) -> bool:
        """Count a redemption among the uses, or (`by` -1) take it out again; tell whether its rows are at hand."""
        promotion, code = self.promotion(redemption.promotion_id), self.code(redemption.code_id)
        if promotion is None or code is None:
            return False
        use, now = self.use(promotion.id), self.draft.now
        granted = promotion.granted_minor + by * redemption.amount_minor
        self._keep(replace(promotion, uses=promotion.uses + by, granted_minor=granted))
        self._keep(replace(use, uses=max(0, use.uses + by), updated_at=now))
        if code.promotion_id == promotion.id:
            self._keep(replace(code, uses=max(0, code.uses + by)))
        return True

    def _keep(self, row: Promotion | CouponCode | PromotionUse) -> None:
        self.changed[row.id] = row
        self.draft.add(row)


def redeem(
    draft: Draft, code: str, promotion_id: UUID, *, first_time: bool, actor: Actor
) -> CouponRedemption:
    """Grant what a code gives without an order. Raises `NotFound` (also for one that is not running: nobody learns by
    guessing what will be, or was) or `CouponNotUsable`.
    """
    locked = _Locked(draft)
    row, promotion = locked.code(code_id(code)), locked.promotion(promotion_id)
    if (
        row is None
        or promotion is None
        or row.promotion_id != promotion.id
        or not promotion.is_running(draft.now)
    ):
        raise CouponUnknown
    worth = worth_of(promotion, None)
    problem = worth.problem
    if problem is None and promotion.currency != draft.wallet.currency:
        problem = CouponProblem.OTHER_CURRENCY
    if problem is None:
        used = locked.use(promotion.id).uses
        problem = limit_of(promotion, row, used, worth.amount_minor, first_time=first_time)
    if problem is not None:
        raise CouponNotUsable(ADVICE[problem])
    try:
        return _grant(locked, _opened(draft, draft.mint.id(), row, actor), promotion, worth, actor)
    except BalanceTooLarge:
        raise CouponNotUsable(ADVICE[CouponProblem.WALLET_FULL]) from None


ADVICE: dict[CouponProblem, str] = {
    CouponProblem.NOT_RUNNING: "This coupon can't be used now. Check its dates.",
    CouponProblem.USED_UP: "This coupon was used as often as it can be. Try another one.",
    CouponProblem.USED_BY_CUSTOMER: "You have used this coupon already. Check your wallet's history.",
    CouponProblem.BUDGET_SPENT: "Nothing is left of this promotion. Try another coupon.",
    CouponProblem.NOT_FIRST_ORDER: "This coupon is for new customers. Try another one.",
    CouponProblem.BELOW_MINIMUM: "The order is too small for this coupon. Check its minimum and add something.",
    CouponProblem.NOTHING_MATCHES: "This coupon is not for these products. Check what it is for.",
    CouponProblem.ONLY_AT_CHECKOUT: "This coupon belongs to an order. Use it at the checkout.",
    CouponProblem.OTHER_CURRENCY: "This coupon is in another currency. Use it where that is used.",
    CouponProblem.NOTHING_LEFT: "The order is too small for this coupon to give anything. Check what it is for.",
    CouponProblem.WALLET_FULL: "The wallet can hold no more. Use some of its balance first.",
}
"""What to tell the customer of each problem."""


def _opened(
    draft: Draft, row_id: UUID, code: CouponCode, actor: Actor, order_id: UUID | None = None
) -> CouponRedemption:
    return CouponRedemption(
        id=row_id,
        promotion_id=code.promotion_id,
        code_id=code.id,
        code=code.code,
        wallet_id=draft.wallet.id,
        order_id=order_id,
        transaction_id=None,
        status=RedemptionStatus.REFUSED,
        problem=None,
        amount_minor=0,
        order_total_minor=0,
        currency=draft.wallet.currency,
        lines=(),
        lots=(),
        taken=Taken(),
        counts=False,
        expires_at=None,
        created_by=actor,
        created_at=draft.now,
        updated_at=draft.now,
    )


def _grant(
    locked: _Locked, redemption: CouponRedemption, promotion: Promotion, worth: Worth, actor: Actor
) -> CouponRedemption:
    draft = locked.draft
    expires_at = promotion.terms.expiry.at(draft.now, zone_of(draft.settings.time_zone))
    note = f"Coupon {redemption.code}: {promotion.name}"
    explanation = Explanation(TransactionKind.PROMOTION, actor, note, order_id=redemption.order_id)
    posted = draft.credit(worth.amount_minor, explanation, bucket=Bucket.PROMO, expires_at=expires_at)
    granted = replace(
        redemption,
        promotion_id=promotion.id,
        transaction_id=posted.id,
        status=RedemptionStatus.GRANTED,
        problem=None,
        amount_minor=worth.amount_minor,
        lines=worth.lines,
        lots=_lots(posted),
        taken=Taken(),
        counts=True,
        expires_at=expires_at,
        updated_at=draft.now,
    )
    locked.count(granted, 1)
    draft.add(granted)
    return granted


def _lots(posted: Transaction) -> tuple[UUID, ...]:
    # What settled an overdraft is in no lot.
    return tuple(part.lot_id for part in posted.allocations if part.lot_id is not None)


# --- of orders ----------------------------------------------------------------------------------------------


def codes_of(*snapshots: OrderSnapshot | None) -> tuple[str, ...]:
    """Return the codes of orders' coupon lines in normal form, each once; what can be no code of ours is left out."""
    coupons = (coupon for told in snapshots if told is not None for coupon in told.coupons)
    found = (normal_code(coupon.code) for coupon in coupons)
    return tuple(dict.fromkeys(code for code in found if code is not None))


def follow(draft: Draft, order: Order, *, is_settled: bool, first_time: bool, actor: Actor) -> None:
    """Grant what the coupon lines of a settled order give, each once; and let those uses go of which nothing is left
    because their order was called off. A coupon that gives nothing is kept with the reason, and tried again when the
    order is told of again.

    The command names the codes, their promotions and the customer's uses of them; a code whose rows it does not name
    is none of ours.
    """
    known = {row.id: row for row in draft.now_of_order(CouponRedemption, order.id)}
    locked = _Locked(draft)
    wanted = codes_of(order.basis) if is_settled else ()
    for redemption in known.values():
        let_go = (
            redemption.counts and redemption.code not in wanted and redemption.wallet_id == draft.wallet.id
        )
        if let_go and not _owed(redemption) and locked.count(redemption, -1):
            draft.add(replace(redemption, counts=False, updated_at=draft.now))
    for code in wanted:
        row = locked.code(code_id(code))
        if row is not None and order.basis is not None:
            granted = any(one.counts for one in known.values() if one.code == code)
            if not granted:
                _follow_one(locked, order, row, known, first_time=first_time, actor=actor)


def _owed(redemption: CouponRedemption) -> int:
    """What the customer keeps of it, or spent."""
    taken = redemption.taken
    return redemption.amount_minor - taken.lots_minor - taken.others_minor - taken.expired_minor


def _follow_one(
    locked: _Locked,
    order: Order,
    code: CouponCode,
    known: Mapping[UUID, CouponRedemption],
    *,
    first_time: bool,
    actor: Actor,
) -> None:
    draft, told = locked.draft, order.basis
    promotion = locked.promotion(code.promotion_id)
    if promotion is None or told is None:
        return
    row_id = redemption_id(code.code, draft.customer.external_id, order.id)
    redemption = known.get(row_id) or _opened(draft, row_id, code, actor, order.id)
    redemption = replace(redemption, order_total_minor=told.total_minor)
    worth, problem = worth_of(promotion, told), None
    if not promotion.is_running(told.placed_at or min(told.modified_at, order.created_at)):
        problem = CouponProblem.NOT_RUNNING
    elif draft.wallet.currency != promotion.currency:
        problem = CouponProblem.OTHER_CURRENCY
    else:
        used = locked.use(promotion.id).uses
        problem = worth.problem or limit_of(promotion, code, used, worth.amount_minor, first_time=first_time)
    if problem is None:
        try:
            _grant(locked, redemption, promotion, worth, actor)
        except BalanceTooLarge:
            problem = CouponProblem.WALLET_FULL
    if problem is not None:
        _refuse(draft, redemption, known.get(row_id), problem)


def _refuse(
    draft: Draft, redemption: CouponRedemption, before: CouponRedemption | None, problem: CouponProblem
) -> None:
    refused = replace(redemption, problem=problem)
    # What was granted, and taken back since, stays what it was: only why it is not granted again is new.
    if before is None or refused != before:
        draft.add(replace(refused, updated_at=draft.now))


def take_back(
    draft: Draft, order: Order, refunds: Collection[Refund | StoreRefund], *, is_settled: bool, actor: Actor
) -> None:
    """Take back what coupons granted for an order as far as its refunds go, or all of it when it is called off; and
    give back what was taken for a refund that the store withdrew.

    Only the unspent rest of the very money that was granted is taken; the customer keeps what they spent.
    """
    wanted = codes_of(order.basis)
    for redemption in draft.now_of_order(CouponRedemption, order.id):
        if redemption.counts and redemption.wallet_id == draft.wallet.id:
            ended = not is_settled or redemption.code not in wanted
            target = clawback_target(redemption.award, refunds, told=order.basis, order_ended=ended)
            _settle(draft, redemption, target, order, actor)


def _settle(draft: Draft, redemption: CouponRedemption, target: int, order: Order, actor: Actor) -> None:
    funds = Funds(lots_minor=draft.unspent_minor(redemption.lots))
    after, posting = settle(redemption.award, target, funds, ShortfallPolicy.LEAVE)
    if after.taken == redemption.taken:
        return
    kept = redemption.lots
    if posting.from_lots_minor:
        note = f"Coupon {redemption.code} of order {order.name} was taken back"
        explanation = Explanation(TransactionKind.CLAWBACK, actor, note, order_id=order.id)
        draft.debit(posting.from_lots_minor, explanation, lots=redemption.lots)
    if posting.credit_minor:
        note = f"Coupon {redemption.code} of order {order.name} counts again"
        explanation = Explanation(TransactionKind.PROMOTION, actor, note, order_id=order.id)
        ends_at = redemption.expires_at
        if ends_at is not None:
            # What comes back after its time can be spent for the store's grace period, as after a refund.
            ends_at = ends_at if ends_at > draft.now else draft.now + draft.settings.grace
        posted = draft.credit(posting.credit_minor, explanation, bucket=Bucket.PROMO, expires_at=ends_at)
        kept += _lots(posted)
    all_taken = after.taken.total_minor >= redemption.amount_minor
    status = RedemptionStatus.TAKEN_BACK if all_taken else RedemptionStatus.GRANTED
    draft.add(replace(redemption, taken=after.taken, lots=kept, status=status, updated_at=draft.now))
