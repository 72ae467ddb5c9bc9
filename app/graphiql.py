"""GraphiQL, the page that a browser gets at ``/graphql``, served from the package's own files.

Nothing on the page comes from anywhere else: the scripts and styles lie in ``app/static/graphiql`` (see
``VENDORED.json`` there), and the Content-Security-Policy forbids the browser to ask another origin, to run a
script that is written into the page, or to show the page in a frame.

Example operations lie in ``app/static/examples``, a file a tab, in the order of their names::

    20-freeze-a-wallet.graphql          the operation, whose name GraphiQL shows as the tab's title
    20-freeze-a-wallet.variables.json   its variables, if it has any

A first line ``# as: staff`` says whose bearer token the tab carries.
"""

import hashlib
import html
import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from string import Template
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

__all__ = ["ExampleTab", "graphiql_routes", "load_examples", "render_graphiql", "wants_graphiql"]

_STATIC: Final = Path(__file__).parent / "static"
_ASSETS: Final = _STATIC / "graphiql"
_EXAMPLES: Final = _STATIC / "examples"

_CALLER: Final = re.compile(r"\A#\s*as:\s*(?P<caller>[\w-]+)\s*\n")

# The system's own table of media types may say text/plain for a script (Windows' registry often does), and
# with "nosniff" the browser would then refuse to run it.
_MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

# GraphiQL's dialogs lock the scrolling of the page with one <style> element, whose text never varies here
# since the page has no scrollbar. Its hash allows just that; 'unsafe-inline' would allow any other style too.
_SCROLL_LOCK_STYLE: Final = "'sha256-Y/huXlwoYkVyQlxwSVcCi1RCDGDCSVBzDt0hYP9qlTc='"

_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        f"style-src 'self' {_SCROLL_LOCK_STYLE}",
        "img-src 'self' data:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleTab:
    """One tab of the page: an operation, what it is called with, and by whom.

    GraphiQL titles a tab with its operation's name; ``name`` is what code and tests call the example.
    """

    name: str
    query: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


def load_examples(
    tokens: Mapping[str, str] | None = None, *, folder: Path = _EXAMPLES
) -> tuple[ExampleTab, ...]:
    """Read the example operations; a tab whose caller is in ``tokens`` carries that bearer token.

    Whoever can open the page can read these tokens: pass them for the demo only, never in production.
    """
    return tuple(_load_example(file, tokens or {}) for file in sorted(folder.glob("*.graphql")))


def _load_example(file: Path, tokens: Mapping[str, str]) -> ExampleTab:
    query = file.read_text(encoding="utf-8")
    variables_file = file.with_suffix(".variables.json")
    variables = json.loads(variables_file.read_text(encoding="utf-8")) if variables_file.exists() else {}
    caller = _CALLER.match(query)
    token = tokens.get(caller["caller"]) if caller else None
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return ExampleTab(name=file.stem, query=query, variables=variables, headers=headers)


def wants_graphiql(request: Request) -> bool:
    """Whether a person's browser asks, rather than a GraphQL client that sends its query by GET."""
    return (
        request.method in {"GET", "HEAD"}
        and "query" not in request.query_params
        and "text/html" in request.headers.get("accept", "")
    )


def graphiql_routes(*, path: str = "/graphql", enabled: bool = True) -> list[BaseRoute]:
    """The route of the page's scripts and styles, below ``path``; the page itself is answered at ``path``.

    The address names the content's digest, so browsers may keep the files for ever without mixing releases.
    """
    if not enabled:
        return []
    return [
        Mount(f"{path}/assets/{_assets_version()}", app=_Assets(directory=_ASSETS), name="graphiql-assets")
    ]


def render_graphiql(
    tabs: Sequence[ExampleTab] = (),
    *,
    path: str = "/graphql",
    subscription_path: str | None = None,
    title: str = "Coffer",
) -> Response:
    """The page, for a browser at ``path``; subscriptions go to ``subscription_path`` (default: ``path``)."""
    # Relative addresses survive a proxy that serves all this below a prefix that this process never hears of.
    here = posixpath.dirname(path)
    endpoint = posixpath.relpath(path, here)
    assets = f"{endpoint}/assets/{_assets_version()}"
    config = {
        "title": title,
        "endpoint": endpoint,
        "subscriptions": posixpath.relpath(subscription_path or path, here),
        "assets": assets,
        "tabs": [_tab_config(tab) for tab in tabs],
    }
    # Inside <script> only "<" can end the element, whatever the data says.
    config_json = json.dumps(config).replace("<", "\\u003c")
    page = _page_template().substitute(
        title=html.escape(title), assets=html.escape(assets), config=config_json
    )
    return HTMLResponse(
        page,
        headers={
            # The page may hold tokens, and the same address answers GraphQL clients with JSON.
            "Cache-Control": "no-store",
            "Vary": "Accept",
            "Content-Security-Policy": _POLICY,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        },
    )


def _tab_config(tab: ExampleTab) -> dict[str, str]:
    """What GraphiQL keeps for a tab: three texts, empty where there is nothing to say."""
    return {
        "query": tab.query,
        "variables": json.dumps(dict(tab.variables), indent=2, ensure_ascii=False) if tab.variables else "",
        "headers": json.dumps(dict(tab.headers), indent=2) if tab.headers else "",
    }


class _Assets(StaticFiles):
    """The files of the page, with exact media types and kept by browsers for ever."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        media_type = _MEDIA_TYPES.get(Path(args[0]).suffix)
        if media_type is not None:
            response.headers["Content-Type"] = media_type
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


@cache
def _page_template() -> Template:
    return Template((_ASSETS / "page.html").read_text(encoding="utf-8"))


@cache
def _assets_version() -> str:
    digest = hashlib.sha256()
    for file in sorted(_ASSETS.iterdir()):
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
