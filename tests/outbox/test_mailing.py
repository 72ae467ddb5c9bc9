"""E-mails, read back from a real SMTP server: what was sent, to whom, and what becomes of those that can't be."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import structlog
from aiosmtpd.smtp import AuthResult
from tortoise.context import TortoiseContext

from app.domain.adjustment import Adjustment, AdjustmentReason, Direction, adjust
from app.domain.bucket import Bucket
from app.domain.cashback.reward import Vesting
from app.domain.customer import CustomerDetails
from app.domain.email_kind import DEFAULT_KINDS, EmailKind
from app.domain.ledger import Draft, Explanation, Row, Transaction, TransactionKind
from app.domain.mailing import adjustment_email, is_mailed
from app.domain.order import OrderStatus
from app.domain.outbox import BACKOFF_S, Channel, MessageStatus
from app.domain.settings import StoreSettings
from app.domain.withdrawal import Withdrawal, WithdrawalStatus
from app.email.message import Envelope, message_id
from app.email.smtp import Smtp
from app.email.templates import Templates
from app.models.outbox import OutboxAttempt, OutboxMessage
from app.outbox.mailing import EmailSender
from app.outbox.worker import OutboxWorker
from app.services import customer as customers, outbox, reminder
from app.services.ledger.writer import Writer
from app.services.outbox import Bell
from app.settings import mailbox, smtp_server
from tests.cashback import rule
from tests.email.postbox import Postbox, opened, parts
from tests.gift_cards import issue, open_redemption, redeem
from tests.ledger import (
    NOTE,
    STAFF,
    Clock,
    change_settings,
    command,
    credit,
    decide_withdrawal,
    freeze,
    request_withdrawal,
    running_writer,
    unfreeze,
)
from tests.orders import pay, refund, snapshot, tell

EARLY = BACKOFF_S[Channel.EMAIL][0]
ADA = {"name": "Ada Lovelace", "email": "ada@shop.example"}


@pytest.fixture
def bell() -> Bell:
    return Bell()


@pytest.fixture
async def writer(database: TortoiseContext, clock: Clock, bell: Bell) -> AsyncIterator[Writer]:
    async with running_writer(clock, also_heard=is_mailed, publish_outgoing=bell.ring) as running:
        yield running


@pytest.fixture
async def postbox() -> AsyncIterator[Postbox]:
    async with opened(Postbox()) as found:
        yield found


@pytest.fixture
def worker_of(writer: Writer, bell: Bell, clock: Clock) -> Callable[..., OutboxWorker]:
    def make(port: int, **envelope: Any) -> OutboxWorker:
        shown = Envelope(sender=mailbox("Läden & Co <wallet@shop.example>"), **envelope)
        smtp = Smtp(smtp_server(f"smtp://127.0.0.1:{port}"), 5.0)
        sender = EmailSender(smtp, shown, Templates(), "Läden & Co")
        return OutboxWorker(
            writer=writer, bell=bell, clock=clock, senders=[sender], interval_s=0.05, jitter=lambda: 1.0
        )

    return make


async def known(writer: Writer, **facts: Any) -> None:
    """A customer with an address."""
    told = {**ADA, **facts}
    details = CustomerDetails(language=told.pop("language", None))
    await customers.register(writer, STAFF, external_id="c1", details=details, **told)


def told_adjustment(who: str, amount_minor: int, note: str = NOTE) -> Any:
    """An adjustment that tells its customer."""
    asked = Adjustment(Direction.CREDIT, amount_minor, AdjustmentReason.GOODWILL, note, STAFF)

    def decide(draft: Draft) -> Row:
        posted = adjust(draft, asked)
        draft.add(adjustment_email(posted, draft.wallet, now=draft.now))
        return posted

    return command("adjust_balance", who, decide)


def posts(kind: TransactionKind, who: str, amount_minor: int) -> Any:
    """A credit of a kind."""

    def decide(draft: Draft) -> Transaction:
        return draft.credit(amount_minor, Explanation(kind, STAFF, "It came in"), bucket=Bucket.CASH)

    return command("credit", who, decide)


async def one_message() -> OutboxMessage:
    return await OutboxMessage.get(channel="EMAIL")


async def test_an_adjustments_email_reads_back(
    writer: Writer, worker_of: Callable[..., OutboxWorker], postbox: Postbox
) -> None:
    await known(writer, language="de")
    await writer.submit(told_adjustment("c1", 1_250, note="Paket zu 1042 kam <b>kaputt</b> an & bleibt da"))
    page = "https://shop.example/emails"
    worker = worker_of(postbox.port, reply_to=mailbox("help@shop.example"), preferences_url=page)
    assert await worker.work_off() == 1
    (message,) = postbox.came
    row = await one_message()
    assert message["From"] == "Läden & Co <wallet@shop.example>"
    assert message["To"] == "Ada Lovelace <ada@shop.example>"
    assert message["Reply-To"] == "help@shop.example"
    assert message["Subject"] == "Läden & Co: Ihr Guthaben hat sich um +12,50 $ geändert"
    assert message["Message-ID"] == message_id(row.id, mailbox("wallet@shop.example"))
    assert message["List-Unsubscribe"] == f"<{page}>"
    assert message["Content-Language"] == "de"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "multipart/alternative"
    assert postbox.envelopes == [("wallet@shop.example", ["ada@shop.example"])]
    text, html = parts(message)
    posted = (row.body["transaction"])["reference"]  # type: ignore[index]
    for fact in (posted, "12,50\xa0$", "Kulanz", "Guten Tag Ada Lovelace,", page):
        assert fact in text
        assert fact in html
    assert "kam <b>kaputt</b> an & bleibt da" in text
    assert "kam &lt;b&gt;kaputt&lt;/b&gt; an &amp; bleibt da" in html
    assert "<b>" not in html
    assert row.status == MessageStatus.DELIVERED
    attempt = await OutboxAttempt.get(message_id=row.id)
    assert (attempt.status_code, attempt.answer, attempt.error) == (250, "250 2.0.0", None)


async def test_what_lies_in_the_outbox_names_nobody(writer: Writer) -> None:
    await known(writer)
    await writer.submit(told_adjustment("c1", 1_250, note="Told Ada on the phone about order 1042"))
    kept = str((await one_message()).body)
    for personal in ("Ada", "ada@", "shop.example", "1042"):
        assert personal not in kept


@pytest.mark.parametrize(
    "name", ["Ada\u2028Bcc: eve@evil.example", 'Ada" <eve@evil.example>, "', "Zoë 王小明 👩‍🚀", "a" * 200, ""]
)
async def test_no_name_adds_a_header_or_a_recipient(
    writer: Writer, worker_of: Callable[..., OutboxWorker], postbox: Postbox, name: str
) -> None:
    await known(writer, name=name)
    await writer.submit(posts(TransactionKind.TOP_UP, "c1", 500))
    assert await worker_of(postbox.port).work_off() == 1
    (message,) = postbox.came
    assert postbox.envelopes == [("wallet@shop.example", ["ada@shop.example"])]
    assert message.get_all("Bcc") is None
    (to,) = message["To"].addresses
    assert to.addr_spec == "ada@shop.example"
    assert to.display_name == " ".join(name.split())
    assert len(message.get_all("To", [])) == 1


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (TransactionKind.REFUND, EmailKind.REFUND),
        (TransactionKind.TOP_UP, EmailKind.TOP_UP),
        (TransactionKind.GIFT_CARD, EmailKind.GIFT_CARD_REDEEMED),
        (TransactionKind.PROMOTION, EmailKind.PROMOTION),
        (TransactionKind.ADJUSTMENT, None),
        (TransactionKind.OPENING, None),
    ],
)
async def test_events_become_emails(
    writer: Writer,
    worker_of: Callable[..., OutboxWorker],
    postbox: Postbox,
    kind: TransactionKind,
    told: EmailKind | None,
) -> None:
    await known(writer)
    await writer.submit(posts(kind, "c1", 500))
    await worker_of(postbox.port).work_off()
    topics = [row.topic for row in await OutboxMessage.filter(channel="EMAIL")]
    assert topics == ([] if told is None else [str(told)])
    assert len(postbox.came) == len(topics)


async def test_nobody_without_an_address_is_written_to(
    writer: Writer, worker_of: Callable[..., OutboxWorker], postbox: Postbox
) -> None:
    await known(writer, email=None)
    await writer.submit(posts(TransactionKind.TOP_UP, "c1", 500))
    assert await worker_of(postbox.port).work_off() == 0
    assert await OutboxMessage.all().count() == 0


async def test_what_was_switched_off_meanwhile_is_not_sent(
    writer: Writer, worker_of: Callable[..., OutboxWorker], postbox: Postbox
) -> None:
    await known(writer)
    await writer.submit(posts(TransactionKind.TOP_UP, "c1", 500))
    worker = worker_of(postbox.port)
    await outbox.relay(writer, tuple(worker._senders.values()))

    def off(draft: Draft) -> None:
        draft.set_customer(replace(draft.customer, emails_off=(EmailKind.TOP_UP,)))

    await writer.submit(command("off", "c1", off))
    assert await worker.work_off() == 1
    assert postbox.came == []
    row = await one_message()
    assert (row.status, row.error) == ("CANCELLED", "The customer switched this kind of e-mail off.")
    await writer.submit(posts(TransactionKind.TOP_UP, "c1", 500))
    assert await worker.work_off() == 0


async def test_the_store_switches_kinds_on_and_off(
    writer: Writer, worker_of: Callable[..., OutboxWorker], postbox: Postbox
) -> None:
    await known(writer)
    await writer.submit(freeze("c1"))
    assert await worker_of(postbox.port).work_off() == 0
    wanted = StoreSettings(email_kinds=(*DEFAULT_KINDS, EmailKind.WALLET_UNFROZEN))
    await writer.submit(change_settings(wanted))
    await writer.submit(unfreeze("c1"))
    assert await worker_of(postbox.port).work_off() == 1
    assert "use your wallet again" in postbox.came[0]["Subject"]


async def test_value_that_expires_is_told_of_once(
    writer: Writer, worker_of: Callable[..., OutboxWorker], postbox: Postbox, clock: Clock
) -> None:
    await known(writer, language="en")
    ends = clock() + timedelta(days=3)
    await writer.submit(credit("c1", 700, bucket=Bucket.PROMO, expires_at=ends))
    for _ in range(2):
        for found in await reminder.due(clock(), 10, zone=ZoneInfo("UTC"), days=7):
            await reminder.write_down(writer, found.what)
    worker = worker_of(postbox.port)
    assert await worker.work_off() == 1
    assert postbox.came[0]["Subject"] == "Läden & Co: $7.00 in your wallet expires on March 4, 2026"


async def topics(postbox: Postbox) -> list[str]:
    """What was sent and came, in its order."""
    rows = {row.id.hex: row.topic for row in await OutboxMessage.filter(channel="EMAIL", status="DELIVERED")}
    return [rows[str(message["Message-ID"]).strip("<").partition("@")[0]] for message in postbox.came]


async def test_the_steps_of_a_withdrawal_are_told_each_once(
    writer: Writer, worker_of: Callable[..., OutboxWorker], postbox: Postbox
) -> None:
    """By the commands themselves, the way that each of them goes."""
    await known(writer)
    await writer.submit(credit("c1", 9_000))
    worker, expected = worker_of(postbox.port), []
    for status in (WithdrawalStatus.PAID, WithdrawalStatus.REJECTED, WithdrawalStatus.CANCELLED):
        asked = (await writer.submit(request_withdrawal("c1", 1_000))).answer
        assert isinstance(asked, Withdrawal)
        await worker.work_off()
        await writer.submit(decide_withdrawal("c1", asked, status))
        await worker.work_off()
        expected += ["WITHDRAWAL_REQUESTED", f"WITHDRAWAL_{status}"]
        for message in postbox.came[-2:]:
            assert asked.reference in parts(message)[0]
    assert await topics(postbox) == expected
    assert "$10.00" in parts(postbox.came[0])[0]


async def test_cashback_and_its_refund_are_told_by_the_orders_own_commands(
    writer: Writer, worker_of: Callable[..., OutboxWorker], postbox: Postbox
) -> None:
    await rule(writer, vesting=Vesting())
    await customers.register(writer, STAFF, external_id="ada", details=CustomerDetails(), **ADA)
    await tell(writer, snapshot(1, OrderStatus.COMPLETED, 10_000))
    await worker_of(postbox.port).work_off()
    assert await topics(postbox) == ["CASHBACK_EARNED"]
    assert "$5.00" in parts(postbox.came[0])[0]
    await writer.submit(credit("ada", 2_000))
    await pay(writer, "ada", 2_000, order="1043", total=2_000)
    await refund(writer, 700, order="1043")
    await worker_of(postbox.port).work_off()
    assert await topics(postbox) == ["CASHBACK_EARNED", "REFUND"]
    assert "$7.00" in parts(postbox.came[1])[0]


async def test_a_redeemed_gift_card_is_told_of_without_its_code(
    writer: Writer, worker_of: Callable[..., OutboxWorker], postbox: Postbox
) -> None:
    await known(writer)
    await open_redemption(writer)
    codes = (await issue(writer)).codes
    assert codes is not None
    (code,) = codes
    await redeem(writer, "c1", code)
    await worker_of(postbox.port).work_off()
    assert await topics(postbox) == ["GIFT_CARD_REDEEMED"]
    for shown in parts(postbox.came[0]):
        assert "$25.00" in shown
        assert code not in shown


# --- what can't be sent now, or ever ------------------------------------------------------------------------


async def test_down_then_up_sends_once_with_the_same_message_id(
    writer: Writer, worker_of: Callable[..., OutboxWorker], clock: Clock
) -> None:
    await known(writer)
    await writer.submit(posts(TransactionKind.TOP_UP, "c1", 500))
    async with opened(Postbox()) as gone:
        port = gone.port
    worker = worker_of(port)
    assert await worker.work_off() == 1
    row = await one_message()
    assert (row.status, row.attempts) == ("WAITING", 1)
    assert row.error is not None
    assert row.error.startswith("The e-mail server can't be reached")
    clock.move(seconds=EARLY + 1)
    async with opened(Postbox(), port=port) as back:
        assert await worker.work_off() == 1
        clock.move(days=3)
        assert await worker.work_off() == 0
        assert [message["Message-ID"] for message in back.came] == [f"<{row.id.hex}@shop.example>"]
    assert (await one_message()).status == MessageStatus.DELIVERED


async def test_one_that_was_taken_and_not_answered_for_comes_again_as_the_same(
    writer: Writer, worker_of: Callable[..., OutboxWorker], clock: Clock
) -> None:
    await known(writer)
    await writer.submit(posts(TransactionKind.TOP_UP, "c1", 500))
    async with opened(Postbox(hangs_up_after=True)) as postbox:
        worker = worker_of(postbox.port)
        await worker.work_off()
        postbox.hangs_up_after = False
        clock.move(seconds=EARLY + 1)
        await worker.work_off()
        first, second = postbox.came
        for name in ("Message-ID", "Date", "Subject"):
            assert first[name] == second[name]
    assert (await one_message()).status == MessageStatus.DELIVERED


@pytest.mark.parametrize(
    ("answers", "status", "code", "error"),
    [
        (
            {"at_recipient": "550 5.1.1 <ada@shop.example>: no such user"},
            "DEAD",
            550,
            "refused the address for good (550 5.1.1)",
        ),
        (
            {"at_recipient": "450 4.2.1 ada@shop.example is busy"},
            "WAITING",
            450,
            "did not take it now (450 4.2.1)",
        ),
        ({"at_data": "554 5.7.1 spam from Ada"}, "DEAD", 554, "refused the e-mail for good (554 5.7.1)"),
        ({"at_data": "451 try later"}, "WAITING", 451, "did not take it now (451)"),
        ({"at_sender": "550 5.7.1 relaying denied"}, "WAITING", 550, "Check COFFER_EMAIL_FROM"),
    ],
)
async def test_refusals(
    writer: Writer,
    worker_of: Callable[..., OutboxWorker],
    answers: dict[str, str],
    status: str,
    code: int,
    error: str,
) -> None:
    await known(writer)
    await writer.submit(posts(TransactionKind.TOP_UP, "c1", 500))
    postbox = Postbox()
    for name, answer in answers.items():
        setattr(postbox, name, answer)
    async with opened(postbox):
        with structlog.testing.capture_logs() as logs:
            await worker_of(postbox.port).work_off()
    row = await one_message()
    attempt = await OutboxAttempt.get(message_id=row.id)
    assert (row.status, row.status_code) == (status, code)
    assert error in str(row.error)
    assert postbox.came == []
    for kept in (row.error, attempt.error, attempt.answer, str(logs)):
        assert "ada" not in str(kept).lower()


async def test_an_address_that_is_none_is_dead_at_once(
    writer: Writer, worker_of: Callable[..., OutboxWorker], postbox: Postbox
) -> None:
    await known(writer, email="ada@" + "x" * 70 + ".example")
    await writer.submit(posts(TransactionKind.TOP_UP, "c1", 500))
    await worker_of(postbox.port).work_off()
    assert (await one_message()).status == MessageStatus.DEAD
    assert postbox.came == []


@pytest.mark.parametrize(
    ("address", "came_to"),
    [("zoë@shop.example", "zoë@shop.example"), ("ada@läden.example", "ada@xn--lden-loa.example")],
)
async def test_addresses_in_other_scripts(
    writer: Writer,
    worker_of: Callable[..., OutboxWorker],
    postbox: Postbox,
    address: str,
    came_to: str,
) -> None:
    await known(writer, email=address)
    await writer.submit(posts(TransactionKind.TOP_UP, "c1", 500))
    await worker_of(postbox.port).work_off()
    row = await one_message()
    assert (row.status, row.error) == ("DELIVERED", None)
    assert postbox.envelopes[0][1] == [came_to]


async def test_a_password_that_is_wrong_can_be_put_right(writer: Writer, bell: Bell, clock: Clock) -> None:
    await known(writer)
    await writer.submit(posts(TransactionKind.TOP_UP, "c1", 500))

    def login(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=data.password == b"right", handled=False)

    async with opened(Postbox(), authenticator=login, auth_require_tls=False) as postbox:
        for password, status in (("wrong", "WAITING"), ("right", "DELIVERED")):
            smtp = Smtp(smtp_server(f"smtp://me:{password}@127.0.0.1:{postbox.port}"), 5.0)
            assert password not in repr(smtp)
            shown = Envelope(sender=mailbox("wallet@shop.example"))
            sender = EmailSender(smtp, shown, Templates(), "A store")
            worker = OutboxWorker(writer=writer, bell=bell, clock=clock, senders=[sender], jitter=lambda: 1.0)
            await worker.work_off()
            row = await one_message()
            assert row.status == status
            assert ("Check COFFER_SMTP_URL" in str(row.error)) is (status == "WAITING")
            clock.move(seconds=EARLY + 1)


async def test_a_server_that_must_encrypt_and_does_not_gets_nothing(
    writer: Writer, bell: Bell, clock: Clock, postbox: Postbox
) -> None:
    await known(writer)
    await writer.submit(posts(TransactionKind.TOP_UP, "c1", 500))
    smtp = Smtp(smtp_server(f"smtp://127.0.0.1:{postbox.port}?tls=required"), 5.0)
    sender = EmailSender(smtp, Envelope(sender=mailbox("wallet@shop.example")), Templates(), "A store")
    await OutboxWorker(writer=writer, bell=bell, clock=clock, senders=[sender]).work_off()
    assert (await one_message()).status == MessageStatus.WAITING
    assert postbox.came == []
