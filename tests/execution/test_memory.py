"""What a subscription keeps of its events: nothing."""

import gc
from collections.abc import AsyncGenerator

import pytest
import strawberry
from graphql.execution.collect_fields import FieldDetails

from app.execution.engine import Engine
from app.execution.limits import Limits
from app.execution.requests import GraphQLRequest
from tests.execution.subscribing import responses


@strawberry.type
class Step:
    """An event with something inside."""

    number: int

    @strawberry.field
    def inner(self) -> "Step":
        """Return the same again."""
        return self


@strawberry.type
class Query:
    """Nothing to read."""

    nothing: int = 0


@strawberry.type
class Subscription:
    """One stream."""

    @strawberry.subscription
    async def steps(self) -> AsyncGenerator[Step, None]:
        """Count for ever."""
        number = 0
        while True:
            number += 1
            yield Step(number=number)


def fields_in_memory() -> int:
    """Count what graphql-core makes of each selected field."""
    gc.collect()
    return sum(isinstance(found, FieldDetails) for found in gc.get_objects())


@pytest.mark.slow
async def test_events_leave_nothing_behind() -> None:
    engine = Engine(strawberry.Schema(Query, subscription=Subscription), limits=Limits(), introspection=True)
    request = GraphQLRequest("subscription { steps { number inner { inner { number } } } }")

    async def context() -> object:
        return None

    told = responses(engine, request, context)
    counts = []
    async for response in told:
        number = response["data"]["steps"]["inner"]["inner"]["number"]
        if number % 100 == 0:
            counts.append(fields_in_memory())
        if number == 300:
            break
    await told.aclose()

    assert counts[-1] <= counts[0]
