"""Several processes give cashback under one budget, and take it back, at the same time."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from app.domain.cashback.period import Period
from app.domain.cashback.reward import Caps, PeriodCap, Vesting
from app.domain.order import OrderStatus
from app.services.ledger.writer import Writer
from app.services.verification import verify
from app.settings import Settings
from tests.auditor import audit, read_tables
from tests.cashback import audit_cashback, given, rule
from tests.concurrency.test_orders import in_some_order, race, telling
from tests.ledger import Clock
from tests.orders import snapshot

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("dialect", [pytest.param("postgres", marks=pytest.mark.postgres)]),
]

COMPLETED, CANCELLED = OrderStatus.COMPLETED, OrderStatus.CANCELLED
BUDGET, MONTHLY = 20_000, 1_200
ORDERS = [(f"o-{number}", f"c-{number % 25}") for number in range(100)]


@pytest.fixture(autouse=True)
async def books(writer: Writer, clock: Clock) -> AsyncIterator[None]:
    """Whatever raced, the books are right in the end."""
    clock.now = datetime.now(UTC)
    yield
    tables = await read_tables()
    audit(tables)
    audit_cashback(tables)
    assert (await verify()).is_clean


async def test_a_budget_and_a_monthly_cap_hold_in_eight_processes(writer: Writer, settings: Settings) -> None:
    caps = Caps(budget_minor=BUDGET, periods=(PeriodCap(Period.MONTH, MONTHLY),))
    five = await rule(writer, vesting=Vesting(), caps=caps)
    told = [snapshot(1, COMPLETED, 10_000, order=order, customer=who) for order, who in ORDERS]
    # Every process hears of every order, each in another order of its own.
    await race(settings, *(in_some_order(telling(told), seed) for seed in range(8)))
    awards = (await read_tables())["cashback_awards"]
    # 25 customers at 12.00 a month would be 300.00: the budget ends it at 200.00 exactly.
    assert sum(row["amount_minor"] for row in awards) == BUDGET == await given(five.id)
    by_customer: dict[str, int] = {}
    for row in awards:
        by_customer[row["store_customer"]] = by_customer.get(row["store_customer"], 0) + row["amount_minor"]
    assert max(by_customer.values()) <= MONTHLY


async def test_what_is_given_and_taken_back_at_once_ends_at_nothing(
    writer: Writer, settings: Settings
) -> None:
    five = await rule(writer, vesting=Vesting())
    given_first = [snapshot(1, COMPLETED, 10_000, order=order, customer=who) for order, who in ORDERS[:40]]
    called_off = [snapshot(2, CANCELLED, 10_000, order=order, customer=who) for order, who in ORDERS[:40]]
    plans = [in_some_order(telling([*given_first, *called_off]), seed) for seed in range(4)]
    await race(settings, *plans)
    assert await given(five.id) == 0
    assert sum(row["posted_minor"] for row in (await read_tables())["wallets"]) == 0
