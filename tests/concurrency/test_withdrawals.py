"""Several processes decide the same withdrawals, tell of their outcomes and ask for more, at the same time."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from app.domain.settings import StoreSettings
from app.domain.withdrawal import Withdrawal
from app.domain.withdrawal_terms import WithdrawalTerms
from app.services import withdrawal as withdrawals
from app.services.ledger.writer import Writer
from app.services.verification import verify
from app.settings import Settings
from tests.auditor import audit, read_tables
from tests.concurrency.test_orders import in_some_order, race
from tests.ledger import Clock, change_settings, credit, request_withdrawal
from tests.worker import STAFF

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("dialect", [pytest.param("postgres", marks=pytest.mark.postgres)]),
]

CUSTOMERS = ("ada", "bob", "eve", "joe")
EACH = 1_000
COUNT = 40


@pytest.fixture(autouse=True)
async def books(writer: Writer, clock: Clock) -> AsyncIterator[None]:
    """Whatever raced, the books are right in the end."""
    clock.now = datetime.now(UTC)
    await writer.submit(change_settings(StoreSettings(withdrawals=WithdrawalTerms(enabled=True))))
    yield
    audit(await read_tables())
    report = await verify()
    assert report.faults == []
    assert report.is_clean


async def asked(writer: Writer, *, until: str | None = None) -> list[UUID]:
    """Withdrawals of several customers, the same number each; approved, or being sent, where that is wanted."""
    for who in CUSTOMERS:
        await writer.submit(credit(who, EACH * COUNT))
    found = []
    for number in range(COUNT):
        answer = (await writer.submit(request_withdrawal(CUSTOMERS[number % 4], EACH))).answer
        assert isinstance(answer, Withdrawal)
        found.append(answer.id)
        if until is not None:
            key = f"approve {number}"
            await withdrawals.approve(writer, STAFF, answer.id, note=None, idempotency_key=key)
        if until == "PROCESSING":
            key = f"send {number}"
            await withdrawals.mark_processing(writer, STAFF, answer.id, note=None, idempotency_key=key)
    return found


def stepping(step: str, ids: list[UUID], who: int) -> list[dict[str, Any]]:
    return [
        {"kind": "step", "step": step, "withdrawal": str(one), "key": f"{step} {who} {one}"} for one in ids
    ]


def telling(outcome: str, ids: list[UUID], who: int) -> list[dict[str, Any]]:
    return [
        {"kind": "outcome", "outcome": outcome, "withdrawal": str(one), "key": f"{outcome} {who} {one}"}
        for one in ids
    ]


async def withdrawn() -> dict[str, Counter[str]]:
    """How many withdrawals stand how, and what is left in all wallets."""
    tables = await read_tables()
    wallets = Counter(posted=0, held=0)
    for row in tables["wallets"]:
        wallets.update(posted=row["posted_minor"], held=row["held_minor"])
    return {"statuses": Counter(row["status"] for row in tables["withdrawals"]), "wallets": wallets}


async def test_one_decision_wins(writer: Writer, settings: Settings) -> None:
    """Approved and rejected and cancelled at once: what follows is one path, and the losers are told how it stands."""
    ids = await asked(writer)
    plans = [
        in_some_order(stepping(step, ids, who), who)
        for who, step in enumerate(("approve", "approve", "reject", "cancel"))
    ]
    said = [Counter(answers) for answers in await race(settings, *plans)]
    found = await withdrawn()
    ended = found["statuses"]["REJECTED"] + found["statuses"]["CANCELLED"]
    assert ended == COUNT, "what was approved can still be called off, once"
    assert said[2]["ACCEPTED"] + said[3]["ACCEPTED"] == COUNT
    assert said[0]["ACCEPTED"] + said[1]["ACCEPTED"] <= COUNT
    assert {code for one in said for code in one} <= {"ACCEPTED", "WITHDRAWAL_NOT_OPEN"}
    assert found["wallets"] == Counter(posted=4 * EACH * COUNT, held=0)


async def test_cancelled_while_it_is_sent(writer: Writer, settings: Settings) -> None:
    ids = await asked(writer, until="APPROVED")
    sent, cancelled = await race(
        settings,
        in_some_order(stepping("processing", ids, 0), 0),
        in_some_order(stepping("cancel", ids, 1), 1),
    )
    wins = sent.count("ACCEPTED")
    assert wins + cancelled.count("ACCEPTED") == COUNT
    found = await withdrawn()
    assert found["statuses"] == Counter({"PROCESSING": wins, "CANCELLED": COUNT - wins})
    assert found["wallets"]["held"] == wins * EACH


async def test_outcomes_from_everywhere(writer: Writer, settings: Settings) -> None:
    """Told by four at once, repeated and reordered: each is paid once, and what came back is back."""
    ids = await asked(writer, until="PROCESSING")
    returned = ids[::2]
    plans = [
        in_some_order(
            [*telling("PAID", ids, who), *telling("RETURNED", returned, who), *telling("ACCEPTED", ids, who)],
            who,
        )
        for who in range(4)
    ]
    said = {code for answers in await race(settings, *plans) for code in answers}
    assert said == {"ACCEPTED"}
    found = await withdrawn()
    assert found["statuses"] == Counter(PAID=COUNT // 2, RETURNED=COUNT // 2)
    assert found["wallets"] == Counter(posted=4 * EACH * COUNT - EACH * COUNT // 2, held=0)


async def test_staff_against_the_bank(writer: Writer, settings: Settings) -> None:
    """Staff mark as failed what the bank says is paid: never both with money, and who must look is told."""
    ids = await asked(writer, until="PROCESSING")
    failed, _ = await race(
        settings, in_some_order(stepping("failed", ids, 0), 0), in_some_order(telling("PAID", ids, 1), 1)
    )
    found, tables = await withdrawn(), await read_tables()
    wins = failed.count("ACCEPTED")
    assert found["statuses"] == Counter({"FAILED": wins, "PAID": COUNT - wins})
    problems = {row["id"] for row in tables["withdrawals"] if row["problem"] is not None}
    assert problems == {row["id"] for row in tables["withdrawals"] if row["status"] == "FAILED"}


async def test_a_daily_limit_in_four_processes(writer: Writer, settings: Settings) -> None:
    terms = WithdrawalTerms(enabled=True, maximum_per_day_minor=10_000)
    # The day's limit is for the store's own day: one whose midnight is not near.
    zone = "Etc/GMT-6" if datetime.now(UTC).hour >= 18 or datetime.now(UTC).hour < 6 else "UTC"
    await writer.submit(change_settings(StoreSettings(withdrawals=terms, time_zone=zone)))
    await writer.submit(credit("ada", 100_000))
    plans = [
        [{"kind": "withdraw", "who": "ada", "amount": "3.00", "key": f"{process}-{n}"} for n in range(25)]
        for process in range(4)
    ]
    said = Counter(answer for answers in await race(settings, *plans) for answer in answers)
    assert said == {"ACCEPTED": 33, "WITHDRAWAL_OUT_OF_LIMITS": 67}
    assert (await withdrawn())["wallets"]["held"] == 9_900
