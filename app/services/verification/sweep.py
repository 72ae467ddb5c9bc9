"""What belongs to no single wallet's page: rows against those that they name, keys against their answers."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.services.ledger.records import read_json, read_uuid
from app.services.verification.report import Fault, Findings, Invariant
from app.services.verification.snapshot import Rows, Snapshot, Snapshots

PAGE = 10_000

ANSWERS = {
    "Wallet": "wallets",
    "Transaction": "transactions",
    "Withdrawal": "withdrawals",
    "PayoutMethod": "payout_methods",
    "TopUp": "top_ups",
    "TopUpIntent": "top_up_intents",
    "AutoTopUp": "auto_top_ups",
    "AutoTopUpCharge": "auto_top_up_charges",
    "Order": "orders",
    "Payment": "payments",
    "Refund": "refunds",
    "Renewal": "renewals",
    "StoredRule": "cashback_rules",
    "GiftCard": "gift_cards",
    "GiftCardEntry": "gift_card_entries",
}
"""The nouns that the ledger's answers name, and where their rows are."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A column that names a row of another table; `wallet` is the SQL that leads to the wallet concerned."""

    table: str
    column: str
    parent: str
    wallet: str = "c.wallet_id"


# The database's own foreign keys say the same; this is for one whose keys were switched off when it was edited.
REFERENCES = (
    Reference("wallets", "customer_id", "customers", "c.id"),
    Reference("transactions", "wallet_id", "wallets"),
    Reference("transactions", "corrects_id", "transactions"),
    Reference("transactions", "hold_id", "holds"),
    Reference("transactions", "order_id", "orders"),
    Reference(
        "allocations",
        "transaction_id",
        "transactions",
        "(SELECT l.wallet_id FROM lots l WHERE l.id = c.lot_id)",
    ),
    Reference("lots", "wallet_id", "wallets"),
    Reference("holds", "wallet_id", "wallets"),
    Reference("reservations", "hold_id", "holds", "(SELECT l.wallet_id FROM lots l WHERE l.id = c.lot_id)"),
    Reference("reservations", "lot_id", "lots", "(SELECT h.wallet_id FROM holds h WHERE h.id = c.hold_id)"),
    Reference("withdrawals", "wallet_id", "wallets"),
    Reference("withdrawals", "hold_id", "holds"),
    Reference("withdrawals", "transaction_id", "transactions"),
    Reference("withdrawals", "payout_method_id", "payout_methods"),
    Reference("withdrawal_steps", "withdrawal_id", "withdrawals"),
    Reference("withdrawal_steps", "wallet_id", "wallets"),
    Reference("payout_methods", "wallet_id", "wallets"),
    Reference("payout_messages", "withdrawal_id", "withdrawals", "NULL"),
    Reference("top_ups", "wallet_id", "wallets"),
    Reference("top_ups", "transaction_id", "transactions"),
    Reference("top_ups", "order_id", "orders"),
    Reference("top_up_intents", "wallet_id", "wallets"),
    Reference("top_up_intents", "top_up_id", "top_ups"),
    Reference("auto_top_ups", "wallet_id", "wallets"),
    Reference("auto_top_up_charges", "wallet_id", "wallets"),
    Reference("auto_top_up_charges", "rule_id", "auto_top_ups"),
    Reference("auto_top_up_charges", "top_up_id", "top_ups"),
    Reference("orders", "wallet_id", "wallets"),
    Reference("payments", "order_id", "orders"),
    Reference("payments", "wallet_id", "wallets"),
    Reference("payments", "hold_id", "holds"),
    Reference("refunds", "order_id", "orders"),
    Reference("refunds", "wallet_id", "wallets"),
    Reference("renewals", "wallet_id", "wallets"),
    Reference("cashback_awards", "wallet_id", "wallets"),
    Reference("cashback_awards", "order_id", "orders"),
    Reference("cashback_evaluations", "wallet_id", "wallets"),
    Reference("cashback_evaluations", "order_id", "orders"),
    Reference(
        "gift_card_entries",
        "card_id",
        "gift_cards",
        "(SELECT t.wallet_id FROM transactions t WHERE t.id = c.transaction_id)",
    ),
    Reference("gift_card_entries", "transaction_id", "transactions", "NULL"),
    Reference("audit_entries", "wallet_id", "wallets"),
)


async def check_references(snapshots: Snapshots, findings: Findings, on_page: Callable[[int], None]) -> None:
    """Find rows that name another one which does not exist."""
    for reference in REFERENCES:
        async for rows, count in _pages(snapshots, _orphans(reference), reference.table):
            for row in rows:
                wallet_id = None if row["wallet_id"] is None else read_uuid(row["wallet_id"])
                message = f"{reference.table} {row['id']} names {row['missing']}, which is not in {reference.parent}"
                findings.add(Fault(wallet_id, None, Invariant.REFERENCE, message))
            on_page(count)


def _orphans(reference: Reference) -> str:
    column = reference.column
    return (
        f"SELECT c.id, c.{column} AS missing, {reference.wallet} AS wallet_id "
        f"FROM {reference.table} c LEFT JOIN {reference.parent} p ON p.id = c.{column} "
        f"WHERE {{page}} AND c.{column} IS NOT NULL AND p.id IS NULL"
    )


async def check_keys(snapshots: Snapshots, findings: Findings, on_page: Callable[[int], None]) -> None:
    """Find idempotency keys whose answer names a wallet or a transaction that does not exist."""
    sql = "SELECT c.id, c.result FROM idempotency_keys c WHERE {page}"
    last: UUID | None = None
    while True:
        async with snapshots.take() as snapshot:
            page = "TRUE" if last is None else "c.id > $1"
            rows = await snapshot.select(
                f"{sql.format(page=page)} ORDER BY c.id LIMIT {PAGE}", *([] if last is None else [last])
            )
            await _check_answers(snapshot, rows, findings)
        on_page(len(rows))
        if len(rows) < PAGE:
            return
        last = read_uuid(rows[-1]["id"])


async def _check_answers(snapshot: Snapshot, rows: Rows, findings: Findings) -> None:
    answers = []
    for row in rows:
        try:
            named = {
                noun: UUID(row_id) for noun, row_id in read_json(row["result"]).items() if noun in ANSWERS
            }
        except (ValueError, TypeError, AttributeError) as error:
            message = f"idempotency key {row['id']} can't be read: {error}"
            findings.add(Fault(None, None, Invariant.CONTENT, message))
        else:
            answers.append((row["id"], named))
    for noun, table in ANSWERS.items():
        wanted = {named[noun] for _, named in answers if noun in named}
        found = await snapshot.select_named(f"SELECT id FROM {table} WHERE id IN {{ids}}", wanted)
        missing = wanted - {read_uuid(row["id"]) for row in found}
        for key_id, named in answers:
            if named.get(noun) in missing:
                message = f"idempotency key {key_id} answers with {noun} {named[noun]}, which does not exist"
                findings.add(Fault(named.get("Wallet"), None, Invariant.IDEMPOTENCY, message))


async def _pages(snapshots: Snapshots, sql: str, table: str) -> AsyncIterator[tuple[Rows, int]]:
    """Run a statement over a table in ranges of ids; it finds few rows, so the range's end is looked up first."""
    last: UUID | None = None
    while True:
        values: list[Any] = [] if last is None else [last]
        start = "TRUE" if last is None else "c.id > $1"
        async with snapshots.take() as snapshot:
            bounds = await snapshot.select(
                f"SELECT c.id FROM {table} c WHERE {start} ORDER BY c.id LIMIT 1 OFFSET {PAGE - 1}", *values
            )
            end = f" AND c.id <= ${len(values) + 1}" if bounds else ""
            page_values = [*values, *(read_uuid(row["id"]) for row in bounds)]
            rows = await snapshot.select(sql.format(page=start + end), *page_values)
        yield rows, PAGE
        if not bounds:
            return
        last = read_uuid(bounds[0]["id"])
