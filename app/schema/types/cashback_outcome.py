"""What became of a cashback rule, step by step: as it was worked out just now, or as it was written down."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson
import strawberry

from app.domain.cashback.check import Check, CheckName
from app.domain.cashback.evaluation import CapApplied, Outcome
from app.domain.cashback.sentence import check_sentence, explained
from app.domain.money import Currency
from app.schema.types.cashback_enums import CapName, Decision, Rounding
from app.schema.types.money import Money, money
from app.schema.types.node import encode_id
from app.schema.types.scalars import BigInt


@strawberry.type(description="One condition of a rule, and whether it is met.")
class CashbackConditionOutcome:
    """The outcome of a condition."""

    kind: CheckName = strawberry.field(description="Which condition.")
    passed: bool = strawberry.field(description="Whether it is met.")
    wanted: str = strawberry.field(description="What it wants, in JSON; amounts in minor units.")
    found: str = strawberry.field(description="What was found, in JSON; amounts in minor units.")
    sentence: str | None = strawberry.field(description="What is missing, in words; null when it is met.")


@strawberry.type(description="A cap that lowered a reward.")
class CashbackCapOutcome:
    """The outcome of a cap."""

    kind: CapName = strawberry.field(description="Which cap.")
    limit: Money = strawberry.field(description="The most that it allows.")
    used: Money = strawberry.field(description="What counted before.")
    before: Money = strawberry.field(description="The reward before it.")
    after: Money = strawberry.field(description="The reward after it.")
    period: str | None = strawberry.field(description="The stretch of time, such as MONTH:2026-03.")


@strawberry.type(description="What became of one rule, step by step.")
class CashbackRuleOutcome:
    """The outcome of a rule."""

    rule_id: strawberry.ID = strawberry.field(description="The rule; fetch it by `cashbackRule`.")
    rule_name: str = strawberry.field(description="Its name.")
    rule_version: BigInt = strawberry.field(description="Which version of it was asked.")
    decision: Decision = strawberry.field(description="What became of it.")
    conditions: list[CashbackConditionOutcome] = strawberry.field(
        description="All its conditions, also those that are met."
    )
    base: Money | None = strawberry.field(
        description="What the reward is taken of; null where the rule does not apply."
    )
    deducted: Money | None = strawberry.field(
        description="What the wallet pays or coupons grant, which the base is less by."
    )
    rounded: Money = strawberry.field(description="The reward after rounding, before caps.")
    rounding: Rounding = strawberry.field(description="How it was rounded.")
    caps: list[CashbackCapOutcome] = strawberry.field(description="The caps that lowered it.")
    amount: Money = strawberry.field(description="What it would give after its caps, before other rules.")
    given: Money = strawberry.field(description="What it gives after all.")
    winner_id: strawberry.ID | None = strawberry.field(description="The rule that stood in its way, if any.")
    sentences: list[str] = strawberry.field(description="The same in words.")


def outcome_type(outcome: Outcome, currency: Currency) -> CashbackRuleOutcome:
    """Return what became of a rule as GraphQL shows it."""
    code, basis, winner = currency.code, outcome.basis, outcome.winner_id
    return CashbackRuleOutcome(
        rule_id=encode_id("CashbackRule", outcome.rule.id),
        rule_name=outcome.rule.name,
        rule_version=BigInt(outcome.rule.version),
        decision=outcome.decision,
        conditions=[_condition(check, currency) for check in outcome.checks],
        base=money(basis.amount_minor, code) if basis else None,
        deducted=money(basis.deducted_minor, code) if basis else None,
        rounded=money(outcome.rounded_minor, code),
        rounding=outcome.rule.reward.rounding,
        caps=[_cap(cap, code) for cap in outcome.caps],
        amount=money(outcome.amount_minor, code),
        given=money(outcome.given_minor, code),
        winner_id=encode_id("CashbackRule", winner) if winner else None,
        sentences=explained(outcome, currency),
    )


def _condition(check: Check, currency: Currency) -> CashbackConditionOutcome:
    return CashbackConditionOutcome(
        kind=check.name,
        passed=check.passed,
        wanted=orjson.dumps(check.wanted).decode(),
        found=orjson.dumps(check.found).decode(),
        sentence=None if check.passed else check_sentence(check, currency),
    )


def _cap(cap: CapApplied, code: str) -> CashbackCapOutcome:
    return CashbackCapOutcome(
        kind=cap.name,
        limit=money(cap.limit_minor, code),
        used=money(cap.used_minor, code),
        before=money(cap.from_minor, code),
        after=money(cap.to_minor, code),
        period=cap.period,
    )


def stored_outcome(data: Mapping[str, Any], currency: Currency) -> CashbackRuleOutcome:
    """Return what was written down of a rule; of one that did not apply, that is only what was missing."""
    code, rule, base, winner = currency.code, data["rule"], data.get("base"), data.get("winner_id")
    amount_minor, decision = data.get("amount_minor", 0), Decision(data["decision"])
    checks = [
        Check(CheckName(check["name"]), *map(check.get, ("wanted", "found", "passed")))
        for check in data["checks"]
    ]
    return CashbackRuleOutcome(
        rule_id=encode_id("CashbackRule", UUID(rule["id"])),
        rule_name=rule["name"],
        rule_version=BigInt(rule["version"]),
        decision=decision,
        conditions=[_condition(check, currency) for check in checks],
        base=money(base["amount_minor"], code) if base else None,
        deducted=money(base["deducted_minor"], code) if base else None,
        rounded=money(data.get("rounded_minor", 0), code),
        rounding=Rounding(data["rounding"]) if "rounding" in data else Rounding.HALF_UP,
        caps=[_cap(CapApplied(**cap | {"name": CapName(cap["name"])}), code) for cap in data.get("caps", ())],
        amount=money(amount_minor, code),
        given=money(amount_minor if decision is Decision.AWARDED else 0, code),
        winner_id=encode_id("CashbackRule", UUID(winner)) if winner else None,
        sentences=list(data["sentences"]),
    )
