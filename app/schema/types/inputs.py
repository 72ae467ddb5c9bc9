"""What mutations take, one input each."""

import strawberry

from app.domain import webhook_endpoint as endpoints
from app.domain.api_key import OVERLAP_DEFAULT_H
from app.schema.types.enums import (
    AdjustmentReason,
    AutoTopUpKind,
    Bucket,
    Capability,
    CaptureMethod,
    CaptureOn,
    ChargeOutcome,
    DeliveryStatus,
    Direction,
    Door,
    EmailKind,
    NoticeKind,
    OrderStatus,
    PayoutFileFormat,
    PayoutMethodKind,
    PromotionStatus,
    RefundDestination,
    RenewalPolicy,
    ShortfallPolicy,
)
from app.schema.types.money import MoneyInput
from app.schema.types.order import OrderSelector, StoreOrderInput
from app.schema.types.scalars import CurrencyCode, Date, DateTime, Decimal
from app.schema.types.wallet import WalletSelector
from app.schema.types.webhook_endpoint import OutgoingWebhookFilter
from app.schema.types.withdrawal import WithdrawalFilter, WithdrawalTermsInput

KEY = (
    "Chosen by the caller, once for each intention: repeating the request with the same key gives the first answer "
    "and moves nothing again. A UUID is fine; at most 255 characters."
)
OPTIONAL_KEY = f"{KEY} May be left out here."
NOTE = (
    "Why, in words that still help a year later: at least 10 characters, and more than a bare category such as "
    '"refund".'
)
SEEN_NOTE = f"{NOTE} The customer can see it."
STEP_NOTE = "Anything worth keeping about this step. The customer can see it."

LANGUAGE = (
    "The language that the customer reads e-mails in, such as de or pt-BR; left out, it stays, and an empty text makes it the "
    "store's."
)

INPUT = strawberry.argument(description="What is asked for.")
"""What every mutation says of its one argument."""


@strawberry.input(description="An adjustment of a balance by staff.")
class AdjustBalanceInput:
    """Input of adjustBalance."""

    wallet: WalletSelector = strawberry.field(
        description="Whose balance. By the store's customer id, a missing customer and wallet are created."
    )
    direction: Direction = strawberry.field(description="CREDIT gives money, DEBIT takes it.")
    amount: MoneyInput = strawberry.field(description="How much; positive, in the wallet's currency.")
    reason: AdjustmentReason = strawberry.field(description="What it is grouped by in reviews and reports.")
    note: str = strawberry.field(description=SEEN_NOTE)
    bucket: Bucket | None = strawberry.field(
        default=None,
        description="Where a credit goes (CASH by default), or the only kind of value that a debit may take.",
    )
    expires_at: DateTime | None = strawberry.field(
        default=None, description="When the credit expires, if it shall; only for credits."
    )
    corrects: strawberry.ID | None = strawberry.field(
        default=None, description="The id of the transaction of the same wallet that this one puts right."
    )
    notify_customer: bool = strawberry.field(
        default=False,
        description="Whether the customer is told by e-mail what changed, why, the new balance and the reference number; the "
        "note stands in it.",
    )
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A customer's request to be paid out.")
class RequestWithdrawalInput:
    """Input of requestWithdrawal."""

    wallet: WalletSelector | None = strawberry.field(
        default=None, description="Whose wallet; left out, the caller's own."
    )
    amount: MoneyInput = strawberry.field(
        description="How much leaves the wallet, a fee that the customer bears included; at most what is withdrawable."
    )
    method: str | None = strawberry.field(
        default=None,
        description="How it is paid out; left out, the first of the methods that the store allows.",
    )
    payout_method_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="Where the money is sent: the id of one of the wallet's payout methods, of a kind that the store "
        "pays out by. Left out, staff pay as they agreed with the customer.",
    )
    note: str | None = strawberry.field(default=None, description="Anything that the store should know.")
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A withdrawal that is taken back.")
class CancelWithdrawalInput:
    """Input of cancelWithdrawal."""

    withdrawal_id: strawberry.ID = strawberry.field(description="The id of the withdrawal.")
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A withdrawal that staff refuse.")
class RejectWithdrawalInput:
    """Input of rejectWithdrawal."""

    withdrawal_id: strawberry.ID = strawberry.field(description="The id of the withdrawal.")
    note: str = strawberry.field(description=SEEN_NOTE)
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A withdrawal that was paid out.")
class MarkWithdrawalPaidInput:
    """Input of markWithdrawalPaid."""

    withdrawal_id: strawberry.ID = strawberry.field(description="The id of the withdrawal.")
    payout_reference: str | None = strawberry.field(
        default=None, description="The bank's or provider's reference of the payout."
    )
    note: str | None = strawberry.field(default=None, description="Anything worth keeping about the payout.")
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A withdrawal that somebody of the staff looks at.")
class ReviewWithdrawalInput:
    """Input of reviewWithdrawal."""

    withdrawal_id: strawberry.ID = strawberry.field(description="The id of the withdrawal.")
    note: str | None = strawberry.field(default=None, description=STEP_NOTE)
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A withdrawal that is to be paid out.")
class ApproveWithdrawalInput:
    """Input of approveWithdrawal."""

    withdrawal_id: strawberry.ID = strawberry.field(description="The id of the withdrawal.")
    note: str | None = strawberry.field(default=None, description=STEP_NOTE)
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="Several withdrawals that are to be paid out, each decided by itself.")
class ApproveWithdrawalsInput:
    """Input of approveWithdrawals."""

    withdrawal_ids: list[strawberry.ID] = strawberry.field(
        description="The ids of the withdrawals, at most 100."
    )
    note: str | None = strawberry.field(default=None, description=STEP_NOTE)
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="Several withdrawals that staff refuse, each decided by itself.")
class RejectWithdrawalsInput:
    """Input of rejectWithdrawals."""

    withdrawal_ids: list[strawberry.ID] = strawberry.field(
        description="The ids of the withdrawals, at most 100."
    )
    note: str = strawberry.field(description=SEEN_NOTE)
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A withdrawal whose money is being sent.")
class MarkWithdrawalProcessingInput:
    """Input of markWithdrawalProcessing."""

    withdrawal_id: strawberry.ID = strawberry.field(description="The id of the withdrawal.")
    note: str | None = strawberry.field(default=None, description=STEP_NOTE)
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A withdrawal whose money could not be sent.")
class MarkWithdrawalFailedInput:
    """Input of markWithdrawalFailed."""

    withdrawal_id: strawberry.ID = strawberry.field(description="The id of the withdrawal.")
    note: str = strawberry.field(description=SEEN_NOTE)
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A withdrawal whose money was sent and came back.")
class MarkWithdrawalReturnedInput:
    """Input of markWithdrawalReturned."""

    withdrawal_id: strawberry.ID = strawberry.field(description="The id of the withdrawal.")
    note: str = strawberry.field(description=SEEN_NOTE)
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A withdrawal whose problem was looked at.")
class ResolveWithdrawalProblemInput:
    """Input of resolveWithdrawalProblem."""

    withdrawal_id: strawberry.ID = strawberry.field(description="The id of the withdrawal.")
    note: str = strawberry.field(description=SEEN_NOTE)
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(
    description="Approved withdrawals that are sent to the bank as one batch: named, or found by a filter."
)
class ExportWithdrawalsInput:
    """Input of exportWithdrawals."""

    withdrawal_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="The ids of the withdrawals, at most 1000."
    )
    filter: WithdrawalFilter | None = strawberry.field(
        default=None, description="Which of the approved withdrawals; the oldest 1000 of them at most."
    )
    format: PayoutFileFormat = strawberry.field(description="In which form the file is written.")
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="What the bank says of payouts.")
class ImportWithdrawalResultsInput:
    """Input of importWithdrawalResults."""

    content: str = strawberry.field(
        description="A CSV file whose first line names the columns reference, outcome (PAID, FAILED or RETURNED), and, if "
        "they are known, bank_reference and note; at most 1000 results."
    )
    idempotency_key: str = strawberry.field(description=KEY)


WHOSE = "Whose wallet; left out, the caller's own."


@strawberry.input(description="The order to pay. The store need not have told of it yet.")
class OrderToPayInput:
    """Source, the store's id and what it costs."""

    source: str = strawberry.field(
        description="The store's software or channel: small letters, digits, - and _, such as woocommerce."
    )
    external_id: str = strawberry.field(description="The store's own id of the order.")
    total: MoneyInput | None = strawberry.field(
        default=None,
        description="What it costs, so that the wallet never pays more. Not needed once the store has told of the order.",
    )


@strawberry.input(description="Value that is held for an order.")
class AuthorizePaymentInput:
    """Input of authorizePayment."""

    wallet: WalletSelector | None = strawberry.field(default=None, description=WHOSE)
    order: OrderToPayInput = strawberry.field(description="The order to pay.")
    amount: MoneyInput | None = strawberry.field(
        default=None, description="How much; left out, as much as there is, up to what is left to pay."
    )
    buckets: list[Bucket] | None = strawberry.field(
        default=None, description="The only kinds of value that it may draw on; left out, all."
    )
    lifetime_minutes: int | None = strawberry.field(
        default=None, description="How long it is held, at most 43200; left out, as the settings say."
    )
    capture_method: CaptureMethod = strawberry.field(
        default=CaptureMethod.AUTOMATIC,
        description="What captures it. MANUAL counts for callers with PAYMENTS_WRITE only.",
    )
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="An order that is paid at once: authorized and captured in one step.")
class PayOrderInput:
    """Input of payOrder."""

    wallet: WalletSelector | None = strawberry.field(default=None, description=WHOSE)
    order: OrderToPayInput = strawberry.field(description="The order to pay.")
    amount: MoneyInput | None = strawberry.field(
        default=None, description="How much; left out, as much as there is, up to what is left to pay."
    )
    buckets: list[Bucket] | None = strawberry.field(
        default=None, description="The only kinds of value that it may draw on; left out, all."
    )
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A payment of which all, or a part, is taken.")
class CapturePaymentInput:
    """Input of capturePayment."""

    payment_id: strawberry.ID = strawberry.field(description="The id of the payment.")
    amount: MoneyInput | None = strawberry.field(
        default=None, description="How much; left out, all that is held."
    )
    final: bool = strawberry.field(
        default=True,
        description="Whether this is the last capture, so that the rest is given back; false keeps it held.",
    )
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A payment of which what is still held is given back.")
class VoidPaymentInput:
    """Input of voidPayment."""

    payment_id: strawberry.ID = strawberry.field(description="The id of the payment.")
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A guest's order that turns out to be a customer's.")
class ClaimOrderInput:
    """Input of claimOrder."""

    order: OrderSelector = strawberry.field(description="Which order.")
    store_customer_id: str = strawberry.field(
        description="The store's own id of the customer; one who is not known gets a wallet."
    )
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A line of the order that is refunded, all of it or a part.")
class RefundLineInput:
    """The line, and how much of it."""

    line_id: str = strawberry.field(description="The store's own id of the line.")
    quantity: Decimal | None = strawberry.field(
        default=None, description="How many of it; left out, all that is left (unless an amount is given)."
    )
    amount: MoneyInput | None = strawberry.field(
        default=None, description="How much of it, with tax, where that is no number of pieces."
    )


@strawberry.input(
    description="A refund of an order: an amount, or lines and shipping, or (with neither) all that is left."
)
class RefundOrderInput:
    """Input of refundOrder."""

    order: OrderSelector = strawberry.field(description="Which order.")
    amount: MoneyInput | None = strawberry.field(
        default=None, description="How much, tax included; not together with lines or shipping."
    )
    lines: list[RefundLineInput] | None = strawberry.field(
        default=None, description="Which lines; their amounts and taxes are worked out."
    )
    shipping: MoneyInput | None = strawberry.field(default=None, description="How much of the shipping.")
    with_shipping: bool = strawberry.field(
        default=False, description="Whether all that is left of the shipping is refunded."
    )
    destination: RefundDestination | None = strawberry.field(
        default=None,
        description="Where it goes; left out, as the settings say. Needs the capability REFUNDS_REDIRECT.",
    )
    bucket: Bucket | None = strawberry.field(
        default=None,
        description="The kind of value that it becomes where it goes to the wallet beyond what the wallet paid; left out, "
        "as the settings say. Needs the capability REFUNDS_REDIRECT.",
    )
    note: str = strawberry.field(description=SEEN_NOTE)
    store_refund_id: str | None = strawberry.field(
        default=None,
        description="The store's own id of this refund, so that it is not counted again when the store tells of it.",
    )
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A renewal of a subscription that is charged now.")
class ChargeRenewalInput:
    """Input of chargeRenewal."""

    wallet: WalletSelector = strawberry.field(description="Whose wallet pays.")
    order: StoreOrderInput = strawberry.field(description="The order that renews the subscription.")
    subscription: str = strawberry.field(description="The store's own id of the subscription.")
    amount: MoneyInput = strawberry.field(
        description="What the renewal costs. What was taken for this order before counts, so a retry takes only the rest."
    )
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(
    description="What the next renewal of a subscription will cost; a later announcement replaces an earlier one."
)
class AnnounceRenewalInput:
    """Input of announceRenewal."""

    wallet: WalletSelector = strawberry.field(description="Whose wallet will pay.")
    source: str = strawberry.field(
        description="The store's software or channel: small letters, digits, - and _, such as woocommerce."
    )
    subscription: str = strawberry.field(description="The store's own id of the subscription.")
    amount: MoneyInput = strawberry.field(description="What it will cost.")
    due_at: DateTime = strawberry.field(description="When it will be charged.")
    description: str | None = strawberry.field(
        default=None, description="What is renewed, in words for the customer; at most 200 characters."
    )
    idempotency_key: str | None = strawberry.field(default=None, description=OPTIONAL_KEY)


@strawberry.input(description="An announced renewal that will not be charged.")
class CancelRenewalInput:
    """Input of cancelRenewal."""

    source: str = strawberry.field(description="The store's software or channel.")
    subscription: str = strawberry.field(description="The store's own id of the subscription.")
    idempotency_key: str | None = strawberry.field(default=None, description=OPTIONAL_KEY)


@strawberry.input(description="Gift cards to make: so many of one amount, or those of a list.")
class IssueGiftCardsInput:
    """Input of issueGiftCards."""

    amount: MoneyInput | None = strawberry.field(default=None, description="What each card is worth.")
    count: int | None = strawberry.field(
        default=None, description="How many cards of this amount; left out, one; at most 1000."
    )
    csv: str | None = strawberry.field(
        default=None,
        description="Instead of an amount: a list of at most 1000 cards as CSV, with a first line that names its columns: "
        "amount, and if you like expires_at, label, note.",
    )
    currency: CurrencyCode | None = strawberry.field(
        default=None, description="The currency of the list's amounts; left out, the store's."
    )
    expires_at: DateTime | None = strawberry.field(
        default=None,
        description="When the cards' value ends; left out, as the settings say, counted from the activation.",
    )
    label: str | None = strawberry.field(
        default=None,
        description="What staff find the cards by, such as a campaign or the recipient; at most 100 characters.",
    )
    active: bool = strawberry.field(
        default=True,
        description="Whether the cards can be used at once; false for cards that are activated when they are sold.",
    )
    promotional: bool = strawberry.field(
        default=False,
        description="Whether the store gives the cards away (their value is marketing's), or sells them.",
    )
    note: str = strawberry.field(description="What they are made for, for those who ask later; staff see it.")
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A gift card that gets its value, as when it is sold.")
class ActivateGiftCardInput:
    """Input of activateGiftCard."""

    gift_card_id: strawberry.ID = strawberry.field(description="The id of the gift card.")
    note: str | None = strawberry.field(
        default=None, description="Anything worth keeping, such as the order that sold it."
    )
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A gift card that staff stop.")
class DisableGiftCardInput:
    """Input of disableGiftCard."""

    gift_card_id: strawberry.ID = strawberry.field(description="The id of the gift card.")
    note: str = strawberry.field(description="Why, for those who ask later.")
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A stopped gift card that staff let go again.")
class EnableGiftCardInput:
    """Input of enableGiftCard."""

    gift_card_id: strawberry.ID = strawberry.field(description="The id of the gift card.")
    note: str = strawberry.field(description="Why, for those who ask later.")
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A gift card whose value goes into a wallet.")
class RedeemGiftCardInput:
    """Input of redeemGiftCard."""

    wallet: WalletSelector | None = strawberry.field(default=None, description=WHOSE)
    code: str = strawberry.field(
        description="The card's code, as it was typed: blanks, dashes, small letters and look-alikes are fine."
    )
    amount: MoneyInput | None = strawberry.field(
        default=None,
        description="How much of it, where the settings allow a part; left out, all that is on the card.",
    )
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A wallet that staff stop.")
class FreezeWalletInput:
    """Input of freezeWallet."""

    wallet: WalletSelector = strawberry.field(description="Which wallet.")
    note: str = strawberry.field(description=NOTE)
    idempotency_key: str | None = strawberry.field(default=None, description=OPTIONAL_KEY)


@strawberry.input(description="A wallet that staff let go again.")
class UnfreezeWalletInput:
    """Input of unfreezeWallet."""

    wallet: WalletSelector = strawberry.field(description="Which wallet.")
    note: str = strawberry.field(description=NOTE)
    idempotency_key: str | None = strawberry.field(default=None, description=OPTIONAL_KEY)


@strawberry.input(description="A customer whom the store makes known; one who is known already is updated.")
class RegisterCustomerInput:
    """Input of registerCustomer."""

    store_customer_id: str = strawberry.field(description="The store's own id of the customer.")
    name: str | None = strawberry.field(default=None, description="The customer's name.")
    email: str | None = strawberry.field(default=None, description="The customer's e-mail address.")
    birthday: Date | None = strawberry.field(
        default=strawberry.UNSET, description="The day of birth; left out, it stays, and null takes it away."
    )
    roles: list[str] | None = strawberry.field(
        default=None,
        description="The store's own words for what the customer is to it, at most 50; left out, they stay.",
    )
    segments: list[str] | None = strawberry.field(
        default=None,
        description="The groups that the store counts the customer among, at most 50; left out, they stay.",
    )
    signed_up_at: DateTime | None = strawberry.field(
        default=None,
        description="When the customer signed up in the store; left out, now, if it is the first time.",
    )
    language: str | None = strawberry.field(default=None, description=LANGUAGE)
    idempotency_key: str | None = strawberry.field(default=None, description=OPTIONAL_KEY)


@strawberry.input(description="What is new of a known customer; what is left out stays.")
class UpdateCustomerInput:
    """Input of updateCustomer."""

    store_customer_id: str = strawberry.field(description="The store's own id of the customer.")
    name: str | None = strawberry.field(default=None, description="The new name; left out, it stays.")
    email: str | None = strawberry.field(
        default=None, description="The new e-mail address; left out, it stays."
    )
    birthday: Date | None = strawberry.field(
        default=strawberry.UNSET, description="The day of birth; left out, it stays, and null takes it away."
    )
    roles: list[str] | None = strawberry.field(
        default=None,
        description="The store's own words for what the customer is to it, at most 50; left out, they stay.",
    )
    segments: list[str] | None = strawberry.field(
        default=None,
        description="The groups that the store counts the customer among, at most 50; left out, they stay.",
    )
    signed_up_at: DateTime | None = strawberry.field(
        default=None, description="When the customer signed up in the store; left out, it stays."
    )
    language: str | None = strawberry.field(default=None, description=LANGUAGE)
    idempotency_key: str | None = strawberry.field(default=None, description=OPTIONAL_KEY)


@strawberry.input(description="Something that a customer did in the store, such as a review.")
class RecordEventInput:
    """Input of recordEvent."""

    store_customer_id: str = strawberry.field(
        description="The store's own id of the customer; one who is not known gets a wallet."
    )
    event: str = strawberry.field(
        description="What happened: small letters, digits, dots, - and _, such as review. Rules of cashback wait for it."
    )
    event_id: str = strawberry.field(
        description="The store's own id of it: told again, with or without the same key, it is the same event."
    )
    occurred_at: DateTime | None = strawberry.field(
        default=None, description="When it happened; left out, now."
    )
    idempotency_key: str | None = strawberry.field(default=None, description=OPTIONAL_KEY)


@strawberry.input(
    description="Money that a customer paid in by the store's checkout, as the store kept it. Told again with less, "
    "because it was paid back, the difference is taken from the wallet as far as it goes."
)
class RecordTopUpInput:
    """Input of recordTopUp."""

    wallet: WalletSelector = strawberry.field(
        description="Whose wallet. By the store's customer id, a missing customer and wallet are created."
    )
    source: str = strawberry.field(
        description="The store's software or channel: small letters, digits, - and _, such as woocommerce."
    )
    external_id: str = strawberry.field(
        description="The store's own id of it: told again, it is the same top-up."
    )
    paid: MoneyInput = strawberry.field(
        description="What the store kept of the payment: less coupons, and less what was paid back. Zero once all was."
    )
    face_value: MoneyInput | None = strawberry.field(
        default=None,
        description="What was bought. The wallet gets what was paid, and never more than this; left out, it stays.",
    )
    payment_method: str | None = strawberry.field(
        default=None, description="The store's word for how it was paid, at most 64 characters."
    )
    paid_at: DateTime | None = strawberry.field(default=None, description="When it was paid; left out, now.")
    modified_at: DateTime | None = strawberry.field(
        default=None,
        description="When it last changed in the store: of several tellings the newest counts. Left out, now.",
    )
    intent: str | None = strawberry.field(
        default=None, description="The reference of the top-up that startTopUp began, where it pays one."
    )
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A top-up to start: the customer then pays at the store's own checkout.")
class StartTopUpInput:
    """Input of startTopUp."""

    wallet: WalletSelector | None = strawberry.field(
        default=None, description="Whose wallet; left out, one's own. For others it needs TOP_UPS_WRITE."
    )
    amount: MoneyInput = strawberry.field(description="How much, within the limits of `topUpOptions`.")
    payment_method: str | None = strawberry.field(
        default=None, description="One of `topUpOptions.paymentMethods`; left out, the checkout asks."
    )
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A top-up to leave. Money that comes for it all the same is credited.")
class CancelTopUpInput:
    """Input of cancelTopUp."""

    top_up_intent_id: strawberry.ID = strawberry.field(description="The top-up that was started.")
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(
    description="A rule by which the store charges a saved payment method. A wallet has one of each kind: setting it again "
    "changes it, begins anew after declines, and resumes one that was paused."
)
class SetAutoTopUpInput:
    """Input of setAutoTopUp."""

    wallet: WalletSelector | None = strawberry.field(
        default=None, description="Whose wallet; left out, one's own. For others it needs TOP_UPS_WRITE."
    )
    kind: AutoTopUpKind = strawberry.field(description="What it waits for.")
    amount: MoneyInput = strawberry.field(description="How much it pays in each time.")
    threshold: MoneyInput | None = strawberry.field(
        default=None, description="Below which available balance it pays in; of THRESHOLD only."
    )
    day_of_month: int | None = strawberry.field(
        default=None,
        description="On which day of the store's month, from 1 to 31; the last one where a month has no such day. "
        "Of MONTHLY only.",
    )
    payment_method: str = strawberry.field(description="One of `topUpOptions.paymentMethods`.")
    payment_token: str = strawberry.field(
        description="The store's own name of the saved payment method, at most 128 characters; never a card number."
    )
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A rule to pause; setAutoTopUp resumes it.")
class PauseAutoTopUpInput:
    """Input of pauseAutoTopUp."""

    auto_top_up_id: strawberry.ID = strawberry.field(description="The rule.")
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A rule to end.")
class CancelAutoTopUpInput:
    """Input of cancelAutoTopUp."""

    auto_top_up_id: strawberry.ID = strawberry.field(description="The rule.")
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="What came of a charge that Coffer asked for.")
class ReportAutoTopUpChargeInput:
    """Input of reportAutoTopUpCharge."""

    charge_id: strawberry.ID = strawberry.field(description="The charge.")
    outcome: ChargeOutcome = strawberry.field(description="What came of it.")
    source: str | None = strawberry.field(
        default=None, description="With PAID: the store's software or channel, such as woocommerce."
    )
    external_id: str | None = strawberry.field(
        default=None,
        description="With PAID: the store's own id of the payment or order, as recordTopUp would name it.",
    )
    paid: MoneyInput | None = strawberry.field(default=None, description="With PAID: what the store kept.")
    payment_method: str | None = strawberry.field(
        default=None, description="With PAID: how it was paid, at most 64 characters."
    )
    problem: str | None = strawberry.field(
        default=None, description="With DECLINED: the store's word for why, at most 200 characters."
    )
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A new role.")
class CreateRoleInput:
    """Input of createRole."""

    name: str = strawberry.field(
        description="What tokens and settings call it: small letters, digits, underscores. It can't be changed."
    )
    description: str | None = strawberry.field(default=None, description="What it is for, in words.")
    capabilities: list[Capability] = strawberry.field(
        description="What its bearers may do; nothing that the caller lacks."
    )
    maps_from: list[str] | None = strawberry.field(
        default=None, description="Words in tokens that mean this role, beside its name."
    )
    note: str = strawberry.field(description="Why, for those who ask later.")
    idempotency_key: str | None = strawberry.field(default=None, description=OPTIONAL_KEY)


@strawberry.input(description="Changes of a role; what is left out stays.")
class UpdateRoleInput:
    """Input of updateRole."""

    role_id: strawberry.ID = strawberry.field(description="The id of the role.")
    description: str | None = strawberry.field(default=None, description="What it is for, in words.")
    capabilities: list[Capability] | None = strawberry.field(
        default=None, description="All that its bearers may do from now on; nothing that the caller lacks."
    )
    maps_from: list[str] | None = strawberry.field(
        default=None, description="All words in tokens that mean this role from now on, beside its name."
    )
    archived: bool | None = strawberry.field(
        default=None, description="True: it grants nothing any more. False: it is taken back."
    )
    note: str = strawberry.field(description="Why, for those who ask later.")
    idempotency_key: str | None = strawberry.field(default=None, description=OPTIONAL_KEY)


@strawberry.input(description="A new API key of a service: give either a role or capabilities.")
class CreateApiKeyInput:
    """Input of createApiKey."""

    name: str = strawberry.field(
        description="The name of the service. It stands in the history beside what the service does."
    )
    role_id: strawberry.ID | None = strawberry.field(
        default=None, description="The role whose rights it has, as they are at each moment."
    )
    capabilities: list[Capability] | None = strawberry.field(
        default=None, description="What it may do; nothing that the caller lacks."
    )
    expires_at: DateTime | None = strawberry.field(
        default=None, description="When it ends; left out, it is good until it is revoked."
    )
    note: str = strawberry.field(description="What it is for, for those who ask later.")
    idempotency_key: str | None = strawberry.field(default=None, description=OPTIONAL_KEY)


@strawberry.input(description="An API key that is replaced by a new one of the same name and rights.")
class RotateApiKeyInput:
    """Input of rotateApiKey."""

    api_key_id: strawberry.ID = strawberry.field(description="The id of the key to replace.")
    overlap_hours: int = strawberry.field(
        default=OVERLAP_DEFAULT_H,
        description="How long the old key stays good beside the new one; at most 720.",
    )
    expires_at: DateTime | None = strawberry.field(
        default=None,
        description="When the new key ends; left out, it is good for as long as the old one was.",
    )
    note: str = strawberry.field(description="Why, for those who ask later.")
    idempotency_key: str | None = strawberry.field(default=None, description=OPTIONAL_KEY)


@strawberry.input(description="An API key that is ended now.")
class RevokeApiKeyInput:
    """Input of revokeApiKey."""

    api_key_id: strawberry.ID = strawberry.field(description="The id of the key.")
    note: str = strawberry.field(description="Why, for those who ask later.")
    idempotency_key: str | None = strawberry.field(default=None, description=OPTIONAL_KEY)


@strawberry.input(description="One of the store's own order statuses, and what it means.")
class OrderStatusMeaningInput:
    """The store's word and ours."""

    store_status: str = strawberry.field(description="The store's own word, as it stands in its orders.")
    means: OrderStatus = strawberry.field(description="What it means.")


@strawberry.input(description="Changes of the store's settings; what is left out stays.")
class UpdateSettingsInput:
    """Input of updateSettings."""

    negative_balance_enabled: bool | None = strawberry.field(
        default=None, description="Whether a debit by staff may take a wallet below zero."
    )
    negative_balance_limit: MoneyInput | None = strawberry.field(
        default=None, description="How far below zero, when it may."
    )
    inactive_after_months: int | None = strawberry.field(
        default=None, description="Months without a transaction after which a wallet counts as inactive."
    )
    high_balance: MoneyInput | None = strawberry.field(
        default=None, description="Balances from here on are listed for regular review."
    )
    payment_hold_minutes: int | None = strawberry.field(
        default=None, description="How long a payment is held whose request does not say; at most 43200."
    )
    capture_on: CaptureOn | None = strawberry.field(
        default=None, description="Which status of an order captures what the wallet holds for it."
    )
    refund_destination: RefundDestination | None = strawberry.field(
        default=None, description="Where a refund goes that does not say."
    )
    refund_bucket: Bucket | None = strawberry.field(
        default=None,
        description="The kind of value that a refund becomes that goes to the wallet beyond what the wallet paid.",
    )
    refund_grace_days: int | None = strawberry.field(
        default=None, description="How long value can still be spent that comes back after its expiry."
    )
    renewal_policy: RenewalPolicy | None = strawberry.field(
        default=None, description="What a renewal takes from a wallet that has too little."
    )
    wallet_payment_methods: list[str] | None = strawberry.field(
        default=None,
        description="All of the store's words for paying with the wallet: renewals that say one of them are charged.",
    )
    order_statuses: list[OrderStatusMeaningInput] | None = strawberry.field(
        default=None,
        description="All of the store's own statuses that Coffer would not know, and what each means.",
    )
    time_zone: str | None = strawberry.field(
        default=None,
        description="The store's own clock by its name in the IANA database, such as Europe/Berlin.",
    )
    return_period_days: int | None = strawberry.field(
        default=None,
        description="How long customers may return what they bought, from 0 to 365; "
        "cashback that waits for it vests after that.",
    )
    shortfall_policy: ShortfallPolicy | None = strawberry.field(
        default=None, description="What becomes of cashback that is to be taken back after it was spent."
    )
    gift_cards_redeemable: bool | None = strawberry.field(
        default=None, description="Whether gift cards are redeemed into wallets."
    )
    gift_card_partial_redemption: bool | None = strawberry.field(
        default=None,
        description="Whether a part of a gift card may be redeemed; without it, wholly and once.",
    )
    gift_card_lifetime_months: int | None = strawberry.field(
        default=None,
        description="Months that a gift card is good after its activation, unless it was issued with another expiry; 0 is for ever.",
    )
    gift_card_check_by_anyone: bool | None = strawberry.field(
        default=None,
        description="Whether whoever has a gift card's code may ask what is on it without signing in.",
    )
    expiry_reminder_days: int | None = strawberry.field(
        default=None,
        description="How many days before its expiry customers are reminded of value, at most 90; 0 reminds nobody.",
    )
    email_kinds: list[EmailKind] | None = strawberry.field(
        default=None, description="The kinds of e-mails that customers get; an empty list sends none."
    )
    email_language: str | None = strawberry.field(
        default=None,
        description="The language of e-mails to customers whose own is not known, such as en or pt-BR.",
    )
    notice_emails: list[str] | None = strawberry.field(
        default=None,
        description="The addresses of those who run the store, ten at most: they are told of what waits for a person. An "
        "empty list tells nobody.",
    )
    notice_kinds: list[NoticeKind] | None = strawberry.field(
        default=None, description="The notices that they get; an empty list sends none."
    )
    top_ups_enabled: bool | None = strawberry.field(default=None, description="Whether customers can pay in.")
    top_up_minimum: MoneyInput | None = strawberry.field(
        default=None, description="The smallest top-up; zero is any."
    )
    top_up_maximum: MoneyInput | None = strawberry.field(
        default=None, description="The largest top-up; zero is any."
    )
    top_up_day_maximum: MoneyInput | None = strawberry.field(
        default=None,
        description="What a customer pays in at most on a day of the store's calendar; zero is any.",
    )
    wallet_balance_maximum: MoneyInput | None = strawberry.field(
        default=None, description="What a wallet may hold after a top-up; zero is any."
    )
    top_up_suggested: list[MoneyInput] | None = strawberry.field(
        default=None, description="All amounts that the store suggests, at most 10."
    )
    top_up_methods: list[str] | None = strawberry.field(
        default=None,
        description="All of the store's payment methods that pay top-ups, at most 20; never the wallet's own.",
    )
    top_up_products: list[str] | None = strawberry.field(
        default=None,
        description="All SKUs and product ids that mean a top-up in the store's orders, at most 100.",
    )
    top_up_hours: int | None = strawberry.field(
        default=None,
        description="How long a top-up that was started waits for its money, from 1 to 720 hours.",
    )
    payout_method_waiting_hours: int | None = strawberry.field(
        default=None,
        description="How long a new payout method waits until money can be sent there, from 0 to 720 hours.",
    )
    withdrawals: WithdrawalTermsInput | None = strawberry.field(
        default=None, description="Whether and how customers are paid out; what is left out stays."
    )
    note: str = strawberry.field(description="Why the settings change, for those who ask later.")
    idempotency_key: str | None = strawberry.field(default=None, description=OPTIONAL_KEY)


@strawberry.input(
    description="What says where money is sent; which of it is needed depends on the kind. It is kept encrypted; at most 500 "
    "characters each."
)
class PayoutDetailsInput:
    """The details of a payout method."""

    holder: str | None = strawberry.field(
        default=None, description="BANK_IBAN, BANK_ACCOUNT: whose account it is."
    )
    iban: str | None = strawberry.field(default=None, description="BANK_IBAN: the account's IBAN.")
    bic: str | None = strawberry.field(
        default=None, description="BANK_IBAN: the bank's BIC, where the bank wants it."
    )
    routing_number: str | None = strawberry.field(
        default=None, description="BANK_ACCOUNT: the bank's routing number, nine digits."
    )
    account_number: str | None = strawberry.field(
        default=None, description="BANK_ACCOUNT: the number of the account."
    )
    email: str | None = strawberry.field(
        default=None, description="PAYPAL: the e-mail address of the PayPal account."
    )
    token: str | None = strawberry.field(
        default=None,
        description="PROVIDER: the provider's own id of the card, bank account or wallet, such as ba_1KJ9x2.",
    )
    account: str | None = strawberry.field(
        default=None, description="PROVIDER: the provider's id of the customer's account, where it has one."
    )
    instructions: str | None = strawberry.field(
        default=None, description="OTHER: how the customer is paid out, as agreed with the store."
    )


@strawberry.input(description="Another place to be paid out to.")
class AddPayoutMethodInput:
    """Input of addPayoutMethod."""

    wallet: WalletSelector | None = strawberry.field(
        default=None, description="Whose wallet; left out, the caller's own."
    )
    kind: PayoutMethodKind = strawberry.field(description="What sort of place it is.")
    label: str | None = strawberry.field(
        default=None, description="What the customer calls it; at most 100 characters."
    )
    details: PayoutDetailsInput = strawberry.field(description="What its kind requires.")
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A payout method that is not used any more.")
class RemovePayoutMethodInput:
    """Input of removePayoutMethod."""

    payout_method_id: strawberry.ID = strawberry.field(description="The id of the payout method.")
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A payout method whose details staff read in full.")
class RevealPayoutMethodInput:
    """Input of revealPayoutMethod."""

    payout_method_id: strawberry.ID = strawberry.field(description="The id of the payout method.")
    note: str = strawberry.field(description=NOTE)
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="Which deliveries are replayed; all that is given must hold.")
class ReplayFilter:
    """Conditions on deliveries to replay."""

    statuses: list[DeliveryStatus] | None = strawberry.field(
        default=None, description="In one of these states; left out, those that failed or are dead."
    )
    doors: list[Door] | None = strawberry.field(default=None, description="Came in one of these ways.")


@strawberry.input(description="Messages of the store that are worked on again: named, or found by a filter.")
class ReplayWebhookDeliveriesInput:
    """Input of replayWebhookDeliveries."""

    delivery_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="The ids of the deliveries, at most 100."
    )
    filter: ReplayFilter | None = strawberry.field(
        default=None, description="Instead of ids: the oldest deliveries that match, at most 100."
    )
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(
    description="Which lines of an order count: those that any list of what counts names, or all where there is none, "
    "less those that any list of exceptions names. At most 200 entries each."
)
class PromotionLinesInput:
    """The lists."""

    categories: list[str] | None = strawberry.field(
        default=None, description="Categories whose products count."
    )
    products: list[str] | None = strawberry.field(
        default=None, description="Products or variations that count, by the store's own ids."
    )
    skus: list[str] | None = strawberry.field(default=None, description="Stock numbers that count.")
    except_categories: list[str] | None = strawberry.field(
        default=None, description="Categories whose products don't count."
    )
    except_products: list[str] | None = strawberry.field(
        default=None, description="Products or variations that don't count, by the store's own ids."
    )
    except_skus: list[str] | None = strawberry.field(
        default=None, description="Stock numbers that don't count."
    )


@strawberry.input(
    description="A promotion whose coupon codes grant promotional money: an amount, or a percentage of an order."
)
class CreatePromotionInput:
    """Input of createPromotion."""

    name: str = strawberry.field(description="What it is called, also in the customers' histories.")
    description: str | None = strawberry.field(default=None, description="What it is about, in words.")
    status: PromotionStatus = strawberry.field(
        default=PromotionStatus.DRAFT,
        description="How it stands; its codes give something while it is ACTIVE.",
    )
    amount: MoneyInput | None = strawberry.field(
        default=None, description="What each use gives. Either this or a percentage."
    )
    percent: Decimal | None = strawberry.field(
        default=None,
        description="How many percent of the order's lines that count each use gives, with at most two decimals.",
    )
    cap: MoneyInput | None = strawberry.field(
        default=None, description="The most that one use of a percentage gives."
    )
    minimum_spend: MoneyInput | None = strawberry.field(
        default=None,
        description="What the order's lines that count must cost at least, after discounts and with tax.",
    )
    lines: PromotionLinesInput | None = strawberry.field(
        default=None, description="Which lines of an order count; left out, all."
    )
    first_time_only: bool = strawberry.field(
        default=False, description="Only for customers who have not bought anything before, once each."
    )
    starts_at: DateTime | None = strawberry.field(
        default=None, description="From when on; left out, at once."
    )
    ends_at: DateTime | None = strawberry.field(default=None, description="Until when; left out, for ever.")
    uses_max: int | None = strawberry.field(
        default=None, description="How often it can be used in all; left out, without a limit."
    )
    uses_per_customer: int | None = strawberry.field(
        default=1, description="How often one customer can use it; null for no limit."
    )
    budget: MoneyInput | None = strawberry.field(
        default=None, description="The most that it grants in all; left out, without a limit."
    )
    granted_for_days: int | None = strawberry.field(
        default=None,
        description="For how many days the granted money can be spent, the last one whole; left out, without a limit.",
    )
    granted_to_end_of_month: bool = strawberry.field(
        default=False,
        description="Whether it can be spent to the end of the month that its last day is in.",
    )
    note: str = strawberry.field(description="Why, for those who ask later.")
    idempotency_key: str | None = strawberry.field(default=None, description=OPTIONAL_KEY)


@strawberry.input(
    description="Changes of a promotion: what is left out stays, and null takes a limit away. They are for uses to come; "
    "what was granted stays as it is."
)
class UpdatePromotionInput:
    """Input of updatePromotion."""

    promotion_id: strawberry.ID = strawberry.field(description="The promotion.")
    name: str | None = strawberry.field(default=strawberry.UNSET, description="What it is called.")
    description: str | None = strawberry.field(default=strawberry.UNSET, description="What it is about.")
    status: PromotionStatus | None = strawberry.field(
        default=strawberry.UNSET,
        description="ACTIVE begins it or lets it go on, PAUSED stops it for a while, ARCHIVED for good.",
    )
    amount: MoneyInput | None = strawberry.field(
        default=strawberry.UNSET, description="What each use gives; it takes the place of a percentage."
    )
    percent: Decimal | None = strawberry.field(
        default=strawberry.UNSET,
        description="How many percent each use gives; it takes the place of an amount.",
    )
    cap: MoneyInput | None = strawberry.field(
        default=strawberry.UNSET, description="The most that one use of a percentage gives."
    )
    minimum_spend: MoneyInput | None = strawberry.field(
        default=strawberry.UNSET, description="What the order's lines that count must cost at least."
    )
    lines: PromotionLinesInput | None = strawberry.field(
        default=strawberry.UNSET, description="Which lines of an order count; null for all."
    )
    first_time_only: bool | None = strawberry.field(
        default=strawberry.UNSET, description="Only for customers who have not bought anything before."
    )
    starts_at: DateTime | None = strawberry.field(default=strawberry.UNSET, description="From when on.")
    ends_at: DateTime | None = strawberry.field(default=strawberry.UNSET, description="Until when.")
    uses_max: int | None = strawberry.field(
        default=strawberry.UNSET, description="How often it can be used in all; no less than it was."
    )
    uses_per_customer: int | None = strawberry.field(
        default=strawberry.UNSET, description="How often one customer can use it."
    )
    budget: MoneyInput | None = strawberry.field(
        default=strawberry.UNSET, description="The most that it grants in all; no less than it has."
    )
    granted_for_days: int | None = strawberry.field(
        default=strawberry.UNSET, description="For how many days the granted money can be spent."
    )
    granted_to_end_of_month: bool | None = strawberry.field(
        default=strawberry.UNSET,
        description="Whether it can be spent to the end of the month that its last day is in.",
    )
    note: str = strawberry.field(description="Why, for those who ask later.")
    idempotency_key: str | None = strawberry.field(default=None, description=OPTIONAL_KEY)


@strawberry.input(description="Codes that nobody can guess, such as SPRING-7K3M-92QD-XA4P.")
class GenerateCouponCodesInput:
    """How many, and how they begin."""

    count: int = strawberry.field(description="How many, at most 10000 at once.")
    prefix: str = strawberry.field(
        default="COUPON", description="What they begin with: up to 20 letters from A to Z, digits, - and _."
    )


@strawberry.input(
    description="Coupon codes for a promotion: one by name, or new ones, or those of a file. Exactly one of these."
)
class CreateCouponCodesInput:
    """Input of createCouponCodes."""

    promotion_id: strawberry.ID = strawberry.field(description="The promotion that they belong to.")
    code: str | None = strawberry.field(
        default=None,
        description="One code by name, such as WELCOME-10: 3 to 48 letters from A to Z, digits, - and _. "
        "Capitals and small letters are the same.",
    )
    generate: GenerateCouponCodesInput | None = strawberry.field(
        default=None, description="New codes, all different."
    )
    csv: str | None = strawberry.field(
        default=None,
        description="A file of codes, one a line, at most 10000: the first column counts, a first line `code` does not.",
    )
    uses_max: int | None = strawberry.field(
        default=None,
        description="How often each of them can be used; left out, only the promotion limits them. "
        "Generated ones can be used once when it is left out.",
    )
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A coupon code that is redeemed by itself, without an order.")
class RedeemCouponInput:
    """Input of redeemCoupon."""

    wallet: WalletSelector | None = strawberry.field(
        default=None, description="Into which wallet; left out, the caller's own."
    )
    code: str = strawberry.field(description="The code; capitals and small letters are the same.")
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="What one decides of one kind of e-mails.")
class NotificationPreferenceInput:
    """A kind, and whether it is wanted."""

    kind: EmailKind = strawberry.field(description="The kind.")
    enabled: bool = strawberry.field(description="Whether the customer gets it.")


@strawberry.input(description="Which e-mails a customer wants; kinds that are left out stay as they are.")
class UpdateNotificationPreferencesInput:
    """Input of updateNotificationPreferences."""

    wallet: WalletSelector | None = strawberry.field(
        default=None, description="Whose, by their wallet; left out, the caller's own."
    )
    preferences: list[NotificationPreferenceInput] = strawberry.field(
        description="The kinds that change, each once."
    )
    idempotency_key: str | None = strawberry.field(default=None, description=OPTIONAL_KEY)


EVENTS = (
    "What it is told of: names of events such as payment.captured, their beginnings with a star (payment.*), or * for all "
    "that whoever asks may see. `webhookEventTypes` lists them."
)
ENDPOINT_NOTE = "Why, for those who ask later."


@strawberry.input(description="An endpoint that is told of what happens from now on.")
class CreateWebhookEndpointInput:
    """Input of createWebhookEndpoint."""

    url: str = strawberry.field(
        description="Where messages are posted to, such as https://shop.example/webhooks."
    )
    description: str = strawberry.field(default="", description="What it is for, in the store's words.")
    events: list[str] = strawberry.field(description=EVENTS)
    note: str = strawberry.field(description=ENDPOINT_NOTE)
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A change of an endpoint; what is left out stays as it is.")
class UpdateWebhookEndpointInput:
    """Input of updateWebhookEndpoint."""

    webhook_endpoint_id: strawberry.ID = strawberry.field(description="The endpoint's id.")
    url: str | None = strawberry.field(default=None, description="Where messages are posted to.")
    description: str | None = strawberry.field(default=None, description="What it is for.")
    events: list[str] | None = strawberry.field(default=None, description=EVENTS)
    note: str = strawberry.field(description=ENDPOINT_NOTE)
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="An endpoint that is given a new secret.")
class RotateWebhookSecretInput:
    """Input of rotateWebhookSecret."""

    webhook_endpoint_id: strawberry.ID = strawberry.field(description="The endpoint's id.")
    overlap_hours: int = strawberry.field(
        default=endpoints.OVERLAP_DEFAULT_H,
        description="For how many hours messages are signed with the old secret too, from 0 to "
        f"{endpoints.OVERLAP_MAX_H}.",
    )
    note: str = strawberry.field(description=ENDPOINT_NOTE)
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="An endpoint that is switched on.")
class EnableWebhookEndpointInput:
    """Input of enableWebhookEndpoint."""

    webhook_endpoint_id: strawberry.ID = strawberry.field(description="The endpoint's id.")
    note: str = strawberry.field(description=ENDPOINT_NOTE)
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="An endpoint that is switched off.")
class DisableWebhookEndpointInput:
    """Input of disableWebhookEndpoint."""

    webhook_endpoint_id: strawberry.ID = strawberry.field(description="The endpoint's id.")
    note: str = strawberry.field(description=ENDPOINT_NOTE)
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="An endpoint that is tried out.")
class SendTestWebhookInput:
    """Input of sendTestWebhook."""

    webhook_endpoint_id: strawberry.ID = strawberry.field(
        description="The endpoint's id; it may be switched off."
    )
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="Messages to endpoints that are sent again: named, or found by a filter.")
class ReplayOutgoingWebhooksInput:
    """Input of replayOutgoingWebhooks."""

    outgoing_webhook_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="The ids of the messages, at most 100."
    )
    filter: OutgoingWebhookFilter | None = strawberry.field(
        default=None,
        description="Instead of ids: the oldest messages that match, at most 100; dead ones when no status is named.",
    )
    idempotency_key: str = strawberry.field(description=KEY)
