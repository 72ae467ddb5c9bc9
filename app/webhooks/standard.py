"""The generic door: Coffer's own messages, signed by Standard Webhooks, for every store that can make a request.

docs/doors.md describes them for people, docs/doors.schema.json for programs. Unlike the doors of particular stores
this one takes nothing that it doesn't know: a misspelled field is a mistake of whoever writes the sender, and should
be found on the first day.
"""

import hmac
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import TypeVar

from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from app.domain.customer import CustomerDetails
from app.domain.errors import DomainError
from app.domain.event import EventTold
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
    check_source,
)
from app.domain.top_up import TopUpTold
from app.webhooks.document import Node, parse
from app.webhooks.errors import NotAuthentic, Untranslatable
from app.webhooks.events import (
    CouponSeen,
    CustomerSeen,
    Event,
    EventRecorded,
    Ignored,
    OrderDeleted,
    OrderSeen,
    ProductSeen,
    RefundSeen,
    RenewalAnnounced,
    TopUpRecorded,
)
from app.webhooks.signatures import Headers, known_secrets, single_header
from app.webhooks.snapshots import checked, modified_at

T = TypeVar("T")

SOURCE = "store"
ID_HEADER = "webhook-id"
TIME_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
TOLERANCE = timedelta(minutes=5)
"""How old, or how far ahead, a signed message may be: the time that the libraries of the standard use."""

_SECRET_PREFIX = "whsec_"  # noqa: S105 - how the standard marks secrets, and none itself
_ID_CHARACTERS_MAX = 256
_SIGNATURES_MAX = 20
_TIME_DIGITS_MAX = 12


def verify(headers: Headers, body: bytes, secrets: Iterable[str], now: datetime) -> None:
    """Check the three headers of Standard Webhooks, or raise `NotAuthentic`.

    The official library makes the signature. Comparing is done here, because its own check reads the machine's
    clock and raises other errors for headers that it doesn't expect.
    """
    sent = list(headers)
    message_id = single_header(sent, ID_HEADER)
    if not message_id or len(message_id) > _ID_CHARACTERS_MAX:
        raise NotAuthentic(f"The header {ID_HEADER} is empty or too long.")
    signed_at = _signed_at(single_header(sent, TIME_HEADER), now)
    given = _signatures(single_header(sent, SIGNATURE_HEADER))
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise NotAuthentic("The body is not UTF-8.") from None
    matches = [
        hmac.compare_digest(_signature(secret, message_id, signed_at, text), signature)
        for secret in known_secrets(list(secrets))
        for signature in given
    ]
    if not any(matches):
        raise NotAuthentic(
            f"No signature in {SIGNATURE_HEADER} belongs to this message and any known secret."
        )


def _signed_at(text: str, now: datetime) -> datetime:
    # Whole seconds in plain digits, so that what is compared is what was signed.
    if not (text.isascii() and text.isdigit() and len(text) <= _TIME_DIGITS_MAX):
        raise NotAuthentic(f"The header {TIME_HEADER} holds no seconds since 1970.")
    try:
        signed_at = datetime.fromtimestamp(int(text), tz=UTC)
    except (ValueError, OverflowError, OSError):
        raise NotAuthentic(f"The header {TIME_HEADER} holds no time.") from None
    if abs(now - signed_at) > TOLERANCE:
        raise NotAuthentic(f"The message was signed {signed_at.isoformat()}, too long before or after now.")
    return signed_at


def _signatures(text: str) -> list[bytes]:
    """Return the signatures of version 1, as bytes; what can't be one is left out."""
    found = []
    for part in text.split(" ")[:_SIGNATURES_MAX]:
        version, _, signature = part.partition(",")
        if version == "v1":
            found.append(signature.encode("utf-8", "replace"))
    return found


def _signature(secret: str, message_id: str, signed_at: datetime, body: str) -> bytes:
    try:
        signed = Webhook(secret).sign(message_id, signed_at, body)
    except (ValueError, EmptyWebhookSecretError):
        raise NotAuthentic("A secret of this door is not base64, so nothing can be checked.") from None
    return signed.partition(",")[2].encode()


def translate(topic: str, body: bytes, *, received_at: datetime, source: str = SOURCE) -> list[Event]:
    """Translate one message. What it is about stands in its `type`; `topic` is there for the doors' common form.

    `source` names orders of messages that name none themselves.
    """
    message = parse(body)
    kind = message["type"].text()
    if kind not in _READERS:
        message["type"].refuse(f"{kind[:64]!r} is no type of message. Use one of: {', '.join(_READERS)}.")
    data = message["data"]
    data.fields()
    return [_READERS[kind](data, _When(received_at, message["timestamp"]), source)]


class _When:
    """When we heard of it, and when the sender says that it happened."""

    def __init__(self, received_at: datetime, timestamp: Node) -> None:
        self.received_at = received_at
        self.happened_at = modified_at(timestamp, received_at)


def _order_recorded(data: Node, when: _When, source: str) -> Event:
    _only(
        data,
        *(
            "source",
            "externalId",
            "modifiedAt",
            "status",
            "storeStatus",
            "currency",
            "total",
            "number",
            "tax",
        ),
        *("shipping", "discount", "paidOtherwise", "paymentMethod", "customer", "guestEmail", "lines"),
        *("coupons", "refunds", "subscription", "placedAt", "topUp"),
    )
    currency = data["currency"].currency()
    status = _status(data["status"])
    data["modifiedAt"].required()
    snapshot = OrderSnapshot(
        source=_source(data, source),
        external_id=data["externalId"].id(),
        modified_at=modified_at(data["modifiedAt"], when.received_at),
        status=status,
        store_status=data["storeStatus"].text() or status.lower(),
        currency=currency.code,
        total_minor=_amount(data["total"].required(), currency),
        number=data["number"].text(),
        tax_minor=_amount(data["tax"], currency),
        shipping_minor=_amount(data["shipping"], currency),
        discount_minor=_amount(data["discount"], currency),
        paid_otherwise_minor=None
        if data["paidOtherwise"].is_absent
        else _amount(data["paidOtherwise"], currency),
        payment_method=data["paymentMethod"].maybe_text(),
        customer=None if data["customer"].is_absent else _customer(data["customer"]),
        guest_email=data["guestEmail"].maybe_text(),
        lines=tuple(_line(line, currency) for line in data["lines"].items()),
        coupons=tuple(_coupon(coupon, currency) for coupon in data["coupons"].items()),
        refunds=tuple(_refund(refund, currency) for refund in data["refunds"].items()),
        subscription=None if data["subscription"].is_absent else _subscription(data["subscription"]),
        placed_at=data["placedAt"].maybe_time(),
        top_up=data["topUp"].maybe_text(),
    )
    return OrderSeen(checked(snapshot, data))


def _order_deleted(data: Node, when: _When, source: str) -> Event:
    _only(data, "source", "externalId", "deletedAt")
    at = modified_at(data["deletedAt"], when.received_at) if data["deletedAt"].value else when.happened_at
    return OrderDeleted(_source(data, source), data["externalId"].id(), at)


def _refund_recorded(data: Node, when: _When, source: str) -> Event:
    _only(data, "source", "orderExternalId", "currency", "refund")
    currency = data["currency"].currency()
    refund = _refund(data["refund"], currency)
    return RefundSeen(_source(data, source), data["orderExternalId"].id(), currency.code, refund)


def _customer_recorded(data: Node, when: _When, source: str) -> Event:
    details = CustomerDetails(
        birthday=data["birthday"].maybe_date(),
        roles=_maybe_texts(data["roles"]),
        segments=_maybe_texts(data["segments"]),
        signed_up_at=data["signedUpAt"].maybe_time(),
    )
    customer = _customer(data, "source", "birthday", "roles", "segments", "signedUpAt")
    return CustomerSeen(_source(data, source), customer, details)


def _customer_deleted(data: Node, when: _When, source: str) -> Event:
    return Ignored(f"The customer {data['id'].id()} was deleted in the store; a wallet and its history stay.")


def _product(data: Node, when: _When, source: str, *, deleted: bool) -> Event:
    _only(data, "source", "id", "name", "sku", "categories", "modifiedAt")
    return ProductSeen(
        source=_source(data, source),
        product_id=data["id"].id(),
        name=data["name"].text(),
        sku=data["sku"].maybe_text(),
        categories=_texts(data["categories"]),
        deleted=deleted,
        modified_at=_changed_at(data, when),
    )


def _coupon_of_store(data: Node, when: _When, source: str, *, deleted: bool) -> Event:
    _only(
        data,
        *("source", "id", "code", "kind", "amount", "expiresAt", "usageCount", "usageLimit"),
        *("emails", "modifiedAt"),
    )
    return CouponSeen(
        source=_source(data, source),
        coupon_id=data["id"].id(),
        code=data["code"].text(),
        deleted=deleted,
        modified_at=_changed_at(data, when),
        kind=data["kind"].maybe_text(),
        amount=None if data["amount"].is_absent else _written(data["amount"]).number(),
        expires_at=data["expiresAt"].maybe_time(),
        usage_count=None if data["usageCount"].is_absent else int(data["usageCount"].quantity()),
        usage_limit=None if data["usageLimit"].is_absent else int(data["usageLimit"].quantity()),
        emails=_texts(data["emails"]),
    )


def _renewal_announced(data: Node, when: _When, source: str) -> Event:
    _only(data, "source", "customerId", "subscription", "amount", "currency", "dueAt")
    currency = data["currency"].currency()
    return RenewalAnnounced(
        source=_source(data, source),
        customer_external_id=data["customerId"].id(),
        subscription=data["subscription"].id(),
        amount_minor=_amount(data["amount"].required(), currency),
        currency=currency.code,
        due_at=data["dueAt"].time(),
        announced_at=when.happened_at,
    )


def _event_recorded(data: Node, when: _When, source: str) -> Event:
    _only(data, "source", "customerId", "event", "eventId", "occurredAt")
    occurred_at = data["occurredAt"].maybe_time() or when.happened_at
    told = EventTold(data["event"].required().text(), data["eventId"].id(), occurred_at)
    return EventRecorded(_source(data, source), data["customerId"].id(), _told(told.checked, data))


def _top_up_recorded(data: Node, when: _When, source: str) -> Event:
    _only(
        data,
        *("source", "externalId", "customerId", "currency", "paid", "faceValue", "paymentMethod"),
        *("paidAt", "modifiedAt", "intent"),
    )
    currency, face = data["currency"].currency(), data["faceValue"]
    told = TopUpTold(
        source=_source(data, source),
        external_id=data["externalId"].id(),
        paid_minor=_amount(data["paid"].required(), currency),
        currency=currency.code,
        face_value_minor=None if face.is_absent else _amount(face, currency),
        payment_method=data["paymentMethod"].maybe_text(),
        paid_at=data["paidAt"].maybe_time(),
        modified_at=_changed_at(data, when),
    )
    return TopUpRecorded(data["customerId"].id(), _told(told.checked, data), data["intent"].maybe_text())


def _told(checked: Callable[[], T], data: Node) -> T:
    """Return what was told as it is kept, or raise `Untranslatable`."""
    try:
        return checked()
    except DomainError as error:
        path = ".".join(part for part in (data.path, *error.field) if part)
        raise Untranslatable(error.message, path=path) from None


_READERS: Mapping[str, Callable[[Node, _When, str], Event]] = MappingProxyType(
    {
        "order.recorded": _order_recorded,
        "order.deleted": _order_deleted,
        "refund.recorded": _refund_recorded,
        "customer.recorded": _customer_recorded,
        "customer.deleted": _customer_deleted,
        "product.recorded": lambda data, when, source: _product(data, when, source, deleted=False),
        "product.deleted": lambda data, when, source: _product(data, when, source, deleted=True),
        "coupon.recorded": lambda data, when, source: _coupon_of_store(data, when, source, deleted=False),
        "coupon.deleted": lambda data, when, source: _coupon_of_store(data, when, source, deleted=True),
        "renewal.announced": _renewal_announced,
        "event.recorded": _event_recorded,
        "top_up.recorded": _top_up_recorded,
    }
)


def _line(line: Node, currency: Currency) -> OrderLine:
    _only(
        line,
        *("id", "name", "productId", "variationId", "sku", "categories", "quantity", "subtotal"),
        *("total", "tax", "onSale"),
    )
    total_minor = _amount(line["total"], currency)
    return OrderLine(
        id=line["id"].id(),
        name=line["name"].text(),
        product_id=line["productId"].maybe_id(),
        variation_id=line["variationId"].maybe_id(),
        sku=line["sku"].maybe_text(),
        categories=_texts(line["categories"]),
        quantity=_quantity(line["quantity"], absent=1),
        # Without discounts there is no need to say it twice.
        subtotal_minor=total_minor if line["subtotal"].is_absent else _amount(line["subtotal"], currency),
        total_minor=total_minor,
        tax_minor=_amount(line["tax"], currency),
        on_sale=line["onSale"].flag(),
    )


def _coupon(coupon: Node, currency: Currency) -> Coupon:
    _only(coupon, "code", "discount")
    coupon["code"].required()
    return Coupon(coupon["code"].text(), _amount(coupon["discount"], currency))


def _refund(refund: Node, currency: Currency) -> StoreRefund:
    _only(refund, "id", "amount", "tax", "shipping", "lines", "reason", "reference", "createdAt")
    return StoreRefund(
        id=refund["id"].id(),
        amount_minor=_amount(refund["amount"].required(), currency),
        tax_minor=_amount(refund["tax"], currency),
        shipping_minor=_amount(refund["shipping"], currency),
        lines=tuple(_refunded_line(line, currency) for line in refund["lines"].items()),
        reason=refund["reason"].text(),
        reference=refund["reference"].maybe_text(),
        created_at=refund["createdAt"].maybe_time(),
    )


def _refunded_line(line: Node, currency: Currency) -> RefundedLine:
    _only(line, "lineId", "quantity", "amount", "tax")
    return RefundedLine(
        line["lineId"].id(),
        quantity=_quantity(line["quantity"], absent=0),
        amount_minor=_amount(line["amount"], currency),
        tax_minor=_amount(line["tax"], currency),
    )


def _customer(customer: Node, *more: str) -> StoreCustomer:
    _only(customer, "id", "name", "email", *more)
    return StoreCustomer(
        customer["id"].id(), name=customer["name"].maybe_text(), email=customer["email"].maybe_text()
    )


def _subscription(subscription: Node) -> Subscription:
    _only(subscription, "reference", "renewal")
    return Subscription(subscription["reference"].id(), renewal=subscription["renewal"].flag())


def _status(status: Node) -> OrderStatus:
    name = status.required().text()
    if name not in OrderStatus.__members__:
        status.refuse(f"{name[:32]!r} is no status. Use one of: {', '.join(OrderStatus)}.")
    return OrderStatus(name)


def _source(data: Node, source: str) -> str:
    if data["source"].is_absent:
        return source
    try:
        return check_source(data["source"].text())
    except DomainError as error:
        raise Untranslatable(error.message, path=data["source"].path) from None


def _changed_at(data: Node, when: _When) -> datetime:
    if data["modifiedAt"].is_absent:
        return when.happened_at
    return modified_at(data["modifiedAt"], when.received_at)


def _texts(texts: Node) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for item in texts.items() if (text := item.text())))


def _maybe_texts(texts: Node) -> tuple[str, ...] | None:
    return None if texts.value is None else _texts(texts)


def _amount(amount: Node, currency: Currency) -> int:
    return _written(amount).amount_minor(currency)


def _written(amount: Node) -> Node:
    """Insist on amounts as text: numbers of JavaScript have lost cents before they are sent."""
    if amount.value is not None and not isinstance(amount.value, str):
        amount.refuse('should be written as a text, such as "12.50".')
    return amount


def _quantity(quantity: Node, *, absent: int) -> Decimal:
    return Decimal(absent) if quantity.is_absent else quantity.quantity()


def _only(node: Node, *names: str) -> None:
    unknown = sorted(node.fields() - set(names))
    if unknown:
        node.refuse(f"has the field {unknown[0][:64]!r}, which is not known. Known are: {', '.join(names)}.")
