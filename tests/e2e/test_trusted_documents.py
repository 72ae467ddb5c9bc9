"""Documents that are named by their hash, on the real server: learned from callers, or published by the store."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from app.main import create_app
from app.settings import SettingsError
from tests.e2e.store import Store, open_store, store_settings

VIEWER = "query Viewer { viewer { kind subject } }"
WATCH = "subscription Watch($wallet: WalletSelector!) { walletUpdated(wallet: $wallet) { kind sequence } }"
FREEZE = "mutation Freeze($input: FreezeWalletInput!) { freezeWallet(input: $input) { userErrors { code } } }"
STRANGER = "{ viewer { roles } }"
CUSTOMER = "zoe"
SEEN = {"data": {"viewer": {"kind": "CUSTOMER", "subject": CUSTOMER}}}


@pytest.fixture
def dialect() -> str:
    """Which database keeps the wallets makes no difference here."""
    return "sqlite"


def key_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def named(text: str) -> dict[str, Any]:
    """What names a document in the place of its text."""
    return {"persistedQuery": {"version": 1, "sha256Hash": key_of(text)}}


def manifest(folder: Path, *texts: str) -> Path:
    """A manifest as Relay's compiler writes it."""
    path = folder / "trusted.json"
    path.write_text(json.dumps({key_of(text): text for text in texts}), encoding="utf-8")
    return path


@asynccontextmanager
async def customer_of(store: Store) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {store.tokens['customer']}"}
    async with httpx.AsyncClient(base_url=store.origin, headers=headers, timeout=60) as client:
        yield client


@asynccontextmanager
async def socket_of(store: Store) -> AsyncIterator[ClientConnection]:
    url = store.url.replace("http", "ws", 1)
    async with connect(url, subprotocols=["graphql-transport-ws"]) as socket:  # type: ignore[list-item]
        payload = {"authorization": f"Bearer {store.tokens['customer']}"}
        await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
        assert json.loads(await socket.recv()) == {"type": "connection_ack"}
        yield socket


async def first_answer(socket: ClientConnection, **payload: Any) -> dict[str, Any]:
    """Subscribe, and return the first message; what follows is thrown away with the socket."""
    await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
    answer: dict[str, Any] = json.loads(await socket.recv())
    return answer


async def test_what_one_caller_teaches_all_may_name(database_url: str) -> None:
    async with open_store(database_url, customer=CUSTOMER) as store, customer_of(store) as client:
        by_link = {"extensions": json.dumps(named(VIEWER))}
        unknown = await client.get("/graphql", params=by_link)
        assert unknown.json()["errors"][0]["message"] == "PersistedQueryNotFound"
        taught = await client.get("/graphql", params={**by_link, "query": VIEWER})
        assert taught.json() == SEEN
        assert (await client.get("/graphql", params=by_link)).json() == SEEN
        assert (await client.post("/graphql", json={"extensions": named(VIEWER)})).json() == SEEN
        async with socket_of(store) as socket:
            assert (await first_answer(socket, extensions=named(VIEWER)))["payload"] == SEEN


async def test_a_link_changes_nothing_even_by_its_hash(database_url: str) -> None:
    asked = {"variables": json.dumps({"input": {"wallet": {"storeCustomerId": CUSTOMER}, "note": "x"}})}
    async with open_store(database_url, customer=CUSTOMER) as store, customer_of(store) as client:
        for text in ({"query": FREEZE}, {}):
            answer = await client.get(
                "/graphql", params={**asked, **text, "extensions": json.dumps(named(FREEZE))}
            )
            assert answer.status_code == 405


async def test_trusted_documents_are_known_from_the_start(database_url: str, tmp_path: Path) -> None:
    file = manifest(tmp_path, VIEWER)
    async with (
        open_store(database_url, customer=CUSTOMER, trusted_documents_file=file) as store,
        customer_of(store) as client,
    ):
        assert (await client.post("/graphql", json={"extensions": named(VIEWER)})).json() == SEEN
        assert "errors" not in (await client.post("/graphql", json={"query": STRANGER})).json()


async def test_only_trusted_documents_run(database_url: str, tmp_path: Path) -> None:
    wanted: dict[str, Any] = {
        "trusted_documents_file": manifest(tmp_path, VIEWER, WATCH),
        "only_trusted_documents": True,
    }
    async with open_store(database_url, customer=CUSTOMER, **wanted) as store:
        async with customer_of(store) as client:
            for body in ({"extensions": named(VIEWER)}, {"query": VIEWER}):
                assert (await client.post("/graphql", json=body)).json() == SEEN
            for stranger in ({"query": STRANGER}, {"query": STRANGER, "extensions": named(STRANGER)}):
                refused = await client.post("/graphql", json=stranger)
                assert refused.status_code == 403
                assert refused.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
            # What was refused was not learned either.
            unknown = await client.post("/graphql", json={"extensions": named(STRANGER)})
            assert unknown.json()["errors"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
        async with socket_of(store) as socket:
            refused_here = await first_answer(socket, query=STRANGER)
            assert refused_here["type"] == "error"
            assert refused_here["payload"][0]["extensions"]["code"] == "FORBIDDEN"
            variables = {"wallet": {"storeCustomerId": CUSTOMER}}
            watched = await first_answer(socket, extensions=named(WATCH), variables=variables)
            # There is no wallet yet; what matters is that the document was let in.
            assert "FORBIDDEN" not in json.dumps(watched)
            assert "PERSISTED" not in json.dumps(watched)


def test_a_manifest_of_apollo_will_do(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    operation = {"id": key_of(VIEWER), "name": "Viewer", "type": "query", "body": VIEWER}
    apollo = {"format": "apollo-persisted-query-manifest", "version": 1, "operations": [operation]}
    file.write_text(json.dumps(apollo), encoding="utf-8")
    create_app(store_settings(database_url, trusted_documents_file=file))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory."),
        ("{", "it is not JSON"),
        ("[]", "it is not a JSON object from hash to document."),
        ("{}", "it holds no document."),
        ('{"a": 1}', "one of its entries has no hash or no document."),
        (
            '{"abc": "{ a }"}',
            "abc is not the SHA-256 of its document, in lower case; have the client's build",
        ),
        ('{"format": "apollo-persisted-query-manifest", "version": 2}', "a version other than 1."),
    ],
)
def test_a_manifest_that_is_none_is_named_at_start(
    database_url: str, tmp_path: Path, content: str | None, reason: str
) -> None:
    file = tmp_path / "trusted.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError) as refused:
        create_app(store_settings(database_url, trusted_documents_file=file))
    message = str(refused.value)
    assert message.startswith(f"COFFER_TRUSTED_DOCUMENTS_FILE: {file} can't be used as the manifest")
    assert reason in message
