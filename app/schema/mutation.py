"""What can be done: a line a field, with its resolver, who may ask, and what it is."""

import strawberry

from app.domain.access import Capability
from app.resolvers import (
    adjustment as adjustment_resolvers,
    api_key as api_key_resolvers,
    customer as customer_resolvers,
    delivery as delivery_resolvers,
    order as order_resolvers,
    payment as payment_resolvers,
    payout_method as payout_method_resolvers,
    refund as refund_resolvers,
    renewal as renewal_resolvers,
    role as role_resolvers,
    settings as settings_resolvers,
    wallet as wallet_resolvers,
    withdrawal as withdrawal_resolvers,
)
from app.schema.permissions import Needs, SignedIn, root
from app.schema.types import payloads


@strawberry.type(description="Everything that can be done. Refusals are answers: read `userErrors`.")
class Mutation:
    """The root of mutations."""

    adjust_balance: payloads.AdjustBalancePayload = root(
        adjustment_resolvers.adjust_balance,
        Needs(Capability.WALLETS_ADJUST),
        "Credit or debit a wallet, with a note that says why; nobody adjusts their own.",
    )
    freeze_wallet: payloads.FreezeWalletPayload = root(
        wallet_resolvers.freeze_wallet,
        Needs(Capability.WALLETS_FREEZE),
        "Stop a wallet: nothing is spent or withdrawn.",
    )
    unfreeze_wallet: payloads.UnfreezeWalletPayload = root(
        wallet_resolvers.unfreeze_wallet, Needs(Capability.WALLETS_FREEZE), "Let a frozen wallet go again."
    )
    register_customer: payloads.RegisterCustomerPayload = root(
        customer_resolvers.register_customer,
        Needs(Capability.CUSTOMERS_WRITE),
        "Make a customer of the store known and open their wallet; may be repeated.",
    )
    update_customer: payloads.UpdateCustomerPayload = root(
        customer_resolvers.update_customer,
        Needs(Capability.CUSTOMERS_WRITE),
        "Change a customer's name or e-mail.",
    )
    request_withdrawal: payloads.RequestWithdrawalPayload = root(
        withdrawal_resolvers.request_withdrawal, SignedIn(), "Ask to be paid out; the amount is held at once."
    )
    cancel_withdrawal: payloads.CancelWithdrawalPayload = root(
        withdrawal_resolvers.cancel_withdrawal, SignedIn(), "Take a withdrawal back that is not decided yet."
    )
    reject_withdrawal: payloads.RejectWithdrawalPayload = root(
        withdrawal_resolvers.reject_withdrawal,
        Needs(Capability.WITHDRAWALS_REVIEW),
        "Refuse a withdrawal; its amount is back at once.",
    )
    mark_withdrawal_paid: payloads.MarkWithdrawalPaidPayload = root(
        withdrawal_resolvers.mark_withdrawal_paid,
        Needs(Capability.WITHDRAWALS_REVIEW),
        "Write down that a withdrawal was paid out.",
    )
    add_payout_method: payloads.AddPayoutMethodPayload = root(
        payout_method_resolvers.add_payout_method,
        SignedIn(),
        "Add a place that a wallet's withdrawals may be sent to, once its waiting time is over. For others than oneself "
        "it needs PAYOUT_METHODS_WRITE.",
    )
    remove_payout_method: payloads.RemovePayoutMethodPayload = root(
        payout_method_resolvers.remove_payout_method,
        SignedIn(),
        "Take a payout method out of use. For others than oneself it needs PAYOUT_METHODS_WRITE.",
    )
    reveal_payout_method: payloads.RevealPayoutMethodPayload = root(
        payout_method_resolvers.reveal_payout_method,
        Needs(Capability.PAYOUT_DETAILS_READ),
        "Read the details of a payout method in full, to send a payment there; who read them and why is written down.",
    )
    review_withdrawal: payloads.ReviewWithdrawalPayload = root(
        withdrawal_resolvers.review_withdrawal,
        Needs(Capability.WITHDRAWALS_REVIEW),
        "Take a withdrawal into review, so that colleagues and the customer see that somebody looks at it.",
    )
    approve_withdrawal: payloads.ApproveWithdrawalPayload = root(
        withdrawal_resolvers.approve_withdrawal,
        Needs(Capability.WITHDRAWALS_REVIEW),
        "Decide that a withdrawal is paid out; nobody decides about their own.",
    )
    approve_withdrawals: payloads.ApproveWithdrawalsPayload = root(
        withdrawal_resolvers.approve_withdrawals,
        Needs(Capability.WITHDRAWALS_REVIEW),
        "Approve several withdrawals; one that is refused keeps no other.",
    )
    reject_withdrawals: payloads.RejectWithdrawalsPayload = root(
        withdrawal_resolvers.reject_withdrawals,
        Needs(Capability.WITHDRAWALS_REVIEW),
        "Refuse several withdrawals; one that is refused itself keeps no other.",
    )
    mark_withdrawal_processing: payloads.MarkWithdrawalProcessingPayload = root(
        withdrawal_resolvers.mark_withdrawal_processing,
        Needs(Capability.WITHDRAWALS_REVIEW),
        "Write down that an approved withdrawal is being sent: from here on nobody cancels it.",
    )
    mark_withdrawal_failed: payloads.MarkWithdrawalFailedPayload = root(
        withdrawal_resolvers.mark_withdrawal_failed,
        Needs(Capability.WITHDRAWALS_REVIEW),
        "Write down that the money could not be sent; it is back in the wallet at once.",
    )
    mark_withdrawal_returned: payloads.MarkWithdrawalReturnedPayload = root(
        withdrawal_resolvers.mark_withdrawal_returned,
        Needs(Capability.WITHDRAWALS_REVIEW),
        "Write down that the money was sent and came back; it is back in the wallet at once, the fee too.",
    )
    resolve_withdrawal_problem: payloads.ResolveWithdrawalProblemPayload = root(
        withdrawal_resolvers.resolve_withdrawal_problem,
        Needs(Capability.WITHDRAWALS_REVIEW),
        "Write down that what ledger and payer did not agree on was looked at, and how it ended.",
    )
    export_withdrawals: payloads.ExportWithdrawalsPayload = root(
        withdrawal_resolvers.export_withdrawals,
        Needs(Capability.WITHDRAWALS_REVIEW),
        "Make a batch of approved withdrawals for the bank: they are processing from then on. Repeated with the same key, "
        "it gives the same batch.",
    )
    import_withdrawal_results: payloads.ImportWithdrawalResultsPayload = root(
        withdrawal_resolvers.import_withdrawal_results,
        Needs(Capability.WITHDRAWALS_REVIEW),
        "Tell what the bank says became of payouts, as often as one likes; the ledger follows.",
    )
    authorize_payment: payloads.AuthorizePaymentPayload = root(
        payment_resolvers.authorize_payment,
        SignedIn(),
        "Hold value of a wallet for an order; what an earlier authorization of the order holds is given back, so that a "
        "double click holds nothing twice. For others than oneself it needs PAYMENTS_WRITE.",
    )
    pay_order: payloads.PayOrderPayload = root(
        payment_resolvers.pay_order,
        SignedIn(),
        "Pay an order with a wallet at once, wholly or in part. Customers pay what the store has told of as theirs; "
        "for all else it needs PAYMENTS_WRITE.",
    )
    capture_payment: payloads.CapturePaymentPayload = root(
        payment_resolvers.capture_payment,
        Needs(Capability.PAYMENTS_WRITE),
        "Take what a payment holds, wholly or in parts.",
    )
    void_payment: payloads.VoidPaymentPayload = root(
        payment_resolvers.void_payment,
        SignedIn(),
        "Give back what a payment still holds. For others than oneself it needs PAYMENTS_WRITE.",
    )
    record_order: payloads.RecordOrderPayload = root(
        order_resolvers.record_order,
        Needs(Capability.ORDERS_WRITE),
        "Tell what the store knows of an order, as often as one likes; the ledger follows.",
    )
    claim_order: payloads.ClaimOrderPayload = root(
        order_resolvers.claim_order,
        Needs(Capability.ORDERS_WRITE),
        "Give a guest's order to a customer, whose wallet then follows it.",
    )
    refund_order: payloads.RefundOrderPayload = root(
        refund_resolvers.refund_order,
        Needs(Capability.REFUNDS_WRITE),
        "Refund an order, wholly or in part, by the store's policy; nobody refunds to their own wallet.",
    )
    charge_renewal: payloads.ChargeRenewalPayload = root(
        renewal_resolvers.charge_renewal,
        Needs(Capability.PAYMENTS_WRITE),
        "Take the money for a subscription's renewal from a wallet, by the store's policy; a retry takes only the rest.",
    )
    announce_renewal: payloads.AnnounceRenewalPayload = root(
        renewal_resolvers.announce_renewal,
        Needs(Capability.ORDERS_WRITE),
        "Tell what the next renewal of a subscription will cost.",
    )
    cancel_renewal: payloads.CancelRenewalPayload = root(
        renewal_resolvers.cancel_renewal, Needs(Capability.ORDERS_WRITE), "Take an announced renewal back."
    )
    create_role: payloads.CreateRolePayload = root(
        role_resolvers.create_role,
        Needs(Capability.ROLES_WRITE),
        "Make a role; nobody gives it rights that they lack.",
    )
    update_role: payloads.UpdateRolePayload = root(
        role_resolvers.update_role,
        Needs(Capability.ROLES_WRITE),
        "Change, archive or take back a role, if the caller has all of its rights. In force within seconds, everywhere.",
    )
    create_api_key: payloads.CreateApiKeyPayload = root(
        api_key_resolvers.create_api_key,
        Needs(Capability.API_KEYS_WRITE),
        "Give a service a key; its secret is in this answer only.",
    )
    rotate_api_key: payloads.RotateApiKeyPayload = root(
        api_key_resolvers.rotate_api_key,
        Needs(Capability.API_KEYS_WRITE),
        "Replace a service's key by a new one; the old one stays good for a while.",
    )
    revoke_api_key: payloads.RevokeApiKeyPayload = root(
        api_key_resolvers.revoke_api_key, Needs(Capability.API_KEYS_WRITE), "End a service's key now."
    )
    replay_webhook_deliveries: payloads.ReplayWebhookDeliveriesPayload = root(
        delivery_resolvers.replay_webhook_deliveries,
        Needs(Capability.WEBHOOKS_REPLAY),
        "Have messages of the store worked on again; nothing happens twice.",
    )
    update_settings: payloads.UpdateSettingsPayload = root(
        settings_resolvers.update_settings, Needs(Capability.SETTINGS_WRITE), "Change the store's settings."
    )
