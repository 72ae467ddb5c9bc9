"""Made-up messages of stores, in the shapes that the stores document, and their signatures.

People and addresses are invented. Every builder takes what a test is about and fills in the rest.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from standardwebhooks.webhooks import Webhook

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
WOOCOMMERCE_SECRET = "made-up secret of a WooCommerce webhook"
SHOPIFY_SECRET = "made-up client secret of a Shopify app"
STANDARD_SECRET = "whsec_" + base64.b64encode(b"thirty-two made-up bytes, all of").decode()

Json = dict[str, Any]


def body_of(message: object) -> bytes:
    """Return a message as a store sends it."""
    return json.dumps(message).encode()


def hmac_base64(body: bytes, secret: str) -> str:
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


# --- WooCommerce --------------------------------------------------------------------------------------------


def woocommerce_headers(
    body: bytes, *, topic: str, secret: str = WOOCOMMERCE_SECRET, delivery: str = "b7c1f7b2"
) -> list[tuple[str, str]]:
    return [
        ("content-type", "application/json"),
        ("x-wc-webhook-source", "https://shop.example/"),
        ("x-wc-webhook-topic", topic),
        ("x-wc-webhook-id", "3"),
        ("x-wc-webhook-delivery-id", delivery),
        ("x-wc-webhook-signature", hmac_base64(body, secret)),
    ]


def woocommerce_line(id: int = 501, *, total: str = "50.00", **more: Any) -> Json:  # noqa: A002 - the store's word
    return {
        "id": id,
        "name": "Ethiopia Guji, 1 kg",
        "product_id": 71,
        "variation_id": 0,
        "quantity": 1,
        "tax_class": "",
        "subtotal": total,
        "subtotal_tax": "0.00",
        "total": total,
        "total_tax": "0.00",
        "taxes": [],
        "meta_data": [],
        "sku": "GUJI-1000",
        "price": float(total),
        "parent_name": None,
        **more,
    }


def woocommerce_order(
    *,
    id: int = 1042,  # noqa: A002 - the store's word
    status: str = "processing",
    total: str = "59.90",
    currency: str = "USD",
    customer_id: int = 7,
    modified: str = "2026-11-21T10:30:00",
    lines: Sequence[Json] | None = None,
    refunds: Sequence[Json] = (),
    meta: Mapping[str, Any] | None = None,
    **more: Any,
) -> Json:
    """Return an order; refunds are written as `woocommerce_refund_in_order` does, further fields as they come."""
    return {
        "id": id,
        "parent_id": 0,
        "number": str(id),
        "order_key": f"wc_order_{id}",
        "created_via": "checkout",
        "version": "10.3.5",
        "status": status,
        "currency": currency,
        "date_created": "2026-11-21T11:00:00",
        "date_created_gmt": "2026-11-21T10:00:00",
        "date_modified": modified,
        "date_modified_gmt": modified,
        "discount_total": "0.00",
        "discount_tax": "0.00",
        "shipping_total": "4.00",
        "shipping_tax": "0.90",
        "cart_tax": "5.00",
        "total": total,
        "total_tax": "5.90",
        "prices_include_tax": False,
        "customer_id": customer_id,
        "customer_note": "",
        "billing": {
            "first_name": "Nora",
            "last_name": "Lindqvist",
            "company": "",
            "email": "nora.lindqvist@example.com",
            "phone": "",
        },
        "shipping": {"first_name": "Nora", "last_name": "Lindqvist"},
        "payment_method": "bacs",
        "payment_method_title": "Bank transfer",
        "transaction_id": "",
        "date_paid_gmt": None,
        "date_completed_gmt": None,
        "meta_data": [
            {"id": 9000 + place, "key": key, "value": value}
            for place, (key, value) in enumerate((meta or {}).items())
        ],
        "line_items": [woocommerce_line()] if lines is None else list(lines),
        "tax_lines": [],
        "shipping_lines": [{"id": 502, "method_id": "flat_rate", "total": "4.00", "total_tax": "0.90"}],
        "fee_lines": [],
        "coupon_lines": [],
        "refunds": list(refunds),
        "currency_symbol": "$",
        **more,
    }


def woocommerce_refund_in_order(id: int = 1050, *, total: str = "-10.00", reason: str = "") -> Json:  # noqa: A002
    """Return a refund as an order names it: with a negative total."""
    return {"id": id, "reason": reason, "total": total}


def woocommerce_refund(
    id: int = 1050,  # noqa: A002 - the store's word
    *,
    amount: str = "10.00",
    reason: str = "",
    line_id: int | None = 501,
    line_total: str = "-8.00",
    line_tax: str = "-0.80",
    shipping_total: str = "-1.00",
    shipping_tax: str = "-0.20",
    meta: Mapping[str, Any] | None = None,
) -> Json:
    """Return a refund as its own resource: a positive amount, and all below it negative."""
    lines = []
    if line_id is not None:
        named = [{"id": 9100, "key": "_refunded_item_id", "value": str(line_id)}]
        lines = [
            woocommerce_line(
                601, total=line_total, total_tax=line_tax, quantity=-1, meta_data=named, price=-8
            )
        ]
    return {
        "id": id,
        "date_created": "2026-11-21T12:00:00",
        "date_created_gmt": "2026-11-21T11:00:00",
        "amount": amount,
        "reason": reason,
        "refunded_by": 1,
        "refunded_payment": False,
        "meta_data": [{"id": 9200, "key": key, "value": value} for key, value in (meta or {}).items()],
        "line_items": lines,
        "shipping_lines": [{"id": 602, "total": shipping_total, "total_tax": shipping_tax}],
        "tax_lines": [],
        "fee_lines": [],
    }


def woocommerce_customer(id: int = 7, **more: Any) -> Json:  # noqa: A002 - the store's word
    return {
        "id": id,
        "date_created_gmt": "2026-03-02T08:00:00",
        "date_modified_gmt": "2026-11-01T08:00:00",
        "email": "nora.lindqvist@example.com",
        "first_name": "Nora",
        "last_name": "Lindqvist",
        "role": "customer",
        "username": "nora",
        "billing": {"first_name": "", "last_name": "", "email": ""},
        "meta_data": [],
        **more,
    }


def woocommerce_product(
    id: int = 71,  # noqa: A002 - the store's word
    *,
    categories: Sequence[str] = ("coffee", "single-origin"),
    modified: str = "2026-11-20T09:00:00",
    **more: Any,
) -> Json:
    return {
        "id": id,
        "name": "Ethiopia Guji",
        "slug": "ethiopia-guji",
        "date_modified_gmt": modified,
        "type": "simple",
        "status": "publish",
        "sku": "GUJI-1000",
        "price": "50.00",
        "categories": [
            {"id": 30 + place, "name": slug.replace("-", " ").title(), "slug": slug}
            for place, slug in enumerate(categories)
        ],
        "parent_id": 0,
        **more,
    }


def woocommerce_coupon(id: int = 81, **more: Any) -> Json:  # noqa: A002 - the store's word
    return {
        "id": id,
        "code": "black20",
        "amount": "20.00",
        "status": "publish",
        "date_modified_gmt": "2026-11-20T09:00:00",
        "discount_type": "percent",
        "date_expires_gmt": "2026-12-01T00:00:00",
        "usage_count": 4,
        "usage_limit": None,
        "email_restrictions": ["mo@example.org"],
        **more,
    }


# --- Shopify ------------------------------------------------------------------------------------------------


def shopify_headers(
    body: bytes, *, topic: str, secret: str = SHOPIFY_SECRET, test: bool = False
) -> list[tuple[str, str]]:
    return [
        ("content-type", "application/json"),
        ("x-shopify-topic", topic),
        ("x-shopify-shop-domain", "made-up-beans.example"),
        ("x-shopify-webhook-id", "5f0f8c1a-0000-4000-8000-000000000001"),
        ("x-shopify-event-id", "5f0f8c1a-0000-4000-8000-000000000002"),
        ("x-shopify-hmac-sha256", hmac_base64(body, secret)),
        *([("x-shopify-test", "true")] if test else []),
    ]


def shopify_money(amount: str, *, currency: str = "USD", presented: str | None = None) -> Json:
    """Return an amount in the shop's money, and in what the customer was shown (by default something else)."""
    shown = {"amount": presented or "999.99", "currency_code": "SEK"}
    return {"shop_money": {"amount": amount, "currency_code": currency}, "presentment_money": shown}


def shopify_line(id: int = 5401, *, price: str = "50.00", **more: Any) -> Json:  # noqa: A002 - the store's word
    return {
        "id": id,
        "name": "Ethiopia Guji - 1 kg",
        "title": "Ethiopia Guji",
        "product_id": 7101,
        "variant_id": 7201,
        "sku": "GUJI-1000",
        "quantity": 1,
        "price": "999.99",
        "price_set": shopify_money(price),
        "total_discount": "0.00",
        "discount_allocations": [],
        "tax_lines": [{"title": "VAT", "rate": 0.1, "price": "5.00", "price_set": shopify_money("5.00")}],
        **more,
    }


def shopify_order(
    *,
    id: int = 6820982911946154508,  # noqa: A002 - the store's word
    financial_status: str | None = "paid",
    fulfillment_status: str | None = None,
    total: str = "59.90",
    currency: str = "USD",
    updated: str = "2026-11-21T05:30:00-05:00",
    customer: Json | None = None,
    guest: bool = False,
    lines: Sequence[Json] | None = None,
    refunds: Sequence[Json] = (),
    **more: Any,
) -> Json:
    return {
        "id": id,
        "admin_graphql_api_id": f"gid://shopify/Order/{id}",
        "name": "#1042",
        "number": 42,
        "order_number": 1042,
        "created_at": "2026-11-21T05:00:00-05:00",
        "updated_at": updated,
        "processed_at": "2026-11-21T05:00:00-05:00",
        "cancelled_at": None,
        "cancel_reason": None,
        "currency": currency,
        "presentment_currency": "SEK",
        "financial_status": financial_status,
        "fulfillment_status": fulfillment_status,
        "email": "nora.lindqvist@example.com",
        "contact_email": "nora.lindqvist@example.com",
        "taxes_included": False,
        "total_price": total,
        "total_price_set": shopify_money(total, currency=currency),
        "total_tax": "5.90",
        "total_tax_set": shopify_money("5.90", currency=currency),
        "total_discounts": "0.00",
        "total_discounts_set": shopify_money("0.00", currency=currency),
        "total_shipping_price_set": shopify_money("4.00", currency=currency),
        "shipping_lines": [
            {
                "id": 5501,
                "price": "4.00",
                "tax_lines": [{"price_set": shopify_money("0.90"), "price": "0.90"}],
            }
        ],
        "discount_codes": [],
        "note_attributes": [],
        "payment_gateway_names": ["manual"],
        "source_name": "web",
        "customer": None if guest else customer or shopify_customer(),
        "line_items": [shopify_line()] if lines is None else list(lines),
        "refunds": list(refunds),
        **more,
    }


def shopify_refund(
    id: int = 9301,  # noqa: A002 - the store's word
    *,
    order_id: int = 6820982911946154508,
    amount: str = "15.50",
    currency: str = "USD",
    status: str = "success",
    note: str | None = None,
    **more: Any,
) -> Json:
    return {
        "id": id,
        "order_id": order_id,
        "created_at": "2026-11-21T06:00:00-05:00",
        "processed_at": "2026-11-21T06:00:00-05:00",
        "note": note,
        "refund_line_items": [
            {
                "id": 9401,
                "line_item_id": 5401,
                "quantity": 1,
                "subtotal": 999.99,
                "subtotal_set": shopify_money("10.00"),
                "total_tax": 9.99,
                "total_tax_set": shopify_money("1.00"),
            }
        ],
        "order_adjustments": [
            {
                "id": 9501,
                "kind": "shipping_refund",
                "amount": "-4.00",
                "amount_set": shopify_money("-4.00"),
                "tax_amount": "-0.50",
                "tax_amount_set": shopify_money("-0.50"),
            }
        ],
        "transactions": [
            {
                "id": 9601,
                "kind": "refund",
                "status": status,
                "gateway": "manual",
                "amount": amount,
                "currency": currency,
            }
        ],
        **more,
    }


def shopify_customer(id: int = 207119551, **more: Any) -> Json:  # noqa: A002 - the store's word
    return {
        "id": id,
        "email": "nora.lindqvist@example.com",
        "first_name": "Nora",
        "last_name": "Lindqvist",
        "state": "enabled",
        "updated_at": "2026-11-21T05:00:00-05:00",
        **more,
    }


# --- any other store ----------------------------------------------------------------------------------------


def standard_headers(
    body: bytes, *, at: datetime = NOW, message_id: str = "msg_1", secret: str = STANDARD_SECRET
) -> list[tuple[str, str]]:
    return [
        ("content-type", "application/json"),
        ("webhook-id", message_id),
        ("webhook-timestamp", str(int(at.timestamp()))),
        ("webhook-signature", Webhook(secret).sign(message_id, at, body.decode())),
    ]


def standard_message(type: str, data: Json, *, timestamp: str = "2026-11-21T10:30:00Z") -> Json:  # noqa: A002
    return {"type": type, "timestamp": timestamp, "data": data}


def standard_order(
    *,
    id: str = "order_01",  # noqa: A002 - the store's word
    status: str = "PAID",
    total: str = "59.90",
    modified: str = "2026-11-21T10:30:00Z",
    refunds: Sequence[Json] = (),
    **more: Any,
) -> Json:
    """Return a message that records an order; further fields of `data` as they come."""
    return standard_message(
        "order.recorded",
        {
            "source": "medusa",
            "externalId": id,
            "modifiedAt": modified,
            "placedAt": "2026-11-21T10:00:00Z",
            "status": status,
            "storeStatus": "captured",
            "number": "1042",
            "currency": "USD",
            "total": total,
            "tax": "5.90",
            "shipping": "4.90",
            "discount": "5.00",
            "paidOtherwise": "40.00",
            "paymentMethod": "card",
            "customer": {"id": "cus_01", "name": "Nora Lindqvist", "email": "nora.lindqvist@example.com"},
            "lines": [
                {
                    "id": "item_01",
                    "name": "Ethiopia Guji",
                    "productId": "prod_01",
                    "variationId": "variant_01",
                    "sku": "GUJI-1000",
                    "categories": ["coffee"],
                    "quantity": "1",
                    "subtotal": "55.00",
                    "total": "50.00",
                    "tax": "5.00",
                }
            ],
            "coupons": [{"code": "FIVE", "discount": "5.00"}],
            "refunds": list(refunds),
            **more,
        },
    )


def standard_refund(id: str = "ref_01", *, amount: str = "11.00", **more: Any) -> Json:  # noqa: A002
    return {
        "id": id,
        "amount": amount,
        "tax": "1.00",
        "lines": [{"lineId": "item_01", "quantity": "1", "amount": "10.00", "tax": "1.00"}],
        "reason": "Arrived broken",
        "createdAt": "2026-11-21T10:20:00Z",
        **more,
    }
