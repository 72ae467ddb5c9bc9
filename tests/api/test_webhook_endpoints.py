"""Who is told of what happens, as staff see it, and what was sent."""

import json
from typing import Any

from app.schema.types.node import decode_id, encode_id
from app.services import outbox
from tests.api.mutations import NOBODY
from tests.api.store import (
    ADMINISTRATOR,
    ANONYMOUS,
    ENDPOINT,
    MANAGER,
    OUTGOING,
    SUPPORT,
    Caller,
    JsonObject,
    Store,
    fresh,
)
from tests.api.test_statements import statements

ENDPOINTS = f"query ($first: Int, $status: WebhookEndpointStatus) {{ webhookEndpoints(first: $first, status: $status) {{ totalCount nodes {ENDPOINT} }} }}"
MESSAGES = (
    "query ($first: Int, $after: String, $filter: OutgoingWebhookFilter) "
    "{ outgoingWebhooks(first: $first, after: $after, filter: $filter) "
    f"{{ totalCount pageInfo {{ hasNextPage endCursor }} nodes {OUTGOING} }} }}"
)
NODE = (
    "query ($id: ID!) { node(id: $id) { __typename id "
    f"... on WebhookEndpoint {ENDPOINT} ... on OutgoingWebhook {{ event payload }} }} }}"
)


async def messages(store: Store, caller: Caller = ADMINISTRATOR, **variables: Any) -> JsonObject:
    answer = await store.execute(MESSAGES, {"first": 100, **variables}, caller)
    found: JsonObject = answer.data["outgoingWebhooks"]
    return found


async def test_what_staff_see_of_an_endpoint(api: Store) -> None:
    endpoint = await api.webhook_endpoint(description="The shop", events=["payment.*", "wallet.created"])
    assert endpoint["secret"].startswith("whsec_")
    assert (endpoint["status"], endpoint["disabledBy"], endpoint["failingSince"]) == ("ENABLED", None, None)
    assert endpoint["events"] == ["payment.*", "wallet.created"]
    assert endpoint["createdBy"]["kind"] == "STAFF"
    answer = await api.execute(NODE, {"id": endpoint["id"]}, MANAGER)
    assert answer.data["node"]["url"] == endpoint["url"]
    assert "whsec_" not in str(answer.body)
    listed = (await api.execute(ENDPOINTS, {"first": 1, "status": "ENABLED"})).data["webhookEndpoints"]
    assert [one["id"] for one in listed["nodes"]] == [endpoint["id"]]


async def test_who_may_look(api: Store) -> None:
    sent = await api.outgoing_webhook()
    ids = (sent["id"], sent["endpoint"]["id"], encode_id("OutgoingWebhook", NOBODY))
    for caller in (SUPPORT, Caller(fresh("customer"))):
        for query in (ENDPOINTS, MESSAGES, "{ webhookEventTypes { name } }"):
            assert (await api.execute(query, {"first": 1}, caller)).codes == ["FORBIDDEN"]
        for id_ in ids:
            assert (await api.execute(NODE, {"id": id_}, caller)).data["node"] is None
    assert (await api.execute(ENDPOINTS, {"first": 1}, ANONYMOUS)).codes == ["UNAUTHENTICATED"]


async def test_an_event_becomes_a_message_whose_body_not_everybody_sees(api: Store) -> None:
    endpoint = await api.webhook_endpoint(events=["transaction.*"])
    customer = await api.funded("5.00")
    runtime = api.app.state.runtime
    while await outbox.relay(runtime.writer, _senders(api)):
        pass
    wanted = {"endpointId": endpoint["id"]}
    (sent,) = (await messages(api, filter=wanted))["nodes"]
    assert (sent["event"], sent["status"], sent["attemptCount"]) == ("transaction.posted", "WAITING", 0)
    assert sent["webhookId"] == f"msg_{decode_id(sent['id'], 'OutgoingWebhook').hex}"
    payload = json.loads(sent["payload"])
    assert payload["data"]["customer"]["externalId"] == customer["storeCustomerId"]
    # The ids are those of the API.
    wallet = await api.execute(
        "query ($id: ID!) { node(id: $id) { id __typename } }", {"id": payload["data"]["walletId"]}
    )
    assert wallet.data["node"]["__typename"] == "Wallet"
    watcher = Caller("walter", ((await api.role("WEBHOOK_ENDPOINTS_READ"))["name"],))
    (seen,) = (await messages(api, watcher, filter=wanted))["nodes"]
    assert seen["payload"] is None
    assert (await messages(api, filter={**wanted, "events": ["wallet.created"]}))["nodes"] == []
    assert (await messages(api, filter={**wanted, "statuses": ["DEAD"]}))["nodes"] == []
    assert (await messages(api, filter={**wanted, "created": {"to": "2020-01-01T00:00:00Z"}}))["nodes"] == []


def _senders(api: Store) -> list[Any]:
    from app.main import _senders as senders  # noqa: PLC0415 — what the server itself sends by

    state = api.app.state
    return list(senders(state.runtime.settings, state.runtime, state.payouts))


async def test_messages_come_newest_first_in_pages_at_a_fixed_cost(api: Store) -> None:
    endpoint = await api.webhook_endpoint()
    input_ = {"webhookEndpointId": endpoint["id"]}
    ids = []
    for _ in range(5):
        payload = await api.done("sendTestWebhook", {**input_, "idempotencyKey": fresh("key")})
        ids.append(payload["outgoingWebhook"]["id"])
    wanted = {"endpointId": endpoint["id"]}
    seen, cursor = [], None
    for _ in range(3):
        page = await messages(api, first=2, after=cursor, filter=wanted)
        seen += [one["id"] for one in page["nodes"]]
        cursor = page["pageInfo"]["endCursor"]
    assert seen == ids[::-1]
    few = await statements(api, MESSAGES, {"first": 1, "filter": wanted})
    assert await statements(api, MESSAGES, {"first": 5, "filter": wanted}) == few


async def test_the_kinds_of_events(api: Store) -> None:
    answer = await api.execute("{ webhookEventTypes { name description version capability } }")
    found = {kind["name"]: kind for kind in answer.data["webhookEventTypes"]}
    assert found["payment.captured"]["capability"] == "ORDERS_READ"
    assert found["webhook.test"]["capability"] is None


async def test_what_was_done_is_in_the_audit(api: Store) -> None:
    endpoint = await api.webhook_endpoint(url=f"https://shop.example/secret-path-{fresh('hook')}")
    why = {"webhookEndpointId": endpoint["id"], "note": "The laptop was stolen"}
    await api.done("rotateWebhookSecret", {**why, "idempotencyKey": fresh("key")})
    await api.done("disableWebhookEndpoint", {**why, "idempotencyKey": fresh("key")})
    answer = await api.execute("{ auditEntries(first: 3) { nodes { action note } } }")
    actions = [entry["action"] for entry in answer.data["auditEntries"]["nodes"]]
    assert actions[:3] == ["UPDATE_WEBHOOK_ENDPOINT", "ROTATE_WEBHOOK_SECRET", "CREATE_WEBHOOK_ENDPOINT"]
    assert "secret-path" not in str(answer.body)
