"""Cashback rules: listed, created, changed, started, paused, archived. Each change is a new version with its audit entry."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from tortoise.expressions import Q
from tortoise.queryset import QuerySet

from app.domain.access import Actor
from app.domain.cashback import registry
from app.domain.cashback.expression import Expressions
from app.domain.cashback.registry import StoredRule
from app.domain.cashback.rule import CashbackRule, RuleStatus, revised
from app.domain.ledger import Desk
from app.domain.note import check_reason, check_text
from app.domain.page import Page, PageRequest
from app.domain.role import Role
from app.models.cashback_rule import CashbackRule as RuleModel, CashbackRuleVersion as VersionModel
from app.models.paging import (
    CountLoader,
    PageLoader,
    Sort,
    fetch_page,
    integer_value,
    text_value,
    time_value,
)
from app.services.ledger.command import DeskCommand, IdempotencyClaim
from app.services.ledger.rows import cashback_rule_of
from app.services.ledger.writer import Writer

SORTS = {
    "PRIORITY": Sort("PRIORITY", "priority", lambda row: row.priority, integer_value),
    "NAME": Sort("NAME", "name", lambda row: row.name, text_value),
    "UPDATED_AT": Sort("UPDATED_AT", "updated_at", lambda row: row.updated_at, time_value),
}
"""The orders that a list of rules comes in."""

VERSION_SORT = Sort("VERSION", "version", lambda row: row.version, integer_value, descending=True)
"""Versions come newest first."""

SEARCH_MAX = 100


@dataclass(frozen=True, slots=True)
class RuleFilter:
    """What a list of rules is narrowed to; `None` does not narrow. `search` is a part of the name."""

    statuses: tuple[str, ...] | None = None
    triggers: tuple[str, ...] | None = None
    search: str | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """The rule after a change, and whether this is the answer to a repeated request."""

    rule: RuleModel
    replayed: bool


def rules(wanted: RuleFilter) -> QuerySet[RuleModel]:
    """Return the query of a list of rules."""
    query = RuleModel.all()
    if wanted.statuses is not None:
        query = query.filter(status__in=wanted.statuses)
    if wanted.triggers is not None:
        query = query.filter(trigger_kind__in=wanted.triggers)
    if wanted.search:
        for word in check_text(wanted.search, field="search", length_max=SEARCH_MAX).split():
            query = query.filter(name__icontains=word)
    return query


def offers(now: datetime) -> QuerySet[RuleModel]:
    """Return the query of the rules that give something now; those that begin later are nobody's business yet."""
    return RuleModel.filter(
        Q(status=str(RuleStatus.ACTIVE)),
        Q(starts_at__isnull=True) | Q(starts_at__lte=now),
        Q(ends_at__isnull=True) | Q(ends_at__gt=now),
    )


async def page_of(
    query: QuerySet[RuleModel], sort: str, request: PageRequest, *, descending: bool
) -> Page[RuleModel]:
    """Read one page of a list of rules."""
    return await fetch_page(query, replace(SORTS[sort], descending=descending), request)


async def find(rule_id: UUID) -> RuleModel | None:
    """Return a rule as it is now, if there is one."""
    return await RuleModel.get_or_none(id=rule_id)


Pages = PageLoader[None, VersionModel]
Counts = CountLoader[None]


def pages() -> Pages:
    """Return a loader of pages of rules' versions, newest first."""
    return PageLoader(_versions, VERSION_SORT, partition="rule_id")


def counts() -> Counts:
    """Return a loader of how many versions rules have."""
    return CountLoader(_versions, partition="rule_id")


def _versions(_wanted: None, rule_id: UUID | None) -> QuerySet[VersionModel]:
    return VersionModel.all() if rule_id is None else VersionModel.filter(rule_id=rule_id)


# --- change -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Request:
    """Who wants a change of a rule, and why; `content` is the whole input as plain data, which the key stands for."""

    actor: Actor
    note: str
    content: Any
    idempotency_key: str | None


async def create(
    writer: Writer,
    expressions: Expressions,
    made: Callable[[UUID], CashbackRule],
    request: Request,
    *,
    expression: str | None,
) -> Kept:
    """Keep a new rule, as a draft. Raises `FieldInvalid`, `LimitReached` or a refusal of the note.

    `expression` is what somebody wrote just now: it is tried before anything is kept.
    """
    note = check_reason(request.note)
    await try_expression(expressions, expression)

    def decide(desk: Desk) -> StoredRule:
        return registry.create(desk, made, note=note, actor=request.actor)

    return await _submit(writer, "createCashbackRule", decide, request)


async def update(
    writer: Writer,
    expressions: Expressions,
    rule_id: UUID,
    changes: Callable[[CashbackRule], dict[str, Any]],
    request: Request,
    *,
    expression: str | None,
) -> Kept:
    """Keep a rule's next version. Raises `NotFound`, `FieldInvalid` or a refusal of the note."""
    note = check_reason(request.note)
    await try_expression(expressions, expression)

    def changed(rule: CashbackRule) -> CashbackRule:
        return revised(rule, **changes(rule))

    def decide(desk: Desk) -> StoredRule:
        return registry.update(desk, rule_id, changed, note=note, actor=request.actor)

    return await _submit(writer, "updateCashbackRule", decide, request)


async def put(writer: Writer, rule_id: UUID, status: RuleStatus, request: Request, *, command: str) -> Kept:
    """Start, pause or archive a rule. Raises `NotFound`, `FieldInvalid` or a refusal of the note."""
    note = check_reason(request.note)

    def decide(desk: Desk) -> StoredRule:
        def changed(rule: CashbackRule) -> CashbackRule:
            starts_at = rule.starts_at
            if status is RuleStatus.ACTIVE and starts_at is None:
                # Orders of years ago may be told of tomorrow: a rule gives nothing for what came before it.
                starts_at = desk.now
            return revised(rule, status=status, starts_at=starts_at)

        return registry.update(desk, rule_id, changed, note=note, actor=request.actor)

    return await _submit(writer, command, decide, request)


async def try_expression(expressions: Expressions, expression: str | None) -> None:
    """Refuse an expression that somebody wrote just now and that can't be kept, or takes too long."""
    if expression:
        # It may take a while on the largest order: other requests go on meanwhile.
        await asyncio.to_thread(expressions.check, expression)


async def _submit(
    writer: Writer, command: str, decide: Callable[[Desk], StoredRule], request: Request
) -> Kept:
    actor, claim = request.actor, None
    if request.idempotency_key is not None:
        claim = IdempotencyClaim.of(actor, request.idempotency_key, command, request.content)
    # The roles are never empty, so that the first rules of a store wait for each other too.
    outcome = await writer.submit(DeskCommand(command, actor, decide, claim, tables=(Role, StoredRule)))
    if isinstance(outcome.answer, StoredRule):
        return Kept(cashback_rule_of(outcome.answer), replayed=False)
    return Kept(await RuleModel.get(id=outcome.result["StoredRule"]), replayed=True)
