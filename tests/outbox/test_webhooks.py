"""Outgoing webhooks from the commit to the receiver: signed, repeated with one id, ended by 410, replayed."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from tortoise.context import TortoiseContext

from app.domain.access import Capability, Principal, PrincipalKind
from app.domain.errors import FieldInvalid, LimitReached, NotConfigured
from app.domain.listening import EndpointRequest
from app.domain.webhook_endpoint import ENDPOINTS_MAX
from app.models.outbox import OutboxAttempt, OutboxMessage as OutboxMessageModel
from app.models.webhook_endpoint import WebhookEndpoint as WebhookEndpointModel
from app.outbox.client import Poster
from app.outbox.webhooks import WebhookSender
from app.outbox.worker import OutboxWorker
from app.sealing import Sealer, Unreadable, sealer_of
from app.services import webhook_endpoint as endpoints
from app.services.ledger.writer import Writer
from app.services.outbox import Bell
from app.services.webhook_endpoint import Asked, Kept, MessageFilter
from tests.auditor import audit, read_tables
from tests.databases import settings_for
from tests.ledger import Clock, credit, freeze, running_writer
from tests.outbox.receiver import Came, Receiver, receiving

CLIENTS = Path(__file__).parents[1] / "clients"
WHY = "Agreed with the owner in May"
ADA = Principal(PrincipalKind.STAFF, "ada", capabilities=frozenset(Capability))
SEALER = Sealer([b"k" * 32])


@pytest.fixture
def clock() -> Clock:
    """A clock that stands at the present: receivers compare a message's time with theirs."""
    return Clock(datetime.now(UTC))


@pytest.fixture
def bell() -> Bell:
    return Bell()


@pytest.fixture
async def writer(database: TortoiseContext, clock: Clock, bell: Bell) -> AsyncIterator[Writer]:
    async with running_writer(clock, publish_outgoing=bell.ring) as running:
        yield running
    audit(await read_tables())


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


Make = Callable[..., OutboxWorker]


@pytest.fixture
def worker_of(writer: Writer, bell: Bell, clock: Clock) -> Make:
    def make(sealer: Sealer | None = SEALER, **more: Any) -> OutboxWorker:
        poster = Poster(timeout_s=60, answer_size_max_bytes=1000, private=True)
        sender = WebhookSender(writer=writer, sealer=sealer, poster=poster, clock=clock)
        options: dict[str, Any] = {"interval_s": 0.05, "jitter": lambda: 1.0, **more}
        return OutboxWorker(writer=writer, bell=bell, clock=clock, senders=[sender], **options)

    return make


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 — what is watched tells nobody
            await asyncio.sleep(0.01)


KEYS = iter(range(10_000))


def asked(by: Principal = ADA) -> Asked:
    return Asked(by, WHY, f"key-{next(KEYS)}")


async def listen(writer: Writer, url: str, *events: str, by: Principal = ADA) -> Kept:
    wanted = EndpointRequest(url, "The shop", events or ("*",))
    return await endpoints.create(writer, SEALER, wanted, asked(by), private=True)


def verified(came: Came, secret: str | None) -> dict[str, Any]:
    """What a receiver reads of a message, once the official library has verified it."""
    assert secret is not None
    payload: dict[str, Any] = Webhook(secret).verify(came.body, came.headers)
    return payload


def topics(receiver: Receiver) -> list[str]:
    return sorted(json.loads(came.body)["type"] for came in receiver.came)


# --- sent and verified --------------------------------------------------------------------------------------


async def test_a_receiver_verifies_what_happened(
    writer: Writer, worker_of: Make, receiver: Receiver, clock: Clock
) -> None:
    kept = await listen(writer, receiver.url, "transaction.*")
    await writer.submit(credit("c1", 500))
    assert await worker_of().work_off() == 1
    (came,) = receiver.came
    payload = verified(came, kept.secret)
    assert payload["type"] == "transaction.posted"
    assert payload["version"] == 1
    assert datetime.fromisoformat(payload["timestamp"]) == clock()
    assert payload["data"]["transaction"]["amount"] == {"amount": "5.00", "currency": "USD"}
    assert payload["data"]["customer"]["externalId"] == "c1"
    row = await OutboxMessageModel.get()
    assert came.headers["webhook-id"] == f"msg_{row.id.hex}"
    assert came.headers["content-type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        Webhook(kept.secret or "").verify(came.body + b" ", came.headers)


async def test_the_javascript_library_verifies_it(
    writer: Writer, worker_of: Make, receiver: Receiver, node: str
) -> None:
    kept = await listen(writer, receiver.url)
    await writer.submit(credit("Zoë €", 500))
    await worker_of().work_off()
    for came in receiver.came:
        given = json.dumps({"secret": kept.secret, "headers": came.headers, "body": came.body.decode()})
        process = await asyncio.create_subprocess_exec(
            node, "verify-webhook.mjs", given, cwd=CLIENTS, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0
        assert json.loads(out) == json.loads(came.body)
    assert len(receiver.came) == 3


async def test_an_endpoint_hears_what_it_asked_for_and_its_maker_may_see(
    writer: Writer, worker_of: Make, receiver: Receiver
) -> None:
    clerk = Principal(PrincipalKind.STAFF, "carl", capabilities=frozenset({Capability.CUSTOMERS_READ}))
    await listen(writer, receiver.url, "*", by=clerk)
    await writer.submit(credit("c1", 500))
    await worker_of().work_off()
    assert topics(receiver) == ["customer.created"]


async def test_every_attempt_is_the_same_message(
    writer: Writer, worker_of: Make, receiver: Receiver, clock: Clock
) -> None:
    kept, receiver.status, receiver.text = await listen(writer, receiver.url, "transaction.*"), 500, "oops"
    await writer.submit(credit("c1", 500))
    worker = worker_of()
    for wait_s in (5, 300, 1_800):
        assert await worker.work_off() == 1
        clock.move(seconds=wait_s)
    endpoint = await WebhookEndpointModel.get()
    assert endpoint.failing_since is not None
    receiver.status = 200
    assert await worker.work_off() == 1
    assert len({came.headers["webhook-id"] for came in receiver.came}) == 1
    assert len({came.body for came in receiver.came}) == 1
    assert len({came.headers["webhook-timestamp"] for came in receiver.came}) == 4
    verified_body = json.loads(receiver.came[0].body)
    assert verified(receiver.came[0], kept.secret) == verified_body
    attempts = await OutboxAttempt.all().order_by("number")
    assert [(one.number, one.status_code, one.error, one.answer) for one in attempts] == [
        *((number, 500, "It answered 500.", "oops") for number in (1, 2, 3)),
        (4, 200, None, "oops"),
    ]
    assert (await WebhookEndpointModel.get()).failing_since is None


async def test_who_asks_for_time_gets_it(
    writer: Writer, worker_of: Make, receiver: Receiver, clock: Clock
) -> None:
    await listen(writer, receiver.url, "transaction.*")
    receiver.status, receiver.more = 429, {"retry-after": "60"}
    await writer.submit(credit("c1", 500))
    await worker_of().work_off()
    row = await OutboxMessageModel.get()
    assert row.next_attempt_at is not None
    assert (row.next_attempt_at - clock()).total_seconds() == 60


async def test_a_redirect_is_a_failure(writer: Writer, worker_of: Make, receiver: Receiver) -> None:
    await listen(writer, receiver.url, "transaction.*")
    receiver.status, receiver.more = 302, {"location": receiver.url}
    await writer.submit(credit("c1", 500))
    await worker_of().work_off()
    row = await OutboxMessageModel.get()
    assert row.error is not None
    assert "not followed" in row.error
    assert (row.status, row.status_code, len(receiver.came)) == ("WAITING", 302, 1)


async def test_gone_switches_the_endpoint_off(
    writer: Writer, worker_of: Make, receiver: Receiver, clock: Clock
) -> None:
    await listen(writer, receiver.url)
    receiver.status = 410
    await writer.submit(credit("c1", 500))
    assert await worker_of().work_off() == 3
    endpoint = await WebhookEndpointModel.get()
    assert (endpoint.status, endpoint.disabled_by) == ("DISABLED", "GONE")
    # The first is refused, what waited behind it isn't sent, and nothing new is written.
    statuses = sorted([row.status for row in await OutboxMessageModel.all()])
    assert statuses == ["CANCELLED", "CANCELLED", "DEAD"]
    assert len(receiver.came) == 1
    await writer.submit(freeze("c1"))
    assert await worker_of().work_off() == 0


async def test_an_endpoint_that_is_off_is_told_nothing(
    writer: Writer, worker_of: Make, receiver: Receiver
) -> None:
    kept = await listen(writer, receiver.url, "transaction.*")
    await writer.submit(credit("c1", 500))
    await endpoints.disable(writer, kept.endpoint.id, asked())
    assert await worker_of().work_off() == 0
    await endpoints.enable(writer, kept.endpoint.id, asked())
    await writer.submit(credit("c1", 700))
    await worker_of().work_off()
    (came,) = receiver.came
    assert json.loads(came.body)["data"]["transaction"]["amount"]["amount"] == "7.00"


async def test_a_slow_endpoint_delays_no_other(writer: Writer, worker_of: Make, receiver: Receiver) -> None:
    async with receiving(gate=asyncio.Event()) as slow:
        await listen(writer, slow.url, "transaction.*")
        await listen(writer, receiver.url, "transaction.*")
        async with worker_of(at_once=4).running():
            for number in range(10):
                await writer.submit(credit(f"c{number}", 500))
            await until(lambda: len(receiver.came) == 10)
            assert len(slow.came) == 2
            assert slow.gate is not None
            slow.gate.set()
            await until(lambda: len(slow.came) == 10)


# --- secrets ------------------------------------------------------------------------------------------------


async def test_both_secrets_sign_while_one_replaces_the_other(
    writer: Writer, worker_of: Make, receiver: Receiver, clock: Clock
) -> None:
    kept = await listen(writer, receiver.url, "transaction.*")
    rotated = await endpoints.rotate(writer, SEALER, kept.endpoint.id, asked(), overlap_h=1)
    assert rotated.secret != kept.secret
    await writer.submit(credit("c1", 500))
    await worker_of().work_off()
    verified(receiver.came[0], kept.secret)
    verified(receiver.came[0], rotated.secret)
    assert len(receiver.came[0].headers["webhook-signature"].split(" ")) == 2
    clock.move(hours=1)
    await writer.submit(credit("c1", 500))
    await worker_of().work_off()
    assert len(receiver.came[1].headers["webhook-signature"].split(" ")) == 1


async def test_a_secret_is_nowhere_but_in_its_answer(writer: Writer, receiver: Receiver) -> None:
    kept = await listen(writer, receiver.url)
    assert kept.secret is not None
    assert kept.secret.removeprefix("whsec_") not in str(await read_tables())
    assert "sealed" not in repr(kept.endpoint.secrets)


async def test_a_key_that_is_lost_is_told(
    writer: Writer, worker_of: Make, receiver: Receiver, clock: Clock
) -> None:
    await listen(writer, receiver.url, "transaction.*")
    await writer.submit(credit("c1", 500))
    await worker_of(Sealer([b"x" * 32])).work_off()
    row = await OutboxMessageModel.get()
    assert row.error is not None
    assert "COFFER_SECRETS_KEY" in row.error
    # A new key beside the old one opens it, so keys can be replaced too.
    clock.move(seconds=5)
    assert await worker_of(Sealer([b"x" * 32, b"k" * 32])).work_off() == 1
    assert len(receiver.came) == 1


def test_what_is_sealed_is_bound_to_its_place() -> None:
    sealed = SEALER.seal("whsec_1", "a")
    assert SEALER.open(sealed, "a") == "whsec_1"
    assert SEALER.seal("whsec_1", "a") != sealed
    for wrong, place in ((sealed, "b"), (sealed[:-4] + "AAAA", "a"), ("v1.", "a"), ("v1.?", "a")):
        with pytest.raises(Unreadable):
            SEALER.open(wrong, place)


async def test_production_needs_a_key_of_its_own(writer: Writer) -> None:
    production = settings_for("sqlite://", environment="production", jwt_secret="s" * 32)
    assert sealer_of(production) is None
    with pytest.raises(NotConfigured, match="COFFER_SECRETS_KEY"):
        await endpoints.create(
            writer,
            None,
            EndpointRequest("https://shop.example", "", ("*",)),
            asked(),
            private=False,
        )
    assert sealer_of(settings_for("sqlite://")) is not None
    key = settings_for("sqlite://", environment="production", jwt_secret="s" * 32, secrets_key="A" * 43 + "=")
    assert sealer_of(key) is not None


# --- tried out, replayed, limited ---------------------------------------------------------------------------


async def test_an_endpoint_is_tried_out_also_while_it_is_off(
    writer: Writer, worker_of: Make, receiver: Receiver
) -> None:
    kept = await listen(writer, receiver.url, "transaction.*")
    await endpoints.disable(writer, kept.endpoint.id, asked())
    tried = await endpoints.try_out(writer, ADA, kept.endpoint.id, idempotency_key="try-1")
    again = await endpoints.try_out(writer, ADA, kept.endpoint.id, idempotency_key="try-1")
    assert (tried.replayed, again.replayed) == (False, True)
    assert tried.message.id == again.message.id
    assert await worker_of().work_off() == 1
    assert verified(receiver.came[0], kept.secret)["type"] == "webhook.test"


async def test_dead_messages_are_sent_again_with_their_ids(
    writer: Writer, worker_of: Make, receiver: Receiver, clock: Clock
) -> None:
    kept, receiver.status = await listen(writer, receiver.url, "transaction.*", "wallet.*"), 500
    await writer.submit(credit("c1", 500))
    worker = worker_of()
    for _ in range(8):
        await worker.work_off()
        clock.move(hours=11)
    assert {row.status for row in await OutboxMessageModel.all()} == {"DEAD"}
    receiver.status = 200
    ada, one = ADA.actor, await OutboxMessageModel.filter(topic="wallet.created").get()
    by_id = await endpoints.replay(writer, ada, [one.id], idempotency_key="replay-1")
    assert [row.id for row in by_id.messages] == [one.id]
    wanted = MessageFilter(endpoint_ids=(kept.endpoint.id,), created_from=datetime(2020, 1, 1, tzinfo=UTC))
    found = await endpoints.replay_found(writer, ada, wanted, idempotency_key="replay-2")
    assert [row.topic for row in found.messages] == ["transaction.posted"]
    assert await worker.work_off() == 2
    assert {row.status for row in await OutboxMessageModel.all()} == {"DELIVERED"}
    assert len({came.headers["webhook-id"] for came in receiver.came}) == 2
    nothing = await endpoints.replay_found(writer, ada, wanted, idempotency_key="replay-3")
    assert nothing.messages == ()


async def test_there_may_be_so_many_endpoints(writer: Writer) -> None:
    for number in range(ENDPOINTS_MAX):
        await listen(writer, f"http://127.0.0.1:1/{number}")
    with pytest.raises(LimitReached):
        await listen(writer, "http://127.0.0.1:1/more")


async def test_private_addresses_need_a_setting(writer: Writer) -> None:
    wanted = EndpointRequest("https://127.0.0.1/", "", ("*",))
    with pytest.raises(FieldInvalid, match="open internet"):
        await endpoints.create(writer, SEALER, wanted, asked(), private=False)


async def test_whoever_changes_an_endpoint_gives_it_their_own_eyes(
    writer: Writer, worker_of: Make, receiver: Receiver
) -> None:
    clerk = Principal(PrincipalKind.STAFF, "carl", capabilities=frozenset({Capability.CUSTOMERS_READ}))
    kept = await listen(writer, receiver.url, "*", by=clerk)
    wanted = EndpointRequest(events=("wallet.*",))
    changed = await endpoints.update(writer, kept.endpoint.id, wanted, asked(), private=True)
    assert "WALLETS_READ" in changed.endpoint.capabilities
    await writer.submit(credit("c1", 500))
    await worker_of().work_off()
    assert topics(receiver) == ["wallet.created"]
