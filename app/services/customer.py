"""Customers: told by the store, found by staff."""

from dataclasses import dataclass, replace
from uuid import UUID

from tortoise.queryset import QuerySet

from app.domain.access import Actor
from app.domain.customer import fold
from app.domain.errors import FieldInvalid, NotFound
from app.domain.ledger import Draft, Row
from app.domain.note import check_text
from app.domain.page import Page, PageRequest
from app.models.customer import Customer
from app.models.paging import Sort, fetch_page, text_value, time_value
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
SEARCH_MAX = 100


@dataclass(frozen=True, slots=True)
class Registered:
    """A customer with their wallet."""

    customer: Customer
    wallet: Wallet


def search(query: QuerySet[Customer], text: str) -> QuerySet[Customer]:
    """Narrow a query to the customers whose name, e-mail or store id holds every word, without regard to case."""
    if len(text) > SEARCH_MAX:
        raise FieldInvalid(
            f"A search has at most {SEARCH_MAX} characters. Shorten it and try again.", field=("search",)
        )
    for word in fold(check_text(text, field="search", length_max=SEARCH_MAX)).split():
        query = query.filter(search_text__contains=word)
    return query


def customers(search_text: str | None) -> QuerySet[Customer]:
    """Return the query of a list of customers."""
    query = Customer.all()
    return search(query, search_text) if search_text else query


async def page_of(
    query: QuerySet[Customer], sort: str, request: PageRequest, *, descending: bool
) -> Page[Customer]:
    """Read one page of a list of customers."""
    return await fetch_page(query, replace(SORTS[sort], descending=descending), request)


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
    name: str | None,
    email: str | None,
    idempotency_key: str | None,
) -> Registered:
    """Make a customer known and open their wallet; for one who is known, take over the name and e-mail."""
    return await _write(
        writer, actor, "registerCustomer", external_id, name, email, idempotency_key, opens=True
    )


async def update(
    writer: Writer,
    actor: Actor,
    *,
    external_id: str,
    name: str | None,
    email: str | None,
    idempotency_key: str | None,
) -> Registered:
    """Take over a known customer's new name or e-mail; what isn't said stays. Raises `NotFound`."""
    try:
        return await _write(
            writer, actor, "updateCustomer", external_id, name, email, idempotency_key, opens=False
        )
    except NotFound:
        raise NotFound("customer", field=("storeCustomerId",)) from None


async def _write(  # noqa: PLR0917 — the two public functions name everything
    writer: Writer,
    actor: Actor,
    command: str,
    external_id: str,
    name: str | None,
    email: str | None,
    idempotency_key: str | None,
    *,
    opens: bool,
) -> Registered:
    external_id = check_external_id(external_id)
    name = None if name is None else check_text(name, field="name", length_max=NAME_MAX)
    email = None if email is None else check_email(email)

    def decide(draft: Draft) -> Row:
        known = draft.customer
        new = replace(
            known,
            name=known.name if name is None else name,
            email=known.email if email is None else email,
        )
        if new != known:
            draft.set_customer(replace(new, updated_at=draft.now))
        return draft.customer

    claim = None
    if idempotency_key is not None:
        request = {"external_id": external_id, "name": name, "email": email}
        claim = IdempotencyClaim.of(actor, idempotency_key, command, request)
    outcome = await writer.submit(
        Command(command, actor, WalletRef(external_id=external_id), decide, claim, opens=opens)
    )
    return await _registered(outcome)


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
