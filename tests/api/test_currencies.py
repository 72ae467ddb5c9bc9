"""Stores whose currency has other decimals than two."""

import shutil
from pathlib import Path

import pytest

from tests.api.store import NOTE, JsonObject, Store, assert_helpful, fresh, opened


def adjustment(customer: JsonObject, money: JsonObject) -> JsonObject:
    """A credit of this much."""
    return {
        "wallet": {"id": customer["wallet"]["id"]},
        "direction": "CREDIT",
        "amount": money,
        "reason": "GOODWILL",
        "note": NOTE,
        "idempotencyKey": fresh("key"),
    }


async def code_of(store: Store, customer: JsonObject, money: JsonObject) -> str:
    """The code of the refusal of a credit."""
    payload = await store.mutate("adjustBalance", adjustment(customer, money))
    (error,) = payload["userErrors"]
    assert_helpful(error["message"])
    return str(error["code"])


@pytest.mark.parametrize(
    ("currency", "smallest", "too_precise", "largest", "too_large"),
    [
        ("JPY", "1", "0.5", "1000000000000000", "1000000000000001"),
        ("KWD", "0.001", "0.0001", "1000000000000.000", "1000000000000.001"),
    ],
)
async def test_currencies_of_other_decimals(
    migrated_sqlite: Path,
    tmp_path: Path,
    currency: str,
    smallest: str,
    too_precise: str,
    largest: str,
    too_large: str,
) -> None:
    path = tmp_path / "coffer.sqlite3"
    shutil.copyfile(migrated_sqlite, path)
    async with opened(f"sqlite:///{path}", "sqlite", currency=currency) as store:
        customer = await store.customer()
        for amount in (smallest, largest):
            payload = await store.adjust(customer, amount)
            assert payload["transaction"]["amount"] == {"amount": amount, "currency": currency}
        assert await code_of(store, customer, store.money(too_precise)) == "AMOUNT_TOO_PRECISE"
        assert await code_of(store, customer, store.money(too_large)) == "AMOUNT_TOO_LARGE"
        assert await code_of(store, customer, {"amount": "5", "currency": "USD"}) == "CURRENCY_MISMATCH"
