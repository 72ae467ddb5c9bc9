"""Payouts to sealed payout methods, from the customer's IBAN to the bank's file and back, as people see them."""

import csv
import io
from collections.abc import AsyncIterator
from typing import Any
from xml.etree import ElementTree as ET

import pytest_asyncio
from structlog.testing import capture_logs

from app.models.audit import AuditEntry
from tests.api.store import FINANCE, WHY, Caller, JsonObject, Store, assert_helpful, fresh, opened

IBANS = ("DE89370400440532013000", "NO9386011117947", "GB82WEST12345698765432", "NL91ABNA0417164300")
SIGNALS = "{ fraudSignals(first: 50) { nodes { kind count wallet { id } } } }"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(module_database_url: str, dialect: str) -> AsyncIterator[Store]:
    """A store in euros that pays out to IBANs, and gives new methods no waiting time."""
    async with opened(module_database_url, dialect, currency="EUR") as store:
        store.currency = "EUR"
        terms = {
            "enabled": True,
            "methods": ["BANK_IBAN", "PAYPAL"],
            "payerName": "Bean Co",
            "payerIban": "FR7630006000011234567890189",
            "feeFixed": store.money("0.50"),
        }
        await store.done("updateSettings", {"withdrawals": terms, "payoutMethodWaitingHours": 0, "note": WHY})
        yield store


async def approved(api: Store, iban: str = IBANS[0], **more: Any) -> tuple[JsonObject, JsonObject]:
    """A customer and their approved withdrawal to a payout method."""
    customer = await api.funded("100.00", name="Ada Lovelace")
    owner = Caller(customer["storeCustomerId"])
    input_ = {
        "kind": "BANK_IBAN",
        "details": {"holder": "Ada King", "iban": iban, "bic": "COBADEFFXXX"},
        "idempotencyKey": fresh("key"),
        **more,
    }
    method = (await api.done("addPayoutMethod", input_, owner))["payoutMethod"]
    input_ = {
        "amount": api.money("20.00"),
        "payoutMethodId": method["id"],
        "idempotencyKey": fresh("key"),
    }
    payload = await api.done("requestWithdrawal", input_, owner)
    withdrawal = payload["withdrawal"]
    assert (withdrawal["status"], withdrawal["method"]) == ("REQUESTED", method["kind"])
    await api.steps_on(withdrawal["id"], "approveWithdrawal")
    return {**customer, "method": method}, withdrawal


def exporting(*withdrawals: JsonObject, file_format: str = "CSV") -> JsonObject:
    ids = [one["id"] for one in withdrawals]
    return {"withdrawalIds": ids, "format": file_format, "idempotencyKey": fresh("key")}


async def test_the_file_names_the_account_in_full(api: Store) -> None:
    customer, first = await approved(api)
    _, second = await approved(api, kind="PAYPAL", details={"email": "ada@example.com"})
    with capture_logs() as logs:
        payload = await api.done("exportWithdrawals", exporting(first, second), FINANCE)
    rows = list(csv.DictReader(io.StringIO(payload["file"]["content"])))
    assert [(row["name"], row["iban"], row["bic"], row["email"], row["amount"]) for row in rows] == [
        ("Ada King", IBANS[0], "COBADEFFXXX", "", "19.50"),
        ("Ada Lovelace", "", "", "ada@example.com", "19.50"),
    ]
    assert IBANS[0] not in str(logs)
    shown = payload["results"][0]["withdrawal"]
    assert shown["status"] == "PROCESSING"
    assert IBANS[0][4:-4] not in str({**payload, "file": None}), "only the file tells"
    (entry,) = await AuditEntry.filter(
        action="READ_PAYOUT_DETAILS", wallet__customer__external_id=customer["storeCustomerId"]
    )
    assert entry.actor_id == FINANCE.subject
    assert payload["file"]["batchReference"] in entry.note
    assert IBANS[0] not in str(entry.data)


async def test_pain_001_takes_the_true_iban(api: Store) -> None:
    _, first = await approved(api, IBANS[1])
    _, paypal = await approved(api, kind="PAYPAL", details={"email": "grace@example.com"})
    input_ = exporting(first, paypal, file_format="PAIN_001")
    payload = await api.done("exportWithdrawals", input_, FINANCE)
    errors = [row["userErrors"] for row in payload["results"]]
    assert [[error["code"] for error in row] for row in errors] == [[], ["FIELD_INVALID"]]
    assert_helpful(errors[1][0]["message"])
    root = ET.fromstring(payload["file"]["content"])  # noqa: S314 - our own
    named = [node.text for node in root.iter() if node.tag.endswith("}IBAN")]
    assert named == ["FR7630006000011234567890189", IBANS[1]]
    assert [node.text for node in root.iter() if node.tag.endswith("}InstdAmt")] == ["19.50"]
    assert payload["file"]["mediaType"] == "application/xml"


async def test_a_name_that_no_bank_can_read_keeps_no_other_from_being_paid(api: Store) -> None:
    _, good = await approved(api, IBANS[1])
    _, bad = await approved(api, details={"holder": "😀", "iban": IBANS[0]})
    payload = await api.done("exportWithdrawals", exporting(bad, good, file_format="PAIN_001"), FINANCE)
    assert [len(row["userErrors"]) for row in payload["results"]] == [1, 0]
    assert_helpful(payload["results"][0]["userErrors"][0]["message"])
    assert payload["file"]["count"] == 1


async def test_a_file_that_is_asked_for_again_is_written_down_again(api: Store) -> None:
    customer, first = await approved(api, IBANS[2])
    input_ = exporting(first)
    files = [(await api.done("exportWithdrawals", input_, FINANCE))["file"] for _ in range(2)]
    assert files[0] == files[1]
    read = AuditEntry.filter(
        action="READ_PAYOUT_DETAILS", wallet__customer__external_id=customer["storeCustomerId"]
    )
    assert await read.count() == 2


async def test_whoever_may_not_read_details_exports_nothing(api: Store) -> None:
    _, first = await approved(api)
    await api.done(
        "createRole",
        {
            "name": "decider",
            "description": "Decides",
            "capabilities": ["WITHDRAWALS_REVIEW"],
            "note": WHY,
        },
    )
    decider = Caller("dee", ("decider",))
    before = await api.digest()
    answer = await api.execute(
        "mutation ($input: ExportWithdrawalsInput!) { exportWithdrawals(input: $input) { file { content } } }",
        {"input": exporting(first)},
        decider,
    )
    assert answer.code == "FORBIDDEN"
    assert "PAYOUT_DETAILS_READ" in answer.message
    assert await api.digest() == before


async def test_a_method_that_was_removed_since_is_not_paid_to(api: Store) -> None:
    customer, first = await approved(api)
    input_ = {"payoutMethodId": customer["method"]["id"], "idempotencyKey": fresh("key")}
    await api.done("removePayoutMethod", input_, Caller(customer["storeCustomerId"]))
    payload = await api.done("exportWithdrawals", exporting(first), FINANCE)
    (error,) = payload["results"][0]["userErrors"]
    assert (payload["file"], error["code"]) == (None, "PAYOUT_METHOD_NOT_USABLE")
    assert_helpful(error["message"])
    query = "query ($id: ID!) { node(id: $id) { ... on Withdrawal { status } } }"
    assert (await api.execute(query, {"id": first["id"]})).data["node"]["status"] == "APPROVED"


async def test_a_new_method_waits_and_says_until_when(api: Store) -> None:
    customer = await api.funded("100.00")
    owner = Caller(customer["storeCustomerId"])
    await api.done("updateSettings", {"payoutMethodWaitingHours": 24, "note": WHY})
    try:
        method = await api.payout_method(customer)
    finally:
        await api.done("updateSettings", {"payoutMethodWaitingHours": 0, "note": WHY})
    input_ = {"amount": api.money("20.00"), "payoutMethodId": method["id"], "idempotencyKey": fresh("key")}
    before = await api.digest()
    payload = await api.mutate("requestWithdrawal", input_, owner)
    (error,) = payload["userErrors"]
    assert error["code"] == "PAYOUT_METHOD_NOT_USABLE"
    assert_helpful(error["message"])
    assert await api.digest() == before


async def test_a_request_names_where_the_money_goes(api: Store) -> None:
    customer = await api.funded("100.00")
    for more in ({}, {"method": "PAYPAL"}):
        before = await api.digest()
        input_ = {"amount": api.money("20.00"), "idempotencyKey": fresh("key"), **more}
        payload = await api.mutate("requestWithdrawal", input_, Caller(customer["storeCustomerId"]))
        (error,) = payload["userErrors"]
        assert (error["code"], error["field"]) == ("FIELD_INVALID", ["payoutMethodId"])
        assert_helpful(error["message"])
        assert await api.digest() == before


async def test_the_same_place_for_two_customers_is_a_signal(api: Store) -> None:
    await approved(api, IBANS[3])
    customer, _ = await approved(api, IBANS[3])
    answer = await api.execute(SIGNALS, caller=FINANCE)
    (signal,) = [
        one for one in answer.data["fraudSignals"]["nodes"] if one["wallet"]["id"] == customer["wallet"]["id"]
    ]
    assert (signal["kind"], signal["count"]) == ("SHARED_PAYOUT_METHOD", 2)
