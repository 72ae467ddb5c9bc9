"""Gift cards as staff, customers, tills and strangers meet them."""

import asyncio
from typing import Any

from app.jobs import work_off
from app.services.verification import verify
from tests.api.store import (
    ADMINISTRATOR,
    ANONYMOUS,
    FINANCE,
    GIFT_CARD_BALANCE,
    MANAGER,
    SERVICE,
    SUPPORT,
    Answer,
    Caller,
    Store,
    fresh,
)

CHECK = f"query ($code: String!) {{ checkGiftCard(code: $code) {GIFT_CARD_BALANCE} }}"
LIST = (
    "query ($filter: GiftCardFilter, $search: String, $first: Int, $after: String) { "
    "giftCards(filter: $filter, search: $search, first: $first, after: $after) "
    "{ totalCount nodes { id label status } pageInfo { endCursor hasNextPage } } }"
)
UNKNOWN = "0000-0000-0000-0000-0000"


async def check(api: Store, code: str, caller: Caller) -> Answer:
    return await api.execute(CHECK, {"code": code}, caller)


async def listed(api: Store, **variables: Any) -> list[str]:
    answer = await api.execute(LIST, variables)
    return [card["label"] for card in answer.data["giftCards"]["nodes"]]


async def test_a_code_is_checked_however_it_is_typed(api: Store) -> None:
    card = await api.gift_card("25.00")
    customer = Caller((await api.customer())["storeCustomerId"])
    for typed in (card["code"], card["code"].lower(), card["code"].replace("-", ""), f" {card['code']} "):
        found = (await check(api, typed, customer)).data["checkGiftCard"]
        assert found == {name: card[name] for name in found}
        assert (found["status"], found["balance"]["amount"]) == ("ACTIVE", "25.00")


async def test_who_may_check(api: Store) -> None:
    card = await api.gift_card()
    for caller in (SERVICE, SUPPORT, Caller(fresh("stranger"))):
        assert (await check(api, card["code"], caller)).data["checkGiftCard"]["reference"] == card[
            "reference"
        ]
    assert (await check(api, card["code"], ANONYMOUS)).code == "UNAUTHENTICATED"
    await api.set_settings(giftCardCheckByAnyone=True)
    assert (await check(api, card["code"], ANONYMOUS)).data["checkGiftCard"]["balance"]["amount"] == "25.00"
    await api.set_settings(giftCardCheckByAnyone=False)
    assert (await check(api, UNKNOWN, ANONYMOUS)).code == "UNAUTHENTICATED"


async def test_unknown_and_not_yet_sold_are_told_alike(api: Store) -> None:
    asleep = await api.gift_card(active=False)
    stopped = await api.gift_card(active=False)
    input_ = {"giftCardId": stopped["id"], "note": "Lost on the way to us", "idempotencyKey": fresh("key")}
    await api.done("disableGiftCard", input_)
    stranger = Caller(fresh("stranger"))
    answers = [
        await check(api, code, stranger) for code in (UNKNOWN, asleep["code"], stopped["code"], "rubbish")
    ]
    assert [answer.body for answer in answers] == [{"data": {"checkGiftCard": None}}] * 4
    await api.done("activateGiftCard", {"giftCardId": asleep["id"], "idempotencyKey": fresh("key")})
    assert (await check(api, asleep["code"], stranger)).data["checkGiftCard"]["status"] == "ACTIVE"


async def test_a_customer_redeems_and_sees_nothing_of_the_store_s_own(api: Store) -> None:
    await api.set_settings(giftCardsRedeemable=True)
    newcomer = {"storeCustomerId": fresh("newcomer")}
    card = await api.gift_card("25.00", label="Secret campaign", note="For those who complained")
    me = Caller(newcomer["storeCustomerId"])
    input_ = {"code": card["code"], "idempotencyKey": fresh("key")}
    done = await api.done("redeemGiftCard", input_, me)
    assert done["wallet"]["balance"]["amount"] == "25.00"
    (bucket,) = [one for one in done["wallet"]["buckets"] if one["bucket"] == "GIFT_CARD"]
    assert (bucket["balance"]["amount"], bucket["nextExpiryAt"]) == ("25.00", card["expiresAt"])
    assert done["transaction"]["counterAccount"] == "GIFT_CARDS"
    assert done["giftCard"]["status"] == "REDEEMED"
    assert "ecret" not in str(done)
    assert "complained" not in str(done)
    by_id = "query ($id: ID!) { giftCard(by: {id: $id}) { id } node(id: $id) { id } }"
    assert (await api.execute(by_id, {"id": card["id"]}, me)).code == "FORBIDDEN"
    node = await api.execute("query ($id: ID!) { node(id: $id) { id } }", {"id": card["id"]}, me)
    assert node.data["node"] is None
    found = await api.found_card(card, FINANCE)
    kinds = [
        (entry["kind"], entry["amount"]["amount"], entry["account"]) for entry in found["history"]["nodes"]
    ]
    assert kinds == [
        ("ISSUED", "0.00", None),
        ("ACTIVATED", "25.00", "FUNDING"),
        ("REDEEMED", "25.00", "WALLETS"),
    ]
    assert found["history"]["nodes"][2]["transaction"]["id"] == done["transaction"]["id"]


async def test_who_may_not_see_wallets_sees_no_transactions_of_them(api: Store) -> None:
    await api.set_settings(giftCardsRedeemable=True)
    customer, card = await api.customer(), await api.gift_card()
    await api.redeem(customer, card)
    role = await api.role("GIFT_CARDS_READ", "GIFT_CARDS_REDEEM")
    clerk = Caller(fresh("rob"), (role["name"],))
    history = (await api.found_card(card, clerk))["history"]["nodes"]
    assert [entry["transaction"] for entry in history] == [None] * 3
    done = await api.redeem(customer, await api.gift_card(), caller=clerk)
    assert (done["wallet"], done["transaction"], done["giftCard"]["status"]) == (None, None, "REDEEMED")


async def test_someone_else_s_wallet(api: Store) -> None:
    await api.set_settings(giftCardsRedeemable=True)
    customer, card = await api.customer(), await api.gift_card()
    input_ = {
        "wallet": {"id": customer["wallet"]["id"]},
        "code": card["code"],
        "idempotencyKey": fresh("key"),
    }
    before = await api.digest()
    for caller in (Caller(fresh("eve")), SUPPORT, FINANCE):
        payload = await api.mutate("redeemGiftCard", input_, caller)
        assert [(error["code"], error["field"]) for error in payload["userErrors"]] == [
            ("NOT_FOUND", ["wallet"])
        ]
    assert await api.digest() == before
    await api.done("redeemGiftCard", input_, MANAGER)


async def test_lists_are_filtered_and_come_in_pages(api: Store) -> None:
    input_ = {
        "csv": "amount,label\n" + "".join(f"10.00,Batch {n}\n" for n in range(25)),
        "note": "Prizes of the raffle",
        "idempotencyKey": fresh("key"),
    }
    issued = (await api.done("issueGiftCards", input_))["giftCards"]
    mine = {"batchId": issued[0]["batchId"]}
    found: list[str] = []
    after = None
    while True:
        page = (await api.execute(LIST, {"filter": mine, "first": 10, "after": after})).data["giftCards"]
        assert page["totalCount"] == 25
        found += [card["label"] for card in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert sorted(found) == sorted(f"Batch {n}" for n in range(25))
    assert await listed(api, filter=mine, search="batch 24") == ["Batch 24"]
    assert await listed(api, filter=mine, search=issued[3]["reference"].lower()) == ["Batch 3"]
    assert "Batch 3" in await listed(api, filter=mine, search=issued[3]["lastCharacters"])
    assert await listed(api, filter={**mine, "statuses": ["REDEEMED"]}) == []
    assert await listed(api, filter={**mine, "currency": "EUR"}) == []
    assert len(await listed(api, filter={**mine, "expires": {"from": "2027-01-01T00:00:00Z"}})) == 20
    refused = await api.execute(LIST, {"filter": {"batchId": "x"}})
    assert (refused.code, refused.errors[0]["extensions"]["argument"]) == ("BAD_USER_INPUT", "filter.batchId")
    by_reference = "query ($r: String!) { giftCard(by: {reference: $r}) { label } }"
    answer = await api.execute(by_reference, {"r": issued[7]["reference"].lower()})
    assert answer.data["giftCard"]["label"] == "Batch 7"
    assert (await api.execute(by_reference, {"r": "GC-NONE"})).data["giftCard"] is None
    assert (await api.execute(LIST, {}, Caller(fresh("eve")))).code == "FORBIDDEN"


async def test_the_clock_expires_cards(api: Store) -> None:
    card = await api.gift_card(expiresAt="2199-01-01T00:00:00Z")
    soon = await api.gift_card()
    with api.moved(days=366 * 6) as runtime:
        assert (await check(api, soon["code"], ADMINISTRATOR)).data["checkGiftCard"]["status"] == "ACTIVE"
        await work_off(runtime, "expire-gift-cards")
    found = await api.found_card(soon)
    assert (found["status"], found["balance"]["amount"]) == ("EXPIRED", "0.00")
    assert found["history"]["nodes"][-1]["account"] == "BREAKAGE"
    assert (await api.found_card(card))["status"] == "ACTIVE"


async def test_the_books_are_right(api: Store) -> None:
    report = await verify()
    assert report.faults == []


async def test_two_clicks_at_once(api: Store) -> None:
    await api.set_settings(giftCardsRedeemable=True)
    customer, card = await api.customer(), await api.gift_card()
    me = Caller(customer["storeCustomerId"])
    inputs = [{"code": card["code"], "idempotencyKey": fresh("key")} for _ in range(5)]
    payloads = await asyncio.gather(*(api.mutate("redeemGiftCard", input_, me) for input_ in inputs))
    codes = sorted(error["code"] for payload in payloads for error in payload["userErrors"])
    assert codes == ["GIFT_CARD_NOT_USABLE"] * 4
    assert (await api.wallet(customer))["balance"]["amount"] == "25.00"
