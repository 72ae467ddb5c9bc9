"""Rules as the store keeps them: stored and read back, counted, limited."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given, strategies as st

from app.domain.access import Actor, ActorKind
from app.domain.audit import AuditAction, AuditEntry
from app.domain.bucket import Bucket
from app.domain.cashback import registry
from app.domain.cashback.condition import Base, Conditions, LineFilter
from app.domain.cashback.period import Period
from app.domain.cashback.registry import RULES_MAX, RuleChange, StoredRule
from app.domain.cashback.reward import (
    Caps,
    Expiry,
    PeriodCap,
    Reward,
    RewardKind,
    RewardPer,
    Vesting,
    VestingKind,
)
from app.domain.cashback.rule import (
    CashbackRule,
    MilestoneKind,
    RuleStatus,
    Stacking,
    StackingMode,
    Trigger,
    TriggerKind,
    revised,
)
from app.domain.cashback.share import Rounding
from app.domain.cashback.summary import offer, summary
from app.domain.errors import FieldInvalid, LimitReached, NotFound
from app.domain.ledger import Desk
from app.domain.settings import StoreSettings
from app.services.ledger import records, tables
from app.services.ledger.mint import RandomMint
from tests.domain.cashback.shop import AT, rule

ACTOR = Actor(ActorKind.STAFF, "max")
NOTE = "For the spring, agreed with the owner"

words = st.frozensets(st.text("abcä é", min_size=1, max_size=8).filter(str.strip), max_size=3)
amounts = st.none() | st.integers(1, 10**15)
times = st.none() | st.datetimes(timezones=st.just(AT.tzinfo))
bases = st.builds(Base, *(st.booleans() for _ in range(4)))
triggers = st.one_of(
    st.builds(
        Trigger, st.sampled_from([kind for kind in TriggerKind if kind.value not in {"MILESTONE", "EVENT"}])
    ),
    st.builds(
        lambda n: Trigger(TriggerKind.MILESTONE, MilestoneKind.EVERY_NTH_ORDER, n), st.integers(2, 10_000)
    ),
    st.builds(
        lambda spend: Trigger(TriggerKind.MILESTONE, MilestoneKind.LIFETIME_SPEND, spend_minor=spend),
        st.integers(1, 10**15),
    ),
    st.just(Trigger(TriggerKind.EVENT, event="review")),
)
conditions = st.builds(
    Conditions,
    minimum_minor=amounts,
    maximum_minor=amounts,
    base=bases,
    of_matching_lines=st.booleans(),
    lines=st.builds(LineFilter, words, words, words, words, words, words, st.booleans(), st.booleans()),
    payment_methods_in=words,
    payment_methods_out=words,
    roles_in=words,
    roles_out=words,
    segments_in=words,
    segments_out=words,
    weekdays=st.frozensets(st.integers(1, 7)),
    minute_from=st.none() | st.integers(0, 1_439),
    minute_to=st.none() | st.integers(1, 1_440),
    days_since_sign_up_min=st.none() | st.integers(0, 36_500),
    days_since_sign_up_max=st.none() | st.integers(0, 36_500),
    expression=st.sampled_from(["", "amount_minor > 5", 'event == "ä"']),
)
periods = st.lists(st.sampled_from(Period), unique=True, max_size=4).map(
    lambda kinds: tuple(PeriodCap(kind, place + 1) for place, kind in enumerate(kinds))
)
rewards = st.builds(
    Reward,
    kind=st.sampled_from(RewardKind),
    percent_bp=st.integers(0, 10_000),
    amount_minor=st.integers(0, 10**15),
    per=st.sampled_from(RewardPer),
    base=bases,
    rounding=st.sampled_from(Rounding),
    bucket=st.sampled_from([Bucket.CASH, Bucket.PROMO]),
    caps=st.builds(Caps, amounts, periods, amounts, amounts),
    vesting=st.builds(Vesting, st.sampled_from(VestingKind), st.integers(0, 3_650)),
    expiry=st.builds(Expiry, st.none() | st.integers(1, 3_650), st.booleans()),
)
rules = st.builds(
    CashbackRule,
    id=st.uuids(),
    version=st.integers(1, 2**31 - 1),
    name=st.text(min_size=1, max_size=20),
    trigger=triggers,
    reward=rewards,
    conditions=conditions,
    description=st.text(max_size=20),
    status=st.sampled_from(RuleStatus),
    currency=st.just("EUR"),
    starts_at=times,
    ends_at=times,
    priority=st.integers(-(10**6), 10**6),
    stacking=st.builds(Stacking, st.sampled_from(StackingMode), st.none() | st.just("spring")),
)


@given(rules)
def test_what_is_stored_is_what_is_read(kept: CashbackRule) -> None:
    stored = StoredRule(kept.id, kept, 7, AT, AT)
    change = RuleChange(UUID(int=3), kept, 7, ACTOR, NOTE, AT)
    for record, kind in ((stored, StoredRule), (change, RuleChange)):
        table = tables.BESIDE[kind]
        row: dict[str, Any] = dict(zip(table.columns, table.row(record), strict=True))
        assert orjson.loads(row["data"])["name"] == kept.name
        assert records.READERS[kind](row) == record


@given(rules)
def test_every_rule_can_be_told_in_words(kept: CashbackRule) -> None:
    for said in (summary(kept), offer(kept)):
        assert said.endswith(".")
        assert "None" not in said


class Shelf:
    """The rules of a store, without a database."""

    def __init__(self) -> None:
        self.rules: dict[UUID, StoredRule] = {}
        self.changes: list[RuleChange] = []
        self.entries: list[AuditEntry] = []

    def desk(self) -> Desk:
        """A desk that knows them."""
        return Desk(now=AT, mint=RandomMint(), settings=StoreSettings(), tables={StoredRule: self.rules})

    def _file(self, desk: Desk) -> None:
        for row in desk.rows:
            if isinstance(row, StoredRule):
                self.rules[row.id] = row
            elif isinstance(row, RuleChange):
                self.changes.append(row)
            elif isinstance(row, AuditEntry):
                self.entries.append(row)

    def create(self) -> StoredRule:
        """Keep another rule."""
        desk = self.desk()
        stored = registry.create(
            desk,
            lambda rule_id: replace(rule(status=RuleStatus.DRAFT), id=rule_id),
            note=NOTE,
            actor=ACTOR,
        )
        self._file(desk)
        return stored

    def update(self, rule_id: UUID, **changes: Any) -> StoredRule:
        """Keep a rule's next version."""
        desk = self.desk()
        stored = registry.update(
            desk, rule_id, lambda found: revised(found, **changes), note=NOTE, actor=ACTOR
        )
        self._file(desk)
        return stored


def test_revisions_count_over_all_rules() -> None:
    shelf = Shelf()
    first, second = shelf.create(), shelf.create()
    shelf.update(first.id, priority=5)
    shelf.update(second.id, status=RuleStatus.ACTIVE)
    told = [(change.rule.id, change.rule.version, change.revision) for change in shelf.changes]
    assert told == [(first.id, 1, 1), (second.id, 1, 2), (first.id, 2, 3), (second.id, 2, 4)]
    assert [shelf.rules[each.id].revision for each in (first, second)] == [3, 4]


def test_each_change_is_told_to_auditors() -> None:
    shelf = Shelf()
    first = shelf.create()
    shelf.update(first.id, priority=5)
    created, updated = shelf.entries
    assert (created.action, updated.action) == (
        AuditAction.CREATE_CASHBACK_RULE,
        AuditAction.UPDATE_CASHBACK_RULE,
    )
    assert (updated.data["before"], updated.data["after"]) == (
        {"version": 1, "priority": 0},
        {"version": 2, "priority": 5},
    )


def test_a_change_that_changes_nothing_is_no_version() -> None:
    shelf = Shelf()
    first = shelf.create()
    assert shelf.update(first.id, priority=0) == first
    assert len(shelf.changes) == 1


def test_rules_are_limited_but_for_those_that_are_archived() -> None:
    shelf = Shelf()
    made = [shelf.create() for _ in range(RULES_MAX)]
    with pytest.raises(LimitReached, match="Archive"):
        shelf.create()
    shelf.update(made[0].id, status=RuleStatus.ARCHIVED)
    assert shelf.create().revision == RULES_MAX + 2


def test_what_is_not_there_is_not_found() -> None:
    with pytest.raises(NotFound):
        Shelf().update(UUID(int=1), priority=1)


def test_amounts_keep_their_currency() -> None:
    kept = rule(fixed=500, status=RuleStatus.DRAFT)
    with pytest.raises(FieldInvalid, match="Make another rule"):
        revised(kept, currency="USD")
    free = replace(rule(status=RuleStatus.DRAFT), currency=None)
    assert revised(free, currency="USD").currency == "USD"
