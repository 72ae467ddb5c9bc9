"""WooCommerce: signatures, the ping, and what each message means."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, strategies as st

from app.domain.customer import CustomerDetails
from app.domain.order import OrderSnapshot, OrderStatus, StoreCustomer, Subscription, check_snapshot
from app.webhooks.document import Node
from app.webhooks.errors import NotAuthentic, Untranslatable
from app.webhooks.events import (
    CouponSeen,
    CustomerSeen,
    Event,
    Ignored,
    OrderDeleted,
    OrderSeen,
    ProductSeen,
)
from app.webhooks.snapshots import with_categories
from app.webhooks.woocommerce import is_ping, translate, verify, with_refunds
from tests.stores import (
    NOW,
    WOOCOMMERCE_SECRET,
    Json,
    body_of,
    hmac_base64,
    woocommerce_coupon,
    woocommerce_customer,
    woocommerce_headers,
    woocommerce_line,
    woocommerce_order,
    woocommerce_product,
    woocommerce_refund,
    woocommerce_refund_in_order,
)
from tests.webhooks.junk import JSON_BODIES, mutations_of


def read(topic: str, message: object, **more: Any) -> Event:
    (event,) = translate(topic, body_of(message), received_at=NOW, **more)
    return event


def snapshot_of(message: object, topic: str = "order.updated", **more: Any) -> OrderSnapshot:
    event = read(topic, message, **more)
    assert isinstance(event, OrderSeen)
    return event.snapshot


# --- signatures ---------------------------------------------------------------------------------------------

BODY = body_of(woocommerce_order())
HEADERS = woocommerce_headers(BODY, topic="order.updated")


def resigned(signature: str) -> list[tuple[str, str]]:
    return [(name, signature if name == "x-wc-webhook-signature" else value) for name, value in HEADERS]


def test_a_signed_message_is_authentic() -> None:
    verify(HEADERS, BODY, [WOOCOMMERCE_SECRET], NOW)


def test_while_secrets_change_both_count() -> None:
    verify(HEADERS, BODY, ["the next one", WOOCOMMERCE_SECRET], NOW)
    verify(HEADERS, BODY, [WOOCOMMERCE_SECRET, "the one before"], NOW)


def test_the_case_of_a_headers_name_plays_no_part() -> None:
    verify([(name.title(), value) for name, value in HEADERS], BODY, [WOOCOMMERCE_SECRET], NOW)


SIGNATURE = hmac_base64(BODY, WOOCOMMERCE_SECRET)


@pytest.mark.parametrize(
    "signature",
    [
        "",
        SIGNATURE[:-1],
        SIGNATURE[:10],
        SIGNATURE + "=",
        f" {SIGNATURE}",
        SIGNATURE.swapcase(),
        SIGNATURE.lower(),
        hmac_base64(BODY, "wrong"),
        hmac_base64(BODY, ""),
        hmac_base64(BODY + b" ", WOOCOMMERCE_SECRET),
        "é" * 44,
        "\udcff",
        "A" * 5000,
    ],
)
def test_another_signature_is_not_authentic(signature: str) -> None:
    with pytest.raises(NotAuthentic):
        verify(resigned(signature), BODY, [WOOCOMMERCE_SECRET], NOW)


def test_a_changed_body_is_not_authentic() -> None:
    with pytest.raises(NotAuthentic):
        verify(HEADERS, BODY.replace(b"59.90", b"99.90"), [WOOCOMMERCE_SECRET], NOW)


def test_a_missing_signature_is_not_authentic() -> None:
    with pytest.raises(NotAuthentic, match="missing"):
        verify(HEADERS[:-1], BODY, [WOOCOMMERCE_SECRET], NOW)


@pytest.mark.parametrize("again", [SIGNATURE, "another"])
def test_two_signatures_are_not_authentic(again: str) -> None:
    with pytest.raises(NotAuthentic, match="more than once"):
        verify([*HEADERS, ("X-WC-Webhook-Signature", again)], BODY, [WOOCOMMERCE_SECRET], NOW)


@pytest.mark.parametrize("secrets", [[], [""], ["", ""]])
def test_without_a_secret_nothing_is_authentic(secrets: list[str]) -> None:
    with pytest.raises(NotAuthentic, match="No secret"):
        verify(resigned(hmac_base64(BODY, "")), BODY, secrets, NOW)


def test_the_ping() -> None:
    form = [("content-type", "application/x-www-form-urlencoded")]
    assert is_ping(form, b"webhook_id=12")
    assert not is_ping(form, b"webhook_id=12&x=1")
    assert not is_ping(form, b"webhook_id=")
    assert not is_ping(form, b"{}")
    assert not is_ping([*form, ("X-WC-Webhook-Signature", "x")], b"webhook_id=12")


# --- orders -------------------------------------------------------------------------------------------------


def test_an_order() -> None:
    snapshot = snapshot_of(woocommerce_order())
    assert snapshot.source == "woocommerce"
    assert (snapshot.external_id, snapshot.number) == ("1042", "1042")
    assert snapshot.modified_at == datetime(2026, 11, 21, 10, 30, tzinfo=UTC)
    assert snapshot.placed_at == datetime(2026, 11, 21, 10, tzinfo=UTC)
    assert (snapshot.status, snapshot.store_status) == (OrderStatus.PAID, "processing")
    assert (snapshot.currency, snapshot.total_minor) == ("USD", 5990)
    assert (snapshot.tax_minor, snapshot.shipping_minor, snapshot.discount_minor) == (590, 490, 0)
    assert snapshot.customer == StoreCustomer("7", name="Nora Lindqvist", email=None)
    assert snapshot.guest_email is None
    assert snapshot.payment_method == "bacs"
    (line,) = snapshot.lines
    assert (line.id, line.product_id, line.variation_id, line.sku) == ("501", "71", None, "GUJI-1000")
    assert (line.quantity, line.subtotal_minor, line.total_minor) == (Decimal(1), 5000, 5000)
    assert line.categories == ()


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("pending", OrderStatus.PENDING),
        ("checkout-draft", OrderStatus.PENDING),
        ("on-hold", OrderStatus.ON_HOLD),
        ("processing", OrderStatus.PAID),
        ("wc-processing", OrderStatus.PAID),
        ("completed", OrderStatus.COMPLETED),
        ("cancelled", OrderStatus.CANCELLED),
        ("failed", OrderStatus.FAILED),
        ("refunded", OrderStatus.REFUNDED),
        ("awaiting-roast", OrderStatus.UNKNOWN),
        ("", OrderStatus.UNKNOWN),
    ],
)
def test_statuses(said: str, meant: OrderStatus) -> None:
    assert snapshot_of(woocommerce_order(status=said)).status is meant


def test_a_store_explains_its_own_statuses() -> None:
    statuses = {"wc-awaiting-roast": OrderStatus.PAID, "completed": OrderStatus.PAID}
    assert snapshot_of(woocommerce_order(status="awaiting-roast"), statuses=statuses).status == "PAID"
    assert snapshot_of(woocommerce_order(status="completed"), statuses=statuses).status == "PAID"
    assert snapshot_of(woocommerce_order(status="failed"), statuses=statuses).status == "FAILED"


def test_the_bin_is_a_deletion() -> None:
    at = datetime(2026, 11, 21, 10, 30, tzinfo=UTC)
    assert read("order.updated", woocommerce_order(status="trash")) == OrderDeleted("woocommerce", "1042", at)
    assert read("order.deleted", {"id": 1042}) == OrderDeleted("woocommerce", "1042", NOW)


def test_a_restored_order_counts_after_its_deletion() -> None:
    assert snapshot_of(woocommerce_order(), "order.restored").modified_at == NOW
    late = woocommerce_order(modified="2026-11-21T13:00:00")
    assert snapshot_of(late, "order.restored").modified_at == NOW + timedelta(hours=1)


def test_a_guests_order() -> None:
    snapshot = snapshot_of(woocommerce_order(customer_id=0))
    assert snapshot.customer is None
    assert snapshot.guest_email == "nora.lindqvist@example.com"
    assert snapshot_of(woocommerce_order(customer_id=0, billing=[])).guest_email is None


@pytest.mark.parametrize(
    ("written", "currency", "minor"),
    [
        ("19.995", "USD", 2000),
        ("19.994999", "USD", 1999),
        ("0.005", "USD", 1),
        ("19.90", "JPY", 20),
        ("1.2345", "KWD", 1235),
        ("5e2", "USD", 50000),
        ("0.00499999999999999999999999999999999", "USD", 0),
    ],
)
def test_odd_decimals_are_rounded_half_away_from_zero(written: str, currency: str, minor: int) -> None:
    order = woocommerce_order(total=written, currency=currency, lines=[])
    assert snapshot_of(order).total_minor == minor


def test_numbers_keep_all_their_digits() -> None:
    text = json.dumps(
        woocommerce_order(id=9007199254740993, lines=[woocommerce_line(quantity="Q", total="1")])
    )
    text = text.replace('"Q"', "0.30000000000000004").replace('"59.90"', "59.904999999999999999999")
    (event,) = translate("order.updated", text.encode(), received_at=NOW)
    assert isinstance(event, OrderSeen)
    assert event.snapshot.external_id == "9007199254740993"
    assert event.snapshot.lines[0].quantity == Decimal("0.30000000000000004")
    assert event.snapshot.total_minor == 5990


def test_of_duplicate_keys_the_last_counts() -> None:
    body = BODY[:-1] + b', "total": "1.00"}'
    (event,) = translate("order.updated", body, received_at=NOW)
    assert isinstance(event, OrderSeen)
    assert event.snapshot.total_minor == 100


def test_refunds_in_an_order_are_negative_and_carry_our_reference() -> None:
    refunds = [
        woocommerce_refund_in_order(1, total="-10.00", reason="Store credit RF-7K3M-92QD-XA4P"),
        woocommerce_refund_in_order(2, total="-0.50", reason="RF-short"),
    ]
    snapshot = snapshot_of(woocommerce_order(refunds=refunds))
    assert [(refund.id, refund.amount_minor) for refund in snapshot.refunds] == [("1", 1000), ("2", 50)]
    assert [refund.reference for refund in snapshot.refunds] == ["RF-7K3M-92QD-XA4P", None]
    assert snapshot.refunded_minor == 1050


def test_the_resource_of_a_refund_adds_lines_tax_and_shipping() -> None:
    order = woocommerce_order(refunds=[woocommerce_refund_in_order(1050), woocommerce_refund_in_order(3)])
    told = Node([woocommerce_refund(meta={"_coffer_refund": "RF-7K3M-92QD-XA4P"})], "refunds")
    snapshot = with_refunds(snapshot_of(order), told.items(), Node(order))
    first, second = snapshot.refunds
    assert (first.id, first.amount_minor, first.tax_minor, first.shipping_minor) == ("1050", 1000, 100, 120)
    assert first.reference == "RF-7K3M-92QD-XA4P"
    assert first.created_at == datetime(2026, 11, 21, 11, tzinfo=UTC)
    (line,) = first.lines
    assert (line.line_id, line.quantity, line.amount_minor, line.tax_minor) == ("501", Decimal(1), 800, 80)
    assert (second.id, second.lines) == ("3", ())


def test_coupons_and_discounts_have_their_tax_in_them() -> None:
    order = woocommerce_order(
        discount_total="5.00",
        discount_tax="0.50",
        coupon_lines=[{"id": 1, "code": "five", "discount": "5.00", "discount_tax": "0.50"}],
    )
    snapshot = snapshot_of(order)
    assert snapshot.discount_minor == 550
    assert [(coupon.code, coupon.discount_minor) for coupon in snapshot.coupons] == [("five", 550)]


@pytest.mark.parametrize(
    ("meta", "subscription"),
    [
        ({"_subscription_renewal": "3301"}, Subscription("3301", renewal=True)),
        ({"_subscription_renewal": 3301}, Subscription("3301", renewal=True)),
        ({"_subscription_parent": 3301}, Subscription("3301", renewal=False)),
        ({"_subscription_renewal": {"odd": 1}}, None),
        ({"_other": "3301"}, None),
    ],
)
def test_subscriptions(meta: Json, subscription: Subscription | None) -> None:
    assert snapshot_of(woocommerce_order(meta=meta)).subscription == subscription


def test_categories_are_filled_in_by_product() -> None:
    snapshot = with_categories(snapshot_of(woocommerce_order()), {"71": ["coffee"], "72": ["tea"]})
    assert snapshot.lines[0].categories == ("coffee",)
    assert with_categories(snapshot, {"71": ["tea"]}).lines[0].categories == ("coffee",)


def test_texts_are_brought_to_a_form_that_can_be_kept() -> None:
    line = woocommerce_line(name="Guji\u202e\x00\ud800 " + "x" * 500)
    name = snapshot_of(woocommerce_order(lines=[line])).lines[0].name
    assert name.startswith("Guji")
    assert len(name) <= 200
    assert not set(name) & {"\u202e", "\x00", "\ud800"}


# --- other topics -------------------------------------------------------------------------------------------


def test_a_customer() -> None:
    event = read("customer.created", woocommerce_customer())
    assert event == CustomerSeen(
        "woocommerce",
        StoreCustomer("7", name="Nora Lindqvist", email="nora.lindqvist@example.com"),
        CustomerDetails(roles=("customer",), signed_up_at=datetime(2026, 3, 2, 8, tzinfo=UTC)),
    )
    assert isinstance(read("customer.deleted", {"id": 7}), Ignored)


def test_a_product_and_its_categories() -> None:
    event = read("product.updated", woocommerce_product())
    assert isinstance(event, ProductSeen)
    assert (event.product_id, event.sku, event.deleted) == ("71", "GUJI-1000", False)
    assert event.categories == ("coffee", "single-origin")
    restored = read("product.restored", woocommerce_product())
    assert isinstance(restored, ProductSeen)
    assert restored.modified_at == NOW
    gone = read("product.deleted", {"id": 71})
    assert isinstance(gone, ProductSeen)
    assert gone.deleted


def test_a_coupon() -> None:
    event = read("coupon.updated", woocommerce_coupon())
    assert isinstance(event, CouponSeen)
    assert (event.coupon_id, event.code, event.kind, event.amount) == (
        "81",
        "black20",
        "percent",
        Decimal(20),
    )
    assert (event.usage_count, event.usage_limit, event.emails) == (4, None, ("mo@example.org",))
    gone = read("coupon.deleted", {"id": 81})
    assert isinstance(gone, CouponSeen)
    assert gone.deleted


@pytest.mark.parametrize(
    "topic", ["", "order", "order.completed", "action.woocommerce_cart", "review.created"]
)
def test_other_topics_are_ignored(topic: str) -> None:
    assert isinstance(read(topic, {"id": 1}), Ignored)


# --- what can't be understood -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"id": None}, "id"),
        ({"id": True}, "id"),
        ({"id": ""}, "id"),
        ({"total": None}, "total"),
        ({"total": "12,50"}, "total"),
        ({"total": "-1.00"}, "total"),
        ({"total": "9" * 30}, "total"),
        ({"total": True}, "total"),
        ({"total": []}, "total"),
        ({"currency": "XYZ"}, "currency"),
        ({"currency": None}, "currency"),
        ({"date_modified_gmt": "yesterday"}, "date_modified_gmt"),
        ({"date_modified_gmt": "2027-01-01T00:00:00"}, "date_modified_gmt"),
        ({"date_modified_gmt": "0001-01-01T00:00:00+14:00"}, "date_modified_gmt"),
        ({"line_items": {"a": 1}}, "line_items"),
        ({"line_items": [woocommerce_line(), 5]}, "line_items[1]"),
        ({"line_items": [woocommerce_line(quantity="two")]}, "line_items[0].quantity"),
        ({"line_items": [woocommerce_line(total="1", total_tax="x")]}, "line_items[0].total_tax"),
        ({"refunds": [{"id": 1, "total": "x"}]}, "refunds[0].total"),
        ({"refunds": [{"id": 1, "total": "-1"}] * 2}, "refunds.id"),
        ({"billing": "none"}, "billing"),
    ],
)
def test_a_refusal_names_the_path(change: Json, path: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        read("order.updated", woocommerce_order() | change)
    assert caught.value.path == path
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"5",
        b"\xff\xfe",
        b'{"id": NaN}',
        b'{"id": -Infinity}',
        b'{"id": 1e99999999999999999999}',
        b'{"id": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
    ids=range(11),
)
def test_what_is_not_an_object_of_json_is_refused(body: bytes) -> None:
    with pytest.raises(Untranslatable):
        translate("order.updated", body, received_at=NOW)


TOPICS = st.sampled_from(
    [
        f"{r}.{e}"
        for r in ("order", "customer", "product", "coupon")
        for e in ("updated", "restored", "deleted")
    ]
)


@given(topic=TOPICS, body=JSON_BODIES)
def test_no_json_crashes_the_translator(topic: str, body: bytes) -> None:
    try:
        translate(topic, body, received_at=NOW)
    except Untranslatable:
        return


@given(message=mutations_of(woocommerce_order(refunds=[woocommerce_refund_in_order()], meta={"a": "b"})))
def test_an_order_with_anything_in_it_is_translated_or_refused(message: Json) -> None:
    try:
        events = translate("order.updated", body_of(message), received_at=NOW)
    except Untranslatable:
        return
    for event in events:
        if isinstance(event, OrderSeen):
            assert check_snapshot(event.snapshot) == event.snapshot
            assert OrderSnapshot.from_data(event.snapshot.as_data()) == event.snapshot
