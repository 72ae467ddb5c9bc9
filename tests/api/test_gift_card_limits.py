"""Guessed codes, and a server without a key: stores of their own, because a limit counts what everybody does."""

from pathlib import Path

import pytest

from app.db import migrate
from app.jobs import Jobs
from tests.api.store import ANONYMOUS, Caller, JsonObject, Store, fresh, opened
from tests.api.test_gift_cards import CHECK, UNKNOWN, check
from tests.databases import settings_for


@pytest.mark.parametrize("behind", ["one caller", "nobody"])
async def test_guesses_are_refused_and_flagged(tmp_path: Path, behind: str) -> None:
    url = f"sqlite:///{tmp_path / 'guessed.sqlite3'}"
    await migrate(settings_for(url))
    async with opened(url, "sqlite", gift_card_guesses_per_hour_max=3) as store:
        await store.set_settings(giftCardCheckByAnyone=True, giftCardsRedeemable=True)
        card = await store.gift_card()
        eve = Caller("eve") if behind == "one caller" else ANONYMOUS
        tries = 3 if behind == "one caller" else 300
        for _ in range(tries):
            assert (await check(store, UNKNOWN, eve)).data["checkGiftCard"] is None
        response = await store.client.post(
            "/graphql", json={"query": CHECK, "variables": {"code": card["code"]}}, headers=eve.headers
        )
        (error,) = response.json()["errors"]
        assert error["extensions"]["code"] == "RATE_LIMITED"
        assert error["extensions"]["retryAfter"] == int(response.headers["retry-after"]) > 0
        if behind == "one caller":
            await refused_to_redeem_too(store, eve, card)
            assert (await check(store, card["code"], Caller("bob"))).data["checkGiftCard"] is not None
        jobs = Jobs(store.app.state.runtime)
        await jobs._keep_signals()
        query = "{ fraudSignals(filter: {kinds: [GIFT_CARD_GUESSING]}) { nodes { actorKind actorId count wallet { id } } } }"
        (signal,) = (await store.execute(query)).data["fraudSignals"]["nodes"]
        kind, name = ("CUSTOMER", "eve") if behind == "one caller" else ("SYSTEM", "all callers")
        assert signal == {"actorKind": kind, "actorId": name, "count": tries, "wallet": None}


async def refused_to_redeem_too(store: Store, eve: Caller, card: JsonObject) -> None:
    before = await store.digest()
    input_ = {"code": card["code"], "idempotencyKey": fresh("key")}
    mutation = "mutation ($input: RedeemGiftCardInput!) { redeemGiftCard(input: $input) { replayed } }"
    assert (await store.execute(mutation, {"input": input_}, eve)).code == "RATE_LIMITED"
    assert await store.digest() == before


async def test_production_without_a_key_has_no_gift_cards(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'keyless.sqlite3'}"
    await migrate(settings_for(url))
    async with opened(url, "sqlite", environment="production", introspection=True) as store:
        input_ = {"amount": store.money("5.00"), "note": "For the raffle", "idempotencyKey": fresh("key")}
        payload = await store.mutate("issueGiftCards", input_)
        assert [error["code"] for error in payload["userErrors"]] == ["GIFT_CARDS_OFF"]
