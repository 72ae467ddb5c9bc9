"""GraphiQL in a real browser: it talks to its own origin only, and every tab is its own caller."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import strawberry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from strawberry.asgi import GraphQL
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from app.graphiql import ExampleTab, graphiql_routes, load_examples, render_graphiql, wants_graphiql
from tests.browser import Visit, open_chromium, require_browser, serve

pytestmark = pytest.mark.browser

TOKENS = {"customer": "token-of-a-customer", "staff": "token-of-staff"}

EXAMPLES = {
    "01-who-am-i.graphql": (
        "# as: customer\nquery WhoAmI($greeting: String!) {\n  whoAmI(greeting: $greeting)\n}\n"
    ),
    "01-who-am-i.variables.json": '{"greeting": "Good morning </script>"}',
    "02-count.graphql": "# as: staff\nsubscription Count {\n  count\n}\n",
    "03-anonymous.graphql": 'query Anonymous {\n  whoAmI(greeting: "Hello")\n}\n',
}


@strawberry.type
class Query:
    @strawberry.field
    def who_am_i(self, info: strawberry.Info[Any, Any], greeting: str) -> str:
        """Greet the caller by the token that came with the request."""
        return f"{greeting}, {info.context['request'].headers.get('authorization', 'stranger')}"


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, info: strawberry.Info[Any, Any]) -> AsyncGenerator[str, None]:
        """Count to three, naming the token that came with connection_init."""
        parameters = info.context["connection_params"] or {}
        for number in range(1, 4):
            yield f"{number} for {parameters.get('authorization', 'stranger')}"
            await asyncio.sleep(0.05)


def create_page_app(tabs: tuple[ExampleTab, ...], *, path: str = "/graphql") -> Starlette:
    """The smallest server that has the page, a query and a subscription."""
    endpoint = GraphQL[Any, Any](
        strawberry.Schema(query=Query, subscription=Subscription),
        graphql_ide=None,
        subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
    )

    class Endpoint:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            answer: GraphQL[Any, Any] | Response = endpoint
            if wants_graphiql(Request(scope)):
                answer = render_graphiql(tabs, path=path)
            await answer(scope, receive, send)

    return Starlette(
        routes=[*graphiql_routes(path=path), Route(path, Endpoint()), WebSocketRoute(path, endpoint)],
    )


@asynccontextmanager
async def open_page(folder: Path, *, color_scheme: str = "light") -> AsyncIterator[tuple[Visit, str]]:
    for name, text in EXAMPLES.items():
        (folder / name).write_text(text, encoding="utf-8")
    app = create_page_app(load_examples(TOKENS, folder=folder))
    async with serve(app) as origin, open_chromium(color_scheme=color_scheme) as visit:
        await visit.page.goto(f"{origin}/graphql")
        await until_ready(visit)
        yield visit, origin


async def until_ready(visit: Visit) -> None:
    """Wait for the editors, which appear one by one; before the last, the play button does nothing."""
    for editor in ("query-editor", "editor-tool .graphiql-editor", "response"):
        await visit.page.locator(f".graphiql-{editor} .CodeMirror").first.wait_for(state="attached")


async def tab_titles(visit: Visit) -> list[str]:
    return await visit.page.locator(".graphiql-tab-button").all_inner_texts()


async def select_tab(visit: Visit, title: str) -> None:
    await visit.page.locator(".graphiql-tab-button", has_text=title).click()
    # The play button still sends the former tab's operation name until GraphiQL has parsed the new text.
    await until(visit, f"sessionStorage['graphiql:operationName'] === {json.dumps(title)}")


async def run_tab(visit: Visit, *, showing: str) -> dict[str, Any]:
    """Press the play button and give back the answer that is shown, once it holds ``showing``."""
    await visit.page.locator(".graphiql-execute-button").click()
    shown = "document.querySelector('.result-window .CodeMirror').CodeMirror.getValue()"
    await until(visit, f"{shown}.includes({json.dumps(showing)})")
    answer: dict[str, Any] = json.loads(await visit.page.evaluate(shown))
    return answer


async def until(visit: Visit, condition: str) -> None:
    """Wait for a condition in the page: Playwright's own way needs eval, which the page's policy forbids."""
    async with asyncio.timeout(10):
        while not await visit.page.evaluate(condition):  # noqa: ASYNC110 - the page tells nobody
            await asyncio.sleep(0.05)


def test_every_tab_runs_as_its_own_caller_and_nothing_leaves_the_origin(tmp_path: Path) -> None:
    require_browser()

    async def scenario() -> None:
        async with open_page(tmp_path) as (visit, origin):
            assert await visit.page.title() == "Coffer"
            assert await tab_titles(visit) == ["WhoAmI", "Count", "Anonymous"]

            answer = await run_tab(visit, showing="whoAmI")
            assert answer == {"data": {"whoAmI": "Good morning </script>, Bearer token-of-a-customer"}}

            await select_tab(visit, "Count")
            answer = await run_tab(visit, showing="3 for")
            assert answer == {"data": {"count": "3 for Bearer token-of-staff"}}

            await select_tab(visit, "Anonymous")
            answer = await run_tab(visit, showing="whoAmI")
            assert answer == {"data": {"whoAmI": "Hello, stranger"}}

            assert f"{origin}/graphql".replace("http", "ws", 1) in visit.requests
            assert visit.requests_beyond(origin) == []
            assert visit.problems == []

    asyncio.run(scenario())


def test_reload_keeps_tabs_and_tokens_and_another_servers_page_starts_afresh(tmp_path: Path) -> None:
    require_browser()

    async def scenario() -> None:
        async with open_page(tmp_path) as (visit, _origin):
            await select_tab(visit, "Count")
            await until(visit, "JSON.parse(sessionStorage['graphiql:tabState']).activeTabIndex === 1")
            await visit.page.reload()
            await until_ready(visit)

            assert await tab_titles(visit) == ["WhoAmI", "Count", "Anonymous"]
            assert await run_tab(visit, showing="3 for") == {"data": {"count": "3 for Bearer token-of-staff"}}
            assert await visit.page.evaluate("JSON.stringify(localStorage)") == "{}"

            await visit.page.evaluate("sessionStorage['graphiql:coffer-config'] = 'of a server that is gone'")
            await visit.page.reload()
            await until_ready(visit)
            answer = await run_tab(visit, showing="whoAmI")
            assert answer == {"data": {"whoAmI": "Good morning </script>, Bearer token-of-a-customer"}}
            assert visit.problems == []

    asyncio.run(scenario())


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_every_panel_opens_under_the_content_security_policy(tmp_path: Path, color_scheme: str) -> None:
    require_browser()

    async def scenario() -> None:
        async with open_page(tmp_path, color_scheme=color_scheme) as (visit, origin):
            page = visit.page
            await page.get_by_label("Show Documentation Explorer").click()
            await page.get_by_text("Root Types").wait_for()
            await page.get_by_label("Show History").click()
            for dialog in ("Open short keys dialog", "Open settings dialog"):
                await page.get_by_label(dialog).click()
                await page.locator(".graphiql-dialog").wait_for()
                await page.keyboard.press("Escape")
                await page.locator(".graphiql-dialog").wait_for(state="detached")
            await page.locator(".graphiql-query-editor .CodeMirror").click()
            await page.keyboard.press("Control+Space")
            await page.locator(".CodeMirror-hints").wait_for()

            assert visit.requests_beyond(origin) == []
            assert visit.problems == []

    asyncio.run(scenario())
