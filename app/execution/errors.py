"""What top-level errors look like, and which of them are accidents.

    ApiError                an expected refusal: its code and message are shown to the caller
    RefusedError                 an operation that never began: its errors are ready to be sent
    anything else           a defect: logged once with its stack, shown as a request id only

Refusals that belong to a mutation's rules are not here: they are answers, in the payload's `userErrors`.
"""

import logging
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from graphql import FieldNode, GraphQLError
from strawberry.exceptions import StrawberryInputCoercionError

logger = logging.getLogger(__name__)


class ErrorCode(StrEnum):
    """The closed set of `extensions.code`: each says what the caller can do about it."""

    UNAUTHENTICATED = "UNAUTHENTICATED"
    """The credential is missing, wrong or expired: sign in and try again."""
    FORBIDDEN = "FORBIDDEN"
    """The caller is known and may not do this: another caller might."""
    BAD_USER_INPUT = "BAD_USER_INPUT"
    """The request or its variables are malformed: correct them."""
    GRAPHQL_PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
    """The document is not GraphQL."""
    GRAPHQL_VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
    """The document does not fit the schema, or is larger than the limits allow."""
    OPERATION_RESOLUTION_FAILURE = "OPERATION_RESOLUTION_FAILURE"
    """`operationName` names no operation, or is missing where several stand."""
    PERSISTED_QUERY_NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
    """The hash is not known: send the text with it once."""
    RATE_LIMITED = "RATE_LIMITED"
    """Too many requests from this caller: wait."""
    SERVICE_UNAVAILABLE = "SERVICE_UNAVAILABLE"
    """Something that the server needs is away: try again."""
    OVERLOADED = "OVERLOADED"
    """The server has all the work it can take: try again in a moment."""
    TIMEOUT = "TIMEOUT"
    """It took longer than it may: ask for less; repeat a mutation with the same idempotency key."""
    BODY_TOO_LARGE = "BODY_TOO_LARGE"
    """The body is larger than the server accepts."""
    INTERNAL_SERVER_ERROR = "INTERNAL_SERVER_ERROR"
    """A defect on the server's side: report the request id."""


STATUS_BY_CODE: Mapping[str, int] = {
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.SERVICE_UNAVAILABLE: 503,
    ErrorCode.OVERLOADED: 503,
    ErrorCode.TIMEOUT: 504,
    ErrorCode.BODY_TOO_LARGE: 413,
    ErrorCode.INTERNAL_SERVER_ERROR: 500,
}
"""The status of a request that was refused before its operation began; every other code is a 400."""

RETRY_AFTER_S: Mapping[str, int] = {
    ErrorCode.SERVICE_UNAVAILABLE: 1,
    ErrorCode.OVERLOADED: 1,
    ErrorCode.TIMEOUT: 1,
}
"""How long to wait before trying again, where the error itself doesn't say (`extensions.retryAfter`)."""

CODES = frozenset(code.value for code in ErrorCode)


class ApiError(Exception):
    """An expected refusal: `code` and `message` are shown to the caller, `extra` beside the code."""

    def __init__(self, code: ErrorCode, message: str, *, extra: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.extra = dict(extra or {})

    @property
    def extensions(self) -> dict[str, Any]:
        """What graphql-core copies to the error that it makes of this one."""
        return {**self.extra, "code": self.code.value}


class RefusedError(Exception):
    """An operation that never began.

    `of_document` tells errors of a well-formed request (parse, validation, operation, variables), which the
    legacy media type answers with 200, from errors of the request itself, which no media type does.
    """

    def __init__(
        self,
        errors: list[dict[str, Any]],
        *,
        status: int | None = None,
        of_document: bool = False,
    ) -> None:
        super().__init__(errors[0]["message"])
        self.errors = errors
        self.of_document = of_document
        self.status = status or STATUS_BY_CODE.get(errors[0]["extensions"]["code"], 400)

    @property
    def code(self) -> str:
        """The code of the first error."""
        return str(self.errors[0]["extensions"]["code"])


def refused_by(error: Exception, request_id: str) -> RefusedError:
    """Return the refusal that an error before the operation amounts to, and write the error down."""
    return RefusedError([present(error, request_id)])


def refusal(
    code: ErrorCode,
    message: str,
    *,
    status: int | None = None,
    retry_after_s: int | None = None,
    extra: Mapping[str, Any] | None = None,
) -> RefusedError:
    """Return the refusal of a request that is wrong in itself, or comes at a wrong time."""
    extensions: dict[str, Any] = {**(extra or {}), "code": code.value}
    if retry_after_s is not None:
        extensions["retryAfter"] = retry_after_s
    return RefusedError([{"message": message, "extensions": extensions}], status=status)


def retry_after_s(errors: Iterable[Mapping[str, Any]]) -> int | None:
    """Return how long the caller should wait before trying again, if any of the errors passes with time."""
    found = []
    for error in errors:
        extensions = error["extensions"]
        wait_s = extensions.get("retryAfter", RETRY_AFTER_S.get(extensions.get("code")))
        if wait_s is not None:
            found.append(int(wait_s))
    return max(found, default=None)


def with_code(error: GraphQLError, code: ErrorCode) -> dict[str, Any]:
    """Format an error of graphql-core, giving it a code unless it has one."""
    formatted: dict[str, Any] = dict(error.formatted)
    extensions = error.extensions or {}
    formatted["extensions"] = (
        extensions if extensions.get("code") in CODES else {**extensions, "code": code.value}
    )
    return formatted


def present_all(errors: Iterable[GraphQLError], request_id: str) -> list[dict[str, Any]]:
    """Format the errors of an operation that ran: refusals as they are, defects masked. Logs each once."""
    return [present(error, request_id) for error in errors]


def present(error: Exception, request_id: str) -> dict[str, Any]:
    """Format one error and write it down: a refusal in a line, a defect with its stack."""
    code = _code_of(error)
    path = getattr(error, "path", None)
    if code is None:
        logger.error(
            "defect in a GraphQL operation",
            exc_info=_cause_of(error),
            extra={"request_id": request_id, "path": path},
        )
        return masked(request_id, error)
    # The observer writes its line; this one says which field it was.
    logger.debug("field refused: %s", code, extra={"request_id": request_id, "code": code, "path": path})
    if isinstance(error, GraphQLError):
        return with_code(error, ErrorCode(code))
    extensions = getattr(error, "extensions", {})
    return {"message": str(getattr(error, "message", error)), "extensions": {**extensions, "code": code}}


def masked(request_id: str, error: Exception | None = None) -> dict[str, Any]:
    """Return what a caller learns of a defect: where in the answer it happened, and the id to report."""
    formatted: dict[str, Any] = {
        "message": f"Something went wrong on our side. If it happens again, report request id {request_id}."
    }
    if isinstance(error, GraphQLError):
        if error.locations:
            formatted["locations"] = [location.formatted for location in error.locations]
        if error.path:
            formatted["path"] = error.path
    formatted["extensions"] = {"code": ErrorCode.INTERNAL_SERVER_ERROR.value, "requestId": request_id}
    return formatted


def _code_of(error: Exception) -> str | None:
    """Return the code of a deliberate error; None for a defect."""
    extensions = getattr(error, "extensions", None)
    code = extensions.get("code") if isinstance(extensions, Mapping) else None
    if code in CODES:
        return str(code)
    if not isinstance(error, GraphQLError):
        return None
    original = error.original_error
    if isinstance(original, StrawberryInputCoercionError):
        return ErrorCode.BAD_USER_INPUT.value
    # graphql-core blames the value when it could not coerce an argument, and the field for everything else that
    # it raises while running, such as a resolver's result of the wrong type.
    nodes = error.nodes or ()
    if (
        nodes
        and isinstance(original, GraphQLError | None)
        and not any(isinstance(n, FieldNode) for n in nodes)
    ):
        return ErrorCode.BAD_USER_INPUT.value
    return None


def _cause_of(error: Exception) -> Exception:
    """Return the innermost exception, whose stack is the one worth reading."""
    while isinstance(error, GraphQLError) and error.original_error is not None:
        error = error.original_error
    return error
