"""Everything about callers that the endpoint does not know itself: it is handed in, and only asked here."""

import inspect
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import HTTPConnection

from app.execution.errors import refused_by

Authenticate = Callable[[str | None, Mapping[str, Any] | None], Any]
"""(authorization header, connection_init payload) → the principal, or an awaitable of it; raises an error with a code."""

GetContext = Callable[[Any, HTTPConnection, str], Any]
"""(principal, request or websocket, request id) → the context of one operation or of one event, or an awaitable."""


@dataclass(frozen=True, slots=True)
class Callers:
    """The callables that know who asks."""

    authenticate_with: Authenticate
    context_with: GetContext
    request_id: Callable[[HTTPConnection], str]
    key_of: Callable[[Any], Hashable]
    address_of: Callable[[HTTPConnection], str | None]

    async def authenticate(
        self, authorization: str | None, connection_params: Mapping[str, Any] | None, request_id: str
    ) -> Any:
        """Return the principal; raise RefusedError if the credential proves nobody."""
        try:
            return await _value(self.authenticate_with(authorization, connection_params))
        except Exception as error:
            raise refused_by(error, request_id) from error

    async def context(self, principal: Any, connection: HTTPConnection, request_id: str) -> object:
        """Return a new context."""
        return await _value(self.context_with(principal, connection, request_id))


async def _value(result: Awaitable[Any] | Any) -> Any:
    return await result if inspect.isawaitable(result) else result
