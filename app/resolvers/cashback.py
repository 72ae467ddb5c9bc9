"""Cashback: rules, what a cart would earn, what a rule would have cost."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from typing import Annotated, Any
from uuid import UUID

import strawberry

from app.context import AppInfo, RequestError
from app.domain.access import Capability
from app.domain.cashback.rule import CashbackRule as Terms, RuleStatus, check_rule, revised
from app.domain.errors import DomainError, FieldInvalid, NotFound, NotStoresCurrency
from app.domain.page import PageRequest
from app.resolvers.answering import answering, checked_key, optional_key
from app.schema.types.cashback import (
    CashbackOffer,
    CashbackRule,
    CashbackRuleFilter,
    CashbackRuleSort,
    CashbackRuleSortField,
    offer_of,
    rule_of,
)
from app.schema.types.cashback_inputs import (
    ActivateCashbackRuleInput,
    ArchiveCashbackRuleInput,
    CreateCashbackRuleInput,
    PauseCashbackRuleInput,
    SimulateCashbackRuleInput,
    UpdateCashbackRuleInput,
    changes_of,
    content_of,
    expression_of,
    naming_rule_fields,
    new_rule,
)
from app.schema.types.cashback_preview import (
    CashbackPreview,
    PreviewCashbackInput,
    cart_of,
    naming_cart_fields,
    preview_type,
)
from app.schema.types.cashback_simulation import (
    CashbackSimulation,
    CashbackSimulationProgress,
    progress_type,
    simulation_type,
)
from app.schema.types.connection import After, Before, Connection, First, Last, Offset, connection
from app.schema.types.customer import CustomerSelector
from app.schema.types.filters import texts
from app.schema.types.inputs import INPUT
from app.schema.types.node import decode_id
from app.schema.types.payloads import (
    ActivateCashbackRulePayload,
    ArchiveCashbackRulePayload,
    CashbackRulePayload,
    CreateCashbackRulePayload,
    PauseCashbackRulePayload,
    UpdateCashbackRulePayload,
)
from app.schema.types.refusal import request_error
from app.schema.types.sort import SortDirection
from app.services import customer as customers
from app.services.cashback import rule as rules
from app.services.cashback.facts import CustomerRef, customer_for
from app.services.cashback.preview import preview
from app.services.cashback.rule import Request, RuleFilter
from app.services.cashback.simulation import Placed, Progress, simulate

RULE = "CashbackRule"


async def cashback_rule(
    info: AppInfo,
    id: Annotated[strawberry.ID, strawberry.argument(description="The rule's id.")],  # noqa: A002
) -> CashbackRule | None:
    """Find one rule."""
    row = await rules.find(decode_id(id, RULE))
    return None if row is None else rule_of(row)


async def list_cashback_rules(
    info: AppInfo,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    offset: Offset = None,
    search: Annotated[
        str | None, strawberry.argument(description="Parts of the name, without regard to case.")
    ] = None,
    filter: Annotated[  # noqa: A002 — the argument's name in the API
        CashbackRuleFilter | None, strawberry.argument(description="What the list is narrowed to.")
    ] = None,
    sort: Annotated[
        CashbackRuleSort | None,
        strawberry.argument(description="The order; highest priority first when left out."),
    ] = None,
) -> Connection[CashbackRule]:
    """List rules."""
    order = sort or CashbackRuleSort(field=CashbackRuleSortField.PRIORITY, direction=SortDirection.DESC)
    wanted = RuleFilter(search=search)
    if filter is not None:
        statuses = texts(filter.statuses, "filter.statuses")
        wanted = RuleFilter(statuses, texts(filter.triggers, "filter.triggers"), search)
    query = rules.rules(wanted)
    request = PageRequest(first, after, last, before, offset)
    descending = order.direction is SortDirection.DESC
    page = await rules.page_of(query, order.field.value, request, descending=descending)
    return connection(page, rule_of, query)


async def list_cashback_offers(
    info: AppInfo,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[CashbackOffer]:
    """List what rules give now, as the public may know it."""
    query = rules.offers(info.context.runtime.clock())
    request = PageRequest(first, after, last, before, None)
    page = await rules.page_of(query, CashbackRuleSortField.PRIORITY.value, request, descending=True)
    return connection(page, offer_of, query)


# --- change -------------------------------------------------------------------------------------------------


@answering(CreateCashbackRulePayload)
async def create_cashback_rule(
    info: AppInfo,
    input: Annotated[CreateCashbackRuleInput, INPUT],  # noqa: A002
) -> CreateCashbackRulePayload:
    """Keep a new rule."""
    runtime, key = info.context.runtime, checked_key(input.idempotency_key)
    request = Request(info.context.principal.actor, input.note, content_of(input), key)
    with naming_rule_fields("rule"):
        _require_stores_currency(info, input.rule.currency)
        done = await rules.create(
            runtime.writer,
            runtime.rule_books.expressions,
            new_rule(input.rule),
            request,
            expression=expression_of(input.rule),
        )
    return CreateCashbackRulePayload(cashback_rule=rule_of(done.rule), replayed=done.replayed)


@answering(UpdateCashbackRulePayload)
async def update_cashback_rule(
    info: AppInfo,
    input: Annotated[UpdateCashbackRuleInput, INPUT],  # noqa: A002
) -> UpdateCashbackRulePayload:
    """Keep a rule's next version."""
    runtime, key = info.context.runtime, optional_key(input.idempotency_key)
    request = Request(info.context.principal.actor, input.note, content_of(input), key)
    with naming_rule_fields("changes"):
        _require_stores_currency(info, input.changes.currency)
        done = await rules.update(
            runtime.writer,
            runtime.rule_books.expressions,
            decode_id(input.rule_id, RULE, field=("ruleId",)),
            changes_of(input.changes),
            request,
            expression=expression_of(input.changes),
        )
    return UpdateCashbackRulePayload(cashback_rule=rule_of(done.rule), replayed=done.replayed)


def _require_stores_currency(info: AppInfo, given: str | None) -> None:
    """Refuse a currency that no order counts in."""
    store = info.context.runtime.settings.currency
    if given not in {None, strawberry.UNSET, store}:
        raise NotStoresCurrency(given=str(given), store=store, field=("currency",))


@answering(ActivateCashbackRulePayload)
async def activate_cashback_rule(
    info: AppInfo,
    input: Annotated[ActivateCashbackRuleInput, INPUT],  # noqa: A002
) -> ActivateCashbackRulePayload:
    """Have a rule give cashback."""
    done = await _put(info, input, RuleStatus.ACTIVE, "activateCashbackRule")
    return ActivateCashbackRulePayload(**vars(done))


@answering(PauseCashbackRulePayload)
async def pause_cashback_rule(
    info: AppInfo,
    input: Annotated[PauseCashbackRuleInput, INPUT],  # noqa: A002
) -> PauseCashbackRulePayload:
    """Stop a rule for a while."""
    done = await _put(info, input, RuleStatus.PAUSED, "pauseCashbackRule")
    return PauseCashbackRulePayload(**vars(done))


@answering(ArchiveCashbackRulePayload)
async def archive_cashback_rule(
    info: AppInfo,
    input: Annotated[ArchiveCashbackRuleInput, INPUT],  # noqa: A002
) -> ArchiveCashbackRulePayload:
    """End a rule for good."""
    done = await _put(info, input, RuleStatus.ARCHIVED, "archiveCashbackRule")
    return ArchiveCashbackRulePayload(**vars(done))


async def _put(
    info: AppInfo,
    given: ActivateCashbackRuleInput | PauseCashbackRuleInput | ArchiveCashbackRuleInput,
    status: RuleStatus,
    command: str,
) -> CashbackRulePayload:
    key = optional_key(given.idempotency_key)
    request = Request(info.context.principal.actor, given.note, content_of(given), key)
    row_id = decode_id(given.rule_id, RULE, field=("ruleId",))
    with naming_rule_fields("rule"):
        done = await rules.put(info.context.runtime.writer, row_id, status, request, command=command)
    return CashbackRulePayload(cashback_rule=rule_of(done.rule), replayed=done.replayed)


# --- preview ------------------------------------------------------------------------------------------------


async def preview_cashback(
    info: AppInfo,
    input: Annotated[PreviewCashbackInput, INPUT],  # noqa: A002
) -> CashbackPreview:
    """Tell what a cart would earn."""
    context, now = info.context, info.context.runtime.clock()
    with naming_cart_fields():
        cart = cart_of(input, context.runtime.settings.currency, now)
        customer = await customer_for(context.principal, _named(input.customer))
    found = await preview(context.runtime.rule_books, cart, customer, now)
    return preview_type(found, explained_to_staff=context.principal.may(Capability.CASHBACK_READ))


def _named(given: CustomerSelector | None) -> CustomerRef | None:
    if given is None:
        return None
    if given.id:
        return CustomerRef(decode_id(given.id, "Customer", field=("customer", "id")))
    external_id = customers.check_external_id(
        str(given.store_customer_id or ""), field="customer.storeCustomerId"
    )
    return CustomerRef(external_id=external_id)


# --- simulation ---------------------------------------------------------------------------------------------


async def simulate_cashback_rule(
    info: AppInfo,
    input: Annotated[SimulateCashbackRuleInput, INPUT],  # noqa: A002
) -> AsyncGenerator[CashbackSimulationProgress, None]:
    """Try a rule over past orders, and tell how far it is."""
    try:
        async with aclosing(_simulated(info, input)) as steps:
            async for progress in steps:
                yield progress_type(progress)
    except DomainError as error:
        raise request_error(error) from None


async def cashback_simulation(
    info: AppInfo,
    input: Annotated[SimulateCashbackRuleInput, INPUT],  # noqa: A002
) -> CashbackSimulation:
    """Try a rule over past orders."""
    async with aclosing(_simulated(info, input)) as steps:
        async for progress in steps:
            if progress.done:
                return simulation_type(progress.simulation)
    raise AssertionError("a simulation ends by telling that it is done")


async def _simulated(info: AppInfo, given: SimulateCashbackRuleInput) -> AsyncGenerator[Progress, None]:
    runtime = info.context.runtime
    with _one_at_a_time(info), _naming_simulated(given):
        rule = await _rule_to_simulate(info, given)
        placed = Placed(given.placed.from_, given.placed.to) if given.placed else Placed()
        in_force = await runtime.rule_books.in_force()
        steps = simulate(
            rule,
            placed,
            currency=runtime.settings.currency,
            settings=in_force.settings,
            expressions=runtime.rule_books.expressions,
        )
        async with aclosing(steps):
            async for progress in steps:
                yield progress


@contextmanager
def _one_at_a_time(info: AppInfo) -> Iterator[None]:
    principal, simulating = info.context.principal, info.context.runtime.simulating
    key = (str(principal.kind), principal.subject)
    if key in simulating:
        raise RequestError(
            "RATE_LIMITED",
            "You have a simulation running already. Wait for it, or end it by closing its connection.",
        )
    simulating.add(key)
    try:
        yield
    finally:
        simulating.discard(key)


@contextmanager
def _naming_simulated(given: SimulateCashbackRuleInput) -> Iterator[None]:
    try:
        with naming_rule_fields("rule" if given.rule else "changes"):
            yield
    except DomainError as error:
        error.field = ("input", *error.field)
        raise


async def _rule_to_simulate(info: AppInfo, given: SimulateCashbackRuleInput) -> Terms:
    if (given.rule is None) == (given.rule_id is None) or (given.rule and given.changes):
        raise FieldInvalid("Give a whole `rule`, or a `ruleId` with or without `changes`.", field=("ruleId",))
    expressions = info.context.runtime.rule_books.expressions
    part = given.rule or given.changes
    await rules.try_expression(expressions, expression_of(part))
    _require_stores_currency(info, part.currency if part else None)
    if given.rule is not None:
        return check_rule(new_rule(given.rule)(UUID(int=0)))
    row = await rules.find(decode_id(str(given.rule_id), RULE, field=("ruleId",)))
    if row is None:
        raise NotFound("cashback rule", field=("ruleId",))
    terms = Terms.from_data(row.data)
    changes: dict[str, Any] = {} if given.changes is None else changes_of(given.changes)(terms)
    return revised(terms, **changes) if changes else terms
