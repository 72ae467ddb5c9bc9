"""Transactions: found by id or reference, listed for one wallet, for many wallets at once, and for the store."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.expressions import Q, RawSQL, Subquery
from tortoise.queryset import QuerySet

from app.domain.access import Capability, Principal
from app.domain.adjustment import Direction
from app.domain.bucket import Bucket
from app.domain.errors import FieldInvalid
from app.domain.note import check_text
from app.domain.page import Page, PageRequest
from app.domain.reference import read_reference
from app.models.paging import (
    CountLoader,
    PageLoader,
    Sort,
    fetch_page,
    integer_value,
    page_of_rows,
    start_of_newest,
    time_value,
)
from app.models.reading import Lookup, Rows, select
from app.models.transaction import Allocation, Transaction
from app.services.ledger.records import read_uuid

SEARCH_MAX = 100
ACTOR_ID_MAX = 128

BY_SEQUENCE = Sort("SEQUENCE", "sequence", lambda row: row.sequence, integer_value)
"""The order of one wallet's history."""

BY_TIME = Sort("CREATED_AT", "created_at", lambda row: row.created_at, time_value)
"""The order of the store's history."""


@dataclass(frozen=True, slots=True)
class TransactionFilter:
    """What a list of transactions is narrowed to; bounds are inclusive, amounts positive and in minor units."""

    kinds: tuple[str, ...] | None = None
    direction: Direction | None = None
    buckets: tuple[str, ...] | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    actor_id: str | None = None
    reasons: tuple[str, ...] | None = None
    amount_min_minor: int | None = None
    amount_max_minor: int | None = None
    search: str | None = None


_WHOLE_REFERENCE = re.compile(r"TX(-[0-9A-Z]{4}){3}")

_EQUALITIES = {
    "kinds": "kind__in",
    "created_from": "created_at__gte",
    "created_to": "created_at__lte",
    "reasons": "reason__in",
}


def transactions(
    wanted: TransactionFilter, wallet_id: UUID | None = None, since: datetime | None = None
) -> QuerySet[Transaction]:
    """Return the query of a list of transactions, of one wallet or of the whole store; with `since`, not of those before."""
    query = Transaction.all() if since is None else Transaction.filter(created_at__gte=since)
    if wallet_id is not None:
        query = query.filter(wallet_id=wallet_id)
    for name, condition in _EQUALITIES.items():
        bound = getattr(wanted, name)
        if bound is not None:
            query = query.filter(**{condition: bound})
    query = query.filter(_amounts(wanted))
    if wanted.actor_id is not None:
        actor_id = check_text(wanted.actor_id, field="filter.actorId", length_max=ACTOR_ID_MAX)
        query = query.filter(actor_id=actor_id)
    if wanted.buckets is not None and wallet_id is None:
        # Sequence numbers begin with 1.
        query = query.filter(sequence__gte=_one_of(wanted.buckets))
    elif wanted.buckets is not None:
        # Asked as "its id is among", because a join would give a transaction once for each allocation.
        of_bucket = Allocation.filter(bucket__in=wanted.buckets, transaction__wallet_id=wallet_id)
        query = query.filter(id__in=Subquery(of_bucket.values("transaction_id")))
    if wanted.search:
        text = check_text(wanted.search, field="filter.search", length_max=SEARCH_MAX)
        query = query.filter(Q(note__icontains=text) | Q(reference__istartswith=text))
    return query


def _one_of(buckets: Sequence[str]) -> RawSQL:
    """Return 1 where the transaction touches one of these buckets, else NULL, looked up for each transaction in turn.

    A number is compared with it, because what PostgreSQL recognises as "is among" or "exists", it may begin with: with all
    allocations of the bucket that there are.
    """
    named = ", ".join(f"'{Bucket(bucket)}'" for bucket in buckets) or "NULL"
    return RawSQL(
        "(SELECT 1 FROM allocations a "  # noqa: S608 - a closed set of names
        f'WHERE a.transaction_id = "transactions"."id" AND a.bucket IN ({named}) LIMIT 1)'
    )


async def listed(wanted: TransactionFilter) -> QuerySet[Transaction]:
    """Return the query of a list of the whole store's transactions.

    Times, an actor and one kind are found by an index, however long the history is. Where the filter says more, the newest
    `SEARCHED_MAX` transactions that these leave are looked at.
    """
    reference = read_reference(wanted.search)
    if reference is not None and _WHOLE_REFERENCE.fullmatch(reference):
        return transactions(replace(wanted, search=None)).filter(reference=reference)
    one_kind = wanted.kinds if wanted.kinds is None or len(wanted.kinds) == 1 else None
    by_index = TransactionFilter(
        kinds=one_kind,
        created_from=wanted.created_from,
        created_to=wanted.created_to,
        actor_id=wanted.actor_id,
    )
    if wanted == by_index:
        return transactions(wanted)
    start = await start_of_newest(transactions(by_index), "created_at")
    return transactions(wanted, since=start)


def _amounts(wanted: TransactionFilter) -> Q:
    low, high = wanted.amount_min_minor, wanted.amount_max_minor
    for name, bound in (("min", low), ("max", high)):
        if bound is not None and bound < 0:
            raise FieldInvalid(
                "Amounts of transactions are positive here. Use `direction` for credits or debits.",
                field=("filter", "amount", name),
            )
    credit = Q(amount_minor__gt=0)
    debit = Q(amount_minor__lt=0)
    if low is not None:
        credit &= Q(amount_minor__gte=low)
        debit &= Q(amount_minor__lte=-low)
    if high is not None:
        credit &= Q(amount_minor__lte=high)
        debit &= Q(amount_minor__gte=-high)
    if wanted.direction is Direction.CREDIT:
        return credit
    if wanted.direction is Direction.DEBIT:
        return debit
    return Q() if low is None and high is None else credit | debit


ALL = TransactionFilter()
"""The filter of whole histories."""

_NEWEST_FIRST = replace(BY_SEQUENCE, descending=True)
_ROWS = Rows(Transaction)
_ALWAYS_READ = frozenset({"id", "wallet_id", "sequence"})
"""Whose each row is, and what tells their order."""

Histories = PageLoader[TransactionFilter, Transaction]


def histories() -> Histories:
    """Return a loader of pages of wallets' histories, newest first."""
    return PageLoader(transactions, _NEWEST_FIRST, partition="wallet_id")


def is_of_newest(wanted: TransactionFilter, request: PageRequest) -> bool:
    """Tell whether a page is the newest of a history: it is asked for most, and has SQL of its own."""
    plain = request.after is None and request.before is None and not request.backwards and not request.offset
    return plain and (wanted is ALL or wanted == ALL)


async def newest_page(
    wallet_id: UUID, request: PageRequest, columns: frozenset[str] | None = None
) -> Page[Transaction]:
    """Return the newest page of a wallet's history; of its rows these columns and what tells their order, or all of them."""
    rows = await _NEWEST.find(_Newest(wallet_id, request.size + 1, columns)) or []
    return page_of_rows(rows, _NEWEST_FIRST, request)


class _Newest(NamedTuple):
    """The last rows of a wallet, so many, with these columns."""

    wallet_id: UUID
    size: int
    columns: frozenset[str] | None


async def _newest(client: BaseDBAsyncClient, keys: list[_Newest]) -> dict[_Newest, list[Transaction]]:
    """Return the last rows of each wallet, by one statement for all who want as many of them and the same of these.

    A wallet's transactions are numbered without a gap, so the last n are those whose number is above the wallet's less n.
    """
    alike: dict[tuple[int, frozenset[str] | None], dict[UUID, _Newest]] = defaultdict(dict)
    for key in keys:
        alike[key.size, key.columns][key.wallet_id] = key
    found: dict[_Newest, list[Transaction]] = {key: [] for key in keys}
    for (size, columns), of_wallet in alike.items():
        statement = _statement(client.capabilities.dialect, columns)
        # By the ids as the driver gives them: they are quick to compare with each other, and with nothing else.
        rows_of: dict[Any, list[Transaction]] = {}
        for row in await select(client, statement.sql, list(of_wallet), size, record=statement.record):
            wallet_id = row[statement.wallet_place]
            rows = rows_of.get(wallet_id)
            if rows is None:
                rows = rows_of[wallet_id] = found[of_wallet[read_uuid(wallet_id)]]
            rows.append(row)
    return found


class _Statement(NamedTuple):
    """How the newest rows are selected, and of what class they are."""

    sql: str
    record: type
    wallet_place: int
    """Where in a row the wallet's id is."""


@lru_cache(maxsize=256)
def _statement(dialect: str, columns: frozenset[str] | None) -> _Statement:
    names = _ROWS.names(None if columns is None else columns | _ALWAYS_READ)
    sql = (
        f"SELECT {_ROWS.columns('t', names)} FROM wallets w JOIN transactions t ON t.wallet_id = w.id "  # noqa: S608 - our own names
        "AND t.sequence > w.sequence - {1} WHERE w.id {uuids} ORDER BY t.sequence DESC"
    )
    return _Statement(sql, _ROWS.record(dialect, names), names.index("wallet_id"))


_NEWEST = Lookup(_newest)

HistoryCounts = CountLoader[TransactionFilter]


def history_counts() -> HistoryCounts:
    """Return a loader of how long wallets' histories are."""
    return CountLoader(transactions, partition="wallet_id")


Parts = PageLoader[None, Transaction]
PartCounts = CountLoader[None]


def of_orders() -> Parts:
    """Return a loader of pages of what orders did to wallets, oldest first."""
    return PageLoader(_of_order, BY_TIME, partition="order_id")


def order_counts() -> PartCounts:
    """Return a loader of how much orders did to wallets."""
    return CountLoader(_of_order, partition="order_id")


def of_holds() -> Parts:
    """Return a loader of pages of what was spent of holds, and given back, oldest first."""
    return PageLoader(_of_hold, BY_TIME, partition="hold_id")


def hold_counts() -> PartCounts:
    """Return a loader of how often something was spent of holds, or given back."""
    return CountLoader(_of_hold, partition="hold_id")


def _of_order(_all: None, order_id: UUID | None) -> QuerySet[Transaction]:
    return Transaction.all() if order_id is None else Transaction.filter(order_id=order_id)


def _of_hold(_all: None, hold_id: UUID | None) -> QuerySet[Transaction]:
    return Transaction.all() if hold_id is None else Transaction.filter(hold_id=hold_id)


async def matches(row: Transaction, wanted: TransactionFilter) -> bool:
    """Tell whether a transaction that was just posted is one that the filter wants."""
    if wanted == TransactionFilter():
        return True
    return await transactions(wanted).filter(id=row.id).exists()


async def page_of(
    query: QuerySet[Transaction], sort: Sort, request: PageRequest, *, descending: bool
) -> Page[Transaction]:
    """Read one page of a list of transactions."""
    return await fetch_page(query, replace(sort, descending=descending), request)


async def find(
    principal: Principal, *, transaction_id: UUID | None = None, reference: str | None = None
) -> Transaction | None:
    """Return a transaction, or `None` when there is none of that name or it is not the caller's."""
    query = Transaction.all().select_related("wallet__customer")
    if transaction_id is not None:
        transaction = await query.get_or_none(id=transaction_id)
    else:
        spoken = read_reference(reference)
        transaction = None if spoken is None else await query.get_or_none(reference=spoken)
    if transaction is None:
        return None
    if principal.may(Capability.WALLETS_READ) or principal.owns(transaction.wallet.customer.external_id):
        return transaction
    return None
