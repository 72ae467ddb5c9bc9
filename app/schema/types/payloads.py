"""What mutations answer: the objects, or why not."""

import strawberry

from app.schema.types.api_key import ApiKey
from app.schema.types.customer import Customer
from app.schema.types.delivery import WebhookDelivery
from app.schema.types.error import UserError
from app.schema.types.role import Role
from app.schema.types.settings import Settings
from app.schema.types.transaction import Transaction
from app.schema.types.wallet import Wallet
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


@strawberry.type(description="The answer of rejectWithdrawal.")
class RejectWithdrawalPayload(WithdrawalPayload):
    """Answer of rejectWithdrawal."""


@strawberry.type(description="The answer of markWithdrawalPaid.")
class MarkWithdrawalPaidPayload(WithdrawalPayload):
    """Answer of markWithdrawalPaid."""


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


@strawberry.type(description="The answer of updateSettings.")
class UpdateSettingsPayload:
    """The settings, or the refusals."""

    settings: Settings | None = strawberry.field(default=None, description="The settings now in force.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=ERRORS)


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
