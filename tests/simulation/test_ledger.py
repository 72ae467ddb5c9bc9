"""Random commands through the real writer on a real database, against a model that predicts every answer.

After each step the auditor reads the tables and re-derives the invariants of design, section 4. The fast loop
plays a few examples; `pytest tests/simulation --hypothesis-profile=long` plays many, and longer ones.
"""

import asyncio
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, note, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from app.db import open_database
from app.domain.bucket import Bucket
from app.domain.errors import DomainError, InsufficientFunds
from app.domain.hold import Hold
from app.domain.ledger import Draft, Row
from app.domain.settings import StoreSettings
from app.domain.withdrawal import Withdrawal, WithdrawalStatus
from app.services.ledger.command import Command, Outcome, WalletRef
from app.services.ledger.writer import Writer
from tests import ledger
from tests.auditor import Tables, audit, digest, read_tables
from tests.databases import settings_for
from tests.ledger import Answer, AnyCommand, Clock, running_writer, submit_all
from tests.postgres import PostgresServer
from tests.simulation.model import BUCKETS, Model, Play, Purse

# Breadth, not depth: the fast loop leaves it to `make test`.
pytestmark = pytest.mark.slow

CUSTOMERS = ("ada", "bob", "eve")
HOUR = timedelta(hours=1)

amounts = st.integers(1, 40)
wallets = st.sampled_from(CUSTOMERS)
ways = st.sampled_from(("external", "external", "wallet", "customer"))
buckets = st.sampled_from(BUCKETS)
keys = st.none() | st.sampled_from(("k1", "k2", "k3", "k4", "k5", "k6"))
picks = st.integers(0, 7)
lifetimes = st.none() | st.sampled_from((-1, 0, 1, 5, 30))  # hours

waits = st.sampled_from((0, 0, 0, 1, 1, 4, 40, 170, -2))  # hours; a grace period has 168
processes = st.integers(0, 1)

# What is drawn: kind, whose wallet, named how, arguments, and which hold where one is named.
Drawn = tuple[str, str, str, tuple[Any, ...], int, str | None]


def drawn(kind: str, *args: st.SearchStrategy[Any]) -> st.SearchStrategy[Drawn]:
    return st.tuples(st.just(kind), wallets, ways, st.tuples(*args), picks, keys)


credit_plays = drawn("credit", amounts, buckets, lifetimes)
plays = st.one_of(
    credit_plays,
    credit_plays,
    drawn("debit", amounts, st.none() | buckets),
    # Cash that runs out while there is other value: the debt and the lots stand side by side.
    drawn("debit", amounts, st.just("CASH")),
    drawn("purchase", amounts),
    drawn("stranger", amounts),
    drawn("authorize", amounts),
    drawn("capture", amounts),
    drawn("void"),
    drawn("lapse"),
    drawn("un_spend", amounts),
    drawn("un_spend", st.integers(1, 5)),
    drawn("withdraw", amounts),
    drawn("decide_withdrawal", st.sampled_from(("PAID", "PAID", "REJECTED", "CANCELLED"))),
    drawn("freeze"),
    drawn("unfreeze"),
    drawn("touch"),
    drawn("settings", st.sampled_from((0, 10, 30))),
)


class LedgerMachine(RuleBasedStateMachine):
    """Plays against a database of its own."""

    make_database: Callable[[], str]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.clock = Clock()
        self.model = Model()
        self.writers: list[Writer] = []
        self.history: list[Play] = []
        self.holds: dict[int, UUID] = {}
        self.withdrawals: dict[int, Withdrawal] = {}
        self.wallet_ids: dict[str, UUID] = {}
        self.customer_ids: dict[str, UUID] = {}
        self.results: dict[str, dict[str, str]] = {}
        self.withdrawable: dict[int, int] = {}
        self.tables: Tables = {}
        self.url = type(self).make_database()

    async def _open(self) -> None:
        await self.stack.enter_async_context(open_database(settings_for(self.url)))
        # Two writers stand for two processes: neither may trust what it remembers of the other's wallets.
        for _ in range(2):
            self.writers.append(await self.stack.enter_async_context(running_writer(self.clock)))
        self.tables = await read_tables()

    def teardown(self) -> None:
        with self.runner:
            self.runner.run(self.stack.aclose())

    # --- rules ----------------------------------------------------------------------------------------------

    @initialize(
        credits_made=st.lists(credit_plays, min_size=1, max_size=6), limit=st.sampled_from((0, 30, 30))
    )
    def open_with_something(self, credits_made: list[Drawn], limit: int) -> None:
        self.runner.run(self._open())
        self.run([Play("settings", "", (limit,)), *(self.resolve(play) for play in credits_made)], 0)

    @rule(play=plays, hours=waits, process=processes)
    def one(self, play: Drawn, hours: int, process: int) -> None:
        self.clock.move(hours=hours)
        self.run([self.resolve(play)], process)

    @rule(
        batch=st.lists(plays, min_size=2, max_size=8),
        twice=st.lists(st.integers(0, 7), max_size=2),
        hours=waits,
        process=processes,
    )
    def several(self, batch: list[Drawn], twice: list[int], hours: int, process: int) -> None:
        self.clock.move(hours=hours)
        resolved = [self.resolve(play) for play in batch]
        resolved += [resolved[place % len(resolved)] for place in twice]
        self.run(resolved, process)

    @rule(place=st.integers(0, 50), hours=waits, process=processes)
    def again(self, place: int, hours: int, process: int) -> None:
        self.clock.move(hours=hours)
        keyed = [play for play in self.history if play.key is not None]
        if keyed:
            self.run([keyed[-1 - place % len(keyed)]], process)

    # --- how a rule is played -------------------------------------------------------------------------------

    def resolve(self, play: Drawn) -> Play:
        """Make what was drawn definite: which wallet, which hold, which time."""
        kind, who, by, args, pick, key = play
        if kind == "settings":
            return Play(kind, "", args, key)
        if kind == "stranger":
            # Nobody's wallet, or nobody's id.
            return Play("purchase", "nobody", args, key, "wallet" if pick % 2 else "external")
        if (by == "wallet" and who not in self.wallet_ids) or (
            by == "customer" and who not in self.customer_ids
        ):
            by = "external"
        if kind == "credit":
            amount, bucket, lifetime = args
            args = (amount, bucket, None if lifetime is None else self.clock.now + lifetime * HOUR)
        hold = None
        if kind in ("capture", "void", "lapse", "un_spend", "decide_withdrawal"):
            wanted = kind == "decide_withdrawal"
            known = [place for place in self.holds if self.model.holds[place].withdrawal is wanted]
            if not known:
                return Play("touch", who, (), key, by)
            hold = known[-1 - pick % len(known)]
            if pick < 6:
                # Mostly with the wallet that it belongs to.
                who, by = self.model.holds[hold].owner, "external"
        return Play(kind, who, args, key, by, hold)

    def run(self, batch: Sequence[Play], process: int) -> None:
        note(f"{self.clock.now} process {process}: {batch}")
        predicted = []
        for place, play in enumerate(batch):
            said, available = self.model.play(play, self.clock.now)
            opened = len(self.model.holds) - 1 if said == "ACCEPTED" else None
            purse = self.model.purses.get(play.who) if play.kind != "settings" else None
            predicted.append((said, available, opened, deepcopy(purse)))
            self.withdrawable.pop(place, None)
        commands = [self.command(play, place) for place, play in enumerate(batch)]
        writer = self.writers[process]
        answers = self.runner.run(submit_all(writer, commands))
        assert writer.batch_sizes[-1] == len(batch), "one batch took them all"
        for place, (play, answer) in enumerate(zip(batch, answers, strict=True)):
            said, available, opened, purse = predicted[place]
            assert _code(answer) == said, f"{place}: {play}"
            if isinstance(answer, InsufficientFunds):
                assert answer.available_minor == available
            if isinstance(answer, Outcome):
                self.learn(play, answer, opened)
            if said == "ACCEPTED" and purse is not None:
                assert isinstance(answer, Outcome)
                self.compare(answer, purse, self.withdrawable[place])
        self.history += batch
        self.check(changed=any(said == "ACCEPTED" for said, *_ in predicted))

    def learn(self, play: Play, outcome: Outcome, opened: int | None) -> None:
        """Remember the ids that the program chose, and that a replay gives the first answer."""
        if play.key is not None:
            assert self.results.setdefault(play.key, outcome.result) == outcome.result
        if outcome.replayed:
            return
        if isinstance(outcome.answer, Hold) and play.kind == "authorize":
            assert opened is not None
            self.holds[opened] = outcome.answer.id
        if isinstance(outcome.answer, Withdrawal) and play.kind == "withdraw":
            assert opened is not None
            self.holds[opened] = outcome.answer.hold_id
            self.withdrawals[opened] = outcome.answer
        if outcome.wallet is not None:
            assert self.wallet_ids.setdefault(play.who, outcome.wallet.id) == outcome.wallet.id
            self.customer_ids[play.who] = outcome.wallet.customer_id

    def compare(self, outcome: Outcome, purse: Purse, withdrawable: int) -> None:
        """The answer says what the model says, right after this command."""
        wallet = outcome.wallet
        assert wallet is not None
        assert wallet.posted_minor == purse.posted
        assert wallet.held_minor == purse.held
        assert wallet.available_minor() == purse.available
        assert wallet.overdraft_minor == purse.debt
        assert wallet.sequence == purse.sequence
        assert (wallet.status == "FROZEN") == purse.frozen
        assert withdrawable == purse.withdrawable(wallet.updated_at)

    def check(self, *, changed: bool) -> None:
        """The tables: sound in themselves, as the model says, and untouched by what was refused."""
        before, self.tables = self.tables, self.runner.run(read_tables())
        if not changed:
            assert digest(self.tables) == digest(before), "what was refused left a trace"
        audit(self.tables)
        names = {row["id"]: row["external_id"] for row in self.tables["customers"]}
        rows = {names[row["customer_id"]]: row for row in self.tables["wallets"]}
        assert set(rows) == set(self.model.purses)
        for name, purse in self.model.purses.items():
            row = rows[name]
            told = (row["posted_minor"], row["held_minor"], row["overdraft_minor"], row["sequence"])
            assert told == (purse.posted, purse.held, purse.debt, purse.sequence)
            lots = {
                lot["sequence"]: (lot["remaining_minor"], lot["held_minor"])
                for lot in self.tables["lots"]
                if lot["wallet_id"] == row["id"] and lot["remaining_minor"] + lot["held_minor"]
            }
            assert lots == purse.lots()

    # --- from a play to a command ---------------------------------------------------------------------------

    def command(self, play: Play, place: int) -> AnyCommand:
        command = self._command(play, self.named(play), play.key)
        if not isinstance(command, Command):
            return command
        decide = command.decide

        def watched(draft: Draft) -> Row | None:
            answer = decide(draft)
            self.withdrawable[place] = draft.withdrawable_minor()
            return answer

        return replace(command, decide=watched)

    def named(self, play: Play) -> WalletRef:
        if play.by == "wallet":
            return WalletRef(wallet_id=self.wallet_ids.get(play.who, UUID(int=17)))
        if play.by == "customer":
            return WalletRef(customer_id=self.customer_ids[play.who])
        return WalletRef(external_id=play.who)

    def _command(self, play: Play, who: WalletRef, key: str | None) -> AnyCommand:
        # What was drawn for a kind is what its builder takes: mypy can't see it, a TypeError would tell.
        args: tuple[Any, ...] = play.args
        if play.hold is not None:
            return self._about_hold(play, who, key, play.hold)
        if play.kind == "credit":
            amount, bucket, expires_at = args
            return ledger.credit(who, amount, bucket=Bucket(bucket), expires_at=expires_at, key=key)
        if play.kind == "debit":
            amount, bucket = args
            return ledger.debit(who, amount, bucket=Bucket(bucket) if bucket else None, key=key)
        if play.kind == "settings":
            (limit,) = args
            chosen = StoreSettings(negative_balance_enabled=limit > 0, negative_balance_limit_minor=limit)
            return ledger.change_settings(chosen, key=key)
        if play.kind == "touch":
            return ledger.command("touch", who, lambda draft: None, key=key)
        simple: dict[str, Callable[..., Command]] = {
            "purchase": ledger.purchase,
            "authorize": ledger.authorize,
            "withdraw": ledger.request_withdrawal,
            "freeze": ledger.freeze,
            "unfreeze": ledger.unfreeze,
        }
        return simple[play.kind](who, *args, key=key)

    def _about_hold(self, play: Play, who: WalletRef, key: str | None, hold: int) -> AnyCommand:
        args: tuple[Any, ...] = play.args
        if play.kind == "capture":
            return ledger.capture(who, self.holds[hold], *args, key=key)
        simple: dict[str, Callable[..., Command]] = {
            "void": ledger.void,
            "lapse": ledger.lapse,
            "un_spend": ledger.un_spend,
        }
        if play.kind in simple:
            return simple[play.kind](who, self.holds[hold], *args, key=key)
        (status,) = args
        return ledger.decide_withdrawal(who, self.withdrawals[hold], WithdrawalStatus(status), key=key)


def _code(answer: Answer) -> str:
    # A command that breaks its own promise is a defect, and harms nobody else.
    if isinstance(answer, AssertionError) and not isinstance(answer, DomainError):
        return "DEFECT"
    return ledger.code(answer)


def _play_on(database: Callable[[], str], share: int) -> None:
    class Machine(LedgerMachine):
        make_database = staticmethod(database)

    profile = settings.default
    assert profile is not None
    long = profile.max_examples > 200
    run_state_machine_as_test(
        Machine,
        settings=settings(
            profile,
            max_examples=max(1, profile.max_examples // share),
            stateful_step_count=40 if long else 20,
            # A failure is only made small where there is time for it: add --hypothesis-profile=long.
            phases=[phase for phase in Phase if long or phase not in (Phase.shrink, Phase.explain)],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_every_answer_is_predicted_on_sqlite(migrated_sqlite: Path, tmp_path: Path) -> None:
    path = tmp_path / "coffer.sqlite3"

    def make_database() -> str:
        for stale in tmp_path.glob("coffer.sqlite3-*"):
            stale.unlink()
        shutil.copyfile(migrated_sqlite, path)
        return f"sqlite:///{path}"

    _play_on(make_database, 1)


@pytest.fixture
def copies(postgres_server: PostgresServer, migrated_postgres: str) -> Iterator[Callable[[], str]]:
    """Makes migrated databases on PostgreSQL, one at a time."""
    made: list[str] = []

    def make_database() -> str:
        if made:
            postgres_server.drop_database(made.pop())
        made.append(f"coffer_simulation_{secrets.token_hex(4)}")
        postgres_server.create_database(made[-1], migrated_postgres)
        return postgres_server.url(made[-1])

    yield make_database
    for name in made:
        postgres_server.drop_database(name)


@pytest.mark.postgres
@pytest.mark.slow
def test_every_answer_is_predicted_on_postgres(copies: Callable[[], str]) -> None:
    _play_on(copies, 3)
