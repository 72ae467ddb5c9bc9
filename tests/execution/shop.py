"""A small schema of its own, so that the endpoint is tested without a wallet in sight."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import strawberry
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from strawberry.types import Info

from app.execution.endpoint import GraphQLEndpoint
from app.execution.errors import ApiError, ErrorCode


@dataclass
class Counters:
    """What happened, for a test to look at."""

    mutations_begun: int = 0
    mutations_ended: int = 0
    contexts: int = 0
    sources_open: int = 0


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    name: str | None = None
    expires_at: datetime | None = None


@dataclass
class Context:
    """What resolvers get."""

    caller: Caller
    counters: Counters
    number: int
    request_id: str


ShopInfo = Info[Context, None]


@strawberry.input(one_of=True)
class Selector:
    """Names something in one of two ways."""

    number: strawberry.Maybe[int]
    name: strawberry.Maybe[str]


@strawberry.type
class Item:
    """A thing that contains things."""

    name: str

    @strawberry.field
    def item(self) -> "Item":
        """Return itself, so that queries can be deep."""
        return self


@strawberry.type
class Query:
    """Reads."""

    @strawberry.field
    def hello(self, name: str = "world") -> str:
        """Greet."""
        return f"hello {name}"

    @strawberry.field
    async def later(self) -> str:
        """Answer after a turn of the loop."""
        await asyncio.sleep(0)
        return "later"

    @strawberry.field
    def item(self) -> Item:
        """Return the thing."""
        return Item(name="thing")

    @strawberry.field
    def find(self, by: Selector) -> str:
        """Tell how it was asked for."""
        return "number" if by.number else "name"

    @strawberry.field
    def context_number(self, info: ShopInfo) -> int:
        """Tell which context this is."""
        return info.context.number

    @strawberry.field
    def extension(self, info: ShopInfo) -> str | None:
        """Tell what came in the request's extensions."""
        return (info.input_extensions or {}).get("trace")

    @strawberry.field
    def caller(self, info: ShopInfo) -> str | None:
        """Tell who asks."""
        return info.context.caller.name

    @strawberry.field
    def refused(self) -> str | None:
        """Refuse."""
        raise ApiError(ErrorCode.FORBIDDEN, "Not for you.", extra={"need": "WALLETS_READ"})

    @strawberry.field
    async def defect(self) -> str | None:
        """Fail as programs do."""
        raise RuntimeError("password=hunter2")

    @strawberry.field
    def wrong_type(self) -> int | None:
        """Return what the schema does not promise."""
        return "secret"  # type: ignore[return-value]


@strawberry.type
class Mutation:
    """Writes."""

    @strawberry.mutation
    async def pay(self, info: ShopInfo, pause_s: float = 0.0) -> int:
        """Count, with a wait in the middle where a cancellation would hurt."""
        counters = info.context.counters
        counters.mutations_begun += 1
        await asyncio.sleep(pause_s)
        counters.mutations_ended += 1
        return counters.mutations_ended


@strawberry.type
class Subscription:
    """Streams."""

    @strawberry.subscription
    async def count(
        self, info: ShopInfo, to: int = 3, pause_s: float = 0.0, fail_at: int = 0
    ) -> AsyncGenerator[int, None]:
        """Count up."""
        counters = info.context.counters
        counters.sources_open += 1
        try:
            for number in range(1, to + 1):
                if number == fail_at:
                    raise RuntimeError("password=hunter2")
                yield number
                await asyncio.sleep(pause_s)
        finally:
            counters.sources_open -= 1

    @strawberry.subscription
    async def contexts(self, info: ShopInfo) -> AsyncGenerator[Query, None]:
        """Yield two events, whose fields see a context each."""
        yield Query()
        yield Query()

    @strawberry.subscription
    async def closed(self) -> AsyncGenerator[int, None]:
        """Refuse before the first event."""
        for number in (1, 2):
            if number:
                raise ApiError(ErrorCode.FORBIDDEN, "Not for you.")
            yield number


SCHEMA = strawberry.Schema(Query, Mutation, Subscription)


@dataclass
class Shop:
    """An endpoint over the schema, with its counters and its application."""

    counters: Counters
    endpoint: GraphQLEndpoint
    app: Starlette

    @classmethod
    def open(cls, **options: Any) -> Self:
        """Build one; the options are the endpoint's."""
        counters = Counters()

        def get_context(caller: Caller, _connection: HTTPConnection, request_id: str) -> Context:
            counters.contexts += 1
            return Context(caller, counters, counters.contexts, request_id)

        endpoint = GraphQLEndpoint(SCHEMA, get_context=get_context, authenticate=authenticate, **options)
        return cls(counters, endpoint, Starlette(routes=endpoint.routes("/graphql")))

    def has_begun(self, mutations: int) -> bool:
        """Tell whether as many mutations have begun."""
        return self.counters.mutations_begun >= mutations


def authenticate(authorization: str | None, connection_params: Mapping[str, Any] | None) -> Caller:
    """Know callers by name: `Bearer ada`; `Bearer brief` expires soon; `Bearer nobody` is refused."""
    credential = authorization or (connection_params or {}).get("Authorization")
    if credential is None:
        return Caller()
    name = str(credential).removeprefix("Bearer ")
    if name == "nobody":
        raise ApiError(ErrorCode.UNAUTHENTICATED, "The token proves nobody.")
    if name == "broken":
        raise RuntimeError("password=hunter2")
    return Caller(name, datetime.now(UTC) + timedelta(seconds=0.3) if name == "brief" else None)
