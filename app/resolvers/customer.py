"""Customers: read, listed, made known."""

from typing import Annotated

import strawberry

from app.context import AppInfo
from app.domain.access import Capability
from app.domain.customer import WORDS_MAX, CustomerDetails
from app.domain.page import PageRequest
from app.resolvers.answering import answering, optional_key
from app.schema.types.connection import After, Before, Connection, First, Last, Offset, connection
from app.schema.types.customer import Customer, CustomerSelector, CustomerSort, CustomerSortField
from app.schema.types.inputs import INPUT, RegisterCustomerInput, UpdateCustomerInput
from app.schema.types.node import decode_id
from app.schema.types.payloads import RegisterCustomerPayload, UpdateCustomerPayload
from app.schema.types.sort import SortDirection
from app.schema.types.wallet import Wallet
from app.services import customer as customers


async def customer(
    info: AppInfo,
    by: Annotated[CustomerSelector, strawberry.argument(description="Names the customer.")],
) -> Customer | None:
    """Find one customer: any for those who may read them, oneself for a customer."""
    if by.id is not strawberry.UNSET and by.id is not None:
        row = await customers.find(customer_id=decode_id(by.id, "Customer", field=("by", "id")))
    else:
        row = await customers.find(
            external_id=customers.check_external_id(str(by.store_customer_id), field="by.storeCustomerId")
        )
    principal = info.context.principal
    if row is None or not (principal.may(Capability.CUSTOMERS_READ) or principal.owns(row.external_id)):
        return None
    return Customer(model=row)


async def list_customers(
    info: AppInfo,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    offset: Offset = None,
    search: Annotated[
        str | None,
        strawberry.argument(
            description="Parts of the name, e-mail or store id, without regard to case; one of at least three characters."
        ),
    ] = None,
    sort: Annotated[
        CustomerSort | None, strawberry.argument(description="The order; by name when left out.")
    ] = None,
) -> Connection[Customer]:
    """List customers."""
    order = sort or CustomerSort(field=CustomerSortField.NAME)
    found = await customers.customers(search)
    page = await customers.page_of(
        found,
        order.field.value,
        PageRequest(first, after, last, before, offset),
        descending=order.direction is SortDirection.DESC,
    )
    return connection(page, lambda row: Customer(model=row), found.query)


@answering(RegisterCustomerPayload)
async def register_customer(
    info: AppInfo,
    input: Annotated[RegisterCustomerInput, INPUT],  # noqa: A002
) -> RegisterCustomerPayload:
    """Make a customer known."""
    details = _details(input)
    customers.require_not_oneself(info.context.principal, input.store_customer_id, details)
    done = await customers.register(
        info.context.runtime.writer,
        info.context.principal.actor,
        external_id=input.store_customer_id,
        name=input.name,
        email=input.email,
        details=details,
        idempotency_key=optional_key(input.idempotency_key),
    )
    return RegisterCustomerPayload(customer=Customer(model=done.customer), wallet=Wallet(model=done.wallet))


@answering(UpdateCustomerPayload)
async def update_customer(
    info: AppInfo,
    input: Annotated[UpdateCustomerInput, INPUT],  # noqa: A002
) -> UpdateCustomerPayload:
    """Take over what is new of a customer."""
    details = _details(input)
    customers.require_not_oneself(info.context.principal, input.store_customer_id, details)
    done = await customers.update(
        info.context.runtime.writer,
        info.context.principal.actor,
        external_id=input.store_customer_id,
        name=input.name,
        email=input.email,
        details=details,
        idempotency_key=optional_key(input.idempotency_key),
    )
    return UpdateCustomerPayload(customer=Customer(model=done.customer), wallet=Wallet(model=done.wallet))


def _details(given: RegisterCustomerInput | UpdateCustomerInput) -> CustomerDetails:
    told = given.birthday is not strawberry.UNSET
    return CustomerDetails(
        birthday=given.birthday if told else None,
        without_birthday=told and given.birthday is None,
        roles=None if given.roles is None else tuple(given.roles[: WORDS_MAX + 1]),
        segments=None if given.segments is None else tuple(given.segments[: WORDS_MAX + 1]),
        signed_up_at=given.signed_up_at,
        language=given.language,
    )
