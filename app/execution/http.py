"""GraphQL over HTTP: POST with JSON, and GET for queries.

Nearly all requests are a small POST that was received whole before anybody looked at it, and is answered at once. For
those there are no timers, no encoders of headers and no searching in lists; all others take the same way with them.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.execution.documents import Operation
from app.execution.errors import ErrorCode, RefusedError, masked, present, refusal, retry_after_s
from app.execution.gate import Gate
from app.execution.limits import Limits
from app.execution.negotiation import Media, Ranking, ranked
from app.execution.observing import GONE, OK, Watch, outcome_of
from app.execution.requests import GraphQLRequest, decode, encode, from_json, from_parameters
from app.execution.streams import StreamResponse, Streams
from app.execution.timing import within

HEADERS = {"cache-control": "no-store", "vary": "Accept, Authorization, X-API-Key"}

Header = tuple[bytes, bytes]

ENCODED: dict[Media, tuple[Header, ...]] = {
    media: tuple(
        (name.encode(), value.encode())
        for name, value in {
            **HEADERS,
            "content-type": (Media.JSON if media.is_stream else media).value,
        }.items()
    )
    for media in Media
}
"""The headers of an answer without errors, but for its length."""

Reply = Callable[[int, tuple[Header, ...], bytes], None]
"""Takes an answer: its status, its headers but for its length, its body."""

GraphiQL = Callable[[Request], Response | Awaitable[Response]]


class HttpDoor:
    """Answers one request: reads it, lets the engine run it, tells the outcome in the media type agreed on."""

    def __init__(self, gate: Gate, *, limits: Limits, streams: Streams, graphiql: GraphiQL | None) -> None:
        self._gate = gate
        self._callers = gate.callers
        self._limits = limits
        self._streams = streams
        self._graphiql = graphiql

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a GET or a POST."""
        request = _Request(scope, receive, send)
        answer = await self.answer(request)
        await answer(scope, receive, send)

    def whole(self, scope: Scope, body: bytes, reply: Reply) -> bool:
        """Answer a POST that is there whole, at once or later, without a task and messages of its own.

        False says that nothing was done, and that it has to be called as an application: where something has to be waited
        for before the operation begins, or where many responses may be asked for.
        """
        request = _Asked(scope)
        accepted = ranked(request.headers.get("accept"))
        if accepted.stream is not None or (principal := self._callers.known(request.headers)) is None:
            return False
        request_id = self._callers.request_id(request)
        scope["state"]["observed"] = True
        exchange = _Exchange(self._gate.watch(request, request_id), accepted.single or Media.JSON, reply)
        try:
            self._begin(request, body, principal, accepted, exchange)
        except Exception as error:  # noqa: BLE001 - whatever broke is an answer too
            exchange.failed(error)
        return True

    def _begin(
        self, http: HTTPConnection, body: bytes, principal: Any, accepted: Ranking, exchange: "_Exchange"
    ) -> None:
        self._gate.knock(http)
        watch = exchange.watch
        watch.principal = http.scope["state"]["principal"] = principal
        _require_json(http)
        if len(body) > self._limits.body_bytes_max:
            raise _too_large(self._limits.body_bytes_max)
        request = from_json(decode(body))
        operation = watch.operation = self._gate.engine.operation(request)
        exchange.media = _media_for(http, operation, accepted)
        call = self._gate.admit(operation, request, principal, http, watch.request_id)
        self._gate.start(call, exchange.told)

    async def answer(self, request: Request) -> ASGIApp:
        """Return what answers a request."""
        accepted = ranked(request.headers.get("accept"))
        if self._graphiql is not None and _wants_page(request, accepted):
            page = self._graphiql(request)
            return await page if isinstance(page, Awaitable) else page
        media = accepted.single or Media.JSON
        request_id = self._callers.request_id(request)
        watch = self._gate.watch(request, request_id)
        request.scope.setdefault("state", {})["observed"] = True
        try:
            return await self._answer(request, accepted, request_id, watch)
        except ClientDisconnect:
            watch.over(GONE)
            # Nobody is there to read it; it closes the exchange for the server's log.
            return Response(status_code=499)
        except Exception as error:  # noqa: BLE001 - the outermost door: the answer must be JSON whatever broke
            return _failure(error, watch, media)

    async def _answer(self, http: Request, accepted: Ranking, request_id: str, watch: Watch) -> ASGIApp:
        self._gate.knock(http)
        principal = await self._callers.authenticate(http.headers, None, request_id)
        watch.principal = http.scope["state"]["principal"] = principal
        request = await self._read(http)
        try:
            operation = watch.operation = self._gate.engine.operation(request)
            media = _media_for(http, operation, accepted)
            call = self._gate.admit(operation, request, principal, http, request_id)
            if media.is_stream:
                expires_at = getattr(principal, "expires_at", None)
                return self._stream(_watched(self._gate.stream(call), watch), media, expires_at)
            response = await self._gate.run(call)
            watch.over(outcome_of(response))
            return _json(response, media=media)
        except RefusedError as refused:
            # A stream tells what is wrong with its document as its only event; graphql-sse reads nothing else.
            if refused.of_document and accepted.candidates[:1] == (Media.EVENTS,):
                watch.over(refused.code)
                return self._stream(_once({"errors": refused.errors}), Media.EVENTS, None)
            raise

    def _stream(self, responses: AsyncGenerator[Any, None], media: Media, expires_at: Any) -> StreamResponse:
        return StreamResponse(responses, media, streams=self._streams, expires_at=expires_at, headers=HEADERS)

    async def _read(self, request: Request) -> GraphQLRequest:
        if request.method != "POST":
            return from_parameters(request.query_params)
        _require_json(request)
        return from_json(decode(await self._body(request)))

    async def _body(self, request: Request) -> bytes | bytearray:
        limit = self._limits.body_bytes_max
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > limit:
            raise _too_large(limit)
        try:
            return await within(self._limits.body_timeout_s, _received(request.receive, limit))
        except TimeoutError:
            message = f"The body did not arrive within {self._limits.body_timeout_s:g} s."
            raise refusal(ErrorCode.BAD_USER_INPUT, message, status=408) from None


class _Fields(Headers):
    """Starlette's headers, found in a dictionary instead of looked for in the list each time."""

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        super().__init__(raw=raw)
        # Where a name comes twice, the first counts.
        self._first = dict(reversed(raw))

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a header, whose name is in lower case."""
        value = self._first.get(key.encode())
        return default if value is None else value.decode("latin-1")


class _Asked(HTTPConnection):
    """Starlette's connection, with headers that are quick to find."""

    def __init__(self, scope: Scope, *channels: Any) -> None:
        super().__init__(scope, *channels)
        self._fields = _Fields(scope["headers"])

    @property
    def headers(self) -> Headers:
        """The headers."""
        return self._fields


class _Request(_Asked, Request):
    """The same of a request whose body may be still on its way."""


class _Exchange:
    """A request that was there whole, and what it is answered."""

    __slots__ = ("_reply", "media", "watch")

    def __init__(self, watch: Watch, media: Media, reply: Reply) -> None:
        self.watch = watch
        self.media = media
        self._reply = reply

    def told(self, outcome: dict[str, Any] | RefusedError) -> None:
        """Answer with what came of the operation."""
        if isinstance(outcome, RefusedError):
            self.failed(outcome)
            return
        self.watch.over(outcome_of(outcome))
        if outcome.get("errors"):
            self._send(_response(outcome, media=self.media))
        else:
            self._reply(200, ENCODED[self.media], encode(outcome))

    def failed(self, error: Exception) -> None:
        """Answer that nothing was done."""
        self._send(_failure(error, self.watch, self.media))

    def _send(self, response: Response) -> None:
        headers = tuple(header for header in response.raw_headers if header[0] != b"content-length")
        self._reply(response.status_code, headers, bytes(response.body))


async def _received(receive: Receive, limit: int) -> bytes | bytearray:
    """Return the body; most arrive in one piece."""
    body: bytes | bytearray = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        piece: bytes = message.get("body", b"")
        # The header may be missing or a lie, so what arrives is counted too.
        if len(body) + len(piece) > limit:
            raise _too_large(limit)
        if not message.get("more_body", False):
            return body + piece if body else piece
        if not body:
            body = bytearray()
        body += piece


def _require_json(request: HTTPConnection) -> None:
    # Only JSON: a form or plain text could be sent by any page without the browser asking first (CSRF).
    if not _is_json(request.headers.get("content-type", "")):
        raise refusal(
            ErrorCode.BAD_USER_INPUT, "Send the request as 'content-type: application/json'.", status=415
        )


def _is_json(content_type: str) -> bool:
    """Tell whether a header says that the body is JSON."""
    # As it is nearly always written.
    if content_type == "application/json":
        return True
    type_, _, parameters = content_type.lower().partition(";")
    charset = parameters.partition("charset=")[2].strip().strip('"')
    return type_.strip() == "application/json" and charset in {"", "utf-8", "utf8"}


def _wants_page(request: Request, accepted: Ranking) -> bool:
    return request.method == "GET" and accepted.candidates[:1] == (Media.HTML,)


def _media_for(request: HTTPConnection, operation: Operation, accepted: Ranking) -> Media:
    if operation.is_mutation and request.scope["method"] != "POST":
        raise refusal(ErrorCode.BAD_USER_INPUT, "Mutations are accepted by POST only.", status=405)
    media = accepted.stream if operation.is_subscription else accepted.single
    if media is not None:
        return media
    message = "None of the media types in 'accept' can tell this operation."
    if operation.is_subscription:
        message = "A subscription needs 'accept: text/event-stream', or a websocket."
    raise refusal(ErrorCode.BAD_USER_INPUT, message, status=406)


def _too_large(limit: int) -> RefusedError:
    return refusal(ErrorCode.BODY_TOO_LARGE, f"The body is larger than {limit} bytes.")


def _failure(error: Exception, watch: Watch, media: Media) -> Response:
    """Return what answers a request of which nothing came."""
    if isinstance(error, RefusedError):
        watch.over(error.code)
        return _refusal(error, media)
    present(error, watch.request_id)
    watch.over(ErrorCode.INTERNAL_SERVER_ERROR.value)
    return _response({"errors": [masked(watch.request_id)]}, status=500, media=media)


def _refusal(refused: RefusedError, media: Media) -> Response:
    legacy = media is Media.JSON and refused.of_document
    response = _response({"errors": refused.errors}, status=200 if legacy else refused.status, media=media)
    if refused.status == 401:
        response.headers["www-authenticate"] = "Bearer"
    if refused.status == 405:
        response.headers["allow"] = "POST"
    if refused.status in {408, 413}:
        # The rest of the body may never end: nobody here goes on reading it.
        response.headers["connection"] = "close"
    return response


class _Json:
    """An answer like most: status 200, and headers that were encoded long before."""

    __slots__ = ("_body", "_headers")

    def __init__(self, body: bytes, headers: tuple[Header, ...]) -> None:
        self._body = body
        self._headers = headers

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it."""
        length = (b"content-length", str(len(self._body)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [length, *self._headers]})
        await send({"type": "http.response.body", "body": self._body})


def _json(body: dict[str, Any], *, media: Media) -> ASGIApp:
    # A field that could not be answered may pass with time; the headers then say when.
    if body.get("errors"):
        return _response(body, media=media)
    return _Json(encode(body), ENCODED[media])


def _response(body: Any, *, media: Media, status: int = 200) -> Response:
    type_ = Media.JSON if media.is_stream else media
    headers = HEADERS
    if (wait_s := retry_after_s(body.get("errors", ()))) is not None:
        headers = {**HEADERS, "retry-after": str(wait_s)}
    return Response(encode(body), status_code=status, media_type=type_.value, headers=headers)


async def _once(response: Any) -> AsyncGenerator[Any, None]:
    yield response


async def _watched(responses: AsyncGenerator[Any, None], watch: Watch) -> AsyncGenerator[Any, None]:
    """Pass the responses on; a refusal that comes too late for a status becomes the only response."""
    outcome = OK
    try:
        async for response in responses:
            if outcome == OK:
                outcome = outcome_of(response)
            yield response
    except RefusedError as refused:
        outcome = refused.code
        yield {"errors": refused.errors}
    finally:
        await responses.aclose()
        watch.over(outcome)
