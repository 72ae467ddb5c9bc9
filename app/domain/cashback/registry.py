"""Rules as the store keeps them: the newest version of each, every version that there was, and how they change."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from app.domain.access import Actor
from app.domain.audit import AuditAction, AuditEntry, changes
from app.domain.cashback.rule import CashbackRule, RuleStatus, check_rule
from app.domain.errors import LimitReached, NotFound
from app.domain.ledger import Desk

RULES_MAX = 200
"""Rules that a store has at most, without those that are archived: each of them is asked at every order."""


@dataclass(frozen=True, slots=True)
class StoredRule:
    """A rule as it is now. `revision` is its newest version's."""

    id: UUID
    rule: CashbackRule
    revision: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class RuleChange:
    """A version of a rule: who made it, when and why.

    `revision` counts the versions of all rules together, so the highest one tells whether any rule has changed.
    """

    id: UUID
    rule: CashbackRule
    revision: int
    actor: Actor
    note: str
    created_at: datetime


def create(desk: Desk, made: Callable[[UUID], CashbackRule], *, note: str, actor: Actor) -> StoredRule:
    """Keep a new rule, which `made` makes for an id. Raises `FieldInvalid` or `LimitReached`."""
    rule = check_rule(made(desk.mint.id()))
    rules = desk.table(StoredRule)
    _require_room(rules)
    return _keep(desk, rules, None, rule, note, actor)


def update(
    desk: Desk,
    rule_id: UUID,
    changed: Callable[[CashbackRule], CashbackRule],
    *,
    note: str,
    actor: Actor,
) -> StoredRule:
    """Keep the next version of a rule, which `changed` makes of the newest one; one that is as it was is not kept.

    Raises `NotFound`, and what `changed` raises.
    """
    rules = desk.table(StoredRule)
    stored = next((stored for stored in rules if stored.id == rule_id), None)
    if stored is None:
        raise NotFound("cashback rule", field=("ruleId",))
    rule = changed(stored.rule)
    if replace(rule, version=stored.rule.version) == stored.rule:
        return stored
    return _keep(desk, rules, stored, rule, note, actor)


def _require_room(rules: Iterable[StoredRule]) -> None:
    kept = sum(stored.rule.status is not RuleStatus.ARCHIVED for stored in rules)
    if kept >= RULES_MAX:
        raise LimitReached(f"There are {RULES_MAX} rules already. Archive those that are over.")


def _keep(  # noqa: PLR0917 — the two public functions name everything
    desk: Desk,
    rules: Iterable[StoredRule],
    before: StoredRule | None,
    rule: CashbackRule,
    note: str,
    actor: Actor,
) -> StoredRule:
    now = desk.now
    revision = 1 + max((stored.revision for stored in rules), default=0)
    stored = StoredRule(rule.id, rule, revision, before.created_at if before else now, now)
    desk.add(stored)
    desk.add(RuleChange(desk.mint.id(), rule, revision, actor, note, now))
    action = AuditAction.UPDATE_CASHBACK_RULE if before else AuditAction.CREATE_CASHBACK_RULE
    data = changes(rule.name, before.rule.as_data() if before else {}, rule.as_data())
    desk.add(AuditEntry(desk.mint.id(), None, action, actor, note, now, data))
    return stored
