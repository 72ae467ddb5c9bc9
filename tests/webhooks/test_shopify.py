"""Shopify: signatures, and what each message means."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, strategies as st

from app.domain.customer import CustomerDetails
from app.domain.order import OrderSnapshot, OrderStatus, StoreCustomer, Subscription, check_snapshot
from app.webhooks.errors import NotAuthentic, Untranslatable
from app.webhooks.events import (
    CustomerSeen,
    Event,
    Ignored,
    OrderDeleted,
    OrderSeen,
    ProductSeen,
    RefundSeen,
)
from app.webhooks.shopify import is_test, translate, verify
from tests.stores import (
    NOW,
    SHOPIFY_SECRET,
    Json,
    body_of,
    hmac_base64,
    shopify_customer,
    shopify_headers,
    shopify_line,
    shopify_money,
    shopify_order,
    shopify_refund,
)
from tests.webhooks.junk import JSON_BODIES, mutations_of


def read(topic: str, message: object, **more: Any) -> Event:
    (event,) = translate(topic, body_of(message), received_at=NOW, **more)
    return event


def snapshot_of(message: object, topic: str = "orders/updated") -> OrderSnapshot:
    event = read(topic, message)
    assert isinstance(event, OrderSeen)
    return event.snapshot


# --- signatures ---------------------------------------------------------------------------------------------

BODY = body_of(shopify_order())
HEADERS = shopify_headers(BODY, topic="orders/paid")


def test_a_signed_message_is_authentic() -> None:
    verify(HEADERS, BODY, ["the next one", SHOPIFY_SECRET], NOW)


@pytest.mark.parametrize(
    "signature",
    [
        "",
        hmac_base64(BODY, SHOPIFY_SECRET)[:-2],
        hmac_base64(BODY, SHOPIFY_SECRET).upper(),
        hmac_base64(BODY, "x"),
    ],
)
def test_another_signature_is_not_authentic(signature: str) -> None:
    headers = [(name, signature if "hmac" in name else value) for name, value in HEADERS]
    with pytest.raises(NotAuthentic):
        verify(headers, BODY, [SHOPIFY_SECRET], NOW)


def test_a_missing_and_a_double_signature_are_not_authentic() -> None:
    without = [(name, value) for name, value in HEADERS if "hmac" not in name]
    for headers in (without, [*HEADERS, ("x-shopify-hmac-sha256", "x")]):
        with pytest.raises(NotAuthentic):
            verify(headers, BODY, [SHOPIFY_SECRET], NOW)


def test_made_up_messages_of_shopify_are_told_apart() -> None:
    assert is_test(shopify_headers(BODY, topic="orders/paid", test=True))
    assert not is_test(HEADERS)


# --- orders -------------------------------------------------------------------------------------------------


def test_an_order_in_the_shops_money() -> None:
    snapshot = snapshot_of(shopify_order())
    assert snapshot.source == "shopify"
    assert (snapshot.external_id, snapshot.number) == ("6820982911946154508", "#1042")
    assert snapshot.modified_at == datetime(2026, 11, 21, 10, 30, tzinfo=UTC)
    assert (snapshot.status, snapshot.store_status) == (OrderStatus.PAID, "paid")
    assert (snapshot.currency, snapshot.total_minor, snapshot.tax_minor) == ("USD", 5990, 590)
    assert (snapshot.shipping_minor, snapshot.discount_minor) == (490, 0)
    assert snapshot.customer == StoreCustomer("207119551", "Nora Lindqvist", "nora.lindqvist@example.com")
    (line,) = snapshot.lines
    assert (line.id, line.product_id, line.variation_id) == ("5401", "7101", "7201")
    assert (line.subtotal_minor, line.total_minor, line.tax_minor) == (5000, 5000, 500)


def test_a_guests_order() -> None:
    snapshot = snapshot_of(shopify_order(guest=True))
    assert snapshot.customer is None
    assert snapshot.guest_email == "nora.lindqvist@example.com"


@pytest.mark.parametrize(
    ("financial", "fulfillment", "cancelled", "meant"),
    [
        ("pending", None, None, OrderStatus.PENDING),
        ("authorized", None, None, OrderStatus.ON_HOLD),
        ("partially_paid", None, None, OrderStatus.ON_HOLD),
        ("paid", None, None, OrderStatus.PAID),
        ("paid", "partial", None, OrderStatus.PAID),
        ("paid", "fulfilled", None, OrderStatus.COMPLETED),
        ("partially_refunded", "fulfilled", None, OrderStatus.COMPLETED),
        ("partially_refunded", None, None, OrderStatus.PAID),
        ("refunded", "fulfilled", None, OrderStatus.REFUNDED),
        ("voided", None, None, OrderStatus.FAILED),
        ("expired", None, None, OrderStatus.FAILED),
        ("paid", None, "2026-11-21T05:20:00-05:00", OrderStatus.CANCELLED),
        ("refunded", "fulfilled", "2026-11-21T05:20:00-05:00", OrderStatus.CANCELLED),
        (None, None, None, OrderStatus.UNKNOWN),
        ("brand_new_status", None, None, OrderStatus.UNKNOWN),
    ],
)
def test_statuses(financial: str | None, fulfillment: str | None, cancelled: str | None, meant: str) -> None:
    order = shopify_order(financial_status=financial, fulfillment_status=fulfillment, cancelled_at=cancelled)
    assert snapshot_of(order).status == meant


def test_discounts_of_lines() -> None:
    line = shopify_line(
        price="20.00",
        quantity=3,
        discount_allocations=[{"amount": "999", "amount_set": shopify_money("6.00")}],
    )
    order = shopify_order(
        lines=[line],
        total_discounts_set=shopify_money("6.00"),
        discount_codes=[{"code": "SIX", "amount": "6.00", "type": "fixed_amount"}],
    )
    snapshot = snapshot_of(order)
    assert (snapshot.lines[0].subtotal_minor, snapshot.lines[0].total_minor) == (6000, 5400)
    assert snapshot.discount_minor == 600
    assert [(coupon.code, coupon.discount_minor) for coupon in snapshot.coupons] == [("SIX", 600)]


def test_where_taxes_are_included_lines_are_told_without() -> None:
    line = shopify_line(
        price="55.00",
        quantity=2,
        discount_allocations=[{"amount": "55.00"}],
        tax_lines=[{"price": "5.00"}],
    )
    snapshot = snapshot_of(shopify_order(lines=[line], taxes_included=True))
    (told,) = snapshot.lines
    assert (told.subtotal_minor, told.total_minor, told.tax_minor) == (10000, 5000, 500)
    assert snapshot.shipping_minor == 400, "its tax is in it already"


def test_orders_of_old_shapes_without_sets() -> None:
    order = shopify_order(lines=[shopify_line(price_set=None, tax_lines=[]) | {"price": "50.00"}])
    for name in ("total_price_set", "total_tax_set", "total_discounts_set", "total_shipping_price_set"):
        del order[name]
    snapshot = snapshot_of(order)
    assert (snapshot.total_minor, snapshot.tax_minor, snapshot.lines[0].total_minor) == (5990, 590, 5000)


def test_refunds_of_an_order() -> None:
    refund = shopify_refund(note="RF-7K3M-92QD-XA4P, arrived broken")
    (told,) = snapshot_of(shopify_order(refunds=[refund])).refunds
    assert (told.id, told.amount_minor, told.tax_minor, told.shipping_minor) == ("9301", 1550, 150, 450)
    assert (told.reference, told.created_at) == ("RF-7K3M-92QD-XA4P", datetime(2026, 11, 21, 11, tzinfo=UTC))
    (line,) = told.lines
    assert (line.line_id, line.amount_minor, line.tax_minor) == ("5401", 1000, 100)
    assert line.quantity == Decimal(1)


@pytest.mark.parametrize("status", ["pending", "failure", "error"])
def test_money_that_was_not_paid_back_is_not_counted(status: str) -> None:
    (told,) = snapshot_of(shopify_order(refunds=[shopify_refund(status=status)])).refunds
    assert told.amount_minor == 0


def test_a_refund_in_the_customers_money_is_worth_its_lines() -> None:
    (told,) = snapshot_of(shopify_order(refunds=[shopify_refund(amount="160.00", currency="SEK")])).refunds
    assert told.amount_minor == 1000 + 100 + 400 + 50


def test_subscriptions() -> None:
    marked = [{"name": "subscription_contract_id", "value": "3301"}]
    order = shopify_order(note_attributes=marked, source_name="subscription_contract")
    assert snapshot_of(order).subscription == Subscription("3301", renewal=True)
    assert snapshot_of(shopify_order(note_attributes=marked)).subscription == Subscription("3301")


# --- other topics -------------------------------------------------------------------------------------------


def test_a_refund_without_its_order() -> None:
    event = read("refunds/create", shopify_refund())
    assert isinstance(event, RefundSeen)
    assert (event.source, event.order_external_id, event.currency) == (
        "shopify",
        "6820982911946154508",
        "USD",
    )
    assert event.refund.amount_minor == 1550


def test_a_refund_that_names_no_currency() -> None:
    bare = shopify_refund(refund_line_items=[], order_adjustments=[], transactions=[])
    with pytest.raises(Untranslatable, match="currency"):
        read("refunds/create", bare)


@pytest.mark.parametrize("event", ["create", "update", "enable", "disable"])
def test_customers(event: str) -> None:
    seen = read(f"customers/{event}", shopify_customer(first_name=None))
    assert seen == CustomerSeen(
        "shopify", StoreCustomer("207119551", "Lindqvist", "nora.lindqvist@example.com")
    )


@pytest.mark.parametrize(
    ("tags", "segments"), [("", ()), ("VIP, newsletter ,,", ("VIP", "newsletter")), (None, None)]
)
def test_tags_are_segments(tags: str | None, segments: tuple[str, ...] | None) -> None:
    seen = read("customers/update", shopify_customer(tags=tags, created_at="2026-11-20T19:00:00-05:00"))
    assert isinstance(seen, CustomerSeen)
    assert seen.details == CustomerDetails(segments=segments, signed_up_at=datetime(2026, 11, 21, tzinfo=UTC))


def test_what_was_deleted() -> None:
    assert read("orders/delete", {"id": 5}) == OrderDeleted("shopify", "5", NOW)
    assert isinstance(read("customers/delete", {"id": 5}), Ignored)


def test_products() -> None:
    product = {
        "id": 7101,
        "title": "Ethiopia Guji",
        "product_type": "Coffee",
        "updated_at": "2026-11-20T05:00:00-05:00",
        "variants": [{"id": 1, "sku": "GUJI-1000"}],
    }
    seen = read("products/update", product)
    assert isinstance(seen, ProductSeen)
    assert (seen.product_id, seen.sku, seen.categories, seen.deleted) == (
        "7101",
        "GUJI-1000",
        ("Coffee",),
        False,
    )
    gone = read("products/delete", {"id": 7101})
    assert isinstance(gone, ProductSeen)
    assert gone.deleted


@pytest.mark.parametrize("topic", ["", "orders", "app/uninstalled", "carts/update"])
def test_other_topics_are_ignored(topic: str) -> None:
    assert isinstance(read(topic, {}), Ignored)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"id": None}, "id"),
        ({"total_price_set": {"shop_money": {"amount": "x"}}}, "total_price_set.shop_money.amount"),
        ({"total_price": None, "total_price_set": None}, "total_price"),
        ({"currency": "dollars"}, "currency"),
        ({"line_items": [shopify_line(quantity=[])]}, "line_items[0].quantity"),
        ({"refunds": [shopify_refund(amount="ten")]}, "refunds[0].transactions[0].amount"),
        ({"updated_at": 5}, "updated_at"),
    ],
)
def test_a_refusal_names_the_path(change: Json, path: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        read("orders/updated", shopify_order() | change)
    assert caught.value.path == path


TOPICS = st.sampled_from(
    ["orders/create", "orders/delete", "refunds/create", "customers/update", "products/update"]
)


@given(topic=TOPICS, body=JSON_BODIES)
def test_no_json_crashes_the_translator(topic: str, body: bytes) -> None:
    try:
        translate(topic, body, received_at=NOW)
    except Untranslatable:
        return


@given(message=mutations_of(shopify_order(refunds=[shopify_refund(currency="SEK")], taxes_included=True)))
def test_an_order_with_anything_in_it_is_translated_or_refused(message: Json) -> None:
    try:
        events = translate("orders/updated", body_of(message), received_at=NOW)
    except Untranslatable:
        return
    for event in events:
        if isinstance(event, OrderSeen):
            assert check_snapshot(event.snapshot) == event.snapshot
            assert OrderSnapshot.from_data(event.snapshot.as_data()) == event.snapshot


@given(message=mutations_of(shopify_refund()))
def test_a_refund_with_anything_in_it_is_translated_or_refused(message: Json) -> None:
    try:
        translate("refunds/create", body_of(message), received_at=NOW)
    except Untranslatable:
        return
