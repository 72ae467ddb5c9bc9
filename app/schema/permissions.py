"""Who may ask for which root field: named once beside the field, checked before anything is read."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

import strawberry
from strawberry.types.field import StrawberryField

from app.auth import AuthenticationError
from app.context import AppInfo, RequestError, unauthenticated
from app.domain.access import Capability, Principal, PrincipalKind
from app.domain.errors import DomainError
from app.live import Feed
from app.schema.types.refusal import Telling, request_error

ACCESS = "access"
"""The key in a field's metadata below which its access stands, for the test that walks the schema."""


class Anyone:
    """No credential is needed."""

    words = "Anyone may ask."

    def check(self, info: AppInfo) -> None:
        """Let everybody through."""

    def still(self, before: Principal, now: Principal) -> bool:
        """Tell whether a stream that was begun with other rights may go on."""
        return True


class AnyoneIfSet(Anyone):
    """No credential is needed where the store's settings say so, which the resolver looks up."""

    words = "Signed-in callers; anyone else only where the store's settings allow it."


class SignedIn(Anyone):
    """Any proven caller; what they see is narrowed to their own unless they may read all."""

    words = "Signed-in callers; customers reach only what is their own."

    def __init__(self, *, relies_on: Capability | None = None) -> None:
        """`relies_on`: what lets callers in to what is not their own; a stream of theirs ends when they lose it."""
        self.relies_on = relies_on

    def check(self, info: AppInfo) -> None:
        """Refuse anonymous callers."""
        if info.context.principal.kind is PrincipalKind.ANONYMOUS:
            raise RequestError("UNAUTHENTICATED", "Sign in first: send a token as `Authorization: Bearer …`.")

    def still(self, before: Principal, now: Principal) -> bool:
        """Tell whether the capability that the stream began with is still there."""
        return self.relies_on is None or not before.may(self.relies_on) or now.may(self.relies_on)


class Needs(SignedIn):
    """A proven caller with a capability, or with several."""

    def __init__(self, capability: Capability, *more: Capability) -> None:
        super().__init__(relies_on=capability)
        self.capability = capability
        self.more = more
        named = " and ".join((capability, *more))
        self.words = f"Needs the {'capabilities' if more else 'capability'} {named}."

    def check(self, info: AppInfo) -> None:
        """Refuse callers without the capability."""
        super().check(info)
        for capability in (self.capability, *self.more):
            if not info.context.principal.may(capability):
                raise RequestError(
                    "FORBIDDEN",
                    f"You may not do this: it needs the capability {capability}. "
                    "Ask an administrator of the store for it.",
                    capability=capability.value,
                )


class Guard(Telling):
    """Checks the access, then runs the field."""

    def __init__(self, access: Anyone) -> None:
        self.access = access

    async def resolve_async(
        self, next_: Callable[..., Awaitable[Any]], source: Any, info: AppInfo, **kwargs: Any
    ) -> Any:
        """Run the field if the caller may."""
        self.access.check(info)
        # As `Telling` does it: a call within a call costs more than these lines.
        try:
            return await next_(source, info, **kwargs)
        except DomainError as error:
            raise request_error(error) from None


def root(resolver: Callable[..., Any], access: Anyone, description: str) -> Any:
    """Return a root field of queries or mutations: its resolver, who may ask, and what it is."""
    field: StrawberryField = strawberry.field(
        resolver=resolver,
        description=f"{description} {access.words}",
        extensions=[Guard(access)],
        metadata={ACCESS: access},
    )
    return field


class _Right:
    """The right to watch, as long as it lasts."""

    __slots__ = ("_access", "_principal", "directory")

    def __init__(self, access: Anyone, info: AppInfo) -> None:
        self._access = access
        self._principal = info.context.principal
        self.directory = info.context.runtime.access

    def verdict(self) -> Exception | None:
        """Return what is told to a caller who may not watch any more."""
        try:
            now = self.directory.current(self._principal)
        except AuthenticationError as error:
            return unauthenticated(error)
        if now is self._principal or self._access.still(self._principal, now):
            return None
        return RequestError(
            "FORBIDDEN", "You may not watch this any more: your rights were changed. Ask an administrator."
        )


class _Watched(Feed[Any]):
    """The events of a stream, for as long as its caller may watch.

    Looked at whenever rights change or can't be believed any more. That is before the first event under the new rights is
    taken, so it isn't looked at again with each; who answers an event asks what its caller may do anyway.
    """

    __slots__ = ("_error", "_events", "_right", "_wake")
    _wake: Callable[[], None]

    def __init__(self, events: Feed[Any], access: Anyone, info: AppInfo) -> None:
        self._events = events
        self._right = _Right(access, info)
        self._error: Exception | None = None

    def open(self, wake: Callable[[], None]) -> None:
        """Begin."""
        self._wake = wake
        self._right.directory.watch(self)
        # They may have changed since the stream was asked for.
        self._error = self._right.verdict()
        self._events.open(wake)

    def take(self) -> Any:
        """Return the next event."""
        if self._error is not None:
            raise self._error
        return self._events.take()

    def close(self) -> None:
        """Leave."""
        self._right.directory.unwatch(self)
        self._events.close()

    def look(self) -> None:
        """Look whether the caller may still watch."""
        if self._error is None and (error := self._right.verdict()) is not None:
            self._error = error
            # Later: what is open must not change while all of it is looked at.
            asyncio.get_running_loop().call_soon(self._wake)


class _Refused(Feed[Any]):
    """A stream that ends with an error before it has begun."""

    __slots__ = ("_error",)

    def __init__(self, error: Exception) -> None:
        self._error = error

    def open(self, wake: Callable[[], None]) -> None:
        """Begin."""

    def take(self) -> Any:
        """Say what is wrong."""
        raise self._error

    def close(self) -> None:
        """Leave."""


def _feeding(resolver: Callable[..., Awaitable[Feed[Any]]], access: Anyone) -> Callable[..., Any]:
    @wraps(resolver)
    async def guarded(*args: Any, **kwargs: Any) -> Feed[Any]:
        info = kwargs.get("info") or args[0]
        try:
            access.check(info)
            return _Watched(await resolver(*args, **kwargs), access, info)
        except Exception as error:  # noqa: BLE001 - told as any error of the stream
            return _Refused(error)

    return guarded


def _generating(resolver: Callable[..., AsyncGenerator[Any, None]], access: Anyone) -> Callable[..., Any]:
    @wraps(resolver)
    async def guarded(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        info = kwargs.get("info") or args[0]
        access.check(info)
        right = _Right(access, info)
        events = resolver(*args, **kwargs)
        del info, args, kwargs
        async with aclosing(events):
            while True:
                try:
                    event = await right.directory.while_allowed(events.__anext__, right.verdict)
                except StopAsyncIteration:
                    return
                # The event may have been on its way while the right was taken.
                if (error := right.verdict()) is not None:
                    raise error
                yield event
                del event

    return guarded


def stream(resolver: Callable[..., Any], access: Anyone, description: str) -> Any:
    """Return a root field of subscriptions; its resolver is a generator, or a coroutine that returns a feed.

    The access is checked before the stream begins, with each event, and when rights change while it is idle.
    """
    guard = _feeding if iscoroutinefunction(resolver) else _generating
    return strawberry.subscription(
        resolver=guard(resolver, access),
        description=f"{description} {access.words}",
        metadata={ACCESS: access},
    )
