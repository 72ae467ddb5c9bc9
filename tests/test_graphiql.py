"""What the server says about the GraphiQL page; ``tests/e2e/test_graphiql.py`` opens it in a browser."""

import asyncio
import json
import re
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request

from app.graphiql import ExampleTab, graphiql_routes, load_examples, render_graphiql, wants_graphiql


def page_config(tabs: list[ExampleTab]) -> dict[str, object]:
    """What the page tells its script."""
    page = bytes(render_graphiql(tabs).body).decode()
    config = re.search(r'<script type="application/json" id="coffer-config">(.*?)</script>', page, re.DOTALL)
    assert config is not None
    parsed: dict[str, object] = json.loads(config[1])
    return parsed


def test_page_is_never_cached_and_runs_only_its_own_scripts() -> None:
    headers = render_graphiql().headers

    assert headers["cache-control"] == "no-store"
    assert headers["vary"] == "Accept"
    assert "script-src 'self';" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]


def test_example_text_cannot_leave_its_script_element() -> None:
    tab = ExampleTab(name="hostile", query="query { a } # </script><script>alert(1)</script> $title")

    assert page_config([tab])["tabs"] == [{"query": tab.query, "variables": "", "headers": ""}]


def test_example_carries_the_token_of_its_caller_only(tmp_path: Path) -> None:
    (tmp_path / "02-staff.graphql").write_text("# as: staff\nquery B { b }\n", encoding="utf-8")
    (tmp_path / "02-staff.variables.json").write_text('{"b": "2"}', encoding="utf-8")
    (tmp_path / "01-anybody.graphql").write_text("query A { a }\n", encoding="utf-8")

    anybody, staff = load_examples({"staff": "s3cret", "customer": "other"}, folder=tmp_path)

    assert (anybody.name, anybody.headers) == ("01-anybody", {})
    assert (staff.headers, staff.variables) == ({"Authorization": "Bearer s3cret"}, {"b": "2"})
    assert all(tab.headers == {} for tab in load_examples(folder=tmp_path))


def test_assets_are_kept_for_ever_under_an_address_of_their_content() -> None:
    page = bytes(render_graphiql().body).decode()
    addresses = re.findall(r'(?:href|src)="([^"]+)"', page)

    async def scenario() -> None:
        transport = httpx.ASGITransport(Starlette(routes=graphiql_routes()))
        async with httpx.AsyncClient(transport=transport, base_url="http://coffer.test") as client:
            for address in addresses:
                answer = await client.get(f"/{address}")
                assert answer.status_code == 200
                assert "immutable" in answer.headers["cache-control"]
            assert (await client.get("/graphql/assets/000000000000/page.js")).status_code == 404

    assert addresses
    asyncio.run(scenario())


def test_a_server_without_the_page_has_no_route_for_it() -> None:
    assert graphiql_routes(enabled=False) == []


@pytest.mark.parametrize(
    ("method", "accept", "query", "wanted"),
    [
        ("GET", b"text/html,application/xhtml+xml,*/*;q=0.8", b"", True),
        ("GET", b"text/html", b"query=%7Ba%7D", False),
        ("GET", b"application/json", b"", False),
        ("GET", b"*/*", b"", False),
        ("POST", b"text/html", b"", False),
    ],
)
def test_only_a_browser_gets_the_page(method: str, accept: bytes, query: bytes, wanted: bool) -> None:
    scope = {"type": "http", "method": method, "headers": [(b"accept", accept)], "query_string": query}

    assert wants_graphiql(Request(scope)) is wanted
