"""The demo's cashback: a rule of three percent that vests when the return period is over, and what it gave."""

from uuid import UUID

from app.domain.access import Actor
from app.domain.cashback import posting
from app.domain.cashback.award import Award, award_of
from app.domain.cashback.condition import Conditions
from app.domain.cashback.earning import CashbackEvaluation, CashbackTotal, total_id
from app.domain.cashback.evaluation import RuleBook, evaluate
from app.domain.cashback.occasion import Occasion, Usage, award_id
from app.domain.cashback.reward import Expiry, Reward, RewardKind, Vesting, VestingKind
from app.domain.cashback.rule import CashbackRule, RuleStatus, Trigger, TriggerKind
from app.domain.ledger import Draft, Row
from app.seed.decisions import Decision

RETURN_PERIOD_DAYS = 14
LASTS_DAYS = 120

RULE = CashbackRule(
    id=UUID("01900000-0000-7000-8000-000000000003"),
    version=1,
    name="3 % back",
    description="Three percent of every order come back as store credit once the return period is over.",
    trigger=Trigger(TriggerKind.ORDER_COMPLETED),
    conditions=Conditions(),
    reward=Reward(
        RewardKind.PERCENT,
        percent_bp=300,
        vesting=Vesting(VestingKind.RETURN_PERIOD),
        expiry=Expiry(days=LASTS_DAYS),
    ),
    status=RuleStatus.ACTIVE,
)
_BOOK = RuleBook([RULE], time_zone="UTC")
Named = tuple[tuple[type[Row], UUID], ...]

AWARDED: Named = ((CashbackTotal, total_id(RULE.id)),)
"""What an award is decided with."""


def earned(order: int, amount_minor: int, actor: Actor) -> Decision:
    """An order is completed, and earns its cashback."""

    def decide(draft: Draft, _: UUID | None) -> Row | None:
        customer, currency = draft.customer.external_id, draft.wallet.currency
        occasion = Occasion(TriggerKind.ORDER_COMPLETED, _key(order), draft.now, currency, amount_minor)
        evaluation = evaluate(_BOOK, occasion, None, Usage())
        draft.add(CashbackEvaluation.of(evaluation, customer, draft.wallet.id, draft.now))
        for outcome in evaluation.awarded:
            award = award_of(
                outcome,
                occasion,
                customer,
                draft.wallet.id,
                now=draft.now,
                zone=_BOOK.zone,
                return_period_days=RETURN_PERIOD_DAYS,
            )
            posting.give(draft, award, actor)
        return None

    return decide


def vests(customer: str, order: int) -> tuple[Decision, Named]:
    """The return period is over: what the order earned is money."""
    row_id = award_id(RULE.id, customer, _key(order))

    def decide(draft: Draft, _: UUID | None) -> Row | None:
        award = draft.found(Award, row_id)
        if award is not None:
            posting.vest_due(draft, award)
        return None

    return decide, ((Award, row_id),)


def _key(order: int) -> str:
    return f"order:{order}"
