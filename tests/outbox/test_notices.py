"""Notices to those who run the store, read back from a real SMTP server."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tortoise.context import TortoiseContext

from app.domain.email_kind import EmailKind
from app.domain.errors import FieldInvalid
from app.domain.fraud import Signal, SignalKind
from app.domain.ledger import Desk
from app.domain.mailing import is_mailed
from app.domain.notice import target_of
from app.domain.notice_kind import DEFAULT_NOTICES, NoticeKind, check_addresses
from app.domain.outbox import BACKOFF_S, Channel, MessageStatus, message
from app.domain.settings import StoreSettings
from app.domain.webhook_endpoint import DisabledBy
from app.domain.withdrawal import Withdrawal, WithdrawalStatus
from app.email.message import Envelope
from app.email.notices import notice_text
from app.email.smtp import Smtp
from app.models.outbox import OutboxMessage
from app.outbox.notices import NoticeSender
from app.outbox.worker import OutboxWorker
from app.services import webhook_endpoint as endpoints
from app.services.ledger.command import DeskCommand
from app.services.ledger.writer import Writer
from app.services.outbox import Bell, relay
from app.settings import mailbox, smtp_server
from tests.email.postbox import Postbox, opened, parts
from tests.ledger import (
    STAFF,
    Clock,
    change_settings,
    credit,
    decide_withdrawal,
    request_withdrawal,
    running_writer,
)
from tests.outbox.mailbox import BUSY, Mailbox
from tests.outbox.test_webhooks import listen

DESK, BOSS = "desk@shop.example", "boss@shop.example"


@pytest.fixture
async def writer(database: TortoiseContext, clock: Clock) -> AsyncIterator[Writer]:
    async with running_writer(clock, also_heard=is_mailed) as running:
        await running.submit(change_settings(StoreSettings(notice_emails=(DESK, BOSS))))
        yield running


@pytest.fixture
async def postbox() -> AsyncIterator[Postbox]:
    async with opened(Postbox()) as found:
        yield found


@pytest.fixture
def worker(writer: Writer, clock: Clock, postbox: Postbox) -> OutboxWorker:
    smtp = Smtp(smtp_server(f"smtp://127.0.0.1:{postbox.port}"), 5.0)
    envelope = Envelope(mailbox("Shop <wallet@shop.example>"), preferences_url="https://shop.example/emails")
    sender = NoticeSender(smtp, envelope, "Läden & Co")
    return OutboxWorker(writer=writer, bell=Bell(), clock=clock, senders=[sender], jitter=lambda: 1.0)


CUSTOMER = "customer-of-the-shop"
"""Longer than what ids happen to hold."""


async def waiting(writer: Writer) -> Withdrawal:
    """A withdrawal that somebody has to decide."""
    await writer.submit(credit(CUSTOMER, 5_000))
    asked = (await writer.submit(request_withdrawal(CUSTOMER, 1_250))).answer
    assert isinstance(asked, Withdrawal)
    return asked


async def test_a_withdrawal_that_waits_is_told_to_each_address(
    writer: Writer, worker: OutboxWorker, postbox: Postbox
) -> None:
    asked = await waiting(writer)
    assert await worker.work_off() == 2
    assert sorted(to for _, (to,) in postbox.envelopes) == [BOSS, DESK]
    said = f"Withdrawal {asked.reference} over 12.50 USD waits for a decision"
    for came in postbox.came:
        assert came["Subject"] == f"Läden & Co: {said}"
        assert came["List-Unsubscribe"] is None
        for shown in parts(came):
            assert "approveWithdrawals" in shown
            assert CUSTOMER not in shown
    assert await worker.work_off() == 0
    for row in await OutboxMessage.all():
        assert "shop.example" not in f"{row.target} {row.body} {row.error}"


async def test_what_was_decided_meanwhile_waits_for_nobody(
    writer: Writer, worker: OutboxWorker, postbox: Postbox
) -> None:
    asked = await waiting(writer)
    await writer.submit(decide_withdrawal(CUSTOMER, asked, WithdrawalStatus.PAID))
    await worker.work_off()
    assert postbox.came == []
    assert {row.error for row in await OutboxMessage.all()} == {
        "Somebody has decided the withdrawal meanwhile."
    }


@pytest.mark.parametrize(
    "wanted",
    [
        StoreSettings(),
        StoreSettings(notice_emails=("other@shop.example",), notice_kinds=(NoticeKind.FRAUD_SIGNAL,)),
    ],
)
async def test_what_the_settings_want_no_more_is_not_sent(
    writer: Writer, worker: OutboxWorker, postbox: Postbox, wanted: StoreSettings
) -> None:
    await waiting(writer)
    await relay(writer, tuple(worker._senders.values()))
    await writer.submit(change_settings(wanted))
    await waiting(writer)
    await worker.work_off()
    assert postbox.came == []
    assert {row.status for row in await OutboxMessage.all()} == {MessageStatus.CANCELLED}


async def test_one_notice_a_day_tells_of_all_that_died(
    writer: Writer, worker: OutboxWorker, postbox: Postbox, clock: Clock
) -> None:
    """Also where they die in different transactions, and the notice itself is told of by none."""
    others = Mailbox(channel=Channel.EMAIL, targets=(), answers=lambda _message: BUSY)
    senders = [others, *worker._senders.values()]
    both = OutboxWorker(writer=writer, bell=Bell(), clock=clock, senders=senders, jitter=lambda: 1.0)
    for number in range(3):

        def decide(desk: Desk, number: int = number) -> None:
            desk.add(message(f"mail-{number}", Channel.EMAIL, "a", str(EmailKind.REFUND), {}, now=desk.now))

        await writer.submit(DeskCommand("mail", STAFF, decide))
        clock.move(minutes=1)
    for wait_s in (1, *BACKOFF_S[Channel.EMAIL]):
        clock.move(seconds=wait_s + 300)
        await both.work_off()
    # The last of these looks found them dying: what they tell leaves at the next.
    await both.work_off()
    assert await OutboxMessage.filter(channel="EMAIL", status="DEAD").count() == 3
    said = [str(came["Subject"]) for came in postbox.came]
    assert said == ["Läden & Co: An e-mail could not be delivered (REFUND)"] * 2


async def test_an_endpoint_that_is_gone_and_odd_things_are_told(
    writer: Writer, worker: OutboxWorker, postbox: Postbox
) -> None:
    kept = await listen(writer, "https://shop.example/hooks", "order.*")
    await endpoints.end(writer, STAFF, kept.endpoint.id)

    def decide(desk: Desk) -> None:
        for _ in range(2):
            kind = SignalKind.RAPID_BALANCE_CHECKS
            desk.add(Signal(desk.mint.id(), kind, STAFF, None, 61, 60, desk.now))

    await writer.submit(DeskCommand("signal", STAFF, decide))
    await worker.work_off()
    said = [str(came["Subject"]).partition(": ")[2] for came in postbox.came]
    assert sorted(set(said)) == [
        "A webhook endpoint answered 410 and was switched off",
        "Something looked odd: rapid balance checks",
    ]
    assert len(said) == 4
    assert (
        DisabledBy.GONE
        in parts(postbox.came[said.index("A webhook endpoint answered 410 and was switched off")])[0]
    )


def test_every_kind_has_words() -> None:
    money = {"amount": "1.00", "currency": "USD"}
    bodies: dict[NoticeKind, dict[str, Any]] = {
        NoticeKind.WITHDRAWAL_WAITING: {"withdrawal": {"reference": "WD-1", "amount": money}},
        NoticeKind.PAYOUT_DISAGREEMENT: {"payout": {"provider": "<b>bridge</b>"}},
        NoticeKind.MESSAGE_DEAD: {"message": {"channel": "WEBHOOK", "topic": "order.created"}},
        NoticeKind.DELIVERY_DEAD: {"delivery": {"topic": "order.updated"}},
        NoticeKind.ENDPOINT_GONE: {"webhookEndpoint": {"id": "1", "events": ["*"]}},
        NoticeKind.FRAUD_SIGNAL: {"signal": {"kind": "GIFT_CARD_GUESSING"}},
    }
    assert set(bodies) == set(NoticeKind) == set(DEFAULT_NOTICES)
    for kind, body in bodies.items():
        found = notice_text(kind, body, store_name="Shop")
        assert found.subject.startswith("Shop: ")
        assert "<b>" not in found.html
    trouble = {"withdrawal": {"reference": "WD-1", "problem": "PAID_AFTER_END"}}
    assert "WD-1" in notice_text(NoticeKind.PAYOUT_DISAGREEMENT, trouble, store_name="Shop").subject


def test_addresses_are_kept_once_and_stand_for_themselves() -> None:
    assert check_addresses([" A@shop.example", "a@shop.example "]) == ("a@shop.example",)
    assert target_of("A@shop.example") == target_of("a@shop.example") != target_of("b@shop.example")
    for wrong in (
        ["nobody"],
        ["a b@shop.example"],
        ["a@shop.example\nBcc: x@y"],
        [f"{n}@x.yz" for n in range(11)],
    ):
        with pytest.raises(FieldInvalid):
            check_addresses(wrong)
