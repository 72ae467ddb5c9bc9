"""A GraphQL request, whichever way it came in: checked for its shape before anything else looks at it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from app.execution.errors import ErrorCode, RefusedError, refusal


class GraphQLRequest(NamedTuple):
    """What the caller sent. The query may be missing if `extensions` name a persisted one."""

    query: str | None
    variables: dict[str, Any] | None = None
    operation_name: str | None = None
    extensions: dict[str, Any] | None = None


def decode(text: bytes | bytearray | str) -> Any:
    """Return the JSON value; refuse what is not JSON, not UTF-8, or holds half a surrogate pair."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise malformed(f"The request is not valid JSON: {error}.") from None


def encode(value: Any) -> bytes:
    """Return the value as JSON. `default=str` is for the drivers' own subclasses of UUID and the like."""
    return orjson.dumps(value, default=str)


def from_json(payload: Any) -> GraphQLRequest:
    """Return the request that a JSON value stands for; raise RefusedError if it is none."""
    if isinstance(payload, list):
        raise malformed("Batching is not supported: send one operation per request.")
    if not isinstance(payload, dict):
        raise malformed("The request must be a JSON object.")
    query, operation_name = payload.get("query"), payload.get("operationName")
    variables, extensions = payload.get("variables"), payload.get("extensions")
    if not (isinstance(query, str) or (query is None and "query" not in payload)):
        raise malformed("'query' must be a string.")
    # One after the other: a union of types takes ten times as long to look through.
    if operation_name is not None and not isinstance(operation_name, str):
        raise malformed("'operationName' must be a string or null.")
    if variables is not None and not isinstance(variables, dict):
        raise malformed("'variables' must be an object or null.")
    if extensions is not None and not isinstance(extensions, dict):
        raise malformed("'extensions' must be an object or null.")
    return GraphQLRequest(query, variables, operation_name, extensions)


def from_parameters(parameters: Mapping[str, str]) -> GraphQLRequest:
    """Return the request of a URL, where `variables` and `extensions` are JSON texts."""
    payload: dict[str, Any] = {
        name: parameters[name] for name in ("query", "operationName") if name in parameters
    }
    for name in ("variables", "extensions"):
        if parameters.get(name):
            payload[name] = decode(parameters[name])
    return from_json(payload)


def malformed(message: str) -> RefusedError:
    """Return the refusal of a request that has the wrong shape."""
    return refusal(ErrorCode.BAD_USER_INPUT, message)
