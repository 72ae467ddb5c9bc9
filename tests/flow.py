"""Withdrawals from the request to their end, told to a real receiver: what was committed must be heard, also after kill -9.

`run` walks withdrawals through their steps over HTTP, `finish` sends what was left open again with the same keys,
`hear_all` waits until nothing is to be told any more, and `find_faults` compares what came with the tables.
"""

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tortoise.connection import get_connection

from app.db import READER, WRITER, open_database
from app.domain.global_id import row_id
from app.domain.outbox import Channel, message_id
from app.services.ledger.records import read_uuid
from app.services.verification import verify
from tests.caller import ADJUST, SETTINGS, Caller, UnansweredError, adjustment, money
from tests.databases import settings_for
from tests.outbox.receiver import Receiver

Row = Mapping[str, Any]

DONE = "{ replayed withdrawal { id status } userErrors { code message } }"
REQUEST = f"mutation R($input: RequestWithdrawalInput!) {{ requestWithdrawal(input: $input) {DONE} }}"
STEPS = {
    "APPROVED": ("approveWithdrawal", "ApproveWithdrawalInput"),
    "PROCESSING": ("markWithdrawalProcessing", "MarkWithdrawalProcessingInput"),
    "PAID": ("markWithdrawalPaid", "MarkWithdrawalPaidInput"),
    "FAILED": ("markWithdrawalFailed", "MarkWithdrawalFailedInput"),
    "REJECTED": ("rejectWithdrawal", "RejectWithdrawalInput"),
    "CANCELLED": ("cancelWithdrawal", "CancelWithdrawalInput"),
}
NOTED = frozenset({"FAILED", "REJECTED"})
WAYS = (
    ("APPROVED", "PAID"),
    ("APPROVED", "PROCESSING", "PAID"),
    ("APPROVED", "PROCESSING", "FAILED"),
    ("APPROVED", "CANCELLED"),
    ("REJECTED",),
    ("CANCELLED",),
)
ENDPOINT = """mutation E($input: CreateWebhookEndpointInput!) {
  createWebhookEndpoint(input: $input) { webhookEndpoint { id } userErrors { code message } }
}"""
QUIET_TIMEOUT_S = 120.0


@dataclass(slots=True)
class Walk:
    """One withdrawal: the way it goes, and how far its caller knows that it came."""

    key: str
    customer: str
    minor: int
    way: tuple[str, ...]
    withdrawal: str | None = None
    is_funded: bool = False
    taken: int = 0

    @property
    def is_done(self) -> bool:
        """Whether every step was acknowledged."""
        return self.withdrawal is not None and self.taken == len(self.way)


@dataclass(slots=True)
class Flow:
    """The withdrawals of one database; `name` must be new for it."""

    name: str
    receiver: Receiver
    endpoint: str = ""
    walks: list[Walk] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    async def prepare(self, caller: Caller) -> None:
        """Switch withdrawals on, and have the receiver told of everything."""
        on = {"withdrawals": {"enabled": True}, "note": "Played by the proof of crashes"}
        await self._told(caller, SETTINGS, {**on, "idempotencyKey": f"{self.name}-settings"})
        wanted = {"url": self.receiver.url, "events": ["*"], "note": "Played by the proof of crashes"}
        told = await self._told(caller, ENDPOINT, {**wanted, "idempotencyKey": f"{self.name}-endpoint"})
        self.endpoint = str(row_id(told["webhookEndpoint"]["id"]))

    async def _told(self, caller: Caller, document: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        told: Row = await caller.ask(document, {"input": given})
        if told["userErrors"]:
            self.faults.append(f"{given['idempotencyKey']} was refused: {told['userErrors']}")
        return told

    async def run(self, callers: Sequence[Caller], *, tasks: int, seconds: float) -> None:
        """Begin and walk withdrawals for some time, or until the server does not answer."""
        until = asyncio.get_running_loop().time() + seconds
        chance = random.Random(f"{self.name}-{len(self.walks)}")

        async def keep_walking() -> None:
            while asyncio.get_running_loop().time() < until:
                number = len(self.walks)
                customer = f"customer-{chance.randrange(12)}"
                walk = Walk(f"{self.name}-{number}", customer, chance.randrange(1, 900), chance.choice(WAYS))
                self.walks.append(walk)
                try:
                    await self._walk(chance.choice(callers), walk)
                except UnansweredError:
                    return

        await asyncio.gather(*(keep_walking() for _ in range(tasks)))

    async def finish(self, callers: Sequence[Caller]) -> None:
        """Take every step that is left, beginning with the one of which nobody knows whether it was taken."""
        for walk in self.walks:
            for attempt in range(5):
                try:
                    await self._walk(callers[attempt % len(callers)], walk)
                    break
                except UnansweredError:
                    # A connection that was kept may be one to the server that was killed.
                    await asyncio.sleep(0.1 * attempt)
            if not walk.is_done:
                self.faults.append(f"{walk.key} was not finished")

    async def _walk(self, caller: Caller, walk: Walk) -> None:
        if not walk.is_funded:
            credit = adjustment(walk.customer, "CREDIT", walk.minor, key=f"{walk.key}-credit")
            await self._told(caller, ADJUST, credit["input"])
            walk.is_funded = True
        if walk.withdrawal is None:
            wanted = {"wallet": {"storeCustomerId": walk.customer}, "amount": money(walk.minor)}
            told = await self._told(caller, REQUEST, {**wanted, "idempotencyKey": f"{walk.key}-request"})
            walk.withdrawal = told["withdrawal"]["id"] if told["withdrawal"] else ""
        while walk.taken < len(walk.way):
            await self._step(caller, walk, walk.way[walk.taken])
            walk.taken += 1

    async def _step(self, caller: Caller, walk: Walk, status: str) -> None:
        name, kind = STEPS[status]
        given = {"withdrawalId": walk.withdrawal, "idempotencyKey": f"{walk.key}-{status}"}
        if status in NOTED:
            given["note"] = "Played by the proof of crashes"
        told = await self._told(
            caller, f"mutation M($input: {kind}!) {{ {name}(input: $input) {DONE} }}", given
        )
        reached = told["withdrawal"] and told["withdrawal"]["status"]
        if not told["userErrors"] and not told["replayed"] and reached != status:
            self.faults.append(f"{walk.key} is {reached} after {status}")

    async def hear_all(self, database_url: str) -> None:
        """Wait until nothing is to be told any more."""
        waiting = (
            "SELECT (SELECT count(*) FROM outbox_events WHERE relayed_at IS NULL) + "
            "(SELECT count(*) FROM outbox_messages WHERE status = 'WAITING') AS number"
        )
        deadline = asyncio.get_running_loop().time() + QUIET_TIMEOUT_S
        left = 1
        async with open_database(settings_for(database_url)):
            while left and asyncio.get_running_loop().time() < deadline:
                await asyncio.sleep(0.2)
                left = (await _select(waiting))[0]["number"]
        if left:
            self.faults.append(f"{left} messages still waited after {QUIET_TIMEOUT_S:g} s")

    async def find_faults(self, database_url: str) -> int:
        """Compare what came with what was committed, and verify the ledger; return how many transactions there are."""
        async with open_database(settings_for(database_url)):
            events = await _select("SELECT id, type, subject_id FROM outbox_events ORDER BY id")
            steps = await _select("SELECT id, from_status, to_status FROM withdrawal_steps")
            posted = await _select("SELECT id FROM transactions")
            report = await verify()
        if not report.is_clean:
            self.faults.append(f"verify: {report.faults[:5]} {report.totals}")
        told = {str(read_uuid(event["subject_id"])): event["type"] for event in events}
        for step in steps:
            moved = step["from_status"] != step["to_status"]
            expected = f"withdrawal.{step['to_status'].lower()}" if moved else "withdrawal.updated"
            if told.get(str(read_uuid(step["id"]))) != expected:
                self.faults.append(f"the step {step['id']} was committed and its event was not")
        for row in posted:
            if told.get(str(read_uuid(row["id"]))) != "transaction.posted":
                self.faults.append(f"the transaction {row['id']} was committed and its event was not")
        self._compare(events)
        return report.transactions

    def _compare(self, events: Sequence[Row]) -> None:
        """Each event came, under the id that follows from it, and repeats said the same; nothing else came."""
        came: dict[str, set[bytes]] = defaultdict(set)
        for one in self.receiver.came:
            came[one.headers["webhook-id"]].add(one.body)
        expected = {
            f"msg_{message_id(read_uuid(event['id']), Channel.WEBHOOK, self.endpoint).hex}": event["type"]
            for event in events
        }
        for name in expected.keys() - came.keys():
            self.faults.append(f"{expected[name]} ({name}) was committed and never came")
        for name in came.keys() - expected.keys():
            self.faults.append(f"{name} came and was never committed")
        for name, bodies in came.items():
            types = {json.loads(body)["type"] for body in bodies}
            if len(bodies) != 1 or types != {expected.get(name)}:
                self.faults.append(f"{name} came with {len(bodies)} bodies of {sorted(types)}")

    @property
    def repeats(self) -> int:
        """How many messages came that had come before."""
        return len(self.receiver.came) - len({one.headers["webhook-id"] for one in self.receiver.came})


async def let_leases_run_out(database_url: str) -> None:
    """Have what the killed servers were sending be due, as it would be after the time of a lease. None runs meanwhile."""
    now = datetime.now(UTC).isoformat(" ")
    async with open_database(settings_for(database_url)):
        await get_connection(WRITER).execute_query(
            f"UPDATE outbox_messages SET next_attempt_at = '{now}' WHERE status = 'WAITING'"
        )


async def _select(sql: str) -> Sequence[Row]:
    rows: Sequence[Row] = await get_connection(READER).execute_query_dict(sql)
    return rows
