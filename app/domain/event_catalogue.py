"""Which events there are: what each means, and which capability sees it. The README's table is made of this."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from app.domain.access import Capability


class EventType(StrEnum):
    """What can be told of, by the name that it has in messages."""

    CUSTOMER_CREATED = "customer.created"
    CUSTOMER_UPDATED = "customer.updated"
    WALLET_CREATED = "wallet.created"
    WALLET_FROZEN = "wallet.frozen"
    WALLET_UNFROZEN = "wallet.unfrozen"
    TRANSACTION_POSTED = "transaction.posted"
    ORDER_CREATED = "order.created"
    ORDER_UPDATED = "order.updated"
    PAYMENT_AUTHORIZED = "payment.authorized"
    PAYMENT_CAPTURED = "payment.captured"
    PAYMENT_VOIDED = "payment.voided"
    PAYMENT_EXPIRED = "payment.expired"
    PAYMENT_REFUNDED = "payment.refunded"
    REFUND_CREATED = "refund.created"
    REFUND_UPDATED = "refund.updated"
    RENEWAL_ANNOUNCED = "renewal.announced"
    RENEWAL_UPDATED = "renewal.updated"
    RENEWAL_CHARGED = "renewal.charged"
    RENEWAL_CANCELLED = "renewal.cancelled"
    WITHDRAWAL_REQUESTED = "withdrawal.requested"
    WITHDRAWAL_IN_REVIEW = "withdrawal.in_review"
    WITHDRAWAL_APPROVED = "withdrawal.approved"
    WITHDRAWAL_PROCESSING = "withdrawal.processing"
    WITHDRAWAL_PAID = "withdrawal.paid"
    WITHDRAWAL_FAILED = "withdrawal.failed"
    WITHDRAWAL_RETURNED = "withdrawal.returned"
    WITHDRAWAL_REJECTED = "withdrawal.rejected"
    WITHDRAWAL_CANCELLED = "withdrawal.cancelled"
    WITHDRAWAL_UPDATED = "withdrawal.updated"
    PAYOUT_UNKNOWN = "payout.unknown"
    PAYOUT_METHOD_ADDED = "payout_method.added"
    PAYOUT_METHOD_REMOVED = "payout_method.removed"
    TOP_UP_STARTED = "top_up.started"
    TOP_UP_COMPLETED = "top_up.completed"
    TOP_UP_EXPIRED = "top_up.expired"
    TOP_UP_CANCELLED = "top_up.cancelled"
    TOP_UP_CREDITED = "top_up.credited"
    TOP_UP_TAKEN_BACK = "top_up.taken_back"
    AUTO_TOP_UP_CREATED = "auto_top_up.created"
    AUTO_TOP_UP_CHANGED = "auto_top_up.changed"
    AUTO_TOP_UP_PAUSED = "auto_top_up.paused"
    AUTO_TOP_UP_FAILED = "auto_top_up.failed"
    AUTO_TOP_UP_CANCELLED = "auto_top_up.cancelled"
    AUTO_TOP_UP_CHARGE_REQUESTED = "auto_top_up_charge.requested"
    AUTO_TOP_UP_CHARGE_PAID = "auto_top_up_charge.paid"
    AUTO_TOP_UP_CHARGE_DECLINED = "auto_top_up_charge.declined"
    AUTO_TOP_UP_CHARGE_WITHDRAWN = "auto_top_up_charge.withdrawn"
    CASHBACK_AWARDED = "cashback.awarded"
    CASHBACK_VESTED = "cashback.vested"
    CASHBACK_CLAWED_BACK = "cashback.clawed_back"
    CASHBACK_RESTORED = "cashback.restored"
    CASHBACK_EXPIRED = "cashback.expired"
    CASHBACK_RULE_CREATED = "cashback_rule.created"
    CASHBACK_RULE_CHANGED = "cashback_rule.changed"
    PROMOTION_CREATED = "promotion.created"
    PROMOTION_CHANGED = "promotion.changed"
    COUPON_REDEEMED = "coupon.redeemed"
    COUPON_REFUSED = "coupon.refused"
    COUPON_TAKEN_BACK = "coupon.taken_back"
    COUPON_RESTORED = "coupon.restored"
    GIFT_CARD_ISSUED = "gift_card.issued"
    GIFT_CARD_ACTIVATED = "gift_card.activated"
    GIFT_CARD_REDEEMED = "gift_card.redeemed"
    GIFT_CARD_DISABLED = "gift_card.disabled"
    GIFT_CARD_ENABLED = "gift_card.enabled"
    GIFT_CARD_EXPIRED = "gift_card.expired"
    SETTINGS_CHANGED = "settings.changed"
    ROLE_CREATED = "role.created"
    ROLE_CHANGED = "role.changed"
    API_KEY_CREATED = "api_key.created"
    API_KEY_CHANGED = "api_key.changed"
    SIGNAL_RAISED = "signal.raised"
    VALUE_EXPIRING = "value.expiring"
    DELIVERY_DEAD = "delivery.dead"
    MESSAGE_DEAD = "message.dead"
    WEBHOOK_ENDPOINT_CREATED = "webhook_endpoint.created"
    WEBHOOK_ENDPOINT_CHANGED = "webhook_endpoint.changed"
    WEBHOOK_ENDPOINT_DISABLED = "webhook_endpoint.disabled"
    WEBHOOK_TEST = "webhook.test"


@dataclass(frozen=True, slots=True)
class EventKind:
    """What an event means, whoever may be told of it (`needs`), and the version of its data."""

    description: str
    needs: Capability | None
    version: int = 1


CATALOGUE: Mapping[EventType, EventKind] = {
    EventType.CUSTOMER_CREATED: EventKind(
        "A customer of the store became known; fetch the name by the id.", Capability.CUSTOMERS_READ
    ),
    EventType.CUSTOMER_UPDATED: EventKind(
        "What is known of a customer changed; fetch it by the id.", Capability.CUSTOMERS_READ
    ),
    EventType.WALLET_CREATED: EventKind("A wallet was opened for a customer.", Capability.WALLETS_READ),
    EventType.WALLET_FROZEN: EventKind("Staff stopped a wallet.", Capability.WALLETS_READ),
    EventType.WALLET_UNFROZEN: EventKind("Staff let a wallet go again.", Capability.WALLETS_READ),
    EventType.TRANSACTION_POSTED: EventKind(
        "Money moved into or out of a wallet; sequence numbers of a wallet have no gap.",
        Capability.WALLETS_READ,
    ),
    EventType.ORDER_CREATED: EventKind("An order became known.", Capability.ORDERS_READ),
    EventType.ORDER_UPDATED: EventKind(
        "What is known of an order changed: its status, its wallet, or what the wallet gave for it.",
        Capability.ORDERS_READ,
    ),
    EventType.PAYMENT_AUTHORIZED: EventKind("Value was held for an order.", Capability.ORDERS_READ),
    EventType.PAYMENT_CAPTURED: EventKind(
        "What was held was taken, or a part of it.", Capability.ORDERS_READ
    ),
    EventType.PAYMENT_VOIDED: EventKind(
        "What was still held went back into the wallet.", Capability.ORDERS_READ
    ),
    EventType.PAYMENT_EXPIRED: EventKind(
        "A payment ran out, and what was still held went back into the wallet.", Capability.ORDERS_READ
    ),
    EventType.PAYMENT_REFUNDED: EventKind(
        "What a payment had taken went back into the wallet, or a part of it.", Capability.ORDERS_READ
    ),
    EventType.REFUND_CREATED: EventKind("An order was refunded, or a part of it.", Capability.ORDERS_READ),
    EventType.REFUND_UPDATED: EventKind(
        "A refund changed: its parts were divided anew, or the store took it back.", Capability.ORDERS_READ
    ),
    EventType.RENEWAL_ANNOUNCED: EventKind("A subscription's renewal is to come.", Capability.ORDERS_READ),
    EventType.RENEWAL_UPDATED: EventKind("An announced renewal changed.", Capability.ORDERS_READ),
    EventType.RENEWAL_CHARGED: EventKind("A renewal was charged.", Capability.ORDERS_READ),
    EventType.RENEWAL_CANCELLED: EventKind("An announced renewal was taken back.", Capability.ORDERS_READ),
    EventType.WITHDRAWAL_REQUESTED: EventKind(
        "A customer asked to be paid out; the amount is held.", Capability.WALLETS_READ
    ),
    EventType.WITHDRAWAL_IN_REVIEW: EventKind(
        "Somebody of the staff looks at a withdrawal.", Capability.WALLETS_READ
    ),
    EventType.WITHDRAWAL_APPROVED: EventKind(
        "A withdrawal is to be paid out, by staff or by the store's settings.", Capability.WALLETS_READ
    ),
    EventType.WITHDRAWAL_PROCESSING: EventKind("A withdrawal is being paid out.", Capability.WALLETS_READ),
    EventType.WITHDRAWAL_PAID: EventKind("A withdrawal was paid out.", Capability.WALLETS_READ),
    EventType.WITHDRAWAL_FAILED: EventKind(
        "A withdrawal could not be paid out; its amount is back in the wallet.", Capability.WALLETS_READ
    ),
    EventType.WITHDRAWAL_RETURNED: EventKind(
        "What was paid out came back; the amount is back in the wallet.", Capability.WALLETS_READ
    ),
    EventType.WITHDRAWAL_REJECTED: EventKind(
        "Staff refused a withdrawal; its amount is back in the wallet.", Capability.WALLETS_READ
    ),
    EventType.WITHDRAWAL_CANCELLED: EventKind(
        "A withdrawal was taken back; its amount is back in the wallet.", Capability.WALLETS_READ
    ),
    EventType.WITHDRAWAL_UPDATED: EventKind(
        "Something was learned of a withdrawal whose status stays: the provider's id of it, or a problem that staff must "
        "look at.",
        Capability.WALLETS_READ,
    ),
    EventType.PAYOUT_UNKNOWN: EventKind(
        "A provider told of a payout that belongs to no withdrawal.", Capability.PAYOUTS_RECONCILE
    ),
    EventType.PAYOUT_METHOD_ADDED: EventKind(
        "A customer named a place to be paid out to; only what is masked is told.", Capability.WALLETS_READ
    ),
    EventType.PAYOUT_METHOD_REMOVED: EventKind(
        "A place to be paid out to was removed.", Capability.WALLETS_READ
    ),
    EventType.TOP_UP_STARTED: EventKind(
        "A customer began to pay in; the store's checkout carries the reference.", Capability.WALLETS_READ
    ),
    EventType.TOP_UP_COMPLETED: EventKind(
        "The money of a top-up that was started is in the wallet.", Capability.WALLETS_READ
    ),
    EventType.TOP_UP_EXPIRED: EventKind(
        "No money came in time for a top-up that was started; what comes all the same is credited.",
        Capability.WALLETS_READ,
    ),
    EventType.TOP_UP_CANCELLED: EventKind(
        "A customer left a top-up that was started; what comes all the same is credited.",
        Capability.WALLETS_READ,
    ),
    EventType.TOP_UP_CREDITED: EventKind(
        "Money was paid in and credited, started here or not.", Capability.WALLETS_READ
    ),
    EventType.TOP_UP_TAKEN_BACK: EventKind(
        "A payment was paid back: it was taken out of the wallet, as far as it was still there.",
        Capability.WALLETS_READ,
    ),
    EventType.AUTO_TOP_UP_CREATED: EventKind(
        "A customer wants to be charged by themselves: when the wallet runs low, or each month.",
        Capability.WALLETS_READ,
    ),
    EventType.AUTO_TOP_UP_CHANGED: EventKind(
        "A rule of automatic top-ups was set anew, and is active.", Capability.WALLETS_READ
    ),
    EventType.AUTO_TOP_UP_PAUSED: EventKind(
        "A rule of automatic top-ups was paused.", Capability.WALLETS_READ
    ),
    EventType.AUTO_TOP_UP_FAILED: EventKind(
        "A payment method was declined too often, and its rule asks no more; ask the customer for another one.",
        Capability.WALLETS_READ,
    ),
    EventType.AUTO_TOP_UP_CANCELLED: EventKind(
        "A rule of automatic top-ups is over.", Capability.WALLETS_READ
    ),
    EventType.AUTO_TOP_UP_CHARGE_REQUESTED: EventKind(
        "The store is asked to charge a saved payment method: charge it once, with the charge's id as the idempotency key, "
        "and answer by `reportAutoTopUpCharge`.",
        Capability.TOP_UPS_WRITE,
    ),
    EventType.AUTO_TOP_UP_CHARGE_PAID: EventKind(
        "A charge was paid, and the wallet got what the store kept.", Capability.TOP_UPS_WRITE
    ),
    EventType.AUTO_TOP_UP_CHARGE_DECLINED: EventKind("A charge was declined.", Capability.TOP_UPS_WRITE),
    EventType.AUTO_TOP_UP_CHARGE_WITHDRAWN: EventKind(
        "A charge is not wanted any more: don't make it. If it was made, report it.", Capability.TOP_UPS_WRITE
    ),
    EventType.CASHBACK_AWARDED: EventKind(
        "Cashback was given; it is no money yet.", Capability.CASHBACK_READ
    ),
    EventType.CASHBACK_VESTED: EventKind("Cashback was credited to the wallet.", Capability.CASHBACK_READ),
    EventType.CASHBACK_CLAWED_BACK: EventKind(
        "Cashback was taken back, or a part of it, because its order was refunded.", Capability.CASHBACK_READ
    ),
    EventType.CASHBACK_RESTORED: EventKind(
        "Cashback that had been taken back was given again, because a refund was.", Capability.CASHBACK_READ
    ),
    EventType.CASHBACK_EXPIRED: EventKind("What was left of cashback ran out.", Capability.CASHBACK_READ),
    EventType.CASHBACK_RULE_CREATED: EventKind("A cashback rule was made.", Capability.CASHBACK_READ),
    EventType.CASHBACK_RULE_CHANGED: EventKind(
        "A cashback rule was changed, started, paused or archived.", Capability.CASHBACK_READ
    ),
    EventType.PROMOTION_CREATED: EventKind("A promotion was made.", Capability.PROMOTIONS_READ),
    EventType.PROMOTION_CHANGED: EventKind(
        "A promotion was changed, paused, resumed or archived.", Capability.PROMOTIONS_READ
    ),
    EventType.COUPON_REDEEMED: EventKind(
        "A coupon granted money to a wallet, by itself or with an order.", Capability.PROMOTIONS_READ
    ),
    EventType.COUPON_REFUSED: EventKind(
        "An order's coupon granted nothing; the problem says why.", Capability.PROMOTIONS_READ
    ),
    EventType.COUPON_TAKEN_BACK: EventKind(
        "What a coupon granted was taken back, or a part of it, because its order was refunded.",
        Capability.PROMOTIONS_READ,
    ),
    EventType.COUPON_RESTORED: EventKind(
        "What had been taken back of a coupon's money was given again, because a refund was.",
        Capability.PROMOTIONS_READ,
    ),
    EventType.GIFT_CARD_ISSUED: EventKind("A gift card was made.", Capability.GIFT_CARDS_READ),
    EventType.GIFT_CARD_ACTIVATED: EventKind(
        "A gift card got its value: from here on the store owes it.", Capability.GIFT_CARDS_READ
    ),
    EventType.GIFT_CARD_REDEEMED: EventKind(
        "A gift card's value moved into a wallet, or a part of it.", Capability.GIFT_CARDS_READ
    ),
    EventType.GIFT_CARD_DISABLED: EventKind("Staff stopped a gift card.", Capability.GIFT_CARDS_READ),
    EventType.GIFT_CARD_ENABLED: EventKind("Staff let a gift card go again.", Capability.GIFT_CARDS_READ),
    EventType.GIFT_CARD_EXPIRED: EventKind(
        "A gift card's time ran out; what was left is breakage.", Capability.GIFT_CARDS_READ
    ),
    EventType.SETTINGS_CHANGED: EventKind("The store's settings were changed.", Capability.SETTINGS_READ),
    EventType.ROLE_CREATED: EventKind("A role was made.", Capability.ROLES_READ),
    EventType.ROLE_CHANGED: EventKind("A role was changed, archived or taken back.", Capability.ROLES_READ),
    EventType.API_KEY_CREATED: EventKind("A service was given a key.", Capability.API_KEYS_READ),
    EventType.API_KEY_CHANGED: EventKind("A service's key was replaced or ended.", Capability.API_KEYS_READ),
    EventType.SIGNAL_RAISED: EventKind("Something looked odd.", Capability.FRAUD_READ),
    EventType.VALUE_EXPIRING: EventKind(
        "Value of a wallet expires soon, by the store's setting; once for each wallet and day.",
        Capability.WALLETS_READ,
    ),
    EventType.DELIVERY_DEAD: EventKind(
        "A message of the store's could not be worked on, and is not tried again by itself: look at it and replay it.",
        Capability.WEBHOOKS_READ,
    ),
    EventType.MESSAGE_DEAD: EventKind(
        "A message to a receiver could not be delivered, and is not tried again by itself: look at it and replay it.",
        Capability.WEBHOOK_ENDPOINTS_READ,
    ),
    EventType.WEBHOOK_ENDPOINT_CREATED: EventKind(
        "Somebody set up an endpoint that is told of what happens.", Capability.WEBHOOK_ENDPOINTS_READ
    ),
    EventType.WEBHOOK_ENDPOINT_CHANGED: EventKind(
        "An endpoint was changed or switched on, or its secret was rotated.",
        Capability.WEBHOOK_ENDPOINTS_READ,
    ),
    EventType.WEBHOOK_ENDPOINT_DISABLED: EventKind(
        "An endpoint was switched off: by somebody, or because it answered 410.",
        Capability.WEBHOOK_ENDPOINTS_READ,
    ),
    EventType.WEBHOOK_TEST: EventKind("Somebody tries an endpoint out; nothing happened.", None),
}
"""Every event: what it means, which capability sees it, and the version of its data."""
