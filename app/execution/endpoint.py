"""The GraphQL endpoint of an application: one object, its routes, and its end."""

from collections.abc import Callable, Collection, Hashable
from typing import Any

import strawberry
import uuid_utils
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Route, WebSocketRoute

from app.execution.callers import Authenticate, Callers, GetContext
from app.execution.engine import Engine
from app.execution.http import GraphiQL, HttpDoor
from app.execution.limits import Limits
from app.execution.persisted import PersistedDocuments
from app.execution.streams import Streams
from app.execution.websockets import SocketDoor


def new_request_id(_connection: HTTPConnection) -> str:
    """Return an id that sorts by time."""
    return str(uuid_utils.uuid7())


def nobody(_principal: Any) -> Hashable:
    """Count no caller by name."""
    return None


class GraphQLEndpoint:
    """GraphQL over HTTP, server-sent events, multipart and websockets, for one schema.

    `get_context` is called for every operation and again for every event of a subscription. `authenticate` raises
    an error whose `extensions["code"]` says why. `graphiql` answers a browser that asks for a page.
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
    ) -> None:
        self.limits = limits or Limits()
        self.engine = Engine(schema, limits=self.limits, introspection=introspection, persisted=persisted)
        callers = Callers(authenticate, get_context, get_request_id, principal_key)
        self.streams = Streams(open_max=self.limits.streams_max, keep_alive_s=self.limits.keep_alive_s)
        self.sockets = SocketDoor(
            self.engine,
            callers,
            limits=self.limits,
            allowed_origins=frozenset(origin.lower().rstrip("/") for origin in allowed_origins),
        )
        self._http = HttpDoor(
            self.engine, callers, limits=self.limits, streams=self.streams, graphiql=graphiql
        )

    def routes(self, path: str) -> list[BaseRoute]:
        """Return the routes; plain ones, because a mount would answer a POST without a slash by a redirect."""
        return [
            Route(path, self._http.answer, methods=["GET", "POST"], name="graphql"),
            WebSocketRoute(path, self.sockets.serve, name="graphql-ws"),
        ]

    async def drain(self) -> None:
        """End what is open when the server stops: sockets with 1012, streams, then what still runs."""
        await self.sockets.drain()
        self.streams.end_all()
        await self.engine.settle(self.limits.drain_timeout_s)
