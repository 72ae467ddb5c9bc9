"""The audit trail: who did what beside moving money, when and why. It is read here; the commands write it."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from aiodataloader import DataLoader
from tortoise.functions import Count
from tortoise.queryset import QuerySet

from app.domain.page import Page, PageRequest
from app.models.audit import AuditEntry
from app.models.paging import Sort, fetch_page, fetch_pages, time_value

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


class AuditPages(DataLoader[tuple[UUID, PageRequest], Page[AuditEntry]]):
    """Pages of wallets' entries, newest first: one statement for all wallets that are asked the same."""

    async def batch_load_fn(self, keys: list[tuple[UUID, PageRequest]]) -> list[Page[AuditEntry]]:
        """Load the pages, by (wallet id, page)."""
        asked: dict[PageRequest, list[UUID]] = defaultdict(list)
        for wallet_id, page in keys:
            asked[page].append(wallet_id)
        found: dict[tuple[UUID, PageRequest], Page[AuditEntry]] = {}
        for page, wallet_ids in asked.items():
            pages = await fetch_pages(AuditEntry.all(), SORT, page, partition="wallet_id", keys=wallet_ids)
            found.update(((wallet_id, page), one) for wallet_id, one in zip(wallet_ids, pages, strict=True))
        return [found[key] for key in keys]


class AuditCounts(DataLoader[UUID, int]):
    """How many entries there are of a wallet."""

    async def batch_load_fn(self, keys: list[UUID]) -> list[int]:
        """Count, by wallet id."""
        query = AuditEntry.filter(wallet_id__in=keys).annotate(number=Count("id"))
        rows = await query.group_by("wallet_id").values("wallet_id", "number")
        found = {row["wallet_id"]: row["number"] for row in rows}
        return [found.get(key, 0) for key in keys]
