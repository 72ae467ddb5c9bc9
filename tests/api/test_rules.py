"""The rules of money, as a caller meets them: negative balances, buckets, corrections, frozen wallets, one's own."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from tests.api.store import ADMINISTRATOR, FINANCE, MANAGER, NOTE, Caller, JsonObject, Store, fresh

HISTORY = (
    "query ($name: String!) { wallet(by: {storeCustomerId: $name}) { transactions(first: 100) { nodes { id sequence "
    "kind direction note balanceAfter { amount } allocations { bucket amount { amount } } corrects { id } "
    "correctedBy { id } actor { kind id } } } } }"
)


async def refused(store: Store, customer: JsonObject, amount: str, **more: object) -> str:
    """The message of an adjustment for want of money."""
    input_ = {
        "wallet": {"storeCustomerId": customer["storeCustomerId"]},
        "direction": "DEBIT",
        "amount": store.money(amount),
        "reason": "OTHER",
        "note": NOTE,
        "idempotencyKey": fresh("key"),
        **more,
    }
    before = await store.digest()
    payload = await store.mutate("adjustBalance", input_)
    assert await store.digest() == before
    (error,) = payload["userErrors"]
    assert (error["code"], error["field"]) == ("INSUFFICIENT_FUNDS", ["amount"])
    return str(error["message"])


async def history(store: Store, customer: JsonObject, caller: Caller = ADMINISTRATOR) -> list[JsonObject]:
    """All transactions of a wallet, newest first."""
    answer = await store.execute(HISTORY, {"name": customer["storeCustomerId"]}, caller)
    nodes: list[JsonObject] = answer.data["wallet"]["transactions"]["nodes"]
    return nodes


async def parts(store: Store, customer: JsonObject) -> tuple[str, str, dict[str, str]]:
    """The balance, what can be withdrawn, and what there is of each kind."""
    wallet = await store.wallet(customer)
    buckets = {one["bucket"]: one["balance"]["amount"] for one in wallet["buckets"]}
    return wallet["balance"]["amount"], wallet["withdrawable"]["amount"], buckets


# --- below zero ---------------------------------------------------------------------------------------------


@pytest_asyncio.fixture(loop_scope="module")
async def overdrafts(api: Store) -> AsyncIterator[None]:
    """Debits by staff may take a wallet 20 below zero."""
    await api.set_settings(negativeBalanceEnabled=True, negativeBalanceLimit=api.money("20.00"))
    yield
    await api.set_settings(negativeBalanceEnabled=False)


async def test_no_wallet_goes_below_zero_by_default(api: Store) -> None:
    customer = await api.funded("10.00")
    assert "10.00 USD" in await refused(api, customer, "10.01")
    await api.adjust(customer, "-10.00")
    assert await parts(api, customer) == ("0.00", "0.00", {})
    assert "Nothing is available" in await refused(api, customer, "0.01")


@pytest.mark.usefixtures("overdrafts")
async def test_below_zero_up_to_the_limit(api: Store) -> None:
    customer = await api.funded("10.00")
    assert "30.00 USD" in await refused(api, customer, "30.01")
    payload = await api.adjust(customer, "-25.00")
    assert payload["wallet"]["balance"]["amount"] == "-15.00"
    assert payload["transaction"]["balanceAfter"]["amount"] == "-15.00"
    assert payload["transaction"]["amount"]["amount"] == "25.00"
    assert [(one["bucket"], one["amount"]["amount"]) for one in payload["transaction"]["allocations"]] == [
        ("CASH", "10.00"),
        (None, "15.00"),
    ]
    assert payload["wallet"]["available"]["amount"] == "-15.00"
    assert payload["wallet"]["withdrawable"]["amount"] == "0.00"
    assert "5.00 USD" in await refused(api, customer, "5.01")
    await api.adjust(customer, "-5.00")
    assert "Nothing is available" in await refused(api, customer, "0.01")


@pytest.mark.usefixtures("overdrafts")
async def test_the_next_credit_settles(api: Store) -> None:
    customer = await api.customer()
    await api.adjust(customer, "-15.00")
    payload = await api.adjust(customer, "10.00", bucket="PROMO")
    assert (payload["wallet"]["balance"]["amount"], payload["wallet"]["buckets"]) == ("-5.00", [])
    payload = await api.adjust(customer, "8.00", bucket="PROMO")
    assert [(one["bucket"], one["amount"]["amount"]) for one in payload["transaction"]["allocations"]] == [
        (None, "5.00"),
        ("PROMO", "3.00"),
    ]
    assert await parts(api, customer) == ("3.00", "0.00", {"PROMO": "3.00"})


@pytest.mark.usefixtures("overdrafts")
async def test_other_buckets_than_cash_never_go_below_zero(api: Store) -> None:
    customer = await api.customer()
    await api.adjust(customer, "5.00", bucket="PROMO")
    assert "5.00 USD" in await refused(api, customer, "5.01", bucket="PROMO")
    assert "Nothing of GIFT_CARD" in await refused(api, customer, "0.01", bucket="GIFT_CARD")


@pytest.mark.usefixtures("overdrafts")
async def test_customers_have_no_credit(api: Store) -> None:
    customer = await api.funded("10.00")
    input_ = {"amount": api.money("10.01"), "idempotencyKey": fresh("key")}
    payload = await api.mutate("requestWithdrawal", input_, Caller(customer["storeCustomerId"]))
    assert [error["code"] for error in payload["userErrors"]] == ["INSUFFICIENT_FUNDS"]


async def test_a_wallet_below_zero_stays_there_when_the_setting_goes(api: Store) -> None:
    await api.set_settings(negativeBalanceEnabled=True, negativeBalanceLimit=api.money("20.00"))
    customer = await api.customer()
    await api.adjust(customer, "-15.00")
    await api.set_settings(negativeBalanceEnabled=False)
    assert "Nothing is available" in await refused(api, customer, "0.01")
    assert (await parts(api, customer))[0] == "-15.00"
    await api.adjust(customer, "15.00")
    assert (await parts(api, customer))[0] == "0.00"


# --- buckets ------------------------------------------------------------------------------------------------


async def test_what_is_spent_first(api: Store) -> None:
    """Soonest expiry, then promo, gift card, cash, then the oldest."""
    customer = await api.customer()
    soon = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    later = (datetime.now(UTC) + timedelta(days=9)).isoformat()
    for bucket, amount, expires_at in (
        ("CASH", "1.00", None),
        ("CASH", "2.00", None),
        ("GIFT_CARD", "3.00", None),
        ("PROMO", "4.00", None),
        ("PROMO", "5.00", later),
        ("CASH", "6.00", soon),
    ):
        await api.adjust(customer, amount, bucket=bucket, expiresAt=expires_at)
    payload = await api.adjust(customer, "-20.50")
    assert [(one["bucket"], one["amount"]["amount"]) for one in payload["transaction"]["allocations"]] == [
        ("CASH", "6.00"),
        ("PROMO", "5.00"),
        ("PROMO", "4.00"),
        ("GIFT_CARD", "3.00"),
        ("CASH", "1.00"),
        ("CASH", "1.50"),
    ]
    assert await parts(api, customer) == ("0.50", "0.50", {"CASH": "0.50"})


async def test_a_debit_of_one_bucket_leaves_the_others(api: Store) -> None:
    customer = await api.funded("10.00")
    await api.adjust(customer, "5.00", bucket="PROMO")
    await api.adjust(customer, "-7.00", bucket="CASH")
    assert await parts(api, customer) == ("8.00", "3.00", {"CASH": "3.00", "PROMO": "5.00"})
    assert "3.00 USD" in await refused(api, customer, "3.01", bucket="CASH")


async def test_only_cash_is_paid_out(api: Store) -> None:
    customer = await api.funded("10.00")
    for bucket in ("PROMO", "GIFT_CARD"):
        await api.adjust(customer, "5.00", bucket=bucket)
    withdrawal = await api.withdrawal(customer, "10.00")
    wallet = await api.wallet(customer)
    assert (wallet["balance"]["amount"], wallet["held"]["amount"]) == ("20.00", "10.00")
    assert (wallet["available"]["amount"], wallet["withdrawable"]["amount"]) == ("10.00", "0.00")
    payload = await api.done(
        "markWithdrawalPaid", {"withdrawalId": withdrawal["id"], "idempotencyKey": fresh("key")}, FINANCE
    )
    assert payload["withdrawal"]["status"] == "PAID"
    assert await parts(api, customer) == ("10.00", "0.00", {"PROMO": "5.00", "GIFT_CARD": "5.00"})


async def test_what_is_given_back_is_where_it_was(api: Store) -> None:
    customer = await api.funded("10.00")
    before = await api.wallet(customer)
    withdrawal = await api.withdrawal(customer, "10.00")
    caller = Caller(customer["storeCustomerId"])
    await api.done(
        "cancelWithdrawal", {"withdrawalId": withdrawal["id"], "idempotencyKey": fresh("key")}, caller
    )
    assert await api.wallet(customer) == before
    assert len(await history(api, customer)) == 1, "a hold is no transaction"


# --- corrections --------------------------------------------------------------------------------------------


async def test_two_people_put_the_same_mistake_right(api: Store) -> None:
    customer = await api.funded("100.00")
    wrong = (await api.adjust(customer, "63.00"))["transaction"]

    async def puts_right() -> list[str]:
        right = {
            "wallet": {"storeCustomerId": customer["storeCustomerId"]},
            "direction": "DEBIT",
            "amount": api.money("63.00"),
            "reason": "CORRECTION",
            "note": NOTE,
            "corrects": wrong["id"],
            "idempotencyKey": fresh("key"),
        }
        payload = await api.mutate("adjustBalance", right, ADMINISTRATOR)
        return [error["code"] for error in payload["userErrors"]]

    assert sorted(await asyncio.gather(puts_right(), puts_right())) == [[], ["CORRECTION_NOT_POSSIBLE"]]
    assert await puts_right() == ["CORRECTION_NOT_POSSIBLE"]
    assert (await api.wallet(customer))["balance"]["amount"] == "100.00"


async def test_a_correction_shows_both_ways(api: Store) -> None:
    customer = await api.funded("10.00")
    wrong = (await api.adjust(customer, "50.00"))["transaction"]
    first = (await api.adjust(customer, "-50.00", corrects=wrong["id"], reason="CORRECTION"))["transaction"]
    second = (await api.adjust(customer, "5.00", corrects=wrong["id"], reason="CORRECTION"))["transaction"]
    assert first["corrects"] == second["corrects"] == {"id": wrong["id"]}
    for caller in (ADMINISTRATOR, Caller(customer["storeCustomerId"])):
        newest, before, corrected, oldest = await history(api, customer, caller)
        assert corrected["correctedBy"] == [{"id": first["id"]}, {"id": second["id"]}]
        assert corrected["corrects"] is None
        assert newest["corrects"] == before["corrects"] == {"id": corrected["id"]}
        assert oldest["correctedBy"] == []
        assert [one["sequence"] for one in (newest, before, corrected, oldest)] == [4, 3, 2, 1]
        assert [one["balanceAfter"]["amount"] for one in (newest, before, corrected, oldest)] == [
            "15.00",
            "10.00",
            "60.00",
            "10.00",
        ]


async def test_customers_don_t_learn_who_it_was(api: Store) -> None:
    customer = await api.funded("10.00")
    withdrawal = await api.withdrawal(customer, "1.00")
    await api.done(
        "rejectWithdrawal",
        {"withdrawalId": withdrawal["id"], "note": NOTE, "idempotencyKey": fresh("key")},
        FINANCE,
    )
    query = (
        "{ viewer { wallet { transactions { nodes { actor { kind id } } } "
        "withdrawals { nodes { requestedBy { kind id } decidedBy { kind id } } } } } }"
    )
    wallet = (await api.execute(query, None, Caller(customer["storeCustomerId"]))).data["viewer"]["wallet"]
    assert wallet["transactions"]["nodes"] == [{"actor": {"kind": "STAFF", "id": None}}]
    assert wallet["withdrawals"]["nodes"] == [
        {
            "requestedBy": {"kind": "CUSTOMER", "id": customer["storeCustomerId"]},
            "decidedBy": {"kind": "STAFF", "id": None},
        }
    ]


async def test_a_repeated_request_tells_the_first_transaction_and_the_wallet_as_it_is(api: Store) -> None:
    customer = await api.customer()
    key = fresh("key")
    first = await api.adjust(customer, "10.00", idempotencyKey=key)
    await api.adjust(customer, "5.00")
    again = await api.adjust(customer, "10.00", idempotencyKey=key)
    assert (again["replayed"], again["transaction"]) == (True, first["transaction"])
    assert again["wallet"]["balance"]["amount"] == "15.00"


async def test_the_same_amount_written_otherwise_is_the_same_request(api: Store) -> None:
    customer = await api.customer()
    key = fresh("key")
    await api.adjust(customer, "10", idempotencyKey=key)
    assert (await api.adjust(customer, "10.000", idempotencyKey=key))["replayed"] is True


# --- frozen -------------------------------------------------------------------------------------------------


async def test_a_frozen_wallet(api: Store) -> None:
    """Nothing is withdrawn; what was asked for can be given back; staff's adjustments post."""
    customer = await api.funded("50.00")
    owner = Caller(customer["storeCustomerId"])
    waiting, refused_, taken_back = [await api.withdrawal(customer, "5.00") for _ in range(3)]
    await api.freeze(customer)
    wallet = await api.wallet(customer)
    assert (wallet["status"], wallet["balance"]["amount"], wallet["withdrawable"]["amount"]) == (
        "FROZEN",
        "50.00",
        "0.00",
    )
    payload = await api.mutate(
        "requestWithdrawal", {"amount": api.money("1.00"), "idempotencyKey": fresh("key")}, owner
    )
    assert [error["code"] for error in payload["userErrors"]] == ["WALLET_FROZEN"]
    pay = {"withdrawalId": waiting["id"], "idempotencyKey": fresh("key")}
    payload = await api.mutate("markWithdrawalPaid", pay)
    assert [error["code"] for error in payload["userErrors"]] == ["WALLET_FROZEN"]
    await api.done(
        "rejectWithdrawal", {"withdrawalId": refused_["id"], "note": NOTE, "idempotencyKey": fresh("key")}
    )
    await api.done(
        "cancelWithdrawal", {"withdrawalId": taken_back["id"], "idempotencyKey": fresh("key")}, owner
    )
    assert (await api.adjust(customer, "10.00"))["wallet"]["status"] == "FROZEN"
    assert (await api.adjust(customer, "-20.00"))["wallet"]["balance"]["amount"] == "40.00"
    await api.done(
        "unfreezeWallet", {"wallet": {"id": wallet["id"]}, "note": "It was the customer after all"}, MANAGER
    )
    assert (await api.done("markWithdrawalPaid", pay))["withdrawal"]["status"] == "PAID"
    assert (await parts(api, customer))[:2] == ("35.00", "35.00")


# --- one's own ----------------------------------------------------------------------------------------------


async def test_nobody_decides_about_their_own_wallet(api: Store) -> None:
    """An administrator who shops: they use their wallet like any customer, and a colleague does the rest."""
    person = await api.funded("100.00")
    own = Caller(person["storeCustomerId"], ("administrator",))
    wallet = {"id": person["wallet"]["id"]}
    payload = await api.done(
        "requestWithdrawal", {"amount": api.money("10.00"), "idempotencyKey": fresh("key")}, own
    )
    withdrawal = {"withdrawalId": payload["withdrawal"]["id"]}
    money = {"amount": api.money("1.00"), "reason": "GOODWILL", "direction": "CREDIT"}
    before = await api.digest()
    for mutation, input_ in (
        ("adjustBalance", {"wallet": wallet, **money}),
        ("adjustBalance", {"wallet": wallet, **money, "direction": "DEBIT"}),
        ("adjustBalance", {"wallet": {"customerId": person["id"]}, **money}),
        ("adjustBalance", {"wallet": {"storeCustomerId": person["storeCustomerId"]}, **money}),
        ("freezeWallet", {"wallet": wallet}),
        ("rejectWithdrawal", withdrawal),
        ("markWithdrawalPaid", withdrawal),
    ):
        payload = await api.mutate(mutation, {**input_, "note": NOTE, "idempotencyKey": fresh("key")}, own)
        assert [error["code"] for error in payload["userErrors"]] == ["OWN_WALLET"], mutation
    assert await api.digest() == before
    await api.freeze(person)
    payload = await api.mutate("unfreezeWallet", {"wallet": wallet, "note": NOTE}, own)
    assert [error["code"] for error in payload["userErrors"]] == ["OWN_WALLET"]


async def test_one_s_own_wallet_is_not_opened_by_a_refusal(api: Store) -> None:
    name = fresh("clerk")
    input_ = {
        "wallet": {"storeCustomerId": name},
        "direction": "CREDIT",
        "amount": api.money("1.00"),
        "reason": "GOODWILL",
        "note": NOTE,
        "idempotencyKey": fresh("key"),
    }
    before = await api.digest()
    payload = await api.mutate("adjustBalance", input_, Caller(name, ("administrator",)))
    assert [error["code"] for error in payload["userErrors"]] == ["OWN_WALLET"]
    assert await api.digest() == before


async def test_an_adjustment_opens_what_is_missing(api: Store) -> None:
    payload = await api.adjust(fresh("new"), "5.00")
    assert (payload["wallet"]["balance"]["amount"], payload["wallet"]["sequence"]) == ("5.00", 1)
    assert payload["wallet"]["customer"]["name"] == ""


async def test_a_wallet_at_zero_can_be_used(api: Store) -> None:
    customer = await api.funded("5.00")
    await api.adjust(customer, "-5.00")
    assert (await api.adjust(customer, "2.00"))["wallet"]["balance"]["amount"] == "2.00"


async def test_the_ledger_is_clean_after_all_this(api: Store) -> None:
    answer = await api.execute("{ verifyLedger { isClean faultCount totals { difference { amount } } } }")
    assert answer.data["verifyLedger"]["isClean"] is True
