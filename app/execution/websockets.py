"""GraphQL over websockets: the protocol graphql-transport-ws, and no other.

It behaves as the reference server of `graphql-ws` does, message by message. Two things are our own: a query or a
mutation is never cancelled (its answer is dropped if nobody waits for it any more), and everything has a bound.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Hashable
from contextlib import aclosing, suppress
from typing import Any
from urllib.parse import urlsplit

from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.execution.errors import ErrorCode, RefusedError, masked, present, refusal
from app.execution.following import Feed, Follower, is_feed
from app.execution.gate import Call, Gate, with_cost
from app.execution.limits import Limits
from app.execution.observing import OK, Watch, outcome_of
from app.execution.requests import GraphQLRequest, decode, encode, from_json
from app.execution.sharing import Response as Shared, encoded
from app.execution.timing import at
from app.execution.wire import SentWire, wire_of

PROTOCOL = "graphql-transport-ws"

Message = dict[str, Any]


class ClosingError(Exception):
    """Ends the conversation: the code and the reason that the client gets."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def bad_request() -> ClosingError:
    """Return a new error each time, because a shared one would collect the stack of every raise."""
    return ClosingError(4400, "Invalid message received")


class SocketDoor:
    """Lets sockets in, and knows all that are open."""

    def __init__(self, gate: Gate, *, limits: Limits, allowed_origins: frozenset[str]) -> None:
        self.gate = gate
        self.callers = gate.callers
        self.limits = limits
        self.allowed_origins = allowed_origins
        self.by_principal: Counter[Hashable] = Counter()
        self._open: set[Conversation] = set()
        self._draining = False

    def __len__(self) -> int:
        return len(self._open)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket until it closes."""
        websocket = WebSocket(scope, receive, send)
        try:
            self.gate.knock(websocket)
        except RefusedError:
            # Before the handshake there is no other answer than 403.
            await websocket.close()
            return
        if not self._is_from_here(websocket):
            # Refused before the handshake: no page of another origin may use a visitor's cookies or network.
            await websocket.close()
            return
        spoken = PROTOCOL in websocket.scope.get("subprotocols", ())
        await websocket.accept(PROTOCOL if spoken else None)
        if not spoken:
            await websocket.close(4406, "Subprotocol not acceptable")
        elif self._draining:
            await websocket.close(1012, "Service restart")
        elif len(self._open) >= self.limits.sockets_max:
            await websocket.close(1013, "Try again later")
        else:
            conversation = Conversation(self, websocket)
            self._open.add(conversation)
            try:
                await conversation.run()
            finally:
                self._open.discard(conversation)

    async def drain(self) -> None:
        """Close every socket with 1012, which clients answer by coming again to whoever serves then."""
        self._draining = True
        await asyncio.gather(*(c.close(1012, "Service restart") for c in self._open))

    def _is_from_here(self, websocket: WebSocket) -> bool:
        origin = websocket.headers.get("origin")
        if origin is None or "*" in self.allowed_origins:
            return True
        origin = origin.lower().rstrip("/")
        return origin in self.allowed_origins or _host_of(origin) == websocket.headers.get("host", "").lower()


class Conversation:
    """One socket: its caller, and its operations by id."""

    __slots__ = (
        *("_acknowledged", "_closing", "_door", "_initialised", "_left", "_operations", "_principal"),
        *("_principal_key", "_timers", "_websocket", "wire"),
    )

    def __init__(self, door: SocketDoor, websocket: WebSocket) -> None:
        self._door = door
        self._websocket = websocket
        self.wire = wire_of(websocket)
        self._operations: dict[str, SocketOperation] = {}
        # What was completed by the client may still run, and takes its place until it has ended.
        self._left: set[SocketOperation] | None = None
        self._principal: Any = None
        self._principal_key: Hashable = None
        self._initialised = False
        self._acknowledged = False
        self._timers: tuple[asyncio.TimerHandle, ...] = ()
        self._closing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Talk until one side closes."""
        loop = asyncio.get_running_loop()
        timeout_s = self._door.limits.connection_init_timeout_s
        self._timers = (loop.call_later(timeout_s, self._init_timed_out),)
        self.wire.on_relief = self._relieved
        try:
            while True:
                await self._handle(await self._receive())
        except ClosingError as closed:
            await self.close(closed.code, closed.reason)
        except WebSocketDisconnect:
            pass
        finally:
            await self._clean_up()

    async def close(self, code: int, reason: str) -> None:
        """Close the socket; it may be closed already."""
        if isinstance(self.wire, SentWire):
            await self.wire.sent()
        with suppress(RuntimeError, WebSocketDisconnect):
            await self._websocket.close(code, reason)

    async def send(self, message: Message | bytes) -> None:
        """Send a message; to a socket that is closed it goes nowhere. A reader who is slow is waited for."""
        self.wire.write(message if isinstance(message, bytes) else encode(message))
        if self.wire.is_congested:
            await self.wire.relieved()

    def _relieved(self) -> None:
        for operation in tuple(self._operations.values()):
            operation.wake()

    async def _receive(self) -> Message:
        received = await self._websocket.receive()
        if received["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(received.get("code", 1005))
        text = received.get("text")
        if text is None:
            raise bad_request()
        # A character is a byte at least, so most messages need no second copy to be measured.
        limit = self._door.limits.message_bytes_max
        if len(text) > limit or (len(text) * 4 > limit and len(text.encode(errors="replace")) > limit):
            raise ClosingError(1009, "Message too big")
        try:
            message = decode(text)
        except RefusedError:
            raise bad_request() from None
        if not isinstance(message, dict) or not isinstance(message.get("payload"), dict | None):
            raise bad_request()
        return message

    async def _handle(self, message: Message) -> None:
        match message.get("type"):
            case "connection_init":
                await self._initialise(message.get("payload") or {})
            case "ping":
                await self.send(_pong(message))
            case "pong":
                pass
            case "subscribe":
                await self._subscribe(message)
            case "complete":
                operation = self._operations.get(_id_of(message))
                if operation is not None:
                    self.forget(operation)
                    operation.drop()
            case _:
                raise bad_request()

    async def _initialise(self, payload: Message) -> None:
        if self._initialised:
            raise ClosingError(4429, "Too many initialisation requests")
        self._initialised = True
        callers = self._door.callers
        try:
            self._principal = await callers.authenticate(
                self._websocket.headers, payload, callers.request_id(self._websocket)
            )
        except RefusedError:
            # 4403, not 4401: clients come again after this one, perhaps with a better token.
            raise ClosingError(4403, "Forbidden") from None
        self._websocket.state.principal = self._principal
        self._count_principal()
        expiry = at(getattr(self._principal, "expires_at", None), self._expired)
        for timer in self._timers:
            timer.cancel()
        self._timers = () if expiry is None else (expiry,)
        self._acknowledged = True
        await self.send({"type": "connection_ack"})

    def _count_principal(self) -> None:
        key = self._door.callers.key_of(self._principal)
        counts = self._door.by_principal
        if key is None:
            return
        if counts[key] >= self._door.limits.sockets_per_principal_max:
            raise ClosingError(1013, "Too many connections")
        self._principal_key = key
        counts[key] += 1

    async def _subscribe(self, message: Message) -> None:
        if not self._acknowledged:
            raise ClosingError(4401, "Unauthorized")
        id_ = _id_of(message)
        request = _request_of(message)
        if id_ in self._operations:
            raise ClosingError(
                4409, f"Subscriber for {id_} already exists" if len(id_) < 64 else "Subscriber already exists"
            )
        busy = len(self._operations) + len(self._left or ())
        if busy >= self._door.limits.operations_per_socket_max:
            excess = refusal(ErrorCode.RATE_LIMITED, "Too many operations on this connection.")
            await self.send({"id": id_, "type": "error", "payload": excess.errors})
            return
        operation = self._operations[id_] = SocketOperation(self, id_)
        operation.begin(self._door, request, self._principal, self._websocket)

    def forget(self, operation: "SocketOperation") -> None:
        """Make the id free again, unless it was given to another operation already."""
        if self._operations.get(operation.id) is operation:
            del self._operations[operation.id]
            self._keep_while_it_runs(operation)

    def _keep_while_it_runs(self, operation: "SocketOperation") -> None:
        if operation.task is not None:
            self._left = self._left or set()
            self._left.add(operation)

    def ran(self, operation: "SocketOperation") -> None:
        """Note that the task of an operation has ended."""
        if self._left:
            self._left.discard(operation)

    def waits_for(self, operation: "SocketOperation") -> bool:
        """Tell whether the client still wants to hear of it."""
        return self._operations.get(operation.id) is operation

    def _init_timed_out(self) -> None:
        if not self._initialised:
            self._close_soon(4408, "Connection initialisation timeout")

    def _expired(self) -> None:
        self._acknowledged = False
        self._close_soon(4403, "Forbidden")

    def _close_soon(self, code: int, reason: str) -> None:
        self._closing = asyncio.create_task(self.close(code, reason))

    async def _clean_up(self) -> None:
        for timer in self._timers:
            timer.cancel()
        operations = (*self._operations.values(), *(self._left or ()))
        self._operations = {}
        for operation in operations:
            operation.drop()
        if self._principal_key is not None:
            counts = self._door.by_principal
            counts[self._principal_key] -= 1
            if not counts[self._principal_key]:
                del counts[self._principal_key]
        # Subscriptions end now, and their generators with them; the engine ends the rest in its own time.
        await asyncio.gather(
            *(o.task for o in operations if o.task and o.task.cancelling()), return_exceptions=True
        )


class SocketOperation:
    """One `subscribe` message: what it asked for, and its task, or who follows its feed."""

    __slots__ = (
        *("_call", "_conversation", "_follower", "_gate", "_head", "_may_be_cancelled", "_outcome", "_watch"),
        *("_wire", "id", "task"),
    )
    _call: Call
    _gate: Gate
    _head: bytes
    _outcome: str
    _watch: Watch

    def __init__(self, conversation: Conversation, id_: str) -> None:
        self.id = id_
        self.task: asyncio.Task[None] | None = None
        self._conversation = conversation
        self._wire = conversation.wire
        self._may_be_cancelled = False
        self._follower: Follower | None = None

    def begin(self, door: SocketDoor, request: GraphQLRequest, principal: Any, websocket: WebSocket) -> None:
        """Run the operation."""
        self._gate = door.gate
        self.task = asyncio.create_task(self._run(request, principal, websocket))

    def drop(self) -> None:
        """Nobody waits any more: end a subscription, leave anything else to finish in silence."""
        if self._follower is not None:
            self._end_following()
        elif self.task is not None and self._may_be_cancelled:
            self.task.cancel()

    def wake(self) -> None:
        """Go on: the reader has caught up."""
        if self._follower is not None:
            self._follower.wake()

    async def _run(self, request: GraphQLRequest, principal: Any, websocket: WebSocket) -> None:
        """Run the operation and tell its responses, then `complete` or `error`; or leave it to a follower."""
        request_id = self._gate.callers.request_id(websocket)
        watch = self._watch = self._gate.watch(websocket, request_id)
        watch.principal = principal
        try:
            self._gate.knock(websocket)
            operation = watch.operation = self._gate.engine.operation(request)
            self._may_be_cancelled = operation.is_subscription
            if operation.is_subscription and not self._conversation.waits_for(self):
                watch.over(OK)
                return
            call = self._gate.admit(operation, request, principal, websocket, request_id)
            await self._stream(call, principal)
        except RefusedError as refused:
            watch.over(refused.code)
            await self._tell("error", refused.errors)
        except asyncio.CancelledError:
            # The client has had enough of its subscription.
            watch.over(OK)
            raise
        except Exception as error:  # noqa: BLE001 - a defect ends its operation, not the socket
            present(error, request_id)
            watch.over(ErrorCode.INTERNAL_SERVER_ERROR.value)
            await self._tell("error", [masked(request_id)])
        finally:
            self.task = None
            self._conversation.ran(self)
            if self._follower is None:
                self._conversation.forget(self)

    async def _stream(self, call: Call, principal: Any) -> None:
        if not call.operation.is_subscription:
            self._watch.over(await self._pass_on(self._gate.stream(call)))
            return
        source = await self._gate.subscribe(call)
        if is_feed(source):
            self._follow(call, source, principal)
        else:
            self._watch.over(await self._pass_on(self._gate.responses(call, source)))

    async def _pass_on(self, responses: AsyncGenerator[Any, None]) -> str:
        """Tell the responses as they come, and return the outcome."""
        outcome = OK
        async with aclosing(responses):
            async for response in responses:
                if outcome == OK:
                    outcome = outcome_of(response)
                if "data" not in response:
                    await self._tell("error", response["errors"])
                    return outcome
                await self._tell("next", response)
                del response
        await self._tell("complete")
        return outcome

    async def _tell(self, type_: str, payload: Any = None) -> None:
        if not self._conversation.waits_for(self):
            return
        if type_ != "next":
            # Free before the message goes out: the client may use the id again as soon as it has read it.
            self._conversation.forget(self)
        message = {"id": self.id, "type": type_}
        await self._conversation.send(message if payload is None else {**message, "payload": payload})

    # --- what is fed ----------------------------------------------------------------------------------------

    def _follow(self, call: Call, feed: Feed, principal: Any) -> None:
        # The text of the query is not needed any more, and thousands would keep a copy each.
        call = self._call = call._replace(request=call.request._replace(query=None))
        self._outcome = OK
        self._head = encode({"id": self.id, "type": "next"})[:-1] + b',"payload":'
        try:
            self._follower = Follower(
                self._gate.engine, call, feed, self, principal=principal, present=self._gate.callers.present
            )
        except BaseException:
            self._gate.leave(call)
            raise
        if self._conversation.waits_for(self):
            self._follower.begin()
        else:
            self._end_following()

    @property
    def is_ready(self) -> bool:
        """Whether there is room for another response."""
        return not self._wire.is_congested

    def tell(self, response: Any) -> None:
        """Tell one response of a feed; one without data is the last."""
        if isinstance(response, Shared) and self._call.cost is None:
            # What is shared has data and no errors.
            self._wire.write(self._head, response.content, b"}")
            return
        if self._outcome == OK:
            self._outcome = outcome_of(response)
        if "data" in response:
            self._wire.write(self._head, encoded(with_cost(response, self._call)), b"}")
        else:
            self._say_last({"id": self.id, "type": "error", "payload": response["errors"]})

    def end(self) -> None:
        """Tell that a feed has ended."""
        self._say_last({"id": self.id, "type": "complete"})

    def _say_last(self, message: Message) -> None:
        self._conversation.forget(self)
        self._wire.write(encode(message))
        self._end_following()

    def _end_following(self) -> None:
        follower, self._follower = self._follower, None
        if follower is not None:
            follower.close()
            self._gate.leave(self._call)
            self._watch.over(self._outcome)


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        # No browser writes such a one.
        return None


def _pong(message: Message) -> bytes:
    payload = message.get("payload")
    try:
        return encode({"type": "pong"} if payload is None else {"type": "pong", "payload": payload})
    except TypeError:
        # What is nested so deeply can be read, and not written.
        raise bad_request() from None


def _id_of(message: Message) -> str:
    id_ = message.get("id")
    if not isinstance(id_, str) or not id_:
        raise bad_request()
    return id_


def _request_of(message: Message) -> GraphQLRequest:
    try:
        request = from_json(message.get("payload"))
    except RefusedError:
        raise bad_request() from None
    if request.query is None and "persistedQuery" not in (request.extensions or {}):
        raise bad_request()
    return request
