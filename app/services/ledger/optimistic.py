"""A batch without locks: decided on what is known, and written by one statement if all of that is still so.

That is one round trip instead of five, and no lock is held while anybody waits for this program. It is for commands that
need nothing but their wallet, which are most of them; all else goes the way of `Batch`, under the locks
(docs/adr/0035-one-statement-for-a-batch.md).
"""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from app.domain.ledger import WalletState
from app.services.ledger import records
from app.services.ledger.batch import Batch
from app.services.ledger.command import Command, DeskCommand, WalletRef
from app.services.ledger.failure import Failure, failure_of
from app.services.ledger.store import Assumed, PostgresSession

PAUSE_MAX = 63
"""For how many batches at most nothing is tried without locks, after it failed."""


class Optimism:
    """Whether a batch is worth trying without locks.

    Where others work on the same wallets, what is known is old as often as not. So after each failure more batches go the
    other way before the next try: two processes that share a wallet wait for each other's locks, in turn, and neither
    starves.
    """

    def __init__(self) -> None:
        self._pause = 0
        self._left = 0

    def is_due(self) -> bool:
        """Tell whether to try, for one batch."""
        if self._left:
            self._left -= 1
            return False
        return True

    def succeeded(self) -> None:
        """Trust a little more."""
        self._pause //= 2

    def failed(self) -> None:
        """Try again only after a longer pause than the last."""
        self._pause = self._left = min(2 * self._pause + 1, PAUSE_MAX)


class OptimisticBatch(Batch):
    """The commands of one statement: `assume` takes what is known for what is stored, `save_if_so` has it compared."""

    def __init__(
        self, commands: Sequence[Command | DeskCommand], session: PostgresSession, **others: Any
    ) -> None:
        super().__init__(commands, session, **others)
        self._statements = session
        self._assumed: Assumed | None = None

    async def assume(self) -> bool:
        """Take wallets as they are known, and read those that are not; tell whether that is all that the commands need."""
        commands = [command for command in self._commands if isinstance(command, Command)]
        if len(commands) < len(self._commands) or not all(c.needs_only_its_wallet for c in commands):
            return False
        unknown = self._enter_known(commands)
        if unknown and not (await self._enter_stored(unknown) and all(map(self._known_state, commands))):
            # A wallet that is to be opened, or one that contradicts itself.
            return False
        states = self._states.values()
        if any(state.wallet.debt_minor for state in states) or self._states.keys() & self._known.doubtful:
            return False
        known = self._known
        self._settings, self._settings_version = known.settings, known.settings_version
        listened, self._heard = known.listened
        self._assumed = Assumed(
            [state.wallet for state in states],
            {(command.claim.scope, command.claim.key) for command in commands if command.claim},
            known.settings_version,
            known.settings_at,
            listened,
        )
        return True

    def _enter_known(self, commands: Collection[Command]) -> list[WalletRef]:
        unknown = []
        for command in commands:
            if self._known_state(command) is None:
                state = self._known.assumed(command.wallet)
                if state is None:
                    unknown.append(command.wallet)
                else:
                    # What is known stays as it is until this is committed.
                    self._enter(state.copy())
        return unknown

    async def _enter_stored(self, refs: Collection[WalletRef]) -> bool:
        for row in await self._statements.states(refs):
            wallet = records.read_wallet(row["wallet"])
            state = WalletState(
                wallet, records.read_customer(row["customer"]), lots=map(records.read_lot, row["lots"])
            )
            if state.fault():
                return False
            # It may be known by another name than it was called by.
            if wallet.id not in self._states:
                self._enter(state)
        return True

    async def save_if_so(self, notes: Sequence[str]) -> Collection[UUID] | None:
        """Write what the accepted commands did, if what was assumed is so, and return `None`; see `write_if` otherwise."""
        if self._assumed is None:
            raise RuntimeError("nothing was assumed")
        try:
            return await self._statements.write_if(self._assumed, self._all_writes(), notes)
        except Exception as error:
            if failure_of(error) is Failure.UNREACHABLE:
                # The statement may be on its way yet. Whatever is decided of these wallets next outdates it.
                self._known.doubtful.update(self._states)
                raise
            # PostgreSQL said no, to all of it. Under the locks it is found out which command is to blame.
            return ()
