"""Which events follow from what: one place, no kind of row forgotten, nothing in the data that is nobody's business."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import given, strategies as st

from app.domain.access import Actor, ActorKind, Capability
from app.domain.audit import AuditAction, AuditEntry
from app.domain.auto_top_up import AutoTopUp, AutoTopUpCharge, AutoTopUpKind, AutoTopUpStatus, ChargeStatus
from app.domain.bucket import Bucket
from app.domain.cashback.award import Award, Taken
from app.domain.customer import Customer
from app.domain.event_catalogue import CATALOGUE, EventType
from app.domain.event_data import camel_case, money
from app.domain.fraud import Signal, SignalKind
from app.domain.gift_card import GiftCard, GiftCardAccount, GiftCardEntry, GiftCardEvent, GiftCardStatus
from app.domain.global_id import global_id
from app.domain.ledger import GENESIS_HASH, Draft, Wallet, WalletStatus
from app.domain.order import Order
from app.domain.outbox import (
    BACKOFF_S,
    Channel,
    MessageStatus,
    SendOutcome,
    Verdict,
    message,
    message_id,
)
from app.domain.outgoing import SILENT, TOLD, Happened, OutboxEvent, events_of
from app.domain.payment import CaptureMethod, Payment, PaymentEnd, PaymentOrigin, PaymentStatus
from app.domain.payout import PayoutMessage
from app.domain.payout_method import PayoutMethod, PayoutMethodKind, PayoutMethodStatus
from app.domain.promotion import (
    CouponProblem,
    CouponRedemption,
    Promotion,
    PromotionStatus,
    RedemptionStatus,
    Terms,
)
from app.domain.renewal import Renewal, RenewalStatus
from app.domain.settings import SettingsChange, StoreSettings
from app.domain.top_up import TopUp
from app.domain.top_up_intent import TopUpIntent, TopUpIntentStatus
from app.domain.webhook_endpoint import DisabledBy, EndpointSecret, EndpointStatus, WebhookEndpoint, listens
from app.domain.withdrawal import PayoutOutcomeKind, WithdrawalStatus
from app.domain.withdrawal_terms import WithdrawalTerms
from app.services.ledger import tables
from app.services.ledger.mint import RandomMint
from tests.domain.book import Book
from tests.domain.test_withdrawal_life import WAYS, ask, steps_of, tell, walk

T = TypeVar("T")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
STAFF = Actor(ActorKind.STAFF, "mira@shop.example")
MINT = RandomMint()
ID = UUID("00000000-0000-7000-8000-000000000001")

CUSTOMER = Customer(ID, "c-1", "Ada Lovelace", "ada@shop.example", NOW, NOW)
WALLET = Wallet(ID, ID, "EUR", WalletStatus.ACTIVE, 500, 100, 0, 1, 1, GENESIS_HASH, NOW, NOW, NOW)
ORDER = Order.opened("woocommerce", "1042", NOW)
PAYMENT = Payment(
    id=UUID(int=7),
    order_id=ORDER.id,
    wallet_id=WALLET.id,
    hold_id=ID,
    reference="PY-1",
    origin=PaymentOrigin.CHECKOUT,
    capture=CaptureMethod.AUTOMATIC,
    status=PaymentStatus.AUTHORIZED,
    amount_minor=100,
    owed_minor=100,
    captured_minor=0,
    requested_minor=0,
    returned_minor=0,
    currency="EUR",
    buckets=(Bucket.CASH,),
    ended_by=None,
    expires_at=NOW,
    created_by=STAFF,
    created_at=NOW,
    updated_at=NOW,
)
PARTLY = replace(PAYMENT, status=PaymentStatus.PARTIALLY_CAPTURED, captured_minor=40)
CAPTURED = replace(PAYMENT, status=PaymentStatus.CAPTURED, captured_minor=100)
RENEWAL = Renewal(
    ID, ID, "woocommerce", "77", "Coffee", 900, "EUR", NOW, RenewalStatus.UPCOMING, STAFF, NOW, NOW
)
AWARD = Award(
    id=UUID(int=9),
    rule_id=ID,
    rule_version=1,
    wallet_id=ID,
    customer_id="c-1",
    occasion_key="order:1042",
    order_id=ORDER.id,
    currency="EUR",
    amount_minor=50,
    order_total_minor=100,
    lines=(),
    bucket=Bucket.CASH,
    occurred_at=NOW,
    occurred_on=NOW.date(),
    awarded_at=NOW,
    vests_at=NOW,
    expires_at=None,
)
METHOD = PayoutMethod(
    id=UUID(int=10),
    wallet_id=ID,
    kind=PayoutMethodKind.BANK_IBAN,
    label="Account of my sister Byron",
    masked="DE•• •••• 3000",
    sealed=b"DE02 3000 1000",
    fingerprint=b"f",
    status=PayoutMethodStatus.ACTIVE,
    usable_from=NOW,
    created_by=STAFF,
    created_at=NOW,
)
INTENT = TopUpIntent(
    id=UUID(int=11),
    wallet_id=ID,
    reference="TI-1",
    amount_minor=500,
    currency="EUR",
    payment_method="card",
    status=TopUpIntentStatus.STARTED,
    top_up_id=None,
    expires_at=NOW,
    created_by=STAFF,
    created_at=NOW,
    updated_at=NOW,
)
TOP_UP = TopUp(
    id=UUID(int=12),
    wallet_id=ID,
    source="shop",
    external_id="77",
    reference="TU-1",
    paid_minor=500,
    face_value_minor=None,
    credited_minor=500,
    shortfall_minor=0,
    currency="EUR",
    payment_method="card",
    transaction_id=UUID(int=13),
    order_id=None,
    paid_at=NOW,
    modified_at=NOW,
    created_by=STAFF,
    created_at=NOW,
    updated_at=NOW,
)
RULE = AutoTopUp(
    id=UUID(int=14),
    wallet_id=ID,
    kind=AutoTopUpKind.THRESHOLD,
    threshold_minor=1_000,
    day_of_month=None,
    amount_minor=2_000,
    currency="EUR",
    payment_method="card",
    payment_token="tok_1",
    status=AutoTopUpStatus.ACTIVE,
    declines=0,
    next_attempt_at=NOW,
    charge_id=None,
    created_by=STAFF,
    created_at=NOW,
    updated_at=NOW,
)
CHARGE = AutoTopUpCharge(
    id=UUID(int=15),
    wallet_id=ID,
    rule_id=RULE.id,
    reference="TC-1",
    amount_minor=2_000,
    currency="EUR",
    payment_method="card",
    payment_token="tok_1",
    attempt=2,
    status=ChargeStatus.REQUESTED,
    top_up_id=None,
    problem="",
    created_at=NOW,
    updated_at=NOW,
)
PROMOTION = Promotion(
    id=UUID(int=16),
    name="Spring",
    description="",
    status=PromotionStatus.ACTIVE,
    currency="EUR",
    terms=Terms(amount_minor=500),
    starts_at=None,
    ends_at=None,
    uses_max=None,
    budget_minor=None,
    uses=0,
    granted_minor=0,
    created_at=NOW,
    updated_at=NOW,
)
REDEMPTION = CouponRedemption(
    id=UUID(int=17),
    promotion_id=PROMOTION.id,
    code_id=ID,
    code="SPRING-7",
    wallet_id=ID,
    order_id=ORDER.id,
    transaction_id=UUID(int=18),
    status=RedemptionStatus.GRANTED,
    problem=None,
    amount_minor=500,
    order_total_minor=900,
    currency="EUR",
    lines=(),
    lots=(),
    taken=Taken(),
    counts=True,
    expires_at=None,
    created_by=STAFF,
    created_at=NOW,
    updated_at=NOW,
)
REFUSED = replace(
    REDEMPTION,
    transaction_id=None,
    status=RedemptionStatus.REFUSED,
    problem=CouponProblem.NOT_RUNNING,
    amount_minor=0,
    counts=False,
)
UNKNOWN = PayoutMessage(UUID(int=19), "bridge", "evt_1", None, "po_1", PayoutOutcomeKind.PAID, NOW)
SIGNAL = Signal(ID, SignalKind.RAPID_BALANCE_CHECKS, STAFF, ID, 61, 60, NOW)


def told(before: Any, after: Any, **more: Any) -> list[OutboxEvent]:
    """The events of a command that leaves this row behind."""
    befores = {} if before is None else {before.id: before}
    known: dict[str, Any] = {"wallet": WALLET, "wallet_before": WALLET}
    known |= {"customer": CUSTOMER, "customer_before": CUSTOMER}
    return events_of(Happened(NOW, [after], befores, StoreSettings(), **(known | more)), MINT)


# --- the catalogue is complete ------------------------------------------------------------------------------


def test_every_event_is_described() -> None:
    assert set(CATALOGUE) == set(EventType)
    for event_type, kind in CATALOGUE.items():
        assert kind.description.endswith(".")
        assert kind.version >= 1
        assert (kind.needs is None) == (event_type is EventType.WEBHOOK_TEST)


def test_every_kind_of_row_tells_or_is_silent_for_a_reason() -> None:
    """Whoever adds a table says here what its rows tell."""
    kept = {*tables.BESIDE, SettingsChange}
    assert set(TOLD) | set(SILENT) == kept
    assert not set(TOLD) & set(SILENT)
    assert all(reason for reason in SILENT.values())


# --- what follows from what ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, ORDER, ["order.created"]),
        (ORDER, ORDER, []),
        (ORDER, replace(ORDER, updated_at=NOW + timedelta(hours=1)), []),
        (ORDER, replace(ORDER, wallet_id=ID), ["order.updated"]),
        (None, PAYMENT, ["payment.authorized"]),
        (PAYMENT, PAYMENT, []),
        (None, CAPTURED, ["payment.authorized", "payment.captured"]),
        (PAYMENT, PARTLY, ["payment.captured"]),
        (PARTLY, CAPTURED, ["payment.captured"]),
        (PAYMENT, replace(PAYMENT, status=PaymentStatus.VOIDED), ["payment.voided"]),
        (
            PAYMENT,
            replace(PAYMENT, status=PaymentStatus.EXPIRED, ended_by=PaymentEnd.EXPIRY),
            ["payment.expired"],
        ),
        (PARTLY, replace(PARTLY, status=PaymentStatus.CAPTURED), ["payment.voided"]),
        (
            PARTLY,
            replace(PARTLY, status=PaymentStatus.CAPTURED, ended_by=PaymentEnd.EXPIRY),
            ["payment.expired"],
        ),
        (
            PAYMENT,
            replace(PARTLY, status=PaymentStatus.CAPTURED),
            ["payment.captured", "payment.voided"],
        ),
        (CAPTURED, replace(CAPTURED, returned_minor=5), ["payment.refunded"]),
        (None, RENEWAL, ["renewal.announced"]),
        (RENEWAL, RENEWAL, []),
        (RENEWAL, replace(RENEWAL, amount_minor=1000), ["renewal.updated"]),
        (RENEWAL, replace(RENEWAL, status=RenewalStatus.CHARGED), ["renewal.charged"]),
        (RENEWAL, replace(RENEWAL, status=RenewalStatus.CANCELLED), ["renewal.cancelled"]),
        (replace(RENEWAL, status=RenewalStatus.CHARGED), RENEWAL, ["renewal.announced"]),
        (None, AWARD, ["cashback.awarded"]),
        (None, replace(AWARD, vested_at=NOW), ["cashback.awarded", "cashback.vested"]),
        (AWARD, replace(AWARD, vested_at=NOW), ["cashback.vested"]),
        (AWARD, replace(AWARD, taken=Taken(unvested_minor=5)), ["cashback.clawed_back"]),
        (replace(AWARD, taken=Taken(unvested_minor=5)), AWARD, ["cashback.restored"]),
        (
            replace(AWARD, vested_at=NOW),
            replace(AWARD, vested_at=NOW, expired_at=NOW, expired_minor=50),
            ["cashback.expired"],
        ),
        (None, SIGNAL, ["signal.raised"]),
        (None, METHOD, ["payout_method.added"]),
        (METHOD, replace(METHOD, status=PayoutMethodStatus.REMOVED), ["payout_method.removed"]),
        (None, UNKNOWN, ["payout.unknown"]),
        (None, replace(UNKNOWN, withdrawal_id=ID), []),
        (UNKNOWN, UNKNOWN, []),
        (None, INTENT, ["top_up.started"]),
        (INTENT, replace(INTENT, status=TopUpIntentStatus.COMPLETED), ["top_up.completed"]),
        (INTENT, replace(INTENT, status=TopUpIntentStatus.EXPIRED), ["top_up.expired"]),
        (INTENT, replace(INTENT, status=TopUpIntentStatus.CANCELLED), ["top_up.cancelled"]),
        (None, TOP_UP, ["top_up.credited"]),
        (None, replace(TOP_UP, credited_minor=0), []),
        (TOP_UP, replace(TOP_UP, modified_at=NOW + timedelta(hours=1)), []),
        (TOP_UP, replace(TOP_UP, credited_minor=700), ["top_up.credited"]),
        (TOP_UP, replace(TOP_UP, credited_minor=100), ["top_up.taken_back"]),
        (TOP_UP, replace(TOP_UP, shortfall_minor=500), ["top_up.taken_back"]),
        (None, RULE, ["auto_top_up.created"]),
        (RULE, replace(RULE, charge_id=ID, declines=1, next_attempt_at=NOW + timedelta(days=1)), []),
        (RULE, replace(RULE, amount_minor=1), ["auto_top_up.changed"]),
        (RULE, replace(RULE, payment_token="tok_2"), ["auto_top_up.changed"]),
        (RULE, replace(RULE, status=AutoTopUpStatus.PAUSED), ["auto_top_up.paused"]),
        (replace(RULE, status=AutoTopUpStatus.PAUSED), RULE, ["auto_top_up.changed"]),
        (RULE, replace(RULE, status=AutoTopUpStatus.FAILED), ["auto_top_up.failed"]),
        (RULE, replace(RULE, status=AutoTopUpStatus.CANCELLED), ["auto_top_up.cancelled"]),
        (None, CHARGE, ["auto_top_up_charge.requested"]),
        (CHARGE, CHARGE, []),
        (CHARGE, replace(CHARGE, status=ChargeStatus.PAID), ["auto_top_up_charge.paid"]),
        (CHARGE, replace(CHARGE, status=ChargeStatus.DECLINED), ["auto_top_up_charge.declined"]),
        (CHARGE, replace(CHARGE, status=ChargeStatus.WITHDRAWN), ["auto_top_up_charge.withdrawn"]),
        (None, PROMOTION, ["promotion.created"]),
        (PROMOTION, replace(PROMOTION, uses=1, granted_minor=500, updated_at=NOW + timedelta(1)), []),
        (PROMOTION, replace(PROMOTION, terms=Terms(amount_minor=700)), ["promotion.changed"]),
        (None, REDEMPTION, ["coupon.redeemed"]),
        (None, REFUSED, ["coupon.refused"]),
        (REFUSED, replace(REFUSED, updated_at=NOW + timedelta(1)), []),
        (REFUSED, replace(REFUSED, problem=CouponProblem.WALLET_FULL), ["coupon.refused"]),
        (REFUSED, REDEMPTION, ["coupon.redeemed"]),
        (REDEMPTION, replace(REDEMPTION, counts=False), []),
        (REDEMPTION, replace(REDEMPTION, taken=Taken(lots_minor=200)), ["coupon.taken_back"]),
        (replace(REDEMPTION, taken=Taken(lots_minor=200)), REDEMPTION, ["coupon.restored"]),
        (
            replace(REDEMPTION, taken=Taken(lots_minor=500)),
            replace(REDEMPTION, transaction_id=UUID(int=20)),
            ["coupon.redeemed"],
        ),
    ],
)
def test_a_row_tells_what_changed(before: Any, after: Any, expected: list[str]) -> None:
    found = told(before, after)
    assert [event.type for event in found] == expected
    for event in found:
        assert event.subject_id == after.id
        assert event.wallet_id == WALLET.id
        assert event.order_id == (after.id if after is ORDER else getattr(after, "order_id", event.order_id))


class Listening(Book):
    """A wallet of whose every change it is kept what is told."""

    def __init__(self, **terms: Any) -> None:
        super().__init__()
        self.events: list[OutboxEvent] = []
        self.settings = replace(self.settings, withdrawals=WithdrawalTerms(**{"enabled": True, **terms}))
        self.credit(1_000)

    def do(self, decide: Callable[[Draft], T], *, expire: bool = True) -> T:
        """Keep the events too."""

        def heard(draft: Draft) -> T:
            answer = decide(draft)
            found = ((row.id, self.rows.get(row.id)) for row in draft.rows)
            befores = {row_id: before for row_id, before in found if before is not None}
            happened = Happened(draft.now, draft.rows, befores, self.settings, WALLET, WALLET)
            self.events += events_of(replace(happened, customer=CUSTOMER, customer_before=CUSTOMER), MINT)
            return answer

        return super().do(heard, expire=expire)

    @property
    def types(self) -> list[str]:
        """The names of what was told."""
        return [event.type for event in self.events]


@pytest.mark.parametrize("status", WithdrawalStatus)
def test_each_step_of_a_withdrawal_is_told_of_once(status: WithdrawalStatus) -> None:
    book = Listening()
    walk(book, ask(book), *WAYS[status])
    assert book.types == [
        f"withdrawal.{step.lower()}" for step in (WithdrawalStatus.REQUESTED, *WAYS[status])
    ]
    shown = [event.data["withdrawal"] for event in book.events]
    assert [one["step"] for one in shown] == list(range(1, len(shown) + 1))
    assert [f"withdrawal.{one['status'].lower()}" for one in shown] == book.types


def test_a_request_that_needs_nobody_is_told_of_in_two_steps() -> None:
    book = Listening(auto_approve_below_minor=1_000)
    one = ask(book)
    assert book.types == ["withdrawal.requested", "withdrawal.approved"]
    assert [event.data["withdrawal"]["status"] for event in book.events] == ["REQUESTED", "APPROVED"]
    assert one.status is WithdrawalStatus.APPROVED


@given(st.sampled_from(WithdrawalStatus), st.lists(st.sampled_from(PayoutOutcomeKind), max_size=6))
def test_outcomes_in_any_order_are_told_of_as_often_as_steps_were_taken(
    status: WithdrawalStatus, outcomes: list[PayoutOutcomeKind]
) -> None:
    book = Listening()
    one = tell(book, walk(book, ask(book), *WAYS[status]), *outcomes)
    steps = steps_of(book, one)
    assert [event.subject_id for event in book.events] == [step.id for step in steps]
    for event, step in zip(book.events, steps, strict=True):
        moved = step.from_status is not step.to_status
        assert event.type == (f"withdrawal.{step.to_status.lower()}" if moved else "withdrawal.updated")
        assert event.data["withdrawal"]["problem"] == step.problem


def test_a_gift_card_is_told_of_entry_by_entry_and_without_its_code() -> None:
    card = GiftCard(
        id=UUID(int=30),
        reference="GC-1",
        code_hash="hash-of-it",
        last_characters="9XYZ",
        currency="EUR",
        initial_minor=2_500,
        balance_minor=2_500,
        status=GiftCardStatus.ACTIVE,
        funded_by=GiftCardAccount.FUNDING,
        batch_id=ID,
        label="For Ada",
        note="Told Ada",
        expires_at=None,
        sequence=2,
        head_hash=b"",
        created_by=STAFF,
        created_at=NOW,
        updated_at=NOW,
    )
    entries = [
        GiftCardEntry(UUID(int=40 + n), card.id, n, kind, 0, 0, "EUR", None, None, STAFF, "Told Ada", NOW)
        for n, kind in enumerate(GiftCardEvent, 1)
    ]
    events = events_of(Happened(NOW, [*entries, card], {}, StoreSettings()), MINT)
    assert [event.type for event in events] == [f"gift_card.{kind.lower()}" for kind in GiftCardEvent]
    assert [event.data["giftCard"]["sequence"] for event in events] == list(range(1, len(entries) + 1))
    for secret in ("hash-of-it", "9XYZ", "Ada"):
        assert secret not in json.dumps([event.data for event in events])


def test_the_store_is_told_all_that_it_needs_to_charge() -> None:
    (event,) = told(None, CHARGE)
    shown = event.data["charge"]
    assert (shown["amount"], shown["paymentToken"], shown["attempt"]) == (money(2_000, "EUR"), "tok_1", 2)
    assert shown["id"] == global_id("AutoTopUpCharge", CHARGE.id)
    assert event.data["customer"]["externalId"] == "c-1"
    assert "tok_1" not in json.dumps(told(None, RULE)[0].data)


@pytest.mark.parametrize(
    ("channel", "topic", "expected"),
    [
        (Channel.WEBHOOK, "payment.captured", ["message.dead"]),
        (Channel.EMAIL, "REFUND", ["message.dead"]),
        (Channel.WEBHOOK, "message.dead", []),
        (Channel.NOTICE, "MESSAGE_DEAD", []),
    ],
)
def test_a_dead_message_is_told_of_and_its_own_death_is_not(
    channel: Channel, topic: str, expected: list[str]
) -> None:
    target = str(ID)
    waits = message("event", channel, target, topic, {}, now=NOW)
    dead = waits.dead("Nobody is there.", NOW)
    assert [event.type for event in told(waits, dead)] == expected
    assert told(dead, dead) == told(None, waits) == []
    for event in told(waits, dead):
        assert (event.data["message"]["webhookEndpointId"] is None) == (channel is Channel.EMAIL)


def test_an_endpoint_is_told_of_without_its_address_and_secrets() -> None:
    endpoint = replace(_endpoint(), url="https://shop.example/hooks/secret-path")
    later = NOW + timedelta(hours=1)
    for before, after, expected in (
        (None, endpoint, ["webhook_endpoint.created"]),
        (endpoint, endpoint.failing(NOW), []),
        (endpoint, endpoint.rotated("second", later, timedelta(hours=1)), ["webhook_endpoint.changed"]),
        (endpoint, endpoint.disabled(DisabledBy.GONE, later), ["webhook_endpoint.disabled"]),
        (endpoint.disabled(DisabledBy.GONE, NOW), endpoint.enabled(later), ["webhook_endpoint.changed"]),
    ):
        found = told(before, after)
        assert [event.type for event in found] == expected
        for secret in ("secret-path", "first", "second"):
            assert secret not in json.dumps([event.data for event in found])


def test_what_nobody_wants_is_not_made() -> None:
    happened = Happened(NOW, [PAYMENT, CAPTURED], {}, StoreSettings(), wallet=WALLET, customer=CUSTOMER)
    found = events_of(happened, MINT, lambda name, _row: name in {"payment.captured", "wallet.frozen"})
    assert [event.type for event in found] == ["payment.captured"]


def test_a_row_that_is_added_twice_tells_what_it_comes_to() -> None:
    happened = Happened(NOW, [PAYMENT, CAPTURED], {}, StoreSettings(), wallet=WALLET, customer=CUSTOMER)
    types = [event.type for event in events_of(happened, MINT)]
    assert types[-2:] == ["payment.authorized", "payment.captured"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"wallet_before": None, "customer_before": None}, ["customer.created", "wallet.created"]),
        ({"wallet_before": None}, ["wallet.created"]),
        ({"wallet_before": replace(WALLET, status=WalletStatus.FROZEN)}, ["wallet.unfrozen"]),
        ({"wallet": replace(WALLET, status=WalletStatus.FROZEN)}, ["wallet.frozen"]),
        ({"customer_before": replace(CUSTOMER, name="Ada")}, ["customer.updated"]),
        ({"customer_before": replace(CUSTOMER, updated_at=NOW - timedelta(days=1))}, []),
        ({}, []),
    ],
)
def test_a_wallet_tells_what_changed(changes: dict[str, Any], expected: list[str]) -> None:
    found = told(None, next(iter(_silent())), **changes)
    assert [event.type for event in found] == expected


def _silent() -> list[Any]:
    return [AuditEntry(UUID(int=4), ID, AuditAction.REMOVE_PAYOUT_METHOD, STAFF, "It is closed", NOW, {})]


def test_settings_tell_which_of_them_changed() -> None:
    change = SettingsChange(ID, StoreSettings(high_balance_minor=7, refund_grace_days=9), STAFF, "Note", NOW)
    event = told(None, change)[0]
    assert event.type == "settings.changed"
    assert event.data["settings"] == {"changed": ["highBalance", "refundGraceDays"]}


@pytest.mark.parametrize(
    "row",
    [ORDER, CAPTURED, RENEWAL, AWARD, SIGNAL, METHOD, CHARGE, INTENT, TOP_UP, REDEMPTION],
    ids=lambda row: type(row).__name__,
)
def test_data_are_json_without_anybody_s_secrets(row: Any) -> None:
    for event in told(None, row, wallet_before=None, customer_before=None):
        text = json.dumps(event.data)
        for private in ("Ada", "ada@", "Byron", "3000 1000", "SPRING-7", "mira"):
            assert private not in text
        assert event.data["customer"]["externalId"] == "c-1"
        assert event.data["walletId"]


def test_names_are_those_of_the_api() -> None:
    assert camel_case("refund_grace_days") == "refundGraceDays"
    assert camel_case("high_balance_minor") == "highBalance"
    assert money(-5, "USD") == {"amount": "-0.05", "currency": "USD"}


# --- messages -----------------------------------------------------------------------------------------------

SENT = message("event", Channel.WEBHOOK, "endpoint", "order.updated", {}, now=NOW)


def test_the_same_message_has_the_same_id() -> None:
    assert SENT.id == message_id("event", Channel.WEBHOOK, "endpoint")
    others = {
        message_id("other", Channel.WEBHOOK, "endpoint"),
        message_id("event", Channel.EMAIL, "endpoint"),
        message_id("event", Channel.WEBHOOK, "other"),
    }
    assert len(others | {SENT.id}) == 4


@given(
    st.sampled_from(Channel),
    st.lists(st.sampled_from([*Verdict, "take", "die", "replay", "cancel"]), max_size=60),
    st.floats(0.8, 1.2),
)
def test_a_message_waits_exactly_while_it_has_a_next_attempt(
    channel: Channel, steps: list[str], jitter: float
) -> None:
    """Whatever befalls it, it ends after a bounded number of attempts, and its id stays."""
    now, sent = NOW, message("event", channel, "somebody", "topic", {}, now=NOW)
    first = sent
    for step in steps:
        if step in {"take", "die"} or step in set(Verdict):
            now = max(now, sent.next_attempt_at or now)
            if not sent.is_due(now):
                continue
            sent = sent.taken(now, timedelta(seconds=90))
            if sent.status is MessageStatus.WAITING and step in set(Verdict):
                outcome = SendOutcome(Verdict(step), "It went wrong.")
                sent = outcome.applied(sent, now, jitter=jitter)
        elif step == "replay":
            sent = sent.replayed(now)
        else:
            sent = sent.cancelled("Nobody wants it.", now)
        assert (sent.next_attempt_at is not None) == (sent.status is MessageStatus.WAITING)
        assert (sent.done_at is None) == (sent.status is MessageStatus.WAITING)
        assert 0 <= sent.attempts <= sent.attempts_max == len(BACKOFF_S[channel]) + 1
        assert (sent.id, sent.body, sent.created_at) == (first.id, first.body, first.created_at)


def test_a_receiver_may_ask_for_more_time_but_not_for_ever() -> None:
    taken = SENT.taken(NOW, timedelta(seconds=90))
    later = SendOutcome(Verdict.FAILED, "Busy.", wait_s=60).applied(taken, NOW, jitter=1)
    assert later.next_attempt_at == NOW + timedelta(seconds=60)
    never = SendOutcome(Verdict.FAILED, "Busy.", wait_s=1e9).applied(taken, NOW, jitter=1)
    assert never.next_attempt_at == NOW + timedelta(days=1)


# --- endpoints ----------------------------------------------------------------------------------------------


def _endpoint() -> WebhookEndpoint:
    return WebhookEndpoint(
        id=ID,
        url="https://shop.example/hooks",
        description="",
        events=("payment.*", "order.updated"),
        status=EndpointStatus.ENABLED,
        disabled_by=None,
        capabilities=frozenset({Capability.ORDERS_READ}),
        secrets=(EndpointSecret("first", NOW),),
        created_by=STAFF,
        created_at=NOW,
        updated_at=NOW,
    )


@pytest.mark.parametrize(
    ("patterns", "event_type", "expected"),
    [
        (["*"], "payment.captured", True),
        (["payment.*"], "payment.captured", True),
        (["payment.captured"], "payment.captured", True),
        (["payment.captured"], "payment.voided", False),
        (["pay*"], "payment.voided", False),
        (["cashback.*"], "cashback_rule.changed", False),
        (["payment"], "payment.voided", False),
        ([], "payment.voided", False),
    ],
)
def test_patterns(patterns: list[str], event_type: str, expected: bool) -> None:
    assert listens(patterns, event_type) is expected


def test_an_endpoint_hears_no_more_than_its_maker_may_see() -> None:
    endpoint = replace(_endpoint(), events=("*",))
    assert endpoint.hears("payment.captured", Capability.ORDERS_READ)
    assert endpoint.hears("webhook.test", None)
    assert not endpoint.hears("wallet.frozen", Capability.WALLETS_READ)
    assert not replace(endpoint, status=EndpointStatus.DISABLED).hears("webhook.test", None)


def test_both_secrets_count_while_one_replaces_the_other() -> None:
    rotated = _endpoint().rotated("second", NOW, timedelta(hours=24))
    just, after = NOW + timedelta(hours=23, minutes=59), NOW + timedelta(hours=24)
    assert [secret.sealed for secret in rotated.signing(just)] == ["second", "first"]
    assert [secret.sealed for secret in rotated.signing(after)] == ["second"]
    again = rotated.rotated("third", NOW + timedelta(hours=1), timedelta(hours=72))
    # A secret that was to end keeps its end.
    assert [secret.sealed for secret in again.signing(after)] == ["third", "second"]
    at_once = rotated.rotated("third", NOW, timedelta(0))
    assert [secret.sealed for secret in at_once.secrets] == ["third"]
