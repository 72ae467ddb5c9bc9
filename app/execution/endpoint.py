"""The GraphQL endpoint of an application: one object, its routes, and its end."""

from collections.abc import Callable, Collection, Hashable
from typing import Any

import strawberry
import uuid_utils
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Route, WebSocketRoute

from app.execution.callers import Authenticate, Callers, GetContext
from app.execution.cost import Costs
from app.execution.engine import Engine
from app.execution.gate import BudgetOf, Gate
from app.execution.http import GraphiQL, HttpDoor
from app.execution.limits import Limits
from app.execution.observing import Observe, write_down
from app.execution.persisted import PersistedDocuments
from app.execution.sharing import Onlook
from app.execution.streams import Streams
from app.execution.websockets import SocketDoor


def new_request_id(_connection: HTTPConnection) -> str:
    """Return an id that sorts by time."""
    return str(uuid_utils.uuid7())


def nobody(_principal: Any) -> Hashable:
    """Count no caller by name."""
    return None


def address(connection: HTTPConnection) -> str | None:
    """Return the caller's address as the server knows it."""
    return connection.client.host if connection.client else None


def unchanged(principal: Any) -> Any:
    """Take callers for what they were when they came."""
    return principal


def no_budget(_principal: Any) -> None:
    """Let everybody spend what they like."""


class GraphQLEndpoint:
    """GraphQL over HTTP, server-sent events, multipart and websockets, for one schema.

    `get_context` is called for every operation and again for every event of a subscription. `authenticate` raises
    an error whose `extensions["code"]` says why. `graphiql` answers a browser that asks for a page. `observe` is told
    of each operation when it is over. `hurry` is called with the seconds that a query has, in the context of its
    task, so that whoever reads for it can end with it. `prepared` compiles operations (`app.execution.prepared`).
    `onlook` has callers share the execution of an event (`app.execution.sharing`). `present` returns a principal as it is
    at this moment, and the same object while nothing changed; it may raise as `get_context` does, which puts it into
    contexts.
    """

    def __init__(
        self,
        schema: strawberry.Schema,
        *,
        get_context: GetContext,
        authenticate: Authenticate,
        limits: Limits | None = None,
        allowed_origins: Collection[str] = (),
        graphiql: GraphiQL | None = None,
        introspection: bool = True,
        persisted: PersistedDocuments | None = None,
        get_request_id: Callable[[HTTPConnection], str] = new_request_id,
        principal_key: Callable[[Any], Hashable] = nobody,
        address_of: Callable[[HTTPConnection], str | None] = address,
        budget_of: BudgetOf = no_budget,
        costs: Costs | None = None,
        observe: Observe = write_down,
        hurry: Callable[[float], object] = lambda _timeout_s: None,
        prepared: bool = True,
        onlook: Onlook | None = None,
        present: Callable[[Any], Any] = unchanged,
    ) -> None:
        self.limits = limits or Limits()
        self.engine = Engine(
            schema,
            limits=self.limits,
            introspection=introspection,
            persisted=persisted,
            costs=costs,
            hurry=hurry,
            prepared=prepared,
            onlook=onlook,
        )
        callers = Callers(authenticate, get_context, get_request_id, principal_key, address_of, present)
        self.gate = Gate(self.engine, callers, limits=self.limits, observe=observe, budget_of=budget_of)
        self.streams = Streams(open_max=self.limits.streams_max, keep_alive_s=self.limits.keep_alive_s)
        self.sockets = SocketDoor(
            self.gate,
            limits=self.limits,
            allowed_origins=frozenset(origin.lower().rstrip("/") for origin in allowed_origins),
        )
        self.door = HttpDoor(self.gate, limits=self.limits, streams=self.streams, graphiql=graphiql)

    def routes(self, path: str) -> list[BaseRoute]:
        """Return the routes; plain ones, because a mount would answer a POST without a slash by a redirect."""
        return [
            # An object that is called as ASGI says: Starlette wraps functions once more.
            Route(path, self.door, methods=["GET", "POST"], name="graphql"),
            WebSocketRoute(path, self.sockets, name="graphql-ws"),
        ]

    async def drain(self) -> None:
        """Begin nothing more, end what is open (sockets with 1012, streams), and wait for what still runs."""
        self.engine.drain()
        await self.sockets.drain()
        self.streams.end_all()
        await self.engine.settle(self.limits.drain_timeout_s)
