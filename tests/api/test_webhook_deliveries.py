"""What came in from the store, as staff see it, and what they replay."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from app.schema.types.delivery import BODY_MAX
from app.schema.types.node import decode_id, encode_id
from app.services.delivery import REPLAYED_MAX
from tests.api.mutations import NOBODY
from tests.api.store import (
    ADMINISTRATOR,
    ANONYMOUS,
    EXPIRED,
    FORGED,
    MANAGER,
    STAFF,
    Caller,
    JsonObject,
    Store,
    assert_helpful,
    fresh,
)
from tests.api.test_statements import statements

FIELDS = (
    "id door topic storeDeliveryId status attempts repeats nextAttemptAt error summary receivedAt repeatedAt doneAt "
    "sizeBytes bodyPreview"
)
LIST = (
    "query ($first: Int, $after: String, $filter: WebhookDeliveryFilter) "
    "{ webhookDeliveries(first: $first, after: $after, filter: $filter) "
    f"{{ totalCount pageInfo {{ hasNextPage endCursor }} nodes {{ {FIELDS} }} }} }}"
)
NODE = f"query ($id: ID!) {{ node(id: $id) {{ __typename ... on WebhookDelivery {{ {FIELDS} }} }} }}"


async def listed(store: Store, caller: Caller = ADMINISTRATOR, **variables: Any) -> JsonObject:
    """A page of the list."""
    answer = await store.execute(LIST, {"first": 100, **variables}, caller)
    found: JsonObject = answer.data["webhookDeliveries"]
    return found


async def node(store: Store, id_: str, caller: Caller = ADMINISTRATOR) -> JsonObject | None:
    """A delivery by its id."""
    found: JsonObject | None = (await store.execute(NODE, {"id": id_}, caller)).data["node"]
    return found


async def replayed(store: Store, **input_: Any) -> list[str]:
    """Replay, and tell the ids of what is."""
    payload = await store.done("replayWebhookDeliveries", {"idempotencyKey": fresh("key"), **input_})
    return [delivery["id"] for delivery in payload["deliveries"]]


async def test_what_staff_see(api: Store) -> None:
    body = b'{"id": 1042, "billing": {"email": "nora@example.com"}}'
    id_ = await api.delivery(body, error="The total is negative.")
    found = await node(api, id_)
    assert found is not None
    times = {name: found.pop(name) for name in ("receivedAt", "doneAt")}
    assert all(times.values())
    assert found == {
        "__typename": "WebhookDelivery",
        "id": id_,
        "door": "WOOCOMMERCE",
        "topic": "order.updated",
        "storeDeliveryId": "b7c1",
        "status": "DEAD",
        "attempts": 1,
        "repeats": 0,
        "nextAttemptAt": None,
        "error": "The total is negative. Put right what is wrong, then replay it.",
        "summary": None,
        "repeatedAt": None,
        "sizeBytes": len(body),
        "bodyPreview": body.decode(),
    }


async def test_newest_first_in_pages(api: Store) -> None:
    topic = fresh("topic")
    ids = [await api.delivery(topic=topic) for _ in range(5)]
    wanted = {"topics": [topic]}
    whole = await listed(api, filter=wanted)
    assert [one["id"] for one in whole["nodes"]] == ids[::-1]
    assert whole["totalCount"] == 5
    seen, cursor = [], None
    for _ in range(5):
        page = await listed(api, first=2, after=cursor, filter=wanted)
        seen += [one["id"] for one in page["nodes"]]
        cursor = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert seen == ids[::-1]


async def test_filters(api: Store) -> None:
    topic = fresh("topic")
    waiting, dead = await api.delivery(topic=topic, error=None), await api.delivery(topic=topic)
    received_at = (await node(api, dead) or {})["receivedAt"]

    async def found(**filter_: Any) -> set[str]:
        page = await listed(api, filter={"topics": [topic], **filter_})
        assert page["totalCount"] == len(page["nodes"])
        return {one["id"] for one in page["nodes"]}

    assert await found() == {waiting, dead}
    assert await found(statuses=["DEAD"]) == {dead}
    assert await found(statuses=["RECEIVED", "DONE"]) == {waiting}
    assert await found(statuses=[]) == set()
    assert await found(doors=["WOOCOMMERCE", "SHOPIFY"]) == {waiting, dead}
    assert await found(doors=["STANDARD"]) == set()
    assert await found(received={"from": received_at}) == {dead}
    assert await found(received={"to": "2001-01-01T00:00:00Z"}) == set()
    assert await found(orderId=encode_id("Order", NOBODY)) == set()
    for bad, argument in (
        ({"statuses": ["DEAD"] * 51}, "filter.statuses"),
        ({"topics": ["t"] * 51}, "filter.topics"),
        ({"doors": ["SHOPIFY"] * 51}, "filter.doors"),
        ({"orderId": encode_id("Wallet", NOBODY)}, "filter.orderId"),
    ):
        answer = await api.execute(LIST, {"filter": bad})
        assert (answer.code, answer.errors[0]["extensions"]["argument"]) == ("BAD_USER_INPUT", argument)
        assert_helpful(answer.message)


@pytest.mark.parametrize("name", ["anonymous", "expired", "forged", "customer", *STAFF])
async def test_who_may_look(api: Store, name: str) -> None:
    id_ = await api.delivery()
    others = {"anonymous": ANONYMOUS, "expired": EXPIRED, "forged": FORGED, "customer": Caller(fresh())}
    caller = others.get(name) or STAFF[name]
    answer = await api.execute(LIST, {"first": 1}, caller)
    if name in {"shop_manager", "administrator"}:
        assert answer.code is None
        assert await node(api, id_, caller) is not None
    elif name in {"anonymous", "expired", "forged"}:
        assert answer.code == "UNAUTHENTICATED"
    else:
        assert answer.code == "FORBIDDEN"
        # Whoever may not see it learns not even that it is there.
        missing = await api.execute(NODE, {"id": encode_id("WebhookDelivery", NOBODY)}, caller)
        assert (await api.execute(NODE, {"id": id_}, caller)).body == missing.body == {"data": {"node": None}}


async def test_bodies_are_for_those_who_may_see_customers(api: Store) -> None:
    id_ = await api.delivery(b'{"email": "nora@example.com"}')
    role = await api.role("WEBHOOKS_READ")
    operator = Caller(fresh("operator"), (role["name"],))
    found = await node(api, id_, operator)
    assert found is not None
    assert found["bodyPreview"] is None
    assert "nora" not in str(await listed(api, operator))
    assert "nora" in str(await node(api, id_, MANAGER))


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"", ""),
        (b"\xff\x00{", "\ufffd\u0000{"),
        (b"x" * (BODY_MAX + 1), "x" * BODY_MAX),
        ("\U0001f600" * (BODY_MAX + 1), "\U0001f600" * BODY_MAX),
    ],
    ids=["empty", "bytes", "long", "wide"],
)
async def test_previews_are_bounded(api: Store, body: bytes | str, shown: str) -> None:
    id_ = await api.delivery(body if isinstance(body, bytes) else body.encode(), topic=fresh("topic"))
    found = await node(api, id_)
    assert found is not None
    assert found["bodyPreview"] == shown


async def test_replayed_by_id(api: Store) -> None:
    ids = [await api.delivery() for _ in range(3)]
    chosen = [ids[2], ids[0], ids[2]]
    assert await replayed(api, deliveryIds=chosen) == [ids[2], ids[0]]
    states = {id_: await node(api, id_) for id_ in ids}
    again = states[ids[0]]
    assert again is not None
    assert (again["status"], again["attempts"], again["error"], again["doneAt"]) == (
        "RECEIVED",
        0,
        None,
        None,
    )
    assert again["nextAttemptAt"] is not None
    assert (states[ids[1]] or {})["status"] == "DEAD"
    # Whoever works on them is told at once.
    inbox = api.app.state.runtime.inbox
    waiting = {await inbox.get() for _ in range(len(inbox))}
    assert {decode_id(ids[0], "WebhookDelivery"), decode_id(ids[2], "WebhookDelivery")} <= waiting


async def test_one_that_is_not_there_keeps_all_from_being_replayed(api: Store) -> None:
    id_ = await api.delivery()
    input_ = {
        "deliveryIds": [id_, encode_id("WebhookDelivery", NOBODY)],
        "idempotencyKey": fresh("key"),
    }
    before = await api.digest()
    payload = await api.mutate("replayWebhookDeliveries", input_)
    assert [error["code"] for error in payload["userErrors"]] == ["NOT_FOUND"]
    assert await api.digest() == before


async def test_replayed_by_filter(api: Store) -> None:
    await replayed(api, filter={})  # what other tests left
    while await replayed(api, filter={}):
        pass
    waiting, first, second = (
        await api.delivery(error=None),
        await api.delivery(),
        await api.delivery(),
    )
    key = fresh("key")
    assert await replayed(api, filter={"doors": ["SHOPIFY"]}) == []
    assert await replayed(api, filter={}, idempotencyKey=key) == [first, second]
    # The same key gives the same answer, though none of them matches any more.
    assert await replayed(api, filter={}, idempotencyKey=key) == [first, second]
    assert await replayed(api, filter={}) == []
    assert waiting in await replayed(api, filter={"statuses": ["RECEIVED"], "doors": ["WOOCOMMERCE"]})


async def test_a_hundred_at_once(api: Store) -> None:
    ids = await asyncio.gather(*(api.delivery() for _ in range(REPLAYED_MAX + 1)))
    assert len(await replayed(api, deliveryIds=ids[:REPLAYED_MAX])) == REPLAYED_MAX


async def test_replays_are_audited(api: Store) -> None:
    ids = [await api.delivery() for _ in range(2)]
    before = len(await audited(api))
    await replayed(api, deliveryIds=ids)
    entries = await audited(api)
    assert len(entries) == before + 1
    assert entries[0]["actor"] == {"kind": "STAFF", "id": "ann"}
    (change,) = entries[0]["changes"]
    assert all(str(UUID(hex=decode_id(id_, "WebhookDelivery").hex)) in change["after"] for id_ in ids)


async def audited(api: Store) -> list[JsonObject]:
    """The entries of replays, newest first."""
    query = (
        "{ auditEntries(first: 100, filter: {actions: [REPLAY_WEBHOOKS]}) "
        "{ nodes { actor { kind id } changes { field after } } } }"
    )
    found: list[JsonObject] = (await api.execute(query)).data["auditEntries"]["nodes"]
    return found


async def test_fifty_cost_as_many_as_one(api: Store) -> None:
    topic = fresh("topic")
    ids = await asyncio.gather(*(api.delivery(topic=topic) for _ in range(50)))
    wanted = {"topics": [topic]}
    few = await statements(api, LIST, {"first": 1, "filter": wanted})
    many = await statements(api, LIST, {"first": 50, "filter": wanted})
    assert few == many
    document = (
        "mutation ($input: ReplayWebhookDeliveriesInput!) { replayWebhookDeliveries(input: $input) "
        "{ deliveries { id bodyPreview } userErrors { code } } }"
    )
    counts = [
        await statements(api, document, {"input": {"deliveryIds": some, "idempotencyKey": fresh("key")}})
        for some in (ids[:1], ids)
    ]
    assert counts[0] == counts[1]
