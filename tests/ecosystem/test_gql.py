"""`gql`, the usual GraphQL client of Python programs, over HTTP and over a websocket."""

from typing import Any

import pytest
from gql import Client, GraphQLRequest
from gql.transport.exceptions import TransportQueryError
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport

from tests.e2e.store import Store, open_store

pytestmark = pytest.mark.slow

CUSTOMER = "zoe"
WATCH = """
    subscription Watch($wallet: WalletSelector!) {
      walletUpdated(wallet: $wallet) { kind sequence balance { amount } }
    }
"""
ADJUST = """
    mutation Adjust($input: AdjustBalanceInput!) {
      adjustBalance(input: $input) { replayed wallet { balance { amount } } userErrors { code } }
    }
"""
BY = {"storeCustomerId": CUSTOMER}


@pytest.fixture
def dialect() -> str:
    return "sqlite"


def bearer(store: Store, caller: str) -> dict[str, str]:
    return {"authorization": f"Bearer {store.tokens[caller]}"}


def request(document: str, variables: dict[str, Any]) -> GraphQLRequest:
    return GraphQLRequest(document, variable_values=variables)


def adjustment(key: str, amount: str) -> dict[str, Any]:
    return {
        "input": {
            "wallet": BY,
            "direction": "CREDIT",
            "amount": {"amount": amount, "currency": "USD"},
            "reason": "GOODWILL",
            "note": f"A gesture for order {key}, two weeks late",
            "idempotencyKey": key,
        }
    }


async def test_gql_reads_adjusts_and_watches(database_url: str) -> None:
    async with open_store(database_url, customer=CUSTOMER) as store:
        http = HTTPXAsyncTransport(url=store.url, headers=bearer(store, "administrator"))
        # It fetches the schema by introspection and checks documents against it before they are sent.
        async with Client(transport=http, fetch_schema_from_transport=True) as staff:
            first = await staff.execute(request(ADJUST, adjustment("1", "25.00")))
            again = await staff.execute(request(ADJUST, adjustment("1", "25.00")))
            assert [first["adjustBalance"]["replayed"], again["adjustBalance"]["replayed"]] == [False, True]
            other = await staff.execute(request(ADJUST, adjustment("1", "26.00")))
            assert other["adjustBalance"]["userErrors"] == [{"code": "IDEMPOTENCY_KEY_REUSED"}]

            socket = WebsocketsTransport(
                url=store.url.replace("http", "ws", 1), init_payload=bearer(store, "customer")
            )
            seen = []
            async with Client(transport=socket) as customer:
                async for update in customer.subscribe(request(WATCH, {"wallet": BY})):
                    seen.append(update["walletUpdated"])
                    if len(seen) == 1:
                        await staff.execute(request(ADJUST, adjustment("2", "0.50")))
                    else:
                        break
            assert seen == [
                {"kind": "SNAPSHOT", "sequence": 1, "balance": {"amount": "25.00"}},
                {"kind": "TRANSACTION", "sequence": 2, "balance": {"amount": "25.50"}},
            ]


async def test_gql_is_told_what_it_may_not(database_url: str) -> None:
    async with open_store(database_url, customer=CUSTOMER) as store:
        http = HTTPXAsyncTransport(url=store.url, headers=bearer(store, "customer"))
        async with Client(transport=http) as customer:
            with pytest.raises(TransportQueryError) as refused:
                await customer.execute(request(ADJUST, adjustment("1", "25.00")))
    assert refused.value.errors is not None
    assert refused.value.errors[0]["extensions"]["code"] == "FORBIDDEN"
