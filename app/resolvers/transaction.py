"""Transactions: read and listed."""

from typing import Annotated

import strawberry

from app.context import AppInfo
from app.domain.page import PageRequest
from app.schema.types.connection import After, Before, Connection, First, Last, Offset, connection_of
from app.schema.types.filters import transaction_filter
from app.schema.types.node import decode_id
from app.schema.types.sort import SortDirection
from app.schema.types.transaction import Transaction, TransactionFilter, TransactionSelector
from app.services import transaction as transactions


async def transaction(
    info: AppInfo,
    by: Annotated[TransactionSelector, strawberry.argument(description="Names the transaction.")],
) -> Transaction | None:
    """Find one transaction."""
    principal = info.context.principal
    if by.id is not strawberry.UNSET and by.id is not None:
        transaction_id = decode_id(by.id, "Transaction", field=("by", "id"))
        row = await transactions.find(principal, transaction_id=transaction_id)
    else:
        row = await transactions.find(principal, reference=by.reference)
    return None if row is None else Transaction(model=row)


async def list_transactions(
    info: AppInfo,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    offset: Offset = None,
    filter: Annotated[  # noqa: A002 — the argument's name in the API
        TransactionFilter | None,
        strawberry.argument(
            description="What the list is narrowed to. By time, by `actorId` and by one of `kinds` it goes as far back as the "
            "store's history does; with anything else, the newest 20,000 transactions that these leave are looked at: give "
            "`created` to look further back."
        ),
    ] = None,
    direction: Annotated[
        SortDirection, strawberry.argument(description="Oldest (ASC) or newest (DESC) first.")
    ] = SortDirection.DESC,
) -> Connection[Transaction]:
    """List the store's transactions."""
    context = info.context
    wanted = transaction_filter(filter, context.runtime.settings.currency, context.principal)
    query = await transactions.listed(wanted)
    page = await transactions.page_of(
        query,
        transactions.BY_TIME,
        PageRequest(first, after, last, before, offset),
        descending=direction is SortDirection.DESC,
    )
    return connection_of(Transaction, page, query)
