"""What customers and staff see of the clock's work: facts of customers, what expires soon, reminders; and top-ups."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.jobs import work_off
from tests.api.store import (
    ADMINISTRATOR,
    CUSTOMER,
    SERVICE,
    SUPPORT,
    TOP_UP,
    Caller,
    JsonObject,
    Store,
    fresh,
)
from tests.api.test_statements import SPLITS_MAX, counted

EXPIRING = """
  expiringSoon(days: 30) {
    amount { amount } days { day amount { amount } values { bucket amount { amount } expiresAt } }
  }
"""
REMINDERS = "expiryReminders { totalCount nodes { id amount { amount } expiresOn expiresAt wallet { id } } }"
PERSONAL = ("birthday", "roles", "segments")


def noon(days: int) -> datetime:
    """Noon, so many days from now: no test stands on the edge of a day."""
    today = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    return today + timedelta(days=days)


async def told(api: Store, **facts: Any) -> JsonObject:
    """A customer of whom this is known."""
    return await api.customer(**facts)


async def asked(api: Store, customer: JsonObject, fields: str, caller: Caller) -> JsonObject | None:
    query = f"query ($name: String!) {{ wallet(by: {{storeCustomerId: $name}}) {{ {fields} }} }}"
    answer = await api.execute(query, {"name": customer["storeCustomerId"]}, caller)
    wallet: JsonObject | None = answer.data["wallet"]
    return wallet


# --- customers ----------------------------------------------------------------------------------------------


async def test_facts_of_customers_are_kept_changed_and_taken_away(api: Store) -> None:
    facts = {
        "birthday": "1988-02-29",
        "roles": ["wholesale", "wholesale", "vip"],
        "segments": ["newsletter"],
        "signedUpAt": "2019-05-01T00:00:00.000000Z",
    }
    customer = await told(api, **facts)
    assert {name: customer[name] for name in facts} == {**facts, "roles": ["wholesale", "vip"]}
    name = customer["storeCustomerId"]
    # What is left out stays, and what is null is taken away.
    updated = (await api.done("updateCustomer", {"storeCustomerId": name, "roles": []}))["customer"]
    assert (updated["birthday"], updated["roles"], updated["segments"]) == (
        "1988-02-29",
        [],
        ["newsletter"],
    )
    bare = (await api.done("registerCustomer", {"storeCustomerId": name, "birthday": None}))["customer"]
    assert (bare["birthday"], bare["segments"], bare["signedUpAt"]) == (
        None,
        ["newsletter"],
        facts["signedUpAt"],
    )


async def test_who_sees_what_is_personal(api: Store) -> None:
    customer = await told(api, birthday="1988-02-29", roles=["vip"], segments=["late payer"])
    name = customer["storeCustomerId"]
    reads_wallets = await api.role("WALLETS_READ")
    wallets_only = Caller("wally", (reads_wallets["name"],))
    seen = {
        "staff": await asked(api, customer, f"customer {CUSTOMER}", SUPPORT),
        "oneself": await asked(api, customer, f"customer {CUSTOMER}", Caller(name)),
        "wallets only": await asked(api, customer, f"customer {CUSTOMER}", wallets_only),
        "a stranger": await asked(api, customer, f"customer {CUSTOMER}", Caller(fresh("stranger"))),
    }
    shown = {who: wallet and [wallet["customer"][fact] for fact in PERSONAL] for who, wallet in seen.items()}
    assert shown == {
        "staff": ["1988-02-29", ["vip"], ["late payer"]],
        "oneself": ["1988-02-29", None, None],
        "wallets only": [None, None, None],
        "a stranger": None,
    }


@pytest.mark.parametrize("bad", ["29.02.1988", "1987-02-29", "19870517", "2024-1-1", "", 19870517])
async def test_days_are_written_in_one_way(api: Store, bad: Any) -> None:
    query = (
        "mutation ($input: RegisterCustomerInput!) { registerCustomer(input: $input) { customer { id } } }"
    )
    before = await api.digest()
    answer = await api.execute(query, {"input": {"storeCustomerId": fresh(), "birthday": bad}})
    assert answer.code == "BAD_USER_INPUT"
    assert await api.digest() == before


# --- what expires -------------------------------------------------------------------------------------------


async def test_what_expires_soon_day_by_day(api: Store) -> None:
    customer = await api.customer()
    for amount, bucket, days in (
        ("1.00", "CASH", 9),
        ("2.00", "PROMO", 3),
        ("4.00", "CASH", 3),
        ("8.00", "PROMO", 3),
        ("16.00", "PROMO", 40),
    ):
        await api.adjust(customer, amount, bucket=bucket, expiresAt=noon(days).isoformat())
    await api.adjust(customer, "32.00")
    wallet = await asked(api, customer, EXPIRING, Caller(customer["storeCustomerId"]))
    assert wallet is not None
    soon = wallet["expiringSoon"]
    assert soon["amount"]["amount"] == "15.00"
    assert [(day["day"], day["amount"]["amount"]) for day in soon["days"]] == [
        (noon(3).date().isoformat(), "14.00"),
        (noon(9).date().isoformat(), "1.00"),
    ]
    values = {(value["bucket"], value["amount"]["amount"]) for value in soon["days"][0]["values"]}
    assert values == {("PROMO", "10.00"), ("CASH", "4.00")}
    # What is held is promised, and doesn't expire.
    await api.withdrawal(customer, "4.00")
    later = await asked(api, customer, EXPIRING, ADMINISTRATOR)
    assert later is not None
    assert later["expiringSoon"]["amount"]["amount"] == "11.00"


@pytest.mark.parametrize("days", [0, -1, 367])
async def test_how_many_days_are_soon(api: Store, days: int) -> None:
    customer = await api.customer()
    query = "query ($name: String!, $days: Int!) { wallet(by: {storeCustomerId: $name}) { expiringSoon(days: $days) { amount { amount } } } }"
    answer = await api.execute(query, {"name": customer["storeCustomerId"], "days": days})
    assert answer.code == "BAD_USER_INPUT"


async def test_reminders_are_seen_by_the_customer_and_staff(api: Store) -> None:
    customer = await api.customer()
    await api.adjust(customer, "5.00", bucket="PROMO", expiresAt=noon(3).isoformat())
    # The server's own clock may have reminded already: what counts is that it did so once.
    await work_off(api.app.state.runtime, "remind-of-expiry")
    for caller in (Caller(customer["storeCustomerId"]), SUPPORT):
        wallet = await asked(api, customer, REMINDERS, caller)
        assert wallet is not None
        (reminder,) = wallet["expiryReminders"]["nodes"]
        assert wallet["expiryReminders"]["totalCount"] == 1
        assert (reminder["amount"]["amount"], reminder["expiresOn"]) == ("5.00", noon(3).date().isoformat())
        node = "query ($id: ID!) { node(id: $id) { __typename id } }"
        found = await api.execute(node, {"id": reminder["id"]}, caller)
        assert found.data["node"] == {"__typename": "ExpiryReminder", "id": reminder["id"]}
        stranger = await api.execute(node, {"id": reminder["id"]}, Caller(fresh("stranger")))
        assert stranger.data["node"] is None


async def test_fifty_wallets_cost_as_many_statements_as_one(api: Store) -> None:
    fields = f"{EXPIRING} {REMINDERS} topUps(first: 2) {{ totalCount nodes {TOP_UP} }}"
    query = f"query ($first: Int!) {{ wallets(first: $first) {{ nodes {{ id {fields} }} }} }}"
    for _ in range(12):
        customer = await api.customer()
        await api.adjust(customer, "5.00", expiresAt=noon(4).isoformat())
        await top_up(api, customer, "3.00")
    await work_off(api.app.state.runtime, "remind-of-expiry")
    costs = []
    for first in (1, 12):
        with counted() as statements:
            await api.execute(query, {"first": first})
        costs.append(len(statements.sent))
    assert costs[1] <= costs[0] + SPLITS_MAX, costs


# --- top-ups ------------------------------------------------------------------------------------------------


async def top_up(api: Store, customer: JsonObject, paid: str, **more: Any) -> JsonObject:
    """Tell of money that was paid in."""
    input_ = {
        "wallet": {"storeCustomerId": customer["storeCustomerId"]},
        "source": "woocommerce",
        "externalId": fresh("top-up"),
        "paid": api.money(paid),
        "idempotencyKey": fresh("key"),
    }
    caller = more.pop("caller", SERVICE)
    payload = await api.done("recordTopUp", {**input_, **more}, caller)
    return {**payload["topUp"], "balance": payload["wallet"]["balance"]["amount"]}


async def test_a_top_up_with_a_coupon_and_its_refund(api: Store) -> None:
    customer, id_ = await api.customer(), fresh("top-up")
    first = await top_up(api, customer, "80.00", faceValue=api.money("100.00"), externalId=id_)
    assert (first["credited"]["amount"], first["balance"]) == ("80.00", "80.00")
    assert first["transaction"]["counterAccount"] == "FUNDING"
    again = await top_up(api, customer, "80.00", faceValue=api.money("100.00"), externalId=id_)
    assert {**again, "balance": first["balance"]} == first
    await api.adjust(customer, "-50.00")
    back = await top_up(api, customer, "0.00", externalId=id_)
    assert (back["id"], back["credited"]["amount"], back["shortfall"]["amount"]) == (
        first["id"],
        "50.00",
        "50.00",
    )
    (correction,) = back["transaction"]["correctedBy"]
    assert (correction["direction"], correction["amount"]["amount"]) == ("DEBIT", "30.00")
    assert back["balance"] == "0.00"


async def test_who_sees_top_ups(api: Store) -> None:
    customer = await api.customer()
    paid = [(await top_up(api, customer, f"{number}.00"))["id"] for number in (1, 2, 3)]
    fields = "topUps(first: 2) { totalCount nodes { id } pageInfo { hasNextPage endCursor } }"
    wallet = await asked(api, customer, fields, Caller(customer["storeCustomerId"]))
    assert wallet is not None
    assert [node["id"] for node in wallet["topUps"]["nodes"]] == [paid[2], paid[1]]
    assert wallet["topUps"]["totalCount"] == 3
    cursor = wallet["topUps"]["pageInfo"]["endCursor"]
    rest = await asked(api, customer, f'topUps(after: "{cursor}") {{ nodes {{ id }} }}', SUPPORT)
    assert rest == {"topUps": {"nodes": [{"id": paid[0]}]}}
    assert await asked(api, customer, fields, Caller(fresh("stranger"))) is None


async def test_an_event_is_told_once_whatever_the_key(api: Store) -> None:
    customer = await api.customer()
    told_ = {"storeCustomerId": customer["storeCustomerId"], "event": "review", "eventId": fresh("review")}
    first = await api.done("recordEvent", {**told_, "occurredAt": noon(-3).isoformat()}, SERVICE)
    before = await api.digest()
    again = await api.done("recordEvent", told_, SERVICE)
    assert again["event"] == first["event"]
    if api.dialect == "postgres":
        # SQLite's file changes with any commit, also with one that writes nothing new.
        assert await api.digest() == before
    newcomer = {**told_, "storeCustomerId": fresh("newcomer")}
    other = await api.done("recordEvent", newcomer, SERVICE)
    assert other["event"]["id"] != first["event"]["id"]
