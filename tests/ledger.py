"""Commands for tests of the ledger, a clock that tests set, and writers on an open database."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any, Self
from uuid import UUID

from app.domain import wallet as wallets, withdrawal as withdrawals
from app.domain.access import Actor, ActorKind
from app.domain.adjustment import Adjustment, AdjustmentReason, Direction, adjust
from app.domain.bucket import Bucket
from app.domain.errors import DomainError
from app.domain.hold import Hold, HoldPurpose, HoldStatus
from app.domain.ledger import (
    Desk,
    Draft,
    Explanation,
    Row,
    Transaction,
    TransactionKind,
    WalletChange,
)
from app.domain.outgoing import Heard
from app.domain.settings import SettingsChange, StoreSettings
from app.domain.withdrawal import Withdrawal, WithdrawalStatus
from app.expressions import Cel
from app.services.ledger.command import Command, DeskCommand, IdempotencyClaim, Outcome, WalletRef
from app.services.ledger.mint import RandomMint
from app.services.ledger.writer import Writer

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
STAFF = Actor(ActorKind.STAFF, "s-1")
OTHER_STAFF = Actor(ActorKind.STAFF, "s-2")
NOTE = "Parcel of order 1042 arrived broken"

AnyCommand = Command | DeskCommand
Answer = Outcome | BaseException


class Clock:
    """A clock that stands until it is moved, also backwards."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> datetime:
        """Move the clock on, or back: `move(hours=-1)`."""
        self.now += timedelta(**by)
        return self.now


Who = str | UUID | WalletRef


def named(who: Who) -> WalletRef:
    """Name a wallet by the store's own id of its customer, or by its own id."""
    if isinstance(who, WalletRef):
        return who
    return WalletRef(external_id=who) if isinstance(who, str) else WalletRef(wallet_id=who)


def command(
    name: str,
    who: Who,
    decide: Callable[[Draft], Row | None],
    *,
    key: str | None = None,
    request: object = None,
    opens: bool = False,
    holds: tuple[UUID, ...] = (),
    rows: tuple[tuple[type[Row], UUID], ...] = (),
    actor: Actor = STAFF,
) -> Command:
    """A command; with a key, its request is what the caller sent."""
    claim = None
    if key is not None:
        claim = IdempotencyClaim.of(actor, key, name, {"wallet": str(who), "request": request})
    return Command(name, actor, named(who), decide, claim=claim, opens=opens, holds=holds, rows=rows)


def adjustment(
    direction: Direction,
    who: Who,
    amount_minor: int,
    *,
    bucket: Bucket | None = None,
    expires_at: datetime | None = None,
    key: str | None = None,
    note: str = NOTE,
    actor: Actor = STAFF,
    opens: bool = True,
) -> Command:
    """An adjustment by staff, as the service builds it."""
    asked = Adjustment(
        direction,
        amount_minor,
        AdjustmentReason.GOODWILL,
        note,
        actor,
        bucket=bucket,
        expires_at=expires_at,
    )
    request = [direction, amount_minor, bucket, expires_at, note]
    return command(
        "adjust_balance",
        who,
        lambda draft: adjust(draft, asked),
        key=key,
        request=request,
        opens=opens,
        actor=actor,
    )


def credit(
    who: Who,
    amount_minor: int,
    *,
    bucket: Bucket | None = None,
    expires_at: datetime | None = None,
    key: str | None = None,
    note: str = NOTE,
) -> Command:
    """A credit, which opens the wallet of a customer without one."""
    return adjustment(
        Direction.CREDIT, who, amount_minor, bucket=bucket, expires_at=expires_at, key=key, note=note
    )


def debit(who: Who, amount_minor: int, *, bucket: Bucket | None = None, key: str | None = None) -> Command:
    """A debit by staff, which obeys the store's setting of negative balances."""
    return adjustment(Direction.DEBIT, who, amount_minor, bucket=bucket, key=key)


def purchase(who: Who, amount_minor: int, *, key: str | None = None) -> Command:
    """The customer spends: never more than is there."""

    def decide(draft: Draft) -> Transaction:
        return draft.debit(amount_minor, Explanation(TransactionKind.PURCHASE, STAFF, "Order 1042"))

    return command("purchase", who, decide, key=key, request=amount_minor)


def authorize(
    who: Who, amount_minor: int, *, expires_at: datetime | None = None, key: str | None = None
) -> Command:
    """Hold an amount of any bucket for a payment."""

    def decide(draft: Draft) -> Hold:
        return draft.reserve(amount_minor, HoldPurpose.PAYMENT, expires_at=expires_at)

    return command("authorize", who, decide, key=key, request=[amount_minor, expires_at])


def capture(who: Who, hold_id: UUID, amount_minor: int, *, key: str | None = None) -> Command:
    """Spend a part of a hold, or all of it."""

    def decide(draft: Draft) -> Transaction:
        draft.hold(hold_id).require_open()
        explanation = Explanation(TransactionKind.PURCHASE, STAFF, "Order 1042")
        return draft.capture(hold_id, amount_minor, explanation)

    return command("capture", who, decide, key=key, request=[hold_id, amount_minor], holds=(hold_id,))


def void(who: Who, hold_id: UUID, *, key: str | None = None) -> Command:
    """Give back what a hold still holds."""

    def decide(draft: Draft) -> Hold:
        draft.hold(hold_id).require_open()
        return draft.release(hold_id)

    return command("void", who, decide, key=key, request=hold_id, holds=(hold_id,))


def lapse(who: Who, hold_id: UUID, *, key: str | None = None) -> Command:
    """Give back what a hold still holds, because its time ran out."""

    def decide(draft: Draft) -> Hold:
        draft.hold(hold_id).require_open()
        return draft.release(hold_id, HoldStatus.EXPIRED)

    return command("lapse", who, decide, key=key, request=hold_id, holds=(hold_id,))


def un_spend(who: Who, hold_id: UUID, amount_minor: int, *, key: str | None = None) -> Command:
    """Give back a part of what was captured of a hold, or all of it."""

    def decide(draft: Draft) -> Transaction:
        explanation = Explanation(TransactionKind.REFUND, STAFF, "Order 1042 was cancelled")
        draft.hold(hold_id)
        return draft.give_back(hold_id, amount_minor, explanation)

    return command("un_spend", who, decide, key=key, request=[hold_id, amount_minor], holds=(hold_id,))


def request_withdrawal(who: Who, amount_minor: int, *, key: str | None = None) -> Command:
    """The customer asks to be paid out."""

    def decide(draft: Draft) -> Withdrawal:
        draft.settings = paying_out(draft.settings)
        return withdrawals.request(draft, amount_minor, note="To my bank", actor=STAFF)

    asked = command("request_withdrawal", who, decide, key=key, request=amount_minor)
    return replace(asked, withdraws=True)


def paying_out(settings: StoreSettings) -> StoreSettings:
    """The same settings, with withdrawals switched on."""
    return replace(settings, withdrawals=replace(settings.withdrawals, enabled=True))


def decide_withdrawal(
    who: Who, withdrawal: Withdrawal, status: WithdrawalStatus, *, key: str | None = None
) -> Command:
    """Pay, reject or cancel a request."""

    def decide(draft: Draft) -> Withdrawal:
        asked = draft.row(Withdrawal, withdrawal.id)
        if status is WithdrawalStatus.PAID:
            return withdrawals.pay(draft, asked, payout_reference="SEPA-1", note=None, actor=STAFF)
        return withdrawals.give_back(draft, asked, status, note=None, actor=STAFF)

    return command(
        f"{status.lower()}_withdrawal",
        who,
        decide,
        key=key,
        request=withdrawal.id,
        holds=(withdrawal.hold_id,),
        rows=((Withdrawal, withdrawal.id),),
    )


def freeze(who: Who, *, key: str | None = None) -> Command:
    """Staff stop the wallet."""
    return command("freeze_wallet", who, lambda draft: wallets.freeze(draft, note=NOTE, actor=STAFF), key=key)


def unfreeze(who: Who, *, key: str | None = None) -> Command:
    """Staff let the wallet go again."""
    return command(
        "unfreeze_wallet", who, lambda draft: wallets.unfreeze(draft, note=NOTE, actor=STAFF), key=key
    )


def change_settings(settings: StoreSettings, *, key: str | None = None) -> DeskCommand:
    """Give the store other settings."""

    def decide(desk: Desk) -> SettingsChange:
        change = SettingsChange(desk.mint.id(), settings, STAFF, NOTE, desk.now)
        desk.add(change)
        return change

    claim = None
    if key is not None:
        claim = IdempotencyClaim.of(STAFF, key, "update_settings", settings.as_data())
    return DeskCommand("update_settings", STAFF, decide, claim=claim)


@asynccontextmanager
async def running_writer(
    clock: Callable[[], datetime],
    *,
    publish: Callable[[Sequence[WalletChange]], None] = lambda changes: None,
    publish_outgoing: Callable[[], None] = lambda: None,
    also_heard: Heard | None = None,
    batch_size_max: int = 512,
    queue_max: int = 10_000,
    wait_max_s: float = inf,
) -> AsyncIterator[Writer]:
    """A writer on the open database, stopped in the end."""
    writer = Writer(
        currency="USD",
        mint=RandomMint(),
        clock=clock,
        publish=publish,
        publish_outgoing=publish_outgoing,
        also_heard=also_heard,
        batch_size_max=batch_size_max,
        queue_max=queue_max,
        wait_max_s=wait_max_s,
        expressions=Cel(),
    )
    writer.start()
    try:
        yield writer
    finally:
        await writer.stop()


class OneBatch:
    """Holds a writer up, so that what is begun meanwhile is decided in one batch, in the order of its beginning."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._gate = asyncio.Event()
        self._tasks: list[asyncio.Future[Any]] = []
        self._transact = writer._transact

    async def __aenter__(self) -> Self:
        async def wait(commands: list[AnyCommand]) -> Any:
            await self._gate.wait()
            return await self._transact(commands)

        self._writer._transact = wait  # type: ignore[method-assign]
        nothing = DeskCommand("nothing", STAFF, lambda desk: None)
        self._tasks.append(asyncio.ensure_future(self._writer.submit(nothing)))
        while not self._writer.batch_sizes or self._writer.queue_depth or not self._tasks:  # noqa: ASYNC110 — its task is another
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        return self

    async def begin(self, request: Coroutine[Any, Any, Any]) -> None:
        """Begin a request, and wait until its command waits."""
        depth = self._writer.queue_depth
        task = asyncio.ensure_future(request)
        self._tasks.append(task)
        while self._writer.queue_depth == depth and not task.done():  # noqa: ASYNC110 — its task is another
            await asyncio.sleep(0)

    async def __aexit__(self, *failed: object) -> None:
        self._writer._transact = self._transact  # type: ignore[method-assign]
        self._gate.set()
        await asyncio.gather(*self._tasks)


async def submit_all(writer: Writer, commands: Sequence[AnyCommand]) -> list[Answer]:
    """Hand commands over at once, so that one batch takes them, and return each one's answer or error."""
    return await asyncio.gather(*(writer.submit(item) for item in commands), return_exceptions=True)


def code(answer: Answer) -> str:
    """What an answer says in one word: the refusal's code, `REPLAYED` or `ACCEPTED`; a defect is raised."""
    if isinstance(answer, Outcome):
        return "REPLAYED" if answer.replayed else "ACCEPTED"
    if isinstance(answer, DomainError):
        return str(answer.code)
    raise answer
