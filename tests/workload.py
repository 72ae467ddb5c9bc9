"""A mixed write load that keeps every request, so that all can be sent again and looked for in the tables.

`run` sends, `retry` sends everything once more with the same keys and compares the answers, `find_faults` looks into
the database: what was answered is there once, nothing else is there, and the ledger verifies.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tortoise.connection import get_connection

from app.db import READER, open_database
from app.services.verification import Report, verify
from tests.caller import (
    ADJUST,
    CANCEL_WITHDRAWAL,
    REGISTER,
    REQUEST_WITHDRAWAL,
    SETTINGS,
    Caller,
    UnansweredError,
    adjustment,
    money,
)
from tests.databases import settings_for

Answer = tuple[str, ...]
"""What an accepted request was told and must be told again: ids and references."""


class Kind(StrEnum):
    """What a request asks for."""

    CREDIT = "CREDIT"
    DEBIT = "DEBIT"
    WITHDRAW = "WITHDRAW"
    CANCEL = "CANCEL"
    REGISTER = "REGISTER"


DOCUMENTS = {
    Kind.CREDIT: ADJUST,
    Kind.DEBIT: ADJUST,
    Kind.WITHDRAW: REQUEST_WITHDRAWAL,
    Kind.CANCEL: CANCEL_WITHDRAWAL,
    Kind.REGISTER: REGISTER,
}
MIX = {Kind.CREDIT: 45, Kind.DEBIT: 28, Kind.WITHDRAW: 12, Kind.CANCEL: 7, Kind.REGISTER: 8}
LARGEST_MINOR = dict.fromkeys(Kind, 2_000) | {Kind.DEBIT: 3_200}
"""Debits are fewer than credits and larger, so that as much leaves the wallets as comes, however long it goes on."""
ATTEMPTS_MAX = 5
"""How often a request is sent again before its server counts as gone."""
TWINS = 0.05
"""The share of requests that are sent twice at the same moment, as by a client that lost patience."""


@dataclass(eq=False, slots=True)
class Request:
    """One intention, its key, and what became of it."""

    kind: Kind
    key: str
    customer: str
    minor: int
    variables: Mapping[str, Any]
    answer: Answer | None = None
    refusal: str | None = None
    sent: int = 0

    @property
    def is_answered(self) -> bool:
        """Whether its caller knows that it was done, or that it was refused."""
        return self.answer is not None or self.refusal is not None


@dataclass(slots=True)
class Workload:
    """The requests of one run. `name` is part of every key and note, and must be new for the database."""

    name: str
    customers: int = 40
    seed: int = 0
    requests: list[Request] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    _random: random.Random = field(init=False)
    _open_withdrawals: list[str] = field(default_factory=list)
    _stopped: bool = False

    def __post_init__(self) -> None:
        self._random = random.Random(f"{self.name} {self.seed}")

    # --- sending --------------------------------------------------------------------------------------------

    async def run(self, callers: Sequence[Caller], *, tasks: int, seconds: float, pause_s: float = 0) -> None:
        """Send new requests for some time, or until `stop`, or until the server does not answer.

        Each task rests for `pause_s` after a request.
        """
        with suppress(UnansweredError):
            on = {"withdrawals": {"enabled": True}, "note": "Played by the proof of crashes"}
            await callers[0].ask(SETTINGS, {"input": {**on, "idempotencyKey": f"{self.name}-settings"}})
        until = asyncio.get_running_loop().time() + seconds
        await asyncio.gather(*(self._keep_sending(callers, until, pause_s) for _ in range(tasks)))

    async def register(self, callers: Sequence[Caller], count: int, *, tasks: int = 32) -> None:
        """Make so many new customers known."""
        left = count

        async def take() -> None:
            nonlocal left
            while left:
                left -= 1
                request = self._new_request(Kind.REGISTER)
                self.requests.append(request)
                await self.send(self._random.choice(callers), request)

        await asyncio.gather(*(take() for _ in range(tasks)))

    def stop(self) -> None:
        """Begin no new request."""
        self._stopped = True

    async def _keep_sending(self, callers: Sequence[Caller], until: float, pause_s: float) -> None:
        while not self._stopped and asyncio.get_running_loop().time() < until:
            request = self._new_request()
            self.requests.append(request)
            twins = 2 if self._random.random() < TWINS else 1
            try:
                await asyncio.gather(
                    *(self.send(self._random.choice(callers), request) for _ in range(twins))
                )
            except UnansweredError:
                return
            await asyncio.sleep(pause_s)

    async def send(self, caller: Caller, request: Request) -> None:
        """Send a request, for the first time or again, and compare the answer with any earlier one."""
        request.sent += 1
        told = await caller.ask(DOCUMENTS[request.kind], request.variables)
        if errors := told["userErrors"]:
            if request.answer is not None:
                self.faults.append(f"{request.key} was accepted and then refused: {errors}")
            request.refusal = errors[0]["code"]
            return
        answer = _answer(request.kind, told)
        if request.answer is not None and request.answer != answer:
            self.faults.append(f"{request.key} was answered with {request.answer}, then with {answer}")
        if request.answer is None and request.kind is Kind.WITHDRAW:
            self._open_withdrawals.append(answer[0])
        request.answer, request.refusal = answer, None

    async def retry(self, callers: Sequence[Caller], *, tasks: int = 32) -> None:
        """Send every request again with its key, in another order; all must be answered now."""
        waiting = list(self.requests)
        self._random.shuffle(waiting)

        async def take() -> None:
            while waiting:
                await self._insist(callers, waiting.pop())

        await asyncio.gather(*(take() for _ in range(tasks)))

    async def _insist(self, callers: Sequence[Caller], request: Request) -> None:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                await self.send(self._random.choice(callers), request)
            except UnansweredError:
                # A connection that was kept may be one to the server that was killed.
                if attempt == ATTEMPTS_MAX:
                    raise
                await asyncio.sleep(0.1 * attempt)
            else:
                return

    def _new_request(self, wanted: Kind | None = None) -> Request:
        kind = wanted or self._random.choices(list(MIX), list(MIX.values()))[0]
        if kind is Kind.CANCEL and not self._open_withdrawals:
            kind = Kind.CREDIT
        key = f"{self.name}-{len(self.requests)}"
        # Every third request meets the same wallet.
        hot = self._random.random() < 0.33
        customer = f"customer-{0 if hot else self._random.randrange(self.customers)}"
        minor = self._random.randrange(1, LARGEST_MINOR[kind])
        if kind is Kind.REGISTER:
            customer = f"new-{key}"
        return Request(kind, key, customer, minor, self._variables(kind, key, customer, minor))

    def _variables(self, kind: Kind, key: str, customer: str, minor: int) -> dict[str, Any]:
        if kind in (Kind.CREDIT, Kind.DEBIT):
            return adjustment(customer, kind.value, minor, key=key, note=_note(key))
        if kind is Kind.WITHDRAW:
            wallet = {"storeCustomerId": customer}
            amount = money(max(1, minor // 4))
            return {"input": {"wallet": wallet, "amount": amount, "note": _note(key), "idempotencyKey": key}}
        if kind is Kind.CANCEL:
            place = self._random.randrange(len(self._open_withdrawals))
            return {"input": {"withdrawalId": self._open_withdrawals.pop(place), "idempotencyKey": key}}
        return {"input": {"storeCustomerId": customer, "name": _note(key), "idempotencyKey": key}}

    # --- what came of it ------------------------------------------------------------------------------------

    @property
    def accepted(self) -> list[Request]:
        """The requests that were done."""
        return [request for request in self.requests if request.answer is not None]

    @property
    def unanswered(self) -> list[Request]:
        """The requests whose callers know nothing."""
        return [request for request in self.requests if not request.is_answered]

    async def done_keys(self, database_url: str) -> Counter[str]:
        """Return which of the requests are in the tables, by key, and how often."""
        async with open_database(settings_for(database_url)):
            found: Counter[str] = Counter()
            for table, column in _WHERE_NOTES_ARE:
                for row in await _select(
                    f"SELECT {column} AS note FROM {table} WHERE {column} LIKE {{}}", self
                ):
                    found[_key_in(row["note"])] += 1
        return found

    async def find_faults(self, database_url: str) -> Report:
        """Compare the answers with the tables, and verify the ledger; what is wrong is added to `faults`."""
        for request in self.unanswered:
            self.faults.append(f"{request.key} was never answered")
        done = await self.done_keys(database_url)
        expected = {r.key for r in self.accepted if r.kind is not Kind.CANCEL}
        self.faults += [f"{key} is there {times} times" for key, times in done.items() if times > 1]
        self.faults += [f"{key} was accepted and is not there" for key in expected - done.keys()]
        self.faults += [f"{key} is there and was never accepted" for key in done.keys() - expected]
        async with open_database(settings_for(database_url)):
            await self._compare_ids()
            await self._compare_balances()
            report = await verify()
        self.faults += [f"verify: {fault}" for fault in report.faults]
        if not report.is_clean and not report.faults:
            self.faults.append(f"verify: the totals do not add up: {report.totals}")
        return report

    async def _compare_ids(self) -> None:
        rows = await _select("SELECT key, result FROM idempotency_keys WHERE key LIKE {}", self, bare=True)
        claims = Counter(row["key"] for row in rows)
        for request in self.requests:
            wanted = 1 if request.answer is not None else 0
            if claims[request.key] != wanted:
                self.faults.append(f"{request.key} has {claims[request.key]} claims instead of {wanted}")
        rows = await _select("SELECT note, reference FROM transactions WHERE note LIKE {}", self)
        rows = [*rows, *await _select("SELECT note, reference FROM withdrawals WHERE note LIKE {}", self)]
        references = {_key_in(row["note"]): row["reference"] for row in rows}
        for request in self.accepted:
            stored = references.get(request.key)
            if stored is not None and request.answer is not None and stored not in request.answer:
                self.faults.append(f"{request.key} was told {request.answer} and the table has {stored}")

    async def _compare_balances(self) -> None:
        """Add up what callers were told, knowing nothing of ledgers."""
        expected: Counter[str] = Counter()
        for request in self.accepted:
            sign = {Kind.CREDIT: 1, Kind.DEBIT: -1}.get(request.kind, 0)
            expected[request.customer] += sign * request.minor
        sums = """
            SELECT c.external_id AS customer, sum(t.amount_minor) AS minor FROM transactions t
            JOIN wallets w ON w.id = t.wallet_id JOIN customers c ON c.id = w.customer_id
            WHERE t.note LIKE {} GROUP BY c.external_id
        """
        found = {row["customer"]: int(row["minor"]) for row in await _select(sums, self)}
        for customer, minor in expected.items():
            if found.get(customer, 0) != minor:
                self.faults.append(f"{customer} was told {minor} in all and has {found.get(customer, 0)}")


_WHERE_NOTES_ARE = (("transactions", "note"), ("withdrawals", "note"), ("customers", "name"))


def _note(key: str) -> str:
    return f"Proof {key} of the ledger"


def _key_in(note: str) -> str:
    return note.split(" ")[1]


async def _select(sql: str, workload: Workload, *, bare: bool = False) -> Sequence[Mapping[str, Any]]:
    """Select with one pattern, written `{}`, that the keys or the notes of the workload match."""
    connection = get_connection(READER)
    sqlite = connection.capabilities.dialect == "sqlite"
    pattern = f"{workload.name}-%" if bare else f"{_note(workload.name).split(' of ')[0]}-%"
    _, rows = await connection.execute_query(sql.replace("{}", "?" if sqlite else "$1"), [pattern])
    return list(rows)


def _answer(kind: Kind, told: Mapping[str, Any]) -> Answer:
    match kind:
        case Kind.CREDIT | Kind.DEBIT:
            posted = told["transaction"]
            return (posted["id"], posted["reference"], str(posted["sequence"]), told["wallet"]["id"])
        case Kind.WITHDRAW:
            return (told["withdrawal"]["id"], told["withdrawal"]["reference"])
        case Kind.CANCEL:
            assert told["withdrawal"]["status"] == "CANCELLED", told
            return (told["withdrawal"]["id"], told["withdrawal"]["reference"])
        case Kind.REGISTER:
            return (told["customer"]["id"], told["wallet"]["id"])
