"""Roles."""

import strawberry

from app.domain.access import ADMINISTRATOR, CUSTOMER
from app.models.role import Role as RoleModel
from app.schema.types.enums import Capability
from app.schema.types.node import ID_DESCRIPTION, Node, encode_id
from app.schema.types.scalars import DateTime


@strawberry.type(
    description="A named set of capabilities. Tokens bear it by its name, or by a word that it maps from."
)
class Role(Node):
    """A role."""

    model: strawberry.Private[RoleModel]

    @strawberry.field(description=ID_DESCRIPTION)
    def id(self) -> strawberry.ID:
        """Return the global id."""
        return encode_id("Role", self.model.id)

    @strawberry.field(description="What tokens and settings call it.")
    def name(self) -> str:
        """Return the name."""
        return self.model.name

    @strawberry.field(description="What it is for, in words.")
    def description(self) -> str:
        """Return the description."""
        return self.model.description

    @strawberry.field(description="What its bearers may do. The administrator may do everything.")
    def capabilities(self) -> list[Capability]:
        """Return the capabilities."""
        if self.model.name == ADMINISTRATOR:
            return sorted(Capability)
        # Words of a newer version are not part of this one's schema.
        return [Capability(word) for word in self.model.capabilities if word in Capability.__members__]

    @strawberry.field(description="Words in tokens that mean this role, beside its name.")
    def maps_from(self) -> list[str]:
        """Return the words."""
        return self.model.maps_from

    @strawberry.field(description="Whether its capabilities are fixed and it can't be archived.")
    def protected(self) -> bool:
        """Tell whether it is one of those that a store can't do without."""
        return self.model.name in {ADMINISTRATOR, CUSTOMER}

    @strawberry.field(description="When it was archived; since then it grants nothing.")
    def archived_at(self) -> DateTime | None:
        """Return the time."""
        return DateTime(self.model.archived_at) if self.model.archived_at else None

    @strawberry.field(description="When it was made.")
    def created_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.created_at)

    @strawberry.field(description="When it was last changed.")
    def updated_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.updated_at)
