"""Paying orders with the wallet: the cases of a checkout, each through the API."""

import asyncio
from datetime import timedelta
from typing import Any

from app.domain.payment import PAYMENTS_MAX
from app.jobs import work_off
from tests.api.store import (
    ADMINISTRATOR,
    ERRORS,
    MONEY,
    PAYMENT,
    SUPPORT,
    Caller,
    JsonObject,
    Store,
    fresh,
    named,
)


def amounts(holder: JsonObject, *names: str) -> tuple[str, ...]:
    """Some amounts of an object."""
    return tuple(holder[name]["amount"] for name in names)


async def balance(api: Store, customer: JsonObject) -> tuple[str, ...]:
    """What is posted, held and available."""
    return amounts(await api.wallet(customer), "balance", "held", "available")


async def refusal(api: Store, mutation: str, input_: JsonObject, caller: Caller = ADMINISTRATOR) -> str:
    """The code of a refusal that leaves no trace."""
    before = await api.digest()
    payload = await api.mutate(mutation, {"idempotencyKey": fresh("key"), **input_}, caller)
    assert await api.digest() == before
    (error,) = payload["userErrors"]
    return str(error["code"])


# --- the cases of a checkout --------------------------------------------------------------------------------


async def test_paid(api: Store) -> None:
    customer = await api.funded("100.00")
    told = api.order(customer, "80.00")
    payment = await api.authorize(customer, told)
    assert (payment["status"], *amounts(payment, "authorized", "held")) == ("AUTHORIZED", "80.00", "80.00")
    assert await balance(api, customer) == ("100.00", "80.00", "20.00")
    order = await api.found(told)
    assert (order["status"], order["paymentState"], order["total"]) == ("PENDING", "AUTHORIZED", None)

    order = await api.record(told, status="PAID")

    assert (order["paymentState"], *amounts(order, "walletPaid", "leftToPay")) == ("PAID", "80.00", "0.00")
    assert await balance(api, customer) == ("20.00", "0.00", "20.00")
    (payment,) = order["payments"]
    assert (payment["status"], payment["origin"], payment["endedBy"]) == ("CAPTURED", "CHECKOUT", None)
    (moved,) = payment["transactions"]["nodes"]
    assert (moved["kind"], moved["direction"], moved["amount"]["amount"]) == ("PURCHASE", "DEBIT", "80.00")


async def test_in_one_step(api: Store) -> None:
    customer = await api.funded("100.00")
    told = api.order(customer, "80.00")
    payment = await api.pay(customer, told, "80.00")
    assert (payment["status"], payment["captured"]["amount"]) == ("CAPTURED", "80.00")
    order = await api.record(told, status="PAID")
    assert (order["paymentState"], len(order["transactions"]["nodes"])) == ("PAID", 1)


async def test_partly_paid_with_another_method(api: Store) -> None:
    customer = await api.funded("100.00")
    told = api.order(customer, "150.00")
    payment = await api.authorize(customer, told)
    assert amounts(payment, "authorized") == ("100.00",), "as much as there is"
    order = await api.record(told)
    assert (order["paymentState"], *amounts(order, "leftToPay", "walletAuthorized")) == (
        "AUTHORIZED",
        "50.00",
        "100.00",
    )
    order = await api.record(told, status="PAID", paidOtherwise="50.00", paymentMethod="card")
    assert (order["paymentState"], *amounts(order, "walletPaid", "paidOtherwise", "leftToPay")) == (
        "PAID",
        "100.00",
        "50.00",
        "0.00",
    )
    assert await balance(api, customer) == ("0.00", "0.00", "0.00")


async def test_another_method_failed(api: Store) -> None:
    customer = await api.funded("100.00")
    told = api.order(customer, "150.00")
    await api.authorize(customer, told, "60.00")
    order = await api.record(told, status="FAILED")
    (payment,) = order["payments"]
    assert (order["paymentState"], payment["status"], payment["endedBy"]) == ("UNPAID", "VOIDED", "ORDER")
    assert await balance(api, customer) == ("100.00", "0.00", "100.00")

    await api.authorize(customer, told, "70.00")
    order = await api.record(told, status="PAID")

    assert (order["paymentState"], order["problem"]) == ("PAID", None)
    assert await balance(api, customer) == ("30.00", "0.00", "30.00")


async def test_cancelled_before_capture(api: Store) -> None:
    customer = await api.funded("100.00")
    told = api.order(customer, "80.00")
    await api.authorize(customer, told)
    order = await api.record(told, status="CANCELLED")
    assert order["payments"][0]["status"] == "VOIDED"
    assert await balance(api, customer) == ("100.00", "0.00", "100.00")
    # What was told before, and comes late, changes nothing.
    late = (await api.done("recordOrder", {**told, "status": "PAID"}))["order"]
    assert (late["status"], late["paymentState"]) == ("CANCELLED", "UNPAID")
    assert await balance(api, customer) == ("100.00", "0.00", "100.00")


async def test_cancelled_after_capture(api: Store) -> None:
    customer = await api.funded("100.00")
    told = api.order(customer, "80.00")
    await api.pay(customer, told)
    order = await api.record(told, status="CANCELLED")
    assert (order["paymentState"], order["refundState"]) == ("RETURNED", "NONE")
    assert amounts(order, "walletPaid", "walletReturned") == ("80.00", "80.00")
    assert await balance(api, customer) == ("100.00", "0.00", "100.00")


async def test_captured_less_than_authorized(api: Store) -> None:
    customer = await api.funded("100.00")
    payment = await api.authorize(customer, api.order(customer, "80.00"))
    payment = await api.capture(payment, "30.00")
    assert (payment["status"], payment["endedBy"]) == ("CAPTURED", "REQUEST")
    assert amounts(payment, "captured", "held") == ("30.00", "0.00")
    assert await balance(api, customer) == ("70.00", "0.00", "70.00")


async def test_several_captures_up_to_the_hold(api: Store) -> None:
    customer = await api.funded("100.00")
    told = api.order(customer, "80.00")
    payment = await api.authorize(customer, told, captureMethod="MANUAL", caller=ADMINISTRATOR)
    for taken, held, status in (
        ("30.00", "50.00", "PARTIALLY_CAPTURED"),
        ("49.99", "0.01", "PARTIALLY_CAPTURED"),
    ):
        payment = await api.capture(payment, taken, final=False)
        assert (payment["status"], payment["held"]["amount"]) == (status, held)
    order = await api.found(told)
    assert order["paymentState"] == "PARTIALLY_PAID"
    more = {"paymentId": payment["id"], "amount": api.money("0.02")}
    assert await refusal(api, "capturePayment", more) == "PAYMENT_EXCEEDED"
    payment = await api.capture(payment, "0.01", final=False)
    assert (payment["status"], payment["captured"]["amount"]) == ("CAPTURED", "80.00")
    assert await refusal(api, "capturePayment", {"paymentId": payment["id"]}) == "PAYMENT_NOT_OPEN"
    assert await balance(api, customer) == ("20.00", "0.00", "20.00")


async def test_order_edited_down_and_up(api: Store) -> None:
    customer = await api.funded("100.00")
    told = api.order(customer, "80.00")
    await api.authorize(customer, told)
    await api.record(told, status="PAID")
    for total, left in (("60.00", "40.00"), ("70.00", "30.00"), ("80.00", "20.00"), ("90.00", "20.00")):
        order = await api.record(told, status="PAID", total=total)
        assert await balance(api, customer) == (left, "0.00", left), "never more than was authorized"
        assert order["problem"] is None


async def test_tax_finalised_later(api: Store) -> None:
    customer = await api.funded("100.00")
    told = api.order(customer, "80.00")
    await api.authorize(customer, told)
    order = await api.record(told, status="PAID", total="78.4351", tax="6.125")
    assert amounts(order, "total", "tax", "walletPaid") == ("78.44", "6.13", "78.44")
    assert await balance(api, customer) == ("21.56", "0.00", "21.56")


async def test_two_carts_at_once_on_one_balance(api: Store) -> None:
    customer = await api.funded("100.00")
    caller = Caller(customer["storeCustomerId"])

    def cart() -> JsonObject:
        told = named(api.order(customer)) | {"total": api.money("80.00")}
        return {"order": told, "amount": api.money("80.00"), "idempotencyKey": fresh("key")}

    both = await asyncio.gather(*(api.mutate("authorizePayment", cart(), caller) for _ in range(2)))
    codes = sorted(error["code"] for payload in both for error in payload["userErrors"])
    assert codes == ["INSUFFICIENT_FUNDS"]
    assert await balance(api, customer) == ("100.00", "80.00", "20.00")


async def test_back_button_and_double_click(api: Store) -> None:
    customer = await api.funded("100.00")
    told = api.order(customer, "80.00")
    first = await api.authorize(customer, told)
    # The back button: another key for the same order. What was held for it before is given back in the same step.
    second = await api.authorize(customer, told, "70.00")
    assert await balance(api, customer) == ("100.00", "70.00", "30.00")
    order = await api.found(told)
    assert [(one["id"], one["status"]) for one in order["payments"]] == [
        (first["id"], "VOIDED"),
        (second["id"], "AUTHORIZED"),
    ]
    # The double click: two requests at once, each with a key of its own.
    await asyncio.gather(*(api.authorize(customer, told, "60.00") for _ in range(2)))
    assert await balance(api, customer) == ("100.00", "60.00", "40.00")
    await api.record(told, status="PAID")
    assert await balance(api, customer) == ("40.00", "0.00", "40.00")


async def test_an_order_is_not_authorized_without_end(api: Store) -> None:
    customer = await api.funded("100.00")
    told = api.order(customer, "80.00")
    await api.record(told)
    for _ in range(PAYMENTS_MAX):
        await api.authorize(customer, told, "1.00")
    input_ = {"order": named(told), "amount": api.money("1.00")}
    caller = Caller(customer["storeCustomerId"])
    for mutation in ("authorizePayment", "payOrder"):
        assert await refusal(api, mutation, input_, caller) == "LIMIT_REACHED"


async def test_capture_after_expiry(api: Store) -> None:
    customer = await api.funded("100.00")
    told = api.order(customer, "80.00")
    payment = await api.authorize(customer, told, lifetimeMinutes=1)
    with api.moved(minutes=2) as then:
        assert await refusal(api, "capturePayment", {"paymentId": payment["id"]}) == "PAYMENT_NOT_OPEN"
        await work_off(then, "expire-payments")
        order = await api.found(told)
        (payment,) = order["payments"]
        assert (order["paymentState"], payment["status"], payment["endedBy"]) == (
            "UNPAID",
            "EXPIRED",
            "EXPIRY",
        )
        assert await balance(api, customer) == ("100.00", "0.00", "100.00")
        # The store took the order for paid; by what, it does not say.
        order = await api.record(told, status="PAID")
        assert [one["origin"] for one in order["payments"]] == ["CHECKOUT"]
        assert await balance(api, customer) == ("100.00", "0.00", "100.00")
        # Now it says that nobody else paid it.
        order = await api.record(told, status="PAID", paidOtherwise="0.00")
        assert [one["origin"] for one in order["payments"]] == ["CHECKOUT", "ORDER"]
        assert await balance(api, customer) == ("20.00", "0.00", "20.00")


async def test_of_some_kinds_of_value_only(api: Store) -> None:
    customer = await api.funded("50.00")
    await api.adjust(customer, "30.00", bucket="PROMO")
    told = api.order(customer, "100.00")
    payment = await api.authorize(customer, told, buckets=["PROMO"])
    assert (payment["buckets"], payment["authorized"]["amount"]) == (["PROMO"], "30.00")
    buckets = {one["bucket"]: one["held"]["amount"] for one in (await api.wallet(customer))["buckets"]}
    assert buckets == {"PROMO": "30.00", "CASH": "0.00"}


async def test_only_those_who_may_capture_say_that_a_payment_waits_for_it(api: Store) -> None:
    customer = await api.funded("100.00")
    told = api.order(customer, "80.00")
    assert (await api.authorize(customer, told, captureMethod="MANUAL"))["captureMethod"] == "AUTOMATIC"
    payment = await api.authorize(customer, told, captureMethod="MANUAL", caller=ADMINISTRATOR)
    assert payment["captureMethod"] == "MANUAL"
    order = await api.record(told, status="PAID")
    assert order["walletAuthorized"]["amount"] == "80.00"


async def test_captured_when_it_is_completed(api: Store) -> None:
    customer = await api.funded("100.00")
    told = api.order(customer, "80.00")
    await api.authorize(customer, told)
    await api.set_settings(captureOn="COMPLETED")
    try:
        order = await api.record(told, status="PAID")
        assert amounts(order, "walletAuthorized", "walletPaid") == ("80.00", "0.00")
        order = await api.record(told, status="COMPLETED")
        assert amounts(order, "walletAuthorized", "walletPaid") == ("0.00", "80.00")
    finally:
        await api.set_settings(captureOn="PAID")


async def test_the_store_says_how_long(api: Store) -> None:
    customer = await api.funded("100.00")
    await api.set_settings(paymentHoldMinutes=30)
    try:
        payment = await api.authorize(customer, api.order(customer))
    finally:
        await api.set_settings(paymentHoldMinutes=1440)
    created, expires = (
        timedelta(hours=int(text[11:13]), minutes=int(text[14:16]))
        for text in (payment["createdAt"], payment["expiresAt"])
    )
    assert (expires - created) % timedelta(days=1) == timedelta(minutes=30)


async def test_without_a_wallet_of_ones_own_one_names_it(api: Store) -> None:
    key = await api.api_key("PAYMENTS_WRITE")
    answer = await api.client.post(
        "/graphql",
        json={
            "query": f"mutation ($input: PayOrderInput!) {{ payOrder(input: $input) {{ {ERRORS} }} }}",
            "variables": {
                "input": {
                    "order": {"source": "shop", "externalId": "1"},
                    "amount": api.money("1.00"),
                    "idempotencyKey": fresh("key"),
                }
            },
        },
        headers={"authorization": f"Bearer {key['secret']}"},
    )
    (error,) = api.checked(answer).data["payOrder"]["userErrors"]
    assert (error["code"], error["field"]) == ("FIELD_INVALID", ["wallet"])


async def test_each_mutation_of_a_request_is_answered_by_what_is_there_after_it(api: Store) -> None:
    customer = await api.funded("100.00")
    told = api.order(customer, "80.00")
    await api.record(told)
    told = named(told) | {"total": api.money("80.00")}
    one = f"wallet {{ buckets {{ held {MONEY} }} }} payment {{ order {{ payments {{ status }} }} }}"
    query = (
        "mutation ($a: AuthorizePaymentInput!, $b: PayOrderInput!) "
        f"{{ a: authorizePayment(input: $a) {{ {one} }} b: payOrder(input: $b) {{ {one} }} }}"
    )
    inputs: dict[str, Any] = {name: {"order": told, "idempotencyKey": fresh("key")} for name in "ab"}
    data = (await api.execute(query, inputs, Caller(customer["storeCustomerId"]))).data
    assert data["a"]["wallet"]["buckets"][0]["held"]["amount"] == "80.00"
    assert data["b"]["wallet"]["buckets"][0]["held"]["amount"] == "0.00"
    assert [len(data[name]["payment"]["order"]["payments"]) for name in "ab"] == [1, 2]


# --- seeing them --------------------------------------------------------------------------------------------

ONE = f"query ($by: PaymentSelector!) {{ payment(by: $by) {PAYMENT} }}"


async def test_by_id_and_by_reference(api: Store) -> None:
    customer = await api.funded("100.00")
    payment = await api.authorize(customer, api.order(customer))
    selectors = ({"id": payment["id"]}, {"reference": payment["reference"].lower()})
    for selector in selectors:
        for caller in (ADMINISTRATOR, SUPPORT, Caller(customer["storeCustomerId"])):
            found = (await api.execute(ONE, {"by": selector}, caller)).data["payment"]
            assert found["id"] == payment["id"]
        assert (await api.execute(ONE, {"by": selector}, Caller(fresh("stranger")))).data["payment"] is None


async def test_lists(api: Store) -> None:
    customer = await api.funded("100.00")
    ids = [(await api.authorize(customer, api.order(customer), "10.00"))["id"] for _ in range(3)]
    await api.capture({"id": ids[0]})
    wallet = (
        "query ($name: String!, $statuses: [PaymentStatus!]) { wallet(by: {storeCustomerId: $name}) "
        "{ payments(statuses: $statuses) { totalCount nodes { id } } } }"
    )
    variables = {"name": customer["storeCustomerId"], "statuses": ["AUTHORIZED"]}
    for caller in (ADMINISTRATOR, Caller(customer["storeCustomerId"])):
        found = (await api.execute(wallet, variables, caller)).data["wallet"]["payments"]
        assert (found["totalCount"], [one["id"] for one in found["nodes"]]) == (2, [ids[2], ids[1]])
    listed = await api.execute("{ payments(first: 100, statuses: [AUTHORIZED, CAPTURED]) { nodes { id } } }")
    assert [one["id"] for one in listed.data["payments"]["nodes"] if one["id"] in ids] == ids[::-1]
    for caller, code in ((Caller(customer["storeCustomerId"]), "FORBIDDEN"), (SUPPORT, None)):
        assert (await api.execute("{ payments { totalCount } }", None, caller)).code == code


async def test_who_may_see_wallets_and_no_orders(api: Store) -> None:
    customer = await api.funded("100.00")
    payment = await api.pay(customer, api.order(customer))
    reader = Caller("rae", ((await api.role("WALLETS_READ"))["name"],))
    query = (
        "query ($name: String!) { wallet(by: {storeCustomerId: $name}) { orders { totalCount } payments { totalCount } "
        "upcomingRenewals { totalCount } transactions { nodes { order { id } } } } }"
    )
    wallet = (await api.execute(query, {"name": customer["storeCustomerId"]}, reader)).data["wallet"]
    assert (wallet["orders"], wallet["payments"], wallet["upcomingRenewals"]) == (None, None, None)
    assert all(one["order"] is None for one in wallet["transactions"]["nodes"])
    assert (await api.execute(ONE, {"by": {"id": payment["id"]}}, reader)).data["payment"] is None


async def test_who_may_see_orders_and_no_wallets(api: Store) -> None:
    customer = await api.funded("100.00")
    payment = await api.pay(customer, api.order(customer))
    reader = Caller("ole", ((await api.role("ORDERS_READ"))["name"],))
    query = (
        "query ($id: ID!) { payment(by: {id: $id}) { wallet { id } transactions { totalCount } "
        "order { externalId wallet { id } customer { id } transactions { totalCount } } } }"
    )
    found = (await api.execute(query, {"id": payment["id"]}, reader)).data["payment"]
    assert (found["wallet"], found["transactions"]) == (None, None)
    assert {found["order"][name] for name in ("wallet", "customer", "transactions")} == {None}
    assert found["order"]["externalId"]
