"""A small ledger with one of everything, and a hand that reaches past the database's own guards."""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from app.domain.access import Actor, ActorKind, Capability, Principal, PrincipalKind
from app.domain.auto_top_up import AutoTopUp, AutoTopUpKind
from app.domain.auto_top_up_charge import AutoTopUpTerms, ask
from app.domain.bucket import Bucket
from app.domain.cashback.reward import Vesting
from app.domain.ledger import Desk, Draft, Explanation, Row, TransactionKind
from app.domain.order import OrderStatus
from app.domain.refund import RefundDestination
from app.domain.settings import SettingsChange, StoreSettings
from app.domain.top_up import TopUpTold
from app.domain.withdrawal import PayoutOutcome, PayoutOutcomeKind, Withdrawal, pay, request
from app.services import (
    auto_top_up as auto_top_ups,
    payout as payouts,
    top_up as top_ups,
    top_up_intent as top_up_intents,
    withdrawal as withdrawals,
)
from app.services.ledger.command import Command, DeskCommand, IdempotencyClaim, Outcome, WalletRef
from app.services.ledger.mint import RandomMint
from app.services.ledger.writer import Writer
from tests import orders
from tests.cashback import rule
from tests.ledger import paying_out
from tests.promotions import coupon, promotion, redeem

STAFF = Actor(ActorKind.STAFF, "mira")
EXPLANATION = Explanation(TransactionKind.ADJUSTMENT, STAFF, "Order 17 came late, goodwill")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Ledger:
    """The wallets of `build`: `rich` has buckets, lots and holds, `overdrawn` is below zero, `empty` has nothing.

    `buyer` paid order 1042, which was refunded in part, and holds value for order 1043.
    """

    rich: UUID
    overdrawn: UUID
    empty: UUID
    buyer: UUID


def writer(currency: str = "USD") -> Writer:
    """A writer that is not started, with a fixed clock."""
    return Writer(currency=currency, mint=RandomMint(), clock=lambda: NOW)


@dataclass(frozen=True)
class Decide:
    """A decision that can be submitted for a customer, who gets a wallet if there is none yet."""

    decide: Callable[[Draft], Row | None]

    async def submit(self, to: Writer, external_id: str, **options: Any) -> Outcome:
        """Have it committed."""
        ref = WalletRef(external_id=external_id)
        return await to.submit(Command("test", STAFF, ref, self.decide, opens=True, **options))


def credit(amount_minor: int, bucket: Bucket = Bucket.CASH, expires_at: datetime | None = None) -> Decide:
    """What a credit does."""
    return Decide(lambda draft: draft.credit(amount_minor, EXPLANATION, bucket=bucket, expires_at=expires_at))


def debit(amount_minor: int) -> Decide:
    """What a debit does, below zero where the settings allow it."""
    return Decide(
        lambda draft: draft.debit(
            amount_minor, EXPLANATION, credit_limit_minor=draft.settings.credit_limit_minor
        )
    )


async def build(to: Writer) -> Ledger:
    """Fill the open database through a running writer."""
    await _allow_overdraft(to)
    first = await credit(10_000).submit(
        to, "rich", claim=IdempotencyClaim("STAFF:mira", "key-of-rich", b"hash")
    )
    await credit(500, Bucket.PROMO, NOW + timedelta(days=30)).submit(to, "rich")
    await debit(2_000).submit(to, "rich")
    await credit(300, Bucket.GIFT_CARD).submit(to, "rich")
    await Decide(lambda draft: request(draft, 1_000, note="", actor=STAFF)).submit(to, "rich")
    second = await Decide(lambda draft: request(draft, 700, note="", actor=STAFF)).submit(to, "rich")
    paid = second.answer
    assert isinstance(paid, Withdrawal)
    pay_it = Decide(lambda draft: pay(draft, paid, payout_reference="P-1", note=None, actor=STAFF))
    await pay_it.submit(to, "rich", holds=(paid.hold_id,), rows=((Withdrawal, paid.id),))
    await credit(500).submit(to, "overdrawn")
    await debit(700).submit(to, "overdrawn")
    overdrawn = await credit(50).submit(to, "overdrawn")
    empty = await Decide(_nothing).submit(to, "empty")
    assert first.wallet
    assert overdrawn.wallet
    assert empty.wallet
    return Ledger(first.wallet.id, overdrawn.wallet.id, empty.wallet.id, await _buy(to))


async def _buy(to: Writer) -> UUID:
    """Pay an order from two lots, refund a part to them and a part beyond them; and hold value for another order."""
    bought = await credit(400, Bucket.PROMO, NOW + timedelta(days=30)).submit(to, "buyer")
    await credit(600).submit(to, "buyer")
    await orders.pay(to, "buyer", 700)
    paid = orders.snapshot(0, OrderStatus.PAID, 900, customer="buyer")
    await orders.tell(to, paid)
    await orders.refund(to, 800, destination=RefundDestination.WALLET)
    await orders.authorize(to, "buyer", 150, order="1043")
    await redeem(to, "buyer", await coupon(to, await promotion(to)))
    await rule(to, vesting=Vesting())
    await orders.tell(
        to, orders.snapshot(0, OrderStatus.COMPLETED, 1_000, 400, order="1044", customer="buyer")
    )
    assert bought.wallet
    return bought.wallet.id


async def save(to: Writer) -> UUID:
    """One more wallet: it topped up as it had started to, by a rule and once more, and was paid out by a provider."""
    everything = Principal(PrincipalKind.SERVICE, "store", capabilities=frozenset(Capability))
    await _take_top_ups(to)
    saver = WalletRef(external_id="saver")
    begun = await top_up_intents.start(
        to, everything, saver, amount="10.00", currency="USD", payment_method="card", idempotency_key="start"
    )
    for paid_minor, hours in ((1_000, 0), (900, 1)):
        told = TopUpTold("shop", "p-1", paid_minor, "USD", modified_at=NOW + timedelta(hours=hours))
        await top_ups.record(to, everything.actor, saver, told, intent=begun.intent.reference)
    terms = AutoTopUpTerms(AutoTopUpKind.THRESHOLD, 500, "card", "pm_1", threshold_minor=9_000)
    for number in range(2):
        ruled = await auto_top_ups.set_rule(to, everything, saver, terms, "USD", f"rule-{number}")
        charge_id = await _ask(to, ruled.rule.id, NOW - timedelta(hours=number))
        if number == 0:
            paid = TopUpTold("auto", "c-1", 500, "USD")
            await auto_top_ups.hear_paid(to, everything, charge_id, paid, idempotency_key="paid")
    await _pay_out(to, everything, saver)
    return begun.wallet.id


async def _ask(to: Writer, rule_id: UUID, due_at: datetime) -> UUID:
    """Have a rule ask for a charge, as if its time had come then."""

    def decide(draft: Draft) -> Row | None:
        return ask(draft, replace(draft.row(AutoTopUp, rule_id), next_attempt_at=due_at))

    asked = await Decide(decide).submit(to, "saver", rows=((AutoTopUp, rule_id),), tops_up=True)
    assert asked.answer is not None
    return asked.answer.id


async def _take_top_ups(to: Writer) -> None:
    def decide(desk: Desk) -> Row:
        settings = paying_out(replace(desk.settings, top_ups_enabled=True, top_up_methods=("card",)))
        change = SettingsChange(desk.mint.id(), settings, STAFF, "Customers may pay in", desk.now)
        desk.add(change)
        return change

    await to.submit(DeskCommand("settings", STAFF, decide))


async def _pay_out(to: Writer, by: Principal, ref: WalletRef) -> None:
    done = await withdrawals.request(
        to, by, ref, amount="3.00", currency="USD", note="", idempotency_key="request"
    )
    await withdrawals.approve(to, by, done.withdrawal.id, note=None, idempotency_key="approve")
    await withdrawals.start_processing(
        to, by.actor, done.withdrawal.id, provider="http", idempotency_key="send"
    )
    outcome = PayoutOutcome(PayoutOutcomeKind.PAID, "P-1")
    await withdrawals.settle(to, by.actor, done.withdrawal.id, outcome, idempotency_key="settle")
    await payouts.keep_message(
        to,
        by.actor,
        provider="http",
        external_id="msg_1",
        withdrawal_id=done.withdrawal.id,
        provider_reference="P-1",
        kind=outcome.kind,
    )


def _nothing(draft: Draft) -> Row | None:
    return None


async def _allow_overdraft(to: Writer) -> None:
    def decide(desk: Desk) -> Row:
        settings = paying_out(
            StoreSettings(negative_balance_enabled=True, negative_balance_limit_minor=5_000)
        )
        change = SettingsChange(desk.mint.id(), settings, STAFF, "Tests overdraw", desk.now)
        desk.add(change)
        return change

    await to.submit(DeskCommand("settings", STAFF, decide))


WITHOUT_CHECKS = """
DO $$ DECLARE c record; BEGIN
  FOR c IN SELECT conrelid::regclass AS of, conname AS name FROM pg_constraint WHERE contype = 'c' AND conrelid <> 0 LOOP
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.of, c.name);
  END LOOP;
END $$
"""


async def tamper(database_url: str, statements: Sequence[str]) -> None:
    """Edit the database as somebody who owns the machine can: no triggers, no checks, no foreign keys."""
    if not database_url.startswith("sqlite:"):
        connection = await asyncpg.connect(database_url)
        try:
            await connection.execute("SET session_replication_role = replica")
            await connection.execute(WITHOUT_CHECKS)
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()
        return
    _tamper_with_file(database_url.removeprefix("sqlite:///"), statements)


def _tamper_with_file(path: str, statements: Sequence[str]) -> None:
    file = sqlite3.connect(path, isolation_level=None)
    try:
        file.execute("PRAGMA ignore_check_constraints=ON")
        for (name,) in file.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            file.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            assert file.execute(statement).rowcount != 0, f"changed nothing: {statement}"
    finally:
        file.close()
