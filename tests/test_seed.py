"""The made-up store: the same every time, whole, and honest to the ledger."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tortoise.connection import get_connection
from tortoise.context import TortoiseContext

from app.db import READER, migrate, open_database
from app.domain.adjustment import AdjustmentReason
from app.domain.note import check_note
from app.domain.withdrawal import WithdrawalStatus
from app.sealing import Sealer
from app.seed import DEMO_CUSTOMER, STAFF, is_planted, may_plant, plant
from app.seed.people import CUSTOMERS, people
from app.seed.story import Plot, tell, unit_of
from app.services.verification import verify
from tests.databases import settings_for
from tests.services.tampering import credit, writer

SEALER = Sealer([bytes(range(32))])
NOW = datetime(2026, 6, 15, 10, 30, tzinfo=UTC)
HISTORY = """
SELECT c.external_id, c.name, c.email, t.sequence, t.kind, t.amount_minor, t.balance_after_minor,
  CASE WHEN t.kind IN ('WITHDRAWAL', 'TOP_UP') THEN '' ELSE t.note END AS note, t.reason,
  t.actor_kind, t.actor_id, t.created_at
FROM transactions t JOIN wallets w ON w.id = t.wallet_id JOIN customers c ON c.id = w.customer_id
ORDER BY c.external_id, t.sequence
"""


async def rows(sql: str) -> list[dict[str, Any]]:
    """What the open database answers."""
    return [dict(row) for row in await get_connection(READER).execute_query_dict(sql)]


async def values(sql: str) -> set[Any]:
    """The one column of what the open database answers."""
    return {next(iter(row.values())) for row in await rows(sql)}


async def count(sql: str) -> int:
    """How many rows that is."""
    (row,) = await rows(f"SELECT COUNT(*) AS n FROM {sql}")
    return int(row["n"])


def test_the_customers_are_the_same_every_time_and_belong_to_nobody() -> None:
    found = people()
    assert found == people()
    assert (
        len({person.external_id for person in found}) == len({person.email for person in found}) == CUSTOMERS
    )
    assert found[0].external_id == DEMO_CUSTOMER
    for person in found:
        assert re.fullmatch(r"[a-z0-9.]+@(example\.(com|org|net)|(mail|post)\.example)", person.email), person
        assert person.name.strip() == person.name


def test_the_story_is_in_order_and_its_notes_are_good() -> None:
    events = tell(2)
    places = [(-event.day, event.slot) for event in events]
    assert places == sorted(places)
    assert len({event.key for event in events}) == len(events)
    by_number = {(event.person, event.number): event for event in events}
    for event in events:
        if event.after is not None:
            earlier = by_number[event.person, event.after]
            assert earlier.day > event.day, "an event and what it refers to must not share a batch"


@pytest.mark.slow
async def test_the_whole_story(database: TortoiseContext) -> None:
    assert await may_plant()
    planted = await plant(currency="USD", now=NOW, sealer=SEALER)
    assert planted.customers == CUSTOMERS
    assert planted.known == 0
    await the_store_is_believable()
    await the_demos_customer_has_one_of_everything()
    await told_again_it_changes_nothing()


async def the_store_is_believable() -> None:
    report = await verify()
    assert report.is_clean
    assert report.wallets == CUSTOMERS
    assert 2_000 < report.transactions < 6_000
    assert await is_planted()

    assert await values("SELECT status FROM withdrawals") == set(WithdrawalStatus)
    assert await values("SELECT status FROM wallets") == {"ACTIVE", "FROZEN"}
    assert await values("SELECT bucket FROM lots WHERE remaining_minor > 0") == {"CASH", "PROMO", "GIFT_CARD"}
    assert await values("SELECT kind FROM transactions") >= {
        "ADJUSTMENT", "PURCHASE", "REFUND", "TOP_UP", "CASHBACK", "PROMOTION", "GIFT_CARD", "WITHDRAWAL", "EXPIRY",
    }  # fmt: skip
    assert await values("SELECT reason FROM transactions WHERE reason IS NOT NULL") == set(AdjustmentReason)
    assert await values("SELECT actor_id FROM transactions WHERE actor_kind = 'STAFF'") == {
        actor.id for actor in STAFF
    }
    assert await values("SELECT action FROM audit_entries") == {
        "FREEZE_WALLET",
        "UNFREEZE_WALLET",
        "UPDATE_SETTINGS",
        "CREATE_CASHBACK_RULE",
        "CREATE_PROMOTION",
        "CREATE_COUPON_CODES",
        "ADD_PAYOUT_METHOD",
    }
    assert await count("withdrawals WHERE status = 'APPROVED' AND payout_method_id IS NOT NULL") == 1
    assert await values("SELECT status FROM top_up_intents") == {"STARTED", "COMPLETED"}
    assert await values("SELECT status FROM auto_top_up_charges") == {"REQUESTED"}
    assert await values("SELECT status FROM coupon_redemptions") == {"GRANTED", "REFUSED", "TAKEN_BACK"}
    assert await count("promotions WHERE status = 'ACTIVE' AND uses > 5") == 2
    assert await count("transactions WHERE corrects_id IS NOT NULL") > 10
    assert await count("wallets WHERE posted_minor = 0 AND sequence > 0") > 5
    assert await count("wallets WHERE sequence = 0") > 5
    assert await count("wallets WHERE posted_minor >= 50000") > 5
    half_a_year_ago = f"{NOW - timedelta(days=183):%Y-%m-%d}"
    assert await count(f"wallets WHERE posted_minor > 0 AND last_activity_at < '{half_a_year_ago}'") > 10
    assert await values("SELECT status FROM gift_cards") == {"ACTIVE", "INACTIVE", "REDEEMED"}
    for note in await values("SELECT note FROM transactions WHERE kind = 'ADJUSTMENT'"):
        assert check_note(note) == note


async def the_demos_customer_has_one_of_everything() -> None:
    mine = (
        "JOIN wallets w ON w.id = x.wallet_id JOIN customers c ON c.id = w.customer_id "
        f"WHERE c.external_id = '{DEMO_CUSTOMER}'"
    )
    assert await values(f"SELECT kind FROM transactions x {mine}") >= {
        "ADJUSTMENT", "PURCHASE", "TOP_UP", "CASHBACK", "PROMOTION", "GIFT_CARD", "WITHDRAWAL", "EXPIRY",
    }  # fmt: skip
    assert await values(f"SELECT x.status FROM withdrawals x {mine}") == {
        "REQUESTED", "PAID", "FAILED", "RETURNED", "REJECTED", "CANCELLED",
    }  # fmt: skip
    assert await count(f"transactions x {mine} AND x.corrects_id IS NOT NULL") == 1
    assert await count(f"holds x {mine} AND x.status = 'OPEN'") == 2
    assert await values(f"SELECT x.status FROM orders x {mine}") == {"PENDING", "COMPLETED", "CANCELLED"}
    assert await values(f"SELECT x.status FROM payments x {mine}") == {"AUTHORIZED", "CAPTURED", "VOIDED"}
    assert await count(f"refunds x {mine} AND x.wallet_minor > 0") == 1
    assert await count(f"payout_methods x {mine}") == 1
    assert await count(f"top_up_intents x {mine} AND x.status = 'STARTED'") == 1
    assert await values(f"SELECT x.kind FROM auto_top_ups x {mine}") == {"MONTHLY"}
    assert await count(f"renewals x {mine} AND x.status = 'UPCOMING'") == 1


async def told_again_it_changes_nothing() -> None:
    before = await rows(HISTORY)

    again = await plant(currency="USD", now=NOW + timedelta(days=9), sealer=SEALER)

    assert again.done == 0
    assert await rows(HISTORY) == before
    assert await may_plant()


class Interrupted(Exception):
    """Somebody pressed Ctrl-C, or pulled the plug."""


def interrupt(done: int, total: int) -> None:
    """Stop in the middle of the second half."""
    if done > total * 2 // 3:
        raise Interrupted


@pytest.mark.slow
@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_interrupted_it_is_taken_up_again_as_if_nothing_had_been(
    database: TortoiseContext, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        await plant(currency="USD", now=NOW, on_progress=interrupt)
    assert not await is_planted()
    assert await may_plant()
    telling = asyncio.create_task(plant(currency="USD", now=NOW))
    await asyncio.sleep(0.3)
    telling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await telling
    rest = await plant(currency="USD", now=NOW)
    assert rest.done > 0
    assert rest.known > 0
    assert (await verify()).is_clean
    in_pieces = await rows(HISTORY)

    other = settings_for(f"sqlite:///{tmp_path / 'other.sqlite3'}")
    await migrate(other)
    async with open_database(other):
        await plant(currency="USD", now=NOW)
        in_one_go = await rows(HISTORY)

    assert in_pieces == in_one_go


def test_amounts_fit_the_currency() -> None:
    # Yen are thought of as cents are; a dinar has a thousand fils.
    in_cents, in_yen, in_fils = (
        Plot(people()[0], unit_of(exponent)).minor(500, 900) for exponent in (2, 0, 3)
    )
    assert in_yen == in_cents
    assert in_fils == in_cents * 10


async def test_a_real_shop_is_not_mixed_with_made_up_customers(database: TortoiseContext) -> None:
    to = writer()
    to.start()
    await credit(100).submit(to, "a-real-customer")
    await to.stop()
    assert not await may_plant()
