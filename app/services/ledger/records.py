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
from app.domain.bucket import Bucket
from app.domain.cashback.award import Award, AwardSource, Taken
from app.domain.cashback.earning import CashbackEvaluation, CashbackTotal
from app.domain.cashback.evaluation import LineAward
from app.domain.cashback.registry import RuleChange, StoredRule
from app.domain.cashback.rule import CashbackRule, TriggerKind
from app.domain.catalog import CatalogItem, CatalogKind
from app.domain.customer import Customer
from app.domain.delivery import Delivery, DeliveryStatus, Door
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
from app.domain.payment import CaptureMethod, Payment, PaymentEnd, PaymentOrigin, PaymentStatus
from app.domain.payout import PayoutMessage
from app.domain.payout_method import PayoutMethod, PayoutMethodKind, PayoutMethodStatus
from app.domain.refund import Refund, RefundDestination
from app.domain.renewal import Renewal, RenewalStatus
from app.domain.role import Role
from app.domain.sync import SyncCursor
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


def read_total(row: DatabaseRow) -> CashbackTotal:
    """Read what a rule has given."""
    return CashbackTotal(
        id=read_uuid(row["id"]),
        rule_id=read_uuid(row["given_by"]),
        given_minor=row["given_minor"],
        awards=row["awards"],
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
    Withdrawal: read_withdrawal,
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
}
"""How the rows that a command may name are read, by the record's type."""
