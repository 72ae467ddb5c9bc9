"""Batches that are written by one statement, without locks: only where all that they were decided on is still so."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from tortoise.backends.asyncpg.client import TransactionWrapper

from app.backends.asyncpg import SafeAsyncpgClient
from app.domain.errors import InsufficientFunds
from app.domain.settings import StoreSettings
from app.services.ledger import store, writer as writer_module
from app.services.ledger.optimistic import PAUSE_MAX, Optimism
from app.services.ledger.store import PostgresSession
from app.services.ledger.writer import Writer
from app.settings import Settings
from tests.auditor import audit, read_tables
from tests.ledger import (
    Clock,
    change_settings,
    code,
    credit,
    debit,
    running_writer,
    submit_all,
)

STATEMENT, LOCKED = SafeAsyncpgClient, TransactionWrapper


@pytest.fixture(params=[pytest.param("postgres", marks=pytest.mark.postgres)])
def dialect(request: pytest.FixtureRequest) -> str:
    """SQLite has no such statements."""
    return str(request.param)


@pytest.fixture
async def other(writer: Writer, clock: Clock) -> AsyncIterator[Writer]:
    """A second writer, as another process has one: it shares the database and nothing else."""
    async with running_writer(clock) as running:
        yield running


@contextmanager
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[type]]:
    """What is asked of the database meanwhile: each statement by itself, or within a transaction that holds locks."""
    found: list[type] = []
    with monkeypatch.context() as patched:
        for kind in (STATEMENT, LOCKED):
            patched.setattr(kind, "execute_query", _noting(kind, kind.execute_query, found))
        yield found


def _noting(kind: type, execute: Any, found: list[type]) -> Any:
    async def execute_query(self: Any, query: str, values: Any = None) -> Any:
        found.append(kind)
        return await execute(self, query, values)

    return execute_query


async def balance() -> int:
    (wallet,) = (await read_tables())["wallets"]
    return int(wallet["posted_minor"])


async def test_wallets_that_are_known_are_written_by_one_statement(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"c{n}" for n in range(8)]
    await submit_all(writer, [credit(name, 10) for name in names])
    with sent(monkeypatch) as statements:
        answers = await submit_all(writer, [debit(name, 3) for name in names])
    assert {code(answer) for answer in answers} == {"ACCEPTED"}
    assert statements == [STATEMENT]
    audit(await read_tables())


async def test_wallets_that_are_not_known_are_read_first(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, bob = [(await writer.submit(credit(name, 10))).wallet for name in ("ada", "bob")]
    assert ada is not None
    assert bob is not None
    writer._known.forget([ada.id, bob.id])
    with sent(monkeypatch) as statements:
        answers = await submit_all(writer, [debit("ada", 3), debit(ada.id, 3), debit(bob.id, 3)])
    assert [code(answer) for answer in answers] == ["ACCEPTED"] * 3
    assert statements == [STATEMENT] * 2
    audit(await read_tables())


async def test_half_of_the_callers_are_in_a_batch_while_the_others_are_answered(writer: Writer) -> None:
    names = [f"c{n}" for n in range(64)]
    await submit_all(writer, [credit(name, 10) for name in names])
    await submit_all(writer, [credit(name, 10) for name in names])
    writer.batch_sizes.clear()
    for _ in range(2):
        await submit_all(writer, [debit(name, 3) for name in names])
    assert list(writer.batch_sizes) == [32] * 4
    # A few are not worth two batches.
    await submit_all(writer, [debit(name, 3) for name in names[:16]])
    assert writer.batch_sizes[-1] == 16
    audit(await read_tables())


async def test_what_another_process_did_is_read_before_anything_is_decided_for_good(
    writer: Writer, other: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await writer.submit(credit("ada", 10))
    await other.submit(credit("ada", 10))
    with sent(monkeypatch) as statements:
        # What the writer knows has only ten: it is no refusal, as little as it would be an acceptance.
        assert code(await writer.submit(debit("ada", 15))) == "ACCEPTED"
        assert statements == [STATEMENT] * 3
        with pytest.raises(InsufficientFunds):
            await other.submit(debit("ada", 15))
    assert LOCKED not in statements
    assert await balance() == 5


async def test_what_another_process_is_heard_to_have_done_is_read_at_once(
    writer: Writer, other: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await writer.submit(credit("ada", 10))
    await writer.submit(credit("bob", 10))
    changed = (await other.submit(credit("ada", 10))).wallet
    assert changed is not None
    writer.outdate(changed.id, changed.version)
    with sent(monkeypatch) as statements:
        answers = await submit_all(writer, [debit("ada", 15), debit("bob", 5)])
    assert [code(answer) for answer in answers] == ["ACCEPTED"] * 2
    # Read and written: nothing was tried in vain.
    assert statements == [STATEMENT] * 2
    audit(await read_tables())


async def test_news_that_comes_late_makes_nobody_forget(
    writer: Writer, other: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = (await other.submit(credit("ada", 10))).wallet
    assert older is not None
    await writer.submit(credit("ada", 10))
    writer.outdate(older.id, older.version)
    writer.outdate(UUID(int=7), 7)
    with sent(monkeypatch) as statements:
        assert code(await writer.submit(debit("ada", 20))) == "ACCEPTED"
    assert statements == [STATEMENT]


async def test_settings_that_another_process_changed_count(writer: Writer, other: Writer) -> None:
    await writer.submit(credit("ada", 10))
    with pytest.raises(InsufficientFunds):
        await writer.submit(debit("ada", 15))
    allowed = StoreSettings(negative_balance_enabled=True, negative_balance_limit_minor=100)
    await other.submit(change_settings(allowed))
    assert code(await writer.submit(debit("ada", 15))) == "ACCEPTED"
    assert await balance() == -5


async def test_a_key_that_another_process_used_gives_its_answer(writer: Writer, other: Writer) -> None:
    await writer.submit(credit("ada", 10))
    first = await other.submit(credit("ada", 1, key="k"))
    # Known as it is now, so that only the key says no.
    await writer.submit(credit("ada", 1))
    again, beside = await submit_all(writer, [credit("ada", 1, key="k"), credit("ada", 2)])
    assert [code(again), code(beside)] == ["REPLAYED", "ACCEPTED"]
    assert again.result == first.result  # type: ignore[union-attr]
    assert await balance() == 14


async def test_a_wallet_that_another_process_works_on_is_waited_for(
    writer: Writer, settings: Settings
) -> None:
    await writer.submit(credit("ada", 10))
    connection = await asyncpg.connect(settings.database_url)
    try:
        async with connection.transaction():
            await connection.execute("SELECT 1 FROM wallets FOR UPDATE")
            waiting = asyncio.create_task(writer.submit(debit("ada", 4)))
            await asyncio.sleep(0.3)
            assert not waiting.done()
        assert code(await waiting) == "ACCEPTED"
    finally:
        await connection.close()
    assert await balance() == 6


async def test_what_changed_after_the_statement_began_counts(
    writer: Writer, other: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statement's snapshot is older than the change, the version is not: a locked row is read anew."""
    await writer.submit(credit("ada", 10))
    known = "unnest($1::uuid[], $2::bigint[], $3::timestamptz[]) AS known (id, version, updated_at)"
    assert known in store._ASSUMED
    slow = store._ASSUMED.replace(known, f"pg_sleep(0.5), {known}")
    store._write_all_if.cache_clear()
    try:
        with monkeypatch.context() as patched:
            patched.setattr(store, "_ASSUMED", slow)
            ours = asyncio.create_task(writer.submit(debit("ada", 7)))
            await asyncio.sleep(0.2)
            # By another writer with a statement of its own, in the middle of that sleep.
            patched.setattr(other._optimism, "is_due", lambda: False)
            assert code(await other.submit(debit("ada", 7))) == "ACCEPTED"
            assert not ours.done()
            with pytest.raises(InsufficientFunds):
                await ours
    finally:
        store._write_all_if.cache_clear()
    assert await balance() == 3
    audit(await read_tables())


# --- a lost connection --------------------------------------------------------------------------------------


async def test_a_statement_whose_answer_was_lost_is_found_by_its_keys(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await writer.submit(credit("ada", 10))
    write_if = PostgresSession.write_if

    async def losing(self: PostgresSession, *given: Any) -> Any:
        await write_if(self, *given)
        raise ConnectionResetError("after the commit, before its answer")

    monkeypatch.setattr(writer_module, "RETRY_DELAY_S", 0.001)
    monkeypatch.setattr(PostgresSession, "write_if", losing)
    answers = await submit_all(writer, [credit("ada", 5, key="k"), credit("ada", 5), debit("ada", 21)])
    assert [code(answer) for answer in answers] == ["REPLAYED", "REPLAYED", "INSUFFICIENT_FUNDS"]
    assert await balance() == 20
    audit(await read_tables())


async def test_a_statement_that_arrives_late_writes_nothing(
    writer: Writer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection was lost, the batch was decided again and refused: what was answered stays true."""
    await writer.submit(credit("ada", 10, expires_at=clock.now + timedelta(hours=1)))
    late: list[Any] = []

    async def losing(self: PostgresSession, *given: Any) -> Any:
        late.append((self, given))
        # Time goes on, so that the second decision is another one.
        clock.move(hours=2)
        raise ConnectionResetError("before it was sent, as far as anybody knows")

    monkeypatch.setattr(writer_module, "RETRY_DELAY_S", 0.001)
    with monkeypatch.context() as patched:
        patched.setattr(PostgresSession, "write_if", losing)
        with pytest.raises(InsufficientFunds):
            await writer.submit(debit("ada", 4, key="k"))
    ((session, given),) = late
    assert await session.write_if(*given) is not None
    assert await balance() == 10
    assert not [row for row in (await read_tables())["idempotency_keys"] if row["key"] == "k"]
    assert not writer._known.doubtful
    # And the wallet is written by one statement again.
    with sent(monkeypatch) as statements:
        assert code(await writer.submit(credit("ada", 1))) == "ACCEPTED"
    assert statements == [STATEMENT]
    audit(await read_tables())


# --- when to try --------------------------------------------------------------------------------------------


def due(optimism: Optimism, batches: int) -> int:
    """How many of the next batches are tried without locks, each in vain."""
    tried = 0
    for _ in range(batches):
        if optimism.is_due():
            tried += 1
            optimism.failed()
    return tried


def test_each_failure_makes_the_pause_longer() -> None:
    optimism = Optimism()
    assert due(optimism, 1 + 1 + 1 + 3 + 1 + 7) == 3
    assert due(optimism, 1_000) <= 3 + 1_000 // PAUSE_MAX


def test_success_makes_the_pause_shorter() -> None:
    optimism = Optimism()
    due(optimism, 500)
    while not optimism.is_due():
        pass
    for _ in range(6):
        optimism.succeeded()
    optimism.failed()
    assert [optimism.is_due() for _ in range(2)] == [False, True]
