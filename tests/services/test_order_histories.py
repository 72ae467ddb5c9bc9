"""Histories of several orders, told at once, twice and in any order, end where they end when told in time.

Each order and each customer is there twice: once told in time, once as it comes; through two writers, as two processes
have them. The fast loop plays a few histories; `ORDER_HISTORIES=500 pytest tests/services/test_order_histories.py` more.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Any

import pytest

from app.domain.bucket import Bucket
from app.domain.order import OrderSnapshot, OrderStatus, StoreCustomer, Subscription
from app.domain.payment import CaptureMethod
from app.domain.refund import RefundDestination
from app.domain.settings import CaptureOn, StoreSettings
from app.services import order as orders
from app.services.ledger.writer import Writer
from app.services.verification import verify
from tests.auditor import Tables, audit, read_tables
from tests.ledger import Clock, change_settings, running_writer
from tests.orders import SOURCE, STORE, at, authorize, capture, fill, snapshot, tell

# Breadth, not depth: the fast loop leaves it to `make test`.
pytestmark = pytest.mark.slow

HISTORIES = int(os.environ.get("ORDER_HISTORIES", "3"))
TWINS = ("told-in-time", "as-it-comes")
STATUSES = list(OrderStatus)
SHARED = "shared"
"""The customer of several orders: which lots each of them meets depends on who comes first, what is paid does not."""


@dataclass
class History:
    """One order: what its customer did, then what the store told."""

    order: str
    customer: str
    authorized: int
    captured: int
    capture: CaptureMethod
    told: list[OrderSnapshot] = field(default_factory=list)
    deleted: list[float] = field(default_factory=list)

    def of(self, twin: str) -> "History":
        """The same for one of the twins."""
        who = StoreCustomer(f"{self.customer}-{twin}")
        told = [
            replace(one, external_id=f"{self.order}-{twin}", customer=None if one.customer is None else who)
            for one in self.told
        ]
        return replace(self, order=f"{self.order}-{twin}", customer=who.external_id, told=told)


def histories(chance: Random) -> list[History]:
    """Six orders of four customers."""
    made = []
    for number in range(6):
        authorized = chance.choice([0, chance.randint(1, 1_800)])
        history = History(
            order=f"o{number}",
            customer=SHARED if number < 3 else f"alone-{number}",
            authorized=authorized,
            captured=chance.choice([0, 0, 1, authorized]) if authorized else 0,
            capture=chance.choice(list(CaptureMethod)),
        )
        _tell(history, chance)
        made.append(history)
    return made


def _tell(history: History, chance: Random) -> None:
    minute = 0
    refunds: list[int] = []
    guest_until = chance.choice([0, 0, 2])
    renews = not history.authorized and chance.random() < 0.5
    method: dict[str, Any] = {"payment_method": "wallet", "subscription": Subscription("sub", renewal=True)}
    for number in range(chance.randint(1, 5)):
        # Never twice the same: what then decides is a digest, which the twins' names are part of.
        minute += chance.randint(1, 2)
        total = max(1, history.authorized + chance.choice([0, 0, 300, -90])) if not renews else 700
        if chance.random() < 0.5:
            refunds = [*refunds, chance.choice([0, 50, 400])]
        told = snapshot(
            minute,
            # Whether a renewal that was called off had been charged before depends on what came first.
            chance.choice(
                [OrderStatus.PENDING, OrderStatus.PAID, OrderStatus.COMPLETED] if renews else STATUSES
            ),
            total,
            *refunds,
            # Once an order has a customer it keeps one: who paid may not depend on what came first.
            customer=None if number < guest_until and not history.authorized else "the customer",
            **(method if renews else {}),
        )
        history.told.append(told)
    if chance.random() < 0.3 and not renews:
        history.deleted = [minute * chance.random()]


class Stage:
    """Plays the histories of one twin."""

    def __init__(self, writers: Sequence[Writer], chance: Random) -> None:
        self.writers = writers
        self.chance = chance

    @property
    def writer(self) -> Writer:
        return self.chance.choice(self.writers)

    async def prepare(self, found: Sequence[History]) -> None:
        """What the customers have, and what they did."""
        for who in sorted({history.customer for history in found}):
            await fill(self.writer, who)
        for history in found:
            if history.authorized:
                more: dict[str, Any] = {"order": history.order, "capture": history.capture}
                payment = await authorize(self.writer, history.customer, history.authorized, **more)
                if history.captured:
                    await capture(self.writer, payment.id, history.captured)

    def events(self, history: History) -> list[tuple[float, Callable[[], Awaitable[object]]]]:
        """What the store says of one order, each with its time."""
        said: list[tuple[float, Callable[[], Awaitable[object]]]] = []
        for told in history.told:
            minutes = (told.modified_at - at(0)).total_seconds() / 60
            said.append((minutes, partial(tell, self.writer, told)))
        said += [(minute, self._deletion(history, minute)) for minute in history.deleted]
        return said

    def _deletion(self, history: History, minute: float) -> Callable[[], Awaitable[object]]:
        return lambda: orders.mark_deleted(self.writer, STORE.actor, SOURCE, history.order, at(minute))

    async def play_in_time(self, found: Sequence[History]) -> None:
        for history in found:
            for _, event in sorted(self.events(history), key=lambda event: event[0]):
                await event()

    async def play_as_it_comes(self, found: Sequence[History]) -> None:
        """Each at least once, some again, a few at once, in any order."""
        events = [event for history in found for _, event in self.events(history)]
        events += [event for event in events if self.chance.random() < 0.4]
        self.chance.shuffle(events)
        while events:
            some = [events.pop() for _ in range(min(len(events), self.chance.randint(1, 8)))]
            await asyncio.gather(*(event() for event in some))


def money_of(tables: Tables, twin: str) -> dict[str, Any]:
    """All that counts of one twin, by names that both of them have."""
    found: dict[str, Any] = {}
    for name, wallet in _wallets(tables, twin).items():
        found[f"wallet {name}"] = (wallet["posted_minor"], wallet["held_minor"])
        if name != SHARED:
            inside: Counter[tuple[str, str]] = Counter()
            for lot in tables["lots"]:
                if lot["wallet_id"] == wallet["id"]:
                    inside[f"{lot['bucket']} {lot['expires_at']}", "free"] += lot["remaining_minor"]
                    inside[f"{lot['bucket']} {lot['expires_at']}", "held"] += lot["held_minor"]
            found[f"lots {name}"] = dict(+inside)
    for order in tables["orders"]:
        if order["external_id"].endswith(twin):
            found[f"order {order['external_id'].removesuffix(twin)}"] = _order(tables, order)
    return found


def _order(tables: Tables, order: dict[str, Any]) -> tuple[Any, ...]:
    columns = ("status", "total_minor", "credited_minor", "shortfall_minor", "problem", "modified_at")
    paid = [row for row in tables["payments"] if row["order_id"] == order["id"]]
    alive = [
        (row["external_id"], row["wallet_minor"], row["credited_minor"], row["elsewhere_minor"])
        for row in tables["refunds"]
        if row["order_id"] == order["id"] and row["withdrawn_at"] is None and order["wallet_id"] is not None
    ]
    net = sum(row["captured_minor"] - row["returned_minor"] for row in paid)
    return (*(order[name] for name in columns), net, order["wallet_id"] is None, sorted(alive))


def _wallets(tables: Tables, twin: str) -> dict[str, dict[str, Any]]:
    names = {row["id"]: row["external_id"] for row in tables["customers"]}
    return {
        names[row["customer_id"]].removesuffix(f"-{twin}"): row
        for row in tables["wallets"]
        if names[row["customer_id"]].endswith(twin)
    }


@pytest.mark.parametrize("seed", range(HISTORIES))
async def test_histories_end_where_they_end_in_time(writer: Writer, clock: Clock, seed: int) -> None:
    chance = Random(seed)
    chosen = StoreSettings(
        refund_destination=chance.choice(list(RefundDestination)),
        capture_on=chance.choice(list(CaptureOn)),
        refund_bucket=Bucket.CASH,
    )
    await writer.submit(change_settings(chosen))
    found = histories(chance)
    async with running_writer(clock) as other:
        stage = Stage([writer, other], chance)
        in_time, mixed = ([history.of(twin) for history in found] for twin in TWINS)
        await stage.prepare(in_time)
        await stage.prepare(mixed)
        await stage.play_in_time(in_time)
        await stage.play_as_it_comes(mixed)
    tables = await read_tables()
    audit(tables)
    assert money_of(tables, TWINS[1]) == money_of(tables, TWINS[0])
    assert (await verify()).is_clean
