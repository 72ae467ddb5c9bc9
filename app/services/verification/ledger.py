"""The whole ledger, or one wallet, verified page by page in constant memory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from time import monotonic
from uuid import UUID

from app.services.ledger.records import read_uuid
from app.services.verification.awards import check_awards
from app.services.verification.check import Row, WalletCheck
from app.services.verification.gift_cards import check_gift_cards, check_redemptions
from app.services.verification.holds import check_holds
from app.services.verification.orders import check_orders, check_payments
from app.services.verification.report import Findings, Phase, Progress, Report
from app.services.verification.snapshot import Rows, Snapshot, Snapshots, open_snapshots
from app.services.verification.sweep import REFERENCES, check_keys, check_references
from app.services.verification.top_ups import check_top_ups
from app.services.verification.withdrawals import check_payout_messages, check_withdrawals

WALLETS_PAGE = 200
"""Wallets that share one snapshot."""
TRANSACTIONS_PAGE = 1_000
"""Transactions, or lots, that are in memory at a time, whichever wallets they belong to."""

_BEFORE_ALL_IDS = UUID(int=0)
_BEFORE_ALL_SEQUENCES = -(2**63)

_WALLETS = """
SELECT w.*, (
  SELECT COALESCE(SUM(h.amount_minor - h.captured_minor - h.released_minor), 0)
  FROM holds h WHERE h.wallet_id = w.id AND h.status = 'OPEN'
) AS open_holds_minor
FROM wallets w WHERE {range} ORDER BY w.id LIMIT {limit}
"""

_TRANSACTIONS = """
SELECT t.*, a.lot_id AS a_lot_id, a.bucket AS a_bucket, a.amount_minor AS a_amount_minor,
  a.expires_at AS a_expires_at, l.expires_at AS l_expires_at, l.wallet_id AS l_wallet_id, l.bucket AS l_bucket, l.sequence AS l_sequence
FROM (
  SELECT * FROM transactions
  WHERE wallet_id <= $3 AND (wallet_id, sequence) > ($1, $2) ORDER BY wallet_id, sequence LIMIT {limit}
) t
LEFT JOIN allocations a ON a.transaction_id = t.id
LEFT JOIN lots l ON l.id = a.lot_id
ORDER BY t.wallet_id, t.sequence, a.position
"""

_LOTS = """
SELECT o.*,
  (SELECT COALESCE(SUM(a.amount_minor), 0) FROM transactions t JOIN allocations a ON a.transaction_id = t.id
    WHERE t.wallet_id = o.wallet_id AND t.sequence = o.sequence AND a.lot_id = o.id) AS opened_minor,
  (SELECT COALESCE(SUM(a.amount_minor), 0) FROM allocations a WHERE a.lot_id = o.id) AS allocated_minor,
  (SELECT COALESCE(SUM(r.amount_minor - r.captured_minor - r.released_minor), 0)
    FROM reservations r WHERE r.lot_id = o.id) AS reserved_minor
FROM lots o
WHERE o.wallet_id <= $3 AND (o.wallet_id, o.sequence) > ($1, $2)
ORDER BY o.wallet_id, o.sequence LIMIT {limit}
"""


async def verify(
    *, wallet_id: UUID | None = None, on_progress: Callable[[Progress], None] = lambda progress: None
) -> Report:
    """Verify the whole ledger, or one wallet, of the open database.

    It changes nothing and may run beside a live server: the wallets of a page are read in one snapshot. With a
    `wallet_id`, idempotency keys and rows that lead to no wallet are not looked at; a wallet that does not exist
    gives a report of no wallets.
    """
    began = monotonic()
    findings = Findings()
    async with open_snapshots() as snapshots:
        run = _Run(snapshots, findings, wallet_id, on_progress)
        await run.wallets()
        await run.holds()
        await run.payments()
        await run.orders()
        await run.withdrawals()
        await run.payouts()
        await run.top_ups()
        await run.awards()
        await run.gift_cards()
        if wallet_id is None:
            await run.references()
            await run.keys()
    return findings.report(monotonic() - began)


@dataclass(slots=True)
class _Run:
    """One verification under way."""

    snapshots: Snapshots
    findings: Findings
    wallet_id: UUID | None
    on_progress: Callable[[Progress], None]

    async def wallets(self) -> None:
        """Check the wallets with their transactions and lots."""
        only = self.wallet_id
        count = "SELECT COALESCE(SUM(sequence), 0) AS n FROM wallets"
        total = await self._count(count, only)
        last = _BEFORE_ALL_IDS
        while True:
            async with self.snapshots.take() as snapshot:
                where = "w.id > $1" if only is None else "w.id = $1"
                sql = _WALLETS.format(range=where, limit=WALLETS_PAGE)
                rows = await snapshot.select(sql, last if only is None else only)
                if rows:
                    await self._check_page(snapshot, rows, total)
            if only is not None or len(rows) < WALLETS_PAGE:
                return
            last = read_uuid(rows[-1]["id"])

    async def _check_page(self, snapshot: Snapshot, rows: Rows, total: int) -> None:
        checks = {read_uuid(row["id"]): WalletCheck(row) for row in rows}
        start, end = min(checks), max(checks)
        async for page in _pages(snapshot, _TRANSACTIONS, start, end):
            # Hashing is work for the processor: in a thread, a server's loop gets its turns meanwhile.
            await asyncio.to_thread(self._take_transactions, checks, page)
            self.on_progress(Progress(Phase.WALLETS, self.findings.transactions, total))
        for check in checks.values():
            check.close_chain()
        async for page in _pages(snapshot, _LOTS, start, end):
            await asyncio.to_thread(_take_lots, checks, page)
        for check in checks.values():
            check.close(self.findings)

    def _take_transactions(self, checks: dict[UUID, WalletCheck], page: Rows) -> None:
        findings = self.findings
        for rows in _grouped(page):
            first = rows[0]
            findings.transactions += 1
            account = (str(first["currency"]), str(first["counter_account"]))
            findings.in_counter_accounts[account] -= int(first["amount_minor"])
            # A transaction whose wallet is not there is found among the references.
            if (check := checks.get(read_uuid(first["wallet_id"]))) is not None:
                check.take_transaction(rows)

    async def holds(self) -> None:
        """Check the holds."""
        total = await self._count("SELECT COUNT(*) AS n FROM holds", self.wallet_id, column="wallet_id")
        await check_holds(self.snapshots, self.findings, self.wallet_id, self._counting(Phase.HOLDS, total))

    async def payments(self) -> None:
        """Check the payments."""
        total = await self._count("SELECT COUNT(*) AS n FROM payments", self.wallet_id, column="wallet_id")
        counting = self._counting(Phase.PAYMENTS, total)
        await check_payments(self.snapshots, self.findings, self.wallet_id, counting)

    async def orders(self) -> None:
        """Check the orders."""
        total = await self._count("SELECT COUNT(*) AS n FROM orders", self.wallet_id, column="wallet_id")
        counting = self._counting(Phase.ORDERS, total)
        await check_orders(self.snapshots, self.findings, self.wallet_id, counting)

    async def withdrawals(self) -> None:
        """Check the withdrawals."""
        count = "SELECT COUNT(*) AS n FROM withdrawals"
        total = await self._count(count, self.wallet_id, column="wallet_id")
        counting = self._counting(Phase.WITHDRAWALS, total)
        await check_withdrawals(self.snapshots, self.findings, self.wallet_id, counting)

    async def payouts(self) -> None:
        """Check what providers told."""
        count = "SELECT COUNT(*) AS n FROM payout_messages m JOIN withdrawals w ON w.id = m.withdrawal_id"
        total = await self._count(count, self.wallet_id, column="w.wallet_id")
        counting = self._counting(Phase.PAYOUTS, total)
        await check_payout_messages(self.snapshots, self.findings, self.wallet_id, counting)

    async def top_ups(self) -> None:
        """Check the top-ups."""
        total = 0
        for table in ("top_ups", "top_up_intents", "auto_top_up_charges", "auto_top_ups"):
            count = f"SELECT COUNT(*) AS n FROM {table}"
            total += await self._count(count, self.wallet_id, column="wallet_id")
        counting = self._counting(Phase.TOP_UPS, total)
        await check_top_ups(self.snapshots, self.findings, self.wallet_id, counting)

    async def awards(self) -> None:
        """Check the awards."""
        count = "SELECT COUNT(*) AS n FROM cashback_awards"
        total = await self._count(count, self.wallet_id, column="wallet_id")
        counting = self._counting(Phase.AWARDS, total)
        await check_awards(self.snapshots, self.findings, self.wallet_id, counting)

    async def gift_cards(self) -> None:
        """Check the gift cards, which are nobody's, and what of them is in wallets."""
        only, total = self.wallet_id, 0
        if only is None:
            total = await self._count("SELECT COUNT(*) AS n FROM gift_cards")
        counting = self._counting(Phase.GIFT_CARDS, total)
        if only is None:
            await check_gift_cards(self.snapshots, self.findings, counting)
        await check_redemptions(self.snapshots, self.findings, only)

    async def references(self) -> None:
        """Check what rows name."""
        total = 0
        for reference in REFERENCES:
            total += await self._count(f"SELECT COUNT(*) AS n FROM {reference.table}")
        await check_references(self.snapshots, self.findings, self._counting(Phase.REFERENCES, total))

    async def keys(self) -> None:
        """Check what idempotency keys answer with."""
        total = await self._count("SELECT COUNT(*) AS n FROM idempotency_keys")
        await check_keys(self.snapshots, self.findings, self._counting(Phase.KEYS, total))

    async def _count(self, sql: str, only: UUID | None = None, *, column: str = "id") -> int:
        async with self.snapshots.take() as snapshot:
            rows = await (
                snapshot.select(sql) if only is None else snapshot.select(f"{sql} WHERE {column} = $1", only)
            )
        return int(rows[0]["n"])

    def _counting(self, phase: Phase, total: int) -> Callable[[int], None]:
        done = 0

        def on_page(count: int) -> None:
            nonlocal done
            # Rows that a live server added meanwhile are checked too, but were not in the total.
            done = min(done + count, total)
            self.on_progress(Progress(phase, done, total))

        return on_page


async def _pages(snapshot: Snapshot, sql: str, start: UUID, end: UUID) -> AsyncIterator[Rows]:
    """Read rows from one wallet to another, by wallet and sequence; a page may end within a wallet."""
    cursor = (start, _BEFORE_ALL_SEQUENCES)
    while rows := await snapshot.select(sql.format(limit=TRANSACTIONS_PAGE), *cursor, end):
        yield rows
        cursor = (read_uuid(rows[-1]["wallet_id"]), rows[-1]["sequence"])


def _grouped(page: Rows) -> Iterator[list[Row]]:
    for _, rows in groupby(page, key=itemgetter("id")):
        yield list(rows)


def _take_lots(checks: dict[UUID, WalletCheck], page: Rows) -> None:
    for row in page:
        if (check := checks.get(read_uuid(row["wallet_id"]))) is not None:
            check.take_lot(row)
