"""The example operations in GraphiQL's tabs: each works at once, as the caller whose token its tab carries."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql import OperationDefinitionNode, build_schema, parse, validate

from app.graphiql import ExampleTab, load_examples
from tests.browser import open_chromium, require_browser
from tests.e2e.store import Store, open_store, tokens_for
from tests.e2e.test_graphiql import run_tab, select_tab, tab_titles, until_ready

SCHEMA = Path(__file__).parent.parent.parent / "schema.graphql"
TITLE_SIZE_MAX = 16

EXAMPLES = load_examples(tokens_for("demo-customer"))


def operation(tab: ExampleTab) -> OperationDefinitionNode:
    """The one operation of a tab."""
    (definition,) = parse(tab.query).definitions
    assert isinstance(definition, OperationDefinitionNode)
    return definition


def title(tab: ExampleTab) -> str:
    """What GraphiQL shows on the tab."""
    name = operation(tab).name
    assert name is not None
    return name.value


async def answer(store: Store, tab: ExampleTab) -> Any:
    """Play a tab as GraphiQL would; of a subscription, return the first answer."""
    is_stream = operation(tab).operation.value == "subscription"
    headers = {**tab.headers, "accept": "text/event-stream" if is_stream else "application/json"}
    body = {"query": tab.query, "variables": dict(tab.variables)}
    async with (
        httpx.AsyncClient(headers=headers, timeout=60) as client,
        client.stream("POST", store.url, json=body) as response,
    ):
        assert response.status_code == 200
        if not is_stream:
            return json.loads(await response.aread())
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                return json.loads(line.removeprefix("data: "))
    raise AssertionError("the stream ended without an answer")


def test_titles_are_short_and_different() -> None:
    titles = [title(tab) for tab in EXAMPLES]

    assert len(set(titles)) == len(titles) >= 9
    assert [name for name in titles if len(name) > TITLE_SIZE_MAX] == []


@pytest.mark.parametrize("tab", EXAMPLES, ids=lambda tab: tab.name)
def test_example_fits_the_published_schema(tab: ExampleTab) -> None:
    published = build_schema(SCHEMA.read_text(encoding="utf-8"))

    assert validate(published, parse(tab.query)) == []
    declared = {variable.variable.name.value for variable in operation(tab).variable_definitions or ()}
    assert set(tab.variables) == declared
    assert "Authorization" in tab.headers


@pytest.mark.slow
async def test_every_example_works_at_once_and_again(demo_database_url: str) -> None:
    async with open_store(demo_database_url) as store:
        tabs = load_examples(store.tokens)
        for turn in ("first", "second"):
            for tab in tabs:
                told = await answer(store, tab)
                assert "errors" not in told, (tab.name, told)
                (shown,) = told["data"].values()
                assert shown, tab.name
                assert shown.get("userErrors", []) == [], tab.name
                assert shown.get("replayed", turn == "second") is (turn == "second"), tab.name
                assert shown.get("nodes", [True]) != [], tab.name
                assert shown.get("isClean", True), tab.name


@pytest.mark.browser
@pytest.mark.slow
async def test_the_demos_page_plays_its_tabs(demo_database_url: str) -> None:
    require_browser()
    async with open_store(demo_database_url) as store, open_chromium() as visit:
        await visit.page.goto(store.url)
        await until_ready(visit)
        assert await tab_titles(visit) == [title(tab) for tab in EXAMPLES]

        wallet = (await run_tab(visit, showing="withdrawable"))["data"]["viewer"]["wallet"]
        assert {bucket["bucket"] for bucket in wallet["buckets"]} >= {"CASH", "GIFT_CARD"}

        await select_tab(visit, "WatchBalance")
        snapshot = (await run_tab(visit, showing="SNAPSHOT"))["data"]["walletUpdated"]
        assert snapshot["balance"]["amount"] == wallet["balance"]["amount"]

        await select_tab(visit, "AdjustBalance")
        adjusted = (await run_tab(visit, showing="TX-"))["data"]["adjustBalance"]
        assert adjusted["userErrors"] == []
        assert visit.problems == []
