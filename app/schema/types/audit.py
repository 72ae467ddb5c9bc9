"""The audit trail."""

from typing import TYPE_CHECKING, Annotated, Any

import orjson
import strawberry

from app.context import AppInfo
from app.models.audit import AuditEntry as AuditEntryModel
from app.schema.types.enums import AuditAction, Capability
from app.schema.types.node import ID_DESCRIPTION, Node, encode_id
from app.schema.types.scalars import DateTime
from app.schema.types.time import TimeRange
from app.schema.types.transaction import Actor, actor

if TYPE_CHECKING:
    from app.schema.types.wallet import Wallet


@strawberry.type(description="One part of a thing that changed.")
class AuditChange:
    """A field, as it was and as it is."""

    field: str = strawberry.field(description="The name of the part.")
    before: str | None = strawberry.field(description="As it was, in JSON; null when there was nothing.")
    after: str | None = strawberry.field(description="As it is since, in JSON.")


@strawberry.type(description="Who did what beside moving money, when and why. It is never changed.")
class AuditEntry(Node):
    """An entry."""

    model: strawberry.Private[AuditEntryModel]

    @strawberry.field(description=ID_DESCRIPTION)
    def id(self) -> strawberry.ID:
        """Return the global id."""
        return encode_id("AuditEntry", self.model.id)

    @strawberry.field(description="What was done.")
    def action(self) -> AuditAction:
        """Return the action."""
        return AuditAction(self.model.action)

    @strawberry.field(
        description="The name of what it was done to: a role, a key, the store's id of a customer."
    )
    def subject(self) -> str | None:
        """Return the name."""
        return self.model.data.get("subject")

    @strawberry.field(description="What is different since.")
    def changes(self) -> list[AuditChange]:
        """Return the parts that changed."""
        before, after = self.model.data.get("before", {}), self.model.data.get("after", {})
        return [
            AuditChange(field=name, before=_json(before, name), after=_json(after, name))
            for name in sorted({*before, *after})
        ]

    @strawberry.field(description="Who did it.")
    def actor(self, info: AppInfo) -> Actor:
        """Return who did it."""
        return actor(info, self.model.actor_kind, self.model.actor_id)

    @strawberry.field(description="Why, in words.")
    def note(self) -> str:
        """Return the note."""
        return self.model.note

    @strawberry.field(description="When it was done.")
    def created_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.created_at)

    @strawberry.field(
        description="The wallet that it was done to; null when it was none, or may not be seen."
    )
    async def wallet(
        self, info: AppInfo
    ) -> Annotated["Wallet", strawberry.lazy("app.schema.types.wallet")] | None:
        """Load the wallet."""
        from app.schema.types.wallet import Wallet  # noqa: PLC0415 — wallets and entries name each other

        # The trail may be read by somebody who may not see balances.
        if self.model.wallet_id is None or not info.context.principal.may(Capability.WALLETS_READ):
            return None
        row = await info.context.loaders.wallets.load(self.model.wallet_id)
        return None if row is None else Wallet(model=row)


def _json(data: dict[str, Any], name: str) -> str | None:
    return orjson.dumps(data[name]).decode() if data.get(name) is not None else None


@strawberry.input(description="What a list of audit entries is narrowed to; all that is given must hold.")
class AuditEntryFilter:
    """Conditions on entries."""

    actions: list[AuditAction] | None = strawberry.field(default=None, description="One of these actions.")
    actor_id: str | None = strawberry.field(default=None, description="Done by this person or program.")
    wallet_id: strawberry.ID | None = strawberry.field(default=None, description="Done to this wallet.")
    created: TimeRange | None = strawberry.field(default=None, description="Done in this time.")
