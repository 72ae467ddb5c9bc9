"""Orders as the store tells of them: recorded in any order, claimed, found, and shown to those who may."""

import itertools
from typing import Any

from tests.api.store import (
    ADMINISTRATOR,
    ANONYMOUS,
    FINANCE,
    SUPPORT,
    Caller,
    JsonObject,
    Store,
    fresh,
    later,
    named,
)


async def balance(api: Store, customer: JsonObject) -> str:
    """What is left."""
    return str((await api.wallet(customer))["balance"]["amount"])


# --- recorded -----------------------------------------------------------------------------------------------


async def test_told_in_full(api: Store) -> None:
    customer = await api.customer(name="Ada")
    told = api.order(
        customer,
        "80.005",
        number="A-17",
        status="PAID",
        storeStatus="processing",
        tax="10.004",
        shipping="10",
        discount="5.00",
        paidOtherwise="80.01",
        paymentMethod="card",
        lines=[
            {
                "lineId": "1",
                "name": "Linen,\nby the metre",
                "sku": "LIN-1",
                "productId": "77",
                "variationId": "78",
                "categories": ["Fabrics", "Linen"],
                "quantity": "1.50",
                "subtotal": "65.00",
                "total": "60.00",
                "tax": "10.004",
            }
        ],
        coupons=[{"code": "TEN", "discount": "5.00"}],
        subscription={"reference": "s-9"},
        placedAt="2026-01-01T10:00:00Z",
    )
    order = await api.record(told)
    assert (order["number"], order["status"], order["storeStatus"]) == ("A-17", "PAID", "processing")
    amounts = [order[name]["amount"] for name in ("total", "tax", "shipping", "discount", "paidOtherwise")]
    assert amounts == ["80.01", "10.00", "10.00", "5.00", "80.01"], "rounded half up"
    (line,) = order["lines"]
    assert (line["name"], line["quantity"], line["categories"]) == (
        "Linen, by the metre",
        "1.50",
        ["Fabrics", "Linen"],
    )
    assert [line[name]["amount"] for name in ("subtotal", "total", "tax")] == ["65.00", "60.00", "10.00"]
    assert order["coupons"] == [{"code": "TEN", "discount": api.money("5.00")}]
    assert order["subscription"] == {"reference": "s-9", "isRenewal": False}
    assert order["placedAt"] == "2026-01-01T10:00:00.000000Z"
    assert order["customer"]["storeCustomerId"] == customer["storeCustomerId"]
    assert (order["wallet"]["id"], order["paymentState"]) == (customer["wallet"]["id"], "PAID")
    assert (order["payments"], order["refunds"], order["transactions"]["totalCount"]) == ([], [], 0)


async def test_any_order_of_telling_ends_in_the_same_ledger(api: Store) -> None:
    ends = set()
    for order in itertools.permutations(range(3)):
        customer = await api.funded("100.00")
        told = api.order(customer, "80.00")
        await api.authorize(customer, told, "50.00")
        refund = {"storeRefundId": "1", "amount": "16.00"}
        moments = [later() for _ in range(3)]
        snapshots: list[JsonObject] = [
            {**told, "modifiedAt": moments[0], "status": "PENDING"},
            {**told, "modifiedAt": moments[1], "status": "PAID"},
            {**told, "modifiedAt": moments[2], "status": "COMPLETED", "refunds": [refund]},
        ]
        for place in (*order, *order):
            await api.done("recordOrder", snapshots[place])
        ends.add(await balance(api, customer))
    assert ends == {"60.00"}


async def test_a_customer_who_is_not_known_gets_a_wallet(api: Store) -> None:
    name = fresh()
    order = await api.record(api.order({"storeCustomerId": name}, status="PAID"))
    assert order["customer"]["storeCustomerId"] == name
    assert (await api.wallet(name))["balance"]["amount"] == "0.00"


async def test_a_status_that_nobody_explained_does_nothing(api: Store) -> None:
    customer = await api.funded("100.00")
    told = api.order(customer, "80.00")
    await api.pay(customer, told, "50.00")
    await api.record(told, status="PAID")
    order = await api.record(told, status="UNKNOWN", storeStatus="awaiting-pickup")
    assert (order["status"], order["storeStatus"], order["paymentState"]) == (
        "UNKNOWN",
        "awaiting-pickup",
        "PAID",
    )
    assert await balance(api, customer) == "50.00"


async def test_in_another_currency(api: Store) -> None:
    customer = await api.funded("100.00")
    order = await api.record(api.order(customer, "80.00", currency="EUR"), status="PAID")
    assert (order["problem"], order["total"]) == ("CURRENCY", {"amount": "80.00", "currency": "EUR"})
    assert order["walletPaid"] == api.money("0.00")


async def test_of_another_customer_than_the_one_who_paid(api: Store) -> None:
    customer, other = await api.funded("100.00"), await api.customer()
    told = api.order(customer, "80.00")
    await api.pay(customer, told)
    order = await api.record(told, status="PAID", customer={"storeCustomerId": other["storeCustomerId"]})
    assert (order["problem"], order["wallet"]["id"]) == ("OTHER_CUSTOMER", customer["wallet"]["id"])
    assert await balance(api, customer) == "20.00"


async def test_refunded_more_than_it_cost(api: Store) -> None:
    customer = await api.funded("100.00")
    told = api.order(customer, "80.00")
    await api.pay(customer, told)
    refunds = [{"storeRefundId": "1", "amount": "90.00"}]
    order = await api.record(told, status="PAID", refunds=refunds)
    assert (order["problem"], order["refundState"]) == ("REFUNDS_EXCEED_TOTAL", "REFUNDED")
    assert await balance(api, customer) == "100.00"


# --- guests -------------------------------------------------------------------------------------------------


async def test_a_guests_order_waits_for_its_customer(api: Store) -> None:
    told = api.order(None, "80.00", guestEmail="ada@shop.example")
    order = await api.record(told, status="PAID")
    assert (order["customer"], order["wallet"], order["guestEmail"]) == (None, None, "ada@shop.example")
    await api.record(told, status="PAID", refunds=[{"storeRefundId": "1", "amount": "16.00"}])

    customer = await api.customer()
    claim: JsonObject = {"order": {"id": order["id"]}, "storeCustomerId": customer["storeCustomerId"]}
    order = (await api.done("claimOrder", {**claim, "idempotencyKey": fresh("key")}))["order"]
    assert order["customer"]["storeCustomerId"] == customer["storeCustomerId"]
    assert (order["wallet"]["id"], order["refundState"]) == (customer["wallet"]["id"], "PARTIALLY_REFUNDED")
    assert await api.found(told, Caller(customer["storeCustomerId"])) is not None


# --- found --------------------------------------------------------------------------------------------------


async def numbers(api: Store, caller: Caller = ADMINISTRATOR, **arguments: Any) -> list[str]:
    """The store's ids of the orders that a list finds."""
    query = (
        "query ($search: String, $filter: OrderFilter, $first: Int) "
        "{ orders(search: $search, filter: $filter, first: $first) { totalCount nodes { externalId } } }"
    )
    found = (await api.execute(query, {"first": 100, **arguments}, caller)).data["orders"]
    assert found["totalCount"] >= len(found["nodes"])
    return [one["externalId"] for one in found["nodes"]]


async def test_searched_and_filtered(api: Store) -> None:
    customer = await api.funded("100.00")
    source, subscription = fresh("shop"), fresh("sub")
    told = [
        api.order(customer, source=source, number=fresh("No"), subscription={"reference": subscription}),
        api.order(customer, source=source, status="CANCELLED"),
        api.order(customer, source=source, status="PAID", currency="EUR"),
    ]
    ids = [one["externalId"] for one in told]
    for one in told:
        await api.record(one)
    payment = await api.pay(customer, told[0], "50.00")
    await api.record(told[0], status="PAID")
    refund = await api.refund(told[0], "5.00")
    transaction = (await api.found(told[0]))["transactions"]["nodes"][0]["id"]
    query = "query ($id: ID!) { transaction(by: {id: $id}) { reference order { externalId } } }"
    posted = (await api.execute(query, {"id": transaction})).data["transaction"]
    assert posted["order"]["externalId"] == ids[0]

    assert await numbers(api, filter={"source": source}) == ids[::-1], "newest first"
    for search in (
        ids[0],
        told[0]["number"],
        payment["reference"],
        refund["reference"].lower(),
        posted["reference"],
    ):
        assert await numbers(api, search=search) == ids[:1]
    assert await numbers(api, search="nothing like this") == []
    for narrowed, expected in (
        ({"statuses": ["CANCELLED", "FAILED"]}, [ids[1]]),
        ({"problems": ["CURRENCY"]}, [ids[2]]),
        ({"hasProblem": True}, [ids[2]]),
        ({"hasProblem": False}, [ids[1], ids[0]]),
        ({"subscription": subscription}, [ids[0]]),
        ({"created": {"to": "2020-01-01T00:00:00Z"}}, []),
        ({"created": {"from": "2020-01-01T00:00:00Z"}}, ids[::-1]),
    ):
        assert await numbers(api, filter={"source": source, **narrowed}) == expected
    for filter_, argument in (
        ({"source": "S\u0000"}, "filter.source"),
        ({"subscription": "\u0000"}, "filter.subscription"),
    ):
        query = "query ($filter: OrderFilter) { orders(filter: $filter) { totalCount } }"
        answer = await api.execute(query, {"filter": filter_})
        assert (answer.code, answer.errors[0]["extensions"]["argument"]) == ("BAD_USER_INPUT", argument)


async def test_paged(api: Store) -> None:
    customer, source = await api.customer(), fresh("shop")
    ids = [(await api.record(api.order(customer, source=source)))["id"] for _ in range(5)]
    query = (
        "query ($name: String!, $after: String) { wallet(by: {storeCustomerId: $name}) "
        "{ orders(first: 2, after: $after) { totalCount nodes { id } pageInfo { hasNextPage endCursor } } } }"
    )
    seen: list[str] = []
    cursor = None
    while True:
        variables = {"name": customer["storeCustomerId"], "after": cursor}
        found = (await api.execute(query, variables)).data["wallet"]["orders"]
        assert found["totalCount"] == 5
        seen += [one["id"] for one in found["nodes"]]
        cursor = found["pageInfo"]["endCursor"]
        if not found["pageInfo"]["hasNextPage"]:
            break
    assert seen == ids[::-1]


async def test_who_sees_an_order(api: Store) -> None:
    customer = await api.funded("100.00")
    told = api.order(customer, "80.00")
    order = await api.record(told)
    by_id = "query ($id: ID!) { order(by: {id: $id}) { id } node(id: $id) { id } }"
    for caller in (ADMINISTRATOR, SUPPORT, FINANCE, Caller(customer["storeCustomerId"])):
        assert (await api.found(told, caller))["id"] == order["id"]
        data = (await api.execute(by_id, {"id": order["id"]}, caller)).data
        assert data == {"order": {"id": order["id"]}, "node": {"id": order["id"]}}
    stranger = Caller(fresh("stranger"))
    assert await api.found(told, stranger) is None
    assert (await api.execute(by_id, {"id": order["id"]}, stranger)).data == {"order": None, "node": None}
    assert (await api.execute(by_id, {"id": order["id"]}, ANONYMOUS)).codes == ["UNAUTHENTICATED"] * 2
    assert (await api.execute("{ orders { totalCount } }", None, stranger)).code == "FORBIDDEN"


async def test_everything_that_an_order_did_in_one_query(api: Store) -> None:
    customer = await api.funded("100.00")
    told = api.order(customer, "80.00", number="A-18")
    await api.authorize(customer, told)
    await api.record(told, status="PAID")
    await api.refund(told, "30.00", note="One lamp of order A-18 arrived broken", caller=SUPPORT)
    order = await api.found(told)
    said = [
        (one["kind"], one["direction"], one["amount"]["amount"], one["actor"]["id"], one["note"])
        for one in order["transactions"]["nodes"]
    ]
    assert said == [
        ("PURCHASE", "DEBIT", "80.00", "ann", "Order A-18"),
        ("REFUND", "CREDIT", "30.00", "sue", "Refund of order A-18: One lamp of order A-18 arrived broken"),
    ]
    mine = await api.found(told, Caller(customer["storeCustomerId"]))
    assert {one["actor"]["id"] for one in mine["transactions"]["nodes"]} == {None}
    assert named(mine) == named(told)
