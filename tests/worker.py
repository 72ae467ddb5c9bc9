"""A process of its own with its own writer, that plays a plan it is sent: `python -m tests.worker URL`.

It says `ready` once it is connected, reads one line of JSON (the plan), and answers with one line (the codes).
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from subprocess import PIPE
from typing import Any, Self
from uuid import UUID

from app.db import open_database
from app.domain.access import Capability, Principal, PrincipalKind
from app.domain.order import OrderSnapshot
from app.domain.withdrawal import PayoutOutcome, PayoutOutcomeKind
from app.models.auto_top_up import AutoTopUp
from app.models.payment import Payment
from app.services import (
    auto_top_up as auto_top_ups,
    gift_card as gift_cards,
    order as orders,
    payment as payments,
    top_up_intent as top_up_intents,
    withdrawal as withdrawals,
)
from app.services.ledger.command import WalletRef
from app.services.ledger.writer import Writer
from tests import gift_cards as cards, orders as shop
from tests.databases import settings_for
from tests.fork_server import Forked, fork_server, lines_of
from tests.ledger import code, credit, debit, running_writer
from tests.promotions import redeem

ROOT = Path(__file__).parent.parent
TIMEOUT_S = 60
COMMANDS = {"credit": credit, "debit": debit}


class Worker:
    """The process, seen from the test."""

    def __init__(self, process: Forked, lines: asyncio.StreamReader, closing: AsyncExitStack) -> None:
        self._process = process
        self._lines = lines
        self._closing = closing

    @classmethod
    async def start(cls, database_url: str) -> Self:
        """Start the process and wait until it is connected."""
        process = fork_server().start(
            "tests.worker", database_url, cwd=ROOT, environment=os.environ, stdin=PIPE, stdout=PIPE, stderr=2
        )
        closing = AsyncExitStack()
        worker = cls(process, await closing.enter_async_context(lines_of(process.stdout)), closing)
        assert await worker._line() == "ready"
        return worker

    async def play(self, plan: list[dict[str, Any]], *, at_once: int = 1000) -> list[str]:
        """Have the plan played, `at_once` commands at a time, and end the process."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([at_once, plan]).encode() + b"\n")
        answers: list[str] = json.loads(await self._line())
        self._process.stdin.close()
        await self._closing.aclose()
        assert await asyncio.to_thread(self._process.wait, TIMEOUT_S) == 0
        return answers

    async def _line(self) -> str:
        async with asyncio.timeout(TIMEOUT_S):
            return (await self._lines.readline()).decode().strip()


async def _play(writer: Writer, plan: list[dict[str, Any]], at_once: int) -> list[str]:
    answers: list[str] = []
    for start in range(0, len(plan), at_once):
        requests = (_request(writer, **step) for step in plan[start : start + at_once])
        found = await asyncio.gather(*requests, return_exceptions=True)
        answers += [code(one) if isinstance(one, BaseException) else one for one in found]
    return answers


async def _request(writer: Writer, kind: str, **step: Any) -> str:
    if kind in COMMANDS:
        return code(await writer.submit(COMMANDS[kind](step["who"], step["amount"], key=step["key"])))
    await _ORDERS[kind](writer, **step)
    return "ACCEPTED"


async def _tell(writer: Writer, told: dict[str, Any]) -> None:
    await shop.tell(writer, OrderSnapshot.from_data(told))


async def _claim(writer: Writer, order: str, who: str) -> None:
    await orders.claim(writer, shop.STORE.actor, shop.id_of(order), who, idempotency_key=f"{order} {who}")


async def _expire(writer: Writer, payment: str) -> None:
    await payments.expire(writer, await Payment.get(id=payment))


async def _capture(writer: Writer, payment: str) -> None:
    await shop.capture(writer, UUID(payment), key=f"capture {payment}")


async def _void(writer: Writer, payment: str) -> None:
    await shop.void(writer, UUID(payment), key=f"void {payment}")


async def _redeem(writer: Writer, who: str, code: str, amount: str | None = None, key: str = "") -> None:
    await cards.redeem(writer, who, code, amount=amount, key=key)


async def _expire_card(writer: Writer, card: str) -> None:
    await gift_cards.expire(writer, UUID(card))


async def _redeem_coupon(writer: Writer, who: str, code: str) -> None:
    await redeem(writer, who, code, key=f"redeem {who} {code}")


async def _start_top_up(writer: Writer, who: str, amount: str, key: str) -> None:
    await top_up_intents.start(
        writer,
        cards.customer(who),
        WalletRef(external_id=who),
        amount=amount,
        currency="USD",
        payment_method=None,
        idempotency_key=key,
    )


async def _ask_to_charge(writer: Writer, rule: str) -> None:
    await auto_top_ups.ask(writer, await AutoTopUp.get(id=rule))


STAFF = Principal(PrincipalKind.STAFF, "mira", capabilities=frozenset(Capability))
_NAMED = {"cancel": withdrawals.cancel}
_NOTED = {
    "review": withdrawals.review,
    "approve": withdrawals.approve,
    "reject": withdrawals.reject,
    "processing": withdrawals.mark_processing,
    "failed": withdrawals.mark_failed,
    "returned": withdrawals.mark_returned,
}


async def _withdraw(writer: Writer, who: str, amount: str, key: str) -> None:
    ref = WalletRef(external_id=who)
    await withdrawals.request(writer, STAFF, ref, amount=amount, currency="USD", note="", idempotency_key=key)


async def _step(writer: Writer, step: str, withdrawal: str, key: str) -> None:
    if step in _NAMED:
        await _NAMED[step](writer, STAFF, UUID(withdrawal), idempotency_key=key)
    elif step == "paid":
        await withdrawals.mark_paid(
            writer, STAFF, UUID(withdrawal), payout_reference=None, note=None, idempotency_key=key
        )
    else:
        note = "Decided while others decided too"
        await _NOTED[step](writer, STAFF, UUID(withdrawal), note=note, idempotency_key=key)


async def _outcome(writer: Writer, outcome: str, withdrawal: str, key: str) -> None:
    told = PayoutOutcome(PayoutOutcomeKind(outcome), provider_reference=f"po_{withdrawal}")
    await withdrawals.settle(writer, STAFF.actor, UUID(withdrawal), told, idempotency_key=key)


_ORDERS: dict[str, Callable[..., Awaitable[object]]] = {
    "tell": _tell,
    "claim": _claim,
    "expire": _expire,
    "authorize": shop.authorize,
    "capture": _capture,
    "void": _void,
    "refund": shop.refund,
    "redeem": _redeem,
    "redeem coupon": _redeem_coupon,
    "expire card": _expire_card,
    "start top-up": _start_top_up,
    "ask to charge": _ask_to_charge,
    "withdraw": _withdraw,
    "step": _step,
    "outcome": _outcome,
}


async def _main(database_url: str) -> None:
    async with open_database(settings_for(database_url)), running_writer(lambda: datetime.now(UTC)) as writer:
        _say("ready")
        line = await asyncio.to_thread(sys.stdin.readline)
        at_once, plan = json.loads(line)
        _say(json.dumps(await _play(writer, plan, at_once)))


def _say(line: str) -> None:
    _ANSWERS.write(line + "\n")
    _ANSWERS.flush()


_ANSWERS = sys.stdout

if __name__ == "__main__":
    # What is logged must not stand between the answers.
    sys.stdout = sys.stderr
    asyncio.run(_main(sys.argv[1]))
