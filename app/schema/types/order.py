"""Orders of the store, and what they did to wallets."""

from functools import cached_property
from typing import TYPE_CHECKING, Annotated

import strawberry

from app.context import AppInfo
from app.domain.cashback.award import AwardSource
from app.domain.order import Coupon, OrderLine as Line, OrderSnapshot
from app.domain.page import PageRequest
from app.domain.standing import Standing
from app.loaders import Division
from app.models.order import Order as OrderModel
from app.models.payment import Payment as PaymentModel
from app.schema.types.cashback_award import CashbackAward, CashbackEvaluation
from app.schema.types.connection import After, Before, Connection, First, Last, connection
from app.schema.types.customer import Customer
from app.schema.types.enums import (
    Capability,
    OrderPaymentState,
    OrderProblem,
    OrderRefundState,
    OrderStatus,
)
from app.schema.types.money import Money, money
from app.schema.types.node import ID_DESCRIPTION, Node, encode_id
from app.schema.types.ownership import seen_wallet, sees
from app.schema.types.payment import Payment, held_minor
from app.schema.types.promotion import CouponRedemption
from app.schema.types.refund import Refund
from app.schema.types.refusal import telling
from app.schema.types.scalars import DateTime, Decimal, plain_decimal
from app.schema.types.time import TimeRange
from app.schema.types.transaction import Transaction

if TYPE_CHECKING:
    from app.schema.types.wallet import Wallet


@strawberry.type(description="One line of an order.")
class OrderLine:
    """A line."""

    line_id: str = strawberry.field(description="The store's own id of the line; refunds name lines by it.")
    name: str = strawberry.field(description="What was bought.")
    sku: str | None = strawberry.field(description="The store's stock number.")
    product_id: str | None = strawberry.field(description="The store's own id of the product.")
    variation_id: str | None = strawberry.field(description="The store's own id of the variation.")
    categories: list[str] = strawberry.field(description="The product's categories.")
    quantity: Decimal = strawberry.field(description="How many; also fractions, such as 1.5 metres.")
    subtotal: Money = strawberry.field(description="What it costs before discounts, without tax.")
    total: Money = strawberry.field(description="What it costs after discounts, without tax.")
    tax: Money = strawberry.field(description="The tax of it.")
    on_sale: bool = strawberry.field(
        description="Whether it was sold at a lowered price, as far as the store tells."
    )


@strawberry.type(description="A coupon that was used on an order.")
class OrderCoupon:
    """A coupon."""

    code: str = strawberry.field(description="What the customer typed.")
    discount: Money = strawberry.field(description="What it took off.")


@strawberry.type(description="The subscription that an order belongs to.")
class OrderSubscription:
    """A subscription."""

    reference: str = strawberry.field(description="The store's own id of the subscription.")
    is_renewal: bool = strawberry.field(description="Whether the order renews it; false when it began it.")


@strawberry.type(
    description="An order of the store: what the store said last of it, and what it did to a wallet. What the store "
    "has not told yet (a checkout may pay before that) is null or empty."
)
class Order(Node):
    """An order."""

    model: strawberry.Private[OrderModel]

    @cached_property
    def _told(self) -> OrderSnapshot | None:
        return None if self.model.snapshot is None else OrderSnapshot.from_data(self.model.snapshot)

    @cached_property
    def _basis(self) -> OrderSnapshot | None:
        return self._told if self.model.basis is None else OrderSnapshot.from_data(self.model.basis)

    def _money(self, amount_minor: int | None) -> Money | None:
        return None if self._told is None else money(amount_minor or 0, self._told.currency)

    def _wallet_money(self, info: AppInfo, amount_minor: int) -> Money:
        # Also where the order itself is in another currency, its wallet is in the store's.
        return money(amount_minor, info.context.runtime.settings.currency)

    async def _payments(self, info: AppInfo) -> list[PaymentModel]:
        """Return what its wallet gives: a stranger may hold something for an order that the store has not told of."""
        rows = await info.context.loaders.payments_of_order.load(self.model.id)
        return [row for row in rows if row.wallet_id == self.model.wallet_id]

    async def _standing(self, info: AppInfo) -> Standing:
        loaders, basis = info.context.loaders, self._basis
        payments = await self._payments(info)
        refunds = await loaders.refunds_of_order.load(self.model.id)
        standing = [refund for refund in refunds if refund.withdrawn_at is None]
        return Standing(
            status=basis.status if basis else OrderStatus.PENDING,
            total_minor=basis.total_minor if basis else None,
            otherwise_minor=(basis.paid_otherwise_minor or 0) if basis else 0,
            held_minor=sum(held_minor(payment) for payment in payments),
            captured_minor=sum(payment.captured_minor for payment in payments),
            returned_minor=sum(payment.returned_minor for payment in payments),
            refunded_minor=sum(r.wallet_minor + r.credited_minor + r.elsewhere_minor for r in standing),
            to_wallet_minor=sum(refund.wallet_minor for refund in standing),
        )

    # --- what the store says ---

    @strawberry.field(description=ID_DESCRIPTION)
    def id(self) -> strawberry.ID:
        """Return the global id."""
        return encode_id("Order", self.model.id)

    @strawberry.field(
        description="The store's software or channel that the order is of, such as woocommerce."
    )
    def source(self) -> str:
        """Return the source."""
        return self.model.source

    @strawberry.field(description="The store's own id of the order, unique within its source.")
    def external_id(self) -> str:
        """Return the store's id."""
        return self.model.external_id

    @strawberry.field(description="What people call the order; the store's own id where it has no other.")
    def number(self) -> str:
        """Return the number."""
        return self.model.number or self.model.external_id

    @strawberry.field(description="How it stands.")
    def status(self) -> OrderStatus:
        """Return the status."""
        return OrderStatus(self.model.status)

    @strawberry.field(description="The store's own word for how it stands.")
    def store_status(self) -> str | None:
        """Return the store's status."""
        return self._told.store_status if self._told else None

    @strawberry.field(description="Whether the store put it into the bin.")
    def is_deleted(self) -> bool:
        """Tell whether it is deleted."""
        deleted_at = self.model.deleted_at
        return deleted_at is not None and (self._told is None or self._told.modified_at <= deleted_at)

    @strawberry.field(
        description="Whose order it is; null for a guest's, and for those who may not see the customer."
    )
    async def customer(self, info: AppInfo) -> Customer | None:
        """Load the customer."""
        named = self._told.customer.external_id if self._told and self._told.customer else None
        external_id, principal = named or self.model.claimed_by, info.context.principal
        if external_id is None or not (
            principal.may(Capability.CUSTOMERS_READ) or principal.owns(external_id)
        ):
            return None
        row = await info.context.loaders.customers_by_store_id.load(external_id)
        return None if row is None else Customer(model=row)

    @strawberry.field(
        description="The e-mail address of a guest. Null for a customer's order, and without CUSTOMERS_READ."
    )
    def guest_email(self, info: AppInfo) -> str | None:
        """Return the address."""
        if self._told is None or not info.context.principal.may(Capability.CUSTOMERS_READ):
            return None
        return self._told.guest_email

    @strawberry.field(description="What the order costs, tax and shipping included, refunds not taken off.")
    def total(self) -> Money | None:
        """Return the amount."""
        return self._money(self._told.total_minor if self._told else None)

    @strawberry.field(description="The tax in the total.")
    def tax(self) -> Money | None:
        """Return the amount."""
        return self._money(self._told.tax_minor if self._told else None)

    @strawberry.field(description="The shipping in the total, with its tax.")
    def shipping(self) -> Money | None:
        """Return the amount."""
        return self._money(self._told.shipping_minor if self._told else None)

    @strawberry.field(description="What discounts took off.")
    def discount(self) -> Money | None:
        """Return the amount."""
        return self._money(self._told.discount_minor if self._told else None)

    @strawberry.field(description="What other payment methods gave; null where the store does not say.")
    def paid_otherwise(self) -> Money | None:
        """Return the amount."""
        told = self._told
        return (
            None
            if told is None or told.paid_otherwise_minor is None
            else self._money(told.paid_otherwise_minor)
        )

    @strawberry.field(description="The store's own word for the payment method.")
    def payment_method(self) -> str | None:
        """Return the payment method."""
        return self._told.payment_method if self._told else None

    @strawberry.field(description="What was bought.")
    def lines(self) -> list[OrderLine]:
        """Return the lines."""
        told = self._told
        return [] if told is None else [_line(line, told.currency) for line in told.lines]

    @strawberry.field(description="The coupons that were used.")
    def coupons(self) -> list[OrderCoupon]:
        """Return the coupons."""
        told = self._told
        return [] if told is None else [_coupon(coupon, told.currency) for coupon in told.coupons]

    @strawberry.field(description="The subscription that it began or renews, if any.")
    def subscription(self) -> OrderSubscription | None:
        """Return the subscription."""
        found = self._told.subscription if self._told else None
        if found is None:
            return None
        return OrderSubscription(reference=found.reference, is_renewal=found.renewal)

    @strawberry.field(description="When it was placed, as the store says.")
    def placed_at(self) -> DateTime | None:
        """Return the time."""
        return DateTime(self._told.placed_at) if self._told and self._told.placed_at else None

    @strawberry.field(
        description="When the store changed it last: what is told of an earlier time counts no more."
    )
    def modified_at(self) -> DateTime | None:
        """Return the time."""
        return DateTime(self._told.modified_at) if self._told else None

    @strawberry.field(description="When Coffer learnt of it.")
    def created_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.created_at)

    @strawberry.field(description="When anything of it last changed here.")
    def updated_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.updated_at)

    # --- what it did to the wallet ---

    @strawberry.field(
        description="The wallet that paid it, or would be paid back; null for a guest's, and for those who may not see it."
    )
    async def wallet(
        self, info: AppInfo
    ) -> Annotated["Wallet", strawberry.lazy("app.schema.types.wallet")] | None:
        """Load the wallet."""
        from app.schema.types.wallet import Wallet  # noqa: PLC0415 — wallets and orders name each other

        row = await seen_wallet(info, self.model.wallet_id)
        return None if row is None else Wallet(model=row)

    @strawberry.field(description="What keeps the ledger from following it; null when all is well.")
    def problem(self) -> OrderProblem | None:
        """Return the problem."""
        return OrderProblem(self.model.problem) if self.model.problem else None

    @strawberry.field(
        description="What the wallet should have given and did not have; zero when all is well."
    )
    def shortfall(self, info: AppInfo) -> Money:
        """Return the amount."""
        return self._wallet_money(info, self.model.shortfall_minor)

    @strawberry.field(description="What the wallet did for it, and whether anything is left to pay.")
    async def payment_state(self, info: AppInfo) -> OrderPaymentState:
        """Work the state out."""
        return (await self._standing(info)).payment_state

    @strawberry.field(description="How much of it was refunded.")
    async def refund_state(self, info: AppInfo) -> OrderRefundState:
        """Work the state out."""
        return (await self._standing(info)).refund_state

    @strawberry.field(
        description="What is left to pay beside what the wallet gave or holds, for other payment methods at the checkout. "
        "Null while the store has not told what the order costs."
    )
    async def left_to_pay(self, info: AppInfo) -> Money | None:
        """Work the amount out."""
        left_minor = (await self._standing(info)).left_minor
        return None if left_minor is None else self._money(left_minor)

    @strawberry.field(description="What the wallet holds for it now.")
    async def wallet_authorized(self, info: AppInfo) -> Money:
        """Add up what is held."""
        return self._wallet_money(info, (await self._standing(info)).held_minor)

    @strawberry.field(description="What was taken from the wallet for it, in all.")
    async def wallet_paid(self, info: AppInfo) -> Money:
        """Add up what was captured."""
        return self._wallet_money(info, (await self._standing(info)).captured_minor)

    @strawberry.field(
        description="What of that was given back to the very value that it came from, by refunds or otherwise."
    )
    async def wallet_returned(self, info: AppInfo) -> Money:
        """Add up what was given back."""
        return self._wallet_money(info, (await self._standing(info)).returned_minor)

    async def _division(self, info: AppInfo) -> Division:
        holds = [row.hold_id for row in await self._payments(info)]
        found = await info.context.loaders.divisions.load_many(holds)
        return Division(sum(one.discount_minor for one in found), sum(one.tender_minor for one in found))

    @strawberry.field(
        description="What of the order promotional money of the wallet pays: held, or captured and not given back. The "
        "store books it as a discount."
    )
    async def wallet_discount(self, info: AppInfo) -> Money:
        """Add up the payments' discounts."""
        return self._wallet_money(info, (await self._division(info)).discount_minor)

    @strawberry.field(
        description="What of the order all other money of the wallet pays: held, or captured and not given back. The "
        "store books it as a means of payment."
    )
    async def wallet_tender(self, info: AppInfo) -> Money:
        """Add up the payments' tenders."""
        return self._wallet_money(info, (await self._division(info)).tender_minor)

    @strawberry.field(
        description="What its coupons did that are coupon codes of promotions, oldest first; those that gave nothing say why."
    )
    async def coupon_redemptions(self, info: AppInfo) -> list[CouponRedemption]:
        """Load what became of the coupons, of this order's own wallet."""
        rows = await info.context.loaders.coupons_of_order.load(self.model.id)
        return [CouponRedemption(model=row) for row in rows if row.wallet_id == self.model.wallet_id]

    @strawberry.field(description="What refunds credited to the wallet beyond what the wallet had paid.")
    def wallet_credited(self, info: AppInfo) -> Money:
        """Return the amount."""
        return self._wallet_money(info, self.model.credited_minor)

    @strawberry.field(description="What was refunded in all, to the wallet and otherwise.")
    async def refunded(self, info: AppInfo) -> Money:
        """Add up the refunds."""
        return self._wallet_money(info, (await self._standing(info)).refunded_minor)

    @strawberry.field(description="What the wallet gave towards it, oldest first.")
    async def payments(self, info: AppInfo) -> list[Payment]:
        """Load the payments."""
        return [Payment(model=row) for row in await self._payments(info)]

    @strawberry.field(description="What of it was refunded, oldest first; also what the store took back.")
    async def refunds(self, info: AppInfo) -> list[Refund]:
        """Load the refunds."""
        return [Refund(model=row) for row in await info.context.loaders.refunds_of_order.load(self.model.id)]

    @strawberry.field(
        description="The cashback that it earned, oldest first; null for those who may not see it."
    )
    async def cashback_awards(self, info: AppInfo) -> list[CashbackAward] | None:
        """Load the awards."""
        if not await sees(info, Capability.CASHBACK_READ, self.model.wallet_id):
            return None
        rows = await info.context.loaders.awards_of_order.load(self.model.id)
        return [CashbackAward(model=row) for row in rows if row.source == AwardSource.CASHBACK]

    @strawberry.field(
        description="What the cashback rules came to for it, and why; empty as long as it was not looked at. "
        "Null for those who may not see it."
    )
    async def cashback_evaluations(self, info: AppInfo) -> list[CashbackEvaluation] | None:
        """Load what was looked at."""
        if not await sees(info, Capability.CASHBACK_READ, self.model.wallet_id):
            return None
        rows = await info.context.loaders.evaluations_of_order.load(self.model.id)
        return [CashbackEvaluation(model=row) for row in rows]

    @strawberry.field(
        description="Everything that it did to the wallet, oldest first: with who, when and why, it settles a dispute. "
        "Null for those who may not see the wallet.",
        extensions=[telling()],
    )
    async def transactions(
        self,
        info: AppInfo,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Transaction] | None:
        """Load a page of what moved."""
        context, order_id = info.context, self.model.id
        if not await sees(info, Capability.WALLETS_READ, self.model.wallet_id):
            return None
        page = await context.order_histories.load((order_id, None, PageRequest(first, after, last, before)))
        return connection(
            page,
            lambda row: Transaction(model=row),
            lambda: context.order_history_counts.load((order_id, None)),
        )


def _line(line: Line, currency: str) -> OrderLine:
    return OrderLine(
        line_id=line.id,
        name=line.name,
        sku=line.sku,
        product_id=line.product_id,
        variation_id=line.variation_id,
        categories=list(line.categories),
        quantity=plain_decimal(line.quantity),
        subtotal=money(line.subtotal_minor, currency),
        total=money(line.total_minor, currency),
        tax=money(line.tax_minor, currency),
        on_sale=line.on_sale,
    )


def _coupon(coupon: Coupon, currency: str) -> OrderCoupon:
    return OrderCoupon(code=coupon.code, discount=money(coupon.discount_minor, currency))


@strawberry.input(description="Names an order as the store does.")
class StoreOrderInput:
    """Source and the store's id."""

    source: str = strawberry.field(
        description="The store's software or channel: small letters, digits, - and _, such as woocommerce."
    )
    external_id: str = strawberry.field(description="The store's own id of the order.")


@strawberry.input(one_of=True, description="Names an order by exactly one of these.")
class OrderSelector:
    """Id, or what the store calls it."""

    id: strawberry.ID | None = strawberry.field(default=strawberry.UNSET, description="Its id.")
    store_order: StoreOrderInput | None = strawberry.field(
        default=strawberry.UNSET, description="Its source and the store's own id."
    )


@strawberry.input(description="What a list of orders is narrowed to; all that is given must hold.")
class OrderFilter:
    """Conditions on orders."""

    statuses: list[OrderStatus] | None = strawberry.field(default=None, description="In one of these states.")
    problems: list[OrderProblem] | None = strawberry.field(
        default=None, description="With one of these problems."
    )
    has_problem: bool | None = strawberry.field(
        default=None, description="True: only with a problem. False: only without one."
    )
    source: str | None = strawberry.field(default=None, description="Of this software or channel.")
    subscription: str | None = strawberry.field(
        default=None, description="Of the subscription with this id of the store's."
    )
    created: TimeRange | None = strawberry.field(
        default=None, description="Of which Coffer learnt in this time."
    )
