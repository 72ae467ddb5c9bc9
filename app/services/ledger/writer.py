"""The group-commit writer: the only writer of wallets, lots, transactions, allocations and holds.

Commands wait in a queue; the writer's own task takes those that wait (up to a limit), and in one database
transaction loads, decides and writes them. While that transaction commits, the next commands gather. So the
cost of a commit is shared by all who came meanwhile, and a hot wallet costs no more than many cold ones.

Where PostgreSQL is the database, that transaction is a single statement for most batches (`optimistic`): they are decided on what
is known, and the statement writes if all of that is still so.

The transaction belongs to the writer's task, never to a request's: a request that is cancelled (a closed
socket, a `complete` message) can't cancel a transaction half way. What was accepted is committed, and can be
asked for again by its key.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from math import ceil, inf
from random import uniform
from time import monotonic
from typing import Any
from uuid import UUID

import structlog
from tortoise.transactions import in_transaction

from app.db import WRITER
from app.domain.cashback.expression import Expressions
from app.domain.ledger import Mint, WalletChange
from app.domain.outgoing import Heard
from app.services.ledger.batch import Answer, Batch, Known
from app.services.ledger.command import Command, DeskCommand, IdempotencyClaim, Outcome
from app.services.ledger.failure import Failure, failure_of
from app.services.ledger.optimistic import Optimism, OptimisticBatch
from app.services.ledger.store import session_over, statements

log = structlog.get_logger("coffer.ledger")

KNOWN_WALLETS_MAX = 16_384
"""Wallets whose state is kept from batch to batch."""

OPTIMISTIC_TRIES_MAX = 2
"""How often a batch is tried without locks: once with what is known, and once with what was read anew."""

WHOLE_BATCH_MAX = 16
"""Commands that aren't worth two batches, each of which has costs of its own."""

TRIES_MAX = 6
"""How often a batch is tried while the database is away."""

SLOW_TRIES_MAX = 2
"""How often a batch is tried that took longer than the database allows: whoever waits behind it waits as long each time."""

RACES_MAX = 3
"""How often a single command is tried when others were quicker."""

RETRY_DELAY_S = 0.05
"""The first pause between tries; it doubles, with jitter, up to two seconds."""


PACE_SHARE = 0.3
"""How much of what is known of a batch's duration is the last batch's."""


class Overloaded(Exception):
    """More commands wait than the queue may hold, or than are worked off in time; the same request may be sent again with
    its key.
    """


class NotAccepting(Exception):
    """The writer is stopping or was never started."""


class LedgerUnavailable(Exception):
    """The database kept failing; the same request may be sent again with its key."""


class LedgerSlow(LedgerUnavailable):
    """The database stopped what took longer than its operators allow; the same request may be sent again with its key."""


class _Pending:
    __slots__ = ("answer", "command")

    def __init__(self, command: Command | DeskCommand, answer: asyncio.Future[Outcome]) -> None:
        self.command = command
        self.answer = answer

    def reply(self, answer: Answer) -> None:
        if self.answer.done():
            # The caller went away; what was accepted stands, and its key gives the answer again.
            return
        if isinstance(answer, StopIteration):
            # No future takes it, and the others of the batch wait for their answers.
            self.answer.set_exception(RuntimeError(repr(answer)))
        elif isinstance(answer, Exception):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


class Writer:
    """One per process. `start` it inside the server's lifespan, `stop` drains the queue.

    `publish` is called after each commit with what changed, wallet by wallet, in order; `publish_rights` after
    one that changed who may do what, `publish_outgoing` after one that wrote what is to leave the program; `on_batch` after each batch with its size and the seconds that it took.
    `tell` is handed after each commit what other processes are to know; without it the database tells them, where it can.
    A command that would wait for longer than `wait_max_s`, as fast as batches go of late, is refused at once while a whole batch
    waits already: whoever is turned away in time comes again, and nobody waits for an answer that is given up on.
    `expressions` is the language of cashback rules; without it, rules that use it give nothing. Events are written where
    an enabled endpoint listens to them, or where `also_heard` says that somebody else does.
    """

    def __init__(
        self,
        *,
        currency: str,
        mint: Mint,
        clock: Callable[[], datetime],
        publish: Callable[[Sequence[WalletChange]], None] = lambda changes: None,
        publish_rights: Callable[[], None] = lambda: None,
        publish_outgoing: Callable[[], None] = lambda: None,
        tell: Callable[[Sequence[str]], None] | None = None,
        also_heard: Heard | None = None,
        batch_size_max: int = 512,
        queue_max: int = 10_000,
        wait_max_s: float = inf,
        process: str = "",
        on_batch: Callable[[int, float], None] = lambda size, duration_s: None,
        expressions: Expressions | None = None,
    ) -> None:
        self.process = process or mint.id().hex
        self.batch_sizes: deque[int] = deque(maxlen=1024)
        self._currency = currency
        self._mint = mint
        self._clock = clock
        self._publish = publish
        self._publish_rights = publish_rights
        self._publish_outgoing = publish_outgoing
        self._tell_others = tell
        self._also_heard = also_heard
        self._batch_size_max = batch_size_max
        self._queue_max = queue_max
        self._wait_max_s = wait_max_s
        self._batch_s = 0.0
        self._callers = 0
        self._is_outright = False
        self._batch_began_s: float | None = None
        self._failing_since_s: float | None = None
        self._queue: deque[_Pending] = deque()
        self._wake = asyncio.Event()
        self._known = Known(KNOWN_WALLETS_MAX, expressions=expressions)
        self._optimism = Optimism()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._on_batch = on_batch

    def outdate(self, wallet_id: UUID, version: int) -> None:
        """Take in that another process changed a wallet, which has this version now: it is read anew before anything is
        decided on it. Whoever doesn't hear of that finds out when it is written.
        """
        self._known.outdate(wallet_id, version)

    @property
    def queue_depth(self) -> int:
        """How many commands wait."""
        return len(self._queue)

    @property
    def expected_wait_s(self) -> float:
        """How long a command that came now would wait for its turn: what runs already, and what stands before it."""
        running_s = 0.0 if self._batch_began_s is None else monotonic() - self._batch_began_s
        # In batches, not in commands: a batch of one takes almost as long as one of many.
        return running_s + ceil(len(self._queue) / self._batch_size_max) * self._batch_s

    @property
    def failing_s(self) -> float:
        """For how long the database has taken nothing of what it was given (a full disk, say); 0 if it took the last."""
        return 0.0 if self._failing_since_s is None else monotonic() - self._failing_since_s

    @property
    def is_running(self) -> bool:
        """Whether commands are taken and worked on."""
        return self._task is not None and not self._task.done() and not self._stopping

    def start(self) -> None:
        """Begin to work; call it within the Tortoise context that the writer shall use."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="ledger-writer")

    async def stop(self) -> None:
        """Take no more commands, finish those that wait, and end."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task
            self._task = None

    async def submit(self, command: Command | DeskCommand) -> Outcome:
        """Have a command decided and committed.

        Raises the command's `DomainError` when it is refused, `Overloaded` when too many wait,
        `NotAccepting` when the server is stopping, `LedgerUnavailable` when the database keeps failing, and its kind
        `LedgerSlow` when that takes longer than the database allows.
        """
        if not self.is_running:
            raise NotAccepting
        waiting = len(self._queue)
        if waiting >= self._queue_max:
            raise Overloaded
        if waiting >= self._batch_size_max and self.expected_wait_s > self._wait_max_s:
            raise Overloaded
        pending = _Pending(self._with_claim(command), asyncio.get_running_loop().create_future())
        self._queue.append(pending)
        self._wake.set()
        return await pending.answer

    async def _run(self) -> None:
        batch: list[_Pending] = []
        try:
            while self._queue or not self._stopping:
                if not self._queue:
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                count = self._next_count()
                batch = [self._queue.popleft() for _ in range(count)]
                self.batch_sizes.append(count)
                started_s = self._batch_began_s = monotonic()
                try:
                    await self._work(batch)
                except Exception as error:
                    # The writer outlives whatever happens to one batch.
                    log.exception("batch failed", size=count)
                    for pending in batch:
                        pending.reply(error)
                self._batch_began_s = None
                # Those who are answered just now come again, as far as can be guessed.
                self._callers = count + len(self._queue)
                taken_s = monotonic() - started_s
                self._batch_s += PACE_SHARE * (taken_s - self._batch_s)
                self._on_batch(count, taken_s)
        finally:
            # Somebody still waits only when this task was cancelled: of its batch nobody knows the outcome.
            _reply_to_all(batch, LedgerUnavailable)
            _reply_to_all(self._queue, NotAccepting)
            self._queue.clear()

    def _next_count(self) -> int:
        """How many of those that wait the next batch takes: half of the callers, where a batch is one statement."""
        waiting = len(self._queue)
        if not self._is_outright:
            return min(waiting, self._batch_size_max)
        # Were all of them in one batch, this process had nothing to do while the database works, and the database nothing
        # while the answers are written out and the next requests are read.
        half = ceil(max(waiting, self._callers) / 2)
        return min(waiting, self._batch_size_max, max(WHOLE_BATCH_MAX, half))

    async def _work(self, batch: list[_Pending], attempt: int = 1) -> None:
        """Run a batch; when it fails, try it again or split it, down to the command that is to blame."""
        try:
            answers, changes = await self._transact([pending.command for pending in batch])
        except Exception as error:
            await self._recover(batch, attempt, error)
            return
        self._failing_since_s = None
        for pending, answer in zip(batch, answers, strict=True):
            pending.reply(answer)
        if changes:
            self._tell(changes)

    async def _recover(self, batch: list[_Pending], attempt: int, error: Exception) -> None:
        failure, single = failure_of(error), len(batch) == 1
        # Only what a command can explain is worth taking the batch to pieces; a lost connection is not.
        tries = {
            Failure.UNREACHABLE: TRIES_MAX,
            Failure.SLOW: SLOW_TRIES_MAX,
            Failure.RACE: RACES_MAX if single else 2,
            Failure.DEFECT: 1,
        }
        if attempt < tries[failure]:
            await self._pause(attempt, error)
            await self._work(batch, attempt + 1)
        elif failure is Failure.UNREACHABLE:
            log.error("ledger unavailable", size=len(batch), error=repr(error))
            self._failing_since_s = self._failing_since_s or monotonic()
            _reply_to_all(batch, LedgerUnavailable)
        elif failure is Failure.SLOW:
            log.error("the database stopped a batch that took too long", size=len(batch), error=repr(error))
            _reply_to_all(batch, LedgerSlow)
        elif not single:
            middle = len(batch) // 2
            await self._work(batch[:middle])
            await self._work(batch[middle:])
        else:
            batch[0].reply(LedgerUnavailable() if failure is Failure.RACE else error)

    def _tell(self, changes: Sequence[WalletChange]) -> None:
        try:
            self._publish(changes)
        except Exception:
            # What is committed stands, and the rest of the batch waits: a listener harms neither.
            log.exception("changes could not be told", wallets=len(changes))

    async def _transact(
        self, commands: list[Command | DeskCommand]
    ) -> tuple[list[Answer], list[WalletChange]]:
        done = await self._transact_optimistically(commands) if self._optimism.is_due() else None
        self._is_outright = done is not None
        return await self._transact_under_locks(commands) if done is None else done

    async def _transact_optimistically(
        self, commands: list[Command | DeskCommand]
    ) -> tuple[list[Answer], list[WalletChange]] | None:
        """Write what was decided on what is known, if that is still so; `None` says that nothing was written."""
        session = statements()
        if session is None:
            return None
        for _ in range(OPTIMISTIC_TRIES_MAX):
            batch = OptimisticBatch(commands, session, **self._of_batches())
            if not await batch.assume():
                return None
            batch.decide()
            notes = batch.notes()
            stale = await batch.save_if_so(notes if self._tell_others is None else ())
            if stale is None:
                self._optimism.succeeded()
                return self._committed(batch, notes)
            if not stale:
                # A key that is stored, or other settings: under the locks they are read.
                return None
            self._known.forget(stale)
        self._optimism.failed()
        return None

    def _of_batches(self) -> dict[str, Any]:
        return {
            "clock": self._clock,
            "mint": self._mint,
            "currency": self._currency,
            "known": self._known,
            "process": self.process,
            "also_heard": self._also_heard,
        }

    async def _transact_under_locks(
        self, commands: list[Command | DeskCommand]
    ) -> tuple[list[Answer], list[WalletChange]]:
        batch: Batch | None = None
        try:
            async with in_transaction(WRITER) as db:
                batch = Batch(commands, session_over(db), **self._of_batches())
                await batch.load()
                batch.decide()
                notes = batch.notes()
                await batch.save(notes if self._tell_others is None else ())
        except BaseException as error:
            if batch is not None:
                self._known.forget(batch.wallet_ids)
            if isinstance(error, Exception) and failure_of(error) is Failure.UNREACHABLE:
                self._known.is_commit_doubtful = True
            raise
        self._known.is_commit_doubtful = False
        return self._committed(batch, notes)

    def _committed(self, batch: Batch, notes: Sequence[str]) -> tuple[list[Answer], list[WalletChange]]:
        """Remember what was committed, and tell whoever is to know of it before the callers do."""
        self._known.keep(batch.states)
        if batch.changes_rights:
            # Before anybody is answered: whoever was told of a change finds it in force.
            self._publish_rights()
        if batch.has_outgoing:
            self._publish_outgoing()
        if self._tell_others is not None and notes:
            self._tell_others(notes)
        return batch.answers, batch.changes

    def _with_claim(self, command: Command | DeskCommand) -> Command | DeskCommand:
        # A command without a key gets one of its own: when a commit's answer is lost with the connection, the
        # batch is run again, and the key tells what was done already.
        if command.claim is not None or (isinstance(command, DeskCommand) and command.repeatable):
            return command
        return replace(command, claim=IdempotencyClaim.own(command.actor, str(self._mint.id())))

    async def _pause(self, attempt: int, error: Exception) -> None:
        log.warning("batch is tried again", attempt=attempt, error=type(error).__name__)
        await asyncio.sleep(min(2.0, RETRY_DELAY_S * 2 ** (attempt - 1)) * uniform(0.5, 1.5))  # noqa: S311 — jitter


def _reply_to_all(batch: Iterable[_Pending], error: type[Exception]) -> None:
    for pending in batch:
        pending.reply(error())
