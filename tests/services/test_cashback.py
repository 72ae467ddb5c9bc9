"""Cashback through the writer, on both databases: given, vested, taken back, owed, expired, to the cent."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime
from random import Random
from zoneinfo import ZoneInfo

import pytest

from app.domain.bucket import Bucket
from app.domain.cashback.award import ShortfallPolicy
from app.domain.cashback.period import Period
from app.domain.cashback.reward import Caps, Expiry, PeriodCap, Vesting, VestingKind
from app.domain.cashback.rule import MilestoneKind, Trigger, TriggerKind
from app.domain.customer import CustomerDetails
from app.domain.event import EventTold
from app.domain.money import AMOUNT_MAX_MINOR, BALANCE_MAX_MINOR
from app.domain.order import (
    Coupon,
    OrderLine,
    OrderSnapshot,
    OrderStatus,
    RefundedLine,
    StoreCustomer,
    StoreRefund,
)
from app.domain.settings import StoreSettings
from app.domain.top_up import TopUpTold
from app.expressions import Cel
from app.models.cashback_award import CashbackEvaluation
from app.models.customer import Customer
from app.services import (
    birthday as birthdays,
    customer as customers,
    event as events,
    order as orders,
    top_up as top_ups,
)
from app.services.cashback import award as cashback
from app.services.cashback.book import RuleBooks
from app.services.cashback.preview import Cart, preview
from app.services.ledger.writer import Writer
from app.services.verification import verify
from tests.auditor import read_tables
from tests.cashback import audit_cashback, awards_of, given, pause, rule
from tests.ledger import START, Clock, OneBatch, change_settings, credit, debit, named
from tests.orders import STORE, at, balance_of, fill, id_of, lots_of, pay, snapshot, tell
from tests.promotions import coupon, promotion

PENDING, PAID, COMPLETED = OrderStatus.PENDING, OrderStatus.PAID, OrderStatus.COMPLETED
CANCELLED = OrderStatus.CANCELLED
HISTORIES = int(os.environ.get("CASHBACK_HISTORIES", "3"))
AT_ONCE = Vesting()
IN_TEN_DAYS = Vesting(VestingKind.AFTER_DAYS, 10)


@pytest.fixture(autouse=True)
async def audited(writer: Writer) -> AsyncIterator[None]:
    """Awards, their money, totals and debts agree after every test, and `verify` finds nothing."""
    yield
    audit_cashback(await read_tables())
    assert (await verify()).is_clean


async def work_the_clock(writer: Writer, clock: Clock) -> None:
    """Do what is due, as the server's jobs do."""
    for due in await cashback.due_to_vest(clock(), 100):
        await cashback.vest(writer, due.what)
    for due in await cashback.due_to_expire(clock(), 100):
        await cashback.expire(writer, due.what)


async def test_a_completed_order_earns_once(writer: Writer) -> None:
    five = await rule(writer, vesting=AT_ONCE)
    await tell(writer, snapshot(1, PAID, 10_000))
    assert await awards_of("ada") == []
    for minute in (2, 2, 3):
        await tell(writer, snapshot(minute, COMPLETED, 10_000))
    (award,) = await awards_of("ada")
    assert (award["amount_minor"], award["status"], award["bucket"]) == (500, "VESTED", "PROMO")
    assert await balance_of("ada") == (500, 0)
    assert await lots_of("ada") == [("PROMO", 500, 0)]
    assert await given(five.id) == 500


async def test_it_vests_after_its_days(writer: Writer, clock: Clock) -> None:
    await rule(writer, vesting=IN_TEN_DAYS)
    await tell(writer, snapshot(1, COMPLETED, 10_000))
    assert await balance_of("ada") == (0, 0)
    clock.move(days=9, hours=23)
    await work_the_clock(writer, clock)
    assert await balance_of("ada") == (0, 0)
    clock.move(hours=1)
    for _ in range(2):
        await work_the_clock(writer, clock)
    assert await balance_of("ada") == (500, 0)


async def test_an_order_that_is_refunded_before_it_vests_gives_the_rest(writer: Writer, clock: Clock) -> None:
    five = await rule(writer, vesting=IN_TEN_DAYS)
    await tell(writer, snapshot(1, COMPLETED, 10_000))
    await tell(writer, snapshot(2, COMPLETED, 10_000, 4_000))
    assert await given(five.id) == 300
    clock.move(days=10)
    await work_the_clock(writer, clock)
    # 5 percent of what stayed; the refund itself went to the card, which paid.
    assert await balance_of("ada") == (300, 0)
    assert await posted("ada") == [("CASHBACK", 300)]


async def test_refunds_in_parts_take_back_as_much_as_was_given(writer: Writer) -> None:
    await rule(writer, vesting=AT_ONCE)
    await tell(writer, snapshot(1, COMPLETED, 3_333))
    assert await balance_of("ada") == (167, 0)
    for minute, refunds in enumerate([(1_111,), (1_111, 1_111), (1_111, 1_111, 1_111)], 2):
        await tell(writer, snapshot(minute, COMPLETED, 3_333, *refunds))
    assert await balance_of("ada") == (0, 0)
    assert await posted("ada") == [("CASHBACK", 167), ("CLAWBACK", -56), ("CLAWBACK", -55), ("CLAWBACK", -56)]


async def test_lines_are_taken_back_line_by_line(writer: Writer) -> None:
    await rule(writer, vesting=AT_ONCE, categories_in=frozenset({"shoes"}))
    lines = (
        OrderLine("1", categories=("shoes",), subtotal_minor=4_000, total_minor=4_000),
        OrderLine("2", categories=("socks",), subtotal_minor=6_000, total_minor=6_000),
    )
    told = snapshot(1, COMPLETED, 10_000, lines=lines)
    await tell(writer, told)
    assert await balance_of("ada") == (200, 0)
    socks = StoreRefund("1", 6_000, lines=(RefundedLine("2", amount_minor=6_000),), created_at=at(2))
    await tell(writer, replace(told, modified_at=at(2), refunds=(socks,)))
    assert await balance_of("ada") == (200, 0)
    shoes = StoreRefund("2", 1_000, lines=(RefundedLine("1", amount_minor=1_000),), created_at=at(3))
    await tell(writer, replace(told, modified_at=at(3), refunds=(socks, shoes)))
    assert await balance_of("ada") == (150, 0)


async def test_a_refund_of_a_line_that_the_order_hasnt_got_counts_on_all_of_it(writer: Writer) -> None:
    await rule(writer, vesting=AT_ONCE)
    line = OrderLine("1", subtotal_minor=10_000, total_minor=10_000)
    told = snapshot(1, COMPLETED, 10_000, lines=(line,))
    await tell(writer, told)
    assert await balance_of("ada") == (500, 0)
    wrong = StoreRefund("1", 4_000, lines=(RefundedLine("SKU-1", amount_minor=4_000),), created_at=at(2))
    await tell(writer, replace(told, modified_at=at(2), refunds=(wrong,)))
    assert await balance_of("ada") == (300, 0)
    # One that is told of with the order counts as much.
    early = replace(told, external_id="1043", refunds=(wrong,))
    await tell(writer, early)
    assert await balance_of("ada") == (600, 0)


@pytest.mark.parametrize(
    ("policy", "left", "debt"),
    [
        (ShortfallPolicy.LEAVE, 1_000, 0),
        (ShortfallPolicy.DEBIT_OTHERS, 600, 0),
        (ShortfallPolicy.DEBT, 1_000, 400),
    ],
)
async def test_what_was_spent_is_taken_by_the_stores_policy(
    writer: Writer, policy: ShortfallPolicy, left: int, debt: int
) -> None:
    await writer.submit(change_settings(StoreSettings(shortfall_policy=policy)))
    await rule(writer, vesting=AT_ONCE)
    await tell(writer, snapshot(1, COMPLETED, 10_000))
    await writer.submit(debit("ada", 400))
    await writer.submit(credit("ada", 1_000))
    await tell(writer, snapshot(2, CANCELLED, 10_000))
    # The 1.00 that was unspent is back with the store; of the 4.00 that were spent, the policy decides.
    assert await balance_of("ada") == (left, 0)
    (wallet,) = (await read_tables())["wallets"]
    assert wallet["debt_minor"] == debt


async def test_a_debt_is_settled_from_the_next_credits(writer: Writer) -> None:
    await writer.submit(change_settings(StoreSettings(shortfall_policy=ShortfallPolicy.DEBT)))
    await rule(writer, vesting=AT_ONCE)
    await tell(writer, snapshot(1, COMPLETED, 10_000))
    await writer.submit(debit("ada", 500))
    await tell(writer, snapshot(2, CANCELLED, 10_000))
    await writer.submit(credit("ada", 200))
    assert await balance_of("ada") == (0, 0)
    await writer.submit(credit("ada", 1_000))
    assert await balance_of("ada") == (700, 0)
    (wallet,) = (await read_tables())["wallets"]
    assert wallet["debt_minor"] == 0
    (award,) = await awards_of("ada")
    assert (award["status"], award["taken"]["others_minor"]) == ("CLAWED_BACK", 500)


async def test_an_order_that_is_taken_up_again_gives_again(writer: Writer) -> None:
    await rule(writer, vesting=AT_ONCE)
    for minute, status in enumerate([COMPLETED, CANCELLED, COMPLETED, CANCELLED, COMPLETED], 1):
        await tell(writer, snapshot(minute, status, 10_000))
    assert await balance_of("ada") == (500, 0)
    (award,) = await awards_of("ada")
    assert (award["status"], award["clawed_minor"]) == ("VESTED", 0)


async def test_what_expired_is_not_taken_twice(writer: Writer, clock: Clock) -> None:
    await writer.submit(change_settings(StoreSettings(shortfall_policy=ShortfallPolicy.DEBIT_OTHERS)))
    await rule(writer, vesting=AT_ONCE, expiry=Expiry(days=30))
    await tell(writer, snapshot(1, COMPLETED, 10_000))
    await writer.submit(credit("ada", 1_000))
    await writer.submit(debit("ada", 100, bucket=Bucket.PROMO))
    clock.move(days=31)
    await work_the_clock(writer, clock)
    (award,) = await awards_of("ada")
    assert (award["status"], await balance_of("ada")) == ("EXPIRED", (1_000, 0))
    await tell(writer, snapshot(2, CANCELLED, 10_000))
    # 4.00 had expired, 1.00 was spent: only that is taken from what else is there.
    assert await balance_of("ada") == (900, 0)


async def test_the_wallets_own_part_earns_nothing(writer: Writer) -> None:
    await fill(writer, "ada")
    await rule(writer, vesting=AT_ONCE)
    await pay(writer, "ada", 4_000, total=10_000)
    await tell(writer, snapshot(1, COMPLETED, 10_000))
    (award,) = await awards_of("ada")
    assert award["amount_minor"] == 300


async def test_a_budget_and_a_cap_a_month_end_what_is_given(writer: Writer) -> None:
    caps = Caps(periods=(PeriodCap(Period.MONTH, 700),), budget_minor=1_000)
    five = await rule(writer, vesting=AT_ONCE, caps=caps)
    for number, who in enumerate(["ada", "ada", "ada", "bob", "cleo"]):
        await tell(writer, snapshot(1, COMPLETED, 10_000, order=f"o{number}", customer=who))
    assert [await balance_of(who) for who in ("ada", "bob")] == [(700, 0), (300, 0)]
    assert await given(five.id) == 1_000
    assert await awards_of("cleo") == []
    (looked,) = [row for row in (await read_tables())["cashback_evaluations"] if row["total_minor"] == 300]
    assert looked["outcomes"][0]["decision"] == "AWARDED"
    # What is taken back can be given again.
    await tell(writer, snapshot(2, CANCELLED, 10_000, order="o3", customer="bob"))
    await tell(writer, snapshot(1, COMPLETED, 10_000, order="o9", customer="cleo"))
    assert await balance_of("cleo") == (300, 0)


async def test_milestones_count_completed_orders(writer: Writer) -> None:
    third = Trigger(TriggerKind.MILESTONE, MilestoneKind.NTH_ORDER, n=3)
    spent = Trigger(TriggerKind.MILESTONE, MilestoneKind.LIFETIME_SPEND, spend_minor=25_000)
    await rule(writer, number=1, vesting=AT_ONCE, fixed=111, trigger=third)
    await rule(writer, number=2, vesting=AT_ONCE, fixed=222, trigger=spent)
    await tell(writer, snapshot(1, COMPLETED, 10_000, 10_000, order="a"))
    await tell(writer, snapshot(1, COMPLETED, 10_000, order="b"))
    assert await awards_of("ada") == []
    await tell(writer, snapshot(1, COMPLETED, 10_000, order="c"))
    assert [row["amount_minor"] for row in await awards_of("ada")] == [111]
    await tell(writer, snapshot(1, COMPLETED, 10_000, order="d"))
    assert sorted(row["amount_minor"] for row in await awards_of("ada")) == [111, 222]


async def test_each_order_of_a_batch_sees_those_before_it(writer: Writer) -> None:
    first = Trigger(TriggerKind.MILESTONE, MilestoneKind.FIRST_ORDER)
    caps = Caps(customer_minor=800)
    await rule(writer, number=1, vesting=AT_ONCE, fixed=111, trigger=first)
    await rule(writer, number=2, vesting=AT_ONCE, caps=caps)
    await writer.submit(credit("ada", 1))
    async with OneBatch(writer) as batch:
        for order in "abc":
            await batch.begin(tell(writer, snapshot(1, COMPLETED, 10_000, order=order)))
    assert sorted(row["amount_minor"] for row in await awards_of("ada")) == [111, 300, 500]


async def test_a_rule_that_is_paused_gives_nothing_and_what_it_gave_stays(writer: Writer) -> None:
    five = await rule(writer, vesting=AT_ONCE)
    await tell(writer, snapshot(1, COMPLETED, 10_000))
    await pause(writer, five.id)
    await tell(writer, snapshot(1, COMPLETED, 10_000, order="later"))
    (award,) = await awards_of("ada")
    assert (award["rule_version"], award["explanation"]["rule"]["name"]) == (1, "Rule 1")
    await tell(writer, snapshot(2, COMPLETED, 10_000, 5_000))
    assert await balance_of("ada") == (250, 0)


async def test_an_order_of_another_customer_takes_back_and_gives_anew(writer: Writer) -> None:
    await rule(writer, vesting=AT_ONCE)
    await tell(writer, snapshot(1, COMPLETED, 10_000))
    for minute in (2, 3):
        await tell(writer, snapshot(minute, COMPLETED, 10_000, customer="bob"))
    assert (await balance_of("ada"), await balance_of("bob")) == ((0, 0), (500, 0))
    await tell(writer, snapshot(4, COMPLETED, 10_000, 10_000, customer="bob"))
    assert (await balance_of("ada"), await balance_of("bob")) == ((0, 0), (0, 0))


async def test_paid_and_completed_are_two_occasions(writer: Writer) -> None:
    await rule(writer, number=1, vesting=AT_ONCE, trigger=Trigger(TriggerKind.ORDER_PAID))
    await rule(writer, number=2, vesting=AT_ONCE, fixed=50)
    await tell(writer, snapshot(1, PAID, 10_000))
    assert await balance_of("ada") == (500, 0)
    await tell(writer, snapshot(2, COMPLETED, 10_000))
    assert await balance_of("ada") == (550, 0)
    # An order that is first told of when it is completed was paid too.
    await tell(writer, snapshot(3, COMPLETED, 10_000, order="once"))
    assert await balance_of("ada") == (1_100, 0)


async def test_a_guests_order_earns_when_it_is_claimed(writer: Writer) -> None:
    await rule(writer, vesting=AT_ONCE)
    await tell(writer, snapshot(1, COMPLETED, 10_000, customer=None))
    await orders.claim(writer, STORE.actor, id_of("1042"), "ada", idempotency_key="claim-1")
    assert await balance_of("ada") == (500, 0)


async def test_an_expression_decides_too(writer: Writer) -> None:
    await rule(writer, vesting=AT_ONCE, expression="amount_minor >= 10000 && customer.orders_completed == 0")
    await tell(writer, snapshot(1, COMPLETED, 10_000, order="a"))
    await tell(writer, snapshot(1, COMPLETED, 10_000, order="b"))
    assert await balance_of("ada") == (500, 0)


async def test_preview_and_award_agree(writer: Writer) -> None:
    """What the cart is told is what the order gets: the same amounts, and the same reasons for nothing."""
    books = RuleBooks(Cel())
    caps = Caps(budget_minor=700)
    await rule(writer, number=1, vesting=AT_ONCE, caps=caps)
    await rule(writer, number=2, vesting=AT_ONCE, fixed=120, trigger=Trigger(TriggerKind.ORDER_PAID))
    await rule(writer, number=3, vesting=AT_ONCE, fixed=50, minimum_minor=9_000)
    await rule(writer, number=4, vesting=AT_ONCE, fixed=60, segments_in=frozenset({"vip"}))
    first = Trigger(TriggerKind.MILESTONE, MilestoneKind.FIRST_ORDER)
    await rule(writer, number=5, vesting=AT_ONCE, fixed=70, trigger=first)
    await writer.submit(credit("ada", 1))
    for number, total in enumerate([8_000, 10_000, 300]):
        told = snapshot(number, COMPLETED, total, order=f"o{number}")
        seen = await preview(books, Cart(told), await Customer.get(external_id="ada"), START)
        await tell(writer, told)
        looked_at = await CashbackEvaluation.filter(order_id=told.id).order_by("trigger")
        foreseen = sorted(
            (str(evaluation.occasion.trigger), [str(one.decision) for one in evaluation.outcomes])
            for evaluation in seen.evaluations
        )
        assert foreseen == [(row.trigger, [one["decision"] for one in row.outcomes]) for row in looked_at]
        given_for_it = [row for row in await awards_of("ada") if row["order_id"] == str(told.id)]
        assert sum(row["amount_minor"] for row in given_for_it) == seen.total_minor


async def test_a_top_up_earns_and_what_is_paid_back_is_taken_back(writer: Writer) -> None:
    await rule(writer, vesting=AT_ONCE, trigger=Trigger(TriggerKind.TOP_UP))
    for minute, paid in enumerate([10_000, 10_000, 4_000]):
        told = TopUpTold("shop", "1050", paid, "USD", face_value_minor=12_000, modified_at=at(minute))
        await top_ups.record(writer, STORE.actor, named("ada"), told)
    assert await posted("ada") == [
        ("TOP_UP", 10_000),
        ("CASHBACK", 500),
        ("TOP_UP", -6_000),
        ("CLAWBACK", -300),
    ]
    assert await lots_of("ada") == [("CASH", 4_000, 0), ("PROMO", 200, 0)]


async def test_an_event_earns_once(writer: Writer) -> None:
    review = Trigger(TriggerKind.EVENT, event="review")
    await rule(writer, vesting=AT_ONCE, fixed=100, trigger=review)
    for name, number in [("review", "1"), ("review", "1"), ("visit", "1"), ("review", "2")]:
        await events.record(writer, STORE.actor, "ada", EventTold(name, number))
    assert await balance_of("ada") == (200, 0)


async def test_signing_up_earns_once_and_a_birthday_once_a_year(writer: Writer, clock: Clock) -> None:
    await rule(writer, number=1, vesting=AT_ONCE, fixed=300, trigger=Trigger(TriggerKind.SIGN_UP))
    await rule(writer, number=2, vesting=AT_ONCE, fixed=500, trigger=Trigger(TriggerKind.BIRTHDAY))
    born = date(1990, 2, 28)
    for _ in range(2):
        await customers.register(
            writer, STORE.actor, external_id="ada", details=CustomerDetails(birthday=born)
        )
    assert await balance_of("ada") == (300, 0)
    for year, expected in [(2027, 800), (2028, 1_300)]:
        clock.now = datetime(year, 2, 28, 12, tzinfo=UTC)
        for _ in range(2):
            for due in await birthdays.due(clock(), 10, zone=ZoneInfo("UTC"), done_until=None):
                await birthdays.celebrate(writer, due.what)
        assert await balance_of("ada") == (expected, 0)


async def test_a_coupons_money_earns_nothing(writer: Writer) -> None:
    """The order costs 100.00, its coupon grants 10.00: cashback is of 90.00, also while the order is only paid."""
    await rule(writer, number=1, vesting=AT_ONCE, trigger=Trigger(TriggerKind.ORDER_PAID))
    await coupon(writer, await promotion(writer, amount_minor=1_000), code="SPRING")
    await tell(writer, snapshot(1, PAID, 10_000, coupons=(Coupon("SPRING"),)))
    assert await posted("ada") == [("PROMOTION", 1_000), ("CASHBACK", 450)]


async def test_a_wallet_that_is_full_keeps_its_order_and_gets_its_cashback_later(
    writer: Writer, clock: Clock
) -> None:
    await rule(writer, vesting=AT_ONCE)
    for _ in range(BALANCE_MAX_MINOR // AMOUNT_MAX_MINOR):
        await writer.submit(credit("ada", AMOUNT_MAX_MINOR))
    await writer.submit(credit("ada", BALANCE_MAX_MINOR % AMOUNT_MAX_MINOR))
    recorded = await tell(writer, snapshot(1, COMPLETED, 10_000))
    assert recorded.order.status == "COMPLETED"
    (award,) = await awards_of("ada")
    assert award["status"] == "PENDING"
    await writer.submit(debit("ada", 10_000))
    await work_the_clock(writer, clock)
    (award,) = await awards_of("ada")
    assert award["status"] == "VESTED"


@pytest.mark.parametrize("seed", range(HISTORIES))
async def test_histories_end_alike_however_they_are_told(writer: Writer, clock: Clock, seed: int) -> None:
    """Orders whose status and refunds change, told in time, and as it comes: late, twice, in any order."""
    chance = Random(seed)
    await writer.submit(change_settings(StoreSettings(shortfall_policy=chance.choice(list(ShortfallPolicy)))))
    vesting = chance.choice([AT_ONCE, IN_TEN_DAYS])
    await rule(writer, number=1, vesting=vesting, caps=Caps(order_minor=chance.choice([400, 4_000])))
    await rule(writer, number=2, vesting=AT_ONCE, fixed=77, trigger=Trigger(TriggerKind.ORDER_PAID))
    stories = [_story(chance) for _ in range(12)]
    for twin in ("in-time", "as-it-comes"):
        told = [
            replace(one, external_id=f"{number}-{twin}", customer=StoreCustomer(f"c{number}-{twin}"))
            for number, story in enumerate(stories)
            for one in story
        ]
        if twin == "as-it-comes":
            told += chance.choices(told, k=len(told) // 2)
            chance.shuffle(told)
        await asyncio.gather(*(tell(writer, one) for one in told))
    clock.move(days=11)
    await work_the_clock(writer, clock)
    for number in range(len(stories)):
        ends = [await _end(f"c{number}-{twin}") for twin in ("in-time", "as-it-comes")]
        assert ends[0] == ends[1], stories[number]


def _story(chance: Random) -> list[OrderSnapshot]:
    total, refunds, story = chance.randint(500, 12_345), list[int](), []
    for minute in range(1, chance.randint(2, 6)):
        if chance.random() < 0.4:
            refunds = [*refunds, chance.randint(1, total // 2)]
        status = chance.choice([PENDING, PAID, COMPLETED, COMPLETED, CANCELLED, OrderStatus.REFUNDED])
        story.append(snapshot(minute, status, total, *refunds))
    return story


async def _end(who: str) -> tuple[tuple[int, int], int]:
    net = sum(row["amount_minor"] - row["clawed_minor"] for row in await awards_of(who))
    return await balance_of(who), net


async def posted(who: str) -> list[tuple[str, int]]:
    """What was posted to a customer: kinds and signed amounts, oldest first."""
    tables = await read_tables()
    (customer,) = (row for row in tables["customers"] if row["external_id"] == who)
    (wallet,) = (row for row in tables["wallets"] if row["customer_id"] == customer["id"])
    rows = [row for row in tables["transactions"] if row["wallet_id"] == wallet["id"]]
    return [(row["kind"], row["amount_minor"]) for row in sorted(rows, key=lambda row: int(row["sequence"]))]
