"""The generic door: Standard Webhooks, and Coffer's own messages."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, strategies as st
from standardwebhooks.webhooks import Webhook

from app.domain.customer import CustomerDetails
from app.domain.event import EventTold
from app.domain.order import (
    Coupon,
    OrderLine,
    OrderSnapshot,
    OrderStatus,
    RefundedLine,
    StoreCustomer,
    StoreRefund,
    Subscription,
    check_snapshot,
)
from app.domain.top_up import TopUpTold
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
from app.webhooks.standard import translate, verify
from tests.stores import (
    NOW,
    STANDARD_SECRET,
    Json,
    body_of,
    standard_headers,
    standard_message,
    standard_order,
    standard_refund,
)
from tests.webhooks.junk import JSON_BODIES, VALUES, mutations_of

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "doors.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema_rs.validator_for(SCHEMA)


def read(message: object, **more: Any) -> Event:
    (event,) = translate("", body_of(message), received_at=NOW, **more)
    return event


# --- signatures ---------------------------------------------------------------------------------------------

BODY = body_of(standard_order())
HEADERS = standard_headers(BODY)


def changed(name: str, value: str) -> list[tuple[str, str]]:
    return [(key, value if key == name else kept) for key, kept in HEADERS]


def test_what_the_official_library_signs_is_authentic() -> None:
    verify(HEADERS, BODY, [STANDARD_SECRET], NOW)


def test_while_secrets_change_both_count_on_both_sides() -> None:
    old = "whsec_" + "b2xk" * 10
    verify(HEADERS, BODY, [old, STANDARD_SECRET], NOW)
    both = " ".join(
        ["v2,x", Webhook(old).sign("msg_1", NOW, BODY.decode()), dict(HEADERS)["webhook-signature"]]
    )
    verify(changed("webhook-signature", both), BODY, [STANDARD_SECRET], NOW)


SIGNATURE = dict(HEADERS)["webhook-signature"]


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "v1",
        "v1,",
        SIGNATURE[3:],
        SIGNATURE[:-1],
        SIGNATURE[:-4],
        SIGNATURE.upper(),
        "v1," + SIGNATURE[3:].swapcase(),
        SIGNATURE.replace("v1", "v2"),
        SIGNATURE.replace(",", " "),
        "v1,%%%",
        "v1," + "é" * 20,
        "," * 50,
        "v1,a " * 400,
    ],
)
def test_another_signature_is_not_authentic(signature: str) -> None:
    with pytest.raises(NotAuthentic):
        verify(changed("webhook-signature", signature), BODY, [STANDARD_SECRET], NOW)


@pytest.mark.parametrize("seconds", ["", "now", "1e9", "-5", "12.5", "٣", "9" * 12, "9" * 30, "0"])
def test_a_time_that_is_none_is_not_authentic(seconds: str) -> None:
    with pytest.raises(NotAuthentic):
        verify(changed("webhook-timestamp", seconds), BODY, [STANDARD_SECRET], NOW)


@pytest.mark.parametrize("away", [timedelta(minutes=5, seconds=1), timedelta(days=-1)])
def test_an_old_or_early_message_is_not_authentic(away: timedelta) -> None:
    with pytest.raises(NotAuthentic, match="too long before or after"):
        verify(HEADERS, BODY, [STANDARD_SECRET], NOW + away)


def test_five_minutes_are_fine() -> None:
    verify(HEADERS, BODY, [STANDARD_SECRET], NOW + timedelta(minutes=5))
    verify(HEADERS, BODY, [STANDARD_SECRET], NOW - timedelta(minutes=5))


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_each_header_is_there_once_and_covered(name: str) -> None:
    without = [(key, value) for key, value in HEADERS if key != name]
    twice = [*HEADERS, (name, dict(HEADERS)[name])]
    other = changed(name, "1763726401" if name == "webhook-timestamp" else "other")
    for headers in (without, twice, other):
        with pytest.raises(NotAuthentic):
            verify(headers, BODY, [STANDARD_SECRET], NOW)


def test_another_body_or_secret_is_not_authentic() -> None:
    for body, secrets in (
        (BODY + b" ", [STANDARD_SECRET]),
        (b"\xff", [STANDARD_SECRET]),
        (BODY, ["whsec_" + "b2xk" * 10]),
        (BODY, []),
        (BODY, ["", "whsec_", "whsec_a"]),
    ):
        with pytest.raises(NotAuthentic):
            verify(HEADERS, body, secrets, NOW)


@given(
    headers=st.lists(
        st.tuples(
            st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]),
            st.text(st.characters(), max_size=40) | st.just(str(int(NOW.timestamp()))),
        ),
        max_size=5,
    ),
    body=st.binary(max_size=20),
)
def test_strangers_are_turned_away_whatever_they_send(headers: list[tuple[str, str]], body: bytes) -> None:
    with pytest.raises(NotAuthentic):
        verify(headers, body, [STANDARD_SECRET], NOW)


# --- messages -----------------------------------------------------------------------------------------------


def test_an_order_with_everything() -> None:
    order = standard_order(
        refunds=[standard_refund(reference="RF-7K3M-92QD-XA4P")],
        subscription={"reference": "sub_1", "renewal": True},
        guestEmail=None,
    )
    assert read(order) == OrderSeen(
        OrderSnapshot(
            source="medusa",
            external_id="order_01",
            modified_at=datetime(2026, 11, 21, 10, 30, tzinfo=UTC),
            status=OrderStatus.PAID,
            store_status="captured",
            currency="USD",
            total_minor=5990,
            number="1042",
            tax_minor=590,
            shipping_minor=490,
            discount_minor=500,
            paid_otherwise_minor=4000,
            payment_method="card",
            customer=StoreCustomer("cus_01", "Nora Lindqvist", "nora.lindqvist@example.com"),
            lines=(
                OrderLine(
                    id="item_01",
                    name="Ethiopia Guji",
                    product_id="prod_01",
                    variation_id="variant_01",
                    sku="GUJI-1000",
                    categories=("coffee",),
                    quantity=Decimal(1),
                    subtotal_minor=5500,
                    total_minor=5000,
                    tax_minor=500,
                ),
            ),
            coupons=(Coupon("FIVE", 500),),
            refunds=(
                StoreRefund(
                    id="ref_01",
                    amount_minor=1100,
                    tax_minor=100,
                    lines=(RefundedLine("item_01", Decimal(1), 1000, 100),),
                    reason="Arrived broken",
                    reference="RF-7K3M-92QD-XA4P",
                    created_at=datetime(2026, 11, 21, 10, 20, tzinfo=UTC),
                ),
            ),
            subscription=Subscription("sub_1", renewal=True),
            placed_at=datetime(2026, 11, 21, 10, tzinfo=UTC),
        )
    )


LITTLE: Json = {
    "externalId": "1",
    "modifiedAt": "2026-11-21T10:30:00Z",
    "status": "PENDING",
    "currency": "EUR",
    "total": "5",
}


def test_an_order_with_the_least() -> None:
    event = read(standard_message("order.recorded", LITTLE), source="house")
    assert isinstance(event, OrderSeen)
    snapshot = event.snapshot
    assert (snapshot.source, snapshot.total_minor, snapshot.store_status) == ("house", 500, "pending")
    assert (snapshot.customer, snapshot.paid_otherwise_minor, snapshot.lines) == (None, None, ())


OTHERS: list[tuple[str, Json, Event]] = [
    (
        "order.deleted",
        {"source": "medusa", "externalId": "order_01"},
        OrderDeleted("medusa", "order_01", datetime(2026, 11, 21, 10, 30, tzinfo=UTC)),
    ),
    (
        "order.deleted",
        {"externalId": "order_01", "deletedAt": "2026-11-21T10:00:00Z"},
        OrderDeleted("store", "order_01", datetime(2026, 11, 21, 10, tzinfo=UTC)),
    ),
    (
        "refund.recorded",
        {"orderExternalId": "order_01", "currency": "JPY", "refund": {"id": "r1", "amount": "500"}},
        RefundSeen("store", "order_01", "JPY", StoreRefund("r1", 500)),
    ),
    (
        "customer.recorded",
        {"id": "cus_01", "name": "Mo Adeyemi"},
        CustomerSeen("store", StoreCustomer("cus_01", "Mo Adeyemi")),
    ),
    (
        "customer.recorded",
        {
            "id": "cus_01",
            "birthday": "1988-02-29",
            "roles": [],
            "segments": ["news", "news", None],
            "signedUpAt": "2026-11-21T11:00:00+01:00",
        },
        CustomerSeen(
            "store",
            StoreCustomer("cus_01"),
            CustomerDetails(
                birthday=date(1988, 2, 29),
                roles=(),
                segments=("news",),
                signed_up_at=datetime(2026, 11, 21, 10, tzinfo=UTC),
            ),
        ),
    ),
    (
        "event.recorded",
        {"customerId": "cus_01", "event": "review", "eventId": "81"},
        EventRecorded(
            "store", "cus_01", EventTold("review", "81", datetime(2026, 11, 21, 10, 30, tzinfo=UTC))
        ),
    ),
    (
        "top_up.recorded",
        {
            "externalId": "1050",
            "customerId": "cus_01",
            "currency": "usd",
            "paid": "80.00",
            "faceValue": "100",
            "paymentMethod": "card",
            "paidAt": "2026-11-21T09:00:00Z",
        },
        TopUpRecorded(
            "cus_01",
            TopUpTold(
                source="store",
                external_id="1050",
                paid_minor=8000,
                currency="USD",
                face_value_minor=10000,
                payment_method="card",
                paid_at=datetime(2026, 11, 21, 9, tzinfo=UTC),
                modified_at=datetime(2026, 11, 21, 10, 30, tzinfo=UTC),
            ),
        ),
    ),
    (
        "product.recorded",
        {
            "id": "prod_01",
            "name": "Guji",
            "categories": ["coffee", "coffee"],
            "modifiedAt": "2026-11-21T09:00:00Z",
        },
        ProductSeen(
            "store", "prod_01", "Guji", None, ("coffee",), False, datetime(2026, 11, 21, 9, tzinfo=UTC)
        ),
    ),
    (
        "product.deleted",
        {"id": "prod_01"},
        ProductSeen("store", "prod_01", "", None, (), True, datetime(2026, 11, 21, 10, 30, tzinfo=UTC)),
    ),
    (
        "coupon.recorded",
        {"id": "c1", "code": "TEN", "kind": "percent", "amount": "10", "usageLimit": 5},
        CouponSeen(
            "store",
            "c1",
            "TEN",
            deleted=False,
            modified_at=datetime(2026, 11, 21, 10, 30, tzinfo=UTC),
            kind="percent",
            amount=Decimal(10),
            usage_limit=5,
        ),
    ),
    (
        "coupon.deleted",
        {"id": "c1"},
        CouponSeen("store", "c1", "", deleted=True, modified_at=datetime(2026, 11, 21, 10, 30, tzinfo=UTC)),
    ),
    (
        "renewal.announced",
        {
            "customerId": "cus_01",
            "subscription": "sub_1",
            "amount": "12.00",
            "currency": "USD",
            "dueAt": "2026-12-01T00:00:00+01:00",
        },
        RenewalAnnounced(
            source="store",
            customer_external_id="cus_01",
            subscription="sub_1",
            amount_minor=1200,
            currency="USD",
            due_at=datetime(2026, 11, 30, 23, tzinfo=UTC),
            announced_at=datetime(2026, 11, 21, 10, 30, tzinfo=UTC),
        ),
    ),
]


@pytest.mark.parametrize(("kind", "data", "meant"), OTHERS)
def test_other_messages(kind: str, data: Json, meant: Event) -> None:
    assert read(standard_message(kind, data)) == meant


@pytest.mark.parametrize(
    ("kind", "data", "path"),
    [
        ("customer.recorded", {"id": "1", "birthday": "29.02.1988"}, "data.birthday"),
        ("customer.recorded", {"id": "1", "birthday": 19880229}, "data.birthday"),
        ("customer.recorded", {"id": "1", "roles": "vip"}, "data.roles"),
        ("customer.recorded", {"id": "1", "signedUpAt": "yesterday"}, "data.signedUpAt"),
        ("event.recorded", {"customerId": "1", "event": "A review", "eventId": "1"}, "data.event"),
        ("event.recorded", {"customerId": "1", "event": "review"}, "data.eventId"),
        ("event.recorded", {"event": "review", "eventId": "1"}, "data.customerId"),
        ("top_up.recorded", {"externalId": "1", "customerId": "1", "currency": "USD"}, "data.paid"),
        (
            "top_up.recorded",
            {"externalId": "1", "customerId": "1", "currency": "USD", "paid": "-1"},
            "data.paid",
        ),
        (
            "top_up.recorded",
            {"externalId": "1", "customerId": "1", "currency": "USD", "paid": "1", "paymentMethod": "m" * 65},
            "data.paymentMethod",
        ),
    ],
)
def test_what_can_not_be_meant_in_other_messages(kind: str, data: Json, path: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        read(standard_message(kind, data))
    assert caught.value.path == path
    assert "1988" not in caught.value.problem, "a birthday is nobody's business in an error"


def test_a_deleted_customer_keeps_the_wallet() -> None:
    assert isinstance(read(standard_message("customer.deleted", {"id": "cus_01"})), Ignored)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"total": None}, "data.total"),
        ({"total": 59.9}, "data.total"),
        ({"total": "-5"}, "data.total"),
        ({"total": "five"}, "data.total"),
        ({"status": "paid"}, "data.status"),
        ({"status": None}, "data.status"),
        ({"externalId": ""}, "data.externalId"),
        ({"modifiedAt": None}, "data.modifiedAt"),
        ({"modifiedAt": 1763721000}, "data.modifiedAt"),
        ({"modifiedAt": "2027-01-01T00:00:00Z"}, "data.modifiedAt"),
        ({"currency": "BTC"}, "data.currency"),
        ({"source": "Medusa!"}, "data.source"),
        ({"totl": "5"}, "data"),
        ({"customer": {"id": "1", "phone": "5"}}, "data.customer"),
        ({"customer": {"name": "Mo"}}, "data.customer.id"),
        ({"lines": [{"id": "1"}, {"id": "2"}, {"id": "3", "total": "x"}]}, "data.lines[2].total"),
        ({"lines": [{"total": "1"}]}, "data.lines[0].id"),
        ({"coupons": [{"discount": "1"}]}, "data.coupons[0].code"),
        ({"refunds": [{"id": "1"}]}, "data.refunds[0].amount"),
        (
            {"refunds": [{"id": "1", "amount": "1", "lines": [{"lineId": 0.5}]}]},
            "data.refunds[0].lines[0].lineId",
        ),
        ({"subscription": {"reference": "s", "renewal": "yes"}}, "data.subscription.renewal"),
    ],
)
def test_a_refusal_names_the_path(change: Json, path: str) -> None:
    message = standard_message("order.recorded", LITTLE | change)
    with pytest.raises(Untranslatable) as caught:
        read(message)
    assert caught.value.path == path


@pytest.mark.parametrize("kind", ["", "order.paid", None, 5])
def test_an_unknown_type_is_refused_with_those_that_are_known(kind: object) -> None:
    with pytest.raises(Untranslatable, match=r"order\.recorded"):
        read({"type": kind, "data": {}})


@pytest.mark.parametrize("data", [None, [], "x"])
def test_a_message_without_data_is_refused(data: object) -> None:
    with pytest.raises(Untranslatable, match="data: "):
        read({"type": "order.recorded", "data": data})


# --- the schema that is documented --------------------------------------------------------------------------

GOOD = [
    standard_order(refunds=[standard_refund()], subscription={"reference": "s", "renewal": False}),
    standard_message("order.recorded", LITTLE),
    standard_message("customer.deleted", {"id": "cus_01"}),
    *(standard_message(kind, data) for kind, data, _ in OTHERS),
]


@pytest.mark.parametrize("message", GOOD)
def test_the_schema_takes_what_the_door_takes(message: Json) -> None:
    VALIDATOR.validate(message)


@given(message=st.sampled_from(GOOD).flatmap(mutations_of))
def test_what_the_schema_takes_the_door_takes(message: Json) -> None:
    """The schema can't know currencies, calendars or what lies in the future; all else that it takes is taken."""
    if not VALIDATOR.is_valid(message):
        return
    try:
        read(message)
    except Untranslatable as error:
        allowed = (
            "ISO 4217",
            "is no time",
            "lies in the future",
            "should be a time",
            "can't be shown",
            "same id",
            "should be a day",
        )
        assert any(part in str(error) for part in allowed), error  # noqa: PT017 - most messages are taken


def test_the_schema_knows_every_type() -> None:
    kinds = {branch["properties"]["type"]["const"] for branch in SCHEMA["oneOf"]}
    with pytest.raises(Untranslatable) as caught:
        read({"type": "x"})
    named = caught.value.problem.rpartition("one of: ")[2].rstrip(".").split(", ")
    assert kinds == set(named)


# --- junk ---------------------------------------------------------------------------------------------------


@given(body=JSON_BODIES | VALUES.map(lambda data: body_of(standard_message("order.recorded", data))))
def test_no_json_crashes_the_translator(body: bytes) -> None:
    try:
        translate("", body, received_at=NOW)
    except Untranslatable:
        return


@given(message=st.sampled_from(GOOD).flatmap(mutations_of))
def test_a_message_with_anything_in_it_is_translated_or_refused(message: Json) -> None:
    try:
        events = translate("", body_of(message), received_at=NOW)
    except Untranslatable:
        return
    for event in events:
        if isinstance(event, OrderSeen):
            assert check_snapshot(event.snapshot) == event.snapshot
            assert OrderSnapshot.from_data(event.snapshot.as_data()) == event.snapshot
