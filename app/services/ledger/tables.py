"""How the domain's records lie in the tables.

The Tortoise models are the one definition of every table; here each record is laid out along its model's
columns, so that the writer can write hundreds of rows by one statement.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import orjson
from tortoise import fields
from tortoise.models import Model

from app.domain.api_key import ApiKey
from app.domain.audit import AuditEntry
from app.domain.auto_top_up import AutoTopUp, AutoTopUpCharge
from app.domain.cashback.award import Award
from app.domain.cashback.data import plain
from app.domain.cashback.earning import CashbackEvaluation, CashbackTotal
from app.domain.cashback.registry import RuleChange, StoredRule
from app.domain.catalog import CatalogItem
from app.domain.celebration import Celebration
from app.domain.customer import Customer
from app.domain.delivery import Delivery, DeliveryBody
from app.domain.event import StoreEvent
from app.domain.fraud import Signal
from app.domain.gift_card import GiftCard, GiftCardEntry
from app.domain.hold import Hold, Reservation
from app.domain.ledger import Lot, Transaction, Wallet
from app.domain.order import Order
from app.domain.outbox import OutboxAttempt, OutboxMessage
from app.domain.outgoing import OutboxEvent
from app.domain.payment import Payment
from app.domain.payout import PayoutMessage
from app.domain.payout_method import PayoutMethod
from app.domain.promotion import CouponCode, CouponRedemption, Promotion, PromotionUse
from app.domain.refund import Refund
from app.domain.reminder import ExpiryReminder
from app.domain.renewal import Renewal
from app.domain.role import Role
from app.domain.sync import SyncCursor
from app.domain.top_up import TopUp
from app.domain.top_up_intent import TopUpIntent
from app.domain.webhook_endpoint import EndpointSecret, WebhookEndpoint
from app.domain.withdrawal import Withdrawal, WithdrawalStep
from app.models import (
    api_key,
    audit,
    auto_top_up,
    cashback_award,
    cashback_rule,
    catalog,
    celebration,
    customer,
    delivery,
    event,
    gift_card,
    hold,
    idempotency,
    lot,
    order,
    outbox,
    payment,
    payout_message,
    payout_method,
    promotion,
    refund,
    reminder,
    renewal,
    role,
    settings,
    signal,
    sync,
    top_up,
    top_up_intent,
    transaction,
    wallet,
    webhook_endpoint,
    withdrawal,
    withdrawal_step,
)

POSTGRES_TYPES: dict[type[fields.Field[Any]], str] = {
    fields.UUIDField: "uuid",
    fields.CharField: "text",
    fields.BigIntField: "bigint",
    fields.IntField: "int",
    fields.DatetimeField: "timestamptz",
    fields.DateField: "date",
    fields.BinaryField: "bytea",
    fields.JSONField: "jsonb",
}


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A table as the writer sees it: the columns in the order in which `row` lays a record out."""

    name: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    changing: tuple[str, ...]
    row: Callable[..., tuple[Any, ...]]

    @classmethod
    def of(
        cls, model: type[Model], columns: str, row: Callable[..., tuple[Any, ...]], *, changing: str = ""
    ) -> "Table":
        """Lay a model's table out; `changing` are the columns that an update may write."""
        meta = model._meta
        by_column = {
            column: POSTGRES_TYPES[type(meta.fields_map[name])]
            for name, column in meta.fields_db_projection.items()
        }
        # Tortoise names the column of a relation only once it is initialised; every id here is a UUID.
        by_column |= {f"{name}_id": "uuid" for name in meta.fk_fields | meta.o2o_fields}
        names = tuple(columns.split())
        if set(names) != set(by_column):
            raise TypeError(f"{model.__name__} has other columns: {set(names) ^ set(by_column)}")
        types = tuple(by_column[name] for name in names)
        return cls(str(meta.db_table), names, types, tuple(changing.split()), row)


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=_id_text).decode()


def _id_text(value: Any) -> str:
    # The driver's UUIDs, which the mint makes too, are a subclass that orjson doesn't know.
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"a {type(value).__name__} can't be written as JSON")


def _customer(c: Customer) -> tuple[Any, ...]:
    return (
        c.id,
        c.external_id,
        c.name,
        c.email,
        c.search_text,
        c.created_at,
        c.updated_at,
        c.birthday,
        c.birthday_on,
        _json(c.roles),
        _json(c.segments),
        c.signed_up_at,
        c.language,
        _json(c.emails_off),
    )


def _wallet(w: Wallet) -> tuple[Any, ...]:
    return (
        w.id,
        w.customer_id,
        w.currency,
        str(w.status),
        w.posted_minor,
        w.held_minor,
        w.overdraft_minor,
        w.sequence,
        w.version,
        w.head_hash,
        w.created_at,
        w.updated_at,
        w.last_activity_at,
        w.debt_minor,
    )


def _lot(o: Lot) -> tuple[Any, ...]:
    return (
        o.id,
        o.wallet_id,
        str(o.bucket),
        o.sequence,
        o.original_minor,
        o.remaining_minor,
        o.held_minor,
        o.expires_at,
        o.created_at,
        o.grace_until,
    )


def _transaction(t: Transaction) -> tuple[Any, ...]:
    return (
        t.id,
        t.wallet_id,
        t.sequence,
        t.reference,
        str(t.kind),
        str(t.counter_account),
        t.amount_minor,
        t.balance_after_minor,
        t.currency,
        None if t.reason is None else str(t.reason),
        t.note,
        str(t.actor.kind),
        t.actor.id,
        t.corrects_id,
        t.hold_id,
        t.order_id,
        t.hash,
        t.created_at,
    )


def _hold(h: Hold) -> tuple[Any, ...]:
    return (
        h.id,
        h.wallet_id,
        str(h.purpose),
        str(h.status),
        h.amount_minor,
        h.captured_minor,
        h.released_minor,
        h.expires_at,
        h.created_at,
        h.updated_at,
    )


def _reservation(placed: tuple[int, Reservation]) -> tuple[Any, ...]:
    position, r = placed
    return (
        r.id,
        r.hold_id,
        r.lot_id,
        position,
        r.amount_minor,
        r.captured_minor,
        r.released_minor,
        r.returned_minor,
    )


def _withdrawal(w: Withdrawal) -> tuple[Any, ...]:
    decided = w.decided_by
    return (
        w.id,
        w.wallet_id,
        w.hold_id,
        w.transaction_id,
        w.reference,
        str(w.status),
        w.amount_minor,
        w.currency,
        w.note,
        w.payout_reference,
        str(w.requested_by.kind),
        w.requested_by.id,
        str(decided.kind) if decided else None,
        decided.id if decided else None,
        w.decision_note,
        w.created_at,
        w.decided_at,
        w.method,
        w.fee_minor,
        str(w.fee_payer),
        w.payout_method_id,
        w.provider,
        w.provider_reference,
        w.batch_reference,
        None if w.problem is None else str(w.problem),
        w.step_count,
    )


def _withdrawal_step(s: WithdrawalStep) -> tuple[Any, ...]:
    return (
        s.id,
        s.withdrawal_id,
        s.wallet_id,
        s.number,
        None if s.from_status is None else str(s.from_status),
        str(s.to_status),
        str(s.actor.kind),
        s.actor.id,
        s.note,
        s.provider_reference,
        None if s.problem is None else str(s.problem),
        s.created_at,
    )


def _payout_method(m: PayoutMethod) -> tuple[Any, ...]:
    return (
        m.id,
        m.wallet_id,
        str(m.kind),
        m.label,
        m.masked,
        m.sealed,
        m.fingerprint,
        str(m.status),
        m.usable_from,
        str(m.created_by.kind),
        m.created_by.id,
        m.created_at,
        m.removed_at,
    )


def _payout_message(m: PayoutMessage) -> tuple[Any, ...]:
    return (
        m.id,
        m.provider,
        m.external_id,
        m.withdrawal_id,
        m.provider_reference,
        str(m.kind),
        m.received_at,
    )


def _audit_entry(a: AuditEntry) -> tuple[Any, ...]:
    return (
        a.id,
        a.wallet_id,
        str(a.action),
        str(a.actor.kind),
        a.actor.id,
        a.note,
        _json(a.data),
        a.created_at,
    )


def _role(r: Role) -> tuple[Any, ...]:
    return (
        r.id,
        r.name,
        r.description,
        _json(sorted(r.capabilities)),
        _json(r.maps_from),
        r.archived_at,
        r.created_at,
        r.updated_at,
    )


def _api_key(k: ApiKey) -> tuple[Any, ...]:
    return (
        k.id,
        k.prefix,
        k.hash,
        k.name,
        k.role_id,
        None if k.capabilities is None else _json(sorted(k.capabilities)),
        k.expires_at,
        k.replaces_id,
        str(k.created_by.kind),
        k.created_by.id,
        k.created_at,
        k.last_used_at,
        k.revoked_at,
    )


def _stored_rule(s: StoredRule) -> tuple[Any, ...]:
    rule = s.rule
    return (
        s.id,
        rule.version,
        s.revision,
        str(rule.status),
        str(rule.trigger.kind),
        rule.name,
        rule.currency,
        rule.priority,
        rule.starts_at,
        rule.ends_at,
        _json(rule.as_data()),
        s.created_at,
        s.updated_at,
    )


def _rule_change(c: RuleChange) -> tuple[Any, ...]:
    return (
        c.id,
        c.rule.id,
        c.rule.version,
        c.revision,
        _json(c.rule.as_data()),
        str(c.actor.kind),
        c.actor.id,
        c.note,
        c.created_at,
    )


def _signal(s: Signal) -> tuple[Any, ...]:
    return (
        s.id,
        str(s.kind),
        str(s.actor.kind),
        s.actor.id,
        s.wallet_id,
        s.count,
        s.window_s,
        s.created_at,
    )


def _delivery(d: Delivery) -> tuple[Any, ...]:
    return (
        d.id,
        str(d.door),
        d.topic,
        d.external_id,
        d.content_hash,
        d.size_bytes,
        str(d.status),
        d.attempts,
        d.repeats,
        d.next_attempt_at,
        d.error,
        d.summary,
        d.order_id,
        d.received_at,
        d.repeated_at,
        d.done_at,
    )


def _delivery_body(b: DeliveryBody) -> tuple[Any, ...]:
    return (b.id, b.delivery_id, b.body)


def _catalog_item(c: CatalogItem) -> tuple[Any, ...]:
    return (
        c.id,
        c.source,
        str(c.kind),
        c.external_id,
        c.name,
        c.code,
        _json(c.categories),
        c.modified_at,
        c.deleted_at,
    )


def _sync_cursor(s: SyncCursor) -> tuple[Any, ...]:
    return (s.id, s.name, _json(s.position), s.leased_until, s.holder, s.updated_at)


def _order(o: Order) -> tuple[Any, ...]:
    told = o.snapshot
    return (
        o.id,
        o.source,
        o.external_id,
        told.number if told else "",
        o.wallet_id,
        o.claimed_by,
        str(o.status),
        told.currency if told else None,
        told.total_minor if told else None,
        told.subscription.reference if told and told.subscription else None,
        _json(told.as_data()) if told else None,
        # Where the newest snapshot is the basis too, it is kept once.
        _json(o.basis.as_data()) if o.basis and o.basis != told else None,
        told.modified_at if told else None,
        o.deleted_at,
        o.credited_minor,
        o.shortfall_minor,
        None if o.problem is None else str(o.problem),
        o.created_at,
        o.updated_at,
    )


def _payment(p: Payment) -> tuple[Any, ...]:
    return (
        p.id,
        p.order_id,
        p.wallet_id,
        p.hold_id,
        p.reference,
        str(p.origin),
        str(p.capture),
        str(p.status),
        p.amount_minor,
        p.owed_minor,
        p.captured_minor,
        p.requested_minor,
        p.returned_minor,
        p.currency,
        _json([str(bucket) for bucket in p.buckets]),
        None if p.ended_by is None else str(p.ended_by),
        p.expires_at,
        str(p.created_by.kind),
        p.created_by.id,
        p.created_at,
        p.updated_at,
        p.after_failure_at,
    )


def _refund(r: Refund) -> tuple[Any, ...]:
    return (
        r.id,
        r.order_id,
        r.wallet_id,
        r.reference,
        r.external_id,
        str(r.destination),
        str(r.bucket),
        r.amount_minor,
        r.shipping_minor,
        r.tax_minor,
        r.wallet_minor,
        r.credited_minor,
        r.elsewhere_minor,
        r.currency,
        r.note,
        _json(r.lines),
        str(r.created_by.kind),
        r.created_by.id,
        r.refunded_at,
        r.created_at,
        r.withdrawn_at,
    )


def _renewal(r: Renewal) -> tuple[Any, ...]:
    return (
        r.id,
        r.wallet_id,
        r.source,
        r.subscription,
        r.description,
        r.amount_minor,
        r.currency,
        r.due_at,
        str(r.status),
        str(r.created_by.kind),
        r.created_by.id,
        r.created_at,
        r.updated_at,
    )


def _award(a: Award) -> tuple[Any, ...]:
    taken = a.taken
    return (
        a.id,
        a.rule_id,
        a.rule_version,
        str(a.source),
        str(a.trigger),
        a.wallet_id,
        a.order_id,
        a.customer_id,
        a.occasion_key,
        str(a.status),
        a.currency,
        a.amount_minor,
        a.order_total_minor,
        taken.total_minor,
        taken.debt_minor,
        _json(asdict(taken)),
        _json([list(line) for line in a.lines]),
        _json([str(lot_id) for lot_id in a.lot_ids]),
        str(a.bucket),
        a.occurred_on.isoformat(),
        a.occurred_at,
        a.awarded_at,
        a.vests_at,
        a.expires_at,
        a.vested_at,
        a.expired_at,
        a.expired_minor,
        _json(a.explanation),
    )


def _evaluation(e: CashbackEvaluation) -> tuple[Any, ...]:
    return (
        e.id,
        e.wallet_id,
        e.order_id,
        str(e.trigger),
        e.occasion_key,
        e.currency,
        e.total_minor,
        _json(e.outcomes),
        e.occurred_at,
        e.created_at,
    )


def _celebration(c: Celebration) -> tuple[Any, ...]:
    return (c.id, c.wallet_id, c.trigger, c.key, c.occurred_at, c.created_at)


def _expiry_reminder(r: ExpiryReminder) -> tuple[Any, ...]:
    return (r.id, r.wallet_id, r.expires_on, r.expires_at, r.amount_minor, r.currency, r.created_at)


def _store_event(e: StoreEvent) -> tuple[Any, ...]:
    return (
        e.id,
        e.wallet_id,
        e.name,
        e.external_id,
        e.occurred_at,
        str(e.created_by.kind),
        e.created_by.id,
        e.created_at,
    )


def _gift_card(c: GiftCard) -> tuple[Any, ...]:
    by = c.activated_by
    return (
        c.id,
        c.reference,
        c.code_hash,
        c.last_characters,
        c.currency,
        c.initial_minor,
        c.balance_minor,
        str(c.status),
        str(c.funded_by),
        c.batch_id,
        c.label,
        c.note,
        c.expires_at,
        c.sequence,
        c.head_hash,
        str(c.created_by.kind),
        c.created_by.id,
        c.created_at,
        c.updated_at,
        c.activated_at,
        str(by.kind) if by else None,
        by.id if by else None,
    )


def _gift_card_entry(e: GiftCardEntry) -> tuple[Any, ...]:
    return (
        e.id,
        e.card_id,
        e.sequence,
        str(e.kind),
        e.amount_minor,
        e.balance_after_minor,
        e.currency,
        None if e.account is None else str(e.account),
        e.transaction_id,
        str(e.actor.kind),
        e.actor.id,
        e.note,
        e.hash,
        e.created_at,
    )


def _total(t: CashbackTotal) -> tuple[Any, ...]:
    return (t.id, t.rule_id, t.given_minor, t.awards, t.updated_at)


def _promotion(p: Promotion) -> tuple[Any, ...]:
    return (
        p.id,
        p.name,
        p.description,
        str(p.status),
        p.currency,
        _json(p.terms.as_data()),
        p.starts_at,
        p.ends_at,
        p.uses_max,
        p.budget_minor,
        p.uses,
        p.granted_minor,
        p.created_at,
        p.updated_at,
    )


def _coupon_code(c: CouponCode) -> tuple[Any, ...]:
    return (c.id, c.promotion_id, c.batch_id, c.code, c.uses_max, c.uses, c.created_at)


def _promotion_use(u: PromotionUse) -> tuple[Any, ...]:
    return (u.id, u.promotion_id, u.customer, u.uses, u.created_at, u.updated_at)


def _coupon_redemption(r: CouponRedemption) -> tuple[Any, ...]:
    return (
        r.id,
        r.promotion_id,
        r.code_id,
        r.code,
        r.wallet_id,
        r.order_id,
        r.transaction_id,
        str(r.status),
        None if r.problem is None else str(r.problem),
        r.amount_minor,
        r.order_total_minor,
        r.currency,
        _json([list(line) for line in r.lines]),
        _json([str(lot_id) for lot_id in r.lots]),
        _json(plain(r.taken)),
        int(r.counts),
        r.expires_at,
        str(r.created_by.kind),
        r.created_by.id,
        r.created_at,
        r.updated_at,
    )


def _top_up(t: TopUp) -> tuple[Any, ...]:
    return (
        t.id,
        t.wallet_id,
        t.source,
        t.external_id,
        t.reference,
        t.paid_minor,
        t.face_value_minor,
        t.credited_minor,
        t.shortfall_minor,
        t.currency,
        t.payment_method,
        t.transaction_id,
        t.order_id,
        t.paid_at,
        t.modified_at,
        str(t.created_by.kind),
        t.created_by.id,
        t.created_at,
        t.updated_at,
    )


def _outbox_event(e: OutboxEvent) -> tuple[Any, ...]:
    return (
        e.id,
        e.type,
        e.version,
        e.wallet_id,
        e.order_id,
        e.subject_id,
        _json(e.data),
        e.created_at,
        e.relayed_at,
    )


def _outbox_message(m: OutboxMessage) -> tuple[Any, ...]:
    return (
        m.id,
        m.event_id,
        str(m.channel),
        m.target,
        m.topic,
        _json(m.body),
        str(m.status),
        m.attempts,
        m.next_attempt_at,
        m.error,
        m.status_code,
        m.created_at,
        m.done_at,
    )


def _outbox_attempt(a: OutboxAttempt) -> tuple[Any, ...]:
    return (
        a.id,
        a.message_id,
        a.number,
        a.started_at,
        a.duration_ms,
        a.status_code,
        a.error,
        a.answer,
    )


def _webhook_endpoint(e: WebhookEndpoint) -> tuple[Any, ...]:
    return (
        e.id,
        e.url,
        e.description,
        _json(e.events),
        str(e.status),
        None if e.disabled_by is None else str(e.disabled_by),
        _json(sorted(e.capabilities)),
        _json([_secret(secret) for secret in e.secrets]),
        str(e.created_by.kind),
        e.created_by.id,
        e.created_at,
        e.updated_at,
        e.failing_since,
    )


def _secret(s: EndpointSecret) -> dict[str, Any]:
    ends = None if s.expires_at is None else s.expires_at.isoformat()
    return {"sealed": s.sealed, "created_at": s.created_at.isoformat(), "expires_at": ends}


def _top_up_intent(t: TopUpIntent) -> tuple[Any, ...]:
    return (
        t.id,
        t.wallet_id,
        t.reference,
        t.amount_minor,
        t.currency,
        t.payment_method,
        str(t.status),
        t.top_up_id,
        t.expires_at,
        str(t.created_by.kind),
        t.created_by.id,
        t.created_at,
        t.updated_at,
    )


def _auto_top_up(a: AutoTopUp) -> tuple[Any, ...]:
    return (
        a.id,
        a.wallet_id,
        str(a.kind),
        a.threshold_minor,
        a.day_of_month,
        a.amount_minor,
        a.currency,
        a.payment_method,
        a.payment_token,
        str(a.status),
        a.declines,
        a.next_attempt_at,
        a.charge_id,
        str(a.created_by.kind),
        a.created_by.id,
        a.created_at,
        a.updated_at,
    )


def _auto_top_up_charge(c: AutoTopUpCharge) -> tuple[Any, ...]:
    return (
        c.id,
        c.wallet_id,
        c.rule_id,
        c.reference,
        c.amount_minor,
        c.currency,
        c.payment_method,
        c.payment_token,
        c.attempt,
        str(c.status),
        c.top_up_id,
        c.problem,
        c.created_at,
        c.updated_at,
    )


def _as_is(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return row


CUSTOMERS = Table.of(
    customer.Customer,
    "id external_id name email search_text created_at updated_at birthday birthday_on roles segments signed_up_at "
    "language emails_off",
    _customer,
    changing="name email search_text updated_at birthday birthday_on roles segments signed_up_at language emails_off",
)
WALLETS = Table.of(
    wallet.Wallet,
    "id customer_id currency status posted_minor held_minor overdraft_minor sequence version head_hash "
    "created_at updated_at last_activity_at debt_minor",
    _wallet,
    changing="status posted_minor held_minor overdraft_minor sequence version head_hash updated_at last_activity_at "
    "debt_minor",
)
LOTS = Table.of(
    lot.Lot,
    "id wallet_id bucket sequence original_minor remaining_minor held_minor expires_at created_at grace_until",
    _lot,
    changing="remaining_minor held_minor grace_until",
)
TRANSACTIONS = Table.of(
    transaction.Transaction,
    "id wallet_id sequence reference kind counter_account amount_minor balance_after_minor currency reason note "
    "actor_kind actor_id corrects_id hold_id order_id hash created_at",
    _transaction,
)
ALLOCATIONS = Table.of(
    transaction.Allocation, "id transaction_id lot_id position bucket amount_minor expires_at", _as_is
)
HOLDS = Table.of(
    hold.Hold,
    "id wallet_id purpose status amount_minor captured_minor released_minor expires_at created_at updated_at",
    _hold,
    changing="status captured_minor released_minor updated_at",
)
RESERVATIONS = Table.of(
    hold.Reservation,
    "id hold_id lot_id position amount_minor captured_minor released_minor returned_minor",
    _reservation,
    changing="captured_minor released_minor returned_minor",
)
IDEMPOTENCY_KEYS = Table.of(
    idempotency.IdempotencyKey, "id scope key command request_hash result created_at", _as_is
)
SETTINGS_VERSIONS = Table.of(
    settings.SettingsVersion, "version data actor_kind actor_id note created_at", _as_is
)

BESIDE: dict[type[Any], Table] = {
    Order: Table.of(
        order.Order,
        "id source external_id number wallet_id claimed_by status currency total_minor subscription snapshot basis "
        "modified_at deleted_at credited_minor shortfall_minor problem created_at updated_at",
        _order,
        changing="number wallet_id claimed_by status currency total_minor subscription snapshot basis modified_at "
        "deleted_at credited_minor shortfall_minor problem updated_at",
    ),
    Payment: Table.of(
        payment.Payment,
        "id order_id wallet_id hold_id reference origin capture status amount_minor owed_minor captured_minor "
        "requested_minor returned_minor currency buckets ended_by expires_at created_by_kind created_by_id created_at "
        "updated_at after_failure_at",
        _payment,
        changing="status owed_minor captured_minor requested_minor returned_minor ended_by updated_at",
    ),
    Refund: Table.of(
        refund.Refund,
        "id order_id wallet_id reference external_id destination bucket amount_minor shipping_minor tax_minor "
        "wallet_minor credited_minor elsewhere_minor currency note lines created_by_kind created_by_id refunded_at "
        "created_at withdrawn_at",
        _refund,
        changing="wallet_id external_id amount_minor wallet_minor credited_minor elsewhere_minor withdrawn_at",
    ),
    Renewal: Table.of(
        renewal.Renewal,
        "id wallet_id source subscription description amount_minor currency due_at status created_by_kind "
        "created_by_id created_at updated_at",
        _renewal,
        changing="wallet_id description amount_minor currency due_at status updated_at",
    ),
    # Locked after orders, and the one before the other: the same order in every process.
    Promotion: Table.of(
        promotion.Promotion,
        "id name description status currency terms starts_at ends_at uses_max budget_minor uses granted_minor "
        "created_at updated_at",
        _promotion,
        changing="name description status terms starts_at ends_at uses_max budget_minor uses granted_minor updated_at",
    ),
    CouponCode: Table.of(
        promotion.CouponCode,
        "id promotion_id batch_id code uses_max uses created_at",
        _coupon_code,
        changing="promotion_id batch_id uses_max uses created_at",
    ),
    PromotionUse: Table.of(
        promotion.PromotionUse,
        "id promotion_id customer uses created_at updated_at",
        _promotion_use,
        changing="uses updated_at",
    ),
    CouponRedemption: Table.of(
        promotion.CouponRedemption,
        "id promotion_id coupon_id code wallet_id order_id transaction_id status problem amount_minor "
        "order_total_minor currency lines lots taken counts expires_at created_by_kind created_by_id created_at updated_at",
        _coupon_redemption,
        changing="promotion_id transaction_id status problem amount_minor order_total_minor lines lots taken counts "
        "expires_at updated_at",
    ),
    Withdrawal: Table.of(
        withdrawal.Withdrawal,
        "id wallet_id hold_id transaction_id reference status amount_minor currency note payout_reference "
        "requested_by_kind requested_by_id decided_by_kind decided_by_id decision_note created_at decided_at method "
        "fee_minor fee_payer payout_method_id provider provider_reference batch_reference problem step_count",
        _withdrawal,
        changing="transaction_id status payout_reference decided_by_kind decided_by_id decision_note decided_at "
        "provider provider_reference batch_reference problem step_count",
    ),
    WithdrawalStep: Table.of(
        withdrawal_step.WithdrawalStep,
        "id withdrawal_id wallet_id number from_status to_status actor_kind actor_id note provider_reference problem "
        "created_at",
        _withdrawal_step,
    ),
    PayoutMethod: Table.of(
        payout_method.PayoutMethod,
        "id wallet_id kind label masked sealed fingerprint status usable_from created_by_kind created_by_id created_at "
        "removed_at",
        _payout_method,
        changing="status removed_at",
    ),
    PayoutMessage: Table.of(
        payout_message.PayoutMessage,
        "id provider external_id withdrawal_id provider_reference kind received_at",
        _payout_message,
    ),
    GiftCard: Table.of(
        gift_card.GiftCard,
        "id reference code_hash last_characters currency initial_minor balance_minor status funded_by batch label note "
        "expires_at sequence head_hash created_by_kind created_by_id created_at updated_at activated_at activated_by_kind "
        "activated_by_id",
        _gift_card,
        changing="balance_minor status expires_at sequence head_hash updated_at activated_at activated_by_kind "
        "activated_by_id",
    ),
    GiftCardEntry: Table.of(
        gift_card.GiftCardEntry,
        "id card_id sequence kind amount_minor balance_after_minor currency account transaction_id actor_kind actor_id "
        "note hash created_at",
        _gift_card_entry,
    ),
    Role: Table.of(
        role.Role,
        "id name description capabilities maps_from archived_at created_at updated_at",
        _role,
        changing="description capabilities maps_from archived_at updated_at",
    ),
    ApiKey: Table.of(
        api_key.ApiKey,
        "id prefix hash name role_id capabilities expires_at replaces_id created_by_kind created_by_id created_at "
        "last_used_at revoked_at",
        _api_key,
        # Not last_used_at: that is written past the writer, and a command must not turn it back.
        changing="expires_at revoked_at",
    ),
    StoredRule: Table.of(
        cashback_rule.CashbackRule,
        "id version revision status trigger_kind name currency priority starts_at ends_at data created_at updated_at",
        _stored_rule,
        changing="version revision status trigger_kind name currency priority starts_at ends_at data updated_at",
    ),
    RuleChange: Table.of(
        cashback_rule.CashbackRuleVersion,
        "id rule_id version revision data actor_kind actor_id note created_at",
        _rule_change,
    ),
    AuditEntry: Table.of(
        audit.AuditEntry, "id wallet_id action actor_kind actor_id note data created_at", _audit_entry
    ),
    Signal: Table.of(
        signal.Signal, "id kind actor_kind actor_id wallet_id count window_s created_at", _signal
    ),
    Delivery: Table.of(
        delivery.Delivery,
        "id door topic external_id content_hash size_bytes status attempts repeats next_attempt_at error summary "
        "order_id received_at repeated_at done_at",
        _delivery,
        changing="status attempts repeats next_attempt_at error summary order_id repeated_at done_at",
    ),
    DeliveryBody: Table.of(delivery.DeliveryBody, "id delivery_id body", _delivery_body),
    CatalogItem: Table.of(
        catalog.CatalogItem,
        "id source kind external_id name code categories modified_at deleted_at",
        _catalog_item,
        changing="name code categories modified_at deleted_at",
    ),
    SyncCursor: Table.of(
        sync.SyncCursor,
        "id name position leased_until holder updated_at",
        _sync_cursor,
        changing="position leased_until holder updated_at",
    ),
    Award: Table.of(
        cashback_award.CashbackAward,
        "id given_by rule_version source trigger wallet_id order_id store_customer occasion_key status currency amount_minor "
        "order_total_minor clawed_minor debt_minor taken lines lot_ids bucket occurred_on occurred_at awarded_at vests_at "
        "expires_at vested_at expired_at expired_minor explanation",
        _award,
        changing="status clawed_minor debt_minor taken lot_ids vested_at expired_at expired_minor",
    ),
    CashbackEvaluation: Table.of(
        cashback_award.CashbackEvaluation,
        "id wallet_id order_id trigger occasion_key currency total_minor outcomes occurred_at created_at",
        _evaluation,
    ),
    CashbackTotal: Table.of(
        cashback_award.CashbackTotal,
        "id given_by given_minor awards updated_at",
        _total,
        changing="given_minor awards updated_at",
    ),
    Celebration: Table.of(
        celebration.Celebration, "id wallet_id trigger key occurred_at created_at", _celebration
    ),
    ExpiryReminder: Table.of(
        reminder.ExpiryReminder,
        "id wallet_id expires_on expires_at amount_minor currency created_at",
        _expiry_reminder,
    ),
    StoreEvent: Table.of(
        event.StoreEvent,
        "id wallet_id name external_id occurred_at created_by_kind created_by_id created_at",
        _store_event,
    ),
    TopUp: Table.of(
        top_up.TopUp,
        "id wallet_id source external_id reference paid_minor face_value_minor credited_minor shortfall_minor currency "
        "payment_method transaction_id order_id paid_at modified_at created_by_kind created_by_id created_at updated_at",
        _top_up,
        changing="paid_minor face_value_minor credited_minor shortfall_minor payment_method transaction_id order_id "
        "modified_at updated_at",
    ),
    TopUpIntent: Table.of(
        top_up_intent.TopUpIntent,
        "id wallet_id reference amount_minor currency payment_method status top_up_id expires_at created_by_kind "
        "created_by_id created_at updated_at",
        _top_up_intent,
        changing="status top_up_id updated_at",
    ),
    AutoTopUp: Table.of(
        auto_top_up.AutoTopUp,
        "id wallet_id kind threshold_minor day_of_month amount_minor currency payment_method payment_token status declines "
        "next_attempt_at charge_id created_by_kind created_by_id created_at updated_at",
        _auto_top_up,
        changing="threshold_minor day_of_month amount_minor payment_method payment_token status declines next_attempt_at "
        "charge_id created_by_kind created_by_id updated_at",
    ),
    AutoTopUpCharge: Table.of(
        auto_top_up.AutoTopUpCharge,
        "id wallet_id rule_id reference amount_minor currency payment_method payment_token attempt status top_up_id problem "
        "created_at updated_at",
        _auto_top_up_charge,
        changing="status top_up_id problem updated_at",
    ),
    WebhookEndpoint: Table.of(
        webhook_endpoint.WebhookEndpoint,
        "id url description events status disabled_by capabilities secrets created_by_kind created_by_id created_at "
        "updated_at failing_since",
        _webhook_endpoint,
        changing="url description events status disabled_by capabilities secrets updated_at failing_since",
    ),
    OutboxEvent: Table.of(
        outbox.OutboxEvent,
        "id type version wallet_id order_id subject_id data created_at relayed_at",
        _outbox_event,
        changing="relayed_at",
    ),
    OutboxMessage: Table.of(
        outbox.OutboxMessage,
        "id event_id channel target topic body status attempts next_attempt_at error status_code created_at done_at",
        _outbox_message,
        changing="status attempts next_attempt_at error status_code done_at",
    ),
    OutboxAttempt: Table.of(
        outbox.OutboxAttempt,
        "id message_id number started_at duration_ms status_code error answer",
        _outbox_attempt,
    ),
}
"""The rows that commands may add beside the ledger, by the record's type; written in this order."""

OF_ORDERS: tuple[type[Any], ...] = (Payment, Refund, CouponRedemption, Award, CashbackEvaluation, TopUp)
"""The rows that come along with an order that a command names."""

PAID_IN: dict[type[Any], str] = {
    TopUp: "paid_at >= {since}",
    TopUpIntent: "status = 'STARTED'",
    AutoTopUp: "status <> ''",
    AutoTopUpCharge: "status = 'REQUESTED'",
}
"""The rows of a wallet that come along with a command that tops up, and which of them."""

RIGHTS: frozenset[type[Any]] = frozenset({Role, ApiKey})
"""The rows that say who may do what: when one of them changes, every process is told."""

OUTGOING: frozenset[type[Any]] = frozenset({OutboxEvent, OutboxMessage})
"""The rows that leave the program: when one of them is written, the outbox is woken."""
