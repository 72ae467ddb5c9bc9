"""E-mails in the API: what customers prefer, adjustments that tell them, and previews."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tortoise.connection import get_connection

from app.domain.email_kind import DEFAULT_KINDS, TRANSACTIONAL, EmailKind
from tests.api.store import (
    ADMINISTRATOR,
    ANONYMOUS,
    FINANCE,
    SUPPORT,
    Caller,
    JsonObject,
    Store,
    fresh,
    opened,
)

PREVIEW = """
query ($kind: EmailKind!, $language: String, $id: ID) {
  previewEmail(kind: $kind, language: $language, transactionId: $id) {
    kind language subject text html problems languages
  }
}
"""
PREFERENCES = "query ($by: CustomerSelector!) { customer(by: $by) { language notificationPreferences { kind enabled canSwitchOff } } }"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(module_database_url: str, dialect: str) -> AsyncIterator[Store]:
    """A store that sends e-mails, or would if its outbox worked."""
    mail = {"smtp_url": "smtp://localhost:1", "email_from": "Shop <wallet@shop.example>"}
    async with opened(module_database_url, dialect, **mail) as store:
        yield store


async def preferences(api: Store, customer: JsonObject, caller: Caller = ADMINISTRATOR) -> Any:
    by = {"storeCustomerId": customer["storeCustomerId"]}
    found = (await api.execute(PREFERENCES, {"by": by}, caller)).data["customer"]
    return found and found["notificationPreferences"]


async def preview(api: Store, caller: Caller = ADMINISTRATOR, **variables: Any) -> Any:
    return await api.execute(PREVIEW, variables, caller)


async def emails_of(customer: JsonObject) -> list[tuple[str, str]]:
    """Topic and status of the e-mails to a customer."""
    sql = (
        "SELECT m.topic, m.status FROM outbox_messages m JOIN customers c ON m.target = "
        f"{'CAST(c.id AS TEXT)'} WHERE c.external_id = '{customer['storeCustomerId']}' AND m.channel = 'EMAIL'"
    )
    rows = await get_connection("default").execute_query_dict(sql)
    return [(row["topic"], row["status"]) for row in rows]


# --- preferences --------------------------------------------------------------------------------------------


async def test_customers_choose_for_themselves(api: Store) -> None:
    customer = await api.customer(email="ada@shop.example")
    own = Caller(customer["storeCustomerId"])
    before = await preferences(api, customer, own)
    assert [one["kind"] for one in before] == list(EmailKind)
    assert all(one["enabled"] for one in before)
    assert {one["kind"] for one in before if not one["canSwitchOff"]} == TRANSACTIONAL
    wanted = [{"kind": "REFUND", "enabled": False}, {"kind": "TOP_UP", "enabled": True}]
    for _ in range(2):
        payload = await api.done("updateNotificationPreferences", {"preferences": wanted}, own)
        after = payload["customer"]["notificationPreferences"]
        assert [one["kind"] for one in after if not one["enabled"]] == ["REFUND"]
    on_again = {"preferences": [{"kind": "REFUND", "enabled": True}]}
    await api.done("updateNotificationPreferences", on_again, own)
    assert await preferences(api, customer) == before
    assert await preferences(api, customer, Caller(fresh("stranger"))) is None


# --- adjustments that tell ----------------------------------------------------------------------------------


async def adjusted(api: Store, customer: JsonObject, **more: Any) -> JsonObject:
    return await api.adjust(customer, "5.00", **{"notifyCustomer": True, **more})


async def test_an_adjustment_tells_its_customer_when_asked(api: Store) -> None:
    customer = await api.customer(email="ada@shop.example")
    silent = await adjusted(api, customer, notifyCustomer=False)
    assert silent["customerNotified"] is False
    assert await emails_of(customer) == []
    key = fresh("key")
    for replayed in (False, True):
        told = await adjusted(api, customer, idempotencyKey=key)
        assert (told["customerNotified"], told["replayed"]) == (True, replayed)
        assert await emails_of(customer) == [("ADJUSTMENT", "WAITING")]


async def test_a_refused_adjustment_tells_nobody(api: Store) -> None:
    customer = await api.customer(email="ada@shop.example")
    input_ = {
        "wallet": {"storeCustomerId": customer["storeCustomerId"]},
        "direction": "DEBIT",
        "amount": api.money("5.00"),
        "reason": "OTHER",
        "note": "Parcel of order 1042 arrived broken",
        "notifyCustomer": True,
        "idempotencyKey": fresh("key"),
    }
    payload = await api.mutate("adjustBalance", input_)
    assert payload["userErrors"][0]["code"] == "INSUFFICIENT_FUNDS"
    assert payload["customerNotified"] is None
    assert await emails_of(customer) == []


async def test_nobody_is_told_who_can_not_be_or_does_not_want_it(api: Store) -> None:
    nobody = await api.customer()
    assert (await adjusted(api, nobody))["customerNotified"] is False
    weary = await api.customer(email="ada@shop.example")
    off = {"preferences": [{"kind": "ADJUSTMENT", "enabled": False}]}
    await api.done("updateNotificationPreferences", off, Caller(weary["storeCustomerId"]))
    assert (await adjusted(api, weary))["customerNotified"] is False
    keen = await api.customer(email="ada@shop.example")
    try:
        await api.set_settings(emailKinds=["REFUND"])
        assert (await adjusted(api, keen))["customerNotified"] is False
    finally:
        await api.set_settings(emailKinds=list(DEFAULT_KINDS))
    assert (await adjusted(api, keen))["customerNotified"] is True


# --- previews -----------------------------------------------------------------------------------------------


async def test_a_made_up_email_is_shown(api: Store) -> None:
    found = (await preview(api, kind="EXPIRY_REMINDER", language="de_at")).data["previewEmail"]
    assert (found["kind"], found["language"], found["problems"]) == ("EXPIRY_REMINDER", "de-AT", [])
    assert "verfallen am 31. März 2027" in found["subject"]
    assert "<html" in found["html"]
    assert {"de", "en"} <= set(found["languages"])


async def test_an_email_about_a_transaction_is_shown_in_its_customers_language(api: Store) -> None:
    customer = await api.customer(name="Zoë <b>", language="de")
    posted = (await api.adjust(customer, "12.50"))["transaction"]
    found = (await preview(api, kind="ADJUSTMENT", id=posted["id"])).data["previewEmail"]
    for fact in (posted["reference"], "12,50", posted["note"]):
        assert fact in found["text"]
        assert fact in found["html"]
    assert "Zoë &lt;b&gt;" in found["html"]
    assert found["language"] == "de"
    other = await preview(api, kind="REFUND", id=posted["id"])
    assert other.code == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    ("caller", "code"),
    [(ANONYMOUS, "UNAUTHENTICATED"), (Caller("c-1"), "FORBIDDEN"), (SUPPORT, "FORBIDDEN"), (FINANCE, None)],
)
async def test_who_sees_previews(api: Store, caller: Caller, code: str | None) -> None:
    assert (await preview(api, caller, kind="REFUND")).code == code


async def test_previews_show_no_transactions_to_those_who_may_not_see_them(api: Store) -> None:
    posted = (await api.funded())["transaction"]
    key = await api.api_key("SETTINGS_READ")
    response = await api.client.post(
        "/graphql",
        json={"query": PREVIEW, "variables": {"kind": "ADJUSTMENT", "id": posted["id"]}},
        headers={"authorization": f"Bearer {key['secret']}"},
    )
    assert [error["extensions"]["code"] for error in response.json()["errors"]] == ["FORBIDDEN"]


@pytest.mark.parametrize("variables", [{"language": "Klingon!"}, {"id": "garbage"}])
async def test_previews_refuse_what_can_not_be_meant(api: Store, variables: JsonObject) -> None:
    assert (await preview(api, kind="ADJUSTMENT", **variables)).code == "BAD_USER_INPUT"


@pytest.mark.parametrize("changes", [{"emailKinds": ["REFUND", "REFUND"]}, {"emailLanguage": ""}])
async def test_settings_refuse_what_can_not_be_meant(api: Store, changes: JsonObject) -> None:
    payload = await api.mutate("updateSettings", {**changes, "note": "Agreed with finance in May"})
    assert [error["code"] for error in payload["userErrors"]] == ["FIELD_INVALID"]
