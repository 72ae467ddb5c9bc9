"""What must be read again and not from the database is sealed before it is kept: AES-256-GCM, keys of the settings alone.

What is sealed names the place that it belongs to, so that a sealed text which somebody moves to another row opens no
more. The newest key seals; all of them open, until everything that an old one sealed is gone.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.settings import SECRETS_KEY_SIZE_BYTES, Settings

_NONCE_SIZE_BYTES = 12
_MARK_SIZE_BYTES = 4
_PREFIX = "v1."


class Unreadable(Exception):
    """A sealed text can't be opened: it is another key's, or another place's, or damaged."""


class Sealer:
    """Seals with the first key, opens with any of them, and finds equal texts without knowing them.

    `keys` are 32 bytes each, the newest first.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != SECRETS_KEY_SIZE_BYTES for key in keys):
            raise ValueError(f"what is sealed needs keys of {SECRETS_KEY_SIZE_BYTES} bytes")
        # One key for each purpose, so that neither use says anything about the other.
        self._ciphers = {_mark(key): AESGCM(_derived(key, b"seal")) for key in keys}
        self._hashing = [_derived(key, b"fingerprint") for key in keys]

    def __repr__(self) -> str:
        return f"Sealer({len(self._hashing)} keys)"

    def seal(self, text: str, place: str) -> str:
        """Return a text sealed for a place, such as the id of its row."""
        mark, cipher = next(iter(self._ciphers.items()))
        nonce = secrets.token_bytes(_NONCE_SIZE_BYTES)
        sealed = cipher.encrypt(nonce, text.encode(), place.encode())
        return _PREFIX + base64.b64encode(mark + nonce + sealed).decode()

    def open(self, sealed: str, place: str) -> str:
        """Return what was sealed for this place, or raise `Unreadable`."""
        try:
            if not sealed.startswith(_PREFIX):
                raise Unreadable
            content = base64.b64decode(sealed.removeprefix(_PREFIX), validate=True)
            cipher, rest = self._ciphers[content[:_MARK_SIZE_BYTES]], content[_MARK_SIZE_BYTES:]
            return cipher.decrypt(rest[:_NONCE_SIZE_BYTES], rest[_NONCE_SIZE_BYTES:], place.encode()).decode()
        except (KeyError, InvalidTag, ValueError):
            raise Unreadable from None

    def fingerprints(self, text: str) -> list[bytes]:
        """Return the keyed hashes of a text, by each key; the first is the one to keep."""
        return [hmac.new(key, text.encode(), hashlib.sha256).digest() for key in self._hashing]


def sealer_of(settings: Settings) -> Sealer | None:
    """Return the sealer of these settings; nothing where production has no key."""
    return Sealer(settings.sealing_keys) if settings.sealing_keys else None


def _mark(key: bytes) -> bytes:
    """Return what tells, in front of a sealed text, which key sealed it."""
    return _derived(key, b"mark")[:_MARK_SIZE_BYTES]


def _derived(key: bytes, purpose: bytes) -> bytes:
    return hmac.new(key, b"coffer sealing: " + purpose, hashlib.sha256).digest()
