"""An auditor who trusts nobody: reads the tables by plain SQL and re-derives every invariant of the ledger.

Nothing of the program plays a part here, not even its hash: the encoding is written down a second time.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tortoise.connection import get_connection

Rows = list[dict[str, Any]]
Tables = dict[str, Rows]

TIMES = (
    "created_at", "updated_at", "expires_at", "last_activity_at", "decided_at", "grace_until", "modified_at",
    "deleted_at", "refunded_at", "withdrawn_at", "due_at", "occurred_at", "awarded_at", "vests_at", "vested_at",
    "expired_at",
)  # fmt: skip
JSON = (
    "data",
    "result",
    "snapshot",
    "basis",
    "lines",
    "buckets",
    "taken",
    "lot_ids",
    "explanation",
    "outcomes",
)
# fmt: off
HASHED = (
    "wallet_id", "sequence", "id", "reference", "kind", "counter_account", "amount_minor", "balance_after_minor",
    "currency", "reason", "note", "actor_kind", "actor_id", "corrects_id", "hold_id", "created_at",
)
# fmt: on
COUNTER_ACCOUNTS = {
    "ADJUSTMENT": "ADJUSTMENTS",
    "PURCHASE": "SALES",
    "REFUND": "SALES",
    "TOP_UP": "FUNDING",
    "CASHBACK": "MARKETING",
    "PROMOTION": "MARKETING",
    "GIFT_CARD": "GIFT_CARDS",
    "WITHDRAWAL": "PAYOUTS",
    "EXPIRY": "BREAKAGE",
    "CLAWBACK": "MARKETING",
    "FEE": "FEES",
    "OPENING": "FUNDING",
}


GIVEN_AWAY = {"CASHBACK", "PROMOTION", "CLAWBACK"}
"""What an order brings a customer beside its own money."""


async def read_tables() -> Tables:
    """All rows of all tables there are, each value in one form for both databases."""
    connection = get_connection("default")
    if connection.capabilities.dialect == "sqlite":
        # What SQLite's full-text table keeps follows from the customers, and is in a form of its own.
        names = (
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' "
            "AND name NOT LIKE 'customer_search%'"
        )
    else:
        names = "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'"
    found = [row["name"] for row in await connection.execute_query_dict(names)]
    tables: Tables = {name: [] for name in found if name != "tortoise_migrations"}
    # Most are empty, which one statement tells.
    asked = (f"SELECT '{name}' AS name WHERE EXISTS (SELECT 1 FROM \"{name}\")" for name in tables)
    for row in await connection.execute_query_dict(" UNION ALL ".join(asked)):
        name = row["name"]
        rows = await connection.execute_query_dict(f'SELECT * FROM "{name}"')
        tables[name] = [{column: _plain(column, value) for column, value in row.items()} for row in rows]
        tables[name].sort(key=lambda row: str(row.get("id", row.get("version"))))
    return tables


def digest(tables: Tables) -> str:
    """A fingerprint of every byte in every table."""
    return hashlib.sha256(repr(sorted(tables.items())).encode()).hexdigest()


def audit(tables: Tables) -> None:
    """Fail where an invariant of design, section 4, does not hold."""
    transactions = _by(tables["transactions"], "wallet_id")
    allocations = _by(tables["allocations"], "transaction_id")
    lots = _by(tables["lots"], "wallet_id")
    holds = _by(tables["holds"], "wallet_id")
    reservations = _by(tables["reservations"], "hold_id")
    for rows in allocations.values():
        rows.sort(key=lambda row: int(row["position"]))
    for wallet in tables["wallets"]:
        history = sorted(transactions[wallet["id"]], key=lambda row: int(row["sequence"]))
        _audit_wallet(wallet, history, lots[wallet["id"]])
        _audit_history(wallet, history, allocations)
        _audit_holds(wallet, holds[wallet["id"]], reservations)
        _audit_spending(holds[wallet["id"]], reservations, history, allocations)
    _audit_lots(tables, _by(tables["reservations"], "lot_id"))
    _audit_double_entry(tables)
    _audit_withdrawals(tables)
    _audit_payments(tables)
    _audit_orders(tables)
    _audit_promotions(tables)
    _audit_identities(tables)


def _audit_wallet(wallet: Mapping[str, Any], history: Rows, lots: Rows) -> None:
    """Invariant 1, and that no more is held or owed than there can be."""
    posted, held, overdraft = wallet["posted_minor"], wallet["held_minor"], wallet["overdraft_minor"]
    assert posted == sum(row["amount_minor"] for row in history), "posted is the sum of transactions"
    in_lots = sum(lot["remaining_minor"] + lot["held_minor"] for lot in lots)
    assert posted == in_lots - overdraft, "posted is what is in lots, less the overdraft"
    assert held == sum(lot["held_minor"] for lot in lots), "held is what lots hold"
    # Invariant 4: whatever was available beyond the lots was taken within the limit of its day.
    assert overdraft >= 0
    assert posted - held >= -overdraft, "available is never below what was overdrawn"


def _audit_history(wallet: Mapping[str, Any], history: Rows, allocations: dict[str, Rows]) -> None:
    """Invariants 2, 3 (per transaction) and 6."""
    balance, previous, time = 0, bytes(32), ""
    overdraft = 0
    for number, row in enumerate(history, 1):
        assert row["sequence"] == number, "sequences have no gap"
        balance += row["amount_minor"]
        assert row["balance_after_minor"] == balance
        assert row["currency"] == wallet["currency"]
        assert row["created_at"] >= time, "time never goes back within a wallet"
        time = row["created_at"]
        parts = allocations[row["id"]]
        assert [part["position"] for part in parts] == list(range(len(parts)))
        assert sum(part["amount_minor"] for part in parts) == row["amount_minor"]
        overdraft -= sum(part["amount_minor"] for part in parts if part["lot_id"] is None)
        assert overdraft >= 0, "no more overdraft is settled than there was"
        previous = transaction_hash(previous, row, parts)
        assert row["hash"] == previous.hex(), f"hash of transaction {number}"
    assert wallet["sequence"] == len(history)
    assert wallet["head_hash"] == previous.hex()
    assert wallet["overdraft_minor"] == overdraft, "the overdraft is what allocations to no lot add up to"


def _audit_holds(wallet: Mapping[str, Any], holds: Rows, reservations: dict[str, Rows]) -> None:
    """What a wallet holds is what its open holds hold, lot by lot."""
    held = 0
    for hold in holds:
        parts = reservations[hold["id"]]
        for column in ("amount_minor", "captured_minor", "released_minor"):
            assert sum(part[column] for part in parts) == hold[column], f"{column} of a hold"
        left = hold["amount_minor"] - hold["captured_minor"] - hold["released_minor"]
        assert (left > 0) == (hold["status"] == "OPEN"), "a hold is open while it holds something"
        assert (hold["captured_minor"] > 0) == (hold["status"] == "CAPTURED") or hold["status"] == "OPEN"
        held += left
    assert wallet["held_minor"] == held, "held is the sum of open holds"


def _audit_spending(
    holds: Rows, reservations: dict[str, Rows], history: Rows, allocations: dict[str, Rows]
) -> None:
    """What was captured of a hold and came back is what its transactions moved, lot by lot."""
    of_hold = _by([row for row in history if row["hold_id"] is not None], "hold_id")
    for hold in holds:
        moved: dict[str, int] = defaultdict(int)
        for row in of_hold[hold["id"]]:
            for part in allocations[row["id"]]:
                moved[part["lot_id"]] += part["amount_minor"]
        for part in reservations[hold["id"]]:
            assert 0 <= part["returned_minor"] <= part["captured_minor"], (
                "no more comes back than was captured"
            )
            spent = part["captured_minor"] - part["returned_minor"]
            assert moved.pop(part["lot_id"], 0) == -spent, "a capture and what came back, on the very lot"
        assert not any(moved.values()), "a hold moves value on its own lots only"


def _audit_lots(tables: Tables, reservations: dict[str, Rows]) -> None:
    """Invariant 3 for lots: what went in and came out is what is left, and open reservations are what is held."""
    owners = {row["id"]: row["wallet_id"] for row in tables["transactions"]}
    moved = _by([row for row in tables["allocations"] if row["lot_id"] is not None], "lot_id")
    for lot in tables["lots"]:
        parts = moved[lot["id"]]
        assert all(owners[part["transaction_id"]] == lot["wallet_id"] for part in parts), (
            "a lot of another wallet"
        )
        assert all(part["bucket"] == lot["bucket"] for part in parts), "value changed its bucket"
        assert all(part["expires_at"] == lot["expires_at"] for part in parts), "value changed its expiry"
        left = lot["remaining_minor"] + lot["held_minor"]
        assert sum(part["amount_minor"] for part in parts) == left, (
            "a lot's allocations add up to what is left"
        )
        assert lot["remaining_minor"] >= 0
        assert lot["held_minor"] >= 0
        assert left <= lot["original_minor"]
        held = sum(
            row["amount_minor"] - row["captured_minor"] - row["released_minor"]
            for row in reservations[lot["id"]]
        )
        assert lot["held_minor"] == held, "held value has a hold"


def _audit_double_entry(tables: Tables) -> None:
    """Invariant 5: wallets and counter accounts together are zero, per currency."""
    totals: dict[str, int] = defaultdict(int)
    for wallet in tables["wallets"]:
        totals[wallet["currency"]] += wallet["posted_minor"]
    for row in tables["transactions"]:
        assert row["counter_account"] == COUNTER_ACCOUNTS[row["kind"]]
        totals[row["currency"]] -= row["amount_minor"]
    assert not any(totals.values()), totals


def _audit_withdrawals(tables: Tables) -> None:
    """A request and its hold say the same."""
    holds = {row["id"]: row for row in tables["holds"]}
    transactions = {row["id"]: row for row in tables["transactions"]}
    moved = _by([row for row in tables["transactions"] if row["hold_id"] is not None], "hold_id")
    steps = _by(tables["withdrawal_steps"], "withdrawal_id")
    for row in tables["withdrawals"]:
        hold = holds[row["hold_id"]]
        assert hold["wallet_id"] == row["wallet_id"]
        assert hold["amount_minor"] == row["amount_minor"]
        captured = row["transaction_id"] is not None
        held = row["status"] in {"REQUESTED", "IN_REVIEW", "APPROVED", "PROCESSING"}
        assert hold["status"] == ("OPEN" if held else "CAPTURED" if captured else "RELEASED")
        assert captured or row["status"] != "PAID"
        net = sum(one["amount_minor"] for one in moved[row["hold_id"]])
        assert net == (-row["amount_minor"] if row["status"] == "PAID" else 0)
        if captured:
            assert row["status"] in {"PAID", "RETURNED"}
            assert transactions[row["transaction_id"]]["hold_id"] == row["hold_id"]
        taken = sorted(steps[row["id"]], key=lambda step: step["number"])
        assert [step["number"] for step in taken] == list(range(1, row["step_count"] + 1))
        assert [step["from_status"] for step in taken] == [None, *(step["to_status"] for step in taken[:-1])]
        assert (taken[0]["to_status"], taken[-1]["to_status"]) == ("REQUESTED", row["status"])
        assert taken[-1]["problem"] == row["problem"]


ENDS_OF_HOLDS = {
    "AUTHORIZED": "OPEN",
    "PARTIALLY_CAPTURED": "OPEN",
    "CAPTURED": "CAPTURED",
    "VOIDED": "RELEASED",
    "EXPIRED": "EXPIRED",
}


def _audit_payments(tables: Tables) -> None:
    """A payment says what its hold, and the reservations of that, say; and draws on the kinds of value it may."""
    holds = {row["id"]: row for row in tables["holds"]}
    reservations = _by(tables["reservations"], "hold_id")
    buckets = {row["id"]: row["bucket"] for row in tables["lots"]}
    of_hold = _by([row for row in tables["transactions"] if row["hold_id"] is not None], "hold_id")
    for row in tables["payments"]:
        hold, parts = holds[row["hold_id"]], reservations[row["hold_id"]]
        assert hold["purpose"] == "PAYMENT"
        for column in ("wallet_id", "amount_minor", "captured_minor", "expires_at"):
            assert row[column] == hold[column], f"{column} of a payment and its hold"
        assert row["returned_minor"] == sum(part["returned_minor"] for part in parts), "what came back"
        assert hold["status"] == ENDS_OF_HOLDS[row["status"]]
        captured = row["status"] in ("PARTIALLY_CAPTURED", "CAPTURED")
        assert (row["captured_minor"] > 0) == captured, "a status says whether anything was captured"
        assert 0 <= row["returned_minor"] <= row["captured_minor"] <= row["amount_minor"]
        assert 0 <= row["owed_minor"] <= row["amount_minor"]
        assert 0 <= row["requested_minor"] <= row["captured_minor"]
        assert {buckets[part["lot_id"]] for part in parts} <= set(row["buckets"])
        assert {found["order_id"] for found in of_hold[row["hold_id"]]} <= {row["order_id"]}


def _audit_orders(tables: Tables) -> None:
    """An order moved what its payments gave and its refunds credited, in the one wallet that it concerns."""
    payments, refunds = _by(tables["payments"], "order_id"), _by(tables["refunds"], "order_id")
    moved = _by(
        [
            row
            for row in tables["transactions"]
            if row["order_id"] is not None and row["kind"] not in GIVEN_AWAY
        ],
        "order_id",
    )
    for order in tables["orders"]:
        paid, back = payments[order["id"]], refunds[order["id"]]
        # What a stranger merely holds, for an order that the store had not told of, moves nothing.
        gave = [row for row in paid if row["captured_minor"]]
        wallets = {row["wallet_id"] for row in (*gave, *moved[order["id"]])}
        assert wallets <= {order["wallet_id"]}, "an order moves money in its own wallet only"
        net = sum(row["captured_minor"] - row["returned_minor"] for row in paid)
        total = sum(row["amount_minor"] for row in moved[order["id"]])
        assert total == order["credited_minor"] - net, "an order's transactions add up"
        assert order["shortfall_minor"] >= 0
        _audit_refunds(order, back)
        told = order["basis"] or order["snapshot"]
        if told is not None and told["status"] != "UNKNOWN" and order["problem"] != "CURRENCY":
            assert net <= told["total_minor"], "nobody pays more than an order costs"
            given = sum(row["wallet_minor"] + row["credited_minor"] + row["elsewhere_minor"] for row in back)
            assert given <= told["total_minor"], "no more is given back than was paid"


def _audit_promotions(tables: Tables) -> None:
    """What promotions, codes and customers used is what their redemptions say, and within every limit."""
    counted = [row for row in tables["coupon_redemptions"] if row["counts"]]
    by_promotion, by_code = _by(counted, "promotion_id"), _by(counted, "coupon_id")
    for row in tables["promotions"]:
        found = by_promotion[row["id"]]
        assert row["uses"] == len(found)
        assert row["granted_minor"] == sum(one["amount_minor"] for one in found)
        assert row["uses_max"] is None or row["uses"] <= row["uses_max"]
        assert row["budget_minor"] is None or row["granted_minor"] <= row["budget_minor"]
    for row in tables["coupon_codes"]:
        now = [one for one in by_code[row["id"]] if one["promotion_id"] == row["promotion_id"]]
        assert row["uses"] == len(now)
    uses = _by(tables["promotion_uses"], "promotion_id")
    for promotion, found in by_promotion.items():
        assert sum(row["uses"] for row in uses[promotion]) == len(found)
    posted = {row["id"]: row for row in tables["transactions"]}
    for row in counted:
        grant = posted[row["transaction_id"]]
        assert (grant["kind"], grant["amount_minor"]) == ("PROMOTION", row["amount_minor"])
        assert (grant["wallet_id"], grant["order_id"]) == (row["wallet_id"], row["order_id"])


def _audit_refunds(order: Mapping[str, Any], refunds: Rows) -> None:
    """Each refund is divided without a rest that is negative; what was credited has refunds, or is told as missing."""
    for row in refunds:
        parts = [row[f"{part}_minor"] for part in ("wallet", "credited", "elsewhere")]
        assert min(parts) >= 0
        assert sum(parts) <= row["amount_minor"]
        assert row["withdrawn_at"] is None or not any(parts), "what was withdrawn gives nothing"
    not_back = order["credited_minor"] - sum(row["credited_minor"] for row in refunds)
    assert not_back >= 0, "what refunds credit was credited"
    # Once an order is in another currency, nothing of it is brought into line any more.
    assert not_back <= order["shortfall_minor"] or order["problem"] == "CURRENCY"


def _audit_identities(tables: Tables) -> None:
    """One wallet a customer, one answer a key, one number a transaction."""
    for table, columns in {
        "customers": ("external_id",),
        "wallets": ("customer_id",),
        "idempotency_keys": ("scope", "key"),
        "transactions": ("reference",),
        "orders": ("source", "external_id"),
        "payments": ("hold_id",),
        "refunds": ("reference",),
    }.items():
        seen = [tuple(row[column] for column in columns) for row in tables[table]]
        assert len(seen) == len(set(seen)), f"{table} has two of {columns}"


def transaction_hash(
    previous: bytes, row: Mapping[str, Any], allocations: Sequence[Mapping[str, Any]]
) -> bytes:
    """The hash as `app.domain.ledger` documents it, from the tables alone."""
    content = [row[column] for column in HASHED]
    for part in allocations:
        content += [part["lot_id"], part["bucket"], part["amount_minor"], part["expires_at"]]
    if row["order_id"] is not None:
        content.append(row["order_id"])
    encoded = previous
    for value in content:
        octets = ("" if value is None else str(value)).encode()
        encoded += str(len(octets)).encode() + b":" + octets + b","
    return hashlib.sha256(encoded).digest()


def _by(rows: Rows, column: str) -> dict[str, Rows]:
    found: dict[str, Rows] = defaultdict(list)
    for row in rows:
        found[row[column]].append(row)
    return found


def _plain(column: str, value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if column in TIMES and value is not None:
        time = datetime.fromisoformat(value) if isinstance(value, str) else value
        return time.astimezone(UTC).isoformat(timespec="microseconds")
    if column in JSON and isinstance(value, str):
        return json.loads(value)
    return value
