"""Runs one operation.

Operations are run as they were prepared (`prepared`), or by graphql-core's executor directly, in the class that
Strawberry's schema names for it: the document is parsed and validated already, and the schema has no extensions, so
nothing of `schema.execute` is left to do. Variables are coerced before anything runs; that is why `_executor` may
refuse, and what is begun after it may not fail.
"""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Hashable,
)
from contextlib import aclosing
from functools import partial
from inspect import isasyncgen
from typing import Any, TypeGuard, TypeVar, cast

import strawberry
from graphql import ExecutionResult, Executor, create_source_event_stream
from strawberry.execution import optimized_is_awaitable

from app.execution.cost import Costs
from app.execution.documents import Documents, Operation, core_schema
from app.execution.errors import ErrorCode, RefusedError, present, present_all, refusal, refused_by, with_code
from app.execution.limits import Limits
from app.execution.persisted import PersistedDocuments
from app.execution.requests import GraphQLRequest, encode
from app.execution.sharing import Answer, Key, Onlook, answer, answers_of, lead

T = TypeVar("T")

Response = dict[str, Any]
"""What the caller gets. Without the key `data` the operation never ran, or its stream broke."""

KEYS_MAX = 1_000
"""Kinds of callers and questions that are the same object to all who are alike."""

Tell = Callable[[Response | RefusedError], None]
"""Takes what came of an operation, once."""

FreshContext = Callable[[], Awaitable[object] | object]
"""Makes a context, or an awaitable of it: one per operation, and one per event of a subscription, so that no loader
outlives its answer.
"""


class Engine:
    """Executes operations of one schema and keeps count of those that run."""

    def __init__(
        self,
        schema: strawberry.Schema,
        *,
        limits: Limits,
        introspection: bool,
        persisted: PersistedDocuments | None = None,
        costs: Costs | None = None,
        hurry: Callable[[float], object] = lambda _timeout_s: None,
        prepared: bool = True,
        onlook: Onlook | None = None,
    ) -> None:
        if schema.extensions or schema.directives:
            raise ValueError("The endpoint runs no schema extensions: pass what they do as callables.")
        self._schema = core_schema(schema)
        self._executor_class = cast("type[Executor[Any]]", schema.execution_context_class)
        self._limits = limits
        self._introspection = introspection
        self._persisted = persisted or PersistedDocuments()
        self._documents = Documents(
            schema, limits=limits, introspection=introspection, costs=costs, prepared=prepared
        )
        self._hurry = hurry
        self._onlook = onlook
        self._keys: dict[Key, Key] = {}
        self._running: set[asyncio.Task[Any]] = set()
        self._draining = False

    def operation(self, request: GraphQLRequest) -> Operation:
        """Return the operation that the request asks for; raise RefusedError where there is none."""
        return self._documents.operation(self._persisted.text_of(request), request.operation_name)

    async def run(
        self, operation: Operation, request: GraphQLRequest, fresh_context: FreshContext, request_id: str
    ) -> Response:
        """Run a query or a mutation to its end, even if the caller goes away meanwhile.

        A caller who is cancelled stops waiting, and nothing else stops. When the time is up, a query ends; a
        mutation never does: its caller is told to ask again with the same key.
        """
        self._require_room()
        context = await self._context(fresh_context, request_id)
        return await _told(partial(self._begin, operation, request, context, request_id))

    def start(
        self,
        operation: Operation,
        request: GraphQLRequest,
        fresh_context: FreshContext,
        request_id: str,
        tell: Tell,
    ) -> None:
        """Do as `run`, for somebody who has no task that would wait: the outcome is told, at once or later.

        What `run` raises before it waits, this raises.
        """
        self._require_room()
        try:
            context = fresh_context()
        except Exception as error:
            raise refused_by(error, request_id) from error
        if optimized_is_awaitable(context):
            self._keep(self._start_later(operation, request, context, request_id, tell))
        else:
            self._begin(operation, request, context, request_id, tell)

    async def _start_later(
        self,
        operation: Operation,
        request: GraphQLRequest,
        context: Any,
        request_id: str,
        tell: Tell,
    ) -> None:
        try:
            self._begin(operation, request, await context, request_id, tell)
        except RefusedError as refused:
            tell(refused)
        except Exception as error:  # noqa: BLE001 - nobody else would hear of it
            tell(refused_by(error, request_id))

    def _begin(
        self,
        operation: Operation,
        request: GraphQLRequest,
        context: object,
        request_id: str,
        tell: Tell,
    ) -> None:
        outcome = _begun(operation, self._executor(operation, request, context))
        if isinstance(outcome, ExecutionResult):
            tell(_response(outcome, request_id))
            return
        self._to_the_end(
            outcome,
            request_id,
            timeout_s=self._timeout_s(operation),
            may_be_cancelled=not operation.is_mutation,
            tell=tell,
        )

    async def subscribe(
        self, operation: Operation, request: GraphQLRequest, fresh_context: FreshContext, request_id: str
    ) -> AsyncIterable[Any] | Response:
        """Begin a subscription: return its events, or the response that it ends with before the first one."""
        self._require_service()
        executor = self._executor(operation, request, await self._context(fresh_context, request_id))
        try:
            source = await _settled(create_source_event_stream(executor))
        except Exception as error:  # noqa: BLE001 - graphql-core lets through what it did not expect
            return {"errors": [present(error, request_id)]}
        if isinstance(source, ExecutionResult):
            return {"errors": present_all(source.errors or [], request_id)}
        return cast("AsyncIterable[Any]", source)

    async def events(
        self,
        source: AsyncIterable[Any],
        operation: Operation,
        request: GraphQLRequest,
        fresh_context: FreshContext,
        request_id: str,
    ) -> AsyncGenerator[Response, None]:
        """Yield the response to each event of a subscription, waiting for it in the caller's task."""
        async with aclosing(_closeable(source)) as events:
            try:
                async for payload in events:
                    yield await self.answer(operation, request, payload, fresh_context, request_id)
                    # An idle subscriber holds nothing of what it was told.
                    del payload
            except Exception as error:  # noqa: BLE001 - whatever breaks the source is told, masked
                yield broken(error, request_id)

    async def answer(
        self,
        operation: Operation,
        request: GraphQLRequest,
        payload: object,
        fresh_context: FreshContext,
        request_id: str,
        *,
        claimed: tuple[Key, Answer] | None = None,
    ) -> Response:
        """Answer one event, with somebody else's answer where that would be the same; with `claimed`, for the others too."""
        run = partial(self._of_event, operation, request, payload, request_id)
        try:
            context = await _settled(fresh_context())
            answers, question = answers_of(payload), self.question(operation, request)
            if self._onlook is None or answers is None or question is None:
                return await run(context)
            if claimed is not None:
                return await lead(answers, *claimed, self._onlook(context), run)
            return await answer(answers, question, self._onlook(context), run)
        finally:
            if claimed is not None:
                claimed[1].end()

    def question(self, operation: Operation, request: GraphQLRequest) -> Hashable:
        """Return what is asked of each event: equal variables, as they were sent, are coerced to equal ones.

        None where nothing is shared, as where graphql-core runs the operation.
        """
        if operation.prepared is None or self._onlook is None:
            return None
        try:
            # A copy as text: what the encoder returns keeps the room that it was written into.
            return operation.prepared, encode((request.variables, request.extensions)).decode()
        except TypeError:
            # What is nested so deeply can be read, and not written.
            return None

    def key(self, question: Hashable, principal: Any) -> Key | None:
        """Return below what the answers are found that a caller would be given; None where nothing is shared."""
        if self._onlook is None or question is None:
            return None
        if len(self._keys) > KEYS_MAX:
            self._keys.clear()
        key = Key(question, self._onlook.rights_of(principal))
        # The same object for all who are alike: thousands hold it, and it is compared at each event.
        return self._keys.setdefault(key, key)

    async def _of_event(
        self,
        operation: Operation,
        request: GraphQLRequest,
        payload: object,
        request_id: str,
        context: object,
    ) -> Response:
        outcome = _begun(operation, _event_executor(self._executor(operation, request, context), payload))
        if isinstance(outcome, ExecutionResult):
            return _response(outcome, request_id)
        timeout_s = self._limits.operation_timeout_s
        return await _told(
            lambda tell: self._to_the_end(
                outcome, request_id, timeout_s=timeout_s, may_be_cancelled=True, tell=tell
            )
        )

    def _keep(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def drain(self) -> None:
        """Begin nothing more."""
        self._draining = True

    async def settle(self, timeout_s: float) -> None:
        """Wait until what runs has ended, or the time is up."""
        if self._running:
            await asyncio.wait(set(self._running), timeout=timeout_s)

    @property
    def running(self) -> int:
        """How many operations run at this moment."""
        return len(self._running)

    def _require_room(self) -> None:
        self._require_service()
        if len(self._running) >= self._limits.operations_in_flight_max:
            raise refusal(
                ErrorCode.OVERLOADED, "The server has all the work it can take: try again in a moment."
            )

    def _require_service(self) -> None:
        if self._draining:
            raise _stopping()

    def _timeout_s(self, operation: Operation) -> float:
        limits = self._limits
        is_long = operation.asks_for(limits.long_root_fields)
        return limits.long_operation_timeout_s if is_long else limits.operation_timeout_s

    async def _context(self, fresh_context: FreshContext, request_id: str) -> object:
        try:
            return await _settled(fresh_context())
        except Exception as error:
            raise refused_by(error, request_id) from error

    def _executor(self, operation: Operation, request: GraphQLRequest, context: object) -> Executor[Any]:
        if operation.prepared is not None:
            executor = operation.prepared.executor(request.variables, context, request.extensions)
        else:
            executor = self._executor_class.build(
                self._schema,
                operation.ast,
                context_value=context,
                raw_variable_values=request.variables,
                operation_name=operation.name,
                is_awaitable=cast("Callable[[Any], TypeGuard[Awaitable[Any]]]", optimized_is_awaitable),
                hide_suggestions=not self._introspection,
                operation_extensions=request.extensions,
            )
        if isinstance(executor, list):
            errors = [with_code(error, ErrorCode.BAD_USER_INPUT) for error in executor]
            raise RefusedError(errors, of_document=True)
        return executor

    def _to_the_end(
        self,
        outcome: Awaitable[ExecutionResult],
        request_id: str,
        *,
        timeout_s: float,
        may_be_cancelled: bool,
        tell: Tell,
    ) -> None:
        hurry = partial(self._hurry, timeout_s) if may_be_cancelled else None
        task = self._keep(_finished(outcome, request_id, hurry))
        _Ending(task, timeout_s, may_be_cancelled=may_be_cancelled, tell=tell)


class _Ending:
    """Tells once what came of a task, or that its time is up; nothing stops if nobody listens any more."""

    __slots__ = ("_may_be_cancelled", "_task", "_tell", "_timeout_s", "_timer")

    def __init__(
        self, task: asyncio.Task[Response], timeout_s: float, *, may_be_cancelled: bool, tell: Tell
    ) -> None:
        self._task = task
        self._timeout_s = timeout_s
        self._may_be_cancelled = may_be_cancelled
        self._tell = tell
        self._timer = task.get_loop().call_later(timeout_s, self._late)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Response]) -> None:
        self._timer.cancel()
        self._tell(_stopping() if task.cancelled() else task.result())

    def _late(self) -> None:
        if self._task.done():
            # Its end comes in a moment: the loop has it in hand already, and it can't be taken back. Told now as well, the
            # caller would take the second answer for that to their next request.
            return
        self._task.remove_done_callback(self._done)
        message = _MUTATION_TIMED_OUT
        if self._may_be_cancelled:
            self._task.cancel()
            message = _QUERY_TIMED_OUT
        self._tell(refusal(ErrorCode.TIMEOUT, message.format(self._timeout_s)))


async def _told(begin: Callable[[Tell], None]) -> Response:
    """Wait for what is told; whoever is cancelled stops waiting, and nothing else stops."""
    waiter: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    def tell(outcome: Response | RefusedError) -> None:
        if waiter.done():
            return
        if isinstance(outcome, RefusedError):
            waiter.set_exception(outcome)
        else:
            waiter.set_result(outcome)

    begin(tell)
    return await waiter


_QUERY_TIMED_OUT = "The operation took longer than {:g} s and was stopped: ask for less."
_MUTATION_TIMED_OUT = (
    "The operation takes longer than {:g} s and may still be done. Send the same request again with the same "
    "idempotency key: nothing happens twice."
)


def _stopping() -> RefusedError:
    return refusal(
        ErrorCode.SERVICE_UNAVAILABLE,
        "The server is stopping. Send the same request again in a moment.",
        retry_after_s=1,
    )


def _begun(operation: Operation, executor: Executor[Any]) -> ExecutionResult | Awaitable[ExecutionResult]:
    """Run what needs no waiting: those resolvers have run when this returns, and coroutines have not begun."""
    if operation.prepared is not None:
        return operation.prepared.run(executor)
    return cast("ExecutionResult | Awaitable[ExecutionResult]", executor.execute_operation())


async def _finished(
    outcome: Awaitable[ExecutionResult], request_id: str, hurry: Callable[[], object] | None
) -> Response:
    if hurry is not None:
        # In the task's own context, which every task inherits that the resolvers start.
        hurry()
    try:
        return _response(await outcome, request_id)
    except Exception as error:  # noqa: BLE001 - nobody may be left to hear an exception
        return {"data": None, "errors": [present(error, request_id)]}


def _response(result: ExecutionResult, request_id: str) -> Response:
    if not result.errors:
        return {"data": result.data}
    return {"errors": present_all(result.errors, request_id), "data": result.data}


def broken(error: Exception, request_id: str) -> Response:
    """Return what ends a stream that an error broke."""
    if isinstance(error, RefusedError):
        return {"errors": error.errors}
    return {"errors": [present(error, request_id)]}


def _event_executor(executor: Executor[Any], payload: Any) -> Executor[Any]:
    """Return the executor of one event.

    graphql-core (3.3.2) copies the subscription's executor with what it remembers of sub-fields, by the identity of
    lists that are new in every event: never found again, and kept as long as the subscription lives.
    """
    event = executor.build_per_event_executor(payload)
    event._relevant_sub_fields = {}  # noqa: SLF001 - there is no public way
    return event


def _closeable(source: AsyncIterable[Any]) -> AsyncGenerator[Any, None]:
    """Give any source the end that generators have; most are generators, some only iterate."""
    events = aiter(source)
    return cast("AsyncGenerator[Any, None]", events) if isasyncgen(events) else _closing(events)


async def _closing(events: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    try:
        async for payload in events:
            yield payload
            del payload
    finally:
        close = getattr(events, "aclose", None)
        if close is not None:
            await close()


async def _settled(value: Any) -> Any:
    return await value if optimized_is_awaitable(value) else value
