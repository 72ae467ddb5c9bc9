"""What a message of any store means, in words that are the same for all of them.

A door translates one message into these; whoever handles them needs to know no store's dialect.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from app.domain.customer import CustomerDetails
from app.domain.event import EventTold
from app.domain.order import OrderSnapshot, StoreCustomer, StoreRefund
from app.domain.top_up import TopUpTold

NOTHING_MORE = CustomerDetails()
"""What is said of a customer of whom only the name is told."""


@dataclass(frozen=True, slots=True)
class OrderSeen:
    """The store told of an order as it stands now."""

    snapshot: OrderSnapshot


@dataclass(frozen=True, slots=True)
class OrderDeleted:
    """The store put an order into the bin, or deleted it for good."""

    source: str
    external_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class RefundSeen:
    """The store told of one refund without the order that it belongs to (Shopify's `refunds/create`).

    `refund.amount_minor` is in minor units of `currency`.
    """

    source: str
    order_external_id: str
    currency: str
    refund: StoreRefund


@dataclass(frozen=True, slots=True)
class CustomerSeen:
    """The store told of a customer, who gets a wallet if there is none yet; `details` is what it says beyond the name."""

    source: str
    customer: StoreCustomer
    details: CustomerDetails = NOTHING_MORE


@dataclass(frozen=True, slots=True)
class ProductSeen:
    """The store told of a product: where line items name no categories, they are looked up by these."""

    source: str
    product_id: str
    name: str
    sku: str | None
    categories: tuple[str, ...]
    deleted: bool
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class CouponSeen:
    """The store told of a coupon of its own. `code` is empty where it was deleted and only its id is known.

    `kind` is the store's word for what the coupon does, `amount` a sum of money or a percentage by that kind.
    """

    source: str
    coupon_id: str
    code: str
    deleted: bool
    modified_at: datetime
    kind: str | None = None
    amount: Decimal | None = None
    expires_at: datetime | None = None
    usage_count: int | None = None
    usage_limit: int | None = None
    emails: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RenewalAnnounced:
    """A subscription of this customer renews at `due_at`, and this much will be needed."""

    source: str
    customer_external_id: str
    subscription: str
    amount_minor: int
    currency: str
    due_at: datetime
    announced_at: datetime


@dataclass(frozen=True, slots=True)
class EventRecorded:
    """A customer did something in the store, such as a review."""

    source: str
    customer_external_id: str
    told: EventTold


@dataclass(frozen=True, slots=True)
class TopUpRecorded:
    """A customer paid money in, and this is what the store kept of it."""

    customer_external_id: str
    told: TopUpTold
    intent: str | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """The message is authentic and understood, and nothing follows from it; `why` is a sentence for staff."""

    why: str


Event = (
    OrderSeen
    | OrderDeleted
    | RefundSeen
    | CustomerSeen
    | ProductSeen
    | CouponSeen
    | RenewalAnnounced
    | EventRecorded
    | TopUpRecorded
    | Ignored
)
