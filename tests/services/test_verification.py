"""Verification: silent on an honest ledger, also while it is written to, and exact about each kind of fault."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, replace
from uuid import UUID, uuid5

import pytest
from tortoise.context import TortoiseContext

from app.services.ledger.writer import Writer
from app.services.verification import Invariant, Phase, Progress, ledger as pages, verify
from tests.services.tampering import Ledger, build, credit, debit, save, tamper, writer

# Breadth, not depth: the fast loop leaves it to `make test`.
pytestmark = pytest.mark.slow

STRANGER = UUID("0199aaaa-0000-7000-8000-000000000000")
OF_RICH = "wallet_id = '{rich}'"
OTHER_LOT = "(SELECT id FROM lots WHERE wallet_id = '{overdrawn}')"


def transaction(sequence: int, wallet: str = "rich") -> str:
    """The id of one transaction, as SQL."""
    return f"(SELECT id FROM transactions WHERE wallet_id = '{{{wallet}}}' AND sequence = {sequence})"


def lot(sequence: int) -> str:
    """The id of one lot of `rich`, as SQL."""
    return f"(SELECT id FROM lots WHERE {OF_RICH} AND sequence = {sequence})"


@dataclass(frozen=True)
class Tampering:
    """What somebody changed, and what verification must say: the wallet, the sequence and the invariant."""

    name: str
    statements: tuple[str, ...]
    invariant: Invariant
    sequence: int | None = None
    wallet: str | None = "rich"
    harms_another: bool = False
    """Whether a second wallet contradicts itself too, because something of it was taken or used."""


def edited(name: str, sequence: int, change: str, invariant: Invariant) -> Tampering:
    """A transaction of `rich` whose row was changed."""
    statement = f"UPDATE transactions SET {change} WHERE {OF_RICH} AND sequence = {sequence}"
    return Tampering(name, (statement,), invariant, sequence)


def wallet_says(name: str, change: str, invariant: Invariant, sequence: int | None = None) -> Tampering:
    """A wallet `rich` whose totals were changed."""
    return Tampering(name, (f"UPDATE wallets SET {change} WHERE id = '{{rich}}'",), invariant, sequence)


def lot_says(name: str, change: str, invariant: Invariant, sequence: int = 1) -> Tampering:
    """A lot of `rich` that was changed."""
    return Tampering(
        name, (f"UPDATE lots SET {change} WHERE {OF_RICH} AND sequence = {sequence}",), invariant, sequence
    )


def allocation_says(name: str, change: str, invariant: Invariant, sequence: int) -> Tampering:
    """An allocation of `rich` that was changed."""
    where = f"transaction_id = {transaction(sequence)} AND position = 0"
    return Tampering(name, (f"UPDATE allocations SET {change} WHERE {where}",), invariant, sequence)


def hold_says(name: str, change: str, status: str = "OPEN") -> Tampering:
    """A hold of `rich` that was changed."""
    statement = f"UPDATE holds SET {change} WHERE {OF_RICH} AND status = '{status}'"
    return Tampering(name, (statement,), Invariant.HOLD)


def order_says(
    name: str, table: str, change: str, which: str, invariant: Invariant, sequence: int | None = None
) -> Tampering:
    """A row of `buyer` that was changed."""
    return Tampering(
        name,
        (f"UPDATE {table} SET {change} WHERE wallet_id = '{{buyer}}' AND {which}",),
        invariant,
        sequence,
        "buyer",
    )


def award_says(name: str, change: str) -> Tampering:
    """An award of `buyer` that was changed, so that its rule's total is wrong too."""
    return replace(order_says(name, "cashback_awards", change, "TRUE", Invariant.AWARD), harms_another=True)


def withdrawal_says(name: str, table: str, change: str, which: str) -> Tampering:
    """A withdrawal of `rich`, or a step of one, that was changed."""
    statement = f"UPDATE {table} SET {change} WHERE wallet_id = '{{rich}}' AND {which}"
    return Tampering(name, (statement,), Invariant.WITHDRAWAL)


PAYMENT, ORDER, ALL = Invariant.PAYMENT, Invariant.ORDER, "TRUE"
CAPTURED, HELD = "status = 'CAPTURED'", "status = 'AUTHORIZED'"
OTHER_ORDER = "(SELECT id FROM orders WHERE external_id = '1043')"
OF_ORDERS = [
    order_says("payment says it captured more", "payments", "captured_minor = 701", CAPTURED, PAYMENT),
    order_says("payment says more came back", "payments", "returned_minor = returned_minor + 1", CAPTURED, PAYMENT),
    order_says("payment's amount", "payments", "amount_minor = 151", HELD, PAYMENT),
    order_says("payment's status", "payments", "status = 'VOIDED'", HELD, PAYMENT),
    order_says("payment expired, its hold has not", "payments", "status = 'EXPIRED'", HELD, PAYMENT),
    order_says("payment owes more than it was", "payments", "owed_minor = 151", HELD, PAYMENT),
    order_says("payment of another order", "payments", f"order_id = {OTHER_ORDER}", CAPTURED, PAYMENT),
    order_says("payment without a hold", "payments", f"hold_id = '{STRANGER}'", HELD, PAYMENT),
    order_says(
        "payment on a withdrawal's hold",
        "payments",
        "hold_id = (SELECT id FROM holds WHERE wallet_id = '{rich}' AND status = 'OPEN')",
        HELD,
        PAYMENT,
    ),
    order_says("payment that can't be read", "payments", "status = 'DREAMT'", HELD, Invariant.CONTENT),
    order_says("order says it credited more", "orders", "credited_minor = credited_minor + 1", ALL, ORDER),
    order_says("order that can't be read", "orders", "snapshot = '[]'", "external_id = '1042'", Invariant.CONTENT),
    order_says("refund gives more than its amount", "refunds", "elsewhere_minor = 1", ALL, ORDER),
    order_says("refund withdrawn, its money not", "refunds", "withdrawn_at = created_at", ALL, ORDER),
    order_says("refund credited more", "refunds", "credited_minor = 200, wallet_minor = 600", ALL, ORDER),
    order_says("refund of no order", "refunds", f"order_id = '{STRANGER}'", ALL, Invariant.REFERENCE),
    Tampering(
        "less came back to a lot",
        ("UPDATE reservations SET returned_minor = returned_minor - 1 WHERE position = 0 AND returned_minor > 0",),
        Invariant.HOLD,
        None,
        "buyer",
    ),
    Tampering(
        "order moved to another wallet",
        ("UPDATE orders SET wallet_id = '{empty}' WHERE external_id = '1042'",),
        ORDER,
        None,
        "empty",
    ),
    Tampering(
        "order gone",
        ("DELETE FROM orders WHERE external_id = '1043'",),
        Invariant.REFERENCE,
        None,
        "buyer",
    ),
    Tampering(
        "answer with a payment that is not there",
        (f"UPDATE idempotency_keys SET result = '{{{{\"Payment\": \"{STRANGER}\"}}}}' WHERE key = 'key-of-rich'",),
        Invariant.IDEMPOTENCY,
        None,
        None,
    ),
    withdrawal_says("withdrawal's status", "withdrawals", "status = 'CANCELLED'", "status = 'REQUESTED'"),
    withdrawal_says("withdrawal paid less", "withdrawals", "fee_minor = 10, fee_payer = 'CUSTOMER'", "status = 'PAID'"),
    withdrawal_says("withdrawal's amount", "withdrawals", "amount_minor = 1", "status = 'REQUESTED'"),
    withdrawal_says("withdrawal that can't be read", "withdrawals", "status = 'DREAMT'", "status = 'PAID'"),
    withdrawal_says("withdrawal has a problem", "withdrawals", "problem = 'PAID_AFTER_END'", "status = 'PAID'"),
    withdrawal_says("step from elsewhere", "withdrawal_steps", "from_status = 'PROCESSING'", "number = 2"),
    withdrawal_says("step that leads elsewhere", "withdrawal_steps", "to_status = 'FAILED'", "number = 2"),
    withdrawal_says("step of another wallet", "withdrawal_steps", "wallet_id = '{empty}'", "number = 2"),
    Tampering("step gone", ("DELETE FROM withdrawal_steps WHERE number = 2",), Invariant.WITHDRAWAL),
    award_says("award says more was taken", "clawed_minor = clawed_minor + 1"),
    order_says("award's status", "cashback_awards", "status = 'PENDING'", ALL, Invariant.AWARD),
    order_says("award was never posted", "cashback_awards", "vested_at = NULL, status = 'PENDING'", ALL, Invariant.AWARD),
    award_says("award's amount", "amount_minor = amount_minor + 1"),
    order_says("award that can't be read", "cashback_awards", "lines = '[7]'", ALL, Invariant.AWARD),
    order_says("award of no order", "cashback_awards", f"order_id = '{STRANGER}'", ALL, Invariant.REFERENCE),
    Tampering("wallet owes", ("UPDATE wallets SET debt_minor = 5 WHERE id = '{buyer}'",), Invariant.AWARD, None, "buyer"),
    Tampering("promotion was used more", ("UPDATE promotions SET uses = uses + 1",), Invariant.AWARD, None, None),
    Tampering("rule gave more", ("UPDATE cashback_totals SET given_minor = given_minor + 1",), Invariant.AWARD, None, None),
    order_says("transaction of another order", "transactions", f"order_id = {OTHER_ORDER}", "sequence = 3", Invariant.HASH, 3),
    order_says("transaction of no order", "transactions", "order_id = NULL", "sequence = 4", Invariant.HASH, 4),
    order_says("lot of a grace period", "lots", "expires_at = grace_until", "bucket = 'PROMO'", Invariant.ALLOCATION, 1),
]  # fmt: skip


def saving_says(
    name: str,
    table: str,
    change: str,
    which: str,
    invariant: Invariant = Invariant.TOP_UP,
    wallet: str | None = "saver",
) -> Tampering:
    """A row of the wallet that `save` fills, changed."""
    return Tampering(name, (f"UPDATE {table} SET {change} WHERE {which}",), invariant, None, wallet)


FIRST, REFERENCED = "external_id = 'p-1'", Invariant.REFERENCE
OF_SAVER = [
    saving_says("top-up says it credited more", "top_ups", "credited_minor = credited_minor + 1", FIRST),
    saving_says("top-up says it kept more", "top_ups", "paid_minor = paid_minor + 1", FIRST),
    saving_says("top-up lacks what it does not", "top_ups", "shortfall_minor = 1", FIRST),
    saving_says("top-up by another one's credit", "top_ups",
                "transaction_id = (SELECT id FROM transactions WHERE kind = 'WITHDRAWAL')", FIRST),
    saving_says("top-up by no credit", "top_ups", f"transaction_id = '{STRANGER}'", FIRST),
    saving_says("top-up of no order", "top_ups", f"order_id = '{STRANGER}'", FIRST, REFERENCED),
    saving_says("top-up that can't be read", "top_ups", "created_by_kind = 'DREAMT'", FIRST, Invariant.CONTENT),
    saving_says("started top-up has ended otherwise", "top_up_intents", "status = 'CANCELLED'", ALL),
    saving_says("started top-up paid by nothing", "top_up_intents", "top_up_id = NULL", ALL),
    saving_says("started top-up paid by what is not there", "top_up_intents", f"top_up_id = '{STRANGER}'", ALL),
    saving_says("started top-up that can't be read", "top_up_intents", "status = 'DREAMT'", ALL, Invariant.CONTENT),
    saving_says("charge was declined", "auto_top_up_charges", "status = 'DECLINED'", "status = 'PAID'"),
    saving_says("charge is over, its rule waits", "auto_top_up_charges", "status = 'DECLINED'", "status = 'REQUESTED'"),
    saving_says("charge of no rule", "auto_top_up_charges", f"rule_id = '{STRANGER}'", "status = 'PAID'"),
    saving_says("rule waits for nothing", "auto_top_ups", "charge_id = NULL", ALL),
    saving_says("rule waits for what is not there", "auto_top_ups", f"charge_id = '{STRANGER}'", ALL),
    saving_says("rule that can't be read", "auto_top_ups", "kind = 'DREAMT'", ALL, Invariant.CONTENT),
    saving_says("provider told that it failed", "payout_messages", "kind = 'FAILED'", ALL, Invariant.WITHDRAWAL),
    saving_says("another provider told", "payout_messages", "provider = 'stripe'", ALL, Invariant.WITHDRAWAL),
    saving_says("provider told of nothing", "payout_messages", f"withdrawal_id = '{STRANGER}'", ALL, REFERENCED, None),
    saving_says("paid out to no method", "withdrawals", f"payout_method_id = '{STRANGER}'", ALL, REFERENCED),
]  # fmt: skip


A_ZERO_HASH = "decode('00', 'hex')"
TAMPERINGS = [
    lot_says("expiry moved", "expires_at = '2099-01-01 00:00:00+00:00'", Invariant.ALLOCATION),
    edited("amount", 1, "amount_minor = 11000", Invariant.ALLOCATION),
    edited("balance after", 2, "balance_after_minor = 99999", Invariant.BALANCE),
    edited("note", 3, "note = 'Nothing to see'", Invariant.HASH),
    edited("actor", 3, "actor_id = 'somebody-else'", Invariant.HASH),
    edited("reason", 1, "reason = 'OTHER'", Invariant.HASH),
    edited("time", 4, "created_at = '2020-01-01 00:00:00+00:00'", Invariant.HASH),
    edited("reference", 4, "reference = 'TX-0000-0000-0000'", Invariant.HASH),
    edited("hash", 2, "hash = (SELECT head_hash FROM wallets WHERE id = '{rich}')", Invariant.HASH),
    edited("head", 5, "hash = (SELECT head_hash FROM wallets WHERE id = '{overdrawn}')", Invariant.HASH),
    edited("currency", 2, "currency = 'EUR'", Invariant.CURRENCY),
    edited("counter account", 2, "counter_account = 'SALES'", Invariant.DOUBLE_ENTRY),
    edited("sequence", 5, "sequence = 50", Invariant.SEQUENCE),
    edited("hold that is not there", 4, f"hold_id = '{STRANGER}'", Invariant.HASH),
    Tampering(
        "transaction gone",
        (
            f"DELETE FROM allocations WHERE transaction_id = {transaction(3)}",
            f"DELETE FROM transactions WHERE {OF_RICH} AND sequence = 3",
        ),
        Invariant.SEQUENCE,
        3,
    ),
    Tampering(
        "last transaction gone",
        (
            f"DELETE FROM allocations WHERE transaction_id = {transaction(5)}",
            f"DELETE FROM transactions WHERE {OF_RICH} AND sequence = 5",
        ),
        Invariant.SEQUENCE,
        5,
    ),
    Tampering(
        "transaction moved to another wallet",
        (
            f"UPDATE transactions SET wallet_id = '{{empty}}', sequence = 1 WHERE {OF_RICH} AND sequence = 5",
            "UPDATE wallets SET sequence = 4 WHERE id = '{rich}'",
        ),
        Invariant.ALLOCATION,
        1,
        "empty",
        harms_another=True,
    ),
    allocation_says("allocation's amount", "amount_minor = -499", Invariant.ALLOCATION, 3),
    Tampering(
        "allocation's lot",
        (
            f"UPDATE allocations SET lot_id = {OTHER_LOT} WHERE transaction_id = {transaction(3)} AND position = 0",
        ),
        Invariant.ALLOCATION,
        3,
        harms_another=True,
    ),
    allocation_says("allocation's lot is gone", f"lot_id = '{STRANGER}'", Invariant.ALLOCATION, 3),
    allocation_says("allocation's bucket", "bucket = 'CASH'", Invariant.ALLOCATION, 3),
    allocation_says("allocation before its lot", f"lot_id = {lot(4)}", Invariant.ALLOCATION, 1),
    allocation_says("allocation of no lot", "lot_id = NULL", Invariant.ALLOCATION, 3),
    Tampering(
        "allocations gone",
        (f"DELETE FROM allocations WHERE transaction_id = {transaction(4)}",),
        Invariant.ALLOCATION,
        4,
    ),
    Tampering(
        "allocation moved to another transaction",
        (f"UPDATE allocations SET transaction_id = '{STRANGER}' WHERE transaction_id = {transaction(4)}",),
        Invariant.ALLOCATION,
        4,
    ),
    Tampering(
        "allocation's parts swapped",
        (
            f"UPDATE allocations SET amount_minor = -600 WHERE transaction_id = {transaction(3)} AND position = 0",
            f"UPDATE allocations SET amount_minor = -1400 WHERE transaction_id = {transaction(3)} AND position = 1",
        ),
        Invariant.HASH,
        3,
    ),
    lot_says("lot's rest", "remaining_minor = remaining_minor + 1", Invariant.LOT),
    lot_says("lot's original", "original_minor = original_minor + 1", Invariant.LOT),
    lot_says("lot's opening is later", "sequence = 3", Invariant.ALLOCATION, 2),
    Tampering(
        "lot's opening is earlier",
        (f"UPDATE lots SET sequence = 3 WHERE {OF_RICH} AND sequence = 4",),
        Invariant.LOT,
        3,
    ),
    lot_says(
        "free value called held",
        "remaining_minor = remaining_minor - 5, held_minor = held_minor + 5",
        Invariant.HOLD,
    ),
    wallet_says("balance", "posted_minor = posted_minor + 100", Invariant.BALANCE),
    wallet_says("held", "held_minor = 0", Invariant.HOLD),
    wallet_says("overdraft", "overdraft_minor = 5", Invariant.OVERDRAFT),
    wallet_says("counted too few", "sequence = 4", Invariant.SEQUENCE),
    wallet_says("counted too many", "sequence = 6", Invariant.SEQUENCE, 6),
    wallet_says(
        "head", "head_hash = (SELECT hash FROM transactions WHERE sequence = 1 LIMIT 1)", Invariant.HASH
    ),
    wallet_says("currency of all", "currency = 'EUR'", Invariant.CURRENCY, 1),
    Tampering(
        "overdraft of one that has it",
        ("UPDATE wallets SET overdraft_minor = 0 WHERE id = '{overdrawn}'",),
        Invariant.OVERDRAFT,
        wallet="overdrawn",
    ),
    Tampering(
        "money in a wallet without transactions",
        ("UPDATE wallets SET posted_minor = 5000 WHERE id = '{empty}'",),
        Invariant.BALANCE,
        wallet="empty",
    ),
    Tampering(
        "lot out of nowhere",
        (
            (
                "INSERT INTO lots (id, wallet_id, bucket, sequence, original_minor, remaining_minor, held_minor, created_at) "
                f"VALUES ('{STRANGER}', '{{empty}}', 'CASH', 1, 100, 100, 0, '2026-01-01 00:00:00+00:00')"
            ),
        ),
        Invariant.LOT,
        1,
        "empty",
    ),
    hold_says("hold closed, value still held", "status = 'RELEASED'"),
    hold_says("hold's amount", "amount_minor = 900"),
    hold_says("captured without a transaction", "captured_minor = 0, released_minor = 700", "CAPTURED"),
    hold_says("captured and open", "status = 'OPEN'", "CAPTURED"),
    Tampering(
        "reservation gone",
        (
            f"DELETE FROM reservations WHERE hold_id IN (SELECT id FROM holds WHERE {OF_RICH} AND status = 'OPEN')",
        ),
        Invariant.HOLD,
        1,
    ),
    Tampering(
        "reservation on another wallet's lot",
        (
            (
                f"UPDATE reservations SET lot_id = {OTHER_LOT} "
                f"WHERE hold_id IN (SELECT id FROM holds WHERE {OF_RICH} AND status = 'CAPTURED')"
            ),
        ),
        Invariant.HOLD,
    ),
    Tampering(
        "transaction without a wallet",
        (
            (
                "INSERT INTO transactions (id, wallet_id, sequence, reference, kind, counter_account, amount_minor, "
                "balance_after_minor, currency, note, actor_kind, actor_id, hash, created_at) "
                f"SELECT '{uuid5(STRANGER, 'orphan')}', '{STRANGER}', 1, 'TX-X', kind, counter_account, amount_minor, "
                f"balance_after_minor, currency, note, actor_kind, actor_id, hash, created_at FROM transactions "
                f"WHERE {OF_RICH} AND sequence = 1"
            ),
        ),
        Invariant.REFERENCE,
        wallet="stranger",
    ),
    Tampering(
        "lot without a wallet",
        (
            (
                "INSERT INTO lots (id, wallet_id, bucket, sequence, original_minor, remaining_minor, held_minor, created_at) "
                f"VALUES ('{STRANGER}', '{STRANGER}', 'CASH', 1, 100, 100, 0, '2026-01-01 00:00:00+00:00')"
            ),
        ),
        Invariant.REFERENCE,
        wallet="stranger",
    ),
    Tampering(
        "allocation without anything",
        (
            (
                "INSERT INTO allocations (id, transaction_id, lot_id, position, bucket, amount_minor) "
                f"VALUES ('{uuid5(STRANGER, 'orphan')}', '{STRANGER}', NULL, 0, 'OVERDRAFT', 1)"
            ),
        ),
        Invariant.REFERENCE,
        wallet=None,
    ),
    Tampering(
        "allocation without a transaction, on a lot",
        (
            (
                "INSERT INTO allocations (id, transaction_id, lot_id, position, bucket, amount_minor) "
                f"VALUES ('{uuid5(STRANGER, 'orphan')}', '{STRANGER}', {lot(4)}, 0, 'GIFT_CARD', 1)"
            ),
        ),
        Invariant.LOT,
        4,
    ),
    Tampering(
        "reservation without a hold",
        (
            (
                "INSERT INTO reservations (id, hold_id, lot_id, position, amount_minor, captured_minor, released_minor) "
                f"VALUES ('{uuid5(STRANGER, 'orphan')}', '{STRANGER}', {lot(4)}, 0, 5, 5, 0)"
            ),
        ),
        Invariant.REFERENCE,
    ),
    Tampering(
        "customer gone",
        ("DELETE FROM customers WHERE external_id = 'empty'",),
        Invariant.REFERENCE,
        wallet="empty",
    ),
    Tampering(
        "idempotency key of nothing",
        (
            (
                f'UPDATE idempotency_keys SET result = \'{{{{"Wallet": "{{rich}}", "Transaction": "{STRANGER}"}}}}\' '
                "WHERE key = 'key-of-rich'"
            ),
        ),
        Invariant.IDEMPOTENCY,
    ),
    Tampering(
        "idempotency key that can't be read",
        ("UPDATE idempotency_keys SET result = '{{\"Wallet\": \"who\"}}' WHERE key = 'key-of-rich'",),
        Invariant.CONTENT,
        wallet=None,
    ),
]


@pytest.fixture
async def running(database: TortoiseContext) -> AsyncIterator[Writer]:
    """A writer at work on the test's database."""
    to = writer()
    to.start()
    yield to
    await to.stop()


@pytest.fixture
async def ledger(running: Writer) -> Ledger:
    """A small ledger with one of everything."""
    return await build(running)


async def test_an_untouched_ledger_is_clean(ledger: Ledger) -> None:
    report = await verify()

    assert report.is_clean
    assert (report.wallets, report.transactions) == (4, 16)
    (total,) = report.totals
    assert total.currency == "USD"
    assert total.wallets_minor == 10_000 + 500 - 2_000 + 300 - 700 + 500 - 700 + 50 + 1_100 + 30 + 500
    assert total.counter_accounts_minor == {
        "ADJUSTMENTS": -9_650,
        "PAYOUTS": 700,
        "SALES": -100,
        "MARKETING": -530,
    }
    assert total.difference_minor == 0


async def test_an_empty_database_is_clean(database: TortoiseContext) -> None:
    report = await verify()
    assert report.is_clean
    assert (report.wallets, report.transactions, report.totals) == (0, 0, [])


@pytest.mark.parametrize(
    "tampering", [*TAMPERINGS, *OF_ORDERS], ids=lambda tampering: tampering.name.replace(" ", "-")
)
async def test_each_fault_is_named(ledger: Ledger, database_url: str, tampering: Tampering) -> None:
    names = asdict(ledger)
    await tamper(database_url, [statement.format(**names) for statement in tampering.statements])

    report = await verify()

    wallet_id = None if tampering.wallet is None else (names | {"stranger": STRANGER})[tampering.wallet]
    found = [(fault.wallet_id, fault.sequence, fault.invariant) for fault in report.faults]
    assert (wallet_id, tampering.sequence, tampering.invariant) in found
    assert len(found) == 1 + tampering.harms_another
    assert not report.is_clean


async def test_an_untouched_wallet_that_saves_is_clean(running: Writer) -> None:
    saver = await save(running)
    for report in (await verify(), await verify(wallet_id=saver)):
        assert report.faults == []
        assert report.is_clean


@pytest.mark.parametrize("tampering", OF_SAVER, ids=lambda tampering: tampering.name.replace(" ", "-"))
async def test_each_fault_of_a_wallet_that_saves_is_named(
    running: Writer, database_url: str, tampering: Tampering
) -> None:
    saver = await save(running)
    await tamper(database_url, tampering.statements)

    report = await verify()

    wallet_id = None if tampering.wallet is None else saver
    assert [(fault.wallet_id, fault.invariant) for fault in report.faults] == [
        (wallet_id, tampering.invariant)
    ]


async def test_only_the_faulty_wallet_is_named(ledger: Ledger, database_url: str) -> None:
    await tamper(database_url, [f"UPDATE wallets SET posted_minor = 1 WHERE id = '{ledger.rich}'"])

    report = await verify()

    (fault,) = report.faults
    assert fault.wallet_id == ledger.rich
    assert fault.message == "the wallet says 1, its transactions 8100"
    assert report.totals[0].difference_minor == 1 - 8_100


async def test_one_wallet_alone(ledger: Ledger, database_url: str) -> None:
    await tamper(database_url, [f"UPDATE wallets SET posted_minor = 1 WHERE id = '{ledger.rich}'"])

    other = await verify(wallet_id=ledger.overdrawn)
    faulty = await verify(wallet_id=ledger.rich)
    nobody = await verify(wallet_id=STRANGER)

    assert (other.is_clean, other.wallets, other.transactions) == (True, 1, 3)
    assert [fault.wallet_id for fault in faulty.faults] == [ledger.rich]
    assert (nobody.wallets, nobody.faults) == (0, [])


@pytest.mark.parametrize(("wallets", "transactions"), [(1, 1), (2, 3), (200, 2)])
async def test_pages_may_end_anywhere(
    ledger: Ledger, database_url: str, monkeypatch: pytest.MonkeyPatch, wallets: int, transactions: int
) -> None:
    monkeypatch.setattr(pages, "WALLETS_PAGE", wallets)
    monkeypatch.setattr(pages, "TRANSACTIONS_PAGE", transactions)
    assert (await verify()).is_clean

    await tamper(
        database_url,
        [f"UPDATE transactions SET note = 'x' WHERE wallet_id = '{ledger.rich}' AND sequence = 4"],
    )
    report = await verify()
    assert [(fault.wallet_id, fault.sequence) for fault in report.faults] == [(ledger.rich, 4)]
    assert (report.wallets, report.transactions) == (4, 16)


async def test_progress_reaches_its_totals(ledger: Ledger) -> None:
    heard: list[Progress] = []
    await verify(on_progress=heard.append)

    last = {progress.phase: progress for progress in heard}
    assert set(last) == set(Phase)
    assert all(progress.done == progress.total for progress in last.values())
    assert last[Phase.WALLETS].total == 16


async def test_a_writer_beside_it_raises_no_false_alarm(ledger: Ledger, running: Writer) -> None:
    stopped = False

    async def keep_writing(number: int) -> None:
        while not stopped:
            await credit(100 + number).submit(running, f"busy-{number % 7}")
            await debit(50).submit(running, f"busy-{number % 7}")

    tasks = [asyncio.create_task(keep_writing(number)) for number in range(20)]
    try:
        reports = [await verify() for _ in range(5)]
    finally:
        stopped = True
        await asyncio.gather(*tasks)

    assert [report.faults for report in reports] == [[]] * 5
    assert all(report.is_clean for report in reports)
    assert reports[-1].transactions > reports[0].transactions
