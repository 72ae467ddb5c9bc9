"""Subscriptions renewed from the wallet."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.api.store import ADMINISTRATOR, RENEWAL, SUPPORT, Caller, JsonObject, Store, fresh, named


def renewal(api: Store, customer: JsonObject, amount: str = "30.00", **more: Any) -> JsonObject:
    """A renewal to charge."""
    return {
        "wallet": {"storeCustomerId": customer["storeCustomerId"]},
        "order": {"source": "shop", "externalId": fresh("order")},
        "subscription": fresh("sub"),
        "amount": api.money(amount),
        "idempotencyKey": fresh("key"),
        **more,
    }


async def charge(api: Store, input_: JsonObject) -> tuple[str, str]:
    """Charge it again, with a key of its own; what was taken by now, and what is short."""
    payload = await api.done("chargeRenewal", {**input_, "idempotencyKey": fresh("key")})
    return payload["taken"]["amount"], payload["shortfall"]["amount"]


async def refusal(api: Store, mutation: str, input_: JsonObject) -> str:
    """The code of a refusal that leaves no trace."""
    before = await api.digest()
    payload = await api.mutate(mutation, {**input_, "idempotencyKey": fresh("key")})
    assert await api.digest() == before
    (error,) = payload["userErrors"]
    return str(error["code"])


async def balance(api: Store, customer: JsonObject) -> str:
    """What is left."""
    return str((await api.wallet(customer))["balance"]["amount"])


async def test_charged(api: Store) -> None:
    customer = await api.funded("100.00")
    asked = renewal(api, customer)
    payload = await api.done("chargeRenewal", asked)
    order = payload["order"]
    assert (payload["taken"]["amount"], payload["shortfall"]["amount"]) == ("30.00", "0.00")
    assert (payload["wallet"]["balance"]["amount"], order["payments"][0]["origin"]) == ("70.00", "RENEWAL")
    # A retry with another key takes nothing more; the store's word of it neither.
    assert await charge(api, asked) == ("30.00", "0.00")
    subscription = {"reference": asked["subscription"], "isRenewal": True}
    told = {**api.order(customer, "30.00"), **asked["order"]}
    await api.record(told, status="PAID", paymentMethod="wallet", subscription=subscription)
    assert await balance(api, customer) == "70.00"


async def test_in_full_or_not_at_all(api: Store) -> None:
    customer = await api.funded("20.00")
    assert await refusal(api, "chargeRenewal", renewal(api, customer)) == "INSUFFICIENT_FUNDS"


async def test_as_far_as_it_goes(api: Store) -> None:
    customer = await api.funded("20.00")
    asked = renewal(api, customer)
    await api.set_settings(renewalPolicy="AS_FAR_AS_IT_GOES")
    try:
        assert await charge(api, asked) == ("20.00", "10.00")
        order = await api.found(asked["order"])
        assert (order["problem"], order["shortfall"]["amount"]) == ("SHORTFALL", "10.00")
        await api.adjust(customer, "15.00")
        assert await charge(api, asked) == ("30.00", "0.00")
        order = await api.found(asked["order"])
        assert (order["problem"], order["shortfall"]["amount"]) == (None, "0.00")
    finally:
        await api.set_settings(renewalPolicy="IN_FULL")
    assert await balance(api, customer) == "5.00"


async def test_not_paid_from_wallets(api: Store) -> None:
    customer = await api.funded("100.00")
    await api.set_settings(renewalPolicy="NOT_AT_ALL")
    try:
        before = await api.digest()
        payload = await api.mutate("chargeRenewal", renewal(api, customer))
        assert await api.digest() == before
    finally:
        await api.set_settings(renewalPolicy="IN_FULL")
    (error,) = payload["userErrors"]
    assert (error["code"], error["field"]) == ("RENEWAL_NOT_CHARGED", None)


@pytest.mark.parametrize(("method", "left"), [("wallet", "70.00"), ("card", "100.00")])
async def test_by_the_stores_word(api: Store, method: str, left: str) -> None:
    customer = await api.funded("100.00")
    subscription = {"reference": fresh("sub"), "isRenewal": True}
    told = api.order(customer, "30.00", paymentMethod=method, subscription=subscription)
    for status in ("PENDING", "PAID", "COMPLETED"):
        order = await api.record(told, status=status)
        assert order["subscription"] == subscription
    assert await balance(api, customer) == left


# --- announced ----------------------------------------------------------------------------------------------

MINE = f"query ($before: DateTime) {{ viewer {{ wallet {{ upcomingRenewals(dueBefore: $before) {{ totalCount nodes {RENEWAL} }} }} }} }}"


def announcement(api: Store, customer: JsonObject, amount: str = "30.00", **more: Any) -> JsonObject:
    """A renewal to come."""
    return {
        "wallet": {"storeCustomerId": customer["storeCustomerId"]},
        "source": "shop",
        "subscription": fresh("sub"),
        "amount": api.money(amount),
        "dueAt": datetime(2031, 5, 1, tzinfo=UTC).isoformat(),
        "description": "Coffee of the month",
        **more,
    }


async def mine(api: Store, customer: JsonObject, before: str | None = None) -> list[JsonObject]:
    """What the customer sees of what is to come."""
    answer = await api.execute(MINE, {"before": before}, Caller(customer["storeCustomerId"]))
    found = answer.data["viewer"]["wallet"]["upcomingRenewals"]
    assert found["totalCount"] == len(found["nodes"])
    nodes: list[JsonObject] = found["nodes"]
    return nodes


async def test_announced(api: Store) -> None:
    customer = await api.funded("20.00")
    later = announcement(api, customer, "5.00", dueAt="2031-06-01T00:00:00Z")
    first = announcement(api, customer)
    for one in (later, first):
        await api.done("announceRenewal", one)
    shown = await mine(api, customer)
    assert [(one["description"], one["amount"]["amount"], one["short"]["amount"]) for one in shown] == [
        ("Coffee of the month", "30.00", "10.00"),
        ("Coffee of the month", "5.00", "0.00"),
    ]
    assert len(await mine(api, customer, "2031-05-15T00:00:00Z")) == 1
    # A later announcement takes the place of an earlier one.
    await api.done("announceRenewal", {**first, "amount": api.money("12.00")})
    assert [one["amount"]["amount"] for one in await mine(api, customer)] == ["12.00", "5.00"]
    await api.done("cancelRenewal", {"source": "shop", "subscription": later["subscription"]})
    assert [one["amount"]["amount"] for one in await mine(api, customer)] == ["12.00"]


async def test_charged_and_announced_anew(api: Store) -> None:
    customer = await api.funded("100.00")
    told = announcement(api, customer)
    await api.done("announceRenewal", told)
    await api.done("chargeRenewal", renewal(api, customer, subscription=told["subscription"]))
    assert await mine(api, customer) == []
    payload = await api.done("announceRenewal", {**told, "dueAt": "2031-07-01T00:00:00Z"})
    assert payload["renewal"]["status"] == "UPCOMING"
    assert len(await mine(api, customer)) == 1


async def test_while_the_wallet_is_frozen_all_of_it_is_short(api: Store) -> None:
    customer = await api.funded("100.00")
    await api.done("announceRenewal", announcement(api, customer))
    await api.freeze(customer)
    assert [one["short"]["amount"] for one in await mine(api, customer)] == ["30.00"]


async def test_who_sees_them(api: Store) -> None:
    customer = await api.funded("100.00")
    told = announcement(api, customer)
    id_ = (await api.done("announceRenewal", told))["renewal"]["id"]
    query = "query ($id: ID!) { node(id: $id) { ... on Renewal { id short { amount } } } }"
    for caller in (ADMINISTRATOR, SUPPORT, Caller(customer["storeCustomerId"])):
        assert (await api.execute(query, {"id": id_}, caller)).data["node"]["id"] == id_
    assert (await api.execute(query, {"id": id_}, Caller(fresh("stranger")))).data["node"] is None
    listed = '{ renewals(first: 100, dueBefore: "2031-05-02T00:00:00Z") { nodes { id dueAt } } }'
    nodes = (await api.execute(listed, None, SUPPORT)).data["renewals"]["nodes"]
    assert id_ in {one["id"] for one in nodes}
    assert [one["dueAt"] for one in nodes] == sorted(one["dueAt"] for one in nodes)
    assert (await api.execute(listed, None, Caller(customer["storeCustomerId"]))).code == "FORBIDDEN"


async def test_an_order_that_is_known_by_its_renewal(api: Store) -> None:
    customer = await api.funded("100.00")
    asked = renewal(api, customer)
    await api.done("chargeRenewal", asked)
    order = await api.found(asked["order"], Caller(customer["storeCustomerId"]))
    assert (order["paymentState"], order["leftToPay"], named(order)) == ("PAID", None, asked["order"])
