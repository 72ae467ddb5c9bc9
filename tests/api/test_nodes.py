"""One object at a time: by its id, its reference or its customer; by those who may see it, and by nobody else."""

from typing import Any

import pytest
import pytest_asyncio

from app.schema.types.node import encode_id
from tests.api.mutations import NOBODY, takes_top_ups
from tests.api.store import (
    ADMINISTRATOR,
    ANONYMOUS,
    SUPPORT,
    Caller,
    JsonObject,
    Store,
    assert_helpful,
    fresh,
)

NODE = "query ($id: ID!) { node(id: $id) { __typename id } }"
NODES = "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(api: Store) -> JsonObject:
    """A customer with one of everything."""
    customer = await api.funded("100.00", name="Ada")
    withdrawal = await api.withdrawal(customer)
    told = api.order(customer, "20.00")
    payment = await api.pay(customer, told)
    order = await api.record(told, status="PAID")
    refund = await api.refund(told, "5.00")
    announced = {
        "wallet": {"id": customer["wallet"]["id"]},
        "source": "shop",
        "subscription": fresh("sub"),
        "amount": api.money("5.00"),
        "dueAt": "2031-05-01T00:00:00Z",
    }
    renewal = (await api.done("announceRenewal", announced))["renewal"]
    event = {"storeCustomerId": customer["storeCustomerId"], "event": "review", "eventId": fresh("review")}
    top_up = {
        "wallet": {"id": customer["wallet"]["id"]},
        "source": "shop",
        "externalId": fresh("top-up"),
        "paid": api.money("5.00"),
        "idempotencyKey": fresh("key"),
    }
    await takes_top_ups(api)
    begun = {"amount": api.money("5.00"), "idempotencyKey": fresh("key")}
    rule = {
        "kind": "MONTHLY",
        "dayOfMonth": 1,
        "amount": api.money("5.00"),
        "paymentMethod": "card",
        "paymentToken": "tok-81",
        "idempotencyKey": fresh("key"),
    }
    return {
        "TopUpIntent": (await api.done("startTopUp", begun, Caller(customer["storeCustomerId"])))[
            "topUpIntent"
        ]["id"],
        "AutoTopUp": (await api.done("setAutoTopUp", rule, Caller(customer["storeCustomerId"])))["autoTopUp"][
            "id"
        ],
        "StoreEvent": (await api.done("recordEvent", event))["event"]["id"],
        "TopUp": (await api.done("recordTopUp", top_up))["topUp"]["id"],
        "Order": order["id"],
        "Payment": payment["id"],
        "Refund": refund["id"],
        "Renewal": renewal["id"],
        "paymentReference": payment["reference"],
        "name": customer["storeCustomerId"],
        "Customer": customer["id"],
        "Wallet": customer["wallet"]["id"],
        "Transaction": customer["transaction"]["id"],
        "Withdrawal": withdrawal["id"],
        "reference": customer["transaction"]["reference"],
    }


TYPES = (
    *("Customer", "Wallet", "Transaction", "Withdrawal", "Order", "Payment", "Refund", "Renewal"),
    *("StoreEvent", "TopUp", "TopUpIntent", "AutoTopUp"),
)


@pytest.mark.parametrize("type_name", TYPES)
async def test_every_node_is_found_again(api: Store, world: JsonObject, type_name: str) -> None:
    for caller in (ADMINISTRATOR, SUPPORT, Caller(world["name"])):
        answer = await api.execute(NODE, {"id": world[type_name]}, caller)
        assert answer.data["node"] == {"__typename": type_name, "id": world[type_name]}


@pytest.mark.parametrize("type_name", TYPES)
async def test_not_there_and_not_yours_are_told_alike(api: Store, world: JsonObject, type_name: str) -> None:
    stranger = Caller(fresh("stranger"))
    missing = encode_id(type_name, NOBODY)
    for query, name in ((NODE, "id"), (NODES, "ids")):
        answers = []
        for id_ in (world[type_name], missing):
            answer = await api.execute(query, {name: [id_] if name == "ids" else id_}, stranger)
            answers.append((answer.status, answer.body))
        assert answers[0] == answers[1]
        assert world[type_name] not in str(answers)


async def test_several_keep_their_places(api: Store, world: JsonObject) -> None:
    ids = [world[name] for name in TYPES]
    asked = [ids[3], encode_id("Wallet", NOBODY), *ids, ids[0]]
    answer = await api.execute(NODES, {"ids": asked})
    assert [node and node["id"] for node in answer.data["nodes"]] == [ids[3], None, *ids, ids[0]]
    assert (await api.execute(NODES, {"ids": []})).data["nodes"] == []


async def test_too_many_at_once(api: Store, world: JsonObject) -> None:
    assert len((await api.execute(NODES, {"ids": [world["Wallet"]] * 100})).data["nodes"]) == 100
    answer = await api.execute(NODES, {"ids": [world["Wallet"]] * 101})
    assert (answer.code, answer.errors[0]["extensions"]["argument"]) == ("BAD_USER_INPUT", "ids")
    assert_helpful(answer.message)


BAD_IDS = (
    "",
    " ",
    "garbage",
    "é",
    "\u0000",
    "A" * 200,
    "V2FsbGV0OjE",
    encode_id("Password", NOBODY),
    encode_id("Query", NOBODY),
    "0",
    "=",
)


@pytest.mark.parametrize("id_", BAD_IDS)
async def test_bad_ids(api: Store, id_: str) -> None:
    answer = await api.execute(NODE, {"id": id_})
    assert (answer.code, answer.errors[0]["extensions"]["argument"]) == ("BAD_USER_INPUT", "id")
    assert_helpful(answer.message)
    for query, field in (
        ("query ($id: ID!) { wallet(by: {id: $id}) { id } }", "by.id"),
        ("query ($id: ID!) { wallet(by: {customerId: $id}) { id } }", "by.customerId"),
        ("query ($id: ID!) { customer(by: {id: $id}) { id } }", "by.id"),
        ("query ($id: ID!) { transaction(by: {id: $id}) { id } }", "by.id"),
        ("query ($id: ID!) { order(by: {id: $id}) { id } }", "by.id"),
        ("query ($id: ID!) { payment(by: {id: $id}) { id } }", "by.id"),
        ("query ($id: ID!) { verifyLedger(wallet: {id: $id}) { isClean } }", "wallet.id"),
    ):
        answer = await api.execute(query, {"id": id_})
        assert (answer.code, answer.errors[0]["extensions"]["argument"]) == ("BAD_USER_INPUT", field)


async def test_ids_of_another_type_are_refused(api: Store, world: JsonObject) -> None:
    for type_name in TYPES:
        for root in ("customer", "wallet", "transaction", "order", "payment"):
            query = f"query ($id: ID!) {{ {root}(by: {{id: $id}}) {{ id }} }}"
            answer = await api.execute(query, {"id": world[type_name]})
            assert answer.code == (None if root == type_name.lower() else "BAD_USER_INPUT")


SELECTORS = (
    ("wallet", "id", "Wallet"),
    ("wallet", "customerId", "Customer"),
    ("wallet", "storeCustomerId", "name"),
    ("customer", "id", "Customer"),
    ("customer", "storeCustomerId", "name"),
    ("transaction", "id", "Transaction"),
    ("transaction", "reference", "reference"),
    ("order", "id", "Order"),
    ("payment", "id", "Payment"),
    ("payment", "reference", "paymentReference"),
)


@pytest.mark.parametrize(("root", "selector", "value"), SELECTORS)
async def test_each_selector(api: Store, world: JsonObject, root: str, selector: str, value: str) -> None:
    type_ = "String" if selector in {"storeCustomerId", "reference"} else "ID"
    query = f"query ($value: {type_}!) {{ {root}(by: {{{selector}: $value}}) {{ id }} }}"
    expected = world[root.capitalize()]
    for caller in (ADMINISTRATOR, SUPPORT, Caller(world["name"])):
        assert (await api.execute(query, {"value": world[value]}, caller)).data[root] == {"id": expected}
    stranger = Caller(fresh("stranger"))
    unknown = {
        "name": "nobody has this",
        "reference": "TX-0000-0000-0000",
        "paymentReference": "PY-0000-0000-0000",
    }
    missing = unknown.get(value) or encode_id(value, NOBODY)
    theirs = await api.execute(query, {"value": world[value]}, stranger)
    nobodys = await api.execute(query, {"value": missing}, stranger)
    assert theirs.body == nobodys.body == {"data": {root: None}}
    assert (await api.execute(query, {"value": world[value]}, ANONYMOUS)).code == "UNAUTHENTICATED"


async def test_references_are_read_out_in_any_way(api: Store, world: JsonObject) -> None:
    query = "query ($reference: String!) { transaction(by: {reference: $reference}) { id } }"
    for reference in (world["reference"].lower(), f"  {world['reference']} "):
        assert (await api.execute(query, {"reference": reference})).data["transaction"] == {
            "id": world["Transaction"]
        }
    for reference in ("", "%", "TX-%", "x" * 5000, "é"):
        assert (await api.execute(query, {"reference": reference})).body["data"]["transaction"] is None
    answer = await api.execute(query, {"reference": "TX\u0000"})
    assert answer.code in {None, "BAD_USER_INPUT"}


async def test_the_viewer(api: Store, world: JsonObject) -> None:
    query = "{ viewer { kind subject roles capabilities customer { id } wallet { id } } }"
    nobody: dict[str, Any] = {
        "subject": None,
        "roles": [],
        "capabilities": [],
        "customer": None,
        "wallet": None,
    }
    assert (await api.execute(query, None, ANONYMOUS)).data["viewer"] == {"kind": "ANONYMOUS", **nobody}
    ada = (await api.execute(query, None, Caller(world["name"]))).data["viewer"]
    assert (ada["kind"], ada["wallet"]["id"], ada["customer"]["id"]) == (
        "CUSTOMER",
        world["Wallet"],
        world["Customer"],
    )
    assert ada["capabilities"] == []
    sue = (await api.execute(query, None, SUPPORT)).data["viewer"]
    assert (sue["kind"], sue["roles"]) == ("STAFF", ["support"])
    assert sorted(sue["capabilities"]) == [
        "CASHBACK_READ",
        "CUSTOMERS_READ",
        "GIFT_CARDS_READ",
        "ORDERS_READ",
        "REFUNDS_WRITE",
        "WALLETS_READ",
        "WITHDRAWALS_REQUEST",
    ]
