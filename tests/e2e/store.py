"""A whole store, served on a free port: the application, its database, and tokens for everybody who calls it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from app.auth import issue_token
from app.main import create_app
from app.settings import Settings
from tests.browser import serve
from tests.databases import settings_for

SECRET = "a secret of the tests, long enough for HS256"
TTL_S = 3600


@dataclass(frozen=True, slots=True)
class Store:
    """Where the server listens, and the tokens of its callers."""

    origin: str
    tokens: Mapping[str, str]

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"{self.origin}/graphql"

    async def ask(self, query: str, variables: Mapping[str, Any] | None = None, *, caller: str) -> Any:
        """Post an operation as one of the callers and return its data."""
        headers = {"authorization": f"Bearer {self.tokens[caller]}"}
        async with httpx.AsyncClient(headers=headers, timeout=60) as client:
            answer = await client.post(self.url, json={"query": query, "variables": variables})
        body = answer.json()
        assert "errors" not in body, body["errors"]
        return body["data"]


def tokens_for(customer: str) -> dict[str, str]:
    """Tokens by the names that GraphiQL's tabs use for their callers."""
    return {
        "customer": token(customer, customer_id=customer),
        "staff": token("mira", "shop_manager"),
        "administrator": token("admin", "administrator"),
    }


def token(subject: str, *roles: str, customer_id: str | None = None, ttl_s: int = TTL_S) -> str:
    """Sign a token as the store would."""
    return issue_token(
        SECRET, subject=subject, roles=roles, ttl_s=ttl_s, now=datetime.now(UTC), customer_id=customer_id
    )


def store_settings(database_url: str, **overrides: Any) -> Settings:
    """Settings of a store whose tokens `token` signs."""
    return settings_for(database_url, jwt_secret=SECRET, **overrides)


@asynccontextmanager
async def open_store(
    database_url: str, *, customer: str = "demo-customer", **overrides: Any
) -> AsyncIterator[Store]:
    """Serve a store while the block runs; its database has all tables."""
    tokens = tokens_for(customer)
    app = create_app(store_settings(database_url, **overrides), demo_tokens=tokens)
    async with serve(app) as origin:
        yield Store(origin, tokens)
