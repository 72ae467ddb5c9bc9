"""Sends approved withdrawals by the provider, and asks it what became of them.

That a withdrawal is processing is committed before the provider is called, and the call stands outside of any
transaction. Whoever dies in between leaves a withdrawal that is asked about by its id: what the provider knows is
settled, and what it surely doesn't know is handed over again under the same id, which it can't pay twice.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from app.backends.patience import DatabaseBusy, be_patient
from app.domain.access import Actor, ActorKind
from app.domain.errors import DomainError, PayoutMethodsClosed
from app.domain.money import currency_of
from app.domain.payout_method import PayoutMethodKind
from app.domain.withdrawal import PayoutOutcome, WithdrawalStatus
from app.payouts.provider import Answer, Knowledge, PayoutOrder, Provider
from app.services import payout as payouts, payout_method as payout_methods, withdrawal as withdrawals
from app.services.ledger.command import OWN_KEY_PREFIX
from app.services.ledger.writer import LedgerUnavailable, NotAccepting, Overloaded, Writer
from app.services.payout import Sending
from app.vault import Vault

log = structlog.get_logger("coffer.payouts")

AT_ONCE = 4
"""Payouts that one process talks about at a time."""

AWAY = (Overloaded, NotAccepting, LedgerUnavailable, DatabaseBusy)

FOUND_AT_ONCE = 50
"""Approved withdrawals that one look finds."""

ASKED_FIRST_AFTER = timedelta(minutes=1)
"""How long a payout is left alone after it was handed over: the call itself may still go on, in another process."""

ASKED_AT_LEAST_EVERY = timedelta(hours=1)


class Payouts:
    """Runs in every server. Several processes may do it at once: one alone makes a withdrawal processing.

    `mint` makes the keys of what is settled; `interval_s` is how often to look, 0 never.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        writer: Writer,
        vault: Vault | None,
        clock: Callable[[], datetime],
        mint: Callable[[], UUID],
        interval_s: float,
        asked_first_after: timedelta = ASKED_FIRST_AFTER,
    ) -> None:
        self.provider = provider
        self.actor = Actor(ActorKind.SYSTEM, f"payouts:{provider.name}")
        self._writer = writer
        self._vault = vault
        self._clock = clock
        self._mint = mint
        self._interval_s = interval_s
        self._asked_first_after = asked_first_after
        self._asked_at: dict[UUID, datetime] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Payouts"]:
        """Send and ask until the end of the block."""
        tasks = []
        if self.provider.kinds and self._interval_s:
            tasks.append(asyncio.create_task(self._repeat(), name="payouts"))
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.provider.close()

    async def _repeat(self) -> None:
        be_patient()
        while True:
            try:
                await self.send_due()
                await self.ask_due()
            except AWAY as error:
                log.warning("payouts wait for the ledger", error=type(error).__name__)
            except Exception as error:  # noqa: BLE001 — it goes on at the next round
                # Not the exception's words: they may repeat what was sent.
                log.error("payouts failed", error=type(error).__name__)  # noqa: TRY400
            await asyncio.sleep(self._interval_s)

    # --- sending --------------------------------------------------------------------------------------------

    async def send_due(self) -> int:
        """Hand over what is approved, and tell how many there were."""
        return await self._each(self.send, await payouts.to_send(self.provider.kinds, FOUND_AT_ONCE))

    async def send(self, withdrawal_id: UUID) -> bool:
        """Hand one approved withdrawal over; tell whether it was ours to hand over."""
        found = await payouts.sending(withdrawal_id)
        if found is None or not self._can_open(found):
            return False
        try:
            started = await withdrawals.start_processing(
                self._writer,
                self.actor,
                withdrawal_id,
                provider=self.provider.name,
                idempotency_key=f"{OWN_KEY_PREFIX}payout:{self._mint()}",
            )
        except DomainError as refusal:
            # Somebody was quicker: another process, staff, or the customer who took it back.
            log.info("a payout was not begun", withdrawal=str(withdrawal_id), code=str(refusal.code))
            return False
        if started.replayed:
            return False
        return await self._hand_over(withdrawal_id)

    async def _hand_over(self, withdrawal_id: UUID) -> bool:
        order = await self._order(withdrawal_id)
        if order is None:
            return False
        await self._settle(order, await self.provider.send(order))
        return True

    # --- asking ---------------------------------------------------------------------------------------------

    async def ask_due(self) -> int:
        """Ask about what was handed over, the older the more rarely; tell about how many."""
        now, waiting = self._clock(), await payouts.under_way(self.provider.name)
        self._asked_at = {key: at for key, at in self._asked_at.items() if key in waiting}
        due = []
        for withdrawal_id, handed_over_at in sorted(waiting.items(), key=lambda one: one[1]):
            pause = min(max((now - handed_over_at) / 4, self._asked_first_after), ASKED_AT_LEAST_EVERY)
            if now >= self._asked_at.get(withdrawal_id, handed_over_at) + pause:
                self._asked_at[withdrawal_id] = now
                due.append(withdrawal_id)
        return await self._each(self.ask, due)

    async def ask(self, withdrawal_id: UUID) -> bool:
        """Ask how one payout stands; hand it over again, under the same id, if the provider surely knows nothing of it."""
        order = await self._order(withdrawal_id)
        if order is None:
            return False
        answer = await self.provider.outcome(order)
        if answer.knowledge is not Knowledge.NO_SUCH_PAYOUT:
            await self._settle(order, answer)
        elif order.provider_reference is None and self._may_send_again(order):
            await self._settle(order, await self.provider.send(order))
        else:
            log.warning("a payout is not known to its provider", withdrawal=str(withdrawal_id))
        return True

    def _may_send_again(self, order: PayoutOrder) -> bool:
        return self._clock() < order.handed_over_at + self.provider.sends_again_for

    async def _each(self, work: Callable[[UUID], Awaitable[bool]], ids: Sequence[UUID]) -> int:
        """Work on several at a time; one that fails keeps no other, and a ledger that is away stops them all."""
        room = asyncio.Semaphore(AT_ONCE)

        async def one(withdrawal_id: UUID) -> bool:
            async with room:
                try:
                    return await work(withdrawal_id)
                except AWAY:
                    raise
                except Exception as error:  # noqa: BLE001 — it stays as it is, and is found again
                    # Not the exception's words: they may repeat what was sent.
                    log.error("a payout failed", withdrawal=str(withdrawal_id), error=type(error).__name__)  # noqa: TRY400
                    return False

        done = await asyncio.gather(*(one(withdrawal_id) for withdrawal_id in ids), return_exceptions=True)
        for result in done:
            if isinstance(result, BaseException):
                raise result
        return sum(result is True for result in done)

    # --- both -----------------------------------------------------------------------------------------------

    async def settle(self, withdrawal_id: UUID, outcome: PayoutOutcome) -> None:
        """Bring a withdrawal to where the provider says that it is."""
        key = f"{OWN_KEY_PREFIX}payout:{self._mint()}"
        await withdrawals.settle(self._writer, self.actor, withdrawal_id, outcome, idempotency_key=key)

    async def _settle(self, order: PayoutOrder, answer: Answer) -> None:
        if answer.outcome is None:
            log.warning("a payout is uncertain", withdrawal=str(order.withdrawal_id), why=answer.why)
            return
        await self.settle(order.withdrawal_id, answer.outcome)

    def _can_open(self, found: Sending) -> bool:
        try:
            payout_methods.opened(self._vault, found.method)
        except PayoutMethodsClosed:
            # Found before anything is begun, so the withdrawal stays approved and staff can see to it.
            log.error("the key of a payout method is missing", withdrawal=str(found.withdrawal.id))  # noqa: TRY400
            return False
        return True

    async def _order(self, withdrawal_id: UUID) -> PayoutOrder | None:
        """Return the order of a withdrawal that is with this provider."""
        found = await payouts.sending(withdrawal_id)
        if found is None or found.handed_over_at is None:
            return None
        row = found.withdrawal
        if not self._can_open(found):
            return None
        if row.status != WithdrawalStatus.PROCESSING or row.provider != self.provider.name:
            return None
        charged_minor = row.fee_minor if row.fee_payer == "CUSTOMER" else 0
        return PayoutOrder(
            withdrawal_id=row.id,
            reference=row.reference,
            amount_minor=row.amount_minor - charged_minor,
            currency=currency_of(row.currency),
            kind=PayoutMethodKind(found.method.kind),
            details=payout_methods.opened(self._vault, found.method),
            handed_over_at=found.handed_over_at,
            provider_reference=row.provider_reference,
        )
