"""What can be done: a line a field, with its resolver, who may ask, and what it is."""

import strawberry

from app.domain.access import Capability
from app.resolvers import (
    adjustment as adjustment_resolvers,
    api_key as api_key_resolvers,
    cashback as cashback_resolvers,
    customer as customer_resolvers,
    delivery as delivery_resolvers,
    event as event_resolvers,
    gift_card as gift_card_resolvers,
    mailing as mailing_resolvers,
    order as order_resolvers,
    payment as payment_resolvers,
    payout_method as payout_method_resolvers,
    promotion as promotion_resolvers,
    refund as refund_resolvers,
    renewal as renewal_resolvers,
    role as role_resolvers,
    settings as settings_resolvers,
    top_up as top_up_resolvers,
    top_up_intent as top_up_intent_resolvers,
    wallet as wallet_resolvers,
    webhook_endpoint as webhook_endpoint_resolvers,
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
        "Change what is known of a customer.",
    )
    update_notification_preferences: payloads.UpdateNotificationPreferencesPayload = root(
        mailing_resolvers.update_notification_preferences,
        SignedIn(),
        "Say which e-mails a customer gets. For others than oneself it needs CUSTOMERS_WRITE.",
    )
    record_event: payloads.RecordEventPayload = root(
        event_resolvers.record_event,
        Needs(Capability.EVENTS_WRITE),
        "Tell of something that a customer did in the store, such as a review; told twice, it happened once.",
    )
    record_top_up: payloads.RecordTopUpPayload = root(
        top_up_resolvers.record_top_up,
        Needs(Capability.TOP_UPS_WRITE),
        "Tell of money that a customer paid in by the store's checkout, as often as one likes; the wallet follows.",
    )
    start_top_up: payloads.StartTopUpPayload = root(
        top_up_intent_resolvers.start_top_up,
        SignedIn(),
        "Start a top-up: its reference goes through the store's own checkout. For others than oneself it needs TOP_UPS_WRITE.",
    )
    cancel_top_up: payloads.CancelTopUpPayload = root(
        top_up_intent_resolvers.cancel_top_up, SignedIn(), "Leave a top-up that was started."
    )
    set_auto_top_up: payloads.SetAutoTopUpPayload = root(
        top_up_intent_resolvers.set_auto_top_up,
        SignedIn(),
        "Have the store charge a saved payment method when the wallet runs low, or once a month. "
        "For others than oneself it needs TOP_UPS_WRITE.",
    )
    pause_auto_top_up: payloads.PauseAutoTopUpPayload = root(
        top_up_intent_resolvers.pause_auto_top_up, SignedIn(), "Pause a rule of automatic top-ups."
    )
    cancel_auto_top_up: payloads.CancelAutoTopUpPayload = root(
        top_up_intent_resolvers.cancel_auto_top_up, SignedIn(), "End a rule of automatic top-ups."
    )
    report_auto_top_up_charge: payloads.ReportAutoTopUpChargePayload = root(
        top_up_intent_resolvers.report_auto_top_up_charge,
        Needs(Capability.TOP_UPS_WRITE),
        "Tell what came of a charge that Coffer asked for: paid, it is credited; declined, the rule tries again later.",
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
        Needs(Capability.WITHDRAWALS_REVIEW, Capability.PAYOUT_DETAILS_READ),
        "Make a batch of approved withdrawals for the bank: they are processing from then on. Repeated with the same key, "
        "it gives the same batch. The file names the accounts in full: who read them is written down.",
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
    create_cashback_rule: payloads.CreateCashbackRulePayload = root(
        cashback_resolvers.create_cashback_rule,
        Needs(Capability.CASHBACK_WRITE),
        "Make a cashback rule, as a draft that gives nothing yet.",
    )
    update_cashback_rule: payloads.UpdateCashbackRulePayload = root(
        cashback_resolvers.update_cashback_rule,
        Needs(Capability.CASHBACK_WRITE),
        "Change a cashback rule, wholly or in part: it gets a new version, and what was given keeps the one that gave it.",
    )
    activate_cashback_rule: payloads.ActivateCashbackRulePayload = root(
        cashback_resolvers.activate_cashback_rule,
        Needs(Capability.CASHBACK_WRITE),
        "Have a cashback rule give cashback from now on, within its window.",
    )
    pause_cashback_rule: payloads.PauseCashbackRulePayload = root(
        cashback_resolvers.pause_cashback_rule,
        Needs(Capability.CASHBACK_WRITE),
        "Stop a cashback rule; it can be made active again.",
    )
    archive_cashback_rule: payloads.ArchiveCashbackRulePayload = root(
        cashback_resolvers.archive_cashback_rule,
        Needs(Capability.CASHBACK_WRITE),
        "End a cashback rule for good; what it gave stays explained.",
    )
    issue_gift_cards: payloads.IssueGiftCardsPayload = root(
        gift_card_resolvers.issue_gift_cards,
        Needs(Capability.GIFT_CARDS_WRITE),
        "Make gift cards: one, many, or those of a list; their codes are in this answer only.",
    )
    activate_gift_card: payloads.ActivateGiftCardPayload = root(
        gift_card_resolvers.activate_gift_card,
        Needs(Capability.GIFT_CARDS_WRITE),
        "Give a gift card its value, as when it is sold: from here on the store owes it.",
    )
    disable_gift_card: payloads.DisableGiftCardPayload = root(
        gift_card_resolvers.disable_gift_card,
        Needs(Capability.GIFT_CARDS_WRITE),
        "Stop a gift card; it keeps its value.",
    )
    enable_gift_card: payloads.EnableGiftCardPayload = root(
        gift_card_resolvers.enable_gift_card,
        Needs(Capability.GIFT_CARDS_WRITE),
        "Let a stopped gift card go again.",
    )
    redeem_gift_card: payloads.RedeemGiftCardPayload = root(
        gift_card_resolvers.redeem_gift_card,
        SignedIn(),
        "Move a gift card's value into a wallet, where the store's settings allow it. Too many wrong codes get RATE_LIMITED. "
        "For other wallets than one's own it needs GIFT_CARDS_REDEEM.",
    )
    create_promotion: payloads.CreatePromotionPayload = root(
        promotion_resolvers.create_promotion,
        Needs(Capability.PROMOTIONS_WRITE),
        "Make a promotion, whose coupon codes grant promotional money.",
    )
    update_promotion: payloads.UpdatePromotionPayload = root(
        promotion_resolvers.update_promotion,
        Needs(Capability.PROMOTIONS_WRITE),
        "Change, begin, pause or archive a promotion.",
    )
    create_coupon_codes: payloads.CreateCouponCodesPayload = root(
        promotion_resolvers.create_coupon_codes,
        Needs(Capability.PROMOTIONS_WRITE),
        "Make coupon codes of a promotion: one by name, many that nobody can guess, or those of a file.",
    )
    redeem_coupon: payloads.RedeemCouponPayload = root(
        promotion_resolvers.redeem_coupon,
        SignedIn(),
        "Redeem a coupon code that needs no order. For others than oneself it needs COUPONS_REDEEM.",
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
    create_webhook_endpoint: payloads.CreateWebhookEndpointPayload = root(
        webhook_endpoint_resolvers.create_webhook_endpoint,
        Needs(Capability.WEBHOOK_ENDPOINTS_WRITE),
        "Have an endpoint told of what happens from now on, by signed messages; its secret is in this answer only.",
    )
    update_webhook_endpoint: payloads.UpdateWebhookEndpointPayload = root(
        webhook_endpoint_resolvers.update_webhook_endpoint,
        Needs(Capability.WEBHOOK_ENDPOINTS_WRITE),
        "Change where messages go, or which; the endpoint is told of no more than the caller may see.",
    )
    rotate_webhook_secret: payloads.RotateWebhookSecretPayload = root(
        webhook_endpoint_resolvers.rotate_webhook_secret,
        Needs(Capability.WEBHOOK_ENDPOINTS_WRITE),
        "Replace the secret that messages to an endpoint are signed with; the old one counts beside it for a while.",
    )
    enable_webhook_endpoint: payloads.EnableWebhookEndpointPayload = root(
        webhook_endpoint_resolvers.enable_webhook_endpoint,
        Needs(Capability.WEBHOOK_ENDPOINTS_WRITE),
        "Switch an endpoint on; what happened while it was off is not told later.",
    )
    disable_webhook_endpoint: payloads.DisableWebhookEndpointPayload = root(
        webhook_endpoint_resolvers.disable_webhook_endpoint,
        Needs(Capability.WEBHOOK_ENDPOINTS_WRITE),
        "Switch an endpoint off; messages that wait for it are not sent.",
    )
    send_test_webhook: payloads.SendTestWebhookPayload = root(
        webhook_endpoint_resolvers.send_test_webhook,
        Needs(Capability.WEBHOOK_ENDPOINTS_WRITE),
        "Send a message that tries an endpoint out.",
    )
    replay_outgoing_webhooks: payloads.ReplayOutgoingWebhooksPayload = root(
        webhook_endpoint_resolvers.replay_outgoing_webhooks,
        Needs(Capability.WEBHOOK_ENDPOINTS_WRITE),
        "Send messages to endpoints again, with the ids that they have, so that receivers know them.",
    )
    update_settings: payloads.UpdateSettingsPayload = root(
        settings_resolvers.update_settings, Needs(Capability.SETTINGS_WRITE), "Change the store's settings."
    )
