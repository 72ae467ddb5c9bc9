"""Signals of fraud."""

from typing import Annotated

import strawberry

from app.context import AppInfo
from app.domain.page import PageRequest
from app.schema.types.connection import After, Before, Connection, First, Last, Offset, connection
from app.schema.types.fraud import FraudSignal, FraudSignalFilter, signal_filter
from app.services import fraud


async def list_fraud_signals(
    info: AppInfo,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    offset: Offset = None,
    filter: Annotated[  # noqa: A002 — the argument's name in the API
        FraudSignalFilter | None, strawberry.argument(description="What the list is narrowed to.")
    ] = None,
) -> Connection[FraudSignal]:
    """List signals."""
    query = fraud.signals(signal_filter(filter))
    page = await fraud.page_of(query, PageRequest(first, after, last, before, offset))
    return connection(page, lambda row: FraudSignal(model=row), query)
