"""Secrets that must be read again (unlike an API key's) are sealed before they are kept: AES-256-GCM, a key of the settings.

What is sealed is bound to its place, so that a sealed text which somebody moves to another row can't be opened there.
"""

import base64
import os
from collections.abc import Sequence
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.settings import Settings

_NONCE_SIZE_BYTES = 12
_PREFIX = "v1."
_DEVELOPMENT_KEY = sha256(b"coffer development secrets key").digest()


class Unreadable(Exception):
    """A sealed text can't be opened: it is another key's, or another place's, or damaged."""


class Sealer:
    """Seals with the first key, and opens with any of them."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ciphers = [AESGCM(key) for key in keys]

    def seal(self, text: str, place: str) -> str:
        """Return a text sealed for a place, such as the id of its row."""
        nonce = os.urandom(_NONCE_SIZE_BYTES)
        sealed = self._ciphers[0].encrypt(nonce, text.encode(), place.encode())
        return _PREFIX + base64.b64encode(nonce + sealed).decode()

    def open(self, sealed: str, place: str) -> str:
        """Return what was sealed for this place, or raise `Unreadable`."""
        try:
            content = base64.b64decode(sealed.removeprefix(_PREFIX), validate=True)
        except ValueError:
            raise Unreadable from None
        nonce, rest = content[:_NONCE_SIZE_BYTES], content[_NONCE_SIZE_BYTES:]
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(nonce, rest, place.encode()).decode()
            except (InvalidTag, ValueError):
                continue
        raise Unreadable


def sealer_of(settings: Settings) -> Sealer | None:
    """Return the sealer of these settings; nothing where production has no key. Development has one that is no secret."""
    keys = [base64.b64decode(key + "=" * (-len(key) % 4)) for key in settings.secrets_keys]
    if not keys and settings.in_development:
        keys = [_DEVELOPMENT_KEY]
    return Sealer(keys) if keys else None
