"""The worker and a bridge that is slow, wrong, repeats, reorders and vanishes: nobody is paid twice."""

import asyncio
import json
import os
from datetime import timedelta
from random import Random
from uuid import UUID

import pytest

from app.domain.outbox import Channel
from app.models.outbox import OutboxMessage
from app.models.withdrawal import Withdrawal
from app.payouts.provider import Answer, PayoutOrder
from app.sealing import Sealer
from app.services import payout as payouts, payout_method as payout_methods, withdrawal as withdrawals
from app.services.ledger.writer import Writer
from app.services.outbox import backlog
from tests.ledger import Clock, freeze
from tests.payouts.bank import Bank, Mood
from tests.payouts.till import ALL, Till, balance, customer, stands

STORIES = int(os.environ.get("PAYOUT_STORIES", "4"))
UNANSWERED = [mood for mood in Mood if mood is not Mood.WELL]


@pytest.fixture
async def till(writer: Writer, clock: Clock) -> Till:
    return await Till(writer, clock).open()


@pytest.fixture
def bank(clock: Clock) -> Bank:
    return Bank(clock)


async def test_it_is_sent_and_paid(till: Till, bank: Bank) -> None:
    one = await till.approved()
    work = till.work(bank.provider())
    assert await work.send_due() == 1
    assert ((await stands(one)).status, (await stands(one)).provider_reference) == (
        "PROCESSING",
        f"P-{str(one)[-6:]}",
    )
    (order,) = bank.orders
    # The fee is the customer's: so much less is sent.
    assert order["amount"] == {"amount": "9.93", "currency": "USD"}
    assert order["method"] == {
        "kind": "BANK_IBAN",
        "details": {"holder": "Ada King", "iban": "DE89370400440532013000"},
    }
    bank.turns(str(one), "paid")
    till.clock.move(minutes=2)
    assert await work.ask_due() == 1
    found = await stands(one)
    assert (found.status, found.payout_reference) == ("PAID", "SEPA 1")
    assert await balance("ada") == (9_000, 0)
    assert (await work.send_due(), await work.ask_due(), len(bank.orders)) == (0, 0, 1)


@pytest.mark.parametrize("mood", UNANSWERED)
async def test_without_an_answer_it_stays_processing_and_is_asked_about(
    till: Till, bank: Bank, mood: Mood
) -> None:
    one = await till.approved()
    work = till.work(bank.provider(timeout_s=0.05))
    bank.moods = lambda: mood
    assert await work.send_due() == 1
    assert (await stands(one)).status == "PROCESSING"
    assert await balance("ada") == (10_000, 1_000)
    till.clock.move(minutes=2)
    await work.ask_due()
    assert ((await stands(one)).status, bank.elsewhere) == ("PROCESSING", 0)
    bank.moods = lambda: Mood.WELL
    till.clock.move(hours=1)
    await work.ask_due()
    bank.turns(str(one), "paid")
    till.clock.move(hours=1)
    await work.ask_due()
    assert (await stands(one)).status == "PAID"
    assert (bank.money, await balance("ada")) == ({str(one): 1}, (9_000, 0))


async def test_killed_between_commit_and_call(till: Till, bank: Bank) -> None:
    one = await till.approved()
    begun = asyncio.Event()

    class Vanishing(type(bank.provider())):  # type: ignore[misc]
        async def send(self, order: PayoutOrder) -> Answer:
            begun.set()
            await asyncio.Event().wait()
            raise AssertionError

    dying = bank.provider()
    dying.__class__ = Vanishing
    task = asyncio.create_task(till.work(dying).send(one))
    await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert ((await stands(one)).status, bank.status) == ("PROCESSING", {})
    work = till.work(bank.provider())
    assert (await work.send_due(), await work.ask_due()) == (0, 0), "the call may still go on elsewhere"
    till.clock.move(minutes=2)
    assert await work.ask_due() == 1
    assert bank.status == {str(one): "accepted"}


async def test_what_a_provider_no_longer_remembers_is_left_to_staff(till: Till, bank: Bank) -> None:
    one = await till.approved()
    work = till.work(bank.provider())
    bank.moods = lambda: Mood.LOST
    await work.send_due()
    bank.moods = lambda: Mood.WELL
    till.clock.move(days=7)
    await work.ask_due()
    assert (bank.status, (await stands(one)).status) == ({}, "PROCESSING")
    (found,) = await payouts.reconciliation(till.clock(), 10)
    assert (str(found.kind), found.withdrawal and found.withdrawal.id) == ("NOT_CONFIRMED", one)


async def test_two_processes_hand_it_over_once(till: Till, bank: Bank) -> None:
    ids = [await till.approved(f"c-{number}") for number in range(6)]
    workers = [till.work(bank.provider()) for _ in range(3)]
    await asyncio.gather(*(worker.send_due() for worker in workers))
    assert (len(bank.orders), len(bank.status)) == (6, 6)
    assert {UUID(key) for key in bank.status} == set(ids)


async def test_what_failed_comes_back(till: Till, bank: Bank) -> None:
    one = await till.approved()
    work = till.work(bank.provider())
    await work.send_due()
    bank.turns(str(one), "failed")
    till.clock.move(minutes=2)
    await work.ask_due()
    assert ((await stands(one)).status, await balance("ada")) == ("FAILED", (10_000, 0))


async def test_nothing_goes_to_a_method_that_was_removed(till: Till, bank: Bank) -> None:
    one = await till.approved()
    method_id = (await stands(one)).payout_method_id
    assert method_id is not None
    await payout_methods.remove(till.writer, customer("ada"), method_id, idempotency_key="r")
    assert await till.work(bank.provider()).send_due() == 0
    assert (await stands(one)).status == "APPROVED"


async def test_nothing_is_sent_of_a_frozen_wallet(till: Till, bank: Bank) -> None:
    one = await till.approved()
    await till.writer.submit(freeze("ada"))
    work = till.work(bank.provider())
    assert (await work.send_due(), await work.send(one)) == (0, False)
    assert ((await stands(one)).status, bank.orders) == ("APPROVED", [])


async def test_without_the_key_it_stays_approved(till: Till, bank: Bank) -> None:
    one = await till.approved()
    for sealer in (None, Sealer([b"k" * 32])):
        work = till.work(bank.provider())
        work._sealer = sealer
        assert await work.send_due() == 0
    assert ((await stands(one)).status, bank.orders) == ("APPROVED", [])


async def test_one_that_fails_keeps_no_other(till: Till, bank: Bank) -> None:
    first, second = [await till.approved(name) for name in ("ada", "bob")]
    work = till.work(bank.provider())
    send = work.provider.send

    async def fails_for_the_first(order: PayoutOrder) -> Answer:
        if order.withdrawal_id == first:
            raise KeyError("a defect")
        return await send(order)

    work.provider.send = fails_for_the_first  # type: ignore[method-assign]
    assert await work.send_due() == 2
    assert [(await stands(one)).provider_reference is None for one in (first, second)] == [True, False]
    work.provider.send = send  # type: ignore[method-assign]
    till.clock.move(minutes=2)
    assert await work.ask_due() == 2
    assert (await stands(first)).provider_reference is not None


async def test_it_leaves_with_what_makes_it_processing(till: Till, bank: Bank) -> None:
    one = await till.approved()
    work = till.work(bank.provider())
    assert await work.begin(one)
    (message,) = await OutboxMessage.all()
    assert (message.channel, message.target, message.status) == ("PAYOUT", "http", "WAITING")
    assert message.body == {"withdrawal": str(one)}, "no details lie in the outbox"
    assert (bank.orders, await work.begin(one)) == ([], False)
    assert await OutboxMessage.all().count() == 1


async def test_who_never_answers_is_asked_for_two_weeks(till: Till, bank: Bank) -> None:
    one = await till.approved()
    work = till.work(bank.provider())
    bank.moods = lambda: Mood.REFUSING
    await work.send_due()
    began = till.clock()
    while (message := await OutboxMessage.get()).status == "WAITING":
        assert message.next_attempt_at is not None
        till.clock.now = message.next_attempt_at
        assert await work.ask_due() == 1
    assert timedelta(days=13) < till.clock() - began < timedelta(days=15)
    assert (message.status, message.error) == (
        "DEAD",
        "Nobody knows how it stands: the answer has status 503",
    )
    assert ((await stands(one)).status, await balance("ada")) == ("PROCESSING", (10_000, 1_000))
    (found,) = await payouts.reconciliation(till.clock(), 10)
    assert str(found.kind) == "NOT_CONFIRMED", "staff see it, and say how it ended"
    assert (await backlog()).dead == {Channel.PAYOUT: 1}


async def test_another_provider_is_not_asked(till: Till, bank: Bank) -> None:
    one = await till.approved()
    work = till.work(bank.provider())
    await work.begin(one)
    other = till.work(bank.provider())
    other.provider.name = "stripe"
    assert (await other.ask_due(), bank.orders) == (1, [])
    till.clock.move(minutes=2)
    assert await work.ask_due() == 1
    assert bank.asked == {"payout.get": 1, "payout.create": 1}, "whoever may have sent it is asked first"


async def test_what_staff_pay_meanwhile_is_not_sent(till: Till, bank: Bank) -> None:
    one = await till.approved()
    await withdrawals.mark_paid(
        till.writer, ALL, one, payout_reference="by hand", note=None, idempotency_key="p"
    )
    work = till.work(bank.provider())
    assert (await work.send(one), await work.send_due(), bank.orders) == (False, 0, [])


async def test_reconciliation_names_what_differs(till: Till, bank: Bank) -> None:
    work = till.work(bank.provider())
    late, differs = [await till.approved(name) for name in ("ada", "bob")]
    await work.send_due()
    bank.turns(str(differs), "failed")
    till.clock.move(minutes=2)
    await work.ask_due()
    told = work.provider.translate(*bank.messages[0], till.clock())
    assert told is not None
    await payouts.keep_message(
        till.writer,
        work.actor,
        provider="http",
        external_id="msg_x",
        withdrawal_id=None,
        provider_reference="P-unknown",
        kind=told.outcome.kind,
    )
    bank.turns(str(differs), "paid")
    message = work.provider.translate(*bank.messages[1], till.clock())
    assert message is not None
    await work.settle(differs, message.outcome)
    till.clock.move(days=4)
    found = await payouts.reconciliation(till.clock(), 10)
    named = {
        (str(one.kind), one.withdrawal.id if one.withdrawal else None, one.provider_reference)
        for one in found
    }
    assert named == {
        ("OUTCOME_DIFFERS", differs, f"P-{str(differs)[-6:]}"),
        ("NO_OUTCOME", late, f"P-{str(late)[-6:]}"),
        ("UNKNOWN_PAYOUT", None, "P-unknown"),
    }


# --- chaos --------------------------------------------------------------------------------------------------

ENDS = {"paid": "PAID", "failed": "FAILED", "returned": "RETURNED"}


class Story:
    """Withdrawals, a bank with moods, workers that die, messages that repeat and overtake each other."""

    def __init__(self, till: Till, bank: Bank, seed: int) -> None:
        self.till, self.bank, self.chance = till, bank, Random(seed)
        self.work = till.work(bank.provider(timeout_s=0.01))
        self.ends: dict[str, str] = {}
        self.left: list[int] = []

    async def play(self, steps: int) -> None:
        self.bank.moods = lambda: self.chance.choice(list(Mood))
        for _ in range(steps):
            await self.chance.choice([self._works, self._dies, self._banks, self._tells, self._tells])()
            self.till.clock.move(seconds=self.chance.randint(1, 900))

    async def settle(self) -> None:
        """Everything is well at last: the bank ends all, answers all, and tells all once more."""
        self.bank.moods = lambda: Mood.WELL
        for _ in range(6):
            await self.work.send_due()
            self.till.clock.move(hours=2)
            await self.work.ask_due()
            for payout, status in list(self.bank.status.items()):
                if status in {"accepted", "paid"} and status != self._end(payout):
                    await self._banks_one(payout)
        for number in self.chance.sample(range(len(self.bank.messages)), len(self.bank.messages)):
            await self._told(number)

    async def _works(self) -> None:
        await self.chance.choice([self.work.send_due, self.work.ask_due])()

    async def _dies(self) -> None:
        """A process is killed in the middle of its work, and another one begins."""
        task = asyncio.create_task(self.chance.choice([self.work.send_due, self.work.ask_due])())
        for _ in range(self.chance.randint(0, 30)):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self.work = self.till.work(self.bank.provider(timeout_s=0.01))

    async def _banks(self) -> None:
        open_ = [payout for payout, status in self.bank.status.items() if status in {"accepted", "paid"}]
        if open_:
            await self._banks_one(self.chance.choice(open_))

    async def _banks_one(self, payout: str) -> None:
        end, now = self._end(payout), self.bank.status[payout]
        if now != end:
            self.bank.turns(payout, "paid" if end == "returned" and now == "accepted" else end)

    def _end(self, payout: str) -> str:
        return self.ends.setdefault(payout, self.chance.choice(list(ENDS)))

    async def _tells(self) -> None:
        if self.bank.messages:
            await self._told(self.chance.randrange(len(self.bank.messages)))

    async def _told(self, number: int) -> None:
        headers, body = self.bank.messages[number]
        # A sender signs anew what it repeats.
        again = Bank(self.till.clock)
        again.tells(json.loads(body), message_id=dict(headers)["webhook-id"])
        told = self.work.provider.translate(*again.messages[0], self.till.clock())
        assert told is not None
        found = await payouts.named("http", told.withdrawal_id, told.provider_reference)
        if found is not None:
            await self.work.settle(found, told.outcome)


@pytest.mark.parametrize("seed", range(STORIES))
async def test_whatever_happens_each_is_paid_at_most_once(till: Till, clock: Clock, seed: int) -> None:
    bank = Bank(clock, seed=seed)
    story = Story(till, bank, seed)
    ids = [await till.approved(f"c-{number}", "20.00") for number in range(8)]
    await story.play(60)
    assert all(count in {0, 1} for count in bank.money.values())
    await story.settle()
    found = {str(row.id): row for row in await Withdrawal.filter(id__in=ids)}
    assert set(bank.status) == set(found), "all reached the bank"
    assert {payout: ENDS[status] for payout, status in bank.status.items()} == {
        payout: row.status for payout, row in found.items()
    }
    assert all(row.problem is None for row in found.values())
    for number, one in enumerate(ids):
        left = 10_000 - 2_000 * bank.money[str(one)]
        assert await balance(f"c-{number}") == (left, 0)


def test_a_worker_names_itself(till: Till, bank: Bank) -> None:
    work = till.work(bank.provider())
    assert work.actor.id == "payouts:http"
