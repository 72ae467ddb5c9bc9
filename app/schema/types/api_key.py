"""API keys."""

from enum import StrEnum

import strawberry

from app.context import AppInfo
from app.models.api_key import ApiKey as ApiKeyModel
from app.schema.types.enums import Capability, publish
from app.schema.types.node import ID_DESCRIPTION, Node, encode_id
from app.schema.types.role import Role
from app.schema.types.scalars import DateTime
from app.schema.types.transaction import Actor, actor


class ApiKeyStatus(StrEnum):
    """Whether a key can be used."""

    ACTIVE = "ACTIVE"
    """It is good."""
    EXPIRED = "EXPIRED"
    """Its time is over, perhaps because it was rotated."""
    REVOKED = "REVOKED"
    """It was ended before its time."""


publish(ApiKeyStatus, "Whether an API key can be used.")


@strawberry.type(description="The credential of a service. Its secret was shown once and is kept nowhere.")
class ApiKey(Node):
    """A key."""

    model: strawberry.Private[ApiKeyModel]

    @strawberry.field(description=ID_DESCRIPTION)
    def id(self) -> strawberry.ID:
        """Return the global id."""
        return encode_id("ApiKey", self.model.id)

    @strawberry.field(description="The name of the service; it stays when the key is rotated.")
    def name(self) -> str:
        """Return the name."""
        return self.model.name

    @strawberry.field(description="How the key begins: enough to recognise it, and worth nothing alone.")
    def prefix(self) -> str:
        """Return the beginning."""
        return f"cof_{self.model.prefix}"

    @strawberry.field(description="Whether it can be used.")
    def status(self, info: AppInfo) -> ApiKeyStatus:
        """Return the status."""
        if self.model.revoked_at is not None:
            return ApiKeyStatus.REVOKED
        expires_at = self.model.expires_at
        ended = expires_at is not None and expires_at <= info.context.runtime.clock()
        return ApiKeyStatus.EXPIRED if ended else ApiKeyStatus.ACTIVE

    @strawberry.field(description="The role whose rights it has; null when it has capabilities of its own.")
    async def role(self, info: AppInfo) -> Role | None:
        """Load the role."""
        if self.model.role_id is None:
            return None
        row = await info.context.loaders.roles.load(self.model.role_id)
        return None if row is None else Role(model=row)

    @strawberry.field(description="The capabilities of its own; null when it has those of a role.")
    def capabilities(self) -> list[Capability] | None:
        """Return the capabilities."""
        found = self.model.capabilities
        if found is None:
            return None
        return [Capability(word) for word in found if word in Capability.__members__]

    @strawberry.field(description="When it ends; null when it is good until it is revoked.")
    def expires_at(self) -> DateTime | None:
        """Return the time."""
        return DateTime(self.model.expires_at) if self.model.expires_at else None

    @strawberry.field(description="When it was revoked.")
    def revoked_at(self) -> DateTime | None:
        """Return the time."""
        return DateTime(self.model.revoked_at) if self.model.revoked_at else None

    @strawberry.field(description="When it was last used, to the minute; null if it never was.")
    def last_used_at(self) -> DateTime | None:
        """Return the time."""
        return DateTime(self.model.last_used_at) if self.model.last_used_at else None

    @strawberry.field(description="Who made it.")
    def created_by(self, info: AppInfo) -> Actor:
        """Return who made it."""
        return actor(info, self.model.created_by_kind, self.model.created_by_id)

    @strawberry.field(description="When it was made.")
    def created_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.created_at)

    @strawberry.field(description="The key that it was rotated from.")
    async def replaces(self, info: AppInfo) -> "ApiKey | None":
        """Load the older key."""
        if self.model.replaces_id is None:
            return None
        row = await info.context.loaders.api_keys.load(self.model.replaces_id)
        return None if row is None else ApiKey(model=row)
