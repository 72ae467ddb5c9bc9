"""What mutations answer: the objects, or why not."""

import strawberry

from app.schema.types.api_key import ApiKey
from app.schema.types.cashback import CashbackRule
from app.schema.types.customer import Customer
from app.schema.types.delivery import WebhookDelivery
from app.schema.types.error import UserError
from app.schema.types.event import StoreEvent
from app.schema.types.gift_card import GiftCard, GiftCardBalance
from app.schema.types.money import Money
from app.schema.types.order import Order
from app.schema.types.payment import Payment
from app.schema.types.payout_method import PayoutDetail, PayoutMethod
from app.schema.types.promotion import CouponRedemption, Promotion
from app.schema.types.refund import Refund
from app.schema.types.renewal import Renewal
from app.schema.types.role import Role
from app.schema.types.settings import Settings
from app.schema.types.top_up import TopUp
from app.schema.types.top_up_intent import AutoTopUp, AutoTopUpCharge, TopUpIntent
from app.schema.types.transaction import Transaction
from app.schema.types.wallet import Wallet
from app.schema.types.webhook_endpoint import OutgoingWebhook, WebhookEndpoint
from app.schema.types.withdrawal import Withdrawal

ERRORS = "Why it was refused; empty when it was done."
REPLAYED = "Whether this answers a repeated request: nothing moved now, it had moved before."
SHOWN_ONCE = (
    "The whole key, to be sent as `Authorization: Bearer …` or `X-API-Key: …`. It is shown this once and kept nowhere: "
    "null in the answer to a repeated request, and then the key has to be rotated."
)


@strawberry.type(description="The answer of adjustBalance.")
class AdjustBalancePayload:
    """Wallet and transaction, or the refusals."""

    wallet: Wallet | None = strawberry.field(default=None, description="The wallet after the adjustment.")
    transaction: Transaction | None = strawberry.field(
        default=None, description="The posted transaction with its reference number."
    )
    customer_notified: bool | None = strawberry.field(
        default=None,
        description="Whether an e-mail to the customer was written with the adjustment. False where nobody asked for it, where "
        "no address is known, where the customer or the store switched such e-mails off, or where the server sends none; and "
        "when the request is repeated after the e-mail is no longer kept.",
    )
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of the mutations of withdrawals.")
class WithdrawalPayload:
    """Wallet and withdrawal, or the refusals."""

    wallet: Wallet | None = strawberry.field(default=None, description="The wallet after this step.")
    withdrawal: Withdrawal | None = strawberry.field(
        default=None, description="The withdrawal after this step."
    )
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of requestWithdrawal.")
class RequestWithdrawalPayload(WithdrawalPayload):
    """Answer of requestWithdrawal."""


@strawberry.type(description="The answer of cancelWithdrawal.")
class CancelWithdrawalPayload(WithdrawalPayload):
    """Answer of cancelWithdrawal."""


@strawberry.type(description="The answer of addPayoutMethod.")
class AddPayoutMethodPayload:
    """Wallet and payout method, or the refusals."""

    wallet: Wallet | None = strawberry.field(default=None, description="The wallet that is paid out there.")
    payout_method: PayoutMethod | None = strawberry.field(default=None, description="The payout method.")
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of removePayoutMethod.")
class RemovePayoutMethodPayload:
    """The payout method, or the refusals."""

    payout_method: PayoutMethod | None = strawberry.field(
        default=None, description="The payout method that is out of use now."
    )
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of revealPayoutMethod.")
class RevealPayoutMethodPayload:
    """The payout method with its details, or the refusals."""

    payout_method: PayoutMethod | None = strawberry.field(default=None, description="The payout method.")
    details: list[PayoutDetail] | None = strawberry.field(
        default=None, description="Its details in full: pay, and don't keep them."
    )
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of rejectWithdrawal.")
class RejectWithdrawalPayload(WithdrawalPayload):
    """Answer of rejectWithdrawal."""


@strawberry.type(description="The answer of markWithdrawalPaid.")
class MarkWithdrawalPaidPayload(WithdrawalPayload):
    """Answer of markWithdrawalPaid."""


@strawberry.type(description="The answer of reviewWithdrawal.")
class ReviewWithdrawalPayload(WithdrawalPayload):
    """Answer of reviewWithdrawal."""


@strawberry.type(description="The answer of approveWithdrawal.")
class ApproveWithdrawalPayload(WithdrawalPayload):
    """Answer of approveWithdrawal."""


@strawberry.type(description="The answer of markWithdrawalProcessing.")
class MarkWithdrawalProcessingPayload(WithdrawalPayload):
    """Answer of markWithdrawalProcessing."""


@strawberry.type(description="The answer of markWithdrawalFailed.")
class MarkWithdrawalFailedPayload(WithdrawalPayload):
    """Answer of markWithdrawalFailed."""


@strawberry.type(description="The answer of markWithdrawalReturned.")
class MarkWithdrawalReturnedPayload(WithdrawalPayload):
    """Answer of markWithdrawalReturned."""


@strawberry.type(description="The answer of resolveWithdrawalProblem.")
class ResolveWithdrawalProblemPayload(WithdrawalPayload):
    """Answer of resolveWithdrawalProblem."""


@strawberry.type(description="What became of one withdrawal of several.")
class WithdrawalResult:
    """The withdrawal, or its refusals."""

    withdrawal_id: strawberry.ID = strawberry.field(description="Which one was named.")
    withdrawal: Withdrawal | None = strawberry.field(
        default=None, description="The withdrawal after this step; null when it was refused."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of the mutations that decide several withdrawals.")
class WithdrawalResultsPayload:
    """A result for each, or the refusals of the request."""

    results: list[WithdrawalResult] | None = strawberry.field(
        default=None, description="What became of each, in the order in which they were named."
    )
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of approveWithdrawals.")
class ApproveWithdrawalsPayload(WithdrawalResultsPayload):
    """Answer of approveWithdrawals."""


@strawberry.type(description="The answer of rejectWithdrawals.")
class RejectWithdrawalsPayload(WithdrawalResultsPayload):
    """Answer of rejectWithdrawals."""


@strawberry.type(description="A batch of payouts as a file for the bank.")
class PayoutFile:
    """Name, type and content."""

    batch_reference: str = strawberry.field(
        description="The reference of the batch, which its withdrawals carry; in pain.001 the id of the message."
    )
    name: str = strawberry.field(description="A name for the file.")
    media_type: str = strawberry.field(description="Its media type.")
    content: str = strawberry.field(description="The whole file.")
    count: int = strawberry.field(description="How many payouts are in it.")
    total: Money = strawberry.field(description="What they come to.")


@strawberry.type(description="The answer of exportWithdrawals.")
class ExportWithdrawalsPayload:
    """The file and a result for each, or the refusals of the request."""

    file: PayoutFile | None = strawberry.field(
        default=None, description="The file; null when nothing could be exported."
    )
    results: list[WithdrawalResult] | None = strawberry.field(
        default=None, description="What became of each withdrawal that was named or found."
    )
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="What became of one line of the bank's results.")
class PayoutResult:
    """The withdrawal, or the refusals of its line."""

    line: int = strawberry.field(
        description="The number of the line in the file; the first one names the columns."
    )
    reference: str = strawberry.field(description="The withdrawal's reference as the line says it.")
    withdrawal: Withdrawal | None = strawberry.field(
        default=None, description="The withdrawal after it; null when the line was refused."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of importWithdrawalResults.")
class ImportWithdrawalResultsPayload:
    """A result for each line, or the refusals of the request."""

    results: list[PayoutResult] | None = strawberry.field(
        default=None, description="What became of each line."
    )
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of the mutations of payments.")
class PaymentPayload:
    """Wallet and payment, or the refusals."""

    wallet: Wallet | None = strawberry.field(default=None, description="The wallet after this step.")
    payment: Payment | None = strawberry.field(default=None, description="The payment after this step.")
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of authorizePayment.")
class AuthorizePaymentPayload(PaymentPayload):
    """Answer of authorizePayment."""


@strawberry.type(description="The answer of payOrder.")
class PayOrderPayload(PaymentPayload):
    """Answer of payOrder."""


@strawberry.type(description="The answer of capturePayment.")
class CapturePaymentPayload(PaymentPayload):
    """Answer of capturePayment."""


@strawberry.type(description="The answer of voidPayment.")
class VoidPaymentPayload(PaymentPayload):
    """Answer of voidPayment."""


@strawberry.type(description="The answer of recordOrder.")
class RecordOrderPayload:
    """The order, or the refusals."""

    order: Order | None = strawberry.field(default=None, description="The order as it is now.")
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of claimOrder.")
class ClaimOrderPayload:
    """The order, or the refusals."""

    order: Order | None = strawberry.field(default=None, description="The order, the customer's now.")
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of refundOrder.")
class RefundOrderPayload:
    """Wallet and refund, or the refusals."""

    wallet: Wallet | None = strawberry.field(
        default=None, description="The wallet after the refund; null for those who may not see it."
    )
    refund: Refund | None = strawberry.field(
        default=None, description="The refund: what went to the wallet, and what the store has to send."
    )
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of chargeRenewal.")
class ChargeRenewalPayload:
    """Wallet, order and what was taken, or the refusals."""

    wallet: Wallet | None = strawberry.field(default=None, description="The wallet after the charge.")
    order: Order | None = strawberry.field(default=None, description="The renewal's order.")
    taken: Money | None = strawberry.field(
        default=None,
        description="What the wallet has given for this order, by this charge and by earlier ones.",
    )
    shortfall: Money | None = strawberry.field(
        default=None,
        description="What the wallet did not have, for another payment method; zero when all is paid.",
    )
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of announceRenewal.")
class AnnounceRenewalPayload:
    """The renewal, or the refusals."""

    renewal: Renewal | None = strawberry.field(
        default=None, description="The renewal as it is announced now."
    )
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of cancelRenewal.")
class CancelRenewalPayload:
    """The renewal, or the refusals."""

    renewal: Renewal | None = strawberry.field(default=None, description="The renewal, called off.")
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of issueGiftCards.")
class IssueGiftCardsPayload:
    """The cards and, once, their codes; or the refusals."""

    gift_cards: list[GiftCard] | None = strawberry.field(default=None, description="The cards.")
    codes: list[str] | None = strawberry.field(
        default=None,
        description="The cards' codes in the same order, as they are printed. They are shown this once and kept nowhere: null "
        "in the answer to a repeated request, and then the cards have to be disabled and issued anew.",
    )
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of the mutations that change one gift card.")
class GiftCardPayload:
    """The card, or the refusals."""

    gift_card: GiftCard | None = strawberry.field(default=None, description="The card after this step.")
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of activateGiftCard.")
class ActivateGiftCardPayload(GiftCardPayload):
    """Answer of activateGiftCard."""


@strawberry.type(description="The answer of disableGiftCard.")
class DisableGiftCardPayload(GiftCardPayload):
    """Answer of disableGiftCard."""


@strawberry.type(description="The answer of enableGiftCard.")
class EnableGiftCardPayload(GiftCardPayload):
    """Answer of enableGiftCard."""


@strawberry.type(description="The answer of redeemGiftCard.")
class RedeemGiftCardPayload:
    """Wallet, card and transaction, or the refusals."""

    wallet: Wallet | None = strawberry.field(
        default=None,
        description="The wallet with the card's value; null for those who may not see it.",
    )
    gift_card: GiftCardBalance | None = strawberry.field(
        default=None, description="What is left on the card."
    )
    transaction: Transaction | None = strawberry.field(
        default=None, description="The posted transaction; null for those who may not see the wallet."
    )
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of freezeWallet.")
class FreezeWalletPayload:
    """The wallet, or the refusals."""

    wallet: Wallet | None = strawberry.field(default=None, description="The wallet, frozen.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of unfreezeWallet.")
class UnfreezeWalletPayload:
    """The wallet, or the refusals."""

    wallet: Wallet | None = strawberry.field(default=None, description="The wallet, usable again.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of registerCustomer.")
class RegisterCustomerPayload:
    """Customer and wallet, or the refusals."""

    customer: Customer | None = strawberry.field(default=None, description="The customer as now known.")
    wallet: Wallet | None = strawberry.field(default=None, description="The customer's wallet.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of updateCustomer.")
class UpdateCustomerPayload:
    """Customer and wallet, or the refusals."""

    customer: Customer | None = strawberry.field(default=None, description="The customer as now known.")
    wallet: Wallet | None = strawberry.field(default=None, description="The customer's wallet.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of recordEvent.")
class RecordEventPayload:
    """Wallet and event, or the refusals."""

    wallet: Wallet | None = strawberry.field(default=None, description="The customer's wallet.")
    event: StoreEvent | None = strawberry.field(
        default=None, description="The event as it was first told of."
    )
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of recordTopUp.")
class RecordTopUpPayload:
    """Wallet and top-up, or the refusals."""

    wallet: Wallet | None = strawberry.field(default=None, description="The wallet after this.")
    top_up: TopUp | None = strawberry.field(default=None, description="The top-up after this.")
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of updateNotificationPreferences.")
class UpdateNotificationPreferencesPayload:
    """Customer, or the refusals."""

    customer: Customer | None = strawberry.field(
        default=None, description="The customer, with what they want now."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of startTopUp.")
class StartTopUpPayload:
    """Wallet and top-up, or the refusals."""

    wallet: Wallet | None = strawberry.field(default=None, description="The wallet.")
    top_up_intent: TopUpIntent | None = strawberry.field(
        default=None, description="The top-up that was started."
    )
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of cancelTopUp.")
class CancelTopUpPayload:
    """Wallet and top-up, or the refusals."""

    wallet: Wallet | None = strawberry.field(default=None, description="The wallet.")
    top_up_intent: TopUpIntent | None = strawberry.field(
        default=None, description="The top-up that was left."
    )
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of setAutoTopUp.")
class SetAutoTopUpPayload:
    """Wallet and rule, or the refusals."""

    wallet: Wallet | None = strawberry.field(default=None, description="The wallet.")
    auto_top_up: AutoTopUp | None = strawberry.field(default=None, description="The rule after this.")
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of pauseAutoTopUp.")
class PauseAutoTopUpPayload:
    """Wallet and rule, or the refusals."""

    wallet: Wallet | None = strawberry.field(default=None, description="The wallet.")
    auto_top_up: AutoTopUp | None = strawberry.field(default=None, description="The rule after this.")
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of cancelAutoTopUp.")
class CancelAutoTopUpPayload:
    """Wallet and rule, or the refusals."""

    wallet: Wallet | None = strawberry.field(default=None, description="The wallet.")
    auto_top_up: AutoTopUp | None = strawberry.field(default=None, description="The rule after this.")
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of reportAutoTopUpCharge.")
class ReportAutoTopUpChargePayload:
    """Wallet and charge, or the refusals."""

    wallet: Wallet | None = strawberry.field(default=None, description="The wallet.")
    auto_top_up_charge: AutoTopUpCharge | None = strawberry.field(
        default=None, description="The charge after this."
    )
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of updateSettings.")
class UpdateSettingsPayload:
    """The settings, or the refusals."""

    settings: Settings | None = strawberry.field(default=None, description="The settings now in force.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of the mutations of cashback rules.")
class CashbackRulePayload:
    """The rule, or the refusals."""

    cashback_rule: CashbackRule | None = strawberry.field(default=None, description="The rule as it is now.")
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of createCashbackRule.")
class CreateCashbackRulePayload(CashbackRulePayload):
    """Answer of createCashbackRule."""


@strawberry.type(description="The answer of updateCashbackRule.")
class UpdateCashbackRulePayload(CashbackRulePayload):
    """Answer of updateCashbackRule."""


@strawberry.type(description="The answer of activateCashbackRule.")
class ActivateCashbackRulePayload(CashbackRulePayload):
    """Answer of activateCashbackRule."""


@strawberry.type(description="The answer of pauseCashbackRule.")
class PauseCashbackRulePayload(CashbackRulePayload):
    """Answer of pauseCashbackRule."""


@strawberry.type(description="The answer of archiveCashbackRule.")
class ArchiveCashbackRulePayload(CashbackRulePayload):
    """Answer of archiveCashbackRule."""


@strawberry.type(description="The answer of createRole.")
class CreateRolePayload:
    """The role, or the refusals."""

    role: Role | None = strawberry.field(default=None, description="The role as it is now.")
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of updateRole.")
class UpdateRolePayload:
    """The role, or the refusals."""

    role: Role | None = strawberry.field(default=None, description="The role as it is now.")
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of createApiKey.")
class CreateApiKeyPayload:
    """The key and, once, its secret; or the refusals."""

    api_key: ApiKey | None = strawberry.field(default=None, description="The key.")
    secret: str | None = strawberry.field(default=None, description=SHOWN_ONCE)
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of rotateApiKey.")
class RotateApiKeyPayload:
    """The new key and, once, its secret; or the refusals."""

    api_key: ApiKey | None = strawberry.field(default=None, description="The new key.")
    secret: str | None = strawberry.field(default=None, description=SHOWN_ONCE)
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of revokeApiKey.")
class RevokeApiKeyPayload:
    """The key, or the refusals."""

    api_key: ApiKey | None = strawberry.field(default=None, description="The key, ended.")
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of replayWebhookDeliveries.")
class ReplayWebhookDeliveriesPayload:
    """The deliveries, or the refusals."""

    deliveries: list[WebhookDelivery] | None = strawberry.field(
        default=None, description="The deliveries that are worked on again; none where the filter finds none."
    )
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of the mutations of promotions.")
class PromotionPayload:
    """The promotion, or the refusals."""

    promotion: Promotion | None = strawberry.field(default=None, description="The promotion after this step.")
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of createPromotion.")
class CreatePromotionPayload(PromotionPayload):
    """Answer of createPromotion."""


@strawberry.type(description="The answer of updatePromotion.")
class UpdatePromotionPayload(PromotionPayload):
    """Answer of updatePromotion."""


@strawberry.type(description="The answer of createCouponCodes.")
class CreateCouponCodesPayload:
    """The codes, or the refusals."""

    promotion: Promotion | None = strawberry.field(
        default=None, description="The promotion that they belong to."
    )
    codes: list[str] | None = strawberry.field(default=None, description="The codes that were made.")
    csv: str | None = strawberry.field(
        default=None, description="The same as a file of one column with the heading `code`."
    )
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of redeemCoupon.")
class RedeemCouponPayload:
    """Wallet and redemption, or the refusals."""

    wallet: Wallet | None = strawberry.field(default=None, description="The wallet with the granted money.")
    redemption: CouponRedemption | None = strawberry.field(default=None, description="What was granted.")
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


SIGNED_WITH = (
    "The secret that messages are signed with (whsec_…), for the receiver's library. It is shown this once: null in the "
    "answer to a repeated request, and then it has to be rotated."
)


@strawberry.type(description="The answer of createWebhookEndpoint.")
class CreateWebhookEndpointPayload:
    """The endpoint and, once, its secret; or the refusals."""

    webhook_endpoint: WebhookEndpoint | None = strawberry.field(default=None, description="The endpoint.")
    secret: str | None = strawberry.field(default=None, description=SIGNED_WITH)
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of rotateWebhookSecret.")
class RotateWebhookSecretPayload:
    """The endpoint and, once, its new secret; or the refusals."""

    webhook_endpoint: WebhookEndpoint | None = strawberry.field(default=None, description="The endpoint.")
    secret: str | None = strawberry.field(default=None, description=SIGNED_WITH)
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of updateWebhookEndpoint.")
class UpdateWebhookEndpointPayload:
    """The endpoint, or the refusals."""

    webhook_endpoint: WebhookEndpoint | None = strawberry.field(
        default=None, description="The endpoint as it is now."
    )
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of enableWebhookEndpoint.")
class EnableWebhookEndpointPayload:
    """The endpoint, or the refusals."""

    webhook_endpoint: WebhookEndpoint | None = strawberry.field(
        default=None, description="The endpoint as it is now."
    )
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of disableWebhookEndpoint.")
class DisableWebhookEndpointPayload:
    """The endpoint, or the refusals."""

    webhook_endpoint: WebhookEndpoint | None = strawberry.field(
        default=None, description="The endpoint as it is now."
    )
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of sendTestWebhook.")
class SendTestWebhookPayload:
    """The message, or the refusals."""

    outgoing_webhook: OutgoingWebhook | None = strawberry.field(
        default=None, description="The message; it is sent at once, and its attempts tell what came back."
    )
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of replayOutgoingWebhooks.")
class ReplayOutgoingWebhooksPayload:
    """The messages, or the refusals."""

    outgoing_webhooks: list[OutgoingWebhook] | None = strawberry.field(
        default=None, description="The messages that are sent again; none where the filter finds none."
    )
    replayed: bool = strawberry.field(default=False, description=REPLAYED)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)
