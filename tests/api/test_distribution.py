"""A database that is spread over machines: which table lies where, and how far each of the writer's statements goes."""

import os
import re
from collections.abc import Sequence
from typing import Any

import pytest
from tortoise.context import get_current_context

from app.db import APP_LABEL
from app.services.ledger import store as sessions
from app.services.ledger.distribution import DISTRIBUTION, Placement
from tests.api.store import Store, fresh
from tests.shards import DOCUMENT, Way, between, parts, placements, put, shape, statements, tables, way

# Breadth, not depth: the fast loop leaves it to `make test`.
pytestmark = pytest.mark.slow

FAN_OUTS = {
    "SELECT `customers`, `wallets` by `external_id`": "a store's customer is looked up: once, then it is known",
}


@pytest.fixture(scope="module", params=[pytest.param("postgres", marks=pytest.mark.postgres)])
def dialect(request: pytest.FixtureRequest) -> str:
    """Only PostgreSQL is ever spread."""
    return str(request.param)


class Recorder:
    """A transaction that remembers what it was asked."""

    def __init__(self, db: Any, sent: list[str]) -> None:
        self._db = db
        self._sent = sent

    async def execute_query(self, sql: str, values: Sequence[Any] | None = None) -> Any:
        """Pass a statement on."""
        self._sent.append(sql)
        return await self._db.execute_query(sql, values)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the writer asks while the test runs."""
    found: list[str] = []
    real = sessions.PostgresSession.__init__

    def recording(self: sessions.PostgresSession, db: Any) -> None:
        real(self, Recorder(db, found))  # type: ignore[arg-type]  # it is asked for nothing else

    monkeypatch.setattr(sessions.PostgresSession, "__init__", recording)
    return found


async def test_every_table_has_its_place(api: Store) -> None:
    context = get_current_context()
    assert context is not None
    assert context.apps is not None
    models = {str(model._meta.db_table): model for model in context.apps[APP_LABEL].values()}
    assert set(DISTRIBUTION) == set(models)
    for name, place in DISTRIBUTION.items():
        columns = set(models[name]._meta.fields_db_projection.values())
        assert (place.column in columns) == (bool(place.column) and not place.is_missing), name
        assert (place.placement is Placement.REFERENCE) == (not place.column), name


async def test_how_far_the_writers_statements_go(api: Store, sent: list[str]) -> None:
    customer = await api.funded("100.00")
    await api.adjust(customer, "20.00", bucket="PROMO")
    wrong = await api.adjust(customer, "-5.00")
    await api.adjust(customer, "5.00", corrects=wrong["transaction"]["id"])
    await api.set_settings(withdrawals={"enabled": True, "maximumPerMonth": api.money("500.00")})
    await api.freeze(await api.funded("5.00"))
    paid = await api.withdrawal(customer)
    await api.done("markWithdrawalPaid", {"withdrawalId": paid["id"], "idempotencyKey": fresh("paid")})
    told = api.order(customer, "20.00", lines=[{"lineId": "1", "total": "20.00"}])
    await api.pay(customer, told, "15.00")
    await api.record(told, status="PAID")
    await api.refund(told, "4.00")
    await api.redeem_coupon(customer, await api.coupon(await api.promotion()))

    found = [part for sql in sent for part in parts(sql)]
    assert all(tables(part) for part in found if "pg_notify" not in part), (
        "a statement names no table that is known"
    )
    far = {shape(part) for part in found if tables(part) and way(part) is Way.FAN_OUT}
    assert far == set(FAN_OUTS)
    adjusting = [
        part for part in found if "INSERT INTO transactions" in part or "INSERT INTO allocations" in part
    ]
    assert adjusting
    assert {way(part) for part in adjusting} == {Way.SHARD}

    text = DOCUMENT.read_text("utf-8")
    if os.environ.get("WRITE_DOCUMENTS"):
        text = put(text, "statements", statements(sent))
        DOCUMENT.write_text(text, "utf-8")
    assert between(text, "statements") == statements(sent)


def test_the_document_names_every_table() -> None:
    assert between(DOCUMENT.read_text("utf-8"), "placements") == placements(), "run: python -m tests.shards"


TOLD = (
    ("SELECT * FROM wallets WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE", Way.SHARD),
    ("SELECT * FROM lots WHERE wallet_id = ANY($1::uuid[])", Way.SHARD),
    ("SELECT * FROM lots WHERE id = ANY($1::uuid[])", Way.NAMED),
    ("SELECT * FROM transactions WHERE note = 'x'", Way.FAN_OUT),
    ("SELECT * FROM roles WHERE id = ANY($1::uuid[])", Way.EVERYWHERE),
    ("SELECT * FROM roles ORDER BY id FOR UPDATE", Way.EVERY),
    ("SELECT * FROM orders WHERE id = ANY($1::uuid[])", Way.OWN),
    ("SELECT * FROM orders o JOIN payments p ON p.order_id = o.id WHERE o.id = ANY($1)", Way.FAN_OUT),
    ("UPDATE lots t SET held_minor = u.held_minor FROM unnest($1) AS u(id) WHERE t.id = u.id", Way.NAMED),
)


@pytest.mark.parametrize(("sql", "wanted"), TOLD)
def test_ways_are_told_apart(sql: str, wanted: Way) -> None:
    assert way(sql) is wanted


def test_one_statement_is_taken_to_pieces() -> None:
    sql = (
        "WITH w0 AS (INSERT INTO wallets (id) SELECT * FROM unnest($1::uuid[])), w1 AS (UPDATE lots t SET a = u.a "
        "FROM unnest($2::bigint[]) AS u(id) WHERE t.id = u.id) SELECT pg_notify('coffer', n) FROM unnest($3::text[]) AS n"
    )
    assert [re.split(r"\W+", part)[0] for part in parts(sql)] == ["INSERT", "UPDATE"]
