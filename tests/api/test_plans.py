"""How the databases would answer every list, with each filter and each order: along an index, whatever the size.

What is asked is made from the schema, so that a new list, filter or order is looked at too.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from graphql import GraphQLEnumType, GraphQLInputObjectType, get_named_type, is_list_type
from tortoise.connection import get_connection

from app.db import keep_statistics
from app.models import paging
from app.schema.types.node import encode_id
from app.seed.scale import Scale, grow
from app.services.liability import liabilities
from tests.api.store import ADMINISTRATOR, CORE, JsonObject, Store, root_fields
from tests.api.test_statements import Statements, counted
from tests.databases import row_id

# Breadth, not depth: the fast loop leaves it to `make test`.
pytestmark = pytest.mark.slow

WALLETS = 400

SAME = dict.fromkeys(
    ("status", "kind", "action", "channel", "trigger_kind", "trigger"), 250_000
) | dict.fromkeys(
    ("created_at", "received_at", "awarded_at", "posted_minor", "amount_minor", "last_activity_at", "due_at"),
    2,
)
"""How many of a million rows have the same value in a column; in others it is 50."""

FEW = {
    "api_keys",
    "cashback_rules",
    "cashback_rule_versions",
    "promotions",
    "roles",
    "settings_versions",
    "webhook_endpoints",
}
"""Tables of what the store's people make by hand: as many rows as they care to make."""

BOUNDED = re.compile(
    # By what names one row or a few of them; by what the newest transactions are; what an amount of work waits for.
    r"sqlite_autoindex_|_by_(wallet|external_id|number|hold|order|batch|subscription|their_reference|payout_reference"
    r"|last_characters) |orders_with_problems|withdrawals_with_problem|created_at>\?|received_at>\?|awarded_at>\?"
    # What lies in a range of amounts, or was used in a while, is sorted: as much as there is in it.
    r"|posted_minor>|amount_minor>|last_activity_at>|expires_at>|last_activity_at<"
)
"""Indexes whose rows of one value, or of one stretch of time, may be sorted: they don't grow with the store."""

BETWEEN = re.compile(
    r"USING|VIRTUAL|CONSTANT|json_each|\(subquery|SCAN (counted|chosen|found|listed|f|walked)$"
)
"""What is read through and may be: an index in its order, and what a statement has found itself: a page, or few customers."""

SAMPLES: dict[str, Any] = {
    "TimeRange": {"from": "2025-12-01T00:00:00Z", "to": "2025-12-15T00:00:00Z"},
    "AmountRange": {"min": "10.00", "max": "12.00"},
    "DateTime": "2025-12-15T00:00:00Z",
    "Boolean": True,
    "CurrencyCode": "USD",
}
ROW = UUID(row_id(1))
IDS = {"walletId": "Wallet", "ruleId": "CashbackRule", "endpointId": "WebhookEndpoint", "orderId": "Order"}
TEXTS = {"batchId": str(ROW), "source": "shop", "search": "damaged", "events": ["wallet.credited"]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def grown(api: Store, dialect: str) -> AsyncIterator[Store]:
    """A store with something in its lists; its database knows what it holds."""
    await grow(Scale(WALLETS, datetime(2026, 6, 1, tzinfo=UTC)), customers=0)
    with pytest.MonkeyPatch.context() as patch:
        # As in a long history: there are more than are looked at.
        patch.setattr(paging, "SEARCHED_MAX", 500)
        if dialect == "sqlite":
            await pretend_to_be_big()
        yield api


async def pretend_to_be_big() -> None:
    """Tell SQLite's planner that every table has a million rows, of which a quarter have the same state or kind."""
    connection = get_connection("writer")
    await keep_statistics(everything=True)
    await connection.execute_query("DELETE FROM sqlite_stat1")
    indexes = await connection.execute_query_dict(
        "SELECT tbl_name, name FROM sqlite_schema WHERE type = 'index' AND tbl_name NOT LIKE 'customer_search%'"
    )
    for index in indexes:
        columns = await connection.execute_query_dict(f"PRAGMA index_info({index['name']})")
        names = [column["name"] for column in columns]
        same = [str(max(1, SAME.get(names[0], 50) >> 6 * place)) for place in range(len(names))]
        if index["name"].startswith("sqlite_autoindex") or names[-1] == "id":
            same[-1] = "1"
        values = [index["tbl_name"], index["name"], " ".join(["1000000", *same])]
        await connection.execute_query("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)", values)
    # Whoever has the tables open already reads the figures when a table comes.
    await connection.execute_script("CREATE TABLE new_one (id INTEGER); DROP TABLE new_one")


def lists() -> dict[str, Any]:
    """Fields of the root that are connections, with their arguments."""
    return {
        name: field.args
        for name, field in root_fields("Query").items()
        if get_named_type(field.type).name.endswith("Connection")
    }


def samples_of(name: str, type_: Any) -> Iterator[Any]:
    """Values to narrow a list by: of a closed set the first, the last, and two together."""
    named = get_named_type(type_)
    listed = is_list_type(type_) or is_list_type(getattr(type_, "of_type", None))
    if isinstance(named, GraphQLEnumType):
        values = list(named.values)
        if listed:
            yield from ([values[0]], [values[-1]], values[:2])
        else:
            yield values[0]
    elif named.name == "ID":
        yield encode_id(IDS[name], ROW)
    elif named.name == "String":
        yield TEXTS.get(name, "amira")
    else:
        yield SAMPLES[named.name]


def questions() -> Iterator[tuple[str, JsonObject]]:
    """Every list plainly, with each filter, each order (also from a cursor on), and a search."""
    for field, arguments in lists().items():
        for given in ({}, *filters_of(arguments), *sorts_of(arguments), *searches_of(arguments)):
            yield field, given


def filters_of(arguments: Any) -> Iterator[JsonObject]:
    """What a list can be narrowed by."""
    if "filter" in arguments:
        wanted = get_named_type(arguments["filter"].type)
        assert isinstance(wanted, GraphQLInputObjectType)
        for name, part in wanted.fields.items():
            yield from ({"filter": {name: value}} for value in samples_of(name, part.type))
    elif "statuses" in arguments:
        yield from ({"statuses": value} for value in samples_of("statuses", arguments["statuses"].type))


def sorts_of(arguments: Any) -> Iterator[JsonObject]:
    """What orders a list comes in."""
    if "direction" in arguments:
        yield {"direction": "ASC"}
    if "sort" in arguments:
        columns = get_named_type(get_named_type(arguments["sort"].type).fields["field"].type)
        for column in columns.values:
            yield from ({"sort": {"field": column, "direction": way}} for way in ("ASC", "DESC"))
            if "search" in arguments:
                sort = {"field": column, "direction": "ASC"}
                yield from ({"search": text, "sort": sort} for text in ("karlsson", "example"))


def searches_of(arguments: Any) -> Iterator[JsonObject]:
    """What is searched for: what few have, all, nobody, and a reference."""
    if "search" in arguments:
        yield from ({"search": text} for text in ("anna", "example.com", "zzqqzz", "SEPA-00000020"))


def document(field: str, arguments: JsonObject) -> str:
    """The operation that asks for a page and its count."""
    types = {name: str(argument.type).rstrip("!") for name, argument in lists()[field].items()}
    given = {**arguments, "after": None}
    declared = ", ".join(f"${name}: {types[name]}" for name in given)
    passed = ", ".join(f"{name}: ${name}" for name in given)
    return f"query ({declared}) {{ {field}({passed}, first: 3) {{ nodes {{ __typename }} pageInfo {{ endCursor }} totalCount }} }}"


ASKED = [
    pytest.param(field, arguments, id=f"{field}-{json.dumps(arguments)}") for field, arguments in questions()
]


async def statements(store: Store, query: str, variables: JsonObject) -> list[tuple[str, list[Any]]]:
    """What is sent to the database for two pages of an operation, with its values."""
    with counted() as found:
        answer = await store.execute(query, variables, ADMINISTRATOR)
        (page,) = answer.data.values()
        await store.execute(query, {**variables, "after": page["pageInfo"]["endCursor"]}, ADMINISTRATOR)
    return selects(found)


def selects(found: Statements) -> list[tuple[str, list[Any]]]:
    """What was read, with its values."""
    sent: list[Any] = [record.args for record in found.records]
    pairs = [(args[0], args[1] or []) for args in sent if isinstance(args, tuple)]
    return [pair for pair in pairs if pair[0].lstrip().startswith(("SELECT", "WITH"))]


async def faults(dialect: str, sent: list[tuple[str, list[Any]]], url: str) -> list[str]:
    """The plans that read a big table through, or sort it.

    A count of what no index holds is left out: it ends at 10,000, so it is long only where few are found.
    """
    sent = [pair for pair in sent if not pair[0].startswith("SELECT COUNT(")]
    if dialect == "sqlite":
        return [fault for sql, values in sent for fault in await _sqlite_faults(sql, values)]
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET enable_seqscan = off; SET enable_sort = off; SET jit = off")
        found = []
        for sql, values in sent:
            plan = json.loads(await connection.fetchval(f"EXPLAIN (FORMAT JSON) {sql}", *values))
            found += [f"{fault}: {sql}" for fault in _postgres_faults(plan[0]["Plan"])]
        return found
    finally:
        await connection.close()


def _postgres_faults(plan: dict[str, Any]) -> Iterator[str]:
    # What is disabled and still there had no way around it: no index leads to it, or none has its order.
    parts = plan.get("Plans", [])
    if plan.get("Disabled") and not any(part.get("Disabled") for part in parts):
        tables = set(_tables(plan))
        if not tables <= FEW:
            yield f"{plan['Node Type']} of {', '.join(sorted(tables))}"
    for part in parts:
        yield from _postgres_faults(part)


def _tables(plan: dict[str, Any]) -> Iterator[str]:
    if "Relation Name" in plan:
        yield plan["Relation Name"]
    for part in plan.get("Plans", []):
        yield from _tables(part)


async def _sqlite_faults(sql: str, values: list[Any]) -> list[str]:
    rows = await get_connection("default").execute_query_dict(f"EXPLAIN QUERY PLAN {sql}", values)
    steps = [row["detail"] for row in rows]
    read = next((step for step in steps if step.startswith(("SEARCH", "SCAN"))), "")
    table = re.search(r"(?:FROM|JOIN) \"?(\w+)", sql)
    if table is not None and table[1] in FEW:
        return []
    through = [step for step in steps if step.startswith("SCAN") and not BETWEEN.search(step)]
    sorted_whole = "USE TEMP B-TREE FOR ORDER BY" in steps and not BOUNDED.search(read + " ")
    return [f"{through or 'sorts'} {steps}: {sql}"] if through or sorted_whole else []


@pytest.mark.parametrize(("field", "arguments"), ASKED)
async def test_along_an_index(
    grown: Store, dialect: str, module_database_url: str, field: str, arguments: JsonObject
) -> None:
    sent = await statements(grown, document(field, arguments), arguments)
    assert sent
    assert await faults(dialect, sent, module_database_url) == []


async def asked(store: Store, query: str) -> str:
    """The SQL that one operation sends to the database, all of it."""
    with counted() as found:
        answer = await store.execute(query, {}, ADMINISTRATOR)
    assert answer.data
    return "\n".join(sql for sql, _ in selects(found))


async def test_a_common_word_is_not_looked_up(grown: Store) -> None:
    # Half of the store would come out of the index, each name to be checked; the list's own order is walked instead.
    sql = await asked(grown, '{ wallets(search: "example.com", first: 3) { nodes { id } } }')
    assert "coffer_grams" not in sql
    assert "customer_search MATCH" not in sql


async def test_a_rare_word_is_looked_up_and_named_in_the_statement(grown: Store) -> None:
    sql = await asked(grown, '{ wallets(search: "s00000042") { nodes { id } } }')
    assert "coffer_grams" in sql or "customer_search MATCH" in sql
    assert re.search(r"\"customer_id\"( IN |=ANY)\(.*'[\[{]\"?[0-9a-f-]{36}\"?[\]}]'", sql)
    nobody = await asked(grown, '{ wallets(search: "zzqqzz") { nodes { id } } }')
    assert re.search(r"\"customer_id\"( IN |=ANY)\(.*'([{]}|\[\])'", nobody)


async def test_of_two_words_both_lead(grown: Store) -> None:
    # Else all who have the rarer one are read, to be asked for the other.
    sql = await asked(grown, '{ customers(search: "karlsson son") { nodes { id } } }')
    (found,) = [line for line in sql.splitlines() if line.startswith("WITH found")]
    for gram in ("rls", "son"):
        assert f"'{gram}'" in found or f'"{gram}"' in found


async def test_of_a_page_s_wallets_alone_all_is_read(grown: Store) -> None:
    sql = await asked(grown, '{ wallets(search: "karlsson") { nodes { id } } }')
    chosen = sql[sql.index("FROM (SELECT found.id") : sql.index(") chosen")]
    assert "head_hash" not in chosen
    assert "LIMIT" in chosen


async def test_a_walk_is_not_planned_by_a_guess_at_the_word(
    grown: Store, dialect: str, module_database_url: str
) -> None:
    with counted() as found:
        await grown.execute(
            '{ wallets(search: "example.com", sort: {field: BALANCE}, first: 3) { nodes { id } } }',
            {},
            ADMINISTRATOR,
        )
    ((sql, values),) = [pair for pair in selects(found) if "posted_minor" in pair[0]]
    if dialect == "sqlite":
        rows = await get_connection("default").execute_query_dict(f"EXPLAIN QUERY PLAN {sql}", values)
        assert any("wallets_by_posted" in row["detail"] for row in rows)
        assert not any("TEMP B-TREE" in row["detail"] for row in rows)
        return
    connection = await asyncpg.connect(module_database_url)
    try:
        plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {sql}", *values)
    finally:
        await connection.close()
    # Left to itself, and not forced to an index: three rows are soon found.
    assert "wallets_by_posted" in plan
    assert '"Sort"' not in plan


BY_INDEX = re.compile(
    r"ARRAY\(SELECT c\.id FROM customers c WHERE coffer_grams|IN \(SELECT c\.id FROM customer_search "
)
"""How a statement of a list finds customers that are too many to be named in it."""


async def test_a_walk_ends_where_the_page_should_be_full(
    grown: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first hundred customers have it: newest first, they stand behind all others.
    monkeypatch.setattr(paging, "FEW_MAX", 20)
    asked_for = (
        '{ wallets(search: "s000000", first: 3) { nodes { customer { storeCustomerId } } totalCount } }'
    )
    with counted() as found:
        answer = await grown.execute(asked_for, {}, ADMINISTRATOR)
    wallets = answer.data["wallets"]
    assert [node["customer"]["storeCustomerId"] for node in wallets["nodes"]] == [
        "s00000099",
        "s00000098",
        "s00000097",
    ]
    assert wallets["totalCount"] == 100
    (walk, values), (index, _), (count, _) = [
        pair for pair in selects(found) if "walked" in pair[0] or BY_INDEX.search(pair[0])
    ]
    # One in twenty has it, to go by what is named at most: four are likely within eighty steps.
    assert "walked" in walk
    assert 2 * WALLETS // 20 * 4 in values
    assert BY_INDEX.search(index)
    assert BY_INDEX.search(count)
    assert count.startswith("SELECT COUNT(")


async def test_no_walk_is_begun_that_would_be_long(grown: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "FEW_MAX", 20)
    monkeypatch.setattr(paging, "WALKED_MAX", 100)
    sql = await asked(grown, '{ wallets(search: "s000000", first: 3) { nodes { id } } }')
    assert "walked" not in sql
    assert BY_INDEX.search(sql)


@pytest.mark.parametrize("field", ["wallets", "customers"])
async def test_what_many_have_is_found_along_indexes(
    grown: Store, dialect: str, module_database_url: str, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "FEW_MAX", 20)
    for given in sorts_of(lists()[field]):
        arguments = {**given, "search": "s000000"}
        sent = await statements(grown, document(field, arguments), arguments)
        assert any("walked" in sql for sql, _ in sent)
        assert any(BY_INDEX.search(sql) for sql, _ in sent)
        assert await faults(dialect, sent, module_database_url) == []


async def test_a_long_range_is_walked_on_sqlite(
    grown: Store, dialect: str, module_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Left to itself, it would sort all that lies in the range; PostgreSQL knows how much that is.
    monkeypatch.setattr(paging, "FEW_MAX", 20)
    for sort, walks in (("CREATED_AT", True), ("CUSTOMER_NAME", True), ("BALANCE", False)):
        wanted = {"filter": {"balance": {"min": "1.00", "max": "900.00"}}, "sort": {"field": sort}}
        sent = await statements(grown, document("wallets", wanted), wanted)
        assert any("walked" in sql for sql, _ in sent) == (walks and dialect == "sqlite")
        assert await faults(dialect, sent, module_database_url) == []


async def test_a_bucket_is_looked_up_for_each_transaction(
    grown: Store, dialect: str, module_database_url: str
) -> None:
    with counted() as found:
        answer = await grown.execute(
            "{ transactions(filter: {buckets: [PROMO]}, first: 3) { nodes { id } } }", {}, ADMINISTRATOR
        )
    assert len(answer.data["transactions"]["nodes"]) == 3
    ((sql, values),) = [pair for pair in selects(found) if "allocations" in pair[0]]
    if dialect == "sqlite":
        rows = await get_connection("default").execute_query_dict(f"EXPLAIN QUERY PLAN {sql}", values)
        steps = [row["detail"] for row in rows]
        assert "CORRELATED SCALAR SUBQUERY 1" in steps
        assert any(step.startswith("SEARCH a USING") and "transaction_id=?" in step for step in steps)
        return
    connection = await asyncpg.connect(module_database_url)
    try:
        (explained,) = json.loads(await connection.fetchval(f"EXPLAIN (FORMAT JSON) {sql}", *values))
    finally:
        await connection.close()
    assert "SubPlan" in json.dumps(explained)
    assert set(_tables(explained["Plan"])) == {"transactions", "allocations"}


async def test_what_is_owed_is_summed_up_along_an_index(
    grown: Store, dialect: str, module_database_url: str
) -> None:
    with counted() as found:
        owed = await liabilities()
    assert {one.bucket for one in owed} == {"CASH", "PROMO"}
    # What is overdrawn and what is on cards is read by partial indexes, or is not much.
    wallets = [pair for pair in selects(found) if "FROM wallets w" in pair[0] or "OFFSET" in pair[0]]
    assert wallets
    assert await faults(dialect, wallets, module_database_url) == []


async def test_a_plan_that_reads_all_is_told(grown: Store, dialect: str, module_database_url: str) -> None:
    for sql in (
        "SELECT id FROM transactions WHERE note = 'x'",
        "SELECT id FROM transactions ORDER BY note LIMIT 3",
        "SELECT id FROM wallets ORDER BY overdraft_minor LIMIT 3",
    ):
        assert await faults(dialect, [(sql, [])], module_database_url) != []


def test_every_list_is_asked() -> None:
    assert {field for field, _ in questions()} == set(lists())
    assert CORE.query_type is not None
