"""Cashback that was given."""

from typing import Annotated

import strawberry

from app.context import AppInfo
from app.domain.page import PageRequest
from app.schema.types.cashback_award import CashbackAward, CashbackAwardFilter
from app.schema.types.connection import After, Before, Connection, First, Last, Offset, connection
from app.schema.types.filters import award_filter
from app.services.cashback import award as cashback


async def list_cashback_awards(
    info: AppInfo,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    offset: Offset = None,
    filter: Annotated[  # noqa: A002 — the argument's name in the API
        CashbackAwardFilter | None, strawberry.argument(description="What the list is narrowed to.")
    ] = None,
) -> Connection[CashbackAward]:
    """List the store's awards."""
    query = cashback.awards(award_filter(filter))
    page = await cashback.page_of(query, PageRequest(first, after, last, before, offset))
    return connection(page, lambda row: CashbackAward(model=row), query)
