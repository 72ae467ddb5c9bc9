"""Customers: told by the store, found by staff."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from operator import itemgetter
from typing import Any
from uuid import UUID

from tortoise.connection import get_connection

from app.db import READER
from app.domain.access import Actor, Principal
from app.domain.cashback.rule import TriggerKind
from app.domain.celebration import SIGN_UP_KEY, Celebration, celebration_id, sign_up
from app.domain.customer import CustomerDetails, check_words
from app.domain.email_kind import check_language
from app.domain.errors import FieldInvalid, NotFound, OwnWallet
from app.domain.ledger import Draft, Row
from app.domain.note import check_text
from app.domain.page import Page, PageRequest
from app.models.customer import Customer
from app.models.paging import Found, Sort, fetch_found, placed, text_value, time_value
from app.models.reading import Rows
from app.models.search import narrowed
from app.models.wallet import Wallet
from app.services.ledger.command import Command, IdempotencyClaim, Outcome, WalletRef
from app.services.ledger.rows import customer_of, wallet_of
from app.services.ledger.writer import Writer

SORTS = {
    "NAME": Sort("NAME", "name", lambda row: row.name, text_value),
    "CREATED_AT": Sort("CREATED_AT", "created_at", lambda row: row.created_at, time_value),
}
"""The orders that a list of customers comes in."""

EMAIL_MAX = 254
NAME_MAX = 200
EXTERNAL_ID_MAX = 128

NOTHING = CustomerDetails()
"""What is told of a customer of whom nothing more is known than the id."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A customer with their wallet."""

    customer: Customer
    wallet: Wallet


async def customers(search_text: str | None) -> Found[Customer]:
    """Return what a list of customers finds: those whose name, e-mail or store id holds every word of a search,
    without regard to case. Raises a refusal of the search.
    """
    return await narrowed(Customer.all(), search_text, ids="id", column="search_text")


async def page_of(
    found: Found[Customer], sort: str, request: PageRequest, *, descending: bool
) -> Page[Customer]:
    """Read one page of a list of customers."""
    return await fetch_found(found, replace(SORTS[sort], descending=descending), request, _chosen)


_ROWS = Rows(Customer)


async def _chosen(ids: str, values: list[Any]) -> list[Customer]:
    """Read the customers whose ids a statement finds, in its order."""
    client = get_connection(READER)
    columns, tables = _ROWS.columns("c"), f"{placed(ids)} JOIN customers c ON c.id = chosen.id"
    sql = f"SELECT chosen.place, {columns} FROM {tables}"  # noqa: S608 - our own names
    _, rows = await client.execute_query(sql, values)
    return list(map(_reader(client.capabilities.dialect), sorted(rows, key=itemgetter(0))))


@cache
def _reader(dialect: str) -> Callable[[Iterable[Any]], Customer]:
    return _ROWS.reader(dialect, 1)


async def find(*, customer_id: UUID | None = None, external_id: str | None = None) -> Customer | None:
    """Return the customer of an id, or of the store's own id."""
    if customer_id is not None:
        return await Customer.get_or_none(id=customer_id)
    return await Customer.get_or_none(external_id=external_id)


async def register(
    writer: Writer,
    actor: Actor,
    *,
    external_id: str,
    name: str | None = None,
    email: str | None = None,
    details: CustomerDetails = NOTHING,
    idempotency_key: str | None = None,
) -> Registered:
    """Make a customer known and open their wallet; for one who is known, take over what is told.

    Who registers for the first time signs up: when the store says, or now. Raises a refusal of the input.
    """
    details = replace(details, name=name, email=email)
    return await _write(writer, actor, "registerCustomer", external_id, details, idempotency_key, opens=True)


async def update(
    writer: Writer,
    actor: Actor,
    *,
    external_id: str,
    name: str | None = None,
    email: str | None = None,
    details: CustomerDetails = NOTHING,
    idempotency_key: str | None = None,
) -> Registered:
    """Take over what is told of a known customer; what isn't said stays. Raises `NotFound`."""
    details = replace(details, name=name, email=email)
    try:
        return await _write(
            writer, actor, "updateCustomer", external_id, details, idempotency_key, opens=False
        )
    except NotFound:
        raise NotFound("customer", field=("storeCustomerId",)) from None


def require_not_oneself(principal: Principal, external_id: str, details: CustomerDetails) -> None:
    """Refuse to take from somebody what cashback would be given to themselves for, or raise `OwnWallet`."""
    if details.counts and principal.owns(external_id):
        raise OwnWallet(field=("storeCustomerId",))


async def _write(  # noqa: PLR0917 — the two public functions name everything
    writer: Writer,
    actor: Actor,
    command: str,
    external_id: str,
    details: CustomerDetails,
    idempotency_key: str | None,
    *,
    opens: bool,
) -> Registered:
    external_id = check_external_id(external_id)
    details = _checked(details)

    def decide(draft: Draft) -> Row:
        known = draft.customer
        new = known.told(details, draft.now)
        signs_up = opens and known.signed_up_at is None
        if signs_up:
            new = replace(new, signed_up_at=new.signed_up_at or draft.now, updated_at=draft.now)
        if new != known:
            draft.set_customer(new)
        if signs_up:
            sign_up(draft)
        return draft.customer

    claim = None
    if idempotency_key is not None:
        request = {"external_id": external_id, **details.as_data()}
        claim = IdempotencyClaim.of(actor, idempotency_key, command, request)
    ref = WalletRef(external_id=external_id)
    # Only who registers can sign up.
    rows = ((Celebration, celebration_id(external_id, SIGN_UP_KEY)),) if opens else ()
    earns = (TriggerKind.SIGN_UP,) if opens else ()
    outcome = await writer.submit(
        Command(command, actor, ref, decide, claim, opens=opens, rows=rows, earns=earns)
    )
    return await _registered(outcome)


def _checked(details: CustomerDetails) -> CustomerDetails:
    name, email, roles, segments = details.name, details.email, details.roles, details.segments
    language = details.language
    return replace(
        details,
        language=None if language is None else check_language(language),
        name=None if name is None else check_text(name, field="name", length_max=NAME_MAX),
        email=None if email is None else check_email(email),
        roles=None if roles is None else check_words(roles, field="roles"),
        segments=None if segments is None else check_words(segments, field="segments"),
    )


async def _registered(outcome: Outcome) -> Registered:
    if outcome.wallet is not None and outcome.customer is not None:
        return Registered(customer_of(outcome.customer), wallet_of(outcome.wallet))
    wallet = await Wallet.get(id=outcome.result["Wallet"]).select_related("customer")
    return Registered(wallet.customer, wallet)


def check_external_id(text: str, *, field: str = "storeCustomerId") -> str:
    """Return a store's customer id as it is kept, or raise `FieldInvalid`."""
    kept = check_text(text, field=field, length_max=EXTERNAL_ID_MAX)
    if not kept:
        raise FieldInvalid(
            "The store's customer id is empty. Give the id that the store knows.",
            field=tuple(field.split(".")),
        )
    return kept


def check_email(text: str) -> str:
    """Return an e-mail address as it is kept, or raise `FieldInvalid`. Empty takes the address away."""
    kept = check_text(text, field="email", length_max=EMAIL_MAX)
    name, at, host = kept.rpartition("@")
    if kept and not (at and name and host and not any(character.isspace() for character in kept)):
        raise FieldInvalid("This is no e-mail address. Write it like name@example.com.", field=("email",))
    return kept
