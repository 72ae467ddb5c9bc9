"""Everything about callers that the endpoint does not know itself: it is handed in, and only asked here."""

from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass
from inspect import iscoroutine
from typing import Any

from starlette.requests import HTTPConnection
from strawberry.execution import optimized_is_awaitable as is_awaitable

from app.execution.errors import ApiError, ErrorCode, refused_by

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
    present: Callable[[Any], Any]
    """A principal → the same as it is at this moment, as its contexts would have it; the same object while nothing changed."""

    async def authenticate(
        self, headers: Mapping[str, str], connection_params: Mapping[str, Any] | None, request_id: str
    ) -> Any:
        """Return the principal; raise RefusedError if the credential proves nobody."""
        try:
            principal = self.authenticate_with(_credential(headers), connection_params)
            return await principal if is_awaitable(principal) else principal
        except Exception as error:
            raise refused_by(error, request_id) from error

    def known(self, headers: Mapping[str, str]) -> Any:
        """Return the principal where nothing has to be waited for to know it; None where `authenticate` has to see."""
        try:
            principal = self.authenticate_with(_credential(headers), None)
        except Exception:  # noqa: BLE001 - whoever asks `authenticate` then is told
            return None
        if not is_awaitable(principal):
            return principal
        if iscoroutine(principal):
            # Python warns of what was begun by nobody.
            principal.close()
        return None

    def context(
        self, principal: Any, connection: HTTPConnection, request_id: str
    ) -> Awaitable[object] | object:
        """Return a new context, or an awaitable of it."""
        context: Awaitable[object] | object = self.context_with(principal, connection, request_id)
        return context


def _credential(headers: Mapping[str, str]) -> str | None:
    """Return the `Authorization` header; a key in `X-API-Key` counts as a bearer's."""
    authorization, key = headers.get("authorization"), headers.get("x-api-key")
    if key is None:
        return authorization
    if authorization:
        # Whichever were taken, somebody would believe that it was the other one.
        raise ApiError(ErrorCode.UNAUTHENTICATED, "Send either Authorization or X-API-Key, not both.")
    return f"Bearer {key}" if key.strip() else None
