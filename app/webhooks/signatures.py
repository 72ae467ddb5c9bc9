"""Checking who sent a message: an HMAC over its body, keyed with a secret that only the store and Coffer know."""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Sequence

from app.webhooks.errors import NotAuthentic

Headers = Iterable[tuple[str, str]]
"""Every header as often as it was sent (Starlette: `request.headers.items()`)."""

_SIGNATURE_CHARACTERS_MAX = 4096


def single_header(headers: Headers, name: str) -> str:
    """Return a header that must be there once. Of two, nobody could say which one a proxy had looked at."""
    found = [value for key, value in headers if key.lower() == name]
    if len(found) != 1:
        raise NotAuthentic(f"The header {name} is {'missing' if not found else 'there more than once'}.")
    if len(found[0]) > _SIGNATURE_CHARACTERS_MAX:
        raise NotAuthentic(f"The header {name} is too long.")
    return found[0]


def known_secrets(secrets: Sequence[str]) -> list[str]:
    """Return the secrets that count. An empty one never does: anybody could sign with it."""
    known = [secret for secret in secrets if secret]
    if not known:
        raise NotAuthentic("No secret is set for this door, so nothing can be checked.")
    return known


def verify_body(headers: Headers, body: bytes, secrets: Sequence[str], *, header: str) -> None:
    """Compare the base64 HMAC-SHA256 in a header with the body's own, for each secret that is in use."""
    given = single_header(headers, header).encode("utf-8", "replace")
    matches = [
        hmac.compare_digest(base64.b64encode(_hmac(secret.encode(), body)), given)
        for secret in known_secrets(secrets)
    ]
    # All are compared before one counts, so that the time tells nothing of which.
    if not any(matches):
        raise NotAuthentic(f"The signature in {header} does not belong to this body and any known secret.")


def _hmac(secret: bytes, body: bytes) -> bytes:
    return hmac.new(secret, body, hashlib.sha256).digest()
