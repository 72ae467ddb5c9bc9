"""What every operation passes, whichever door it came in by: what it costs before, who watches, what is shown after."""

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Hashable
from contextlib import aclosing
from functools import partial
from typing import Any, NamedTuple

from starlette.requests import HTTPConnection

from app.execution.callers import Callers
from app.execution.documents import Operation
from app.execution.engine import Engine, FreshContext, Response, Tell
from app.execution.errors import ErrorCode, RefusedError, refusal
from app.execution.limits import Limits
from app.execution.observing import Observe, Watch
from app.execution.requests import GraphQLRequest
from app.execution.throttle import Balance, Buckets, Budget

COST_HEADER = "x-graphql-cost"
"""A caller who sends it with the value 1 is told the cost of the operation."""

BudgetOf = Callable[[Any], Budget | None]
"""principal → what it may spend; None for as much as it likes."""


class Call(NamedTuple):
    """An operation that was let in."""

    operation: Operation
    request: GraphQLRequest
    fresh_context: FreshContext
    request_id: str
    caller: Hashable
    """What the caller is counted by; None for somebody who can't be told from others."""
    cost: dict[str, Any] | None = None
    """What is shown of its cost; None when nobody asked."""


class Gate:
    """Lets operations in, and runs them."""

    def __init__(
        self,
        engine: Engine,
        callers: Callers,
        *,
        limits: Limits,
        observe: Observe,
        budget_of: BudgetOf,
    ) -> None:
        self.engine = engine
        self.callers = callers
        self._limits = limits
        self._observe = observe
        self._budget_of = budget_of
        self._spent = Buckets(keys_max=limits.callers_max)
        self._requests = Buckets(keys_max=limits.callers_max)
        self._subscriptions: Counter[Hashable] = Counter()

    @property
    def subscriptions(self) -> int:
        """How many subscriptions are open."""
        return self._subscriptions.total()

    def watch(self, connection: HTTPConnection, request_id: str) -> Watch:
        """Begin to follow a request."""
        return Watch(self._observe, connection, request_id)

    def knock(self, connection: HTTPConnection) -> None:
        """Count a request of an address before anything is done for it; refuse it when there are too many."""
        budget = self._limits.requests_per_address
        if budget is None or (address := self.callers.address_of(connection)) is None:
            return
        balance = self._requests.take(address, 1, budget)
        if balance.wait_s:
            raise _too_many("Too many requests from this address.", balance)

    def admit(
        self,
        operation: Operation,
        request: GraphQLRequest,
        principal: Any,
        connection: HTTPConnection,
        request_id: str,
    ) -> Call:
        """Let an operation in if its caller can pay for it; raise RefusedError if not."""
        requested = operation.price.of(request.variables)
        most = self._limits.cost_max
        if requested > most:
            raise _too_dear(requested, most)
        key = self.callers.key_of(principal)
        caller = ("address", self.callers.address_of(connection)) if key is None else key
        budget = self._budget_of(principal)
        balance = None
        if budget is not None and caller != ("address", None):
            balance = self._spent.take(caller, requested, budget)
            if balance.wait_s:
                raise _too_many(
                    "This caller's budget for queries is spent.",
                    balance,
                    _cost(requested, most, budget, balance),
                )
        shown = self._limits.cost_shown or connection.headers.get(COST_HEADER) == "1"
        cost = _cost(requested, most, budget, balance) if shown else None
        fresh_context = partial(self.callers.context, principal, connection, request_id)
        return Call(operation, request, fresh_context, request_id, caller, cost)

    async def run(self, call: Call) -> Response:
        """Run a query or a mutation to its end."""
        response = await self.engine.run(call.operation, call.request, call.fresh_context, call.request_id)
        return with_cost(response, call)

    def start(self, call: Call, tell: Tell) -> None:
        """Run a query or a mutation to its end, and tell what came of it, at once or later."""
        told = tell if call.cost is None else partial(_tell_with_cost, call, tell)
        self.engine.start(call.operation, call.request, call.fresh_context, call.request_id, told)

    async def stream(self, call: Call) -> AsyncGenerator[Response, None]:
        """Yield the responses of any operation; a subscription is counted for its caller while it is open."""
        if not call.operation.is_subscription:
            yield await self.run(call)
            return
        async with aclosing(self.responses(call, await self.subscribe(call))) as responses:
            async for response in responses:
                yield response
                del response

    async def subscribe(self, call: Call) -> AsyncIterable[Any] | Response:
        """Begin a subscription, which is counted for its caller until they `leave`."""
        self._take_seat(call.caller)
        try:
            return await self.engine.subscribe(
                call.operation, call.request, call.fresh_context, call.request_id
            )
        except BaseException:
            self.leave(call)
            raise

    async def responses(
        self, call: Call, source: AsyncIterable[Any] | Response
    ) -> AsyncGenerator[Response, None]:
        """Yield what is told of a subscription that was begun, and leave it in the end."""
        try:
            if isinstance(source, dict):
                yield with_cost(source, call)
                return
            responses = self.engine.events(
                source, call.operation, call.request, call.fresh_context, call.request_id
            )
            async with aclosing(responses):
                async for response in responses:
                    yield with_cost(response, call)
                    del response
        finally:
            self.leave(call)

    def leave(self, call: Call) -> None:
        """Count a subscription no longer."""
        self._leave_seat(call.caller)

    def _take_seat(self, caller: Hashable) -> None:
        if self._subscriptions[caller] >= self._limits.subscriptions_per_principal_max:
            raise refusal(
                ErrorCode.RATE_LIMITED,
                f"This caller has {self._limits.subscriptions_per_principal_max} subscriptions open already: "
                "end one of them first.",
            )
        self._subscriptions[caller] += 1

    def _leave_seat(self, caller: Hashable) -> None:
        self._subscriptions[caller] -= 1
        if self._subscriptions[caller] <= 0:
            del self._subscriptions[caller]


def _cost(requested: int, most: int, budget: Budget | None, balance: Balance | None) -> dict[str, Any]:
    cost: dict[str, Any] = {"requested": requested, "maximum": most}
    if budget is None or balance is None:
        return cost
    return cost | {
        "available": balance.available,
        "capacity": int(budget.capacity),
        "restoreRate": budget.restore_per_s,
    }


def with_cost(response: Response, call: Call) -> Response:
    """Return the response with its cost, if that is shown."""
    if not call.cost:
        return response
    # A new one: others may be given the same response.
    return {**response, "extensions": {**response.get("extensions", {}), "cost": call.cost}}


def _tell_with_cost(call: Call, tell: Tell, outcome: Response | RefusedError) -> None:
    tell(outcome if isinstance(outcome, RefusedError) else with_cost(outcome, call))


def _too_dear(requested: int, most: int) -> RefusedError:
    message = (
        f"The operation may cost {requested}, and the limit is {most}: ask for smaller pages, or for less."
    )
    extensions = {
        "code": ErrorCode.GRAPHQL_VALIDATION_FAILED.value,
        "cost": {"requested": requested, "maximum": most},
    }
    return RefusedError([{"message": message, "extensions": extensions}], of_document=True)


def _too_many(message: str, balance: Balance, cost: dict[str, Any] | None = None) -> RefusedError:
    extra = {} if cost is None else {"cost": cost}
    return refusal(
        ErrorCode.RATE_LIMITED,
        f"{message} Try again in {balance.retry_after_s} s.",
        retry_after_s=balance.retry_after_s,
        extra=extra,
    )
