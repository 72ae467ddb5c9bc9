"""The way back: rows as the drivers give them, read into the domain's records.

PostgreSQL's driver gives ids and times as objects, SQLite's as text; both shapes are understood.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, TypeVar
from uuid import UUID

import orjson

from app.domain.access import Actor, ActorKind, Capability
from app.domain.api_key import ApiKey
from app.domain.auto_top_up import (
    AutoTopUp,
    AutoTopUpCharge,
    AutoTopUpKind,
    AutoTopUpStatus,
    ChargeStatus,
)
from app.domain.bucket import Bucket
from app.domain.cashback.award import Award, AwardSource, Taken
from app.domain.cashback.earning import CashbackEvaluation, CashbackTotal
from app.domain.cashback.evaluation import LineAward
from app.domain.cashback.registry import RuleChange, StoredRule
from app.domain.cashback.rule import CashbackRule, TriggerKind
from app.domain.catalog import CatalogItem, CatalogKind
from app.domain.celebration import Celebration
from app.domain.customer import Customer
from app.domain.delivery import Delivery, DeliveryStatus, Door
from app.domain.email_kind import read_kinds
from app.domain.event import StoreEvent
from app.domain.gift_card import GiftCard, GiftCardAccount, GiftCardEntry, GiftCardEvent, GiftCardStatus
from app.domain.hold import Hold, HoldPurpose, HoldStatus, Reservation
from app.domain.ledger import (
    Allocation,
    CounterAccount,
    Lot,
    Row,
    Transaction,
    TransactionKind,
    Wallet,
    WalletStatus,
)
from app.domain.order import Order, OrderProblem, OrderSnapshot, OrderStatus
from app.domain.outbox import Channel, MessageStatus, OutboxMessage
from app.domain.outgoing import OutboxEvent
from app.domain.payment import CaptureMethod, Payment, PaymentEnd, PaymentOrigin, PaymentStatus
from app.domain.payout import PayoutMessage
from app.domain.payout_method import PayoutMethod, PayoutMethodKind, PayoutMethodStatus
from app.domain.promotion import (
    CouponCode,
    CouponProblem,
    CouponRedemption,
    Promotion,
    PromotionStatus,
    PromotionUse,
    RedemptionStatus,
    Terms,
    read_lines,
    read_taken,
)
from app.domain.refund import Refund, RefundDestination
from app.domain.reminder import ExpiryReminder
from app.domain.renewal import Renewal, RenewalStatus
from app.domain.role import Role
from app.domain.sync import SyncCursor
from app.domain.top_up import TopUp
from app.domain.top_up_intent import TopUpIntent, TopUpIntentStatus
from app.domain.webhook_endpoint import DisabledBy, EndpointSecret, EndpointStatus, WebhookEndpoint
from app.domain.withdrawal import (
    PayoutOutcomeKind,
    Withdrawal,
    WithdrawalProblem,
    WithdrawalStatus,
    WithdrawalStep,
)
from app.domain.withdrawal_terms import FeePayer

T = TypeVar("T")

DatabaseRow = Mapping[str, Any]


def read_uuid(value: Any) -> UUID:
    """Return an id, which SQLite keeps as text."""
    return UUID(value) if isinstance(value, str) else value


def read_time(value: Any) -> datetime:
    """Return a time in UTC, which SQLite keeps as text."""
    time: datetime = datetime.fromisoformat(value) if isinstance(value, str) else value
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def read_date(value: Any) -> date:
    """Return a day, which SQLite keeps as text."""
    return date.fromisoformat(value) if isinstance(value, str) else value


def read_json(value: Any) -> Any:
    """Return a JSON column's value, which both drivers give as text."""
    return orjson.loads(value) if isinstance(value, str | bytes) else value


def read_customer(row: DatabaseRow) -> Customer:
    """Read a customer."""
    return Customer(
        read_uuid(row["id"]),
        row["external_id"],
        row["name"],
        row["email"],
        read_time(row["created_at"]),
        read_time(row["updated_at"]),
        birthday=_maybe(read_date, row["birthday"]),
        roles=tuple(read_json(row["roles"])),
        segments=tuple(read_json(row["segments"])),
        signed_up_at=_maybe(read_time, row["signed_up_at"]),
        language=row["language"],
        emails_off=read_kinds(read_json(row["emails_off"])),
    )


def read_wallet(row: DatabaseRow) -> Wallet:
    """Read a wallet's totals."""
    return Wallet(
        read_uuid(row["id"]),
        read_uuid(row["customer_id"]),
        row["currency"],
        WalletStatus(row["status"]),
        row["posted_minor"],
        row["held_minor"],
        row["overdraft_minor"],
        row["sequence"],
        row["version"],
        bytes(row["head_hash"]),
        read_time(row["created_at"]),
        read_time(row["updated_at"]),
        read_time(row["last_activity_at"]),
        row["debt_minor"],
    )


def read_lot(row: DatabaseRow) -> Lot:
    """Read a lot."""
    expires_at = row["expires_at"]
    return Lot(
        read_uuid(row["id"]),
        read_uuid(row["wallet_id"]),
        Bucket(row["bucket"]),
        row["sequence"],
        row["original_minor"],
        row["remaining_minor"],
        row["held_minor"],
        None if expires_at is None else read_time(expires_at),
        read_time(row["created_at"]),
        _maybe(read_time, row["grace_until"]),
    )


def read_transaction(row: DatabaseRow, allocations: tuple[Allocation, ...] = ()) -> Transaction:
    """Read a transaction; its allocations lie in a table of their own and may be left out."""
    corrects_id, hold_id = row["corrects_id"], row["hold_id"]
    return Transaction(
        id=read_uuid(row["id"]),
        wallet_id=read_uuid(row["wallet_id"]),
        sequence=row["sequence"],
        reference=row["reference"],
        kind=TransactionKind(row["kind"]),
        counter_account=CounterAccount(row["counter_account"]),
        amount_minor=row["amount_minor"],
        balance_after_minor=row["balance_after_minor"],
        currency=row["currency"],
        reason=row["reason"],
        note=row["note"],
        actor=Actor(ActorKind(row["actor_kind"]), row["actor_id"]),
        corrects_id=None if corrects_id is None else read_uuid(corrects_id),
        hold_id=None if hold_id is None else read_uuid(hold_id),
        created_at=read_time(row["created_at"]),
        allocations=allocations,
        hash=bytes(row["hash"]),
        order_id=_maybe(read_uuid, row["order_id"]),
    )


def read_hold(row: DatabaseRow) -> Hold:
    """Read a hold."""
    expires_at = row["expires_at"]
    return Hold(
        read_uuid(row["id"]),
        read_uuid(row["wallet_id"]),
        HoldPurpose(row["purpose"]),
        HoldStatus(row["status"]),
        row["amount_minor"],
        row["captured_minor"],
        row["released_minor"],
        None if expires_at is None else read_time(expires_at),
        read_time(row["created_at"]),
        read_time(row["updated_at"]),
    )


def read_reservation(row: DatabaseRow) -> Reservation:
    """Read a reservation."""
    return Reservation(
        read_uuid(row["id"]),
        read_uuid(row["hold_id"]),
        read_uuid(row["lot_id"]),
        row["amount_minor"],
        row["captured_minor"],
        row["released_minor"],
        row["returned_minor"],
    )


def read_order(row: DatabaseRow) -> Order:
    """Read an order."""
    told, basis = _maybe(_snapshot, row["snapshot"]), _maybe(_snapshot, row["basis"])
    if basis is None and told is not None and told.status is not OrderStatus.UNKNOWN:
        basis = told
    return Order(
        id=read_uuid(row["id"]),
        source=row["source"],
        external_id=row["external_id"],
        wallet_id=_maybe(read_uuid, row["wallet_id"]),
        claimed_by=row["claimed_by"],
        snapshot=told,
        basis=basis,
        deleted_at=_maybe(read_time, row["deleted_at"]),
        credited_minor=row["credited_minor"],
        shortfall_minor=row["shortfall_minor"],
        problem=_maybe(OrderProblem, row["problem"]),
        created_at=read_time(row["created_at"]),
        updated_at=read_time(row["updated_at"]),
    )


def _snapshot(value: Any) -> OrderSnapshot:
    return OrderSnapshot.from_data(read_json(value))


def read_payment(row: DatabaseRow) -> Payment:
    """Read a payment."""
    return Payment(
        id=read_uuid(row["id"]),
        order_id=read_uuid(row["order_id"]),
        wallet_id=read_uuid(row["wallet_id"]),
        hold_id=read_uuid(row["hold_id"]),
        reference=row["reference"],
        origin=PaymentOrigin(row["origin"]),
        capture=CaptureMethod(row["capture"]),
        status=PaymentStatus(row["status"]),
        amount_minor=row["amount_minor"],
        owed_minor=row["owed_minor"],
        captured_minor=row["captured_minor"],
        requested_minor=row["requested_minor"],
        returned_minor=row["returned_minor"],
        currency=row["currency"],
        buckets=tuple(Bucket(bucket) for bucket in read_json(row["buckets"])),
        ended_by=_maybe(PaymentEnd, row["ended_by"]),
        expires_at=_maybe(read_time, row["expires_at"]),
        created_by=Actor(ActorKind(row["created_by_kind"]), row["created_by_id"]),
        created_at=read_time(row["created_at"]),
        updated_at=read_time(row["updated_at"]),
        after_failure_at=_maybe(read_time, row["after_failure_at"]),
    )


def read_refund(row: DatabaseRow) -> Refund:
    """Read a refund."""
    return Refund(
        id=read_uuid(row["id"]),
        order_id=read_uuid(row["order_id"]),
        wallet_id=read_uuid(row["wallet_id"]),
        reference=row["reference"],
        external_id=row["external_id"],
        destination=RefundDestination(row["destination"]),
        bucket=Bucket(row["bucket"]),
        amount_minor=row["amount_minor"],
        shipping_minor=row["shipping_minor"],
        tax_minor=row["tax_minor"],
        wallet_minor=row["wallet_minor"],
        credited_minor=row["credited_minor"],
        elsewhere_minor=row["elsewhere_minor"],
        currency=row["currency"],
        note=row["note"],
        lines=tuple((line, quantity, amount, tax) for line, quantity, amount, tax in read_json(row["lines"])),
        created_by=Actor(ActorKind(row["created_by_kind"]), row["created_by_id"]),
        refunded_at=_maybe(read_time, row["refunded_at"]),
        created_at=read_time(row["created_at"]),
        withdrawn_at=_maybe(read_time, row["withdrawn_at"]),
    )


def read_renewal(row: DatabaseRow) -> Renewal:
    """Read the announcement of a renewal."""
    return Renewal(
        id=read_uuid(row["id"]),
        wallet_id=read_uuid(row["wallet_id"]),
        source=row["source"],
        subscription=row["subscription"],
        description=row["description"],
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        due_at=read_time(row["due_at"]),
        status=RenewalStatus(row["status"]),
        created_by=Actor(ActorKind(row["created_by_kind"]), row["created_by_id"]),
        created_at=read_time(row["created_at"]),
        updated_at=read_time(row["updated_at"]),
    )


def read_withdrawal(row: DatabaseRow) -> Withdrawal:
    """Read a withdrawal."""
    transaction_id, decided_at = row["transaction_id"], row["decided_at"]
    decided_by = None
    if row["decided_by_kind"] is not None:
        decided_by = Actor(ActorKind(row["decided_by_kind"]), row["decided_by_id"])
    return Withdrawal(
        id=read_uuid(row["id"]),
        wallet_id=read_uuid(row["wallet_id"]),
        hold_id=read_uuid(row["hold_id"]),
        transaction_id=None if transaction_id is None else read_uuid(transaction_id),
        reference=row["reference"],
        status=WithdrawalStatus(row["status"]),
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        note=row["note"],
        payout_reference=row["payout_reference"],
        requested_by=Actor(ActorKind(row["requested_by_kind"]), row["requested_by_id"]),
        decided_by=decided_by,
        decision_note=row["decision_note"],
        created_at=read_time(row["created_at"]),
        decided_at=None if decided_at is None else read_time(decided_at),
        method=row["method"],
        fee_minor=row["fee_minor"],
        fee_payer=FeePayer(row["fee_payer"]),
        payout_method_id=_maybe(read_uuid, row["payout_method_id"]),
        provider=row["provider"],
        provider_reference=row["provider_reference"],
        batch_reference=row["batch_reference"],
        problem=_maybe(WithdrawalProblem, row["problem"]),
        step_count=row["step_count"],
    )


def read_withdrawal_step(row: DatabaseRow) -> WithdrawalStep:
    """Read a step of a withdrawal."""
    return WithdrawalStep(
        id=read_uuid(row["id"]),
        withdrawal_id=read_uuid(row["withdrawal_id"]),
        wallet_id=read_uuid(row["wallet_id"]),
        number=row["number"],
        from_status=_maybe(WithdrawalStatus, row["from_status"]),
        to_status=WithdrawalStatus(row["to_status"]),
        actor=Actor(ActorKind(row["actor_kind"]), row["actor_id"]),
        note=row["note"],
        provider_reference=row["provider_reference"],
        problem=_maybe(WithdrawalProblem, row["problem"]),
        created_at=read_time(row["created_at"]),
    )


def read_payout_method(row: DatabaseRow) -> PayoutMethod:
    """Read a payout method."""
    return PayoutMethod(
        id=read_uuid(row["id"]),
        wallet_id=read_uuid(row["wallet_id"]),
        kind=PayoutMethodKind(row["kind"]),
        label=row["label"],
        masked=row["masked"],
        sealed=bytes(row["sealed"]),
        fingerprint=bytes(row["fingerprint"]),
        status=PayoutMethodStatus(row["status"]),
        usable_from=read_time(row["usable_from"]),
        created_by=Actor(ActorKind(row["created_by_kind"]), row["created_by_id"]),
        created_at=read_time(row["created_at"]),
        removed_at=_maybe(read_time, row["removed_at"]),
    )


def read_payout_message(row: DatabaseRow) -> PayoutMessage:
    """Read a message of a payout provider."""
    return PayoutMessage(
        id=read_uuid(row["id"]),
        provider=row["provider"],
        external_id=row["external_id"],
        withdrawal_id=_maybe(read_uuid, row["withdrawal_id"]),
        provider_reference=row["provider_reference"],
        kind=PayoutOutcomeKind(row["kind"]),
        received_at=read_time(row["received_at"]),
    )


def read_gift_card(row: DatabaseRow) -> GiftCard:
    """Read a gift card."""
    activated_by = None
    if row["activated_by_kind"] is not None:
        activated_by = Actor(ActorKind(row["activated_by_kind"]), row["activated_by_id"])
    return GiftCard(
        id=read_uuid(row["id"]),
        reference=row["reference"],
        code_hash=row["code_hash"],
        last_characters=row["last_characters"],
        currency=row["currency"],
        initial_minor=row["initial_minor"],
        balance_minor=row["balance_minor"],
        status=GiftCardStatus(row["status"]),
        funded_by=GiftCardAccount(row["funded_by"]),
        batch_id=read_uuid(row["batch"]),
        label=row["label"],
        note=row["note"],
        expires_at=_maybe(read_time, row["expires_at"]),
        sequence=row["sequence"],
        head_hash=bytes(row["head_hash"]),
        created_by=Actor(ActorKind(row["created_by_kind"]), row["created_by_id"]),
        created_at=read_time(row["created_at"]),
        updated_at=read_time(row["updated_at"]),
        activated_at=_maybe(read_time, row["activated_at"]),
        activated_by=activated_by,
    )


def read_gift_card_entry(row: DatabaseRow) -> GiftCardEntry:
    """Read an entry of a gift card's history."""
    return GiftCardEntry(
        id=read_uuid(row["id"]),
        card_id=read_uuid(row["card_id"]),
        sequence=row["sequence"],
        kind=GiftCardEvent(row["kind"]),
        amount_minor=row["amount_minor"],
        balance_after_minor=row["balance_after_minor"],
        currency=row["currency"],
        account=_maybe(GiftCardAccount, row["account"]),
        transaction_id=_maybe(read_uuid, row["transaction_id"]),
        actor=Actor(ActorKind(row["actor_kind"]), row["actor_id"]),
        note=row["note"],
        created_at=read_time(row["created_at"]),
        hash=bytes(row["hash"]),
    )


def read_role(row: DatabaseRow) -> Role:
    """Read a role."""
    return Role(
        id=read_uuid(row["id"]),
        name=row["name"],
        description=row["description"],
        capabilities=_capabilities(row["capabilities"]),
        maps_from=tuple(read_json(row["maps_from"])),
        archived_at=_maybe(read_time, row["archived_at"]),
        created_at=read_time(row["created_at"]),
        updated_at=read_time(row["updated_at"]),
    )


def read_api_key(row: DatabaseRow) -> ApiKey:
    """Read an API key."""
    return ApiKey(
        id=read_uuid(row["id"]),
        prefix=row["prefix"],
        hash=bytes(row["hash"]),
        name=row["name"],
        role_id=_maybe(read_uuid, row["role_id"]),
        capabilities=_maybe(_capabilities, row["capabilities"]),
        expires_at=_maybe(read_time, row["expires_at"]),
        replaces_id=_maybe(read_uuid, row["replaces_id"]),
        created_by=Actor(ActorKind(row["created_by_kind"]), row["created_by_id"]),
        created_at=read_time(row["created_at"]),
        last_used_at=_maybe(read_time, row["last_used_at"]),
        revoked_at=_maybe(read_time, row["revoked_at"]),
    )


def read_stored_rule(row: DatabaseRow) -> StoredRule:
    """Read a cashback rule as it is now."""
    return StoredRule(
        id=read_uuid(row["id"]),
        rule=CashbackRule.from_data(read_json(row["data"])),
        revision=row["revision"],
        created_at=read_time(row["created_at"]),
        updated_at=read_time(row["updated_at"]),
    )


def read_rule_change(row: DatabaseRow) -> RuleChange:
    """Read a version of a cashback rule."""
    return RuleChange(
        id=read_uuid(row["id"]),
        rule=CashbackRule.from_data(read_json(row["data"])),
        revision=row["revision"],
        actor=Actor(ActorKind(row["actor_kind"]), row["actor_id"]),
        note=row["note"],
        created_at=read_time(row["created_at"]),
    )


def read_delivery(row: DatabaseRow) -> Delivery:
    """Read a delivery."""
    return Delivery(
        id=read_uuid(row["id"]),
        door=Door(row["door"]),
        topic=row["topic"],
        external_id=row["external_id"],
        content_hash=bytes(row["content_hash"]),
        size_bytes=row["size_bytes"],
        status=DeliveryStatus(row["status"]),
        attempts=row["attempts"],
        repeats=row["repeats"],
        next_attempt_at=_maybe(read_time, row["next_attempt_at"]),
        error=row["error"],
        summary=row["summary"],
        order_id=_maybe(read_uuid, row["order_id"]),
        received_at=read_time(row["received_at"]),
        repeated_at=_maybe(read_time, row["repeated_at"]),
        done_at=_maybe(read_time, row["done_at"]),
    )


def read_catalog_item(row: DatabaseRow) -> CatalogItem:
    """Read a product or a coupon."""
    return CatalogItem(
        id=read_uuid(row["id"]),
        source=row["source"],
        kind=CatalogKind(row["kind"]),
        external_id=row["external_id"],
        name=row["name"],
        code=row["code"],
        categories=tuple(read_json(row["categories"])),
        modified_at=read_time(row["modified_at"]),
        deleted_at=_maybe(read_time, row["deleted_at"]),
    )


def read_sync_cursor(row: DatabaseRow) -> SyncCursor:
    """Read how far a reading has come."""
    return SyncCursor(
        id=read_uuid(row["id"]),
        name=row["name"],
        position=read_json(row["position"]),
        leased_until=_maybe(read_time, row["leased_until"]),
        holder=row["holder"],
        updated_at=read_time(row["updated_at"]),
    )


def read_award(row: DatabaseRow) -> Award:
    """Read an award."""
    return Award(
        id=read_uuid(row["id"]),
        rule_id=read_uuid(row["given_by"]),
        rule_version=row["rule_version"],
        wallet_id=read_uuid(row["wallet_id"]),
        customer_id=row["store_customer"],
        occasion_key=row["occasion_key"],
        order_id=_maybe(read_uuid, row["order_id"]),
        currency=row["currency"],
        amount_minor=row["amount_minor"],
        order_total_minor=row["order_total_minor"],
        lines=tuple(LineAward(*line) for line in read_json(row["lines"])),
        bucket=Bucket(row["bucket"]),
        occurred_at=read_time(row["occurred_at"]),
        occurred_on=date.fromisoformat(row["occurred_on"]),
        awarded_at=read_time(row["awarded_at"]),
        vests_at=read_time(row["vests_at"]),
        expires_at=_maybe(read_time, row["expires_at"]),
        source=AwardSource(row["source"]),
        trigger=TriggerKind(row["trigger"]),
        vested_at=_maybe(read_time, row["vested_at"]),
        expired_at=_maybe(read_time, row["expired_at"]),
        expired_minor=row["expired_minor"],
        taken=Taken(**read_json(row["taken"])),
        lot_ids=tuple(UUID(lot_id) for lot_id in read_json(row["lot_ids"])),
        explanation=read_json(row["explanation"]),
    )


def read_evaluation(row: DatabaseRow) -> CashbackEvaluation:
    """Read what was looked at."""
    return CashbackEvaluation(
        id=read_uuid(row["id"]),
        wallet_id=read_uuid(row["wallet_id"]),
        order_id=_maybe(read_uuid, row["order_id"]),
        trigger=TriggerKind(row["trigger"]),
        occasion_key=row["occasion_key"],
        currency=row["currency"],
        total_minor=row["total_minor"],
        outcomes=tuple(read_json(row["outcomes"])),
        occurred_at=read_time(row["occurred_at"]),
        created_at=read_time(row["created_at"]),
    )


def read_celebration(row: DatabaseRow) -> Celebration:
    """Read an occasion that came."""
    return Celebration(
        id=read_uuid(row["id"]),
        wallet_id=read_uuid(row["wallet_id"]),
        trigger=row["trigger"],
        key=row["key"],
        occurred_at=read_time(row["occurred_at"]),
        created_at=read_time(row["created_at"]),
    )


def read_total(row: DatabaseRow) -> CashbackTotal:
    """Read what a rule has given."""
    return CashbackTotal(
        id=read_uuid(row["id"]),
        rule_id=read_uuid(row["given_by"]),
        given_minor=row["given_minor"],
        awards=row["awards"],
        updated_at=read_time(row["updated_at"]),
    )


def read_promotion(row: DatabaseRow) -> Promotion:
    """Read a promotion."""
    return Promotion(
        id=read_uuid(row["id"]),
        name=row["name"],
        description=row["description"],
        status=PromotionStatus(row["status"]),
        currency=row["currency"],
        terms=Terms.from_data(read_json(row["terms"])),
        starts_at=_maybe(read_time, row["starts_at"]),
        ends_at=_maybe(read_time, row["ends_at"]),
        uses_max=row["uses_max"],
        budget_minor=row["budget_minor"],
        uses=row["uses"],
        granted_minor=row["granted_minor"],
        created_at=read_time(row["created_at"]),
        updated_at=read_time(row["updated_at"]),
    )


def read_coupon_code(row: DatabaseRow) -> CouponCode:
    """Read a coupon code."""
    return CouponCode(
        id=read_uuid(row["id"]),
        promotion_id=read_uuid(row["promotion_id"]),
        batch_id=read_uuid(row["batch_id"]),
        code=row["code"],
        uses_max=row["uses_max"],
        uses=row["uses"],
        created_at=read_time(row["created_at"]),
    )


def read_expiry_reminder(row: DatabaseRow) -> ExpiryReminder:
    """Read a reminder of value that expires."""
    return ExpiryReminder(
        id=read_uuid(row["id"]),
        wallet_id=read_uuid(row["wallet_id"]),
        expires_on=read_date(row["expires_on"]),
        expires_at=read_time(row["expires_at"]),
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        created_at=read_time(row["created_at"]),
    )


def read_store_event(row: DatabaseRow) -> StoreEvent:
    """Read an event that the store told of."""
    return StoreEvent(
        id=read_uuid(row["id"]),
        wallet_id=read_uuid(row["wallet_id"]),
        name=row["name"],
        external_id=row["external_id"],
        occurred_at=read_time(row["occurred_at"]),
        created_by=Actor(ActorKind(row["created_by_kind"]), row["created_by_id"]),
        created_at=read_time(row["created_at"]),
    )


def read_promotion_use(row: DatabaseRow) -> PromotionUse:
    """Read how often a customer used a promotion."""
    return PromotionUse(
        id=read_uuid(row["id"]),
        promotion_id=read_uuid(row["promotion_id"]),
        customer=row["customer"],
        uses=row["uses"],
        created_at=read_time(row["created_at"]),
        updated_at=read_time(row["updated_at"]),
    )


def read_coupon_redemption(row: DatabaseRow) -> CouponRedemption:
    """Read what became of a coupon."""
    return CouponRedemption(
        id=read_uuid(row["id"]),
        promotion_id=read_uuid(row["promotion_id"]),
        code_id=read_uuid(row["coupon_id"]),
        code=row["code"],
        wallet_id=read_uuid(row["wallet_id"]),
        order_id=_maybe(read_uuid, row["order_id"]),
        transaction_id=_maybe(read_uuid, row["transaction_id"]),
        status=RedemptionStatus(row["status"]),
        problem=_maybe(CouponProblem, row["problem"]),
        amount_minor=row["amount_minor"],
        order_total_minor=row["order_total_minor"],
        currency=row["currency"],
        lines=read_lines(read_json(row["lines"])),
        lots=tuple(read_uuid(lot_id) for lot_id in read_json(row["lots"])),
        taken=read_taken(read_json(row["taken"])),
        counts=bool(row["counts"]),
        expires_at=_maybe(read_time, row["expires_at"]),
        created_by=Actor(ActorKind(row["created_by_kind"]), row["created_by_id"]),
        created_at=read_time(row["created_at"]),
        updated_at=read_time(row["updated_at"]),
    )


def read_top_up(row: DatabaseRow) -> TopUp:
    """Read a top-up."""
    return TopUp(
        id=read_uuid(row["id"]),
        wallet_id=read_uuid(row["wallet_id"]),
        source=row["source"],
        external_id=row["external_id"],
        reference=row["reference"],
        paid_minor=row["paid_minor"],
        face_value_minor=row["face_value_minor"],
        credited_minor=row["credited_minor"],
        shortfall_minor=row["shortfall_minor"],
        currency=row["currency"],
        payment_method=row["payment_method"],
        transaction_id=_maybe(read_uuid, row["transaction_id"]),
        order_id=_maybe(read_uuid, row["order_id"]),
        paid_at=read_time(row["paid_at"]),
        modified_at=read_time(row["modified_at"]),
        created_by=Actor(ActorKind(row["created_by_kind"]), row["created_by_id"]),
        created_at=read_time(row["created_at"]),
        updated_at=read_time(row["updated_at"]),
    )


def read_outbox_event(row: DatabaseRow) -> OutboxEvent:
    """Read an event that is to be told of."""
    return OutboxEvent(
        id=read_uuid(row["id"]),
        type=row["type"],
        version=row["version"],
        wallet_id=_maybe(read_uuid, row["wallet_id"]),
        order_id=_maybe(read_uuid, row["order_id"]),
        subject_id=read_uuid(row["subject_id"]),
        data=read_json(row["data"]),
        created_at=read_time(row["created_at"]),
        relayed_at=_maybe(read_time, row["relayed_at"]),
    )


def read_outbox_message(row: DatabaseRow) -> OutboxMessage:
    """Read a message that leaves the program."""
    return OutboxMessage(
        id=read_uuid(row["id"]),
        event_id=_maybe(read_uuid, row["event_id"]),
        channel=Channel(row["channel"]),
        target=row["target"],
        topic=row["topic"],
        body=read_json(row["body"]),
        status=MessageStatus(row["status"]),
        attempts=row["attempts"],
        next_attempt_at=_maybe(read_time, row["next_attempt_at"]),
        error=row["error"],
        status_code=row["status_code"],
        created_at=read_time(row["created_at"]),
        done_at=_maybe(read_time, row["done_at"]),
    )


def read_webhook_endpoint(row: DatabaseRow) -> WebhookEndpoint:
    """Read an endpoint."""
    return WebhookEndpoint(
        id=read_uuid(row["id"]),
        url=row["url"],
        description=row["description"],
        events=tuple(read_json(row["events"])),
        status=EndpointStatus(row["status"]),
        disabled_by=_maybe(DisabledBy, row["disabled_by"]),
        capabilities=_capabilities(row["capabilities"]),
        secrets=tuple(_endpoint_secret(secret) for secret in read_json(row["secrets"])),
        created_by=Actor(ActorKind(row["created_by_kind"]), row["created_by_id"]),
        created_at=read_time(row["created_at"]),
        updated_at=read_time(row["updated_at"]),
        failing_since=_maybe(read_time, row["failing_since"]),
    )


def _endpoint_secret(data: dict[str, Any]) -> EndpointSecret:
    return EndpointSecret(
        data["sealed"], read_time(data["created_at"]), _maybe(read_time, data["expires_at"])
    )


def read_top_up_intent(row: DatabaseRow) -> TopUpIntent:
    """Read a top-up that was started."""
    return TopUpIntent(
        id=read_uuid(row["id"]),
        wallet_id=read_uuid(row["wallet_id"]),
        reference=row["reference"],
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        payment_method=row["payment_method"],
        status=TopUpIntentStatus(row["status"]),
        top_up_id=_maybe(read_uuid, row["top_up_id"]),
        expires_at=read_time(row["expires_at"]),
        created_by=Actor(ActorKind(row["created_by_kind"]), row["created_by_id"]),
        created_at=read_time(row["created_at"]),
        updated_at=read_time(row["updated_at"]),
    )


def read_auto_top_up(row: DatabaseRow) -> AutoTopUp:
    """Read a rule of automatic top-ups."""
    return AutoTopUp(
        id=read_uuid(row["id"]),
        wallet_id=read_uuid(row["wallet_id"]),
        kind=AutoTopUpKind(row["kind"]),
        threshold_minor=row["threshold_minor"],
        day_of_month=row["day_of_month"],
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        payment_method=row["payment_method"],
        payment_token=row["payment_token"],
        status=AutoTopUpStatus(row["status"]),
        declines=row["declines"],
        next_attempt_at=read_time(row["next_attempt_at"]),
        charge_id=_maybe(read_uuid, row["charge_id"]),
        created_by=Actor(ActorKind(row["created_by_kind"]), row["created_by_id"]),
        created_at=read_time(row["created_at"]),
        updated_at=read_time(row["updated_at"]),
    )


def read_auto_top_up_charge(row: DatabaseRow) -> AutoTopUpCharge:
    """Read a request to the store to charge."""
    return AutoTopUpCharge(
        id=read_uuid(row["id"]),
        wallet_id=read_uuid(row["wallet_id"]),
        rule_id=read_uuid(row["rule_id"]),
        reference=row["reference"],
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        payment_method=row["payment_method"],
        payment_token=row["payment_token"],
        attempt=row["attempt"],
        status=ChargeStatus(row["status"]),
        top_up_id=_maybe(read_uuid, row["top_up_id"]),
        problem=row["problem"],
        created_at=read_time(row["created_at"]),
        updated_at=read_time(row["updated_at"]),
    )


def _capabilities(value: Any) -> frozenset[Capability]:
    # A newer version may have written words that this one does not know; they grant nothing here.
    return frozenset(Capability(word) for word in read_json(value) if word in Capability.__members__)


def _maybe(read: Callable[[Any], T], value: Any) -> T | None:
    return None if value is None else read(value)


READERS: dict[type[Any], Callable[[DatabaseRow], Row]] = {
    Order: read_order,
    Payment: read_payment,
    Refund: read_refund,
    Renewal: read_renewal,
    Promotion: read_promotion,
    CouponCode: read_coupon_code,
    PromotionUse: read_promotion_use,
    CouponRedemption: read_coupon_redemption,
    Withdrawal: read_withdrawal,
    GiftCard: read_gift_card,
    WithdrawalStep: read_withdrawal_step,
    PayoutMethod: read_payout_method,
    PayoutMessage: read_payout_message,
    Role: read_role,
    ApiKey: read_api_key,
    StoredRule: read_stored_rule,
    RuleChange: read_rule_change,
    Delivery: read_delivery,
    CatalogItem: read_catalog_item,
    SyncCursor: read_sync_cursor,
    Award: read_award,
    CashbackEvaluation: read_evaluation,
    CashbackTotal: read_total,
    Celebration: read_celebration,
    ExpiryReminder: read_expiry_reminder,
    StoreEvent: read_store_event,
    TopUp: read_top_up,
    WebhookEndpoint: read_webhook_endpoint,
    OutboxEvent: read_outbox_event,
    OutboxMessage: read_outbox_message,
    TopUpIntent: read_top_up_intent,
    AutoTopUp: read_auto_top_up,
    AutoTopUpCharge: read_auto_top_up_charge,
}
"""How the rows that a command may name are read, by the record's type."""
