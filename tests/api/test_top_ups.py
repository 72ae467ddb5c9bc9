"""Top-ups from the checkout's side: options, limits, references, orders that pay them, and automatic ones."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from app.jobs import work_off
from tests.api.store import (
    ANONYMOUS,
    AUTO_TOP_UP,
    AUTO_TOP_UP_CHARGE,
    SERVICE,
    TOP_UP_OPTIONS,
    WHY,
    Caller,
    JsonObject,
    Store,
    fresh,
)

PRODUCT = "TOP-UP"


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def takes_top_ups(api: Store) -> None:
    """The store of all tests here: from 5 to 100 at a time, 150 a day, and 300 in a wallet."""
    await api.set_settings(
        topUpsEnabled=True,
        topUpMinimum=api.money("5.00"),
        topUpMaximum=api.money("100.00"),
        topUpDayMaximum=api.money("150.00"),
        walletBalanceMaximum=api.money("300.00"),
        topUpSuggested=[api.money("20.00"), api.money("100.00")],
        topUpMethods=["card", "sepa"],
        topUpProducts=[PRODUCT],
    )


def owner(customer: JsonObject) -> Caller:
    return Caller(customer["storeCustomerId"])


async def options(api: Store, caller: Caller) -> JsonObject:
    answer = await api.execute(f"{{ topUpOptions {TOP_UP_OPTIONS} }}", {}, caller)
    found: JsonObject = answer.data["topUpOptions"]
    return found


async def start(api: Store, customer: JsonObject, amount: str, **more: Any) -> JsonObject:
    """Start a top-up as the customer; the payload, refused or not."""
    input_ = {"amount": api.money(amount), "idempotencyKey": fresh("key"), **more}
    return await api.mutate("startTopUp", input_, owner(customer))


async def started(api: Store, customer: JsonObject, amount: str) -> JsonObject:
    payload = await start(api, customer, amount)
    assert payload["userErrors"] == []
    intent: JsonObject = payload["topUpIntent"]
    return intent


async def paid(api: Store, customer: JsonObject, amount: str, **more: Any) -> JsonObject:
    """Tell that money came."""
    input_ = {
        "wallet": {"storeCustomerId": customer["storeCustomerId"]},
        "source": "woocommerce",
        "externalId": fresh("payment"),
        "paid": api.money(amount),
        "idempotencyKey": fresh("key"),
    }
    return await api.done("recordTopUp", {**input_, **more}, SERVICE)


async def intent_of(api: Store, id_: str) -> JsonObject:
    query = (
        "query ($id: ID!) { node(id: $id) { ... on TopUpIntent { status topUp { credited { amount } } } } }"
    )
    found: JsonObject = (await api.execute(query, {"id": id_})).data["node"]
    return found


async def balance(api: Store, customer: JsonObject) -> str:
    return str((await api.wallet(customer))["balance"]["amount"])


def refusal(payload: JsonObject) -> tuple[str, list[str]]:
    (error,) = payload["userErrors"]
    return error["code"], error["field"]


# --- options and limits -------------------------------------------------------------------------------------


async def test_options_for_anybody_and_for_oneself(api: Store) -> None:
    anybody = await options(api, ANONYMOUS)
    assert (anybody["isPossible"], anybody["minimum"]["amount"], anybody["maximum"]["amount"]) == (
        True,
        "5.00",
        "100.00",
    )
    assert anybody["paymentMethods"] == ["card", "sepa"]
    customer = await api.customer()
    await paid(api, customer, "60.00")
    await started(api, customer, "50.00")
    own = await options(api, owner(customer))
    # 150 a day less 60 that came and 50 that are under way.
    assert (own["leftToday"]["amount"], own["room"]["amount"], own["maximum"]["amount"]) == (
        "40.00",
        "190.00",
        "40.00",
    )
    assert [amount["amount"] for amount in own["suggested"]] == ["20.00"]
    # What is offered is what is granted, to the cent.
    assert refusal(await start(api, customer, "40.01"))[0] == "TOP_UP_LIMIT_REACHED"
    await started(api, customer, "40.00")
    own = await options(api, owner(customer))
    assert (own["leftToday"]["amount"], own["obstacles"]) == ("0.00", ["DAY_LIMIT"])
    # Those of others are seen with the wallet, by those who may.
    query = (
        f"query ($n: String!) {{ wallet(by: {{storeCustomerId: $n}}) {{ topUpOptions {TOP_UP_OPTIONS} }} }}"
    )
    name = {"n": customer["storeCustomerId"]}
    assert (await api.execute(query, name)).data["wallet"]["topUpOptions"] == own
    assert (await api.execute(query, name, Caller(fresh("stranger")))).data["wallet"] is None


async def test_limits_refuse_what_is_started_and_never_what_was_paid(api: Store) -> None:
    customer = await api.customer()
    limit = ("TOP_UP_LIMIT_REACHED", ["amount", "amount"])
    assert refusal(await start(api, customer, "4.99")) == limit
    assert refusal(await start(api, customer, "100.01")) == limit
    await started(api, customer, "100.00")
    intent = await started(api, customer, "50.00")
    assert refusal(await start(api, customer, "5.00")) == limit
    # What is left counts no more.
    key = {"idempotencyKey": fresh("key")}
    await api.done("cancelTopUp", {"topUpIntentId": intent["id"], **key}, owner(customer))
    await started(api, customer, "50.00")
    assert (await options(api, owner(customer)))["obstacles"] == ["DAY_LIMIT"]
    # Money that came is credited whatever the limits say, also for a top-up that was left.
    await paid(api, customer, "500.00", intent=intent["reference"])
    assert await balance(api, customer) == "500.00"
    assert (await intent_of(api, intent["id"]))["status"] == "COMPLETED"
    assert set((await options(api, owner(customer)))["obstacles"]) == {"DAY_LIMIT", "BALANCE_LIMIT"}


@pytest.mark.parametrize(
    ("changes", "obstacle"), [({"topUpsEnabled": False}, "OFF"), ({"topUpMethods": []}, "NO_METHOD")]
)
async def test_a_store_that_takes_none(api: Store, changes: JsonObject, obstacle: str) -> None:
    customer = await api.customer()
    await api.set_settings(**changes)
    assert (await options(api, owner(customer)))["obstacles"] == [obstacle]
    assert refusal(await start(api, customer, "10.00")) == ("TOP_UPS_OFF", ["wallet"])


async def test_the_wallet_never_pays_into_itself(api: Store) -> None:
    input_ = {"topUpMethods": ["card", "wallet"], "note": "A wallet that pays into itself"}
    assert refusal(await api.mutate("updateSettings", input_)) == ("FIELD_INVALID", ["topUpMethods"])
    customer = await api.customer()
    assert refusal(await start(api, customer, "10.00", paymentMethod="wallet")) == (
        "FIELD_INVALID",
        ["paymentMethod"],
    )


# --- references ---------------------------------------------------------------------------------------------


async def test_money_that_names_a_reference_completes_it(api: Store) -> None:
    customer = await api.customer()
    intent = await started(api, customer, "40.00")
    assert (intent["status"], intent["reference"][:3]) == ("STARTED", "TI-")
    payload = await paid(api, customer, "36.00", intent=intent["reference"])
    assert payload["topUp"]["credited"]["amount"] == "36.00"
    done = await intent_of(api, intent["id"])
    assert done == {"status": "COMPLETED", "topUp": {"credited": {"amount": "36.00"}}}
    key = {"idempotencyKey": fresh("key")}
    late = await api.mutate("cancelTopUp", {"topUpIntentId": intent["id"], **key}, owner(customer))
    assert refusal(late) == ("TOP_UP_NOT_OPEN", ["topUpIntentId"])


async def test_a_reference_of_another_credits_nobody(api: Store) -> None:
    customer, other = await api.customer(), await api.customer()
    intent = await started(api, other, "40.00")
    input_ = {
        "wallet": {"storeCustomerId": customer["storeCustomerId"]},
        "source": "woocommerce",
        "externalId": fresh("payment"),
        "paid": api.money("40.00"),
        "intent": intent["reference"],
    }
    payload = await api.mutate("recordTopUp", {**input_, "idempotencyKey": fresh("key")}, SERVICE)
    assert refusal(payload) == ("TOP_UP_OF_ANOTHER", ["intent"])
    unknown = {**input_, "intent": "TI-0000-0000-0000", "idempotencyKey": fresh("key")}
    assert refusal(await api.mutate("recordTopUp", unknown, SERVICE)) == ("NOT_FOUND", ["intent"])
    assert await balance(api, customer) == "0.00"


async def test_what_nobody_paid_expires(api: Store) -> None:
    customer = await api.customer()
    intent = await started(api, customer, "40.00")
    with api.moved(hours=23) as runtime:
        await work_off(runtime, "expire-top-ups")
        assert (await intent_of(api, intent["id"]))["status"] == "STARTED"
    with api.moved(hours=25) as runtime:
        assert await work_off(runtime, "expire-top-ups") >= 1
        assert (await intent_of(api, intent["id"]))["status"] == "EXPIRED"
        assert await work_off(runtime, "expire-top-ups") == 0


# --- orders -------------------------------------------------------------------------------------------------


def order(api: Store, customer: JsonObject, **more: Any) -> JsonObject:
    """An order of a top-up of 100 with a coupon of 20, and a book of 30."""
    return {
        "source": "woocommerce",
        "externalId": fresh("order"),
        "modifiedAt": "2026-01-05T12:00:00Z",
        "status": "PAID",
        "currency": api.currency,
        "total": "110.00",
        "customer": {"storeCustomerId": customer["storeCustomerId"]},
        "lines": [
            {"lineId": "1", "sku": PRODUCT, "subtotal": "100.00", "total": "80.00"},
            {"lineId": "2", "sku": "BOOK", "subtotal": "30.00", "total": "30.00"},
        ],
        **more,
    }


async def test_an_order_credits_what_was_kept_of_its_top_up(api: Store) -> None:
    customer = await api.customer()
    intent = await started(api, customer, "100.00")
    told = order(api, customer, topUp=intent["reference"])
    await api.done("recordOrder", told, SERVICE)
    await api.done("recordOrder", told, SERVICE)
    assert await balance(api, customer) == "80.00"
    assert (await intent_of(api, intent["id"]))["status"] == "COMPLETED"
    # A part of it, the book and all of it are refunded in turn.
    part = {
        "storeRefundId": "r1",
        "amount": "30.00",
        "lines": [{"lineId": "1", "amount": "30.00"}],
    }
    book = {"storeRefundId": "r2", "amount": "30.00", "lines": [{"lineId": "2", "amount": "30.00"}]}
    refunded = {**told, "modifiedAt": "2026-01-05T12:01:00Z", "refunds": [part]}
    await api.done("recordOrder", refunded, SERVICE)
    assert await balance(api, customer) == "50.00"
    refunded = {**refunded, "modifiedAt": "2026-01-05T12:02:00Z", "refunds": [part, book]}
    await api.done("recordOrder", refunded, SERVICE)
    assert await balance(api, customer) == "50.00"
    called_off = {**refunded, "modifiedAt": "2026-01-05T12:03:00Z", "status": "CANCELLED", "refunds": []}
    await api.done("recordOrder", called_off, SERVICE)
    assert await balance(api, customer) == "0.00"
    # It is told again as it was: older, so nothing happens.
    await api.done("recordOrder", told, SERVICE)
    assert await balance(api, customer) == "0.00"


async def test_cashback_for_top_ups_follows_what_an_order_kept_of_one(api: Store) -> None:
    """A rule for top-ups fires when the order of a started top-up is paid, of what was kept, and follows its refunds."""
    rule = await api.cashback_rule(
        trigger={"kind": "TOP_UP"}, reward={"kind": "PERCENT", "percent": "10"}, vesting={"kind": "AT_ONCE"}
    )
    try:
        customer = await api.customer()
        intent = await started(api, customer, "100.00")
        # A rule that names no start begins with its activation, so the order is of today.
        at = datetime.now(UTC)
        told = order(api, customer, topUp=intent["reference"], modifiedAt=at.isoformat())
        for _ in range(2):
            await api.done("recordOrder", told, SERVICE)
        assert await earned(api, customer) == [(rule["name"], "8.00", "0.00")]
        assert await balance(api, customer) == "88.00"
        part = {"storeRefundId": "r1", "amount": "40.00", "lines": [{"lineId": "1", "amount": "40.00"}]}
        refunded = {**told, "modifiedAt": (at + timedelta(seconds=1)).isoformat(), "refunds": [part]}
        await api.done("recordOrder", refunded, SERVICE)
        assert await earned(api, customer) == [(rule["name"], "8.00", "4.00")]
        assert await balance(api, customer) == "44.00"
    finally:
        await api.done("archiveCashbackRule", {"ruleId": rule["id"], "note": WHY})


async def earned(api: Store, customer: JsonObject) -> list[tuple[str, str, str]]:
    """A customer's cashback: by which rule, how much, and what was taken back of it."""
    query = (
        "query ($n: String!) { wallet(by: {storeCustomerId: $n}) { cashbackAwards(first: 9) { nodes { "
        "ruleName amount { amount } clawedBack { amount } } } } }"
    )
    answer = await api.execute(query, {"n": customer["storeCustomerId"]})
    found = answer.data["wallet"]["cashbackAwards"]["nodes"]
    return [(one["ruleName"], one["amount"]["amount"], one["clawedBack"]["amount"]) for one in found]


async def test_an_order_that_is_refunded_as_a_whole_has_kept_nothing(api: Store) -> None:
    customer = await api.customer()
    told = order(api, customer)
    await api.done("recordOrder", told, SERVICE)
    await api.done(
        "recordOrder", {**told, "modifiedAt": "2026-01-05T12:03:00Z", "status": "REFUNDED"}, SERVICE
    )
    assert await balance(api, customer) == "0.00"


async def test_told_as_a_top_up_and_as_an_order_it_is_one(api: Store) -> None:
    for order_first in (True, False):
        customer = await api.customer()
        told = order(api, customer)
        if order_first:
            await api.done("recordOrder", told, SERVICE)
        await paid(api, customer, "80.00", externalId=told["externalId"], modifiedAt="2026-01-05T12:00:00Z")
        await api.done("recordOrder", told, SERVICE)
        assert await balance(api, customer) == "80.00", order_first


async def test_the_wallet_pays_no_top_up(api: Store) -> None:
    customer = await api.funded("200.00")
    told = order(api, customer)
    pending = {**told, "status": "PENDING"}
    await api.done("recordOrder", pending, SERVICE)
    named = {"source": told["source"], "externalId": told["externalId"]}
    input_ = {"wallet": {"id": customer["wallet"]["id"]}, "order": named, "amount": api.money("30.01")}
    payload = await api.mutate("authorizePayment", {**input_, "idempotencyKey": fresh("key")}, SERVICE)
    assert refusal(payload)[0] == "PAYMENT_EXCEEDED"
    # The book it may pay.
    await api.done(
        "authorizePayment",
        {**input_, "amount": api.money("30.00"), "idempotencyKey": fresh("key")},
        SERVICE,
    )
    await api.done("recordOrder", {**told, "modifiedAt": "2026-01-05T12:01:00Z"}, SERVICE)
    assert await balance(api, customer) == "250.00"


async def test_what_a_wallet_was_to_pay_of_a_top_up_is_neither_taken_nor_credited(api: Store) -> None:
    customer = await api.funded("200.00")
    told = order(api, customer)
    named = {"source": told["source"], "externalId": told["externalId"], "total": api.money("110.00")}
    # Nobody knows yet what is in the order.
    input_ = {"wallet": {"id": customer["wallet"]["id"]}, "order": named, "amount": api.money("110.00")}
    await api.done("authorizePayment", {**input_, "idempotencyKey": fresh("key")}, SERVICE)
    await api.done("recordOrder", {**told, "paidOtherwise": "0.00"}, SERVICE)
    wallet = await api.wallet(customer)
    assert (wallet["balance"]["amount"], wallet["available"]["amount"]) == ("170.00", "170.00")


# --- automatic ----------------------------------------------------------------------------------------------


async def auto(api: Store, customer: JsonObject, **terms: Any) -> JsonObject:
    input_ = {
        "kind": "THRESHOLD",
        "threshold": api.money("20.00"),
        "amount": api.money("50.00"),
        "paymentMethod": "card",
        "paymentToken": "tok-81",
        "idempotencyKey": fresh("key"),
    }
    given = {**input_, **terms}
    payload = await api.done(
        "setAutoTopUp", {name: value for name, value in given.items() if value is not None}, owner(customer)
    )
    rule: JsonObject = payload["autoTopUp"]
    return rule


async def charges(api: Store, customer: JsonObject) -> list[JsonObject]:
    """What the store is asked to charge for this customer."""
    query = f"{{ autoTopUpCharges(last: 50) {{ nodes {AUTO_TOP_UP_CHARGE} }} }}"
    nodes = (await api.execute(query, {}, SERVICE)).data["autoTopUpCharges"]["nodes"]
    return [node for node in nodes if node["wallet"]["id"] == customer["wallet"]["id"]]


async def rule_of(api: Store, customer: JsonObject) -> JsonObject:
    query = f"query ($n: String!) {{ wallet(by: {{storeCustomerId: $n}}) {{ autoTopUps {AUTO_TOP_UP} }} }}"
    answer = await api.execute(query, {"n": customer["storeCustomerId"]}, owner(customer))
    (rule,) = answer.data["wallet"]["autoTopUps"]
    found: JsonObject = rule
    return found


async def report(api: Store, charge: JsonObject, **more: Any) -> JsonObject:
    input_ = {"chargeId": charge["id"], "outcome": "DECLINED", "idempotencyKey": fresh("key"), **more}
    return await api.mutate("reportAutoTopUpCharge", input_, SERVICE)


def as_paid(api: Store, amount: str = "50.00") -> JsonObject:
    return {
        "outcome": "PAID",
        "source": "woocommerce",
        "externalId": fresh("charge"),
        "paid": api.money(amount),
    }


async def test_a_wallet_that_runs_low_is_topped_up_once(api: Store) -> None:
    customer = await api.funded("19.99")
    await auto(api, customer)
    runtime = api.app.state.runtime
    await work_off(runtime, "auto-top-ups")
    await work_off(runtime, "auto-top-ups")
    (charge,) = await charges(api, customer)
    assert (charge["amount"]["amount"], charge["paymentToken"], charge["attempt"]) == ("50.00", "tok-81", 1)
    told = as_paid(api)
    payload = await report(api, charge, **told)
    again = await report(api, charge, **told)
    assert (payload["userErrors"], again["userErrors"]) == ([], [])
    assert payload["autoTopUpCharge"]["status"] == "PAID"
    assert await balance(api, customer) == "69.99"
    await work_off(runtime, "auto-top-ups")
    assert await charges(api, customer) == []
    assert refusal(await report(api, charge)) == ("TOP_UP_CHARGE_NOT_OPEN", ["chargeId"])


async def test_a_declined_card_is_tried_later_and_then_no_more(api: Store) -> None:
    customer = await api.customer()
    await auto(api, customer)
    day, rule, charge = 0, {}, {}
    for attempt, wait in ((1, 1), (2, 3), (3, 7), (4, None)):
        with api.moved(days=day, minutes=attempt) as runtime:
            await work_off(runtime, "auto-top-ups")
            (charge,) = await charges(api, customer)
            assert charge["attempt"] == attempt
            await report(api, charge, problem="insufficient_funds")
            # Told twice, it counts once.
            await report(api, charge, problem="insufficient_funds")
            rule = await rule_of(api, customer)
            assert rule["declines"] == attempt
            await work_off(runtime, "auto-top-ups")
            assert await charges(api, customer) == []
        day += wait or 0
    assert rule["status"] == "FAILED"
    # Money that came after all is credited.
    payload = await report(api, charge, **as_paid(api))
    assert (payload["autoTopUpCharge"]["status"], await balance(api, customer)) == ("PAID", "50.00")
    # Set again, it begins anew.
    assert (await auto(api, customer, paymentToken="tok-82"))["status"] == "ACTIVE"


async def test_the_days_limit_holds_for_automatic_ones_too(api: Store) -> None:
    customer = await api.customer()
    await started(api, customer, "100.00")
    await auto(api, customer, amount=api.money("60.00"))
    await work_off(api.app.state.runtime, "auto-top-ups")
    assert await charges(api, customer) == []
    rule = await rule_of(api, customer)
    assert (rule["status"], rule["nextAttemptAt"] > datetime.now(UTC).isoformat()) == ("ACTIVE", True)
    with api.moved(days=2) as runtime:
        await work_off(runtime, "expire-top-ups", "auto-top-ups")
        assert len(await charges(api, customer)) == 1


async def test_each_month(api: Store) -> None:
    customer = await api.customer()
    rule = await auto(api, customer, kind="MONTHLY", threshold=None, dayOfMonth=31)
    runtime = api.app.state.runtime
    await work_off(runtime, "auto-top-ups")
    assert await charges(api, customer) == []
    assert rule["nextAttemptAt"] > datetime.now(UTC).isoformat()
    with api.moved(days=32) as runtime:
        await work_off(runtime, "auto-top-ups")
        (charge,) = await charges(api, customer)
        await report(api, charge, **as_paid(api))
        await work_off(runtime, "auto-top-ups")
        assert await charges(api, customer) == []


@pytest.mark.parametrize(
    ("mutation", "status"), [("pauseAutoTopUp", "PAUSED"), ("cancelAutoTopUp", "CANCELLED")]
)
async def test_a_rule_that_is_stopped_asks_for_nothing(api: Store, mutation: str, status: str) -> None:
    customer = await api.customer()
    rule = await auto(api, customer)
    runtime = api.app.state.runtime
    await work_off(runtime, "auto-top-ups")
    (charge,) = await charges(api, customer)
    input_ = {"autoTopUpId": rule["id"], "idempotencyKey": fresh("key")}
    assert refusal(await api.mutate(mutation, input_, Caller(fresh("stranger")))) == (
        "NOT_FOUND",
        ["autoTopUpId"],
    )
    done = await api.done(mutation, input_, owner(customer))
    assert done["autoTopUp"]["status"] == status
    await work_off(runtime, "auto-top-ups")
    assert await charges(api, customer) == []
    # It had charged already.
    payload = await report(api, charge, **as_paid(api))
    assert (payload["userErrors"], await balance(api, customer)) == ([], "50.00")
