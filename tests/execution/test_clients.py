"""Other people's clients against a real server: what they read is the contract."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.execution.conftest import until
from tests.execution.shop import Shop

CLIENTS = Path(__file__).parent.parent / "clients"

COUNTED = [{"count": 1}, {"count": 2}, {"count": 3}]


async def play(node: str, script: str, url: str) -> Any:
    """Run a script of tests/clients; it prints its outcome as JSON."""
    process = await asyncio.create_subprocess_exec(
        node, script, url, cwd=CLIENTS, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    return json.loads(out)


@pytest.mark.node
async def test_all_audits_of_graphql_http_are_ok(node: str, address: str) -> None:
    assert await play(node, "audits.mjs", f"http://{address}") == {"audits": 61, "failed": []}


@pytest.mark.node
async def test_graphql_ws(node: str, address: str) -> None:
    assert await play(node, "websocket.mjs", f"ws://{address}") == {
        "subscription": [{"data": data} for data in COUNTED],
        "query": [{"data": {"caller": "ada"}}],
        "mutation": [{"data": {"pay": 1}}],
        "failed": ["GRAPHQL_VALIDATION_FAILED"],
    }


@pytest.mark.node
async def test_graphql_sse(node: str, address: str, shop: Shop) -> None:
    assert await play(node, "sse.mjs", f"http://{address}") == {
        "subscription": [{"data": data} for data in COUNTED],
        "query": [{"data": {"hello": "hello world"}}],
        "mutation": [{"data": {"pay": 1}}],
        "failed": ["GRAPHQL_VALIDATION_FAILED"],
        "broken": [{"count": 1}, "INTERNAL_SERVER_ERROR"],
        "left": {"data": {"count": 1}},
    }
    await until(lambda: shop.counters.sources_open == 0)
    assert len(shop.endpoint.streams) == 0


@pytest.mark.node
async def test_urql(node: str, address: str) -> None:
    assert await play(node, "urql.mjs", f"http://{address}") == {
        "query": {"hello": "hello world"},
        "got": {"hello": "hello urql"},
        "mutation": {"pay": 1},
        "failed": "GRAPHQL_VALIDATION_FAILED",
        "subscription": COUNTED,
    }


@pytest.mark.node
async def test_apollo(node: str, address: str) -> None:
    assert await play(node, "apollo.mjs", f"http://{address}") == {
        "query": {"hello": "hello world"},
        "mutation": {"pay": 1},
        "failed": "GRAPHQL_VALIDATION_FAILED",
        "subscription": COUNTED,
    }
