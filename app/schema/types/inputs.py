"""What mutations take, one input each."""

import strawberry

from app.domain.api_key import OVERLAP_DEFAULT_H
from app.schema.types.enums import (
    AdjustmentReason,
    Bucket,
    Capability,
    CaptureMethod,
    CaptureOn,
    DeliveryStatus,
    Direction,
    Door,
    OrderStatus,
    PayoutFileFormat,
    PayoutMethodKind,
    RefundDestination,
    RenewalPolicy,
    ShortfallPolicy,
)
from app.schema.types.money import MoneyInput
from app.schema.types.order import OrderSelector, StoreOrderInput
from app.schema.types.scalars import DateTime, Decimal
from app.schema.types.wallet import WalletSelector
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
    idempotency_key: str | None = strawberry.field(default=None, description=OPTIONAL_KEY)


@strawberry.input(description="A known customer's new name or e-mail.")
class UpdateCustomerInput:
    """Input of updateCustomer."""

    store_customer_id: str = strawberry.field(description="The store's own id of the customer.")
    name: str | None = strawberry.field(default=None, description="The new name; left out, it stays.")
    email: str | None = strawberry.field(
        default=None, description="The new e-mail address; left out, it stays."
    )
    idempotency_key: str | None = strawberry.field(default=None, description=OPTIONAL_KEY)


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
