"""Hands approved withdrawals over to the provider, and asks it what became of them.

A job of the clock (`Payouts.job`) makes an approved withdrawal processing and writes a message of the outbox, in one
transaction; a worker of the outbox delivers the message, outside of any. So of several processes one calls the provider,
and whoever dies in between leaves a message that is due again. The first attempt has the money sent. Every other one asks
by the withdrawal's id: what the provider knows is settled, and what it surely doesn't know is handed over again under the
same id, which it can't pay twice.
"""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

import structlog

from app.backends.patience import DatabaseBusy
from app.context import Runtime
from app.domain.access import Actor, ActorKind
from app.domain.due import Due
from app.domain.errors import DomainError, PayoutMethodsClosed
from app.domain.money import currency_of
from app.domain.outbox import Channel, OutboxMessage, SendOutcome, Verdict
from app.domain.outgoing import OutboxEvent
from app.domain.payout_method import PayoutMethodKind
from app.domain.withdrawal import PayoutOutcome, WithdrawalStatus
from app.jobs import Job
from app.payouts.provider import Answer, Knowledge, PayoutOrder, Provider
from app.sealing import Sealer
from app.services import payout as payouts, payout_method as payout_methods, withdrawal as withdrawals
from app.services.ledger.command import OWN_KEY_PREFIX
from app.services.ledger.writer import LedgerUnavailable, NotAccepting, Overloaded, Writer
from app.services.outbox import Recipient
from app.services.payout import Sending
from app.services.withdrawal import Decided

log = structlog.get_logger("coffer.payouts")

JOB = "hand-over-payouts"

_AWAY = (Overloaded, NotAccepting, LedgerUnavailable, DatabaseBusy)

_UNKNOWN = "The provider does not know this payout, and may have forgotten its id. Ask them before the money is sent in another way."


class Payouts:
    """The provider that is set up: a job that hands over, and the outbox's channel of payouts.

    `mint` makes the keys of what is written down.
    """

    channel = Channel.PAYOUT

    def __init__(
        self,
        provider: Provider,
        *,
        writer: Writer,
        sealer: Sealer | None,
        clock: Callable[[], datetime],
        mint: Callable[[], UUID],
    ) -> None:
        self.provider = provider
        self.actor = Actor(ActorKind.SYSTEM, f"payouts:{provider.name}")
        self._writer = writer
        self._sealer = sealer
        self._clock = clock
        self._mint = mint

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Payouts"]:
        """Close what is open at the end of the block."""
        try:
            yield self
        finally:
            await self.provider.close()

    # --- handed over ----------------------------------------------------------------------------------------

    def job(self, interval_s: float) -> Job:
        """Return the clock's job that hands approved withdrawals over."""

        async def due(
            _runtime: Runtime, _now: datetime, limit: int, without: Collection[UUID]
        ) -> Sequence[Due[UUID]]:
            return await payouts.to_send(self.provider.kinds, limit, without)

        async def do(_runtime: Runtime, withdrawal_id: UUID) -> None:
            await self.begin(withdrawal_id)

        return Job(JOB, due, do, interval_s)

    async def begin(self, withdrawal_id: UUID) -> bool:
        """Make one approved withdrawal processing, with the message that has it sent; tell whether it was ours to begin.

        Raises `PayoutMethodsClosed` where the key of its payout method is missing: then it stays approved, for staff.
        """
        found = await payouts.sending(withdrawal_id)
        if found is None:
            return False
        payout_methods.opened(self._sealer, found.method)
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
        return not started.replayed

    # --- the outbox's channel -------------------------------------------------------------------------------

    async def recipients(self, events: Sequence[OutboxEvent]) -> Mapping[UUID, Sequence[Recipient]]:
        """Tell providers of no event: what they are to send is a message of its own."""
        return {}

    async def deliver(self, taken: OutboxMessage) -> SendOutcome:
        """Have a payout sent, or ask what became of it."""
        if taken.target != self.provider.name:
            return SendOutcome(Verdict.FAILED, f"It was handed to {taken.target}, which is not set up now.")
        found = await payouts.sending(UUID(taken.body["withdrawal"]))
        if found is None or found.handed_over_at is None:
            return SendOutcome(Verdict.UNWANTED, "There is no such payout.")
        if found.withdrawal.status != WithdrawalStatus.PROCESSING:
            # A webhook or staff have said what became of it.
            return SendOutcome(Verdict.DELIVERED)
        try:
            return await self._delivered(
                self._order(found, found.handed_over_at), is_first=taken.attempts == 1
            )
        except PayoutMethodsClosed as error:
            return SendOutcome(Verdict.FAILED, error.message)
        except _AWAY:
            return SendOutcome(Verdict.FAILED, "The ledger was away, so the provider is asked again.")

    async def _delivered(self, order: PayoutOrder, *, is_first: bool) -> SendOutcome:
        answer = await self._asked(order, is_first=is_first)
        if answer.outcome is None:
            log.warning("a payout is uncertain", withdrawal=str(order.withdrawal_id), why=answer.why)
            return SendOutcome(Verdict.FAILED, f"Nobody knows how it stands: {answer.why}")
        settled = await self.settle(order.withdrawal_id, answer.outcome)
        if settled.withdrawal.status == WithdrawalStatus.PROCESSING:
            return SendOutcome(
                Verdict.PENDING, "The provider has taken it on, and not said what became of it."
            )
        return SendOutcome(Verdict.DELIVERED)

    async def _asked(self, order: PayoutOrder, *, is_first: bool) -> Answer:
        """Return what the provider says; it is handed the order only while it surely remembers the order's id."""
        if is_first and self._may_send(order):
            return await self.provider.send(order)
        answer = await self.provider.outcome(order)
        if answer.knowledge is not Knowledge.NO_SUCH_PAYOUT:
            return answer
        if order.provider_reference is None and self._may_send(order):
            return await self.provider.send(order)
        return Answer.uncertain(_UNKNOWN)

    def _may_send(self, order: PayoutOrder) -> bool:
        return self._clock() < order.handed_over_at + self.provider.sends_again_for

    async def settle(self, withdrawal_id: UUID, outcome: PayoutOutcome) -> Decided:
        """Bring a withdrawal to where the provider says that it is."""
        key = f"{OWN_KEY_PREFIX}payout:{self._mint()}"
        return await withdrawals.settle(self._writer, self.actor, withdrawal_id, outcome, idempotency_key=key)

    def _order(self, found: Sending, handed_over_at: datetime) -> PayoutOrder:
        row = found.withdrawal
        charged_minor = row.fee_minor if row.fee_payer == "CUSTOMER" else 0
        return PayoutOrder(
            withdrawal_id=row.id,
            reference=row.reference,
            amount_minor=row.amount_minor - charged_minor,
            currency=currency_of(row.currency),
            kind=PayoutMethodKind(found.method.kind),
            details=payout_methods.opened(self._sealer, found.method),
            handed_over_at=handed_over_at,
            provider_reference=row.provider_reference,
        )
