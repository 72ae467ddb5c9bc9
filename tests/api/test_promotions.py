"""Promotions, coupon codes, and payments in two parts: as storefronts, stores and their staff see them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.loaders import Divisions
from tests.api.store import (
    ANONYMOUS,
    FINANCE,
    MANAGER,
    MONEY,
    PROMOTION,
    REDEMPTION,
    SUPPORT,
    Caller,
    JsonObject,
    Store,
    fresh,
)

CHECK = (
    "query ($code: String!, $order: CouponOrderInput) { checkCoupon(code: $code, order: $order) { code name gives "
    f"{MONEY} amount {MONEY} percent cap {MONEY} minimumSpend {MONEY} missing {MONEY} lines {{ categories products skus }} "
    "endsAt expiresAt problem message } }"
)
LIST = (
    "query ($search: String, $filter: PromotionFilter, $first: Int, $after: String) { promotions(search: $search, "
    f"filter: $filter, first: $first, after: $after) {{ totalCount nodes {PROMOTION} pageInfo {{ hasNextPage endCursor }} }} }}"
)
ONE = (
    f"query ($id: ID!) {{ promotion(id: $id) {{ name codes {{ totalCount nodes {{ id code usesMax uses promotion {{ id }} }} }} "
    f"redemptions {{ totalCount nodes {REDEMPTION} }} }} }}"
)
MINE = f"{{ viewer {{ wallet {{ couponRedemptions {{ totalCount nodes {REDEMPTION} }} }} }} }}"


def cart(api: Store, total: str, *lines: JsonObject) -> JsonObject:
    """What a customer is about to buy."""
    return {"currency": api.currency, "total": total, "lines": list(lines)}


def line(name: str, total: str, **more: Any) -> JsonObject:
    """One line of it."""
    return {"lineId": name, "sku": name, "total": total, **more}


async def check(
    api: Store, code: str, order: JsonObject | None = None, caller: Caller = ANONYMOUS
) -> JsonObject | None:
    """Look at a code."""
    answer = await api.execute(CHECK, {"code": code, "order": order}, caller)
    found: JsonObject | None = answer.data["checkCoupon"]
    return found


async def test_made_changed_and_archived(api: Store) -> None:
    promotion = await api.promotion(
        status="DRAFT",
        amount=None,
        percent="12.50",
        cap=api.money("20.00"),
        minimumSpend=api.money("50.00"),
        lines={"categories": ["Home"], "exceptSkus": ["LAMP"]},
        usesMax=100,
        usesPerCustomer=None,
        grantedForDays=30,
        grantedToEndOfMonth=True,
    )
    assert (promotion["amount"], promotion["percent"], promotion["isRunning"]) == (None, "12.5", False)
    assert (promotion["lines"]["categories"], promotion["lines"]["exceptSkus"]) == (["Home"], ["LAMP"])
    assert (promotion["usesPerCustomer"], promotion["uses"], promotion["granted"]["amount"]) == (
        None,
        0,
        "0.00",
    )
    changed = await api.change_promotion(
        promotion, status="ACTIVE", amount=api.money("5.00"), usesMax=None, usesPerCustomer=2, lines=None
    )
    assert (changed["amount"]["amount"], changed["percent"], changed["cap"]) == ("5.00", None, None)
    assert (changed["usesMax"], changed["usesPerCustomer"], changed["isRunning"]) == (None, 2, True)
    assert (changed["lines"]["categories"], changed["grantedForDays"]) == ([], 30)
    changed = await api.change_promotion(promotion, grantedForDays=None)
    assert (changed["grantedForDays"], changed["grantedToEndOfMonth"]) == (None, True)
    audit = "{ auditEntries(first: 3) { nodes { action subject changes { field before after } } } }"
    entries = (await api.execute(audit)).data["auditEntries"]["nodes"]
    assert [entry["action"] for entry in entries] == ["UPDATE_PROMOTION"] * 2 + ["CREATE_PROMOTION"]
    assert {"field": "usesMax", "before": "100", "after": None} in entries[1]["changes"]


async def test_a_limit_below_what_was_used(api: Store) -> None:
    promotion = await api.promotion(usesMax=5, budget=api.money("50.00"))
    code = await api.coupon(promotion)
    for _ in range(2):
        await api.redeem_coupon(await api.customer(), code)
    for change, path in (({"usesMax": 1}, ["usesMax"]), ({"budget": api.money("9.99")}, ["budget"])):
        input_ = {"promotionId": promotion["id"], "note": "The owner wants less", **change}
        (error,) = (await api.mutate("updatePromotion", input_))["userErrors"]
        assert (error["code"], error["field"]) == ("FIELD_INVALID", path)
    changed = await api.change_promotion(promotion, usesMax=2, budget=api.money("10.00"))
    assert (changed["uses"], changed["granted"]["amount"]) == (2, "10.00")


async def test_listed_and_searched(api: Store) -> None:
    name = fresh("Campaign")
    first, second = (
        await api.promotion(name=f"{name} one"),
        await api.promotion(name=f"{name} two", status="PAUSED"),
    )
    code = await api.coupon(first)
    found = (await api.execute(LIST, {"search": name.lower()}, MANAGER)).data["promotions"]
    assert ([one["id"] for one in found["nodes"]], found["totalCount"]) == ([second["id"], first["id"]], 2)
    found = (await api.execute(LIST, {"search": code.lower()})).data["promotions"]
    assert [one["id"] for one in found["nodes"]] == [first["id"]]
    running = {"search": name, "filter": {"running": True}}
    assert [one["id"] for one in (await api.execute(LIST, running)).data["promotions"]["nodes"]] == [
        first["id"]
    ]
    paused = {"search": name, "filter": {"statuses": ["PAUSED"]}}
    assert [one["id"] for one in (await api.execute(LIST, paused)).data["promotions"]["nodes"]] == [
        second["id"]
    ]
    page = (await api.execute(LIST, {"search": name, "first": 1})).data["promotions"]
    assert page["pageInfo"]["hasNextPage"] is True
    after = {"search": name, "first": 1, "after": page["pageInfo"]["endCursor"]}
    page = (await api.execute(LIST, after)).data["promotions"]
    assert ([one["id"] for one in page["nodes"]], page["pageInfo"]["hasNextPage"]) == ([first["id"]], False)


@pytest.mark.parametrize("caller", [SUPPORT, FINANCE, Caller("somebody")], ids=lambda caller: caller.subject)
async def test_who_may_not_see_promotions(api: Store, caller: Caller) -> None:
    promotion = await api.promotion()
    code = await api.coupon(promotion)
    assert (await api.execute(LIST, {}, caller)).codes == ["FORBIDDEN"]
    assert (await api.execute(ONE, {"id": promotion["id"]}, caller)).codes == ["FORBIDDEN"]
    found = (await api.execute(ONE, {"id": promotion["id"]})).data["promotion"]
    assert [one["code"] for one in found["codes"]["nodes"]] == [code.upper()]
    node = "query ($id: ID!) { node(id: $id) { id } }"
    for id_ in (promotion["id"], found["codes"]["nodes"][0]["id"]):
        assert (await api.execute(node, {"id": id_})).data["node"] == {"id": id_}
        assert (await api.execute(node, {"id": id_}, caller)).data["node"] is None


async def test_redeemed_and_seen(api: Store) -> None:
    promotion = await api.promotion(grantedForDays=10)
    customer, other = await api.customer(), await api.customer()
    payload = await api.redeem_coupon(customer, await api.coupon(promotion))
    redemption = payload["redemption"]
    assert (redemption["status"], redemption["problem"], redemption["amount"]["amount"]) == (
        "GRANTED",
        None,
        "5.00",
    )
    assert redemption["promotion"] is None, "customers see the coupon, not the campaign"
    assert redemption["transaction"]["kind"] == "PROMOTION"
    assert [bucket["bucket"] for bucket in payload["wallet"]["buckets"]] == ["PROMO"]
    assert payload["wallet"]["withdrawable"]["amount"] == "0.00"
    mine = (await api.execute(MINE, {}, Caller(customer["storeCustomerId"]))).data["viewer"]["wallet"]
    assert mine["couponRedemptions"]["nodes"] == [redemption]
    node = "query ($id: ID!) { node(id: $id) { id } }"
    theirs = Caller(other["storeCustomerId"])
    assert (await api.execute(node, {"id": redemption["id"]}, theirs)).data["node"] is None
    found = (await api.execute(ONE, {"id": promotion["id"]})).data["promotion"]
    assert (found["codes"]["nodes"][0]["uses"], found["redemptions"]["totalCount"]) == (1, 1)
    wallets = f"{{ wallets(first: 5) {{ nodes {{ couponRedemptions {{ nodes {REDEMPTION} }} }} }} }}"
    seen = (await api.execute(wallets, {}, SUPPORT)).data["wallets"]["nodes"]
    assert {wallet["couponRedemptions"] for wallet in seen} == {None}


async def test_guesses_are_told_nothing(api: Store) -> None:
    paused = await api.promotion()
    codes = {
        await api.coupon(await api.promotion(status="DRAFT")),
        await api.coupon(await api.promotion(startsAt=(datetime.now(UTC) + timedelta(days=1)).isoformat())),
        await api.coupon(await api.promotion(endsAt=(datetime.now(UTC) - timedelta(days=1)).isoformat())),
        await api.coupon(paused),
        "NOBODY-HAS-THIS",
        "",
        "x" * 128,
        "% OR 1=1",
    }
    await api.change_promotion(paused, status="PAUSED")
    customer = await api.customer()
    messages = set()
    for code in codes:
        assert await check(api, code) is None
        payload = await api.redeem_coupon(customer, code)
        messages |= {(error["code"], error["message"]) for error in payload["userErrors"]}
    assert len(messages) == 1


async def test_looked_at_before_the_order_is_placed(api: Store) -> None:
    terms = {"amount": None, "percent": "10", "cap": api.money("8.00"), "minimumSpend": api.money("50.00")}
    promotion = await api.promotion(**terms, lines={"skus": ["LAMP"]}, grantedForDays=1)
    code = await api.coupon(promotion)
    found = await check(api, code.lower())
    assert found is not None
    assert (found["code"], found["name"], found["gives"]) == (code, promotion["name"], None)
    assert (found["problem"], found["percent"], found["lines"]["skus"]) == (
        "ONLY_AT_CHECKOUT",
        "10",
        ["LAMP"],
    )
    told: list[tuple[JsonObject, str | None, str | None, str | None]] = [
        (cart(api, "60.00", line("LAMP", "60.00")), "6.00", None, None),
        (cart(api, "120.00", line("LAMP", "100.00", tax="20.00")), "8.00", None, None),
        (cart(api, "90.00", line("LAMP", "50.00"), line("CUP", "40.00")), "5.00", None, None),
        (cart(api, "80.00", line("LAMP", "40.00"), line("CUP", "40.00")), None, "10.00", "BELOW_MINIMUM"),
        (cart(api, "80.00", line("CUP", "80.00")), None, "50.00", "NOTHING_MATCHES"),
        ({"currency": "EUR", "total": "80.00"}, None, None, "OTHER_CURRENCY"),
    ]
    for order, gives, missing, problem in told:
        found = await check(api, code, order)
        assert found is not None
        amounts = [found[name] and found[name]["amount"] for name in ("gives", "missing")]
        assert (*amounts, found["problem"]) == (gives, missing, problem)
        assert (found["message"] is None) is (problem is None)
    answer = await api.execute(CHECK, {"code": code, "order": cart(api, "-1.00")}, ANONYMOUS)
    assert answer.codes == ["BAD_USER_INPUT"]


async def test_what_a_customer_used_is_told_to_them(api: Store) -> None:
    code = await api.coupon(await api.promotion())
    customer = await api.customer()
    me = Caller(customer["storeCustomerId"])
    found = await check(api, code, caller=me)
    assert found is not None
    assert (found["gives"]["amount"], found["problem"]) == ("5.00", None)
    await api.redeem_coupon(customer, code)
    problems = [await check(api, code, caller=who) for who in (me, ANONYMOUS)]
    assert [found and found["problem"] for found in problems] == ["USED_BY_CUSTOMER", None]


async def test_an_orders_coupon(api: Store) -> None:
    customer = await api.customer()
    code = await api.coupon(await api.promotion(amount=None, percent="10"))
    low = await api.coupon(await api.promotion(minimumSpend=api.money("100.01")))
    coupons = [{"code": code.lower()}, {"code": low}, {"code": "STORES-OWN"}]
    told = api.order(customer, "100.00", coupons=coupons)
    assert (await api.record(told))["couponRedemptions"] == []
    order = await api.record(told, status="PAID")
    found = [
        (one["code"], one["status"], one["problem"], one["amount"]["amount"])
        for one in order["couponRedemptions"]
    ]
    assert sorted(found) == sorted(
        [(code, "GRANTED", None, "10.00"), (low, "REFUSED", "BELOW_MINIMUM", "0.00")]
    )
    assert {one["message"] is None for one in order["couponRedemptions"]} == {True, False}
    assert (await api.wallet(customer))["balance"]["amount"] == "10.00"
    refunds = [{"storeRefundId": "r1", "amount": "50.00"}]
    order = await api.record(told, status="PAID", refunds=refunds, paidOtherwise="100.00")
    taken = {one["code"]: one["takenBack"]["amount"] for one in order["couponRedemptions"]}
    assert taken[code] == "5.00"
    await api.record(told, status="CANCELLED")
    buckets = {one["bucket"] for one in (await api.wallet(customer))["buckets"]}
    assert "PROMO" not in buckets


# --- discount and tender ------------------------------------------------------------------------------------


def parts(payment: JsonObject) -> tuple[str, str]:
    """Discount and tender."""
    return payment["discount"]["amount"], payment["tender"]["amount"]


async def test_a_payment_in_two_parts(api: Store) -> None:
    customer = await api.funded("50.00")
    await api.redeem_coupon(customer, await api.coupon(await api.promotion(amount=api.money("20.00"))))
    told = api.order(customer, "60.00")
    payment = await api.authorize(customer, told, "60.00")
    assert parts(payment) == ("20.00", "40.00")
    payment = await api.capture(payment, "30.00", final=False)
    assert parts(payment) == ("20.00", "40.00"), "10.00 of tender is captured, 30.00 still held"
    payment = await api.capture(payment, "15.00")
    assert parts(payment) == ("20.00", "25.00"), "what was not captured is free again"
    await api.record(told, status="PAID")
    await api.refund(told, "30.00", destination="WALLET")
    order = await api.found(told)
    assert [parts(one) for one in order["payments"]] == [("15.00", "0.00")], "cash comes back first"
    assert (order["walletDiscount"]["amount"], order["walletTender"]["amount"]) == ("15.00", "0.00")
    assert (order["walletPaid"]["amount"], order["walletReturned"]["amount"]) == ("45.00", "30.00")


async def test_the_parts_of_what_was_given_back_are_nothing(api: Store) -> None:
    customer = await api.funded("50.00")
    await api.adjust(customer, "10.00", bucket="PROMO")
    await api.adjust(customer, "5.00", bucket="GIFT_CARD")
    told = api.order(customer, "30.00")
    payment = await api.authorize(customer, told, "30.00")
    assert parts(payment) == ("10.00", "20.00"), "a gift card is a means of payment"
    assert parts(await api.void(payment)) == ("0.00", "0.00")
    payment = await api.pay(customer, told, "30.00")
    assert parts(payment) == ("10.00", "20.00")
    await api.record(told, status="PAID")
    await api.record(told, status="CANCELLED")
    order = await api.found(told)
    assert [parts(one) for one in order["payments"]] == [("0.00", "0.00")] * 2


async def test_the_parts_of_many_payments_are_few_statements(api: Store) -> None:
    """One statement for the parts of all payments, however many there are."""
    asked = []
    original = Divisions.batch_load_fn

    async def noted(self: Divisions, keys: Any) -> Any:
        asked.append(len(keys))
        return await original(self, keys)

    Divisions.batch_load_fn = noted  # type: ignore[method-assign]
    try:
        customer = await api.funded("100.00")
        for _ in range(5):
            await api.pay(customer, api.order(customer, "10.00"), "10.00")
        asked.clear()
        query = (
            f"query ($n: String!) {{ wallet(by: {{storeCustomerId: $n}}) {{ orders {{ nodes {{ walletDiscount {MONEY} "
            f"walletTender {MONEY} payments {{ discount {MONEY} tender {MONEY} }} }} }} }} }}"
        )
        await api.execute(query, {"n": customer["storeCustomerId"]})
    finally:
        Divisions.batch_load_fn = original  # type: ignore[method-assign]
    assert asked == [5]
