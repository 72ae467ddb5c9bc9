"""The group-commit writer on both databases: once and only once, whatever happens around it."""

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from typing import Any

import asyncpg
import orjson
import pytest
from tortoise.backends.asyncpg.client import TransactionWrapper
from tortoise.connection import get_connection
from tortoise.context import TortoiseContext
from tortoise.transactions import in_transaction

from app.backends.asyncpg import _SafeTransactionContext
from app.backends.sqlite import SafeSqliteTransaction
from app.db import WRITER
from app.domain.adjustment import Direction
from app.domain.audit import AuditAction, AuditEntry
from app.domain.bucket import Bucket
from app.domain.errors import ErrorCode, IdempotencyKeyReused, InsufficientFunds
from app.domain.ledger import Desk, Draft, Row, WalletChange
from app.domain.settings import SettingsChange, StoreSettings
from app.domain.withdrawal import Withdrawal, WithdrawalStatus
from app.services.ledger import batch as batch_module, writer as writer_module
from app.services.ledger.batch import FaultyWallet
from app.services.ledger.command import Command, DeskCommand, Outcome
from app.services.ledger.writer import LedgerSlow, LedgerUnavailable, NotAccepting, Overloaded, Writer
from app.settings import Settings
from tests.auditor import audit, digest, read_tables
from tests.ledger import (
    NOTE,
    OTHER_STAFF,
    STAFF,
    START,
    Clock,
    adjustment,
    authorize,
    capture,
    change_settings,
    code,
    command,
    credit,
    debit,
    decide_withdrawal,
    freeze,
    purchase,
    request_withdrawal,
    running_writer,
    submit_all,
    void,
)
from tests.services.tampering import tamper
from tests.worker import Worker

only_postgres = pytest.mark.parametrize("dialect", [pytest.param("postgres", marks=pytest.mark.postgres)])
only_sqlite = pytest.mark.parametrize("dialect", ["sqlite"])


@pytest.fixture
async def other(writer: Writer, clock: Clock) -> AsyncIterator[Writer]:
    """A second writer, as another process has one: it shares the database and nothing else."""
    async with running_writer(clock) as running:
        yield running


async def posted() -> dict[str, int]:
    """Every customer's balance, as the tables say."""
    tables = await read_tables()
    names = {row["id"]: row["external_id"] for row in tables["customers"]}
    return {names[row["customer_id"]]: row["posted_minor"] for row in tables["wallets"]}


async def count(table: str) -> int:
    return len((await read_tables())[table])


async def execute(sql: str) -> None:
    """Do what no program of ours does."""
    async with in_transaction("writer") as connection:
        await connection.execute_query(sql)


# --- idempotency --------------------------------------------------------------------------------------------


async def test_a_key_used_again_gives_the_first_answer(writer: Writer) -> None:
    first = await writer.submit(credit("ada", 100, key="k"))
    before = digest(await read_tables())
    second = await writer.submit(credit("ada", 100, key="k"))
    assert not first.replayed
    assert second.replayed
    assert second.result == first.result
    assert first.answer is not None
    assert first.result["Transaction"] == str(first.answer.id)
    assert digest(await read_tables()) == before


async def test_a_key_with_other_input_is_refused(writer: Writer) -> None:
    await writer.submit(credit("ada", 100, key="k"))
    before = digest(await read_tables())
    for other_input in (
        credit("ada", 101, key="k"),
        credit("bob", 100, key="k"),
        credit("ada", 100, key="k", note="Parcel of order 1043 arrived broken"),
        credit("ada", 100, key="k", bucket=Bucket.PROMO),
        debit("ada", 100, key="k"),
        purchase("ada", 100, key="k"),
        change_settings(StoreSettings(), key="k"),
    ):
        with pytest.raises(IdempotencyKeyReused):
            await writer.submit(other_input)
    assert digest(await read_tables()) == before


async def test_a_key_belongs_to_its_caller(writer: Writer) -> None:
    await writer.submit(credit("ada", 100, key="k"))
    outcome = await writer.submit(adjustment(Direction.CREDIT, "ada", 100, key="k", actor=OTHER_STAFF))
    assert not outcome.replayed
    assert await posted() == {"ada": 200}


async def test_a_refusal_does_not_use_up_its_key(writer: Writer) -> None:
    await writer.submit(credit("ada", 100))
    with pytest.raises(InsufficientFunds):
        await writer.submit(debit("ada", 150, key="k"))
    await writer.submit(credit("ada", 100))
    assert code(await writer.submit(debit("ada", 150, key="k"))) == "ACCEPTED"
    assert await posted() == {"ada": 50}


async def test_the_same_key_in_one_batch(writer: Writer) -> None:
    answers = await submit_all(
        writer,
        [
            credit("ada", 100, key="k"),
            credit("ada", 100, key="k"),
            credit("ada", 7, key="k"),
            credit("ada", 100, key="k"),
        ],
    )
    assert writer.batch_sizes[-1] == 4
    assert [code(answer) for answer in answers] == [
        "ACCEPTED",
        "REPLAYED",
        "IDEMPOTENCY_KEY_REUSED",
        "REPLAYED",
    ]
    assert await posted() == {"ada": 100}
    assert await count("idempotency_keys") == 1


async def test_the_same_key_in_two_writers_at_once(writer: Writer, other: Writer) -> None:
    for number in range(10):
        # Of different wallets even: no wallet's lock orders these two.
        sent = [credit(f"ada{number}", 5, key=f"k{number}"), credit(f"ada{number}", 5, key=f"k{number}")]
        clash = credit(f"bob{number}", 5, key=f"k{number}")
        answers = await asyncio.gather(
            writer.submit(sent[0]), other.submit(sent[1]), other.submit(clash), return_exceptions=True
        )
        said = sorted(code(answer) for answer in answers)
        assert said in (
            ["ACCEPTED", "IDEMPOTENCY_KEY_REUSED", "REPLAYED"],
            ["ACCEPTED", "IDEMPOTENCY_KEY_REUSED", "IDEMPOTENCY_KEY_REUSED"],
        )
    assert await count("transactions") == 10
    assert await count("idempotency_keys") == 10


@pytest.mark.slow
async def test_the_same_keys_in_two_processes_at_once(writer: Writer, settings: Settings) -> None:
    plan = [{"kind": "credit", "who": f"c{n % 7}", "amount": 3, "key": f"k{n}"} for n in range(120)]
    workers = [await Worker.start(settings.database_url) for _ in range(2)]
    answers = await asyncio.gather(*(worker.play(plan) for worker in workers))
    for pair in zip(*answers, strict=True):
        assert sorted(pair) == ["ACCEPTED", "REPLAYED"]
    assert sum((await posted()).values()) == 360
    assert await count("transactions") == 120


async def test_a_command_without_a_key_is_not_confused_with_another(writer: Writer) -> None:
    answers = await submit_all(writer, [credit("ada", 100), credit("ada", 100)])
    assert [code(answer) for answer in answers] == ["ACCEPTED", "ACCEPTED"]
    assert await posted() == {"ada": 200}


# --- batches ------------------------------------------------------------------------------------------------


def defective(who: str) -> Command:
    """Its decision works half way, then fails like a bug does."""

    def decide(draft: Draft) -> Row:
        credit("", 1_000_000).decide(draft)
        raise ZeroDivisionError("a defect")

    return command("defective", who, decide, key="defective", opens=True)


def unstorable(who: str) -> Command:
    """Its decision is fine, and the database refuses what it wrote."""

    def decide(draft: Draft) -> Row | None:
        answer = credit("", 1_000_000).decide(draft)
        draft.add(
            AuditEntry(draft.mint.id(), draft.mint.id(), AuditAction.FREEZE_WALLET, STAFF, NOTE, draft.now)
        )
        return answer

    return command("unstorable", who, decide, key="unstorable", opens=True)


def untold(who: str) -> Command:
    """Its decision answers with something that is no row."""

    def decide(draft: Draft) -> Any:
        credit("", 1_000_000).decide(draft)
        return object()

    return command("untold", who, decide, key="untold", opens=True)


def empty_handed(who: str) -> Command:
    """Its decision takes the first of none, and what that raises is the one exception that no future takes."""

    def decide(draft: Draft) -> Any:
        credit("", 1_000_000).decide(draft)
        return next(iter(()))

    return command("empty_handed", who, decide, key="empty_handed", opens=True)


@pytest.mark.parametrize("broken", [defective, untold, unstorable, empty_handed])
async def test_a_broken_command_harms_no_neighbour(writer: Writer, broken: Any) -> None:
    await writer.submit(credit("ada", 100))
    names = ["ada", "bob", "ada", "eve", "eve", "ada", "bob"]
    commands = [
        *(credit(name, 10) for name in names[:4]),
        broken("ada"),
        *(credit(name, 10) for name in names[4:]),
    ]
    answers = await submit_all(writer, commands)
    assert isinstance(answers.pop(4), Exception)
    assert [code(answer) for answer in answers] == ["ACCEPTED"] * 7
    assert await posted() == {"ada": 130, "bob": 20, "eve": 20}
    keys = {row["key"] for row in (await read_tables())["idempotency_keys"]}
    assert broken.__name__ not in keys
    # And its wallet goes on.
    assert code(await writer.submit(debit("ada", 130))) == "ACCEPTED"


async def test_a_broken_command_opens_no_wallet(writer: Writer) -> None:
    answers = await submit_all(writer, [defective("ada"), untold("bob"), unstorable("eve")])
    assert all(isinstance(answer, Exception) for answer in answers)
    # The roles are there from the beginning.
    assert [name for name, rows in (await read_tables()).items() if rows] == ["roles"]


async def test_a_command_that_the_database_refuses_does_not_hold_up_the_others(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told apart from a lost connection or a race, which are worth a pause and another try."""
    pauses: list[object] = []

    async def pause(*reasons: object) -> None:
        pauses.append(reasons)

    monkeypatch.setattr(writer, "_pause", pause)
    answers = await submit_all(writer, [credit("ada", 10), unstorable("ada"), credit("bob", 10)])
    assert not isinstance(answers[1], Outcome | LedgerUnavailable)
    assert await posted() == {"ada": 10, "bob": 10}
    assert pauses == []


async def test_refused_commands_leave_no_trace(writer: Writer) -> None:
    asked = await writer.submit(credit("ada", 100))
    assert asked.wallet is not None
    await writer.submit(freeze("ada"))
    before = digest(await read_tables())
    answers = await submit_all(
        writer,
        [
            debit("ada", 101, key="a"),
            debit("nobody", 1, key="b"),
            purchase("nobody", 1, key="c"),
            request_withdrawal("ada", 10, key="d"),
            freeze("ada", key="e"),
            credit("ada", 1, expires_at=START, key="f"),
            void("ada", asked.wallet.id, key="g"),
        ],
    )
    assert [code(answer) for answer in answers] == [
        "INSUFFICIENT_FUNDS",
        "INSUFFICIENT_FUNDS",
        "NOT_FOUND",
        "WALLET_FROZEN",
        "WALLET_FROZEN",
        "EXPIRY_IN_PAST",
        "NOT_FOUND",
    ]
    assert digest(await read_tables()) == before


async def test_each_command_sees_those_before_it(writer: Writer) -> None:
    answers = await submit_all(
        writer,
        [
            debit("ada", 30),
            credit("ada", 50),
            debit("ada", 30),
            debit("ada", 30),
            change_settings(StoreSettings(negative_balance_enabled=True, negative_balance_limit_minor=10)),
            debit("ada", 30),
            change_settings(StoreSettings()),
            debit("ada", 1),
        ],
    )
    assert writer.batch_sizes[-1] == 8
    assert [code(answer) for answer in answers] == [
        "INSUFFICIENT_FUNDS",
        "ACCEPTED",
        "ACCEPTED",
        "INSUFFICIENT_FUNDS",
        "ACCEPTED",
        "ACCEPTED",
        "ACCEPTED",
        "INSUFFICIENT_FUNDS",
    ]
    assert await posted() == {"ada": -10}
    assert [row["version"] for row in (await read_tables())["settings_versions"]] == [1, 2]


async def test_settings_that_the_database_lost_are_not_believed(writer: Writer, settings: Settings) -> None:
    """A replica took over that never had them; and the next change of settings has their number."""
    allowing = StoreSettings(negative_balance_enabled=True, negative_balance_limit_minor=50)
    forbidding = orjson.dumps(StoreSettings().as_data()).decode()
    await writer.submit(credit("ada", 10))
    for statement in (
        "DELETE FROM settings_versions",
        f"UPDATE settings_versions SET data = '{forbidding}', created_at = '2030-01-01 00:00:00+00:00'",
    ):
        await writer.submit(change_settings(allowing))
        await writer.submit(debit("ada", 11))
        await writer.submit(credit("ada", 11))
        await tamper(settings.database_url, [statement])
        with pytest.raises(InsufficientFunds):
            await writer.submit(debit("ada", 11))


SOON, LATE = START + timedelta(days=1), START + timedelta(days=9)


@pytest.mark.parametrize(
    "expiries",
    [
        [None],
        [SOON],
        [None, None, None],
        [SOON, SOON, SOON],
        [SOON, None, None],
        [None, None, SOON],
        [SOON, None, SOON],
        [None, SOON, None],
        [SOON, LATE, SOON],
    ],
)
async def test_every_row_of_a_batch_keeps_its_own_values(
    writer: Writer, expiries: list[datetime | None]
) -> None:
    commands = [credit("ada", 1, expires_at=at) for at in expiries]
    assert [code(answer) for answer in await submit_all(writer, commands)] == ["ACCEPTED"] * len(expiries)
    tables = await read_tables()
    lots = sorted(tables["lots"], key=lambda row: row["sequence"])
    kept = [row["expires_at"] and datetime.fromisoformat(row["expires_at"]) for row in lots]
    assert kept == expiries
    audit(tables)


async def test_a_batch_has_a_largest_size(database: TortoiseContext, clock: Clock) -> None:
    async with running_writer(clock, batch_size_max=8) as writer:
        await submit_all(writer, [credit("ada", 1) for _ in range(30)])
        assert list(writer.batch_sizes) == [8, 8, 8, 6]
    audit(await read_tables())


async def test_a_withdrawal_is_decided_once(writer: Writer, other: Writer) -> None:
    await writer.submit(credit("ada", 100))
    asked = (await writer.submit(request_withdrawal("ada", 60))).answer
    assert isinstance(asked, Withdrawal)
    answers = await asyncio.gather(
        writer.submit(decide_withdrawal("ada", asked, WithdrawalStatus.PAID)),
        writer.submit(decide_withdrawal("ada", asked, WithdrawalStatus.PAID)),
        other.submit(decide_withdrawal("ada", asked, WithdrawalStatus.CANCELLED)),
        other.submit(decide_withdrawal("ada", asked, WithdrawalStatus.PAID)),
        return_exceptions=True,
    )
    assert sorted(code(answer) for answer in answers) == ["ACCEPTED"] + ["WITHDRAWAL_NOT_OPEN"] * 3
    assert await posted() in ({"ada": 40}, {"ada": 100})


async def test_what_changed_is_told_after_the_commit_in_order(
    database: TortoiseContext, clock: Clock
) -> None:
    told: list[WalletChange] = []
    async with running_writer(clock, publish=told.extend) as writer:
        await submit_all(writer, [credit("ada", 100), debit("ada", 101), debit("ada", 30), credit("bob", 5)])
        await submit_all(writer, [freeze("ada")])
    assert [(change.wallet.posted_minor, len(change.transactions)) for change in told] == [
        (100, 1),
        (70, 1),
        (5, 1),
        (70, 0),
    ]


async def test_a_listener_that_fails_harms_nobody(
    database: TortoiseContext, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(changes: object) -> None:
        raise RuntimeError("a defect of a listener")

    monkeypatch.setattr(writer_module, "RETRY_DELAY_S", 0.0)
    async with running_writer(clock, publish=fail) as writer:
        # The unstorable one makes the batch be split: the second half must be worked on all the same.
        commands = [credit("ada", 1), unstorable("bob"), credit("eve", 1), credit("ada", 1)]
        answers = await submit_all(writer, commands)
        assert [isinstance(answer, Outcome) for answer in answers] == [True, False, True, True]
        assert code(await writer.submit(credit("ada", 1))) == "ACCEPTED"
    assert await posted() == {"ada": 3, "eve": 1}


# --- settings and other commands without a wallet -----------------------------------------------------------


async def test_settings_changes_of_two_writers_at_once_are_all_kept(writer: Writer, other: Writer) -> None:
    changes = [StoreSettings(inactive_after_months=month) for month in range(1, 9)]
    answers = await asyncio.gather(
        *((writer, other)[place % 2].submit(change_settings(change)) for place, change in enumerate(changes))
    )
    assert all(isinstance(answer.answer, SettingsChange) for answer in answers)
    versions = (await read_tables())["settings_versions"]
    assert sorted(row["version"] for row in versions) == list(range(1, 9))
    assert sorted(row["data"]["inactive_after_months"] for row in versions) == list(range(1, 9))


async def test_a_desk_command_that_fails_leaves_no_trace(writer: Writer) -> None:
    def decide(desk: Desk) -> Row:
        desk.add(SettingsChange(desk.mint.id(), StoreSettings(), STAFF, NOTE, desk.now))
        raise ZeroDivisionError("a defect")

    answers = await submit_all(writer, [DeskCommand("defective", STAFF, decide), credit("ada", 1)])
    assert isinstance(answers[0], ZeroDivisionError)
    assert await count("settings_versions") == 0
    assert await posted() == {"ada": 1}


# --- several writers ----------------------------------------------------------------------------------------


async def test_two_writers_open_the_same_wallet_at_once(writer: Writer, other: Writer) -> None:
    for number in range(10):
        answers = await asyncio.gather(
            *((writer, other)[place % 2].submit(credit(f"c{number}", 5)) for place in range(6))
        )
        assert {answer.wallet.id for answer in answers if answer.wallet} == {
            answers[0].wallet.id if answers[0].wallet else None
        }
    assert await posted() == {f"c{number}": 30 for number in range(10)}


async def test_two_writers_open_many_wallets_in_opposite_order(writer: Writer, other: Writer) -> None:
    names = [f"c{number}" for number in range(40)]
    answers = await asyncio.gather(
        submit_all(writer, [credit(name, 1) for name in names]),
        submit_all(other, [credit(name, 1) for name in reversed(names)]),
    )
    assert {code(answer) for half in answers for answer in half} == {"ACCEPTED"}
    assert await posted() == dict.fromkeys(names, 2)


async def test_what_a_writer_remembers_is_never_stale(writer: Writer, other: Writer, clock: Clock) -> None:
    both = (writer, other)
    chance = random.Random(7)
    expected = 0
    for turn in range(40):
        amount = chance.randint(1, 20)
        answer = await both[chance.randrange(2)].submit(credit("ada", amount))
        expected += amount
        assert answer.wallet is not None
        assert answer.wallet.posted_minor == expected
        if turn % 5 == 4:
            spent = await both[chance.randrange(2)].submit(debit("ada", expected))
            expected = 0
            assert spent.wallet is not None
            assert spent.wallet.posted_minor == 0
        clock.move(seconds=1)


@pytest.mark.parametrize("outright", [pytest.param(True, id="outright"), pytest.param(False, id="locked")])
async def test_what_the_database_lost_is_not_remembered(
    writer: Writer, other: Writer, clock: Clock, monkeypatch: pytest.MonkeyPatch, outright: bool
) -> None:
    """A replica took over that never had the last commit, or a backup was restored: the next change has the same version."""
    await writer.submit(credit("ada", 10))
    clock.move(seconds=1)
    with monkeypatch.context() as patched:
        patched.setattr(other._optimism, "is_due", lambda: False)
        for kind in (TransactionWrapper, SafeSqliteTransaction):
            patched.setattr(kind, "commit", kind.rollback)
        await other.submit(credit("ada", 100))
    clock.move(seconds=1)
    await writer.submit(credit("ada", 1))
    monkeypatch.setattr(other._optimism, "is_due", lambda: outright)
    assert code(await other.submit(credit("ada", 1))) == "ACCEPTED"
    with pytest.raises(InsufficientFunds):
        await other.submit(debit("ada", 13))
    assert await posted() == {"ada": 12}
    audit(await read_tables())


@pytest.mark.parametrize("outright", [pytest.param(True, id="outright"), pytest.param(False, id="locked")])
async def test_a_wallet_that_the_database_lost_is_opened_again(
    writer: Writer, other: Writer, monkeypatch: pytest.MonkeyPatch, outright: bool
) -> None:
    with monkeypatch.context() as patched:
        for kind in (TransactionWrapper, SafeSqliteTransaction):
            patched.setattr(kind, "commit", kind.rollback)
        for name in ("ada", "bob", "eve"):
            await other.submit(credit(name, 100))
    monkeypatch.setattr(writer_module, "RETRY_DELAY_S", 0.001)
    monkeypatch.setattr(other._optimism, "is_due", lambda: outright)
    await submit_all(writer, [credit("ada", 1), credit("eve", 1)])
    assert code(await other.submit(credit("ada", 1))) == "ACCEPTED"
    assert code(await other.submit(freeze("eve"))) == "ACCEPTED"
    assert code(await other.submit(credit("bob", 1))) == "ACCEPTED"
    assert await posted() == {"ada": 2, "bob": 1, "eve": 1}


async def test_holds_are_seen_by_the_other_writer(writer: Writer, other: Writer) -> None:
    await writer.submit(credit("ada", 100))
    hold = (await other.submit(authorize("ada", 80))).answer
    assert hold is not None
    with pytest.raises(InsufficientFunds):
        await writer.submit(debit("ada", 30))
    await writer.submit(capture("ada", hold.id, 50))
    assert code(await other.submit(debit("ada", 20))) == "ACCEPTED"
    with pytest.raises(InsufficientFunds):
        await other.submit(debit("ada", 1))
    await other.submit(void("ada", hold.id))
    assert code(await writer.submit(debit("ada", 30))) == "ACCEPTED"


async def test_a_freeze_is_seen_by_the_other_writer(writer: Writer, other: Writer) -> None:
    await other.submit(credit("ada", 100))
    await writer.submit(freeze("ada"))
    answers = await submit_all(other, [request_withdrawal("ada", 10)])
    assert code(answers[0]) == ErrorCode.WALLET_FROZEN


@only_postgres
async def test_a_name_changed_while_a_writer_waits_for_the_lock_is_not_lost(
    writer: Writer, settings: Settings
) -> None:
    """PostgreSQL re-reads the locked row after the wait, and only that: what it was joined with may be older."""
    await writer.submit(credit("ada", 100))
    # Not known to the writer any more, as after a restart.
    writer._known.forget(list(writer._known._states))
    connection = await asyncpg.connect(settings.database_url)
    try:
        async with connection.transaction():
            await connection.execute("UPDATE wallets SET version = version + 1")
            await connection.execute("UPDATE customers SET name = 'Ada'")
            waiting = asyncio.create_task(writer.submit(credit("ada", 1)))
            await asyncio.sleep(0.2)
            assert not waiting.done()
        outcome = await waiting
        assert outcome.customer is not None
        assert outcome.customer.name == "Ada"
    finally:
        await connection.close()


@pytest.mark.slow
@only_sqlite
async def test_a_second_process_writes_to_the_same_file(writer: Writer, settings: Settings) -> None:
    worker = await Worker.start(settings.database_url)
    plan = [{"kind": "credit", "who": f"c{n % 3}", "amount": 1, "key": f"theirs{n}"} for n in range(200)]
    theirs = asyncio.create_task(worker.play(plan, at_once=5))
    ours: list[str] = []
    for n in range(60):
        ours += [
            code(answer) for answer in await submit_all(writer, [credit(f"c{n % 3}", 1, key=f"ours{n}")])
        ]
    assert set(await theirs) == {"ACCEPTED"}
    assert set(ours) == {"ACCEPTED"}
    assert sum((await posted()).values()) == 260


# --- bad days -----------------------------------------------------------------------------------------------


@only_postgres
@pytest.mark.slow
async def test_connections_lost_under_load_lose_nothing_and_repeat_nothing(
    writer: Writer, settings: Settings
) -> None:
    chance = random.Random(11)
    killer = await asyncpg.connect(settings.database_url)
    accepted: list[str] = []
    killed = 0

    async def load(caller: int) -> None:
        number = 0
        # A quick machine goes on until enough connections were lost under it.
        while number < 40 or killed <= 5:
            number += 1
            key = f"{caller}-{number}"
            who = f"c{chance.randrange(5)}"
            while True:
                try:
                    outcome = await writer.submit(credit(who, 1, key=key))
                except LedgerUnavailable:
                    continue
                assert set(outcome.result) == {"Wallet", "Transaction"}
                accepted.append(key)
                break

    async def kill() -> None:
        nonlocal killed
        while killed < 20:
            await asyncio.sleep(chance.uniform(0.02, 0.2))
            killed += await killer.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE application_name = 'coffer writer' AND datname = current_database()"
            )

    killing = asyncio.create_task(kill())
    try:
        async with asyncio.timeout(60):
            await asyncio.gather(*(load(caller) for caller in range(12)))
    finally:
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)
        await killer.close()
    assert killed > 5, "nothing was tested"
    assert len(accepted) == len(set(accepted)) >= 480
    tables = await read_tables()
    assert {row["key"] for row in tables["idempotency_keys"]} == set(accepted)
    assert len(tables["transactions"]) == len(accepted)
    assert sum((await posted()).values()) == len(accepted)


async def test_a_database_that_comes_back_finds_the_whole_batch_waiting(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch is not taken to pieces for a lost connection, which no command explains: that would take minutes."""
    failures = 4
    load = batch_module.Batch.load

    async def failing(self: batch_module.Batch) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
        await load(self)

    monkeypatch.setattr(writer_module, "RETRY_DELAY_S", 0.001)
    monkeypatch.setattr(batch_module.Batch, "load", failing)
    sizes: list[int] = []
    transact = writer._transact

    async def watched(commands: Any) -> Any:
        sizes.append(len(commands))
        return await transact(commands)

    monkeypatch.setattr(writer, "_transact", watched)
    answers = await submit_all(writer, [credit(f"c{n}", 1) for n in range(16)])
    assert {code(answer) for answer in answers} == {"ACCEPTED"}
    assert sizes == [16] * 5


async def test_a_database_that_stays_away_is_told_to_everybody(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    async def failing(commands: object) -> Any:
        nonlocal tries
        tries += 1
        raise ConnectionRefusedError

    monkeypatch.setattr(writer_module, "RETRY_DELAY_S", 0.001)
    with monkeypatch.context() as broken:
        broken.setattr(writer, "_transact", failing)
        answers = await submit_all(writer, [credit(f"c{n}", 1, key=f"k{n}") for n in range(50)])
    assert all(isinstance(answer, LedgerUnavailable) for answer in answers)
    assert tries <= 2 * writer_module.TRIES_MAX, "not every command waits in its own turn"
    assert code(await writer.submit(credit("c0", 1, key="k0"))) == "ACCEPTED"


async def test_a_lost_answer_of_a_commit_is_found_by_the_key(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    transact = writer._transact
    lost = False

    async def losing(commands: Any) -> Any:
        nonlocal lost
        done = await transact(commands)
        if not lost:
            lost = True
            raise ConnectionResetError("after the commit, before its answer")
        return done

    monkeypatch.setattr(writer_module, "RETRY_DELAY_S", 0.001)
    monkeypatch.setattr(writer, "_transact", losing)
    answers = await submit_all(writer, [credit("ada", 5, key="k"), credit("ada", 5), debit("ada", 11)])
    assert [code(answer) for answer in answers] == ["REPLAYED", "REPLAYED", "INSUFFICIENT_FUNDS"]
    assert await posted() == {"ada": 10}


@only_postgres
async def test_what_takes_longer_than_the_database_allows_is_told_as_that(
    writer: Writer, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator gave the role a `statement_timeout`: the database is there, and what it stopped was not written."""
    await writer.submit(credit("ada", 1))
    db = get_connection(WRITER)

    async def session() -> Any:
        return (await db.execute_query_dict("SELECT pg_backend_pid() AS pid"))[0]["pid"]

    before = await session()
    await db.execute_query("SET statement_timeout = 50")
    monkeypatch.setattr(writer_module, "RETRY_DELAY_S", 0.001)
    other = await asyncpg.connect(database_url)
    async with other.transaction():
        await other.execute("SELECT * FROM wallets FOR UPDATE")
        answers = await submit_all(writer, [credit("ada", 1, key="k"), credit("ada", 1)])
    await other.close()
    assert [type(answer) for answer in answers] == [LedgerSlow] * 2
    assert not writer._known.is_commit_doubtful
    assert await session() == before, "a connection was given up"
    assert code(await writer.submit(credit("ada", 1, key="k"))) == "ACCEPTED"
    assert await posted() == {"ada": 2}


@only_postgres
async def test_a_commit_that_arrives_late_is_waited_for(
    writer: Writer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection was lost, and time went on, so that the second decision would be another one than what is done."""
    commit, release = TransactionWrapper.commit, _SafeTransactionContext._release
    late: list[asyncio.Task[None]] = []

    async def arrive(context: Any) -> None:
        await asyncio.sleep(0.3)
        await commit(context.client)
        await release(context)

    async def losing(self: TransactionWrapper) -> None:
        if late:
            await commit(self)
            return
        clock.move(hours=2)
        raise ConnectionResetError("it was sent, as far as anybody knows")

    async def keeping(self: _SafeTransactionContext) -> None:
        if late:
            await release(self)
        else:
            late.append(asyncio.create_task(arrive(self)))

    monkeypatch.setattr(writer_module, "RETRY_DELAY_S", 0.001)
    monkeypatch.setattr(TransactionWrapper, "commit", losing)
    monkeypatch.setattr(_SafeTransactionContext, "_release", keeping)
    # A wallet that is new has no row yet that the second try would wait for.
    new = credit("ada", 10, expires_at=clock.now + timedelta(hours=1), key="k")
    assert code(await writer.submit(new)) == "REPLAYED"
    assert await posted() == {"ada": 10}
    await asyncio.gather(*late)


async def test_a_full_queue_refuses_and_recovers(database: TortoiseContext, clock: Clock) -> None:
    async with running_writer(clock, queue_max=10) as writer:
        answers = await submit_all(writer, [credit("ada", 1) for _ in range(25)])
        said = [type(answer).__name__ for answer in answers]
        assert said == ["Outcome"] * 10 + ["Overloaded"] * 15
        assert isinstance(answers[10], Overloaded)
        assert code(await writer.submit(credit("ada", 1))) == "ACCEPTED"
    assert await posted() == {"ada": 11}


async def test_a_wait_that_would_be_too_long_is_refused_at_once(
    database: TortoiseContext, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_writer(clock, batch_size_max=4, wait_max_s=10.0) as writer:
        transact, may_go_on = writer._transact, asyncio.Event()
        time_s = 0.0

        async def slow(commands: Any) -> Any:
            nonlocal time_s
            await may_go_on.wait()
            time_s += 4.0
            return await transact(commands)

        monkeypatch.setattr(writer_module, "monotonic", lambda: time_s)
        monkeypatch.setattr(writer, "_transact", slow)
        first = asyncio.create_task(writer.submit(credit("ada", 1)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        # It takes its time, and is long over it: but only behind a whole batch is anybody turned away.
        time_s = 11.0
        waiting = [asyncio.create_task(writer.submit(credit("ada", 1))) for _ in range(4)]
        await asyncio.sleep(0)
        assert writer.expected_wait_s > 10.0
        with pytest.raises(Overloaded):
            await writer.submit(credit("ada", 1))
        may_go_on.set()
        assert [code(answer) for answer in await asyncio.gather(first, *waiting)] == ["ACCEPTED"] * 5
        # What was slow once is not slow for ever: nobody waits, so everybody is taken.
        assert code(await writer.submit(credit("ada", 1))) == "ACCEPTED"
        assert writer.expected_wait_s == 0
    assert await posted() == {"ada": 6}


async def test_stop_finishes_what_waits_and_takes_no_more(database: TortoiseContext, clock: Clock) -> None:
    async with running_writer(clock, batch_size_max=4) as writer:
        tasks = [asyncio.create_task(writer.submit(credit("ada", 1))) for _ in range(30)]
        await asyncio.sleep(0)
        stopping = asyncio.create_task(writer.stop())
        await asyncio.sleep(0)
        with pytest.raises(NotAccepting):
            await writer.submit(credit("ada", 1))
        await stopping
        assert [code(answer) for answer in await asyncio.gather(*tasks)] == ["ACCEPTED"] * 30
        assert not writer.is_running
    assert await posted() == {"ada": 30}


async def test_a_writer_that_was_never_started_takes_nothing(clock: Clock, database: TortoiseContext) -> None:
    async with running_writer(clock) as writer:
        pass
    with pytest.raises(NotAccepting):
        await writer.submit(credit("ada", 1))


async def test_a_caller_who_goes_away_does_not_undo_the_command(writer: Writer) -> None:
    await writer.submit(credit("ada", 100))
    for delay_s in (0.0, 0.0, 0.001, 0.002, 0.004):
        task = asyncio.create_task(writer.submit(debit("ada", 10, key=f"k{delay_s}")))
        neighbour = asyncio.create_task(writer.submit(credit("bob", 1)))
        await asyncio.sleep(delay_s)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert isinstance(await neighbour, Outcome)
        assert code(await writer.submit(debit("ada", 10, key=f"k{delay_s}"))) == "REPLAYED"
    assert await posted() == {"ada": 60, "bob": 5}


async def test_a_writer_whose_task_is_cancelled_leaves_nobody_waiting(
    database: TortoiseContext, clock: Clock
) -> None:
    async with running_writer(clock, batch_size_max=2) as writer:
        tasks = [asyncio.create_task(writer.submit(credit("ada", 1, key=f"k{n}"))) for n in range(9)]
        await asyncio.sleep(0.002)
        assert writer._task is not None
        writer._task.cancel()
        async with asyncio.timeout(5):
            answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(answer) for answer in answers} <= {Outcome, NotAccepting, LedgerUnavailable}
        writer._task = None
    acknowledged = sum(isinstance(answer, Outcome) for answer in answers)
    assert (await posted()).get("ada", 0) >= acknowledged
    audit(await read_tables())


async def test_a_wallet_whose_lots_contradict_it_posts_nothing(
    database: TortoiseContext, clock: Clock
) -> None:
    async with running_writer(clock) as writer:
        await submit_all(writer, [credit("ada", 100), credit("bob", 100)])
    await execute("UPDATE lots SET remaining_minor = 90 WHERE wallet_id = (SELECT id FROM wallets LIMIT 1)")
    before = {row["customer_id"]: row for row in (await read_tables())["wallets"]}
    async with running_writer(clock) as writer:
        answers = await submit_all(
            writer, [credit("ada", 1), credit("bob", 1), credit("ada", 1), credit("eve", 1)]
        )
    broken = [isinstance(answer, FaultyWallet) for answer in answers]
    assert broken in ([True, False, True, False], [False, True, False, False])
    after = {row["customer_id"]: row for row in (await read_tables())["wallets"]}
    assert sum(after[customer] == row for customer, row in before.items()) == 1
    with pytest.raises(AssertionError):
        audit(await read_tables())


async def test_a_clock_that_goes_back_does_not_reorder_history(writer: Writer, clock: Clock) -> None:
    await writer.submit(credit("ada", 10, expires_at=START + timedelta(hours=2)))
    clock.move(hours=1)
    late = await writer.submit(credit("ada", 10))
    clock.move(hours=-3)
    back = await writer.submit(credit("ada", 10))
    fresh = await writer.submit(credit("bob", 10))
    assert late.wallet is not None
    assert back.wallet is not None
    assert fresh.wallet is not None
    assert back.wallet.updated_at == late.wallet.updated_at
    assert fresh.wallet.updated_at == clock.now
    # What has not expired yet by the wallet's own time is still there, and what had expired does not come back.
    clock.move(hours=5)
    await writer.submit(credit("ada", 1))
    clock.move(hours=-5)
    assert await posted() == {"ada": 21, "bob": 10}
    with pytest.raises(InsufficientFunds):
        await writer.submit(debit("ada", 22))


async def test_times_are_kept_in_utc_so_that_they_sort(writer: Writer, settings: Settings) -> None:
    tokyo = timezone(timedelta(hours=9))
    await writer.submit(credit("ada", 10, expires_at=(START + timedelta(hours=2)).astimezone(tokyo)))
    if settings.database_url.startswith("sqlite:"):
        with sqlite3.connect(settings.database_url.removeprefix("sqlite:///")) as connection:
            (kept,) = connection.execute("SELECT expires_at FROM lots").fetchone()
        connection.close()
        assert kept == (START + timedelta(hours=2)).isoformat(" ")


async def test_expiry_is_posted_with_the_next_command(writer: Writer, clock: Clock) -> None:
    await writer.submit(credit("ada", 10, bucket=Bucket.PROMO, expires_at=START + timedelta(hours=1)))
    await writer.submit(credit("ada", 10))
    clock.move(hours=2)
    with pytest.raises(InsufficientFunds):
        await writer.submit(debit("ada", 11))
    assert await posted() == {"ada": 20}, "the refused command posted nothing, not even the expiry"
    outcome = await writer.submit(debit("ada", 4))
    assert outcome.wallet is not None
    assert outcome.wallet.posted_minor == 6
    kinds = [
        row["kind"] for row in sorted((await read_tables())["transactions"], key=lambda row: row["sequence"])
    ]
    assert kinds == ["ADJUSTMENT", "ADJUSTMENT", "EXPIRY", "ADJUSTMENT"]
