"""What the database itself refuses, on both databases, and how its tables come to be."""

import asyncio
import importlib
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest
from tortoise import fields
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.connection import get_connection
from tortoise.context import TortoiseContext, get_current_context
from tortoise.exceptions import IntegrityError, OperationalError
from tortoise.migrations.autodetector import MigrationAutodetector
from tortoise.migrations.executor import MigrationExecutor
from tortoise.migrations.operations import AlterModelOptions, Operation
from tortoise.migrations.schema_generator.state import State
from tortoise.migrations.schema_generator.state_apps import StateApps
from tortoise.models import Model
from tortoise.transactions import in_transaction

import app
from app.db import (
    APP_LABEL,
    MIGRATIONS_MODULE,
    WRITER,
    DatabaseAheadError,
    DatabaseBehindError,
    migrate,
    open_database,
    pending_migrations,
    require_migrated,
)
from app.domain.access import ROLES
from app.migrations._operations import GrantCapabilities, ReplaceCheck, replace_check
from app.services.ledger.records import read_json, read_role, read_withdrawal_step
from app.settings import Settings
from tests.databases import FRESH, NOW, ROWS, insert, insert_all, row_id, settings_for
from tests.fork_server import fork_server, lines_of

# Breadth, not depth: the fast loop leaves it to `make test`.
pytestmark = pytest.mark.slow

MIGRATIONS = [
    importlib.import_module(f"{MIGRATIONS_MODULE}.{path.stem}")
    for path in sorted((Path(app.__file__).parent / "migrations").glob("[0-9]*.py"))
]


def of_all(name: str) -> Iterator[Any]:
    """What all migrations have under a name."""
    return (getattr(migration, name) for migration in MIGRATIONS if hasattr(migration, name))


initial = MIGRATIONS[0]
withdrawals = importlib.import_module(f"{MIGRATIONS_MODULE}.0012_withdrawals")

TABLES = [table for tables in of_all("TABLES") for table in tables]
APPEND_ONLY = {table: why for tables in of_all("APPEND_ONLY") for table, why in tables.items()}
KEPT = {table: why for tables in of_all("KEPT") for table, why in tables.items()}
IDENTITY = [rule for rules in of_all("IDENTITY") for rule in rules]
PRUNED = {table for tables in of_all("PRUNED") for table in tables}
ADDED_CHECKS = {
    "reservations_within_captured",
    "wallets_debt_not_negative",
    "customers_birthday_on_a_day",
    "withdrawals_method_not_empty",
    "withdrawals_fee_not_negative",
    "withdrawals_fee_payer_known",
    "withdrawals_problem_known",
    "withdrawals_step_count_positive",
}
"""Checks of columns that came later; all others stand with their tables."""
CHECKS = {f"{table.table}_{name}" for table in TABLES for name in table.checks} | ADDED_CHECKS
INDEXES = {
    statement.split()[2]
    for statement in [
        *(statement for statements in of_all("INDEXES") for statement in statements),
        *(index.sqlite for index in of_all("PAST_ORDERS")),
    ]
}

DROPPED = {name for names in of_all("DROPPED") for name in names}
"""Indexes that an earlier migration made, and a later one took away."""


@pytest.fixture
async def writer(database: TortoiseContext) -> BaseDBAsyncClient:
    """The writing connection of a database with one row in each table."""
    connection = database.connections.get(WRITER)
    await insert_all(connection)
    return connection


def tables() -> list[type[Model]]:
    """All models of the open database."""
    context = get_current_context()
    assert context is not None
    assert context.apps is not None
    return list(context.apps[APP_LABEL].values())


# --- Checks -------------------------------------------------------------------------------------------------

VIOLATIONS: list[tuple[str, dict[str, Any], str]] = [
    ("customers", {"external_id": ""}, "external_id_not_empty"),
    ("idempotency_keys", {"key": ""}, "key_not_empty"),
    ("settings_versions", {"version": 0}, "version_positive"),
    ("settings_versions", {"actor_kind": "ROBOT"}, "actor_kind_known"),
    ("wallets", {"status": "CLOSED"}, "status_known"),
    ("wallets", {"held_minor": -1}, "held_not_negative"),
    ("wallets", {"overdraft_minor": -1}, "overdraft_not_negative"),
    ("wallets", {"sequence": -1}, "sequence_not_negative"),
    ("wallets", {"version": -1}, "version_not_negative"),
    ("audit_entries", {"actor_kind": "ROBOT"}, "actor_kind_known"),
    ("holds", {"purpose": "FUN"}, "purpose_known"),
    ("holds", {"status": "HALF"}, "status_known"),
    ("holds", {"amount_minor": 0}, "amount_positive"),
    ("holds", {"captured_minor": -1}, "captured_not_negative"),
    ("holds", {"released_minor": -1}, "released_not_negative"),
    ("holds", {"captured_minor": 300, "released_minor": 101}, "within_amount"),
    ("lots", {"bucket": "OVERDRAFT"}, "bucket_known"),
    ("lots", {"sequence": 0}, "sequence_positive"),
    ("lots", {"original_minor": 0, "remaining_minor": 0, "held_minor": 0}, "original_positive"),
    ("lots", {"remaining_minor": -1}, "remaining_not_negative"),
    ("lots", {"held_minor": -1}, "held_not_negative"),
    ("lots", {"remaining_minor": 601}, "within_original"),
    ("reservations", {"amount_minor": 0}, "amount_positive"),
    ("reservations", {"captured_minor": -1}, "captured_not_negative"),
    ("reservations", {"released_minor": -1}, "released_not_negative"),
    ("reservations", {"captured_minor": 400, "released_minor": 1}, "within_amount"),
    ("reservations", {"returned_minor": -1}, "within_captured"),
    ("reservations", {"captured_minor": 100, "returned_minor": 101}, "within_captured"),
    ("orders", {"status": "LOST"}, "status_known"),
    ("orders", {"source": ""}, "source_not_empty"),
    ("orders", {"external_id": ""}, "external_id_not_empty"),
    ("orders", {"total_minor": -1}, "total_not_negative"),
    ("orders", {"credited_minor": -1}, "credited_not_negative"),
    ("orders", {"shortfall_minor": -1}, "shortfall_not_negative"),
    ("payments", {"origin": "FUN"}, "origin_known"),
    ("payments", {"capture": "NEVER"}, "capture_known"),
    ("payments", {"status": "HALF"}, "status_known"),
    ("payments", {"ended_by": "ROBOT"}, "ended_by_known"),
    ("payments", {"created_by_kind": "ROBOT"}, "created_by_kind_known"),
    ("payments", {"amount_minor": 0, "owed_minor": 0}, "amount_positive"),
    ("payments", {"captured_minor": 401}, "within_amount"),
    ("payments", {"owed_minor": -1}, "owed_within_amount"),
    ("payments", {"owed_minor": 401}, "owed_within_amount"),
    ("payments", {"requested_minor": -1}, "requested_within_captured"),
    ("payments", {"captured_minor": 100, "requested_minor": 101}, "requested_within_captured"),
    ("payments", {"returned_minor": -1}, "returned_within_captured"),
    ("payments", {"captured_minor": 100, "returned_minor": 101}, "returned_within_captured"),
    ("refunds", {"destination": "NOWHERE"}, "destination_known"),
    ("refunds", {"bucket": "GOLD"}, "bucket_known"),
    ("refunds", {"created_by_kind": "ROBOT"}, "created_by_kind_known"),
    ("refunds", {"amount_minor": -1, "wallet_minor": 0, "elsewhere_minor": 0}, "amount_not_negative"),
    ("refunds", {"wallet_minor": -1}, "parts_not_negative"),
    ("refunds", {"credited_minor": -1}, "parts_not_negative"),
    ("refunds", {"elsewhere_minor": -1}, "parts_not_negative"),
    ("refunds", {"credited_minor": 1}, "parts_within_amount"),
    ("renewals", {"status": "LATE"}, "status_known"),
    ("renewals", {"created_by_kind": "ROBOT"}, "created_by_kind_known"),
    ("renewals", {"amount_minor": 0}, "amount_positive"),
    ("promotions", {"status": "LOST"}, "status_known"),
    ("promotions", {"name": ""}, "name_not_empty"),
    ("promotions", {"uses": -1}, "uses_within_limit"),
    ("promotions", {"uses": 11}, "uses_within_limit"),
    ("promotions", {"granted_minor": -1}, "granted_within_budget"),
    ("promotions", {"granted_minor": 10001}, "granted_within_budget"),
    ("promotions", {"starts_at": NOW, "ends_at": NOW}, "ends_after_start"),
    ("coupon_codes", {"code": ""}, "code_not_empty"),
    ("coupon_codes", {"uses": -1}, "uses_within_limit"),
    ("coupon_codes", {"uses": 3}, "uses_within_limit"),
    ("promotion_uses", {"customer": ""}, "customer_not_empty"),
    ("promotion_uses", {"uses": -1}, "uses_not_negative"),
    ("coupon_redemptions", {"status": "LOST"}, "status_known"),
    ("coupon_redemptions", {"created_by_kind": "ROBOT"}, "created_by_kind_known"),
    ("coupon_redemptions", {"order_total_minor": -1}, "amount_not_negative"),
    ("coupon_redemptions", {"counts": 2}, "counts_yes_or_no"),
    ("coupon_redemptions", {"amount_minor": 0}, "granted_or_why_not"),
    ("coupon_redemptions", {"status": "REFUSED", "amount_minor": 0}, "granted_or_why_not"),
    ("transactions", {"sequence": 0}, "sequence_positive"),
    ("transactions", {"kind": "GUESS"}, "kind_known"),
    ("transactions", {"counter_account": "ELSEWHERE"}, "counter_account_known"),
    ("transactions", {"amount_minor": 0}, "amount_not_zero"),
    ("transactions", {"actor_kind": "ROBOT"}, "actor_kind_known"),
    ("transactions", {"corrects_id": row_id(106)}, "corrects_another"),
    ("allocations", {"bucket": "GOLD"}, "bucket_known"),
    ("allocations", {"bucket": "OVERDRAFT"}, "overdraft_has_no_lot"),
    ("allocations", {"lot_id": None}, "overdraft_has_no_lot"),
    ("allocations", {"amount_minor": 0}, "amount_not_zero"),
    ("signals", {"kind": "HUNCH"}, "kind_known"),
    ("signals", {"actor_kind": "ROBOT"}, "actor_kind_known"),
    ("signals", {"count": 0}, "count_positive"),
    ("signals", {"window_s": 0}, "window_positive"),
    ("withdrawals", {"status": "LOST"}, "status_known"),
    ("withdrawals", {"amount_minor": 0}, "amount_positive"),
    ("withdrawals", {"requested_by_kind": "ROBOT"}, "requested_by_kind_known"),
    ("withdrawals", {"decided_by_kind": "ROBOT"}, "decided_by_kind_known"),
    ("withdrawals", {"method": ""}, "method_not_empty"),
    ("withdrawals", {"fee_minor": -1}, "fee_not_negative"),
    ("withdrawals", {"fee_payer": "NOBODY"}, "fee_payer_known"),
    ("withdrawals", {"problem": "WEATHER"}, "problem_known"),
    ("withdrawals", {"step_count": 0}, "step_count_positive"),
    ("withdrawal_steps", {"number": 0}, "number_positive"),
    ("withdrawal_steps", {"from_status": None}, "first_has_none_before"),
    ("withdrawal_steps", {"from_status": "LOST"}, "from_status_known"),
    ("withdrawal_steps", {"to_status": "LOST"}, "to_status_known"),
    ("withdrawal_steps", {"actor_kind": "ROBOT"}, "actor_kind_known"),
    ("withdrawal_steps", {"problem": "WEATHER"}, "problem_known"),
    ("deliveries", {"door": "window"}, "door_known"),
    ("deliveries", {"status": "LOST", "next_attempt_at": None}, "status_known"),
    ("deliveries", {"size_bytes": -1}, "size_not_negative"),
    ("deliveries", {"attempts": -1}, "attempts_not_negative"),
    ("deliveries", {"repeats": -1}, "repeats_not_negative"),
    ("deliveries", {"next_attempt_at": None}, "next_attempt_while_waiting"),
    ("catalog_items", {"kind": "RUMOUR"}, "kind_known"),
    ("catalog_items", {"external_id": ""}, "external_id_not_empty"),
    ("sync_cursors", {"name": ""}, "name_not_empty"),
    ("cashback_rules", {"version": 0}, "version_positive"),
    ("cashback_rules", {"revision": 0}, "revision_positive"),
    ("cashback_rules", {"status": "LOUD"}, "status_known"),
    ("cashback_rules", {"trigger_kind": "FULL_MOON"}, "trigger_known"),
    ("cashback_rules", {"name": ""}, "name_not_empty"),
    ("cashback_rule_versions", {"version": 0}, "version_positive"),
    ("cashback_rule_versions", {"revision": 0}, "revision_positive"),
    ("cashback_rule_versions", {"actor_kind": "ROBOT"}, "actor_kind_known"),
    ("wallets", {"debt_minor": -1}, "debt_not_negative"),
    ("cashback_awards", {"source": "LUCK"}, "source_known"),
    ("cashback_awards", {"status": "LOST"}, "status_known"),
    ("cashback_awards", {"bucket": "GOLD"}, "bucket_known"),
    ("cashback_awards", {"amount_minor": 0}, "amount_positive"),
    ("cashback_awards", {"clawed_minor": 501}, "clawed_within_amount"),
    ("cashback_awards", {"clawed_minor": 7, "debt_minor": 8}, "debt_within_clawed"),
    ("cashback_awards", {"expired_minor": 501}, "expired_within_amount"),
    ("cashback_awards", {"order_total_minor": -1}, "order_total_not_negative"),
    ("cashback_evaluations", {"total_minor": -1}, "total_not_negative"),
    ("cashback_evaluations", {"occasion_key": ""}, "key_not_empty"),
    ("cashback_totals", {"given_minor": -1}, "given_not_negative"),
    ("cashback_totals", {"awards": -1}, "awards_not_negative"),
    ("gift_cards", {"status": "LOST", "balance_minor": 0}, "status_known"),
    ("gift_cards", {"funded_by": "BREAKAGE"}, "funded_by_known"),
    ("gift_cards", {"created_by_kind": "ROBOT"}, "created_by_kind_known"),
    ("gift_cards", {"activated_by_kind": "ROBOT"}, "activated_by_kind_known"),
    ("gift_cards", {"initial_minor": 0, "balance_minor": 0, "status": "REDEEMED"}, "initial_positive"),
    ("gift_cards", {"balance_minor": 2501}, "within_initial"),
    ("gift_cards", {"balance_minor": -1, "status": "DISABLED"}, "within_initial"),
    ("gift_cards", {"sequence": 0}, "sequence_positive"),
    ("gift_cards", {"status": "REDEEMED"}, "owed_while_usable"),
    ("gift_cards", {"status": "INACTIVE"}, "owed_while_usable"),
    ("gift_cards", {"balance_minor": 0}, "active_has_value"),
    ("gift_card_entries", {"kind": "GUESSED", "transaction_id": None}, "kind_known"),
    ("gift_card_entries", {"account": "SALES"}, "account_known"),
    ("gift_card_entries", {"actor_kind": "ROBOT"}, "actor_kind_known"),
    ("gift_card_entries", {"sequence": 0}, "sequence_positive"),
    ("gift_card_entries", {"balance_after_minor": -1}, "balance_not_negative"),
    ("gift_card_entries", {"account": None}, "account_where_value_moves"),
    ("gift_card_entries", {"amount_minor": 0}, "account_where_value_moves"),
    ("gift_card_entries", {"transaction_id": None}, "transaction_of_wallets"),
    ("gift_card_entries", {"kind": "EXPIRED", "account": "BREAKAGE"}, "transaction_of_wallets"),
    ("customers", {"birthday_on": 0}, "birthday_on_a_day"),
    ("celebrations", {"trigger": ""}, "trigger_not_empty"),
    ("celebrations", {"key": ""}, "key_not_empty"),
    ("expiry_reminders", {"amount_minor": 0}, "amount_positive"),
    ("store_events", {"name": ""}, "name_not_empty"),
    ("store_events", {"external_id": ""}, "external_id_not_empty"),
    ("store_events", {"created_by_kind": "ROBOT"}, "created_by_kind_known"),
    ("top_ups", {"source": ""}, "source_not_empty"),
    ("top_ups", {"external_id": ""}, "external_id_not_empty"),
    ("top_ups", {"paid_minor": -1, "credited_minor": 0, "shortfall_minor": 1}, "paid_not_negative"),
    ("top_ups", {"face_value_minor": -1, "shortfall_minor": 91}, "face_value_not_negative"),
    ("top_ups", {"credited_minor": -1}, "credited_not_negative"),
    ("top_ups", {"shortfall_minor": -1, "credited_minor": 0}, "shortfall_not_negative"),
    ("top_ups", {"credited_minor": 91}, "credited_what_was_kept"),
    ("top_ups", {"credited_minor": 81, "face_value_minor": 80}, "credited_what_was_kept"),
    ("top_ups", {"created_by_kind": "ROBOT"}, "created_by_kind_known"),
    ("webhook_endpoints", {"url": ""}, "url_not_empty"),
    ("webhook_endpoints", {"status": "TIRED", "disabled_by": None}, "status_known"),
    ("webhook_endpoints", {"status": "DISABLED", "disabled_by": "ROBOT"}, "disabled_by_known"),
    ("webhook_endpoints", {"disabled_by": "GONE"}, "disabled_by_somebody"),
    ("webhook_endpoints", {"created_by_kind": "ROBOT"}, "created_by_kind_known"),
    ("outbox_events", {"type": ""}, "type_not_empty"),
    ("outbox_events", {"version": 0}, "version_positive"),
    ("outbox_messages", {"channel": "PIGEON"}, "channel_known"),
    ("outbox_messages", {"target": ""}, "target_not_empty"),
    ("outbox_messages", {"status": "LOST", "next_attempt_at": None}, "status_known"),
    ("outbox_messages", {"attempts": -1}, "attempts_not_negative"),
    ("outbox_messages", {"next_attempt_at": None}, "next_attempt_while_waiting"),
    ("outbox_attempts", {"number": 0}, "number_positive"),
    ("outbox_attempts", {"duration_ms": -1}, "duration_not_negative"),
    ("top_up_intents", {"amount_minor": 0}, "amount_positive"),
    ("top_up_intents", {"status": "LOST", "top_up_id": None}, "status_known"),
    ("top_up_intents", {"status": "STARTED"}, "completed_by_money"),
    ("top_up_intents", {"top_up_id": None}, "completed_by_money"),
    ("top_up_intents", {"created_by_kind": "ROBOT"}, "created_by_kind_known"),
    ("auto_top_ups", {"amount_minor": 0}, "amount_positive"),
    ("auto_top_ups", {"kind": "YEARLY", "day_of_month": None}, "kind_known"),
    ("auto_top_ups", {"threshold_minor": 1}, "threshold_with_its_kind"),
    ("auto_top_ups", {"kind": "THRESHOLD", "threshold_minor": 0, "day_of_month": None}, "threshold_positive"),
    ("auto_top_ups", {"day_of_month": None}, "day_with_its_kind"),
    ("auto_top_ups", {"day_of_month": 32}, "day_of_a_month"),
    ("auto_top_ups", {"status": "ASLEEP", "charge_id": None}, "status_known"),
    ("auto_top_ups", {"declines": -1}, "declines_not_negative"),
    ("auto_top_ups", {"status": "PAUSED"}, "waits_only_while_active"),
    ("auto_top_ups", {"created_by_kind": "ROBOT"}, "created_by_kind_known"),
    ("auto_top_up_charges", {"amount_minor": 0}, "amount_positive"),
    ("auto_top_up_charges", {"attempt": 0}, "attempt_positive"),
    ("auto_top_up_charges", {"status": "LOST", "top_up_id": None}, "status_known"),
    ("auto_top_up_charges", {"status": "DECLINED"}, "paid_by_money"),
    ("auto_top_up_charges", {"top_up_id": None}, "paid_by_money"),
    ("payout_methods", {"kind": "CASH"}, "kind_known"),
    ("payout_methods", {"status": "LOST"}, "status_known"),
    ("payout_methods", {"created_by_kind": "ROBOT"}, "actor_kind_known"),
    ("payout_methods", {"status": "REMOVED"}, "removed_has_time"),
    ("payout_methods", {"usable_from": "2020-01-01 00:00:00+00:00"}, "waits_forwards"),
    ("payout_messages", {"kind": "LOST"}, "kind_known"),
    ("roles", {"name": ""}, "name_not_empty"),
    ("roles", {"name": "customer", "archived_at": NOW}, "always_used"),
    ("api_keys", {"name": ""}, "name_not_empty"),
    ("api_keys", {"capabilities": "[]"}, "role_or_capabilities"),
    ("api_keys", {"replaces_id": row_id(116)}, "replaces_another"),
    ("api_keys", {"created_by_kind": "ROBOT"}, "created_by_kind_known"),
]


async def test_every_check_is_refused_by_its_name(writer: BaseDBAsyncClient) -> None:
    """Each bad row is refused by exactly the check that is about it."""
    assert {f"{table}_{name}" for table, _, name in VIOLATIONS} == CHECKS
    for table, bad, name in VIOLATIONS:
        with pytest.raises(IntegrityError) as refused:
            await insert(writer, table, ROWS[table] | FRESH[table] | bad)
        assert f"{table}_{name}" in str(refused.value), (table, bad)


async def test_every_check_is_in_the_catalogue(writer: BaseDBAsyncClient) -> None:
    if writer.capabilities.dialect == "postgres":
        rows = await writer.execute_query_dict(
            "SELECT conname AS name FROM pg_constraint WHERE contype = 'c'"
        )
        present = {row["name"] for row in rows}
    else:
        rows = await writer.execute_query_dict("SELECT sql FROM sqlite_schema WHERE type = 'table'")
        present = {name for name in CHECKS for row in rows if f'CONSTRAINT "{name}" CHECK' in row["sql"]}
    assert present >= CHECKS


async def test_second_rows_are_welcome(writer: BaseDBAsyncClient) -> None:
    """The rows that the violations start from are themselves fine."""
    for table, values in ROWS.items():
        await insert(writer, table, values | FRESH[table])
    overdraft = {"id": row_id(207), "position": 2, "bucket": "OVERDRAFT", "lot_id": None}
    await insert(writer, "allocations", ROWS["allocations"] | overdraft)


async def test_integers_are_integers(writer: BaseDBAsyncClient) -> None:
    """SQLite would keep a fraction, a text, or a number beyond 64 bits, as it likes."""
    columns = [
        (model._meta.db_table, column)
        for model in tables()
        for name, column in model._meta.fields_db_projection.items()
        if isinstance(model._meta.fields_map[name], (fields.BigIntField, fields.IntField))
    ]
    assert ("wallets", "posted_minor") in columns
    assert ("lots", "sequence") in columns
    for table, column in columns:
        for bad in (9_223_372_036_854_775_808, "many"):
            with pytest.raises((IntegrityError, OperationalError)):
                await insert(writer, table, ROWS[table] | FRESH[table] | {column: bad})
        if writer.capabilities.dialect == "sqlite":
            # What is given back was captured: a check that came with its column stands before that of integers.
            room = {"captured_minor": 1} if column == "returned_minor" else {}
            with pytest.raises(IntegrityError, match=f"{table}_{column}_integer"):
                await insert(writer, table, ROWS[table] | FRESH[table] | room | {column: 0.5})


# --- Keys ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "same"),
    [
        ("customers", {"external_id": "c-1"}),
        ("wallets", {"customer_id": row_id(1)}),
        ("lots", {"sequence": 1}),
        ("reservations", {"lot_id": row_id(3)}),
        ("transactions", {"sequence": 1}),
        ("transactions", {"reference": "T-1"}),
        ("allocations", {"position": 0}),
        ("orders", {"external_id": "1042"}),
        ("payments", {"hold_id": row_id(4)}),
        ("payments", {"reference": "PY-1"}),
        ("refunds", {"reference": "RF-1"}),
        ("renewals", {"subscription": "77"}),
        ("withdrawals", {"hold_id": row_id(4)}),
        ("withdrawals", {"reference": "W-1"}),
        ("settings_versions", {"version": 1}),
        ("idempotency_keys", {"key": "k-1"}),
        ("delivery_bodies", {"delivery_id": row_id(37)}),
        ("gift_cards", {"reference": "GC-1"}),
        ("gift_cards", {"code_hash": "0a"}),
        ("gift_card_entries", {"sequence": 1}),
        ("gift_card_entries", {"transaction_id": row_id(6)}),
        ("coupon_codes", {"code": "SPRING"}),
        ("celebrations", {"key": "birthday:2026"}),
        ("expiry_reminders", {"expires_on": "2026-02-03"}),
        ("store_events", {"external_id": "81"}),
        ("top_ups", {"external_id": "1050"}),
        ("top_ups", {"reference": "TU-1"}),
        ("top_ups", {"transaction_id": row_id(6)}),
        ("top_up_intents", {"reference": "TI-1"}),
        ("auto_top_ups", {"kind": "THRESHOLD", "threshold_minor": 20, "day_of_month": None}),
        ("auto_top_up_charges", {"reference": "TC-1"}),
        ("auto_top_up_charges", {"status": "REQUESTED", "top_up_id": None}),
        ("roles", {"name": "buyer"}),
        ("api_keys", {"prefix": "7k3m92qdxa4p"}),
        ("cashback_rules", {"revision": 1}),
        ("cashback_rule_versions", {"version": 1}),
        ("cashback_rule_versions", {"revision": 1}),
        ("cashback_totals", {"given_by": row_id(50)}),
    ],
)
async def test_unique_keys(writer: BaseDBAsyncClient, table: str, same: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match=r"(?i)unique"):
        await insert(writer, table, ROWS[table] | FRESH[table] | same)


@pytest.mark.parametrize(
    ("table", "column"),
    [(table, column) for table, row in ROWS.items() for column in row if column.endswith("_id")],
)
async def test_references(writer: BaseDBAsyncClient, table: str, column: str) -> None:
    if column in {"external_id", "actor_id"} or column.endswith("_by_id"):
        return  # ids of the store's, not of our tables
    if (table, column) == ("coupon_codes", "batch_id"):
        return  # codes that were made together have it in common
    if (table, column) == ("auto_top_ups", "charge_id"):
        return  # a charge names its rule, and comes after it
    if (table, column) == ("deliveries", "order_id"):
        return  # what a message tells of an order may come to nothing
    if table == "outbox_events" or (table, column) == ("outbox_messages", "event_id"):
        return  # events are deleted after a while, and so may what they tell of
    if (table, column) in {("deliveries", "order_id"), ("withdrawals", "payout_method_id")}:
        return  # what a message tells may come to nothing; how to pay is kept elsewhere
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
        await insert(writer, table, ROWS[table] | FRESH[table] | {column: row_id(999)})


async def test_indexes(writer: BaseDBAsyncClient) -> None:
    if writer.capabilities.dialect == "postgres":
        rows = await writer.execute_query_dict("SELECT indexname AS name FROM pg_indexes")
    else:
        rows = await writer.execute_query_dict("SELECT name FROM sqlite_schema WHERE type = 'index'")
    names = {row["name"] for row in rows}
    assert names >= INDEXES - DROPPED
    assert not names & DROPPED


# --- Triggers -----------------------------------------------------------------------------------------------


async def test_append_only(writer: BaseDBAsyncClient) -> None:
    for table, message in APPEND_ONLY.items():
        column = next(name for name in ROWS[table] if name.endswith("_at") or name == "position")
        for statement in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):
            with pytest.raises(IntegrityError) as refused:
                await writer.execute_query(statement)
            assert message in str(refused.value)


async def test_kept(writer: BaseDBAsyncClient) -> None:
    for table, message in KEPT.items():
        with pytest.raises(IntegrityError) as refused:
            await writer.execute_query(f"DELETE FROM {table}")
        assert message in str(refused.value)


async def test_every_table_is_append_only_or_kept() -> None:
    assert {table.table for table in TABLES} == {*APPEND_ONLY, *KEPT, *PRUNED}


async def test_identity_stays(writer: BaseDBAsyncClient) -> None:
    changed = {
        "bucket": "'PROMO'",
        "type": "'wallet.frozen'",
        "data": "'[7]'",
        "channel": "'EMAIL'",
        "target": "'elsewhere'",
        "error": "'other'",
        "answer": "'other'",
        "started_at": "'2099-01-01 00:00:00+00:00'",
        "note": "'another'",
        "method": "'PAYPAL'",
        "fee_payer": "'CUSTOMER'",
        "requested_by_kind": "'SYSTEM'",
        "kind": "'PAYPAL'",
        "masked": "'nothing'",
        "fingerprint": "X'07'" if writer.capabilities.dialect == "sqlite" else r"'\x07'::bytea",
        "usable_from": "'2099-01-01 00:00:00+00:00'",
        "currency": "'EUR'",
        "expires_at": "'2099-01-01 00:00:00+00:00'",
        "name": "'queen'",
        "prefix": "'9k3m92qdxa4p'",
        "hash": "prefix" if writer.capabilities.dialect == "sqlite" else "prefix::bytea",
        "capabilities": "'[]'",
        "door": "'shopify'",
        "topic": "'order.deleted'",
        "content_hash": "X'07'" if writer.capabilities.dialect == "sqlite" else r"'\x07'::bytea",
        "body": "X'07'" if writer.capabilities.dialect == "sqlite" else r"'\x07'::bytea",
        "received_at": "'2099-01-01 00:00:00+00:00'",
        "source": "'shopify'",
        "external_id": "'9999'",
        "subscription": "'99'",
        "lines": "'[7]'",
        "explanation": "'[7]'",
        "occasion_key": "'order:7'",
        "given_by": f"'{row_id(11)}'",
        "store_customer": "'somebody'",
        "trigger": "'EVENT'",
        "occurred_on": "'2099-01-01'",
        "occurred_at": "'2099-01-01 00:00:00+00:00'",
        "awarded_at": "'2099-01-01 00:00:00+00:00'",
        "vests_at": "'2099-01-01 00:00:00+00:00'",
        "reference": "'GC-9'",
        "code_hash": "'0c'",
        "last_characters": "'9999'",
        "funded_by": "'MARKETING'",
        "batch": f"'{row_id(11)}'",
        "created_by_kind": "'SERVICE'",
        "created_by_id": "'s-2'",
        "code": "'WINTER'",
        "customer": "'c-9'",
        "created_at": "'2099-01-01 00:00:00+00:00'",
    }
    for table, columns, message in IDENTITY:
        for column in columns:
            json = "'[7]'" if (table, column) == ("outbox_messages", "body") else None
            value = (
                json
                or changed.get(column)
                or (f"'{row_id(11)}'" if column.endswith("id") else f"{column} + 7")
            )
            with pytest.raises(IntegrityError) as refused:
                await writer.execute_query(f"UPDATE {table} SET {column} = {value}")
            assert message in str(refused.value), (table, column)


async def test_the_rest_changes(writer: BaseDBAsyncClient) -> None:
    """The ledger's own updates, which set identity columns to what they are, go through."""
    await writer.execute_query(
        "UPDATE wallets SET posted_minor = 7, version = version + 1, currency = currency"
    )
    await writer.execute_query("UPDATE lots SET remaining_minor = 1, bucket = bucket")
    await writer.execute_query("UPDATE holds SET status = 'CAPTURED', captured_minor = amount_minor")
    await writer.execute_query("UPDATE withdrawals SET status = 'PAID'")
    rows = await writer.execute_query_dict("SELECT posted_minor, version FROM wallets")
    assert [tuple(row.values()) for row in rows] == [(7, 3)]


@pytest.mark.parametrize("dialect", [pytest.param("postgres", marks=pytest.mark.postgres)])
async def test_truncate(writer: BaseDBAsyncClient) -> None:
    for table, message in (APPEND_ONLY | KEPT).items():
        with pytest.raises(IntegrityError) as refused:
            await writer.execute_script(f"TRUNCATE {table} CASCADE")
        assert any(known in str(refused.value) for known in (APPEND_ONLY | KEPT).values())
        triggers = await writer.execute_query_dict(
            f"SELECT tgname FROM pg_trigger WHERE tgname = '{table}_refuse_truncate'"
        )
        assert len(triggers) == 1, message


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_replace_is_a_delete(writer: BaseDBAsyncClient) -> None:
    """INSERT OR REPLACE deletes what is in its way, past the triggers, unless a pragma says otherwise."""
    with pytest.raises(IntegrityError, match="post a correction"):
        await writer.execute_query("INSERT OR REPLACE INTO transactions SELECT * FROM transactions")


# --- Migrating ----------------------------------------------------------------------------------------------


async def test_migrating_twice_does_nothing_more(empty_database_url: str) -> None:
    settings = settings_for(empty_database_url)
    steps: list[str] = []
    done = await migrate(settings, steps.append)
    assert done[0] == "0001_initial"
    assert steps == done
    assert await migrate(settings) == []
    async with open_database(settings):
        assert await pending_migrations() == []
        await require_migrated()


@pytest.mark.slow
async def test_two_processes_migrate_at_once(empty_database_url: str, tmp_path: Path) -> None:
    environment = os.environ | {"COFFER_DATABASE_URL": empty_database_url}
    processes = [
        fork_server().start("app", "migrate", cwd=tmp_path, environment=environment, stdout=PIPE, stderr=2)
        for _ in range(3)
    ]
    answers: list[str] = []
    for process in processes:
        async with lines_of(process.stdout) as lines:
            answers.append((await lines.read()).decode())
    assert [await asyncio.to_thread(process.wait, 60) for process in processes] == [0, 0, 0]
    applied = [name for answer in answers for name in re.findall(r"Applied migration (\w+)", answer)]
    assert applied.count("0001_initial") == 1
    assert len(applied) == len(set(applied))


async def test_a_database_that_is_behind(empty_database_url: str) -> None:
    async with open_database(settings_for(empty_database_url)):
        assert "0001_initial" in await pending_migrations()
        with pytest.raises(DatabaseBehindError, match="python -m app migrate"):
            await require_migrated()


async def test_a_database_that_is_ahead(settings: Settings) -> None:
    async with open_database(settings):
        await get_connection(WRITER).execute_query(
            "INSERT INTO tortoise_migrations (app, name, applied_at)"
            f" VALUES ('{APP_LABEL}', '9999_future', '2030-01-01 00:00:00+00:00')"
        )
        with pytest.raises(DatabaseAheadError, match="9999_future"):
            await require_migrated()
    with pytest.raises(DatabaseAheadError, match="Install that version"):
        await migrate(settings)


async def test_models_and_migrations_agree(database: TortoiseContext) -> None:
    """Nothing is left for `makemigrations` to do. (Docstrings, which Tortoise takes for comments, don't count.)"""
    assert database.apps is not None
    detector = MigrationAutodetector(database.apps, {APP_LABEL: {"migrations": MIGRATIONS_MODULE}})
    found = [operation for migration in await detector.changes() for operation in migration.operations]
    assert [operation.describe() for operation in found if not isinstance(operation, AlterModelOptions)] == []


async def test_columns_are_those_of_the_models(writer: BaseDBAsyncClient) -> None:
    for model in tables():
        table = model._meta.db_table
        if writer.capabilities.dialect == "postgres":
            query = f"SELECT column_name AS name FROM information_schema.columns WHERE table_name = '{table}'"
        else:
            query = f"SELECT name FROM pragma_table_info('{table}')"
        names = {row["name"] for row in await writer.execute_query_dict(query)}
        assert names == set(model._meta.fields_db_projection.values())


# --- Rights -------------------------------------------------------------------------------------------------


async def test_a_store_begins_with_the_presets(database: TortoiseContext) -> None:
    """Whoever adds a capability to a preset adds a migration that grants it."""
    rows = await get_connection(WRITER).execute_query_dict("SELECT * FROM roles ORDER BY id")
    roles = [read_role(row) for row in rows]
    assert {role.name: role.granted for role in roles} == ROLES
    assert roles[0].name == "administrator"
    assert all(role.description for role in roles)
    assert {(role.maps_from, role.archived_at) for role in roles} == {((), None)}
    age = datetime.now(UTC) - roles[0].created_at
    assert timedelta(0) < age < timedelta(hours=1)


async def test_a_version_brings_rights(writer: BaseDBAsyncClient) -> None:
    granted = GrantCapabilities({"support": ["FLY", "WALLETS_READ"], "nobody": ["SWIM"]})
    for _ in range(2):
        await _apply(writer, granted)
        rows = await writer.execute_query_dict("SELECT name, capabilities FROM roles")
        held = {row["name"]: set(read_json(row["capabilities"])) for row in rows}
        assert held["support"] == {str(capability) for capability in ROLES["support"]} | {"FLY"}
        assert held["finance"] == {str(capability) for capability in ROLES["finance"]}


# --- Later migrations ---------------------------------------------------------------------------------------


async def test_a_closed_set_is_widened(writer: BaseDBAsyncClient) -> None:
    """A table keeps its rows, references, checks, indexes and triggers when one of its checks is replaced."""
    before = await _definitions(writer)
    kinds = (*initial.TRANSACTION_KINDS, "GIFT")
    await _apply(writer, ReplaceCheck("transactions", "kind_known", initial.one_of("kind", kinds)))

    await insert(
        writer,
        "transactions",
        ROWS["transactions"] | FRESH["transactions"] | {"id": row_id(206), "kind": "GIFT"},
    )
    after = await _definitions(writer)
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert changed == {"transactions_kind_known" if "transactions_kind_known" in before else "transactions"}
    another = ROWS["transactions"] | {"id": row_id(106), "sequence": 3, "reference": "T-3"}
    for bad, name in [(bad, name) for table, bad, name in VIOLATIONS if table == "transactions"]:
        with pytest.raises(IntegrityError, match=f"transactions_{name}"):
            await insert(writer, "transactions", another | bad)
    with pytest.raises(IntegrityError, match="post a correction"):
        await writer.execute_query("DELETE FROM transactions")
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
        await insert(
            writer,
            "allocations",
            ROWS["allocations"] | FRESH["allocations"] | {"transaction_id": row_id(999)},
        )


async def test_withdrawals_that_were_there_get_their_steps(database: TortoiseContext) -> None:
    """An open one has one step, one that ended has two: who, when and why stand in its own row."""
    connection = database.connections.get(WRITER)
    for table in ("customers", "wallets", "holds"):
        await insert(connection, table, ROWS[table])
    await insert(connection, "holds", ROWS["holds"] | {"id": row_id(14)})
    await insert(connection, "withdrawals", ROWS["withdrawals"] | {"note": "To my bank"})
    ended = {
        **(ROWS["withdrawals"] | FRESH["withdrawals"]),
        "status": "REJECTED",
        "decided_by_kind": "STAFF",
        "decided_by_id": "s-1",
        "decided_at": NOW,
        "decision_note": "Another name",
    }
    await insert(connection, "withdrawals", ended)
    await _apply(connection, withdrawals.WriteStepsDown())
    rows = await connection.execute_query_dict(
        "SELECT s.*, w.step_count FROM withdrawal_steps s JOIN withdrawals w ON w.id = s.withdrawal_id "
        "ORDER BY w.reference, s.number"
    )
    steps = [read_withdrawal_step(row) for row in rows]
    assert len({step.id for step in steps}) == 3
    assert [(step.number, step.from_status, step.to_status, step.actor.id, step.note) for step in steps] == [
        (1, None, "REQUESTED", "c-1", "To my bank"),
        (1, None, "REQUESTED", "c-1", None),
        (2, "REQUESTED", "REJECTED", "s-1", "Another name"),
    ]
    assert [row["step_count"] for row in rows] == [1, 2, 2]


def test_replacing_a_check_keeps_its_neighbours() -> None:
    definition = """CREATE TABLE "t" ("a" INT, CONSTRAINT "t_a" CHECK (a IN (')', '(''')), "b" TEXT)"""
    assert replace_check(definition, "t_a", "a > 0") == (
        'CREATE TABLE "t" ("a" INT, CONSTRAINT "t_a" CHECK (a > 0), "b" TEXT)'
    )


async def _apply(connection: BaseDBAsyncClient, operation: Operation) -> None:
    """Run one operation as `migrate` would."""
    sqlite = connection.capabilities.dialect == "sqlite"
    if sqlite:
        await connection.execute_query("PRAGMA foreign_keys=OFF")
    async with in_transaction(WRITER) as transaction:
        editor = MigrationExecutor(transaction, {})._schema_editor()
        state = State(models={}, apps=StateApps())
        await operation.database_forward(APP_LABEL, state, state, editor)
        if sqlite:
            assert await transaction.execute_query_dict("PRAGMA foreign_key_check") == []
    if sqlite:
        await connection.execute_query("PRAGMA foreign_keys=ON")


async def _definitions(connection: BaseDBAsyncClient) -> dict[str, str]:
    """What the database says of its tables, checks, indexes and triggers, by name."""
    if connection.capabilities.dialect == "sqlite":
        query = "SELECT name, sql AS definition FROM sqlite_schema WHERE sql IS NOT NULL"
    else:
        query = (
            "SELECT conname AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint"
            " UNION ALL SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
            " UNION ALL SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal"
        )
    return {row["name"]: row["definition"] for row in await connection.execute_query_dict(query)}
