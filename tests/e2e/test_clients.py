"""Other people's clients with a real wallet: they read, adjust, watch, and miss nothing while they are away."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.store import Store, open_store, token

CLIENTS = Path(__file__).parent.parent / "clients"
CUSTOMER = "zoe"

TOLD = {
    "before": None,
    "first": [False, "25.00", []],
    "again": [True, True, "25.00"],
    "other": [{"code": "IDEMPOTENCY_KEY_REUSED", "field": ["idempotencyKey"]}],
    "tooMuch": [{"code": "INSUFFICIENT_FUNDS", "field": ["amount"]}],
    "live": ["SNAPSHOT 1 25.00", "TRANSACTION 2 20.00 DEBIT 5.00", "TRANSACTION 3 20.50 CREDIT 0.50"],
    "resumed": [
        "TRANSACTION 4 21.50 CREDIT 1.00",
        "TRANSACTION 5 19.50 DEBIT 2.00",
        "SNAPSHOT 5 19.50",
        "TRANSACTION 6 23.50 CREDIT 4.00",
    ],
}
ADJUST = "mutation ($input: AdjustBalanceInput!) { adjustBalance(input: $input) { userErrors { code } } }"
NOTES = {6: "1048", 5: "1047", 4: "1046", 3: "1045", 2: "1044"}


async def run(node: str, script: str, *arguments: str) -> bytes:
    """Run a script of tests/clients and return what it printed."""
    process = await asyncio.create_subprocess_exec(
        node,
        script,
        *arguments,
        cwd=CLIENTS,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    return out


async def play(node: str, store: Store, script: str, *arguments: str) -> dict[str, Any]:
    """Let a script of tests/clients tell its story; it prints the outcome as JSON."""
    given = json.dumps({"url": store.url, "tokens": store.tokens, "customer": CUSTOMER})
    outcome: dict[str, Any] = json.loads(await run(node, script, given, *arguments))
    after = outcome.pop("after")
    assert after["balance"]["amount"] == "23.50"
    history = {row["sequence"]: row["note"] for row in after["transactions"]["nodes"]}
    assert history == {
        sequence: f"Parcel of order {order} arrived broken" for sequence, order in NOTES.items()
    }
    return outcome


@pytest.mark.node
async def test_graphql_ws(node: str, database_url: str) -> None:
    async with open_store(database_url, customer=CUSTOMER) as store:
        outcome = await play(node, store, "wallet-graphql-ws.mjs")

    assert outcome == TOLD | {
        "cut": ["SNAPSHOT 6 23.50", "SNAPSHOT 6 23.50", "TRANSACTION 7 23.25 DEBIT 0.25"]
    }


@pytest.mark.node
async def test_apollo(node: str, database_url: str) -> None:
    async with open_store(database_url, customer=CUSTOMER) as store:
        outcome = await play(node, store, "wallet-apollo.mjs")

    assert outcome == TOLD | {"shown": ["23.50", "23.25"]}


@pytest.mark.node
@pytest.mark.parametrize("transport", ["events", "websocket"])
async def test_urql(node: str, database_url: str, transport: str) -> None:
    async with open_store(database_url, customer=CUSTOMER) as store:
        outcome = await play(node, store, "wallet-urql.mjs", transport)

    assert outcome == TOLD


@pytest.mark.node
async def test_graphql_request_and_graphql_sse(node: str, database_url: str) -> None:
    async with open_store(database_url, customer=CUSTOMER) as store:
        outcome = await play(node, store, "wallet-graphql-request.mjs")

    assert outcome == TOLD


@pytest.mark.node
async def test_an_order_is_authorized_captured_and_refunded(node: str, database_url: str) -> None:
    async with open_store(database_url, customer=CUSTOMER) as store:
        given = {
            "wallet": {"storeCustomerId": CUSTOMER},
            "direction": "CREDIT",
            "amount": {"amount": "50.00", "currency": "USD"},
            "reason": "GOODWILL",
            "note": "Parcel of order 1041 arrived broken",
            "idempotencyKey": "1041",
        }
        await store.ask(ADJUST, {"input": given}, caller="staff")
        callers = {**store.tokens, "service": token("shop", "service")}
        told = json.dumps({"url": store.url, "tokens": callers, "customer": CUSTOMER})
        outcome = json.loads(await run(node, "checkout.mjs", told))
        verified = await store.ask("{ verifyLedger { isClean } }", caller="administrator")

    assert verified["verifyLedger"]["isClean"]
    assert outcome == {
        "tooMuch": [{"code": "INSUFFICIENT_FUNDS", "field": ["amount"]}],
        "first": ["AUTHORIZED", "20.00", "30.00", "20.00"],
        "anew": ["AUTHORIZED", "40.00", "10.00", "40.00"],
        "stale": [{"code": "PAYMENT_NOT_OPEN", "field": ["paymentId"]}],
        "byCustomer": "FORBIDDEN",
        "captured": [False, "CAPTURED", "40.00", "30.00", "20.00", "0.00"],
        "again": [True, "CAPTURED", "40.00", "30.00", "20.00", "0.00"],
        "recorded": {"paymentState": "PAID", "leftToPay": {"amount": "0.00"}},
        # Half of each refund was paid by the wallet.
        "refunds": [
            [False, "10.00", "10.00", "30.00"],
            [True, "10.00", "10.00", "30.00"],
            [False, "20.00", "20.00", "50.00"],
        ],
        "beyond": [{"code": "REFUND_EXCEEDED", "field": ["amount"]}],
    }


@pytest.mark.node
@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_all_audits_of_graphql_http_are_ok(node: str, database_url: str) -> None:
    """The audits ask `{ __typename }` of whoever answers: here it is the whole application, signed out."""
    async with open_store(database_url, customer=CUSTOMER) as store:
        out = await run(node, "audits.mjs", store.url)

    assert json.loads(out) == {"audits": 61, "failed": []}
