"""What events show of each kind of row.

It is public: ids as the API gives them, money as a decimal string with its currency, the store's own id of the customer,
and nothing else of a person; no notes, no codes, no secrets.
"""

from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from app.domain.api_key import ApiKey
from app.domain.auto_top_up import AutoTopUp, AutoTopUpCharge
from app.domain.cashback.award import Award
from app.domain.cashback.registry import StoredRule
from app.domain.customer import Customer
from app.domain.delivery import Delivery
from app.domain.fraud import Signal
from app.domain.gift_card import GiftCard, GiftCardEntry
from app.domain.global_id import global_id
from app.domain.ledger import Transaction, Wallet
from app.domain.money import currency_of
from app.domain.order import Order
from app.domain.outbox import Channel, OutboxMessage
from app.domain.payment import Payment
from app.domain.payout import PayoutMessage
from app.domain.payout_method import PayoutMethod
from app.domain.promotion import CouponRedemption, Promotion
from app.domain.refund import Refund
from app.domain.reminder import ExpiryReminder
from app.domain.renewal import Renewal
from app.domain.role import Role
from app.domain.settings import SettingsChange, StoreSettings
from app.domain.top_up import TopUp
from app.domain.top_up_intent import TopUpIntent
from app.domain.webhook_endpoint import WebhookEndpoint
from app.domain.withdrawal import Withdrawal, WithdrawalStep

Data = dict[str, Any]


def money(amount_minor: int, currency: str) -> Data:
    """Return an amount as the API writes it."""
    return {"amount": currency_of(currency).format(amount_minor), "currency": currency}


def public_time(time: datetime | None) -> str | None:
    """Return a time as the API writes it."""
    return (
        None
        if time is None
        else time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    )


def _id(type_name: str, row_id: UUID | None) -> str | None:
    return None if row_id is None else global_id(type_name, row_id)


def wallet_data(wallet: Wallet) -> Data:
    """Return what is told of a wallet."""
    return {
        "id": _id("Wallet", wallet.id),
        "status": str(wallet.status),
        "balance": money(wallet.posted_minor, wallet.currency),
        "held": money(wallet.held_minor, wallet.currency),
        "available": money(wallet.available_minor(), wallet.currency),
    }


def customer_data(customer: Customer) -> Data:
    """Return what is told of a customer, of whom nothing personal is told."""
    return {"id": _id("Customer", customer.id), "externalId": customer.external_id}


def transaction_data(t: Transaction) -> Data:
    """Return what is told of a transaction."""
    return {
        "id": _id("Transaction", t.id),
        "reference": t.reference,
        "sequence": t.sequence,
        "kind": str(t.kind),
        "direction": "CREDIT" if t.amount_minor > 0 else "DEBIT",
        "amount": money(abs(t.amount_minor), t.currency),
        "balanceAfter": money(t.balance_after_minor, t.currency),
        "reason": None if t.reason is None else str(t.reason),
        "orderId": _id("Order", t.order_id),
        "correctsId": _id("Transaction", t.corrects_id),
        "postedAt": public_time(t.created_at),
    }


def order_data(o: Order) -> Data:
    """Return what is told of an order."""
    told = o.snapshot
    return {
        "id": _id("Order", o.id),
        "source": o.source,
        "externalId": o.external_id,
        "number": told.number if told else "",
        "status": str(o.status),
        "total": money(told.total_minor, told.currency) if told else None,
        "walletId": _id("Wallet", o.wallet_id),
        "deleted": o.is_deleted,
        "problem": None if o.problem is None else str(o.problem),
        "updatedAt": public_time(o.updated_at),
    }


def payment_data(p: Payment) -> Data:
    """Return what is told of a payment."""
    return {
        "id": _id("Payment", p.id),
        "reference": p.reference,
        "status": str(p.status),
        "origin": str(p.origin),
        "orderId": _id("Order", p.order_id),
        "amount": money(p.amount_minor, p.currency),
        "captured": money(p.captured_minor, p.currency),
        "refunded": money(p.returned_minor, p.currency),
        "held": money(p.held_minor, p.currency),
        "expiresAt": public_time(p.expires_at),
    }


def refund_data(r: Refund) -> Data:
    """Return what is told of a refund."""
    return {
        "id": _id("Refund", r.id),
        "reference": r.reference,
        "externalId": r.external_id,
        "orderId": _id("Order", r.order_id),
        "destination": str(r.destination),
        "amount": money(r.amount_minor, r.currency),
        "toWallet": money(r.wallet_minor + r.credited_minor, r.currency),
        "elsewhere": money(r.elsewhere_minor, r.currency),
        "withdrawnAt": public_time(r.withdrawn_at),
    }


def renewal_data(r: Renewal) -> Data:
    """Return what is told of a renewal."""
    return {
        "id": _id("Renewal", r.id),
        "source": r.source,
        "subscription": r.subscription,
        "status": str(r.status),
        "amount": money(r.amount_minor, r.currency),
        "dueAt": public_time(r.due_at),
    }


def step_data(step: WithdrawalStep, w: Withdrawal) -> Data:
    """Return what is told of a withdrawal as it stood after a step."""
    return {
        "id": _id("Withdrawal", w.id),
        "reference": w.reference,
        "status": str(step.to_status),
        "step": step.number,
        "amount": money(w.amount_minor, w.currency),
        "sent": money(w.sent_minor, w.currency),
        "fee": money(w.fee_minor, w.currency),
        "method": w.method,
        "payoutMethodId": _id("PayoutMethod", w.payout_method_id),
        "provider": w.provider,
        "providerReference": w.provider_reference,
        "problem": None if step.problem is None else str(step.problem),
        "requestedAt": public_time(w.created_at),
        "decidedAt": public_time(w.decided_at),
    }


def payout_message_data(m: PayoutMessage) -> Data:
    """Return what is told of a provider's message."""
    return {
        "provider": m.provider,
        "providerReference": m.provider_reference,
        "outcome": str(m.kind),
        "receivedAt": public_time(m.received_at),
    }


def payout_method_data(m: PayoutMethod) -> Data:
    """Return what is told of a payout method: nothing that says more than the masked text."""
    return {
        "id": _id("PayoutMethod", m.id),
        "kind": str(m.kind),
        "masked": m.masked,
        "status": str(m.status),
        "usableFrom": public_time(m.usable_from),
    }


def top_up_data(t: TopUp) -> Data:
    """Return what is told of money that was paid in."""
    return {
        "id": _id("TopUp", t.id),
        "reference": t.reference,
        "source": t.source,
        "externalId": t.external_id,
        "orderId": _id("Order", t.order_id),
        "paid": money(t.paid_minor, t.currency),
        "credited": money(t.credited_minor, t.currency),
        "shortfall": money(t.shortfall_minor, t.currency),
        "transactionId": _id("Transaction", t.transaction_id),
        "paidAt": public_time(t.paid_at),
    }


def top_up_intent_data(i: TopUpIntent) -> Data:
    """Return what is told of a top-up that was started."""
    return {
        "id": _id("TopUpIntent", i.id),
        "reference": i.reference,
        "status": str(i.status),
        "amount": money(i.amount_minor, i.currency),
        "paymentMethod": i.payment_method,
        "topUpId": _id("TopUp", i.top_up_id),
        "expiresAt": public_time(i.expires_at),
    }


def auto_top_up_data(r: AutoTopUp) -> Data:
    """Return what is told of a rule of automatic top-ups; the store's name of the payment method is told to no more than
    those who charge it.
    """
    return {
        "id": _id("AutoTopUp", r.id),
        "kind": str(r.kind),
        "status": str(r.status),
        "threshold": None if r.threshold_minor is None else money(r.threshold_minor, r.currency),
        "dayOfMonth": r.day_of_month,
        "amount": money(r.amount_minor, r.currency),
        "paymentMethod": r.payment_method,
    }


def charge_data(c: AutoTopUpCharge) -> Data:
    """Return what the store needs to make a charge. Its id is the idempotency key: charge once for it."""
    return {
        "id": _id("AutoTopUpCharge", c.id),
        "reference": c.reference,
        "autoTopUpId": _id("AutoTopUp", c.rule_id),
        "status": str(c.status),
        "amount": money(c.amount_minor, c.currency),
        "paymentMethod": c.payment_method,
        "paymentToken": c.payment_token,
        "attempt": c.attempt,
        "topUpId": _id("TopUp", c.top_up_id),
        "requestedAt": public_time(c.created_at),
    }


def promotion_data(p: Promotion) -> Data:
    """Return what is told of a promotion; what it gives is asked for by its id."""
    return {
        "id": _id("Promotion", p.id),
        "name": p.name,
        "status": str(p.status),
        "startsAt": public_time(p.starts_at),
        "endsAt": public_time(p.ends_at),
    }


def redemption_data(r: CouponRedemption) -> Data:
    """Return what is told of a redemption, without the code."""
    return {
        "id": _id("CouponRedemption", r.id),
        "promotionId": _id("Promotion", r.promotion_id),
        "status": str(r.status),
        "problem": None if r.problem is None else str(r.problem),
        "amount": money(r.amount_minor, r.currency),
        "takenBack": money(r.taken.total_minor, r.currency),
        "orderId": _id("Order", r.order_id),
        "transactionId": _id("Transaction", r.transaction_id),
        "expiresAt": public_time(r.expires_at),
    }


def gift_card_data(e: GiftCardEntry, card: GiftCard) -> Data:
    """Return what is told of a gift card as one thing happened to it, without its code."""
    return {
        "id": _id("GiftCard", card.id),
        "reference": card.reference,
        "sequence": e.sequence,
        "amount": money(abs(e.amount_minor), e.currency),
        "balanceAfter": money(e.balance_after_minor, e.currency),
        "transactionId": _id("Transaction", e.transaction_id),
        "expiresAt": public_time(card.expires_at),
        "happenedAt": public_time(e.created_at),
    }


def award_data(a: Award) -> Data:
    """Return what is told of a cashback award."""
    return {
        "id": _id("CashbackAward", a.id),
        "status": str(a.status),
        "source": str(a.source),
        "ruleId": _id("CashbackRule", a.rule_id),
        "ruleVersion": a.rule_version,
        "orderId": _id("Order", a.order_id),
        "amount": money(a.amount_minor, a.currency),
        "takenBack": money(a.taken.total_minor, a.currency),
        "expired": money(a.expired_minor, a.currency),
        "bucket": str(a.bucket),
        "vestsAt": public_time(a.vests_at),
        "expiresAt": public_time(a.expires_at),
    }


def rule_data(s: StoredRule) -> Data:
    """Return what is told of a cashback rule."""
    return {
        "id": _id("CashbackRule", s.id),
        "name": s.rule.name,
        "version": s.rule.version,
        "status": str(s.rule.status),
    }


def settings_data(before: StoreSettings, change: SettingsChange) -> Data:
    """Return which settings changed, by the names that the API has for them."""
    old, new = asdict(before), asdict(change.settings)
    changed = sorted(camel_case(field.name) for field in fields(before) if old[field.name] != new[field.name])
    return {"changed": changed}


def role_data(r: Role) -> Data:
    """Return what is told of a role."""
    return {
        "id": _id("Role", r.id),
        "name": r.name,
        "capabilities": sorted(r.capabilities),
        "archivedAt": public_time(r.archived_at),
    }


def api_key_data(k: ApiKey) -> Data:
    """Return what is told of a key, without its secret."""
    return {
        "id": _id("ApiKey", k.id),
        "name": k.name,
        "prefix": k.prefix,
        "expiresAt": public_time(k.expires_at),
        "revokedAt": public_time(k.revoked_at),
    }


def signal_data(s: Signal) -> Data:
    """Return what is told of a signal of fraud."""
    return {
        "id": _id("FraudSignal", s.id),
        "kind": str(s.kind),
        "actorKind": str(s.actor.kind),
        "count": s.count,
        "windowSeconds": s.window_s,
    }


def expiry_data(r: ExpiryReminder) -> Data:
    """Return what is told of value that expires soon."""
    return {
        "id": _id("ExpiryReminder", r.id),
        "amount": money(r.amount_minor, r.currency),
        "expiresOn": r.expires_on.isoformat(),
        "expiresAt": public_time(r.expires_at),
    }


def delivery_data(d: Delivery) -> Data:
    """Return what is told of a message of the store's."""
    return {
        "id": _id("WebhookDelivery", d.id),
        "door": str(d.door),
        "topic": d.topic,
        "attempts": d.attempts,
        "receivedAt": public_time(d.received_at),
    }


def message_data(m: OutboxMessage) -> Data:
    """Return what is told of a message that leaves the program; who it goes to only where that is an endpoint."""
    is_webhook = m.channel is Channel.WEBHOOK
    return {
        "id": _id("OutgoingWebhook", m.id) if is_webhook else None,
        "webhookEndpointId": _id("WebhookEndpoint", UUID(m.target)) if is_webhook else None,
        "channel": str(m.channel),
        "topic": m.topic,
        "attempts": m.attempts,
        "statusCode": m.status_code,
        "createdAt": public_time(m.created_at),
    }


def endpoint_data(e: WebhookEndpoint) -> Data:
    """Return what is told of an endpoint: no address, which may be a secret of its receiver's."""
    return {
        "id": _id("WebhookEndpoint", e.id),
        "events": list(e.events),
        "status": str(e.status),
        "disabledBy": None if e.disabled_by is None else str(e.disabled_by),
        "capabilities": sorted(e.capabilities),
        "secretSince": public_time(e.secrets[0].created_at) if e.secrets else None,
    }


def camel_case(name: str) -> str:
    """Return the name of a setting as the API has it, without its unit of minor amounts."""
    first, *rest = name.removesuffix("_minor").split("_")
    return first + "".join(word.capitalize() for word in rest)
