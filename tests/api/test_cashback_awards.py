"""Cashback that was given, over the API: who sees what of it, and why it is so much, or nothing."""

from datetime import UTC, datetime
from typing import Any

from app.jobs import work_off
from tests.api.store import ADMINISTRATOR, ANONYMOUS, MONEY, SUPPORT, Caller, JsonObject, Store

AWARD = (
    f"id status amount {MONEY} net {MONEY} clawedBack {MONEY} bucket ruleName ruleVersion explanation vestsAt expiresAt "
    f"taken {{ pending {MONEY} unspent {MONEY} owed {MONEY} }} lines {{ lineId base {MONEY} amount {MONEY} }} "
    f"outcome {{ decision base {MONEY} conditions {{ kind passed }} }} order {{ externalId }} wallet {{ id }}"
)
SUMMARY = f"cashback {{ earned {MONEY} pending {MONEY} nextVestingAt expired {MONEY} clawedBack {MONEY} owed {MONEY} }}"
WALLET = (
    f"query ($wallet: WalletSelector!) {{ wallet(wallet: $wallet) {{ {SUMMARY} "
    f"cashbackAwards(first: 10) {{ totalCount nodes {{ {AWARD} }} }} "
    f"cashbackEvaluations(first: 10) {{ totalCount nodes {{ trigger total {MONEY} explanation "
    "outcomes { decision ruleName conditions { kind sentence } } } } } }"
)
ORDER = (
    "query ($order: OrderSelector!) { order(order: $order) { cashbackAwards { id } "
    f"cashbackEvaluations {{ trigger total {MONEY} explanation outcomes {{ decision }} }} }} }}"
)


async def of_wallet(api: Store, customer: JsonObject, caller: Caller = ADMINISTRATOR) -> JsonObject:
    answer = await api.execute(WALLET, {"wallet": {"id": customer["wallet"]["id"]}}, caller)
    found: JsonObject = answer.data["wallet"]
    return found


async def bought(api: Store, customer: JsonObject, total: str = "100.00", **more: Any) -> JsonObject:
    """An order that was just placed and is completed."""
    told = api.order(customer, total, status="COMPLETED", placedAt=datetime.now(UTC).isoformat(), **more)
    await api.record(told)
    return told


async def test_what_an_order_earned_is_seen_by_its_customer_and_explained(api: Store) -> None:
    rule = await api.cashback_rule(vesting={"kind": "RETURN_PERIOD"}, expiry={"days": 30})
    customer = await api.customer()
    ada = Caller(customer["storeCustomerId"])
    told = await bought(api, customer)
    seen = await of_wallet(api, customer, ada)
    assert seen["cashback"]["pending"]["amount"] == "5.00"
    assert seen["cashback"]["earned"]["amount"] == "0.00"
    (award,) = [row for row in seen["cashbackAwards"]["nodes"] if row["ruleName"] == rule["name"]]
    assert (award["status"], award["amount"]["amount"], award["outcome"]) == ("PENDING", "5.00", None)
    assert any("5 %" in sentence for sentence in award["explanation"])
    assert award["order"]["externalId"] == told["externalId"]
    staffs = await of_wallet(api, customer)
    (the_same,) = [row for row in staffs["cashbackAwards"]["nodes"] if row["id"] == award["id"]]
    assert the_same["outcome"]["decision"] == "AWARDED"
    assert {check["passed"] for check in the_same["outcome"]["conditions"]} == {True}
    with api.moved(days=15) as runtime:
        await work_off(runtime, "vest-awards")
        now = await of_wallet(api, customer, ada)
        assert now["cashback"]["earned"]["amount"] == "5.00"
        assert now["cashback"]["nextVestingAt"] is None


async def test_a_refund_takes_it_back(api: Store) -> None:
    await api.cashback_rule()
    customer = await api.customer()
    told = await bought(api, customer)
    await api.record({**told, "refunds": [{"storeRefundId": "1", "amount": "40.00"}]})
    (award,) = (await of_wallet(api, customer))["cashbackAwards"]["nodes"]
    assert (award["net"]["amount"], award["clawedBack"]["amount"]) == ("3.00", "2.00")
    assert award["taken"]["unspent"]["amount"] == "2.00"


async def test_why_nothing_has_an_answer_and_keeps_the_stores_own_to_itself(api: Store) -> None:
    few = await api.cashback_rule(conditions={"minimum": "500.00"})
    vips = await api.cashback_rule(conditions={"segmentsIn": ["vip"]})
    customer = await api.customer()
    ada = Caller(customer["storeCustomerId"])
    told = await bought(api, customer)
    selector = {"source": told["source"], "externalId": told["externalId"]}
    staffs = (await api.execute(ORDER, {"order": selector})).data["order"]
    (looked_at,) = [row for row in staffs["cashbackEvaluations"] if row["trigger"] == "ORDER_COMPLETED"]
    said = " ".join(looked_at["explanation"])
    assert few["name"] in said
    assert vips["name"] in said
    mine = (await api.execute(ORDER, {"order": selector}, ada)).data["order"]
    (looked_at,) = [row for row in mine["cashbackEvaluations"] if row["trigger"] == "ORDER_COMPLETED"]
    said = " ".join(looked_at["explanation"])
    assert few["name"] in said
    assert vips["name"] not in said
    assert looked_at["outcomes"] is None


async def test_nobody_sees_the_awards_of_others(api: Store) -> None:
    await api.cashback_rule()
    customer, stranger = await api.customer(), await api.customer()
    await bought(api, customer)
    (award,) = (await of_wallet(api, customer))["cashbackAwards"]["nodes"]
    node = f"query ($id: ID!) {{ node(id: $id) {{ ... on CashbackAward {{ {AWARD} }} }} }}"
    thief = Caller(stranger["storeCustomerId"])
    assert (await api.execute(node, {"id": award["id"]}, thief)).data["node"] is None
    assert (await api.execute(node, {"id": award["id"]}, SUPPORT)).data["node"]["id"] == award["id"]
    listed = "{ cashbackAwards(first: 5) { nodes { id } } }"
    assert (await api.execute(listed, None, thief)).codes == ["FORBIDDEN"]
    assert (await api.execute(listed, None, ANONYMOUS)).codes == ["UNAUTHENTICATED"]
    filtered = (
        "query ($filter: CashbackAwardFilter) { cashbackAwards(first: 5, filter: $filter) { totalCount } }"
    )
    found = await api.execute(filtered, {"filter": {"statuses": ["PENDING"]}})
    assert found.data["cashbackAwards"]["totalCount"] >= 0
