"""The door of payout providers: what is signed is followed, once; all else is turned away."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from app.models.payout_message import PayoutMessage
from app.payouts.bridge import signed
from tests.ledger import Clock
from tests.payouts.bank import OTHER_SECRET, Bank
from tests.payouts.till import Till, balance, stands
from tests.stores import STANDARD_SECRET
from tests.webhooks.door import opened

SETTINGS: dict[str, Any] = {
    "payout_provider": "http",
    "payout_http_url": "https://bridge.example/payouts",
    "payout_http_secrets": STANDARD_SECRET,
    "payout_interval_s": 0,
}


class Door:
    """A server with a bridge, and one withdrawal that was handed over."""

    def __init__(self, caller: httpx.AsyncClient, withdrawal: UUID) -> None:
        self.caller = caller
        self.withdrawal = withdrawal

    async def tell(
        self,
        status: str,
        *,
        secret: str = STANDARD_SECRET,
        at: datetime | None = None,
        message_id: str = "msg_1",
        **more: Any,
    ) -> int:
        message = {"type": "payout.updated", "id": str(self.withdrawal), "status": status, "reference": "P-1"}
        body = json.dumps(message | more).encode()
        headers = signed(message_id, body, secret, at or datetime.now(UTC))
        return (await self.caller.post("/payouts/http", content=body, headers=headers)).status_code


@pytest.fixture
async def door(database_url: str) -> AsyncIterator[Door]:
    async with opened(database_url, **SETTINGS) as (app, caller):
        runtime = app.state.runtime
        till = await Till(runtime.writer, Clock(datetime.now(UTC))).open()
        one = await till.approved()
        bank = Bank(lambda: datetime.now(UTC)).provider()
        app.state.payouts.provider = bank
        work = till.work(bank)
        assert await work.send_due() == 1
        yield Door(caller, one)


async def test_it_is_paid_however_often_it_is_told(door: Door) -> None:
    for message_id in ("msg_1", "msg_1", "msg_2"):
        assert await door.tell("paid", message_id=message_id, statementReference="SEPA 7") == 200
    assert await door.tell("accepted", message_id="msg_0") == 200
    found = await stands(door.withdrawal)
    assert (found.status, found.payout_reference, found.provider_reference) == ("PAID", "SEPA 7", "P-1")
    assert await balance("ada") == (9_000, 0)
    kept = (
        await PayoutMessage.all().order_by("received_at").values_list("external_id", "kind", "withdrawal_id")
    )
    assert [(row[0], row[1]) for row in kept] == [("msg_1", "PAID"), ("msg_2", "PAID"), ("msg_0", "ACCEPTED")]
    assert {UUID(str(row[2])) for row in kept} == {door.withdrawal}


async def test_it_came_back_before_it_was_paid(door: Door) -> None:
    assert [await door.tell(status, message_id=status) for status in ("returned", "paid")] == [200, 200]
    assert ((await stands(door.withdrawal)).status, await balance("ada")) == ("RETURNED", (10_000, 0))


@pytest.mark.parametrize(
    "how",
    [
        {"secret": OTHER_SECRET},
        {"at": datetime.now(UTC) - timedelta(minutes=6)},
        {"at": datetime.now(UTC) + timedelta(minutes=30)},
        {"message_id": "m" * 300},
    ],
)
async def test_what_is_not_signed_moves_nothing(door: Door, how: dict[str, Any]) -> None:
    assert await door.tell("paid", **how) == 401
    assert (await stands(door.withdrawal)).status == "PROCESSING"
    assert await PayoutMessage.all().count() == 0


async def test_a_body_that_was_changed_moves_nothing(door: Door) -> None:
    body = json.dumps({"type": "payout.updated", "id": str(door.withdrawal), "status": "failed"}).encode()
    headers = signed("msg_1", body, STANDARD_SECRET, datetime.now(UTC))
    answer = await door.caller.post(
        "/payouts/http", content=body.replace(b"failed", b"paid"), headers=headers
    )
    assert (answer.status_code, (await stands(door.withdrawal)).status) == (401, "PROCESSING")


@pytest.mark.parametrize(
    "more", [{"status": "lost"}, {"status": "unknown"}, {"id": "x"}, {"type": "order.paid"}, {"note": 7}]
)
async def test_what_can_not_be_understood_is_said_to_be(door: Door, more: dict[str, Any]) -> None:
    message = {"type": "payout.updated", "id": str(door.withdrawal), "status": "paid", "reference": "P-1"}
    body = json.dumps(message | more).encode()
    headers = signed("msg_1", body, STANDARD_SECRET, datetime.now(UTC))
    answer = await door.caller.post("/payouts/http", content=body, headers=headers)
    assert (answer.status_code, (await stands(door.withdrawal)).status) == (422, "PROCESSING")


async def test_a_payout_that_we_do_not_know_is_kept_for_reconciliation(door: Door) -> None:
    assert await door.tell("paid", id=str(UUID(int=7)), reference="P-9") == 200
    (kept,) = await PayoutMessage.all()
    assert (kept.withdrawal_id, kept.provider_reference) == (None, "P-9")
    assert (await stands(door.withdrawal)).status == "PROCESSING"


async def test_too_large_a_body_is_not_read(door: Door) -> None:
    answer = await door.caller.post("/payouts/http", content=b"x" * 300_000)
    assert answer.status_code == 413


async def test_only_the_provider_that_is_set_up_has_a_door(door: Door) -> None:
    for name in ("stripe", "manual", "paypal"):
        assert (await door.caller.post(f"/payouts/{name}", content=b"{}")).status_code == 404
