"""API keys: listed, made, rotated, revoked."""

from typing import Annotated

import strawberry

from app.context import AppInfo
from app.domain.api_key import KeyRequest
from app.domain.page import PageRequest
from app.resolvers.answering import answering, optional_key
from app.schema.types.api_key import ApiKey
from app.schema.types.connection import After, Before, Connection, First, Last, Offset, connection
from app.schema.types.inputs import INPUT, CreateApiKeyInput, RevokeApiKeyInput, RotateApiKeyInput
from app.schema.types.node import decode_id
from app.schema.types.payloads import CreateApiKeyPayload, RevokeApiKeyPayload, RotateApiKeyPayload
from app.services import api_key as keys


async def list_api_keys(
    info: AppInfo,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    offset: Offset = None,
    include_ended: Annotated[
        bool, strawberry.argument(description="With those that are revoked or have expired.")
    ] = False,
) -> Connection[ApiKey]:
    """List the keys."""
    query = keys.keys(info.context.runtime.clock(), ended=include_ended)
    page = await keys.page_of(query, PageRequest(first, after, last, before, offset))
    return connection(page, lambda row: ApiKey(model=row), query)


@answering(CreateApiKeyPayload)
async def create_api_key(
    info: AppInfo,
    input: Annotated[CreateApiKeyInput, INPUT],  # noqa: A002
) -> CreateApiKeyPayload:
    """Make a key."""
    role_id = None if input.role_id is None else decode_id(input.role_id, "Role", field=("roleId",))
    capabilities = None if input.capabilities is None else frozenset(input.capabilities)
    done = await keys.create(
        info.context.runtime.writer,
        info.context.principal,
        KeyRequest(input.name, role_id, capabilities, input.expires_at),
        note=input.note,
        idempotency_key=optional_key(input.idempotency_key),
    )
    return CreateApiKeyPayload(api_key=ApiKey(model=done.key), secret=done.text, replayed=done.replayed)


@answering(RotateApiKeyPayload)
async def rotate_api_key(
    info: AppInfo,
    input: Annotated[RotateApiKeyInput, INPUT],  # noqa: A002
) -> RotateApiKeyPayload:
    """Replace a key."""
    done = await keys.rotate(
        info.context.runtime.writer,
        info.context.principal,
        decode_id(input.api_key_id, "ApiKey", field=("apiKeyId",)),
        overlap_h=input.overlap_hours,
        expires_at=input.expires_at,
        note=input.note,
        idempotency_key=optional_key(input.idempotency_key),
    )
    return RotateApiKeyPayload(api_key=ApiKey(model=done.key), secret=done.text, replayed=done.replayed)


@answering(RevokeApiKeyPayload)
async def revoke_api_key(
    info: AppInfo,
    input: Annotated[RevokeApiKeyInput, INPUT],  # noqa: A002
) -> RevokeApiKeyPayload:
    """End a key."""
    done = await keys.revoke(
        info.context.runtime.writer,
        info.context.principal,
        decode_id(input.api_key_id, "ApiKey", field=("apiKeyId",)),
        note=input.note,
        idempotency_key=optional_key(input.idempotency_key),
    )
    return RevokeApiKeyPayload(api_key=ApiKey(model=done.key), replayed=done.replayed)
