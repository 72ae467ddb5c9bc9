"""A small ledger with one of everything, and a hand that reaches past the database's own guards."""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from app.domain.access import Actor, ActorKind
from app.domain.bucket import Bucket
from app.domain.cashback.reward import Vesting
from app.domain.ledger import Desk, Draft, Explanation, Row, TransactionKind
from app.domain.order import OrderStatus
from app.domain.refund import RefundDestination
from app.domain.settings import SettingsChange, StoreSettings
from app.domain.withdrawal import Withdrawal, pay, request
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
