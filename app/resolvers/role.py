"""Roles: listed, made, changed."""

from typing import Annotated

import strawberry

from app.context import AppInfo
from app.domain.role import RoleChange
from app.resolvers.answering import answering, optional_key
from app.schema.types.inputs import INPUT, CreateRoleInput, UpdateRoleInput
from app.schema.types.node import decode_id
from app.schema.types.payloads import CreateRolePayload, UpdateRolePayload
from app.schema.types.role import Role
from app.services import role as roles


async def list_roles(
    info: AppInfo,
    include_archived: Annotated[
        bool, strawberry.argument(description="With those that are archived.")
    ] = False,
) -> list[Role]:
    """List the roles."""
    return [Role(model=row) for row in await roles.roles(archived=include_archived)]


@answering(CreateRolePayload)
async def create_role(
    info: AppInfo,
    input: Annotated[CreateRoleInput, INPUT],  # noqa: A002
) -> CreateRolePayload:
    """Make a role."""
    done = await roles.create(
        info.context.runtime.writer,
        info.context.principal,
        input.name,
        RoleChange(
            input.description,
            frozenset(input.capabilities),
            None if input.maps_from is None else tuple(input.maps_from),
        ),
        note=input.note,
        idempotency_key=optional_key(input.idempotency_key),
    )
    return CreateRolePayload(role=Role(model=done.role), replayed=done.replayed)


@answering(UpdateRolePayload)
async def update_role(
    info: AppInfo,
    input: Annotated[UpdateRoleInput, INPUT],  # noqa: A002
) -> UpdateRolePayload:
    """Change a role."""
    done = await roles.update(
        info.context.runtime.writer,
        info.context.principal,
        decode_id(input.role_id, "Role", field=("roleId",)),
        RoleChange(
            input.description,
            None if input.capabilities is None else frozenset(input.capabilities),
            None if input.maps_from is None else tuple(input.maps_from),
            input.archived,
        ),
        note=input.note,
        idempotency_key=optional_key(input.idempotency_key),
    )
    return UpdateRolePayload(role=Role(model=done.role), replayed=done.replayed)
