"""Withdrawals through the API: terms and what they refuse, decisions of many, batches for the bank, who sees what."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.api.store import FINANCE, NOTE, WHY, Caller, JsonObject, Store, fresh

ALLOWANCE = (
    "query ($name: String!) { wallet(by: {storeCustomerId: $name}) { balance { amount } withdrawable { amount } withdrawal "
    "{ enabled amount { amount } leftOut { reason amount { amount } until } limits { period maximum { amount } "
    "left { amount } resetsAt } minimum { amount } maximum { amount } methods } } }"
)
LIST = (
    "query ($filter: WithdrawalFilter, $search: String, $sort: WithdrawalSort, $statuses: [WithdrawalStatus!]) { "
    "withdrawals(first: 50, filter: $filter, search: $search, sort: $sort, statuses: $statuses) "
    "{ totalCount nodes { id reference amount { amount } } } }"
)


@pytest_asyncio.fixture(loop_scope="module")
async def terms(api: Store) -> AsyncIterator[Any]:
    """Sets the store's terms for one test, and sets them back."""

    async def change(**changes: Any) -> JsonObject:
        payload = await api.done("updateSettings", {"withdrawals": changes, "note": WHY})
        found: JsonObject = payload["settings"]["withdrawals"]
        return found

    yield change
    nothing = api.money("0")
    await change(
        enabled=True, minimum=nothing, maximum=nothing, maximumPerDay=nothing, maximumPerWeek=nothing,
        maximumPerMonth=nothing, feeFixed=nothing, feePercent="0", feePayer="CUSTOMER", waitingDays=0,
        methods=["MANUAL"], autoApproveBelow=nothing, payerName="", payerIban="", payerBic="",
    )  # fmt: skip


async def ask(api: Store, customer: JsonObject, amount: str, **more: Any) -> JsonObject:
    input_ = {"amount": api.money(amount), "idempotencyKey": fresh("key"), **more}
    return await api.mutate("requestWithdrawal", input_, Caller(customer["storeCustomerId"]))


def codes(payload: JsonObject) -> list[str]:
    return [error["code"] for error in payload["userErrors"]]


async def allowance(api: Store, customer: JsonObject) -> JsonObject:
    name = customer["storeCustomerId"]
    answer = await api.execute(ALLOWANCE, {"name": name}, Caller(name))
    found: JsonObject = answer.data["wallet"]
    return found


async def found(api: Store, **variables: Any) -> list[str]:
    answer = await api.execute(LIST, variables, FINANCE)
    page = answer.data["withdrawals"]
    assert page["totalCount"] == len(page["nodes"])
    return [node["id"] for node in page["nodes"]]


async def test_terms(api: Store, terms: Any) -> None:
    shown = await terms(
        minimum=api.money("5.00"), maximum=api.money("50.00"), feeFixed=api.money("0.50"), feePercent="1.5",
        feePayer="STORE", waitingDays=3, methods=["BANK_TRANSFER", "PAYPAL"], payerName=" Bean Co ",
        payerIban="de89 3704 0044 0532 0130 00",
    )  # fmt: skip
    assert shown["minimum"]["amount"] == "5.00"
    assert shown["maximumPerDay"] is None
    assert (shown["feePercent"], shown["feePayer"], shown["methods"]) == (
        "1.50",
        "STORE",
        ["BANK_TRANSFER", "PAYPAL"],
    )
    assert (shown["payerName"], shown["payerIban"]) == ("Bean Co", "DE89370400440532013000")
    kept = await terms(waitingDays=4)
    assert (kept["minimum"]["amount"], kept["waitingDays"]) == ("5.00", 4)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"feePercent": "1.555"}, ["withdrawals", "feePercent"]),
        ({"feePercent": "101"}, ["withdrawals", "feePercent"]),
        ({"waitingDays": -1}, ["withdrawals", "waitingDays"]),
        ({"methods": ["by pigeon"]}, ["withdrawals", "methods"]),
        ({"maximum": {"amount": "-1", "currency": "USD"}}, ["withdrawals", "maximum", "amount"]),
        ({"maximum": {"amount": "1", "currency": "EUR"}}, ["withdrawals", "maximum", "currency"]),
        ({"payerIban": "DE00"}, ["withdrawals", "payerIban"]),
    ],
)
async def test_terms_that_are_refused(api: Store, changes: JsonObject, path: list[str]) -> None:
    before = await api.digest()
    payload = await api.mutate("updateSettings", {"withdrawals": changes, "note": WHY})
    assert payload["userErrors"][0]["field"] == path
    assert await api.digest() == before


async def test_switched_off(api: Store, terms: Any) -> None:
    customer = await api.funded("20.00")
    await terms(enabled=False)
    before = await api.digest()
    assert codes(await ask(api, customer, "5.00")) == ["WITHDRAWALS_DISABLED"]
    assert await api.digest() == before
    shown = await allowance(api, customer)
    assert shown["withdrawable"]["amount"] == shown["withdrawal"]["amount"]["amount"] == "0.00"
    assert shown["withdrawal"]["leftOut"] == [
        {"reason": "NOT_ENABLED", "amount": {"amount": "20.00"}, "until": None}
    ]


async def test_limits(api: Store, terms: Any) -> None:
    customer = await api.funded("100.00")
    await terms(minimum=api.money("5.00"), maximum=api.money("30.00"), maximumPerDay=api.money("40.00"))
    for amount in ("4.99", "30.01"):
        before = await api.digest()
        assert codes(await ask(api, customer, amount)) == ["WITHDRAWAL_OUT_OF_LIMITS"]
        assert await api.digest() == before
    assert codes(await ask(api, customer, "30.00")) == []
    shown = (await allowance(api, customer))["withdrawal"]
    assert [(one["period"], one["left"]["amount"]) for one in shown["limits"]] == [
        ("REQUEST", "30.00"),
        ("DAY", "10.00"),
    ]
    assert (shown["minimum"]["amount"], shown["maximum"]["amount"]) == ("5.00", "10.00")
    assert [part["reason"] for part in shown["leftOut"]] == ["UNDER_REVIEW"]
    assert codes(await ask(api, customer, "10.01")) == ["WITHDRAWAL_OUT_OF_LIMITS"]
    last = (await ask(api, customer, "10.00"))["withdrawal"]
    assert codes(await ask(api, customer, "5.00")) == ["WITHDRAWAL_OUT_OF_LIMITS"]
    # What is called off counts no longer.
    await api.done("cancelWithdrawal", {"withdrawalId": last["id"], "idempotencyKey": fresh("key")})
    assert (await allowance(api, customer))["withdrawal"]["maximum"]["amount"] == "10.00"
    assert codes(await ask(api, customer, "10.00")) == []


async def test_fee_and_automatic_approval(api: Store, terms: Any) -> None:
    customer = await api.funded("100.00")
    await terms(feeFixed=api.money("0.50"), feePercent="1", autoApproveBelow=api.money("50.00"))
    withdrawal = (await ask(api, customer, "40.00"))["withdrawal"]
    assert (withdrawal["status"], withdrawal["fee"]["amount"], withdrawal["sent"]["amount"]) == (
        "APPROVED",
        "0.90",
        "39.10",
    )
    assert [step["actor"]["kind"] for step in withdrawal["steps"]] == ["CUSTOMER", "SYSTEM"]
    paid = (await api.steps_on(withdrawal["id"], "markWithdrawalPaid"))["withdrawal"]
    moved = [(one["kind"], one["direction"], one["amount"]["amount"]) for one in paid["transactions"]]
    assert moved == [("WITHDRAWAL", "DEBIT", "39.10"), ("FEE", "DEBIT", "0.90")]
    payload = await api.steps_on(withdrawal["id"], "markWithdrawalReturned", note=NOTE)
    assert payload["wallet"]["balance"]["amount"] == "100.00"
    assert len(payload["withdrawal"]["transactions"]) == 4


async def test_who_sees_what_of_the_steps(api: Store) -> None:
    customer = await api.funded("20.00")
    withdrawal = await api.withdrawal(customer)
    await api.steps_on(withdrawal["id"], "reviewWithdrawal", note="Asked the bank about the name")
    query = "query ($id: ID!) { node(id: $id) { ... on Withdrawal { problem steps { number note actor { kind id } } } } }"
    mine = (await api.execute(query, {"id": withdrawal["id"]}, Caller(customer["storeCustomerId"]))).data[
        "node"
    ]
    assert [step["actor"]["kind"] for step in mine["steps"]] == ["CUSTOMER", "STAFF"]
    assert mine["steps"][1]["actor"]["id"] is None, "a customer does not learn who of the staff it was"
    theirs = (await api.execute(query, {"id": withdrawal["id"]})).data["node"]
    assert theirs["steps"][1]["actor"]["id"] is not None


async def test_a_customer_cancels_until_it_is_sent(api: Store) -> None:
    customer = await api.funded("40.00")
    owner = Caller(customer["storeCustomerId"])
    for steps in (
        ["reviewWithdrawal"],
        ["approveWithdrawal"],
        ["approveWithdrawal", "markWithdrawalProcessing"],
    ):
        withdrawal = await api.withdrawal(customer)
        for step in steps:
            await api.steps_on(withdrawal["id"], step)
        input_ = {"withdrawalId": withdrawal["id"], "idempotencyKey": fresh("key")}
        payload = await api.mutate("cancelWithdrawal", input_, owner)
        if steps[-1] == "markWithdrawalProcessing":
            assert codes(payload) == ["WITHDRAWAL_NOT_OPEN"]
            assert "processing" in payload["userErrors"][0]["message"]
        else:
            assert payload["withdrawal"]["status"] == "CANCELLED"


async def test_many_are_decided_each_by_itself(api: Store) -> None:
    customer, own = await api.funded("40.00"), await api.funded("40.00")
    good, gone, mine = (
        await api.withdrawal(customer),
        await api.withdrawal(customer),
        await api.withdrawal(own),
    )
    await api.done("cancelWithdrawal", {"withdrawalId": gone["id"], "idempotencyKey": fresh("key")})
    caller = Caller(own["storeCustomerId"], ("administrator",))
    ids = [good["id"], gone["id"], mine["id"], good["id"]]
    input_ = {"withdrawalIds": ids, "idempotencyKey": fresh("key")}
    payload = await api.done("approveWithdrawals", input_, caller)
    assert [(row["withdrawalId"], codes(row)) for row in payload["results"]] == [
        (good["id"], []),
        (gone["id"], ["WITHDRAWAL_NOT_OPEN"]),
        (mine["id"], ["OWN_WALLET"]),
    ]
    assert payload["results"][0]["withdrawal"]["status"] == "APPROVED"
    again = await api.done("approveWithdrawals", input_, caller)
    assert (again["replayed"], again["results"]) == (True, payload["results"])
    input_ = {"withdrawalIds": [good["id"], mine["id"]], "note": NOTE, "idempotencyKey": fresh("key")}
    payload = await api.done("rejectWithdrawals", input_)
    assert [row["withdrawal"]["status"] for row in payload["results"]] == ["REJECTED", "REJECTED"]
    assert (await api.wallet(customer))["withdrawable"]["amount"] == "40.00"


async def test_a_batch_goes_to_the_bank_and_its_results_come_back(api: Store) -> None:
    customer = await api.funded("40.00", name="Ada Lovelace")
    first, second, waiting = [await api.withdrawal(customer) for _ in range(3)]
    for one in (first, second):
        await api.steps_on(one["id"], "approveWithdrawal")
    ids = [one["id"] for one in (first, second, waiting)]
    input_ = {"withdrawalIds": ids, "format": "CSV", "idempotencyKey": fresh("key")}
    payload = await api.done("exportWithdrawals", input_, FINANCE)
    assert [codes(row) for row in payload["results"]] == [[], [], ["WITHDRAWAL_NOT_OPEN"]]
    file = payload["file"]
    assert (file["count"], file["total"]["amount"], file["mediaType"]) == (2, "20.00", "text/csv")
    assert file["content"].count("Ada Lovelace") == 2
    assert {row["withdrawal"]["batchReference"] for row in payload["results"][:2]} == {file["batchReference"]}
    again = await api.done("exportWithdrawals", input_, FINANCE)
    assert (again["file"], again["replayed"]) == (file, True)
    assert (
        await found(api, filter={"batchReference": file["batchReference"]}, sort={"field": "REQUESTED_AT"})
        == ids[:2]
    )
    assert set(await found(api, search=file["batchReference"])) == set(ids[:2])
    lines = [
        f"{first['reference']},PAID,B-1,",
        f"{second['reference']},FAILED,,No such account",
        f"{waiting['reference']},LOST,,",
        "WD-0000-0000-0000,PAID,,",
    ]
    content = "\n".join(["reference,outcome,bank_reference,note", *lines])
    for replayed in (False, True):
        payload = await api.done(
            "importWithdrawalResults", {"content": content, "idempotencyKey": "results-" + ids[0][-20:]}
        )
        assert [(row["line"], codes(row)) for row in payload["results"]] == [
            (2, []),
            (3, []),
            (4, ["FIELD_INVALID"]),
            (5, ["NOT_FOUND"]),
        ]
        assert payload["replayed"] is replayed
    paid, failed = (row["withdrawal"] for row in payload["results"][:2])
    assert (paid["status"], paid["payoutReference"]) == ("PAID", "B-1")
    assert (failed["status"], failed["decisionNote"]) == ("FAILED", "No such account")
    assert (await api.wallet(customer))["balance"]["amount"] == "30.00"
    late = {"content": f"reference,outcome\n{second['reference']},PAID", "idempotencyKey": fresh("key")}
    payload = await api.done("importWithdrawalResults", late)
    assert payload["results"][0]["withdrawal"]["problem"] == "PAID_AFTER_END"
    assert second["id"] in await found(api, filter={"hasProblem": True})
    assert (await api.wallet(customer))["balance"]["amount"] == "30.00", "never paid twice"
    await api.steps_on(second["id"], "resolveWithdrawalProblem", note="The bank took it back by phone")
    assert second["id"] not in await found(api, filter={"hasProblem": True})


async def test_an_export_by_filter_takes_what_is_approved(api: Store) -> None:
    customer = await api.funded("70.00")
    approved, asked = await api.withdrawal(customer, "33.33"), await api.withdrawal(customer, "33.33")
    await api.steps_on(approved["id"], "approveWithdrawal")
    input_ = {
        "filter": {"amount": {"min": "33.33", "max": "33.33"}},
        "format": "CSV",
        "idempotencyKey": fresh("key"),
    }
    payload = await api.done("exportWithdrawals", input_)
    assert [row["withdrawalId"] for row in payload["results"]] == [approved["id"]]
    await api.steps_on(asked["id"], "approveWithdrawal")
    again = await api.done("exportWithdrawals", input_)
    assert again["file"] == payload["file"], "a repeated request takes no more into its batch"


async def test_pain_001_needs_an_account(api: Store, terms: Any) -> None:
    await terms(payerName="Bean Co", payerIban="DE89370400440532013000")
    customer = await api.funded("10.00")
    withdrawal = await api.withdrawal(customer)
    await api.steps_on(withdrawal["id"], "approveWithdrawal")
    input_ = {"withdrawalIds": [withdrawal["id"]], "format": "PAIN_001", "idempotencyKey": fresh("key")}
    payload = await api.done("exportWithdrawals", input_)
    assert (payload["file"], codes(payload["results"][0])) == (None, ["FIELD_INVALID"])
    query = "query ($id: ID!) { node(id: $id) { ... on Withdrawal { status } } }"
    assert (await api.execute(query, {"id": withdrawal["id"]})).data["node"]["status"] == "APPROVED"


async def test_filters_sorts_and_search(api: Store) -> None:
    customer = await api.funded("100.00", name="Grace Hopper", email="grace@example.com")
    small, large = await api.withdrawal(customer, "7.77"), await api.withdrawal(customer, "77.77")
    name = customer["storeCustomerId"]
    assert await found(api, search=f"hopper {name}") == [large["id"], small["id"]]
    assert await found(api, search=small["reference"].lower()) == [small["id"]]
    by_amount = {"field": "AMOUNT", "direction": "ASC"}
    assert await found(api, search=name, sort=by_amount) == [small["id"], large["id"]]
    assert await found(api, search=name, filter={"amount": {"min": "10.00"}}) == [large["id"]]
    assert await found(api, search=name, filter={"methods": ["PAYPAL"]}) == []
    assert len(await found(api, search=name, filter={"statuses": ["REQUESTED"], "methods": ["MANUAL"]})) == 2
    assert await found(api, search=name, filter={"requested": {"to": "2020-01-01T00:00:00Z"}}) == []
    assert len(await found(api, search=name, statuses=["REQUESTED"])) == 2
    both = {"statuses": ["REQUESTED"], "filter": {"statuses": ["PAID"]}}
    answer = await api.execute(LIST, both, FINANCE)
    assert answer.codes == ["BAD_USER_INPUT"]
