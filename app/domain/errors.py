"""Everything that the domain refuses, and why.

The whole tree::

    DomainError
    ├── InvalidInput                    what was sent can't be meant
    │   ├── AmountNotPositive
    │   ├── AmountTooLarge
    │   ├── AmountTooPrecise
    │   ├── CurrencyMismatch
    │   │   ├── OrderInOtherCurrency
    │   │   ├── GiftCardInOtherCurrency
    │   │   └── NotStoresCurrency
    │   ├── ExpiryInPast
    │   ├── ExpiryOnDebit
    │   ├── FieldInvalid
    │   ├── NoteTooShort
    │   ├── NoteTooLong
    │   ├── NoteNotMeaningful
    │   ├── TextNotAllowed
    │   └── WithdrawalOutOfLimits
    ├── NotFound                        nothing of that name, or not the caller's
    │   ├── GiftCardUnknown
    │   └── CouponUnknown
    ├── InvalidState                    the thing is there but not in a state for this
    │   ├── WalletFrozen
    │   ├── WalletNotFrozen
    │   ├── WithdrawalNotOpen
    │   ├── WithdrawalsDisabled
    │   ├── HoldNotOpen
    │   ├── PaymentNotOpen
    │   ├── OrderNotPayable
    │   ├── OrderNotRefundable
    │   ├── OrderOfAnother
    │   ├── OrderUnknown
    │   ├── RenewalNotCharged
    │   ├── TopUpOfAnother
    │   ├── TopUpsOff
    │   ├── TopUpNotOpen
    │   ├── TopUpChargeNotOpen
    │   ├── CorrectionNotPossible
    │   ├── GiftCardNotUsable
    │   ├── GiftCardNotPartial
    │   ├── GiftCardsOff
    │   ├── CouponNotUsable
    │   ├── PromotionArchived
    │   ├── NameTaken
    │   ├── NotConfigured
    │   ├── RoleProtected
    │   ├── ApiKeyNotActive
    │   ├── PayoutMethodNotUsable
    │   ├── PayoutMethodsClosed
    │   └── LimitReached
    ├── NotAllowed                      somebody else may, this caller may not
    │   ├── OwnWallet
    │   └── RightsExceeded
    ├── InsufficientFunds               the money isn't there
    ├── PaymentExceeded                 the order costs less, or less is held for it
    ├── RefundExceeded                  more than was paid would be refunded
    ├── TopUpLimitReached               the store's limits leave less to pay in
    ├── BalanceTooLarge                 the sum would leave what a balance can hold
    └── IdempotencyKeyReused            the key stands for another request

A refusal is a fact with a code that programs read, a sentence that tells staff what to do next, and the path
of the input field it is about. It is an answer, not an incident.
"""

from collections.abc import Iterable
from enum import StrEnum


class ErrorCode(StrEnum):
    """The closed list of refusals that a caller can meet."""

    AMOUNT_NOT_POSITIVE = "AMOUNT_NOT_POSITIVE"
    """The amount is zero or negative; a direction says which way money goes."""
    AMOUNT_TOO_LARGE = "AMOUNT_TOO_LARGE"
    """The amount is more than one movement may carry."""
    AMOUNT_TOO_PRECISE = "AMOUNT_TOO_PRECISE"
    """The amount has more decimals than its currency."""
    API_KEY_NOT_ACTIVE = "API_KEY_NOT_ACTIVE"
    """The API key was revoked or replaced, or has expired."""
    BALANCE_TOO_LARGE = "BALANCE_TOO_LARGE"
    """The wallet would hold more than a balance can hold."""
    CORRECTION_NOT_POSSIBLE = "CORRECTION_NOT_POSSIBLE"
    """The transaction to correct is of another wallet, or can't be corrected this way."""
    COUPON_NOT_USABLE = "COUPON_NOT_USABLE"
    """The coupon gives nothing to this customer now; the message says why."""
    CURRENCY_MISMATCH = "CURRENCY_MISMATCH"
    """The wallet is in another currency."""
    EXPIRY_IN_PAST = "EXPIRY_IN_PAST"
    """The expiry is not in the future."""
    EXPIRY_ON_DEBIT = "EXPIRY_ON_DEBIT"
    """Only credits can expire."""
    FIELD_INVALID = "FIELD_INVALID"
    """A field's value can't be used; the message says why."""
    GIFT_CARD_NOT_PARTIAL = "GIFT_CARD_NOT_PARTIAL"
    """The store's gift cards are redeemed wholly and once."""
    GIFT_CARD_NOT_USABLE = "GIFT_CARD_NOT_USABLE"
    """The gift card is in no state for this: redeemed, expired, disabled, or activated already."""
    GIFT_CARDS_OFF = "GIFT_CARDS_OFF"
    """The store does not have gift cards redeemed into wallets, or has no key for their codes."""
    HOLD_NOT_OPEN = "HOLD_NOT_OPEN"
    """The hold was captured, released or has expired."""
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    """The idempotency key already stands for a request with other input."""
    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"
    """The wallet has less than that available."""
    LIMIT_REACHED = "LIMIT_REACHED"
    """There are as many of these as there may be."""
    NAME_TAKEN = "NAME_TAKEN"
    """Something else has this name already."""
    NOTE_NOT_MEANINGFUL = "NOTE_NOT_MEANINGFUL"
    """The note says nothing that would help in a review."""
    NOTE_TOO_LONG = "NOTE_TOO_LONG"
    """The note is longer than what can be kept."""
    NOTE_TOO_SHORT = "NOTE_TOO_SHORT"
    """The note is too short to explain anything."""
    NOT_CONFIGURED = "NOT_CONFIGURED"
    """The server lacks a setting that this needs."""
    NOT_FOUND = "NOT_FOUND"
    """Nothing of that name exists, or it is not the caller's."""
    ORDER_NOT_PAYABLE = "ORDER_NOT_PAYABLE"
    """The order was called off, refunded or deleted, so nothing is paid for it."""
    ORDER_NOT_REFUNDABLE = "ORDER_NOT_REFUNDABLE"
    """Nothing was paid for the order yet."""
    ORDER_OF_ANOTHER = "ORDER_OF_ANOTHER"
    """Another customer's wallet pays this order."""
    ORDER_UNKNOWN = "ORDER_UNKNOWN"
    """The store has not told whose order it is."""
    OWN_WALLET = "OWN_WALLET"
    """Nobody adjusts or decides about their own wallet."""
    PAYMENT_EXCEEDED = "PAYMENT_EXCEEDED"
    """The amount is more than the order leaves to pay, or than is held for it."""
    PAYMENT_NOT_OPEN = "PAYMENT_NOT_OPEN"
    """The payment was captured, voided or has expired: nothing is held any more."""
    PROMOTION_ARCHIVED = "PROMOTION_ARCHIVED"
    """The promotion is over for good."""
    PAYOUT_METHOD_NOT_USABLE = "PAYOUT_METHOD_NOT_USABLE"
    """The payout method was removed, or its waiting time is not over."""
    PAYOUT_METHODS_CLOSED = "PAYOUT_METHODS_CLOSED"
    """The server has no key to keep payout methods with."""
    REFUND_EXCEEDED = "REFUND_EXCEEDED"
    """More would be refunded than was paid."""
    RENEWAL_NOT_CHARGED = "RENEWAL_NOT_CHARGED"
    """The store's settings keep this renewal from being paid by the wallet."""
    RIGHTS_EXCEEDED = "RIGHTS_EXCEEDED"
    """Nobody grants, or takes over, rights that they lack themselves."""
    ROLE_PROTECTED = "ROLE_PROTECTED"
    """This change of this role would lock the store out, or open it to everybody."""
    TEXT_NOT_ALLOWED = "TEXT_NOT_ALLOWED"
    """The text has control characters or broken Unicode."""
    TOP_UPS_OFF = "TOP_UPS_OFF"
    """The store takes no top-ups."""
    TOP_UP_CHARGE_NOT_OPEN = "TOP_UP_CHARGE_NOT_OPEN"
    """The store has told already what came of this charge."""
    TOP_UP_LIMIT_REACHED = "TOP_UP_LIMIT_REACHED"
    """The store's limits leave less to pay in, or ask for more; the message says which."""
    TOP_UP_NOT_OPEN = "TOP_UP_NOT_OPEN"
    """The top-up that was started is paid, or has expired."""
    TOP_UP_OF_ANOTHER = "TOP_UP_OF_ANOTHER"
    """Another customer's wallet got this top-up."""
    WALLET_FROZEN = "WALLET_FROZEN"
    """Staff have frozen the wallet."""
    WALLET_NOT_FROZEN = "WALLET_NOT_FROZEN"
    """The wallet is not frozen."""
    WITHDRAWAL_NOT_OPEN = "WITHDRAWAL_NOT_OPEN"
    """The withdrawal is not in a state for this step: somebody was quicker, or another step comes first."""
    WITHDRAWAL_OUT_OF_LIMITS = "WITHDRAWAL_OUT_OF_LIMITS"
    """The amount is less or more than the store pays out, at once or in a day, a week or a month."""
    WITHDRAWALS_DISABLED = "WITHDRAWALS_DISABLED"
    """The store has switched withdrawals off."""


class DomainError(Exception):
    """A refusal: `code` for programs, `message` for people, `field` the path of the input that it is about."""

    code: ErrorCode

    def __init__(self, message: str, *, field: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class InvalidInput(DomainError):
    """What was sent can't be meant."""


class FieldInvalid(InvalidInput):
    code = ErrorCode.FIELD_INVALID


class AmountNotPositive(InvalidInput):
    code = ErrorCode.AMOUNT_NOT_POSITIVE

    def __init__(self, *, field: tuple[str, ...] = ("amount",)) -> None:
        super().__init__(
            "The amount must be more than zero. Give a positive one; `direction`, where there is one, says which way.",
            field=field,
        )


class AmountTooLarge(InvalidInput):
    code = ErrorCode.AMOUNT_TOO_LARGE

    def __init__(self, *, largest: str, field: tuple[str, ...] = ("amount",)) -> None:
        super().__init__(
            f"The amount is too large: at most {largest} can move at once. Choose a smaller amount.",
            field=field,
        )


class AmountTooPrecise(InvalidInput):
    code = ErrorCode.AMOUNT_TOO_PRECISE

    def __init__(self, *, currency: str, exponent: int, field: tuple[str, ...] = ("amount",)) -> None:
        decimals = "no decimals" if exponent == 0 else f"at most {exponent} decimals"
        super().__init__(
            f"Amounts in {currency} have {decimals}. Round the amount and try again.", field=field
        )


class CurrencyMismatch(InvalidInput):
    code = ErrorCode.CURRENCY_MISMATCH

    def __init__(self, *, given: str, wallet: str, field: tuple[str, ...] = ("amount", "currency")) -> None:
        super().__init__(
            f"This wallet is in {wallet}, not in {given}. Give the amount in {wallet}.", field=field
        )


class OrderInOtherCurrency(CurrencyMismatch):
    """The order itself is in another currency than the wallet."""

    def __init__(self, *, order: str, wallet: str) -> None:
        InvalidInput.__init__(
            self,
            f"This order is in {order} and the wallet in {wallet}, so the one can't pay for the other. "
            "Use another payment method.",
            field=("order",),
        )


class GiftCardInOtherCurrency(CurrencyMismatch):
    """The card itself is in another currency than the wallet."""

    def __init__(self, *, card: str, wallet: str) -> None:
        InvalidInput.__init__(
            self,
            f"This gift card is in {card} and the wallet in {wallet}. Use the card in a shop that takes {card}.",
            field=("code",),
        )


class NotStoresCurrency(CurrencyMismatch):
    """What is to be set up would be of no use: the wallets are in another currency."""

    def __init__(self, *, given: str, store: str, field: tuple[str, ...]) -> None:
        InvalidInput.__init__(
            self,
            f"The store's wallets are in {store}, so nobody could ever use this in {given}. Use {store}.",
            field=field,
        )


class ExpiryInPast(InvalidInput):
    code = ErrorCode.EXPIRY_IN_PAST

    def __init__(self) -> None:
        super().__init__(
            "The expiry must be in the future. Choose a later date or leave it out.", field=("expiresAt",)
        )


class ExpiryOnDebit(InvalidInput):
    code = ErrorCode.EXPIRY_ON_DEBIT

    def __init__(self) -> None:
        super().__init__("Only a credit can expire. Leave the expiry out of a debit.", field=("expiresAt",))


class NoteTooShort(InvalidInput):
    code = ErrorCode.NOTE_TOO_SHORT


class NoteTooLong(InvalidInput):
    code = ErrorCode.NOTE_TOO_LONG


class NoteNotMeaningful(InvalidInput):
    code = ErrorCode.NOTE_NOT_MEANINGFUL


class TextNotAllowed(InvalidInput):
    code = ErrorCode.TEXT_NOT_ALLOWED


class NotFound(DomainError):
    """Nothing of that name, or not the caller's: both get the same words."""

    code = ErrorCode.NOT_FOUND

    def __init__(self, what: str, *, field: tuple[str, ...] = ()) -> None:
        super().__init__(f"There is no such {what}. Check the id and try again.", field=field)


class GiftCardUnknown(NotFound):
    """No card has this code, or it was never activated: both get the same words."""

    def __init__(self) -> None:
        DomainError.__init__(
            self,
            "There is no gift card with this code that can be used. Check every character and try again.",
            field=("code",),
        )


class CouponUnknown(NotFound):
    """No coupon has this code, or none that runs: both get the same words."""

    def __init__(self) -> None:
        DomainError.__init__(
            self, "There is no coupon with this code. Check every character and try again.", field=("code",)
        )


class InvalidState(DomainError):
    """The thing is there but not in a state for this."""


class WalletFrozen(InvalidState):
    code = ErrorCode.WALLET_FROZEN

    def __init__(self, *, field: tuple[str, ...] = ("wallet",)) -> None:
        super().__init__(
            "This wallet is frozen, so it can't be used now. Ask the store's staff to review and unfreeze it.",
            field=field,
        )


class WalletNotFrozen(InvalidState):
    code = ErrorCode.WALLET_NOT_FROZEN

    def __init__(self) -> None:
        super().__init__(
            "This wallet is not frozen, so there is nothing to undo. Reload it to see its status.",
            field=("wallet",),
        )


class WithdrawalNotOpen(InvalidState):
    code = ErrorCode.WITHDRAWAL_NOT_OPEN

    def __init__(self, status: str, *, nothing_to_resolve: bool = False) -> None:
        super().__init__(
            _NOTHING_TO_RESOLVE
            if nothing_to_resolve
            else _WITHDRAWAL_STANDS.get(status, _WITHDRAWAL_ENDED % status.lower()),
            field=("withdrawalId",),
        )


_NOTHING_TO_RESOLVE = "Nothing of this withdrawal is left to resolve. Reload it to see how it stands."

_WITHDRAWAL_ENDED = (
    "This withdrawal is already %s, so it can't be changed any more. Reload it to see who decided."
)

_WITHDRAWAL_STANDS = {
    "REQUESTED": "This withdrawal is only requested. Check it, and approve it first.",
    "IN_REVIEW": "This withdrawal is already in review. Reload it to see who looks at it, then approve or reject it.",
    "APPROVED": "This withdrawal is already approved. Reload it to see who decided, then mark it as processing or paid.",
    "PROCESSING": (
        "This withdrawal is already processing: its money may be on its way. Ask whoever sends it, and mark "
        "it as paid, failed or returned."
    ),
}


class WithdrawalsDisabled(InvalidState):
    code = ErrorCode.WITHDRAWALS_DISABLED

    def __init__(self) -> None:
        super().__init__(
            "The store pays nothing out at the moment. Ask the store, or switch withdrawals on in the settings.",
            field=("wallet",),
        )


class WithdrawalOutOfLimits(InvalidInput):
    code = ErrorCode.WITHDRAWAL_OUT_OF_LIMITS

    def __init__(self, message: str) -> None:
        super().__init__(message, field=("amount",))


class PayoutMethodNotUsable(InvalidState):
    code = ErrorCode.PAYOUT_METHOD_NOT_USABLE

    def __init__(self, message: str) -> None:
        super().__init__(message, field=("payoutMethodId",))


class PayoutMethodsClosed(InvalidState):
    code = ErrorCode.PAYOUT_METHODS_CLOSED

    def __init__(self) -> None:
        super().__init__(
            "The server has no key that opens and closes details of payout methods. Ask its operator to set "
            "COFFER_SECRETS_KEY and start it again.",
        )


class HoldNotOpen(InvalidState):
    code = ErrorCode.HOLD_NOT_OPEN

    def __init__(self, status: str) -> None:
        super().__init__(f"This hold is already {status.lower()}.", field=("hold",))


class PaymentNotOpen(InvalidState):
    code = ErrorCode.PAYMENT_NOT_OPEN

    def __init__(self, status: str) -> None:
        super().__init__(
            f"This payment is {status.lower().replace('_', ' ')}, so nothing is held for it any more. "
            "Reload it to see what ended it, and authorize the order again if it is still to be paid.",
            field=("paymentId",),
        )


class OrderNotPayable(InvalidState):
    code = ErrorCode.ORDER_NOT_PAYABLE

    def __init__(self, name: str, status: str, *, field: tuple[str, ...] = ("order",)) -> None:
        super().__init__(
            f"Order {name} was {status.lower()}, so its payment can't be changed. "
            "Ask the store, or place a new order.",
            field=field,
        )


class OrderNotRefundable(InvalidState):
    code = ErrorCode.ORDER_NOT_REFUNDABLE

    def __init__(self, message: str) -> None:
        super().__init__(message, field=("order",))


class OrderOfAnother(InvalidState):
    code = ErrorCode.ORDER_OF_ANOTHER

    def __init__(self) -> None:
        super().__init__(
            "This order is another customer's. Check the order's id, and whose wallet pays.", field=("order",)
        )


class TopUpOfAnother(InvalidState):
    code = ErrorCode.TOP_UP_OF_ANOTHER

    def __init__(self, *, field: tuple[str, ...] = ("externalId",)) -> None:
        super().__init__(
            "This top-up is another customer's. Check its id, and whose wallet it is for.", field=field
        )


class TopUpsOff(InvalidState):
    code = ErrorCode.TOP_UPS_OFF

    def __init__(self) -> None:
        super().__init__(
            "The store takes no top-ups now. Ask the store to enable them and to name its payment methods in the settings.",
            field=("wallet",),
        )


class TopUpNotOpen(InvalidState):
    code = ErrorCode.TOP_UP_NOT_OPEN

    def __init__(self, status: str) -> None:
        super().__init__(
            f"This top-up is {status.lower()} already. Reload it, and start another one to pay in more.",
            field=("topUpIntentId",),
        )


class TopUpChargeNotOpen(InvalidState):
    code = ErrorCode.TOP_UP_CHARGE_NOT_OPEN

    def __init__(self, status: str) -> None:
        super().__init__(
            f"This charge is {status.lower()} already. Reload it; what was paid back is told by recordTopUp.",
            field=("chargeId",),
        )


class TopUpLimitReached(DomainError):
    code = ErrorCode.TOP_UP_LIMIT_REACHED

    def __init__(self, message: str) -> None:
        super().__init__(message, field=("amount", "amount"))


class OrderUnknown(InvalidState):
    code = ErrorCode.ORDER_UNKNOWN

    def __init__(self) -> None:
        super().__init__(
            "The store has not told yet that this order is yours. Try again in a moment, or authorize it, so that the "
            "store can capture it.",
            field=("order",),
        )


class CouponNotUsable(InvalidState):
    code = ErrorCode.COUPON_NOT_USABLE

    def __init__(self, message: str) -> None:
        super().__init__(message, field=("code",))


class PromotionArchived(InvalidState):
    code = ErrorCode.PROMOTION_ARCHIVED

    def __init__(self) -> None:
        super().__init__(
            "This promotion is archived, so nothing of it changes any more. Choose another one, or make a new one.",
            field=("promotionId",),
        )


class RenewalNotCharged(InvalidState):
    code = ErrorCode.RENEWAL_NOT_CHARGED

    def __init__(self, message: str, *, field: tuple[str, ...] = ()) -> None:
        super().__init__(message, field=field)


class CorrectionNotPossible(InvalidState):
    code = ErrorCode.CORRECTION_NOT_POSSIBLE

    def __init__(self, message: str) -> None:
        super().__init__(message, field=("corrects",))


class GiftCardNotUsable(InvalidState):
    code = ErrorCode.GIFT_CARD_NOT_USABLE

    def __init__(self, status: str, *, field: tuple[str, ...] = ("code",)) -> None:
        super().__init__(
            f"This gift card is {status.lower()}, so this can't be done with it. Ask the store's staff to check its "
            "history.",
            field=field,
        )


class GiftCardNotPartial(InvalidState):
    code = ErrorCode.GIFT_CARD_NOT_PARTIAL

    def __init__(self, balance: str) -> None:
        super().__init__(
            f"Gift cards of this store are redeemed wholly and once. Leave the amount out to redeem all {balance}.",
            field=("amount",),
        )


class GiftCardsOff(InvalidState):
    code = ErrorCode.GIFT_CARDS_OFF

    def __init__(
        self,
        message: str = "This store does not have gift cards redeemed into wallets. Ask the store how to use the card.",
        *,
        field: tuple[str, ...] = ("code",),
    ) -> None:
        super().__init__(message, field=field)


class NameTaken(InvalidState):
    code = ErrorCode.NAME_TAKEN

    def __init__(self, what: str, name: str, *, field: tuple[str, ...] = ("name",)) -> None:
        super().__init__(f"There is {what} with the name {name} already. Choose another one.", field=field)


class RoleProtected(InvalidState):
    code = ErrorCode.ROLE_PROTECTED

    def __init__(self, message: str, *, field: tuple[str, ...]) -> None:
        super().__init__(message, field=field)


class ApiKeyNotActive(InvalidState):
    code = ErrorCode.API_KEY_NOT_ACTIVE

    def __init__(self) -> None:
        super().__init__(
            "This key was revoked or replaced already, or has expired. Use the one that replaced it, or make a new one.",
            field=("apiKeyId",),
        )


class NotConfigured(InvalidState):
    """The server lacks a setting that this needs."""

    code = ErrorCode.NOT_CONFIGURED

    def __init__(self, setting: str, *, field: tuple[str, ...] = ()) -> None:
        super().__init__(
            f"The server lacks a setting for this. Ask its operator to set {setting}.", field=field
        )


class LimitReached(InvalidState):
    code = ErrorCode.LIMIT_REACHED

    def __init__(self, message: str, *, field: tuple[str, ...] = ()) -> None:
        super().__init__(message, field=field)


class NotAllowed(DomainError):
    """Somebody else may, this caller may not."""


class OwnWallet(NotAllowed):
    code = ErrorCode.OWN_WALLET

    def __init__(self, *, field: tuple[str, ...] = ("wallet",)) -> None:
        super().__init__("This is your own wallet. Ask a colleague to do this for you.", field=field)


class RightsExceeded(NotAllowed):
    """Somebody would grant, or take over, rights that they lack; `missing` names them."""

    code = ErrorCode.RIGHTS_EXCEEDED

    def __init__(self, missing: Iterable[str], *, field: tuple[str, ...] = ()) -> None:
        self.missing = tuple(sorted(missing))
        super().__init__(
            f"You lack {', '.join(self.missing)} yourself, so you can't decide about it. Ask somebody who has it.",
            field=field,
        )


class InsufficientFunds(DomainError):
    """The money isn't there; `available_minor` says what is."""

    code = ErrorCode.INSUFFICIENT_FUNDS

    def __init__(
        self, *, available_minor: int, available: str, withdrawable: bool = False, of: str | None = None
    ) -> None:
        verb = "can be withdrawn" if withdrawable else "is available"
        kind = "" if of is None else f" of {of}"
        if available_minor:
            message = f"Only {available}{kind} {verb}. Choose an amount up to that."
        else:
            message = f"Nothing{kind} {verb} now. Check the wallet's balance and what is held of it."
        super().__init__(message, field=("amount",))
        self.available_minor = available_minor


class PaymentExceeded(DomainError):
    code = ErrorCode.PAYMENT_EXCEEDED

    def __init__(self, left: str | None) -> None:
        """`left` is None where nothing is."""
        if left is None:
            message = "Nothing of this order is left to pay. Reload it to see what paid it."
        else:
            message = f"Only {left} is left for this. Choose an amount up to that."
        super().__init__(message, field=("amount",))


class RefundExceeded(DomainError):
    code = ErrorCode.REFUND_EXCEEDED

    def __init__(
        self, left: str | None, *, what: str = "this order", field: tuple[str, ...] = ("amount",)
    ) -> None:
        """`left` is None where nothing is."""
        if left is None:
            message = f"Nothing of {what} is left to refund. Reload the order to see its refunds."
        else:
            message = f"Only {left} of {what} can still be refunded. Choose an amount up to that."
        super().__init__(message, field=field)


class BalanceTooLarge(DomainError):
    code = ErrorCode.BALANCE_TOO_LARGE

    def __init__(self, *, largest: str) -> None:
        super().__init__(
            f"The wallet would hold more than {largest}. Choose a smaller amount.", field=("amount",)
        )


class IdempotencyKeyReused(DomainError):
    """The key stands for another request."""

    code = ErrorCode.IDEMPOTENCY_KEY_REUSED

    def __init__(self) -> None:
        super().__init__(
            "This idempotency key was already used for a request with other input. "
            "Repeat that request unchanged, or choose a new key for a new one.",
            field=("idempotencyKey",),
        )
