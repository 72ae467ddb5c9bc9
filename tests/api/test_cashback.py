"""Cashback rules over the API: their life, who learns of them, what a cart would earn, what a rule would have cost."""

import asyncio
from typing import Any

import pytest

from app.services.cashback import simulation as simulations
from tests.api import socket
from tests.api.store import (
    ADMINISTRATOR,
    ANONYMOUS,
    CASHBACK_RULE,
    FINANCE,
    MONEY,
    SERVICE,
    SUPPORT,
    WHY,
    Caller,
    JsonObject,
    Store,
    fresh,
)

EARNED = f"total {MONEY} earnings {{ name amount {MONEY} bucket vestsAt expiresAt sentences }} sentences"
OUTCOMES = (
    f"outcomes {{ ruleId ruleName ruleVersion decision conditions {{ kind passed wanted found sentence }} base {MONEY} "
    f"deducted {MONEY} rounded {MONEY} rounding caps {{ kind limit {MONEY} used {MONEY} before {MONEY} after {MONEY} "
    f"period }} amount {MONEY} given {MONEY} winnerId sentences }}"
)
PREVIEW = (
    f"query ($input: PreviewCashbackInput!) {{ previewCashback(input: $input) {{ {EARNED} {OUTCOMES} }} }}"
)
OFFERS = "{ cashbackOffers(first: 100) { totalCount nodes { name description sentence startsAt endsAt } } }"
RESULT = (
    f"sentence orders ordersEarning customersEarning gross {MONEY} clawedBack {MONEY} net {MONEY} average {MONEY} "
    f"revenue {MONEY} shareOfRevenuePercent budgetSpentAt outliers {{ number placedAt amount {MONEY} orderTotal {MONEY} "
    f"sentences order {{ id }} }} months {{ month orders ordersEarning gross {MONEY} clawedBack {MONEY} net {MONEY} "
    f"revenue {MONEY} }} decisions {{ decision orders }} failedConditions {{ condition orders }}"
)
SIMULATION = (
    f"query ($input: SimulateCashbackRuleInput!) {{ cashbackSimulation(input: $input) {{ {RESULT} }} }}"
)


def amounts(told: JsonObject) -> dict[str, str]:
    """The amounts of an answer, by name."""
    return {
        name: value["amount"] for name, value in told.items() if isinstance(value, dict) and "amount" in value
    }


async def alone(api: Store) -> None:
    """No rule gives anything any more."""
    listed = "{ cashbackRules(first: 100, filter: {statuses: [ACTIVE, PAUSED, DRAFT]}) { nodes { id } } }"
    for node in (await api.execute(listed)).data["cashbackRules"]["nodes"]:
        await api.done("archiveCashbackRule", {"ruleId": node["id"], "note": WHY})


async def preview(api: Store, caller: Caller = ADMINISTRATOR, **cart: Any) -> JsonObject:
    """What a cart would earn."""
    answer = await api.execute(PREVIEW, {"input": cart}, caller)
    found: JsonObject = answer.data["previewCashback"]
    return found


async def change(api: Store, rule: JsonObject, **changes: Any) -> JsonObject:
    """The rule after a change."""
    input_ = {"ruleId": rule["id"], "changes": changes, "note": WHY}
    changed: JsonObject = (await api.done("updateCashbackRule", input_))["cashbackRule"]
    return changed


# --- the life of a rule -------------------------------------------------------------------------------------

WHOLE: JsonObject = {
    "description": "For everybody\nwho likes tea.",
    "trigger": {
        "kind": "MILESTONE",
        "milestone": "LIFETIME_SPEND",
        "n": None,
        "spend": "500.00",
        "event": None,
    },
    "conditions": {
        "minimum": "20.00",
        "maximum": "900.00",
        "base": {"tax": False, "shipping": True, "beforeDiscounts": True, "walletPaid": True},
        "ofMatchingLines": True,
        "lines": {
            "categoriesIn": ["tea"],
            "categoriesOut": ["cups"],
            "productsIn": ["1"],
            "productsOut": ["2"],
            "skusIn": ["a"],
            "skusOut": ["b"],
            "saleOut": True,
            "couponedOut": True,
        },
        "paymentMethodsIn": ["card"],
        "paymentMethodsOut": ["cod"],
        "rolesIn": ["vip"],
        "rolesOut": ["staff"],
        "segmentsIn": ["north"],
        "segmentsOut": ["south"],
        "weekdays": [1, 7],
        "minuteFrom": 1200,
        "minuteTo": 60,
        "daysSinceSignUpMin": 1,
        "daysSinceSignUpMax": 90,
        "expression": "amount_minor > 100",
    },
    "reward": {
        "kind": "PERCENT",
        "percent": "5.25",
        "amount": None,
        "per": "LINE",
        "base": {"tax": False, "shipping": False, "beforeDiscounts": True, "walletPaid": True},
        "rounding": "DOWN",
        "bucket": "CASH",
    },
    "caps": {
        "order": "10.00",
        "periods": [{"period": "DAY", "amount": "11.00"}, {"period": "YEAR", "amount": "12.00"}],
        "customer": "13.00",
        "budget": "1400.00",
    },
    "vesting": {"kind": "AFTER_DAYS", "days": 14},
    "expiry": {"days": 30, "endOfMonth": True},
    "stacking": {"mode": "BEST_OF_GROUP", "group": "spring"},
    "currency": "USD",
    "startsAt": "2026-03-01T00:00:00.000000Z",
    "endsAt": "2026-04-01T00:00:00.000000Z",
    "priority": 7,
}


def as_sent(told: Any) -> Any:
    """What an answer would be as an input: amounts are in the rule's currency."""
    if isinstance(told, dict):
        if set(told) == {"amount", "currency"}:
            return told["amount"]
        return {name: as_sent(value) for name, value in told.items()}
    return [as_sent(value) for value in told] if isinstance(told, list) else told


async def test_every_part_comes_back_as_it_was_sent(api: Store) -> None:
    rule = await api.cashback_rule(active=False, **WHOLE)
    assert {name: as_sent(rule[name]) for name in WHOLE} == WHOLE
    assert (rule["status"], rule["version"]) == ("DRAFT", 1)
    query = f"query ($id: ID!) {{ cashbackRule(id: $id) {CASHBACK_RULE} node(id: $id) {{ id ... on CashbackRule {{ name }} }} }}"
    answer = await api.execute(query, {"id": rule["id"]}, SUPPORT)
    assert answer.data["cashbackRule"] == rule
    assert answer.data["node"]["name"] == rule["name"]
    await alone(api)


async def test_each_change_is_a_version_with_who_and_why(api: Store) -> None:
    rule = await api.cashback_rule()
    changed = await change(api, rule, reward={"kind": "FIXED", "amount": "3.00"}, caps={"budget": "9.00"})
    assert (changed["version"], changed["reward"]["amount"]["amount"]) == (3, "3.00")
    assert (changed["name"], changed["caps"]["budget"]["amount"]) == (rule["name"], "9.00")
    # A part that is not named stays, one that is null is emptied.
    emptied = await change(api, rule, caps=None, description="Tea")
    assert (emptied["caps"]["budget"], emptied["reward"]) == (None, changed["reward"])
    same = await change(api, rule, description="Tea")
    assert same["version"] == emptied["version"] == 4
    told = [
        (one["version"], one["status"], one["actor"]["id"], one["note"]) for one in same["versions"]["nodes"]
    ]
    assert told == [
        (4, "ACTIVE", "ann", WHY),
        (3, "ACTIVE", "ann", WHY),
        (2, "ACTIVE", "ann", WHY),
        (1, "DRAFT", "ann", WHY),
    ]
    assert same["versions"]["totalCount"] == 4
    await alone(api)
    query = "{ auditEntries(first: 5, filter: {actions: [UPDATE_CASHBACK_RULE]}) { nodes { action subject note } } }"
    newest = (await api.execute(query)).data["auditEntries"]["nodes"][0]
    assert newest == {"action": "UPDATE_CASHBACK_RULE", "subject": rule["name"], "note": WHY}


async def test_started_paused_archived(api: Store) -> None:
    rule, steps = await api.cashback_rule(active=False), []
    for verb in ("activate", "activate", "pause", "activate", "archive"):
        done = await api.done(f"{verb}CashbackRule", {"ruleId": rule["id"], "note": WHY})
        steps.append((done["cashbackRule"]["status"], done["cashbackRule"]["version"]))
    # Starting what runs already changes nothing.
    assert steps == [("ACTIVE", 2), ("ACTIVE", 2), ("PAUSED", 3), ("ACTIVE", 4), ("ARCHIVED", 5)]


async def test_first_rules_at_once(api: Store) -> None:
    """Each gets a revision of its own, whoever comes first."""
    made = await asyncio.gather(*(api.cashback_rule(active=False) for _ in range(8)))
    assert len({rule["id"] for rule in made}) == 8
    await alone(api)


async def test_listed(api: Store) -> None:
    name = fresh("Listed")
    top = await api.cashback_rule(name=f"{name} b", priority=9)
    low = await api.cashback_rule(name=f"{name} a", active=False, priority=-9, trigger={"kind": "ORDER_PAID"})

    async def names(arguments: str) -> list[str]:
        answer = await api.execute(
            f'{{ cashbackRules(search: "{name.upper()}", {arguments}) {{ nodes {{ id }} }} }}'
        )
        return [node["id"] for node in answer.data["cashbackRules"]["nodes"]]

    assert await names("first: 9") == [top["id"], low["id"]]
    assert await names("first: 9, sort: {field: NAME}") == [low["id"], top["id"]]
    assert await names("first: 9, sort: {field: UPDATED_AT, direction: DESC}") == [low["id"], top["id"]]
    assert await names("first: 9, filter: {statuses: [DRAFT]}") == [low["id"]]
    assert await names("first: 9, filter: {triggers: [ORDER_COMPLETED, TOP_UP]}") == [top["id"]]
    page = await api.execute(
        f'{{ cashbackRules(search: "{name}", first: 1) {{ pageInfo {{ endCursor }} }} }}'
    )
    after = page.data["cashbackRules"]["pageInfo"]["endCursor"]
    assert await names(f'first: 9, after: "{after}"') == [low["id"]]
    await alone(api)


# --- what the public sees -----------------------------------------------------------------------------------


async def test_offers_tell_nothing_internal(api: Store) -> None:
    await alone(api)
    conditions = {"segmentsIn": ["secret-segment"], "expression": 'event != "secret-event"'}
    shown = await api.cashback_rule(conditions=conditions, caps={"budget": "7777.00"}, description="Hello")
    await api.cashback_rule(active=False)
    await api.cashback_rule(startsAt="2099-01-01T00:00:00Z")
    await api.cashback_rule(endsAt="2020-01-01T00:00:00Z")
    for caller in (ANONYMOUS, Caller(fresh("somebody")), SUPPORT):
        offers = (await api.execute(OFFERS, None, caller)).data["cashbackOffers"]
        assert offers == {
            "totalCount": 1,
            "nodes": [
                {
                    "name": shown["name"],
                    "description": "Hello",
                    "sentence": "5 % for a completed order, for some customers, under a further condition. "
                    "It can be spent at once.",
                    "startsAt": shown["startsAt"],
                    "endsAt": None,
                }
            ],
        }
    for caller in (ANONYMOUS, Caller(fresh("somebody"))):
        for query in (
            "{ cashbackRules { totalCount } }",
            f'{{ cashbackRule(id: "{shown["id"]}") {{ id }} }}',
        ):
            assert (await api.execute(query, None, caller)).code in {"UNAUTHENTICATED", "FORBIDDEN"}
    answer = await api.execute(f'{{ node(id: "{shown["id"]}") {{ id }} }}', None, Caller(fresh("somebody")))
    assert answer.data["node"] is None
    await alone(api)


# --- preview ------------------------------------------------------------------------------------------------

TEA = {"sku": "t", "productId": "1", "categories": ["tea"], "quantity": "2", "total": "20.00", "tax": "2.00"}
CUP = {"sku": "c", "productId": "2", "categories": ["cups"], "total": "10.00", "tax": "1.00", "onSale": True}


async def test_a_visitor_learns_what_the_cart_earns_and_nothing_else(api: Store) -> None:
    await alone(api)
    tea = await api.cashback_rule(
        conditions={"lines": {"categoriesIn": ["tea"]}},
        caps={"budget": "1.00"},
        vesting={"kind": "RETURN_PERIOD"},
    )
    paid = await api.cashback_rule(
        trigger={"kind": "ORDER_PAID"}, reward={"kind": "FIXED", "amount": "0.25", "bucket": "CASH"}
    )
    await api.cashback_rule(conditions={"rolesIn": ["secret-role"]})
    await api.cashback_rule(trigger={"kind": "MILESTONE", "milestone": "FIRST_ORDER"})
    found = await preview(api, ANONYMOUS, lines=[TEA, CUP], shipping="5.00")
    assert found["outcomes"] is None
    assert found["total"] == api.money("1.25")
    earned = {
        one["name"]: (one["amount"]["amount"], one["bucket"], one["expiresAt"]) for one in found["earnings"]
    }
    assert earned == {tea["name"]: ("1.00", "PROMO", None), paid["name"]: ("0.25", "CASH", None)}
    assert found["sentences"][0] == "You will earn 1.25 USD."
    # The budget is the store's own business.
    assert "in all" not in str(found)
    assert "secret" not in str(found)
    await alone(api)


async def test_staff_learn_why(api: Store) -> None:
    await alone(api)
    rule = await api.cashback_rule(conditions={"minimum": "100.00"}, caps={"order": "2.00"})
    found = await preview(api, SUPPORT, lines=[TEA, CUP])
    (outcome,) = found["outcomes"]
    assert (outcome["ruleId"], outcome["decision"], outcome["ruleVersion"]) == (
        rule["id"],
        "CONDITION_FAILED",
        2,
    )
    checks = {one["kind"]: (one["passed"], one["wanted"], one["found"]) for one in outcome["conditions"]}
    assert checks["MINIMUM"] == (False, "10000", "3300")
    assert found["sentences"] == ["You will earn no cashback."]
    large = {**TEA, "total": "200.00", "tax": "20.00"}
    found = await preview(api, SERVICE, lines=[large], walletPays="110.00")
    (outcome,) = found["outcomes"]
    assert (outcome["decision"], amounts(outcome)) == (
        "AWARDED",
        {"base": "110.00", "deducted": "110.00", "rounded": "5.50", "amount": "2.00", "given": "2.00"},
    )
    (cap,) = outcome["caps"]
    assert (cap["kind"], amounts(cap)) == (
        "ORDER",
        {"limit": "2.00", "used": "0.00", "before": "5.50", "after": "2.00"},
    )
    await alone(api)


async def test_facts_are_those_of_the_customer_who_asks(api: Store) -> None:
    await alone(api)
    await api.cashback_rule(
        trigger={"kind": "MILESTONE", "milestone": "NTH_ORDER", "n": 2},
        reward={"kind": "FIXED", "amount": "5.00"},
    )
    ada, bob = await api.customer(), await api.customer()
    await api.record(api.order(ada, "30.00"), status="COMPLETED")
    mine = Caller(ada["storeCustomerId"])
    assert (await preview(api, mine, lines=[TEA]))["total"]["amount"] == "5.00"
    assert (await preview(api, Caller(bob["storeCustomerId"]), lines=[TEA]))["total"]["amount"] == "0.00"
    assert (await preview(api, ANONYMOUS, lines=[TEA]))["total"]["amount"] == "0.00"
    by_id, by_name = {"id": ada["id"]}, {"storeCustomerId": ada["storeCustomerId"]}
    for caller in (SERVICE, SUPPORT, mine):
        for named in (by_id, by_name):
            assert (await preview(api, caller, lines=[TEA], customer=named))["total"]["amount"] == "5.00"
    # Somebody else's customer, and one that nobody has, are the same answer.
    unknown = {"storeCustomerId": "nobody has this"}
    errors = set()
    for caller in (ANONYMOUS, Caller(bob["storeCustomerId"])):
        for named in (by_id, by_name, unknown):
            answer = await api.execute(PREVIEW, {"input": {"lines": [TEA], "customer": named}}, caller)
            assert (answer.code, answer.errors[0]["extensions"]["argument"]) == (
                "BAD_USER_INPUT",
                "input.customer",
            )
            errors.add(answer.message)
    assert len(errors) == 1
    await alone(api)


@pytest.mark.parametrize(
    ("cart", "argument"),
    [
        ({"lines": [{"total": "-1.00"}], "total": "5.00"}, "input.lines.total"),
        ({"lines": [{"total": "1.00", "lineId": ""}]}, "input.lines.lineId"),
        ({"lines": [{"total": "1.00"}] * 501}, "input.lines"),
        ({"total": "10.00", "walletPays": "10.01"}, "input.walletPays"),
        ({"total": "10.00", "walletPays": "-1"}, "input.walletPays"),
        ({"source": "My shop"}, "input.source"),
    ],
)
async def test_carts_that_cannot_be_meant(api: Store, cart: JsonObject, argument: str) -> None:
    answer = await api.execute(PREVIEW, {"input": cart}, ANONYMOUS)
    assert (answer.code, answer.errors[0]["extensions"]["argument"]) == ("BAD_USER_INPUT", argument)


# --- simulation ---------------------------------------------------------------------------------------------


def rule_of(**parts: Any) -> JsonObject:
    """A rule that does not exist."""
    return {
        "name": "Tried",
        "trigger": {"kind": "ORDER_COMPLETED"},
        "reward": {"kind": "PERCENT", "percent": "10"},
        "currency": "USD",
        **parts,
    }


async def simulate(api: Store, caller: Caller = FINANCE, **input_: Any) -> JsonObject:
    """What a rule would have cost."""
    found: JsonObject = (await api.execute(SIMULATION, {"input": input_}, caller)).data["cashbackSimulation"]
    return found


YEAR = {"from": "2019-01-01T00:00:00Z", "to": "2019-12-31T23:59:59Z"}


@pytest.fixture(scope="module")
def past(dialect: str) -> list[JsonObject]:
    """What became of the orders of 2019, filled once for each database."""
    return []


async def buy(api: Store, past: list[JsonObject]) -> None:
    """Six orders of 2019: of two customers, a guest, one cancelled, one refunded by half."""
    if past:
        return
    ada, bob = await api.customer(), await api.customer()
    for month, (customer, total, status) in enumerate(
        (
            (ada, "100.00", "COMPLETED"),
            (bob, "50.00", "COMPLETED"),
            (ada, "30.00", "COMPLETED"),
            (ada, "20.00", "CANCELLED"),
            (None, "500.00", "COMPLETED"),
            (bob, "200.00", "COMPLETED"),
        ),
        1,
    ):
        lines = [{"lineId": "1", "sku": "t", "categories": ["tea"], "total": total}]
        told = api.order(
            customer, total, placedAt=f"2019-0{month}-15T12:00:00Z", lines=lines, paymentMethod="card"
        )
        if total == "50.00":
            told["refunds"] = [{"storeRefundId": "1", "amount": "25.00"}]
        past.append(await api.record(told, status=status))


async def test_a_draft_over_past_orders(api: Store, past: list[JsonObject]) -> None:
    await buy(api, past)
    before = await api.digest()
    found = await simulate(
        api, rule=rule_of(conditions={"minimum": "40.00"}, caps={"budget": "20.00"}), placed=YEAR
    )
    assert (found["orders"], found["ordersEarning"], found["customersEarning"]) == (4, 3, 2)
    assert amounts(found) == {
        "gross": "20.00",
        "clawedBack": "2.50",
        "net": "17.50",
        "average": "6.67",
        "revenue": "380.00",
    }
    assert found["shareOfRevenuePercent"] == "4.61"
    assert found["budgetSpentAt"] == "2019-06-15T12:00:00.000000Z"
    largest = found["outliers"][0]
    assert (largest["amount"]["amount"], largest["order"]["id"]) == ("10.00", past[0]["id"])
    assert [one["month"] for one in found["months"]] == ["2019-01", "2019-02", "2019-03", "2019-06"]
    assert found["months"][1]["net"]["amount"] == "2.50"
    assert {one["decision"]: one["orders"] for one in found["decisions"]} == {
        "AWARDED": 3,
        "CONDITION_FAILED": 1,
    }
    assert found["failedConditions"] == [{"condition": "MINIMUM", "orders": 1}]
    assert await api.digest() == before


async def test_a_rule_that_exists_with_changes(api: Store, past: list[JsonObject]) -> None:
    await buy(api, past)
    rule = await api.cashback_rule(active=False)
    assert amounts(await simulate(api, ruleId=rule["id"], placed=YEAR))["gross"] == "19.00"
    changes = {"trigger": {"kind": "MILESTONE", "milestone": "NTH_ORDER", "n": 2}}
    found = await simulate(api, ruleId=rule["id"], changes=changes, placed=YEAR)
    assert (found["ordersEarning"], amounts(found)["gross"]) == (2, "11.50")
    await alone(api)


async def test_preview_and_simulation_say_the_same(api: Store, past: list[JsonObject]) -> None:
    """The same order by somebody new: as a cart of today, and as one of the past; refusals included."""
    await buy(api, past)
    tea, march = {"lines": {"categoriesIn": ["tea"]}}, {**YEAR, "to": "2019-01-31T00:00:00Z"}
    for parts in (
        {},
        {"conditions": {**tea, "minimum": "100.01"}},
        {"conditions": tea, "caps": {"order": "3.33"}},
        {"conditions": {"lines": {"categoriesOut": ["tea"]}}},
        {"conditions": {"paymentMethodsIn": ["cod"]}, "reward": {"kind": "FIXED", "amount": "1.00"}},
        {"conditions": {"expression": "order.category_totals_minor['cups'] > 5"}},
        {"reward": {"kind": "PERCENT", "percent": "0.01", "rounding": "DOWN", "per": "UNIT"}},
        {"trigger": {"kind": "MILESTONE", "milestone": "FIRST_ORDER"}},
        {"trigger": {"kind": "ORDER_PAID"}},
    ):
        await alone(api)
        rule = rule_of(**parts)
        await api.cashback_rule(**rule)
        tried = await simulate(api, rule=rule, placed=march)
        newcomer = await api.customer()
        lines = [{"lineId": "1", "sku": "t", "categories": ["tea"], "total": "100.00"}]
        cart = {
            "lines": lines,
            "paymentMethod": "card",
            "customer": {"storeCustomerId": newcomer["storeCustomerId"]},
        }
        shown = await preview(api, SUPPORT, **cart)
        (outcome,) = shown["outcomes"]
        failed = [one["kind"] for one in outcome["conditions"] if not one["passed"]]
        assert tried["orders"] == 1
        assert tried["decisions"] == [{"decision": outcome["decision"], "orders": 1}]
        assert [one["condition"] for one in tried["failedConditions"]] == failed
        assert (tried["gross"], outcome["given"]) == (shown["total"], shown["total"])
    await alone(api)


@pytest.mark.parametrize(
    ("input_", "argument"),
    [
        ({}, "input.ruleId"),
        ({"ruleId": "garbage"}, "input.ruleId"),
        ({"rule": rule_of(), "ruleId": "garbage"}, "input.ruleId"),
        ({"rule": rule_of(), "changes": {}}, "input.ruleId"),
        ({"rule": rule_of(trigger={"kind": "TOP_UP"})}, "input.rule.trigger.kind"),
        ({"rule": rule_of(caps={"order": "0"})}, "input.rule.caps.order"),
        ({"rule": rule_of(conditions={"expression": "1"})}, "input.rule.conditions.expression"),
    ],
)
async def test_what_cannot_be_simulated(api: Store, input_: JsonObject, argument: str) -> None:
    answer = await api.execute(SIMULATION, {"input": input_})
    assert (answer.code, answer.errors[0]["extensions"]["argument"]) == ("BAD_USER_INPUT", argument)
    # It is over, also for the next one.
    assert api.app.state.runtime.simulating == set()


async def test_who_may_simulate(api: Store) -> None:
    for caller, code in ((ANONYMOUS, "UNAUTHENTICATED"), (Caller(fresh("somebody")), "FORBIDDEN")):
        assert (await api.execute(SIMULATION, {"input": {"rule": rule_of()}}, caller)).code == code


FOLLOWED = (
    'subscription { simulateCashbackRule(input: {rule: {name: "Tried", trigger: {kind: ORDER_COMPLETED}, reward: {kind: '
    'PERCENT, percent: "10"}, currency: "USD"}, placed: {from: "2019-01-01T00:00:00Z", to: "2019-12-31T23:59:59Z"}}) '
    "{ done ordersDone ordersTotal result { ordersEarning } } }"
)


async def test_followed_over_a_socket(api: Store, past: list[JsonObject]) -> None:
    await buy(api, past)
    async with socket.opened(api.app, FINANCE.headers) as opened:
        await opened.subscribe("1", FOLLOWED)
        steps: list[JsonObject] = []
        while (message := await opened.receive())["type"] == "next":
            steps.append(message["payload"]["data"]["simulateCashbackRule"])
        assert message == {"type": "complete", "id": "1"}
    assert steps == [
        {"done": False, "ordersDone": 0, "ordersTotal": 4, "result": None},
        {"done": False, "ordersDone": 4, "ordersTotal": 4, "result": None},
        {"done": True, "ordersDone": 4, "ordersTotal": 4, "result": {"ordersEarning": 4}},
    ]
    assert api.app.state.runtime.simulating == set()


async def test_one_at_a_time_for_each_caller(api: Store, past: list[JsonObject]) -> None:
    await buy(api, past)
    simulating = api.app.state.runtime.simulating
    simulating.add(("STAFF", FINANCE.subject))
    try:
        answer = await api.execute(SIMULATION, {"input": {"rule": rule_of()}}, FINANCE)
        assert answer.code == "RATE_LIMITED"
        assert ("STAFF", FINANCE.subject) in simulating
        assert (await simulate(api, ADMINISTRATOR, rule=rule_of(), placed=YEAR))["orders"] == 4
    finally:
        simulating.clear()


async def test_a_closed_socket_ends_it(
    api: Store, past: list[JsonObject], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while it waits for the database."""
    await buy(api, past)
    reading, over = asyncio.Event(), asyncio.Event()

    async def page(_reader: object) -> list[object]:
        reading.set()
        try:
            await asyncio.Event().wait()
        finally:
            over.set()
        return []

    with monkeypatch.context() as patched:
        patched.setattr(simulations._Reader, "page", page)
        async with socket.opened(api.app, FINANCE.headers) as opened:
            await opened.subscribe("1", FOLLOWED)
            async with asyncio.timeout(10):
                await reading.wait()
                assert api.app.state.runtime.simulating == {("STAFF", FINANCE.subject)}
                await opened.send({"type": "complete", "id": "1"})
                await over.wait()
    assert api.app.state.runtime.simulating == set()
    assert (await simulate(api, rule=rule_of(), placed=YEAR))["orders"] == 4
