"""Shopify: what its webhooks (the REST shape) say, in the words of `events`. All amounts are the shop's own money."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from app.domain.customer import CustomerDetails
from app.domain.money import Currency
from app.domain.order import (
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
from app.webhooks.errors import Untranslatable
from app.webhooks.events import (
    CustomerSeen,
    Event,
    Ignored,
    OrderDeleted,
    OrderSeen,
    ProductSeen,
    RefundSeen,
)
from app.webhooks.signatures import Headers, verify_body
from app.webhooks.snapshots import checked, modified_at, refund_reference

SOURCE = "shopify"
SIGNATURE_HEADER = "x-shopify-hmac-sha256"
TOPIC_HEADER = "x-shopify-topic"
TEST_HEADER = "x-shopify-test"

_ORDER_EVENTS = ("create", "paid", "updated", "cancelled", "fulfilled", "partially_fulfilled", "edited")
_CUSTOMER_EVENTS = ("create", "update", "enable", "disable")
FINANCIAL_STATUSES: Mapping[str, OrderStatus] = {
    "pending": OrderStatus.PENDING,
    "authorized": OrderStatus.ON_HOLD,
    "partially_paid": OrderStatus.ON_HOLD,
    "paid": OrderStatus.PAID,
    "partially_refunded": OrderStatus.PAID,
    "refunded": OrderStatus.REFUNDED,
    "voided": OrderStatus.FAILED,
    "expired": OrderStatus.FAILED,
}


def verify(headers: Headers, body: bytes, secrets: Iterable[str], now: datetime) -> None:
    """Check `X-Shopify-Hmac-Sha256`, or raise `NotAuthentic`. Shopify signs no time, so `now` plays no part."""
    verify_body(headers, body, list(secrets), header=SIGNATURE_HEADER)


def is_test(headers: Headers) -> bool:
    """Tell whether Shopify says that this is a made-up message, sent by a button of its admin pages."""
    return any(name.lower() == TEST_HEADER and value.strip().lower() == "true" for name, value in headers)


def translate(topic: str, body: bytes, *, received_at: datetime, source: str = SOURCE) -> list[Event]:
    """Translate one message of a webhook."""
    resource, _, event = topic.strip().lower().partition("/")
    document = parse(body)
    match (resource, event):
        case ("orders", "delete"):
            seen: Event = OrderDeleted(source, document["id"].id(), received_at)
        case ("orders", _) if event in _ORDER_EVENTS:
            seen = order_seen(document, received_at=received_at, source=source)
        case ("refunds", "create"):
            seen = refund_seen(document, source=source)
        case ("customers", _) if event in _CUSTOMER_EVENTS:
            seen = CustomerSeen(source, _customer(document), _details(document))
        case ("customers", "delete"):
            id_ = document["id"].id()
            seen = Ignored(f"The customer {id_} was deleted in the store; a wallet and its history stay.")
        case ("products", "create" | "update" | "delete"):
            deleted = event == "delete"
            seen = product_seen(document, received_at=received_at, source=source, deleted=deleted)
        case _:
            seen = Ignored(f"Nothing follows from the topic {topic[:64]!r}.")
    return [seen]


def order_seen(order: Node, *, received_at: datetime, source: str = SOURCE) -> OrderSeen:
    """Translate an order."""
    terms = _Terms(order["currency"].currency(), taxes_included=order["taxes_included"].flag())
    customer = None if order["customer"].is_absent else _customer(order["customer"])
    status, store_status = _status(order)
    snapshot = OrderSnapshot(
        source=source,
        external_id=order["id"].id(),
        modified_at=modified_at(order["updated_at"], received_at),
        status=status,
        store_status=store_status,
        currency=terms.currency.code,
        total_minor=_minor(_shop_money(order, "total_price").required(), terms),
        number=order["name"].text(),
        tax_minor=_minor(_shop_money(order, "total_tax"), terms),
        shipping_minor=_shipping_minor(order, terms),
        discount_minor=_minor(_shop_money(order, "total_discounts"), terms),
        payment_method=", ".join(
            name for gateway in order["payment_gateway_names"].items() if (name := gateway.text())
        )
        or None,
        customer=customer,
        guest_email=None
        if customer
        else (order["email"].maybe_text() or order["contact_email"].maybe_text()),
        lines=tuple(_line(line, terms) for line in order["line_items"].items()),
        coupons=tuple(
            Coupon(code["code"].text(), code["amount"].amount_minor(terms.currency))
            for code in order["discount_codes"].items()
        ),
        refunds=tuple(_refund(refund, terms) for refund in order["refunds"].items()),
        subscription=_subscription(order),
        placed_at=order["created_at"].maybe_time(),
    )
    return OrderSeen(checked(snapshot, order))


def refund_seen(refund: Node, *, source: str = SOURCE) -> RefundSeen:
    """Translate `refunds/create`, which names its order by the id only."""
    terms = _Terms(_refund_currency(refund), taxes_included=False)
    return RefundSeen(source, refund["order_id"].id(), terms.currency.code, _refund(refund, terms))


def product_seen(
    product: Node, *, received_at: datetime, source: str = SOURCE, deleted: bool = False
) -> ProductSeen:
    """Translate a product. Its type is its category: collections are not in the message."""
    kind = product["product_type"].maybe_text()
    skus = [sku for variant in product["variants"].items() if (sku := variant["sku"].maybe_text())]
    return ProductSeen(
        source=source,
        product_id=product["id"].id(),
        name=product["title"].text(),
        # Variants have their own, and the order's lines name those.
        sku=skus[0] if len(skus) == 1 else None,
        categories=(kind,) if kind else (),
        deleted=deleted,
        modified_at=modified_at(product["updated_at"], received_at),
    )


@dataclass(frozen=True, slots=True)
class _Terms:
    """What amounts of an order mean: the shop's currency, and whether prices have the tax in them."""

    currency: Currency
    taxes_included: bool


def _status(order: Node) -> tuple[OrderStatus, str]:
    """One status of three fields: a cancelled order is that whatever was paid, a fulfilled one was paid first."""
    financial, fulfillment = order["financial_status"].text(), order["fulfillment_status"].text()
    cancelled = not order["cancelled_at"].is_absent
    words = ["cancelled" if cancelled else "", financial, fulfillment]
    store_status = "/".join(word for word in words if word)
    if cancelled:
        return OrderStatus.CANCELLED, store_status
    status = FINANCIAL_STATUSES.get(financial, OrderStatus.UNKNOWN)
    if status is OrderStatus.PAID and fulfillment == "fulfilled":
        status = OrderStatus.COMPLETED
    return status, store_status


def _customer(customer: Node) -> StoreCustomer:
    names = (customer["first_name"].text(), customer["last_name"].text())
    return StoreCustomer(
        customer["id"].id(),
        name=" ".join(name for name in names if name) or None,
        email=customer["email"].maybe_text(),
    )


def _details(customer: Node) -> CustomerDetails:
    """What tells more than the name: tags are one text, with commas between."""
    tags = None
    if customer["tags"].value is not None:
        tags = tuple(tag for part in customer["tags"].text().split(",") if (tag := part.strip()))
    return CustomerDetails(segments=tags, signed_up_at=customer["created_at"].maybe_time())


def _line(line: Node, terms: _Terms) -> OrderLine:
    """A line without tax. Shopify writes the price of one, and where taxes are included they are in it."""
    quantity = Decimal(1) if line["quantity"].is_absent else line["quantity"].quantity()
    price = _shop_money(line, "price")
    discounts = [_shop_money(part, "amount") for part in line["discount_allocations"].items()]
    gross = Decimal(0) if price.is_absent else price.number() * quantity
    reduced = gross - sum((part.number() for part in discounts if not part.is_absent), Decimal(0))
    taxes = [_shop_money(part, "price") for part in line["tax_lines"].items()]
    tax = sum((part.number() for part in taxes if not part.is_absent), Decimal(0))
    if terms.taxes_included and reduced > 0:
        gross, reduced = gross * (reduced - tax) / reduced, reduced - tax
    return OrderLine(
        id=line["id"].id(),
        name=line["name"].text() or line["title"].text(),
        product_id=line["product_id"].maybe_id(),
        variation_id=line["variant_id"].maybe_id(),
        sku=line["sku"].maybe_text(),
        quantity=quantity,
        subtotal_minor=Node(gross, f"{line.path}.price").amount_minor(terms.currency),
        total_minor=Node(reduced, f"{line.path}.price").amount_minor(terms.currency),
        tax_minor=Node(tax, f"{line.path}.tax_lines").amount_minor(terms.currency),
    )


def _shipping_minor(order: Node, terms: _Terms) -> int:
    """Shipping with its tax, as in every snapshot."""
    shipping_minor = _minor(_shop_money(order, "total_shipping_price"), terms)
    if terms.taxes_included:
        return shipping_minor
    return shipping_minor + sum(
        _minor(_shop_money(tax, "price"), terms)
        for line in order["shipping_lines"].items()
        for tax in line["tax_lines"].items()
    )


def _refund(refund: Node, terms: _Terms) -> StoreRefund:
    """A refund: its money is what its transactions gave back, not what its lines were worth."""
    lines = [_refunded_line(line, terms) for line in refund["refund_line_items"].items()]
    shipping_minor, shipping_tax_minor = _shipping_refunded(refund, terms)
    reason = refund["note"].text()
    # Where taxes are included, an adjustment's amount has its tax in it already.
    shipping_minor += 0 if terms.taxes_included else shipping_tax_minor
    return StoreRefund(
        id=refund["id"].id(),
        amount_minor=_refunded_minor(refund, terms, lines),
        tax_minor=sum(line.tax_minor for line in lines) + shipping_tax_minor,
        shipping_minor=shipping_minor,
        lines=tuple(lines),
        reason=reason,
        reference=refund_reference(reason),
        created_at=refund["created_at"].maybe_time(),
    )


def _refunded_minor(refund: Node, terms: _Terms, lines: list[RefundedLine]) -> int:
    paid = [
        transaction
        for transaction in refund["transactions"].items()
        if transaction["kind"].text() == "refund" and transaction["status"].text() == "success"
    ]
    if all(_currency_code(transaction, terms) == terms.currency.code for transaction in paid):
        return sum(abs(transaction["amount"].required().minor(terms.currency)) for transaction in paid)
    # Paid back in the customer's currency: what it was worth in the shop's follows from the lines and adjustments.
    adjusted = sum(
        -_shop_money(adjustment, name).minor(terms.currency)
        for adjustment in refund["order_adjustments"].items()
        for name in ("amount", *(() if terms.taxes_included else ("tax_amount",)))
        if not _shop_money(adjustment, name).is_absent
    )
    worth = sum(line.amount_minor + line.tax_minor for line in lines) + adjusted
    if worth < 0:
        refund["order_adjustments"].refuse("takes more off the refund than its lines are worth.")
    return worth


def _shipping_refunded(refund: Node, terms: _Terms) -> tuple[int, int]:
    adjustments = [
        adjustment
        for adjustment in refund["order_adjustments"].items()
        if adjustment["kind"].text() == "shipping_refund"
    ]
    amounts = [
        sum(
            abs(_shop_money(adjustment, name).minor(terms.currency))
            for adjustment in adjustments
            if not _shop_money(adjustment, name).is_absent
        )
        for name in ("amount", "tax_amount")
    ]
    return amounts[0], amounts[1]


def _refunded_line(line: Node, terms: _Terms) -> RefundedLine:
    subtotal_minor = _minor(_shop_money(line, "subtotal"), terms)
    tax_minor = _minor(_shop_money(line, "total_tax"), terms)
    return RefundedLine(
        line["line_item_id"].id(),
        quantity=Decimal(0) if line["quantity"].is_absent else line["quantity"].quantity(),
        amount_minor=max(subtotal_minor - tax_minor, 0) if terms.taxes_included else subtotal_minor,
        tax_minor=tax_minor,
    )


def _refund_currency(refund: Node) -> Currency:
    """Return the shop's currency, which a refund without its order names only inside its amounts."""
    for part in (*refund["refund_line_items"].items(), *refund["order_adjustments"].items()):
        for name in ("subtotal_set", "amount_set"):
            if not part[name].is_absent and not part[name]["shop_money"].is_absent:
                return part[name]["shop_money"]["currency_code"].currency()
    for transaction in refund["transactions"].items():
        if not transaction["currency"].is_absent:
            return transaction["currency"].currency()
    raise Untranslatable("The refund names no currency.", path=refund["transactions"].path)


def _currency_code(transaction: Node, terms: _Terms) -> str:
    return transaction["currency"].text().upper() or terms.currency.code


def _subscription(order: Node) -> Subscription | None:
    """Subscription apps mark what they renew in `source_name`, and which contract it was in a note attribute."""
    renewal = order["source_name"].text() == "subscription_contract"
    for attribute in order["note_attributes"].items():
        if isinstance(attribute.value, dict) and attribute["name"].text() == "subscription_contract_id":
            reference = attribute["value"].maybe_id()
            if reference is not None:
                return Subscription(reference, renewal=renewal)
    return None


def _shop_money(node: Node, name: str) -> Node:
    """Return the amount in the shop's currency: `…_set.shop_money.amount`, or the plain field where there is no set."""
    whole = node[f"{name}_set"]
    if whole.is_absent or whole["shop_money"].is_absent:
        return node[name]
    return whole["shop_money"]["amount"]


def _minor(amount: Node, terms: _Terms) -> int:
    return amount.amount_minor(terms.currency)
