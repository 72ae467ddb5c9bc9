"""react-admin and Refine list, filter, sort and page wallets, by the adapters of `examples/`."""

import json
from typing import Any

import pytest

from tests.e2e.store import Store, open_store
from tests.ecosystem.conftest import Run, outcome

pytestmark = [pytest.mark.node, pytest.mark.slow]

ADJUST = """
    mutation ($input: AdjustBalanceInput!) { adjustBalance(input: $input) { userErrors { code } } }
"""
FREEZE = "mutation ($input: FreezeWalletInput!) { freezeWallet(input: $input) { userErrors { code } } }"
LISTED = {
    "first": ["dora", "cleo"],
    "total": 4,
    "second": ["bert", "abel"],
    "rich": ["dora", "cleo"],
    "frozen": ["bert"],
    "searched": ["abel"],
    "begun": 4,
    "oldest": ["abel", "bert"],
    "one": "dora",
}


def adjustment(customer: str, amount: str) -> dict[str, Any]:
    return {
        "wallet": {"storeCustomerId": customer},
        "direction": "CREDIT",
        "amount": {"amount": amount, "currency": "USD"},
        "reason": "GOODWILL",
        "note": f"A gesture for {customer}, whose parcel was late",
        "idempotencyKey": f"for {customer}",
    }


async def fill(store: Store) -> None:
    """Four customers, of whom one is frozen."""
    for customer, amount in (("abel", "5.00"), ("bert", "10.00"), ("cleo", "20.00"), ("dora", "30.00")):
        await store.ask(ADJUST, {"input": adjustment(customer, amount)}, caller="administrator")
    frozen = {"wallet": {"storeCustomerId": "bert"}, "note": "Somebody else may have the phone"}
    await store.ask(FREEZE, {"input": frozen}, caller="administrator")


async def play(run: Run, store: Store, script: str) -> Any:
    given = {"url": store.url, "token": store.tokens["administrator"], "adjust": adjustment("elsa", "1.00")}
    return outcome(await run("bundled.mjs", script, json.dumps(given)))


async def test_react_admin(run: Run, database_url: str) -> None:
    async with open_store(database_url, introspection=False) as store:
        await fill(store)
        seen = await play(run, store, "react-admin.mjs")
    # By then there is the customer who was adjusted, too.
    assert seen == LISTED | {"begun": 5, "many": ["dora", "cleo"], "adjusted": "1.00", "refused": "string"}


async def test_refine(run: Run, database_url: str) -> None:
    async with open_store(database_url, introspection=False) as store:
        await fill(store)
        seen = await play(run, store, "refine.mjs")
    assert seen == LISTED | {"unknown": "Wallets can't be filtered by shoeSize eq."}
