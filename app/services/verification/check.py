"""The arithmetic of one wallet: fed with its rows in order, it tells the first fault. Pure; it reads nothing itself."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from app.domain.ledger import (
    COUNTER_ACCOUNTS,
    GENESIS_HASH,
    OVERDRAFT,
    Allocation,
    Transaction,
    transaction_hash,
)
from app.services.ledger import records
from app.services.ledger.records import read_lot, read_time, read_uuid, read_wallet
from app.services.verification.report import Fault, Findings, Invariant

Row = Mapping[str, Any]


class WalletCheck:
    """One wallet, as far as its rows were fed in: first its transactions, then `close_chain`, its lots, `close`.

    Each transaction comes as the rows of its allocations, joined with it and with their lots. What is still to
    be checked after a fault would only repeat it, so the first fault ends the checks.
    """

    __slots__ = (
        "_balance_minor",
        "_currency",
        "_head",
        "_held_minor",
        "_in_lots_minor",
        "_overdraft_minor",
        "_row",
        "_sequence",
        "_wallet_id",
        "fault",
    )

    def __init__(self, row: Row) -> None:
        self._row = row
        self._wallet_id = read_uuid(row["id"])
        self._currency = row["currency"]
        self._sequence = 0
        self._balance_minor = 0
        self._overdraft_minor = 0
        self._in_lots_minor = 0
        self._held_minor = 0
        self._head = GENESIS_HASH
        self.fault: Fault | None = None

    # --- transactions ---------------------------------------------------------------------------------------

    def take_transaction(self, rows: Sequence[Row]) -> None:
        """Check the next transaction."""
        if self.fault is not None:
            return
        sequence, expected = rows[0]["sequence"], self._sequence + 1
        if sequence != expected:
            self._fail(Invariant.SEQUENCE, f"transaction {expected} is missing", expected)
            return
        try:
            transaction = read_transaction(rows)
        except (ValueError, TypeError, AttributeError) as error:
            self._fail(Invariant.CONTENT, f"transaction {sequence} can't be read: {error}", sequence)
            return
        # From the plainest to the most general: a hash tells that something is wrong, but not what.
        if found := self._fault_of_content(transaction, rows) or self._fault_of_chain(transaction):
            self._fail(*found, sequence)
            return
        self._sequence = sequence
        self._balance_minor = transaction.balance_after_minor
        self._head = transaction.hash

    def _fault_of_content(self, t: Transaction, rows: Sequence[Row]) -> tuple[Invariant, str] | None:
        name = f"transaction {t.sequence}"
        if t.currency != self._currency:
            return Invariant.CURRENCY, f"{name} is in {t.currency}, its wallet in {self._currency}"
        if t.counter_account is not COUNTER_ACCOUNTS[t.kind]:
            return Invariant.DOUBLE_ENTRY, f"{name} ({t.kind}) names the counter account {t.counter_account}"
        allocated = sum(allocation.amount_minor for allocation in t.allocations)
        if allocated != t.amount_minor:
            return Invariant.ALLOCATION, f"{name} moves {t.amount_minor}, its allocations {allocated}"
        for row in rows if t.allocations else ():
            if problem := self._fault_of_allocation(row):
                return Invariant.ALLOCATION, f"{name} {problem}"
        return None

    def _fault_of_chain(self, t: Transaction) -> tuple[Invariant, str] | None:
        name = f"transaction {t.sequence}"
        if self._overdraft_minor < 0:
            return Invariant.OVERDRAFT, f"{name} settles more than was overdrawn"
        if t.balance_after_minor != self._balance_minor + t.amount_minor:
            derived = f"{self._balance_minor} + {t.amount_minor}"
            return Invariant.BALANCE, f"{name} leaves {t.balance_after_minor}, not {derived}"
        if transaction_hash(self._head, t) != t.hash:
            return Invariant.HASH, f"{name} is not what its hash covers"
        return None

    def _fault_of_allocation(self, row: Row) -> str | None:
        if row["a_lot_id"] is None:
            self._overdraft_minor -= row["a_amount_minor"]
            return None if row["a_bucket"] == OVERDRAFT else "has an allocation without a lot"
        if row["l_wallet_id"] is None:
            return f"draws on lot {row['a_lot_id']}, which does not exist"
        if read_uuid(row["l_wallet_id"]) != self._wallet_id:
            return f"draws on lot {row['a_lot_id']} of another wallet"
        for column in ("bucket", "expires_at"):
            if (here := row[f"a_{column}"]) != (there := row[f"l_{column}"]):
                return f"has the {column} {here}, its lot has {there}"
        if row["l_sequence"] > row["sequence"]:
            return f"draws on the lot of transaction {row['l_sequence']} before it was opened"
        return None

    # --- lots -----------------------------------------------------------------------------------------------

    def take_lot(self, row: Row) -> None:
        """Check a lot against the sums of its allocations and reservations."""
        if self.fault is not None:
            return
        try:
            lot = read_lot(row)
        except (ValueError, TypeError, AttributeError) as error:
            self._fail(Invariant.CONTENT, f"lot {row['id']} can't be read: {error}", row["sequence"])
            return
        name = f"the lot of transaction {lot.sequence}"
        opened, allocated = int(row["opened_minor"]), int(row["allocated_minor"])
        reserved, inside = int(row["reserved_minor"]), lot.remaining_minor + lot.held_minor
        if opened != lot.original_minor:
            self._fail(
                Invariant.LOT, f"{name} began with {lot.original_minor}, it was given {opened}", lot.sequence
            )
        elif inside != allocated:
            self._fail(
                Invariant.LOT, f"{name} has {inside} inside, its allocations {allocated}", lot.sequence
            )
        elif lot.held_minor != reserved:
            self._fail(
                Invariant.HOLD,
                f"{name} holds {lot.held_minor} back, its reservations {reserved}",
                lot.sequence,
            )
        elif lot.remaining_minor < 0 or lot.held_minor < 0 or inside > lot.original_minor:
            self._fail(Invariant.LOT, f"{name} is outside of 0 to {lot.original_minor}", lot.sequence)
        self._in_lots_minor += inside
        self._held_minor += lot.held_minor

    # --- the wallet -----------------------------------------------------------------------------------------

    def close_chain(self) -> None:
        """Check the wallet against its transactions, once all were fed in: the lots come after that."""
        if self.fault is not None:
            return
        try:
            wallet = read_wallet(self._row)
        except (ValueError, TypeError, AttributeError) as error:
            self._fail(Invariant.CONTENT, f"the wallet can't be read: {error}")
            return
        counted, last = wallet.sequence, self._sequence
        if counted > last:
            self._fail(
                Invariant.SEQUENCE,
                f"transaction {last + 1} is missing: the wallet counts {counted}",
                last + 1,
            )
        elif counted < last:
            self._fail(Invariant.SEQUENCE, f"the wallet counts {counted} transactions, there are {last}")
        elif wallet.head_hash != self._head:
            self._fail(Invariant.HASH, "the wallet's head is not the hash of its last transaction")
        elif wallet.posted_minor != self._balance_minor:
            self._fail(
                Invariant.BALANCE,
                f"the wallet says {wallet.posted_minor}, its transactions {self._balance_minor}",
            )
        elif wallet.overdraft_minor != self._overdraft_minor:
            self._fail(
                Invariant.OVERDRAFT,
                f"the wallet is overdrawn by {wallet.overdraft_minor}, its allocations by {self._overdraft_minor}",
            )

    def close(self, findings: Findings) -> None:
        """Check the wallet against its lots and holds, and hand over what was found."""
        row, in_wallet = self._row, self._in_lots_minor - self._overdraft_minor
        if self.fault is None:
            held_minor, open_holds_minor = row["held_minor"], int(row["open_holds_minor"])
            if row["posted_minor"] != in_wallet:
                self._fail(Invariant.LOT, f"the wallet says {row['posted_minor']}, its lots {in_wallet}")
            elif not held_minor == self._held_minor == open_holds_minor:
                self._fail(
                    Invariant.HOLD,
                    f"the wallet holds {held_minor} back, its lots {self._held_minor}, "
                    f"its open holds {open_holds_minor}",
                )
        findings.wallets += 1
        findings.in_wallets[str(self._currency)] += row["posted_minor"]
        if self.fault is not None:
            findings.add(self.fault)

    def _fail(self, invariant: Invariant, message: str, sequence: int | None = None) -> None:
        self.fault = Fault(self._wallet_id, sequence, invariant, message)


def read_transaction(rows: Sequence[Row]) -> Transaction:
    """Read a transaction out of the rows of its allocations (one without any has one row)."""
    allocations = tuple(
        Allocation(
            _lot_id(found["a_lot_id"]),
            found["a_bucket"],
            found["a_amount_minor"],
            None if found["a_expires_at"] is None else read_time(found["a_expires_at"]),
        )
        for found in rows
        if found["a_amount_minor"] is not None
    )
    return records.read_transaction(rows[0], allocations)


def _lot_id(value: Any) -> UUID | None:
    return None if value is None else read_uuid(value)
