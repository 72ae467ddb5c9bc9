"""The words of cashback in the schema."""

from app.domain.cashback.check import CheckName
from app.domain.cashback.evaluation import CapName, Decision
from app.domain.cashback.period import Period
from app.domain.cashback.reward import RewardKind, RewardPer, VestingKind
from app.domain.cashback.rule import MilestoneKind, RuleStatus, StackingMode, TriggerKind
from app.domain.cashback.share import Rounding
from app.schema.types.enums import publish

__all__ = [
    "CapName",
    "CheckName",
    "Decision",
    "MilestoneKind",
    "Period",
    "RewardKind",
    "RewardPer",
    "Rounding",
    "RuleStatus",
    "StackingMode",
    "TriggerKind",
    "VestingKind",
]

publish(RuleStatus, "Whether a cashback rule gives anything.", name="CashbackRuleStatus")
publish(TriggerKind, "What a cashback rule waits for.", name="CashbackTriggerKind")
publish(MilestoneKind, "What is reached by a completed order.", name="CashbackMilestoneKind")
publish(StackingMode, "What becomes of several rules that apply at once.", name="CashbackStackingMode")
publish(RewardKind, "How a reward is worked out.", name="CashbackRewardKind")
publish(RewardPer, "How often a reward is given, and where it is rounded.", name="CashbackRewardPer")
publish(Rounding, "What becomes of a part of the smallest amount of a currency.", name="CashbackRounding")
publish(VestingKind, "When cashback becomes money that can be spent.", name="CashbackVestingKind")
publish(Period, "A stretch of the store's calendar that caps begin anew with.", name="CashbackPeriod")
publish(Decision, "What became of a rule.", name="CashbackDecisionKind")
publish(CapName, "Which cap of a rule it is.", name="CashbackCapKind")
publish(CheckName, "Which condition of a rule it is.", name="CashbackConditionKind")
