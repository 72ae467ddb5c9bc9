"""WooCommerce: what its webhooks and its REST API (wc/v3) say, in the words of `events`."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from app.domain.customer import CustomerDetails
from app.domain.money import Currency
from app.domain.order import (
    CATEGORIES_MAX,
    Coupon,
    OrderLine,
    OrderSnapshot,
    OrderStatus,
    RefundedLine,
    StoreCustomer,
    StoreRefund,
    Subscription,
)
from app.webhooks.document import Node, parse
from app.webhooks.events import (
    CouponSeen,
    CustomerSeen,
    Event,
    Ignored,
    OrderDeleted,
    OrderSeen,
    ProductSeen,
)
from app.webhooks.signatures import Headers, verify_body
from app.webhooks.snapshots import checked, modified_at, refund_reference

SOURCE = "woocommerce"
SIGNATURE_HEADER = "x-wc-webhook-signature"
TOPIC_HEADER = "x-wc-webhook-topic"

STATUSES: Mapping[str, OrderStatus] = {
    "pending": OrderStatus.PENDING,
    "checkout-draft": OrderStatus.PENDING,
    "on-hold": OrderStatus.ON_HOLD,
    "processing": OrderStatus.PAID,
    "completed": OrderStatus.COMPLETED,
    "cancelled": OrderStatus.CANCELLED,
    "failed": OrderStatus.FAILED,
    "refunded": OrderStatus.REFUNDED,
}
"""WooCommerce's own statuses; what a plugin adds is explained by the store."""

NO_STATUSES: Mapping[str, OrderStatus] = {}

_PING = re.compile(rb"webhook_id=[0-9]{1,20}")
_TRASH = "trash"
_RENEWAL = "_subscription_renewal"
_FIRST_ORDER = ("_subscription_parent", "_subscription_switch", "_subscription_resubscribe")
_REFUND_REFERENCE = "_coffer_refund"
_TOP_UP_REFERENCE = "_coffer_top_up"
_REFUNDED_LINE = "_refunded_item_id"


def verify(headers: Headers, body: bytes, secrets: Iterable[str], now: datetime) -> None:
    """Check `X-WC-Webhook-Signature`, or raise `NotAuthentic`. WooCommerce signs no time, so `now` plays no part."""
    verify_body(headers, body, list(secrets), header=SIGNATURE_HEADER)


def is_ping(headers: Headers, body: bytes) -> bool:
    """Tell whether this is the greeting that WooCommerce sends when a webhook is made.

    It is form-encoded and unsigned, says nothing but the webhook's number, and wants exactly 200.
    """
    signed = any(name.lower() == SIGNATURE_HEADER for name, _ in headers)
    return not signed and _PING.fullmatch(body.strip()) is not None


def translate(
    topic: str,
    body: bytes,
    *,
    received_at: datetime,
    source: str = SOURCE,
    statuses: Mapping[str, OrderStatus] = NO_STATUSES,
) -> list[Event]:
    """Translate one message of a webhook. `statuses` explains those that plugins or the store itself added."""
    resource, _, event = topic.strip().lower().partition(".")
    document = parse(body)
    if event == "deleted":
        return [_deleted(resource, document, received_at=received_at, source=source)]
    if event not in ("created", "updated", "restored"):
        return [_ignored(topic)]
    # Whoever restores decides: the time of its last change may lie before the deletion.
    at_least = received_at if event == "restored" else None
    match resource:
        case "order":
            seen: Event = order_seen(
                document, received_at=received_at, source=source, statuses=statuses, at_least=at_least
            )
        case "customer":
            seen = customer_seen(document, source=source)
        case "product":
            seen = product_seen(document, received_at=received_at, source=source, at_least=at_least)
        case "coupon":
            seen = coupon_seen(document, received_at=received_at, source=source, at_least=at_least)
        case _:
            seen = _ignored(topic)
    return [seen]


def _ignored(topic: str) -> Ignored:
    return Ignored(f"Nothing follows from the topic {topic[:64]!r}.")


def _deleted(resource: str, document: Node, *, received_at: datetime, source: str) -> Event:
    """A deletion names the id and nothing else, also not when."""
    id_ = document["id"].id()
    if resource == "order":
        return OrderDeleted(source, id_, received_at)
    if resource == "product":
        return ProductSeen(source, id_, "", None, (), deleted=True, modified_at=received_at)
    if resource == "coupon":
        return CouponSeen(source, id_, "", deleted=True, modified_at=received_at)
    return Ignored(f"The {resource[:32]} {id_} was deleted in the store; a wallet and its history stay.")


def order_seen(
    order: Node,
    *,
    received_at: datetime,
    source: str = SOURCE,
    statuses: Mapping[str, OrderStatus] = NO_STATUSES,
    at_least: datetime | None = None,
) -> OrderSeen | OrderDeleted:
    """Translate an order as webhooks and the REST API show it."""
    store_status = order["status"].text().removeprefix("wc-")
    modified = modified_at(order["date_modified_gmt"], received_at)
    if store_status == _TRASH:
        return OrderDeleted(source, order["id"].id(), modified)
    currency = order["currency"].currency()
    customer_id = order["customer_id"].maybe_id()
    billing = order["billing"]
    snapshot = OrderSnapshot(
        source=source,
        external_id=order["id"].id(),
        modified_at=modified if at_least is None else max(modified, at_least),
        status=_status(store_status, statuses),
        store_status=store_status,
        currency=currency.code,
        total_minor=order["total"].required().amount_minor(currency),
        number=order["number"].text(),
        tax_minor=order["total_tax"].amount_minor(currency),
        shipping_minor=_sum(order, "shipping_total", "shipping_tax", currency=currency),
        discount_minor=_sum(order, "discount_total", "discount_tax", currency=currency),
        payment_method=order["payment_method"].maybe_text(),
        # The e-mail address of a bill is what somebody typed at checkout, and not the account's.
        customer=StoreCustomer(customer_id, name=_name(billing)) if customer_id else None,
        guest_email=None if customer_id else _part(billing, "email").maybe_text(),
        lines=tuple(_line(line, currency) for line in order["line_items"].items()),
        coupons=tuple(_coupon(coupon, currency) for coupon in order["coupon_lines"].items()),
        refunds=tuple(_refund_in_order(refund, currency) for refund in order["refunds"].items()),
        subscription=_subscription(order["meta_data"]),
        placed_at=order["date_created_gmt"].maybe_time(),
        top_up=_meta(order["meta_data"], _TOP_UP_REFERENCE).maybe_text(),
    )
    return OrderSeen(checked(snapshot, order))


def with_refunds(snapshot: OrderSnapshot, refunds: Iterable[Node], order: Node) -> OrderSnapshot:
    """Return the snapshot with what `/orders/<id>/refunds` says beyond the sums: lines, tax, shipping and times."""
    currency = Node(snapshot.currency, "currency").currency()
    told = [refund_of(refund, currency) for refund in refunds]
    by_id = {refund.id: refund for refund in (*snapshot.refunds, *told)}
    return checked(replace(snapshot, refunds=tuple(by_id.values())), order)


def refund_of(refund: Node, currency: Currency) -> StoreRefund:
    """Translate a refund's own resource, where `amount` is positive and all below it is negative."""
    reason = refund["reason"].text()
    shipping = list(refund["shipping_lines"].items())
    items = list(refund["line_items"].items())
    taxed = [*items, *shipping, *refund["fee_lines"].items()]
    return StoreRefund(
        id=refund["id"].id(),
        amount_minor=_positive(refund["amount"].required(), currency),
        tax_minor=sum(_positive(line["total_tax"], currency) for line in taxed),
        shipping_minor=sum(
            _positive(line[name], currency) for line in shipping for name in ("total", "total_tax")
        ),
        lines=tuple(line for item in items if (line := _refunded_line(item, currency)) is not None),
        reason=reason,
        reference=refund_reference(_meta(refund["meta_data"], _REFUND_REFERENCE).text(), reason),
        created_at=refund["date_created_gmt"].maybe_time(),
    )


def customer_seen(customer: Node, *, source: str = SOURCE) -> CustomerSeen:
    """Translate a customer's account."""
    name = _name(customer) or _name(customer["billing"])
    role = customer["role"].maybe_text()
    details = CustomerDetails(
        roles=None if role is None else (role,), signed_up_at=customer["date_created_gmt"].maybe_time()
    )
    told = StoreCustomer(customer["id"].id(), name=name, email=customer["email"].maybe_text())
    return CustomerSeen(source, told, details)


def product_seen(
    product: Node, *, received_at: datetime, source: str = SOURCE, at_least: datetime | None = None
) -> ProductSeen:
    """Translate a product; its categories are named by their slugs, which stay when names are changed."""
    modified = modified_at(product["date_modified_gmt"], received_at)
    slugs = (_category(category) for category in product["categories"].items())
    return ProductSeen(
        source=source,
        product_id=product["id"].id(),
        name=product["name"].text(),
        sku=product["sku"].maybe_text(),
        categories=tuple(dict.fromkeys(slug for slug in slugs if slug))[:CATEGORIES_MAX],
        deleted=product["status"].text() == _TRASH,
        modified_at=modified if at_least is None else max(modified, at_least),
    )


def coupon_seen(
    coupon: Node, *, received_at: datetime, source: str = SOURCE, at_least: datetime | None = None
) -> CouponSeen:
    """Translate a coupon that the store made."""
    modified = modified_at(coupon["date_modified_gmt"], received_at)
    return CouponSeen(
        source=source,
        coupon_id=coupon["id"].id(),
        code=coupon["code"].text(),
        deleted=coupon["status"].text() == _TRASH,
        modified_at=modified if at_least is None else max(modified, at_least),
        kind=coupon["discount_type"].maybe_text(),
        amount=None if coupon["amount"].is_absent else coupon["amount"].number(),
        expires_at=coupon["date_expires_gmt"].maybe_time(),
        usage_count=_count(coupon["usage_count"]),
        usage_limit=_count(coupon["usage_limit"]),
        emails=tuple(email for item in coupon["email_restrictions"].items() if (email := item.text())),
    )


def _status(store_status: str, statuses: Mapping[str, OrderStatus]) -> OrderStatus:
    own = {name.removeprefix("wc-"): status for name, status in statuses.items()}
    return own.get(store_status) or STATUSES.get(store_status, OrderStatus.UNKNOWN)


def _line(line: Node, currency: Currency) -> OrderLine:
    return OrderLine(
        id=line["id"].id(),
        name=line["name"].text(),
        product_id=line["product_id"].maybe_id(),
        variation_id=line["variation_id"].maybe_id(),
        sku=line["sku"].maybe_text(),
        quantity=Decimal(1) if line["quantity"].is_absent else line["quantity"].quantity(),
        subtotal_minor=line["subtotal"].amount_minor(currency),
        total_minor=line["total"].amount_minor(currency),
        tax_minor=line["total_tax"].amount_minor(currency),
    )


def _coupon(coupon: Node, currency: Currency) -> Coupon:
    return Coupon(coupon["code"].text(), _sum(coupon, "discount", "discount_tax", currency=currency))


def _refund_in_order(refund: Node, currency: Currency) -> StoreRefund:
    """A refund as the order names it: its id, why, and a negative total."""
    reason = refund["reason"].text()
    return StoreRefund(
        id=refund["id"].id(),
        amount_minor=_positive(refund["total"].required(), currency),
        reason=reason,
        reference=refund_reference(reason),
    )


def _refunded_line(item: Node, currency: Currency) -> RefundedLine | None:
    line_id = _meta(item["meta_data"], _REFUNDED_LINE).maybe_id()
    if line_id is None:
        return None
    return RefundedLine(
        line_id,
        quantity=Decimal(0) if item["quantity"].is_absent else item["quantity"].quantity(),
        amount_minor=_positive(item["total"], currency),
        tax_minor=_positive(item["total_tax"], currency),
    )


def _subscription(meta_data: Node) -> Subscription | None:
    """WooCommerce Subscriptions notes on an order which subscription it renews, or came with."""
    for key in (_RENEWAL, *_FIRST_ORDER):
        reference = _meta(meta_data, key).maybe_id()
        if reference is not None:
            return Subscription(reference, renewal=key == _RENEWAL)
    return None


def _meta(meta_data: Node, key: str) -> Node:
    """Return the value that a plugin has noted under a key, if it is a plain one."""
    for entry in meta_data.items():
        if isinstance(entry.value, dict) and entry.value.get("key") == key:
            value = entry["value"]
            if isinstance(value.value, str | int) and not isinstance(value.value, bool):
                return value
    return Node(None, meta_data.path)


def _name(person: Node) -> str | None:
    names = (_part(person, "first_name").text(), _part(person, "last_name").text())
    return " ".join(name for name in names if name) or None


def _part(part: Node, name: str) -> Node:
    """Return a field of an object that may be missing as a whole, or an empty list as PHP writes it."""
    return part[name] if part.value else Node(None, part.path)


def _category(category: Node) -> str:
    return category["slug"].text() or category["name"].text()


def _count(count: Node) -> int | None:
    return None if count.is_absent else int(count.quantity())


def _positive(amount: Node, currency: Currency) -> int:
    return 0 if amount.is_absent else abs(amount.minor(currency))


def _sum(node: Node, *names: str, currency: Currency) -> int:
    return sum(node[name].amount_minor(currency) for name in names)
