"""Rights that change while people work: roles, API keys, and everybody who would like to have more of them."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from tortoise.connection import get_connection

from app.auth.api_key import new_api_key, prefix_of, proves
from app.domain.access import ROLES
from app.domain.rights import Rights
from app.services import access
from tests.api.mutations import KEEPER
from tests.api.socket import Socket, opened as socket_opened
from tests.api.store import (
    ADMINISTRATOR,
    MANAGER,
    NOTE,
    STAFF,
    SUPPORT,
    WHY,
    Answer,
    Caller,
    JsonObject,
    Store,
    fresh,
)
from tests.fork_server import fork_server

PROJECT = Path(__file__).parents[2]
VIEWER = "{ viewer { kind subject roles capabilities } }"
WALLETS = "{ wallets(first: 1) { nodes { id } } }"
WITHIN_S = 15.0
"""What another process did is noticed sooner; the promise is a minute."""


class Key(Caller):
    """A service that shows its key."""

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.subject}"}


async def post(api: Store, headers: dict[str, str], query: str = VIEWER) -> Answer:
    return api.checked(await api.client.post("/graphql", json={"query": query}, headers=headers))


async def eventually(ask: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not await ask():  # noqa: ASYNC110 - told by nobody
            await asyncio.sleep(0.05)


async def update(api: Store, role: JsonObject, **changes: Any) -> JsonObject:
    payload = await api.done("updateRole", {"roleId": role["id"], "note": WHY, **changes})
    found: JsonObject = payload["role"]
    return found


async def refused(api: Store, mutation: str, caller: Caller, **input_: Any) -> str:
    before = await api.digest()
    payload = await api.mutate(mutation, {"note": WHY, **input_}, caller)
    assert await api.digest() == before
    code: str = payload["userErrors"][0]["code"]
    return code


async def preset(api: Store, name: str) -> JsonObject:
    answer = await api.execute("{ roles { id name capabilities mapsFrom } }")
    return next(role for role in answer.data["roles"] if role["name"] == name)


# --- roles --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STAFF)
async def test_presets_grant_what_they_say(api: Store, name: str) -> None:
    viewer = (await api.execute(VIEWER, caller=STAFF[name])).data["viewer"]
    assert set(viewer["capabilities"]) == {str(capability) for capability in ROLES[name]}
    assert viewer["roles"] == [name]
    assert viewer["kind"] == ("SERVICE" if name == "service" else "STAFF")
    assert set((await preset(api, name))["capabilities"]) == set(viewer["capabilities"])


async def test_a_role_of_the_stores_own_works_by_name_and_by_word(api: Store) -> None:
    word = fresh("Shop Manager")
    role = await api.role("WALLETS_READ", mapsFrom=[word])
    for claimed in (role["name"], word):
        viewer = (await api.execute(VIEWER, caller=Caller("rob", (claimed,)))).data["viewer"]
        assert (viewer["kind"], viewer["roles"]) == ("STAFF", [role["name"]])
        assert viewer["capabilities"] == ["WALLETS_READ"]
    viewer = (await api.execute(VIEWER, caller=Caller("rob", (word.lower(),)))).data["viewer"]
    assert (viewer["kind"], viewer["capabilities"]) == ("CUSTOMER", [])


async def test_a_change_is_in_force_at_once_in_this_process(api: Store) -> None:
    role = await api.role("WALLETS_READ")
    rob = Caller("rob", (role["name"],))
    assert (await api.execute(WALLETS, caller=rob)).errors == []
    await update(api, role, capabilities=["AUDIT_READ"])
    assert (await api.execute(WALLETS, caller=rob)).code == "FORBIDDEN"
    await update(api, role, capabilities=["WALLETS_READ"])
    assert (await api.execute(WALLETS, caller=rob)).errors == []
    archived = await update(api, role, archived=True)
    assert archived["archivedAt"]
    viewer = (await api.execute(VIEWER, caller=rob)).data["viewer"]
    assert (viewer["kind"], viewer["roles"], viewer["capabilities"]) == ("CUSTOMER", [], [])
    assert (await update(api, role, archived=False))["archivedAt"] is None
    assert (await api.execute(WALLETS, caller=rob)).errors == []


async def test_a_change_of_nothing_leaves_no_entry(api: Store) -> None:
    role = await api.role("WALLETS_READ")
    await update(api, role, capabilities=["WALLETS_READ"], archived=False)
    answer = await api.execute("{ auditEntries(filter: {actions: [UPDATE_ROLE]}) { nodes { subject } } }")
    assert role["name"] not in [entry["subject"] for entry in answer.data["auditEntries"]["nodes"]]


async def test_settings_that_stay_as_they_are_are_no_new_version(api: Store) -> None:
    given = {
        "negativeBalanceLimit": api.money("17.50"),
        "topUpSuggested": [api.money("10.00")],
        "emailKinds": ["ADJUSTMENT"],
        "orderStatuses": [{"storeStatus": "picked", "means": "PAID"}],
        "withdrawals": {"minimum": api.money("3.00"), "methods": ["MANUAL"]},
        "refundDestination": "WALLET",
        "timeZone": "Europe/Berlin",
    }
    first = await api.done("updateSettings", {**given, "note": WHY})
    before = await api.digest()
    assert await api.done("updateSettings", {**given, "note": "Said once more"}) == first
    assert await api.done("updateSettings", {"note": "Nothing at all"}) == first
    assert await api.digest() == before
    key = {**given, "note": WHY, "idempotencyKey": fresh("key")}
    assert await api.done("updateSettings", key) == await api.done("updateSettings", key) == first
    other = await api.mutate("updateSettings", {**key, "timeZone": "UTC"})
    assert [error["code"] for error in other["userErrors"]] == ["IDEMPOTENCY_KEY_REUSED"]


# --- escalation ---------------------------------------------------------------------------------------------


async def a_keeper(api: Store) -> tuple[JsonObject, Caller]:
    role = await api.role(*KEEPER)
    return role, Caller(fresh("rita"), (role["name"],))


async def test_nobody_gives_themselves_more(api: Store) -> None:
    role, rita = await a_keeper(api)
    own = {"roleId": role["id"]}
    assert (
        await refused(api, "updateRole", rita, **own, capabilities=[*KEEPER, "WALLETS_ADJUST"])
        == "RIGHTS_EXCEEDED"
    )
    administrator = await preset(api, "administrator")
    manager = await preset(api, "shop_manager")
    for stronger in (administrator, manager):
        # Neither by a word of their own, nor by any change of somebody who can do more.
        for change in ({"mapsFrom": ["rita"]}, {"description": "Mine"}, {"capabilities": list(KEEPER)}):
            code = await refused(api, "updateRole", rita, roleId=stronger["id"], **change)
            assert code in {"RIGHTS_EXCEEDED", "ROLE_PROTECTED"}
    finance = await preset(api, "finance")
    assert await refused(api, "updateRole", rita, roleId=finance["id"], archived=True) == "RIGHTS_EXCEEDED"


async def test_an_archived_role_of_more_rights_is_not_taken_back(api: Store) -> None:
    _, rita = await a_keeper(api)
    strong = await api.role("WALLETS_ADJUST")
    await update(api, strong, archived=True)
    assert await refused(api, "updateRole", rita, roleId=strong["id"], archived=False) == "RIGHTS_EXCEEDED"
    assert await refused(api, "updateRole", rita, roleId=strong["id"], mapsFrom=["rita"]) == "RIGHTS_EXCEEDED"


async def test_what_one_has_may_be_given(api: Store) -> None:
    _, rita = await a_keeper(api)
    payload = await api.done(
        "createRole",
        {"name": fresh("role").replace("-", "_"), "capabilities": ["WALLETS_READ"], "note": WHY},
        rita,
    )
    assert payload["role"]["capabilities"] == ["WALLETS_READ"]


async def test_no_key_is_stronger_than_its_maker(api: Store) -> None:
    _, rita = await a_keeper(api)
    administrator = await preset(api, "administrator")
    name = fresh("service")
    assert (
        await refused(api, "createApiKey", rita, name=name, roleId=administrator["id"]) == "RIGHTS_EXCEEDED"
    )
    assert (
        await refused(api, "createApiKey", rita, name=name, capabilities=["AUDIT_READ"]) == "RIGHTS_EXCEEDED"
    )
    strong = await api.api_key("WALLETS_ADJUST")
    # A rotated key's secret would be theirs.
    assert await refused(api, "rotateApiKey", rita, apiKeyId=strong["id"]) == "RIGHTS_EXCEEDED"
    # But whoever sees a leak stops it.
    await api.done("revokeApiKey", {"apiKeyId": strong["id"], "note": WHY}, rita)


async def test_rights_taken_meanwhile_count_when_it_is_decided(api: Store) -> None:
    """Two keepers at once: whoever is second finds that they may not any more."""
    role, rita = await a_keeper(api)
    takes = api.mutate("updateRole", {"roleId": role["id"], "archived": True, "note": WHY})
    gives = api.execute(
        "mutation ($input: CreateRoleInput!) { createRole(input: $input) { userErrors { code } } }",
        {"input": {"name": fresh("role").replace("-", "_"), "capabilities": [], "note": WHY}},
        rita,
    )
    _, answer = await asyncio.gather(takes, gives)
    payload = (answer.body.get("data") or {}).get("createRole")
    codes = [*answer.codes, *(error["code"] for error in payload["userErrors"])] if payload else answer.codes
    assert codes in (["FORBIDDEN"], ["RIGHTS_EXCEEDED"], [])


@pytest.mark.parametrize(
    "query",
    [
        "{ roles { id } }",
        "{ apiKeys { nodes { id } } }",
        "{ auditEntries { nodes { id } } }",
    ],
)
async def test_customers_and_support_reach_none_of_it(api: Store, query: str) -> None:
    for caller in (Caller("c-1"), Caller("c-1", ("customer",)), SUPPORT, STAFF["service"]):
        assert (await api.execute(query, caller=caller)).code == "FORBIDDEN"


async def test_ids_of_it_lead_nowhere(api: Store) -> None:
    role, key = await api.role("WALLETS_READ"), await api.api_key("WALLETS_READ")
    answer = await api.execute("{ auditEntries(first: 1) { nodes { id } } }")
    ids = [role["id"], key["id"], answer.data["auditEntries"]["nodes"][0]["id"]]
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    assert (await api.execute(query, {"ids": ids}, Caller("c-1"))).data["nodes"] == [None] * 3
    assert (await api.execute(query, {"ids": ids}, SUPPORT)).data["nodes"] == [None] * 3
    found = (await api.execute(query, {"ids": ids})).data["nodes"]
    assert [node["id"] for node in found] == ids


# --- API keys -----------------------------------------------------------------------------------------------


async def test_a_key_signs_in(api: Store) -> None:
    key = await api.api_key("WALLETS_READ", "WALLETS_ADJUST")
    assert key["secret"].startswith(key["prefix"] + "_")
    for headers in ({"authorization": f"Bearer {key['secret']}"}, {"x-api-key": key["secret"]}):
        viewer = (await post(api, headers)).data["viewer"]
        assert (viewer["kind"], viewer["subject"], viewer["roles"]) == ("SERVICE", key["name"], [])
        assert set(viewer["capabilities"]) == {"WALLETS_READ", "WALLETS_ADJUST"}
    payload = await api.adjust(fresh(), "5.00", caller=Key(key["secret"]))
    assert payload["transaction"]["actor"] == {"kind": "SERVICE", "id": key["name"]}


async def test_a_key_with_a_role_has_its_rights_of_the_moment(api: Store) -> None:
    role = await api.role("WALLETS_READ")
    key = await api.api_key(roleId=role["id"])
    service = Key(key["secret"])
    assert (await api.execute(WALLETS, caller=service)).errors == []
    await update(api, role, capabilities=[])
    assert (await api.execute(WALLETS, caller=service)).code == "FORBIDDEN"
    await update(api, role, archived=True)
    viewer = (await api.execute(VIEWER, caller=service)).data["viewer"]
    assert (viewer["kind"], viewer["roles"], viewer["capabilities"]) == ("SERVICE", [], [])


async def test_two_credentials_are_one_too_many(api: Store) -> None:
    key = await api.api_key("WALLETS_READ")
    both = await post(api, {**ADMINISTRATOR.headers, "x-api-key": key["secret"]})
    assert (both.status, both.code) == (401, "UNAUTHENTICATED")


async def test_wrong_keys(api: Store) -> None:
    secret = (await api.api_key("WALLETS_READ"))["secret"]
    other = new_api_key().text
    wrong = [
        secret[:-1] + ("0" if secret[-1] != "0" else "1"),
        other,
        secret.rpartition("_")[0] + "_" + other.rpartition("_")[2],
        secret.upper().replace("COF", "cof"),
        secret[:-1],
        secret + "0",
        "cof_",
    ]
    for text in wrong:
        with capture_logs() as logs:
            answer = await post(api, {"x-api-key": text})
        assert (answer.status, answer.code) == (401, "UNAUTHENTICATED"), text
        assert answer.errors[0]["extensions"]["reason"] == "INVALID_API_KEY"
        assert text[5:] not in repr((answer.body, logs)) or len(text) < 8


async def test_unknown_keys_cost_one_look_a_second(api: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    take = access.Directory._take

    def counted(directory: access.Directory, rights: Rights) -> None:
        nonlocal looks
        looks += 1
        take(directory, rights)

    monkeypatch.setattr(access.Directory, "_take", counted)
    await asyncio.gather(*(post(api, {"x-api-key": new_api_key().text}) for _ in range(50)))
    assert looks <= 4


async def test_the_secret_is_nowhere_but_in_the_first_answer(api: Store) -> None:
    input_ = {
        "name": fresh("service"),
        "capabilities": ["WALLETS_READ"],
        "note": WHY,
        "idempotencyKey": fresh("key"),
    }
    first = await api.done("createApiKey", input_)
    again = await api.done("createApiKey", input_)
    assert (again["replayed"], again["secret"], again["apiKey"]) == (True, None, first["apiKey"])
    secret = first["secret"].rpartition("_")[2]
    for table in ("api_keys", "audit_entries", "idempotency_keys"):
        rows = await get_connection("default").execute_query_dict(f"SELECT * FROM {table}")
        assert secret not in repr(rows)
        assert bytes.fromhex(secret) not in [value for row in rows for value in row.values()]


async def test_rotation_with_overlap_and_without(api: Store) -> None:
    old = await api.api_key("WALLETS_READ", expiresAt=(datetime.now(UTC) + timedelta(days=30)).isoformat())
    new = await api.done("rotateApiKey", {"apiKeyId": old["id"], "overlapHours": 1, "note": WHY})
    key = new["apiKey"]
    assert (key["name"], key["capabilities"], key["replaces"]) == (
        old["name"],
        ["WALLETS_READ"],
        {"id": old["id"]},
    )
    lasts = datetime.fromisoformat(key["expiresAt"]) - datetime.now(UTC)
    assert timedelta(days=29) < lasts <= timedelta(days=30)
    for text in (old["secret"], new["secret"]):
        viewer = (await post(api, {"x-api-key": text})).data["viewer"]
        assert viewer["subject"] == old["name"]
    answer = await api.execute(
        "query ($id: ID!) { node(id: $id) { ... on ApiKey { status expiresAt } } }", {"id": old["id"]}
    )
    ends = datetime.fromisoformat(answer.data["node"]["expiresAt"]) - datetime.now(UTC)
    assert timedelta(minutes=59) < ends <= timedelta(hours=1)
    newest = await api.done("rotateApiKey", {"apiKeyId": key["id"], "overlapHours": 0, "note": WHY})
    ended = await post(api, {"x-api-key": new["secret"]})
    assert (ended.code, ended.errors[0]["extensions"]["reason"]) == ("UNAUTHENTICATED", "EXPIRED")
    assert (await post(api, {"x-api-key": newest["secret"]})).errors == []


async def test_a_key_keeps_its_idempotency_keys_when_it_is_rotated(api: Store) -> None:
    old = await api.api_key("WALLETS_ADJUST", "WALLETS_READ")
    customer, key = fresh(), fresh("key")
    await api.adjust(customer, "5.00", caller=Key(old["secret"]), idempotencyKey=key)
    new = await api.done("rotateApiKey", {"apiKeyId": old["id"], "note": WHY})
    again = await api.adjust(customer, "5.00", caller=Key(new["secret"]), idempotencyKey=key)
    assert again["replayed"] is True


async def test_a_revoked_key_is_refused_at_once(api: Store) -> None:
    key = await api.api_key("WALLETS_READ")
    assert (await post(api, {"x-api-key": key["secret"]})).errors == []
    await api.done("revokeApiKey", {"apiKeyId": key["id"], "note": WHY})
    answer = await post(api, {"x-api-key": key["secret"]})
    assert (answer.status, answer.errors[0]["extensions"]["reason"]) == (401, "REVOKED")
    # The name is free again for a new key.
    await api.api_key("WALLETS_READ", name=key["name"])


async def test_an_expired_key_is_refused(api: Store) -> None:
    key = await api.api_key(
        "WALLETS_READ", expiresAt=(datetime.now(UTC) + timedelta(seconds=0.5)).isoformat()
    )
    assert (await post(api, {"x-api-key": key["secret"]})).errors == []
    await asyncio.sleep(0.6)
    answer = await post(api, {"x-api-key": key["secret"]})
    assert (answer.status, answer.errors[0]["extensions"]["reason"]) == (401, "EXPIRED")
    query = "query ($id: ID!) { node(id: $id) { ... on ApiKey { status } } }"
    assert (await api.execute(query, {"id": key["id"]})).data["node"] == {"status": "EXPIRED"}


async def test_last_use_is_written_beside_the_requests(api: Store) -> None:
    key = await api.api_key("WALLETS_READ")
    query = "query ($id: ID!) { node(id: $id) { ... on ApiKey { lastUsedAt } } }"
    before = await api.digest()
    await post(api, {"x-api-key": key["secret"]})
    assert await api.digest() == before
    directory: access.Directory = api.app.state.runtime.access
    await directory.write_down_use()
    first = (await api.execute(query, {"id": key["id"]})).data["node"]["lastUsedAt"]
    assert datetime.now(UTC) - datetime.fromisoformat(first) < timedelta(minutes=1)
    # A command on the key does not turn it back.
    await api.done("revokeApiKey", {"apiKeyId": key["id"], "note": WHY})
    assert (await api.execute(query, {"id": key["id"]})).data["node"]["lastUsedAt"] == first


def test_keys_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def watched(a: bytes, b: bytes) -> bool:
        compared.append((len(a), len(b)))
        return a == b

    monkeypatch.setattr("hmac.compare_digest", watched)
    new = new_api_key()
    assert prefix_of(new.text) == new.secret.prefix
    assert proves(new.text, new.secret.hash)
    assert not proves(new.text, new_api_key().secret.hash)
    assert not proves(new.text, None)
    assert not proves("no key at all", None)
    assert not proves("cof_\ud800é", None)
    assert compared == [(32, 32)] * 5
    assert new.text not in repr(new)


# --- what is open -------------------------------------------------------------------------------------------


async def begin(api: Store, socket: Socket, query: str) -> None:
    """Subscribe, and wait until events flow."""
    await socket.subscribe("1", query)
    if "walletUpdated" in query:
        assert (await socket.receive())["payload"]["data"]["walletUpdated"]["kind"] == "SNAPSHOT"
        return
    async with asyncio.timeout(10):
        while not api.app.state.runtime.hub.subscriber_count:  # noqa: ASYNC110 - told by nobody
            await asyncio.sleep(0.01)


async def watched_wallet(api: Store) -> tuple[JsonObject, str]:
    customer = await api.funded("10.00")
    name = customer["storeCustomerId"]
    return (
        customer,
        f'subscription {{ walletUpdated(wallet: {{storeCustomerId: "{name}"}}) {{ kind sequence }} }}',
    )


async def end_of(socket: Socket) -> str:
    """The code that ends the subscription, whatever events come before."""
    while (message := await socket.receive())["type"] == "next":
        assert not message["payload"].get("errors"), message
    assert message["type"] == "error", message
    code: str = message["payload"][0]["extensions"]["code"]
    return code


@pytest.mark.parametrize("stream", ["wallet", "store"])
async def test_an_idle_stream_ends_when_its_right_is_taken(api: Store, stream: str) -> None:
    role = await api.role("WALLETS_READ", "WALLETS_FREEZE")
    _, query = await watched_wallet(api)
    if stream == "store":
        query = "subscription { transactionPosted { id } }"
    async with socket_opened(api.app, Caller("rob", (role["name"],)).headers) as socket:
        await begin(api, socket, query)
        # What the stream does not rely on may come and go.
        await update(api, role, capabilities=["WALLETS_READ"])
        await socket.send({"type": "ping"})
        assert (await socket.receive())["type"] == "pong"
        await update(api, role, capabilities=["WALLETS_FREEZE"])
        assert await end_of(socket) == "FORBIDDEN"
        # The socket lives, and its next operation has the rights of the moment.
        await socket.subscribe("2", WALLETS)
        answer = await socket.receive()
        assert answer["payload"]["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_customers_go_on_watching_their_own(api: Store) -> None:
    customer, query = await watched_wallet(api)
    role = await api.role("WALLETS_READ")
    headers = Caller(customer["storeCustomerId"], (role["name"],)).headers
    async with (
        socket_opened(api.app, Caller(customer["storeCustomerId"]).headers) as own,
        socket_opened(api.app, headers) as staff,
    ):
        await begin(api, own, query)
        await begin(api, staff, query)
        await update(api, role, archived=True)
        assert await end_of(staff) == "FORBIDDEN"
        await api.adjust(customer, "1.00")
        assert (await own.receive())["payload"]["data"]["walletUpdated"]["kind"] == "TRANSACTION"


async def test_a_revoked_key_ends_its_streams_and_operations(api: Store) -> None:
    key = await api.api_key("WALLETS_READ")
    _, query = await watched_wallet(api)
    async with socket_opened(api.app, payload={"x-api-key": key["secret"]}) as socket:
        await begin(api, socket, query)
        await api.done("revokeApiKey", {"apiKeyId": key["id"], "note": WHY})
        assert await end_of(socket) == "UNAUTHENTICATED"
        await socket.subscribe("2", VIEWER)
        message = await socket.receive()
        assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "UNAUTHENTICATED")


async def test_an_expired_key_closes_its_socket(api: Store) -> None:
    key = await api.api_key("WALLETS_READ", expiresAt=(datetime.now(UTC) + timedelta(seconds=1)).isoformat())
    async with socket_opened(api.app, payload={"token": key["secret"]}) as socket:
        await begin(api, socket, "subscription { transactionPosted { id } }")
        while "closed" not in (message := await socket.receive()):
            pass
        assert message == {"closed": 4403}


async def test_a_key_whose_overlap_ends_ends_its_streams(api: Store) -> None:
    key = await api.api_key("WALLETS_READ")
    async with socket_opened(api.app, payload={"token": key["secret"]}) as socket:
        await begin(api, socket, "subscription { transactionPosted { id } }")
        await api.done("rotateApiKey", {"apiKeyId": key["id"], "overlapHours": 0, "note": WHY})
        assert await end_of(socket) == "UNAUTHENTICATED"


# --- other processes ----------------------------------------------------------------------------------------


async def command(api: Store, *arguments: str) -> str:
    """Run the command line beside the server, as an operator would."""
    url = api.app.state.runtime.settings.database_url
    environment = {**os.environ, "COFFER_DATABASE_URL": url}
    done = await asyncio.to_thread(
        fork_server().run, "app", *arguments, cwd=PROJECT, environment=environment, timeout_s=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
async def test_the_command_line_beside_the_server(api: Store) -> None:
    name = fresh("erp")
    text = await command(api, "keys", "create", name, "--role", "service", "--expires", "90d")
    # New, and good at once: an unknown key is worth a look.
    await asyncio.sleep(access.UNKNOWN_KEY_INTERVAL_S)
    assert (await post(api, {"x-api-key": text})).data["viewer"]["roles"] == ["service"]
    listed = await command(api, "keys", "list")
    assert (name in listed, text in listed) == (True, False)
    newer = await command(api, "keys", "rotate", name, "--overlap", "1")
    async with socket_opened(api.app, payload={"token": text}) as socket:
        await begin(api, socket, "subscription { transactionPosted { id } }")
        said = await command(api, "keys", "revoke", name, "--note", "The laptop was stolen")
        assert said.count("Revoked") == 2
        async with asyncio.timeout(WITHIN_S):
            assert await end_of(socket) == "UNAUTHENTICATED"
    for one in (text, newer):

        async def is_refused(one: str = one) -> bool:
            return (await post(api, {"x-api-key": one})).code == "UNAUTHENTICATED"

        await eventually(is_refused)
    filter_ = "filter: {actions: [CREATE_API_KEY, ROTATE_API_KEY, REVOKE_API_KEY]}"
    answer = await api.execute(
        f"{{ auditEntries({filter_}, first: 4) {{ nodes {{ action subject note actor {{ kind }} }} }} }}"
    )
    entries = answer.data["auditEntries"]["nodes"]
    assert {entry["subject"] for entry in entries} == {name}
    assert [entry["action"] for entry in entries][2:] == ["ROTATE_API_KEY", "CREATE_API_KEY"]
    assert (entries[0]["note"], entries[0]["actor"]["kind"]) == ("The laptop was stolen", "SYSTEM")


async def test_when_rights_cannot_be_read_nobody_is_let_in(
    api: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise OSError("the database is away")

    directory: access.Directory = api.app.state.runtime.access
    with monkeypatch.context() as patch:
        patch.setattr(access.Directory, "_load_once", fails)
        # What is known still counts for a while.
        assert (await post(api, ADMINISTRATOR.headers)).errors == []
        patch.setattr(access, "AGE_MAX_S", -1.0)
        response = await api.client.post("/graphql", json={"query": VIEWER}, headers=ADMINISTRATOR.headers)
        assert response.status_code == 503
        assert response.json()["errors"][0]["extensions"] == {
            "code": "SERVICE_UNAVAILABLE",
            "reason": "RIGHTS_UNAVAILABLE",
        }
    directory.invalidate()
    await asyncio.sleep(access.FAILED_INTERVAL_S)
    assert (await post(api, ADMINISTRATOR.headers)).errors == []


# --- the audit trail ----------------------------------------------------------------------------------------

ENTRY = "{ action subject note actor { kind id } createdAt wallet { id } changes { field before after } }"


async def test_every_change_is_written_down(api: Store) -> None:
    role = await api.role("WALLETS_READ", description="Buys")
    await update(
        api, role, capabilities=["WALLETS_READ", "WALLETS_ADJUST"], mapsFrom=["b"], note="They adjust now too"
    )
    answer = await api.execute(
        f"{{ auditEntries(filter: {{actions: [UPDATE_ROLE, CREATE_ROLE]}}, first: 2) {{ nodes {ENTRY} }} }}"
    )
    changed, created = answer.data["auditEntries"]["nodes"]
    assert (changed["subject"], changed["note"]) == (role["name"], "They adjust now too")
    assert changed["actor"] == {"kind": "STAFF", "id": "ann"}
    assert changed["changes"] == [
        {"field": "capabilities", "before": '["WALLETS_READ"]', "after": '["WALLETS_ADJUST","WALLETS_READ"]'},
        {"field": "mapsFrom", "before": "[]", "after": '["b"]'},
    ]
    assert created["action"] == "CREATE_ROLE"
    assert {"field": "description", "before": None, "after": '"Buys"'} in created["changes"]


async def test_settings_are_in_the_trail(api: Store) -> None:
    await api.set_settings(inactiveAfterMonths=11)
    await api.set_settings(inactiveAfterMonths=12)
    answer = await api.execute(
        f"{{ auditEntries(filter: {{actions: [UPDATE_SETTINGS]}}, first: 1) {{ nodes {ENTRY} }} }}"
    )
    (entry,) = answer.data["auditEntries"]["nodes"]
    assert entry["changes"] == [{"field": "inactive_after_months", "before": "11", "after": "12"}]


async def test_a_wallets_trail(api: Store) -> None:
    customers = [await api.funded() for _ in range(3)]
    for customer in customers[:2]:
        await api.freeze(customer)
    await api.done("unfreezeWallet", {"wallet": {"id": customers[0]["wallet"]["id"]}, "note": NOTE}, MANAGER)
    ids = [customer["wallet"]["id"] for customer in customers]
    query = (
        "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Wallet { auditEntries(first: 1) "
        "{ totalCount pageInfo { hasNextPage } nodes { action actor { id } wallet { id } } } } } }"
    )
    found = [node["auditEntries"] for node in (await api.execute(query, {"ids": ids})).data["nodes"]]
    assert [trail["totalCount"] for trail in found] == [2, 1, 0]
    assert [trail["pageInfo"]["hasNextPage"] for trail in found] == [True, False, False]
    assert found[0]["nodes"] == [
        {"action": "UNFREEZE_WALLET", "actor": {"id": "max"}, "wallet": {"id": ids[0]}}
    ]
    for caller in (SUPPORT, Caller(customers[0]["storeCustomerId"])):
        nodes = (await api.execute(query, {"ids": ids[:1]}, caller)).data["nodes"]
        assert nodes == [{"auditEntries": None}]


async def test_the_trail_is_narrowed_and_paged(api: Store) -> None:
    began = datetime.now(UTC).isoformat()
    customer = await api.funded()
    who = Caller(fresh("mona"), ("shop_manager",))
    for number in range(5):
        mutation = "unfreezeWallet" if number % 2 else "freezeWallet"
        await api.done(
            mutation,
            {"wallet": {"id": customer["wallet"]["id"]}, "note": f"Sign-ins from {number} countries"},
            who,
        )
    narrowed = {
        f'actorId: "{who.subject}"': 5,
        f'walletId: "{customer["wallet"]["id"]}"': 5,
        f'actorId: "{who.subject}", actions: [FREEZE_WALLET]': 3,
        f'actorId: "{who.subject}", created: {{from: "{began}"}}': 5,
        f'actorId: "{who.subject}", created: {{to: "{began}"}}': 0,
    }
    for filter_, expected in narrowed.items():
        answer = await api.execute(
            f"{{ auditEntries(filter: {{{filter_}}}) {{ totalCount nodes {{ note }} }} }}"
        )
        assert (
            answer.data["auditEntries"]["totalCount"] == len(answer.data["auditEntries"]["nodes"]) == expected
        )
    notes, after = [], None
    while True:
        answer = await api.execute(
            "query ($after: String, $who: String) { auditEntries(first: 2, after: $after, filter: {actorId: $who}) "
            "{ nodes { note } pageInfo { hasNextPage endCursor } } }",
            {"after": after, "who": who.subject},
        )
        page = answer.data["auditEntries"]
        notes += [node["note"] for node in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert notes == [f"Sign-ins from {number} countries" for number in (4, 3, 2, 1, 0)]
