"""Which events follow from what: one place, no kind of row forgotten, nothing in the data that is nobody's business."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, strategies as st

from app.domain.access import Actor, ActorKind, Capability
from app.domain.bucket import Bucket
from app.domain.cashback.award import Award, Taken
from app.domain.customer import Customer
from app.domain.fraud import Signal, SignalKind
from app.domain.ledger import GENESIS_HASH, Wallet, WalletStatus
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
from app.domain.outgoing import (
    CATALOGUE,
    SILENT,
    TOLD,
    EventType,
    Happened,
    OutboxEvent,
    camel_case,
    events_of,
    money,
)
from app.domain.payment import CaptureMethod, Payment, PaymentEnd, PaymentOrigin, PaymentStatus
from app.domain.renewal import Renewal, RenewalStatus
from app.domain.settings import SettingsChange, StoreSettings
from app.domain.webhook_endpoint import EndpointSecret, EndpointStatus, WebhookEndpoint, listens
from app.domain.withdrawal import Withdrawal, WithdrawalStatus
from app.services.ledger import tables
from app.services.ledger.mint import RandomMint

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
WITHDRAWAL = Withdrawal(
    id=UUID(int=8),
    wallet_id=ID,
    hold_id=ID,
    transaction_id=None,
    reference="WD-1",
    status=WithdrawalStatus.REQUESTED,
    amount_minor=100,
    currency="EUR",
    note="To my sister Byron",
    payout_reference="DE02 1203 0000 0000 2020 51",
    requested_by=STAFF,
    decided_by=None,
    decision_note=None,
    created_at=NOW,
    decided_at=None,
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
        (None, WITHDRAWAL, ["withdrawal.requested"]),
        (WITHDRAWAL, WITHDRAWAL, []),
        (WITHDRAWAL, replace(WITHDRAWAL, status=WithdrawalStatus.PAID), ["withdrawal.paid"]),
        (WITHDRAWAL, replace(WITHDRAWAL, status=WithdrawalStatus.REJECTED), ["withdrawal.rejected"]),
        (WITHDRAWAL, replace(WITHDRAWAL, status=WithdrawalStatus.CANCELLED), ["withdrawal.cancelled"]),
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
    ],
)
def test_a_row_tells_what_changed(before: Any, after: Any, expected: list[str]) -> None:
    found = told(before, after)
    assert [event.type for event in found] == expected
    for event in found:
        assert event.subject_id == after.id
        assert event.wallet_id == WALLET.id
        assert event.order_id == (after.id if after is ORDER else getattr(after, "order_id", event.order_id))


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
    return [replace(_endpoint(), url="https://elsewhere.example")]


def test_settings_tell_which_of_them_changed() -> None:
    change = SettingsChange(ID, StoreSettings(high_balance_minor=7, refund_grace_days=9), STAFF, "Note", NOW)
    event = told(None, change)[0]
    assert event.type == "settings.changed"
    assert event.data["settings"] == {"changed": ["highBalance", "refundGraceDays"]}


@pytest.mark.parametrize(
    "row", [ORDER, CAPTURED, RENEWAL, WITHDRAWAL, AWARD, SIGNAL], ids=lambda row: type(row).__name__
)
def test_data_are_json_without_anybody_s_secrets(row: Any) -> None:
    for event in told(None, row, wallet_before=None, customer_before=None):
        text = json.dumps(event.data)
        for private in ("Ada", "ada@", "Byron", "DE02", "mira"):
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
