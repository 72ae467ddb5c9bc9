"""The audit trail: who did what beside moving money, when and why. It is read here; the commands write it."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from tortoise.queryset import QuerySet

from app.domain.page import Page, PageRequest
from app.models.audit import AuditEntry
from app.models.paging import CountLoader, PageLoader, Sort, fetch_page, time_value

SORT = Sort("CREATED_AT", "created_at", lambda row: row.created_at, time_value, descending=True)
"""Entries come newest first."""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """What a list of entries is narrowed to; bounds are inclusive."""

    actions: tuple[str, ...] | None = None
    actor_id: str | None = None
    wallet_id: UUID | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


_CONDITIONS = {
    "actions": "action__in",
    "actor_id": "actor_id",
    "wallet_id": "wallet_id",
    "created_from": "created_at__gte",
    "created_to": "created_at__lte",
}


def entries(wanted: AuditFilter) -> QuerySet[AuditEntry]:
    """Return the query of a list of entries."""
    query = AuditEntry.all()
    for name, condition in _CONDITIONS.items():
        bound = getattr(wanted, name)
        if bound is not None:
            query = query.filter(**{condition: bound})
    return query


async def page_of(query: QuerySet[AuditEntry], request: PageRequest) -> Page[AuditEntry]:
    """Read one page of a list of entries."""
    return await fetch_page(query, SORT, request)


Pages = PageLoader[AuditFilter, AuditEntry]
Counts = CountLoader[AuditFilter]


def pages() -> Pages:
    """Return a loader of pages of wallets' entries, newest first."""
    return PageLoader(_of_wallet, SORT, partition="wallet_id")


def counts() -> Counts:
    """Return a loader of how many entries wallets have."""
    return CountLoader(_of_wallet, partition="wallet_id")


def _of_wallet(wanted: AuditFilter, wallet_id: UUID | None) -> QuerySet[AuditEntry]:
    return entries(wanted if wallet_id is None else replace(wanted, wallet_id=wallet_id))
