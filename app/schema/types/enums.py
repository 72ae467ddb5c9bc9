"""The domain's enumerations as GraphQL sees them: each value described by the sentence below it in the domain."""

import ast
import inspect
import sys
from collections.abc import Callable
from enum import Enum
from functools import cache
from itertools import pairwise
from types import ModuleType
from typing import Any, TypeVar

import strawberry

from app.domain.access import ActorKind, Capability, PrincipalKind
from app.domain.adjustment import AdjustmentReason, Direction
from app.domain.audit import AuditAction
from app.domain.auto_top_up import AutoTopUpKind, AutoTopUpStatus, ChargeOutcome, ChargeStatus
from app.domain.bucket import Bucket
from app.domain.cashback.award import ShortfallPolicy
from app.domain.delivery import DeliveryStatus, Door
from app.domain.email_kind import EmailKind
from app.domain.errors import ErrorCode
from app.domain.fraud import SignalKind
from app.domain.gift_card import GiftCardAccount, GiftCardEvent, GiftCardStatus
from app.domain.ledger import CounterAccount, TransactionKind, WalletStatus
from app.domain.notice_kind import NoticeKind
from app.domain.order import OrderProblem, OrderStatus
from app.domain.outbox import MessageStatus as OutgoingWebhookStatus
from app.domain.payment import CaptureMethod, PaymentEnd, PaymentOrigin, PaymentStatus
from app.domain.payout import DiscrepancyKind
from app.domain.payout_file import PayoutFileFormat
from app.domain.payout_method import PayoutMethodKind, PayoutMethodStatus
from app.domain.promotion import CouponProblem, PromotionStatus, RedemptionStatus
from app.domain.refund import RefundDestination
from app.domain.renewal import RenewalStatus
from app.domain.settings import CaptureOn, RenewalPolicy
from app.domain.standing import OrderPaymentState, OrderRefundState
from app.domain.top_up_intent import TopUpIntentStatus, TopUpObstacle
from app.domain.webhook_endpoint import (
    DisabledBy as WebhookEndpointDisabledBy,
    EndpointStatus as WebhookEndpointStatus,
)
from app.domain.withdrawal import WithdrawalProblem, WithdrawalStatus
from app.domain.withdrawal_allowance import LeftOutReason
from app.domain.withdrawal_terms import FeePayer, WithdrawalPeriod
from app.live import UpdateKind

# Types take the domain's enumerations from here, so that none enters the schema without its descriptions.
__all__ = [
    "ActorKind",
    "AdjustmentReason",
    "AuditAction",
    "AutoTopUpKind",
    "AutoTopUpStatus",
    "Bucket",
    "Capability",
    "CaptureMethod",
    "CaptureOn",
    "ChargeOutcome",
    "ChargeStatus",
    "CounterAccount",
    "CouponProblem",
    "DeliveryStatus",
    "Direction",
    "DiscrepancyKind",
    "Door",
    "EmailKind",
    "ErrorCode",
    "FeePayer",
    "GiftCardAccount",
    "GiftCardEvent",
    "GiftCardStatus",
    "LeftOutReason",
    "NoticeKind",
    "OrderPaymentState",
    "OrderProblem",
    "OrderRefundState",
    "OrderStatus",
    "OutgoingWebhookStatus",
    "PaymentEnd",
    "PaymentOrigin",
    "PaymentStatus",
    "PayoutFileFormat",
    "PayoutMethodKind",
    "PayoutMethodStatus",
    "PrincipalKind",
    "PromotionStatus",
    "RedemptionStatus",
    "RefundDestination",
    "RenewalPolicy",
    "RenewalStatus",
    "ShortfallPolicy",
    "SignalKind",
    "TopUpIntentStatus",
    "TopUpObstacle",
    "TransactionKind",
    "UpdateKind",
    "WalletStatus",
    "WebhookEndpointDisabledBy",
    "WebhookEndpointStatus",
    "WithdrawalPeriod",
    "WithdrawalProblem",
    "WithdrawalStatus",
    "publish",
]

E = TypeVar("E", bound=type[Enum])
M = TypeVar("M", bound=Enum)


@cache
def _classes(module: ModuleType) -> dict[str, list[ast.stmt]]:
    """Return the statements of each class of a module, which is parsed once for all its enumerations."""
    tree = ast.parse(inspect.getsource(module))
    return {node.name: node.body for node in tree.body if isinstance(node, ast.ClassDef)}


def sentences(enumeration: type[Enum]) -> dict[str, str]:
    """Return the sentence that stands below each member in the source."""
    found = {}
    for member, below in pairwise(_classes(sys.modules[enumeration.__module__])[enumeration.__name__]):
        if (
            isinstance(member, ast.Assign)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            target = member.targets[0]
            if isinstance(target, ast.Name):
                found[target.id] = inspect.cleandoc(str(below.value.value))
    return found


def member_of(enumeration: type[M]) -> Callable[[str], M]:
    """Return what finds the member that a column names; `KeyError` for what is none."""
    return {str(member.value): member for member in enumeration}.__getitem__


def publish(enumeration: E, description: str, *, name: str | None = None) -> E:
    """Make a domain enumeration part of the schema, with a description of the whole and of each value."""
    published: Any = strawberry.enum(enumeration, name=name, description=description)
    described = sentences(enumeration)
    for value in published.__strawberry_definition__.values:
        value.description = described[value.name]
    return enumeration


publish(Bucket, "The kind of value in a wallet.")
publish(WalletStatus, "Whether a wallet can be used.")
publish(TransactionKind, "Why money moved.")
publish(CounterAccount, "The ledger account on the other side of a transaction.")
publish(Direction, "Which way money goes, seen from the wallet.")
publish(AdjustmentReason, "What an adjustment is grouped by in reviews and reports.")
publish(TopUpIntentStatus, "How a top-up stands that was started here.")
publish(TopUpObstacle, "Why nothing can be paid into a wallet now.")
publish(AutoTopUpKind, "What a rule of automatic top-ups waits for.")
publish(AutoTopUpStatus, "How a rule of automatic top-ups stands.")
publish(ChargeStatus, "How a request to the store to charge stands.", name="AutoTopUpChargeStatus")
publish(ChargeOutcome, "What came of a charge, as the store says.", name="AutoTopUpChargeOutcome")
publish(WithdrawalStatus, "How a withdrawal stands.")
publish(WithdrawalProblem, "What ledger and payer don't agree on; staff look into it.")
publish(WithdrawalPeriod, "What an amount of withdrawals is limited for.")
publish(PayoutFileFormat, "In which form a batch of payouts is written for the bank.")
publish(FeePayer, "Who bears the fee of a withdrawal.")
publish(
    LeftOutReason, "Why a part of what a wallet holds can't be withdrawn now.", name="WithdrawalLeftOutReason"
)
publish(OrderStatus, "How an order stands, in words that every store's own statuses are translated to.")
publish(OrderProblem, "What keeps the ledger from following an order; staff look into it.")
publish(OrderPaymentState, "What the wallet did for an order, and whether anything is left to pay.")
publish(OrderRefundState, "How much of an order was refunded, to the wallet and otherwise.")
publish(PaymentStatus, "How a payment stands.")
publish(PaymentOrigin, "What began a payment.")
publish(CaptureMethod, "What captures a payment.")
publish(PaymentEnd, "What ended what a payment held.")
publish(RefundDestination, "Where a refund goes.")
publish(RenewalStatus, "How an announced renewal stands.")
publish(PromotionStatus, "How a promotion stands.")
publish(CouponProblem, "Why a coupon gives nothing.")
publish(RedemptionStatus, "What became of a coupon.", name="CouponRedemptionStatus")
publish(NoticeKind, "What a notice to those who run the store tells.")
publish(EmailKind, "What an e-mail to a customer tells.")
publish(CaptureOn, "Which status of an order captures what the wallet holds for it.")
publish(RenewalPolicy, "What a renewal takes from a wallet that has less than it costs.")
publish(
    ShortfallPolicy,
    "What becomes of cashback that is to be taken back when nothing of it is left.",
    name="CashbackShortfallPolicy",
)
publish(GiftCardStatus, "How a gift card stands.")
publish(GiftCardEvent, "What happened to a gift card.")
publish(GiftCardAccount, "The account on the other side of what happened to a gift card.")
publish(PayoutMethodKind, "What sort of place money is sent to.")
publish(PayoutMethodStatus, "Whether a payout method can be used.")
publish(DiscrepancyKind, "What ledger and provider don't agree on.", name="PayoutDiscrepancyKind")
publish(AuditAction, "What was done beside moving money.")
publish(ActorKind, "What sort of actor did something.")
publish(PrincipalKind, "What sort of caller a credential proved.")
publish(Capability, "One right of staff or of a service. Customers need none for their own wallet.")
publish(SignalKind, "What was noticed.", name="FraudSignalKind")
publish(Door, "Which way a message of the store came in.", name="WebhookDoor")
publish(DeliveryStatus, "How a message of the store stands.", name="WebhookDeliveryStatus")
publish(OutgoingWebhookStatus, "How a message to an endpoint stands.", name="OutgoingWebhookStatus")
publish(WebhookEndpointStatus, "Whether an endpoint is told anything.", name="WebhookEndpointStatus")
publish(WebhookEndpointDisabledBy, "What switched an endpoint off.", name="WebhookEndpointDisabledBy")
publish(ErrorCode, "Why a mutation was refused. New codes may be added.", name="UserErrorCode")
publish(UpdateKind, "What an update of a live balance tells.", name="WalletUpdateKind")
