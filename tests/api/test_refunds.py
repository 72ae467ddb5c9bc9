"""Refunds: where they go, and that value comes back to the very lots that it came from."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.store import ADMINISTRATOR, SUPPORT, Caller, JsonObject, Store, fresh, named

LINES = [
    {"lineId": "1", "name": "Desk lamp", "quantity": "3", "total": "50.00", "tax": "10.00"},
    {"lineId": "2", "name": "Linen, by the metre", "quantity": "1.5", "total": "10.00"},
]


async def paid(
    api: Store, *, total: str = "80.00", wallet: str = "50.00", **more: Any
) -> tuple[JsonObject, JsonObject]:
    """A customer with 100.00, of which a part paid an order; the rest of the order was paid otherwise."""
    customer = await api.funded("100.00")
    told = api.order(customer, total, **more)
    await api.pay(customer, told, wallet)
    await api.record(told, status="PAID")
    return customer, {**told, "status": "PAID"}


def parts(refund: JsonObject) -> tuple[str, str, str]:
    """What went back to the wallet, was credited to it, and is the store's to send."""
    return tuple(refund[name]["amount"] for name in ("toWallet", "credited", "toOthers"))


async def held_by(api: Store, customer: JsonObject) -> dict[str, tuple[str, str | None]]:
    """What the wallet has of each kind of value, and when the first of it expires."""
    buckets = (await api.wallet(customer))["buckets"]
    return {one["bucket"]: (one["balance"]["amount"], one["nextExpiryAt"]) for one in buckets}


# --- where they go ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("destination", "amount", "expected"),
    [
        ("SPLIT", "20.00", ("12.50", "0.00", "7.50")),
        ("SPLIT", "80.00", ("50.00", "0.00", "30.00")),
        ("SPLIT", "0.01", ("0.01", "0.00", "0.00")),
        ("WALLET", "20.00", ("20.00", "0.00", "0.00")),
        ("WALLET", "80.00", ("50.00", "30.00", "0.00")),
        ("ORIGINAL_PAYMENT", "20.00", ("0.00", "0.00", "20.00")),
        ("ORIGINAL_PAYMENT", "40.00", ("10.00", "0.00", "30.00")),
    ],
)
async def test_where_it_goes(
    api: Store, destination: str, amount: str, expected: tuple[str, str, str]
) -> None:
    customer, told = await paid(api)
    refund = await api.refund(told, amount, destination=destination)
    assert parts(refund) == expected
    back = float(expected[0]) + float(expected[1])
    wallet = await api.wallet(customer)
    assert wallet["available"]["amount"] == f"{50 + back:.2f}", "it can be spent at once"
    order = await api.found(told)
    assert order["refundState"] == ("REFUNDED" if amount == "80.00" else "PARTIALLY_REFUNDED")
    assert order["refunded"]["amount"] == amount


async def test_by_the_stores_policy(api: Store) -> None:
    _, told = await paid(api)
    await api.set_settings(refundDestination="WALLET", refundBucket="PROMO")
    try:
        refund = await api.refund(told, "60.00", caller=SUPPORT)
    finally:
        await api.set_settings(refundDestination="SPLIT", refundBucket="CASH")
    assert (refund["destination"], refund["bucket"], parts(refund)) == (
        "WALLET",
        "PROMO",
        ("50.00", "10.00", "0.00"),
    )


async def test_as_another_kind_of_value(api: Store) -> None:
    customer, told = await paid(api)
    await api.refund(told, "80.00", destination="WALLET", bucket="GIFT_CARD")
    assert await held_by(api, customer) == {"CASH": ("100.00", None), "GIFT_CARD": ("30.00", None)}


async def test_in_parts_that_do_not_divide(api: Store) -> None:
    customer, told = await paid(api, total="100.00", wallet="33.33")
    refunds = [await api.refund(told, amount) for amount in ("33.34", "33.33", "33.33")]
    assert sum(round(float(parts(one)[0]) * 100) for one in refunds) == 3333
    assert sum(round(float(parts(one)[2]) * 100) for one in refunds) == 6667
    assert (await api.wallet(customer))["balance"]["amount"] == "100.00"
    input_ = {
        "order": {"storeOrder": named(told)},
        "amount": api.money("0.01"),
        "note": "One cent more of order 7",
    }
    payload = await api.mutate("refundOrder", {**input_, "idempotencyKey": fresh("key")})
    assert [error["code"] for error in payload["userErrors"]] == ["REFUND_EXCEEDED"]


async def test_of_lines_and_shipping(api: Store) -> None:
    _, told = await paid(api, shipping="10.00", tax="10.00", lines=LINES)
    for amount, tax in (("20.00", "3.33"), ("20.00", "3.33"), ("20.00", "3.33")):
        refund = await api.refund(told, lines=[{"lineId": "1", "quantity": "1"}])
        assert (refund["amount"]["amount"], refund["tax"]["amount"]) == (amount, tax)
        (line,) = refund["lines"]
        assert (line["lineId"], line["quantity"]) == ("1", "1")
    refund = await api.refund(told, lines=[{"lineId": "2"}], withShipping=True)
    assert (refund["amount"]["amount"], refund["shipping"]["amount"]) == ("20.00", "10.00")
    assert [line["quantity"] for line in refund["lines"]] == ["1.5"]
    assert (await api.found(told))["refundState"] == "REFUNDED"


async def test_all_that_is_left(api: Store) -> None:
    customer, told = await paid(api)
    await api.refund(told, "30.00")
    refund = await api.refund(told)
    assert refund["amount"]["amount"] == "50.00"
    assert (await api.wallet(customer))["balance"]["amount"] == "100.00"


# --- told by the store --------------------------------------------------------------------------------------


async def test_told_by_the_store(api: Store) -> None:
    customer, told = await paid(api)
    refunds = [{"storeRefundId": "r1", "amount": "16.00", "reason": "Lamp arrived broken"}]
    order = await api.record(told, refunds=refunds)
    (refund,) = order["refunds"]
    assert (refund["storeRefundId"], refund["note"], parts(refund)) == (
        "r1",
        "Lamp arrived broken",
        ("10.00", "0.00", "6.00"),
    )
    assert await api.record(told, refunds=refunds) != {}
    assert (await api.wallet(customer))["balance"]["amount"] == "60.00"
    # The store takes it back.
    order = await api.record(told)
    assert order["refunds"][0]["withdrawnAt"] is not None
    assert (order["refundState"], (await api.wallet(customer))["balance"]["amount"]) == ("NONE", "50.00")


async def test_begun_here_and_told_by_the_store(api: Store) -> None:
    customer, told = await paid(api)
    await api.refund(told, "16.00", storeRefundId="r1")
    other = await api.refund(told, "8.00")
    refunds = [
        {"storeRefundId": "r1", "amount": "16.00"},
        {"storeRefundId": "r2", "amount": "8.00", "reference": other["reference"]},
    ]
    order = await api.record(told, refunds=refunds)
    assert [one["storeRefundId"] for one in order["refunds"]] == ["r1", "r2"]
    assert (order["refunded"]["amount"], (await api.wallet(customer))["balance"]["amount"]) == (
        "24.00",
        "65.00",
    )


async def test_by_the_status_alone(api: Store) -> None:
    customer, told = await paid(api)
    order = await api.record(told, status="REFUNDED")
    assert (order["refundState"], order["paymentState"]) == ("REFUNDED", "PAID")
    assert (await api.wallet(customer))["balance"]["amount"] == "100.00"


# --- un-spent to the same lots ------------------------------------------------------------------------------


def at(**time: float) -> str:
    """A time from now on."""
    return (datetime.now(UTC) + timedelta(**time)).isoformat(timespec="seconds")


async def test_to_the_same_lots_in_parts(api: Store) -> None:
    customer = await api.funded("50.00")
    await api.adjust(customer, "20.00", bucket="PROMO", expiresAt=at(days=30))
    await api.adjust(customer, "30.00", bucket="GIFT_CARD")
    before = await held_by(api, customer)
    told = api.order(customer, "80.00")
    await api.pay(customer, told)
    await api.record(told, status="PAID")
    assert await held_by(api, customer) == {"CASH": ("20.00", None)}
    expiry = before["PROMO"][1]
    # What was spent last comes back first.
    for amount, after in (
        ("25.00", {"CASH": ("45.00", None)}),
        ("15.01", {"CASH": ("50.00", None), "GIFT_CARD": ("10.01", None)}),
        ("39.99", {"CASH": ("50.00", None), "GIFT_CARD": ("30.00", None), "PROMO": ("20.00", expiry)}),
    ):
        await api.refund(told, amount)
        assert await held_by(api, customer) == after
    assert await held_by(api, customer) == before
    assert (await api.wallet(customer))["withdrawable"]["amount"] == "50.00"


async def test_after_its_expiry_it_lasts_for_the_grace_period(api: Store) -> None:
    customer = await api.customer()
    await api.adjust(customer, "20.00", bucket="PROMO", expiresAt=at(hours=1))
    told = api.order(customer, "20.00")
    await api.pay(customer, told)
    await api.record(told, status="PAID")
    with api.moved(days=1):
        await api.refund(told, "15.00")
        assert (await api.wallet(customer))["available"]["amount"] == "15.00"
        ((amount, expiry),) = (await held_by(api, customer)).values()
        assert amount == "15.00"
        assert expiry is not None
        lasts = datetime.fromisoformat(expiry) - datetime.now(UTC)
        assert timedelta(days=7, hours=23) < lasts < timedelta(days=8, hours=1)
        again = api.order(customer, "5.00")
        assert (await api.pay(customer, again))["captured"]["amount"] == "5.00"
    with api.moved(days=9):
        # What is told next is told of a wallet whose value ran out.
        await api.adjust(customer, "1.00")
        assert (await api.wallet(customer))["balance"]["amount"] == "1.00"


async def test_a_void_gives_back_to_the_same_lots(api: Store) -> None:
    customer = await api.funded("50.00")
    await api.adjust(customer, "20.00", bucket="PROMO", expiresAt=at(days=30))
    before = await held_by(api, customer)
    payment = await api.authorize(customer, api.order(customer, "60.00"))
    payment = await api.capture(payment, "5.00", final=False)
    await api.void(payment)
    after = await held_by(api, customer)
    assert after == {**before, "PROMO": ("15.00", before["PROMO"][1])}


# --- who may see them ---------------------------------------------------------------------------------------


async def test_seen_by_its_customer_and_by_nobody_else(api: Store) -> None:
    customer, told = await paid(api)
    refund = await api.refund(told, "20.00")
    query = (
        "query ($id: ID!) { node(id: $id) { ... on Refund { id note createdBy { kind id } order { id } } } }"
    )
    owner = Caller(customer["storeCustomerId"])
    for caller, actor in ((ADMINISTRATOR, "ann"), (owner, None)):
        node = (await api.execute(query, {"id": refund["id"]}, caller)).data["node"]
        assert (node["id"], node["createdBy"]) == (refund["id"], {"kind": "STAFF", "id": actor})
    assert (await api.execute(query, {"id": refund["id"]}, Caller(fresh("stranger")))).data["node"] is None
