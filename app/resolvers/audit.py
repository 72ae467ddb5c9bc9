"""The audit trail, read."""

from typing import Annotated

import strawberry

from app.context import AppInfo
from app.domain.page import PageRequest
from app.schema.types.audit import AuditEntry, AuditEntryFilter
from app.schema.types.connection import After, Before, Connection, First, Last, Offset, connection
from app.schema.types.filters import texts
from app.schema.types.node import decode_id
from app.services import audit
from app.services.audit import AuditFilter


async def list_audit_entries(
    info: AppInfo,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    offset: Offset = None,
    filter: Annotated[  # noqa: A002 — the argument's name in the API
        AuditEntryFilter | None, strawberry.argument(description="What the list is narrowed to.")
    ] = None,
) -> Connection[AuditEntry]:
    """List the entries."""
    query = audit.entries(_wanted(filter))
    page = await audit.page_of(query, PageRequest(first, after, last, before, offset))
    return connection(page, lambda row: AuditEntry(model=row), query)


def _wanted(given: AuditEntryFilter | None) -> AuditFilter:
    if given is None:
        return AuditFilter()
    wallet_id = given.wallet_id
    return AuditFilter(
        actions=texts(given.actions, "actions"),
        actor_id=given.actor_id,
        wallet_id=None if wallet_id is None else decode_id(wallet_id, "Wallet", field=("filter", "walletId")),
        created_from=given.created.from_ if given.created else None,
        created_to=given.created.to if given.created else None,
    )
