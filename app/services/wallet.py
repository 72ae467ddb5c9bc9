"""Wallets: found, listed, frozen."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from operator import itemgetter
from typing import Any
from uuid import UUID

from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.connection import get_connection

from app.db import READER
from app.domain import wallet as rules
from app.domain.access import Actor, Capability, Principal
from app.domain.errors import OwnWallet
from app.domain.global_id import global_id, row_id
from app.domain.ledger import Draft, WalletStatus
from app.domain.note import check_note
from app.domain.page import Page, PageRequest
from app.models.customer import Customer
from app.models.paging import Found, Sort, fetch_found, integer_value, placed, ranged, text_value, time_value
from app.models.reading import Lookup, Rows, select
from app.models.search import narrowed
from app.models.wallet import Wallet
from app.services.ledger.command import Command, IdempotencyClaim, WalletRef
from app.services.ledger.records import read_uuid
from app.services.ledger.rows import wallet_of
from app.services.ledger.writer import Writer

SORTS = {
    "BALANCE": Sort("BALANCE", "posted_minor", lambda row: row.posted_minor, integer_value),
    "CREATED_AT": Sort("CREATED_AT", "created_at", lambda row: row.created_at, time_value),
    "CUSTOMER_NAME": Sort(
        "CUSTOMER_NAME",
        "customer__name",
        lambda row: row.customer.name,
        text_value,
        tie="customer__id",
        tie_value=lambda row: row.customer_id,
    ),
    "LAST_ACTIVITY_AT": Sort(
        "LAST_ACTIVITY_AT", "last_activity_at", lambda row: row.last_activity_at, time_value
    ),
}
"""The orders that a list of wallets comes in."""


@dataclass(frozen=True, slots=True)
class WalletFilter:
    """What a list of wallets is narrowed to; bounds are inclusive, amounts in minor units."""

    search: str | None = None
    balance_min_minor: int | None = None
    balance_max_minor: int | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    last_activity_from: datetime | None = None
    last_activity_to: datetime | None = None
    last_activity_before: datetime | None = None
    statuses: tuple[str, ...] | None = None


_BOUNDS = {
    "balance_min_minor": "posted_minor__gte",
    "balance_max_minor": "posted_minor__lte",
    "created_from": "created_at__gte",
    "created_to": "created_at__lte",
    "last_activity_from": "last_activity_at__gte",
    "last_activity_to": "last_activity_at__lte",
    "last_activity_before": "last_activity_at__lt",
}


async def wallets(wanted: WalletFilter, sort: str = "CREATED_AT") -> Found[Wallet]:
    """Return what a list of wallets finds, which comes in some order. Raises a refusal of the search."""
    query = Wallet.all()
    if wanted.statuses is not None and not set(wanted.statuses) >= set(WalletStatus):
        query = query.filter(status__in=wanted.statuses)
    asked = {condition: getattr(wanted, name) for name, condition in _BOUNDS.items()}
    bounds = {condition: bound for condition, bound in asked.items() if bound is not None}
    if not wanted.search:
        return await ranged(query, bounds, SORTS[sort])
    query = query.filter(**bounds)
    return await narrowed(query, wanted.search, ids="customer_id", column="customer__search_text")


async def page_of(found: Found[Wallet], sort: str, request: PageRequest, *, descending: bool) -> Page[Wallet]:
    """Read one page of a list of wallets, each with its customer."""
    if sort == "CUSTOMER_NAME":
        # It holds for every wallet, and says that each has a customer: so the database may begin with these, in order.
        found = found.filtered(customer__name__gte="")
    return await fetch_found(found, replace(SORTS[sort], descending=descending), request, _chosen)


_WALLETS, _CUSTOMERS = Rows(Wallet), Rows(Customer)


@cache
def _reader(dialect: str) -> Callable[[Iterable[Any]], Wallet]:
    """Return what reads a row of what it was found by, the wallet and its customer."""
    customer = _CUSTOMERS.reader(dialect, 1 + _WALLETS.width)
    return _WALLETS.reader(dialect, 1, customer=customer)


_TABLES = "wallets w JOIN customers c ON c.id = w.customer_id"


def _columns() -> str:
    return f"{_WALLETS.columns('w')}, {_CUSTOMERS.columns('c')}"


async def _chosen(ids: str, values: list[Any]) -> list[Wallet]:
    """Read the wallets whose ids a statement finds, in its order."""
    client = get_connection(READER)
    tables = f"{placed(ids)} JOIN wallets w ON w.id = chosen.id JOIN customers c ON c.id = w.customer_id"
    _, rows = await client.execute_query(f"SELECT chosen.place, {_columns()} FROM {tables}", values)  # noqa: S608
    return list(map(_reader(client.capabilities.dialect), sorted(rows, key=itemgetter(0))))


def _lookup(column: str, keys: str, read: Callable[[Any], Any]) -> Lookup[Any, Wallet]:
    """Return how a wallet and its customer are found by a column."""

    async def load(client: BaseDBAsyncClient, wanted: list[Any]) -> dict[Any, Wallet]:
        sql = f"SELECT {column}, {_columns()} FROM {_TABLES} WHERE {column} {{{keys}}}"  # noqa: S608 - our own names
        rows, wallet_of = await select(client, sql, wanted), _reader(client.capabilities.dialect)
        return {read(row[0]): wallet_of(row) for row in rows}

    return Lookup(load)


_BY_ID = _lookup("w.id", "uuids", read_uuid)
_BY_CUSTOMER = _lookup("w.customer_id", "uuids", read_uuid)
_BY_EXTERNAL_ID = _lookup("c.external_id", "texts", str)


async def find(ref: WalletRef, principal: Principal) -> Wallet | None:
    """Return a wallet to be read, or `None` when there is none of that name or it is not the caller's."""
    if ref.wallet_id is not None:
        wallet = await _BY_ID.find(ref.wallet_id)
    elif ref.customer_id is not None:
        wallet = await _BY_CUSTOMER.find(ref.customer_id)
    else:
        wallet = None if ref.external_id is None else await _BY_EXTERNAL_ID.find(ref.external_id)
    if wallet is None or not may_see(principal, wallet):
        return None
    return wallet


async def named(text: str) -> UUID | None:
    """Return the id of the wallet that is named by its id, by its customer's, or by the store's own id of the customer.

    Ids are taken as the API gives them and as the database has them. For those who work on the database itself.
    """
    for meaning in _meanings(text):
        found: Any = await Wallet.filter(**meaning).values_list("id", flat=True)
        if found:
            return read_uuid(found[0])
    return None


def _meanings(text: str) -> Iterator[dict[str, Any]]:
    with suppress(ValueError):
        yield {"id": UUID(text)}
        yield {"customer_id": UUID(text)}
    with suppress(ValueError):
        given = row_id(text)
        for type_name, column in (("Wallet", "id"), ("Customer", "customer_id")):
            if global_id(type_name, given) == text.rstrip("="):
                yield {column: given}
    # A store's ids may look like any of these.
    yield {"customer__external_id": text}


async def first_currency() -> str | None:
    """Return the currency of the oldest wallet, if there is one."""
    found: Any = await Wallet.all().order_by("created_at").limit(1).values_list("currency", flat=True)
    return found[0] if found else None


def may_see(principal: Principal, wallet: Wallet) -> bool:
    """Tell whether the caller may see a wallet that was loaded with its customer."""
    return principal.may(Capability.WALLETS_READ) or principal.owns(wallet.customer.external_id)


async def freeze(
    writer: Writer, principal: Principal, ref: WalletRef, *, note: str, idempotency_key: str | None
) -> Wallet:
    """Stop a wallet. Raises `NotFound`, `OwnWallet`, `WalletFrozen` or a refusal of the note."""
    return await _set(writer, principal, ref, "freezeWallet", rules.freeze, note, idempotency_key)


async def unfreeze(
    writer: Writer, principal: Principal, ref: WalletRef, *, note: str, idempotency_key: str | None
) -> Wallet:
    """Let a wallet go again. Raises `NotFound`, `OwnWallet`, `WalletNotFrozen` or a refusal of the note."""
    return await _set(writer, principal, ref, "unfreezeWallet", rules.unfreeze, note, idempotency_key)


async def _set(  # noqa: PLR0917 — the two public functions name everything
    writer: Writer,
    principal: Principal,
    ref: WalletRef,
    command: str,
    rule: Callable[..., None],
    note: str,
    idempotency_key: str | None,
) -> Wallet:
    note = check_note(note)
    actor: Actor = principal.actor

    def decide(draft: Draft) -> None:
        if principal.owns(draft.customer.external_id):
            raise OwnWallet
        rule(draft, note=note, actor=actor)

    claim = None
    if idempotency_key is not None:
        claim = IdempotencyClaim.of(actor, idempotency_key, command, {"wallet": repr(ref), "note": note})
    outcome = await writer.submit(Command(command, actor, ref, decide, claim))
    if outcome.wallet is not None:
        return wallet_of(outcome.wallet)
    return await Wallet.get(id=outcome.result["Wallet"])
