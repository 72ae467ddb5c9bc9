"""The doors: what is authentic is kept before it is answered, and nothing else is."""

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from app.domain.delivery import Door
from app.services.ledger import writer as writer_module
from app.services.ledger.writer import LedgerUnavailable, Overloaded
from app.settings import SettingsError, load_settings
from tests.stores import (
    body_of,
    shopify_headers,
    shopify_order,
    standard_headers,
    standard_message,
    standard_order,
    woocommerce_headers,
    woocommerce_order,
)
from tests.webhooks.door import Headers, body_kept, kept, opened, send

ORDER = body_of(woocommerce_order())
FORM = [("content-type", "application/x-www-form-urlencoded")]


def woocommerce(body: bytes = ORDER, topic: str = "order.updated", **more: Any) -> tuple[bytes, Headers]:
    return body, woocommerce_headers(body, topic=topic, **more)


def shopify(**more: Any) -> tuple[bytes, Headers]:
    body = body_of(shopify_order())
    return body, shopify_headers(body, topic="orders/updated", **more)


def standard(**more: Any) -> tuple[bytes, Headers]:
    body = body_of(standard_message("order.recorded", standard_order()))
    return body, standard_headers(body, **{"at": datetime.now(UTC), **more})


MESSAGES: dict[str, Callable[..., tuple[bytes, Headers]]] = {
    "woocommerce": woocommerce,
    "shopify": shopify,
    "standard": standard,
}


@pytest.fixture
async def served(database_url: str) -> AsyncIterator[tuple[Starlette, httpx.AsyncClient]]:
    async with opened(database_url) as both:
        yield both


@pytest.fixture
def caller(served: tuple[Starlette, httpx.AsyncClient]) -> httpx.AsyncClient:
    return served[1]


# --- kept ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", MESSAGES)
async def test_an_authentic_message_is_kept_as_it_came(caller: httpx.AsyncClient, door: str) -> None:
    body, headers = MESSAGES[door]()
    answer = await send(caller, door, body, headers)
    assert (answer.status_code, answer.json()) == (200, {"received": True})
    (delivery,) = await kept()
    topic = {"woocommerce": "order.updated", "shopify": "orders/updated", "standard": "order.recorded"}[door]
    assert (delivery.door, delivery.topic, delivery.status) == (door, topic, "RECEIVED")
    assert (delivery.attempts, delivery.repeats, delivery.size_bytes) == (0, 0, len(body))
    assert delivery.external_id
    assert delivery.next_attempt_at == delivery.received_at
    assert await body_kept(delivery) == body


@pytest.mark.parametrize("door", MESSAGES)
async def test_the_same_message_again_is_counted(caller: httpx.AsyncClient, door: str) -> None:
    body, headers = MESSAGES[door]()
    answers = [await send(caller, door, body, headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    (delivery,) = await kept()
    assert delivery.repeats == 2
    assert delivery.repeated_at is not None


async def test_the_same_message_at_once_is_kept_once(caller: httpx.AsyncClient) -> None:
    body, headers = woocommerce()
    await asyncio.gather(*(send(caller, "woocommerce", body, headers) for _ in range(8)))
    (delivery,) = await kept()
    assert delivery.repeats == 7


async def test_another_topic_is_another_message(caller: httpx.AsyncClient) -> None:
    for topic in ("order.created", "order.updated"):
        body, headers = woocommerce(topic=topic)
        assert (await send(caller, "woocommerce", body, headers)).status_code == 200
    assert sorted(delivery.topic for delivery in await kept()) == ["order.created", "order.updated"]


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[1]", b"null", b"\xff\x00", b'{"id": 1}', b"[" * 9999])
async def test_authentic_nonsense_is_kept_too(caller: httpx.AsyncClient, body: bytes) -> None:
    body, headers = woocommerce(body, topic="ord\u00e9r.\tupdated" if body else "")
    headers = [(name, value.encode("latin-1").decode("latin-1")) for name, value in headers]
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    answer = await caller.post("/webhooks/woocommerce", content=body, headers=encoded)
    assert answer.status_code == 200
    (delivery,) = await kept()
    assert await body_kept(delivery) == body
    assert delivery.topic.isprintable()


async def test_a_test_of_shopify_leads_to_nothing(caller: httpx.AsyncClient) -> None:
    body, headers = shopify(test=True)
    assert (await send(caller, "shopify", body, headers)).status_code == 200
    (delivery,) = await kept()
    assert (delivery.status, delivery.next_attempt_at) == ("IGNORED", None)
    assert delivery.summary is not None
    assert "try the webhook out" in delivery.summary


async def test_the_greeting_of_woocommerce(caller: httpx.AsyncClient) -> None:
    answer = await send(caller, "woocommerce", b"webhook_id=3", FORM)
    assert answer.status_code == 200
    assert await kept() == []


# --- not authentic ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", MESSAGES)
async def test_what_is_not_authentic_is_not_kept(caller: httpx.AsyncClient, door: str) -> None:
    body, headers = MESSAGES[door]()
    unsigned = [(name, value) for name, value in headers if "signature" not in name and "hmac" not in name]
    another = MESSAGES[door](
        secret="whsec_" + "b3RoZXI=" * 6 if door == "standard" else "another secret altogether"
    )
    for sent, with_headers in (
        (body + b" ", headers),
        (body, unsigned),
        (body, [*headers, *headers]),
        another,
        (b"webhook_id=3", [*FORM, *unsigned[1:]]) if door != "woocommerce" else (body, []),
        *([standard(at=datetime.now(UTC) - timedelta(hours=1))] if door == "standard" else []),
    ):
        typed = with_headers or [("content-type", "application/json")]
        answer = await send(caller, door, sent, typed)
        assert answer.status_code in {401, 415}, with_headers
        assert answer.headers["content-type"] == "application/json"
    assert await kept() == []


async def test_a_secret_is_rotated(database_url: str) -> None:
    before, after = "the-one-that-was-there-before", "the-one-that-is-there-now"
    for both in (f"{before},{after}", f" {before}\n{after}, "):
        async with opened(database_url, woocommerce_webhook_secret=both) as (_, caller):
            for secret, status in ((before, 200), (after, 200), ("the-one-that-never-was-one", 401)):
                answer = await send(caller, "woocommerce", *woocommerce(secret=secret))
                assert answer.status_code == status


async def test_a_secret_may_hold_commas(database_url: str) -> None:
    """WooCommerce makes up secrets of all characters that there are on a keyboard."""
    secret = "x7,Lm [k}9~`+=,.;:/?|Qz,aB3$w"
    async with opened(database_url, woocommerce_webhook_secret=secret) as (_, caller):
        assert (await send(caller, "woocommerce", *woocommerce(secret=secret))).status_code == 200
        assert (await send(caller, "woocommerce", *woocommerce(secret="x7"))).status_code == 401


async def test_a_door_without_a_secret_is_not_there(database_url: str) -> None:
    closed: dict[str, Any] = {"shopify_webhook_secret": None, "woocommerce_webhook_secret": ""}
    async with opened(database_url, **closed) as (_, caller):
        answer = await send(caller, "shopify", *shopify())
        assert answer.status_code == 404
        assert "COFFER_SHOPIFY_WEBHOOK_SECRET" in answer.json()["error"]
    async with opened(database_url, environment="production", **closed) as (_, caller):
        nowhere = await caller.post("/webhooks/nowhere")
        assert nowhere.status_code == 404
        for door in ("shopify", "woocommerce"):
            for answer in (
                await send(caller, door, *MESSAGES[door]()),
                await caller.get(f"/webhooks/{door}"),
            ):
                assert (answer.status_code, answer.text) == (nowhere.status_code, nowhere.text)
                assert answer.headers["content-type"] == nowhere.headers["content-type"]
        assert (await send(caller, "standard", *standard())).status_code == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("woocommerce_webhook_secret", "short"),
        ("woocommerce_webhook_secret", "long enough for anybody to use\nshort"),
        ("shopify_webhook_secret", "hush"),
        ("standard_webhook_secrets", "whsec_aHVzaA=="),
        ("standard_webhook_secrets", "whsec_this is no base64, at all"),
    ],
)
def test_weak_secrets_are_refused(field: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(_env_file=None, **{field: value})
    assert f"COFFER_{field.upper()}" in str(refused.value)
    assert "needs 24" in str(refused.value)
    assert value not in str(refused.value)


# --- limits -------------------------------------------------------------------------------------------------


async def test_a_body_that_is_too_large(database_url: str) -> None:
    async with opened(database_url, webhook_body_size_max_bytes=2048) as (_, caller):
        fits = woocommerce(b'"' + b"x" * 2046 + b'"')
        assert (await send(caller, "woocommerce", *fits)).status_code == 200
        large, headers = woocommerce(b'"' + b"x" * 2047 + b'"')
        answer = await send(caller, "woocommerce", large, headers)
        assert (answer.status_code, answer.headers["connection"]) == (413, "close")

        async def in_parts() -> AsyncIterator[bytes]:
            for start in range(0, len(large), 100):
                yield large[start : start + 100]

        streamed = await caller.post("/webhooks/woocommerce", content=in_parts(), headers=list(headers))
        assert streamed.status_code == 413
        assert len(await kept()) == 1


async def test_a_body_that_does_not_come(database_url: str) -> None:
    async with opened(database_url, body_timeout_s=0.1) as (_, caller):

        async def slowly() -> AsyncIterator[bytes]:
            yield b"{"
            await asyncio.sleep(1)
            yield b"}"

        answer = await caller.post(
            "/webhooks/woocommerce", content=slowly(), headers={"content-type": "application/json"}
        )
        assert (answer.status_code, answer.headers["connection"]) == (408, "close")


@pytest.mark.parametrize("media", ["text/plain", "multipart/form-data", "", "application/xml"])
async def test_other_media_are_not_read(caller: httpx.AsyncClient, media: str) -> None:
    body, headers = woocommerce()
    answer = await send(caller, "woocommerce", body, [("content-type", media), *headers[1:]])
    assert answer.status_code == 415
    assert await kept() == []


async def test_only_post(caller: httpx.AsyncClient) -> None:
    for method in ("GET", "PUT", "DELETE"):
        assert (await caller.request(method, "/webhooks/woocommerce")).status_code == 405


async def test_whoever_guesses_is_slowed_down(database_url: str) -> None:
    body, headers = woocommerce()
    wrong = woocommerce(secret="a secret that somebody guessed")
    async with opened(database_url, client="203.0.113.7") as (_, caller):
        answers = [(await send(caller, "woocommerce", *wrong)).status_code for _ in range(70)]
        assert answers[:60] == [401] * 60
        assert 429 in answers
        refused = await send(caller, "woocommerce", body, headers)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert await kept() == []


async def test_the_store_is_heard_whoever_else_guesses_from_its_address(database_url: str) -> None:
    """On shared hosting a neighbour could otherwise have the store's webhooks switched off."""
    body, headers = woocommerce()
    wrong = woocommerce(secret="a secret that somebody guessed")
    async with opened(database_url, client="203.0.113.7") as (_, caller):
        assert (await send(caller, "woocommerce", body, headers)).status_code == 200
        for _ in range(70):
            assert (await send(caller, "woocommerce", *wrong)).status_code == 401
        assert (await send(caller, "woocommerce", body, headers)).status_code == 200


# --- when the ledger is away --------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [Overloaded, LedgerUnavailable])
async def test_what_cannot_be_kept_is_not_accepted(
    served: tuple[Starlette, httpx.AsyncClient], monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    app, caller = served

    async def refuse(_self: Any, _command: Any) -> Any:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(writer_module.Writer, "submit", refuse)
        answer = await send(caller, "woocommerce", *woocommerce())
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert await kept() == []
    await app.state.runtime.writer.stop()
    assert (await send(caller, "woocommerce", *woocommerce())).status_code == 503


# --- what is told -------------------------------------------------------------------------------------------


async def test_what_is_counted(caller: httpx.AsyncClient) -> None:
    body, headers = woocommerce()
    for _ in range(2):
        await send(caller, "woocommerce", body, headers)
    await send(caller, "woocommerce", b"webhook_id=3", FORM)
    await send(caller, "shopify", *shopify(secret="a secret that somebody guessed"))
    metrics = (await caller.get("/metrics")).text
    for door, outcome in (
        ("woocommerce", "kept"),
        ("woocommerce", "repeated"),
        ("woocommerce", "ping"),
        ("shopify", "not_authentic"),
    ):
        assert f'coffer_webhooks_total{{door="{door}",outcome="{outcome}"}} 1.0' in metrics
    assert 'coffer_webhook_deliveries{status="dead"} 0.0' in metrics
    assert "coffer_webhook_deliveries_age_seconds" in metrics


async def test_logs_hold_neither_secrets_nor_people(
    caller: httpx.AsyncClient, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    body, headers = woocommerce()
    for sent in (body, body + b" ", b"nora.lindqvist@example.com"):
        await send(caller, "woocommerce", sent, headers)
    told = io.StringIO()
    told.write("".join(capsys.readouterr()) + caplog.text)
    for word in ("nora", "lindqvist", dict(headers)["x-wc-webhook-signature"], "made-up secret"):
        assert word.lower() not in told.getvalue().lower()


def test_every_door_is_open_to_somebody() -> None:
    assert set(MESSAGES) == {str(door) for door in Door}
