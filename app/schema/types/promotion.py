"""Promotions, their coupon codes, and what was redeemed."""

from typing import TYPE_CHECKING, Annotated

import strawberry

from app.context import AppInfo
from app.domain.page import PageRequest
from app.domain.promotion import ADVICE, Terms
from app.models.promotion import (
    CouponCode as CouponCodeModel,
    CouponRedemption as CouponRedemptionModel,
    Promotion as PromotionModel,
)
from app.schema.types.connection import After, Before, Connection, First, Last, connection
from app.schema.types.enums import Capability, CouponProblem, PromotionStatus, RedemptionStatus
from app.schema.types.filters import texts
from app.schema.types.money import Money, money
from app.schema.types.node import ID_DESCRIPTION, Node, encode_id
from app.schema.types.ownership import seen_wallet, sees
from app.schema.types.refusal import telling
from app.schema.types.scalars import BigInt, DateTime, Decimal
from app.schema.types.transaction import Actor, Transaction, actor

if TYPE_CHECKING:
    from app.schema.types.order import Order
    from app.schema.types.wallet import Wallet


@strawberry.type(
    description="Which lines of an order count: those that any list of what counts names, or all where there is none, "
    "less those that any list of exceptions names."
)
class PromotionLines:
    """The lists."""

    categories: list[str] = strawberry.field(description="Categories whose products count.")
    products: list[str] = strawberry.field(
        description="Products or variations that count, by the store's own ids."
    )
    skus: list[str] = strawberry.field(description="Stock numbers that count.")
    except_categories: list[str] = strawberry.field(description="Categories whose products don't count.")
    except_products: list[str] = strawberry.field(description="Products or variations that don't count.")
    except_skus: list[str] = strawberry.field(description="Stock numbers that don't count.")


def lines_of(terms: Terms) -> PromotionLines:
    """Return which lines of an order count."""
    lines = terms.lines
    return PromotionLines(
        categories=sorted(lines.categories_in),
        products=sorted(lines.products_in),
        skus=sorted(lines.skus_in),
        except_categories=sorted(lines.categories_out),
        except_products=sorted(lines.products_out),
        except_skus=sorted(lines.skus_out),
    )


def percent(basis_points: int) -> Decimal | None:
    """Return basis points as a percentage, if there are any."""
    if not basis_points:
        return None
    whole, rest = divmod(basis_points, 100)
    return Decimal(f"{whole}.{rest:02}".rstrip("0").rstrip(".") if rest else str(whole))


@strawberry.type(
    description="A campaign whose coupon codes grant promotional money: it is spent before cash and never paid out."
)
class Promotion(Node):
    """A promotion."""

    model: strawberry.Private[PromotionModel]

    @property
    def _terms(self) -> Terms:
        return Terms.from_data(self.model.terms)

    def _money(self, amount_minor: int | None) -> Money | None:
        return None if amount_minor is None else money(amount_minor, self.model.currency)

    @strawberry.field(description=ID_DESCRIPTION)
    def id(self) -> strawberry.ID:
        """Return the global id."""
        return encode_id("Promotion", self.model.id)

    @strawberry.field(description="What it is called, also in the customers' histories.")
    def name(self) -> str:
        """Return the name."""
        return self.model.name

    @strawberry.field(description="What it is about, in words.")
    def description(self) -> str:
        """Return the description."""
        return self.model.description

    @strawberry.field(description="How it stands.")
    def status(self) -> PromotionStatus:
        """Return the status."""
        return PromotionStatus(self.model.status)

    @strawberry.field(description="Whether its codes give something now, by its status and its dates.")
    def is_running(self, info: AppInfo) -> bool:
        """Tell whether it is running."""
        now, model = info.context.runtime.clock(), self.model
        begun = model.starts_at is None or model.starts_at <= now
        over = model.ends_at is not None and model.ends_at <= now
        return model.status == PromotionStatus.ACTIVE and begun and not over

    @strawberry.field(description="What each use gives; null for a percentage.")
    def amount(self) -> Money | None:
        """Return the amount."""
        return self._money(self._terms.amount_minor or None)

    @strawberry.field(
        description="How many percent of the order's lines that count each use gives, tax included and shipping not; "
        "null for an amount."
    )
    def percent(self) -> Decimal | None:
        """Return the percentage."""
        return percent(self._terms.percent_bp)

    @strawberry.field(description="The most that one use of a percentage gives; null where there is no cap.")
    def cap(self) -> Money | None:
        """Return the cap."""
        return self._money(self._terms.cap_minor)

    @strawberry.field(
        description="What the order's lines that count must cost at least, after discounts and with tax; null where "
        "nothing is asked."
    )
    def minimum_spend(self) -> Money | None:
        """Return the minimum."""
        return self._money(self._terms.minimum_minor or None)

    @strawberry.field(description="Which lines of an order count.")
    def lines(self) -> PromotionLines:
        """Return the lists."""
        return lines_of(self._terms)

    @strawberry.field(description="Whether it is for customers only who have not bought anything before.")
    def first_time_only(self) -> bool:
        """Tell whether it is for new customers."""
        return self._terms.first_time_only

    @strawberry.field(description="From when on; null for at once.")
    def starts_at(self) -> DateTime | None:
        """Return the time."""
        return DateTime(self.model.starts_at) if self.model.starts_at else None

    @strawberry.field(description="Until when; null for no end.")
    def ends_at(self) -> DateTime | None:
        """Return the time."""
        return DateTime(self.model.ends_at) if self.model.ends_at else None

    @strawberry.field(description="How often it can be used in all; null for no limit.")
    def uses_max(self) -> int | None:
        """Return the limit."""
        limit: int | None = self.model.uses_max
        return limit

    @strawberry.field(description="How often one customer can use it; null for no limit.")
    def uses_per_customer(self) -> int | None:
        """Return the limit."""
        return self._terms.each_may_use

    @strawberry.field(description="The most that it grants in all; null for no limit.")
    def budget(self) -> Money | None:
        """Return the budget."""
        return self._money(self.model.budget_minor)

    @strawberry.field(
        description="For how many days the granted money can be spent, the last one whole; null for no such limit."
    )
    def granted_for_days(self) -> int | None:
        """Return the days."""
        return self._terms.expiry.days

    @strawberry.field(
        description="Whether the granted money can be spent to the end of the month that its last day is in."
    )
    def granted_to_end_of_month(self) -> bool:
        """Tell whether it lasts to the end of the month."""
        return self._terms.expiry.end_of_month

    @strawberry.field(
        description="How often it was used; a use of an order that was called off, and whose money came back, is none."
    )
    def uses(self) -> BigInt:
        """Return the uses."""
        return BigInt(self.model.uses)

    @strawberry.field(description="What those uses granted; what refunds took back is not taken off.")
    def granted(self) -> Money:
        """Return the amount."""
        return money(self.model.granted_minor, self.model.currency)

    @strawberry.field(description="When it was made.")
    def created_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.created_at)

    @strawberry.field(description="When it was last changed.")
    def updated_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.updated_at)

    @strawberry.field(description="Its codes, newest first.", extensions=[telling()])
    async def codes(
        self,
        info: AppInfo,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        code: Annotated[str | None, strawberry.argument(description="Only this code.")] = None,
    ) -> Connection["CouponCode"]:
        """Load a page of the codes."""
        context, key = info.context, (self.model.id, code)
        page = await context.code_pages.load((*key, PageRequest(first, after, last, before)))
        return connection(page, lambda row: CouponCode(model=row), lambda: context.code_counts.load(key))

    @strawberry.field(
        description="Who redeemed it, newest first; with those that gave nothing, and why.",
        extensions=[telling()],
    )
    async def redemptions(
        self,
        info: AppInfo,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        statuses: Annotated[
            list[RedemptionStatus] | None, strawberry.argument(description="Only in one of these states.")
        ] = None,
    ) -> Connection["CouponRedemption"]:
        """Load a page of the redemptions."""
        context, key = info.context, (self.model.id, texts(statuses, "statuses"))
        page = await context.redemption_pages.load((*key, PageRequest(first, after, last, before)))
        return connection(
            page, lambda row: CouponRedemption(model=row), lambda: context.redemption_counts.load(key)
        )


@strawberry.type(description="A coupon code. Capitals and small letters are the same.")
class CouponCode(Node):
    """A code."""

    model: strawberry.Private[CouponCodeModel]

    @strawberry.field(description=ID_DESCRIPTION)
    def id(self) -> strawberry.ID:
        """Return the global id."""
        return encode_id("CouponCode", self.model.id)

    @strawberry.field(description="What customers type, in capitals.")
    def code(self) -> str:
        """Return the code."""
        return self.model.code

    @strawberry.field(description="How often this code can be used; null where only its promotion limits it.")
    def uses_max(self) -> int | None:
        """Return the limit."""
        limit: int | None = self.model.uses_max
        return limit

    @strawberry.field(description="How often this code was used.")
    def uses(self) -> BigInt:
        """Return the uses."""
        return BigInt(self.model.uses)

    @strawberry.field(description="When it was made.")
    def created_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.created_at)

    @strawberry.field(description="The promotion that it belongs to.")
    async def promotion(self, info: AppInfo) -> Promotion:
        """Load the promotion."""
        row = await info.context.loaders.promotions.load(self.model.promotion_id)
        if row is None:
            raise LookupError(f"code {self.model.id} has no promotion")
        return Promotion(model=row)


@strawberry.type(
    description="What became of a coupon: for an order, or redeemed by itself. One that gave nothing says why."
)
class CouponRedemption(Node):
    """A redemption."""

    model: strawberry.Private[CouponRedemptionModel]

    @strawberry.field(description=ID_DESCRIPTION)
    def id(self) -> strawberry.ID:
        """Return the global id."""
        return encode_id("CouponRedemption", self.model.id)

    @strawberry.field(description="The code.")
    def code(self) -> str:
        """Return the code."""
        return self.model.code

    @strawberry.field(description="What became of it.")
    def status(self) -> RedemptionStatus:
        """Return the status."""
        return RedemptionStatus(self.model.status)

    @strawberry.field(description="Why it gives nothing, or is not granted again; null when all is well.")
    def problem(self) -> CouponProblem | None:
        """Return the problem."""
        return CouponProblem(self.model.problem) if self.model.problem else None

    @strawberry.field(description="The same in a sentence for the customer.")
    def message(self) -> str | None:
        """Return the sentence."""
        return ADVICE[CouponProblem(self.model.problem)] if self.model.problem else None

    @strawberry.field(description="What was granted; zero when it gave nothing.")
    def amount(self) -> Money:
        """Return the amount."""
        return money(self.model.amount_minor, self.model.currency)

    @strawberry.field(
        description="What of that was taken out of the wallet again, because its order was called off or refunded. "
        "What the customer had spent by then stays theirs."
    )
    def taken_back(self) -> Money:
        """Return the amount."""
        taken = self.model.taken
        return money(taken["lots_minor"] + taken["others_minor"], self.model.currency)

    @strawberry.field(description="When the granted money expires; null when it does not.")
    def expires_at(self) -> DateTime | None:
        """Return the time."""
        return DateTime(self.model.expires_at) if self.model.expires_at else None

    @strawberry.field(description="Who redeemed it, or told of the order.")
    def created_by(self, info: AppInfo) -> Actor:
        """Return who did it."""
        return actor(info, self.model.created_by_kind, self.model.created_by_id)

    @strawberry.field(description="When it was redeemed, or refused for the first time.")
    def created_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.created_at)

    @strawberry.field(description="The transaction that granted its money; null when it gave nothing.")
    async def transaction(self, info: AppInfo) -> Transaction | None:
        """Load the transaction."""
        if self.model.transaction_id is None or not await sees(
            info, Capability.WALLETS_READ, self.model.wallet_id
        ):
            return None
        row = await info.context.loaders.transactions.load(self.model.transaction_id)
        return None if row is None else Transaction(model=row)

    @strawberry.field(
        description="The order that it was used on; null when it was redeemed by itself, and for those who may not see it."
    )
    async def order(
        self, info: AppInfo
    ) -> Annotated["Order", strawberry.lazy("app.schema.types.order")] | None:
        """Load the order."""
        from app.schema.types.order import Order  # noqa: PLC0415 — orders and redemptions name each other

        if self.model.order_id is None:
            return None
        row = await info.context.loaders.orders.load(self.model.order_id)
        if row is None or not await sees(info, Capability.ORDERS_READ, row.wallet_id):
            return None
        return Order(model=row)

    @strawberry.field(description="The wallet; null for those who may not see it.")
    async def wallet(
        self, info: AppInfo
    ) -> Annotated["Wallet", strawberry.lazy("app.schema.types.wallet")] | None:
        """Load the wallet."""
        from app.schema.types.wallet import Wallet  # noqa: PLC0415 — wallets and redemptions name each other

        row = await seen_wallet(info, self.model.wallet_id)
        return None if row is None else Wallet(model=row)

    @strawberry.field(description="The promotion that it belongs to; null without PROMOTIONS_READ.")
    async def promotion(self, info: AppInfo) -> Promotion | None:
        """Load the promotion."""
        if not info.context.principal.may(Capability.PROMOTIONS_READ):
            return None
        row = await info.context.loaders.promotions.load(self.model.promotion_id)
        return None if row is None else Promotion(model=row)


@strawberry.type(description="What a coupon code would give now.")
class CouponCheck:
    """The answer of checkCoupon."""

    code: str = strawberry.field(description="The code as it is kept.")
    name: str = strawberry.field(description="What its promotion is called.")
    description: str = strawberry.field(description="What its promotion is about.")
    gives: Money | None = strawberry.field(
        description="What it would give for this order; without an order, what it gives in any case. Null when that is "
        "nothing, or depends on an order."
    )
    amount: Money | None = strawberry.field(description="What each use gives; null for a percentage.")
    percent: Decimal | None = strawberry.field(
        description="How many percent each use gives; null for an amount."
    )
    cap: Money | None = strawberry.field(description="The most that one use of a percentage gives.")
    minimum_spend: Money | None = strawberry.field(
        description="What the products that count must cost at least."
    )
    missing: Money | None = strawberry.field(
        description="What the order lacks to that minimum; null when nothing is missing."
    )
    lines: PromotionLines = strawberry.field(description="Which lines of an order count.")
    ends_at: DateTime | None = strawberry.field(description="Until when it can be used; null for no end.")
    expires_at: DateTime | None = strawberry.field(
        description="Until when the money could be spent if it were granted now; null when it does not expire."
    )
    problem: CouponProblem | None = strawberry.field(description="Why it would give nothing.")
    message: str | None = strawberry.field(description="The same in a sentence for the customer.")


@strawberry.input(description="What a list of promotions is narrowed to; all that is given must hold.")
class PromotionFilter:
    """Conditions on promotions."""

    statuses: list[PromotionStatus] | None = strawberry.field(
        default=None, description="In one of these states."
    )
    running: bool | None = strawberry.field(
        default=None, description="With true: only those whose codes give something now."
    )
