"""schema.graphql in the hands of the tools that front-end teams run over it."""

import json
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.store import open_store
from tests.ecosystem.conftest import HERE, ROOT, SCHEMA, Run, outcome

RELEASED = ROOT / "docs" / "schema.released.graphql"
DECLARED = ROOT / "docs" / "breaking-changes.txt"

pytestmark = [pytest.mark.node, pytest.mark.slow]


async def test_graphql_eslint_has_no_remark(run: Run) -> None:
    found = outcome(await run("lint.mjs"))
    assert found["said"] == []
    assert found["files"] > 5
    assert "@graphql-eslint/require-description" in found["rules"]
    assert "@graphql-eslint/relay-connection-types" in found["rules"]


async def test_graphql_codegen_makes_types_that_compile(run: Run, tmp_path: Path) -> None:
    await run("graphql-codegen", "--config", "codegen.mjs", GENERATED=tmp_path / "coffer.ts")
    shutil.copy(HERE / "usage.ts", tmp_path)
    settings = [
        "--strict",
        "--noEmit",
        "--target",
        "es2022",
        "--module",
        "esnext",
        "--moduleResolution",
        "bundler",
    ]
    await run("tsc", *settings, tmp_path / "usage.ts")
    assert "WithdrawMutation" in (tmp_path / "coffer.ts").read_text(encoding="utf-8")


async def compiled_by_relay(run: Run, folder: Path) -> dict[str, str]:
    """Compile relay/wallets.js; return its operations by hash, as the compiler persists them."""
    shutil.copytree(HERE / "relay", folder / "src")
    shutil.copy(SCHEMA, folder / "schema.graphql")
    trusted = folder / "trusted.json"
    trusted.write_text("{}", encoding="utf-8")
    config = {
        "src": "./src",
        "schema": "./schema.graphql",
        "language": "typescript",
        "eagerEsModules": True,
        "noSourceControl": True,
        "persistConfig": {"file": "./trusted.json", "algorithm": "SHA256"},
    }
    (folder / "relay.config.json").write_text(json.dumps(config), encoding="utf-8")
    await run("relay-compiler", "relay.config.json", cwd=folder)
    operations: dict[str, str] = json.loads(trusted.read_text(encoding="utf-8"))
    return operations


async def test_relay_compiles_and_its_operations_are_all_that_runs(
    run: Run, tmp_path: Path, demo_database_url: str
) -> None:
    operations = await compiled_by_relay(run, tmp_path)
    artifacts = {path.name for path in (tmp_path / "src" / "__generated__").iterdir()}
    assert {"walletsPageQuery.graphql.ts", "walletsHistoryPageQuery.graphql.ts"} <= artifacts
    keys = {text.split("(")[0].split()[1]: key for key, text in operations.items()}

    settings: dict[str, Any] = {
        "trusted_documents_file": tmp_path / "trusted.json",
        "only_trusted_documents": True,
    }
    async with open_store(demo_database_url, **settings) as store, httpx.AsyncClient(timeout=60) as client:

        async def ask(name: str, **variables: object) -> dict[str, Any]:
            answer = await client.post(
                store.url,
                json={
                    "extensions": {"persistedQuery": {"version": 1, "sha256Hash": keys[name]}},
                    "variables": variables,
                },
                headers={"authorization": f"Bearer {store.tokens['administrator']}"},
            )
            body = answer.json()
            assert "errors" not in body, body
            data: dict[str, Any] = body["data"]
            return data

        seen: list[str] = []
        page: dict[str, Any] = {}
        cursor, total = None, -1
        while len(seen) != total:
            page = await ask("walletsPageQuery", count=7, cursor=cursor, sort={"field": "CREATED_AT"})
            edges, total = page["wallets"]["edges"], page["wallets"]["totalCount"]
            assert edges, "the pages end too early"
            seen += [edge["node"]["id"] for edge in edges]
            cursor = page["wallets"]["pageInfo"]["endCursor"]
        assert not page["wallets"]["pageInfo"]["hasNextPage"]
        assert len(set(seen)) == total

        again = await ask("walletsHistoryPageQuery", id=seen[0], count=2)
        node = again["node"]
        assert node["__typename"] == "Wallet"
        assert len(node["transactions"]["edges"]) <= 2


async def breaking(run: Run, released: Path, present: Path) -> list[str]:
    found: list[str] = outcome(await run("breaking.mjs", released, present))
    return found


async def test_no_breaking_change_that_is_not_declared(run: Run) -> None:
    lines = DECLARED.read_text(encoding="utf-8").splitlines()
    declared = [line for line in lines if line and not line.startswith("#")]
    assert sorted(await breaking(run, RELEASED, SCHEMA)) == sorted(declared), f"declare it in {DECLARED.name}"


async def test_the_guard_bites(run: Run, tmp_path: Path) -> None:
    changed = tmp_path / "changed.graphql"
    text = SCHEMA.read_text(encoding="utf-8")
    text = text.replace("  withdrawable: Money!\n", "  payable: Money!\n")
    adjusting = text.index("input AdjustBalanceInput ")
    head, tail = text[:adjusting], text[adjusting:]
    text = head + tail.replace("  note: String!\n", "  note: String!\n\n  extra: String!\n", 1)
    changed.write_text(text, encoding="utf-8")
    assert sorted(await breaking(run, SCHEMA, changed)) == [
        "Field 'withdrawable' was removed from object type 'Wallet'",
        "Input field 'extra' of type 'String!' was added to input object type 'AdjustBalanceInput'",
    ]
