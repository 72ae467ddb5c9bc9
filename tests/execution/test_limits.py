"""What one caller may ask for: cost, time, subscriptions; and how slowly."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import strawberry
from graphql import OperationDefinitionNode, build_schema, parse

from app.execution.cost import Costs, price_of
from app.execution.endpoint import GraphQLEndpoint
from app.execution.limits import Limits
from app.execution.observing import Observation
from app.execution.throttle import Buckets, Budget
from tests.execution.conftest import client_of
from tests.execution.shop import Shop

COST_SCHEMA = build_schema(
    """
    type Query { me: Person, people(first: Int, last: Int): People!, nodes(ids: [ID!]!): [Person]!, heavy: Person
                 tags: [String!]! }
    type People { nodes: [Person!]!, edges: [Edge!]!, pageInfo: PageInfo!, totalCount: Int! }
    type Edge { cursor: String!, node: Person! }
    type PageInfo { endCursor: String }
    type Person { name: String, friends(first: Int, last: Int): People!, pets: [Pet!]! }
    type Pet { name: String, owner: Person }
    type Mutation { pay: Person, other: Person }
    """
)
COSTS = Costs(weights={"*.totalCount": 7, "*.edges": 0, "*.pageInfo": 0, "Query.heavy": 100})


def cost(text: str, **variables: Any) -> int:
    """Return what an operation costs."""
    document = parse(text)
    operation = next(d for d in document.definitions if isinstance(d, OperationDefinitionNode))
    return price_of(COST_SCHEMA, document, operation, COSTS).of(variables)


@pytest.mark.parametrize(
    ("text", "variables", "expected"),
    [
        ("{ __typename }", {}, 1),
        ("{ tags }", {}, 1),
        ("{ me { name } }", {}, 1),
        ("{ a: me { name } b: me { name } }", {}, 2),
        ("{ people { nodes { name } } }", {}, 1 + 20),
        ("{ people(first: 3) { nodes { name } } }", {}, 1 + 3),
        ("{ people(last: 3) { nodes { name } pageInfo { endCursor } totalCount } }", {}, 1 + 3 + 7),
        ("{ people(first: 3) { edges { cursor node { name } } } }", {}, 1 + 3),
        ("{ people(first: 1000000) { nodes { name } } }", {}, 1 + 100),
        ("{ people(first: -5) { nodes { name } } }", {}, 1),
        ("query($n: Int) { people(first: $n) { nodes { name } } }", {"n": 4}, 1 + 4),
        ("query($n: Int) { people(first: $n) { nodes { name } } }", {"n": 50.0}, 1 + 50),
        ("query($n: Int) { people(first: $n) { nodes { name } } }", {"n": 1e300}, 1 + 100),
        ("query($n: Int) { people(first: $n) { nodes { name } } }", {"n": True}, 1 + 20),
        ("query($n: Int = 9) { people(first: $n) { nodes { name } } }", {}, 1 + 9),
        ("query($n: Int) { people(first: $n) { nodes { name } } }", {"n": "x"}, 1 + 20),
        ("query($n: Int) { people(first: $n) { nodes { name } } }", {"n": None}, 1 + 20),
        (
            "query($n: Int) { people(first: $n) { nodes { friends(first: 5) { nodes { name } } } } }",
            {"n": 10},
            1 + 10 * (1 + 1 + 5),
        ),
        (
            "query($n: Int) { people(first: 10) { nodes { friends(first: $n) { nodes { name } } } } }",
            {"n": 5},
            1 + 10 * (1 + 1 + 5),
        ),
        ("{ me { pets { owner { name } } } }", {}, 1 + 5 * 2),
        ('{ nodes(ids: ["a", "b", "c"]) { name } }', {}, 3),
        ("query($ids: [ID!]!) { nodes(ids: $ids) { name } }", {"ids": ["a"] * 50}, 50),
        (
            "{ me { ...F } } fragment F on Person { friends(first: 2) { ...P } } fragment P on People { nodes { name } }",
            {},
            1 + 1 + 2,
        ),
        ("{ me @skip(if: true) { name } }", {}, 1),
        ("{ heavy { name } }", {}, 100),
        ("mutation { pay { name } other { pets { name } } }", {}, 10 + 10 + 5),
        ("{ __schema { types { name } } }", {}, 10),
    ],
)
def test_cost(text: str, variables: dict[str, Any], expected: int) -> None:
    assert cost(text, **variables) == expected


async def test_an_operation_that_is_too_dear_never_runs() -> None:
    shop = Shop.open(limits=Limits(cost_max=3))
    async with client_of(shop) as client:
        dear = await client.post(
            "/graphql", json={"query": "{ " + " ".join(f"i{n}: item {{ name }}" for n in range(4)) + " }"}
        )
        (error,) = dear.json()["errors"]
        assert error["extensions"] == {
            "code": "GRAPHQL_VALIDATION_FAILED",
            "cost": {"requested": 4, "maximum": 3},
        }
        assert shop.counters.contexts == 0
        assert (await client.post("/graphql", json={"query": "{ item { name } }"})).status_code == 200


# --- buckets ------------------------------------------------------------------------------------------------


def test_a_bucket_fills_again_and_no_further() -> None:
    now = 0.0
    buckets = Buckets(clock=lambda: now)
    budget = Budget(10, 2)
    assert buckets.take("a", 8, budget).available == 2
    refused = buckets.take("a", 8, budget)
    assert (refused.available, refused.wait_s, refused.retry_after_s) == (2, 3.0, 3)
    now = 3.0
    assert buckets.take("a", 8, budget).wait_s == 0
    now = 1000.0
    assert buckets.take("a", 1, budget).available == 9
    assert buckets.take("b", 100, budget).wait_s == 0, "more than it holds takes all of it"
    assert buckets.take("b", 1, budget).wait_s > 0


def test_buckets_are_bounded() -> None:
    buckets = Buckets(keys_max=100)
    for number in range(1000):
        buckets.take(number, 1, Budget(10, 1))
    assert len(buckets) == 100


# --- time ---------------------------------------------------------------------------------------------------


@dataclass
class Pace:
    """Lets the test say when, and sees what happened."""

    enough: asyncio.Event
    done: int = 0
    cancelled: int = 0


PACE = Pace(asyncio.Event())


async def wait() -> str:
    """Wait until the test says so."""
    try:
        await PACE.enough.wait()
    except asyncio.CancelledError:
        PACE.cancelled += 1
        raise
    PACE.done += 1
    return "done"


@strawberry.type
class Query:
    """Reads."""

    slow: str = strawberry.field(resolver=wait)
    long: str = strawberry.field(resolver=wait)


@strawberry.type
class Mutation:
    """Writes."""

    pay: str = strawberry.field(resolver=wait)


@strawberry.type
class Subscription:
    """Watches."""

    @strawberry.subscription
    async def tick(self) -> AsyncGenerator[Query, None]:
        """Yield one event, whose field is slow."""
        yield Query()


SLOW = strawberry.Schema(Query, Mutation, Subscription)


@pytest.fixture
async def slow() -> AsyncIterator[tuple[httpx.AsyncClient, GraphQLEndpoint]]:
    PACE.enough, PACE.done, PACE.cancelled = asyncio.Event(), 0, 0
    limits = Limits(operation_timeout_s=0.1, long_root_fields=frozenset({"long"}))
    endpoint = GraphQLEndpoint(SLOW, get_context=lambda *_: None, authenticate=lambda *_: None, limits=limits)
    from starlette.applications import Starlette  # noqa: PLC0415

    app = Starlette(routes=endpoint.routes("/graphql"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
        yield client, endpoint


async def test_a_query_is_stopped(slow: tuple[httpx.AsyncClient, GraphQLEndpoint]) -> None:
    client, endpoint = slow
    answer = await client.post("/graphql", json={"query": "{ slow }"})
    assert answer.status_code == 504
    assert answer.headers["retry-after"] == "1"
    (error,) = answer.json()["errors"]
    assert error["extensions"]["code"] == "TIMEOUT"
    assert "stopped" in error["message"]
    await endpoint.engine.settle(10)
    assert (PACE.cancelled, PACE.done, endpoint.engine.running) == (1, 0, 0)


async def test_a_mutation_goes_on(slow: tuple[httpx.AsyncClient, GraphQLEndpoint]) -> None:
    client, endpoint = slow
    answer = await client.post("/graphql", json={"query": "mutation { pay }"})
    assert answer.status_code == 504
    assert "same idempotency key" in answer.json()["errors"][0]["message"]
    assert endpoint.engine.running == 1
    PACE.enough.set()
    await endpoint.engine.settle(10)
    assert (PACE.cancelled, PACE.done) == (0, 1)


async def test_what_takes_long_by_its_nature(slow: tuple[httpx.AsyncClient, GraphQLEndpoint]) -> None:
    client, _ = slow
    asyncio.get_running_loop().call_later(0.3, PACE.enough.set)
    answer = await client.post("/graphql", json={"query": "{ long }"})
    assert answer.json() == {"data": {"long": "done"}}


async def test_a_body_that_does_not_come() -> None:
    shop = Shop.open(limits=Limits(body_timeout_s=0.1))

    async def endless() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(60)
        yield b"}"

    async with client_of(shop) as client:
        answer = await client.post(
            "/graphql", content=endless(), headers={"content-type": "application/json"}
        )
        assert answer.status_code == 408
        assert answer.headers["connection"] == "close"


# --- subscriptions, and the observer ------------------------------------------------------------------------


async def test_subscriptions_of_one_caller_are_counted() -> None:
    seen: list[Observation] = []
    shop = Shop.open(
        limits=Limits(subscriptions_per_principal_max=2),
        principal_key=lambda caller: caller.name,
        observe=seen.append,
    )
    query = {"query": "subscription Count { count(to: 1000, pauseS: 0.05) }"}
    headers = {"accept": "text/event-stream", "authorization": "Bearer ada"}
    from tests.execution.conftest import serving, until  # noqa: PLC0415

    async with serving(shop) as address, httpx.AsyncClient() as client:
        url = f"http://{address}"
        async with (
            client.stream("POST", url, json=query, headers=headers),
            client.stream("POST", url, json=query, headers=headers),
        ):
            await until(lambda: shop.endpoint.gate.subscriptions == 2, within_s=30)
            third = await client.post(url, json=query, headers=headers)
            told = json.loads(third.text.partition("data: ")[2].partition("\n")[0])
            assert told["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
        await until(lambda: shop.endpoint.gate.subscriptions == 0, within_s=30)
    assert sorted((o.operation_type, o.name, o.outcome) for o in seen) == [
        ("subscription", "Count", "OK"),
        ("subscription", "Count", "OK"),
        ("subscription", "Count", "RATE_LIMITED"),
    ]


@pytest.mark.parametrize(
    ("query", "type_", "name", "outcome"),
    [
        ("query A { hello }", "query", "A", "OK"),
        ("{ later }", "query", None, "OK"),
        ("{ refused }", "query", None, "FORBIDDEN"),
        ("{ defect }", "query", None, "INTERNAL_SERVER_ERROR"),
        ("{ nope }", "unknown", None, "GRAPHQL_VALIDATION_FAILED"),
    ],
)
async def test_each_operation_is_observed_once(
    query: str, type_: str, name: str | None, outcome: str
) -> None:
    seen: list[Observation] = []
    shop = Shop.open(observe=seen.append)
    async with client_of(shop) as client:
        await client.post("/graphql", json={"query": query}, headers={"authorization": "Bearer ada"})
    (one,) = seen
    assert (one.operation_type, one.name, one.outcome) == (type_, name, outcome)
    assert one.principal.name == "ada"
    assert one.duration_s > 0


async def test_an_observer_that_fails_harms_nobody() -> None:
    def broken(_: Observation) -> None:
        raise RuntimeError

    async with client_of(Shop.open(observe=broken)) as client:
        assert (await client.post("/graphql", json={"query": "{ hello }"})).status_code == 200
