"""How a field that isn't a mutation tells that its arguments can't be meant."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from strawberry.extensions.field_extension import FieldExtension

from app.context import AppInfo, RequestError
from app.domain.errors import DomainError


class Telling(FieldExtension):
    """Turns a refusal of the domain into a request error with the code BAD_USER_INPUT."""

    async def resolve_async(
        self, next_: Callable[..., Awaitable[Any]], source: Any, info: AppInfo, **kwargs: Any
    ) -> Any:
        """Run the field."""
        try:
            return await next_(source, info, **kwargs)
        except DomainError as error:
            raise request_error(error) from None


def telling() -> Telling:
    """Return the extension for one field."""
    return Telling()


def request_error(error: DomainError) -> RequestError:
    """Return the refusal as a top-level error."""
    return RequestError(
        "BAD_USER_INPUT", error.message, reason=error.code.value, argument=".".join(error.field) or None
    )


async def telling_stream(stream: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Do the same for the stream of a subscription."""
    try:
        async for event in stream:
            yield event
    except DomainError as error:
        raise request_error(error) from None
