"""What the resolvers look at of a caller, so that callers who are alike in it may share the execution of an event.

What a caller may do always counts. Who they are counts where a resolver looked: customers see their own names, staff do
not, and most fields look at neither. See `app.execution.sharing` and docs/adr/0028-shared-events.md.
"""

from collections.abc import Collection, Hashable
from dataclasses import fields
from typing import Any

from app.context import Context
from app.domain.access import Principal

RIGHTS = frozenset({"kind", "roles", "capabilities"})
"""What of a principal is always compared."""

OF_PERSON = frozenset(field.name for field in fields(Principal)) - RIGHTS
"""What of a principal is compared where somebody looked: all that there is but the rights."""

OF_REQUEST = frozenset({"address", "request_id"})
"""What of a context is the caller's and not the event's."""


class WatchedPrincipal(Principal):
    """A principal that writes down what is read of it beside its rights; its own methods are readers as any."""

    __slots__ = ("names",)
    names: set[str]

    def __getattribute__(self, name: str) -> Any:
        """Read an attribute."""
        if name in OF_PERSON:
            object.__getattribute__(self, "names").add(name)
        return object.__getattribute__(self, name)


class WatchedContext(Context):
    """A context that writes down what is read of its request."""

    names: set[str]

    def __getattribute__(self, name: str) -> Any:
        """Read an attribute."""
        if name in OF_REQUEST:
            object.__getattribute__(self, "names").add(name)
        return object.__getattribute__(self, name)


class Onlooker:
    """The caller of one event."""

    __slots__ = ("context",)

    def __init__(self, context: Context) -> None:
        self.context = context

    @property
    def rights(self) -> Hashable:
        """What the caller may do."""
        return self.rights_of(self.context.principal)

    @staticmethod
    def rights_of(principal: Principal) -> Hashable:
        """Return what a caller may do."""
        return principal.kind, principal.roles, principal.capabilities

    def watched(self) -> tuple[Context, Collection[str]]:
        """Return a context like the caller's, and the names of what is read of the caller: more of them as it is used."""
        names: set[str] = set()
        own = self.context
        principal = WatchedPrincipal(
            **{field.name: getattr(own.principal, field.name) for field in fields(Principal)}
        )
        object.__setattr__(principal, "names", names)
        context = WatchedContext(principal, own.request_id, own.runtime, own.address, own.noted)
        object.__setattr__(context, "names", names)
        return context, names

    def values(self, names: Collection[str]) -> Hashable:
        """Return what the caller is in all of these."""
        own = self.context
        return tuple(
            (name, getattr(own if name in OF_REQUEST else own.principal, name)) for name in sorted(names)
        )
