"""How a mutation's resolver turns what happened into an answer."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from app.context import AppInfo, Context, RequestError
from app.domain.errors import DomainError, FieldInvalid
from app.domain.note import check_text
from app.schema.types.error import user_error
from app.services.ledger.command import OWN_KEY_PREFIX
from app.services.ledger.writer import LedgerSlow, LedgerUnavailable, NotAccepting, Overloaded

P = ParamSpec("P")
A = TypeVar("A")

KEY_MAX = 255


def answering(payload: Callable[..., A]) -> Callable[[Callable[P, Awaitable[A]]], Callable[P, Awaitable[A]]]:
    """Answer a refusal by the payload's `userErrors`; nothing has moved then.

    That the server can't take the request now is no refusal: it becomes a top-level error that says to send
    the same request again with the same key.
    """

    def decorate(resolver: Callable[P, Awaitable[A]]) -> Callable[P, Awaitable[A]]:
        @wraps(resolver)
        async def answer(*args: P.args, **kwargs: P.kwargs) -> A:
            try:
                answered = await resolver(*args, **kwargs)
                _context(args, kwargs).forget()
                return answered
            except DomainError as error:
                return payload(user_errors=[user_error(error)])
            except Overloaded:
                raise RequestError(
                    "OVERLOADED", _again("The server has all the work that it can take.")
                ) from None
            except LedgerSlow:
                raise RequestError(
                    "TIMEOUT", _again("The database took too long, and wrote nothing.")
                ) from None
            except (NotAccepting, LedgerUnavailable):
                raise RequestError(
                    "SERVICE_UNAVAILABLE", _again("The ledger can't be reached now.")
                ) from None

        return answer

    return decorate


def _context(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Context:
    info: AppInfo = kwargs["info"] if "info" in kwargs else args[0]
    return info.context


def _again(why: str) -> str:
    return f"{why} Send the same request again in a moment, with the same idempotency key: nothing happens twice."


def checked_key(key: str) -> str:
    """Return an idempotency key, or raise `FieldInvalid`."""
    kept = check_text(key, field="idempotencyKey", length_max=KEY_MAX)
    if not kept or kept.startswith(OWN_KEY_PREFIX):
        raise FieldInvalid(
            "Choose an idempotency key, such as a new UUID for each intention.", field=("idempotencyKey",)
        )
    return kept


def optional_key(key: str | None) -> str | None:
    """Return an idempotency key if there is one."""
    return None if key is None else checked_key(key)
