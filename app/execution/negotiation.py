"""Which media type answers a request: what the caller ranks highest among what the operation can be told in."""

from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

REMEMBERED_CHARS_MAX = 256


class Media(Enum):
    """The ways to tell a response; the value is what stands in `content-type`."""

    GRAPHQL = "application/graphql-response+json; charset=utf-8"
    """The type of the GraphQL-over-HTTP specification: the status tells whether the operation ran."""
    JSON = "application/json; charset=utf-8"
    """The legacy type: 200 for every well-formed request."""
    EVENTS = "text/event-stream; charset=utf-8"
    """Server-sent events, in the distinct connections mode of GraphQL over SSE."""
    MULTIPART = 'multipart/mixed; boundary="graphql"; subscriptionSpec="1.0"'
    """Apollo's subscriptions over HTTP."""
    HTML = "text/html; charset=utf-8"
    """The page for people."""

    def __init__(self, value: str) -> None:
        # Known beforehand: members of an enumeration are slow to find and to compare.
        self.is_stream = value.startswith(("text/event-stream", "multipart/mixed"))
        """Whether it can carry more than one response."""


class Ranking(NamedTuple):
    """What a caller accepts."""

    candidates: tuple[Media, ...]
    """Best first; among equals in the order written."""
    single: Media | None
    """What tells one response."""
    stream: Media | None
    """What tells many."""


BY_NAME = {
    "application/graphql-response+json": Media.GRAPHQL,
    "application/json": Media.JSON,
    "text/event-stream": Media.EVENTS,
    "text/html": Media.HTML,
    # What asks for anything gets what every client since 2015 can read.
    "application/*": Media.JSON,
    "*/*": Media.JSON,
}


def ranked(accept: str | None) -> Ranking:
    """Return the media types that the caller accepts."""
    if accept is None:
        return _ANY
    # Callers send few different headers, and short ones; only those are remembered.
    return _ranked_once(accept) if len(accept) <= REMEMBERED_CHARS_MAX else _ranked(accept)


def _ranked(accept: str) -> Ranking:
    candidates = _by_quality(accept) if accept.strip() else (Media.JSON,)
    return Ranking(
        candidates, _chosen(candidates, subscription=False), _chosen(candidates, subscription=True)
    )


def _by_quality(accept: str) -> tuple[Media, ...]:
    weighed: dict[Media, float] = {}
    for item in accept.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        settings = dict(part.partition("=")[::2] for part in parameters)
        media = BY_NAME.get(name)
        if name == "multipart/mixed" and settings.get("subscriptionspec", "").strip('"') == "1.0":
            media = Media.MULTIPART
        if media is not None:
            weighed[media] = max(weighed.get(media, 0.0), _quality(settings.get("q")))
    acceptable = [media for media, quality in weighed.items() if quality > 0]
    return tuple(sorted(acceptable, key=lambda media: -weighed[media]))


def _chosen(candidates: Sequence[Media], *, subscription: bool) -> Media | None:
    """Return the first that can tell the operation: a subscription needs a stream, multipart carries nothing else."""
    for media in candidates:
        tells = media.is_stream if subscription else media is not Media.MULTIPART
        if tells and media is not Media.HTML:
            return media
    return None


def _quality(text: str | None) -> float:
    if text is None:
        return 1.0
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0


_ANY = _ranked("")
_ranked_once = lru_cache(maxsize=256)(_ranked)
