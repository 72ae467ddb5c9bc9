"""Rows for tests of the tables themselves, below models and services."""

from collections.abc import Mapping
from typing import Any

from tortoise.backends.base.client import BaseDBAsyncClient

from app.settings import Settings

NOW = "2026-01-02 03:04:05+00:00"


def settings_for(database_url: str, **overrides: Any) -> Settings:
    """Settings with this database; nobody's `.env` plays a part."""
    return Settings(_env_file=None, database_url=database_url, **overrides)


def row_id(number: int) -> str:
    """An id that is easy to recognise."""
    return f"00000000-0000-7000-8000-{number:012d}"


# One valid row for each table, in the order of their references.
ROWS: dict[str, dict[str, Any]] = {
    "customers": {
        "id": row_id(1),
        "external_id": "c-1",
        "name": "Ada",
        "email": "ada@shop.example",
        "search_text": "ada ada@shop.example c-1",
        "created_at": NOW,
        "updated_at": NOW,
    },
    "wallets": {
        "id": row_id(2),
        "customer_id": row_id(1),
        "currency": "USD",
        "status": "ACTIVE",
        "posted_minor": 1000,
        "held_minor": 400,
        "overdraft_minor": 0,
        "sequence": 1,
        "version": 2,
        "head_hash": b"\x01",
        "created_at": NOW,
        "updated_at": NOW,
        "last_activity_at": NOW,
    },
    "lots": {
        "id": row_id(3),
        "wallet_id": row_id(2),
        "bucket": "CASH",
        "sequence": 1,
        "original_minor": 1000,
        "remaining_minor": 600,
        "held_minor": 400,
        "expires_at": None,
        "created_at": NOW,
        "grace_until": None,
    },
    "holds": {
        "id": row_id(4),
        "wallet_id": row_id(2),
        "purpose": "WITHDRAWAL",
        "status": "OPEN",
        "amount_minor": 400,
        "captured_minor": 0,
        "released_minor": 0,
        "expires_at": None,
        "created_at": NOW,
        "updated_at": NOW,
    },
    "reservations": {
        "id": row_id(5),
        "hold_id": row_id(4),
        "lot_id": row_id(3),
        "position": 0,
        "amount_minor": 400,
        "captured_minor": 0,
        "released_minor": 0,
        "returned_minor": 0,
    },
    "orders": {
        "id": row_id(17),
        "source": "woocommerce",
        "external_id": "1042",
        "number": "1042",
        "wallet_id": row_id(2),
        "claimed_by": None,
        "status": "PENDING",
        "currency": "USD",
        "total_minor": 400,
        "subscription": None,
        "snapshot": "{}",
        "basis": None,
        "modified_at": NOW,
        "deleted_at": None,
        "credited_minor": 0,
        "shortfall_minor": 0,
        "problem": None,
        "created_at": NOW,
        "updated_at": NOW,
    },
    "payments": {
        "id": row_id(18),
        "order_id": row_id(17),
        "wallet_id": row_id(2),
        "hold_id": row_id(4),
        "reference": "PY-1",
        "origin": "CHECKOUT",
        "capture": "AUTOMATIC",
        "status": "AUTHORIZED",
        "amount_minor": 400,
        "owed_minor": 400,
        "captured_minor": 0,
        "requested_minor": 0,
        "returned_minor": 0,
        "currency": "USD",
        "buckets": "[]",
        "ended_by": None,
        "expires_at": None,
        "created_by_kind": "CUSTOMER",
        "created_by_id": "c-1",
        "created_at": NOW,
        "updated_at": NOW,
        "after_failure_at": None,
    },
    "refunds": {
        "id": row_id(19),
        "order_id": row_id(17),
        "wallet_id": row_id(2),
        "reference": "RF-1",
        "external_id": "7",
        "destination": "SPLIT",
        "bucket": "CASH",
        "amount_minor": 100,
        "shipping_minor": 0,
        "tax_minor": 0,
        "wallet_minor": 50,
        "credited_minor": 0,
        "elsewhere_minor": 50,
        "currency": "USD",
        "note": "",
        "lines": "[]",
        "created_by_kind": "SERVICE",
        "created_by_id": "store",
        "refunded_at": None,
        "created_at": NOW,
        "withdrawn_at": None,
    },
    "renewals": {
        "id": row_id(20),
        "wallet_id": row_id(2),
        "source": "woocommerce",
        "subscription": "77",
        "description": "",
        "amount_minor": 900,
        "currency": "USD",
        "due_at": NOW,
        "status": "UPCOMING",
        "created_by_kind": "SERVICE",
        "created_by_id": "store",
        "created_at": NOW,
        "updated_at": NOW,
    },
    "transactions": {
        "id": row_id(6),
        "wallet_id": row_id(2),
        "sequence": 1,
        "reference": "T-1",
        "kind": "ADJUSTMENT",
        "counter_account": "ADJUSTMENTS",
        "amount_minor": 1000,
        "balance_after_minor": 1000,
        "currency": "USD",
        "reason": None,
        "note": "Order 17 came late",
        "actor_kind": "STAFF",
        "actor_id": "s-1",
        "corrects_id": None,
        "hold_id": None,
        "order_id": None,
        "hash": b"\x02",
        "created_at": NOW,
    },
    "allocations": {
        "id": row_id(7),
        "transaction_id": row_id(6),
        "lot_id": row_id(3),
        "position": 0,
        "bucket": "CASH",
        "amount_minor": 1000,
        "expires_at": None,
    },
    "withdrawals": {
        "id": row_id(8),
        "wallet_id": row_id(2),
        "hold_id": row_id(4),
        "transaction_id": None,
        "reference": "W-1",
        "status": "REQUESTED",
        "amount_minor": 400,
        "currency": "USD",
        "note": "",
        "payout_reference": None,
        "requested_by_kind": "CUSTOMER",
        "requested_by_id": "c-1",
        "decided_by_kind": None,
        "decided_by_id": None,
        "decision_note": None,
        "created_at": NOW,
        "decided_at": None,
    },
    "settings_versions": {
        "version": 1,
        "data": "{}",
        "actor_kind": "SYSTEM",
        "actor_id": "coffer",
        "note": "",
        "created_at": NOW,
    },
    "audit_entries": {
        "id": row_id(9),
        "wallet_id": row_id(2),
        "action": "FREEZE",
        "actor_kind": "STAFF",
        "actor_id": "s-1",
        "note": "",
        "data": "{}",
        "created_at": NOW,
    },
    "signals": {
        "id": row_id(12),
        "kind": "RAPID_BALANCE_CHECKS",
        "actor_kind": "CUSTOMER",
        "actor_id": "c-1",
        "wallet_id": row_id(2),
        "count": 61,
        "window_s": 60,
        "created_at": NOW,
    },
    "deliveries": {
        "id": row_id(37),
        "door": "woocommerce",
        "topic": "order.updated",
        "external_id": "81d2",
        "content_hash": b"\x05",
        "size_bytes": 2,
        "status": "FAILED",
        "attempts": 1,
        "repeats": 0,
        "next_attempt_at": NOW,
        "error": "The ledger could not be reached.",
        "summary": None,
        "order_id": None,
        "received_at": NOW,
        "repeated_at": None,
        "done_at": None,
    },
    "delivery_bodies": {"id": row_id(38), "delivery_id": row_id(37), "body": b"{}"},
    "catalog_items": {
        "id": row_id(39),
        "source": "woocommerce",
        "kind": "PRODUCT",
        "external_id": "77",
        "name": "Cup",
        "code": "CUP-1",
        "categories": "[]",
        "modified_at": NOW,
        "deleted_at": None,
    },
    "sync_cursors": {
        "id": row_id(40),
        "name": "woocommerce.orders",
        "position": "{}",
        "leased_until": None,
        "holder": None,
        "updated_at": NOW,
    },
    "gift_cards": {
        "id": row_id(50),
        "reference": "GC-1",
        "code_hash": "0a",
        "last_characters": "XA4P",
        "currency": "USD",
        "initial_minor": 2500,
        "balance_minor": 2500,
        "status": "ACTIVE",
        "funded_by": "FUNDING",
        "batch": row_id(51),
        "label": "",
        "note": "",
        "expires_at": None,
        "sequence": 2,
        "head_hash": b"\x06",
        "created_by_kind": "STAFF",
        "created_by_id": "s-1",
        "created_at": NOW,
        "updated_at": NOW,
        "activated_at": NOW,
        "activated_by_kind": "STAFF",
        "activated_by_id": "s-1",
    },
    "gift_card_entries": {
        "id": row_id(52),
        "card_id": row_id(50),
        "sequence": 1,
        "kind": "REDEEMED",
        "amount_minor": -1000,
        "balance_after_minor": 0,
        "currency": "USD",
        "account": "WALLETS",
        "transaction_id": row_id(6),
        "actor_kind": "CUSTOMER",
        "actor_id": "c-1",
        "note": "",
        "hash": b"\x07",
        "created_at": NOW,
    },
    "roles": {
        "id": row_id(15),
        "name": "buyer",
        "description": "Buys",
        "capabilities": "[]",
        "maps_from": "[]",
        "archived_at": None,
        "created_at": NOW,
        "updated_at": NOW,
    },
    "api_keys": {
        "id": row_id(16),
        "prefix": "7k3m92qdxa4p",
        "hash": b"\x04",
        "name": "erp",
        "role_id": row_id(15),
        "capabilities": None,
        "expires_at": None,
        "replaces_id": None,
        "created_by_kind": "STAFF",
        "created_by_id": "s-1",
        "created_at": NOW,
        "last_used_at": None,
        "revoked_at": None,
    },
    "idempotency_keys": {
        "id": row_id(10),
        "scope": "STAFF:s-1",
        "key": "k-1",
        "command": "adjust",
        "request_hash": b"\x03",
        "result": "{}",
        "created_at": NOW,
    },
}

# What makes a second row of a table differ from the first where it must.
FRESH: dict[str, dict[str, Any]] = {
    "customers": {"id": row_id(101), "external_id": "c-2"},
    "wallets": {"id": row_id(102), "customer_id": row_id(11)},
    "lots": {"id": row_id(103), "sequence": 2},
    "holds": {"id": row_id(104)},
    "reservations": {"id": row_id(105), "lot_id": row_id(13)},
    "orders": {"id": row_id(117), "external_id": "1043"},
    "payments": {"id": row_id(118), "hold_id": row_id(14), "reference": "PY-2"},
    "refunds": {"id": row_id(119), "reference": "RF-2"},
    "renewals": {"id": row_id(120), "subscription": "78"},
    "transactions": {"id": row_id(106), "sequence": 2, "reference": "T-2"},
    "allocations": {"id": row_id(107), "position": 1},
    "withdrawals": {"id": row_id(108), "hold_id": row_id(14), "reference": "W-2"},
    "settings_versions": {"version": 2},
    "audit_entries": {"id": row_id(109)},
    "signals": {"id": row_id(112)},
    "deliveries": {"id": row_id(137)},
    "delivery_bodies": {"id": row_id(138), "delivery_id": row_id(44)},
    "catalog_items": {"id": row_id(139)},
    "sync_cursors": {"id": row_id(140)},
    "gift_cards": {"id": row_id(150), "reference": "GC-2", "code_hash": "0b"},
    "gift_card_entries": {"id": row_id(152), "sequence": 2, "transaction_id": row_id(53)},
    "roles": {"id": row_id(115), "name": "seller"},
    "api_keys": {"id": row_id(116), "prefix": "8k3m92qdxa4p"},
    "idempotency_keys": {"id": row_id(110), "key": "k-2"},
}


async def insert(connection: BaseDBAsyncClient, table: str, values: Mapping[str, Any]) -> None:
    """Insert one row, as SQL that both databases read."""
    columns = ", ".join(f'"{column}"' for column in values)
    literals = ", ".join(_literal(connection, value) for value in values.values())
    await connection.execute_query(f'INSERT INTO "{table}" ({columns}) VALUES ({literals})')


async def insert_all(connection: BaseDBAsyncClient) -> None:
    """One row in every table; and a spare customer, lot, hold, delivery and transaction for second rows to refer to."""
    for table, values in ROWS.items():
        await insert(connection, table, values)
    await insert(connection, "customers", ROWS["customers"] | {"id": row_id(11), "external_id": "c-11"})
    await insert(connection, "lots", ROWS["lots"] | {"id": row_id(13), "sequence": 13})
    await insert(connection, "holds", ROWS["holds"] | {"id": row_id(14)})
    await insert(connection, "deliveries", ROWS["deliveries"] | {"id": row_id(44)})
    another = {"id": row_id(53), "sequence": 53, "reference": "T-53"}
    await insert(connection, "transactions", ROWS["transactions"] | another)


def _literal(connection: BaseDBAsyncClient, value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        sqlite = connection.capabilities.dialect == "sqlite"
        return f"X'{value.hex()}'" if sqlite else f"'\\x{value.hex()}'::bytea"
    if isinstance(value, str):
        return "'{}'".format(value.replace("'", "''"))
    return str(value)
