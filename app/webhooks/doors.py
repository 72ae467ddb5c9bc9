"""Which door speaks which dialect: how its messages are proved and named, and who translates them."""

from collections.abc import Callable, Mapping

import orjson

from app.domain.delivery import Door
from app.webhooks import shopify, standard, woocommerce
from app.webhooks.processing import Translate
from app.webhooks.receiving import Dialect, Headers


def _never(_headers: Headers, _body: bytes) -> bool:
    return False


def _no_test(_headers: Headers) -> bool:
    return False


def _header(*names: str) -> Callable[[Mapping[str, str]], str | None]:
    def read(headers: Mapping[str, str]) -> str | None:
        return next((headers[name] for name in names if name in headers), None)

    return read


def _topic(name: str) -> Callable[[Mapping[str, str], bytes], str]:
    return lambda headers, _body: headers.get(name, "")


def _type(_headers: Mapping[str, str], body: bytes) -> str:
    """Return what a message in Coffer's own form says that it is; whether the rest is right is seen later."""
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    kind = message.get("type") if isinstance(message, dict) else None
    return kind if isinstance(kind, str) else ""


DIALECTS: Mapping[Door, Dialect] = {
    Door.WOOCOMMERCE: Dialect(
        verify=woocommerce.verify,
        is_ping=woocommerce.is_ping,
        is_test=_no_test,
        topic=_topic(woocommerce.TOPIC_HEADER),
        external_id=_header("x-wc-webhook-delivery-id"),
    ),
    Door.SHOPIFY: Dialect(
        verify=shopify.verify,
        is_ping=_never,
        is_test=shopify.is_test,
        topic=_topic(shopify.TOPIC_HEADER),
        external_id=_header("x-shopify-event-id", "x-shopify-webhook-id"),
    ),
    Door.STANDARD: Dialect(
        verify=standard.verify,
        is_ping=_never,
        is_test=_no_test,
        topic=_type,
        external_id=_header(standard.ID_HEADER),
    ),
}


TRANSLATORS: Mapping[Door, Translate] = {
    Door.WOOCOMMERCE: lambda topic, body, at: woocommerce.translate(topic, body, received_at=at),
    Door.SHOPIFY: lambda topic, body, at: shopify.translate(topic, body, received_at=at),
    Door.STANDARD: lambda topic, body, at: standard.translate(topic, body, received_at=at),
}
