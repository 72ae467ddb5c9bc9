"""What an engine tells of an operation, a subscription or not, without a door in front of it."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from app.execution.engine import Engine, Response
from app.execution.requests import GraphQLRequest


async def responses(
    engine: Engine, request: GraphQLRequest, context: Callable[[], Awaitable[object]]
) -> AsyncGenerator[Response, None]:
    """Yield the responses to a request."""
    operation = engine.operation(request)
    if not operation.is_subscription:
        yield await engine.run(operation, request, context, "request")
        return
    source = await engine.subscribe(operation, request, context, "request")
    if isinstance(source, dict):
        yield source
        return
    async with aclosing(engine.events(source, operation, request, context, "request")) as events:
        async for response in events:
            yield response
            del response
